/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's side of a component connection (XEP-0114) with its MUC service, at next to no cost: every room exists, has an
 * archive that is empty, and reflects what an occupant says to each occupant, as a server must. Stanzas are found by their
 * tags, not parsed: a component that escapes what it writes has no "</message>" in a text. Natives (nN@localhost, nick
 * Native N) are in every room and say what they are told to.
 *
 *   fake_component PORT NATIVES
 *
 * Commands, each a line on standard input:
 *
 *   push COUNT ROOMS         COUNT messages by natives, in rooms r0@rooms.localhost and on; prints `pushed COUNT BEGUN ENDED`
 *   pace COUNT RATE ROOMS    RATE a second
 *   expect COUNT             prints `got ...` (wire.h) when occupants said so many; `report` prints it at once
 *   copies                   prints `copies N BYTES`: groupchat copies sent so far
 *   sample FILE              writes the last stanza of an occupant, a newline, and the copy that was reflected last
 */
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HIGH_WATER (1 << 20)

struct occupant {
	char *jid, *nick; /* escaped as they came */
};

struct room {
	char *name; /* bare JID */
	struct occupant *occupants;
	size_t count, space;
};

static struct room *rooms;
static size_t rooms_count;
static unsigned native_count;
static struct peer *component; /* or NULL */
static unsigned long stanza_number, copies, copy_bytes;
static struct buffer last_said, last_copy;

/* ---- tags ---- */

struct span {
	const char *p;
	size_t n;
};

/* An attribute of a start tag, as escaped as it stands there. */
static struct span
attribute(struct span tag, const char *key)
{
	size_t n = strlen(key);

	for (size_t i = 1; i + n + 2 < tag.n; i++)
		if (tag.p[i - 1] == ' ' && memcmp(tag.p + i, key, n) == 0 && tag.p[i + n] == '=') {
			const char *start = tag.p + i + n + 2, *end = memchr(start, start[-1], tag.n - i - n - 2);
			return end ? (struct span){ start, (size_t)(end - start) } : (struct span){ "", 0 };
		}
	return (struct span){ "", 0 };
}

static bool
is(struct span span, const char *text)
{
	return span.n == strlen(text) && memcmp(span.p, text, span.n) == 0;
}

static bool
holds(struct span span, const char *text)
{
	return memmem(span.p, span.n, text, strlen(text)) != NULL;
}

static size_t
bare_length(struct span jid)
{
	const char *slash = memchr(jid.p, '/', jid.n);

	return slash ? (size_t)(slash - jid.p) : jid.n;
}

#define SPAN(s) (int)(s).n, (s).p

/* ---- rooms ---- */

static struct room *
get_room(struct span name)
{
	for (size_t i = 0; i < rooms_count; i++)
		if (is(name, rooms[i].name))
			return &rooms[i];
	rooms = realloc(rooms, (rooms_count + 1) * sizeof(*rooms));
	rooms[rooms_count] = (struct room){ .name = strndup(name.p, name.n) };
	return &rooms[rooms_count++];
}

static struct occupant *
find_occupant(struct room *room, struct span jid)
{
	for (size_t i = 0; i < room->count; i++)
		if (is(jid, room->occupants[i].jid))
			return &room->occupants[i];
	return NULL;
}

static void
send_presence(const char *room, const char *nick, const char *real, const char *to, bool self)
{
	buffer_addf(&component->out, "<presence from='%s/%s' to='%s'><x xmlns='http://jabber.org/protocol/muc#user'>"
			"<item affiliation='none' role='participant' jid='%s'/>%s</x></presence>", room, nick, to, real,
			self ? "<status code='110'/>" : "");
}

static void
send_others(struct room *room, const struct occupant *to)
{
	char nick[32], jid[48];

	for (unsigned i = 0; i < native_count; i++) {
		snprintf(nick, sizeof(nick), "Native %u", i);
		snprintf(jid, sizeof(jid), "n%u@localhost/x", i);
		send_presence(room->name, nick, jid, to->jid, false);
	}
	for (size_t i = 0; i < room->count; i++)
		if (&room->occupants[i] != to)
			send_presence(room->name, room->occupants[i].nick, room->occupants[i].jid, to->jid, false);
}

static void
join(struct span from, struct span to)
{
	size_t n = bare_length(to);
	struct room *room = get_room((struct span){ to.p, n });
	struct occupant *known = find_occupant(room, from);

	if (!known) {
		if (room->count == room->space) {
			room->space = room->space ? 2 * room->space : 8;
			room->occupants = realloc(room->occupants, room->space * sizeof(*room->occupants));
		}
		known = &room->occupants[room->count++];
		*known = (struct occupant){ strndup(from.p, from.n), strndup(to.p + n + 1, to.n - n - 1) };
	}
	send_others(room, known);
	for (size_t i = 0; i < room->count; i++)
		send_presence(room->name, known->nick, known->jid, room->occupants[i].jid, &room->occupants[i] == known);
	buffer_addf(&component->out, "<message type='groupchat' from='%s' to='%s'><subject/></message>", room->name, known->jid);
}

