/* SPDX-License-Identifier: Apache-2.0 */
/* The XMPP port between the real core and a server that the test plays: what rooms do to ghosts and to the bot, and who is told. */
#include "base/log.h"
#include "base/metric.h"
#include "base/now.h"
#include "core/core.h"
#include "core/digests.h"
#include "core/outbox_rows.h"
#include "fake_port.h"
#include "fake_server.h"
#include "xmpp/hear.h"
#include "xmpp/inside.h"
#include "xmpp/member.h"
#include "xmpp/muc.h"
#include "xmpp/roster.h"
#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ROOM "!m:hs"
#define MUC "m@rooms.localhost"
#define COMPONENT "sourdine.localhost"
#define ALICE "alice\\3ahs@" COMPONENT

struct scene {
	char directory[SCRATCH_SIZE];
	struct loop *loop;
	struct store *store;
	struct seal *seal;
	struct core *core;
	struct jabber_settings settings;
	struct port *port;
	struct fake_port matrix;
	struct fake_server fake;
	int next;
	bool full;
};

static void
drop_log(enum log_level level, const char *line)
{
	(void)level;
	if (getenv("VERBOSE"))
		print_message("# %s\n", line);
}

static bool
turn(void *context)
{
	struct scene *scene = context;

	return core_turn(scene->core);
}

static int
nobody(void *context, const char *person)
{
	(void)context, (void)person;
	return 0;
}

static void
spin(struct scene *scene, int ms)
{
	int64_t end_ms = now_monotonic_ms() + ms;

	do
		assert_int_equal(loop_once(scene->loop, 5), 0);
	while (now_monotonic_ms() < end_ms);
}

