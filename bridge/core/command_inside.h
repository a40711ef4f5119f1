/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_COMMAND_INSIDE_H
#define CORE_COMMAND_INSIDE_H

/* What the commands' files share: command.c is the front door and has the table, the others do what its entries say. */

#include "core/command.h"

/* One command being run. */
struct asking {
	struct core *core;
	struct group *group;        /* NULL until it is known; never a visit */
	struct group *visit;        /* said in (or through) a room that belongs to no group, or NULL */
	const struct inbox_row *row;
	const struct incoming *in;
	const char *language;
	char *arguments;            /* what follows the command's name; "" when nothing does; lent */
	bool confirmed;             /* said yes, or --yes */
	int answers;                /* so far; part of the rows' names */
};

/* ---- words ---- */

/* Whatever its case and accents. */
bool command_same_word(const char *a, const char *b);
/* Cuts the first word off; *rest is what follows it. */
char *command_take_word(char *p, char **rest);
const char *command_say(const struct asking *asking, const char *msgid);
/* How a command is written where this one was asked: "!" or "!sd ". */
const char *command_prefix(const struct asking *asking);

/* ---- answers ---- */

/* To the asker: privately where the network can, else under his command. command_answer_new() takes over `text`. */
void command_answer(struct asking *asking, const char *text);
void command_answer_new(struct asking *asking, char *text);
/* `to_all`: it concerns the whole room. */
void command_answer_to(struct asking *asking, bool to_all, const char *text);

/* Keeps the command until its author says yes, and shows him what would become. */
void command_preview(struct asking *asking, const char *command, const char *what);

/* In a direct message without a group's name: the person's only group, else the only group there is, else none. */
void command_choose_group(struct asking *asking);

/* ---- rights ---- */

enum command_scope {
	SCOPE_ANY,     /* concerns no group */
	SCOPE_GROUP,   /* concerns one */
	SCOPE_PLUMBED, /* concerns one that was joined from chat */
	SCOPE_APART,   /* concerns a room that is in none */
};

enum command_place { PLACE_GROUP, PLACE_VISIT, PLACE_NOWHERE };

enum command_permit {
	PERMIT_FINE,
	PERMIT_WHICH_GROUP, /* he must name it */
	PERMIT_NOT_JOINED,  /* the room is in no group */
	PERMIT_JOINED,      /* the room is in one already */
	PERMIT_NO_POWER,
	PERMIT_CONFIGURED,  /* the group stands in the configuration */
};

/* Whether a command may run, and if not, why not. Pure: `moderator` and `configured` are those of the room and group concerned, now. */
enum command_permit command_judge(enum command_scope scope, bool for_moderators, enum command_place place, bool moderator, bool configured);

/* Whether the asker moderates the group, by its room on his network as it is now. */
bool command_moderates(const struct asking *asking);
/* Says why not. */
void command_refuse(struct asking *asking, enum command_permit why, const char *name);

/* ---- what the table names ---- */

void command_hours(struct asking *asking);
void command_rules(struct asking *asking);
void command_undo(struct asking *asking);
void command_why(struct asking *asking);
void command_held(struct asking *asking);
void command_mode(struct asking *asking);
void command_link(struct asking *asking);
void command_whoami(struct asking *asking);
void command_status(struct asking *asking);
void command_plumb(struct asking *asking);
void command_confirm(struct asking *asking);
void command_unplumb(struct asking *asking);
void command_encrypted(struct asking *asking);

#endif
