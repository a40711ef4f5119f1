/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading is a table of event types. A field that is missing or of a wrong type makes an event uninteresting, never an
 * error: it was written by a stranger's client. Only what cannot be parsed at all is poison. Texts become clean here,
 * once, so that nothing behind this file meets a control character.
 */
#include "matrix/event.h"

#include <stdlib.h>
#include <string.h>

/* Room for ids, hashes, signatures and the fields around a body (delivery.md keeps 4 KiB below the homeserver's 64). */
#define AROUND_BODY 4096

#define MXID_MAX 255

static const char *
clean_copy(struct arena *arena, const char *text)
{
	AUTO_FREE char *clean = str_clean(text, strlen(text));

	return arena_copy(arena, clean);
}

/* ---- reading ---- */

/*
 * Clients before Matrix 1.13 put the message that they answer in front of the body, as lines of "> ", the first of which
 * names its author. Only such a quotation is removed: a quotation that the author typed himself is his text.
 */
static const char *
skip_fallback(const char *body)
{
	if (!str_starts(body, "> <") && !str_starts(body, "> * <"))
		return body;
	while (body[0] == '>' && (body[1] == ' ' || body[1] == '\n')) {
		const char *end = strchr(body, '\n');
		if (!end)
			return "";
		body = end + 1;
	}
	return *body == '\n' ? body + 1 : body;
}

static const char *
find_reply(const json_t *content)
{
	const json_t *relation = json_child(content, "m.relates_to");
	const char *type = json_text(relation, "rel_type");

	/* In a thread, "falls back" means: not an answer to one message, but shown as one by clients without threads. */
	if (type && strcmp(type, "m.thread") == 0 && json_is_on(relation, "is_falling_back"))
		return json_text(relation, "event_id");
	return json_text(json_child(relation, "m.in_reply_to"), "event_id");
}

static bool
is_edit(const json_t *content)
{
	const char *type = json_text(json_child(content, "m.relates_to"), "rel_type");

	return type && strcmp(type, "m.replace") == 0;
}

/* It is written as a message, for clients that do not know it (C-S API, "Key verification framework"). */
static void
read_verification(const json_t *content, struct arena *arena, struct event *out)
{
	const char *to = json_text(content, "to");

	if (!to || to[0] != '@')
		return;
	out->subject = arena_copy(arena, to);
	out->kind = EVENT_VERIFICATION;
}

static void
read_message(const json_t *content, struct arena *arena, struct event *out)
{
	static const struct {
		const char *msgtype;
		enum message_kind kind;
	} kinds[] = {
		{ "m.text", MESSAGE_TEXT },
		{ "m.emote", MESSAGE_EMOTE },
		{ "m.notice", MESSAGE_NOTICE },
	};
	const char *msgtype = json_text(content, "msgtype");
	const char *body = json_text(content, "body");
	const char *reply_to = find_reply(content);

	if (is_edit(content))
		return;
	if (!msgtype || !body) {
		/* A redacted message has no content at all. */
		out->kind = json_object_size(content) ? EVENT_MALFORMED : EVENT_NOTHING;
		return;
	}
	if (strcmp(msgtype, "m.key.verification.request") == 0) {
		read_verification(content, arena, out);
		return;
	}
	out->message = MESSAGE_MEDIA;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(msgtype, kinds[i].msgtype) == 0)
			out->message = kinds[i].kind;
	if (json_child(json_child(content, "m.relates_to"), "m.in_reply_to"))
		body = skip_fallback(body);
	if (!*body)
		return;
	out->text = clean_copy(arena, body);
	out->reply_to = reply_to ? clean_copy(arena, reply_to) : NULL;
	out->kind = EVENT_MESSAGE;
}

static void
read_sticker(const json_t *content, struct arena *arena, struct event *out)
{
	const char *body = json_text(content, "body");

	if (!body)
		out->kind = json_object_size(content) ? EVENT_MALFORMED : EVENT_NOTHING;
	if (!body || !*body)
		return;
	out->message = MESSAGE_MEDIA;
	out->text = clean_copy(arena, body);
	out->kind = EVENT_MESSAGE;
}

static void
read_member(const json_t *content, struct arena *arena, struct event *out)
{
	const char *subject = json_text(out->json, "state_key");
	const char *membership = json_text(content, "membership");
	const char *name = json_text(content, "displayname");

	out->kind = EVENT_MALFORMED;
	if (!subject || subject[0] != '@' || !membership)
		return;
	out->subject = arena_copy(arena, subject);
	out->membership = arena_copy(arena, membership);
	out->name = arena_copy(arena, name ? name : "");
	out->kind = EVENT_MEMBER;
}

static void
read_power(const json_t *content, struct arena *arena, struct event *out)
{
	const char *state_key = json_text(out->json, "state_key");

	(void)arena;
	out->kind = state_key ? EVENT_NOTHING : EVENT_MALFORMED;
	if (!state_key || *state_key)
		return;
	out->content = content;
	out->kind = EVENT_POWER;
}

