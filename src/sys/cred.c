// SPDX-License-Identifier: GPL-2.0
/* Credentials: what Rust cannot do with them itself. See cred.rs. */

#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/exec_state.h>
#include <linux/user_namespace.h>

#include "helpers.h"

const struct cred *keyagent_helper_current_cred(void)
{
	return current_cred();
}

const struct cred *keyagent_helper_current_real_cred(void)
{
	return current_real_cred();
}

const struct cred *keyagent_helper_override_creds(const struct cred *cred)
{
	return override_creds(cred);
}

const struct cred *keyagent_helper_revert_creds(const struct cred *cred)
{
	return revert_creds(cred);
}

/*
 * Whether a task with these credentials would have the capability. It is not
 * the current task that uses a privilege, so its accounting flag is put back.
 */
bool keyagent_helper_cred_capable(const struct cred *cred,
				  struct user_namespace *ns, int cap)
{
	unsigned int superpriv = current->flags & PF_SUPERPRIV;
	const struct cred *old = override_creds(cred);
	bool capable = ns_capable_noaudit(ns, cap);

	revert_creds(old);
	current->flags = (current->flags & ~PF_SUPERPRIV) | superpriv;
	return capable;
}

/*
 * The same in the user namespace that the task's program belongs to: that of
 * who could read the program, at least.
 */
bool keyagent_helper_cred_capable_over(const struct cred *cred,
				       struct task_struct *task, int cap)
{
	const struct task_exec_state *state;
	bool capable;

	rcu_read_lock();
	state = rcu_dereference(task->exec_state);
	capable = state &&
		  keyagent_helper_cred_capable(cred, state->user_ns, cap);
	rcu_read_unlock();
	return capable;
}

/* See Tenant in cred.rs. Returns the namespace, or NULL and a user in *@uid. */
const struct user_namespace *
keyagent_helper_tenant(const struct cred *requester, const struct cred *agent,
		       uid_t *uid)
{
	const struct user_namespace *ns, *child = NULL;
	kuid_t user = requester->uid;

	for (ns = requester->user_ns; ns && ns != agent->user_ns; ns = ns->parent)
		child = ns;
	if (ns && child) {
		if (uid_eq(child->owner, agent->uid))
			return child;
		user = child->owner;
	}
	*uid = __kuid_val(user);
	return NULL;
}
