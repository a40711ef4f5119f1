/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XMPP_STREAM_H
#define XMPP_STREAM_H

/*
 * The component stream (XEP-0114): connect, handshake, read with hard limits, write in one go, come back after a loss.
 * And the reader below it, which also reads single stanzas back from text.
 */

#include "base/loop.h"
#include "base/mem.h"
#include "xmpp/stanza.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* xmpp.md 2.2. One stanza that passes a limit is skipped to its end; the stream stays. */
#define STREAM_STANZA_MAX (512 << 10) /* bytes */
#define STREAM_DEPTH_MAX 64           /* elements inside each other, the stanza being the first */
#define STREAM_ELEMENTS_MAX 4096      /* inside one stanza */
#define STREAM_ATTRIBUTES_MAX 64      /* of one element */
#define STREAM_CHILDREN_MAX 1024      /* of one parent that are handed on; libstrophe appends in linear time */
#define STREAM_TOKEN_MAX (1 << 20)    /* bytes without any event: a tag that never ends; the one limit that costs the stream */
#define STREAM_HIGH_WATER (1 << 20)   /* bytes not yet written above which nothing should be added */

/* ---- the reader ---- */

/* A stanza's start tag. Lent; "" for what it does not have. */
struct stream_tag {
	const char *name, *type, *from, *to, *id;
};

struct reader_events {
	void (*opened)(void *context, const char *id); /* the stream's header */
	/* At the start tag, before anything is built: false drops the stanza, at the price of tokenising it. */
	bool (*wanted)(void *context, const struct stream_tag *tag);
	/* A whole stanza, lent. Elements of the stream itself ("error") have the namespace NS_STREAMS. */
	void (*stanza)(void *context, xmpp_stanza_t *stanza);
	/* A stanza over a limit was skipped. */
	void (*skipped)(void *context, const struct stream_tag *tag, const char *limit);
	void (*closed)(void *context);
};

#define NS_STREAMS "http://etherx.jabber.org/streams"

struct reader;

/* `ctx` and `events` are borrowed. Any event may be NULL but `stanza`. */
struct reader *reader_new(xmpp_ctx_t *ctx, const struct reader_events *events, void *context) MUST_USE;
/* Must not be called within an event. NULL is fine. */
void reader_free(struct reader *reader);

/* Feeds bytes as they came; 0, or READER_E_XML and a sentence in reader_fault(): nothing more can be read. */
enum { READER_E_XML = 1 };
int reader_feed(struct reader *reader, const char *p, size_t n) MUST_USE;
const char *reader_fault(const struct reader *reader);
/* Within an event: the rest of what is being fed is not to be read. */
void reader_stop(struct reader *reader);

/*
 * Reads one stanza from text that stanza_write() made; survives any bytes. The caller's (stanza_free()); NULL when it is
 * none, or over the limits (but eight times the size).
 */
xmpp_stanza_t *reader_parse(xmpp_ctx_t *ctx, const char *text, size_t n) MUST_USE;

/* ---- the stream ---- */

struct stream;

struct stream_events {
	void (*up)(void *context);
	void (*down)(void *context); /* it was up */
	bool (*wanted)(void *context, const struct stream_tag *tag);
	void (*stanza)(void *context, xmpp_stanza_t *stanza);
};

/* Borrowed for the life of the stream. */
struct stream_settings {
	const char *host;
	uint16_t port;
	const char *component, *secret;
};

/* Resolves the host. 0; -EHOSTUNREACH when it has no address; -errno. */
int stream_open(struct stream **out, struct loop *loop, xmpp_ctx_t *ctx, const struct stream_settings *settings,
		const struct stream_events *events, void *context) MUST_USE;
/* Begins to connect, and from then on comes back after each loss (0.2, 0.5, 1 .. 30 s). */
void stream_start(struct stream *stream);
/* Says good-bye as far as that takes no waiting. No event comes from it. NULL is fine. */
void stream_close(struct stream *stream);

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

/* Why the server refuses us for good, as a sentence; NULL while it does not. Lent. */
const char *stream_refusal(const struct stream *stream);
/* What ended or prevented the last connection, as a sentence; "" when nothing did. Lent. */
const char *stream_trouble(const struct stream *stream);

#endif
