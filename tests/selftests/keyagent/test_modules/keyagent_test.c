// SPDX-License-Identifier: GPL-2.0
/*
 * Requests as the kernel makes them, for whoever writes to /proc/keyagent_test:
 *
 *	user DESC	a user key, with the credentials of the writer
 *	override DESC	the same with credentials of the kernel's own, and a
 *			cache for what it is answered, as the users of
 *			dns_resolver and id_resolver have them
 *	kthread DESC	the same as "user", in a kernel thread
 *	signalled DESC	the same as "user", with SIGUSR1 pending for the writer
 *	dying DESC	the same as "user", with SIGKILL pending for the writer
 *	keep DESC	the same as "user"; once it has failed, every later "keep"
 *			fails with the same error, as cifs keeps that of a mount
 *	twice DESC	the same as "user" and, however that ends, a second time, for
 *			DESC with "-2" after it, as a file system asks for an owner and
 *			for a group; the second answer
 *	dns NAME	an address, for the net namespace of the writer
 *	last -		what the last "dying" was answered
 *
 * The write fails as the request does. Then the file has the answer.
 */

#include <linux/completion.h>
#include <linux/cred.h>
#include <linux/dns_resolver.h>
#include <linux/key.h>
#include <linux/keyctl.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/nsproxy.h>
#include <linux/proc_fs.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <keys/user-type.h>
#include <net/net_namespace.h>

#define LINE_SIZE	256

static const struct cred *cache_cred;

struct answer {
	size_t len;
	char text[LINE_SIZE];
};

static int take_answer(struct key *key, struct answer *answer)
{
	const struct user_key_payload *payload;
	int ret;

	if (IS_ERR(key))
		return PTR_ERR(key);

	down_read(&key->sem);
	ret = key_validate(key);
	payload = user_key_payload_locked(key);
	if (!ret && payload) {
		answer->len = min(payload->datalen, sizeof(answer->text));
		memcpy(answer->text, payload->data, answer->len);
	}
	up_read(&key->sem);
	key_put(key);
	return ret;
}

static int ask_user(const char *desc, struct answer *answer)
{
	return take_answer(request_key(&key_type_user, desc, "-"), answer);
}

static int ask_overridden(const char *desc, struct answer *answer)
{
	const struct cred *old = override_creds(cache_cred);
	int ret = ask_user(desc, answer);

	revert_creds(old);
	return ret;
}

static int ask_signalled(const char *desc, struct answer *answer)
{
	send_sig(SIGUSR1, current, 1);
	return ask_user(desc, answer);
}

/* What a process was answered that cannot tell it any more. */
static struct answer last_answer;
static int last_error = -ENODATA;
static DEFINE_MUTEX(last_lock);

static int ask_dying(const char *desc, struct answer *answer)
{
	int ret;

	send_sig(SIGKILL, current, 1);
	ret = ask_user(desc, answer);
	mutex_lock(&last_lock);
	last_error = ret;
	last_answer = *answer;
	mutex_unlock(&last_lock);
	return ret;
}

static int ask_last(const char *desc, struct answer *answer)
{
	int ret;

	mutex_lock(&last_lock);
	ret = last_error;
	*answer = last_answer;
	mutex_unlock(&last_lock);
	return ret;
}

static int kept_error;

static int ask_keep(const char *desc, struct answer *answer)
{
	int ret = READ_ONCE(kept_error);

	if (!ret)
		ret = ask_user(desc, answer);
	if (ret)
		WRITE_ONCE(kept_error, ret);
	return ret;
}

static int ask_twice(const char *desc, struct answer *answer)
{
	char *second = kasprintf(GFP_KERNEL, "%s-2", desc);
	int ret;

	if (!second)
		return -ENOMEM;
	ask_user(desc, answer);
	ret = ask_user(second, answer);
	kfree(second);
	return ret;
}

struct errand {
	const char *desc;
	struct answer *answer;
	int ret;
	struct completion done;
};

static int run_errand(void *data)
{
	struct errand *errand = data;

	errand->ret = ask_user(errand->desc, errand->answer);
	complete(&errand->done);
	return 0;
}

