// SPDX-License-Identifier: GPL-2.0
/*
 * A type of keys that is as "user" but for its name. Where requests of more than one
 * type are made, the types of the kernel do not do: what keys hold of those that
 * every kernel has cannot be read or is of a form of its own.
 */

#include <linux/key-type.h>
#include <linux/module.h>
#include <keys/user-type.h>

static struct key_type keyagent_type = {
	.name		= "keyagent_type",
	.preparse	= user_preparse,
	.free_preparse	= user_free_preparse,
	.instantiate	= generic_key_instantiate,
	.update		= user_update,
	.revoke		= user_revoke,
	.destroy	= user_destroy,
	.describe	= user_describe,
	.read		= user_read,
};

static int __init keyagent_type_init(void)
{
	return register_key_type(&keyagent_type);
}

static void __exit keyagent_type_exit(void)
{
	unregister_key_type(&keyagent_type);
}

module_init(keyagent_type_init);
module_exit(keyagent_type_exit);

MODULE_DESCRIPTION("A second type of keys, for the kselftests of keyagent");
MODULE_LICENSE("GPL");
