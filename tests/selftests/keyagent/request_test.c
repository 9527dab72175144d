// SPDX-License-Identifier: GPL-2.0
/*
 * One request, one agent: what the requester gets for what the agent does.
 */

#include <pthread.h>

#include "common.h"

FIXTURE(request) {
	struct agent a;
};

FIXTURE_SETUP(request)
{
	test_session(_metadata);
	agent_start(_metadata, &self->a, NULL);
}

FIXTURE_TEARDOWN(request)
{
	agent_stop(&self->a);
}

/* ---------------------------------------------------------------- answered */

TEST_F(request, answered)
{
	const char *desc = unique("answered");
	const struct agent_record *r = agent_record(&self->a, 0);
	key_serial_t key = sys_request_key("user", desc, "x", 0);

	ASSERT_LT(0, key);
	agent_wait_done(_metadata, &self->a, 1);
	EXPECT_STREQ("agent", payload_of(key));
	EXPECT_EQ(key, r->key);
	EXPECT_LT(0, r->assumed);
	EXPECT_EQ(0, r->result);
	EXPECT_EQ(1, agent_asked(&self->a));
	EXPECT_EQ(0, upcall_count(desc, NULL));
	expect_settled(_metadata, &self->a);

	/* A second request finds the key and asks nobody. */
	EXPECT_EQ(key, sys_request_key("user", desc, "x", 0));
	EXPECT_EQ(1, agent_asked(&self->a));
}

TEST_F(request, many_one_after_another)
{
	key_serial_t key;
	int i;

	for (i = 0; i < 20; i++) {
		key = sys_request_key("user", unique("many"), "x", 0);
		ASSERT_LT(0, key);
		ASSERT_STREQ("agent", payload_of(key));
		ASSERT_EQ(i + 1, agent_asked(&self->a));
		agent_wait_done(_metadata, &self->a, i + 1);
		ASSERT_EQ(0, agent_record(&self->a, i)->result);
	}
	expect_settled(_metadata, &self->a);
}

/* Without callout info a request is only a search. */
TEST_F(request, no_callout_info)
{
	const char *desc = unique("no_callout_info");

	EXPECT_EQ(-1, sys_request_key("user", desc, NULL, 0));
	EXPECT_EQ(ENOKEY, errno);
	EXPECT_EQ(0, agent_asked(&self->a));
	EXPECT_EQ(0, upcall_count(desc, NULL));
}

TEST_F(request, type_not_registered)
{
	EXPECT_EQ(-1, sys_request_key("no.such-type", "x", "x", 0));
	EXPECT_EQ(ENOKEY, errno);
	EXPECT_EQ(0, agent_asked(&self->a));
}

/* The authority is good for that one key, and only while it is built. */
static long custom_twice(struct agent *a, key_serial_t key)
{
	(void)a;
	if (agent_assume(key) <= 0 ||
	    keyctl_instantiate(key + 1, "other", 5, 0) != -1 ||
	    keyctl_instantiate(key, "first", 5, 0))
		return -EIO;
	if (keyctl_instantiate(key, "second", 6, 0) != -1 || errno != EPERM)
		return -EEXIST;
	if (keyctl_reject(key, 1, EACCES, 0) != -1 || errno != EPERM)
		return -EEXIST;
	return 0;
}

TEST_F(request, answered_twice)
{
	key_serial_t key;

	self->a.sh->plan.action = AGENT_CUSTOM;
	self->a.sh->plan.custom = custom_twice;
	key = sys_request_key("user", unique("twice"), "x", 0);
	ASSERT_LT(0, key);
	agent_wait_done(_metadata, &self->a, 1);
	EXPECT_EQ(0, agent_record(&self->a, 0)->result);
	EXPECT_STREQ("first", payload_of(key));
	/* The authority is gone from the agent's keyring. */
	EXPECT_EQ(-ENOKEY, agent_call(_metadata, &self->a, agent_do_assume,
				      &(struct agent_arg){ .key = key },
				      sizeof(struct agent_arg)));
	expect_settled(_metadata, &self->a);
}

/* A payload that the key's type refuses leaves the authority to try again. */
static long custom_bad_payload(struct agent *a, key_serial_t key)
{
	static char big[32768];

	(void)a;
	if (agent_assume(key) <= 0)
		return -EIO;
	if (keyctl_instantiate(key, "", 0, 0) != -1 || errno != EINVAL)
		return -EILSEQ;
	if (keyctl_instantiate(key, big, sizeof(big), 0) != -1 ||
	    errno != EINVAL)
		return -E2BIG;
	return neg_errno(keyctl_instantiate(key, "good", 4, 0));
}

