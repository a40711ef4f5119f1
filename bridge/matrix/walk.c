/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A room is entered step by step: its alias resolved, the bot joined, whether it is encrypted asked, members and power learnt, then the archive read back
 * to the cursor (gap.c), and only then its gate is opened. Each answer names the next step; a failure waits and repeats the step; the
 * homeserver's failure ends all of it, and the next arrival begins again.
 *
 * Steps of all rooms stand in one queue, of which a few are under way at a time: with some hundred rooms the homeserver has other
 * things to do as well. A room goes on where it is before the next one begins, but for long archives, of which each page queues
 * anew; and a room for which something waits to be said comes first. Nothing is said into a room before the bot is known to be
 * in it; the archive, which only what comes in must wait for, is not waited for.
 */
#include "matrix/walk.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/now.h"
#include "base/text.h"
#include "matrix/cipher.h"
#include "matrix/room.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WALKERS 4 /* steps under way */
#define RETRY_MS 2000
#define REFUSED_RETRY_MS 30000
#define REFUSED_RETRY_MAX_MS (10 * 60 * 1000)

static void on_answer(void *context, const struct http_answer *answer);

/* Gives up the step that is under way or waits. */
static void
stand_still(struct room *room)
{
	if (room->request)
		room->matrix->walking--;
	http_cancel(room->request);
	room->request = NULL;
	list_remove(&room->turn);
	loop_timer_stop(&room->timer);
	gap_forget(&room->gap);
}

void
walk_free(struct room *room)
{
	stand_still(room);
	if (room->former && room->group) { /* nobody knows yet whether the new one may take its place */
		groups_set_room(room->group, NETWORK_MATRIX, room->former);
		room->group->fresh = false;
	}
	list_remove(&room->link);
	power_fini(&room->power);
	free(room->person);
	free(room->former);
	free(room->stranger);
	free(room->id);
	free(room);
}

/* ---- steps: getting in ---- */

static void
ask(struct room *room, const char *method, const char *path, const json_t *body)
{
	AUTO_STR struct str text;

	str_init(&text, 65536);
	if (body)
		json_add(&text, body);
	room->request = matrix_ask(room->matrix, method, path, body ? str_get(&text) : NULL, on_answer, room);
}

/* About the room itself, as the bot: `what` comes after its id, and ends where the user belongs. */
static void
ask_room(struct room *room, const char *method, const char *what)
{
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/rooms/%s/", room->id);
	AUTO_FREE char *user = matrix_path("user_id=%s", room->matrix->bot);
	AUTO_FREE char *whole = xasprintf("%s%s%s", path, what, user);

	ask(room, method, whole, NULL);
}

static enum walk_step
later(struct room *room, int64_t delay_ms)
{
	room->delay_ms = delay_ms;
	return WALK_LATER;
}

void
walk_clear_trouble(struct room *room)
{
	if (!room->replaced)
		room->trouble[0] = '\0';
	room->refusals = 0;
	room->kept_out = false;
}

/* The homeserver fails on this room alone, or for the moment on all. Twice is soon mended; then its words are kept for the admin. */
static enum walk_step
again(struct room *room, const struct judged *judged)
{
	int64_t delay_ms = (int64_t)RETRY_MS << (room->failures < 4 ? room->failures : 4);

	if (judged->status >= 400 && judged->status != 429 && ++room->failures > 2 && !room->replaced)
		snprintf(room->trouble, sizeof(room->trouble), "the homeserver fails when the bot enters the room (%ld %s: %s)", judged->status,
			judged->errcode, judged->error);
	return later(room, judged->delay_ms > delay_ms ? judged->delay_ms : delay_ms);
}

/* Said once until it is mended; asked again ever more rarely. */
static enum walk_step
refused(struct room *room, const char *what, const struct judged *judged)
{
	int64_t delay_ms = (int64_t)REFUSED_RETRY_MS << (room->refusals < 5 ? room->refusals : 5);

	if (!room->trouble[0])
		log_warning(LOG_MATRIX, "%s group=%s room=%s status=%ld errcode=%s error=\"%s\"", what, room->group ? room->group->name : "",
			room->group ? room->group->matrix_wanted : room->id, judged->status, judged->errcode, judged->error);
	snprintf(room->trouble, sizeof(room->trouble), "%s (%s: %s)", what, judged->errcode, judged->error);
	room->refusals++;
	return later(room, delay_ms < REFUSED_RETRY_MAX_MS ? delay_ms : REFUSED_RETRY_MAX_MS);
}

