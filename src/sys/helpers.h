/* SPDX-License-Identifier: GPL-2.0 */
/* C inlines and macros of the kernel as functions that Rust can call. */

#ifndef _KEYAGENT_HELPERS_H
#define _KEYAGENT_HELPERS_H

#include <linux/key.h>
#include <linux/key-type.h>
#include <linux/kprobes.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

const struct cred *keyagent_helper_current_cred(void);
const struct cred *keyagent_helper_current_real_cred(void);
const struct cred *keyagent_helper_override_creds(const struct cred *cred);
const struct cred *keyagent_helper_revert_creds(const struct cred *cred);

bool keyagent_helper_cred_capable(const struct cred *cred,
				  struct user_namespace *ns, int cap);
bool keyagent_helper_cred_capable_over(const struct cred *cred,
				       struct task_struct *task, int cap);

void keyagent_helper_key_get(struct key *key);
key_ref_t keyagent_helper_make_key_ref(struct key *key, bool possessed);
struct key *keyagent_helper_key_ref_to_ptr(key_ref_t ref);
unsigned int keyagent_helper_key_usage(const struct key *key);

bool keyagent_helper_task_is_exiting(struct task_struct *task);
bool keyagent_helper_task_is_worker(struct task_struct *task);
u64 keyagent_helper_task_exec_id(struct task_struct *task);
pid_t keyagent_helper_task_tgid(struct task_struct *task);
bool keyagent_helper_task_is_dumpable(struct task_struct *task);
bool keyagent_helper_task_no_new_privs(struct task_struct *task);
bool keyagent_helper_exec_trylock(struct task_struct *task);
void keyagent_helper_exec_unlock(struct task_struct *task);
pid_t keyagent_helper_current_pid_for(struct task_struct *task);
bool keyagent_helper_sees_signal(struct task_struct *task, int sig);

pid_t keyagent_helper_current_pid_nr_of(struct pid *pid);
pid_t keyagent_helper_seq_pid_nr(struct seq_file *m, struct pid *pid);

void keyagent_helper_raw_spin_lock_init(raw_spinlock_t *lock, const char *name,
					struct lock_class_key *key);
unsigned long keyagent_helper_raw_spin_lock(raw_spinlock_t *lock);
bool keyagent_helper_raw_spin_trylock(raw_spinlock_t *lock,
				      unsigned long *flags);
void keyagent_helper_raw_spin_unlock(raw_spinlock_t *lock,
				     unsigned long flags);
void keyagent_helper_raw_spin_assert_held(raw_spinlock_t *lock);

void keyagent_helper_call_rcu(struct rcu_head *head, rcu_callback_t func);

struct workqueue_struct *keyagent_helper_alloc_workqueue(void);
void keyagent_helper_init_work(struct work_struct *work, work_func_t func);
void keyagent_helper_queue_work(struct workqueue_struct *wq,
				struct work_struct *work);

unsigned long keyagent_helper_kprobe_entry(const struct kprobe *kp);
unsigned long keyagent_helper_regs_arg0(struct pt_regs *regs);
void keyagent_helper_regs_redirect(struct pt_regs *regs, unsigned long target);
int keyagent_helper_call_actor(unsigned long actor, struct key *authkey,
			       void *aux);

void keyagent_helper_debugfs_create_file(const char *name, struct dentry *dir,
					 void *data,
					 int (*show)(struct seq_file *m,
						     void *v));

void keyagent_helper_trace_request_start(const char *type, s32 key);
void keyagent_helper_trace_handover(s32 key, pid_t agent, int sig);
void keyagent_helper_trace_request_end(const char *type, s32 key, pid_t agent,
				       const char *outcome, u64 latency_ns);

#endif /* _KEYAGENT_HELPERS_H */
