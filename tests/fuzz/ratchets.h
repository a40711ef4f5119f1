/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_RATCHETS_H
#define TESTS_FUZZ_RATCHETS_H

/* Sessions that are the same each time, and messages as text or as the bytes that the text means. */

#include "matrix/crypto/base64.h"
#include "matrix/crypto/ratchet.h"

#include "../unit/ratchet_vectors.h"

#include <stdlib.h>
#include <string.h>

static const unsigned char ratchets_key[PRIMITIVE_KEY] = "a key that is the same each tim";

static inline void
require(bool good)
{
	if (!good)
		abort();
}

/* After a 'B' the bytes, else the text itself. The caller's. */
static inline char *
message_text(const uint8_t *data, size_t size)
{
	if (!size || data[0] != 'B')
		return xstrndup((const char *)data, size);
	char *text = xcalloc(1, BASE64_SIZE(size - 1));
	base64_encode(BASE64_PLAIN, data + 1, size - 1, text);
	return text;
}

/* Whether both were saved as the same, and forgets them. */
static inline bool
same_saved(struct secret *before, struct secret *after)
{
	bool same = before->n == after->n && memcmp(before->p, after->p, before->n) == 0;

	secret_fini(before);
	secret_fini(after);
	return same;
}

#endif
