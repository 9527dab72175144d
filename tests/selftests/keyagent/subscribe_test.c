// SPDX-License-Identifier: GPL-2.0
/*
 * Who is asked: the nearest live agent for the key's type that the requester can
 * find, searching from its session keyring. Whoever is not found is not asked,
 * and without an agent /sbin/request-key is.
 */

#include "common.h"

FIXTURE(subscribe) {
	struct agent a;
	struct agent b;
};

FIXTURE_SETUP(subscribe)
{
	const struct agent_opts opts = {
		.no_link = true,
		.plan.payload = "a",
	};

	test_session(_metadata);
	agent_start(_metadata, &self->a, &opts);
}

FIXTURE_TEARDOWN(subscribe)
{
	agent_stop(&self->a);
	agent_stop(&self->b);
}

static void start_b(struct __test_metadata *const _metadata, struct agent *b,
		    const char *type)
{
	const struct agent_opts opts = {
		.type = type,
		.no_link = true,
		.plan.payload = "b",
	};

	agent_start(_metadata, b, &opts);
}

static key_serial_t make_ring(struct __test_metadata *const _metadata,
			      key_serial_t in)
{
	key_serial_t ring = sys_add_key("keyring", unique("ring"), NULL, 0, in);

	ASSERT_LT(0, ring);
	return ring;
}

/* One new request of that type must be answered with the payload @who. */
#define EXPECT_ANSWER(_type, _who) do {					\
	const char *__desc = unique("logon:subscribe");			\
	const bool __up = !strcmp(_who, "upcall");			\
	key_serial_t __key = sys_request_key(_type, __desc, "x", 0);	\
									\
	EXPECT_LT(0, __key);						\
	EXPECT_EQ(__up, upcall_count(__desc, NULL));			\
	if (!strcmp(_type, "user"))					\
		EXPECT_STREQ(_who, payload_of(__key));			\
} while (0)

TEST_F(subscribe, not_linked)
{
	EXPECT_ANSWER("user", "upcall");
	EXPECT_EQ(0, agent_asked(&self->a));
}

TEST_F(subscribe, link_and_unlink)
{
	ASSERT_EQ(0, keyctl_link(self->a.sh->key, KEY_SPEC_SESSION_KEYRING));
	EXPECT_ANSWER("user", "a");
	ASSERT_EQ(0, keyctl_unlink(self->a.sh->key, KEY_SPEC_SESSION_KEYRING));
	EXPECT_ANSWER("user", "upcall");
	ASSERT_EQ(0, keyctl_link(self->a.sh->key, KEY_SPEC_SESSION_KEYRING));
	EXPECT_ANSWER("user", "a");
	EXPECT_EQ(2, agent_asked(&self->a));
}

/* Only the session keyring counts, not what else the requester possesses. */
TEST_F(subscribe, other_keyrings_do_not_count)
{
	ASSERT_EQ(0, keyctl_link(self->a.sh->key, KEY_SPEC_THREAD_KEYRING));
	ASSERT_EQ(0, keyctl_link(self->a.sh->key, KEY_SPEC_PROCESS_KEYRING));
	ASSERT_EQ(0, keyctl_link(self->a.sh->key, KEY_SPEC_USER_KEYRING));
	EXPECT_ANSWER("user", "upcall");
	EXPECT_EQ(0, agent_asked(&self->a));
	keyctl_unlink(self->a.sh->key, KEY_SPEC_USER_KEYRING);
}

TEST_F(subscribe, revoked)
{
	ASSERT_EQ(0, keyctl_link(self->a.sh->key, KEY_SPEC_SESSION_KEYRING));
	EXPECT_ANSWER("user", "a");
	ASSERT_EQ(0, keyctl_revoke(self->a.sh->key));
	EXPECT_ANSWER("user", "upcall");
	EXPECT_EQ(1, agent_asked(&self->a));
}

TEST_F(subscribe, invalidated)
{
	ASSERT_EQ(0, keyctl_link(self->a.sh->key, KEY_SPEC_SESSION_KEYRING));
	ASSERT_EQ(0, keyctl_invalidate(self->a.sh->key));
	EXPECT_ANSWER("user", "upcall");
	EXPECT_EQ(0, agent_asked(&self->a));
}

