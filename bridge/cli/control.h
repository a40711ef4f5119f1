/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_CONTROL_H
#define CLI_CONTROL_H

/*
 * STATE/control: the Unix socket (0600) by which other sub-commands ask the running daemon. Whoever connects gets one
 * JSON document and the end of the stream; what he writes is ignored.
 *
 * The document is an object. `status` prints whatever it holds: plain members as a line, objects as a line of their members,
 * arrays of objects as a line each. `status` and `check` rely on these:
 *   ready        bool: both networks connected, every group's rooms joined
 *   groups       array of {name, ...}
 *   matrix, xmpp {joined: how many groups' rooms, connected: bool, failure: sentence or null}
 *   test_clock   bool
 */

#include "base/loop.h"
#include "base/mem.h"
#include "base/str.h"

struct control;

#define CONTROL_MAX (1 << 20) /* bytes of one document */

/*
 * Listens at `path` (a leftover of a dead daemon is replaced: the caller holds the state directory's lock).
 * `answer` appends the document to `json`. 0 and *out, or -errno (-ENAMETOOLONG: over 107 bytes).
 */
int control_open(struct control **out, struct loop *loop, const char *path, void (*answer)(void *context, struct str *json),
		void *context) MUST_USE;
/* Removes the socket. NULL is fine. */
void control_close(struct control *control);

/*
 * The other end, blocking for at most five seconds: the document, malloc'd, the caller's.
 * 0; -ECONNREFUSED or -ENOENT: no daemon runs; -errno.
 */
int control_ask(const char *path, char **out) MUST_USE;

#endif
