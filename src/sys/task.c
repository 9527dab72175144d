// SPDX-License-Identifier: GPL-2.0
/* Threads and the current task: what Rust cannot do with them itself. See task.rs. */

#include <linux/compat.h>
#include <linux/freezer.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/proc_fs.h>
#include <linux/rcupdate.h>
#include <linux/sched/exec_state.h>
#include <linux/sched/jobctl.h>
#include <linux/sched/signal.h>
#include <linux/sched/task_stack.h>
#include <linux/security.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <asm/syscall.h>
#include <asm/unistd.h>

#include "helpers.h"

bool keyagent_helper_task_is_exiting(struct task_struct *task)
{
	return READ_ONCE(task->flags) & PF_EXITING ||
	       READ_ONCE(task->exit_state);
}

bool keyagent_helper_task_has_exited(struct task_struct *task)
{
	return READ_ONCE(task->exit_state);
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

#ifdef CONFIG_X86_X32_ABI
	if (in_x32_syscall())
		return nr == (__X32_SYSCALL_BIT | __NR_request_key);
#endif
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

/* For a suspend, or by the freezer of cgroup v1. */
bool keyagent_helper_current_is_freezing(void)
{
	return freezing(current);
}

bool keyagent_helper_current_is_being_frozen(void)
{
	return keyagent_helper_current_is_freezing() ||
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

/* The number of @task's process in the pid namespace of @viewer, 0 if it has none. */
pid_t keyagent_helper_tgid_seen_by(struct task_struct *task,
				   struct task_struct *viewer)
{
	struct pid_namespace *ns;
	pid_t nr = 0;

	rcu_read_lock();
	ns = task_active_pid_ns(viewer);
	if (ns)
		nr = pid_nr_ns(task_tgid(task), ns);
	rcu_read_unlock();
	return nr;
}

bool keyagent_helper_is_pid_of_current(const struct pid *pid)
{
	return pid == task_pid(current);
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
