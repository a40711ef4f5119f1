/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_SURVEY_H
#define MATRIX_SURVEY_H

/* Reads a room's archive for the audit (port_ops.read_archive). One at a time. */

#include "matrix/inside.h"

void survey_begin(struct matrix *matrix, const char *room, const struct archive_reader *reader);
/* The homeserver is gone, or we are: done() comes, unless `silent`. */
void survey_stop(struct matrix *matrix, bool silent);

#endif
