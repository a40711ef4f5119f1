/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each open file is an image in memory, from which is read, and a list of what was done to it since its last sync. A sync
 * does that to the real file. A crash does a random part of it: that is what a disk without power kept.
 */
#include "disk.h"

#include "base/mem.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTOR 512
#define FILES_MAX 8

struct change {
	struct change *next;
	sqlite3_int64 offset;
	int n; /* -1: cut off at offset */
	unsigned char *bytes; /* owns */
};

struct disk_file {
	sqlite3_file base; /* first: SQLite sees this */
	sqlite3_file *real; /* behind this struct */
	unsigned char *image;
	sqlite3_int64 size, room;
	struct change *first, **last; /* owns */
};

static sqlite3_vfs disk, *under;
static struct disk_file *files[FILES_MAX];
static long left;
static unsigned dice;

static unsigned
draw(unsigned sides)
{
	dice = dice * 1103515245u + 12345u;
	return (dice >> 16) % sides;
}

static struct disk_file *
of(sqlite3_file *file)
{
	return (struct disk_file *)file;
}

static void
do_real(struct disk_file *file, const struct change *change)
{
	if (change->n < 0)
		file->real->pMethods->xTruncate(file->real, change->offset);
	else
		file->real->pMethods->xWrite(file->real, change->bytes, change->n, change->offset);
}

/* Some of its sectors. */
static void
tear(struct disk_file *file, const struct change *change)
{
	for (int at = 0; at < change->n; at += SECTOR) {
		int n = change->n - at < SECTOR ? change->n - at : SECTOR;
		if (draw(2))
			file->real->pMethods->xWrite(file->real, change->bytes + at, n, change->offset + at);
	}
}

static void
lose_power(void)
{
	for (int i = 0; i < FILES_MAX; i++)
		for (const struct change *change = files[i] ? files[i]->first : NULL; change; change = change->next) {
			unsigned fate = draw(4);
			if (fate < 2)
				do_real(files[i], change);
			else if (fate == 2)
				tear(files[i], change);
		}
	_exit(DISK_CRASHED);
}

static void
tick(void)
{
	if (left > 0 && --left == 0)
		lose_power();
}

static void
forget_changes(struct disk_file *file)
{
	struct change *change = file->first;

	while (change) {
		struct change *next = change->next;
		free(change->bytes);
		free(change);
		change = next;
	}
	file->first = NULL;
	file->last = &file->first;
}

static void
note(struct disk_file *file, sqlite3_int64 offset, const void *bytes, int n)
{
	struct change *change = xcalloc(1, sizeof(*change));

	change->offset = offset;
	change->n = n;
	if (n > 0) {
		change->bytes = xmalloc((size_t)n);
		memcpy(change->bytes, bytes, (size_t)n);
	}
	*file->last = change;
	file->last = &change->next;
}

static void
grow(struct disk_file *file, sqlite3_int64 size)
{
	if (size > file->room) {
		sqlite3_int64 room = size * 2;
		file->image = xrealloc(file->image, (size_t)room);
		memset(file->image + file->room, 0, (size_t)(room - file->room));
		file->room = room;
	}
	if (size > file->size)
		file->size = size;
}

static int
disk_close(sqlite3_file *base)
{
	struct disk_file *file = of(base);

	/* In an orderly end the kernel writes everything, sooner or later. */
	for (const struct change *change = file->first; change; change = change->next)
		do_real(file, change);
	forget_changes(file);
	for (int i = 0; i < FILES_MAX; i++)
		if (files[i] == file)
			files[i] = NULL;
	free(file->image);
	return file->real->pMethods->xClose(file->real);
}

static int
disk_read(sqlite3_file *base, void *out, int n, sqlite3_int64 offset)
{
	struct disk_file *file = of(base);
	sqlite3_int64 there = file->size > offset ? file->size - offset : 0;

	if (there >= n) {
		memcpy(out, file->image + offset, (size_t)n);
		return SQLITE_OK;
	}
	memset(out, 0, (size_t)n);
	if (there > 0)
		memcpy(out, file->image + offset, (size_t)there);
	return SQLITE_IOERR_SHORT_READ;
}

static int
disk_write(sqlite3_file *base, const void *bytes, int n, sqlite3_int64 offset)
{
	struct disk_file *file = of(base);

	tick();
	grow(file, offset + n);
	memcpy(file->image + offset, bytes, (size_t)n);
	note(file, offset, bytes, n);
	return SQLITE_OK;
}

