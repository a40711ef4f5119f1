/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_MEMORY_FILE_H
#define TESTS_FUZZ_MEMORY_FILE_H

/* Bytes as a file, for readers that take a path. */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

/* The path of a file with these bytes. There are two, `which` 0 and 1; each call replaces the former content. */
static inline const char *
memory_file(int which, const uint8_t *data, size_t size)
{
	static int fds[2];
	static char paths[2][32];

	if (!fds[which])
		fds[which] = memfd_create("fuzz", MFD_CLOEXEC);
	if (fds[which] < 0 || ftruncate(fds[which], 0) || pwrite(fds[which], data, size, 0) != (ssize_t)size)
		abort();
	snprintf(paths[which], sizeof(paths[which]), "/proc/self/fd/%d", fds[which]);
	return paths[which];
}

#endif
