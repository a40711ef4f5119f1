/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whoever is banned may not come back; whoever was only put out may, where anybody may join (Matrix v1.18 "m.room.join_rules").
 * That is asked when somebody is put out, one question a room at a time: it is rare, and so costs nothing elsewhere. The event waits
 * in the inbox for the answer, and its room behind it, so that what follows from it is committed with it.
 */
#include "matrix/expelled.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#define RETRY_MS 2000
#define TRIES_MAX 10
#define BELIEVED_MS 1000 /* so long an answer holds: for all that wait for it */

/* A room that somebody was put out of, and who may join it. */
struct expelled {
	struct list link; /* matrix::expelled */
	struct matrix *matrix;
	char *room;       /* owns */
	bool answered, public;
	unsigned tries;
	struct http_request *request;
	struct loop_timer timer; /* the next try, or the end of the answer */
};

static void
free_expelled(struct expelled *expelled)
{
	list_remove(&expelled->link);
	http_cancel(expelled->request);
	loop_timer_stop(&expelled->timer);
	free(expelled->room);
	free(expelled);
}

void
expelled_free_all(struct matrix *matrix)
{
	struct expelled *expelled;

	LIST_FOR_EACH(expelled, &matrix->expelled, struct expelled, link)
		free_expelled(expelled);
}

/* A rule that is not there, or that we are not shown, admits nobody. */
static void
on_rule(void *context, const struct http_answer *answer)
{
	struct expelled *expelled = context;
	struct judged judged;

	expelled->request = NULL;
	matrix_judge(expelled->matrix, answer, &judged);
	if (judged.is == JUDGED_AGAIN && ++expelled->tries < TRIES_MAX) {
		loop_timer_set(&expelled->timer, judged.delay_ms > RETRY_MS ? judged.delay_ms : RETRY_MS);
	} else {
		expelled->answered = true;
		expelled->public = judged.is == JUDGED_FINE && str_equal(json_text(judged.json, "join_rule"), "public");
		loop_timer_set(&expelled->timer, BELIEVED_MS);
		inbox_retry(expelled->matrix->parts.inbox, expelled->room);
	}
	judged_fini(&judged);
}

static void
ask(struct expelled *expelled)
{
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/rooms/%s/state/m.room.join_rules?user_id=%s", expelled->room,
		expelled->matrix->bot);

	expelled->request = matrix_ask(expelled->matrix, "GET", path, NULL, on_rule, expelled);
}

static void
on_timer(void *context)
{
	struct expelled *expelled = context;

	if (expelled->answered)
		free_expelled(expelled);
	else if (expelled->matrix->state == MATRIX_HERE)
		ask(expelled);
	else
		loop_timer_set(&expelled->timer, RETRY_MS);
}

static struct expelled *
expelled_of(struct matrix *matrix, const char *room)
{
	struct expelled *expelled;

	LIST_FOR_EACH(expelled, &matrix->expelled, struct expelled, link)
		if (strcmp(expelled->room, room) == 0)
			return expelled;
	expelled = xcalloc(1, sizeof(*expelled));
	expelled->matrix = matrix;
	expelled->room = xstrdup(room);
	loop_timer_init(&expelled->timer, matrix->parts.loop, on_timer, expelled);
	list_append(&matrix->expelled, &expelled->link);
	ask(expelled);
	return expelled;
}

bool
expelled_see(struct matrix *matrix, const char *room, const char *sender, const char *subject, const char *membership)
{
	if (strcmp(membership, "ban") == 0)
		inbox_expelled(matrix->parts.inbox, room, subject);
	if (strcmp(membership, "leave") != 0 || strcmp(sender, subject) == 0 || !groups_of_room(matrix->parts.groups, room))
		return true;
	const struct expelled *expelled = expelled_of(matrix, room);
	if (expelled->answered && !expelled->public)
		inbox_expelled(matrix->parts.inbox, room, subject);
	return expelled->answered;
}
