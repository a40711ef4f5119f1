/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A homeserver that costs next to nothing: it knows a fixed set of rooms and people, says yes to whatever an appservice
 * asks, and pushes transactions as fast as they are answered. A message that arrives is checked for its order and counted.
 *
 *   fake_homeserver PORT APPSERVICE_PORT HS_TOKEN ROOMS PEOPLE [FOLDER MESSAGES]
 *
 * FOLDER: of devices.c; the rooms are encrypted, and rotate after so many MESSAGES.
 *
 * Room I is !rI:hs.test (alias #rI:hs.test); people are @m0:hs.test and on. Commands, each a line on standard input:
 *
 *   push COUNT BATCH ROOMS   COUNT messages, BATCH in a transaction; prints `pushed COUNT BEGUN ENDED`
 *   pace COUNT RATE ROOMS    one transaction a message, RATE a second
 *   expect COUNT             prints `got ...` (wire.h) when so many messages came; `report` prints it at once
 *   expect-sealed COUNT      prints `sealed ...` (fake_keys.h) when so many encrypted ones came
 *   traffic                  prints `traffic REQUESTS BYTES`: asked for, and both ways, so far
 *   sample FILE              writes the last transaction that was pushed to FILE; path and body of the last send to FILE.put
 */
#include "fake_keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct buffer last_send;
static unsigned long request_count, byte_count;
static unsigned room_count, people_count;
static uint16_t appservice_port;
static const char *token;

/* ---- answering ---- */

static void
answer_with(struct peer *peer, const char *status, const char *body, size_t n)
{
	buffer_addf(&peer->out, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", status, n);
	buffer_add(&peer->out, body, n);
	byte_count += n;
	wire_dirty(peer);
}

static void
answer(struct peer *peer, const char *body, size_t n)
{
	answer_with(peer, "200 OK", body, n);
}

static void
answer_text(struct peer *peer, const char *text)
{
	answer(peer, text, strlen(text));
}

/* The number behind "rooms/!r" (or what follows another mark), whose "!" may be escaped. */
static unsigned
room_in(const char *path)
{
	const char *at = strstr(path, "%21r");

	at = at ? at + 4 : strstr(path, "%23r") ? strstr(path, "%23r") + 4 : strstr(path, "!r") ? strstr(path, "!r") + 2 : NULL;
	return at ? (unsigned)strtoul(at, NULL, 10) : 0;
}

static void
answer_joined_rooms(struct peer *peer)
{
	struct buffer text = { 0 };

	buffer_addf(&text, "{\"joined_rooms\":[");
	for (unsigned i = 0; i < room_count; i++)
		buffer_addf(&text, "%s\"!r%u:hs.test\"", i ? "," : "", i);
	buffer_addf(&text, "]}");
	answer(peer, text.p, text.n);
	free(text.p);
}

static void
answer_members(struct peer *peer)
{
	struct buffer text = { 0 };

	buffer_addf(&text, "{\"joined\":{");
	for (unsigned i = 0; i < people_count; i++)
		buffer_addf(&text, "%s\"@m%u:hs.test\":{\"display_name\":\"Member %u\"}", i ? "," : "", i, i);
	buffer_addf(&text, "}}");
	answer(peer, text.p, text.n);
	free(text.p);
}

static void
take_send(struct peer *peer, const char *path, const char *body)
{
	static unsigned long number;
	const char *said = strstr(body, "\"fake ");
	char text[128];

	snprintf(text, sizeof(text), "{\"event_id\":\"$sent%038lx\"}", ++number);
	answer_text(peer, text);
	last_send.n = last_send.done = 0;
	buffer_addf(&last_send, "%s\n%s\n", path, body);
	keys_sent(path, body);
	if (said)
		count_arrived(room_in(path), said + 1);
}

/* A long poll that nothing ever ends: parked for ever. */
static void
answer_sync(struct peer *peer, const char *path)
{
	if (strstr(path, "timeout=0"))
		answer_text(peer, "{\"next_batch\":\"s1\"}");
}

static void
answer_request(struct peer *peer, const char *path, const char *body)
{
	static const char none[] = "{\"errcode\":\"M_NOT_FOUND\",\"error\":\"Not found\"}";
	struct buffer found = { 0 };
	char text[128];

	if (keys_answer(path, body, &found)) {
		answer(peer, found.p, found.n);
		free(found.p);
	} else if (strstr(path, "/state/m.room.encryption"))
		answer_with(peer, "404 Not Found", none, strlen(none));
	else if (strstr(path, "/send/"))
		take_send(peer, path, body);
	else if (strstr(path, "/sync?"))
		answer_sync(peer, path);
	else if (strstr(path, "/joined_rooms"))
		answer_joined_rooms(peer);
	else if (strstr(path, "/joined_members"))
		answer_members(peer);
	else if (strstr(path, "/state/m.room.create"))
		answer_text(peer, "{\"sender\":\"@m0:hs.test\",\"content\":{\"room_version\":\"10\"}}");
	else if (strstr(path, "/messages?"))
		answer_text(peer, "{\"chunk\":[],\"start\":\"t\"}");
	else if (strstr(path, "/directory/room/") || strstr(path, "/join/")) {
		snprintf(text, sizeof(text), "{\"room_id\":\"!r%u:hs.test\"}", room_in(path));
		answer_text(peer, text);
	} else if (strstr(path, "/versions"))
		answer_text(peer, "{\"versions\":[\"v1.11\"]}");
	else
		answer_text(peer, "{}");
}

static void
on_request(struct peer *peer)
{
	for (;;) {
		char *start = peer->in.p + peer->in.done, *end = strstr(start, "\r\n\r\n");
		if (!end)
			return;
		const char *length = strcasestr(start, "\r\nContent-Length:");
		size_t body = length && length < end ? strtoul(length + 17, NULL, 10) : 0;
		size_t whole = (size_t)(end - start) + 4 + body;
		if (buffer_left(&peer->in) < whole)
			return;
		char *path = strchr(start, ' '), kept = start[whole];
		start[whole] = '\0';
		char *stop = path ? strchr(path + 1, ' ') : NULL;
		if (!stop)
			wire_die("request", "no request line");
		*stop = '\0';
		request_count++;
		byte_count += body;
		answer_request(peer, path + 1, end + 4);
		start[whole] = kept;
		peer->in.done += whole;
	}
}

static void
on_accepted(struct peer *peer)
{
	peer->heard = on_request;
}

/* ---- pushing ---- */

static struct {
	struct peer *peer;
	long wanted, said, numbers[ROOMS_MAX]; /* numbers: of each room, the next one */
	long batch;
	unsigned rooms;
	double rate;           /* 0: as fast as it is answered */
	bool waiting;          /* for an answer */
	int64_t begun_ns;
	struct buffer body;    /* of the last transaction */
} push;

static void
add_event(struct buffer *out, long index)
{
	static unsigned long id;
	unsigned room = (unsigned)((unsigned long)index % push.rooms);
	char body[256];

	body_write(body, sizeof(body), push.numbers[room]++);
	buffer_addf(out, "%s{\"age\":12,\"content\":{\"body\":\"%s\",\"m.mentions\":{},\"msgtype\":\"m.text\"},"
			"\"event_id\":\"$%08lx%035lx\",\"origin_server_ts\":%lld,\"room_id\":\"!r%u:hs.test\",\"sender\":\"@m%lu:hs.test\","
			"\"type\":\"m.room.message\",\"unsigned\":{\"age\":12},\"user_id\":\"@m%lu:hs.test\"}", out->n > 16 ? "," : "", body,
			(unsigned long)getpid(), ++id, (long long)wire_real_ms(), room, (unsigned long)index / push.rooms % people_count,
			(unsigned long)index / push.rooms % people_count);
}

static void
push_transaction(void)
{
	static unsigned long number;
	long count = push.wanted - push.said < push.batch ? push.wanted - push.said : push.batch;

	push.body.n = push.body.done = 0;
	buffer_addf(&push.body, "{\"events\":[");
	for (long i = 0; i < count; i++)
		add_event(&push.body, push.said + i);
	push.said += count;
	buffer_addf(&push.body, "]}");
	buffer_addf(&push.peer->out, "PUT /_matrix/app/v1/transactions/%ld.%lu HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n"
			"Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n", (long)getpid(), ++number, token, push.body.n);
	buffer_add(&push.peer->out, push.body.p, push.body.n);
	push.waiting = true;
	wire_dirty(push.peer);
}

static void
push_more(void)
{
	if (push.waiting || !push.peer)
		return;
	if (push.said >= push.wanted) {
		if (push.wanted)
			printf("pushed %ld %.6f %.6f\n", push.wanted, (double)push.begun_ns / 1e9, (double)wire_now_ns() / 1e9);
		push.wanted = push.said = 0;
		fflush(stdout);
		return;
	}
	if (push.rate > 0 && (double)push.said > (double)(wire_now_ns() - push.begun_ns) / 1e9 * push.rate)
		return;
	push_transaction();
}

static void
on_answer(struct peer *peer)
{
	char *start = peer->in.p + peer->in.done, *end = strstr(start, "\r\n\r\n");
	const char *length = end ? strcasestr(start, "\r\nContent-Length:") : NULL;
	size_t whole = end ? (size_t)(end - start) + 4 + (length && length < end ? strtoul(length + 17, NULL, 10) : 0) : 0;

	if (!end || buffer_left(&peer->in) < whole)
		return;
	if (strncmp(start, "HTTP/1.1 200", 12) != 0)
		wire_die("the appservice refuses a transaction", start);
	peer->in.done += whole;
	push.waiting = false;
	push_more();
}

static void
on_gone(struct peer *peer)
{
	if (push.peer == peer)
		push.peer = NULL;
}

/* A connection that was idle for long is closed by the other side. */
static void
begin_push(long count, long batch, double rate, unsigned rooms)
{
	if (push.peer)
		wire_close(push.peer);
	int fd = wire_dial(appservice_port);
	if (fd < 0)
		wire_die("appservice", "not there");
	push.peer = wire_watch(fd, on_answer, NULL);
	push.peer->gone = on_gone;
	memset(push.numbers, 0, sizeof(push.numbers));
	push.wanted = count;
	push.said = 0;
	push.batch = batch;
	push.rate = rate;
	push.rooms = rooms < room_count ? rooms : room_count;
	push.waiting = false;
	push.begun_ns = wire_now_ns();
	push_more();
}

static void
write_file(const char *path, const struct buffer *text)
{
	FILE *file = fopen(path, "w");

	if (!file || fwrite(text->p ? text->p : "", 1, text->n, file) != text->n || fclose(file) != 0)
		wire_die("sample", path);
}

static void
write_sample(const char *path)
{
	char put[1024];

	snprintf(put, sizeof(put), "%s.put", path);
	write_file(path, &push.body);
	write_file(put, &last_send);
	printf("sampled %zu %zu\n", push.body.n, last_send.n);
	fflush(stdout);
}

static void
on_command(char *line)
{
	char *words[4] = { 0 }, *rest = NULL;

	for (int i = 0; i < 4; i++)
		words[i] = strtok_r(i ? NULL : line, " ", &rest);
	if (words[3] && strcmp(words[0], "push") == 0)
		begin_push(strtol(words[1], NULL, 10), strtol(words[2], NULL, 10), 0, (unsigned)strtoul(words[3], NULL, 10));
	else if (words[3] && strcmp(words[0], "pace") == 0)
		begin_push(strtol(words[1], NULL, 10), 1, strtod(words[2], NULL), (unsigned)strtoul(words[3], NULL, 10));
	else if (words[1] && strcmp(words[0], "expect") == 0)
		count_expect(strtol(words[1], NULL, 10));
	else if (words[1] && strcmp(words[0], "expect-sealed") == 0)
		keys_expect(strtol(words[1], NULL, 10));
	else if (words[0] && strcmp(words[0], "sealed") == 0)
		keys_report();
	else if (words[0] && strcmp(words[0], "traffic") == 0) {
		printf("traffic %lu %lu\n", request_count, byte_count);
		fflush(stdout);
	} else if (words[1] && strcmp(words[0], "sample") == 0)
		write_sample(words[1]);
	else if (words[0] && strcmp(words[0], "report") == 0)
		count_report("report");
	else
		wire_die("no such command", words[0] ? words[0] : "");
}

int
main(int argc, char **argv)
{
	if (argc != 6 && argc != 8) {
		fprintf(stderr, "usage: see the top of fake_homeserver.c\n");
		return 2;
	}
	appservice_port = (uint16_t)strtoul(argv[2], NULL, 10);
	token = argv[3];
	room_count = (unsigned)strtoul(argv[4], NULL, 10);
	people_count = (unsigned)strtoul(argv[5], NULL, 10);
	if (room_count < 1 || room_count > ROOMS_MAX || people_count < 1)
		wire_die("rooms or people", "too few or too many");
	if (argc == 8)
		keys_open(argv[6], strtol(argv[7], NULL, 10));
	wire_listen((uint16_t)strtoul(argv[1], NULL, 10), on_accepted);
	wire_tick(push_more, 1);
	wire_run(on_command);
	return 0;
}
