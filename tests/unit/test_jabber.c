/* SPDX-License-Identifier: Apache-2.0 */
/* The port without a server: what it renders, what fits, and what it reads back from an inbox row, whatever the bytes. */
#include "xmpp/jabber.h"

#include "base/log.h"
#include "base/str.h"
#include "core/arena.h"
#include "xmpp/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct scene {
	char directory[64], key[80];
	struct loop *loop;
	struct seal *seal;
	struct port *port;
	struct arena arena;
	struct incoming in;
	xmpp_ctx_t *ctx;
};

static int
nobody(void *context, const char *person)
{
	(void)context, (void)person;
	return 0;
}

static int
open_scene(void **state)
{
	static const struct jabber_settings settings = {
		.host = "127.0.0.1", .port = 9, .component = "sourdine.x", .secret = "s", .nick = "Sourdine", .is_operator = nobody,
	};
	struct scene *scene = xcalloc(1, sizeof(*scene));

	snprintf(scene->directory, sizeof(scene->directory), "/tmp/test_jabber.XXXXXX");
	assert_non_null(mkdtemp(scene->directory));
	snprintf(scene->key, sizeof(scene->key), "%s/key", scene->directory);
	assert_int_equal(seal_open(&scene->seal, scene->key, true), 0);
	assert_int_equal(loop_open(&scene->loop), 0);
	struct jabber_parts parts = { .loop = scene->loop, .seal = scene->seal };
	jabber_open(&scene->port, &settings, &parts);
	arena_init(&scene->arena);
	scene->ctx = stanza_context();
	*state = scene;
	return 0;
}

static int
close_scene(void **state)
{
	struct scene *scene = *state;

	arena_fini(&scene->arena);
	jabber_close(scene->port);
	loop_close(scene->loop);
	seal_close(scene->seal);
	xmpp_ctx_free(scene->ctx);
	unlink(scene->key);
	rmdir(scene->directory);
	free(scene);
	return 0;
}

/* ---- rendering ---- */

static xmpp_stanza_t *
rendered(struct scene *scene, const struct outgoing *outgoing)
{
	struct str text AUTO_STR;

	str_init(&text, 1 << 20);
	scene->port->ops->render(scene->port, outgoing, &text);
	assert_true(str_is_clean(str_get(&text), text.n));
	return reader_parse(scene->ctx, str_get(&text), text.n);
}

static void
assert_child(xmpp_stanza_t *stanza, const char *name, const char *ns, const char *wanted)
{
	char *text = stanza_text(stanza_find(stanza, name, ns));

	assert_string_equal(text, wanted);
	free(text);
}

static const struct outgoing said = {
	.kind = OUTGOING_MESSAGE, .name = "abcdefghabcdefghabcdefghabcdefgh", .lane = "room@rooms.x",
	.author = { "@Alice:hs", "Alice:hs", "Alice" }, .text = "hello <b>\x01",
};

static void
test_render_message(void **state)
{
	struct scene *scene = *state;
	xmpp_stanza_t *stanza = rendered(scene, &said), *again = rendered(scene, &said);

	assert_string_equal(stanza_get(stanza, "from"), "=41lice\\3ahs@sourdine.x/sourdine");
	assert_string_equal(stanza_get(stanza, "to"), "room@rooms.x");
	assert_string_equal(stanza_get(stanza, "type"), "groupchat");
	assert_string_equal(stanza_get(stanza, "id"), said.name);
	assert_string_equal(stanza_get(stanza_find(stanza, "origin-id", NS_SID), "id"), said.name);
	assert_child(stanza, "body", NS_COMPONENT, "hello <b>\xEF\xBF\xBD");
	assert_null(stanza_find(stanza, "delay", NS_DELAY));
	assert_null(stanza_find(stanza, "no-store", NS_HINTS));
	/* The key belongs to the room and the id. */
	const char *key = stanza_get(stanza_find(stanza, "mark", NS_MARK), "key");
	assert_int_equal(strlen(key), 16);
	assert_string_equal(key, stanza_get(stanza_find(again, "mark", NS_MARK), "key"));
	struct outgoing elsewhere = said;
	elsewhere.lane = "other@rooms.x";
	xmpp_stanza_t *other = rendered(scene, &elsewhere);
	assert_string_not_equal(key, stanza_get(stanza_find(other, "mark", NS_MARK), "key"));
	stanza_free(stanza);
	stanza_free(again);
	stanza_free(other);
}

static void
test_render_late_reply(void **state)
{
	struct scene *scene = *state;
	struct outgoing late = said;

	late.reply_to = "sid";
	late.delay_ms = 1795460640000;
	late.message = MESSAGE_EMOTE;
	late.text = "waves";
	xmpp_stanza_t *stanza = rendered(scene, &late);
	assert_child(stanza, "body", NS_COMPONENT, "/me waves");
	assert_string_equal(stanza_get(stanza_find(stanza, "reply", NS_REPLY), "id"), "sid");
	assert_string_equal(stanza_get(stanza_find(stanza, "delay", NS_DELAY), "from"), "sourdine.x");
	assert_string_equal(stanza_get(stanza_find(stanza, "delay", NS_DELAY), "stamp"), "2026-11-23T19:04:00Z");
	stanza_free(stanza);
}

