/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Chance that can be repeated: all of a run's choices come from one seed, which
 * KEYAGENT_SEED sets and the run prints.
 */
#ifndef KEYAGENT_PRNG_H
#define KEYAGENT_PRNG_H

#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"

/* The next number of the stream whose state is *s (splitmix64). */
static __maybe_unused uint64_t prng_next(uint64_t *s)
{
	uint64_t z = *s += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static __maybe_unused uint32_t prng_below(uint64_t *s, uint32_t n)
{
	return (prng_next(s) >> 32) * n >> 32;
}

/* An index into @weights, each as likely as its weight says. */
static __maybe_unused unsigned int
prng_pick(uint64_t *s, const unsigned char *weights, unsigned int n)
{
	uint32_t sum = 0, r;
	unsigned int i;

	for (i = 0; i < n; i++)
		sum += weights[i];
	r = prng_below(s, sum);
	for (i = 0; r >= weights[i]; i++)
		r -= weights[i];
	return i;
}

static __maybe_unused uint64_t prng_seed(void)
{
	const char *s = getenv("KEYAGENT_SEED");

	return s && *s ? strtoull(s, NULL, 0) :
		(uint64_t)time(NULL) << 16 ^ getpid();
}

/* For how many seconds to go on. */
static __maybe_unused unsigned int prng_seconds(const char *name,
						unsigned int dfl)
{
	const char *s = getenv(name);
	int n = s ? atoi(s) : 0;

	return n > 0 ? (unsigned int)n : dfl;
}

#endif
