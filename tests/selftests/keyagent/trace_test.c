// SPDX-License-Identifier: GPL-2.0
/*
 * The tracepoints, by tracefs and by perf, and that neither they nor anything else
 * that the module lets people read has a word of what was asked and answered.
 */

#define _GNU_SOURCE
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/klog.h>

#include "observe.h"

#define DATA	FIXTURE_DATA(trace)

#define SECRET	"secret-in-the-payload"
#define CALLOUT	"secret-in-the-callout"
#define EVENTS	TRACEFS "events/keyagent/"

/* Actions of syslog(2), which no header has. */
#define KLOG_READ_ALL		3
#define KLOG_SIZE_BUFFER	10

FIXTURE(trace)
{
	struct agent agent;
	struct agent_opts opts;
	struct requester r;
	struct requester_opts asks;
	char *buf;
	size_t size;
};

FIXTURE_SETUP(trace)
{
	test_session(_metadata);
	self->asks.desc = unique("trace");
	self->asks.callout = CALLOUT;
	snprintf(self->opts.plan.payload, sizeof(self->opts.plan.payload), "%s",
		 SECRET);
	self->size = 1 << 20;
	self->buf = malloc(self->size);
	ASSERT_NE(NULL, self->buf);
	ASSERT_EQ(0, write_word(TRACEFS "trace", O_TRUNC, "\n"));
	if (write_word(EVENTS "enable", 0, "1"))
		SKIP(_exit(KSFT_SKIP), "the kernel has no tracepoints");
}

FIXTURE_TEARDOWN(trace)
{
	agent_stop(&self->agent);
	EXPECT_EQ(0, write_word(EVENTS "enable", 0, "0"));
	EXPECT_EQ(0, write_word(TRACEFS "trace", O_TRUNC, "\n"));
}

static void expect_in_trace(struct __test_metadata *const _metadata,
			    const char *buf, const char *want)
{
	EXPECT_NE(NULL, strstr(buf, want)) {
		TH_LOG("no '%s' in the trace: %s", want, buf);
	}
}

TEST_F(trace, served)
{
	struct requester_result res;
	char want[160];

	agent_start(_metadata, &self->agent, &self->opts);
	requester_start(_metadata, &self->r, &self->asks);
	res = requester_finish(&self->r);
	EXPECT_STREQ(SECRET, answer(&res));
	ASSERT_TRUE(file_read(TRACEFS "trace", self->buf, self->size));

	snprintf(want, sizeof(want),
		 "keyagent_request_start: type=user key=%d requester=%d\n", res.key,
		 self->r.pid);
	expect_in_trace(_metadata, self->buf, want);
	snprintf(want, sizeof(want),
		 "keyagent_handover: key=%d requester=%d agent=%d sig=%d other_user=0\n", res.key,
		 self->r.pid, self->agent.pid, AGENT_SIGNAL);
	expect_in_trace(_metadata, self->buf, want);
	snprintf(want, sizeof(want),
		 "keyagent_request_end: type=user key=%d requester=%d agent=%d outcome=served latency_ns=",
		 res.key, self->r.pid, self->agent.pid);
	expect_in_trace(_metadata, self->buf, want);
}

TEST_F(trace, no_agent)
{
	struct requester_result res;
	char want[160];

	requester_start(_metadata, &self->r, &self->asks);
	res = requester_finish(&self->r);
	EXPECT_STREQ("upcall", answer(&res));
	ASSERT_TRUE(file_read(TRACEFS "trace", self->buf, self->size));

	snprintf(want, sizeof(want),
		 "keyagent_request_start: type=user key=%d requester=%d\n", res.key,
		 self->r.pid);
	expect_in_trace(_metadata, self->buf, want);
	snprintf(want, sizeof(want),
		 "keyagent_request_end: type=user key=%d requester=%d agent=0 outcome=no_agent latency_ns=",
		 res.key, self->r.pid);
	expect_in_trace(_metadata, self->buf, want);
	EXPECT_EQ(NULL, strstr(self->buf, "keyagent_handover:"));
}

