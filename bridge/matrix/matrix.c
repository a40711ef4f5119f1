/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The port. Its state is whether the homeserver is there: AWAY it is probed, ARRIVING the bot is prepared and the homeserver
 * is asked to bring what it has, HERE rooms are entered and rows are sent. The bot's long poll exists to notice at once
 * when the homeserver goes: from then on nothing that it brings is judged before the archive was read, because what it had in
 * memory for us died with it (delivery.md F3).
 */
#include "matrix/matrix.h"

#include "base/config.h"
#include "base/log.h"
#include "base/now.h"
#include "matrix/event.h"
#include "matrix/ghost.h"
#include "matrix/inside.h"
#include "matrix/lane.h"
#include "matrix/room.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROBE_MS 500
#define PROBE_SLOW_MS 2000   /* after a stay that was shorter than */
#define STAY_SHORT_MS 5000
#define PROBE_TIMEOUT_MS 10000
#define PING_TIMEOUT_MS 20000
#define PING_AGAIN_MS 5000
#define SYNC_TIMEOUT_MS 60000 /* twice what we ask the homeserver to wait */
#define SETTLE_MS 500        /* patience after an arrival, at least */
#define SETTLE_MAX_MS 3000
#define SETTLE_FACTOR 5      /* times what the arrival itself took: a slow homeserver needs more */
#define REFILL_MS (6 * 3600 * 1000)
#define REFILL_SOON_MS 2000  /* after an arrival; then once more after REFILL_AGAIN_MS, see settling_ms() in room.c */
#define REFILL_AGAIN_MS 8000
#define SKEW_MS 2000 /* the homeserver's clock may be behind ours by that */
#define LIVE_MS (15 * 60 * 1000) /* what is older is bridged, never obeyed */

static struct matrix *
of_port(struct port *port)
{
	return (struct matrix *)(void *)port; /* its first member */
}

/* ---- asking ---- */

char *
matrix_path(const char *format, ...)
{
	struct str out;
	va_list args;

	str_init(&out, 65536);
	va_start(args, format);
	for (const char *p = format; *p; p++) {
		if (p[0] == '%' && p[1] == 's') {
			http_add_escaped(&out, va_arg(args, const char *));
			p++;
		} else {
			str_add_char(&out, *p);
		}
	}
	va_end(args);
	return str_take(&out);
}

struct http_request *
matrix_ask(struct matrix *matrix, const char *method, const char *path, const char *body,
		void (*done)(void *context, const struct http_answer *answer), void *context)
{
	struct http_ask ask = { .method = method, .path = path, .body = body };

	return http_send(matrix->http, &ask, done, context);
}

static void lose(struct matrix *matrix, const char *why);

static void
fail(struct matrix *matrix, const char *errcode)
{
	if (matrix->failure)
		return;
	matrix->failure = xasprintf("the homeserver at %s refuses our as_token (%s): the registration that it has loaded is another one",
		matrix->settings.address, errcode);
	log_error(LOG_MATRIX, "%s", matrix->failure);
	if (matrix->state == MATRIX_HERE)
		room_leave_all(matrix);
	matrix->state = MATRIX_REFUSED;
}

/* 10 % more than was asked for, between half a second and ten minutes (delivery.md 8). */
static int64_t
limit_delay(const struct http_answer *answer, const json_t *json)
{
	int64_t asked_ms = 0;

	json_whole(json, "retry_after_ms", &asked_ms);
	if (answer->retry_after_ms > asked_ms)
		asked_ms = answer->retry_after_ms;
	if (asked_ms < 500)
		asked_ms = 500;
	if (asked_ms > 540000)
		asked_ms = 540000;
	return asked_ms + asked_ms / 10;
}

