/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One table of verbs. Whatever is wrong with the daemon's health becomes a sentence in `problems`, and an empty list is
 * what health means: for people, for `status -q` and for whoever watches it.
 */
#include "config.h"

#include "cli/answer.h"

#include "base/disk.h"
#include "base/json.h"
#include "base/now.h"
#include "cli/control.h"
#include "cli/encryption.h"
#include "cli/log.h"
#include "core/audit.h"
#include "core/ledger.h"
#include "core/outbox_rows.h"
#include "matrix/matrix.h"
#include "xmpp/jabber.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORDS_MAX 4

struct answers {
	struct answers_parts parts;
	struct control *control;
	uint64_t ticket;         /* of the request that is being looked at */
	struct store_copy *copy; /* owns; a backup under way, or NULL */
	uint64_t copy_ticket;    /* who asked for it */
	struct audit *audit;     /* owns; under way, or NULL */
	uint64_t audit_ticket;
};

static void
answer(struct answers *answers, uint64_t ticket, json_t *document)
{
	AUTO_STR struct str text;

	str_init(&text, SIZE_MAX / 2);
	json_add_in_order(&text, document);
	json_decref(document);
	control_answer(answers->control, ticket, str_get(&text), text.n);
}

/* ---- ledger ---- */

#define LEDGER_WINDOW 100000 /* newest rows: a fifth of a second */
#define STATUS_WINDOW 5000

static json_t *
describe_ledger(struct store *store, int64_t window)
{
	int64_t newest = ledger_newest(store);
	struct ledger ledger;

	ledger_count(store, newest > window ? newest - window : 0, &ledger);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "accepted", (json_int_t)ledger.accepted, "difference",
			(json_int_t)ledger_difference(&ledger), "unjudged", (json_int_t)ledger.unjudged, "ignored", (json_int_t)ledger.ignored, "waiting",
			(json_int_t)ledger.waiting, "held", (json_int_t)ledger.held, "delivered", (json_int_t)ledger.delivered, "refused",
			(json_int_t)ledger.refused, "rejected", (json_int_t)ledger.rejected, "digested", (json_int_t)ledger.digested, "quarantined",
			(json_int_t)ledger.quarantined);
}

static json_t *
tell_ledger(struct answers *answers, char **words, size_t word_count)
{
	(void)words, (void)word_count;
	return describe_ledger(answers->parts.core->store, LEDGER_WINDOW);
}

/* ---- status ---- */

unsigned
answers_rooms_wanted(const struct core *core, enum network network)
{
	const struct list *all = &core->groups.all;
	struct group *group;
	unsigned count = 0;

	LIST_FOR_EACH(group, all, struct group, link)
		count += network == NETWORK_MATRIX ? group->matrix_wanted != NULL : group->room[NETWORK_XMPP][0] != '\0';
	return count;
}

void
answers_add_problem(json_t *problems, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	AUTO_FREE char *raw = xvasprintf(format, args);
	va_end(args);
	AUTO_FREE char *sentence = str_clean(raw, strlen(raw));
	json_array_append_new(problems, json_string(sentence));
}

static int64_t
count(struct store *store, enum statement statement)
{
	struct query query = store_query(store, statement);

	return query_number(&query);
}

static json_t *
describe_link(const char *name, bool connected, unsigned joined, unsigned wanted, const char *failure, json_t *problems)
{
	if (failure)
		answers_add_problem(problems, "%s: %s", name, failure);
	else if (!connected)
		answers_add_problem(problems, "%s: not connected", name);
	return json_pack("{s:b, s:i, s:i, s:s?}", "connected", connected, "joined", (int)joined, "wanted", (int)wanted, "failure", failure);
}

