// SPDX-License-Identifier: GPL-2.0
/*
 * Each request has one outcome, which is counted once: in the totals, and for the
 * agent that was asked.
 */

#define _GNU_SOURCE
#include "module.h"
#include "observe.h"
#include "userns.h"

#include <sys/resource.h>

#define DATA FIXTURE_DATA(outcome)

FIXTURE(outcome)
{
	struct agent agent;
	struct limb limb;
	struct agent_opts opts;
	struct outcomes before;
	struct agent_arg arg;
	struct requester r;
	const char *desc;
};

FIXTURE_SETUP(outcome)
{
	test_session(_metadata);
	limb_open(_metadata, &self->limb);
	self->desc = unique("outcome");
	if (!outcomes_read(&self->before))
		SKIP(_exit(KSFT_SKIP), "no debugfs");
}

FIXTURE_TEARDOWN(outcome)
{
	agent_stop(&self->agent);
}

/* A field of what the agent's key says when it is read. */
static long long status(const struct agent *a, const char *name)
{
	char buf[512];
	long len = keyctl_read(a->sh->key, buf, sizeof(buf) - 1);

	if (len < 0 || len >= (long)sizeof(buf))
		return -1;
	buf[len] = '\0';
	return field(buf, name);
}

static void hold(struct __test_metadata *const _metadata,
		 DATA *self)
{
	self->opts.plan.action = AGENT_HOLD;
	agent_start(_metadata, &self->agent, &self->opts);
	self->arg.key = request_held(_metadata, &self->agent, &self->r,
				     self->desc);
}

static void assume(struct __test_metadata *const _metadata,
		   DATA *self)
{
	ASSERT_LT(0, agent_call(_metadata, &self->agent, agent_do_assume,
				&self->arg, sizeof(self->arg)));
}

static void expect_end(struct __test_metadata *const _metadata,
		       DATA *self, const char *ans,
		       const char *name)
{
	struct requester_result res = requester_finish(&self->r);

	EXPECT_STREQ(ans, answer(&res));
	expect_outcome(_metadata, &self->before, name);
}

static const char *errno_answer(int error)
{
	static char buf[32];

	snprintf(buf, sizeof(buf), "errno %d", error);
	return buf;
}

TEST_F(outcome, served)
{
	agent_start(_metadata, &self->agent, NULL);
	expect_answer(_metadata, self->desc, "agent");
	expect_outcome(_metadata, &self->before, "served");
	EXPECT_EQ(1, status(&self->agent, "served"));
}

TEST_F(outcome, rejected)
{
	self->opts.plan.action = AGENT_REJECT;
	self->opts.plan.error = EKEYREJECTED;
	agent_start(_metadata, &self->agent, &self->opts);
	expect_answer(_metadata, self->desc, errno_answer(EKEYREJECTED));
	expect_outcome(_metadata, &self->before, "rejected");
	EXPECT_EQ(1, status(&self->agent, "rejected"));
}

TEST_F(outcome, declined)
{
	hold(_metadata, self);
	ASSERT_EQ(0, agent_call(_metadata, &self->agent, agent_do_decline,
				&self->arg, sizeof(self->arg)));
	expect_end(_metadata, self, "upcall", "declined");
	EXPECT_EQ(1, status(&self->agent, "declined"));
}

TEST_F(outcome, died_untaken)
{
	hold(_metadata, self);
	ASSERT_EQ(0, kill(self->agent.pid, SIGKILL));
	expect_end(_metadata, self, "upcall", "died_untaken");
	EXPECT_EQ(1, status(&self->agent, "died"));
}

TEST_F(outcome, died)
{
	hold(_metadata, self);
	assume(_metadata, self);
	ASSERT_EQ(0, kill(self->agent.pid, SIGKILL));
	expect_end(_metadata, self, errno_answer(ENOKEY), "died");
	EXPECT_EQ(1, status(&self->agent, "died"));
}

