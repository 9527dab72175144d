// SPDX-License-Identifier: GPL-2.0
/*
 * An agent key that is taken away while a request waits: the agent is not asked
 * again, and the request that it was asked before goes on to its answer.
 */

#include "lifetime.h"

#define DATA	FIXTURE_DATA(withdraw)
#define VARIANT	FIXTURE_VARIANT(withdraw)

FIXTURE(withdraw)
{
	struct agent agent;
	struct requester r;
	struct agent_arg arg;
	const char *desc;
};

FIXTURE_VARIANT(withdraw)
{
	long (*how)(key_serial_t key);
	int state;	/* errno of keyctl_describe() after it, 0: none */
};

static long revoke_it(key_serial_t key)
{
	return neg_errno(keyctl_revoke(key));
}

static long invalidate_it(key_serial_t key)
{
	return neg_errno(keyctl_invalidate(key));
}

static long expire_it(key_serial_t key)
{
	return neg_errno(keyctl_set_timeout(key, 1));
}

static long forbid_search(key_serial_t key)
{
	return neg_errno(keyctl_setperm(key, AGENT_PERM & ~KEY_POS_SEARCH &
					~KEY_OTH_SEARCH &
					~(KEY_OTH_SEARCH << 16)));
}

static long forbid_all(key_serial_t key)
{
	return neg_errno(keyctl_setperm(key, 0));
}

static long unlink_it(key_serial_t key)
{
	return neg_errno(keyctl_unlink(key, KEY_SPEC_SESSION_KEYRING));
}

FIXTURE_VARIANT_ADD(withdraw, revoked)
{
	.how = revoke_it,
	.state = EKEYREVOKED,
};

FIXTURE_VARIANT_ADD(withdraw, invalidated)
{
	.how = invalidate_it,
	.state = ENOKEY,
};

FIXTURE_VARIANT_ADD(withdraw, expired)
{
	.how = expire_it,
	.state = EKEYEXPIRED,
};

FIXTURE_VARIANT_ADD(withdraw, unsearchable)
{
	.how = forbid_search,
};

FIXTURE_VARIANT_ADD(withdraw, without_permissions)
{
	.how = forbid_all,
	.state = EACCES,
};

FIXTURE_VARIANT_ADD(withdraw, unlinked)
{
	.how = unlink_it,
};

FIXTURE_SETUP(withdraw)
{
	struct agent_opts opts = { .plan.action = AGENT_HOLD };

	test_session(_metadata);
	agent_start(_metadata, &self->agent, &opts);
	self->desc = unique("withdrawn");
	self->arg.key = request_held(_metadata, &self->agent, &self->r,
				     self->desc);
}

FIXTURE_TEARDOWN(withdraw)
{
	agent_stop(&self->agent);
}

/* True once the key is in the state that the variant wants. */
static bool is_withdrawn(key_serial_t key, int state)
{
	return !state || (keyctl_describe(key, NULL, 0) < 0 && errno == state);
}

/* Nobody new gets to the agent, and the requester still waits for it. */
static void withdraw_key(struct __test_metadata *const _metadata,
			 DATA *self, const VARIANT *variant)
{
	key_serial_t key = self->agent.sh->key;
	const char *desc = unique("later");

	ASSERT_EQ(0, variant->how(key));
	ASSERT_TRUE(wait_until(is_withdrawn(key, variant->state)));
	expect_answer(_metadata, desc, "upcall");
	EXPECT_EQ(1, upcall_count(desc, NULL));
	EXPECT_EQ(1, agent_asked(&self->agent));
	EXPECT_TRUE(wait_until(in_request_key(self->r.pid)));
}

TEST_F(withdraw, then_answered)
{
	struct requester_result res;

	withdraw_key(_metadata, self, variant);
	EXPECT_EQ(0, agent_call(_metadata, &self->agent,
				agent_do_assume_and_settle, &self->arg,
				sizeof(self->arg)));
	res = requester_finish(&self->r);
	EXPECT_EQ(self->arg.key, res.key);
	EXPECT_STREQ("agent", answer(&res));
	EXPECT_EQ(0, upcall_count(self->desc, NULL));
	EXPECT_TRUE(authkeys_gone());
}

/* The end of the agent is noticed without its key, too. */
TEST_F(withdraw, then_dead)
{
	uint64_t since;

	withdraw_key(_metadata, self, variant);
	ASSERT_EQ(0, kill(self->agent.pid, SIGKILL));
	ASSERT_EQ(0, wait_dead(self->agent.pid));
	since = now_ms();
	expect_passed_on(_metadata, &self->r, self->desc, since);
}

KEYAGENT_HARNESS_MAIN
