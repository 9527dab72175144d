// SPDX-License-Identifier: GPL-2.0
/*
 * A module that brings a key type is loaded or removed while a request waits for
 * an agent. The key service makes it wait for the requester, who is in
 * request_key(2), and others behind it: all of them until the deadline of the
 * request, and not longer.
 */

#define _GNU_SOURCE
#include "module.h"
#include "test_module.h"

#define DATA		FIXTURE_DATA(type_load)
#define TYPE_MODULE	"dns_resolver"
/* How long what waited may take when it need not wait any more, in ms. */
#define SLACK		(1000 + 300 * slow())

FIXTURE(type_load)
{
	struct agent agent;
	struct requester r;
	struct agent_arg arg;
	unsigned int timeout;	/* ms */
	uint64_t asked, since;	/* before and after the request came */
	pid_t modprobe, other;
};

FIXTURE_VARIANT(type_load)
{
	bool remove;		/* the module, not load it */
};

FIXTURE_VARIANT_ADD(type_load, load)
{
	.remove = false,
};

FIXTURE_VARIANT_ADD(type_load, unload)
{
	.remove = true,
};

/* Starts modprobe; its output goes nowhere. */
static pid_t start_modprobe(bool remove)
{
	pid_t pid = fork();
	int fd;

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = open("/dev/null", O_RDWR);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	execlp("modprobe", "modprobe", remove ? "-r" : "-q", TYPE_MODULE, NULL);
	_exit(127);
}

static int run_modprobe(bool remove)
{
	pid_t pid = start_modprobe(remove);

	return pid < 0 ? -1 : wait_child(&pid, 10000 * slow());
}

FIXTURE_SETUP(type_load)
{
	struct agent_opts opts = { .plan.action = AGENT_HOLD };
	char params[64];

	module_required(_metadata);
	if (run_modprobe(false))
		SKIP(_exit(KSFT_SKIP), "there is no module " TYPE_MODULE);
	if (!variant->remove)
		ASSERT_EQ(0, run_modprobe(true));
	/* Enough for modprobe to come that far. */
	self->timeout = 600 * (slow() < 100 ? slow() : 100);
	snprintf(params, sizeof(params), "timeout_ms=%u", self->timeout);
	ASSERT_EQ(0, module_reload(params));
	test_session(_metadata);
	agent_start(_metadata, &self->agent, &opts);
	self->asked = now_ms();
	self->arg.key = request_held(_metadata, &self->agent, &self->r,
				     unique("held"));
	self->since = now_ms();
}

FIXTURE_TEARDOWN(type_load)
{
	agent_stop(&self->agent);
	EXPECT_EQ(0, module_reload(""));
	run_modprobe(true);
}

/* Has the module wait for the requester. */
static void have_modprobe_wait(struct __test_metadata *const _metadata,
			       DATA *self, bool remove)
{
	self->modprobe = start_modprobe(remove);
	ASSERT_LT(0, self->modprobe);
	ASSERT_TRUE(wait_until(waits_for_types(self->modprobe)));
	EXPECT_TRUE(wait_until(in_request_key(self->r.pid)));
}

static void expect_modprobe_ends(struct __test_metadata *const _metadata,
				 DATA *self)
{
	EXPECT_EQ(0, wait_child(&self->modprobe, SLACK));
}

/* The agent can answer: what it needs for that does not wait for modprobe. */
TEST_F(type_load, answered)
{
	struct requester_result res;

	have_modprobe_wait(_metadata, self, variant->remove);
	EXPECT_EQ(0, agent_call(_metadata, &self->agent,
				agent_do_assume_and_settle, &self->arg,
				sizeof(self->arg)));
	res = requester_finish(&self->r);
	EXPECT_STREQ("agent", answer(&res));
	expect_modprobe_ends(_metadata, self);
	expect_settled(_metadata, &self->agent);
}

/* Nobody answers: the deadline frees modprobe and who came after it. */
TEST_F(type_load, timed_out)
{
	have_modprobe_wait(_metadata, self, variant->remove);
	self->other = fork();
	ASSERT_LE(0, self->other);
	if (!self->other) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(sys_add_key("user", "other", "x", 1,
				  KEY_SPEC_THREAD_KEYRING) < 0);
	}
	EXPECT_EQ(ETIMEDOUT, requester_finish(&self->r).error);
	expect_modprobe_ends(_metadata, self);
	EXPECT_EQ(0, wait_child(&self->other, SLACK));
	EXPECT_GE(self->timeout + SLACK, now_ms() - self->since);
	expect_settled(_metadata, &self->agent);
}

/* An agent that adds a key before it answers waits for itself: to the deadline. */
static long do_add_key(struct agent *a __maybe_unused,
		       const void *arg __maybe_unused)
{
	return neg_errno(sys_add_key("user", "own", "x", 1,
				     KEY_SPEC_THREAD_KEYRING));
}

TEST_F(type_load, agent_waits_too)
{
	have_modprobe_wait(_metadata, self, variant->remove);
	EXPECT_LT(0, agent_call(_metadata, &self->agent, do_add_key, NULL, 0));
	EXPECT_LE(self->timeout, now_ms() - self->asked);
	EXPECT_EQ(ETIMEDOUT, requester_finish(&self->r).error);
	EXPECT_EQ(-ENOKEY, agent_call(_metadata, &self->agent, agent_do_assume,
				      &self->arg, sizeof(self->arg)));
	expect_modprobe_ends(_metadata, self);
	expect_settled(_metadata, &self->agent);
}

/* A request that goes on to the upcall frees it as well. */
TEST_F(type_load, agent_dies)
{
	struct requester_result res;

	have_modprobe_wait(_metadata, self, variant->remove);
	agent_stop(&self->agent);
	res = requester_finish(&self->r);
	EXPECT_STREQ("upcall", answer(&res));
	expect_modprobe_ends(_metadata, self);
	EXPECT_TRUE(authkeys_gone());
}

KEYAGENT_HARNESS_MAIN
