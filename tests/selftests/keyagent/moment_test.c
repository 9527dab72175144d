// SPDX-License-Identifier: GPL-2.0
/*
 * An agent goes just as it is asked: a bit before the hand-over, during it, or a
 * bit after. Whichever it is, the request goes to /sbin/request-key, and soon.
 */

#define _GNU_SOURCE
#include "observe.h"

#define DATA FIXTURE_DATA(moment)
#define ROUNDS	40
/* The steps from one moment to the next, in ns. */
#define SHORTEST	20000
#define LONGEST		16000000

FIXTURE(moment)
{
	struct agent agent;
	struct outcomes before;
	long delay;		/* of the agent's end after the request, in ns */
	long step;		/* the last change of that */
	unsigned int late;	/* times that the agent had been asked */
	unsigned int early;	/* times that it had not */
};

FIXTURE_SETUP(moment)
{
	test_session(_metadata);
	self->step = 1000000;
	if (!outcomes_read(&self->before))
		SKIP(_exit(KSFT_SKIP), "no debugfs");
}

FIXTURE_TEARDOWN(moment)
{
	agent_stop(&self->agent);
}

static long now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000l + ts.tv_nsec;
}

static void spin(long ns)
{
	long since = now_ns();

	while (now_ns() - since < ns)
		sched_yield();
}

static long spin_before_request(const struct requester_opts *o)
{
	spin(o->arg);
	return 0;
}

/* Starts a request for a new agent, and returns when that has to go. */
static void request_soon(struct __test_metadata *const _metadata, DATA *self,
			 struct requester *r, const char *desc)
{
	const struct agent_opts opts = { .plan.action = AGENT_HOLD };
	const struct requester_opts o = {
		.desc = desc,
		.prepare = spin_before_request,
		.arg = -self->delay,
	};

	agent_start(_metadata, &self->agent, &opts);
	requester_start(_metadata, r, &o);
	spin(self->delay);
}

/*
 * The moment of the hand-over is sought from both sides, with steps that become
 * smaller when it was passed, and larger when it was not.
 */
static void next_moment(struct __test_metadata *const _metadata, DATA *self)
{
	const unsigned long long before = outcomes_get(&self->before,
						       "died_untaken");
	bool late;

	ASSERT_TRUE(outcomes_read(&self->before));
	late = outcomes_get(&self->before, "died_untaken") > before;
	if (late)
		self->late++;
	else
		self->early++;
	if (late != (self->step < 0))
		self->step /= labs(self->step) > SHORTEST ? -2 : -1;
	else if (labs(self->step) < LONGEST)
		self->step *= 2;
	self->delay += self->step;
	agent_stop(&self->agent);
}

static void expect_all_moments(struct __test_metadata *const _metadata,
			       const DATA *self, unsigned long long early)
{
	TH_LOG("%u agents went before they were asked, %u after", self->early,
	       self->late);
	EXPECT_EQ(self->early, early);
	EXPECT_LT(0, self->early);
	EXPECT_LT(0, self->late);
}

TEST_F(moment, agent_is_killed)
{
	unsigned long long early = outcomes_get(&self->before, "dead_agent");
	struct requester r;
	const char *desc;
	uint64_t since;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		desc = unique("moment");
		request_soon(_metadata, self, &r, desc);
		ASSERT_EQ(0, kill(self->agent.pid, SIGKILL));
		since = now_ms();
		expect_passed_on(_metadata, &r, desc, since);
		next_moment(_metadata, self);
	}
	expect_all_moments(_metadata, self,
			   outcomes_get(&self->before, "dead_agent") - early);
}

/* The program that it executes is none the worse for it. */
TEST_F(moment, agent_executes)
{
	unsigned long long in_exec = outcomes_get(&self->before, "in_exec");
	unsigned long long dead = outcomes_get(&self->before, "dead_agent");
	struct requester r;
	const char *desc;
	uint64_t since;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		desc = unique("moment");
		request_soon(_metadata, self, &r, desc);
		agent_exec_self(_metadata, &self->agent, SIGNAL_BLOCKED);
		since = now_ms();
		expect_passed_on(_metadata, &r, desc, since);
		EXPECT_EQ(0, waitpid(self->agent.pid, NULL, WNOHANG));
		next_moment(_metadata, self);
	}
	in_exec = outcomes_get(&self->before, "in_exec") - in_exec;
	dead = outcomes_get(&self->before, "dead_agent") - dead;
	TH_LOG("%llu agents were in exec", in_exec);
	expect_all_moments(_metadata, self, dead + in_exec);
}

KEYAGENT_HARNESS_MAIN
