/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_CRYPTO_INBOUND_H
#define MATRIX_CRYPTO_INBOUND_H

/* What others send to our devices (C-S API, "Send-to-Device messaging"): room keys, above all. */

#include "base/json.h"
#include "matrix/crypto/crypto.h"
#include "matrix/crypto/keep.h"

/*
 * One to-device event for a device of ours, of any type and any bytes, inside the caller's savepoint. `own` may change (a one-time key is
 * used up), and is saved then. What is wrong with it in any way is ignored and
 * counted (metric ignored_total, reason to_device). Everything that follows from it is in the open transaction when this returns;
 * nothing else of it is in memory. Each event may be brought twice.
 */
void inbound_olm(struct crypto *crypto, struct keep_account *own, const json_t *event);

#endif
