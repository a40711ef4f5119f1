/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table says what waits; the timer only looks. An event's patience counts from when it was kept, and all events of one session
 * share that of the first, so a room waits 25 seconds for a lost key, not that long for each of its messages. Somebody of whom
 * several messages stand aside already is not waited for at all: else one broken or hostile client could slow a room down for ever.
 *
 * A key is asked for once for all that waits for it, of whoever said that with it; again only when the homeserver did not take the
 * question, at growing intervals. It keeps it for devices that are away, so more would say nothing new. It is taken back once nothing waits.
 */
#include "matrix/crypto/waiting.h"

#include "base/json.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/now.h"
#include "matrix/crypto/devicekeys.h"
#include "matrix/crypto/received.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK_AFTER_MS 3000
#define PATIENCE_MS 25000
#define PATIENCE_BEHIND_MS (10 * 60 * 1000) /* while we are not caught up */
#define KEPT_MS (INT64_C(24) * 3600 * 1000)
#define TICK_MS 500
#define IDLE_TICK_MS 60000
#define ASIDE_MAX 8 /* of one sender: more are not waited for */
#define ASKS_PER_TICK 16
#define ASK_REST_MS 2000 /* after a question that did not get through */
#define ASK_REST_MAX_MS (5 * 60 * 1000)
#define TOUCHED 16
#define TOUCH_AGAIN_MS 10000

struct waiting {
	struct crypto *crypto;
	struct loop_timer timer;
	bool behind;       /* see waiting_caught_up() */
	int64_t trimmed_ms;
	struct {
		char user[KEEP_ID_MAX];
		int64_t at_ms; /* monotonic */
	} touched[TOUCHED]; /* the latest, in a ring */
	unsigned touch;
	struct list asking;    /* owns: asking::link */
	int64_t ask_rests_ms;  /* monotonic: nothing is asked before */
	unsigned ask_failures; /* in a row */
};

/* A question on its way. */
struct asking {
	struct list link; /* waiting::asking */
	struct waiting *waiting;
	struct http_request *request;
	char *room, *session, *user; /* own; of what is asked for; NULL: it is taken back */
};

static struct query
ask(struct waiting *waiting, enum statement statement, const char *first, const char *second)
{
	struct query query = store_query(waiting->crypto->store, statement);

	query_text(&query, first);
	if (second)
		query_text(&query, second);
	return query;
}

/* ---- asking for keys ---- */

static void
drop_asking(struct asking *asking)
{
	list_remove(&asking->link);
	free(asking->room);
	free(asking->session);
	free(asking->user);
	free(asking);
}

/* Under which id a session was asked for; "": it is to be asked for. */
static void
note_asked(struct waiting *waiting, const char *room, const char *session, const char *user, const char *id)
{
	struct query query = ask(waiting, C_UTD_ASKED, id, room);

	query_text(&query, session);
	query_text(&query, user);
	query_run(&query);
}

static void
rest(struct waiting *waiting, int64_t delay_ms)
{
	int64_t rest_ms = (int64_t)ASK_REST_MS << (waiting->ask_failures < 8 ? waiting->ask_failures : 8);

	waiting->ask_failures++;
	if (rest_ms > ASK_REST_MAX_MS)
		rest_ms = ASK_REST_MAX_MS;
	waiting->ask_rests_ms = now_monotonic_ms() + (delay_ms > rest_ms ? delay_ms : rest_ms);
}

static void
on_asked(void *context, const struct http_answer *answer)
{
	struct asking *asking = context;
	struct waiting *waiting = asking->waiting;
	struct judged judged;

	matrix_judge(waiting->crypto->matrix, answer, &judged);
	if (judged.is == JUDGED_FINE)
		waiting->ask_failures = 0;
	else
		log_info(LOG_MATRIX, "a key could not be asked for status=%ld errcode=%s", judged.status, judged.errcode);
	if (judged.is == JUDGED_AGAIN && asking->room) {
		note_asked(waiting, asking->room, asking->session, asking->user, "");
		rest(waiting, judged.delay_ms);
	}
	judged_fini(&judged);
	drop_asking(asking);
}

static struct asking *
add_asking(struct waiting *waiting)
{
	struct asking *asking = xcalloc(1, sizeof(*asking));

	asking->waiting = waiting;
	list_append(&waiting->asking, &asking->link);
	return asking;
}

