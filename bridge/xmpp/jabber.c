/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The port: puts the files of this folder together and hands each stanza to the one that knows it. Nothing of a
 * stanza that is meant for a ghost's eyes only is built: of N copies of a message the listener's is read.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "xmpp/jabber.h"

#include "base/config.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/now.h"
#include "base/str.h"
#include "xmpp/archive.h"
#include "xmpp/disco.h"
#include "xmpp/hear.h"
#include "xmpp/inside.h"
#include "xmpp/jid.h"
#include "xmpp/member.h"
#include "xmpp/muc.h"
#include "xmpp/nick.h"
#include "xmpp/presence.h"
#include "xmpp/speak.h"
#include "xmpp/review.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
jabber_send(struct jabber *jabber, xmpp_stanza_t *stanza)
{
	struct str text AUTO_STR;

	str_init(&text, STANZA_OUT_MAX);
	if (stanza_write(&text, stanza, jabber->settings.component))
		stream_send(jabber->stream, str_get(&text), text.n);
	else
		log_error(LOG_XMPP, "a stanza cannot leave kind=%s type=%s from=%s to=%s", xmpp_stanza_get_name(stanza),
				stanza_get(stanza, "type"), stanza_get(stanza, "from"), stanza_get(stanza, "to"));
	stanza_free(stanza);
}

void
jabber_ask(struct jabber *jabber, xmpp_stanza_t *iq, int64_t timeout_ms, stanza_answered *answered, void *context)
{
	char id[32];

	requests_expect(&jabber->requests, stanza_get(iq, "from"), stanza_get(iq, "to"), timeout_ms, answered, context, id);
	stanza_set(iq, "id", id);
	jabber_send(jabber, iq);
}

void
jabber_note_forged(struct jabber *jabber, const char *from, const char *what)
{
	AUTO_FREE char *bare = jid_bare(from);

	metric_add(METRIC_IGNORED_FORGED, 1);
	if (hush_may(&jabber->hush, bare))
		log_warning(LOG_XMPP, "ignored from=%s what=\"%s\" total=%" PRId64, from, what, metric_get(METRIC_IGNORED_FORGED));
}

/* ---- the stream's events ---- */

static bool
is_to_bot(const struct jabber *jabber, const char *to)
{
	return jid_same_bare(to, jabber->bot) || strcmp(to, jabber->settings.component) == 0;
}

static bool
on_wanted(void *context, const struct stream_tag *tag)
{
	struct jabber *jabber = context;

	if (strcmp(tag->name, "presence") == 0)
		return presence_wants(jabber, tag);
	if (strcmp(tag->name, "message") != 0 || strcmp(tag->type, "error") == 0)
		return true;
	if (strcmp(tag->type, "groupchat") == 0)
		return strcmp(tag->to, jabber->listener) == 0;
	return is_to_bot(jabber, tag->to);
}

static void
hear_message(struct jabber *jabber, xmpp_stanza_t *message)
{
	const char *type = stanza_get(message, "type"), *from = stanza_get(message, "from");
	struct room *room = muc_find(jabber, from);

	if (strcmp(type, "error") == 0)
		speak_failed(jabber, message);
	else if (strcmp(type, "groupchat") == 0)
		hear_groupchat(jabber, message);
	else if ((room && (review_hear(room, message) || archive_hear(room, message))) || muc_hear_invitation(jabber, message))
		return;
	else if (strcmp(type, "chat") == 0)
		hear_chat(jabber, message);
	else if (room && !jid_resource(from)[0])
		muc_hear_service(room, message);
}

/* An answer counts only when it comes from where it was asked for (security S6). A late one is nobody's fault. */
static void
hear_answer(struct jabber *jabber, xmpp_stanza_t *iq)
{
	int r = requests_answer(&jabber->requests, iq);

	if (r == REQUESTS_E_ELSEWHERE)
		jabber_note_forged(jabber, stanza_get(iq, "from"), "an answer from somebody who was not asked");
	else if (r == REQUESTS_E_UNASKED)
		metric_add(METRIC_IGNORED_UNASKED, 1);
}

