// SPDX-License-Identifier: GPL-2.0
/*
 * An agent gives a request back: it unlinks the authorisation key and drops the
 * authority. When nobody has that any more, /sbin/request-key gets the request.
 */

#include "lifetime.h"

#define DATA FIXTURE_DATA(decline)

FIXTURE(decline)
{
	struct agent agent;
	struct limb limb;
	struct requester r;
	struct agent_arg arg;
	const char *desc;
};

/* Nobody waits for its children. */
static long prepare(struct agent *a __maybe_unused)
{
	return signal(SIGCHLD, SIG_IGN) == SIG_ERR ? -errno : 0;
}

FIXTURE_SETUP(decline)
{
	struct agent_opts opts = {
		.prepare = prepare,
		.plan.action = AGENT_HOLD,
	};

	test_session(_metadata);
	limb_open(_metadata, &self->limb);
	agent_start(_metadata, &self->agent, &opts);
	self->desc = unique("declined");
}

FIXTURE_TEARDOWN(decline)
{
	agent_stop(&self->agent);
}

static void hold(struct __test_metadata *const _metadata, DATA *self)
{
	self->arg.key = request_held(_metadata, &self->agent, &self->r,
				     self->desc);
}

static long call(struct __test_metadata *const _metadata, DATA *self,
		 struct agent *a, agent_fn fn)
{
	return agent_call(_metadata, a, fn, &self->arg, sizeof(self->arg));
}

static void expect_upcall_answers(struct __test_metadata *const _metadata,
				  DATA *self)
{
	struct requester_result res = requester_finish(&self->r);

	EXPECT_STREQ("upcall", answer(&res));
	EXPECT_EQ(1, upcall_count(self->desc, NULL));
	expect_settled(_metadata, &self->agent);
}

TEST_F(decline, request)
{
	hold(_metadata, self);
	EXPECT_EQ(0, call(_metadata, self, &self->agent, agent_do_decline));
	expect_upcall_answers(_metadata, self);
	EXPECT_EQ(-ENOKEY, call(_metadata, self, &self->agent,
				agent_do_assume));
	EXPECT_EQ(-ENOKEY, call(_metadata, self, &self->agent,
				agent_do_decline));
}

/* Looks at the request before that, as an agent does that decides by it. */
static long do_look_and_decline(struct agent *a __maybe_unused, const void *arg)
{
	char callout[64];
	long ret = agent_do_assume(a, arg);

	if (ret >= 0)
		ret = agent_read_callout(callout, sizeof(callout));
	return ret < 0 ? ret : agent_do_decline(a, arg);
}

TEST_F(decline, after_a_look)
{
	hold(_metadata, self);
	EXPECT_EQ(0, call(_metadata, self, &self->agent, do_look_and_decline));
	expect_upcall_answers(_metadata, self);
}

static long decline_at_once(struct agent *a __maybe_unused, key_serial_t key)
{
	return agent_decline(key);
}

TEST_F(decline, many)
{
	int i;

	self->agent.sh->plan.action = AGENT_CUSTOM;
	self->agent.sh->plan.custom = decline_at_once;
	for (i = 0; i < 50; i++)
		expect_answer(_metadata, unique("declined"), "upcall");
	for (i = 0; i < 50; i++)
		EXPECT_EQ(0, agent_record(&self->agent, i)->result);
	expect_settled(_metadata, &self->agent);
}

/* The agent's other requests are not touched by it. */
TEST_F(decline, one_of_two)
{
	struct agent_arg second = { 0 };
	struct requester_result res;
	struct requester r;

	hold(_metadata, self);
	second.key = request_held(_metadata, &self->agent, &r, unique("kept"));
	EXPECT_EQ(0, call(_metadata, self, &self->agent, agent_do_decline));
	res = requester_finish(&self->r);
	EXPECT_STREQ("upcall", answer(&res));
	EXPECT_EQ(0, agent_call(_metadata, &self->agent,
				agent_do_assume_and_settle, &second,
				sizeof(second)));
	res = requester_finish(&r);
	EXPECT_STREQ("agent", answer(&res));
	expect_settled(_metadata, &self->agent);
}

/* Others who wait for the same key get what the upcall says. */
TEST_F(decline, second_waiter)
{
	struct requester_opts o = { .desc = self->desc };
	struct requester_result res;
	struct requester r;

	hold(_metadata, self);
	requester_start(_metadata, &r, &o);
	ASSERT_TRUE(wait_until(in_request_key(r.pid)));
	EXPECT_EQ(0, call(_metadata, self, &self->agent, agent_do_decline));
	res = requester_finish(&r);
	EXPECT_STREQ("upcall", answer(&res));
	expect_upcall_answers(_metadata, self);
}

TEST_F(decline, from_another_thread)
{
	ASSERT_EQ(0, limb_start(_metadata, &self->limb, &self->agent,
				agent_do_limb_thread));
	hold(_metadata, self);
	EXPECT_EQ(0, call(_metadata, self, &self->limb.call, agent_do_decline));
	expect_upcall_answers(_metadata, self);
}

/* Upcalls need no agent that is asked again. */
TEST_F(decline, requester_killed_after)
{
	hold(_metadata, self);
	EXPECT_EQ(0, call(_metadata, self, &self->agent, agent_do_decline));
	kill(self->r.pid, SIGKILL);
	requester_finish(&self->r);
	expect_settled(_metadata, &self->agent);
}

