// SPDX-License-Identifier: GPL-2.0
/*
 * A requester that is killed goes at once, and leaves no negative key: the agent's
 * authority is gone and nobody else waits for the key. No other signal ends a
 * request; wait_signals_test has more of that.
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

/*
 * The handler runs when the request is over, and the call is not made again: with
 * SA_RESTART in the handler's flags or without.
 */
static void expect_uninterrupted(struct __test_metadata *const _metadata,
				 DATA *self)
{
	struct pollfd fd = { .events = POLLIN };
	struct requester_result res;
	struct agent_arg arg = { 0 };

	requester_start(_metadata, &self->r, &self->opts);
	agent_wait_asked(_metadata, &self->agent, 1);
	arg.key = agent_record(&self->agent, 0)->key;
	fd.fd = self->r.fd;
	ASSERT_EQ(0, kill(self->r.pid, SIGUSR1));
	ASSERT_TRUE(wait_until(signal_pending(self->r.pid, SIGUSR1) ||
			       poll(&fd, 1, 0) || count_get(caught)));
	EXPECT_EQ(0, (int)count_get(caught));
	EXPECT_EQ(0, agent_call(_metadata, &self->agent,
				agent_do_assume_and_settle, &arg, sizeof(arg)));
	if (agent_asked(&self->agent) > 1)
		kill(self->r.pid, SIGKILL);
	res = requester_finish(&self->r);
	EXPECT_EQ(arg.key, res.key);
	EXPECT_STREQ("agent", answer(&res));
	EXPECT_EQ(1, (int)count_get(caught));
	EXPECT_EQ(1, agent_asked(&self->agent));
	expect_settled(_metadata, &self->agent);
}

TEST_F(requester, signal_handled)
{
	expect_uninterrupted(_metadata, self);
}

TEST_F(requester, signal_handled_with_restart)
{
	self->opts.arg = SA_RESTART;
	expect_uninterrupted(_metadata, self);
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

/* One that is stopped stops when the request is over. */
TEST_F(requester, stopped)
{
	struct requester_result res;
	struct agent_arg arg = { 0 };
	int status;

	requester_start(_metadata, &self->r, &self->opts);
	agent_wait_asked(_metadata, &self->agent, 1);
	arg.key = agent_record(&self->agent, 0)->key;
	ASSERT_TRUE(wait_until(in_request_key(self->r.pid)));
	ASSERT_EQ(0, kill(self->r.pid, SIGSTOP));
	ASSERT_TRUE(wait_until(signal_pending(self->r.pid, SIGSTOP) ||
			       proc_state(self->r.pid) == 'T'));
	EXPECT_EQ(0, agent_call(_metadata, &self->agent,
				agent_do_assume_and_settle, &arg, sizeof(arg)));
	EXPECT_EQ(self->r.pid, waitpid(self->r.pid, &status, WUNTRACED));
	EXPECT_TRUE(WIFSTOPPED(status));
	ASSERT_EQ(0, kill(self->r.pid, SIGCONT));
	res = requester_finish(&self->r);
	EXPECT_EQ(arg.key, res.key);
	EXPECT_STREQ("agent", answer(&res));
	EXPECT_EQ(1, agent_asked(&self->agent));
	expect_settled(_metadata, &self->agent);
}

/* Authority that was taken before the requester went is worth nothing after. */
TEST_F(requester, killed)
{
	struct agent_arg arg = { 0 }, nothing = { 0 };
	const char *flags;
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
	/* Negative, unless the garbage collector has come already. */
	flags = key_flags(arg.key);
	EXPECT_TRUE(!*flags || (strchr(flags, 'N') && !strchr(flags, 'U'))) {
		TH_LOG("key %x has the flags %s", arg.key, flags);
	}
	EXPECT_TRUE(authkeys_gone());
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
 * Somebody else who waits for the same key waits for the first request. When the
 * first requester is killed the other is released, not left with a key under
 * construction: with ENOKEY, for nobody has interrupted it.
 */
TEST_F(requester, second_waiter_released)
{
	struct requester_result res;
	struct requester second;
	key_serial_t key;
	uint64_t since;

	requester_start(_metadata, &self->r, &self->opts);
	agent_wait_asked(_metadata, &self->agent, 1);
	key = agent_record(&self->agent, 0)->key;
	requester_join(_metadata, &second, &self->opts);
	ASSERT_EQ(0, kill(self->r.pid, SIGKILL));
	since = now_ms();
	EXPECT_EQ(REQUESTER_DIED, requester_finish(&self->r).error);
	res = requester_finish(&second);
	EXPECT_GE(100 * slow(), now_ms() - since);
	EXPECT_EQ(-1, res.key);
	EXPECT_EQ(ENOKEY, res.error);
	EXPECT_EQ(0, (int)count_get(caught));
	EXPECT_EQ(1, agent_asked(&self->agent));
	expect_no_authority(_metadata, &self->agent, key);
	expect_settled(_metadata, &self->agent);
	expect_fresh(_metadata, &self->agent, self->desc, key);
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
