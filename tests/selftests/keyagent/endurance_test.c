// SPDX-License-Identifier: GPL-2.0
/*
 * Many requests one after another, of one agent: when they are over, there are
 * as many keys, links and objects of the kernel as before.
 *
 * KEYAGENT_REQUESTS says how many; 10,000 by default, 300 on a debug kernel. Of
 * those that end in other ways than by an answer there are fewer.
 */

#define _GNU_SOURCE
#include "module.h"
#include "quota.h"

#define DESCRIPTION	"endurance:"

/* Caches of which a request allocates something, or may hold something back. */
static const char * const caches[] = {
	"key_jar", "cred", "task_struct", "pid", "signal_cache",
	"sighand_cache", "sigqueue", "kmalloc-8", "kmalloc-16", "kmalloc-32",
	"kmalloc-64", "kmalloc-96", "kmalloc-128", "kmalloc-192",
	"kmalloc-256", "kmalloc-512", "kmalloc-1k", "kmalloc-2k",
};

/* What the kernel has of everything that a request could leave behind. */
struct census {
	int keys;			/* lines of /proc/keys */
	int authkeys;			/* of these, authorisation keys */
	int tasks;			/* of the whole machine */
	long slab_kb;			/* what cannot be reclaimed */
	bool caches;			/* the kernel counts them exactly */
	long objects[ARRAY_SIZE(caches)];
};

static void count_keys(struct census *c)
{
	FILE *f = fopen("/proc/keys", "re");
	char line[1024];

	while (f && fgets(line, sizeof(line), f)) {
		c->keys++;
		if (strstr(line, " .request_"))
			c->authkeys++;
	}
	if (f)
		fclose(f);
}

static void count_tasks(struct census *c)
{
	FILE *f = fopen("/proc/loadavg", "re");

	if (f && fscanf(f, "%*s %*s %*s %*d/%d", &c->tasks) != 1)
		c->tasks = 0;
	if (f)
		fclose(f);
}

/* Without slab debugging what a processor has at hand counts as used. */
static bool slab_is_debugged(void)
{
	FILE *f = fopen("/sys/kernel/slab/kmalloc-64/sanity_checks", "re");
	int on = 0;

	if (f && fscanf(f, "%d", &on) != 1)
		on = 0;
	if (f)
		fclose(f);
	return on;
}

/* KASAN keeps freed objects, which count as used, until their cache is shrunk. */
static void shrink_caches(void)
{
	char path[128];
	unsigned int i;
	FILE *f;

	for (i = 0; i < ARRAY_SIZE(caches); i++) {
		snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink",
			 caches[i]);
		f = fopen(path, "we");
		if (f) {
			fputs("1", f);
			fclose(f);
		}
	}
}

static void count_slab(struct census *c)
{
	FILE *f = fopen("/proc/meminfo", "re");
	char line[1024], name[64];
	unsigned int i;
	long n;

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "SUnreclaim: %ld", &c->slab_kb);
	if (f)
		fclose(f);
	if (!slab_is_debugged())
		return;
	shrink_caches();
	f = fopen("/proc/slabinfo", "re");
	c->caches = f;
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63s %ld", name, &n) != 2)
			continue;
		for (i = 0; i < ARRAY_SIZE(caches); i++)
			if (!strcmp(name, caches[i]))
				c->objects[i] = n;
	}
	if (f)
		fclose(f);
}

static struct census take_census(void)
{
	struct census c = { 0 };

	count_keys(&c);
	count_tasks(&c);
	count_slab(&c);
	return c;
}

/* Fewer requests than this are not made: of less a leak would not show. */
#define LEAST		100

/*
 * How many objects or tasks may be there beyond what was: a cache counts those
 * that a processor has at hand, and the kernel starts workers as it likes. Less
 * than half of the requests: a leak of every second one is no tolerance.
 */
static long tolerance(int requests)
{
	return requests / 4 + LEAST / 5;
}

/* The grace periods are over and the garbage has been collected. */
static bool settled(const struct census *before, int requests)
{
	struct census now = { 0 };
	unsigned int i;

	count_keys(&now);
	count_tasks(&now);
	if (now.keys > before->keys || now.authkeys ||
	    now.tasks - before->tasks > tolerance(requests))
		return false;
	count_slab(&now);
	for (i = 0; now.caches && i < ARRAY_SIZE(caches); i++)
		if (now.objects[i] - before->objects[i] > tolerance(requests))
			return false;
	return true;
}

static int requests_to_make(void)
{
	const char *s = getenv("KEYAGENT_REQUESTS");
	int n = s ? atoi(s) : 0;

	if (n > 0)
		return n < LEAST ? LEAST : n;
	if (kernel_is("debug"))
		return 300;
	if (slow() > 1 && kernel_is("debian"))
		return 1000;
	return 10000;
}

