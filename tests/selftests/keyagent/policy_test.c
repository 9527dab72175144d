// SPDX-License-Identifier: GPL-2.0
/*
 * Who may answer whom. An agent that may not is not asked at all: the request
 * goes to /sbin/request-key as if there were no agent.
 */

#include "common.h"
#include "userns.h"

/* The IDs and capabilities of one side. */
enum side {
	ROOT,
	ROOT_NO_PTRACE,		/* CAP_SYS_PTRACE not effective */
	ROOT_FSUID_1000,
	USER_1000,
	USER_1001,
	USER_1000_PTRACE,	/* ... with CAP_SYS_PTRACE */
	USER_1000_SYS_ADMIN,	/* ... with another capability */
	SET_UID,		/* real user 1000, effective user 0 */
	SET_UID_1001,		/* real user 1000, effective user 1001 */
	SAVED_ROOT,		/* user 1000, saved user 0 */
	SAVED_1001,
	REAL_1001,
	/* User 1000 but for one ID. */
	ONLY_EFFECTIVE_1001,
	ONLY_FS_1001,
	USERNS_OF_1000,		/* root of a namespace that user 1000 made */
	USERNS_OF_ROOT,
};

static long set_fsuid(uid_t uid)
{
	setfsuid(uid);
	if ((uid_t)setfsuid(-1) != uid)
		return -EPERM;
	return neg_errno(prctl(PR_SET_DUMPABLE, 1));
}

static long take_side(enum side side)
{
	long ret;

	switch (side) {
	case ROOT:
		return 0;
	case ROOT_NO_PTRACE:
		return drop_cap(CAP_SYS_PTRACE, false);
	case ROOT_FSUID_1000:
		return set_fsuid(1000);
	case USER_1000:
		return become(1000, 1000, 1000);
	case USER_1001:
		return become(1001, 1001, 1001);
	case USER_1000_PTRACE:
		return become_with_cap(1000, CAP_SYS_PTRACE);
	case USER_1000_SYS_ADMIN:
		return become_with_cap(1000, CAP_SYS_ADMIN);
	case SET_UID:
		return become(1000, 0, 0);
	case SET_UID_1001:
		return become(1000, 1001, 1001);
	case SAVED_ROOT:
		return become(1000, 1000, 0);
	case SAVED_1001:
		return become(1000, 1000, 1001);
	case REAL_1001:
		return become(1001, 1000, 1000);
	case ONLY_EFFECTIVE_1001:
		ret = become(1000, 1001, 1000);
		return ret < 0 ? ret : set_fsuid(1000);
	case ONLY_FS_1001:
		ret = become_with_cap(1000, CAP_SETUID);
		if (!ret)
			ret = set_fsuid(1001);
		return ret < 0 ? ret : drop_cap(CAP_SETUID, true);
	case USERNS_OF_1000:
		ret = become(1000, 1000, 1000);
		return ret < 0 ? ret : enter_userns(0);
	case USERNS_OF_ROOT:
		return enter_userns(0);
	}
	return -EINVAL;
}

static long prepare_agent(struct agent *a)
{
	return take_side(a->opts.arg);
}

static long prepare_requester(const struct requester_opts *o)
{
	return take_side(o->arg);
}

FIXTURE(policy) {
	struct agent a;
};

FIXTURE_VARIANT(policy) {
	enum side agent;
	enum side requester;
	bool served;
};