static void
post(struct asking *asking, const struct keep_account *bot, const char *user, const char *id, json_t *content)
{
	struct matrix *matrix = asking->waiting->crypto->matrix;
	json_t *body = json_pack("{s:{s:{s:o}}}", "messages", user, "*", content);
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/sendToDevice/m.room_key_request/%s?user_id=%s&device_id=%s", id, bot->user, bot->device);
	struct str text AUTO_STR;

	str_init(&text, 65536);
	json_add(&text, body);
	json_decref(body);
	if (matrix->http)
		asking->request = matrix_ask(matrix, "PUT", path, str_get(&text), on_asked, asking);
	else
		drop_asking(asking);
}

static void
ask_for(struct waiting *waiting, const struct keep_account *bot, const struct waiting_event *event)
{
	struct asking *asking = add_asking(waiting);
	char id[25];
	json_t *what = json_pack("{s:s, s:s, s:s}", "algorithm", DEVICEKEYS_MEGOLM, "room_id", event->room, "session_id", event->session);

	if (*event->curve)
		json_object_set_new(what, "sender_key", json_string(event->curve));
	seal_random_text(id, sizeof(id) - 1, "abcdefghijklmnopqrstuvwxyz0123456789");
	asking->room = xstrdup(event->room);
	asking->session = xstrdup(event->session);
	asking->user = xstrdup(event->sender);
	note_asked(waiting, event->room, event->session, event->sender, id);
	post(asking, bot, event->sender, id, json_pack("{s:s, s:s, s:s, s:o}", "action", "request", "requesting_device_id", bot->device,
			"request_id", id, "body", what));
	log_info(LOG_MATRIX, "a room key is missing and was asked for room=%s", event->room);
}

static bool
ask_next(struct waiting *waiting, const struct keep_account *bot)
{
	struct query query = store_query(waiting->crypto->store, C_UTD_TO_ASK);

	query_int(&query, now_real_ms() - ASK_AFTER_MS);
	bool found = query_step(&query);
	AUTO_FREE char *room = found ? xstrdup(query_get_text(&query, 0)) : NULL;
	AUTO_FREE char *session = found ? xstrdup(query_get_text(&query, 1)) : NULL;
	AUTO_FREE char *sender = found ? xstrdup(query_get_text(&query, 2)) : NULL;
	AUTO_FREE char *curve = found ? xstrdup(query_get_text(&query, 3)) : NULL;
	query_done(&query);
	if (found)
		ask_for(waiting, bot, &(struct waiting_event){ .room = room, .session = session, .sender = sender, .curve = curve });
	return found;
}

static void
ask_all(struct waiting *waiting)
{
	struct crypto *crypto = waiting->crypto;
	struct keep_account bot;

	if (waiting->behind || now_monotonic_ms() < waiting->ask_rests_ms || crypto->matrix->state != MATRIX_HERE || !keep_find_account(crypto->keep, crypto->matrix->bot, &bot))
		return;
	for (int i = 0; i < ASKS_PER_TICK && ask_next(waiting, &bot); i++)
		;
	keep_account_fini(&bot);
}

/* Nobody waits for it any more. */
static void
cancel(struct waiting *waiting, const char *user, const char *request)
{
	struct crypto *crypto = waiting->crypto;
	struct keep_account bot;

	if (!*request || crypto->matrix->state != MATRIX_HERE || !keep_find_account(crypto->keep, crypto->matrix->bot, &bot))
		return;
	AUTO_FREE char *txn = xasprintf("%s-end", request);
	post(add_asking(waiting), &bot, user, txn, json_pack("{s:s, s:s, s:s}", "action", "request_cancellation", "requesting_device_id", bot.device,
			"request_id", request));
	keep_account_fini(&bot);
}

/* What waits for a user's session. */
static struct query
ask_session(struct waiting *waiting, const char *room, const char *session, const char *user)
{
	struct query query = ask(waiting, C_UTD_OF_SESSION, room, session);

	query_text(&query, user);
	return query;
}

/* The last one that waits for a session is given up. */
static void
give_up(struct waiting *waiting, const struct waiting_event *event)
{
	struct query query = ask_session(waiting, event->room, event->session, event->sender);
	AUTO_FREE char *request = query_step(&query) ? xstrdup(query_get_text(&query, 2)) : xstrdup("");
	bool last = !query_step(&query);

	query_done(&query);
	if (last)
		cancel(waiting, event->sender, request);
	waiting_end(waiting, event->room, event->id);
}

/* ---- the clock ---- */

static int64_t
patience_of(const struct waiting *waiting)
{
	return waiting->behind ? PATIENCE_BEHIND_MS : PATIENCE_MS;
}

