/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The system calls of the key service without libkeyutils. Each returns what the
 * system call returns: -1 and errno on failure.
 */
#ifndef KEYAGENT_WRAPPERS_H
#define KEYAGENT_WRAPPERS_H

#include <linux/keyctl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kselftest.h"

typedef int32_t key_serial_t;

/* The permission bits of a key, which no exported header has. */
#define KEY_POS_VIEW	0x01000000
#define KEY_POS_READ	0x02000000
#define KEY_POS_WRITE	0x04000000
#define KEY_POS_SEARCH	0x08000000
#define KEY_POS_LINK	0x10000000
#define KEY_POS_SETATTR	0x20000000
#define KEY_POS_ALL	0x3f000000
#define KEY_USR_VIEW	0x00010000
#define KEY_USR_SETATTR	0x00200000
#define KEY_USR_ALL	0x003f0000
#define KEY_OTH_VIEW	0x00000001
#define KEY_OTH_WRITE	0x00000004
#define KEY_OTH_SEARCH	0x00000008
#define KEY_OTH_LINK	0x00000010

static __maybe_unused key_serial_t sys_add_key(const char *type,
					       const char *desc,
					       const void *payload, size_t len,
					       key_serial_t ring)
{
	return syscall(__NR_add_key, type, desc, payload, len, ring);
}

static __maybe_unused key_serial_t sys_request_key(const char *type,
						   const char *desc,
						   const char *callout,
						   key_serial_t dest)
{
	return syscall(__NR_request_key, type, desc, callout, dest);
}

static __maybe_unused long sys_keyctl(int op, unsigned long a, unsigned long b,
				      unsigned long c, unsigned long d)
{
	return syscall(__NR_keyctl, op, a, b, c, d);
}

static __maybe_unused key_serial_t keyctl_get_keyring_id(key_serial_t id,
							 int create)
{
	return sys_keyctl(KEYCTL_GET_KEYRING_ID, id, create, 0, 0);
}

static __maybe_unused key_serial_t keyctl_join_session(const char *name)
{
	return sys_keyctl(KEYCTL_JOIN_SESSION_KEYRING, (unsigned long)name, 0,
			  0, 0);
}

static __maybe_unused long keyctl_update(key_serial_t key, const void *payload,
					 size_t len)
{
	return sys_keyctl(KEYCTL_UPDATE, key, (unsigned long)payload, len, 0);
}

static __maybe_unused long keyctl_revoke(key_serial_t key)
{
	return sys_keyctl(KEYCTL_REVOKE, key, 0, 0, 0);
}

static __maybe_unused long keyctl_invalidate(key_serial_t key)
{
	return sys_keyctl(KEYCTL_INVALIDATE, key, 0, 0, 0);
}

static __maybe_unused long keyctl_setperm(key_serial_t key, unsigned int perm)
{
	return sys_keyctl(KEYCTL_SETPERM, key, perm, 0, 0);
}

static __maybe_unused long keyctl_chown(key_serial_t key, uid_t uid, gid_t gid)
{
	return sys_keyctl(KEYCTL_CHOWN, key, uid, gid, 0);
}

static __maybe_unused long keyctl_describe(key_serial_t key, char *buf,
					   size_t len)
{
	return sys_keyctl(KEYCTL_DESCRIBE, key, (unsigned long)buf, len, 0);
}

static __maybe_unused long keyctl_clear(key_serial_t ring)
{
	return sys_keyctl(KEYCTL_CLEAR, ring, 0, 0, 0);
}

static __maybe_unused long keyctl_link(key_serial_t key, key_serial_t ring)
{
	return sys_keyctl(KEYCTL_LINK, key, ring, 0, 0);
}

static __maybe_unused long keyctl_unlink(key_serial_t key, key_serial_t ring)
{
	return sys_keyctl(KEYCTL_UNLINK, key, ring, 0, 0);
}

static __maybe_unused key_serial_t keyctl_search(key_serial_t ring,
						 const char *type,
						 const char *desc,
						 key_serial_t dest)
{
	return sys_keyctl(KEYCTL_SEARCH, ring, (unsigned long)type,
			  (unsigned long)desc, dest);
}

static __maybe_unused long keyctl_read(key_serial_t key, void *buf, size_t len)
{
	return sys_keyctl(KEYCTL_READ, key, (unsigned long)buf, len, 0);
}

static __maybe_unused long keyctl_instantiate(key_serial_t key,
					      const void *payload, size_t len,
					      key_serial_t ring)
{
	return sys_keyctl(KEYCTL_INSTANTIATE, key, (unsigned long)payload, len,
			  ring);
}

static __maybe_unused long keyctl_negate(key_serial_t key, unsigned int timeout,
					 key_serial_t ring)
{
	return sys_keyctl(KEYCTL_NEGATE, key, timeout, ring, 0);
}

static __maybe_unused long keyctl_reject(key_serial_t key, unsigned int timeout,
					 unsigned int error, key_serial_t ring)
{
	return sys_keyctl(KEYCTL_REJECT, key, timeout, error, ring);
}

static __maybe_unused long keyctl_set_timeout(key_serial_t key,
					      unsigned int timeout)
{
	return sys_keyctl(KEYCTL_SET_TIMEOUT, key, timeout, 0, 0);
}

/* Key 0 gives the assumed authority up. */
static __maybe_unused long keyctl_assume_authority(key_serial_t key)
{
	return sys_keyctl(KEYCTL_ASSUME_AUTHORITY, key, 0, 0, 0);
}

static __maybe_unused long keyctl_set_reqkey_keyring(int dfl)
{
	return sys_keyctl(KEYCTL_SET_REQKEY_KEYRING, dfl, 0, 0, 0);
}

#endif
