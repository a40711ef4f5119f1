/* SPDX-License-Identifier: Apache-2.0 */
/* Rooms joined and parted from chat, between two fake networks: who may, what is said, and what a restart or a rollback leaves. */
#include "core/core.h"

#include "base/log.h"
#include "base/now.h"
#include "core/inbox_rows.h"
#include "core/outbox_rows.h"
#include "core/plumb_open.h"
#include "fake_port.h"

#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define ROOM "!m:hs"
#define ALIAS "#marketing:hs"
#define MUC "marketing@rooms.x"
#define ALICE "@alice:hs"
#define BOB "xmpp:bob@x"

/* A network that lets the bot in, or does not, and knows one moderator. */
struct side {
	struct fake_port fake; /* first: the core sees its port */
	const char *moderator; /* NULL: nobody */
	bool blind;            /* sees no rights */
	bool silent;           /* answers nothing when it is to enter */
	bool refuses;
	enum refusal why;
	const char *detail;
	const char *leads_to;  /* where an alias leads */
	bool stays;            /* does not leave when it is told to */
	int entered, left;
	void (*read)(struct port *port, const char *room, const char *raw, size_t size, struct arena *arena, struct incoming *out);
};

struct scene {
	char directory[64], clock[96], charters[96];
	struct store *store;
	struct seal *seal;
	struct core *core;
	struct side matrix, xmpp;
	bool configured; /* a group of the configuration has the MUC */
	int next;
};

static int64_t monotonic_ms = 1000000;

int64_t __wrap_now_monotonic_ms(void);

int64_t
__wrap_now_monotonic_ms(void)
{
	return monotonic_ms;
}

/* ---- the fake network's rooms ---- */

static void
side_enter(struct port *port, struct group *group)
{
	struct side *side = (struct side *)port;
	struct core *core = side->fake.core;
	enum network network = port->ops->network;

	side->entered++;
	if (side->refuses)
		plumb_refused(core->plumb, group, network, side->why, side->detail);
	if (side->silent || side->refuses)
		return;
	if (network == NETWORK_MATRIX && *group->matrix_wanted == '#')
		groups_set_room(group, network, side->leads_to);
	inbox_open_gate(core->inbox, group->room[network], NULL, 0, NULL, 0);
	plumb_entered(core->plumb, group, network);
}

static void
side_leave(struct port *port, struct group *group)
{
	struct side *side = (struct side *)port;

	side->left++;
	if (!side->stays)
		plumb_left(side->fake.core->plumb, group, port->ops->network);
}

static void
side_rights(struct port *port, const char *room, const char *person, struct rights *out)
{
	const struct side *side = (struct side *)port;

	(void)room;
	*out = (struct rights){ .known = !side->blind, .moderator = side->moderator && strcmp(person, side->moderator) == 0 };
}

/* A message of an archive tells when it was written: "at MILLISECONDS", a flag of ours. */
static void
side_read(struct port *port, const char *room, const char *raw, size_t size, struct arena *arena, struct incoming *out)
{
	struct side *side = (struct side *)port;
	const char *at = strstr(raw, "\nat ");

	side->read(port, room, raw, size, arena, out);
	if (at)
		out->origin_ms = strtoll(at + 4, NULL, 10);
}

/* ---- the scene ---- */

static void
write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void
set_clock(struct scene *scene, const char *instant)
{
	write_file(scene->clock, instant);
	assert_int_equal(now_use_test_clock(scene->clock), 0);
}

static void
turns(struct scene *scene)
{
	for (int i = 0; i < 50 && core_turn(scene->core); i++)
		;
	core_turn(scene->core);
}

/* Long enough for whatever looks now and then. */
static void
wait_a_while(struct scene *scene, int64_t ms)
{
	monotonic_ms += ms;
	turns(scene);
}

static void
open_side(struct scene *scene, struct side *side, enum network network)
{
	fake_port_init(&side->fake, network);
	side->read = side->fake.ops.read;
	side->fake.ops.read = side_read;
	side->fake.ops.enter = side_enter;
	side->fake.ops.leave = side_leave;
	side->fake.ops.rights = side_rights;
	side->fake.core = scene->core;
	side->entered = side->left = 0;
	scene->core->port[network] = &side->fake.port;
}

/* As a port does when its server takes it: every room that there is. */
static void
arrive(struct scene *scene)
{
	struct list *const lists[] = { &scene->core->groups.all, &scene->core->groups.visits };
	struct group *group;

	for (size_t i = 0; i < 2; i++) {
		LIST_FOR_EACH(group, lists[i], struct group, link) {
			if (group->matrix_wanted)
				side_enter(&scene->matrix.fake.port, group);
			if (*group->room[NETWORK_XMPP])
				side_enter(&scene->xmpp.fake.port, group);
		}
	}
	turns(scene);
}

