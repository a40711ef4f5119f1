/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whoever is banned may not come back; whoever was only put out may, where anybody may join (Matrix v1.18 "m.room.join_rules").
 * That is asked when somebody is put out, one question a room at a time: it is rare, and so costs nothing elsewhere.
 */
#include "matrix/expelled.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#define RETRY_MS 2000

/* People put out of one room, until it is known who may join it. */
struct expelled {
	struct list link; /* matrix::expelled */
	struct matrix *matrix;
	char *room;       /* owns */
	char **people;    /* owns, and each */
	size_t count;
	struct http_request *request;
	struct loop_timer retry;
};

static void
free_expelled(struct expelled *expelled)
{
	list_remove(&expelled->link);
	http_cancel(expelled->request);
	loop_timer_stop(&expelled->retry);
	for (size_t i = 0; i < expelled->count; i++)
		free(expelled->people[i]);
	free(expelled->people);
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
	if (judged.is == JUDGED_AGAIN) {
		loop_timer_set(&expelled->retry, judged.delay_ms > RETRY_MS ? judged.delay_ms : RETRY_MS);
	} else {
		bool public = judged.is == JUDGED_FINE && str_equal(json_text(judged.json, "join_rule"), "public");
		for (size_t i = 0; i < expelled->count && !public; i++)
			inbox_expelled(expelled->matrix->parts.inbox, expelled->room, expelled->people[i]);
		free_expelled(expelled);
	}
	judged_fini(&judged);
}

static void
ask(void *context)
{
	struct expelled *expelled = context;
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/rooms/%s/state/m.room.join_rules?user_id=%s", expelled->room,
		expelled->matrix->bot);

	expelled->request = matrix_ask(expelled->matrix, "GET", path, NULL, on_rule, expelled);
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
	loop_timer_init(&expelled->retry, matrix->parts.loop, ask, expelled);
	list_append(&matrix->expelled, &expelled->link);
	ask(expelled);
	return expelled;
}

void
expelled_see(struct matrix *matrix, const char *room, const char *sender, const char *subject, const char *membership)
{
	if (strcmp(membership, "ban") == 0)
		inbox_expelled(matrix->parts.inbox, room, subject);
	if (strcmp(membership, "leave") != 0 || strcmp(sender, subject) == 0 || !groups_of_room(matrix->parts.groups, room))
		return;
	struct expelled *expelled = expelled_of(matrix, room);
	expelled->people = xrealloc(expelled->people, (expelled->count + 1) * sizeof(*expelled->people));
	expelled->people[expelled->count++] = xstrdup(subject);
}
