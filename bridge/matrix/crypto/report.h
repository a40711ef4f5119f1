/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_CRYPTO_REPORT_H
#define MATRIX_CRYPTO_REPORT_H

/*
 * What may be shown of our devices: names and public keys. Nothing here writes, so it serves the daemon, and the doctor beside a
 * stopped one. In a build without libolm there are no devices.
 */

#include "base/json.h"
#include "base/seal.h"
#include "store/store.h"

#include <stdbool.h>

/* libolm's version, "3.2.13"; "" in a build without it. Static. */
const char *report_library(void);

enum report_key {
	REPORT_KEY_GOOD,
	REPORT_KEY_OTHER,  /* the secret keys in this database are under another master key */
	REPORT_KEY_UNUSED, /* there are none yet */
};
enum report_key report_key(struct store *store, const struct seal *seal);

/* Whether the secret keys of this user's device can be read. Only with REPORT_KEY_GOOD. */
bool report_opens(struct store *store, const struct seal *seal, const char *user);

/*
 * A device of ours: {"user", "device", "state" ("new", "uploaded", "identified", "signed"; keep.h), "ed25519", "curve25519", "master",
 * "self_signing"}, public keys in base64. NULL: this user has none. The caller's.
 */
json_t *report_device(struct store *store, const struct seal *seal, const char *user) MUST_USE;

/*
 * Up to `max` devices of our users, by the user's id, of those after `after` ("": from the first on), as an array. The
 * caller's.
 */
json_t *report_devices(struct store *store, const struct seal *seal, const char *after, int64_t max) MUST_USE;

/* How the homeserver shows a device of ours; of several faults the first in this order. */
enum report_fault {
	REPORT_FINE,
	REPORT_ABSENT,          /* it does not know the device */
	REPORT_OTHER_KEYS,      /* it has other keys under its name */
	REPORT_BAD_KEYS,        /* its keys are not signed by itself, or not whole */
	REPORT_NO_IDENTITY,     /* it has no cross-signing keys of the user, or not both */
	REPORT_OTHER_IDENTITY,  /* it has others than ours */
	REPORT_BROKEN_IDENTITY, /* the master key has not signed the self-signing key, or they are of a wrong form */
	REPORT_UNSIGNED,        /* the identity has not signed the device */
	REPORT_FAULTS
};
/* `ours` is one of report_devices(), `answer` that of POST /keys/query about its user. */
enum report_fault report_compare(const json_t *ours, const json_t *answer);

/* The database's generation (crypto.h); 0: it has none. */
int64_t report_generation(struct store *store);

#endif
