/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Key agents: user space processes that answer request_key() upcalls.
 *
 * See Documentation/userspace-api/keyagent.rst
 */
#ifndef _UAPI_LINUX_KEYAGENT_H
#define _UAPI_LINUX_KEYAGENT_H

#include <linux/types.h>

/**
 * DOC: keyagent_key
 *
 * A process becomes a key agent by adding a key of type
 * %KEYAGENT_KEY_TYPE with add_key(2).
 *
 * Description
 *     The name of the key type that the agent answers for, for example
 *     "user": 1 to %KEYAGENT_MAX_TYPE_LEN characters, and not
 *     %KEYAGENT_KEY_TYPE itself.
 *
 * Payload
 *     A &struct keyagent_payload, or only the number of the signal as a
 *     16-bit integer in native byte order, in a buffer of 2 or 4 bytes.
 *     Bytes 2 and 3 of a 4-byte buffer are ignored; on a little-endian
 *     machine an int or unsigned int can thus be passed as it is.
 *
 * The calling process must have a process keyring, because that is where
 * the authorisation keys of its requests are put.  The key is bound to the
 * calling thread, and to the program which this thread is executing.
 */

/**
 * DOC: keyagent_signal
 *
 * For each request the agent's thread is sent the signal that it chose:
 *
 * ============  ==================  =========================================
 * siginfo_t     signalfd_siginfo    value
 * ============  ==================  =========================================
 * ``si_signo``  ``ssi_signo``       the number in the payload
 * ``si_code``   ``ssi_code``        %SI_KEYAGENT
 * ``si_int``    ``ssi_int``         serial of the key under construction
 * ``si_pid``    ``ssi_pid``         process ID of the requester as seen from
 *                                   the agent's PID namespace, 0 if it is not
 *                                   visible there
 * ``si_uid``    ``ssi_uid``         real user ID of the requester as seen
 *                                   from the agent's user namespace, the
 *                                   overflow user ID if it has none there
 * ============  ==================  =========================================
 *
 * Every other byte of the kernel's siginfo is zero.
 *
 * The signal is only a hint: any process that may send signals to the agent
 * can forge it.  What counts is whether KEYCTL_ASSUME_AUTHORITY succeeds for
 * the key.
 */

/* The key type, for add_key(2). */
#define KEYAGENT_KEY_TYPE	"keyagent"

/* Longest name of a key type, without the terminating NUL. */
#define KEYAGENT_MAX_TYPE_LEN	31

/**
 * struct keyagent_payload - the payload of an agent key
 * @signal: number of the real-time signal that announces a request, 32 to 64
 * @reserved: must be zero
 * @flags: KEYAGENT_* flags; a flag that the kernel does not know is refused
 *	with EINVAL
 *
 * The file /sys/module/keyagent/parameters/features lists the flags that the
 * kernel knows, by name in lower case without the prefix.
 */
struct keyagent_payload {
	__u16 signal;
	__u16 reserved;
	__u32 flags;
};

/*
 * Subscribers cannot take the agent from each other: nobody can revoke or
 * invalidate the key, or set its timeout. The agent withdraws by taking SEARCH
 * permission away, or by ending.
 */
#define KEYAGENT_SHARED		(1U << 0)

/* The si_code of the signal that announces a request. */
#ifndef SI_KEYAGENT
#define SI_KEYAGENT		-8
#endif

#endif /* _UAPI_LINUX_KEYAGENT_H */
