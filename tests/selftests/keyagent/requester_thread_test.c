// SPDX-License-Identifier: GPL-2.0
/*
 * A requester of two threads, one of which waits for the agent: what the other
 * one does, and what is done to either, ends the wait only if it ends the thread.
 */

#define _GNU_SOURCE
#include "lifetime.h"

#define DATA	FIXTURE_DATA(thread)

/* What the requester's threads and the test share. */
struct shared {
	uint32_t ready;		/* the second thread has begun */
	uint32_t over;		/* its request is over */
	uint32_t caught;	/* signals that were handled */
	pid_t waiter;		/* its thread ID */
	uint32_t child;		/* of the requester */
	key_serial_t key;	/* what request_key() gave it */
	int error;
	char desc[128];
};

static struct shared *shared;

FIXTURE(thread)
{
	struct agent agent;
	struct agent_arg arg;
	pid_t pid;		/* the requester */
	int ctl;		/* what it is to do, a byte each */
};

static void catch(int sig __maybe_unused)
{
	count_up(&shared->caught);
}

static void *request_in_thread(void *arg __maybe_unused)
{
	shared->waiter = syscall(__NR_gettid);
	count_up(&shared->ready);
	shared->key = sys_request_key("user", shared->desc, "-",
				      KEY_SPEC_SESSION_KEYRING);
	shared->error = errno;
	count_up(&shared->over);
	return NULL;
}

/* The leader of the requester. */
static void lead(int ctl)
{
	struct sigaction sa = { .sa_handler = catch };
	pthread_t thread;
	char what = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigaction(SIGUSR1, &sa, NULL);
	if (pthread_create(&thread, NULL, request_in_thread, NULL))
		_exit(1);
	for (;;) {
		if (read(ctl, &what, 1) < 0 && errno == EINTR)
			continue;
		if (what == 'x') {
			execlp("true", "true", NULL);
		} else if (what == 't') {
			syscall(__NR_exit, 0);
		} else if (what == 'f') {
			pid_t pid = fork();

			if (!pid)
				_exit(sys_request_key("user", shared->desc, "-",
						      0) < 0);
			__atomic_store_n(&shared->child, pid, __ATOMIC_SEQ_CST);
			continue;
		}
		_exit(0);
	}
}

FIXTURE_SETUP(thread)
{
	struct agent_opts opts = { .plan.action = AGENT_HOLD };
	int fds[2];

	test_session(_metadata);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)shared);
	snprintf(shared->desc, sizeof(shared->desc), "%s", unique("thread"));
	agent_start(_metadata, &self->agent, &opts);
	ASSERT_EQ(0, pipe(fds));
	self->pid = fork();
	ASSERT_LE(0, self->pid);
	if (!self->pid) {
		close(fds[1]);
		lead(fds[0]);
	}
	close(fds[0]);
	self->ctl = fds[1];
	ASSERT_TRUE(count_wait(&shared->ready, 1));
	agent_wait_asked(_metadata, &self->agent, 1);
	self->arg.key = agent_record(&self->agent, 0)->key;
	ASSERT_TRUE(wait_until(is_asleep(shared->waiter)));
}

FIXTURE_TEARDOWN(thread)
{
	kill(self->pid, SIGKILL);
	waitpid(self->pid, NULL, 0);
	agent_stop(&self->agent);
}

static void tell(struct __test_metadata *const _metadata, DATA *self, char what)
{
	ASSERT_EQ(1, write(self->ctl, &what, 1));
}

/* The request is still the same one, and the agent's answer ends it. */
static void expect_undisturbed(struct __test_metadata *const _metadata,
			       DATA *self)
{
	EXPECT_EQ(1, agent_asked(&self->agent));
	EXPECT_EQ(0, (int)count_get(&shared->over));
	EXPECT_EQ(0, agent_call(_metadata, &self->agent,
				agent_do_assume_and_settle, &self->arg,
				sizeof(self->arg)));
	ASSERT_TRUE(count_wait(&shared->over, 1));
	EXPECT_EQ(self->arg.key, shared->key);
	EXPECT_STREQ("agent", payload_of(shared->key));
	expect_settled(_metadata, &self->agent);
}

/* The request ended when the thread did, and nothing of it is in the way. */
static void expect_given_up(struct __test_metadata *const _metadata, DATA *self,
			    uint64_t since)
{
	EXPECT_TRUE(authkeys_gone());
	EXPECT_GE(100 * slow(), now_ms() - since);
	EXPECT_EQ(-ENOKEY, agent_call(_metadata, &self->agent, agent_do_assume,
				      &self->arg, sizeof(self->arg)));
	self->agent.sh->plan.action = AGENT_ANSWER;
	expect_answer(_metadata, shared->desc, "agent");
	EXPECT_EQ(2, agent_asked(&self->agent));
	expect_settled(_metadata, &self->agent);
}

/* It is handled when the request is over. */
TEST_F(thread, signal_for_the_waiter)
{
	ASSERT_EQ(0, syscall(__NR_tgkill, self->pid, shared->waiter, SIGUSR1));
	ASSERT_TRUE(wait_until(signal_pending(shared->waiter, SIGUSR1) ||
			       count_get(&shared->caught)));
	EXPECT_EQ(0, (int)count_get(&shared->caught));
	expect_undisturbed(_metadata, self);
	EXPECT_EQ(1, (int)count_get(&shared->caught));
}

TEST_F(thread, signal_for_the_other)
{
	ASSERT_EQ(0, syscall(__NR_tgkill, self->pid, self->pid, SIGUSR1));
	ASSERT_TRUE(count_wait(&shared->caught, 1));
	expect_undisturbed(_metadata, self);
}

/* The leader ends alone: the process lives on in the waiter. */
TEST_F(thread, other_ends)
{
	tell(_metadata, self, 't');
	ASSERT_TRUE(wait_until(proc_state(self->pid) == 'Z'));
	expect_undisturbed(_metadata, self);
}

TEST_F(thread, process_exits)
{
	uint64_t since = now_ms();

	tell(_metadata, self, 'q');
	ASSERT_EQ(0, wait_dead(self->pid));
	expect_given_up(_metadata, self, since);
}

/* The waiter has to end before the leader can go on with its exec. */
TEST_F(thread, process_execs)
{
	tell(_metadata, self, 'x');
	/* To read the program takes as long as it takes. */
	ASSERT_EQ(0, wait_dead(self->pid));
	expect_given_up(_metadata, self, now_ms());
}

/* A child has no part in its parent's request: it waits like anybody else. */
TEST_F(thread, process_forks)
{
	pid_t child;

	tell(_metadata, self, 'f');
	ASSERT_TRUE(wait_until((child = count_get(&shared->child)) > 0));
	ASSERT_TRUE(wait_until(in_request_key(child) &&
			       proc_state(child) == 'S'));
	ASSERT_EQ(0, kill(child, SIGKILL));
	ASSERT_TRUE(wait_until(proc_state(child) == 'Z'));
	expect_undisturbed(_metadata, self);
}

KEYAGENT_HARNESS_MAIN
