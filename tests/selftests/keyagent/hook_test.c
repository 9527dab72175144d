// SPDX-License-Identifier: GPL-2.0
/*
 * The hook on the kernel function that makes the upcall: the kernel's switches for
 * ftrace and kprobes, tracers and probes at the same function, what loading leaves
 * behind. BPF programs are in hook_bpf_test.c, live patches in hook_patch_test.c.
 *
 * Every test leaves the module loaded with its default parameters.
 */

#define _GNU_SOURCE
#include "hook.h"

#define EVENT		"keyagent_test/hooked"
#define EVENTS		TRACEFS "dynamic_events"

FIXTURE(hook)
{
	struct agent agent;
};

FIXTURE_SETUP(hook)
{
	hook_begin(_metadata);
}

FIXTURE_TEARDOWN(hook)
{
	put(KPROBES_ENABLED, "1");
	put(FTRACE_ENABLED, "1");
	hook_end(_metadata, &self->agent);
}

/* ---------------------------------------------------------------- switches */

/* With ftrace off no hook can be in force: loading fails, and says what to do. */
TEST_F(hook, loaded_while_ftrace_is_off)
{
	static const char *const words[] = { "ftrace_enabled", NULL };
	int klog;

	ASSERT_EQ(0, module_unload_wait());
	ASSERT_EQ(0, put(FTRACE_ENABLED, "0"));
	klog = klog_open();
	ASSERT_LE(0, klog);
	EXPECT_EQ(-1, module_load(""));
	EXPECT_EQ(EBUSY, errno);
	EXPECT_TRUE(klog_says(_metadata, klog, words));
	EXPECT_FALSE(module_loaded());
	expect_original(_metadata, "off");

	ASSERT_EQ(0, put(FTRACE_ENABLED, "1"));
	if (!module_loaded())
		ASSERT_EQ(0, module_load(""));
	expect_hook(_metadata, &self->agent);
	expect_removable(_metadata);
}

/* While the hook is in force ftrace cannot be switched off. */
TEST_F(hook, ftrace_stays_on)
{
	char value[8];

	agent_start(_metadata, &self->agent, NULL);
	EXPECT_EQ(-1, put(FTRACE_ENABLED, "0"));
	EXPECT_EQ(EBUSY, errno);
	ASSERT_TRUE(file_read(FTRACE_ENABLED, value, sizeof(value)));
	EXPECT_EQ(1, atoi(value));
	expect_agent(_metadata, "on");
	expect_settled(_metadata, &self->agent);
	agent_stop(&self->agent);
	expect_removable(_metadata);

	/* The module no longer keeps it on. */
	EXPECT_EQ(0, put(FTRACE_ENABLED, "0"));
	EXPECT_EQ(0, put(FTRACE_ENABLED, "1"));
}

/* The switch for kprobes has no effect on the hook. */
TEST_F(hook, loaded_while_kprobes_are_off)
{
	ASSERT_EQ(0, module_unload_wait());
	if (put(KPROBES_ENABLED, "0"))
		SKIP(return, "cannot write " KPROBES_ENABLED);
	ASSERT_EQ(0, module_load(""));
	expect_hook(_metadata, &self->agent);
	ASSERT_EQ(0, put(KPROBES_ENABLED, "1"));
	expect_hook(_metadata, &self->agent);
	expect_removable(_metadata);
}

TEST_F(hook, kprobes_go_off)
{
	struct agent_opts opts = { .plan.action = AGENT_HOLD };
	struct agent_arg arg = { 0 };
	struct requester_result res;
	struct requester r;

	agent_start(_metadata, &self->agent, &opts);
	arg.key = request_held(_metadata, &self->agent, &r, unique("held"));
	if (put(KPROBES_ENABLED, "0"))
		SKIP(return, "cannot write " KPROBES_ENABLED);
	EXPECT_EQ(0, agent_call(_metadata, &self->agent,
				agent_do_assume_and_settle, &arg, sizeof(arg)));
	res = requester_finish(&r);
	EXPECT_STREQ("agent", answer(&res));
	self->agent.sh->plan.action = AGENT_ANSWER;
	expect_agent(_metadata, "off");
	ASSERT_EQ(0, put(KPROBES_ENABLED, "1"));
	expect_agent(_metadata, "on");
	expect_settled(_metadata, &self->agent);
	agent_stop(&self->agent);
	expect_removable(_metadata);
}

/* ----------------------------------------------------------------- loading */

