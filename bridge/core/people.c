/* SPDX-License-Identifier: Apache-2.0 */
/* Names, ghosts, occupants and direct rooms: thin over the store, which is their only home. */
#include "core/people_open.h"

#include "base/look.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct people {
	struct store *store;
};

struct people *
people_open(struct store *store)
{
	struct people *people = xcalloc(1, sizeof(*people));

	people->store = store;
	return people;
}

void
people_close(struct people *people)
{
	free(people);
}

/* Cuts on a character boundary. */
static void
copy(char *out, size_t size, const char *text)
{
	size_t n = strlen(text);

	if (n >= size)
		for (n = size - 1; n > 0 && (text[n] & 0xC0) == 0x80; n--)
			;
	memcpy(out, text, n);
	out[n] = '\0';
}

/* Binds two texts, reads one text. */
static bool
text_of_two(struct people *people, enum statement statement, const char *a, const char *b, char *out, size_t size)
{
	struct query query = store_query(people->store, statement);

	query_text(&query, a);
	if (b)
		query_text(&query, b);
	bool found = query_step(&query);
	if (found)
		copy(out, size, query_get_text(&query, 0));
	query_done(&query);
	return found;
}

void
people_set_name(struct people *people, const char *room, const char *person, const char *name)
{
	struct query query = store_query(people->store, *name ? NAME_SET : NAME_END);

	query_text(&query, room);
	query_text(&query, person);
	if (*name)
		query_text(&query, name);
	query_run(&query);
}

void
people_set_member(struct people *people, const char *room, const char *mxid, const char *name)
{
	bool named = name && name[strspn(name, " \t")];
	AUTO_FREE char *local = named ? NULL : xstrndup(mxid + 1, strcspn(mxid + 1, ":"));
	const char *shown = named ? name : local;
	char known[PEOPLE_NAME_MAX];

	/* Rooms are entered again and again, and names rarely change. */
	if (!people_name(people, room, mxid, known, sizeof(known)) || strncmp(known, shown, sizeof(known) - 4) != 0)
		people_set_name(people, room, mxid, shown);
}

void
people_keep_members(struct people *people, const char *room, bool (*is_there)(void *context, const char *person), void *context)
{
	struct query query = store_query(people->store, NAME_WHO);
	char **gone = NULL;
	size_t count = 0;

	query_text(&query, room);
	while (query_step(&query)) {
		const char *person = query_get_text(&query, 0);
		if (is_there(context, person))
			continue;
		gone = xrealloc(gone, (count + 1) * sizeof(*gone));
		gone[count++] = xstrdup(person);
	}
	query_done(&query);
	for (size_t i = 0; i < count; i++) {
		people_set_name(people, room, gone[i], "");
		free(gone[i]);
	}
	free(gone);
}

bool
people_name(struct people *people, const char *room, const char *person, char *out, size_t size)
{
	return text_of_two(people, NAME_GET, room, person, out, size);
}

bool
people_looks_taken(struct people *people, const char *room, const char *name)
{
	struct query query = store_query(people->store, NAME_EACH);
	AUTO_FREE char *look = look_skeleton(name);
	bool taken = false;

	query_text(&query, room);
	while (!taken && query_step(&query)) {
		AUTO_FREE char *other = look_skeleton(query_get_text(&query, 0));
		taken = strcmp(other, look) == 0;
	}
	query_done(&query);
	return taken;
}

bool
people_ghost(struct people *people, enum network network, const char *person, struct ghost_record *out)
{
	struct query query = store_query(people->store, GHOST_GET);

	query_int(&query, network);
	query_text(&query, person);
	bool found = query_step(&query);
	if (found) {
		copy(out->address, sizeof(out->address), query_get_text(&query, 0));
		copy(out->device, sizeof(out->device), query_get_text(&query, 1));
		copy(out->name, sizeof(out->name), query_get_text(&query, 2));
		out->ready = query_get_int(&query, 3) != 0;
	}
	query_done(&query);
	return found;
}

bool
people_ghost_of(struct people *people, enum network network, const char *address, char *person, size_t size)
{
	struct query query = store_query(people->store, GHOST_WHO);

	query_int(&query, network);
	query_text(&query, address);
	bool found = query_step(&query);
	if (found)
		copy(person, size, query_get_text(&query, 0));
	query_done(&query);
	return found;
}

void
people_save_ghost(struct people *people, enum network network, const char *person, const struct ghost_record *ghost)
{
	struct query query = store_query(people->store, GHOST_SET);

	query_int(&query, network);
	query_text(&query, person);
	query_text(&query, ghost->address);
	query_text(&query, ghost->device);
	query_text(&query, ghost->name);
	query_int(&query, ghost->ready);
	query_run(&query);
}

void
people_save_occupant(struct people *people, enum network network, const char *room, const char *person, const char *nick,
		bool joined)
{
	struct query query = store_query(people->store, joined ? OCCUPANT_SET : OCCUPANT_END);

	query_int(&query, network);
	query_text(&query, room);
	query_text(&query, person);
	if (joined)
		query_text(&query, nick);
	query_run(&query);
}

bool
people_occupant(struct people *people, enum network network, const char *room, const char *person, char *nick, size_t size)
{
	struct query query = store_query(people->store, OCCUPANT_GET);

	query_int(&query, network);
	query_text(&query, room);
	query_text(&query, person);
	bool found = query_step(&query);
	if (found)
		copy(nick, size, query_get_text(&query, 0));
	query_done(&query);
	return found;
}

void
people_each_occupant(struct people *people, enum network network, const char *room,
		void (*each)(void *context, const char *person, const char *nick), void *context)
{
	struct query query = store_query(people->store, OCCUPANT_ALL);

	query_int(&query, network);
	query_text(&query, room);
	while (query_step(&query))
		each(context, query_get_text(&query, 0), query_get_text(&query, 1));
	query_done(&query);
}

void
people_save_direct(struct people *people, const char *person, const char *room)
{
	struct query query = store_query(people->store, DIRECT_SET);

	query_text(&query, person);
	query_text(&query, room);
	query_run(&query);
}

bool
people_direct(struct people *people, const char *person, char *room, size_t size)
{
	return text_of_two(people, DIRECT_GET, person, NULL, room, size);
}

bool
people_direct_of(struct people *people, const char *room, char *person, size_t size)
{
	return text_of_two(people, DIRECT_OF, room, NULL, person, size);
}