/* Turns until `what` holds, ten seconds at most. */
#define WAIT(scene, what) \
	do { \
		int64_t end_ms_ = now_monotonic_ms() + 10000; \
		while (!(what) && now_monotonic_ms() < end_ms_) \
			assert_int_equal(loop_once((scene)->loop, 5), 0); \
		if (!(what)) \
			fail_msg("never: %s\n%s", #what, str_get(&(scene)->fake.got)); \
	} while (0)

static void
open_bridge(struct scene *scene)
{
	AUTO_FREE char *key = xasprintf("%s/master.key", scene->directory);
	struct core_settings settings = { .language = "en", .matrix_bot = "@sourdine:hs", .nick = "Sourdine", .xmpp_bot = "bot@" COMPONENT,
		.charters = scene->directory };
	char why[256];
	bool created;

	assert_int_equal(store_open(&scene->store, scene->directory, &created), 0);
	assert_int_equal(seal_open(&scene->seal, key, created), 0);
	scene->core = core_open(scene->store, scene->seal, &settings);
	groups_add(&scene->core->groups, "m", ROOM, MUC, false);
	struct jabber_parts parts = { scene->loop, scene->store, scene->seal, &scene->core->groups, scene->core->inbox, scene->core->outbox,
		scene->core->people, scene->core->plumb };
	jabber_open(&scene->port, &scene->settings, &parts);
	fake_port_init(&scene->matrix, NETWORK_MATRIX);
	scene->matrix.core = scene->core;
	scene->core->port[NETWORK_MATRIX] = &scene->matrix.port;
	scene->core->port[NETWORK_XMPP] = scene->port;
	assert_int_equal(core_start(scene->core, why, sizeof(why)), 0);
	inbox_open_gate(scene->core->inbox, ROOM, NULL, 0, NULL, 0);
	loop_on_turn(scene->loop, turn, scene);
	assert_int_equal(scene->port->ops->start(scene->port), 0);
}

/* As SIGKILL: nothing is committed any more. */
static void
close_bridge(struct scene *scene)
{
	loop_on_turn(scene->loop, NULL, NULL);
	jabber_close(scene->port);
	core_close(scene->core);
	store_close(scene->store);
	seal_close(scene->seal);
	fake_port_fini(&scene->matrix);
}

static int
set_up(void **state)
{
	struct scene *scene = xcalloc(1, sizeof(*scene));

	log_register(drop_log);
	scratch_make(scene->directory);
	if (loop_open(&scene->loop))
		return -1;
	fake_server_start(&scene->fake, scene->loop);
	scene->settings = (struct jabber_settings){ .host = "127.0.0.1", .port = scene->fake.port, .component = COMPONENT, .secret = "s",
		.nick = "Sourdine", .ghosts = 200, .idle_ms = 14 * 24 * 3600000LL, .state = scene->directory, .is_operator = nobody };
	open_bridge(scene);
	*state = scene;
	return 0;
}

static int
tear_down(void **state)
{
	struct scene *scene = *state;

	close_bridge(scene);
	fake_server_fini(&scene->fake);
	loop_close(scene->loop);
	scratch_remove(scene->directory);
	free(scene);
	return 0;
}

static struct room *
room_of(struct scene *scene)
{
	return muc_find((struct jabber *)scene->port, MUC);
}

static struct member *
member_of(struct scene *scene, const char *person)
{
	struct member *member;

	LIST_FOR_EACH(member, &room_of(scene)->members, struct member, link)
		if (strcmp(member->person, person) == 0)
			return member;
	return NULL;
}

#define READY(scene) WAIT(scene, room_of(scene)->phase == ROOM_READY)

/* Somebody on Matrix says something. */
static void
say_as(struct scene *scene, const char *person, const char *name, const char *text)
{
	AUTO_FREE char *id = xasprintf("$%d", ++scene->next);
	AUTO_FREE char *raw = xasprintf("%s\n%s\n%s", person, name, text);

	assert_int_equal(inbox_accept(scene->core->inbox, NETWORK_MATRIX, ROOM, id, raw, strlen(raw)), 0);
}

static void
say(struct scene *scene, const char *text)
{
	say_as(scene, "@alice:hs", "Alice", text);
}

static unsigned
heard(struct scene *scene, const char *body)
{
	return fake_server_heard(&scene->fake, body, NULL);
}

static const char *
heard_from(struct scene *scene, const char *body)
{
	const char *nick = "nobody";

	fake_server_heard(&scene->fake, body, &nick);
	return nick;
}

/* How often somebody on Matrix was told something with these words. */
static int
told(struct scene *scene, const char *words)
{
	int count = 0;

	for (int i = 0; i < scene->matrix.count; i++)
		count += strstr(scene->matrix.rows[i].payload, words) != NULL;
	return count;
}

static bool
is_all_done(struct scene *scene)
{
	struct outbox_counts counts;

	outbox_count(scene->core->outbox, &counts);
	return counts.waiting + counts.tried + counts.flying == 0;
}

/* Alice says something, and it crosses. */
#define SAID(scene, text) \
	do { \
		say(scene, text); \
		WAIT(scene, heard(scene, text) == 1 && is_all_done(scene)); \
	} while (0)

/* ---- the usual ---- */

static void
test_crosses(void **state)
{
	struct scene *scene = *state;
	int64_t in = metric_get(METRIC_STANZA_IN), out = metric_get(METRIC_STANZA_OUT), skipped = metric_get(METRIC_STANZA_SKIPPED);

	READY(scene);
	SAID(scene, "hello");
	assert_string_equal(heard_from(scene, "hello"), "Alice");
	assert_int_equal(told(scene, "did not cross"), 0);
	/* Her own copy of the message is not built. */
	assert_true(metric_get(METRIC_STANZA_SKIPPED) > skipped);
	assert_true(metric_get(METRIC_STANZA_IN) > in && metric_get(METRIC_STANZA_OUT) > out);
	assert_true(jabber_connected(scene->port));
	assert_int_equal(jabber_joined(scene->port), 1);
	assert_null(jabber_failure(scene->port));
}

static void
test_hidden_room(void **state)
{
	struct scene *scene = *state;

	scene->fake.hidden = true;
	READY(scene);
	SAID(scene, "hello");
}

/* After a loss nobody joins who is still in, and nothing is said twice or not at all. */
static void
test_stream_lost(void **state)
{
	struct scene *scene = *state;

	READY(scene);
	SAID(scene, "before");
	scene->fake.deaf = true;
	say(scene, "in doubt");
	WAIT(scene, heard(scene, "in doubt") == 1);
	unsigned joins = scene->fake.joins;
	fake_server_hang_up(&scene->fake);
	scene->fake.deaf = false;
	SAID(scene, "meanwhile");
	assert_int_equal(heard(scene, "in doubt"), 1);
	assert_int_equal(heard(scene, "before"), 1);
	assert_int_equal(scene->fake.joins, joins);
	assert_int_equal(scene->fake.connections, 2);
}

/* The same for another process; and the ghost that it left behind is found again by its nick. */
static void
test_restart(void **state)
{
	struct scene *scene = *state;

	READY(scene);
	scene->fake.deaf = true;
	say(scene, "in doubt");
	WAIT(scene, heard(scene, "in doubt") == 1);
	spin(scene, 50);
	unsigned joins = scene->fake.joins;
	close_bridge(scene);
	scene->fake.deaf = false;
	open_bridge(scene);
	READY(scene);
	SAID(scene, "after");
	assert_int_equal(heard(scene, "in doubt"), 1);
	assert_int_equal(scene->fake.joins, joins);
}

static void
test_reset(void **state)
{
	struct scene *scene = *state;

	READY(scene);
	scene->fake.deaf = true;
	say(scene, "in doubt");
	WAIT(scene, heard(scene, "in doubt") == 1);
	spin(scene, 50);
	scene->fake.deaf = false;
	scene->port->ops->reset(scene->port);
	assert_false(jabber_connected(scene->port));
	SAID(scene, "after");
	assert_int_equal(heard(scene, "in doubt"), 1);
	assert_int_equal(scene->fake.connections, 2);
}

/* ---- nicks ---- */

static const char *
refuse_nicks(struct fake_server *fake, const char *jid, const char *room, const char *nick)
{
	(void)fake, (void)room, (void)nick;
	return strncmp(jid, "bot@", 4) == 0 ? NULL : "conflict";
}

static void
test_every_nick_taken(void **state)
{
	struct scene *scene = *state;

	READY(scene);
	scene->fake.refuse = refuse_nicks;
	say_as(scene, "@alice:hs", "The Boss", "hello");
	WAIT(scene, heard(scene, "The Boss: hello") == 1 && is_all_done(scene));
	assert_string_equal(heard_from(scene, "The Boss: hello"), "Sourdine");
	static const char *const tried[] = { "The Boss", "The Boss [m]", "The Boss [alice]", "The Boss [m3]", "alice", "alice [m5]" };
	for (size_t i = 0; i < sizeof(tried) / sizeof(*tried); i++) {
		AUTO_FREE char *to = xasprintf("to=\"" MUC "/%s\"><x", tried[i]);
		if (fake_server_count(&scene->fake, to) != 1)
			fail_msg("%s: %u", to, fake_server_count(&scene->fake, to));
	}
	/* The next one costs the room nothing more, until the name is another. */
	unsigned presences = fake_server_count(&scene->fake, "<presence");
	say_as(scene, "@alice:hs", "The Boss", "again");
	WAIT(scene, heard(scene, "The Boss: again") == 1 && is_all_done(scene));
	assert_int_equal(fake_server_count(&scene->fake, "<presence"), presences);
	scene->fake.refuse = NULL;
	say_as(scene, "@alice:hs", "Somebody", "third");
	WAIT(scene, heard(scene, "third") == 1 && is_all_done(scene));
	assert_string_equal(heard_from(scene, "third"), "Somebody");
}

static const char *
refuse_spaces(struct fake_server *fake, const char *jid, const char *room, const char *nick)
{
	(void)fake, (void)jid, (void)room;
	return strchr(nick, ' ') ? "jid-malformed" : NULL;
}

static const char *
refuse_all_malformed(struct fake_server *fake, const char *jid, const char *room, const char *nick)
{
	(void)fake, (void)room, (void)nick;
	return strncmp(jid, "bot@", 4) == 0 ? NULL : "bad-request";
}

static void
test_simpler_nick(void **state)
{
	struct scene *scene = *state;

	READY(scene);
	scene->fake.refuse = refuse_spaces;
	say_as(scene, "@alice:hs", "The Boss", "hello");
	WAIT(scene, heard(scene, "hello") == 1 && is_all_done(scene));
	assert_string_equal(heard_from(scene, "hello"), "alice");
	scene->fake.refuse = refuse_all_malformed;
	say_as(scene, "@dave:hs", "Dave", "hello too");
	WAIT(scene, heard(scene, "Dave: hello too") == 1 && is_all_done(scene));
}

static const char *
refuse_everybody(struct fake_server *fake, const char *jid, const char *room, const char *nick)
{
	(void)fake, (void)jid, (void)room, (void)nick;
	return "conflict";
}

static void
test_no_nick_for_the_bot(void **state)
{
	struct scene *scene = *state;

	scene->fake.refuse = refuse_everybody;
	WAIT(scene, room_of(scene)->phase == ROOM_SHUT);
	say(scene, "hello");
	WAIT(scene, told(scene, "no nickname") == 1 && is_all_done(scene));
	assert_true(fake_server_count(&scene->fake, "/Sourdine [m]\"") == 1);
}

static void
test_renamed(void **state)
{
	struct scene *scene = *state;

	READY(scene);
	SAID(scene, "as Alice");
	say_as(scene, "@alice:hs", "Alice Liddell", "as Alice Liddell");
	WAIT(scene, is_all_done(scene));
	WAIT(scene, fake_server_find(&scene->fake, MUC, "Alice Liddell") != NULL);
	/* Another process knows it. */
	spin(scene, 50);
	close_bridge(scene);
	open_bridge(scene);
	READY(scene);
	say_as(scene, "@alice:hs", "Alice Liddell", "after");
	WAIT(scene, heard(scene, "after") == 1 && is_all_done(scene));
	assert_string_equal(heard_from(scene, "after"), "Alice Liddell");
}

/* ---- sent away ---- */

static void
test_kicked(void **state)
{
	struct scene *scene = *state;

	READY(scene);
	SAID(scene, "before");
	fake_server_remove(&scene->fake, MUC, "Alice", "307", "calm down");
	WAIT(scene, member_of(scene, "@alice:hs")->state == GHOST_REFUSED);
	assert_string_equal(member_why(member_of(scene, "@alice:hs")), "calm down");
	unsigned joins = scene->fake.joins;
	say(scene, "after");
	WAIT(scene, told(scene, "does not let us speak") == 1 && is_all_done(scene));
	assert_int_equal(heard(scene, "after") + heard(scene, "Alice: after"), 0);
	/* The stream's end forgives nothing. */
	fake_server_hang_up(&scene->fake);
	WAIT(scene, scene->fake.connections == 2);
	READY(scene);
	assert_int_equal(scene->fake.joins, joins);
	/* A quarter of an hour later she may try again. */
	assert_true(loop_timer_armed(&member_of(scene, "@alice:hs")->timer));
	loop_timer_set(&member_of(scene, "@alice:hs")->timer, 0);
	spin(scene, 20);
	assert_int_equal(scene->fake.joins, joins);
	SAID(scene, "much later");
}

/* The room says once more what it took, to the bot, under this nick; with a key, as it was sent. */
static void
repeat(struct scene *scene, const struct fake_said *said, const char *nick, const char *key, bool with_id)
{
	const struct fake_occupant *bot = fake_server_find(&scene->fake, MUC, "Sourdine");
	AUTO_FREE char *mark = xasprintf("<mark xmlns='" NS_MARK "' key='%s'/>", key);
	AUTO_FREE char *sid = xasprintf("<stanza-id xmlns='" NS_SID "' by='" MUC "' id='%s-2'/>", said->stanza_id);
	AUTO_FREE char *text = xasprintf("<message type='groupchat' from='" MUC "/%s' to='%s' id='%s'><body>%s</body>%s%s</message>", nick,
			bot->jid, said->id, said->body, *key ? mark : "", with_id ? sid : "");

	fake_server_say(&scene->fake, text);
}

static const struct fake_said *
last_said(const struct scene *scene)
{
	return &scene->fake.said[scene->fake.said_count - 1];
}

/* Our own words that come when they are not expected any more: they settle their row, or are nothing, but never somebody's. */
static void
test_late_echoes(void **state)
{
	struct scene *scene = *state;
	char key[17];

	READY(scene);
	SAID(scene, "before");
	const struct fake_said *before = last_said(scene);
	const char *sent = strstr(str_get(&scene->fake.got), "key=\"");
	assert_non_null(sent);
	snprintf(key, sizeof(key), "%s", sent + 5);
	say_as(scene, "@dave:hs", "Dave", "Dave too");
	WAIT(scene, heard(scene, "Dave too") == 1 && is_all_done(scene));
	scene->fake.deaf = true;
	say(scene, "under another ghost's nick");
	WAIT(scene, heard(scene, "under another ghost's nick") == 1);
	repeat(scene, last_said(scene), "Dave", "", true);
	WAIT(scene, is_all_done(scene));
	/* Put out of the room with a message on its way. */
	say(scene, "in doubt");
	WAIT(scene, heard(scene, "in doubt") == 1);
	fake_server_remove(&scene->fake, MUC, "Alice", "307", NULL);
	WAIT(scene, member_of(scene, "@alice:hs")->state == GHOST_REFUSED);
	assert_false(is_all_done(scene));
	repeat(scene, last_said(scene), "Alice", "", false);
	WAIT(scene, is_all_done(scene));
	say(scene, "not any more");
	WAIT(scene, told(scene, "did not cross") == 1);
	int count = scene->matrix.count;
	int64_t echoes = metric_get(METRIC_IGNORED_ECHO);
	repeat(scene, before, "Alice", key, true);
	WAIT(scene, metric_get(METRIC_IGNORED_ECHO) > echoes);
	spin(scene, 50);
	assert_int_equal(scene->matrix.count, count);
}

static void
test_banned(void **state)
{
	struct scene *scene = *state;

	READY(scene);
	SAID(scene, "before");
	fake_server_remove(&scene->fake, MUC, "Alice", "301", NULL);
	say(scene, "after");
	WAIT(scene, told(scene, "has banned you") == 1 && is_all_done(scene));
	assert_int_equal(heard(scene, "after") + heard(scene, "Alice: after"), 0);
}

/* A server that restarts its rooms removes everybody with 307 and 333: nobody's will. */
static void
test_removed(void **state)
{
	struct scene *scene = *state;

	READY(scene);
	SAID(scene, "before");
	fake_server_remove(&scene->fake, MUC, "Alice", "307 333", NULL);
	WAIT(scene, member_of(scene, "@alice:hs")->state == GHOST_BACKOFF);
	WAIT(scene, member_of(scene, "@alice:hs")->state == GHOST_PARTED);
	SAID(scene, "after");
}

static void
test_bot_kicked(void **state)
{
	struct scene *scene = *state;

	READY(scene);
	fake_server_remove(&scene->fake, MUC, "Sourdine", "307", "no bots");
	WAIT(scene, room_of(scene)->phase == ROOM_SHUT);
	assert_int_equal(jabber_joined(scene->port), 0);
	say(scene, "after");
	WAIT(scene, told(scene, "does not let us speak") == 1 && is_all_done(scene));
	fake_server_hang_up(&scene->fake);
	WAIT(scene, scene->fake.connections == 2 && jabber_connected(scene->port));
	spin(scene, 50);
	assert_null(fake_server_find(&scene->fake, MUC, "Sourdine"));
	/* An hour later. */
	assert_true(loop_timer_armed(&room_of(scene)->retry));
	loop_timer_set(&room_of(scene)->retry, 0);
	READY(scene);
	SAID(scene, "much later");
}

/* The hour ends while there is no stream. */
static void
test_bot_kicked_and_stream_down(void **state)
{
	struct scene *scene = *state;

	READY(scene);
	fake_server_remove(&scene->fake, MUC, "Sourdine", "307", NULL);
	WAIT(scene, room_of(scene)->phase == ROOM_SHUT);
	fake_server_hang_up(&scene->fake);
	WAIT(scene, !jabber_connected(scene->port));
	loop_timer_set(&room_of(scene)->retry, 0);
	READY(scene);
}

#define PLUMBED "p@rooms.localhost"

/* Who sends the bot away from a room that was joined from chat ends that. It does not come back, not even to say goodbye. */
static void
test_kicked_from_a_plumbed_room(void **state)
{
	struct scene *scene = *state;
	struct query query = store_query(scene->store, PLUMBING_SET);

	query_text(&query, "p");
	query_text(&query, "!p:hs");
	query_text(&query, PLUMBED);
	query_int(&query, now_rules_ms());
	query_run(&query);
	assert_int_equal(store_commit(scene->store), 0);
	close_bridge(scene);
	open_bridge(scene);
	WAIT(scene, muc_find((struct jabber *)scene->port, PLUMBED) && muc_find((struct jabber *)scene->port, PLUMBED)->phase == ROOM_READY);
	unsigned joins = scene->fake.joins;
	fake_server_remove(&scene->fake, PLUMBED, "Sourdine", "307", "no bots");
	WAIT(scene, !groups_find(&scene->core->groups, "p"));
	WAIT(scene, !muc_find((struct jabber *)scene->port, PLUMBED));
	assert_int_equal(scene->fake.joins, joins);
}

static void
test_destroyed(void **state)
{
	struct scene *scene = *state;

	READY(scene);
	SAID(scene, "before");
	fake_server_destroy(&scene->fake, MUC);
	WAIT(scene, room_of(scene)->phase == ROOM_SHUT);
	say(scene, "after");
	WAIT(scene, told(scene, "no longer exists") == 1 && is_all_done(scene));
	unsigned presences = fake_server_count(&scene->fake, "<presence");
	/* It is looked for, and not made again. */
	loop_timer_set(&room_of(scene)->retry, 0);
	WAIT(scene, fake_server_count(&scene->fake, NS_DISCO_INFO) == 2);
	WAIT(scene, room_of(scene)->phase == ROOM_SHUT);
	assert_int_equal(fake_server_count(&scene->fake, "<presence"), presences);
	say(scene, "later");
	WAIT(scene, told(scene, "no longer exists") == 2 && is_all_done(scene));
	/* Somebody made it again. */
	scene->fake.gone = false;
	loop_timer_set(&room_of(scene)->retry, 0);
	READY(scene);
	SAID(scene, "much later");
}

/* ---- no voice ---- */

static void
test_moderated(void **state)
{
	struct scene *scene = *state;

	scene->fake.moderated = true;
	READY(scene);
	say(scene, "unheard");
	WAIT(scene, told(scene, "does not let us speak") == 1 && is_all_done(scene));
	assert_int_equal(member_of(scene, "@alice:hs")->state, GHOST_MUTED);
	fake_server_set_role(&scene->fake, MUC, "Alice", "participant");
	WAIT(scene, member_of(scene, "@alice:hs")->state == GHOST_JOINED);
	SAID(scene, "heard");
	fake_server_set_role(&scene->fake, MUC, "Alice", "visitor");
	WAIT(scene, member_of(scene, "@alice:hs")->state == GHOST_MUTED);
	say(scene, "unheard again");
	WAIT(scene, told(scene, "does not let us speak") == 2 && is_all_done(scene));
	assert_int_equal(heard(scene, "unheard") + heard(scene, "unheard again"), 0);
}

static void
test_message_errors(void **state)
{
	struct scene *scene = *state;

	READY(scene);
	SAID(scene, "before");
	scene->fake.message_error = "policy-violation";
	say(scene, "against the rules");
	WAIT(scene, told(scene, "does not let us speak") == 1 && is_all_done(scene));
	scene->fake.message_error = "feature-not-implemented";
	scene->fake.message_error_type = "cancel";
	say(scene, "beyond it");
	WAIT(scene, told(scene, "the other side refused it") == 1 && is_all_done(scene));
	/* No voice, although no presence said so: told, and tried again after a while. */
	scene->fake.message_error = "forbidden";
	say(scene, "no voice");
	WAIT(scene, told(scene, "does not let us speak") == 2 && is_all_done(scene));
	assert_int_equal(member_of(scene, "@alice:hs")->state, GHOST_MUTED);
	scene->fake.message_error = NULL;
	loop_timer_set(&member_of(scene, "@alice:hs")->timer, 0);
	WAIT(scene, member_of(scene, "@alice:hs")->state == GHOST_JOINED);
	/* Silently removed: in again, and said once. */
	const struct fake_occupant *alice = fake_server_find(&scene->fake, MUC, "Alice");
	struct fake_occupant *last = &scene->fake.occupants[--scene->fake.occupant_count];
	scene->fake.occupants[alice - scene->fake.occupants] = *last;
	SAID(scene, "after all");
	assert_int_equal(heard(scene, "against the rules") + heard(scene, "beyond it") + heard(scene, "no voice"), 0);
}

static void
test_wait_error(void **state)
{
	struct scene *scene = *state;

	READY(scene);
	scene->fake.message_error = "resource-constraint";
	scene->fake.message_error_type = "wait";
	say(scene, "patience");
	WAIT(scene, fake_server_count(&scene->fake, "<body>patience") == 1);
	spin(scene, 20);
	scene->fake.message_error = NULL;
	WAIT(scene, heard(scene, "patience") == 1 && is_all_done(scene));
	assert_int_equal(told(scene, "did not cross"), 0);
}

/* ---- rooms for members ---- */

static void
test_members_only_as_owner(void **state)
{
	struct scene *scene = *state;

	scene->fake.members_only = true;
	scene->fake.bot_affiliation = "owner";
	READY(scene);
	SAID(scene, "let me in");
	assert_string_equal(heard_from(scene, "let me in"), "Alice");
	assert_string_equal(scene->fake.members, ALICE " ");
	/* Made members-only under their feet. */
	scene->fake.members[0] = '\0';
	fake_server_remove(&scene->fake, MUC, "Alice", "322", NULL);
	SAID(scene, "and again");
	assert_int_equal(told(scene, "did not cross"), 0);
}

static void
test_members_only_without_rights(void **state)
{
	struct scene *scene = *state;

	scene->fake.members_only = true;
	READY(scene);
	say(scene, "let me in");
	WAIT(scene, told(scene, "admits members only") == 1 && is_all_done(scene));
	assert_int_equal(fake_server_count(&scene->fake, NS_MUC_ADMIN), 0);
	/* The room opens, and says that its rules have changed. */
	scene->fake.members_only = false;
	fake_server_say(&scene->fake, "<message from='" MUC "' to='bot@" COMPONENT "/sourdine' type='groupchat'><x xmlns='" NS_MUC_USER "'>"
		"<status code='104'/></x></message>");
	WAIT(scene, member_of(scene, "@alice:hs")->state == GHOST_PARTED);
	SAID(scene, "now");
}

static void
test_members_only_grant_refused(void **state)
{
	struct scene *scene = *state;

	scene->fake.members_only = true;
	scene->fake.bot_affiliation = "admin";
	scene->fake.grant_error = "forbidden";
	READY(scene);
	say(scene, "let me in");
	WAIT(scene, told(scene, "admits members only") == 1 && is_all_done(scene));
	assert_int_equal(fake_server_count(&scene->fake, NS_MUC_ADMIN), 2); /* the ban list was asked for, too */
}

static const char *refusal;

static const char *
refuse_ghosts(struct fake_server *fake, const char *jid, const char *room, const char *nick)
{
	(void)fake, (void)room, (void)nick;
	return strncmp(jid, "bot@", 4) == 0 ? NULL : refusal;
}

/* Nobody is against the person: the bot speaks. */
static void
test_full_or_locked(void **state)
{
	static const char *const conditions[] = { "service-unavailable", "resource-constraint", "not-authorized", "gone" };
	struct scene *scene = *state;

	READY(scene);
	scene->fake.refuse = refuse_ghosts;
	for (size_t i = 0; i < sizeof(conditions) / sizeof(*conditions); i++) {
		AUTO_FREE char *person = xasprintf("@p%zu:hs", i);
		AUTO_FREE char *said = xasprintf("Name: %s", conditions[i]);
		refusal = conditions[i];
		say_as(scene, person, "Name", conditions[i]);
		WAIT(scene, heard(scene, said) == 1 && is_all_done(scene));
	}
	refusal = "forbidden";
	say(scene, "banned before");
	WAIT(scene, told(scene, "has banned you") == 1 && is_all_done(scene));
}

static const char *
refuse_bot(struct fake_server *fake, const char *jid, const char *room, const char *nick)
{
	(void)fake, (void)jid, (void)room, (void)nick;
	return refusal;
}

static void
test_bot_kept_out(void **state)
{
	static const struct {
		const char *condition, *told;
	} table[] = {
		{ "registration-required", "admits members only" }, { "forbidden", "has banned you" }, { "not-authorized", "admits members only" },
		{ "gone", "no longer exists" },
	};
	struct scene *scene = *state;

	scene->fake.refuse = refuse_bot;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		int before = told(scene, table[i].told);
		refusal = table[i].condition;
		WAIT(scene, room_of(scene)->phase == ROOM_SHUT && strstr(member_why(room_of(scene)->listener), refusal));
		say(scene, "hello");
		WAIT(scene, told(scene, table[i].told) == before + 1 && is_all_done(scene));
		if (i + 1 < sizeof(table) / sizeof(*table)) {
			refusal = table[i + 1].condition;
			loop_timer_set(&room_of(scene)->retry, 0);
		}
	}
}