/* The number of requests that end in another way than by an answer. */
static int one_in(int n)
{
	int requests = requests_to_make() / n;

	return requests < LEAST ? LEAST : requests;
}

FIXTURE(endurance)
{
	struct agent agent;
};

FIXTURE_SETUP(endurance)
{
	test_session(_metadata);
	agent_start(_metadata, &self->agent, NULL);
}

FIXTURE_TEARDOWN(endurance)
{
	agent_stop(&self->agent);
}

/* One request after another, @n times; the first failure ends it. */
static void request_often(struct __test_metadata *const _metadata, int n,
			  int expected)
{
	static int number;
	key_serial_t key;
	char desc[64];
	int i;

	for (i = 0; i < n; i++) {
		snprintf(desc, sizeof(desc), DESCRIPTION "%d:%d", getpid(),
			 number++);
		key = sys_request_key("user", desc, "-",
				      KEY_SPEC_SESSION_KEYRING);
		if (expected) {
			ASSERT_EQ(-1, key);
			ASSERT_EQ(expected, errno);
			continue;
		}
		ASSERT_LT(0, key) {
			TH_LOG("request %d: %s", i, strerror(errno));
		}
		ASSERT_EQ(0, keyctl_unlink(key, KEY_SPEC_SESSION_KEYRING));
	}
	/* Negative keys cannot be found to be unlinked one by one. */
	if (expected)
		ASSERT_EQ(0, keyctl_clear(KEY_SPEC_SESSION_KEYRING));
}

/* After @n requests, once all is settled, there is what there was before. */
static void expect_census(struct __test_metadata *const _metadata,
			  const struct census *before, int n)
{
	struct census after;
	unsigned int i;

	EXPECT_TRUE(wait_until(settled(before, n)));
	after = take_census();
	EXPECT_GE(before->keys, after.keys);
	EXPECT_EQ(0, after.authkeys);
	EXPECT_GE(tolerance(n), after.tasks - before->tasks);
	for (i = 0; after.caches && i < ARRAY_SIZE(caches); i++) {
		long more = after.objects[i] - before->objects[i];

		EXPECT_GE(tolerance(n), more) {
			TH_LOG("%s: %ld objects more after %d requests",
			       caches[i], more, n);
		}
	}
	/* Where the kernel does not count objects, a leak of 128 bytes shows. */
	if (!after.caches)
		EXPECT_GE(n * 64l / 1024 + 512,
			  after.slab_kb - before->slab_kb);
	TH_LOG("%d requests; keys %d, then %d; tasks %d, then %d; slab %ld kB, then %ld kB%s",
	       n, before->keys, after.keys, before->tasks, after.tasks,
	       before->slab_kb, after.slab_kb,
	       after.caches ? "" : "; no slabinfo");
}

static void run(struct __test_metadata *const _metadata, struct agent *a,
		int n, int expected, bool asked)
{
	const int first = n < 1000 ? 20 : 200;
	struct census before;

	/* What the first requests allocate for good is no leak. */
	request_often(_metadata, first, expected);
	if (expected)
		ASSERT_EQ(0, keyctl_link(a->sh->key, KEY_SPEC_SESSION_KEYRING));
	ASSERT_TRUE(authkeys_gone());
	ASSERT_TRUE(wait_until(!proc_keys_line(0, DESCRIPTION, NULL, 0)));
	before = take_census();
	request_often(_metadata, n, expected);
	if (expected)
		ASSERT_EQ(0, keyctl_link(a->sh->key, KEY_SPEC_SESSION_KEYRING));
	if (asked)
		agent_wait_asked(_metadata, a, first + n);
	EXPECT_EQ(asked ? first + n : 0, agent_asked(a));
	EXPECT_TRUE(wait_until(!proc_keys_line(0, DESCRIPTION, NULL, 0)));
	expect_census(_metadata, &before, n);
	expect_settled(_metadata, a);
}

TEST_F_TIMEOUT(endurance, answered, 120)
{
	run(_metadata, &self->agent, requests_to_make(), 0, true);
}

/* Rejected requests go another way through the key service. */
TEST_F_TIMEOUT(endurance, rejected, 120)
{
	self->agent.sh->plan.action = AGENT_REJECT;
	self->agent.sh->plan.error = EKEYREJECTED;
	self->agent.sh->plan.timeout = 1;
	run(_metadata, &self->agent, one_in(10), EKEYREJECTED, true);
}

/* Requesters that are killed, each with a request of its own. */
TEST_F_TIMEOUT(endurance, killed, 120)
{
	struct census before = { 0 };
	struct requester r;
	int i;

	self->agent.sh->plan.action = AGENT_HOLD;
	for (i = -10; i < LEAST; i++) {
		if (!i) {
			ASSERT_TRUE(authkeys_gone());
			before = take_census();
		}
		request_held(_metadata, &self->agent, &r, unique("killed"));
		ASSERT_EQ(0, kill(r.pid, SIGKILL));
		ASSERT_EQ(REQUESTER_DIED, requester_finish(&r).error);
		ASSERT_EQ(0, keyctl_clear(KEY_SPEC_SESSION_KEYRING));
		ASSERT_EQ(0, keyctl_link(self->agent.sh->key,
					 KEY_SPEC_SESSION_KEYRING));
	}
	expect_census(_metadata, &before, LEAST);
	expect_settled(_metadata, &self->agent);
}

