/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_LOOK_H
#define BASE_LOOK_H

/* How names look to people: what they cannot see, and which names they would take for each other (security S4). */

#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * The name without what nobody sees (controls, bidi marks, zero widths, private and broken characters), white space at
 * its ends or doubled; cut on a character boundary to fit. What joins letters of scripts that need it, and emoji, stays.
 */
void look_tidy(const char *name, char *out, size_t size);

/* What a name looks like: two that people could take for each other have the same. malloc'd, the caller's. */
char *look_skeleton(const char *name) MUST_USE;

/* Whether people could take one name for the other: case, width, white space and the commonest look-alike letters aside. */
bool look_alike(const char *a, const char *b);

#endif