/* Why one of the group's rooms is not joined; NULL when it is, or there is none. malloc'd. */
static char *
trouble_of(const struct answers *answers, const struct group *group, enum network network)
{
	const struct answers_parts *parts = &answers->parts;
	char why[256] = "";

	if (network == NETWORK_MATRIX && group->matrix_wanted)
		matrix_trouble(parts->matrix, group->name, why, sizeof(why));
	if (network == NETWORK_XMPP && group->room[NETWORK_XMPP][0])
		jabber_trouble(parts->jabber, group->room[NETWORK_XMPP], why, sizeof(why));
	return *why ? str_clean(why, strlen(why)) : NULL;
}

/* What may never have reached us is taken in by an audit that goes far enough back. */
static void
add_hole(const struct answers *answers, const struct group *group, json_t *problems)
{
	int64_t since_ms = group->room[NETWORK_XMPP][0] ? jabber_hole(answers->parts.jabber, group->room[NETWORK_XMPP]) : 0;
	char since[32];

	if (!since_ms)
		return;
	now_format_utc(since_ms, since, sizeof(since));
	answers_add_problem(problems, "%s: what was said in %s since %s may be missing, for its archive could not be read;"
			" when it can, \"sourdine audit %s --repair --since %dh\" takes it in", group->name, group->room[NETWORK_XMPP], since, group->name,
			(int)((now_real_ms() - since_ms) / 3600000 + 2));
}

static json_t *
describe_groups(struct answers *answers, json_t *problems)
{
	const struct list *all = &answers->parts.core->groups.all;
	json_t *groups = json_array();
	struct group *group;

	LIST_FOR_EACH(group, all, struct group, link) {
		AUTO_FREE char *matrix = trouble_of(answers, group, NETWORK_MATRIX), *xmpp = trouble_of(answers, group, NETWORK_XMPP);
		if (matrix)
			answers_add_problem(problems, "%s: not in %s: %s", group->name, group->matrix_wanted, matrix);
		if (xmpp)
			answers_add_problem(problems, "%s: not in %s: %s", group->name, group->room[NETWORK_XMPP], xmpp);
		json_t *object = json_pack("{s:s, s:s, s:s, s:i, s:b, s:s?, s:s?}", "name", group->name, "matrix", group->room[NETWORK_MATRIX], "xmpp",
				group->room[NETWORK_XMPP], "revision", group->revision, "open", !group->rules || rules_is_open(group->rules, now_rules_ms()),
				"matrix_trouble", matrix, "xmpp_trouble", xmpp);
		add_hole(answers, group, problems);
		encryption_describe_group(answers->parts.core, group, object, problems);
		json_array_append_new(groups, object);
	}
	return groups;
}

static json_t *
describe_messages(struct store *store, struct outbox *outbox)
{
	struct outbox_counts counts;
	int64_t oldest_ms = count(store, OUTBOX_OLDEST_HELD);

	outbox_count(outbox, &counts);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "unjudged", (json_int_t)count(store, INBOX_COUNT), "waiting",
			(json_int_t)counts.waiting, "in_flight", (json_int_t)counts.flying, "in_doubt", (json_int_t)counts.tried, "held",
			(json_int_t)counts.held, "held_oldest_s", (json_int_t)(oldest_ms ? (now_rules_ms() - oldest_ms) / 1000 : 0), "quarantined",
			(json_int_t)count(store, QUARANTINE_COUNT));
}

static json_t *
describe_disk(const char *directory, json_t *problems)
{
	struct disk disk;

	if (!disk_look(directory, &disk))
		return json_null();
	if (disk.low_inodes)
		answers_add_problem(problems, "%s: only %" PRId64 " more files fit on its disk", directory, disk.free_inodes);
	if (disk.low)
		answers_add_problem(problems, "%s: only %" PRId64 " MiB are free on its disk", directory, disk.free_bytes >> 20);
	return json_pack("{s:I, s:I}", "free_bytes", (json_int_t)disk.free_bytes, "free_inodes", (json_int_t)disk.free_inodes);
}

