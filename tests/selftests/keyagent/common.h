/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the keyagent tests share. This includes the rest: agents (agent.h and
 * agent_control.h), requesters (requester.h), the replacement of /sbin/request-key
 * (upcall.h), the system calls (wrappers.h).
 *
 * A test program ends with KEYAGENT_HARNESS_MAIN instead of TEST_HARNESS_MAIN: it
 * scales the time-outs of all tests by KEYAGENT_SLOW and has the upcalls of the
 * whole run go to upcall_helper. KEYAGENT_TESTS names tests, with blanks between them,
 * as request_test.request.answered. A program of which it names some runs only those.
 */
#ifndef KEYAGENT_COMMON_H
#define KEYAGENT_COMMON_H

#include "kselftest_harness.h"

#include <linux/keyagent.h>

#include "agent.h"
#include "agent_control.h"
#include "requester.h"
#include "sync.h"
#include "upcall.h"
#include "wrappers.h"

_Static_assert(SI_KEYAGENT == -8, "the number is part of the interface");

/*
 * The first thing of every fixture: a new session keyring, and a key type to
 * test. A module that is not loaded is a failure, unless KEYAGENT_REQUIRED=0.
 */
static __maybe_unused void
test_session(struct __test_metadata *const _metadata)
{
	const char *required = getenv("KEYAGENT_REQUIRED");

	ASSERT_LT(0, keyctl_join_session(NULL));
	if (sys_add_key("keyagent", "user", "", 1, KEY_SPEC_SESSION_KEYRING) !=
	    -1 || errno != ENODEV)
		return;
	if (required && !strcmp(required, "0"))
		SKIP(_exit(KSFT_SKIP), "the key type keyagent is not there");
	ASSERT_TRUE(false) {
		TH_LOG("the key type keyagent is not there: load keyagent.ko");
	}
}

/* A description that no other test uses; a buffer of its own at each call. */
static __maybe_unused const char *unique(const char *name)
{
	static char buf[16][128];
	static unsigned int n;
	char *s = buf[n % 16];

	snprintf(s, sizeof(buf[0]), "%s:%d:%u", name, getpid(), n++);
	return s;
}

/* What a key holds, as a string; "" when it cannot be read. */
static __maybe_unused const char *payload_of(key_serial_t key)
{
	static char buf[4096];
	long len = keyctl_read(key, buf, sizeof(buf) - 1);

	if (len < 0)
		len = 0;
	if (len > (long)sizeof(buf) - 1)
		len = sizeof(buf) - 1;
	buf[len] = '\0';
	return buf;
}

/* True if the keyring holds a link to the key. */
static __maybe_unused bool ring_has(key_serial_t ring, key_serial_t key)
{
	key_serial_t keys[1024];
	long len = keyctl_read(ring, keys, sizeof(keys));
	long i;

	for (i = 0; i < len / (long)sizeof(keys[0]); i++)
		if (keys[i] == key)
			return true;
	return false;
}

/*
 * Finds the line of a key in /proc/keys, without the line feed. The key is given
 * by serial, or by a part of the line when that is 0.
 */
static __maybe_unused bool proc_keys_line(key_serial_t key, const char *part,
					  char *line, size_t size)
{
	FILE *f = fopen("/proc/keys", "r");
	char buf[1024];
	bool found = false;

	while (f && !found && fgets(buf, sizeof(buf), f)) {
		if (key ? strtol(buf, NULL, 16) != key :
		    !part || !strstr(buf, part))
			continue;
		buf[strcspn(buf, "\n")] = '\0';
		if (line)
			snprintf(line, size, "%s", buf);
		found = true;
	}
	if (f)
		fclose(f);
	return found;
}

/* How many keys there are that we may view. */
static __maybe_unused int proc_keys_count(void)
{
	FILE *f = fopen("/proc/keys", "re");
	char line[1024];
	int n = 0;

	while (f && fgets(line, sizeof(line), f))
		n++;
	if (f)
		fclose(f);
	return n;
}

