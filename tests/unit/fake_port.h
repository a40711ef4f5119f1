/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FAKE_PORT_H
#define TESTS_FAKE_PORT_H

/*
 * A network that remembers what it was given. Its raw format is lines: person, name, text, and optional flags
 * ("moderator", "direct", "archive", "reply ID", "withdraws ID", "needs X": only read when `keys` holds the letter X), so that a test can
 * read what it sends.
 */

#include "core/core.h"

#define FAKE_MAX 512

struct fake_row {
	int64_t id;
	char lane[128], name[64], author[128];
	char *payload; /* owned by the port */
	bool tried;
};

struct fake_port {
	struct port port; /* first: the core sees this */
	struct port_ops ops;
	struct fake_row rows[FAKE_MAX]; /* everything sent, in order */
	int count;
	int stamped; /* rendered with the instant of their writing */
	unsigned window;    /* what ready() answers */
	size_t part;        /* bytes that fit */
	bool answers;       /* settles at once, with the remote id "r<id>" */
	int resets;
	const char *keys;   /* NULL: none */
	const struct author *author; /* of what is read, when its format cannot say it; or NULL */
	enum incoming_kind without; /* what a message is whose key is not there */
	struct core *core;
};

void fake_port_init(struct fake_port *fake, enum network network);
void fake_port_fini(struct fake_port *fake);

/* The last row sent, or NULL. */
const struct fake_row *fake_port_last(const struct fake_port *fake);
/* How many rows of this lane were sent. */
int fake_port_count(const struct fake_port *fake, const char *lane);

#endif
