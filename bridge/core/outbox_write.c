/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What rows say: a row is rendered when it is written, so that what is sent again is the same bytes, and named by a keyed
 * hash of where it came from. Only a row that was never tried may get other bytes, or one whose port makes them for ever.
 */
#include "core/outbox_inside.h"

#include "base/look.h"
#include "base/now.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
make_name(struct outbox *outbox, const struct outbox_draft *draft, char out[SEAL_NAME_SIZE])
{
	const char *fields[16];
	char kind[16], part[16];
	size_t n = 0;

	snprintf(kind, sizeof(kind), "%d", (int)draft->outgoing.kind);
	snprintf(part, sizeof(part), "%d", draft->part);
	fields[n++] = "v1";
	fields[n++] = kind;
	fields[n++] = draft->outgoing.lane;
	fields[n++] = draft->outgoing.author.person ? draft->outgoing.author.person : "";
	fields[n++] = part;
	for (size_t i = 0; draft->source[i] && n < 15; i++)
		fields[n++] = draft->source[i];
	fields[n] = NULL;
	seal_name(outbox->core->seal, fields, out);
}

void
outbox_write_row(struct outbox *outbox, const struct outbox_draft *draft, int64_t place)
{
	const struct outgoing *outgoing = &draft->outgoing;
	struct port *port = outbox->core->port[draft->network];
	struct seal *seal = outbox->core->seal;
	char name[SEAL_NAME_SIZE];
	unsigned char *text, *payload;
	size_t text_size, payload_size;
	struct str rendered AUTO_STR;
	/* What no rule holds is due whatever the clock says: set back, it must not let newer rows overtake. */
	int64_t due_ms = !draft->held ? 0 : draft->due_ms > 0 ? draft->due_ms : 1;

	make_name(outbox, draft, name);
	struct outgoing named = *outgoing;
	named.name = name;
	str_init(&rendered, 1 << 20);
	port->ops->render(port, &named, &rendered);
	seal_wrap(seal, outgoing->text, strlen(outgoing->text), &text, &text_size);
	seal_wrap(seal, str_get(&rendered), rendered.n, &payload, &payload_size);
	struct query query = store_query(outbox->core->store, OUTBOX_ADD);
	query_int(&query, place);
	query_int(&query, draft->network);
	query_text(&query, outgoing->lane);
	query_text(&query, name);
	query_int(&query, outgoing->kind);
	query_text(&query, draft->group);
	if (draft->inbox_seq)
		query_int(&query, draft->inbox_seq);
	else
		query_text(&query, NULL);
	query_int(&query, draft->part);
	query_text(&query, outgoing->author.person);
	query_text(&query, outgoing->author.stem);
	query_text(&query, outgoing->author.name);
	query_blob(&query, text, text_size);
	query_blob(&query, payload, payload_size);
	query_int(&query, draft->held);
	query_int(&query, due_ms);
	query_run(&query);
	outbox->messages += outgoing->kind == OUTGOING_MESSAGE && draft->inbox_seq && store_changes(outbox->core->store) > 0;
	free(text);
	free(payload);
	outbox_due_note(outbox, outbox_get_lane(outbox, outgoing->lane, draft->network), due_ms);
}

void
outbox_add(struct outbox *outbox, const struct outbox_draft *draft)
{
	outbox_write_row(outbox, draft, outbox->place += 2);
}

/* Where to cut a text of which `most` bytes fit: after its last sentence or line in the second half, else at a space, else there. */
static size_t
cut_at(const char *text, size_t n, size_t most)
{
	if (most >= n)
		return n;
	size_t space = 0;
	for (size_t i = most; i > most / 2; i--) {
		if (text[i - 1] == '\n' || (text[i] == ' ' && strchr(".!?", text[i - 1])))
			return i;
		if (!space && text[i - 1] == ' ')
			space = i;
	}
	return space ? space : most;
}

bool
outbox_add_split(struct outbox *outbox, const struct outbox_draft *draft)
{
	struct port *port = outbox->core->port[draft->network];
	const char *text = draft->outgoing.text;
	size_t left = strlen(text), ends[OUTBOX_PARTS_MAX], parts = 0, at = 0;

	do {
		if (parts == OUTBOX_PARTS_MAX)
			return false;
		size_t fits = port->ops->fits(port, text + at, left);
		size_t cut = cut_at(text + at, left, fits);
		at += cut;
		left -= cut;
		ends[parts++] = at;
	} while (left);
	for (size_t i = 0, start = 0; i < parts; start = ends[i++]) {
		AUTO_FREE char *piece = xstrndup(text + start, ends[i] - start);
		struct outbox_draft part = *draft;
		part.outgoing.text = piece;
		part.part = (int)i;
		if (i > 0)
			part.outgoing.reply_to = NULL;
		outbox_add(outbox, &part);
	}
	return true;
}

bool
outbox_overflow(struct outbox *outbox, const char *lane, const char *person)
{
	struct lane *known = outbox_find_lane(outbox, lane);
	struct query query = store_query(outbox->core->store, OUTBOX_OVERFLOW);
	char *text = NULL;
	size_t size = 0, n;

	if (!known)
		return false;
	query_text(&query, lane);
	query_int(&query, now_rules_ms());
	query_text(&query, person);
	if (!query_step(&query)) {
		query_done(&query);
		return false;
	}
	int64_t id = query_get_int(&query, 0);
	AUTO_FREE char *name = xstrdup(query_get_text(&query, 1));
	AUTO_FREE char *author = xstrdup(query_get_text(&query, 3));
	const void *sealed = query_get_blob(&query, 4, &n);
	bool readable = seal_unwrap(outbox->core->seal, sealed, n, &text, &size);
	query_done(&query);
	if (!readable)
		return false;
	/* A name with a line's end in it would put words into others' mouths. */
	char tidy[PEOPLE_NAME_MAX];
	look_tidy(author ? author : "", tidy, sizeof(tidy));
	AUTO_FREE char *said = xasprintf("%s: %s", tidy[0] ? tidy : "?", text);
	mem_free_secret(text, size);
	struct str rendered AUTO_STR;
	unsigned char *payload;
	str_init(&rendered, 1 << 20);
	struct port *port = outbox->core->port[known->network];
	port->ops->render(port, &(struct outgoing){ .kind = OUTGOING_MESSAGE, .name = name, .lane = lane, .text = said }, &rendered);
	seal_wrap(outbox->core->seal, str_get(&rendered), rendered.n, &payload, &n);
	query = store_query(outbox->core->store, OUTBOX_REVOICE);
	query_blob(&query, payload, n);
	query_int(&query, id);
	query_run(&query);
	free(payload);
	known->restless = true;
	return true;
}

void
outbox_rewrite(struct outbox *outbox, int64_t id, const char *payload, size_t size)
{
	struct query query = store_query(outbox->core->store, OUTBOX_REWRITE);
	unsigned char *sealed;
	size_t n;

	seal_wrap(outbox->core->seal, payload, size, &sealed, &n);
	query_blob(&query, sealed, n);
	query_int(&query, id);
	query_run(&query);
	free(sealed);
}

long
outbox_messages(const struct outbox *outbox)
{
	return outbox->messages;
}
