/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmicrohttpd, driven from our loop through its own epoll descriptor. A transaction's answer is its acknowledgement, so the
 * connection is suspended until the turn's transaction is committed. Who has not shown the token is answered before
 * its body is read. Time-outs are ours: one deadline a connection, short while a request is under way, because
 * libmicrohttpd's own starts again with every byte.
 */
#include "matrix/appservice.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/now.h"
#include "base/seal.h"
#include "base/str.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BROKEN_REMEMBERED 16
#define BROKEN_TRIES 3
#define LOG_EVERY_MS 60000
#define DESCRIPTORS_SCARCE 128
#define CONNECTIONS_SPARE 16 /* that are accepted while as many are being closed */

struct broken {
	char digest[65];
	unsigned tries;
};

struct appservice {
	struct MHD_Daemon *daemon;
	struct loop_source *source;
	struct loop_timer timer; /* libmicrohttpd's */
	struct store *store;
	struct loop *loop;
	const char *hs_token;
	const struct appservice_calls *calls;
	struct list clients;     /* owns: client::link, the oldest first */
	unsigned client_count, most, spare; /* connections */
	struct list waiting;     /* borrows: exchange::link */
	struct list answered;    /* owns: answered::link; only with fault points */
	bool asked_store;        /* a callback after the commit is on its way */
	bool early, closing;
	uint16_t port;
	struct broken broken[BROKEN_REMEMBERED]; /* the last ones, a ring */
	unsigned next_broken;
	int64_t last_log_ms;     /* of a refused stranger */
	unsigned refused;
};

struct client {
	struct list link; /* appservice::clients */
	int fd;
	bool known; /* it has shown the token, or was told to go */
	struct loop_timer deadline;
};

struct answer {
	unsigned status;
	const char *body;
};

static const struct answer fine = { 200, "{}" };
static const struct answer forbidden = { 403, "{\"errcode\":\"M_FORBIDDEN\",\"error\":\"wrong token\"}" };
static const struct answer not_found = { 404, "{\"errcode\":\"M_NOT_FOUND\",\"error\":\"not found\"}" };
static const struct answer unknown = { 404, "{\"errcode\":\"M_UNRECOGNIZED\",\"error\":\"no such endpoint\"}" };
static const struct answer ambiguous = { 400, "{\"errcode\":\"M_UNKNOWN\",\"error\":\"ambiguous length\"}" };
static const struct answer too_large = { 413, "{\"errcode\":\"M_TOO_LARGE\",\"error\":\"too large\"}" };
static const struct answer broken_body = { 500, "{\"errcode\":\"M_NOT_JSON\",\"error\":\"no transaction\"}" };
static const struct answer busy = { 503, "{\"errcode\":\"M_UNKNOWN\",\"error\":\"cannot be kept now\"}" };

/* One request. */
struct exchange {
	struct list link; /* appservice::waiting */
	struct MHD_Connection *connection;
	char *txn;
	struct str body;
	const struct answer *answer; /* decided */
	bool transaction;
	int64_t begun_ms;
};

/* ---- answering ---- */

static enum MHD_Result
respond(struct MHD_Connection *connection, const struct answer *answer)
{
	struct MHD_Response *response;
	AUTO_FREE char *body = xstrdup(answer->body);

	response = MHD_create_response_from_buffer(strlen(body), body, MHD_RESPMEM_MUST_COPY);
	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, "Content-Type", "application/json");
	if (answer == &busy)
		MHD_add_response_header(response, "Retry-After", "2");
	FAULT_POINT("before_200");
	enum MHD_Result r = MHD_queue_response(connection, answer->status, response);
	MHD_destroy_response(response);
	return r;
}

