// SPDX-License-Identifier: GPL-2.0
/*
 * An agent that serves many: with KEYAGENT_SHARED none of those who subscribe to it can
 * take it away from the others, nor can the owner but by what is the owner's alone. The
 * key goes when the agent does.
 */

#define _GNU_SOURCE
#include "parameters.h"
#include "userns.h"

/* Registers with flags; the serial, or -errno. */
static long register_with(const char *type, int sig, uint32_t flags)
{
	const struct flagged_payload payload = {
		.signal = sig, .flags = flags,
	};
	key_serial_t key;

	key = sys_add_key("keyagent", type, &payload, sizeof(payload),
			  KEY_SPEC_PROCESS_KEYRING);
	if (key < 0 || keyctl_setperm(key, AGENT_PERM) < 0)
		return -errno;
	return key;
}

/* The argument is the flags, or -1 for the payload of two bytes. */
static long do_register(struct agent *a, const void *arg)
{
	const int flags = *(const int *)arg;
	long key;

	key = flags < 0 ? agent_register(a->opts.type, a->opts.sig) :
			  register_with(a->opts.type, a->opts.sig, flags);
	if (key > 0)
		a->sh->key = key;
	return key;
}

static key_serial_t start_agent(struct __test_metadata *const _metadata,
				struct agent *a, int flags)
{
	const struct agent_opts opts = { .no_register = true };
	long key;

	agent_start(_metadata, a, &opts);
	key = agent_call(_metadata, a, do_register, &flags, sizeof(flags));
	ASSERT_LT(0, key) {
		TH_LOG("flags %d: %s", flags, strerror(-key));
	}
	return key;
}

/* ------------------------------------------------------------------ subscribers */

#define DATA	FIXTURE_DATA(shared)
#define VARIANT	FIXTURE_VARIANT(shared)

FIXTURE(shared)
{
	struct agent agent;
};

FIXTURE_VARIANT(shared)
{
	int flags;		/* -1: the payload of two bytes */
	int error;		/* of what takes the agent away; 0: it does */
	uid_t uid;		/* the subscriber's */
	bool userns;		/* which is root of a user namespace */
};

FIXTURE_VARIANT_ADD(shared, container_of_root)
{
	.flags = KEYAGENT_SHARED,
	.error = EPERM,
	.userns = true,
};

FIXTURE_VARIANT_ADD(shared, container_of_another_user)
{
	.flags = KEYAGENT_SHARED,
	.error = EPERM,
	.uid = 4711,
	.userns = true,
};

FIXTURE_VARIANT_ADD(shared, the_owner)
{
	.flags = KEYAGENT_SHARED,
	.error = EPERM,
};

/* What the first payloads did, they do. */
FIXTURE_VARIANT_ADD(shared, without_flags)
{
	.flags = -1,
	.uid = 4711,
	.userns = true,
};

FIXTURE_VARIANT_ADD(shared, with_no_flag)
{
	.flags = 0,
	.uid = 4711,
	.userns = true,
};

FIXTURE_SETUP(shared)
{
	if (geteuid())
		SKIP(_exit(KSFT_SKIP), "not root");
	test_session(_metadata);
	start_agent(_metadata, &self->agent, variant->flags);
	ASSERT_EQ(0, keyctl_link(self->agent.sh->key,
				 KEY_SPEC_SESSION_KEYRING));
}

FIXTURE_TEARDOWN(shared)
{
	agent_stop(&self->agent);
}

/* What a subscriber does in a session of its own; 0, or the error. */
static int subscribe_and(struct __test_metadata *const _metadata,
			 const VARIANT *v, key_serial_t key,
			 long (*act)(key_serial_t key))
{
	int status;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (pid) {
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFEXITED(status));
		return WEXITSTATUS(status);
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (become(v->uid, v->uid, v->uid) || (v->userns && enter_userns(0)) ||
	    keyctl_join_session(NULL) < 0 ||
	    keyctl_link(key, KEY_SPEC_SESSION_KEYRING))
		_exit(255);
	_exit(act(key) ? errno : 0);
}

static long expire(key_serial_t key)
{
	return keyctl_set_timeout(key, 1);
}

static bool expired(key_serial_t key)
{
	return keyctl_describe(key, NULL, 0) < 0 && errno == EKEYEXPIRED;
}

