/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the machine and the servers take, without Sourdine: the same work done by a program that has none of its
 * code. Every run prints one line: `COUNT SECONDS CPU`, CPU being this process's own, user and system, in seconds.
 *
 *   raw parse N FILE                      jansson: an event of the homeserver, parsed N times
 *   raw commit DIR N BATCH BYTES          SQLite: N rows of BYTES bytes, one durable commit a BATCH
 *   raw put URL TOKEN ROOM N USERS        curl: N messages into a Matrix room, one after the other, by an appservice's users in
 *                                         turn (a file of MXIDs, a line each)
 *   raw muc PORT DOMAIN SECRET ROOM N W G BYTES
 *                                         a component's G occupants say N messages of about so many bytes in a MUC, as what
 *                                         is released looks, W unconfirmed at most; no other of the component may be in it,
 *                                         such as a bridge's ghosts, which a room keeps when their stream ends
 *
 * The durable settings are those that Sourdine's manual states: WAL and synchronous=FULL. A message said in a MUC counts
 * when the room has reflected it to every occupant.
 */
#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WORDS "une phrase un peu plus longue, pour que toutes ne tiennent pas dans le même nombre d'octets"

static double
seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double
seconds_cpu(void)
{
	struct rusage use;

	getrusage(RUSAGE_SELF, &use);
	return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) + (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static int
fail(const char *what, const char *why)
{
	fprintf(stderr, "raw: %s: %s\n", what, why);
	return 1;
}

static long
number(const char *text)
{
	return strtol(text, NULL, 10);
}

/* Takes the time of what runs between begin() and report(). */
static double wall_begun, cpu_begun;

static void
begin(void)
{
	wall_begun = seconds_now();
	cpu_begun = seconds_cpu();
}

static int
report(long count)
{
	printf("%ld %.6f %.6f\n", count, seconds_now() - wall_begun, seconds_cpu() - cpu_begun);
	return 0;
}

static int
parse(char **words)
{
	long count = number(words[0]);

	begin();
	for (long i = 0; i < count; i++) {
		json_error_t error;
		json_t *event = json_load_file(words[1], 0, &error);
		if (!event)
			return fail(words[1], error.text);
		json_decref(event);
	}
	return report(count);
}

static int
commit(char **words)
{
	static const char *const settings[] = { "PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON",
		"PRAGMA trusted_schema = OFF", "PRAGMA cell_size_check = ON", "PRAGMA mmap_size = 0", "PRAGMA secure_delete = ON",
		"PRAGMA temp_store = MEMORY",
		"CREATE TABLE kept (seq INTEGER PRIMARY KEY, room TEXT, id TEXT, raw BLOB, UNIQUE (room, id))" };
	long count = number(words[1]), batch = number(words[2]), size = number(words[3]);
	char path[4096];
	sqlite3 *db;
	sqlite3_stmt *insert;

	snprintf(path, sizeof(path), "%s/raw.db", words[0]);
	if (sqlite3_open(path, &db))
		return fail(path, sqlite3_errmsg(db));
	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++)
		if (sqlite3_exec(db, settings[i], NULL, NULL, NULL))
			return fail(settings[i], sqlite3_errmsg(db));
	if (sqlite3_prepare_v2(db, "INSERT INTO kept (room, id, raw) VALUES ('!room:hs.test', ?1, zeroblob(?2))", -1, &insert, NULL))
		return fail("insert", sqlite3_errmsg(db));
	begin();
	for (long i = 0; i < count; i++) {
		if (i % batch == 0 && sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL))
			return fail("begin", sqlite3_errmsg(db));
		sqlite3_bind_int64(insert, 1, i);
		sqlite3_bind_int64(insert, 2, size);
		if (sqlite3_step(insert) != SQLITE_DONE)
			return fail("insert", sqlite3_errmsg(db));
		sqlite3_reset(insert);
		if ((i % batch == batch - 1 || i == count - 1) && sqlite3_exec(db, "COMMIT", NULL, NULL, NULL))
			return fail("commit", sqlite3_errmsg(db));
	}
	report(count);
	sqlite3_finalize(insert);
	sqlite3_close(db);
	return 0;
}

