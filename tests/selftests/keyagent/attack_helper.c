// SPDX-License-Identifier: GPL-2.0
/*
 * What attack_test executes with privileges of its own:
 *
 *	request DESC	requests a user key
 *	drop DESC	the same, with no more privileges than who started it
 *	pause FD	says there that it runs, and waits
 *
 * The exit status is 0 or the error; 255 if it does not understand.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wrappers.h"

static int drop(void)
{
	gid_t gid = getgid();
	uid_t uid = getuid();

	return setresgid(gid, gid, gid) || setresuid(uid, uid, uid);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 255;
	if (!strcmp(argv[1], "pause")) {
		if (write(atoi(argv[2]), "", 1) != 1)
			return errno;
		for (;;)
			pause();
	}
	if (!strcmp(argv[1], "drop") && drop())
		return errno;
	return sys_request_key("user", argv[2], "-", 0) < 0 ? errno : 0;
}
