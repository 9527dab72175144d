/* SPDX-License-Identifier: GPL-2.0 */
/* What the module says of itself: debugfs, tracepoints, the agent key. */
#ifndef KEYAGENT_OBSERVE_H
#define KEYAGENT_OBSERVE_H

#include "lifetime.h"

#define DEBUGFS		"/sys/kernel/debug/keyagent/"
#define TRACEFS		"/sys/kernel/tracing/"
#define OUTCOMES_MAX	64

/* The totals in the file "outcomes", all of them. */
struct outcomes {
	int count;
	struct {
		char name[32];
		unsigned long long value;
	} line[OUTCOMES_MAX];
};

static __maybe_unused bool outcomes_read(struct outcomes *o)
{
	FILE *f = fopen(DEBUGFS "outcomes", "re");

	o->count = 0;
	while (f && o->count < OUTCOMES_MAX &&
	       fscanf(f, "%31s %llu\n", o->line[o->count].name,
		      &o->line[o->count].value) == 2)
		o->count++;
	if (!f)
		return false;
	if (!feof(f)) {
		fprintf(stderr, DEBUGFS "outcomes has more than %d lines, or others\n",
			OUTCOMES_MAX);
		abort();
	}
	fclose(f);
	return o->count > 0;
}

/* The total of one outcome, which there must be; 0 where there is no debugfs. */
static __maybe_unused unsigned long long
outcomes_get(const struct outcomes *o, const char *name)
{
	int i;

	for (i = 0; i < o->count; i++)
		if (!strcmp(name, o->line[i].name))
			return o->line[i].value;
	if (o->count) {
		fprintf(stderr, DEBUGFS "outcomes has no %s\n", name);
		abort();
	}
	return 0;
}

/*
 * As many requests have ended since @before as there are names, and in these ways.
 * Says nothing where there is no debugfs.
 */
static __maybe_unused void
expect_outcomes(struct __test_metadata *const _metadata,
		const struct outcomes *before, const char * const *names, int n)
{
	struct outcomes now;
	int i, k, more, found = 0;

	if (!before->count)
		return;
	ASSERT_TRUE(outcomes_read(&now));
	ASSERT_EQ(before->count, now.count);
	for (i = 0; i < now.count; i++) {
		for (k = 0, more = 0; k < n; k++)
			more += !strcmp(names[k], now.line[i].name);
		EXPECT_EQ(before->line[i].value + more, now.line[i].value) {
			TH_LOG("counter %s", now.line[i].name);
		}
		found += more;
	}
	EXPECT_EQ(n, found);
}

/* Exactly one request has ended since @before, and in this way. */
static __maybe_unused void
expect_outcome(struct __test_metadata *const _metadata,
	       const struct outcomes *before, const char *name)
{
	expect_outcomes(_metadata, before, &name, 1);
}

/* How many requests have ended in that way since @before. */
static __maybe_unused unsigned long long
outcome_growth(const struct outcomes *before, const char *name)
{
	struct outcomes now;

	outcomes_read(&now);
	return outcomes_get(&now, name) - outcomes_get(before, name);
}

/* The number behind "name=" in a line of words; -1 when it is not there. */
static __maybe_unused long long field(const char *line, const char *name)
{
	size_t len = strlen(name);
	const char *p = line;

	while (p && *p) {
		if (!strncmp(p, name, len) && p[len] == '=')
			return strtoll(p + len + 1, NULL, 10);
		p = strchr(p, ' ');
		p = p ? p + 1 : NULL;
	}
	return -1;
}

/* Reads a file, up to the size of the buffer; false when there is none. */
static __maybe_unused bool file_read(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return false;
	while (len < size - 1 && (n = read(fd, buf + len, size - 1 - len)) > 0)
		len += n;
	close(fd);
	buf[len] = '\0';
	return true;
}

#endif
