/* SPDX-License-Identifier: Apache-2.0 */
/* XEP-0114 from the server's side, and as much of XEP-0045 and XEP-0313 as the port can tell apart. */
#include "fake_server.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BOT "bot@"

/* ---- writing ---- */

void
fake_server_say(struct fake_server *fake, const char *text)
{
	size_t n = strlen(text);

	if (fake->fd < 0)
		return;
	while (n) {
		ssize_t sent = send(fake->fd, text, n, MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN)
			return;
		text += sent > 0 ? sent : 0;
		n -= sent > 0 ? (size_t)sent : 0;
	}
}

static void PRINTF_LIKE(2, 3)
say(struct fake_server *fake, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	AUTO_FREE char *text = xvasprintf(format, args);
	va_end(args);
	fake_server_say(fake, text);
}

static void
say_error(struct fake_server *fake, const char *kind, const char *from, const char *to, const char *id, const char *type,
		const char *condition)
{
	say(fake, "<%s type='error' from='%s' to='%s' id='%s'><error type='%s'><%s xmlns='" NS_STANZAS "'/><text xmlns='" NS_STANZAS
			"'>the room says %s</text></error></%s>", kind, from, to, id, type, condition, condition, kind);
}

/* ---- occupants ---- */

static bool
is_listener(const char *jid)
{
	return strncmp(jid, BOT, strlen(BOT)) == 0;
}

static struct fake_occupant *
find_jid(struct fake_server *fake, const char *room, const char *jid)
{
	for (size_t i = 0; i < fake->occupant_count; i++)
		if (strcmp(fake->occupants[i].room, room) == 0 && strcmp(fake->occupants[i].jid, jid) == 0)
			return &fake->occupants[i];
	return NULL;
}

const struct fake_occupant *
fake_server_find(const struct fake_server *fake, const char *room, const char *nick)
{
	for (size_t i = 0; i < fake->occupant_count; i++)
		if (strcmp(fake->occupants[i].room, room) == 0 && strcmp(fake->occupants[i].nick, nick) == 0)
			return &fake->occupants[i];
	return NULL;
}

static const char *
affiliation_of(const struct fake_server *fake, const char *jid)
{
	return is_listener(jid) && fake->bot_affiliation ? fake->bot_affiliation : "none";
}

/* `about` as everybody in his room, himself included, sees him. */
static void
announce(struct fake_server *fake, const struct fake_occupant *about, bool leaves, const char *codes, const char *inside)
{
	struct str status AUTO_STR;

	str_init(&status, 1024);
	for (const char *at = codes; *at; at += strcspn(at, " "), at += *at == ' ')
		str_addf(&status, "<status code='%.3s'/>", at);
	for (size_t i = 0; i < fake->occupant_count; i++) {
		const struct fake_occupant *to = &fake->occupants[i];
		bool self = strcmp(to->jid, about->jid) == 0;
		if (strcmp(to->room, about->room) == 0)
			say(fake, "<presence from='%s/%s' to='%s'%s><x xmlns='" NS_MUC_USER "'><item affiliation='%s' role='%s' jid='%s'>%s</item>%s%s"
					"</x></presence>", about->room, about->nick, to->jid, leaves ? " type='unavailable'" : "",
					affiliation_of(fake, about->jid), leaves ? "none" : about->role, about->jid, inside, str_get(&status),
					self ? "<status code='110'/>" : "");
	}
}

static void
forget(struct fake_server *fake, const struct fake_occupant *occupant)
{
	size_t at = (size_t)(occupant - fake->occupants);

	memmove(&fake->occupants[at], &fake->occupants[at + 1], (--fake->occupant_count - at) * sizeof(fake->occupants[0]));
}

void
fake_server_remove(struct fake_server *fake, const char *room, const char *nick, const char *codes, const char *reason)
{
	const struct fake_occupant *occupant = fake_server_find(fake, room, nick);
	AUTO_FREE char *inside = reason ? xasprintf("<reason>%s</reason>", reason) : xstrdup("");

	assert_non_null(occupant);
	announce(fake, occupant, true, codes, inside);
	forget(fake, occupant);
}

