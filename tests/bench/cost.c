// SPDX-License-Identifier: GPL-2.0
/* What one request costs, and what everything else costs when the module is there. */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define CACHED	"bench-cached"

void cost_agent(unsigned int n, bool few)
{
	pid_t agent = start(&answering_agent, 0);
	unsigned int i;

	/* A machine that has just booted has more to do besides. */
	for (i = 0; i < 3000; i++) {
		request_user(i);
		unlink_user(i);
	}
	measure("request", "agent", request_user, unlink_user,
		n ? n : few ? 1000 : 3000);
	stop(&agent, 1);
}

static const char *asked_prefix;
static long asked_key;

static void ask(unsigned int number)
{
	char description[64];

	snprintf(description, sizeof(description), "%s%08u", asked_prefix, number);
	asked_key = request_key("user", description, "callout",
				KEY_SPEC_SESSION_KEYRING);
	if (asked_key < 0)
		die(description);
}

static void unlink_asked(unsigned int number)
{
	(void)number;
	if (keyctl(KEYCTL_UNLINK, asked_key, KEY_SPEC_SESSION_KEYRING, 0, 0))
		die("unlink");
}

void cost_ask(const char *point, const char *prefix, unsigned int n)
{
	asked_prefix = prefix;
	measure("request", point, ask, unlink_asked, n);
}

static void clear_session(unsigned int number)
{
	(void)number;
	if (keyctl(KEYCTL_CLEAR, KEY_SPEC_SESSION_KEYRING, 0, 0, 0))
		die("clear");
}

/* A request that finds neither an agent nor a program: a negative key, at once. */
static void request_in_vain(unsigned int number)
{
	char description[32];

	snprintf(description, sizeof(description), "vain:%08u", number);
	if (request_key("user", description, "", KEY_SPEC_SESSION_KEYRING) >= 0) {
		fprintf(stderr, "bench: somebody answered\n");
		_exit(1);
	}
}

static void add_user(unsigned int number)
{
	char description[32];

	snprintf(description, sizeof(description), "add:%08u", number);
	if (add_key("user", description, "payload", 7,
		    KEY_SPEC_SESSION_KEYRING) < 0)
		die("add_key");
}

static void request_cached(unsigned int number)
{
	(void)number;
	if (request_key("user", CACHED, "callout", 0) < 0)
		die("request_key of a key that is there");
}

static void describe_session(unsigned int number)
{
	char text[128];

	(void)number;
	if (keyctl(KEYCTL_DESCRIBE, KEY_SPEC_SESSION_KEYRING, (long)text,
		   sizeof(text), 0) < 0)
		die("describe");
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

/*
 * What the module adds for those who do not use it. The program of an upcall is as
 * dear as a hundred times that, and never costs the same twice: there must be none.
 */
void cost_without(unsigned int n, bool few)
{
	const char *state = access("/sys/module/keyagent", F_OK) ? "unloaded" :
								   "loaded";
	unsigned int threads, many = n ? n : 20000;
	pid_t agent;

	/* The kernel has more than that of its own. */
	threads = set_threads_max(20);
	measure("in-vain", state, request_in_vain, clear_session,
		n ? n : few ? 2000 : 5000);
	set_threads_max(threads);

	/* The collector of dead keys has a part in these, now more, now less. */
	measure("add_key", state, add_user, clear_session, many);
	if (add_key("user", CACHED, "payload", 7, KEY_SPEC_SESSION_KEYRING) < 0)
		die("add_key");
	measure("cached", state, request_cached, NULL, many);
	measure("keyctl", state, describe_session, NULL, many);
	if (!strcmp(state, "unloaded"))
		return;

	agent = start(&answering_agent, 0);
	measure("cached", "agent", request_cached, NULL, many);
	measure("keyctl", "agent", describe_session, NULL, many);
	stop(&agent, 1);
}

/*
 * Makes @n requests when the host says so, through a port of the machine's, which
 * watches them. Nothing else happens here meanwhile. Without an agent there is no
 * program either.
 */
void watched(const char *port, unsigned int n, bool has_agent)
{
	operation request = has_agent ? request_user : request_in_vain;
	operation after = has_agent ? unlink_user : clear_session;
	unsigned int number = 0, warm = 200, threads = 0;
	int fd = open(port, O_RDWR | O_CLOEXEC);
	char line[8];
	pid_t agent;

	if (fd < 0)
		die(port);
	lock_memory();
	if (has_agent)
		agent = start(&answering_agent, 0);
	else
		threads = set_threads_max(20);
	for (; number < warm; number++) {
		request(number);
		after(number);
	}
	/* What the kernel left for later of these is not to be seen. */
	usleep(500000);
	if (write(fd, "ready\n", 6) != 6 || read(fd, line, sizeof(line)) <= 0)
		die("the host");
	for (; number < warm + n; number++) {
		request(number);
		after(number);
	}
	/* What the kernel left for later belongs to it. */
	usleep(100000);
	if (write(fd, "done\n", 5) != 5 || read(fd, line, sizeof(line)) <= 0)
		die("the host");
	if (has_agent)
		stop(&agent, 1);
	else
		set_threads_max(threads);
}
