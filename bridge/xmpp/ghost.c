/* SPDX-License-Identifier: Apache-2.0 */
/* The first line of the table that fits decides. A bit per state says where an event is listened to. */
#include "xmpp/ghost.h"

#include <stddef.h>
#include <string.h>

#define IN(state) (1u << (state))
#define ANYWHERE ((1u << GHOST_STATES) - 1)
#define INSIDE (IN(GHOST_JOINED) | IN(GHOST_MUTED))
/* Everywhere but where it is known to be out already. */
#define PERHAPS_INSIDE (INSIDE | IN(GHOST_UNKNOWN) | IN(GHOST_ASKING) | IN(GHOST_JOINING))

static const struct {
	unsigned from;
	enum ghost_event event;
	struct ghost_step step;
} table[] = {
	{ IN(GHOST_UNKNOWN), GHOST_WANTED, { GHOST_ASKING, GHOST_ASK, GHOST_FINE } },
	{ IN(GHOST_PARTED), GHOST_WANTED, { GHOST_JOINING, GHOST_JOIN, GHOST_FINE } },

	{ IN(GHOST_ASKING), GHOST_ALIVE, { GHOST_JOINED, GHOST_SPEAK, GHOST_FINE } },
	{ IN(GHOST_ASKING), GHOST_DEAD, { GHOST_JOINING, GHOST_JOIN, GHOST_FINE } },
	{ IN(GHOST_ASKING), GHOST_SILENT, { GHOST_JOINING, GHOST_JOIN, GHOST_FINE } },
	{ INSIDE, GHOST_DEAD, { GHOST_PARTED, GHOST_SPEAK, GHOST_FINE } },
	{ INSIDE, GHOST_NOT_IN, { GHOST_PARTED, GHOST_SPEAK, GHOST_FINE } },

	{ PERHAPS_INSIDE, GHOST_PRESENT, { GHOST_JOINED, GHOST_SPEAK, GHOST_FINE } },
	{ PERHAPS_INSIDE, GHOST_VISITOR, { GHOST_MUTED, GHOST_REFUSE, GHOST_FINE } },
	{ INSIDE, GHOST_NO_VOICE, { GHOST_MUTED, GHOST_REFUSE, GHOST_FINE } },
	{ IN(GHOST_MUTED), GHOST_RETRY, { GHOST_JOINED, GHOST_SPEAK, GHOST_FINE } },

	{ IN(GHOST_JOINING), GHOST_PUT_OFF, { GHOST_PARTED, GHOST_NOTHING, GHOST_FINE } },
	{ IN(GHOST_JOINING), GHOST_TIMEOUT, { GHOST_BACKOFF, GHOST_WAIT, GHOST_FINE } },
	{ IN(GHOST_BACKOFF) | IN(GHOST_REFUSED), GHOST_RETRY, { GHOST_PARTED, GHOST_SPEAK, GHOST_FINE } },
	{ IN(GHOST_JOINING), GHOST_BAD_NICK, { GHOST_JOINING, GHOST_JOIN_SIMPLE, GHOST_FINE } },
	{ IN(GHOST_JOINING), GHOST_CONFLICT, { GHOST_JOINING, GHOST_JOIN_OTHER, GHOST_FINE } },
	{ IN(GHOST_JOINING), GHOST_NO_NICK, { GHOST_REFUSED, GHOST_REFUSE, GHOST_FOR_NICK } },
	{ IN(GHOST_JOINING), GHOST_MEMBERS, { GHOST_REFUSED, GHOST_REFUSE, GHOST_FOR_MEMBERS } },
	{ IN(GHOST_JOINING), GHOST_STRANGER, { GHOST_JOINING, GHOST_LET_IN, GHOST_FINE } },
	{ IN(GHOST_JOINING), GHOST_FORBIDDEN, { GHOST_REFUSED, GHOST_REFUSE, GHOST_FOR_BAN } },
	{ IN(GHOST_JOINING), GHOST_FULL, { GHOST_BACKOFF, GHOST_WAIT, GHOST_FINE } },
	{ IN(GHOST_JOINING), GHOST_PASSWORD, { GHOST_REFUSED, GHOST_REFUSE, GHOST_FOR_PASSWORD } },
	{ IN(GHOST_JOINING), GHOST_GONE, { GHOST_REFUSED, GHOST_REFUSE, GHOST_FOR_GONE } },

	{ ANYWHERE, GHOST_BANNED, { GHOST_REFUSED, GHOST_REFUSE, GHOST_FOR_BAN } },
	{ ANYWHERE, GHOST_KICKED, { GHOST_REFUSED, GHOST_REFUSE, GHOST_FOR_KICK } },
	{ ANYWHERE, GHOST_EXCLUDED, { GHOST_REFUSED, GHOST_REFUSE, GHOST_FOR_MEMBERS } },
	{ ANYWHERE, GHOST_DESTROYED, { GHOST_REFUSED, GHOST_REFUSE, GHOST_FOR_GONE } },
	/* Made members-only under its feet: it asks again when it has something to say. */
	{ INSIDE, GHOST_STRANGER, { GHOST_PARTED, GHOST_SPEAK, GHOST_FINE } },
	{ INSIDE | IN(GHOST_UNKNOWN), GHOST_IDLE, { GHOST_PARTED, GHOST_LEAVE, GHOST_FINE } },
	{ PERHAPS_INSIDE, GHOST_REMOVED, { GHOST_BACKOFF, GHOST_WAIT, GHOST_FINE } },

	/* Whoever was in may still be in; whoever was on the way may have arrived. */
	{ PERHAPS_INSIDE, GHOST_LOST, { GHOST_UNKNOWN, GHOST_NOTHING, GHOST_FINE } },
	{ IN(GHOST_BACKOFF), GHOST_LOST, { GHOST_PARTED, GHOST_NOTHING, GHOST_FINE } },
};

