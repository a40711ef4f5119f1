/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_LINK_H
#define MATRIX_LINK_H

/* Whether the homeserver is there, and what is to be done when it comes and goes. The only one who moves matrix::state, but for REFUSED and STOPPED. */

#include "matrix/inside.h"

void link_init(struct matrix *matrix);
/* Begins to look for the homeserver. */
void link_start(struct matrix *matrix);
void link_stop(struct matrix *matrix);

/* A connection broke: gates are closed and the homeserver is looked for. Nothing when that is known already. */
void link_lost(struct matrix *matrix, const char *why);
/* As after a start: whatever is under way is given up. Rooms are the caller's. */
void link_restart(struct matrix *matrix);
/* A transaction was refused: the homeserver now waits ever longer, which a ping ends once things can be taken again (delivery.md F7). */
void link_ping_later(struct matrix *matrix);

/* The bot's device can be polled for now, or is another one. */
void link_poll_again(struct matrix *matrix);

#endif
