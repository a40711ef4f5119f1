/* SPDX-License-Identifier: Apache-2.0 */
/* The outbox alone, between a real store and a port that the test plays: each row to each of its ends. */
#include "core/outbox_rows.h"

#include "base/log.h"
#include "base/now.h"
#include "core/core.h"
#include "core/inbox_rows.h"
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

#define LANE "!a:hs"
#define OTHER "!b:hs"
#define MUC "m@rooms.x"
#define SENT_MAX 600

struct scene {
	char directory[SCRATCH_SIZE];
	struct store *store;
	struct seal *seal;
	struct core *core;
	struct outbox *outbox;
	struct port matrix, xmpp;
	int made;               /* drafts so far: each has a name of its own */
};

/* What both ports were given, and what they answer. */
static struct {
	struct {
		int64_t id;
		char lane[32], name[40], payload[256], person[32];
		bool tried;
	} sent[SENT_MAX];
	int count;
	unsigned window;
	const char *busy;       /* a lane for which they are not ready; NULL: none */
	size_t part;            /* bytes that fit */
} ports;

static void
fake_render(struct port *port, const struct outgoing *outgoing, struct str *out)
{
	(void)port;
	str_addf(out, "%s|%s|%s", outgoing->author.name ? outgoing->author.name : "bot", outgoing->reply_to ? outgoing->reply_to : "", outgoing->text);
}

static size_t
fake_fits(struct port *port, const char *text, size_t n)
{
	(void)port, (void)text;
	return n < ports.part ? n : ports.part;
}

static unsigned
fake_ready(struct port *port, const char *lane, const struct author *author)
{
	(void)port, (void)author;
	return ports.busy && strcmp(ports.busy, lane) == 0 ? 0 : ports.window;
}

static void
fake_send(struct port *port, const struct sending *row)
{
	(void)port;
	assert_true(ports.count < SENT_MAX);
	ports.sent[ports.count].id = row->id;
	ports.sent[ports.count].tried = row->tried;
	snprintf(ports.sent[ports.count].lane, sizeof(ports.sent[0].lane), "%s", row->lane);
	snprintf(ports.sent[ports.count].name, sizeof(ports.sent[0].name), "%s", row->name);
	snprintf(ports.sent[ports.count].payload, sizeof(ports.sent[0].payload), "%s", row->payload);
	snprintf(ports.sent[ports.count++].person, sizeof(ports.sent[0].person), "%s", row->author.person ? row->author.person : "");
}

static const struct port_ops matrix_ops = {
	.network = NETWORK_MATRIX, .render = fake_render, .fits = fake_fits, .ready = fake_ready, .send = fake_send,
};
static const struct port_ops xmpp_ops = {
	.network = NETWORK_XMPP, .render = fake_render, .fits = fake_fits, .ready = fake_ready, .send = fake_send,
};

/* ---- the scene ---- */

static void
open_core(struct scene *scene, const char *key)
{
	struct core_settings settings = { .language = "en", .matrix_bot = "@sourdine:hs", .nick = "Sourdine", .xmpp_bot = "bot@c.x",
		.charters = scene->directory };
	AUTO_FREE char *path = xasprintf("%s/%s", scene->directory, key);
	bool created;

	assert_int_equal(store_open(&scene->store, scene->directory, &created), 0);
	assert_int_equal(seal_open(&scene->seal, path, true), 0);
	scene->core = core_open(scene->store, scene->seal, &settings);
	scene->outbox = scene->core->outbox;
	groups_add(&scene->core->groups, "m", LANE, MUC, false);
	scene->matrix.ops = &matrix_ops;
	scene->xmpp.ops = &xmpp_ops;
	scene->core->port[NETWORK_MATRIX] = &scene->matrix;
	scene->core->port[NETWORK_XMPP] = &scene->xmpp;
	assert_int_equal(store_commit(scene->store), 0);
}

static void
close_core(struct scene *scene)
{
	core_close(scene->core);
	store_close(scene->store);
	seal_close(scene->seal);
}

static int
set_up(void **state)
{
	struct scene *scene = xcalloc(1, sizeof(*scene));

	memset(&ports, 0, sizeof(ports));
	ports.window = 16;
	ports.part = 200;
	log_register(scratch_drop_line);
	scratch_make(scene->directory);
	open_core(scene, "one.key");
	*state = scene;
	return 0;
}

