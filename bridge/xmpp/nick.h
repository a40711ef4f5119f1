/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XMPP_NICK_H
#define XMPP_NICK_H

/* Nicks: what strict resourceprep (RFC 3920 appendix B, Unicode 3.2, both servers) lets through. */

#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>

#define NICK_SIZE 256 /* of what we make, with its NUL */

/* Whether both servers take this nick as it is, up to normalisation: at most 1023 bytes, no unassigned code point, no mixed directions. */
bool nick_allowed(const char *nick);

/*
 * The nearest allowed nick to a display name: formatting characters stripped, white space collapsed, at most 48
 * code points, what the servers refuse dropped. When nothing is left: made of `stem`'s localpart ("alice" of
 * "alice:example.org"). Never empty. True when it is the name itself but for white space.
 */
bool nick_prepare(const char *name, const char *stem, char out[NICK_SIZE]);

/* The n-th variant (1, 2...) for when the nick is taken: of the nick, from the fourth on of the stem. Always allowed, and different for each n. */
void nick_variant(const char *nick, const char *stem, unsigned n, char out[NICK_SIZE]);

/* A simpler nick, ASCII letters and digits of the stem, for a server that is stricter than we know. */
void nick_simple(const char *stem, char out[NICK_SIZE]);

#endif
