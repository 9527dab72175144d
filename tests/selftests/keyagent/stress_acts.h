/* SPDX-License-Identifier: GPL-2.0 */
/* What stress_test does to agents, to requesters and to the module. */
#ifndef KEYAGENT_STRESS_ACTS_H
#define KEYAGENT_STRESS_ACTS_H

#include <sys/resource.h>

#include "stress_agent.h"

#define AGENTS		6
#define ERRANDS		8	/* processes of requesters at a time */
#define RINGS		3	/* keyrings in the session keyring */
#define HISTORY		40

struct running {
	struct requester r;	/* pid 0: none */
	struct errand errand;
	int reports;		/* that have not come yet */
	bool killed;
	uint64_t deadline;
};

FIXTURE(stress)
{
	struct agent agent[AGENTS];
	struct running running[ERRANDS];
	key_serial_t ring[RINGS + 1];	/* the first is the session keyring */
	bool loaded;
	unsigned int number;		/* of the step */
	unsigned int idle;		/* steps since it was unloaded */
	unsigned int tally[OUTCOMES];
	unsigned int unloads;
	uint64_t start, seed;
	int keys;			/* at the beginning */
	char history[HISTORY][96];
};

#define DATA FIXTURE_DATA(stress)

#define TELL(...) ({							\
	char *__s = self->history[self->number % HISTORY];		\
	size_t __len = strlen(__s);					\
	snprintf(__s + __len, sizeof(self->history[0]) - __len,		\
		 __VA_ARGS__);						\
})

/* ----------------------------------------------------------------- agents */

/* Agents for one type do not displace each other in different keyrings. */
static __maybe_unused void make_rings(struct __test_metadata *const _metadata,
				      DATA *self)
{
	char name[16];
	int i;

	self->ring[0] = KEY_SPEC_SESSION_KEYRING;
	for (i = 1; i <= RINGS; i++) {
		snprintf(name, sizeof(name), "stress%d", i);
		self->ring[i] = sys_add_key("keyring", name, NULL, 0,
					    KEY_SPEC_SESSION_KEYRING);
		ASSERT_LT(0, self->ring[i]);
	}
}

static __maybe_unused void start_agent(struct __test_metadata *const _metadata,
				       DATA *self, const uint32_t *x)
{
	struct agent *a = &self->agent[x[0] % AGENTS];
	const int type = x[1] % 4 == 0;
	struct agent_opts opts = {
		.type = stress_types[type],
		.wait = x[2] % 3,
		.inherit_session = x[5] % 2,
		.no_link = true,
		.prepare = stress_prepare,
		.arg = agent_arg(type, x[6] % 8 == 0, x[3]),
		.plan = { .action = AGENT_CUSTOM, .custom = stress_serve },
	};
	unsigned int ring = x[4] % (RINGS + 1);

	if (!self->loaded)
		return;
	if (a->pid)
		note_death(a, 0);
	agent_stop(a);
	agent_start(_metadata, a, &opts);
	ASSERT_EQ(0, keyctl_link(a->sh->key, self->ring[ring])) {
		TH_LOG("cannot link an agent: %s", strerror(errno));
	}
	TELL(" %u for %s, pid %d%s, in ring %u", x[0] % AGENTS, opts.type,
	     a->pid, opts.arg & 2 ? ", user" : "", ring);
}

static __maybe_unused void kill_agent(struct __test_metadata *const _metadata,
				      DATA *self, const uint32_t *x)
{
	struct agent *a = &self->agent[x[0] % AGENTS];

	(void)_metadata;
	if (!a->pid)
		return;
	note_death(a, 0);
	TELL(" %u, pid %d", x[0] % AGENTS, a->pid);
	agent_stop(a);
}

static __maybe_unused void stop_agent(struct __test_metadata *const _metadata,
				      DATA *self, const uint32_t *x)
{
	struct agent *a = &self->agent[x[0] % AGENTS];
	int sig = x[1] % 2 ? SIGSTOP : SIGCONT;

	(void)_metadata;
	if (!a->pid)
		return;
	TELL(" %u: %s", x[0] % AGENTS, sig == SIGSTOP ? "stop" : "continue");
	kill(a->pid, sig);
}

/* A queue without room delays the signal until there is some. */
static __maybe_unused void limit_agent(struct __test_metadata *const _metadata,
				       DATA *self, const uint32_t *x)
{
	struct agent *a = &self->agent[x[0] % AGENTS];
	struct rlimit limit = { .rlim_cur = x[1] % 3 ? 1000 : 0,
				.rlim_max = 1000 };

	(void)_metadata;
	if (!a->pid)
		return;
	TELL(" %u: %lu signals", x[0] % AGENTS, (long)limit.rlim_cur);
	prlimit(a->pid, RLIMIT_SIGPENDING, &limit, NULL);
}

/* Its key may be gone already: what comes of it does not matter. */
static __maybe_unused void
withdraw_agent(struct __test_metadata *const _metadata, DATA *self,
	       const uint32_t *x)
{
	struct agent *a = &self->agent[x[0] % AGENTS];
	unsigned int ring = x[2] % (RINGS + 1);

	(void)_metadata;
	if (!a->pid)
		return;
	TELL(" %u: %u", x[0] % AGENTS, x[1] % 8);
	switch (x[1] % 8) {
	case 0:
		keyctl_revoke(a->sh->key);
		break;
	case 1:
		keyctl_set_timeout(a->sh->key, 1);
		break;
	case 2:
		keyctl_setperm(a->sh->key, 0);
		break;
	case 3:
		keyctl_setperm(a->sh->key, AGENT_PERM & ~KEY_POS_SEARCH);
		break;
	case 4:
		keyctl_setperm(a->sh->key, AGENT_PERM);
		break;
	case 5:
		keyctl_unlink(a->sh->key, self->ring[ring]);
		break;
	case 6:
		keyctl_link(a->sh->key, self->ring[ring]);
		break;
	default:
		keyctl_invalidate(a->sh->key);
	}
}

