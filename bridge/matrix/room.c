/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A room is entered step by step: its alias resolved, the bot joined, members and power learnt, then the archive read back
 * to the cursor, and only then its gate is opened. Each answer names the next step; a failure waits and repeats the step; the homeserver's
 * failure ends all of it, and the next arrival begins again. What the archive shows is accepted in one turn, oldest first,
 * together with the opening of the gate, so that a crash in between finds the same cursor.
 */
#include "matrix/room.h"

#include "base/log.h"
#include "base/now.h"
#include "base/seal.h"
#include "matrix/event.h"
#include "matrix/ghost.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_EVENTS 50
#define PAGE_LIMIT "50"
#define PAGES_MAX 200 /* 10,000 events: a gap is read to its end, or its older half would come last, or never */
#define RETRY_MS 2000
#define REFUSED_RETRY_MS 30000
#define LOST_RETRY_MS 60000
#define OVERLAP 40      /* events read beyond the cursor; less than PAGE_EVENTS */
#define OWN_PER_MOVE 20 /* our own events pass so often before the cursor is written */
#define CANDIDATES_MAX 16 /* invitations looked at at a time */
#define POWER_CREATOR 100
#define STATE_DEFAULT 50

enum step_number {
	STEP_RESOLVE,
	STEP_CREATE,
	STEP_JOIN,
	STEP_MEMBERS,
	STEP_POWER,
	STEP_CREATION,
	STEP_ARCHIVE,
	STEP_LEAVE,
	STEP_COUNT,
	STEP_LATER = STEP_COUNT, /* the same again, after room::delay_ms */
	STEP_READY,
	STEP_GONE,               /* forget this room */
};

/* An event of the archive. */
struct found {
	struct list link; /* room::found, newest first */
	char *id, *raw;   /* raw with its mark */
	size_t size;
	int64_t stamp_ms;
	bool own;
};

struct room {
	struct list link;    /* matrix::rooms */
	struct matrix *matrix;
	struct group *group; /* NULL: a direct room, or not yet known to be one */
	char *id;            /* "" until it is resolved */
	char *person;        /* of a direct room: whose it is, or who invited the bot */
	bool candidate;      /* an invitation: is it a room of two? */
	bool inside, ready, warned;
	char *trouble;       /* what keeps us out, as it was logged; or NULL */
	enum step_number step;
	int64_t delay_ms;
	struct http_request *request;
	struct loop_timer timer;
	json_t *power;       /* owns: content of m.room.power_levels, or NULL */
	json_t *creators;    /* owns: MXIDs whose power has no limit, or NULL */
	char *creator;       /* of a room without power levels */
	struct list found;   /* owns: found::link */
	size_t found_count;
	unsigned pages;
	bool met;            /* the archive was read back to the cursor */
	unsigned beyond;     /* events read beyond it since */
	char *from;          /* the archive's next page, or NULL */
	char own_id[256];    /* an event of ours that the cursor may move to */
	int64_t own_ms;
	unsigned own_count;
};

static void enter(struct room *room, enum step_number step);
static void on_answer(void *context, const struct http_answer *answer);

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

	enter(room, room->step);
}

static struct room *
room_new(struct matrix *matrix, struct group *group, const char *id)
{
	struct room *room = xcalloc(1, sizeof(*room));

	room->matrix = matrix;
	room->group = group;
	room->id = xstrdup(id);
	list_init(&room->found);
	loop_timer_init(&room->timer, matrix->parts.loop, on_timer, room);
	list_append(&matrix->rooms, &room->link);
	return room;
}

static void
forget_found(struct room *room)
{
	struct found *found;

	LIST_FOR_EACH(found, &room->found, struct found, link) {
		list_remove(&found->link);
		mem_free_secret(found->raw, found->size);
		free(found->id);
		free(found);
	}
	room->found_count = 0;
	room->pages = 0;
	room->met = false;
	room->beyond = 0;
	free(room->from);
	room->from = NULL;
}

static void
room_free(struct room *room)
{
	http_cancel(room->request);
	loop_timer_stop(&room->timer);
	forget_found(room);
	list_remove(&room->link);
	json_decref(room->power);
	json_decref(room->creators);
	free(room->creator);
	free(room->trouble);
	free(room->person);
	free(room->id);
	free(room);
}

