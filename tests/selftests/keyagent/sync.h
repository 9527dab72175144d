/* SPDX-License-Identifier: GPL-2.0 */
/* Time, counters that processes wait for, and fork(). */
#ifndef KEYAGENT_SYNC_H
#define KEYAGENT_SYNC_H

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The factor by which this machine is slower than hardware. */
static __maybe_unused unsigned int slow(void)
{
	const char *s = getenv("KEYAGENT_SLOW");
	int n = s ? atoi(s) : 0;

	return n > 0 ? n : 10;
}

/* Whether the tests run on a kernel whose name for scripts/check begins with @name. */
static __maybe_unused bool kernel_is(const char *name)
{
	const char *kernel = getenv("KEYAGENT_KERNEL");

	return kernel && !strncmp(kernel, name, strlen(name));
}

static __maybe_unused long neg_errno(long ret)
{
	return ret < 0 ? -errno : ret;
}

static __maybe_unused uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ull + ts.tv_nsec / 1000000;
}

/* A counter in shared memory that another process waits for. */
static __maybe_unused void count_up(uint32_t *count)
{
	__atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST);
	syscall(__NR_futex, count, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static __maybe_unused uint32_t count_get(const uint32_t *count)
{
	return __atomic_load_n(count, __ATOMIC_SEQ_CST);
}

/* Waits until *count >= n, at most 10 s of hardware; false: it did not come. */
static __maybe_unused bool count_wait(uint32_t *count, uint32_t n)
{
	uint64_t end = now_ms() + 10000ull * slow();

	for (;;) {
		uint32_t seen = count_get(count);
		struct timespec ts = { .tv_sec = 1 };

		if (seen >= n)
			return true;
		if (now_ms() >= end)
			return false;
		syscall(__NR_futex, count, FUTEX_WAIT, seen, &ts, NULL, 0);
	}
}

/* fork() with the flags of clone(2). */
static __maybe_unused pid_t fork_flags(unsigned long flags)
{
	if (!flags)
		return fork();
	return syscall(__NR_clone, flags | SIGCHLD, NULL, NULL, NULL, 0);
}

#endif
