/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a homeserver may hand on that no well-meaning client wrote (decisions 1.9, delivery.md F8): a table of events, each in
 * one transaction with a good one. 200 is given, the good one crosses, and the bad one ends as its row says.
 */
#include "matrix_scene.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum outcome {
	CROSSES,     /* as `text` */
	IGNORED,     /* without a trace */
	QUARANTINED, /* kept raw; its author is told */
	UNSIGNED,    /* kept raw; nobody can be told */
};

struct poison {
	const char *name;
	const char *raw; /* ID and NOW are replaced */
	enum outcome outcome;
	const char *text;
};

#define HEAD "{\"type\":\"m.room.message\",\"event_id\":\"ID\",\"sender\":\"@alice:hs\",\"room_id\":\"!m:hs\",\"origin_server_ts\":NOW,"
#define TEXT(body) HEAD "\"content\":{\"msgtype\":\"m.text\",\"body\":\"" body "\"}}"
#define CONTENT(content) HEAD "\"content\":" content "}"
#define SAYS "\"content\":{\"msgtype\":\"m.text\",\"body\":\"words\"}}"

static const struct poison cases[] = {
	/* What jansson refuses. */
	{ "a key twice", HEAD "\"type\":\"m.room.message\"," SAYS, QUARANTINED, NULL },
	{ "a key twice in the content", CONTENT("{\"msgtype\":\"m.text\",\"body\":\"x\",\"body\":\"y\"}"), QUARANTINED, NULL },
	{ "a key twice, one escaped", CONTENT("{\"msgtype\":\"m.text\",\"body\":\"x\",\"\\u0062ody\":\"y\"}"), QUARANTINED, NULL },
	{ "NUL in a key", CONTENT("{\"msgtype\":\"m.text\",\"body\":\"x\",\"a\\u0000b\":1}"), QUARANTINED, NULL },
	{ "a surrogate in a key", CONTENT("{\"msgtype\":\"m.text\",\"body\":\"x\",\"\\ud800\":1}"), QUARANTINED, NULL },
	{ "1e400", CONTENT("{\"msgtype\":\"m.text\",\"body\":\"x\",\"n\":1e400}"), QUARANTINED, NULL },
	{ "-1e400", CONTENT("{\"msgtype\":\"m.text\",\"body\":\"x\",\"n\":-1e400}"), QUARANTINED, NULL },
	{ "2^63", CONTENT("{\"msgtype\":\"m.text\",\"body\":\"x\",\"n\":9223372036854775808}"), QUARANTINED, NULL },
	{ "NaN", CONTENT("{\"msgtype\":\"m.text\",\"body\":\"x\",\"n\":NaN}"), QUARANTINED, NULL },
	{ "a leading zero", CONTENT("{\"msgtype\":\"m.text\",\"body\":\"x\",\"n\":007}"), QUARANTINED, NULL },
	{ "an escape cut short", TEXT("\\u12"), QUARANTINED, NULL },
	{ "an unknown escape", TEXT("\\x41"), QUARANTINED, NULL },
	{ "a raw control character", TEXT("a\x01z"), QUARANTINED, NULL },
	{ "a raw line feed", TEXT("a\nz"), QUARANTINED, NULL },
	{ "no UTF-8", TEXT("a\xff\xfe"), QUARANTINED, NULL },
	{ "overlong UTF-8", TEXT("a\xc0\x80"), QUARANTINED, NULL },
	{ "a surrogate as UTF-8", TEXT("a\xed\xa0\x80"), QUARANTINED, NULL },
	{ "above U+10FFFF", TEXT("a\xf4\x90\x80\x80"), QUARANTINED, NULL },
	{ "single quotes", HEAD "'content':{}}", QUARANTINED, NULL },
	{ "a trailing comma", CONTENT("{\"msgtype\":\"m.text\",\"body\":\"x\",}"), QUARANTINED, NULL },
	{ "brackets that cross", CONTENT("{\"a\":[1}]"), QUARANTINED, NULL },
	{ "a comment", HEAD "/* hello */ " SAYS, QUARANTINED, NULL },
	{ "a sender that cannot be read", "{\"type\":\"m.room.message\",\"event_id\":\"ID\",\"sender\":7,\"room_id\":\"!m:hs\",\"a\":1e400}", UNSIGNED, NULL },

	/* Over a limit: see long_cases for more. */
	{ "no object: a number", "7", IGNORED, NULL },
	{ "no object: a text", "\"x\"", IGNORED, NULL },
	{ "no object: null", "null", IGNORED, NULL },
	{ "no object: an array", "[{\"room_id\":\"!m:hs\"}]", IGNORED, NULL },
	{ "nothing at all", "{}", IGNORED, NULL },

	/* Texts that need care. */
	{ "NUL in the body", TEXT("a\\u0000z"), CROSSES, "Alice|a\xEF\xBF\xBDz" },
	{ "a high surrogate alone", TEXT("a\\ud800z"), CROSSES, "Alice|a\xEF\xBF\xBDz" },
	{ "a low surrogate alone", TEXT("a\\udc00z"), CROSSES, "Alice|a\xEF\xBF\xBDz" },
	{ "a pair the wrong way round", TEXT("a\\udc00\\ud800z"), CROSSES, "Alice|a\xEF\xBF\xBD\xEF\xBF\xBDz" },
	{ "a high surrogate at the end", TEXT("a\\ud800"), CROSSES, "Alice|a\xEF\xBF\xBD" },
	{ "a pair", TEXT("a\\ud83d\\ude00z"), CROSSES, "Alice|a\xF0\x9F\x98\x80z" },
	{ "U+0001", TEXT("a\\u0001z"), CROSSES, "Alice|a\xEF\xBF\xBDz" },
	{ "U+FFFF", TEXT("a\\uffffz"), CROSSES, "Alice|a\xEF\xBF\xBDz" },
	{ "an escaped quote and backslash", TEXT("a\\\"\\\\z"), CROSSES, "Alice|a\"\\z" },
	{ "a backslash before the end", TEXT("a\\\\"), CROSSES, "Alice|a\\" },
	{ "brackets in a text", TEXT("]}],[{"), CROSSES, "Alice|]}],[{" },

	/* Fields that are missing, or of a wrong type. */
	{ "no type", "{\"event_id\":\"ID\",\"sender\":\"@alice:hs\",\"room_id\":\"!m:hs\"," SAYS, IGNORED, NULL },
	{ "a number as type", "{\"type\":5,\"event_id\":\"ID\",\"sender\":\"@alice:hs\",\"room_id\":\"!m:hs\"," SAYS, IGNORED, NULL },
	{ "no sender", "{\"type\":\"m.room.message\",\"event_id\":\"ID\",\"room_id\":\"!m:hs\"," SAYS, IGNORED, NULL },
	{ "null as sender", "{\"type\":\"m.room.message\",\"sender\":null,\"event_id\":\"ID\",\"room_id\":\"!m:hs\"," SAYS, IGNORED, NULL },
	{ "a list as sender", "{\"type\":\"m.room.message\",\"sender\":[\"@alice:hs\"],\"event_id\":\"ID\",\"room_id\":\"!m:hs\"," SAYS, IGNORED, NULL },
	{ "a sender that is no MXID", "{\"type\":\"m.room.message\",\"sender\":\"alice\",\"event_id\":\"ID\",\"room_id\":\"!m:hs\"," SAYS, IGNORED, NULL },
	{ "no room", "{\"type\":\"m.room.message\",\"event_id\":\"ID\",\"sender\":\"@alice:hs\"," SAYS, IGNORED, NULL },
	{ "a number as room", "{\"type\":\"m.room.message\",\"event_id\":\"ID\",\"sender\":\"@alice:hs\",\"room_id\":4," SAYS, IGNORED, NULL },
	{ "NUL in the room", "{\"type\":\"m.room.message\",\"event_id\":\"ID\",\"sender\":\"@alice:hs\",\"room_id\":\"!m:hs\\u0000\"," SAYS, IGNORED, NULL },
	{ "no content", HEAD "\"x\":1}", IGNORED, NULL },
	{ "a text as content", CONTENT("\"words\""), IGNORED, NULL },
	{ "a list as content", CONTENT("[\"words\"]"), IGNORED, NULL },
	{ "an empty content", CONTENT("{}"), IGNORED, NULL },
	{ "no body", CONTENT("{\"msgtype\":\"m.text\"}"), IGNORED, NULL },
	{ "null as body", CONTENT("{\"msgtype\":\"m.text\",\"body\":null}"), IGNORED, NULL },
	{ "a number as body", CONTENT("{\"msgtype\":\"m.text\",\"body\":2}"), IGNORED, NULL },
	{ "an empty body", TEXT(""), IGNORED, NULL },
	{ "a number as msgtype", CONTENT("{\"msgtype\":1,\"body\":\"x\"}"), IGNORED, NULL },
	{ "a number as relation", CONTENT("{\"msgtype\":\"m.text\",\"body\":\"words\",\"m.relates_to\":7}"), CROSSES, "Alice|words" },
	{ "a list as reply", CONTENT("{\"msgtype\":\"m.text\",\"body\":\"words\",\"m.relates_to\":{\"m.in_reply_to\":[]}}"), CROSSES, "Alice|words" },
	{ "a number as replied event", CONTENT("{\"msgtype\":\"m.text\",\"body\":\"words\",\"m.relates_to\":{\"m.in_reply_to\":{\"event_id\":1}}}"), CROSSES,
		"Alice|words" },
	{ "an edit", CONTENT("{\"msgtype\":\"m.text\",\"body\":\"x\",\"m.relates_to\":{\"rel_type\":\"m.replace\",\"event_id\":\"$x\"}}"), IGNORED, NULL },
	{ "no event id", "{\"type\":\"m.room.message\",\"sender\":\"@alice:hs\",\"room_id\":\"!m:hs\",\"n\":\"ID\"," SAYS, CROSSES, "Alice|words" },
	{ "an object as event id", "{\"type\":\"m.room.message\",\"event_id\":{},\"sender\":\"@alice:hs\",\"room_id\":\"!m:hs\",\"n\":\"ID\"," SAYS, CROSSES,
		"Alice|words" },
	{ "an empty event id", "{\"type\":\"m.room.message\",\"event_id\":\"\",\"sender\":\"@alice:hs\",\"room_id\":\"!m:hs\",\"n\":\"ID\"," SAYS, CROSSES,
		"Alice|words" },
	{ "NUL in the event id", "{\"type\":\"m.room.message\",\"event_id\":\"$\\u0000ID\",\"sender\":\"@alice:hs\",\"room_id\":\"!m:hs\"," SAYS, CROSSES,
		"Alice|words" },
	{ "a text as time", "{\"type\":\"m.room.message\",\"event_id\":\"ID\",\"sender\":\"@alice:hs\",\"room_id\":\"!m:hs\",\"origin_server_ts\":\"now\"," SAYS,
		CROSSES, "Alice|words" },
	{ "a huge time", "{\"type\":\"m.room.message\",\"event_id\":\"ID\",\"sender\":\"@alice:hs\",\"room_id\":\"!m:hs\",\"origin_server_ts\":1e300," SAYS, CROSSES,
		"Alice|words" },
	{ "a time before time", "{\"type\":\"m.room.message\",\"event_id\":\"ID\",\"sender\":\"@alice:hs\",\"room_id\":\"!m:hs\",\"origin_server_ts\":-1," SAYS,
		CROSSES, "Alice|words" },
	{ "a member whose key is a number", HEAD "\"state_key\":3,\"content\":{\"membership\":\"join\"}}", IGNORED, NULL },
	{ "power of a wrong type", "{\"type\":\"m.room.power_levels\",\"event_id\":\"ID\",\"sender\":\"@mod:hs\",\"room_id\":\"!m:hs\",\"state_key\":\"\","
		"\"content\":{\"users\":[],\"state_default\":\"high\"}}", IGNORED, NULL },

	/* Who speaks. */
	{ "an MXID in capitals", "{\"type\":\"m.room.message\",\"event_id\":\"ID\",\"sender\":\"@ALICE:hs\",\"room_id\":\"!m:hs\"," SAYS, CROSSES, "ALICE|words" },
	{ "one of our ghosts", "{\"type\":\"m.room.message\",\"event_id\":\"ID\",\"sender\":\"@_xmpp_bob=40x:hs\",\"room_id\":\"!m:hs\"," SAYS, IGNORED, NULL },
	{ "our bot", "{\"type\":\"m.room.message\",\"event_id\":\"ID\",\"sender\":\"@sourdine:hs\",\"room_id\":\"!m:hs\"," SAYS, IGNORED, NULL },
	{ "a room of nobody", "{\"type\":\"m.room.message\",\"event_id\":\"ID\",\"sender\":\"@alice:hs\",\"room_id\":\"!other:hs\"," SAYS, IGNORED, NULL },
};

