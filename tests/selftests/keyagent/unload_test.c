// SPDX-License-Identifier: GPL-2.0
/*
 * The module is unloaded with many agent keys about: that does not take a grace period
 * of RCU for each, while whoever uses keys has to wait.
 *
 * Grace periods are counted, by probes, and not timed: how long one takes is the
 * machine's.
 */

#define _GNU_SOURCE
#include "module.h"
#include "observe.h"

#define KEYS	300
#define GROUP	"keyagent_unload"
#define EVENTS	TRACEFS "kprobe_events"
#define ENABLE	TRACEFS "events/" GROUP "/enable"
#define PROFILE	TRACEFS "kprobe_profile"

/* What waits for a grace period, or for what others have left to one. */
static const char * const functions[] = {
	"synchronize_rcu", "synchronize_rcu_expedited", "rcu_barrier",
};

FIXTURE(unload)
{
};

static void remove_probes(void)
{
	char event[128];
	unsigned int i;

	write_word(ENABLE, 0, "0");
	for (i = 0; i < ARRAY_SIZE(functions); i++) {
		snprintf(event, sizeof(event), "-:" GROUP "/%s", functions[i]);
		write_word(EVENTS, O_APPEND, event);
	}
}

FIXTURE_SETUP(unload)
{
	char event[128];
	unsigned int i;

	module_required(_metadata);
	if (!module_loaded())
		ASSERT_EQ(0, module_load(""));
	test_session(_metadata);
	ASSERT_LT(0, keyctl_get_keyring_id(KEY_SPEC_PROCESS_KEYRING, 1));
	remove_probes();
	for (i = 0; i < ARRAY_SIZE(functions); i++) {
		snprintf(event, sizeof(event), "p:" GROUP "/%s %s",
			 functions[i], functions[i]);
		if (write_word(EVENTS, O_APPEND, event))
			SKIP(_exit(KSFT_SKIP), "cannot probe %s",
			     functions[i]);
	}
	ASSERT_EQ(0, write_word(ENABLE, 0, "1"));
}

FIXTURE_TEARDOWN(unload)
{
	remove_probes();
	if (!module_loaded())
		EXPECT_EQ(0, module_load(""));
}

/* How often the functions have been called since there are the probes. */
static long grace_periods(void)
{
	char line[256], name[64];
	FILE *f = fopen(PROFILE, "re");
	long hits, sum = 0;
	unsigned int i;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63s %ld", name, &hits) != 2)
			continue;
		for (i = 0; i < ARRAY_SIZE(functions); i++)
			if (!strcmp(name, functions[i]))
				sum += hits;
	}
	if (f)
		fclose(f);
	return sum;
}

/* How many it takes to unload the module with so many keys, and to load it. */
static long reload(struct __test_metadata *const _metadata, int keys)
{
	const uint64_t since = now_ms();
	const uint16_t sig = AGENT_SIGNAL;
	const long before = grace_periods();
	char type[16];
	uint64_t took;
	long n;
	int i;

	for (i = 0; i < keys; i++) {
		snprintf(type, sizeof(type), "type%d", i);
		ASSERT_LT(0, sys_add_key("keyagent", type, &sig, sizeof(sig),
					 KEY_SPEC_SESSION_KEYRING));
	}
	ASSERT_EQ(0, module_unload_wait());
	n = grace_periods() - before;
	took = now_ms() - since;
	ASSERT_EQ(0, module_load(""));
	TH_LOG("%d keys: %ld grace periods, %llu ms", keys, n,
	       (unsigned long long)took);
	return n;
}

TEST_F_TIMEOUT(unload, many_keys, 120)
{
	const long none = reload(_metadata, 0);
	const long many = reload(_metadata, KEYS);

	/* The rest of the machine may wait for some as well. */
	EXPECT_LT(0, none);
	EXPECT_GT(KEYS / 4, many - none);
}

KEYAGENT_HARNESS_MAIN