/* The same user on both sides. */
FIXTURE_VARIANT_ADD(policy, root_for_root) { ROOT, ROOT, true };
FIXTURE_VARIANT_ADD(policy, user_for_itself) { USER_1000, USER_1000, true };
/* Another user, without a capability. */
FIXTURE_VARIANT_ADD(policy, user_for_root) { USER_1000, ROOT, false };
FIXTURE_VARIANT_ADD(policy, user_for_another) { USER_1000, USER_1001, false };
FIXTURE_VARIANT_ADD(policy, another_for_user) { USER_1001, USER_1000, false };
/* CAP_SYS_PTRACE over the requester's user namespace, and that one only. */
FIXTURE_VARIANT_ADD(policy, root_for_user) { ROOT, USER_1000, true };
FIXTURE_VARIANT_ADD(policy, root_without_ptrace_for_user) {
	ROOT_NO_PTRACE, USER_1000, false
};
FIXTURE_VARIANT_ADD(policy, user_with_ptrace_for_another) {
	USER_1000_PTRACE, USER_1001, true
};
FIXTURE_VARIANT_ADD(policy, user_with_sys_admin_for_another) {
	USER_1000_SYS_ADMIN, USER_1001, false
};
/* A set-uid program keeps the session keyring of the user who starts it. */
FIXTURE_VARIANT_ADD(policy, user_for_set_uid_root) {
	USER_1000, SET_UID, false
};
FIXTURE_VARIANT_ADD(policy, user_for_set_uid_other) {
	USER_1000, SET_UID_1001, false
};
FIXTURE_VARIANT_ADD(policy, user_for_saved_root) {
	USER_1000, SAVED_ROOT, false
};
FIXTURE_VARIANT_ADD(policy, user_for_saved_other) {
	USER_1000, SAVED_1001, false
};
FIXTURE_VARIANT_ADD(policy, user_for_real_other) {
	USER_1000, REAL_1001, false
};
FIXTURE_VARIANT_ADD(policy, user_for_effective_other) {
	USER_1000, ONLY_EFFECTIVE_1001, false
};
FIXTURE_VARIANT_ADD(policy, user_for_fs_other) {
	USER_1000, ONLY_FS_1001, false
};
FIXTURE_VARIANT_ADD(policy, user_for_root_with_its_fsuid) {
	USER_1000, ROOT_FSUID_1000, false
};
FIXTURE_VARIANT_ADD(policy, root_for_set_uid) { ROOT, SET_UID, true };
/* All of the agent's IDs count too. */
FIXTURE_VARIANT_ADD(policy, set_uid_other_for_user) {
	SET_UID_1001, USER_1000, false
};
FIXTURE_VARIANT_ADD(policy, set_uid_other_for_other) {
	SET_UID_1001, USER_1001, false
};
FIXTURE_VARIANT_ADD(policy, saved_root_for_user) {
	SAVED_ROOT, USER_1000, false
};
FIXTURE_VARIANT_ADD(policy, saved_other_for_user) {
	SAVED_1001, USER_1000, false
};
FIXTURE_VARIANT_ADD(policy, real_other_for_user) {
	REAL_1001, USER_1000, false
};
FIXTURE_VARIANT_ADD(policy, effective_other_for_user) {
	ONLY_EFFECTIVE_1001, USER_1000, false
};
FIXTURE_VARIANT_ADD(policy, fs_other_for_user) {
	ONLY_FS_1001, USER_1000, false
};
FIXTURE_VARIANT_ADD(policy, same_mixture) { SET_UID_1001, SET_UID_1001, false };
/* User namespaces. */
FIXTURE_VARIANT_ADD(policy, root_for_userns) { ROOT, USERNS_OF_1000, true };
FIXTURE_VARIANT_ADD(policy, owner_for_userns) {
	USER_1000, USERNS_OF_1000, true
};
FIXTURE_VARIANT_ADD(policy, other_for_userns) {
	USER_1001, USERNS_OF_1000, false
};
FIXTURE_VARIANT_ADD(policy, userns_root_for_root) {
	USERNS_OF_1000, ROOT, false
};
FIXTURE_VARIANT_ADD(policy, userns_root_for_another) {
	USERNS_OF_1000, USER_1001, false
};
FIXTURE_VARIANT_ADD(policy, userns_of_root_for_user) {
	USERNS_OF_ROOT, USER_1000, false
};

FIXTURE_SETUP(policy)
{
	const struct agent_opts opts = {
		.prepare = prepare_agent,
		.arg = variant->agent,
	};

	test_session(_metadata);
	agent_start(_metadata, &self->a, &opts);
}

FIXTURE_TEARDOWN(policy)
{
	agent_stop(&self->a);
}

TEST_F(policy, request)
{
	const struct requester_opts req = {
		.desc = unique("policy"),
		.prepare = prepare_requester,
		.arg = variant->requester,
	};
	struct requester_result res;

	res = request_in_child(_metadata, &req);
	ASSERT_LT(0, res.key) {
		TH_LOG("request_key: %s", strerror(res.error));
	}
	EXPECT_EQ(variant->served, agent_asked(&self->a));
	EXPECT_EQ(!variant->served, upcall_count(req.desc, NULL));
	/* Not asked means not given the authority either. */
	expect_settled(_metadata, &self->a);
}