static int64_t
quarantined(struct scene *scene)
{
	struct query query = store_query(scene->store, QUARANTINE_COUNT);

	assert_true(query_step(&query));
	int64_t count = query_get_int(&query, 0);
	query_done(&query);
	return count;
}

static int
notices(const struct scene *scene)
{
	int count = 0;

	for (int i = 0; i < scene->fake.count; i++)
		count += strcmp(scene->fake.asked[i].method, "PUT") == 0 && strstr(scene->fake.asked[i].body, "could not be read");
	return count;
}

static void
fill(struct str *out, const char *raw, const char *id)
{
	for (const char *p = raw; *p; p++) {
		if (strncmp(p, "ID", 2) == 0) {
			str_add(out, id);
			p += 1;
		} else if (strncmp(p, "NOW", 3) == 0) {
			str_addf(out, "%" PRId64, now_real_ms());
			p += 2;
		} else {
			str_add_char(out, *p);
		}
	}
}

/* `raw` beside a good event; `what` for the failure. */
static void
try(struct scene *scene, const char *what, const char *raw, enum outcome outcome, const char *text)
{
	AUTO_FREE char *id = xasprintf("$p%d", ++scene->next);
	AUTO_FREE char *good_id = xasprintf("$good%d", scene->next);
	AUTO_FREE char *good_body = xasprintf("good beside %d", scene->next);
	AUTO_FREE char *good = scene_message(good_id, "@dave:hs", ROOM, good_body);
	AUTO_FREE char *expected = xasprintf("dave|%s", good_body);
	AUTO_STR struct str events;
	int before = scene->xmpp.count, told = notices(scene);
	int64_t kept = quarantined(scene);

	str_init(&events, 4 << 20);
	fill(&events, raw, id);
	str_addf(&events, ",%s", good);
	unsigned status = scene_push(scene, str_get(&events));
	if (status != 200)
		fail_msg("%s: %u", what, status);
	WAIT(scene, scene->xmpp.count > before && strcmp(fake_port_last(&scene->xmpp)->payload, expected) == 0);
	if (scene->xmpp.count - before != 1 + (outcome == CROSSES))
		fail_msg("%s: %d rows", what, scene->xmpp.count - before);
	if (text && strcmp(scene->xmpp.rows[before % FAKE_MAX].payload, text) != 0)
		fail_msg("%s: %s", what, scene->xmpp.rows[before % FAKE_MAX].payload);
	if (quarantined(scene) - kept != (outcome == QUARANTINED || outcome == UNSIGNED))
		fail_msg("%s: %d quarantined", what, (int)(quarantined(scene) - kept));
	WAIT(scene, scene_is_quiet(scene));
	if (notices(scene) - told != (outcome == QUARANTINED))
		fail_msg("%s: its author was told %d times", what, notices(scene) - told);
}

