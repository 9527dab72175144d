// SPDX-License-Identifier: GPL-2.0
/*
 * The module itself: parameters, loading twice, unloading in use and with live
 * agents, loading and unloading under requests, also while the kernel function that
 * it hooks is being traced. More of the hook is in hook_test.c.
 *
 * Every test leaves the module loaded with its default parameters.
 */

#define _GNU_SOURCE
#include "hook.h"

static int number_from(const char *name, int dfl)
{
	const char *s = getenv(name);
	int n = s ? atoi(s) : 0;

	return n > 0 ? n : dfl;
}

FIXTURE(module)
{
	struct agent agent;
};

FIXTURE_SETUP(module)
{
	module_required(_metadata);
	if (!module_loaded())
		ASSERT_EQ(0, module_load(""));
	test_session(_metadata);
}

FIXTURE_TEARDOWN(module)
{
	agent_stop(&self->agent);
	if (!module_loaded())
		EXPECT_EQ(0, module_load(""));
}

TEST_F(module, parameters)
{
	static const char * const bad[] = {
		"timeout_ms=99", "timeout_ms=0", "timeout_ms=60001",
		"timeout_ms=4294967295", "negative_ttl=61",
		"negative_ttl=4294967295", "timeout_ms=10000 negative_ttl=61",
		"timeout_ms=99 negative_ttl=1", "max_in_flight=1",
		"max_in_flight=0", "max_in_flight=4097", "unprivileged=2",
	};
	static const char * const good[] = {
		"timeout_ms=100", "timeout_ms=60000", "negative_ttl=0",
		"negative_ttl=60", "timeout_ms=60000 negative_ttl=60",
		"max_in_flight=2", "max_in_flight=4096", "unprivileged=0",
		"unprivileged=1", "",
	};
	unsigned int i;

	ASSERT_EQ(0, module_unload_wait());
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-1, module_load(bad[i])) {
			TH_LOG("loaded with %s", bad[i]);
			module_unload();
		}
		EXPECT_EQ(EINVAL, errno) {
			TH_LOG("%s: %s", bad[i], strerror(errno));
		}
		EXPECT_FALSE(module_loaded());
		EXPECT_EQ(-1, sys_add_key("keyagent", "user", "", 1,
					  KEY_SPEC_SESSION_KEYRING));
		EXPECT_EQ(ENODEV, errno);
	}
	for (i = 0; i < ARRAY_SIZE(good); i++) {
		EXPECT_EQ(0, module_load(good[i])) {
			TH_LOG("%s: %s", good[i], strerror(errno));
		}
		if (*good[i])
			EXPECT_EQ(0, module_unload_wait());
	}
}

TEST_F(module, loaded_twice)
{
	EXPECT_EQ(-1, module_load(""));
	EXPECT_EQ(EEXIST, errno);
	agent_start(_metadata, &self->agent, NULL);
	expect_answer(_metadata, unique("after"), "agent");
}

/* Not while a requester waits in it, at once when he does not any more. */
TEST_F(module, unload_in_use)
{
	struct agent_opts opts = { .plan.action = AGENT_HOLD };
	struct agent_arg arg = { 0 };
	struct requester_result res;
	struct requester r;
	int i;

	agent_start(_metadata, &self->agent, &opts);
	arg.key = request_held(_metadata, &self->agent, &r, unique("busy"));
	for (i = 0; i < 10; i++) {
		EXPECT_EQ(-1, module_unload());
		EXPECT_EQ(EWOULDBLOCK, errno);
	}
	EXPECT_TRUE(module_loaded());
	EXPECT_EQ(0, agent_call(_metadata, &self->agent,
				agent_do_assume_and_settle, &arg, sizeof(arg)));
	res = requester_finish(&r);
	EXPECT_STREQ("agent", answer(&res));
	expect_settled(_metadata, &self->agent);
	EXPECT_EQ(0, module_unload_wait());
	EXPECT_FALSE(module_loaded());
}

/* A request that went to /sbin/request-key through the module is one in it. */
TEST_F(module, unload_after_every_end)
{
	struct agent_opts opts = { .plan.action = AGENT_REJECT,
				   .plan.error = EKEYREJECTED };
	struct requester_opts o = { .desc = unique("rejected") };
	struct requester_result res;
	struct requester r;

	agent_start(_metadata, &self->agent, &opts);
	EXPECT_EQ(EKEYREJECTED, request_in_child(_metadata, &o).error);
	self->agent.sh->plan.action = AGENT_HOLD;
	request_held(_metadata, &self->agent, &r, unique("killed"));
	ASSERT_EQ(0, kill(r.pid, SIGKILL));
	EXPECT_EQ(REQUESTER_DIED, requester_finish(&r).error);
	request_held(_metadata, &self->agent, &r, unique("orphaned"));
	agent_stop(&self->agent);
	res = requester_finish(&r);
	EXPECT_STREQ("upcall", answer(&res));
	expect_answer(_metadata, unique("upcall"), "upcall");
	EXPECT_EQ(0, module_unload_wait());
}

/* Keys of a type that is gone are dead; the agent may register with the next. */
TEST_F(module, unload_with_agents)
{
	key_serial_t key;

	agent_start(_metadata, &self->agent, NULL);
	expect_answer(_metadata, unique("before"), "agent");
	key = self->agent.sh->key;
	ASSERT_EQ(0, module_unload_wait());
	EXPECT_EQ(-1, keyctl_describe(key, NULL, 0));
	EXPECT_TRUE(errno == EKEYREVOKED || errno == ENOKEY) {
		TH_LOG("%s", strerror(errno));
	}
	expect_answer(_metadata, unique("without"), "upcall");
	ASSERT_EQ(0, module_load(""));
	EXPECT_EQ(-1, keyctl_describe(key, NULL, 0));
	EXPECT_TRUE(errno == EKEYREVOKED || errno == ENOKEY);
	expect_answer(_metadata, unique("again"), "upcall");
	EXPECT_EQ(1, agent_asked(&self->agent));

	agent_enlist(_metadata, &self->agent);
	expect_answer(_metadata, unique("anew"), "agent");
}

