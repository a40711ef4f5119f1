/* SPDX-License-Identifier: Apache-2.0 */
/* The database: transactions of a turn, parts that fail alone, and what store_open() refuses. */
#include "store/store.h"

#include "base/log.h"
#include "core/ledger.h"
#include "scratch.h"
#include "store/statements.h"

#include <errno.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct scene {
	char directory[SCRATCH_SIZE];
	struct store *store;
};

static void
reopen(struct scene *scene, int expected)
{
	bool created;

	store_close(scene->store);
	scene->store = NULL;
	assert_int_equal(store_open(&scene->store, scene->directory, &created), expected);
}

static int
set_up(void **state)
{
	struct scene *scene = xcalloc(1, sizeof(*scene));
	bool created;

	scratch_make(scene->directory);
	if (store_open(&scene->store, scene->directory, &created) || !created)
		return -1;
	*state = scene;
	return 0;
}

static int
tear_down(void **state)
{
	struct scene *scene = *state;

	store_close(scene->store);
	scratch_remove(scene->directory);
	free(scene);
	return 0;
}

static void
set(struct scene *scene, const char *key, const char *value)
{
	struct query query = store_query(scene->store, META_SET);

	query_text(&query, key);
	query_text(&query, value);
	query_run(&query);
}

static bool
has(struct scene *scene, const char *key, const char *value)
{
	struct query query = store_query(scene->store, META_GET);

	query_text(&query, key);
	bool found = query_step(&query) && strcmp(query_get_text(&query, 0), value) == 0;
	query_done(&query);
	return found;
}

static void
count_call(void *context, bool done)
{
	int *calls = context;

	*calls += done ? 1 : 100;
}

static void
test_only_what_is_committed_survives(void **state)
{
	struct scene *scene = *state;
	int calls = 0;

	set(scene, "a", "1");
	store_after_commit(scene->store, count_call, &calls);
	assert_int_equal(calls, 0);
	assert_int_equal(store_commit(scene->store), 0);
	assert_int_equal(calls, 1);
	set(scene, "b", "2");
	reopen(scene, 0);
	assert_true(has(scene, "a", "1"));
	assert_false(has(scene, "b", "2"));
}

static void
test_a_failed_part_leaves_the_rest(void **state)
{
	struct scene *scene = *state;

	set(scene, "before", "1");
	store_savepoint(scene->store);
	set(scene, "inside", "1");
	set(scene, "inside", NULL); /* NOT NULL is violated */
	assert_true(store_failed(scene->store));
	assert_false(store_release(scene->store, true));
	set(scene, "after", "1");
	assert_int_equal(store_commit(scene->store), 0);
	assert_true(has(scene, "before", "1"));
	assert_false(has(scene, "inside", "1"));
	assert_true(has(scene, "after", "1"));
}

static void
test_a_failed_turn_is_told(void **state)
{
	struct scene *scene = *state;
	int calls = 0;

	set(scene, "a", NULL);
	store_after_commit(scene->store, count_call, &calls);
	assert_true(store_commit(scene->store) < 0);
	assert_int_equal(calls, 100);
	set(scene, "a", "1");
	assert_int_equal(store_commit(scene->store), 0);
}

static void
test_one_daemon_at_a_time(void **state)
{
	struct scene *scene = *state;
	struct store *second = NULL;
	bool created;

	assert_int_equal(store_open(&second, scene->directory, &created), STORE_E_LOCKED);
	assert_null(second);
}

