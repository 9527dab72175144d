// SPDX-License-Identifier: GPL-2.0
/* Several requests at once: of one key, of many keys, with many agents. */

#include "observe.h"
#include "userns.h"

#define REQUESTERS	12

FIXTURE(concurrent) {
	struct agent a;
	struct agent b;
};

FIXTURE_SETUP(concurrent)
{
	test_session(_metadata);
	agent_start(_metadata, &self->a, NULL);
}

FIXTURE_TEARDOWN(concurrent)
{
	agent_stop(&self->a);
	agent_stop(&self->b);
}

/* The agent is asked once for a key that all want. */
TEST_F(concurrent, same_key)
{
	const struct requester_opts opts = { .desc = unique("same") };
	struct requester r[REQUESTERS];
	struct requester_result res;
	key_serial_t key;
	int i;

	for (i = 0; i < REQUESTERS; i++)
		requester_start(_metadata, &r[i], &opts);
	for (i = 0; i < REQUESTERS; i++) {
		res = requester_finish(&r[i]);
		if (!i)
			key = res.key;
		EXPECT_LT(0, res.key);
		EXPECT_EQ(key, res.key);
	}
	EXPECT_EQ(1, agent_asked(&self->a));
	EXPECT_EQ(0, upcall_count(opts.desc, NULL));
	EXPECT_STREQ("agent", payload_of(key));
	expect_settled(_metadata, &self->a);
}

/* Those who come while it is under construction wait for the same answer. */
TEST_F(concurrent, same_key_while_held)
{
	const struct requester_opts opts = { .desc = unique("held") };
	struct requester r[REQUESTERS];
	struct pollfd fds[REQUESTERS];
	struct requester_result res;
	struct agent_arg arg = { 0 };
	int i;

	self->a.sh->plan.action = AGENT_HOLD;
	requester_start(_metadata, &r[0], &opts);
	agent_wait_asked(_metadata, &self->a, 1);
	for (i = 1; i < REQUESTERS; i++)
		requester_start(_metadata, &r[i], &opts);
	for (i = 0; i < REQUESTERS; i++)
		fds[i] = (struct pollfd){ .fd = r[i].fd, .events = POLLIN };
	EXPECT_EQ(0, poll(fds, REQUESTERS, 300));
	arg.key = agent_record(&self->a, 0)->key;
	EXPECT_EQ(0, agent_call(_metadata, &self->a, agent_do_assume_and_settle,
				&arg, sizeof(arg)));
	for (i = 0; i < REQUESTERS; i++) {
		res = requester_finish(&r[i]);
		EXPECT_EQ(arg.key, res.key);
	}
	EXPECT_EQ(1, agent_asked(&self->a));
	expect_settled(_metadata, &self->a);
}

TEST_F(concurrent, same_key_rejected)
{
	const struct requester_opts opts = { .desc = unique("rejected") };
	struct agent_arg arg = {
		.plan = {
			.action = AGENT_REJECT,
			.error = ECONNREFUSED,
			.timeout = 600,
		},
	};
	struct requester r[REQUESTERS];
	struct requester_result res;
	int i;

	self->a.sh->plan.action = AGENT_HOLD;
	for (i = 0; i < REQUESTERS; i++)
		requester_start(_metadata, &r[i], &opts);
	agent_wait_asked(_metadata, &self->a, 1);
	arg.key = agent_record(&self->a, 0)->key;
	EXPECT_EQ(0, agent_call(_metadata, &self->a, agent_do_assume_and_settle,
				&arg, sizeof(arg)));
	for (i = 0; i < REQUESTERS; i++) {
		res = requester_finish(&r[i]);
		EXPECT_EQ(-1, res.key);
		EXPECT_EQ(ECONNREFUSED, res.error);
	}
	EXPECT_EQ(1, agent_asked(&self->a));
	EXPECT_EQ(0, upcall_count(opts.desc, NULL));
}

