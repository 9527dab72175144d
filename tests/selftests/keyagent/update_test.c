// SPDX-License-Identifier: GPL-2.0
/*
 * KEYCTL_UPDATE of an agent key, and add_key(2) where the keyring has one, as a
 * registration: who may take the key over and who may not.
 */

#include "lifetime.h"

FIXTURE(update)
{
	struct agent agent;
	struct agent other;
};

FIXTURE_SETUP(update)
{
	test_session(_metadata);
	ASSERT_LT(0, keyctl_get_keyring_id(KEY_SPEC_PROCESS_KEYRING, 1));
}

FIXTURE_TEARDOWN(update)
{
	agent_stop(&self->agent);
	agent_stop(&self->other);
}

/* Registers with the key whose serial is the argument; 0 or -errno. */
static long do_take_over(struct agent *a, const void *arg)
{
	const uint16_t sig = a->opts.sig;
	key_serial_t key = *(const key_serial_t *)arg;
	long ret;

	/* Whoever links it possesses it. */
	ret = neg_errno(keyctl_link(key, KEY_SPEC_PROCESS_KEYRING));
	if (ret < 0)
		return ret;
	ret = neg_errno(keyctl_update(key, &sig, sizeof(sig)));
	keyctl_unlink(key, KEY_SPEC_PROCESS_KEYRING);
	return ret;
}

/* What /proc/keys says after the description of the key. */
static void expect_shown(struct __test_metadata *const _metadata,
			 key_serial_t key, pid_t pid, int sig)
{
	char line[1024] = "", want[64];

	snprintf(want, sizeof(want), " user: pid %d sig %d", pid, sig);
	EXPECT_TRUE(proc_keys_line(key, NULL, line, sizeof(line)));
	EXPECT_NE(NULL, strstr(line, want)) {
		TH_LOG("no '%s' in '%s'", want, line);
	}
}

TEST_F(update, own_signal)
{
	uint16_t sig = 40;
	key_serial_t key;

	key = sys_add_key("keyagent", "user", &sig, sizeof(sig),
			  KEY_SPEC_SESSION_KEYRING);
	ASSERT_LT(0, key);
	sig = 41;
	EXPECT_EQ(0, keyctl_update(key, &sig, sizeof(sig)));
	expect_shown(_metadata, key, getpid(), 41);
	sig = 42;
	EXPECT_EQ(key, sys_add_key("keyagent", "user", &sig, sizeof(sig),
				   KEY_SPEC_SESSION_KEYRING));
	expect_shown(_metadata, key, getpid(), 42);
}

/* What is refused leaves the registration as it was. */
TEST_F(update, bad_payload)
{
	uint8_t payload[16] = { 40 };
	key_serial_t key;
	size_t len;

	key = sys_add_key("keyagent", "user", payload, 2,
			  KEY_SPEC_SESSION_KEYRING);
	ASSERT_LT(0, key);
	for (len = 0; len <= sizeof(payload); len++) {
		if (len == 2 || len == 4)
			continue;
		EXPECT_EQ(-1, keyctl_update(key, payload, len));
		EXPECT_EQ(EINVAL, errno);
	}
	payload[0] = 31;
	EXPECT_EQ(-1, keyctl_update(key, payload, 2));
	EXPECT_EQ(EINVAL, errno);
	expect_shown(_metadata, key, getpid(), 40);
}

/* A subscriber cannot make itself the agent of the others ... */
TEST_F(update, live_agent_stays)
{
	struct agent_opts opts = { .no_link = true, .no_register = true };

	agent_start(_metadata, &self->agent, NULL);
	agent_start(_metadata, &self->other, &opts);
	EXPECT_EQ(-EBUSY, agent_call(_metadata, &self->other, do_take_over,
				     &self->agent.sh->key,
				     sizeof(key_serial_t)));
	expect_shown(_metadata, self->agent.sh->key, self->agent.pid,
		     AGENT_SIGNAL);
	expect_answer(_metadata, unique("user"), "agent");
	EXPECT_EQ(1, agent_asked(&self->agent));
	EXPECT_EQ(0, agent_asked(&self->other));
}

/* ... but take the place of one that has gone, with all who have linked it. */
TEST_F(update, dead_agent_is_replaced)
{
	struct agent_opts opts = { .no_link = true, .no_register = true };
	key_serial_t key;

	agent_start(_metadata, &self->agent, NULL);
	key = self->agent.sh->key;
	agent_start(_metadata, &self->other, &opts);
	agent_stop(&self->agent);
	EXPECT_EQ(0, agent_call(_metadata, &self->other, do_take_over, &key,
				sizeof(key)));
	expect_shown(_metadata, key, self->other.pid, AGENT_SIGNAL);
	expect_answer(_metadata, unique("user"), "agent");
	EXPECT_EQ(1, agent_asked(&self->other));
}

/* Nor does the permission to write make an agent of who has no such keyring. */
static long do_take_over_without_ring(struct agent *a, const void *arg)
{
	const uint16_t sig = a->opts.sig;
	int status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		keyctl_link(*(const key_serial_t *)arg,
			    KEY_SPEC_SESSION_KEYRING);
		_exit(keyctl_update(*(const key_serial_t *)arg, &sig,
				    sizeof(sig)) ? errno : 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -EIO;
	return -WEXITSTATUS(status);
}

TEST_F(update, needs_process_keyring)
{
	struct agent_opts opts = { .no_link = true, .no_register = true };
	key_serial_t key;

	agent_start(_metadata, &self->agent, NULL);
	key = self->agent.sh->key;
	agent_start(_metadata, &self->other, &opts);
	agent_stop(&self->agent);
	EXPECT_EQ(-ENOKEY, agent_call(_metadata, &self->other,
				      do_take_over_without_ring, &key,
				      sizeof(key)));
	expect_answer(_metadata, unique("user"), "upcall");
}

static long do_add_again(struct agent *a, const void *arg __maybe_unused)
{
	return agent_register(a->opts.type, a->opts.sig + 1);
}

/* The request in flight belongs to the registration that it was made with. */
TEST_F(update, during_request)
{
	struct agent_opts opts = { .plan.action = AGENT_HOLD };
	const char *desc = unique("held");
	struct agent_arg arg = { 0 };
	struct requester_result res;
	struct requester r;

	agent_start(_metadata, &self->agent, &opts);
	arg.key = request_held(_metadata, &self->agent, &r, desc);
	EXPECT_EQ(self->agent.sh->key,
		  agent_call(_metadata, &self->agent, do_add_again, NULL, 0));
	expect_shown(_metadata, self->agent.sh->key, self->agent.pid,
		     AGENT_SIGNAL + 1);
	EXPECT_EQ(0, agent_call(_metadata, &self->agent,
				agent_do_assume_and_settle, &arg, sizeof(arg)));
	res = requester_finish(&r);
	EXPECT_STREQ("agent", answer(&res));
	expect_settled(_metadata, &self->agent);
}

KEYAGENT_HARNESS_MAIN
