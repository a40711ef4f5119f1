/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which devices a person has is asked anew for each room that is made: of somebody with whom we shared none, nobody says what has
 * changed. A room once made stays as it is, until its person encrypts it or leaves.
 */
#include "matrix/direct.h"

#include "base/log.h"
#include "matrix/crypto/crypto.h"
#include "matrix/crypto/peers.h"
#include "matrix/ghost.h"
#include "matrix/room.h"

#include <stdio.h>
#include <stdlib.h>

#define RETRY_MS 1000
#define FAILURES_MAX 10 /* a pause twice as long after each: a quarter of an hour */
#define REFUSED_MS 60000 /* a person whose room cannot be made is not asked again before */

struct direct {
	struct matrix *matrix;
	const char *person;
	struct http_request *request;
	bool looked;             /* his devices were asked for */
	unsigned failures;       /* in a row */
	bool refused;
	enum refusal why;        /* of `refused` */
	char detail[256];        /* the same in words */
	struct loop_timer timer; /* a pause, or the end of `refused` */
};

static void
on_timer(void *context)
{
	struct direct *direct = context;

	direct->refused = false;
	outbox_wake(direct->matrix->parts.outbox);
}

struct direct *
direct_new(struct matrix *matrix, const char *person)
{
	struct direct *direct = xcalloc(1, sizeof(*direct));

	direct->matrix = matrix;
	direct->person = person;
	loop_timer_init(&direct->timer, matrix->parts.loop, on_timer, direct);
	return direct;
}

void
direct_free(struct direct *direct)
{
	if (!direct)
		return;
	http_cancel(direct->request);
	loop_timer_stop(&direct->timer);
	free(direct);
}

bool
direct_is_refused(const struct direct *direct, enum refusal *why, const char **detail)
{
	*why = direct->why;
	*detail = direct->detail;
	return direct->refused;
}

static void
give_up(struct direct *direct, enum refusal why)
{
	log_warning(LOG_MATRIX, "cannot make a direct room person=%s why=\"%s\"", direct->person, direct->detail);
	direct->refused = true;
	direct->why = why;
	loop_timer_set(&direct->timer, REFUSED_MS);
	outbox_wake(direct->matrix->parts.outbox);
}

static void
on_made(void *context, const struct http_answer *answer)
{
	struct direct *direct = context;
	struct judged judged;

	direct->request = NULL;
	matrix_judge(direct->matrix, answer, &judged);
	const char *id = json_text(judged.json, "room_id");
	if (judged.is == JUDGED_FINE && id && id[0] == '!') {
		direct->failures = 0;
		room_made_direct(direct->matrix, id, direct->person);
		log_info(LOG_MATRIX, "made a direct room person=%s room=%s", direct->person, id);
		outbox_wake(direct->matrix->parts.outbox);
	} else if (judged.is == JUDGED_AGAIN && direct->failures < FAILURES_MAX) {
		/* Where his server is away the homeserver makes the room first, then fails to invite him: each attempt leaves one behind. */
		int64_t pause_ms = (int64_t)RETRY_MS << direct->failures;
		direct->failures += judged.status >= 500;
		loop_timer_set(&direct->timer, judged.delay_ms > pause_ms ? judged.delay_ms : pause_ms);
	} else {
		direct->failures = 0;
		snprintf(direct->detail, sizeof(direct->detail), "%s: %s", judged.errcode, judged.error);
		give_up(direct, REFUSAL_NOT_MEMBER);
	}
	judged_fini(&judged);
}

static void
make(struct direct *direct, bool encrypted)
{
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/createRoom?user_id=%s", direct->matrix->bot);
	AUTO_STR struct str text;
	json_t *body = json_pack("{s:s, s:b, s:[s]}", "preset", "trusted_private_chat", "is_direct", 1, "invite", direct->person);

	if (encrypted)
		json_object_set_new(body, "initial_state", json_pack("[{s:s, s:s, s:{s:s}}]", "type", "m.room.encryption", "state_key", "", "content",
				"algorithm", "m.megolm.v1.aes-sha2"));
	direct->looked = false;
	str_init(&text, 4096);
	json_add(&text, body);
	json_decref(body);
	direct->request = matrix_ask(direct->matrix, "POST", path, str_get(&text), on_made, direct);
}

/* What the person could read in an encrypted room. */
static enum peers_reading
look(struct direct *direct)
{
	const struct author bot = { .person = NULL };
	struct matrix *matrix = direct->matrix;

	if (!matrix->crypto || matrix->settings.refuse_encrypted)
		return PEERS_READ_NOT;
	if (ghost_prepare(ghost_get(matrix, &bot), NULL, NULL) != GHOST_READY)
		return PEERS_READ_UNKNOWN;
	if (!direct->looked)
		peers_touch(matrix->crypto->peers, direct->person);
	direct->looked = true;
	return peers_reads(matrix->crypto->peers, direct->person);
}

/* It was made, and soon it is known whether it is encrypted. */
static bool
is_there(const struct direct *direct)
{
	char id[PEOPLE_ADDRESS_MAX];
	const struct room *room = people_direct(direct->matrix->parts.people, direct->person, id, sizeof(id)) ? room_find(direct->matrix, id) : NULL;

	return room && room_is_asking(room);
}

void
direct_prepare(struct direct *direct)
{
	if (direct->request || loop_timer_armed(&direct->timer) || is_there(direct))
		return;
	enum peers_reading reading = look(direct);
	if (reading == PEERS_READ_UNKNOWN)
		return;
	if (reading == PEERS_READ_SILENT) {
		/* A server that does not say so would not bring its user into the room either. */
		loop_timer_set(&direct->timer, REFUSED_MS);
	} else if (reading == PEERS_READ_NOT && direct->matrix->settings.refuse_plain) {
		snprintf(direct->detail, sizeof(direct->detail), "encryption.require is true, and no device of this person's could read what is encrypted");
		direct->looked = false;
		give_up(direct, REFUSAL_PLAIN);
	} else {
		make(direct, reading == PEERS_READ);
	}
}
