/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_PLUMB_SCENE_H
#define TESTS_PLUMB_SCENE_H

/*
 * A core between two fake networks with rooms that can be entered, left and moderated, without a group that joins them: Alice
 * moderates ROOM, Bob MUC. The monotonic clock stands still but for wait_a_while(): link with -Wl,--wrap=now_monotonic_ms.
 */

#include "core/core.h"
#include "fake_port.h"
#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ROOM "!m:hs"
#define ALIAS "#marketing:hs"
#define MUC "marketing@rooms.x"
#define ALICE "@alice:hs"
#define BOB "xmpp:bob@x"

/* A network that lets the bot in, or does not, and knows one moderator. */
struct side {
	struct fake_port fake; /* first: the core sees its port */
	const char *moderator; /* NULL: nobody */
	bool blind;            /* sees no rights */
	bool silent;           /* answers nothing when it is to enter */
	bool refuses;
	enum refusal why;
	const char *detail;
	const char *leads_to;  /* where an alias leads */
	bool stays;            /* does not leave when it is told to */
	int entered, left;
	/* As the fake port has it. */
	void (*read)(struct port *port, const char *room, const char *raw, size_t size, struct arena *arena, struct incoming *out);
};

struct scene {
	char directory[SCRATCH_SIZE], charters[96];
	struct store *store;
	struct seal *seal;
	struct core *core;
	struct side matrix, xmpp;
	bool configured; /* a group of the configuration has the MUC */
	int next;
};

int scene_set_up(void **state);
int scene_tear_down(void **state);
/* As after kill -9. */
void scene_reopen(struct scene *scene);
/* As a port does when its server takes it: every room that there is. */
void scene_arrive(struct scene *scene);

void turns(struct scene *scene);
/* Long enough for whatever looks now and then. */
void wait_a_while(struct scene *scene, int64_t ms);

/* The port's enter(). */
void side_enter(struct port *port, struct group *group);

/* A row of the inbox, not yet judged; `flags` as fake_port.h has them, and "of ROOM", "at MILLISECONDS". */
void accept_row(struct scene *scene, enum network network, const char *room, const char *person, const char *text, const char *flags);
void alice_says(struct scene *scene, const char *text);
void bob_says(struct scene *scene, const char *text);

int count_said(const struct side *side, const char *text);
bool said(const struct side *side, const char *text);
/* The code that was told last. */
void take_code(const struct side *side, char out[16]);
void confirm(struct scene *scene, struct side *told, void (*says)(struct scene *scene, const char *text));

/* The group of ROOM and MUC, or NULL. */
struct group *plumbed(struct scene *scene);
bool is_visited(struct scene *scene, const char *room);
/* Alice invites the bot into ROOM. */
void invite(struct scene *scene);
/* She asks, Bob confirms. */
void join(struct scene *scene);

#endif
