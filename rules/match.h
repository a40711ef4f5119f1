/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RULES_MATCH_H
#define RULES_MATCH_H

/* Whether a condition holds for one message at one instant. */

#include "syntax.h"

#include <stdbool.h>
#include <stdint.h>

/* One evaluation. What is dear to know (the calendar, the words of the text) is found out at most once. */
struct match {
	const struct rules *rules;
	const struct message *message;
	const struct facts *facts;
	int64_t now_ms;
	struct words_found found;
	bool open, open_known, found_known, announcement, announcement_known;
};

void match_init(struct match *match, const struct rules *rules, const struct message *message,
		const struct facts *facts, int64_t now_ms);

/* Whether the condition holds; *inputs gets the inputs (enum input) that made it hold, 0 when it does not. */
bool match_condition(struct match *match, const struct condition *condition, unsigned *inputs);

#endif
