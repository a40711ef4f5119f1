/* SPDX-License-Identifier: Apache-2.0 */
/* The reader's limits, and the stream against a server that the test plays itself. */
#include "xmpp/stream.h"

#include "base/log.h"
#include "base/metric.h"
#include "base/now.h"
#include "base/seal.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='abc'>"

static xmpp_ctx_t *ctx;

/* ---- the reader ---- */

struct heard {
	char id[64];
	unsigned stanzas, skipped, closed, dropped;
	struct str text; /* all stanzas, written again */
	char limit[32];
};

static void
on_opened(void *context, const char *id)
{
	struct heard *heard = context;

	snprintf(heard->id, sizeof(heard->id), "%s", id);
}

static bool
on_wanted(void *context, const struct stream_tag *tag)
{
	struct heard *heard = context;
	bool wanted = strcmp(tag->to, "ghost@x") != 0;

	heard->dropped += !wanted;
	return wanted;
}

static void
on_stanza(void *context, xmpp_stanza_t *stanza)
{
	struct heard *heard = context;

	heard->stanzas++;
	stanza_write(&heard->text, stanza, NULL);
}

static void
on_skipped(void *context, const struct stream_tag *tag, const char *limit)
{
	struct heard *heard = context;

	heard->skipped++;
	assert_string_equal(tag->name, "message");
	snprintf(heard->limit, sizeof(heard->limit), "%s", limit);
}

static void
on_closed(void *context)
{
	((struct heard *)context)->closed++;
}

static const struct reader_events events = { on_opened, on_wanted, on_stanza, on_skipped, on_closed };

static void
heard_init(struct heard *heard)
{
	*heard = (struct heard){ 0 };
	str_init(&heard->text, 8 << 20);
}

/* Feeds in pieces of `piece` bytes; the verdict of the last one. */
static int
feed(const char *text, size_t n, size_t piece, struct heard *heard)
{
	struct reader *reader = reader_new(ctx, &events, heard);
	int r = 0;

	for (size_t at = 0; at < n && r == 0; at += piece) {
		/* A copy of exactly that size, so that the sanitizer sees a step too far. */
		size_t size = n - at < piece ? n - at : piece;
		char *copy = xmalloc(size);
		memcpy(copy, text + at, size);
		r = reader_feed(reader, copy, size);
		free(copy);
	}
	if (r)
		assert_string_not_equal(reader_fault(reader), "");
	reader_free(reader);
	return r;
}

static const char talk[] = HEAD
	"<message from='a@b' xml:lang='fr' id='1'><body>é &lt;&#13;&amp;</body><x xmlns='urn:x' a='&#10;'/>tail<![CDATA[<cd>]]></message>\n"
	"<message to='ghost@x'><body>not wanted</body></message>"
	"<presence from='a@b'/><!-- nothing --><iq type='get' id='2'><q:query xmlns:q='urn:q' q:lost='1'><q:item/></q:query></iq></stream:stream>";
static const char talk_again[] = "<message from=\"a@b\" id=\"1\" xml:lang=\"fr\"><body>é &lt;&#13;&amp;</body><x xmlns=\"urn:x\" a=\"&#10;\"/>tail&lt;cd&gt;</message>"
	"<presence from=\"a@b\"/><iq type=\"get\" id=\"2\"><query xmlns=\"urn:q\"><item/></query></iq>";

static void
test_every_split(void **state)
{
	size_t n = sizeof(talk) - 1;

	(void)state;
	for (size_t piece = 1; piece <= n; piece++) {
		struct heard heard;
		heard_init(&heard);
		assert_int_equal(feed(talk, n, piece, &heard), 0);
		assert_string_equal(heard.id, "abc");
		assert_int_equal(heard.stanzas, 3);
		assert_int_equal(heard.dropped, 1);
		assert_int_equal(heard.closed, 1);
		assert_int_equal(heard.skipped, 0);
		assert_string_equal(str_get(&heard.text), talk_again);
		str_fini(&heard.text);
	}
}