static void
open_core(struct scene *scene)
{
	bool created;
	char why[256], key[96];

	assert_int_equal(store_open(&scene->store, scene->directory, &created), 0);
	snprintf(key, sizeof(key), "%s/master.key", scene->directory);
	assert_int_equal(seal_open(&scene->seal, key, created), 0);
	struct core_settings settings = {
		.language = "en", .matrix_bot = "@sourdine:hs", .nick = "Sourdine", .xmpp_bot = "bot@c.x", .charters = scene->charters,
	};
	scene->core = core_open(scene->store, scene->seal, &settings);
	groups_add(&scene->core->groups, "wired", "!wired:hs", scene->configured ? MUC : "wired@rooms.x", false);
	open_side(scene, &scene->matrix, NETWORK_MATRIX);
	open_side(scene, &scene->xmpp, NETWORK_XMPP);
	assert_int_equal(core_start(scene->core, why, sizeof(why)), 0);
	arrive(scene);
}

static void
close_core(struct scene *scene)
{
	core_close(scene->core);
	store_close(scene->store);
	seal_close(scene->seal);
	fake_port_fini(&scene->matrix.fake);
	fake_port_fini(&scene->xmpp.fake);
}

/* As after kill -9. */
static void
reopen(struct scene *scene)
{
	close_core(scene);
	open_core(scene);
}

static int
set_up(void **state)
{
	struct scene *scene = xcalloc(1, sizeof(*scene));

	snprintf(scene->directory, sizeof(scene->directory), "/tmp/sourdine-test-XXXXXX");
	if (!mkdtemp(scene->directory))
		return -1;
	snprintf(scene->clock, sizeof(scene->clock), "%s/clock", scene->directory);
	snprintf(scene->charters, sizeof(scene->charters), "%s/charters", scene->directory);
	mkdir(scene->charters, 0700);
	set_clock(scene, "2026-11-23T09:00:00Z");
	scene->matrix.moderator = ALICE;
	scene->matrix.leads_to = ROOM;
	scene->xmpp.moderator = BOB;
	open_core(scene);
	*state = scene;
	return 0;
}

static int
tear_down(void **state)
{
	struct scene *scene = *state;
	static const char *const files[] = { "clock", "charters/marketing.charter", "charters", "sourdine.db", "sourdine.db-wal",
		"sourdine.db-shm", "lock", "ballast", "master.key", "" };

	close_core(scene);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", scene->directory, files[i]);
		remove(path);
	}
	free(scene);
	return 0;
}

/* ---- talking ---- */

static void
accept(struct scene *scene, enum network network, const char *room, const char *person, const char *text, const char *flags)
{
	AUTO_FREE char *raw = xasprintf("%s\n%s\n%s\n%s", person, person, text, flags);
	char id[32];

	snprintf(id, sizeof(id), "id%d", ++scene->next);
	assert_int_equal(inbox_accept(scene->core->inbox, network, room, id, raw, strlen(raw)), 0);
}

static void
alice_says(struct scene *scene, const char *text)
{
	accept(scene, NETWORK_MATRIX, ROOM, ALICE, text, scene->matrix.moderator ? "moderator" : "");
	turns(scene);
}

static void
bob_says(struct scene *scene, const char *text)
{
	accept(scene, NETWORK_XMPP, MUC, BOB, text, scene->xmpp.moderator ? "moderator" : "");
	turns(scene);
}

static int
count_said(const struct side *side, const char *text)
{
	int count = 0;

	for (int i = 0; i < side->fake.count && i < FAKE_MAX; i++)
		count += strstr(side->fake.rows[i].payload, text) != NULL;
	return count;
}

static bool
said(const struct side *side, const char *text)
{
	return count_said(side, text) > 0;
}

/* The code that was told last; what it is told with is checked too. */
static void
take_code(const struct side *side, char out[16])
{
	const char *at = NULL;

	for (int i = 0; i < side->fake.count; i++) {
		const char *found = strstr(side->fake.rows[i].payload, "!sd confirm ");
		at = found ? found : at;
	}
	assert_non_null(at);
	snprintf(out, 9, "%s", at + strlen("!sd confirm "));
	assert_int_equal(strlen(out), 8);
}

static void
confirm(struct scene *scene, struct side *told, void (*says)(struct scene *scene, const char *text))
{
	char code[16];

	take_code(told, code);
	AUTO_FREE char *text = xasprintf("!sd confirm %s", code);
	says(scene, text);
}

static struct group *
plumbed(struct scene *scene)
{
	struct group *group = groups_of_room(&scene->core->groups, ROOM);

	return group && group->kind == GROUP_PLUMBED && strcmp(group->room[NETWORK_XMPP], MUC) == 0 ? group : NULL;
}

static bool
is_visited(struct scene *scene, const char *room)
{
	const struct group *group = groups_of_room(&scene->core->groups, room);

	return group && group->kind == GROUP_VISIT;
}

static void
invite(struct scene *scene)
{
	struct group *group = plumb_invited(scene->core->plumb, NETWORK_MATRIX, ROOM, ALICE);

	assert_non_null(group);
	side_enter(&scene->matrix.fake.port, group);
	turns(scene);
}

static void
join(struct scene *scene)
{
	invite(scene);
	alice_says(scene, "!sd plumb " MUC);
	confirm(scene, &scene->matrix, bob_says);
	assert_non_null(plumbed(scene));
}

/* ---- joining ---- */

