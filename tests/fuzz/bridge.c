/* SPDX-License-Identifier: Apache-2.0 */
/* The database is opened once and its files removed at once; BEGIN and COMMIT of a turn become savepoints within our transaction. */
#include "bridge.h"

#include "base/log.h"
#include "base/now.h"
#include "core/charters.h"
#include "core/groups.h"
#include "store/store.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct bridge bridge;
static sqlite3 *database;
static bool inside; /* our transaction is open */
static unsigned long counted;
static char directory[64];

/* ---- what is replaced by the linker ---- */

int __real_sqlite3_exec(sqlite3 *db, const char *sql, int (*each)(void *, int, char **, char **), void *context, char **error);
int __wrap_sqlite3_exec(sqlite3 *db, const char *sql, int (*each)(void *, int, char **, char **), void *context, char **error);
int __real_sqlite3_prepare_v3(sqlite3 *db, const char *sql, int size, unsigned flags, sqlite3_stmt **out, const char **rest);
int __wrap_sqlite3_prepare_v3(sqlite3 *db, const char *sql, int size, unsigned flags, sqlite3_stmt **out, const char **rest);
int64_t __wrap_now_rules_ms(void);
int64_t __wrap_now_real_ms(void);
int64_t __wrap_now_monotonic_ms(void);
void __wrap_seal_random_text(char *out, size_t n, const char *alphabet);

int
__wrap_sqlite3_exec(sqlite3 *db, const char *sql, int (*each)(void *, int, char **, char **), void *context, char **error)
{
	database = db;
	if (inside && strcmp(sql, "ROLLBACK") == 0)
		sql = "ROLLBACK TO turn; RELEASE turn";
	return __real_sqlite3_exec(db, sql, each, context, error);
}

/* Outside of a transaction a savepoint is one. */
int
__wrap_sqlite3_prepare_v3(sqlite3 *db, const char *sql, int size, unsigned flags, sqlite3_stmt **out, const char **rest)
{
	if (strncmp(sql, "BEGIN", 5) == 0)
		sql = "SAVEPOINT turn";
	else if (strcmp(sql, "COMMIT") == 0)
		sql = "RELEASE turn";
	return __real_sqlite3_prepare_v3(db, sql, size, flags, out, rest);
}

int64_t
__wrap_now_rules_ms(void)
{
	return bridge.now_ms;
}

int64_t
__wrap_now_real_ms(void)
{
	return bridge.now_ms;
}

int64_t
__wrap_now_monotonic_ms(void)
{
	return bridge.now_ms;
}

void
__wrap_seal_random_text(char *out, size_t n, const char *alphabet)
{
	unsigned long value = ++counted;
	size_t count = strlen(alphabet);

	for (size_t i = 0; i < n; i++, value /= count)
		out[i] = alphabet[value % count];
	out[n] = '\0';
}

/* ---- once ---- */

static void
drop_line(enum log_level level, const char *line)
{
	(void)level, (void)line;
}

static void
write_key(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	REQUIRE(fd >= 0 && write(fd, "a key that is the same each time", 32) == 32);
	close(fd);
}

static void
remove_directory(void)
{
	rmdir(directory);
}

static void
open_once(void)
{
	static const char *const files[] = { "master.key", "sourdine.db", "sourdine.db-wal", "sourdine.db-shm", "lock", "ballast" };
	bool created;

	log_register(getenv("FUZZ_LOG") ? NULL : drop_line);
	snprintf(directory, sizeof(directory), "/tmp/fuzz-bridge.XXXXXX");
	REQUIRE(mkdtemp(directory));
	atexit(remove_directory);
	AUTO_FREE char *key = xasprintf("%s/%s", directory, files[0]);
	write_key(key);
	REQUIRE(seal_open(&bridge.seal, key, false) == 0);
	REQUIRE(store_open(&bridge.store, directory, &created) == 0);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", directory, files[i]);
		unlink(path);
	}
}

/* ---- each time ---- */

static bool
turn(void *context)
{
	return core_turn(((struct bridge *)context)->core);
}

struct bridge *
bridge_open(const char *charter)
{
	static const struct core_settings settings = {
		.language = "en", .matrix_bot = "@sourdine:hs", .nick = "Sourdine", .xmpp_bot = "bot@" BRIDGE_COMPONENT, .charters = directory,
	};
	struct complaint why;
	char sentence[256];

	if (!bridge.store)
		open_once();
	bridge.now_ms = BRIDGE_NOW;
	counted = bridge.said = 0;
	REQUIRE(store_commit(bridge.store) == 0);
	REQUIRE(__real_sqlite3_exec(database, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
	inside = true;
	REQUIRE(loop_open(&bridge.loop) == 0);
	bridge.core = core_open(bridge.store, bridge.seal, &settings);
	struct group *group = groups_add(&bridge.core->groups, "m", "#m:hs", BRIDGE_MUC, false);
	REQUIRE(core_start(bridge.core, sentence, sizeof(sentence)) == 0);
	if (charter)
		REQUIRE(charters_apply(bridge.core->charters, group, charter, "@admin:hs", "hours", &why) == 0);
	loop_on_turn(bridge.loop, turn, &bridge);
	return &bridge;
}

void
bridge_close(struct bridge *open)
{
	loop_on_turn(open->loop, NULL, NULL);
	core_close(open->core);
	REQUIRE(store_commit(open->store) == 0);
	loop_close(open->loop);
	inside = false;
	REQUIRE(__real_sqlite3_exec(database, "ROLLBACK", NULL, NULL, NULL) == SQLITE_OK);
}

void
bridge_turn(struct bridge *open, int64_t ms)
{
	open->now_ms += ms;
	REQUIRE(loop_once(open->loop, 0) == 0);
}

void
bridge_say(struct bridge *open, enum network network, const char *room, const char *raw)
{
	char id[32];

	snprintf(id, sizeof(id), "said%u", ++open->said);
	REQUIRE(inbox_accept(open->core->inbox, network, room, id, raw, strlen(raw)) >= 0);
}

bool
bridge_part(const uint8_t **data, size_t *size, char **out, size_t *n)
{
	if (!*size)
		return false;
	const uint8_t *cut = memchr(*data, BRIDGE_CUT, *size);
	*n = cut ? (size_t)(cut - *data) : *size;
	*out = xmalloc(*n + 1);
	memcpy(*out, *data, *n);
	(*out)[*n] = '\0';
	*data += *n + (cut != NULL);
	*size -= *n + (cut != NULL);
	return true;
}