/* Requests that end in another way; some take the upcall, which takes longer. */
FIXTURE(unanswered)
{
	struct agent agent;
};

FIXTURE_VARIANT(unanswered)
{
	const char *params;	/* of the module */
	/* What the agent is and does. */
	long (*prepare)(struct agent *a);
	agent_fn start;
	long (*custom)(struct agent *a, key_serial_t key);
	int error;		/* 0: the upcall answers */
	bool unasked;
};

FIXTURE_VARIANT_ADD(unanswered, timed_out)
{
	.params = "timeout_ms=100",
	.error = ETIMEDOUT,
};

static long do_decline(struct agent *a __maybe_unused, key_serial_t key)
{
	return agent_decline(key);
}

FIXTURE_VARIANT_ADD(unanswered, declined)
{
	.custom = do_decline,
};

static long do_invalidate(struct agent *a __maybe_unused, key_serial_t key)
{
	long ret = agent_assume(key);

	if (ret >= 0)
		ret = neg_errno(keyctl_invalidate(KEY_SPEC_REQKEY_AUTH_KEY));
	return ret < 0 ? ret : agent_assume(0);
}

FIXTURE_VARIANT_ADD(unanswered, invalidated)
{
	.custom = do_invalidate,
	.error = ENOKEY,
};

static long become_user(struct agent *a __maybe_unused)
{
	return become(1000, 1000, 1000);
}

FIXTURE_VARIANT_ADD(unanswered, denied)
{
	.prepare = become_user,
	.unasked = true,
};

FIXTURE_VARIANT_ADD(unanswered, not_linked)
{
	.prepare = user_with_ptrace,
	.start = fill_quota,
	.unasked = true,
};

FIXTURE_SETUP(unanswered)
{
	struct agent_opts opts = {
		.prepare = variant->prepare,
		.plan = {
			.action = variant->custom ? AGENT_CUSTOM : AGENT_HOLD,
			.custom = variant->custom,
		},
	};

	module_required(_metadata);
	if (variant->params)
		ASSERT_EQ(0, module_reload(variant->params));
	test_session(_metadata);
	agent_start(_metadata, &self->agent, &opts);
	if (variant->start)
		ASSERT_EQ(0, agent_call(_metadata, &self->agent, variant->start,
					NULL, 0));
}

FIXTURE_TEARDOWN(unanswered)
{
	agent_stop(&self->agent);
	if (variant->params)
		EXPECT_EQ(0, module_reload(""));
}

TEST_F_TIMEOUT(unanswered, requests, 120)
{
	run(_metadata, &self->agent, one_in(100), variant->error, !variant->unasked);
}

/* Requests whose agent dies, each its own: with the authority, if it has that. */
FIXTURE(dying)
{
	struct agent agent;
};

FIXTURE_VARIANT(dying)
{
	bool assumed;
};

FIXTURE_VARIANT_ADD(dying, without_authority)
{
	.assumed = false,
};

FIXTURE_VARIANT_ADD(dying, with_authority)
{
	.assumed = true,
};

FIXTURE_SETUP(dying)
{
	test_session(_metadata);
	/* A zombie would keep the authority until somebody reaps it. */
	signal(SIGCHLD, SIG_IGN);
}

FIXTURE_TEARDOWN(dying)
{
	agent_stop(&self->agent);
}

TEST_F_TIMEOUT(dying, agents, 120)
{
	struct agent_opts opts = { .plan.action = AGENT_HOLD };
	struct census before = { 0 };
	struct requester_result res;
	struct agent_arg arg = { 0 };
	struct requester r;
	int i;

	for (i = -10; i < LEAST; i++) {
		if (!i) {
			ASSERT_TRUE(authkeys_gone());
			before = take_census();
		}
		agent_start(_metadata, &self->agent, &opts);
		arg.key = request_held(_metadata, &self->agent, &r,
				       unique("dying"));
		if (variant->assumed)
			ASSERT_LT(0, agent_call(_metadata, &self->agent,
						agent_do_assume, &arg,
						sizeof(arg)));
		agent_stop(&self->agent);
		res = requester_finish(&r);
		ASSERT_STREQ("upcall", answer(&res)) {
			TH_LOG("agent %d", i);
		}
		ASSERT_EQ(0, keyctl_clear(KEY_SPEC_SESSION_KEYRING));
	}
	expect_census(_metadata, &before, LEAST);
}

KEYAGENT_HARNESS_MAIN
