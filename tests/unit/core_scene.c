/* SPDX-License-Identifier: Apache-2.0 */
/* Everything real but the two networks. */
#include "core_scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void
turns(struct scene *scene)
{
	for (int i = 0; i < 50 && core_turn(scene->core); i++)
		;
	core_turn(scene->core);
}

void
scene_open_gates(struct scene *scene)
{
	for (size_t i = 0; scene->groups[i][0]; i++) {
		if (scene->groups[i][1][0] != '!')
			continue;
		inbox_open_gate(scene->core->inbox, scene->groups[i][1], NULL, 0, NULL, 0);
		inbox_open_gate(scene->core->inbox, scene->groups[i][2], NULL, 0, NULL, 0);
	}
	turns(scene);
}

static void
open_core(struct scene *scene)
{
	AUTO_FREE char *charters = xasprintf("%s/charters", scene->directory);
	struct core_settings settings = {
		.language = "en", .matrix_bot = "@sourdine:hs", .nick = "Sourdine", .xmpp_bot = "bot@c.x", .charters = charters,
		.crashed = scene->crashed,
	};
	char why[256];

	scratch_open(scene->directory, "master.key", &scene->store, &scene->seal);
	scene->core = core_open(scene->store, scene->seal, &settings);
	for (size_t i = 0; scene->groups[i][0]; i++)
		groups_add(&scene->core->groups, scene->groups[i][0], scene->groups[i][1], scene->groups[i][2], false);
	fake_port_init(&scene->matrix, NETWORK_MATRIX);
	fake_port_init(&scene->xmpp, NETWORK_XMPP);
	scene->xmpp.answers = !scene->stays_silent;
	scene->matrix.keys = scene->keys;
	scene->matrix.core = scene->xmpp.core = scene->core;
	scene->core->port[NETWORK_MATRIX] = &scene->matrix.port;
	scene->core->port[NETWORK_XMPP] = &scene->xmpp.port;
	assert_int_equal(core_start(scene->core, why, sizeof(why)), 0);
	turns(scene);
	if (!scene->closed)
		scene_open_gates(scene);
}

static void
close_core(struct scene *scene)
{
	core_close(scene->core);
	store_close(scene->store);
	seal_close(scene->seal);
	fake_port_fini(&scene->matrix);
	fake_port_fini(&scene->xmpp);
}

void
scene_reopen(struct scene *scene)
{
	close_core(scene);
	open_core(scene);
}

struct scene *
scene_new(const char *const (*groups)[3], const char *charter)
{
	struct scene *scene = xcalloc(1, sizeof(*scene));
	AUTO_FREE char *name = xasprintf("charters/%s.charter", groups[0][0]);

	scene->groups = groups;
	scratch_make(scene->directory);
	if (charter)
		scratch_write(scene->directory, name, charter);
	scratch_set_clock(scene->directory, "2026-11-23T09:00:00Z");
	open_core(scene);
	return scene;
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

void
scene_hear(struct scene *scene, enum network network, const char *room, const char *raw)
{
	char id[32];

	snprintf(id, sizeof(id), "id%d", ++scene->next);
	assert_int_equal(inbox_accept(scene->core->inbox, network, room, id, raw, strlen(raw)), 0);
	turns(scene);
}