/* A full room is waited for: what is to be said waits too. */
static void
test_bot_and_full_room(void **state)
{
	struct scene *scene = *state;

	refusal = "service-unavailable";
	scene->fake.refuse = refuse_bot;
	say(scene, "patience");
	WAIT(scene, fake_server_count(&scene->fake, "<presence") >= 2);
	scene->fake.refuse = NULL;
	WAIT(scene, heard(scene, "patience") == 1 && is_all_done(scene));
}

/* ---- whoever may not come back ---- */

static bool
is_subscribed(struct scene *scene, const char *jid)
{
	AUTO_FREE char *person = xasprintf("xmpp:%s", jid);

	return digests_subscribed(scene->core->digests, groups_find(&scene->core->groups, "m"), person);
}

static void
subscribe(struct scene *scene, const char *jid)
{
	AUTO_FREE char *person = xasprintf("xmpp:%s", jid);

	digests_subscribe(scene->core->digests, groups_find(&scene->core->groups, "m"), person, NETWORK_XMPP, jid, now_rules_ms());
	assert_true(is_subscribed(scene, jid));
}

static void
test_a_ban_ends_a_digest(void **state)
{
	static const struct {
		const char *jid, *nick, *codes;
		bool ends;
	} table[] = {
		{ "bob@home.x", "Bob", "301", true }, { "carol@home.x", "Carol", "321", true }, { "dave@home.x", "Dave", "322", true },
		{ "bob@home.x", "Bob", "301 307", true }, { "erin@home.x", "Erin", "307", false }, { "frank@home.x", "Frank", "", false },
	};
	struct scene *scene = *state;

	READY(scene);
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		AUTO_FREE char *full = xasprintf("%s/desk", table[i].jid);
		fake_server_enter(&scene->fake, full, MUC, table[i].nick);
		WAIT(scene, roster_find(room_of(scene), table[i].nick));
		subscribe(scene, table[i].jid);
		fake_server_remove(&scene->fake, MUC, table[i].nick, table[i].codes, NULL);
		WAIT(scene, !roster_find(room_of(scene), table[i].nick));
		assert_int_equal(is_subscribed(scene, table[i].jid), !table[i].ends);
	}
}

