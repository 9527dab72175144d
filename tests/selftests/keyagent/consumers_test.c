// SPDX-License-Identifier: GPL-2.0
/*
 * Those in the kernel who ask for keys, in earnest: mounts that look up the name
 * of their server, and one that needs a ticket. In a container the answer is that
 * of the container's agent, on the host that of the host. For NFS id mapping see
 * consumers_idmap_test.c.
 *
 * Who asks for what, and for whom an answer counts, is described in
 * Documentation/admin-guide/keyagent-consumers.rst.
 */

#define _GNU_SOURCE
#include "consumers.h"
#include "observe.h"
#include "smb.h"
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

#define RESOLVER	"/sys/module/dns_resolver"

/* A kernel's ceph may be configured to take addresses only. */
static bool ceph_asks_for_names(void)
{
	return !access(RESOLVER "/holders/libceph", F_OK) ||
	       (!access(RESOLVER, F_OK) && access(RESOLVER "/holders", F_OK));
}

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
	if (!ceph_asks_for_names())
		SKIP(return, "ceph does not use dns_resolver here");
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
	ASSERT_EQ(0, run_in(&self->a, where, call_by_mount, self->call));
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

/* The same, for the time that it takes to mount. */
static long answer_for_a_moment(struct agent *a, key_serial_t key)
{
	long ret = agent_assume(key);

	if (ret >= 0)
		ret = neg_errno(keyctl_set_timeout(key, slow()));
	return ret < 0 ? ret : container_answer(a, key);
}