static void
on_stanza(void *context, xmpp_stanza_t *stanza)
{
	struct jabber *jabber = context;
	const char *type = stanza_get(stanza, "type");

	/* XEP-0114 §4, RFC 6120 §8.1.3: whatever comes has a sender, and what wants or is an answer an id. */
	if (!stanza_get(stanza, "from")[0] || (stanza_is(stanza, "iq", NULL) && !stanza_get(stanza, "id")[0]))
		metric_add(METRIC_IGNORED_MALFORMED, 1);
	else if (stanza_is(stanza, "message", NULL))
		hear_message(jabber, stanza);
	else if (stanza_is(stanza, "presence", NULL) && (str_starts(type, "subscribe") || strcmp(type, "probe") == 0))
		disco_hear_presence(jabber, stanza);
	else if (stanza_is(stanza, "presence", NULL))
		presence_hear(jabber, stanza);
	else if (stanza_is(stanza, "iq", NULL) && (strcmp(type, "result") == 0 || strcmp(type, "error") == 0))
		hear_answer(jabber, stanza);
	else if (stanza_is(stanza, "iq", NULL))
		disco_answer(jabber, stanza);
}

static void
on_up(void *context)
{
	struct jabber *jabber = context;

	jabber->changed_ms = now_real_ms();
	speak_recover(jabber);
	muc_enter_all(jabber);
	outbox_wake(jabber->parts.outbox);
}

static void
on_down(void *context, bool blamed)
{
	struct jabber *jabber = context;

	jabber->changed_ms = now_real_ms();
	requests_lose(&jabber->requests);
	review_stop(jabber, false);
	muc_lose(jabber);
	speak_forget_privates(jabber, jabber->starting_over);
	outbox_lost(jabber->parts.outbox, NETWORK_XMPP, blamed);
}

static bool
has_room(void *context)
{
	return inbox_has_room(((struct jabber *)context)->parts.inbox);
}

static const struct stream_events stream_table = {
	.up = on_up, .down = on_down, .wanted = on_wanted, .stanza = on_stanza, .has_room = has_room,
};

/* ---- port_ops ---- */

static int
start(struct port *port)
{
	struct jabber *jabber = (struct jabber *)port;

	muc_add_rooms(jabber);
	stream_start(jabber->stream);
	return 0;
}

/* Ghosts are not parted: whoever comes back soon finds them in their rooms. */
static void
stop(struct port *port)
{
	struct jabber *jabber = (struct jabber *)port;

	speak_flush(port);
	review_stop(jabber, true);
	stream_close(jabber->stream);
	jabber->stream = NULL;
	muc_close(jabber);
	speak_forget_privates(jabber, true);
	hear_forget_callers(jabber);
	requests_fini(&jabber->requests);
}

/*
 * What was told to inbox, outbox and people did not happen: as after a restart, the archives say what there is. Private
 * messages that the kernel took are said (sent.h); they are settled anew when the stream is up.
 */
static void
reset(struct port *port)
{
	struct jabber *jabber = (struct jabber *)port;

	jabber->starting_over = true;
	stream_reset(jabber->stream);
	jabber->starting_over = false;
}

static void
read_archive(struct port *port, const char *room, const struct archive_reader *reader)
{
	review_begin((struct jabber *)port, room, reader);
}

static const struct port_ops ops = {
	.network = NETWORK_XMPP,
	.start = start,
	.stop = stop,
	.read = hear_read,
	.render = speak_render,
	.fits = speak_fits,
	.ready = speak_ready,
	.send = speak_send,
	.flush = speak_flush,
	.reset = reset,
	.enter = muc_enter_group,
	.leave = muc_leave,
	.rights = hear_rights,
	.stand = muc_stand,
	.read_archive = read_archive,
};

/* Faults on purpose, so that the fault runner can show that it sees them (decisions 7.2). */
static void
read_break(struct jabber *jabber)
{
#ifdef FAULT_POINTS
	const char *mode = config_environment(CONFIG_ENV_BREAK);

	jabber->blind = str_equal(mode, "blind-resend");
	jabber->no_archive = str_equal(mode, "no-archive");
#else
	(void)jabber;
#endif
}

static struct stream_settings
stream_settings_of(const struct jabber_settings *settings)
{
	return (struct stream_settings){ settings->host, settings->port, settings->component, settings->secret };
}

