/* SPDX-License-Identifier: Apache-2.0 */
/* Labels are text with separators that neither a table's name nor a usage has, so no two things share one. */
#include "matrix/crypto/derive.h"

#include <inttypes.h>
#include <string.h>

void
derive_row_key(const unsigned char master[PRIMITIVE_KEY], const unsigned char salt[DERIVE_SALT], const char *table, const char *row,
		unsigned char key[PRIMITIVE_KEY])
{
	AUTO_FREE char *label = xasprintf("%s|%s", table, row);

	primitive_hkdf(master, PRIMITIVE_KEY, salt, DERIVE_SALT, label, strlen(label), key, PRIMITIVE_KEY);
}

void
derive_seed(const unsigned char bridge_secret[PRIMITIVE_KEY], int64_t edition, const char *user_id, const char *usage,
		unsigned char seed[PRIMITIVE_KEY])
{
	AUTO_FREE char *label = xasprintf("xsign/%" PRId64 "/%s/%s", edition, user_id, usage);

	primitive_hkdf(bridge_secret, PRIMITIVE_KEY, NULL, 0, label, strlen(label), seed, PRIMITIVE_KEY);
}
