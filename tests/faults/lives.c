/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The heart between two networks that only answer, over a real database: lives that end badly.
 *
 *   lives power N [SEED]     N lives on a disk that forgets what was not synced, each ended by a power cut
 *   lives corrupt N [SEED]   N damaged databases: refused with a word, or read; never a crash, never silently wrong
 *   lives work DIR N         one life: accepts N messages and says each one that it could acknowledge
 *   lives verify DIR         reads those words, and says which of them the database in DIR does not know
 *   lives days ZONE FROM N LATER
 *                            N days in fast motion, the second half in the zone LATER; says what went out when
 *   lives                    a little of the first two, for `make check` (TAP)
 *
 * Exit status 0: as it must be; 1: not. What a life acknowledged is told over a pipe before anything else can happen.
 */
#include "disk.h"

#include "base/log.h"
#include "base/now.h"
#include "core/charters.h"
#include "core/core.h"
#include "core/digests.h"
#include "core/ledger.h"
#include "core/outbox_rows.h"
#include "tests/unit/fake_port.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROOM "!m:hs"
#define MUC "m@rooms.x"
#define MONDAY "2026-11-23T09:00:00Z"
#define ACCEPTED_MAX 65536

enum { LIFE_FINE = 0, LIFE_WRONG = 1, LIFE_REFUSED = 78 };

struct life {
	char directory[512], clock[600], charters[600];
	struct store *store;
	struct seal *seal;
	struct core *core;
	struct fake_port matrix, xmpp;
	int words;          /* where acknowledgements are told */
	int first, count;   /* what the next commit acknowledges */
	unsigned dice;
};

static unsigned
draw(unsigned *dice, unsigned sides)
{
	*dice = *dice * 1103515245u + 12345u;
	return (*dice >> 16) % sides;
}

static void
write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	if (!file || fputs(text, file) < 0 || fclose(file)) {
		perror(path);
		abort();
	}
}

static void
set_clock(struct life *life, const char *instant)
{
	write_file(life->clock, instant);
	if (now_use_test_clock(life->clock))
		abort();
}

/* ---- the networks ---- */

/* One line in one write: a pipe keeps it whole, and a process that ends does not take it back. */
static void
tell(const struct life *life, char what, const char *text)
{
	char line[160];
	int n = snprintf(line, sizeof(line), "%c%s\n", what, text);

	if (write(life->words, line, (size_t)n) != n)
		abort();
}

static struct life *the_life;

static void
send_row(struct port *port, const struct sending *row)
{
	struct life *life = the_life;
	char remote[32];

	(void)port;
	tell(life, 'S', row->name);
	snprintf(remote, sizeof(remote), "r%" PRId64, row->id);
	if (draw(&life->dice, 8))
		outbox_settled(life->core->outbox, row->id, remote);
	else
		outbox_again(life->core->outbox, row->id, 0);
}

/* ---- a life ---- */

static void
prepare(struct life *life, const char *directory, const char *charter)
{
	char path[700];

	snprintf(life->directory, sizeof(life->directory), "%s", directory);
	snprintf(life->clock, sizeof(life->clock), "%s/clock", directory);
	snprintf(life->charters, sizeof(life->charters), "%s/charters", directory);
	if (mkdir(life->charters, 0700) && errno != EEXIST)
		abort();
	snprintf(path, sizeof(path), "%s/m.charter", life->charters);
	if (charter)
		write_file(path, charter);
}