void
room_free_all(struct matrix *matrix)
{
	struct room *room;

	LIST_FOR_EACH(room, &matrix->rooms, struct room, link)
		room_free(room);
}

bool
room_is_inside(const struct room *room)
{
	return room->inside;
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
		n += room->group && room->ready;
	return n;
}

void
room_tell_trouble(const struct matrix *matrix, const char *group, char *out, size_t size)
{
	struct room *room;

	snprintf(out, size, "%s", "the homeserver was not asked yet");
	LIST_FOR_EACH(room, &matrix->rooms, struct room, link)
		if (room->group && strcmp(room->group->name, group) == 0)
			snprintf(out, size, "%s", room->ready ? "" : room->trouble ? room->trouble : "it is being entered");
}

/* ---- power ---- */

static int64_t
level_in(const json_t *content, const char *person)
{
	const json_t *value = json_object_get(json_child(content, "users"), person);
	int64_t level = 0;

	if (json_is_integer(value))
		return json_integer_value(value);
	/* Old room versions allow numbers in quotes. */
	if (json_is_string(value))
		return strtoll(json_string_value(value), NULL, 10);
	json_whole(content, "users_default", &level);
	return level;
}

bool
room_moderates(struct matrix *matrix, const char *id, const char *person)
{
	const struct room *room = room_find(matrix, id);
	int64_t needed = STATE_DEFAULT;
	const json_t *creator;
	size_t i;

	if (!room)
		return false;
	json_array_foreach(room->creators, i, creator)
		if (str_equal(json_string_value(creator), person))
			return true;
	if (!room->power)
		return str_equal(room->creator, person);
	json_whole(room->power, "state_default", &needed);
	return level_in(room->power, person) >= needed;
}

static void
set_power(struct room *room, const json_t *content)
{
	json_decref(room->power);
	room->power = content ? json_deep_copy(content) : NULL;
}

void
room_set_power(struct matrix *matrix, const char *id, const json_t *content)
{
	struct room *room = room_find(matrix, id);

	if (room)
		set_power(room, content);
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

static enum step_number
later(struct room *room, int64_t delay_ms)
{
	room->delay_ms = delay_ms;
	return STEP_LATER;
}

/* Said once until it is mended. */
static enum step_number
refused(struct room *room, const char *what, const struct judged *judged)
{
	if (!room->warned)
		log_warning(LOG_MATRIX, "%s group=%s room=%s status=%ld errcode=%s error=\"%s\" retry=%ds", what,
			room->group ? room->group->name : "", room->group ? room->group->matrix_wanted : room->id, judged->status,
			judged->errcode, judged->error, REFUSED_RETRY_MS / 1000);
	room->warned = true;
	free(room->trouble);
	room->trouble = xasprintf("%s: %s", what, judged->error[0] ? judged->error : judged->errcode);
	return later(room, REFUSED_RETRY_MS);
}

static void
ask_resolve(struct room *room)
{
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/directory/room/%s", room->group->matrix_wanted);

	ask(room, "GET", path, NULL);
}

static void
set_id(struct room *room, const char *id)
{
	free(room->id);
	room->id = xstrdup(id);
	groups_set_room(room->group, NETWORK_MATRIX, id);
}

static enum step_number
took_resolve(struct room *room, const struct judged *judged, const struct http_answer *answer)
{
	const char *id = json_text(judged->json, "room_id");

	(void)answer;
	if (judged->is == JUDGED_FINE && id && id[0] == '!') {
		set_id(room, id);
		return STEP_JOIN;
	}
	if (judged->status == 404 && room->group->create)
		return STEP_CREATE;
	return refused(room, "an alias leads to no room", judged);
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

static enum step_number
took_create(struct room *room, const struct judged *judged, const struct http_answer *answer)
{
	const char *id = json_text(judged->json, "room_id");

	(void)answer;
	if (judged->is == JUDGED_FINE && id && id[0] == '!') {
		set_id(room, id);
		room->inside = true;
		log_info(LOG_MATRIX, "made a room group=%s room=%s", room->group->name, id);
		return STEP_MEMBERS;
	}
	room->step = STEP_RESOLVE; /* somebody else may have made it */
	return refused(room, "cannot make a room", judged);
}

static void
ask_join(struct room *room)
{
	/* By its alias when there is one: that also names the servers to ask for a room of elsewhere. */
	const char *by = room->group ? room->group->matrix_wanted : room->id;
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/join/%s?user_id=%s", by, room->matrix->bot);
	json_t *body = json_object();

	ask(room, "POST", path, body);
	json_decref(body);
}

static enum step_number
took_join(struct room *room, const struct judged *judged, const struct http_answer *answer)
{
	(void)answer;
	if (judged->is == JUDGED_FINE) {
		room->inside = true;
		room->warned = false;
		return STEP_MEMBERS;
	}
	if (!room->group)
		return STEP_GONE;
	return refused(room, "the bot cannot enter a room (invite it, or let anyone join)", judged);
}

/* ---- steps: who is there ---- */

static void
ask_members(struct room *room)
{
	const char *what = room->group ? "joined_members" : "members";
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/rooms/%s/%s?user_id=%s", room->id, what, room->matrix->bot);

	ask(room, "GET", path, NULL);
}

static void
learn_name(struct room *room, const char *person, const char *name)
{
	struct people *people = room->matrix->parts.people;
	char known[PEOPLE_NAME_MAX];

	if (matrix_is_own(room->matrix, person, strlen(person)))
		return;
	if (!people_name(people, room->id, person, known, sizeof(known)))
		known[0] = '\0';
	if (strncmp(known, name, sizeof(known) - 4) != 0)
		people_set_name(people, room->id, person, name);
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
		const char *name = json_text(member, "display_name");
		learn_name(room, person, name ? name : "");
	}
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
			learn_name(room, who, name ? name : "");
		} else if (strcmp(who, room->matrix->bot) != 0) {
			others = true;
		}
	}
	return there && !others;
}

