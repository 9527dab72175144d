// SPDX-License-Identifier: GPL-2.0
/*
 * An agent gives a request back: /sbin/request-key gets it, at once, unless
 * somebody still has the authority.
 */

#include "lifetime.h"

#define DATA FIXTURE_DATA(decline)

FIXTURE(decline)
{
	struct agent agent;
	struct agent other;
	struct limb limb;
	struct requester r;
	struct agent_arg arg;
	const char *desc;
};

FIXTURE_SETUP(decline)
{
	struct agent_opts opts = { .plan.action = AGENT_HOLD };

	test_session(_metadata);
	limb_open(_metadata, &self->limb);
	agent_start(_metadata, &self->agent, &opts);
	self->desc = unique("declined");
}

FIXTURE_TEARDOWN(decline)
{
	agent_stop(&self->agent);
	agent_stop(&self->other);
}

static long decline(key_serial_t agent_key, uint32_t command, key_serial_t key)
{
	const struct keyagent_command cmd = { .command = command, .key = key };

	return neg_errno(keyctl_update(agent_key, &cmd, sizeof(cmd)));
}

/* Gives back the request for arg->key. */
static long do_decline(struct agent *a, const void *arg)
{
	return decline(a->sh->key, KEYAGENT_DECLINE,
		       ((const struct agent_arg *)arg)->key);
}

/* Looks at the request before that, as an agent does that decides by it. */
static long do_look_and_decline(struct agent *a, const void *arg)
{
	char callout[64];
	long ret = agent_do_assume(a, arg);

	if (ret >= 0)
		ret = agent_read_callout(callout, sizeof(callout));
	if (ret >= 0)
		ret = agent_assume(0);
	return ret < 0 ? ret : do_decline(a, arg);
}

static long call(struct __test_metadata *const _metadata,
		 DATA *self, struct agent *a, agent_fn fn)
{
	return agent_call(_metadata, a, fn, &self->arg, sizeof(self->arg));
}

static void expect_upcall_answers(struct __test_metadata *const _metadata,
				  DATA *self)
{
	struct requester_result res = requester_finish(&self->r);

	EXPECT_STREQ("upcall", answer(&res));
	EXPECT_EQ(1, upcall_count(self->desc, NULL));
	expect_settled(_metadata, &self->agent);
}

TEST_F(decline, unseen)
{
	self->arg.key = request_held(_metadata, &self->agent, &self->r,
				     self->desc);
	EXPECT_EQ(0, call(_metadata, self, &self->agent, do_decline));
	expect_upcall_answers(_metadata, self);
	EXPECT_EQ(-ENOKEY, call(_metadata, self, &self->agent,
				agent_do_assume));
}

TEST_F(decline, seen)
{
	self->arg.key = request_held(_metadata, &self->agent, &self->r,
				     self->desc);
	EXPECT_EQ(0, call(_metadata, self, &self->agent, do_look_and_decline));
	expect_upcall_answers(_metadata, self);
}

/* From the signal handler's point of view: before anything else happens. */
static long decline_at_once(struct agent *a, key_serial_t key)
{
	return decline(a->sh->key, KEYAGENT_DECLINE, key);
}

TEST_F(decline, many)
{
	int i;

	self->agent.sh->plan.action = AGENT_CUSTOM;
	self->agent.sh->plan.custom = decline_at_once;
	for (i = 0; i < 50; i++) {
		expect_answer(_metadata, unique("declined"), "upcall");
		ASSERT_EQ(0, agent_record(&self->agent, i)->result);
	}
	expect_settled(_metadata, &self->agent);
}

