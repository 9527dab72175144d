// SPDX-License-Identifier: GPL-2.0
/*
 * A live patch of the kernel function that the module hooks. While it is in force,
 * each request that nobody else answers gets the payload "livepatch".
 *
 * With the parameter uncalled=1 it patches another function instead, so that every
 * request fails with ENOKEY before it comes to that function.
 */

#include <linux/err.h>
#include <linux/key-type.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <keys/request_key_auth-type.h>

static int keyagent_klp_request_key(struct key *authkey, void *aux)
{
	static const char payload[] = "livepatch";
	struct key *key = get_request_key_auth(authkey)->target_key;
	int ret;

	ret = key_instantiate_and_link(key, payload, sizeof(payload) - 1, NULL,
				       authkey);
	complete_request_key(authkey, ret);
	return ret;
}

static struct key *keyagent_klp_auth_new(struct key *target, const char *op,
					 const void *callout_info,
					 size_t callout_len,
					 struct key *dest_keyring)
{
	return ERR_PTR(-ENOKEY);
}

static struct klp_func funcs[] = {
	{
		.old_name = "call_sbin_request_key",
		.new_func = keyagent_klp_request_key,
	},
	{ },
};

static struct klp_func uncalled_funcs[] = {
	{
		.old_name = "request_key_auth_new",
		.new_func = keyagent_klp_auth_new,
	},
	{ },
};

/* An object without a name is the kernel itself. */
static struct klp_object objects[] = {
	{ .funcs = funcs },
	{ },
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objects,
};

static bool uncalled;
module_param(uncalled, bool, 0444);

static int __init keyagent_klp_init(void)
{
	if (uncalled)
		objects[0].funcs = uncalled_funcs;
	return klp_enable_patch(&patch);
}

/* The kernel calls it after the patch was disabled in sysfs. */
static void __exit keyagent_klp_exit(void)
{
}

module_init(keyagent_klp_init);
module_exit(keyagent_klp_exit);

MODULE_DESCRIPTION("A live patch, for the kselftests of keyagent");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