/* Strangers can make this happen as often as they like. */
static void
note_refusal(struct appservice *appservice, unsigned status)
{
	int64_t now_ms = now_monotonic_ms();

	appservice->refused++;
	if (appservice->last_log_ms && now_ms - appservice->last_log_ms < LOG_EVERY_MS)
		return;
	appservice->last_log_ms = now_ms;
	log_warning(LOG_MATRIX, "refused a request to the listener status=%u total=%u", status, appservice->refused);
}

static void
count_refusal(struct appservice *appservice, const struct answer *answer)
{
	if (answer == &busy) {
		appservice->calls->refused(appservice->calls->context);
		metric_add(METRIC_TRANSACTION_BUSY, 1);
	} else {
		metric_add(METRIC_TRANSACTION_REFUSED, 1);
		note_refusal(appservice, answer->status);
	}
}

static void
drive(struct appservice *appservice)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms;

	MHD_run(appservice->daemon);
	if (MHD_get_timeout(appservice->daemon, &timeout_ms) == MHD_YES)
		loop_timer_set(&appservice->timer, timeout_ms > 60000 ? 60000 : (int64_t)timeout_ms);
	else
		loop_timer_stop(&appservice->timer);
}

static void
on_ready(void *context, uint32_t events)
{
	(void)events;
	drive(context);
}

static void
on_timer(void *context)
{
	drive(context);
}

static void
settle_waiting(struct appservice *appservice, const struct answer *answer)
{
	struct exchange *exchange;

	LIST_FOR_EACH(exchange, &appservice->waiting, struct exchange, link) {
		list_remove(&exchange->link);
		exchange->answer = answer;
		metric_add(METRIC_TRANSACTION_ACCEPTED, answer == &fine);
		MHD_resume_connection(exchange->connection);
	}
}

static void
on_commit(void *context, bool done)
{
	struct appservice *appservice = context;

	appservice->asked_store = false;
	if (!done && !list_empty(&appservice->waiting))
		count_refusal(appservice, &busy);
	settle_waiting(appservice, done ? &fine : &busy);
	/* The homeserver has waited long enough: what else this turn has to do can come after the answer. */
	if (!appservice->closing)
		drive(appservice);
	FAULT_POINT("after_200");
}

static enum MHD_Result
wait_for_commit(struct appservice *appservice, struct exchange *exchange)
{
	if (!appservice->asked_store) {
		appservice->asked_store = true;
		store_after_commit(appservice->store, on_commit, appservice);
	}
	list_append(&appservice->waiting, &exchange->link);
	MHD_suspend_connection(exchange->connection);
	return MHD_YES;
}

/* A body that is no transaction may have been cut short on its way: the same bytes are asked for again a few times. */
static bool
is_hopeless(struct appservice *appservice, const struct exchange *exchange)
{
	AUTO_STR struct str all;
	char digest[65];

	str_init(&all, (size_t)APPSERVICE_BODY_MAX + 4096);
	str_addf(&all, "%zu:%s", strlen(exchange->txn), exchange->txn);
	str_add_n(&all, str_get(&exchange->body), exchange->body.n);
	seal_sha256_hex(str_get(&all), all.n, digest);
	for (unsigned i = 0; i < BROKEN_REMEMBERED; i++)
		if (strcmp(appservice->broken[i].digest, digest) == 0)
			return ++appservice->broken[i].tries > BROKEN_TRIES;
	struct broken *broken = &appservice->broken[appservice->next_broken++ % BROKEN_REMEMBERED];
	memcpy(broken->digest, digest, sizeof(digest));
	broken->tries = 1;
	return false;
}

static enum MHD_Result
take_broken(struct appservice *appservice, struct exchange *exchange)
{
	metric_add(METRIC_TRANSACTION_UNREADABLE, 1);
	if (!is_hopeless(appservice, exchange)) {
		log_warning(LOG_MATRIX, "a transaction is no valid JSON txn=%s bytes=%zu", exchange->txn, exchange->body.n);
		return respond(exchange->connection, &broken_body);
	}
	appservice->calls->set_aside(appservice->calls->context, str_get(&exchange->body), exchange->body.n);
	return wait_for_commit(appservice, exchange);
}

