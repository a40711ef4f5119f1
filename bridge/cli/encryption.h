/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_ENCRYPTION_H
#define CLI_ENCRYPTION_H

/* What `status`, `check` and `fingerprints` say of encryption: the daemon tells it, or it is read from the database of a stopped one. */

#include "base/config.h"
#include "base/json.h"
#include "core/core.h"
#include "matrix/crypto/report.h"

#include <stdbool.h>

/* ---- in the daemon ---- */

/* The member "encryption" of the status. What is wrong becomes a sentence each in `problems`. The caller's. */
json_t *encryption_describe(const struct config *config, struct core *core, struct port *matrix, json_t *problems) MUST_USE;

/*
 * What is said of one group, set in `object`: "encrypted" (null: not known yet), "consent" (a word, see consent.h) and "consent_by",
 * "trust", "waiting_for_keys". What stops it becomes a problem.
 */
void encryption_describe_group(struct core *core, const struct group *group, json_t *object, json_t *problems);

/* {"devices", "generation"}: a page of our devices, of users after `after` ("-": from the first on). */
json_t *encryption_page(const struct core *core, const char *after) MUST_USE;

/* ---- outside of it ---- */

struct encryption_facts {
	bool running;        /* the daemon told them; else they stand in the database */
	enum report_key key; /* while it runs, GOOD or UNUSED */
	bool opens;          /* the secret keys of the bot's device can be read */
	json_t *devices;     /* owns; as report_devices() gives them, all */
	int64_t generation;
};

/* 0 (a database that was never made has no devices), or -1 and a sentence in `why`. Ended by encryption_facts_fini() in either case. */
int encryption_learn(const struct config *config, struct encryption_facts *out, char *why, size_t size) MUST_USE;
void encryption_facts_fini(struct encryption_facts *facts);
#define AUTO_FACTS CLEANUP(encryption_facts_fini)
/* The device of a user; NULL when he has none. Lent. */
const json_t *encryption_device_of(const struct encryption_facts *facts, const char *user);

#endif
