/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RULES_WORDS_H
#define RULES_WORDS_H

/* Every word, phrase and tag of a charter, looked for in one pass over a message. */

#include "limits.h"

#include <stdbool.h>
#include <stddef.h>

struct words;

/* Which patterns a text holds, by their ids. */
struct words_found {
	unsigned char bits[RULES_PATTERNS_MAX / 8];
};

/* NULL when memory is short. */
struct words *words_new(void);
void words_free(struct words *words);

enum { WORDS_E_EMPTY = 1, WORDS_E_FULL };

/*
 * Adds a word or phrase, or a tag (without its '#'). 0 and *id, the same for the same
 * pattern; WORDS_E_EMPTY when nothing of it is comparable; WORDS_E_FULL; or -ENOMEM.
 */
int words_add(struct words *words, const char *text, size_t size, int *id);
int words_add_tag(struct words *words, const char *text, size_t size, int *id);

/* Ends the adding, must come before words_scan(). 0 or -ENOMEM. */
int words_finish(struct words *words);

/*
 * Looks for everything. Words are whole words, wherever they stand; a tag is `#x`
 * outside code, links and quoted lines. Linear in the text, allocates nothing.
 */
void words_scan(const struct words *words, const char *text, struct words_found *found);

/* Whether the text begins with the tag `name` (folded), white space skipped. */
bool words_begins_with_tag(const char *text, const char *name);

bool words_has(const struct words_found *found, int id);

#endif
