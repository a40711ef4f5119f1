/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RULES_LIMITS_H
#define RULES_LIMITS_H

/* Every maximum of the rules, in one place. Exceeding one is a complaint with its place, never a crash. */

#define RULES_TEXT_MAX (256 * 1024) /* bytes of one charter */
#define RULES_NAME_MAX 63           /* bytes of a group, rule, topic or reason name */
#define RULES_RULES_MAX 200         /* rules of one group */
#define RULES_CONDITIONS_MAX 32     /* nodes of one condition */
#define RULES_DEPTH_MAX 8           /* nesting of round brackets */
#define RULES_WORDS_MAX 64          /* words of one list */
#define RULES_WINDOWS_MAX 8         /* windows of hours in one line */
#define RULES_SLOTS_MAX 8           /* digest times in one line */
#define RULES_CLOSED_MAX 64         /* closed periods of one group */
#define RULES_STRING_MAX 255         /* bytes of one quoted string */
#define RULES_PATTERNS_MAX 4096      /* different words and tags of one charter */
#define RULES_TOPICS_MAX 200         /* topics of one group */
#define RULES_MEMBERS_MAX 2000       /* member blocks of one charter */
#define RULES_BOTS_MAX 200           /* senders listed as automated */
#define RULES_WEEK_MAX 64            /* windows of hours of one group, all its lines together */
#define RULES_SETTLE_MS (120 * 1000) /* a digest holds what was there so long before its slot: people fix typing errors (etiquette 8.3) */
#define RULES_HORIZON_DAYS 400      /* how far next-opening looks ahead */

#endif
