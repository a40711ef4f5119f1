/* SPDX-License-Identifier: Apache-2.0 */
/* A room that is encrypted, joined with one that is not, between two fake networks: who agrees, and what waits until then. */
#include "plumb_scene.h"

#include "core/consent.h"
#include "core/inbox_rows.h"
#include "core/outbox_rows.h"
#include "core/plumb_open.h"

#include <stdio.h>
#include <string.h>

/* What the fake Matrix says of ROOM, and of all others. */
static enum encryption of_room, of_others;

static enum encryption
fake_encryption(struct port *port, const char *room)
{
	(void)port;
	return strcmp(room, ROOM) == 0 ? of_room : of_others;
}

/* A flag of ours: "in the clear". */
static void (*read_before)(struct port *port, const char *room, const char *raw, size_t size, struct arena *arena, struct incoming *out);

static void
read_plain(struct port *port, const char *room, const char *raw, size_t size, struct arena *arena, struct incoming *out)
{
	read_before(port, room, raw, size, arena, out);
	out->unencrypted = strstr(raw, "\nin the clear") != NULL;
}

static void
wire(struct scene *scene)
{
	scene->matrix.fake.ops.encryption = fake_encryption;
	read_before = scene->matrix.fake.ops.read;
	scene->matrix.fake.ops.read = read_plain;
}

static void
becomes(struct scene *scene, enum encryption encryption)
{
	of_room = encryption;
	plumb_look(scene->core->plumb);
	turns(scene);
}

static int
set_up(void **state)
{
	of_room = of_others = ENCRYPTION_OFF;
	int r = scene_set_up(state);

	wire(*state);
	return r;
}

static int
audited(struct scene *scene, const char *verb)
{
	struct query query = store_query(scene->store, LOG_SINCE);
	int count = 0;

	query_text(&query, "marketing");
	query_int(&query, 0);
	while (query_step(&query))
		count += strcmp(query_get_text(&query, 2), verb) == 0;
	query_done(&query);
	return count;
}

/* ---- consent ---- */

static void
test_nothing_crosses_until_a_moderator_agrees(void **state)
{
	struct scene *scene = *state;

	of_room = ENCRYPTION_ON;
	join(scene);
	for (int i = 0; i < 2; i++) {
		const struct side *side = i ? &scene->xmpp : &scene->matrix;
		assert_int_equal(count_said(side, "So nothing crosses, either way, until a moderator of one of the rooms agrees: !sd encrypted allow."), 1);
		assert_true(said(side, "read there, and the other way round.\n" ROOM " is encrypted, " MUC " is not: nothing crosses"));
	}
	alice_says(scene, "from Matrix");
	bob_says(scene, "from XMPP");
	assert_false(said(&scene->xmpp, "from Matrix") || said(&scene->matrix, "from XMPP"));
	/* Not by anybody, and not without knowing what it means. */
	accept_row(scene, NETWORK_XMPP, MUC, "xmpp:carol@x", "!sd encrypted allow --yes", "");
	turns(scene);
	assert_true(said(&scene->xmpp, "Only moderators"));
	bob_says(scene, "!sd status");
	assert_true(said(&scene->xmpp, "nothing crosses until a moderator of one of the rooms agrees with !sd encrypted allow.\nOpen"));
	assert_true(said(&scene->xmpp, "Messages: 2 wait"));
	bob_says(scene, "!sd encrypted allow");
	assert_true(said(&scene->xmpp, "If you agree, what is said in " ROOM " can be read by the XMPP server"));
	assert_false(said(&scene->xmpp, "from Matrix"));
	bob_says(scene, "!sd yes");
	assert_true(said(&scene->xmpp, "from Matrix") && said(&scene->matrix, "from XMPP"));
	assert_true(said(&scene->matrix, "A moderator has agreed") && said(&scene->xmpp, "A moderator has agreed"));
	bob_says(scene, "!sd status");
	assert_true(said(&scene->xmpp, "it was agreed that the XMPP server, everybody in " MUC ", and whoever runs this bridge read what is said.\nOpen"));
	alice_says(scene, "at once");
	assert_true(said(&scene->xmpp, "at once"));
	assert_int_equal(audited(scene, "encrypted allow"), 1);
	assert_int_equal(audited(scene, "stopped"), 1);
	assert_int_equal(audited(scene, "resumed"), 1);
	assert_int_equal(count_said(&scene->xmpp, "So nothing crosses"), 1);
}