static void
add_repeated(struct str *text, const char *what, size_t count)
{
	for (size_t i = 0; i < count; i++)
		str_add(text, what);
}

/* A stanza of this shape costs itself: the one behind it is heard. Milliseconds that it took. */
static int64_t
check_limit(const char *open, const char *repeated, size_t count, const char *close, const char *limit)
{
	struct str text AUTO_STR;
	struct heard heard;

	str_init(&text, 64 << 20);
	str_add(&text, HEAD "<message from='evil@x' id='big'>");
	str_add(&text, open);
	add_repeated(&text, repeated, count);
	str_add(&text, close);
	str_add(&text, "</message><message><body>after</body></message>");
	heard_init(&heard);
	int64_t start_ms = now_monotonic_ms();
	assert_int_equal(feed(str_get(&text), text.n, 16384, &heard), 0);
	int64_t took_ms = now_monotonic_ms() - start_ms;
	assert_int_equal(heard.skipped, limit ? 1 : 0);
	assert_string_equal(heard.limit, limit ? limit : "");
	assert_int_equal(heard.stanzas, limit ? 1 : 2);
	assert_non_null(strstr(str_get(&heard.text), "<body>after</body>"));
	str_fini(&heard.text);
	return took_ms;
}

static void
test_limits(void **state)
{
	struct str close AUTO_STR;
	struct str attributes AUTO_STR;
	int64_t took_ms = 0;

	(void)state;
	str_init(&close, 1 << 20);
	add_repeated(&close, "</a>", 36000);
	took_ms += check_limit("", "<a/>", 64000, "", "elements");
	took_ms += check_limit("", "<a>", 36000, str_get(&close), "depth");
	took_ms += check_limit("<body>", "0123456789abcdef", 65536, "</body>", "size");
	took_ms += check_limit("<body>", "\n", 256 << 10, "</body>", NULL);
	took_ms += check_limit("<body>", "&amp;", 100000, "</body>", NULL);
	print_message("# five hostile stanzas took %d ms\n", (int)took_ms);
	for (int count = 64; count <= 65; count++) {
		str_init(&attributes, 1 << 20);
		str_add(&attributes, "<a");
		for (int i = 0; i < count; i++)
			str_addf(&attributes, " a%d='1'", i);
		str_add(&attributes, "/>");
		check_limit(str_get(&attributes), "", 0, "", count > 64 ? "attributes" : NULL);
		str_fini(&attributes);
	}
}

static void
test_limits_exact(void **state)
{
	(void)state;
	check_limit("", "<a/>", STREAM_ELEMENTS_MAX, "", NULL);
	check_limit("", "<a/>", STREAM_ELEMENTS_MAX + 1, "", "elements");
	struct str close AUTO_STR;
	str_init(&close, 1 << 20);
	add_repeated(&close, "</a>", STREAM_DEPTH_MAX - 1);
	check_limit("", "<a>", STREAM_DEPTH_MAX - 1, str_get(&close), NULL);
	str_add(&close, "</a>");
	check_limit("", "<a>", STREAM_DEPTH_MAX, str_get(&close), "depth");
	/* The bytes of the message's own tags count too. */
	check_limit("<body>", "x", STREAM_STANZA_MAX - 100, "</body>", NULL);
	check_limit("<body>", "x", STREAM_STANZA_MAX, "</body>", "size");
}

static void
test_children_cap(void **state)
{
	struct str text AUTO_STR;

	(void)state;
	str_init(&text, 1 << 20);
	str_add(&text, "<message>");
	add_repeated(&text, "<a/>", 4000);
	str_add(&text, "</message>");
	xmpp_stanza_t *stanza = reader_parse(ctx, str_get(&text), text.n);
	assert_non_null(stanza);
	size_t count = 0;
	for (xmpp_stanza_t *child = xmpp_stanza_get_children(stanza); child; child = xmpp_stanza_get_next(child))
		count++;
	assert_int_equal(count, STREAM_CHILDREN_MAX);
	stanza_free(stanza);
}