/* ---- broken on purpose (decisions 7.2) ---- */

#ifdef FAULT_POINTS
#define EARLY_MS 300

/* What was acknowledged and is in memory only, as in a bridge that queues what it was given. */
struct answered {
	struct list link; /* appservice::answered */
	struct loop_timer timer;
	struct appservice *appservice;
	char *body;
	size_t size;
};

static void
free_answered(struct answered *answered)
{
	loop_timer_stop(&answered->timer);
	list_remove(&answered->link);
	mem_free_secret(answered->body, answered->size);
	free(answered);
}

static void
on_late(void *context)
{
	struct answered *answered = context;
	const struct appservice_calls *calls = answered->appservice->calls;

	calls->transaction(calls->context, answered->body, answered->size);
	free_answered(answered);
}

static void
keep_for_later(struct appservice *appservice, const struct exchange *exchange)
{
	struct answered *answered = xcalloc(1, sizeof(*answered));

	answered->appservice = appservice;
	answered->size = exchange->body.n;
	answered->body = xmalloc(answered->size + 1);
	memcpy(answered->body, str_get(&exchange->body), answered->size + 1);
	list_append(&appservice->answered, &answered->link);
	loop_timer_init(&answered->timer, appservice->loop, on_late, answered);
	loop_timer_set(&answered->timer, EARLY_MS);
}

static void
forget_answered(struct appservice *appservice)
{
	struct answered *answered;

	LIST_FOR_EACH(answered, &appservice->answered, struct answered, link)
		free_answered(answered);
}
#else
static void
keep_for_later(struct appservice *appservice, const struct exchange *exchange)
{
	(void)appservice, (void)exchange;
}

static void
forget_answered(struct appservice *appservice)
{
	(void)appservice;
}
#endif

/* ---- transactions ---- */

/* The whole body is there. */
static enum MHD_Result
take_transaction(struct appservice *appservice, struct exchange *exchange)
{
	const struct appservice_calls *calls = appservice->calls;

	if (exchange->body.full) {
		count_refusal(appservice, &too_large);
		return respond(exchange->connection, &too_large);
	}
	/* No commit follows to answer after, and libmicrohttpd aborts when it is stopped while a connection is suspended. */
	if (appservice->closing)
		return respond(exchange->connection, &busy);
	metric_set(METRIC_TRANSACTION_LAST, now_real_ms() / 1000);
	if (appservice->early) {
		keep_for_later(appservice, exchange);
		return respond(exchange->connection, &fine);
	}
	switch (calls->transaction(calls->context, str_get(&exchange->body), exchange->body.n)) {
	case APPSERVICE_KEPT:
		return wait_for_commit(appservice, exchange);
	case APPSERVICE_BROKEN:
		return take_broken(appservice, exchange);
	case APPSERVICE_FULL:
		count_refusal(appservice, &busy);
		return respond(exchange->connection, &busy);
	case APPSERVICE_IDLE:
		break;
	}
	metric_add(METRIC_TRANSACTION_ACCEPTED, 1);
	return respond(exchange->connection, &fine);
}

/* ---- asking ---- */

/* What a request says of who sends it: each place once, or it is ambiguous. */
struct claim {
	const char *header, *query;
	unsigned headers, queries;
};

static enum MHD_Result
note_header(void *context, enum MHD_ValueKind kind, const char *key, const char *value)
{
	struct claim *claim = context;

	(void)kind;
	if (strcasecmp(key, "Authorization") == 0) {
		claim->header = value;
		claim->headers++;
	}
	return MHD_YES;
}

static enum MHD_Result
note_query(void *context, enum MHD_ValueKind kind, const char *key, const char *value)
{
	struct claim *claim = context;

	(void)kind;
	if (strcmp(key, "access_token") == 0) {
		claim->query = value ? value : "";
		claim->queries++;
	}
	return MHD_YES;
}

