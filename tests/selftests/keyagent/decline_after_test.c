// SPDX-License-Identifier: GPL-2.0
/*
 * An agent gives a request back after somebody had the authority for it, and has
 * it no longer: that is as good as if nobody ever had.
 */

#include "lifetime.h"

#define DATA	FIXTURE_DATA(decline_after)

static long in_child(struct agent *a, const void *arg)
{
	long ret = agent_do_assume(a, arg);
	pid_t pid;

	if (ret < 0)
		return ret;
	pid = fork();
	if (!pid)
		_exit(0);
	return pid < 0 || waitpid(pid, NULL, 0) != pid ? -EIO : 0;
}

static void *assume_and_end(void *arg)
{
	return (void *)agent_do_assume(NULL, arg);
}

static long in_thread(struct agent *a __maybe_unused, const void *arg)
{
	pthread_t thread;
	void *ret;

	if (pthread_create(&thread, NULL, assume_and_end, (void *)arg))
		return -EAGAIN;
	pthread_join(thread, &ret);
	return (long)ret;
}

static long in_file(struct agent *a, const void *arg)
{
	long ret = agent_do_assume(a, arg);
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	return ret < 0 || fd < 0 ? -EIO : neg_errno(close(fd));
}

static long in_keyring(struct agent *a, const void *arg)
{
	long authkey = agent_do_assume(a, arg);

	if (authkey < 0 || keyctl_link(authkey, KEY_SPEC_SESSION_KEYRING) < 0)
		return -EIO;
	return neg_errno(keyctl_unlink(authkey, KEY_SPEC_SESSION_KEYRING));
}

FIXTURE(decline_after)
{
	struct agent agent;
	struct requester r;
	struct agent_arg arg;
	const char *desc;
};

FIXTURE_VARIANT(decline_after)
{
	agent_fn taken;		/* how somebody came by the authority */
};

FIXTURE_VARIANT_ADD(decline_after, agent)
{
	.taken = agent_do_assume,
};

FIXTURE_VARIANT_ADD(decline_after, child)
{
	.taken = in_child,
};

FIXTURE_VARIANT_ADD(decline_after, thread)
{
	.taken = in_thread,
};

FIXTURE_VARIANT_ADD(decline_after, file)
{
	.taken = in_file,
};

FIXTURE_VARIANT_ADD(decline_after, keyring)
{
	.taken = in_keyring,
};

FIXTURE_SETUP(decline_after)
{
	struct agent_opts opts = { .plan.action = AGENT_HOLD };

	test_session(_metadata);
	agent_start(_metadata, &self->agent, &opts);
	self->desc = unique("declined");
	self->arg.key = request_held(_metadata, &self->agent, &self->r,
				     self->desc);
}

FIXTURE_TEARDOWN(decline_after)
{
	agent_stop(&self->agent);
}

struct take {
	struct agent_arg arg;
	agent_fn taken;
};

/* All at once: what is given up, the kernel frees later. */
static long do_take_and_decline(struct agent *a, const void *arg)
{
	long ret = ((const struct take *)arg)->taken(a, arg);

	return ret < 0 ? ret : agent_do_decline(a, arg);
}

TEST_F(decline_after, upcall_answers)
{
	struct take take = { .arg = self->arg, .taken = variant->taken };
	struct requester_result res;

	EXPECT_EQ(0, agent_call(_metadata, &self->agent, do_take_and_decline,
				&take, sizeof(take)));
	res = requester_finish(&self->r);
	EXPECT_STREQ("upcall", answer(&res));
	EXPECT_EQ(1, upcall_count(self->desc, NULL));
	expect_settled(_metadata, &self->agent);
}

/* The same of an agent that dies. */
TEST_F(decline_after, death)
{
	struct requester_result res;

	ASSERT_LE(0, agent_call(_metadata, &self->agent, variant->taken,
				&self->arg, sizeof(self->arg)));
	ASSERT_EQ(0, agent_call(_metadata, &self->agent, agent_do_assume,
				&(struct agent_arg){ 0 },
				sizeof(struct agent_arg)));
	agent_stop(&self->agent);
	res = requester_finish(&self->r);
	EXPECT_STREQ("upcall", answer(&res));
	EXPECT_EQ(1, upcall_count(self->desc, NULL));
	EXPECT_TRUE(authkeys_gone());
}

KEYAGENT_HARNESS_MAIN
