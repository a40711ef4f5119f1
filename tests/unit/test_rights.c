/* SPDX-License-Identifier: Apache-2.0 */
/* Who may do what: power levels in every shape, and who stands behind a nick; and what is kept about people. */
#include "base/json.h"
#include "base/seal.h"
#include "core/people.h"
#include "core/people_open.h"
#include "matrix/power.h"
#include "xmpp/inside.h"
#include "xmpp/roster.h"
#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Matrix ---- */

static json_t *
json_of(const char *text)
{
	json_t *json = text ? json_read_answer(text, strlen(text)) : NULL;

	assert_true(json || !text);
	return json;
}

static void
test_levels(void **state)
{
	static const struct {
		const char *levels, *person;
		bool may;
	} cases[] = {
		{ "{}", "@a:x", false }, /* 0 is less than 50 */
		{ "{\"users\":{\"@a:x\":50}}", "@a:x", true }, { "{\"users\":{\"@a:x\":49}}", "@a:x", false },
		{ "{\"users\":{\"@a:x\":50}}", "@A:x", false }, { "{\"users\":{\"@a:x\":50}}", "", false },
		{ "{\"users\":{\"@a:x\":100},\"state_default\":100}", "@a:x", true }, { "{\"users\":{\"@a:x\":99},\"state_default\":100}", "@a:x", false },
		{ "{\"state_default\":0}", "@b:x", true }, { "{\"users_default\":50}", "@b:x", true }, { "{\"users_default\":\"50\"}", "@b:x", true },
		{ "{\"users\":{\"@a:x\":\"50\"}}", "@a:x", true }, { "{\"users\":{\"@a:x\":\"x\"}}", "@a:x", false },
		{ "{\"users\":{\"@a:x\":50.5},\"users_default\":0}", "@a:x", true }, { "{\"users\":{\"@a:x\":null}}", "@a:x", false },
		{ "{\"users\":{\"@a:x\":[100]}}", "@a:x", false }, { "{\"users\":[\"@a:x\"]}", "@a:x", false },
		{ "{\"users\":{\"@a:x\":50},\"state_default\":\"100\"}", "@a:x", false }, { "{\"users\":{\"@a:x\":50},\"state_default\":100.0}", "@a:x", false },
		{ "{\"state_default\":\"high\"}", "@a:x", false }, { "{\"state_default\":\"\"}", "@a:x", false }, { "{\"users\":{\"@a:x\":1e300}}", "@a:x", false },
		{ "{\"state_default\":\"0x\"}", "@a:x", false }, { "{\"users_default\":100,\"users\":{\"@a:x\":-1e300}}", "@a:x", true },
		{ "{\"state_default\":\"0\"}", "@a:x", true }, { "{\"users\":{\"@a:x\":-1},\"state_default\":-2}", "@a:x", true },
		{ "{\"users\":{\"@a:x\":9223372036854775807}}", "@a:x", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct power power = { 0 };
		json_t *content = json_of(cases[i].levels);
		power_set_levels(&power, content);
		json_decref(content);
		if (power_moderates(&power, cases[i].person) != cases[i].may)
			fail_msg("%s %s", cases[i].levels, cases[i].person);
		power_fini(&power);
	}
}

static void
test_creators(void **state)
{
	static const struct {
		const char *creation;
		const char *levels;
		bool first, second; /* @a:x, @b:x */
	} cases[] = {
		{ "{\"sender\":\"@a:x\",\"content\":{}}", NULL, true, false },
		{ "{\"sender\":\"@a:x\",\"content\":{\"room_version\":\"11\"}}", "{}", false, false },
		{ "{\"sender\":\"@a:x\",\"content\":{\"room_version\":\"12\"}}", "{}", true, false },
		{ "{\"sender\":\"@a:x\",\"content\":{\"room_version\":\"12\",\"additional_creators\":[\"@b:x\",5]}}", "{}", true, true },
		{ "{\"sender\":\"@a:x\",\"content\":{\"room_version\":\"12\",\"additional_creators\":{\"@b:x\":1}}}", "{}", true, false },
		{ "{\"sender\":\"@a:x\",\"content\":{\"room_version\":\"11\",\"additional_creators\":[\"@b:x\"]}}", "{}", false, false },
		{ "{\"sender\":\"@a:x\",\"content\":{\"room_version\":\"org.example\"}}", "{}", false, false },
		{ "{\"sender\":\"@a:x\",\"content\":{\"room_version\":12}}", "{}", false, false },
		{ "{\"sender\":5,\"content\":{\"room_version\":\"12\",\"additional_creators\":[\"@b:x\"]}}", NULL, false, false },
		{ "{}", "{}", false, false }, { NULL, NULL, false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct power power = { 0 };
		json_t *creation = json_of(cases[i].creation), *levels = json_of(cases[i].levels);
		for (int twice = 0; twice < 2; twice++) {
			power_set_creation(&power, creation);
			power_set_levels(&power, levels);
		}
		if (power_moderates(&power, "@a:x") != cases[i].first || power_moderates(&power, "@b:x") != cases[i].second)
			fail_msg("case %zu", i);
		power_fini(&power);
		assert_false(power_moderates(&power, "@a:x"));
		json_decref(creation);
		json_decref(levels);
	}
}

/* ---- XMPP ---- */

static void
test_roster(void **state)
{
	struct room room = { 0 };
	char nick[32];

	(void)state;
	assert_null(roster_find(&room, "Bob"));
	roster_remove(&room, "Bob");
	for (int i = 0; i < 100; i++) {
		snprintf(nick, sizeof(nick), "nick%d", i);
		struct occupant *occupant = roster_add(&room, nick);
		occupant->jid = xasprintf("user%d@x", i);
		occupant->occupant_id = xasprintf("id%d", i);
	}
	assert_int_equal(room.occupants.count, 100);
	assert_ptr_equal(roster_add(&room, "nick7"), roster_find(&room, "nick7"));
	assert_int_equal(room.occupants.count, 100);
	assert_string_equal(roster_find_id(&room, "id42")->nick, "nick42");
	assert_string_equal(roster_find_jid(&room, "user99@x")->nick, "nick99");
	assert_null(roster_find_jid(&room, "user100@x"));
	assert_null(roster_find_id(&room, "x"));
	assert_string_equal(roster_find_alike(&room, "N\xD1\x96" "ck3")->nick, "nick3"); /* a Cyrillic i */
	for (int i = 0; i < 100; i += 2) {
		snprintf(nick, sizeof(nick), "nick%d", i);
		roster_remove(&room, nick);
		roster_remove(&room, nick);
		assert_null(roster_find(&room, nick));
	}
	assert_int_equal(room.occupants.count, 50);
	assert_non_null(roster_find(&room, "nick51"));
	roster_clear(&room);
	assert_null(roster_find(&room, "nick51"));
	roster_clear(&room);
}

/* ---- what is kept ---- */

struct scene {
	char directory[SCRATCH_SIZE];
	struct store *store;
	struct people *people;
};

static int
set_up(void **state)
{
	struct scene *scene = xcalloc(1, sizeof(*scene));
	bool created;

	scratch_make(scene->directory);
	if (store_open(&scene->store, scene->directory, &created))
		return -1;
	scene->people = people_open(scene->store);
	*state = scene;
	return 0;
}

static int
tear_down(void **state)
{
	struct scene *scene = *state;

	people_close(scene->people);
	store_close(scene->store);
	scratch_remove(scene->directory);
	free(scene);
	return 0;
}

static void
test_names_kept(void **state)
{
	struct scene *scene = *state;
	char name[PEOPLE_NAME_MAX], small[6];

	assert_false(people_name(scene->people, "!r", "@a:x", name, sizeof(name)));
	people_set_name(scene->people, "!r", "@a:x", "Alic\xC3\xA9!");
	assert_true(people_name(scene->people, "!r", "@a:x", name, sizeof(name)));
	assert_string_equal(name, "Alic\xC3\xA9!");
	/* Never half a character. */
	assert_true(people_name(scene->people, "!r", "@a:x", small, sizeof(small)));
	assert_string_equal(small, "Alic");
	/* Whoever has no name is called by his localpart; the same again writes nothing. */
	for (int twice = 0; twice < 2; twice++) {
		static const char *const names[] = { NULL, "", " \t", "Bob", "Bobby" };
		for (size_t i = 0; i < 5; i++) {
			people_set_member(scene->people, "!r", "@b:x", names[i]);
			people_set_member(scene->people, "!r", "@b:x", names[i]);
			assert_true(people_name(scene->people, "!r", "@b:x", name, sizeof(name)));
			assert_string_equal(name, i < 3 ? "b" : names[i]);
		}
	}
	people_set_name(scene->people, "!r", "@a:x", "");
	assert_false(people_name(scene->people, "!r", "@a:x", name, sizeof(name)));
}

static void
test_names_that_look_taken(void **state)
{
	struct scene *scene = *state;

	assert_false(people_looks_taken(scene->people, "!r", "Alice"));
	people_set_name(scene->people, "!r", "@a:x", "Alice");
	people_set_name(scene->people, "!r", "@b:x", "Bob");
	assert_true(people_looks_taken(scene->people, "!r", "\xD0\x90lice")); /* a Cyrillic A */
	assert_true(people_looks_taken(scene->people, "!r", "Bob"));
	assert_false(people_looks_taken(scene->people, "!r", "Carol"));
	assert_false(people_looks_taken(scene->people, "!other", "Alice"));
}

static void
see_occupant(void *context, const char *person, const char *nick)
{
	struct str *seen = context;

	str_addf(seen, "%s=%s ", person, nick);
}

static void
test_occupants_kept(void **state)
{
	struct scene *scene = *state;
	struct ghost_record ghost = { .address = "a@x", .name = "Alice", .ready = true }, found;
	struct str seen AUTO_STR;
	char nick[64];

	str_init(&seen, 1000);
	people_save_occupant(scene->people, NETWORK_XMPP, "m@r", "@a:x", "Alice", true);
	people_save_occupant(scene->people, NETWORK_XMPP, "m@r", "@b:x", "Bob", true);
	people_save_occupant(scene->people, NETWORK_MATRIX, "m@r", "@c:x", "", true);
	people_each_occupant(scene->people, NETWORK_XMPP, "m@r", see_occupant, &seen);
	assert_non_null(strstr(str_get(&seen), "@a:x=Alice "));
	assert_non_null(strstr(str_get(&seen), "@b:x=Bob "));
	assert_null(strstr(str_get(&seen), "@c:x"));
	people_save_occupant(scene->people, NETWORK_XMPP, "m@r", "@a:x", "", false);
	assert_false(people_occupant(scene->people, NETWORK_XMPP, "m@r", "@a:x", nick, sizeof(nick)));
	assert_true(people_occupant(scene->people, NETWORK_XMPP, "m@r", "@b:x", nick, sizeof(nick)));
	assert_string_equal(nick, "Bob");
	assert_false(people_ghost(scene->people, NETWORK_XMPP, "@a:x", &found));
	people_save_ghost(scene->people, NETWORK_XMPP, "@a:x", &ghost);
	assert_true(people_ghost(scene->people, NETWORK_XMPP, "@a:x", &found));
	assert_true(found.ready && strcmp(found.address, "a@x") == 0 && strcmp(found.name, "Alice") == 0);
	assert_true(people_ghost_of(scene->people, NETWORK_XMPP, "a@x", nick, sizeof(nick)));
	assert_string_equal(nick, "@a:x");
	assert_false(people_ghost_of(scene->people, NETWORK_XMPP, "b@x", nick, sizeof(nick)));
	assert_false(people_ghost_of(scene->people, NETWORK_MATRIX, "a@x", nick, sizeof(nick)));
}

static void
test_direct_kept(void **state)
{
	struct scene *scene = *state;
	char text[64];

	assert_false(people_direct(scene->people, "@a:x", text, sizeof(text)));
	people_save_direct(scene->people, "@a:x", "!d:x");
	assert_true(people_direct(scene->people, "@a:x", text, sizeof(text)));
	assert_string_equal(text, "!d:x");
	assert_true(people_direct_of(scene->people, "!d:x", text, sizeof(text)));
	assert_string_equal(text, "@a:x");
	assert_false(people_direct_of(scene->people, "!other:x", text, sizeof(text)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_creators),
		cmocka_unit_test(test_roster),
		cmocka_unit_test_setup_teardown(test_names_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_names_that_look_taken, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_occupants_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_direct_kept, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
