/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever is missing or of a wrong type counts as the specification's default (Matrix v1.18 "m.room.power_levels"). */
#include "matrix/power.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define STATE_DEFAULT 50
#define VERSION_WITH_CREATORS 12

void
power_fini(struct power *power)
{
	json_decref(power->levels);
	json_decref(power->creators);
	free(power->creator);
	*power = (struct power){ 0 };
}

void
power_set_levels(struct power *power, const json_t *content)
{
	json_decref(power->levels);
	power->levels = content ? json_deep_copy(content) : NULL;
}

void
power_set_creation(struct power *power, const json_t *event)
{
	const json_t *content = json_child(event, "content");
	const char *sender = json_text(event, "sender");
	const char *version = json_text(content, "room_version");
	const json_t *more = json_object_get(content, "additional_creators");

	free(power->creator);
	power->creator = xstrdup(sender);
	json_decref(power->creators);
	power->creators = NULL;
	if (!sender || !version || strtol(version, NULL, 10) < VERSION_WITH_CREATORS)
		return;
	power->creators = json_is_array(more) ? json_copy((json_t *)(uintptr_t)more) : json_array();
	json_array_append_new(power->creators, json_string(sender));
}

/* Old room versions allow numbers in quotes, and homeservers took those with a fraction. False leaves *out alone. */
static bool
take_number(const json_t *object, const char *key, int64_t *out)
{
	const json_t *value = json_object_get(object, key);
	const char *text = json_string_value(value);
	char *end;

	if (json_is_real(value) && json_real_value(value) > -1e15 && json_real_value(value) < 1e15) {
		*out = (int64_t)json_real_value(value);
		return true;
	}
	if (!text)
		return json_whole(object, key, out);
	int64_t number = strtoll(text, &end, 10);
	if (end == text || *end)
		return false;
	*out = number;
	return true;
}

static int64_t
level_of(const json_t *content, const char *person)
{
	int64_t level = 0;

	if (!take_number(json_child(content, "users"), person, &level))
		take_number(content, "users_default", &level);
	return level;
}

bool
power_is_creator(const struct power *power, const char *person)
{
	const json_t *creator;
	size_t i;

	json_array_foreach(power->creators, i, creator)
		if (str_equal(json_string_value(creator), person))
			return true;
	return !power->levels && str_equal(power->creator, person);
}

int64_t
power_level(const struct power *power, const char *person, int64_t *needed)
{
	*needed = STATE_DEFAULT;
	take_number(power->levels, "state_default", needed);
	return power->levels ? level_of(power->levels, person) : 0;
}

bool
power_moderates(const struct power *power, const char *person)
{
	int64_t needed;
	int64_t level = power_level(power, person, &needed);

	return power_is_creator(power, person) || (power->levels && level >= needed);
}
