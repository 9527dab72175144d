// SPDX-License-Identifier: GPL-2.0
/* Many requests at the same time, and what they take of the kernel's memory. */

#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bench.h"

#define MOST	1000

/* By which the requesters are let go, and say that they are done. */
static int gate, done;
static unsigned int each;

static void pass(int fd, uint64_t count)
{
	if (write(fd, &count, sizeof(count)) != sizeof(count))
		die("eventfd");
}

/* Waits for one of a semaphore's. */
static void take(int fd)
{
	uint64_t count;

	if (read(fd, &count, sizeof(count)) != sizeof(count))
		die("eventfd");
}

static void open_gate(void)
{
	gate = eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC);
	done = eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC);
	if (gate < 0 || done < 0)
		die("eventfd");
}

static void prepare_requester(unsigned int number)
{
	/* Once, so that its pages are there. */
	request_user(number);
	unlink_user(number);
}

static void play_requester(unsigned int number)
{
	unsigned int i;

	for (;;) {
		take(gate);
		for (i = 0; i < each; i++) {
			request_user(number + i * MOST);
			unlink_user(number);
		}
		pass(done, 1);
	}
}

/*
 * Lets @count requesters make @all requests, but four each at least, as fast as they
 * can, and reports what one takes on the average of them all.
 */
static void requests_of(const char *series, unsigned int count, unsigned int all)
{
	static const struct part requester = { prepare_requester, play_requester, 0 };
	static pid_t pids[MOST];
	uint64_t start_time, taken, own;
	unsigned int i, round;

	each = all / count < 4 ? 4 : all / count;
	for (i = 0; i < count; i++)
		pids[i] = start(&requester, i);
	/* The first round is not counted. */
	for (round = 0; round < 2; round++) {
		own = busy() + busy_others(pids, count);
		start_time = now();
		pass(gate, count);
		for (i = 0; i < count; i++)
			take(done);
		taken = now() - start_time;
		own = busy() + busy_others(pids, count) - own;
	}
	printf("%s %u each=%llu tasks=%llu n=%u\n", series, count,
	       (unsigned long long)(taken / (count * each)),
	       (unsigned long long)(own / (count * each)), count * each);
	fflush(stdout);
	stop(pids, count);
}

static void crowd(const char *series, const unsigned int *counts, unsigned int n,
		  unsigned int all, bool few)
{
	pid_t agent;
	unsigned int i;

	open_gate();
	agent = start(&answering_agent, 0);
	for (i = 0; i < n; i++) {
		if (!few || counts[i] == 10 || i == n - 1)
			requests_of(series, counts[i], all);
	}
	stop(&agent, 1);
}

/* How many requests one agent has at a time. None may fail, or the program does. */
void scale_in_flight(unsigned int n, bool few)
{
	static const unsigned int counts[] = { 1, 10, 100, 1000 };

	crowd("in-flight", counts, ARRAY_SIZE(counts), n ? n : 4000, few);
}

/* How many requesters there are, on whatever processors there are. */
void throughput(unsigned int n, bool few)
{
	static const unsigned int counts[] = { 1, 2, 4, 8, 16, 32, 64 };
	char series[32];

	snprintf(series, sizeof(series), "cpus-%ld", sysconf(_SC_NPROCESSORS_ONLN));
	crowd(series, counts, ARRAY_SIZE(counts), n ? n : 2000, few);
}

/* What is in use of the slabs now, in bytes. */
static uint64_t slabs(void)
{
	FILE *f = fopen("/proc/slabinfo", "r");
	unsigned long objects, size;
	uint64_t sum = 0;
	char line[512];

	if (!f)
		die("/proc/slabinfo");
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %lu %*u %lu", &objects, &size) == 2)
			sum += (uint64_t)objects * size;
	fclose(f);
	if (!sum)
		die("/proc/slabinfo");
	return sum;
}

static void prepare_waiting(unsigned int number)
{
	(void)number;
}

/* Becomes an agent when it is let go, and stays one. */
static void play_late_agent(unsigned int number)
{
	take(gate);
	idle_agent.prepare(number);
	pass(done, 1);
	idle_agent.play(number);
}

/* Asks when it is let go, and waits. */
static void play_late_requester(unsigned int number)
{
	take(gate);
	pass(done, 1);
	request_user(number);
}

/*
 * What @MOST processes take when they begin to do what they are there for. Slabs that
 * something else has left half empty would be filled first: to be measured before
 * anything else in a machine.
 */
static uint64_t taken_by(void (*play)(unsigned int number))
{
	struct part part = { prepare_waiting, play, 0 };
	static pid_t pids[MOST];
	uint64_t before, taken;
	unsigned int i;

	for (i = 0; i < MOST; i++)
		pids[i] = start(&part, i);
	before = slabs();
	pass(gate, MOST);
	for (i = 0; i < MOST; i++)
		take(done);
	/* On one processor each runs until it waits. */
	usleep(100000);
	taken = slabs() - before;
	stop(pids, MOST);
	return taken / MOST;
}

/* The kernel's memory, besides what the processes take that play a part. */
void memory_agents(unsigned int n, bool few)
{
	(void)n;
	(void)few;
	open_gate();
	report("memory", "agent", "bytes", taken_by(play_late_agent));
}

/* The same for requests in flight, with what the key service has of each. */
void memory_in_flight(unsigned int n, bool few)
{
	pid_t agent = start(&silent_agent, 0);

	(void)n;
	(void)few;
	open_gate();
	report("memory", "in-flight", "bytes", taken_by(play_late_requester));
	stop(&agent, 1);
}
