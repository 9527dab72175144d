// SPDX-License-Identifier: GPL-2.0
/*
 * Requests that the kernel makes for itself, under credentials that override the
 * requester's: the agent is found through the requester's own session keyring,
 * and has to be an administrator of the system. And requests of kernel threads
 * and of workers, for which there is no agent.
 */

#define _GNU_SOURCE
#include <linux/io_uring.h>

#include "module.h"
#include "test_module.h"

#define DATA FIXTURE_DATA(overridden)

FIXTURE(overridden)
{
	struct agent agent;
	struct agent_opts opts;
	struct outcomes before;
	const char *desc;
};

FIXTURE_SETUP(overridden)
{
	test_session(_metadata);
	test_module_load(_metadata);
	self->desc = unique("overridden");
	ASSERT_TRUE(outcomes_read(&self->before));
}

FIXTURE_TEARDOWN(overridden)
{
	agent_stop(&self->agent);
	test_module_unload();
}

static long user(void)
{
	return become(1000, 1000, 1000);
}

static long prepare_user(struct agent *a __maybe_unused)
{
	return user();
}

static long prepare_user_with_cap(struct agent *a)
{
	return become_with_cap(1000, a->opts.arg);
}

static long prepare_root_without_cap(struct agent *a)
{
	return drop_cap(a->opts.arg, false);
}

static void expect_passed_over(struct __test_metadata *const _metadata,
			       DATA *self,
			       const char *reason)
{
	EXPECT_EQ(0, agent_asked(&self->agent));
	EXPECT_EQ(1, upcall_count(self->desc, NULL));
	expect_outcome(_metadata, &self->before, reason);
	expect_settled(_metadata, &self->agent);
}

TEST_F(overridden, administrator_is_asked)
{
	agent_start(_metadata, &self->agent, NULL);
	EXPECT_STREQ("agent", kernel_request("override", self->desc));
	EXPECT_EQ(1, agent_asked(&self->agent));
	EXPECT_EQ(0, upcall_count(self->desc, NULL));
	expect_outcome(_metadata, &self->before, "served");
}

/* Whoever it is that makes the kernel ask. */
TEST_F(overridden, administrator_is_asked_for_a_user)
{
	agent_start(_metadata, &self->agent, NULL);
	EXPECT_STREQ("agent", kernel_request_as(_metadata, "override",
						self->desc, user));
	EXPECT_EQ(1, agent_asked(&self->agent));
}

/* Its own requests the agent may answer, those of the kernel not. */
TEST_F(overridden, user_is_not_asked)
{
	const char *own = unique("own");

	self->opts.prepare = prepare_user;
	agent_start(_metadata, &self->agent, &self->opts);
	EXPECT_STREQ("upcall", kernel_request_as(_metadata, "override",
						 self->desc, user));
	expect_passed_over(_metadata, self, "denied_overridden");
	EXPECT_STREQ("agent", kernel_request_as(_metadata, "user", own, user));
	EXPECT_EQ(1, agent_asked(&self->agent));
}

/* One that may trace root is not one that may configure the system. */
TEST_F(overridden, tracer_is_not_asked)
{
	self->opts.prepare = prepare_user_with_cap;
	self->opts.arg = CAP_SYS_PTRACE;
	agent_start(_metadata, &self->agent, &self->opts);
	EXPECT_STREQ("upcall", kernel_request("override", self->desc));
	expect_passed_over(_metadata, self, "denied_overridden");
}

TEST_F(overridden, root_without_the_capability_is_not_asked)
{
	self->opts.prepare = prepare_root_without_cap;
	self->opts.arg = CAP_SYS_ADMIN;
	agent_start(_metadata, &self->agent, &self->opts);
	EXPECT_STREQ("upcall", kernel_request("override", self->desc));
	expect_passed_over(_metadata, self, "denied_overridden");
}

/* And the other way round: the kernel's credentials are root's. */
TEST_F(overridden, administrator_without_ptrace_is_not_asked)
{
	self->opts.prepare = prepare_user_with_cap;
	self->opts.arg = CAP_SYS_ADMIN;
	agent_start(_metadata, &self->agent, &self->opts);
	EXPECT_STREQ("upcall", kernel_request_as(_metadata, "override",
						 self->desc, user));
	expect_passed_over(_metadata, self, "denied_user");
}

