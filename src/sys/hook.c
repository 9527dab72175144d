// SPDX-License-Identifier: GPL-2.0
/*
 * The hooks on call_sbin_request_key() and key_reject_and_link(), and their test at
 * load.
 *
 * The key service calls call_sbin_request_key() for each key type without an actor
 * of its own. An ftrace_ops at its entry changes the instruction pointer to an actor of
 * this module. IPMODIFY excludes live patches of the same function, PERMANENT
 * excludes kernel.ftrace_enabled=0. Tracers, kprobes and BPF programs may share
 * the function.
 *
 * The module calls the original with a cookie as @aux, which the original never
 * reads. The handler leaves such a call alone. Nothing is looked up or locked,
 * and tail calls and return trampolines do not matter.
 *
 * A call of key_reject_and_link() with an error that user space must not choose is
 * refused: see reject_handler().
 *
 * To hook another function takes a handler, a struct keyagent_hook and a place in
 * all_hooks.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cred.h>
#include <linux/delay.h>
#include <linux/ftrace.h>
#include <linux/keyctl.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/sched/task.h>
#include <keys/request_key_auth-type.h>

#ifdef CONFIG_X86_KERNEL_IBT
#include <asm/cpufeature.h>
#include <asm/ibt.h>
#endif

#include "helpers.h"

/*
 * A redirected call ends with a few instructions that no reference on the module
 * covers. Where tasks can be preempted, only RCU tasks waits for them.
 */
#if defined(CONFIG_PREEMPTION) && !defined(CONFIG_TASKS_RCU)
#error "keyagent needs CONFIG_TASKS_RCU, which CONFIG_FUNCTION_TRACER selects"
#endif

/* How often to try again while a BPF trampoline of the function changes. */
#define MAX_TRIES 100

/* The greatest error that user space may see; include/linux/errno.h has the others. */
#define MAX_USER_ERROR 511

struct keyagent_hook {
	const char *symbol;
	struct ftrace_ops ops;
	unsigned long entry;
};

/* Its address is the cookie. */
static const char own_call;

static keyagent_actor_t upcall_actor;
static const void *upcall_server;

/* Whether keys of all types are redirected, and not only those of the test. */
static bool upcall_live;

static bool test_was_redirected, test_was_refused;

static int test_instantiate(struct key *key, struct key_preparsed_payload *prep)
{
	return -EPERM;
}

/* User space cannot name a type that begins with a dot. */
static struct key_type test_type = {
	.name = ".keyagent_probe",
	.instantiate = test_instantiate,
};

static notrace bool is_test(const struct key *authkey)
{
	return get_request_key_auth(authkey)->target_key->type == &test_type;
}

static int reject_test(struct key *authkey)
{
	struct key *target = get_request_key_auth(authkey)->target_key;

	WRITE_ONCE(test_was_redirected, true);
	WRITE_ONCE(test_was_refused, key_reject_and_link(target, 0, EIOCBQUEUED,
							 NULL, authkey) == -EINVAL);
	key_reject_and_link(target, 0, ENOKEY, NULL, authkey);
	key_revoke(authkey);
	return -ENOKEY;
}

/*
 * Runs in the place of call_sbin_request_key(). The handler has taken a reference
 * on the module; dropping it is the last use of anything in the module.
 */
static int redirected_upcall(struct key *authkey, void *aux)
{
	int ret;

	if (is_test(authkey))
		ret = reject_test(authkey);
	else
		ret = upcall_actor(upcall_server, authkey);
	module_put(THIS_MODULE);
	return ret;
}

/*
 * Called by ftrace at the entry of call_sbin_request_key().
 * unregister_ftrace_function() waits for tasks that are here. try_module_get() fails
 * while the module is being removed: then the original runs.
 */
static void notrace upcall_handler(unsigned long ip, unsigned long parent_ip,
				   struct ftrace_ops *ops,
				   struct ftrace_regs *fregs)
{
	const struct key *authkey =
		(const struct key *)ftrace_regs_get_argument(fregs, 0);

	if (ftrace_regs_get_argument(fregs, 1) == (unsigned long)&own_call)
		return;
	/*
	 * Pairs with the release in keyagent_hook_upcalls():
	 * tests/lkmm/hook-live.litmus.
	 */
	if (!smp_load_acquire(&upcall_live) && !is_test(authkey))
		return;
	if (!try_module_get(THIS_MODULE))
		return;
	ftrace_regs_set_instruction_pointer(fregs,
					    (unsigned long)redirected_upcall);
}

