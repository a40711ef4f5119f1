/* SPDX-License-Identifier: Apache-2.0 */
/* The serialiser lets nothing bad out, and requests are answered by whom they went to. */
#include "xmpp/stanza.h"

#include "base/metric.h"
#include "base/str.h"
#include "xmpp/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOMAIN "sourdine.x"
#define FROM "a@" DOMAIN "/r"

static xmpp_ctx_t *ctx;

static char *
written(const char *body, const char *to)
{
	struct str out;
	xmpp_stanza_t *message = stanza_make(ctx, "message", "chat", "i", FROM, to);

	str_init(&out, STANZA_OUT_MAX);
	stanza_add_text(message, "body", body);
	bool good = stanza_write(&out, message, DOMAIN);
	stanza_free(message);
	if (good)
		return str_take(&out);
	assert_int_equal(out.n, 0);
	str_fini(&out);
	return NULL;
}

static void
test_write(void **state)
{
	(void)state;
	char *text = written("a<b>&\"'\t\r\n]]>", "x@y/\"<'&\t\n>");
	assert_string_equal(text, "<message from=\"" FROM "\" to=\"x@y/&quot;&lt;&apos;&amp;&#9;&#10;&gt;\" type=\"chat\" id=\"i\">"
		"<body>a&lt;b&gt;&amp;&quot;&apos;\t&#13;\n]]&gt;</body></message>");
	free(text);
}

/* Every byte, and every forbidden code point: what leaves is clean, and reads back. */
static void
test_write_bad(void **state)
{
	static const char *const bad[] = { "\x01", "\x08", "\x0B", "\x0C", "\x1F", "\xEF\xBF\xBE", "\xEF\xBF\xBF", "\xED\xA0\x80", "\xED\xBF\xBF",
		"\xC0\x80", "\xFF", "\xF4\x90\x80\x80", "\xC3", "\xE2\x82" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad) + 255; i++) {
		char one[2] = { (char)(i + 1), '\0' };
		AUTO_FREE char *body = xasprintf("x%sy", i < 255 ? one : bad[i - 255]);
		AUTO_FREE char *text = written(body, body);
		assert_true(str_is_clean(text, strlen(text)));
		assert_null(strstr(text, i < 255 && i + 1 < 0x20 && !strchr("\t\r\n", (int)i + 1) ? one : "\xEF\xBF\xBF"));
		xmpp_stanza_t *back = reader_parse(ctx, text, strlen(text));
		assert_non_null(back);
		AUTO_FREE char *clean = str_clean(body, strlen(body));
		AUTO_FREE char *got = stanza_text(stanza_find(back, "body", NULL));
		assert_string_equal(got, clean);
		assert_string_equal(stanza_get(back, "to"), clean);
		stanza_free(back);
	}
}

static void
test_write_from(void **state)
{
	static const struct {
		const char *from;
		bool good;
	} table[] = {
		{ DOMAIN, true }, { "a@" DOMAIN, true }, { "a@" DOMAIN "/x@y", true }, { DOMAIN "/r", true },
		{ "a@evil", false }, { "a@evil/" DOMAIN, false }, { "a@evil/x@" DOMAIN, false }, { "a@x." DOMAIN, false },
		{ DOMAIN ".evil", false }, { "", false }, { NULL, false }, { "evil/a@" DOMAIN, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		struct str out;
		xmpp_stanza_t *stanza = stanza_make(ctx, "presence", NULL, NULL, table[i].from, "x@y");
		str_init(&out, STANZA_OUT_MAX);
		assert_int_equal(stanza_write(&out, stanza, DOMAIN), table[i].good);
		assert_int_equal(out.n > 0, table[i].good);
		stanza_free(stanza);
		str_fini(&out);
	}
}

/* An error in a message or a presence would get a ghost out of its room; an iq's is the polite answer. */
static void
test_write_no_errors(void **state)
{
	static const char *const kinds[] = { "message", "presence", "iq" };
	int64_t before = metric_get(METRIC_STANZA_HELD_BACK);

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct str out AUTO_STR;
		xmpp_stanza_t *stanza = stanza_make(ctx, kinds[i], "error", "1", "ghost@" DOMAIN, "room@rooms.x/Bob");
		stanza_add_text(stanza, "body", "no");
		str_init(&out, STANZA_OUT_MAX);
		assert_int_equal(stanza_write(&out, stanza, DOMAIN), i == 2);
		assert_int_equal(out.n > 0, i == 2);
		/* A row of the inbox may hold one that somebody else sent. */
		assert_true(stanza_write(&out, stanza, NULL));
		stanza_free(stanza);
	}
	assert_int_equal(metric_get(METRIC_STANZA_HELD_BACK) - before, 2);
}

static void
test_write_size(void **state)
{
	AUTO_FREE char *body = xmalloc(STANZA_OUT_MAX + 1);

	(void)state;
	memset(body, '&', STANZA_OUT_MAX);
	body[STANZA_OUT_MAX] = '\0';
	assert_null(written(body, "x@y"));
	size_t fits = stanza_fits(body, STANZA_OUT_MAX, STANZA_OUT_MAX - 1024);
	assert_int_equal(fits, (STANZA_OUT_MAX - 1024) / 5);
	body[fits] = '\0';
	char *text = written(body, "x@y");
	assert_non_null(text);
	free(text);
	/* Not inside a character. */
	assert_int_equal(stanza_fits("aéé", 5, 4), 3);
	assert_int_equal(stanza_fits("aéé", 5, 5), 5);
	assert_int_equal(stanza_fits("😀😀", 8, 7), 4);
}