static void
test_turned_on_while_joined(void **state)
{
	struct scene *scene = *state;

	join(scene);
	alice_says(scene, "plain times");
	assert_true(said(&scene->xmpp, "plain times"));
	scene->xmpp.fake.window = scene->matrix.fake.window = 0;
	alice_says(scene, "it waits");
	bob_says(scene, "this too");
	becomes(scene, ENCRYPTION_ON);
	scene->xmpp.fake.window = scene->matrix.fake.window = 16;
	outbox_wake(scene->core->outbox);
	turns(scene);
	assert_true(said(&scene->xmpp, "So nothing crosses") && said(&scene->matrix, "So nothing crosses"));
	alice_says(scene, "and this");
	assert_false(said(&scene->xmpp, "it waits") || said(&scene->xmpp, "and this") || said(&scene->matrix, "this too"));
	/* Another process knows, before its port does. */
	of_room = ENCRYPTION_UNKNOWN;
	scene_reopen(scene);
	wire(scene);
	turns(scene);
	alice_says(scene, "still");
	assert_false(said(&scene->xmpp, "it waits") || said(&scene->xmpp, "still") || said(&scene->matrix, "this too"));
	becomes(scene, ENCRYPTION_ON);
	assert_false(said(&scene->xmpp, "So nothing crosses")); /* once */
	alice_says(scene, "!sd encrypted allow --yes");
	assert_true(said(&scene->matrix, "this too"));
	const char *const order[] = { "it waits", "and this", "still" };
	int at = 0;
	for (int i = 0; i < scene->xmpp.fake.count && at < 3; i++)
		at += strstr(scene->xmpp.fake.rows[i].payload, order[at]) != NULL;
	assert_int_equal(at, 3);
	/* Taken back. */
	alice_says(scene, "!sd chiffrement arrêter");
	assert_true(said(&scene->xmpp, "A moderator has taken the consent back"));
	alice_says(scene, "not now");
	assert_false(said(&scene->xmpp, "not now"));
	assert_int_equal(audited(scene, "encrypted stop"), 1);
	alice_says(scene, "!sd chiffrement autoriser --yes");
	assert_true(said(&scene->xmpp, "not now"));
}

static void
test_of_these_two_rooms_only(void **state)
{
	struct scene *scene = *state;

	join(scene);
	becomes(scene, ENCRYPTION_ON);
	bob_says(scene, "!sd encrypted allow --yes");
	assert_int_equal(consent_of(scene->core, plumbed(scene)), CONSENT_GIVEN);
	groups_set_room(plumbed(scene), NETWORK_MATRIX, "!other:hs");
	of_others = ENCRYPTION_ON;
	struct group *group = groups_of_room(&scene->core->groups, MUC);
	assert_int_equal(consent_of(scene->core, group), CONSENT_MISSING);
	group->agreed = true; /* groups.NAME.encrypted: allow */
	assert_int_equal(consent_of(scene->core, group), CONSENT_GIVEN);
	bob_says(scene, "!sd encrypted stop");
	assert_true(said(&scene->xmpp, "only there can it be taken back"));
}

static void
test_nobody_agrees(void **state)
{
	struct scene *scene = *state;

	join(scene);
	becomes(scene, ENCRYPTION_ON);
	alice_says(scene, "for nobody");
	scratch_set_clock(scene->directory, "2026-12-02T09:00:00Z");
	turns(scene);
	assert_false(said(&scene->matrix, "for ten days"));
	scratch_set_clock(scene->directory, "2026-12-03T10:00:00Z");
	turns(scene);
	assert_true(said(&scene->matrix, "Your message did not cross: for ten days no moderator agreed"));
	alice_says(scene, "!sd encrypted allow --yes");
	assert_false(said(&scene->xmpp, "for nobody"));
}

static void
test_a_downgrade_is_told(void **state)
{
	struct scene *scene = *state;

	join(scene);
	becomes(scene, ENCRYPTION_ON);
	becomes(scene, ENCRYPTION_DENIED);
	becomes(scene, ENCRYPTION_DENIED);
	assert_int_equal(count_said(&scene->xmpp, "says that it is encrypted no more"), 1);
	alice_says(scene, "not yet");
	assert_false(said(&scene->xmpp, "not yet"));
}

/* ---- the administrator's word ---- */

static void
test_encrypted_rooms_are_refused(void **state)
{
	struct scene *scene = *state;

	join(scene);
	scene->core->refuse_encrypted = true;
	alice_says(scene, "fine");
	assert_true(said(&scene->xmpp, "fine"));
	becomes(scene, ENCRYPTION_ON);
	assert_true(said(&scene->xmpp, "does not allow encrypted rooms: nothing crosses between " ROOM " and " MUC));
	alice_says(scene, "apples");
	bob_says(scene, "pears");
	assert_true(said(&scene->matrix, "Your message did not cross: the Matrix room is encrypted"));
	assert_true(said(&scene->xmpp, "Your message did not cross: the Matrix room is encrypted"));
	alice_says(scene, "!sd encrypted allow --yes");
	assert_false(said(&scene->xmpp, "apples") || said(&scene->matrix, "pears"));
	assert_int_equal(audited(scene, "encrypted allow"), 0);
}

static void
test_plain_rooms_are_refused(void **state)
{
	struct scene *scene = *state;

	scene->core->refuse_plain = true;
	of_room = ENCRYPTION_ON;
	join(scene);
	bob_says(scene, "!sd encrypted allow --yes");
	alice_says(scene, "fine");
	assert_true(said(&scene->xmpp, "fine"));
	of_room = ENCRYPTION_OFF;
	alice_says(scene, "apples");
	assert_true(said(&scene->matrix, "administrator allows only encrypted ones"));
	assert_false(said(&scene->xmpp, "apples"));
}