static bool
is_authorised(struct appservice *appservice, struct MHD_Connection *connection)
{
	static const char scheme[] = "Bearer ";
	struct claim claim = { 0 };

	MHD_get_connection_values(connection, MHD_HEADER_KIND, note_header, &claim);
	MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, note_query, &claim);
	if (claim.headers != 1 || claim.queries > 1 || !claim.header || strncmp(claim.header, scheme, sizeof(scheme) - 1) != 0)
		return false;
	return seal_same(claim.header + sizeof(scheme) - 1, appservice->hs_token) &&
		(!claim.query || seal_same(claim.query, appservice->hs_token));
}

struct endpoint {
	const char *method, *path;
	bool prefix, transaction;
	const struct answer *answer;
};

static const struct endpoint endpoints[] = {
	{ "PUT", "/_matrix/app/v1/transactions/", true, true, NULL },
	{ "PUT", "/transactions/", true, true, NULL },
	{ "POST", "/_matrix/app/v1/ping", false, false, &fine },
	{ "GET", "/_matrix/app/v1/users/", true, false, &not_found },
	{ "GET", "/users/", true, false, &not_found },
	{ "GET", "/_matrix/app/v1/rooms/", true, false, &not_found },
	{ "GET", "/rooms/", true, false, &not_found },
};

static const struct endpoint *
find_endpoint(const char *method, const char *path)
{
	for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
		const struct endpoint *endpoint = &endpoints[i];
		bool same = endpoint->prefix ? str_starts(path, endpoint->path) : strcmp(path, endpoint->path) == 0;
		if (same && strcmp(method, endpoint->method) == 0)
			return endpoint;
	}
	return NULL;
}

static struct client *
client_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

/* How the body's end is found: of both headers together there may be one, and it must be plain, for libmicrohttpd takes the first. */
struct frame {
	unsigned headers;
	bool plain;
};

static enum MHD_Result
note_frame(void *context, enum MHD_ValueKind kind, const char *key, const char *value)
{
	struct frame *frame = context;
	bool length = strcasecmp(key, "Content-Length") == 0, coding = strcasecmp(key, "Transfer-Encoding") == 0;

	(void)kind;
	frame->headers += length || coding;
	if (length)
		frame->plain = value && *value && value[strspn(value, "0123456789")] == '\0';
	if (coding)
		frame->plain = value && strcasecmp(value, "chunked") == 0;
	return MHD_YES;
}

static bool
is_ambiguous(struct MHD_Connection *connection)
{
	struct frame frame = { 0, true };

	MHD_get_connection_values(connection, MHD_HEADER_KIND, note_frame, &frame);
	return frame.headers > 1 || !frame.plain;
}

/* What can be said from the headers alone; NULL: read on. */
static const struct answer *
judge_headers(struct appservice *appservice, struct MHD_Connection *connection, const struct endpoint *endpoint)
{
	struct client *client = client_of(connection);
	const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");

	if (!is_authorised(appservice, connection))
		return &forbidden;
	if (client)
		client->known = true;
	if (is_ambiguous(connection))
		return &ambiguous;
	if (length && strtoull(length, NULL, 10) > APPSERVICE_BODY_MAX)
		return &too_large;
	if (endpoint && endpoint->transaction && !appservice->calls->has_room(appservice->calls->context))
		return &busy;
	return endpoint ? NULL : &unknown;
}

static enum MHD_Result
begin(struct appservice *appservice, struct MHD_Connection *connection, const char *url, const char *method, void **state)
{
	const struct endpoint *endpoint = find_endpoint(method, url);
	const struct answer *answer = judge_headers(appservice, connection, endpoint);

	if (answer) {
		count_refusal(appservice, answer);
		return respond(connection, answer);
	}
	struct exchange *exchange = xcalloc(1, sizeof(*exchange));
	list_init(&exchange->link);
	exchange->connection = connection;
	exchange->answer = endpoint->answer;
	exchange->transaction = endpoint->transaction;
	exchange->begun_ms = now_monotonic_ms();
	exchange->txn = xstrndup(endpoint->transaction ? url + strlen(endpoint->path) : "", 256);
	str_init(&exchange->body, endpoint->transaction ? APPSERVICE_BODY_MAX : 65536);
	*state = exchange;
	return MHD_YES;
}

