/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The archive comes newest first, the audit wants it oldest first: so all of it is read, then told. Of events that never
 * reached us the bytes are kept, for a repair.
 */
#include "matrix/survey.h"

#include "matrix/event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGES_MAX 1100 /* 110,000 events */
#define RETRY_MS 2000

struct seen {
	struct list link; /* survey::seen, newest first */
	char *id, *name;  /* owns */
	char *raw;        /* owns; with its mark; NULL unless it is to be fed in */
	size_t size;
	int64_t at_ms;
	bool own, missing;
};

struct survey {
	struct matrix *matrix;
	const struct archive_reader *reader;
	char *room, *from; /* owns */
	struct list seen;  /* owns: seen::link */
	unsigned pages;
	bool older, newer; /* than reader->since_ms: the page has such events. A stamp of another server's proves nothing alone */
	struct http_request *request;
	struct loop_timer retry;
};

static void
free_survey(struct survey *survey)
{
	struct seen *seen;

	http_cancel(survey->request);
	loop_timer_stop(&survey->retry);
	LIST_FOR_EACH(seen, &survey->seen, struct seen, link) {
		list_remove(&seen->link);
		mem_free_secret(seen->raw, seen->size);
		free(seen->id);
		free(seen->name);
		free(seen);
	}
	free(survey->room);
	free(survey->from);
	free(survey);
}

/* What never reached us goes in, oldest first, like any event of an archive. */
static void
feed(struct survey *survey)
{
	for (struct list *at = survey->seen.prev; at != &survey->seen; at = at->prev) {
		const struct seen *seen = LIST_ENTRY(at, struct seen, link);
		if (seen->raw && inbox_accept(survey->matrix->parts.inbox, NETWORK_MATRIX, survey->room, seen->id, seen->raw, seen->size) < 0)
			return; /* nothing can be kept now; the turn is rolled back */
	}
}

static void
finish(struct survey *survey, const char *failure)
{
	const struct archive_reader *reader = survey->reader;
	bool repair = reader->repair && !failure; /* the reader is gone after done() */

	survey->matrix->survey = NULL;
	for (struct list *at = survey->seen.prev; !failure && at != &survey->seen; at = at->prev) {
		const struct seen *seen = LIST_ENTRY(at, struct seen, link);
		const struct archived archived = { .id = seen->id, .name = seen->name ? seen->name : "", .at_ms = seen->at_ms, .own = seen->own,
			.missing = seen->missing };
		reader->each(reader->context, &archived);
	}
	/* The judgement first: afterwards they are known. */
	reader->done(reader->context, failure);
	if (repair)
		feed(survey);
	free_survey(survey);
}

static bool
is_message(struct span type)
{
	static const char *const types[] = { "m.room.message", "m.sticker", "m.room.encrypted" };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (type.p && type.n == strlen(types[i]) && memcmp(type.p, types[i], type.n) == 0)
			return true;
	return false;
}

static void
on_event(void *context, const struct json_event *event)
{
	struct survey *survey = context;
	struct matrix *matrix = survey->matrix;
	char id[256];

	bool older = event->stamp_ms < survey->reader->since_ms;
	survey->older = survey->older || older;
	survey->newer = survey->newer || !older;
	if (older || !is_message(event->type) || !matrix_take_id(event->event_id, id, sizeof(id)))
		return;
	struct seen *seen = xcalloc(1, sizeof(*seen));
	seen->id = xstrdup(id);
	seen->at_ms = event->stamp_ms;
	seen->own = event->sender.p && matrix_is_own(matrix, event->sender.p, event->sender.n);
	if (seen->own) {
		const char *why;
		json_t *json = json_read(event->raw.p, event->raw.n, &why);
		const char *name = json_text(json_child(json, "content"), "org.sourdine.id");
		seen->name = name ? xstrdup(name) : NULL;
		json_decref(json);
	} else if (!inbox_knows(matrix->parts.inbox, survey->room, id)) {
		seen->missing = true;
		seen->size = event->raw.n + 1;
		seen->raw = xmalloc(seen->size);
		seen->raw[0] = EVENT_ARCHIVE_MARK;
		memcpy(seen->raw + 1, event->raw.p, event->raw.n);
	}
	list_append(&survey->seen, &seen->link);
}

static void next_page(void *context);

static void
on_page(void *context, const struct http_answer *answer)
{
	struct survey *survey = context;
	struct judged judged;

	survey->request = NULL;
	matrix_judge(survey->matrix, answer, &judged);
	struct span end = json_find_text(answer->body, answer->size, "end");
	if (!survey->matrix->survey) {
		judged_fini(&judged); /* the judgement ended it */
		return;
	}
	if (judged.is == JUDGED_AGAIN) {
		loop_timer_set(&survey->retry, judged.delay_ms > RETRY_MS ? judged.delay_ms : RETRY_MS);
	} else if (judged.is == JUDGED_NO || !json_split(answer->body, answer->size, "chunk", on_event, survey)) {
		finish(survey, "the homeserver does not show the room's archive");
	} else {
		free(survey->from);
		survey->from = end.p ? xstrndup(end.p, end.n) : NULL;
		if (!survey->from || (survey->older && !survey->newer))
			finish(survey, NULL);
		else if (++survey->pages == PAGES_MAX)
			finish(survey, "the Matrix room's archive is too long: ask for less time with --since");
		else
			next_page(survey);
	}
	judged_fini(&judged);
}

static void
next_page(void *context)
{
	struct survey *survey = context;
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/rooms/%s/messages?dir=b&limit=%s&user_id=%s", survey->room, "100",
		survey->matrix->bot);
	AUTO_FREE char *next = survey->from ? matrix_path("&from=%s", survey->from) : xstrdup("");
	AUTO_FREE char *whole = xasprintf("%s%s", path, next);

	survey->older = survey->newer = false;
	survey->request = matrix_ask(survey->matrix, "GET", whole, NULL, on_page, survey);
}

void
survey_begin(struct matrix *matrix, const char *room, const struct archive_reader *reader)
{
	if (matrix->survey || matrix->state != MATRIX_HERE) {
		reader->done(reader->context, matrix->survey ? "another audit is under way" : "the homeserver is not connected");
		return;
	}
	struct survey *survey = xcalloc(1, sizeof(*survey));
	*survey = (struct survey){ .matrix = matrix, .room = xstrdup(room), .reader = reader };
	list_init(&survey->seen);
	loop_timer_init(&survey->retry, matrix->parts.loop, next_page, survey);
	matrix->survey = survey;
	next_page(survey);
}

void
survey_stop(struct matrix *matrix, bool silent)
{
	struct survey *survey = matrix->survey;

	if (!survey)
		return;
	matrix->survey = NULL;
	if (!silent)
		survey->reader->done(survey->reader->context, "the homeserver is gone");
	free_survey(survey);
}
