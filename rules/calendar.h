/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RULES_CALENDAR_H
#define RULES_CALENDAR_H

/* Days and hours of a group, beneath the questions of rules.h. Days count from 1970-01-01. */

#include "syntax.h"

#include <stdbool.h>
#include <stdint.h>

/* Easter Sunday of a Gregorian year. */
int64_t calendar_easter(int year);

/* The English name (a msgid) of the public holiday on that day, NULL when it is none. */
const char *calendar_holiday(enum holidays holidays, int64_t day);

/* What governs: the group's line, else the site's. */
enum holidays calendar_holidays(const struct rules *rules);
const struct block *calendar_hours(const struct rules *rules); /* the block whose windows count; NULL: none */
const struct slots *calendar_slots(const struct rules *rules); /* never NULL */

/* The closed period of that day, the group's or the site's, or NULL. */
const struct closure *calendar_closure(const struct rules *rules, int64_t day);

/* The local day of an instant. */
int64_t calendar_day(const struct rules *rules, int64_t at_ms);

#endif