/* As the daemon opens it: 0, or a sentence on stderr and LIFE_REFUSED. */
static int
open_life(struct life *life)
{
	char why[512], key[600];
	bool created;

	int r = store_open(&life->store, life->directory, &created);
	if (!r)
		r = store_verify(life->store, why, sizeof(why));
	if (r) {
		fprintf(stderr, "the database is refused: %d\n", r);
		return LIFE_REFUSED;
	}
	snprintf(key, sizeof(key), "%s/master.key", life->directory);
	if (seal_open(&life->seal, key, created || access(key, F_OK) != 0))
		return LIFE_REFUSED;
	struct core_settings settings = {
		.language = "en", .matrix_bot = "@sourdine:hs", .nick = "Sourdine", .xmpp_bot = "bot@c.x", .charters = life->charters,
	};
	life->core = core_open(life->store, life->seal, &settings);
	groups_add(&life->core->groups, "m", ROOM, MUC, false);
	fake_port_init(&life->matrix, NETWORK_MATRIX);
	fake_port_init(&life->xmpp, NETWORK_XMPP);
	life->matrix.core = life->xmpp.core = life->core;
	life->core->port[NETWORK_MATRIX] = &life->matrix.port;
	life->core->port[NETWORK_XMPP] = &life->xmpp.port;
	if (core_start(life->core, why, sizeof(why))) {
		fprintf(stderr, "%s\n", why);
		return LIFE_REFUSED;
	}
	inbox_open_gate(life->core->inbox, ROOM, NULL, 0, NULL, 0);
	inbox_open_gate(life->core->inbox, MUC, NULL, 0, NULL, 0);
	return 0;
}

static void
close_life(struct life *life)
{
	core_close(life->core);
	store_close(life->store);
	seal_close(life->seal);
	fake_port_fini(&life->matrix);
	fake_port_fini(&life->xmpp);
}

static void
turns(struct life *life)
{
	for (int i = 0; i < 50 && core_turn(life->core); i++)
		;
}

static void
on_commit(void *context, bool done)
{
	struct life *life = context;
	char id[32];

	for (int i = 0; done && i < life->count; i++) {
		snprintf(id, sizeof(id), "e%d", life->first + i);
		tell(life, 'A', id);
	}
}

/* Accepts `count` messages in one turn, from e<first> on. */
static void
accept_some(struct life *life, int first, int count)
{
	bool matrix = draw(&life->dice, 2);

	life->first = first;
	life->count = count;
	for (int i = first; i < first + count; i++) {
		char id[32], raw[128];
		snprintf(id, sizeof(id), "e%d", i);
		int n = snprintf(raw, sizeof(raw), "%s%u\nName\nmessage e%d%s", matrix ? "@u" : "xmpp:u@x", draw(&life->dice, 4), i,
			draw(&life->dice, 3) ? "" : " #later");
		if (inbox_accept(life->core->inbox, matrix ? NETWORK_MATRIX : NETWORK_XMPP, matrix ? ROOM : MUC, id, raw, (size_t)n) < 0)
			life->count = 0;
	}
	store_after_commit(life->store, on_commit, life);
	turns(life);
}

static const char charter[] =
	"version 1\n"
	"group \"m\" {\n"
	"  tz Europe/Paris\n"
	"  hours mon-fri 08:30-18:30\n"
	"  digest at 17:30\n"
	"  time 20 lot when tag later then hold until opening\n"
	"}\n";

/* A life that accepts from e<first> on until it ends by itself (or the disk ends it). */
static int
live(const char *directory, int words, int first, int count, unsigned seed, long crash_at)
{
	struct life life = { .words = words, .dice = seed };

	the_life = &life;
	prepare(&life, directory, charter);
	set_clock(&life, MONDAY);
	if (crash_at) {
		disk_install();
		disk_crash_at(crash_at, seed);
	}
	int r = open_life(&life);
	if (r)
		return r;
	life.matrix.ops.send = life.xmpp.ops.send = send_row;
	turns(&life);
	for (int done = 0; done < count;) {
		int some = 1 + (int)draw(&life.dice, 5);
		accept_some(&life, first + done, some);
		done += some;
	}
	close_life(&life);
	return 0;
}

/* ---- what was promised ---- */

struct promises {
	bool accepted[ACCEPTED_MAX];
	int newest;
	char (*sent)[40]; /* owns */
	size_t sent_count;
};

static void
hear_line(struct promises *promises, const char *line)
{
	if (line[0] == 'A') {
		int number = (int)strtol(line + 2, NULL, 10);
		if (number < 0 || number >= ACCEPTED_MAX)
			abort();
		promises->accepted[number] = true;
		promises->newest = number > promises->newest ? number : promises->newest;
	} else if (line[0] == 'S') {
		promises->sent = xrealloc(promises->sent, (promises->sent_count + 1) * sizeof(*promises->sent));
		snprintf(promises->sent[promises->sent_count++], sizeof(*promises->sent), "%.39s", line + 1);
	}
}

