/* SPDX-License-Identifier: Apache-2.0 */
/* statvfs(3), and when to worry. */
#include "cli/disk.h"

#include <sys/statvfs.h>

#define LEAST_BYTES ((int64_t)256 << 20)

bool
disk_is_low(int64_t free_bytes, int64_t size_bytes)
{
	int64_t share = size_bytes / 20;

	return free_bytes < (share > LEAST_BYTES ? share : LEAST_BYTES);
}

bool
disk_look(const char *directory, struct disk *out)
{
	struct statvfs info;

	if (statvfs(directory, &info) < 0)
		return false;
	int64_t block = (int64_t)info.f_frsize;
	out->free_bytes = (int64_t)info.f_bavail * block;
	out->free_inodes = info.f_files ? (int64_t)info.f_favail : -1;
	out->low = disk_is_low(out->free_bytes, (int64_t)info.f_blocks * block);
	out->low_inodes = info.f_files && info.f_favail < info.f_files / 20;
	return true;
}