/* Each requester gets its own answer, in whatever order they are given. */
TEST_F(concurrent, different_keys)
{
	struct requester_opts opts = { 0 };
	struct requester r[REQUESTERS];
	key_serial_t key[REQUESTERS];
	struct requester_result res;
	struct agent_arg arg = { 0 };
	char desc[REQUESTERS][128], buf[512];
	int i, n;

	self->a.sh->plan.action = AGENT_HOLD;
	for (i = 0; i < REQUESTERS; i++) {
		snprintf(desc[i], sizeof(desc[i]), "%s", unique("different"));
		opts.desc = desc[i];
		requester_start(_metadata, &r[i], &opts);
	}
	agent_wait_asked(_metadata, &self->a, REQUESTERS);
	for (n = 0; n < REQUESTERS; n++)
		key[n] = agent_record(&self->a, n)->key;
	/* All at once, each with an authority of its own. */
	EXPECT_EQ(REQUESTERS + 1, agent_call(_metadata, &self->a,
					     agent_do_count_links, NULL, 0));
	for (n = REQUESTERS - 1; n >= 0; n--) {
		arg.key = key[n];
		snprintf(arg.plan.payload, sizeof(arg.plan.payload),
			 "for %d", key[n]);
		ASSERT_EQ(0, agent_call(_metadata, &self->a,
					agent_do_assume_and_settle, &arg,
					sizeof(arg)));
	}
	for (i = 0; i < REQUESTERS; i++) {
		res = requester_finish(&r[i]);
		ASSERT_LT(0, res.key);
		snprintf(buf, sizeof(buf), "for %d", res.key);
		EXPECT_STREQ(buf, payload_of(res.key));
		ASSERT_LT(0, keyctl_describe(res.key, buf, sizeof(buf)));
		EXPECT_STREQ(desc[i], strrchr(buf, ';') + 1);
	}
	EXPECT_EQ(REQUESTERS, agent_asked(&self->a));
	expect_settled(_metadata, &self->a);
}

/* One held request holds nobody else up. */
TEST_F(concurrent, held_key_does_not_block_others)
{
	const struct requester_opts opts = { .desc = unique("held") };
	struct agent_arg arg = { 0 };
	struct requester_result res;
	struct requester r;
	int i;

	self->a.sh->plan.action = AGENT_HOLD;
	requester_start(_metadata, &r, &opts);
	agent_wait_asked(_metadata, &self->a, 1);
	arg.key = agent_record(&self->a, 0)->key;
	self->a.sh->plan.action = AGENT_ANSWER;
	for (i = 0; i < 3; i++)
		EXPECT_LT(0, sys_request_key("user", unique("quick"), "x", 0));
	EXPECT_EQ(4, agent_asked(&self->a));
	EXPECT_EQ(0, agent_call(_metadata, &self->a, agent_do_assume_and_settle,
				&arg, sizeof(arg)));
	res = requester_finish(&r);
	EXPECT_EQ(arg.key, res.key);
	expect_settled(_metadata, &self->a);
}

/* Two agents at work at the same time. */
TEST_F(concurrent, two_agents)
{
	const struct agent_opts b_opts = { .type = "logon" };
	struct requester_opts opts = { 0 };
	struct requester r[REQUESTERS];
	int i;

	agent_start(_metadata, &self->b, &b_opts);
	for (i = 0; i < REQUESTERS; i++) {
		opts.type = i % 2 ? "logon" : "user";
		opts.desc = unique("logon:two");
		requester_start(_metadata, &r[i], &opts);
	}
	for (i = 0; i < REQUESTERS; i++)
		EXPECT_LT(0, requester_finish(&r[i]).key);
	EXPECT_EQ(REQUESTERS / 2, agent_asked(&self->a));
	EXPECT_EQ(REQUESTERS / 2, agent_asked(&self->b));
	expect_settled(_metadata, &self->a);
	expect_settled(_metadata, &self->b);
}

/* Many requests by the threads of one process. */
#define THREADS		4
#define ROUNDS		10

static void *request_rounds(void *arg)
{
	char desc[128];
	long ok = 0;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		snprintf(desc, sizeof(desc), "%s:%d", (char *)arg, i);
		ok += sys_request_key("user", desc, "x",
				      KEY_SPEC_SESSION_KEYRING) > 0;
	}
	return (void *)ok;
}

