/* SPDX-License-Identifier: GPL-2.0 */
/* A requester in a process of its own. */
#ifndef KEYAGENT_REQUESTER_H
#define KEYAGENT_REQUESTER_H

#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "sync.h"
#include "wrappers.h"

/* A process that calls request_key(2) once. */
struct requester_opts {
	const char *type;	/* NULL: "user" */
	const char *desc;
	const char *callout;	/* NULL: "-"; see no_callout */
	bool no_callout;
	key_serial_t dest;
	unsigned long clone_flags;
	/* Runs in the requester before the request; 0 or -errno. */
	long (*prepare)(const struct requester_opts *o);
	long arg;		/* for the prepare function */
};

struct requester {
	pid_t pid;
	int fd;
};

struct requester_result {
	key_serial_t key;	/* -1: see error */
	int error;
	uint64_t ms;		/* how long the system call took */
};

/* The error of a requester that died without a result. */
#define REQUESTER_DIED	10000

static __maybe_unused void
requester_start(struct __test_metadata *const _metadata, struct requester *r,
		const struct requester_opts *o)
{
	struct requester_result res = { 0 };
	int fds[2];

	ASSERT_EQ(0, pipe(fds));
	r->pid = fork_flags(o->clone_flags);
	ASSERT_LE(0, r->pid);
	if (r->pid) {
		close(fds[1]);
		r->fd = fds[0];
		return;
	}
	close(fds[0]);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (o->prepare) {
		long ret = o->prepare(o);

		if (ret < 0) {
			fprintf(stderr, "# requester: prepare: %s\n",
				strerror(-ret));
			_exit(1);
		}
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	}
	res.ms = now_ms();
	res.key = sys_request_key(o->type ? o->type : "user", o->desc,
				  o->no_callout ? NULL :
				  o->callout ? o->callout : "-", o->dest);
	res.error = res.key < 0 ? errno : 0;
	res.ms = now_ms() - res.ms;
	if (write(fds[1], &res, sizeof(res)) != sizeof(res))
		_exit(1);
	_exit(0);
}

/* Waits for the end of the request and reaps the requester. */
static __maybe_unused struct requester_result
requester_finish(struct requester *r)
{
	struct requester_result res;

	if (read(r->fd, &res, sizeof(res)) != sizeof(res)) {
		res.key = -1;
		res.error = REQUESTER_DIED;
		res.ms = 0;
	}
	close(r->fd);
	waitpid(r->pid, NULL, 0);
	return res;
}

/* A request from a process of its own, start to end. */
static __maybe_unused struct requester_result
request_in_child(struct __test_metadata *const _metadata,
		 const struct requester_opts *o)
{
	struct requester r;

	requester_start(_metadata, &r, o);
	return requester_finish(&r);
}

#endif
