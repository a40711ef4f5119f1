/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that cannot be read yet: the order of their room, restarts, the ledger, and what their authors hear. */
#include "core/core.h"

#include "base/log.h"
#include "core/inbox_rows.h"
#include "core/ledger.h"
#include "core/outbox_rows.h"
#include "core_scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ROOM "!m:hs"
#define MUC "m@rooms.x"
#define OTHER "!o:hs"
#define OTHER_MUC "o@rooms.x"

static const char *const groups[][3] = { { "m", ROOM, MUC }, { "o", OTHER, OTHER_MUC }, { NULL, NULL, NULL } };

static int
set_up(void **state)
{
	*state = scene_new(groups, "version 1\ngroup \"m\" {\n  tz Europe/Paris\n  hours mon-fri 08:30-18:30\n"
			"  time 30 ferme when closed then hold until opening notice held\n}\n");
	return 0;
}

/* A message that only the key `key` opens; 0: none is needed. Its id is "idN". */
static void
hear(struct scene *scene, const char *room, const char *text, char key)
{
	AUTO_FREE char *raw = key ? xasprintf("@alice:hs\nAlice\n%s\nneeds %c", text, key) : xasprintf("@alice:hs\nAlice\n%s", text);

	scene_hear(scene, NETWORK_MATRIX, room, raw);
}

static void
get_keys(struct scene *scene, const char *keys)
{
	scene->keys = scene->matrix.keys = keys;
	inbox_retry(scene->core->inbox, ROOM);
	inbox_retry(scene->core->inbox, OTHER);
	turns(scene);
}

/* What arrived in a MUC since the start of the process, as "a b c". */
static void
assert_heard(struct scene *scene, const char *muc, const char *texts)
{
	struct str heard AUTO_STR;

	str_init(&heard, 4096);
	for (int i = 0; i < scene->xmpp.count; i++) {
		const char *text = strchr(scene->xmpp.rows[i].payload, '|') + 1;
		if (strcmp(scene->xmpp.rows[i].lane, muc) == 0)
			str_addf(&heard, "%s%s", str_get(&heard)[0] ? " " : "", text);
	}
	assert_string_equal(str_get(&heard), texts);
}

static void
assert_ledger(struct scene *scene, int64_t unjudged, int64_t delivered, int64_t refused)
{
	struct ledger ledger;

	assert_int_equal(store_commit(scene->core->store), 0);
	ledger_count(scene->core->store, 0, &ledger);
	assert_int_equal(ledger_difference(&ledger), 0);
	assert_int_equal(ledger.unjudged, unjudged);
	assert_int_equal(ledger.delivered, delivered);
	assert_int_equal(ledger.refused, refused);
}

static void
test_a_room_waits_for_a_key_in_its_order(void **state)
{
	struct scene *scene = *state;

	hear(scene, ROOM, "one", 0);
	hear(scene, ROOM, "two", 'k');
	hear(scene, ROOM, "three", 0);
	hear(scene, OTHER, "elsewhere", 0);
	assert_heard(scene, MUC, "one");
	assert_heard(scene, OTHER_MUC, "elsewhere"); /* other rooms go on */
	assert_ledger(scene, 2, 2, 0);
	get_keys(scene, "x"); /* another one: it waits on */
	assert_heard(scene, MUC, "one");
	get_keys(scene, "k");
	assert_heard(scene, MUC, "one two three");
	hear(scene, ROOM, "four", 'k');
	assert_heard(scene, MUC, "one two three four");
	assert_ledger(scene, 0, 5, 0);
}

static void
test_two_keys_that_come_in_the_other_order(void **state)
{
	struct scene *scene = *state;

	hear(scene, ROOM, "one", 'a');
	hear(scene, ROOM, "two", 'b');
	hear(scene, ROOM, "three", 0);
	get_keys(scene, "b");
	assert_heard(scene, MUC, "");
	get_keys(scene, "ab");
	assert_heard(scene, MUC, "one two three");
}

/* Whoever would have said that the key is there is gone with the process. */
static void
test_a_restart_reads_again(void **state)
{
	struct scene *scene = *state;

	hear(scene, ROOM, "one", 'k');
	hear(scene, ROOM, "two", 0);
	scene_reopen(scene);
	assert_heard(scene, MUC, "");
	assert_ledger(scene, 2, 0, 0);
	scene->keys = "k";
	scene_reopen(scene);
	assert_heard(scene, MUC, "one two");
	assert_ledger(scene, 0, 2, 0);
	scene_reopen(scene);
	assert_heard(scene, MUC, ""); /* not twice */
}

/* What the archive brings after a restart stands behind what waited before. */
static void
test_a_gate_opens_behind_what_waits(void **state)
{
	struct scene *scene = *state;
	const char *order[] = { "id3", "id4" };

	hear(scene, ROOM, "one", 'k');
	hear(scene, ROOM, "two", 0);
	scene->closed = true;
	scene_reopen(scene);
	hear(scene, ROOM, "three", 0);
	hear(scene, ROOM, "four", 0);
	inbox_open_gate(scene->core->inbox, ROOM, order, 2, "id4", 7);
	turns(scene);
	assert_heard(scene, MUC, "");
	hear(scene, ROOM, "five", 0);
	assert_heard(scene, MUC, "");
	get_keys(scene, "k");
	assert_heard(scene, MUC, "one two three four five");
}

