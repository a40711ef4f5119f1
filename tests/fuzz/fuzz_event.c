/* SPDX-License-Identifier: Apache-2.0 */
/* Reading an event of any bytes; and what was read as a message can be rendered, cut and sent. */
#include "matrix/event.h"

#include "core/arena.h"
#include "replay.h"

#include <string.h>

static void
require(bool good)
{
	if (!good)
		abort();
}

static void
check_message(const struct event *event)
{
	struct str out;
	struct event_parts parts;
	size_t n = strlen(event->text), fits = event_fits(event->text, n);

	require(n > 0 && str_is_clean(event->text, n) && event->sender && event->sender[0] == '@');
	require(fits > 0 && fits <= n && ((unsigned char)event->text[fits] & 0xC0) != 0x80);
	char *part = xstrndup(event->text, fits);
	for (int kind = OUTGOING_MESSAGE; kind <= OUTGOING_PRIVATE; kind++) {
		const struct outgoing outgoing = {
			.kind = (enum outgoing_kind)kind, .name = "0123456789abcdef0123456789abcdef", .text = part, .message = event->message,
			.reply_to = kind == OUTGOING_PRIVATE ? NULL : event->reply_to, .thread = kind == OUTGOING_MESSAGE ? NULL : "$thread",
			.html = kind == OUTGOING_PRIVATE ? "<b>x</b>" : NULL,
		};
		str_init(&out, 1 << 20);
		event_render(&outgoing, "_xmpp_bob", &out);
		require(!out.full && out.n <= EVENT_OUT_MAX + (kind == OUTGOING_MESSAGE ? 0u : 1024u));
		require(event_unpack(str_get(&out), out.n, &parts));
		json_t *content = json_read_answer(parts.content, strlen(parts.content));
		require(str_equal(json_text(content, "body"), part));
		json_decref(content);
		event_parts_fini(&parts);
		str_fini(&out);
	}
	free(part);
}

/* A row's payload of any bytes, as a damaged database would give it. */
static void
check_payload(const char *text, size_t size)
{
	struct event_parts parts;

	if (event_unpack(text, size, &parts))
		require(parts.type && parts.content);
	event_parts_fini(&parts);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena;
	struct event event;

	arena_init(&arena);
	event_read((const char *)data, size, &arena, &event);
	if (event.kind == EVENT_MESSAGE)
		check_message(&event);
	require(event.kind != EVENT_POISON || event.reason);
	require(event.kind != EVENT_MEMBER || (event.subject && event.membership && event.name));
	require(event.kind != EVENT_POWER || event.content);
	event_fini(&event);
	check_payload((const char *)data, size);
	arena_fini(&arena);
	return 0;
}

REPLAY_MAIN("event")
