/* SPDX-License-Identifier: GPL-2.0 */
/*
 * As much of an SMB server as it takes to be sent a Kerberos ticket: it agrees on
 * version 2.1 of the protocol and Kerberos, takes the request for a session, and
 * hangs up.
 */
#ifndef KEYAGENT_SMB_H
#define KEYAGENT_SMB_H

#include <endian.h>
#include <stddef.h>

#include "consumers.h"

#define SMB_PORT	445
#define SMB_TICKET	"a ticket of the container"

struct smb_header {
	uint8_t protocol[4];
	uint16_t size, credit_charge;
	uint32_t status;
	uint16_t command, credits;
	uint32_t flags, next;
	uint64_t id;
	uint32_t process, tree;
	uint64_t session;
	uint8_t signature[16];
};

/* SPNEGO's list of mechanisms, with Kerberos in it. */
#define SMB_MECHANISMS	"\x60\x1b\x06\x06\x2b\x06\x01\x05\x05\x02\xa0\x11\x30" \
			"\x0f\xa0\x0d\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x12" \
			"\x01\x02\x02"

struct smb_negotiated {
	struct smb_header header;
	uint16_t size, mode, dialect, contexts;
	uint8_t server[16];
	uint32_t capabilities, max_transact, max_read, max_write;
	uint64_t now, start;
	uint16_t blob_offset, blob_length;
	uint32_t context_offset;
	uint8_t blob[sizeof(SMB_MECHANISMS) - 1];
};

_Static_assert(sizeof(struct smb_header) == 64, "as the protocol has it");
_Static_assert(offsetof(struct smb_negotiated, blob) == 128, "likewise");

/* What the kernel takes as the answer for a key of type cifs.spnego. */
struct smb_spnego {
	uint32_t version, flags, session_key_length, ticket_length;
	uint8_t session_key[16];
	char ticket[sizeof(SMB_TICKET) - 1];
};

/* Reads one message; its length, or -1. */
static __maybe_unused ssize_t smb_read(int fd, void *buf, size_t size)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint32_t length;

	if (poll(&p, 1, 10000 * slow()) != 1 ||
	    recv(fd, &length, sizeof(length), MSG_WAITALL) != sizeof(length))
		return -1;
	length = be32toh(length);
	if (length < sizeof(struct smb_header) || length > size ||
	    recv(fd, buf, length, MSG_WAITALL) != length)
		return -1;
	return length;
}

static __maybe_unused bool smb_negotiate(int fd)
{
	const uint32_t length = offsetof(struct smb_negotiated, blob) +
				sizeof(SMB_MECHANISMS) - 1;
	const uint32_t length_be = htobe32(length);
	struct smb_negotiated reply = {
		.header = {
			.protocol = "\xfeSMB",
			.size = htole16(64),
			.credits = htole16(8),
			.flags = htole32(1),
		},
		.size = htole16(65),
		.mode = htole16(1),
		.dialect = htole16(0x210),
		.max_transact = htole32(65536),
		.max_read = htole32(65536),
		.max_write = htole32(65536),
		.blob_offset = htole16(128),
		.blob_length = htole16(sizeof(reply.blob)),
	};
	union {
		struct smb_header header;
		char raw[4096];
	} request;

	if (smb_read(fd, &request, sizeof(request)) < 0 ||
	    request.header.command)
		return false;
	memcpy(reply.blob, SMB_MECHANISMS, sizeof(reply.blob));
	reply.header.id = request.header.id;
	return send(fd, &length_be, sizeof(length_be),
		    MSG_NOSIGNAL | MSG_MORE) == sizeof(length_be) &&
	       send(fd, &reply, length, MSG_NOSIGNAL) == length;
}

/* Serves a call: what it was sent as a ticket goes into c->greeting. */
static __maybe_unused void smb_serve(struct call *c, int fd)
{
	char buf[4096];
	ssize_t len;

	if (!smb_negotiate(fd))
		return;
	len = smb_read(fd, buf, sizeof(buf));
	if (len > 0 && memmem(buf, len, SMB_TICKET, strlen(SMB_TICKET)))
		snprintf(c->greeting, sizeof(c->greeting), SMB_TICKET);
}

/* The agent's: answers every request with that ticket. */
static __maybe_unused long smb_answer(struct agent *a, key_serial_t key)
{
	struct agent_record *r =
		&a->sh->record[(a->sh->asked - 1) % AGENT_RECORDS];
	struct smb_spnego answer = {
		.version = 2,
		.session_key_length = sizeof(answer.session_key),
		.ticket_length = sizeof(answer.ticket),
	};
	long ret = agent_assume(key);

	if (ret < 0)
		return ret;
	memcpy(answer.ticket, SMB_TICKET, sizeof(answer.ticket));
	if (keyctl_describe(key, r->callout, sizeof(r->callout)) < 0)
		return -errno;
	return neg_errno(keyctl_instantiate(key, &answer,
					    offsetof(struct smb_spnego, ticket) +
					    sizeof(answer.ticket), 0));
}

#endif
