/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_CHARTERS_H
#define CORE_CHARTERS_H

/*
 * The charters in force. A file seeds a group's charter the first time the group is seen; from then on it
 * lives in the database as numbered revisions (etiquette 4.2, decisions 3.8). The site block always comes
 * from its file; its last good form is kept.
 */

#include "core/core.h"

enum { CHARTERS_E_BROKEN = 1 };

struct charters *charters_open(struct core *core, const char *directory) MUST_USE;
void charters_close(struct charters *charters);

/*
 * Reads the files and puts the charters in force. 0, or CHARTERS_E_BROKEN when a file is broken and there never was
 * a good form: `why` gets "FILE:LINE:COLUMN: sentence". A broken file with a good form kept is logged.
 */
int charters_load(struct charters *charters, char *why, size_t size) MUST_USE;
/* The same at SIGHUP: time zones are read anew too, and what is held is planned again. After a failure what was in force stays. */
int charters_reload(struct charters *charters, char *why, size_t size) MUST_USE;
/* In each turn: plans again what is held, when the site's block or a zone may say something else than at its holding. */
void charters_work(struct charters *charters);

/* As charters_load() for one group that was added later. */
int charters_join(struct charters *charters, struct group *group, char *why, size_t size) MUST_USE;

/* The current text of a group's charter, malloc'd, the caller's; NULL when it has none. */
char *charters_text(struct charters *charters, const struct group *group, int *revision) MUST_USE;
/* The text of a revision, likewise. */
char *charters_revision(struct charters *charters, const struct group *group, int revision) MUST_USE;

/*
 * Makes `text` the next revision by `actor` and puts it in force; what is held is planned again. It must parse: 0,
 * or RULES_E_SYNTAX and *why.
 */
int charters_apply(struct charters *charters, struct group *group, const char *text, const char *actor, const char *verb,
		struct complaint *why) MUST_USE;

/* The zone of this name, read once; NULL when there is none (then UTC is used). Lent. */
const struct zone *charters_zone(struct charters *charters, const char *name);

#endif
