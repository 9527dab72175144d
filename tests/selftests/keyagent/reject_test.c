// SPDX-License-Identifier: GPL-2.0
/*
 * An agent says no: the requester gets its error, from a negative key as long as
 * the agent wants, and nobody else is asked.
 */

#include "common.h"

FIXTURE(reject) {
	struct agent a;
};

FIXTURE_SETUP(reject)
{
	test_session(_metadata);
	agent_start(_metadata, &self->a, NULL);
}

FIXTURE_TEARDOWN(reject)
{
	agent_stop(&self->a);
}

FIXTURE(rejected) {
	struct agent a;
};

FIXTURE_VARIANT(rejected) {
	enum agent_action action;
	int error;
	int seen;
};

FIXTURE_VARIANT_ADD(rejected, ekeyrejected) {
	AGENT_REJECT, EKEYREJECTED, EKEYREJECTED
};
FIXTURE_VARIANT_ADD(rejected, econnrefused) {
	AGENT_REJECT, ECONNREFUSED, ECONNREFUSED
};
FIXTURE_VARIANT_ADD(rejected, ekeyexpired) {
	AGENT_REJECT, EKEYEXPIRED, EKEYEXPIRED
};
FIXTURE_VARIANT_ADD(rejected, ekeyrevoked) {
	AGENT_REJECT, EKEYREVOKED, EKEYREVOKED
};
FIXTURE_VARIANT_ADD(rejected, enokey) { AGENT_REJECT, ENOKEY, ENOKEY };
FIXTURE_VARIANT_ADD(rejected, eacces) { AGENT_REJECT, EACCES, EACCES };
FIXTURE_VARIANT_ADD(rejected, eperm) { AGENT_REJECT, EPERM, EPERM };
FIXTURE_VARIANT_ADD(rejected, etimedout) { AGENT_REJECT, ETIMEDOUT, ETIMEDOUT };
FIXTURE_VARIANT_ADD(rejected, eintr) { AGENT_REJECT, EINTR, EINTR };
FIXTURE_VARIANT_ADD(rejected, largest) { AGENT_REJECT, 511, 511 };
FIXTURE_VARIANT_ADD(rejected, negated) {
	.action = AGENT_NEGATE,
	.seen = ENOKEY,
};

FIXTURE_SETUP(rejected)
{
	struct agent_opts opts = {
		.plan = {
			.action = variant->action,
			.error = variant->error,
			.timeout = 600,
		},
	};

	test_session(_metadata);
	agent_start(_metadata, &self->a, &opts);
}

FIXTURE_TEARDOWN(rejected)
{
	agent_stop(&self->a);
}

TEST_F(rejected, error_reaches_the_requester)
{
	const char *desc = unique("rejected");
	key_serial_t key;

	EXPECT_EQ(-1, sys_request_key("user", desc, "x", 0));
	EXPECT_EQ(variant->seen, errno);
	agent_wait_done(_metadata, &self->a, 1);
	EXPECT_EQ(0, agent_record(&self->a, 0)->result);
	key = agent_record(&self->a, 0)->key;

	/* The agent's answer is final: no second opinion. */
	EXPECT_EQ(0, upcall_count(desc, NULL));
	/* It is remembered, and the agent is not asked again. */
	EXPECT_EQ(-1, sys_request_key("user", desc, "x", 0));
	EXPECT_EQ(variant->seen, errno);
	EXPECT_EQ(1, agent_asked(&self->a));
	EXPECT_EQ(0, upcall_count(desc, NULL));
	EXPECT_TRUE(ring_has(KEY_SPEC_SESSION_KEYRING, key));
	expect_settled(_metadata, &self->a);
}

/* For as long as the agent said, and then it is asked anew. */
TEST_F(reject, reject_expires)
{
	const char *desc = unique("expires");

	self->a.sh->plan.action = AGENT_REJECT;
	self->a.sh->plan.error = EKEYREJECTED;
	self->a.sh->plan.timeout = 2;
	EXPECT_EQ(-1, sys_request_key("user", desc, "x", 0));
	EXPECT_EQ(EKEYREJECTED, errno);
	EXPECT_TRUE(wait_until(sys_request_key("user", desc, "x", 0) == -1 &&
			       agent_asked(&self->a) == 2));
	EXPECT_EQ(EKEYREJECTED, errno);
	EXPECT_EQ(0, upcall_count(desc, NULL));
}

/* A negative key of no seconds answers this request only. */
TEST_F(reject, reject_without_a_life)
{
	const char *desc = unique("no_life");

	self->a.sh->plan.action = AGENT_REJECT;
	self->a.sh->plan.error = ECONNREFUSED;
	self->a.sh->plan.timeout = 0;
	EXPECT_EQ(-1, sys_request_key("user", desc, "x", 0));
	EXPECT_EQ(ECONNREFUSED, errno);
	agent_wait_done(_metadata, &self->a, 1);
	self->a.sh->plan.action = AGENT_ANSWER;
	EXPECT_LT(0, sys_request_key("user", desc, "x", 0));
	EXPECT_EQ(2, agent_asked(&self->a));
}

/*
 * Neither errors that the key service refuses nor those above 511, which are the
 * kernel's own, as EIOCBQUEUED (529): the agent may still answer.
 */
static long custom_bad_errno(struct agent *a, key_serial_t key)
{
	static const int bad[] = {
		0, 4095, 4096, 512, 513, 514, 516, 515, 517, 529, 4094,
	};
	unsigned int i;

	(void)a;
	if (agent_assume(key) <= 0)
		return -EIO;
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		if (keyctl_reject(key, 1, bad[i], 0) != -1 || errno != EINVAL)
			return -bad[i];
	return neg_errno(keyctl_instantiate(key, "after all", 9, 0));
}

TEST_F(reject, reject_with_a_bad_errno)
{
	key_serial_t key;

	self->a.sh->plan.action = AGENT_CUSTOM;
	self->a.sh->plan.custom = custom_bad_errno;
	key = sys_request_key("user", unique("bad_errno"), "x", 0);
	ASSERT_LT(0, key);
	agent_wait_done(_metadata, &self->a, 1);
	EXPECT_EQ(0, agent_record(&self->a, 0)->result);
	EXPECT_STREQ("after all", payload_of(key));
}

TEST_F(reject, negative_key_into_the_keyring_asked_for)
{
	key_serial_t ring;

	self->a.sh->plan.action = AGENT_REJECT;
	self->a.sh->plan.error = EKEYREJECTED;
	self->a.sh->plan.timeout = 600;
	ring = sys_add_key("keyring", unique("ring"), NULL, 0,
			   KEY_SPEC_SESSION_KEYRING);
	ASSERT_LT(0, ring);
	EXPECT_EQ(-1, sys_request_key("user", unique("dest"), "x", ring));
	EXPECT_EQ(EKEYREJECTED, errno);
	EXPECT_TRUE(ring_has(ring, agent_record(&self->a, 0)->key));
	EXPECT_EQ(2, links_in(KEY_SPEC_SESSION_KEYRING));
}

KEYAGENT_HARNESS_MAIN