/* What a namespace is survives the way out and in. */
static void
test_namespaces(void **state)
{
	static const char text[] = "<message from=\"a@b\"><x xmlns=\"urn:a\"><y/><z xmlns=\"urn:b\" xml:lang=\"fr\"><body xmlns=\"jabber:component:accept\"/>"
		"</z></x><body>t</body></message>";
	struct str out AUTO_STR;

	(void)state;
	xmpp_stanza_t *stanza = reader_parse(ctx, text, sizeof(text) - 1);
	assert_non_null(stanza);
	assert_non_null(stanza_find(stanza_find(stanza, "x", "urn:a"), "y", "urn:a"));
	str_init(&out, 4096);
	assert_true(stanza_write(&out, stanza, NULL));
	assert_string_equal(str_get(&out), text);
	stanza_free(stanza);
}

static void
test_error(void **state)
{
	static const char text[] = "<message type='error'><error type='wait'><text xmlns='" NS_STANZAS "'>slow</text>"
		"<policy-violation xmlns='" NS_STANZAS "'/></error></message>";
	const char *type;

	(void)state;
	xmpp_stanza_t *stanza = reader_parse(ctx, text, sizeof(text) - 1);
	assert_string_equal(stanza_error(stanza, &type), "policy-violation");
	assert_string_equal(type, "wait");
	char *said = stanza_error_text(stanza);
	assert_string_equal(said, "slow");
	free(said);
	stanza_free(stanza);
}

/* ---- requests ---- */

struct seen {
	int count;
	enum answer answer;
	struct requests *again; /* asks anew from within */
};

static void
on_answer(void *context, enum answer answer, xmpp_stanza_t *iq)
{
	struct seen *seen = context;
	char id[32];

	assert_int_equal(iq == NULL, answer == ANSWER_NONE);
	seen->count++;
	seen->answer = answer;
	if (seen->again)
		requests_expect(seen->again, "a@x", "b@y", 60000, on_answer, seen, id);
}

static int
give(struct requests *requests, const char *type, const char *id, const char *from, const char *to)
{
	xmpp_stanza_t *iq = stanza_make(ctx, "iq", type, id, from, to);
	int r = requests_answer(requests, iq);

	stanza_free(iq);
	return r;
}

static void
test_requests(void **state)
{
	struct loop *loop;
	struct requests requests;
	struct seen one = { 0 }, two = { 0 }, late = { 0 };
	char id1[32], id2[32], id3[32];

	(void)state;
	assert_int_equal(loop_open(&loop), 0);
	requests_init(&requests, loop);
	requests_expect(&requests, "a@x/r", "b@y", 60000, on_answer, &one, id1);
	requests_expect(&requests, "a@x/r", "c@y", 60000, on_answer, &two, id2);
	assert_string_not_equal(id1, id2);
	assert_int_equal(strlen(id1), 26);
	assert_true(requests_made(&requests, id1) && requests_made(&requests, id2));
	assert_false(requests_made(&requests, "beat") || requests_made(&requests, "abcdefghabcdefghabcdefghab"));
	assert_int_equal(give(&requests, "result", id1, "evil@y", "a@x/r"), REQUESTS_E_ELSEWHERE);
	assert_int_equal(give(&requests, "result", id1, "b@y", "a@x"), REQUESTS_E_ELSEWHERE);
	assert_int_equal(give(&requests, "result", "nobody", "b@y", "a@x/r"), REQUESTS_E_UNASKED);
	assert_int_equal(give(&requests, "result", id2, "b@y", "a@x/r"), REQUESTS_E_ELSEWHERE);
	assert_int_equal(one.count + two.count, 0);
	assert_int_equal(give(&requests, "error", id1, "b@y", "a@x/r"), 0);
	assert_int_equal(one.answer, ANSWER_ERROR);
	assert_int_equal(give(&requests, "result", id1, "b@y", "a@x/r"), REQUESTS_E_UNASKED);
	assert_int_equal(one.count, 1);
	requests_expect(&requests, "a@x/r", "b@y", 1, on_answer, &late, id3);
	for (int i = 0; i < 100 && !late.count; i++)
		assert_int_equal(loop_once(loop, 10), 0);
	assert_int_equal(late.answer, ANSWER_NONE);
	/* All at once; what is asked from within is not lost with them. */
	two.again = &requests;
	requests_lose(&requests);
	assert_int_equal(two.count, 1);
	assert_int_equal(two.answer, ANSWER_NONE);
	two.again = NULL;
	requests_forget(&requests, &two);
	requests_lose(&requests);
	assert_int_equal(two.count, 1);
	requests_fini(&requests);
	loop_close(loop);
}

static int
set_up(void **state)
{
	(void)state;
	ctx = stanza_context();
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	xmpp_ctx_free(ctx);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_write_bad),
		cmocka_unit_test(test_write_from),
		cmocka_unit_test(test_write_no_errors),
		cmocka_unit_test(test_write_size),
		cmocka_unit_test(test_namespaces),
		cmocka_unit_test(test_error),
		cmocka_unit_test(test_requests),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
