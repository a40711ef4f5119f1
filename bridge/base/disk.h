/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_DISK_H
#define BASE_DISK_H

/* How much room a directory's disk has left, and when that is too little (delivery.md 11). */

#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>

struct disk {
	int64_t size_bytes, free_bytes, free_inodes; /* for us, not for root; inodes -1: this file system does not count them */
	bool low, low_inodes;
};

/* False when the directory cannot be looked at (errno). */
bool disk_look(const char *directory, struct disk *out) MUST_USE;

/* Less than the larger of 5 % and 256 MiB (of a quarter of the disk, when it is smaller than 1 GiB). Bytes. */
bool disk_is_low(uint64_t free_bytes, uint64_t size_bytes);

#endif