void
matrix_judge(struct matrix *matrix, const struct http_answer *answer, struct judged *out)
{
	const char *errcode, *error;

	*out = (struct judged){ .status = answer->status, .json = json_read_answer(answer->body, answer->size) };
	errcode = json_text(out->json, "errcode");
	error = answer->failure ? answer->failure : json_text(out->json, "error");
	snprintf(out->errcode, sizeof(out->errcode), "%s", errcode ? errcode : "");
	snprintf(out->error, sizeof(out->error), "%s", error ? error : "");
	if (answer->status >= 200 && answer->status < 300)
		out->is = JUDGED_FINE;
	else if (answer->status == 0 || answer->status == 429 || answer->status >= 500)
		out->is = JUDGED_AGAIN;
	else
		out->is = JUDGED_NO;
	if (answer->status == 429)
		out->delay_ms = limit_delay(answer, out->json);
	if (answer->status == 401 && strcmp(out->errcode, "M_UNKNOWN_TOKEN") == 0)
		fail(matrix, out->errcode);
	if (answer->status == 0 && !answer->timed_out)
		lose(matrix, out->error);
}

void
judged_fini(struct judged *judged)
{
	json_decref(judged->json);
	judged->json = NULL;
}

bool
matrix_is_late(const struct matrix *matrix, int64_t stamp_ms)
{
	return stamp_ms < matrix->started_ms - SKEW_MS;
}

bool
matrix_is_own(const struct matrix *matrix, const char *mxid, size_t n)
{
	const char *prefix = matrix->settings.ghosts, *domain = matrix->settings.domain;
	size_t prefix_n = strlen(prefix), domain_n = strlen(domain);

	if (n == strlen(matrix->bot) && memcmp(mxid, matrix->bot, n) == 0)
		return true;
	return n > prefix_n + domain_n + 1 && mxid[0] == '@' && memcmp(mxid + 1, prefix, prefix_n) == 0 &&
		mxid[n - domain_n - 1] == ':' && memcmp(mxid + n - domain_n, domain, domain_n) == 0;
}

/* ---- here and away ---- */

static void
probe_later(struct matrix *matrix)
{
	bool flapping = matrix->arrived_ms && now_monotonic_ms() - matrix->arrived_ms < STAY_SHORT_MS;

	loop_timer_set(&matrix->probe, flapping ? PROBE_SLOW_MS : PROBE_MS);
}

static void
lose(struct matrix *matrix, const char *why)
{
	if (matrix->state != MATRIX_HERE && matrix->state != MATRIX_ARRIVING)
		return;
	log_warning(LOG_MATRIX, "lost the homeserver why=\"%s\"", why);
	matrix->state = MATRIX_AWAY;
	http_cancel(matrix->request);
	http_cancel(matrix->sync);
	matrix->request = matrix->sync = NULL;
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
		free(matrix->since);
		matrix->since = xstrdup(next);
		if (first)
			look_at_invitations(matrix, judged.json);
		sync_next(matrix);
	} else if (matrix->state == MATRIX_HERE) {
		lose(matrix, *judged.error ? judged.error : "it does not answer the long poll");
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

	if (matrix->state != MATRIX_HERE)
		return;
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/sync?user_id=%s&device_id=%s&set_presence=offline&timeout=%s&filter=%s",
		matrix->bot, device, matrix->since ? "30000" : "0", matrix->since ? nothing : invitations);
	AUTO_FREE char *since = matrix->since ? matrix_path("&since=%s", matrix->since) : xstrdup("");
	AUTO_FREE char *whole = xasprintf("%s%s", path, since);
	struct http_ask ask = { .method = "GET", .path = whole, .timeout_ms = SYNC_TIMEOUT_MS };
	matrix->sync = http_send(matrix->http, &ask, on_sync, matrix);
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
		matrix->arrived_ms = now_monotonic_ms();
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
			ghost_lost_device(ghost_get(matrix, &bot));
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

	if (matrix->state == MATRIX_ARRIVING && !matrix->request)
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

/* ---- transactions ---- */

struct intake {
	struct matrix *matrix;
	bool kept, failed;
};

/* A copy with its NUL; false when there is none or it cannot be an id that we know how to keep. */
static bool
take_id(struct span span, char *out, size_t size)
{
	if (!span.p || span.n == 0 || span.n >= size || memchr(span.p, '\\', span.n))
		return false;
	memcpy(out, span.p, span.n);
	out[span.n] = '\0';
	return true;
}

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
	return is && take_id(event->sender, by, size);
}

