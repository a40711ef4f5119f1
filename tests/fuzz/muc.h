/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_MUC_H
#define TESTS_FUZZ_MUC_H

/*
 * The real XMPP port with a little MUC service in place of the stream: it lets in whoever asks, reflects what is said, has an
 * archive, and answers what it is asked. Whatever the port sends is checked: it can be read, comes from us, and is no error to
 * anybody but those who asked. Whatever the port accepts can be read back. (Linked with -Wl,--wrap, see local.mk.)
 */

#include "bridge.h"

#include "xmpp/stanza.h"

struct muc;

struct muc *muc_open(struct bridge *bridge);
void muc_end(struct muc *muc);

/* Which requests are left unanswered from now on: those with this payload ("query" MAM: NS_MAM); NULL: none. */
void muc_keep_waiting(struct muc *muc, const char *ns);
/* Whether one is waiting. */
bool muc_is_waiting(const struct muc *muc);

/*
 * Bytes from the server. "@ID@" stands for the id of the request that waits (else of the last one), "@Q@" for the query id of the
 * archive's reading. When nothing more can be read the connection is lost and made again.
 */
void muc_feed(struct muc *muc, const char *text, size_t n);
/* One whole stanza, whatever was fed before. */
void muc_hear(struct muc *muc, const char *text);
/* Answers what the port has sent, `turns` times, each `ms` later. */
void muc_serve(struct muc *muc, int turns, int64_t ms);

/* Whether somebody's ghost is in a room. */
bool muc_has_ghost(const struct muc *muc);
/* Whether the room does not let us in, or has sent us away. */
bool muc_is_shut(const struct muc *muc);
/* How many messages the port accepted into the inbox. */
unsigned muc_accepted(const struct muc *muc);

#endif
