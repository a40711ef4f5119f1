/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

/* What a test makes on the disk: a directory of its own, a database in it, and a clock. A failure ends the test. */

#include "base/log.h"
#include "base/seal.h"
#include "store/store.h"

#include <stdint.h>

/* Longest path of such a directory, its NUL included. */
#define SCRATCH_SIZE 64

/* A new directory under /tmp. */
void scratch_make(char directory[SCRATCH_SIZE]);
/* Removes it with all that is in it. */
void scratch_remove(const char *directory);
/* A file in it; missing folders of `name` are made (0700). */
void scratch_write(const char *directory, const char *name, const char *text);

/* Opens the database there, and the key `key_name`, which is made together with the database. Both are the caller's. */
void scratch_open(const char *directory, const char *key_name, struct store **store, struct seal **seal);
/* No file of this process grows beyond that any more. */
void scratch_limit_files(uint64_t bytes);

/* The test clock, a file in the directory, says `instant` ("2026-11-23T09:00:00Z") and runs on. */
void scratch_set_clock(const char *directory, const char *instant);

/* For log_register(): drops the line. */
void scratch_drop_line(enum log_level level, const char *line);

#endif
