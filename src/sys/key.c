// SPDX-License-Identifier: GPL-2.0
/* Keys and keyrings: what Rust cannot do with them itself. See key.rs. */

#include <linux/bitops.h>
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/key.h>
#include <linux/keyctl.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/wait_bit.h>

#include "helpers.h"

void keyagent_helper_key_get(struct key *key)
{
	__key_get(key);
}

key_ref_t keyagent_helper_make_key_ref(struct key *key, bool possessed)
{
	return make_key_ref(key, possessed);
}

struct key *keyagent_helper_key_ref_to_ptr(key_ref_t ref)
{
	return key_ref_to_ptr(ref);
}

void keyagent_helper_key_keep(struct key *key)
{
	set_bit(KEY_FLAG_KEEP, &key->flags);
}

/*
 * Has the garbage collector remove a key that has expired the next time that it runs,
 * and not key_gc_delay after the key's expiry. Searches pass over the key as before, while
 * they fail when they come to one that was invalidated.
 */
void keyagent_helper_expire_long_ago(struct key *key)
{
	down_write(&key->sem);
	key->expiry = -(time64_t)U32_MAX;
	up_write(&key->sem);
}

void keyagent_helper_end_waits(struct key *key)
{
	/* The key service clears it with a mutex held: one does not hinder the other. */
	clear_bit(KEY_FLAG_USER_CONSTRUCT, &key->flags);
	/* As wake_up_bit() asks for. */
	smp_mb__after_atomic();
	wake_up_bit(&key->flags, KEY_FLAG_USER_CONSTRUCT);
}

static bool is_own_keyring(const struct key *keyring, key_serial_t special)
{
	key_ref_t ref = lookup_user_key(special, KEY_LOOKUP_PARTIAL,
					KEY_DEFER_PERM_CHECK);
	bool own = !IS_ERR(ref) && key_ref_to_ptr(ref) == keyring;

	if (!IS_ERR(ref))
		key_ref_put(ref);
	return own;
}

/*
 * Whether the current task possesses the keyring, with its subjective
 * credentials and an authority that it assumed, or it is the task's own user or
 * user-session keyring.
 */
bool keyagent_helper_possesses(struct key *keyring)
{
	const struct cred *cred = current_cred();
	bool possessed;
	key_ref_t ref;

	if (keyring == cred->thread_keyring ||
	    keyring == cred->process_keyring ||
	    keyring == cred->session_keyring)
		return true;

	ref = lookup_user_key(keyring->serial, KEY_LOOKUP_PARTIAL,
			      KEY_DEFER_PERM_CHECK);
	possessed = !IS_ERR(ref) && is_key_possessed(ref);
	if (!IS_ERR(ref))
		key_ref_put(ref);
	if (possessed)
		return true;

	return test_bit(KEY_FLAG_UID_KEYRING, &keyring->flags) &&
	       (is_own_keyring(keyring, KEY_SPEC_USER_KEYRING) ||
		is_own_keyring(keyring, KEY_SPEC_USER_SESSION_KEYRING));
}

/*
 * The restriction of a keyring to agent keys, for KEYCTL_RESTRICT_KEYRING. What
 * is linked into such a keyring with KEYAGENT_SHARED stays there.
 */
static int link_agents_only(struct key *keyring, const struct key_type *type,
			    const union key_payload *payload,
			    struct key *restrict_key)
{
	if (strcmp(type->name, "keyagent"))
		return -EPERM;
	set_bit(KEY_FLAG_KEEP, &keyring->flags);
	return 0;
}

/*
 * With @type the key service knows whose restriction it is: it puts a check of its
 * own in the place of this one when the type is unregistered.
 */
struct key_restriction *keyagent_helper_agents_only(const char *params,
						    struct key_type *type)
{
	struct key_restriction *restriction;

	if (params && *params)
		return ERR_PTR(-EINVAL);
	restriction = kzalloc_obj(*restriction);
	if (!restriction)
		return ERR_PTR(-ENOMEM);
	restriction->check = link_agents_only;
	restriction->keytype = type;
	return restriction;
}

unsigned int keyagent_helper_key_usage(const struct key *key)
{
	unsigned int usage = refcount_read(&key->usage);

	/*
	 * Once a reference is gone, its holder's writes are visible here. Pairs
	 * with the release in key_put(): tests/lkmm/given-up.litmus.
	 */
	smp_rmb();
	return usage;
}