/* An event that counts how often the calling thread comes by. */
static int perf_open(struct __test_metadata *const _metadata, const char *event)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
	};
	char path[128], id[32];

	snprintf(path, sizeof(path), EVENTS "%s/id", event);
	ASSERT_TRUE(file_read(path, id, sizeof(id)));
	attr.config = atoi(id);
	return syscall(__NR_perf_event_open, &attr, 0, -1, -1,
		       PERF_FLAG_FD_CLOEXEC);
}

TEST_F(trace, perf)
{
	static const char * const events[] = {
		"keyagent_request_start", "keyagent_handover",
		"keyagent_request_end",
	};
	int fd[ARRAY_SIZE(events)];
	unsigned int i, n;
	uint64_t count;

	agent_start(_metadata, &self->agent, &self->opts);
	for (i = 0; i < ARRAY_SIZE(events); i++) {
		fd[i] = perf_open(_metadata, events[i]);
		if (fd[i] < 0)
			SKIP(return, "the kernel has no perf events: %s",
			     strerror(errno));
	}
	for (n = 0; n < 3; n++) {
		for (i = 0; i < ARRAY_SIZE(events); i++) {
			ASSERT_EQ((ssize_t)sizeof(count),
				  read(fd[i], &count, sizeof(count)));
			EXPECT_EQ(n, count) {
				TH_LOG("%s", events[i]);
			}
		}
		EXPECT_LT(0, sys_request_key("user", unique("perf"), "-", 0));
	}
}

static void expect_no_secret(struct __test_metadata *const _metadata,
			     const char *text, const char *where)
{
	EXPECT_EQ(NULL, strstr(text, SECRET)) {
		TH_LOG("the payload is in %s", where);
	}
	EXPECT_EQ(NULL, strstr(text, CALLOUT)) {
		TH_LOG("the callout information is in %s", where);
	}
}

static void search_everywhere(struct __test_metadata *const _metadata,
			      DATA *self)
{
	static const char * const files[] = {
		DEBUGFS "outcomes", DEBUGFS "requests", "/proc/keys",
		TRACEFS "trace",
	};
	unsigned int i;
	char *klog;
	int len;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		ASSERT_TRUE(file_read(files[i], self->buf, self->size));
		EXPECT_LT(0u, strlen(self->buf) + (i == 1));
		expect_no_secret(_metadata, self->buf, files[i]);
	}
	expect_no_secret(_metadata, payload_of(self->agent.sh->key),
			 "the agent's key");
	len = klogctl(KLOG_SIZE_BUFFER, NULL, 0);
	ASSERT_LT(0, len);
	klog = calloc(1, len + 1);
	ASSERT_NE(NULL, klog);
	len = klogctl(KLOG_READ_ALL, klog, len);
	EXPECT_LT(0, len);
	expect_no_secret(_metadata, klog, "the kernel log");
	free(klog);
}

/* While a request is under way, and when it is over. */
TEST_F(trace, no_secrets)
{
	struct agent_arg arg = { .plan = self->opts.plan };
	struct requester_result res;

	self->opts.plan.action = AGENT_HOLD;
	agent_start(_metadata, &self->agent, &self->opts);
	requester_start(_metadata, &self->r, &self->asks);
	agent_wait_asked(_metadata, &self->agent, 1);
	search_everywhere(_metadata, self);
	arg.key = agent_record(&self->agent, 0)->key;
	EXPECT_EQ(0, agent_call(_metadata, &self->agent,
				agent_do_assume_and_settle, &arg, sizeof(arg)));
	res = requester_finish(&self->r);
	EXPECT_STREQ(SECRET, answer(&res));
	search_everywhere(_metadata, self);
}

KEYAGENT_HARNESS_MAIN