TEST_F(subscribe, expired)
{
	char buf[256];

	ASSERT_EQ(0, keyctl_link(self->a.sh->key, KEY_SPEC_SESSION_KEYRING));
	ASSERT_EQ(0, keyctl_set_timeout(self->a.sh->key, 600));
	EXPECT_ANSWER("user", "a");
	ASSERT_EQ(0, keyctl_set_timeout(self->a.sh->key, 1));
	ASSERT_TRUE(wait_until(keyctl_describe(self->a.sh->key, buf,
					       sizeof(buf)) == -1 &&
			       errno == EKEYEXPIRED));
	EXPECT_ANSWER("user", "upcall");
	EXPECT_EQ(1, agent_asked(&self->a));
}

/* SEARCH is what it takes, and all that it takes. */
TEST_F(subscribe, search_permission)
{
	/* SETATTR for the owner, so that it can be given back. */
	const unsigned int no_search = (KEY_POS_ALL & ~KEY_POS_SEARCH) |
		KEY_USR_SETATTR;

	ASSERT_EQ(0, keyctl_link(self->a.sh->key, KEY_SPEC_SESSION_KEYRING));
	ASSERT_EQ(0, keyctl_setperm(self->a.sh->key, no_search));
	EXPECT_ANSWER("user", "upcall");
	EXPECT_EQ(0, agent_asked(&self->a));
	ASSERT_EQ(0, keyctl_setperm(self->a.sh->key, KEY_POS_SEARCH |
				    KEY_USR_SETATTR));
	EXPECT_ANSWER("user", "a");
	ASSERT_EQ(0, keyctl_setperm(self->a.sh->key, 0));
	EXPECT_ANSWER("user", "upcall");
	EXPECT_EQ(1, agent_asked(&self->a));
}

/* ... also on the keyrings between. */
TEST_F(subscribe, search_permission_of_a_keyring)
{
	key_serial_t ring = make_ring(_metadata, KEY_SPEC_SESSION_KEYRING);

	ASSERT_EQ(0, keyctl_link(self->a.sh->key, ring));
	EXPECT_ANSWER("user", "a");
	ASSERT_EQ(0, keyctl_setperm(ring, KEY_POS_ALL & ~KEY_POS_SEARCH));
	EXPECT_ANSWER("user", "upcall");
	EXPECT_EQ(1, agent_asked(&self->a));
}

TEST_F(subscribe, nested_keyring)
{
	key_serial_t ring = make_ring(_metadata, KEY_SPEC_SESSION_KEYRING);
	int i;

	for (i = 0; i < 4; i++)
		ring = make_ring(_metadata, ring);
	ASSERT_EQ(0, keyctl_link(self->a.sh->key, ring));
	EXPECT_ANSWER("user", "a");
	ASSERT_EQ(0, keyctl_unlink(self->a.sh->key, ring));
	EXPECT_ANSWER("user", "upcall");
}

TEST_F(subscribe, nearest_is_asked)
{
	key_serial_t ring = make_ring(_metadata, KEY_SPEC_SESSION_KEYRING);

	start_b(_metadata, &self->b, NULL);
	ASSERT_EQ(0, keyctl_link(self->b.sh->key, ring));
	EXPECT_ANSWER("user", "b");
	ASSERT_EQ(0, keyctl_link(self->a.sh->key, KEY_SPEC_SESSION_KEYRING));
	EXPECT_ANSWER("user", "a");
	EXPECT_ANSWER("user", "a");
	ASSERT_EQ(0, keyctl_unlink(self->a.sh->key, KEY_SPEC_SESSION_KEYRING));
	EXPECT_ANSWER("user", "b");
	EXPECT_EQ(2, agent_asked(&self->a));
	EXPECT_EQ(2, agent_asked(&self->b));
}

/* A dead agent does not stand before a live one: its key is revoked on the way. */
TEST_F(subscribe, dead_is_passed_over)
{
	key_serial_t ring = make_ring(_metadata, KEY_SPEC_SESSION_KEYRING);
	key_serial_t dead = self->a.sh->key;
	char buf[256];

	start_b(_metadata, &self->b, NULL);
	ASSERT_EQ(0, keyctl_link(self->b.sh->key, ring));
	ASSERT_EQ(0, keyctl_link(dead, KEY_SPEC_SESSION_KEYRING));
	EXPECT_ANSWER("user", "a");
	agent_stop(&self->a);
	ASSERT_LT(0, keyctl_describe(dead, buf, sizeof(buf)));
	EXPECT_ANSWER("user", "b");
	EXPECT_EQ(-1, keyctl_describe(dead, buf, sizeof(buf)));
	EXPECT_EQ(EKEYREVOKED, errno);
}

