// SPDX-License-Identifier: GPL-2.0
/*
 * The holder of the authority possesses the requester's destination keyring, whatever
 * the requester itself may do with it. So a request into a keyring that the requester
 * does not possess goes to /sbin/request-key, except for its own user keyrings.
 */

#define _GNU_SOURCE
#include "observe.h"
#include "userns.h"

/* Requesters and agents, if they are not root; nobody's on any machine. */
#define USER		4711
#define SECRET		"destination:secret"

/* ------------------------------------------------- what the requester possesses */

#define DATA	FIXTURE_DATA(own)
#define VARIANT	FIXTURE_VARIANT(own)

FIXTURE(own)
{
	struct agent agent;
	struct outcomes before;
};

FIXTURE_VARIANT(own)
{
	key_serial_t dest;	/* 0: the default */
	int dfl;		/* which that is */
	key_serial_t made;	/* a keyring that is there before */
	key_serial_t linked;	/* into the session */
};

FIXTURE_VARIANT_ADD(own, thread)
{
	.dest = KEY_SPEC_THREAD_KEYRING,
};

FIXTURE_VARIANT_ADD(own, process)
{
	.dest = KEY_SPEC_PROCESS_KEYRING,
};

FIXTURE_VARIANT_ADD(own, session)
{
	.dest = KEY_SPEC_SESSION_KEYRING,
};

FIXTURE_VARIANT_ADD(own, user)
{
	.dest = KEY_SPEC_USER_KEYRING,
};

FIXTURE_VARIANT_ADD(own, user_session)
{
	.dest = KEY_SPEC_USER_SESSION_KEYRING,
};

FIXTURE_VARIANT_ADD(own, linked_user)
{
	.dest = KEY_SPEC_USER_KEYRING,
	.linked = KEY_SPEC_USER_KEYRING,
};

FIXTURE_VARIANT_ADD(own, linked_user_session)
{
	.dest = KEY_SPEC_USER_SESSION_KEYRING,
	.linked = KEY_SPEC_USER_SESSION_KEYRING,
};

FIXTURE_VARIANT_ADD(own, default_of_all)
{
	.dfl = KEY_REQKEY_DEFL_DEFAULT,
};

FIXTURE_VARIANT_ADD(own, default_thread)
{
	.dfl = KEY_REQKEY_DEFL_THREAD_KEYRING,
	.made = KEY_SPEC_THREAD_KEYRING,
};

FIXTURE_VARIANT_ADD(own, default_process)
{
	.dfl = KEY_REQKEY_DEFL_PROCESS_KEYRING,
	.made = KEY_SPEC_PROCESS_KEYRING,
};

FIXTURE_VARIANT_ADD(own, default_session)
{
	.dfl = KEY_REQKEY_DEFL_SESSION_KEYRING,
};

FIXTURE_VARIANT_ADD(own, default_user)
{
	.dfl = KEY_REQKEY_DEFL_USER_KEYRING,
};

FIXTURE_VARIANT_ADD(own, default_user_session)
{
	.dfl = KEY_REQKEY_DEFL_USER_SESSION_KEYRING,
};

FIXTURE_VARIANT_ADD(own, default_linked_user)
{
	.dfl = KEY_REQKEY_DEFL_USER_KEYRING,
	.linked = KEY_SPEC_USER_KEYRING,
};

static long prepare_user(struct agent *a __maybe_unused)
{
	return become(USER, USER, USER);
}

FIXTURE_SETUP(own)
{
	const struct agent_opts opts = { .prepare = prepare_user };

	if (geteuid())
		SKIP(_exit(KSFT_SKIP), "not root");
	test_session(_metadata);
	outcomes_read(&self->before);
	agent_start(_metadata, &self->agent, &opts);
}

FIXTURE_TEARDOWN(own)
{
	agent_stop(&self->agent);
}

/* In the requester. */
static long set_up_keyrings(const struct requester_opts *o)
{
	const VARIANT *v = (const VARIANT *)o->arg;
	long ret = become(USER, USER, USER);

	if (!ret && v->made)
		ret = neg_errno(keyctl_get_keyring_id(v->made, 1));
	if (ret >= 0 && v->linked)
		ret = neg_errno(keyctl_link(v->linked,
					    KEY_SPEC_SESSION_KEYRING));
	if (ret >= 0)
		ret = neg_errno(keyctl_set_reqkey_keyring(v->dfl));
	return ret;
}

/* The user keyrings outlive the test. */
static void unlink_as_user(struct __test_metadata *const _metadata,
			   key_serial_t key)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		if (become(USER, USER, USER))
			_exit(1);
		keyctl_unlink(key, KEY_SPEC_USER_KEYRING);
		keyctl_unlink(key, KEY_SPEC_USER_SESSION_KEYRING);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

