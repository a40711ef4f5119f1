/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_WITHDRAWAL_H
#define CORE_WITHDRAWAL_H

#include "core/core.h"
#include "core/inbox_rows.h"

/*
 * An INCOMING_WITHDRAWAL by the message's author, or by a moderator, in the turn's transaction (etiquette 6.3). Of nobody else's,
 * and of what is not known, nothing happens. What has been said already stays.
 */
void withdrawal_carry_out(struct core *core, const struct inbox_row *row, const struct incoming *in);

#endif