#define ABOUT(affiliation, jid) "<message from='" MUC "' to='bot@" COMPONENT "/sourdine'><x xmlns='" NS_MUC_USER "'>" \
	"<item affiliation='" affiliation "' role='none' jid='" jid "'/></x></message>"

/* He is not in the room: its service says so by itself. */
static void
test_a_ban_of_somebody_absent_ends_a_digest(void **state)
{
	struct scene *scene = *state;

	READY(scene);
	subscribe(scene, "gina@home.x");
	subscribe(scene, "hugo@home.x");
	fake_server_say(&scene->fake, ABOUT("none", "hugo@home.x") ABOUT("member", "hugo@home.x") ABOUT("outcast", "gina@home.x"));
	WAIT(scene, !is_subscribed(scene, "gina@home.x"));
	assert_true(is_subscribed(scene, "hugo@home.x"));
	room_of(scene)->members_only = true;
	fake_server_say(&scene->fake, ABOUT("none", "hugo@home.x"));
	WAIT(scene, !is_subscribed(scene, "hugo@home.x"));
}

#define OUTCAST(jid) "<item affiliation='outcast' jid='" jid "'/>"

/* He was banned while nobody of ours was there: a bot that may see the ban list looks into it when it comes in. */
static void
test_a_ban_meanwhile_ends_a_digest(void **state)
{
	struct scene *scene = *state;

	READY(scene);
	subscribe(scene, "gina@home.x");
	subscribe(scene, "hugo@home.x");
	scene->fake.outcasts = OUTCAST("gina@home.x") OUTCAST("evil.x") "<item affiliation='member' jid='hugo@home.x'/>";
	fake_server_hang_up(&scene->fake);
	WAIT(scene, room_of(scene)->phase == ROOM_OUT);
	READY(scene);
	assert_int_equal(fake_server_count(&scene->fake, "outcast"), 0); /* it is nobody there, and does not ask */
	scene->fake.bot_affiliation = "admin";
	fake_server_hang_up(&scene->fake);
	WAIT(scene, !is_subscribed(scene, "gina@home.x"));
	assert_int_equal(fake_server_count(&scene->fake, "outcast"), 1);
	assert_true(is_subscribed(scene, "hugo@home.x"));
	/* It may be refused. */
	scene->fake.outcasts = NULL;
	fake_server_hang_up(&scene->fake);
	WAIT(scene, fake_server_count(&scene->fake, "outcast") == 2);
	READY(scene);
	assert_true(is_subscribed(scene, "hugo@home.x"));
}