static int
tear_down(void **state)
{
	struct scene *scene = *state;

	close_core(scene);
	scratch_remove(scene->directory);
	free(scene);
	return 0;
}

/* What outbox does in a turn, committed. */
static void
turn(struct scene *scene)
{
	outbox_pick(scene->outbox, now_rules_ms());
	assert_int_equal(store_commit(scene->store), 0);
	outbox_send(scene->outbox, true);
	assert_int_equal(store_commit(scene->store), 0);
}

static struct outbox_draft
draft_of(enum network network, const char *lane, const char *text)
{
	return (struct outbox_draft){
		.outgoing = { .kind = OUTGOING_MESSAGE, .lane = lane, .text = text, .author = { "@alice:hs", "alice:hs", "Alice" } },
		.network = network, .group = "m",
	};
}

/* Adds a row under a name that no other has. */
static void
add(struct scene *scene, struct outbox_draft draft)
{
	AUTO_FREE char *number = xasprintf("%d", ++scene->made);

	draft.source = (const char *const[]){ "test", number, NULL };
	outbox_add(scene->outbox, &draft);
}

static void
add_text(struct scene *scene, const char *lane, const char *text)
{
	add(scene, draft_of(strchr(lane, '@') ? NETWORK_XMPP : NETWORK_MATRIX, lane, text));
}

/* A message of the inbox, for rows that came from one. */
static int64_t
accept(struct scene *scene, const char *id)
{
	assert_int_equal(inbox_accept(scene->core->inbox, NETWORK_XMPP, MUC, id, "raw", 3), 0);
	return inbox_seq(scene->core->inbox, MUC, id);
}

static int64_t
last_id(void)
{
	assert_true(ports.count > 0);
	return ports.sent[ports.count - 1].id;
}

static struct outbox_counts
counts_of(struct scene *scene)
{
	struct outbox_counts counts;

	outbox_count(scene->outbox, &counts);
	return counts;
}

/* ---- adding ---- */

static void
test_names(void **state)
{
	struct scene *scene = *state;
	static const char *const many[] = { "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", NULL };
	struct outbox_draft draft = draft_of(NETWORK_MATRIX, LANE, "x");

	draft.source = many;
	draft.inbox_seq = accept(scene, "s1");
	outbox_add(scene->outbox, &draft);
	assert_int_equal(outbox_messages(scene->outbox), 1);
	/* The same again is the same row. */
	outbox_add(scene->outbox, &draft);
	assert_int_equal(outbox_messages(scene->outbox), 1);
	/* Neither a notice nor a message out of nothing counts as a copy. */
	draft.outgoing.kind = OUTGOING_ROOM;
	outbox_add(scene->outbox, &draft);
	draft.outgoing.kind = OUTGOING_MESSAGE;
	draft.inbox_seq = 0;
	draft.part = 1;
	outbox_add(scene->outbox, &draft);
	assert_int_equal(outbox_messages(scene->outbox), 1);
	turn(scene);
	assert_int_equal(ports.count, 3);
	assert_string_not_equal(ports.sent[0].name, ports.sent[1].name);
	assert_string_not_equal(ports.sent[1].name, ports.sent[2].name);
}

