/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For the tests of those in the kernel who ask for keys: a container with an
 * agent in it, and processes that do something there or on the host.
 *
 * A container has a mount, a network and a PID namespace of its own; its first
 * process is the agent. It has no user namespace of its own, because requests
 * under credentials of the kernel are offered to an agent only if that may
 * administer the system.
 */
#ifndef KEYAGENT_CONSUMERS_H
#define KEYAGENT_CONSUMERS_H

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include "answers.h"
#include "common.h"

#define CONTAINER_FLAGS	(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID)

/* Where a process is, and whether it has the agent's key in its session. */
#define ON_HOST		0
#define INSIDE		1
#define SUBSCRIBED	2
#define SEEN		4	/* on the host but for the pid namespace */

/* ---------------------------------------------------------------- modules */

/* The exit status of modprobe; what it prints goes nowhere. */
static __maybe_unused int modprobe(const char *option, const char *module)
{
	int fd, status = -1;
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fd = open("/dev/null", O_RDWR);
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		execlp("modprobe", "modprobe", option, module, NULL);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

/* Loads a module; skips the test where this kernel has none of that name. */
static __maybe_unused void
module_needed(struct __test_metadata *const _metadata, const char *module)
{
	if (modprobe("-n", module))
		SKIP(_exit(KSFT_SKIP), "no module %s", module);
	ASSERT_EQ(0, modprobe("-q", module)) {
		TH_LOG("cannot load %s", module);
	}
}

/* Removes it, if there is one, with what only it needs, once nothing uses it. */
static __maybe_unused void
module_remove(struct __test_metadata *const _metadata, const char *module)
{
	if (modprobe("-n", module))
		return;
	EXPECT_TRUE(wait_until(!modprobe("-r", module))) {
		TH_LOG("cannot remove %s", module);
	}
}

/* Takes the answer out of the kernel's cache, as its expiry would. */
static __maybe_unused void forget(struct __test_metadata *const _metadata,
				   const char *desc)
{
	char line[1024];

	ASSERT_TRUE(proc_keys_line(0, desc, line, sizeof(line)));
	ASSERT_EQ(0, keyctl_invalidate(strtol(line, NULL, 16)));
	ASSERT_TRUE(wait_until(!proc_keys_line(0, desc, NULL, 0)));
}

/* ------------------------------------------------------ host and container */

/* Makes the directory of this mount namespace, with these answers in it. */
static __maybe_unused long work_dir_make(const char *answers)
{
	static const char *const dirs[] = {
		WORK_DIR "/mnt", WORK_DIR "/export", WORK_DIR "/nfsd",
	};
	unsigned int i;

	if (mkdir(WORK_DIR, 0755) && errno != EEXIST)
		return -errno;
	if (mount("tmpfs", WORK_DIR, "tmpfs", 0, "mode=755"))
		return -errno;
	for (i = 0; i < ARRAY_SIZE(dirs); i++)
		if (mkdir(dirs[i], 0755))
			return -errno;
	return neg_errno(write_word(ANSWERS_PATH, O_CREAT, answers));
}

static __maybe_unused void work_dir_remove(void)
{
	umount2(WORK_DIR, MNT_DETACH);
	rmdir(WORK_DIR);
}

static __maybe_unused long loopback_up(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq req = { .ifr_name = "lo" };
	long ret;

	if (fd < 0)
		return -errno;
	ret = neg_errno(ioctl(fd, SIOCGIFFLAGS, &req));
	req.ifr_flags |= IFF_UP;
	if (!ret)
		ret = neg_errno(ioctl(fd, SIOCSIFFLAGS, &req));
	close(fd);
	return ret;
}

/* The agent's, as the container's first process; opts.arg are its answers. */
static __maybe_unused long container_prepare(struct agent *a)
{
	long ret;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -errno;
	ret = work_dir_make((const char *)a->opts.arg);
	return ret < 0 ? ret : loopback_up();
}

/* Answers what the container's own file says, and has no key for the rest. */
static __maybe_unused long container_answer(struct agent *a, key_serial_t key)
{
	char buf[512] = "", type[32], desc[256], answer[128];
	long ret = agent_assume(key);
	size_t len;

	(void)a;
	if (ret < 0)
		return ret;
	if (keyctl_describe(key, buf, sizeof(buf)) < 0)
		return -errno;
	if (sscanf(buf, "%31[^;];%*[^;];%*[^;];%*[^;];%255[^\n]", type,
		   desc) != 2)
		return -EBADMSG;
	len = answer_find(type, desc, answer);
	if (!len)
		return neg_errno(keyctl_reject(key, 1, ENOKEY, 0));
	return neg_errno(keyctl_instantiate(key, answer, len, 0));
}

/* Starts the container. Its agent's key is in nobody's session keyring. */
static __maybe_unused void
container_start(struct __test_metadata *const _metadata, struct agent *a,
		const char *type, long (*prepare)(struct agent *a),
		const char *answers)
{
	const struct agent_opts opts = {
		.type = type,
		.no_link = true,
		.clone_flags = CONTAINER_FLAGS,
		.prepare = prepare,
		.arg = (long)answers,
		.plan.action = AGENT_CUSTOM,
		.plan.custom = container_answer,
	};

	agent_start(_metadata, a, &opts);
}

/* Makes the calling process one of that place, with a new session keyring. */
static __maybe_unused long enter(const struct agent *a, int where)
{
	int fd;

	if (keyctl_join_session(NULL) < 0)
		return -errno;
	if (where & SUBSCRIBED &&
	    keyctl_link(a->sh->key, KEY_SPEC_SESSION_KEYRING))
		return -errno;
	if (!(where & (INSIDE | SEEN)))
		return 0;
	fd = syscall(__NR_pidfd_open, a->pid, 0);
	if (fd < 0)
		return -errno;
	return neg_errno(setns(fd, where & INSIDE ? CONTAINER_FLAGS : CLONE_NEWPID));
}

/*
 * Runs @fn in a process of its own in that place and returns what it returns: 0
 * or more, or -errno. -EPIPE: it did not come to its end. Asserts nothing, as it
 * serves tear-downs, too.
 */
static __maybe_unused long run_in(const struct agent *a, int where,
				  long (*fn)(void *arg), void *arg)
{
	long ret = -EPIPE;
	pid_t pid, inner;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		ret = enter(a, where);
		/* The PID namespace is that of the children. */
		inner = ret ? -1 : fork();
		if (!inner) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			ret = fn(arg);
		}
		if (inner <= 0)
			_exit(write(fds[1], &ret, sizeof(ret)) < 0);
		waitpid(inner, NULL, 0);
		_exit(0);
	}
	close(fds[1]);
	if (read(fds[0], &ret, sizeof(ret)) != sizeof(ret))
		ret = -EPIPE;
	close(fds[0]);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return ret;
}

