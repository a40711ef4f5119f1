/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_INTAKE_H
#define MATRIX_INTAKE_H

/* What comes in: transactions, and the events kept of them. */

#include "matrix/inside.h"

/* See appservice_calls. */
enum appservice_verdict intake_transaction(struct matrix *matrix, const char *body, size_t size);
void intake_set_aside(struct matrix *matrix, const char *body, size_t size);

/* See port_ops.read. */
void intake_read(struct matrix *matrix, const char *room, const char *raw, size_t size, struct arena *arena, struct incoming *out);

/* An event of this type was kept: when its key is missing, that is noticed now. */
void intake_expect(struct matrix *matrix, const char *room, struct span type, const char *raw, size_t size);

/* What whoever asks one of ours to verify himself reads, in the site's language. Lent. */
const char *intake_decline(const struct matrix *matrix);

#endif
