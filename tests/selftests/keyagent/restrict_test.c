// SPDX-License-Identifier: GPL-2.0
/*
 * The keyring by which an agent is shared: KEYCTL_RESTRICT_KEYRING has it take agent
 * keys alone, and then a subscriber can take away neither the keyring nor what it has.
 */

#define _GNU_SOURCE
#include "parameters.h"
#include "userns.h"

static long restrict_to(key_serial_t ring, const char *type,
			const char *restriction)
{
	return neg_errno(sys_keyctl(KEYCTL_RESTRICT_KEYRING, ring,
				    (unsigned long)type,
				    (unsigned long)restriction, 0));
}

static long do_register_shared(struct agent *a, const void *arg __maybe_unused)
{
	const struct flagged_payload payload = {
		.signal = a->opts.sig, .flags = KEYAGENT_SHARED,
	};
	key_serial_t key;

	key = sys_add_key("keyagent", a->opts.type, &payload, sizeof(payload),
			  KEY_SPEC_PROCESS_KEYRING);
	if (key < 0 || keyctl_setperm(key, AGENT_PERM) < 0)
		return -errno;
	return a->sh->key = key;
}

FIXTURE(restrict)
{
	struct agent agent;
	key_serial_t ring;
	key_serial_t plain;	/* an agent key without KEYAGENT_SHARED */
};

FIXTURE_SETUP(restrict)
{
	const struct agent_opts opts = { .no_link = true };

	test_session(_metadata);
	self->ring = sys_add_key("keyring", unique("agents"), NULL, 0,
				 KEY_SPEC_SESSION_KEYRING);
	ASSERT_LT(0, self->ring);
	ASSERT_EQ(0, restrict_to(self->ring, "keyagent", "")) {
		TH_LOG("KEYCTL_RESTRICT_KEYRING: %s", strerror(errno));
	}
	agent_start(_metadata, &self->agent, &opts);
	self->plain = self->agent.sh->key;
}

FIXTURE_TEARDOWN(restrict)
{
	agent_stop(&self->agent);
}

/* Starts to share the agent, and links its key into the keyring. */
static key_serial_t share(struct __test_metadata *const _metadata,
			  struct agent *a, key_serial_t ring)
{
	long key = agent_call(_metadata, a, do_register_shared, NULL, 0);

	ASSERT_LT(0, key) {
		TH_LOG("%s", strerror(-key));
	}
	ASSERT_EQ(0, keyctl_link(key, ring));
	return key;
}

TEST_F(restrict, takes_agent_keys_alone)
{
	key_serial_t user = sys_add_key("user", "other", "x", 1,
					KEY_SPEC_SESSION_KEYRING);
	key_serial_t ring = sys_add_key("keyring", "other", NULL, 0,
					KEY_SPEC_SESSION_KEYRING);

	EXPECT_EQ(-1, keyctl_link(user, self->ring));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(-1, keyctl_link(ring, self->ring));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(-1, sys_add_key("user", "another", "x", 1, self->ring));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(0, links_in(self->ring));

	EXPECT_EQ(0, keyctl_link(self->plain, self->ring));
	share(_metadata, &self->agent, self->ring);
	/* Of the same description: one in the place of the other. */
	EXPECT_EQ(1, links_in(self->ring));
	expect_answer(_metadata, unique("linked"), "agent");
}

/* It is for good, and there is no second one. */
TEST_F(restrict, stays)
{
	EXPECT_EQ(-EEXIST, restrict_to(self->ring, "keyagent", ""));
	EXPECT_EQ(-EEXIST, restrict_to(self->ring, NULL, NULL));
	/* The system call wants a restriction where there is a type. */
	EXPECT_EQ(-EINVAL, restrict_to(self->ring, "keyagent", NULL));
}

/* With what it has, it protects itself. */
TEST_F(restrict, keeps_a_shared_agent)
{
	key_serial_t key = share(_metadata, &self->agent, self->ring);

	EXPECT_EQ(-1, keyctl_clear(self->ring));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(-1, keyctl_unlink(key, self->ring));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(-1, keyctl_revoke(self->ring));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(-1, keyctl_invalidate(self->ring));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(-1, keyctl_set_timeout(self->ring, 1));
	EXPECT_EQ(EPERM, errno);
	expect_answer(_metadata, unique("kept"), "agent");
}

