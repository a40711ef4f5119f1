/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_CRYPTO_SIGNING_H
#define MATRIX_CRYPTO_SIGNING_H

/*
 * Signatures of JSON objects (Matrix appendices, "Signing JSON"). They are checked over the object as it was parsed, written
 * again canonically, never over bytes that the sender chose. A key's name is "ed25519:" and the device id, or the public key
 * itself for a cross-signing key; callers give what follows the colon.
 */

#include "base/json.h"
#include "matrix/crypto/primitive.h"

#define SIGNING_TEXT_SIZE 87 /* a signature in base64, with its NUL */
#define SIGNING_KEY_SIZE 44  /* a public key in base64, with its NUL */

enum signing_refusal {
	SIGNING_E_MISSING = 1, /* no signature by this key of this user */
	SIGNING_E_FORM,        /* the signature is no base64 of 64 bytes */
	SIGNING_E_CONTENT,     /* the object has no canonical text */
	SIGNING_E_WRONG,       /* the signature is not that of the object by this key */
};

/* Puts a signature beside those that the object has. `signature` is base64. */
void signing_put(json_t *object, const char *user, const char *key_name, const char *signature);

/* Signs with an Ed25519 seed, and puts the signature. 0, or SIGNING_E_CONTENT. */
int signing_sign(json_t *object, const char *user, const char *key_name, const unsigned char seed[PRIMITIVE_KEY]) MUST_USE;

/* Whether `user` signed the object with this key. 0, or enum signing_refusal. */
int signing_check(const json_t *object, const char *user, const char *key_name, const unsigned char key[PRIMITIVE_KEY]) MUST_USE;

#endif
