/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A key agent for the tests, in a process of its own.
 *
 * An agent registers, waits for requests in one of three ways and treats each as
 * its plan says. Nothing here sleeps: the agent counts what it was asked and what
 * it has finished in shared memory, and the test waits on these futexes. The test
 * has the agent do anything else by agent_call(), which runs a function of the
 * test program in the agent.
 */
#ifndef KEYAGENT_AGENT_H
#define KEYAGENT_AGENT_H

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include "sync.h"
#include "wrappers.h"

#define KERNEL_SIGSET_SIZE	8	/* bytes of the kernel's sigset_t */
#define SIGINFO_SIZE		128	/* bytes of siginfo and signalfd_siginfo */
#define AGENT_SIGNAL		40
#define AGENT_RECORDS		64	/* the last requests that are remembered */
#define AGENT_PERM	(KEY_POS_ALL | KEY_USR_ALL | KEY_OTH_VIEW | \
			 KEY_OTH_SEARCH | KEY_OTH_LINK)

/* How the agent waits for its signal. */
enum agent_wait {
	AGENT_SIGNALFD,
	AGENT_SIGWAITINFO,
	AGENT_PPOLL,
};

/* What it does about a request. */
enum agent_action {
	AGENT_ANSWER,		/* instantiate with plan.payload */
	AGENT_REJECT,		/* reject with plan.error for plan.timeout */
	AGENT_NEGATE,		/* negate for plan.timeout */
	AGENT_HOLD,		/* nothing: the test goes on by agent_call() */
	AGENT_CUSTOM,		/* plan.custom() */
};

struct agent;

struct agent_plan {
	enum agent_action action;
	int error;
	unsigned int timeout;
	size_t len;		/* of the payload; 0: strlen() */
	char payload[256];	/* "": "agent" */
	bool callout;		/* read the callout info into the record */
	/* Runs in the agent; what it returns becomes the record's result. */
	long (*custom)(struct agent *a, key_serial_t key);
};

/* One request as the agent met it. Results are 0 or more, or -errno. */
struct agent_record {
	key_serial_t key;
	uint8_t siginfo[SIGINFO_SIZE];	/* raw; of a signalfd: its own layout */
	long assumed;
	long result;
	long callout_len;
	char callout[4096];
};

struct agent_shared {
	uint32_t asked;		/* signals received */
	uint32_t done;		/* requests that the plan has finished with */
	key_serial_t key;	/* the agent key */
	key_serial_t ring;	/* its process keyring */
	struct agent_plan plan;
	struct agent_record record[AGENT_RECORDS];
};

struct agent_opts {
	const char *type;	/* NULL: "user" */
	int sig;		/* 0: AGENT_SIGNAL */
	enum agent_wait wait;
	bool inherit_session;	/* keep the test's session keyring */
	bool no_register;	/* agent_call() something that does it */
	bool no_link;		/* do not link into the test's session keyring */
	unsigned long clone_flags;	/* CLONE_NEWPID ... */
	/* Runs in the agent before it registers; 0 or -errno. */
	long (*prepare)(struct agent *a);
	long arg;		/* for the prepare function */
	struct agent_plan plan;
};

struct agent {
	pid_t pid;
	int ctl;
	struct agent_opts opts;
	struct agent_shared *sh;
};

/* Runs in the agent; 0 or more, or -errno. */
typedef long (*agent_fn)(struct agent *a, const void *arg);

struct agent_call_msg {
	agent_fn fn;
	bool quiet;		/* no reply: the function may not return */
	char arg[512];
};

/* ------------------------------------------------------ inside the agent */

static __maybe_unused long agent_read_callout(char *buf, size_t size)
{
	return neg_errno(keyctl_read(KEY_SPEC_REQKEY_AUTH_KEY, buf, size));
}

static __maybe_unused long agent_assume(key_serial_t key)
{
	return neg_errno(keyctl_assume_authority(key));
}

