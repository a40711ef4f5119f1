/* SPDX-License-Identifier: Apache-2.0 */
/* The homeserver is asked for one sender's events only, so even a day in a busy room is a few pages. */
#include "matrix/readback.h"

#include "matrix/gap.h"

#include <stdlib.h>
#include <string.h>

#define PAGES_MAX 50
#define RETRY_MS 2000

struct readback {
	struct matrix *matrix;
	char *room, *lane, *user, *from; /* owns */
	int64_t since_ms;
	unsigned pages;
	bool passed; /* an event older than since_ms was seen */
	struct http_request *request;
	struct loop_timer retry;
	void (*done)(void *context, bool certain);
	void *context;
};

void
readback_cancel(struct readback *readback)
{
	if (!readback)
		return;
	http_cancel(readback->request);
	loop_timer_stop(&readback->retry);
	free(readback->room);
	free(readback->lane);
	free(readback->user);
	free(readback->from);
	free(readback);
}

static void
finish(struct readback *readback, bool certain)
{
	void (*done)(void *context, bool certain) = readback->done;
	void *context = readback->context;

	readback_cancel(readback);
	done(context, certain);
}

static void
on_event(void *context, const struct json_event *event)
{
	struct readback *readback = context;
	char id[256];

	if (event->stamp_ms && event->stamp_ms < readback->since_ms)
		readback->passed = true;
	if (matrix_take_id(event->event_id, id, sizeof(id)))
		gap_settle_own(readback->matrix, readback->lane, event->raw.p, event->raw.n, id);
}

static void next_page(void *context);

static void
on_page(void *context, const struct http_answer *answer)
{
	struct readback *readback = context;
	struct judged judged;

	readback->request = NULL;
	matrix_judge(readback->matrix, answer, &judged);
	if (judged.is == JUDGED_AGAIN) {
		loop_timer_set(&readback->retry, judged.delay_ms > RETRY_MS ? judged.delay_ms : RETRY_MS);
	} else if (judged.is == JUDGED_NO || !json_split(answer->body, answer->size, "chunk", on_event, readback)) {
		finish(readback, false);
	} else {
		const char *end = json_text(judged.json, "end");
		free(readback->from);
		readback->from = xstrdup(end);
		if (!end || readback->passed)
			finish(readback, true);
		else if (++readback->pages == PAGES_MAX)
			finish(readback, false);
		else
			next_page(readback);
	}
	judged_fini(&judged);
}

static void
next_page(void *context)
{
	struct readback *readback = context;
	json_t *filter = json_pack("{s:[s]}", "senders", readback->user);
	AUTO_STR struct str text;

	str_init(&text, 4096);
	json_add(&text, filter);
	json_decref(filter);
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/rooms/%s/messages?dir=b&limit=%s&filter=%s&user_id=%s", readback->room, "100",
		str_get(&text), readback->user);
	AUTO_FREE char *next = readback->from ? matrix_path("&from=%s", readback->from) : xstrdup("");
	AUTO_FREE char *whole = xasprintf("%s%s", path, next);
	readback->request = matrix_ask(readback->matrix, "GET", whole, NULL, on_page, readback);
}

struct readback *
readback_begin(struct matrix *matrix, const char *room, const char *lane, const char *user, int64_t since_ms,
		void (*done)(void *context, bool certain), void *context)
{
	struct readback *readback = xcalloc(1, sizeof(*readback));

	*readback = (struct readback){ .matrix = matrix, .room = xstrdup(room), .lane = xstrdup(lane), .user = xstrdup(user),
		.since_ms = since_ms, .done = done, .context = context };
	loop_timer_init(&readback->retry, matrix->parts.loop, next_page, readback);
	next_page(readback);
	return readback;
}
