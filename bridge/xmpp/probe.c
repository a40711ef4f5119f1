/* SPDX-License-Identifier: Apache-2.0 */
/* For `sourdine check`: a connection of its own on a loop of its own, driven until the answer is known or time is up. */
#include "xmpp/jabber.h"

#include "base/log.h"
#include "base/now.h"
#include "base/str.h"
#include "xmpp/jid.h"
#include "xmpp/nick.h"
#include "xmpp/stanza.h"
#include "xmpp/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 10000
#define AFTER_TROUBLE_MS 1500 /* further addresses of the host are tried for so long */

struct probe {
	struct loop *loop;
	xmpp_ctx_t *ctx;
	struct stream *stream;
	const struct jabber_settings *settings;
	char *listener, *room, *occupant; /* owns; room NULL: the connection alone */
	bool done;
	enum jabber_probe verdict;
	char *detail;
	size_t size;
};

static void
conclude(struct probe *probe, enum jabber_probe verdict, const char *detail)
{
	probe->done = true;
	probe->verdict = verdict;
	snprintf(probe->detail, probe->size, "%s", detail);
}

static void
say(struct probe *probe, xmpp_stanza_t *stanza)
{
	struct str text AUTO_STR;

	str_init(&text, STANZA_OUT_MAX);
	if (stanza_write(&text, stanza, probe->settings->component))
		stream_send(probe->stream, str_get(&text), text.n);
	stanza_free(stanza);
}

static void
join(struct probe *probe)
{
	xmpp_stanza_t *presence = stanza_make(probe->ctx, "presence", NULL, "probe", probe->listener, probe->occupant);

	stanza_set(stanza_add(stanza_add(presence, "x", NS_MUC), "history", NULL), "maxstanzas", "0");
	say(probe, presence);
}

static void
on_up(void *context)
{
	struct probe *probe = context;

	if (!probe->room) {
		conclude(probe, JABBER_FINE, "connected and authenticated");
		return;
	}
	/* A join would make a room that does not exist. */
	xmpp_stanza_t *iq = stanza_make(probe->ctx, "iq", "get", "probe", probe->listener, probe->room);
	stanza_add(iq, "query", NS_DISCO_INFO);
	say(probe, iq);
}

static void
on_down(void *context, bool blamed)
{
	(void)context, (void)blamed;
}

static bool
on_wanted(void *context, const struct stream_tag *tag)
{
	struct probe *probe = context;

	return strcmp(tag->to, probe->listener) == 0;
}

static void
hear_description(struct probe *probe, xmpp_stanza_t *iq)
{
	if (strcmp(stanza_get(iq, "type"), "error") != 0 || strcmp(stanza_error(iq, NULL), "item-not-found") != 0)
		join(probe);
	else
		conclude(probe, JABBER_FINE, "the room does not exist yet and will be made");
}

static void
hear_presence(struct probe *probe, xmpp_stanza_t *presence)
{
	const char *type = stanza_get(presence, "type");

	if (strcmp(type, "error") == 0) {
		AUTO_FREE char *text = stanza_error_text(presence);
		AUTO_FREE char *why = xasprintf("the room refuses the bot: %s%s%.150s", stanza_error(presence, NULL), text[0] ? ", " : "", text);
		conclude(probe, JABBER_REFUSED, why);
	} else if (strcmp(stanza_get(presence, "from"), probe->occupant) == 0 && strcmp(type, "unavailable") != 0) {
		say(probe, stanza_make(probe->ctx, "presence", "unavailable", NULL, probe->listener, probe->occupant));
		conclude(probe, JABBER_FINE, "the bot can enter");
	}
}

static void
on_stanza(void *context, xmpp_stanza_t *stanza)
{
	struct probe *probe = context;

	if (probe->done || !probe->room || !jid_same_bare(stanza_get(stanza, "from"), probe->room))
		return;
	if (stanza_is(stanza, "iq", NULL) && strcmp(stanza_get(stanza, "id"), "probe") == 0)
		hear_description(probe, stanza);
	else if (stanza_is(stanza, "presence", NULL))
		hear_presence(probe, stanza);
}

static void
drive(struct probe *probe)
{
	int64_t start_ms = now_monotonic_ms(), trouble_ms = 0;

	stream_start(probe->stream);
	while (!probe->done) {
		if (loop_once(probe->loop, 50) < 0)
			conclude(probe, JABBER_UNREACHABLE, "the event loop failed");
		stream_flush(probe->stream);
		int64_t now_ms = now_monotonic_ms();
		const char *trouble = stream_trouble(probe->stream);
		trouble_ms = trouble[0] && !stream_is_up(probe->stream) ? trouble_ms ? trouble_ms : now_ms : 0;
		if (probe->done)
			break;
		if (stream_refusal(probe->stream))
			conclude(probe, JABBER_REFUSED, stream_refusal(probe->stream));
		else if (trouble_ms && now_ms - trouble_ms >= AFTER_TROUBLE_MS)
			conclude(probe, JABBER_UNREACHABLE, trouble);
		else if (now_ms - start_ms >= PATIENCE_MS)
			conclude(probe, JABBER_UNREACHABLE, trouble[0] ? trouble : probe->room ? "the room did not answer" : "the server did not answer");
	}
}

static enum jabber_probe
run(const struct jabber_settings *settings, const char *room, char *detail, size_t size)
{
	static const struct stream_events events = { .up = on_up, .down = on_down, .wanted = on_wanted, .stanza = on_stanza };
	struct stream_settings stream_settings = { settings->host, settings->port, settings->component, settings->secret };
	struct probe probe = { .settings = settings, .detail = detail, .size = size, .verdict = JABBER_UNREACHABLE };
	char jid[JID_SIZE], nick[NICK_SIZE];

	if (room && !jid_prepare(room, jid, sizeof(jid))) {
		snprintf(detail, size, "%.200s is not the address of a room", room);
		return JABBER_REFUSED;
	}
	nick_prepare(settings->nick, "bot", nick);
	probe.listener = xasprintf("bot@%s/" JID_RESOURCE, settings->component);
	probe.room = room ? xstrdup(jid) : NULL;
	probe.occupant = room ? xasprintf("%s/%s", jid, nick) : NULL;
	probe.ctx = stanza_context();
	int r = loop_open(&probe.loop);
	if (r == 0)
		r = stream_open(&probe.stream, probe.loop, probe.ctx, &stream_settings, &events, &probe);
	if (r == 0)
		drive(&probe);
	else
		snprintf(detail, size, "%s", strerror(-r));
	stream_close(probe.stream);
	loop_close(probe.loop);
	xmpp_ctx_free(probe.ctx);
	free(probe.listener);
	free(probe.room);
	free(probe.occupant);
	return probe.verdict;
}

enum jabber_probe
jabber_probe(const struct jabber_settings *settings, char *detail, size_t size)
{
	return run(settings, NULL, detail, size);
}

enum jabber_probe
jabber_probe_room(const struct jabber_settings *settings, const char *room, char *detail, size_t size)
{
	return run(settings, room, detail, size);
}