static void
test_split(void **state)
{
	static const struct {
		const char *text, *parts[4];
	} cases[] = {
		{ "short", { "short" } },
		{ "0123456789abcdefghijklmno", { "0123456789abcdefghij", "klmno" } },             /* nowhere to cut */
		{ "One sentence is. Another one", { "One sentence is.", " Another one" } },
		{ "One sentence is! Another one", { "One sentence is!", " Another one" } },
		{ "One line that is\nanother one", { "One line that is\n", "another one" } },
		{ "some words and some more", { "some words and some ", "more" } },
		{ "words, words and wooooords", { "words, words and ", "wooooords" } },
		{ "a. 0123456789012345678901", { "a. 01234567890123456", "78901" } },             /* too early to cut */
		{ "", { "" } },
	};
	struct scene *scene = *state;

	ports.part = 20;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct outbox_draft draft = draft_of(NETWORK_MATRIX, LANE, cases[i].text);
		AUTO_FREE char *number = xasprintf("split%zu", i);
		draft.source = (const char *const[]){ number, NULL };
		draft.outgoing.reply_to = "$r";
		int from = ports.count;
		assert_true(outbox_add_split(scene->outbox, &draft));
		turn(scene);
		for (int part = 0; part < 4 && cases[i].parts[part]; part++) {
			AUTO_FREE char *wanted = xasprintf("Alice|%s|%s", part ? "" : "$r", cases[i].parts[part]);
			assert_true(ports.count > from + part);
			assert_string_equal(ports.sent[from + part].payload, wanted);
			outbox_settled(scene->outbox, ports.sent[from + part].id, "$e");
		}
		assert_int_equal(ports.count - from, cases[i].parts[1] ? 2 : 1);
	}
	ports.part = 1;
	struct outbox_draft draft = draft_of(NETWORK_MATRIX, LANE, "0123456789012345678901234567890123456789012345678901234567890123456789");
	draft.source = (const char *const[]){ "long", NULL };
	assert_false(outbox_add_split(scene->outbox, &draft));
	turn(scene);
	assert_int_equal(counts_of(scene).flying, 0);
}

/* ---- due ---- */

static void
test_due(void **state)
{
	struct scene *scene = *state;
	int64_t now_ms = now_rules_ms();
	struct outbox_draft draft = draft_of(NETWORK_MATRIX, LANE, "later");

	outbox_close(NULL);
	assert_int_equal(outbox_next_due(scene->outbox), 0);
	turn(scene);
	assert_true(outbox_next_due(scene->outbox) == INT64_MAX);
	draft.held = true;
	draft.inbox_seq = accept(scene, "s1");
	draft.due_ms = now_ms + 3600000;
	add(scene, draft);
	assert_int_equal(outbox_next_due(scene->outbox), now_ms + 3600000);
	draft.due_ms = now_ms + 7200000;
	add(scene, draft);
	assert_int_equal(outbox_next_due(scene->outbox), now_ms + 3600000);
	assert_int_equal(outbox_due_of(scene->outbox, draft.inbox_seq, LANE), now_ms + 7200000);
	assert_int_equal(outbox_due_of(scene->outbox, 99, LANE), 0);
	assert_int_equal(counts_of(scene).held, 2);
	turn(scene);
	assert_int_equal(ports.count, 0);
	assert_false(outbox_restless(scene->outbox));
	/* Held until an instant that is over; and a plan for what is not held means nothing. */
	draft.due_ms = now_ms - 1;
	add(scene, draft);
	draft.held = false;
	draft.due_ms = now_ms + 7200000;
	add(scene, draft);
	turn(scene);
	assert_int_equal(ports.count, 2);
	assert_int_equal(counts_of(scene).held, 2);
	/* Nor does it have anything looked for. */
	add(scene, draft);
	assert_int_equal(outbox_next_due(scene->outbox), now_ms + 3600000);
	turn(scene);
	assert_int_equal(ports.count, 3);
	outbox_replan(scene->outbox, draft.inbox_seq, "m", now_ms - 1);
	turn(scene);
	assert_int_equal(ports.count, 5);
}

static void
test_release_is_announced(void **state)
{
	struct scene *scene = *state;
	int64_t due_ms = now_rules_ms() + 1000;

	/* Of the group's room, of another group's, and of one that is gone. */
	for (int i = 0; i < 8; i++) {
		AUTO_FREE char *id = xasprintf("s%d", i);
		struct outbox_draft draft = draft_of(NETWORK_MATRIX, LANE, "held");
		draft.held = true;
		draft.due_ms = due_ms;
		draft.inbox_seq = accept(scene, id);
		add(scene, draft);
		draft.outgoing.lane = OTHER;
		draft.group = "gone";
		add(scene, draft);
		draft.group = "m";
		draft.network = NETWORK_XMPP;
		draft.outgoing.lane = MUC;
		if (i < 5)
			add(scene, draft);
	}
	turn(scene);
	assert_int_equal(ports.count, 0);
	ports.window = 100;
	outbox_pick(scene->outbox, due_ms);
	assert_int_equal(store_commit(scene->store), 0);
	outbox_send(scene->outbox, true);
	assert_int_equal(ports.count, 8 + 8 + 5 + 1);
	int announced = 0;
	for (int i = 0; i < ports.count; i++)
		if (strncmp(ports.sent[i].payload, "bot|", 4) == 0) {
			announced++;
			assert_string_equal(ports.sent[i].lane, LANE);
			/* Before the first of them. */
			for (int before = 0; before < i; before++)
				assert_string_not_equal(ports.sent[before].lane, LANE);
		}
	assert_int_equal(announced, 1);
}