static void
test_from_matrix(void **state)
{
	struct scene *scene = *state;
	char code[16];

	invite(scene);
	assert_true(said(&scene->matrix, "!sd plumb marketing@rooms.example.org"));
	alice_says(scene, "said before");
	alice_says(scene, "!sd plumb " MUC);
	take_code(&scene->matrix, code);
	assert_true(said(&scene->matrix, "I am in " MUC " now"));
	bob_says(scene, "said before, too");
	/* No other code, nowhere else, nobody without power. */
	bob_says(scene, "!sd confirm abcdefgh");
	bob_says(scene, "!sd confirm abc");
	assert_int_equal(count_said(&scene->xmpp, "not known here"), 2);
	confirm(scene, &scene->matrix, alice_says);
	assert_int_equal(count_said(&scene->matrix, "not known here"), 1);
	AUTO_FREE char *text = xasprintf("!sd confirm %s", code);
	accept(scene, NETWORK_XMPP, MUC, "xmpp:carol@x", text, "");
	accept(scene, NETWORK_XMPP, "other@rooms.x", BOB, text, "");
	turns(scene);
	assert_true(said(&scene->xmpp, "may not change the room's settings"));
	assert_int_equal(count_said(&scene->xmpp, "not known here"), 3);
	assert_null(plumbed(scene));
	/* Capitals are the same letters. */
	for (char *p = strrchr(text, ' '); *p; p++)
		*p = *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
	bob_says(scene, text);
	assert_non_null(plumbed(scene));
	assert_string_equal(plumbed(scene)->name, "marketing");
	assert_true(said(&scene->xmpp, "Done: both rooms are the group marketing now."));
	assert_true(said(&scene->xmpp, "This room is joined with " ROOM) && said(&scene->matrix, "This room is joined with " MUC));
	alice_says(scene, "Hello");
	bob_says(scene, "Good morning");
	assert_true(said(&scene->xmpp, "Hello") && said(&scene->matrix, "Good morning"));
	assert_false(said(&scene->xmpp, "said before") || said(&scene->matrix, "said before"));
	/* Once. */
	bob_says(scene, text);
	assert_int_equal(count_said(&scene->xmpp, "Done"), 1);
	alice_says(scene, "!sd plumb other@rooms.x");
	assert_true(said(&scene->matrix, "joined with another one already"));
}

static void
test_from_xmpp_by_an_alias(void **state)
{
	struct scene *scene = *state;
	struct group *group = plumb_invited(scene->core->plumb, NETWORK_XMPP, MUC, BOB);

	side_enter(&scene->xmpp.fake.port, group);
	turns(scene);
	assert_true(said(&scene->xmpp, "!sd plumb #marketing:example.org"));
	bob_says(scene, "!sd plumb #marketing:HS");
	assert_true(said(&scene->xmpp, "I am in " ROOM " now"));
	confirm(scene, &scene->xmpp, alice_says);
	assert_non_null(plumbed(scene));
	reopen(scene);
	assert_non_null(plumbed(scene));
	assert_int_equal(count_said(&scene->xmpp, "joined with"), 0); /* greeted once */
}

/* An alias of a room that is visited under its own name is that room. */
static void
test_an_alias_of_a_visited_room(void **state)
{
	struct scene *scene = *state;

	invite(scene);
	scene->matrix.silent = true;
	bob_says(scene, "!sd plumb " ALIAS);
	accept(scene, NETWORK_XMPP, "x@y", BOB, "!plumb " ALIAS " " MUC, "direct");
	turns(scene);
	struct group *alias = groups_wanting(&scene->core->groups, ALIAS);
	assert_non_null(alias);
	groups_set_room(alias, NETWORK_MATRIX, ROOM);
	plumb_refused(scene->core->plumb, alias, NETWORK_MATRIX, REFUSAL_OTHER, "known under another name");
	turns(scene);
	wait_a_while(scene, 1000);
	assert_true(said(&scene->xmpp, "I am in " ROOM " now"));
}

static void
test_by_direct_message(void **state)
{
	struct scene *scene = *state;
	char code[16];

	accept(scene, NETWORK_XMPP, "bob@x", BOB, "!plumb " ALIAS, "direct");
	turns(scene);
	assert_true(said(&scene->xmpp, "Please name both rooms"));
	accept(scene, NETWORK_XMPP, "bob@x", BOB, "!plumb", "direct");
	turns(scene);
	assert_true(said(&scene->xmpp, "Please name the room"));
	accept(scene, NETWORK_XMPP, "bob@x", BOB, "!plumb " ALIAS " Marketing@Rooms.X", "direct");
	turns(scene);
	take_code(&scene->xmpp, code);
	AUTO_FREE char *text = xasprintf("!confirm %s", code);
	accept(scene, NETWORK_MATRIX, "!direct:hs", ALICE, text, "direct");
	turns(scene);
	assert_non_null(plumbed(scene));
}

