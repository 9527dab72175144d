// SPDX-License-Identifier: GPL-2.0
/*
 * What it costs to be given a key.
 *
 * usage: ask PREFIX N
 *
 * Asks for N keys of type "user" one after another, unlinking each, and prints
 * the mean cost of one and the spread: the cheapest and the dearest of ten
 * parts. Some requests come before that and are not counted.
 *
 * In a machine in which time counts instructions (QEMU's -icount) a nanosecond
 * of CLOCK_MONOTONIC is an instruction.
 */

#include <linux/keyctl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PARTS	10
#define WARM_UP	30

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void ask(const char *prefix, unsigned int number)
{
	char description[64];
	long key;

	snprintf(description, sizeof(description), "%s%08u", prefix, number);
	key = syscall(__NR_request_key, "user", description, "callout",
		      KEY_SPEC_SESSION_KEYRING);
	if (key < 0)
		die(description);
	if (syscall(__NR_keyctl, KEYCTL_UNLINK, key, KEY_SPEC_SESSION_KEYRING))
		die("unlink");
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

int main(int argc, char **argv)
{
	uint64_t cost[PARTS], total = 0, least, most;
	unsigned int number = 0, i;
	long n = argc == 3 ? strtol(argv[2], NULL, 10) / PARTS : 0;

	if (n < 1) {
		fprintf(stderr, "usage: ask PREFIX N, N at least %d\n", PARTS);
		return 2;
	}
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		die("mlockall");
	while (number < WARM_UP)
		ask(argv[1], number++);
	for (i = 0; i < PARTS; i++) {
		unsigned int end = number + n;
		uint64_t start = now();

		while (number < end)
			ask(argv[1], number++);
		cost[i] = (now() - start) / n;
		total += cost[i];
	}
	least = most = cost[0];
	for (i = 1; i < PARTS; i++) {
		if (cost[i] < least)
			least = cost[i];
		if (cost[i] > most)
			most = cost[i];
	}
	printf("%llu %llu %llu\n", (unsigned long long)(total / PARTS),
	       (unsigned long long)least, (unsigned long long)most);
	return 0;
}