/* What it had of the authority goes with it when nobody has to reap it. */
TEST_F(outcome, died_untaken_by_the_dead)
{
	signal(SIGCHLD, SIG_IGN);
	hold(_metadata, self);
	assume(_metadata, self);
	ASSERT_EQ(0, kill(self->agent.pid, SIGKILL));
	expect_end(_metadata, self, "upcall", "died_untaken");
	EXPECT_EQ(1, upcall_count(self->desc, NULL));
	EXPECT_EQ(1, status(&self->agent, "died"));
}

static long do_invalidate(struct agent *a __maybe_unused,
			  const void *arg __maybe_unused)
{
	return neg_errno(keyctl_invalidate(KEY_SPEC_REQKEY_AUTH_KEY));
}

TEST_F(outcome, invalidated)
{
	hold(_metadata, self);
	assume(_metadata, self);
	ASSERT_EQ(0, agent_call(_metadata, &self->agent, do_invalidate, NULL,
				0));
	expect_end(_metadata, self, errno_answer(ENOKEY), "invalidated");
}

TEST_F(outcome, killed)
{
	hold(_metadata, self);
	ASSERT_EQ(0, kill(self->r.pid, SIGKILL));
	EXPECT_EQ(REQUESTER_DIED, requester_finish(&self->r).error);
	expect_outcome(_metadata, &self->before, "killed");
}

TEST_F(outcome, timed_out)
{
	module_required(_metadata);
	ASSERT_EQ(0, module_reload("timeout_ms=100"));
	ASSERT_TRUE(outcomes_read(&self->before));
	hold(_metadata, self);
	expect_end(_metadata, self, errno_answer(ETIMEDOUT), "timed_out");
	EXPECT_EQ(1, status(&self->agent, "timed_out"));
	agent_stop(&self->agent);
	EXPECT_EQ(0, module_reload(""));
}

/* ------------------------------------------------- as if there were no agent */

TEST_F(outcome, no_agent)
{
	expect_answer(_metadata, self->desc, "upcall");
	expect_outcome(_metadata, &self->before, "no_agent");
}

TEST_F(outcome, dead_agent)
{
	agent_start(_metadata, &self->agent, NULL);
	ASSERT_EQ(0, kill(self->agent.pid, SIGKILL));
	ASSERT_EQ(0, wait_dead(self->agent.pid));
	expect_answer(_metadata, self->desc, "upcall");
	expect_outcome(_metadata, &self->before, "dead_agent");
}

TEST_F(outcome, own_process)
{
	const uint16_t sig = AGENT_SIGNAL;

	signal(sig, SIG_IGN);
	ASSERT_LT(0, keyctl_get_keyring_id(KEY_SPEC_PROCESS_KEYRING, 1));
	ASSERT_LT(0, sys_add_key("keyagent", "user", &sig, sizeof(sig),
				 KEY_SPEC_SESSION_KEYRING));
	EXPECT_LT(0, sys_request_key("user", self->desc, "-", 0));
	expect_outcome(_metadata, &self->before, "own_process");
}

static long prepare_user(struct agent *a __maybe_unused)
{
	return become(1000, 1000, 1000);
}

TEST_F(outcome, denied)
{
	self->opts.prepare = prepare_user;
	agent_start(_metadata, &self->agent, &self->opts);
	expect_answer(_metadata, self->desc, "upcall");
	expect_outcome(_metadata, &self->before, "denied_user");
	EXPECT_EQ(1, status(&self->agent, "denied"));
	EXPECT_EQ(0, agent_asked(&self->agent));
}

static long do_default(struct agent *a, const void *arg __maybe_unused)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, a->opts.sig);
	signal(a->opts.sig, SIG_DFL);
	return sigprocmask(SIG_UNBLOCK, &set, NULL) ? -errno : 0;
}

TEST_F(outcome, deaf)
{
	agent_start(_metadata, &self->agent, NULL);
	ASSERT_EQ(0, agent_call(_metadata, &self->agent, do_default, NULL, 0));
	expect_answer(_metadata, self->desc, "upcall");
	expect_outcome(_metadata, &self->before, "deaf");
}