void
fake_server_set_role(struct fake_server *fake, const char *room, const char *nick, const char *role)
{
	const struct fake_occupant *found = fake_server_find(fake, room, nick);

	assert_non_null(found);
	struct fake_occupant *occupant = &fake->occupants[found - fake->occupants];
	occupant->role = role;
	announce(fake, occupant, false, "", "");
}

void
fake_server_destroy(struct fake_server *fake, const char *room)
{
	for (size_t i = fake->occupant_count; i-- > 0;)
		if (strcmp(fake->occupants[i].room, room) == 0) {
			say(fake, "<presence type='unavailable' from='%s/%s' to='%s'><x xmlns='" NS_MUC_USER "'><item affiliation='none' role='none'/>"
					"<destroy><reason>moved</reason></destroy></x></presence>", room, fake->occupants[i].nick, fake->occupants[i].jid);
			forget(fake, &fake->occupants[i]);
		}
	fake->gone = true;
}

static bool
is_member(const struct fake_server *fake, const char *jid)
{
	AUTO_FREE char *wanted = xasprintf("%.*s ", (int)strcspn(jid, "/"), jid);

	return is_listener(jid) || strstr(fake->members, wanted);
}

static void
enter(struct fake_server *fake, const char *jid, const char *address)
{
	size_t n = strcspn(address, "/");
	AUTO_FREE char *room = xstrndup(address, n);
	const char *nick = address + n + 1;
	const struct fake_occupant *same = fake_server_find(fake, room, nick);
	const char *refused = fake->refuse ? fake->refuse(fake, jid, room, nick) : NULL;

	if (!refused && fake->members_only && !is_member(fake, jid))
		refused = "registration-required";
	if (!refused && same && strcmp(same->jid, jid) != 0)
		refused = "conflict";
	if (refused) {
		say_error(fake, "presence", address, jid, "", "cancel", refused);
		return;
	}
	struct fake_occupant *occupant = find_jid(fake, room, jid);
	if (occupant && strcmp(occupant->nick, nick) != 0) {
		AUTO_FREE char *was = xstrdup(occupant->nick);
		say(fake, "<presence type='unavailable' from='%s/%s' to='%s'><x xmlns='" NS_MUC_USER "'><item nick='%s'/><status code='303'/>"
				"<status code='110'/></x></presence>", room, was, jid, nick);
		snprintf(occupant->nick, sizeof(occupant->nick), "%s", nick);
	}
	if (!occupant) {
		assert_true(fake->occupant_count < FAKE_OCCUPANTS);
		for (size_t i = 0; i < fake->occupant_count; i++)
			if (strcmp(fake->occupants[i].room, room) == 0)
				say(fake, "<presence from='%s/%s' to='%s'><x xmlns='" NS_MUC_USER "'><item affiliation='%s' role='participant' jid='%s'/></x>"
						"</presence>", room, fake->occupants[i].nick, jid, affiliation_of(fake, fake->occupants[i].jid),
						fake->occupants[i].jid);
		occupant = &fake->occupants[fake->occupant_count++];
		*occupant = (struct fake_occupant){ .role = fake->moderated && !is_listener(jid) ? "visitor" : "participant" };
		snprintf(occupant->room, sizeof(occupant->room), "%s", room);
		snprintf(occupant->nick, sizeof(occupant->nick), "%s", nick);
		snprintf(occupant->jid, sizeof(occupant->jid), "%s", jid);
		fake->joins++;
	}
	announce(fake, occupant, false, fake->fresh && is_listener(jid) ? "201" : "", "");
}

void
fake_server_enter(struct fake_server *fake, const char *jid, const char *room, const char *nick)
{
	AUTO_FREE char *address = xasprintf("%s/%s", room, nick);

	enter(fake, jid, address);
}

void
fake_server_release(struct fake_server *fake, unsigned count)
{
	while (count-- && fake->pending) {
		char *jid = fake->held[0], *bar = strchr(jid, '|');
		*bar = '\0';
		enter(fake, jid, bar + 1);
		memmove(fake->held[0], fake->held[1], --fake->pending * sizeof(fake->held[0]));
	}
}