/* Writes a word into a file of the kernel; 0, or -1 and errno. */
static __maybe_unused int write_word(const char *path, int flags,
				     const char *word)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | flags);
	ssize_t len = -1;

	if (fd >= 0) {
		len = write(fd, word, strlen(word));
		close(fd);
	}
	return len == (ssize_t)strlen(word) ? 0 : -1;
}

/*
 * Waits for a state that comes by itself, such as the end of a grace period. Not
 * for anything that could tell us.
 */
#define wait_until(_cond) ({						\
	uint64_t __end = now_ms() + 10000ull * slow();			\
	bool __ok;							\
									\
	while (!(__ok = (_cond)) && now_ms() < __end)			\
		poll(NULL, 0, 1);					\
	__ok || (_cond);						\
})

/* True once no live authorisation key for that target key is left. */
static __maybe_unused bool authkey_gone(key_serial_t target)
{
	char part[32];

	snprintf(part, sizeof(part), "key:%x ", target);
	return wait_until(!proc_keys_line(0, part, NULL, 0));
}

/* True once no authorisation key that we may view is left, live or revoked. */
static __maybe_unused bool authkeys_gone(void)
{
	return wait_until(!proc_keys_line(0, " .request_ ", NULL, 0));
}

/* The number of links in a keyring. */
static __maybe_unused int links_in(key_serial_t ring)
{
	return keyctl_read(ring, NULL, 0) / (long)sizeof(key_serial_t);
}

/*
 * What must hold when all requests are over, however they ended: nothing but the
 * agent key is in the agent's process keyring, and no authorisation key is left.
 */
static __maybe_unused void
expect_settled(struct __test_metadata *const _metadata, struct agent *a)
{
	char line[1024] = "";

	EXPECT_EQ(1, agent_call(_metadata, a, agent_do_count_links, NULL, 0));
	EXPECT_TRUE(authkeys_gone()) {
		proc_keys_line(0, " .request_ ", line, sizeof(line));
		TH_LOG("an authorisation key is left: %s", line);
	}
}

static pid_t test_main_pid;

static __maybe_unused void test_main_exit(void)
{
	if (getpid() == test_main_pid)
		upcall_remove();
}

/* Fills in arguments for the harness to run those of KEYAGENT_TESTS; their number. */
static __maybe_unused int test_main_select(char *self, char **args, int max)
{
	const char *program = strrchr(self, '/') ? strrchr(self, '/') + 1 : self;
	size_t len = strlen(program);
	char *names = getenv("KEYAGENT_TESTS"), *name;
	int n = 0;

	args[n++] = self;
	for (name = names ? strtok(strdup(names), " ") : NULL; name;
	     name = strtok(NULL, " ")) {
		if (strncmp(name, program, len) || name[len] != '.' || n + 2 >= max)
			continue;
		args[n++] = (char *)"-r";
		args[n++] = name + len + 1;
	}
	args[n] = NULL;
	return n;
}

static __maybe_unused int keyagent_test_main(int argc, char **argv)
{
	char *selected[64];
	int count = test_main_select(argv[0], selected, ARRAY_SIZE(selected));
	struct __fixture_metadata *f;
	struct __test_metadata *t;

	for (f = __fixture_list; f; f = f->next)
		for (t = f->tests; t; t = t->next)
			t->timeout *= slow();
	if (upcall_install()) {
		perror("# cannot replace " UPCALL_PATH);
		upcall_remove();
		return KSFT_SKIP;
	}
	/* The harness exits when it is through. */
	test_main_pid = getpid();
	atexit(test_main_exit);
	return count > 1 ? test_harness_run(count, selected) :
			   test_harness_run(argc, argv);
}

#define KEYAGENT_HARNESS_MAIN						\
	int main(int argc, char **argv)					\
	{								\
		exit(keyagent_test_main(argc, argv));			\
	}

#endif