static void
test_render_private(void **state)
{
	struct scene *scene = *state;
	struct outgoing private = { .kind = OUTGOING_PRIVATE, .name = "n", .lane = "bob@x.org", .text = "psst" };
	xmpp_stanza_t *stanza = rendered(scene, &private);

	assert_string_equal(stanza_get(stanza, "from"), "bot@sourdine.x");
	assert_string_equal(stanza_get(stanza, "to"), "bob@x.org");
	assert_string_equal(stanza_get(stanza, "type"), "chat");
	assert_null(stanza_find(stanza, "no-store", NS_HINTS));
	stanza_free(stanza);
	private.lane = "room@rooms.x/Bob with a space/and more";
	stanza = rendered(scene, &private);
	assert_string_equal(stanza_get(stanza, "from"), "bot@sourdine.x/sourdine");
	assert_string_equal(stanza_get(stanza, "to"), private.lane);
	assert_non_null(stanza_find(stanza, "x", NS_MUC_USER));
	assert_non_null(stanza_find(stanza, "no-store", NS_HINTS));
	stanza_free(stanza);
	private.kind = OUTGOING_MARK;
	assert_null(rendered(scene, &private));
}

/* The longest text that fits can be rendered, whatever it is made of. */
static void
test_fits(void **state)
{
	static const char *const letters[] = { "x", "&", "\"", "é", "😀", "\n", "\r" };
	struct scene *scene = *state;

	for (size_t i = 0; i < sizeof(letters) / sizeof(*letters); i++) {
		struct str text AUTO_STR;
		str_init(&text, 1 << 20);
		while (text.n < 200000)
			str_add(&text, letters[i]);
		size_t fits = scene->port->ops->fits(scene->port, str_get(&text), text.n);
		assert_true(fits > 5000 && fits < 65536);
		assert_int_equal(fits % strlen(letters[i]), 0);
		text.p[fits] = '\0';
		struct outgoing outgoing = said;
		outgoing.text = str_get(&text);
		xmpp_stanza_t *stanza = rendered(scene, &outgoing);
		assert_non_null(stanza);
		assert_child(stanza, "body", NS_COMPONENT, str_get(&text));
		stanza_free(stanza);
		assert_int_equal(scene->port->ops->fits(scene->port, "short", 5), 5);
	}
}

/* ---- reading ---- */

static struct incoming *
read_raw(struct scene *scene, const char *raw)
{
	char *copy = xstrdup(raw);

	memset(&scene->in, 0xAA, sizeof(scene->in));
	scene->port->ops->read(scene->port, "room@rooms.x", copy, strlen(copy), &scene->arena, &scene->in);
	/* Nothing may point into the row. */
	memset(copy, 'x', strlen(copy));
	free(copy);
	return &scene->in;
}

static struct incoming *
read_message(struct scene *scene, const char *message)
{
	AUTO_FREE char *raw = xasprintf("<row xmlns='urn:sourdine:row' person='xmpp:bob@x' stem='bob@x' nick='Bob &amp; Co' reply='room@rooms.x/Bob'"
		" at='1795460640000' live='1'><message xmlns='jabber:client' type='groupchat'>%s</message></row>", message);

	return read_raw(scene, raw);
}

static void
test_read(void **state)
{
	struct incoming *in = read_message(*state, "<body>hello</body><reply xmlns='urn:xmpp:reply:0' id='sid' to='a@b'/>");

	assert_int_equal(in->kind, INCOMING_MESSAGE);
	assert_string_equal(in->author.person, "xmpp:bob@x");
	assert_string_equal(in->author.stem, "bob@x");
	assert_string_equal(in->author.name, "Bob & Co");
	assert_int_equal(in->message, MESSAGE_TEXT);
	assert_string_equal(in->text, "hello");
	assert_string_equal(in->reply_to, "sid");
	assert_string_equal(in->reply_address, "room@rooms.x/Bob");
	assert_true(in->live);
	assert_false(in->moderator);
	assert_false(in->direct);
	assert_null(in->direct_room);
	assert_true(in->origin_ms == 1795460640000);
}

