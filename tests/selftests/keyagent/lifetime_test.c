// SPDX-License-Identifier: GPL-2.0
/*
 * The life of an agent: its key belongs to the thread that registered and to the
 * program that this thread runs. Before a request the end of either makes the
 * request go to /sbin/request-key, and revokes the key. After the hand-over it is
 * noticed within 1.5 s: the request goes there too if nobody has the authority any
 * more, and ends with ENOKEY otherwise.
 */

#define _GNU_SOURCE
#include "lifetime.h"

#include <linux/sched.h>
#include <sys/ptrace.h>

FIXTURE(lifetime)
{
	struct agent agent;
	struct limb limb;
};

FIXTURE_SETUP(lifetime)
{
	test_session(_metadata);
	limb_open(_metadata, &self->limb);
}

FIXTURE_TEARDOWN(lifetime)
{
	agent_stop(&self->agent);
}

TEST_F(lifetime, killed_before)
{
	agent_start(_metadata, &self->agent, NULL);
	ASSERT_EQ(0, kill(self->agent.pid, SIGKILL));
	ASSERT_EQ(self->agent.pid, waitpid(self->agent.pid, NULL, 0));
	self->agent.pid = 0;
	expect_upcall(_metadata, &self->agent);
}

/* Dead, but its parent has not looked yet. */
TEST_F(lifetime, zombie_before)
{
	agent_start(_metadata, &self->agent, NULL);
	ASSERT_EQ(0, kill(self->agent.pid, SIGKILL));
	ASSERT_EQ(0, wait_dead(self->agent.pid));
	expect_upcall(_metadata, &self->agent);
}

TEST_F(lifetime, killed_holding)
{
	const char *desc = unique("held");
	struct agent_opts opts = { .plan.action = AGENT_HOLD };
	struct requester r;
	uint64_t since;

	agent_start(_metadata, &self->agent, &opts);
	request_held(_metadata, &self->agent, &r, desc);
	ASSERT_EQ(0, kill(self->agent.pid, SIGKILL));
	ASSERT_EQ(0, wait_dead(self->agent.pid));
	since = now_ms();
	expect_passed_on(_metadata, &r, desc, since);
	expect_upcall(_metadata, &self->agent);
}

TEST_F(lifetime, killed_with_authority)
{
	const char *desc = unique("held");
	struct agent_opts opts = { .plan.action = AGENT_HOLD };
	struct agent_arg arg = { 0 };
	struct requester r;
	uint64_t since;
	long authkey;

	agent_start(_metadata, &self->agent, &opts);
	arg.key = request_held(_metadata, &self->agent, &r, desc);
	authkey = agent_call(_metadata, &self->agent, agent_do_assume, &arg,
			     sizeof(arg));
	ASSERT_LT(0, authkey);
	ASSERT_EQ(0, kill(self->agent.pid, SIGKILL));
	ASSERT_EQ(0, wait_dead(self->agent.pid));
	since = now_ms();
	expect_noticed(_metadata, &r, desc, since);
	/* The zombie still has it. */
	expect_revoked(_metadata, authkey);
	expect_upcall(_metadata, &self->agent);
	agent_stop(&self->agent);
	expect_negative(_metadata, arg.key);
}

/* Nobody has to reap it: the authority is gone when the agent is. */
TEST_F(lifetime, reaped_with_authority)
{
	const char *desc = unique("held");
	struct agent_opts opts = { .plan.action = AGENT_HOLD };
	struct agent_arg arg = { 0 };
	struct requester r;
	uint64_t since;

	signal(SIGCHLD, SIG_IGN);
	agent_start(_metadata, &self->agent, &opts);
	arg.key = request_held(_metadata, &self->agent, &r, desc);
	ASSERT_LT(0, agent_call(_metadata, &self->agent, agent_do_assume, &arg,
				sizeof(arg)));
	ASSERT_EQ(0, kill(self->agent.pid, SIGKILL));
	ASSERT_EQ(0, wait_dead(self->agent.pid));
	since = now_ms();
	expect_passed_on(_metadata, &r, desc, since);
	expect_upcall(_metadata, &self->agent);
}