static int
disk_truncate(sqlite3_file *base, sqlite3_int64 size)
{
	struct disk_file *file = of(base);

	tick();
	if (size < file->size) {
		memset(file->image + size, 0, (size_t)(file->size - size));
		file->size = size;
	}
	note(file, size, NULL, -1);
	return SQLITE_OK;
}

static int
disk_sync(sqlite3_file *base, int flags)
{
	struct disk_file *file = of(base);

	(void)flags;
	tick();
	for (const struct change *change = file->first; change; change = change->next)
		do_real(file, change);
	forget_changes(file);
	return SQLITE_OK;
}

static int
disk_size(sqlite3_file *base, sqlite3_int64 *out)
{
	*out = of(base)->size;
	return SQLITE_OK;
}

/* What is not about content is the real file's business. */
#define PASS(name, parameters, ...) \
	static int name parameters \
	{ \
		sqlite3_file *real = of(base)->real; \
		return real->pMethods->__VA_ARGS__; \
	}
PASS(disk_lock, (sqlite3_file *base, int level), xLock(real, level))
PASS(disk_unlock, (sqlite3_file *base, int level), xUnlock(real, level))
PASS(disk_reserved, (sqlite3_file *base, int *out), xCheckReservedLock(real, out))
PASS(disk_sectors, (sqlite3_file *base), xSectorSize(real))
PASS(disk_character, (sqlite3_file *base), xDeviceCharacteristics(real))
PASS(disk_shm_map, (sqlite3_file *base, int page, int size, int extend, void volatile **out), xShmMap(real, page, size, extend, out))
PASS(disk_shm_lock, (sqlite3_file *base, int offset, int n, int flags), xShmLock(real, offset, n, flags))
PASS(disk_shm_unmap, (sqlite3_file *base, int delete), xShmUnmap(real, delete))

static void
disk_shm_barrier(sqlite3_file *base)
{
	of(base)->real->pMethods->xShmBarrier(of(base)->real);
}

/* Size hints and the like would write past us. */
static int
disk_control(sqlite3_file *base, int what, void *argument)
{
	sqlite3_file *real = of(base)->real;

	if (what == SQLITE_FCNTL_SIZE_HINT || what == SQLITE_FCNTL_CHUNK_SIZE)
		return SQLITE_OK;
	return real->pMethods->xFileControl(real, what, argument);
}

static const sqlite3_io_methods methods = {
	2, disk_close, disk_read, disk_write, disk_truncate, disk_sync, disk_size, disk_lock, disk_unlock, disk_reserved, disk_control,
	disk_sectors, disk_character, disk_shm_map, disk_shm_lock, disk_shm_barrier, disk_shm_unmap, NULL, NULL,
};

static int
load(struct disk_file *file)
{
	sqlite3_int64 size = 0;
	int r = file->real->pMethods->xFileSize(file->real, &size);

	if (r != SQLITE_OK || size == 0)
		return r;
	grow(file, size);
	return file->real->pMethods->xRead(file->real, file->image, (int)size, 0);
}

static int
disk_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *base, int flags, int *out_flags)
{
	struct disk_file *file = of(base);

	(void)vfs;
	*file = (struct disk_file){ .real = (sqlite3_file *)(file + 1) };
	file->last = &file->first;
	int r = under->xOpen(under, name, file->real, flags, out_flags);
	if (r == SQLITE_OK)
		r = load(file);
	if (r != SQLITE_OK)
		return r;
	file->base.pMethods = &methods;
	for (int i = 0; i < FILES_MAX; i++)
		if (!files[i]) {
			files[i] = file;
			return SQLITE_OK;
		}
	return SQLITE_CANTOPEN;
}

void
disk_install(void)
{
	under = sqlite3_vfs_find(NULL);
	disk = *under;
	disk.pNext = NULL;
	disk.zName = "forgetful";
	disk.szOsFile = (int)sizeof(struct disk_file) + under->szOsFile;
	disk.xOpen = disk_open;
	if (sqlite3_vfs_register(&disk, 1) != SQLITE_OK)
		abort();
}

void
disk_crash_at(long n, unsigned seed)
{
	left = n;
	dice = seed;
}
