// SPDX-License-Identifier: GPL-2.0
/*
 * The key type "keyagent" as add_key(2) and keyctl(2) see it: what registers an
 * agent, what is refused and how, what the key shows. No request is made here,
 * but for keys of type keyagent itself.
 */

#include "common.h"

static const char name31[] = "abcdefghijklmnopqrstuvwxyz01234";
static const char name32[] = "abcdefghijklmnopqrstuvwxyz012345";

_Static_assert(sizeof(name31) == 32, "31 characters");

FIXTURE(keytype) {
};

FIXTURE_SETUP(keytype)
{
	test_session(_metadata);
	ASSERT_LT(0, keyctl_get_keyring_id(KEY_SPEC_PROCESS_KEYRING, 1));
}

FIXTURE_TEARDOWN(keytype)
{
}

/* --------------------------------------------------------- the description */

FIXTURE(description) {
};

FIXTURE_VARIANT(description) {
	const char *desc;
	int error;
};

FIXTURE_VARIANT_ADD(description, null) { NULL, EINVAL };
FIXTURE_VARIANT_ADD(description, empty) { "", EINVAL };
FIXTURE_VARIANT_ADD(description, one) { "u", 0 };
FIXTURE_VARIANT_ADD(description, user) { "user", 0 };
FIXTURE_VARIANT_ADD(description, dns_resolver) { "dns_resolver", 0 };
FIXTURE_VARIANT_ADD(description, keyring) { "keyring", 0 };
/* The kernel requests keys of types of its own, whose names begin with a dot. */
FIXTURE_VARIANT_ADD(description, dot) { ".x", 0 };
FIXTURE_VARIANT_ADD(description, not_registered) { "no.such-type", 0 };
FIXTURE_VARIANT_ADD(description, chars_31) { name31, 0 };
FIXTURE_VARIANT_ADD(description, chars_32) { name32, EINVAL };
FIXTURE_VARIANT_ADD(description, keyagent) { "keyagent", EINVAL };
FIXTURE_VARIANT_ADD(description, keyagent_longer) { "keyagent2", 0 };
FIXTURE_VARIANT_ADD(description, keyagent_shorter) { "keyagen", 0 };

FIXTURE_SETUP(description)
{
	test_session(_metadata);
	ASSERT_LT(0, keyctl_get_keyring_id(KEY_SPEC_PROCESS_KEYRING, 1));
}

FIXTURE_TEARDOWN(description)
{
}

TEST_F(description, add_key)
{
	const uint16_t sig = 40;
	key_serial_t key;
	char buf[256];

	key = sys_add_key("keyagent", variant->desc, &sig, sizeof(sig),
			  KEY_SPEC_SESSION_KEYRING);
	if (variant->error) {
		EXPECT_EQ(-1, key);
		EXPECT_EQ(variant->error, errno);
		EXPECT_EQ(0, links_in(KEY_SPEC_SESSION_KEYRING));
		return;
	}
	ASSERT_LT(0, key);
	ASSERT_LT(0, keyctl_describe(key, buf, sizeof(buf)));
	EXPECT_STREQ(variant->desc, strrchr(buf, ';') + 1);
}

TEST_F(keytype, longest_description)
{
	const uint16_t sig = 40;
	char desc[4096];

	memset(desc, 'a', sizeof(desc));
	desc[4095] = '\0';
	EXPECT_EQ(-1, sys_add_key("keyagent", desc, &sig, sizeof(sig),
				  KEY_SPEC_SESSION_KEYRING));
	EXPECT_EQ(EINVAL, errno);
}

/* -------------------------------------------------------- process keyring */