/* ---- handing out ---- */

static void
test_windows(void **state)
{
	struct scene *scene = *state;

	ports.window = 1000;
	for (int i = 0; i < 300; i++)
		add_text(scene, LANE, "x");
	turn(scene);
	assert_int_equal(ports.count, 256);
	assert_true(outbox_restless(scene->outbox));
	turn(scene);
	assert_int_equal(ports.count, 300);
	assert_int_equal(counts_of(scene).flying, 300);
	outbox_lost(scene->outbox, NETWORK_MATRIX, false);
	ports.window = 2;
	turn(scene);
	assert_int_equal(ports.count, 302);
	assert_true(ports.sent[301].tried);
	assert_false(outbox_restless(scene->outbox));
	outbox_wake(scene->outbox);
	assert_true(outbox_restless(scene->outbox));
}

static void
test_no_port(void **state)
{
	struct scene *scene = *state;

	add_text(scene, LANE, "x");
	scene->core->port[NETWORK_MATRIX] = NULL;
	turn(scene);
	assert_int_equal(ports.count, 0);
	scene->core->port[NETWORK_MATRIX] = &scene->matrix;
	turn(scene);
	assert_int_equal(ports.count, 1);
}

static void
test_commit_fails(void **state)
{
	struct scene *scene = *state;

	add_text(scene, LANE, "x");
	assert_int_equal(store_commit(scene->store), 0);
	outbox_pick(scene->outbox, now_rules_ms());
	outbox_send(scene->outbox, false);
	assert_int_equal(ports.count, 0);
	assert_true(outbox_restless(scene->outbox));
	/* Picked and never sent, because the process ends. */
	outbox_land_all(scene->outbox);
	outbox_pick(scene->outbox, now_rules_ms());
	assert_int_equal(store_commit(scene->store), 0);
	close_core(scene);
	open_core(scene, "one.key");
	turn(scene);
	assert_int_equal(ports.count, 1);
	assert_true(ports.sent[0].tried);
	assert_true(outbox_has_doubts(scene->outbox, LANE) == false);
}

/* Rows of another key can be read by nobody. */
static void
test_unreadable(void **state)
{
	struct scene *scene = *state;

	add_text(scene, LANE, "secret");
	add_text(scene, LANE, "secret too");
	assert_int_equal(store_commit(scene->store), 0);
	close_core(scene);
	open_core(scene, "two.key");
	ports.busy = LANE;
	add_text(scene, LANE, "readable");
	ports.busy = NULL;
	assert_false(outbox_overflow(scene->outbox, LANE, NULL));
	turn(scene);
	assert_int_equal(ports.count, 1);
	assert_string_equal(ports.sent[0].payload, "Alice||readable");
	assert_int_equal(counts_of(scene).waiting, 0);
}

/* ---- answers ---- */

static void
test_settled(void **state)
{
	struct scene *scene = *state;
	struct outbox_draft draft = draft_of(NETWORK_XMPP, MUC, "x");

	outbox_settled(scene->outbox, 12345, "$none");
	draft.held = true;
	draft.due_ms = 1;
	draft.inbox_seq = accept(scene, "s1");
	add(scene, draft);
	add_text(scene, LANE, "y");
	add_text(scene, OTHER, "z");
	turn(scene);
	assert_int_equal(ports.count, 3);
	for (int i = 2; i >= 0; i--)
		outbox_settled(scene->outbox, ports.sent[i].id, i ? "$r" : "");
	outbox_settled(scene->outbox, ports.sent[0].id, "again");
	assert_int_equal(counts_of(scene).flying, 0);
	assert_false(outbox_settle_name(scene->outbox, LANE, ports.sent[1].name, "$late"));
	/* By its name, in its lane, while it is under way or in doubt. */
	add_text(scene, LANE, "w");
	turn(scene);
	assert_false(outbox_settle_name(scene->outbox, OTHER, ports.sent[3].name, "$late"));
	assert_true(outbox_settle_name(scene->outbox, LANE, ports.sent[3].name, "$late"));
	assert_int_equal(counts_of(scene).flying, 0);
}

