/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_CRYPTO_DERIVE_H
#define MATRIX_CRYPTO_DERIVE_H

/* Keys that are never stored, since they follow from the master key: HKDF-SHA-256 under labels of their own. */

#include "matrix/crypto/primitive.h"

#include <stdint.h>

#define DERIVE_SALT 16

/*
 * The key under which one row's object is pickled: HKDF(master, salt, table "|" row), where `row` is the row's primary
 * key as text (most of these tables have no number for one). A row's own, because libolm takes
 * its initialisation vector from the key, so that under one key equal objects would be equal pickles.
 */
void derive_row_key(const unsigned char master[PRIMITIVE_KEY], const unsigned char salt[DERIVE_SALT], const char *table, const char *row,
		unsigned char key[PRIMITIVE_KEY]);

/*
 * The Ed25519 seed of a cross-signing key: HKDF(bridge_secret, no salt, "xsign/" edition "/" user_id "/" usage). The same secret gives
 * the same identity for ever, also when the database is lost. `usage` is "master" or "self_signing"; `edition` is 1, see own.c.
 */
void derive_seed(const unsigned char bridge_secret[PRIMITIVE_KEY], int64_t edition, const char *user_id, const char *usage,
		unsigned char seed[PRIMITIVE_KEY]);

#endif
