// SPDX-License-Identifier: GPL-2.0
/*
 * usage: forge_signals PID SIGNAL COUNT VALUE [STEP]
 *
 * Sends a process COUNT signals that look like requests: with the code
 * SI_KEYAGENT and VALUE, VALUE + STEP, ... for the serial of the key. Waits while
 * its queue is full.
 */

#include <errno.h>
#include <linux/keyagent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	siginfo_t info;
	int pid, sig;
	long count, i;

	if (argc < 5) {
		fprintf(stderr, "usage: forge_signals PID SIGNAL COUNT VALUE [STEP]\n");
		return 2;
	}
	pid = atoi(argv[1]);
	sig = atoi(argv[2]);
	count = atol(argv[3]);
	for (i = 0; i < count; i++) {
		memset(&info, 0, sizeof(info));
		info.si_signo = sig;
		info.si_code = SI_KEYAGENT;
		info.si_pid = getpid();
		info.si_uid = getuid();
		info.si_int = atol(argv[4]) + i * (argc > 5 ? atol(argv[5]) : 0);
		while (syscall(__NR_rt_sigqueueinfo, pid, sig, &info)) {
			if (errno != EAGAIN) {
				perror("rt_sigqueueinfo");
				return 1;
			}
			usleep(1000);
		}
	}
	return 0;
}
