/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rooms that the bot is in, or should be: those of the groups, and direct rooms of two. How one is entered is walk.c's; here it is
 * decided that it should be, and what is known of it is told.
 */
#include "matrix/room.h"

#include "base/log.h"
#include "matrix/cipher.h"
#include "matrix/ghost.h"
#include "matrix/survey.h"
#include "matrix/walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOST_RETRY_MS 60000
#define SKEW_MS 5000 /* of the homeserver's clock: in doubt it is asked */
#define REPLACED_RETRY_MS 3000 /* a homeserver moves the alias after it said so */
#define OWN_PER_MOVE 20 /* our own events pass so often before the cursor is written */
#define CANDIDATES_MAX 16 /* invitations looked at at a time */

/* ---- the list ---- */

struct room *
room_find(struct matrix *matrix, const char *id)
{
	struct room *room;

	LIST_FOR_EACH(room, &matrix->rooms, struct room, link)
		if (*id && strcmp(room->id, id) == 0)
			return room;
	return NULL;
}

static void
on_timer(void *context)
{
	struct room *room = context;

	walk_enter(room, room->step);
}

static struct room *
room_new(struct matrix *matrix, struct group *group, const char *id)
{
	struct room *room = xcalloc(1, sizeof(*room));

	room->matrix = matrix;
	room->group = group;
	room->id = xstrdup(id);
	list_init(&room->turn);
	gap_init(&room->gap, matrix);
	loop_timer_init(&room->timer, matrix->parts.loop, on_timer, room);
	list_append(&matrix->rooms, &room->link);
	return room;
}

void
room_free_all(struct matrix *matrix)
{
	struct room *room;

	LIST_FOR_EACH(room, &matrix->rooms, struct room, link)
		walk_free(room);
}

bool
room_is_inside(const struct room *room)
{
	return room->inside && room->read;
}

bool
room_is_asking(const struct room *room)
{
	return room->inside && !room->read;
}

bool
room_is_kept_out(const struct room *room, enum refusal *why)
{
	*why = room->why;
	return room->kept_out;
}

bool
room_is_overtaken(struct matrix *matrix, const char *id, const struct json_event *event)
{
	struct room *room = room_find(matrix, id);
	struct gap unread;

	if (room)
		return gap_is_overtaken(&room->gap, id, event);
	gap_init(&unread, matrix); /* not arrived yet: the cursor alone tells */
	return gap_is_overtaken(&unread, id, event);
}

bool
room_is_filled(struct matrix *matrix, const char *id)
{
	const struct room *room = room_find(matrix, id);

	return room && room->ready;
}

unsigned
room_count_ready(const struct matrix *matrix)
{
	struct room *room;
	unsigned n = 0;

	LIST_FOR_EACH(room, &matrix->rooms, struct room, link)
		n += room->group && room->group->kind != GROUP_VISIT && room->ready;
	return n;
}

void
room_tell_trouble(const struct matrix *matrix, const char *group, char *out, size_t size)
{
	struct room *room;

	snprintf(out, size, "%s", "the homeserver was not asked yet");
	LIST_FOR_EACH(room, &matrix->rooms, struct room, link)
		if (room->group && strcmp(room->group->name, group) == 0)
			snprintf(out, size, "%s", room->trouble[0] ? room->trouble : room->ready ? "" : "it is being entered");
}

bool
room_moderates(struct matrix *matrix, const char *id, const char *person)
{
	const struct room *room = room_find(matrix, id);

	return room && power_moderates(&room->power, person);
}

void
room_rights(struct matrix *matrix, const char *id, const char *person, struct rights *out)
{
	const struct room *room = room_find(matrix, id);
	char name[PEOPLE_NAME_MAX];

	*out = (struct rights){ .operator = matrix_is_operator(matrix, person) };
	if (!room)
		return;
	/* The archive is read last, and again now and then: members and power are known by then. */
	bool read = room->ready || (room->inside && room->step == WALK_ARCHIVE && matrix->state == MATRIX_HERE);
	out->known = read && people_name(matrix->parts.people, id, person, name, sizeof(name));
	out->moderator = power_moderates(&room->power, person);
	out->creator = power_is_creator(&room->power, person);
	out->level = power_level(&room->power, person, &out->needed);
}

