/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stream's life, second by second: a socket pair in place of the network, a clock that the test moves, and system
 * calls that fail when they are told to (linked with -Wl,--wrap).
 */
#include "xmpp/stream.h"

#include "base/log.h"
#include "base/now.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='abc'>"
#define ERROR_HEAD "<stream:error>"
#define NS "xmlns='urn:ietf:params:xml:ns:xmpp-streams'"

static struct {
	int far;             /* the server's end; -1 */
	int64_t now_ms;
	int socket_error, connect_error, option_error, add_error, recv_error, send_error; /* once */
	size_t send_most;    /* bytes a send() takes; 0: all */
	bool no_host;
	unsigned asked; /* for an address */
	unsigned ups, downs, blamed, stanzas, lines;
	bool full;           /* nothing can be taken */
} world;

/* ---- what is replaced by the linker ---- */

int64_t __wrap_now_monotonic_ms(void);
int __wrap_socket(int domain, int type, int protocol);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size);
int __real_getsockopt(int fd, int level, int name, void *value, socklen_t *size);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *size);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t size);
ssize_t __real_recv(int fd, void *p, size_t n, int flags);
ssize_t __wrap_recv(int fd, void *p, size_t n, int flags);
ssize_t __real_send(int fd, const void *p, size_t n, int flags);
ssize_t __wrap_send(int fd, const void *p, size_t n, int flags);
int __real_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **out);
int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **out);
int __real_loop_add(struct loop *loop, int fd, uint32_t events, void (*ready)(void *context, uint32_t events), void *context,
		struct loop_source **out);
int __wrap_loop_add(struct loop *loop, int fd, uint32_t events, void (*ready)(void *context, uint32_t events), void *context,
		struct loop_source **out);

int64_t
__wrap_now_monotonic_ms(void)
{
	return world.now_ms;
}

/* Whether a call is to fail now, with errno set; that is over then. */
static bool
fails(int *error)
{
	errno = *error;
	*error = 0;
	return errno != 0;
}

int
__wrap_socket(int domain, int type, int protocol)
{
	int ends[2];

	(void)domain, (void)protocol;
	if (fails(&world.socket_error))
		return -1;
	assert_int_equal(socketpair(AF_UNIX, type, 0, ends), 0);
	if (world.far >= 0)
		close(world.far);
	world.far = ends[1];
	return ends[0];
}

int
__wrap_connect(int fd, const struct sockaddr *address, socklen_t size)
{
	(void)fd, (void)address, (void)size;
	return fails(&world.connect_error) ? -1 : 0;
}

int
__wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
	int r = __real_getsockopt(fd, level, name, value, size);

	if (world.option_error)
		*(int *)value = world.option_error;
	world.option_error = 0;
	return r;
}

int
__wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
	(void)fd, (void)level, (void)name, (void)value, (void)size;
	return 0;
}

ssize_t
__wrap_recv(int fd, void *p, size_t n, int flags)
{
	return fails(&world.recv_error) ? -1 : __real_recv(fd, p, n, flags);
}

ssize_t
__wrap_send(int fd, const void *p, size_t n, int flags)
{
	if (fails(&world.send_error))
		return -1;
	/* One bite, then no room. */
	if (world.send_most)
		world.send_error = EAGAIN;
	return __real_send(fd, p, world.send_most && n > world.send_most ? world.send_most : n, flags);
}

int
__wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
	world.asked++;
	return world.no_host ? EAI_NONAME : __real_getaddrinfo(host, service, hints, out);
}

int
__wrap_loop_add(struct loop *loop, int fd, uint32_t events, void (*ready)(void *context, uint32_t events), void *context,
		struct loop_source **out)
{
	return fails(&world.add_error) ? -errno : __real_loop_add(loop, fd, events, ready, context, out);
}

/* ---- the scene ---- */

struct scene {
	struct loop *loop;
	xmpp_ctx_t *ctx;
	struct stream *stream;
};

static void
on_up(void *context)
{
	(void)context;
	world.ups++;
}

