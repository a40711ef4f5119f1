/* SPDX-License-Identifier: Apache-2.0 */
/* The scanner and the reader of events: what they find, what they mend and what they refuse. */
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct seen {
	unsigned count;
	struct str ids;
	struct json_event last;
};

static void
see(void *context, const struct json_event *event)
{
	struct seen *seen = context;

	seen->count++;
	seen->last = *event;
	str_add_n(&seen->ids, event->event_id.p ? event->event_id.p : "?", event->event_id.p ? event->event_id.n : 1);
	str_add_char(&seen->ids, ',');
}

static bool
split(const char *text, struct seen *seen)
{
	*seen = (struct seen){ .count = 0 };
	str_init(&seen->ids, 65536);
	return json_split(text, strlen(text), "events", see, seen);
}

static void
assert_span(struct span span, const char *text)
{
	assert_int_equal(span.n, strlen(text));
	assert_memory_equal(span.p, text, span.n);
}

static void
test_split_finds_names(void **state)
{
	struct seen seen;

	(void)state;
	assert_true(split("{\"to_device\":[{\"event_id\":\"$no\"}], \"events\" : [ {\"event_id\":\"$1\", \"content\":{\"event_id\":\"$in\"},"
		"\"room_id\":\"!r:hs\",\"type\":\"m.room.message\",\"sender\":\"@a:hs\",\"origin_server_ts\": 1700000000123 } ,"
		"{\"event_id\":\"$2\",\"x\":\"}]\\\"{\"}]}\n", &seen));
	assert_int_equal(seen.count, 2);
	assert_string_equal(str_get(&seen.ids), "$1,$2,");
	str_fini(&seen.ids);
	assert_true(split("{\"events\":[{\"sender\":\"@a:hs\",\"room_id\":\"!r:hs\",\"origin_server_ts\":1700000000123,\"type\":\"t\"}]}", &seen));
	assert_span(seen.last.sender, "@a:hs");
	assert_span(seen.last.room_id, "!r:hs");
	assert_span(seen.last.type, "t");
	assert_null(seen.last.event_id.p);
	assert_int_equal(seen.last.stamp_ms, 1700000000123);
	str_fini(&seen.ids);
}

static void
test_split_takes_odd_members(void **state)
{
	struct seen seen;

	(void)state;
	assert_true(split("{}", &seen));
	assert_true(split("{\"events\":[]}", &seen));
	assert_int_equal(seen.count, 0);
	/* Whatever stands in the array is somebody's event, and only its own trouble. */
	assert_true(split("{\"events\":[1,\"a\",null,[],{},{\"event_id\":7,\"origin_server_ts\":1e3},{\"event_id\":\"$z\"}]}", &seen));
	assert_int_equal(seen.count, 7);
	assert_string_equal(str_get(&seen.ids), "?,?,?,?,?,?,$z,");
	str_fini(&seen.ids);
}

static void
test_split_refuses_broken_top(void **state)
{
	static const char *const broken[] = {
		"", "x", "[]", "{", "{\"events\"", "{\"events\":", "{\"events\":[", "{\"events\":[{}", "{\"events\":[{}]", "{\"events\":[{}]} x",
		"{\"events\":[{\"a\":\"}]}", "{\"events\":{}}", "{\"events\":[{},]}", "{\"events\":[],}", "{\"events\":[{\"a\":\"\\",
	};
	struct seen seen;

	(void)state;
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		bool good = split(broken[i], &seen);
		if (good || seen.count)
			fail_msg("\"%s\" was taken, %u events", broken[i], seen.count);
	}
}

/* Every way to cut a transaction short is noticed before any event of it is handed out. */
static void
test_split_every_prefix(void **state)
{
	static const char whole[] = "{\"ephemeral\":[{\"a\":1}],\"events\":[{\"event_id\":\"$1\",\"b\":[{\"c\":\"\\\"\"}]},{\"event_id\":\"$2\"}],\"z\":{}}";
	struct seen seen;

	(void)state;
	for (size_t n = 0; n < sizeof(whole) - 1; n++) {
		AUTO_FREE char *copy = xstrndup(whole, n); /* so that a read beyond the end is seen */
		seen = (struct seen){ .count = 0 };
		str_init(&seen.ids, 65536);
		assert_false(json_split(copy, n, "events", see, &seen));
		assert_int_equal(seen.count, 0);
	}
	assert_true(split(whole, &seen));
	assert_int_equal(seen.count, 2);
	str_fini(&seen.ids);
}