static off_t upcall_log_size(void)
{
	struct stat st;

	return stat(UPCALL_LOG, &st) ? 0 : st.st_size;
}

/* Loading tries the hook, without /sbin/request-key and without a trace in keys. */
TEST_F(hook, loading_leaves_nothing)
{
	off_t size = upcall_log_size();
	char line[1024];
	int keys;

	ASSERT_EQ(0, module_unload_wait());
	ASSERT_TRUE(authkeys_gone());
	keys = proc_keys_count();
	ASSERT_EQ(0, module_load(""));
	EXPECT_EQ(size, upcall_log_size());
	EXPECT_EQ(0, module_refs());
	EXPECT_TRUE(authkeys_gone());
	/* Of the type's name there are nine characters. */
	EXPECT_FALSE(proc_keys_line(0, " .keyagent", line, sizeof(line))) {
		TH_LOG("a key is left: %s", line);
	}
	EXPECT_TRUE(wait_until(proc_keys_count() <= keys)) {
		TH_LOG("%d keys, then %d", keys, proc_keys_count());
	}
	expect_removable(_metadata);
}

/* --------------------------------------------------- dynamic events of tracefs */

static const char *event_definition;

static int event_attach(void)
{
	return put(TRACEFS "trace", "\n") ||
	       write_word(EVENTS, O_APPEND, event_definition) ||
	       put(TRACEFS "events/" EVENT "/enable", "1") ? -1 : 0;
}

static int event_detach(void)
{
	return put(TRACEFS "events/" EVENT "/enable", "0") ||
	       write_word(EVENTS, O_APPEND, "-:" EVENT "\n") ? -1 : 0;
}

static long event_hits(void)
{
	return lines_with(TRACEFS "trace", ": hooked: (");
}

static const struct other event = { event_attach, event_detach, event_hits };

FIXTURE(event)
{
	struct agent agent;
};

FIXTURE_VARIANT(event)
{
	const char *readme;	/* the line in tracefs that says it exists */
	const char *definition;
	bool first;		/* before the module */
};

FIXTURE_VARIANT_ADD(event, kprobe_first)
{
	.readme = " p[:[<group>/][<event>]] <place>",
	.definition = "p:" EVENT " " HOOKED "\n",
	.first = true,
};

FIXTURE_VARIANT_ADD(event, kprobe_later)
{
	.readme = " p[:[<group>/][<event>]] <place>",
	.definition = "p:" EVENT " " HOOKED "\n",
	.first = false,
};

FIXTURE_VARIANT_ADD(event, kretprobe_first)
{
	.readme = " r[maxactive][:[<group>/][<event>]] <place>",
	.definition = "r:" EVENT " " HOOKED "\n",
	.first = true,
};

FIXTURE_VARIANT_ADD(event, kretprobe_later)
{
	.readme = " r[maxactive][:[<group>/][<event>]] <place>",
	.definition = "r:" EVENT " " HOOKED "\n",
	.first = false,
};

FIXTURE_VARIANT_ADD(event, fprobe_first)
{
	.readme = " f[:[<group>/][<event>]] <func-name>",
	.definition = "f:" EVENT " " HOOKED "\n",
	.first = true,
};

FIXTURE_VARIANT_ADD(event, fprobe_later)
{
	.readme = " f[:[<group>/][<event>]] <func-name>",
	.definition = "f:" EVENT " " HOOKED "\n",
	.first = false,
};

FIXTURE_VARIANT_ADD(event, fprobe_return_first)
{
	.readme = " f[:[<group>/][<event>]] <func-name>",
	.definition = "f:" EVENT " " HOOKED "%return\n",
	.first = true,
};

FIXTURE_VARIANT_ADD(event, fprobe_return_later)
{
	.readme = " f[:[<group>/][<event>]] <func-name>",
	.definition = "f:" EVENT " " HOOKED "%return\n",
	.first = false,
};

FIXTURE_SETUP(event)
{
	hook_begin(_metadata);
	event_definition = variant->definition;
	if (lines_with(TRACEFS "README", variant->readme) <= 0)
		SKIP(_exit(KSFT_SKIP), "the kernel has no such events: %s",
		     variant->definition);
	ASSERT_EQ(0, put(TRACEFS "tracing_on", "1"));
}

FIXTURE_TEARDOWN(event)
{
	event_detach();
	put(TRACEFS "trace", "\n");
	hook_end(_metadata, &self->agent);
}

TEST_F_TIMEOUT(event, goes_first, 60)
{
	hook_with(_metadata, &event, &self->agent, variant->first);
	hook_without_other(_metadata, &event, &self->agent);
}