static void
test_refused(void **state)
{
	static const enum refusal all[] = { REFUSAL_NOT_MEMBER, REFUSAL_MODERATED, REFUSAL_NICK, REFUSAL_TOO_BIG, REFUSAL_ROOM_GONE,
		REFUSAL_BANNED, REFUSAL_POISON, REFUSAL_OTHER };
	struct scene *scene = *state;
	struct outbox_draft draft = draft_of(NETWORK_MATRIX, LANE, "x");

	outbox_refused(scene->outbox, 12345, REFUSAL_OTHER, NULL);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		AUTO_FREE char *id = xasprintf("s%zu", i);
		draft.inbox_seq = i % 3 ? accept(scene, id) : 0;
		draft.held = i % 3 == 1;
		draft.due_ms = 1;
		draft.network = i % 2 ? NETWORK_XMPP : NETWORK_MATRIX;
		draft.outgoing.lane = i % 2 ? MUC : LANE;
		draft.outgoing.kind = i == 5 ? OUTGOING_PRIVATE : OUTGOING_MESSAGE;
		add(scene, draft);
		turn(scene);
		assert_int_equal(ports.count, (int)i + 1);
		outbox_refused(scene->outbox, last_id(), all[i], i % 2 ? "because" : NULL);
		assert_int_equal(counts_of(scene).flying, 0);
	}
	assert_int_equal(counts_of(scene).waiting, 0);
	/* A reaction that the room does not take: nobody is told, and nothing waits for it. */
	int before = ports.count;
	draft = draft_of(NETWORK_MATRIX, LANE, "x");
	draft.outgoing.kind = OUTGOING_MARK;
	draft.inbox_seq = accept(scene, "marked");
	add(scene, draft);
	turn(scene);
	outbox_refused(scene->outbox, last_id(), REFUSAL_OTHER, NULL);
	turn(scene);
	assert_int_equal(ports.count, before + 1);
	/* A line of the bot's own that is no digest: nor here. */
	draft.outgoing.kind = OUTGOING_ROOM;
	draft.inbox_seq = 0;
	add(scene, draft);
	turn(scene);
	outbox_refused(scene->outbox, last_id(), REFUSAL_OTHER, NULL);
	turn(scene);
	assert_int_equal(ports.count, before + 2);
}

/* Only the author of a message is told under which name he appears. */
static void
test_renamed(void **state)
{
	struct scene *scene = *state;
	struct outbox_draft draft = draft_of(NETWORK_MATRIX, LANE, "x");

	outbox_renamed(scene->outbox, 12345, "Alice [m]");
	add(scene, draft);
	draft.outgoing.kind = OUTGOING_ROOM;
	draft.inbox_seq = accept(scene, "s");
	add(scene, draft);
	turn(scene);
	outbox_renamed(scene->outbox, ports.sent[0].id, "Alice [m]"); /* from nowhere */
	outbox_renamed(scene->outbox, ports.sent[1].id, "Alice [m]"); /* the bot */
	turn(scene);
	assert_int_equal(ports.count, 2);
}

static void
test_before_doubts(void **state)
{
	struct scene *scene = *state;
	char id[32] = "";

	assert_false(outbox_before_doubts(scene->outbox, MUC, 0, id, sizeof(id)));
	for (int i = 0; i < 3; i++)
		add_text(scene, MUC, "x");
	turn(scene);
	outbox_settled(scene->outbox, ports.sent[0].id, "first");
	outbox_settled(scene->outbox, ports.sent[1].id, "second");
	outbox_lost(scene->outbox, NETWORK_XMPP, false);
	assert_true(outbox_before_doubts(scene->outbox, MUC, 0, id, sizeof(id)));
	assert_string_equal(id, "second");
	assert_true(outbox_before_doubts(scene->outbox, MUC, 1, id, sizeof(id)));
	assert_string_equal(id, "first");
	assert_false(outbox_before_doubts(scene->outbox, MUC, 2, id, sizeof(id)));
}