/* ------------------------------------------------- a mount that calls a server */

/* A mount of something on a server, and which of our addresses it called. */
struct call {
	const char *source, *type, *options;
	int port;
	int error;		/* of mount(2) */
	struct in_addr reached;	/* 0.0.0.0: none */
	char greeting[32];	/* the first that it said */
	/* What to do with the connection instead of reading the greeting. */
	void (*serve)(struct call *c, int fd);
};

static __maybe_unused int listen_on(int port)
{
	const struct sockaddr_in any = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const int one = 1;

	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, (const struct sockaddr *)&any, sizeof(any)) ||
	    listen(fd, 8))
		return -errno;
	return fd;
}

/* Takes the first call, if one comes before the process behind @pidfd ends. */
static __maybe_unused void take_call(struct call *c, int lfd, int pidfd)
{
	struct pollfd fds[] = {
		{ .fd = lfd, .events = POLLIN },
		{ .fd = pidfd, .events = POLLIN },
	};
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);

	poll(fds, 2, 10000 * slow());
	fds[0].fd = accept4(lfd, NULL, NULL, SOCK_CLOEXEC);
	if (fds[0].fd < 0)
		return;
	if (!getsockname(fds[0].fd, (struct sockaddr *)&sin, &len))
		c->reached = sin.sin_addr;
	if (c->serve)
		c->serve(c, fds[0].fd);
	else if (poll(fds, 2, 10000 * slow()) > 0 && fds[0].revents)
		recv(fds[0].fd, c->greeting, sizeof(c->greeting) - 1, 0);
	close(fds[0].fd);
}

/*
 * For run_in(): listens on every address of its network namespace and mounts. The
 * struct is in shared memory. Nobody is there to serve the mount, so it fails.
 */
static __maybe_unused long call_by_mount(void *arg)
{
	struct call *c = arg;
	int lfd = listen_on(c->port), pidfd;
	pid_t pid;

	if (lfd < 0)
		return lfd;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		c->error = mount(c->source, WORK_DIR "/mnt", c->type, 0,
				 c->options) ? errno : 0;
		_exit(0);
	}
	pidfd = syscall(__NR_pidfd_open, pid, 0);
	if (pidfd < 0)
		return -errno;
	take_call(c, lfd, pidfd);
	close(lfd);
	waitpid(pid, NULL, 0);
	close(pidfd);
	return 0;
}

#endif
