// SPDX-License-Identifier: GPL-2.0
/*
 * NFS asks for the user ID of each file's owner, and for the name of a user that
 * a file is given to. In a container the answer is that of the container's agent,
 * on the host that of the host; a server of the kernel sends the names.
 *
 * Who asks for what, and for whom an answer counts, is described in
 * Documentation/admin-guide/keyagent-consumers.rst.
 */

#define _GNU_SOURCE
#include "nfs.h"

/* What the users are on the server, in the container and on the host. */
enum { ALICE, BOB, ROOTS, FILES };

#define SERVER_UID(who)		(1001 + (who))
#define CONTAINER_UID(who)	(41001 + (who))
#define HOST_UID(who)		(42001 + (who))

FIXTURE(idmap) {
	struct agent a;
	char owner[FILES][64], desc[FILES][128];
	struct nfs_file files[FILES + 1];
};

#define DATA	FIXTURE_DATA(idmap)

/* The id map of one place, both ways. */
static void idmap_answers(DATA *self, char *buf, size_t size, uid_t first)
{
	size_t len = 0;
	int i;

	for (i = 0; i < FILES; i++)
		len += snprintf(buf + len, size - len,
				"id_resolver uid:%s %u\nid_resolver user:%u %s\n",
				self->owner[i], first + i, first + i,
				self->owner[i]);
}

FIXTURE_SETUP(idmap)
{
	static const char *const paths[] = { "/alice", "/bob", "/roots" };
	char answers[1024];
	int i;

	test_session(_metadata);
	module_needed(_metadata, "nfsd");
	module_needed(_metadata, "nfsv4");
	for (i = 0; i < FILES; i++) {
		snprintf(self->owner[i], sizeof(self->owner[i]),
			 "%s-%d@example", paths[i] + 1, getpid());
		snprintf(self->desc[i], sizeof(self->desc[i]), "uid:%s",
			 self->owner[i]);
		self->files[i].path = paths[i];
		self->files[i].uid = i == ROOTS ? 0 : SERVER_UID(i);
		self->files[i].owner = self->owner[i];
	}
	idmap_answers(self, answers, sizeof(answers), HOST_UID(0));
	ASSERT_EQ(0, work_dir_make(answers));
	idmap_answers(self, answers, sizeof(answers), CONTAINER_UID(0));
	container_start(_metadata, &self->a, "id_resolver", container_prepare,
			answers);
}

FIXTURE_TEARDOWN(idmap)
{
	if (self->a.pid > 0)
		run_in(&self->a, INSIDE, nfs_stop, NULL);
	run_in(&self->a, ON_HOST, nfs_stop, NULL);
	agent_stop(&self->a);
	work_dir_remove();
}

/* A server and a mount from it, in that place; the agent has no part in this. */
static void idmap_mount(struct __test_metadata *const _metadata, DATA *self,
			int where)
{
	ASSERT_EQ(0, run_in(&self->a, where, nfs_serve, self->files)) {
		TH_LOG("the server does not start");
	}
	ASSERT_EQ(0, run_in(&self->a, where, nfs_mount, NULL));
	ASSERT_EQ(0, agent_asked(&self->a));
}

/* Whose a file of the mount in that place is, to a process there. */
static long idmap_owner(DATA *self, int where, int who)
{
	char path[128];

	snprintf(path, sizeof(path), NFS_MOUNT "%s", self->files[who].path);
	return run_in(&self->a, where, nfs_owner, path);
}