TEST_F(request, bad_payload_then_good)
{
	key_serial_t key;

	self->a.sh->plan.action = AGENT_CUSTOM;
	self->a.sh->plan.custom = custom_bad_payload;
	key = sys_request_key("user", unique("bad_payload"), "x", 0);
	ASSERT_LT(0, key);
	agent_wait_done(_metadata, &self->a, 1);
	EXPECT_EQ(0, agent_record(&self->a, 0)->result);
	EXPECT_STREQ("good", payload_of(key));
	expect_settled(_metadata, &self->a);
}

/* The requester waits until the agent has answered, and no longer. */
TEST_F(request, held_then_answered)
{
	const struct requester_opts opts = { .desc = unique("held") };
	struct agent_arg arg = { .plan.payload = "late" };
	struct requester_result res;
	struct requester r;
	struct pollfd fd;

	self->a.sh->plan.action = AGENT_HOLD;
	requester_start(_metadata, &r, &opts);
	agent_wait_asked(_metadata, &self->a, 1);
	arg.key = agent_record(&self->a, 0)->key;
	/* Its own key and the authority. */
	EXPECT_EQ(2, agent_call(_metadata, &self->a, agent_do_count_links,
				NULL, 0));
	EXPECT_LT(0, agent_call(_metadata, &self->a, agent_do_assume, &arg,
				sizeof(arg)));
	fd = (struct pollfd){ .fd = r.fd, .events = POLLIN };
	EXPECT_EQ(0, poll(&fd, 1, 200));
	EXPECT_EQ(0, agent_call(_metadata, &self->a, agent_do_settle, &arg,
				sizeof(arg)));
	res = requester_finish(&r);
	EXPECT_EQ(arg.key, res.key);
	EXPECT_STREQ("late", payload_of(res.key));
	expect_settled(_metadata, &self->a);
}

/* Any thread of the agent may take the authority: the keyring is the process'. */
static void *answer_thread(void *arg)
{
	key_serial_t key = *(key_serial_t *)arg;
	long ret = agent_assume(key);

	if (ret > 0)
		ret = neg_errno(keyctl_instantiate(key, "thread", 6, 0));
	return (void *)ret;
}

static long custom_thread(struct agent *a, key_serial_t key)
{
	pthread_t thread;
	void *ret;

	(void)a;
	if (pthread_create(&thread, NULL, answer_thread, &key))
		return -EAGAIN;
	pthread_join(thread, &ret);
	return (long)ret;
}

TEST_F(request, answered_by_another_thread)
{
	key_serial_t key;

	self->a.sh->plan.action = AGENT_CUSTOM;
	self->a.sh->plan.custom = custom_thread;
	key = sys_request_key("user", unique("thread"), "x", 0);
	ASSERT_LT(0, key);
	agent_wait_done(_metadata, &self->a, 1);
	EXPECT_EQ(0, agent_record(&self->a, 0)->result);
	EXPECT_STREQ("thread", payload_of(key));
	expect_settled(_metadata, &self->a);
}

/* ----------------------------------------------------- what the agent learns */

FIXTURE(callout) {
	struct agent a;
};

FIXTURE_VARIANT(callout) {
	int len;
};

FIXTURE_VARIANT_ADD(callout, empty) { .len = 0 };
FIXTURE_VARIANT_ADD(callout, one) { .len = 1 };
FIXTURE_VARIANT_ADD(callout, some) { .len = 255 };
FIXTURE_VARIANT_ADD(callout, longest) { .len = 4095 };

FIXTURE_SETUP(callout)
{
	const struct agent_opts opts = { .plan.callout = true };

	test_session(_metadata);
	agent_start(_metadata, &self->a, &opts);
}

FIXTURE_TEARDOWN(callout)
{
	agent_stop(&self->a);
}

TEST_F(callout, arrives_unchanged)
{
	const struct agent_record *r = agent_record(&self->a, 0);
	char info[4096] = "";
	int i;

	/* Every byte value that a string can have. */
	for (i = 0; i < variant->len; i++)
		info[i] = 1 + (i * 7) % 255;
	info[variant->len] = '\0';
	ASSERT_LT(0, sys_request_key("user", unique("callout"), info, 0));
	agent_wait_done(_metadata, &self->a, 1);
	EXPECT_EQ(variant->len, r->callout_len);
	EXPECT_EQ(0, memcmp(info, r->callout, variant->len));
}

