/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_HTTP_H
#define MATRIX_HTTP_H

/* Requests to the homeserver, as the application service. The only user of <curl/curl.h>. */

#include "base/loop.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_ANSWER_MAX (32u * 1024 * 1024)
#define HTTP_HEADERS_MAX (64u * 1024)
#define HTTP_TIMEOUT_MS (120 * 1000)

struct http;
struct http_request;

struct http_ask {
	const char *method; /* "GET", "PUT", "POST", "DELETE"; static */
	const char *path;   /* "/_matrix/client/...?user_id=...", already escaped */
	const char *body;   /* JSON, or NULL; copied */
	int64_t timeout_ms; /* 0: HTTP_TIMEOUT_MS */
};

/* Borrowed until the callback returns. */
struct http_answer {
	long status;            /* HTTP status; 0: none came */
	const char *body;       /* NUL-terminated, "" when there is none */
	size_t size;
	int64_t retry_after_ms; /* of the header Retry-After, seconds or a date; 0: none */
	int64_t date_ms;        /* of the header Date, which has whole seconds; 0: none. Only of http_ask_once() */
	const char *failure;    /* curl's sentence when status is 0, else NULL */
	bool timed_out;         /* with status 0: it was slow rather than gone */
};

/* `address` is of the homeserver, `token` the as_token; both copied. 0 or -errno. */
int http_open(struct http **out, struct loop *loop, const char *address, const char *token) MUST_USE;
/* Gives up whatever is under way; none of the callbacks comes any more. NULL is fine. */
void http_close(struct http *http);

/*
 * Begins a request; `done` comes once, from the loop, never from within this call. The request is the
 * connection pool's and gone after `done`; it is only good for http_cancel() before that.
 */
struct http_request *http_send(struct http *http, const struct http_ask *ask,
		void (*done)(void *context, const struct http_answer *answer), void *context);
/* `done` will not come. NULL is fine. */
void http_cancel(struct http_request *request);

/* Blocking, with a connection of its own; *out as for http_send, to be freed by http_answer_free(). */
struct http_answer *http_ask_once(const char *address, const char *token, const struct http_ask *ask) MUST_USE;
void http_answer_free(struct http_answer *answer);

/* Appends `text` percent-encoded but for the unreserved characters (RFC 3986 §2.3). */
void http_add_escaped(struct str *out, const char *text);

#endif
