/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_POWER_H
#define MATRIX_POWER_H

/* Who may do what in a room: m.room.power_levels, and the creators, whose power is above it from room version 12 on. Pure. */

#include "base/json.h"

#include <stdbool.h>
#include <stdint.h>

struct power {
	json_t *levels;   /* owns: content of m.room.power_levels, or NULL */
	json_t *creators; /* owns: MXIDs whose power has no limit, or NULL */
	char *creator;    /* owns: of a room without power levels */
};

void power_fini(struct power *power);

/* NULL: the room has none. Copied. */
void power_set_levels(struct power *power, const json_t *content);
/* m.room.create, the whole event. */
void power_set_creation(struct power *power, const json_t *event);

/* His power does not end, or the room has no power levels and he made it. */
bool power_is_creator(const struct power *power, const char *person);
/* His power, and in *needed state_default. */
int64_t power_level(const struct power *power, const char *person, int64_t *needed);
/* Power of at least state_default (decisions 2.2). */
bool power_moderates(const struct power *power, const char *person);

#endif
