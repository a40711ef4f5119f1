/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One message's whole way without Sourdine: the same bytes, rows, commits, requests and stanzas, in the least code that does
 * it. What is counted is the work() of each way (callgrind --toggle-collect).
 *
 *   raw_way out DIR TRANSACTION STANZAS COUNT EVENTS COPIES BATCH URL
 *   raw_way in DIR PUT STANZAS COUNT COPIES BATCH URL TOKEN
 *
 * TRANSACTION: the bytes of one transaction of EVENTS events. STANZAS: a stanza as it is sent, a newline, and a copy as a room
 * sends it. PUT: a request's path, a newline, and its body. COPIES: of each message, to all occupants. BATCH: messages a commit;
 * each message is in three of them (accepted; planned and about to be sent; settled).
 */
#include <curl/curl.h>
#include <errno.h>
#include <expat.h>
#include <jansson.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char schema[] =
	"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;"
	"PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY;"
	"CREATE TABLE inbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, network, room TEXT, source_id TEXT, place, raw BLOB, received_ms,"
	" state, attempts DEFAULT 1, reason TEXT, UNIQUE (room, source_id));"
	"CREATE INDEX inbox_new ON inbox (place) WHERE state = 0;"
	"CREATE TABLE decision (inbox_seq INTEGER PRIMARY KEY, grp TEXT, person TEXT, reply_lane TEXT, revision, at_ms, due_ms, period_ms,"
	" notice, target TEXT, reason TEXT, stages TEXT);"
	"CREATE INDEX decision_person ON decision (grp, person, inbox_seq);"
	"CREATE TABLE outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, place, network, lane TEXT, name TEXT UNIQUE, kind, grp TEXT, inbox_seq,"
	" part, person TEXT, stem TEXT, author TEXT, text BLOB, payload BLOB, state, held, due_ms, tries DEFAULT 0, first_try_ms,"
	" remote_id TEXT, reason TEXT);"
	"CREATE INDEX outbox_open ON outbox (lane, place) WHERE state IN (0, 1);"
	"CREATE INDEX outbox_source ON outbox (inbox_seq);"
	"CREATE INDEX outbox_remote ON outbox (remote_id) WHERE remote_id IS NOT NULL;";

enum { BEGIN, COMMIT, ACCEPT, NEXT, DECIDE, QUEUE, DONE, PICK, FLY, END, STATEMENTS };

static const char *const statement_sql[STATEMENTS] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ACCEPT] = "INSERT OR IGNORE INTO inbox (network, room, source_id, place, raw, received_ms, state)"
		" VALUES (0, '!room:hs.test', 'an id of an event, as long as they are ' || ?1, ?1, ?2, 1790000000000, 0)",
	[NEXT] = "SELECT seq, network, room, source_id, raw, received_ms, attempts FROM inbox WHERE state = 0 ORDER BY place LIMIT 1",
	[DECIDE] = "INSERT INTO decision VALUES (?1, 'group', '@somebody:hs.test', '@somebody:hs.test', 0, 1790000000000, 1790000000000, 0, 0,"
		" '', '', '0 -1 0\n0 -1 0\n0 -1 0\n')",
	[QUEUE] = "INSERT INTO outbox (place, network, lane, name, kind, grp, inbox_seq, part, person, stem, author, text, payload, state, held,"
		" due_ms) VALUES (?1, 1, 'room@rooms.localhost', 'abcdefghijklmnopqrstuvwx' || (10000000 + ?1), 0, 'group', ?1, 0,"
		" '@somebody:hs.test', 'somebody:hs.test', 'Somebody', ?2, ?3, 0, 0, 0)",
	[DONE] = "UPDATE inbox SET state = 2, raw = NULL WHERE seq = ?1",
	[PICK] = "SELECT id, name, kind, person, stem, author, payload, state FROM outbox WHERE lane = 'room@rooms.localhost'"
		" AND state IN (0, 1) AND due_ms <= 1790000000000 ORDER BY place LIMIT 1",
	[FLY] = "UPDATE outbox SET state = 2, tries = tries + 1, first_try_ms = 1790000000000 WHERE id = ?1",
	[END] = "UPDATE outbox SET state = 3, remote_id = 'an id as rooms give them ' || ?1, text = NULL, payload = NULL WHERE id = ?1",
};

static sqlite3 *db;
static sqlite3_stmt *statements[STATEMENTS];
static CURL *curl;
static int wire[2]; /* what is written to one end is thrown away at the other */

_Noreturn static void
fail(const char *what, const char *why)
{
	fprintf(stderr, "raw_way: %s: %s\n", what, why);
	exit(1);
}