static void
on_down(void *context, bool blamed)
{
	(void)context;
	world.downs++;
	world.blamed += blamed;
}

static bool
on_wanted(void *context, const struct stream_tag *tag)
{
	(void)context;
	return strcmp(tag->type, "drop") != 0;
}

static void
on_stanza(void *context, xmpp_stanza_t *stanza)
{
	(void)context, (void)stanza;
	world.stanzas++;
}

static bool
has_room(void *context)
{
	(void)context;
	return !world.full;
}

static void
count_line(enum log_level level, const char *line)
{
	(void)level;
	world.lines += strstr(line, "over the limits") != NULL;
}

static const struct stream_events events = {
	.up = on_up, .down = on_down, .wanted = on_wanted, .stanza = on_stanza, .has_room = has_room,
};
static const struct stream_settings settings = { .host = "127.0.0.1", .port = 9, .component = "c.x", .secret = "s" };

static int
set_up(void **state)
{
	struct scene *scene = xcalloc(1, sizeof(*scene));

	memset(&world, 0, sizeof(world));
	world.far = -1;
	world.now_ms = 1000000;
	log_register(count_line);
	scene->ctx = stanza_context();
	assert_int_equal(loop_open(&scene->loop), 0);
	stream_open(&scene->stream, scene->loop, scene->ctx, &settings, &events, scene);
	stream_start(scene->stream);
	*state = scene;
	return 0;
}

static int
tear_down(void **state)
{
	struct scene *scene = *state;

	stream_close(scene->stream);
	loop_close(scene->loop);
	xmpp_ctx_free(scene->ctx);
	if (world.far >= 0)
		close(world.far);
	free(scene);
	log_register(NULL);
	return 0;
}

/* Some turns, the first of them `ms` later. */
static void
pass(struct scene *scene, int64_t ms)
{
	world.now_ms += ms;
	for (int i = 0; i < 4; i++)
		assert_int_equal(loop_once(scene->loop, 0), 0);
}

