/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FAKE_HOMESERVER_H
#define TESTS_FAKE_HOMESERVER_H

/*
 * A homeserver in the test's own loop: it remembers what it was asked, answers as a friendly one would, and can be told to
 * answer otherwise, to die and to come back. Each alias "#x:hs" leads to the room "!x:hs"; one direct room "!d:hs".
 */

#include "base/list.h"
#include "base/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_ASKED_MAX 8000
#define FAKE_RULES_MAX 16
#define FAKE_RAW (-1) /* as status: the body is all that is written, and then the connection is closed */

struct fake_asked {
	char method[8];
	char path[600];  /* percent-decoded */
	char *body;      /* owned */
	bool authorised;
};

struct fake_rule {
	const char *method, *part; /* of the path */
	int status;
	const char *body;
	int times;
	const char *headers; /* more of them, each with its line end, or NULL */
};

struct fake_homeserver {
	struct loop *loop;
	int fd;
	uint16_t port;
	struct loop_source *source;
	struct list connections;
	struct fake_asked asked[FAKE_ASKED_MAX];
	int count;
	int open, most_open; /* connections */
	struct fake_rule rules[FAKE_RULES_MAX];
	const char *archive;  /* answer to /messages */
	const char *archive_of_one; /* answer to /messages for one sender only, or NULL */
	const char *joined;   /* answer to /joined_rooms */
	const char *encryption; /* the event m.room.encryption of every room, or NULL: none has any */
	const char *members;  /* answer to /members */
	const char *invited;  /* answer to the first /sync */
};

/* Listens on a free port of 127.0.0.1, or on `port` again after fake_homeserver_die(). */
void fake_homeserver_start(struct fake_homeserver *fake, struct loop *loop);
/* Closes everything at once, as SIGKILL does. */
void fake_homeserver_die(struct fake_homeserver *fake);
void fake_homeserver_fini(struct fake_homeserver *fake);

/* The next `times` requests (-1: all) whose path contains `part` get this; `body` NULL: no answer at all. */
struct fake_rule *fake_homeserver_say(struct fake_homeserver *fake, const char *method, const char *part, int status, const char *body, int times);
/* How often something was asked, from request number `from` on. */
int fake_homeserver_count(const struct fake_homeserver *fake, int from, const char *method, const char *part);
/* The nth (0: first) such request, or NULL. */
const struct fake_asked *fake_homeserver_find(const struct fake_homeserver *fake, int from, const char *method, const char *part, int nth);

#endif