/* ------------------------------------------------------------- requesters */

/* Takes in what the requesters have reported, without waiting. */
static __maybe_unused void collect(struct __test_metadata *const _metadata,
				   DATA *self, struct running *run)
{
	struct pollfd fd = { .fd = run->r.fd, .events = POLLIN };
	struct report rep;
	enum outcome o;
	ssize_t len;

	while (run->r.pid && poll(&fd, 1, 0) == 1) {
		len = read(run->r.fd, &rep, sizeof(rep));
		if (len == sizeof(rep)) {
			o = judge_report(&run->errand, &rep);
			self->tally[o]++;
			run->reports--;
			EXPECT_TRUE(o != ILLEGAL) {
				TH_LOG("pid %d, key %u: %d, errno %d, '%s', may %x",
				       run->r.pid, run->errand.number, rep.key,
				       rep.error, rep.payload,
				       note_of(run->errand.number)->may);
			}
			continue;
		}
		ASSERT_EQ(0, len);
		EXPECT_TRUE(!run->reports || run->killed);
		self->tally[KILLED] += run->reports;
		close(run->r.fd);
		waitpid(run->r.pid, NULL, 0);
		run->r.pid = 0;
	}
	ASSERT_TRUE(!run->r.pid || now_ms() < run->deadline) {
		TH_LOG("requester %d of key %u, state %c, does not end",
		       run->r.pid, run->errand.number, proc_state(run->r.pid));
	}
}

static __maybe_unused void
start_errand(struct __test_metadata *const _metadata, struct running *run,
	     const struct errand *errand)
{
	struct errand *e = &run->errand;
	struct stress_note *n;
	int fds[2];

	*e = *errand;
	n = note_of(e->number);
	if (e->alarm_ms)
		count_up(&n->interrupters);
	if (e->revoke)
		note_may(n, MAY_REVOKE);
	ASSERT_EQ(0, pipe2(fds, O_CLOEXEC));
	e->fd = fds[1];
	run->killed = false;
	run->reports = e->requesters ? e->requesters : 1;
	/* A call that is started again has all the time again. */
	run->deadline = now_ms() + 4 * stress_timeout_ms() + 10000ull * slow();
	run->r.fd = fds[0];
	run->r.pid = fork();
	ASSERT_LE(0, run->r.pid);
	if (!run->r.pid)
		run_errands(e);
	close(fds[1]);
}

/* One process of requesters, or several for the same key. */
static __maybe_unused void request(struct __test_metadata *const _metadata,
				   DATA *self, const uint32_t *x)
{
	static const key_serial_t dests[] = {
		0, 0, KEY_SPEC_SESSION_KEYRING, KEY_SPEC_THREAD_KEYRING,
		KEY_SPEC_PROCESS_KEYRING,
	};
	struct errand e = {
		.type = x[1] % 4 == 0,
		.number = self->number / 8 * 3 + x[2] % 3,
		.dest = dests[x[3] % ARRAY_SIZE(dests)],
		.revoke = x[4] % 32 == 0,
		.requesters = x[5] % 8 < 5 ? 0 : x[5] % 8 - 4,
		.fork = x[5] & 8,
		.user = x[5] % 128 < 16,
	};
	int i, n = x[0] % 8 ? 1 : 4;

	if (x[6] % 4 == 0)
		e.alarm_ms = x[7] % (stress_timeout_ms() * 5 / 4) + 1;
	e.restart = x[6] & 4;
	TELL(" key %u of %s in %d:%s%s%s%s, %d %s", e.number,
	     stress_types[e.type], e.dest, e.user ? " user" : "",
	     e.revoke ? " revoke" : "",
	     e.alarm_ms ? " alarm" : "",
	     e.alarm_ms && e.restart ? " restart" : "", e.requesters,
	     e.fork ? "processes" : "threads");
	for (i = 0; n && i < ERRANDS; i++) {
		collect(_metadata, self, &self->running[i]);
		if (self->running[i].r.pid)
			continue;
		start_errand(_metadata, &self->running[i], &e);
		n--;
	}
}

static __maybe_unused void
kill_requester(struct __test_metadata *const _metadata, DATA *self,
	       const uint32_t *x)
{
	struct running *run = &self->running[x[0] % ERRANDS];

	(void)_metadata;
	if (!run->r.pid)
		return;
	TELL(" %d of key %u", run->r.pid, run->errand.number);
	run->killed = true;
	count_up(&note_of(run->errand.number)->interrupters);
	kill(run->r.pid, SIGKILL);
}

/* -------------------------------------------------------------- the module */

static __maybe_unused void
toggle_module(struct __test_metadata *const _metadata, DATA *self,
	      const uint32_t *x)
{
	char params[64];
	int i;

	self->idle = 0;
	if (self->loaded) {
		if (!module_unload()) {
			self->loaded = false;
			self->unloads++;
			TELL(": unloaded");
			return;
		}
		ASSERT_EQ(EWOULDBLOCK, errno);
		TELL(": in use");
		return;
	}
	snprintf(params, sizeof(params), "timeout_ms=%u", stress_timeout_ms());
	ASSERT_EQ(0, module_load(params)) {
		TH_LOG("the module does not load: %s", strerror(errno));
	}
	self->loaded = true;
	/* The keys of those before are dead. */
	TELL(": loaded, with agents");
	for (i = 0; i < 3; i++)
		start_agent(_metadata, self, x + i);
}

#endif
