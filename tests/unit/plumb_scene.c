/* SPDX-License-Identifier: Apache-2.0 */
/* Two fake networks whose rooms the bot may enter, or not. */
#include "plumb_scene.h"

#include "base/log.h"
#include "base/now.h"
#include "core/plumb_open.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int64_t monotonic_ms = 1000000;

int64_t __wrap_now_monotonic_ms(void);

int64_t
__wrap_now_monotonic_ms(void)
{
	return monotonic_ms;
}

/* ---- the fake network's rooms ---- */

void
side_enter(struct port *port, struct group *group)
{
	struct side *side = (struct side *)port;
	struct core *core = side->fake.core;
	enum network network = port->ops->network;

	side->entered++;
	if (side->refuses)
		plumb_refused(core->plumb, group, network, side->why, side->detail);
	if (side->silent || side->refuses)
		return;
	if (network == NETWORK_MATRIX && *group->matrix_wanted == '#')
		groups_set_room(group, network, side->leads_to);
	inbox_open_gate(core->inbox, group->room[network], NULL, 0, NULL, 0);
	plumb_entered(core->plumb, group, network);
}

static void
side_leave(struct port *port, struct group *group)
{
	struct side *side = (struct side *)port;

	side->left++;
	if (!side->stays)
		plumb_left(side->fake.core->plumb, group, port->ops->network);
}

static void
side_rights(struct port *port, const char *room, const char *person, struct rights *out)
{
	const struct side *side = (struct side *)port;

	(void)room;
	*out = (struct rights){ .known = !side->blind, .moderator = side->moderator && strcmp(person, side->moderator) == 0 };
}

/* With flags of ours. */
static void
side_read(struct port *port, const char *room, const char *raw, size_t size, struct arena *arena, struct incoming *out)
{
	struct side *side = (struct side *)port;
	const char *at = strstr(raw, "\nat ");

	side->read(port, room, raw, size, arena, out);
	if (at)
		out->origin_ms = strtoll(at + 4, NULL, 10);
	if (strstr(raw, "\nof "))
		out->direct_room = arena_copy(arena, strstr(raw, "\nof ") + 4);
}

/* ---- the scene ---- */

void
turns(struct scene *scene)
{
	for (int i = 0; i < 50 && core_turn(scene->core); i++)
		;
	core_turn(scene->core);
}

/* Long enough for whatever looks now and then. */
void
wait_a_while(struct scene *scene, int64_t ms)
{
	monotonic_ms += ms;
	turns(scene);
}

static void
open_side(struct scene *scene, struct side *side, enum network network)
{
	fake_port_init(&side->fake, network);
	side->read = side->fake.ops.read;
	side->fake.ops.read = side_read;
	side->fake.ops.enter = side_enter;
	side->fake.ops.leave = side_leave;
	side->fake.ops.rights = side_rights;
	side->fake.core = scene->core;
	side->entered = side->left = 0;
	scene->core->port[network] = &side->fake.port;
}

/* As a port does when its server takes it: every room that there is. */
void
scene_arrive(struct scene *scene)
{
	struct list *const lists[] = { &scene->core->groups.all, &scene->core->groups.visits };
	struct group *group;

	for (size_t i = 0; i < 2; i++) {
		LIST_FOR_EACH(group, lists[i], struct group, link) {
			if (group->matrix_wanted)
				side_enter(&scene->matrix.fake.port, group);
			if (*group->room[NETWORK_XMPP])
				side_enter(&scene->xmpp.fake.port, group);
		}
	}
	turns(scene);
}

static void
open_core(struct scene *scene)
{
	char why[256];

	scratch_open(scene->directory, "master.key", &scene->store, &scene->seal);
	struct core_settings settings = {
		.language = "en", .matrix_bot = "@sourdine:hs", .nick = "Sourdine", .xmpp_bot = "bot@c.x", .charters = scene->charters,
	};
	scene->core = core_open(scene->store, scene->seal, &settings);
	groups_add(&scene->core->groups, "wired", "!wired:hs", scene->configured ? MUC : "wired@rooms.x", false);
	open_side(scene, &scene->matrix, NETWORK_MATRIX);
	open_side(scene, &scene->xmpp, NETWORK_XMPP);
	assert_int_equal(core_start(scene->core, why, sizeof(why)), 0);
	scene_arrive(scene);
}