static void
hear(struct promises *promises, FILE *words)
{
	char line[200];

	while (fgets(line, sizeof(line), words)) {
		line[strcspn(line, "\n")] = '\0';
		hear_line(promises, line);
	}
}

static bool
has_row(sqlite3 *db, const char *sql, const char *text)
{
	sqlite3_stmt *statement;
	bool found = false;

	if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK) {
		sqlite3_bind_text(statement, 1, text, -1, SQLITE_STATIC);
		found = sqlite3_step(statement) == SQLITE_ROW;
	}
	sqlite3_finalize(statement);
	return found;
}

/* How many promises the database in `directory` does not keep; each is said. -1: it cannot be read. */
static int
count_broken(const struct promises *promises, const char *directory)
{
	AUTO_FREE char *path = xasprintf("%s/sourdine.db", directory);
	sqlite3 *db = NULL;
	int broken = 0;
	char id[32];

	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK || !has_row(db, "SELECT 1 FROM sqlite_schema WHERE name = ?", "inbox")) {
		sqlite3_close(db);
		return -1;
	}
	for (int i = 0; i <= promises->newest; i++) {
		snprintf(id, sizeof(id), "e%d", i);
		if (promises->accepted[i] && !has_row(db, "SELECT 1 FROM inbox WHERE source_id = ?", id)) {
			printf("lost: %s\n", id);
			broken++;
		}
	}
	for (size_t i = 0; i < promises->sent_count; i++)
		if (!has_row(db, "SELECT 1 FROM outbox WHERE name = ? AND (tries > 0 OR state > 2)", promises->sent[i])) {
			printf("sent before it was committed: %s\n", promises->sent[i]);
			broken++;
		}
	/* A power cut is nobody's fault. */
	if (has_row(db, "SELECT 1 FROM quarantine WHERE ?1 <> ''", "x")) {
		printf("an innocent message was set aside\n");
		broken++;
	}
	sqlite3_close(db);
	return broken;
}

/* ---- a child a life ---- */

/* Runs live() in a process of its own; its exit status, or 1000 + the signal. */
static int
live_apart(struct promises *promises, const char *directory, int first, int count, unsigned seed, long crash_at)
{
	int words[2], status;

	if (pipe(words))
		abort();
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		close(words[0]);
		_exit(live(directory, words[1], first, count, seed, crash_at));
	}
	close(words[1]);
	FILE *file = fdopen(words[0], "r");
	if (child < 0 || !file)
		abort();
	hear(promises, file);
	fclose(file);
	if (waitpid(child, &status, 0) != child)
		abort();
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static char *
fresh_directory(void)
{
	/* In memory: what is tested is which bytes are there, not how fast a disk is. */
	char *directory = xasprintf("%s/sourdine-lives-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");

	if (!mkdtemp(directory))
		abort();
	return directory;
}

static const char *const state_files[] = { "sourdine.db", "sourdine.db-wal", "sourdine.db-shm", "lock", "master.key", "ballast", "clock",
	"charters/m.charter", "charters" };
#define STATE_FILES (sizeof(state_files) / sizeof(state_files[0]))

static void
remove_directory(const char *directory)
{
	for (size_t i = 0; i < STATE_FILES; i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", directory, state_files[i]);
		remove(path);
	}
	remove(directory);
}

/* ---- power ---- */

#define LIVES_A_DATABASE 250
#define MESSAGES_A_LIFE 12