static void
test_again(void **state)
{
	struct scene *scene = *state;

	outbox_again(scene->outbox, 12345, 100);
	assert_int_equal(outbox_blocked_ms(scene->outbox), -1);
	add_text(scene, LANE, "x");
	add_text(scene, OTHER, "y");
	add_text(scene, MUC, "z");
	turn(scene);
	outbox_again(scene->outbox, ports.sent[0].id, 60000);
	outbox_again(scene->outbox, ports.sent[1].id, 1000);
	outbox_again(scene->outbox, ports.sent[2].id, 30000);
	add_text(scene, "!free:hs", "w");
	int64_t left_ms = outbox_blocked_ms(scene->outbox);
	assert_true(left_ms > 0 && left_ms <= 1000);
	turn(scene);
	assert_int_equal(ports.count, 4);
	assert_false(outbox_restless(scene->outbox));
	assert_int_equal(counts_of(scene).tried, 3);
}

static void
test_lost(void **state)
{
	struct scene *scene = *state;

	add_text(scene, LANE, "x");
	add_text(scene, MUC, "y");
	turn(scene);
	outbox_lost(scene->outbox, NETWORK_XMPP, false);
	assert_false(outbox_has_doubts(scene->outbox, LANE));
	assert_true(outbox_has_doubts(scene->outbox, MUC));
	assert_int_equal(counts_of(scene).flying, 1);
	turn(scene);
	assert_int_equal(ports.count, 3);
	assert_string_equal(ports.sent[2].name, ports.sent[1].name);
	/* A turn was rolled back: nothing is out, as far as we know. */
	outbox_forget(scene->outbox);
	outbox_land_all(scene->outbox);
	turn(scene);
	assert_int_equal(ports.count, 5);
}

/* ---- strikes ---- */

static void
strike_twice(struct scene *scene)
{
	for (int i = 0; i < 2; i++) {
		turn(scene);
		outbox_lost(scene->outbox, NETWORK_XMPP, true);
	}
}

static void
test_suspect_travels_alone(void **state)
{
	struct scene *scene = *state;

	add_text(scene, MUC, "suspect");
	strike_twice(scene);
	assert_int_equal(ports.count, 2);
	/* Something else is out: it waits for that, and meanwhile nothing follows. */
	ports.busy = MUC;
	add_text(scene, "n@rooms.x", "before");
	turn(scene);
	assert_int_equal(ports.count, 3);
	ports.busy = NULL;
	outbox_wake(scene->outbox);
	add_text(scene, "o@rooms.x", "behind");
	add_text(scene, LANE, "elsewhere");
	turn(scene);
	assert_int_equal(ports.count, 4);
	assert_string_equal(ports.sent[3].lane, LANE);
	turn(scene);
	assert_int_equal(ports.count, 4);
	assert_true(outbox_restless(scene->outbox) == false);
	outbox_settled(scene->outbox, ports.sent[2].id, "");
	turn(scene);
	assert_int_equal(ports.count, 5);
	assert_string_equal(ports.sent[4].lane, MUC);
	/* It was not the cause. */
	outbox_settled(scene->outbox, ports.sent[4].id, "");
	turn(scene);
	assert_int_equal(ports.count, 6);
	assert_string_equal(ports.sent[5].lane, "o@rooms.x");
}

static void
test_culprit_is_set_aside(void **state)
{
	struct scene *scene = *state;

	add_text(scene, MUC, "culprit");
	add_text(scene, "n@rooms.x", "bystander");
	strike_twice(scene);
	/* Both are suspects now: each goes alone. */
	turn(scene);
	assert_int_equal(ports.count, 5);
	outbox_lost(scene->outbox, NETWORK_XMPP, true);
	ports.count = 0;
	turn(scene);
	assert_int_equal(ports.count, 1);
	assert_string_equal(ports.sent[0].payload, "Alice||bystander");
	outbox_settled(scene->outbox, ports.sent[0].id, "");
	struct outbox_counts counts = counts_of(scene);
	assert_int_equal(counts.flying + counts.tried + counts.waiting, 0);
}

