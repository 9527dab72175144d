// SPDX-License-Identifier: GPL-2.0
/* Other C inlines and macros of the kernel as functions that Rust can call. */

#include <linux/debugfs.h>
#include <linux/jiffies.h>
#include <linux/llist.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/seq_file.h>
#include <linux/workqueue.h>

#include "helpers.h"

void keyagent_helper_synchronize_rcu_tasks(void)
{
	synchronize_rcu_tasks();
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

void keyagent_helper_init_delayed_work(struct delayed_work *work,
				       work_func_t func)
{
	INIT_DELAYED_WORK(work, func);
}

/* Does nothing when it is queued already. */
void keyagent_helper_queue_delayed_work(struct delayed_work *work,
					unsigned int ms)
{
	schedule_delayed_work(work, msecs_to_jiffies(ms));
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