/* ---- who said it, when the archive tells ---- */

/* Somebody has the nick now who did not have it then. */
static void
test_a_nick_that_changed_hands(void **state)
{
	struct scene *scene = *state;
	static const char text[] = "<message xmlns='jabber:client' type='groupchat' from='" MUC "/Dora' id='1'><body>%s</body>"
		"<occupant-id xmlns='" NS_OCCUPANT_ID "' id='%s'/></message>";
	static const char *const cases[][3] = { { "said then", "then" }, { "said by herself", "now", "xmpp:dora@home.x" } };

	READY(scene);
	struct room *room = room_of(scene);
	fake_server_enter(&scene->fake, "dora@home.x/desk", MUC, "Dora");
	WAIT(scene, roster_find(room, "Dora"));
	room->has_occupant_ids = true;
	roster_find(room, "Dora")->occupant_id = xstrdup("now");
	roster_find(room, "Dora")->moderator = true;
	for (size_t i = 0; i < 2; i++) {
		AUTO_FREE char *raw = xasprintf(text, cases[i][0], cases[i][1]);
		int before = scene->matrix.count;
		xmpp_stanza_t *message = reader_parse(room->jabber->ctx, raw, strlen(raw));
		hear_archived(room, cases[i][0], message, now_real_ms());
		stanza_free(message);
		WAIT(scene, scene->matrix.count == before + 1);
		assert_non_null(strstr(scene->matrix.rows[before].payload, cases[i][0]));
		assert_int_equal(strcmp(scene->matrix.rows[before].author, "xmpp:dora@home.x") == 0, cases[i][2] != NULL);
	}
}

/* ---- places ---- */

static void
test_places(void **state)
{
	struct scene *scene = *state;
	struct jabber *jabber = (struct jabber *)scene->port;

	jabber->settings.ghosts = 1;
	READY(scene);
	SAID(scene, "the first");
	say_as(scene, "@dave:hs", "Dave", "the second");
	WAIT(scene, heard(scene, "Dave: the second") == 1 && is_all_done(scene));
	assert_null(member_of(scene, "@dave:hs"));
	SAID(scene, "the first again");
	/* A day later. */
	member_of(scene, "@alice:hs")->spoke_ms -= 25 * 3600000LL;
	say_as(scene, "@dave:hs", "Dave", "the third");
	WAIT(scene, heard(scene, "the third") == 1 && is_all_done(scene));
	assert_string_equal(heard_from(scene, "the third"), "Dave");
	assert_null(fake_server_find(&scene->fake, MUC, "Alice"));
	assert_null(member_of(scene, "@alice:hs"));
	/* And no ghosts at all. */
	jabber->settings.ghosts = 0;
	say_as(scene, "@eve:hs", "Eve", "the fourth");
	WAIT(scene, heard(scene, "Eve: the fourth") == 1 && is_all_done(scene));
}

static void
test_idle(void **state)
{
	struct scene *scene = *state;

	READY(scene);
	SAID(scene, "before");
	member_retire(room_of(scene));
	assert_non_null(member_of(scene, "@alice:hs"));
	member_of(scene, "@alice:hs")->spoke_ms -= 15 * 24 * 3600000LL;
	loop_timer_set(&room_of(scene)->pulse, 0);
	WAIT(scene, !fake_server_find(&scene->fake, MUC, "Alice"));
	assert_null(member_of(scene, "@alice:hs"));
	/* Nor does another process think that she is there. */
	spin(scene, 20);
	close_bridge(scene);
	open_bridge(scene);
	READY(scene);
	assert_null(member_of(scene, "@alice:hs"));
	SAID(scene, "back");
	assert_string_equal(heard_from(scene, "back"), "Alice");
}

/* Whose message waits does not leave. */
static void
test_idle_with_a_message(void **state)
{
	struct scene *scene = *state;

	READY(scene);
	SAID(scene, "before");
	/* A message that waits while the room is not ready. */
	room_of(scene)->phase = ROOM_SETTLING;
	say(scene, "waits");
	spin(scene, 50);
	member_of(scene, "@alice:hs")->spoke_ms -= 15 * 24 * 3600000LL;
	member_retire(room_of(scene));
	assert_non_null(member_of(scene, "@alice:hs"));
	muc_become_ready(room_of(scene));
	WAIT(scene, heard(scene, "waits") == 1 && is_all_done(scene));
	assert_string_equal(heard_from(scene, "waits"), "Alice");
}

/* So many ghosts are to come in before their turn. */
static void
want_many(struct scene *scene, int count)
{
	for (int i = 0; i < count; i++) {
		AUTO_FREE char *person = xasprintf("@p%02d:hs", i);
		struct author author = { person, person + 1, person + 1 };
		member_step(member_for(room_of(scene), &author), GHOST_WANTED);
	}
}

/*
 * Many newcomers at once: twelve presences on their way, not more; who has a message at the head of his lane passes them; and who
 * waits longer than five seconds is spoken for.
 */
static void
test_pace(void **state)
{
	struct scene *scene = *state;

	READY(scene);
	scene->fake.hold_joins = true;
	want_many(scene, 40);
	WAIT(scene, scene->fake.pending == 12);
	spin(scene, 50);
	assert_int_equal(scene->fake.pending, 12);
	say_as(scene, "@p39:hs", "p39:hs", "past all others");
	WAIT(scene, scene->fake.pending == 13);
	assert_non_null(strstr(scene->fake.held[12], "p39"));
	spin(scene, 50);
	assert_int_equal(scene->fake.pending, 13);
	fake_server_release(&scene->fake, 5);
	WAIT(scene, scene->fake.joins == 6 && scene->fake.pending == 12);
	for (int i = 0; i < 10; i++) {
		fake_server_release(&scene->fake, 16);
		spin(scene, 20);
		assert_true(scene->fake.pending <= 16);
	}
	assert_int_equal(scene->fake.joins, 41);
	WAIT(scene, heard(scene, "past all others") == 1 && is_all_done(scene));
	say(scene, "held up");
	WAIT(scene, heard(scene, "Alice: held up") == 1 && is_all_done(scene));
	fake_server_release(&scene->fake, 1);
	SAID(scene, "there");
	assert_string_equal(heard_from(scene, "there"), "Alice");
}

/* Whoever has not knocked yet when the bot is put out does not any more. */
static void
test_pace_and_bot_kicked(void **state)
{
	struct scene *scene = *state;
	unsigned joining = 0, parted = 0;
	struct member *member;

	READY(scene);
	scene->fake.hold_joins = true;
	want_many(scene, 40);
	WAIT(scene, scene->fake.pending == 12);
	fake_server_remove(&scene->fake, MUC, "Sourdine", "307", NULL);
	WAIT(scene, room_of(scene)->phase == ROOM_SHUT);
	LIST_FOR_EACH(member, &room_of(scene)->members, struct member, link) {
		joining += member->state == GHOST_JOINING;
		parted += member->state == GHOST_PARTED;
	}
	assert_int_equal(joining, 12);
	assert_int_equal(parted, 28);
	fake_server_release(&scene->fake, 12);
	spin(scene, 100);
	assert_int_equal(scene->fake.pending, 0);
	assert_int_equal(scene->fake.joins, 13);
}