static void
read_tombstone(const json_t *content, struct arena *arena, struct event *out)
{
	const char *state_key = json_text(out->json, "state_key");
	const char *successor = json_text(content, "replacement_room");

	if (!state_key || *state_key)
		return;
	out->name = clean_copy(arena, successor ? successor : "");
	out->kind = EVENT_TOMBSTONE;
}

/* Room versions before 11 have the id outside of the content. */
static void
read_redaction(const json_t *content, struct arena *arena, struct event *out)
{
	const char *outside = json_text(out->json, "redacts"), *redacts = outside ? outside : json_text(content, "redacts");

	out->kind = redacts ? EVENT_WITHDRAWAL : EVENT_MALFORMED;
	out->subject = clean_copy(arena, redacts ? redacts : "");
}

static void
read_encrypted(const json_t *content, struct arena *arena, struct event *out)
{
	(void)content, (void)arena;
	out->kind = json_object_get(out->json, "state_key") ? EVENT_NOTHING : EVENT_CIPHER;
}

/* State is never encrypted, and what came encrypted is never state: whoever writes it needs no power to do so. */
static const struct {
	const char *type;
	void (*read)(const json_t *content, struct arena *arena, struct event *out);
	bool plain; /* not inside an encrypted one */
} readers[] = {
	{ "m.room.message", read_message, false },
	{ "m.sticker", read_sticker, false },
	{ EVENT_ENCRYPTED, read_encrypted, true },
	{ "m.room.member", read_member, true },
	{ "m.room.power_levels", read_power, true },
	{ "m.room.tombstone", read_tombstone, true },
	{ EVENT_REDACTION, read_redaction, true },
};

static void
read_mark(char mark, struct event *out)
{
	bool sealed = mark >= 'a' && mark <= EVENT_SEALED_MARK;
	char how = (char)(sealed ? mark - 'a' + 'A' : mark);

	out->sealed = sealed;
	out->archive = how >= EVENT_ARCHIVE_MARK && how < EVENT_OVERTAKEN_MARK;
	out->late = how == EVENT_LATE_MARK || how == EVENT_STRAY_MARK;
	out->stray = how == EVENT_STRAY_MARK || how == EVENT_OVERTAKEN_MARK;
}

static bool
is_marked(const char *raw, size_t size)
{
	return size > 0 && ((raw[0] >= EVENT_ARCHIVE_MARK && raw[0] <= EVENT_OVERTAKEN_MARK) || (raw[0] >= 'a' && raw[0] <= EVENT_SEALED_MARK));
}

char *
event_keep_sealed(const char *raw, const json_t *plain, struct arena *arena, size_t *size)
{
	bool marked = raw[0] >= EVENT_ARCHIVE_MARK && raw[0] <= EVENT_OVERTAKEN_MARK;
	struct str out AUTO_STR;

	str_init(&out, JSON_EVENT_MAX + 1);
	str_add_char(&out, (char)(marked ? raw[0] - 'A' + 'a' : EVENT_SEALED_MARK));
	json_add(&out, plain);
	*size = out.n;
	return arena_copy(arena, str_get(&out));
}

void
event_read(const char *raw, size_t size, struct arena *arena, struct event *out)
{
	*out = (struct event){ .kind = EVENT_NOTHING };
	if (is_marked(raw, size)) {
		read_mark(raw[0], out);
		raw++;
		size--;
	}
	out->json = json_read(raw, size, &out->reason);
	if (!out->json) {
		out->kind = EVENT_POISON;
		return;
	}
	const char *type = json_text(out->json, "type");
	const char *sender = json_text(out->json, "sender");
	const json_t *content = json_child(out->json, "content");
	if (!type || !sender || sender[0] != '@' || strlen(sender) > MXID_MAX || !content) {
		out->kind = EVENT_MALFORMED;
		return;
	}
	out->sender = clean_copy(arena, sender);
	json_whole(out->json, "origin_server_ts", &out->origin_ms);
	for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++)
		if (strcmp(type, readers[i].type) == 0 && !(out->sealed && readers[i].plain))
			readers[i].read(content, arena, out);
}

void
event_fini(struct event *event)
{
	json_decref(event->json);
	event->json = NULL;
	event->content = NULL;
}

/* ---- rendering ---- */

/* Members that cannot be made (a text that is no UTF-8) would be missing; texts that come here are clean. */
static void
put(json_t *object, const char *key, json_t *value)
{
	json_object_set_new(object, key, value);
}

static json_t *
reply_of(const char *event_id)
{
	return json_pack("{s:s}", "event_id", event_id);
}

static void
relate(json_t *content, const struct outgoing *outgoing)
{
	json_t *relation;

	if (!outgoing->reply_to && !outgoing->thread)
		return;
	relation = json_object();
	if (outgoing->thread) {
		put(relation, "rel_type", json_string("m.thread"));
		put(relation, "event_id", json_string(outgoing->thread));
		if (!outgoing->reply_to)
			put(relation, "is_falling_back", json_true());
	}
	put(relation, "m.in_reply_to", reply_of(outgoing->reply_to ? outgoing->reply_to : outgoing->thread));
	put(content, "m.relates_to", relation);
}

