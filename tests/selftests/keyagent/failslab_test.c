// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that cannot be had: each allocation that a request makes fails once,
 * and so does each that adding an agent's key makes. It ends in an answer, in
 * the upcall or in an error that says so, and nothing is left behind. The same goes
 * for loading the module, where a number of allocations is chosen.
 *
 * Needs a kernel that can fail allocations on purpose: CONFIG_FAILSLAB.
 */

#define _GNU_SOURCE
#include "hook.h"

#define FAILSLAB	"/sys/kernel/debug/failslab/"
#define FAIL_NTH	"/proc/thread-self/fail-nth"
/* No system call here makes more allocations, but for loading the module. */
#define MANY		1000
#define VERY_MANY	1000000
#define KUNIT_FILTER	"/sys/module/kunit/parameters/filter_glob"
#define MODULE_COPY	"/run/keyagent-failslab.ko"

#define DATA FIXTURE_DATA(failslab)

FIXTURE(failslab)
{
	struct agent agent;
	int fail_nth;
	int keys;
	unsigned int agent_answers, upcalls, nomem, nokey;
	struct outcomes before;
};

FIXTURE_SETUP(failslab)
{
	test_session(_metadata);
	self->fail_nth = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	if (self->fail_nth < 0)
		SKIP(return, "there is no " FAIL_NTH);
	/* Those that may sleep, too, and without a word in the kernel log. */
	if (write_word(FAILSLAB "ignore-gfp-wait", 0, "N") ||
	    write_word(FAILSLAB "verbose", 0, "0"))
		SKIP(return, "there is no " FAILSLAB);
	/* What the first of all requests makes stays. */
	expect_answer(_metadata, unique("first"), "upcall");
	ASSERT_TRUE(outcomes_read(&self->before));
}

FIXTURE_TEARDOWN(failslab)
{
	agent_stop(&self->agent);
	write_word(FAILSLAB "ignore-gfp-wait", 0, "Y");
	write_word(FAILSLAB "verbose", 0, "2");
	put(KUNIT_FILTER, "*");
	if (getenv("KEYAGENT_MODULE") && !module_loaded())
		EXPECT_EQ(0, module_load(""));
	unlink(MODULE_COPY);
}

/* The n-th allocation of this thread from now on fails; 0: none does. */
static void fail_nth(struct __test_metadata *const _metadata, DATA *self,
		     int n)
{
	char buf[16];
	int len = snprintf(buf, sizeof(buf), "%d", n);

	ASSERT_EQ(len, pwrite(self->fail_nth, buf, len, 0));
}

/* How many allocations before it would have come to that; ends the waiting for it. */
static int left_to_fail(struct __test_metadata *const _metadata, DATA *self)
{
	char buf[16] = "";

	ASSERT_LT(0, pread(self->fail_nth, buf, sizeof(buf) - 1, 0));
	fail_nth(_metadata, self, 0);
	return atoi(buf);
}

static bool has_failed(struct __test_metadata *const _metadata, DATA *self)
{
	return !left_to_fail(_metadata, self);
}

/* A request whose n-th allocation fails; false when it does not make so many. */
static bool request(struct __test_metadata *const _metadata, DATA *self, int n)
{
	const char *desc = unique("failslab"), *payload;
	key_serial_t key;
	bool failed;
	int error;

	fail_nth(_metadata, self, n);
	key = sys_request_key("user", desc, "x", KEY_SPEC_SESSION_KEYRING);
	error = errno;
	failed = has_failed(_metadata, self);
	if (key > 0) {
		payload = payload_of(key);
		if (!strcmp(payload, "upcall"))
			self->upcalls++;
		else if (!strcmp(payload, "agent"))
			self->agent_answers++;
		else
			EXPECT_STREQ("agent", payload);
		EXPECT_EQ(0, keyctl_unlink(key, KEY_SPEC_SESSION_KEYRING));
	} else if (error == ENOMEM) {
		self->nomem++;
	} else if (error == ENOKEY) {
		self->nokey++;
	} else {
		EXPECT_EQ(EDQUOT, error);
	}
	if (_metadata->exit_code == KSFT_FAIL)
		TH_LOG("allocation %d: key %d, %s", n, key, strerror(error));
	return failed;
}

