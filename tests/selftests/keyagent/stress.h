/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the processes of stress_test know of each other.
 *
 * Whoever does something that can end a request badly notes it first, where all
 * can see it: a request may not end in a way that nobody brought about.
 */
#ifndef KEYAGENT_STRESS_H
#define KEYAGENT_STRESS_H

#include "module.h"
#include "prng.h"
#include "test_module.h"
#include "userns.h"

#define STRESS_NOTES	4096

/* What may become of the requests for a key. */
#define MAY_ANSWER	0x01	/* an agent instantiates it */
#define MAY_EXPIRE	0x02	/* and lets it expire soon */
#define MAY_ENOKEY	0x04	/* an agent negates it or drops the authority */
#define MAY_REVOKE	0x08	/* a requester revokes it */
#define MAY_REJECT	0x10	/* shifted by the index into reject_errors */

static const int reject_errors[] = { EKEYREJECTED, ECONNREFUSED, EACCES };

struct stress_note {
	uint32_t number;	/* of the key */
	uint32_t may;
	uint32_t interrupters;	/* of its requesters, interrupted or killed */
	uint64_t since;		/* ms: when it was asked for first */
};

struct stress_shared {
	uint64_t death[2];	/* ms: when an agent for the type last died */
	uint32_t odd;		/* results that no agent may see */
	char oddity[128];	/* one of them */
	struct stress_note note[STRESS_NOTES];
};

/* The types of the keys: what both hold can be read. */
static const char * const stress_types[] = { "user", TEST_TYPE };

/* All processes see the same. */
static struct stress_shared *stress;

/* How long an agent may take; a machine without KVM is slower than hardware. */
static __maybe_unused unsigned int stress_timeout_ms(void)
{
	return 100 * slow();
}

static __maybe_unused void note_may(struct stress_note *n, uint32_t what)
{
	__atomic_or_fetch(&n->may, what, __ATOMIC_SEQ_CST);
}

/* The users of agents and requesters. */
static __maybe_unused long become_user(void)
{
	return become(1000, 1000, 1000);
}

/* What chance has set of an agent: its type, its user, its random numbers. */
static __maybe_unused long agent_arg(int type, bool user, uint32_t seed)
{
	return (long)seed << 2 | user << 1 | type;
}

static __maybe_unused int agent_type(const struct agent *a)
{
	return a->opts.arg & 1;
}

/*
 * Requests that this agent was asked to answer end with ENOKEY from now on, and
 * so do those that it is asked until it is dead, @ms from now at the latest.
 */
static __maybe_unused void note_death(const struct agent *a, unsigned int ms)
{
	uint64_t *death = &stress->death[agent_type(a)];
	uint64_t when = now_ms() + ms, seen = *death;

	while (seen < when &&
	       !__atomic_compare_exchange_n(death, &seen, when, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
}

static __maybe_unused void sleep_ms(unsigned int ms)
{
	poll(NULL, 0, ms);
}

#endif
