/* SPDX-License-Identifier: GPL-2.0 */
/* C inlines and macros of the kernel as functions that Rust can call. */

#ifndef _KEYAGENT_HELPERS_H
#define _KEYAGENT_HELPERS_H

#include <linux/key.h>
#include <linux/key-type.h>
#include <linux/llist.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/workqueue.h>

const struct cred *keyagent_helper_current_cred(void);
const struct cred *keyagent_helper_current_real_cred(void);
const struct cred *keyagent_helper_override_creds(const struct cred *cred);
const struct cred *keyagent_helper_revert_creds(const struct cred *cred);

bool keyagent_helper_cred_capable(const struct cred *cred,
				  struct user_namespace *ns, int cap);
bool keyagent_helper_cred_capable_over(const struct cred *cred,
				       struct task_struct *task, int cap);

const struct user_namespace *
keyagent_helper_tenant(const struct cred *requester, const struct cred *agent,
		       uid_t *uid);

void keyagent_helper_key_get(struct key *key);
void keyagent_helper_key_keep(struct key *key);
bool keyagent_helper_possesses(struct key *keyring);
struct key_restriction *keyagent_helper_agents_only(const char *params,
						    struct key_type *type);
key_ref_t keyagent_helper_make_key_ref(struct key *key, bool possessed);
struct key *keyagent_helper_key_ref_to_ptr(key_ref_t ref);
unsigned int keyagent_helper_key_usage(const struct key *key);
void keyagent_helper_expire_long_ago(struct key *key);
void keyagent_helper_end_waits(struct key *key);

bool keyagent_helper_task_is_exiting(struct task_struct *task);
bool keyagent_helper_task_has_exited(struct task_struct *task);
bool keyagent_helper_task_is_worker(struct task_struct *task);
bool keyagent_helper_task_is_in_exec(struct task_struct *task);
u64 keyagent_helper_task_exec_id(struct task_struct *task);
pid_t keyagent_helper_task_tgid(struct task_struct *task);
bool keyagent_helper_task_is_dumpable(struct task_struct *task);
bool keyagent_helper_task_no_new_privs(struct task_struct *task);
bool keyagent_helper_task_same_label(struct task_struct *a,
				     struct task_struct *b);
bool keyagent_helper_exec_trylock(struct task_struct *task);
void keyagent_helper_exec_unlock(struct task_struct *task);
pid_t keyagent_helper_tgid_seen_by(struct task_struct *task,
				   struct task_struct *viewer);
bool keyagent_helper_sees_signal(struct task_struct *task, int sig);
unsigned int keyagent_helper_queued_signals(struct task_struct *task, int sig,
					    int code);

bool keyagent_helper_current_is_killed(void);
bool keyagent_helper_current_calls_request_key(void);
bool keyagent_helper_current_is_freezing(void);
bool keyagent_helper_current_is_being_frozen(void);
void keyagent_helper_restart_current(void);

bool keyagent_helper_is_pid_of_current(const struct pid *pid);
pid_t keyagent_helper_current_pid_nr_of(struct pid *pid);
pid_t keyagent_helper_seq_pid_nr(struct seq_file *m, struct pid *pid);

bool keyagent_helper_llist_add(struct llist_node *node,
			       struct llist_head *head);
struct llist_node *keyagent_helper_llist_del_all(struct llist_head *head);

void keyagent_helper_synchronize_rcu_tasks(void);
void keyagent_helper_call_rcu(struct rcu_head *head, rcu_callback_t func);

struct workqueue_struct *keyagent_helper_alloc_workqueue(void);
void keyagent_helper_init_work(struct work_struct *work, work_func_t func);
void keyagent_helper_queue_work(struct workqueue_struct *wq,
				struct work_struct *work);
void keyagent_helper_init_delayed_work(struct delayed_work *work,
				       work_func_t func);
void keyagent_helper_queue_delayed_work(struct delayed_work *work,
					unsigned int ms);

typedef int (*keyagent_actor_t)(const void *server, struct key *authkey);

int keyagent_hook_upcalls(keyagent_actor_t actor, const void *server);
void keyagent_unhook_upcalls(void);
int keyagent_call_original_upcall(struct key *authkey);

extern unsigned int keyagent_timeout_ms;
extern unsigned int keyagent_negative_ttl;
extern unsigned int keyagent_max_in_flight;
extern unsigned int keyagent_unprivileged;

void keyagent_helper_debugfs_create_file(const char *name, struct dentry *dir,
					 void *data,
					 int (*show)(struct seq_file *m,
						     void *v));

void keyagent_helper_trace_request_start(const char *type, s32 key);
void keyagent_helper_trace_handover(const char *type, s32 key,
				    struct task_struct *agent,
				    const struct cred *agent_cred, int sig);
bool keyagent_helper_traces_request_end(void);
void keyagent_helper_trace_request_end(const char *type, s32 key, pid_t agent,
				       const char *outcome, u64 latency_ns);

#endif /* _KEYAGENT_HELPERS_H */