static char *
read_file(const char *path, size_t *size)
{
	FILE *file = fopen(path, "r");
	char *text = calloc(1, 1 << 22);

	if (!file || !text)
		fail(path, strerror(errno));
	*size = fread(text, 1, (1 << 22) - 1, file);
	fclose(file);
	return text;
}

/* Cuts a file's text at its first newline; gives the second half, without the newline at its end. */
static char *
halve(char *text)
{
	char *second = strchr(text, '\n');

	if (!second)
		fail("sample", "has one line only");
	*second++ = '\0';
	second[strcspn(second, "\n")] = '\0';
	return second;
}

/* ---- rows ---- */

static void
open_rows(const char *directory)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/raw.db", directory);
	if (sqlite3_open(path, &db) || sqlite3_exec(db, schema, NULL, NULL, NULL))
		fail(path, sqlite3_errmsg(db));
	for (int i = 0; i < STATEMENTS; i++)
		if (sqlite3_prepare_v3(db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &statements[i], NULL))
			fail(statement_sql[i], sqlite3_errmsg(db));
}

static void
run(int which, long number, const char *first, size_t first_size, const char *second, size_t second_size)
{
	sqlite3_stmt *statement = statements[which];

	if (number)
		sqlite3_bind_int64(statement, 1, number);
	if (first)
		sqlite3_bind_blob(statement, 2, first, (int)first_size, SQLITE_STATIC);
	if (second)
		sqlite3_bind_blob(statement, 3, second, (int)second_size, SQLITE_STATIC);
	int r = sqlite3_step(statement);
	if (r != SQLITE_DONE && r != SQLITE_ROW)
		fail(statement_sql[which], sqlite3_errmsg(db));
	sqlite3_reset(statement);
}

static void
accept_rows(long first, long count, const char *raw, size_t size)
{
	run(BEGIN, 0, NULL, 0, NULL, 0);
	for (long i = first; i < first + count; i++)
		run(ACCEPT, i, raw, size, NULL, 0);
	run(COMMIT, 0, NULL, 0, NULL, 0);
}

static void
plan_rows(long first, long count, const char *payload, size_t size)
{
	run(BEGIN, 0, NULL, 0, NULL, 0);
	for (long i = first; i < first + count; i++) {
		run(NEXT, 0, NULL, 0, NULL, 0);
		run(DECIDE, i, NULL, 0, NULL, 0);
		run(QUEUE, i, payload, size < 120 ? size : 120, payload, size);
		run(DONE, i, NULL, 0, NULL, 0);
	}
	for (long i = first; i < first + count; i++) {
		run(PICK, 0, NULL, 0, NULL, 0);
		run(FLY, i, NULL, 0, NULL, 0);
	}
	run(COMMIT, 0, NULL, 0, NULL, 0);
}

static void
settle_rows(long first, long count)
{
	run(BEGIN, 0, NULL, 0, NULL, 0);
	for (long i = first; i < first + count; i++)
		run(END, i, NULL, 0, NULL, 0);
	run(COMMIT, 0, NULL, 0, NULL, 0);
}

/* ---- both servers ---- */

static size_t
collect(char *data, size_t size, size_t count, void *context)
{
	char *answer = context;
	size_t n = strlen(answer);

	if (n + size * count < 4096) {
		memcpy(answer + n, data, size * count);
		answer[n + size * count] = '\0';
	}
	return size * count;
}

/* One request and its answer, parsed. */
static void
ask(const char *url, const char *body, size_t size)
{
	static char answer[4096];
	long status = 0;

	answer[0] = '\0';
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)size);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
	CURLcode code = curl_easy_perform(curl);
	if (code)
		fail(url, curl_easy_strerror(code));
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	json_t *json = json_loadb(answer, strlen(answer), 0, NULL);
	if (status != 200 || !json)
		fail(url, answer);
	json_decref(json);
}

static void
open_curl(const char *token)
{
	char bearer[512];

	curl = curl_easy_init();
	snprintf(bearer, sizeof(bearer), "Authorization: Bearer %s", token);
	struct curl_slist *headers = curl_slist_append(NULL, bearer);
	headers = curl_slist_append(headers, "Content-Type: application/json");
	headers = curl_slist_append(headers, "Expect:");
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, "PUT");
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
}

static long elements;

static void
on_start(void *context, const char *name, const char **attributes)
{
	(void)context, (void)name, (void)attributes;
	elements++;
}

static void
on_end(void *context, const char *name)
{
	(void)context, (void)name;
}

static void
on_text(void *context, const char *text, int size)
{
	(void)context, (void)text, (void)size;
}