/* Requests until one makes fewer allocations; none leaves anything. */
static void request_all(struct __test_metadata *const _metadata, DATA *self,
			const char *next)
{
	struct agent *a = &self->agent;
	int n;

	ASSERT_TRUE(authkeys_gone());
	self->keys = proc_keys_count();
	for (n = 1; n < MANY && request(_metadata, self, n); n++) {
		/* The garbage collector drops a link that could not be removed. */
		EXPECT_TRUE(authkeys_gone());
		if (a->pid)
			EXPECT_EQ(1, agent_call(_metadata, a,
						agent_do_count_links, NULL, 0));
		expect_answer(_metadata, unique("next"), next);
		ASSERT_NE(KSFT_FAIL, _metadata->exit_code) {
			TH_LOG("it was allocation %d", n);
		}
	}
	EXPECT_GT(MANY, n);
	TH_LOG("%d allocations: %u agent, %u upcall, %u ENOMEM, %u ENOKEY",
	       n - 1, self->agent_answers, self->upcalls, self->nomem,
	       self->nokey);
	/* The agent's key lives in its process keyring. */
	ASSERT_EQ(0, keyctl_clear(KEY_SPEC_SESSION_KEYRING));
	EXPECT_TRUE(wait_until(proc_keys_count() <= self->keys)) {
		TH_LOG("%d keys, then %d", self->keys, proc_keys_count());
	}
}

/* Where the signal cannot be queued, it is sent later. */
TEST_F_TIMEOUT(failslab, answered, 120)
{
	agent_start(_metadata, &self->agent, NULL);
	request_all(_metadata, self, "agent");
	/* The first failures come before the agent, others when it is asked. */
	EXPECT_LT(0u, self->nomem);
	EXPECT_LT(0u, self->upcalls);
	EXPECT_LT(1u, self->agent_answers);
	/*
	 * The place in the table, the link, or what ends the request: which of them
	 * is chance, for the kernel does not make the same allocations each time.
	 */
	EXPECT_LE(1, outcome_growth(&self->before, "no_memory"));
}

/* A request that takes the way through the module without an agent. */
TEST_F_TIMEOUT(failslab, upcall, 120)
{
	request_all(_metadata, self, "upcall");
	EXPECT_LT(0u, self->nomem);
	EXPECT_LT(0u, self->upcalls);
	EXPECT_EQ(0u, self->agent_answers);
	/* The module allocates nothing. */
	EXPECT_EQ(0, outcome_growth(&self->before, "no_memory"));
}

TEST_F_TIMEOUT(failslab, add_key, 120)
{
	const uint16_t sig = AGENT_SIGNAL;
	bool failed = true;
	key_serial_t key;
	char line[1024];
	int n;

	ASSERT_LT(0, keyctl_get_keyring_id(KEY_SPEC_PROCESS_KEYRING, 1));
	ASSERT_EQ(0, keyctl_clear(KEY_SPEC_SESSION_KEYRING));
	ASSERT_TRUE(authkeys_gone());
	ASSERT_TRUE(wait_until(!proc_keys_line(0, " first:", NULL, 0)));
	self->keys = proc_keys_count();
	for (n = 1; n < MANY && failed; n++) {
		fail_nth(_metadata, self, n);
		key = sys_add_key("keyagent", "user", &sig, sizeof(sig),
				  KEY_SPEC_SESSION_KEYRING);
		if (key < 0)
			EXPECT_TRUE(errno == ENOMEM || errno == EDQUOT) {
				TH_LOG("allocation %d: %s", n, strerror(errno));
			}
		failed = has_failed(_metadata, self);
		ASSERT_EQ(key > 0, links_in(KEY_SPEC_SESSION_KEYRING));
		self->nomem += key < 0;
		/* The next one is there, and displaces this one. */
		key = sys_add_key("keyagent", "user", &sig, sizeof(sig),
				  KEY_SPEC_SESSION_KEYRING);
		ASSERT_LT(0, key);
		ASSERT_TRUE(proc_keys_line(key, NULL, line, sizeof(line)));
		EXPECT_NE(NULL, strstr(line, " sig 40"));
		ASSERT_EQ(0, keyctl_clear(KEY_SPEC_SESSION_KEYRING));
	}
	TH_LOG("%d allocations: %u failures", n - 2, self->nomem);
	EXPECT_GT(MANY, n);
	/* At least the key, its description and the payload. */
	EXPECT_LE(3u, self->nomem);
	EXPECT_TRUE(wait_until(proc_keys_count() <= self->keys)) {
		TH_LOG("%d keys, then %d", self->keys, proc_keys_count());
	}
}

