/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_EXPELLED_H
#define MATRIX_EXPELLED_H

/* Who may not come back to a room: the core learns it (inbox_expelled()). */

#include "matrix/inside.h"

/*
 * `subject` was put out of a group's room by `sender`: "ban", or "leave", where it is first asked who may join. False as long as that
 * is not known: the event is to be read again (INCOMING_LATER), for which inbox_retry() is called.
 */
bool expelled_see(struct matrix *matrix, const char *room, const char *sender, const char *subject, const char *membership) MUST_USE;

/* Nothing is asked any more. */
void expelled_free_all(struct matrix *matrix);

#endif