static size_t
swallow(char *data, size_t size, size_t count, void *context)
{
	(void)data;
	(void)context;
	return size * count;
}

static char users[128][256];
static size_t user_count;

static int
read_users(const char *path)
{
	FILE *file = fopen(path, "r");

	if (!file)
		return fail(path, strerror(errno));
	while (user_count < 128 && fgets(users[user_count], sizeof(users[0]), file)) {
		users[user_count][strcspn(users[user_count], "\n")] = '\0';
		user_count++;
	}
	fclose(file);
	return user_count ? 0 : fail(path, "names nobody");
}

static int
put_one(CURL *curl, char **words, long i)
{
	char url[2048], body[512];
	char *user = curl_easy_escape(curl, users[(size_t)i % user_count], 0);
	char *room = curl_easy_escape(curl, words[2], 0);
	long status = 0;

	snprintf(url, sizeof(url), "%s/_matrix/client/v3/rooms/%s/send/m.room.message/raw%ld.%ld?user_id=%s", words[0], room, i,
			(long)getpid(), user);
	snprintf(body, sizeof(body), "{\"body\":\"%ld " WORDS "\",\"msgtype\":\"m.text\",\"org.sourdine.id\":\"%032ld\"}", i, i);
	curl_free(room);
	curl_free(user);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, "PUT");
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	CURLcode code = curl_easy_perform(curl);
	if (code)
		return fail(url, curl_easy_strerror(code));
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	return status == 200 ? 0 : fail(url, "not 200");
}

static int
put(char **words)
{
	long count = number(words[3]);
	char token[1024];

	if (read_users(words[4]))
		return 1;
	CURL *curl = curl_easy_init();

	snprintf(token, sizeof(token), "Authorization: Bearer %s", words[1]);
	struct curl_slist *headers = curl_slist_append(NULL, token);
	headers = curl_slist_append(headers, "Content-Type: application/json");
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, swallow);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, 60L);
	begin();
	for (long i = 0; i < count; i++)
		if (put_one(curl, words, i))
			return 1;
	report(count);
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	return 0;
}

/* What the server sent and nobody has looked at yet; NUL-terminated. */
static char heard[1 << 18];
static size_t heard_size;

