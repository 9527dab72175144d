// SPDX-License-Identifier: GPL-2.0
/*
 * Stands in for /sbin/request-key: see upcall.h. One line a call:
 *
 *   op key uid gid thread-ring process-ring session-ring type;description
 */

#include <stdlib.h>

#include "answers.h"
#include "upcall.h"

static void note(char **argv, const char *type, const char *desc)
{
	char line[1024];
	int fd = open(UPCALL_LOG, O_WRONLY | O_CREAT | O_APPEND, 0644);
	int len = snprintf(line, sizeof(line), "%s %s %s %s %s %s %s %s;%s\n",
			   argv[1], argv[2], argv[3], argv[4], argv[5],
			   argv[6], argv[7], type, desc);

	if (fd < 0 || write(fd, line, len) != len)
		exit(1);
	close(fd);
}

int main(int argc, char **argv)
{
	char buf[4200], *desc = buf, answer[128];
	key_serial_t key;
	size_t len;
	int fd, i;

	if (argc != 8)
		return 1;
	key = atoi(argv[2]);
	if (keyctl_assume_authority(key) < 0)
		return 1;
	if (keyctl_describe(key, buf, sizeof(buf)) < 0)
		return 1;
	/* type;uid;gid;perm;description */
	for (i = 0; i < 4; i++) {
		desc = strchr(desc, ';');
		if (!desc)
			return 1;
		*desc++ = '\0';
	}
	note(argv, buf, desc);
	if (!strncmp(desc, UPCALL_SILENT, strlen(UPCALL_SILENT)))
		return 0;
	if (!strncmp(desc, UPCALL_WAIT, strlen(UPCALL_WAIT))) {
		/* Where there is no gate, nobody wants it to wait. */
		fd = open(UPCALL_GATE, O_RDONLY | O_CLOEXEC);
		if (fd >= 0)
			close(fd);
	}
	len = answer_find(buf, desc, answer);
	if (len)
		return keyctl_instantiate(key, answer, len, 0) ? 1 : 0;
	/* That one type wants the zero at the end, too. */
	len = strlen("upcall") + !strcmp(buf, "dns_resolver");
	return keyctl_instantiate(key, "upcall", len, 0) ? 1 : 0;
}
