// SPDX-License-Identifier: GPL-2.0
/*
 * An agent that executes a program, the same one again or in one of its threads,
 * is no agent any more: it never gets the signal, which could kill it, and what
 * it was asked before goes there too, unless the authority for it was taken.
 */

#define _GNU_SOURCE
#include "lifetime.h"

FIXTURE(exec)
{
	struct agent agent;
	struct limb limb;
	struct agent *registered;	/* the thread that registers */
	struct agent *executes;		/* the thread that executes */
};

FIXTURE_VARIANT(exec)
{
	enum disposition signal;
	bool thread;			/* the agent has two threads */
	bool thread_registers;		/* the second one, not the leader */
	bool thread_executes;
};

FIXTURE_VARIANT_ADD(exec, blocked)
{
	.signal = SIGNAL_BLOCKED,
};

FIXTURE_VARIANT_ADD(exec, ignored)
{
	.signal = SIGNAL_IGNORED,
};

/* The one that would be killed. */
FIXTURE_VARIANT_ADD(exec, deadly)
{
	.signal = SIGNAL_DEFAULT,
};

/*
 * The thread that executes becomes the leader, under the leader's number: the
 * leader's struct pid lives on and now means another thread.
 */
FIXTURE_VARIANT_ADD(exec, leader_registered_thread_executes)
{
	.signal = SIGNAL_BLOCKED,
	.thread = true,
	.thread_executes = true,
};

FIXTURE_VARIANT_ADD(exec, thread_registered_thread_executes)
{
	.signal = SIGNAL_BLOCKED,
	.thread = true,
	.thread_registers = true,
	.thread_executes = true,
};

FIXTURE_VARIANT_ADD(exec, thread_registered_leader_executes)
{
	.signal = SIGNAL_BLOCKED,
	.thread = true,
	.thread_registers = true,
};

FIXTURE_VARIANT_ADD(exec, deadly_in_thread)
{
	.signal = SIGNAL_DEFAULT,
	.thread = true,
	.thread_executes = true,
};

FIXTURE_SETUP(exec)
{
	struct agent_opts opts = {
		.no_register = true,
		.plan.action = AGENT_HOLD,
	};

	test_session(_metadata);
	limb_open(_metadata, &self->limb);
	agent_start(_metadata, &self->agent, &opts);
	if (variant->thread)
		ASSERT_EQ(0, limb_start(_metadata, &self->limb, &self->agent,
					agent_do_limb_thread));
	self->registered = variant->thread_registers ? &self->limb.call :
						       &self->agent;
	self->executes = variant->thread_executes ? &self->limb.call :
						    &self->agent;
	agent_enlist(_metadata, self->registered);
}

FIXTURE_TEARDOWN(exec)
{
	agent_stop(&self->agent);
}

/* The new image has met no signal. */
static void expect_unharmed(struct __test_metadata *const _metadata,
			    const struct agent *a)
{
	EXPECT_FALSE(signal_pending(a->pid, AGENT_SIGNAL));
	EXPECT_EQ(0, waitpid(a->pid, NULL, WNOHANG)) {
		TH_LOG("the program that the agent executed is dead");
	}
}

TEST_F(exec, before)
{
	agent_exec_self(_metadata, self->executes, variant->signal);
	expect_upcall(_metadata, &self->agent);
	expect_unharmed(_metadata, &self->agent);
}

TEST_F(exec, holding)
{
	const char *desc = unique("held");
	struct requester r;
	uint64_t since;

	request_held(_metadata, &self->agent, &r, desc);
	agent_exec_self(_metadata, self->executes, variant->signal);
	since = now_ms();
	expect_passed_on(_metadata, &r, desc, since);
	expect_upcall(_metadata, &self->agent);
	expect_unharmed(_metadata, &self->agent);
}

/* Authority is kept over exec by the kernel: it has to be taken away. */
TEST_F(exec, with_authority)
{
	const char *desc = unique("held");
	struct agent_arg arg = { 0 };
	struct requester r;
	long authkey;
	uint64_t since;

	arg.key = request_held(_metadata, &self->agent, &r, desc);
	authkey = agent_call(_metadata, self->executes, agent_do_assume, &arg,
			     sizeof(arg));
	ASSERT_LT(0, authkey);
	agent_exec_self(_metadata, self->executes, variant->signal);
	since = now_ms();
	expect_noticed(_metadata, &r, desc, since);
	expect_revoked(_metadata, authkey);
	expect_unharmed(_metadata, &self->agent);
}

KEYAGENT_HARNESS_MAIN
