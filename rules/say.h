/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RULES_SAY_H
#define RULES_SAY_H

/* Whole sentences out of translated templates, into a buffer of any size. */

#include "rules.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Marks a msgid for xgettext (--keyword=N_). */
#define N_(text) text

#define SAY_ARGS_MAX 6

/* A text under construction: counts what is needed also when there is no room. */
struct say {
	const struct rules *rules;
	const struct rules_speech *speech;
	char *out;
	size_t size, need;
};

/* A short text on the stack: a date, a name in quotes. */
struct say_text {
	char text[1024];
};

void say_open(struct say *say, const struct rules *rules, const struct rules_speech *speech, char *out, size_t size);

/* Ends the text: NUL, no half character. Returns the length needed. */
size_t say_close(struct say *say);

void say_raw(struct say *say, const char *text);
void say_bytes(struct say *say, const char *p, size_t n);

/* The translation of a msgid. */
const char *say_words(const struct rules_speech *speech, const char *msgid);

/*
 * Adds the translation of `msgid` with {1}, {2}... replaced by the arguments (at most
 * SAY_ARGS_MAX). A template may use them in any order; an unknown brace stays as it is.
 */
void say_sentence(struct say *say, const char *msgid, const char *const *args, size_t count);

/* An argument that writes itself, for what has no limit: a list of words, a condition. */
struct say_argument {
	const char *text; /* NULL: `write` is called instead */
	void (*write)(struct say *say, const void *what);
	const void *what;
};

/* As say_sentence(). */
void say_arguments(struct say *say, const char *msgid, const struct say_argument *args, size_t count);

/* The same into a short text. */
struct say_text say_short(const struct rules_speech *speech, const char *msgid, const char *const *args, size_t count);

/* A name in the quotes of the language. */
struct say_text say_quoted(const struct rules_speech *speech, const char *name);

/* The zone in which instants are said: UTC when the charter's could not be had. Lent. */
const char *say_zone(const struct rules *rules);

/* Pieces of time. `with_year` adds the year to a date. */
struct say_text say_clock(const struct rules_speech *speech, int hour, int minute);           /* "08:30", "8 h 30" */
struct say_text say_date(const struct rules_speech *speech, int64_t day, bool with_year);     /* "Mon 19 Oct" */
struct say_text say_weekdays(const struct rules_speech *speech, unsigned days);               /* "Mon-Fri", "daily" */
struct say_text say_instant(const struct rules *rules, const struct rules_speech *speech, int64_t at_ms, int64_t now_ms);

#endif