static void
test_table(void **state)
{
	struct scene *scene = *state;

	JOINED(scene);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		try(scene, cases[i].name, cases[i].raw, cases[i].outcome, cases[i].text);
	print_message("%zu cases\n", sizeof(cases) / sizeof(cases[0]));
}

/* `piece` many times; '#' in it is its number. */
static void
try_repeated(struct scene *scene, const char *what, const char *open, const char *piece, int times, const char *close, enum outcome outcome)
{
	AUTO_STR struct str raw;

	str_init(&raw, 4 << 20);
	str_add(&raw, open);
	for (int i = 0; i < times; i++)
		for (const char *p = piece; *p; p++) {
			if (*p == '#')
				str_addf(&raw, "%d", i);
			else
				str_add_char(&raw, *p);
		}
	str_add(&raw, close);
	assert_false(raw.full);
	try(scene, what, str_get(&raw), outcome, NULL);
}

/* Too long to be written down. */
static void
test_limits(void **state)
{
	struct scene *scene = *state;
	AUTO_STR struct str deep;

	JOINED(scene);
	str_init(&deep, 1 << 20);
	for (int i = 0; i < 2000; i++)
		str_add_char(&deep, '}');
	str_add(&deep, "}}");
	AUTO_FREE char *closing = xasprintf("1%s", str_get(&deep));
	try_repeated(scene, "2,000 deep", HEAD "\"content\":{\"msgtype\":\"m.text\",\"body\":\"x\",\"a\":", "{\"a\":", 2000, closing, QUARANTINED);
	try_repeated(scene, "10,001 keys", HEAD "\"content\":{\"msgtype\":\"m.text\"", ",\"k#\":1", 10001, "}}", QUARANTINED);
	try_repeated(scene, "9,000 keys", HEAD "\"content\":{\"msgtype\":\"m.text\",\"body\":\"x\"", ",\"k#\":1", 9000, "}}", CROSSES);
	try_repeated(scene, "a body of a megabyte", HEAD "\"content\":{\"msgtype\":\"m.text\",\"body\":\"", "0123456789abcdef", 65536, "\"}}", QUARANTINED);
	try_repeated(scene, "an event of 300 KiB", HEAD "\"content\":{\"msgtype\":\"m.text\",\"body\":\"x\"},\"unsigned\":{\"x\":\"", "0123456789abcdef", 19200, "\"}}",
		QUARANTINED);
	try_repeated(scene, "an id of 300 bytes", "{\"type\":\"m.room.message\",\"sender\":\"@alice:hs\",\"room_id\":\"!m:hs\",\"event_id\":\"$", "0123456789", 30,
		"ID\"," SAYS, CROSSES);
	try_repeated(scene, "a sender of 10,000 bytes", "{\"type\":\"m.room.message\",\"event_id\":\"ID\",\"room_id\":\"!m:hs\",\"sender\":\"@", "0123456789", 1000,
		":hs\"," SAYS, IGNORED);
}