/* A copy for every occupant, the listener's last: a server owes nobody an order. */
static void
reflect(struct room *room, const char *nick, const char *id, size_t id_size, const char *content, size_t size)
{
	unsigned long stamp = ++stanza_number;

	for (size_t i = room->count; i-- > 0;) {
		size_t before = component->out.n - component->out.done;
		buffer_addf(&component->out, "<message type='groupchat' id='%.*s' from='%s/%s' to='%s'>", (int)id_size, id, room->name, nick,
				room->occupants[i].jid);
		buffer_add(&component->out, content, size);
		buffer_addf(&component->out, "<stanza-id xmlns='urn:xmpp:sid:0' by='%s' id='s%lu'/></message>", room->name, stamp);
		copies++;
		copy_bytes += buffer_left(&component->out) - before;
		if (i == 0) {
			last_copy.n = last_copy.done = 0;
			buffer_add(&last_copy, component->out.p + component->out.done + before, buffer_left(&component->out) - before);
		}
	}
	wire_dirty(component);
}

/* ---- what the component says ---- */

static void
hear_message(struct span tag, struct span whole)
{
	struct span from = attribute(tag, "from"), to = attribute(tag, "to"), id = attribute(tag, "id");
	struct room *room = get_room((struct span){ to.p, bare_length(to) });
	const struct occupant *occupant = find_occupant(room, from);
	const char *said = memmem(whole.p, whole.n, "<body>fake ", 11), *content = whole.p + tag.n;
	unsigned number = room->name[0] == 'r' ? (unsigned)strtoul(room->name + 1, NULL, 10) : 0;

	last_said.n = last_said.done = 0;
	buffer_add(&last_said, whole.p, whole.n);
	if (!occupant) {
		buffer_addf(&component->out, "<message type='error' from='%s' to='%.*s' id='%.*s'><error type='modify'>"
				"<not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>", room->name, SPAN(from), SPAN(id));
		wire_dirty(component);
		return;
	}
	reflect(room, occupant->nick, id.p, id.n, content, whole.n - tag.n - strlen("</message>"));
	if (said)
		count_arrived(number, said + 6);
}

static void
hear_iq(struct span tag, struct span whole)
{
	static const char info[] = "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='conference' type='text'/>"
		"<feature var='http://jabber.org/protocol/muc'/><feature var='http://jabber.org/protocol/muc#stable_id'/>"
		"<feature var='urn:xmpp:mam:2'/><feature var='urn:xmpp:sid:0'/><feature var='muc_nonanonymous'/></query>";
	static const char fin[] = "<fin xmlns='urn:xmpp:mam:2' complete='true'><set xmlns='http://jabber.org/protocol/rsm'><count>0</count></set></fin>";
	struct span from = attribute(tag, "from"), to = attribute(tag, "to"), id = attribute(tag, "id");

	/* What a component asks its own domain comes back to it, and so does its answer. */
	if (!holds(to, "@rooms.") && !is(to, "rooms.localhost")) {
		buffer_add(&component->out, whole.p, whole.n);
		return;
	}
	if (is(attribute(tag, "type"), "result") || is(attribute(tag, "type"), "error"))
		return;
	buffer_addf(&component->out, "<iq type='result' id='%.*s' from='%.*s' to='%.*s'>%s</iq>", SPAN(id), SPAN(to), SPAN(from),
			holds(whole, "disco#info") ? info : holds(whole, "urn:xmpp:mam:2") ? fin : "");
}

static void
hear_stanza(struct span tag, struct span whole)
{
	if (strncmp(tag.p, "<message", 8) == 0)
		hear_message(tag, whole);
	else if (strncmp(tag.p, "<iq", 3) == 0)
		hear_iq(tag, whole);
	else if (strncmp(tag.p, "<presence", 9) == 0 && !attribute(tag, "type").n)
		join(attribute(tag, "from"), attribute(tag, "to"));
	wire_dirty(component);
}

/* The next whole stanza; false when it has not come yet. */
static bool
next_stanza(struct peer *peer, struct span *tag, struct span *whole)
{
	const char *start = peer->in.p + peer->in.done, *close = strchr(start, '>');
	char end[32];

	if (!close)
		return false;
	*tag = *whole = (struct span){ start, (size_t)(close - start) + 1 };
	if (close[-1] == '/' || start[1] == '?' || strncmp(start, "<stream:stream", 14) == 0 || start[1] == '/')
		return true;
	size_t n = strcspn(start + 1, " />");
	snprintf(end, sizeof(end), "</%.*s>", n < 24 ? (int)n : 24, start + 1);
	const char *last = strstr(close, end);
	if (!last)
		return false;
	whole->n = (size_t)(last - start) + strlen(end);
	return true;
}