TEST_F(lifetime, exits_holding)
{
	const char *desc = unique("held");
	struct agent_opts opts = { .plan.action = AGENT_HOLD };
	struct requester r;
	uint64_t since;

	agent_start(_metadata, &self->agent, &opts);
	request_held(_metadata, &self->agent, &r, desc);
	agent_post(_metadata, &self->agent, agent_do_exit, NULL, 0);
	ASSERT_EQ(0, wait_dead(self->agent.pid));
	since = now_ms();
	expect_passed_on(_metadata, &r, desc, since);
}

/* Two wait for the same key: the request that is passed on is that of both. */
TEST_F(lifetime, killed_with_second_waiter)
{
	struct agent_opts opts = { .plan.action = AGENT_HOLD };
	struct requester_opts o = { .desc = unique("held") };
	struct requester_result res;
	struct requester r, second;
	uint64_t since;

	agent_start(_metadata, &self->agent, &opts);
	request_held(_metadata, &self->agent, &r, o.desc);
	requester_join(_metadata, &second, &o);
	ASSERT_EQ(0, kill(self->agent.pid, SIGKILL));
	ASSERT_EQ(0, wait_dead(self->agent.pid));
	since = now_ms();
	expect_passed_on(_metadata, &r, o.desc, since);
	res = requester_finish(&second);
	expect_in_time(_metadata, since);
	EXPECT_STREQ("upcall", answer(&res));
	EXPECT_EQ(1, upcall_count(o.desc, NULL));
}

/* So is the failure. */
TEST_F(lifetime, killed_with_authority_and_second_waiter)
{
	struct agent_opts opts = { .plan.action = AGENT_HOLD };
	struct requester_opts o = { .desc = unique("held") };
	struct requester r, second;
	struct agent_arg arg = { 0 };
	uint64_t since;

	agent_start(_metadata, &self->agent, &opts);
	arg.key = request_held(_metadata, &self->agent, &r, o.desc);
	ASSERT_LT(0, agent_call(_metadata, &self->agent, agent_do_assume, &arg,
				sizeof(arg)));
	requester_join(_metadata, &second, &o);
	ASSERT_EQ(0, kill(self->agent.pid, SIGKILL));
	ASSERT_EQ(0, wait_dead(self->agent.pid));
	since = now_ms();
	expect_noticed(_metadata, &r, o.desc, since);
	expect_noticed(_metadata, &second, o.desc, since);
}

/* The negative key does not outlive negative_ttl, one second by default. */
TEST_F(lifetime, negative_key_expires)
{
	const char *desc = unique("held");
	struct agent_opts opts = { .plan.action = AGENT_HOLD };
	struct requester_opts o = { .desc = desc };
	struct requester_result res;
	struct agent_arg arg = { 0 };
	struct requester r;
	uint64_t since;

	agent_start(_metadata, &self->agent, &opts);
	arg.key = request_held(_metadata, &self->agent, &r, desc);
	ASSERT_LT(0, agent_call(_metadata, &self->agent, agent_do_assume, &arg,
				sizeof(arg)));
	ASSERT_EQ(0, kill(self->agent.pid, SIGKILL));
	ASSERT_EQ(ENOKEY, requester_finish(&r).error);
	since = now_ms();
	EXPECT_TRUE(wait_until((res = request_in_child(_metadata, &o)).key > 0));
	EXPECT_GE(1100 + 200 * slow(), now_ms() - since);
	EXPECT_STREQ("upcall", answer(&res));
}

/* One of several threads registers, ends, and the process lives on. */
TEST_F(lifetime, thread_gone_before)
{
	struct agent_opts opts = { .no_register = true };

	agent_start(_metadata, &self->agent, &opts);
	ASSERT_EQ(0, limb_start(_metadata, &self->limb, &self->agent,
				agent_do_limb_thread));
	agent_enlist(_metadata, &self->limb.call);
	expect_answer(_metadata, unique("alive"), "agent");
	thread_exit(_metadata, &self->limb.call);
	expect_upcall(_metadata, &self->agent);
	EXPECT_EQ(0, waitpid(self->agent.pid, NULL, WNOHANG));
}

