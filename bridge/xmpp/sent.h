/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XMPP_SENT_H
#define XMPP_SENT_H

/*
 * Which private messages were handed to the kernel. A room's archive can be asked after a crash, a chat cannot; but what
 * the kernel has it delivers although we are killed. So the name is noted right behind the write, in shared
 * memory over a file, which outlives the process and costs no fsync. It does not outlive the machine: a record of another
 * boot counts for nothing.
 */

#include "base/mem.h"

struct sent;

/* Opens or makes DIRECTORY/xmpp.sent. 0 or -errno. */
int sent_open(struct sent **out, const char *directory) MUST_USE;
/* NULL is fine, here and below: nothing is noted then. */
void sent_close(struct sent *sent);

void sent_note(struct sent *sent, const char *lane, const char *name);
/* It is to be sent again. */
void sent_clear(struct sent *sent, const char *name);
/* What an earlier process noted, in no order. */
void sent_each(struct sent *sent, void (*each)(void *context, const char *lane, const char *name), void *context);
void sent_forget(struct sent *sent);

#endif
