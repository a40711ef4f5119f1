/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_BRIDGE_H
#define TESTS_FUZZ_BRIDGE_H

/*
 * The real core over a real database, for targets that need more than a parser: fast and the same each time. Every run
 * happens within one transaction that is rolled back, clocks stand until they are moved, and what is random counts.
 * Programs that use this are linked with -Wl,--wrap (local.mk).
 */

#include "base/loop.h"
#include "base/str.h"
#include "core/core.h"

#include <stdio.h>
#include <stdlib.h>

#define BRIDGE_COMPONENT "sourdine.x"
#define BRIDGE_ROOM "!m:hs"
#define BRIDGE_MUC "m@rooms.x"
#define BRIDGE_NOW INT64_C(1792175040000) /* a Friday evening */
#define BRIDGE_CUT '\x1e'                 /* between the parts of an input */

struct bridge {
	struct loop *loop;
	struct store *store;
	struct seal *seal;
	struct core *core;
	int64_t now_ms;
	unsigned said;
};

/* One group, "m", with both rooms, under `charter` (NULL: none). The same struct each time. */
struct bridge *bridge_open(const char *charter);
/* Whoever opened a port closes it before. */
void bridge_close(struct bridge *bridge);

/* A turn of the loop, ms later. */
void bridge_turn(struct bridge *bridge, int64_t ms);

/* Somebody says something on the network of a fake port. */
void bridge_say(struct bridge *bridge, enum network network, const char *room, const char *raw);

/* Cuts the next part off an input: its length, NUL-terminated in *out (the caller's). False when nothing is left. */
bool bridge_part(const uint8_t **data, size_t *size, char **out, size_t *n);

/* Ends the program when something is not as it must be. */
#define REQUIRE(what) \
	do { \
		if (!(what)) { \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what); \
			abort(); \
		} \
	} while (0)

#endif