static void
set_deadline(struct MHD_Connection *connection, int64_t delay_ms)
{
	struct client *client = client_of(connection);

	if (client && delay_ms >= 0)
		loop_timer_set(&client->deadline, delay_ms);
	else if (client)
		loop_timer_stop(&client->deadline);
}

static enum MHD_Result
on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
		const char *data, size_t *size, void **state)
{
	struct appservice *appservice = context;
	struct exchange *exchange = *state;

	(void)version;
	if (!exchange)
		return begin(appservice, connection, url, method, state);
	if (*size > 0) {
		str_add_n(&exchange->body, data, *size);
		*size = 0;
		return MHD_YES;
	}
	set_deadline(connection, -1);
	if (exchange->answer)
		return respond(connection, exchange->answer);
	return take_transaction(appservice, exchange);
}

static void
on_completed(void *context, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode code)
{
	struct exchange *exchange = *state;

	(void)context;
	set_deadline(connection, APPSERVICE_IDLE_MS);
	if (!exchange)
		return;
	if (exchange->transaction && code == MHD_REQUEST_TERMINATED_COMPLETED_OK)
		metric_observe(DURATION_TRANSACTION, now_monotonic_ms() - exchange->begun_ms);
	list_remove(&exchange->link);
	free(exchange->txn);
	str_fini(&exchange->body);
	free(exchange);
	*state = NULL;
}

/* ---- deadlines ---- */

/* libmicrohttpd has no way to close a connection from outside; it notices that the socket ended. */
static void
on_deadline(void *context)
{
	const struct client *client = context;

	shutdown(client->fd, SHUT_RDWR);
}

/* Whoever opens connections and says nothing keeps out himself, and not the homeserver. */
static void
make_room(struct appservice *appservice)
{
	struct client *client;

	LIST_FOR_EACH(client, &appservice->clients, struct client, link)
		if (!client->known) {
			client->known = true;
			shutdown(client->fd, SHUT_RDWR);
			return;
		}
}

static void
on_connection(void *context, struct MHD_Connection *connection, void **state, enum MHD_ConnectionNotificationCode code)
{
	struct appservice *appservice = context;
	struct client *client = *state;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		client = xcalloc(1, sizeof(*client));
		client->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
		loop_timer_init(&client->deadline, appservice->loop, on_deadline, client);
		loop_timer_set(&client->deadline, APPSERVICE_SLOW_MS);
		list_init(&client->link);
		if (++appservice->client_count > appservice->most)
			make_room(appservice);
		list_append(&appservice->clients, &client->link);
		*state = client;
	} else if (client) {
		loop_timer_stop(&client->deadline);
		list_remove(&client->link);
		appservice->client_count--;
		free(client);
		*state = NULL;
	}
}

/* The first line of a request came. */
static void *
on_uri(void *context, const char *uri, struct MHD_Connection *connection)
{
	(void)context;
	(void)uri;
	set_deadline(connection, APPSERVICE_SLOW_MS);
	return NULL;
}

static void
on_trouble(void *context, const char *format, va_list args)
{
	(void)context;
	(void)format;
	(void)args;
	/* Its sentences may quote what a stranger sent; failures reach us through return values. */
}

/* ---- life ---- */

static int
resolve(const char *host, uint16_t port, struct addrinfo **out)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV };
	char service[8];

	snprintf(service, sizeof(service), "%u", (unsigned)port);
	return getaddrinfo(host, service, &hints, out) == 0 ? 0 : -EADDRNOTAVAIL;
}

