// SPDX-License-Identifier: GPL-2.0
/*
 * The key type "encrypted" requests its master key with the mutex held that each
 * construction needs, and waits without a bound. If that is the key which an agent is
 * to construct, the agent's answer and the end of the request wait for the mutex. The
 * module ends that some seconds after the deadline.
 */

#define _GNU_SOURCE
#include "observe.h"

#define DATA		FIXTURE_DATA(encrypted)
#define MASTER		"master"

/* The IV, the data and the hash, in hexadecimal digits; what they are is not looked at. */
#define DIGITS		162

FIXTURE(encrypted)
{
	struct agent agent;
	struct requester r;
	struct outcomes before;
	struct agent_arg arg;
	pid_t loader;
	int result;
};

/* Loads an encrypted key, and writes the error. */
static void load_encrypted(int fd)
{
	char data[256];
	int n = snprintf(data, sizeof(data), "load user:" MASTER " 32 %0*d",
			 DIGITS, 0);
	key_serial_t key = sys_add_key("encrypted", "e", data, n,
				       KEY_SPEC_SESSION_KEYRING);
	int error = key < 0 ? errno : 0;

	_exit(write(fd, &error, sizeof(error)) != sizeof(error));
}

static bool waits_for_master(pid_t pid)
{
	char path[64], stack[4096] = "";

	snprintf(path, sizeof(path), "/proc/%d/stack", pid);
	return file_read(path, stack, sizeof(stack)) &&
	       strstr(stack, "encrypted_instantiate") &&
	       strstr(stack, "request_key_tag");
}

FIXTURE_SETUP(encrypted)
{
	const struct agent_opts opts = { .plan.action = AGENT_HOLD };
	const struct requester_opts o = {
		.desc = MASTER, .dest = KEY_SPEC_SESSION_KEYRING,
	};
	int fds[2];

	if (geteuid())
		SKIP(_exit(KSFT_SKIP), "not root");
	test_session(_metadata);
	if (system("modprobe -q encrypted_keys") ||
	    (sys_add_key("encrypted", "none", "?", 1,
			 KEY_SPEC_SESSION_KEYRING) < 0 && errno == ENODEV))
		SKIP(_exit(KSFT_SKIP), "no encrypted keys");
	outcomes_read(&self->before);
	agent_start(_metadata, &self->agent, &opts);
	requester_start(_metadata, &self->r, &o);
	agent_wait_asked(_metadata, &self->agent, 1);
	self->arg.key = agent_record(&self->agent, 0)->key;

	ASSERT_EQ(0, pipe(fds));
	self->loader = fork();
	ASSERT_LE(0, self->loader);
	if (!self->loader)
		load_encrypted(fds[1]);
	close(fds[1]);
	self->result = fds[0];
	ASSERT_TRUE(wait_until(waits_for_master(self->loader)));
}

FIXTURE_TEARDOWN(encrypted)
{
	agent_stop(&self->agent);
}

static long call(struct __test_metadata *const _metadata, DATA *self,
		 agent_fn fn)
{
	return agent_call(_metadata, &self->agent, fn, &self->arg,
			  sizeof(self->arg));
}

/* The encrypted key is refused, and keys can be made. */
static void expect_goes_on(struct __test_metadata *const _metadata,
			   DATA *self)
{
	int error = -1;

	ASSERT_EQ(sizeof(error), read(self->result, &error, sizeof(error)));
	EXPECT_NE(0, error);
	waitpid(self->loader, NULL, 0);
	EXPECT_LT(0, sys_add_key("user", unique("more"), "x", 1,
				 KEY_SPEC_SESSION_KEYRING));
	self->agent.sh->plan.action = AGENT_ANSWER;
	expect_answer(_metadata, unique("after"), "agent");
	expect_settled(_metadata, &self->agent);
}

TEST_F_TIMEOUT(encrypted, agent_is_silent, 120)
{
	struct requester_result res = requester_finish(&self->r);

	EXPECT_EQ(ETIMEDOUT, res.error);
	expect_outcome(_metadata, &self->before, "timed_out");
	expect_goes_on(_metadata, self);
}

TEST_F_TIMEOUT(encrypted, requester_is_killed, 120)
{
	struct requester_result res;

	ASSERT_EQ(0, kill(self->r.pid, SIGKILL));
	res = requester_finish(&self->r);
	EXPECT_EQ(REQUESTER_DIED, res.error);
	expect_outcome(_metadata, &self->before, "killed");
	expect_goes_on(_metadata, self);
}

/* The upcall would take the mutex for a keyring of its own. */
TEST_F_TIMEOUT(encrypted, agent_declines, 120)
{
	struct requester_result res;

	EXPECT_EQ(0, call(_metadata, self, agent_do_decline));
	res = requester_finish(&self->r);
	EXPECT_EQ(ENOKEY, res.error);
	expect_outcome(_metadata, &self->before, "invalidated");
	expect_goes_on(_metadata, self);
}

/* The answer waits for the mutex, and then comes first or too late. */
TEST_F_TIMEOUT(encrypted, agent_answers, 120)
{
	struct requester_result res;
	long answer;

	self->arg.plan.action = AGENT_ANSWER;
	answer = call(_metadata, self, agent_do_assume_and_settle);
	res = requester_finish(&self->r);
	TH_LOG("the agent got %ld, the requester %d", answer, res.error);
	expect_outcome(_metadata, &self->before,
		       answer ? "timed_out" : "served");
	expect_goes_on(_metadata, self);
}

KEYAGENT_HARNESS_MAIN