static void
on_stream(struct peer *peer)
{
	struct span tag, whole;

	while (buffer_left(&peer->in) > 0 && buffer_left(&peer->out) < HIGH_WATER && next_stanza(peer, &tag, &whole)) {
		peer->in.done += whole.n;
		if (strncmp(tag.p, "<stream:stream", 14) == 0)
			buffer_addf(&peer->out, "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' "
					"xmlns:stream='http://etherx.jabber.org/streams' id='fake' from='%.*s'>", SPAN(attribute(tag, "to")));
		else if (strncmp(tag.p, "<handshake", 10) == 0)
			buffer_addf(&peer->out, "<handshake/>");
		else if (tag.p[1] == '/')
			wire_close(peer);
		else if (tag.p[1] != '?')
			hear_stanza(tag, whole);
		wire_dirty(peer);
	}
}

/* ---- natives ---- */

static struct {
	long wanted, said, numbers[ROOMS_MAX];
	unsigned room_count;
	double rate;
	int64_t begun_ns;
} push;

static void
say_one(void)
{
	unsigned room = (unsigned)((unsigned long)push.said % push.room_count);
	char name[64], nick[32], id[32], body[256], content[384];

	snprintf(name, sizeof(name), "r%u@rooms.localhost", room);
	snprintf(nick, sizeof(nick), "Native %lu", (unsigned long)push.said / push.room_count % native_count);
	snprintf(id, sizeof(id), "n%ld", push.said);
	body_write(body, sizeof(body), push.numbers[room]++);
	int n = snprintf(content, sizeof(content), "<body>%s</body><origin-id xmlns='urn:xmpp:sid:0' id='%s'/>", body, id);
	reflect(get_room((struct span){ name, strlen(name) }), nick, id, strlen(id), content, (size_t)n);
	push.said++;
}

static void
push_more(void)
{
	if (!component || !push.wanted)
		return;
	while (push.said < push.wanted && buffer_left(&component->out) < HIGH_WATER) {
		if (push.rate > 0 && (double)push.said > (double)(wire_now_ns() - push.begun_ns) / 1e9 * push.rate)
			return;
		say_one();
	}
	if (push.said < push.wanted)
		return;
	printf("pushed %ld %.6f %.6f\n", push.wanted, (double)push.begun_ns / 1e9, (double)wire_now_ns() / 1e9);
	fflush(stdout);
	push.wanted = 0;
}

static void
begin_push(long count, double rate, unsigned room_count)
{
	memset(&push, 0, sizeof(push));
	push.wanted = count;
	push.rate = rate;
	push.room_count = room_count;
	push.begun_ns = wire_now_ns();
	push_more();
}

/* Room to write again: stanzas that were left unread, then natives. */
static void
on_drained(struct peer *peer)
{
	on_stream(peer);
	if (!peer->closed)
		push_more();
}

static void
on_gone(struct peer *peer)
{
	if (component == peer)
		component = NULL;
}

/* The newer connection wins. Everybody is out of the rooms. */
static void
on_accepted(struct peer *peer)
{
	if (component)
		wire_close(component);
	for (size_t i = 0; i < rooms_count; i++) {
		while (rooms[i].count > 0) {
			free(rooms[i].occupants[--rooms[i].count].jid);
			free(rooms[i].occupants[rooms[i].count].nick);
		}
	}
	component = peer;
	peer->heard = on_stream;
	peer->drained = on_drained;
	peer->gone = on_gone;
}

/* ---- commands ---- */

static void
write_sample(const char *path)
{
	FILE *file = fopen(path, "w");

	if (!file || fprintf(file, "%s\n%s\n", last_said.p ? last_said.p : "", last_copy.p ? last_copy.p : "") < 0 || fclose(file) != 0)
		wire_die("sample", path);
	printf("sampled %zu %zu\n", last_said.n, last_copy.n);
	fflush(stdout);
}

static void
on_command(char *line)
{
	char *words[4] = { 0 }, *rest = NULL;

	for (int i = 0; i < 4; i++)
		words[i] = strtok_r(i ? NULL : line, " ", &rest);
	if (words[2] && strcmp(words[0], "push") == 0)
		begin_push(strtol(words[1], NULL, 10), 0, (unsigned)strtoul(words[2], NULL, 10));
	else if (words[3] && strcmp(words[0], "pace") == 0)
		begin_push(strtol(words[1], NULL, 10), strtod(words[2], NULL), (unsigned)strtoul(words[3], NULL, 10));
	else if (words[1] && strcmp(words[0], "expect") == 0)
		count_expect(strtol(words[1], NULL, 10));
	else if (words[1] && strcmp(words[0], "sample") == 0)
		write_sample(words[1]);
	else if (words[0] && strcmp(words[0], "report") == 0)
		count_report("report");
	else if (words[0] && strcmp(words[0], "copies") == 0)
		printf("copies %lu %lu\n", copies, copy_bytes);
	else
		wire_die("no such command", words[0] ? words[0] : "");
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: see the top of fake_component.c\n");
		return 2;
	}
	native_count = (unsigned)strtoul(argv[2], NULL, 10);
	if (!native_count)
		wire_die("natives", "none");
	wire_listen((uint16_t)strtoul(argv[1], NULL, 10), on_accepted);
	wire_tick(push_more, 1);
	wire_run(on_command);
	return 0;
}
