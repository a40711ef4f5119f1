/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_RULES_FIXTURE_H
#define TESTS_RULES_FIXTURE_H

/* What the tests of rules/ share: zones from the system, charters from text, French from a table. */

#include "rules/rules.h"
#include "rules/zone.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ZONEINFO "/usr/share/zoneinfo/"

/* The bytes of a file (free), or NULL. */
char *fixture_read(const char *path, size_t *size);

/* The zone of that name from the system, NULL when there is none. zone_free. */
struct zone *fixture_zone(const char *name);

/* Parses a charter that must be good, prints its complaint otherwise; sets its zone, kept until fixture_free. */
struct rules *fixture_rules(const char *text);
void fixture_free(struct rules *rules);

/* "2026-10-16 18:29:59" (seconds optional) in the zone (NULL: UTC), as ms. */
int64_t fixture_local(const struct zone *zone, const char *text);

/* The same in the zone of the last fixture_rules(); UTC for fixture_utc. */
int64_t fixture_at(const char *text);
int64_t fixture_utc(const char *text);
const struct zone *fixture_last_zone(void);

/* A msgid that becomes "<msgid>": shows which words went through the callback. */
const char *fixture_words(void *context, const char *msgid);

/* Speech from the catalogue packaging/po/fr.po of the source tree, read once. */
const struct rules_speech *fixture_french(void);
const struct rules_speech *fixture_english(void);

/* Whether fr.po has a translation, not empty and not fuzzy. */
bool fixture_is_translated(const char *msgid);

/* The path of a file of the source tree, in a static buffer. */
const char *fixture_source(const char *path);

#endif