struct ghost_step
ghost_step(enum ghost_state state, enum ghost_event event)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		if (table[i].event == event && table[i].from & IN(state))
			return table[i].step;
	return (struct ghost_step){ state, GHOST_NOTHING, GHOST_FINE };
}

bool
ghost_may_be_in(enum ghost_state state)
{
	return PERHAPS_INSIDE & IN(state);
}

int64_t
ghost_pause_ms(enum ghost_reason reason)
{
	enum { MINUTE_MS = 60000, HOUR_MS = 60 * MINUTE_MS };
	static const int64_t pauses[GHOST_REASONS] = {
		[GHOST_FOR_NICK] = 10 * MINUTE_MS, [GHOST_FOR_MEMBERS] = 10 * MINUTE_MS, [GHOST_FOR_KICK] = 15 * MINUTE_MS,
		[GHOST_FOR_PASSWORD] = HOUR_MS, [GHOST_FOR_GONE] = HOUR_MS, [GHOST_FOR_BAN] = 6 * HOUR_MS,
	};

	return pauses[reason];
}

enum ghost_event
ghost_join_error(const char *condition)
{
	static const struct {
		const char *condition;
		enum ghost_event event;
	} errors[] = {
		{ "conflict", GHOST_CONFLICT },
		{ "jid-malformed", GHOST_BAD_NICK },
		{ "bad-request", GHOST_BAD_NICK },
		{ "not-acceptable", GHOST_BAD_NICK }, /* nicks are locked down, XEP-0045 §7.2.2 */
		{ "registration-required", GHOST_MEMBERS },
		{ "not-allowed", GHOST_MEMBERS }, /* no right to make the room */
		{ "forbidden", GHOST_FORBIDDEN },
		{ "not-authorized", GHOST_PASSWORD },
		{ "gone", GHOST_GONE },
	};

	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		if (strcmp(errors[i].condition, condition) == 0)
			return errors[i].event;
	/* service-unavailable, resource-constraint, item-not-found (locked while it is configured), remote-server-timeout...: later. */
	return GHOST_FULL;
}

const char *
ghost_state_name(enum ghost_state state)
{
	static const char *const names[GHOST_STATES] = {
		[GHOST_UNKNOWN] = "unknown", [GHOST_ASKING] = "asking", [GHOST_PARTED] = "parted", [GHOST_JOINING] = "joining",
		[GHOST_JOINED] = "joined", [GHOST_MUTED] = "muted", [GHOST_BACKOFF] = "backoff", [GHOST_REFUSED] = "refused",
	};

	return names[state];
}

const char *
ghost_reason_name(enum ghost_reason reason)
{
	static const char *const names[GHOST_REASONS] = {
		[GHOST_FINE] = "", [GHOST_FOR_NICK] = "no nick could be had", [GHOST_FOR_MEMBERS] = "the room is for members only",
		[GHOST_FOR_BAN] = "banned from the room", [GHOST_FOR_KICK] = "kicked from the room",
		[GHOST_FOR_PASSWORD] = "the room has a password", [GHOST_FOR_GONE] = "the room is gone or locked",
	};

	return names[reason];
}
