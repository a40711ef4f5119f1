/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_SPEECH_H
#define CORE_SPEECH_H

/* The rules' words in a group's language, through gettext. */

#include "core/core.h"

/* "en" or "fr": for the rules' callback. Valid as long as `language` is. */
struct rules_speech speech_in(const char *language);

/* An instant in the group's zone and language. */
void speech_instant(const struct core *core, const struct group *group, int64_t at_ms, int64_t now_ms, char *out, size_t size);

/* The group's rules, or those of an empty charter, so that zone and calendar can always be asked. Lent. */
const struct rules *speech_rules(const struct group *group);

/* Collects a text of unknown length from a rules_say_... function. malloc'd, the caller's. */
char *speech_hours(const struct core *core, const struct group *group, int64_t now_ms) MUST_USE;
/* What is wrong with a charter, without its place. */
char *speech_complaint(const char *language, const struct complaint *why) MUST_USE;
char *speech_rule_list(const struct core *core, const struct group *group) MUST_USE;
char *speech_why(const struct core *core, const struct group *group, const struct verdict *verdict, int64_t now_ms) MUST_USE;

#endif
