// SPDX-License-Identifier: GPL-2.0
/*
 * Other probes on the function that the module takes over: one that was there
 * first keeps the module out, one that comes later works beside it, and neither
 * is left behind when the other goes.
 */

#define _GNU_SOURCE
#include "module.h"

#define TRACING		"/sys/kernel/tracing/"
#define EVENT		"keyagent_test/upcall"
#define HITS		TRACING "kprobe_profile"

static int put(const char *path, const char *word)
{
	return write_word(path, O_APPEND, word);
}

static int tracer_add(void)
{
	return put(TRACING "kprobe_events",
		   "p:" EVENT " call_sbin_request_key\n") ||
	       put(TRACING "events/" EVENT "/enable", "1");
}

static int tracer_remove(void)
{
	return put(TRACING "events/" EVENT "/enable", "0") ||
	       put(TRACING "kprobe_events", "-:" EVENT "\n");
}

/* How often the tracer's probe was hit and missed, or -1. */
static long tracer_hits(void)
{
	unsigned long hit = 0, miss = 0;
	char line[256];
	long sum = -1;
	FILE *f;

	f = fopen(HITS, "re");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, " upcall %lu %lu", &hit, &miss) == 2)
			sum = hit + miss;
	}
	fclose(f);
	return sum;
}

FIXTURE(probe)
{
	struct agent agent;
};

FIXTURE_SETUP(probe)
{
	module_required(_metadata);
	if (access(TRACING "kprobe_events", W_OK))
		SKIP(return, "the kernel has no kprobe events");
	test_session(_metadata);
}

FIXTURE_TEARDOWN(probe)
{
	tracer_remove();
	agent_stop(&self->agent);
	if (!module_loaded())
		EXPECT_EQ(0, module_load(""));
}

TEST_F(probe, first_keeps_the_module_out)
{
	ASSERT_EQ(0, module_unload_wait());
	ASSERT_EQ(0, tracer_add());
	EXPECT_EQ(-1, module_load(""));
	EXPECT_EQ(EBUSY, errno);
	EXPECT_FALSE(module_loaded());

	/* The tracer works on, and can be removed. */
	expect_answer(_metadata, unique("traced"), "upcall");
	EXPECT_EQ(1, tracer_hits());
	ASSERT_EQ(0, tracer_remove());
	expect_answer(_metadata, unique("alone"), "upcall");

	ASSERT_EQ(0, module_load(""));
	agent_start(_metadata, &self->agent, NULL);
	expect_answer(_metadata, unique("loaded"), "agent");
}

TEST_F(probe, later_one_goes_first)
{
	ASSERT_EQ(0, tracer_add());
	agent_start(_metadata, &self->agent, NULL);
	expect_answer(_metadata, unique("both"), "agent");
	ASSERT_EQ(0, tracer_remove());
	expect_answer(_metadata, unique("module"), "agent");
	agent_stop(&self->agent);
	ASSERT_EQ(0, module_unload_wait());
	expect_answer(_metadata, unique("neither"), "upcall");
}

TEST_F(probe, later_one_stays)
{
	long hits;

	ASSERT_EQ(0, tracer_add());
	ASSERT_EQ(0, module_unload_wait());
	expect_answer(_metadata, unique("tracer"), "upcall");
	hits = tracer_hits();
	EXPECT_LT(0, hits);

	/* It has become the first. */
	EXPECT_EQ(-1, module_load(""));
	EXPECT_EQ(EBUSY, errno);
	ASSERT_EQ(0, tracer_remove());
	expect_answer(_metadata, unique("neither"), "upcall");
}

KEYAGENT_HARNESS_MAIN
