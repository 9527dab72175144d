// SPDX-License-Identifier: GPL-2.0
/*
 * The agent of a container without privileges outside answers for addresses that
 * the kernel looks up in the container's net namespace. Its authority opens nothing
 * else, least of all the kernel's cache, and what it says is not kept there.
 */

#define _GNU_SOURCE
#include "test_module.h"

#define DATA		FIXTURE_DATA(net)
#define SECRET		"secret-of-the-requester"

/* What an agent tries under the authority, and what it gets: 0 or -errno. */
struct attempt {
	const char *what;
	long ret;
};

#define ATTEMPTS	16

struct attempts {
	key_serial_t host_key;		/* an address in the kernel's cache */
	char host_name[64];
	int count;
	struct attempt list[ATTEMPTS];
};

FIXTURE(net)
{
	struct agent agent;
	struct agent_opts opts;
	struct outcomes before;
	const char *name;
};

static struct attempts *attempts;

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

FIXTURE_SETUP(net)
{
	test_session(_metadata);
	test_module_load(_metadata);
	attempts = mmap(NULL, sizeof(*attempts), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)attempts);
	self->name = unique("net");
	self->opts.type = "dns_resolver";
	self->opts.prepare = prepare_container;
	/* With the zero at the end. */
	self->opts.plan = (struct agent_plan){ .payload = "agent", .len = 6 };
	ASSERT_TRUE(outcomes_read(&self->before));
}

