/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XMPP_JID_H
#define XMPP_JID_H

/* Addresses: taking JIDs apart (RFC 7622 §3.1), and making our ghosts' (XEP-0106, with an escape of our own). */

#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>

#define JID_PART_MAX 1023                /* bytes of a localpart, domain or resource (RFC 7622 §3.2 to 3.4) */
#define JID_SIZE (3 * JID_PART_MAX + 3)  /* of a full JID, with its NUL */

/* Length of the bare JID at the start of `jid`. */
size_t jid_bare_length(const char *jid);
/* The bare JID; malloc'd, the caller's. */
char *jid_bare(const char *jid) MUST_USE;
/* What follows the first slash, lent; "" when there is no resource. */
const char *jid_resource(const char *jid);
/* Whether both have the same bare JID, byte for byte: servers hand out prepared JIDs only. */
bool jid_same_bare(const char *a, const char *b);
/* Whether `jid` lies in this domain (not in a subdomain), ASCII case ignored. */
bool jid_in_domain(const char *jid, const char *domain);

/*
 * Nodeprep and nameprep of a bare JID that a person typed. False when it is none, or too long. `out` holds the bare
 * JID only; a resource is refused.
 */
bool jid_prepare(const char *typed, char *out, size_t size) MUST_USE;

/*
 * A localpart for any text: XEP-0106 escapes, and `=hh` for whatever nodeprep would fold or refuse
 * (upper case, bytes beyond ASCII, controls, `=` itself, a space at an end). Different texts give different localparts,
 * also after nodeprep. False when it is empty or would be longer than JID_PART_MAX.
 */
bool jid_escape(const char *text, char *out, size_t size) MUST_USE;
/* The reverse; false when `local` is not what jid_escape() makes. */
bool jid_unescape(const char *local, char *out, size_t size) MUST_USE;

/* The full JID of the ghost of this stem at `component`: malloc'd, the caller's; NULL when it would be too long. */
char *jid_ghost(const char *stem, const char *component) MUST_USE;

#define JID_RESOURCE "sourdine" /* of everything of ours */

#endif