TEST_F(own, is_handed_over)
{
	const struct requester_opts o = {
		.desc = unique("own"),
		.dest = variant->dest,
		.prepare = set_up_keyrings,
		.arg = (long)variant,
	};
	struct requester_result res = request_in_child(_metadata, &o);

	EXPECT_LT(0, res.key) {
		TH_LOG("%s", strerror(res.error));
	}
	EXPECT_EQ(1, agent_asked(&self->agent));
	EXPECT_EQ(0, upcall_count(o.desc, NULL));
	expect_outcome(_metadata, &self->before, "served");
	expect_settled(_metadata, &self->agent);
	unlink_as_user(_metadata, res.key);
}

#undef DATA
#undef VARIANT

/* --------------------------------------- what it may only write to, and not read */

#define DATA	FIXTURE_DATA(box)
#define VARIANT	FIXTURE_VARIANT(box)

FIXTURE(box)
{
	struct agent agent;
	struct outcomes before;
	key_serial_t ring;
};

FIXTURE_VARIANT(box)
{
	unsigned int perm;
	uid_t owner;
	uid_t user;		/* the requester and its agent */
	bool possessed;		/* by the requester, through its session */
};

/* Root's, into which everybody may put something. */
FIXTURE_VARIANT_ADD(box, of_root)
{
	.perm = KEY_POS_ALL | KEY_USR_ALL | KEY_OTH_WRITE,
	.user = USER,
};

/* The requester's own, but not within its reach. */
FIXTURE_VARIANT_ADD(box, of_the_user)
{
	.perm = KEY_POS_ALL | KEY_USR_ALL,
	.owner = USER,
	.user = USER,
};

/* Root is no exception. */
FIXTURE_VARIANT_ADD(box, for_root)
{
	.perm = KEY_POS_ALL | KEY_USR_ALL,
};

/* What else there is, is not in the way. */
FIXTURE_VARIANT_ADD(box, possessed)
{
	.perm = KEY_POS_ALL | KEY_USR_ALL,
	.owner = USER,
	.user = USER,
	.possessed = true,
};

static long prepare_variant(struct agent *a)
{
	return become(a->opts.arg, a->opts.arg, a->opts.arg);
}

/* What is in the destination keyring, an agent finds by the authority that it has. */
static long steal(struct agent *a __maybe_unused, key_serial_t key)
{
	long secret, ret = agent_assume(key);
	char buf[64];

	if (ret < 0)
		return ret;
	secret = neg_errno(keyctl_search(KEY_SPEC_REQUESTOR_KEYRING, "user",
					 SECRET, KEY_SPEC_PROCESS_KEYRING));
	ret = neg_errno(keyctl_instantiate(key, "agent", 5, 0));
	if (ret < 0 || secret < 0)
		return ret < 0 ? ret : secret;
	ret = neg_errno(keyctl_read(secret, buf, sizeof(buf)));
	keyctl_unlink(secret, KEY_SPEC_PROCESS_KEYRING);
	return ret;
}

/* The process keyring, which holds it, is not inherited. */
static key_serial_t make_box(struct __test_metadata *const _metadata,
			     unsigned int perm, uid_t owner)
{
	key_serial_t ring;

	ring = sys_add_key("keyring", "destination:box", NULL, 0,
			   KEY_SPEC_PROCESS_KEYRING);
	ASSERT_LT(0, ring);
	ASSERT_LT(0, sys_add_key("user", SECRET, "secret", 6, ring));
	if (owner)
		ASSERT_EQ(0, keyctl_chown(ring, owner, owner));
	ASSERT_EQ(0, keyctl_setperm(ring, perm));
	return ring;
}

FIXTURE_SETUP(box)
{
	const struct agent_opts opts = {
		.prepare = prepare_variant,
		.arg = variant->user,
		.plan = { .action = AGENT_CUSTOM, .custom = steal },
	};

	if (geteuid())
		SKIP(_exit(KSFT_SKIP), "not root");
	test_session(_metadata);
	outcomes_read(&self->before);
	agent_start(_metadata, &self->agent, &opts);
	self->ring = make_box(_metadata, variant->perm, variant->owner);
	if (variant->possessed)
		ASSERT_EQ(0, keyctl_link(self->ring, KEY_SPEC_SESSION_KEYRING));
}

FIXTURE_TEARDOWN(box)
{
	agent_stop(&self->agent);
}

static long become_arg(const struct requester_opts *o)
{
	return become(o->arg, o->arg, o->arg);
}

