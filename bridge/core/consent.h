/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_CONSENT_H
#define CORE_CONSENT_H

/*
 * What is encrypted on Matrix must not become readable on XMPP behind its writers' backs (decisions 6.2). Whether a Matrix room is
 * encrypted its port says; whether it may be joined with a plain room all the same, a moderator of either room, or the administrator.
 * A group that lacks that consent is stopped: messages are judged as ever, and their rows wait; commands and answers pass.
 */

#include "core/core.h"

enum consent {
	CONSENT_NEEDLESS,  /* nothing encrypted is joined with anything plain */
	CONSENT_GIVEN,
	CONSENT_MISSING,   /* stopped: rows wait until it is given */
	CONSENT_FORBIDDEN, /* stopped: the room is encrypted, and the administrator refuses that */
	CONSENT_PLAIN,     /* stopped: it is not, and he refuses that */
};

/* How the group stands, by what its port knows now. */
enum consent consent_of(struct core *core, const struct group *group);
/* Why a message of such a group is refused at once; false: it is not (it may wait). */
bool consent_refuses(enum consent consent, enum refusal *why);
/* Whether a charter may copy from one group to another: from an encrypted room into plain ones only with consent there. */
bool consent_allows_copy(struct core *core, const struct group *from, const struct group *to);
/* Whether what is said in the clear in an encrypted room counts (encryption.trust: all). `group` may be NULL. */
bool consent_trusts_plain(const struct core *core, const struct group *group);

/* Part of plumbing's turn: stops and goes on as things are now; both rooms are told, once. */
void consent_work(struct core *core);
/* Rows that waited ten days in a stopped group are refused, their authors told. Cheap but once an hour. */
void consent_sweep(struct core *core, int64_t now_ms);
/* After a rollback: what is stopped is what the database says. */
void consent_recall(struct core *core);

/* By a moderator, in the turn's transaction: audited, and told in both rooms. */
void consent_give(struct core *core, struct group *group, const char *actor);
void consent_withdraw(struct core *core, struct group *group, const char *actor);

/* One line for people on how the group stands; NULL when there is nothing to say. malloc'd. */
char *consent_say(struct core *core, const struct group *group) MUST_USE;
/* What agreeing would mean for this group. malloc'd. */
char *consent_explain(struct core *core, const struct group *group) MUST_USE;

#endif
