/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP as far as a well-behaved client needs it: one request at a time on a connection, bodies with their length. */
#include "fake_homeserver.h"

#include "base/mem.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct connection {
	struct list link; /* fake_homeserver::connections */
	struct fake_homeserver *fake;
	int fd;
	struct loop_source *source;
	struct str in;
};

static void
hang_up(struct connection *connection)
{
	connection->fake->open--;
	loop_remove(connection->source);
	close(connection->fd);
	list_remove(&connection->link);
	str_fini(&connection->in);
	free(connection);
}

static void
decode(const char *from, size_t n, char *to, size_t size)
{
	size_t at = 0;

	for (size_t i = 0; i < n && at + 1 < size; i++) {
		if (from[i] == '%' && i + 2 < n) {
			char hex[3] = { from[i + 1], from[i + 2], '\0' };
			to[at++] = (char)strtoul(hex, NULL, 16);
			i += 2;
		} else {
			to[at++] = from[i];
		}
	}
	to[at] = '\0';
}

/* ---- answers ---- */

static const struct {
	const char *method, *part, *body;
} friendly[] = {
	{ "GET", "/client/versions", "{\"versions\":[\"v1.11\"]}" },
	{ "GET", "/joined_members", "{\"joined\":{\"@alice:hs\":{\"display_name\":\"Alice\"},\"@sourdine:hs\":{\"display_name\":null}}}" },
	{ "GET", "/state/m.room.power_levels", "{\"users\":{\"@mod:hs\":50},\"users_default\":0,\"state_default\":50}" },
	{ "GET", "/state/m.room.create", "{\"sender\":\"@creator:hs\",\"content\":{\"room_version\":\"12\",\"additional_creators\":[\"@second:hs\"]}}" },
	{ "POST", "/createRoom", "{\"room_id\":\"!d:hs\"}" },
};

/* NULL: no answer yet. */
static const char *
answer_of(struct fake_homeserver *fake, const struct fake_asked *asked, struct str *made, int *status, const char **headers)
{
	*status = 200;
	*headers = "";
	for (int i = 0; i < FAKE_RULES_MAX; i++) {
		struct fake_rule *rule = &fake->rules[i];
		if (rule->times && strcmp(rule->method, asked->method) == 0 && strstr(asked->path, rule->part)) {
			rule->times -= rule->times > 0;
			*status = rule->status;
			*headers = rule->headers ? rule->headers : "";
			return rule->body;
		}
	}
	if (strstr(asked->path, "/sync"))
		return strstr(asked->path, "timeout=0") ? fake->invited : NULL;
	if (strstr(asked->path, "/messages") && strstr(asked->path, "filter="))
		return fake->archive_of_one ? fake->archive_of_one : "{\"chunk\":[]}";
	if (strstr(asked->path, "/messages"))
		return strstr(asked->path, "&from=") ? "{\"chunk\":[]}" : fake->archive; /* one page, unless told otherwise */
	if (strstr(asked->path, "/state/m.room.encryption") && !fake->encryption)
		*status = 404;
	if (strstr(asked->path, "/state/m.room.encryption"))
		return fake->encryption ? fake->encryption : "{\"errcode\":\"M_NOT_FOUND\",\"error\":\"Event not found.\"}";
	if (strstr(asked->path, "/joined_rooms"))
		return fake->joined;
	if (strstr(asked->path, "/members"))
		return fake->members;
	const char *name = strstr(asked->path, "/send/");
	if (name) { /* .../send/TYPE/NAME?... */
		name = strchr(name + 6, '/') + 1;
		str_addf(made, "{\"event_id\":\"$%.*s\"}", (int)strcspn(name, "?"), name);
		return str_get(made);
	}
	const char *alias = strstr(asked->path, "/directory/room/#"), *joining = strstr(asked->path, "/join/");
	if (alias || joining) {
		const char *local = alias ? alias + 17 : joining + 7;
		str_addf(made, "{\"room_id\":\"!%.*s\",\"servers\":[\"hs\"]}", (int)strcspn(local, "?"), local);
		return str_get(made);
	}
	for (size_t i = 0; i < sizeof(friendly) / sizeof(friendly[0]); i++)
		if (strcmp(friendly[i].method, asked->method) == 0 && strstr(asked->path, friendly[i].part))
			return friendly[i].body;
	return "{}";
}

/* Some bytes of an answer are as large as the other side cares to read. */
static void
write_raw(struct connection *connection, const char *bytes)
{
	if (*bytes && send(connection->fd, bytes, strlen(bytes), MSG_NOSIGNAL) < 0)
		abort();
	shutdown(connection->fd, SHUT_RDWR);
}

