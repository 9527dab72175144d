// SPDX-License-Identifier: GPL-2.0
/*
 * An agent in the middle of its exec. That takes no time as a rule, so it is held
 * up: kcmp(2) holds the lock that the exec needs while it reads from a page, which
 * is one of a file that a FUSE server never delivers.
 */

#define _GNU_SOURCE
#include <linux/kcmp.h>

#include "fuse.h"
#include "observe.h"

FIXTURE(exec_lock)
{
	struct agent agent;
	struct outcomes before;
	struct fuse_file file;
	pid_t holder;
};

FIXTURE_SETUP(exec_lock)
{
	if (geteuid())
		SKIP(_exit(KSFT_SKIP), "not root");
	test_session(_metadata);
	if (!outcomes_read(&self->before))
		SKIP(_exit(KSFT_SKIP), "no debugfs");
	if (!fuse_start(_metadata, &self->file))
		SKIP(_exit(KSFT_SKIP), "no FUSE: %s", strerror(errno));
	agent_start(_metadata, &self->agent, NULL);
}

FIXTURE_TEARDOWN(exec_lock)
{
	fuse_end(&self->file);
	if (self->holder > 0) {
		kill(self->holder, SIGKILL);
		waitpid(self->holder, NULL, 0);
	}
	agent_stop(&self->agent);
	fuse_stop(&self->file);
}

/* Holds the lock for reading until the server ends. */
static void hold_lock(const char *file, pid_t pid)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *page;

	/* That is when the kernel learns how long it is. */
	if (fd < 0 || fstat(fd, &st) || st.st_size != PAGE)
		_exit(1);
	page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	if (page == MAP_FAILED)
		_exit(1);
	_exit(!syscall(__NR_kcmp, pid, pid, KCMP_EPOLL_TFD, 0, page));
}

static long do_ctl(struct agent *a, const void *arg __maybe_unused)
{
	return a->ctl;
}

/* True while the process sleeps for no signal. Its "stat" takes the lock. */
static bool sleeps(pid_t pid)
{
	char path[32], text[4096];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	return file_read(path, text, sizeof(text)) &&
	       strstr(text, "State:\tD");
}

/*
 * Has the agent execute a program, and waits until it waits for the lock. Just
 * before that it closes its descriptors, and nothing between puts it to sleep.
 */
static void exec_into_lock(struct __test_metadata *const _metadata,
			   struct agent *a)
{
	struct stat st;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%ld", a->pid,
		 agent_call(_metadata, a, do_ctl, NULL, 0));
	ASSERT_EQ(0, lstat(path, &st));
	agent_post(_metadata, a, agent_do_exec, "/bin/true",
		   sizeof("/bin/true"));
	ASSERT_TRUE(wait_until(lstat(path, &st)));
	ASSERT_TRUE(wait_until(sleeps(a->pid)));
}

TEST_F(exec_lock, request)
{
	struct outcomes now;

	self->holder = fork();
	ASSERT_LE(0, self->holder);
	if (!self->holder)
		hold_lock(self->file.path, self->agent.pid);
	ASSERT_TRUE(count_wait(self->file.reads, 1));
	exec_into_lock(_metadata, &self->agent);

	expect_answer(_metadata, unique("in_exec"), "upcall");
	expect_outcome(_metadata, &self->before, "in_exec");
	EXPECT_EQ(0, agent_asked(&self->agent));

	/* It goes on, and is no agent any more. */
	fuse_end(&self->file);
	ASSERT_EQ(0, wait_dead(self->agent.pid));
	ASSERT_TRUE(outcomes_read(&now));
	expect_answer(_metadata, unique("after"), "upcall");
	expect_outcome(_metadata, &now, "dead_agent");
}

KEYAGENT_HARNESS_MAIN
