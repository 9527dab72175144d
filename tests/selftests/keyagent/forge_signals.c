// SPDX-License-Identifier: GPL-2.0
/*
 * usage: forge_signals [--thread] PID SIGNAL COUNT VALUE [STEP [CODE]]
 *
 * Sends a process COUNT signals that look like requests: with the code
 * SI_KEYAGENT, or CODE, and VALUE, VALUE + STEP, ... for the serial of the key.
 * Waits while its queue is full; says so when it is for the first time.
 *
 * Requests are sent to a thread, which takes all that it was sent itself before
 * what its process was sent. With --thread these are, too.
 */

#include <errno.h>
#include <linux/keyagent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static long send(bool thread, int pid, int sig, siginfo_t *info)
{
	if (thread)
		return syscall(__NR_rt_tgsigqueueinfo, pid, pid, sig, info);
	return syscall(__NR_rt_sigqueueinfo, pid, sig, info);
}

int main(int argc, char **argv)
{
	bool thread = argc > 1 && !strcmp(argv[1], "--thread");
	int pid, sig, code, full = 0;
	siginfo_t info;
	long count, i;

	argc -= thread;
	argv += thread;
	if (argc < 5) {
		fprintf(stderr,
			"usage: forge_signals [--thread] PID SIGNAL COUNT VALUE [STEP [CODE]]\n");
		return 2;
	}
	pid = atoi(argv[1]);
	sig = atoi(argv[2]);
	count = atol(argv[3]);
	code = argc > 6 ? atoi(argv[6]) : SI_KEYAGENT;
	for (i = 0; i < count; i++) {
		memset(&info, 0, sizeof(info));
		info.si_signo = sig;
		info.si_code = code;
		info.si_pid = getpid();
		info.si_uid = getuid();
		info.si_int = atol(argv[4]) + i * (argc > 5 ? atol(argv[5]) : 0);
		while (send(thread, pid, sig, &info)) {
			if (errno != EAGAIN) {
				perror("sigqueueinfo");
				return 1;
			}
			if (!full++) {
				puts("the queue is full");
				fflush(stdout);
			}
			usleep(1000);
		}
	}
	return 0;
}
