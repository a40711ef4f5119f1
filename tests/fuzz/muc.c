/* SPDX-License-Identifier: Apache-2.0 */
/* stream_*() are replaced by the linker; what would be written is queued here and answered at the next muc_serve(). */
#include "muc.h"

#include "core/arena.h"
#include "xmpp/inside.h"
#include "xmpp/jabber.h"
#include "xmpp/jid.h"
#include "xmpp/stream.h"

#include <string.h>

#define HEAD "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='1'>"

struct muc {
	struct bridge *bridge;
	struct port *port;
	xmpp_ctx_t *ctx;
	struct reader *reader;
	const struct stream_events *events;
	void *context;
	struct str out;      /* sent, not yet answered */
	uint64_t handed;
	bool up, feeding;
	const char *silent;  /* namespace of requests that are not answered */
	char asked[32];      /* the id of the last of them */
	bool waiting;
	unsigned accepted, reflected;
};

static struct muc muc;

/* ---- what is replaced by the linker ---- */

void __wrap_stream_open(struct stream **out, struct loop *loop, xmpp_ctx_t *ctx, const struct stream_settings *settings,
		const struct stream_events *events, void *context);
void __wrap_stream_start(struct stream *stream);
void __wrap_stream_close(struct stream *stream);
bool __wrap_stream_is_up(const struct stream *stream);
void __wrap_stream_send(struct stream *stream, const char *text, size_t n);
void __wrap_stream_flush(struct stream *stream);
size_t __wrap_stream_backlog(const struct stream *stream);
uint64_t __wrap_stream_handed(const struct stream *stream);
const char *__wrap_stream_refusal(const struct stream *stream);
const char *__wrap_stream_trouble(const struct stream *stream);
int __real_inbox_accept(struct inbox *inbox, enum network network, const char *room, const char *source_id, const void *raw, size_t size);
int __wrap_inbox_accept(struct inbox *inbox, enum network network, const char *room, const char *source_id, const void *raw, size_t size);

void
__wrap_stream_open(struct stream **out, struct loop *loop, xmpp_ctx_t *ctx, const struct stream_settings *settings,
		const struct stream_events *events, void *context)
{
	(void)loop, (void)ctx, (void)settings;
	muc.events = events;
	muc.context = context;
	*out = (struct stream *)(void *)&muc;
}

void
__wrap_stream_start(struct stream *stream)
{
	(void)stream;
	muc.up = true;
	muc.events->up(muc.context);
}

void
__wrap_stream_close(struct stream *stream)
{
	(void)stream;
	muc.up = false;
}

bool
__wrap_stream_is_up(const struct stream *stream)
{
	return stream && muc.up;
}

/* Nothing that the port says may harm: it is one stanza, ours, small enough, and no error unless asked for. */
static void
check_sent(xmpp_stanza_t *stanza, const char *text, size_t n)
{
	REQUIRE(stanza && n <= STANZA_OUT_MAX && str_is_clean(text, n));
	REQUIRE(jid_in_domain(stanza_get(stanza, "from"), BRIDGE_COMPONENT) && *stanza_get(stanza, "to"));
	REQUIRE(stanza_is(stanza, "iq", NULL) || strcmp(stanza_get(stanza, "type"), "error") != 0);
}

void
__wrap_stream_send(struct stream *stream, const char *text, size_t n)
{
	if (!stream || !muc.up)
		return;
	xmpp_stanza_t *stanza = reader_parse(muc.ctx, text, n);
	check_sent(stanza, text, n);
	stanza_free(stanza);
	if (muc.out.n)
		str_add_char(&muc.out, BRIDGE_CUT);
	str_add_n(&muc.out, text, n);
	muc.handed += n;
}

void
__wrap_stream_flush(struct stream *stream)
{
	(void)stream;
}

size_t
__wrap_stream_backlog(const struct stream *stream)
{
	(void)stream;
	return 0;
}

uint64_t
__wrap_stream_handed(const struct stream *stream)
{
	(void)stream;
	return muc.handed;
}

