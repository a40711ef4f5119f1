/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RULES_TAGS_H
#define RULES_TAGS_H

/* The tags (`#x`) that an author meant: not those inside code, links or quoted lines. */

#include <stdbool.h>
#include <stddef.h>

#define TAGS_FOLDED_MAX 256 /* bytes of a folded tag; a longer one is nobody's */

struct tags {
	const char *p, *start, *end; /* lent */
	bool fenced;                 /* between ``` lines */
};

void tags_open(struct tags *tags, const char *text, size_t size);

/* The next tag, folded and without its '#', in `out`. False at the end. */
bool tags_next(struct tags *tags, char out[TAGS_FOLDED_MAX]);

#endif