/* A turn that cannot be committed: memory goes back to what the database says. */
static void
test_a_rolled_back_turn_stalls_nothing_for_ever(void **state)
{
	struct scene *scene = *state;

	hear(scene, ROOM, "one", 'k');
	hear(scene, ROOM, "two", 0);
	scene->keys = scene->matrix.keys = "k";
	inbox_retry(scene->core->inbox, ROOM);
	store_abandon(scene->core->store);
	inbox_close_all(scene->core->inbox);
	assert_heard(scene, MUC, "");
	scene_open_gates(scene);
	assert_heard(scene, MUC, "one two");
}

static void
test_patience_ends_and_the_author_is_told(void **state)
{
	struct scene *scene = *state;

	hear(scene, ROOM, "one", 'k');
	hear(scene, ROOM, "two", 'k');
	hear(scene, ROOM, "three", 0);
	scene->matrix.without = INCOMING_ASIDE;
	inbox_retry(scene->core->inbox, ROOM);
	turns(scene);
	assert_heard(scene, MUC, "three");
	assert_int_equal(fake_port_count(&scene->matrix, ROOM), 1); /* once for both */
	assert_string_equal(fake_port_last(&scene->matrix)->payload, "bot|Your message needs a key.");
	assert_ledger(scene, 2, 1, 0);
	/* The key comes all the same, for each of them. */
	scene->keys = scene->matrix.keys = "k";
	inbox_retry_aside(scene->core->inbox, ROOM, "id1");
	inbox_retry_aside(scene->core->inbox, ROOM, "id2");
	turns(scene);
	assert_heard(scene, MUC, "three one two");
	inbox_retry_aside(scene->core->inbox, ROOM, "id1");
	turns(scene);
	assert_heard(scene, MUC, "three one two");
	assert_ledger(scene, 0, 3, 0);
}

static void
test_what_is_given_up_is_in_the_books(void **state)
{
	struct scene *scene = *state;

	scene->matrix.without = INCOMING_ASIDE;
	hear(scene, ROOM, "one", 'k');
	scene_reopen(scene);
	assert_ledger(scene, 1, 0, 0);
	scene->matrix.without = INCOMING_LOST;
	inbox_retry_aside(scene->core->inbox, ROOM, "id1");
	turns(scene);
	assert_ledger(scene, 0, 0, 1);
	assert_int_equal(fake_port_count(&scene->matrix, ROOM), 0); /* he was told before */
	hear(scene, ROOM, "two", 'k');
	assert_ledger(scene, 0, 0, 2);
	scratch_set_clock(scene->directory, "2026-11-23T10:30:00Z");
	hear(scene, ROOM, "three", 'k');
	assert_int_equal(fake_port_count(&scene->matrix, ROOM), 1); /* an hour later he is reminded */
}

/* A held message is judged again under another charter, perhaps when its key is no longer kept. */
static void
test_a_held_message_is_kept_as_it_was_read(void **state)
{
	struct scene *scene = *state;
	struct inbox_row row;

	scratch_set_clock(scene->directory, "2026-11-23T20:00:00Z");
	scene->keys = scene->matrix.keys = "k";
	hear(scene, ROOM, "late", 'k');
	assert_true(inbox_get(scene->core->inbox, inbox_seq(scene->core->inbox, ROOM, "id1"), &row));
	assert_string_equal(row.raw, "@kept:hs\nKept\nas it was read");
	inbox_row_fini(&row);
}

/* Appends the one letter that was said. */
static void
add(char heard[64], const char *payload)
{
	size_t n = strlen(heard);

	heard[n < 62 ? n : 62] = strchr(payload, '|')[1];
}

/* Any order of keys, restarts and closed gates: all come, in order, once. */
static void
test_any_order_of_what_can_happen(void **state)
{
	struct scene *scene = *state;
	unsigned restarts = 0, waits = 0, messages = 0;
	char keys[27] = "", heard[64] = "";

	srand(20261123);
	for (int round = 0; round < 400; round++) {
		int dice = rand() % 10;
		char text[2] = { (char)('a' + messages % 26), '\0' };
		if (dice < 6 && messages < 26) {
			bool needs = rand() % 2;
			hear(scene, ROOM, text, needs ? text[0] : 0);
			waits += needs;
			messages++;
		} else if (dice < 8 && strlen(keys) < 26) {
			size_t n = strlen(keys);
			keys[n] = (char)('a' + n);
			get_keys(scene, keys);
		} else if (dice == 8) {
			scene->closed = rand() % 2;
			for (int i = 0; i < scene->xmpp.count; i++)
				add(heard, scene->xmpp.rows[i].payload);
			scene_reopen(scene);
			restarts++;
		} else if (scene->closed || rand() % 2) {
			scene_open_gates(scene);
		} else {
			inbox_close_gate(scene->core->inbox, ROOM);
		}
	}
	scene_open_gates(scene);
	get_keys(scene, "abcdefghijklmnopqrstuvwxyz");
	for (int i = 0; i < scene->xmpp.count; i++)
		add(heard, scene->xmpp.rows[i].payload);
	print_message("%u messages, %u of which waited, %u restarts\n", messages, waits, restarts);
	assert_string_equal(heard, "abcdefghijklmnopqrstuvwxyz");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, scene_tear_down)
		T(test_a_room_waits_for_a_key_in_its_order),
		T(test_two_keys_that_come_in_the_other_order),
		T(test_a_restart_reads_again),
		T(test_a_gate_opens_behind_what_waits),
		T(test_a_rolled_back_turn_stalls_nothing_for_ever),
		T(test_patience_ends_and_the_author_is_told),
		T(test_what_is_given_up_is_in_the_books),
		T(test_a_held_message_is_kept_as_it_was_read),
		T(test_any_order_of_what_can_happen),
#undef T
	};

	log_register(scratch_drop_line);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
