/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_CRYPTO_CANONICAL_H
#define MATRIX_CRYPTO_CANONICAL_H

/*
 * Canonical JSON (Matrix appendices, "Canonical JSON"): the one text of a value, over which signatures are made. jansson's
 * own writer escapes some control characters otherwise and writes any number.
 */

#include "base/json.h"
#include "base/str.h"

#include <stdbool.h>

#define CANONICAL_WHOLE_MAX INT64_C(9007199254740991) /* (2**53)-1, in both directions */
#define CANONICAL_DEPTH_MAX JSON_DEPTH_MAX

/*
 * Appends the canonical text of a value. False, and of what was appended nothing may be used, when it has none: a number that
 * is not whole or beyond CANONICAL_WHOLE_MAX, or a value nested deeper than CANONICAL_DEPTH_MAX; false too when `out` is full.
 * A whole number may have been written with an exponent or a point, as in the specification's own example (1e10).
 */
bool canonical_add(struct str *out, const json_t *value) MUST_USE;

/* The same for an object without its members "signatures" and "unsigned": what is signed (appendices, "Signing JSON"). */
bool canonical_add_signed(struct str *out, const json_t *object) MUST_USE;

#endif