static const char *
msgtype_of(const struct outgoing *outgoing)
{
	if (outgoing->kind != OUTGOING_MESSAGE)
		return "m.notice";
	return outgoing->message == MESSAGE_EMOTE ? "m.emote" : outgoing->message == MESSAGE_NOTICE ? "m.notice" : "m.text";
}

static json_t *
message_content(const struct outgoing *outgoing)
{
	json_t *content = json_object();

	put(content, "msgtype", json_string(msgtype_of(outgoing)));
	put(content, "body", json_string(outgoing->text));
	if (outgoing->html) {
		put(content, "format", json_string("org.matrix.custom.html"));
		put(content, "formatted_body", json_string(outgoing->html));
	}
	relate(content, outgoing);
	return content;
}

static json_t *
mark_content(const struct outgoing *outgoing)
{
	return json_pack("{s:{s:s, s:s, s:s}}", "m.relates_to", "rel_type", "m.annotation", "event_id",
		outgoing->reply_to ? outgoing->reply_to : "", "key", outgoing->text);
}

static json_t *
unmark_content(const struct outgoing *outgoing)
{
	(void)outgoing;
	return json_object();
}

static json_t *
decline_content(const struct outgoing *outgoing)
{
	return json_pack("{s:{s:s, s:s}, s:s, s:s}", "m.relates_to", "rel_type", "m.reference", "event_id",
		outgoing->reply_to ? outgoing->reply_to : "", "code", "m.user", "reason", outgoing->text);
}

void
event_render(const struct outgoing *outgoing, const char *user, struct str *out)
{
	static const struct {
		const char *type;
		json_t *(*content)(const struct outgoing *outgoing);
	} forms[] = {
		[OUTGOING_MESSAGE] = { "m.room.message", message_content },
		[OUTGOING_ROOM] = { "m.room.message", message_content },
		[OUTGOING_PRIVATE] = { "m.room.message", message_content },
		[OUTGOING_MARK] = { "m.reaction", mark_content },
		[OUTGOING_UNMARK] = { EVENT_REDACTION, unmark_content },
		[OUTGOING_DECLINE] = { EVENT_DECLINE, decline_content },
	};
	json_t *content = forms[outgoing->kind].content(outgoing);
	json_t *whole = json_object();

	put(content, "org.sourdine.id", json_string(outgoing->name));
	put(whole, "type", json_string(forms[outgoing->kind].type));
	if (outgoing->kind == OUTGOING_UNMARK)
		put(whole, "redacts", json_string(outgoing->reply_to));
	put(whole, "content", content);
	put(whole, "user", json_string(user));
	json_add(out, whole);
	json_decref(whole);
}

void
event_render_encrypted(const char *content, const char *user, struct str *out)
{
	json_t *name = json_pack("{s:s, s:s}", "type", EVENT_ENCRYPTED, "user", user);
	struct str end AUTO_STR;

	/* The keys are in their order: nothing sorts before "content". */
	str_init(&end, 4096);
	json_add(&end, name);
	json_decref(name);
	str_add(out, "{\"content\":");
	str_add(out, content);
	str_addf(out, ",%s", str_get(&end) + 1);
}

/* What we have written ourselves needs no parser. */
bool
event_unpack(const char *payload, size_t size, struct event_parts *out)
{
	struct span type = json_find_text(payload, size, "type"), content = json_find_raw(payload, size, "content");
	struct span user = json_find_text(payload, size, "user"), redacts = json_find_text(payload, size, "redacts");

	*out = (struct event_parts){ 0 };
	if (!type.n || !user.n || content.n < 2 || content.p[0] != '{' || user.p + user.n + 2 != payload + size || payload[size - 1] != '}')
		return false;
	out->type = xstrndup(type.p, type.n);
	out->content = xstrndup(content.p, content.n);
	out->redacts = redacts.p ? xstrndup(redacts.p, redacts.n) : NULL;
	return true;
}

void
event_parts_fini(struct event_parts *parts)
{
	if (parts->content)
		mem_free_secret(parts->content, strlen(parts->content));
	free(parts->type);
	free(parts->redacts);
	*parts = (struct event_parts){ 0 };
}

/* Bytes that one character costs in canonical JSON, and how many it has. */
static size_t
cost_of(const char *p, const char *end, size_t *length)
{
	unsigned char c = (unsigned char)*p;

	*length = c < 0x80 ? 1 : c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
	if (*length > (size_t)(end - p))
		*length = (size_t)(end - p);
	if (c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t')
		return 2;
	return c < 0x20 ? 6 : *length;
}

size_t
event_fits(const char *text, size_t n)
{
	const char *p = text, *end = text + n;
	size_t cost = 0, length;

	while (p < end) {
		cost += cost_of(p, end, &length);
		if (cost > EVENT_OUT_MAX - AROUND_BODY)
			break;
		p += length;
	}
	return (size_t)(p - text);
}
