// SPDX-License-Identifier: GPL-2.0
/*
 * Threads of an agent that use an authority in every way they can while it is
 * taken from them: what they get is an answer or an error, and the kernel no
 * report. Most of the worth of this is on a kernel with KASAN.
 *
 * KEYAGENT_HAMMER_REQUESTS says how many requests each variant makes, 20 by
 * default.
 */

#define _GNU_SOURCE
#include "module.h"

#define THREADS		8
#define DEFAULT_REQUESTS	20

enum ending {
	ANSWERED,
	REJECTED,
	DECLINED,
	INVALIDATED,
	TIMED_OUT,
	KILLED,
};

/* What the test and the agent with its threads share. */
struct shared {
	uint32_t request;	/* serial of the key, 0 between two */
	/* Its serial, and in the lower half how often a thread got the authority. */
	uint64_t current;
	uint32_t uses;		/* how often one got that for all requests */
};

static struct shared *shared;

FIXTURE(hammer)
{
	struct agent agent;
	unsigned int requests;
};

FIXTURE_VARIANT(hammer)
{
	enum ending ending;
	const char *answer;	/* NULL: the error */
	int error;
};

FIXTURE_VARIANT_ADD(hammer, answered)
{
	.ending = ANSWERED,
	.answer = "agent",
};

FIXTURE_VARIANT_ADD(hammer, rejected)
{
	.ending = REJECTED,
	.error = EKEYREJECTED,
};

FIXTURE_VARIANT_ADD(hammer, declined)
{
	.ending = DECLINED,
	.answer = "upcall",
};

FIXTURE_VARIANT_ADD(hammer, invalidated)
{
	.ending = INVALIDATED,
	.error = ENOKEY,
};

FIXTURE_VARIANT_ADD(hammer, timed_out)
{
	.ending = TIMED_OUT,
	.error = ETIMEDOUT,
};

FIXTURE_VARIANT_ADD(hammer, killed)
{
	.ending = KILLED,
	.error = REQUESTER_DIED,
};

FIXTURE_SETUP(hammer)
{
	const char *s = getenv("KEYAGENT_HAMMER_REQUESTS");
	int n = s ? atoi(s) : 0;

	self->requests = n > 0 ? n : DEFAULT_REQUESTS;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)shared);
	if (variant->ending == TIMED_OUT) {
		module_required(_metadata);
		ASSERT_EQ(0, module_reload("timeout_ms=300"));
	}
	test_session(_metadata);
}

FIXTURE_TEARDOWN(hammer)
{
	agent_stop(&self->agent);
	if (variant->ending == TIMED_OUT)
		EXPECT_EQ(0, module_reload(""));
}

/* ------------------------------------------------------------ in the agent */

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

/* How often a thread has got the authority for the request that there is now. */
static uint32_t current_uses(void)
{
	return __atomic_load_n(&shared->current, __ATOMIC_SEQ_CST);
}

/* A thread has got the authority: for another request, if it was slow to say so. */
static void count_use(key_serial_t key)
{
	uint64_t old = __atomic_load_n(&shared->current, __ATOMIC_SEQ_CST);

	__atomic_fetch_add(&shared->uses, 1, __ATOMIC_SEQ_CST);
	while (old >> 32 == (uint32_t)key &&
	       !__atomic_compare_exchange_n(&shared->current, &old, old + 1,
					    false, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST))
		;
}

static void *hammer(void *arg __maybe_unused)
{
	for (;;) {
		key_serial_t key = count_get(&shared->request);

		if (!key) {
			count_wait(&shared->request, 1);
			continue;
		}
		if (keyctl_assume_authority(key) < 0) {
			sched_yield();
			continue;
		}
		count_use(key);
		do {
			use_authority(key);
		} while (count_get(&shared->request) == (uint32_t)key);
		keyctl_assume_authority(0);
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

/* Somebody else ends the request: there is no authority to be had any more. */
static long wait_for_end(key_serial_t key)
{
	bool ended = wait_until(agent_assume(key) < 0);

	return ended ? agent_assume(0) : -ETIME;
}

static long end_request(enum ending ending, key_serial_t key)
{
	long ret;

	if (ending == DECLINED)
		return agent_decline(key);
	if (ending == TIMED_OUT || ending == KILLED)
		return wait_for_end(key);
	ret = agent_assume(key);
	if (ret < 0)
		return ret;
	if (ending == ANSWERED)
		return neg_errno(keyctl_instantiate(key, "agent", 5, 0));
	if (ending == REJECTED)
		return neg_errno(keyctl_reject(key, 1, EKEYREJECTED, 0));
	ret = neg_errno(keyctl_invalidate(KEY_SPEC_REQKEY_AUTH_KEY));
	return ret < 0 ? ret : agent_assume(0);
}

/* Ends a request, whose authority some thread should have by then. */
static long hammer_request(struct agent *a, key_serial_t key)
{
	long ret;

	__atomic_store_n(&shared->current, (uint64_t)key << 32, __ATOMIC_SEQ_CST);
	__atomic_store_n(&shared->request, key, __ATOMIC_SEQ_CST);
	syscall(__NR_futex, &shared->request, FUTEX_WAKE, INT_MAX, NULL, NULL,
		0);
	if (a->sh->plan.timeout != TIMED_OUT &&
	    !wait_until(current_uses() > 0))
		return -ETIME;
	ret = end_request(a->sh->plan.timeout, key);
	/* A request that is given back is over when the last has dropped it. */
	__atomic_store_n(&shared->request, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&shared->current, 0, __ATOMIC_SEQ_CST);
	return ret;
}

/* ------------------------------------------------------------ in the test */

TEST_F_TIMEOUT(hammer, requests, 120)
{
	struct agent_opts opts = {
		.plan = {
			.action = AGENT_CUSTOM,
			.custom = hammer_request,
			.timeout = variant->ending,
		},
	};
	struct requester_opts o = { 0 };
	struct requester_result res;
	struct requester r;
	unsigned int i;

	agent_start(_metadata, &self->agent, &opts);
	ASSERT_EQ(0, agent_call(_metadata, &self->agent, do_start_hammers, NULL,
				0));
	for (i = 0; i < self->requests; i++) {
		o.desc = unique("hammer");
		requester_start(_metadata, &r, &o);
		if (variant->ending == KILLED) {
			EXPECT_TRUE(wait_until(current_uses() > 0));
			ASSERT_EQ(0, kill(r.pid, SIGKILL));
		}
		res = requester_finish(&r);
		EXPECT_EQ(variant->error, res.error);
		if (variant->answer)
			EXPECT_STREQ(variant->answer, answer(&res));
		agent_wait_done(_metadata, &self->agent, i + 1);
		EXPECT_EQ(0, agent_record(&self->agent, i)->result);
	}
	TH_LOG("%u requests, authority assumed %u times", self->requests,
	       count_get(&shared->uses));
	EXPECT_LT(self->requests / 2, count_get(&shared->uses));
	expect_settled(_metadata, &self->agent);
}

KEYAGENT_HARNESS_MAIN