/* A link, unlike a key that is made in the keyring, does not change its key. */
TEST_F(restrict, lets_another_agent_go)
{
	ASSERT_EQ(0, keyctl_link(self->plain, self->ring));
	expect_answer(_metadata, unique("linked"), "agent");
	EXPECT_EQ(-1, keyctl_clear(self->ring));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(0, keyctl_unlink(self->plain, self->ring));
	expect_answer(_metadata, unique("gone"), "upcall");
	ASSERT_EQ(0, keyctl_link(self->plain, self->ring));
	EXPECT_EQ(0, keyctl_revoke(self->plain));
	expect_answer(_metadata, unique("revoked"), "upcall");
}

/* A subscriber leaves by the link to the keyring. */
TEST_F(restrict, subscriber_leaves)
{
	share(_metadata, &self->agent, self->ring);
	EXPECT_EQ(0, keyctl_unlink(self->ring, KEY_SPEC_SESSION_KEYRING));
	expect_answer(_metadata, unique("left"), "upcall");
}

/* A dead agent's key goes from it when its successor comes. */
TEST_F(restrict, successor_replaces_the_dead)
{
	key_serial_t dead = share(_metadata, &self->agent, self->ring);
	const struct agent_opts opts = { .no_link = true };
	key_serial_t key;

	agent_stop(&self->agent);
	expect_answer(_metadata, unique("dead"), "upcall");
	EXPECT_EQ(-1, keyctl_describe(dead, NULL, 0));
	EXPECT_EQ(EKEYREVOKED, errno);
	agent_start(_metadata, &self->agent, &opts);
	key = share(_metadata, &self->agent, self->ring);
	EXPECT_EQ(1, links_in(self->ring));
	EXPECT_TRUE(ring_has(self->ring, key));
	expect_answer(_metadata, unique("successor"), "agent");
}

/* In a container of another user: links the agent of its own into the keyring. */
static int displace(struct __test_metadata *const _metadata, key_serial_t ring)
{
	const uint16_t sig = AGENT_SIGNAL;
	int status;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (become(4711, 4711, 4711) || enter_userns(0) ||
		    keyctl_join_session(NULL) < 0 ||
		    keyctl_link(ring, KEY_SPEC_SESSION_KEYRING) ||
		    keyctl_get_keyring_id(KEY_SPEC_PROCESS_KEYRING, 1) < 0)
			_exit(255);
		_exit(sys_add_key("keyagent", "user", &sig, sizeof(sig),
				  ring) < 0 ? errno : 0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/*
 * The restriction is not enough: whoever may write to the keyring puts an agent of its
 * own in the place of the one that is shared. The permissions are.
 */
TEST_F(restrict, needs_its_permissions)
{
	const unsigned int read_only = KEY_POS_VIEW | KEY_POS_READ |
		KEY_POS_SEARCH | KEY_POS_LINK | KEY_USR_ALL | KEY_OTH_LINK |
		KEY_OTH_SEARCH;

	if (geteuid())
		SKIP(return, "not root");
	share(_metadata, &self->agent, self->ring);
	ASSERT_EQ(0, keyctl_setperm(self->ring, read_only));
	EXPECT_EQ(EACCES, displace(_metadata, self->ring));
	expect_answer(_metadata, unique("shared"), "agent");

	ASSERT_EQ(0, keyctl_setperm(self->ring, read_only | KEY_POS_WRITE));
	EXPECT_EQ(0, displace(_metadata, self->ring));
	expect_answer(_metadata, unique("displaced"), "upcall");
}

/* Whoever may write to it cannot put something else in the agent's place. */
TEST_F(restrict, request_into_it)
{
	const struct requester_opts o = {
		.desc = unique("into"), .dest = self->ring,
	};
	key_serial_t key = share(_metadata, &self->agent, self->ring);

	request_in_child(_metadata, &o);
	EXPECT_TRUE(ring_has(self->ring, key));
	expect_answer(_metadata, unique("after"), "agent");
}

KEYAGENT_HARNESS_MAIN
