/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_CRYPTO_CROSSSIGN_H
#define MATRIX_CRYPTO_CROSSSIGN_H

/*
 * The cross-signing identity of a user of ours (C-S API, "Cross-signing"): a master key, which signs a self-signing key, which
 * signs his devices. Both are derived (derive.h), never stored, so the identity survives the loss of the database. There is
 * no user-signing key: our users verify nobody.
 */

#include "base/json.h"
#include "matrix/crypto/primitive.h"
#include "matrix/crypto/signing.h"

#include <stdint.h>

struct crosssign {
	const char *user_id;                       /* lent, for as long as this is used */
	unsigned char master[PRIMITIVE_KEY];       /* seeds */
	unsigned char self_signing[PRIMITIVE_KEY];
	char master_key[SIGNING_KEY_SIZE];         /* public, base64: what people compare */
	char self_signing_key[SIGNING_KEY_SIZE];
};

/* The identity of a user under the bridge's secret. `edition`: 1, or more where a homeserver did not take that back (own.c). */
void crosssign_init(struct crosssign *identity, const unsigned char bridge_secret[PRIMITIVE_KEY], int64_t edition, const char *user_id);
/* Clears the seeds. */
void crosssign_fini(struct crosssign *identity);

/* The body of POST /keys/device_signing/upload. The caller's. */
json_t *crosssign_make_upload(const struct crosssign *identity) MUST_USE;

/* Adds the self-signing key's signature to a device's signed keys. 0, or SIGNING_E_CONTENT. */
int crosssign_sign_device(const struct crosssign *identity, json_t *device_keys) MUST_USE;

/* The body of POST /keys/signatures/upload for a device that was signed: {user: {device: keys}}. The caller's. */
json_t *crosssign_make_signatures(const struct crosssign *identity, const char *device_id, json_t *device_keys) MUST_USE;

#endif