/* While one ghost is let in, so are those who speak after it; what they say keeps its order. */
static void
test_foresees(void **state)
{
	struct scene *scene = *state;
	static const char *const names[] = { "Carol", "Dave", "Eve" };

	READY(scene);
	scene->fake.hold_joins = true;
	for (size_t i = 0; i < 3; i++) {
		AUTO_FREE char *person = xasprintf("@%s:hs", names[i]);
		say_as(scene, person, names[i], names[i]);
	}
	WAIT(scene, scene->fake.pending == 3);
	assert_int_equal(heard(scene, "Carol"), 0);
	fake_server_release(&scene->fake, 3);
	WAIT(scene, is_all_done(scene));
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(heard_from(scene, names[i]), names[i]);
}

/* Nobody is let in before his turn who has no place, or whose place would be another's; in doubt nobody is. */
static void
test_foresees_within_limits(void **state)
{
	struct scene *scene = *state;
	struct jabber *jabber = (struct jabber *)scene->port;

	READY(scene);
	SAID(scene, "silent for long");
	member_of(scene, "@alice:hs")->spoke_ms -= 25 * 3600000LL;
	jabber->settings.ghosts = 2;
	scene->fake.hold_joins = true;
	say_as(scene, "@carol:hs", "Carol", "first");
	say_as(scene, "@dave:hs", "Dave", "second");
	WAIT(scene, scene->fake.pending == 1);
	spin(scene, 50);
	assert_int_equal(scene->fake.pending, 1);
	assert_non_null(member_of(scene, "@alice:hs"));
	/* It is his turn. */
	fake_server_release(&scene->fake, 1);
	WAIT(scene, heard(scene, "first") == 1 && scene->fake.pending == 1);
	assert_null(member_of(scene, "@alice:hs"));
	fake_server_release(&scene->fake, 1);
	WAIT(scene, heard(scene, "second") == 1 && is_all_done(scene));
	/* What Carol said is in doubt when nobody is in any more. */
	scene->fake.hold_joins = false;
	scene->fake.careless = true;
	say_as(scene, "@carol:hs", "Carol", "in doubt");
	WAIT(scene, fake_server_count(&scene->fake, "<body>in doubt") == 1);
	scene->fake.careless = false;
	fake_server_hang_up(&scene->fake);
	scene->fake.occupant_count = 0;
	scene->fake.hold_joins = true;
	for (int i = 0; i < 8; i++) {
		AUTO_FREE char *person = xasprintf("@p%d:hs", i);
		say_as(scene, person, person + 1, person);
	}
	WAIT(scene, scene->fake.pending == 1);
	spin(scene, 50);
	assert_int_equal(scene->fake.pending, 1);
	assert_true(room_of(scene)->member_count <= 2);
	scene->fake.hold_joins = false;
	fake_server_release(&scene->fake, 1);
	WAIT(scene, is_all_done(scene));
	assert_int_equal(heard(scene, "in doubt"), 1);
	assert_true(room_of(scene)->member_count <= 2);
}

/* ---- poor services ---- */

/* A room that gives ids of its own to what it reflects. */
static void
test_ids_of_its_own(void **state)
{
	struct scene *scene = *state;

	scene->fake.own_ids = true;
	READY(scene);
	for (int i = 0; i < 2; i++) {
		say(scene, i ? "third" : "first");
		say_as(scene, "@dave:hs", "Dave", i ? "fourth" : "second");
		WAIT(scene, is_all_done(scene) && heard(scene, i ? "fourth" : "second") == 1);
		/* Nor does it keep what we add. */
		scene->fake.no_origin_ids = true;
	}
	assert_int_equal(heard(scene, "first") + heard(scene, "second") + heard(scene, "third") + heard(scene, "fourth"), 4);
	spin(scene, 50);
	assert_int_equal(scene->matrix.count, 0);
}

/* Without an archive what was in doubt goes again, and is counted. */
static void
test_no_archive(void **state)
{
	struct scene *scene = *state;
	int64_t possible = metric_get(METRIC_DUPLICATES_POSSIBLE);

	scene->fake.no_archive = scene->fake.no_ids = true;
	READY(scene);
	SAID(scene, "once");
	scene->fake.deaf = true;
	say(scene, "in doubt");
	WAIT(scene, heard(scene, "in doubt") == 1);
	fake_server_hang_up(&scene->fake);
	scene->fake.deaf = false;
	WAIT(scene, heard(scene, "in doubt") == 2 && is_all_done(scene));
	assert_int_equal(heard(scene, "once"), 1);
	assert_int_equal(metric_get(METRIC_DUPLICATES_POSSIBLE) - possible, 1);
}

/* ---- archives that fail ---- */

/* The stream is lost, something is said meanwhile, and the archive answers the next `failures` queries with this error. */
static void
miss(struct scene *scene, const char *error, const char *type, unsigned failures)
{
	READY(scene);
	fake_server_enter(&scene->fake, "bob@x.org/r", MUC, "Bob");
	fake_server_speak(&scene->fake, MUC, "Bob", "b1", "before");
	WAIT(scene, told(scene, "before") == 1);
	spin(scene, 20);
	fake_server_hang_up(&scene->fake);
	fake_server_speak(&scene->fake, MUC, "Bob", "b2", "away");
	scene->fake.archive_error = error;
	scene->fake.archive_error_type = type;
	scene->fake.archive_failures = failures;
	WAIT(scene, scene->fake.archive_failures == failures - 1);
	spin(scene, 20);
}

/* Where in what Matrix was given these words stand. */
static int
place_of(struct scene *scene, const char *words)
{
	int i = 0;

	while (i < scene->matrix.count && !strstr(scene->matrix.rows[i].payload, words))
		i++;
	return i;
}

/* What is said while the archive cannot answer waits behind what the archive holds. */
static void
test_archive_fails_for_now(void **state)
{
	struct scene *scene = *state;
	char why[256];

	miss(scene, "internal-server-error", "cancel", 3);
	fake_server_speak(&scene->fake, MUC, "Bob", "b3", "live");
	spin(scene, 50);
	assert_int_equal(told(scene, "away") + told(scene, "live"), 0);
	jabber_trouble(scene->port, MUC, why, sizeof(why));
	assert_non_null(strstr(why, "asked again"));
	for (unsigned left = 2; left-- > 0;) {
		assert_true(loop_timer_armed(&room_of(scene)->asking));
		loop_timer_set(&room_of(scene)->asking, 0);
		WAIT(scene, scene->fake.archive_failures == left);
		spin(scene, 20);
		assert_true(inbox_gate_closed(scene->core->inbox, MUC));
	}
	loop_timer_set(&room_of(scene)->asking, 0);
	WAIT(scene, told(scene, "live") == 1);
	assert_int_equal(told(scene, "away"), 1);
	assert_true(place_of(scene, "away") < place_of(scene, "live"));
	READY(scene);
	jabber_trouble(scene->port, MUC, why, sizeof(why));
	assert_string_equal(why, "");
	assert_int_equal(jabber_hole(scene->port, MUC), 0);
}

/* The room's server cannot be reached: it is entered again later. */
static void
test_archive_out_of_reach(void **state)
{
	struct scene *scene = *state;

	miss(scene, "remote-server-timeout", "wait", 1);
	assert_int_equal(room_of(scene)->phase, ROOM_OUT);
	fake_server_speak(&scene->fake, MUC, "Bob", "b3", "live");
	spin(scene, 50);
	assert_int_equal(told(scene, "live"), 0);
	loop_timer_set(&room_of(scene)->retry, 0);
	WAIT(scene, told(scene, "live") == 1);
	assert_int_equal(told(scene, "away"), 1);
	assert_true(place_of(scene, "away") < place_of(scene, "live"));
}

static void
see_archived(void *context, const struct archived *archived)
{
	(void)context, (void)archived;
}

static void
see_end(void *context, const char *failure)
{
	assert_null(failure);
	*(bool *)context = true;
}

