// SPDX-License-Identifier: GPL-2.0
/*
 * A user whose requests are killed, one after another and more of them than the key
 * quota has room for: what they leave behind goes at once, so that the user has keys.
 */

#define _GNU_SOURCE
#include "lifetime.h"
#include "userns.h"

#define USER		4713
#define REQUESTS	300	/* the quota is 200 */

FIXTURE(quota)
{
	struct agent agent;
};

FIXTURE_VARIANT(quota)
{
	key_serial_t dest;
	bool same;		/* all for one key */
};

/* The keyring goes with its requester. */
FIXTURE_VARIANT_ADD(quota, thread)
{
	.dest = KEY_SPEC_THREAD_KEYRING,
};

/* The next negative key takes the place of the last one. */
FIXTURE_VARIANT_ADD(quota, session)
{
	.dest = KEY_SPEC_SESSION_KEYRING,
	.same = true,
};

/* Negative keys that are over stay for gc_delay, five minutes, unless unlinked. */
FIXTURE_VARIANT_ADD(quota, session_many)
{
	.dest = KEY_SPEC_SESSION_KEYRING,
};

FIXTURE_SETUP(quota)
{
	const struct agent_opts opts = { .plan.action = AGENT_HOLD };

	if (geteuid())
		SKIP(_exit(KSFT_SKIP), "not root");
	test_session(_metadata);
	agent_start(_metadata, &self->agent, &opts);
}

FIXTURE_TEARDOWN(quota)
{
	agent_stop(&self->agent);
}

/* How many keys count for the user. */
static int keys_in_quota(void)
{
	FILE *f = fopen("/proc/key-users", "re");
	char line[256];
	int uid, n, found = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%d: %*d %*d/%*d %d/", &uid, &n) == 2 &&
		    uid == USER)
			found = n;
	if (f)
		fclose(f);
	return found;
}

static long become_user(const struct requester_opts *o __maybe_unused)
{
	return become(USER, USER, USER);
}

/* Makes a request and kills it; false when the quota had no room for it. */
static bool request_and_kill(struct __test_metadata *const _metadata,
			     struct agent *a, const struct requester_opts *o)
{
	const int asked = agent_asked(a);
	struct requester_result res;
	struct pollfd fd = { .events = POLLIN };
	struct requester r;

	requester_start(_metadata, &r, o);
	fd.fd = r.fd;
	ASSERT_TRUE(wait_until(agent_asked(a) > asked || poll(&fd, 1, 0)));
	kill(r.pid, SIGKILL);
	res = requester_finish(&r);
	if (res.error == EDQUOT)
		return false;
	EXPECT_EQ(REQUESTER_DIED, res.error) {
		TH_LOG("%s", strerror(res.error));
	}
	return true;
}

TEST_F_TIMEOUT(quota, killed_requests, 60)
{
	struct requester_opts o = {
		.desc = unique("one"),
		.dest = variant->dest,
		.prepare = become_user,
	};
	int before = keys_in_quota(), i, most = 0, refused = 0;
	bool done;

	for (i = 0; i < REQUESTS; i++) {
		if (!variant->same)
			o.desc = unique("many");
		ASSERT_TRUE(wait_until((done = request_and_kill(_metadata,
								&self->agent,
								&o)) ||
				       (refused++, false))) {
			TH_LOG("request %d: %s", i, strerror(EDQUOT));
		}
		if (keys_in_quota() > most)
			most = keys_in_quota();
	}
	TH_LOG("%d keys at most, refused %d times", most, refused);
	/* The last one in the session stays until it is collected. */
	EXPECT_TRUE(wait_until(keys_in_quota() <= before + variant->same)) {
		TH_LOG("%d keys before, %d after", before, keys_in_quota());
	}
	self->agent.sh->plan.action = AGENT_ANSWER;
	EXPECT_LT(0, request_in_child(_metadata, &o).key);
	expect_settled(_metadata, &self->agent);
}

/*
 * Another key of the same type and description took the place of the one that is under
 * construction. It stays where it is when the request is given up.
 */
TEST_F(quota, key_in_its_place)
{
	struct requester_opts o = {
		.desc = unique("place"),
		.dest = KEY_SPEC_SESSION_KEYRING,
	};
	struct requester r;
	key_serial_t key;

	requester_start(_metadata, &r, &o);
	agent_wait_asked(_metadata, &self->agent, 1);
	key = sys_add_key("user", o.desc, "mine", 4, KEY_SPEC_PROCESS_KEYRING);
	ASSERT_LT(0, key);
	ASSERT_EQ(0, keyctl_link(key, KEY_SPEC_SESSION_KEYRING));
	ASSERT_TRUE(ring_has(KEY_SPEC_SESSION_KEYRING, key));
	ASSERT_EQ(0, kill(r.pid, SIGKILL));
	EXPECT_EQ(REQUESTER_DIED, requester_finish(&r).error);
	expect_settled(_metadata, &self->agent);
	EXPECT_TRUE(ring_has(KEY_SPEC_SESSION_KEYRING, key));
}

KEYAGENT_HARNESS_MAIN
