// SPDX-License-Identifier: GPL-2.0
/*
 * Requests that the kernel makes for itself, here for the address of a server:
 * ceph in the process that mounts, with credentials of its own, and afs in a
 * worker, which has no agent.
 */

#define _GNU_SOURCE
#include "module.h"
#include "observe.h"

/* The longest that an agent has for such a request, whatever timeout_ms says. */
#define KERNEL_TIMEOUT_MS	15000

#define DATA	FIXTURE_DATA(kernel_request)

FIXTURE(kernel_request)
{
	struct agent agent;
	struct outcomes before;
	char dir[32];		/* a mount point */
	char server[64];	/* a name that nobody has asked for */
	pid_t pid;		/* who mounts */
	uint64_t since;
};

static bool run_modprobe(const char *args)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "modprobe %s 2>/dev/null", args);
	return !system(cmd);
}

FIXTURE_SETUP(kernel_request)
{
	struct agent_opts opts = {
		.type = "dns_resolver",
		.plan.action = AGENT_HOLD,
	};

	if (geteuid())
		SKIP(_exit(KSFT_SKIP), "not root");
	if (!run_modprobe("-a ceph kafs"))
		SKIP(_exit(KSFT_SKIP), "the kernel has no ceph or afs");
	test_session(_metadata);
	if (!outcomes_read(&self->before))
		SKIP(_exit(KSFT_SKIP), "no debugfs");
	snprintf(self->dir, sizeof(self->dir), "/tmp/keyagent.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	snprintf(self->server, sizeof(self->server), "nosuch-%d.example",
		 getpid());
	agent_start(_metadata, &self->agent, &opts);
}

FIXTURE_TEARDOWN(kernel_request)
{
	agent_stop(&self->agent);
	umount2(self->dir, MNT_DETACH);
	rmdir(self->dir);
	/* Others load and remove what these use. */
	EXPECT_TRUE(wait_until(run_modprobe("-r ceph kafs")));
}

static void on_signal(int sig __maybe_unused)
{
}

/* A process that mounts from the server, for which the kernel asks. */
static void start_mount(struct __test_metadata *const _metadata, DATA *self)
{
	char source[80];

	snprintf(source, sizeof(source), "%s:/", self->server);
	self->since = now_ms();
	self->pid = fork();
	ASSERT_LE(0, self->pid);
	if (!self->pid) {
		signal(SIGUSR1, on_signal);
		_exit(mount(source, self->dir, "ceph", 0, "") ? 0 : 1);
	}
	agent_wait_asked(_metadata, &self->agent, 1);
}

static void expect_mount_ended(struct __test_metadata *const _metadata,
			       DATA *self, int expected)
{
	int status;

	ASSERT_EQ(self->pid, waitpid(self->pid, &status, 0));
	EXPECT_EQ(expected, status);
}

TEST_F(kernel_request, rejected)
{
	struct agent_arg arg = {
		.plan = { .action = AGENT_REJECT, .error = EHOSTUNREACH },
	};

	start_mount(_metadata, self);
	arg.key = agent_record(&self->agent, 0)->key;
	EXPECT_EQ(0, agent_call(_metadata, &self->agent,
				agent_do_assume_and_settle, &arg, sizeof(arg)));
	expect_mount_ended(_metadata, self, 0);
	expect_outcome(_metadata, &self->before, "rejected");
	EXPECT_EQ(0, upcall_count(self->server, NULL));
}

/* The kernel does not expect EINTR there: nothing but SIGKILL ends the wait. */
TEST_F(kernel_request, only_killed)
{
	struct pollfd fd = { .events = POLLIN };

	start_mount(_metadata, self);
	ASSERT_EQ(0, kill(self->pid, SIGUSR1));
	fd.fd = syscall(__NR_pidfd_open, self->pid, 0);
	ASSERT_LE(0, fd.fd);
	EXPECT_EQ(0, poll(&fd, 1, 300));
	ASSERT_EQ(0, kill(self->pid, SIGKILL));
	expect_mount_ended(_metadata, self, SIGKILL);
	expect_outcome(_metadata, &self->before, "interrupted");
	EXPECT_EQ(0, upcall_count(self->server, NULL));
}

/* The freezer cannot end it either, and gives up after 20 seconds. */
TEST_F_TIMEOUT(kernel_request, ends_before_the_freezer, 60)
{
	uint64_t took;

	module_required(_metadata);
	agent_stop(&self->agent);
	ASSERT_EQ(0, module_reload("timeout_ms=60000"));
	agent_start(_metadata, &self->agent, &(struct agent_opts){
		.type = "dns_resolver",
		.plan.action = AGENT_HOLD,
	});
	ASSERT_TRUE(outcomes_read(&self->before));
	start_mount(_metadata, self);
	expect_mount_ended(_metadata, self, 0);
	took = now_ms() - self->since;
	EXPECT_LE(KERNEL_TIMEOUT_MS, took);
	EXPECT_GT(KERNEL_TIMEOUT_MS + 150 * slow(), took);
	expect_outcome(_metadata, &self->before, "timed_out");
	agent_stop(&self->agent);
	EXPECT_EQ(0, module_reload(""));
}

/* The cell's servers are looked up by a worker, who has nobody's keyring. */
TEST_F(kernel_request, worker)
{
	char path[128], desc[80];
	struct stat st;

	if (mount("none", self->dir, "afs", 0, "dyn"))
		SKIP(return, "afs cannot be mounted: %s", strerror(errno));
	snprintf(path, sizeof(path), "%s/%s", self->dir, self->server);
	snprintf(desc, sizeof(desc), "afsdb:%s", self->server);
	EXPECT_EQ(-1, stat(path, &st));
	EXPECT_EQ(1, upcall_count(desc, NULL));
	expect_outcome(_metadata, &self->before, "worker");
	EXPECT_EQ(0, agent_asked(&self->agent));
}

KEYAGENT_HARNESS_MAIN