static void
test_broken(void **state)
{
	static const char *const broken[] = {
		HEAD "<message></iq>", HEAD "<message>\x01</message>", HEAD "<message>\xEF\xBF\xBF</message>", HEAD "<message>&#1;</message>",
		HEAD "<message a='1' a='2'/>", HEAD "<message>\xFF</message>", HEAD "<message>&nbsp;</message>", "nothing like it",
		"<?xml version='1.0'?><!DOCTYPE s [<!ENTITY a 'b'>]><s id='1'>", "<!DOCTYPE s><s id='1'>", HEAD "<p:message/>",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(broken) / sizeof(*broken); i++)
		for (size_t piece = 1; piece < 64; piece += 9) {
			struct heard heard;
			heard_init(&heard);
			assert_int_equal(feed(broken[i], strlen(broken[i]), piece, &heard), READER_E_XML);
			assert_int_equal(heard.stanzas, 0);
			str_fini(&heard.text);
		}
	assert_null(reader_parse(ctx, "<a>", 3));
	assert_null(reader_parse(ctx, "", 0));
	assert_null(reader_parse(ctx, "text", 4));
	assert_null(reader_parse(ctx, "<a/></s><b/>", 12));
}

/* A tag without end is all that costs the stream. */
static void
test_endless_tag(void **state)
{
	struct str text AUTO_STR;
	struct heard heard;

	(void)state;
	str_init(&text, 4 << 20);
	str_add(&text, HEAD "<message a='");
	add_repeated(&text, "0123456789abcdef", (STREAM_TOKEN_MAX + 65536) / 16);
	heard_init(&heard);
	assert_int_equal(feed(str_get(&text), text.n, 16384, &heard), READER_E_XML);
	assert_int_equal(heard.stanzas, 0);
	str_fini(&heard.text);
}

/* ---- the stream ---- */

struct scene {
	struct loop *loop;
	struct stream *stream;
	const struct stream_settings *settings;
	int listening, fd; /* the server's */
	unsigned ups, downs, stanzas;
	bool full, blamed; /* blamed: of the last loss */
	char got[1 << 16]; /* what the server read */
	size_t got_n;
	char last[64];     /* id of the last stanza */
};

static void
scene_up(void *context)
{
	((struct scene *)context)->ups++;
}

static void
scene_down(void *context, bool blamed)
{
	((struct scene *)context)->downs++;
	((struct scene *)context)->blamed = blamed;
}

static bool
scene_has_room(void *context)
{
	return !((struct scene *)context)->full;
}

static bool
scene_wanted(void *context, const struct stream_tag *tag)
{
	(void)context;
	return strcmp(tag->type, "groupchat") != 0;
}

static void
scene_stanza(void *context, xmpp_stanza_t *stanza)
{
	struct scene *scene = context;

	scene->stanzas++;
	snprintf(scene->last, sizeof(scene->last), "%s", stanza_get(stanza, "id"));
}

static const struct stream_events scene_events = { scene_up, scene_down, scene_wanted, scene_stanza, scene_has_room };

static uint16_t
listen_anywhere(struct scene *scene)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);

	scene->listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(scene->listening, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(scene->listening, 4), 0);
	assert_int_equal(getsockname(scene->listening, (struct sockaddr *)&address, &size), 0);
	return ntohs(address.sin_port);
}