/* It may answer the kernel, but not the user who makes it ask. */
TEST_F(overridden, administrator_is_not_asked_for_another_user)
{
	self->opts.prepare = prepare_root_without_cap;
	self->opts.arg = CAP_SYS_PTRACE;
	agent_start(_metadata, &self->agent, &self->opts);
	EXPECT_STREQ("upcall", kernel_request_as(_metadata, "override",
						 self->desc, user));
	expect_passed_over(_metadata, self, "denied_user");
}

/* Root of a user namespace has both capabilities, but only there. */
static long prepare_userns(struct agent *a __maybe_unused)
{
	return enter_userns(0);
}

TEST_F(overridden, root_of_a_user_namespace_is_not_asked)
{
	self->opts.prepare = prepare_userns;
	agent_start(_metadata, &self->agent, &self->opts);
	EXPECT_STREQ("upcall", kernel_request("override", self->desc));
	expect_passed_over(_metadata, self, "denied_overridden");
}

/* ------------------------------------------- the authority of the kernel itself */

static long request_more(struct agent *a __maybe_unused, key_serial_t key)
{
	long ret = agent_assume(key);

	return ret < 0 ? ret : agent_request_more(key);
}

/*
 * The administrator requests something while it answers the kernel, by itself and
 * under its own credentials. Who answers that gets at the kernel's cache.
 */
TEST_F(overridden, tracer_is_not_asked_by_the_administrator)
{
	const struct agent_opts tracer = {
		.type = "logon",
		.prepare = prepare_user_with_cap,
		.arg = CAP_SYS_PTRACE,
	};
	struct agent thief;
	char more[64];

	self->opts.inherit_session = true;
	self->opts.plan.action = AGENT_CUSTOM;
	self->opts.plan.custom = request_more;
	agent_start(_metadata, &self->agent, &self->opts);
	agent_start(_metadata, &thief, &tracer);
	EXPECT_STREQ("agent", kernel_request("override", self->desc));
	agent_wait_done(_metadata, &self->agent, 1);
	EXPECT_EQ(0, agent_record(&self->agent, 0)->result);
	EXPECT_EQ(0, agent_asked(&thief));
	snprintf(more, sizeof(more), "more:%d",
		 agent_record(&self->agent, 0)->key);
	EXPECT_EQ(1, upcall_count(more, NULL));
	EXPECT_EQ(1, outcome_growth(&self->before, "denied_overridden"));
	EXPECT_EQ(1, outcome_growth(&self->before, "served"));
	agent_stop(&thief);
}

/* ------------------------------------------------------------------- the wait */

static uint32_t *caught;

static void catch(int sig __maybe_unused)
{
	count_up(caught);
}

static long catching(void)
{
	const struct sigaction sa = { .sa_handler = catch };

	return neg_errno(sigaction(SIGUSR1, &sa, NULL));
}

static key_serial_t hold(struct __test_metadata *const _metadata,
			 DATA *self,
			 struct kernel_requester *r)
{
	caught = mmap(NULL, sizeof(*caught), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)caught);
	self->opts.plan.action = AGENT_HOLD;
	agent_start(_metadata, &self->agent, &self->opts);
	kernel_request_start(_metadata, r, "override", self->desc, catching);
	agent_wait_asked(_metadata, &self->agent, 1);
	return agent_record(&self->agent, 0)->key;
}

/* The kernel's callers do not expect EINTR: only a signal that kills ends it. */
TEST_F(overridden, signal_does_not_interrupt)
{
	struct kernel_requester r;
	struct agent_arg arg = { .key = hold(_metadata, self, &r) };

	ASSERT_TRUE(wait_until(proc_state(r.pid) == 'D'));
	ASSERT_EQ(0, kill(r.pid, SIGUSR1));
	EXPECT_EQ(0, agent_call(_metadata, &self->agent,
				agent_do_assume_and_settle, &arg, sizeof(arg)));
	EXPECT_STREQ("agent", kernel_request_finish(&r));
	EXPECT_EQ(1, (int)count_get(caught));
	EXPECT_EQ(1, agent_asked(&self->agent));
	expect_outcome(_metadata, &self->before, "served");
}

