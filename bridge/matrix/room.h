/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_ROOM_H
#define MATRIX_ROOM_H

/* Rooms that the bot is in: those of the groups, and direct rooms of two. */

#include "matrix/inside.h"

struct room;

/* At each arrival at the homeserver: enters every group's room and every known direct room again. `joined`: room ids that the bot is in. */
void room_enter_all(struct matrix *matrix, const json_t *joined);
/* The homeserver is gone: gates are closed, nothing is asked any more. */
void room_leave_all(struct matrix *matrix);
/* Closes every gate for a moment and asks the archive again. */
void room_refill_all(struct matrix *matrix);
void room_free_all(struct matrix *matrix);

/* A room that the bot knows, or NULL. Lent. */
struct room *room_find(struct matrix *matrix, const char *id);
/* The bot is in it, and knows whether it is encrypted. */
bool room_is_inside(const struct room *room);

/* It is in it, and asks whether it is encrypted. */
bool room_is_asking(const struct room *room);

/* The bot may not enter it: what is to be said there is refused, and why. */
bool room_is_kept_out(const struct room *room, enum refusal *why);
/* Something waits to be said there: it is entered before others. */
void room_hurry(struct room *room);

/* gap_is_overtaken() of its gap. */
bool room_is_overtaken(struct matrix *matrix, const char *id, const struct json_event *event);

/* Its gap is filled: what comes now follows what was seen. */
bool room_is_filled(struct matrix *matrix, const char *id);

/* port_ops.enter and leave; fills `inside` and `trouble` of port_ops.stand. */
void room_enter_group(struct matrix *matrix, struct group *group);
void room_leave(struct matrix *matrix, struct group *group);
void room_stand(struct matrix *matrix, const char *id, struct standing *out);

/* Somebody invited the bot: it enters a group's room, and tries whether another is a room of two. */
void room_invited(struct matrix *matrix, const char *id, const char *by);
/* The bot made a direct room. */
void room_made_direct(struct matrix *matrix, const char *id, const char *person);
/* A direct room whose person has left: the bot leaves it too. */
void room_abandon(struct matrix *matrix, const char *id);
/* The bot was put out, says an event of `stamp_ms` (the homeserver's clock): enters again after a while. */
void room_lost(struct matrix *matrix, const char *id, int64_t stamp_ms);

/* It has a tombstone (Matrix v1.18 "m.room.tombstone"): its alias, if it has one, is followed again. */
void room_replaced(struct matrix *matrix, const char *id, const char *successor);

/* The homeserver says that the bot is not in it: enters again at once. */
void room_rejoin(struct matrix *matrix, const char *id);

/* port_ops.encryption. */
enum encryption room_encryption(struct matrix *matrix, const char *id);

/* The content of m.room.power_levels, as state events come. */
void room_set_power(struct matrix *matrix, const char *id, const json_t *content);
/* State came behind what had followed it: who is there, and what they may do, is asked again. */
void room_look_again(struct matrix *matrix, const char *id);
/* What somebody may do, by the state that the room has now; port_ops.rights. */
void room_rights(struct matrix *matrix, const char *id, const char *person, struct rights *out);
/* Power of at least state_default. False in a room that is not known. */
bool room_moderates(struct matrix *matrix, const char *id, const char *person);

/*
 * An event of ours went by: it settles its row when that is in doubt, and the cursor follows, lazily, since a page too many of
 * the archive costs little.
 */
void room_saw_own(struct matrix *matrix, const char *id, const struct json_event *event);

/* How many groups' rooms are entered with their gap filled. */
unsigned room_count_ready(const struct matrix *matrix);

/* See matrix_trouble(). */
void room_tell_trouble(const struct matrix *matrix, const char *group, char *out, size_t size);

#endif
