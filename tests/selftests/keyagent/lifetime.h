/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For the tests of what becomes of agents, requesters and authority: agents of
 * several threads or processes, executing another program, and what /proc says
 * about a process.
 *
 * A limb is a second thread of an agent, or a child of it, that serves requests
 * and agent_call() in the same way as the agent itself.
 */
#ifndef KEYAGENT_LIFETIME_H
#define KEYAGENT_LIFETIME_H

#include <dirent.h>
#include <pthread.h>

#include "common.h"

/* How soon a requester must notice that its agent is gone. */
static __maybe_unused uint64_t notice_ms(void)
{
	return 1500 + 100 * slow();
}

/* ------------------------------------------------------------- processes */

/* Waits until the process is dead, without reaping it; 0 on success. */
static __maybe_unused int wait_dead(pid_t pid)
{
	struct pollfd fd = {
		.fd = syscall(__NR_pidfd_open, pid, 0),
		.events = POLLIN,
	};
	int ret;

	if (fd.fd < 0)
		return errno == ESRCH ? 0 : -1;
	ret = poll(&fd, 1, 10000 * slow());
	close(fd.fd);
	return ret == 1 ? 0 : -1;
}

/* The state letter of a thread, 0 when there is no such thread. */
static __maybe_unused char proc_state(pid_t tid)
{
	char path[64], buf[512], *p;
	ssize_t len = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		len = read(fd, buf, sizeof(buf) - 1);
		close(fd);
	}
	if (len <= 0)
		return 0;
	buf[len] = '\0';
	p = strrchr(buf, ')');
	return p ? p[2] : 0;
}

/* True while the thread sleeps, whatever may wake it. */
static __maybe_unused bool is_asleep(pid_t tid)
{
	const char state = proc_state(tid);

	return state == 'S' || state == 'D';
}

/* True while the thread sleeps in that system call. */
static __maybe_unused bool in_syscall(pid_t pid, long nr)
{
	char path[64], buf[256];
	ssize_t len = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		len = read(fd, buf, sizeof(buf) - 1);
		close(fd);
	}
	if (len <= 0)
		return false;
	buf[len] = '\0';
	/* "running" while it does not sleep. */
	return buf[0] != 'r' && strtol(buf, NULL, 10) == nr;
}

static __maybe_unused bool in_request_key(pid_t pid)
{
	return in_syscall(pid, __NR_request_key);
}

/* True if the signal is pending for the process or its main thread. */
static __maybe_unused bool signal_pending(pid_t pid, int sig)
{
	unsigned long long mask, pending = 0;
	char path[64], line[256];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "SigPnd: %llx", &mask) == 1 ||
		    sscanf(line, "ShdPnd: %llx", &mask) == 1)
			pending |= mask;
	if (f)
		fclose(f);
	return pending & (1ull << (sig - 1));
}

/* ----------------------------------------------------------------- limbs */

struct limb {
	struct agent call;	/* for agent_call(): runs in the limb */
	int end;		/* the limb's end of the socket */
};

/* Before agent_start(): the agent inherits the socket. */
static __maybe_unused void limb_open(struct __test_metadata *const _metadata,
				     struct limb *l)
{
	int sv[2];

	memset(l, 0, sizeof(*l));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv));
	l->call.ctl = sv[0];
	l->end = sv[1];
}

static __maybe_unused void limb_serve(struct agent *a)
{
	sigset_t set;
	int sfd;

	sigemptyset(&set);
	sigaddset(&set, a->opts.sig);
	sfd = signalfd(-1, &set, SFD_CLOEXEC);
	if (sfd < 0)
		_exit(1);
	for (;;)
		agent_wait_signalfd(a, sfd);
}

static __maybe_unused void *limb_thread(void *limb)
{
	limb_serve(limb);
	return NULL;
}

/* In the agent: starts a thread that serves; the argument is its socket. */
static __maybe_unused long agent_do_limb_thread(struct agent *a,
						const void *arg)
{
	struct agent *limb = malloc(sizeof(*limb));
	pthread_t thread;

	if (!limb)
		return -ENOMEM;
	*limb = *a;
	limb->ctl = *(const int *)arg;
	return -pthread_create(&thread, NULL, limb_thread, limb);
}

/* In the agent: starts a child that serves; returns its pid. */
static __maybe_unused long agent_do_limb_child(struct agent *a, const void *arg)
{
	struct agent limb = *a;
	pid_t pid = fork();

	if (pid)
		return pid < 0 ? -errno : pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	limb.ctl = *(const int *)arg;
	limb_serve(&limb);
	return 0;
}