/* The operator is told of what may be missing, until an audit that goes far enough back has taken it in. */
static void
check_hole(struct scene *scene)
{
	bool done = false;
	struct archive_reader reader = { .since_ms = now_real_ms(), .repair = true, .each = see_archived, .done = see_end, .context = &done };

	fake_server_speak(&scene->fake, MUC, "Bob", "b3", "live");
	WAIT(scene, told(scene, "live") == 1);
	assert_int_equal(told(scene, "away"), 0);
	READY(scene);
	int64_t hole_ms = jabber_hole(scene->port, MUC);
	assert_true(hole_ms > now_real_ms() - 60000 && hole_ms < now_real_ms());
	scene->port->ops->read_archive(scene->port, MUC, &reader);
	WAIT(scene, done);
	assert_int_equal(jabber_hole(scene->port, MUC), hole_ms);
	done = false;
	reader.since_ms = hole_ms - 1000;
	scene->port->ops->read_archive(scene->port, MUC, &reader);
	WAIT(scene, done && told(scene, "away") == 1);
	assert_int_equal(jabber_hole(scene->port, MUC), 0);
}

static void
test_archive_fails_for_long(void **state)
{
	struct scene *scene = *state;

	miss(scene, "service-unavailable", "cancel", 2);
	room_of(scene)->archive.failing_ms -= 10 * 60000;
	loop_timer_set(&room_of(scene)->asking, 0);
	check_hole(scene);
}

static void
test_archive_forbidden(void **state)
{
	miss(*state, "forbidden", "auth", 1);
	check_hole(*state);
}

/* Nothing came after what could not be read, so that it is read at the next opportunity. */
static void
test_archive_allowed_again(void **state)
{
	struct scene *scene = *state;

	miss(scene, "forbidden", "auth", 1);
	READY(scene);
	assert_true(jabber_hole(scene->port, MUC) > 0);
	fake_server_hang_up(&scene->fake);
	WAIT(scene, told(scene, "away") == 1);
	READY(scene);
	assert_int_equal(jabber_hole(scene->port, MUC), 0);
}

/* What may have been said is not said again only because the archive cannot answer for now. */
static void
test_archive_fails_in_doubt(void **state)
{
	struct scene *scene = *state;

	READY(scene);
	SAID(scene, "before");
	scene->fake.deaf = true;
	say(scene, "taken");
	WAIT(scene, heard(scene, "taken") == 1);
	spin(scene, 50);
	scene->fake.archive_error = "internal-server-error";
	scene->fake.archive_error_type = "wait";
	scene->fake.archive_failures = 1;
	LIST_ENTRY(room_of(scene)->speeches.next, struct speech, link)->sent_ms -= 21000;
	loop_timer_set(&room_of(scene)->watch, 0);
	WAIT(scene, !scene->fake.archive_failures);
	spin(scene, 50);
	assert_int_equal(heard(scene, "taken"), 1);
	scene->fake.deaf = false;
	loop_timer_set(&room_of(scene)->asking, 0);
	WAIT(scene, is_all_done(scene));
	assert_int_equal(heard(scene, "taken"), 1);
}

/* ---- private messages ---- */

/* Bob, who is on XMPP, says something that Matrix does not take; the bot is to tell him. */
static void
have_bob_told(struct scene *scene, const char *id)
{
	int before = scene->matrix.count;

	if (!fake_server_find(&scene->fake, MUC, "Bob"))
		fake_server_enter(&scene->fake, "bob@x.org/r", MUC, "Bob");
	AUTO_FREE char *said = xasprintf("<message type='groupchat' from='" MUC "/Bob' to='bot@" COMPONENT "/sourdine' id='%s'><body>mine</body>"
		"<stanza-id xmlns='" NS_SID "' by='" MUC "' id='%s'/></message>", id, id);
	scene->matrix.answers = false;
	fake_server_say(&scene->fake, said);
	WAIT(scene, scene->matrix.count == before + 1);
	outbox_refused(scene->core->outbox, fake_port_last(&scene->matrix)->id, REFUSAL_OTHER, NULL);
	scene->matrix.answers = true;
}

static unsigned
whispers(struct scene *scene)
{
	return fake_server_count(&scene->fake, "to=\"" MUC "/Bob\" type=\"chat\"");
}

static void
test_whisper(void **state)
{
	struct scene *scene = *state;

	READY(scene);
	have_bob_told(scene, "b1");
	WAIT(scene, whispers(scene) == 1 && is_all_done(scene));
	/* The server takes no more of them: an error comes before the barrier's ping. */
	have_bob_told(scene, "b2");
	WAIT(scene, whispers(scene) == 2);
	const char *at = scene->fake.got.p;
	for (const char *next = at; (next = strstr(next, "type=\"chat\" id=\"")); next++)
		at = next + strlen("type=\"chat\" id=\"");
	AUTO_FREE char *id = xstrndup(at, strcspn(at, "\""));
	AUTO_FREE char *error = xasprintf("<message type='error' from='" MUC "/Bob' to='bot@" COMPONENT "/sourdine' id='%s'><error type='cancel'>"
		"<item-not-found xmlns='" NS_STANZAS "'/></error></message>", id);
	fake_server_say(&scene->fake, error);
	WAIT(scene, is_all_done(scene));
	assert_int_equal(whispers(scene), 2);
}

/* What the kernel took is said once, though the process dies, or starts over, before it knows. */
static void
test_whisper_and_reset(void **state)
{
	struct scene *scene = *state;

	READY(scene);
	have_bob_told(scene, "b1");
	WAIT(scene, whispers(scene) == 1);
	scene->port->ops->reset(scene->port);
	WAIT(scene, scene->fake.connections == 2 && is_all_done(scene));
	READY(scene);
	spin(scene, 50);
	assert_int_equal(whispers(scene), 1);
	have_bob_told(scene, "b2");
	WAIT(scene, whispers(scene) == 2);
	spin(scene, 20);
	close_bridge(scene);
	open_bridge(scene);
	READY(scene);
	WAIT(scene, is_all_done(scene));
	spin(scene, 50);
	assert_int_equal(whispers(scene), 2);
}

/* ---- no answer ---- */

static void
test_no_reflection(void **state)
{
	struct scene *scene = *state;

	READY(scene);
	SAID(scene, "before");
	scene->fake.deaf = true;
	say(scene, "taken");
	WAIT(scene, heard(scene, "taken") == 1);
	spin(scene, 50);
	assert_int_equal(room_of(scene)->speech_count, 1);
	LIST_ENTRY(room_of(scene)->speeches.next, struct speech, link)->sent_ms -= 21000;
	loop_timer_set(&room_of(scene)->watch, 0);
	WAIT(scene, is_all_done(scene));
	assert_int_equal(heard(scene, "taken"), 1);
	/* Neither reflected nor taken: once more. */
	scene->fake.careless = true;
	say(scene, "forgotten");
	WAIT(scene, fake_server_count(&scene->fake, "<body>forgotten") == 1);
	spin(scene, 50);
	scene->fake.careless = scene->fake.deaf = false;
	LIST_ENTRY(room_of(scene)->speeches.next, struct speech, link)->sent_ms -= 21000;
	loop_timer_set(&room_of(scene)->watch, 0);
	WAIT(scene, heard(scene, "forgotten") == 1 && is_all_done(scene));
}

/* A row that was tried under a ghost's name, and the ghost cannot come back: it is not said by the bot, and blocks its lane only so long. */
static void
test_hopeless(void **state)
{
	struct scene *scene = *state;

	READY(scene);
	SAID(scene, "before");
	scene->fake.careless = true;
	say(scene, "never taken");
	WAIT(scene, fake_server_count(&scene->fake, "<body>never taken") == 1);
	scene->fake.careless = false;
	fake_server_hang_up(&scene->fake);
	scene->fake.occupant_count = 0;
	scene->fake.refuse = refuse_nicks;
	say_as(scene, "@dave:hs", "Dave", "behind it");
	WAIT(scene, member_of(scene, "@alice:hs")->state == GHOST_REFUSED);
	spin(scene, 1200);
	assert_int_equal(heard(scene, "Dave: behind it"), 0);
	room_of(scene)->awaited_ms -= 121000;
	WAIT(scene, told(scene, "no nickname") == 1 && heard(scene, "Dave: behind it") == 1 && is_all_done(scene));
	assert_int_equal(heard(scene, "never taken") + heard(scene, "Alice: never taken"), 0);
}

/* ---- coming in ---- */

