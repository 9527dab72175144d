/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the authority over a key under construction is good for, as functions for
 * agent_call(): the agent, its limbs, and the program that it executes try them.
 */
#ifndef KEYAGENT_AUTHORITY_H
#define KEYAGENT_AUTHORITY_H

#include "lifetime.h"

static __maybe_unused long do_invalidate(struct agent *a __maybe_unused,
					 const void *arg)
{
	return neg_errno(keyctl_invalidate(*(const key_serial_t *)arg));
}

/* Links the authority that the caller has where the requester finds it. */
static __maybe_unused long do_hand_on(struct agent *a __maybe_unused,
				      const void *arg __maybe_unused)
{
	return neg_errno(keyctl_link(KEY_SPEC_REQKEY_AUTH_KEY,
				     KEY_SPEC_REQUESTOR_KEYRING));
}

/* Puts a key into the requester's destination keyring. */
static __maybe_unused long do_add_to_requester(struct agent *a __maybe_unused,
					       const void *arg __maybe_unused)
{
	return neg_errno(sys_add_key("user", "smuggled", "x", 1,
				     KEY_SPEC_REQUESTOR_KEYRING));
}

static __maybe_unused long do_read_callout(struct agent *a __maybe_unused,
					   const void *arg __maybe_unused)
{
	char buf[64];

	return agent_read_callout(buf, sizeof(buf));
}

/* Reads a key that only the requester possesses. */
static __maybe_unused long do_read(struct agent *a __maybe_unused,
				   const void *arg)
{
	char buf[64];

	return neg_errno(keyctl_read(*(const key_serial_t *)arg, buf,
				     sizeof(buf)));
}

/* Links such a key where the caller would keep it; 0 if it could. */
static __maybe_unused long do_link(struct agent *a __maybe_unused,
				   const void *arg)
{
	const key_serial_t key = *(const key_serial_t *)arg;

	if (keyctl_link(key, KEY_SPEC_SESSION_KEYRING) < 0)
		return -errno;
	return neg_errno(keyctl_unlink(key, KEY_SPEC_SESSION_KEYRING));
}

/* Requests a key on behalf of the requester; the argument says which. */
static __maybe_unused long do_nested(struct agent *a __maybe_unused,
				     const void *arg)
{
	return neg_errno(sys_request_key("user", arg, "x", 0));
}

static __maybe_unused long
nested_request(struct __test_metadata *const _metadata, struct agent *who)
{
	const char *desc = unique("nested");

	return agent_call(_metadata, who, do_nested, desc, strlen(desc) + 1);
}

static __maybe_unused long settle(struct __test_metadata *const _metadata,
				  struct agent *who,
				  const struct agent_arg *arg)
{
	return agent_call(_metadata, who, agent_do_settle, arg, sizeof(*arg));
}

static __maybe_unused long on_key(struct __test_metadata *const _metadata,
				  struct agent *who, agent_fn fn,
				  key_serial_t key)
{
	return agent_call(_metadata, who, fn, &key, sizeof(key));
}

/* Has the authority, with which it can use @secret, the requester's. */
static __maybe_unused void
expect_authority(struct __test_metadata *const _metadata, struct agent *who,
		 key_serial_t secret)
{
	EXPECT_LT(0, agent_call(_metadata, who, do_add_to_requester, NULL, 0));
	EXPECT_LT(0, agent_call(_metadata, who, do_read_callout, NULL, 0));
	EXPECT_EQ(6, on_key(_metadata, who, do_read, secret));
	EXPECT_EQ(0, on_key(_metadata, who, do_link, secret));
	EXPECT_LT(0, nested_request(_metadata, who));
}

/* What the key service says of a key that is not for us, or that is gone. */
static __maybe_unused bool is_refused(long ret)
{
	return ret == -EACCES || ret == -ENOKEY;
}

/* Had it until @since and can do nothing more with it, soon after. */
static __maybe_unused void
expect_stripped(struct __test_metadata *const _metadata, struct agent *who,
		key_serial_t secret, const struct agent_arg *arg,
		uint64_t since)
{
	uint64_t took;

	/* The authorisation key is revoked a grace period later. */
	EXPECT_TRUE(wait_until(agent_call(_metadata, who, do_add_to_requester,
					  NULL, 0) == -EKEYREVOKED));
	took = now_ms() - since;
	EXPECT_GE(100 * slow(), took) {
		TH_LOG("revoked after %llu ms", (unsigned long long)took);
	}
	EXPECT_EQ(-EKEYREVOKED, settle(_metadata, who, arg));
	EXPECT_EQ(-EKEYREVOKED, nested_request(_metadata, who));
	EXPECT_EQ(-ENOKEY, agent_call(_metadata, who, do_read_callout, NULL, 0));
	EXPECT_TRUE(is_refused(on_key(_metadata, who, do_read, secret)));
	EXPECT_TRUE(is_refused(on_key(_metadata, who, do_link, secret)));
}

#endif
