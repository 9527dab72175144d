/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The agents of stress_test, which treat each request as chance has it.
 *
 * Whoever does something that can end a request badly notes it first, where all
 * can see it: a request may not end in a way that nobody brought about.
 */
#ifndef KEYAGENT_STRESS_H
#define KEYAGENT_STRESS_H

#include "module.h"
#include "prng.h"

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
static const char * const stress_types[] = { "user", "big_key" };

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

/*
 * Requests that this agent was asked to answer end with ENOKEY from now on, and
 * so do those that it is asked until it is dead, @ms from now at the latest.
 */
static __maybe_unused void note_death(const struct agent *a, unsigned int ms)
{
	uint64_t *death = &stress->death[a->opts.arg % 2];
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

/* ---------------------------------------------------------------- agents */

static uint64_t agent_prng;

/* What the agent may see when the request is over already. */
static __maybe_unused bool judge(const char *what, long ret)
{
	if (ret >= 0)
		return true;
	if (ret != -EKEYREVOKED && ret != -EBUSY &&
	    !__atomic_fetch_add(&stress->odd, 1, __ATOMIC_SEQ_CST))
		snprintf(stress->oddity, sizeof(stress->oddity), "%s: %s", what,
			 strerror(-ret));
	return false;
}

static __maybe_unused void agent_answer(struct stress_note *n, key_serial_t key)
{
	struct agent_plan plan = { .action = AGENT_ANSWER };

	snprintf(plan.payload, sizeof(plan.payload), "agent %d", key);
	note_may(n, MAY_ANSWER);
	judge("instantiate", agent_settle(&plan, key));
}

static __maybe_unused void agent_reject(struct stress_note *n, key_serial_t key)
{
	unsigned int i = prng_below(&agent_prng, ARRAY_SIZE(reject_errors));
	struct agent_plan plan = {
		.action = AGENT_REJECT,
		.error = reject_errors[i],
		.timeout = prng_below(&agent_prng, 2),
	};

	note_may(n, MAY_REJECT << i);
	judge("reject", agent_settle(&plan, key));
}

/* A child has the authority that its parent has assumed. */
static __maybe_unused void agent_fork(struct stress_note *n, key_serial_t key)
{
	unsigned int before = prng_below(&agent_prng, stress_timeout_ms() / 4);
	unsigned int after = prng_below(&agent_prng, stress_timeout_ms() / 2);

	if (fork())
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sleep_ms(before);
	agent_answer(n, key);
	sleep_ms(after);
	_exit(0);
}

static __maybe_unused void *agent_rest(void *unused __maybe_unused)
{
	for (;;)
		pause();
	return NULL;
}

/* The agent's thread goes and its process stays. */
static __maybe_unused void agent_leave(struct agent *a)
{
	pthread_t thread;

	if (!pthread_create(&thread, NULL, agent_rest, NULL))
		agent_do_thread_exit(a, NULL);
}

static __maybe_unused void agent_exec(struct agent *a)
{
	enum disposition how = prng_below(&agent_prng, SIGNAL_DEFAULT + 1);

	agent_do_exec_self(a, &how);
}

enum behaviour {
	ANSWER, ANSWER_SLOWLY, ANSWER_LATE, ANSWER_EXPIRING, REJECT, NEGATE,
	IGNORE, HOLD, DIE, DIE_WITH_AUTHORITY, INVALIDATE, UNLINK, FORK,
	FORK_AND_ANSWER, FORK_AND_DIE, EXEC, EXEC_WITH_AUTHORITY, LEAVE,
	DECLINE, BEHAVIOURS
};

static const unsigned char behaviour_weights[BEHAVIOURS] = {
	[ANSWER] = 30, [ANSWER_SLOWLY] = 10, [ANSWER_LATE] = 2,
	[ANSWER_EXPIRING] = 4, [REJECT] = 10, [NEGATE] = 5, [IGNORE] = 5,
	[HOLD] = 4, [DIE] = 2, [DIE_WITH_AUTHORITY] = 2, [INVALIDATE] = 4,
	[UNLINK] = 4, [FORK] = 3, [FORK_AND_ANSWER] = 2, [FORK_AND_DIE] = 1,
	[EXEC] = 1, [EXEC_WITH_AUTHORITY] = 1, [LEAVE] = 2, [DECLINE] = 6,
};

/* With the authority over @key, whose authorisation key is @authkey. */
static __maybe_unused void behave(struct agent *a, enum behaviour b,
				  struct stress_note *n, key_serial_t key,
				  key_serial_t authkey)
{
	const struct agent_plan negate = {
		.action = AGENT_NEGATE, .timeout = 1,
	};

	switch (b) {
	case ANSWER_SLOWLY:
		sleep_ms(prng_below(&agent_prng, stress_timeout_ms() / 2));
		break;
	case ANSWER_LATE:
		sleep_ms(stress_timeout_ms() * 5 / 4);
		break;
	case ANSWER_EXPIRING:
		/* Fails when the request is over, and so does the answer. */
		note_may(n, MAY_EXPIRE);
		keyctl_set_timeout(key, 1);
		break;
	case REJECT:
		agent_reject(n, key);
		return;
	case NEGATE:
		note_may(n, MAY_ENOKEY);
		judge("negate", agent_settle(&negate, key));
		return;
	case HOLD:
		return;
	case INVALIDATE:
		note_may(n, MAY_ENOKEY);
		keyctl_invalidate(authkey);
		return;
	case UNLINK:
		keyctl_unlink(authkey, KEY_SPEC_PROCESS_KEYRING);
		/* The authority has been assumed: the link is not needed. */
		if (prng_below(&agent_prng, 2))
			return;
		break;
	case DECLINE:
		agent_decline(key);
		return;
	case FORK:
		agent_fork(n, key);
		return;
	case FORK_AND_ANSWER:
		agent_fork(n, key);
		break;
	case FORK_AND_DIE:
		note_death(a, stress_timeout_ms() / 2);
		agent_fork(n, key);
		_exit(0);
	case DIE_WITH_AUTHORITY:
		note_death(a, stress_timeout_ms() / 2);
		_exit(0);
	case EXEC_WITH_AUTHORITY:
		note_death(a, stress_timeout_ms() / 2);
		agent_exec(a);
		break;
	case LEAVE:
		note_death(a, stress_timeout_ms() / 2);
		agent_leave(a);
		break;
	default:
		break;
	}
	agent_answer(n, key);
}

/* The plan of all agents. */
static __maybe_unused long stress_serve(struct agent *a, key_serial_t key)
{
	enum behaviour b = prng_pick(&agent_prng, behaviour_weights,
				     BEHAVIOURS);
	struct stress_note *n;
	unsigned int number;
	char buf[256], *desc;
	long authkey;

	if (keyctl_describe(key, buf, sizeof(buf)) < 0)
		return 0;
	desc = strrchr(buf, ';');
	if (!desc || sscanf(desc, ";stress:%u", &number) != 1)
		return 0;
	n = &stress->note[number % STRESS_NOTES];
	if (b == IGNORE || n->number != number)
		return 0;
	if (b == DIE || b == EXEC) {
		note_death(a, stress_timeout_ms() / 2);
		if (b == EXEC)
			agent_exec(a);
		_exit(0);
	}
	authkey = agent_assume(key);
	if (authkey == -ENOKEY || !judge("assume", authkey))
		return 0;
	behave(a, b, n, key, authkey);
	if (b != HOLD)
		keyctl_assume_authority(0);
	return 0;
}

static __maybe_unused long stress_prepare(struct agent *a)
{
	/* The lowest bit is the type. */
	agent_prng = a->opts.arg >> 1;
	/* Nobody waits for its children. */
	signal(SIGCHLD, SIG_IGN);
	return 0;
}

#endif