static void
test_split_is_not_recursive(void **state)
{
	size_t depth = 2000000;
	AUTO_FREE char *deep = xmalloc(2 * depth + 64);
	struct seen seen;

	(void)state;
	static const char start[] = "{\"events\":[";
	memcpy(deep, start, sizeof(start) - 1);
	char *p = deep + sizeof(start) - 1;
	memset(p, '[', depth);
	memset(p + depth, ']', depth);
	memcpy(p + 2 * depth, ",{\"event_id\":\"$1\"}]}", 21);
	assert_true(split(deep, &seen));
	assert_int_equal(seen.count, 2);
	assert_string_equal(str_get(&seen.ids), "?,$1,");
	str_fini(&seen.ids);
}

static void
test_find_text(void **state)
{
	static const char text[] = "{\"chunk\":[{\"end\":\"no\"}],\"start\":\"s\",\"end\":\"t1_2\"}";

	(void)state;
	assert_span(json_find_text(text, strlen(text), "end"), "t1_2");
	assert_null(json_find_text(text, strlen(text), "chunk").p);
	assert_null(json_find_text("{\"end\":", 7, "end").p);
}

/* ---- one event ---- */

static void
assert_reads(const char *json, const char *body)
{
	const char *why = NULL;
	json_t *read = json_read(json, strlen(json), &why);

	if (!read)
		fail_msg("%s: %s", json, why);
	assert_string_equal(json_text(read, "b"), body);
	json_decref(read);
}

static void
test_read_mends_values(void **state)
{
	(void)state;
	assert_reads("{\"b\":\"a\\u0000z\"}", "a\xEF\xBF\xBDz");
	assert_reads("{\"b\":\"\\ud83d\"}", "\xEF\xBF\xBD");
	assert_reads("{\"b\":\"\\uDE00x\"}", "\xEF\xBF\xBDx");
	assert_reads("{\"b\":\"\\ud83d\\ud83d\\ude00\"}", "\xEF\xBF\xBD\xF0\x9F\x98\x80");
	assert_reads("{\"b\":\"\\ud83d\\ude00\"}", "\xF0\x9F\x98\x80");
	/* An escaped backslash before a u is no escape of a character. */
	assert_reads("{\"b\":\"\\\\u0000\"}", "\\u0000");
	assert_reads("{\"b\":\"\\\\\\u0000\"}", "\\\xEF\xBF\xBD");
	assert_reads("{\"b\" : \"q\\\"\\u0001\" }", "q\"\x01");
	/* A value that looks like a key is none. */
	assert_reads("{\"a\":[\"\\u0000\",\":\"],\"b\":\"x\"}", "x");
}

static void
assert_refused(const char *json, size_t n, const char *reason)
{
	const char *why = NULL;
	json_t *read = json_read(json, n, &why);

	if (read)
		fail_msg("%.60s was taken", json);
	assert_string_equal(why, reason);
}

