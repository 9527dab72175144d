/* SPDX-License-Identifier: GPL-2.0 */
/* The agents of stress_test, which treat each request as chance has it. */
#ifndef KEYAGENT_STRESS_AGENT_H
#define KEYAGENT_STRESS_AGENT_H

#include "stress_requester.h"

static uint64_t agent_prng;

static __maybe_unused void note_odd(const char *what, int error)
{
	if (!__atomic_fetch_add(&stress->odd, 1, __ATOMIC_SEQ_CST))
		snprintf(stress->oddity, sizeof(stress->oddity), "%s: %s", what,
			 strerror(error));
}

/* What the agent may see when the request is over already. */
static __maybe_unused bool judge(const char *what, long ret)
{
	if (ret >= 0)
		return true;
	if (ret != -EKEYREVOKED && ret != -EBUSY)
		note_odd(what, -ret);
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

/*
 * A request of the agent's own, for the key of the other type, under the
 * authority that it has: in the session of the test it may come back to itself.
 */
static __maybe_unused void agent_nest(struct agent *a, struct stress_note *n)
{
	const struct errand e = {
		.type = !agent_type(a),
		.number = n->number,
		.dest = prng_below(&agent_prng, 2) ? KEY_SPEC_THREAD_KEYRING :
						     0,
	};
	struct report rep;

	/* The agent may be killed in it. */
	count_up(&n->interrupters);
	rep = ask(&e);
	/* The authority is over, or with it the right to read. */
	if (rep.error == EKEYREVOKED || (rep.error && rep.key > 0))
		return;
	if (judge_report(&e, &rep) == ILLEGAL)
		note_odd("nested request", rep.error);
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
	DECLINE, NEST, BEHAVIOURS
};

static const unsigned char behaviour_weights[BEHAVIOURS] = {
	[ANSWER] = 30, [ANSWER_SLOWLY] = 10, [ANSWER_LATE] = 2,
	[ANSWER_EXPIRING] = 4, [REJECT] = 10, [NEGATE] = 5, [IGNORE] = 5,
	[HOLD] = 4, [DIE] = 2, [DIE_WITH_AUTHORITY] = 2, [INVALIDATE] = 4,
	[UNLINK] = 4, [FORK] = 3, [FORK_AND_ANSWER] = 2, [FORK_AND_DIE] = 1,
	[EXEC] = 1, [EXEC_WITH_AUTHORITY] = 1, [LEAVE] = 2, [DECLINE] = 6,
	[NEST] = 8,
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
	case NEST:
		agent_nest(a, n);
		break;
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
	agent_prng = a->opts.arg;
	/* Nobody waits for its children. */
	signal(SIGCHLD, SIG_IGN);
	return a->opts.arg & 2 ? become_user() : 0;
}

#endif
