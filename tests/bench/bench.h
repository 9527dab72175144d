/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the measurements have in common: the clock, samples and their report, the
 * key service's system calls, and processes that play a part.
 */
#ifndef KEYAGENT_BENCH_H
#define KEYAGENT_BENCH_H

#include <linux/keyctl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* Ends the program with the reason that errno gives. */
_Noreturn void die(const char *what);

/* Nanoseconds; where time counts instructions (QEMU's -icount), instructions. */
uint64_t now(void);

/* ------------------------------------------------------------- measuring */

/* One operation. The number is another one each time. */
typedef void (*operation)(unsigned int number);

/*
 * Does @timed and after it @after, which may be NULL, @n times, some times before
 * that without counting, and reports
 *
 *	SERIES POINT each=N tasks=N mean=N median=N p95=N n=N
 *
 * "each" is what one round takes of the machine's time, with @after and with
 * whatever the kernel does on the occasion; "tasks" is what of that this process and
 * the agent take, if there is one. "mean", "median" and "p95" are of @timed alone,
 * from call to return. None has the clock in it.
 */
void measure(const char *series, const char *point, operation timed,
	     operation after, unsigned int n);

/* The same with a number for the point. */
void measure_at(const char *series, unsigned int point, operation timed,
		operation after, unsigned int n);

/* Reports a value that is no sample: SERIES POINT NAME=N */
void report(const char *series, const char *point, const char *name,
	    uint64_t value);

/* What this process and the answering agent have had of the processors so far. */
uint64_t busy(void);

/* The same for @n processes. */
uint64_t busy_others(const pid_t *pids, unsigned int n);

/* Keeps the program in memory: a page that is read from the host takes time. */
void lock_memory(void);

/* Blocks a signal. The descriptor that it is read from. */
int signal_descriptor(int number);

/* --------------------------------------------------------- the key service */

long keyctl(int command, long a, long b, long c, long d);
long add_key(const char *type, const char *description, const void *payload,
	     size_t size, long keyring);
long request_key(const char *type, const char *description, const char *callout,
		 long keyring);

/* Asks for a key of type "user" by that number, which has to be given. */
void request_user(unsigned int number);

/* Unlinks the key that request_user() got last. */
void unlink_user(unsigned int number);

/* A new session keyring, in which nothing is linked. */
void new_session(void);

/* ------------------------------------------------------------- processes */

/* What a process does before it says that it is ready, and what after that. */
struct part {
	void (*prepare)(unsigned int number);
	void (*play)(unsigned int number);
	unsigned long clone_flags;	/* CLONE_NEWPID */
};

/* Starts a process and waits until it is ready. It dies with this one. */
pid_t start(const struct part *part, unsigned int number);

/* Waits until it ended, which has to be with success. */
void wait_for(pid_t pid);

/* Ends @n of them. */
void stop(const pid_t *pids, unsigned int n);

/*
 * Agents for keys of type "user" that they link into the session keyring. One
 * answers each request in turn, with what an agent has to do and nothing else; the
 * other takes the signal and leaves the requester waiting.
 */
extern const struct part answering_agent;
extern const struct part silent_agent;

/* An agent for keys of a type that is made of the number; nobody asks it. */
extern const struct part idle_agent;

/* A process that does nothing. */
extern const struct part idle_process;

/* ---------------------------------------------------------- what there is */

/*
 * Each measures what its name says; @n is how often, 0 for as often as makes sense
 * there. With @few only the ends of a scale.
 */
void cost_agent(unsigned int n, bool few);
void cost_without(unsigned int n, bool few);
void bound_signalfd(unsigned int n, bool few);
void bound_netlink(unsigned int n, bool few);
void scale_keys(unsigned int n, bool few);
void scale_collector(unsigned int n, bool few);
void scale_depth(unsigned int n, bool few);
void scale_agents(unsigned int n, bool few);
void scale_processes(unsigned int n, bool few);
void scale_row(unsigned int n, bool few);
void scale_in_flight(unsigned int n, bool few);
void throughput(unsigned int n, bool few);
void memory_agents(unsigned int n, bool few);
void memory_in_flight(unsigned int n, bool few);

/*
 * Asks for keys of type "user" whose descriptions begin with @prefix, in the session
 * keyring that is there, of whoever answers for them.
 */
void cost_ask(const char *point, const char *prefix, unsigned int n);

/* Requests that the host watches, which is told through the machine's port @port. */
void watched(const char *port, unsigned int n, bool has_agent);

#endif
