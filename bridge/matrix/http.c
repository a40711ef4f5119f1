/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl's multi interface inside our loop: curl tells which descriptors and which time-out it waits for, we tell it what
 * became of them, and afterwards collect what is finished. Callbacks of requests run only in that collecting, outside
 * curl, so that they may begin and cancel others. Neither an address with its query nor a body is ever logged.
 */
#include "matrix/http.h"

#include "base/list.h"
#include "base/log.h"
#include "base/now.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#define CONNECTIONS_MAX 32
#define CONNECTIONS_FEW 3 /* when descriptors are scarce: a connection that cannot be opened looks like a homeserver that is gone */
#define DESCRIPTORS_SCARCE 128
#define CONNECT_TIMEOUT_MS 10000L
#define IDLE_MAX 16

struct http {
	CURLM *multi;
	struct loop *loop;
	struct loop_timer timer;   /* curl's */
	char *address;
	struct curl_slist *headers;
	struct list requests;      /* owns: http_request::link */
	CURL *idle[IDLE_MAX];      /* owns: handles that have all that is the same for every request */
	unsigned idle_count;
};

struct http_request {
	struct list link; /* http::requests */
	struct http *http;
	CURL *easy;
	char *body;
	struct str answer;
	size_t header_bytes;
	char failure[CURL_ERROR_SIZE];
	void (*done)(void *context, const struct http_answer *answer);
	void *context;
};

static void
request_free(struct http_request *request)
{
	struct http *http = request->http;

	list_remove(&request->link);
	if (http)
		curl_multi_remove_handle(http->multi, request->easy);
	curl_easy_setopt(request->easy, CURLOPT_ERRORBUFFER, NULL);
	if (http && http->idle_count < IDLE_MAX)
		http->idle[http->idle_count++] = request->easy;
	else
		curl_easy_cleanup(request->easy);
	mem_free_secret(request->body, request->body ? strlen(request->body) : 0);
	str_fini(&request->answer);
	free(request);
}

static size_t
take_answer(char *p, size_t size, size_t count, void *context)
{
	struct http_request *request = context;

	str_add_n(&request->answer, p, size * count);
	return request->answer.full ? 0 : size * count;
}

/* curl keeps them for itself; here they are only counted. */
static size_t
count_header(char *p, size_t size, size_t count, void *context)
{
	struct http_request *request = context;

	(void)p;
	request->header_bytes += size * count;
	return request->header_bytes > HTTP_HEADERS_MAX ? 0 : size * count;
}

static struct curl_slist *
make_headers(const char *token)
{
	AUTO_FREE char *bearer = xasprintf("Authorization: Bearer %s", token);
	struct curl_slist *headers = curl_slist_append(NULL, bearer);

	headers = curl_slist_append(headers, "Content-Type: application/json");
	headers = curl_slist_append(headers, "Expect:");
	if (!headers)
		abort();
	return headers;
}

/* What is the same for every request. A redirect is not followed: it would carry our token elsewhere. */
static CURL *
make_easy(const struct curl_slist *headers)
{
	CURL *easy = curl_easy_init();

	if (!easy)
		abort();
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_answer);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, count_header);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
	curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	/* Else a request that ends while a name server keeps silent has the whole loop wait for curl's resolving thread. */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	return easy;
}

/* What is its own: whatever an earlier request with this handle had is replaced. */
static void
prepare(struct http_request *request, const char *address, const struct http_ask *ask)
{
	AUTO_FREE char *url = xasprintf("%s%s", address, ask->path);
	CURL *easy = request->easy;

	if (request->body) {
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(request->body));
	} else {
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, NULL);
		curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
	}
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, ask->method);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, request);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->failure);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, request);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(ask->timeout_ms ? ask->timeout_ms : HTTP_TIMEOUT_MS));
}

/* `easy` is taken. */
static struct http_request *
request_new(const char *address, CURL *easy, const struct http_ask *ask)
{
	struct http_request *request = xcalloc(1, sizeof(*request));

	list_init(&request->link);
	str_init(&request->answer, HTTP_ANSWER_MAX);
	/* A PUT or POST without a body would make curl wait for one to be read. */
	request->body = xstrdup(ask->body ? ask->body : strcmp(ask->method, "GET") ? "{}" : NULL);
	request->easy = easy;
	prepare(request, address, ask);
	return request;
}

static void
collect_answer(struct http_request *request, CURLcode code, struct http_answer *answer)
{
	struct curl_header *header;

	*answer = (struct http_answer){ .body = str_get(&request->answer), .size = request->answer.n };
	if (code == CURLE_OK)
		curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &answer->status);
	if (code != CURLE_OK || answer->status == 0) {
		answer->status = 0;
		answer->timed_out = code == CURLE_OPERATION_TIMEDOUT;
		answer->failure = request->failure[0] ? request->failure : curl_easy_strerror(code);
	} else if (curl_easy_header(request->easy, "Retry-After", 0, CURLH_HEADER, -1, &header) == CURLHE_OK) {
		char *end;
		int64_t seconds = strtol(header->value, &end, 10);
		time_t date = end == header->value ? curl_getdate(header->value, NULL) : -1;
		if (date >= 0)
			seconds = date - now_real_ms() / 1000;
		answer->retry_after_ms = (seconds < 0 ? 0 : seconds < 86400 ? seconds : 86400) * 1000;
	}
}

/* ---- the loop ---- */

static void
collect(struct http *http)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(http->multi, &left))) {
		struct http_request *request = NULL;
		struct http_answer answer;

		if (message->msg != CURLMSG_DONE)
			continue;
		CURLcode code = message->data.result;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&request);
		list_remove(&request->link);
		collect_answer(request, code, &answer);
		request->done(request->context, &answer);
		request_free(request);
	}
}

