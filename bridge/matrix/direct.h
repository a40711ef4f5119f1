/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_DIRECT_H
#define MATRIX_DIRECT_H

/* Direct rooms of the bot's own making: for a person whom it has something to say and with whom it shares no room of two. */

#include "matrix/inside.h"

struct direct;

/* Borrows `person`, an MXID. */
struct direct *direct_new(struct matrix *matrix, const char *person) MUST_USE;
/* Cancels what is under way; NULL is fine. */
void direct_free(struct direct *direct);

/*
 * Works towards a room, encrypted when the person has a device that could read there (encryption.trust); with encryption.require no
 * other. It is in `people` then, and outbox_wake() follows, as it does when there can be none.
 */
void direct_prepare(struct direct *direct);

/* No room can be had: what waits for it is to be refused. `detail` is lent. A minute later it is tried again. */
bool direct_is_refused(const struct direct *direct, enum refusal *why, const char **detail);

#endif