void
jabber_open(struct port **out, const struct jabber_settings *settings, const struct jabber_parts *parts)
{
	struct jabber *jabber = xcalloc(1, sizeof(*jabber));
	struct stream_settings stream_settings = stream_settings_of(settings);
	char nick[NICK_SIZE];

	*jabber = (struct jabber){ .port = { &ops }, .settings = *settings, .parts = *parts, .ctx = stanza_context() };
	list_init(&jabber->rooms);
	list_init(&jabber->services);
	list_init(&jabber->privates);
	requests_init(&jabber->requests, parts->loop);
	jabber->bot = xasprintf("bot@%s", settings->component);
	jabber->listener = xasprintf("%s/" JID_RESOURCE, jabber->bot);
	nick_prepare(settings->nick, "bot", nick);
	jabber->nick = xstrdup(nick);
	read_break(jabber);
	int r = settings->state ? sent_open(&jabber->sent, settings->state) : 0;
	if (r < 0)
		log_warning(LOG_XMPP, "no record of what was sent directory=%s error=\"%s\": a chat may come twice after a crash", settings->state,
				strerror(-r));
	stream_open(&jabber->stream, parts->loop, jabber->ctx, &stream_settings, &stream_table, jabber);
	*out = &jabber->port;
}

void
jabber_close(struct port *port)
{
	struct jabber *jabber = (struct jabber *)port;

	if (!jabber)
		return;
	stop(port);
	sent_close(jabber->sent);
	xmpp_ctx_free(jabber->ctx);
	free(jabber->bot);
	free(jabber->listener);
	free(jabber->nick);
	free(jabber);
}

unsigned
jabber_joined(const struct port *port)
{
	const struct jabber *jabber = (const struct jabber *)port;
	struct room *room;
	unsigned count = 0;

	LIST_FOR_EACH(room, &jabber->rooms, struct room, link)
		count += room->phase == ROOM_READY && !muc_is_visit(room);
	return count;
}

/* What a bare condition means for the admin (XEP-0045 §7.2); a room's own words stay as they are. */
static const char *
plain_words(const char *why)
{
	static const struct {
		const char *condition, *words;
	} known[] = {
		{ "registration-required", "members only: make the bot a member of the room" },
		{ "forbidden", "the bot is banned there" },
		{ "not-authorized", "the room wants a password" },
		{ "service-unavailable", "the room is full" },
		{ "gone", "the room was destroyed" },
	};

	/* Some servers add a sentence of their own. */
	size_t n = strcspn(why, ":");
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strlen(known[i].condition) == n && strncmp(known[i].condition, why, n) == 0)
			return known[i].words;
	return why;
}

void
jabber_trouble(const struct port *port, const char *address, char *out, size_t size)
{
	static const char *const words[] = {
		[ROOM_OUT] = "it will be entered again", [ROOM_ASKING] = "it is being entered", [ROOM_JOINING] = "it is being entered",
		[ROOM_MAKING] = "it is being made", [ROOM_CATCHING] = "its archive is being read",
		[ROOM_SETTLING] = "its archive is being read", [ROOM_READY] = "", [ROOM_SHUT] = "it does not let us in",
	};
	const struct jabber *jabber = (const struct jabber *)port;
	struct room *room = muc_find_address(jabber, address);

	if (!room) {
		snprintf(out, size, "%s", "the server was not asked yet");
		return;
	}
	if (room->archive.failures) {
		snprintf(out, size, "%s", "its archive cannot be read now, and is asked again; what is said meanwhile waits");
		return;
	}
	const char *why = room->phase == ROOM_SHUT || room->phase == ROOM_OUT ? member_why(room->listener) : "";
	snprintf(out, size, "%s%s%s", words[room->phase], *why ? ": " : "", plain_words(why));
}

int64_t
jabber_hole(const struct port *port, const char *address)
{
	const struct room *room = muc_find_address((const struct jabber *)port, address);

	return room ? room->hole_ms : 0;
}

bool
jabber_connected(const struct port *port)
{
	const struct jabber *jabber = (const struct jabber *)port;

	return jabber->stream && stream_is_up(jabber->stream);
}

const char *
jabber_failure(const struct port *port)
{
	const struct jabber *jabber = (const struct jabber *)port;

	return jabber->stream ? stream_refusal(jabber->stream) : NULL;
}