/* The agent's other requests are not touched by it. */
TEST_F(decline, one_of_two)
{
	struct agent_arg second = { 0 };
	struct requester_result res;
	struct requester r;

	self->arg.key = request_held(_metadata, &self->agent, &self->r,
				     self->desc);
	second.key = request_held(_metadata, &self->agent, &r, unique("kept"));
	EXPECT_EQ(0, call(_metadata, self, &self->agent, do_decline));
	res = requester_finish(&self->r);
	EXPECT_STREQ("upcall", answer(&res));
	EXPECT_EQ(0, agent_call(_metadata, &self->agent,
				agent_do_assume_and_settle, &second,
				sizeof(second)));
	res = requester_finish(&r);
	EXPECT_STREQ("agent", answer(&res));
	expect_settled(_metadata, &self->agent);
}

/* Others who wait for the same key get what the upcall says. */
TEST_F(decline, second_waiter)
{
	struct requester_opts o = { .desc = self->desc };
	struct requester_result res;
	struct requester r;

	self->arg.key = request_held(_metadata, &self->agent, &self->r,
				     self->desc);
	requester_start(_metadata, &r, &o);
	ASSERT_TRUE(wait_until(in_request_key(r.pid)));
	EXPECT_EQ(0, call(_metadata, self, &self->agent, do_decline));
	res = requester_finish(&r);
	EXPECT_STREQ("upcall", answer(&res));
	expect_upcall_answers(_metadata, self);
}

TEST_F(decline, from_another_thread)
{
	ASSERT_EQ(0, limb_start(_metadata, &self->limb, &self->agent,
				agent_do_limb_thread));
	self->arg.key = request_held(_metadata, &self->agent, &self->r,
				     self->desc);
	EXPECT_EQ(0, call(_metadata, self, &self->limb.call, do_decline));
	expect_upcall_answers(_metadata, self);
}

/* ------------------------------------------- somebody still has the authority */

static void expect_end_without_key(struct __test_metadata *const _metadata,
				   DATA *self)
{
	struct requester_result res = requester_finish(&self->r);

	EXPECT_EQ(-1, res.key);
	EXPECT_EQ(ENOKEY, res.error);
	EXPECT_EQ(0, upcall_count(self->desc, NULL));
}

static long do_assume_and_decline(struct agent *a, const void *arg)
{
	long ret = agent_do_assume(a, arg);

	return ret < 0 ? ret : do_decline(a, arg);
}

TEST_F(decline, with_authority)
{
	self->arg.key = request_held(_metadata, &self->agent, &self->r,
				     self->desc);
	EXPECT_EQ(0, call(_metadata, self, &self->agent,
			  do_assume_and_decline));
	expect_end_without_key(_metadata, self);
	EXPECT_GT(0, call(_metadata, self, &self->agent, agent_do_settle));
}

TEST_F(decline, with_authority_in_a_thread)
{
	ASSERT_EQ(0, limb_start(_metadata, &self->limb, &self->agent,
				agent_do_limb_thread));
	self->arg.key = request_held(_metadata, &self->agent, &self->r,
				     self->desc);
	ASSERT_LT(0, call(_metadata, self, &self->limb.call, agent_do_assume));
	EXPECT_EQ(0, call(_metadata, self, &self->agent, do_decline));
	expect_end_without_key(_metadata, self);
	EXPECT_GT(0, call(_metadata, self, &self->limb.call, agent_do_settle));
}

TEST_F(decline, with_authority_in_a_child)
{
	self->arg.key = request_held(_metadata, &self->agent, &self->r,
				     self->desc);
	ASSERT_LT(0, call(_metadata, self, &self->agent, agent_do_assume));
	ASSERT_LT(0, limb_start(_metadata, &self->limb, &self->agent,
				agent_do_limb_child));
	EXPECT_EQ(0, call(_metadata, self, &self->agent, do_look_and_decline));
	expect_end_without_key(_metadata, self);
	EXPECT_GT(0, call(_metadata, self, &self->limb.call, agent_do_settle));
}

/* A file that was opened with it keeps the credentials. */
static long do_open_and_decline(struct agent *a, const void *arg)
{
	long ret = agent_do_assume(a, arg);

	if (ret < 0 || open("/dev/null", O_RDONLY | O_CLOEXEC) < 0)
		return -EIO;
	ret = agent_assume(0);
	return ret < 0 ? ret : do_decline(a, arg);
}

