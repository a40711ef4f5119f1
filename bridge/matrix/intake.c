/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the homeserver brings: which events of a transaction are kept (nothing is judged yet, only split and named), and later
 * what one of them means, with what is known of its room and its author.
 */
#include "matrix/intake.h"

#include "base/log.h"
#include "base/metric.h"
#include "base/now.h"
#include "base/text.h"
#include "matrix/cipher.h"
#include "matrix/crypto/crypto.h"
#include "matrix/crypto/decipher.h"
#include "matrix/event.h"
#include "matrix/expelled.h"
#include "matrix/ghost.h"
#include "matrix/room.h"

#include <stdlib.h>
#include <string.h>

#define LIVE_MS (15 * 60 * 1000) /* what is older is bridged, never obeyed */
#define VERIFICATION_MS (10 * 60 * 1000) /* so long a client waits for an answer (C-S API, "Key verification framework") */

/* ---- transactions ---- */

struct intake {
	struct matrix *matrix;
	bool kept, failed;
};

static bool
is_invitation(struct matrix *matrix, const struct json_event *event, char *by, size_t size)
{
	const char *why;

	if (event->type.n != strlen("m.room.member") || memcmp(event->type.p, "m.room.member", event->type.n) != 0)
		return false;
	json_t *json = json_read(event->raw.p, event->raw.n, &why);
	bool is = str_equal(json_text(json, "state_key"), matrix->bot) &&
		str_equal(json_text(json_child(json, "content"), "membership"), "invite");
	json_decref(json);
	return is && matrix_take_id(event->sender, by, size);
}

static bool
concerns_us(struct matrix *matrix, const char *room)
{
	char person[PEOPLE_ADDRESS_MAX];

	return groups_of_room(matrix->parts.groups, room) || people_direct_of(matrix->parts.people, room, person, sizeof(person));
}

static int
accept_marked(struct inbox *inbox, const char *room, const char *id, struct span raw, char mark)
{
	AUTO_FREE char *marked = xmalloc(raw.n + 1);

	marked[0] = mark;
	memcpy(marked + 1, raw.p, raw.n);
	return inbox_accept(inbox, NETWORK_MATRIX, room, id, marked, raw.n + 1);
}

void
intake_expect(struct matrix *matrix, const char *room, struct span type, const char *raw, size_t size)
{
	if (matrix->crypto && type.n == strlen(EVENT_ENCRYPTED) && memcmp(type.p, EVENT_ENCRYPTED, type.n) == 0)
		decipher_expect(matrix->crypto, room, raw, size);
}

static void
keep(struct intake *intake, const char *room, const struct json_event *event)
{
	struct inbox *inbox = intake->matrix->parts.inbox;
	char id[256];
	bool named = matrix_take_id(event->event_id, id, sizeof(id));

	if (!named)
		seal_sha256_hex(event->raw.p, event->raw.n, id);
	bool overtaken = room_is_overtaken(intake->matrix, room, event), late = matrix_is_late(intake->matrix, event->stamp_ms);
	char mark = (char)(!late ? EVENT_OVERTAKEN_MARK : overtaken ? EVENT_STRAY_MARK : EVENT_LATE_MARK);
	int r = late || overtaken ? accept_marked(inbox, room, id, event->raw, mark) :
		inbox_accept(inbox, NETWORK_MATRIX, room, id, event->raw.p, event->raw.n);
	if (r < 0)
		intake->failed = true;
	else
		intake->kept = true; /* also when it is known: by a turn that may not be committed yet */
	if (r == 0)
		intake_expect(intake->matrix, room, event->type, event->raw.p, event->raw.n);
	if (r == 0 && named && !overtaken && (groups_of_room(intake->matrix->parts.groups, room) || room_is_filled(intake->matrix, room)))
		inbox_move_cursor(inbox, NETWORK_MATRIX, room, id, event->stamp_ms);
}

/* At once, and whoever sent it: what goes out next must heed it. */
static void
see_cipher(struct intake *intake, const char *room, const struct json_event *event)
{
	const char *why;
	json_t *json = json_read(event->raw.p, event->raw.n, &why);

	cipher_see(intake->matrix, room, json, false);
	json_decref(json);
	intake->kept = true;
}

static void
on_event(void *context, const struct json_event *event)
{
	struct intake *intake = context;
	struct matrix *matrix = intake->matrix;
	char room[256], by[256];

	if (intake->failed || !matrix_take_id(event->room_id, room, sizeof(room)))
		return;
	if (cipher_wants(matrix, room, event->type))
		see_cipher(intake, room, event);
	if (is_invitation(matrix, event, by, sizeof(by)))
		room_invited(matrix, room, by);
	else if (!concerns_us(matrix, room))
		return;
	else if (event->sender.p && matrix_is_own(matrix, event->sender.p, event->sender.n)) {
		metric_add(METRIC_IGNORED_ECHO, 1);
		room_saw_own(matrix, room, event);
	}
	else
		keep(intake, room, event);
}

