/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XMPP_REVIEW_H
#define XMPP_REVIEW_H

/* Reads a room's archive for the audit (port_ops.read_archive). One at a time, beside whatever archive.c reads. */

#include "xmpp/inside.h"

void review_begin(struct jabber *jabber, const char *room, const struct archive_reader *reader);
/* A message that may be a result of ours. False when it is not. */
bool review_hear(struct room *room, xmpp_stanza_t *message);
/* This room is gone. */
void review_leave(struct room *room);
/* The stream is gone, or we are: done() comes, unless `silent`. */
void review_stop(struct jabber *jabber, bool silent);

#endif
