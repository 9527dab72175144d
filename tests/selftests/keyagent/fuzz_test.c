// SPDX-License-Identifier: GPL-2.0
/*
 * The key type's entry points with arguments at random: keys of type "keyagent"
 * are added, updated, read, described, found, linked, withdrawn and requested
 * by several processes at once, with descriptions, payloads and keyrings good
 * and bad. No call ends in an error that is not documented for it, a key exists
 * only if its description and payload are right, and in the end none is left.
 *
 * KEYAGENT_FUZZ_SECONDS says for how long; KEYAGENT_SEED repeats the choices of
 * a run.
 */

#define _GNU_SOURCE
#include "common.h"
#include "prng.h"

#define FUZZERS		3
#define CALLS		150	/* of each fuzzer, until all begin anew */
#define KEYS		16	/* that the fuzzers know of */
#define RINGS		4
#define ROUNDS		100	/* at most, until a search has found something */
#define HISTORY		12
#define MAX_PAYLOAD	(70 * 1024)
#define MAX_DESC	4100
#define NOWHERE		((void *)8)	/* nothing is mapped there */

enum call {
	ADD, UPDATE, READ, DESCRIBE, SEARCH, LINK, UNLINK, SETPERM, CHOWN,
	SET_TIMEOUT, REVOKE, INVALIDATE, CLEAR, REQUEST, PROC_KEYS, CALLS_ALL
};

static const char * const call_names[] = {
	"add_key", "update", "read", "describe", "search", "link", "unlink",
	"setperm", "chown", "set_timeout", "revoke", "invalidate", "clear",
	"request_key", "/proc/keys",
};

static const unsigned char call_weights[CALLS_ALL] = {
	[ADD] = 40, [UPDATE] = 6, [READ] = 6, [DESCRIBE] = 8, [SEARCH] = 8,
	[LINK] = 8, [UNLINK] = 6, [SETPERM] = 4, [CHOWN] = 2, [SET_TIMEOUT] = 3,
	[REVOKE] = 3, [INVALIDATE] = 3, [CLEAR] = 1, [REQUEST] = 10,
	[PROC_KEYS] = 2,
};

/* What any call may fail with, for its key, its keyring or its arguments. */
static const int errors_of_all[] = {
	EACCES, EFAULT, EINVAL, EKEYEXPIRED, EKEYREVOKED, ENOKEY,
};

static const int errors_of[CALLS_ALL][4] = {
	[ADD] = { ENODEV, ENOTDIR, EPERM },
	[UPDATE] = { EOPNOTSUPP }, [READ] = { EPERM },
	[SEARCH] = { ENOTDIR, EPERM },
	[LINK] = { EDEADLK, ENOTDIR },
	[UNLINK] = { ENOENT, ENOTDIR },
	[CLEAR] = { ENOTDIR },
	[REQUEST] = { ENOTDIR, EPERM },
};

struct fuzz_shared {
	key_serial_t key[KEYS];		/* added last; 0: not yet */
	key_serial_t ring[RINGS];	/* good ones and others */
	uint32_t calls[CALLS_ALL], successes[CALLS_ALL];
	uint32_t failures;
	char history[FUZZERS][HISTORY][128];
};

static struct fuzz_shared *fuzz;

struct fuzzer {
	uint64_t prng;
	unsigned int index, number;
	char desc[MAX_DESC];
	uint8_t payload[MAX_PAYLOAD];
};

/* ------------------------------------------------------------- arguments */

static uint32_t below(struct fuzzer *f, uint32_t n)
{
	return prng_below(&f->prng, n);
}

static bool one_in(struct fuzzer *f, uint32_t n)
{
	return !below(f, n);
}

static void random_bytes(struct fuzzer *f, void *buf, size_t len, uint8_t least)
{
	uint8_t *p = buf;

	while (len--)
		*p++ = least + below(f, 256 - least);
}