static enum walk_step
keep_out(struct room *room, enum refusal why)
{
	room->kept_out = true;
	room->why = why;
	if (room->group)
		plumb_refused(room->matrix->parts.plumb, room->group, NETWORK_MATRIX, why, room->trouble);
	outbox_wake(room->matrix->parts.outbox); /* what waits is refused */
	return WALK_LATER;
}

static void
ask_resolve(struct room *room)
{
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/directory/room/%s", room->group->matrix_wanted);

	ask(room, "GET", path, NULL);
}

static void
forget(char **text)
{
	free(*text);
	*text = NULL;
}

/*
 * Whoever may move an alias may not thereby join the group with a room that never agreed (CVE-2021-32659): the new one must say
 * that it continues the old one. It says so to members only; until then nothing of it crosses, and nothing is kept for the next start.
 */
static void
set_id(struct room *room, const char *id)
{
	bool moved = strcmp(room->id, id) != 0;

	if (moved) {
		if (*room->id)
			log_notice(LOG_MATRIX, "an alias leads to another room now alias=%s room=%s before=%s", room->group->matrix_wanted, id, room->id);
		walk_halt(room);
		room->inside = room->replaced = room->read = false;
		if (*room->id && !room->former && room->group->kind != GROUP_VISIT)
			room->former = xstrdup(room->id);
		if (str_equal(room->former, id))
			forget(&room->former);
		forget(&room->stranger);
		free(room->id);
		room->id = xstrdup(id);
	}
	groups_set_room(room->group, NETWORK_MATRIX, room->id);
	if (room->former)
		room->group->fresh = false;
}

/* What comes first in a room that the bot is in. */
static enum walk_step
first_inside(const struct room *room)
{
	return room->former ? WALK_CREATION : WALK_CIPHER;
}

static enum walk_step
took_resolve(struct room *room, const struct judged *judged, const struct http_answer *answer)
{
	const char *id = json_text(judged->json, "room_id");

	(void)answer;
	if (judged->is == JUDGED_FINE && id && id[0] == '!') {
		/* A visit to a room that we are in for a group must not end that when it ends. */
		struct room *known = room_find(room->matrix, id);
		if (room->group->kind == GROUP_VISIT && known && known != room) {
			groups_set_room(room->group, NETWORK_MATRIX, id);
			room->delay_ms = REFUSED_RETRY_MAX_MS;
			return keep_out(room, REFUSAL_OTHER);
		}
		if (!str_equal(room->stranger, id))
			set_id(room, id);
		return room->inside ? first_inside(room) : WALK_JOIN;
	}
	if (judged->status == 404 && room->inside) {
		log_warning(LOG_MATRIX, "an alias leads to no room any more, the room is kept alias=%s room=%s", room->group->matrix_wanted, room->id);
		return WALK_CIPHER;
	}
	if (judged->status == 404 && room->group->create)
		return WALK_CREATE;
	refused(room, "an alias leads to no room", judged);
	return keep_out(room, REFUSAL_ROOM_GONE);
}

static void
ask_create(struct room *room)
{
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/createRoom?user_id=%s", room->matrix->bot);
	const char *alias = room->group->matrix_wanted;
	AUTO_FREE char *local = xstrndup(alias + 1, strcspn(alias, ":") - 1);
	json_t *body = json_pack("{s:s, s:s, s:s}", "preset", "public_chat", "room_alias_name", local, "name", room->group->name);

	ask(room, "POST", path, body);
	json_decref(body);
}