static bool
concerns_us(struct matrix *matrix, const char *room)
{
	char person[PEOPLE_ADDRESS_MAX];

	return groups_of_room(matrix->parts.groups, room) || people_direct_of(matrix->parts.people, room, person, sizeof(person));
}

static int
accept_late(struct inbox *inbox, const char *room, const char *id, struct span raw)
{
	AUTO_FREE char *marked = xmalloc(raw.n + 1);

	marked[0] = EVENT_LATE_MARK;
	memcpy(marked + 1, raw.p, raw.n);
	return inbox_accept(inbox, NETWORK_MATRIX, room, id, marked, raw.n + 1);
}

static void
keep(struct intake *intake, const char *room, const struct json_event *event)
{
	struct inbox *inbox = intake->matrix->parts.inbox;
	char id[256];
	bool named = take_id(event->event_id, id, sizeof(id));

	if (!named)
		seal_sha256_hex(event->raw.p, event->raw.n, id);
	int r = matrix_is_late(intake->matrix, event->stamp_ms) ? accept_late(inbox, room, id, event->raw) :
		inbox_accept(inbox, NETWORK_MATRIX, room, id, event->raw.p, event->raw.n);
	if (r < 0)
		intake->failed = true;
	else
		intake->kept = true; /* also when it is known: by a turn that may not be committed yet */
	if (r == 0 && named && (groups_of_room(intake->matrix->parts.groups, room) || room_is_filled(intake->matrix, room)))
		inbox_move_cursor(inbox, NETWORK_MATRIX, room, id, event->stamp_ms);
}

static void
on_event(void *context, const struct json_event *event)
{
	struct intake *intake = context;
	struct matrix *matrix = intake->matrix;
	char room[256], by[256];

	if (intake->failed || !take_id(event->room_id, room, sizeof(room)))
		return;
	if (is_invitation(matrix, event, by, sizeof(by)))
		room_invited(matrix, room, by);
	else if (!concerns_us(matrix, room))
		return;
	else if (event->sender.p && matrix_is_own(matrix, event->sender.p, event->sender.n))
		room_saw_own(matrix, room, event);
	else
		keep(intake, room, event);
}

static enum appservice_verdict
on_transaction(void *context, const char *body, size_t size)
{
	struct intake intake = { .matrix = context };

	if (!json_split(body, size, "events", on_event, &intake))
		return APPSERVICE_BROKEN;
	if (intake.failed)
		return APPSERVICE_FULL;
	return intake.kept ? APPSERVICE_KEPT : APPSERVICE_IDLE;
}

static void
on_set_aside(void *context, const char *body, size_t size)
{
	struct matrix *matrix = context;
	char digest[65];

	seal_sha256_hex(body, size, digest);
	inbox_quarantine(matrix->parts.inbox, NETWORK_MATRIX, "", digest, body, size, "a transaction that is no valid JSON");
}

static void
on_ping_again_answer(void *context, const struct http_answer *answer)
{
	struct matrix *matrix = context;
	struct judged judged;

	matrix_judge(matrix, answer, &judged);
	judged_fini(&judged);
}

static void
on_ping_again(void *context)
{
	struct matrix *matrix = context;

	if (matrix->state == MATRIX_HERE)
		(void)ping(matrix, on_ping_again_answer);
}

static void
on_refused(void *context)
{
	struct matrix *matrix = context;

	if (!loop_timer_armed(&matrix->ping))
		loop_timer_set(&matrix->ping, PING_AGAIN_MS);
}

/* ---- reading ---- */

