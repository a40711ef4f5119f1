/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_CRYPTO_ENVELOPE_H
#define MATRIX_CRYPTO_ENVELOPE_H

/*
 * What stands inside an Olm message around its content (C-S API, "m.olm.v1.curve25519-aes-sha2"), and how it proves who wrote it
 * to whom. Olm itself proves only that somebody who has the identity key wrote it.
 */

#include "base/json.h"
#include "matrix/crypto/peer.h"

enum envelope_refusal {
	ENVELOPE_E_FORM = 1,   /* a member is missing or of a wrong type */
	ENVELOPE_E_SENDER,     /* written by another user than the event says */
	ENVELOPE_E_RECIPIENT,  /* written to another user, or to another device's key */
	ENVELOPE_E_KEY,        /* the sender's Ed25519 key is not that of his device */
	ENVELOPE_E_DEVICE,     /* "sender_device_keys" are not his, not this device's, or not signed */
};

/* What is around the content of ours. All lent. */
struct envelope_ends {
	const char *sender, *sender_ed;       /* whose, and the Ed25519 key of the device that writes */
	const char *recipient, *recipient_ed; /* the same of the device that reads */
	const char *sender_curve;             /* what the event says of the device that wrote; to be opened only */
};

/* The plain text for one device. `content` and `sender_device_keys` (NULL: none) are shared, not taken. The caller's; it may hold keys. */
json_t *envelope_make(const struct envelope_ends *ends, const char *type, json_t *content, json_t *sender_device_keys) MUST_USE;

/*
 * Checks a decrypted text. `sender` and `sender_curve` are the event's, the recipient ours; `sender_ed` is that of the device which
 * has this curve25519 key, as it was queried, or NULL when it is not known: then the device must prove itself by "sender_device_keys",
 * and nothing of it may be used before it was queried. 0, with *type and *content lent by `plain`; or enum envelope_refusal.
 */
int envelope_check(const json_t *plain, const struct envelope_ends *ends, const char **type, const json_t **content) MUST_USE;

#endif