TEST_F(idmap, each_its_own_answer)
{
	idmap_mount(_metadata, self, INSIDE);
	idmap_mount(_metadata, self, ON_HOST);
	EXPECT_EQ(CONTAINER_UID(ALICE),
		  idmap_owner(self, INSIDE | SUBSCRIBED, ALICE));
	EXPECT_EQ(1, agent_asked(&self->a));
	EXPECT_EQ(0, upcall_count(self->desc[ALICE], NULL));
	EXPECT_EQ(HOST_UID(BOB), idmap_owner(self, ON_HOST, BOB));
	EXPECT_EQ(1, agent_asked(&self->a));
	EXPECT_EQ(1, upcall_count(self->desc[BOB], NULL));

	/* As long as the kernel keeps an answer, it is everybody's. */
	EXPECT_EQ(CONTAINER_UID(ALICE), idmap_owner(self, ON_HOST, ALICE));
	EXPECT_EQ(0, upcall_count(self->desc[ALICE], NULL));
	EXPECT_EQ(HOST_UID(BOB),
		  idmap_owner(self, INSIDE | SUBSCRIBED, BOB));
	EXPECT_EQ(1, agent_asked(&self->a));

	/* When it is gone, the next one who asks has his own. */
	forget(_metadata, self->desc[ALICE]);
	EXPECT_EQ(HOST_UID(ALICE), idmap_owner(self, ON_HOST, ALICE));
	forget(_metadata, self->desc[BOB]);
	EXPECT_EQ(CONTAINER_UID(BOB),
		  idmap_owner(self, INSIDE | SUBSCRIBED, BOB));
	EXPECT_EQ(2, agent_asked(&self->a));
	expect_settled(_metadata, &self->a);
}

/*
 * The process that looks at a file asks, not the one that mounted: the key in its
 * session keyring counts. The agent may answer it if it sees it.
 */
TEST_F(idmap, the_process_asks_not_the_mount)
{
	char path[128];

	idmap_mount(_metadata, self, INSIDE);
	EXPECT_EQ(HOST_UID(ALICE), idmap_owner(self, INSIDE, ALICE));
	snprintf(path, sizeof(path), "/proc/%d/root" NFS_MOUNT "%s",
		 self->a.pid, self->files[BOB].path);
	EXPECT_EQ(HOST_UID(BOB), run_in(&self->a, ON_HOST, nfs_owner,
					path));
	forget(_metadata, self->desc[BOB]);
	EXPECT_EQ(HOST_UID(BOB), run_in(&self->a, SUBSCRIBED, nfs_owner, path));
	EXPECT_EQ(0, agent_asked(&self->a));
	forget(_metadata, self->desc[BOB]);
	EXPECT_EQ(CONTAINER_UID(BOB), run_in(&self->a, SUBSCRIBED | SEEN,
					     nfs_owner, path));
	EXPECT_EQ(1, agent_asked(&self->a));
}

static long give_to_alice(void *arg)
{
	return neg_errno(chown(arg, CONTAINER_UID(ALICE), -1));
}

/* The other way round: the name of a user ID, to send to the server. */
TEST_F(idmap, name_of_a_user)
{
	char desc[32];

	idmap_mount(_metadata, self, INSIDE);
	ASSERT_EQ(0, run_in(&self->a, INSIDE | SUBSCRIBED,
			    give_to_alice, NFS_MOUNT "/roots"));
	EXPECT_EQ(SERVER_UID(ALICE), run_in(&self->a, INSIDE,
					    nfs_owner, NFS_EXPORT "/roots"));
	snprintf(desc, sizeof(desc), "user:%u", CONTAINER_UID(ALICE));
	EXPECT_EQ(0, upcall_count(desc, NULL));
	EXPECT_LE(1, agent_asked(&self->a));
	forget(_metadata, desc);
}

#undef DATA

/* --------------------------------------------------------------- afterwards */

FIXTURE(afterwards) {
};

FIXTURE_SETUP(afterwards)
{
}

FIXTURE_TEARDOWN(afterwards)
{
}

TEST_F(afterwards, modules_can_be_removed)
{
	module_remove(_metadata, "nfsd");
	module_remove(_metadata, "nfsv4");
	module_remove(_metadata, "nfs");
	EXPECT_TRUE(wait_until(!proc_keys_line(0, " .id_resolver", NULL, 0)));
}

KEYAGENT_HARNESS_MAIN