static bool
write_all(int fd, const char *text)
{
	for (size_t done = 0, size = strlen(text); done < size;) {
		ssize_t n = write(fd, text + done, size - done);
		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

static bool
read_more(int fd)
{
	if (heard_size >= sizeof(heard) - 1)
		heard_size = 0;
	ssize_t n = read(fd, heard + heard_size, sizeof(heard) - 1 - heard_size);
	if (n <= 0)
		return false;
	heard_size += (size_t)n;
	heard[heard_size] = '\0';
	return true;
}

/* Reads until `words` came; what follows them stays. Gives the place of the words, valid until the next read. */
static const char *
hear(int fd, const char *words)
{
	const char *found;

	while (!(found = strstr(heard, words)))
		if (!read_more(fd))
			return NULL;
	return found;
}

static void
forget(void)
{
	heard_size = 0;
	heard[0] = '\0';
}

/* XEP-0114 §3: the handshake is SHA-1 of the stream's id and the secret. */
static bool
shake_hands(int fd, const char *domain, const char *secret)
{
	char text[512], id[128];
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned size = 0;

	snprintf(text, sizeof(text), "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='%s'>",
			domain);
	const char *start = write_all(fd, text) && hear(fd, "<stream:stream") && hear(fd, " id=") ? hear(fd, " id=") + 5 : NULL;
	while (start && !strchr(start, start[-1]))
		if (!read_more(fd))
			return false;
	if (!start)
		return false;
	size_t length = strcspn(start, "'\"");
	snprintf(id, sizeof(id), "%.*s", length < 100 ? (int)length : 100, start);
	snprintf(text, sizeof(text), "%s%s", id, secret);
	EVP_Digest(text, strlen(text), digest, &size, EVP_sha1(), NULL);
	forget();
	size_t n = (size_t)snprintf(text, sizeof(text), "<handshake>");
	for (unsigned i = 0; i < size; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%02x", digest[i]);
	snprintf(text + n, sizeof(text) - n, "</handshake>");
	return write_all(fd, text) && hear(fd, "<handshake");
}

static int
dial(uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 ? fd : -1;
}

/* How many of our own messages the room reflected in what was heard; keeps a stanza that is cut. */
static long
reflected(void)
{
	long count = 0;
	char *rest = heard;

	for (char *at = heard; (at = strstr(at, "<body>raw ")); at++) {
		count++;
		rest = at + 10;
	}
	/* Ten characters may be cut in the middle. */
	size_t left = heard_size - (size_t)(rest - heard);
	if (left > 9) {
		rest = heard + heard_size - 9;
		left = 9;
	}
	memmove(heard, rest, left);
	heard_size = left;
	heard[left] = '\0';
	return count;
}

/* One after the other: the room's subject ends a join. */
static bool
enter(int fd, const char *domain, const char *room, long occupants)
{
	char text[1024];

	for (long i = 0; i < occupants; i++) {
		snprintf(text, sizeof(text), "<presence from='raw%ld@%s' to='%s/raw%ld'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x></presence>",
				i, domain, room, i);
		forget();
		if (!write_all(fd, text) || !hear(fd, "<subject"))
			return false;
	}
	forget();
	return true;
}

#define MORE " plain words, which may be cut anywhere, since a byte is a character of them"
#define SAID "<message type='groupchat' from='raw%ld@%s' to='%s' id='%032ld'><body>raw %ld " WORDS "%.*s</body>" \
	"<origin-id xmlns='urn:xmpp:sid:0' id='%032ld'/><delay xmlns='urn:xmpp:delay' from='%s' stamp='2026-11-23T18:04:05Z'/>" \
	"<mark xmlns='urn:sourdine:mark' key='%016ld'/></message>"

static int
muc(char **words)
{
	static const char more[] = MORE MORE MORE MORE MORE MORE MORE MORE;
	const char *domain = words[1], *room = words[3];
	long count = number(words[4]), window = number(words[5]), occupants = number(words[6]), bytes = number(words[7]), sent = 0, copies = 0;
	int bare = snprintf(NULL, 0, SAID, 0L, domain, room, 0L, 0L, 0, more, 0L, domain, 0L), room_left = (int)sizeof(more) - 1;
	int padding = bytes > bare ? (int)bytes - bare : 0;
	int fd = dial((uint16_t)number(words[0]));

	if (fd < 0)
		return fail("connect", strerror(errno));
	if (!shake_hands(fd, domain, words[2]))
		return fail("handshake", "refused");
	if (!enter(fd, domain, room, occupants))
		return fail("join", "no subject came");
	padding = padding < room_left ? padding : room_left;
	begin();
	while (copies < count * occupants) {
		size_t n = 0;
		char burst[32768];
		for (; sent < count && sent - copies / occupants < window && n + 2000 < sizeof(burst); sent++)
			n += (size_t)snprintf(burst + n, sizeof(burst) - n, SAID, sent % occupants, domain, room, sent, sent, padding, more,
					sent, domain, sent);
		burst[n] = '\0';
		if (!write_all(fd, burst) || !read_more(fd))
			return fail("muc", "the stream ended");
		copies += reflected();
		if (copies > sent * occupants)
			return fail("muc", "others of this component are in the room: their copies cannot be told from ours");
	}
	report(count);
	write_all(fd, "</stream:stream>");
	close(fd);
	return 0;
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int words;
		int (*run)(char **words);
	} runs[] = { { "parse", 2, parse }, { "commit", 4, commit }, { "put", 5, put }, { "muc", 8, muc } };

	for (size_t i = 0; argc > 1 && i < sizeof(runs) / sizeof(*runs); i++)
		if (strcmp(argv[1], runs[i].name) == 0 && argc == runs[i].words + 2)
			return runs[i].run(argv + 2);
	fprintf(stderr, "usage: see the top of raw.c\n");
	return 2;
}
