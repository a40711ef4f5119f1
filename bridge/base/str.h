/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_STR_H
#define BASE_STR_H

/*
 * A growing text with a ceiling. Once an addition would pass the ceiling, the text is
 * marked `full`, nothing more is added, and the caller asks once at the end.
 * `p` is NUL-terminated whenever it is not NULL.
 */

#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct span {
	const char *p;
	size_t n;
};

struct str {
	char *p;
	size_t n, room, max;
	bool full;
};

/* Empty text of at most `max` bytes. str_fini() frees and empties; it may be used again. */
void str_init(struct str *s, size_t max);
void str_fini(struct str *s);
void str_clear(struct str *s);
/* Place for `n` bytes in all, at most the ceiling: what is added up to then never moves, so of a secret there is no second copy. */
void str_reserve(struct str *s, size_t n);
#define AUTO_STR CLEANUP(str_fini)

void str_add(struct str *s, const char *text);
void str_add_n(struct str *s, const char *p, size_t n);
void str_add_char(struct str *s, char c);
void str_addf(struct str *s, const char *format, ...) PRINTF_LIKE(2, 3);

/* The text, the caller's to free; never NULL; `s` is empty afterwards. */
char *str_take(struct str *s) MUST_USE;
/* The text, lent; "" when nothing was added. */
const char *str_get(const struct str *s);

/*
 * Copies text so that it is valid UTF-8 of XML 1.0 characters only: every other byte or
 * code point (controls, surrogates, U+FFFE, U+FFFF, broken sequences) becomes U+FFFD.
 * malloc'd, the caller's.
 */
char *str_clean(const char *text, size_t n) MUST_USE;

/* Whether the bytes are what str_clean() would leave alone. */
bool str_is_clean(const char *text, size_t n);

bool str_starts(const char *s, const char *prefix);
bool str_equal(const char *a, const char *b); /* NULL equals only NULL */

/*
 * A copy of `format` with every "{key}" replaced by `value`: for translated sentences, whose places may change order.
 * malloc'd, the caller's.
 */
char *str_fill(const char *format, const char *key, const char *value) MUST_USE;

/* How far apart two words are (insertions, deletions, replacements), for "did you mean". At most 64 bytes each count. */
unsigned str_distance(const char *a, const char *b);

#endif