static const char *random_desc(struct fuzzer *f)
{
	static const char * const names[] = {
		"user", "logon", "keyring", "keyagent", "dns_resolver", ".x",
		"keyagent ", "Keyagent", "", "%s%n", "a;b;c",
	};
	size_t len;

	if (one_in(f, 50))
		return one_in(f, 2) ? NULL : NOWHERE;
	if (one_in(f, 2))
		return names[below(f, ARRAY_SIZE(names))];
	len = one_in(f, 8) ? below(f, MAX_DESC - 1) : below(f, 40);
	random_bytes(f, f->desc, len, 1);
	f->desc[len] = '\0';
	return f->desc;
}

static const char *random_type(struct fuzzer *f)
{
	static const char * const types[] = {
		"keyagen", "keyagent2", "", ".keyagent",
		"a name of 40 characters, which is too long",
	};

	if (one_in(f, 50))
		return NOWHERE;
	return below(f, 20) ? "keyagent" : types[below(f, ARRAY_SIZE(types))];
}

/* The length goes to *len. */
static const void *random_payload(struct fuzzer *f, size_t *len)
{
	uint16_t sig = below(f, 70);

	*len = one_in(f, 10) ? below(f, MAX_PAYLOAD + 1) : below(f, 11);
	if (one_in(f, 50))
		return one_in(f, 2) ? NULL : NOWHERE;
	random_bytes(f, f->payload, *len, 0);
	if (below(f, 3)) {
		*len = one_in(f, 2) ? 2 : 4;
		memcpy(f->payload, &sig, sizeof(sig));
	}
	return f->payload;
}

/* The number can be that of a keyring. */
static bool is_ring(key_serial_t ring)
{
	return ring >= KEY_SPEC_SESSION_KEYRING && ring;
}

/* A keyring, most of the time; from -6 on they are not supported or there. */
static key_serial_t random_ring(struct fuzzer *f)
{
	if (one_in(f, 20))
		return one_in(f, 2) ? 0 : INT_MAX;
	if (one_in(f, 10))
		return KEY_SPEC_GROUP_KEYRING - (int)below(f, 4);
	if (one_in(f, 2))
		return fuzz->ring[below(f, RINGS)];
	return -1 - (int)below(f, 3);
}

/* A key of the type, most of the time. */
static key_serial_t random_key(struct fuzzer *f)
{
	return one_in(f, 12) ? random_ring(f) : fuzz->key[below(f, KEYS)];
}

/* ------------------------------------------------------------------ calls */

static void oops(struct fuzzer *f, const char *what)
{
	count_up(&fuzz->failures);
	fprintf(stderr, "# fuzzer %u: %s: %s\n", f->index,
		fuzz->history[f->index][f->number % HISTORY], what);
}

/* Notes a call before it is made: it may be the last. */
static void note(struct fuzzer *f, const char *format, ...)
{
	char *s = fuzz->history[f->index][f->number % HISTORY];
	va_list args;

	va_start(args, format);
	vsnprintf(s + strlen(s), sizeof(fuzz->history[0][0]) - strlen(s),
		  format, args);
	va_end(args);
}

static bool good_desc(const char *desc)
{
	return desc && desc != NOWHERE && *desc && strlen(desc) <= 31 &&
		strcmp(desc, "keyagent");
}

static bool good_payload(const void *payload, size_t len)
{
	uint16_t sig;

	if (!payload || payload == NOWHERE || (len != 2 && len != 4))
		return false;
	memcpy(&sig, payload, sizeof(sig));
	return sig >= 32 && sig <= 64;
}

static long call_add(struct fuzzer *f)
{
	const char *type = random_type(f), *desc = random_desc(f);
	key_serial_t ring = random_ring(f);
	const void *payload;
	bool good;
	size_t len;
	long key;

	payload = random_payload(f, &len);
	good = type != NOWHERE && !strcmp(type, "keyagent") &&
		good_desc(desc) && good_payload(payload, len);
	note(f, " %zu bytes at %p, ring %d, %s", len, payload, ring,
	     good ? "good" : "bad");
	key = sys_add_key(type, desc, payload, len, ring);
	if (key > 0) {
		fuzz->key[below(f, KEYS)] = key;
		if (!good)
			oops(f, "a key of bad arguments");
	} else if (good && errno == EINVAL && is_ring(ring)) {
		oops(f, "good arguments are refused");
	}
	return key;
}