FIXTURE_TEARDOWN(net)
{
	agent_stop(&self->agent);
	test_module_unload();
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

/* Some time later. */
static long from_host(void)
{
	int spin;

	for (spin = 0; spin < 100; spin++)
		sched_yield();
	return 0;
}

/* In the container's user namespace, with a network of its own. */
static long with_another_net(void)
{
	long ret = join_userns();

	return ret < 0 ? ret : neg_errno(unshare(CLONE_NEWNET));
}

static const char *look_up(struct __test_metadata *const _metadata, DATA *self,
			   const char *name, long (*prepare)(void))
{
	container = self->agent.pid;
	return kernel_request_as(_metadata, "dns", name, prepare);
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

static void expect_passed_over(struct __test_metadata *const _metadata,
			       DATA *self, const char *reason)
{
	EXPECT_EQ(0, agent_asked(&self->agent));
	EXPECT_EQ(1, upcall_count(self->name, NULL));
	expect_outcome(_metadata, &self->before, reason);
}

/* ------------------------------------------------------------ who is asked */

TEST_F(net, container_is_served)
{
	agent_start(_metadata, &self->agent, &self->opts);
	EXPECT_STREQ("agent", look_up(_metadata, self, self->name, inside));
	EXPECT_EQ(1, agent_asked(&self->agent));
	EXPECT_EQ(0, upcall_count(self->name, NULL));
	expect_outcome(_metadata, &self->before, "served");
	expect_settled(_metadata, &self->agent);
}

/* What the agent says is kept for nobody: not for the host, nor for later. */
TEST_F(net, answer_is_not_kept)
{
	const int before = cached();

	ASSERT_LE(0, before);
	agent_start(_metadata, &self->agent, &self->opts);
	EXPECT_STREQ("agent", look_up(_metadata, self, self->name, inside));
	EXPECT_STREQ("agent", look_up(_metadata, self, self->name, inside));
	EXPECT_EQ(2, agent_asked(&self->agent));
	EXPECT_EQ(before, cached());
	EXPECT_STREQ("upcall", look_up(_metadata, self, self->name, NULL));
	EXPECT_EQ(1, upcall_count(self->name, NULL));
}

/* The host is just looking the same name up. */
TEST_F(net, answer_is_not_kept_for_who_waits)
{
	struct kernel_requester r;
	const char *name;
	int i;

	agent_start(_metadata, &self->agent, &self->opts);
	for (i = 0; i < 30; i++) {
		name = unique("race");
		container = self->agent.pid;
		kernel_request_start(_metadata, &r, "dns", name, inside);
		EXPECT_STREQ("upcall", kernel_request_as(_metadata, "dns", name,
							 i % 2 ? from_host :
								 NULL));
		kernel_request_finish(&r);
	}
	EXPECT_LT(0, agent_asked(&self->agent));
}

/*
 * The kernel finds the host's answer in its cache, although that is tagged with
 * another net namespace: nobody is asked, with agents as without.
 */
TEST_F(net, host_was_first)
{
	EXPECT_STREQ("upcall", kernel_request("dns", self->name));
	agent_start(_metadata, &self->agent, &self->opts);
	EXPECT_STREQ("upcall", look_up(_metadata, self, self->name, inside));
	EXPECT_EQ(0, agent_asked(&self->agent));
	EXPECT_EQ(1, upcall_count(self->name, NULL));
}

/* The host's own requests are not the container's business. */
TEST_F(net, host_is_not_served)
{
	agent_start(_metadata, &self->agent, &self->opts);
	EXPECT_STREQ("upcall", look_up(_metadata, self, self->name, NULL));
	expect_passed_over(_metadata, self, "denied_overridden");
}

/* Nor is a process of the host that has entered the container's network. */
TEST_F(net, host_process_in_the_network_is_not_served)
{
	agent_start(_metadata, &self->agent, &self->opts);
	EXPECT_STREQ("upcall", look_up(_metadata, self, self->name,
				       from_outside));
	expect_passed_over(_metadata, self, "denied_user_ns");
}

/* Root of the user namespace that owns a network, but living in the host's. */
TEST_F(net, agent_in_the_network_of_the_host)
{
	self->opts.prepare = prepare_userns;
	agent_start(_metadata, &self->agent, &self->opts);
	EXPECT_STREQ("upcall", look_up(_metadata, self, self->name,
				       with_another_net));
	expect_passed_over(_metadata, self, "denied_overridden");
}

/* Root of a user namespace that does not own the network. */
TEST_F(net, network_of_somebody_else)
{
	self->opts.prepare = prepare_userns;
	agent_start(_metadata, &self->agent, &self->opts);
	EXPECT_STREQ("upcall", look_up(_metadata, self, self->name,
				       join_userns));
	expect_passed_over(_metadata, self, "denied_overridden");
}

static long prepare_without_cap(struct agent *a)
{
	long ret = prepare_container(a);

	return ret < 0 ? ret : drop_cap(CAP_SYS_ADMIN, false);
}

TEST_F(net, agent_without_the_capability)
{
	self->opts.prepare = prepare_without_cap;
	agent_start(_metadata, &self->agent, &self->opts);
	EXPECT_STREQ("upcall", look_up(_metadata, self, self->name, inside));
	expect_passed_over(_metadata, self, "denied_overridden");
}

/* What is not for a net namespace is for the system. */
TEST_F(net, other_requests_of_the_kernel)
{
	self->opts.type = "user";
	agent_start(_metadata, &self->agent, &self->opts);
	container = self->agent.pid;
	EXPECT_STREQ("upcall", kernel_request_as(_metadata, "override",
						 self->name, inside));
	expect_passed_over(_metadata, self, "denied_overridden");
}

/* ---------------------------------------------------- what the authority opens */

static void attempt(const char *what, long ret)
{
	struct attempt *a = &attempts->list[attempts->count++];

	a->what = what;
	a->ret = neg_errno(ret);
}

/* All that an authority is good for, before it is used as it should be. */
static long attack(struct agent *a, key_serial_t key)
{
	const key_serial_t ring = KEY_SPEC_REQUESTOR_KEYRING;
	key_serial_t keys[64], host = attempts->host_key;
	char buf[256];
	long ret = agent_assume(key);

	if (ret < 0)
		return ret;
	if (keyctl_read(ring, keys, sizeof(keys)) > 0)
		attempt("list the cache", 0);
	attempt("clear the cache", keyctl_clear(ring));
	attempt("open the cache", keyctl_setperm(ring, KEY_POS_ALL));
	attempt("add an address",
		sys_add_key("dns_resolver", "victim.example", "6.6.6.6", 7,
			    ring));
	attempt("add a key", sys_add_key("user", "planted", "x", 1, ring));
	attempt("link a key", keyctl_link(a->sh->key, ring));
	attempt("find the host's address",
		keyctl_search(ring, "dns_resolver", attempts->host_name, 0));
	attempt("read the host's address",
		keyctl_read(host, buf, sizeof(buf)));
	attempt("invalidate the host's address", keyctl_invalidate(host));
	attempt("link the host's address",
		keyctl_link(host, KEY_SPEC_PROCESS_KEYRING));
	attempt("find the requester's secret",
		sys_request_key("user", SECRET, NULL, 0));
	return neg_errno(keyctl_instantiate(key, "agent", 6, 0));
}

/* The requester has a secret in a keyring of its own. */
static long inside_with_secret(void)
{
	long ret = inside();

	if (ret < 0)
		return ret;
	return neg_errno(sys_add_key("user", SECRET, "secret", 6,
				     KEY_SPEC_PROCESS_KEYRING));
}

TEST_F(net, authority_opens_nothing)
{
	const char *host = unique("host");
	char line[1024];
	int i, before;

	EXPECT_STREQ("upcall", kernel_request("dns", host));
	ASSERT_TRUE(proc_keys_line(0, host, line, sizeof(line)));
	attempts->host_key = strtol(line, NULL, 16);
	snprintf(attempts->host_name, sizeof(attempts->host_name), "%s", host);
	before = cached();
	ASSERT_LT(0, before);
	self->opts.plan.action = AGENT_CUSTOM;
	self->opts.plan.custom = attack;
	agent_start(_metadata, &self->agent, &self->opts);
	EXPECT_STREQ("agent", look_up(_metadata, self, self->name,
				      inside_with_secret));
	agent_wait_done(_metadata, &self->agent, 1);
	EXPECT_EQ(0, agent_record(&self->agent, 0)->result);
	EXPECT_EQ(10, attempts->count);
	for (i = 0; i < attempts->count; i++) {
		EXPECT_TRUE(attempts->list[i].ret == -EACCES ||
			    attempts->list[i].ret == -ENOKEY) {
			TH_LOG("it could %s: %ld", attempts->list[i].what,
			       attempts->list[i].ret);
		}
	}

	/* All that was there before is there, and nothing else. */
	EXPECT_EQ(before, cached());
	EXPECT_STREQ("upcall", kernel_request("dns", host));
	EXPECT_EQ(1, upcall_count(host, NULL));
	expect_settled(_metadata, &self->agent);
}

/* A request that the agent makes meanwhile leaves nothing in the cache. */
static long request_more(struct agent *a __maybe_unused, key_serial_t key)
{
	char desc[64];
	long ret = agent_assume(key);

	if (ret < 0)
		return ret;
	snprintf(desc, sizeof(desc), "more:%d", key);
	ret = neg_errno(sys_request_key("user", desc, "-", 0));
	if (ret < 0)
		return ret;
	return neg_errno(keyctl_instantiate(key, "agent", 6, 0));
}

TEST_F(net, nested_request)
{
	int before;

	EXPECT_STREQ("upcall", kernel_request("dns", unique("host")));
	before = cached();
	self->opts.plan.action = AGENT_CUSTOM;
	self->opts.plan.custom = request_more;
	agent_start(_metadata, &self->agent, &self->opts);
	EXPECT_STREQ("agent", look_up(_metadata, self, self->name, inside));
	EXPECT_EQ(0, agent_record(&self->agent, 0)->result);
	EXPECT_EQ(before, cached());
}

/* /sbin/request-key can answer with the authority that is given back. */
TEST_F(net, declined)
{
	struct agent_arg arg = { 0 };
	struct kernel_requester r;

	self->opts.plan.action = AGENT_HOLD;
	agent_start(_metadata, &self->agent, &self->opts);
	container = self->agent.pid;
	kernel_request_start(_metadata, &r, "dns", self->name, inside);
	agent_wait_asked(_metadata, &self->agent, 1);
	arg.key = agent_record(&self->agent, 0)->key;
	ASSERT_EQ(0, agent_call(_metadata, &self->agent, agent_do_decline, &arg,
				sizeof(arg)));
	EXPECT_STREQ("upcall", kernel_request_finish(&r));
	expect_outcome(_metadata, &self->before, "declined");
	expect_settled(_metadata, &self->agent);
}

KEYAGENT_HARNESS_MAIN
