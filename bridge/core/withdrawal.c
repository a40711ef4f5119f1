/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message taken back while something of it waits: that is not said any more, in no digest either, and its text is destroyed; the
 * ids stay. What was handed to a port already, or is frozen in a digest, is as said.
 */
#include "core/withdrawal.h"

#include "core/decisions.h"
#include "core/notices.h"

#include <string.h>

void
withdrawal_carry_out(struct core *core, const struct inbox_row *row, const struct incoming *in)
{
	int64_t seq = inbox_seq(core->inbox, row->room, in->reply_to);
	struct decision decision;

	if (!seq || !decisions_get(core->store, seq, &decision) || !(in->moderator || strcmp(decision.person, in->author.person) == 0))
		return;
	store_run_for(core->store, OUTBOX_WITHDRAW, seq);
	store_run_for(core->store, ITEM_WITHDRAW, seq);
	inbox_erase(core->inbox, seq);
	notices_released(core, seq, decision.group);
}
