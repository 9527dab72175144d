/* SPDX-License-Identifier: GPL-2.0 */
/* User namespaces and user IDs for the tests. */
#ifndef KEYAGENT_USERNS_H
#define KEYAGENT_USERNS_H

#include <fcntl.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <linux/capability.h>

#include "common.h"

static __maybe_unused int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t len = strlen(text);
	int ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, text, len) == len ? 0 : -errno;
	close(fd);
	return ret;
}

/*
 * Changes all user and group IDs. The process stays dumpable: whether it must be
 * is a question of its own.
 */
static __maybe_unused long become(uid_t ruid, uid_t euid, uid_t suid)
{
	if (setresgid(ruid, euid, suid) || setresuid(ruid, euid, suid))
		return -errno;
	return neg_errno(prctl(PR_SET_DUMPABLE, 1));
}

/* Enters a new user namespace in which the effective IDs are @inside. */
static __maybe_unused long enter_userns(uid_t inside)
{
	const uid_t uid = geteuid();
	const gid_t gid = getegid();
	char map[64];
	int ret;

	if (unshare(CLONE_NEWUSER))
		return -errno;
	if (prctl(PR_SET_DUMPABLE, 1))
		return -errno;
	snprintf(map, sizeof(map), "%u %u 1", inside, uid);
	ret = write_file("/proc/self/uid_map", map);
	if (!ret)
		ret = write_file("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "%u %u 1", inside, gid);
	if (!ret)
		ret = write_file("/proc/self/gid_map", map);
	if (ret < 0)
		return ret;
	return geteuid() == inside ? 0 : -EINVAL;
}

/* Drops a capability from the effective set, or from the permitted one too. */
static __maybe_unused long drop_cap(int cap, bool permitted)
{
	struct __user_cap_header_struct hdr = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	if (syscall(__NR_capget, &hdr, data))
		return -errno;
	data[cap / 32].effective &= ~(1u << cap % 32);
	if (permitted)
		data[cap / 32].permitted &= ~(1u << cap % 32);
	return neg_errno(syscall(__NR_capset, &hdr, data));
}

/* Becomes that user and keeps one capability, permitted and effective. */
static __maybe_unused long become_with_cap(uid_t uid, int cap)
{
	struct __user_cap_header_struct hdr = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = { 0 };
	long ret;

	if (prctl(PR_SET_KEEPCAPS, 1))
		return -errno;
	ret = become(uid, uid, uid);
	if (ret < 0)
		return ret;
	data[cap / 32].effective = 1u << cap % 32;
	data[cap / 32].permitted = 1u << cap % 32;
	return neg_errno(syscall(__NR_capset, &hdr, data));
}

/* For agents: another user than root, who may answer root's requests. */
static __maybe_unused long
user_with_ptrace(struct agent *a __maybe_unused)
{
	return become_with_cap(1003, CAP_SYS_PTRACE);
}

#endif
