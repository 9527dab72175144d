// SPDX-License-Identifier: GPL-2.0
/*
 * The module is unloaded with many agent keys that are in use: that does not take a
 * grace period of RCU for each, while whoever adds or requests a key has to wait.
 *
 * Grace periods are counted, by probes, and not timed: how long one takes is the
 * machine's.
 */

#define _GNU_SOURCE
#include "fuse.h"
#include "module.h"
#include "observe.h"

#define KEYS	64
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
	struct fuse_file file;
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
	if (!fuse_start(_metadata, &self->file)) {
		remove_probes();
		SKIP(_exit(KSFT_SKIP), "no FUSE: %s", strerror(errno));
	}
}

FIXTURE_TEARDOWN(unload)
{
	fuse_stop(&self->file);
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

/* Keys that somebody has at hand, each a thread in a system call. */
struct holder {
	key_serial_t key;
	void *page;		/* which is never there */
	pid_t tid;
};

static void *describe(void *arg)
{
	struct holder *h = arg;

	__atomic_store_n(&h->tid, syscall(__NR_gettid), __ATOMIC_SEQ_CST);
	keyctl_describe(h->key, h->page, PAGE);
	return NULL;
}

/* Has a thread of this process describe the key to a page that does not come. */
static void hold_key(struct __test_metadata *const _metadata, struct holder *h)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	ASSERT_EQ(0, pthread_create(&thread, &attr, describe, h));
	ASSERT_TRUE(wait_until(__atomic_load_n(&h->tid, __ATOMIC_SEQ_CST) &&
			       in_syscall(h->tid, __NR_keyctl)));
}

/* How many grace periods it takes to unload the module with so many keys. */
static long unload_with(struct __test_metadata *const _metadata, void *page,
			int keys)
{
	struct holder *holders = calloc(keys + 1, sizeof(*holders));
	const uint16_t sig = AGENT_SIGNAL;
	char type[16];
	long before, n;
	int i;

	ASSERT_NE(NULL, holders);
	for (i = 0; i < keys; i++) {
		snprintf(type, sizeof(type), "type%d", i);
		holders[i].page = page;
		holders[i].key = sys_add_key("keyagent", type, &sig,
					     sizeof(sig),
					     KEY_SPEC_SESSION_KEYRING);
		ASSERT_LT(0, holders[i].key);
		hold_key(_metadata, &holders[i]);
	}
	before = grace_periods();
	ASSERT_EQ(0, module_unload_wait());
	n = grace_periods() - before;
	ASSERT_EQ(0, module_load(""));
	TH_LOG("%d keys: %ld grace periods", keys, n);
	return n;
}

/*
 * The key service takes the links away itself, a whole keyring at a time. What is left
 * are the keys that are in use.
 */
TEST_F_TIMEOUT(unload, many_keys, 120)
{
	struct stat st;
	void *page;
	long none;
	int fd;

	fd = open(self->file.path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	/* That is when the kernel learns how long it is. */
	ASSERT_EQ(0, fstat(fd, &st));
	ASSERT_EQ(PAGE, st.st_size);
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	ASSERT_NE(MAP_FAILED, page);
	none = unload_with(_metadata, page, 0);
	/* The rest of the machine may wait for some as well. */
	EXPECT_LT(0, none);
	EXPECT_GT(none + KEYS / 2, unload_with(_metadata, page, KEYS));
}

KEYAGENT_HARNESS_MAIN