static void
see_member(struct matrix *matrix, const char *room, const struct event *event)
{
	bool gone = strcmp(event->membership, "leave") == 0 || strcmp(event->membership, "ban") == 0;
	bool joined = strcmp(event->membership, "join") == 0;
	char person[PEOPLE_ADDRESS_MAX];

	if (matrix_is_own(matrix, event->subject, strlen(event->subject))) {
		struct ghost *ghost = ghost_find(matrix, event->subject);
		/* The archive tells of the past; what is true now was asked for when the room was entered. */
		if (!gone || event->archive)
			return;
		if (strcmp(event->subject, matrix->bot) == 0)
			room_lost(matrix, room);
		else if (ghost)
			ghost_left(ghost, room);
		return;
	}
	if (gone || joined)
		people_set_name(matrix->parts.people, room, event->subject, gone ? "" : event->name);
	if (gone && people_direct_of(matrix->parts.people, room, person, sizeof(person)) && strcmp(person, event->subject) == 0)
		people_save_direct(matrix->parts.people, person, "");
}

static bool
is_operator(const struct matrix *matrix, const char *person)
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
	out->origin_ms = event->origin_ms;
	out->direct = people_direct_of(matrix->parts.people, room, person, sizeof(person));
	if (out->direct && event->sender && strcmp(person, event->sender) != 0) {
		out->kind = INCOMING_NOTHING;
		return;
	}
	/* In a direct room power means nothing: the person may have been given all of it when the room was made. */
	out->moderator = is_operator(matrix, event->sender) || (!out->direct && room_moderates(matrix, room, event->sender));
	name_author(matrix, room, event->sender, arena, &out->author);
}

static void
port_read(struct port *port, const char *room, const char *raw, size_t size, struct arena *arena, struct incoming *out)
{
	struct matrix *matrix = of_port(port);
	struct event event;

	*out = (struct incoming){ .kind = INCOMING_NOTHING };
	event_read(raw, size, arena, &event);
	/* Ours is not kept in the first place, unless the settings changed in between. */
	if (event.sender && event.kind == EVENT_MESSAGE && matrix_is_own(matrix, event.sender, strlen(event.sender)))
		event.kind = EVENT_NOTHING;
	switch (event.kind) {
	case EVENT_MESSAGE:
		read_message(matrix, room, &event, arena, out);
		break;
	case EVENT_MEMBER:
		see_member(matrix, room, &event);
		break;
	case EVENT_POWER:
		room_set_power(matrix, room, event.content);
		break;
	case EVENT_POISON:
		out->kind = INCOMING_POISON;
		out->reason = event.reason;
		break;
	case EVENT_NOTHING:
		matrix->ignored++;
		break;
	}
	event_fini(&event);
}

/* ---- the other operations ---- */

static void
port_render(struct port *port, const struct outgoing *outgoing, struct str *out)
{
	struct matrix *matrix = of_port(port);
	AUTO_FREE char *user = outgoing->author.person && outgoing->author.stem ?
		ghost_localpart(matrix->parts.seal, matrix->settings.ghosts, outgoing->author.stem, matrix->settings.domain) :
		xstrdup(matrix->settings.bot);

	event_render(outgoing, user, out);
}

static size_t
port_fits(struct port *port, const char *text, size_t n)
{
	(void)port;
	return event_fits(text, n);
}

static unsigned
port_ready(struct port *port, const char *lane, const struct author *author)
{
	return lane_ready(of_port(port), lane, author);
}

static void
port_send(struct port *port, const struct sending *row)
{
	lane_send(of_port(port), row);
}

static void
port_flush(struct port *port)
{
	(void)port; /* each request is its own write */
}

static int
port_start(struct port *port)
{
	struct matrix *matrix = of_port(port);

	matrix->started_ms = now_real_ms();
	loop_timer_set(&matrix->probe, 0);
	loop_timer_set(&matrix->refill, REFILL_MS);
	return 0;
}

static void
port_stop(struct port *port)
{
	struct matrix *matrix = of_port(port);

	if (matrix->state == MATRIX_STOPPED)
		return;
	matrix->state = MATRIX_STOPPED;
	loop_timer_stop(&matrix->probe);
	loop_timer_stop(&matrix->ping);
	loop_timer_stop(&matrix->refill);
	appservice_close(matrix->appservice);
	matrix->appservice = NULL;
	lane_free_all(matrix);
	room_free_all(matrix);
	ghost_free_all(matrix);
	http_close(matrix->http);
	matrix->http = NULL;
	matrix->request = matrix->sync = NULL;
}