static void
test_no_such_room_is_joined(void **state)
{
	struct scene *scene = *state;

	scene->core->refuse_encrypted = true;
	of_room = ENCRYPTION_ON;
	invite(scene);
	alice_says(scene, "!sd plumb " MUC);
	assert_true(said(&scene->matrix, ROOM " is encrypted, and this bridge's administrator does not allow encrypted rooms."));
	scene->core->refuse_encrypted = false;
	scene->core->refuse_plain = true;
	of_room = ENCRYPTION_OFF;
	alice_says(scene, "!sd plumb " MUC);
	assert_true(said(&scene->matrix, ROOM " is not encrypted, and this bridge's administrator allows only encrypted rooms."));
	assert_null(plumbed(scene));
}

/* ---- messages in the clear ---- */

static void
test_a_plain_message_in_an_encrypted_room(void **state)
{
	struct scene *scene = *state;

	join(scene);
	becomes(scene, ENCRYPTION_ON);
	accept_row(scene, NETWORK_MATRIX, ROOM, ALICE, "!sd encrypted allow --yes", "moderator\nin the clear");
	turns(scene);
	assert_int_equal(audited(scene, "encrypted allow"), 0);
	bob_says(scene, "!sd encrypted allow --yes");
	accept_row(scene, NETWORK_MATRIX, ROOM, ALICE, "anybody's", "in the clear");
	turns(scene);
	assert_false(said(&scene->xmpp, "anybody's"));
	assert_int_equal(count_said(&scene->matrix, "this room is encrypted, and your message was not"), 2);
	scene->core->trust_all = true;
	accept_row(scene, NETWORK_MATRIX, ROOM, ALICE, "all the same", "in the clear");
	turns(scene);
	assert_true(said(&scene->xmpp, "all the same (sent unencrypted)"));
	plumbed(scene)->trust = TRUST_CROSS_SIGNED;
	accept_row(scene, NETWORK_MATRIX, ROOM, ALICE, "not here", "in the clear");
	turns(scene);
	assert_false(said(&scene->xmpp, "not here"));
}

/* ---- copies ---- */

static const char copies[] = "version 1\ngroup \"marketing\" {\n  route 10 autre when tag autre then copy \"wired\"\n}\n";

static void
test_copies(void **state)
{
	struct scene *scene = *state;

	scratch_write(scene->directory, "charters/marketing.charter", copies);
	join(scene);
	becomes(scene, ENCRYPTION_ON);
	bob_says(scene, "!sd encrypted allow --yes");
	alice_says(scene, "#autre one");
	assert_int_equal(count_said(&scene->xmpp, "#autre one"), 1);
	assert_true(said(&scene->matrix, "The copy for the group wired: the rooms there are not encrypted as yours is"));
	/* One message may be refused for more than one reason, and its author hears each. */
	scene->xmpp.fake.part = 2;
	alice_says(scene, "#autre longer than ten parts of two");
	scene->xmpp.fake.part = 60000;
	assert_int_equal(count_said(&scene->matrix, "it is too long"), 1);
	assert_int_equal(count_said(&scene->matrix, "The copy for the group wired"), 2);
	/* With the same consent there. */
	accept_row(scene, NETWORK_XMPP, "wired@rooms.x", BOB, "!sd encrypted allow", "moderator");
	turns(scene);
	assert_true(said(&scene->xmpp, "may copy messages into this group"));
	accept_row(scene, NETWORK_XMPP, "wired@rooms.x", BOB, "!sd yes", "moderator");
	turns(scene);
	alice_says(scene, "#autre two");
	assert_int_equal(count_said(&scene->xmpp, "#autre two"), 2);
	/* Or into an encrypted room, which has its own. */
	accept_row(scene, NETWORK_XMPP, "wired@rooms.x", BOB, "!sd encrypted stop", "moderator");
	turns(scene);
	of_others = ENCRYPTION_ON;
	becomes(scene, ENCRYPTION_ON);
	alice_says(scene, "#autre three");
	assert_int_equal(count_said(&scene->xmpp, "#autre three"), 1);
	accept_row(scene, NETWORK_XMPP, "wired@rooms.x", BOB, "!sd encrypted allow --yes", "moderator");
	turns(scene);
	assert_int_equal(count_said(&scene->xmpp, "#autre three"), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, scene_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nothing_crosses_until_a_moderator_agrees),
		TEST(test_turned_on_while_joined),
		TEST(test_of_these_two_rooms_only),
		TEST(test_nobody_agrees),
		TEST(test_a_downgrade_is_told),
		TEST(test_encrypted_rooms_are_refused),
		TEST(test_plain_rooms_are_refused),
		TEST(test_no_such_room_is_joined),
		TEST(test_a_plain_message_in_an_encrypted_room),
		TEST(test_copies),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
