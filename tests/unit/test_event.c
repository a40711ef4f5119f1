/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix events read and rendered. */
#include "matrix/event.h"

#include "core/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct reading {
	struct arena arena;
	struct event event;
};

static void
start_reading(struct reading *reading, const char *raw)
{
	arena_init(&reading->arena);
	event_read(raw, strlen(raw), &reading->arena, &reading->event);
}

static void
end_reading(struct reading *reading)
{
	event_fini(&reading->event);
	arena_fini(&reading->arena);
}

#define MESSAGE(content) "{\"type\":\"m.room.message\",\"sender\":\"@a:hs\",\"event_id\":\"$1\",\"room_id\":\"!r:hs\"," \
	"\"origin_server_ts\":1700000000000,\"content\":{" content "}}"
#define TEXT(body) MESSAGE("\"msgtype\":\"m.text\",\"body\":\"" body "\"")

static void
test_read_messages(void **state)
{
	static const struct {
		const char *raw, *text, *reply_to;
		enum message_kind kind;
	} cases[] = {
		{ TEXT("hello"), "hello", NULL, MESSAGE_TEXT },
		{ MESSAGE("\"msgtype\":\"m.emote\",\"body\":\"waves\""), "waves", NULL, MESSAGE_EMOTE },
		{ MESSAGE("\"msgtype\":\"m.notice\",\"body\":\"beep\""), "beep", NULL, MESSAGE_NOTICE },
		{ MESSAGE("\"msgtype\":\"m.image\",\"body\":\"cat.png\",\"url\":\"mxc://hs/x\""), "cat.png", NULL, MESSAGE_MEDIA },
		{ MESSAGE("\"msgtype\":\"org.example.new\",\"body\":\"x\""), "x", NULL, MESSAGE_MEDIA },
		{ TEXT("a\\u0000b\\u0001c\\ud83d"), "a\xEF\xBF\xBD" "b\xEF\xBF\xBD" "c\xEF\xBF\xBD", NULL, MESSAGE_TEXT },
		{ TEXT("one\\ntwo\\t3"), "one\ntwo\t3", NULL, MESSAGE_TEXT },
		{ TEXT("> <@b:hs> not a reply"), "> <@b:hs> not a reply", NULL, MESSAGE_TEXT },
		{ MESSAGE("\"msgtype\":\"m.text\",\"body\":\"> <@b:hs> old\\n> more\\n\\nnew\",\"m.relates_to\":{\"m.in_reply_to\":{\"event_id\":\"$o\"}}"),
			"new", "$o", MESSAGE_TEXT },
		{ MESSAGE("\"msgtype\":\"m.text\",\"body\":\"> * <@b:hs> waves\\n\\nnew\",\"m.relates_to\":{\"m.in_reply_to\":{\"event_id\":\"$o\"}}"),
			"new", "$o", MESSAGE_TEXT },
		{ MESSAGE("\"msgtype\":\"m.text\",\"body\":\"> my own quotation\\nnew\",\"m.relates_to\":{\"m.in_reply_to\":{\"event_id\":\"$o\"}}"),
			"> my own quotation\nnew", "$o", MESSAGE_TEXT },
		{ MESSAGE("\"msgtype\":\"m.text\",\"body\":\"x\",\"m.relates_to\":{\"rel_type\":\"m.thread\",\"event_id\":\"$root\","
			"\"is_falling_back\":true,\"m.in_reply_to\":{\"event_id\":\"$last\"}}"), "x", "$root", MESSAGE_TEXT },
		{ MESSAGE("\"msgtype\":\"m.text\",\"body\":\"x\",\"m.relates_to\":{\"rel_type\":\"m.thread\",\"event_id\":\"$root\","
			"\"m.in_reply_to\":{\"event_id\":\"$one\"}}"), "x", "$one", MESSAGE_TEXT },
		{ MESSAGE("\"msgtype\":\"m.text\",\"body\":\"x\",\"m.relates_to\":[]"), "x", NULL, MESSAGE_TEXT },
		{ MESSAGE("\"msgtype\":\"m.text\",\"body\":\"x\",\"m.relates_to\":{\"m.in_reply_to\":{\"event_id\":5}}"), "x", NULL, MESSAGE_TEXT },
	};
	struct reading reading;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		start_reading(&reading, cases[i].raw);
		if (reading.event.kind != EVENT_MESSAGE)
			fail_msg("no message: %s", cases[i].raw);
		assert_string_equal(reading.event.text, cases[i].text);
		assert_int_equal(reading.event.message, cases[i].kind);
		assert_true(str_equal(reading.event.reply_to, cases[i].reply_to));
		assert_string_equal(reading.event.sender, "@a:hs");
		assert_int_equal(reading.event.origin_ms, 1700000000000);
		assert_false(reading.event.archive);
		end_reading(&reading);
	}
}

