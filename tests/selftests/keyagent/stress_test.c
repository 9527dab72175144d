// SPDX-License-Identifier: GPL-2.0
/*
 * Agents and requesters that come, go, answer, fail and are disturbed in random
 * order, while the module is loaded and unloaded. Whatever the order, each
 * request ends in time and in a way that somebody brought about, and in the end
 * nothing is left.
 *
 * KEYAGENT_STRESS_SECONDS says for how long; KEYAGENT_SEED repeats the choices
 * of a run, although not what the scheduler makes of them.
 */

#define _GNU_SOURCE
#include "observe.h"
#include "stress_acts.h"

#define LULL		150	/* steps until all that runs is ended */
#define MANY		500	/* requests of which some end in each way */

static void print_history(DATA *self)
{
	unsigned int i;

	fprintf(stderr, "# KEYAGENT_SEED=%llu; the last steps:\n",
		(unsigned long long)self->seed);
	for (i = 1; i <= HISTORY; i++)
		if (*self->history[(self->number + i) % HISTORY])
			fprintf(stderr, "# %s\n",
				self->history[(self->number + i) % HISTORY]);
}

/* Nothing here takes that long, but for what hangs. */
static DATA *watched;

static void overdue(int sig __maybe_unused)
{
	fprintf(stderr, "# the test itself hangs\n");
	print_history(watched);
	_exit(KSFT_FAIL);
}

static void rest(struct __test_metadata *const _metadata,
		 DATA *self, const uint32_t *x)
{
	(void)_metadata;
	(void)self;
	sleep_ms(x[0] % (stress_timeout_ms() / 8));
}

/* ------------------------------------------------------------ what happens */

static const struct {
	const char *name;
	void (*act)(struct __test_metadata *const _metadata, DATA *self,
		    const uint32_t *x);
	unsigned char weight;
} acts[] = {
	{ "request", request, 40 },
	{ "rest", rest, 20 },
	{ "start agent", start_agent, 10 },
	{ "kill agent", kill_agent, 2 },
	{ "stop agent", stop_agent, 6 },
	{ "limit agent", limit_agent, 5 },
	{ "withdraw agent", withdraw_agent, 6 },
	{ "kill requester", kill_requester, 4 },
	{ "module", toggle_module, 5 },
};

/* A step takes the same numbers from the stream whatever it finds. */
static void take_step(struct __test_metadata *const _metadata,
		      DATA *self, uint64_t *prng)
{
	unsigned char weights[ARRAY_SIZE(acts)];
	unsigned int i, n;
	uint32_t x[10];

	for (i = 0; i < ARRAY_SIZE(acts); i++)
		weights[i] = acts[i].weight;
	i = prng_pick(prng, weights, ARRAY_SIZE(acts));
	alarm(100 * slow());
	*self->history[++self->number % HISTORY] = '\0';
	TELL("%u, at %llu ms: %s", self->number,
	     (unsigned long long)(now_ms() - self->start), acts[i].name);
	for (n = 0; n < ARRAY_SIZE(x); n++)
		x[n] = prng_next(prng) >> 32;
	acts[i].act(_metadata, self, x);
	if (!self->loaded && self->idle++ > 5)
		toggle_module(_metadata, self, x);
	for (i = 0; i < ERRANDS; i++)
		collect(_metadata, self, &self->running[i]);
}

/* The number of links in the process keyring of an agent, as /proc has it. */
static int links_of(const struct agent *a)
{
	char line[1024], *s;

	if (!proc_keys_line(a->sh->ring, NULL, line, sizeof(line)))
		return 0;
	s = strrchr(line, ':');
	return s ? atoi(s + 1) : 0;
}

/* As the module sees it. */
static bool nothing_in_flight(void)
{
	char buf[4096];

	return !file_read(DEBUGFS "requests", buf, sizeof(buf)) || !*buf;
}

