/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_LOG_H
#define CLI_LOG_H

/* The moderators' log: who changed what of a group, and when. Verbs and numbers, never an argument's text (decisions 4.2). */

#include "base/json.h"
#include "base/mem.h"
#include "store/store.h"

/* {"rows": [{"at_ms", "actor", "verb", "before", "after"}]}, oldest first; at most the newest 5000. The caller's. */
json_t *log_rows(struct store *store, const char *group, int64_t since_ms) MUST_USE;

#endif