enum encryption
room_encryption(struct matrix *matrix, const char *id)
{
	const struct room *room = room_find(matrix, id);

	return cipher_state(matrix, id, room && room->inside && room->read);
}

void
room_set_power(struct matrix *matrix, const char *id, const json_t *content)
{
	struct room *room = room_find(matrix, id);

	if (room)
		power_set_levels(&room->power, content);
}

void
room_look_again(struct matrix *matrix, const char *id)
{
	struct room *room = room_find(matrix, id);

	if (room && room->group && room->ready)
		walk_restart(room, WALK_MEMBERS);
}

/* ---- asked from outside ---- */

static struct room *
room_of_group(struct matrix *matrix, struct group *group)
{
	struct room *room;

	LIST_FOR_EACH(room, &matrix->rooms, struct room, link)
		if (room->group == group)
			return room;
	return room_new(matrix, group, *group->matrix_wanted == '!' ? group->matrix_wanted : group->room[NETWORK_MATRIX]);
}

static bool
lists(const json_t *joined, const char *id)
{
	const json_t *value;
	size_t i;

	json_array_foreach(joined, i, value)
		if (str_equal(json_string_value(value), id))
			return true;
	return false;
}

static void
enter_direct(struct matrix *matrix, const char *id)
{
	char person[PEOPLE_ADDRESS_MAX];
	struct room *room = room_find(matrix, id);

	if (room ? room->group != NULL : groups_of_room(matrix->parts.groups, id) != NULL)
		return;
	if (!people_direct_of(matrix->parts.people, id, person, sizeof(person)))
		return;
	if (!room)
		room = room_new(matrix, NULL, id);
	free(room->person);
	room->person = xstrdup(person);
	room->inside = true;
	room->read = false;
	walk_restart(room, WALK_CIPHER);
}

/* The bot was put out; it tries again after a while, if the room is still wanted then. */
static void
lose(struct room *room)
{
	plumb_expelled(room->matrix->parts.plumb, NETWORK_MATRIX, room->id, REFUSAL_NOT_MEMBER);
	log_warning(LOG_MATRIX, "the bot is no longer in a room, it tries to return room=%s", room->id);
	snprintf(room->trouble, sizeof(room->trouble), "the bot was put out of the room");
	room->inside = false;
	walk_halt(room);
	room->step = WALK_JOIN;
	loop_timer_set(&room->timer, LOST_RETRY_MS);
	if (!room->group || room->group->kind == GROUP_CONFIGURED)
		return;
	/* Nobody wants it back there, not even to say goodbye. */
	room->kept_out = true;
	room->why = REFUSAL_NOT_MEMBER;
	outbox_wake(room->matrix->parts.outbox);
}

static void
enter_groups(struct matrix *matrix, struct list *groups, const json_t *joined)
{
	struct group *group;

	LIST_FOR_EACH(group, groups, struct group, link) {
		if (!group->matrix_wanted || !*group->matrix_wanted)
			continue;
		struct room *room = room_of_group(matrix, group);
		room->inside = lists(joined, room->id);
		room->kept_out = room->read = false;
		/* We were told to leave it, and did, before we could write that down. */
		if (!room->inside && *room->id == '!' && plumb_is_over(matrix->parts.plumb, group)) {
			walk_free(room);
			plumb_left(matrix->parts.plumb, group, NETWORK_MATRIX);
			continue;
		}
		/* It was in there when the rooms were joined: somebody put it out while nobody was there to see it. */
		if (!room->inside && group->kind == GROUP_PLUMBED) {
			lose(room);
			continue;
		}
		/* An alias is followed at each arrival: what is remembered of it may be out of date. */
		walk_restart(room, *group->matrix_wanted == '#' ? WALK_RESOLVE : room->inside ? WALK_CIPHER : WALK_JOIN);
	}
}

/* Invitations that were being looked at when the homeserver went. */
static void
enter_candidates(struct matrix *matrix, const json_t *joined)
{
	struct room *room;

	LIST_FOR_EACH(room, &matrix->rooms, struct room, link) {
		if (!room->candidate)
			continue;
		room->inside = lists(joined, room->id);
		room->read = false;
		walk_restart(room, room->inside ? WALK_CIPHER : WALK_JOIN);
	}
}

