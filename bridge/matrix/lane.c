/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lane has at most one request in flight, so its order is that of the rows. The transaction id is the row's name and every
 * request carries the device, which makes the homeserver remember the pair for a day, beyond its own restarts: a row whose
 * outcome is unknown is simply sent again (delivery.md F1, F2), once the archive was read for what became of it. What an answer means is the table at `reactions`.
 */
#include "matrix/lane.h"

#include "base/log.h"
#include "base/seal.h"
#include "matrix/event.h"
#include "matrix/ghost.h"
#include "matrix/room.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BACKOFF_MS 1000
#define BACKOFF_MAX_MS 300000
#define REJOIN_MS 1000
#define UNKNOWN_TOKEN_MS 60000
#define DIRECT_REFUSED_MS 60000 /* a person whose direct room cannot be made is not asked again before */

struct lane {
	struct list link;   /* matrix::lanes */
	struct matrix *matrix;
	char *address;      /* a room id, or "@person:server" */
	struct http_request *request;
	int64_t row;        /* in flight, 0: none */
	struct ghost *ghost; /* who sends it */
	unsigned failures;  /* in a row, for the back-off */
	int64_t forbidden;  /* the row that was answered 403 once */
	bool making;        /* its direct room is being made */
	bool unreachable;   /* its direct room cannot be made: the row is refused */
	char why[256];      /* of `unreachable` */
	struct loop_timer timer; /* ends `unreachable` or a pause in making */
};

static void
on_timer(void *context)
{
	struct lane *lane = context;

	lane->unreachable = lane->making = false;
	outbox_wake(lane->matrix->parts.outbox);
}

static struct lane *
lane_get(struct matrix *matrix, const char *address)
{
	struct lane *lane;

	LIST_FOR_EACH(lane, &matrix->lanes, struct lane, link)
		if (strcmp(lane->address, address) == 0)
			return lane;
	lane = xcalloc(1, sizeof(*lane));
	lane->matrix = matrix;
	lane->address = xstrdup(address);
	loop_timer_init(&lane->timer, matrix->parts.loop, on_timer, lane);
	list_append(&matrix->lanes, &lane->link);
	return lane;
}

void
lane_free_all(struct matrix *matrix)
{
	struct lane *lane;

	LIST_FOR_EACH(lane, &matrix->lanes, struct lane, link) {
		http_cancel(lane->request);
		loop_timer_stop(&lane->timer);
		list_remove(&lane->link);
		free(lane->address);
		free(lane);
	}
}

/* ---- direct rooms ---- */

/* The room of a lane; false while there is none. */
static bool
find_room(const struct lane *lane, char *id, size_t size)
{
	struct matrix *matrix = lane->matrix;

	if (lane->address[0] != '@') {
		snprintf(id, size, "%s", lane->address);
	} else if (!people_direct(matrix->parts.people, lane->address, id, size)) {
		return false;
	}
	const struct room *room = room_find(matrix, id);
	return room && room_is_inside(room);
}

static void
on_direct_made(void *context, const struct http_answer *answer)
{
	struct lane *lane = context;
	struct judged judged;

	lane->request = NULL;
	matrix_judge(lane->matrix, answer, &judged);
	const char *id = json_text(judged.json, "room_id");
	if (judged.is == JUDGED_FINE && id && id[0] == '!') {
		lane->making = false;
		room_made_direct(lane->matrix, id, lane->address);
		log_info(LOG_MATRIX, "made a direct room person=%s room=%s", lane->address, id);
		outbox_wake(lane->matrix->parts.outbox);
	} else if (judged.is == JUDGED_AGAIN) {
		loop_timer_set(&lane->timer, judged.delay_ms > BACKOFF_MS ? judged.delay_ms : BACKOFF_MS);
	} else {
		snprintf(lane->why, sizeof(lane->why), "%s: %s", judged.errcode, judged.error);
		log_warning(LOG_MATRIX, "cannot make a direct room person=%s why=\"%s\"", lane->address, lane->why);
		lane->making = false;
		lane->unreachable = true;
		loop_timer_set(&lane->timer, DIRECT_REFUSED_MS);
		outbox_wake(lane->matrix->parts.outbox);
	}
	judged_fini(&judged);
}