static int
power(long lives, unsigned seed)
{
	long crashes = 0, whole = 0, broken = 0, accepted = 0, sent = 0, bad_ends = 0;
	struct promises *promises = xcalloc(1, sizeof(*promises));
	char *directory = NULL;

	for (long i = 0; i < lives || crashes == 0; i++) {
		if (i % LIVES_A_DATABASE == 0) {
			if (directory)
				remove_directory(directory);
			free(directory);
			free(promises->sent);
			*promises = (struct promises){ 0 };
			directory = fresh_directory();
		}
		int first = (int)(i % LIVES_A_DATABASE) * 2 * MESSAGES_A_LIFE;
		size_t sent_before = promises->sent_count;
		int status = live_apart(promises, directory, first, MESSAGES_A_LIFE, seed + (unsigned)i, 1 + (long)draw(&seed, 160));
		crashes += status == DISK_CRASHED;
		whole += status == 0;
		bad_ends += status != DISK_CRASHED && status != 0;
		/* What shared memory said before a power cut is gone. */
		AUTO_FREE char *shared = xasprintf("%s/sourdine.db-shm", directory);
		remove(shared);
		for (int e = first; e < first + 2 * MESSAGES_A_LIFE; e++)
			accepted += promises->accepted[e];
		sent += (long)(promises->sent_count - sent_before);
		int missing = count_broken(promises, directory);
		if (missing < 0 && promises->newest == 0 && !promises->accepted[0])
			missing = 0; /* cut before there was a database */
		broken += missing != 0;
		if (status != DISK_CRASHED && status != 0 && bad_ends < 4)
			printf("life %ld ended with %d\n", i, status);
	}
	remove_directory(directory);
	free(directory);
	free(promises->sent);
	free(promises);
	printf("power: %ld cuts, %ld lives to their end, %ld messages acknowledged, %ld sent, broken promises %ld, bad ends %ld\n", crashes,
		whole, accepted, sent, broken, bad_ends);
	return broken || bad_ends;
}

/* ---- damage ---- */

struct blob {
	char *bytes; /* owns */
	size_t n;
};

static struct blob
read_blob(const char *directory, const char *name)
{
	AUTO_FREE char *path = xasprintf("%s/%s", directory, name);
	struct blob blob = { xmalloc(1 << 24), 0 };
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, blob.bytes, 1 << 24);

	if (fd >= 0)
		close(fd);
	blob.n = n > 0 ? (size_t)n : 0;
	return blob;
}

static void
write_blob(const char *directory, const char *name, const struct blob *blob)
{
	AUTO_FREE char *path = xasprintf("%s/%s", directory, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, blob->bytes, blob->n) != (ssize_t)blob->n)
		abort();
	close(fd);
}

/* Damages a copy: flipped bits, a zeroed block, a cut, all zeroes. */
static void
damage(struct blob *blob, unsigned *dice)
{
	if (!blob->n)
		return;
	size_t at = ((size_t)draw(dice, 32768) * 32768 + draw(dice, 32768)) % blob->n;
	switch (draw(dice, 8)) {
	case 0:
		blob->n = at;
		break;
	case 1:
		memset(blob->bytes + at, 0, blob->n - at < 4096 ? blob->n - at : 4096);
		break;
	case 2:
		for (size_t i = at; i < blob->n && i < at + 512; i++)
			blob->bytes[i] = (char)draw(dice, 256);
		break;
	default:
		for (unsigned i = 0; i < 1 + draw(dice, 8); i++)
			blob->bytes[(at + i * 37) % blob->n] ^= (char)(1u << draw(dice, 8));
	}
}

enum damage_fate { DAMAGE_REFUSED, DAMAGE_WHOLE, DAMAGE_OLDER, DAMAGE_NOTICED, DAMAGE_SILENT, DAMAGE_CRASH, DAMAGE_COUNT };

static const char *const fate_names[DAMAGE_COUNT] = { "refused", "whole", "older (a cut log)", "noticed by the check", "SILENT", "CRASHED" };

