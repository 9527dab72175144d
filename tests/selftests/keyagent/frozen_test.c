// SPDX-License-Identifier: GPL-2.0
/*
 * A requester that is stopped or frozen while it waits gives its request up, so
 * that nobody waits for it, and makes it again when it goes on.
 */

#define _GNU_SOURCE
#include "observe.h"

#define DATA FIXTURE_DATA(frozen)

#define CGROUPS		"/run/keyagent-cgroup"
#define CGROUP		CGROUPS "/requester"
#define PM_TEST		"/sys/power/pm_test"
#define PM_STATE	"/sys/power/state"
#define PM_TEST_DELAY	"/sys/module/suspend/parameters/pm_test_delay"

FIXTURE(frozen)
{
	struct agent agent;
	struct requester r;
	char delay[16];		/* what PM_TEST_DELAY was */
};

FIXTURE_VARIANT(frozen)
{
	bool (*possible)(DATA *self);
	void (*stop)(struct __test_metadata *_metadata, DATA *self);
	void (*go_on)(struct __test_metadata *_metadata, DATA *self);
	void (*clean_up)(DATA *self);
};

/* --------------------------------------------------------- stopped by a signal */

static void signal_stop(struct __test_metadata *const _metadata, DATA *self)
{
	ASSERT_EQ(0, kill(self->r.pid, SIGSTOP));
	ASSERT_TRUE(wait_until(proc_state(self->r.pid) == 'T'));
}

static void signal_go_on(struct __test_metadata *const _metadata, DATA *self)
{
	ASSERT_EQ(0, kill(self->r.pid, SIGCONT));
}

FIXTURE_VARIANT_ADD(frozen, by_signal)
{
	.stop = signal_stop,
	.go_on = signal_go_on,
};

/* --------------------------------------------------------- frozen by its cgroup */

static bool cgroup_possible(DATA *self __maybe_unused)
{
	mkdir(CGROUPS, 0755);
	mount("none", CGROUPS, "cgroup2", 0, NULL);
	mkdir(CGROUP, 0755);
	return !access(CGROUP "/cgroup.freeze", W_OK);
}

static bool cgroup_is_frozen(void)
{
	char buf[256] = "";

	return file_read(CGROUP "/cgroup.events", buf, sizeof(buf)) &&
	       strstr(buf, "frozen 1");
}

static void cgroup_stop(struct __test_metadata *const _metadata, DATA *self)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", self->r.pid);
	ASSERT_EQ(0, write_word(CGROUP "/cgroup.procs", 0, pid));
	ASSERT_EQ(0, write_word(CGROUP "/cgroup.freeze", 0, "1"));
	ASSERT_TRUE(wait_until(cgroup_is_frozen()));
}

static void cgroup_go_on(struct __test_metadata *const _metadata,
			 DATA *self __maybe_unused)
{
	ASSERT_EQ(0, write_word(CGROUP "/cgroup.freeze", 0, "0"));
}

static void cgroup_clean_up(DATA *self __maybe_unused)
{
	wait_until(!rmdir(CGROUP) || errno != EBUSY);
	umount2(CGROUPS, MNT_DETACH);
	rmdir(CGROUPS);
}

FIXTURE_VARIANT_ADD(frozen, by_cgroup)
{
	.possible = cgroup_possible,
	.stop = cgroup_stop,
	.go_on = cgroup_go_on,
	.clean_up = cgroup_clean_up,
};

/* ----------------------------------------------- frozen with the whole system */

static bool suspend_possible(DATA *self)
{
	char states[64] = "";

	return file_read(PM_STATE, states, sizeof(states)) &&
	       strstr(states, "mem") && !access(PM_TEST, W_OK) &&
	       file_read(PM_TEST_DELAY, self->delay, sizeof(self->delay));
}

/* Goes as far as to freeze everybody, and on at once. */
static void system_stop(struct __test_metadata *const _metadata,
			DATA *self __maybe_unused)
{
	ASSERT_EQ(0, write_word(PM_TEST_DELAY, 0, "0"));
	ASSERT_EQ(0, write_word(PM_TEST, 0, "freezer"));
	ASSERT_EQ(0, write_word(PM_STATE, 0, "mem")) {
		TH_LOG("suspend: %s", strerror(errno));
	}
}

static void suspend_clean_up(DATA *self)
{
	write_word(PM_TEST, 0, "none");
	write_word(PM_TEST_DELAY, 0, self->delay);
}

FIXTURE_VARIANT_ADD(frozen, by_suspend)
{
	.possible = suspend_possible,
	.stop = system_stop,
	.clean_up = suspend_clean_up,
};

/* ------------------------------------------------------------------- the test */

FIXTURE_SETUP(frozen)
{
	const struct agent_opts opts = { .plan.action = AGENT_HOLD };

	test_session(_metadata);
	if (variant->possible && !variant->possible(self))
		SKIP(_exit(KSFT_SKIP), "the kernel or the user cannot do that");
	agent_start(_metadata, &self->agent, &opts);
}

FIXTURE_TEARDOWN(frozen)
{
	agent_stop(&self->agent);
	if (variant->clean_up)
		variant->clean_up(self);
}

TEST_F(frozen, asks_again)
{
	const struct requester_opts o = { .desc = unique("frozen") };
	struct requester_result res;
	struct agent_arg arg = { 0 };
	key_serial_t first;

	requester_start(_metadata, &self->r, &o);
	agent_wait_asked(_metadata, &self->agent, 1);
	first = agent_record(&self->agent, 0)->key;
	ASSERT_TRUE(wait_until(in_request_key(self->r.pid)));
	variant->stop(_metadata, self);
	EXPECT_TRUE(authkey_gone(first));
	if (variant->go_on) {
		EXPECT_EQ(1, agent_asked(&self->agent));
		variant->go_on(_metadata, self);
	}

	agent_wait_asked(_metadata, &self->agent, 2);
	arg.key = agent_record(&self->agent, 1)->key;
	EXPECT_NE(first, arg.key);
	EXPECT_EQ(0, agent_call(_metadata, &self->agent,
				agent_do_assume_and_settle, &arg, sizeof(arg)));
	res = requester_finish(&self->r);
	EXPECT_EQ(arg.key, res.key);
	EXPECT_STREQ("agent", answer(&res));
	EXPECT_EQ(0, upcall_count(o.desc, NULL));
	expect_settled(_metadata, &self->agent);
}

KEYAGENT_HARNESS_MAIN
