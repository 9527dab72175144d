/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The test modules: keyagent_test.ko, which makes requests as the kernel does, and
 * keyagent_type.ko, which has a type of keys.
 */
#ifndef KEYAGENT_TEST_MODULE_H
#define KEYAGENT_TEST_MODULE_H

#include "observe.h"
#include "userns.h"

#define TEST_FILE	"/proc/keyagent_test"
#define TEST_TYPE	"keyagent_type"

/* Loads one of them; skips the test if it was not built. */
static __maybe_unused void
test_module_insert(struct __test_metadata *const _metadata, const char *file)
{
	char path[4096];
	int fd;

	ASSERT_TRUE(beside(path, sizeof(path), file));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		SKIP(_exit(KSFT_SKIP), "there is no %s", file);
	ASSERT_EQ(0, syscall(__NR_finit_module, fd, "", 0)) {
		TH_LOG("%s: %s", file, strerror(errno));
	}
	close(fd);
}

/* Loads the first, and dns_resolver, which it uses; skips the test without that. */
static __maybe_unused void
test_module_load(struct __test_metadata *const _metadata)
{
	if (!access(TEST_FILE, F_OK))
		return;
	if (system("modprobe -q dns_resolver"))
		SKIP(_exit(KSFT_SKIP), "the kernel has no dns_resolver");
	test_module_insert(_metadata, "test_modules/keyagent_test.ko");
	ASSERT_EQ(0, chmod(TEST_FILE, 0666));
}

static __maybe_unused void
test_type_load(struct __test_metadata *const _metadata)
{
	if (access("/sys/module/" TEST_TYPE, F_OK))
		test_module_insert(_metadata, "test_modules/" TEST_TYPE ".ko");
}

/* Its keys go, too. */
static __maybe_unused void test_type_unload(void)
{
	syscall(__NR_delete_module, TEST_TYPE, O_NONBLOCK);
}

static __maybe_unused void test_module_unload(void)
{
	syscall(__NR_delete_module, "keyagent_test", O_NONBLOCK);
}

/* Waits for a child, at most @ms; its status, or -1. */
static __maybe_unused int wait_child(pid_t *pid, unsigned int ms)
{
	struct pollfd fd = {
		.fd = syscall(__NR_pidfd_open, *pid, 0),
		.events = POLLIN,
	};
	int status = -1;

	if (poll(&fd, 1, ms) == 1) {
		waitpid(*pid, &status, 0);
		*pid = 0;
	}
	close(fd.fd);
	return status;
}

/* True while the process waits to register or unregister a key type. */
static __maybe_unused bool waits_for_types(pid_t pid)
{
	char path[64], stack[4096] = "";

	/* Not wchan: with PREEMPT_RT that is a function of the lock. */
	snprintf(path, sizeof(path), "/proc/%d/stack", pid);
	return file_read(path, stack, sizeof(stack)) &&
	       strstr(stack, "register_key_type");
}

/* Loads the second one in a process of its own, which may have to wait for that. */
static __maybe_unused pid_t
test_type_start_loading(struct __test_metadata *const _metadata)
{
	char path[4096];
	pid_t pid;
	int fd;

	ASSERT_TRUE(beside(path, sizeof(path), "test_modules/" TEST_TYPE ".ko"));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		SKIP(_exit(KSFT_SKIP), "there is no %s", path);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(syscall(__NR_finit_module, fd, "", 0) ? errno : 0);
	}
	close(fd);
	return pid;
}

/*
 * A request of one of the ways that the module knows; the answer, or "errno N".
 * In a buffer that the next call uses again.
 */
static __maybe_unused const char *kernel_request(const char *way,
						 const char *desc)
{
	static char buf[256];
	int fd = open(TEST_FILE, O_RDWR | O_CLOEXEC);
	int len = snprintf(buf, sizeof(buf), "%s %s", way, desc);
	ssize_t ret = -1;

	if (fd >= 0 && write(fd, buf, len) == len)
		ret = pread(fd, buf, sizeof(buf) - 1, 0);
	if (ret < 0)
		snprintf(buf, sizeof(buf), "errno %d", errno);
	else
		buf[ret] = '\0';
	if (fd >= 0)
		close(fd);
	return buf;
}

/* A process that makes such a request, and may be disturbed in it. */
struct kernel_requester {
	pid_t pid;
	char (*answer)[256];	/* in shared memory */
};

static __maybe_unused void
kernel_request_start(struct __test_metadata *const _metadata,
		     struct kernel_requester *r, const char *way,
		     const char *desc, long (*prepare)(void))
{
	long ret;

	r->answer = mmap(NULL, sizeof(*r->answer), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)r->answer);
	r->pid = fork();
	ASSERT_LE(0, r->pid);
	if (r->pid)
		return;
	ret = prepare ? prepare() : 0;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (ret < 0)
		snprintf(*r->answer, sizeof(*r->answer), "prepare: %ld", ret);
	else
		snprintf(*r->answer, sizeof(*r->answer), "%s",
			 kernel_request(way, desc));
	_exit(0);
}

/* What it was answered; "" when it was killed. */
static __maybe_unused const char *
kernel_request_finish(struct kernel_requester *r)
{
	waitpid(r->pid, NULL, 0);
	return *r->answer;
}

static __maybe_unused const char *
kernel_request_as(struct __test_metadata *const _metadata, const char *way,
		  const char *desc, long (*prepare)(void))
{
	struct kernel_requester r;

	kernel_request_start(_metadata, &r, way, desc, prepare);
	return kernel_request_finish(&r);
}

#endif
