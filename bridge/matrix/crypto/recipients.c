/* SPDX-License-Identifier: Apache-2.0 */
/* cipher.c knows who is in a room; here a copy of it is kept until somebody came or went, and every change is counted. */
#include "matrix/crypto/recipients.h"

#include "matrix/cipher.h"

#include <stdlib.h>
#include <string.h>

#define ROTATION_MIN_MS INT64_C(3600000)
#define ROTATION_MS INT64_C(604800000)
#define ROTATION_MESSAGES 100
#define ROTATION_MESSAGES_MAX 10000

struct audience {
	struct list link; /* recipients::audiences */
	char *room;
	const char **users; /* own, and each of them */
	size_t n;
	bool known;
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

static struct audience *
get_audience(struct recipients *recipients, const char *room)
{
	struct audience *audience;

	LIST_FOR_EACH(audience, &recipients->audiences, struct audience, link)
		if (strcmp(audience->room, room) == 0)
			return audience;
	audience = xcalloc(1, sizeof(*audience));
	audience->room = xstrdup(room);
	list_append(&recipients->audiences, &audience->link);
	return audience;
}

static void
add_reader(void *context, const char *user)
{
	struct audience *audience = context;

	audience->users = xrealloc(audience->users, (audience->n + 1) * sizeof(*audience->users));
	audience->users[audience->n++] = xstrdup(user);
}

static void
take_readers(struct recipients *recipients, struct audience *audience)
{
	forget_users(audience);
	cipher_each_recipient(recipients->matrix, audience->room, add_reader, audience);
	audience->known = true;
	recipients->generation++;
}

bool
recipients_of(struct recipients *recipients, const char *room, const char *const **users, size_t *n)
{
	struct audience *audience = get_audience(recipients, room);

	if (!audience->known && cipher_prepare(recipients->matrix, room))
		take_readers(recipients, audience);
	*users = audience->users;
	*n = audience->n;
	return audience->known;
}

void
recipients_changed(struct recipients *recipients, const char *room)
{
	struct audience *audience = get_audience(recipients, room);

	audience->known = false;
	recipients->generation++;
}
