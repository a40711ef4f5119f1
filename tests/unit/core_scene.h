/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CORE_SCENE_H
#define TESTS_CORE_SCENE_H

/* The real core between two fake networks. It is Monday, 10:00 in Paris. */

#include "core/core.h"
#include "fake_port.h"
#include "scratch.h"

#include <stdbool.h>

struct scene {
	const char *const (*groups)[3]; /* name, Matrix room or alias, MUC; ends with a NULL name */
	char directory[SCRATCH_SIZE];
	struct store *store;
	struct seal *seal;
	struct core *core;
	struct fake_port matrix, xmpp;
	int next;          /* number of the last message accepted */
	bool crashed;      /* what the next core is told of its predecessor */
	bool stays_silent; /* the next XMPP port answers nothing */
	bool closed;       /* gates stay closed after a start */
	const char *keys;  /* of the next Matrix port */
};

/* `charter`: of the first group, or NULL. The groups are borrowed. The caller's until scene_tear_down(). */
struct scene *scene_new(const char *const (*groups)[3], const char *charter);
/* For cmocka. */
int scene_tear_down(void **state);

/* As after kill -9: nothing that was not committed survives. */
void scene_reopen(struct scene *scene);
/* The archives of all groups have been read, but of those whose room is only an alias. */
void scene_open_gates(struct scene *scene);
void turns(struct scene *scene);
/* A message arrives, as fake_port.h writes it, with the id "idN", and is judged as far as it can be. */
void scene_hear(struct scene *scene, enum network network, const char *room, const char *raw);

#endif