TEST_F(overridden, kill_ends_it)
{
	struct kernel_requester r;
	uint64_t since;

	hold(_metadata, self, &r);
	ASSERT_TRUE(wait_until(proc_state(r.pid) == 'D'));
	ASSERT_EQ(0, kill(r.pid, SIGKILL));
	since = now_ms();
	EXPECT_STREQ("", kernel_request_finish(&r));
	EXPECT_GE(100 * slow(), now_ms() - since);
	expect_outcome(_metadata, &self->before, "killed");
	expect_settled(_metadata, &self->agent);
}

/* The longest that an agent has for such a request, whatever timeout_ms says. */
#define KERNEL_TIMEOUT_MS	15000

/* The freezer cannot end the wait either, and gives up after 20 seconds. */
TEST_F_TIMEOUT(overridden, ends_before_the_freezer, 60)
{
	struct kernel_requester r;
	uint64_t since, took;

	module_required(_metadata);
	ASSERT_EQ(0, module_reload("timeout_ms=60000"));
	ASSERT_TRUE(outcomes_read(&self->before));
	since = now_ms();
	hold(_metadata, self, &r);
	EXPECT_STREQ("errno 110", kernel_request_finish(&r));
	took = now_ms() - since;
	EXPECT_LE(KERNEL_TIMEOUT_MS, took);
	EXPECT_GT(KERNEL_TIMEOUT_MS + 150 * slow(), took);
	expect_outcome(_metadata, &self->before, "timed_out");
	agent_stop(&self->agent);
	EXPECT_EQ(0, module_reload(""));
}

/* --------------------------------------------------- kernel threads and workers */

TEST_F(overridden, kernel_thread)
{
	agent_start(_metadata, &self->agent, NULL);
	EXPECT_STREQ("upcall", kernel_request("kthread", self->desc));
	expect_passed_over(_metadata, self, "worker");
}

/* Writes to the test module in a worker of io_uring; what write(2) returns. */
static long write_by_worker(int file, const char *text)
{
	struct io_uring_params p = { 0 };
	int ring = syscall(__NR_io_uring_setup, 1, &p);
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	char *sq;

	if (ring < 0)
		return -errno;
	sq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(*cqe),
		  PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring,
		  IORING_OFF_SQ_RING);
	sqe = mmap(NULL, sizeof(*sqe), PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);
	if (sq == MAP_FAILED || sqe == MAP_FAILED ||
	    !(p.features & IORING_FEAT_SINGLE_MMAP))
		return -ENOMEM;
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_WRITE;
	sqe->flags = IOSQE_ASYNC;
	sqe->fd = file;
	sqe->addr = (uintptr_t)text;
	sqe->len = strlen(text);
	((uint32_t *)(sq + p.sq_off.array))[0] = 0;
	__atomic_store_n((uint32_t *)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(__NR_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS,
		    NULL, 0) < 0)
		return -errno;
	cqe = (struct io_uring_cqe *)(sq + p.cq_off.cqes);
	close(ring);
	return cqe->res;
}

/* The worker has the credentials of who submitted the work, session included. */
TEST_F(overridden, io_worker)
{
	char line[256], answer[32] = "";
	int fd = open(TEST_FILE, O_RDWR | O_CLOEXEC);

	ASSERT_LE(0, fd);
	agent_start(_metadata, &self->agent, NULL);
	snprintf(line, sizeof(line), "user %s", self->desc);
	ASSERT_EQ((long)strlen(line), write_by_worker(fd, line));
	ASSERT_LT(0, pread(fd, answer, sizeof(answer) - 1, 0));
	EXPECT_STREQ("upcall", answer);
	expect_passed_over(_metadata, self, "worker");
	close(fd);
}

KEYAGENT_HARNESS_MAIN
