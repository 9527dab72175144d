/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Loading and unloading the module, for the tests that do. The others find it
 * loaded with its default parameters, and so do those that come after.
 */
#ifndef KEYAGENT_MODULE_H
#define KEYAGENT_MODULE_H

#include "lifetime.h"

#define MODULE_NAME	"keyagent"

static __maybe_unused bool module_loaded(void)
{
	return !access("/sys/module/" MODULE_NAME "/initstate", F_OK);
}

/* 0 or -1 and errno: EWOULDBLOCK while a request is in the module. */
static __maybe_unused int module_unload(void)
{
	return syscall(__NR_delete_module, MODULE_NAME, O_NONBLOCK);
}

/* Unloads it, after what is still in it has left. */
static __maybe_unused int module_unload_wait(void)
{
	int ret;

	wait_until((ret = module_unload()) == 0 || errno != EWOULDBLOCK);
	return ret;
}

static __maybe_unused int module_load(const char *params)
{
	const char *path = getenv("KEYAGENT_MODULE");
	int fd, ret, error;

	fd = open(path ? path : "", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ret = syscall(__NR_finit_module, fd, params, 0);
	error = errno;
	close(fd);
	errno = error;
	return ret;
}

/* Has the module loaded with these parameters, whatever it was before. */
static __maybe_unused int module_reload(const char *params)
{
	if (module_loaded() && module_unload_wait())
		return -1;
	return module_load(params);
}

/*
 * The set-up of a fixture that reloads the module; skips the test where that
 * cannot be done.
 */
static __maybe_unused void
module_required(struct __test_metadata *const _metadata)
{
	if (!getenv("KEYAGENT_MODULE"))
		SKIP(_exit(KSFT_SKIP), "KEYAGENT_MODULE does not name the module");
	if (geteuid())
		SKIP(_exit(KSFT_SKIP), "not root");
}

/*
 * Has it loaded with a deadline that a test can wait for, and before which it can
 * do a few things; returns that in milliseconds.
 */
static __maybe_unused unsigned int
module_reload_short(struct __test_metadata *const _metadata)
{
	const unsigned int timeout = 1000 + 200 * slow();
	char params[32];

	module_required(_metadata);
	snprintf(params, sizeof(params), "timeout_ms=%u", timeout);
	EXPECT_EQ(0, module_reload(params)) {
		TH_LOG("%s: %s", params, strerror(errno));
	}
	return timeout;
}

#endif
