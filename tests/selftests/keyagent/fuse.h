/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A FUSE file system that is a single file: to read or to flush it takes until its
 * server ends, for it does not answer. Whoever waits for that goes on then, with an
 * error.
 */
#ifndef KEYAGENT_FUSE_H
#define KEYAGENT_FUSE_H

#include <linux/fuse.h>
#include <sys/uio.h>

#include "lifetime.h"

#define PAGE	4096

/* The file, and what was asked of it. */
struct fuse_file {
	char path[32];
	pid_t server;
	uint32_t *reads;
	uint32_t *flushes;
};

static __maybe_unused void fuse_reply(int fd, uint64_t unique, int error,
				      void *out, size_t len)
{
	struct fuse_out_header header = {
		.len = sizeof(header) + len,
		.error = error,
		.unique = unique,
	};
	const struct iovec iov[] = {
		{ &header, sizeof(header) }, { out, len },
	};

	if (writev(fd, iov, 2) < 0)
		_exit(1);
}

static __maybe_unused void fuse_serve(int fd, const struct fuse_file *file)
{
	static char buf[FUSE_MIN_READ_BUFFER + PAGE];
	const struct fuse_in_header *in = (void *)buf;
	struct fuse_init_out init = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_write = PAGE,
	};
	struct fuse_attr_out attr = {
		.attr = {
			.ino = FUSE_ROOT_ID,
			.size = PAGE,
			.mode = S_IFREG | 0444,
			.nlink = 1,
		},
	};
	struct fuse_open_out opened = { 0 };

	while (read(fd, buf, sizeof(buf)) > 0) {
		switch (in->opcode) {
		case FUSE_INIT:
			fuse_reply(fd, in->unique, 0, &init, sizeof(init));
			break;
		case FUSE_GETATTR:
			fuse_reply(fd, in->unique, 0, &attr, sizeof(attr));
			break;
		case FUSE_OPEN:
			fuse_reply(fd, in->unique, 0, &opened, sizeof(opened));
			break;
		case FUSE_READ:
			count_up(file->reads);
			break;
		case FUSE_FLUSH:
			count_up(file->flushes);
			break;
		case FUSE_FORGET:
		case FUSE_BATCH_FORGET:
		case FUSE_INTERRUPT:
			break;
		default:
			fuse_reply(fd, in->unique, -EOPNOTSUPP, NULL, 0);
		}
	}
	_exit(0);
}

/* Mounts the file in the place of a new one; false: there is no FUSE. */
static __maybe_unused bool
fuse_start(struct __test_metadata *const _metadata, struct fuse_file *file)
{
	char opts[64];
	int fd;

	file->reads = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)file->reads);
	file->flushes = file->reads + 1;
	snprintf(file->path, sizeof(file->path), "/tmp/keyagent.XXXXXX");
	fd = mkstemp(file->path);
	ASSERT_LE(0, fd);
	close(fd);

	fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	snprintf(opts, sizeof(opts), "fd=%d,rootmode=100444,user_id=0,group_id=0",
		 fd);
	if (fd < 0 || mount("keyagent", file->path, "fuse", 0, opts)) {
		unlink(file->path);
		return false;
	}
	file->server = fork();
	ASSERT_LE(0, file->server);
	if (!file->server) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fuse_serve(fd, file);
	}
	/* With the last of its descriptors the connection ends. */
	close(fd);
	return true;
}

/* Ends the connection, and with it whatever waits for an answer. */
static __maybe_unused void fuse_end(struct fuse_file *file)
{
	if (file->server > 0) {
		kill(file->server, SIGKILL);
		waitpid(file->server, NULL, 0);
	}
	file->server = 0;
}

static __maybe_unused void fuse_stop(struct fuse_file *file)
{
	fuse_end(file);
	umount2(file->path, MNT_DETACH);
	unlink(file->path);
}

#endif