static void
server_says(struct scene *scene, const char *text)
{
	assert_int_equal(__real_send(world.far, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
	pass(scene, 0);
}

/* Where what the server has got meanwhile holds `text`; NULL: nowhere. */
static const char *
server_finds(const char *text)
{
	static char buffer[1 << 20];
	ssize_t n = __real_recv(world.far, buffer, sizeof(buffer) - 1, MSG_DONTWAIT);

	buffer[n > 0 ? n : 0] = '\0';
	return strstr(buffer, text);
}

static bool
server_got(const char *text)
{
	return server_finds(text) != NULL;
}

static void
come_up(struct scene *scene, int64_t after_ms)
{
	unsigned ups = world.ups;

	pass(scene, after_ms);
	server_says(scene, HEAD);
	assert_true(server_got("<handshake>"));
	server_says(scene, "<handshake/>");
	assert_int_equal(world.ups, ups + 1);
	assert_true(stream_is_up(scene->stream));
	assert_string_equal(stream_trouble(scene->stream), "");
}

/* It is down; it comes back after exactly so long. */
static void
comes_back(struct scene *scene, int64_t after_ms)
{
	int far = world.far;

	assert_false(stream_is_up(scene->stream));
	pass(scene, after_ms - 1);
	assert_int_equal(world.far, far);
	pass(scene, 1);
	assert_true(server_got("<stream:stream"));
}

/* ---- life ---- */

static void
test_heartbeat(void **state)
{
	struct scene *scene = *state;

	come_up(scene, 0);
	pass(scene, 30000);
	stream_flush(scene->stream);
	const char *beat = server_finds("\"beat-");
	assert_non_null(beat);
	AUTO_FREE char *id = xstrndup(beat + 1, strcspn(beat + 1, "\""));
	assert_true(stream_is_beat(scene->stream, id));
	assert_false(stream_is_beat(scene->stream, "beat-"));
	server_says(scene, "<iq type='result' id='beat' from='c.x' to='c.x'/>");
	assert_int_equal(world.stanzas, 1);
	pass(scene, 30000);
	pass(scene, 30000);
	assert_true(stream_is_up(scene->stream));
	pass(scene, 30000);
	assert_false(stream_is_up(scene->stream));
	assert_string_equal(stream_trouble(scene->stream), "the server fell silent");
	assert_int_equal(world.downs, 1);
	assert_int_equal(world.blamed, 0);
	/* It stood long enough: the shortest delay. */
	comes_back(scene, 200);
}

static void
test_handshake_late(void **state)
{
	struct scene *scene = *state;

	pass(scene, 0);
	server_says(scene, HEAD);
	pass(scene, 15000);
	assert_string_equal(stream_trouble(scene->stream), "the server did not answer the handshake in time");
	comes_back(scene, 200);
	assert_int_equal(world.downs, 0);
}

static void
test_refused(void **state)
{
	static const struct {
		const char *condition, *text, *refusal;
	} cases[] = {
		{ "not-authorized", "why", "refuses our secret for the component c.x" },
		{ "not-authorized", "", "refuses our secret for the component c.x, or knows no such component" },
		{ "host-unknown", "why", "knows no component c.x" },
		{ "host-unknown", "This server does not serve c.x", "port for clients" },
		{ "invalid-namespace", "why", "port for clients" },
	};
	struct scene *scene = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO_FREE char *error = xasprintf(HEAD ERROR_HEAD "some text<%s " NS "/><text " NS ">%s</text></stream:error></stream:stream>",
				cases[i].condition, cases[i].text);
		pass(scene, 0);
		server_says(scene, error);
		assert_non_null(strstr(stream_refusal(scene->stream), cases[i].refusal));
		assert_non_null(strstr(stream_trouble(scene->stream), "the server closed the stream: "));
		comes_back(scene, 30000);
	}
	/* It is let in after all. */
	come_up(scene, 0);
	assert_null(stream_refusal(scene->stream));
	assert_int_equal(world.downs, 0);
}

static void
test_evicted(void **state)
{
	static const char evict[] = ERROR_HEAD "<conflict " NS "/></stream:error></stream:stream>";
	static const int64_t minutes[] = { 1, 2, 4, 8, 16, 32, 60, 60 };
	struct scene *scene = *state;

	come_up(scene, 0);
	for (size_t i = 0; i < 8; i++) {
		server_says(scene, evict);
		comes_back(scene, minutes[i] * 60000);
		come_up(scene, 0);
	}
	assert_int_equal(world.downs, 8);
	assert_int_equal(world.blamed, 0);
	/* An hour of peace is the end of it. */
	for (int i = 0; i < 120; i++) {
		pass(scene, 30000);
		server_says(scene, "<presence/>");
	}
	server_says(scene, evict);
	comes_back(scene, 60000);
	/* While we are not in yet, another connection is most likely our own old one. */
	AUTO_FREE char *held = xasprintf(HEAD "%s", evict);
	server_says(scene, held);
	assert_non_null(strstr(stream_trouble(scene->stream), "holds another connection of the component c.x"));
	comes_back(scene, 200);
}

static void
test_error_when_up(void **state)
{
	static const struct {
		const char *condition;
		bool blames;
	} cases[] = { { "system-shutdown", false }, { "policy-violation", true }, { "not-authorized", false }, { "host-unknown", false } };
	struct scene *scene = *state;

	for (size_t i = 0; i < 4; i++) {
		AUTO_FREE char *error = xasprintf(ERROR_HEAD "<%s " NS "/></stream:error></stream:stream>", cases[i].condition);
		unsigned blamed = world.blamed;
		come_up(scene, 60000);
		pass(scene, 10000);
		server_says(scene, error);
		assert_int_equal(world.blamed - blamed, cases[i].blames);
		assert_null(stream_refusal(scene->stream));
	}
}

/* It says why and hangs up without another word. */
static void
test_error_then_silence(void **state)
{
	struct scene *scene = *state;

	come_up(scene, 0);
	server_says(scene, ERROR_HEAD "<system-shutdown " NS "/></stream:error>");
	assert_true(stream_is_up(scene->stream));
	close(world.far);
	world.far = -1;
	pass(scene, 0);
	assert_string_equal(stream_trouble(scene->stream), "the server closed the stream: system-shutdown");
	assert_int_equal(world.downs, 1);
	assert_int_equal(world.blamed, 0);
}

static void
test_foreign_elements(void **state)
{
	struct scene *scene = *state;

	pass(scene, 0);
	server_says(scene, HEAD "<message/>");
	assert_false(stream_is_up(scene->stream));
	server_says(scene, "<handshake/>");
	assert_true(stream_is_up(scene->stream));
	server_says(scene, "<handshake/><message/><message xmlns='other'/><message type='drop'/>");
	assert_int_equal(world.stanzas, 2);
}

static void
test_skipped(void **state)
{
	struct scene *scene = *state;
	struct str wide AUTO_STR;

	str_init(&wide, 1 << 20);
	str_add(&wide, "<message>");
	for (int i = 0; i < 5000; i++)
		str_add(&wide, "<a/>");
	str_add(&wide, "</message><presence/>");
	come_up(scene, 0);
	for (int i = 0; i < 2; i++)
		server_says(scene, str_get(&wide));
	assert_int_equal(world.lines, 1);
	pass(scene, 30000);
	server_says(scene, "<presence/>");
	pass(scene, 30000);
	server_says(scene, str_get(&wide));
	assert_int_equal(world.lines, 2);
	assert_int_equal(world.stanzas, 4);
}

/* ---- system calls that fail ---- */

static void
test_connecting_fails(void **state)
{
	struct scene *scene = *state;

	world.socket_error = EMFILE;
	pass(scene, 0);
	assert_string_equal(stream_trouble(scene->stream), strerror(EMFILE));
	world.connect_error = ENETUNREACH;
	pass(scene, 200);
	assert_string_equal(stream_trouble(scene->stream), strerror(ENETUNREACH));
	world.add_error = ENOSPC;
	pass(scene, 500);
	assert_string_equal(stream_trouble(scene->stream), strerror(ENOSPC));
	world.connect_error = EINPROGRESS;
	world.option_error = ECONNREFUSED;
	pass(scene, 1000);
	assert_string_equal(stream_trouble(scene->stream), strerror(ECONNREFUSED));
	comes_back(scene, 2000);
	for (int i = 0; i < 8; i++) {
		world.option_error = ECONNREFUSED;
		close(world.far);
		world.far = -1;
		pass(scene, 60000);
	}
	assert_int_equal(world.downs, 0);
}

/* No name server at the start, as when a computer boots: that is waited out. Later the last address is better than none. */
static void
test_no_such_host(void **state)
{
	struct scene *scene = *state;

	world.no_host = true;
	pass(scene, 0);
	assert_string_equal(stream_trouble(scene->stream), gai_strerror(EAI_NONAME));
	assert_int_equal(world.far, -1);
	world.no_host = false;
	come_up(scene, 200);
	unsigned asked = world.asked;
	world.no_host = true;
	close(world.far);
	world.far = -1;
	pass(scene, 0);
	pass(scene, 60000);
	assert_true(server_got("<stream:stream"));
	assert_int_equal(world.asked, asked + 1);
}

static void
test_reading_fails(void **state)
{
	struct scene *scene = *state;

	come_up(scene, 0);
	world.recv_error = EINTR;
	server_says(scene, "<presence/>");
	world.recv_error = EAGAIN;
	server_says(scene, "<presence/>");
	assert_int_equal(world.stanzas, 2);
	world.recv_error = ECONNRESET;
	server_says(scene, "<presence/>");
	assert_string_equal(stream_trouble(scene->stream), strerror(ECONNRESET));
	assert_int_equal(world.blamed, 1);
	come_up(scene, 60000);
	server_says(scene, "<presence></message>");
	assert_non_null(strstr(stream_trouble(scene->stream), "cannot read the stream"));
	come_up(scene, 60000);
	close(world.far);
	world.far = -1;
	pass(scene, 0);
	assert_string_equal(stream_trouble(scene->stream), "the server closed the connection");
	assert_int_equal(world.downs, 3);
}

/* More than one read takes, and exactly as much as one takes. */
static void
test_much_at_once(void **state)
{
	struct scene *scene = *state;
	static char text[40000];

	come_up(scene, 0);
	memset(text, ' ', 32768 - 11);
	memcpy(text + 32768 - 11, "<presence/>", 12);
	server_says(scene, text);
	assert_int_equal(world.stanzas, 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(__real_send(world.far, text, strlen(text), 0), 32768);
	pass(scene, 0);
	pass(scene, 0);
	assert_int_equal(world.stanzas, 4);
}

static void
test_writing_fails(void **state)
{
	struct scene *scene = *state;

	come_up(scene, 0);
	world.send_error = EINTR;
	stream_send(scene->stream, "<a/>", 4);
	stream_flush(scene->stream);
	assert_true(server_got("<a/>"));
	/* Nothing goes now; it goes when the socket says so. */
	world.send_error = EAGAIN;
	stream_send(scene->stream, "<b/>", 4);
	stream_flush(scene->stream);
	assert_int_equal(stream_backlog(scene->stream), 4);
	uint64_t handed = stream_handed(scene->stream);
	pass(scene, 0);
	assert_true(server_got("<b/>"));
	assert_int_equal(stream_handed(scene->stream), handed + 4);
	/* It breaks: a tenth of a second is left for a last word. */
	world.send_error = EPIPE;
	stream_send(scene->stream, "<c/>", 4);
	stream_flush(scene->stream);
	world.send_error = EPIPE;
	stream_flush(scene->stream);
	pass(scene, 50);
	assert_true(stream_is_up(scene->stream));
	world.send_error = EPIPE;
	pass(scene, 50);
	assert_string_equal(stream_trouble(scene->stream), "the server took nothing and said nothing");
	assert_int_equal(world.blamed, 1);
}

static void
test_last_word(void **state)
{
	struct scene *scene = *state;

	come_up(scene, 0);
	world.send_error = EPIPE;
	stream_send(scene->stream, "<c/>", 4);
	stream_flush(scene->stream);
	static const char word[] = ERROR_HEAD "<policy-violation " NS "/></stream:error>";
	assert_int_equal(__real_send(world.far, word, strlen(word), 0), (ssize_t)strlen(word));
	world.send_error = EPIPE;
	pass(scene, 0);
	world.send_error = EPIPE;
	pass(scene, 100);
	assert_non_null(strstr(stream_trouble(scene->stream), "policy-violation"));
	assert_int_equal(world.downs, 1);
}

static void
test_too_much_to_write(void **state)
{
	struct scene *scene = *state;
	AUTO_FREE char *much = xmalloc(12 << 20);

	memset(much, ' ', 12 << 20);
	come_up(scene, 0);
	for (int i = 0; i < 3; i++)
		stream_send(scene->stream, much, 12 << 20);
	pass(scene, 0);
	assert_string_equal(stream_trouble(scene->stream), "the server takes nothing any more");
	assert_int_equal(world.downs, 1);
	stream_send(scene->stream, "<lost/>", 7);
	assert_int_equal(stream_backlog(scene->stream), 0);
}

/* What was written is let go of, by halves. */
static void
test_small_bites(void **state)
{
	struct scene *scene = *state;
	AUTO_FREE char *much = xmalloc(100000);

	memset(much, ' ', 100000);
	come_up(scene, 0);
	world.send_most = 30000;
	stream_send(scene->stream, much, 100000);
	for (int i = 0; i < 3; i++) {
		size_t left = stream_backlog(scene->stream);
		world.send_error = 0;
		stream_flush(scene->stream);
		assert_true(stream_backlog(scene->stream) < left);
	}
	world.send_most = 0;
	for (int i = 0; i < 20 && stream_backlog(scene->stream); i++) {
		(void)server_got("x");
		pass(scene, 0);
	}
	assert_int_equal(stream_backlog(scene->stream), 0);
}

/* ---- when nothing can be taken ---- */

static void
test_no_room(void **state)
{
	struct scene *scene = *state;

	world.full = true;
	pass(scene, 0);
	assert_int_equal(world.far, -1);
	world.full = false;
	come_up(scene, 200);
	world.full = true;
	server_says(scene, "<presence/>");
	pass(scene, 500);
	assert_int_equal(world.stanzas, 0);
	/* What is to be written goes all the same. */
	world.send_error = EAGAIN;
	stream_send(scene->stream, "<a/>", 4);
	stream_flush(scene->stream);
	pass(scene, 0);
	assert_true(server_got("<a/>"));
	assert_int_equal(world.stanzas, 0);
	world.full = false;
	pass(scene, 500);
	assert_int_equal(world.stanzas, 1);
	/* For too long: it is closed, and nobody is blamed. */
	world.full = true;
	server_says(scene, "<presence/>");
	for (int i = 0; i < 7; i++)
		pass(scene, 500);
	assert_string_equal(stream_trouble(scene->stream), "nothing more can be kept");
	assert_true(server_got("</stream:stream>"));
	assert_int_equal(world.downs, 1);
	assert_int_equal(world.blamed, 0);
	world.full = false;
	come_up(scene, 60000);
	world.full = true;
	server_says(scene, "<presence/>");
	close(world.far);
	world.far = -1;
	pass(scene, 0);
	assert_string_equal(stream_trouble(scene->stream), "the server closed the connection");
	assert_int_equal(world.downs, 2);
}

static void
test_without_has_room(void **state)
{
	struct scene *scene = *state;
	struct stream_events always = events;

	always.has_room = NULL;
	stream_close(scene->stream);
	stream_open(&scene->stream, scene->loop, scene->ctx, &settings, &always, scene);
	stream_start(scene->stream);
	world.full = true;
	come_up(scene, 0);
}

static void
test_starting_over(void **state)
{
	struct scene *scene = *state;

	stream_close(NULL);
	stream_reset(NULL);
	stream_flush(NULL);
	stream_send(NULL, "x", 1);
	assert_false(stream_is_up(NULL));
	assert_int_equal(stream_backlog(NULL), 0);
	assert_int_equal(stream_handed(NULL), 0);
	stream_reset(scene->stream);
	come_up(scene, 0);
	stream_reset(scene->stream);
	assert_string_equal(stream_trouble(scene->stream), "starting over");
	assert_int_equal(world.downs, 1);
	assert_int_equal(world.blamed, 0);
	/* A flush while it connects does nothing. */
	world.connect_error = EINPROGRESS;
	world.now_ms += 60000;
	assert_int_equal(loop_once(scene->loop, 0), 0);
	stream_flush(scene->stream);
	/* And it may be closed half-way. */
	pass(scene, 0);
	stream_close(scene->stream);
	scene->stream = NULL;
	assert_false(server_got("</stream:stream>"));
}

int
main(void)
{
#define STREAM_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		STREAM_TEST(test_heartbeat),
		STREAM_TEST(test_handshake_late),
		STREAM_TEST(test_refused),
		STREAM_TEST(test_evicted),
		STREAM_TEST(test_error_when_up),
		STREAM_TEST(test_error_then_silence),
		STREAM_TEST(test_foreign_elements),
		STREAM_TEST(test_skipped),
		STREAM_TEST(test_connecting_fails),
		STREAM_TEST(test_no_such_host),
		STREAM_TEST(test_reading_fails),
		STREAM_TEST(test_much_at_once),
		STREAM_TEST(test_writing_fails),
		STREAM_TEST(test_last_word),
		STREAM_TEST(test_too_much_to_write),
		STREAM_TEST(test_small_bites),
		STREAM_TEST(test_no_room),
		STREAM_TEST(test_without_has_room),
		STREAM_TEST(test_starting_over),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
