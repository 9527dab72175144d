// SPDX-License-Identifier: GPL-2.0
/*
 * A request that is with /sbin/request-key: it keeps the module, it waits for no
 * agent any more, and /sbin/request-key is called as it is without the module.
 */

#define _GNU_SOURCE
#include "module.h"
#include "observe.h"

#define DATA FIXTURE_DATA(upcall)

FIXTURE(upcall)
{
	struct agent agent;
	struct agent other;
	struct limb limb;
	struct outcomes before;
	struct requester r;
	char desc[128];
};

FIXTURE_SETUP(upcall)
{
	module_required(_metadata);
	if (!module_loaded())
		ASSERT_EQ(0, module_load(""));
	test_session(_metadata);
	limb_open(_metadata, &self->limb);
	snprintf(self->desc, sizeof(self->desc), UPCALL_WAIT "%s",
		 unique("upcall"));
	ASSERT_EQ(0, upcall_hold());
	ASSERT_TRUE(outcomes_read(&self->before));
}

FIXTURE_TEARDOWN(upcall)
{
	upcall_release();
	agent_stop(&self->agent);
	agent_stop(&self->other);
	if (!module_loaded())
		EXPECT_EQ(0, module_load(""));
}

static void wait_for_upcall(struct __test_metadata *const _metadata, DATA *self)
{
	ASSERT_TRUE(wait_until(upcall_count(self->desc, NULL) == 1));
}

/* While the upcall is made the module stays, and lists no request of an agent. */
static void expect_kept(struct __test_metadata *const _metadata, DATA *self)
{
	struct requester_result res;
	char buf[4096];

	ASSERT_TRUE(file_read(DEBUGFS "requests", buf, sizeof(buf)));
	EXPECT_STREQ("", buf);
	EXPECT_EQ(-1, module_unload());
	EXPECT_EQ(EWOULDBLOCK, errno);
	upcall_release();
	res = requester_finish(&self->r);
	EXPECT_STREQ("upcall", answer(&res));
	agent_stop(&self->agent);
	EXPECT_EQ(0, module_unload_wait());
}

TEST_F(upcall, keeps_the_module)
{
	const struct requester_opts o = { .desc = self->desc };

	requester_start(_metadata, &self->r, &o);
	wait_for_upcall(_metadata, self);
	expect_kept(_metadata, self);
}

/* Has the agent give a request back, for which the upcall is made then. */
static void decline(struct __test_metadata *const _metadata, DATA *self)
{
	const struct agent_arg arg = {
		.key = agent_record(&self->agent, 0)->key,
	};

	ASSERT_EQ(0, agent_call(_metadata, &self->agent, agent_do_decline, &arg,
				sizeof(arg)));
	wait_for_upcall(_metadata, self);
}

TEST_F(upcall, of_a_declined_request_keeps_the_module)
{
	const struct agent_opts opts = { .plan.action = AGENT_HOLD };

	agent_start(_metadata, &self->agent, &opts);
	request_held(_metadata, &self->agent, &self->r, self->desc);
	decline(_metadata, self);
	expect_kept(_metadata, self);
}

/* The argument: a type, a semicolon, and a description. */
static long do_request(struct agent *a __maybe_unused, const void *arg)
{
	char type[256], *desc;

	snprintf(type, sizeof(type), "%s", (const char *)arg);
	desc = strchr(type, ';');
	*desc++ = '\0';
	return neg_errno(sys_request_key(type, desc, "-", 0));
}

/* The same with the result sent by itself, for agent_post(). */
static long do_request_and_tell(struct agent *a, const void *arg)
{
	long ret = do_request(a, arg);

	return write(a->ctl, &ret, sizeof(ret));
}

static void start_agent(struct __test_metadata *const _metadata,
			struct agent *a, const char *type,
			enum agent_action action)
{
	const struct agent_opts opts = {
		.type = type,
		.inherit_session = true,
		.plan.action = action,
	};

	agent_start(_metadata, a, &opts);
}

/*
 * The agent for "user" declines a request of a process that is the agent for
 * "logon" itself. That process does not wait for it any more, so it may wait for
 * that process.
 */
TEST_F(upcall, is_no_wait_for_the_agent)
{
	static const char * const names[] = { "declined", "served" };
	char user[192], logon[192];
	const char *desc = unique("logon:other way");
	long ret;

	start_agent(_metadata, &self->agent, "user", AGENT_HOLD);
	start_agent(_metadata, &self->other, "logon", AGENT_ANSWER);
	ASSERT_EQ(0, limb_start(_metadata, &self->limb, &self->other,
				agent_do_limb_thread));
	snprintf(user, sizeof(user), "user;%s", self->desc);
	agent_post(_metadata, &self->limb.call, do_request_and_tell, user,
		   strlen(user) + 1);
	agent_wait_asked(_metadata, &self->agent, 1);
	decline(_metadata, self);

	snprintf(logon, sizeof(logon), "logon;%s", desc);
	EXPECT_LT(0, agent_call(_metadata, &self->agent, do_request, logon,
				strlen(logon) + 1));
	EXPECT_EQ(1, agent_asked(&self->other));
	EXPECT_EQ(0, upcall_count(desc, NULL));
	expect_outcomes(_metadata, &self->before, names, ARRAY_SIZE(names));

	upcall_release();
	ASSERT_EQ((ssize_t)sizeof(ret),
		  read(self->limb.call.ctl, &ret, sizeof(ret)));
	EXPECT_LT(0, ret);
}

/* With the module and without it, nothing but the serial of the key differs. */
TEST_F(upcall, is_called_as_without_the_module)
{
	struct upcall with = { 0 }, without = { 0 };
	const char *desc[2] = { unique("argv"), unique("argv") };

	ASSERT_LT(0, keyctl_get_keyring_id(KEY_SPEC_THREAD_KEYRING, 1));
	ASSERT_LT(0, keyctl_get_keyring_id(KEY_SPEC_PROCESS_KEYRING, 1));
	ASSERT_LT(0, sys_request_key("user", desc[0], "-", 0));
	ASSERT_EQ(1, upcall_count(desc[0], &with));
	expect_outcome(_metadata, &self->before, "no_agent");
	ASSERT_EQ(0, module_unload_wait());
	ASSERT_LT(0, sys_request_key("user", desc[1], "-", 0));
	ASSERT_EQ(1, upcall_count(desc[1], &without));

	EXPECT_LT(0, with.thread);
	EXPECT_LT(0, with.process);
	EXPECT_STREQ(without.op, with.op);
	EXPECT_EQ(without.uid, with.uid);
	EXPECT_EQ(without.gid, with.gid);
	EXPECT_EQ(without.thread, with.thread);
	EXPECT_EQ(without.process, with.process);
	EXPECT_EQ(without.session, with.session);
	EXPECT_STREQ(without.type, with.type);
	EXPECT_NE(without.key, with.key);
}

KEYAGENT_HARNESS_MAIN
