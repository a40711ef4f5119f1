/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_CONTROL_H
#define CLI_CONTROL_H

/*
 * STATE/control: the Unix socket (0600) by which other sub-commands ask the running daemon. Whoever connects writes one line
 * (a verb and its words, parted by spaces) and gets one JSON document and the end of the stream. An answer may come much
 * later; it never holds the daemon up. The verbs and their documents are in answer.h.
 */

#include "base/loop.h"
#include "base/mem.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

struct control;

#define CONTROL_MAX (1 << 20) /* bytes of one document */

/* A request line took too long, or is longer than this: the connection is cut. */
#define CONTROL_LINE_MAX 4096

/*
 * Listens at `path` (a leftover of a dead daemon is replaced: the caller holds the state directory's lock). `asked` gets each
 * line without its end, and must see to it that control_answer() is called once with that ticket, now or later.
 * 0 and *out, or -errno (-ENAMETOOLONG: over 107 bytes).
 */
int control_open(struct control **out, struct loop *loop, const char *path,
		void (*asked)(void *context, uint64_t ticket, const char *request), void *context) MUST_USE;

/* Sends the document and ends the connection. A ticket whose asker has left is ignored. */
void control_answer(struct control *control, uint64_t ticket, const char *json, size_t n);

/* Removes the socket; whoever still waits gets nothing. NULL is fine. */
void control_close(struct control *control);

#define CONTROL_PATIENCE_MS 5000
#define CONTROL_COPY "backup.new" /* of the state directory: the database's copy, made for who asked for a backup, who removes it */

/*
 * The other end, blocking for at most patience_ms: the document, malloc'd, the caller's.
 * 0; -ECONNREFUSED or -ENOENT: no daemon runs; -errno (-ETIMEDOUT; -EPROTO: it broke off).
 */
int control_ask(const char *path, const char *request, int64_t patience_ms, char **out) MUST_USE;

#endif