static enum step_number
took_direct_members(struct room *room, const json_t *members)
{
	struct people *people = room->matrix->parts.people;

	if (!is_room_of_two(room, members)) {
		log_info(LOG_MATRIX, "leaves a room that is not of two room=%s", room->id);
		if (!room->candidate)
			people_save_direct(people, room->person, "");
		return STEP_LEAVE;
	}
	if (room->candidate)
		people_save_direct(people, room->person, room->id);
	room->candidate = false;
	return STEP_ARCHIVE;
}

static enum step_number
took_members(struct room *room, const struct judged *judged, const struct http_answer *answer)
{
	(void)answer;
	if (judged->is != JUDGED_FINE || !judged->json) {
		room->inside = false;
		room->step = STEP_JOIN;
		return room->group ? refused(room, "cannot read a room's members", judged) : STEP_GONE;
	}
	if (!room->group)
		return took_direct_members(room, json_object_get(judged->json, "chunk"));
	learn_names(room, json_child(judged->json, "joined"));
	return STEP_POWER;
}

static void
ask_power(struct room *room)
{
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/rooms/%s/state/m.room.power_levels?user_id=%s", room->id,
		room->matrix->bot);

	ask(room, "GET", path, NULL);
}

static enum step_number
took_power(struct room *room, const struct judged *judged, const struct http_answer *answer)
{
	(void)answer;
	set_power(room, judged->is == JUDGED_FINE ? judged->json : NULL);
	return STEP_CREATION;
}

static void
ask_creation(struct room *room)
{
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/rooms/%s/state/m.room.create?format=event&user_id=%s", room->id,
		room->matrix->bot);

	ask(room, "GET", path, NULL);
}

/* From room version 12 on the creators' power has no limit and stands in no list. */
static enum step_number
took_creation(struct room *room, const struct judged *judged, const struct http_answer *answer)
{
	const json_t *content = json_child(judged->json, "content");
	const char *sender = json_text(judged->json, "sender");
	const char *version = json_text(content, "room_version");
	const json_t *more = json_object_get(content, "additional_creators");

	(void)answer;
	free(room->creator);
	room->creator = xstrdup(sender);
	json_decref(room->creators);
	room->creators = NULL;
	if (sender && version && strtol(version, NULL, 10) >= 12) {
		room->creators = json_is_array(more) ? json_copy((json_t *)(uintptr_t)more) : json_array();
		json_array_append_new(room->creators, json_string(sender));
	}
	return STEP_ARCHIVE;
}

/* ---- steps: the archive ---- */