/* Starts the limb of a running agent by one of the two; its result. */
static __maybe_unused long limb_start(struct __test_metadata *const _metadata,
				      struct limb *l, struct agent *a,
				      agent_fn how)
{
	long ret = agent_call(_metadata, a, how, &l->end, sizeof(l->end));

	close(l->end);
	l->call.sh = a->sh;
	l->call.opts = a->opts;
	return ret;
}

/* Registers the calling thread, for agents that start with no_register. */
static __maybe_unused long agent_do_register(struct agent *a,
					     const void *arg __maybe_unused)
{
	long key = agent_register(a->opts.type, a->opts.sig);

	if (key >= 0)
		a->sh->key = key;
	return key;
}

/* Registers what @a stands for and links the key into the session keyring. */
static __maybe_unused void
agent_enlist(struct __test_metadata *const _metadata, struct agent *a)
{
	long key = agent_call(_metadata, a, agent_do_register, NULL, 0);

	ASSERT_LT(0, key) {
		TH_LOG("cannot register: %s", strerror(-key));
	}
	ASSERT_EQ(0, keyctl_link(key, KEY_SPEC_SESSION_KEYRING));
}

static __maybe_unused long agent_do_gettid(struct agent *a __maybe_unused,
					   const void *arg __maybe_unused)
{
	return syscall(__NR_gettid);
}

/* Ends the calling thread and no other. */
static __maybe_unused long agent_do_thread_exit(struct agent *a __maybe_unused,
						const void *arg __maybe_unused)
{
	syscall(__NR_exit, 0);
	__builtin_unreachable();
}

/* Has the calling thread end and waits until it is dead. */
static __maybe_unused void
thread_exit(struct __test_metadata *const _metadata, struct agent *a)
{
	pid_t tid = agent_call(_metadata, a, agent_do_gettid, NULL, 0);
	char state;

	ASSERT_LT(0, tid);
	agent_post(_metadata, a, agent_do_thread_exit, NULL, 0);
	/* A leader stays as a zombie, another thread vanishes. */
	ASSERT_TRUE(wait_until((state = proc_state(tid)) == 0 || state == 'Z'));
}

/* ------------------------------------------------------------------ exec */

#define EXEC_VARIABLE	"KEYAGENT_TEST_EXEC"

/*
 * The program again, as somebody who tells that it runs and then only does what
 * agent_call() says. The variable names the descriptor for both, and where a
 * function was before.
 */
static void __attribute__((constructor(200))) serve_if_asked(void)
{
	const char *s = getenv(EXEC_VARIABLE);
	struct agent a = { 0 };
	unsigned long before;

	if (!s)
		return;
	if (sscanf(s, "%d %lx", &a.ctl, &before) != 2 ||
	    write(a.ctl, "", 1) != 1)
		_exit(1);
	agent_moved = (uintptr_t)serve_if_asked - before;
	for (;;)
		agent_serve_call(&a);
}

enum disposition {
	SIGNAL_BLOCKED,
	SIGNAL_IGNORED,
	SIGNAL_DEFAULT,
};

/*
 * Executes the test program again, in the calling thread; the argument says what
 * the new image does about the agent's signal.
 */
static __maybe_unused long agent_do_exec_self(struct agent *a, const void *arg)
{
	const enum disposition *how = arg;
	char to[64];
	sigset_t set;

	snprintf(to, sizeof(to), "%d %lx", dup(a->ctl),
		 (unsigned long)serve_if_asked);
	setenv(EXEC_VARIABLE, to, 1);
	sigemptyset(&set);
	sigaddset(&set, a->opts.sig);
	if (*how == SIGNAL_IGNORED)
		signal(a->opts.sig, SIG_IGN);
	if (*how != SIGNAL_BLOCKED)
		pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	execl("/proc/self/exe", "executed", NULL);
	_exit(127);
}

/* Has @a execute, and waits until the new image runs. */
static __maybe_unused void
agent_exec_self(struct __test_metadata *const _metadata, struct agent *a,
		enum disposition how)
{
	struct pollfd fd = { .fd = a->ctl, .events = POLLIN };
	char byte;

	agent_post(_metadata, a, agent_do_exec_self, &how, sizeof(how));
	ASSERT_EQ(1, poll(&fd, 1, 10000 * slow()));
	ASSERT_EQ(1, read(a->ctl, &byte, 1));
}

/* ------------------------------------------------------------- requesters */

