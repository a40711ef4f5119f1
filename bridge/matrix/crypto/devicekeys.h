/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_CRYPTO_DEVICEKEYS_H
#define MATRIX_CRYPTO_DEVICEKEYS_H

/* The keys of a device of ours as the homeserver wants them (C-S API, POST /keys/upload). */

#include "base/json.h"
#include "matrix/crypto/ratchet.h"

#define DEVICEKEYS_OLM "m.olm.v1.curve25519-aes-sha2"
#define DEVICEKEYS_MEGOLM "m.megolm.v1.aes-sha2"
#define DEVICEKEYS_ONE_TIME "signed_curve25519"

/* A device of ours. All lent. */
struct devicekeys {
	const struct ratchet_account *account;
	const char *user_id, *device_id;
};

/* Signs an object with the device's key. 0, or SIGNING_E_CONTENT. */
int devicekeys_sign(const struct devicekeys *device, json_t *object) MUST_USE;

/* Its identity keys, signed by itself: "device_keys" of an upload, and of what others are sent. The caller's. */
json_t *devicekeys_make(const struct devicekeys *device) MUST_USE;

/*
 * The body of an upload: `device_keys` unless NULL (shared, not taken), and all one-time and fallback keys that are not
 * marked as published, signed. The same account gives the same bytes again, so an upload may be repeated. The caller's.
 */
json_t *devicekeys_make_upload(const struct devicekeys *device, json_t *device_keys) MUST_USE;

#endif
