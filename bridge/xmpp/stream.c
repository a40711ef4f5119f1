/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing: one buffer, written once a turn.
 *
 * Life. DOWN -> CONNECTING -> OPENING (header sent) -> SHAKING (handshake sent) -> UP. drop() is the only way
 * back to DOWN and never runs inside expat.
 */
#include "xmpp/stream.h"

#include "base/fault.h"
#include "base/hush.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/now.h"
#include "base/seal.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define OUT_MAX (16 << 20)
#define READ_SIZE 32768
#define READS_A_TURN 16
#define HANDSHAKE_MS 15000
#define PING_MS 30000
#define MISSES_MAX 2
#define STEADY_MS 10000   /* up for so long: the next loss begins with the shortest delay again */
#define EVICTED_MS 60000  /* delivery 9.1: two daemons must not evict each other in turns; doubled each time */
#define EVICTED_MAX_MS 3600000
#define REFUSED_MS 30000
#define FULL_LOOK_MS 500
#define FULL_MS 3000      /* that nothing can be taken before the stream is closed */

enum stream_state { DOWN, CONNECTING, OPENING, SHAKING, UP };

struct stream {
	struct loop *loop;
	xmpp_ctx_t *ctx;
	struct stream_settings settings;
	const struct stream_events *events;
	void *context;
	struct addrinfo *addresses, *address; /* owns; the one in turn */

	enum stream_state state;
	int fd;
	struct loop_source *source;
	uint32_t interest;
	struct reader *reader; /* owns */
	bool finished, conflict, refused;
	bool blamed;           /* the server ends it over what we sent */
	bool paused;           /* nothing is read, because nothing can be taken */
	int64_t paused_ms;     /* since, monotonic */
	struct str out;
	size_t written;        /* of out */
	uint64_t handed;       /* bytes, since the connection was made */

	struct loop_timer timer;     /* to connect, or until the handshake must be over */
	struct loop_timer heartbeat; /* while UP */
	struct loop_timer broken;    /* a write failed: drop() in the next turn */
	struct loop_timer pause;     /* while paused: look whether there is room again */
	unsigned attempt;
	unsigned evictions;    /* conflicts that ended a stream that was up */
	bool was_up_before;
	unsigned misses;
	bool heard;            /* something came since the last heartbeat */
	int64_t up_ms;
	uint64_t skipped;      /* stanzas over a limit, ever */
	struct hush hush;      /* about them, by the sender's bare JID */
	char beat[32];         /* id of our heartbeats */
	char trouble[256], refusal[256];
};

static void connect_next(void *context);
static void on_ready(void *context, uint32_t events);

static int64_t
backoff_ms(unsigned attempt)
{
	static const int64_t delays[] = { 200, 500, 1000, 2000, 4000, 8000, 16000, 30000 };
	size_t last = sizeof(delays) / sizeof(*delays) - 1;

	return delays[attempt < last ? attempt : last];
}

static void
note_trouble(struct stream *stream, const char *what)
{
	snprintf(stream->trouble, sizeof(stream->trouble), "%s", what);
}

/* What the loop is to wake us for: to read unless paused, to write while something is left. */
static void
watch(struct stream *stream)
{
	uint32_t interest = (stream->paused ? 0u : EPOLLIN) | (stream->written < stream->out.n ? EPOLLOUT : 0u);

	if (stream->source && stream->interest != interest)
		loop_modify(stream->source, interest);
	stream->interest = interest;
}

static int64_t
next_delay(struct stream *stream, bool was_up)
{
	int64_t stood_ms = was_up ? now_monotonic_ms() - stream->up_ms : 0;

	if (stood_ms >= STEADY_MS)
		stream->attempt = 0;
	if (stood_ms >= EVICTED_MAX_MS)
		stream->evictions = 0;
	if (stream->conflict && was_up)
		return stream->evictions < 6 ? (int64_t)EVICTED_MS << stream->evictions++ : EVICTED_MAX_MS;
	return stream->refused ? REFUSED_MS : backoff_ms(stream->attempt++);
}