static const struct {
	const char *message, *text; /* NULL: nothing */
	enum message_kind kind;
} messages[] = {
	{ "<body>/me waves</body>", "waves", MESSAGE_EMOTE },
	{ "<body>/message</body>", "/message", MESSAGE_TEXT },
	{ "<body></body>", NULL, MESSAGE_TEXT },
	{ "<body> \n</body>", NULL, MESSAGE_TEXT },
	{ "<subject>a subject</subject>", NULL, MESSAGE_TEXT },
	{ "<active xmlns='http://jabber.org/protocol/chatstates'/>", NULL, MESSAGE_TEXT },
	{ "<body>👍</body><reactions xmlns='urn:xmpp:reactions:0' id='x'><reaction>👍</reaction></reactions>", NULL, MESSAGE_TEXT },
	{ "<body>corrected</body><replace xmlns='urn:xmpp:message-correct:0' id='x'/>", NULL, MESSAGE_TEXT },
	{ "<body>I sent you an OMEMO encrypted message</body><encrypted xmlns='eu.siacs.conversations.axolotl'/>", NULL, MESSAGE_TEXT },
	/* XEP-0428: code points, not bytes; the quotation goes, the answer stays. */
	{ "<body>&gt; Zoë 😀\nyes</body><fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='0' end='8'/></fallback>", "yes",
		MESSAGE_TEXT },
	{ "<body>yes &gt; q</body><fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='3' end='700'/></fallback>", "yes",
		MESSAGE_TEXT },
	{ "<body>abcdef</body><fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='4' end='2'/></fallback>", "abcdef",
		MESSAGE_TEXT },
	{ "<body>abcdef</body><fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='-1' end='x'/></fallback>", "abcdef",
		MESSAGE_TEXT },
	{ "<body>a bc d</body><fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='0' end='2'/></fallback>"
		"<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='4' end='6'/></fallback>", "bc", MESSAGE_TEXT },
	/* A fallback for what we do not know is the message. */
	{ "<body>a poll: yes or no?</body><fallback xmlns='urn:xmpp:fallback:0' for='urn:x:polls'/>", "a poll: yes or no?", MESSAGE_TEXT },
};

static void
test_read_kinds(void **state)
{
	for (size_t i = 0; i < sizeof(messages) / sizeof(*messages); i++) {
		struct incoming *in = read_message(*state, messages[i].message);
		if ((in->kind == INCOMING_MESSAGE) != (messages[i].text != NULL))
			fail_msg("case %zu", i);
		if (!messages[i].text)
			continue;
		assert_string_equal(in->text, messages[i].text);
		assert_int_equal(in->message, messages[i].kind);
	}
}

static void
test_read_poison(void **state)
{
	static const char *const bad[] = {
		"", "x", "<", "<row/>", "<row xmlns='urn:sourdine:row'/>", "<row xmlns='urn:sourdine:row' person='p' reply='r'/>",
		"<row xmlns='urn:sourdine:row' person='p'><message/></row>", "<other person='p' reply='r'><message/></other>",
		"<row xmlns='urn:sourdine:row' person='p' reply='r'><message>", "<!DOCTYPE row><row/>",
	};
	struct scene *scene = *state;
	struct str deep AUTO_STR;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct incoming *in = read_raw(scene, bad[i]);
		assert_int_equal(in->kind, INCOMING_POISON);
		assert_non_null(in->reason);
	}
	str_init(&deep, 1 << 20);
	for (int i = 0; i < 36000; i++)
		str_add(&deep, "<a>");
	assert_int_equal(read_raw(scene, str_get(&deep))->kind, INCOMING_POISON);
}

/* A row with one byte changed, or cut: never a crash, and a message has all that it needs. */
static void
test_read_any(void **state)
{
	static const char raw[] = "<row xmlns='urn:sourdine:row' person='xmpp:b@x' stem='b@x' nick='B' reply='r@x/B' at='1' live='1'><message>"
		"<body>/me &gt; q\xC3\xA9</body><fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='0' end='4'/></fallback>"
		"<reply xmlns='urn:xmpp:reply:0' id='i'/></message></row>";
	static const char bytes[] = "\x01<>&'\"/ 9a\xFF\xC3";

	for (size_t i = 0; i < sizeof(raw) - 1; i++)
		for (size_t j = 0; j < sizeof(bytes); j++) {
			char copy[sizeof(raw)];
			memcpy(copy, raw, sizeof(raw));
			copy[i] = bytes[j];
			struct incoming *in = read_raw(*state, copy);
			if (in->kind != INCOMING_MESSAGE)
				continue;
			assert_non_null(in->text);
			assert_non_null(in->author.person);
			assert_non_null(in->reply_address);
			assert_true(str_is_clean(in->text, strlen(in->text)));
		}
}

static void
quiet(enum log_level level, const char *line)
{
	(void)level, (void)line;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_render_message, open_scene, close_scene),
		cmocka_unit_test_setup_teardown(test_render_late_reply, open_scene, close_scene),
		cmocka_unit_test_setup_teardown(test_render_private, open_scene, close_scene),
		cmocka_unit_test_setup_teardown(test_fits, open_scene, close_scene),
		cmocka_unit_test_setup_teardown(test_read, open_scene, close_scene),
		cmocka_unit_test_setup_teardown(test_read_kinds, open_scene, close_scene),
		cmocka_unit_test_setup_teardown(test_read_poison, open_scene, close_scene),
		cmocka_unit_test_setup_teardown(test_read_any, open_scene, close_scene),
	};

	log_register(quiet);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