enum appservice_verdict
intake_transaction(struct matrix *matrix, const char *body, size_t size)
{
	struct intake intake = { .matrix = matrix };

	if (!json_split(body, size, "events", on_event, &intake))
		return APPSERVICE_BROKEN;
	if (intake.failed)
		return APPSERVICE_FULL;
	return intake.kept ? APPSERVICE_KEPT : APPSERVICE_IDLE;
}

void
intake_set_aside(struct matrix *matrix, const char *body, size_t size)
{
	char digest[65];

	seal_sha256_hex(body, size, digest);
	inbox_quarantine(matrix->parts.inbox, NETWORK_MATRIX, "", digest, body, size, "a transaction that is no valid JSON");
}


/* ---- reading ---- */

/* False: what follows from it is not known yet. It is seen once more then. */
static bool
see_member(struct matrix *matrix, const char *room, const struct event *event)
{
	bool gone = strcmp(event->membership, "leave") == 0 || strcmp(event->membership, "ban") == 0;
	bool joined = strcmp(event->membership, "join") == 0;
	char person[PEOPLE_ADDRESS_MAX];

	if (matrix_is_own(matrix, event->subject, strlen(event->subject))) {
		struct ghost *ghost = ghost_find(matrix, event->subject);
		/* The archive tells of the past; what is true now was asked for when the room was entered. */
		if (!gone || event->archive)
			return true;
		if (strcmp(event->subject, matrix->bot) == 0)
			room_lost(matrix, room, event->origin_ms);
		else if (ghost)
			ghost_left(ghost, room);
		return true;
	}
	if (!expelled_see(matrix, room, event->sender, event->subject, event->membership))
		return false;
	if (gone)
		people_set_name(matrix->parts.people, room, event->subject, "");
	else if (joined)
		people_set_member(matrix->parts.people, room, event->subject, event->name);
	/* Of the past the room's members tell, when it is entered. */
	if (gone && !event->archive && people_direct_of(matrix->parts.people, room, person, sizeof(person)) && strcmp(person, event->subject) == 0) {
		people_save_direct(matrix->parts.people, person, "");
		room_abandon(matrix, room);
	}
	return true;
}

bool
matrix_is_operator(const struct matrix *matrix, const char *person)
{
	return matrix->settings.is_operator && matrix->settings.is_operator(matrix->settings.context, person);
}

static void
name_author(struct matrix *matrix, const char *room, const char *sender, struct arena *arena, struct author *out)
{
	char name[PEOPLE_NAME_MAX];

	out->person = sender;
	out->stem = sender + 1;
	bool named = people_name(matrix->parts.people, room, sender, name, sizeof(name)) && name[strspn(name, " \t")];
	/* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): an event without a sender is none, event.c */
	AUTO_FREE char *local = named ? NULL : xstrndup(sender + 1, strcspn(sender + 1, ":"));
	out->name = arena_copy(arena, named ? name : local);
}

static void
read_message(struct matrix *matrix, const char *room, const struct event *event, struct arena *arena, struct incoming *out)
{
	char person[PEOPLE_ADDRESS_MAX];

	out->kind = INCOMING_MESSAGE;
	out->message = event->message;
	out->text = event->text;
	out->reply_to = event->reply_to;
	out->reply_address = event->sender;
	out->live = !event->late && event->origin_ms >= now_real_ms() - LIVE_MS;
	out->stray = event->stray;
	out->unencrypted = !event->sealed && cipher_exposes(matrix, room, event->origin_ms);
	out->origin_ms = event->origin_ms;
	out->direct = people_direct_of(matrix->parts.people, room, person, sizeof(person));
	if (out->direct && event->sender && strcmp(person, event->sender) != 0) {
		out->kind = INCOMING_NOTHING;
		return;
	}
	/* In a direct room power means nothing: the person may have been given all of it when the room was made. */
	out->moderator = matrix_is_operator(matrix, event->sender) || (!out->direct && room_moderates(matrix, room, event->sender));
	name_author(matrix, room, event->sender, arena, &out->author);
}

/* The homeserver has judged whether he may; a message of somebody else's is taken back by moderators alone. */
static void
read_withdrawal(struct matrix *matrix, const char *room, const struct event *event, struct arena *arena, struct incoming *out)
{
	out->kind = INCOMING_WITHDRAWAL;
	out->reply_to = event->subject;
	out->moderator = matrix_is_operator(matrix, event->sender) || room_moderates(matrix, room, event->sender);
	name_author(matrix, room, event->sender, arena, &out->author);
}

/* Who wrote it can often be seen all the same, by the scanner that asks for less than the parser. */
static void
read_poison(const char *raw, size_t size, struct arena *arena, struct incoming *out)
{
	size_t mark = size > 0 && raw[0] != '{';
	char sender[PEOPLE_ADDRESS_MAX];

	out->kind = INCOMING_POISON;
	if (!matrix_take_id(json_find_text(raw + mark, size - mark, "sender"), sender, sizeof(sender)) || sender[0] != '@')
		return;
	char *clean = str_clean(sender, strlen(sender));
	out->author.person = out->author.stem = out->author.name = out->reply_address = arena_copy(arena, clean);
	free(clean);
}

