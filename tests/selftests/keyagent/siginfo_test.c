// SPDX-License-Identifier: GPL-2.0
/*
 * The signal, byte for byte: number, si_code, serial of the key, and process and
 * user ID of the requester in the agent's namespaces. Nothing else is in it.
 */

#include <pthread.h>

#include "common.h"
#include "userns.h"

#define OVERFLOW_UID	65534

FIXTURE(siginfo) {
	struct agent a;
};

FIXTURE_SETUP(siginfo)
{
	test_session(_metadata);
}

FIXTURE_TEARDOWN(siginfo)
{
	agent_stop(&self->a);
}

/* Compares the i-th signal of an agent, all 128 bytes, however it was read. */
static void expect_siginfo(struct __test_metadata *const _metadata,
			   struct agent *a, int i, key_serial_t key, int pid,
			   uid_t uid)
{
	const uint8_t *seen = agent_record(a, i)->siginfo;
	union {
		uint8_t raw[SIGINFO_SIZE];
		siginfo_t info;
		struct signalfd_siginfo fd;
	} want;
	int n;

	_Static_assert(sizeof(siginfo_t) == SIGINFO_SIZE, "siginfo_t");
	_Static_assert(sizeof(want.fd) == SIGINFO_SIZE, "signalfd_siginfo");
	memset(&want, 0, sizeof(want));
	if (a->opts.wait == AGENT_SIGNALFD) {
		want.fd.ssi_signo = a->opts.sig;
		want.fd.ssi_code = SI_KEYAGENT;
		want.fd.ssi_pid = pid;
		want.fd.ssi_uid = uid;
		want.fd.ssi_int = key;
		/* A key's serial is positive: the upper half is zero. */
		want.fd.ssi_ptr = key;
	} else {
		want.info.si_signo = a->opts.sig;
		want.info.si_code = SI_KEYAGENT;
		want.info.si_pid = pid;
		want.info.si_uid = uid;
		want.info.si_int = key;
	}
	for (n = 0; n < SIGINFO_SIZE; n++) {
		EXPECT_EQ(want.raw[n], seen[n]) {
			TH_LOG("byte %d of the siginfo", n);
		}
	}
}

/* ------------------------------------------------------------- the raw bytes */

FIXTURE(raw) {
	struct agent a;
};

FIXTURE_VARIANT(raw) {
	enum agent_wait wait;
	int sig;
};

/* 32 and 33 are the C library's: it takes them out of a mask. */
FIXTURE_VARIANT_ADD(raw, sigwaitinfo_34) { AGENT_SIGWAITINFO, 34 };
FIXTURE_VARIANT_ADD(raw, sigwaitinfo_50) { AGENT_SIGWAITINFO, 50 };
FIXTURE_VARIANT_ADD(raw, sigwaitinfo_64) { AGENT_SIGWAITINFO, 64 };
FIXTURE_VARIANT_ADD(raw, handler_34) { AGENT_PPOLL, 34 };
FIXTURE_VARIANT_ADD(raw, handler_64) { AGENT_PPOLL, 64 };
FIXTURE_VARIANT_ADD(raw, signalfd_34) { AGENT_SIGNALFD, 34 };
FIXTURE_VARIANT_ADD(raw, signalfd_64) { AGENT_SIGNALFD, 64 };

FIXTURE_SETUP(raw)
{
	const struct agent_opts opts = {
		.wait = variant->wait,
		.sig = variant->sig,
	};

	test_session(_metadata);
	agent_start(_metadata, &self->a, &opts);
}

FIXTURE_TEARDOWN(raw)
{
	agent_stop(&self->a);
}

TEST_F(raw, every_byte)
{
	key_serial_t key = sys_request_key("user", unique("raw"), "x", 0);

	ASSERT_LT(0, key);
	ASSERT_EQ(1, agent_asked(&self->a));
	expect_siginfo(_metadata, &self->a, 0, key, getpid(), getuid());
}

/* ------------------------------------------------------------- who requested */

static void *request_thread(void *arg)
{
	return (void *)(long)sys_request_key("user", arg, "x",
					     KEY_SPEC_SESSION_KEYRING);
}

/* si_pid is a process, whichever thread requests. */
TEST_F(siginfo, requester_is_a_thread)
{
	const struct agent_opts opts = { .wait = AGENT_SIGWAITINFO };
	pthread_t thread;
	void *key;

	agent_start(_metadata, &self->a, &opts);
	ASSERT_EQ(0, pthread_create(&thread, NULL, request_thread,
				    (void *)unique("thread")));
	ASSERT_EQ(0, pthread_join(thread, &key));
	ASSERT_LT(0, (long)key);
	expect_siginfo(_metadata, &self->a, 0, (long)key, getpid(), getuid());
}

/* si_uid is the real user ID. */
static long ids_differ(const struct requester_opts *o)
{
	(void)o;
	return become(1001, 1000, 1002);
}

TEST_F(siginfo, real_user_id)
{
	const struct agent_opts opts = { .wait = AGENT_SIGWAITINFO };
	const struct requester_opts req = {
		.desc = unique("real_uid"),
		.prepare = ids_differ,
	};
	struct requester_result res;
	struct requester r;

	agent_start(_metadata, &self->a, &opts);
	requester_start(_metadata, &r, &req);
	res = requester_finish(&r);
	ASSERT_LT(0, res.key);
	expect_siginfo(_metadata, &self->a, 0, res.key, r.pid, 1001);
}

/* ------------------------------------------------------------ PID namespaces */

