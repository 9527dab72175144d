// SPDX-License-Identifier: GPL-2.0
/*
 * The module's parameters. All but "features" can be written at run time, and
 * apply to the next request.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/sysfs.h>

#include "helpers.h"

unsigned int keyagent_timeout_ms = 10000;
unsigned int keyagent_negative_ttl = 1;
unsigned int keyagent_max_in_flight = 2048;
unsigned int keyagent_unprivileged = 1;

struct bounded {
	unsigned int *value;
	unsigned int min;
	unsigned int max;
};

static int set_bounded(const char *text, const struct kernel_param *param)
{
	const struct bounded *bounded = param->arg;
	unsigned int value;

	if (kstrtouint(text, 0, &value) || value < bounded->min ||
	    value > bounded->max) {
		pr_err("%s=%s: must be a number from %u to %u\n", param->name,
		       text, bounded->min, bounded->max);
		return -EINVAL;
	}
	WRITE_ONCE(*bounded->value, value);
	return 0;
}

static int get_bounded(char *buffer, const struct kernel_param *param)
{
	const struct bounded *bounded = param->arg;

	return sysfs_emit(buffer, "%u\n", READ_ONCE(*bounded->value));
}

static const struct kernel_param_ops bounded_ops = {
	.set = set_bounded,
	.get = get_bounded,
};

#define BOUNDED_PARAM(name, min, max, description)                            \
	static struct bounded bounded_##name = { &keyagent_##name, min, max }; \
	module_param_cb(name, &bounded_ops, &bounded_##name, 0644);            \
	MODULE_PARM_DESC(name, description)

BOUNDED_PARAM(timeout_ms, 100, 60000,
	      "How long a requester waits for an agent's answer, in milliseconds (100 to 60000)");
BOUNDED_PARAM(negative_ttl, 0, 60,
	      "How long a key stays negative when no answer came, in seconds (0 to 60)");
BOUNDED_PARAM(max_in_flight, 2, 4096,
	      "How many requests an agent may have at once, and one tenant half of that (2 to 4096)");
BOUNDED_PARAM(unprivileged, 0, 1,
	      "Whether a user without CAP_SYS_ADMIN may register an agent (0 or 1)");

static int get_features(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "shared\n");
}

static int set_features(const char *text, const struct kernel_param *param)
{
	pr_err("%s cannot be set\n", param->name);
	return -EPERM;
}

static const struct kernel_param_ops features_ops = {
	.set = set_features,
	.get = get_features,
};

module_param_cb(features, &features_ops, NULL, 0444);
MODULE_PARM_DESC(features, "The flags of agent keys that this module knows (read-only)");
