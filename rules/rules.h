/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RULES_RULES_H
#define RULES_RULES_H

/*
 * The front door of the rules: charter text and an instant in, a verdict and
 * words out. Pure: no input or output, no clock, no globals; the only library is
 * utf8proc. Memory comes from malloc and belongs to the struct rules that was
 * returned, or to the caller's buffer.
 *
 * All instants are milliseconds since the epoch, UTC (int64_t).
 */

#include "message.h"
#include "verdict.h"

#include <stdbool.h>
#include <stddef.h>

struct rules; /* one parsed charter: at most one `site` block and one `group` block */
struct zone;  /* one parsed TZif file; see zone.h */

/* The first thing that was wrong with a charter. line and column count from 1. */
struct complaint {
	int line, column;
	char text[200]; /* an English sentence, without the place and without a full stop */
	/* The same for rules_say_complaint(): a template, static, in which each % stands for the next argument. */
	const char *msgid;
	char arguments[2][80];
	bool own_words; /* the arguments are msgids, too */
};

enum { RULES_E_SYNTAX = 1 };

/*
 * Parses a whole charter file (grammar: sourdine-charter(5)): version, at most one `site` block,
 * at most one `group "name"` block, and `member` blocks, in any order, each at most once per name.
 * `text` need not be NUL-terminated and is copied.
 * Returns 0 and *out (the caller's, rules_free), or RULES_E_SYNTAX and *why; or -ENOMEM.
 * The words of later releases are refused with "not yet", never ignored.
 */
int rules_parse(struct rules **out, const char *text, size_t size, struct complaint *why);

/* rules_free(NULL) is fine. */
void rules_free(struct rules *rules);

/* Name of the group block, or NULL when the text holds only a site block. Lent. */
const char *rules_group(const struct rules *rules);

/* The IANA zone that governs: the group's, else the site's, else "UTC". Lent, never NULL. */
const char *rules_zone_name(const struct rules *rules);

/* The n-th group (from 0) that a routing rule or a topic of the group's block sends to, NULL behind the last. Lent; one may come twice. */
const char *rules_target(const struct rules *rules, size_t n);

/* The group's language, else the site's, else NULL: "en" or "fr". Lent. */
const char *rules_language(const struct rules *rules);

/*
 * Gives the rules their calendar's zone. Borrowed: `zone` must outlive `rules`
 * or the next call. Without one, UTC is used.
 */
void rules_set_zone(struct rules *rules, const struct zone *zone);

/*
 * Lends the site block's settings to a group's rules: zone, language, hours, holidays and digest
 * times that the group does not set itself; its closed periods and bots count besides the group's. Borrowed: `site` must outlive `rules`. NULL is fine.
 */
void rules_set_site(struct rules *rules, const struct rules *site);

/*
 * Judges one message, stage by stage (etiquette: admission, routing, timing;
 * first match wins in each stage; nothing matched: pass, here, deliver). Cannot fail.
 * A routed message is judged again at its target with rules_judge_timing().
 */
void rules_judge(const struct rules *rules, const struct message *message, const struct facts *facts,
		int64_t now_ms, struct verdict *verdict);

/* Only the timing stage, for a message routed into this group; admission and routing are left as pass and here. */
void rules_judge_timing(const struct rules *rules, const struct message *message, const struct facts *facts,
		int64_t now_ms, struct verdict *verdict);

/* Whether a program wrote it: a notice, or a sender that the charter or the site calls a bot. */
bool rules_is_automated(const struct rules *rules, const struct message *message);

/* Whether the group is open. Windows are half-open [open, close); no hours at all: always open. */
bool rules_is_open(const struct rules *rules, int64_t at_ms);

/* The first instant >= at_ms at which the group is open, or INT64_MAX when there is none within RULES_HORIZON_DAYS. */
int64_t rules_next_opening(const struct rules *rules, int64_t at_ms);

/* The first instant > at_ms at which the group closes or opens, INT64_MAX when it never does. */
int64_t rules_next_change(const struct rules *rules, int64_t at_ms);

/* The instant at which the closed period that contains at_ms began; 0 when open or unknown. */
int64_t rules_closed_since(const struct rules *rules, int64_t at_ms);

/*
 * The first digest slot > at_ms, by the group's `digest at` line (default
 * 09:00, Monday to Friday, holidays and closed days skipped).
 * Writes the slot's key into `key` (at least 24 bytes), "2026-10-26/09:00": local date
 * and label, so that a repeated hour cannot make a second one; a slot in a gap
 * fires at the first instant after the gap. INT64_MAX (and "") when there is none.
 */
int64_t rules_next_slot(const struct rules *rules, int64_t at_ms, char *key, size_t size);

/* ---- words, in both languages (explain.c) ---- */

/* Translates an English msgid; the bridge passes gettext, a test passes a table. Returns `msgid` itself when it knows none. */
typedef const char *rules_words(void *context, const char *msgid);

struct rules_speech {
	rules_words *words;
	void *context;
	bool french; /* dates, times and quotes in the French manner: "lun. 19 oct. 8 h 30", « » */
};

/*
 * Each writes NUL-terminated UTF-8 into `out` (cut on a character boundary when
 * `size` is too small) and returns the length that was needed, as snprintf does.
 */

/* "Mon 19 Oct 08:30" / "lun. 19 oct. 8 h 30", in the rules' zone; a year is added when it is not that of now_ms. */
size_t rules_say_instant(const struct rules *rules, int64_t at_ms, int64_t now_ms, const struct rules_speech *speech,
		char *out, size_t size);

/* The opening hours in one to four lines: windows, holidays, next change ("closed now, opens Mon 19 Oct 08:30 (Europe/Paris)"). */
size_t rules_say_hours(const struct rules *rules, int64_t now_ms, const struct rules_speech *speech, char *out, size_t size);

/* Every rule in words, numbered, one a line: "timing 30 ferme: when the group is closed, hold until opening". */
size_t rules_say_rules(const struct rules *rules, const struct rules_speech *speech, char *out, size_t size);

/*
 * Why: one line a stage ("timing     rule 30 \"ferme\": the group is closed -> hold until opening"),
 * after a first line with the outcome ("Held until Mon 19 Oct 08:30 (Europe/Paris)."). Works from the
 * verdict alone, so it explains a decision taken under an older revision; `rules` gives zone and language.
 */
size_t rules_say_verdict(const struct rules *rules, const struct verdict *verdict, int64_t now_ms,
		const struct rules_speech *speech, char *out, size_t size);

/* A complaint's sentence, without its place. */
size_t rules_say_complaint(const struct complaint *complaint, const struct rules_speech *speech, char *out, size_t size);

/* ---- editing, so that a chat command makes a new revision ---- */

/*
 * Replaces the group block's setting line named `keyword` ("hours", "digest", ...) by `line`
 * (which must begin with that keyword), or adds it at the top of the block; the rest of the text,
 * comments included, is kept byte for byte. A text without a group block gets one, named `group`.
 * Returns 0 and *out (malloc'd, the caller's, NUL-terminated, parsed successfully before it is returned),
 * or RULES_E_SYNTAX and *why (line and column within `line`), or -ENOMEM.
 */
int rules_edit_line(const char *text, size_t size, const char *group, const char *keyword, const char *line,
		char **out, struct complaint *why);

#endif