static int ask_kthread(const char *desc, struct answer *answer)
{
	struct errand errand = { .desc = desc, .answer = answer };
	struct task_struct *task;

	init_completion(&errand.done);
	task = kthread_run(run_errand, &errand, "keyagent_test");
	if (IS_ERR(task))
		return PTR_ERR(task);
	wait_for_completion(&errand.done);
	return errand.ret;
}

static int ask_dns(const char *name, struct answer *answer)
{
	char *result = NULL;
	int ret;

	ret = dns_query(current->nsproxy->net_ns, NULL, name, strlen(name), NULL,
			&result, NULL, false);
	if (ret < 0)
		return ret;
	if (!result)
		return -ENODATA;
	answer->len = min(strlen(result), sizeof(answer->text));
	memcpy(answer->text, result, answer->len);
	kfree(result);
	return 0;
}

static const struct {
	const char *prefix;
	int (*ask)(const char *desc, struct answer *answer);
} ways[] = {
	{ "user ", ask_user },
	{ "override ", ask_overridden },
	{ "kthread ", ask_kthread },
	{ "signalled ", ask_signalled },
	{ "dying ", ask_dying },
	{ "last ", ask_last },
	{ "keep ", ask_keep },
	{ "twice ", ask_twice },
	{ "dns ", ask_dns },
};

static int test_open(struct inode *inode, struct file *file)
{
	file->private_data = kzalloc_obj(struct answer);
	return file->private_data ? 0 : -ENOMEM;
}

static int test_release(struct inode *inode, struct file *file)
{
	kfree(file->private_data);
	return 0;
}

static ssize_t test_write(struct file *file, const char __user *buf, size_t len,
			  loff_t *pos)
{
	char line[LINE_SIZE];
	size_t i;
	int ret;

	if (len >= sizeof(line))
		return -EINVAL;
	if (copy_from_user(line, buf, len))
		return -EFAULT;
	line[len] = '\0';
	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		size_t prefix = str_has_prefix(line, ways[i].prefix);

		if (!prefix)
			continue;
		ret = ways[i].ask(line + prefix, file->private_data);
		return ret ? ret : len;
	}
	return -EINVAL;
}

static ssize_t test_read(struct file *file, char __user *buf, size_t len,
			 loff_t *pos)
{
	const struct answer *answer = file->private_data;

	return simple_read_from_buffer(buf, len, pos, answer->text,
				       answer->len);
}

static const struct proc_ops test_ops = {
	.proc_open = test_open,
	.proc_release = test_release,
	.proc_write = test_write,
	.proc_read = test_read,
	.proc_lseek = default_llseek,
};

/* Credentials for asking, whose thread keyring is the cache. */
static const struct cred *make_cache(void)
{
	struct cred *cred = prepare_kernel_cred(&init_task);
	struct key *ring;

	if (!cred)
		return NULL;
	ring = keyring_alloc(".keyagent_test", GLOBAL_ROOT_UID, GLOBAL_ROOT_GID,
			     cred, KEY_POS_ALL | KEY_USR_VIEW | KEY_USR_READ,
			     KEY_ALLOC_NOT_IN_QUOTA, NULL, NULL);
	if (IS_ERR(ring)) {
		put_cred(cred);
		return NULL;
	}
	cred->thread_keyring = ring;
	cred->jit_keyring = KEY_REQKEY_DEFL_THREAD_KEYRING;
	return cred;
}

static int __init keyagent_test_init(void)
{
	cache_cred = make_cache();
	if (!cache_cred)
		return -ENOMEM;
	if (!proc_create("keyagent_test", 0600, NULL, &test_ops)) {
		put_cred(cache_cred);
		return -ENOMEM;
	}
	return 0;
}

static void __exit keyagent_test_exit(void)
{
	remove_proc_entry("keyagent_test", NULL);
	key_revoke(cache_cred->thread_keyring);
	put_cred(cache_cred);
}

module_init(keyagent_test_init);
module_exit(keyagent_test_exit);

MODULE_DESCRIPTION("Requests for keys, for the kselftests of keyagent");
MODULE_LICENSE("GPL");
