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
#define ITEMS_MAX 64
#define AFTER_TROUBLE_MS 1500 /* further addresses of the host are tried for so long */

struct probe {
	struct loop *loop;
	xmpp_ctx_t *ctx;
	struct stream *stream;
	const struct jabber_settings *settings;
	char *listener, *room, *occupant; /* owns; room NULL: the connection alone, or the upload service */
	struct jabber_room *facts;     /* with room */
	struct jabber_upload *upload;  /* what is found of the upload service; or NULL */
	const char *domain;            /* of the server that offers it */
	size_t items; /* its services that were asked what they are and have not answered */
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
ask(struct probe *probe, const char *id, const char *to, const char *ns)
{
	xmpp_stanza_t *iq = stanza_make(probe->ctx, "iq", "get", id, probe->listener, to);

	stanza_add(iq, "query", ns);
	say(probe, iq);
}

static void
on_up(void *context)
{
	struct probe *probe = context;

	if (probe->room)
		ask(probe, "probe", probe->room, NS_DISCO_INFO); /* first: a join would make a room that does not exist */
	else if (probe->upload)
		ask(probe, "server", probe->domain, NS_DISCO_INFO);
	else
		conclude(probe, JABBER_FINE, "connected and authenticated");
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

static bool
has_feature(xmpp_stanza_t *iq, const char *var)
{
	xmpp_stanza_t *query = stanza_find(iq, "query", NS_DISCO_INFO);

	for (xmpp_stanza_t *child = query ? xmpp_stanza_get_children(query) : NULL; child; child = xmpp_stanza_get_next(child))
		if (stanza_is(child, "feature", NULL) && strcmp(stanza_get(child, "var"), var) == 0)
			return true;
	return false;
}

static void
hear_description(struct probe *probe, xmpp_stanza_t *iq)
{
	probe->facts->exists = strcmp(stanza_get(iq, "type"), "result") == 0;
	probe->facts->has_archive = has_feature(iq, NS_MAM);
	probe->facts->has_ids = has_feature(iq, NS_SID);
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
		xmpp_stanza_t *item = stanza_find(stanza_find(presence, "x", NS_MUC_USER), "item", NULL);
		probe->facts->visitor = strcmp(stanza_get(item, "role"), "visitor") == 0;
		say(probe, stanza_make(probe->ctx, "presence", "unavailable", NULL, probe->listener, probe->occupant));
		conclude(probe, JABBER_FINE, "the bot can enter");
	}
}

/* ---- the upload service (XEP-0363) ---- */

static void
hear_server(struct probe *probe, xmpp_stanza_t *iq)
{
	xmpp_stanza_t *query = stanza_find(iq, "query", NS_DISCO_INFO);

	for (xmpp_stanza_t *child = query ? xmpp_stanza_get_children(query) : NULL; child; child = xmpp_stanza_get_next(child))
		if (stanza_is(child, "identity", NULL) && strcmp(stanza_get(child, "category"), "server") == 0)
			snprintf(probe->upload->server, sizeof(probe->upload->server), "%.60s", stanza_get(child, "name"));
	ask(probe, "items", probe->domain, NS_DISCO_ITEMS);
}

/* All at once, since one may be dead; not ourselves. */
static void
hear_items(struct probe *probe, xmpp_stanza_t *iq)
{
	xmpp_stanza_t *query = stanza_find(iq, "query", NS_DISCO_ITEMS);

	for (xmpp_stanza_t *item = query ? xmpp_stanza_get_children(query) : NULL; item; item = xmpp_stanza_get_next(item)) {
		const char *jid = stanza_get(item, "jid");
		if (!stanza_is(item, "item", NULL) || !jid[0] || strcmp(jid, probe->settings->component) == 0 || probe->items == ITEMS_MAX)
			continue;
		ask(probe, "item", jid, NS_DISCO_INFO);
		probe->items++;
	}
	if (!probe->items)
		conclude(probe, JABBER_FINE, "there is no upload service");
}

/* XEP-0363 §4: asks for a slot as one of our people. It is never used, and the server forgets it. */
static void
hear_item(struct probe *probe, xmpp_stanza_t *iq)
{
	const char *service = stanza_get(iq, "from");

	probe->items--;
	if (probe->upload->service[0])
		return;
	if (!has_feature(iq, NS_UPLOAD)) {
		if (!probe->items)
			conclude(probe, JABBER_FINE, "there is no upload service");
		return;
	}
	snprintf(probe->upload->service, sizeof(probe->upload->service), "%.250s", service);
	xmpp_stanza_t *ask_slot = stanza_make(probe->ctx, "iq", "get", "slot", probe->listener, service);
	xmpp_stanza_t *request = stanza_add(ask_slot, "request", NS_UPLOAD);
	stanza_set(request, "filename", "check.txt");
	stanza_set(request, "size", "1");
	stanza_set(request, "content-type", "text/plain");
	say(probe, ask_slot);
}

static void
hear_slot(struct probe *probe, xmpp_stanza_t *iq)
{
	if (strcmp(stanza_get(iq, "type"), "result") == 0) {
		probe->upload->allowed = true;
	} else {
		AUTO_FREE char *text = stanza_error_text(iq);
		snprintf(probe->upload->refusal, sizeof(probe->upload->refusal), "%s%s%.150s", stanza_error(iq, NULL), text[0] ? ", " : "", text);
	}
	conclude(probe, JABBER_FINE, "asked");
}

static const struct {
	const char *id;
	void (*hear)(struct probe *probe, xmpp_stanza_t *iq);
} hearings[] = {
	{ "probe", hear_description }, { "server", hear_server }, { "items", hear_items }, { "item", hear_item }, { "slot", hear_slot },
};

static void
on_stanza(void *context, xmpp_stanza_t *stanza)
{
	struct probe *probe = context;

	if (probe->done || (probe->room && !jid_same_bare(stanza_get(stanza, "from"), probe->room)))
		return;
	if (probe->room && stanza_is(stanza, "presence", NULL))
		hear_presence(probe, stanza);
	for (size_t i = 0; stanza_is(stanza, "iq", NULL) && i < sizeof(hearings) / sizeof(hearings[0]); i++)
		if (strcmp(hearings[i].id, stanza_get(stanza, "id")) == 0) {
			hearings[i].hear(probe, stanza);
			return;
		}
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
run(struct probe *probe, const struct jabber_settings *settings, char *detail, size_t size)
{
	static const struct stream_events events = { .up = on_up, .down = on_down, .wanted = on_wanted, .stanza = on_stanza };
	struct stream_settings stream_settings = { settings->host, settings->port, settings->component, settings->secret };

	probe->settings = settings;
	probe->detail = detail;
	probe->size = size;
	probe->verdict = JABBER_UNREACHABLE;
	probe->listener = xasprintf("bot@%s/" JID_RESOURCE, settings->component);
	probe->ctx = stanza_context();
	int r = loop_open(&probe->loop);
	if (r == 0) {
		stream_open(&probe->stream, probe->loop, probe->ctx, &stream_settings, &events, probe);
		drive(probe);
	} else {
		snprintf(detail, size, "%s", strerror(-r));
	}
	stream_close(probe->stream);
	loop_close(probe->loop);
	xmpp_ctx_free(probe->ctx);
	free(probe->listener);
	free(probe->room);
	free(probe->occupant);
	return probe->verdict;
}

enum jabber_probe
jabber_probe(const struct jabber_settings *settings, char *detail, size_t size)
{
	struct probe probe = { 0 };

	return run(&probe, settings, detail, size);
}

enum jabber_probe
jabber_probe_room(const struct jabber_settings *settings, const char *room, struct jabber_room *facts, char *detail, size_t size)
{
	char jid[JID_SIZE], nick[NICK_SIZE];

	*facts = (struct jabber_room){ 0 };
	if (!jid_prepare(room, jid, sizeof(jid))) {
		snprintf(detail, size, "%.200s is not the address of a room", room);
		return JABBER_REFUSED;
	}
	nick_prepare(settings->nick, "bot", nick);
	struct probe probe = { .room = xstrdup(jid), .occupant = xasprintf("%s/%s", jid, nick), .facts = facts };
	return run(&probe, settings, detail, size);
}

enum jabber_probe
jabber_probe_upload(const struct jabber_settings *settings, const char *domain, struct jabber_upload *upload, char *detail, size_t size)
{
	struct probe probe = { .domain = domain, .upload = upload };

	*upload = (struct jabber_upload){ 0 };
	return run(&probe, settings, detail, size);
}