struct watch {
	struct http *http;
	curl_socket_t fd;
	struct loop_source *source;
};

static void
on_socket(void *context, uint32_t events)
{
	struct watch *watch = context; /* gone when curl drops the descriptor meanwhile */
	struct http *http = watch->http;
	int running, mask = 0;

	mask |= events & EPOLLIN ? CURL_CSELECT_IN : 0;
	mask |= events & EPOLLOUT ? CURL_CSELECT_OUT : 0;
	mask |= events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0;
	curl_multi_socket_action(http->multi, watch->fd, mask, &running);
	collect(http);
}

static void
unwatch(struct http *http, curl_socket_t fd, struct watch *watch)
{
	if (!watch)
		return;
	curl_multi_assign(http->multi, fd, NULL);
	loop_remove(watch->source);
	free(watch);
}

/* curl tells what it wants to know about a descriptor. */
static int
watch_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *of_fd)
{
	struct http *http = context;
	struct watch *watch = of_fd;
	uint32_t events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		unwatch(http, fd, watch);
		return 0;
	}
	events |= what & CURL_POLL_IN ? EPOLLIN : 0;
	events |= what & CURL_POLL_OUT ? EPOLLOUT : 0;
	if (watch) {
		loop_modify(watch->source, events);
		return 0;
	}
	watch = xcalloc(1, sizeof(*watch));
	*watch = (struct watch){ .http = http, .fd = fd };
	int r = loop_add(http->loop, fd, events, on_socket, watch, &watch->source);
	if (r < 0) {
		free(watch);
		return -1;
	}
	curl_multi_assign(http->multi, fd, watch);
	return 0;
}

static void
on_timer(void *context)
{
	struct http *http = context;
	int running;

	curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect(http);
}

static int
set_timer(CURLM *multi, long timeout_ms, void *context)
{
	struct http *http = context;

	(void)multi;
	if (timeout_ms < 0)
		loop_timer_stop(&http->timer);
	else
		loop_timer_set(&http->timer, timeout_ms);
	return 0;
}

static long
connections(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < DESCRIPTORS_SCARCE ? CONNECTIONS_FEW : CONNECTIONS_MAX;
}

int
http_open(struct http **out, struct loop *loop, const char *address, const char *token)
{
	struct http *http = xcalloc(1, sizeof(*http));

	http->multi = curl_multi_init();
	if (!http->multi) {
		free(http);
		return -ENOMEM;
	}
	http->loop = loop;
	http->address = xstrdup(address);
	http->headers = make_headers(token);
	list_init(&http->requests);
	loop_timer_init(&http->timer, loop, on_timer, http);
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, connections());
	curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, connections());
	*out = http;
	return 0;
}

void
http_close(struct http *http)
{
	struct http_request *request;

	if (!http)
		return;
	LIST_FOR_EACH(request, &http->requests, struct http_request, link)
		request_free(request);
	while (http->idle_count)
		curl_easy_cleanup(http->idle[--http->idle_count]);
	curl_multi_cleanup(http->multi);
	loop_timer_stop(&http->timer);
	for (struct curl_slist *header = http->headers; header; header = header->next)
		if (str_starts(header->data, "Authorization:"))
			memset(header->data, ' ', strlen(header->data));
	curl_slist_free_all(http->headers);
	free(http->address);
	free(http);
}

struct http_request *
http_send(struct http *http, const struct http_ask *ask, void (*done)(void *context, const struct http_answer *answer),
		void *context)
{
	CURL *easy = http->idle_count ? http->idle[--http->idle_count] : make_easy(http->headers);
	struct http_request *request = request_new(http->address, easy, ask);

	request->http = http;
	request->done = done;
	request->context = context;
	list_append(&http->requests, &request->link);
	/* curl only arms its timer here; the first byte leaves in the next turn. */
	if (curl_multi_add_handle(http->multi, request->easy) != CURLM_OK)
		abort();
	return request;
}

void
http_cancel(struct http_request *request)
{
	if (request)
		request_free(request);
}

/* ---- blocking ---- */

static int64_t
read_date(CURL *easy)
{
	struct curl_header *header;
	time_t date = curl_easy_header(easy, "Date", 0, CURLH_HEADER, -1, &header) == CURLHE_OK ? curl_getdate(header->value, NULL) : 0;

	return date > 0 ? (int64_t)date * 1000 : 0;
}

struct http_answer *
http_ask_once(const char *address, const char *token, const struct http_ask *ask)
{
	struct http_answer *answer = xcalloc(1, sizeof(*answer)), lent;
	struct curl_slist *headers = make_headers(token);
	struct http_request *request = request_new(address, make_easy(headers), ask);

	collect_answer(request, curl_easy_perform(request->easy), &lent);
	*answer = lent;
	answer->date_ms = lent.status ? read_date(request->easy) : 0;
	answer->body = xstrdup(lent.body);
	answer->failure = xstrdup(lent.failure);
	request_free(request);
	curl_slist_free_all(headers);
	return answer;
}

void
http_answer_free(struct http_answer *answer)
{
	if (!answer)
		return;
	mem_free_pointer(&answer->body);
	mem_free_pointer(&answer->failure);
	free(answer);
}

void
http_add_escaped(struct str *out, const char *text)
{
	static const char digits[] = "0123456789ABCDEF";

	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		const char escape[] = { '%', digits[*p >> 4], digits[*p & 15] };
		if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || strchr("-._~", *p))
			str_add_char(out, (char)*p);
		else
			str_add_n(out, escape, sizeof(escape));
	}
}
