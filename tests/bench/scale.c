// SPDX-License-Identifier: GPL-2.0
/* How the cost of a request grows with what else there is. */

#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

static const unsigned int decades[] = { 1, 10, 100, 1000, 10000 };

/* Whether a scale's point @i of @count is to be measured. */
static bool wanted(unsigned int i, unsigned int count, bool few)
{
	return !few || i == 0 || i == count - 1;
}

/* Measures with ever more keys in the session keyring, one of which is there. */
static void with_keys(const char *series, operation timed, operation after,
		      unsigned int n, bool few)
{
	unsigned int keys = 1, i;
	char description[32];

	for (i = 0; i < ARRAY_SIZE(decades); i++) {
		if (!wanted(i, ARRAY_SIZE(decades), few))
			continue;
		for (; keys < decades[i]; keys++) {
			snprintf(description, sizeof(description), "other:%u", keys);
			if (add_key("user", description, "payload", 7,
				    KEY_SPEC_SESSION_KEYRING) < 0)
				die("add_key");
		}
		measure_at(series, keys, timed, after, n);
	}
}

/* How many keys there are in the session keyring, the agent's among them. */
void scale_keys(unsigned int n, bool few)
{
	pid_t agent = start(&answering_agent, 0);

	with_keys("keys", request_user, unlink_user, n ? n : few ? 2000 : 5000, few);
	stop(&agent, 1);
}

static void add_and_invalidate(unsigned int number)
{
	char description[32];
	long key;

	snprintf(description, sizeof(description), "invalid:%u", number);
	key = add_key("user", description, "payload", 7, KEY_SPEC_SESSION_KEYRING);
	if (key < 0 || keyctl(KEYCTL_INVALIDATE, key, 0, 0, 0))
		die("add and invalidate");
}

/*
 * The same keys, and no request: what the key service's garbage collector does when a
 * key is invalidated, as it is with the end of each request, whoever answers it.
 */
void scale_collector(unsigned int n, bool few)
{
	if (add_key("user", "other:0", "payload", 7, KEY_SPEC_SESSION_KEYRING) < 0)
		die("add_key");
	with_keys("collector", add_and_invalidate, NULL, n ? n : 1000, few);
}

/* In how many keyrings, one in the other, the agent's key is. */
void scale_depth(unsigned int n, bool few)
{
	/* The key service looks no deeper than into six. */
	enum { MOST = 6 };
	pid_t agent = start(&answering_agent, 0);
	long key, ring = KEY_SPEC_SESSION_KEYRING, below;
	char name[32];
	unsigned int depth;

	key = keyctl(KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, (long)"keyagent",
		     (long)"user", 0);
	if (key < 0)
		die("the agent's key");
	for (depth = 1; depth <= MOST; depth++) {
		if (wanted(depth - 1, MOST, few))
			measure_at("depth", depth, request_user, unlink_user,
				   n ? n : few ? 3000 : 5000);
		if (depth == MOST)
			break;
		snprintf(name, sizeof(name), "depth-%u", depth);
		below = add_key("keyring", name, NULL, 0, ring);
		if (below < 0 || keyctl(KEYCTL_LINK, key, below, 0, 0) ||
		    keyctl(KEYCTL_UNLINK, key, ring, 0, 0))
			die("a keyring");
		ring = below;
	}
	stop(&agent, 1);
}

/*
 * Requests with ever more processes of a kind: for each decade up to @most, the
 * series' point is how many there are.
 */
static void with_processes(const char *series, const struct part *part,
			   unsigned int most, unsigned int n, bool few)
{
	pid_t *pids = calloc(most, sizeof(*pids));
	unsigned int count = 0, i;

	if (!pids)
		die("memory");
	/* The first of them answers. */
	pids[count++] = start(&answering_agent, 0);
	for (i = 0; i < ARRAY_SIZE(decades) && decades[i] <= most; i++) {
		if (few && decades[i] != 1 && decades[i] != most)
			continue;
		for (; count < decades[i]; count++)
			pids[count] = start(part, count);
		measure_at(series, count, request_user, unlink_user,
			   n ? n : few ? 2000 : 5000);
	}
	stop(pids, count);
	free(pids);
}

/* How many agents there are, each for another type, all in the session keyring. */
void scale_agents(unsigned int n, bool few)
{
	with_processes("agents", &idle_agent, 1000, n, few);
}

static unsigned int measured;
static bool only_few;

static void measure_inside(unsigned int number)
{
	(void)number;
	with_processes("processes", &idle_process, 1000, measured, only_few);
}

static void prepare_inside(unsigned int number)
{
	(void)number;
}

/*
 * How many processes there are in the pid namespace of the agent. The requester is
 * another one of them.
 */
void scale_processes(unsigned int n, bool few)
{
	static const struct part container = {
		prepare_inside, measure_inside, CLONE_NEWPID
	};
	pid_t init;

	measured = n;
	only_few = few;
	init = start(&container, 0);
	wait_for(init);
}

/* Many in a row: does the last one cost what the first one did? */
void scale_row(unsigned int n, bool few)
{
	pid_t agent = start(&answering_agent, 0);
	unsigned int part = n ? n : few ? 2000 : 10000, i;

	for (i = 1; i <= 10; i++)
		measure_at("row", i * part, request_user, unlink_user, part);
	stop(&agent, 1);
}