static void expect_taken(struct __test_metadata *const _metadata, DATA *self,
			 const VARIANT *v, long (*act)(key_serial_t key))
{
	const key_serial_t key = self->agent.sh->key;

	EXPECT_EQ(v->error, subscribe_and(_metadata, v, key, act));
	if (act == expire && !v->error)
		ASSERT_TRUE(wait_until(expired(key)));
	expect_answer(_metadata, unique("other session"),
		      v->error ? "agent" : "upcall");
}

TEST_F(shared, invalidate)
{
	expect_taken(_metadata, self, variant, keyctl_invalidate);
}

TEST_F(shared, revoke)
{
	expect_taken(_metadata, self, variant, keyctl_revoke);
}

TEST_F(shared, set_timeout)
{
	expect_taken(_metadata, self, variant, expire);
}

/* No timeout at all is one, too. */
static long never_expire(key_serial_t key)
{
	return keyctl_set_timeout(key, 0);
}

TEST_F(shared, set_no_timeout)
{
	EXPECT_EQ(variant->error,
		  subscribe_and(_metadata, variant, self->agent.sh->key,
				never_expire));
	expect_answer(_metadata, unique("other session"), "agent");
}

static long leave(key_serial_t key)
{
	return keyctl_unlink(key, KEY_SPEC_SESSION_KEYRING);
}

/* A session is its subscriber's own: who leaves it does not disturb the others. */
TEST_F(shared, unlink)
{
	EXPECT_EQ(0, subscribe_and(_metadata, variant, self->agent.sh->key,
				   leave));
	expect_answer(_metadata, unique("other session"), "agent");
	EXPECT_EQ(0, leave(self->agent.sh->key));
	expect_answer(_metadata, unique("left"), "upcall");
}

static long clear_session(key_serial_t key __maybe_unused)
{
	return keyctl_clear(KEY_SPEC_SESSION_KEYRING);
}

TEST_F(shared, clear)
{
	EXPECT_EQ(0, subscribe_and(_metadata, variant, self->agent.sh->key,
				   clear_session));
	expect_answer(_metadata, unique("other session"), "agent");
}

/* ---------------------------------------------------------------------- the owner */

#undef DATA
#undef VARIANT

FIXTURE(owner)
{
	struct agent agent;
	key_serial_t key;
};

FIXTURE_SETUP(owner)
{
	if (geteuid())
		SKIP(_exit(KSFT_SKIP), "not root");
	test_session(_metadata);
	self->key = start_agent(_metadata, &self->agent, KEYAGENT_SHARED);
	ASSERT_EQ(0, keyctl_link(self->key, KEY_SPEC_SESSION_KEYRING));
	expect_answer(_metadata, unique("before"), "agent");
}

FIXTURE_TEARDOWN(owner)
{
	agent_stop(&self->agent);
}

TEST_F(owner, withdraws_by_permissions)
{
	ASSERT_EQ(0, keyctl_setperm(self->key, KEY_USR_SETATTR));
	expect_answer(_metadata, unique("withdrawn"), "upcall");
	ASSERT_EQ(0, keyctl_setperm(self->key, AGENT_PERM));
	expect_answer(_metadata, unique("back"), "agent");
}

TEST_F(owner, changes)
{
	ASSERT_EQ(0, keyctl_chown(self->key, 4711, 4711));
	expect_answer(_metadata, unique("changed"), "agent");
	ASSERT_EQ(0, keyctl_chown(self->key, 0, 0));
}

/* The module's own revocation is not what KEYAGENT_SHARED is against. */
TEST_F(owner, dies)
{
	agent_stop(&self->agent);
	expect_answer(_metadata, unique("dead"), "upcall");
	EXPECT_EQ(-1, keyctl_describe(self->key, NULL, 0));
	EXPECT_EQ(EKEYREVOKED, errno);
}

/* Nothing of the dead agent's key is in the way of a successor's. */
TEST_F(owner, is_replaced)
{
	key_serial_t key;

	agent_stop(&self->agent);
	key = start_agent(_metadata, &self->agent, KEYAGENT_SHARED);
	EXPECT_NE(self->key, key);
	ASSERT_EQ(0, keyctl_link(key, KEY_SPEC_SESSION_KEYRING));
	EXPECT_FALSE(ring_has(KEY_SPEC_SESSION_KEYRING, self->key));
	EXPECT_TRUE(ring_has(KEY_SPEC_SESSION_KEYRING, key));
	expect_answer(_metadata, unique("successor"), "agent");
}

KEYAGENT_HARNESS_MAIN
