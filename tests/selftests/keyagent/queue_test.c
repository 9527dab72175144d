// SPDX-License-Identifier: GPL-2.0
/*
 * Agents whose signal queue has no room: they are told when there is some, if they
 * are still the ones to be told by then.
 */

#include <sys/resource.h>

#include "module.h"
#include "userns.h"

#define DATA FIXTURE_DATA(queue)

FIXTURE(queue)
{
	struct agent agent;
	struct requester r;
	const char *desc;
};

FIXTURE_SETUP(queue)
{
	test_session(_metadata);
}

FIXTURE_TEARDOWN(queue)
{
	agent_stop(&self->agent);
}

/*
 * One signal may be pending, and one that is none of ours is. Another user than
 * root, because the limit counts all processes of the user.
 */
static long queue_is_full(struct agent *a)
{
	const struct rlimit one = { 1, 1 };
	sigset_t set;
	long ret = user_with_ptrace(a);

	if (ret < 0)
		return ret;
	sigemptyset(&set);
	sigaddset(&set, AGENT_SIGNAL + 1);
	if (sigprocmask(SIG_BLOCK, &set, NULL) ||
	    setrlimit(RLIMIT_SIGPENDING, &one) ||
	    sigqueue(getpid(), AGENT_SIGNAL + 1, (union sigval){ 0 }))
		return -errno;
	return sigqueue(getpid(), AGENT_SIGNAL + 1, (union sigval){ 0 }) &&
		errno == EAGAIN ? 0 : -EEXIST;
}

static long make_room(struct agent *a, const void *arg)
{
	const struct timespec now = { 0 };
	sigset_t set;

	(void)a;
	(void)arg;
	sigemptyset(&set);
	sigaddset(&set, AGENT_SIGNAL + 1);
	return neg_errno(sigtimedwait(&set, NULL, &now));
}

/* The signal is sent when there is room for it. */
TEST_F(queue, full_then_room)
{
	const struct agent_opts opts = { .prepare = queue_is_full };
	const struct requester_opts req = { .desc = unique("room") };
	struct requester_result res;
	struct requester r;
	struct pollfd fd;

	agent_start(_metadata, &self->agent, &opts);
	requester_start(_metadata, &r, &req);
	fd = (struct pollfd){ .fd = r.fd, .events = POLLIN };
	EXPECT_EQ(0, poll(&fd, 1, 500));
	EXPECT_EQ(0, agent_asked(&self->agent));
	EXPECT_LT(0, agent_call(_metadata, &self->agent, make_room, NULL, 0));
	res = requester_finish(&r);
	EXPECT_LT(0, res.key);
	EXPECT_STREQ("agent", payload_of(res.key));
	EXPECT_EQ(1, agent_asked(&self->agent));
	EXPECT_EQ(0, upcall_count(req.desc, NULL));
	expect_settled(_metadata, &self->agent);
}

/* No signal may be pending at all: the same, until more may. */
static long no_queue(struct agent *a)
{
	const struct rlimit none = { 0, 1 };
	long ret = user_with_ptrace(a);

	if (ret < 0)
		return ret;
	return neg_errno(setrlimit(RLIMIT_SIGPENDING, &none));
}

static long allow_one(struct agent *a, const void *arg)
{
	const struct rlimit one = { 1, 1 };

	(void)a;
	(void)arg;
	return neg_errno(setrlimit(RLIMIT_SIGPENDING, &one));
}

TEST_F(queue, none_then_one)
{
	const struct agent_opts opts = { .prepare = no_queue };
	const struct requester_opts req = { .desc = unique("none") };
	struct requester_result res;
	struct requester r;
	struct pollfd fd;
	int i;

	agent_start(_metadata, &self->agent, &opts);
	requester_start(_metadata, &r, &req);
	fd = (struct pollfd){ .fd = r.fd, .events = POLLIN };
	EXPECT_EQ(0, poll(&fd, 1, 500));
	EXPECT_EQ(0, agent_asked(&self->agent));
	EXPECT_EQ(0, agent_call(_metadata, &self->agent, allow_one, NULL, 0));
	res = requester_finish(&r);
	EXPECT_LT(0, res.key);
	EXPECT_STREQ("agent", payload_of(res.key));
	/* One at a time is enough for one request after another. */
	for (i = 0; i < 3; i++)
		EXPECT_LT(0, sys_request_key("user", unique("one"), "x", 0));
	EXPECT_EQ(4, agent_asked(&self->agent));
	EXPECT_EQ(0, upcall_count(req.desc, NULL));
	expect_settled(_metadata, &self->agent);
}

/*
 * A request of which the agent is never told ends with its time. That takes all of
 * it, so there is less, where the module can be loaded anew.
 */
static void expect_timeout(struct __test_metadata *const _metadata,
			   struct agent *a, long (*prepare)(struct agent *a))
{
	const bool reload = getenv("KEYAGENT_MODULE") && !geteuid();
	const struct agent_opts opts = { .prepare = prepare };
	const struct requester_opts req = { .desc = unique("untold") };
	struct requester_result res;

