/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the homeserver is there. AWAY it is probed, ARRIVING the bot is prepared and the homeserver is asked to bring what it
 * has, HERE rooms are entered and rows are sent. The bot's long poll exists to notice at once when the homeserver goes: from then
 * on nothing that it brings is judged before the archive was read, because what it had in memory for us died with it
 * (delivery.md F3).
 */
#include "matrix/link.h"

#include "base/log.h"
#include "base/now.h"
#include "matrix/crypto/sync.h"
#include "matrix/ghost.h"
#include "matrix/room.h"

#include <stdlib.h>
#include <string.h>

#define PROBE_MS 500
#define PROBE_SLOW_MS 2000   /* after a stay that was shorter than */
#define STAY_SHORT_MS 5000
#define PROBE_TIMEOUT_MS 10000
#define PING_TIMEOUT_MS 20000
#define PING_AGAIN_MS 1000
#define PING_LOOK_MS 1000    /* as long as nothing can be taken */
#define SYNC_TIMEOUT_MS 60000 /* twice what we ask the homeserver to wait */
#define SETTLE_MS 500        /* patience after an arrival, at least */
#define SETTLE_MAX_MS 3000
#define SETTLE_FACTOR 5      /* times what the arrival itself took: a slow homeserver needs more */
#define REFILL_MS (6 * 3600 * 1000)
#define REFILL_SOON_MS 2000  /* after an arrival; then once more after REFILL_AGAIN_MS, see settling_ms() in room.c */
#define REFILL_AGAIN_MS 8000

/* ---- here and away ---- */

static void
probe_later(struct matrix *matrix)
{
	bool flapping = matrix->arrived_ms && now_monotonic_ms() - matrix->arrived_ms < STAY_SHORT_MS;

	loop_timer_set(&matrix->probe, flapping ? PROBE_SLOW_MS : PROBE_MS);
}

static void
forget_requests(struct matrix *matrix)
{
	http_cancel(matrix->request);
	http_cancel(matrix->sync);
	matrix->request = matrix->sync = NULL;
	free(matrix->since);
	matrix->since = NULL;
}

void
link_lost(struct matrix *matrix, const char *why)
{
	if (matrix->state != MATRIX_HERE && matrix->state != MATRIX_ARRIVING)
		return;
	log_warning(LOG_MATRIX, "lost the homeserver why=\"%s\"", why);
	if (matrix->state == MATRIX_HERE)
		matrix->changed_ms = now_real_ms();
	matrix->state = MATRIX_AWAY;
	forget_requests(matrix);
	room_leave_all(matrix);
	probe_later(matrix);
}

/* ---- the bot's long poll ---- */

static void sync_next(struct matrix *matrix);

/* Invitations that came while we were not there. */
static void
look_at_invitations(struct matrix *matrix, const json_t *answer)
{
	json_t *invited = json_object_get(json_child(answer, "rooms"), "invite");

	for (void *at = json_object_iter(invited); at; at = json_object_iter_next(invited, at)) {
		const json_t *events = json_object_get(json_child(json_object_iter_value(at), "invite_state"), "events");
		const json_t *event;
		size_t i;
		json_array_foreach(events, i, event)
			if (str_equal(json_text(event, "type"), "m.room.member") && str_equal(json_text(event, "state_key"), matrix->bot) &&
					json_text(event, "sender"))
				room_invited(matrix, json_object_iter_key(at), json_text(event, "sender"));
	}
}

/* What was taken is committed, so that the homeserver may forget it. */
static void
on_kept(void *context, bool done)
{
	if (done)
		sync_next(context);
}

/* The bot's keys, once its device can be sent something; else NULL. */
static struct own *
listening(struct matrix *matrix)
{
	static const struct author bot = { NULL, NULL, NULL };
	struct own *own = ghost_own(ghost_get(matrix, &bot));

	return own && own_is_ready(own) ? own : NULL;
}

static void
on_sync(void *context, const struct http_answer *answer)
{
	struct matrix *matrix = context;
	struct judged judged;

	matrix->sync = NULL;
	matrix_judge(matrix, answer, &judged);
	const char *next = json_text(judged.json, "next_batch");
	if (judged.is == JUDGED_FINE && next) {
		bool first = !matrix->since;
		struct own *own = matrix->polls_device ? listening(matrix) : NULL;
		free(matrix->since);
		matrix->since = xstrdup(next);
		if (first)
			look_at_invitations(matrix, judged.json);
		if (own) {
			sync_take(own, judged.json);
			store_after_commit(matrix->parts.store, on_kept, matrix);
		} else {
			sync_next(matrix);
		}
	} else if (matrix->state == MATRIX_HERE) {
		link_lost(matrix, *judged.error ? judged.error : "it does not answer the long poll");
	}
	judged_fini(&judged);
}