static void
take_presence(struct fake_server *fake, xmpp_stanza_t *presence)
{
	const char *from = stanza_get(presence, "from"), *to = stanza_get(presence, "to");
	AUTO_FREE char *room = xstrndup(to, strcspn(to, "/"));
	struct fake_occupant *occupant = find_jid(fake, room, from);

	if (strcmp(stanza_get(presence, "type"), "unavailable") == 0) {
		if (occupant) {
			announce(fake, occupant, true, "", "");
			forget(fake, occupant);
		}
	} else if (fake->hold_joins && !is_listener(from)) {
		assert_true(fake->pending < FAKE_OCCUPANTS);
		snprintf(fake->held[fake->pending++], sizeof(fake->held[0]), "%s|%s", from, to);
	} else {
		enter(fake, from, to);
	}
}

/* ---- messages ---- */

static void
write_said(struct fake_server *fake, struct str *out, const struct fake_said *said, const char *to)
{
	str_addf(out, "<message type='groupchat' from='%s/%s' id='%s'", said->room, said->nick, fake->own_ids ? said->stanza_id : said->id);
	if (to)
		str_addf(out, " to='%s'", to);
	else
		str_add(out, " xmlns='jabber:client'");
	str_addf(out, "><body>%s</body>", said->body);
	if (!fake->no_origin_ids)
		str_addf(out, "<origin-id xmlns='" NS_SID "' id='%s'/>", said->id);
	if (!fake->no_ids && to)
		str_addf(out, "<stanza-id xmlns='" NS_SID "' by='%s' id='%s'/>", said->room, said->stanza_id);
	str_add(out, "</message>");
}

void
fake_server_speak(struct fake_server *fake, const char *room, const char *nick, const char *id, const char *body)
{
	assert_true(fake->said_count < FAKE_ARCHIVE);
	struct fake_said *said = &fake->said[fake->said_count++];
	snprintf(said->room, sizeof(said->room), "%s", room);
	snprintf(said->nick, sizeof(said->nick), "%s", nick);
	snprintf(said->id, sizeof(said->id), "%s", id);
	snprintf(said->body, sizeof(said->body), "%s", body);
	snprintf(said->stanza_id, sizeof(said->stanza_id), "sid%zu", fake->said_count);
	for (size_t i = 0; i < fake->occupant_count && !fake->deaf; i++) {
		if (strcmp(fake->occupants[i].room, room) != 0)
			continue;
		struct str text AUTO_STR;
		str_init(&text, 4096);
		write_said(fake, &text, said, fake->occupants[i].jid);
		fake_server_say(fake, str_get(&text));
	}
}

static void
take_groupchat(struct fake_server *fake, xmpp_stanza_t *message)
{
	const char *from = stanza_get(message, "from"), *room = stanza_get(message, "to"), *id = stanza_get(message, "id");
	struct fake_occupant *occupant = find_jid(fake, room, from);
	AUTO_FREE char *body = stanza_text(stanza_find(message, "body", NULL));

	if (fake->careless)
		return;
	if (!occupant || fake->message_error || strcmp(occupant->role, "visitor") == 0) {
		say_error(fake, "message", room, from, id, occupant && fake->message_error_type ? fake->message_error_type : "auth",
				!occupant ? "not-acceptable" : fake->message_error ? fake->message_error : "forbidden");
		return;
	}
	fake_server_speak(fake, room, occupant->nick, id, body);
}

unsigned
fake_server_heard(const struct fake_server *fake, const char *body, const char **nick)
{
	unsigned count = 0;

	for (size_t i = 0; i < fake->said_count; i++)
		if (strcmp(fake->said[i].body, body) == 0) {
			count++;
			if (nick)
				*nick = fake->said[i].nick;
		}
	return count;
}

/* ---- requests ---- */

