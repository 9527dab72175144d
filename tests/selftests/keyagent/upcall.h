/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What /sbin/request-key is while the tests run: upcall_helper, which notes each
 * call in a log and instantiates the key with the payload "upcall", or with what
 * the host's answers say (answers.h). The kernel starts it in the initial mount namespace, so it is bind-mounted there, once for
 * a whole test program, and taken away when the program ends.
 */
#ifndef KEYAGENT_UPCALL_H
#define KEYAGENT_UPCALL_H

#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wrappers.h"

#define UPCALL_PATH	"/sbin/request-key"
#define UPCALL_COPY	"/run/keyagent-request-key"
#define UPCALL_LOG	"/run/keyagent-upcall.log"
/* A request whose description has this prefix is left uninstantiated. */
#define UPCALL_SILENT	"silent:"
/* One with this prefix waits until upcall_release(), after upcall_hold(). */
#define UPCALL_WAIT	"wait:"
#define UPCALL_GATE	"/run/keyagent-upcall.gate"

/* One call of /sbin/request-key. */
struct upcall {
	char op[16];
	key_serial_t key;
	int uid, gid;
	key_serial_t thread, process, session;
	char type[32];
	char desc[256];
};

/* The path of a file in the directory of the test program. */
static __maybe_unused bool beside(char *path, size_t size, const char *name)
{
	ssize_t len = readlink("/proc/self/exe", path, size - 1);
	char *slash;

	if (len < 0)
		return false;
	path[len] = '\0';
	slash = strrchr(path, '/') + 1;
	size -= slash - path;
	return snprintf(slash, size, "%s", name) < (int)size;
}

/* A copy of a program; 0 or -1. */
static __maybe_unused int file_copy(const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	struct stat st;
	int ret = -1;

	if (in >= 0 && out >= 0 && !fstat(in, &st) &&
	    sendfile(out, in, NULL, st.st_size) == st.st_size)
		ret = fchmod(out, 0755);
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return ret;
}

/* Takes our handler away, also one that an aborted run has left. */
static __maybe_unused void upcall_remove(void)
{
	struct stat ours, there;

	while (!stat(UPCALL_COPY, &ours) && !stat(UPCALL_PATH, &there) &&
	       ours.st_dev == there.st_dev && ours.st_ino == there.st_ino)
		if (umount2(UPCALL_PATH, MNT_DETACH))
			break;
	unlink(UPCALL_COPY);
	unlink(UPCALL_LOG);
	unlink(UPCALL_GATE);
}

/* Puts our handler in the place of /sbin/request-key; -1 and errno. */
static __maybe_unused int upcall_install(void)
{
	char path[4096];

	if (!beside(path, sizeof(path), "upcall_helper"))
		return -1;
	upcall_remove();
	if (file_copy(path, UPCALL_COPY))
		return -1;
	if (access(UPCALL_PATH, F_OK)) {
		int fd = open(UPCALL_PATH, O_WRONLY | O_CREAT, 0755);

		if (fd < 0)
			return -1;
		close(fd);
	}
	return mount(UPCALL_COPY, UPCALL_PATH, NULL, MS_BIND, NULL);
}

/* From now on calls wait, after they are in the log; 0, or -1 and errno. */
static __maybe_unused int upcall_hold(void)
{
	unlink(UPCALL_GATE);
	return mkfifo(UPCALL_GATE, 0600);
}

/* Lets those go that wait, and all others; harmless when there are none. */
static __maybe_unused void upcall_release(void)
{
	/* Who opens it for reading waits until somebody has it for writing. */
	int fd = open(UPCALL_GATE, O_RDWR | O_CLOEXEC);

	unlink(UPCALL_GATE);
	if (fd >= 0)
		close(fd);
}

/* Counts the calls for a description; the last one goes to *last if not NULL. */
static __maybe_unused int upcall_count(const char *desc, struct upcall *last)
{
	FILE *f = fopen(UPCALL_LOG, "r");
	struct upcall u;
	int n = 0;

	if (!f)
		return 0;
	while (fscanf(f, "%15s %d %d %d %d %d %d %31[^;];%255[^\n]", u.op,
		      &u.key, &u.uid, &u.gid, &u.thread, &u.process,
		      &u.session, u.type, u.desc) == 9) {
		if (strcmp(u.desc, desc))
			continue;
		n++;
		if (last)
			*last = u;
	}
	fclose(f);
	return n;
}

#endif
