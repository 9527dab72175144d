/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Input of bindgen: what the kernel crate's own bindings lack. The allowlist
 * stands in Kbuild.
 */

#include <linux/cred.h>
#include <linux/key-type.h>
#include <linux/llist.h>
#include <linux/seq_file.h>
#include <linux/signal_types.h>
#include <linux/workqueue.h>
#include <keys/request_key_auth-type.h>

#include "helpers.h"

/*
 * Where the fields really are which Rust reaches through the kernel crate's
 * bindings: those are generated without a check of their layout.
 */
enum keyagent_offset {
	KEYAGENT_OFFSET_KEY_SERIAL = offsetof(struct key, serial),
	KEYAGENT_OFFSET_KEY_STATE = offsetof(struct key, state),
	KEYAGENT_OFFSET_KEY_FLAGS = offsetof(struct key, flags),
	KEYAGENT_OFFSET_KEY_INDEX_KEY = offsetof(struct key, index_key),
	KEYAGENT_OFFSET_KEY_PAYLOAD = offsetof(struct key, payload),
	KEYAGENT_OFFSET_INDEX_KEY_TYPE =
		offsetof(struct keyring_index_key, type),
	KEYAGENT_OFFSET_INDEX_KEY_DESCRIPTION =
		offsetof(struct keyring_index_key, description),
	KEYAGENT_OFFSET_CRED_UID = offsetof(struct cred, uid),
	KEYAGENT_OFFSET_CRED_SUID = offsetof(struct cred, suid),
	KEYAGENT_OFFSET_CRED_EUID = offsetof(struct cred, euid),
	KEYAGENT_OFFSET_CRED_FSUID = offsetof(struct cred, fsuid),
	KEYAGENT_OFFSET_CRED_GID = offsetof(struct cred, gid),
	KEYAGENT_OFFSET_CRED_SGID = offsetof(struct cred, sgid),
	KEYAGENT_OFFSET_CRED_EGID = offsetof(struct cred, egid),
	KEYAGENT_OFFSET_CRED_FSGID = offsetof(struct cred, fsgid),
	KEYAGENT_OFFSET_CRED_CAP_PERMITTED =
		offsetof(struct cred, cap_permitted),
	KEYAGENT_OFFSET_CRED_SESSION_KEYRING =
		offsetof(struct cred, session_keyring),
	KEYAGENT_OFFSET_CRED_PROCESS_KEYRING =
		offsetof(struct cred, process_keyring),
	KEYAGENT_OFFSET_CRED_USER_NS = offsetof(struct cred, user_ns),
	KEYAGENT_OFFSET_SEQ_FILE_PRIVATE = offsetof(struct seq_file, private),
	KEYAGENT_OFFSET_SIGINFO_SIGNO =
		offsetof(struct kernel_siginfo, si_signo),
	KEYAGENT_OFFSET_SIGINFO_CODE = offsetof(struct kernel_siginfo, si_code),
	KEYAGENT_OFFSET_SIGINFO_PID =
		offsetof(struct kernel_siginfo, _sifields._rt._pid),
	KEYAGENT_OFFSET_SIGINFO_UID =
		offsetof(struct kernel_siginfo, _sifields._rt._uid),
	KEYAGENT_OFFSET_SIGINFO_SIGVAL =
		offsetof(struct kernel_siginfo, _sifields._rt._sigval),
	KEYAGENT_SIZE_SIGINFO = sizeof(struct kernel_siginfo),
	KEYAGENT_SIZE_CALLBACK_HEAD = sizeof(struct callback_head),
	KEYAGENT_SIZE_WORK_STRUCT = sizeof(struct work_struct),
	KEYAGENT_SIZE_DELAYED_WORK = sizeof(struct delayed_work),
	KEYAGENT_SIZE_LLIST_NODE = sizeof(struct llist_node),
};