static void
take_archive_query(struct fake_server *fake, xmpp_stanza_t *iq, xmpp_stanza_t *query)
{
	const char *from = stanza_get(iq, "from"), *room = stanza_get(iq, "to");
	AUTO_FREE char *after = stanza_text(stanza_find(stanza_find(query, "set", NS_RSM), "after", NULL));
	bool begun = !after[0];

	if (fake->archive_failures) {
		fake->archive_failures--;
		say_error(fake, "iq", room, from, stanza_get(iq, "id"), fake->archive_error_type, fake->archive_error);
		return;
	}
	for (size_t i = 0; i < fake->said_count; i++) {
		const struct fake_said *said = &fake->said[i];
		if (strcmp(said->room, room) != 0)
			continue;
		if (begun) {
			struct str text AUTO_STR;
			str_init(&text, 4096);
			str_addf(&text, "<message from='%s' to='%s'><result xmlns='" NS_MAM "' queryid='%s' id='%s'><forwarded xmlns='" NS_FORWARD "'>"
					"<delay xmlns='" NS_DELAY "' stamp='2026-11-23T10:00:00Z'/>", room, from, stanza_get(query, "queryid"), said->stanza_id);
			write_said(fake, &text, said, NULL);
			str_add(&text, "</forwarded></result></message>");
			fake_server_say(fake, str_get(&text));
		}
		begun = begun || strcmp(said->stanza_id, after) == 0;
	}
	say(fake, "<iq type='result' from='%s' to='%s' id='%s'><fin xmlns='" NS_MAM "' complete='true'/></iq>", room, from, stanza_get(iq, "id"));
}

static void
take_grant(struct fake_server *fake, xmpp_stanza_t *iq, xmpp_stanza_t *query)
{
	const char *jid = stanza_get(stanza_find(query, "item", NULL), "jid");
	size_t n = strlen(fake->members);

	if (fake->grant_error) {
		say_error(fake, "iq", stanza_get(iq, "to"), stanza_get(iq, "from"), stanza_get(iq, "id"), "auth", fake->grant_error);
		return;
	}
	snprintf(fake->members + n, sizeof(fake->members) - n, "%s ", jid);
	say(fake, "<iq type='result' from='%s' to='%s' id='%s'/>", stanza_get(iq, "to"), stanza_get(iq, "from"), stanza_get(iq, "id"));
}

/* XEP-0045 §9.2. */
static void
take_ban_list(struct fake_server *fake, xmpp_stanza_t *iq)
{
	if (!fake->outcasts)
		say_error(fake, "iq", stanza_get(iq, "to"), stanza_get(iq, "from"), stanza_get(iq, "id"), "auth", "forbidden");
	else
		say(fake, "<iq type='result' from='%s' to='%s' id='%s'><query xmlns='" NS_MUC_ADMIN "'>%s</query></iq>", stanza_get(iq, "to"),
				stanza_get(iq, "from"), stanza_get(iq, "id"), fake->outcasts);
}

static void
take_description(struct fake_server *fake, const char *room, const char *to, const char *id)
{
	if (fake->gone || fake->hidden) {
		say_error(fake, "iq", room, to, id, "cancel", fake->gone ? "item-not-found" : "registration-required");
		return;
	}
	say(fake, "<iq type='result' from='%s' to='%s' id='%s'><query xmlns='" NS_DISCO_INFO "'><feature var='" NS_MUC "'/>"
			"<feature var='muc_nonanonymous'/>%s%s</query></iq>", room, to, id, fake->no_archive ? "" : "<feature var='" NS_MAM "'/>",
			fake->no_ids ? "" : "<feature var='" NS_SID "'/>");
}