static void
test_what_cannot_be_asked(void **state)
{
	struct scene *scene = *state;
	static const struct {
		const char *address, *answer;
	} cases[] = {
		{ "marketing", "That is no room's address" },
		{ "a@b@c", "That is no room's address" },
		{ "a@b/nick", "That is no room's address" },
		{ "@rooms.x", "That is no room's address" },
		{ "a@", "That is no room's address" },
		{ "#:hs", "That is no room's address" },
		{ "#alias", "That is no room's address" },
		{ "#other:hs", "One of the rooms must be on Matrix" },
		{ "!other", "One of the rooms must be on Matrix" },
		{ "wired@rooms.x", "That room is joined with another one already" },
	};

	invite(scene);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO_FREE char *text = xasprintf("!sd plumb %s", cases[i].address);
		int before = count_said(&scene->matrix, cases[i].answer);
		alice_says(scene, text);
		assert_int_equal(count_said(&scene->matrix, cases[i].answer), before + 1);
	}
	AUTO_FREE char *long_one = xasprintf("!sd plumb %0300d@rooms.x", 1);
	int before = count_said(&scene->matrix, "That is no room's address");
	alice_says(scene, long_one);
	assert_int_equal(count_said(&scene->matrix, "That is no room's address"), before + 1);
	accept(scene, NETWORK_MATRIX, ROOM, ALICE, "!sd plumb !wired:hs a@rooms.x", "moderator");
	turns(scene);
	assert_true(said(&scene->matrix, "This room is joined with another one already"));
	scene->xmpp.silent = true;
	for (int i = 0; i < 4; i++) {
		AUTO_FREE char *text = xasprintf("!sd plumb r%d@rooms.x", i);
		alice_says(scene, text);
	}
	assert_int_equal(count_said(&scene->matrix, "You have asked for several rooms already"), 1);
	accept(scene, NETWORK_MATRIX, ROOM, "@dave:hs", "!sd plumb " MUC, "");
	turns(scene);
	assert_true(said(&scene->matrix, "you may not change the room's settings"));
	assert_false(is_visited(scene, MUC));
}

static void
test_why_a_room_cannot_be_entered(void **state)
{
	struct scene *scene = *state;
	static const struct {
		enum refusal why;
		const char *xmpp, *matrix;
	} cases[] = {
		{ REFUSAL_NOT_MEMBER, MUC " does not let me in", "I may not enter " ALIAS },
		{ REFUSAL_ROOM_GONE, "There is no room " MUC, "There is no room " ALIAS },
		{ REFUSAL_BANNED, MUC " has banned me. Somebody there must lift the ban on bot@c.x", "lift the ban on @sourdine:hs" },
		{ REFUSAL_NICK, "every nickname", "I cannot enter " ALIAS ": it says \"far words\"" },
		{ REFUSAL_OTHER, "I cannot enter " MUC ": it says \"far words\"", "I cannot enter " ALIAS },
	};

	invite(scene);
	struct group *group = plumb_invited(scene->core->plumb, NETWORK_XMPP, "home@rooms.x", BOB);
	side_enter(&scene->xmpp.fake.port, group);
	turns(scene);
	scene->matrix.detail = scene->xmpp.detail = "far words";
	scene->matrix.refuses = scene->xmpp.refuses = true;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		scene->matrix.why = scene->xmpp.why = cases[i].why;
		alice_says(scene, "!sd plumb " MUC);
		wait_a_while(scene, 1000);
		assert_true(said(&scene->matrix, cases[i].xmpp));
		accept(scene, NETWORK_XMPP, "home@rooms.x", BOB, "!sd plumb " ALIAS, "moderator");
		turns(scene);
		wait_a_while(scene, 1000);
		assert_true(said(&scene->xmpp, cases[i].matrix));
		assert_false(is_visited(scene, MUC));
	}
	/* It does not answer at all. */
	scene->xmpp.refuses = false;
	scene->xmpp.silent = true;
	alice_says(scene, "!sd plumb " MUC);
	wait_a_while(scene, 44000);
	assert_false(said(&scene->matrix, "does not answer"));
	wait_a_while(scene, 2000);
	assert_true(said(&scene->matrix, MUC " does not answer"));
}

static void
test_who_may_not(void **state)
{
	struct scene *scene = *state;

	invite(scene);
	scene->matrix.moderator = NULL;
	accept(scene, NETWORK_MATRIX, "!direct:hs", ALICE, "!plumb " MUC " " ROOM, "direct");
	turns(scene);
	assert_true(said(&scene->matrix, "In " ROOM " you may not change the room's settings"));
	scene->matrix.blind = true;
	accept(scene, NETWORK_MATRIX, "!direct:hs", ALICE, "!plumb " MUC " " ROOM, "direct");
	turns(scene);
	assert_true(said(&scene->matrix, "I cannot tell who you are in " ROOM));
	assert_false(is_visited(scene, MUC));
	scene->matrix.moderator = ALICE;
	scene->matrix.blind = false;
	alice_says(scene, "!sd plumb " MUC);
	/* All is asked again at the confirmation. */
	scene->xmpp.blind = true;
	scene->xmpp.moderator = NULL;
	confirm(scene, &scene->matrix, bob_says);
	assert_true(said(&scene->xmpp, "I cannot tell who you are in that room"));
	scene->xmpp.blind = false;
	scene->xmpp.moderator = BOB;
	scene->matrix.moderator = NULL;
	confirm(scene, &scene->matrix, bob_says);
	assert_true(said(&scene->xmpp, "Whoever asked for this"));
	scene->matrix.moderator = ALICE;
	groups_of_room(&scene->core->groups, ROOM)->entered[NETWORK_MATRIX] = false;
	confirm(scene, &scene->matrix, bob_says);
	assert_true(said(&scene->xmpp, "I am not in both rooms at the moment"));
	groups_of_room(&scene->core->groups, ROOM)->entered[NETWORK_MATRIX] = true;
	assert_null(plumbed(scene));
	confirm(scene, &scene->matrix, bob_says);
	assert_non_null(plumbed(scene));
}

