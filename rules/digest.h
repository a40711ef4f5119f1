/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RULES_DIGEST_H
#define RULES_DIGEST_H

/*
 * One member's digest: items in, finished text out (plain and Matrix HTML).
 * Pure. The caller chose the items (subscription, cut-off, redactions); this
 * decides order, excerpts and limits (etiquette 8, points 5 to 9).
 */

#include "rules.h"

#include <stddef.h>
#include <stdint.h>

#define DIGEST_EXCERPT 280            /* characters (grapheme clusters) of one item */
#define DIGEST_ITEMS_MAX 40           /* items of one part */
#define DIGEST_BYTES_MAX (16 * 1024)  /* bytes of one part, of each rendering, after escaping */
#define DIGEST_PARTS_MAX 3            /* then "and 57 more" */

/* Of one item. */
enum digest_flag {
	DIGEST_MENTION = 1 << 0,  /* mentions or answers the reader: comes first */
	DIGEST_ANNOUNCE = 1 << 1, /* an announcement: comes second */
	DIGEST_EDITED = 1 << 2,   /* `text` is not the first version */
	DIGEST_MEDIA = 1 << 3,    /* `text` names a file: name and size */
	DIGEST_SENT = 1 << 4,     /* the reader had it already: one short line, no text */
};

/* Every pointer is borrowed for the call. Texts are UTF-8; broken bytes become U+FFFD. */
struct digest_item {
	int64_t seq;        /* arrival; breaks ties of at_ms */
	int64_t at_ms;      /* when it was written */
	int64_t thread;     /* seq of the item that began its thread or burst, 0 when alone */
	const char *tag;    /* "m7": how the reader names it; NULL or "" for none */
	const char *author; /* display name */
	const char *text;   /* "" or NULL: no longer kept */
	const char *link;   /* permalink or NULL */
	unsigned flags;     /* of enum digest_flag */
};

struct digest {
	const char *group;  /* its name */
	int64_t from_ms;    /* the period; 0 when the first is unknown */
	int64_t to_ms;
	const struct digest_item *items; /* in any order */
	size_t count;
	size_t older;       /* messages of the period that are only counted, their text being gone */
	size_t parts_max;   /* 1 to DIGEST_PARTS_MAX; 0 means DIGEST_PARTS_MAX */
	const char *footer; /* a last line by the caller, already in the reader's language (how to change it), or NULL */
};

struct digest_part {
	char *plain; /* NUL-terminated, ends without a newline */
	char *html;  /* Matrix HTML, everything foreign escaped; links only http, https, xmpp, matrix */
};

struct digest_text {
	size_t count; /* 1 to DIGEST_PARTS_MAX when digest_build() returned 0, else 0 */
	struct digest_part part[DIGEST_PARTS_MAX];
};

enum { DIGEST_E_EMPTY = 1 };

/*
 * Builds the digest in the zone of `rules` and the language of `speech`. 0 and *out
 * (digest_text_fini), DIGEST_E_EMPTY when there is nothing to tell (no items and none
 * older: send nothing, record the slot), or -ENOMEM. The same input gives the same bytes.
 */
int digest_build(const struct rules *rules, const struct digest *digest, const struct rules_speech *speech,
		struct digest_text *out);

/* Frees both strings of each part and sets count to 0; fine when repeated. */
void digest_text_fini(struct digest_text *text);

#endif
