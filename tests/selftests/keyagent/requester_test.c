// SPDX-License-Identifier: GPL-2.0
/*
 * A requester that is interrupted gets EINTR, or its call again, and leaves no
 * negative key; one that is killed goes at once. Either way the agent's authority
 * is gone and nobody else waits for the key.
 */

#define _GNU_SOURCE
#include "lifetime.h"

#define DATA FIXTURE_DATA(requester)

/* How often the requester's handler has run; shared with the requester. */
static uint32_t *caught;

static void catch(int sig __maybe_unused)
{
	__atomic_add_fetch(caught, 1, __ATOMIC_SEQ_CST);
}

/* In the requester; the argument is the flags of the handler. */
static long handle_usr1(const struct requester_opts *o)
{
	struct sigaction sa = { .sa_handler = catch, .sa_flags = o->arg };

	return neg_errno(sigaction(SIGUSR1, &sa, NULL));
}

FIXTURE(requester)
{
	struct agent agent;
	const char *desc;
	struct requester_opts opts;
	struct requester r;
};

FIXTURE_SETUP(requester)
{
	struct agent_opts opts = { .plan.action = AGENT_HOLD };

	test_session(_metadata);
	caught = mmap(NULL, sizeof(*caught), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)caught);
	agent_start(_metadata, &self->agent, &opts);
	self->desc = unique("request");
	self->opts.desc = self->desc;
	self->opts.prepare = handle_usr1;
}

FIXTURE_TEARDOWN(requester)
{
	agent_stop(&self->agent);
}

/* The next request for the same key is a new one, and can be answered. */
static void expect_fresh(struct __test_metadata *const _metadata,
			 struct agent *a, const char *desc, key_serial_t old)
{
	int n = agent_asked(a);

	a->sh->plan.action = AGENT_ANSWER;
	expect_answer(_metadata, desc, "agent");
	ASSERT_EQ(n + 1, agent_asked(a));
	EXPECT_NE(old, agent_record(a, n)->key);
}

/* No authority over the key is to be had, by the agent that was asked for it. */
static void expect_no_authority(struct __test_metadata *const _metadata,
				struct agent *a, key_serial_t key)
{
	struct agent_arg arg = { .key = key };

	EXPECT_EQ(-ENOKEY, agent_call(_metadata, a, agent_do_assume, &arg,
				      sizeof(arg)));
	EXPECT_EQ(-EPERM, agent_call(_metadata, a, agent_do_settle, &arg,
				     sizeof(arg)));
}

TEST_F(requester, interrupted)
{
	struct requester_result res;
	key_serial_t key;
	uint64_t since;

	requester_start(_metadata, &self->r, &self->opts);
	agent_wait_asked(_metadata, &self->agent, 1);
	key = agent_record(&self->agent, 0)->key;
	ASSERT_EQ(0, kill(self->r.pid, SIGUSR1));
	since = now_ms();
	res = requester_finish(&self->r);
	EXPECT_GE(100 * slow(), now_ms() - since);
	EXPECT_EQ(-1, res.key);
	EXPECT_EQ(EINTR, res.error);
	EXPECT_EQ(1, (int)count_get(caught));
	expect_no_authority(_metadata, &self->agent, key);
	expect_settled(_metadata, &self->agent);
	expect_fresh(_metadata, &self->agent, self->desc, key);
	EXPECT_EQ(0, upcall_count(self->desc, NULL));
}

/* The handler runs and the call goes on, as a request of its own. */
TEST_F(requester, restarted)
{
	struct requester_result res;
	struct agent_arg arg = { 0 };
	key_serial_t first;

	self->opts.arg = SA_RESTART;
	requester_start(_metadata, &self->r, &self->opts);
	agent_wait_asked(_metadata, &self->agent, 1);
	first = agent_record(&self->agent, 0)->key;
	ASSERT_EQ(0, kill(self->r.pid, SIGUSR1));
	agent_wait_asked(_metadata, &self->agent, 2);
	arg.key = agent_record(&self->agent, 1)->key;
	EXPECT_NE(first, arg.key);
	EXPECT_EQ(1, (int)count_get(caught));
	expect_no_authority(_metadata, &self->agent, first);
	EXPECT_EQ(0, agent_call(_metadata, &self->agent,
				agent_do_assume_and_settle, &arg, sizeof(arg)));
	res = requester_finish(&self->r);
	EXPECT_EQ(arg.key, res.key);
	EXPECT_STREQ("agent", answer(&res));
	expect_settled(_metadata, &self->agent);
}

/* Interrupted a few times over: no attempt stands in the way of the next one. */
TEST_F(requester, restarted_often)
{
	struct requester_result res;
	struct agent_arg arg = { 0 };
	int i;

	self->opts.arg = SA_RESTART;
	requester_start(_metadata, &self->r, &self->opts);
	for (i = 1; i <= 10; i++) {
		agent_wait_asked(_metadata, &self->agent, i);
		ASSERT_EQ(0, kill(self->r.pid, SIGUSR1));
	}
	agent_wait_asked(_metadata, &self->agent, 11);
	EXPECT_EQ(10, (int)count_get(caught));
	arg.key = agent_record(&self->agent, 10)->key;
	EXPECT_EQ(0, agent_call(_metadata, &self->agent,
				agent_do_assume_and_settle, &arg, sizeof(arg)));
	res = requester_finish(&self->r);
	EXPECT_STREQ("agent", answer(&res));
	expect_settled(_metadata, &self->agent);
}

