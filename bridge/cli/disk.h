/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_DISK_H
#define CLI_DISK_H

/* How much room the state directory's disk has left. */

#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>

struct disk {
	int64_t free_bytes, free_inodes; /* for us, not for root; inodes -1: this file system does not count them */
	bool low;           /* less than 5 % or 256 MiB, whichever is more (delivery.md 11) */
	bool low_inodes;    /* less than 5 % of them */
};

/* False when the directory cannot be looked at (errno). */
bool disk_look(const char *directory, struct disk *out) MUST_USE;

/* The judgement alone: both in bytes. */
bool disk_is_low(int64_t free_bytes, int64_t size_bytes);

#endif