static void
test_fresh_room(void **state)
{
	struct scene *scene = *state;

	scene->fake.fresh = true;
	READY(scene);
	assert_int_equal(fake_server_count(&scene->fake, "muc#roomconfig_whois"), 1);
	SAID(scene, "hello, new room");
}

/* Nobody is to be taken for somebody else. */
static void
test_look_alike(void **state)
{
	struct scene *scene = *state;

	READY(scene);
	fake_server_enter(&scene->fake, "bob@x.org/r", MUC, "Bob");
	WAIT(scene, room_of(scene)->occupants.count == 2);
	say_as(scene, "@mallory:hs", "B0b", "I am Bob");
	WAIT(scene, heard(scene, "I am Bob") == 1 && is_all_done(scene));
	assert_string_equal(heard_from(scene, "I am Bob"), "B0b [m]");
}

#define CYRILLIC_ALICE "\xD0\x90lice"

/* Nor when both come in at once, nor when one comes back: who is on his way bears his nick already. */
static void
test_look_alikes_together(void **state)
{
	struct scene *scene = *state;

	READY(scene);
	scene->fake.hold_joins = true;
	say(scene, "I am Alice");
	say_as(scene, "@mallory:hs", CYRILLIC_ALICE, "so am I");
	WAIT(scene, scene->fake.pending == 2);
	fake_server_release(&scene->fake, 2);
	WAIT(scene, is_all_done(scene));
	assert_string_equal(heard_from(scene, "I am Alice"), "Alice");
	assert_string_equal(heard_from(scene, "so am I"), CYRILLIC_ALICE " [m]");
	/* Nobody is in any more, and the one does not know it yet when the other comes in. */
	scene->fake.hold_joins = false;
	fake_server_hang_up(&scene->fake);
	scene->fake.occupant_count = 0;
	say_as(scene, "@trudy:hs", "AIice", "so is she");
	WAIT(scene, heard(scene, "so is she") == 1 && is_all_done(scene));
	assert_string_equal(heard_from(scene, "so is she"), "AIice [trudy]");
	SAID(scene, "I am back");
	assert_string_equal(heard_from(scene, "I am back"), "Alice");
	/* She went, another took her looks, and she comes back. */
	fake_server_remove(&scene->fake, MUC, "Alice", "307 333", NULL);
	WAIT(scene, member_of(scene, "@alice:hs")->state == GHOST_BACKOFF);
	say_as(scene, "@eve:hs", CYRILLIC_ALICE, "now I am");
	WAIT(scene, heard(scene, "now I am") == 1 && is_all_done(scene));
	assert_string_equal(heard_from(scene, "now I am"), CYRILLIC_ALICE);
	WAIT(scene, member_of(scene, "@alice:hs")->state == GHOST_PARTED);
	SAID(scene, "no, I am");
	assert_string_equal(heard_from(scene, "no, I am"), "Alice [alice]");
}

/* A service under another domain is not stormed. */
static void
test_pace_far(void **state)
{
	struct scene *scene = *state;

	spin(scene, 20);
	close_bridge(scene);
	scene->settings.component = "sourdine.example.org";
	open_bridge(scene);
	READY(scene);
	unsigned before = scene->fake.joins;
	int64_t start_ms = now_monotonic_ms();
	for (int i = 0; i < 4; i++) {
		AUTO_FREE char *person = xasprintf("@p%d:hs", i);
		struct author author = { person, person + 1, person + 1 };
		member_step(member_for(room_of(scene), &author), GHOST_WANTED);
	}
	WAIT(scene, scene->fake.joins == before + 4);
	assert_true(now_monotonic_ms() - start_ms >= 590);
}

/* Another room of that service, and who speaks there, do not wait behind those whose turn has not come. */
static void
test_pace_far_is_fair(void **state)
{
	struct scene *scene = *state;

	spin(scene, 20);
	close_bridge(scene);
	scene->settings.component = "sourdine.example.org";
	open_bridge(scene);
	READY(scene);
	unsigned before = scene->fake.joins;
	int64_t start_ms = now_monotonic_ms();
	want_many(scene, 30);
	groups_add(&scene->core->groups, "n", "!n:hs", "n@rooms.localhost", false);
	scene->port->ops->enter(scene->port, groups_of_room(&scene->core->groups, "!n:hs"));
	inbox_open_gate(scene->core->inbox, "!n:hs", NULL, 0, NULL, 0);
	struct room *other = muc_find((struct jabber *)scene->port, "n@rooms.localhost");
	assert_non_null(other);
	WAIT(scene, other->phase == ROOM_READY);
	static const char raw[] = "@zoe:hs\nZoe\nhello there";
	assert_int_equal(inbox_accept(scene->core->inbox, NETWORK_MATRIX, "!n:hs", "$z", raw, strlen(raw)), 0);
	WAIT(scene, heard(scene, "hello there") == 1);
	assert_true(now_monotonic_ms() - start_ms < 3000);
	assert_true(scene->fake.joins < before + 20);
	assert_string_equal(heard_from(scene, "hello there"), "Zoe");
}

/* ---- liveness ---- */

static void
test_self_ping(void **state)
{
	struct scene *scene = *state;

	READY(scene);
	SAID(scene, "before");
	/* All is well: nothing happens but the pings. */
	room_of(scene)->heard_ms -= 6 * 60000;
	member_of(scene, "@alice:hs")->alive_ms -= 13 * 60000;
	unsigned pings = fake_server_count(&scene->fake, NS_PING);
	loop_timer_set(&room_of(scene)->pulse, 0);
	WAIT(scene, fake_server_count(&scene->fake, NS_PING) == pings + 2);
	spin(scene, 50);
	assert_int_equal(room_of(scene)->phase, ROOM_READY);
	/* Everybody was thrown out without a word. */
	scene->fake.occupant_count = 0;
	room_of(scene)->heard_ms -= 6 * 60000;
	loop_timer_set(&room_of(scene)->pulse, 0);
	WAIT(scene, fake_server_find(&scene->fake, MUC, "Sourdine") != NULL);
	READY(scene);
	SAID(scene, "after");
	assert_string_equal(heard_from(scene, "after"), "Alice");
	/* Only the ghost. */
	scene->fake.occupant_count = 1;
	member_of(scene, "@alice:hs")->alive_ms -= 13 * 60000;
	loop_timer_set(&room_of(scene)->pulse, 0);
	WAIT(scene, member_of(scene, "@alice:hs")->state == GHOST_PARTED);
	assert_int_equal(room_of(scene)->phase, ROOM_READY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_crosses), TEST(test_hidden_room), TEST(test_stream_lost), TEST(test_restart), TEST(test_reset),
		TEST(test_every_nick_taken), TEST(test_simpler_nick), TEST(test_no_nick_for_the_bot), TEST(test_renamed),
		TEST(test_kicked), TEST(test_banned), TEST(test_removed), TEST(test_bot_kicked), TEST(test_bot_kicked_and_stream_down),
		TEST(test_late_echoes), TEST(test_kicked_from_a_plumbed_room),
		TEST(test_destroyed), TEST(test_moderated), TEST(test_message_errors), TEST(test_wait_error),
		TEST(test_members_only_as_owner), TEST(test_members_only_without_rights), TEST(test_members_only_grant_refused),
		TEST(test_full_or_locked), TEST(test_bot_kept_out), TEST(test_bot_and_full_room), TEST(test_places), TEST(test_idle),
		TEST(test_a_ban_ends_a_digest), TEST(test_a_ban_of_somebody_absent_ends_a_digest),
		TEST(test_a_ban_meanwhile_ends_a_digest), TEST(test_a_nick_that_changed_hands),
		TEST(test_idle_with_a_message), TEST(test_pace), TEST(test_pace_and_bot_kicked), TEST(test_foresees), TEST(test_foresees_within_limits),
		TEST(test_ids_of_its_own), TEST(test_no_archive),
		TEST(test_archive_fails_for_now), TEST(test_archive_out_of_reach), TEST(test_archive_fails_for_long), TEST(test_archive_forbidden),
		TEST(test_archive_allowed_again),
		TEST(test_archive_fails_in_doubt), TEST(test_self_ping),
		TEST(test_whisper), TEST(test_whisper_and_reset), TEST(test_no_reflection), TEST(test_hopeless), TEST(test_fresh_room),
		TEST(test_look_alike), TEST(test_look_alikes_together), TEST(test_pace_far), TEST(test_pace_far_is_fair),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
