// SPDX-License-Identifier: GPL-2.0
/*
 * The deadline of a request (timeout_ms) and how long its failure is remembered
 * (negative_ttl): the module is loaded with short ones for these tests.
 */

#define _GNU_SOURCE
#include "module.h"

#define DATA FIXTURE_DATA(deadline)

FIXTURE(deadline)
{
	struct agent agent;
	struct requester_opts opts;
	struct agent_arg arg;
	unsigned int timeout;	/* ms */
	time_t second;		/* in which the test began */
};

FIXTURE_VARIANT(deadline)
{
	int ttl;		/* s */
};

/* What is not remembered at all, and what is for longer than a test takes. */
FIXTURE_VARIANT_ADD(deadline, forgotten)
{
	.ttl = 0,
};

FIXTURE_VARIANT_ADD(deadline, second)
{
	.ttl = 1,
};

FIXTURE_VARIANT_ADD(deadline, remembered)
{
	.ttl = 60,
};

/* The clock by which keys expire; it goes by whole seconds. */
static struct timespec key_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	return ts;
}

FIXTURE_SETUP(deadline)
{
	struct agent_opts opts = { .plan.action = AGENT_HOLD };
	char params[64];

	module_required(_metadata);
	/* An agent that answers has to be able to keep it. */
	self->timeout = 500 * (slow() / 10 ?: 1);
	snprintf(params, sizeof(params), "timeout_ms=%u negative_ttl=%d",
		 self->timeout, variant->ttl);
	ASSERT_EQ(0, module_reload(params)) {
		TH_LOG("%s: %s", params, strerror(errno));
	}
	test_session(_metadata);
	agent_start(_metadata, &self->agent, &opts);
	self->opts.desc = unique("deadline");
	if (variant->ttl == 1)
		wait_until(key_clock().tv_nsec < 100000000);
	self->second = key_clock().tv_sec;
}

FIXTURE_TEARDOWN(deadline)
{
	agent_stop(&self->agent);
	EXPECT_EQ(0, module_reload(""));
}

/* A request that nobody answers, start to end; the agent sees @seen of it. */
static void run_into_deadline(struct __test_metadata *const _metadata,
			      DATA *self, int seen)
{
	struct requester_result res;
	int n = agent_asked(&self->agent);

	res = request_in_child(_metadata, &self->opts);
	EXPECT_EQ(-1, res.key);
	EXPECT_EQ(ETIMEDOUT, res.error);
	EXPECT_LE(self->timeout - 1, res.ms);
	EXPECT_GE(self->timeout + 100 * slow(), res.ms);
	ASSERT_EQ(n + seen, agent_asked(&self->agent));
	self->arg.key = agent_record(&self->agent, n)->key;
}

/* The deadline is a failure that the key remembers for negative_ttl. */
static void expect_remembered(struct __test_metadata *const _metadata,
			      DATA *self, int ttl)
{
	uint64_t since = now_ms();
	struct requester_result res;
	int n = agent_asked(&self->agent);

	self->agent.sh->plan.action = AGENT_ANSWER;
	if (ttl) {
		res = request_in_child(_metadata, &self->opts);
		/* What lasts a second ends with the next one's beginning. */
		if (ttl == 60 || key_clock().tv_sec == self->second) {
			EXPECT_EQ(-1, res.key);
			EXPECT_EQ(ETIMEDOUT, res.error);
			EXPECT_EQ(n, agent_asked(&self->agent));
		}
		if (ttl == 60)
			return;
	}
	do {
		res = request_in_child(_metadata, &self->opts);
	} while (res.key < 0 && res.error == ETIMEDOUT && ttl &&
		 now_ms() - since < 1000ull * ttl + 200 * slow());
	EXPECT_STREQ("agent", answer(&res));
	EXPECT_EQ(n + 1, agent_asked(&self->agent));
}

TEST_F(deadline, silent_agent)
{
	run_into_deadline(_metadata, self, 1);
	expect_remembered(_metadata, self, variant->ttl);
	expect_settled(_metadata, &self->agent);
	EXPECT_EQ(0, upcall_count(self->opts.desc, NULL));
}

