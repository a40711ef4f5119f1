/* SPDX-License-Identifier: Apache-2.0 */
/* The audit's judgement: two fake archives against a journal that two fake networks have made. */
#include "core/audit.h"

#include "base/now.h"
#include "core_scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM "!m:hs"
#define MUC "m@rooms.x"

static struct archived shown[2][16]; /* by network */
static size_t shown_count[2];
static const char *failure;
static const struct archive_reader *pending; /* of XMPP: answered later */
static int reports;
static struct audit *audit;
static struct audit_report seen;
static char lost[64], missing[64], duplicated[64], disordered[64];

static void
show(enum network network, const struct archive_reader *reader)
{
	for (size_t i = 0; i < shown_count[network]; i++)
		reader->each(reader->context, &shown[network][i]);
	reader->done(reader->context, network == NETWORK_XMPP ? failure : NULL);
}

static void
read_matrix(struct port *port, const char *room, const struct archive_reader *reader)
{
	(void)port;
	assert_string_equal(room, ROOM);
	show(NETWORK_MATRIX, reader);
}

static void
read_xmpp(struct port *port, const char *room, const struct archive_reader *reader)
{
	(void)port;
	assert_string_equal(room, MUC);
	pending = reader;
}

static void
on_report(void *context, const struct audit_report *report)
{
	const struct audit_direction *to = &report->to[NETWORK_MATRIX];

	(void)context;
	reports++;
	seen = *report;
	snprintf(lost, sizeof(lost), "%s", to->lost.count ? to->lost.ids[0] : "");
	snprintf(missing, sizeof(missing), "%s", to->missing.count ? to->missing.ids[0] : "");
	snprintf(duplicated, sizeof(duplicated), "%s", to->duplicated.count ? to->duplicated.ids[0] : "");
	snprintf(disordered, sizeof(disordered), "%s", to->disordered.count ? to->disordered.ids[0] : "");
	audit_end(audit);
}

static int
set_up(void **state)
{
	static const char *const groups[][3] = { { "marketing", ROOM, MUC }, { NULL, NULL, NULL } };
	struct scene *scene = scene_new(groups, NULL);

	scene->matrix.ops.read_archive = read_matrix;
	scene->xmpp.ops.read_archive = read_xmpp;
	*state = scene;
	failure = NULL;
	pending = NULL;
	reports = 0;
	shown_count[0] = shown_count[1] = 0;
	return 0;
}

static void
say(struct scene *scene, const char *id)
{
	static const char raw[] = "xmpp:bob@x\nBob\nhello\n";

	assert_int_equal(inbox_accept(scene->core->inbox, NETWORK_XMPP, MUC, id, raw, strlen(raw)), 0);
	turns(scene);
}

static void
put(enum network network, const char *id, const char *name, bool missing_too)
{
	shown[network][shown_count[network]++] = (struct archived){
		.id = id, .name = name, .at_ms = now_real_ms() - 60000, .own = *name != '\0', .missing = missing_too,
	};
}

static void
begin(struct scene *scene, bool repair)
{
	const char *why = NULL;

	audit = audit_begin(scene->core, groups_find(&scene->core->groups, "marketing"), 0, repair, on_report, NULL, &why);
	assert_non_null(audit);
}

static void
test_every_fault(void **state)
{
	struct scene *scene = *state;
	char ids[4][32], names[4][64];
	static const char *const said[] = { "x1", "x2", "x3", "x4" };

	for (int i = 0; i < 4; i++) {
		say(scene, said[i]);
		const struct fake_row *row = fake_port_last(&scene->matrix);
		snprintf(ids[i], sizeof(ids[i]), "r%lld", (long long)row->id);
		snprintf(names[i], sizeof(names[i]), "%s", row->name);
		put(NETWORK_XMPP, said[i], "", false);
	}
	put(NETWORK_XMPP, "x9", "", true);
	put(NETWORK_XMPP, "x10", "", false);
	shown[NETWORK_XMPP][5].at_ms = now_real_ms();
	put(NETWORK_MATRIX, ids[0], names[0], false);
	put(NETWORK_MATRIX, "again", names[0], false);
	put(NETWORK_MATRIX, ids[2], names[2], false);
	put(NETWORK_MATRIX, ids[1], names[1], false);
	put(NETWORK_MATRIX, "strange", "a-name-that-nobody-made-up-before", false);
	begin(scene, true);
	assert_int_equal(reports, 0);
	show(NETWORK_XMPP, pending);
	assert_int_equal(reports, 1);
	assert_null(seen.failure);
	assert_true(seen.repaired);
	const struct audit_direction *to = &seen.to[NETWORK_MATRIX];
	assert_int_equal(to->messages, 6);
	assert_int_equal(to->crossed, 3);
	assert_int_equal(to->recent, 1);
	assert_int_equal(to->missing.count, 1);
	assert_string_equal(missing, "x9");
	assert_int_equal(to->lost.count, 1);
	assert_string_equal(lost, "x4");
	assert_int_equal(to->duplicated.count, 1);
	assert_string_equal(duplicated, "again");
	assert_int_equal(to->disordered.count, 1);
	assert_string_equal(disordered, ids[1]);
	assert_int_equal(to->unknown, 1);
	assert_int_equal(seen.to[NETWORK_XMPP].messages, 0);
}

static void
test_an_archive_that_cannot_be_read(void **state)
{
	failure = "no archive";
	begin(*state, false);
	show(NETWORK_XMPP, pending);
	assert_int_equal(reports, 1);
	assert_string_equal(seen.failure, "no archive");
}

/* Both fail within the call: nobody is told later. */
static void
test_nothing_to_read(void **state)
{
	struct scene *scene = *state;
	const char *why = NULL;

	scene->xmpp.ops.read_archive = NULL;
	assert_null(audit_begin(scene->core, groups_find(&scene->core->groups, "marketing"), 0, false, on_report, NULL, &why));
	assert_non_null(why);
	assert_int_equal(reports, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_fault, set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(test_an_archive_that_cannot_be_read, set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(test_nothing_to_read, set_up, scene_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