static void
drop(struct stream *stream)
{
	bool was_up = stream->state == UP;

	if (stream->fd < 0)
		return;
	loop_remove(stream->source);
	stream->source = NULL;
	close(stream->fd);
	stream->fd = -1;
	reader_free(stream->reader);
	stream->reader = NULL;
	stream->state = DOWN;
	str_fini(&stream->out);
	stream->written = 0;
	stream->handed = 0;
	loop_timer_stop(&stream->heartbeat);
	loop_timer_stop(&stream->broken);
	loop_timer_stop(&stream->pause);
	stream->paused = false;
	int64_t delay_ms = next_delay(stream, was_up);
	if (stream->conflict && was_up)
		log_error(LOG_XMPP, "another connection took our place component=%s: stop the second daemon that uses it, or give it a component of"
				" its own; next try in %" PRId64 " s", stream->settings.component, delay_ms / 1000);
	else
		log_warning(LOG_XMPP, "disconnected component=%s reason=\"%s\" blamed=%d retry_ms=%" PRId64, stream->settings.component,
				stream->trouble, stream->blamed, delay_ms);
	loop_timer_set(&stream->timer, delay_ms);
	if (was_up)
		stream->events->down(stream->context, stream->blamed);
}

/* ---- its reader's events ---- */

static void
queue(struct stream *stream, const char *text)
{
	str_add(&stream->out, text);
}

static void
on_opened(void *context, const char *id)
{
	struct stream *stream = context;
	char digest[41];

	if (stream->state != OPENING)
		return;
	seal_sha1_hex(id, stream->settings.secret, digest);
	queue(stream, "<handshake>");
	queue(stream, digest);
	queue(stream, "</handshake>");
	stream->state = SHAKING;
	stream_flush(stream);
}

static void
become_up(struct stream *stream)
{
	stream->state = UP;
	stream->up_ms = now_monotonic_ms();
	stream->misses = 0;
	stream->heard = true;
	stream->refused = stream->conflict = false;
	stream->refusal[0] = stream->trouble[0] = '\0';
	if (stream->was_up_before)
		metric_add(METRIC_XMPP_RECONNECTS, 1);
	stream->was_up_before = true;
	loop_timer_stop(&stream->timer);
	loop_timer_set(&stream->heartbeat, PING_MS);
	log_info(LOG_XMPP, "connected component=%s host=%s port=%u", stream->settings.component, stream->settings.host,
			(unsigned)stream->settings.port);
	stream->events->up(stream->context);
}

/* RFC 6120 §4.9.3: conditions that say nothing against what we sent. */
static bool
is_innocent(const char *condition)
{
	static const char *const innocent[] = {
		"conflict", "connection-timeout", "host-gone", "host-unknown", "not-authorized", "remote-connection-failed", "reset",
		"resource-constraint", "see-other-host", "system-shutdown",
	};

	for (size_t i = 0; i < sizeof(innocent) / sizeof(*innocent); i++)
		if (strcmp(innocent[i], condition) == 0)
			return true;
	return false;
}

/*
 * Refusals that stay until somebody changes a configuration. ejabberd answers an unknown component and a wrong secret with the
 * same word and no text. At a port for clients Prosody says that it does not serve this host, ejabberd finds the namespace wrong.
 */
static void
note_refusal(struct stream *stream, const char *condition, const char *text)
{
	static const struct {
		const char *condition, *text; /* part of it; "": whatever it says; NULL: none at all */
		const char *sentence;
	} known[] = {
		{ "not-authorized", NULL, "the XMPP server refuses our secret for the component {component}, or knows no such component (it does not "
			"say which)" },
		{ "not-authorized", "", "the XMPP server refuses our secret for the component {component}" },
		{ "host-unknown", "does not serve", "what answers is the XMPP server's port for clients, where the component {component} has no place" },
		{ "invalid-namespace", "", "what answers is the XMPP server's port for clients, where the component {component} has no place" },
		{ "host-unknown", "", "the XMPP server knows no component {component}" },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(known[i].condition, condition) != 0 || (known[i].text ? !strstr(text, known[i].text) : text[0] != '\0'))
			continue;
		stream->refused = true;
		AUTO_FREE char *sentence = str_fill(known[i].sentence, "component", stream->settings.component);
		snprintf(stream->refusal, sizeof(stream->refusal), "%s", sentence);
		return;
	}
}

/* RFC 6120 §4.9.3, and what XEP-0114 §3 makes of a wrong secret or an unknown component. */
static void
on_stream_error(struct stream *stream, xmpp_stanza_t *error)
{
	const char *condition = "undefined-condition";
	AUTO_FREE char *text = NULL;

	for (xmpp_stanza_t *child = xmpp_stanza_get_children(error); child; child = xmpp_stanza_get_next(child))
		if (xmpp_stanza_get_name(child) && strcmp(xmpp_stanza_get_name(child), "text") != 0)
			condition = xmpp_stanza_get_name(child);
	text = stanza_text(stanza_find(error, "text", NULL));
	snprintf(stream->trouble, sizeof(stream->trouble), "the server closed the stream: %s%s%.150s", condition, text[0] ? ", " : "", text);
	stream->conflict = strcmp(condition, "conflict") == 0;
	stream->blamed = !is_innocent(condition);
	if (stream->state != UP && stream->conflict)
		snprintf(stream->trouble, sizeof(stream->trouble), "the server holds another connection of the component %.120s: an old one that it"
				" has not missed yet, or a second daemon", stream->settings.component);
	if (stream->state != UP)
		note_refusal(stream, condition, text);
}

