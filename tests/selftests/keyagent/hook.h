/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For the tests of the hook on the kernel function that makes the upcall: what is
 * attached to the function, and other users of it beside the module.
 */
#ifndef KEYAGENT_HOOK_H
#define KEYAGENT_HOOK_H

#include "module.h"
#include "observe.h"

#define HOOKED		"call_sbin_request_key"
#define FTRACE_ENABLED	"/proc/sys/kernel/ftrace_enabled"
#define KPROBES_ENABLED	"/sys/kernel/debug/kprobes/enabled"

/* Writes a word into a file of the kernel, in the place of what is there. */
static __maybe_unused int put(const char *path, const char *word)
{
	return write_word(path, O_TRUNC, word);
}

/* How many lines of a file of the kernel have the text; -1: there is no file. */
static __maybe_unused long lines_with(const char *path, const char *text)
{
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;
	long n = 0;

	if (!f)
		return -1;
	while (getline(&line, &size, f) >= 0)
		n += !!strstr(line, text);
	free(line);
	fclose(f);
	return n;
}

/* Whether any user of ftrace is attached to the function. */
static __maybe_unused bool hooked_by_anyone(void)
{
	return lines_with(TRACEFS "enabled_functions", HOOKED " (") > 0;
}

/* The module's reference count; -1: it is not loaded. */
static __maybe_unused int module_refs(void)
{
	char buf[16];

	return file_read("/sys/module/" MODULE_NAME "/refcnt", buf,
			 sizeof(buf)) ? atoi(buf) : -1;
}

/*
 * The functions to trace. A kernel with KASAN and lockdep warns of its own stack
 * when all functions are traced, with and without the module. There the functions
 * that deal with keys are traced. So they are in a distribution's kernel on an
 * emulated machine: it has several times as many functions.
 */
static __maybe_unused const char *traced_functions(const char *wanted)
{
	if (*wanted)
		return wanted;
	if (kernel_is("debug") || (slow() > 1 && kernel_is("debian")))
		return "*key*";
	return wanted;
}

/* ------------------------------------------------------------- kernel log */

/* The kernel log from now on; -1 and errno. */
static __maybe_unused int klog_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		lseek(fd, 0, SEEK_END);
	return fd;
}

/*
 * Whether a message of the module has one of the words since klog_open(). Closes
 * the log.
 */
static __maybe_unused bool klog_says(struct __test_metadata *const _metadata,
				     int fd, const char *const *words)
{
	bool found = false;
	char buf[8192];
	ssize_t len;

	/* EPIPE: the record was overwritten. The next one can be read. */
	while ((len = read(fd, buf, sizeof(buf) - 1)) > 0 ||
	       (len < 0 && errno == EPIPE)) {
		buf[len < 0 ? 0 : len] = '\0';
		if (!strstr(buf, ";" MODULE_NAME ": "))
			continue;
		buf[strcspn(buf, "\n")] = '\0';
		TH_LOG("%s", strchr(buf, ';') + 1);
		for (const char *const *word = words; *word; word++)
			found |= !!strstr(buf, *word);
	}
	close(fd);
	return found;
}

/* --------------------------------------------------- what the hook has to do */

/* A request that goes to the original runs it once. */
static __maybe_unused void
expect_original(struct __test_metadata *const _metadata, const char *name)
{
	const char *desc = unique(name);

	expect_answer(_metadata, desc, "upcall");
	EXPECT_EQ(1, upcall_count(desc, NULL)) {
		TH_LOG("%s", desc);
	}
}

/* A request that an agent answers does not run the original. */
static __maybe_unused void
expect_agent(struct __test_metadata *const _metadata, const char *name)
{
	const char *desc = unique(name);

	expect_answer(_metadata, desc, "agent");
	EXPECT_EQ(0, upcall_count(desc, NULL)) {
		TH_LOG("%s", desc);
	}
}

/*
 * The hook is in force: a request goes to a live agent, and to the original
 * without one. No request holds the module when it is over.
 */
static __maybe_unused void
expect_hook(struct __test_metadata *const _metadata, struct agent *a)
{
	EXPECT_TRUE(hooked_by_anyone());
	expect_original(_metadata, "no agent");
	agent_start(_metadata, a, NULL);
	expect_agent(_metadata, "live agent");
	expect_settled(_metadata, a);
	agent_stop(a);
	expect_original(_metadata, "dead agent");
	EXPECT_EQ(0, module_refs());
}