static void
answer(struct connection *connection, const struct fake_asked *asked)
{
	AUTO_STR struct str made, out;
	const char *headers;
	int status;

	str_init(&made, 4096);
	str_init(&out, 1 << 20);
	const char *body = answer_of(connection->fake, asked, &made, &status, &headers);
	if (!body)
		return;
	if (status == FAKE_RAW) {
		write_raw(connection, body);
		return;
	}
	str_addf(&out, "HTTP/1.1 %d x\r\nContent-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n%s", status, headers, strlen(body),
		body);
	if (send(connection->fd, str_get(&out), out.n, MSG_NOSIGNAL) != (ssize_t)out.n)
		abort();
}

/* ---- requests ---- */

static void
note(struct connection *connection, const char *body, size_t size)
{
	struct fake_homeserver *fake = connection->fake;
	const char *in = str_get(&connection->in);
	size_t method = strcspn(in, " "), path = strcspn(in + method + 1, " ");

	if (fake->count == FAKE_ASKED_MAX)
		abort();
	struct fake_asked *asked = &fake->asked[fake->count++];
	decode(in, method, asked->method, sizeof(asked->method));
	decode(in + method + 1, path, asked->path, sizeof(asked->path));
	asked->body = xstrndup(body, size);
	asked->authorised = strstr(in, "Authorization: Bearer as-token\r\n") != NULL;
	answer(connection, asked);
}

/* Every complete request in the buffer. */
static void
take_requests(struct connection *connection)
{
	for (;;) {
		const char *in = str_get(&connection->in), *end = strstr(in, "\r\n\r\n");
		if (!end)
			return;
		const char *length = strcasestr(in, "\r\ncontent-length:");
		size_t size = length && length < end ? strtoul(length + 17, NULL, 10) : 0;
		size_t whole = (size_t)(end + 4 - in) + size;
		if (connection->in.n < whole)
			return;
		note(connection, end + 4, size);
		AUTO_FREE char *rest = xstrndup(in + whole, connection->in.n - whole);
		str_clear(&connection->in);
		str_add(&connection->in, rest);
	}
}

static void
on_data(void *context, uint32_t events)
{
	struct connection *connection = context;
	char buffer[16384];
	ssize_t n = recv(connection->fd, buffer, sizeof(buffer), 0);

	(void)events;
	if (n <= 0) {
		hang_up(connection);
		return;
	}
	str_add_n(&connection->in, buffer, (size_t)n);
	take_requests(connection);
}

static void
on_connect(void *context, uint32_t events)
{
	struct fake_homeserver *fake = context;
	int fd = accept4(fake->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd < 0)
		return;
	struct connection *connection = xcalloc(1, sizeof(*connection));
	connection->fake = fake;
	connection->fd = fd;
	str_init(&connection->in, 1 << 20);
	list_append(&fake->connections, &connection->link);
	if (++fake->open > fake->most_open)
		fake->most_open = fake->open;
	if (loop_add(fake->loop, fd, EPOLLIN, on_data, connection, &connection->source))
		abort();
}

/* ---- life ---- */

void
fake_homeserver_start(struct fake_homeserver *fake, struct loop *loop)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(fake->port) };
	socklen_t size = sizeof(address);
	int on = 1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fake->loop = loop;
	list_init(&fake->connections);
	fake->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fake->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fake->fd, (struct sockaddr *)&address, sizeof(address)) || listen(fake->fd, 64) ||
			getsockname(fake->fd, (struct sockaddr *)&address, &size) ||
			loop_add(loop, fake->fd, EPOLLIN, on_connect, fake, &fake->source))
		abort();
	fake->port = ntohs(address.sin_port);
}

void
fake_homeserver_die(struct fake_homeserver *fake)
{
	struct connection *connection;

	LIST_FOR_EACH(connection, &fake->connections, struct connection, link)
		hang_up(connection);
	loop_remove(fake->source);
	close(fake->fd);
	fake->fd = -1;
}

void
fake_homeserver_fini(struct fake_homeserver *fake)
{
	if (fake->fd >= 0)
		fake_homeserver_die(fake);
	for (int i = 0; i < fake->count; i++)
		free(fake->asked[i].body);
}

struct fake_rule *
fake_homeserver_say(struct fake_homeserver *fake, const char *method, const char *part, int status, const char *body, int times)
{
	for (int i = 0; i < FAKE_RULES_MAX; i++)
		if (!fake->rules[i].times) {
			fake->rules[i] = (struct fake_rule){ method, part, status, body, times, NULL };
			return &fake->rules[i];
		}
	abort();
}

const struct fake_asked *
fake_homeserver_find(const struct fake_homeserver *fake, int from, const char *method, const char *part, int nth)
{
	for (int i = from; i < fake->count; i++)
		if (strcmp(fake->asked[i].method, method) == 0 && strstr(fake->asked[i].path, part) && nth-- == 0)
			return &fake->asked[i];
	return NULL;
}

int
fake_homeserver_count(const struct fake_homeserver *fake, int from, const char *method, const char *part)
{
	int count = 0;

	while (fake_homeserver_find(fake, from, method, part, count))
		count++;
	return count;
}
