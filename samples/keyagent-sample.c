// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A small key agent, to learn from.  Try it, with the module loaded:
 *
 *	$ keyagent-sample user &
 *	agent key: 123456789
 *	$ keyctl link 123456789 @s
 *	$ keyctl request2 user greeting hello
 *
 * See Documentation/userspace-api/keyagent.rst
 */
#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <keyutils.h>
#include <linux/keyagent.h>

/* Requesters choose this text: do not let it forge lines of the log. */
static void print(const char *text)
{
	for (; *text; text++)
		putchar(isprint((unsigned char)*text) ? *text : '?');
}

/* What is the answer for this key? */
static long reply(key_serial_t key, const char *desc)
{
	char payload[5000];

	/* Refuse.  For 5 seconds whoever asks again gets this error, too. */
	if (!strncmp(desc, "reject:", strlen("reject:")))
		return keyctl_reject(key, 5, EKEYREJECTED, 0);

	/* Answer.  The kernel has already linked the key where it is wanted. */
	snprintf(payload, sizeof(payload), "answer for %s", desc);
	return keyctl_instantiate(key, payload, strlen(payload), 0);
}

static void serve(const struct signalfd_siginfo *si)
{
	key_serial_t key = si->ssi_int;
	void *callout = NULL;
	char *attrs, *desc;
	int error, i, len;

	/*
	 * Whoever may send us signals can forge this one.  What counts is the
	 * authorisation key in our process keyring: only the kernel puts one
	 * there, and takes it away when the request is over.
	 */
	if (si->ssi_code != SI_KEYAGENT || keyctl_assume_authority(key) < 0) {
		warnx("no request for key %d", key);
		return;
	}

	/* Now we may look at the key: "type;uid;gid;permissions;description". */
	if (keyctl_describe_alloc(key, &attrs) < 0) {
		warn("cannot describe key %d", key);
		keyctl_reject(key, 5, ENOKEY, 0);
		goto out;
	}
	for (desc = attrs, i = 0; i < 4; i++)
		desc += strcspn(desc, ";") + 1;

	/* And read the callout info, the third argument of request_key(). */
	len = keyctl_read_alloc(KEY_SPEC_REQKEY_AUTH_KEY, &callout);

	/*
	 * Log what was asked, but neither the answer nor the callout info: both
	 * may be secrets.
	 */
	printf("asked for %.*s:", (int)strcspn(attrs, ";"), attrs);
	print(desc);
	printf(" by pid %u uid %u, %d bytes of callout info\n", si->ssi_pid,
	       si->ssi_uid, len < 0 ? 0 : len);

	if (reply(key, desc) < 0) {
		error = errno;
		warn("cannot answer for key %d", key);
		keyctl_reject(key, 5, error, 0);	/* do not let them wait */
	}
	free(callout);
	free(attrs);
out:
	/* Give the authority back: while we hold it we see the requester's keys. */
	keyctl_assume_authority(0);
}

int main(int argc, char **argv)
{
	/*
	 * KEYAGENT_SHARED: no subscriber can revoke or invalidate the key, and
	 * so take us away from the others.
	 */
	const struct keyagent_payload agent = {
		.signal = SIGRTMIN,
		.flags = KEYAGENT_SHARED,
	};
	struct signalfd_siginfo si;
	key_serial_t key;
	sigset_t set;
	int fd;

	if (argc != 2)
		errx(2, "usage: keyagent-sample TYPE");
	setvbuf(stdout, NULL, _IOLBF, 0);

	/* Authorisation keys are put into our process keyring: make one. */
	if (keyctl_get_keyring_ID(KEY_SPEC_PROCESS_KEYRING, 1) < 0)
		err(1, "cannot make a process keyring");

	/* An agent that the signal would kill is not asked: block it first. */
	sigemptyset(&set);
	sigaddset(&set, agent.signal);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (fd < 0)
		err(1, "signalfd");

	/*
	 * Become the agent.  In our process keyring the agent key lives as long
	 * as we do and subscribes nobody, not even the shell that started us,
	 * which has the same session keyring.
	 *
	 * Do not try again without the flag if it is refused: the subscribers
	 * rely on it.
	 */
	key = add_key(KEYAGENT_KEY_TYPE, argv[1], &agent, sizeof(agent),
		      KEY_SPEC_PROCESS_KEYRING);
	if (key < 0 && errno == EINVAL)
		errx(1, "cannot become an agent for %s: no such name of a key type, or the module is too old for KEYAGENT_SHARED: see /sys/module/keyagent/parameters/features",
		     argv[1]);
	if (key < 0)
		err(1, "cannot become an agent for %s", argv[1]);

	/*
	 * To subscribe, other processes of this user must be able to link the
	 * key.  Those that did possess it, and their requests find it if
	 * possessors may search.  Nobody gets SETATTR: with that, a process of
	 * this user could take the other permissions away.
	 */
	if (keyctl_setperm(key, KEY_POS_VIEW | KEY_POS_SEARCH | KEY_POS_LINK |
			   KEY_USR_VIEW | KEY_USR_SEARCH | KEY_USR_LINK) < 0)
		err(1, "keyctl_setperm");
	printf("agent key: %d\n", key);

	while (read(fd, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo != agent.signal)
			return 0;	/* SIGINT, SIGTERM: the key goes with us */
		serve(&si);
	}
	err(1, "read signalfd");
}
