// SPDX-License-Identifier: GPL-2.0
/*
 * How much of an agent, and of its user's signal queue, requesters can take: so many
 * requests in flight in all, half as many of one tenant, and so many signals. What is
 * beyond goes to /sbin/request-key.
 *
 * KEYAGENT_REQUESTERS says how many requesters are killed one after another: three
 * times the limit by default, while 3,000 fill the usual queue of a user.
 */

#define _GNU_SOURCE
#include <sys/ptrace.h>
#include <sys/resource.h>

#include "crowd.h"

FIXTURE(limits)
{
	struct crowd crowd;
};

FIXTURE_SETUP(limits)
{
}

FIXTURE_TEARDOWN(limits)
{
	crowd_teardown(_metadata, &self->crowd);
}

/* ------------------------------------------------------------------ the signals */

/* How many requests the agent has not been told of yet; it has to be traced. */
static int queued_requests(pid_t pid)
{
	static siginfo_t infos[64];
	struct __ptrace_peeksiginfo_args args = { .nr = ARRAY_SIZE(infos) };
	int found = 0;
	long n, i;

	do {
		n = ptrace(PTRACE_PEEKSIGINFO, pid, &args, infos);
		for (i = 0; i < n; i++)
			found += infos[i].si_code == SI_KEYAGENT;
		args.off += n > 0 ? n : 0;
	} while (n > 0);
	return n < 0 ? -errno : found;
}

/* A request that is handed over, or that is over at once. */
static bool arrived(const struct agent *a, struct requester *r, int queued)
{
	struct pollfd fd = { .fd = r->fd, .events = POLLIN };

	return queued_for_user(a->pid) > queued || poll(&fd, 1, 0) == 1;
}

static void trace(struct __test_metadata *const _metadata, pid_t pid)
{
	int status;

	ASSERT_EQ(0, ptrace(PTRACE_SEIZE, pid, 0, 0));
	ASSERT_EQ(0, ptrace(PTRACE_INTERRUPT, pid, 0, 0));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSTOPPED(status));
}

/*
 * An agent that does not read, and requesters that are killed as soon as they wait for
 * it. The signals stay, for nothing takes them away: they are counted. The agent is
 * of another user than root, for the queue is one of the user's.
 */
TEST_F_TIMEOUT(limits, signals_of_killed_requesters, 60)
{
	const int n = number_from("KEYAGENT_REQUESTERS", 3 * MAX_IN_FLIGHT);
	const struct rlimit room = { 2 * n + 100, 2 * n + 100 };
	const struct agent_opts opts = { .prepare = user_with_ptrace };
	struct crowd *c = &self->crowd;
	int i, queued = 0, most = 0;
	struct requester_opts o = { 0 };
	struct requester r;

	crowd_setup(_metadata, c, MAX_TIMEOUT_MS, MAX_IN_FLIGHT);
	EXPECT_EQ(0, c->limited);
	agent_start(_metadata, &c->agent, &opts);
	ASSERT_EQ(0, prlimit(c->agent.pid, RLIMIT_SIGPENDING, &room, NULL));
	trace(_metadata, c->agent.pid);
	for (i = 0; i < n; i++) {
		queued = queued_for_user(c->agent.pid);
		o.desc = unique("killed");
		requester_start(_metadata, &r, &o);
		ASSERT_TRUE(wait_until(arrived(&c->agent, &r, queued)));
		ASSERT_EQ(0, kill(r.pid, SIGKILL));
		requester_finish(&r);
		queued = queued_for_user(c->agent.pid);
		if (queued > most)
			most = queued;
	}
	EXPECT_GE(MAX_IN_FLIGHT, most) {
		TH_LOG("SigQ of the agent's user: %d", most);
	}
	EXPECT_EQ(most, queued_requests(c->agent.pid));
	EXPECT_EQ(MAX_IN_FLIGHT, growth(c, "killed"));
	EXPECT_EQ(n - MAX_IN_FLIGHT, growth(c, "busy"));

	/* It goes on, finds nothing to do, and serves. */
	ASSERT_EQ(0, ptrace(PTRACE_DETACH, c->agent.pid, 0, 0));
	agent_wait_done(_metadata, &c->agent, most);
	expect_answer(_metadata, unique("after"), "agent");
	expect_settled(_metadata, &c->agent);
}