/* In a child: a process keyring is not inherited. Returns 0 or the errno. */
static int add_in_child(struct __test_metadata *const _metadata,
			key_serial_t ring, bool *made_one)
{
	int fds[2], report[2] = { -1, -1 };
	const uint16_t sig = 40;
	pid_t pid;

	ASSERT_EQ(0, pipe(fds));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		report[0] = sys_add_key("keyagent", "user", &sig, sizeof(sig),
					ring) < 0 ? errno : 0;
		report[1] = keyctl_get_keyring_id(KEY_SPEC_PROCESS_KEYRING,
						  0) < 0 ? errno : 0;
		_exit(write(fds[1], report, sizeof(report)) < 0);
	}
	close(fds[1]);
	ASSERT_EQ((ssize_t)sizeof(report),
		  read(fds[0], report, sizeof(report)));
	close(fds[0]);
	waitpid(pid, NULL, 0);
	ASSERT_TRUE(!report[1] || report[1] == ENOKEY);
	*made_one = !report[1];
	return report[0];
}

TEST_F(keytype, no_process_keyring)
{
	bool has_one;

	EXPECT_EQ(ENOKEY, add_in_child(_metadata, KEY_SPEC_SESSION_KEYRING,
				       &has_one));
	EXPECT_FALSE(has_one);
	EXPECT_EQ(0, links_in(KEY_SPEC_SESSION_KEYRING));
	EXPECT_EQ(ENOKEY, add_in_child(_metadata, KEY_SPEC_THREAD_KEYRING,
				       &has_one));
	EXPECT_FALSE(has_one);
}

/* The core makes the destination keyring before the key type is asked. */
TEST_F(keytype, process_keyring_as_destination)
{
	bool has_one;

	EXPECT_EQ(0, add_in_child(_metadata, KEY_SPEC_PROCESS_KEYRING,
				  &has_one));
	EXPECT_TRUE(has_one);
}

/* ------------------------------------------------------- what the key does */

static key_serial_t add_agent_key(struct __test_metadata *const _metadata)
{
	const uint16_t sig = 40;
	key_serial_t key = sys_add_key("keyagent", "user", &sig, sizeof(sig),
				       KEY_SPEC_SESSION_KEYRING);

	ASSERT_LT(0, key);
	return key;
}

TEST_F(keytype, no_update)
{
	key_serial_t key = add_agent_key(_metadata);
	const uint16_t sig = 41;
	char line[1024];

	/* A key type without that operation gives no WRITE by default ... */
	EXPECT_EQ(-1, keyctl_update(key, &sig, sizeof(sig)));
	EXPECT_EQ(EACCES, errno);
	/* ... and with WRITE there is nothing to call. */
	ASSERT_EQ(0, keyctl_setperm(key, KEY_POS_ALL));
	EXPECT_EQ(-1, keyctl_update(key, &sig, sizeof(sig)));
	EXPECT_EQ(EOPNOTSUPP, errno);
	ASSERT_TRUE(proc_keys_line(key, NULL, line, sizeof(line)));
	EXPECT_NE(NULL, strstr(line, " sig 40"));
}

TEST_F(keytype, describe)
{
	key_serial_t key = add_agent_key(_metadata);
	char buf[256], want[256];

	ASSERT_LT(0, keyctl_describe(key, buf, sizeof(buf)));
	snprintf(want, sizeof(want), "keyagent;%d;%d;%08x;user", getuid(),
		 getgid(), KEY_POS_VIEW | KEY_POS_READ | KEY_POS_SEARCH |
		 KEY_POS_LINK | KEY_POS_SETATTR | KEY_USR_VIEW);
	EXPECT_STREQ(want, buf);
}

TEST_F(keytype, proc_keys)
{
	key_serial_t key = add_agent_key(_metadata);
	char line[1024], want[64];

	ASSERT_TRUE(proc_keys_line(key, NULL, line, sizeof(line)));
	snprintf(want, sizeof(want), " keyagent  user: pid %d sig 40",
		 getpid());
	EXPECT_NE(NULL, strstr(line, want)) {
		TH_LOG("no '%s' in '%s'", want, line);
	}
}