/* The top level itself: 500 for the first three deliveries of the same bytes, then 200, and kept raw. Neighbours come in other transactions. */
static void
test_broken_transactions(void **state)
{
	struct scene *scene = *state;
	static const char *const broken[] = {
		"", "{", "[]", "7", "{\"events\":", "{\"events\":[{\"type\":", "{\"events\":{}}", "{\"events\":[]}}", "{\"events\":[]} x",
		"{\"events\":[\"open]}", "\xff\xfe{}", "{events:[]}", "<html>502</html>",
	};

	JOINED(scene);
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		AUTO_FREE char *number = xasprintf("broken%zu", i);
		int64_t kept = quarantined(scene);
		for (int round = 1; round <= 4; round++) {
			unsigned status = scene_push_body(scene, number, broken[i], strlen(broken[i]));
			if (status != (round < 4 ? 500 : 200))
				fail_msg("%s, round %d: %u", broken[i], round, status);
		}
		assert_int_equal(quarantined(scene), kept + 1);
	}
	assert_int_equal(scene_say(scene, "$fine", "@alice:hs", ROOM, "fine"), 200);
	WAIT(scene, scene->xmpp.count == 1);
}

int
main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, scene_set_up, scene_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_table),
		TEST(test_limits),
		TEST(test_broken_transactions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
