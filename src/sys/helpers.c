// SPDX-License-Identifier: GPL-2.0
/* C inlines and macros of the kernel as functions that Rust can call. */

#include <linux/capability.h>
#include <linux/compat.h>
#include <linux/cred.h>
#include <linux/debugfs.h>
#include <linux/freezer.h>
#include <linux/keyctl.h>
#include <linux/llist.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/proc_fs.h>
#include <linux/ptrace.h>
#include <linux/rcupdate.h>
#include <linux/sched/exec_state.h>
#include <linux/sched/signal.h>
#include <linux/sched/task_stack.h>
#include <linux/security.h>
#include <linux/string.h>
#include <linux/user_namespace.h>
#include <asm/syscall.h>
#include <asm/unistd.h>

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

bool keyagent_helper_task_is_exiting(struct task_struct *task)
{
	return READ_ONCE(task->flags) & PF_EXITING ||
	       READ_ONCE(task->exit_state);
}

/* A kernel thread, or a worker of one that borrows a process. */
bool keyagent_helper_task_is_worker(struct task_struct *task)
{
	return READ_ONCE(task->flags) &
	       (PF_KTHREAD | PF_IO_WORKER | PF_USER_WORKER);
}

/*
 * Set before the new program is read, and cleared when it runs or exec has
 * failed.
 */
bool keyagent_helper_task_is_in_exec(struct task_struct *task)
{
	/* A bit-field that only @task writes. */
	return data_race((bool)task->in_execve);
}

bool keyagent_helper_current_is_killed(void)
{
	return fatal_signal_pending(current);
}

bool keyagent_helper_current_calls_request_key(void)
{
	int nr = syscall_get_nr(current, task_pt_regs(current));

	if (in_compat_syscall()) {
#if defined(__NR_ia32_request_key)
		return nr == __NR_ia32_request_key;
#elif defined(__NR_compat32_request_key)
		return nr == __NR_compat32_request_key;
#else
		return false;
#endif
	}
	return nr == __NR_request_key;
}

bool keyagent_helper_current_is_being_frozen(void)
{
	return freezing(current) ||
	       READ_ONCE(current->jobctl) & JOBCTL_TRAP_FREEZE;
}

void keyagent_helper_restart_current(void)
{
	set_thread_flag(TIF_SIGPENDING);
}

u64 keyagent_helper_task_exec_id(struct task_struct *task)
{
	return READ_ONCE(task->self_exec_id);
}

pid_t keyagent_helper_task_tgid(struct task_struct *task)
{
	return task->tgid;
}

/*
 * Whether the memory of the task's process is its user's to look into. Read
 * after the credentials: who drops privileges loses this first.
 */
bool keyagent_helper_task_is_dumpable(struct task_struct *task)
{
	const struct task_exec_state *state;
	bool dumpable;

	/* Pairs with the smp_wmb() in commit_creds(): tests/lkmm/dumpable.litmus. */
	smp_rmb();
	rcu_read_lock();
	state = rcu_dereference(task->exec_state);
	dumpable = state && READ_ONCE(state->dumpable) == TASK_DUMPABLE_OWNER;
	rcu_read_unlock();
	return dumpable;
}

bool keyagent_helper_task_no_new_privs(struct task_struct *task)
{
	return task_no_new_privs(task);
}

/*
 * Whether all security modules give both tasks the same objective label. The
 * structure is cleared, padding and the parts of modules that are off included,
 * before each module sets its part: an id, or a pointer to what there is once for
 * each label. No reference comes with a pointer, but what AppArmor's points at is
 * freed a grace period late, so that no other label gets its address meanwhile.
 * AppArmor gives the newest version of a label, whichever a task began with.
 */
bool keyagent_helper_task_same_label(struct task_struct *a,
				     struct task_struct *b)
{
	struct lsm_prop label_a, label_b;
	bool same;

	rcu_read_lock();
	security_task_getlsmprop_obj(a, &label_a);
	security_task_getlsmprop_obj(b, &label_b);
	same = !memcmp(&label_a, &label_b, sizeof(label_a));
	rcu_read_unlock();
	return same;
}

bool keyagent_helper_exec_trylock(struct task_struct *task)
{
	return down_read_trylock(&task->signal->exec_update_lock);
}

void keyagent_helper_exec_unlock(struct task_struct *task)
{
	up_read(&task->signal->exec_update_lock);
}