TEST_F(box, request)
{
	const struct requester_opts o = {
		.desc = unique("box"),
		.dest = self->ring,
		.prepare = become_arg,
		.arg = variant->user,
	};
	struct requester_result res = request_in_child(_metadata, &o);
	const bool asked = agent_asked(&self->agent);

	EXPECT_LT(0, res.key) {
		TH_LOG("%s", strerror(res.error));
	}
	if (asked)
		agent_wait_done(_metadata, &self->agent, 1);
	EXPECT_EQ(variant->possessed, asked) {
		TH_LOG("reading the secret: %ld",
		       agent_record(&self->agent, 0)->result);
	}
	EXPECT_EQ(!variant->possessed, upcall_count(o.desc, NULL));
	if (variant->possessed) {
		EXPECT_EQ(6, agent_record(&self->agent, 0)->result);
		expect_outcome(_metadata, &self->before, "served");
	} else {
		expect_outcome(_metadata, &self->before, "denied_destination");
	}
	expect_settled(_metadata, &self->agent);
}

#undef DATA
#undef VARIANT

/* ------------------------------------------------- requests of agents themselves */

/*
 * The agent in the middle requests a key while it answers the requester: what counts
 * is what it possesses itself, its requester's keyrings included, for it has the
 * authority over these.
 */
FIXTURE(nested)
{
	struct agent middle, inner;
	struct outcomes before;
};

FIXTURE_VARIANT(nested)
{
	key_serial_t dest;	/* 0: the default; NOBODYS: one that neither possesses */
	const char *outcome;
};

FIXTURE_VARIANT_ADD(nested, process)
{
	.dest = KEY_SPEC_PROCESS_KEYRING,
	.outcome = "served",
};

FIXTURE_VARIANT_ADD(nested, requester)
{
	.dest = KEY_SPEC_REQUESTOR_KEYRING,
	.outcome = "served",
};

FIXTURE_VARIANT_ADD(nested, default_requester)
{
	.outcome = "served",
};

#define NOBODYS	0x7fffffff

FIXTURE_VARIANT_ADD(nested, box)
{
	.dest = NOBODYS,
	.outcome = "denied_destination",
};

/* Where the request of the agent in the middle goes to; in its memory. */
static key_serial_t nested_dest;

static long request_into(struct agent *a __maybe_unused, key_serial_t key)
{
	long ret = agent_assume(key);
	char desc[64];

	if (ret < 0)
		return ret;
	snprintf(desc, sizeof(desc), "nested:%d", key);
	ret = neg_errno(sys_request_key("logon", desc, "-", nested_dest));
	if (keyctl_instantiate(key, "agent", 5, 0) < 0)
		return -errno;
	return ret;
}

FIXTURE_SETUP(nested)
{
	const struct agent_opts middle = {
		.prepare = prepare_user,
		.inherit_session = true,
		.plan = { .action = AGENT_CUSTOM, .custom = request_into },
	};
	const struct agent_opts inner = {
		.type = "logon",
		.prepare = prepare_user,
	};

	if (geteuid())
		SKIP(_exit(KSFT_SKIP), "not root");
	test_session(_metadata);
	outcomes_read(&self->before);
	nested_dest = variant->dest;
	if (variant->dest == NOBODYS)
		nested_dest = make_box(_metadata, KEY_POS_ALL | KEY_USR_ALL |
				       KEY_OTH_WRITE, 0);
	agent_start(_metadata, &self->inner, &inner);
	agent_start(_metadata, &self->middle, &middle);
}

FIXTURE_TEARDOWN(nested)
{
	agent_stop(&self->middle);
	agent_stop(&self->inner);
}

TEST_F(nested, request)
{
	const char * const outcomes[] = { variant->outcome, "served" };
	const struct requester_opts o = {
		.desc = unique("outer"),
		.dest = KEY_SPEC_THREAD_KEYRING,
		.prepare = become_arg,
		.arg = USER,
	};
	const bool served = !strcmp(variant->outcome, "served");
	struct requester_result res = request_in_child(_metadata, &o);
	char desc[64];

	EXPECT_LT(0, res.key);
	agent_wait_done(_metadata, &self->middle, 1);
	EXPECT_LT(0, agent_record(&self->middle, 0)->result);
	EXPECT_EQ(served, agent_asked(&self->inner));
	snprintf(desc, sizeof(desc), "nested:%d",
		 agent_record(&self->middle, 0)->key);
	EXPECT_EQ(!served, upcall_count(desc, NULL));
	if (served) {
		expect_outcomes(_metadata, &self->before, outcomes, 2);
		return;
	}
	EXPECT_EQ(1, outcome_growth(&self->before, variant->outcome));
	EXPECT_EQ(1, outcome_growth(&self->before, "served"));
}

KEYAGENT_HARNESS_MAIN
