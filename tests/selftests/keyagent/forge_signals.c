// SPDX-License-Identifier: GPL-2.0
/*
 * usage: forge_signals PID SIGNAL COUNT VALUE [STEP [CODE]]
 *
 * Sends a process COUNT signals that look like requests: with the code
 * SI_KEYAGENT, or CODE, and VALUE, VALUE + STEP, ... for the serial of the key.
 * Waits while its queue is full; says so when it is for the first time.
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
	int pid, sig, code, full = 0;
	siginfo_t info;
	long count, i;

	if (argc < 5) {
		fprintf(stderr, "usage: forge_signals PID SIGNAL COUNT VALUE [STEP [CODE]]\n");
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
		while (syscall(__NR_rt_sigqueueinfo, pid, sig, &info)) {
			if (errno != EAGAIN) {
				perror("rt_sigqueueinfo");
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
