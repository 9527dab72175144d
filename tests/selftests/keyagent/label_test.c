// SPDX-License-Identifier: GPL-2.0
/*
 * Labels of security modules. An agent that has another label than the requester,
 * or than the process whose keyrings the authority opens, is not asked, unless it
 * has CAP_SYS_PTRACE: which AppArmor may refuse to one that has it otherwise.
 */

#include "label.h"
#include "observe.h"
#include "userns.h"

/* Profiles of AppArmor, or labels of Smack. */
#define CONFINED	"keyagent-confined"
#define OTHER		"keyagent-other"
#define FLOOR		"_"

enum who {
	USER,			/* 1000 */
	USER_WITH_PTRACE,	/* ... with CAP_SYS_PTRACE */
	ROOT,
};

/* One side of a request. */
struct side {
	enum who who;
	const char *label;	/* NULL: as the test has it */
};

static long take_side(const struct side *side)
{
	long ret = 0;

	/* By privileges that it has no more when it is a user. */
	if (side->label)
		ret = take_label(side->label);
	if (ret < 0 || side->who == ROOT)
		return ret;
	return side->who == USER ? become(1000, 1000, 1000) :
				   become_with_cap(1000, CAP_SYS_PTRACE);
}

static long prepare_agent(struct agent *a)
{
	return take_side((const struct side *)a->opts.arg);
}

static long prepare_requester(const struct requester_opts *o)
{
	return take_side((const struct side *)o->arg);
}

/* The labels, and what lets Smack find keys and links across them. */
static void make_labels(struct __test_metadata *const _metadata)
{
	static const char * const label[] = { FLOOR, CONFINED, OTHER };
	size_t i, k;

	switch (labelling()) {
	case LABELS_NONE:
		SKIP(_exit(KSFT_SKIP),
		     "no security module gives tasks labels: boot with lsm=landlock,yama,apparmor or lsm=landlock,yama,smack");
	case LABELS_APPARMOR:
		ASSERT_EQ(0, aa_load(CONFINED, CAP_SYS_PTRACE, false));
		ASSERT_EQ(0, aa_load(OTHER, CAP_SYS_BOOT, false));
		break;
	case LABELS_SMACK:
		for (i = 0; i < ARRAY_SIZE(label); i++)
			for (k = 0; k < ARRAY_SIZE(label); k++)
				ASSERT_EQ(0, smack_allow(label[i], label[k]));
		break;
	}
}

static void remove_labels(void)
{
	if (labelling() != LABELS_APPARMOR)
		return;
	aa_remove(CONFINED);
	aa_remove(OTHER);
}

static void expect_request(struct __test_metadata *const _metadata,
			   struct agent *a, const struct side *side,
			   const char *outcome)
{
	const bool served = !strcmp(outcome, "served");
	const int asked = agent_asked(a);
	const struct requester_opts o = {
		.desc = unique("label"),
		.prepare = prepare_requester,
		.arg = (long)side,
	};
	struct outcomes before;
	struct requester_result res;

	ASSERT_TRUE(outcomes_read(&before));
	res = request_in_child(_metadata, &o);
	EXPECT_LT(0, res.key) {
		TH_LOG("request_key: %s", strerror(res.error));
	}
	expect_outcome(_metadata, &before, outcome);
	EXPECT_EQ(asked + served, agent_asked(a));
	EXPECT_EQ(!served, upcall_count(o.desc, NULL));
}

/* ------------------------------------------------------------- two processes */

FIXTURE(label)
{
	struct agent a;
};

FIXTURE_SETUP(label)
{
	test_session(_metadata);
	make_labels(_metadata);
}

FIXTURE_TEARDOWN(label)
{
	agent_stop(&self->a);
	remove_labels();
}

static void start(struct __test_metadata *const _metadata, struct agent *a,
		  const struct side *side)
{
	const struct agent_opts opts = {
		.prepare = prepare_agent,
		.arg = (long)side,
	};

	agent_start(_metadata, a, &opts);
}

/* The same user: nothing but the label is in the way. */
TEST_F(label, other_label)
{
	const struct side agent = { USER, CONFINED }, requester = { USER, NULL };

	start(_metadata, &self->a, &agent);
	expect_request(_metadata, &self->a, &requester, "denied_label");
	/* Not asked means not given the authority either. */
	expect_settled(_metadata, &self->a);
}