static void
on_stanza(void *context, xmpp_stanza_t *stanza)
{
	struct stream *stream = context;

	if (stanza_is(stanza, "error", NS_STREAMS))
		on_stream_error(stream, stanza);
	else if (stream->state == SHAKING && stanza_is(stanza, "handshake", NULL))
		become_up(stream);
	else if (stream->state == UP && stanza_is(stanza, NULL, NS_COMPONENT)) {
		metric_add(METRIC_STANZA_IN, 1);
		stream->events->stanza(stream->context, stanza);
	}
}

static bool
on_wanted(void *context, const struct stream_tag *tag)
{
	struct stream *stream = context;

	if (stream->state != UP || strcmp(tag->name, "error") == 0 || stream->events->wanted(stream->context, tag))
		return true;
	metric_add(METRIC_STANZA_SKIPPED, 1);
	return false;
}

static void
on_skipped(void *context, const struct stream_tag *tag, const char *limit)
{
	struct stream *stream = context;
	AUTO_FREE char *bare = xstrndup(tag->from, strcspn(tag->from, "/"));

	stream->skipped++;
	metric_add(METRIC_STANZA_OVER_LIMIT, 1);
	if (!hush_may(&stream->hush, bare))
		return;
	log_warning(LOG_XMPP, "skipped a stanza over the limits limit=%s kind=%.16s from=%.200s id=%.64s total=%" PRIu64, limit, tag->name, tag->from,
			tag->id, stream->skipped);
}

static void
on_closed(void *context)
{
	struct stream *stream = context;

	if (!stream->trouble[0]) {
		note_trouble(stream, "the server closed the stream");
		stream->blamed = true;
	}
	stream->finished = true;
	reader_stop(stream->reader);
}

static const struct reader_events reader_table = {
	.opened = on_opened,
	.wanted = on_wanted,
	.stanza = on_stanza,
	.skipped = on_skipped,
	.closed = on_closed,
};

/* ---- its socket ---- */

static void
on_connected(struct stream *stream)
{
	int error = 0;
	socklen_t size = sizeof(error);

	getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error) {
		note_trouble(stream, strerror(error));
		drop(stream);
		return;
	}
	stream->reader = reader_new(stream->ctx, &reader_table, stream);
	stream->state = OPENING;
	stream->finished = stream->conflict = stream->blamed = false;
	stream->trouble[0] = '\0';
	queue(stream, "<?xml version='1.0'?><stream:stream xmlns='" NS_COMPONENT "' xmlns:stream='" NS_STREAMS "' to='");
	queue(stream, stream->settings.component);
	queue(stream, "'>");
	stream_flush(stream);
}

/* ---- when nothing can be taken ---- */

static bool
has_room(struct stream *stream)
{
	return !stream->events->has_room || stream->events->has_room(stream->context);
}

/* XMPP has no 503: what is not read stays with the server for a while; after that the archives are asked for it. */
static void
look_for_room(void *context)
{
	struct stream *stream = context;

	if (has_room(stream)) {
		stream->paused = false;
		watch(stream);
		return;
	}
	if (now_monotonic_ms() - stream->paused_ms < FULL_MS) {
		loop_timer_set(&stream->pause, FULL_LOOK_MS);
		return;
	}
	note_trouble(stream, "nothing more can be kept");
	queue(stream, "</stream:stream>");
	stream_flush(stream);
	drop(stream);
}

static void
pause_reading(struct stream *stream)
{
	log_warning(LOG_XMPP, "nothing more can be kept: reading stops");
	stream->paused = true;
	stream->paused_ms = now_monotonic_ms();
	watch(stream);
	loop_timer_set(&stream->pause, FULL_LOOK_MS);
}

/*
 * Prosody writes in pieces and holds the next one back until the one before is acknowledged (Nagle), which the kernel would put
 * off for 40 ms. It forgets this wish, so it is told again.
 */
