// SPDX-License-Identifier: GPL-2.0
/*
 * The payload of an agent key: a signal number in two bytes, or in the first two
 * of four; or in eight bytes a signal number, two bytes of zero, and flags.
 */

#include "parameters.h"

FIXTURE(payload) {
};

FIXTURE_SETUP(payload)
{
	test_session(_metadata);
	ASSERT_LT(0, keyctl_get_keyring_id(KEY_SPEC_PROCESS_KEYRING, 1));
}

FIXTURE_TEARDOWN(payload)
{
}

/* Fills a buffer with a payload of that length: signal 40, then rubbish. */
static char *make_payload(size_t len)
{
	const uint16_t sig = 40;
	char *buf = malloc(len + sizeof(sig));

	memset(buf, 0xee, len + sizeof(sig));
	memcpy(buf, &sig, sizeof(sig));
	return buf;
}

/* ------------------------------------------------------ length of payload */

FIXTURE(length) {
};

FIXTURE_VARIANT(length) {
	size_t len;
	int error;
};

FIXTURE_VARIANT_ADD(length, len_0) { 0, EINVAL };
FIXTURE_VARIANT_ADD(length, len_1) { 1, EINVAL };
FIXTURE_VARIANT_ADD(length, len_2) { 2, 0 };
FIXTURE_VARIANT_ADD(length, len_3) { 3, EINVAL };
FIXTURE_VARIANT_ADD(length, len_4) { 4, 0 };
FIXTURE_VARIANT_ADD(length, len_5) { 5, EINVAL };
FIXTURE_VARIANT_ADD(length, len_6) { 6, EINVAL };
FIXTURE_VARIANT_ADD(length, len_7) { 7, EINVAL };
/* Of that length, but with bits that mean nothing; see below. */
FIXTURE_VARIANT_ADD(length, len_8) { 8, EINVAL };
FIXTURE_VARIANT_ADD(length, len_9) { 9, EINVAL };
FIXTURE_VARIANT_ADD(length, len_12) { 12, EINVAL };
FIXTURE_VARIANT_ADD(length, len_16) { 16, EINVAL };
FIXTURE_VARIANT_ADD(length, len_65536) { 65536, EINVAL };
FIXTURE_VARIANT_ADD(length, len_65538) { 65538, EINVAL };
FIXTURE_VARIANT_ADD(length, len_1048575) { 1048575, EINVAL };
FIXTURE_VARIANT_ADD(length, len_1048576) { 1048576, EINVAL };

FIXTURE_SETUP(length)
{
	test_session(_metadata);
	ASSERT_LT(0, keyctl_get_keyring_id(KEY_SPEC_PROCESS_KEYRING, 1));
}

FIXTURE_TEARDOWN(length)
{
}

TEST_F(length, add_key)
{
	char *payload = make_payload(variant->len);
	key_serial_t key;

	key = sys_add_key("keyagent", "user", payload, variant->len,
			  KEY_SPEC_SESSION_KEYRING);
	if (variant->error) {
		EXPECT_EQ(-1, key);
		EXPECT_EQ(variant->error, errno);
		EXPECT_EQ(0, links_in(KEY_SPEC_SESSION_KEYRING));
	} else {
		EXPECT_LT(0, key);
		EXPECT_TRUE(ring_has(KEY_SPEC_SESSION_KEYRING, key));
	}
	free(payload);
}

TEST_F(payload, null_payload)
{
	EXPECT_EQ(-1, sys_add_key("keyagent", "user", NULL, 0,
				  KEY_SPEC_SESSION_KEYRING));
	EXPECT_EQ(EINVAL, errno);
	/* The core copies the payload before the key type sees it. */
	EXPECT_EQ(-1, sys_add_key("keyagent", "user", NULL, 2,
				  KEY_SPEC_SESSION_KEYRING));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, sys_add_key("keyagent", "user", NULL, 4,
				  KEY_SPEC_SESSION_KEYRING));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, sys_add_key("keyagent", "user", NULL, 8,
				  KEY_SPEC_SESSION_KEYRING));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(0, links_in(KEY_SPEC_SESSION_KEYRING));
}

/* ------------------------------------------------------------- the signal */

FIXTURE(number) {
};

FIXTURE_VARIANT(number) {
	uint32_t value;
	size_t len;
	int error;
	int sig;		/* what /proc/keys shows */
};

FIXTURE_VARIANT_ADD(number, s0) { 0, 2, EINVAL, 0 };
FIXTURE_VARIANT_ADD(number, s1) { 1, 2, EINVAL, 0 };
FIXTURE_VARIANT_ADD(number, sigkill) { SIGKILL, 2, EINVAL, 0 };
FIXTURE_VARIANT_ADD(number, s31) { 31, 2, EINVAL, 0 };
FIXTURE_VARIANT_ADD(number, s32) { 32, 2, 0, 32 };
FIXTURE_VARIANT_ADD(number, s33) { 33, 2, 0, 33 };
FIXTURE_VARIANT_ADD(number, s64) { 64, 2, 0, 64 };
FIXTURE_VARIANT_ADD(number, s65) { 65, 2, EINVAL, 0 };
FIXTURE_VARIANT_ADD(number, s255) { 255, 2, EINVAL, 0 };
/* 40 in the wrong byte order, and numbers that 8 bits would take for 40. */
FIXTURE_VARIANT_ADD(number, s40_swapped) { 40 << 8, 2, EINVAL, 0 };
FIXTURE_VARIANT_ADD(number, s0x128) { 0x128, 2, EINVAL, 0 };
FIXTURE_VARIANT_ADD(number, s0xffff) { 0xffff, 2, EINVAL, 0 };
FIXTURE_VARIANT_ADD(number, s0x8028) { 0x8028, 2, EINVAL, 0 };
FIXTURE_VARIANT_ADD(number, wide_0) { 0, 4, EINVAL, 0 };
FIXTURE_VARIANT_ADD(number, wide_31) { 31, 4, EINVAL, 0 };
FIXTURE_VARIANT_ADD(number, wide_32) { 32, 4, 0, 32 };
FIXTURE_VARIANT_ADD(number, wide_64) { 64, 4, 0, 64 };
FIXTURE_VARIANT_ADD(number, wide_65) { 65, 4, EINVAL, 0 };
/* Bytes 2 and 3 do not count. */
FIXTURE_VARIANT_ADD(number, wide_0x10022) { 0x10022, 4, 0, 0x22 };
FIXTURE_VARIANT_ADD(number, wide_0xffff0040) { 0xffff0040, 4, 0, 64 };
FIXTURE_VARIANT_ADD(number, wide_0x220000) { 0x220000, 4, EINVAL, 0 };
FIXTURE_VARIANT_ADD(number, wide_0x10041) { 0x10041, 4, EINVAL, 0 };