/* -------------------------------------------------- credentials of the moment */

FIXTURE(change) {
	struct agent a;
};

FIXTURE_SETUP(change)
{
	test_session(_metadata);
	agent_start(_metadata, &self->a, NULL);
}

FIXTURE_TEARDOWN(change)
{
	agent_stop(&self->a);
}

static long change_side(struct agent *a, const void *arg)
{
	long ret = take_side(*(const enum side *)arg);

	(void)a;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return ret;
}

static void expect_request(struct __test_metadata *const _metadata,
			   struct agent *a, enum side who, bool served)
{
	const int asked = agent_asked(a);
	const struct requester_opts req = {
		.desc = unique("change"),
		.prepare = prepare_requester,
		.arg = who,
	};
	struct requester_result res = request_in_child(_metadata, &req);

	EXPECT_LT(0, res.key);
	EXPECT_EQ(asked + served, agent_asked(a));
	EXPECT_EQ(!served, upcall_count(req.desc, NULL));
}

/* What the agent is when it is asked counts, not what it was. */
TEST_F(change, agent_drops_its_user)
{
	const enum side user = USER_1000;

	expect_request(_metadata, &self->a, ROOT, true);
	expect_request(_metadata, &self->a, USER_1000, true);
	ASSERT_LE(0, agent_call(_metadata, &self->a, change_side, &user,
				sizeof(user)));
	expect_request(_metadata, &self->a, ROOT, false);
	expect_request(_metadata, &self->a, USER_1001, false);
	expect_request(_metadata, &self->a, USER_1000, true);
}

TEST_F(change, agent_drops_its_capability)
{
	const enum side dropped = ROOT_NO_PTRACE;

	expect_request(_metadata, &self->a, USER_1000, true);
	ASSERT_LE(0, agent_call(_metadata, &self->a, change_side, &dropped,
				sizeof(dropped)));
	expect_request(_metadata, &self->a, USER_1000, false);
}

static long raise_ptrace(struct agent *a, const void *arg)
{
	struct __user_cap_header_struct hdr = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	(void)a;
	(void)arg;
	if (syscall(__NR_capget, &hdr, data))
		return -errno;
	data[0].effective |= 1u << CAP_SYS_PTRACE;
	return neg_errno(syscall(__NR_capset, &hdr, data));
}

TEST_F(change, agent_raises_a_capability)
{
	const enum side dropped = ROOT_NO_PTRACE;

	ASSERT_LE(0, agent_call(_metadata, &self->a, change_side, &dropped,
				sizeof(dropped)));
	expect_request(_metadata, &self->a, USER_1000, false);
	ASSERT_EQ(0, agent_call(_metadata, &self->a, raise_ptrace, NULL, 0));
	expect_request(_metadata, &self->a, USER_1000, true);
}

/* The upcall is the one that the requester would have had without an agent. */
TEST_F(change, upcall_is_unchanged)
{
	const enum side user = USER_1000;
	struct upcall up = { 0 };
	const struct requester_opts req = {
		.desc = unique("upcall"),
		.prepare = prepare_requester,
		.arg = USER_1001,
		.callout = "x",
	};
	struct requester_result res;
	key_serial_t session;

	session = keyctl_get_keyring_id(KEY_SPEC_SESSION_KEYRING, 0);
	ASSERT_LE(0, agent_call(_metadata, &self->a, change_side, &user,
				sizeof(user)));
	res = request_in_child(_metadata, &req);
	ASSERT_LT(0, res.key);
	ASSERT_EQ(1, upcall_count(req.desc, &up));
	EXPECT_STREQ("create", up.op);
	EXPECT_EQ(res.key, up.key);
	EXPECT_EQ(1001, up.uid);
	EXPECT_EQ(1001, up.gid);
	EXPECT_EQ(0, up.thread);
	EXPECT_EQ(0, up.process);
	EXPECT_EQ(session, up.session);
	EXPECT_STREQ("user", up.type);
}

KEYAGENT_HARNESS_MAIN
