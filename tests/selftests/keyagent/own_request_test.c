// SPDX-License-Identifier: GPL-2.0
/*
 * Agents that request keys themselves: nobody waits for who waits for him, as far
 * as requests tell who that is.
 */

#include <pthread.h>

#include "module.h"
#include "observe.h"
#include "test_module.h"

FIXTURE(own) {
	struct agent a;
	struct agent b;
	struct agent c;
	struct outcomes before;
};

FIXTURE_SETUP(own)
{
	test_session(_metadata);
	outcomes_read(&self->before);
}

FIXTURE_TEARDOWN(own)
{
	agent_stop(&self->a);
	agent_stop(&self->b);
	agent_stop(&self->c);
	test_type_unload();
}

/* arg: a description. */
static long request_user(struct agent *a, const void *arg)
{
	(void)a;
	return neg_errno(sys_request_key("user", arg, "x",
					 KEY_SPEC_SESSION_KEYRING));
}

/* An agent cannot answer while it waits for its own request. */
TEST_F(own, own_request)
{
	const struct agent_opts opts = { .inherit_session = true };
	const char *desc = unique("own");
	long key;

	agent_start(_metadata, &self->a, &opts);
	key = agent_call(_metadata, &self->a, request_user, desc,
			 strlen(desc) + 1);
	ASSERT_LT(0, key);
	EXPECT_STREQ("upcall", payload_of(key));
	EXPECT_EQ(1, upcall_count(desc, NULL));
	EXPECT_EQ(0, agent_asked(&self->a));
}

static void *request_in_thread(void *arg)
{
	return (void *)(long)request_user(NULL, arg);
}

static long request_user_in_thread(struct agent *a, const void *arg)
{
	pthread_t thread;
	void *ret;

	(void)a;
	if (pthread_create(&thread, NULL, request_in_thread, (void *)arg))
		return -EAGAIN;
	pthread_join(thread, &ret);
	return (long)ret;
}

/* ... nor its process for another of its threads. */
TEST_F(own, request_of_another_thread)
{
	const struct agent_opts opts = { .inherit_session = true };
	const char *desc = unique("thread");
	long key;

	agent_start(_metadata, &self->a, &opts);
	key = agent_call(_metadata, &self->a, request_user_in_thread, desc,
			 strlen(desc) + 1);
	ASSERT_LT(0, key);
	EXPECT_STREQ("upcall", payload_of(key));
	EXPECT_EQ(0, agent_asked(&self->a));
}

/*
 * What the agents of a cycle do: each requests a key of the next one's type and
 * then answers. The names of the keys are those of the types, and the log tells
 * who went to the upcall.
 */
static char cycle_desc[3][128];

static long ask_next(const char *type, const char *desc, key_serial_t key)
{
	long ret = neg_errno(sys_request_key(type, desc, "x",
					     KEY_SPEC_SESSION_KEYRING));

	if (ret < 0)
		return ret;
	ret = agent_assume(key);
	return ret < 0 ? ret : neg_errno(keyctl_instantiate(key, "cycle", 5,
							    0));
}

static long ask_logon(struct agent *a, key_serial_t key)
{
	(void)a;
	return ask_next("logon", cycle_desc[1], key);
}

static long ask_user(struct agent *a, key_serial_t key)
{
	(void)a;
	return ask_next("user", cycle_desc[2], key);
}

static void start_in_cycle(struct __test_metadata *const _metadata,
			   struct agent *a, const char *type,
			   long (*custom)(struct agent *a, key_serial_t key))
{
	const struct agent_opts opts = {
		.type = type,
		.inherit_session = true,
		.plan.action = AGENT_CUSTOM,
		.plan.custom = custom,
	};

	agent_start(_metadata, a, &opts);
}

static void make_cycle_descs(void)
{
	int i;

	for (i = 0; i < 3; i++)
		snprintf(cycle_desc[i], sizeof(cycle_desc[i]), "cycle:%s",
			 unique("x"));
}

/* A's request to B, whose request to A must not wait for A. */
TEST_F(own, cycle_of_two)
{
	static const char * const names[] = { "cycle", "served", "served" };
	key_serial_t key;

	make_cycle_descs();
	start_in_cycle(_metadata, &self->a, "user", ask_logon);
	start_in_cycle(_metadata, &self->b, "logon", ask_user);
	key = sys_request_key("user", cycle_desc[0], "x", 0);
	ASSERT_LT(0, key) {
		TH_LOG("request_key: %s", strerror(errno));
	}
	agent_wait_done(_metadata, &self->a, 1);
	EXPECT_EQ(0, agent_record(&self->a, 0)->result);
	EXPECT_EQ(0, agent_record(&self->b, 0)->result);
	EXPECT_STREQ("cycle", payload_of(key));
	EXPECT_EQ(1, agent_asked(&self->a));
	EXPECT_EQ(1, agent_asked(&self->b));
	EXPECT_EQ(0, upcall_count(cycle_desc[0], NULL));
	EXPECT_EQ(0, upcall_count(cycle_desc[1], NULL));
	EXPECT_EQ(1, upcall_count(cycle_desc[2], NULL));
	expect_outcomes(_metadata, &self->before, names, ARRAY_SIZE(names));
	expect_settled(_metadata, &self->a);
	expect_settled(_metadata, &self->b);
}

/* "user" asks "logon" asks a third one asks "user". */
static long ask_third(struct agent *a, key_serial_t key)
{
	(void)a;
	return ask_next(TEST_TYPE, "cycle:third", key);
}

