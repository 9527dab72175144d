// SPDX-License-Identifier: GPL-2.0
/* Another task's signals. See signal.rs. */

#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/signal.h>

#include "helpers.h"

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
 * How often the signal is in the task's own queue with this si_code; UINT_MAX when the
 * queue is longer than what is looked at.
 */
unsigned int keyagent_helper_queued_signals(struct task_struct *task, int sig,
					    int code)
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
		found += entry->info.si_signo == sig &&
			 entry->info.si_code == code;
	}
	spin_unlock_irqrestore(&sighand->siglock, flags);
	return found;
}
