// SPDX-License-Identifier: GPL-2.0
/* The processes that take part: agents, and those that are only there. */

#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define SIGNAL		(SIGRTMIN + 1)
#define PAYLOAD		"agent"

static int signals;
static long last_key;

void request_user(unsigned int number)
{
	char description[32];

	snprintf(description, sizeof(description), "bench:%08u", number);
	last_key = request_key("user", description, "", KEY_SPEC_SESSION_KEYRING);
	if (last_key < 0)
		die("request_key");
}

void unlink_user(unsigned int number)
{
	(void)number;
	if (keyctl(KEYCTL_UNLINK, last_key, KEY_SPEC_SESSION_KEYRING, 0, 0))
		die("unlink");
}

static void register_agent(const char *type)
{
	uint16_t payload = SIGNAL;

	signals = signal_descriptor(SIGNAL);
	if (keyctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1, 0, 0) < 0)
		die("process keyring");
	if (add_key("keyagent", type, &payload, sizeof(payload),
		    KEY_SPEC_SESSION_KEYRING) < 0)
		die("agent key");
}

static void prepare_agent(unsigned int number)
{
	(void)number;
	lock_memory();
	register_agent("user");
}

static void answer(unsigned int number)
{
	struct signalfd_siginfo info;

	(void)number;
	while (read(signals, &info, sizeof(info)) == sizeof(info)) {
		if (keyctl(KEYCTL_ASSUME_AUTHORITY, info.ssi_int, 0, 0, 0) < 0)
			die("assume authority");
		if (keyctl(KEYCTL_INSTANTIATE, info.ssi_int, (long)PAYLOAD,
			   sizeof(PAYLOAD) - 1, 0))
			die("instantiate");
	}
	die("signalfd");
}

static void prepare_idle_agent(unsigned int number)
{
	char type[32];

	snprintf(type, sizeof(type), "bench-%u", number);
	register_agent(type);
}

static void prepare_nothing(unsigned int number)
{
	(void)number;
}

static void do_nothing(unsigned int number)
{
	(void)number;
	for (;;)
		pause();
}

const struct part answering_agent = { prepare_agent, answer, 0 };
const struct part silent_agent = { prepare_agent, do_nothing, 0 };
const struct part idle_agent = { prepare_idle_agent, do_nothing, 0 };
const struct part idle_process = { prepare_nothing, do_nothing, 0 };

/* The process that answers, if there is one. */
static pid_t answering;

static uint64_t cpu_time(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts))
		die("the time of a process");
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

uint64_t busy_others(const pid_t *pids, unsigned int n)
{
	uint64_t sum = 0;
	clockid_t clock;
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (clock_getcpuclockid(pids[i], &clock))
			die("the clock of a process");
		sum += cpu_time(clock);
	}
	return sum;
}

uint64_t busy(void)
{
	return cpu_time(CLOCK_PROCESS_CPUTIME_ID) +
	       busy_others(&answering, answering ? 1 : 0);
}

pid_t start(const struct part *part, unsigned int number)
{
	int ready[2];
	char byte;
	pid_t pid;

	if (pipe(ready))
		die("pipe");
	pid = syscall(__NR_clone, part->clone_flags | SIGCHLD, NULL, NULL, NULL, 0);
	if (pid < 0)
		die("clone");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ready[0]);
		part->prepare(number);
		if (write(ready[1], "", 1) != 1)
			die("write");
		close(ready[1]);
		part->play(number);
		_exit(0);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1) {
		fprintf(stderr, "bench: a process ended before it was ready\n");
		exit(1);
	}
	close(ready[0]);
	if (part == &answering_agent)
		answering = pid;
	return pid;
}

void wait_for(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		die("wait");
	if (status) {
		fprintf(stderr, "bench: a process failed\n");
		exit(1);
	}
}

void stop(const pid_t *pids, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		kill(pids[i], SIGKILL);
		if (pids[i] == answering)
			answering = 0;
	}
	for (i = 0; i < n; i++)
		waitpid(pids[i], NULL, 0);
}
