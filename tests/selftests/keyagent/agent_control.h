/* SPDX-License-Identifier: GPL-2.0 */
/* What a test does with an agent: start it, have it do things, watch, stop it. */
#ifndef KEYAGENT_AGENT_CONTROL_H
#define KEYAGENT_AGENT_CONTROL_H

#include <sys/wait.h>

#include <linux/keyagent.h>

#include "agent.h"

/* --------------------------------------------- ready-made for agent_call() */

struct agent_arg {
	key_serial_t key;
	struct agent_plan plan;
};

_Static_assert(sizeof(struct agent_arg) <= 512, "fits into a message");

/* Assumes authority over arg->key and stays with it. */
static __maybe_unused long agent_do_assume(struct agent *a __maybe_unused,
					   const void *arg)
{
	return agent_assume(((const struct agent_arg *)arg)->key);
}

/* Settles arg->key, whose authority has been assumed, as arg->plan says. */
static __maybe_unused long agent_do_settle(struct agent *a __maybe_unused,
					   const void *arg)
{
	const struct agent_arg *r = arg;

	return agent_settle(&r->plan, r->key);
}

/* Both. */
static __maybe_unused long agent_do_assume_and_settle(struct agent *a,
						      const void *arg)
{
	long ret = agent_do_assume(a, arg);

	return ret < 0 ? ret : agent_do_settle(a, arg);
}

/* Gives the request for arg->key back. */
static __maybe_unused long agent_do_decline(struct agent *a __maybe_unused,
					    const void *arg)
{
	return agent_decline(((const struct agent_arg *)arg)->key);
}

static __maybe_unused long agent_do_exit(struct agent *a __maybe_unused,
					 const void *arg __maybe_unused)
{
	_exit(0);
}

/* Executes the program whose path is the argument, with no arguments. */
static __maybe_unused long agent_do_exec(struct agent *a __maybe_unused,
					 const void *arg)
{
	execl(arg, arg, NULL);
	_exit(127);
}

/* The number of links in the agent's process keyring. */
static __maybe_unused long agent_do_count_links(struct agent *a __maybe_unused,
						const void *arg __maybe_unused)
{
	long ret = neg_errno(keyctl_read(KEY_SPEC_PROCESS_KEYRING, NULL, 0));

	return ret < 0 ? ret : ret / (long)sizeof(key_serial_t);
}

/* -------------------------------------------------------- inside the test */

/* Starts an agent and, unless told otherwise, links its key into @s. */
static __maybe_unused void agent_start(struct __test_metadata *const _metadata,
				       struct agent *a,
				       const struct agent_opts *opts)
{
	int sv[2];
	long ret = -EPIPE;

	memset(a, 0, sizeof(*a));
	if (opts)
		a->opts = *opts;
	if (!a->opts.type)
		a->opts.type = "user";
	if (!a->opts.sig)
		a->opts.sig = AGENT_SIGNAL;
	a->sh = mmap(NULL, sizeof(*a->sh), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)a->sh);
	a->sh->plan = a->opts.plan;
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv));
	a->pid = fork_flags(a->opts.clone_flags);
	ASSERT_LE(0, a->pid);
	if (!a->pid) {
		close(sv[0]);
		a->ctl = sv[1];
		agent_main(a);
	}
	close(sv[1]);
	a->ctl = sv[0];
	if (read(a->ctl, &ret, sizeof(ret)) != sizeof(ret))
		ret = -EPIPE;
	ASSERT_LE(0, ret) {
		TH_LOG("agent did not start: %s", strerror(-ret));
	}
	if (a->opts.no_link || a->opts.no_register)
		return;
	ASSERT_EQ(0, keyctl_link(a->sh->key, KEY_SPEC_SESSION_KEYRING)) {
		TH_LOG("cannot link the agent key: %s", strerror(errno));
	}
}

/* Sends a call that is not answered: the agent exits, execs or blocks in it. */
static __maybe_unused void agent_post(struct __test_metadata *const _metadata,
				      struct agent *a, agent_fn fn,
				      const void *arg, size_t len)
{
	struct agent_call_msg msg = { .fn = fn, .quiet = true };

	ASSERT_LE(len, sizeof(msg.arg));
	if (len)
		memcpy(msg.arg, arg, len);
	ASSERT_EQ((ssize_t)sizeof(msg), write(a->ctl, &msg, sizeof(msg)));
	if (a->opts.wait == AGENT_SIGWAITINFO)
		ASSERT_EQ(0, kill(a->pid, SIGUSR2));
}

/* Runs fn in the agent and returns its result, -EPIPE if the agent is gone. */
static __maybe_unused long agent_call(struct __test_metadata *const _metadata,
				      struct agent *a, agent_fn fn,
				      const void *arg, size_t len)
{
	struct agent_call_msg msg = { .fn = fn };
	long ret;

	ASSERT_LE(len, sizeof(msg.arg));
	if (len)
		memcpy(msg.arg, arg, len);
	ASSERT_EQ((ssize_t)sizeof(msg), write(a->ctl, &msg, sizeof(msg)));
	if (a->opts.wait == AGENT_SIGWAITINFO)
		ASSERT_EQ(0, kill(a->pid, SIGUSR2));
	if (read(a->ctl, &ret, sizeof(ret)) != sizeof(ret))
		return -EPIPE;
	return ret;
}

static __maybe_unused int agent_asked(const struct agent *a)
{
	return count_get(&a->sh->asked);
}

/* Waits until the agent has received n signals in all. */
static __maybe_unused void
agent_wait_asked(struct __test_metadata *const _metadata, struct agent *a,
		 int n)
{
	ASSERT_TRUE(count_wait(&a->sh->asked, n)) {
		TH_LOG("agent was asked %d times, not %d", agent_asked(a), n);
	}
}

/* Waits until the agent has finished with n requests in all. */
static __maybe_unused void
agent_wait_done(struct __test_metadata *const _metadata, struct agent *a,
		int n)
{
	ASSERT_TRUE(count_wait(&a->sh->done, n)) {
		TH_LOG("agent has finished %u requests, not %d",
		       count_get(&a->sh->done), n);
	}
}

/* The i-th request, counted from 0, that the agent met. */
static __maybe_unused const struct agent_record *
agent_record(const struct agent *a, int i)
{
	return &a->sh->record[i % AGENT_RECORDS];
}

/* Sends the signal of a request as any process can; 0, or -1 and errno. */
static __maybe_unused int forge(pid_t pid, int sig, key_serial_t key)
{
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_signo = sig;
	info.si_code = SI_KEYAGENT;
	info.si_int = key;
	return syscall(__NR_rt_sigqueueinfo, pid, sig, &info);
}

/* Kills the agent and reaps it; harmless when it is gone. */
static __maybe_unused void agent_stop(struct agent *a)
{
	if (a->pid > 0) {
		kill(a->pid, SIGKILL);
		waitpid(a->pid, NULL, 0);
		close(a->ctl);
		munmap(a->sh, sizeof(*a->sh));
	}
	a->pid = 0;
}

#endif
