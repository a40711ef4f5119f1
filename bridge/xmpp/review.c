/* SPDX-License-Identifier: Apache-2.0 */
/* Forwards in pages, under a query id of its own. */
#include "xmpp/review.h"

#include "base/now.h"
#include "base/seal.h"
#include "base/str.h"
#include "xmpp/hear.h"
#include "xmpp/muc.h"
#include "xmpp/speak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE "50"
#define ANSWER_MS 20000

struct review {
	struct jabber *jabber;
	struct room *room;
	const struct archive_reader *reader;
	char query_id[40];
	char *after; /* owns: where the next page begins */
	unsigned page_count;
};

static void
free_review(struct review *review)
{
	requests_forget(&review->jabber->requests, review);
	free(review->after);
	free(review);
}

static void
finish(struct review *review, const char *failure)
{
	const struct archive_reader *reader = review->reader;

	review->jabber->review = NULL;
	free_review(review);
	reader->done(reader->context, failure);
}

static void ask(struct review *review);

static void
on_page(void *context, enum answer answer, xmpp_stanza_t *iq)
{
	struct review *review = context;

	if (answer != ANSWER_RESULT) {
		finish(review, "the XMPP room does not show its archive");
		return;
	}
	xmpp_stanza_t *fin = stanza_find(iq, "fin", NS_MAM);
	bool complete = strcmp(stanza_get(fin, "complete"), "true") == 0 || strcmp(stanza_get(fin, "complete"), "1") == 0;
	char *last = stanza_text(stanza_find(stanza_find(fin, "set", NS_RSM), "last", NULL));
	bool more = !complete && review->page_count && last[0] && !str_equal(last, review->after);
	free(review->after);
	review->after = last;
	if (more) {
		ask(review);
		return;
	}
	if (review->reader->repair && review->reader->since_ms <= review->room->hole_ms)
		review->room->hole_ms = 0;
	finish(review, NULL);
}

static void
ask(struct review *review)
{
	struct jabber *jabber = review->jabber;
	xmpp_stanza_t *iq = stanza_make(jabber->ctx, "iq", "set", NULL, jabber->listener, review->room->jid);
	xmpp_stanza_t *query = stanza_add(iq, "query", NS_MAM), *form = stanza_add(query, "x", NS_DATA);
	xmpp_stanza_t *set = stanza_add(query, "set", NS_RSM);
	char start[32];

	seal_random_text(review->query_id, 16, "abcdefghijklmnopqrstuvwxyz234567");
	stanza_set(query, "queryid", review->query_id);
	stanza_set(form, "type", "submit");
	stanza_add_field(form, "FORM_TYPE", "hidden", NS_MAM);
	now_format_utc(review->reader->since_ms, start, sizeof(start));
	stanza_add_field(form, "start", NULL, start);
	stanza_add_text(set, "max", PAGE);
	if (review->after)
		stanza_add_text(set, "after", review->after);
	review->page_count = 0;
	jabber_ask(jabber, iq, ANSWER_MS, on_page, review);
}

/* What never reached us goes in like any message of an archive; the judgement has its id first. */
static void
take(struct review *review, const char *id, xmpp_stanza_t *message, int64_t at_ms)
{
	const struct archive_reader *reader = review->reader;
	struct archived archived = { .id = id, .name = "", .at_ms = at_ms };

	if (!hear_is_message(review->room, message, &archived.own))
		return;
	if (archived.own)
		archived.name = speak_name(message);
	archived.missing = !archived.own && !inbox_knows(review->jabber->parts.inbox, review->room->address, id);
	reader->each(reader->context, &archived);
	if (reader->repair && archived.missing)
		hear_archived(review->room, id, message, at_ms);
}

bool
review_hear(struct room *room, xmpp_stanza_t *message)
{
	struct review *review = room->jabber->review;
	xmpp_stanza_t *result = stanza_find(message, "result", NS_MAM);
	int64_t at_ms;

	if (!review || review->room != room || !result || strcmp(stanza_get(result, "queryid"), review->query_id) != 0 ||
			strcmp(stanza_get(message, "from"), room->jid) != 0)
		return false;
	const char *id = stanza_get(result, "id");
	xmpp_stanza_t *forwarded = stanza_find(result, "forwarded", NS_FORWARD), *inner = stanza_find(forwarded, "message", NULL);
	review->page_count++;
	if (id[0] && inner && hear_delay(forwarded, NULL, &at_ms))
		take(review, id, inner, at_ms);
	return true;
}

void
review_begin(struct jabber *jabber, const char *address, const struct archive_reader *reader)
{
	struct room *room = muc_find_address(jabber, address);
	const char *why = jabber->review ? "another audit is under way" : !room || room->phase != ROOM_READY ?
		"the XMPP room is not joined" : !room->has_archive ? "the XMPP room keeps no archive" : NULL;

	if (why) {
		reader->done(reader->context, why);
		return;
	}
	struct review *review = xcalloc(1, sizeof(*review));
	*review = (struct review){ .jabber = jabber, .room = room, .reader = reader };
	jabber->review = review;
	ask(review);
}

void
review_stop(struct jabber *jabber, bool silent)
{
	struct review *review = jabber->review;

	if (review && silent) {
		jabber->review = NULL;
		free_review(review);
	} else if (review) {
		finish(review, "the XMPP server is gone");
	}
}

void
review_leave(struct room *room)
{
	struct review *review = room->jabber->review;

	if (review && review->room == room)
		finish(review, "the XMPP room is not joined any more");
}
