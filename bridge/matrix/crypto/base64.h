/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_CRYPTO_BASE64_H
#define MATRIX_CRYPTO_BASE64_H

/*
 * Unpadded base64 (Matrix appendices, "Unpadded Base64"), in both alphabets of RFC 4648 (§4 and §5). Reading is strict:
 * one text for one value, but for the padding, which may be there or not. Neither direction looks up tables by secret bytes.
 */

#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>

enum base64_alphabet { BASE64_PLAIN, BASE64_URL };

/* Characters for n bytes, with a NUL; bytes that n characters can hold. */
#define BASE64_SIZE(n) (((n) * 4 + 2) / 3 + 1)
#define BASE64_ROOM(n) ((n) / 4 * 3 + 3)

/* Writes BASE64_SIZE(n) characters, the NUL among them. */
void base64_encode(enum base64_alphabet alphabet, const void *p, size_t n, char *out);

/*
 * Reads n characters into `out`, of BASE64_ROOM(n) bytes; *size is what they hold. False for a character of another alphabet,
 * for white space, for wrong padding, for a length that no value has, and for left-over bits that are not 0.
 */
bool base64_decode(enum base64_alphabet alphabet, const char *text, size_t n, void *out, size_t *size) MUST_USE;

/* Reads a text that must hold exactly n bytes, at most 64. False too for NULL. */
bool base64_decode_exact(enum base64_alphabet alphabet, const char *text, void *out, size_t n) MUST_USE;

#endif