TEST_F(ceph, answer_that_expires)
{
	char line[1024] = "";

	ceph_container(_metadata, self, container_prepare);
	self->a.sh->plan.custom = answer_for_a_moment;
	ceph_expect(_metadata, self, INSIDE | SUBSCRIBED, CONTAINER_ADDRESS);
	EXPECT_TRUE(wait_until(proc_keys_line(0, self->name, line,
					      sizeof(line)) &&
			       strstr(line, " expd ")));
	ceph_expect(_metadata, self, ON_HOST, HOST_ADDRESS);
	ceph_expect_asked(_metadata, self, 1, 1);
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

/* -------------------------------------------------------------- cifs.spnego */

FIXTURE(spnego) {
	struct agent a;
	struct call *call;
};

FIXTURE_SETUP(spnego)
{
	test_session(_metadata);
	module_needed(_metadata, "cifs");
	ASSERT_EQ(0, work_dir_make(""));
	container_start(_metadata, &self->a, "cifs.spnego", container_prepare,
			"");
	self->a.sh->plan.custom = smb_answer;
	self->call = mmap(NULL, sizeof(*self->call), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->call);
	*self->call = (struct call){
		.source = "//" CONTAINER_ADDRESS "/share",
		.type = "cifs",
		.options = "ip=" CONTAINER_ADDRESS ",vers=2.1,sec=krb5,user=x",
		.port = SMB_PORT,
		.serve = smb_serve,
	};
}

FIXTURE_TEARDOWN(spnego)
{
	agent_stop(&self->a);
	work_dir_remove();
}

TEST_F(spnego, ticket_of_the_agent)
{
	ASSERT_EQ(0, run_in(&self->a, INSIDE | SUBSCRIBED, call_by_mount,
			    self->call));
	EXPECT_STREQ(SMB_TICKET, self->call->greeting) {
		TH_LOG("mount: %s", strerror(self->call->error));
	}
	EXPECT_EQ(1, agent_asked(&self->a));
	EXPECT_EQ(0, agent_record(&self->a, 0)->result);
	EXPECT_NE(NULL, strstr(agent_record(&self->a, 0)->callout,
			       ";ip4=" CONTAINER_ADDRESS ";sec=krb5;uid=0x0;"));
	/* Nobody gets it a second time. */
	EXPECT_TRUE(wait_until(!proc_keys_line(0, " ver=0x2;", NULL, 0)));
	expect_settled(_metadata, &self->a);
}

/* The host has no ticket that the kernel would take. */
TEST_F(spnego, no_ticket_without_agent)
{
	ASSERT_EQ(0, run_in(&self->a, INSIDE, call_by_mount, self->call));
	EXPECT_EQ(EKEYREJECTED, self->call->error);
	EXPECT_STREQ("", self->call->greeting);
	EXPECT_EQ(0, agent_asked(&self->a));
}

TEST_F(spnego, nobody_but_the_kernel_asks)
{
	EXPECT_EQ(-1, sys_request_key("cifs.spnego", "ver=0x2;host=x", "", 0));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(0, agent_asked(&self->a));
}

/* ---------------------------------------------------------- kernel threads */

FIXTURE(thread) {
	struct agent a;
	struct call *call;
	char name[64], desc[128];
	struct outcomes before;
};

FIXTURE_SETUP(thread)
{
	char answers[256];

	test_session(_metadata);
	server_name(self->name, sizeof(self->name));
	snprintf(answers, sizeof(answers),
		 "dns_resolver %s 127.0.0.1\ndns_resolver afsdb:%s 127.0.0.1\n",
		 self->name, self->name);
	ASSERT_EQ(0, work_dir_make(answers));
	container_start(_metadata, &self->a, "dns_resolver", container_prepare,
			answers);
	self->call = mmap(NULL, sizeof(*self->call), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->call);
	ASSERT_TRUE(outcomes_read(&self->before));
}

FIXTURE_TEARDOWN(thread)
{
	agent_stop(&self->a);
	work_dir_remove();
}

#define THREAD_DATA	FIXTURE_DATA(thread)

/* Only the host was asked, once, because a thread of the kernel asked. */
static void expect_thread_asked(struct __test_metadata *const _metadata,
				THREAD_DATA *self)
{
	EXPECT_TRUE(wait_until(upcall_count(self->desc, NULL)));
	EXPECT_EQ(1, upcall_count(self->desc, NULL));
	EXPECT_EQ(0, agent_asked(&self->a));
	expect_outcome(_metadata, &self->before, "worker");
}

/* The name is looked up when the connection is lost, by the thread that serves it. */
TEST_F(thread, cifs_connects_again)
{
	char source[128];

	module_needed(_metadata, "cifs");
	snprintf(source, sizeof(source), "//%s/share", self->name);
	snprintf(self->desc, sizeof(self->desc), "%s", self->name);
	*self->call = (struct call){
		.source = source,
		.type = "cifs",
		.options = "ip=" CONTAINER_ADDRESS ",user=x,pass=x",
		.port = 445,
	};
	ASSERT_EQ(0, run_in(&self->a, INSIDE | SUBSCRIBED, call_by_mount,
			    self->call));
	EXPECT_STREQ(CONTAINER_ADDRESS, inet_ntoa(self->call->reached)) {
		TH_LOG("mount: %s", strerror(self->call->error));
	}
	expect_thread_asked(_metadata, self);
}

static long afs_look_up(void *arg)
{
	char path[128];
	struct stat st;
	long ret;

	if (mount("none", WORK_DIR "/mnt", "afs", 0, "dyn"))
		return -errno;
	snprintf(path, sizeof(path), WORK_DIR "/mnt/%s", (const char *)arg);
	/* There is no cell at that address, and we do not want one. */
	stat(path, &st);
	ret = neg_errno(umount(WORK_DIR "/mnt"));
	return ret;
}

TEST_F(thread, afs_looks_up_a_cell)
{
	module_needed(_metadata, "kafs");
	snprintf(self->desc, sizeof(self->desc), "afsdb:%s", self->name);
	EXPECT_EQ(0, run_in(&self->a, INSIDE | SUBSCRIBED, afs_look_up,
			    self->name));
	expect_thread_asked(_metadata, self);
}

/* --------------------------------------------------------------- afterwards */

FIXTURE(afterwards) {
};

FIXTURE_SETUP(afterwards)
{
}

FIXTURE_TEARDOWN(afterwards)
{
}

TEST_F(afterwards, modules_can_be_removed)
{
	module_remove(_metadata, "ceph");
	module_remove(_metadata, "cifs");
	module_remove(_metadata, "kafs");
	EXPECT_TRUE(wait_until(!proc_keys_line(0, " .dns_resolver", NULL, 0)));
}

KEYAGENT_HARNESS_MAIN
