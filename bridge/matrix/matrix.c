/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The port: its operations, and what every request has in common. Whether the homeserver is there is link.c's, what comes from it
 * intake.c's, rooms are room.c's with their archive in gap.c, and lane.c sends.
 */
#include "matrix/matrix.h"

#include "base/config.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/now.h"
#include "matrix/cipher.h"
#include "matrix/crypto/own.h"
#include "matrix/event.h"
#include "matrix/expelled.h"
#include "matrix/ghost.h"
#include "matrix/inside.h"
#include "matrix/intake.h"
#include "matrix/lane.h"
#include "matrix/link.h"
#include "matrix/room.h"
#include "matrix/survey.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST_TIMEOUT_MS 20000 /* of `sourdine check` */
#define SKEW_MS 2000 /* the homeserver's clock may be behind ours by that */

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
	else if (answer->status >= 400 && answer->status < 500 && answer->status != 429 && (*out->errcode || answer->status == 413))
		out->is = JUDGED_NO;
	else
		out->is = JUDGED_AGAIN;
	metric_add(out->is == JUDGED_AGAIN ? METRIC_MATRIX_REQUESTS_FAILED : METRIC_MATRIX_REQUESTS, 1);
	metric_add(METRIC_MATRIX_RATELIMITED, answer->status == 429);
	if (answer->status == 429)
		out->delay_ms = limit_delay(answer, out->json);
	if (answer->status == 401 && strcmp(out->errcode, "M_UNKNOWN_TOKEN") == 0)
		fail(matrix, out->errcode);
	if (answer->status == 0 && !answer->timed_out)
		link_lost(matrix, out->error);
}

void
judged_fini(struct judged *judged)
{
	json_decref(judged->json);
	judged->json = NULL;
}

bool
matrix_says_banned(const struct judged *judged)
{
	return judged->status == 403 && (strcmp(judged->errcode, "M_BAD_STATE") == 0 || strcasestr(judged->error, "banned"));
}

bool
matrix_is_late(const struct matrix *matrix, int64_t stamp_ms)
{
	return stamp_ms < matrix->started_ms - SKEW_MS;
}

bool
matrix_take_id(struct span span, char *out, size_t size)
{
	if (!span.p || span.n == 0 || span.n >= size || memchr(span.p, '\\', span.n))
		return false;
	memcpy(out, span.p, span.n);
	out[span.n] = '\0';
	return true;
}