static void
make_direct(struct lane *lane)
{
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/createRoom?user_id=%s", lane->matrix->bot);
	AUTO_STR struct str text;
	json_t *body = json_pack("{s:s, s:b, s:[s]}", "preset", "trusted_private_chat", "is_direct", 1, "invite", lane->address);

	lane->making = true;
	str_init(&text, 4096);
	json_add(&text, body);
	json_decref(body);
	lane->request = matrix_ask(lane->matrix, "POST", path, str_get(&text), on_direct_made, lane);
}

/* ---- ready ---- */

unsigned
lane_ready(struct matrix *matrix, const char *address, const struct author *author)
{
	struct lane *lane = lane_get(matrix, address);
	char id[PEOPLE_ADDRESS_MAX];

	if (matrix->state != MATRIX_HERE || lane->request || lane->row)
		return 0;
	if (!find_room(lane, id, sizeof(id))) {
		if (lane->unreachable)
			return 1; /* to be refused with its reason */
		if (address[0] == '@' && !lane->making)
			make_direct(lane);
		return 0;
	}
	struct ghost *ghost = ghost_get(matrix, author);
	bool bot = !author->person;
	return ghost_prepare(ghost, bot ? NULL : id, bot ? NULL : author->name) != GHOST_BUSY;
}

/* ---- answers ---- */

/* One row of delivery.md 8. */
struct reaction {
	long status;         /* 0: any */
	const char *errcode; /* NULL: any */
	void (*react)(struct lane *lane, int64_t row, const struct judged *judged);
};

static void
refuse_with(struct lane *lane, int64_t row, enum refusal why, const struct judged *judged)
{
	AUTO_FREE char *detail = xasprintf("%s: %s", judged->errcode, judged->error);

	lane->failures = 0;
	lane->forbidden = 0;
	outbox_refused(lane->matrix->parts.outbox, row, why, detail);
}

static void
react_unknown_token(struct lane *lane, int64_t row, const struct judged *judged)
{
	(void)judged;
	outbox_again(lane->matrix->parts.outbox, row, UNKNOWN_TOKEN_MS);
}

/* The name keeps its meaning: the homeserver files it under the id of the device, which is made again under the same id. */
static void
react_unknown_device(struct lane *lane, int64_t row, const struct judged *judged)
{
	(void)judged;
	log_warning(LOG_MATRIX, "a device is gone, it is made again user=%s", ghost_mxid(lane->ghost));
	ghost_lost_device(lane->ghost);
	outbox_again(lane->matrix->parts.outbox, row, 0);
}

/* Enters the room again, once; if that does not help it is a matter of power. */
static void
react_forbidden(struct lane *lane, int64_t row, const struct judged *judged)
{
	char id[PEOPLE_ADDRESS_MAX];

	if (lane->forbidden == row || !find_room(lane, id, sizeof(id))) {
		refuse_with(lane, row, REFUSAL_MODERATED, judged);
		return;
	}
	lane->forbidden = row;
	if (strcmp(ghost_mxid(lane->ghost), lane->matrix->bot) == 0)
		room_rejoin(lane->matrix, id);
	else
		ghost_left(lane->ghost, id);
	outbox_again(lane->matrix->parts.outbox, row, 0);
}

static void
react_too_big(struct lane *lane, int64_t row, const struct judged *judged)
{
	refuse_with(lane, row, REFUSAL_TOO_BIG, judged);
}

static void
react_gone(struct lane *lane, int64_t row, const struct judged *judged)
{
	refuse_with(lane, row, REFUSAL_ROOM_GONE, judged);
}

/* The mark is there already: that is what was wanted. */
static void
react_marked(struct lane *lane, int64_t row, const struct judged *judged)
{
	(void)judged;
	outbox_settled(lane->matrix->parts.outbox, row, "");
}

static void
react_no(struct lane *lane, int64_t row, const struct judged *judged)
{
	refuse_with(lane, row, REFUSAL_OTHER, judged);
}