/* A message by its type, which is none: it never crosses, whoever is asked. */
static void
test_read_verification(void **state)
{
	static const struct {
		const char *raw, *subject;
	} cases[] = {
		{ MESSAGE("\"msgtype\":\"m.key.verification.request\",\"body\":\"verify\",\"to\":\"@b:hs\",\"from_device\":\"D\",\"methods\":[]"), "@b:hs" },
		{ MESSAGE("\"msgtype\":\"m.key.verification.request\",\"body\":\"verify\",\"to\":\"b\""), NULL },
		{ MESSAGE("\"msgtype\":\"m.key.verification.request\",\"body\":\"verify\",\"to\":7"), NULL },
		{ MESSAGE("\"msgtype\":\"m.key.verification.request\",\"body\":\"verify\""), NULL },
	};
	struct reading reading;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		start_reading(&reading, cases[i].raw);
		assert_int_equal(reading.event.kind, cases[i].subject ? EVENT_VERIFICATION : EVENT_NOTHING);
		assert_true(str_equal(reading.event.subject, cases[i].subject));
		end_reading(&reading);
	}
}

/* Kept as it was read, with how it came. */
static void
test_sealed(void **state)
{
	static const struct {
		const char *raw;
		char mark;
		bool archive, late, stray;
	} cases[] = {
		{ "{}", 'e', false, false, false }, { "A{}", 'a', true, false, false }, { "B{}", 'b', true, true, false },
		{ "C{}", 'c', true, true, true }, { "D{}", 'd', false, false, true },
	};
	json_t *plain = json_pack("{s:s, s:s, s:{s:s, s:s}}", "type", "m.room.message", "sender", "@a:hs", "content", "msgtype", "m.text", "body", "hi");
	struct arena arena;

	(void)state;
	arena_init(&arena);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct event event;
		size_t size;
		char *kept = event_keep_sealed(cases[i].raw, plain, &arena, &size);
		assert_int_equal(kept[0], cases[i].mark);
		event_read(kept, size, &arena, &event);
		assert_int_equal(event.kind, EVENT_MESSAGE);
		assert_true(event.sealed && event.archive == cases[i].archive && event.late == cases[i].late && event.stray == cases[i].stray);
		assert_string_equal(event.text, "hi");
		event_fini(&event);
	}
	arena_fini(&arena);
	json_decref(plain);
}

static void
test_read_nothing(void **state)
{
	static const char *const cases[] = {
		"{}",
		MESSAGE(""),
		MESSAGE("\"msgtype\":\"m.text\""),
		MESSAGE("\"msgtype\":\"m.text\",\"body\":5"),
		MESSAGE("\"msgtype\":\"m.text\",\"body\":null"),
		MESSAGE("\"msgtype\":\"m.text\",\"body\":\"\""),
		MESSAGE("\"msgtype\":[],\"body\":\"x\""),
		MESSAGE("\"body\":\"x\""),
		MESSAGE("\"msgtype\":\"m.text\",\"body\":\"* x\",\"m.new_content\":{\"body\":\"x\"},\"m.relates_to\":{\"rel_type\":\"m.replace\",\"event_id\":\"$1\"}"),
		"{\"type\":\"m.room.message\",\"sender\":\"@a:hs\",\"content\":\"no\"}",
		"{\"type\":\"m.room.message\",\"sender\":7,\"content\":{\"msgtype\":\"m.text\",\"body\":\"x\"}}",
		"{\"type\":\"m.room.message\",\"sender\":\"a\",\"content\":{\"msgtype\":\"m.text\",\"body\":\"x\"}}",
		"{\"type\":{},\"sender\":\"@a:hs\",\"content\":{\"msgtype\":\"m.text\",\"body\":\"x\"}}",
		"{\"type\":\"m.room.encrypted\",\"sender\":\"@a:hs\",\"state_key\":\"\",\"content\":{\"ciphertext\":\"x\"}}",
		/* What came encrypted is never state, nor encrypted twice. */
		"e{\"type\":\"m.room.power_levels\",\"sender\":\"@a:hs\",\"state_key\":\"\",\"content\":{}}",
		"e{\"type\":\"m.room.member\",\"sender\":\"@a:hs\",\"state_key\":\"@a:hs\",\"content\":{\"membership\":\"join\"}}",
		"a{\"type\":\"m.room.encrypted\",\"sender\":\"@a:hs\",\"content\":{\"ciphertext\":\"x\"}}",
		"{\"type\":\"m.reaction\",\"sender\":\"@a:hs\",\"content\":{}}",
		"{\"type\":\"m.room.redaction\",\"sender\":\"@a:hs\",\"content\":{}}",
		"{\"type\":\"m.room.member\",\"sender\":\"@a:hs\",\"content\":{\"membership\":\"join\"}}",
		"{\"type\":\"m.room.member\",\"sender\":\"@a:hs\",\"state_key\":\"@a:hs\",\"content\":{\"membership\":3}}",
		"{\"type\":\"m.room.power_levels\",\"sender\":\"@a:hs\",\"content\":{}}",
	};
	struct reading reading;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		start_reading(&reading, cases[i]);
		if (reading.event.kind != EVENT_NOTHING && reading.event.kind != EVENT_MALFORMED)
			fail_msg("kind %d: %s", (int)reading.event.kind, cases[i]);
		end_reading(&reading);
	}
}

