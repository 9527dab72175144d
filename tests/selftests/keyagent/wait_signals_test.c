// SPDX-License-Identifier: GPL-2.0
/*
 * Signals do not end a request, for /sbin/request-key never let them: the requester
 * handles them afterwards. Only SIGKILL ends it, and no caller inside the kernel ever
 * sees an error that tells the system call to begin again.
 */

#define _GNU_SOURCE
#include <sys/time.h>

#include "module.h"
#include "test_module.h"

/* The period of the requester's timer, and the time that its agent takes. */
#define PERIOD_MS	50
#define ANSWER_MS	600

/* ERESTARTSYS, the first of those that only the kernel knows, and the last. */
#define FIRST_RESTART	512
#define LAST_RESTART	516

/* How often a handler of the requester has run; shared with the requester. */
static uint32_t *caught;

static void catch(int sig __maybe_unused)
{
	count_up(caught);
}

static long handle(int sig, int flags)
{
	const struct sigaction sa = { .sa_handler = catch, .sa_flags = flags };

	return neg_errno(sigaction(sig, &sa, NULL));
}

static void share_count(struct __test_metadata *const _metadata)
{
	caught = mmap(NULL, sizeof(*caught), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)caught);
}

/* --------------------------------------------------------- request_key(2) */

#define DATA	FIXTURE_DATA(handled)

FIXTURE(handled)
{
	struct agent agent;
	struct outcomes before;
	struct requester_opts opts;
	struct requester r;
	struct agent_arg arg;
};

FIXTURE_VARIANT(handled)
{
	int flags;	/* of the handler */
};

FIXTURE_VARIANT_ADD(handled, restart)
{
	.flags = SA_RESTART,
};

FIXTURE_VARIANT_ADD(handled, no_restart)
{
	.flags = 0,
};

FIXTURE_SETUP(handled)
{
	const struct agent_opts opts = { .plan.action = AGENT_HOLD };

	test_session(_metadata);
	share_count(_metadata);
	outcomes_read(&self->before);
	self->opts.desc = unique("handled");
	self->opts.arg = variant->flags;
	agent_start(_metadata, &self->agent, &opts);
}

FIXTURE_TEARDOWN(handled)
{
	if (self->r.pid > 0)
		kill(self->r.pid, SIGKILL);
	agent_stop(&self->agent);
}

static void start(struct __test_metadata *const _metadata, DATA *self,
		  long (*prepare)(const struct requester_opts *o))
{
	self->opts.prepare = prepare;
	requester_start(_metadata, &self->r, &self->opts);
	agent_wait_asked(_metadata, &self->agent, 1);
	self->arg.key = agent_record(&self->agent, 0)->key;
}

/* True once the request is over, or begun again. */
static bool disturbed(DATA *self)
{
	struct pollfd fd = { .fd = self->r.fd, .events = POLLIN };

	return poll(&fd, 1, 0) || agent_asked(&self->agent) != 1;
}

static void expect_undisturbed(struct __test_metadata *const _metadata,
			       DATA *self)
{
	ASSERT_FALSE(disturbed(self)) {
		if (agent_asked(&self->agent) == 1)
			TH_LOG("the request ended with %s",
			       strerror(requester_finish(&self->r).error));
		else
			TH_LOG("the agent was asked %d times",
			       agent_asked(&self->agent));
	}
}

/* The agent answers the one request, and the requester handles its signals. */
static void expect_served(struct __test_metadata *const _metadata, DATA *self)
{
	const uint32_t before = count_get(caught);
	struct requester_result res;

	EXPECT_EQ(0, agent_call(_metadata, &self->agent,
				agent_do_assume_and_settle, &self->arg,
				sizeof(self->arg)));
	res = requester_finish(&self->r);
	self->r.pid = 0;
	EXPECT_EQ(self->arg.key, res.key);
	EXPECT_STREQ("agent", answer(&res));
	EXPECT_LT(before, count_get(caught));
	EXPECT_EQ(1, agent_asked(&self->agent));
	EXPECT_EQ(0, upcall_count(self->opts.desc, NULL));
	expect_outcome(_metadata, &self->before, "served");
	expect_settled(_metadata, &self->agent);
}

