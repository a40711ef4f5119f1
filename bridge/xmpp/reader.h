/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XMPP_READER_H
#define XMPP_READER_H

/* Bytes of a stream to stanzas, with hard limits; also single stanzas back from text. The only user of <expat.h>. */

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

#endif
