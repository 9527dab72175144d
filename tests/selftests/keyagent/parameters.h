/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The parameters of the module while it is loaded, and what its interface has beyond
 * the two and four bytes of the first payload.
 */
#ifndef KEYAGENT_PARAMETERS_H
#define KEYAGENT_PARAMETERS_H

#include "observe.h"

#ifndef KEYAGENT_SHARED
#define KEYAGENT_SHARED	1
#endif

#define PARAMETERS	"/sys/module/keyagent/parameters/"

/* The payload with flags. */
struct flagged_payload {
	uint16_t signal;
	uint16_t reserved;
	uint32_t flags;
};

_Static_assert(sizeof(struct flagged_payload) == 8,
	       "the size is part of the interface");

static __maybe_unused long parameter_write(const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	return neg_errno(write_word(path, 0, value));
}

static __maybe_unused long parameter_set(const char *name, long value)
{
	char word[24];

	snprintf(word, sizeof(word), "%ld", value);
	return parameter_write(name, word);
}

/* -errno, or what it is: no parameter is negative. */
static __maybe_unused long parameter_get(const char *name)
{
	char path[128], text[64], *end;
	long value;

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	if (!file_read(path, text, sizeof(text)))
		return -errno;
	value = strtol(text, &end, 10);
	return end == text || strcmp(end, "\n") ? -EINVAL : value;
}

#endif