static long call_request(struct fuzzer *f)
{
	const char *desc = random_desc(f);
	const char *callout = one_in(f, 3) ? NULL : "callout";
	key_serial_t ring = random_ring(f);

	note(f, " callout %s, ring %d", callout, ring);
	/* One that is there may be found; none is made. */
	return sys_request_key("keyagent", desc, callout, ring);
}

static long read_proc_keys(void)
{
	int fd = open("/proc/keys", O_RDONLY | O_CLOEXEC);
	char buf[4096];
	long len = -1;

	while (fd >= 0 && (len = read(fd, buf, sizeof(buf))) > 0)
		;
	if (fd >= 0)
		close(fd);
	return len;
}

static bool is_among(int number, const int *numbers, unsigned int n)
{
	while (n--)
		if (numbers[n] == number)
			return true;
	return false;
}

/* Agents' keys have no such operation, what else the fuzzers know of has. */
static long never(struct fuzzer *f, key_serial_t key, long ret)
{
	if (ret >= 0 && key > 0 && !is_among(key, fuzz->ring, RINGS))
		oops(f, "that cannot be done");
	return ret;
}

static long call_other(struct fuzzer *f, enum call c)
{
	key_serial_t key = random_key(f), ring = random_ring(f);
	const char *desc = random_desc(f);
	uint32_t x = prng_next(&f->prng);
	size_t len;
	const void *payload = random_payload(f, &len);

	note(f, " key %d, ring %d, %u", key, ring, x);
	switch (c) {
	case UPDATE:
		return never(f, key, keyctl_update(key, payload, len));
	case READ:
		return keyctl_read(key, f->payload, len);
	case DESCRIBE:
		return keyctl_describe(key, f->desc, below(f, MAX_DESC));
	case SEARCH:
		return keyctl_search(ring, "keyagent", desc,
				     one_in(f, 2) ? 0 : random_ring(f));
	case LINK:
		return keyctl_link(key, ring);
	case UNLINK:
		return keyctl_unlink(key, ring);
	case SETPERM:
		return keyctl_setperm(key, one_in(f, 4) ? x : x & 0x3f3f3f3f);
	case CHOWN:
		return keyctl_chown(key, x % 3 ? 0 : -1, x % 5 ? 0 : -1);
	case SET_TIMEOUT:
		return keyctl_set_timeout(key, one_in(f, 2) ? x : x % 3);
	case REVOKE:
		return keyctl_revoke(key);
	case INVALIDATE:
		return keyctl_invalidate(key);
	case CLEAR:
		return keyctl_clear(ring);
	default:
		return read_proc_keys();
	}
}

static void call_once(struct fuzzer *f)
{
	enum call c = prng_pick(&f->prng, call_weights, CALLS_ALL);
	char what[64];
	long ret;
	int error;

	*fuzz->history[f->index][++f->number % HISTORY] = '\0';
	note(f, "%u: %s", f->number, call_names[c]);
	errno = 0;
	ret = c == ADD ? call_add(f) :
	      c == REQUEST ? call_request(f) : call_other(f, c);
	error = errno;
	count_up(&fuzz->calls[c]);
	if (ret >= 0) {
		count_up(&fuzz->successes[c]);
		return;
	}
	note(f, ": errno %d", error);
	if (is_among(error, errors_of_all, ARRAY_SIZE(errors_of_all)) ||
	    is_among(error, errors_of[c], ARRAY_SIZE(errors_of[c])))
		return;
	snprintf(what, sizeof(what), "%s is not documented", strerror(error));
	oops(f, what);
}

static void run_fuzzer(unsigned int index, uint64_t seed)
{
	static struct fuzzer f;
	unsigned int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	f.prng = seed;
	f.index = index;
	/* Some have no process keyring, until a call makes one. */
	if (below(&f, 4))
		keyctl_get_keyring_id(KEY_SPEC_PROCESS_KEYRING, 1);
	for (i = 0; i < CALLS; i++)
		call_once(&f);
	_exit(0);
}

