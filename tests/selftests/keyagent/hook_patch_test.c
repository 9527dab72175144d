// SPDX-License-Identifier: GPL-2.0
/*
 * A live patch of the function that the module hooks. Only one of the two can
 * replace the function: the second one is refused, and the first one works on.
 * Another live patch sees to it that the function is not called.
 *
 * Needs a kernel with CONFIG_LIVEPATCH.
 */

#define _GNU_SOURCE
#include "hook.h"
#include "test_module.h"

#define PATCH		"keyagent_klp"
#define PATCH_FILE	"test_modules/" PATCH ".ko"
#define PATCH_DIR	"/sys/kernel/livepatch/" PATCH "/"

/* 0, or -1 and errno. */
static int patch_insert(const char *params)
{
	char path[4096];
	int fd, ret, error;

	if (!beside(path, sizeof(path), PATCH_FILE))
		return -1;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ret = syscall(__NR_finit_module, fd, params, 0);
	error = errno;
	close(fd);
	errno = error;
	return ret;
}

/* Whether some tasks run the patched code, and others do not. */
static bool patch_in_transition(void)
{
	char value[8];

	return file_read(PATCH_DIR "transition", value, sizeof(value)) &&
	       atoi(value);
}

static int patch_apply(const char *params)
{
	if (patch_insert(params))
		return -1;
	return wait_until(!patch_in_transition()) ? 0 : -1;
}

/* Disables the patch, waits for all tasks, and removes the module. */
static int patch_remove(void)
{
	int ret;

	if (access("/sys/module/" PATCH, F_OK))
		return 0;
	/* A patch that was not enabled has no directory. */
	if (!access(PATCH_DIR, F_OK) && put(PATCH_DIR "enabled", "0"))
		return -1;
	wait_until((ret = syscall(__NR_delete_module, PATCH, O_NONBLOCK)) == 0 ||
		   errno != EWOULDBLOCK);
	return ret;
}

FIXTURE(patch)
{
	struct agent agent;
};

FIXTURE_SETUP(patch)
{
	char path[4096];

	hook_begin(_metadata);
	if (access("/sys/kernel/livepatch", F_OK))
		SKIP(_exit(KSFT_SKIP), "the kernel has no CONFIG_LIVEPATCH");
	ASSERT_TRUE(beside(path, sizeof(path), PATCH_FILE));
	if (access(path, R_OK))
		SKIP(_exit(KSFT_SKIP), "there is no " PATCH_FILE);
}

FIXTURE_TEARDOWN(patch)
{
	EXPECT_EQ(0, patch_remove()) {
		TH_LOG("%s", strerror(errno));
	}
	hook_end(_metadata, &self->agent);
}

/* The module refuses to load, and says who has the function. */
TEST_F_TIMEOUT(patch, first, 120)
{
	static const char *const words[] = {
		"live patch", "livepatch", "IPMODIFY", NULL
	};
	int klog;

	ASSERT_EQ(0, module_unload_wait());
	ASSERT_EQ(0, patch_apply("")) {
		TH_LOG("%s", strerror(errno));
	}
	expect_answer(_metadata, unique("patched"), "livepatch");
	klog = klog_open();
	ASSERT_LE(0, klog);
	EXPECT_EQ(-1, module_load(""));
	EXPECT_EQ(EBUSY, errno);
	EXPECT_TRUE(klog_says(_metadata, klog, words));
	EXPECT_FALSE(module_loaded());
	expect_answer(_metadata, unique("still patched"), "livepatch");

	ASSERT_EQ(0, patch_remove()) {
		TH_LOG("%s", strerror(errno));
	}
	expect_original(_metadata, "not patched");
	ASSERT_EQ(0, module_load(""));
	expect_hook(_metadata, &self->agent);
	expect_removable(_metadata);
}

/* The live patch is refused. It can be applied when the module is gone. */
TEST_F_TIMEOUT(patch, later, 120)
{
	EXPECT_EQ(-1, patch_insert(""));
	EXPECT_EQ(EBUSY, errno);
	expect_hook(_metadata, &self->agent);
	expect_removable(_metadata);
	EXPECT_FALSE(hooked_by_anyone());

	ASSERT_EQ(0, patch_apply("")) {
		TH_LOG("%s", strerror(errno));
	}
	expect_answer(_metadata, unique("patched"), "livepatch");
	ASSERT_EQ(0, patch_remove()) {
		TH_LOG("%s", strerror(errno));
	}
	expect_original(_metadata, "not patched");
}

/* A hook that is never called is of no use: the module tries it, and refuses. */
TEST_F_TIMEOUT(patch, not_called, 120)
{
	static const char *const words[] = { HOOKED, NULL };
	struct requester_opts o = { .desc = unique("not called") };
	int klog;

	ASSERT_EQ(0, module_unload_wait());
	ASSERT_EQ(0, patch_apply("uncalled=1")) {
		TH_LOG("%s", strerror(errno));
	}
	EXPECT_EQ(ENOKEY, request_in_child(_metadata, &o).error);
	klog = klog_open();
	ASSERT_LE(0, klog);
	EXPECT_EQ(-1, module_load(""));
	EXPECT_TRUE(klog_says(_metadata, klog, words));
	EXPECT_FALSE(module_loaded());
	EXPECT_FALSE(hooked_by_anyone());

	ASSERT_EQ(0, patch_remove()) {
		TH_LOG("%s", strerror(errno));
	}
	if (!module_loaded())
		ASSERT_EQ(0, module_load(""));
	expect_hook(_metadata, &self->agent);
	expect_removable(_metadata);
}

KEYAGENT_HARNESS_MAIN
