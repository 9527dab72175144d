// SPDX-License-Identifier: GPL-2.0
/*
 * What a request costs.
 *
 * usage: bench [--few] MEASUREMENT [N]
 *        bench ask POINT PREFIX N
 *        bench watched|watched-alone PORT N
 *
 * Prints one line for each figure; see measure() and report() in bench.h. Meant for
 * tests/bench/guest, which puts everything that runs here into memory first.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define WARM_UP		200
#define SETTLE_US	500000

void die(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

void lock_memory(void)
{
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		die("mlockall");
}

int signal_descriptor(int number)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, number);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (fd < 0)
		die("signalfd");
	return fd;
}

long keyctl(int command, long a, long b, long c, long d)
{
	return syscall(__NR_keyctl, command, a, b, c, d);
}

long add_key(const char *type, const char *description, const void *payload,
	     size_t size, long keyring)
{
	return syscall(__NR_add_key, type, description, payload, size, keyring);
}

long request_key(const char *type, const char *description, const char *callout,
		 long keyring)
{
	return syscall(__NR_request_key, type, description, callout, keyring);
}

void new_session(void)
{
	if (keyctl(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0) < 0)
		die("new session keyring");
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* What the clock itself takes, at least. */
static uint64_t cost_of_clock(void)
{
	uint64_t least = UINT64_MAX;
	unsigned int i;

	for (i = 0; i < WARM_UP; i++) {
		uint64_t start = now(), taken = now() - start;

		if (taken < least)
			least = taken;
	}
	return least;
}

void measure(const char *series, const char *point, operation timed,
	     operation after, unsigned int n)
{
	/* Never the same number twice in one program. */
	static unsigned int number;
	uint64_t *cost, clock, start, total, own, sum = 0;
	unsigned int i;

	cost = calloc(n, sizeof(*cost));
	if (!cost)
		die("memory");
	lock_memory();
	/* What was before leaves work for the kernel, which is not to be seen here. */
	usleep(SETTLE_US);
	for (i = 0; i < WARM_UP; i++, number++) {
		timed(number);
		if (after)
			after(number);
	}

	clock = cost_of_clock();
	own = busy();
	start = now();
	for (i = 0; i < n; i++, number++) {
		uint64_t before = now();

		timed(number);
		cost[i] = now() - before - clock;
		if (after)
			after(number);
	}
	/* The clock is read twice in each round. */
	total = now() - start - 2 * n * clock;
	own = busy() - own - 2 * n * clock;

	for (i = 0; i < n; i++)
		sum += cost[i];
	qsort(cost, n, sizeof(*cost), compare);
	printf("%s %s each=%llu tasks=%llu mean=%llu median=%llu p95=%llu n=%u\n",
	       series, point, (unsigned long long)(total / n),
	       (unsigned long long)(own / n), (unsigned long long)(sum / n),
	       (unsigned long long)cost[n / 2],
	       (unsigned long long)cost[n - n / 20 - 1], n);
	fflush(stdout);
	free(cost);
}

void measure_at(const char *series, unsigned int point, operation timed,
		operation after, unsigned int n)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", point);
	measure(series, text, timed, after, n);
}

void report(const char *series, const char *point, const char *name,
	    uint64_t value)
{
	printf("%s %s %s=%llu\n", series, point, name, (unsigned long long)value);
	fflush(stdout);
}

static const struct {
	const char *name;
	void (*run)(unsigned int n, bool few);
} measurements[] = {
	{ "agent", cost_agent },
	{ "without", cost_without },
	{ "signalfd", bound_signalfd },
	{ "netlink", bound_netlink },
	{ "keys", scale_keys },
	{ "collector", scale_collector },
	{ "depth", scale_depth },
	{ "agents", scale_agents },
	{ "processes", scale_processes },
	{ "row", scale_row },
	{ "in-flight", scale_in_flight },
	{ "throughput", throughput },
	{ "memory-agents", memory_agents },
	{ "memory-in-flight", memory_in_flight },
};

int main(int argc, char **argv)
{
	bool few = argc > 1 && !strcmp(argv[1], "--few");
	unsigned int i, n = 0;

	if (argc == 5 && !strcmp(argv[1], "ask")) {
		n = strtoul(argv[4], NULL, 10);
		if (n) {
			cost_ask(argv[2], argv[3], n);
			return 0;
		}
	}
	if (argc == 4 && (!strcmp(argv[1], "watched") ||
			  !strcmp(argv[1], "watched-alone"))) {
		n = strtoul(argv[3], NULL, 10);
		if (n) {
			new_session();
			watched(argv[2], n, !strcmp(argv[1], "watched"));
			return 0;
		}
	}
	if (few) {
		argc--;
		argv++;
	}
	if (argc == 3)
		n = strtoul(argv[2], NULL, 10);
	for (i = 0; i < ARRAY_SIZE(measurements); i++) {
		if (argc >= 2 && argc <= 3 && !strcmp(argv[1], measurements[i].name)) {
			new_session();
			measurements[i].run(n, few);
			return 0;
		}
	}
	fprintf(stderr, "usage: bench [--few] MEASUREMENT [N]\n"
		"       bench ask POINT PREFIX N\n"
		"       bench watched|watched-alone PORT N\nmeasurements:");
	for (i = 0; i < ARRAY_SIZE(measurements); i++)
		fprintf(stderr, " %s", measurements[i].name);
	fprintf(stderr, "\n");
	return 2;
}
