/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_CRYPTO_FORM_H
#define MATRIX_CRYPTO_FORM_H

/*
 * The one form of Olm's and Megolm's messages in which libolm and vodozemac write them: version 3, each field once, in the order
 * of its tags, every number as short as it can be, whole cipher blocks. libolm takes much else, and does not survive it: it
 * writes beyond the plain text when the cipher text is no whole number of blocks, reads before it when there is none, and
 * through NULL when a pre-key message leaves out its identity key. And what stands around the message proper in a pre-key message
 * is under no MAC: a server could give one message many forms, and replay it to a fallback key in each.
 */

#include <stdbool.h>
#include <stddef.h>

/* Olm specification, "Normal Messages": ratchet key, index, cipher text, MAC. */
bool form_is_normal(const void *p, size_t n);
/* Olm specification, "Pre-Key Messages": one-time key, base key, identity key, and a normal message. */
bool form_is_pre_key(const void *p, size_t n);
/* Megolm specification, "Message format": index, cipher text, MAC, signature. */
bool form_is_group(const void *p, size_t n);

#endif