static void
ask_archive(struct room *room)
{
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/rooms/%s/messages?dir=b&limit=%s&user_id=%s", room->id, PAGE_LIMIT,
		room->matrix->bot);
	AUTO_FREE char *next = room->from ? matrix_path("&from=%s", room->from) : xstrdup("");
	AUTO_FREE char *whole = xasprintf("%s%s", path, next);

	ask(room, "GET", whole, NULL);
}

static void
copy_span(struct span span, char *out, size_t size)
{
	snprintf(out, size, "%.*s", (int)span.n, span.p ? span.p : "");
}

static void
keep_found(struct room *room, const struct json_event *event)
{
	struct found *found = xcalloc(1, sizeof(*found));

	found->id = xstrndup(event->event_id.p, event->event_id.n);
	found->size = event->raw.n + 1;
	found->raw = xmalloc(found->size);
	found->raw[0] = matrix_is_late(room->matrix, event->stamp_ms) ? EVENT_LATE_MARK : EVENT_ARCHIVE_MARK;
	memcpy(found->raw + 1, event->raw.p, event->raw.n);
	found->stamp_ms = event->stamp_ms;
	found->own = event->sender.p && matrix_is_own(room->matrix, event->sender.p, event->sender.n);
	list_append(&room->found, &found->link);
	room->found_count++;
}

/* Whether the archive is read back far enough with this event, the newest not looked at yet. */
static bool
is_met(struct room *room, const struct json_event *event, const char *id)
{
	struct inbox *inbox = room->matrix->parts.inbox;
	char cursor[256];
	int64_t at_ms;

	if (!inbox_cursor(inbox, room->id, cursor, sizeof(cursor), &at_ms))
		return room->group; /* first entry: nothing older than now crosses */
	if (*cursor ? strcmp(cursor, id) == 0 : event->stamp_ms < at_ms)
		return true;
	/* A direct room has no gate, so what it brought a moment ago is known although older things may be missing. */
	return room->group && inbox_knows(inbox, room->id, id);
}

/*
 * A homeserver brings transactions in the order of its stream and shows the archive in the order of the graph. Of events sent
 * at the same moment one may lie before the cursor here and yet never have reached us: so a little more is read.
 */
static bool
is_read(const struct room *room)
{
	return room->met && room->beyond >= OVERLAP;
}

static void
on_event(void *context, const struct json_event *event)
{
	struct room *room = context;
	char id[256];

	if (is_read(room) || !event->event_id.p || event->event_id.n >= sizeof(id))
		return;
	copy_span(event->event_id, id, sizeof(id));
	room->beyond += room->met;
	room->met = room->met || is_met(room, event, id);
	keep_found(room, event);
}

static const char *
lane_of(const struct room *room)
{
	return room->person ? room->person : room->id;
}

/* A row of ours that the homeserver shows: settled, whatever became of the answer. */
static void
settle_own(struct room *room, const char *raw, size_t size, const char *id)
{
	const char *why;
	json_t *json = json_read(raw, size, &why);
	const char *name = json_text(json_child(json, "content"), "org.sourdine.id");

	if (name)
		outbox_settle_name(room->matrix->parts.outbox, lane_of(room), name, id);
	json_decref(json);
}

/* As inbox_accept(); what was said before we came is only noted. */
static int
keep_or_note(struct room *room, const struct found *found, bool entered)
{
	struct inbox *inbox = room->matrix->parts.inbox;

	if (entered || !room->group)
		return inbox_accept(inbox, NETWORK_MATRIX, room->id, found->id, found->raw, found->size);
	inbox_note(inbox, NETWORK_MATRIX, room->id, found->id);
	return INBOX_E_KNOWN;
}

/* How many were new, or -errno when nothing can be committed now. */
static int
accept_found(struct room *room, const char **ids, size_t *count, bool entered)
{
	int fresh = 0;

	*count = 0;
	for (struct list *at = room->found.prev; at != &room->found; at = at->prev) {
		const struct found *found = LIST_ENTRY(at, struct found, link);
		if (found->own) {
			settle_own(room, found->raw + 1, found->size - 1, found->id);
			continue;
		}
		int r = keep_or_note(room, found, entered);
		if (r < 0)
			return r;
		fresh += r == 0;
		ids[(*count)++] = found->id;
	}
	return fresh;
}