static void
test_read_refuses(void **state)
{
	static const struct {
		const char *json, *reason;
	} cases[] = {
		{ "{\"\\u0000\":1}", "a NUL character in a key" },
		{ "{\"a\\ud800\":1}", "no valid JSON" },
		{ "{\"a\":1e400}", "a number out of range" },
		{ "{\"a\":99999999999999999999}", "a number out of range" },
		{ "{\"a\":1,\"a\":2}", "a repeated key" },
		{ "{\"a\":\"\xC3(\"}", "no valid UTF-8" },
		{ "{\"a\":\"\xED\xA0\x80\"}", "no valid UTF-8" },
		{ "{\"a\":1]", "no valid JSON" },
		{ "{\"a\":\"x}", "no valid JSON" },
		{ "{\"a\":\"\\", "no valid JSON" },
		{ "{\"a\":\"\\u12", "no valid JSON" },
		{ "[1]", "no object" },
		{ "7", "no valid JSON" },
		{ "", "no valid JSON" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_refused(cases[i].json, strlen(cases[i].json), cases[i].reason);
	assert_refused("{\"a\":\"\0\"}", 9, "no valid JSON");
}

static void
test_read_limits(void **state)
{
	struct str text;
	const char *why;

	(void)state;
	for (int over = 0; over <= 1; over++) {
		str_init(&text, 1 << 20);
		str_add(&text, "{\"a\":");
		for (int i = 0; i < JSON_DEPTH_MAX - 1 + over; i++)
			str_add_char(&text, '[');
		for (int i = 0; i < JSON_DEPTH_MAX - 1 + over; i++)
			str_add_char(&text, ']');
		str_add_char(&text, '}');
		json_t *read = json_read(str_get(&text), text.n, &why);
		assert_true(over ? !read && strcmp(why, "nested too deep") == 0 : read != NULL);
		json_decref(read);
		str_fini(&text);
	}
	str_init(&text, 1 << 20);
	str_add(&text, "{\"a\":0");
	for (int i = 0; i < JSON_KEYS_MAX; i++)
		str_addf(&text, ",\"%d\":0", i);
	str_add_char(&text, '}');
	assert_refused(str_get(&text), text.n, "too many keys");
	str_clear(&text);
	str_add(&text, "{\"a\":\"");
	while (text.n <= JSON_EVENT_MAX)
		str_add(&text, "xxxxxxxxxxxxxxxx");
	str_add(&text, "\"}");
	assert_refused(str_get(&text), text.n, "too large");
	str_fini(&text);
}

static void
test_getters_and_order(void **state)
{
	const char *why;
	static const char text[] = "{\"z\":1,\"a\":{\"t\":\"x\",\"n\":5,\"on\":true},\"f\":1.5}";
	json_t *read = json_read(text, strlen(text), &why);
	int64_t n = 9;
	struct str out;

	(void)state;
	assert_non_null(read);
	assert_string_equal(json_text(json_child(read, "a"), "t"), "x");
	assert_null(json_text(read, "a"));
	assert_null(json_text(json_child(json_child(read, "no"), "no"), "t"));
	assert_null(json_child(read, "z"));
	assert_false(json_whole(read, "f", &n));
	assert_int_equal(n, 9);
	assert_true(json_whole(json_child(read, "a"), "n", &n));
	assert_int_equal(n, 5);
	assert_true(json_is_on(json_child(read, "a"), "on"));
	assert_false(json_is_on(read, "z"));
	str_init(&out, 1000);
	json_add(&out, json_child(read, "a"));
	assert_string_equal(str_get(&out), "{\"n\":5,\"on\":true,\"t\":\"x\"}");
	str_fini(&out);
	json_decref(read);
	static const char answer[] = "{\"displayname\":\"a\\u0000\"}";
	read = json_read_answer(answer, strlen(answer));
	assert_non_null(read);
	assert_string_equal(json_text(read, "displayname"), "a\xEF\xBF\xBD");
	json_decref(read);
	assert_null(json_read_answer("", 0));
	assert_null(json_read_answer("[]", 2));
}

/* An answer holds what strangers wrote; whatever that is, the rest of it is read. */
static void
test_answers_are_salvaged(void **state)
{
	static const char *const cases[] = {
		"123456789012345678901234567890", "-99999999999999999999", "1e999", "[1E400,5]", "{\"a\\u0000\":1}", "{\"a\\ud800b\":-0.5}", "{\"a\":1,\"a\":1e999}",
		"0.1234567890123456789e9999",
	};
	struct str deep AUTO_STR;

	(void)state;
	for (size_t i = 0; i <= sizeof(cases) / sizeof(*cases); i++) {
		str_init(&deep, 100000);
		if (i == sizeof(cases) / sizeof(*cases)) {
			for (int n = 0; n < 900; n++)
				str_add_char(&deep, '[');
			str_add(&deep, "1e999");
			for (int n = 0; n < 900; n++)
				str_add_char(&deep, ']');
		} else {
			str_add(&deep, cases[i]);
		}
		AUTO_FREE char *text = xasprintf("{\"x\":%s,\"next_batch\":\"s1\",\"n\":[-5, 1700000000000 ,2.5,true]}", str_get(&deep));
		json_t *json = json_read_answer(text, strlen(text));
		if (!json)
			fail_msg("%s", text);
		assert_string_equal(json_text(json, "next_batch"), "s1");
		const json_t *numbers = json_object_get(json, "n");
		assert_int_equal(json_integer_value(json_array_get(numbers, 0)), -5);
		assert_int_equal(json_integer_value(json_array_get(numbers, 1)), 1700000000000);
		assert_true(json_real_value(json_array_get(numbers, 2)) > 2.4);
		json_decref(json);
		str_fini(&deep);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split_finds_names),
		cmocka_unit_test(test_split_takes_odd_members),
		cmocka_unit_test(test_split_refuses_broken_top),
		cmocka_unit_test(test_split_every_prefix),
		cmocka_unit_test(test_split_is_not_recursive),
		cmocka_unit_test(test_find_text),
		cmocka_unit_test(test_read_mends_values),
		cmocka_unit_test(test_read_refuses),
		cmocka_unit_test(test_read_limits),
		cmocka_unit_test(test_getters_and_order),
		cmocka_unit_test(test_answers_are_salvaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