static void
test_read_poison(void **state)
{
	static const char *const cases[] = { "", "A", "x", "[]", "{\"\\u0000\":1}", "{\"a\":1e999}", "A{\"a\":1,\"a\":1}" };
	struct reading reading;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		start_reading(&reading, cases[i]);
		assert_int_equal(reading.event.kind, EVENT_POISON);
		assert_non_null(reading.event.reason);
		end_reading(&reading);
	}
}

static void
test_read_state(void **state)
{
	struct reading reading;

	(void)state;
	start_reading(&reading, "A{\"type\":\"m.room.member\",\"sender\":\"@a:hs\",\"state_key\":\"@b:hs\",\"content\":{\"membership\":\"join\",\"displayname\":\"Bob\"}}");
	assert_int_equal(reading.event.kind, EVENT_MEMBER);
	assert_true(reading.event.archive);
	assert_false(reading.event.late);
	assert_string_equal(reading.event.subject, "@b:hs");
	assert_string_equal(reading.event.membership, "join");
	assert_string_equal(reading.event.name, "Bob");
	end_reading(&reading);
	start_reading(&reading, "{\"type\":\"m.room.member\",\"sender\":\"@a:hs\",\"state_key\":\"@b:hs\",\"content\":{\"membership\":\"leave\",\"displayname\":7}}");
	assert_int_equal(reading.event.kind, EVENT_MEMBER);
	assert_string_equal(reading.event.name, "");
	end_reading(&reading);
	start_reading(&reading, "B" TEXT("x"));
	assert_int_equal(reading.event.kind, EVENT_MESSAGE);
	assert_true(reading.event.archive && reading.event.late);
	end_reading(&reading);
	start_reading(&reading, "{\"type\":\"m.room.power_levels\",\"sender\":\"@a:hs\",\"state_key\":\"\",\"content\":{\"state_default\":75}}");
	assert_int_equal(reading.event.kind, EVENT_POWER);
	int64_t level = 0;
	assert_true(json_whole(reading.event.content, "state_default", &level));
	assert_int_equal(level, 75);
	end_reading(&reading);
}

/* ---- rendering ---- */

static char *
render(const struct outgoing *outgoing)
{
	struct str out;

	str_init(&out, 1 << 20);
	event_render(outgoing, "_xmpp_bob", &out);
	return str_take(&out);
}