static void
test_a_code_expires(void **state)
{
	struct scene *scene = *state;

	invite(scene);
	alice_says(scene, "!sd plumb " MUC);
	set_clock(scene, "2026-11-23T09:16:00Z");
	confirm(scene, &scene->matrix, bob_says);
	assert_true(said(&scene->xmpp, "not known here, or too old"));
	wait_a_while(scene, 1000);
	wait_a_while(scene, 1000);
	assert_false(is_visited(scene, MUC)); /* nor does the bot stay */
	assert_true(is_visited(scene, ROOM));
	/* Three codes at a time; those that are over do not count. */
	for (int i = 0; i < 3; i++)
		alice_says(scene, "!sd plumb " MUC);
	assert_false(said(&scene->matrix, "asked for several rooms"));
	confirm(scene, &scene->matrix, bob_says);
	assert_non_null(plumbed(scene));
	/* What was asked for twice is taken meanwhile. */
	reopen(scene);
	assert_non_null(plumbed(scene));
}

/* Two ask for the same rooms: the second code finds them taken. */
static void
test_two_codes_for_the_same_rooms(void **state)
{
	struct scene *scene = *state;
	char first[16];

	invite(scene);
	alice_says(scene, "!sd plumb " MUC);
	take_code(&scene->matrix, first);
	alice_says(scene, "!sd plumb " MUC);
	confirm(scene, &scene->matrix, bob_says);
	assert_non_null(plumbed(scene));
	AUTO_FREE char *text = xasprintf("!sd confirm %s", first);
	bob_says(scene, text);
	assert_true(said(&scene->xmpp, "This room is joined with another one already"));
}

/* ---- restarts ---- */

static void
test_restarts_in_the_middle(void **state)
{
	struct scene *scene = *state;
	char code[16];

	invite(scene);
	scene->xmpp.silent = true;
	alice_says(scene, "!sd plumb " MUC);
	reopen(scene); /* asked, and the room not yet entered */
	assert_true(is_visited(scene, ROOM) && is_visited(scene, MUC));
	scene->xmpp.silent = false;
	wait_a_while(scene, 1000);
	take_code(&scene->matrix, code);
	reopen(scene); /* told */
	AUTO_FREE char *text = xasprintf("!sd confirm %s", code);
	accept(scene, NETWORK_XMPP, MUC, BOB, text, "moderator");
	assert_int_equal(store_commit(scene->store), 0);
	reopen(scene); /* the confirmation was accepted, and not yet looked at: the bot is not in both rooms when it is */
	if (!plumbed(scene))
		bob_says(scene, text);
	assert_non_null(plumbed(scene));
	reopen(scene);
	assert_non_null(plumbed(scene));
	alice_says(scene, "Hello");
	assert_true(said(&scene->xmpp, "Hello"));
}

