/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table by nick. A room may have thousands of occupants, and each presence of each is looked up. */
#include "xmpp/roster.h"

#include "base/look.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

static size_t
hash(const char *text)
{
	size_t value = 5381;

	for (; *text; text++)
		value = value * 33 ^ (unsigned char)*text;
	return value;
}

static struct occupant **
slot_of(struct occupants *occupants, const char *nick)
{
	struct occupant **slot = &occupants->buckets[hash(nick) & (occupants->bucket_count - 1)];

	while (*slot && strcmp((*slot)->nick, nick) != 0)
		slot = &(*slot)->next;
	return slot;
}

static void
grow(struct occupants *occupants)
{
	struct occupants larger = { .bucket_count = occupants->bucket_count ? 2 * occupants->bucket_count : 16 };

	larger.buckets = xcalloc(larger.bucket_count, sizeof(*larger.buckets));
	for (size_t i = 0; i < occupants->bucket_count; i++) {
		struct occupant *occupant = occupants->buckets[i], *next;
		for (; occupant; occupant = next) {
			next = occupant->next;
			struct occupant **bucket = &larger.buckets[hash(occupant->nick) & (larger.bucket_count - 1)];
			occupant->next = *bucket;
			*bucket = occupant;
		}
	}
	larger.count = occupants->count;
	free(occupants->buckets);
	*occupants = larger;
}

struct occupant *
roster_find(struct room *room, const char *nick)
{
	return room->occupants.count ? *slot_of(&room->occupants, nick) : NULL;
}

/* The only place where occupants are walked one by one; for what is rare. */
static struct occupant *
find_occupant(struct room *room, bool (*fits)(const struct occupant *occupant, const char *key), const char *key)
{
	for (size_t i = 0; i < room->occupants.bucket_count; i++)
		for (struct occupant *occupant = room->occupants.buckets[i]; occupant; occupant = occupant->next)
			if (fits(occupant, key))
				return occupant;
	return NULL;
}

static bool
has_occupant_id(const struct occupant *occupant, const char *key)
{
	return str_equal(occupant->occupant_id, key);
}

static bool
has_jid(const struct occupant *occupant, const char *key)
{
	return str_equal(occupant->jid, key);
}

struct occupant *
roster_find_id(struct room *room, const char *occupant_id)
{
	return find_occupant(room, has_occupant_id, occupant_id);
}

struct occupant *
roster_find_jid(struct room *room, const char *bare_jid)
{
	return find_occupant(room, has_jid, bare_jid);
}

static bool
is_alike(const struct occupant *occupant, const char *nick)
{
	return look_alike(occupant->nick, nick);
}

struct occupant *
roster_find_alike(struct room *room, const char *nick)
{
	return find_occupant(room, is_alike, nick);
}

static void
free_occupant(struct occupant *occupant)
{
	free(occupant->nick);
	free(occupant->jid);
	free(occupant->occupant_id);
	free(occupant);
}

struct occupant *
roster_add(struct room *room, const char *nick)
{
	struct occupants *occupants = &room->occupants;

	if (occupants->count >= occupants->bucket_count)
		grow(occupants);
	struct occupant **slot = slot_of(occupants, nick);
	if (!*slot) {
		*slot = xcalloc(1, sizeof(**slot));
		(*slot)->nick = xstrdup(nick);
		(*slot)->epoch = ++room->epoch;
		occupants->count++;
	}
	return *slot;
}

void
roster_remove(struct room *room, const char *nick)
{
	if (!room->occupants.count)
		return;
	struct occupant **slot = slot_of(&room->occupants, nick), *occupant = *slot;
	if (!occupant)
		return;
	*slot = occupant->next;
	room->occupants.count--;
	free_occupant(occupant);
}

void
roster_clear(struct room *room)
{
	for (size_t i = 0; i < room->occupants.bucket_count; i++) {
		struct occupant *occupant = room->occupants.buckets[i], *next;
		for (; occupant; occupant = next) {
			next = occupant->next;
			free_occupant(occupant);
		}
	}
	free(room->occupants.buckets);
	room->occupants = (struct occupants){ 0 };
}