bool
matrix_is_local(const struct matrix *matrix, const char *mxid, size_t n)
{
	const char *colon = memchr(mxid, ':', n), *domain = matrix->settings.domain;
	size_t left = colon ? n - (size_t)(colon + 1 - mxid) : 0;

	return left && left == strlen(domain) && memcmp(colon + 1, domain, left) == 0;
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

/* ---- the operations ---- */

static void
port_read(struct port *port, const char *room, const char *raw, size_t size, struct arena *arena, struct incoming *out)
{
	intake_read(of_port(port), room, raw, size, arena, out);
}

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

static void
port_enter(struct port *port, struct group *group)
{
	room_enter_group(of_port(port), group);
}

static void
port_leave(struct port *port, struct group *group)
{
	room_leave(of_port(port), group);
}

static void
port_rights(struct port *port, const char *room, const char *person, struct rights *out)
{
	room_rights(of_port(port), room, person, out);
}

static void
count_occupant(void *context, const char *person, const char *nick)
{
	(void)person, (void)nick;
	++*(unsigned *)context;
}

static void
port_stand(struct port *port, const char *room, struct standing *out)
{
	struct matrix *matrix = of_port(port);

	*out = (struct standing){ .connected = matrix->state == MATRIX_HERE, .since_ms = matrix->changed_ms };
	room_stand(matrix, room, out);
	people_each_occupant(matrix->parts.people, NETWORK_MATRIX, room, count_occupant, &out->ghosts);
	struct query query = store_query(matrix->parts.store, C_UTD_OF_ROOM);
	query_text(&query, room);
	out->keyless = (unsigned)query_number(&query);
}

static int
port_start(struct port *port)
{
	struct matrix *matrix = of_port(port);

	matrix->started_ms = now_real_ms();
	link_start(matrix);
	return 0;
}

static void
port_stop(struct port *port)
{
	struct matrix *matrix = of_port(port);

	if (matrix->state == MATRIX_STOPPED)
		return;
	matrix->state = MATRIX_STOPPED;
	link_stop(matrix);
	appservice_close(matrix->appservice);
	matrix->appservice = NULL;
	lane_free_all(matrix);
	crypto_stop(matrix->crypto);
	expelled_free_all(matrix);
	room_free_all(matrix);
	ghost_free_all(matrix);
	cipher_close(matrix);
	http_close(matrix->http);
	matrix->http = NULL;
}

/* What is in memory may be ahead of what is kept: all of it is learnt again. */
static void
port_reset(struct port *port)
{
	struct matrix *matrix = of_port(port);

	log_warning(LOG_MATRIX, "starts over: what was under way could not be kept");
	room_leave_all(matrix);
	lane_free_all(matrix);
	crypto_stop(matrix->crypto);
	expelled_free_all(matrix);
	room_free_all(matrix);
	ghost_free_all(matrix);
	cipher_reset(matrix);
	crypto_reset(matrix->crypto);
	link_restart(matrix);
}

static enum encryption
port_encryption(struct port *port, const char *room)
{
	return room_encryption(of_port(port), room);
}

static void
port_read_archive(struct port *port, const char *room, const struct archive_reader *reader)
{
	survey_begin(of_port(port), room, reader);
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
	.reset = port_reset,
	.enter = port_enter,
	.leave = port_leave,
	.rights = port_rights,
	.stand = port_stand,
	.encryption = port_encryption,
	.read_archive = port_read_archive,
};

/* ---- what the listener calls ---- */

static enum appservice_verdict
on_transaction(void *context, const char *body, size_t size)
{
	return intake_transaction(context, body, size);
}

static void
on_set_aside(void *context, const char *body, size_t size)
{
	intake_set_aside(context, body, size);
}

static void
on_refused(void *context)
{
	link_ping_later(context);
}

static bool
has_room(void *context)
{
	const struct matrix *matrix = context;

	return inbox_has_room(matrix->parts.inbox);
}

/* ---- life ---- */

/* Faults for the tests of the tests (decisions 7.2); a release has none. */
static void
apply_break(struct matrix *matrix)
{
#ifdef FAULT_POINTS
	const char *mode = config_environment(CONFIG_ENV_BREAK);

	/* The gap fill would repair what an early answer loses. */
	matrix->no_archive = mode && (strcmp(mode, "no-archive") == 0 || strcmp(mode, "ack-first") == 0);
	matrix->encrypts_again = str_equal(mode, "encrypt-again");
	if (matrix->crypto)
		matrix->crypto->forgets_index = str_equal(mode, "index-again");
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
	list_init(&matrix->walks);
	list_init(&matrix->ghosts);
	list_init(&matrix->lanes);
	list_init(&matrix->expelled);
	cipher_open(matrix);
	link_init(matrix);
	matrix->calls = (struct appservice_calls){ on_transaction, on_set_aside, on_refused, has_room, matrix };
	r = settings->encrypts ? crypto_open(&matrix->crypto, matrix) : 0;
	if (r == 0)
		r = http_open(&matrix->http, parts->loop, settings->address, settings->as_token);
	if (r == 0)
		r = appservice_open(&matrix->appservice, parts->loop, parts->store, settings->listen_host, settings->listen_port,
			settings->hs_token, &matrix->calls);
	if (r) {
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
	survey_stop(matrix, true);
	crypto_close(matrix->crypto);
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

void
matrix_encryption(struct port *port, struct matrix_encryption *out)
{
	static const struct author bot = { NULL, NULL, NULL };
	struct matrix *matrix = of_port(port);
	const struct own *own = matrix->crypto ? ghost_own(ghost_get(matrix, &bot)) : NULL;

	*out = (struct matrix_encryption){ .on = matrix->crypto != NULL, .since_ms = matrix->changed_ms, .one_time = -1 };
	if (!own)
		return;
	out->ready = own_is_ready(own);
	out->synced_ms = own->synced_ms;
	out->one_time = own->one_time;
	out->fallback = own->fallback;
}

int
matrix_request(const struct matrix_settings *settings, const char *method, const char *path, const char *user_id, const char *body,
		long *status, char **answer, int64_t *date_ms)
{
	AUTO_FREE char *user = user_id ? matrix_path(strchr(path, '?') ? "&user_id=%s" : "?user_id=%s", user_id) : xstrdup("");
	AUTO_FREE char *whole = xasprintf("%s%s", path, user);
	struct http_ask ask = { .method = method, .path = whole, .body = body, .timeout_ms = REQUEST_TIMEOUT_MS };
	struct http_answer *got = http_ask_once(settings->address, settings->as_token, &ask);

	*status = got->status;
	*date_ms = got->date_ms;
	*answer = xstrdup(got->status ? got->body : got->failure);
	int r = got->status ? 0 : -EHOSTUNREACH;
	http_answer_free(got);
	return r;
}

