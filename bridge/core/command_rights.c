/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may do what, asked at execution. A command in a room concerns that room; one by direct message concerns the group that it
 * names, so the power that counts is that in the group's room, never that in a room where the asker happens to be seen.
 */
#include "core/command_inside.h"

#include "base/text.h"
#include "core/plumb_open.h"

#include <stdlib.h>

enum command_permit
command_judge(enum command_scope scope, bool for_moderators, enum command_place place, bool moderator, bool configured)
{
	static const enum command_permit by_place[][3] = {
		[SCOPE_ANY] = { PERMIT_FINE, PERMIT_FINE, PERMIT_FINE },
		[SCOPE_GROUP] = { PERMIT_FINE, PERMIT_NOT_JOINED, PERMIT_WHICH_GROUP },
		[SCOPE_PLUMBED] = { PERMIT_FINE, PERMIT_NOT_JOINED, PERMIT_WHICH_GROUP },
		[SCOPE_APART] = { PERMIT_JOINED, PERMIT_FINE, PERMIT_FINE },
	};
	enum command_permit permit = by_place[scope][place];

	if (permit != PERMIT_FINE)
		return permit;
	if (for_moderators && !moderator)
		return PERMIT_NO_POWER;
	return scope == SCOPE_PLUMBED && configured ? PERMIT_CONFIGURED : PERMIT_FINE;
}

bool
command_moderates(const struct asking *asking)
{
	enum network network = asking->row->network;
	const struct group *group = asking->group ? asking->group : asking->visit;
	struct rights rights;

	if (!asking->in->direct)
		return asking->in->moderator;
	if (!group)
		return false;
	plumb_rights(asking->core, network, group->room[network], asking->in->author.person, &rights);
	return plumb_may(&rights);
}

void
command_refuse(struct asking *asking, enum command_permit why, const char *name)
{
	static const char *const sentences[] = {
		[PERMIT_NOT_JOINED] = N_("This room is joined with no other yet, so there is nothing to say about that. To join it: !sd plumb, and the other room's address."),
		[PERMIT_JOINED] = N_("This room is joined with another one already. !sd status says with which; a moderator can end that with !sd unplumb."),
		[PERMIT_NO_POWER] = N_("Only moderators of the group can do that, in its room: Matrix members who may change the room's settings, and owners and admins of the XMPP room."),
		[PERMIT_CONFIGURED] = N_("These rooms are joined by the bridge's configuration: its administrator has to remove the group \"{name}\" there."),
	};

	command_answer_new(asking, str_fill(command_say(asking, sentences[why]), "name", name));
}
