// SPDX-License-Identifier: GPL-2.0
/*
 * usage: many_requests PREFIX REQUESTERS REQUESTS
 *        many_requests --answer KEY PAYLOAD KEYRING
 *
 * REQUESTERS processes at the same time, which share this session keyring, ask for
 * REQUESTS keys of type "user" in all, each for its own: PREFIX and a number. A key
 * that was given is compared with its description, which is the payload that is
 * expected, and unlinked. Prints "answered N, wrong N, failed N", and with each
 * error how often it was seen.
 *
 * With --answer it is a handler for them, like "keyctl instantiate" but linked
 * statically: to load keyctl through the file system of a virtual machine takes
 * longer than all the rest.
 */

#include <errno.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ERRNOS 140

struct sums {
	unsigned int next, answered, wrong, failed, with[ERRNOS];
};

static long keyctl(int cmd, long a, long b, long c)
{
	return syscall(__NR_keyctl, cmd, a, b, c, 0);
}

static void fail(struct sums *sums, int error)
{
	__atomic_add_fetch(&sums->failed, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&sums->with[error % ERRNOS], 1, __ATOMIC_RELAXED);
}

static void ask(struct sums *sums, const char *prefix, unsigned int number)
{
	char description[64], payload[64];
	long key, length;

	snprintf(description, sizeof(description), "%s%u", prefix, number);
	key = syscall(__NR_request_key, "user", description, "callout",
		      KEY_SPEC_PROCESS_KEYRING);
	if (key < 0) {
		fail(sums, errno);
		return;
	}
	length = keyctl(KEYCTL_READ, key, (long)payload, sizeof(payload));
	if (length == (long)strlen(description) && !memcmp(payload, description, length))
		__atomic_add_fetch(&sums->answered, 1, __ATOMIC_RELAXED);
	else
		__atomic_add_fetch(&sums->wrong, 1, __ATOMIC_RELAXED);
	keyctl(KEYCTL_UNLINK, key, KEY_SPEC_PROCESS_KEYRING, 0);
}

static void requester(struct sums *sums, const char *prefix, unsigned int requests)
{
	unsigned int number;

	keyctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1, 0);
	while ((number = __atomic_fetch_add(&sums->next, 1, __ATOMIC_RELAXED)) < requests)
		ask(sums, prefix, number);
	_exit(0);
}

static int answer(char **argv)
{
	int key = atoi(argv[0]);

	if (keyctl(KEYCTL_ASSUME_AUTHORITY, key, 0, 0) < 0) {
		perror("assume authority");
		return 1;
	}
	if (syscall(__NR_keyctl, KEYCTL_INSTANTIATE, key, argv[1], strlen(argv[1]),
		    atoi(argv[2]))) {
		perror("instantiate");
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	unsigned int requesters, requests, i, broken = 0;
	struct sums *sums;
	int status;

	if (argc == 5 && !strcmp(argv[1], "--answer"))
		return answer(argv + 2);
	if (argc != 4) {
		fprintf(stderr, "usage: many_requests PREFIX REQUESTERS REQUESTS\n");
		return 2;
	}
	requesters = atoi(argv[2]);
	requests = atoi(argv[3]);
	sums = mmap(NULL, sizeof(*sums), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		    -1, 0);
	if (sums == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	for (i = 0; i < requesters; i++) {
		pid_t pid = fork();

		if (pid < 0) {
			perror("fork");
			return 1;
		}
		if (!pid)
			requester(sums, argv[1], requests);
	}
	while (wait(&status) > 0)
		broken += status != 0;
	printf("answered %u, wrong %u, failed %u\n", sums->answered, sums->wrong, sums->failed);
	for (i = 0; i < ERRNOS; i++)
		if (sums->with[i])
			printf("%u: %s\n", sums->with[i], strerror(i));
	return broken || sums->answered + sums->wrong + sums->failed != requests;
}
