/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_READBACK_H
#define MATRIX_READBACK_H

/* Whether a row that may have arrived has arrived, when the homeserver's own memory of its name cannot be trusted (delivery.md 8). */

#include "matrix/inside.h"

struct readback;

/*
 * Reads what `user` (MXID of ours) said in a room since `since_ms` (real time) and settles the rows of `lane` that it finds there.
 * Everything is copied. `done` comes once, from the loop; afterwards it is gone. `certain`: the archive was readable.
 */
struct readback *readback_begin(struct matrix *matrix, const char *room, const char *lane, const char *user, int64_t since_ms,
		void (*done)(void *context, bool certain), void *context);
/* `done` will not come. NULL is fine. */
void readback_cancel(struct readback *readback);

#endif
