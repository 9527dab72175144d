// SPDX-License-Identifier: GPL-2.0
/*
 * The module's parameters while it is loaded: what they may be, who may change them,
 * and that a change counts from the next request on.
 */

#define _GNU_SOURCE
#include "module.h"
#include "parameters.h"
#include "userns.h"

#define USER	4711

/* -------------------------------------------------------------------- the values */

FIXTURE(value)
{
};

FIXTURE_VARIANT(value)
{
	const char *name;
	long dfl, min, max;
};

FIXTURE_VARIANT_ADD(value, timeout_ms) { "timeout_ms", 10000, 100, 60000 };
FIXTURE_VARIANT_ADD(value, negative_ttl) { "negative_ttl", 1, 0, 60 };
FIXTURE_VARIANT_ADD(value, max_in_flight) { "max_in_flight", 2048, 2, 4096 };
FIXTURE_VARIANT_ADD(value, unprivileged) { "unprivileged", 1, 0, 1 };

FIXTURE_SETUP(value)
{
	module_required(_metadata);
	ASSERT_EQ(0, module_reload(""));
}

FIXTURE_TEARDOWN(value)
{
	EXPECT_EQ(0, module_reload(""));
}

/* Refuses a word, and stays what it is. */
static void expect_refused(struct __test_metadata *const _metadata,
			   const char *name, const char *word)
{
	const long before = parameter_get(name);

	EXPECT_EQ(-EINVAL, parameter_write(name, word)) {
		TH_LOG("%s: '%s'", name, word);
	}
	EXPECT_EQ(before, parameter_get(name));
}

TEST_F(value, range)
{
	const char *name = variant->name;
	char word[24];

	EXPECT_EQ(variant->dfl, parameter_get(name));
	EXPECT_EQ(0, parameter_set(name, variant->min));
	EXPECT_EQ(variant->min, parameter_get(name));
	EXPECT_EQ(0, parameter_set(name, variant->max));
	EXPECT_EQ(variant->max, parameter_get(name));
	snprintf(word, sizeof(word), "%ld", variant->max + 1);
	expect_refused(_metadata, name, word);
	snprintf(word, sizeof(word), "%ld", variant->min - 1);
	expect_refused(_metadata, name, word);
	expect_refused(_metadata, name, "4294967295");
	expect_refused(_metadata, name, "-1");
	expect_refused(_metadata, name, "some");
	expect_refused(_metadata, name, " ");
}

/* A write from echo has a line feed. */
TEST_F(value, line_feed)
{
	char word[24];

	snprintf(word, sizeof(word), "%ld\n", variant->min);
	EXPECT_EQ(0, parameter_write(variant->name, word));
	EXPECT_EQ(variant->min, parameter_get(variant->name));
}

/* Everybody may know it, and root may change it. */
TEST_F(value, mode)
{
	struct stat st;
	char path[128];

	snprintf(path, sizeof(path), PARAMETERS "%s", variant->name);
	ASSERT_EQ(0, stat(path, &st)) {
		TH_LOG("%s: %s", path, strerror(errno));
	}
	EXPECT_EQ(0644, (int)(st.st_mode & 07777));
}

/* ------------------------------------------------------------------- what they do */

FIXTURE(effect)
{
	struct agent agent;
};

FIXTURE_SETUP(effect)
{
	module_required(_metadata);
	ASSERT_EQ(0, module_reload(""));
	test_session(_metadata);
}

FIXTURE_TEARDOWN(effect)
{
	agent_stop(&self->agent);
	EXPECT_EQ(0, module_reload(""));
}

TEST_F(effect, features)
{
	const char *between = "\n ";
	char text[256], *word, *save;
	bool shared = false;
	struct stat st;

	ASSERT_TRUE(file_read(PARAMETERS "features", text, sizeof(text))) {
		TH_LOG("features: %s", strerror(errno));
	}
	EXPECT_EQ('\n', text[strlen(text) - 1]);
	EXPECT_EQ(NULL, memchr(text, '\n', strlen(text) - 1));
	for (word = strtok_r(text, between, &save); word;
	     word = strtok_r(NULL, between, &save))
		shared |= !strcmp(word, "shared");
	EXPECT_TRUE(shared);
	ASSERT_EQ(0, stat(PARAMETERS "features", &st));
	EXPECT_EQ(0444, (int)(st.st_mode & 07777));
	EXPECT_EQ(-1, write_word(PARAMETERS "features", 0, "more"));
}