TEST_F(keytype, proc_keys_of_a_dead_agent)
{
	char line[1024];
	struct agent a;
	key_serial_t key;

	agent_start(_metadata, &a, NULL);
	key = a.sh->key;
	agent_stop(&a);
	ASSERT_TRUE(proc_keys_line(key, NULL, line, sizeof(line)));
	EXPECT_NE(NULL, strstr(line, " keyagent  user: dead")) {
		TH_LOG("not dead: '%s'", line);
	}
}

/* There is no update: the same description again is another key. */
TEST_F(keytype, same_description_again)
{
	key_serial_t first = add_agent_key(_metadata);
	key_serial_t second = add_agent_key(_metadata);

	EXPECT_NE(first, second);
	EXPECT_FALSE(ring_has(KEY_SPEC_SESSION_KEYRING, first));
	EXPECT_TRUE(ring_has(KEY_SPEC_SESSION_KEYRING, second));
	EXPECT_EQ(1, links_in(KEY_SPEC_SESSION_KEYRING));
}

TEST_F(keytype, found_by_search)
{
	key_serial_t key = add_agent_key(_metadata);

	EXPECT_EQ(key, keyctl_search(KEY_SPEC_SESSION_KEYRING, "keyagent",
				     "user", 0));
	EXPECT_EQ(key, sys_request_key("keyagent", "user", NULL, 0));
	EXPECT_EQ(-1, sys_request_key("keyagent", "logon", NULL, 0));
	EXPECT_EQ(ENOKEY, errno);
}

TEST_F(keytype, revoke_and_invalidate)
{
	key_serial_t key = add_agent_key(_metadata);
	char buf[256];

	/* Revoking takes WRITE or SETATTR, invalidating SEARCH. */
	EXPECT_EQ(0, keyctl_revoke(key));
	EXPECT_EQ(-1, keyctl_describe(key, buf, sizeof(buf)));
	EXPECT_EQ(EKEYREVOKED, errno);
	key = add_agent_key(_metadata);
	EXPECT_EQ(0, keyctl_invalidate(key));
	EXPECT_EQ(-1, keyctl_describe(key, buf, sizeof(buf)));
	EXPECT_EQ(ENOKEY, errno);
}

/* An agent cannot be had by asking for one, neither here nor from an upcall. */
TEST_F(keytype, not_requestable)
{
	const char *desc = "not_requestable";
	char line[1024];
	struct agent a;
	int i;

	agent_start(_metadata, &a, NULL);
	for (i = 0; i < 2; i++) {
		/* The second time would meet a negative key. */
		EXPECT_EQ(-1, sys_request_key("keyagent", desc, "x", 0));
		EXPECT_EQ(EPERM, errno);
	}
	EXPECT_EQ(-1, sys_request_key("keyagent", desc, NULL, 0));
	EXPECT_EQ(ENOKEY, errno);
	EXPECT_EQ(-1, sys_request_key("keyagent", desc, "x",
				      KEY_SPEC_SESSION_KEYRING));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(0, upcall_count(desc, NULL));
	EXPECT_EQ(0, agent_asked(&a));
	/* If what was begun is still there, nobody can find it any more. */
	if (proc_keys_line(0, desc, line, sizeof(line)))
		EXPECT_NE(NULL, strstr(line, " expd "));
	agent_stop(&a);
}

/* An agent needs no privilege. */
static long become_1000(struct agent *a)
{
	(void)a;
	return setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000) ?
		-errno : 0;
}

TEST_F(keytype, unprivileged)
{
	const struct agent_opts opts = { .prepare = become_1000 };
	char buf[256];
	struct agent a;

	agent_start(_metadata, &a, &opts);
	ASSERT_LT(0, keyctl_describe(a.sh->key, buf, sizeof(buf)));
	EXPECT_EQ(0, strncmp(buf, "keyagent;1000;1000;", 19));
	agent_stop(&a);
}

KEYAGENT_HARNESS_MAIN
