/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_APPSERVICE_H
#define MATRIX_APPSERVICE_H

/* The listener where the homeserver brings its transactions (Matrix AS v1.18 "Pushing events"). The only user of <microhttpd.h>. */

#include "base/loop.h"
#include "base/mem.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define APPSERVICE_BODY_MAX (32u * 1024 * 1024) /* 100 events of 64 KiB, and what else a transaction may carry */
#define APPSERVICE_SLOW_MS 10000
#define APPSERVICE_IDLE_MS 150000 /* longer than a homeserver keeps an idle connection, so that it is not ours that breaks */
#define APPSERVICE_CONNECTIONS 64 /* above that the oldest one that never showed the token makes room */

struct appservice;

enum appservice_verdict {
	APPSERVICE_KEPT,   /* rows were written: 200 once they are committed, 503 when that fails */
	APPSERVICE_IDLE,   /* nothing of it concerns us: 200 at once */
	APPSERVICE_BROKEN, /* the top level is no transaction: 500 three times for the same bytes, then set aside */
	APPSERVICE_FULL,   /* nothing can be committed: 503 */
};

struct appservice_calls {
	/* A transaction, read completely and authorised. The body is lent. */
	enum appservice_verdict (*transaction)(void *context, const char *body, size_t size);
	/* A broken one that came too often: keep it for the admin, within the turn's transaction. */
	void (*set_aside)(void *context, const char *body, size_t size);
	/* We answered 503 to a transaction: the homeserver waits ever longer now, and a ping would end that (once commits work again). */
	void (*refused)(void *context);
	/* Whether anything can be kept now: when not, a transaction is answered 503 before its body is read. */
	bool (*has_room)(void *context);
	void *context;
};

/* Listens on a numeric address. `hs_token` and `calls` are borrowed. 0 or -errno (-EADDRINUSE). */
int appservice_open(struct appservice **out, struct loop *loop, struct store *store, const char *host, uint16_t port,
		const char *hs_token, const struct appservice_calls *calls) MUST_USE;
/* Closes every connection. When an answer waits for the turn's transaction, this commits it. NULL is fine. */
void appservice_close(struct appservice *appservice);

/* The port it listens on (of use when 0 was asked for). */
uint16_t appservice_port(const struct appservice *appservice);

/* Builds with fault points only: answers at once and keeps what came a while later, so that a crash in between loses it. */
void appservice_answer_early(struct appservice *appservice);

#endif