/* ---------------------------------------- somebody still has the authority */

/* Whoever has it may still answer, so the request is not over. */
static void expect_no_end(struct __test_metadata *const _metadata, DATA *self)
{
	struct pollfd fd = { .fd = self->r.fd, .events = POLLIN };

	EXPECT_EQ(0, poll(&fd, 1, 300));
}

static void expect_agent_answers(struct __test_metadata *const _metadata,
				 DATA *self)
{
	struct requester_result res = requester_finish(&self->r);

	EXPECT_STREQ("agent", answer(&res));
	EXPECT_EQ(0, upcall_count(self->desc, NULL));
}

TEST_F(decline, thread_answers)
{
	ASSERT_EQ(0, limb_start(_metadata, &self->limb, &self->agent,
				agent_do_limb_thread));
	hold(_metadata, self);
	ASSERT_LT(0, call(_metadata, self, &self->limb.call, agent_do_assume));
	EXPECT_EQ(0, call(_metadata, self, &self->agent, agent_do_decline));
	expect_no_end(_metadata, self);
	EXPECT_EQ(0, call(_metadata, self, &self->limb.call, agent_do_settle));
	expect_agent_answers(_metadata, self);
	expect_settled(_metadata, &self->agent);
}

TEST_F(decline, thread_ends)
{
	ASSERT_EQ(0, limb_start(_metadata, &self->limb, &self->agent,
				agent_do_limb_thread));
	hold(_metadata, self);
	ASSERT_LT(0, call(_metadata, self, &self->limb.call, agent_do_assume));
	EXPECT_EQ(0, call(_metadata, self, &self->agent, agent_do_decline));
	expect_no_end(_metadata, self);
	thread_exit(_metadata, &self->limb.call);
	expect_upcall_answers(_metadata, self);
}

/* A child that is made with the authority. */
static void start_child(struct __test_metadata *const _metadata, DATA *self)
{
	hold(_metadata, self);
	ASSERT_LT(0, call(_metadata, self, &self->agent, agent_do_assume));
	ASSERT_LT(0, limb_start(_metadata, &self->limb, &self->agent,
				agent_do_limb_child));
	EXPECT_EQ(0, call(_metadata, self, &self->agent, agent_do_decline));
	expect_no_end(_metadata, self);
}

TEST_F(decline, child_answers)
{
	start_child(_metadata, self);
	EXPECT_EQ(0, call(_metadata, self, &self->limb.call, agent_do_settle));
	expect_agent_answers(_metadata, self);
}

TEST_F(decline, child_ends)
{
	start_child(_metadata, self);
	agent_post(_metadata, &self->limb.call, agent_do_exit, NULL, 0);
	expect_upcall_answers(_metadata, self);
}

/* A file that was opened with it keeps the credentials. */
static long do_open(struct agent *a, const void *arg)
{
	long ret = agent_do_assume(a, arg);

	return ret < 0 ? ret :
			 neg_errno(open("/dev/null", O_RDONLY | O_CLOEXEC));
}

static long do_close(struct agent *a __maybe_unused, const void *arg)
{
	return neg_errno(close(*(const int *)arg));
}

TEST_F(decline, file_is_closed)
{
	int fd;

	hold(_metadata, self);
	fd = call(_metadata, self, &self->agent, do_open);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, call(_metadata, self, &self->agent, agent_do_decline));
	expect_no_end(_metadata, self);
	EXPECT_EQ(0, agent_call(_metadata, &self->agent, do_close, &fd,
				sizeof(fd)));
	expect_upcall_answers(_metadata, self);
}

/* Links the authorisation key into the session keyring; its serial. */
static long do_link(struct agent *a, const void *arg)
{
	long authkey = agent_do_assume(a, arg), ret;

	if (authkey < 0)
		return authkey;
	ret = neg_errno(keyctl_link(authkey, KEY_SPEC_SESSION_KEYRING));
	return ret < 0 ? ret : authkey;
}

static long do_unlink(struct agent *a __maybe_unused, const void *arg)
{
	return neg_errno(keyctl_unlink(*(const key_serial_t *)arg,
				       KEY_SPEC_SESSION_KEYRING));
}

TEST_F(decline, link_is_found)
{
	hold(_metadata, self);
	ASSERT_LT(0, call(_metadata, self, &self->agent, do_link));
	EXPECT_EQ(0, call(_metadata, self, &self->agent, agent_do_decline));
	expect_no_end(_metadata, self);
	EXPECT_EQ(0, call(_metadata, self, &self->agent,
			  agent_do_assume_and_settle));
	expect_agent_answers(_metadata, self);
}

TEST_F(decline, link_is_dropped)
{
	key_serial_t authkey;

	hold(_metadata, self);
	authkey = call(_metadata, self, &self->agent, do_link);
	ASSERT_LT(0, authkey);
	EXPECT_EQ(0, call(_metadata, self, &self->agent, agent_do_decline));
	expect_no_end(_metadata, self);
	EXPECT_EQ(0, agent_call(_metadata, &self->agent, do_unlink, &authkey,
				sizeof(authkey)));
	expect_upcall_answers(_metadata, self);
}

KEYAGENT_HARNESS_MAIN
