/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RULES_FOLD_H
#define RULES_FOLD_H

/* Text as people compare it: without case, accents and typographic variants. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FOLD_REPLACEMENT 0xFFFD
#define FOLD_BUFFER 64 /* the longest decomposition in Unicode is 18 */

struct fold {
	const unsigned char *p, *end; /* lent */
	int32_t buffer[FOLD_BUFFER];
	int count, next;
};

void fold_open(struct fold *fold, const char *text, size_t size);

/* The next folded code point; every kind of white space comes as ' ', a broken byte as U+FFFD. False at the end. */
bool fold_next(struct fold *fold, int32_t *out);

/* One code point of the text as it stands, U+FFFD for a broken byte. Moves *p; false at `end`. */
bool fold_read(const unsigned char **p, const unsigned char *end, int32_t *out);

/* Whether a code point belongs to a word: letters, marks, digits, '_'; U+FFFD too, for an unknown letter. */
bool fold_is_word(int32_t symbol);

/* Folded UTF-8, NUL-terminated. Returns the length needed, as snprintf does. */
size_t fold_text(const char *text, size_t size, char *out, size_t out_size);

#endif
