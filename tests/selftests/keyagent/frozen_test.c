// SPDX-License-Identifier: GPL-2.0
/*
 * A requester that is frozen while it waits gives its request up, so that nobody waits
 * for it, and makes it again when it goes on. A request of the kernel's own cannot be
 * made again: who is to be frozen there is frozen when the request is over.
 */

#define _GNU_SOURCE
#include "module.h"
#include "test_module.h"

#define CGROUPS		"/run/keyagent-cgroup"
#define CGROUP		CGROUPS "/requester"
#define PM_TEST		"/sys/power/pm_test"
#define PM_STATE	"/sys/power/state"
#define PM_TEST_DELAY	"/sys/module/suspend/parameters/pm_test_delay"

/* The time that an agent takes for what the kernel waits for. */
#define ANSWER_MS	600

/* A way to freeze requesters. */
struct freezer {
	bool (*possible)(void);
	void (*freeze)(struct __test_metadata *_metadata, const pid_t *pids,
		       int n);
	bool (*is_frozen)(void);
	/* NULL: it has gone on already. */
	void (*thaw)(struct __test_metadata *_metadata);
	void (*clean_up)(void);
};

/* ------------------------------------------------------------ by their cgroup */

static void cgroup_enter(struct __test_metadata *const _metadata,
			 const pid_t *pids, int n)
{
	char pid[16];

	while (n--) {
		snprintf(pid, sizeof(pid), "%d", pids[n]);
		ASSERT_EQ(0, write_word(CGROUP "/cgroup.procs", 0, pid));
	}
}

static void cgroup_clean_up(void)
{
	wait_until(!rmdir(CGROUP) || errno != EBUSY);
	umount2(CGROUPS, MNT_DETACH);
	rmdir(CGROUPS);
}

static bool cgroup2_possible(void)
{
	mkdir(CGROUPS, 0755);
	mount("none", CGROUPS, "cgroup2", 0, NULL);
	mkdir(CGROUP, 0755);
	return !access(CGROUP "/cgroup.freeze", W_OK);
}

static bool cgroup2_is_frozen(void)
{
	char buf[256] = "";

	return file_read(CGROUP "/cgroup.events", buf, sizeof(buf)) &&
	       strstr(buf, "frozen 1");
}

static void cgroup2_freeze(struct __test_metadata *const _metadata,
			   const pid_t *pids, int n)
{
	cgroup_enter(_metadata, pids, n);
	ASSERT_EQ(0, write_word(CGROUP "/cgroup.freeze", 0, "1"));
}

static void cgroup2_thaw(struct __test_metadata *const _metadata)
{
	ASSERT_EQ(0, write_word(CGROUP "/cgroup.freeze", 0, "0"));
}

static const struct freezer cgroup2 = {
	.possible = cgroup2_possible,
	.freeze = cgroup2_freeze,
	.is_frozen = cgroup2_is_frozen,
	.thaw = cgroup2_thaw,
	.clean_up = cgroup_clean_up,
};

static bool cgroup1_possible(void)
{
	mkdir(CGROUPS, 0755);
	mount("none", CGROUPS, "cgroup", 0, "freezer");
	mkdir(CGROUP, 0755);
	return !access(CGROUP "/freezer.state", W_OK);
}

static bool cgroup1_is_frozen(void)
{
	char buf[16] = "";

	return file_read(CGROUP "/freezer.state", buf, sizeof(buf)) &&
	       !strcmp(buf, "FROZEN\n");
}

static void cgroup1_freeze(struct __test_metadata *const _metadata,
			   const pid_t *pids, int n)
{
	cgroup_enter(_metadata, pids, n);
	ASSERT_EQ(0, write_word(CGROUP "/freezer.state", 0, "FROZEN"));
}

static void cgroup1_thaw(struct __test_metadata *const _metadata)
{
	ASSERT_EQ(0, write_word(CGROUP "/freezer.state", 0, "THAWED"));
}