/* ---- overflow ---- */

static void
test_overflow(void **state)
{
	struct scene *scene = *state;
	struct outbox_draft nameless = draft_of(NETWORK_XMPP, MUC, "second");

	assert_false(outbox_overflow(scene->outbox, MUC, NULL));
	add_text(scene, MUC, "first");
	nameless.outgoing.author.name = NULL;
	add(scene, nameless);
	assert_false(outbox_overflow(scene->outbox, LANE, NULL));
	assert_false(outbox_overflow(scene->outbox, MUC, "@bob:hs"));
	assert_true(outbox_overflow(scene->outbox, MUC, "@alice:hs"));
	/* One after the other: the next is no longer anybody's. */
	assert_false(outbox_overflow(scene->outbox, MUC, NULL));
	ports.window = 1;
	turn(scene);
	ports.window = 16;
	assert_true(outbox_overflow(scene->outbox, MUC, NULL));
	assert_false(outbox_waits(scene->outbox, MUC, "@alice:hs"));
	turn(scene);
	assert_string_equal(ports.sent[0].payload, "bot||Alice: first");
	assert_string_equal(ports.sent[1].payload, "bot||?: second");
	assert_string_equal(ports.sent[0].person, "");
	/* What was tried keeps its voice. */
	add_text(scene, MUC, "third");
	turn(scene);
	assert_true(outbox_waits(scene->outbox, MUC, "@alice:hs"));
	outbox_lost(scene->outbox, NETWORK_XMPP, false);
	assert_false(outbox_overflow(scene->outbox, MUC, NULL));
}

/* ---- who speaks next ---- */

static void
note_author(void *context, const struct author *author)
{
	str_addf(context, "%s %s %s, ", author->person, author->stem, author->name);
}

/* In the order of their rows, by the first name that each bears; not the bot, not who is held, not who is further off. */
static void
test_authors(void **state)
{
	struct scene *scene = *state;
	static const char *const said[][2] = { { "@carol:hs", "Carol" }, { NULL, NULL }, { "@bob:hs", "Bob" }, { "@carol:hs", "Caroline" },
		{ "@dave:hs", "Dave" }, { "@eve:hs", "Eve" } };
	AUTO_STR struct str found;

	str_init(&found, 1000);
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		struct outbox_draft draft = draft_of(NETWORK_XMPP, MUC, "x");
		draft.outgoing.author = (struct author){ said[i][0], said[i][0] ? said[i][0] + 1 : NULL, said[i][1] };
		draft.held = i == 4;
		draft.due_ms = now_rules_ms() + 60000;
		add(scene, draft);
	}
	outbox_each_author(scene->outbox, MUC, 4, note_author, &found);
	assert_string_equal(str_get(&found), "@carol:hs carol:hs Carol, @bob:hs bob:hs Bob, ");
	str_clear(&found);
	outbox_each_author(scene->outbox, MUC, 5, note_author, &found);
	assert_non_null(strstr(str_get(&found), "@bob:hs bob:hs Bob, @eve:hs eve:hs Eve, "));
	str_clear(&found);
	outbox_each_author(scene->outbox, LANE, 5, note_author, &found);
	assert_string_equal(str_get(&found), "");
}

int
main(void)
{
#define OUTBOX_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		OUTBOX_TEST(test_names),
		OUTBOX_TEST(test_split),
		OUTBOX_TEST(test_due),
		OUTBOX_TEST(test_release_is_announced),
		OUTBOX_TEST(test_windows),
		OUTBOX_TEST(test_no_port),
		OUTBOX_TEST(test_commit_fails),
		OUTBOX_TEST(test_unreadable),
		OUTBOX_TEST(test_settled),
		OUTBOX_TEST(test_refused),
		OUTBOX_TEST(test_renamed),
		OUTBOX_TEST(test_before_doubts),
		OUTBOX_TEST(test_again),
		OUTBOX_TEST(test_lost),
		OUTBOX_TEST(test_suspect_travels_alone),
		OUTBOX_TEST(test_culprit_is_set_aside),
		OUTBOX_TEST(test_overflow),
		OUTBOX_TEST(test_authors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