FIXTURE_SETUP(number)
{
	test_session(_metadata);
	ASSERT_LT(0, keyctl_get_keyring_id(KEY_SPEC_PROCESS_KEYRING, 1));
}

FIXTURE_TEARDOWN(number)
{
}

TEST_F(number, add_key)
{
	const uint16_t narrow = variant->value;
	char line[1024], want[64];
	key_serial_t key;

	if (variant->len == 2)
		key = sys_add_key("keyagent", "user", &narrow, 2,
				  KEY_SPEC_SESSION_KEYRING);
	else
		key = sys_add_key("keyagent", "user", &variant->value, 4,
				  KEY_SPEC_SESSION_KEYRING);
	if (variant->error) {
		EXPECT_EQ(-1, key);
		EXPECT_EQ(variant->error, errno);
		EXPECT_EQ(0, links_in(KEY_SPEC_SESSION_KEYRING));
		return;
	}
	ASSERT_LT(0, key);
	ASSERT_TRUE(proc_keys_line(key, NULL, line, sizeof(line)));
	snprintf(want, sizeof(want), " sig %d", variant->sig);
	EXPECT_NE(NULL, strstr(line, want)) {
		TH_LOG("no '%s' in '%s'", want, line);
	}
}

/* ---------------------------------------------------------------- the flags */

FIXTURE(flags) {
};

FIXTURE_VARIANT(flags) {
	struct flagged_payload payload;
	int error;
};

FIXTURE_VARIANT_ADD(flags, none) { { 40, 0, 0 }, 0 };
FIXTURE_VARIANT_ADD(flags, shared) { { 40, 0, KEYAGENT_SHARED }, 0 };
FIXTURE_VARIANT_ADD(flags, first_signal) { { 32, 0, 0 }, 0 };
FIXTURE_VARIANT_ADD(flags, last_signal) { { 64, 0, KEYAGENT_SHARED }, 0 };
FIXTURE_VARIANT_ADD(flags, signal_0) { { 0, 0, 0 }, EINVAL };
FIXTURE_VARIANT_ADD(flags, signal_31) { { 31, 0, 0 }, EINVAL };
FIXTURE_VARIANT_ADD(flags, signal_65) { { 65, 0, KEYAGENT_SHARED }, EINVAL };
FIXTURE_VARIANT_ADD(flags, signal_0x128) { { 0x128, 0, 0 }, EINVAL };
FIXTURE_VARIANT_ADD(flags, reserved) { { 40, 1, 0 }, EINVAL };
FIXTURE_VARIANT_ADD(flags, reserved_high) { { 40, 0x8000, 0 }, EINVAL };
FIXTURE_VARIANT_ADD(flags, unknown_2) { { 40, 0, 2 }, EINVAL };
FIXTURE_VARIANT_ADD(flags, unknown_4) { { 40, 0, 4 }, EINVAL };
FIXTURE_VARIANT_ADD(flags, unknown_8) { { 40, 0, 8 }, EINVAL };
FIXTURE_VARIANT_ADD(flags, unknown_and_known) {
	{ 40, 0, KEYAGENT_SHARED | 1 << 16 }, EINVAL
};
FIXTURE_VARIANT_ADD(flags, unknown_highest) { { 40, 0, 1u << 31 }, EINVAL };
FIXTURE_VARIANT_ADD(flags, all) { { 40, 0, UINT32_MAX }, EINVAL };

FIXTURE_SETUP(flags)
{
	test_session(_metadata);
	ASSERT_LT(0, keyctl_get_keyring_id(KEY_SPEC_PROCESS_KEYRING, 1));
}

FIXTURE_TEARDOWN(flags)
{
}

TEST_F(flags, add_key)
{
	char line[1024], want[64];
	key_serial_t key;

	key = sys_add_key("keyagent", "user", &variant->payload,
			  sizeof(variant->payload), KEY_SPEC_SESSION_KEYRING);
	if (variant->error) {
		EXPECT_EQ(-1, key);
		EXPECT_EQ(variant->error, errno);
		EXPECT_EQ(0, links_in(KEY_SPEC_SESSION_KEYRING));
		return;
	}
	ASSERT_LT(0, key) {
		TH_LOG("%s", strerror(errno));
	}
	ASSERT_TRUE(proc_keys_line(key, NULL, line, sizeof(line)));
	snprintf(want, sizeof(want), " sig %d", variant->payload.signal);
	EXPECT_NE(NULL, strstr(line, want)) {
		TH_LOG("no '%s' in '%s'", want, line);
	}
}

KEYAGENT_HARNESS_MAIN