static const struct freezer cgroup1 = {
	.possible = cgroup1_possible,
	.freeze = cgroup1_freeze,
	.is_frozen = cgroup1_is_frozen,
	.thaw = cgroup1_thaw,
	.clean_up = cgroup_clean_up,
};

/* ------------------------------------------------------ with the whole system */

static char pm_test_delay[16];

static bool suspend_possible(void)
{
	char states[64] = "";

	return file_read(PM_STATE, states, sizeof(states)) &&
	       strstr(states, "mem") && !access(PM_TEST, W_OK) &&
	       file_read(PM_TEST_DELAY, pm_test_delay, sizeof(pm_test_delay));
}

/* Goes as far as to freeze everybody, and on at once. */
static void freeze_system(struct __test_metadata *const _metadata,
			  const pid_t *pids __maybe_unused,
			  int n __maybe_unused)
{
	ASSERT_EQ(0, write_word(PM_TEST_DELAY, 0, "0"));
	ASSERT_EQ(0, write_word(PM_TEST, 0, "freezer"));
	ASSERT_EQ(0, write_word(PM_STATE, 0, "mem")) {
		TH_LOG("suspend: %s", strerror(errno));
	}
}

static void suspend_clean_up(void)
{
	write_word(PM_TEST, 0, "none");
	write_word(PM_TEST_DELAY, 0, pm_test_delay);
}

static const struct freezer system_freezer = {
	.possible = suspend_possible,
	.freeze = freeze_system,
	.clean_up = suspend_clean_up,
};

/* ------------------------------------------------------------- request_key(2) */

#define DATA	FIXTURE_DATA(frozen)
#define VARIANT	FIXTURE_VARIANT(frozen)

FIXTURE(frozen)
{
	struct agent agent;
	struct outcomes before;
	struct requester_opts opts;
	struct requester r;
	key_serial_t first;	/* the key of the request that is given up */
};

FIXTURE_VARIANT(frozen)
{
	const struct freezer *freezer;
};

FIXTURE_VARIANT_ADD(frozen, by_cgroup1)
{
	.freezer = &cgroup1,
};

FIXTURE_VARIANT_ADD(frozen, by_cgroup2)
{
	.freezer = &cgroup2,
};

FIXTURE_VARIANT_ADD(frozen, by_suspend)
{
	.freezer = &system_freezer,
};

FIXTURE_SETUP(frozen)
{
	const struct agent_opts opts = { .plan.action = AGENT_HOLD };

	test_session(_metadata);
	if (!variant->freezer->possible())
		SKIP(_exit(KSFT_SKIP), "the kernel or the user cannot do that");
	outcomes_read(&self->before);
	agent_start(_metadata, &self->agent, &opts);
	self->opts.desc = unique("frozen");
	requester_start(_metadata, &self->r, &self->opts);
	agent_wait_asked(_metadata, &self->agent, 1);
	self->first = agent_record(&self->agent, 0)->key;
	ASSERT_TRUE(wait_until(in_request_key(self->r.pid)));
}

FIXTURE_TEARDOWN(frozen)
{
	if (variant->freezer->thaw)
		variant->freezer->thaw(_metadata);
	if (self->r.pid > 0)
		kill(self->r.pid, SIGKILL);
	agent_stop(&self->agent);
	variant->freezer->clean_up();
}

/* The first request is given up. */
static void freeze(struct __test_metadata *const _metadata, DATA *self,
		   const struct freezer *f, const pid_t *pids, int n)
{
	f->freeze(_metadata, pids, n);
	if (f->is_frozen) {
		ASSERT_TRUE(wait_until(f->is_frozen()));
		EXPECT_EQ(1, agent_asked(&self->agent));
	}
	EXPECT_TRUE(authkey_gone(self->first));
}

