// SPDX-License-Identifier: GPL-2.0
/*
 * An agent in the middle of its exec. That takes no time as a rule, so it is held
 * up: kcmp(2) holds the lock that the exec needs while it reads from a page, which
 * is one of a file that a FUSE server never delivers.
 */

#define _GNU_SOURCE
#include <linux/fuse.h>
#include <linux/kcmp.h>
#include <sys/uio.h>

#include "observe.h"

#define PAGE	4096
#define DATA	FIXTURE_DATA(exec_lock)

FIXTURE(exec_lock)
{
	struct agent agent;
	struct outcomes before;
	char file[32];
	uint32_t *reads;	/* of the file */
	pid_t server, holder;
};

/* ------------------------------------------------------------- the FUSE server */

static void reply(int fd, uint64_t unique, int error, void *out, size_t len)
{
	struct fuse_out_header header = {
		.len = sizeof(header) + len,
		.error = error,
		.unique = unique,
	};
	const struct iovec iov[] = {
		{ &header, sizeof(header) }, { out, len },
	};

	if (writev(fd, iov, 2) < 0)
		_exit(1);
}

/* Of a file system that is a single file. */
static void serve(int fd, uint32_t *reads)
{
	static char buf[FUSE_MIN_READ_BUFFER + PAGE];
	const struct fuse_in_header *in = (void *)buf;
	struct fuse_init_out init = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_write = PAGE,
	};
	struct fuse_attr_out attr = {
		.attr = {
			.ino = FUSE_ROOT_ID,
			.size = PAGE,
			.mode = S_IFREG | 0444,
			.nlink = 1,
		},
	};
	struct fuse_open_out opened = { 0 };

	while (read(fd, buf, sizeof(buf)) > 0) {
		switch (in->opcode) {
		case FUSE_INIT:
			reply(fd, in->unique, 0, &init, sizeof(init));
			break;
		case FUSE_GETATTR:
			reply(fd, in->unique, 0, &attr, sizeof(attr));
			break;
		case FUSE_OPEN:
			reply(fd, in->unique, 0, &opened, sizeof(opened));
			break;
		case FUSE_READ:
			count_up(reads);
			break;
		case FUSE_FORGET:
		case FUSE_BATCH_FORGET:
		case FUSE_INTERRUPT:
			break;
		default:
			reply(fd, in->unique, -EOPNOTSUPP, NULL, 0);
		}
	}
	_exit(0);
}

/* Mounts the file in the place of @file; true when it can be opened. */
static bool start_server(DATA *self)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	char opts[64];

	snprintf(opts, sizeof(opts), "fd=%d,rootmode=100444,user_id=0,group_id=0",
		 fd);
	if (fd < 0 || mount("keyagent", self->file, "fuse", 0, opts))
		return false;
	self->server = fork();
	if (!self->server) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(fd, self->reads);
	}
	/* With the last of its descriptors the connection ends. */
	close(fd);
	return self->server > 0;
}

/* ------------------------------------------------------------------ the lock */

FIXTURE_SETUP(exec_lock)
{
	int fd;

	if (geteuid())
		SKIP(_exit(KSFT_SKIP), "not root");
	test_session(_metadata);
	if (!outcomes_read(&self->before))
		SKIP(_exit(KSFT_SKIP), "no debugfs");
	self->reads = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->reads);
	snprintf(self->file, sizeof(self->file), "/tmp/keyagent.XXXXXX");
	fd = mkstemp(self->file);
	ASSERT_LE(0, fd);
	close(fd);
	if (!start_server(self)) {
		unlink(self->file);
		SKIP(_exit(KSFT_SKIP), "no FUSE: %s", strerror(errno));
	}
	agent_start(_metadata, &self->agent, NULL);
}

FIXTURE_TEARDOWN(exec_lock)
{
	kill(self->server, SIGKILL);
	waitpid(self->server, NULL, 0);
	if (self->holder > 0) {
		kill(self->holder, SIGKILL);
		waitpid(self->holder, NULL, 0);
	}
	agent_stop(&self->agent);
	umount2(self->file, MNT_DETACH);
	unlink(self->file);
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
		hold_lock(self->file, self->agent.pid);
	ASSERT_TRUE(count_wait(self->reads, 1));
	exec_into_lock(_metadata, &self->agent);

	expect_answer(_metadata, unique("in_exec"), "upcall");
	expect_outcome(_metadata, &self->before, "in_exec");
	EXPECT_EQ(0, agent_asked(&self->agent));

	/* It goes on, and is no agent any more. */
	ASSERT_EQ(0, kill(self->server, SIGKILL));
	ASSERT_EQ(0, wait_dead(self->agent.pid));
	ASSERT_TRUE(outcomes_read(&now));
	expect_answer(_metadata, unique("after"), "upcall");
	expect_outcome(_metadata, &now, "dead_agent");
}

KEYAGENT_HARNESS_MAIN