/* ---------------------------------------------------------------- in flight */

/* Half of it is what one tenant can have, and what is left is the others'. */
TEST_F_TIMEOUT(limits, in_flight, 60)
{
	const struct requester_opts a = {
		.prepare = become_arg, .arg = TENANT_A,
	};
	const struct requester_opts b = {
		.prepare = become_arg, .arg = TENANT_B,
	};
	const struct requester_opts root = { 0 };
	struct crowd *c = &self->crowd;

	hold(_metadata, c);
	EXPECT_EQ(MAX_IN_FLIGHT / 2,
		  start_many(_metadata, c, &a, MAX_IN_FLIGHT / 2 + 8));
	EXPECT_EQ(MAX_IN_FLIGHT / 4,
		  start_many(_metadata, c, &b, MAX_IN_FLIGHT / 4));
	EXPECT_EQ(MAX_IN_FLIGHT / 4,
		  start_many(_metadata, c, &root, MAX_IN_FLIGHT / 4 + 8));
	EXPECT_EQ(0, start_many(_metadata, c, &b, 4));
}

/* A request that is over makes room for another one. */
TEST_F_TIMEOUT(limits, in_flight_again, 60)
{
	const struct requester_opts a = {
		.prepare = become_arg, .arg = TENANT_A,
	};
	struct crowd *c = &self->crowd;
	int i;

	hold(_metadata, c);
	EXPECT_EQ(MAX_IN_FLIGHT / 2,
		  start_many(_metadata, c, &a, MAX_IN_FLIGHT / 2));
	EXPECT_EQ(0, start_many(_metadata, c, &a, 1));
	for (i = 0; i < MAX_IN_FLIGHT / 4; i++)
		ASSERT_EQ(0, kill(c->r[i].pid, SIGKILL));
	ASSERT_TRUE(wait_until(growth(c, "killed") == MAX_IN_FLIGHT / 4));
	EXPECT_EQ(MAX_IN_FLIGHT / 4,
		  start_many(_metadata, c, &a, MAX_IN_FLIGHT / 4 + 1));
}

/* How long the agent takes for each request of those below. */
static unsigned int service_ms(void)
{
	return 10 * slow();
}

static long answer_slowly(struct agent *a __maybe_unused, key_serial_t key)
{
	long ret;

	poll(NULL, 0, service_ms());
	ret = agent_assume(key);
	return ret < 0 ? ret : neg_errno(keyctl_instantiate(key, "agent", 5, 0));
}

/*
 * An agent that answers one request after another, and a tenant with more of them than
 * it can answer in time. The other tenant's request comes behind those that may be in
 * flight.
 */
TEST_F_TIMEOUT(limits, one_tenant_does_not_starve_another, 60)
{
	const struct agent_opts opts = {
		.prepare = user_with_ptrace,
		.plan = { .action = AGENT_CUSTOM, .custom = answer_slowly },
	};
	struct requester_opts o = { .prepare = become_arg, .arg = TENANT_A };
	const long timeout = service_ms() * 2 * MAX_IN_FLIGHT;
	const int n = 3 * MAX_IN_FLIGHT - 20;
	struct crowd *c = &self->crowd;
	struct requester_result res;

	crowd_setup(_metadata, c, timeout, MAX_IN_FLIGHT);
	EXPECT_EQ(0, c->limited);
	agent_start(_metadata, &c->agent, &opts);
	c->r = calloc(n, sizeof(*c->r));
	ASSERT_NE(NULL, c->r);
	/* A running agent may answer faster than a slow machine starts requesters. */
	ASSERT_EQ(0, kill(c->agent.pid, SIGSTOP));
	while (c->count < n) {
		o.desc = unique("greedy");
		requester_start(_metadata, &c->r[c->count++], &o);
	}
	/* All that are handed over are before the one that comes now. */
	ASSERT_TRUE(wait_until(growth(c, "busy") ||
			       queued_for_user(c->agent.pid) >=
			       2 * MAX_IN_FLIGHT));
	ASSERT_EQ(0, kill(c->agent.pid, SIGCONT));
	o.desc = unique("modest");
	o.arg = TENANT_B;
	res = request_in_child(_metadata, &o);
	EXPECT_LT(0, res.key) {
		TH_LOG("after %llu ms: %s", (unsigned long long)res.ms,
		       strerror(res.error));
	}
}