/* The second one is answered. */
static void expect_served(struct __test_metadata *const _metadata, DATA *self,
			  const struct freezer *f)
{
	static const char * const names[] = { "frozen", "served" };
	struct requester_result res;
	struct agent_arg arg = { 0 };

	if (f->thaw)
		f->thaw(_metadata);
	agent_wait_asked(_metadata, &self->agent, 2);
	arg.key = agent_record(&self->agent, 1)->key;
	EXPECT_NE(self->first, arg.key);
	EXPECT_EQ(0, agent_call(_metadata, &self->agent,
				agent_do_assume_and_settle, &arg, sizeof(arg)));
	res = requester_finish(&self->r);
	self->r.pid = 0;
	EXPECT_EQ(arg.key, res.key);
	EXPECT_STREQ("agent", answer(&res));
	EXPECT_EQ(2, agent_asked(&self->agent));
	EXPECT_EQ(0, upcall_count(self->opts.desc, NULL));
	/* If the second waiter made the request, it counts it after the first returns. */
	EXPECT_TRUE(wait_until(!self->before.count ||
			       outcome_growth(&self->before, "served")));
	expect_outcomes(_metadata, &self->before, names, ARRAY_SIZE(names));
	expect_settled(_metadata, &self->agent);
}

TEST_F(frozen, asks_again)
{
	freeze(_metadata, self, variant->freezer, &self->r.pid, 1);
	expect_served(_metadata, self, variant->freezer);
}

/* A second requester of the key in the same cgroup is frozen, too: neither sees an error. */
TEST_F(frozen, second_waiter)
{
	struct requester_result res;
	struct requester second;
	pid_t pids[2];

	requester_join(_metadata, &second, &self->opts);
	pids[0] = self->r.pid;
	pids[1] = second.pid;
	freeze(_metadata, self, variant->freezer, pids, 2);
	expect_served(_metadata, self, variant->freezer);
	res = requester_finish(&second);
	EXPECT_STREQ("agent", answer(&res));
}

/*
 * Who registers a key type waits for the requester, and can neither be frozen before
 * it has, nor may it wait until the requester goes on.
 */
TEST_F(frozen, type_waits)
{
	pid_t loader;

	test_type_unload();
	loader = test_type_start_loading(_metadata);
	ASSERT_TRUE(wait_until(waits_for_types(loader)));
	freeze(_metadata, self, variant->freezer, &self->r.pid, 1);
	EXPECT_EQ(0, wait_child(&loader, 10000 * slow()));
	expect_served(_metadata, self, variant->freezer);
	test_type_unload();
}

#undef DATA
#undef VARIANT

/* ------------------------------------------------- what the kernel waits for */

#define DATA	FIXTURE_DATA(kernel)

FIXTURE(kernel)
{
	struct agent agent;
	struct kernel_requester r;
	struct agent_arg arg;
};

FIXTURE_VARIANT(kernel)
{
	const struct freezer *freezer;
};

FIXTURE_VARIANT_ADD(kernel, by_cgroup1)
{
	.freezer = &cgroup1,
};

FIXTURE_VARIANT_ADD(kernel, by_cgroup2)
{
	.freezer = &cgroup2,
};

FIXTURE_VARIANT_ADD(kernel, by_suspend)
{
	.freezer = &system_freezer,
};

FIXTURE_SETUP(kernel)
{
	const struct agent_opts opts = { .plan.action = AGENT_HOLD };

	module_required(_metadata);
	if (!variant->freezer->possible())
		SKIP(_exit(KSFT_SKIP), "the kernel or the user cannot do that");
	/* The agent is frozen, too, when the system is. */
	if (!variant->freezer->thaw)
		module_reload_short(_metadata);
	test_session(_metadata);
	test_module_load(_metadata);
	agent_start(_metadata, &self->agent, &opts);
	kernel_request_start(_metadata, &self->r, "keep", unique("kernel"),
			     NULL);
	agent_wait_asked(_metadata, &self->agent, 1);
	self->arg.key = agent_record(&self->agent, 0)->key;
	ASSERT_TRUE(wait_until(is_asleep(self->r.pid)));
}

