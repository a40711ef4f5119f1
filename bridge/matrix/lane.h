/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_LANE_H
#define MATRIX_LANE_H

/* Sending: one request in flight per lane (delivery.md 8). */

#include "matrix/inside.h"

/* See port_ops.ready and port_ops.send. */
unsigned lane_ready(struct matrix *matrix, const char *address, const struct author *author);
void lane_send(struct matrix *matrix, const struct sending *row);

/* Cancels what is in flight; its rows stay in doubt and are sent again under the same names. */
void lane_free_all(struct matrix *matrix);

#endif
