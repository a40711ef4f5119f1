/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XMPP_STREAM_H
#define XMPP_STREAM_H

/* The component stream (XEP-0114): connect, handshake, read with hard limits (reader.h), write in one go, come back after a loss. */

#include "base/loop.h"
#include "base/mem.h"
#include "xmpp/reader.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STREAM_HIGH_WATER (1 << 20) /* bytes not yet written above which nothing should be added */

struct stream;

struct stream_events {
	void (*up)(void *context);
	/* It was up. `blamed`: the server ended it by itself, over what we sent for all we know (as outbox_lost() means it). */
	void (*down)(void *context, bool blamed);
	bool (*wanted)(void *context, const struct stream_tag *tag);
	void (*stanza)(void *context, xmpp_stanza_t *stanza);
	/* Whether anything more can be taken; may be NULL. While it says no nothing is read, then the stream is closed and stays so. */
	bool (*has_room)(void *context);
};

/* Borrowed for the life of the stream. */
struct stream_settings {
	const char *host;
	uint16_t port;
	const char *component, *secret;
};

void stream_open(struct stream **out, struct loop *loop, xmpp_ctx_t *ctx, const struct stream_settings *settings,
		const struct stream_events *events, void *context);
/* Begins to connect, and from then on comes back after each loss (0.2, 0.5, 1 .. 30 s). The host's name is resolved for each round. */
void stream_start(struct stream *stream);
/* Says good-bye as far as that takes no waiting. No event comes from it. NULL is fine. */
void stream_close(struct stream *stream);

/* Drops the connection now (`down` comes before this returns when it was up) and connects anew after the usual pause. */
void stream_reset(struct stream *stream);

/* For these five NULL is a stream that is down. */
bool stream_is_up(const struct stream *stream);
/* Queues text that stanza_write() made. Ignored while the stream is not up. */
void stream_send(struct stream *stream, const char *text, size_t n);
/* Writes what is queued. */
void stream_flush(struct stream *stream);
/* Bytes queued. */
size_t stream_backlog(const struct stream *stream);
/* Bytes that the kernel has taken since the connection was made; those queued come on top. */
uint64_t stream_handed(const struct stream *stream);

/* Whether an iq with this id is our heartbeat, which the server routes back to us. */
bool stream_is_beat(const struct stream *stream, const char *id);

/* Why the server refuses us for good, as a sentence; NULL while it does not. Lent. */
const char *stream_refusal(const struct stream *stream);
/* What ended or prevented the last connection, as a sentence; "" when nothing did. Lent. */
const char *stream_trouble(const struct stream *stream);

#endif
