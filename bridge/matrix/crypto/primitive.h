/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_CRYPTO_PRIMITIVE_H
#define MATRIX_CRYPTO_PRIMITIVE_H

/*
 * The primitives that encryption needs beside libolm, from OpenSSL, and nothing of Matrix. None of them can fail but by
 * running out of memory, which ends the process; what a stranger sent can only be wrong.
 */

#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>

#define PRIMITIVE_KEY 32 /* an Ed25519 seed or public key, an AES-256 key */
#define PRIMITIVE_SIGNATURE 64
#define PRIMITIVE_HASH 32
#define PRIMITIVE_IV 16

/* Ed25519 (RFC 8032 §5.1). A seed is the private key. */
void primitive_public_key(const unsigned char seed[PRIMITIVE_KEY], unsigned char key[PRIMITIVE_KEY]);
void primitive_sign(const unsigned char seed[PRIMITIVE_KEY], const void *p, size_t n, unsigned char signature[PRIMITIVE_SIGNATURE]);
/* Whether the signature is right; one whose S is not below the group's order is wrong (RFC 8032 §5.1.7), so each text has one. */
bool primitive_verify(const unsigned char key[PRIMITIVE_KEY], const void *p, size_t n, const unsigned char signature[PRIMITIVE_SIGNATURE]) MUST_USE;

/* HKDF with SHA-256 (RFC 5869), at most 255 * 32 bytes. */
void primitive_hkdf(const void *key, size_t key_size, const void *salt, size_t salt_size, const void *info, size_t info_size, void *out, size_t size);

/* Compares in a time that depends on n alone. */
bool primitive_same(const void *a, const void *b, size_t n) MUST_USE;

void primitive_sha256(const void *p, size_t n, unsigned char hash[PRIMITIVE_HASH]);

/* SHA-256 of what arrives in pieces. */
struct primitive_hash;
struct primitive_hash *primitive_hash_new(void) MUST_USE;
void primitive_hash_add(struct primitive_hash *hash, const void *p, size_t n);
/* What all pieces so far hash to. Nothing may be added afterwards. */
void primitive_hash_end(struct primitive_hash *hash, unsigned char out[PRIMITIVE_HASH]);
void primitive_hash_free(struct primitive_hash *hash); /* NULL is fine */

/* AES-256 in counter mode (NIST SP 800-38A §6.5): the same call encrypts and decrypts. The counter is the whole iv. */
struct primitive_cipher;
struct primitive_cipher *primitive_cipher_new(const unsigned char key[PRIMITIVE_KEY], const unsigned char iv[PRIMITIVE_IV]) MUST_USE;
/* The next n bytes of the stream; `out` may be `in`. */
void primitive_cipher_step(struct primitive_cipher *cipher, const void *in, void *out, size_t n);
void primitive_cipher_free(struct primitive_cipher *cipher); /* clears the key; NULL is fine */

#endif
