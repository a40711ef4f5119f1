/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of slots, more of them than messages can be under way. A slot is written before its mark, so that a kill in
 * between leaves it empty. Nothing is cleared when a row is settled: that is committed later than it is known,
 * and a settled row's note does no harm.
 */
#include "xmpp/sent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SLOTS 64
#define BOOT_ID "/proc/sys/kernel/random/boot_id"

struct slot {
	char name[64];
	char lane[4096 - 64 - sizeof(int)];
	int used;
};

struct record {
	char magic[16];
	char boot[48];
	struct slot slots[SLOTS];
};

struct sent {
	struct record *record; /* mapped */
	size_t next;
};

static const char magic[16] = "sourdine sent 1";

static void
read_boot_id(char out[48])
{
	memset(out, 0, 48);
	int fd = open(BOOT_ID, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	ssize_t n = read(fd, out, 47);
	close(fd);
	if (n <= 0)
		memset(out, 0, 48);
}

static int
map(struct sent *sent, const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -errno;
	/* Whole pages, so that a full disk shows now and not as a signal later. */
	int r = posix_fallocate(fd, 0, (off_t)sizeof(*sent->record));
	if (r == 0) {
		sent->record = mmap(NULL, sizeof(*sent->record), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		r = sent->record == MAP_FAILED ? errno : 0;
	}
	close(fd);
	return -r;
}

int
sent_open(struct sent **out, const char *directory)
{
	struct sent *sent = xcalloc(1, sizeof(*sent));
	AUTO_FREE char *path = xasprintf("%s/xmpp.sent", directory);
	char boot[48];

	int r = map(sent, path);
	if (r < 0) {
		free(sent);
		return r;
	}
	read_boot_id(boot);
	struct record *record = sent->record;
	if (!boot[0] || memcmp(record->magic, magic, sizeof(magic)) != 0 || memcmp(record->boot, boot, sizeof(boot)) != 0) {
		memset(record, 0, sizeof(*record));
		memcpy(record->magic, magic, sizeof(magic));
		memcpy(record->boot, boot, sizeof(boot));
	}
	*out = sent;
	return 0;
}

void
sent_close(struct sent *sent)
{
	if (!sent)
		return;
	munmap(sent->record, sizeof(*sent->record));
	free(sent);
}

void
sent_note(struct sent *sent, const char *lane, const char *name)
{
	if (!sent || strlen(lane) >= sizeof(sent->record->slots[0].lane) || strlen(name) >= sizeof(sent->record->slots[0].name))
		return;
	struct slot *slot = &sent->record->slots[sent->next++ % SLOTS];
	__atomic_store_n(&slot->used, 0, __ATOMIC_RELEASE);
	memcpy(slot->name, name, strlen(name) + 1);
	memcpy(slot->lane, lane, strlen(lane) + 1);
	__atomic_store_n(&slot->used, 1, __ATOMIC_RELEASE);
}

void
sent_clear(struct sent *sent, const char *name)
{
	for (size_t i = 0; sent && i < SLOTS; i++)
		if (sent->record->slots[i].used && strncmp(sent->record->slots[i].name, name, sizeof(sent->record->slots[i].name)) == 0)
			__atomic_store_n(&sent->record->slots[i].used, 0, __ATOMIC_RELEASE);
}

void
sent_each(struct sent *sent, void (*each)(void *context, const char *lane, const char *name), void *context)
{
	for (size_t i = 0; sent && i < SLOTS; i++) {
		struct slot *slot = &sent->record->slots[i];
		/* The file is on disk and may hold anything. */
		if (slot->used == 1 && memchr(slot->name, '\0', sizeof(slot->name)) && memchr(slot->lane, '\0', sizeof(slot->lane)))
			each(context, slot->lane, slot->name);
	}
}

void
sent_forget(struct sent *sent)
{
	for (size_t i = 0; sent && i < SLOTS; i++)
		__atomic_store_n(&sent->record->slots[i].used, 0, __ATOMIC_RELEASE);
}