static void
run_sql(struct scene *scene, const char *sql)
{
	AUTO_FREE char *path = xasprintf("%s/sourdine.db", scene->directory);
	sqlite3 *db;

	store_close(scene->store);
	scene->store = NULL;
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void
test_a_newer_schema_is_refused(void **state)
{
	run_sql(*state, "PRAGMA user_version = 99");
	reopen(*state, STORE_E_NEWER);
}

static void
test_a_foreign_database_is_refused(void **state)
{
	run_sql(*state, "PRAGMA application_id = 7");
	reopen(*state, STORE_E_CORRUPT);
}

static void
test_a_damaged_file_is_refused(void **state)
{
	struct scene *scene = *state;
	AUTO_FREE char *path = xasprintf("%s/sourdine.db", scene->directory);

	store_close(scene->store);
	scene->store = NULL;
	FILE *file = fopen(path, "r+");
	assert_non_null(file);
	fputs("this is no database at all", file);
	fclose(file);
	reopen(scene, STORE_E_CORRUPT);
}

static void
test_verify(void **state)
{
	struct scene *scene = *state;
	char why[128];

	assert_int_equal(store_verify(scene->store, why, sizeof(why)), 0);
	assert_string_equal(why, "ok");
	assert_true(store_size(scene->store) > 0);
}

/* ---- a full disk ---- */

static bool
has_file(struct scene *scene, const char *name)
{
	AUTO_FREE char *path = xasprintf("%s/%s", scene->directory, name);

	return access(path, F_OK) == 0;
}

static void
test_a_full_disk_loses_nothing(void **state)
{
	struct scene *scene = *state;
	int calls = 0;

	set(scene, "before", "1");
	assert_int_equal(store_commit(scene->store), 0);
	assert_true(has_file(scene, "ballast"));
	scratch_limit_files(1);
	set(scene, "first", "1");
	set(scene, "second", "1");
	store_after_commit(scene->store, count_call, &calls);
	assert_int_equal(store_commit(scene->store), -ENOSPC);
	assert_int_equal(calls, 100);
	assert_true(store_broken(scene->store));
	assert_true(store_probe(scene->store) < 0);
	assert_false(has_file(scene, "ballast"));
	scratch_limit_files(UINT64_MAX);
	assert_int_equal(store_probe(scene->store), 0);
	assert_false(store_broken(scene->store));
	assert_true(has(scene, "before", "1"));
	assert_false(has(scene, "first", "1"));
	assert_false(has(scene, "second", "1"));
	store_keep_ballast(scene->store);
	assert_true(has_file(scene, "ballast"));
	reopen(scene, 0);
	assert_true(has(scene, "before", "1"));
}

/* A computer that starts again with its disk full: that is no damage, and the ballast is for this. */
static void
test_a_start_on_a_full_disk(void **state)
{
	struct scene *scene = *state;
	struct store *looking = NULL;

	set(scene, "before", "1");
	assert_int_equal(store_commit(scene->store), 0);
	assert_true(has_file(scene, "ballast"));
	scratch_limit_files(1);
	reopen(scene, -ENOSPC);
	assert_false(has_file(scene, "ballast"));
	reopen(scene, -ENOSPC);
	scratch_limit_files(UINT64_MAX);
	reopen(scene, 0);
	assert_true(has(scene, "before", "1"));
	/* Nor does a look at what a killed daemon left call it damage. */
	scratch_limit_files(1);
	int r = store_open_reading(&looking, scene->directory);
	scratch_limit_files(UINT64_MAX);
	assert_true(r <= 0);
	store_close(looking);
}

/* ---- migrations ---- */

static char *
read_text(const char *path)
{
	static char text[65536];
	FILE *file = fopen(path, "r");

	assert_non_null(file);
	size_t n = fread(text, 1, sizeof(text) - 1, file);
	text[n] = '\0';
	fclose(file);
	return text;
}

/* Every column of every table and every index, in an order of its own. */
static char *
shape(struct scene *scene)
{
	static const char sql[] = "SELECT group_concat(line, char(10)) FROM (SELECT m.type || ' ' || m.name || ' ' || coalesce(p.name || ' ' ||"
		" p.type || ' ' || p.\"notnull\" || ' ' || coalesce(p.dflt_value, '') || ' ' || p.pk, '') AS line FROM sqlite_master m"
		" LEFT JOIN pragma_table_info(m.name) p WHERE m.name NOT LIKE 'sqlite_%' ORDER BY m.name, p.cid)";
	AUTO_FREE char *path = xasprintf("%s/sourdine.db", scene->directory);
	sqlite3_stmt *statement;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	char *out = xstrdup((const char *)sqlite3_column_text(statement, 0));
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return out;
}

/* An old database of this version, with what `sql` puts there, opened by this program: its shape is that of a new one. */
static void
migrate(struct scene *scene, int version, const char *sql)
{
	AUTO_FREE char *wanted = shape(scene);
	AUTO_FREE char *path = xasprintf("%s/sourdine.db", scene->directory);
	const char *top = getenv("top_srcdir");
	AUTO_FREE char *old = xasprintf("%s/tests/schema/%d.sql", top ? top : ".", version);
	AUTO_FREE char *all = xasprintf("PRAGMA application_id = 0x736F7264; PRAGMA user_version = %d; %s", version, sql);
	sqlite3 *db;

	store_close(scene->store);
	scene->store = NULL;
	remove(path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, read_text(old), NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, all, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	reopen(scene, 0);
	AUTO_FREE char *got = shape(scene);
	assert_string_equal(got, wanted);
}

static void
test_an_old_schema_becomes_the_new_one(void **state)
{
	struct scene *scene = *state;
	struct ledger ledger;

	migrate(scene, 3, "");
	migrate(scene, 1, "INSERT INTO inbox (seq, network, room, source_id, place, received_ms, state) VALUES (1, 0, '!r:hs', 'a', 1, 0, 2),"
			" (2, 0, '!r:hs', 'b', 2, 0, 0), (3, 0, '!r:hs', 'c', 3, 0, 3), (4, 0, '!r:hs', 'd', 4, 0, 2);"
			"INSERT INTO outbox (place, network, lane, name, kind, grp, inbox_seq, state, due_ms) VALUES (1, 1, 'm@r', 'n', 0, 'g', 4, 3, 0)");
	ledger_count(scene->store, 0, &ledger);
	assert_int_equal(ledger.accepted, 4);
	assert_int_equal(ledger.delivered, 1);
	assert_int_equal(ledger_difference(&ledger), 0);
}

/* Whether a line of a query plan goes through rows that are done. "SEARCH inbox" alone is the greatest key. */
static bool
is_walk(const char *plan)
{
	static const char *const tables[] = { "inbox", "outbox", "i", "o" };
	static const char *const good[] = { "inbox_new", "inbox_gated", "inbox_stalled", "inbox_aside", "COVERING INDEX inbox_place", "outbox_open",
		"outbox_due", "outbox_flying", "outbox_refused", "rowid", "source_id=?", "inbox_seq=?", "remote_id=?", "name=?" };
	char verb[16], table[32];
	bool ours = false;

	if (sscanf(plan, "%15s %31s", verb, table) != 2 || (strcmp(verb, "SCAN") != 0 && strcmp(verb, "SEARCH") != 0) ||
			strcmp(plan, "SEARCH inbox") == 0)
		return false;
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		ours |= strcmp(table, tables[i]) == 0;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ours &= strstr(plan, good[i]) == NULL;
	return ours;
}

static int
count_walks(sqlite3 *db, const char *name, const char *sql)
{
	AUTO_FREE char *explain = xasprintf("EXPLAIN QUERY PLAN %s", sql);
	sqlite3_stmt *statement;
	int walks = 0;

	assert_int_equal(sqlite3_prepare_v2(db, explain, -1, &statement, NULL), SQLITE_OK);
	while (sqlite3_step(statement) == SQLITE_ROW) {
		const char *plan = (const char *)sqlite3_column_text(statement, 3);
		if (!is_walk(plan))
			continue;
		walks++;
		print_message("%s: %s\n", name, plan);
	}
	sqlite3_finalize(statement);
	return walks;
}

/*
 * Nothing deletes what is done, for the sake of what comes a second time. So whatever looks for what is not done goes by an index
 * that holds nothing else, or by a key.
 */
static void
test_no_statement_walks_through_the_past(void **state)
{
	struct scene *scene = *state;
	AUTO_FREE char *path = xasprintf("%s/sourdine.db", scene->directory);
	int walks = 0;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
#define STATEMENT(name, sql) walks += count_walks(db, #name, sql);
	STATEMENTS(STATEMENT)
#undef STATEMENT
	assert_int_equal(walks, 0);
	assert_int_equal(count_walks(db, "a control", "SELECT count(*) FROM outbox WHERE state = 0"), 1);
	assert_int_equal(count_walks(db, "a control", "SELECT max(place) FROM outbox"), 1);
	sqlite3_close(db);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		T(test_only_what_is_committed_survives),
		T(test_a_failed_part_leaves_the_rest),
		T(test_a_failed_turn_is_told),
		T(test_one_daemon_at_a_time),
		T(test_a_newer_schema_is_refused),
		T(test_a_foreign_database_is_refused),
		T(test_a_damaged_file_is_refused),
		T(test_verify),
		T(test_a_full_disk_loses_nothing),
		T(test_a_start_on_a_full_disk),
		T(test_an_old_schema_becomes_the_new_one),
		T(test_no_statement_walks_through_the_past),
#undef T
	};

	log_register(scratch_drop_line);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
