/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_CHECK_H
#define CLI_CHECK_H

/* What the areas of `sourdine check` share. Each area says its findings; their order is that of the areas' table. */

#include "base/config.h"
#include "base/json.h"
#include "base/mem.h"
#include "matrix/crypto/report.h"
#include "xmpp/jabber.h"

#include <stdbool.h>
#include <stdint.h>

enum level { LEVEL_OK, LEVEL_NOTE, LEVEL_WARN, LEVEL_FAIL };

struct check {
	struct config *config;
	bool with_secret, with_registration; /* both could be read */
	bool rival;      /* another Sourdine answers at our appservice port: its XMPP connection is left alone */
	bool silent;     /* a daemon may run, but its control socket cannot be asked: see check_leave() */
	json_t *daemon;  /* the running daemon's status, or NULL when none runs */
	bool json;       /* collect instead of printing */
	json_t *findings;
	bool failed, unreachable, misconfigured;
};

/* One finding. `fix` may be NULL; never a secret in either. */
void check_say(struct check *check, enum level level, const char *area, const char *fix, const char *format, ...) PRINTF_LIKE(5, 6);

/* Whether what belongs to a daemon that cannot be asked is to be left alone: its database, its port, its connection. Said for the area. */
bool check_leave(struct check *check, const char *area);

/* The areas that have a file of their own. */
void check_machine(struct check *check);
void check_store(struct check *check);
void check_homeserver(struct check *check);
void check_encryption(struct check *check);
void check_xmpp(struct check *check);
void check_rooms(struct check *check);

/* The name of the i-th area; NULL after the last. */
const char *check_area(size_t i);

/* ---- answers that were seen in the wild, ---- */

enum step { STEP_TOKEN, STEP_MASK, STEP_PING, STEP_XMPP, STEP_ROOM };

/* What an answer means; NULL: nobody knows. Its `sentence` is NULL when the answer is one already. */
struct known {
	enum step step;
	const char *needle, *also; /* both stand in the answer; NULL: anything */
	const char *sentence, *fix;
};
const struct known *check_find_known(enum step step, const char *text);

/* ---- one request to the homeserver ---- */

struct check_answer {
	long status; /* 0: nobody answered */
	char *text;  /* owns; the body, or why nobody answered */
	json_t *json; /* owns; NULL when it is none */
	int64_t date_ms; /* the homeserver's clock, whole seconds; 0: it does not say */
};

/* `user` NULL: the appservice itself. Ended by check_answer_fini(). */
struct check_answer check_request(const struct check *check, const char *method, const char *path, const char *user, const char *body);
void check_answer_fini(struct check_answer *answer);
#define AUTO_ANSWER CLEANUP(check_answer_fini)
/* What an unexpected answer comes to, in few words: its error, never its whole body. Lent. */
const char *check_error_of(const struct check_answer *answer);

/* ---- XMPP ---- */

#define CHECK_DETAIL 512
struct jabber_settings check_jabber_settings(const struct config *config);

/* ---- judgements that tests make with made-up facts ---- */

/* What a finding consists of; `fix` NULL: there is nothing to mend. Both static. */
struct check_verdict {
	enum level level;
	const char *sentence, *fix;
};
/* How the homeserver shows a device of ours. */
struct check_verdict check_judge_device(enum report_fault fault);
/*
 * What the homeserver has left of the bot's keys: one-time keys, and whether a fallback key is unused; negative: it did not say.
 * `running`: the daemon runs, and so should have made more of them.
 */
struct check_verdict check_judge_keys(int64_t one_time, int fallback, bool running);
/* Whether our clock and the homeserver's agree well enough; both in milliseconds, the second in whole seconds. */
bool check_clocks_agree(int64_t ours_ms, int64_t theirs_ms);

/* Whether the computer's clock can be right; both in milliseconds. */
bool check_clock_is_possible(int64_t now_ms, int64_t built_ms);
/* Whether this release of SQLite ("3.40.1") has the WAL-reset bug (3.7.0 to 3.51.2, but not 3.44.6 and 3.50.7). */
bool check_sqlite_is_faulty(const char *version);
/* How many files in DIRECTORY/homeserver.yaml and DIRECTORY/conf.d set app_service_config_files: Synapse heeds only the last. */
unsigned check_count_lists(const char *directory);
/* Whether what is sent to this host leaves the machine. */
bool check_is_remote(const char *host);

/* Answers the homeserver's ping in the place of a daemon that does not run; see check_ping.c. 0 or -errno. */
struct check_responder;
int check_responder_open(struct check_responder **out, const struct config *config) MUST_USE;
void check_responder_close(struct check_responder *responder);

#endif