static bool
integrity(const char *directory)
{
	AUTO_FREE char *path = xasprintf("%s/sourdine.db", directory);
	sqlite3_stmt *statement = NULL;
	sqlite3 *db = NULL;
	bool good = false;

	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
			sqlite3_prepare_v2(db, "PRAGMA integrity_check(1)", -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
		good = strcmp((const char *)sqlite3_column_text(statement, 0), "ok") == 0;
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return good;
}

/* What is known is e0, e1 ... without a hole: an older state of the same database. */
static bool
is_prefix(struct core *core, const struct promises *promises)
{
	bool ended = false;
	char id[32];

	for (int i = 0; i <= promises->newest; i++) {
		snprintf(id, sizeof(id), "e%d", i);
		bool known = inbox_knows(core->inbox, i % 2 ? MUC : ROOM, id) || inbox_knows(core->inbox, i % 2 ? ROOM : MUC, id);
		if (known && ended)
			return false;
		ended = ended || (!known && promises->accepted[i]);
	}
	return true;
}

/* Opens what is in `directory` as the daemon would, works, and compares. In a child: it may end in any way. */
static int
judge_damaged(const char *directory, const struct promises *promises)
{
	struct life life = { .words = open("/dev/null", O_WRONLY) };
	char id[32];

	the_life = &life;
	prepare(&life, directory, NULL);
	set_clock(&life, MONDAY);
	if (open_life(&life))
		return DAMAGE_REFUSED;
	life.matrix.ops.send = life.xmpp.ops.send = send_row;
	turns(&life);
	int missing = 0;
	for (int i = 0; i <= promises->newest; i++) {
		snprintf(id, sizeof(id), "e%d", i);
		missing += promises->accepted[i] && !inbox_knows(life.core->inbox, ROOM, id) && !inbox_knows(life.core->inbox, MUC, id);
	}
	bool older = is_prefix(life.core, promises);
	close_life(&life);
	if (!missing)
		return DAMAGE_WHOLE;
	return older ? DAMAGE_OLDER : integrity(directory) ? DAMAGE_SILENT : DAMAGE_NOTICED;
}

static int
corrupt(long times, unsigned seed)
{
	struct promises *promises = xcalloc(1, sizeof(*promises));
	char *directory = fresh_directory(), *copy = fresh_directory();
	long fates[DAMAGE_COUNT] = { 0 };
	unsigned dice = seed;

	/* A log that was never folded in, beside a database that was: two lives, the second one cut short after some hundred writes. */
	int r = live_apart(promises, directory, 0, 200, seed, 0);
	if (r == 0 && live_apart(promises, directory, 400, 400, seed + 1, 700) != DISK_CRASHED)
		r = 1;
	if (r)
		abort();
	for (long i = 0; i < times; i++) {
		bool log = draw(&dice, 3) == 0;
		for (size_t f = 0; f < STATE_FILES - 1; f++) {
			if (f == 2 || f == 5)
				continue; /* shared memory and ballast are made again */
			struct blob blob = read_blob(directory, state_files[f]);
			if (f == (log ? 1 : 0))
				damage(&blob, &dice);
			AUTO_FREE char *charters = xasprintf("%s/charters", copy);
			mkdir(charters, 0700);
			write_blob(copy, state_files[f], &blob);
			free(blob.bytes);
		}
		fflush(NULL);
		pid_t child = fork();
		if (child == 0) {
			fclose(stderr);
			_exit(judge_damaged(copy, promises));
		}
		int status;
		if (child < 0 || waitpid(child, &status, 0) != child)
			abort();
		int fate = WIFEXITED(status) && WEXITSTATUS(status) < DAMAGE_CRASH ? WEXITSTATUS(status) : DAMAGE_CRASH;
		if (fate >= DAMAGE_SILENT)
			printf("damage %ld (%s): %s, status %d\n", i, log ? "log" : "database", fate_names[fate], status);
		fates[fate]++;
		remove_directory(copy);
		mkdir(copy, 0700);
	}
	printf("corrupt: %ld databases:", times);
	for (int i = 0; i < DAMAGE_COUNT; i++)
		printf(" %s %ld%s", fate_names[i], fates[i], i + 1 < DAMAGE_COUNT ? "," : "\n");
	remove_directory(directory);
	remove_directory(copy);
	free(directory);
	free(copy);
	free(promises->sent);
	free(promises);
	return fates[DAMAGE_SILENT] || fates[DAMAGE_CRASH];
}

/* ---- days ---- */

#define STEP_MS ((int64_t)30 * 60 * 1000)

/* What went out: "instant lane text", the text on one line. */
static void
say_row(struct port *port, const struct sending *row)
{
	char instant[40];

	(void)port;
	now_format_utc(now_rules_ms(), instant, sizeof(instant));
	printf("%s %s ", instant, row->lane);
	for (size_t i = 0; i < row->size; i++)
		putchar(row->payload[i] == '\n' ? ' ' : row->payload[i]);
	putchar('\n');
	outbox_settled(the_life->core->outbox, row->id, "r");
}

static void
step_to(struct life *life, int64_t at_ms)
{
	char instant[40];

	now_format_utc(at_ms, instant, sizeof(instant));
	set_clock(life, instant);
	turns(life);
}

static void
speak(struct life *life, const char *mark)
{
	char raw[128];
	int n = snprintf(raw, sizeof(raw), "@alice:hs\nAlice\n%s", mark);

	if (inbox_accept(life->core->inbox, NETWORK_MATRIX, ROOM, mark, raw, (size_t)n) < 0)
		abort();
	turns(life);
}

static void
write_rules(const char *zone, char *out, size_t size)
{
	snprintf(out, size, "version 1\ngroup \"m\" {\n  tz %s\n  hours mon-fri 08:30-18:30\n  digest at 02:30, 12:00\n"
		"  time 10 ferme when closed then hold until opening\n}\n", zone);
}

static void
change_zone(struct life *life, const char *zone)
{
	struct complaint why;
	char text[512];

	write_rules(zone, text, sizeof(text));
	if (charters_apply(life->core->charters, groups_find(&life->core->groups, "m"), text, "@admin:hs", "zone", &why))
		abort();
	turns(life);
}

/* One half-hour: every six hours a message, on every twentieth day the clock is set back by an hour, on every thirtieth it runs ahead. */
static void
half_hour(struct life *life, long i, int64_t at_ms)
{
	char mark[40];

	step_to(life, at_ms);
	if (i % 12 == 1) {
		now_format_utc(at_ms, mark, sizeof(mark));
		printf("%s said\n", mark);
		speak(life, mark);
	}
	if (i % 960 == 12)
		step_to(life, at_ms - 2 * STEP_MS);
	if (i % 1440 == 30)
		step_to(life, at_ms + 2 * STEP_MS);
}

/* At the end the clock jumps ten years ahead, and goes on for two days. */
static int
days(const char *zone, const char *from, long count, const char *later)
{
	struct life life = { .words = open("/dev/null", O_WRONLY), .dice = 1 };
	char *directory = fresh_directory();
	char text[512];
	int64_t start_ms;

	the_life = &life;
	write_rules(zone, text, sizeof(text));
	prepare(&life, directory, text);
	set_clock(&life, from);
	if (!now_parse_utc(from, &start_ms) || open_life(&life))
		abort();
	life.matrix.ops.send = life.xmpp.ops.send = say_row;
	digests_subscribe(life.core->digests, groups_find(&life.core->groups, "m"), "xmpp:carol@x", NETWORK_XMPP, "carol@x", start_ms);
	for (long i = 0; i < count * 48; i++) {
		half_hour(&life, i, start_ms + i * STEP_MS);
		if (i == count * 24)
			change_zone(&life, later);
	}
	for (long i = 0; i < 96; i++)
		step_to(&life, start_ms + (int64_t)3650 * 48 * STEP_MS + i * STEP_MS);
	close_life(&life);
	remove_directory(directory);
	free(directory);
	return 0;
}

/* ---- argv ---- */

static int
verify(const char *directory)
{
	struct promises *promises = xcalloc(1, sizeof(*promises));

	hear(promises, stdin);
	int broken = count_broken(promises, directory);
	free(promises->sent);
	free(promises);
	return broken != 0;
}

static int
some_of_all(void)
{
	int bad = 0;

	printf("1..2\n");
	int r = power(150, 1);
	printf("%sok 1 - power cuts\n", r ? "not " : "");
	bad |= r;
	r = corrupt(60, 1);
	printf("%sok 2 - damaged databases\n", r ? "not " : "");
	return bad | r;
}

int
main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	long n = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
	unsigned seed = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 1;

	if (!*mode)
		return some_of_all();
	if (strcmp(mode, "power") == 0 && n)
		return power(n, seed);
	if (strcmp(mode, "corrupt") == 0 && n)
		return corrupt(n, seed);
	if (strcmp(mode, "work") == 0 && argc == 4)
		return live(argv[2], STDOUT_FILENO, 0, (int)strtol(argv[3], NULL, 10), 1, 0);
	if (strcmp(mode, "verify") == 0 && argc == 3)
		return verify(argv[2]);
	if (strcmp(mode, "days") == 0 && argc == 6)
		return days(argv[2], argv[3], strtol(argv[4], NULL, 10), argv[5]);
	fprintf(stderr, "usage: lives [power N [SEED] | corrupt N [SEED] | work DIR N | verify DIR | days ZONE FROM N LATER]\n");
	return 2;
}
