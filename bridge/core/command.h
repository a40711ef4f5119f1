/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_COMMAND_H
#define CORE_COMMAND_H

/*
 * Chat commands: one table for both networks and both languages (etiquette 5.2, interface 5). Rights are those of the
 * moment: the port says whether the author is a moderator as it reads the command.
 */

#include "core/core.h"
#include "core/inbox_rows.h"

/* Whether a room's message is a command: "!sd ...", "!sourdine ...", or the bot mentioned first. Such a message is never bridged. */
bool command_is(const struct core *core, const char *text);

/*
 * Runs it and answers through the outbox, in the turn's transaction. `group` may be NULL (a direct message): then the
 * command's first word or the person's only group decides. What is said to the bot alone needs no prefix but "!".
 */
void command_run(struct core *core, struct group *group, const struct inbox_row *row, const struct incoming *in);

#endif
