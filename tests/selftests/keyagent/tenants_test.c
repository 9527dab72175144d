// SPDX-License-Identifier: GPL-2.0
/*
 * Who counts as one tenant of an agent: a user, with all its sessions and with all the
 * user namespaces that it makes. Those that the agent's own user makes are tenants each.
 *
 * KEYAGENT_TENANTS says how many user namespaces and sessions there are: 40 by default,
 * on a fast machine 500.
 */

#define _GNU_SOURCE
#include "crowd.h"

/* The key quota of a user. */
#define MAXKEYS		"/proc/sys/kernel/keys/maxkeys"
#define MAXBYTES	"/proc/sys/kernel/keys/maxbytes"

static long enter_own_userns(const struct requester_opts *o)
{
	long ret = become(o->arg, o->arg, o->arg);

	return ret < 0 ? ret : enter_userns(0);
}

static long enter_nested_userns(const struct requester_opts *o)
{
	long ret = enter_own_userns(o);

	return ret < 0 ? ret : enter_userns(0);
}

/* As who has a session of its own for each request. */
static key_serial_t agent_key;

static long join_new_session(const struct requester_opts *o)
{
	long ret = become(o->arg, o->arg, o->arg);

	if (ret >= 0)
		ret = neg_errno(keyctl_join_session(NULL));
	if (ret >= 0)
		ret = neg_errno(keyctl_link(agent_key,
					    KEY_SPEC_SESSION_KEYRING));
	return ret;
}

FIXTURE(tenants)
{
	struct crowd crowd;
	char maxkeys[16], maxbytes[16];	/* as they were */
};

FIXTURE_VARIANT(tenants)
{
	long (*prepare)(const struct requester_opts *o);
	uid_t owner;
	bool many;		/* each is a tenant of its own */
};

FIXTURE_VARIANT_ADD(tenants, user_namespaces_of_one_user)
{
	.prepare = enter_own_userns,
	.owner = TENANT_A,
};

FIXTURE_VARIANT_ADD(tenants, nested_user_namespaces_of_one_user)
{
	.prepare = enter_nested_userns,
	.owner = TENANT_A,
};

FIXTURE_VARIANT_ADD(tenants, sessions_of_one_user)
{
	.prepare = join_new_session,
	.owner = TENANT_A,
};

/* The agent's user has made them, as containers are made. */
FIXTURE_VARIANT_ADD(tenants, user_namespaces_of_the_agents_user)
{
	.prepare = enter_own_userns,
	.many = true,
};

FIXTURE_SETUP(tenants)
{
	ASSERT_TRUE(file_read(MAXKEYS, self->maxkeys, sizeof(self->maxkeys)));
	ASSERT_TRUE(file_read(MAXBYTES, self->maxbytes,
			      sizeof(self->maxbytes)));
}

FIXTURE_TEARDOWN(tenants)
{
	crowd_teardown(_metadata, &self->crowd);
	EXPECT_EQ(0, write_word(MAXKEYS, 0, self->maxkeys));
	EXPECT_EQ(0, write_word(MAXBYTES, 0, self->maxbytes));
}

TEST_F_TIMEOUT(tenants, requests, 60)
{
	const int n = number_from("KEYAGENT_TENANTS", MAX_IN_FLIGHT / 2 + 8);
	const struct requester_opts o = {
		.prepare = variant->prepare, .arg = variant->owner,
	};
	const int all = n < MAX_IN_FLIGHT ? n : MAX_IN_FLIGHT;

	hold(_metadata, &self->crowd);
	agent_key = self->crowd.agent.sh->key;
	ASSERT_EQ(0, write_word(MAXKEYS, 0, "20000"));
	ASSERT_EQ(0, write_word(MAXBYTES, 0, "2000000"));
	EXPECT_EQ(variant->many ? all : MAX_IN_FLIGHT / 2,
		  start_many(_metadata, &self->crowd, &o, n));
}

KEYAGENT_HARNESS_MAIN