TEST_F(decline, with_open_file)
{
	self->arg.key = request_held(_metadata, &self->agent, &self->r,
				     self->desc);
	EXPECT_EQ(0, call(_metadata, self, &self->agent, do_open_and_decline));
	expect_end_without_key(_metadata, self);
}

static long do_link_and_decline(struct agent *a, const void *arg)
{
	long ret = agent_do_assume(a, arg);

	if (ret >= 0)
		ret = neg_errno(keyctl_link(KEY_SPEC_REQKEY_AUTH_KEY,
					    KEY_SPEC_SESSION_KEYRING));
	if (ret >= 0)
		ret = agent_assume(0);
	return ret < 0 ? ret : do_decline(a, arg);
}

TEST_F(decline, with_link_elsewhere)
{
	self->arg.key = request_held(_metadata, &self->agent, &self->r,
				     self->desc);
	EXPECT_EQ(0, call(_metadata, self, &self->agent, do_link_and_decline));
	expect_end_without_key(_metadata, self);
	EXPECT_GT(0, call(_metadata, self, &self->agent, agent_do_assume));
}

/* ------------------------------------------------------------------ refused */

TEST_F(decline, refused)
{
	struct agent_opts opts = { .no_link = true };
	struct requester_result res;
	key_serial_t key = self->agent.sh->key;

	self->arg.key = request_held(_metadata, &self->agent, &self->r,
				     self->desc);

	/* The test possesses the agent key, and is not the agent. */
	EXPECT_EQ(-EPERM, decline(key, KEYAGENT_DECLINE, self->arg.key));
	EXPECT_EQ(-EINVAL, decline(key, KEYAGENT_DECLINE + 1, self->arg.key));
	EXPECT_EQ(-EINVAL, decline(key, KEYAGENT_DECLINE, 0));
	EXPECT_EQ(-EINVAL, decline(key, KEYAGENT_DECLINE, -1));

	/* Another agent was not asked. */
	agent_start(_metadata, &self->other, &opts);
	EXPECT_EQ(-ENOKEY, call(_metadata, self, &self->other, do_decline));

	/* It is no registration. */
	EXPECT_EQ(-1, sys_add_key("keyagent", "other",
				  &(struct keyagent_command){
					  .command = KEYAGENT_DECLINE,
					  .key = self->arg.key,
				  }, sizeof(struct keyagent_command),
				  KEY_SPEC_SESSION_KEYRING));
	EXPECT_EQ(EINVAL, errno);

	EXPECT_TRUE(in_request_key(self->r.pid));
	EXPECT_EQ(0, call(_metadata, self, &self->agent,
			  agent_do_assume_and_settle));
	res = requester_finish(&self->r);
	EXPECT_STREQ("agent", answer(&res));
	/* Too late. */
	EXPECT_EQ(-ENOKEY, call(_metadata, self, &self->agent, do_decline));
}

/* A child of the agent is another process. */
TEST_F(decline, refused_to_child)
{
	struct requester_result res;

	ASSERT_LT(0, limb_start(_metadata, &self->limb, &self->agent,
				agent_do_limb_child));
	ASSERT_EQ(0, agent_call(_metadata, &self->agent, agent_do_assume,
				&(struct agent_arg){ 0 },
				sizeof(struct agent_arg)));
	self->arg.key = request_held(_metadata, &self->agent, &self->r,
				     self->desc);
	EXPECT_GT(0, call(_metadata, self, &self->limb.call, do_decline));
	EXPECT_EQ(0, call(_metadata, self, &self->agent,
			  agent_do_assume_and_settle));
	res = requester_finish(&self->r);
	EXPECT_STREQ("agent", answer(&res));
}

KEYAGENT_HARNESS_MAIN