static json_t *
tell_status(struct answers *answers, char **words, size_t word_count)
{
	const struct answers_parts *parts = &answers->parts;
	struct store *store = parts->core->store;
	json_t *problems = json_array();
	char now[32];

	(void)words, (void)word_count;
	now_format_utc(now_rules_ms(), now, sizeof(now));
	json_t *matrix = describe_link("Matrix", matrix_connected(parts->matrix), matrix_joined(parts->matrix),
			answers_rooms_wanted(parts->core, NETWORK_MATRIX), matrix_failure(parts->matrix), problems);
	json_t *xmpp = describe_link("XMPP", jabber_connected(parts->jabber), jabber_joined(parts->jabber),
			answers_rooms_wanted(parts->core, NETWORK_XMPP), jabber_failure(parts->jabber), problems);
	json_t *ledger = describe_ledger(store, STATUS_WINDOW);
	int64_t difference = json_integer_value(json_object_get(ledger, "difference"));
	if (difference)
		answers_add_problem(problems, "%" PRId64 " accepted messages are not accounted for: \"sourdine check database\"", difference);
	json_t *groups = describe_groups(answers, problems), *disk = describe_disk(parts->config->state, problems);
	json_t *encryption = encryption_describe(parts->config, parts->core, parts->matrix, problems);
	json_t *document = json_pack("{s:s, s:b, s:I, s:s, s:b, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o}", "version", PACKAGE_VERSION, "ready",
			*parts->ready, "uptime_s", (json_int_t)((now_monotonic_ms() - parts->started_ms) / 1000), "now", now, "test_clock",
			now_is_test_clock(), "matrix", matrix, "xmpp", xmpp, "encryption", encryption, "messages", describe_messages(store, parts->core->outbox),
			"database_bytes", (json_int_t)store_size(store), "disk", disk, "ledger", ledger, "groups", groups);
	if (!*parts->ready)
		answers_add_problem(problems, "the daemon is still starting");
	json_object_set_new(document, "problems", problems);
	return document;
}

/* ---- backup ---- */

static json_t *
tell_backup(struct answers *answers, char **words, size_t word_count)
{
	AUTO_FREE char *path = config_state_file(answers->parts.config, CONTROL_COPY);

	(void)words, (void)word_count;
	if (answers->copy)
		return json_pack("{s:s}", "error", "another backup is being made");
	unlink(path);
	int r = store_copy_begin(&answers->copy, answers->parts.core->store, path);
	if (r)
		return json_pack("{s:s+}", "error", "the database cannot be copied: ", strerror(-r));
	answers->copy_ticket = answers->ticket;
	return NULL;
}

/* Half a megabyte a turn. */
static bool
go_on_copying(struct answers *answers)
{
	int r = answers->copy ? store_copy_step(answers->copy) : 0;

	if (!answers->copy || r == 1)
		return answers->copy != NULL;
	store_copy_end(answers->copy);
	answers->copy = NULL;
	answer(answers, answers->copy_ticket, r ? json_pack("{s:s}", "error", "the database cannot be copied: is the disk full?") :
			json_pack("{s:b}", "copied", true));
	return false;
}

bool
answers_turn(struct answers *answers)
{
	return go_on_copying(answers);
}

/* ---- audit ---- */

static void
add_list(json_t *object, const char *name, const struct audit_list *list)
{
	json_t *ids = json_array();

	for (size_t i = 0; i < list->count && i < AUDIT_IDS_MAX; i++)
		json_array_append_new(ids, json_string(list->ids[i]));
	json_object_set_new(object, name, json_pack("{s:I, s:o}", "count", (json_int_t)list->count, "ids", ids));
}

static json_t *
describe_direction(const struct audit_direction *direction)
{
	json_t *object = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "messages", (json_int_t)direction->messages, "crossed",
			(json_int_t)direction->crossed, "waiting", (json_int_t)direction->waiting, "ended", (json_int_t)direction->ended, "recent",
			(json_int_t)direction->recent, "unknown", (json_int_t)direction->unknown);

	add_list(object, "missing", &direction->missing);
	add_list(object, "lost", &direction->lost);
	add_list(object, "duplicated", &direction->duplicated);
	add_list(object, "out_of_order", &direction->disordered);
	return object;
}

