// SPDX-License-Identifier: GPL-2.0
/*
 * The ways to wait for the signal, and what an agent makes of a signal that the
 * kernel did not send: a signal is a hint, authority comes with the key.
 */

#include "common.h"

FIXTURE(wait) {
	struct agent a;
	struct agent b;
};

FIXTURE_VARIANT(wait) {
	enum agent_wait wait;
};

FIXTURE_VARIANT_ADD(wait, signalfd) { .wait = AGENT_SIGNALFD };
FIXTURE_VARIANT_ADD(wait, sigwaitinfo) { .wait = AGENT_SIGWAITINFO };
FIXTURE_VARIANT_ADD(wait, ppoll) { .wait = AGENT_PPOLL };

FIXTURE_SETUP(wait)
{
	const struct agent_opts opts = { .wait = variant->wait };

	test_session(_metadata);
	agent_start(_metadata, &self->a, &opts);
}

FIXTURE_TEARDOWN(wait)
{
	agent_stop(&self->a);
	agent_stop(&self->b);
}

TEST_F(wait, served)
{
	const char *desc;
	key_serial_t key;
	int i;

	for (i = 0; i < 5; i++) {
		desc = unique("served");
		key = sys_request_key("user", desc, "x", 0);
		ASSERT_LT(0, key);
		ASSERT_STREQ("agent", payload_of(key));
		ASSERT_EQ(0, upcall_count(desc, NULL));
		ASSERT_EQ(i + 1, agent_asked(&self->a));
		agent_wait_done(_metadata, &self->a, i + 1);
		ASSERT_EQ(key, agent_record(&self->a, i)->key);
		ASSERT_EQ(0, agent_record(&self->a, i)->result);
	}
	expect_settled(_metadata, &self->a);
}

TEST_F(wait, rejected)
{
	self->a.sh->plan.action = AGENT_REJECT;
	self->a.sh->plan.error = EKEYREJECTED;
	EXPECT_EQ(-1, sys_request_key("user", unique("rejected"), "x", 0));
	EXPECT_EQ(EKEYREJECTED, errno);
	EXPECT_EQ(1, agent_asked(&self->a));
	expect_settled(_metadata, &self->a);
}

/* Signals queue: an agent that is busy gets the next one later. */
TEST_F(wait, busy_agent_gets_all)
{
	struct requester r[4];
	struct requester_opts opts = { 0 };
	struct agent_arg arg = { 0 };
	struct requester_result res;
	int i;

	self->a.sh->plan.action = AGENT_HOLD;
	for (i = 0; i < 4; i++) {
		opts.desc = unique("busy");
		requester_start(_metadata, &r[i], &opts);
	}
	agent_wait_asked(_metadata, &self->a, 4);
	for (i = 0; i < 4; i++) {
		arg.key = agent_record(&self->a, i)->key;
		EXPECT_EQ(0, agent_call(_metadata, &self->a,
					agent_do_assume_and_settle, &arg,
					sizeof(arg)));
	}
	for (i = 0; i < 4; i++) {
		res = requester_finish(&r[i]);
		EXPECT_LT(0, res.key);
		EXPECT_EQ(0, res.error);
	}
	EXPECT_EQ(4, agent_asked(&self->a));
	expect_settled(_metadata, &self->a);
}

/* ------------------------------------------------------------- forged signals */

TEST_F(wait, forged_for_no_key)
{
	ASSERT_EQ(0, forge(self->a.pid, AGENT_SIGNAL, 0x7ffffff0));
	agent_wait_done(_metadata, &self->a, 1);
	EXPECT_EQ(-ENOKEY, agent_record(&self->a, 0)->assumed);
	/* The agent is none the worse for it. */
	EXPECT_LT(0, sys_request_key("user", unique("forged"), "x", 0));
	EXPECT_EQ(2, agent_asked(&self->a));
	expect_settled(_metadata, &self->a);
}

TEST_F(wait, forged_for_a_finished_key)
{
	const char *desc = unique("forged");
	key_serial_t mine, answered;

	mine = sys_add_key("user", desc, "mine", 4, KEY_SPEC_SESSION_KEYRING);
	ASSERT_LT(0, mine);
	answered = sys_request_key("user", unique("forged"), "x", 0);
	ASSERT_LT(0, answered);
	agent_wait_done(_metadata, &self->a, 1);
	snprintf(self->a.sh->plan.payload, sizeof(self->a.sh->plan.payload),
		 "changed");

	ASSERT_EQ(0, forge(self->a.pid, AGENT_SIGNAL, mine));
	agent_wait_done(_metadata, &self->a, 2);
	EXPECT_EQ(-ENOKEY, agent_record(&self->a, 1)->assumed);
	EXPECT_STREQ("mine", payload_of(mine));

	ASSERT_EQ(0, forge(self->a.pid, AGENT_SIGNAL, answered));
	agent_wait_done(_metadata, &self->a, 3);
	EXPECT_EQ(-ENOKEY, agent_record(&self->a, 2)->assumed);
	EXPECT_STREQ("agent", payload_of(answered));
}

/* A key under construction is only for the agent that was asked. */
TEST_F(wait, forged_for_anothers_key)
{
	const struct requester_opts req = { .desc = unique("forged") };
	const struct agent_opts opts = {
		.wait = variant->wait,
		.no_link = true,
		.plan.payload = "thief",
	};
	struct agent_arg arg = { 0 };
	struct requester_result res;
	struct requester r;

	agent_start(_metadata, &self->b, &opts);
	self->a.sh->plan.action = AGENT_HOLD;
	requester_start(_metadata, &r, &req);
	agent_wait_asked(_metadata, &self->a, 1);
	arg.key = agent_record(&self->a, 0)->key;

	ASSERT_EQ(0, forge(self->b.pid, AGENT_SIGNAL, arg.key));
	agent_wait_done(_metadata, &self->b, 1);
	EXPECT_EQ(-ENOKEY, agent_record(&self->b, 0)->assumed);
	/* The test, which could link the agent's key, cannot either. */
	EXPECT_EQ(-1, keyctl_assume_authority(arg.key));
	EXPECT_EQ(ENOKEY, errno);

	EXPECT_EQ(0, agent_call(_metadata, &self->a,
				agent_do_assume_and_settle, &arg,
				sizeof(arg)));
	res = requester_finish(&r);
	EXPECT_EQ(arg.key, res.key);
	EXPECT_STREQ("agent", payload_of(res.key));
	expect_settled(_metadata, &self->a);
}

KEYAGENT_HARNESS_MAIN