/* A label that is neither's own is no better for being restricted. */
TEST_F(label, of_the_requester)
{
	const struct side agent = { USER, NULL }, requester = { USER, CONFINED };

	start(_metadata, &self->a, &agent);
	expect_request(_metadata, &self->a, &requester, "denied_label");
}

TEST_F(label, of_both)
{
	const struct side agent = { USER, CONFINED }, requester = { USER, OTHER };

	start(_metadata, &self->a, &agent);
	expect_request(_metadata, &self->a, &requester, "denied_label");
}

TEST_F(label, none)
{
	const struct side agent = { USER, NULL }, requester = { USER, NULL };

	start(_metadata, &self->a, &agent);
	expect_request(_metadata, &self->a, &requester, "served");
}

TEST_F(label, same_label)
{
	const struct side agent = { USER, CONFINED };

	start(_metadata, &self->a, &agent);
	expect_request(_metadata, &self->a, &agent, "served");
}

/* The label of the moment counts, not that of the registration. */
static long do_take_label(struct agent *a __maybe_unused, const void *arg)
{
	return take_label(arg);
}

TEST_F(label, changed_later)
{
	const struct side agent = { ROOT, NULL }, requester = { ROOT, NULL };

	if (labelling() == LABELS_SMACK)
		SKIP(return, "with Smack root has CAP_SYS_PTRACE whatever its label");
	start(_metadata, &self->a, &agent);
	expect_request(_metadata, &self->a, &requester, "served");
	ASSERT_EQ(0, agent_call(_metadata, &self->a, do_take_label, CONFINED,
				sizeof(CONFINED)));
	expect_request(_metadata, &self->a, &requester, "denied_label");
}

/* ------------------------------------------------------------- CAP_SYS_PTRACE */

TEST_F(label, user_with_ptrace)
{
	const struct side agent = { USER_WITH_PTRACE, OTHER };
	const struct side requester = { USER, NULL };

	start(_metadata, &self->a, &agent);
	expect_request(_metadata, &self->a, &requester, "served");
}

TEST_F(label, root)
{
	const struct side agent = { ROOT, OTHER };
	const struct side root = { ROOT, NULL }, user = { USER, CONFINED };

	start(_metadata, &self->a, &agent);
	expect_request(_metadata, &self->a, &root, "served");
	expect_request(_metadata, &self->a, &user, "served");
}

/* The security module is asked for the capability, too. */
TEST_F(label, root_whose_profile_lacks_ptrace)
{
	const struct side agent = { ROOT, CONFINED };
	const struct side root = { ROOT, NULL }, user = { USER, CONFINED };

	if (labelling() == LABELS_SMACK)
		SKIP(return, "Smack does not restrict capabilities");
	start(_metadata, &self->a, &agent);
	expect_request(_metadata, &self->a, &root, "denied_label");
	expect_request(_metadata, &self->a, &user, "denied_user");
}

/* ---------------------------------------------------------- another version */

/* What a process began with is an old version of the same label. */
TEST_F(label, profile_is_replaced)
{
	const struct side confined = { USER, CONFINED }, none = { USER, NULL };
	int i;

	if (labelling() == LABELS_SMACK)
		SKIP(return, "labels of Smack have no versions");
	start(_metadata, &self->a, &confined);
	for (i = 1; i <= 3; i++) {
		ASSERT_EQ(0, aa_load(CONFINED, CAP_SYS_PTRACE, i % 2));
		/* The requester takes the new one, the agent had an old one. */
		expect_request(_metadata, &self->a, &confined, "served");
		expect_request(_metadata, &self->a, &none, "denied_label");
	}
}

/* The requester, too, may have begun with an old one. */
static long wait_for_replacement(const struct requester_opts *o)
{
	const struct side confined = { USER, CONFINED };
	int *fds = (int *)o->arg;
	long ret = take_side(&confined);
	char byte = 0;

	if (ret < 0)
		return ret;
	if (write(fds[1], &byte, 1) != 1 || read(fds[2], &byte, 1) != 1)
		return -EPIPE;
	return 0;
}