/* What waits in its place and has waited long enough: its room asks again, and is told so. */
static void
wake_impatient(struct waiting *waiting)
{
	char *rooms[64];
	size_t n = 0;
	struct query query = store_query(waiting->crypto->store, C_UTD_IMPATIENT);

	query_int(&query, now_real_ms() - patience_of(waiting));
	while (n < 64 && query_step(&query))
		rooms[n++] = xstrdup(query_get_text(&query, 0));
	query_done(&query);
	for (size_t i = 0; i < n; i++) {
		inbox_retry(waiting->crypto->matrix->parts.inbox, rooms[i]);
		free(rooms[i]);
	}
}

static void
wake_old(struct waiting *waiting)
{
	char *rooms[64], *ids[64];
	size_t n = 0;
	struct query query = store_query(waiting->crypto->store, C_UTD_OLD);

	query_int(&query, now_real_ms() - KEPT_MS);
	while (n < 64 && query_step(&query)) {
		rooms[n] = xstrdup(query_get_text(&query, 0));
		ids[n++] = xstrdup(query_get_text(&query, 1));
	}
	query_done(&query);
	for (size_t i = 0; i < n; i++) {
		inbox_retry_aside(waiting->crypto->matrix->parts.inbox, rooms[i], ids[i]);
		free(rooms[i]);
		free(ids[i]);
	}
}

/* Sooner while something waits in its place; otherwise now and then, for what stands aside. */
static void
plan(struct waiting *waiting)
{
	struct query query = store_query(waiting->crypto->store, C_UTD_COUNTS);
	bool any = query_number(&query) > 0;

	loop_timer_set(&waiting->timer, any ? TICK_MS : IDLE_TICK_MS);
}

static void
on_timer(void *context)
{
	struct waiting *waiting = context;
	int64_t now_ms = now_real_ms();

	ask_all(waiting);
	wake_impatient(waiting);
	wake_old(waiting);
	if (now_ms - waiting->trimmed_ms > KEPT_MS) {
		waiting->trimmed_ms = now_ms;
		received_trim(waiting->crypto);
	}
	plan(waiting);
}

struct waiting *
waiting_open(struct crypto *crypto)
{
	struct waiting *waiting = xcalloc(1, sizeof(*waiting));

	waiting->crypto = crypto;
	waiting->behind = true;
	list_init(&waiting->asking);
	loop_timer_init(&waiting->timer, crypto->matrix->parts.loop, on_timer, waiting);
	loop_timer_set(&waiting->timer, TICK_MS);
	return waiting;
}

void
waiting_stop(struct waiting *waiting)
{
	struct asking *asking;

	LIST_FOR_EACH(asking, &waiting->asking, struct asking, link) {
		http_cancel(asking->request);
		drop_asking(asking);
	}
}

void
waiting_close(struct waiting *waiting)
{
	if (!waiting)
		return;
	waiting_stop(waiting);
	loop_timer_stop(&waiting->timer);
	free(waiting);
}

void
waiting_caught_up(struct waiting *waiting, bool caught_up)
{
	waiting->behind = !caught_up;
}

bool
waiting_is_behind(const struct waiting *waiting)
{
	return waiting->behind;
}

/* ---- events ---- */

static void
add(struct waiting *waiting, const struct waiting_event *event)
{
	struct query query = store_query(waiting->crypto->store, C_UTD_ADD);

	query_text(&query, event->room);
	query_text(&query, event->id);
	query_text(&query, event->session);
	query_text(&query, event->sender);
	query_text(&query, event->curve);
	query_int(&query, now_real_ms());
	query_run(&query);
	loop_timer_set(&waiting->timer, TICK_MS);
}

void
waiting_expect(struct waiting *waiting, const struct waiting_event *event)
{
	struct received received;
	bool known = received_find(waiting->crypto, event->room, event->session, event->sender, &received) && received.session;

	received_fini(&received);
	if (!known)
		add(waiting, event);
}

static bool
is_tiresome(struct waiting *waiting, const char *sender)
{
	struct query query = ask(waiting, C_UTD_ASIDES, sender, NULL);

	return query_number(&query) >= ASIDE_MAX;
}

static bool
look(struct waiting *waiting, const struct waiting_event *event, bool *aside, int64_t *since_ms, int64_t *first_ms)
{
	struct query query = ask(waiting, C_UTD_GET, event->room, event->id);
	bool found = query_step(&query);

	if (found) {
		*aside = query_get_int(&query, 0) != 0;
		*since_ms = query_get_int(&query, 1);
		*first_ms = query_get_int(&query, 2);
	}
	query_done(&query);
	return found;
}