/* The module can be removed and leaves nothing attached but what others have. */
static __maybe_unused void
expect_removable(struct __test_metadata *const _metadata)
{
	EXPECT_EQ(0, module_refs());
	ASSERT_EQ(0, module_unload_wait());
	expect_original(_metadata, "no module");
}

/*
 * The end of a test: nothing is attached to the function without the module, and
 * the module is loaded again for the tests that follow.
 */
static __maybe_unused void
hook_end(struct __test_metadata *const _metadata, struct agent *a)
{
	agent_stop(a);
	if (module_loaded())
		EXPECT_EQ(0, module_unload_wait());
	EXPECT_FALSE(hooked_by_anyone());
	EXPECT_EQ(0, module_load(""));
}

/* The set-up: the module is loaded. */
static __maybe_unused void hook_begin(struct __test_metadata *const _metadata)
{
	module_required(_metadata);
	if (!module_loaded())
		ASSERT_EQ(0, module_load(""));
	test_session(_metadata);
}

/* ------------------------------------------------------ others at the function */

/* Another user of the function, which counts the calls. */
struct other {
	int (*attach)(void);	/* 0, or -1 and errno */
	int (*detach)(void);
	long (*hits)(void);	/* since attach(); -1: not known */
};

/*
 * A call that the hook takes over and leaves to the original enters the function
 * twice: @other may see one of the two or both.
 */
static __maybe_unused void
expect_hits(struct __test_metadata *const _metadata, const struct other *other,
	    long before, long min, long max)
{
	long hits = other->hits() - before;

	EXPECT_LE(min, hits);
	EXPECT_GE(max, hits);
}

/* The other one alone sees each call once. */
static __maybe_unused void
expect_hit_alone(struct __test_metadata *const _metadata,
		 const struct other *other)
{
	long before = other->hits();

	ASSERT_LE(0, before);
	expect_original(_metadata, "other alone");
	expect_hits(_metadata, other, before, 1, 1);
}

/* Module and other at the same time: neither changes what the other one does. */
static __maybe_unused void
expect_hook_and_hits(struct __test_metadata *const _metadata,
		     const struct other *other, struct agent *a)
{
	long before = other->hits();

	ASSERT_LE(0, before);
	expect_hook(_metadata, a);
	/* One request for the agent, and two for the original. */
	expect_hits(_metadata, other, before, 3, 5);
}

/* Attaches @other before the module is loaded, or after. */
static __maybe_unused void
hook_with(struct __test_metadata *const _metadata, const struct other *other,
	  struct agent *a, bool other_first)
{
	if (other_first) {
		ASSERT_EQ(0, module_unload_wait());
		ASSERT_EQ(0, other->attach()) {
			TH_LOG("%s", strerror(errno));
		}
		expect_hit_alone(_metadata, other);
		ASSERT_EQ(0, module_load("")) {
			TH_LOG("%s", strerror(errno));
		}
	} else {
		ASSERT_EQ(0, other->attach()) {
			TH_LOG("%s", strerror(errno));
		}
	}
	expect_hook_and_hits(_metadata, other, a);
}

/* The other one goes first, then the module. */
static __maybe_unused void
hook_without_other(struct __test_metadata *const _metadata,
		   const struct other *other, struct agent *a)
{
	ASSERT_EQ(0, other->detach()) {
		TH_LOG("%s", strerror(errno));
	}
	expect_hook(_metadata, a);
	expect_removable(_metadata);
	EXPECT_FALSE(hooked_by_anyone());
}

/* The module goes first, then the other one. */
static __maybe_unused void
other_without_hook(struct __test_metadata *const _metadata,
		   const struct other *other)
{
	expect_removable(_metadata);
	EXPECT_TRUE(hooked_by_anyone());
	expect_hit_alone(_metadata, other);
	ASSERT_EQ(0, other->detach()) {
		TH_LOG("%s", strerror(errno));
	}
	EXPECT_FALSE(hooked_by_anyone());
	expect_original(_metadata, "neither");
}

#endif