static enum walk_step
took_create(struct room *room, const struct judged *judged, const struct http_answer *answer)
{
	const char *id = json_text(judged->json, "room_id");

	(void)answer;
	if (judged->is == JUDGED_FINE && id && id[0] == '!') {
		set_id(room, id);
		room->inside = true;
		log_info(LOG_MATRIX, "made a room group=%s room=%s", room->group->name, id);
		return WALK_CIPHER;
	}
	room->step = WALK_RESOLVE; /* somebody else may have made it */
	return refused(room, "cannot make a room", judged);
}

static bool
is_joined_by_alias(const struct room *room)
{
	return room->group && !room->stranger && *room->group->matrix_wanted == '#';
}

static void
ask_join(struct room *room)
{
	/* By its alias when there is one: that also names the servers to ask for a room of elsewhere. */
	const char *by = is_joined_by_alias(room) ? room->group->matrix_wanted : room->id;
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/join/%s?user_id=%s", by, room->matrix->bot);
	json_t *body = json_object();

	ask(room, "POST", path, body);
	json_decref(body);
}

static enum walk_step
took_join(struct room *room, const struct judged *judged, const struct http_answer *answer)
{
	const char *id = json_text(judged->json, "room_id");

	(void)answer;
	if (judged->is == JUDGED_FINE && id && is_joined_by_alias(room) && strcmp(id, room->id) != 0) {
		/* The alias was moved while the bot was kept out. */
		room->step = WALK_RESOLVE;
		return later(room, RETRY_MS);
	}
	if (judged->is == JUDGED_FINE) {
		room->inside = true;
		room->read = false;
		room->entered_ms = now_real_ms();
		walk_clear_trouble(room);
		outbox_wake(room->matrix->parts.outbox);
		return first_inside(room);
	}
	if (!room->group)
		return WALK_GONE;
	if (judged->status == 404) {
		refused(room, "a room is gone", judged);
		return keep_out(room, REFUSAL_ROOM_GONE);
	}
	if (matrix_says_banned(judged)) {
		refused(room, "the bot is banned from a room: somebody with enough power there must lift that", judged);
		return keep_out(room, REFUSAL_BANNED);
	}
	refused(room, "the bot cannot enter a room: invite it, or let anyone join", judged);
	return keep_out(room, REFUSAL_NOT_MEMBER);
}

/* ---- steps: is it encrypted ---- */

static void
ask_cipher(struct room *room)
{
	ask_room(room, "GET", "state/m.room.encryption?format=event&");
}

static enum walk_step
took_cipher(struct room *room, const struct judged *judged, const struct http_answer *answer)
{
	(void)answer;
	if (judged->is != JUDGED_FINE && judged->status != 404) {
		room->inside = false;
		room->step = WALK_JOIN;
		return room->group ? refused(room, "cannot read a room's state", judged) : WALK_GONE;
	}
	room->read = true;
	cipher_learn(room->matrix, room->id, judged->is == JUDGED_FINE ? judged->json : NULL);
	return room->made ? WALK_ARCHIVE : WALK_MEMBERS;
}

/* ---- steps: who is there ---- */

static void
ask_members(struct room *room)
{
	ask_room(room, "GET", room->group ? "joined_members?" : "members?");
}

static void
learn_name(struct room *room, const char *person, const char *name)
{
	if (!matrix_is_own(room->matrix, person, strlen(person)))
		people_set_member(room->matrix->parts.people, room->id, person, name);
}

static void
learn_names(struct room *room, const json_t *joined)
{
	const char *person;
	json_t *member;
	void *at;

	for (at = json_object_iter((json_t *)(uintptr_t)joined); at; at = json_object_iter_next((json_t *)(uintptr_t)joined, at)) {
		person = json_object_iter_key(at);
		member = json_object_iter_value(at);
		learn_name(room, person, json_text(member, "display_name"));
	}
}

static bool
is_joined(void *context, const char *person)
{
	return json_object_get(context, person) != NULL;
}