/* Requests a key for which the agent itself would be asked by the requester. */
static long request_back(struct agent *a __maybe_unused, key_serial_t key)
{
	char desc[64];
	long ret = agent_assume(key);

	snprintf(desc, sizeof(desc), "back:%d", key);
	if (ret < 0)
		return ret;
	sys_request_key("user", desc, "-", KEY_SPEC_THREAD_KEYRING);
	return neg_errno(keyctl_instantiate(key, "agent", 5, 0));
}

/* The inner request meets the agent itself; both requests are counted. */
TEST_F(outcome, nested)
{
	static const char * const names[] = { "own_process", "served" };

	self->opts.inherit_session = true;
	self->opts.plan.action = AGENT_CUSTOM;
	self->opts.plan.custom = request_back;
	agent_start(_metadata, &self->agent, &self->opts);
	expect_answer(_metadata, self->desc, "agent");
	expect_outcomes(_metadata, &self->before, names, ARRAY_SIZE(names));
}

/* ---------------------------------------------------------- the agent's key */

TEST_F(outcome, status_in_flight)
{
	char buf[512];
	long len;

	hold(_metadata, self);
	EXPECT_EQ(1, status(&self->agent, "in_flight"));
	EXPECT_EQ(self->agent.pid, status(&self->agent, "pid"));
	EXPECT_EQ(AGENT_SIGNAL, status(&self->agent, "sig"));

	/* One line that keyctl print shows as it is. */
	len = keyctl_read(self->agent.sh->key, buf, sizeof(buf));
	ASSERT_LT(0, len);
	ASSERT_GT((long)sizeof(buf), len);
	EXPECT_EQ(0, memcmp(buf, "state=alive ", 12));
	while (len--)
		EXPECT_TRUE(buf[len] >= ' ' && buf[len] <= '~');

	/* Too small a buffer gets the beginning, and the length of it all. */
	len = keyctl_read(self->agent.sh->key, buf, 5);
	EXPECT_LT(5, len);

	assume(_metadata, self);
	EXPECT_EQ(0, agent_call(_metadata, &self->agent, agent_do_settle,
				&self->arg, sizeof(self->arg)));
	expect_end(_metadata, self, "agent", "served");
	EXPECT_EQ(0, status(&self->agent, "in_flight"));
}

TEST_F(outcome, status_of_the_dead)
{
	char buf[512] = "";

	agent_start(_metadata, &self->agent, NULL);
	ASSERT_EQ(0, kill(self->agent.pid, SIGKILL));
	ASSERT_EQ(0, wait_dead(self->agent.pid));
	EXPECT_LT(0, keyctl_read(self->agent.sh->key, buf, sizeof(buf)));
	EXPECT_EQ(0, memcmp(buf, "state=dead ", 11));
}

/* ----------------------------------------------------------------- requests */

TEST_F(outcome, requests_in_flight)
{
	char buf[4096], want[128];

	hold(_metadata, self);
	ASSERT_TRUE(file_read(DEBUGFS "requests", buf, sizeof(buf)));
	snprintf(want, sizeof(want), "requester=%d agent=%d key=%d age_ms=",
		 self->r.pid, self->agent.pid, self->arg.key);
	EXPECT_NE(NULL, strstr(buf, want)) {
		TH_LOG("no '%s' in '%s'", want, buf);
	}
	agent_stop(&self->agent);
	requester_finish(&self->r);
	ASSERT_TRUE(file_read(DEBUGFS "requests", buf, sizeof(buf)));
	EXPECT_STREQ("", buf);
}

/* Whoever looks keeps the module: the file's operations are part of it. */
TEST_F(outcome, open_file_keeps_the_module)
{
	char byte;
	int fd;

	module_required(_metadata);
	fd = open(DEBUGFS "outcomes", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-1, module_unload());
	EXPECT_EQ(EWOULDBLOCK, errno);
	EXPECT_EQ(1, read(fd, &byte, 1));
	EXPECT_EQ(0, close(fd));
	EXPECT_EQ(0, module_reload(""));
	EXPECT_EQ(0, access(DEBUGFS "outcomes", F_OK));
}

KEYAGENT_HARNESS_MAIN