static void
test_render(void **state)
{
	static const struct {
		struct outgoing outgoing;
		const char *json;
	} cases[] = {
		{ { .kind = OUTGOING_MESSAGE, .name = "n1", .text = "a \"b\"\n\xC3\xA9" },
			"{\"content\":{\"body\":\"a \\\"b\\\"\\n\xC3\xA9\",\"msgtype\":\"m.text\",\"org.sourdine.id\":\"n1\"},\"type\":\"m.room.message\",\"user\":\"_xmpp_bob\"}" },
		{ { .kind = OUTGOING_MESSAGE, .name = "n1", .text = "x", .message = MESSAGE_EMOTE, .reply_to = "$o" },
			"{\"content\":{\"body\":\"x\",\"m.relates_to\":{\"m.in_reply_to\":{\"event_id\":\"$o\"}},\"msgtype\":\"m.emote\",\"org.sourdine.id\":\"n1\"},"
			"\"type\":\"m.room.message\",\"user\":\"_xmpp_bob\"}" },
		{ { .kind = OUTGOING_ROOM, .name = "n1", .text = "x", .html = "<b>x</b>", .thread = "$t" },
			"{\"content\":{\"body\":\"x\",\"format\":\"org.matrix.custom.html\",\"formatted_body\":\"<b>x</b>\",\"m.relates_to\":{\"event_id\":\"$t\","
			"\"is_falling_back\":true,\"m.in_reply_to\":{\"event_id\":\"$t\"},\"rel_type\":\"m.thread\"},\"msgtype\":\"m.notice\","
			"\"org.sourdine.id\":\"n1\"},\"type\":\"m.room.message\",\"user\":\"_xmpp_bob\"}" },
		{ { .kind = OUTGOING_MARK, .name = "n1", .text = "\xE2\x8F\xB3", .reply_to = "$o" },
			"{\"content\":{\"m.relates_to\":{\"event_id\":\"$o\",\"key\":\"\xE2\x8F\xB3\",\"rel_type\":\"m.annotation\"},\"org.sourdine.id\":\"n1\"},"
			"\"type\":\"m.reaction\",\"user\":\"_xmpp_bob\"}" },
		{ { .kind = OUTGOING_DECLINE, .name = "n1", .text = "no", .reply_to = "$o" },
			"{\"content\":{\"code\":\"m.user\",\"m.relates_to\":{\"event_id\":\"$o\",\"rel_type\":\"m.reference\"},\"org.sourdine.id\":\"n1\","
			"\"reason\":\"no\"},\"type\":\"m.key.verification.cancel\",\"user\":\"_xmpp_bob\"}" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO_FREE char *json = render(&cases[i].outgoing);
		assert_string_equal(json, cases[i].json);
	}
}

static void
test_unpack(void **state)
{
	const struct outgoing outgoing = { .kind = OUTGOING_MESSAGE, .name = "n1", .text = "x" };
	AUTO_FREE char *json = render(&outgoing);
	struct event_parts parts;

	(void)state;
	assert_true(event_unpack(json, strlen(json), &parts));
	assert_string_equal(parts.type, "m.room.message");
	assert_string_equal(parts.content, "{\"body\":\"x\",\"msgtype\":\"m.text\",\"org.sourdine.id\":\"n1\"}");
	event_parts_fini(&parts);
	for (size_t n = 0; n < strlen(json); n++) {
		assert_false(event_unpack(json, n, &parts));
		event_parts_fini(&parts);
	}
}

/* What fits, rendered, is below the homeserver's limit; and one part is not needlessly small. */
static void
test_fits(void **state)
{
	static const char *const pieces[] = { "a", "\n", "\"", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "a\\\t" };

	(void)state;
	assert_int_equal(event_fits("abc", 3), 3);
	assert_int_equal(event_fits("", 0), 0);
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		struct str text;
		str_init(&text, 1 << 20);
		while (text.n < 200000)
			str_add(&text, pieces[i]);
		size_t n = event_fits(str_get(&text), text.n);
		assert_true(n > 0 && n < text.n);
		assert_true(((unsigned char)text.p[n] & 0xC0) != 0x80);
		AUTO_FREE char *part = xstrndup(text.p, n);
		const struct outgoing outgoing = { .kind = OUTGOING_MESSAGE, .name = "0123456789abcdef0123456789abcdef", .text = part };
		AUTO_FREE char *json = render(&outgoing);
		assert_in_range(strlen(json), 35000, EVENT_OUT_MAX);
		str_fini(&text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_messages),
		cmocka_unit_test(test_read_verification),
		cmocka_unit_test(test_read_nothing),
		cmocka_unit_test(test_sealed),
		cmocka_unit_test(test_read_poison),
		cmocka_unit_test(test_read_state),
		cmocka_unit_test(test_render),
		cmocka_unit_test(test_unpack),
		cmocka_unit_test(test_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
