/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_CHARTER_H
#define CLI_CHARTER_H

/* A charter file with all that it takes to judge by it, outside of the daemon: for `rules` and `check`. */

#include "base/mem.h"
#include "rules/rules.h"
#include "rules/zone.h"

struct charter {
	struct rules *rules; /* owns; NULL when it could not be read */
	struct rules *site;  /* owns; or NULL */
	struct zone *zone;   /* owns; or NULL: UTC */
};

#define CHARTER_WHY 512

enum { CHARTER_E_BAD = 1 };

/*
 * Reads `path`, the site.charter beside it (unless it is that very file), and their time zone.
 * 0; CHARTER_E_BAD and one sentence in `why` ("FILE:LINE:COLUMN: ..." where there is a place). charter_close() either way.
 */
int charter_open(struct charter *charter, const char *path, char *why, size_t size) MUST_USE;
void charter_close(struct charter *charter);

#endif