FIXTURE_TEARDOWN(kernel)
{
	if (variant->freezer->thaw)
		variant->freezer->thaw(_metadata);
	if (self->r.pid > 0) {
		kill(self->r.pid, SIGKILL);
		kernel_request_finish(&self->r);
	}
	agent_stop(&self->agent);
	wait_until((test_module_unload(), access(TEST_FILE, F_OK)));
	variant->freezer->clean_up();
	if (!variant->freezer->thaw)
		EXPECT_EQ(0, module_reload(""));
}

/* What it was answered, and what the next one is, which asks what was kept. */
static void expect_kept(struct __test_metadata *const _metadata, DATA *self,
			const char *ans)
{
	EXPECT_STREQ(ans, kernel_request_finish(&self->r));
	self->r.pid = 0;
	EXPECT_EQ(1, agent_asked(&self->agent));
	self->agent.sh->plan.action = AGENT_ANSWER;
	EXPECT_STREQ(ans, kernel_request("keep", unique("second")));
	expect_settled(_metadata, &self->agent);
}

TEST_F(kernel, waits)
{
	const struct freezer *f = variant->freezer;

	f->freeze(_metadata, &self->r.pid, 1);
	if (!f->thaw) {
		expect_kept(_metadata, self, "errno 110");
		return;
	}
	poll(NULL, 0, ANSWER_MS);
	EXPECT_FALSE(f->is_frozen());
	EXPECT_EQ(0, agent_call(_metadata, &self->agent,
				agent_do_assume_and_settle, &self->arg,
				sizeof(self->arg)));
	EXPECT_TRUE(wait_until(f->is_frozen()));
	f->thaw(_metadata);
	expect_kept(_metadata, self, "agent");
}

#undef DATA

/* --------------------------------------- a system call with many such requests */

#define PM_TIMEOUT	"/sys/power/pm_freeze_timeout"

FIXTURE(many)
{
	struct agent agent;
	struct kernel_requester r;
	struct outcomes before;
	char pm_timeout[16];
};

FIXTURE_SETUP(many)
{
	const struct agent_opts opts = { .plan.action = AGENT_HOLD };

	module_required(_metadata);
	if (!suspend_possible() ||
	    !file_read(PM_TIMEOUT, self->pm_timeout, sizeof(self->pm_timeout)))
		SKIP(_exit(KSFT_SKIP), "the kernel or the user cannot do that");
	ASSERT_EQ(0, module_reload("timeout_ms=15000"));
	ASSERT_EQ(0, write_word(PM_TIMEOUT, 0, "25000"));
	test_session(_metadata);
	test_module_load(_metadata);
	ASSERT_TRUE(outcomes_read(&self->before));
	agent_start(_metadata, &self->agent, &opts);
}

FIXTURE_TEARDOWN(many)
{
	if (self->r.pid > 0) {
		kill(self->r.pid, SIGKILL);
		kernel_request_finish(&self->r);
	}
	agent_stop(&self->agent);
	wait_until((test_module_unload(), access(TEST_FILE, F_OK)));
	suspend_clean_up();
	EXPECT_EQ(0, write_word(PM_TIMEOUT, 0, self->pm_timeout));
	EXPECT_EQ(0, module_reload(""));
}

/* The suspend waits for one request, and not for the next, which no agent gets. */
TEST_F_TIMEOUT(many, suspend_waits_for_one, 90)
{
	static const char * const names[] = { "timed_out", "suspending" };

	kernel_request_start(_metadata, &self->r, "twice", unique("twice"), NULL);
	agent_wait_asked(_metadata, &self->agent, 1);
	ASSERT_TRUE(wait_until(is_asleep(self->r.pid)));
	freeze_system(_metadata, NULL, 0);
	/* The kernel starts no programs while it suspends. */
	EXPECT_STREQ("errno 16", kernel_request_finish(&self->r));
	self->r.pid = 0;
	EXPECT_EQ(1, agent_asked(&self->agent));
	expect_outcomes(_metadata, &self->before, names, ARRAY_SIZE(names));
	expect_settled(_metadata, &self->agent);
}

KEYAGENT_HARNESS_MAIN