/* Gives the request for @key back: what it has of the authority, it drops. */
static __maybe_unused long agent_decline(key_serial_t key)
{
	long authkey = agent_assume(key), ret;

	if (authkey < 0)
		return authkey;
	ret = neg_errno(keyctl_unlink(authkey, KEY_SPEC_PROCESS_KEYRING));
	return ret < 0 ? ret : agent_assume(0);
}

/* Carries the plan out for a key whose authority has been assumed. */
static __maybe_unused long agent_settle(const struct agent_plan *p,
					key_serial_t key)
{
	const char *payload = p->payload;
	size_t len = p->len;

	if (p->action == AGENT_REJECT)
		return neg_errno(keyctl_reject(key, p->timeout, p->error, 0));
	if (p->action == AGENT_NEGATE)
		return neg_errno(keyctl_negate(key, p->timeout, 0));
	if (!len) {
		if (!*payload)
			payload = "agent";
		len = strlen(payload);
	}
	return neg_errno(keyctl_instantiate(key, payload, len, 0));
}

/*
 * Requests another key, "more:KEY" of type "logon", while the authority over @key
 * is assumed, and answers only then.
 */
static __maybe_unused long agent_request_more(key_serial_t key)
{
	char desc[64];
	long ret;

	snprintf(desc, sizeof(desc), "more:%d", key);
	ret = neg_errno(sys_request_key("logon", desc, "-",
					KEY_SPEC_THREAD_KEYRING));
	return ret < 0 ? ret : neg_errno(keyctl_instantiate(key, "agent", 5, 0));
}

static __maybe_unused void agent_request(struct agent *a, key_serial_t key,
					 const void *siginfo)
{
	struct agent_shared *sh = a->sh;
	struct agent_record *r = &sh->record[sh->asked % AGENT_RECORDS];
	/* The test may change it as soon as it knows that the agent was asked. */
	const struct agent_plan plan = sh->plan, *p = &plan;

	r->key = key;
	memcpy(r->siginfo, siginfo, SIGINFO_SIZE);
	r->assumed = 0;
	r->result = 0;
	r->callout_len = 0;
	count_up(&sh->asked);

	if (p->action == AGENT_HOLD)
		return;
	if (p->action == AGENT_CUSTOM) {
		r->result = p->custom(a, key);
		count_up(&sh->done);
		return;
	}
	r->assumed = agent_assume(key);
	if (r->assumed >= 0 && p->callout)
		r->callout_len = agent_read_callout(r->callout,
						    sizeof(r->callout));
	r->result = r->assumed < 0 ? r->assumed : agent_settle(p, key);
	if (r->result < 0)
		keyctl_assume_authority(0);
	count_up(&sh->done);
}

/* How far our functions are from where the test has them: not at all before exec. */
static uintptr_t agent_moved;

static __maybe_unused void agent_serve_call(struct agent *a)
{
	struct agent_call_msg msg;
	agent_fn fn;
	long ret;

	if (read(a->ctl, &msg, sizeof(msg)) != sizeof(msg))
		_exit(0);
	fn = (agent_fn)((uintptr_t)msg.fn + agent_moved);
	ret = fn(a, msg.arg);
	if (!msg.quiet && write(a->ctl, &ret, sizeof(ret)) != sizeof(ret))
		_exit(1);
}

static uint8_t agent_caught[SIGINFO_SIZE];
static int agent_caught_new;

static __maybe_unused void agent_handler(int sig __maybe_unused,
					 siginfo_t *info,
					 void *context __maybe_unused)
{
	memcpy(agent_caught, info, SIGINFO_SIZE);
	__atomic_store_n(&agent_caught_new, 1, __ATOMIC_SEQ_CST);
}

static __maybe_unused void agent_wait_signalfd(struct agent *a, int sfd)
{
	struct pollfd fds[] = {
		{ .fd = a->ctl, .events = POLLIN },
		{ .fd = sfd, .events = POLLIN },
	};
	struct signalfd_siginfo info;

	if (poll(fds, 2, -1) < 0)
		return;
	if (fds[1].revents && read(sfd, &info, sizeof(info)) == sizeof(info))
		agent_request(a, info.ssi_int, &info);
	else if (fds[0].revents)
		agent_serve_call(a);
}

