// SPDX-License-Identifier: GPL-2.0
/*
 * The authority over a key under construction: who of an agent may use it, what
 * an agent may do to it, and that nothing of it is left when the request is over.
 */

#define _GNU_SOURCE
#include "authority.h"

#define DATA FIXTURE_DATA(authority)

FIXTURE(authority)
{
	struct agent agent;
	struct limb thread, child;
	struct agent_arg arg;
	const char *desc;
	struct requester r;
	long authkey;
};

FIXTURE_SETUP(authority)
{
	struct agent_opts opts = { .plan.action = AGENT_HOLD };

	test_session(_metadata);
	limb_open(_metadata, &self->thread);
	limb_open(_metadata, &self->child);
	agent_start(_metadata, &self->agent, &opts);
	self->desc = unique("authority");
}

FIXTURE_TEARDOWN(authority)
{
	agent_stop(&self->agent);
}

static long do_revoke(struct agent *a __maybe_unused, const void *arg)
{
	return neg_errno(keyctl_revoke(*(const key_serial_t *)arg));
}

static long do_set_timeout(struct agent *a __maybe_unused, const void *arg)
{
	return neg_errno(keyctl_set_timeout(*(const key_serial_t *)arg, 1));
}

static long do_unlink(struct agent *a __maybe_unused, const void *arg)
{
	return neg_errno(keyctl_unlink(*(const key_serial_t *)arg,
				       KEY_SPEC_PROCESS_KEYRING));
}

static long do_clear(struct agent *a __maybe_unused,
		     const void *arg __maybe_unused)
{
	return neg_errno(keyctl_clear(KEY_SPEC_PROCESS_KEYRING));
}

/* A request that the agent holds, and that it has taken the authority for. */
static void hold_with_authority(struct __test_metadata *const _metadata,
				DATA *self)
{
	self->arg.key = request_held(_metadata, &self->agent, &self->r,
				     self->desc);
	self->authkey = agent_call(_metadata, &self->agent, agent_do_assume,
				   &self->arg, sizeof(self->arg));
	ASSERT_LT(0, self->authkey);
}

static void expect_answered(struct __test_metadata *const _metadata,
			    DATA *self)
{
	struct requester_result res = requester_finish(&self->r);

	EXPECT_EQ(self->arg.key, res.key);
	EXPECT_STREQ("agent", answer(&res));
	EXPECT_EQ(0, upcall_count(self->desc, NULL));
	expect_settled(_metadata, &self->agent);
}

/*
 * An agent may throw its authority away. The requester is told within a slice,
 * and does not get a second opinion: authority may have been used.
 */
TEST_F(authority, invalidated)
{
	struct agent_arg nothing = { 0 };
	uint64_t since;

	hold_with_authority(_metadata, self);
	EXPECT_EQ(0, on_key(_metadata, &self->agent, do_invalidate,
			    self->authkey));
	since = now_ms();
	expect_noticed(_metadata, &self->r, self->desc, since);
	EXPECT_TRUE(wait_until(settle(_metadata, &self->agent, &self->arg) ==
			       -EKEYREVOKED));
	expect_revoked(_metadata, self->authkey);
	EXPECT_EQ(0, agent_call(_metadata, &self->agent, agent_do_assume,
				&nothing, sizeof(nothing)));
	expect_negative(_metadata, self->arg.key);
}

/*
 * It need not assume the authority for that: who possesses a key with SEARCH
 * permission may invalidate it. It is found by reading the process keyring.
 */
static long do_find_authkey(struct agent *a, const void *arg __maybe_unused)
{
	key_serial_t keys[2] = { 0 };

	if (keyctl_read(KEY_SPEC_PROCESS_KEYRING, keys, sizeof(keys)) !=
	    sizeof(keys))
		return -ENOENT;
	return keys[0] == a->sh->key ? keys[1] : keys[0];
}

TEST_F(authority, invalidated_before_assuming)
{
	uint64_t since;

	self->arg.key = request_held(_metadata, &self->agent, &self->r,
				     self->desc);
	self->authkey = agent_call(_metadata, &self->agent, do_find_authkey,
				   NULL, 0);
	ASSERT_LT(0, self->authkey);
	EXPECT_EQ(0, on_key(_metadata, &self->agent, do_invalidate,
			    self->authkey));
	since = now_ms();
	expect_noticed(_metadata, &self->r, self->desc, since);
	EXPECT_EQ(-ENOKEY, agent_call(_metadata, &self->agent, agent_do_assume,
				      &self->arg, sizeof(self->arg)));
	expect_revoked(_metadata, self->authkey);
	expect_negative(_metadata, self->arg.key);
	expect_settled(_metadata, &self->agent);
}

/* It may not take it from itself in any way that the kernel must not meet. */
TEST_F(authority, not_revocable)
{
	hold_with_authority(_metadata, self);
	EXPECT_EQ(-EACCES, on_key(_metadata, &self->agent, do_revoke,
				  self->authkey));
	EXPECT_EQ(-EACCES, on_key(_metadata, &self->agent, do_set_timeout,
				  self->authkey));
	EXPECT_EQ(0, settle(_metadata, &self->agent, &self->arg));
	expect_answered(_metadata, self);
}