TEST_F(concurrent, threads)
{
	pthread_t thread[THREADS];
	void *ok;
	int i;

	for (i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, request_rounds,
					    (void *)unique("threads")));
	for (i = 0; i < THREADS; i++) {
		ASSERT_EQ(0, pthread_join(thread[i], &ok));
		EXPECT_EQ(ROUNDS, (long)ok);
	}
	EXPECT_EQ(THREADS * ROUNDS, agent_asked(&self->a));
	expect_settled(_metadata, &self->a);
}

/* ------------------------------------------------------- what bounds them all */

#define MAXKEYS		"/proc/sys/kernel/keys/maxkeys"
#define QUOTA		10
#define MANY		20
#define POOR_UID	1007

static long become_poor(const struct requester_opts *o __maybe_unused)
{
	return become(POOR_UID, POOR_UID, POOR_UID);
}

/* How many of them have ended. */
static int ended(const struct requester *r)
{
	struct pollfd fds[MANY];
	int i;

	for (i = 0; i < MANY; i++)
		fds[i] = (struct pollfd){ .fd = r[i].fd, .events = POLLIN };
	return poll(fds, MANY, 0);
}

/* A user has no more requests in flight than he may have keys. */
TEST_F(concurrent, bounded_by_quota)
{
	struct requester_opts opts = { .prepare = become_poor };
	struct requester_result res;
	struct requester r[MANY];
	int i, refused = 0;
	char old[32];

	if (!file_read(MAXKEYS, old, sizeof(old)) ||
	    write_word(MAXKEYS, 0, "10"))
		SKIP(return, "cannot write " MAXKEYS);
	self->a.sh->plan.action = AGENT_HOLD;
	for (i = 0; i < MANY; i++) {
		opts.desc = unique("quota");
		requester_start(_metadata, &r[i], &opts);
	}
	EXPECT_TRUE(wait_until(agent_asked(&self->a) + ended(r) == MANY)) {
		TH_LOG("%d asked, %d ended", agent_asked(&self->a), ended(r));
	}
	EXPECT_EQ(0, write_word(MAXKEYS, 0, old));
	EXPECT_LT(0, agent_asked(&self->a));
	EXPECT_GE(QUOTA, agent_asked(&self->a));
	agent_stop(&self->a);
	for (i = 0; i < MANY; i++) {
		res = requester_finish(&r[i]);
		if (res.key > 0)
			continue;
		EXPECT_EQ(EDQUOT, res.error);
		refused++;
	}
	EXPECT_LE(MANY - QUOTA, refused);
}

/*
 * Several threads of one agent, each registered for a type of its own; one of
 * them is asked for what it registered.
 */
struct agent_thread {
	const char *type;
	int ready[2];
	key_serial_t key;
	pid_t tid;
};

static void *second_thread(void *arg)
{
	struct agent_thread *t = arg;
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, AGENT_SIGNAL + 1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	t->key = agent_register("logon", AGENT_SIGNAL + 1);
	if (write(t->ready[1], "", 1) != 1)
		return NULL;
	while (sigwaitinfo(&set, &info) > 0) {
		if (agent_assume(info.si_int) > 0)
			keyctl_instantiate(info.si_int, "second", 6, 0);
	}
	return NULL;
}

static long start_second_thread(struct agent *a, const void *arg)
{
	static struct agent_thread t;
	pthread_t thread;
	char c;

	(void)a;
	(void)arg;
	if (pipe(t.ready) ||
	    pthread_create(&thread, NULL, second_thread, &t) ||
	    read(t.ready[0], &c, 1) != 1)
		return -EAGAIN;
	return t.key;
}

TEST_F(concurrent, two_threads_of_one_agent)
{
	const char *desc = unique("logon:threads");
	key_serial_t second;

	second = agent_call(_metadata, &self->a, start_second_thread, NULL, 0);
	ASSERT_LT(0, second);
	ASSERT_EQ(0, keyctl_link(second, KEY_SPEC_SESSION_KEYRING));
	EXPECT_LT(0, sys_request_key("logon", desc, "x", 0));
	EXPECT_EQ(0, upcall_count(desc, NULL));
	EXPECT_EQ(0, agent_asked(&self->a));
	EXPECT_LT(0, sys_request_key("user", unique("threads"), "x", 0));
	EXPECT_EQ(1, agent_asked(&self->a));
}

KEYAGENT_HARNESS_MAIN
