/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_SEAL_H
#define BASE_SEAL_H

/*
 * Everything that the master key does, and the few digests that protocols ask for: the
 * one file of the bridge (outside encryption proper) that uses OpenSSL.
 * A sealed text is salt (16) | ciphertext | tag (16): AES-256-GCM under a key of its own,
 * derived from the master key and the salt, so deleting the row destroys the key.
 */

#include "base/mem.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEAL_OVERHEAD 32   /* bytes that sealing adds */
#define SEAL_NAME_SIZE 33  /* a row's name, with its NUL */
#define SEAL_KEY_SIZE 32   /* bytes of a derived key */

struct seal;

enum { SEAL_E_MISSING = 1, SEAL_E_SHORT = 2, SEAL_E_READABLE = 3 };

/*
 * Reads the master key (32 bytes) from `path`. With `create`, a missing file is made first (0600, random).
 * 0 and *out; SEAL_E_MISSING; SEAL_E_SHORT when it does not hold 32 bytes; SEAL_E_READABLE when others may read it; -errno.
 */
int seal_open(struct seal **out, const char *path, bool create) MUST_USE;
/* Clears the key. NULL is fine. */
void seal_close(struct seal *seal);

/* Seals n bytes. *out is malloc'd, the caller's, n + SEAL_OVERHEAD bytes. Cannot fail. */
void seal_wrap(const struct seal *seal, const void *p, size_t n, unsigned char **out, size_t *out_size);
/* The reverse; *out is NUL-terminated beyond its *out_size bytes. False when it was not sealed with this key. */
bool seal_unwrap(const struct seal *seal, const void *p, size_t n, char **out, size_t *out_size) MUST_USE;

/*
 * A deterministic name for a row: 32 characters of base32 (160 bits) over the fields, each encoded with its
 * length, by HMAC-SHA-256 under a key derived from the master key. `fields` ends with a NULL pointer.
 */
void seal_name(const struct seal *seal, const char *const *fields, char out[SEAL_NAME_SIZE]);

/* A short keyed hash of the fields, 16 characters of base32: for ghosts whose address must not betray its origin. */
void seal_alias(const struct seal *seal, const char *const *fields, char out[17]);

/* A key for another module, derived under its label: it tells nothing of the master key or of another label's. To be cleared. */
void seal_derive(const struct seal *seal, const char *label, unsigned char key[SEAL_KEY_SIZE]);

/* A value that tells whether two keys are the same, and nothing else about them: 16 hexadecimal characters. */
void seal_fingerprint(const struct seal *seal, char out[17]);

/* Fills with random bytes of the system; aborts when there are none. */
void seal_random(void *p, size_t n);
/* n random characters of the alphabet, and a NUL. */
void seal_random_text(char *out, size_t n, const char *alphabet);

/* Lower-case hexadecimal SHA-1 of two texts, one after the other (XEP-0114 §3 handshake). */
void seal_sha1_hex(const char *first, const char *second, char out[41]);
/* Lower-case hexadecimal SHA-256. */
void seal_sha256_hex(const void *p, size_t n, char out[65]);
/* Compares two secrets in constant time, whatever their lengths (both are hashed first). */
bool seal_same(const char *a, const char *b);

#endif
