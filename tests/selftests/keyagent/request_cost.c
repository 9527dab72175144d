// SPDX-License-Identifier: GPL-2.0
/*
 * What a request costs, and whether the price stays the same.
 *
 * An agent and a requester in one program: N requests one after another, each
 * key unlinked when it has been received. Prints the cost per request of every
 * batch of 1,000 and fails when the last batch is dearer or cheaper than the
 * first by more than 5 %.
 *
 * Meant for a machine in which time counts instructions:
 *
 *   tests/vm/run --cpus 1 --qemu-arg "-icount shift=0,sleep=off" -- \
 *	.../request_cost 10000
 *
 * With --no-agent nobody is there to ask, and the kernel may not start
 * /sbin/request-key either: what is left is the way there, with the module as it
 * was and, if KEYAGENT_MODULE names it, without it. Prints both and the difference,
 * which is what the module costs those who do not use it.
 *
 * There a nanosecond of CLOCK_MONOTONIC is an instruction. Host I/O would show
 * as time, so the program is linked statically, locks itself into memory and
 * runs some requests before it counts; nothing is printed until the end.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCH		1000
#define WARM_UP		900
#define MAX_BATCHES	1000
#define TOLERANCE	5	/* percent */

#define SIGNAL		(SIGRTMIN + 1)

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static long keyctl(int cmd, long a, long b, long c, long d)
{
	return syscall(__NR_keyctl, cmd, a, b, c, d);
}

/* Registers in the session keyring, tells the parent, then answers for ever. */
static void agent(int ready)
{
	struct signalfd_siginfo info;
	uint16_t payload = SIGNAL;
	sigset_t set;
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		die("mlockall");
	sigemptyset(&set);
	sigaddset(&set, SIGNAL);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (fd < 0)
		die("signalfd");
	if (keyctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1, 0, 0) < 0)
		die("process keyring");
	if (syscall(__NR_add_key, "keyagent", "user", &payload, sizeof(payload),
		    KEY_SPEC_SESSION_KEYRING) < 0)
		die("add_key keyagent");
	if (write(ready, "", 1) != 1)
		die("write");

	while (read(fd, &info, sizeof(info)) == sizeof(info)) {
		if (keyctl(KEYCTL_ASSUME_AUTHORITY, info.ssi_int, 0, 0, 0) < 0)
			die("assume authority");
		if (keyctl(KEYCTL_INSTANTIATE, info.ssi_int, (long)"agent", 5, 0))
			die("instantiate");
	}
	die("signalfd read");
}

static void request(unsigned int number)
{
	char description[32];
	long key;

	snprintf(description, sizeof(description), "cost:%08u", number);
	key = syscall(__NR_request_key, "user", description, "",
		      KEY_SPEC_SESSION_KEYRING);
	if (key < 0)
		die("request_key");
	if (keyctl(KEYCTL_UNLINK, key, KEY_SPEC_SESSION_KEYRING, 0, 0))
		die("unlink");
}

/* A request that finds no agent and no program: a negative key, at once. */
static void request_in_vain(unsigned int number)
{
	char description[32];

	snprintf(description, sizeof(description), "cost:%08u", number);
	if (syscall(__NR_request_key, "user", description, "",
		    KEY_SPEC_SESSION_KEYRING) >= 0) {
		fprintf(stderr, "request_cost: somebody answered\n");
		exit(1);
	}
	if (keyctl(KEYCTL_CLEAR, KEY_SPEC_SESSION_KEYRING, 0, 0, 0))
		die("clear");
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* What a request in vain costs, on the average of @n. */
static uint64_t cost_in_vain(unsigned int n)
{
	static unsigned int number;
	unsigned int end = number + WARM_UP;
	uint64_t start;

	while (number < end)
		request_in_vain(number++);
	start = now();
	end = number + n;
	while (number < end)
		request_in_vain(number++);
	return (now() - start) / n;
}

/* How many threads the system may have; returns how many it could before. */
static unsigned int set_threads_max(unsigned int n)
{
	FILE *f = fopen("/proc/sys/kernel/threads-max", "r+");
	unsigned int old;

	if (!f || fscanf(f, "%u", &old) != 1 || fseek(f, 0, SEEK_SET) ||
	    fprintf(f, "%u", n) < 0 || fclose(f))
		die("threads-max");
	return old;
}

static int measure_without_agent(unsigned int n)
{
	const char *module = getenv("KEYAGENT_MODULE");
	uint64_t with, without = 0;
	unsigned int threads;
	int fd;

	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		die("mlockall");
	/* To look for the program would be host I/O. There are more than that. */
	threads = set_threads_max(20);
	with = cost_in_vain(n);
	if (module) {
		if (syscall(__NR_delete_module, "keyagent", O_NONBLOCK))
			die("unload");
		without = cost_in_vain(n);
	}
	set_threads_max(threads);
	printf("as it was: %llu ns each\n", (unsigned long long)with);
	if (!module)
		return 0;
	printf("without the module: %llu ns each; difference %lld ns, %.2f %%\n",
	       (unsigned long long)without, (long long)(with - without),
	       100.0 * ((double)with - without) / without);
	fd = open(module, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || syscall(__NR_finit_module, fd, "", 0))
		die("load");
	return 0;
}

int main(int argc, char **argv)
{
	static uint64_t cost[MAX_BATCHES];
	unsigned int number = 0, batches, i;
	uint64_t start, total = 0, apart;
	bool no_agent = false;
	int ready[2];
	char byte;
	pid_t pid;
	long n;

	if (argc > 1 && !strcmp(argv[1], "--no-agent")) {
		no_agent = true;
		argc--;
		argv++;
	}
	n = argc > 1 ? strtol(argv[1], NULL, 10) : 10 * BATCH;
	batches = n / BATCH;
	if (n % BATCH || batches < 2 || batches > MAX_BATCHES) {
		fprintf(stderr, "usage: request_cost [--no-agent] [N], a multiple of %d, at least %d\n",
			BATCH, 2 * BATCH);
		return 1;
	}

	if (keyctl(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0) < 0)
		die("session keyring");
	if (no_agent)
		return measure_without_agent(n);
	if (pipe(ready))
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid)
		agent(ready[1]);
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1) {
		fprintf(stderr, "request_cost: the agent could not register\n");
		return 1;
	}
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		die("mlockall");

	while (number < WARM_UP)
		request(number++);
	for (i = 0; i < batches; i++) {
		unsigned int end = number + BATCH;

		start = now();
		while (number < end)
			request(number++);
		cost[i] = (now() - start) / BATCH;
		total += cost[i];
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);

	for (i = 0; i < batches; i++)
		printf("requests %6u to %6u: %8llu ns each\n", i * BATCH + 1,
		       (i + 1) * BATCH, (unsigned long long)cost[i]);
	apart = cost[0] > cost[batches - 1] ? cost[0] - cost[batches - 1] :
					      cost[batches - 1] - cost[0];
	printf("first %llu ns, last %llu ns, mean %llu ns: %.2f %% apart, %d %% allowed\n",
	       (unsigned long long)cost[0],
	       (unsigned long long)cost[batches - 1],
	       (unsigned long long)(total / batches),
	       100.0 * apart / cost[0], TOLERANCE);
	return apart * 100 > TOLERANCE * cost[0];
}