/* One turn of both sides. */
static void
turn(struct scene *scene)
{
	assert_int_equal(loop_once(scene->loop, 10), 0);
	stream_flush(scene->stream);
	if (scene->fd < 0) {
		scene->fd = accept4(scene->listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		return;
	}
	ssize_t n = recv(scene->fd, scene->got + scene->got_n, sizeof(scene->got) - 1 - scene->got_n, 0);
	if (n > 0)
		scene->got_n += (size_t)n;
	scene->got[scene->got_n] = '\0';
}

static void
until_got(struct scene *scene, const char *text)
{
	for (int i = 0; i < 500 && !strstr(scene->got, text); i++)
		turn(scene);
	assert_non_null(strstr(scene->got, text));
}

static void
until_count(struct scene *scene, const unsigned *count, unsigned wanted)
{
	for (int i = 0; i < 500 && *count < wanted; i++)
		turn(scene);
	assert_int_equal(*count, wanted);
}

static void
say(struct scene *scene, const char *text)
{
	assert_int_equal(send(scene->fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void
hang_up(struct scene *scene)
{
	close(scene->fd);
	scene->fd = -1;
	scene->got_n = 0;
	scene->got[0] = '\0';
}

static void
shake_hands(struct scene *scene)
{
	char digest[41];
	unsigned ups = scene->ups;

	until_got(scene, "to='sourdine.x'>");
	assert_non_null(strstr(scene->got, "xmlns='jabber:component:accept'"));
	say(scene, HEAD);
	seal_sha1_hex("abc", "s3cret", digest);
	until_got(scene, digest);
	assert_int_equal(scene->ups, ups);
	assert_false(stream_is_up(scene->stream));
	say(scene, "<handshake/>");
	until_count(scene, &scene->ups, ups + 1);
	assert_true(stream_is_up(scene->stream));
}

static int
open_scene(void **state)
{
	struct scene *scene = xcalloc(1, sizeof(*scene));
	static struct stream_settings settings = { .host = "127.0.0.1", .component = "sourdine.x", .secret = "s3cret" };

	scene->fd = -1;
	settings.port = listen_anywhere(scene);
	scene->settings = &settings;
	assert_int_equal(loop_open(&scene->loop), 0);
	stream_open(&scene->stream, scene->loop, ctx, &settings, &scene_events, scene);
	stream_start(scene->stream);
	*state = scene;
	return 0;
}

static int
close_scene(void **state)
{
	struct scene *scene = *state;

	stream_close(scene->stream);
	loop_close(scene->loop);
	close(scene->listening);
	if (scene->fd >= 0)
		close(scene->fd);
	free(scene);
	return 0;
}

static void
test_handshake(void **state)
{
	struct scene *scene = *state;

	stream_send(scene->stream, "too early", 9);
	assert_int_equal(stream_backlog(scene->stream), 0);
	shake_hands(scene);
	assert_null(strstr(scene->got, "too early"));
	say(scene, "<message id='m1'/><message type='groupchat' id='m2'/><iq id='m3' type='get'/>");
	until_count(scene, &scene->stanzas, 2);
	assert_string_equal(scene->last, "m3");
	stream_send(scene->stream, "<presence/>", 11);
	assert_int_equal(stream_backlog(scene->stream), 11);
	until_got(scene, "<presence/>");
	assert_int_equal(stream_backlog(scene->stream), 0);
	assert_null(stream_refusal(scene->stream));
}

static void
test_comes_back(void **state)
{
	struct scene *scene = *state;
	int64_t before = metric_get(METRIC_XMPP_RECONNECTS);

	for (unsigned i = 1; i <= 3; i++) {
		shake_hands(scene);
		hang_up(scene);
		until_count(scene, &scene->downs, i);
		assert_string_not_equal(stream_trouble(scene->stream), "");
	}
	shake_hands(scene);
	/* A stanza cut in two by the loss is forgotten, not joined to the next stream. */
	say(scene, "<message id='half'><body>");
	for (int i = 0; i < 5; i++)
		turn(scene);
	hang_up(scene);
	until_count(scene, &scene->downs, 4);
	shake_hands(scene);
	say(scene, "<message id='whole'/>");
	until_count(scene, &scene->stanzas, 1);
	assert_string_equal(scene->last, "whole");
	assert_int_equal(metric_get(METRIC_XMPP_RECONNECTS) - before, 4);
}

static void
test_broken_stream(void **state)
{
	struct scene *scene = *state;

	shake_hands(scene);
	say(scene, "<message id='good'/><message></iq>");
	until_count(scene, &scene->downs, 1);
	assert_int_equal(scene->stanzas, 1);
	assert_non_null(strstr(stream_trouble(scene->stream), "cannot read the stream"));
	hang_up(scene);
	shake_hands(scene);
}

static void
test_refused(void **state)
{
	struct scene *scene = *state;

	until_got(scene, "to='sourdine.x'>");
	say(scene, HEAD);
	until_got(scene, "</handshake>");
	say(scene, "<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>"
		"Given token does not match calculated token</text></stream:error></stream:stream>");
	for (int i = 0; i < 100 && !stream_refusal(scene->stream); i++)
		turn(scene);
	assert_non_null(strstr(stream_refusal(scene->stream), "refuses our secret"));
	for (int i = 0; i < 100 && !strstr(stream_trouble(scene->stream), "not-authorized"); i++)
		turn(scene);
	assert_non_null(strstr(stream_trouble(scene->stream), "not-authorized"));
	assert_int_equal(scene->ups + scene->downs, 0);
}

/* More than the kernel takes at once, to a server that reads slowly: nothing lost, nothing twice. */
static void
test_backlog(void **state)
{
	struct scene *scene = *state;
	size_t seen = 0, total = 0;
	char expect = 'a';

	shake_hands(scene);
	char *block = xmalloc(100000);
	for (int i = 0; i < 60; i++) {
		memset(block, 'a' + i % 26, 100000);
		stream_send(scene->stream, block, 100000);
		total += 100000;
		stream_flush(scene->stream);
	}
	free(block);
	assert_true(stream_backlog(scene->stream) > STREAM_HIGH_WATER);
	scene->got_n = 0;
	for (int i = 0; i < 5000 && seen < total; i++) {
		turn(scene);
		for (size_t j = 0; j < scene->got_n; j++, seen++) {
			expect = (char)('a' + seen / 100000 % 26);
			assert_int_equal(scene->got[j], expect);
		}
		scene->got_n = 0;
	}
	assert_int_equal(seen, total);
	assert_int_equal(stream_backlog(scene->stream), 0);
}

#define STREAM_ERROR(condition) "<stream:error><" condition " xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"

/* Who ended it, and over what. */
static void
test_blame(void **state)
{
	static const struct {
		const char *said; /* NULL: nothing, the connection just ends */
		bool blamed;
	} table[] = {
		{ STREAM_ERROR("not-well-formed"), true }, { STREAM_ERROR("invalid-from"), true }, { STREAM_ERROR("policy-violation"), true },
		{ STREAM_ERROR("internal-server-error"), true }, { "</stream:stream>", true }, { NULL, true },
		{ STREAM_ERROR("system-shutdown"), false }, { STREAM_ERROR("reset"), false }, { STREAM_ERROR("connection-timeout"), false },
		{ STREAM_ERROR("see-other-host"), false }, { STREAM_ERROR("remote-connection-failed"), false },
		/* What the server sends us is no fault of ours. */
		{ "<message></iq>", false },
	};
	struct scene *scene = *state;

	for (unsigned i = 0; i < sizeof(table) / sizeof(*table); i++) {
		shake_hands(scene);
		if (table[i].said)
			say(scene, table[i].said);
		hang_up(scene);
		until_count(scene, &scene->downs, i + 1);
		if (scene->blamed != table[i].blamed)
			fail_msg("case %u", i);
		/* The pause between attempts grows; this is not what is tested here. */
		stream_close(scene->stream);
		stream_open(&scene->stream, scene->loop, ctx, scene->settings, &scene_events, scene);
		stream_start(scene->stream);
	}
}

/* Sent away by another connection of our component: it waits a minute, not a fifth of a second. */
static void
test_conflict(void **state)
{
	struct scene *scene = *state;

	shake_hands(scene);
	say(scene, STREAM_ERROR("conflict"));
	hang_up(scene);
	until_count(scene, &scene->downs, 1);
	assert_false(scene->blamed);
	for (int i = 0; i < 80; i++)
		turn(scene);
	assert_true(scene->fd < 0);
}

/* Refused because another one is there: that ends by itself when the server misses the old one. */
static void
test_conflict_of_newcomer(void **state)
{
	struct scene *scene = *state;

	until_got(scene, "to='sourdine.x'>");
	say(scene, HEAD);
	until_got(scene, "</handshake>");
	say(scene, STREAM_ERROR("conflict"));
	for (int i = 0; i < 100 && !strstr(stream_trouble(scene->stream), "another connection"); i++)
		turn(scene);
	assert_non_null(strstr(stream_trouble(scene->stream), "another connection"));
	assert_null(stream_refusal(scene->stream));
	hang_up(scene);
	shake_hands(scene);
}

static void
test_reset(void **state)
{
	struct scene *scene = *state;

	shake_hands(scene);
	stream_send(scene->stream, "<presence id='uncommitted'/>", 28);
	stream_reset(scene->stream);
	assert_int_equal(scene->downs, 1);
	assert_false(scene->blamed);
	stream_reset(scene->stream);
	assert_int_equal(scene->downs, 1);
	hang_up(scene);
	shake_hands(scene);
	assert_null(strstr(scene->got, "uncommitted"));
}

/* Nothing can be kept: reading stops, goes on when there is room, and in the end the stream is closed and stays closed. */
static void
test_no_room(void **state)
{
	struct scene *scene = *state;

	shake_hands(scene);
	scene->full = true;
	say(scene, "<message id='waits'/>");
	for (int i = 0; i < 20; i++)
		turn(scene);
	assert_int_equal(scene->stanzas, 0);
	assert_true(stream_is_up(scene->stream));
	stream_send(scene->stream, "<presence id='still-written'/>", 30);
	until_got(scene, "still-written");
	scene->full = false;
	until_count(scene, &scene->stanzas, 1);
	assert_string_equal(scene->last, "waits");
	scene->full = true;
	say(scene, "<message id='waits for ever'/>");
	for (int i = 0; i < 1500 && !scene->downs; i++)
		turn(scene);
	assert_int_equal(scene->downs, 1);
	assert_false(scene->blamed);
	turn(scene);
	assert_non_null(strstr(scene->got, "</stream:stream>"));
	hang_up(scene);
	for (int i = 0; i < 100; i++)
		turn(scene);
	assert_true(scene->fd < 0);
	scene->full = false;
	shake_hands(scene);
	assert_int_equal(scene->stanzas, 1);
}

/* The server hangs up while nothing is read. */
static void
test_no_room_and_closed(void **state)
{
	struct scene *scene = *state;
	struct linger at_once = { .l_onoff = 1 };

	shake_hands(scene);
	scene->full = true;
	say(scene, "<message id='lost'/>");
	for (int i = 0; i < 5; i++)
		turn(scene);
	setsockopt(scene->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	hang_up(scene);
	until_count(scene, &scene->downs, 1);
	assert_false(scene->blamed);
	assert_int_equal(scene->stanzas, 0);
}

static void
quiet(enum log_level level, const char *line)
{
	(void)level, (void)line;
}

static int
set_up(void **state)
{
	(void)state;
	log_register(quiet);
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
		cmocka_unit_test(test_every_split),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_limits_exact),
		cmocka_unit_test(test_children_cap),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_endless_tag),
		cmocka_unit_test_setup_teardown(test_handshake, open_scene, close_scene),
		cmocka_unit_test_setup_teardown(test_comes_back, open_scene, close_scene),
		cmocka_unit_test_setup_teardown(test_broken_stream, open_scene, close_scene),
		cmocka_unit_test_setup_teardown(test_refused, open_scene, close_scene),
		cmocka_unit_test_setup_teardown(test_backlog, open_scene, close_scene),
		cmocka_unit_test_setup_teardown(test_blame, open_scene, close_scene),
		cmocka_unit_test_setup_teardown(test_conflict, open_scene, close_scene),
		cmocka_unit_test_setup_teardown(test_conflict_of_newcomer, open_scene, close_scene),
		cmocka_unit_test_setup_teardown(test_reset, open_scene, close_scene),
		cmocka_unit_test_setup_teardown(test_no_room, open_scene, close_scene),
		cmocka_unit_test_setup_teardown(test_no_room_and_closed, open_scene, close_scene),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