/* The answer that a request has got: its payload, or "errno N". */
static __maybe_unused const char *answer(const struct requester_result *r)
{
	static char buf[32];

	if (r->key >= 0)
		return payload_of(r->key);
	snprintf(buf, sizeof(buf), "errno %d", r->error);
	return buf;
}

/* Starts a request for @desc that the agent receives and does nothing about. */
static __maybe_unused key_serial_t
request_held(struct __test_metadata *const _metadata, struct agent *a,
	     struct requester *r, const char *desc)
{
	struct requester_opts o = { .desc = desc };
	int n = agent_asked(a);

	requester_start(_metadata, r, &o);
	agent_wait_asked(_metadata, a, n + 1);
	return agent_record(a, n)->key;
}

/* Starts a request that waits for somebody else's for the same key. */
static __maybe_unused void
requester_join(struct __test_metadata *const _metadata, struct requester *r,
	       const struct requester_opts *o)
{
	requester_start(_metadata, r, o);
	ASSERT_TRUE(wait_until(in_request_key(r->pid) &&
			       proc_state(r->pid) == 'S'));
}

/* A request for @desc that has to be answered with that payload. */
static __maybe_unused void
expect_answer(struct __test_metadata *const _metadata, const char *desc,
	      const char *payload)
{
	struct requester_opts o = { .desc = desc };
	struct requester_result r = request_in_child(_metadata, &o);

	EXPECT_STREQ(payload, answer(&r));
}

/*
 * Requests that meet a dead agent: they end with the upcall, the agent is not
 * asked and its key is revoked.
 */
static __maybe_unused void expect_upcall(struct __test_metadata *const _metadata,
					 const struct agent *a)
{
	const char *desc = unique("upcall");
	int asked = agent_asked(a);

	expect_answer(_metadata, desc, "upcall");
	EXPECT_EQ(1, upcall_count(desc, NULL));
	EXPECT_EQ(asked, agent_asked(a));
	EXPECT_EQ(-1, keyctl_describe(a->sh->key, NULL, 0));
	EXPECT_EQ(EKEYREVOKED, errno);
	expect_answer(_metadata, unique("again"), "upcall");
}

static __maybe_unused void
expect_in_time(struct __test_metadata *const _metadata, uint64_t since)
{
	uint64_t took = now_ms() - since;

	EXPECT_GE(notice_ms(), took) {
		TH_LOG("noticed after %llu ms", (unsigned long long)took);
	}
}

/*
 * The end of a request whose agent died at @since, after the hand-over, and may
 * have left the authority with somebody.
 */
static __maybe_unused void
expect_noticed(struct __test_metadata *const _metadata, struct requester *r,
	       const char *desc, uint64_t since)
{
	struct requester_result res = requester_finish(r);

	expect_in_time(_metadata, since);
	EXPECT_EQ(-1, res.key);
	EXPECT_EQ(ENOKEY, res.error);
	EXPECT_EQ(0, upcall_count(desc, NULL));
}

/* The same when nobody has taken the authority: the upcall gets the request. */
static __maybe_unused void
expect_passed_on(struct __test_metadata *const _metadata, struct requester *r,
		 const char *desc, uint64_t since)
{
	struct requester_result res = requester_finish(r);

	expect_in_time(_metadata, since);
	EXPECT_STREQ("upcall", answer(&res));
	EXPECT_EQ(1, upcall_count(desc, NULL));
	EXPECT_TRUE(authkeys_gone());
}

/* The flags of a key in /proc/keys, as "I--Q-N-"; "" when it is not there. */
static __maybe_unused const char *key_flags(key_serial_t key)
{
	static char flags[16];
	char line[1024];

	flags[0] = '\0';
	if (proc_keys_line(key, "", line, sizeof(line)))
		sscanf(line, "%*x %15s", flags);
	return flags;
}

/* The request for @key has been settled negatively, and no authority is left. */
static __maybe_unused void
expect_negative(struct __test_metadata *const _metadata, key_serial_t key)
{
	const char *flags = key_flags(key);

	EXPECT_TRUE(strchr(flags, 'N') && !strchr(flags, 'U')) {
		TH_LOG("key %x has the flags %s", key, flags);
	}
	EXPECT_TRUE(authkeys_gone());
}

/* The authorisation key has been revoked, or is gone altogether. */
static __maybe_unused void
expect_revoked(struct __test_metadata *const _metadata, key_serial_t authkey)
{
	const char *flags;

	EXPECT_TRUE(wait_until((flags = key_flags(authkey))[0] == '\0' ||
			       strchr(flags, 'R'))) {
		TH_LOG("authorisation key %x has the flags %s", authkey, flags);
	}
}

#endif