static struct keyagent_hook upcall_hook = {
	.symbol = "call_sbin_request_key",
	.ops = {
		.func = upcall_handler,
		.flags = FTRACE_OPS_FL_SAVE_ARGS | FTRACE_OPS_FL_IPMODIFY |
			 FTRACE_OPS_FL_PERMANENT,
	},
};

/* Runs in the place of key_reject_and_link(). hook_remove() waits for it. */
static int refused_reject(struct key *key, unsigned int timeout,
			  unsigned int error, struct key *keyring,
			  struct key *authkey)
{
	return -EINVAL;
}

/*
 * Called by ftrace at the entry of key_reject_and_link().
 *
 * keyctl_reject() excludes four of the errors above 511, which are the kernel's own.
 * Callers in the kernel get the error of a rejected key as it is, and EIOCBQUEUED, for
 * one, is a BUG() in new_sync_write(). Without the module, only programs of root's can
 * reject keys.
 */
static void notrace reject_handler(unsigned long ip, unsigned long parent_ip,
				   struct ftrace_ops *ops,
				   struct ftrace_regs *fregs)
{
	if ((unsigned int)ftrace_regs_get_argument(fregs, 2) <= MAX_USER_ERROR)
		return;
	ftrace_regs_set_instruction_pointer(fregs,
					    (unsigned long)refused_reject);
}

static struct keyagent_hook reject_hook = {
	.symbol = "key_reject_and_link",
	.ops = {
		.func = reject_handler,
		.flags = FTRACE_OPS_FL_SAVE_ARGS | FTRACE_OPS_FL_IPMODIFY |
			 FTRACE_OPS_FL_PERMANENT,
	},
};

static struct keyagent_hook *const all_hooks[] = { &reject_hook, &upcall_hook };

/* Hooks nothing: tells whether ftrace is enabled. */
static void notrace idle_handler(unsigned long ip, unsigned long parent_ip,
				 struct ftrace_ops *ops,
				 struct ftrace_regs *fregs)
{
}

static struct ftrace_ops idle_ops = {
	.func = idle_handler,
	.flags = FTRACE_OPS_FL_SAVE_ARGS | FTRACE_OPS_FL_PERMANENT,
};

/*
 * An indirect call of @entry must land on an ENDBR. The kernel overwrites those
 * of functions whose address it thinks that nobody takes.
 */
static bool can_be_called(unsigned long entry)
{
#ifdef CONFIG_X86_KERNEL_IBT
	/* With CONFIG_CFI the landing pad is elsewhere. */
	if (!IS_ENABLED(CONFIG_CFI) && cpu_feature_enabled(X86_FEATURE_IBT))
		return *(u32 *)entry == gen_endbr();
#endif
	return true;
}

/* A kprobe that is never armed finds the symbol. */
static int find_entry(struct keyagent_hook *hook)
{
	struct kprobe probe = {
		.symbol_name = hook->symbol,
		.flags = KPROBE_FLAG_DISABLED,
	};
	int ret = register_kprobe(&probe);

	if (ret) {
		pr_err("the kernel has no function %s(): error %d\n",
		       hook->symbol, ret);
		return ret;
	}
	hook->entry = (unsigned long)probe.addr;
	unregister_kprobe(&probe);

#ifdef CONFIG_X86_KERNEL_IBT
	/* A probe on a function that begins with ENDBR is moved behind it. */
	if (__is_endbr(*(u32 *)(hook->entry - ENDBR_INSN_SIZE)))
		hook->entry -= ENDBR_INSN_SIZE;
#endif
	if (!can_be_called(hook->entry)) {
		pr_err("the ENDBR of %s() is sealed: it cannot be called\n",
		       hook->symbol);
		return -EOPNOTSUPP;
	}
	return 0;
}

static int register_ops(struct ftrace_ops *ops)
{
	int tries = 0;
	int ret;

	while ((ret = register_ftrace_function(ops)) == -EAGAIN &&
	       ++tries < MAX_TRIES)
		msleep(20);
	return ret;
}

static void hook_remove(struct keyagent_hook *hook)
{
	unregister_ftrace_function(&hook->ops);
	/* For redirected calls that hold no reference to the module. */
	synchronize_rcu_tasks();
	ftrace_free_filter(&hook->ops);
}