static long start_timer(const struct requester_opts *o)
{
	const struct itimerval timer = {
		.it_interval.tv_usec = PERIOD_MS * 1000,
		.it_value.tv_usec = PERIOD_MS * 1000,
	};
	long ret = handle(SIGALRM, o->arg);

	return ret < 0 ? ret :
			 neg_errno(setitimer(ITIMER_REAL, &timer, NULL));
}

/* As profilers and the runtimes of languages do to themselves. */
TEST_F(handled, timer)
{
	struct pollfd fd = { .events = POLLIN };

	start(_metadata, self, start_timer);
	fd.fd = self->r.fd;
	poll(&fd, 1, ANSWER_MS);
	expect_undisturbed(_metadata, self);
	EXPECT_TRUE(signal_pending(self->r.pid, SIGALRM));
	expect_served(_metadata, self);
}

static long handle_usr1(const struct requester_opts *o)
{
	return handle(SIGUSR1, o->arg);
}

TEST_F(handled, signal)
{
	start(_metadata, self, handle_usr1);
	ASSERT_TRUE(wait_until(in_request_key(self->r.pid)));
	ASSERT_EQ(0, kill(self->r.pid, SIGUSR1));
	ASSERT_TRUE(wait_until(signal_pending(self->r.pid, SIGUSR1) ||
			       disturbed(self)));
	expect_undisturbed(_metadata, self);
	EXPECT_EQ(0, (int)count_get(caught));
	expect_served(_metadata, self);
}

static long handle_queued(const struct requester_opts *o)
{
	return handle(SIGRTMIN, o->arg);
}

/* Many signals before the agent sees the request: it is not in their way either. */
TEST_F(handled, queued_signals)
{
	int i;

	start(_metadata, self, handle_queued);
	ASSERT_TRUE(wait_until(in_request_key(self->r.pid)));
	for (i = 0; i < 100; i++)
		ASSERT_EQ(0, sigqueue(self->r.pid, SIGRTMIN,
				      (union sigval){ 0 }));
	ASSERT_TRUE(wait_until(signal_pending(self->r.pid, SIGRTMIN) ||
			       disturbed(self)));
	expect_undisturbed(_metadata, self);
	expect_served(_metadata, self);
	EXPECT_EQ(100, (int)count_get(caught));
}

/* --------------------------------------- requests that the kernel makes for it */

#undef DATA
#define DATA	FIXTURE_DATA(kernel)

FIXTURE(kernel)
{
	struct agent agent;
	struct outcomes before;
	struct kernel_requester r;
	struct agent_arg arg;
	const char *desc;
};

FIXTURE_SETUP(kernel)
{
	const struct agent_opts opts = { .plan.action = AGENT_HOLD };

	test_session(_metadata);
	test_module_load(_metadata);
	share_count(_metadata);
	ASSERT_TRUE(outcomes_read(&self->before));
	self->desc = unique("kernel");
	agent_start(_metadata, &self->agent, &opts);
}

FIXTURE_TEARDOWN(kernel)
{
	if (self->r.pid > 0)
		kill(self->r.pid, SIGKILL);
	agent_stop(&self->agent);
	wait_until((test_module_unload(), access(TEST_FILE, F_OK)));
}

static long handling(void)
{
	return handle(SIGUSR1, 0);
}

static void kernel_start(struct __test_metadata *const _metadata, DATA *self,
			 const char *way)
{
	kernel_request_start(_metadata, &self->r, way, self->desc, handling);
	agent_wait_asked(_metadata, &self->agent, 1);
	self->arg.key = agent_record(&self->agent, 0)->key;
}

static const char *kernel_finish(DATA *self)
{
	const char *ans = kernel_request_finish(&self->r);

	self->r.pid = 0;
	return ans;
}

static void kernel_answer(struct __test_metadata *const _metadata, DATA *self)
{
	EXPECT_EQ(0, agent_call(_metadata, &self->agent,
				agent_do_assume_and_settle, &self->arg,
				sizeof(self->arg)));
}

