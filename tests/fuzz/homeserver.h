/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_HOMESERVER_H
#define TESTS_FUZZ_HOMESERVER_H

/*
 * The real Matrix port with a homeserver in the place of HTTP: requests wait in a row until they are answered, as a friendly
 * homeserver would or with any status and bytes; transactions come without a connection. What the port asks is checked:
 * paths are escaped, bodies are JSON. (Linked with -Wl,--wrap, see local.mk.)
 */

#include "bridge.h"

#include "matrix/appservice.h"

struct homeserver;

/* The port is started: its first request waits. `encrypts`: it may encrypt. */
struct homeserver *homeserver_open(struct bridge *bridge, bool encrypts);
void homeserver_end(struct homeserver *homeserver);

/* The path of the oldest waiting request, but for the long poll; NULL when none waits. Lent. */
const char *homeserver_asked(const struct homeserver *homeserver);
/* Answers the oldest with these bytes; status 0: it failed. Nothing when none waits. */
void homeserver_answer(struct homeserver *homeserver, long status, int64_t retry_after_ms, const char *body, size_t size);
/* Answers the oldest as a friendly homeserver would. */
void homeserver_answer_well(struct homeserver *homeserver);
/* Answers well until a path holds `part` (true), or for so many turns of `ms` (false). `part` NULL: to the end. */
bool homeserver_serve(struct homeserver *homeserver, const char *part, int turns, int64_t ms);
/* The long poll is answered. */
void homeserver_poll(struct homeserver *homeserver, long status, const char *body, size_t size);
/* How many messages were sent and answered well. */
unsigned homeserver_sent(const struct homeserver *homeserver);
/* Whether the port took an answer for a refusal for good. */
bool homeserver_has_refused(const struct homeserver *homeserver);
/* Brings a transaction. */
enum appservice_verdict homeserver_push(struct homeserver *homeserver, const char *body, size_t size);

#endif