/* The link is a way to find the authority, not the authority. */
TEST_F(authority, unlinked_after_assuming)
{
	hold_with_authority(_metadata, self);
	EXPECT_EQ(0, on_key(_metadata, &self->agent, do_unlink,
			    self->authkey));
	EXPECT_EQ(0, settle(_metadata, &self->agent, &self->arg));
	expect_answered(_metadata, self);
}

/* Without the link it is not to be had: the agent has given the request back. */
TEST_F(authority, unlinked_before_assuming)
{
	self->arg.key = request_held(_metadata, &self->agent, &self->r,
				     self->desc);
	EXPECT_EQ(0, agent_call(_metadata, &self->agent, do_clear, NULL, 0));
	EXPECT_EQ(-ENOKEY, agent_call(_metadata, &self->agent, agent_do_assume,
				      &self->arg, sizeof(self->arg)));
	expect_passed_on(_metadata, &self->r, self->desc, now_ms());
}

/*
 * Who has the authority may give it to another process, which then answers as the
 * agent would. It ends with the request for both, whatever links are left.
 */
TEST_F(authority, handed_on)
{
	struct agent_arg nothing = { 0 };

	hold_with_authority(_metadata, self);
	EXPECT_EQ(-1, keyctl_assume_authority(self->arg.key));
	EXPECT_EQ(ENOKEY, errno);
	ASSERT_EQ(0, agent_call(_metadata, &self->agent, do_hand_on, NULL, 0));
	ASSERT_EQ(self->authkey, keyctl_assume_authority(self->arg.key));
	EXPECT_EQ(0, keyctl_instantiate(self->arg.key, "agent", 5, 0));
	EXPECT_EQ(-1, keyctl_assume_authority(self->arg.key));
	EXPECT_TRUE(wait_until(settle(_metadata, &self->agent, &self->arg) ==
			       -EKEYREVOKED));
	expect_revoked(_metadata, self->authkey);
	EXPECT_EQ(0, agent_call(_metadata, &self->agent, agent_do_assume,
				&nothing, sizeof(nothing)));
	expect_answered(_metadata, self);
}

TEST_F(authority, settles_twice)
{
	struct agent_arg reject = { 0 };

	hold_with_authority(_metadata, self);
	reject.key = self->arg.key;
	reject.plan.action = AGENT_REJECT;
	reject.plan.error = EKEYREJECTED;
	reject.plan.timeout = 10;
	EXPECT_EQ(0, settle(_metadata, &self->agent, &self->arg));
	EXPECT_EQ(-EPERM, settle(_metadata, &self->agent, &self->arg));
	EXPECT_EQ(-EPERM, settle(_metadata, &self->agent, &reject));
	expect_answered(_metadata, self);
}

/* Authority over one key is none over another. */
TEST_F(authority, another_key)
{
	struct agent_arg other = { 0 };
	struct requester_result res;
	struct requester r;

	hold_with_authority(_metadata, self);
	other.key = request_held(_metadata, &self->agent, &r, unique("other"));
	EXPECT_EQ(-EPERM, settle(_metadata, &self->agent, &other));
	EXPECT_EQ(0, agent_call(_metadata, &self->agent,
				agent_do_assume_and_settle, &other,
				sizeof(other)));
	res = requester_finish(&r);
	EXPECT_STREQ("agent", answer(&res));
	EXPECT_EQ(0, agent_call(_metadata, &self->agent,
				agent_do_assume_and_settle, &self->arg,
				sizeof(self->arg)));
	expect_answered(_metadata, self);
}

/* The process keyring is the process', so any thread may answer. */
TEST_F(authority, another_thread_answers)
{
	ASSERT_EQ(0, limb_start(_metadata, &self->thread, &self->agent,
				agent_do_limb_thread));
	self->arg.key = request_held(_metadata, &self->agent, &self->r,
				     self->desc);
	EXPECT_EQ(0, agent_call(_metadata, &self->thread.call,
				agent_do_assume_and_settle, &self->arg,
				sizeof(self->arg)));
	expect_answered(_metadata, self);
}

/* A child inherits what has been assumed, and nothing that could be. */
TEST_F(authority, child_answers)
{
	hold_with_authority(_metadata, self);
	ASSERT_LT(0, limb_start(_metadata, &self->child, &self->agent,
				agent_do_limb_child));
	EXPECT_EQ(0, settle(_metadata, &self->child.call, &self->arg));
	EXPECT_EQ(self->arg.key, requester_finish(&self->r).key);
}

TEST_F(authority, child_cannot_assume)
{
	self->arg.key = request_held(_metadata, &self->agent, &self->r,
				     self->desc);
	ASSERT_LT(0, limb_start(_metadata, &self->child, &self->agent,
				agent_do_limb_child));
	EXPECT_EQ(-ENOKEY, agent_call(_metadata, &self->child.call,
				      agent_do_assume, &self->arg,
				      sizeof(self->arg)));
	EXPECT_EQ(-EPERM, settle(_metadata, &self->child.call, &self->arg));
	EXPECT_EQ(0, agent_call(_metadata, &self->agent,
				agent_do_assume_and_settle, &self->arg,
				sizeof(self->arg)));
	expect_answered(_metadata, self);
}

KEYAGENT_HARNESS_MAIN