static const struct reaction reactions[] = {
	{ 401, NULL, react_unknown_token },
	{ 0, "M_UNKNOWN_DEVICE", react_unknown_device },
	{ 0, "ORG.MATRIX.MSC4326.M_UNKNOWN_DEVICE", react_unknown_device },
	{ 0, "M_DUPLICATE_ANNOTATION", react_marked },
	{ 0, "M_TOO_LARGE", react_too_big },
	{ 403, NULL, react_forbidden },
	{ 404, NULL, react_gone },
	{ 413, NULL, react_too_big },
	{ 0, NULL, react_no },
};

static void
react(struct lane *lane, int64_t row, const struct judged *judged)
{
	size_t i = 0;

	while ((reactions[i].status && reactions[i].status != judged->status) ||
			(reactions[i].errcode && strcmp(reactions[i].errcode, judged->errcode) != 0))
		i++;
	reactions[i].react(lane, row, judged);
}

/* 1, 2, 4 ... 300 s, with up to a quarter more, so that lanes do not come in step. */
static int64_t
backoff(struct lane *lane)
{
	int64_t delay_ms = (int64_t)BACKOFF_MS << (lane->failures < 9 ? lane->failures : 9);
	uint16_t jitter;

	lane->failures++;
	if (delay_ms > BACKOFF_MAX_MS)
		delay_ms = BACKOFF_MAX_MS;
	seal_random(&jitter, sizeof(jitter));
	return delay_ms + delay_ms * jitter / (4 * 65536);
}

static void
on_sent(void *context, const struct http_answer *answer)
{
	struct lane *lane = context;
	struct outbox *outbox = lane->matrix->parts.outbox;
	struct judged judged;
	int64_t row = lane->row;

	lane->request = NULL;
	lane->row = 0;
	matrix_judge(lane->matrix, answer, &judged);
	const char *id = json_text(judged.json, "event_id");
	if (judged.is == JUDGED_FINE && id) {
		lane->failures = 0;
		lane->forbidden = 0;
		outbox_settled(outbox, row, id);
	} else if (judged.is == JUDGED_FINE || judged.is == JUDGED_AGAIN) {
		/* A homeserver that is gone is waited for by the port's state; its return sends at once. */
		int64_t delay_ms = lane->matrix->state != MATRIX_HERE ? 0 : judged.delay_ms ? judged.delay_ms : backoff(lane);
		outbox_again(outbox, row, delay_ms);
	} else {
		react(lane, row, &judged);
	}
	judged_fini(&judged);
}

/* ---- sending ---- */

/* True: the row was answered without asking the homeserver. */
static bool
refuse_early(struct lane *lane, const struct sending *row, struct ghost *ghost, char *id, size_t size)
{
	struct outbox *outbox = lane->matrix->parts.outbox;

	if (lane->unreachable) {
		outbox_refused(outbox, row->id, REFUSAL_NOT_MEMBER, lane->why);
		return true;
	}
	if (lane->matrix->state != MATRIX_HERE || !find_room(lane, id, size)) {
		outbox_again(outbox, row->id, 0); /* it went away since ready() */
		return true;
	}
	if (row->author.person && ghost_prepare(ghost, id, NULL) == GHOST_REFUSED) {
		outbox_refused(outbox, row->id, REFUSAL_NOT_MEMBER, ghost_refusal(ghost, id));
		return true;
	}
	return false;
}

void
lane_send(struct matrix *matrix, const struct sending *row)
{
	struct lane *lane = lane_get(matrix, row->lane);
	struct ghost *ghost = ghost_get(matrix, &row->author);
	struct event_parts parts;
	char id[PEOPLE_ADDRESS_MAX];

	if (refuse_early(lane, row, ghost, id, sizeof(id)))
		return;
	if (!event_unpack(row->payload ? row->payload : "", row->payload ? row->size : 0, &parts)) {
		outbox_refused(matrix->parts.outbox, row->id, REFUSAL_OTHER, "the stored message cannot be read");
	} else {
		AUTO_FREE char *path = matrix_path("/_matrix/client/v3/rooms/%s/send/%s/%s?user_id=%s&device_id=%s", id, parts.type, row->name,
			ghost_mxid(ghost), ghost_device(ghost));
		lane->row = row->id;
		lane->ghost = ghost;
		lane->request = matrix_ask(matrix, "PUT", path, parts.content, on_sent, lane);
	}
	event_parts_fini(&parts);
}
