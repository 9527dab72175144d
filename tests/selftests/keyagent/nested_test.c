// SPDX-License-Identifier: GPL-2.0
/*
 * A requests a key for which B is the agent, while it answers a request itself.
 * B acts for A's requester then, until A's request is over, and that can be later
 * than the requester's.
 */

#define _GNU_SOURCE
#include "authority.h"
#include "module.h"

#define DATA FIXTURE_DATA(nested)

/* What the requester and A tell the test. */
static struct shared {
	key_serial_t secret;	/* which only the requester possesses */
	char desc[128];		/* of the key that A requests */
	long requested;		/* what became of that request */
	long answered;		/* and of the answer to the outer one */
} *shared;

FIXTURE(nested)
{
	struct agent a, b;
	struct requester r;
	struct agent_arg inner;
	long authkey;		/* for the outer request */
	uint64_t timeout;	/* ms */
	uint64_t start;		/* of the inner request */
};

/* In A: requests a key of B's with the authority for @key, and then answers. */
static long request_and_answer(struct agent *a __maybe_unused, key_serial_t key)
{
	long authkey = agent_assume(key);

	if (authkey < 0)
		return authkey;
	shared->requested = neg_errno(sys_request_key("logon", shared->desc,
						      "x", 0));
	shared->answered = neg_errno(keyctl_instantiate(key, "agent", 5, 0));
	keyctl_assume_authority(0);
	return 0;
}

static long keep_secret(const struct requester_opts *o __maybe_unused)
{
	if (keyctl_get_keyring_id(KEY_SPEC_PROCESS_KEYRING, 1) < 0)
		return -errno;
	shared->secret = sys_add_key("user", "secret", "secret", 6,
				     KEY_SPEC_PROCESS_KEYRING);
	return neg_errno(keyctl_setperm(shared->secret, KEY_POS_ALL));
}

FIXTURE_SETUP(nested)
{
	struct agent_opts a = {
		.inherit_session = true,
		.plan.action = AGENT_CUSTOM,
		.plan.custom = request_and_answer,
	};
	struct agent_opts b = { .type = "logon", .plan.action = AGENT_HOLD };
	struct requester_opts r = {
		.desc = unique("outer"),
		.prepare = keep_secret,
	};

	self->timeout = module_reload_short(_metadata);
	test_session(_metadata);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)shared);
	snprintf(shared->desc, sizeof(shared->desc), "inner:%s", unique("x"));
	agent_start(_metadata, &self->b, &b);
	agent_start(_metadata, &self->a, &a);
	requester_start(_metadata, &self->r, &r);
	agent_wait_asked(_metadata, &self->b, 1);
	self->start = now_ms();
	self->inner.key = agent_record(&self->b, 0)->key;
	ASSERT_LT(0, agent_call(_metadata, &self->b, agent_do_assume,
				&self->inner, sizeof(self->inner)));
}

FIXTURE_TEARDOWN(nested)
{
	agent_stop(&self->a);
	agent_stop(&self->b);
	EXPECT_EQ(0, module_reload(""));
}

/* B possesses what the requester does. */
static void expect_access(struct __test_metadata *const _metadata, DATA *self)
{
	EXPECT_LT(0, agent_call(_metadata, &self->b, do_add_to_requester, NULL,
				0));
	EXPECT_EQ(6, on_key(_metadata, &self->b, do_read, shared->secret));
	EXPECT_EQ(0, on_key(_metadata, &self->b, do_link, shared->secret));
}

/* A's request ends when B answers, and with it what B may do. */
TEST_F(nested, answered)
{
	struct requester_result res;

	expect_access(_metadata, self);
	EXPECT_EQ(0, settle(_metadata, &self->b, &self->inner));
	EXPECT_TRUE(is_refused(on_key(_metadata, &self->b, do_read,
				      shared->secret)));
	res = requester_finish(&self->r);
	EXPECT_EQ(agent_record(&self->a, 0)->key, res.key);
	agent_wait_done(_metadata, &self->a, 1);
	EXPECT_EQ(self->inner.key, shared->requested);
	EXPECT_EQ(0, shared->answered);
	expect_settled(_metadata, &self->a);
	expect_settled(_metadata, &self->b);
}

/*
 * The end of the outer request takes the authority for that one, from A. The inner
 * request goes on, and B may act for a requester that is gone, until the deadline.
 */
TEST_F(nested, outer_request_killed)
{
	struct agent_arg nothing = { 0 };
	key_serial_t outer;
	uint64_t since;

	outer = agent_record(&self->a, 0)->key;
	expect_access(_metadata, self);
	ASSERT_EQ(0, kill(self->r.pid, SIGKILL));
	EXPECT_EQ(REQUESTER_DIED, requester_finish(&self->r).error);
	EXPECT_TRUE(authkey_gone(outer));
	expect_access(_metadata, self);

	/* What A is told is that its own time is over, and that it is late. */
	agent_wait_done(_metadata, &self->a, 1);
	since = now_ms();
	EXPECT_GE(self->timeout + 100 * slow(), since - self->start);
	EXPECT_EQ(-ETIMEDOUT, shared->requested);
	EXPECT_EQ(-EKEYREVOKED, shared->answered);
	expect_stripped(_metadata, &self->b, shared->secret, &self->inner,
			since);
	EXPECT_EQ(0, agent_call(_metadata, &self->b, agent_do_assume, &nothing,
				sizeof(nothing)));
	expect_settled(_metadata, &self->a);
}

KEYAGENT_HARNESS_MAIN