/* Ends all requests, then all agents: nothing may be left of either. */
static void lull(struct __test_metadata *const _metadata, DATA *self)
{
	struct agent *a;
	int i;

	alarm(1000 * slow());
	for (i = 0; i < ERRANDS; i++) {
		while (self->running[i].r.pid) {
			collect(_metadata, self, &self->running[i]);
			sleep_ms(1);
		}
	}
	for (a = self->agent; a < self->agent + AGENTS; a++) {
		/* The agent's own key, unless it is withdrawn. */
		EXPECT_TRUE(!a->pid || wait_until(links_of(a) <= 1)) {
			TH_LOG("agent %d has %d links", a->pid, links_of(a));
		}
		if (a->pid)
			note_death(a, 0);
		agent_stop(a);
	}
	ASSERT_EQ(0, keyctl_clear(KEY_SPEC_SESSION_KEYRING));
	EXPECT_TRUE(authkeys_gone());
	EXPECT_TRUE(wait_until(proc_keys_count() <= self->keys)) {
		TH_LOG("%d keys, then %d", self->keys, proc_keys_count());
	}
	EXPECT_TRUE(!stress->odd) {
		TH_LOG("%u results that no agent may see; the first: %s",
		       stress->odd, stress->oddity);
	}
	EXPECT_TRUE(!self->loaded || nothing_in_flight());
	unlink(UPCALL_LOG);
	make_rings(_metadata, self);
}

static long prepare_user(const struct requester_opts *o __maybe_unused)
{
	return become_user();
}

FIXTURE_SETUP(stress)
{
	const struct requester_opts first_of_user = {
		.desc = unique("first"),
		.prepare = prepare_user,
	};

	module_required(_metadata);
	test_type_load(_metadata);
	stress = mmap(NULL, sizeof(*stress), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)stress);
	ASSERT_LT(0, keyctl_join_session(NULL));
	/* The first upcall of all makes keyrings that stay. */
	expect_answer(_metadata, unique("first"), "upcall");
	ASSERT_LT(0, request_in_child(_metadata, &first_of_user).key);
	ASSERT_EQ(0, keyctl_clear(KEY_SPEC_SESSION_KEYRING));
	ASSERT_TRUE(!module_loaded() || !module_unload_wait());
	ASSERT_TRUE(authkeys_gone());
	ASSERT_TRUE(wait_until(!proc_keys_line(0, " first:", NULL, 0)));
	self->keys = proc_keys_count();
	make_rings(_metadata, self);
}

FIXTURE_TEARDOWN(stress)
{
	int i;

	if (_metadata->exit_code == KSFT_FAIL)
		print_history(self);
	for (i = 0; i < ERRANDS; i++)
		if (self->running[i].r.pid)
			kill(self->running[i].r.pid, SIGKILL);
	for (i = 0; i < AGENTS; i++)
		agent_stop(&self->agent[i]);
	EXPECT_EQ(0, module_reload(""));
	test_type_unload();
}

static void print_tally(DATA *self, const char *when)
{
	char line[512] = "";
	unsigned int i;

	for (i = 0; i < OUTCOMES; i++)
		sprintf(line + strlen(line), ", %s %u", outcome_names[i],
			self->tally[i]);
	fprintf(stderr, "# %s: %u steps in %llu s, %u unloads%s\n", when,
		self->number,
		(unsigned long long)(now_ms() - self->start) / 1000,
		self->unloads, line);
}

/* As long as the harness lets a test run; collect() notices what hangs. */
TEST_F_TIMEOUT(stress, random, 12 * 3600)
{
	uint64_t end, shown;
	uint64_t prng;
	unsigned int requests = 0, i;

	watched = self;
	signal(SIGALRM, overdue);
	prng = self->seed = prng_seed();
	fprintf(stderr, "# KEYAGENT_SEED=%llu\n",
		(unsigned long long)self->seed);
	self->start = shown = now_ms();
	end = self->start +
		1000ull * prng_seconds("KEYAGENT_STRESS_SECONDS", 10);
	while (now_ms() < end && _metadata->exit_code != KSFT_FAIL) {
		take_step(_metadata, self, &prng);
		if (self->number % LULL == 0)
			lull(_metadata, self);
		if (now_ms() - shown >= 10000) {
			shown = now_ms();
			print_tally(self, "so far");
		}
	}
	lull(_metadata, self);
	EXPECT_TRUE(!module_loaded() || !module_unload_wait());
	EXPECT_EQ(0, keyctl_clear(KEY_SPEC_SESSION_KEYRING));
	EXPECT_TRUE(wait_until(proc_keys_count() <= self->keys));
	print_tally(self, "in the end");
	for (i = 0; i < OUTCOMES; i++)
		requests += self->tally[i];
	for (i = 0; requests >= MANY && i <= KILLED; i++) {
		/* For these two it takes more chance than a run has. */
		if (i == KEY_EXPIRED || i == KEY_REVOKED)
			continue;
		EXPECT_LT(0u, self->tally[i]) {
			TH_LOG("of %u requests, none ended so: %s", requests,
			       outcome_names[i]);
		}
	}
}

KEYAGENT_HARNESS_MAIN
