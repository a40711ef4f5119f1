/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_MATRIX_SCENE_H
#define TESTS_MATRIX_SCENE_H

/*
 * The Matrix port and the real core, between a fake homeserver and a fake XMPP network. One group "m": "#m:hs", which leads to
 * "!m:hs", and the MUC "m@rooms.x".
 */

#include "matrix/matrix.h"

#include "base/now.h"
#include "core/core.h"
#include "fake_homeserver.h"
#include "fake_port.h"
#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define ROOM "!m:hs"
#define MUC "m@rooms.x"
#define NOBODY "{\"next_batch\":\"s1\"}"

struct scene {
	char directory[SCRATCH_SIZE], address[64];
	struct loop *loop;
	struct store *store;
	struct seal *seal;
	struct core *core;
	struct port *port;
	struct matrix_settings settings;
	struct fake_port xmpp;
	struct fake_homeserver fake;
	int next;
	int crowd; /* more groups: "#g0:hs"... */
};

/* Turns until `what` holds, five seconds at most. */
#define WAIT(scene, what) WAIT_FOR(scene, 5000, what)
#define WAIT_FOR(scene, ms, what) \
	do { \
		int64_t end_ms_ = now_monotonic_ms() + (ms); \
		while (!(what) && now_monotonic_ms() < end_ms_) \
			assert_int_equal(loop_once((scene)->loop, 5), 0); \
		if (!(what)) \
			fail_msg("never: %s", #what); \
	} while (0)

#define JOINED(scene) WAIT(scene, matrix_joined((scene)->port) == 1)

/* For cmocka. */
int scene_set_up(void **state);
int scene_tear_down(void **state);

void scene_open(struct scene *scene);
/* As SIGKILL: nothing is committed any more. */
void scene_close(struct scene *scene);
/* Turns for that long. */
void scene_spin(struct scene *scene, int ms);

/* A message arrives from XMPP: lines of person, name, text. */
void scene_hear(struct scene *scene, const char *raw);
/* Messages that the homeserver was asked to send. */
int scene_sends(const struct scene *scene);
bool scene_is_quiet(struct scene *scene);

/* The homeserver pushes a transaction; its status. `events` without the brackets around them. */
unsigned scene_push(struct scene *scene, const char *events);
unsigned scene_push_body(struct scene *scene, const char *number, const char *body, size_t size);
/* A message event. malloc'd. */
char *scene_message(const char *id, const char *sender, const char *room, const char *body) MUST_USE;
/* Somebody's membership changes; the status of the push. */
unsigned scene_member(struct scene *scene, const char *id, const char *sender, const char *subject, const char *membership);
unsigned scene_say(struct scene *scene, const char *id, const char *sender, const char *room, const char *body);

#endif