static int hook_add(struct keyagent_hook *hook)
{
	int ret = find_entry(hook);

	if (ret)
		return ret;

	ret = ftrace_set_filter_ip(&idle_ops, hook->entry, 0, 0);
	if (ret) {
		pr_err("%s() cannot be traced: error %d\n", hook->symbol, ret);
		return ret;
	}
	ret = register_ops(&idle_ops);
	if (!ret)
		unregister_ftrace_function(&idle_ops);
	ftrace_free_filter(&idle_ops);
	if (ret) {
		pr_err("ftrace is off (error %d): write 1 to the sysctl kernel.ftrace_enabled first\n",
		       ret);
		return ret;
	}

	ret = ftrace_set_filter_ip(&hook->ops, hook->entry, 0, 0);
	if (!ret)
		ret = register_ops(&hook->ops);
	if (ret) {
		pr_err("cannot take over %s(): error %d; is there a live patch of it?\n",
		       hook->symbol, ret);
		ftrace_free_filter(&hook->ops);
	}
	return ret;
}

/* Removes the first @count. */
static void hooks_remove(size_t count)
{
	while (count--)
		hook_remove(all_hooks[count]);
}

static int hooks_add(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(all_hooks); i++) {
		int ret = hook_add(all_hooks[i]);

		if (ret) {
			hooks_remove(i);
			return ret;
		}
	}
	return 0;
}

/* Requests a key that only the hook can see, with a keyring that is nobody's. */
static int request_test_key(void)
{
	struct cred *cred = prepare_kernel_cred(&init_task);
	const struct cred *old;
	struct key *keyring, *key;

	if (!cred)
		return -ENOMEM;
	keyring = keyring_alloc(test_type.name, GLOBAL_ROOT_UID, GLOBAL_ROOT_GID,
				cred, KEY_POS_ALL & ~KEY_POS_SETATTR,
				KEY_ALLOC_NOT_IN_QUOTA, NULL, NULL);
	if (IS_ERR(keyring)) {
		put_cred(cred);
		return PTR_ERR(keyring);
	}
	/* The credentials own the keyring from here. */
	cred->thread_keyring = keyring;
	cred->jit_keyring = KEY_REQKEY_DEFL_THREAD_KEYRING;

	old = override_creds(cred);
	key = request_key(&test_type, "test", "");
	revert_creds(old);
	put_cred(cred);

	if (!IS_ERR(key)) {
		key_put(key);
		return 0;
	}
	return PTR_ERR(key);
}

/*
 * Whether a request comes to the hook: the compiler may have inlined or cloned the
 * function. If it does not, /sbin/request-key is run once and has no rule for the
 * type; the wait ends with that program.
 */
static int hook_test(void)
{
	int ret = register_key_type(&test_type);

	if (ret)
		return ret;
	WRITE_ONCE(test_was_redirected, false);
	ret = request_test_key();
	unregister_key_type(&test_type);
	if (READ_ONCE(test_was_redirected)) {
		if (READ_ONCE(test_was_refused))
			return 0;
		pr_err("calls do not come to the hook on %s()\n",
		       reject_hook.symbol);
		return -EOPNOTSUPP;
	}

	/* The request did not get as far as the function. */
	if (ret == -EDQUOT || ret == -ENOMEM) {
		pr_err("cannot test the hook: error %d%s\n", ret,
		       ret == -EDQUOT ? ", the key quota of root is used up" : "");
		return ret;
	}
	pr_err("requests do not come to the hook on %s(): one ended with %d\n",
	       upcall_hook.symbol, ret);
	return -EOPNOTSUPP;
}

/*
 * Has @actor answer all upcalls until keyagent_unhook_upcalls(). @actor gets
 * @server.
 */
int keyagent_hook_upcalls(keyagent_actor_t actor, const void *server)
{
	int ret;

	upcall_actor = actor;
	upcall_server = server;
	ret = hooks_add();
	if (ret)
		return ret;
	ret = hook_test();
	if (ret) {
		hooks_remove(ARRAY_SIZE(all_hooks));
		return ret;
	}
	/* Pairs with the acquire in upcall_handler(). */
	smp_store_release(&upcall_live, true);
	return 0;
}

/* Waits for the last instructions of calls that were redirected. */
void keyagent_unhook_upcalls(void)
{
	hooks_remove(ARRAY_SIZE(all_hooks));
}

/* The call that was redirected, as it would have been. */
int keyagent_call_original_upcall(struct key *authkey)
{
	return ((request_key_actor_t)upcall_hook.entry)(authkey,
							(void *)&own_call);
}