TEST_F(request, callout_info_too_long)
{
	char info[4097];

	memset(info, 'x', 4096);
	info[4096] = '\0';
	EXPECT_EQ(-1, sys_request_key("user", unique("too_long"), info, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(0, agent_asked(&self->a));
}

/* The record's room for callout info takes what keyctl describe says. */
static long custom_describe(struct agent *a, key_serial_t key)
{
	struct agent_record *r =
		&a->sh->record[(a->sh->asked - 1) % AGENT_RECORDS];

	r->assumed = agent_assume(key);
	if (r->assumed < 0)
		return r->assumed;
	r->callout_len = neg_errno(keyctl_describe(key, r->callout,
						   sizeof(r->callout) / 2));
	keyctl_describe(KEY_SPEC_REQKEY_AUTH_KEY,
			r->callout + sizeof(r->callout) / 2,
			sizeof(r->callout) / 2);
	return neg_errno(keyctl_instantiate(key, "described", 9, 0));
}

static long as_1000(const struct requester_opts *o)
{
	(void)o;
	if (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000))
		return -errno;
	return prctl(PR_SET_DUMPABLE, 1);
}

/* The agent is root and the requester is not: it sees whose key it builds. */
TEST_F(request, agent_sees_key_and_owner)
{
	const struct requester_opts opts = {
		.desc = unique("describe"),
		.prepare = as_1000,
	};
	const struct agent_record *r = agent_record(&self->a, 0);
	struct requester_result res;
	char want[256];

	self->a.sh->plan.action = AGENT_CUSTOM;
	self->a.sh->plan.custom = custom_describe;
	res = request_in_child(_metadata, &opts);
	ASSERT_LT(0, res.key);
	agent_wait_done(_metadata, &self->a, 1);
	EXPECT_EQ(0, r->result);
	snprintf(want, sizeof(want), "user;1000;1000;%08x;%s",
		 KEY_POS_VIEW | KEY_POS_READ | KEY_POS_WRITE | KEY_POS_SEARCH |
		 KEY_POS_LINK | KEY_POS_SETATTR | KEY_USR_VIEW,
		 opts.desc);
	EXPECT_STREQ(want, r->callout);
	snprintf(want, sizeof(want), ".request_key_auth;1000;1000;%08x;%x",
		 KEY_POS_VIEW | KEY_POS_READ | KEY_POS_SEARCH | KEY_POS_LINK |
		 KEY_USR_VIEW, res.key);
	EXPECT_STREQ(want, r->callout + sizeof(r->callout) / 2);
	expect_settled(_metadata, &self->a);
}

/* ------------------------------------------------------ where the key goes */

TEST_F(request, into_the_session_keyring_by_default)
{
	key_serial_t key = sys_request_key("user", unique("dest"), "x", 0);

	ASSERT_LT(0, key);
	EXPECT_TRUE(ring_has(KEY_SPEC_SESSION_KEYRING, key));
	EXPECT_EQ(2, links_in(KEY_SPEC_SESSION_KEYRING));
}

TEST_F(request, into_the_keyring_asked_for)
{
	key_serial_t ring, key;

	ring = sys_add_key("keyring", unique("ring"), NULL, 0,
			   KEY_SPEC_SESSION_KEYRING);
	ASSERT_LT(0, ring);
	key = sys_request_key("user", unique("dest"), "x", ring);
	ASSERT_LT(0, key);
	EXPECT_STREQ("agent", payload_of(key));
	EXPECT_TRUE(ring_has(ring, key));
	EXPECT_FALSE(ring_has(KEY_SPEC_SESSION_KEYRING, key));

	key = sys_request_key("user", unique("dest"), "x",
			      KEY_SPEC_THREAD_KEYRING);
	ASSERT_LT(0, key);
	EXPECT_TRUE(ring_has(KEY_SPEC_THREAD_KEYRING, key));
	EXPECT_FALSE(ring_has(KEY_SPEC_SESSION_KEYRING, key));
	EXPECT_EQ(2, agent_asked(&self->a));
	/* None of them in the agent's. */
	expect_settled(_metadata, &self->a);
}

/* The agent asks for a link into the requester's keyring, as request-key may. */
static long custom_link(struct agent *a, key_serial_t key)
{
	long ret = agent_assume(key);

	(void)a;
	return ret < 0 ? ret :
		neg_errno(keyctl_instantiate(key, "linked", 6,
					     KEY_SPEC_REQUESTOR_KEYRING));
}

TEST_F(request, requestor_keyring)
{
	key_serial_t ring, key;

	self->a.sh->plan.action = AGENT_CUSTOM;
	self->a.sh->plan.custom = custom_link;
	ring = sys_add_key("keyring", unique("ring"), NULL, 0,
			   KEY_SPEC_SESSION_KEYRING);
	ASSERT_LT(0, ring);
	key = sys_request_key("user", unique("dest"), "x", ring);
	ASSERT_LT(0, key);
	EXPECT_TRUE(ring_has(ring, key));
	EXPECT_EQ(1, links_in(ring));
	agent_wait_done(_metadata, &self->a, 1);
	EXPECT_EQ(0, agent_record(&self->a, 0)->result);
	expect_settled(_metadata, &self->a);
}

KEYAGENT_HARNESS_MAIN
