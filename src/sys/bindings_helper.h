/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Input of bindgen: what the kernel crate's own bindings lack. The allowlist
 * stands in Kbuild.
 */

#include <linux/cred.h>
#include <linux/key-type.h>
#include <linux/kprobes.h>
#include <linux/workqueue.h>
#include <keys/request_key_auth-type.h>

#include "helpers.h"

/*
 * Where the fields really are which Rust reaches through the kernel crate's
 * bindings: those are generated without a check of their layout.
 */
#define KEYAGENT_OFFSET(name, type, field) \
	KEYAGENT_OFFSET_##name = offsetof(type, field)

enum keyagent_offset {
	KEYAGENT_OFFSET(KEY_SERIAL, struct key, serial),
	KEYAGENT_OFFSET(KEY_STATE, struct key, state),
	KEYAGENT_OFFSET(KEY_FLAGS, struct key, flags),
	KEYAGENT_OFFSET(KEY_INDEX_KEY, struct key, index_key),
	KEYAGENT_OFFSET(KEY_PAYLOAD, struct key, payload),
	KEYAGENT_OFFSET(INDEX_KEY_TYPE, struct keyring_index_key, type),
	KEYAGENT_OFFSET(INDEX_KEY_DESCRIPTION, struct keyring_index_key,
			description),
	KEYAGENT_OFFSET(CRED_UID, struct cred, uid),
	KEYAGENT_OFFSET(CRED_SUID, struct cred, suid),
	KEYAGENT_OFFSET(CRED_EUID, struct cred, euid),
	KEYAGENT_OFFSET(CRED_FSUID, struct cred, fsuid),
	KEYAGENT_OFFSET(CRED_SESSION_KEYRING, struct cred, session_keyring),
	KEYAGENT_OFFSET(CRED_PROCESS_KEYRING, struct cred, process_keyring),
	KEYAGENT_OFFSET(CRED_USER_NS, struct cred, user_ns),
	KEYAGENT_OFFSET(RCU_WORK_WORK, struct rcu_work, work),
};