/*
 * The first one answers at once and shows the rooms that we are invited to; the following ones wait for
 * what never comes.
 */
static void
sync_next(struct matrix *matrix)
{
	static const char nothing[] = "{\"room\":{\"rooms\":[]},\"presence\":{\"not_types\":[\"*\"]},\"account_data\":{\"not_types\":[\"*\"]}}";
	static const char invitations[] = "{\"room\":{\"timeline\":{\"limit\":1,\"not_types\":[\"*\"]},\"state\":{\"not_types\":[\"*\"]},"
		"\"ephemeral\":{\"not_types\":[\"*\"]},\"account_data\":{\"not_types\":[\"*\"]}},"
		"\"presence\":{\"not_types\":[\"*\"]},\"account_data\":{\"not_types\":[\"*\"]}}";
	static const struct author bot = { NULL, NULL, NULL };
	const char *device = ghost_device(ghost_get(matrix, &bot));

	if (matrix->state != MATRIX_HERE || matrix->sync)
		return;
	const struct own *own = matrix->since ? listening(matrix) : NULL;
	matrix->polls_device = own != NULL;
	/* To ask for what follows, as a device, is to say that it has what was sent to it; so none is named before its keys are there. */
	AUTO_FREE char *as_device = matrix->crypto ? xstrdup("") : matrix_path("&device_id=%s", device);
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/sync?user_id=%s&set_presence=offline&timeout=%s&filter=%s",
		matrix->bot, matrix->since ? "30000" : "0", matrix->since ? nothing : invitations);
	AUTO_FREE char *since = matrix->since ? matrix_path("&since=%s", matrix->since) : xstrdup("");
	AUTO_FREE char *whole = own ? sync_path(own, *own->record.since && own->crypto->heard ? 30000 : 0) : xasprintf("%s%s%s", path, as_device, since);
	struct http_ask ask = { .method = "GET", .path = whole, .timeout_ms = SYNC_TIMEOUT_MS };
	matrix->sync = http_send(matrix->http, &ask, on_sync, matrix);
}

void
link_poll_again(struct matrix *matrix)
{
	http_cancel(matrix->sync);
	matrix->sync = NULL;
	sync_next(matrix);
}

/* ---- arriving ---- */

static int64_t
settle_for(int64_t arrival_ms)
{
	int64_t wanted_ms = SETTLE_FACTOR * arrival_ms;

	return wanted_ms < SETTLE_MS ? SETTLE_MS : wanted_ms > SETTLE_MAX_MS ? SETTLE_MAX_MS : wanted_ms;
}

static void
on_joined_rooms(void *context, const struct http_answer *answer)
{
	struct matrix *matrix = context;
	struct judged judged;

	matrix->request = NULL;
	matrix_judge(matrix, answer, &judged);
	if (judged.is == JUDGED_FINE && judged.json && matrix->state == MATRIX_ARRIVING) {
		matrix->state = MATRIX_HERE;
		matrix->changed_ms = now_real_ms();
		matrix->arrived_ms = now_monotonic_ms();
		matrix->arrivals++;
		crypto_arrived(matrix->crypto);
		matrix->settle_ms = settle_for(matrix->arrived_ms - matrix->arriving_ms);
		log_info(LOG_MATRIX, "connected to the homeserver address=%s", matrix->settings.address);
		free(matrix->since);
		matrix->since = NULL;
		sync_next(matrix);
		room_enter_all(matrix, json_object_get(judged.json, "joined_rooms"));
		matrix->refilled_soon = false;
		loop_timer_set(&matrix->refill, REFILL_SOON_MS);
		outbox_wake(matrix->parts.outbox);
	} else if (matrix->state == MATRIX_ARRIVING) {
		log_warning(LOG_MATRIX, "cannot ask for the bot's rooms status=%ld errcode=%s error=\"%s\"", judged.status, judged.errcode,
			judged.error);
		/* A homeserver with another database does not know the bot any more. */
		if (judged.status == 403) {
			static const struct author bot = { NULL, NULL, NULL };
			struct ghost *ghost = ghost_get(matrix, &bot);
			ghost_lost_device(ghost, ghost_device(ghost));
		}
		matrix->arrived_ms = now_monotonic_ms();
		matrix->state = MATRIX_AWAY;
		probe_later(matrix);
	}
	judged_fini(&judged);
}

