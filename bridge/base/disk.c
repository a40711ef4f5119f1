/* SPDX-License-Identifier: Apache-2.0 */
/* statvfs(3), and the one rule of when to worry. */
#include "base/disk.h"

#include <sys/statvfs.h>

#define LEAST_BYTES (UINT64_C(256) << 20)

bool
disk_is_low(uint64_t free_bytes, uint64_t size_bytes)
{
	uint64_t least = LEAST_BYTES < size_bytes / 4 ? LEAST_BYTES : size_bytes / 4;

	return free_bytes < (least < size_bytes / 20 ? size_bytes / 20 : least);
}

bool
disk_look(const char *directory, struct disk *out)
{
	struct statvfs info;

	if (statvfs(directory, &info) < 0)
		return false;
	uint64_t block = info.f_frsize, free_bytes = info.f_bavail * block;
	out->size_bytes = (int64_t)(info.f_blocks * block);
	out->free_bytes = (int64_t)free_bytes;
	out->free_inodes = info.f_files ? (int64_t)info.f_favail : -1;
	out->low = disk_is_low(free_bytes, info.f_blocks * block);
	out->low_inodes = info.f_files && info.f_favail < info.f_files / 20;
	return true;
}