/* How many allocations loading the module makes; the result in @ret. */
static int load_allocations(struct __test_metadata *const _metadata,
			    DATA *self, const char *params, int *ret)
{
	fail_nth(_metadata, self, VERY_MANY);
	*ret = module_load(params);
	return VERY_MANY - left_to_fail(_metadata, self);
}

/* Loads the module with the n-th allocation failing, and removes it again. */
static void load_and_fail(struct __test_metadata *const _metadata, DATA *self,
			  int n)
{
	char line[1024];
	int ret, error;

	fail_nth(_metadata, self, n);
	ret = module_load("");
	error = errno;
	/* The kernel does not make the same number each time. */
	if (!has_failed(_metadata, self))
		EXPECT_EQ(0, ret);
	if (!ret) {
		/* The module can do without it, as without files in debugfs. */
		EXPECT_TRUE(hooked_by_anyone());
		EXPECT_EQ(0, module_unload_wait());
	} else {
		EXPECT_EQ(ENOMEM, error) {
			TH_LOG("%s", strerror(error));
		}
		self->nomem++;
	}
	EXPECT_FALSE(module_loaded());
	EXPECT_FALSE(hooked_by_anyone());
	EXPECT_TRUE(wait_until(!proc_keys_line(0, " .keyagent", line,
					       sizeof(line)))) {
		TH_LOG("a key is left: %s", line);
	}
	ASSERT_NE(KSFT_FAIL, _metadata->exit_code) {
		TH_LOG("it was allocation %d", n);
	}
}

/*
 * A load that is refused for its parameter says how many allocations the module
 * loader makes first. Those that the module itself makes follow.
 */
TEST_F_TIMEOUT(failslab, load, 300)
{
	const char *wanted = getenv("KEYAGENT_FAIL_LOADS");
	int loads = wanted ? atoi(wanted) : 60;
	int first, last, step, n, ret;

	module_required(_metadata);
	/*
	 * A 9p client that has no memory to close a file uses the file's number
	 * again, and then the server refuses to open any file. So the module is
	 * loaded from a file in memory.
	 */
	ASSERT_EQ(0, file_copy(getenv("KEYAGENT_MODULE"), MODULE_COPY));
	ASSERT_EQ(0, setenv("KEYAGENT_MODULE", MODULE_COPY, 1));
	ASSERT_EQ(0, module_unload_wait());
	/* The KUnit tests of the module are no part of loading. */
	put(KUNIT_FILTER, "none");
	first = load_allocations(_metadata, self, "timeout_ms=99", &ret);
	ASSERT_EQ(-1, ret);
	/* The announcement that the module goes makes some, too. */
	first = first > 20 ? first - 20 : 1;
	last = load_allocations(_metadata, self, "", &ret);
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, module_unload_wait());
	ASSERT_LT(first, last);
	step = loads > 0 && loads < last - first ? (last - first) / loads : 1;
	TH_LOG("allocations %d to %d, each %d.", first, last, step);
	for (n = first; n <= last; n += step)
		load_and_fail(_metadata, self, n);
	TH_LOG("%u ENOMEM", self->nomem);
	EXPECT_LT(0u, self->nomem);

	ASSERT_EQ(0, module_load(""));
	expect_hook(_metadata, &self->agent);
}

KEYAGENT_HARNESS_MAIN