static int
bind_socket(const struct addrinfo *address, uint16_t *port)
{
	struct sockaddr_storage bound;
	socklen_t size = sizeof(bound);
	int on = 1, fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	char service[8];

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, address->ai_addr, address->ai_addrlen) < 0 || listen(fd, 128) < 0 ||
			getsockname(fd, (struct sockaddr *)&bound, &size) < 0) {
		int error = -errno;
		close(fd);
		return error;
	}
	if (getnameinfo((struct sockaddr *)&bound, size, NULL, 0, service, sizeof(service), NI_NUMERICSERV) == 0)
		*port = (uint16_t)strtoul(service, NULL, 10);
	return fd;
}

static int
listen_on(struct appservice *appservice, const char *host, uint16_t port)
{
	struct addrinfo *address;
	int fd = resolve(host, port, &address);

	if (fd < 0)
		return fd;
	fd = bind_socket(address, &appservice->port);
	freeaddrinfo(address);
	if (fd < 0)
		return fd;
	appservice->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, appservice,
		MHD_OPTION_EXTERNAL_LOGGER, on_trouble, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, appservice->most + appservice->spare, MHD_OPTION_CONNECTION_TIMEOUT, 0u,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, appservice, MHD_OPTION_NOTIFY_CONNECTION, on_connection, appservice,
		MHD_OPTION_URI_LOG_CALLBACK, on_uri, appservice, MHD_OPTION_END);
	if (appservice->daemon)
		return 0;
	close(fd);
	return -ENOMEM;
}

/* With few descriptors the door is narrow: those to the homeserver and to the XMPP server must not be missing. */
static void
set_limits(struct appservice *appservice)
{
	struct rlimit limit;
	bool scarce = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < DESCRIPTORS_SCARCE;

	appservice->most = scarce ? 2 : APPSERVICE_CONNECTIONS;
	appservice->spare = scarce ? 1 : CONNECTIONS_SPARE;
}

int
appservice_open(struct appservice **out, struct loop *loop, struct store *store, const char *host, uint16_t port,
		const char *hs_token, const struct appservice_calls *calls)
{
	struct appservice *appservice = xcalloc(1, sizeof(*appservice));

	appservice->loop = loop;
	appservice->store = store;
	appservice->hs_token = hs_token;
	appservice->calls = calls;
	list_init(&appservice->clients);
	list_init(&appservice->waiting);
	list_init(&appservice->answered);
	loop_timer_init(&appservice->timer, loop, on_timer, appservice);
	set_limits(appservice);
	int r = listen_on(appservice, host, port);
	if (r == 0) {
		const union MHD_DaemonInfo *info = MHD_get_daemon_info(appservice->daemon, MHD_DAEMON_INFO_EPOLL_FD);
		r = info ? loop_add(loop, info->epoll_fd, EPOLLIN, on_ready, appservice, &appservice->source) : -EINVAL;
	}
	if (r < 0) {
		if (appservice->daemon)
			MHD_stop_daemon(appservice->daemon);
		free(appservice);
		return r;
	}
	*out = appservice;
	return 0;
}

void
appservice_close(struct appservice *appservice)
{
	if (!appservice)
		return;
	appservice->closing = true;
	/* The callback holds a pointer to us; a failure is told to whoever waits. */
	if (appservice->asked_store)
		(void)!store_commit(appservice->store);
	loop_remove(appservice->source);
	MHD_run(appservice->daemon);
	MHD_stop_daemon(appservice->daemon);
	loop_timer_stop(&appservice->timer);
	forget_answered(appservice);
	free(appservice);
}

uint16_t
appservice_port(const struct appservice *appservice)
{
	return appservice->port;
}

void
appservice_answer_early(struct appservice *appservice)
{
#ifdef FAULT_POINTS
	appservice->early = true;
#else
	(void)appservice;
#endif
}