/* What is known of an event that cannot be read: who must hear of it. */
static void
read_unreadable(struct matrix *matrix, const char *room, const struct event *event, enum incoming_kind kind, const char *why, struct arena *arena,
		struct incoming *out)
{
	char person[PEOPLE_ADDRESS_MAX];

	out->kind = kind;
	out->reason = why;
	out->reply_address = event->sender;
	out->direct = people_direct_of(matrix->parts.people, room, person, sizeof(person));
	name_author(matrix, room, event->sender, arena, &out->author);
}

const char *
intake_decline(const struct matrix *matrix)
{
	return text_in(matrix->settings.language, N_("This is a bridge: nobody sits here who could compare pictures with you. Its administrator can read its fingerprint to you."));
}

/* Of no interest unless one of ours is asked. */
static void
read_verification(struct matrix *matrix, const char *room, const struct event *event, struct arena *arena, struct incoming *out)
{
	char person[PEOPLE_ADDRESS_MAX] = "", nick[8];

	if (strcmp(event->subject, matrix->bot) != 0 && !people_ghost_of(matrix->parts.people, NETWORK_MATRIX, event->subject, person, sizeof(person)))
		return;
	/* From elsewhere a ghost cannot answer. */
	if (*person && !people_occupant(matrix->parts.people, NETWORK_MATRIX, room, person, nick, sizeof(nick)))
		return;
	read_unreadable(matrix, room, event, INCOMING_VERIFICATION, intake_decline(matrix), arena, out);
	out->live = !event->late && event->origin_ms >= now_real_ms() - VERIFICATION_MS;
	if (*person)
		out->asked.person = out->asked.stem = arena_copy(arena, person);
}

/* Decrypted, it is read as any other, and kept so: its key need not be there a second time. */
static void
read_encrypted(struct matrix *matrix, const char *room, const char *raw, const struct event *event, struct arena *arena, struct incoming *out)
{
	static const enum incoming_kind kinds[] = {
		[DECIPHER_LATER] = INCOMING_LATER, [DECIPHER_ASIDE] = INCOMING_ASIDE, [DECIPHER_LOST] = INCOMING_LOST,
	};
	struct deciphered deciphered;
	size_t size;

	enum decipher_result result = matrix->crypto ? decipher_event(matrix->crypto, room, event->json, &deciphered) : DECIPHER_IGNORED;
	if (result == DECIPHER_DONE) {
		char *kept = event_keep_sealed(raw, deciphered.plain, arena, &size);
		json_decref(deciphered.plain);
		intake_read(matrix, room, kept, size, arena, out);
		out->keep = kept;
		out->keep_size = size;
		out->stray |= deciphered.strayed;
	} else if (result != DECIPHER_IGNORED) {
		read_unreadable(matrix, room, event, kinds[result], deciphered.why, arena, out);
	}
}

void
intake_read(struct matrix *matrix, const char *room, const char *raw, size_t size, struct arena *arena, struct incoming *out)
{
	struct event event;

	*out = (struct incoming){ .kind = INCOMING_NOTHING };
	event_read(raw, size, arena, &event);
	if (event.archive)
		cipher_see(matrix, room, event.json, true);
	/* Ours is not kept in the first place, unless the settings changed in between. */
	bool said = event.kind == EVENT_MESSAGE || event.kind == EVENT_CIPHER || event.kind == EVENT_VERIFICATION || event.kind == EVENT_WITHDRAWAL;
	if (event.sender && said && matrix_is_own(matrix, event.sender, strlen(event.sender)))
		event.kind = EVENT_NOTHING;
	switch (event.kind) {
	case EVENT_MESSAGE:
		read_message(matrix, room, &event, arena, out);
		break;
	case EVENT_CIPHER:
		read_encrypted(matrix, room, raw, &event, arena, out);
		break;
	case EVENT_VERIFICATION:
		read_verification(matrix, room, &event, arena, out);
		break;
	case EVENT_WITHDRAWAL:
		read_withdrawal(matrix, room, &event, arena, out);
		break;
	case EVENT_MEMBER:
		if (!see_member(matrix, room, &event))
			out->kind = INCOMING_LATER;
		else if (event.stray)
			room_look_again(matrix, room);
		break;
	case EVENT_POWER:
		room_set_power(matrix, room, event.content);
		if (event.stray)
			room_look_again(matrix, room);
		break;
	case EVENT_TOMBSTONE:
		room_replaced(matrix, room, event.name);
		break;
	case EVENT_POISON:
		read_poison(raw, size, arena, out);
		out->reason = event.reason;
		break;
	case EVENT_MALFORMED:
		metric_add(METRIC_IGNORED_MALFORMED, 1);
		break;
	case EVENT_NOTHING:
		break;
	}
	event_fini(&event);
}