TEST_F_TIMEOUT(event, goes_last, 60)
{
	hook_with(_metadata, &event, &self->agent, variant->first);
	other_without_hook(_metadata, &event);
}

/*
 * Where indirect calls land on ENDBR64 only, the module calls the original there.
 * A function that the kernel itself never calls indirectly has lost it.
 */
TEST_F(hook, entry_is_a_landing_pad)
{
	static const char name[] = " entry=";
	char trace[4096], *entry;
	unsigned int code;

	/* The event has the first four bytes of the function. */
	event_definition = "p:" EVENT " " HOOKED " entry=@" HOOKED ":x32\n";
	if (lines_with("/proc/kallsyms", " ibt_save\n") <= 0)
		SKIP(return, "the kernel has no CONFIG_X86_KERNEL_IBT");
	if (lines_with(TRACEFS "README", " p[:[<group>/][<event>]]") <= 0)
		SKIP(return, "the kernel has no kprobe events");
	ASSERT_EQ(0, module_unload_wait());
	ASSERT_EQ(0, event_attach());
	expect_original(_metadata, "entry");
	EXPECT_TRUE(file_read(TRACEFS "trace", trace, sizeof(trace)));
	EXPECT_EQ(0, event_detach());
	entry = strstr(trace, name);
	ASSERT_NE(NULL, entry);
	code = strtoul(entry + strlen(name), NULL, 0);
	TH_LOG(HOOKED " begins with %08x", code);
	/* f3 0f 1e fa */
	EXPECT_EQ(0xfa1e0ff3, code);
}

/* ------------------------------------------------------------------ tracers */

FIXTURE(traced)
{
	struct agent agent;
};

FIXTURE_VARIANT(traced)
{
	const char *tracer;
	const char *function;	/* "": all of them, those of the module included */
	bool first;		/* before the module */
};

FIXTURE_VARIANT_ADD(traced, graph_first)
{
	.tracer = "function_graph",
	.function = "",
	.first = true,
};

FIXTURE_VARIANT_ADD(traced, graph_later)
{
	.tracer = "function_graph",
	.function = "",
	.first = false,
};

FIXTURE_VARIANT_ADD(traced, graph_of_hooked_first)
{
	.tracer = "function_graph",
	.function = HOOKED,
	.first = true,
};

FIXTURE_VARIANT_ADD(traced, graph_of_hooked_later)
{
	.tracer = "function_graph",
	.function = HOOKED,
	.first = false,
};

FIXTURE_VARIANT_ADD(traced, function_of_hooked_first)
{
	.tracer = "function",
	.function = HOOKED,
	.first = true,
};

FIXTURE_VARIANT_ADD(traced, function_of_hooked_later)
{
	.tracer = "function",
	.function = HOOKED,
	.first = false,
};

FIXTURE_SETUP(traced)
{
	hook_begin(_metadata);
	if (lines_with(TRACEFS "available_tracers", variant->tracer) <= 0)
		SKIP(_exit(KSFT_SKIP), "the kernel has no tracer %s",
		     variant->tracer);
}

FIXTURE_TEARDOWN(traced)
{
	EXPECT_EQ(0, put(TRACEFS "current_tracer", "nop"));
	put(TRACEFS "set_ftrace_filter", "");
	put(TRACEFS "trace", "");
	hook_end(_metadata, &self->agent);
}

/*
 * A tracer replaces return addresses. A bypass of the hook that relies on them
 * returns to the hook for ever.
 */
TEST_F_TIMEOUT(traced, requests, 60)
{
	int i;

	if (variant->first)
		ASSERT_EQ(0, module_unload_wait());
	ASSERT_EQ(0, put(TRACEFS "set_ftrace_filter",
			 traced_functions(variant->function)));
	ASSERT_EQ(0, put(TRACEFS "current_tracer", variant->tracer));
	ASSERT_EQ(0, put(TRACEFS "tracing_on", "1"));
	if (variant->first)
		ASSERT_EQ(0, module_load(""));

	for (i = 0; i < 3; i++)
		expect_original(_metadata, "no agent");
	agent_start(_metadata, &self->agent, NULL);
	for (i = 0; i < 10; i++)
		expect_agent(_metadata, "agent");
	expect_settled(_metadata, &self->agent);
	agent_stop(&self->agent);
	for (i = 0; i < 3; i++)
		expect_original(_metadata, "dead agent");
	expect_removable(_metadata);
}

KEYAGENT_HARNESS_MAIN
