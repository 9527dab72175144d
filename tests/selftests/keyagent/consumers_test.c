// SPDX-License-Identifier: GPL-2.0
/*
 * Those in the kernel who ask for keys, in earnest: mounts that look up the name
 * of their server, and NFS that maps the owners of files. In a container the
 * answer is that of the container's agent, on the host that of the host.
 *
 * Who asks for what, and for whom an answer counts, is described in
 * Documentation/admin-guide/keyagent-consumers.rst.
 */

#define _GNU_SOURCE
#include "consumers.h"
#include "userns.h"

#define HOST_ADDRESS		"127.0.0.22"
#define CONTAINER_ADDRESS	"127.0.0.21"

/* A name for a server that no other test asks for. */
static void server_name(char *name, size_t size)
{
	static unsigned int n;

	snprintf(name, size, "server-%d-%u.example", getpid(), n++);
}

/* ------------------------------------------------------------------- ceph */

FIXTURE(ceph) {
	struct agent a;
	struct call *call;
	char name[64], source[128];
};

FIXTURE_SETUP(ceph)
{
	char answers[128];

	test_session(_metadata);
	module_needed(_metadata, "ceph");
	server_name(self->name, sizeof(self->name));
	snprintf(self->source, sizeof(self->source), "%s:6789:/", self->name);
	snprintf(answers, sizeof(answers), "dns_resolver %s " HOST_ADDRESS "\n",
		 self->name);
	ASSERT_EQ(0, work_dir_make(answers));
	self->call = mmap(NULL, sizeof(*self->call), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->call);
}

FIXTURE_TEARDOWN(ceph)
{
	agent_stop(&self->a);
	work_dir_remove();
}

#define DATA	FIXTURE_DATA(ceph)

/* A container whose answer for the name is another one than the host's. */
static void ceph_container(struct __test_metadata *const _metadata, DATA *self,
			   long (*prepare)(struct agent *a))
{
	char answers[128];

	snprintf(answers, sizeof(answers),
		 "dns_resolver %s " CONTAINER_ADDRESS "\n", self->name);
	container_start(_metadata, &self->a, "dns_resolver", prepare, answers);
}

/* Mounts, and expects to be connected to a monitor with that address. */
static void ceph_expect(struct __test_metadata *const _metadata, DATA *self,
			int where, const char *address)
{
	*self->call = (struct call){
		.source = self->source,
		.type = "ceph",
		.options = "name=x,secret=AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==,mount_timeout=1",
		.port = 6789,
	};
	ASSERT_EQ(0, run_in(_metadata, &self->a, where, call_by_mount,
			    self->call));
	EXPECT_STREQ(address, inet_ntoa(self->call->reached)) {
		TH_LOG("mount: %s", strerror(self->call->error));
	}
	EXPECT_EQ(0, strncmp("ceph v", self->call->greeting, 6));
}

/* How often the agent and the host were asked, since the beginning. */
static void ceph_expect_asked(struct __test_metadata *const _metadata,
			      DATA *self, int agent, int host)
{
	EXPECT_EQ(agent, agent_asked(&self->a));
	EXPECT_EQ(host, upcall_count(self->name, NULL));
}

/* Takes the answer out of the kernel's cache, as its expiry would. */
static void forget(struct __test_metadata *const _metadata, const char *desc)
{
	char line[1024];

	ASSERT_TRUE(proc_keys_line(0, desc, line, sizeof(line)));
	ASSERT_EQ(0, keyctl_invalidate(strtol(line, NULL, 16)));
	ASSERT_TRUE(wait_until(!proc_keys_line(0, desc, NULL, 0)));
}

/* Both ask for the same name. */
TEST_F(ceph, each_its_own_answer)
{
	int i;

	ceph_container(_metadata, self, container_prepare);
	for (i = 1; i <= 2; i++) {
		ceph_expect(_metadata, self, INSIDE | SUBSCRIBED,
			    CONTAINER_ADDRESS);
		ceph_expect_asked(_metadata, self, i, i - 1);
		forget(_metadata, self->name);
		ceph_expect(_metadata, self, ON_HOST, HOST_ADDRESS);
		ceph_expect_asked(_metadata, self, i, i);
		forget(_metadata, self->name);
	}
	EXPECT_EQ(0, agent_record(&self->a, 1)->result);
	expect_settled(_metadata, &self->a);
}

/* What the agents are there for: the container gets the host's answer. */
TEST_F(ceph, container_without_agent)
{
	ceph_container(_metadata, self, container_prepare);
	ceph_expect(_metadata, self, INSIDE, HOST_ADDRESS);
	ceph_expect_asked(_metadata, self, 0, 1);
}

/*
 * As long as the kernel keeps an answer, it is everybody's, whatever network
 * namespace it is for: that is not looked at in the search for the key. That is
 * why an agent that is asked has to be one that may administer the system.
 */
TEST_F(ceph, kept_answer_of_the_agent_is_the_hosts)
{
	ceph_container(_metadata, self, container_prepare);
	ceph_expect(_metadata, self, INSIDE | SUBSCRIBED, CONTAINER_ADDRESS);
	ceph_expect(_metadata, self, ON_HOST, CONTAINER_ADDRESS);
	ceph_expect_asked(_metadata, self, 1, 0);
}

TEST_F(ceph, kept_answer_of_the_host_is_the_containers)
{
	ceph_container(_metadata, self, container_prepare);
	ceph_expect(_metadata, self, ON_HOST, HOST_ADDRESS);
	ceph_expect(_metadata, self, INSIDE | SUBSCRIBED, HOST_ADDRESS);
	ceph_expect_asked(_metadata, self, 0, 1);
}

/* It goes with the network namespace of whoever asked. */
TEST_F(ceph, kept_answer_goes_with_the_container)
{
	ceph_container(_metadata, self, container_prepare);
	ceph_expect(_metadata, self, INSIDE | SUBSCRIBED, CONTAINER_ADDRESS);
	ceph_expect_asked(_metadata, self, 1, 0);
	agent_stop(&self->a);
	EXPECT_TRUE(wait_until(!proc_keys_line(0, self->name, NULL, 0)));
	ceph_expect(_metadata, self, ON_HOST, HOST_ADDRESS);
	EXPECT_EQ(1, upcall_count(self->name, NULL));
}

static long prepare_without_sys_admin(struct agent *a)
{
	long ret = container_prepare(a);

	return ret < 0 ? ret : drop_cap(CAP_SYS_ADMIN, true);
}

TEST_F(ceph, agent_that_may_not_administer)
{
	ceph_container(_metadata, self, prepare_without_sys_admin);
	ceph_expect(_metadata, self, INSIDE | SUBSCRIBED, HOST_ADDRESS);
	ceph_expect_asked(_metadata, self, 0, 1);
}

#undef DATA

KEYAGENT_HARNESS_MAIN
