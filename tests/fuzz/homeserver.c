/* SPDX-License-Identifier: Apache-2.0 */
/* http_*() and appservice_*() are replaced by the linker. */
#include "homeserver.h"

#include "base/json.h"
#include "matrix/http.h"
#include "matrix/matrix.h"

#include <string.h>

struct http_request {
	struct list link; /* homeserver::waiting */
	char *method, *path;
	void (*done)(void *context, const struct http_answer *answer);
	void *context;
};

struct homeserver {
	struct bridge *bridge;
	struct port *port;
	struct list waiting; /* owns: http_request::link */
	struct appservice_calls calls;
	unsigned sent;
};

static struct homeserver homeserver;

/* ---- what is replaced by the linker ---- */

int __wrap_http_open(struct http **out, struct loop *loop, const char *address, const char *token);
void __wrap_http_close(struct http *http);
struct http_request *__wrap_http_send(struct http *http, const struct http_ask *ask,
		void (*done)(void *context, const struct http_answer *answer), void *context);
void __wrap_http_cancel(struct http_request *request);
int __wrap_appservice_open(struct appservice **out, struct loop *loop, struct store *store, const char *host, uint16_t port,
		const char *hs_token, const struct appservice_calls *calls);
void __wrap_appservice_close(struct appservice *appservice);

int
__wrap_http_open(struct http **out, struct loop *loop, const char *address, const char *token)
{
	(void)loop, (void)address, (void)token;
	list_init(&homeserver.waiting);
	*out = (struct http *)(void *)&homeserver;
	return 0;
}

static void
drop(struct http_request *request)
{
	list_remove(&request->link);
	free(request->method);
	free(request->path);
	free(request);
}

void
__wrap_http_close(struct http *http)
{
	(void)http;
	while (!list_empty(&homeserver.waiting))
		drop(LIST_ENTRY(homeserver.waiting.next, struct http_request, link));
}