static void
answer_at_once(const struct stream *stream)
{
	int on = 1;

	setsockopt(stream->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

/* One read; false when there is nothing more to read now, or for ever. */
static bool
read_some(struct stream *stream)
{
	char buffer[READ_SIZE];
	ssize_t n = recv(stream->fd, buffer, sizeof(buffer), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		if (!stream->trouble[0]) {
			note_trouble(stream, n < 0 ? strerror(errno) : "the server closed the connection");
			stream->blamed = true;
		}
		stream->finished = true;
		return false;
	}
	answer_at_once(stream);
	stream->heard = true;
	metric_set(METRIC_STANZA_LAST, now_real_ms() / 1000);
	int r = reader_feed(stream->reader, buffer, (size_t)n);
	explicit_bzero(buffer, (size_t)n); /* what was said, of rooms that may be encrypted on the other side */
	if (r > 0 && !stream->finished) {
		snprintf(stream->trouble, sizeof(stream->trouble), "cannot read the stream: %s", reader_fault(stream->reader));
		stream->finished = true;
	}
	return !stream->finished && (size_t)n == sizeof(buffer);
}

static void
on_ready(void *context, uint32_t events)
{
	struct stream *stream = context;

	if (stream->state == CONNECTING) {
		on_connected(stream);
		return;
	}
	if (stream->paused && events & (EPOLLHUP | EPOLLERR)) {
		note_trouble(stream, "the server closed the connection");
		drop(stream);
		return;
	}
	if (!stream->paused && !has_room(stream))
		pause_reading(stream);
	if (!stream->paused && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		for (int i = 0; i < READS_A_TURN && read_some(stream); i++)
			;
	if (stream->finished)
		drop(stream);
	else if (events & EPOLLOUT)
		stream_flush(stream);
}

static int
connect_to(struct stream *stream, const struct addrinfo *address)
{
	int on = 1;
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, address->ai_addr, address->ai_addrlen) < 0 && errno != EINPROGRESS) {
		int error = -errno;
		close(fd);
		return error;
	}
	stream->fd = fd;
	stream->interest = EPOLLOUT;
	int r = loop_add(stream->loop, fd, EPOLLOUT, on_ready, stream, &stream->source);
	if (r < 0) {
		close(fd);
		stream->fd = -1;
	}
	return r;
}

/*
 * Anew for each round, since a name may have moved to another address meanwhile; if nobody can say, the last addresses are tried
 * again. A name, unlike a number, makes us wait for the name server.
 */
static bool
resolve(struct stream *stream)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV }, *found;
	char port[8];

	snprintf(port, sizeof(port), "%u", (unsigned)stream->settings.port);
	int r = getaddrinfo(stream->settings.host, port, &hints, &found);
	if (r) {
		note_trouble(stream, gai_strerror(r));
	} else {
		if (stream->addresses)
			freeaddrinfo(stream->addresses);
		stream->addresses = found;
	}
	stream->address = stream->addresses;
	return stream->address;
}

static void
cannot_connect(struct stream *stream)
{
	log_warning(LOG_XMPP, "cannot connect host=%s port=%u reason=\"%s\"", stream->settings.host, (unsigned)stream->settings.port,
			stream->trouble);
	loop_timer_set(&stream->timer, backoff_ms(stream->attempt++));
}

/* The timer's work: to connect, or to give up waiting for the handshake. */
static void
connect_next(void *context)
{
	struct stream *stream = context;

	if (stream->state != DOWN) {
		note_trouble(stream, "the server did not answer the handshake in time");
		drop(stream);
		return;
	}
	if (!has_room(stream)) {
		loop_timer_set(&stream->timer, backoff_ms(stream->attempt++));
		return;
	}
	if (!stream->address && !resolve(stream)) {
		cannot_connect(stream);
		return;
	}
	int r = connect_to(stream, stream->address);
	stream->address = stream->address->ai_next;
	if (r < 0) {
		note_trouble(stream, strerror(-r));
		cannot_connect(stream);
		return;
	}
	stream->state = CONNECTING;
	loop_timer_set(&stream->timer, HANDSHAKE_MS);
}

/*
 * XEP-0199 to our own domain: the server routes it to us and our answer back, so it takes the whole path. We know no
 * other address of the server.
 */
static void
beat(void *context)
{
	struct stream *stream = context;
	char ping[2200];

	stream->misses = stream->heard || stream->paused ? 0 : stream->misses + 1;
	stream->heard = false;
	if (stream->misses >= MISSES_MAX) {
		note_trouble(stream, "the server fell silent");
		drop(stream);
		return;
	}
	int n = snprintf(ping, sizeof(ping), "<iq from=\"%s\" to=\"%s\" type=\"get\" id=\"%s\"><ping xmlns=\"" NS_PING "\"/></iq>",
			stream->settings.component, stream->settings.component, stream->beat);
	if (n > 0 && (size_t)n < sizeof(ping))
		stream_send(stream, ping, (size_t)n);
	loop_timer_set(&stream->heartbeat, PING_MS);
}

