// SPDX-License-Identifier: GPL-2.0
/*
 * Attacks on processes that have, or had, more privileges than who asks for their
 * authority: the agent is never asked, and the request goes to /sbin/request-key.
 *
 * tests/mutants takes the checks away one by one, to see that each of these
 * attacks would work.
 */

#define _GNU_SOURCE
#include <sys/xattr.h>

#include "observe.h"
#include "userns.h"

#define PROGRAMS	"/run/keyagent-attack"
#define PROGRAM		PROGRAMS "/attack_helper"

/* What a file can have that its program gets. */
enum gift {
	NOTHING,
	SET_UID_ROOT,
	SET_GID_ROOT,
	CAPABILITY,
};

#define DATA FIXTURE_DATA(attack)

FIXTURE(attack)
{
	struct agent agent;
	struct agent_opts opts;
	struct outcomes before;
	const char *desc;
};

static long prepare_user(struct agent *a __maybe_unused)
{
	return become(1000, 1000, 1000);
}

/* The program on a file system that lets it have more privileges. */
static void make_program(struct __test_metadata *const _metadata)
{
	char path[4096];

	ASSERT_TRUE(beside(path, sizeof(path), "attack_helper"));
	mkdir(PROGRAMS, 0755);
	ASSERT_EQ(0, mount("none", PROGRAMS, "tmpfs", 0, "mode=755"));
	ASSERT_EQ(0, file_copy(path, PROGRAM));
}

FIXTURE_SETUP(attack)
{
	test_session(_metadata);
	make_program(_metadata);
	self->desc = unique("attack");
	self->opts.prepare = prepare_user;
	ASSERT_TRUE(outcomes_read(&self->before));
}

FIXTURE_TEARDOWN(attack)
{
	agent_stop(&self->agent);
	umount2(PROGRAMS, MNT_DETACH);
	rmdir(PROGRAMS);
}

static void give(struct __test_metadata *const _metadata, enum gift gift)
{
	const struct vfs_cap_data cap = {
		.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
		.data[0].permitted = 1 << CAP_NET_RAW,
	};

	if (gift == SET_UID_ROOT)
		ASSERT_EQ(0, chmod(PROGRAM, 04755));
	if (gift == SET_GID_ROOT)
		ASSERT_EQ(0, chmod(PROGRAM, 02755));
	if (gift == CAPABILITY)
		ASSERT_EQ(0, setxattr(PROGRAM, "security.capability", &cap,
				      sizeof(cap), 0));
}