/* What a stranger's name may hold never leaves its place in the path; a body is one JSON object. */
static void
check_asked(const struct http_ask *ask)
{
	REQUIRE(strncmp(ask->path, "/_matrix/", 9) == 0);
	REQUIRE(!ask->path[strspn(ask->path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%/?&=")]);
	if (!ask->body || !*ask->body)
		return;
	json_t *body = json_read_answer(ask->body, strlen(ask->body));
	REQUIRE(body);
	json_decref(body);
}

struct http_request *
__wrap_http_send(struct http *http, const struct http_ask *ask, void (*done)(void *context, const struct http_answer *answer), void *context)
{
	struct http_request *request = xcalloc(1, sizeof(*request));

	(void)http;
	check_asked(ask);
	*request = (struct http_request){ .method = xstrdup(ask->method), .path = xstrdup(ask->path), .done = done, .context = context };
	list_append(&homeserver.waiting, &request->link);
	return request;
}

void
__wrap_http_cancel(struct http_request *request)
{
	if (request)
		drop(request);
}

int
__wrap_appservice_open(struct appservice **out, struct loop *loop, struct store *store, const char *host, uint16_t port,
		const char *hs_token, const struct appservice_calls *calls)
{
	(void)loop, (void)store, (void)host, (void)port, (void)hs_token;
	homeserver.calls = *calls;
	*out = (struct appservice *)(void *)&homeserver;
	return 0;
}

void
__wrap_appservice_close(struct appservice *appservice)
{
	(void)appservice;
}

/* ---- answers ---- */

static bool
is_poll(const struct http_request *request)
{
	return strstr(request->path, "/sync?") && !strstr(request->path, "timeout=0");
}

static struct http_request *
oldest(bool poll)
{
	struct http_request *request;

	LIST_FOR_EACH(request, &homeserver.waiting, struct http_request, link)
		if (is_poll(request) == poll)
			return request;
	return NULL;
}

static void
answer(struct http_request *request, long status, int64_t retry_after_ms, const char *body, size_t size)
{
	struct http_answer said = { .status = status, .body = body, .size = size, .retry_after_ms = retry_after_ms,
		.failure = status ? NULL : "it broke", .timed_out = !status && retry_after_ms };
	struct http_request kept = *request;

	drop(request);
	kept.done(kept.context, &said);
}

/* A copy of just that size, NUL-terminated as http.c does it, so that a read beyond it is seen. */
static void
answer_copy(struct http_request *request, long status, int64_t retry_after_ms, const char *body, size_t size)
{
	AUTO_FREE char *copy = xstrndup(body, size);

	answer(request, status, retry_after_ms, copy, strlen(copy));
}

const char *
homeserver_asked(const struct homeserver *asked)
{
	struct http_request *request = oldest(false);

	(void)asked;
	return request ? request->path : NULL;
}

void
homeserver_answer(struct homeserver *answering, long status, int64_t retry_after_ms, const char *body, size_t size)
{
	struct http_request *request = oldest(false);

	(void)answering;
	if (request)
		answer_copy(request, status, retry_after_ms, body, size);
}

void
homeserver_poll(struct homeserver *answering, long status, const char *body, size_t size)
{
	struct http_request *request = oldest(true);

	(void)answering;
	if (request)
		answer_copy(request, status, 0, body, size);
}

void
homeserver_answer_well(struct homeserver *answering)
{
	static const struct {
		const char *part, *body;
	} friendly[] = {
		{ "/client/versions", "{\"versions\":[\"v1.11\"]}" },
		{ "/joined_rooms", "{\"joined_rooms\":[]}" },
		{ "/directory/room/", "{\"room_id\":\"!m:hs\",\"servers\":[\"hs\"]}" },
		{ "/join/", "{\"room_id\":\"!m:hs\"}" },
		{ "/joined_members", "{\"joined\":{\"@alice:hs\":{\"display_name\":\"Alice\"},\"@sourdine:hs\":{\"display_name\":null}}}" },
		{ "/state/m.room.power_levels", "{\"users\":{\"@mod:hs\":50},\"users_default\":0,\"state_default\":50}" },
		{ "/state/m.room.create", "{\"sender\":\"@creator:hs\",\"content\":{\"room_version\":\"12\"}}" },
		{ "/messages", "{\"chunk\":[],\"start\":\"t1\"}" },
		{ "/members", "{\"chunk\":[]}" },
		{ "/createRoom", "{\"room_id\":\"!d:hs\"}" },
		{ "/sync", "{\"next_batch\":\"s1\"}" },
	};
	const char *path = homeserver_asked(answering), *body = "{}";
	char sent[64];

	for (size_t i = 0; path && i < sizeof(friendly) / sizeof(friendly[0]); i++)
		if (strstr(path, friendly[i].part)) {
			body = friendly[i].body;
			break;
		}
	if (path && strstr(path, "/send/")) {
		snprintf(sent, sizeof(sent), "{\"event_id\":\"$sent%u\"}", ++answering->sent);
		body = sent;
	}
	bool none = path && strstr(path, "/state/m.room.encryption");
	homeserver_answer(answering, none ? 404 : 200, 0, none ? "{\"errcode\":\"M_NOT_FOUND\"}" : body, none ? 27 : strlen(body));
}

bool
homeserver_serve(struct homeserver *serving, const char *part, int turns, int64_t ms)
{
	while (turns-- > 0) {
		bridge_turn(serving->bridge, ms);
		for (int i = 0; i < 50 && homeserver_asked(serving); i++) {
			if (part && strstr(homeserver_asked(serving), part))
				return true;
			homeserver_answer_well(serving);
		}
	}
	return false;
}

unsigned
homeserver_sent(const struct homeserver *asked)
{
	return asked->sent;
}

bool
homeserver_has_refused(const struct homeserver *asked)
{
	return matrix_failure(asked->port) != NULL;
}

enum appservice_verdict
homeserver_push(struct homeserver *pushing, const char *body, size_t size)
{
	return pushing->calls.transaction(pushing->calls.context, body, size);
}

static int
is_operator(void *context, const char *person)
{
	(void)context;
	return strcmp(person, "@admin:hs") == 0;
}

struct homeserver *
homeserver_open(struct bridge *bridge, bool encrypts)
{
	const struct matrix_settings settings = {
		.address = "http://127.0.0.1:9", .domain = "hs", .listen_host = "127.0.0.1", .listen_port = 9, .id = "sourdine", .as_token = "as",
		.hs_token = "hs", .bot = "sourdine", .ghosts = "_xmpp_", .component = BRIDGE_COMPONENT, .is_operator = is_operator,
		.encrypts = encrypts,
	};
	struct matrix_parts parts = { bridge->loop, bridge->store, bridge->seal, &bridge->core->groups, bridge->core->inbox,
		bridge->core->outbox, bridge->core->people, bridge->core->plumb };

	homeserver = (struct homeserver){ .bridge = bridge };
	REQUIRE(matrix_open(&homeserver.port, &settings, &parts) == 0);
	bridge->core->port[NETWORK_MATRIX] = homeserver.port;
	REQUIRE(homeserver.port->ops->start(homeserver.port) == 0);
	return &homeserver;
}

void
homeserver_end(struct homeserver *ended)
{
	bridge_turn(ended->bridge, 1);
	ended->bridge->core->port[NETWORK_MATRIX] = NULL;
	matrix_close(ended->port);
}