const char *
__wrap_stream_refusal(const struct stream *stream)
{
	(void)stream;
	return NULL;
}

const char *
__wrap_stream_trouble(const struct stream *stream)
{
	(void)stream;
	return "";
}

int
__wrap_inbox_accept(struct inbox *inbox, enum network network, const char *room, const char *source_id, const void *raw, size_t size)
{
	if (network == NETWORK_XMPP) {
		struct arena arena;
		struct incoming in;
		arena_init(&arena);
		muc.port->ops->read(muc.port, room, raw, size, &arena, &in);
		REQUIRE(in.kind != INCOMING_POISON && *room && *source_id);
		if (in.kind == INCOMING_MESSAGE) {
			REQUIRE(*in.text && str_is_clean(in.text, strlen(in.text)) && in.author.person && in.reply_address);
			REQUIRE(strncmp(in.author.person, "xmpp:", 5) == 0);
			REQUIRE(strchr(in.author.person, '/') || !jid_in_domain(in.author.person + 5, BRIDGE_COMPONENT));
		}
		arena_fini(&arena);
		muc.accepted++;
	}
	return __real_inbox_accept(inbox, network, room, source_id, raw, size);
}

/* ---- the service ---- */

static void
hear(const char *text)
{
	xmpp_stanza_t *stanza = reader_parse(muc.ctx, text, strlen(text));

	REQUIRE(stanza);
	muc.events->stanza(muc.context, stanza);
	stanza_free(stanza);
}

static const char *
payload_of(xmpp_stanza_t *iq)
{
	for (xmpp_stanza_t *child = xmpp_stanza_get_children(iq); child; child = xmpp_stanza_get_next(child))
		if (xmpp_stanza_get_ns(child))
			return xmpp_stanza_get_ns(child);
	return "";
}

static void
answer_iq(xmpp_stanza_t *iq)
{
	const char *ns = payload_of(iq), *id = stanza_get(iq, "id"), *body = "";

	if (strcmp(stanza_get(iq, "type"), "get") != 0 && strcmp(stanza_get(iq, "type"), "set") != 0)
		return;
	if (muc.silent && strcmp(ns, muc.silent) == 0) {
		snprintf(muc.asked, sizeof(muc.asked), "%s", id);
		muc.waiting = true;
		return;
	}
	if (strcmp(ns, NS_DISCO_INFO) == 0)
		body = "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='conference' type='text'/>"
			"<feature var='urn:xmpp:mam:2'/><feature var='urn:xmpp:sid:0'/><feature var='urn:xmpp:occupant-id:0'/>"
			"<feature var='muc_nonanonymous'/></query>";
	else if (strcmp(ns, NS_MAM) == 0)
		body = "<fin xmlns='urn:xmpp:mam:2' complete='true'><set xmlns='http://jabber.org/protocol/rsm'/></fin>";
	AUTO_FREE char *text = xasprintf("<iq type='result' id='%s' from='%s' to='%s'>%s</iq>", id, stanza_get(iq, "to"),
			stanza_get(iq, "from"), body);
	hear(text);
}

