/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_FAKE_KEYS_H
#define BENCH_FAKE_KEYS_H

/* What the fast homeserver has for end-to-end encryption: keys of devices that devices.c made, and a count of what is sent to them. */

#include "wire.h"

#define KEYS_SESSIONS_MAX 4096

/* Reads FOLDER/people and FOLDER/claims; from then on every room is encrypted, and a session is good for `messages`. */
void keys_open(const char *folder, long messages);
bool keys_are_there(void);

/* The answer to a request about keys or encryption. False: it is none. */
bool keys_answer(const char *path, const char *body, struct buffer *out);

/*
 * A message arrived in a room; prints `sealed COUNT SESSIONS KEYS PLAIN SECONDS` when it was the last one of those expected: how many were
 * encrypted, with how many sessions, and how many not; KEYS are those given to devices since the beginning.
 */
void keys_sent(const char *path, const char *body);
void keys_expect(long sealed);
void keys_report(void);

#endif