/* A second agent for the same type takes the first one's place in a keyring. */
TEST_F(subscribe, displaced)
{
	start_b(_metadata, &self->b, NULL);
	ASSERT_EQ(0, keyctl_link(self->a.sh->key, KEY_SPEC_SESSION_KEYRING));
	EXPECT_ANSWER("user", "a");
	ASSERT_EQ(0, keyctl_link(self->b.sh->key, KEY_SPEC_SESSION_KEYRING));
	EXPECT_ANSWER("user", "b");
	EXPECT_EQ(1, agent_asked(&self->a));
	EXPECT_EQ(1, agent_asked(&self->b));
}

TEST_F(subscribe, each_type_its_agent)
{
	start_b(_metadata, &self->b, "logon");
	ASSERT_EQ(0, keyctl_link(self->a.sh->key, KEY_SPEC_SESSION_KEYRING));
	EXPECT_ANSWER("user", "a");
	EXPECT_ANSWER("logon", "upcall");
	ASSERT_EQ(0, keyctl_link(self->b.sh->key, KEY_SPEC_SESSION_KEYRING));
	EXPECT_ANSWER("logon", "b");
	EXPECT_ANSWER("user", "a");
	EXPECT_EQ(2, agent_asked(&self->a));
	EXPECT_EQ(1, agent_asked(&self->b));
}

/* The whole name of the type counts, not a part of it. */
TEST_F(subscribe, similar_type_is_not_asked)
{
	struct agent c = { 0 };

	start_b(_metadata, &self->b, "use");
	start_b(_metadata, &c, "user2");
	ASSERT_EQ(0, keyctl_link(self->b.sh->key, KEY_SPEC_SESSION_KEYRING));
	ASSERT_EQ(0, keyctl_link(c.sh->key, KEY_SPEC_SESSION_KEYRING));
	EXPECT_ANSWER("user", "upcall");
	EXPECT_EQ(0, agent_asked(&self->b));
	EXPECT_EQ(0, agent_asked(&c));
	agent_stop(&c);
}

/* One agent serves whoever links its key. */
TEST_F(subscribe, two_sessions_one_agent)
{
	ASSERT_EQ(0, keyctl_link(self->a.sh->key, KEY_SPEC_SESSION_KEYRING));
	EXPECT_ANSWER("user", "a");
	ASSERT_LT(0, keyctl_join_session(NULL));
	EXPECT_ANSWER("user", "upcall");
	ASSERT_EQ(0, keyctl_link(self->a.sh->key, KEY_SPEC_SESSION_KEYRING));
	EXPECT_ANSWER("user", "a");
	EXPECT_EQ(2, agent_asked(&self->a));
}

/* LINK is for the agent to give. */
TEST_F(subscribe, link_needs_permission)
{
	ASSERT_EQ(0, keyctl_setperm(self->a.sh->key, KEY_POS_ALL));
	EXPECT_EQ(-1, keyctl_link(self->a.sh->key, KEY_SPEC_SESSION_KEYRING));
	EXPECT_EQ(EACCES, errno);
	EXPECT_ANSWER("user", "upcall");
}

/* One process may answer for several types, each with a signal of its own. */
static long register_logon(struct agent *a, const void *arg)
{
	(void)a;
	(void)arg;
	return agent_register("logon", AGENT_SIGNAL);
}

TEST_F(subscribe, one_agent_two_types)
{
	key_serial_t second;

	ASSERT_EQ(0, keyctl_link(self->a.sh->key, KEY_SPEC_SESSION_KEYRING));
	second = agent_call(_metadata, &self->a, register_logon, NULL, 0);
	ASSERT_LT(0, second);
	ASSERT_EQ(0, keyctl_link(second, KEY_SPEC_SESSION_KEYRING));
	EXPECT_ANSWER("user", "a");
	EXPECT_ANSWER("logon", "a");
	EXPECT_EQ(2, agent_asked(&self->a));
}

KEYAGENT_HARNESS_MAIN