static void
answer_presence(xmpp_stanza_t *presence)
{
	const char *to = stanza_get(presence, "to"), *from = stanza_get(presence, "from");
	bool leaves = strcmp(stanza_get(presence, "type"), "unavailable") == 0;

	if (!*jid_resource(to) || (!leaves && *stanza_get(presence, "type")))
		return;
	struct str text AUTO_STR;
	xmpp_stanza_t *answer = stanza_make(muc.ctx, "presence", leaves ? "unavailable" : NULL, stanza_get(presence, "id"), to, from);
	xmpp_stanza_t *x = stanza_add(answer, "x", NS_MUC_USER), *item = stanza_add(x, "item", NULL);
	stanza_set(item, "affiliation", "none");
	stanza_set(item, "role", leaves ? "none" : "participant");
	stanza_set(item, "jid", from);
	stanza_set(stanza_add(x, "status", NULL), "code", "110");
	str_init(&text, 1 << 20);
	REQUIRE(stanza_write(&text, answer, NULL));
	stanza_free(answer);
	hear(str_get(&text));
	/* Everybody's presence goes to the listener too. */
	if (!strstr(from, "bot@")) {
		AUTO_FREE char *seen = xasprintf("<presence from='%s' to='bot@" BRIDGE_COMPONENT "/sourdine'%s><x xmlns='" NS_MUC_USER "'>"
				"<item affiliation='none' role='%s' jid='%s'/></x></presence>", to, leaves ? " type='unavailable'" : "",
				leaves ? "none" : "participant", from);
		hear(seen);
		return;
	}
	AUTO_FREE char *bare = jid_bare(to);
	AUTO_FREE char *bob = xasprintf("<presence from='%s/Bob' to='%s'><x xmlns='http://jabber.org/protocol/muc#user'>"
			"<item affiliation='owner' role='moderator' jid='bob@x/phone'/></x></presence>", bare, from);
	AUTO_FREE char *subject = xasprintf("<message type='groupchat' from='%s' to='%s'><subject/></message>", bare, from);
	hear(bob);
	hear(subject);
}

/* To its author and, as one copy among those that matter, to the listener. */
static void
reflect(xmpp_stanza_t *message)
{
	struct room *room = ((struct jabber *)(void *)muc.port)->rooms.next == &((struct jabber *)(void *)muc.port)->rooms ? NULL :
		LIST_ENTRY(((struct jabber *)(void *)muc.port)->rooms.next, struct room, link);
	struct member *member;
	const char *nick = NULL;

	if (!room || strcmp(stanza_get(message, "type"), "groupchat") != 0)
		return;
	LIST_FOR_EACH(member, &room->members, struct member, link)
		if (strcmp(member->jid, stanza_get(message, "from")) == 0)
			nick = member->nick;
	if (strcmp(room->listener->jid, stanza_get(message, "from")) == 0)
		nick = room->listener->nick;
	if (!nick)
		return;
	struct str text AUTO_STR;
	char id[32];
	AUTO_FREE char *as = xasprintf("%s/%s", room->jid, nick);
	xmpp_stanza_t *copy = xmpp_stanza_copy(message);
	stanza_set(copy, "from", as);
	stanza_set(copy, "to", room->listener->jid);
	snprintf(id, sizeof(id), "own%u", ++muc.reflected);
	xmpp_stanza_t *sid = stanza_add(copy, "stanza-id", NS_SID);
	stanza_set(sid, "by", room->jid);
	stanza_set(sid, "id", id);
	str_init(&text, 1 << 20);
	REQUIRE(stanza_write(&text, copy, NULL));
	stanza_free(copy);
	hear(str_get(&text));
}

static void
answer(const char *text, size_t n)
{
	xmpp_stanza_t *stanza = reader_parse(muc.ctx, text, n);

	if (stanza_is(stanza, "iq", NULL))
		answer_iq(stanza);
	else if (stanza_is(stanza, "presence", NULL))
		answer_presence(stanza);
	else
		reflect(stanza);
	stanza_free(stanza);
}

void
muc_serve(struct muc *served, int turns, int64_t ms)
{
	while (turns-- > 0) {
		bridge_turn(served->bridge, ms);
		size_t size = served->out.n, n;
		AUTO_FREE char *text = str_take(&served->out);
		const uint8_t *at = (const uint8_t *)text;
		char *part;
		while (bridge_part(&at, &size, &part, &n)) {
			answer(part, n);
			free(part);
		}
	}
}

/* ---- hostile bytes ---- */

static bool
on_wanted(void *context, const struct stream_tag *tag)
{
	(void)context;
	return muc.events->wanted(muc.context, tag);
}

static void
on_stanza(void *context, xmpp_stanza_t *stanza)
{
	(void)context;
	muc.events->stanza(muc.context, stanza);
}

static const struct reader_events reader_table = { .wanted = on_wanted, .stanza = on_stanza };