/* User 1000 executes the program; its exit status. */
static int run_program(struct __test_metadata *const _metadata, const char *act,
		       const char *desc)
{
	int status;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		if (become(1000, 1000, 1000))
			_exit(errno);
		execl(PROGRAM, PROGRAM, act, desc, NULL);
		_exit(errno);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void expect_passed_over(struct __test_metadata *const _metadata,
			       DATA *self, const char *reason)
{
	EXPECT_EQ(0, agent_asked(&self->agent));
	EXPECT_EQ(1, upcall_count(self->desc, NULL));
	expect_outcome(_metadata, &self->before, reason);
	expect_settled(_metadata, &self->agent);
}

/* ------------------------------------------- programs with privileges of theirs */

/* The same program without them is served: nothing else is in the way. */
TEST_F(attack, plain_program)
{
	agent_start(_metadata, &self->agent, &self->opts);
	EXPECT_EQ(0, run_program(_metadata, "request", self->desc));
	EXPECT_EQ(1, agent_asked(&self->agent));
	EXPECT_EQ(0, upcall_count(self->desc, NULL));
}

TEST_F(attack, set_uid_program)
{
	give(_metadata, SET_UID_ROOT);
	agent_start(_metadata, &self->agent, &self->opts);
	EXPECT_EQ(0, run_program(_metadata, "request", self->desc));
	expect_passed_over(_metadata, self, "denied_user");
}

TEST_F(attack, set_gid_program)
{
	give(_metadata, SET_GID_ROOT);
	agent_start(_metadata, &self->agent, &self->opts);
	EXPECT_EQ(0, run_program(_metadata, "request", self->desc));
	expect_passed_over(_metadata, self, "denied_group");
}

TEST_F(attack, file_capabilities)
{
	give(_metadata, CAPABILITY);
	agent_start(_metadata, &self->agent, &self->opts);
	EXPECT_EQ(0, run_program(_metadata, "request", self->desc));
	expect_passed_over(_metadata, self, "denied_capabilities");
}

/* It has had root's privileges, and what it read with them may still be there. */
TEST_F(attack, set_uid_program_drops)
{
	give(_metadata, SET_UID_ROOT);
	agent_start(_metadata, &self->agent, &self->opts);
	EXPECT_EQ(0, run_program(_metadata, "drop", self->desc));
	expect_passed_over(_metadata, self, "denied_not_dumpable");
}

/* An agent that becomes a set-uid program is none any more, and is not killed. */
static long do_exec_program(struct agent *a, const void *arg __maybe_unused)
{
	char fd[16];
	sigset_t set;

	snprintf(fd, sizeof(fd), "%d", dup(a->ctl));
	sigemptyset(&set);
	sigaddset(&set, a->opts.sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	execl(PROGRAM, PROGRAM, "pause", fd, NULL);
	_exit(127);
}

TEST_F(attack, agent_execs_set_uid_program)
{
	char byte;

	give(_metadata, SET_UID_ROOT);
	agent_start(_metadata, &self->agent, &self->opts);
	agent_post(_metadata, &self->agent, do_exec_program, NULL, 0);
	ASSERT_EQ(1, read(self->agent.ctl, &byte, 1));
	EXPECT_EQ(0, run_program(_metadata, "drop", self->desc));
	EXPECT_EQ(1, upcall_count(self->desc, NULL));
	expect_outcome(_metadata, &self->before, "dead_agent");
	EXPECT_EQ(0, waitpid(self->agent.pid, NULL, WNOHANG));
	EXPECT_FALSE(signal_pending(self->agent.pid, AGENT_SIGNAL));
}

/* ------------------------------------------------------ what a requester may be */

static long drop_to_user(const struct requester_opts *o __maybe_unused)
{
	return neg_errno(setresgid(1000, 1000, 1000) ||
			 setresuid(1000, 1000, 1000) ? -1 : 0);
}

static long become_user(const struct requester_opts *o __maybe_unused)
{
	return become(1000, 1000, 1000);
}

static long keep_to_itself(const struct requester_opts *o __maybe_unused)
{
	long ret = become(1000, 1000, 1000);

	return ret < 0 ? ret : neg_errno(prctl(PR_SET_DUMPABLE, 0));
}

static long keep_capability(const struct requester_opts *o __maybe_unused)
{
	return become_with_cap(1000, CAP_NET_RAW);
}

static long other_group(const struct requester_opts *o __maybe_unused)
{
	if (setresgid(1001, 1001, 1001) || setresuid(1000, 1000, 1000))
		return -errno;
	return neg_errno(prctl(PR_SET_DUMPABLE, 1));
}

static long no_new_privs(const struct requester_opts *o __maybe_unused)
{
	long ret = become(1000, 1000, 1000);

	return ret < 0 ? ret :
			 neg_errno(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

static void request(struct __test_metadata *const _metadata,
		    DATA *self,
		    long (*prepare)(const struct requester_opts *o))
{
	const struct requester_opts o = {
		.desc = self->desc, .prepare = prepare,
	};
	struct requester_result res = request_in_child(_metadata, &o);

	EXPECT_LT(0, res.key);
}

TEST_F(attack, dropped_privileges)
{
	agent_start(_metadata, &self->agent, &self->opts);
	request(_metadata, self, drop_to_user);
	expect_passed_over(_metadata, self, "denied_not_dumpable");
}

TEST_F(attack, not_dumpable)
{
	agent_start(_metadata, &self->agent, &self->opts);
	request(_metadata, self, keep_to_itself);
	expect_passed_over(_metadata, self, "denied_not_dumpable");
}

TEST_F(attack, capability)
{
	agent_start(_metadata, &self->agent, &self->opts);
	request(_metadata, self, keep_capability);
	expect_passed_over(_metadata, self, "denied_capabilities");
}

TEST_F(attack, other_group)
{
	agent_start(_metadata, &self->agent, &self->opts);
	request(_metadata, self, other_group);
	expect_passed_over(_metadata, self, "denied_group");
}

/* Who may trace that process may answer it. */
TEST_F(attack, administrator_for_not_dumpable)
{
	self->opts.prepare = NULL;
	agent_start(_metadata, &self->agent, &self->opts);
	request(_metadata, self, keep_to_itself);
	EXPECT_EQ(1, agent_asked(&self->agent));
}

/* ------------------------------------------------- from within a pid namespace */

/* As a container without a user namespace of its own: not even root sees the host. */
TEST_F(attack, from_a_pid_namespace)
{
	self->opts.clone_flags = CLONE_NEWPID;
	agent_start(_metadata, &self->agent, &self->opts);
	request(_metadata, self, become_user);
	expect_passed_over(_metadata, self, "denied_pid_ns");
}

TEST_F(attack, root_from_a_pid_namespace)
{
	self->opts.clone_flags = CLONE_NEWPID;
	self->opts.prepare = NULL;
	agent_start(_metadata, &self->agent, &self->opts);
	request(_metadata, self, become_user);
	expect_passed_over(_metadata, self, "denied_pid_ns");
}

/* -------------------------------------------------------------- no_new_privs */

static long prepare_no_new_privs(struct agent *a __maybe_unused)
{
	return no_new_privs(NULL);
}

TEST_F(attack, agent_without_new_privs)
{
	self->opts.prepare = prepare_no_new_privs;
	agent_start(_metadata, &self->agent, &self->opts);
	request(_metadata, self, become_user);
	expect_passed_over(_metadata, self, "denied_no_new_privs");
}

TEST_F(attack, both_without_new_privs)
{
	self->opts.prepare = prepare_no_new_privs;
	agent_start(_metadata, &self->agent, &self->opts);
	request(_metadata, self, no_new_privs);
	EXPECT_EQ(1, agent_asked(&self->agent));
}

/* ------------------------------------------- an agent key where many can write */

static long prepare_userns(struct agent *a __maybe_unused)
{
	long ret = become(1000, 1000, 1000);

	return ret < 0 ? ret : enter_userns(0);
}

static long do_link(struct agent *a, const void *arg)
{
	return neg_errno(keyctl_link(a->sh->key, *(const key_serial_t *)arg));
}

/* Makes the user's keyring a part of the session, as logging in does. */
static long open_user_keyring(const struct requester_opts *o)
{
	key_serial_t *serial = (key_serial_t *)o->arg;
	long ret = become(1000, 1000, 1000);

	if (ret < 0)
		return ret;
	*serial = keyctl_get_keyring_id(KEY_SPEC_USER_KEYRING, 1);
	return neg_errno(keyctl_link(KEY_SPEC_USER_KEYRING,
				     KEY_SPEC_SESSION_KEYRING));
}

/* Root of a sandbox of the same user writes to the keyring by its number. */
TEST_F(attack, planted_in_the_user_keyring)
{
	key_serial_t *serial = mmap(NULL, sizeof(*serial),
				    PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const struct requester_opts login = {
		.desc = unique("login"),
		.prepare = open_user_keyring,
		.arg = (long)serial,
	};

	ASSERT_NE(MAP_FAILED, (void *)serial);
	ASSERT_LT(0, request_in_child(_metadata, &login).key);
	self->opts.prepare = prepare_userns;
	self->opts.no_link = true;
	agent_start(_metadata, &self->agent, &self->opts);
	ASSERT_EQ(0, agent_call(_metadata, &self->agent, do_link, serial,
				sizeof(*serial)));
	ASSERT_TRUE(outcomes_read(&self->before));
	request(_metadata, self, become_user);
	EXPECT_EQ(0, agent_asked(&self->agent));
	EXPECT_EQ(1, upcall_count(self->desc, NULL));
	expect_outcome(_metadata, &self->before, "denied_user_ns");
	ASSERT_EQ(0, keyctl_unlink(self->agent.sh->key, *serial));
}

/* ----------------------------------------------- the authority of a third party */

FIXTURE(third)
{
	struct agent servant;	/* has the authority of the third party */
	struct agent thief;	/* is linked into the session of the servant */
};

FIXTURE_VARIANT(third)
{
	long (*party)(const struct requester_opts *o);
	const char *reason;
};

/* Root, whose keyrings the thief may not have. */
FIXTURE_VARIANT_ADD(third, root) { NULL, "denied_user" };
/* The thief's own user, after it dropped privileges. */
FIXTURE_VARIANT_ADD(third, not_dumpable) {
	drop_to_user, "denied_not_dumpable"
};

FIXTURE_SETUP(third)
{
	test_session(_metadata);
}

FIXTURE_TEARDOWN(third)
{
	agent_stop(&self->servant);
	agent_stop(&self->thief);
}

static long prepare_tracer(struct agent *a __maybe_unused)
{
	return become_with_cap(1000, CAP_SYS_PTRACE);
}

/* By now it is a user like the thief, but for the authority that it has. */
static long request_more(struct agent *a __maybe_unused, key_serial_t key)
{
	long ret = agent_assume(key);

	if (ret < 0)
		return ret;
	ret = drop_cap(CAP_SYS_PTRACE, true);
	return ret < 0 ? ret : agent_request_more(key);
}

TEST_F(third, nested_request)
{
	const struct agent_opts servant = {
		.prepare = prepare_tracer,
		.inherit_session = true,
		.plan = { .action = AGENT_CUSTOM, .custom = request_more },
	};
	const struct agent_opts thief = {
		.type = "logon",
		.prepare = prepare_user,
	};
	const struct requester_opts o = {
		.desc = unique("third"),
		.prepare = variant->party,
	};
	struct requester_result res;
	struct outcomes before;
	char more[64];

	ASSERT_TRUE(outcomes_read(&before));
	agent_start(_metadata, &self->servant, &servant);
	agent_start(_metadata, &self->thief, &thief);
	res = request_in_child(_metadata, &o);
	EXPECT_LT(0, res.key);
	agent_wait_done(_metadata, &self->servant, 1);
	EXPECT_EQ(0, agent_record(&self->servant, 0)->result);
	EXPECT_EQ(0, agent_asked(&self->thief));
	snprintf(more, sizeof(more), "more:%d",
		 agent_record(&self->servant, 0)->key);
	EXPECT_EQ(1, upcall_count(more, NULL));
	EXPECT_EQ(1, outcome_growth(&before, variant->reason));
	EXPECT_EQ(1, outcome_growth(&before, "served"));
}

KEYAGENT_HARNESS_MAIN
