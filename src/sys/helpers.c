// SPDX-License-Identifier: GPL-2.0
/* C inlines and macros of the kernel as functions that Rust can call. */

#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/proc_fs.h>
#include <linux/ptrace.h>
#include <linux/rcupdate.h>
#include <linux/sched/exec_state.h>
#include <linux/sched/signal.h>
#include <linux/user_namespace.h>

#ifdef CONFIG_X86_KERNEL_IBT
#include <asm/ibt.h>
#endif

#include "helpers.h"

/*
 * The detour ends with the last instructions of a call that holds the module no
 * more, and where a task can be preempted in them only RCU tasks wait for it.
 */
#if defined(CONFIG_PREEMPTION) && !defined(CONFIG_TASKS_RCU)
#error "keyagent needs CONFIG_TASKS_RCU, which CONFIG_OPTPROBES selects"
#endif

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

unsigned int keyagent_helper_key_usage(const struct key *key)
{
	unsigned int usage = refcount_read(&key->usage);

	/* What was done by who held a reference is seen when it is gone. */
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

	smp_rmb(); /* Pairs with the smp_wmb() in commit_creds(). */
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
 * Whether the task would see the signal, and survive it: blocked, waited for,
 * or handled.
 *
 * The blocked sets and the handler belong together only under siglock: a thread
 * that leaves sigwaitinfo() moves its signals from one set to the other.
 */
bool keyagent_helper_sees_signal(struct task_struct *task, int sig)
{
	struct sighand_struct *sighand;
	bool sees = false;
	__sighandler_t handler;
	unsigned long flags;

	rcu_read_lock();
again:
	sighand = rcu_dereference(task->sighand);
	if (!sighand)
		goto out;

	/* Type-stable memory: it may have become another process' by now. */
	spin_lock_irqsave(&sighand->siglock, flags);
	if (sighand != rcu_access_pointer(task->sighand)) {
		spin_unlock_irqrestore(&sighand->siglock, flags);
		goto again;
	}

	handler = sighand->action[sig - 1].sa.sa_handler;
	sees = sigismember(&task->blocked, sig) ||
	       sigismember(&task->real_blocked, sig) ||
	       (handler != SIG_DFL && handler != SIG_IGN);
	spin_unlock_irqrestore(&sighand->siglock, flags);
out:
	rcu_read_unlock();
	return sees;
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

void keyagent_helper_raw_spin_lock_init(raw_spinlock_t *lock, const char *name,
					struct lock_class_key *key)
{
#ifdef CONFIG_DEBUG_SPINLOCK
	__raw_spin_lock_init(lock, name, key, LD_WAIT_SPIN);
#else
	raw_spin_lock_init(lock);
#endif
}

unsigned long keyagent_helper_raw_spin_lock(raw_spinlock_t *lock)
{
	unsigned long flags;

	raw_spin_lock_irqsave(lock, flags);
	return flags;
}

bool keyagent_helper_raw_spin_trylock(raw_spinlock_t *lock,
				      unsigned long *flags)
{
	return raw_spin_trylock_irqsave(lock, *flags);
}

void keyagent_helper_raw_spin_unlock(raw_spinlock_t *lock,
				     unsigned long flags)
{
	raw_spin_unlock_irqrestore(lock, flags);
}

void keyagent_helper_raw_spin_assert_held(raw_spinlock_t *lock)
{
	lockdep_assert_held(lock);
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

/*
 * The entry of the probed function. On x86 a probe on a function that begins
 * with ENDBR is moved behind it, and an indirect call must not land there.
 */
unsigned long keyagent_helper_kprobe_entry(const struct kprobe *kp)
{
	unsigned long addr = (unsigned long)kp->addr;

#ifdef CONFIG_X86_KERNEL_IBT
	if (__is_endbr(*(u32 *)(addr - ENDBR_INSN_SIZE)))
		addr -= ENDBR_INSN_SIZE;
#endif
	return addr;
}

unsigned long keyagent_helper_regs_arg0(struct pt_regs *regs)
{
	return regs_get_kernel_argument(regs, 0);
}

void keyagent_helper_regs_redirect(struct pt_regs *regs, unsigned long target)
{
	instruction_pointer_set(regs, target);
}

int keyagent_helper_call_actor(unsigned long actor, struct key *authkey,
			       void *aux)
{
	return ((request_key_actor_t)actor)(authkey, aux);
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