/* ----------------------------------------------------------- what has to be enough */

/* A process of many requesters. */
struct threads {
	uint32_t over, answered, busy;
	int error;		/* the last other */
};

static struct threads *threads;

static void *request_in_thread(void *arg)
{
	char desc[64], payload[8] = "";
	key_serial_t key;

	snprintf(desc, sizeof(desc), "threads:%d:%d", getpid(), *(int *)arg);
	key = sys_request_key("user", desc, "-", KEY_SPEC_PROCESS_KEYRING);
	if (key < 0)
		__atomic_store_n(&threads->error, errno, __ATOMIC_SEQ_CST);
	else if (keyctl_read(key, payload, sizeof(payload)) == 5 &&
		 !memcmp(payload, "agent", 5))
		count_up(&threads->answered);
	else
		count_up(&threads->busy);
	count_up(&threads->over);
	return NULL;
}

static void request_in_threads(int n, uid_t uid)
{
	pthread_attr_t attr;
	pthread_t thread;
	int *numbers = calloc(n, sizeof(*numbers)), i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!numbers || become(uid, uid, uid) ||
	    keyctl_get_keyring_id(KEY_SPEC_PROCESS_KEYRING, 1) < 0)
		_exit(1);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	for (i = 0; i < n; i++) {
		numbers[i] = i;
		if (pthread_create(&thread, &attr, request_in_thread,
				   &numbers[i]))
			_exit(1);
	}
	for (;;)
		pause();
}

FIXTURE(defaults)
{
	struct crowd crowd;
	pid_t pid;
};

FIXTURE_VARIANT(defaults)
{
	int requests;
	uid_t uid;
};

FIXTURE_VARIANT_ADD(defaults, root)
{
	.requests = 1000,
};

/* The key quota is 200, and the user has keyrings. */
FIXTURE_VARIANT_ADD(defaults, user)
{
	.requests = 190,
	.uid = TENANT_A,
};

FIXTURE_SETUP(defaults)
{
	threads = mmap(NULL, sizeof(*threads), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)threads);
	crowd_setup(_metadata, &self->crowd, MAX_TIMEOUT_MS, 0);
}

FIXTURE_TEARDOWN(defaults)
{
	if (self->pid > 0) {
		kill(self->pid, SIGKILL);
		waitpid(self->pid, NULL, 0);
	}
	crowd_teardown(_metadata, &self->crowd);
}

/* All at the same time, before an agent that has not begun yet. */
TEST_F_TIMEOUT(defaults, are_enough, 60)
{
	const struct agent_opts opts = { .prepare = user_with_ptrace };
	/*
	 * A debug kernel that is emulated cannot make so many within the longest
	 * time that the module has for a request.
	 */
	const int n = variant->requests / (slow() > 10 ? 5 : 1);
	const struct rlimit room = { 2 * n, 2 * n };
	struct agent *a = &self->crowd.agent;
	int status;

	agent_start(_metadata, a, &opts);
	ASSERT_EQ(0, prlimit(a->pid, RLIMIT_SIGPENDING, &room, NULL));
	ASSERT_EQ(0, kill(a->pid, SIGSTOP));
	ASSERT_EQ(a->pid, waitpid(a->pid, &status, WUNTRACED));
	self->pid = fork();
	ASSERT_LE(0, self->pid);
	if (!self->pid)
		request_in_threads(n, variant->uid);
	EXPECT_TRUE(wait_until(queued_for_user(a->pid) >= n ||
			       count_get(&threads->over)));
	EXPECT_EQ(0, (int)count_get(&threads->over));
	ASSERT_EQ(0, kill(a->pid, SIGCONT));
	EXPECT_TRUE(count_wait(&threads->over, n)) {
		TH_LOG("%u are over", count_get(&threads->over));
	}
	EXPECT_EQ(n, (int)count_get(&threads->answered)) {
		TH_LOG("%u busy, the last error: %s", threads->busy,
		       strerror(threads->error));
	}
	EXPECT_EQ(0, growth(&self->crowd, "busy"));
	expect_settled(_metadata, a);
}

KEYAGENT_HARNESS_MAIN