/* The current process' number as @task sees it, 0 when it does not. */
pid_t keyagent_helper_current_pid_for(struct task_struct *task)
{
	struct pid_namespace *ns;
	pid_t nr = 0;

	rcu_read_lock();
	ns = task_active_pid_ns(task);
	if (ns)
		nr = task_tgid_nr_ns(current, ns);
	rcu_read_unlock();
	return nr;
}

/*
 * Takes the siglock of a task, whose sighand may be replaced or taken away until
 * then. Returns NULL when the task has none any more.
 */
static struct sighand_struct *lock_sighand(struct task_struct *task,
					   unsigned long *flags)
{
	struct sighand_struct *sighand;

	rcu_read_lock();
	while ((sighand = rcu_dereference(task->sighand))) {
		/* Type-stable memory: it may be another process' by now. */
		spin_lock_irqsave(&sighand->siglock, *flags);
		if (sighand == rcu_access_pointer(task->sighand))
			break;
		spin_unlock_irqrestore(&sighand->siglock, *flags);
	}
	rcu_read_unlock();
	return sighand;
}

/*
 * Whether the task would see the signal, and survive it: blocked, waited for,
 * or handled.
 *
 * The blocked sets and the handler belong together only under siglock: a thread
 * that leaves sigwaitinfo() moves its signals from one set to the other.
 */
bool keyagent_helper_sees_signal(struct task_struct *task, int sig)
{
	struct sighand_struct *sighand;
	__sighandler_t handler;
	unsigned long flags;
	bool sees;

	sighand = lock_sighand(task, &flags);
	if (!sighand)
		return false;
	handler = sighand->action[sig - 1].sa.sa_handler;
	sees = sigismember(&task->blocked, sig) ||
	       sigismember(&task->real_blocked, sig) ||
	       (handler != SIG_DFL && handler != SIG_IGN);
	spin_unlock_irqrestore(&sighand->siglock, flags);
	return sees;
}

/* How many entries of a queue are looked at, with interrupts off. */
#define MAX_QUEUED 4096

/*
 * The number of signals with this si_code in the task's own queue; UINT_MAX when
 * the queue is longer than what is looked at.
 */
unsigned int keyagent_helper_queued_signals(struct task_struct *task, int code)
{
	struct sighand_struct *sighand;
	unsigned int steps = 0, found = 0;
	struct sigqueue *entry;
	unsigned long flags;

	sighand = lock_sighand(task, &flags);
	if (!sighand)
		return 0;
	list_for_each_entry(entry, &task->pending.list, list) {
		if (++steps > MAX_QUEUED) {
			found = UINT_MAX;
			break;
		}
		found += entry->info.si_code == code;
	}
	spin_unlock_irqrestore(&sighand->siglock, flags);
	return found;
}

/* 0 when @pid is not visible to the current task. */
pid_t keyagent_helper_current_pid_nr_of(struct pid *pid)
{
	return pid_vnr(pid);
}

/* 0 when @pid is not visible in the pid namespace of the proc mount. */
pid_t keyagent_helper_seq_pid_nr(struct seq_file *m, struct pid *pid)
{
	return pid_nr_ns(pid, proc_pid_ns(file_inode(m->file)->i_sb));
}

/* In a hurry, for what the callback does takes an authority away. */
void keyagent_helper_call_rcu(struct rcu_head *head, rcu_callback_t func)
{
	call_rcu_hurry(head, func);
}

struct workqueue_struct *keyagent_helper_alloc_workqueue(void)
{
	return alloc_workqueue("keyagent", WQ_UNBOUND, 0);
}

void keyagent_helper_init_work(struct work_struct *work, work_func_t func)
{
	INIT_WORK(work, func);
}

void keyagent_helper_queue_work(struct workqueue_struct *wq,
				struct work_struct *work)
{
	queue_work(wq, work);
}

bool keyagent_helper_llist_add(struct llist_node *node, struct llist_head *head)
{
	return llist_add(node, head);
}

struct llist_node *keyagent_helper_llist_del_all(struct llist_head *head)
{
	return llist_del_all(head);
}

static int keyagent_debugfs_open(struct inode *inode, struct file *file)
{
	return single_open(file, debugfs_get_aux(file), inode->i_private);
}

/* Whoever has a file open keeps the module. */
static const struct file_operations keyagent_debugfs_fops = {
	.owner = THIS_MODULE,
	.open = keyagent_debugfs_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = single_release,
};

void keyagent_helper_debugfs_create_file(const char *name, struct dentry *dir,
					 void *data,
					 int (*show)(struct seq_file *m,
						     void *v))
{
	debugfs_create_file_aux(name, 0400, dir, data, show,
				&keyagent_debugfs_fops);
}
