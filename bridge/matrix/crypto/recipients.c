/* SPDX-License-Identifier: Apache-2.0 */
/* Who is in a room is asked once, and again when somebody came or went: what a list says is never older than the last such event. */
#include "matrix/crypto/recipients.h"

#include "base/log.h"
#include "matrix/cipher.h"

#include <stdlib.h>
#include <string.h>

#define RETRY_MS 1000
#define RETRY_MAX_MS 60000
#define ROTATION_MIN_MS INT64_C(3600000)
#define ROTATION_MS INT64_C(604800000)
#define ROTATION_MESSAGES 100
#define ROTATION_MESSAGES_MAX 10000

struct audience {
	struct list link; /* recipients::audiences */
	struct recipients *recipients;
	char *room;
	const char **users; /* own, and each of them */
	size_t n;
	bool known;
	bool changed;       /* since the request was made */
	struct http_request *request;
	struct loop_timer retry;
	unsigned failures;
};

struct recipients {
	struct matrix *matrix;
	struct list audiences; /* owns: audience::link */
	unsigned long generation;
};

struct recipients *
recipients_open(struct matrix *matrix)
{
	struct recipients *recipients = xcalloc(1, sizeof(*recipients));

	recipients->matrix = matrix;
	list_init(&recipients->audiences);
	return recipients;
}

static void
forget_users(struct audience *audience)
{
	for (size_t i = 0; i < audience->n; i++)
		free((char *)(uintptr_t)audience->users[i]);
	free(audience->users);
	audience->users = NULL;
	audience->n = 0;
	audience->known = false;
}

void
recipients_stop(struct recipients *recipients)
{
	struct audience *audience;

	LIST_FOR_EACH(audience, &recipients->audiences, struct audience, link) {
		http_cancel(audience->request);
		loop_timer_stop(&audience->retry);
		forget_users(audience);
		list_remove(&audience->link);
		free(audience->room);
		free(audience);
	}
}

void
recipients_close(struct recipients *recipients)
{
	if (!recipients)
		return;
	recipients_stop(recipients);
	free(recipients);
}

unsigned long
recipients_generation(const struct recipients *recipients)
{
	return recipients->generation;
}

static int64_t
within(int64_t value, int64_t otherwise, int64_t least, int64_t most)
{
	if (value <= 0)
		return otherwise;
	return value < least ? least : value > most ? most : value;
}

bool
recipients_terms(struct matrix *matrix, const char *room, struct recipients_terms *out)
{
	struct query query = store_query(matrix->parts.store, C_ROOM_TERMS);

	query_text(&query, room);
	bool found = query_step(&query);
	if (found) {
		const char *visibility = query_get_text(&query, 2);
		out->rotation_ms = within(query_get_int(&query, 0), ROTATION_MS, ROTATION_MIN_MS, INT64_MAX);
		out->rotation_messages = within(query_get_int(&query, 1), ROTATION_MESSAGES, 1, ROTATION_MESSAGES_MAX);
		out->shared_history = str_equal(visibility, "shared") || str_equal(visibility, "world_readable");
	}
	query_done(&query);
	return found;
}

/* ---- who is there ---- */

static void
on_retry(void *context)
{
	const struct audience *audience = context;

	outbox_wake(audience->recipients->matrix->parts.outbox);
}

static struct audience *
get_audience(struct recipients *recipients, const char *room)
{
	struct audience *audience;

	LIST_FOR_EACH(audience, &recipients->audiences, struct audience, link)
		if (strcmp(audience->room, room) == 0)
			return audience;
	audience = xcalloc(1, sizeof(*audience));
	audience->recipients = recipients;
	audience->room = xstrdup(room);
	loop_timer_init(&audience->retry, recipients->matrix->parts.loop, on_retry, audience);
	list_append(&recipients->audiences, &audience->link);
	return audience;
}

static void
take_users(struct audience *audience, const json_t *joined)
{
	const struct matrix *matrix = audience->recipients->matrix;
	const char *user;
	json_t *member;

	audience->users = xcalloc(json_object_size(joined) + 1, sizeof(*audience->users));
	json_object_foreach((json_t *)(uintptr_t)joined, user, member)
		if (!matrix_is_own(matrix, user, strlen(user)))
			audience->users[audience->n++] = xstrdup(user);
	audience->known = !audience->changed;
	audience->recipients->generation++;
}

static void
on_members(void *context, const struct http_answer *answer)
{
	struct audience *audience = context;
	struct matrix *matrix = audience->recipients->matrix;
	struct judged judged;

	audience->request = NULL;
	matrix_judge(matrix, answer, &judged);
	const json_t *joined = json_child(judged.json, "joined");
	forget_users(audience);
	if (judged.is == JUDGED_FINE && joined) {
		audience->failures = 0;
		take_users(audience, joined);
		outbox_wake(matrix->parts.outbox);
	} else {
		int64_t delay_ms = (int64_t)RETRY_MS << (audience->failures < 6 ? audience->failures : 6);
		log_warning(LOG_MATRIX, "cannot ask who is in room=%s status=%ld errcode=%s", audience->room, judged.status, judged.errcode);
		audience->failures++;
		delay_ms = delay_ms < RETRY_MAX_MS ? delay_ms : RETRY_MAX_MS;
		loop_timer_set(&audience->retry, judged.delay_ms > delay_ms ? judged.delay_ms : delay_ms);
	}
	judged_fini(&judged);
}

static void
add_reader(void *context, const char *user)
{
	struct audience *audience = context;

	audience->users = xrealloc(audience->users, (audience->n + 1) * sizeof(*audience->users));
	audience->users[audience->n++] = xstrdup(user);
}

static void
take_readers(struct audience *audience)
{
	forget_users(audience);
	cipher_each_recipient(audience->recipients->matrix, audience->room, add_reader, audience);
	audience->known = true;
	audience->recipients->generation++;
}

bool
recipients_of(struct recipients *recipients, const char *room, const char *const **users, size_t *n)
{
	struct audience *audience = get_audience(recipients, room);

	if (cipher_is_on(recipients->matrix, room)) {
		if (!audience->known && cipher_prepare(recipients->matrix, room))
			take_readers(audience);
	} else if (!audience->known && !audience->request && !loop_timer_armed(&audience->retry)) {
		AUTO_FREE char *path = matrix_path("/_matrix/client/v3/rooms/%s/joined_members?user_id=%s", room, recipients->matrix->bot);
		audience->changed = false;
		audience->request = matrix_ask(recipients->matrix, "GET", path, NULL, on_members, audience);
	}
	*users = audience->users;
	*n = audience->n;
	return audience->known;
}

void
recipients_changed(struct recipients *recipients, const char *room)
{
	struct audience *audience = get_audience(recipients, room);

	audience->known = false;
	audience->changed = true;
	recipients->generation++;
}
