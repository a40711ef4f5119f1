/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_CORE_H
#define CORE_CORE_H

/* The heart's parts, wired together. Each is owned by whoever opened the core. */

#include "base/seal.h"
#include "core/groups.h"
#include "core/inbox.h"
#include "core/outbox.h"
#include "core/people.h"
#include "core/port.h"
#include "store/store.h"

struct core {
	struct store *store;
	struct seal *seal;
	struct groups groups;
	struct inbox *inbox;
	struct outbox *outbox;
	struct people *people;
	struct port *port[2];        /* by enum network; borrowed; NULL until it is opened */
	struct charters *charters;
	struct relay *relay;
	struct restored *restored;   /* or NULL */
	struct digests *digests;
	struct plumb *plumb;
	int64_t refusals_hour;       /* refusals.c: hours before it are told */
	int64_t consent_hour;        /* consent.c: when it last swept */
	const char *language;        /* of the site; borrowed */
	const char *matrix_bot;      /* "@sourdine:example.org", for mentions; borrowed */
	const char *nick;            /* the bot's, on XMPP; borrowed */
	const char *xmpp_bot;        /* "bot@sourdine.example.org"; borrowed */
	bool crashed;                /* the process before this one ended by a fault of its own, not by a kill */
	bool refuse_encrypted;       /* encryption.allow: false */
	bool refuse_plain;           /* encryption.require: true */
	bool trust_all;              /* encryption.trust: all */
	struct pressure *pressure;
};

struct core_settings {
	const char *language, *matrix_bot, *nick, *xmpp_bot, *charters;
	bool crashed;
	bool refuse_encrypted, refuse_plain, trust_all;
};

/*
 * Opens every part over an open store, and the groups' charters. Groups are added to core->groups
 * between core_open() and core_start(). Settings are borrowed.
 */
struct core *core_open(struct store *store, struct seal *seal, const struct core_settings *settings) MUST_USE;
/* Reads the charters: 0, or CHARTERS_E_BROKEN and one sentence in `why`. */
int core_start(struct core *core, char *why, size_t size) MUST_USE;
void core_close(struct core *core);

/*
 * The end of a turn (see port.h): commits what callbacks wrote, judges, plans digests, picks rows, commits, sends.
 * True when there is more to do at once.
 */
bool core_turn(struct core *core);

/*
 * Something was rolled back: groups, codes and charters in memory are again what the database says. In the turn's transaction; for
 * inbox and outbox see pressure.h.
 */
void core_recall(struct core *core);

/* Milliseconds until a row or a digest falls due, by the rules' clock; -1: nothing is planned. */
int64_t core_next_due(struct core *core);

/* The language that a group's people are addressed in. Lent. */
const char *core_language(const struct core *core, const struct group *group);

#endif