void
room_enter_all(struct matrix *matrix, const json_t *joined)
{
	const json_t *id;
	size_t i;

	enter_groups(matrix, &matrix->parts.groups->all, joined);
	enter_groups(matrix, &matrix->parts.groups->visits, joined);
	enter_candidates(matrix, joined);
	json_array_foreach(joined, i, id)
		if (json_is_string(id))
			enter_direct(matrix, json_string_value(id));
}

void
room_leave_all(struct matrix *matrix)
{
	struct room *room;

	survey_stop(matrix, false);
	LIST_FOR_EACH(room, &matrix->rooms, struct room, link)
		walk_halt(room);
}

void
room_hurry(struct room *room)
{
	walk_hurry(room);
}

void
room_refill_all(struct matrix *matrix)
{
	struct room *room;

	LIST_FOR_EACH(room, &matrix->rooms, struct room, link)
		if (room->ready)
			walk_restart(room, WALK_ARCHIVE);
}

void
room_enter_group(struct matrix *matrix, struct group *group)
{
	struct room *room = room_find(matrix, group->room[NETWORK_MATRIX]);

	if (room && room->person)
		return; /* a direct room */
	if (room)
		room->group = group;
	else
		room = room_of_group(matrix, group);
	if (room->ready)
		plumb_entered(matrix->parts.plumb, group, NETWORK_MATRIX);
	else if (!room->request && list_empty(&room->turn) && !loop_timer_armed(&room->timer) && matrix->state == MATRIX_HERE)
		walk_restart(room, *room->id ? WALK_JOIN : WALK_RESOLVE);
}

static void
on_ghost_left(void *context, const struct http_answer *answer)
{
	struct matrix *matrix = context;
	struct judged judged;

	matrix_judge(matrix, answer, &judged);
	if (judged.is != JUDGED_FINE)
		log_warning(LOG_MATRIX, "a ghost did not leave status=%ld errcode=%s", judged.status, judged.errcode);
	judged_fini(&judged);
}

/* The ghosts of a room, copied: leaving changes the table that is walked. */
struct parting {
	char **people; /* owns */
	size_t count;
};

static void
add_parting(void *context, const char *person, const char *nick)
{
	struct parting *parting = context;

	(void)nick;
	parting->people = xrealloc(parting->people, (parting->count + 1) * sizeof(*parting->people));
	parting->people[parting->count++] = xstrdup(person);
}

static void
part_ghost(struct room *room, const char *person)
{
	struct matrix *matrix = room->matrix;
	struct ghost_record record;

	if (people_ghost(matrix->parts.people, NETWORK_MATRIX, person, &record)) {
		AUTO_FREE char *path = matrix_path("/_matrix/client/v3/rooms/%s/leave?user_id=%s", room->id, record.address);
		struct ghost *ghost = ghost_find(matrix, record.address);
		(void)matrix_ask(matrix, "POST", path, "{}", on_ghost_left, matrix);
		if (ghost)
			ghost_left(ghost, room->id);
	}
	people_save_occupant(matrix->parts.people, NETWORK_MATRIX, room->id, person, "", false);
}

static void
part_ghosts(struct room *room)
{
	struct parting parting = { 0 };

	people_each_occupant(room->matrix->parts.people, NETWORK_MATRIX, room->id, add_parting, &parting);
	for (size_t i = 0; i < parting.count; i++) {
		part_ghost(room, parting.people[i]);
		free(parting.people[i]);
	}
	free(parting.people);
}

void
room_leave(struct matrix *matrix, struct group *group)
{
	struct room *room;

	if (matrix->state != MATRIX_HERE)
		return; /* asked again */
	LIST_FOR_EACH(room, &matrix->rooms, struct room, link) {
		if (room->group != group)
			continue;
		if (room->step == WALK_LEAVE && room->inside)
			return;
		if (*room->id && room->inside) {
			part_ghosts(room);
			walk_restart(room, WALK_LEAVE);
			return;
		}
		walk_free(room);
	}
	plumb_left(matrix->parts.plumb, group, NETWORK_MATRIX);
}