/* A direct room: still (or really) only the bot and its person? */
static bool
is_room_of_two(struct room *room, const json_t *members)
{
	bool there = false, others = false;
	const json_t *member;
	size_t i;

	json_array_foreach(members, i, member) {
		const char *who = json_text(member, "state_key");
		const char *membership = json_text(json_child(member, "content"), "membership");
		const char *name = json_text(json_child(member, "content"), "displayname");
		if (!who || !membership || (strcmp(membership, "join") != 0 && strcmp(membership, "invite") != 0))
			continue;
		if (str_equal(who, room->person)) {
			there = true;
			learn_name(room, who, name);
		} else if (strcmp(who, room->matrix->bot) != 0) {
			others = true;
		}
	}
	return there && !others;
}

/* The bot has an encrypted room with this person already: a plain one does not take its place. */
static bool
is_downgrade(const struct room *room)
{
	const struct matrix *matrix = room->matrix;
	char id[PEOPLE_ADDRESS_MAX];

	if (!room->candidate || cipher_is_on(matrix, room->id) || !people_direct(matrix->parts.people, room->person, id, sizeof(id)))
		return false;
	const struct room *known = room_find(room->matrix, id);
	return known && known != room && known->inside && cipher_is_on(matrix, id);
}

/* Somebody of our homeserver invited the bot into a room of more than two: it stays a while, to be asked to join it with another. */
static bool
becomes_visit(struct room *room, const json_t *members)
{
	const json_t *member;
	size_t i;

	if (!room->candidate || !matrix_is_local(room->matrix, room->person, strlen(room->person)))
		return false;
	room->group = plumb_invited(room->matrix->parts.plumb, NETWORK_MATRIX, room->id, room->person);
	if (!room->group)
		return false;
	json_array_foreach(members, i, member) {
		const json_t *content = json_child(member, "content");
		if (str_equal(json_text(content, "membership"), "join") && json_text(member, "state_key"))
			learn_name(room, json_text(member, "state_key"), json_text(content, "displayname"));
	}
	room->candidate = false;
	free(room->person);
	room->person = NULL;
	return true;
}

/* Its person has another direct room now, and in the old one nobody would be answered. */
static void
leave_older(const struct room *room)
{
	char id[PEOPLE_ADDRESS_MAX];
	struct room *older = people_direct(room->matrix->parts.people, room->person, id, sizeof(id)) ? room_find(room->matrix, id) : NULL;

	if (older && older != room && !older->group)
		walk_restart(older, WALK_LEAVE);
}

static enum walk_step
took_direct_members(struct room *room, const json_t *members)
{
	struct people *people = room->matrix->parts.people;

	if (!is_room_of_two(room, members)) {
		if (becomes_visit(room, members))
			return WALK_POWER;
		log_info(LOG_MATRIX, "leaves a room that is not of two room=%s", room->id);
		if (!room->candidate)
			people_save_direct(people, room->person, "");
		return WALK_LEAVE;
	}
	if (is_downgrade(room)) {
		log_notice(LOG_MATRIX, "leaves a direct room that is not encrypted, it has one that is person=%s room=%s", room->person, room->id);
		return WALK_LEAVE;
	}
	if (room->candidate) {
		leave_older(room);
		people_save_direct(people, room->person, room->id);
	}
	room->candidate = false;
	return WALK_ARCHIVE;
}

static enum walk_step
took_members(struct room *room, const struct judged *judged, const struct http_answer *answer)
{
	(void)answer;
	if (judged->is != JUDGED_FINE || !judged->json) {
		room->inside = false;
		room->step = WALK_JOIN;
		return room->group ? refused(room, "cannot read a room's members", judged) : WALK_GONE;
	}
	if (!room->group)
		return took_direct_members(room, json_object_get(judged->json, "chunk"));
	json_t *joined = json_object_get(judged->json, "joined");
	learn_names(room, joined);
	/* Whoever left while nobody showed us is a stranger now, whatever power he is still said to have. */
	if (json_is_object(joined))
		people_keep_members(room->matrix->parts.people, room->id, is_joined, joined);
	return WALK_POWER;
}

static void
ask_power(struct room *room)
{
	ask_room(room, "GET", "state/m.room.power_levels?");
}

static enum walk_step
took_power(struct room *room, const struct judged *judged, const struct http_answer *answer)
{
	(void)answer;
	power_set_levels(&room->power, judged->is == JUDGED_FINE ? judged->json : NULL);
	return WALK_CREATION;
}