static enum step_number
open_gate(struct room *room)
{
	struct inbox *inbox = room->matrix->parts.inbox;
	const struct found *newest = list_empty(&room->found) ? NULL : LIST_ENTRY(room->found.next, struct found, link);
	char cursor[8];
	int64_t at_ms;
	size_t count = 0;
	bool entered = inbox_cursor(inbox, room->id, cursor, sizeof(cursor), &at_ms);
	const char **ids = xcalloc(room->found_count + 1, sizeof(*ids));
	int fresh = accept_found(room, ids, &count, entered);

	if (fresh >= 0 && room->group)
		inbox_open_gate(inbox, room->id, ids, count, newest ? newest->id : NULL, newest ? newest->stamp_ms : 0);
	else if (fresh >= 0 && newest)
		inbox_move_cursor(inbox, NETWORK_MATRIX, room->id, newest->id, newest->stamp_ms);
	free(ids);
	if (fresh < 0)
		return later(room, RETRY_MS);
	if (fresh)
		log_info(LOG_MATRIX, "read the archive room=%s events=%d pages=%u", room->id, fresh, room->pages);
	if (!room->met && entered && room->from)
		log_warning(LOG_MATRIX, "a gap is longer than %d events, what is older is not fetched room=%s", PAGES_MAX * PAGE_EVENTS,
			room->id);
	forget_found(room);
	return STEP_READY;
}

static enum step_number
took_archive(struct room *room, const struct judged *judged, const struct http_answer *answer)
{
	struct span end = json_find_text(answer->body, answer->size, "end");

	if (judged->is != JUDGED_FINE || !json_split(answer->body, answer->size, "chunk", on_event, room)) {
		forget_found(room);
		return refused(room, "cannot read a room's archive", judged);
	}
	room->pages++;
	free(room->from);
	room->from = end.p ? xstrndup(end.p, end.n) : NULL;
	return is_read(room) || !room->from || room->pages == PAGES_MAX ? open_gate(room) : STEP_ARCHIVE;
}

static void
ask_leave(struct room *room)
{
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/rooms/%s/leave?user_id=%s", room->id, room->matrix->bot);
	json_t *body = json_object();

	ask(room, "POST", path, body);
	json_decref(body);
}

static enum step_number
took_leave(struct room *room, const struct judged *judged, const struct http_answer *answer)
{
	(void)room;
	(void)judged;
	(void)answer;
	return STEP_GONE;
}

/* ---- the chain ---- */

static const struct {
	const char *word;
	void (*ask)(struct room *room);
	enum step_number (*took)(struct room *room, const struct judged *judged, const struct http_answer *answer);
} steps[STEP_COUNT] = {
	[STEP_RESOLVE] = { "resolve", ask_resolve, took_resolve },
	[STEP_CREATE] = { "create", ask_create, took_create },
	[STEP_JOIN] = { "join", ask_join, took_join },
	[STEP_MEMBERS] = { "members", ask_members, took_members },
	[STEP_POWER] = { "power", ask_power, took_power },
	[STEP_CREATION] = { "creation", ask_creation, took_creation },
	[STEP_ARCHIVE] = { "archive", ask_archive, took_archive },
	[STEP_LEAVE] = { "leave", ask_leave, took_leave },
};