/* ------------------------------------------------------------------- test */

static void overdue(int sig __maybe_unused)
{
	unsigned int i, n;

	fprintf(stderr, "# the fuzzers do not end; their calls:\n");
	for (i = 0; i < FUZZERS; i++)
		for (n = 0; n < HISTORY; n++)
			fprintf(stderr, "# %u: %s\n", i, fuzz->history[i][n]);
	_exit(KSFT_FAIL);
}

FIXTURE(fuzz)
{
	int keys;
};

FIXTURE_SETUP(fuzz)
{
	/* First: it keeps the session keyring of whoever makes it. */
	fuzz = mmap(NULL, sizeof(*fuzz), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)fuzz);
	test_session(_metadata);
	/* A request without a keyring makes it, and it stays. */
	ASSERT_LT(0, keyctl_get_keyring_id(KEY_SPEC_USER_SESSION_KEYRING, 1));
	ASSERT_TRUE(authkeys_gone());
	self->keys = proc_keys_count();
	signal(SIGALRM, overdue);
}

FIXTURE_TEARDOWN(fuzz)
{
}

/* A session of its own for all fuzzers, which may spoil it. */
static void make_rings(struct __test_metadata *const _metadata)
{
	char name[16];
	int i;

	ASSERT_LT(0, keyctl_join_session(NULL));
	memset(fuzz->key, 0, sizeof(fuzz->key));
	for (i = 0; i < RINGS; i++) {
		snprintf(name, sizeof(name), "fuzz%d", i);
		/* The last is no keyring. */
		fuzz->ring[i] = i == RINGS - 1 ?
			sys_add_key("user", name, "x", 1,
				    KEY_SPEC_SESSION_KEYRING) :
			sys_add_key("keyring", name, NULL, 0,
				    KEY_SPEC_SESSION_KEYRING);
		ASSERT_LT(0, fuzz->ring[i]);
	}
}

TEST_F_TIMEOUT(fuzz, random, 12 * 3600)
{
	uint64_t seed = prng_seed(), prng = seed, s, end;
	unsigned int i, rounds;
	pid_t pid[FUZZERS];
	int status;

	fprintf(stderr, "# KEYAGENT_SEED=%llu\n", (unsigned long long)seed);
	end = now_ms() + 1000ull * prng_seconds("KEYAGENT_FUZZ_SECONDS", 5);
	for (rounds = 0; now_ms() < end ||
			 (!fuzz->successes[SEARCH] && rounds < ROUNDS);
	     rounds++) {
		alarm(100 * slow());
		make_rings(_metadata);
		for (i = 0; i < FUZZERS; i++) {
			s = prng_next(&prng);
			pid[i] = fork();
			ASSERT_LE(0, pid[i]);
			if (!pid[i])
				run_fuzzer(i, s);
		}
		for (i = 0; i < FUZZERS; i++) {
			ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
			EXPECT_EQ(0, status);
		}
		ASSERT_LT(0, keyctl_join_session(NULL));
		EXPECT_TRUE(wait_until(proc_keys_count() <= self->keys)) {
			TH_LOG("%d keys, then %d", self->keys,
			       proc_keys_count());
		}
		EXPECT_EQ(0u, fuzz->failures);
		ASSERT_NE(KSFT_FAIL, _metadata->exit_code) {
			TH_LOG("round %u of KEYAGENT_SEED=%llu", rounds,
			       (unsigned long long)seed);
		}
	}
	fprintf(stderr, "# %u rounds", rounds);
	for (i = 0; i < CALLS_ALL; i++)
		fprintf(stderr, ", %s %u of %u", call_names[i],
			fuzz->successes[i], fuzz->calls[i]);
	fprintf(stderr, "\n");
	EXPECT_LT(0u, fuzz->successes[ADD]);
	EXPECT_LT(0u, fuzz->successes[SEARCH]);
}

KEYAGENT_HARNESS_MAIN