static void
connect_again(void)
{
	reader_free(muc.reader);
	muc.reader = reader_new(muc.ctx, &reader_table, NULL);
	REQUIRE(reader_feed(muc.reader, HEAD, strlen(HEAD)) == 0);
}

static const char *
query_id(void)
{
	struct room *room;

	LIST_FOR_EACH(room, &((struct jabber *)(void *)muc.port)->rooms, struct room, link)
		if (room->archive.query_id[0])
			return room->archive.query_id;
	return "";
}

void
muc_feed(struct muc *fed, const char *text, size_t n)
{
	struct str all AUTO_STR;

	str_init(&all, (size_t)4 << 20);
	for (size_t i = 0; i < n; i++) {
		if (n - i >= 4 && memcmp(text + i, "@ID@", 4) == 0) {
			str_add(&all, fed->asked);
			i += 3;
		} else if (n - i >= 3 && memcmp(text + i, "@Q@", 3) == 0) {
			str_add(&all, query_id());
			i += 2;
		} else {
			str_add_char(&all, text[i]);
		}
	}
	fed->waiting = false;
	if (reader_feed(fed->reader, str_get(&all), all.n) == 0)
		return;
	REQUIRE(*reader_fault(fed->reader));
	fed->up = false;
	str_clear(&fed->out);
	fed->events->down(fed->context, true);
	connect_again();
	fed->up = true;
	fed->events->up(fed->context);
}

void
muc_hear(struct muc *fed, const char *text)
{
	(void)fed;
	hear(text);
}

void
muc_keep_waiting(struct muc *told, const char *ns)
{
	told->silent = ns;
}

bool
muc_is_waiting(const struct muc *asked)
{
	return asked->waiting;
}

static bool
has_ghost(struct room *room)
{
	struct member *member;

	LIST_FOR_EACH(member, &room->members, struct member, link)
		if (member->state == GHOST_JOINED)
			return true;
	return false;
}

bool
muc_has_ghost(const struct muc *asked)
{
	struct room *room;

	LIST_FOR_EACH(room, &((struct jabber *)(void *)asked->port)->rooms, struct room, link)
		if (has_ghost(room))
			return true;
	return false;
}

bool
muc_is_shut(const struct muc *asked)
{
	struct room *room;

	LIST_FOR_EACH(room, &((struct jabber *)(void *)asked->port)->rooms, struct room, link)
		if (room->phase == ROOM_SHUT || room->phase == ROOM_OUT)
			return true;
	return false;
}

unsigned
muc_accepted(const struct muc *asked)
{
	return asked->accepted;
}

static int
is_operator(void *context, const char *person)
{
	(void)context;
	return strcmp(person, "xmpp:admin@x") == 0;
}

struct muc *
muc_open(struct bridge *bridge)
{
	static const struct jabber_settings settings = {
		.host = "127.0.0.1", .port = 9, .component = BRIDGE_COMPONENT, .secret = "s", .nick = "Sourdine", .matrix_domain = "hs",
		.ghosts = 20, .idle_ms = 24 * 3600 * 1000, .is_operator = is_operator,
	};
	struct jabber_parts parts = { bridge->loop, bridge->store, bridge->seal, &bridge->core->groups, bridge->core->inbox,
		bridge->core->outbox, bridge->core->people, bridge->core->plumb };

	muc = (struct muc){ .bridge = bridge, .ctx = stanza_context() };
	str_init(&muc.out, (size_t)16 << 20);
	jabber_open(&muc.port, &settings, &parts);
	bridge->core->port[NETWORK_XMPP] = muc.port;
	connect_again();
	REQUIRE(muc.port->ops->start(muc.port) == 0);
	return &muc;
}

void
muc_end(struct muc *ended)
{
	bridge_turn(ended->bridge, 1);
	ended->bridge->core->port[NETWORK_XMPP] = NULL;
	jabber_close(ended->port);
	reader_free(ended->reader);
	xmpp_ctx_free(ended->ctx);
	str_fini(&ended->out);
}