/* An option of modprobe is set in another way than a file is written. */
TEST_F(effect, features_of_modprobe)
{
	EXPECT_NE(0, module_reload("features=shared"));
	EXPECT_EQ(0, module_reload(""));
	EXPECT_NE(0, module_reload("features"));
}

TEST_F(effect, timeout)
{
	const struct requester_opts o = { .desc = unique("timeout") };
	const struct agent_opts opts = { .plan.action = AGENT_HOLD };
	struct requester_result res;

	agent_start(_metadata, &self->agent, &opts);
	ASSERT_EQ(0, parameter_set("timeout_ms", 200));
	res = request_in_child(_metadata, &o);
	EXPECT_EQ(ETIMEDOUT, res.error);
	EXPECT_LE(200, (long)res.ms);
	EXPECT_GT(200 + 100 * slow(), res.ms);
}

/* A key that is not negative at all is not in the way of the next request. */
TEST_F(effect, negative_ttl)
{
	const struct requester_opts o = { .desc = unique("negative") };
	const struct agent_opts opts = { .plan.action = AGENT_HOLD };

	agent_start(_metadata, &self->agent, &opts);
	ASSERT_EQ(0, parameter_set("timeout_ms", 200));
	ASSERT_EQ(0, parameter_set("negative_ttl", 60));
	EXPECT_EQ(ETIMEDOUT, request_in_child(_metadata, &o).error);
	EXPECT_EQ(ETIMEDOUT, request_in_child(_metadata, &o).error);
	EXPECT_EQ(1, agent_asked(&self->agent));

	ASSERT_EQ(0, parameter_set("negative_ttl", 0));
	ASSERT_EQ(0, keyctl_clear(KEY_SPEC_SESSION_KEYRING));
	ASSERT_EQ(0, keyctl_link(self->agent.sh->key,
				 KEY_SPEC_SESSION_KEYRING));
	EXPECT_EQ(ETIMEDOUT, request_in_child(_metadata, &o).error);
	EXPECT_EQ(ETIMEDOUT, request_in_child(_metadata, &o).error);
	EXPECT_EQ(3, agent_asked(&self->agent));
}

/* ---------------------------------------------------------------- who may register */

/* Registers as @prepare leaves a child of ours; 0, or the error. */
static int register_as(struct __test_metadata *const _metadata,
		       long (*prepare)(void))
{
	int status;
	pid_t pid = fork();
	long ret;

	ASSERT_LE(0, pid);
	if (!pid) {
		ret = prepare();
		if (ret >= 0)
			ret = agent_register("user", AGENT_SIGNAL);
		_exit(ret < 0 ? -ret : 0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static long user(void)
{
	return become(USER, USER, USER);
}

static long root_of_a_userns(void)
{
	long ret = user();

	return ret < 0 ? ret : enter_userns(0);
}

static long administrator(void)
{
	return become_with_cap(USER, CAP_SYS_ADMIN);
}

static long root_without_cap(void)
{
	return drop_cap(CAP_SYS_ADMIN, false);
}

static long root(void)
{
	return 0;
}

TEST_F(effect, unprivileged)
{
	EXPECT_EQ(0, register_as(_metadata, user));
	ASSERT_EQ(0, parameter_set("unprivileged", 0));
	EXPECT_EQ(EPERM, register_as(_metadata, user));
	EXPECT_EQ(EPERM, register_as(_metadata, root_of_a_userns));
	EXPECT_EQ(EPERM, register_as(_metadata, root_without_cap));
	EXPECT_EQ(0, register_as(_metadata, administrator));
	EXPECT_EQ(0, register_as(_metadata, root));
	ASSERT_EQ(0, parameter_set("unprivileged", 1));
	EXPECT_EQ(0, register_as(_metadata, user));
	EXPECT_EQ(0, register_as(_metadata, root_of_a_userns));
}

static long prepare_user(struct agent *a __maybe_unused)
{
	return user();
}

static long requester_user(const struct requester_opts *o __maybe_unused)
{
	return user();
}

/* It is about new agents. */
TEST_F(effect, unprivileged_agents_that_are_there)
{
	const struct agent_opts opts = { .prepare = prepare_user };
	const struct requester_opts o = {
		.desc = unique("there"), .prepare = requester_user,
	};

	agent_start(_metadata, &self->agent, &opts);
	ASSERT_EQ(0, parameter_set("unprivileged", 0));
	EXPECT_LT(0, request_in_child(_metadata, &o).key);
	EXPECT_EQ(1, agent_asked(&self->agent));
}

KEYAGENT_HARNESS_MAIN
