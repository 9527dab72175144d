// SPDX-License-Identifier: GPL-2.0
/*
 * An agent whose exec takes long before anything of it can be seen: the kernel closes
 * its descriptors first, and waits for the FUSE server of one. The old program does not
 * run any more, the new one does not run yet, and the signal would kill that.
 */

#define _GNU_SOURCE
#include "fuse.h"
#include "observe.h"

FIXTURE(exec_flush)
{
	struct agent agent;
	struct outcomes before;
	struct fuse_file file;
};

FIXTURE_VARIANT(exec_flush)
{
	enum disposition signal;	/* of the new program */
};

/* The agent has a handler, and does not block the signal. */
FIXTURE_VARIANT_ADD(exec_flush, deadly)
{
	.signal = SIGNAL_DEFAULT,
};

FIXTURE_VARIANT_ADD(exec_flush, blocked)
{
	.signal = SIGNAL_BLOCKED,
};

static long do_open(struct agent *a __maybe_unused, const void *arg)
{
	return neg_errno(open(arg, O_RDONLY | O_CLOEXEC));
}

FIXTURE_SETUP(exec_flush)
{
	const struct agent_opts opts = { .wait = AGENT_PPOLL };

	if (geteuid())
		SKIP(_exit(KSFT_SKIP), "not root");
	test_session(_metadata);
	if (!outcomes_read(&self->before))
		SKIP(_exit(KSFT_SKIP), "no debugfs");
	if (!fuse_start(_metadata, &self->file))
		SKIP(_exit(KSFT_SKIP), "no FUSE: %s", strerror(errno));
	agent_start(_metadata, &self->agent, &opts);
	ASSERT_LE(0, agent_call(_metadata, &self->agent, do_open,
				self->file.path, sizeof(self->file.path)));
}

FIXTURE_TEARDOWN(exec_flush)
{
	fuse_end(&self->file);
	agent_stop(&self->agent);
	fuse_stop(&self->file);
}

TEST_F(exec_flush, request)
{
	struct pollfd fd = { .fd = self->agent.ctl, .events = POLLIN };
	struct outcomes now;
	char byte;

	agent_post(_metadata, &self->agent, agent_do_exec_self,
		   &variant->signal, sizeof(variant->signal));
	ASSERT_TRUE(count_wait(self->file.flushes, 1));
	expect_answer(_metadata, unique("in_exec"), "upcall");
	expect_outcome(_metadata, &self->before, "in_exec");
	EXPECT_FALSE(signal_pending(self->agent.pid, AGENT_SIGNAL));

	/* The new program runs, and is no agent. */
	fuse_end(&self->file);
	EXPECT_EQ(1, poll(&fd, 1, 10000 * slow()));
	EXPECT_EQ(1, read(self->agent.ctl, &byte, 1)) {
		TH_LOG("the new program was killed");
	}
	EXPECT_EQ(0, waitpid(self->agent.pid, NULL, WNOHANG));
	EXPECT_EQ(0, agent_asked(&self->agent));
	ASSERT_TRUE(outcomes_read(&now));
	expect_answer(_metadata, unique("after"), "upcall");
	expect_outcome(_metadata, &now, "dead_agent");
}

KEYAGENT_HARNESS_MAIN
