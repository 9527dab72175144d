/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An NFS server of the kernel and a mount from it, both in the caller's network
 * and mount namespace, without anything of nfs-utils: what its daemons would be
 * asked is written into the server's caches before anybody asks. The server and
 * the client send names of users, not numbers.
 */
#ifndef KEYAGENT_NFS_H
#define KEYAGENT_NFS_H

#include "consumers.h"

#define NFS_EXPORT	WORK_DIR "/export"
#define NFS_MOUNT	WORK_DIR "/mnt"
#define NFS_NEVER	"2147483647"	/* when what is in the caches expires */
/* NFSEXP_FSID, _NOSUBTREECHECK, _INSECURE_PORT; and root stays root. */
#define NFS_EXPORT_FLAGS "9218"

/* What is exported: a file of a user whose name only the server knows. */
struct nfs_file {
	const char *path;	/* in the export, with a slash before it */
	uid_t uid;		/* the owner, on the server */
	const char *owner;	/* the name that goes over the network */
};

static __maybe_unused int nfs_cache(const char *cache, const char *line)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/net/rpc/%s/channel", cache);
	return write_word(path, 0, line);
}

/* The client, the file system behind file handle 0, and users' names. */
static __maybe_unused int nfs_fill_caches(const struct nfs_file *f)
{
	char line[256];
	int ret;

	ret = nfs_cache("auth.unix.ip",
			"nfsd 127.0.0.1 " NFS_NEVER " clients\n") ||
	      nfs_cache("nfsd.fh", "clients 1 \\x00000000 " NFS_NEVER " "
			NFS_EXPORT "\n") ||
	      nfs_cache("nfsd.export", "clients " NFS_EXPORT " " NFS_NEVER " "
			NFS_EXPORT_FLAGS " 65534 65534 0\n") ||
	      /* Root has no name: his number is sent. */
	      nfs_cache("nfs4.idtoname", "clients user 0 " NFS_NEVER "\n") ||
	      nfs_cache("nfs4.idtoname", "clients group 0 " NFS_NEVER "\n");
	for (; !ret && f->path; f++) {
		snprintf(line, sizeof(line), "clients user %u " NFS_NEVER
			 " %s\n", f->uid, f->owner);
		ret = nfs_cache("nfs4.idtoname", line);
		snprintf(line, sizeof(line), "clients user %s " NFS_NEVER
			 " %u\n", f->owner, f->uid);
		ret = ret || nfs_cache("nfs4.nametoid", line);
	}
	return ret;
}

/* For run_in(): starts the server; arg is an array of files, the last without. */
static __maybe_unused long nfs_serve(void *arg)
{
	const char *names = "/sys/module/%s/parameters/nfs4_disable_idmapping";
	const struct nfs_file *f;
	char path[128];

	snprintf(path, sizeof(path), names, "nfsd");
	if (write_word(path, 0, "N"))
		return -errno;
	snprintf(path, sizeof(path), names, "nfs");
	if (write_word(path, 0, "N"))
		return -errno;
	if (mount("tmpfs", NFS_EXPORT, "tmpfs", 0, NULL))
		return -errno;
	for (f = arg; f->path; f++) {
		snprintf(path, sizeof(path), NFS_EXPORT "%s", f->path);
		if (write_word(path, O_CREAT, "x") || chown(path, f->uid, 0))
			return -errno;
	}
	if (mount("nfsd", WORK_DIR "/nfsd", "nfsd", 0, NULL) ||
	    write_word(WORK_DIR "/nfsd/versions", 0, "-3 +4.1 +4.2\n") ||
	    write_word(WORK_DIR "/nfsd/portlist", 0, "tcp 2049\n") ||
	    write_word(WORK_DIR "/nfsd/threads", 0, "2\n") ||
	    nfs_fill_caches(arg))
		return -errno;
	return 0;
}

/* For run_in(): mounts from it, and keeps no attributes. */
static __maybe_unused long nfs_mount(void *arg)
{
	(void)arg;
	return neg_errno(mount("127.0.0.1:/", NFS_MOUNT, "nfs4", 0,
			       "vers=4.2,addr=127.0.0.1,clientaddr=127.0.0.1,sec=sys,soft,actimeo=0"));
}

/* For run_in(): the end of both, as far as they came. */
static __maybe_unused long nfs_stop(void *arg)
{
	long ret;

	(void)arg;
	umount(NFS_MOUNT);
	ret = neg_errno(write_word(WORK_DIR "/nfsd/threads", 0, "0\n"));
	umount(WORK_DIR "/nfsd");
	umount(NFS_EXPORT);
	return ret;
}

/* For run_in(): the owner of a file of the mount, or of the export. */
static __maybe_unused long nfs_owner(void *arg)
{
	struct stat st;

	return stat(arg, &st) ? -errno : (long)st.st_uid;
}

#endif
