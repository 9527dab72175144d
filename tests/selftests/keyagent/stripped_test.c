// SPDX-License-Identifier: GPL-2.0
/*
 * Three hold the authority over one key: an agent, its thread, its child. The end
 * of the request takes it from all who are left, whatever the end is, and from
 * the program that the agent executes.
 */

#define _GNU_SOURCE
#include "authority.h"
#include "module.h"

#define DATA FIXTURE_DATA(stripped)

/* Who is left when the request is over. */
#define AGENT	1
#define THREAD	2
#define CHILD	4

FIXTURE(stripped)
{
	struct agent agent;
	struct limb thread, child;
	struct agent_arg arg;
	struct requester r;
	key_serial_t secret;
	long authkey;
	pid_t child_pid;
	bool reloaded;
};

FIXTURE_VARIANT(stripped)
{
	/* Ends the request, or does nothing until it ends by itself. */
	void (*end)(struct __test_metadata *_metadata, DATA *self);
	int error;		/* the requester's; 0: it gets the key */
	unsigned int left;
	bool thread_registers;
	bool short_deadline;
};

/* ------------------------------------------------------------------- the ends */

static void end_answer(struct __test_metadata *const _metadata, DATA *self)
{
	EXPECT_EQ(0, settle(_metadata, &self->agent, &self->arg));
	/* Who has answered has no authority at all. */
	EXPECT_EQ(-ENOKEY, agent_call(_metadata, &self->agent,
				      do_add_to_requester, NULL, 0));
	EXPECT_EQ(-EACCES, on_key(_metadata, &self->agent, do_read,
				  self->secret));
}

static void end_rejection(struct __test_metadata *const _metadata, DATA *self)
{
	self->arg.plan.action = AGENT_REJECT;
	self->arg.plan.error = EKEYREJECTED;
	self->arg.plan.timeout = 1;
	EXPECT_EQ(0, settle(_metadata, &self->child.call, &self->arg));
}

static void end_deadline(struct __test_metadata *const _metadata __maybe_unused,
			 DATA *self __maybe_unused)
{
}

static void end_kill(struct __test_metadata *const _metadata, DATA *self)
{
	ASSERT_EQ(0, kill(self->r.pid, SIGKILL));
}

static void end_invalidation(struct __test_metadata *const _metadata, DATA *self)
{
	EXPECT_EQ(0, on_key(_metadata, &self->agent, do_invalidate,
			    self->authkey));
}

/* Lets the caller outlive its parent. */
static long do_orphan(struct agent *a __maybe_unused,
		      const void *arg __maybe_unused)
{
	return neg_errno(prctl(PR_SET_PDEATHSIG, 0));
}

static void end_death(struct __test_metadata *const _metadata, DATA *self)
{
	ASSERT_EQ(0, agent_call(_metadata, &self->child.call, do_orphan, NULL,
				0));
	ASSERT_EQ(0, kill(self->agent.pid, SIGKILL));
}

/* The thread that registered, while its siblings hold the authority. */
static void end_thread(struct __test_metadata *const _metadata, DATA *self)
{
	thread_exit(_metadata, &self->thread.call);
}

static void end_exec(struct __test_metadata *const _metadata, DATA *self)
{
	agent_exec_self(_metadata, &self->agent, SIGNAL_BLOCKED);
}

/* Nobody is left but a link, by which the test has the authority. */
static void end_link(struct __test_metadata *const _metadata, DATA *self)
{
	ASSERT_EQ(0, agent_call(_metadata, &self->agent, do_hand_on, NULL, 0));
	ASSERT_EQ(self->authkey, keyctl_assume_authority(self->arg.key));
	ASSERT_EQ(0, keyctl_assume_authority(0));
	ASSERT_EQ(0, kill(self->child_pid, SIGKILL));
	ASSERT_EQ(0, wait_dead(self->child_pid));
	ASSERT_EQ(0, kill(self->agent.pid, SIGKILL));
}

FIXTURE_VARIANT_ADD(stripped, answered)
{
	.end = end_answer,
	.left = THREAD | CHILD,
};

FIXTURE_VARIANT_ADD(stripped, rejected)
{
	.end = end_rejection,
	.error = EKEYREJECTED,
	.left = AGENT | THREAD,
};

FIXTURE_VARIANT_ADD(stripped, timed_out)
{
	.end = end_deadline,
	.error = ETIMEDOUT,
	.left = AGENT | THREAD | CHILD,
	.short_deadline = true,
};

