// SPDX-License-Identifier: GPL-2.0
/*
 * When an agent is found but cannot be asked, /sbin/request-key is, exactly as if
 * there were no agent.
 */

#include "observe.h"
#include "quota.h"

FIXTURE(fallback) {
	struct agent a;
};

FIXTURE_SETUP(fallback)
{
	test_session(_metadata);
}

FIXTURE_TEARDOWN(fallback)
{
	agent_stop(&self->a);
}

/* The agent must be alive and never have been asked, the upcall must be made. */
static void expect_fallback(struct __test_metadata *const _metadata,
			    struct agent *a, const char *outcome)
{
	const char *desc = unique("fallback");
	struct outcomes before;
	key_serial_t key;

	outcomes_read(&before);
	key = sys_request_key("user", desc, "x", 0);
	ASSERT_LT(0, key) {
		TH_LOG("request_key: %s", strerror(errno));
	}
	EXPECT_STREQ("upcall", payload_of(key));
	EXPECT_EQ(1, upcall_count(desc, NULL));
	EXPECT_EQ(0, agent_asked(a));
	expect_outcome(_metadata, &before, outcome);
	expect_settled(_metadata, a);
}

TEST_F(fallback, no_agent)
{
	key_serial_t session, thread, process, key;
	const char *desc = unique("no_agent");
	struct upcall up = { 0 };

	session = keyctl_get_keyring_id(KEY_SPEC_SESSION_KEYRING, 0);
	thread = keyctl_get_keyring_id(KEY_SPEC_THREAD_KEYRING, 1);
	process = keyctl_get_keyring_id(KEY_SPEC_PROCESS_KEYRING, 1);
	key = sys_request_key("user", desc, "x", 0);
	ASSERT_LT(0, key);
	EXPECT_STREQ("upcall", payload_of(key));
	ASSERT_EQ(1, upcall_count(desc, &up));
	EXPECT_STREQ("create", up.op);
	EXPECT_EQ(key, up.key);
	EXPECT_EQ(0, up.uid);
	EXPECT_EQ(0, up.gid);
	EXPECT_EQ(thread, up.thread);
	EXPECT_EQ(process, up.process);
	EXPECT_EQ(session, up.session);
	EXPECT_TRUE(authkeys_gone());
}

/* A handler that leaves the key as it is: the core's own ENOKEY. */
TEST_F(fallback, handler_does_nothing)
{
	char desc[128];

	snprintf(desc, sizeof(desc), UPCALL_SILENT "%s", unique("x"));
	EXPECT_EQ(-1, sys_request_key("user", desc, "x", 0));
	EXPECT_EQ(ENOKEY, errno);
	EXPECT_EQ(1, upcall_count(desc, NULL));
	/* A negative key remembers it. */
	EXPECT_EQ(-1, sys_request_key("user", desc, "x", 0));
	EXPECT_EQ(ENOKEY, errno);
	EXPECT_EQ(1, upcall_count(desc, NULL));
	EXPECT_TRUE(authkeys_gone());
}

/* ------------------------------------------------------ what the signal does */

static long signal_is_default(struct agent *a)
{
	sigset_t set;

	signal(a->opts.sig, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, a->opts.sig);
	return neg_errno(sigprocmask(SIG_UNBLOCK, &set, NULL));
}

static long signal_is_ignored(struct agent *a)
{
	long ret = signal_is_default(a);

	signal(a->opts.sig, SIG_IGN);
	return ret;
}

static long signal_is_ignored_and_blocked(struct agent *a)
{
	signal(a->opts.sig, SIG_IGN);
	return 0;
}

/* It would kill the agent. */
TEST_F(fallback, default_action)
{
	const struct agent_opts opts = { .prepare = signal_is_default };

	agent_start(_metadata, &self->a, &opts);
	expect_fallback(_metadata, &self->a, "deaf");
	EXPECT_EQ(0, kill(self->a.pid, 0));
	EXPECT_EQ(0, waitpid(self->a.pid, NULL, WNOHANG));
}

/* Nobody would get it. */
TEST_F(fallback, ignored)
{
	const struct agent_opts opts = { .prepare = signal_is_ignored };

	agent_start(_metadata, &self->a, &opts);
	expect_fallback(_metadata, &self->a, "deaf");
}

/* A blocked signal is queued, whatever its action, and signalfd reads it. */
TEST_F(fallback, ignored_but_blocked_is_served)
{
	const struct agent_opts opts = {
		.prepare = signal_is_ignored_and_blocked,
	};
	const char *desc = unique("blocked");

	agent_start(_metadata, &self->a, &opts);
	EXPECT_LT(0, sys_request_key("user", desc, "x", 0));
	EXPECT_EQ(1, agent_asked(&self->a));
	EXPECT_EQ(0, upcall_count(desc, NULL));
}

/* ------------------------------------------------------------------ resources */

TEST_F(fallback, quota_of_the_agent_is_used_up)
{
	const struct agent_opts opts = { .prepare = user_with_ptrace };

	agent_start(_metadata, &self->a, &opts);
	ASSERT_EQ(0, agent_call(_metadata, &self->a, fill_quota, NULL, 0));
	expect_fallback(_metadata, &self->a, "not_linked");
	ASSERT_EQ(0, agent_call(_metadata, &self->a, free_quota, NULL, 0));
	EXPECT_LT(0, sys_request_key("user", unique("quota"), "x", 0));
	EXPECT_EQ(1, agent_asked(&self->a));
	expect_settled(_metadata, &self->a);
}

KEYAGENT_HARNESS_MAIN