static const struct port_ops ops = {
	.network = NETWORK_MATRIX,
	.start = port_start,
	.stop = port_stop,
	.read = port_read,
	.render = port_render,
	.fits = port_fits,
	.ready = port_ready,
	.send = port_send,
	.flush = port_flush,
};

/* ---- life ---- */

/* Faults for the tests of the tests (decisions 7.2); a release has none. */
static void
apply_break(struct matrix *matrix)
{
#ifdef FAULT_POINTS
	const char *mode = config_environment(CONFIG_ENV_BREAK);

	/* The gap fill would repair what an early answer loses. */
	matrix->no_archive = mode && (strcmp(mode, "no-archive") == 0 || strcmp(mode, "ack-first") == 0);
	if (mode && strcmp(mode, "ack-first") == 0)
		appservice_answer_early(matrix->appservice);
#else
	(void)matrix;
#endif
}

int
matrix_open(struct port **out, const struct matrix_settings *settings, const struct matrix_parts *parts)
{
	struct matrix *matrix = xcalloc(1, sizeof(*matrix));
	int r;

	matrix->port.ops = &ops;
	matrix->settings = *settings;
	matrix->parts = *parts;
	matrix->bot = xasprintf("@%s:%s", settings->bot, settings->domain);
	list_init(&matrix->rooms);
	list_init(&matrix->ghosts);
	list_init(&matrix->lanes);
	loop_timer_init(&matrix->probe, parts->loop, on_probe, matrix);
	loop_timer_init(&matrix->ping, parts->loop, on_ping_again, matrix);
	loop_timer_init(&matrix->refill, parts->loop, on_refill, matrix);
	matrix->calls = (struct appservice_calls){ on_transaction, on_set_aside, on_refused, matrix };
	r = http_open(&matrix->http, parts->loop, settings->address, settings->as_token);
	if (r == 0)
		r = appservice_open(&matrix->appservice, parts->loop, parts->store, settings->listen_host, settings->listen_port,
			settings->hs_token, &matrix->calls);
	if (r < 0) {
		matrix_close(&matrix->port);
		return r;
	}
	apply_break(matrix);
	*out = &matrix->port;
	return 0;
}

void
matrix_close(struct port *port)
{
	struct matrix *matrix;

	if (!port)
		return;
	port_stop(port);
	matrix = of_port(port);
	free(matrix->since);
	free(matrix->failure);
	free(matrix->bot);
	free(matrix);
}

unsigned
matrix_joined(const struct port *port)
{
	return room_count_ready((const struct matrix *)(const void *)port);
}

void
matrix_trouble(const struct port *port, const char *group, char *out, size_t size)
{
	room_tell_trouble((const struct matrix *)(const void *)port, group, out, size);
}

bool
matrix_connected(const struct port *port)
{
	return ((const struct matrix *)(const void *)port)->state == MATRIX_HERE;
}

const char *
matrix_failure(const struct port *port)
{
	return ((const struct matrix *)(const void *)port)->failure;
}

int
matrix_request(const struct matrix_settings *settings, const char *method, const char *path, const char *user_id, const char *body,
		long *status, char **answer)
{
	AUTO_FREE char *user = user_id ? matrix_path(strchr(path, '?') ? "&user_id=%s" : "?user_id=%s", user_id) : xstrdup("");
	AUTO_FREE char *whole = xasprintf("%s%s", path, user);
	struct http_ask ask = { .method = method, .path = whole, .body = body, .timeout_ms = PING_TIMEOUT_MS };
	struct http_answer *got = http_ask_once(settings->address, settings->as_token, &ask);

	*status = got->status;
	*answer = xstrdup(got->status ? got->body : got->failure);
	int r = got->status ? 0 : -EHOSTUNREACH;
	http_answer_free(got);
	return r;
}
