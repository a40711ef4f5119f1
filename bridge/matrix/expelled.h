/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_EXPELLED_H
#define MATRIX_EXPELLED_H

/* Who may not come back to a room: the core learns it (inbox_expelled()). */

#include "matrix/inside.h"

/*
 * `subject` was put out of a group's room by `sender`: "ban", or "leave", where it is first asked who may join. That question is
 * lost by a restart, and what hangs on it with it.
 */
void expelled_see(struct matrix *matrix, const char *room, const char *sender, const char *subject, const char *membership);

/* Nothing is asked any more. */
void expelled_free_all(struct matrix *matrix);

#endif