TEST_F(own, cycle_of_three)
{
	static const char * const names[] = {
		"cycle", "served", "served", "served",
	};
	key_serial_t key;

	test_type_load(_metadata);
	make_cycle_descs();
	start_in_cycle(_metadata, &self->a, "user", ask_logon);
	start_in_cycle(_metadata, &self->b, "logon", ask_third);
	start_in_cycle(_metadata, &self->c, TEST_TYPE, ask_user);
	key = sys_request_key("user", cycle_desc[0], "x", 0);
	ASSERT_LT(0, key) {
		TH_LOG("request_key: %s", strerror(errno));
	}
	agent_wait_done(_metadata, &self->a, 1);
	EXPECT_EQ(0, agent_record(&self->a, 0)->result);
	EXPECT_EQ(0, agent_record(&self->b, 0)->result);
	EXPECT_EQ(0, agent_record(&self->c, 0)->result);
	EXPECT_EQ(1, agent_asked(&self->a));
	EXPECT_EQ(1, agent_asked(&self->b));
	EXPECT_EQ(1, agent_asked(&self->c));
	EXPECT_EQ(1, upcall_count(cycle_desc[2], NULL));
	expect_outcomes(_metadata, &self->before, names, ARRAY_SIZE(names));
}

/* A chain is no cycle: the last agent is asked. */
TEST_F(own, chain)
{
	struct agent_opts opts = { .type = "logon", .inherit_session = true };
	key_serial_t key;

	make_cycle_descs();
	start_in_cycle(_metadata, &self->a, "user", ask_logon);
	agent_start(_metadata, &self->b, &opts);
	key = sys_request_key("user", cycle_desc[0], "x", 0);
	ASSERT_LT(0, key);
	EXPECT_EQ(1, agent_asked(&self->b));
	EXPECT_EQ(0, upcall_count(cycle_desc[1], NULL));
	EXPECT_EQ(0, agent_record(&self->b, 0)->result);
}

/*
 * Who requests a key that is under construction makes no request of his own: he
 * waits for the one that there is, and nobody sees that he does. If that one waits
 * for him, the deadline ends it.
 */
static void expect_deadline(struct __test_metadata *const _metadata,
			    struct requester *r, unsigned int timeout)
{
	struct requester_result res = requester_finish(r);

	EXPECT_EQ(-1, res.key);
	EXPECT_EQ(ETIMEDOUT, res.error);
	EXPECT_LE(timeout - 1, res.ms);
	EXPECT_GE(timeout + 100 * slow(), res.ms);
}

/* The key that the agent is asked for, by its description. */
static long request_again(struct agent *a __maybe_unused,
			  key_serial_t key __maybe_unused)
{
	return request_user(NULL, cycle_desc[0]);
}

TEST_F(own, request_of_the_key_asked_for)
{
	struct requester_opts o = { .desc = cycle_desc[0] };
	struct requester r;
	unsigned int timeout;

	timeout = module_reload_short(_metadata);
	make_cycle_descs();
	start_in_cycle(_metadata, &self->a, "user", request_again);
	requester_start(_metadata, &r, &o);
	expect_deadline(_metadata, &r, timeout);
	agent_wait_done(_metadata, &self->a, 1);
	EXPECT_EQ(-ETIMEDOUT, agent_record(&self->a, 0)->result);
	EXPECT_EQ(0, upcall_count(cycle_desc[0], NULL));
	expect_settled(_metadata, &self->a);
	agent_stop(&self->a);
	EXPECT_EQ(0, module_reload(""));
}

/* Two agents that request what the other one was asked for. */
static long request_logon(struct agent *a __maybe_unused, const void *arg)
{
	return neg_errno(sys_request_key("logon", arg, "x",
					 KEY_SPEC_SESSION_KEYRING));
}

TEST_F(own, cycle_of_second_waiters)
{
	const struct agent_opts a = {
		.inherit_session = true,
		.plan.action = AGENT_HOLD,
	};
	const struct agent_opts b = {
		.type = "logon",
		.inherit_session = true,
		.plan.action = AGENT_HOLD,
	};
	struct requester_opts user = { .desc = cycle_desc[0] };
	struct requester_opts logon = {
		.type = "logon",
		.desc = cycle_desc[1],
	};
	struct requester r[2];
	unsigned int timeout;

	timeout = module_reload_short(_metadata);
	make_cycle_descs();
	agent_start(_metadata, &self->a, &a);
	agent_start(_metadata, &self->b, &b);
	requester_start(_metadata, &r[0], &user);
	requester_start(_metadata, &r[1], &logon);
	agent_wait_asked(_metadata, &self->a, 1);
	agent_wait_asked(_metadata, &self->b, 1);
	agent_post(_metadata, &self->a, request_logon, cycle_desc[1],
		   sizeof(cycle_desc[1]));
	agent_post(_metadata, &self->b, request_user, cycle_desc[0],
		   sizeof(cycle_desc[0]));
	EXPECT_TRUE(wait_until(in_request_key(self->a.pid)));
	EXPECT_TRUE(wait_until(in_request_key(self->b.pid)));
	expect_deadline(_metadata, &r[0], timeout);
	expect_deadline(_metadata, &r[1], timeout);
	EXPECT_EQ(1, agent_asked(&self->a));
	EXPECT_EQ(1, agent_asked(&self->b));
	expect_settled(_metadata, &self->a);
	expect_settled(_metadata, &self->b);
	agent_stop(&self->a);
	agent_stop(&self->b);
	EXPECT_EQ(0, module_reload(""));
}

KEYAGENT_HARNESS_MAIN
