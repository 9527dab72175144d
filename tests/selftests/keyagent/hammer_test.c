// SPDX-License-Identifier: GPL-2.0
/*
 * Threads of an agent that use an authority in every way they can while it is
 * taken from them: what they get is an answer or an error, and the kernel no
 * report. Most of the worth of this is on a kernel with KASAN.
 */

#include "lifetime.h"

#define THREADS		8
#define REQUESTS	50

FIXTURE(hammer)
{
	struct agent agent;
};

FIXTURE_VARIANT(hammer)
{
	enum agent_action action;
};

FIXTURE_VARIANT_ADD(hammer, answered) { .action = AGENT_ANSWER };
FIXTURE_VARIANT_ADD(hammer, rejected) { .action = AGENT_REJECT };
FIXTURE_VARIANT_ADD(hammer, declined) { .action = AGENT_HOLD };
FIXTURE_SETUP(hammer)
{
	test_session(_metadata);
}

FIXTURE_TEARDOWN(hammer)
{
	agent_stop(&self->agent);
}

/* In the agent. */
static uint32_t current_request;	/* serial of the key, 0 between two */
static uint32_t users;			/* threads that have an authority */

static void use_authority(key_serial_t key)
{
	char buf[256];

	sys_keyctl(KEYCTL_DESCRIBE, KEY_SPEC_REQKEY_AUTH_KEY,
		   (unsigned long)buf, sizeof(buf), 0);
	keyctl_read(KEY_SPEC_REQKEY_AUTH_KEY, buf, sizeof(buf));
	sys_keyctl(KEYCTL_DESCRIBE, key, (unsigned long)buf, sizeof(buf), 0);
	keyctl_read(KEY_SPEC_REQUESTOR_KEYRING, buf, sizeof(buf));
	keyctl_search(KEY_SPEC_REQUESTOR_KEYRING, "user", "nothing", 0);
	sys_request_key("user", "nothing", NULL, 0);
	sys_keyctl(KEYCTL_SET_TIMEOUT, key, 100, 0, 0);
}

static void *hammer(void *arg __maybe_unused)
{
	for (;;) {
		key_serial_t key = __atomic_load_n(&current_request,
						   __ATOMIC_SEQ_CST);

		if (!key) {
			count_wait(&current_request, 1);
			continue;
		}
		if (keyctl_assume_authority(key) < 0) {
			sched_yield();
			continue;
		}
		__atomic_fetch_add(&users, 1, __ATOMIC_SEQ_CST);
		do {
			use_authority(key);
		} while (__atomic_load_n(&current_request, __ATOMIC_SEQ_CST) ==
			 (uint32_t)key);
		keyctl_assume_authority(0);
		__atomic_fetch_sub(&users, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static long do_start_hammers(struct agent *a __maybe_unused,
			     const void *arg __maybe_unused)
{
	pthread_t thread;
	int i, ret = 0;

	for (i = 0; i < THREADS && !ret; i++)
		ret = pthread_create(&thread, NULL, hammer, NULL);
	return -ret;
}

/* Ends a request while the threads are at it. */
static long end_request(struct agent *a, key_serial_t key)
{
	const struct agent_plan plan = a->sh->plan;
	long ret;
	int i;

	__atomic_store_n(&current_request, key, __ATOMIC_SEQ_CST);
	syscall(__NR_futex, &current_request, FUTEX_WAKE, INT_MAX, NULL, NULL,
		0);
	for (i = 0; i < 100 && !__atomic_load_n(&users, __ATOMIC_SEQ_CST); i++)
		sched_yield();
	if (plan.error || plan.len) {
		ret = agent_assume(key);
		if (ret >= 0 && plan.error)
			ret = neg_errno(keyctl_reject(key, 1, plan.error, 0));
		else if (ret >= 0)
			ret = neg_errno(keyctl_instantiate(key, "agent", 5, 0));
	} else {
		/* Over when the last of them has dropped it. */
		ret = agent_decline(key);
	}
	__atomic_store_n(&current_request, 0, __ATOMIC_SEQ_CST);
	return ret;
}

TEST_F_TIMEOUT(hammer, requests, 120)
{
	struct agent_opts opts = {
		.plan = {
			.action = AGENT_CUSTOM,
			.custom = end_request,
			.error = variant->action == AGENT_REJECT ?
				 EKEYREJECTED : 0,
			.len = variant->action == AGENT_ANSWER ? 5 : 0,
		},
	};
	int i;

	agent_start(_metadata, &self->agent, &opts);
	ASSERT_EQ(0, agent_call(_metadata, &self->agent, do_start_hammers, NULL,
				0));
	for (i = 0; i < REQUESTS; i++) {
		struct requester_opts o = { .desc = unique("hammer") };
		struct requester_result res = request_in_child(_metadata, &o);

		if (variant->action == AGENT_REJECT) {
			EXPECT_EQ(EKEYREJECTED, res.error);
			continue;
		}
		EXPECT_STREQ(variant->action == AGENT_ANSWER ? "agent" :
							       "upcall",
			     answer(&res));
	}
	agent_wait_done(_metadata, &self->agent, REQUESTS);
	for (i = 0; i < REQUESTS; i++)
		EXPECT_EQ(0, agent_record(&self->agent, i)->result);
	expect_settled(_metadata, &self->agent);
}

KEYAGENT_HARNESS_MAIN