static void
take_iq(struct fake_server *fake, xmpp_stanza_t *iq)
{
	const char *from = stanza_get(iq, "from"), *to = stanza_get(iq, "to"), *id = stanza_get(iq, "id");
	AUTO_FREE char *room = xstrndup(to, strcspn(to, "/"));
	xmpp_stanza_t *query;

	if (stanza_find(iq, "query", NS_DISCO_INFO))
		take_description(fake, room, from, id);
	else if ((query = stanza_find(iq, "query", NS_MAM)))
		take_archive_query(fake, iq, query);
	else if (stanza_find(iq, "query", NS_MUC_ADMIN) && strcmp(stanza_get(iq, "type"), "get") == 0)
		take_ban_list(fake, iq);
	else if ((query = stanza_find(iq, "query", NS_MUC_ADMIN)))
		take_grant(fake, iq, query);
	else if (stanza_find(iq, "ping", NULL) && strchr(to, '/') && !find_jid(fake, room, from))
		say_error(fake, "iq", to, from, id, "cancel", "not-acceptable");
	else if (strcmp(stanza_get(iq, "type"), "get") == 0 || strcmp(stanza_get(iq, "type"), "set") == 0)
		say(fake, "<iq type='result' from='%s' to='%s' id='%s'/>", to, from, id);
}

/* ---- the stream ---- */

static void
on_opened(void *context, const char *id)
{
	(void)id;
	fake_server_say(context, "<?xml version='1.0'?><stream:stream xmlns='" NS_COMPONENT "' xmlns:stream='" NS_STREAMS "' id='abc'>");
}

static void
on_stanza(void *context, xmpp_stanza_t *stanza)
{
	struct fake_server *fake = context;

	assert_true(stanza_write(&fake->got, stanza, NULL));
	str_add(&fake->got, "\n");
	if (stanza_is(stanza, "handshake", NULL))
		fake_server_say(fake, "<handshake/>");
	else if (stanza_is(stanza, "presence", NULL))
		take_presence(fake, stanza);
	else if (stanza_is(stanza, "iq", NULL))
		take_iq(fake, stanza);
	else if (strcmp(stanza_get(stanza, "type"), "groupchat") == 0)
		take_groupchat(fake, stanza);
}

void
fake_server_hang_up(struct fake_server *fake)
{
	if (fake->fd < 0)
		return;
	loop_remove(fake->reading);
	close(fake->fd);
	fake->fd = -1;
	reader_free(fake->reader);
	fake->reader = NULL;
}

static void
on_readable(void *context, uint32_t events)
{
	static const struct reader_events table = { .opened = on_opened, .stanza = on_stanza };
	struct fake_server *fake = context;
	char buffer[16384];

	(void)events;
	ssize_t n = recv(fake->fd, buffer, sizeof(buffer), 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		fake_server_hang_up(fake);
		return;
	}
	if (!fake->reader)
		fake->reader = reader_new(fake->ctx, &table, fake);
	assert_int_equal(reader_feed(fake->reader, buffer, (size_t)n), 0);
}

static void
on_connection(void *context, uint32_t events)
{
	struct fake_server *fake = context;

	(void)events;
	fake_server_hang_up(fake);
	fake->fd = accept4(fake->listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(fake->fd >= 0);
	fake->connections++;
	assert_int_equal(loop_add(fake->loop, fake->fd, EPOLLIN, on_readable, fake, &fake->reading), 0);
}

void
fake_server_start(struct fake_server *fake, struct loop *loop)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);

	fake->loop = loop;
	fake->fd = -1;
	fake->ctx = stanza_context();
	str_init(&fake->got, 16 << 20);
	fake->listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fake->listening, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(fake->listening, 4), 0);
	assert_int_equal(getsockname(fake->listening, (struct sockaddr *)&address, &size), 0);
	fake->port = ntohs(address.sin_port);
	assert_int_equal(loop_add(loop, fake->listening, EPOLLIN, on_connection, fake, &fake->accepting), 0);
}

void
fake_server_fini(struct fake_server *fake)
{
	fake_server_hang_up(fake);
	loop_remove(fake->accepting);
	close(fake->listening);
	xmpp_ctx_free(fake->ctx);
	str_fini(&fake->got);
}

unsigned
fake_server_count(const struct fake_server *fake, const char *text)
{
	unsigned count = 0;

	for (const char *at = fake->got.n ? fake->got.p : ""; (at = strstr(at, text)); at += strlen(text))
		count++;
	return count;
}