/* An answer that comes late fails, and changes nothing. */
TEST_F(deadline, late_answer)
{
	struct requester r;
	long authkey;

	self->arg.key = request_held(_metadata, &self->agent, &r,
				     self->opts.desc);
	authkey = agent_call(_metadata, &self->agent, agent_do_assume,
			     &self->arg, sizeof(self->arg));
	ASSERT_LT(0, authkey);
	EXPECT_EQ(ETIMEDOUT, requester_finish(&r).error);

	/* EBUSY until the authorisation key has been revoked, too. */
	EXPECT_TRUE(wait_until(agent_call(_metadata, &self->agent,
					  agent_do_settle, &self->arg,
					  sizeof(self->arg)) == -EKEYREVOKED));
	expect_revoked(_metadata, authkey);
	EXPECT_TRUE(!!strchr(key_flags(self->arg.key), 'N')) {
		TH_LOG("the key has the flags %s", key_flags(self->arg.key));
	}
	expect_remembered(_metadata, self, variant->ttl);
}

/* Nor is there any authority to be had then. */
TEST_F(deadline, late_authority)
{
	run_into_deadline(_metadata, self, 1);
	EXPECT_EQ(-ENOKEY, agent_call(_metadata, &self->agent, agent_do_assume,
				      &self->arg, sizeof(self->arg)));
	EXPECT_EQ(-EPERM, agent_call(_metadata, &self->agent, agent_do_settle,
				     &self->arg, sizeof(self->arg)));
	expect_remembered(_metadata, self, variant->ttl);
	expect_settled(_metadata, &self->agent);
}

/* An agent that answers in time is not hurried, and not timed out afterwards. */
TEST_F(deadline, answer_in_time)
{
	self->agent.sh->plan.action = AGENT_ANSWER;
	expect_answer(_metadata, self->opts.desc, "agent");
	expect_answer(_metadata, unique("next"), "agent");
	expect_settled(_metadata, &self->agent);
}

/*
 * A stopped agent is silent, too, whatever it would answer: its stop must not stop
 * the clock. What it does when it goes on comes too late.
 */
TEST_F(deadline, stopped_agent)
{
	int status;

	self->agent.sh->plan.action = AGENT_ANSWER;
	ASSERT_EQ(0, kill(self->agent.pid, SIGSTOP));
	ASSERT_EQ(self->agent.pid, waitpid(self->agent.pid, &status,
					   WUNTRACED));
	ASSERT_TRUE(WIFSTOPPED(status));
	run_into_deadline(_metadata, self, 0);
	ASSERT_EQ(0, kill(self->agent.pid, SIGCONT));
	agent_wait_done(_metadata, &self->agent, 1);
	EXPECT_EQ(-ENOKEY, agent_record(&self->agent, 0)->assumed);
	expect_settled(_metadata, &self->agent);
}

FIXTURE(waiters)
{
	struct agent agent;
	unsigned int timeout;	/* ms: for two processes to begin to wait in */
};

FIXTURE_SETUP(waiters)
{
	const struct agent_opts opts = { .plan.action = AGENT_HOLD };

	self->timeout = module_reload_short(_metadata);
	test_session(_metadata);
	agent_start(_metadata, &self->agent, &opts);
}

FIXTURE_TEARDOWN(waiters)
{
	agent_stop(&self->agent);
	EXPECT_EQ(0, module_reload(""));
}

/* Everybody who waits for the key is released by the one deadline. */
TEST_F(waiters, second_waiter)
{
	const struct requester_opts opts = { .desc = unique("waiters") };
	struct requester_result res;
	struct requester first, second;

	requester_start(_metadata, &first, &opts);
	agent_wait_asked(_metadata, &self->agent, 1);
	requester_join(_metadata, &second, &opts);
	res = requester_finish(&first);
	EXPECT_EQ(ETIMEDOUT, res.error);
	res = requester_finish(&second);
	EXPECT_EQ(ETIMEDOUT, res.error);
	EXPECT_GE(self->timeout + 100 * slow(), res.ms);
	EXPECT_EQ(1, agent_asked(&self->agent));
	expect_settled(_metadata, &self->agent);
}

KEYAGENT_HARNESS_MAIN