/* A signal that the requester ignores does not end its wait. */
TEST_F(requester, ignored_signal)
{
	struct requester_result res;
	struct agent_arg arg = { 0 };

	self->opts.prepare = NULL;
	signal(SIGUSR1, SIG_IGN);
	requester_start(_metadata, &self->r, &self->opts);
	agent_wait_asked(_metadata, &self->agent, 1);
	arg.key = agent_record(&self->agent, 0)->key;
	ASSERT_TRUE(wait_until(in_request_key(self->r.pid)));
	ASSERT_EQ(0, kill(self->r.pid, SIGUSR1));
	EXPECT_EQ(0, agent_call(_metadata, &self->agent,
				agent_do_assume_and_settle, &arg, sizeof(arg)));
	res = requester_finish(&self->r);
	EXPECT_STREQ("agent", answer(&res));
	EXPECT_EQ(1, agent_asked(&self->agent));
}

/* Authority that was taken before the requester went is worth nothing after. */
TEST_F(requester, killed)
{
	struct agent_arg arg = { 0 }, nothing = { 0 };
	uint64_t since;
	long authkey;
	int status;

	requester_start(_metadata, &self->r, &self->opts);
	agent_wait_asked(_metadata, &self->agent, 1);
	arg.key = agent_record(&self->agent, 0)->key;
	authkey = agent_call(_metadata, &self->agent, agent_do_assume, &arg,
			     sizeof(arg));
	ASSERT_LT(0, authkey);
	ASSERT_EQ(0, kill(self->r.pid, SIGKILL));
	since = now_ms();
	ASSERT_EQ(self->r.pid, waitpid(self->r.pid, &status, 0));
	EXPECT_GE(100 * slow(), now_ms() - since);
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

	/* EBUSY until the authorisation key has been revoked, too. */
	EXPECT_TRUE(wait_until(agent_call(_metadata, &self->agent,
					  agent_do_settle, &arg,
					  sizeof(arg)) == -EKEYREVOKED));
	expect_revoked(_metadata, authkey);
	EXPECT_EQ(0, agent_call(_metadata, &self->agent, agent_do_assume,
				&nothing, sizeof(nothing)));
	expect_negative(_metadata, arg.key);
	expect_settled(_metadata, &self->agent);
	expect_fresh(_metadata, &self->agent, self->desc, arg.key);
}

TEST_F(requester, killed_before_authority)
{
	key_serial_t key;

	requester_start(_metadata, &self->r, &self->opts);
	agent_wait_asked(_metadata, &self->agent, 1);
	key = agent_record(&self->agent, 0)->key;
	ASSERT_EQ(0, kill(self->r.pid, SIGKILL));
	EXPECT_EQ(REQUESTER_DIED, requester_finish(&self->r).error);
	expect_no_authority(_metadata, &self->agent, key);
	expect_settled(_metadata, &self->agent);
	expect_fresh(_metadata, &self->agent, self->desc, key);
}

/*
 * Somebody else who waits for the same key waits for the first request. When that
 * ends without an answer he is released, not left with a key under construction,
 * and learns why it was given up: EINTR, for which he may ask again.
 */
static void expect_released(struct __test_metadata *const _metadata,
			    DATA *self, int sig, int error)
{
	struct requester_result res;
	struct requester second;
	key_serial_t key;
	uint64_t since;

	requester_start(_metadata, &self->r, &self->opts);
	agent_wait_asked(_metadata, &self->agent, 1);
	key = agent_record(&self->agent, 0)->key;
	requester_join(_metadata, &second, &self->opts);
	ASSERT_EQ(0, kill(self->r.pid, sig));
	since = now_ms();
	EXPECT_EQ(error, requester_finish(&self->r).error);
	res = requester_finish(&second);
	EXPECT_GE(100 * slow(), now_ms() - since);
	EXPECT_EQ(-1, res.key);
	EXPECT_EQ(EINTR, res.error);
	EXPECT_EQ(1, agent_asked(&self->agent));
	expect_no_authority(_metadata, &self->agent, key);
	expect_settled(_metadata, &self->agent);
	expect_fresh(_metadata, &self->agent, self->desc, key);
}

TEST_F(requester, second_waiter_released)
{
	expect_released(_metadata, self, SIGKILL, REQUESTER_DIED);
	EXPECT_EQ(0, (int)count_get(caught));
}

/* The signal comes to the first one alone. */
TEST_F(requester, second_waiter_released_by_interruption)
{
	expect_released(_metadata, self, SIGUSR1, EINTR);
	EXPECT_EQ(1, (int)count_get(caught));
}

/* A waiter that is interrupted does not disturb the request. */
TEST_F(requester, second_waiter_interrupted)
{
	struct requester_result res;
	struct agent_arg arg = { 0 };
	struct requester second;

	requester_start(_metadata, &self->r, &self->opts);
	agent_wait_asked(_metadata, &self->agent, 1);
	arg.key = agent_record(&self->agent, 0)->key;
	requester_join(_metadata, &second, &self->opts);
	ASSERT_EQ(0, kill(second.pid, SIGUSR1));
	EXPECT_EQ(EINTR, requester_finish(&second).error);
	EXPECT_EQ(0, agent_call(_metadata, &self->agent,
				agent_do_assume_and_settle, &arg, sizeof(arg)));
	res = requester_finish(&self->r);
	EXPECT_STREQ("agent", answer(&res));
}

KEYAGENT_HARNESS_MAIN