	if (reload)
		ASSERT_EQ(0, module_reload("timeout_ms=1000"));
	agent_start(_metadata, a, &opts);
	res = request_in_child(_metadata, &req);
	EXPECT_EQ(-1, res.key);
	EXPECT_EQ(ETIMEDOUT, res.error);
	EXPECT_EQ(0, agent_asked(a));
	EXPECT_EQ(0, upcall_count(req.desc, NULL));
	expect_settled(_metadata, a);
	agent_stop(a);
	if (reload)
		EXPECT_EQ(0, module_reload(""));
}

TEST_F(queue, none)
{
	expect_timeout(_metadata, &self->agent, no_queue);
}

TEST_F(queue, full)
{
	expect_timeout(_metadata, &self->agent, queue_is_full);
}

/* ------------------------------------------- what comes before there is room */

/* A request that has been handed over, and that the agent cannot be told of. */
static void request_untold(struct __test_metadata *const _metadata, DATA *self)
{
	const struct agent_opts opts = { .prepare = no_queue };
	struct requester_opts req = { .desc = unique("untold") };

	self->desc = req.desc;
	agent_start(_metadata, &self->agent, &opts);
	requester_start(_metadata, &self->r, &req);
	/* The agent's own key, and the authority. */
	ASSERT_TRUE(wait_until(agent_call(_metadata, &self->agent,
					  agent_do_count_links, NULL, 0) == 2));
}

/* From now on the agent's queue has room. */
static void raise_limit(struct __test_metadata *const _metadata, DATA *self)
{
	const struct rlimit one = { 1, 1 };

	ASSERT_EQ(0, prlimit(self->agent.pid, RLIMIT_SIGPENDING, &one, NULL));
}

static void expect_alive_and_untold(struct __test_metadata *const _metadata,
				    DATA *self)
{
	EXPECT_EQ(0, agent_asked(&self->agent));
	EXPECT_FALSE(signal_pending(self->agent.pid, AGENT_SIGNAL));
	EXPECT_EQ(0, waitpid(self->agent.pid, NULL, WNOHANG));
}

TEST_F(queue, none_then_death)
{
	uint64_t since;

	request_untold(_metadata, self);
	ASSERT_EQ(0, kill(self->agent.pid, SIGKILL));
	ASSERT_EQ(0, wait_dead(self->agent.pid));
	since = now_ms();
	expect_passed_on(_metadata, &self->r, self->desc, since);
	EXPECT_EQ(0, agent_asked(&self->agent));
}

/* The signal would kill the program that the agent has executed. */
TEST_F(queue, none_then_exec)
{
	uint64_t since;

	request_untold(_metadata, self);
	agent_exec_self(_metadata, &self->agent, SIGNAL_DEFAULT);
	raise_limit(_metadata, self);
	since = now_ms();
	expect_passed_on(_metadata, &self->r, self->desc, since);
	expect_alive_and_untold(_metadata, self);
}

static long do_unblock_default(struct agent *a, const void *arg __maybe_unused)
{
	sigset_t set;

	signal(a->opts.sig, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, a->opts.sig);
	return neg_errno(sigprocmask(SIG_UNBLOCK, &set, NULL));
}

/* An agent that the signal would kill is not told, and has all the time. */
TEST_F(queue, none_then_deaf)
{
	struct requester_result res;

	module_reload_short(_metadata);
	request_untold(_metadata, self);
	EXPECT_EQ(0, agent_call(_metadata, &self->agent, do_unblock_default,
				NULL, 0));
	/* The requester may have seen the signal blocked and be about to send it. */
	poll(NULL, 0, 100);
	raise_limit(_metadata, self);
	res = requester_finish(&self->r);
	EXPECT_EQ(ETIMEDOUT, res.error);
	expect_alive_and_untold(_metadata, self);
	expect_settled(_metadata, &self->agent);
	agent_stop(&self->agent);
	EXPECT_EQ(0, module_reload(""));
}

/* What is over is not told any more; the next request is. */
TEST_F(queue, none_then_requester_killed)
{
	uint64_t since;

	request_untold(_metadata, self);
	ASSERT_EQ(0, kill(self->r.pid, SIGKILL));
	since = now_ms();
	EXPECT_EQ(REQUESTER_DIED, requester_finish(&self->r).error);
	EXPECT_GE(100 * slow(), now_ms() - since);
	raise_limit(_metadata, self);
	expect_alive_and_untold(_metadata, self);
	expect_settled(_metadata, &self->agent);
	expect_answer(_metadata, self->desc, "agent");
	EXPECT_EQ(1, agent_asked(&self->agent));
	EXPECT_EQ(0, upcall_count(self->desc, NULL));
}

KEYAGENT_HARNESS_MAIN