static void
ask_creation(struct room *room)
{
	ask_room(room, "GET", "state/m.room.create?format=event&");
}

static void
on_stranger_left(void *context, const struct http_answer *answer)
{
	(void)context, (void)answer; /* one that keeps the bot shows that in its list of members */
}

/* The alias leads to a room that has nothing to do with this one: it is left, and the old one kept. */
static enum walk_step
turn_back(struct room *room)
{
	struct matrix *matrix = room->matrix;
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/rooms/%s/leave?user_id=%s", room->id, matrix->bot);

	log_warning(LOG_MATRIX, "an alias is not followed, the new room does not say that it continues the old one alias=%s room=%s before=%s",
		room->group->matrix_wanted, room->id, room->former);
	(void)matrix_ask(matrix, "POST", path, "{}", on_stranger_left, matrix);
	walk_halt(room);
	room->stranger = room->id;
	room->id = room->former;
	room->former = NULL;
	groups_set_room(room->group, NETWORK_MATRIX, room->id);
	room->group->fresh = false;
	snprintf(room->trouble, sizeof(room->trouble), "the alias leads to %s, which does not say that it continues this room: it is not followed; if it is meant, name that one in the configuration",
		room->stranger);
	room->replaced = true;
	plumb_moved(matrix->parts.plumb, room->group, room->stranger);
	room->inside = true; /* as before; the members say otherwise if need be */
	return WALK_CIPHER;
}

static enum walk_step
took_creation(struct room *room, const struct judged *judged, const struct http_answer *answer)
{
	(void)answer;
	if (room->former) {
		const char *predecessor = json_text(json_child(json_child(judged->json, "content"), "predecessor"), "room_id");
		if (!str_equal(predecessor, room->former))
			return turn_back(room);
		forget(&room->former);
		room->group->fresh = true; /* kept for the next start */
		return WALK_CIPHER;
	}
	power_set_creation(&room->power, judged->json);
	return WALK_ARCHIVE;
}

/* ---- steps: the archive ---- */

static enum walk_step
close_gap(struct room *room)
{
	return gap_close(&room->gap) < 0 ? later(room, RETRY_MS) : WALK_READY;
}

static void
ask_archive(struct room *room)
{
	if (!room->gap.room)
		gap_begin(&room->gap, room->id, room->person);
	AUTO_FREE char *path = gap_path(&room->gap);

	ask(room, "GET", path, NULL);
}

static enum walk_step
took_archive(struct room *room, const struct judged *judged, const struct http_answer *answer)
{
	enum gap_progress progress = judged->is == JUDGED_FINE ? gap_take(&room->gap, answer->body, answer->size) : GAP_UNREADABLE;

	if (progress == GAP_MORE)
		return WALK_ARCHIVE;
	if (progress == GAP_READ)
		return close_gap(room);
	gap_forget(&room->gap);
	/* Not in it any more, perhaps. */
	if (judged->status == 403 && room->group) {
		room->inside = false;
		room->step = WALK_JOIN;
		return later(room, RETRY_MS);
	}
	return refused(room, "cannot read a room's archive", judged);
}

static void
ask_leave(struct room *room)
{
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/rooms/%s/leave?user_id=%s", room->id, room->matrix->bot);
	json_t *body = is_downgrade(room) ? json_pack("{s:s}", "reason", text_in(room->matrix->settings.language,
		N_("We have another room, which is encrypted: please write to me there, or leave it first."))) : NULL;

	ask(room, "POST", path, body);
	json_decref(body);
}

static enum walk_step
took_leave(struct room *room, const struct judged *judged, const struct http_answer *answer)
{
	(void)judged;
	(void)answer;
	if (room->group)
		plumb_left(room->matrix->parts.plumb, room->group, NETWORK_MATRIX);
	return WALK_GONE;
}

/* ---- the chain ---- */