/* An agent that has died before the module goes leaves nothing that holds it. */
TEST_F(module, unload_with_dead_agents)
{
	agent_start(_metadata, &self->agent, NULL);
	expect_answer(_metadata, unique("before"), "agent");
	agent_stop(&self->agent);
	EXPECT_EQ(0, module_unload_wait());
	ASSERT_EQ(0, module_load(""));
	expect_answer(_metadata, unique("after"), "upcall");
}

/* What a process that only requests keys has seen. */
struct tally {
	uint32_t agent, upcall, other, stop;
	int error;		/* the last other */
};

static void keep_requesting(struct tally *t)
{
	const char *who;
	char desc[64];
	key_serial_t key;
	uint32_t i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (i = 0; !count_get(&t->stop); i++) {
		snprintf(desc, sizeof(desc), "loop:%d:%u", getpid(), i);
		key = sys_request_key("user", desc, "-",
				      KEY_SPEC_SESSION_KEYRING);
		who = key < 0 ? "" : payload_of(key);
		if (!strcmp(who, "agent")) {
			count_up(&t->agent);
		} else if (!strcmp(who, "upcall")) {
			count_up(&t->upcall);
		} else {
			t->error = key < 0 ? errno : 0;
			count_up(&t->other);
		}
		if (key >= 0)
			keyctl_unlink(key, KEY_SPEC_SESSION_KEYRING);
	}
	_exit(0);
}

/* A round takes far longer on the debug kernel. */
static int load_rounds(void)
{
	return number_from("KEYAGENT_LOAD_LOOP", kernel_is("debug") ? 10 : 30);
}

/*
 * Takes the module away and brings it back under a process that requests all the
 * time: each request is answered, by the agent or by /sbin/request-key.
 */
static void load_unload_loop(struct __test_metadata *const _metadata,
			     struct agent *a, int rounds)
{
	struct tally *t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;
	int i;

	ASSERT_NE(MAP_FAILED, (void *)t);
	agent_start(_metadata, a, NULL);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		keep_requesting(t);
	for (i = 0; i < rounds; i++) {
		ASSERT_TRUE(count_wait(&t->agent, count_get(&t->agent) + 1)) {
			TH_LOG("round %d: the agent is not asked", i);
		}
		ASSERT_EQ(0, module_unload_wait()) {
			TH_LOG("round %d: %s", i, strerror(errno));
		}
		ASSERT_TRUE(count_wait(&t->upcall, count_get(&t->upcall) + 1)) {
			TH_LOG("round %d: no upcall", i);
		}
		ASSERT_EQ(0, module_load("")) {
			TH_LOG("round %d: %s", i, strerror(errno));
		}
		agent_enlist(_metadata, a);
	}
	count_up(&t->stop);
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	EXPECT_EQ(0, (int)count_get(&t->other)) {
		TH_LOG("the last one: %s", strerror(t->error));
	}
	TH_LOG("%d rounds, %u requests answered by the agent, %u by the upcall",
	       rounds, t->agent, t->upcall);
	EXPECT_TRUE(authkeys_gone());
}

TEST_F_TIMEOUT(module, load_unload_loop, 120)
{
	load_unload_loop(_metadata, &self->agent, load_rounds());
}

/* Loads and unloads with nobody about: the kernel's order of things alone. */
TEST_F_TIMEOUT(module, load_unload_idle, 120)
{
	int rounds = load_rounds(), i;

	for (i = 0; i < rounds; i++)
		ASSERT_EQ(0, module_reload("")) {
			TH_LOG("round %d: %s", i, strerror(errno));
		}
}

FIXTURE(traced)
{
	struct agent agent;
};

FIXTURE_VARIANT(traced)
{
	const char *tracer;
	const char *function;	/* "": all of them */
};

FIXTURE_VARIANT_ADD(traced, graph)
{
	.tracer = "function_graph",
	.function = "",
};

FIXTURE_VARIANT_ADD(traced, graph_of_hooked)
{
	.tracer = "function_graph",
	.function = HOOKED,
};

FIXTURE_VARIANT_ADD(traced, function_of_hooked)
{
	.tracer = "function",
	.function = HOOKED,
};

FIXTURE_SETUP(traced)
{
	module_required(_metadata);
	if (!module_loaded())
		ASSERT_EQ(0, module_load(""));
	test_session(_metadata);
	if (put(TRACEFS "set_ftrace_filter",
		traced_functions(variant->function)))
		SKIP(_exit(KSFT_SKIP), "the kernel cannot trace " HOOKED);
	if (put(TRACEFS "current_tracer", variant->tracer))
		SKIP(_exit(KSFT_SKIP), "the kernel has no tracer %s",
		     variant->tracer);
	ASSERT_EQ(0, put(TRACEFS "tracing_on", "1"));
}

FIXTURE_TEARDOWN(traced)
{
	EXPECT_EQ(0, put(TRACEFS "current_tracer", "nop"));
	put(TRACEFS "set_ftrace_filter", "");
	put(TRACEFS "trace", "");
	agent_stop(&self->agent);
	if (!module_loaded())
		EXPECT_EQ(0, module_load(""));
}

TEST_F_TIMEOUT(traced, load_unload_loop, 120)
{
	load_unload_loop(_metadata, &self->agent,
			 number_from("KEYAGENT_TRACED_LOOP", 5));
}

KEYAGENT_HARNESS_MAIN
