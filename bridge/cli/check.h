/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_CHECK_H
#define CLI_CHECK_H

/* What the areas of `sourdine check` share. Each area says its findings; their order is that of the areas' table. */

#include "base/config.h"
#include "base/json.h"
#include "base/mem.h"

#include <stdbool.h>

enum level { LEVEL_OK, LEVEL_WARN, LEVEL_FAIL };

struct check {
	struct config *config;
	bool with_secret, with_registration; /* both could be read */
	json_t *daemon;  /* the running daemon's status, or NULL when none runs */
	bool json;       /* collect instead of printing */
	json_t *findings;
	bool failed, unreachable, misconfigured;
};

/* One finding. `fix` may be NULL; never a secret in either. */
void check_say(struct check *check, enum level level, const char *area, const char *fix, const char *format, ...) PRINTF_LIKE(5, 6);

void check_homeserver(struct check *check);
void check_xmpp(struct check *check);
void check_rooms(struct check *check);

/* Answers the homeserver's ping in the place of a daemon that does not run; see check_ping.c. 0 or -errno. */
struct check_responder;
int check_responder_open(struct check_responder **out, const struct config *config) MUST_USE;
void check_responder_close(struct check_responder *responder);

#endif