static const struct {
	const char *word;
	void (*ask)(struct room *room);
	enum walk_step (*took)(struct room *room, const struct judged *judged, const struct http_answer *answer);
} steps[WALK_COUNT] = {
	[WALK_RESOLVE] = { "resolve", ask_resolve, took_resolve },
	[WALK_CREATE] = { "create", ask_create, took_create },
	[WALK_JOIN] = { "join", ask_join, took_join },
	[WALK_CIPHER] = { "cipher", ask_cipher, took_cipher },
	[WALK_MEMBERS] = { "members", ask_members, took_members },
	[WALK_POWER] = { "power", ask_power, took_power },
	[WALK_CREATION] = { "creation", ask_creation, took_creation },
	[WALK_ARCHIVE] = { "archive", ask_archive, took_archive },
	[WALK_LEAVE] = { "leave", ask_leave, took_leave },
};

static void
become_ready(struct room *room)
{
	if (room->group && !room->ready)
		log_info(LOG_MATRIX, "joined group=%s room=%s", room->group->name, room->id);
	room->ready = true;
	walk_clear_trouble(room);
	if (room->group)
		plumb_entered(room->matrix->parts.plumb, room->group, NETWORK_MATRIX);
	outbox_wake(room->matrix->parts.outbox);
}

/*
 * After an absence, ours or its own, the homeserver first brings what it could not bring, and may forget one transaction just as
 * it turns to the present again (Synapse; it brings it after its next failure). A moment's patience lets the archive show that one
 * in its place; room_refill_all() finds what is forgotten later still.
 */
static int64_t
settling_ms(const struct room *room)
{
	char cursor[8];
	int64_t at_ms;

	if (!room->group || !inbox_cursor(room->matrix->parts.inbox, room->id, cursor, sizeof(cursor), &at_ms))
		return 0;
	return room->matrix->arrived_ms + room->matrix->settle_ms - now_monotonic_ms();
}

static void
walk(struct matrix *matrix)
{
	while (matrix->walking < WALKERS && !list_empty(&matrix->walks)) {
		struct room *room = LIST_ENTRY(matrix->walks.next, struct room, turn);
		list_remove(&room->turn);
		matrix->walking++;
		steps[room->step].ask(room);
	}
}

static void
queue(struct room *room, bool first)
{
	list_remove(&room->turn);
	list_append(first ? room->matrix->walks.next : &room->matrix->walks, &room->turn);
	walk(room->matrix);
}

void
walk_enter(struct room *room, enum walk_step step)
{
	if (step == WALK_LATER) {
		loop_timer_set(&room->timer, room->delay_ms);
		return;
	}
	if (step == WALK_GONE) {
		walk_free(room);
		return;
	}
	if (step == WALK_READY) {
		become_ready(room);
		return;
	}
	if (room->matrix->state != MATRIX_HERE)
		return;
	bool going = room->step != step; /* neither a first step nor a further page */
	room->step = step;
	if (step == WALK_ARCHIVE && settling_ms(room) > 0) {
		loop_timer_set(&room->timer, settling_ms(room));
	} else if (step == WALK_ARCHIVE && room->matrix->no_archive) {
		gap_begin(&room->gap, room->id, room->person);
		walk_enter(room, close_gap(room));
	} else {
		queue(room, going);
	}
}

static void
on_answer(void *context, const struct http_answer *answer)
{
	struct room *room = context;
	struct matrix *matrix = room->matrix;
	struct judged judged;

	FAULT_POINT("after_room_step");
	room->request = NULL;
	matrix->walking--;
	matrix_judge(matrix, answer, &judged);
	if (judged.is == JUDGED_AGAIN) {
		walk_enter(room, again(room, &judged));
	} else {
		room->failures = 0;
		walk_enter(room, steps[room->step].took(room, &judged, answer));
	}
	judged_fini(&judged);
	walk(matrix);
}

void
walk_halt(struct room *room)
{
	stand_still(room);
	inbox_close_gate(room->matrix->parts.inbox, room->id);
	room->ready = false;
}

void
walk_restart(struct room *room, enum walk_step step)
{
	walk_halt(room);
	room->step = step;
	walk_enter(room, step);
}

void
walk_hurry(struct room *room)
{
	if (!list_empty(&room->turn))
		queue(room, true);
}