static __maybe_unused void agent_wait_siginfo(struct agent *a, sigset_t *set)
{
	union {
		uint8_t raw[SIGINFO_SIZE];
		siginfo_t info;
	} u;
	int sig;

	memset(&u, 0xa5, sizeof(u));
	sig = syscall(__NR_rt_sigtimedwait, set, &u, NULL, KERNEL_SIGSET_SIZE);
	if (sig == a->opts.sig)
		agent_request(a, u.info.si_int, &u);
	else if (sig == SIGUSR2)
		agent_serve_call(a);
}

static __maybe_unused void agent_wait_ppoll(struct agent *a, sigset_t *open)
{
	struct pollfd fd = { .fd = a->ctl, .events = POLLIN };
	siginfo_t info;

	if (ppoll(&fd, 1, NULL, open) > 0) {
		agent_serve_call(a);
		return;
	}
	if (!__atomic_exchange_n(&agent_caught_new, 0, __ATOMIC_SEQ_CST))
		return;
	memcpy(&info, agent_caught, sizeof(info));
	agent_request(a, info.si_int, agent_caught);
}

/* Registers the calling thread for @type; the serial, or -errno. */
static __maybe_unused long agent_register(const char *type, int sig)
{
	uint16_t payload = sig;
	key_serial_t key;

	if (keyctl_get_keyring_id(KEY_SPEC_PROCESS_KEYRING, 1) < 0)
		return -errno;
	key = sys_add_key("keyagent", type, &payload, sizeof(payload),
			  KEY_SPEC_PROCESS_KEYRING);
	if (key < 0 || keyctl_setperm(key, AGENT_PERM) < 0)
		return -errno;
	return key;
}

static __maybe_unused long agent_set_up(struct agent *a)
{
	struct sigaction sa = {
		.sa_sigaction = agent_handler,
		.sa_flags = SA_SIGINFO,
	};
	sigset_t set;
	long ret;

	if (!a->opts.inherit_session && keyctl_join_session(NULL) < 0)
		return -errno;
	if (a->opts.wait == AGENT_PPOLL &&
	    sigaction(a->opts.sig, &sa, NULL) < 0)
		return -errno;
	sigemptyset(&set);
	sigaddset(&set, a->opts.sig);
	sigaddset(&set, SIGUSR2);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	if (a->opts.prepare) {
		ret = a->opts.prepare(a);
		if (ret < 0)
			return ret;
	}
	/* A change of credentials clears it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	a->sh->ring = keyctl_get_keyring_id(KEY_SPEC_PROCESS_KEYRING, 1);
	if (a->sh->ring < 0)
		return -errno;
	if (a->opts.no_register)
		return 0;
	return a->sh->key = agent_register(a->opts.type, a->opts.sig);
}

static __maybe_unused void agent_main(struct agent *a)
{
	sigset_t set, open;
	int sfd = -1;
	long ret;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	ret = agent_set_up(a);
	sigemptyset(&set);
	sigaddset(&set, a->opts.sig);
	sigprocmask(SIG_BLOCK, NULL, &open);
	sigdelset(&open, a->opts.sig);
	if (a->opts.wait == AGENT_SIGNALFD) {
		sfd = signalfd(-1, &set, SFD_CLOEXEC);
		if (sfd < 0)
			ret = -errno;
	}
	sigaddset(&set, SIGUSR2);
	if (write(a->ctl, &ret, sizeof(ret)) != sizeof(ret) || ret < 0)
		_exit(1);
	for (;;) {
		if (a->opts.wait == AGENT_SIGNALFD)
			agent_wait_signalfd(a, sfd);
		else if (a->opts.wait == AGENT_SIGWAITINFO)
			agent_wait_siginfo(a, &set);
		else
			agent_wait_ppoll(a, &open);
	}
}

#endif