TEST_F(lifetime, thread_gone_holding)
{
	const char *desc = unique("held");
	struct agent_opts opts = {
		.no_register = true,
		.plan.action = AGENT_HOLD,
	};
	struct requester r;
	uint64_t since;

	agent_start(_metadata, &self->agent, &opts);
	ASSERT_EQ(0, limb_start(_metadata, &self->limb, &self->agent,
				agent_do_limb_thread));
	agent_enlist(_metadata, &self->limb.call);
	request_held(_metadata, &self->agent, &r, desc);
	thread_exit(_metadata, &self->limb.call);
	since = now_ms();
	expect_passed_on(_metadata, &r, desc, since);
	EXPECT_EQ(0, waitpid(self->agent.pid, NULL, WNOHANG));
}

/* The leader has gone, a registered thread has not: it serves on. */
TEST_F(lifetime, leader_gone_thread_serves)
{
	const char *desc = unique("held");
	struct agent_opts opts = { .no_register = true };
	struct agent_arg arg = { 0 };
	struct requester_result res;
	struct requester r;

	agent_start(_metadata, &self->agent, &opts);
	ASSERT_EQ(0, limb_start(_metadata, &self->limb, &self->agent,
				agent_do_limb_thread));
	agent_enlist(_metadata, &self->limb.call);
	thread_exit(_metadata, &self->agent);
	ASSERT_EQ('Z', proc_state(self->agent.pid));
	expect_answer(_metadata, unique("one"), "agent");

	/* Nor does a request that waits take the leader's end for its own. */
	self->agent.sh->plan.action = AGENT_HOLD;
	arg.key = request_held(_metadata, &self->agent, &r, desc);
	EXPECT_EQ(0, agent_call(_metadata, &self->limb.call,
				agent_do_assume_and_settle, &arg, sizeof(arg)));
	res = requester_finish(&r);
	EXPECT_STREQ("agent", answer(&res));
}

TEST_F(lifetime, leader_goes_while_thread_holds)
{
	const char *desc = unique("held");
	struct agent_opts opts = {
		.no_register = true,
		.plan.action = AGENT_HOLD,
	};
	struct agent_arg arg = { 0 };
	struct requester_result res;
	struct requester r;

	agent_start(_metadata, &self->agent, &opts);
	ASSERT_EQ(0, limb_start(_metadata, &self->limb, &self->agent,
				agent_do_limb_thread));
	agent_enlist(_metadata, &self->limb.call);
	arg.key = request_held(_metadata, &self->agent, &r, desc);
	thread_exit(_metadata, &self->agent);
	EXPECT_EQ(0, agent_call(_metadata, &self->limb.call,
				agent_do_assume_and_settle, &arg, sizeof(arg)));
	res = requester_finish(&r);
	EXPECT_STREQ("agent", answer(&res));
}

/* The leader has registered and gone: another thread is not its heir. */
TEST_F(lifetime, leader_gone_before)
{
	agent_start(_metadata, &self->agent, NULL);
	ASSERT_EQ(0, limb_start(_metadata, &self->limb, &self->agent,
				agent_do_limb_thread));
	thread_exit(_metadata, &self->agent);
	expect_upcall(_metadata, &self->agent);
	EXPECT_FALSE(signal_pending(self->agent.pid, AGENT_SIGNAL));
}

TEST_F(lifetime, leader_gone_holding)
{
	const char *desc = unique("held");
	struct agent_opts opts = { .plan.action = AGENT_HOLD };
	struct requester r;
	uint64_t since;

	agent_start(_metadata, &self->agent, &opts);
	ASSERT_EQ(0, limb_start(_metadata, &self->limb, &self->agent,
				agent_do_limb_thread));
	request_held(_metadata, &self->agent, &r, desc);
	thread_exit(_metadata, &self->agent);
	since = now_ms();
	expect_passed_on(_metadata, &r, desc, since);
}

/* A stopped agent is not a dead one; it answers when it goes on. */
TEST_F(lifetime, stopped_agent_answers_later)
{
	const char *desc = unique("stopped");
	struct requester_opts o = { .desc = desc };
	struct requester_result res;
	struct requester r;
	int status;

	agent_start(_metadata, &self->agent, NULL);
	ASSERT_EQ(0, kill(self->agent.pid, SIGSTOP));
	ASSERT_EQ(self->agent.pid, waitpid(self->agent.pid, &status, WUNTRACED));
	ASSERT_TRUE(WIFSTOPPED(status));
	requester_start(_metadata, &r, &o);
	ASSERT_TRUE(wait_until(signal_pending(self->agent.pid, AGENT_SIGNAL)));
	ASSERT_TRUE(wait_until(in_request_key(r.pid)));
	ASSERT_EQ(0, kill(self->agent.pid, SIGCONT));
	res = requester_finish(&r);
	EXPECT_STREQ("agent", answer(&res));
}