static void
on_audited(void *context, const struct audit_report *report)
{
	struct answers *answers = context;
	json_t *document = report->failure ? json_pack("{s:s}", "error", report->failure) : json_pack("{s:b, s:o, s:o}", "repaired",
			report->repaired, "to_matrix", describe_direction(&report->to[NETWORK_MATRIX]), "to_xmpp",
			describe_direction(&report->to[NETWORK_XMPP]));

	answer(answers, answers->audit_ticket, document);
	audit_end(answers->audit);
	answers->audit = NULL;
}

static json_t *
tell_audit(struct answers *answers, char **words, size_t word_count)
{
	const struct group *group = groups_find(&answers->parts.core->groups, words[0]);
	int64_t since_ms = now_real_ms() - strtoll(words[1], NULL, 10);
	const char *why = "there is no such group";

	(void)word_count;
	if (answers->audit)
		return json_pack("{s:s}", "error", "another audit is under way");
	if (group)
		answers->audit = audit_begin(answers->parts.core, group, since_ms, strcmp(words[2], "1") == 0, on_audited, answers, &why);
	answers->audit_ticket = answers->ticket;
	return answers->audit ? NULL : json_pack("{s:s}", "error", why);
}

/* ---- log ---- */

static json_t *
tell_log(struct answers *answers, char **words, size_t word_count)
{
	json_t *document = log_rows(answers->parts.core->store, words[0], now_rules_ms() - strtoll(words[1], NULL, 10));

	(void)word_count;
	/* One that was parted again has left its log. */
	if (groups_find(&answers->parts.core->groups, words[0]) || json_array_size(json_object_get(document, "rows")))
		return document;
	json_decref(document);
	return json_pack("{s:s}", "error", "there is no such group");
}

/* ---- devices ---- */

static json_t *
tell_devices(struct answers *answers, char **words, size_t word_count)
{
	(void)word_count;
	return encryption_page(answers->parts.core, words[0]);
}

/* ---- verbs ---- */

/* NULL: the answer comes later. */
static const struct {
	const char *verb;
	size_t words; /* that follow it */
	json_t *(*tell)(struct answers *answers, char **words, size_t word_count);
} verbs[] = {
	{ "audit", 3, tell_audit },
	{ "backup", 0, tell_backup },
	{ "devices", 1, tell_devices },
	{ "log", 2, tell_log },
	{ "status", 0, tell_status },
	{ "ledger", 0, tell_ledger },
};

static void
on_request(void *context, uint64_t ticket, const char *request)
{
	struct answers *answers = context;
	char *words[WORDS_MAX] = { NULL }, *at = NULL;
	AUTO_FREE char *copy = xstrdup(request);
	size_t n = 0;

	for (char *word = strtok_r(copy, " ", &at); word && n < WORDS_MAX; word = strtok_r(NULL, " ", &at))
		words[n++] = word;
	for (size_t i = 0; n && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verbs[i].verb, words[0]) == 0 && n - 1 == verbs[i].words) {
			answers->ticket = ticket;
			json_t *document = verbs[i].tell(answers, words + 1, n - 1);
			if (document)
				answer(answers, ticket, document);
			return;
		}
	answer(answers, ticket, json_pack("{s:s}", "error", "the daemon does not know this request: are it and this program of one release?"));
}

int
answers_open(struct answers **out, const struct answers_parts *parts)
{
	struct answers *answers = xcalloc(1, sizeof(*answers));
	AUTO_FREE char *path = config_state_file(parts->config, "control");

	answers->parts = *parts;
	int r = control_open(&answers->control, parts->loop, path, on_request, answers);
	if (r) {
		free(answers);
		return r;
	}
	*out = answers;
	return 0;
}

void
answers_close(struct answers *answers)
{
	if (!answers)
		return;
	store_copy_end(answers->copy);
	audit_end(answers->audit);
	control_close(answers->control);
	free(answers);
}
