// SPDX-License-Identifier: GPL-2.0
/*
 * What no answer from another process can be cheaper than: ways to hand something to
 * a process and get something back, without any key.
 */

#define _GNU_SOURCE
#include <linux/netlink.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

#define SIGNAL	(SIGRTMIN + 2)

static pid_t peer;
static int answers, signals;

static void prepare_signalfd(unsigned int number)
{
	(void)number;
	lock_memory();
	signals = signal_descriptor(SIGNAL);
}

static void play_signalfd(unsigned int number)
{
	struct signalfd_siginfo info;
	uint64_t one = 1;

	(void)number;
	while (read(signals, &info, sizeof(info)) == sizeof(info))
		if (write(answers, &one, sizeof(one)) != sizeof(one))
			die("eventfd");
	die("signalfd");
}

static void ping_signalfd(unsigned int number)
{
	union sigval value = { .sival_int = (int)number };
	uint64_t count;

	if (sigqueue(peer, SIGNAL, value))
		die("sigqueue");
	if (read(answers, &count, sizeof(count)) != sizeof(count))
		die("eventfd");
}

/* The agent's way: told by a queued signal, read from a descriptor. */
void bound_signalfd(unsigned int n, bool few)
{
	static const struct part part = { prepare_signalfd, play_signalfd, 0 };

	answers = eventfd(0, EFD_CLOEXEC);
	if (answers < 0)
		die("eventfd");
	peer = start(&part, 0);
	measure("bound", "signalfd", ping_signalfd, NULL,
		n ? n : few ? 2000 : 5000);
	stop(&peer, 1);
}

#define PORT_ASKING	0x6b6101
#define PORT_ANSWERING	0x6b6102

/* About as long as the messages of the kernel's handshake family. */
struct message {
	struct nlmsghdr header;
	char body[64];
};

static int netlink;

static int open_netlink(uint32_t port)
{
	struct sockaddr_nl self = { .nl_family = AF_NETLINK, .nl_pid = port };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_USERSOCK);

	if (fd < 0 || bind(fd, (struct sockaddr *)&self, sizeof(self)))
		die("netlink");
	return fd;
}

static void say(uint32_t port)
{
	struct sockaddr_nl to = { .nl_family = AF_NETLINK, .nl_pid = port };
	struct message m;

	memset(&m, 0, sizeof(m));
	m.header.nlmsg_len = sizeof(m);
	if (sendto(netlink, &m, sizeof(m), 0, (struct sockaddr *)&to,
		   sizeof(to)) != sizeof(m))
		die("netlink send");
}

static void hear(void)
{
	struct message m;

	if (recv(netlink, &m, sizeof(m), 0) != sizeof(m))
		die("netlink receive");
}

static void prepare_netlink(unsigned int number)
{
	(void)number;
	lock_memory();
	netlink = open_netlink(PORT_ANSWERING);
}

/* READY is heard, ACCEPT said, its reply heard, DONE said. */
static void play_netlink(unsigned int number)
{
	(void)number;
	for (;;) {
		hear();
		say(PORT_ASKING);
		hear();
		say(PORT_ASKING);
	}
}

static void ping_netlink(unsigned int number)
{
	(void)number;
	say(PORT_ANSWERING);
	hear();
	say(PORT_ANSWERING);
	hear();
}

/* tlshd's way: four messages, with a process in the place of the kernel. */
void bound_netlink(unsigned int n, bool few)
{
	static const struct part part = { prepare_netlink, play_netlink, 0 };

	peer = start(&part, 0);
	netlink = open_netlink(PORT_ASKING);
	measure("bound", "netlink", ping_netlink, NULL,
		n ? n : few ? 2000 : 5000);
	stop(&peer, 1);
}