/* A traced agent that its tracer has stopped is not dead either ... */
static void trace_and_stop(struct __test_metadata *const _metadata, pid_t pid)
{
	int status;

	ASSERT_EQ(0, ptrace(PTRACE_SEIZE, pid, 0, 0));
	ASSERT_EQ(0, ptrace(PTRACE_INTERRUPT, pid, 0, 0));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSTOPPED(status));
}

TEST_F(lifetime, traced_agent_answers_later)
{
	struct requester_opts o = { .desc = unique("traced") };
	struct requester_result res;
	struct requester r;

	agent_start(_metadata, &self->agent, NULL);
	trace_and_stop(_metadata, self->agent.pid);
	requester_start(_metadata, &r, &o);
	ASSERT_TRUE(wait_until(signal_pending(self->agent.pid, AGENT_SIGNAL)));
	ASSERT_TRUE(wait_until(in_request_key(r.pid)));
	ASSERT_EQ(0, ptrace(PTRACE_DETACH, self->agent.pid, 0, 0));
	res = requester_finish(&r);
	EXPECT_STREQ("agent", answer(&res));
	expect_settled(_metadata, &self->agent);
}

/* ... and one that dies is, even if its tracer keeps what is left of it. */
TEST_F(lifetime, traced_agent_killed)
{
	struct requester_opts o = { .desc = unique("traced") };
	struct requester r;
	uint64_t since;

	agent_start(_metadata, &self->agent, NULL);
	trace_and_stop(_metadata, self->agent.pid);
	requester_start(_metadata, &r, &o);
	ASSERT_TRUE(wait_until(signal_pending(self->agent.pid, AGENT_SIGNAL)));
	ASSERT_EQ(0, kill(self->agent.pid, SIGKILL));
	ASSERT_TRUE(wait_until(proc_state(self->agent.pid) == 'Z'));
	since = now_ms();
	expect_passed_on(_metadata, &r, o.desc, since);
	EXPECT_EQ('Z', proc_state(self->agent.pid));
}

/* A process with the number of the agent, after that was reaped. */
static pid_t start_with_pid(struct __test_metadata *const _metadata, pid_t pid)
{
	pid_t set_tid[1] = { pid };
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uintptr_t)set_tid,
		.set_tid_size = 1,
	};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, AGENT_SIGNAL);
	ASSERT_EQ(0, sigprocmask(SIG_BLOCK, &set, NULL));
	pid = syscall(__NR_clone3, &args, sizeof(args));
	ASSERT_LE(0, pid) {
		TH_LOG("clone3: %s", strerror(errno));
	}
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	ASSERT_EQ(set_tid[0], pid);
	return pid;
}

static pid_t replace(struct __test_metadata *const _metadata, struct agent *a)
{
	pid_t pid = a->pid;

	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	a->pid = 0;
	return start_with_pid(_metadata, pid);
}

static void expect_not_taken_for_agent(struct __test_metadata *const _metadata,
				       pid_t pid)
{
	EXPECT_FALSE(signal_pending(pid, AGENT_SIGNAL));
	EXPECT_EQ(0, waitpid(pid, NULL, WNOHANG));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* A process that has the number of a dead agent is not that agent. */
TEST_F(lifetime, recycled_pid)
{
	pid_t pid;

	agent_start(_metadata, &self->agent, NULL);
	pid = replace(_metadata, &self->agent);
	expect_upcall(_metadata, &self->agent);
	expect_not_taken_for_agent(_metadata, pid);
}

/* Nor does a request wait for it that the agent has left. */
TEST_F(lifetime, recycled_pid_holding)
{
	struct agent_opts opts = { .plan.action = AGENT_HOLD };
	const char *desc = unique("held");
	struct requester r;
	uint64_t since;
	pid_t pid;

	agent_start(_metadata, &self->agent, &opts);
	request_held(_metadata, &self->agent, &r, desc);
	since = now_ms();
	pid = replace(_metadata, &self->agent);
	expect_passed_on(_metadata, &r, desc, since);
	expect_not_taken_for_agent(_metadata, pid);
}

KEYAGENT_HARNESS_MAIN