static void
close_core(struct scene *scene)
{
	core_close(scene->core);
	store_close(scene->store);
	seal_close(scene->seal);
	fake_port_fini(&scene->matrix.fake);
	fake_port_fini(&scene->xmpp.fake);
}

/* As after kill -9. */
void
scene_reopen(struct scene *scene)
{
	close_core(scene);
	open_core(scene);
}

int
scene_set_up(void **state)
{
	struct scene *scene = xcalloc(1, sizeof(*scene));

	log_register(scratch_drop_line);
	scratch_make(scene->directory);
	snprintf(scene->charters, sizeof(scene->charters), "%s/charters", scene->directory);
	mkdir(scene->charters, 0700);
	scratch_set_clock(scene->directory, "2026-11-23T09:00:00Z");
	scene->matrix.moderator = ALICE;
	scene->matrix.leads_to = ROOM;
	scene->xmpp.moderator = BOB;
	open_core(scene);
	*state = scene;
	return 0;
}

int
scene_tear_down(void **state)
{
	struct scene *scene = *state;

	close_core(scene);
	scratch_remove(scene->directory);
	free(scene);
	return 0;
}

/* ---- talking ---- */

void
accept_row(struct scene *scene, enum network network, const char *room, const char *person, const char *text, const char *flags)
{
	AUTO_FREE char *raw = xasprintf("%s\n%s\n%s\n%s", person, person, text, flags);
	char id[32];

	snprintf(id, sizeof(id), "id%d", ++scene->next);
	assert_int_equal(inbox_accept(scene->core->inbox, network, room, id, raw, strlen(raw)), 0);
}

void
alice_says(struct scene *scene, const char *text)
{
	accept_row(scene, NETWORK_MATRIX, ROOM, ALICE, text, scene->matrix.moderator ? "moderator" : "");
	turns(scene);
}

void
bob_says(struct scene *scene, const char *text)
{
	accept_row(scene, NETWORK_XMPP, MUC, BOB, text, scene->xmpp.moderator ? "moderator" : "");
	turns(scene);
}

int
count_said(const struct side *side, const char *text)
{
	int count = 0;

	for (int i = 0; i < side->fake.count && i < FAKE_MAX; i++)
		count += strstr(side->fake.rows[i].payload, text) != NULL;
	return count;
}

bool
said(const struct side *side, const char *text)
{
	return count_said(side, text) > 0;
}

/* The code that was told last; what it is told with is checked too. */
void
take_code(const struct side *side, char out[16])
{
	const char *at = NULL;

	for (int i = 0; i < side->fake.count; i++) {
		const char *found = strstr(side->fake.rows[i].payload, "!sd confirm ");
		at = found ? found : at;
	}
	assert_non_null(at);
	snprintf(out, 9, "%s", at + strlen("!sd confirm "));
	assert_int_equal(strlen(out), 8);
}

void
confirm(struct scene *scene, struct side *told, void (*says)(struct scene *scene, const char *text))
{
	char code[16];

	take_code(told, code);
	AUTO_FREE char *text = xasprintf("!sd confirm %s", code);
	says(scene, text);
}

struct group *
plumbed(struct scene *scene)
{
	struct group *group = groups_of_room(&scene->core->groups, ROOM);

	return group && group->kind == GROUP_PLUMBED && strcmp(group->room[NETWORK_XMPP], MUC) == 0 ? group : NULL;
}

bool
is_visited(struct scene *scene, const char *room)
{
	const struct group *group = groups_of_room(&scene->core->groups, room);

	return group && group->kind == GROUP_VISIT;
}

void
invite(struct scene *scene)
{
	struct group *group = plumb_invited(scene->core->plumb, NETWORK_MATRIX, ROOM, ALICE);

	assert_non_null(group);
	side_enter(&scene->matrix.fake.port, group);
	turns(scene);
}

void
join(struct scene *scene)
{
	invite(scene);
	alice_says(scene, "!sd plumb " MUC);
	confirm(scene, &scene->matrix, bob_says);
	assert_non_null(plumbed(scene));
}
