// SPDX-License-Identifier: GPL-2.0
/*
 * The number by which an agent goes: for who reads its key, that of the reader's
 * pid namespace; in /proc/keys, that of the namespace for which proc was mounted.
 */

#define _GNU_SOURCE
#include "observe.h"

/* How a child of the test found things; 0 is as they should be. */
enum {
	CANNOT_MOUNT = 10,
	OTHER_NUMBER,
};

FIXTURE(pidns)
{
	struct agent agent;
};

FIXTURE_SETUP(pidns)
{
	test_session(_metadata);
	if (geteuid())
		SKIP(_exit(KSFT_SKIP), "not root");
}

FIXTURE_TEARDOWN(pidns)
{
	agent_stop(&self->agent);
}

static long pid_in_key(key_serial_t key)
{
	char buf[512];
	long len = keyctl_read(key, buf, sizeof(buf) - 1);

	if (len < 0 || len >= (long)sizeof(buf))
		return -EIO;
	buf[len] = '\0';
	return field(buf, "pid");
}

static long pid_in_proc_keys(key_serial_t key)
{
	char line[1024];
	const char *p;

	if (!proc_keys_line(key, NULL, line, sizeof(line)))
		return -EIO;
	p = strstr(line, ": pid ");
	return p ? atoi(p + strlen(": pid ")) : -EIO;
}

/* Mounts the proc of our pid namespace, for us alone. */
static bool own_proc(void)
{
	return !unshare(CLONE_NEWNS) &&
	       !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	       !mount("proc", "/proc", "proc", 0, NULL);
}

static void expect_child(struct __test_metadata *const _metadata, pid_t pid)
{
	int status;

	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status) {
		TH_LOG("the child's exit status is %d", WEXITSTATUS(status));
	}
}

/* A reader in a namespace of its own, where the agent has no number. */
TEST_F(pidns, reader_inside)
{
	key_serial_t key;
	pid_t pid;

	agent_start(_metadata, &self->agent, NULL);
	key = self->agent.sh->key;
	EXPECT_EQ(self->agent.pid, pid_in_key(key));
	EXPECT_EQ(self->agent.pid, pid_in_proc_keys(key));
	pid = fork_flags(CLONE_NEWPID);
	ASSERT_LE(0, pid);
	if (!pid) {
		if (pid_in_key(key))
			_exit(OTHER_NUMBER);
		/* The proc that was mounted outside. */
		if (pid_in_proc_keys(key) != self->agent.pid)
			_exit(OTHER_NUMBER + 1);
		if (!own_proc())
			_exit(CANNOT_MOUNT);
		_exit(pid_in_proc_keys(key) ? OTHER_NUMBER + 2 : 0);
	}
	expect_child(_metadata, pid);
}

static long do_pid_in_key(struct agent *a, const void *arg __maybe_unused)
{
	return pid_in_key(a->sh->key);
}

static long do_pid_in_proc_keys(struct agent *a, const void *arg __maybe_unused)
{
	return pid_in_proc_keys(a->sh->key);
}

static long do_own_proc(struct agent *a __maybe_unused,
			const void *arg __maybe_unused)
{
	return own_proc() ? 0 : -errno;
}

/* An agent in a namespace of its own has two numbers. */
TEST_F(pidns, agent_inside)
{
	struct agent_opts opts = { .clone_flags = CLONE_NEWPID };
	struct agent *a = &self->agent;

	agent_start(_metadata, a, &opts);
	EXPECT_LT(1, a->pid);
	EXPECT_EQ(a->pid, pid_in_key(a->sh->key));
	EXPECT_EQ(a->pid, pid_in_proc_keys(a->sh->key));
	EXPECT_EQ(1, agent_call(_metadata, a, do_pid_in_key, NULL, 0));
	/* What counts is where proc was mounted, not who reads it. */
	EXPECT_EQ(a->pid, agent_call(_metadata, a, do_pid_in_proc_keys, NULL,
				     0));
	ASSERT_EQ(0, agent_call(_metadata, a, do_own_proc, NULL, 0));
	EXPECT_EQ(1, agent_call(_metadata, a, do_pid_in_proc_keys, NULL, 0));
}

KEYAGENT_HARNESS_MAIN