/* One that comes during the wait, and ... */
TEST_F(kernel, signal_arrives)
{
	kernel_start(_metadata, self, "user");
	ASSERT_EQ(0, kill(self->r.pid, SIGUSR1));
	ASSERT_TRUE(wait_until(signal_pending(self->r.pid, SIGUSR1) ||
			       proc_state(self->r.pid) == 'Z'));
	kernel_answer(_metadata, self);
	EXPECT_STREQ("agent", kernel_finish(self));
	EXPECT_EQ(1, (int)count_get(caught));
	EXPECT_EQ(1, agent_asked(&self->agent));
	expect_outcome(_metadata, &self->before, "served");
	expect_settled(_metadata, &self->agent);
}

/* ... one that is there before. */
TEST_F(kernel, signal_pending)
{
	kernel_start(_metadata, self, "signalled");
	kernel_answer(_metadata, self);
	EXPECT_STREQ("agent", kernel_finish(self));
	EXPECT_EQ(1, (int)count_get(caught));
	EXPECT_EQ(1, agent_asked(&self->agent));
	expect_outcome(_metadata, &self->before, "served");
	expect_settled(_metadata, &self->agent);
}

/* True if it is the answer "errno N" with one of those that only the kernel knows. */
static bool is_restart(const char *ans)
{
	int error;

	return sscanf(ans, "errno %d", &error) == 1 && error >= FIRST_RESTART &&
	       error <= LAST_RESTART;
}

/* Whoever meets an error that the kernel has kept has no signal pending. */
TEST_F(kernel, kept_after_signal)
{
	const char *ans;

	kernel_start(_metadata, self, "keep");
	ASSERT_EQ(0, kill(self->r.pid, SIGUSR1));
	ASSERT_TRUE(wait_until(signal_pending(self->r.pid, SIGUSR1) ||
			       proc_state(self->r.pid) == 'Z'));
	kernel_answer(_metadata, self);
	EXPECT_STREQ("agent", kernel_finish(self));
	self->agent.sh->plan.action = AGENT_ANSWER;
	ans = kernel_request("keep", unique("second"));
	EXPECT_FALSE(is_restart(ans));
	EXPECT_STREQ("agent", ans);
}

TEST_F(kernel, kept_after_kill)
{
	char want[32];

	kernel_start(_metadata, self, "keep");
	ASSERT_EQ(0, kill(self->r.pid, SIGKILL));
	EXPECT_STREQ("", kernel_finish(self));
	expect_outcome(_metadata, &self->before, "killed");
	snprintf(want, sizeof(want), "errno %d", EINTR);
	EXPECT_STREQ(want, kernel_request("keep", unique("second")));
	expect_settled(_metadata, &self->agent);
}

/* Who is being killed cannot wait for an agent; for /sbin/request-key it can. */
TEST_F(kernel, dying)
{
	kernel_request_start(_metadata, &self->r, "dying", self->desc, NULL);
	EXPECT_STREQ("", kernel_finish(self));
	EXPECT_EQ(0, agent_asked(&self->agent));
	EXPECT_EQ(1, upcall_count(self->desc, NULL));
	EXPECT_STREQ("upcall", kernel_request("last", "-"));
	expect_outcome(_metadata, &self->before, "dying");
	expect_settled(_metadata, &self->agent);
}

/* The longest that an agent has for such a request, whatever timeout_ms says. */
#define KERNEL_TIMEOUT_MS	15000ull

/* Nothing ends the wait but the deadline: it has to be before the freezer's. */
TEST_F_TIMEOUT(kernel, ends_before_the_freezer, 60)
{
	uint64_t since, took;

	module_required(_metadata);
	agent_stop(&self->agent);
	ASSERT_EQ(0, module_reload("timeout_ms=60000"));
	agent_start(_metadata, &self->agent,
		    &(const struct agent_opts){ .plan.action = AGENT_HOLD });
	since = now_ms();
	kernel_start(_metadata, self, "user");
	EXPECT_STREQ("errno 110", kernel_finish(self));
	took = now_ms() - since;
	EXPECT_LE(KERNEL_TIMEOUT_MS, took);
	EXPECT_GT(KERNEL_TIMEOUT_MS + 150 * slow(), took);
	agent_stop(&self->agent);
	EXPECT_EQ(0, module_reload(""));
}

KEYAGENT_HARNESS_MAIN