static void
become_ready(struct room *room)
{
	if (room->group && !room->ready)
		log_info(LOG_MATRIX, "joined group=%s room=%s", room->group->name, room->id);
	room->ready = true;
	room->warned = false;
	free(room->trouble);
	room->trouble = NULL;
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
enter(struct room *room, enum step_number step)
{
	if (step == STEP_LATER) {
		loop_timer_set(&room->timer, room->delay_ms);
		return;
	}
	if (step == STEP_GONE) {
		room_free(room);
		return;
	}
	if (step == STEP_READY) {
		become_ready(room);
		return;
	}
	if (room->matrix->state != MATRIX_HERE)
		return;
	room->step = step;
	if (step == STEP_ARCHIVE && settling_ms(room) > 0)
		loop_timer_set(&room->timer, settling_ms(room));
	else if (step == STEP_ARCHIVE && room->matrix->no_archive)
		enter(room, open_gate(room));
	else
		steps[step].ask(room);
}

static void
on_answer(void *context, const struct http_answer *answer)
{
	struct room *room = context;
	struct judged judged;

	room->request = NULL;
	matrix_judge(room->matrix, answer, &judged);
	if (judged.is == JUDGED_AGAIN)
		enter(room, later(room, judged.delay_ms > RETRY_MS ? judged.delay_ms : RETRY_MS));
	else
		enter(room, steps[room->step].took(room, &judged, answer));
	judged_fini(&judged);
}

static void
halt(struct room *room)
{
	http_cancel(room->request);
	room->request = NULL;
	loop_timer_stop(&room->timer);
	forget_found(room);
	inbox_close_gate(room->matrix->parts.inbox, room->id);
	room->ready = false;
}

static void
restart(struct room *room, enum step_number step)
{
	halt(room);
	enter(room, step);
}

/* ---- asked from outside ---- */

static struct room *
room_of_group(struct matrix *matrix, struct group *group)
{
	struct room *room;

	LIST_FOR_EACH(room, &matrix->rooms, struct room, link)
		if (room->group == group)
			return room;
	/* An alias is followed once in each process: what the core remembers of it may be out of date. */
	return room_new(matrix, group, *group->matrix_wanted == '!' ? group->matrix_wanted : "");
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
	restart(room, STEP_MEMBERS);
}

void
room_enter_all(struct matrix *matrix, const json_t *joined)
{
	struct group *group;
	const json_t *id;
	size_t i;

	LIST_FOR_EACH(group, &matrix->parts.groups->all, struct group, link) {
		if (!group->matrix_wanted || !*group->matrix_wanted)
			continue;
		struct room *room = room_of_group(matrix, group);
		room->inside = lists(joined, room->id);
		restart(room, !*room->id ? STEP_RESOLVE : room->inside ? STEP_MEMBERS : STEP_JOIN);
	}
	json_array_foreach(joined, i, id)
		if (json_is_string(id))
			enter_direct(matrix, json_string_value(id));
}

void
room_leave_all(struct matrix *matrix)
{
	struct room *room;

	LIST_FOR_EACH(room, &matrix->rooms, struct room, link) {
		loop_timer_stop(&room->timer);
		forget_found(room);
		inbox_close_gate(matrix->parts.inbox, room->id);
		room->ready = false;
	}
}

void
room_refill_all(struct matrix *matrix)
{
	struct room *room;

	LIST_FOR_EACH(room, &matrix->rooms, struct room, link)
		if (room->ready)
			restart(room, STEP_ARCHIVE);
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
	restart(room, STEP_JOIN);
}

void
room_made_direct(struct matrix *matrix, const char *id, const char *person)
{
	struct room *room = room_new(matrix, NULL, id);

	people_save_direct(matrix->parts.people, person, id);
	room->person = xstrdup(person);
	room->inside = true;
	enter(room, STEP_ARCHIVE);
}

void
room_lost(struct matrix *matrix, const char *id)
{
	struct room *room = room_find(matrix, id);

	if (!room || !room->inside)
		return;
	log_warning(LOG_MATRIX, "the bot is no longer in a room room=%s", id);
	room->inside = false;
	halt(room);
	room->step = STEP_JOIN;
	loop_timer_set(&room->timer, LOST_RETRY_MS);
}

void
room_rejoin(struct matrix *matrix, const char *id)
{
	struct room *room = room_find(matrix, id);

	if (!room || !room->inside)
		return;
	room->inside = false;
	restart(room, STEP_JOIN);
}

void
room_saw_own(struct matrix *matrix, const char *id, const struct json_event *event)
{
	struct room *room = room_find(matrix, id);
	char event_id[sizeof(room->own_id)];

	if (!room || !room->ready || !event->event_id.p || event->event_id.n >= sizeof(event_id))
		return;
	copy_span(event->event_id, event_id, sizeof(event_id));
	if (outbox_has_doubts(matrix->parts.outbox, lane_of(room)))
		settle_own(room, event->raw.p, event->raw.n, event_id);
	if (event->stamp_ms < room->own_ms)
		return; /* delivered again by a homeserver that was restarted */
	memcpy(room->own_id, event_id, sizeof(event_id));
	room->own_ms = event->stamp_ms;
	if (++room->own_count % OWN_PER_MOVE == 0)
		inbox_move_cursor(matrix->parts.inbox, NETWORK_MATRIX, id, room->own_id, room->own_ms);
}
