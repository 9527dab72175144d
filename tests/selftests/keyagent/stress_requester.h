/* SPDX-License-Identifier: GPL-2.0 */
/* The requesters of stress_test, which report how their requests ended. */
#ifndef KEYAGENT_STRESS_REQUESTER_H
#define KEYAGENT_STRESS_REQUESTER_H

#include <sys/time.h>

#include "stress.h"

enum outcome {
	ANSWERED, UPCALLED, REJECTED, NO_KEY, TIMED_OUT, INTERRUPTED,
	KEY_EXPIRED, KEY_REVOKED, KILLED, ILLEGAL, OUTCOMES
};

static const char * const outcome_names[] = {
	"answered", "upcall", "rejected", "ENOKEY", "timed out", "EINTR",
	"expired", "revoked", "killed", "illegal",
};

/* How one request ended, as the requester saw it. */
struct report {
	key_serial_t key;
	int error;		/* of request_key(), or of reading the key */
	uint64_t ms;		/* when */
	char payload[32];
};

/* What a process of requesters does. */
struct errand {
	int type;		/* index into stress_types */
	unsigned int number;	/* of the key */
	key_serial_t dest;
	unsigned int alarm_ms;	/* 0: none */
	bool restart;		/* the call, after the alarm */
	bool revoke;		/* the key, when it was answered */
	bool fork;		/* requesters in processes, not in threads */
	bool user;		/* not as root */
	int requesters;		/* 0: one, in the main thread */
	int fd;			/* for the reports */
};

static __maybe_unused void alarm_handler(int sig __maybe_unused)
{
}

/* The request itself. */
static __maybe_unused struct report ask(const struct errand *e)
{
	struct report rep = { 0 };
	char desc[32];
	long len = 0;

	snprintf(desc, sizeof(desc), "stress:%u", e->number);
	rep.key = sys_request_key(stress_types[e->type], desc, "-", e->dest);
	if (rep.key >= 0)
		len = keyctl_read(rep.key, rep.payload,
				  sizeof(rep.payload) - 1);
	if (rep.key < 0 || len < 0)
		rep.error = errno;
	rep.ms = now_ms();
	return rep;
}

static __maybe_unused void *run_errand(void *arg)
{
	const struct errand *e = arg;
	const struct itimerval timer = {
		.it_value.tv_sec = e->alarm_ms / 1000,
		.it_value.tv_usec = e->alarm_ms % 1000 * 1000,
	};
	struct report rep;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	rep = ask(e);
	if (e->revoke && rep.key > 0)
		keyctl_revoke(rep.key);
	if (write(e->fd, &rep, sizeof(rep)) != sizeof(rep))
		_exit(1);
	return NULL;
}

static __maybe_unused void run_errands(struct errand *e)
{
	struct sigaction sa = {
		.sa_handler = alarm_handler,
		.sa_flags = e->restart ? SA_RESTART : 0,
	};
	pthread_t thread[4];
	sigset_t set;
	int i;

	if (e->user && become_user())
		_exit(1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* The alarm is for the threads that request. */
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigaction(SIGALRM, &sa, NULL);
	if (!e->requesters)
		run_errand(e);
	for (i = 0; i < e->requesters; i++) {
		if (!e->fork) {
			if (pthread_create(&thread[i], NULL, run_errand, e))
				_exit(1);
		} else if (!fork()) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			run_errand(e);
			_exit(0);
		}
	}
	for (i = 0; i < e->requesters; i++) {
		if (e->fork)
			wait(NULL);
		else
			pthread_join(thread[i], NULL);
	}
	_exit(0);
}

/* The note on a key, a new one if there is none. */
static __maybe_unused struct stress_note *note_of(unsigned int number)
{
	struct stress_note *n = &stress->note[number % STRESS_NOTES];

	if (n->number != number) {
		memset(n, 0, sizeof(*n));
		n->number = number;
		n->since = now_ms();
	}
	return n;
}

/*
 * Another requester of the same key may have been killed, or this one interrupted
 * while it waited for that.
 */
static __maybe_unused bool interrupted_with(const struct errand *e,
					    struct stress_note *n)
{
	bool own = e->alarm_ms, alone = e->requesters <= 1;

	return (own && (!e->restart || !alone)) ||
		count_get(&n->interrupters) > own;
}

/* What the request ended as, if somebody has brought that about. */
static __maybe_unused enum outcome judge_report(const struct errand *e,
						const struct report *rep)
{
	struct stress_note *n = note_of(e->number);
	uint32_t may = count_get(&n->may);
	char payload[32];
	unsigned int i;

	if (!rep->error) {
		snprintf(payload, sizeof(payload), "agent %d", rep->key);
		if (!strcmp(rep->payload, payload))
			return may & MAY_ANSWER ? ANSWERED : ILLEGAL;
		return strcmp(rep->payload, "upcall") ? ILLEGAL : UPCALLED;
	}
	for (i = 0; i < ARRAY_SIZE(reject_errors); i++)
		if (rep->error == reject_errors[i] && may & MAY_REJECT << i)
			return REJECTED;
	/* An upcall whose key is revoked before the helper exits fails so. */
	if (rep->error == ENOKEY && (may & (MAY_ENOKEY | MAY_REVOKE) ||
				     stress->death[e->type] >= n->since ||
				     interrupted_with(e, n)))
		return NO_KEY;
	if (rep->error == ETIMEDOUT &&
	    rep->ms - n->since >= stress_timeout_ms())
		return TIMED_OUT;
	if (rep->error == EINTR && interrupted_with(e, n))
		return INTERRUPTED;
	if (rep->error == EKEYEXPIRED && may & MAY_EXPIRE)
		return KEY_EXPIRED;
	/* An expired key that another one has displaced is nobody's, or gone. */
	if (rep->key > 0 && (rep->error == EACCES || rep->error == ENOKEY) &&
	    may & MAY_EXPIRE)
		return KEY_EXPIRED;
	if (rep->error == EKEYREVOKED && may & MAY_REVOKE)
		return KEY_REVOKED;
	return ILLEGAL;
}

#endif
