/* SPDX-License-Identifier: GPL-2.0 */
/* Many requesters of one agent, and what they take of it. */
#ifndef KEYAGENT_CROWD_H
#define KEYAGENT_CROWD_H

#include "module.h"
#include "parameters.h"
#include "userns.h"

#define MAX_IN_FLIGHT	64
#define MAX_TIMEOUT_MS	60000

/* Users that are nobody's on any machine. */
#define TENANT_A	4711
#define TENANT_B	4712

static __maybe_unused int number_from(const char *name, int dfl)
{
	const char *s = getenv(name);
	int n = s ? atoi(s) : 0;

	return n > 0 ? n : dfl;
}

/* An agent, and the requesters that wait for it. */
struct crowd {
	struct agent agent;
	struct outcomes before;
	long limited;		/* 0, or why the limit could not be set */
	int count;
	struct requester *r;
};

/* Loads the module anew, for the time that requests may take. */
static __maybe_unused void
crowd_setup(struct __test_metadata *const _metadata, struct crowd *c,
	    long timeout, int max_in_flight)
{
	char params[32];

	module_required(_metadata);
	snprintf(params, sizeof(params), "timeout_ms=%ld", timeout);
	ASSERT_EQ(0, module_reload(params));
	test_session(_metadata);
	if (!outcomes_read(&c->before))
		SKIP(_exit(KSFT_SKIP), "no debugfs");
	if (max_in_flight)
		c->limited = parameter_set("max_in_flight", max_in_flight);
}

static __maybe_unused void
crowd_teardown(struct __test_metadata *const _metadata, struct crowd *c)
{
	int i;

	for (i = 0; i < c->count; i++)
		kill(c->r[i].pid, SIGKILL);
	for (i = 0; i < c->count; i++)
		requester_finish(&c->r[i]);
	agent_stop(&c->agent);
	EXPECT_EQ(0, module_reload(""));
}

/* How many requests have ended so since the beginning. */
static __maybe_unused int growth(const struct crowd *c, const char *outcome)
{
	return outcome_growth(&c->before, outcome);
}

/* How many signals are queued for the processes of the agent's user. */
static __maybe_unused int queued_for_user(pid_t pid)
{
	char path[64], line[256];
	int n = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f && n < 0 && fgets(line, sizeof(line), f))
		sscanf(line, "SigQ: %d/", &n);
	if (f)
		fclose(f);
	return n;
}

/* How many requests have come, of those that the agent holds and those it does not. */
static __maybe_unused int arrivals(const struct crowd *c)
{
	return agent_asked(&c->agent) + growth(c, "busy");
}

/*
 * Starts so many requests that wait for the agent, which holds them, or that are over.
 * Returns how many the agent was asked of these.
 */
static __maybe_unused int
start_many(struct __test_metadata *const _metadata, struct crowd *c,
	   const struct requester_opts *opts, int n)
{
	const int asked = agent_asked(&c->agent), before = arrivals(c);
	struct requester_opts o = *opts;
	int i, seen;

	c->r = realloc(c->r, (c->count + n) * sizeof(*c->r));
	ASSERT_NE(NULL, c->r);
	for (i = 0; i < n; i++) {
		o.desc = unique("many");
		requester_start(_metadata, &c->r[c->count++], &o);
	}
	/* As long as some come. */
	while ((seen = arrivals(c)) < before + n) {
		ASSERT_TRUE(wait_until(arrivals(c) > seen)) {
			TH_LOG("%d of %d", seen - before, n);
		}
	}
	return agent_asked(&c->agent) - asked;
}

/* In the requester. */
static __maybe_unused long become_arg(const struct requester_opts *o)
{
	return become(o->arg, o->arg, o->arg);
}

/* Starts an agent that holds all requests. */
static __maybe_unused void hold(struct __test_metadata *const _metadata,
				struct crowd *c)
{
	const struct agent_opts opts = { .plan.action = AGENT_HOLD };

	crowd_setup(_metadata, c, MAX_TIMEOUT_MS, MAX_IN_FLIGHT);
	EXPECT_EQ(0, c->limited);
	agent_start(_metadata, &c->agent, &opts);
}

#endif
