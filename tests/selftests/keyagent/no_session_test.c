// SPDX-License-Identifier: GPL-2.0
/*
 * Processes without a session keyring. For them the key service looks for keys in
 * the user session keyring of their user (_uid_ses.UID), but an agent is found in
 * a session keyring only. A process that names its session keyring, and does not
 * want one made, gets the user session keyring for good.
 */

#include "observe.h"
#include "userns.h"

#define OTHER_UID	1011

FIXTURE(no_session)
{
	struct agent agent;
	struct outcomes before;
	struct requester_opts opts;
};

/* Sets the session keyring if there is none, for whoever we are: not for us. */
static bool has_session(struct __test_metadata *const _metadata)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		if (become(OTHER_UID, OTHER_UID, OTHER_UID))
			_exit(2);
		_exit(keyctl_get_keyring_id(KEY_SPEC_SESSION_KEYRING, 0) !=
		      keyctl_get_keyring_id(KEY_SPEC_USER_SESSION_KEYRING, 0));
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	ASSERT_GT(2, WEXITSTATUS(status));
	return WEXITSTATUS(status);
}

FIXTURE_SETUP(no_session)
{
	const struct agent_opts opts = { .no_link = true };

	if (geteuid())
		SKIP(_exit(KSFT_SKIP), "not root");
	if (has_session(_metadata))
		SKIP(_exit(KSFT_SKIP), "started with a session keyring");
	agent_start(_metadata, &self->agent, &opts);
	ASSERT_EQ(0, keyctl_link(self->agent.sh->key,
				 KEY_SPEC_USER_SESSION_KEYRING));
	outcomes_read(&self->before);
	self->opts.desc = unique("no_session");
}

FIXTURE_TEARDOWN(no_session)
{
	keyctl_unlink(self->agent.sh->key, KEY_SPEC_USER_SESSION_KEYRING);
	agent_stop(&self->agent);
}

TEST_F(no_session, no_agent)
{
	struct requester_result res;
	struct upcall up;

	res = request_in_child(_metadata, &self->opts);
	EXPECT_STREQ("upcall", answer(&res));
	ASSERT_EQ(1, upcall_count(self->opts.desc, &up));
	EXPECT_EQ(keyctl_get_keyring_id(KEY_SPEC_USER_SESSION_KEYRING, 0),
		  up.session);
	expect_outcome(_metadata, &self->before, "no_agent");
	EXPECT_EQ(0, agent_asked(&self->agent));
	EXPECT_FALSE(has_session(_metadata));
}

static long name_session(const struct requester_opts *o __maybe_unused)
{
	long ring = neg_errno(keyctl_get_keyring_id(KEY_SPEC_SESSION_KEYRING,
						    0));

	if (ring != keyctl_get_keyring_id(KEY_SPEC_USER_SESSION_KEYRING, 0))
		return -EINVAL;
	return ring;
}

TEST_F(no_session, agent_once_named)
{
	struct requester_result res;

	self->opts.prepare = name_session;
	res = request_in_child(_metadata, &self->opts);
	EXPECT_STREQ("agent", answer(&res));
	expect_outcome(_metadata, &self->before, "served");
	EXPECT_EQ(1, agent_asked(&self->agent));
}

/* One that wants it made gets a new one, in which there is no agent. */
static long make_session(const struct requester_opts *o __maybe_unused)
{
	return neg_errno(keyctl_get_keyring_id(KEY_SPEC_SESSION_KEYRING, 1));
}

TEST_F(no_session, none_in_a_new_one)
{
	struct requester_result res;

	self->opts.prepare = make_session;
	res = request_in_child(_metadata, &self->opts);
	EXPECT_LT(0, res.key);
	EXPECT_EQ(1, upcall_count(self->opts.desc, NULL));
	EXPECT_EQ(0, agent_asked(&self->agent));
	expect_outcome(_metadata, &self->before, "no_agent");
}

KEYAGENT_HARNESS_MAIN
