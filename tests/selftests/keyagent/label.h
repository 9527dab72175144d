/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Labels of security modules for the tests: of AppArmor and of Smack, whichever is
 * on. AppArmor's profiles are made here, so that nothing is needed to load them.
 */
#ifndef KEYAGENT_LABEL_H
#define KEYAGENT_LABEL_H

#include <linux/capability.h>
#include <sys/mount.h>

#include "common.h"

#define SECURITYFS	"/sys/kernel/security"
#define APPARMORFS	SECURITYFS "/apparmor"
#define SMACKFS		"/sys/fs/smackfs"

enum labelling {
	LABELS_NONE,
	LABELS_APPARMOR,
	LABELS_SMACK,
};

/* Which security module gives tasks labels here. */
static __maybe_unused enum labelling labelling(void)
{
	char buf[256] = "";
	int fd;

	if (access(SECURITYFS "/lsm", F_OK))
		mount("securityfs", SECURITYFS, "securityfs", 0, NULL);
	fd = open(SECURITYFS "/lsm", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return LABELS_NONE;
	if (read(fd, buf, sizeof(buf) - 1) < 0)
		buf[0] = '\0';
	close(fd);
	if (strstr(buf, "apparmor") && !access(APPARMORFS "/.replace", F_OK))
		return LABELS_APPARMOR;
	if (!strstr(buf, "smack"))
		return LABELS_NONE;
	if (access(SMACKFS "/load2", F_OK))
		mount("smackfs", SMACKFS, "smackfs", 0, NULL);
	return access(SMACKFS "/load2", W_OK) ? LABELS_NONE : LABELS_SMACK;
}

/* Writes all at once; 0 or -errno. */
static __maybe_unused long write_once(const char *path, const void *data,
				      size_t len)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	long ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, data, len) == (ssize_t)len ? 0 : -errno;
	close(fd);
	return ret;
}

/* ------------------------------------------------------------------- AppArmor */

/* What a profile is made of as the kernel reads it: aa_unpack(). */
enum {
	AA_U32 = 2,
	AA_NAME = 4,
	AA_STRING = 5,
	AA_STRUCT = 7,
	AA_STRUCTEND = 8,
};

struct aa_policy {
	size_t len;
	uint8_t data[1024];
};

static __maybe_unused void aa_bytes(struct aa_policy *p, const void *data,
				    size_t len)
{
	memcpy(p->data + p->len, data, len);
	p->len += len;
}

static __maybe_unused void aa_code(struct aa_policy *p, uint8_t code)
{
	aa_bytes(p, &code, 1);
}

static __maybe_unused void aa_text(struct aa_policy *p, uint8_t code,
				   const char *text)
{
	uint16_t size = strlen(text) + 1;

	aa_code(p, code);
	aa_bytes(p, &size, sizeof(size));
	aa_bytes(p, text, size);
}

static __maybe_unused void aa_u32(struct aa_policy *p, uint32_t value)
{
	aa_code(p, AA_U32);
	aa_bytes(p, &value, sizeof(value));
}

static __maybe_unused void aa_struct(struct aa_policy *p, const char *name)
{
	aa_text(p, AA_NAME, name);
	aa_code(p, AA_STRUCT);
}

/* The four sets of a profile: allowed, audited, not audited, and one not used. */
static __maybe_unused void aa_capabilities(struct aa_policy *p, uint32_t allow)
{
	aa_u32(p, allow);
	aa_u32(p, 0);
	aa_u32(p, 0);
	aa_u32(p, 0);
}

/*
 * Loads or replaces a profile that is enforced, and lets a process have all
 * capabilities but one, and no files; what differs makes it another version.
 */
static __maybe_unused long aa_load(const char *name, int cap, bool audit)
{
	struct aa_policy p = { 0 };

	aa_text(&p, AA_NAME, "version");
	aa_u32(&p, 5);
	aa_struct(&p, "profile");
	aa_text(&p, AA_STRING, name);
	aa_struct(&p, "flags");
	aa_u32(&p, 0);			/* no hat */
	aa_u32(&p, 0);			/* enforce */
	aa_u32(&p, audit);
	aa_code(&p, AA_STRUCTEND);
	aa_capabilities(&p, ~(1u << cap));
	aa_struct(&p, "caps64");
	aa_capabilities(&p, ~0u);
	aa_code(&p, AA_STRUCTEND);
	aa_code(&p, AA_STRUCTEND);
	return write_once(APPARMORFS "/.replace", p.data, p.len);
}

static __maybe_unused void aa_remove(const char *name)
{
	write_once(APPARMORFS "/.remove", name, strlen(name));
}

/* ---------------------------------------------------------------------- Smack */

/* Lets subjects with one label do everything to objects with the other. */
static __maybe_unused long smack_allow(const char *subject, const char *object)
{
	char rule[128];

	snprintf(rule, sizeof(rule), "%s %s rwxatl", subject, object);
	return write_once(SMACKFS "/load2", rule, strlen(rule));
}

/* ----------------------------------------------------------------------- both */

/* Gives the calling process the label; root's privileges may be needed. */
static __maybe_unused long take_label(const char *label)
{
	char word[128];

	if (labelling() == LABELS_APPARMOR)
		snprintf(word, sizeof(word), "changeprofile %s", label);
	else
		snprintf(word, sizeof(word), "%s", label);
	return write_once("/proc/thread-self/attr/current", word, strlen(word));
}

#endif