static XML_Parser
open_stream(void)
{
	static const char head[] = "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'>";
	XML_Parser parser = XML_ParserCreateNS("UTF-8", '|');

	XML_SetElementHandler(parser, on_start, on_end);
	XML_SetCharacterDataHandler(parser, on_text);
	if (XML_Parse(parser, head, (int)strlen(head), 0) != XML_STATUS_OK)
		fail("stream", "not parsed");
	return parser;
}

static void
read_copies(XML_Parser parser, const char *copy, size_t size, long count)
{
	for (long i = 0; i < count; i++)
		if (XML_Parse(parser, copy, (int)size, 0) != XML_STATUS_OK)
			fail("copy", XML_ErrorString(XML_GetErrorCode(parser)));
}

static void
write_stanzas(char *buffer, const char *stanza, size_t size, long count)
{
	static char sink[1 << 20];

	for (long i = 0; i < count; i++)
		memcpy(buffer + (size_t)i * size, stanza, size);
	for (size_t done = 0, all = size * (size_t)count; done < all;) {
		size_t piece = all - done < 65536 ? all - done : 65536;
		if (write(wire[0], buffer + done, piece) != (ssize_t)piece || read(wire[1], sink, piece) <= 0)
			fail("write", strerror(errno));
		done += piece;
	}
}

/* ---- both ways ---- */

struct job {
	char *first, *second; /* of the network it comes from; a stanza or a request */
	size_t first_size, second_size;
	const char *copy, *url;
	size_t copy_size;
	long count, events, copies, batch;
	XML_Parser parser;
	char *buffer;
};

__attribute__((noinline)) void work_out(const struct job *job);
__attribute__((noinline)) void work_in(const struct job *job);

void
work_out(const struct job *job)
{
	for (long at = 0; at < job->count; at += job->batch) {
		long n = job->count - at < job->batch ? job->count - at : job->batch;
		/* A transaction whenever as many messages are through as it has. */
		for (long i = (at + job->events - 1) / job->events * job->events; i < at + n; i += job->events) {
			ask(job->url, job->first, job->first_size);
			json_t *json = json_loadb(job->first, job->first_size, 0, NULL);
			if (!json)
				fail("transaction", "is no JSON");
			json_decref(json);
		}
		accept_rows(at + 1, n, job->first, job->first_size / (size_t)job->events);
		plan_rows(at + 1, n, job->second, job->second_size);
		write_stanzas(job->buffer, job->second, job->second_size, n);
		read_copies(job->parser, job->copy, job->copy_size, n * job->copies);
		settle_rows(at + 1, n);
	}
}

void
work_in(const struct job *job)
{
	for (long at = 0; at < job->count; at += job->batch) {
		long n = job->count - at < job->batch ? job->count - at : job->batch;
		read_copies(job->parser, job->copy, job->copy_size, n * job->copies);
		accept_rows(at + 1, n, job->copy, job->copy_size);
		plan_rows(at + 1, n, job->second, job->second_size);
		for (long i = 0; i < n; i++)
			ask(job->url, job->second, job->second_size);
		settle_rows(at + 1, n);
	}
}

int
main(int argc, char **argv)
{
	int in = argc > 1 && strcmp(argv[1], "in") == 0;
	struct job job = { 0 };
	char url[4096];
	size_t size;

	if (argc != 10 || (!in && strcmp(argv[1], "out") != 0)) {
		fprintf(stderr, "usage: see the top of raw_way.c\n");
		return 2;
	}
	open_rows(argv[2]);
	job.first = read_file(argv[3], &job.first_size);
	char *stanza = read_file(argv[4], &size);
	job.copy = halve(stanza);
	job.copy_size = strlen(job.copy);
	job.count = strtol(argv[5], NULL, 10);
	job.events = in ? 1 : strtol(argv[6], NULL, 10);
	job.copies = strtol(argv[in ? 6 : 7], NULL, 10);
	job.batch = strtol(argv[in ? 7 : 8], NULL, 10);
	job.second = in ? halve(job.first) : stanza;
	job.second_size = strlen(job.second);
	snprintf(url, sizeof(url), "%s%s", argv[in ? 8 : 9], in ? job.first : "/raw");
	job.url = url;
	job.parser = open_stream();
	job.buffer = malloc((job.second_size + 1) * (size_t)job.batch);
	if (job.count < 1 || job.events < 1 || job.batch < 1 || !job.buffer || socketpair(AF_UNIX, SOCK_STREAM, 0, wire) < 0)
		fail("arguments", "not understood");
	open_curl(in ? argv[9] : "token");
	ask(url, "{}", 2); /* the connection is made before */
	if (in)
		work_in(&job);
	else
		work_out(&job);
	printf("%ld %ld\n", job.count, elements);
	return 0;
}
