// SPDX-License-Identifier: GPL-2.0
/*
 * The sample agents, and what they make of signals that the kernel did not send.
 *
 * They are looked for in the directory KEYAGENT_SAMPLES, by default where
 * scripts/build-samples puts them.
 */

#include "lifetime.h"

/* The signal that both take, SIGRTMIN of the C library. */
#define SAMPLE_SIGNAL	34

#define DATA FIXTURE_DATA(sample)

FIXTURE(sample)
{
	pid_t pid;
	FILE *log;		/* both of its outputs */
	char line[1024];
};

FIXTURE_VARIANT(sample)
{
	const char *program;
};

FIXTURE_VARIANT_ADD(sample, c)
{
	.program = "keyagent-sample",
};

FIXTURE_VARIANT_ADD(sample, rust)
{
	.program = "keyagent_sample",
};

static bool sample_path(const char *program, char *path, size_t size)
{
	const char *dir = getenv("KEYAGENT_SAMPLES");
	char name[64];

	snprintf(name, sizeof(name), "../../%s", program);
	if (dir)
		snprintf(path, size, "%s/%s", dir, program);
	else if (!beside(path, size, name))
		return false;
	return !access(path, X_OK);
}

/* Reads its log up to a line with these words; false: it has ended. */
static bool log_has(DATA *self, const char *words)
{
	while (fgets(self->line, sizeof(self->line), self->log))
		if (strstr(self->line, words))
			return true;
	return false;
}

FIXTURE_SETUP(sample)
{
	char path[4096];
	key_serial_t key;
	int fds[2];

	if (!sample_path(variant->program, path, sizeof(path)))
		SKIP(_exit(KSFT_SKIP), "there is no %s", path);
	test_session(_metadata);
	ASSERT_EQ(0, pipe(fds));
	self->pid = fork();
	ASSERT_LE(0, self->pid);
	if (!self->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fds[1], STDOUT_FILENO);
		dup2(fds[1], STDERR_FILENO);
		execl(path, variant->program, "user", NULL);
		_exit(127);
	}
	close(fds[1]);
	self->log = fdopen(fds[0], "r");
	ASSERT_TRUE(log_has(self, "agent key: "));
	key = atoi(strchr(self->line, ':') + 1);
	ASSERT_EQ(0, keyctl_link(key, KEY_SPEC_SESSION_KEYRING));
}

FIXTURE_TEARDOWN(sample)
{
	kill(self->pid, SIGKILL);
	waitpid(self->pid, NULL, 0);
	fclose(self->log);
}

static key_serial_t expect_served(struct __test_metadata *const _metadata,
				  DATA *self)
{
	const char *desc = unique("sample");
	char want[160];
	key_serial_t key;

	key = sys_request_key("user", desc, "hello", KEY_SPEC_SESSION_KEYRING);
	EXPECT_LT(0, key);
	snprintf(want, sizeof(want), "answer for %s", desc);
	EXPECT_STREQ(want, payload_of(key));
	EXPECT_TRUE(log_has(self, desc));
	/* The callout info may be a secret: its length alone is logged. */
	EXPECT_NE(NULL, strstr(self->line, ", 5 bytes of callout info\n"));
	EXPECT_EQ(NULL, strstr(self->line, "hello"));
	return key;
}

TEST_F(sample, serves)
{
	expect_served(_metadata, self);
	EXPECT_EQ(-1, sys_request_key("user", unique("reject:sample"), "hello",
				      0));
	EXPECT_EQ(EKEYREJECTED, errno);
}

/* For a key that there is not, that is finished, or that is somebody else's. */
TEST_F(sample, forged_signals)
{
	key_serial_t key[3];
	char number[16];
	unsigned int i;

	key[0] = 0x7ffffff0;
	key[1] = expect_served(_metadata, self);
	key[2] = sys_add_key("user", unique("mine"), "mine", 4,
			     KEY_SPEC_SESSION_KEYRING);
	ASSERT_LT(0, key[2]);
	for (i = 0; i < ARRAY_SIZE(key); i++) {
		ASSERT_EQ(0, forge(self->pid, SAMPLE_SIGNAL, key[i]));
		/* It says that there is none, by the number. */
		snprintf(number, sizeof(number), "%d", key[i]);
		EXPECT_TRUE(log_has(self, number));
		EXPECT_EQ(NULL, strstr(self->line, "asked for"));
	}
	EXPECT_STREQ("mine", payload_of(key[2]));
	EXPECT_EQ(0, waitpid(self->pid, NULL, WNOHANG));
	EXPECT_TRUE(authkeys_gone());
	EXPECT_NE(key[1], expect_served(_metadata, self));
}

KEYAGENT_HARNESS_MAIN