static void
test_names(void **state)
{
	struct scene *scene = *state;

	join(scene);
	/* A second MUC of that name, on another server, and names that config.yaml would not take. */
	static const struct {
		const char *room, *muc, *name;
	} cases[] = {
		{ "!2:hs", "marketing@elsewhere.x", "marketing-2" },
		{ "!3:hs", "site@rooms.x", "site-2" },
		{ "!4:hs", "-a.b@rooms.x", "_a-b" },
		{ "!5:hs", "\xC3\xA9t\xC3\xA9@rooms.x", "\xC3\xA9t\xC3\xA9" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO_FREE char *text = xasprintf("!plumb %s %s", cases[i].muc, cases[i].room);
		char code[16];
		accept(scene, NETWORK_MATRIX, "!direct:hs", ALICE, text, "direct");
		turns(scene);
		take_code(&scene->matrix, code);
		AUTO_FREE char *yes = xasprintf("!confirm %s", code);
		accept(scene, NETWORK_XMPP, "bob@x", BOB, yes, "direct");
		turns(scene);
		assert_non_null(groups_find(&scene->core->groups, cases[i].name));
	}
}

static void
test_the_configuration_counts(void **state)
{
	struct scene *scene = *state;

	join(scene);
	scene->configured = true;
	reopen(scene);
	assert_null(plumbed(scene));
	assert_string_equal(groups_of_room(&scene->core->groups, MUC)->name, "wired");
	scene->configured = false;
	reopen(scene);
	assert_non_null(plumbed(scene));
}

/* ---- parting ---- */

static const char hold_always[] = "version 1\ngroup \"marketing\" {\n  hours mon-fri 01:00-02:00\n"
	"  time 30 ferme when closed then hold until opening notice held\n}\n";

static void
write_charter(struct scene *scene)
{
	AUTO_FREE char *path = xasprintf("%s/marketing.charter", scene->charters);

	write_file(path, hold_always);
}

static void
test_unplumb(void **state)
{
	struct scene *scene = *state;

	join(scene);
	accept(scene, NETWORK_XMPP, MUC, "xmpp:carol@x", "!sd unplumb", "");
	turns(scene);
	assert_true(said(&scene->xmpp, "Only moderators"));
	scene->xmpp.fake.window = 0;
	alice_says(scene, "it waits");
	alice_says(scene, "!sd unplumb");
	assert_true(said(&scene->matrix, "Messages that wait: 1"));
	assert_non_null(plumbed(scene));
	scene->matrix.stays = scene->xmpp.stays = true;
	alice_says(scene, "!sd yes");
	assert_null(plumbed(scene));
	assert_true(said(&scene->matrix, "Done: the group marketing has ended."));
	assert_true(said(&scene->matrix, "no longer joined with " MUC ". Goodbye."));
	assert_true(said(&scene->matrix, "the two rooms were parted while it waited"));
	assert_true(is_visited(scene, ROOM) && is_visited(scene, MUC));
	/* The MUC takes nothing: the bot waits a minute with its last words. */
	wait_a_while(scene, 30000);
	assert_int_equal(scene->xmpp.left, 0);
	assert_int_equal(scene->matrix.left, 1);
	reopen(scene); /* it leaves all the same */
	assert_true(is_visited(scene, MUC));
	scene->matrix.stays = scene->xmpp.stays = false;
	wait_a_while(scene, 61000);
	wait_a_while(scene, 1000);
	assert_false(is_visited(scene, ROOM) || is_visited(scene, MUC));
	assert_true(said(&scene->xmpp, "no longer joined with " ROOM));
	assert_false(said(&scene->xmpp, "it waits"));
	/* Again: the same two are the same group. */
	join(scene);
	assert_string_equal(plumbed(scene)->name, "marketing");
}

static void
test_whoever_stays_is_told_to_leave_again(void **state)
{
	struct scene *scene = *state;

	join(scene);
	scene->matrix.stays = true;
	alice_says(scene, "!sd unplumb --yes");
	wait_a_while(scene, 1000);
	int left = scene->matrix.left;
	wait_a_while(scene, 1000);
	assert_int_equal(scene->matrix.left, left);
	wait_a_while(scene, 5000);
	assert_int_equal(scene->matrix.left, left + 1);
	assert_int_equal(plumb_wait_ms(scene->core->plumb), 500);
	scene->core->port[NETWORK_MATRIX] = NULL; /* without a port there is nothing to leave */
	wait_a_while(scene, 6000);
	wait_a_while(scene, 1000);
	assert_false(is_visited(scene, ROOM));
	scene->core->port[NETWORK_MATRIX] = &scene->matrix.fake.port;
}

static void
test_held_messages_are_told(void **state)
{
	struct scene *scene = *state;

	write_charter(scene);
	join(scene);
	alice_says(scene, "for tomorrow");
	assert_false(said(&scene->xmpp, "for tomorrow"));
	alice_says(scene, "!sd unplumb --yes");
	assert_true(said(&scene->matrix, "the two rooms were parted while it waited"));
}

/* What was accepted and not yet judged when the rooms were parted: it does not cross, and its author is told. */
static void
test_messages_that_nobody_has_judged_yet(void **state)
{
	struct scene *scene = *state;

	join(scene);
	set_clock(scene, "2026-11-23T09:00:30Z");
	scene->xmpp.silent = scene->matrix.stays = scene->xmpp.stays = true;
	inbox_close_gate(scene->core->inbox, MUC); /* its server was away */
	bob_says(scene, "behind the gate");
	bob_says(scene, "!sd status");
	accept(scene, NETWORK_MATRIX, ROOM, ALICE, "!sd unplumb --yes", "moderator");
	accept(scene, NETWORK_MATRIX, ROOM, ALICE, "right behind", "moderator"); /* in the same transaction */
	turns(scene);
	assert_null(plumbed(scene));
	assert_false(said(&scene->xmpp, "right behind") || said(&scene->matrix, "behind the gate"));
	assert_int_equal(count_said(&scene->matrix, "the two rooms were parted while it waited"), 1);
	assert_int_equal(count_said(&scene->xmpp, "the two rooms were parted while it waited"), 1);
	/* What the archive brings later, and was said before: the same. What was said afterwards is nobody's. */
	set_clock(scene, "2026-11-23T09:01:00Z");
	accept(scene, NETWORK_XMPP, MUC, BOB, "said in time", "archive\nat 1795424410000");
	accept(scene, NETWORK_XMPP, MUC, BOB, "said too late", "archive\nat 1795424450000");
	accept(scene, NETWORK_XMPP, MUC, BOB, "said now", "");
	inbox_open_gate(scene->core->inbox, MUC, NULL, 0, NULL, 0);
	turns(scene);
	assert_int_equal(count_said(&scene->xmpp, "the two rooms were parted while it waited"), 2);
	/* It has left: whatever comes to light then is settled in silence. */
	inbox_close_gate(scene->core->inbox, MUC);
	accept(scene, NETWORK_XMPP, MUC, BOB, "last of all", "archive\nat 1795424410000");
	scene->matrix.stays = scene->xmpp.stays = false;
	wait_a_while(scene, 61000);
	wait_a_while(scene, 6000);
	assert_false(is_visited(scene, ROOM) || is_visited(scene, MUC));
	turns(scene);
	assert_int_equal(count_said(&scene->xmpp, "the two rooms were parted while it waited"), 2);
	struct query query = store_query(scene->store, INBOX_COUNT);
	assert_true(query_step(&query));
	assert_int_equal(query_get_int(&query, 0), 0);
	query_done(&query);
}

/* ---- being sent away ---- */

static void
test_expelled(void **state)
{
	struct scene *scene = *state;

	join(scene);
	plumb_expelled(scene->core->plumb, NETWORK_XMPP, MUC, REFUSAL_BANNED);
	turns(scene);
	assert_null(plumbed(scene));
	assert_true(said(&scene->matrix, "I was sent away from " MUC));
	wait_a_while(scene, 1000);
	wait_a_while(scene, 1000);
	join(scene);
	plumb_expelled(scene->core->plumb, NETWORK_XMPP, MUC, REFUSAL_ROOM_GONE);
	turns(scene);
	assert_true(said(&scene->matrix, MUC " no longer exists"));
	wait_a_while(scene, 1000);
	wait_a_while(scene, 1000);
	/* From a visit; from a room that nobody knows; from the configuration's. */
	invite(scene);
	plumb_expelled(scene->core->plumb, NETWORK_MATRIX, ROOM, REFUSAL_NOT_MEMBER);
	plumb_expelled(scene->core->plumb, NETWORK_MATRIX, "!nobody:hs", REFUSAL_NOT_MEMBER);
	plumb_expelled(scene->core->plumb, NETWORK_MATRIX, "!wired:hs", REFUSAL_NOT_MEMBER);
	plumb_expelled(NULL, NETWORK_MATRIX, ROOM, REFUSAL_NOT_MEMBER);
	turns(scene);
	wait_a_while(scene, 1000);
	assert_false(is_visited(scene, ROOM));
	assert_non_null(groups_find(&scene->core->groups, "wired"));
}

/* ---- visits ---- */

static void
test_invitations(void **state)
{
	struct scene *scene = *state;
	char room[32];

	assert_null(plumb_invited(NULL, NETWORK_MATRIX, ROOM, ALICE));
	assert_null(plumb_invited(scene->core->plumb, NETWORK_MATRIX, "!wired:hs", ALICE)); /* it is a group's */
	invite(scene);
	invite(scene);
	assert_true(said(&scene->matrix, "I join this room"));
	for (int i = 0; i < 4; i++) {
		snprintf(room, sizeof(room), "!%d:hs", i);
		assert_non_null(plumb_invited(scene->core->plumb, NETWORK_MATRIX, room, ALICE));
	}
	assert_null(plumb_invited(scene->core->plumb, NETWORK_MATRIX, "!4:hs", ALICE));
	assert_non_null(plumb_invited(scene->core->plumb, NETWORK_MATRIX, "!4:hs", "@dave:hs"));
	/* One that leads nowhere is given up at once. */
	plumb_refused(scene->core->plumb, groups_of_room(&scene->core->groups, "!4:hs"), NETWORK_MATRIX, REFUSAL_BANNED, NULL);
	turns(scene);
	wait_a_while(scene, 1000);
	assert_false(is_visited(scene, "!4:hs"));
	/* Nobody joins the others within a day. */
	reopen(scene);
	assert_true(is_visited(scene, ROOM) && is_visited(scene, "!0:hs"));
	set_clock(scene, "2026-11-24T09:01:00Z");
	wait_a_while(scene, 1000);
	wait_a_while(scene, 1000);
	assert_false(is_visited(scene, ROOM) || is_visited(scene, "!0:hs"));
	/* What ports say of rooms that are no visits. */
	struct group *wired = groups_find(&scene->core->groups, "wired");
	plumb_refused(scene->core->plumb, wired, NETWORK_MATRIX, REFUSAL_BANNED, NULL);
	plumb_refused(NULL, wired, NETWORK_MATRIX, REFUSAL_BANNED, NULL);
	plumb_left(scene->core->plumb, wired, NETWORK_MATRIX);
	plumb_left(NULL, wired, NETWORK_MATRIX);
	plumb_entered(NULL, wired, NETWORK_MATRIX);
	turns(scene);
	assert_int_equal(plumb_wait_ms(scene->core->plumb), -1);
}

static void
test_too_many_visits_for_a_request(void **state)
{
	struct scene *scene = *state;
	char room[32];

	invite(scene);
	for (int i = 0; i < 4; i++) {
		snprintf(room, sizeof(room), "!%d:hs", i);
		assert_non_null(plumb_invited(scene->core->plumb, NETWORK_MATRIX, room, ALICE));
	}
	alice_says(scene, "!sd plumb " MUC);
	assert_true(said(&scene->matrix, "I am visiting too many rooms already to enter " MUC));
}

/* ---- undone ---- */

static void
on_database(struct scene *scene, const char *sql)
{
	AUTO_FREE char *path = xasprintf("%s/sourdine.db", scene->directory);
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* One statement of the confirmation fails: all of it is undone, in memory too, and the code is good once more. */
static void
test_a_confirmation_that_is_undone(void **state)
{
	struct scene *scene = *state;

	invite(scene);
	alice_says(scene, "!sd plumb " MUC);
	on_database(scene, "CREATE TRIGGER stop BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END");
	confirm(scene, &scene->matrix, bob_says);
	on_database(scene, "DROP TRIGGER stop");
	assert_null(plumbed(scene));
	assert_null(groups_find(&scene->core->groups, "marketing"));
	assert_true(is_visited(scene, ROOM) && is_visited(scene, MUC));
	assert_false(said(&scene->xmpp, "Done"));
	confirm(scene, &scene->matrix, bob_says);
	assert_non_null(plumbed(scene));
	assert_string_equal(plumbed(scene)->name, "marketing");
	alice_says(scene, "Hello");
	assert_true(said(&scene->xmpp, "Hello"));
	reopen(scene);
	assert_non_null(plumbed(scene));
}

static void
test_a_parting_that_is_undone(void **state)
{
	struct scene *scene = *state;

	write_charter(scene);
	join(scene);
	on_database(scene, "CREATE TRIGGER stop BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END");
	alice_says(scene, "!sd unplumb --yes");
	on_database(scene, "DROP TRIGGER stop");
	assert_non_null(plumbed(scene));
	assert_non_null(plumbed(scene)->rules); /* its charter with it */
	assert_false(is_visited(scene, ROOM) || is_visited(scene, MUC));
	wait_a_while(scene, 1000);
	assert_int_equal(scene->matrix.left + scene->xmpp.left, 0);
	alice_says(scene, "!sd unplumb --yes");
	assert_null(plumbed(scene));
}

static void
limit_files(rlim_t bytes)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Nothing can be committed while `does` runs; then it can again. */
static void
on_a_full_disk(struct scene *scene, void (*does)(struct scene *scene))
{
	int resets = scene->matrix.fake.resets;

	limit_files(1);
	does(scene);
	assert_true(scene->matrix.fake.resets > resets);
	wait_a_while(scene, 1);
	limit_files(RLIM_INFINITY);
	for (int i = 0; i < 10 && !inbox_has_room(scene->core->inbox); i++)
		wait_a_while(scene, 60000);
	assert_true(inbox_has_room(scene->core->inbox));
	arrive(scene); /* ports were reset */
}

static void
does_confirm(struct scene *scene)
{
	confirm(scene, &scene->matrix, bob_says);
}

static void
does_ask(struct scene *scene)
{
	alice_says(scene, "!sd plumb " MUC);
}

static void
does_unplumb(struct scene *scene)
{
	alice_says(scene, "!sd unplumb --yes");
}

static void
does_expel(struct scene *scene)
{
	plumb_expelled(scene->core->plumb, NETWORK_XMPP, MUC, REFUSAL_BANNED);
	turns(scene);
}

static void
does_invite(struct scene *scene)
{
	assert_non_null(plumb_invited(scene->core->plumb, NETWORK_MATRIX, "!new:hs", ALICE));
	turns(scene);
}

static void
test_a_full_disk_at_each_step(void **state)
{
	struct scene *scene = *state;

	invite(scene);
	on_a_full_disk(scene, does_ask);
	assert_false(said(&scene->matrix, "!sd confirm"));
	does_ask(scene); /* its source brings it again */
	on_a_full_disk(scene, does_confirm);
	assert_null(plumbed(scene));
	assert_true(is_visited(scene, ROOM) && is_visited(scene, MUC));
	does_confirm(scene);
	assert_non_null(plumbed(scene));
	assert_int_equal(count_said(&scene->matrix, "This room is joined with " MUC), 1);
	int left = scene->matrix.left + scene->xmpp.left;
	on_a_full_disk(scene, does_unplumb);
	assert_non_null(plumbed(scene));
	assert_int_equal(scene->matrix.left + scene->xmpp.left, left);
	/* Whoever sent the bot away does not do so again: that is remembered, and done when it can be written. */
	on_a_full_disk(scene, does_expel);
	turns(scene);
	assert_null(plumbed(scene));
	assert_int_equal(count_said(&scene->matrix, "I was sent away from " MUC), 1);
	wait_a_while(scene, 1000);
	wait_a_while(scene, 6000);
	assert_false(is_visited(scene, ROOM) || is_visited(scene, MUC));
	/* A room that the bot is in and nobody asks for any more is left. */
	left = scene->matrix.left;
	on_a_full_disk(scene, does_invite);
	wait_a_while(scene, 1000);
	assert_int_equal(scene->matrix.left, left + 1);
	assert_false(is_visited(scene, "!new:hs"));
}

static void
ignore_line(enum log_level level, const char *text)
{
	(void)level, (void)text;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_from_matrix),
		TEST(test_from_xmpp_by_an_alias),
		TEST(test_an_alias_of_a_visited_room),
		TEST(test_by_direct_message),
		TEST(test_what_cannot_be_asked),
		TEST(test_why_a_room_cannot_be_entered),
		TEST(test_who_may_not),
		TEST(test_a_code_expires),
		TEST(test_two_codes_for_the_same_rooms),
		TEST(test_restarts_in_the_middle),
		TEST(test_names),
		TEST(test_the_configuration_counts),
		TEST(test_unplumb),
		TEST(test_whoever_stays_is_told_to_leave_again),
		TEST(test_held_messages_are_told),
		TEST(test_messages_that_nobody_has_judged_yet),
		TEST(test_expelled),
		TEST(test_invitations),
		TEST(test_too_many_visits_for_a_request),
		TEST(test_a_confirmation_that_is_undone),
		TEST(test_a_parting_that_is_undone),
		TEST(test_a_full_disk_at_each_step),
	};

	log_register(ignore_line);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
