// SPDX-License-Identifier: GPL-2.0
/*
 * Addresses that the kernel looks up are kept where everybody finds them, whatever
 * net namespace they are for. So the administrator of a net namespace who is none of
 * the system may not answer, wherever he lives and whoever asks.
 */

#define _GNU_SOURCE
#include "test_module.h"

#define DATA		FIXTURE_DATA(net)

FIXTURE(net)
{
	struct agent agent;
	struct agent_opts opts;
	struct outcomes before;
	const char *name;
};

FIXTURE_VARIANT(net)
{
	long (*agent)(struct agent *a);
	long (*requester)(void);
};

/* Root of a user namespace that has a net namespace of its own. */
static long prepare_container(struct agent *a __maybe_unused)
{
	long ret = become(1000, 1000, 1000);

	if (ret >= 0)
		ret = enter_userns(0);
	return ret < 0 ? ret : neg_errno(unshare(CLONE_NEWNET));
}

/* The same, in the net namespace of the host. */
static long prepare_userns(struct agent *a __maybe_unused)
{
	long ret = become(1000, 1000, 1000);

	return ret < 0 ? ret : enter_userns(0);
}

/* ------------------------------------------------- requesters in the container */

static pid_t container;

static long join(const char *ns)
{
	char path[64];
	int fd, ret;

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", container, ns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = neg_errno(setns(fd, 0));
	close(fd);
	return ret;
}

static long join_userns(void)
{
	long ret = join("user");

	return ret < 0 ? ret : become(0, 0, 0);
}

/* One of the container's own processes. */
static long inside(void)
{
	long ret = join("net");

	return ret < 0 ? ret : join_userns();
}

/* A process of the host that uses the container's network. */
static long from_outside(void)
{
	return join("net");
}

static long another_net(void)
{
	return neg_errno(unshare(CLONE_NEWNET));
}

/* In the container's user namespace, with a network of its own. */
static long with_another_net(void)
{
	long ret = join_userns();

	return ret < 0 ? ret : neg_errno(unshare(CLONE_NEWNET));
}

/* The number of addresses in the kernel's cache. */
static int cached(void)
{
	char line[1024], *s;

	if (!proc_keys_line(0, " .dns_resolver:", line, sizeof(line)))
		return -1;
	s = strrchr(line, ':');
	return strstr(s, "empty") ? 0 : atoi(s + 1);
}

/* The agent has no place in the network of the host. */
FIXTURE_VARIANT_ADD(net, container) { prepare_container, inside };
FIXTURE_VARIANT_ADD(net, host_in_the_network) {
	prepare_container, from_outside
};
FIXTURE_VARIANT_ADD(net, host) { prepare_container, NULL };
/* Root of the user namespace that owns a network, but living in the host's. */
FIXTURE_VARIANT_ADD(net, other_network) { prepare_userns, with_another_net };
/* And whose tag a key has is the requester's, not that of the look-up. */
FIXTURE_VARIANT_ADD(net, same_user_ns) { prepare_userns, join_userns };

FIXTURE_SETUP(net)
{
	test_session(_metadata);
	test_module_load(_metadata);
	self->name = unique("net");
	self->opts.type = "dns_resolver";
	self->opts.prepare = variant->agent;
	ASSERT_TRUE(outcomes_read(&self->before));
}

FIXTURE_TEARDOWN(net)
{
	agent_stop(&self->agent);
	test_module_unload();
}

TEST_F(net, is_not_asked)
{
	const int before = cached();

	ASSERT_LE(0, before);
	agent_start(_metadata, &self->agent, &self->opts);
	container = self->agent.pid;
	EXPECT_STREQ("upcall", kernel_request_as(_metadata, "dns", self->name,
						 variant->requester));
	EXPECT_EQ(0, agent_asked(&self->agent));
	EXPECT_EQ(1, upcall_count(self->name, NULL));
	expect_outcome(_metadata, &self->before, "denied_overridden");
	expect_settled(_metadata, &self->agent);
	EXPECT_EQ(before + 1, cached());
}

/*
 * What the rule protects: an address that one net namespace was answered is found
 * from all the others. Where that changes, the rule may.
 */
FIXTURE(cache)
{
	struct agent agent;
	const char *name;
};

FIXTURE_SETUP(cache)
{
	test_session(_metadata);
	test_module_load(_metadata);
	self->name = unique("cache");
}

FIXTURE_TEARDOWN(cache)
{
	agent_stop(&self->agent);
	test_module_unload();
}

TEST_F(cache, is_everybodys)
{
	/* With the zero at the end, as dns_resolver wants it. */
	const struct agent_opts opts = {
		.type = "dns_resolver",
		.plan = { .payload = "agent", .len = 6 },
	};

	agent_start(_metadata, &self->agent, &opts);
	EXPECT_STREQ("agent", kernel_request_as(_metadata, "dns", self->name,
						another_net));
	EXPECT_STREQ("agent", kernel_request("dns", self->name));
	EXPECT_EQ(1, agent_asked(&self->agent));
}

KEYAGENT_HARNESS_MAIN
