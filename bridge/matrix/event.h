/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_EVENT_H
#define MATRIX_EVENT_H

/* One event's bytes to what they mean, and the reverse. Pure: no room, no person and no clock is known here. */

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "core/port.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Before an event's bytes in the inbox stands how it came, decided at its acceptance, since a later process cannot know: by a
 * transaction (nothing stands there), from the archive, or, either way, written before we started: that is
 * bridged, but a command in it is not obeyed.
 */
#define EVENT_ARCHIVE_MARK 'A'
#define EVENT_LATE_MARK 'B'
#define EVENT_STRAY_MARK 'C'     /* late, and found behind what had come already */
#define EVENT_OVERTAKEN_MARK 'D' /* by a transaction, behind what had followed it: obeyed like any other */
/* The same of an event that came encrypted and is kept as it was read: the small letter, or this for one that has no mark. */
#define EVENT_SEALED_MARK 'e'

/* Canonical JSON of an event of ours. The homeserver's limit is 64 KiB with what it adds, and encryption makes a third more of it. */
#define EVENT_OUT_MAX (44 * 1024)

enum event_kind {
	EVENT_NOTHING, /* of no interest here: edits, reactions */
	EVENT_MESSAGE,
	EVENT_MEMBER,  /* m.room.member: `subject` is now `membership` under `name` */
	EVENT_POWER,   /* m.room.power_levels: its `content` */
	EVENT_TOMBSTONE, /* the room is closed in favour of `name` */
	EVENT_CIPHER, /* `json` is to be decrypted */
	EVENT_WITHDRAWAL, /* the event `subject` is taken back */
	EVENT_VERIFICATION, /* `subject` is asked to prove who he is */
	EVENT_MALFORMED, /* a field is missing or of a wrong type */
	EVENT_POISON,  /* refused: `reason` */
};

/* Texts point into the arena, but for those in `json`. */
struct event {
	enum event_kind kind;
	bool archive; /* or late */
	bool late;
	bool sealed;  /* it came encrypted, and could be read */
	bool stray;   /* comes out of its place */
	const char *sender;
	int64_t origin_ms;
	enum message_kind message;
	const char *text;       /* clean, fallback stripped, never empty */
	const char *reply_to;   /* event id or NULL */
	const char *subject;    /* MXID */
	const char *membership; /* "join", "leave"... */
	const char *name;       /* display name as it came, or "" */
	const json_t *content;  /* lent, as long as the event */
	const char *reason;     /* static */
	json_t *json;           /* owns */
};

/* Any bytes, with or without the mark. Always followed by event_fini(). */
void event_read(const char *raw, size_t size, struct arena *arena, struct event *out);
void event_fini(struct event *event);

/* The bytes of an encrypted event as it was read, for event_read(): `raw` is how it came, `plain` what it holds. In the arena. */
char *event_keep_sealed(const char *raw, const json_t *plain, struct arena *arena, size_t *size) MUST_USE;

/*
 * What goes into the outbox: {"type", "content", "user"} with sorted keys, so that the same row always gives the same
 * bytes. `user` is the localpart that sends.
 */
void event_render(const struct outgoing *outgoing, const char *user, struct str *out);

#define EVENT_REDACTION "m.room.redaction"
#define EVENT_ENCRYPTED "m.room.encrypted"
#define EVENT_DECLINE "m.key.verification.cancel"

/* The same row once it is encrypted: `content` is that of m.room.encrypted. */
void event_render_encrypted(const char *content, const char *user, struct str *out);

/* A rendered row again. Owned. */
struct event_parts {
	char *type, *content; /* the content is JSON */
	char *redacts;        /* of EVENT_REDACTION: the event that it takes back; else NULL */
};
/* False when these bytes are not of event_render(), or not all of them. Followed by event_parts_fini() in either case. */
bool event_unpack(const char *payload, size_t size, struct event_parts *out) MUST_USE;
void event_parts_fini(struct event_parts *parts);

/* See port_ops.fits: leading bytes whose JSON form leaves room for the rest of the event. */
size_t event_fits(const char *text, size_t n);

#endif
