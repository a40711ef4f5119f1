/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_PEOPLE_H
#define CORE_PEOPLE_H

/*
 * Who is who: names, ghosts (a person's stand-in on the other network) and where they are joined.
 * Ports keep here what must survive a restart; everything is written in the turn's transaction.
 */

#include "base/mem.h"
#include "rules/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct people;

#define PEOPLE_ADDRESS_MAX 1024 /* an MXID (255) or a JID */
#define PEOPLE_NAME_MAX 256

/* A Matrix user's display name in a room; "" forgets it (he left). */
void people_set_name(struct people *people, const char *room, const char *person, const char *name);
/* He is in the room: under this name, or under his localpart when he has none (NULL, "" or blank). */
void people_set_member(struct people *people, const char *room, const char *mxid, const char *name);
/* Forgets whoever is not in the room any more, of all that are known to be. Walks all of the room's names. */
void people_keep_members(struct people *people, const char *room, bool (*is_there)(void *context, const char *person), void *context);
/* False when he is not known to be in the room. Cut on a character boundary. */
bool people_name(struct people *people, const char *room, const char *person, char *out, size_t size);
/* Whether somebody in the room has a name that people could take for this one (look_alike()). Walks all of the room's names. */
bool people_looks_taken(struct people *people, const char *room, const char *name);

/* A ghost: `address` is its MXID or bare JID; `device` its Matrix device id ("" on XMPP). */
struct ghost_record {
	char address[PEOPLE_ADDRESS_MAX];
	char device[32];
	char name[PEOPLE_NAME_MAX]; /* the display name it was last given, or "" */
	bool ready;                 /* registered, with its device */
};
/* The bot is person "". */
bool people_ghost(struct people *people, enum network network, const char *person, struct ghost_record *out);
/* Whose ghost this address is: "" for the bot. False: nobody's. */
bool people_ghost_of(struct people *people, enum network network, const char *address, char *person, size_t size);
void people_save_ghost(struct people *people, enum network network, const char *person, const struct ghost_record *ghost);

/* Where ghosts are joined; `nick` is the XMPP nick ("" on Matrix). Forgotten with joined = false. */
void people_save_occupant(struct people *people, enum network network, const char *room, const char *person, const char *nick,
		bool joined);
bool people_occupant(struct people *people, enum network network, const char *room, const char *person, char *nick, size_t size);
/* Every joined ghost of a room. */
void people_each_occupant(struct people *people, enum network network, const char *room,
		void (*each)(void *context, const char *person, const char *nick), void *context);

/* Matrix direct rooms of the bot: one a person. */
void people_save_direct(struct people *people, const char *person, const char *room);
bool people_direct(struct people *people, const char *person, char *room, size_t size);
/* The person whose direct room this is; false when it is none. */
bool people_direct_of(struct people *people, const char *room, char *person, size_t size);

#endif
