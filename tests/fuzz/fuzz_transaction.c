/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scanner of transactions against jansson: whatever jansson understands as an object with an array of events, the scanner
 * must find the same members with the same ids; whatever else, it must survive, and stay within the bytes. And an object
 * that is read alone is written as it is.
 */
#include "base/json.h"

#include "replay.h"

#include <string.h>

struct seen {
	const char *start, *end;
	const json_t *events; /* of jansson, or NULL */
	size_t count;
};

static void
require(bool good)
{
	if (!good)
		abort();
}

static void
check_span(const struct seen *seen, struct span span)
{
	require(!span.p || (span.p >= seen->start && span.p <= seen->end && span.n <= (size_t)(seen->end - span.p)));
}

static void
check_text(struct span span, const char *expected)
{
	if (span.p && memchr(span.p, '\\', span.n))
		return; /* still escaped */
	require(!span.p == !expected);
	require(!expected || (span.n == strlen(expected) && memcmp(span.p, expected, span.n) == 0));
}

static void
see(void *context, const struct json_event *event)
{
	struct seen *seen = context;
	const json_t *member = json_array_get(seen->events, seen->count++);

	check_span(seen, event->raw);
	check_span(seen, event->event_id);
	check_span(seen, event->room_id);
	check_span(seen, event->type);
	check_span(seen, event->sender);
	if (!seen->events)
		return;
	require(member != NULL);
	check_text(event->event_id, json_text(member, "event_id"));
	check_text(event->room_id, json_text(member, "room_id"));
	check_text(event->sender, json_text(member, "sender"));
}

/* One object alone: what is read is written, and reads the same. */
static void
check_object(const char *text, size_t size)
{
	const char *why = NULL;
	struct str once, twice;
	json_t *object = json_read(text, size, &why), *answer = json_read_answer(text, size);

	require(object || why);
	require(!object || answer);
	if (object) {
		str_init(&once, (size_t)16 << 20);
		str_init(&twice, (size_t)16 << 20);
		json_add(&once, object);
		json_t *again = json_read_answer(str_get(&once), once.n);
		require(again);
		json_add(&twice, again);
		require(str_equal(str_get(&once), str_get(&twice)));
		json_decref(again);
		str_fini(&once);
		str_fini(&twice);
		int64_t number;
		(void)json_child(object, "events");
		(void)json_whole(object, "end", &number);
		(void)json_is_on(object, "end");
	}
	json_decref(object);
	json_decref(answer);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	/* Names written with escapes, or twice, are read differently on purpose. */
	json_t *whole = memchr(text, '\\', size) ? NULL : json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
	json_t *events = json_object_get(whole, "events");
	struct seen seen = { .start = text, .end = text + size, .events = json_is_array(events) ? events : NULL };
	bool good = json_split(text, size, "events", see, &seen);

	if (whole && json_is_object(whole))
		require(good == (!events || json_is_array(events)));
	if (seen.events)
		require(seen.count == json_array_size(events));
	require(good || seen.count == 0);
	check_span(&seen, json_find_text(text, size, "end"));
	json_decref(whole);
	check_object(text, size);
	return 0;
}

REPLAY_MAIN("transaction")