TEST_F(siginfo, requester_in_child_pidns)
{
	const struct agent_opts opts = { .wait = AGENT_SIGWAITINFO };
	const struct requester_opts req = {
		.desc = unique("child_pidns"),
		.clone_flags = CLONE_NEWPID,
	};
	struct requester_result res;
	struct requester r;

	agent_start(_metadata, &self->a, &opts);
	requester_start(_metadata, &r, &req);
	res = requester_finish(&r);
	ASSERT_LT(0, res.key);
	/* To itself it is process 1. */
	EXPECT_NE(1, r.pid);
	expect_siginfo(_metadata, &self->a, 0, res.key, r.pid, getuid());
}

FIXTURE(pidns) {
	struct agent a;
};

FIXTURE_VARIANT(pidns) {
	enum agent_wait wait;
};

FIXTURE_VARIANT_ADD(pidns, sigwaitinfo) { .wait = AGENT_SIGWAITINFO };
FIXTURE_VARIANT_ADD(pidns, ppoll) { .wait = AGENT_PPOLL };
FIXTURE_VARIANT_ADD(pidns, signalfd) { .wait = AGENT_SIGNALFD };

FIXTURE_SETUP(pidns)
{
	const struct agent_opts opts = {
		.wait = variant->wait,
		.clone_flags = CLONE_NEWPID,
		.inherit_session = true,
	};

	test_session(_metadata);
	agent_start(_metadata, &self->a, &opts);
}

FIXTURE_TEARDOWN(pidns)
{
	agent_stop(&self->a);
}

/* The number is the one in the agent's own namespace. */
static long request_from_below(struct agent *a, const void *arg)
{
	pid_t pid = fork();

	(void)a;
	if (pid)
		return neg_errno(pid);
	/* Not before the agent waits again. */
	sys_request_key("user", arg, "x", KEY_SPEC_SESSION_KEYRING);
	_exit(0);
}

TEST_F(pidns, visible_requester)
{
	const char *desc = unique("pidns");
	key_serial_t key;
	long pid;

	pid = agent_call(_metadata, &self->a, request_from_below, desc,
			 strlen(desc) + 1);
	ASSERT_LT(1, pid);
	agent_wait_done(_metadata, &self->a, 1);
	key = agent_record(&self->a, 0)->key;
	EXPECT_EQ(0, agent_record(&self->a, 0)->result);
	expect_siginfo(_metadata, &self->a, 0, key, pid, getuid());
	EXPECT_STREQ("agent", payload_of(key));
}

/* ----------------------------------------------------------- user namespaces */

/* In a namespace of its own the requester is root. */
static long root_in_userns(const struct requester_opts *o)
{
	long ret = become(1000, 1000, 1000);

	(void)o;
	return ret < 0 ? ret : enter_userns(0);
}

TEST_F(siginfo, requester_in_child_userns)
{
	const struct agent_opts opts = { .wait = AGENT_SIGWAITINFO };
	const struct requester_opts req = {
		.desc = unique("child_userns"),
		.prepare = root_in_userns,
	};
	struct requester_result res;
	struct requester r;

	agent_start(_metadata, &self->a, &opts);
	requester_start(_metadata, &r, &req);
	res = requester_finish(&r);
	ASSERT_LT(0, res.key);
	expect_siginfo(_metadata, &self->a, 0, res.key, r.pid, 1000);
}

/* The agent is user 7 of a user namespace whose user 7 is the initial one's 1000. */
static long agent_in_userns(struct agent *a)
{
	long ret = become(1000, 1000, 1000);

	(void)a;
	return ret < 0 ? ret : enter_userns(7);
}

FIXTURE(userns) {
	struct agent a;
};

FIXTURE_SETUP(userns)
{
	const struct agent_opts opts = {
		.wait = AGENT_SIGWAITINFO,
		.inherit_session = true,
		.prepare = agent_in_userns,
	};

	test_session(_metadata);
	agent_start(_metadata, &self->a, &opts);
}

FIXTURE_TEARDOWN(userns)
{
	agent_stop(&self->a);
}

/* A requester below the agent, who is user 0 there and user 7 to the agent. */
static long request_from_userns_below(struct agent *a, const void *arg)
{
	pid_t pid = fork();

	(void)a;
	if (pid)
		return neg_errno(pid);
	if (enter_userns(0) < 0)
		perror("# enter_userns");
	else
		sys_request_key("user", arg, "x", KEY_SPEC_SESSION_KEYRING);
	_exit(0);
}

TEST_F(userns, mapped_requester)
{
	const char *desc = unique("userns");
	long pid;

	pid = agent_call(_metadata, &self->a, request_from_userns_below, desc,
			 strlen(desc) + 1);
	ASSERT_LT(0, pid);
	agent_wait_done(_metadata, &self->a, 1);
	EXPECT_EQ(0, agent_record(&self->a, 0)->result);
	EXPECT_EQ(0, upcall_count(desc, NULL));
	expect_siginfo(_metadata, &self->a, 0, agent_record(&self->a, 0)->key,
		       pid, 7);
}

/* The initial root in the agent's namespace, which has no number for it. */
static long join_userns(const struct requester_opts *o)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%ld/ns/user", o->arg);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWUSER))
		return -errno;
	return neg_errno(prctl(PR_SET_DUMPABLE, 1));
}

TEST_F(userns, unmapped_requester)
{
	const struct requester_opts req = {
		.desc = unique("userns"),
		.prepare = join_userns,
		.arg = self->a.pid,
	};
	struct requester_result res;
	struct requester r;

	requester_start(_metadata, &r, &req);
	res = requester_finish(&r);
	ASSERT_LT(0, res.key);
	ASSERT_EQ(1, agent_asked(&self->a));
	EXPECT_EQ(0, upcall_count(req.desc, NULL));
	expect_siginfo(_metadata, &self->a, 0, res.key, r.pid, OVERFLOW_UID);
}

KEYAGENT_HARNESS_MAIN