enum waiting_answer
waiting_for(struct waiting *waiting, const struct waiting_event *event, bool hopeless, enum metric why)
{
	int64_t now_ms = now_real_ms(), since_ms = now_ms, first_ms = now_ms;
	bool aside = false;

	add(waiting, event);
	if (!look(waiting, event, &aside, &since_ms, &first_ms))
		return WAITING_MORE; /* the transaction has failed: it is read again */
	if (aside && now_ms - since_ms >= KEPT_MS) {
		give_up(waiting, event);
		metric_add(METRIC_DECRYPTED_NEVER, 1);
		return WAITING_OVER;
	}
	if (!aside && !hopeless && now_ms - first_ms < patience_of(waiting) && !is_tiresome(waiting, event->sender)) {
		metric_add(METRIC_DECRYPTED_LATER, 1);
		return WAITING_MORE;
	}
	if (!aside) {
		struct query query = ask(waiting, C_UTD_ASIDE, event->room, event->id);
		query_run(&query);
		metric_add(why, 1);
	}
	return WAITING_ASIDE;
}

bool
waiting_end(struct waiting *waiting, const char *room, const char *id)
{
	struct query query = ask(waiting, C_UTD_GET, room, id);
	bool found = query_step(&query), aside = found && query_get_int(&query, 0) != 0;

	query_done(&query);
	if (!found)
		return false;
	query = ask(waiting, C_UTD_END, room, id);
	query_run(&query);
	return aside;
}

/* ---- what waits is read again ---- */

/* The rows of a question, copied, since reading again changes the table. */
struct found {
	char *room, *id, *request; /* own */
	bool aside;
};

static void
wake(struct waiting *waiting, struct found *found, size_t n)
{
	struct inbox *inbox = waiting->crypto->matrix->parts.inbox;

	for (size_t i = 0; i < n; i++) {
		if (found[i].aside)
			inbox_retry_aside(inbox, found[i].room, found[i].id);
		else
			inbox_retry(inbox, found[i].room);
		free(found[i].room);
		free(found[i].id);
		free(found[i].request);
	}
	free(found);
}

void
waiting_session(struct waiting *waiting, const char *room, const char *session, const char *user, bool came)
{
	struct query query = ask_session(waiting, room, session, user);
	struct found *found = NULL;
	size_t n = 0;

	while (query_step(&query)) {
		found = xrealloc(found, (n + 1) * sizeof(*found));
		found[n++] = (struct found){
			.room = xstrdup(room), .id = xstrdup(query_get_text(&query, 0)), .aside = query_get_int(&query, 1) != 0,
			.request = xstrdup(query_get_text(&query, 2)),
		};
	}
	query_done(&query);
	if (came && n)
		cancel(waiting, user, found[0].request);
	wake(waiting, found, n);
}

void
waiting_user(struct waiting *waiting, const char *user)
{
	struct query query = ask(waiting, C_UTD_OF_SENDER, user, NULL);
	struct found *found = NULL;
	size_t n = 0;

	while (query_step(&query)) {
		found = xrealloc(found, (n + 1) * sizeof(*found));
		found[n++] = (struct found){
			.room = xstrdup(query_get_text(&query, 0)), .id = xstrdup(query_get_text(&query, 1)), .aside = query_get_int(&query, 2) != 0,
		};
	}
	query_done(&query);
	wake(waiting, found, n);
}

bool
waiting_has_asked(struct waiting *waiting, const char *room, const char *session, const char *user)
{
	struct query query = ask_session(waiting, room, session, user);
	bool asked = false;

	while (query_step(&query))
		asked |= *query_get_text(&query, 2) != '\0';
	query_done(&query);
	return asked;
}

bool
waiting_may_touch(struct waiting *waiting, const char *user)
{
	int64_t now_ms = now_monotonic_ms();

	for (size_t i = 0; i < TOUCHED; i++)
		if (strcmp(waiting->touched[i].user, user) == 0 && now_ms - waiting->touched[i].at_ms < TOUCH_AGAIN_MS)
			return false;
	size_t next = waiting->touch++ % TOUCHED;
	snprintf(waiting->touched[next].user, sizeof(waiting->touched[next].user), "%s", user);
	waiting->touched[next].at_ms = now_ms;
	return true;
}
