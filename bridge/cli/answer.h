/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_ANSWER_H
#define CLI_ANSWER_H

/*
 * What the running daemon answers over the control socket (control.h). A request is a verb and its words:
 *
 *   status                    the document that `sourdine status` prints; see cli_status()
 *   ledger                    the books over the newest 100,000 messages: {accepted, difference, delivered, ...}, see ledger.h
 *   backup                    copies the database to STATE/backup.new, then {"copied": true}; the asker takes it away
 *   audit GROUP MS REPAIR     both rooms' archives of the last MS milliseconds against the journal, see core/audit.h; REPAIR is 0 or 1
 *   devices USER              our devices, of users after this one ("-": all), 500 at most: {"devices", "generation"}, see report.h
 *   log GROUP MS              the moderators' log: {"rows": [{at_ms, actor, verb, before, after}]}
 *
 * Every other answer is an object with "error", a sentence, when it could not be done. None of them holds the daemon up: what
 * takes longer goes on in later turns.
 */

#include "base/config.h"
#include "base/json.h"
#include "base/loop.h"
#include "base/mem.h"
#include "core/core.h"

#include <stdbool.h>
#include <stdint.h>

struct answers;

/* Borrowed for the life of the answers. */
struct answers_parts {
	const struct config *config;
	struct loop *loop;
	struct core *core;
	struct port *matrix, *jabber;
	const bool *ready;
	int64_t started_ms; /* monotonic */
};

/* Makes the control socket. 0 or -errno. */
int answers_open(struct answers **out, const struct answers_parts *parts) MUST_USE;
/* NULL is fine. */
void answers_close(struct answers *answers);

/* What takes longer, a piece of it: at the end of each turn. True when there is more to do at once. */
bool answers_turn(struct answers *answers);

/* Appends a sentence to the "problems" of a status, without control characters: it may quote what a server said. */
void answers_add_problem(json_t *problems, const char *format, ...) PRINTF_LIKE(2, 3);

/* How many rooms of this network the groups name. */
unsigned answers_rooms_wanted(const struct core *core, enum network network);

#endif