static void
on_broken(void *context)
{
	struct stream *stream = context;

	if (!stream->trouble[0]) {
		note_trouble(stream, "the server took nothing and said nothing");
		stream->blamed = true;
	}
	drop(stream);
}

/* ---- for its owner ---- */

void
stream_open(struct stream **out, struct loop *loop, xmpp_ctx_t *ctx, const struct stream_settings *settings,
		const struct stream_events *events, void *context)
{
	struct stream *stream = xcalloc(1, sizeof(*stream));

	*stream = (struct stream){ .loop = loop, .ctx = ctx, .settings = *settings, .events = events, .context = context, .fd = -1 };
	snprintf(stream->beat, sizeof(stream->beat), "beat-");
	seal_random_text(stream->beat + strlen("beat-"), 16, "abcdefghijklmnopqrstuvwxyz234567");
	str_init(&stream->out, OUT_MAX);
	loop_timer_init(&stream->timer, loop, connect_next, stream);
	loop_timer_init(&stream->heartbeat, loop, beat, stream);
	loop_timer_init(&stream->broken, loop, on_broken, stream);
	loop_timer_init(&stream->pause, loop, look_for_room, stream);
	*out = stream;
}

void
stream_start(struct stream *stream)
{
	loop_timer_set(&stream->timer, 0);
}

void
stream_close(struct stream *stream)
{
	if (!stream)
		return;
	if (stream->fd >= 0) {
		if (stream->state == UP) {
			queue(stream, "</stream:stream>");
			stream_flush(stream);
		}
		loop_remove(stream->source);
		close(stream->fd);
	}
	reader_free(stream->reader);
	loop_timer_stop(&stream->timer);
	loop_timer_stop(&stream->heartbeat);
	loop_timer_stop(&stream->broken);
	loop_timer_stop(&stream->pause);
	str_fini(&stream->out);
	if (stream->addresses)
		freeaddrinfo(stream->addresses);
	free(stream);
}

void
stream_reset(struct stream *stream)
{
	if (!stream)
		return;
	note_trouble(stream, "starting over");
	stream->blamed = stream->conflict = false;
	drop(stream);
}

bool
stream_is_up(const struct stream *stream)
{
	return stream && stream->state == UP;
}

void
stream_send(struct stream *stream, const char *text, size_t n)
{
	if (!stream_is_up(stream))
		return;
	metric_add(METRIC_STANZA_OUT, 1);
	str_add_n(&stream->out, text, n);
	if (stream->out.full && !loop_timer_armed(&stream->broken)) {
		note_trouble(stream, "the server takes nothing any more");
		loop_timer_set(&stream->broken, 0);
	}
}

/* Lets go of what was written; a burst's buffer is not kept. */
static void
compact(struct stream *stream)
{
	struct str *out = &stream->out;

	if (stream->written == out->n && out->room > READ_SIZE)
		str_fini(out);
	else if (stream->written == out->n)
		str_clear(out);
	else if (stream->written < out->n / 2)
		return;
	else {
		out->n -= stream->written;
		memmove(out->p, out->p + stream->written, out->n + 1);
	}
	stream->written = 0;
}

void
stream_flush(struct stream *stream)
{
	if (!stream || stream->fd < 0 || stream->state == CONNECTING)
		return;
	while (stream->written < stream->out.n) {
		ssize_t n = send(stream->fd, stream->out.p + stream->written, stream->out.n - stream->written, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			/* What the server said last may still be there to read, and tells more than our error. */
			if (!loop_timer_armed(&stream->broken))
				loop_timer_set(&stream->broken, 100);
			return;
		}
		stream->written += (size_t)n;
		stream->handed += (uint64_t)n;
		FAULT_POINT("xmpp_after_write");
	}
	compact(stream);
	watch(stream);
}

size_t
stream_backlog(const struct stream *stream)
{
	return stream ? stream->out.n - stream->written : 0;
}

uint64_t
stream_handed(const struct stream *stream)
{
	return stream ? stream->handed : 0;
}

bool
stream_is_beat(const struct stream *stream, const char *id)
{
	return str_equal(stream->beat, id);
}

const char *
stream_refusal(const struct stream *stream)
{
	return stream->refusal[0] ? stream->refusal : NULL;
}

const char *
stream_trouble(const struct stream *stream)
{
	return stream->trouble;
}