FIXTURE_VARIANT_ADD(stripped, killed)
{
	.end = end_kill,
	.error = REQUESTER_DIED,
	.left = AGENT | THREAD | CHILD,
};

FIXTURE_VARIANT_ADD(stripped, invalidated)
{
	.end = end_invalidation,
	.error = ENOKEY,
	.left = AGENT | THREAD | CHILD,
};

FIXTURE_VARIANT_ADD(stripped, agent_died)
{
	.end = end_death,
	.error = ENOKEY,
	.left = CHILD,
};

FIXTURE_VARIANT_ADD(stripped, thread_ended)
{
	.end = end_thread,
	.error = ENOKEY,
	.left = AGENT | CHILD,
	.thread_registers = true,
};

FIXTURE_VARIANT_ADD(stripped, agent_executed)
{
	.end = end_exec,
	.error = ENOKEY,
	.left = AGENT | CHILD,
};

FIXTURE_VARIANT_ADD(stripped, link_left)
{
	.end = end_link,
	.error = ENOKEY,
};

/* ------------------------------------------------------------------ the set-up */

/* Nobody waits for its children. */
static long reap_children(struct agent *a __maybe_unused)
{
	return signal(SIGCHLD, SIG_IGN) == SIG_ERR ? -errno : 0;
}

FIXTURE_SETUP(stripped)
{
	struct agent_opts opts = {
		.no_register = true,
		.prepare = reap_children,
		.plan.action = AGENT_HOLD,
	};

	if (variant->short_deadline) {
		module_reload_short(_metadata);
		self->reloaded = true;
	}
	test_session(_metadata);
	limb_open(_metadata, &self->thread);
	limb_open(_metadata, &self->child);
	agent_start(_metadata, &self->agent, &opts);
	ASSERT_EQ(0, limb_start(_metadata, &self->thread, &self->agent,
				agent_do_limb_thread));
	agent_enlist(_metadata, variant->thread_registers ?
				&self->thread.call : &self->agent);
}

FIXTURE_TEARDOWN(stripped)
{
	if (self->child_pid > 0)
		kill(self->child_pid, SIGKILL);
	agent_stop(&self->agent);
	if (self->reloaded)
		EXPECT_EQ(0, module_reload(""));
}

/* A request that all three have the authority for. */
static void hold_threefold(struct __test_metadata *const _metadata, DATA *self)
{
	struct requester_opts o = { .desc = unique("held") };

	/* Possessed by the requester, as it shares our session keyring. */
	self->secret = sys_add_key("user", unique("secret"), "secret", 6,
				   KEY_SPEC_SESSION_KEYRING);
	ASSERT_LT(0, self->secret);
	ASSERT_EQ(0, keyctl_setperm(self->secret, KEY_POS_ALL));
	requester_start(_metadata, &self->r, &o);
	agent_wait_asked(_metadata, &self->agent, 1);
	self->arg.key = agent_record(&self->agent, 0)->key;
	self->authkey = agent_call(_metadata, &self->agent, agent_do_assume,
				   &self->arg, sizeof(self->arg));
	ASSERT_LT(0, self->authkey);
	self->child_pid = limb_start(_metadata, &self->child, &self->agent,
				     agent_do_limb_child);
	ASSERT_LT(0, self->child_pid);
	ASSERT_LT(0, agent_call(_metadata, &self->thread.call, agent_do_assume,
				&self->arg, sizeof(self->arg)));
	expect_authority(_metadata, &self->agent, self->secret);
	expect_authority(_metadata, &self->thread.call, self->secret);
	expect_authority(_metadata, &self->child.call, self->secret);
}

TEST_F(stripped, of_everything)
{
	struct requester_result res;
	uint64_t since;

	hold_threefold(_metadata, self);
	variant->end(_metadata, self);
	res = requester_finish(&self->r);
	since = now_ms();
	EXPECT_EQ(variant->error, res.error);
	EXPECT_EQ(variant->error ? -1 : self->arg.key, res.key);

	EXPECT_EQ(-1, keyctl_assume_authority(self->arg.key));
	if (variant->left & AGENT)
		expect_stripped(_metadata, &self->agent, self->secret,
				&self->arg, since);
	if (variant->left & THREAD)
		expect_stripped(_metadata, &self->thread.call, self->secret,
				&self->arg, since);
	if (variant->left & CHILD)
		expect_stripped(_metadata, &self->child.call, self->secret,
				&self->arg, since);
	expect_revoked(_metadata, self->authkey);
}

KEYAGENT_HARNESS_MAIN