TEST_F(label, profile_is_replaced_under_both)
{
	const struct side confined = { USER, CONFINED };
	int fds[4];
	const struct requester_opts o = {
		.desc = unique("label"),
		.prepare = wait_for_replacement,
		.arg = (long)fds,
	};
	struct requester_result res;
	struct outcomes before;
	struct requester r;
	char byte;

	if (labelling() == LABELS_SMACK)
		SKIP(return, "labels of Smack have no versions");
	start(_metadata, &self->a, &confined);
	ASSERT_EQ(0, pipe(fds));
	ASSERT_EQ(0, pipe(fds + 2));
	ASSERT_TRUE(outcomes_read(&before));
	requester_start(_metadata, &r, &o);
	ASSERT_EQ(1, read(fds[0], &byte, 1));
	ASSERT_EQ(0, aa_load(CONFINED, CAP_SYS_PTRACE, true));
	ASSERT_EQ(1, write(fds[3], &byte, 1));
	res = requester_finish(&r);
	EXPECT_LT(0, res.key);
	expect_outcome(_metadata, &before, "served");
}

/* A profile that is removed leaves its processes unconfined. */
TEST_F(label, profile_is_removed)
{
	const struct side confined = { USER, CONFINED }, none = { USER, NULL };

	if (labelling() == LABELS_SMACK)
		SKIP(return, "labels of Smack are not removed");
	start(_metadata, &self->a, &confined);
	expect_request(_metadata, &self->a, &none, "denied_label");
	aa_remove(CONFINED);
	expect_request(_metadata, &self->a, &none, "served");
}

/* ---------------------------------------------------------- a third process */

FIXTURE(grantor)
{
	struct agent servant;	/* has the authority of the grantor */
	struct agent thief;	/* is linked into the session of the servant */
};

FIXTURE_SETUP(grantor)
{
	test_session(_metadata);
	make_labels(_metadata);
}

FIXTURE_TEARDOWN(grantor)
{
	agent_stop(&self->servant);
	agent_stop(&self->thief);
	remove_labels();
}

/*
 * By now the servant has the thief's label and user; the grantor has the user. What
 * is left of the servant's capability is the authority that it got by it.
 */
static long request_more(struct agent *a __maybe_unused, key_serial_t key)
{
	long ret = agent_assume(key);

	if (ret >= 0)
		ret = drop_cap(CAP_SYS_PTRACE, true);
	return ret < 0 ? ret : agent_request_more(key);
}

static void run_nested(struct __test_metadata *const _metadata,
		       struct agent *servant, struct agent *thief,
		       const struct side *grantor, const char *outcome)
{
	const struct side tracer = { USER_WITH_PTRACE, OTHER };
	const struct side user = { USER, OTHER };
	const struct agent_opts servant_opts = {
		.prepare = prepare_agent,
		.arg = (long)&tracer,
		.inherit_session = true,
		.plan = { .action = AGENT_CUSTOM, .custom = request_more },
	};
	const struct agent_opts thief_opts = {
		.type = "logon",
		.prepare = prepare_agent,
		.arg = (long)&user,
	};
	const struct requester_opts o = {
		.desc = unique("grantor"),
		.prepare = prepare_requester,
		.arg = (long)grantor,
	};
	const bool served = !strcmp(outcome, "served");
	const char * const names[] = { "served", outcome };
	struct requester_result res;
	struct outcomes before;

	agent_start(_metadata, servant, &servant_opts);
	agent_start(_metadata, thief, &thief_opts);
	ASSERT_TRUE(outcomes_read(&before));
	res = request_in_child(_metadata, &o);
	EXPECT_LT(0, res.key);
	agent_wait_done(_metadata, servant, 1);
	EXPECT_EQ(0, agent_record(servant, 0)->result);
	EXPECT_EQ(served, agent_asked(thief));
	expect_outcomes(_metadata, &before, names, 2);
}

TEST_F(grantor, other_label)
{
	const struct side grantor = { USER, NULL };

	run_nested(_metadata, &self->servant, &self->thief, &grantor,
		   "denied_label");
}

TEST_F(grantor, same_label)
{
	const struct side grantor = { USER, OTHER };

	run_nested(_metadata, &self->servant, &self->thief, &grantor, "served");
}

KEYAGENT_HARNESS_MAIN