void
room_stand(struct matrix *matrix, const char *id, struct standing *out)
{
	const struct room *room = room_find(matrix, id);

	out->inside = room && room->ready;
	out->trouble = room && room->trouble[0] ? room->trouble : NULL;
}

static unsigned
count_candidates(const struct matrix *matrix)
{
	struct room *room;
	unsigned n = 0;

	LIST_FOR_EACH(room, &matrix->rooms, struct room, link)
		n += room->candidate;
	return n;
}

void
room_invited(struct matrix *matrix, const char *id, const char *by)
{
	struct room *room = room_find(matrix, id);

	if (matrix->state != MATRIX_HERE || (room && room->inside))
		return; /* the next arrival looks for invitations */
	if (!room) {
		if (count_candidates(matrix) >= CANDIDATES_MAX || matrix_is_own(matrix, by, strlen(by)))
			return;
		room = room_new(matrix, NULL, id);
		room->person = xstrdup(by);
		room->candidate = true;
	}
	walk_clear_trouble(room);
	walk_restart(room, WALK_JOIN);
}

void
room_made_direct(struct matrix *matrix, const char *id, const char *person)
{
	struct room *room = room_new(matrix, NULL, id);

	people_save_direct(matrix->parts.people, person, id);
	room->person = xstrdup(person);
	room->inside = room->made = true;
	walk_enter(room, WALK_CIPHER);
}

void
room_abandon(struct matrix *matrix, const char *id)
{
	struct room *room = room_find(matrix, id);

	if (room && !room->group && room->inside)
		walk_restart(room, WALK_LEAVE);
}

void
room_lost(struct matrix *matrix, const char *id, int64_t stamp_ms)
{
	struct room *room = room_find(matrix, id);

	if (!room || !room->inside || room->step == WALK_LEAVE)
		return;
	/* The end of a ban comes as another leaving, and may be read after the return. */
	if (stamp_ms < room->entered_ms + SKEW_MS) {
		walk_restart(room, WALK_MEMBERS);
		return;
	}
	lose(room);
}

void
room_rejoin(struct matrix *matrix, const char *id)
{
	struct room *room = room_find(matrix, id);

	if (!room || !room->inside)
		return;
	room->inside = false;
	walk_restart(room, WALK_JOIN);
}

void
room_replaced(struct matrix *matrix, const char *id, const char *successor)
{
	struct room *room = room_find(matrix, id);

	if (!room || !room->group)
		return;
	log_warning(LOG_MATRIX, "a room was closed in favour of another one group=%s room=%s successor=%s", room->group->name, id, successor);
	snprintf(room->trouble, sizeof(room->trouble), "the room was closed in favour of %s: %s", successor,
		*room->group->matrix_wanted == '#' ? "its alias must lead there" : "name that one in the configuration");
	room->replaced = true;
	if (*room->group->matrix_wanted != '#') {
		plumb_moved(matrix->parts.plumb, room->group, successor);
		return;
	}
	walk_halt(room);
	room->step = WALK_RESOLVE;
	loop_timer_set(&room->timer, REPLACED_RETRY_MS);
}

void
room_saw_own(struct matrix *matrix, const char *id, const struct json_event *event)
{
	struct room *room = room_find(matrix, id);
	char event_id[sizeof(room->own_id)];

	if (!room || !room->ready || !matrix_take_id(event->event_id, event_id, sizeof(event_id)))
		return;
	if (outbox_has_doubts(matrix->parts.outbox, room->person ? room->person : room->id))
		gap_settle_own(matrix, room->person ? room->person : room->id, event->raw.p, event->raw.n, event_id);
	if (event->stamp_ms < room->own_ms)
		return; /* delivered again by a homeserver that was restarted */
	memcpy(room->own_id, event_id, sizeof(event_id));
	room->own_ms = event->stamp_ms;
	if (++room->own_count % OWN_PER_MOVE == 0)
		inbox_move_cursor(matrix->parts.inbox, NETWORK_MATRIX, id, room->own_id, room->own_ms);
}
