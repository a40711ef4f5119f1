/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RULES_PARSE_H
#define RULES_PARSE_H

/*
 * What the files of the parser share. Every function that returns bool returns
 * false once something was wrong; then parser->result and *why are set, and the
 * first complaint is the one that stays.
 */

#include "lex.h"
#include "syntax.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `topic x` before its topics block was read: settled at the end of the group. */
struct topic_reference {
	struct topic_reference *next;
	struct condition *condition;
	struct token place;
	const char *name;
};

struct parser {
	struct rules *rules; /* under construction */
	struct block *block; /* where settings go */
	struct lexer lexer;
	struct token token; /* the next one, not yet taken */
	struct complaint *why;
	int result; /* 0, RULES_E_SYNTAX or -ENOMEM */
	struct topic_reference *references;
	int conditions, depth; /* of the rule at hand */
};

/* ---- parse_token.c: the token at hand ---- */

/* How a token is quoted in a complaint: short, and never half a character. */
struct quoted {
	char text[64];
};

struct quoted parse_quote(const struct token *token);

bool parse_fail(struct parser *parser, const struct token *place, const char *format, ...)
		__attribute__((format(printf, 3, 4)));
/* Keeps template and arguments for rules_say_complaint(). `format`: static, with %s, %d and %zu only (complain.c). */
void complain_keep(struct complaint *why, const char *format, va_list args);
bool parse_no_memory(struct parser *parser);

/* Fails with `expected` ("a group name in quotes"), or with "not yet" when the token is a word of later releases. */
bool parse_unexpected(struct parser *parser, const char *expected);

/* Fails when what `key` sets was `already` set. */
bool parse_once(struct parser *parser, const struct token *key, bool already);

void parse_next(struct parser *parser);
bool parse_is_key(const struct parser *parser, enum keyword keyword);
bool parse_is_end(const struct parser *parser); /* of a statement; '}' and the end of the text included */
bool parse_is_numeric(const struct parser *parser); /* a word that begins with a digit: a time, a date, a number */

/* Takes a token of that kind, or word with that keyword, when it is next. */
bool parse_take(struct parser *parser, enum token_kind kind);
bool parse_take_key(struct parser *parser, enum keyword keyword);

/* The text of a token, escapes undone, kept. NULL after failing (memory; longer than `max` bytes; empty). */
const char *parse_keep(struct parser *parser, const struct token *token, size_t max);

/* Takes a quoted string of at most `max` bytes. NULL after failing. */
const char *parse_string(struct parser *parser, const char *expected, size_t max);

/* Takes a name: a word or a string, at most RULES_NAME_MAX bytes. NULL after failing. */
const char *parse_name(struct parser *parser, const char *expected);

/* Takes strings (at least one) into an array of patterns; tags with the word `tag` before them when `tags`. */
bool parse_patterns(struct parser *parser, bool tags, struct pattern **out, size_t *count);

/* Adds one pattern's text to the words of the charter. */
bool parse_pattern(struct parser *parser, struct pattern *pattern, bool tag);

/* ---- parse_time.c: days, times, dates ---- */

/* "2026-12-24", all of the bytes: days since 1970-01-01. False, and no complaint, when they are no date. */
bool parse_date_text(const char *p, size_t size, int64_t *days);

/* "8:30", "08:30", "24:00", "9h", "9h30", all of the bytes: minutes after midnight. False, and no complaint, when they are no time. */
bool parse_time_text(const char *p, size_t size, int *minutes);

/* Takes a list of days, "mon-wed,fri" or "daily": bit 0 Monday .. bit 6 Sunday. */
bool parse_days(struct parser *parser, unsigned *days);

/* ---- parse_setting.c: what may stand in a block besides rules ---- */

struct setting {
	enum keyword keyword;
	bool in_site; /* else in a group only */
	bool (*parse)(struct parser *parser, const struct token *key); /* its keyword being taken */
};

/* Lent, static; NULL: that keyword begins no setting. */
const struct setting *parse_find_setting(enum keyword keyword);

/* Whether the keyword is a setting of a group, so that a chat command may replace its line. */
bool parse_is_setting(enum keyword keyword);

/* The topic of a block by its name, whatever the case and the accents; NULL when there is none. */
const struct topic *parse_find_topic(const struct block *block, const char *text);

/* ---- parse_rule.c ---- */

/* Takes one rule, its stage word being next. */
bool parse_rule(struct parser *parser);

#endif