static void
on_ping(void *context, const struct http_answer *answer)
{
	struct matrix *matrix = context;
	struct judged judged;

	matrix->request = NULL;
	matrix_judge(matrix, answer, &judged);
	if (judged.is != JUDGED_FINE && matrix->state == MATRIX_ARRIVING)
		log_warning(LOG_MATRIX, "the homeserver cannot reach our listener, or does not know us status=%ld errcode=%s error=\"%s\"",
			judged.status, judged.errcode, judged.error);
	if (matrix->state == MATRIX_ARRIVING) {
		AUTO_FREE char *path = matrix_path("/_matrix/client/v3/joined_rooms?user_id=%s", matrix->bot);
		matrix->request = matrix_ask(matrix, "GET", path, NULL, on_joined_rooms, matrix);
	}
	judged_fini(&judged);
}

static struct http_request *
ping(struct matrix *matrix, void (*done)(void *context, const struct http_answer *answer))
{
	AUTO_FREE char *path = matrix_path("/_matrix/client/v1/appservice/%s/ping", matrix->settings.id);
	struct http_ask ask = { .method = "POST", .path = path, .timeout_ms = PING_TIMEOUT_MS };

	return http_send(matrix->http, &ask, done, matrix);
}

/* The bot's account and device first; asked again until it is complete. */
static void
arrive(struct matrix *matrix)
{
	static const struct author bot = { NULL, NULL, NULL };

	if (ghost_prepare(ghost_get(matrix, &bot), NULL, "Sourdine") != GHOST_READY) {
		loop_timer_set(&matrix->probe, 100);
		return;
	}
	matrix->request = ping(matrix, on_ping);
}

static void
on_versions(void *context, const struct http_answer *answer)
{
	struct matrix *matrix = context;

	matrix->request = NULL;
	/* A refused token is an answer too: the next request names it. */
	if (answer->status == 0 || answer->status >= 500) {
		log_debug(LOG_MATRIX, "the homeserver does not answer yet status=%ld", answer->status);
		probe_later(matrix);
		return;
	}
	matrix->state = MATRIX_ARRIVING;
	matrix->arriving_ms = now_monotonic_ms();
	arrive(matrix);
}

static void
on_probe(void *context)
{
	struct matrix *matrix = context;
	struct http_ask ask = { .method = "GET", .path = "/_matrix/client/versions", .timeout_ms = PROBE_TIMEOUT_MS };

	if (!inbox_has_room(matrix->parts.inbox))
		loop_timer_set(&matrix->probe, PROBE_MS);
	else if (matrix->state == MATRIX_ARRIVING && !matrix->request)
		arrive(matrix);
	else if (matrix->state == MATRIX_AWAY && !matrix->request)
		matrix->request = http_send(matrix->http, &ask, on_versions, matrix);
}

static void
on_refill(void *context)
{
	struct matrix *matrix = context;

	if (matrix->state == MATRIX_HERE)
		room_refill_all(matrix);
	loop_timer_set(&matrix->refill, matrix->refilled_soon ? REFILL_MS : REFILL_AGAIN_MS);
	matrix->refilled_soon = true;
}

static void
on_ping_again_answer(void *context, const struct http_answer *answer)
{
	struct matrix *matrix = context;
	struct judged judged;

	matrix_judge(matrix, answer, &judged);
	judged_fini(&judged);
}

/* Until then the homeserver would only be refused once more, and wait longer. */
static void
on_ping_again(void *context)
{
	struct matrix *matrix = context;

	if (!inbox_has_room(matrix->parts.inbox))
		loop_timer_set(&matrix->ping, PING_LOOK_MS);
	else if (matrix->state == MATRIX_HERE)
		(void)ping(matrix, on_ping_again_answer);
}

void
link_ping_later(struct matrix *matrix)
{
	if (!loop_timer_armed(&matrix->ping))
		loop_timer_set(&matrix->ping, PING_AGAIN_MS);
}

/* ---- life ---- */

void
link_init(struct matrix *matrix)
{
	loop_timer_init(&matrix->probe, matrix->parts.loop, on_probe, matrix);
	loop_timer_init(&matrix->ping, matrix->parts.loop, on_ping_again, matrix);
	loop_timer_init(&matrix->refill, matrix->parts.loop, on_refill, matrix);
}

void
link_start(struct matrix *matrix)
{
	loop_timer_set(&matrix->probe, 0);
	loop_timer_set(&matrix->refill, REFILL_MS);
}

void
link_restart(struct matrix *matrix)
{
	forget_requests(matrix);
	if (matrix->state == MATRIX_REFUSED || matrix->state == MATRIX_STOPPED)
		return;
	matrix->state = MATRIX_AWAY;
	loop_timer_set(&matrix->probe, 0);
}

void
link_stop(struct matrix *matrix)
{
	loop_timer_stop(&matrix->probe);
	loop_timer_stop(&matrix->ping);
	loop_timer_stop(&matrix->refill);
	forget_requests(matrix);
}
