/* SPDX-License-Identifier: GPL-2.0 */
/* An agent whose user has a key quota, and that uses it up. */
#ifndef KEYAGENT_QUOTA_H
#define KEYAGENT_QUOTA_H

#include "userns.h"

/* The authority cannot be linked into a keyring whose owner's quota is used up. */
static __maybe_unused long fill_quota(struct agent *a __maybe_unused,
				      const void *arg __maybe_unused)
{
	static char buf[4000];
	key_serial_t key;
	char desc[16];
	int n;

	key = sys_add_key("user", "f", "x", 1, KEY_SPEC_SESSION_KEYRING);
	if (key < 0)
		return -errno;
	for (n = 0; n < 100; n++) {
		snprintf(desc, sizeof(desc), "f%d", n);
		if (sys_add_key("user", desc, buf, sizeof(buf),
				KEY_SPEC_SESSION_KEYRING) < 0)
			break;
	}
	if (errno != EDQUOT)
		return -errno;
	/* The largest payload that fits leaves not a byte. */
	n = sizeof(buf);
	while (keyctl_update(key, buf, n) < 0 && errno == EDQUOT && n > 1)
		n--;
	if (keyctl_update(key, buf, n) < 0)
		return -errno;
	return keyctl_update(key, buf, n + 1) < 0 && errno == EDQUOT ? 0 :
		-EINVAL;
}

static __maybe_unused long free_quota(struct agent *a __maybe_unused,
				      const void *arg __maybe_unused)
{
	key_serial_t key = keyctl_search(KEY_SPEC_SESSION_KEYRING, "user", "f",
					 0);

	return neg_errno(keyctl_update(key, "x", 1));
}

#endif
