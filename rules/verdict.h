/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RULES_VERDICT_H
#define RULES_VERDICT_H

/*
 * What the rules decide, and why. A verdict owns nothing and points nowhere: it
 * is plain data that the store can keep and that outlives the rule set.
 */

#include "limits.h"
#include "message.h"

#include <stdbool.h>
#include <stdint.h>

enum stage {
	STAGE_ADMISSION,
	STAGE_ROUTING,
	STAGE_TIMING,
	STAGE_COUNT,
};

/* In order of strictness within a stage: a later one is stricter. */
enum action {
	ACTION_PASS,    /* admission: let in */
	ACTION_REJECT,  /* admission: refused, the sender is told why */
	ACTION_HERE,    /* routing: stays in its group */
	ACTION_COPY,    /* routing: also to `target` */
	ACTION_SUGGEST, /* routing: stays, its author is shown `target` */
	ACTION_MOVE,    /* routing: only to `target` */
	ACTION_DELIVER, /* timing: at once */
	ACTION_DIGEST,  /* timing: at `due_ms`, inside a digest */
	ACTION_HOLD,    /* timing: at `due_ms`, in full */
};

/* The inputs that mattered, for the explanation. Never text. */
enum input {
	INPUT_CLOSED = 1 << 0,    /* the group's calendar said closed */
	INPUT_TAG = 1 << 1,       /* a tag matched */
	INPUT_TOPIC = 1 << 2,     /* a topic matched */
	INPUT_WORD = 1 << 3,      /* a word matched */
	INPUT_KIND = 1 << 4,      /* the kind matched */
	INPUT_AUTOMATED = 1 << 5, /* an automated sender */
};

/* What one stage answered: number 0 and name "" when no rule matched. */
struct stage_verdict {
	enum action action;
	int rule;
	char name[RULES_NAME_MAX + 1];
	unsigned inputs; /* of enum input */
};

struct verdict {
	struct stage_verdict stage[STAGE_COUNT];
	/* Per stage the first rule that matched without effect (`state observe`, `continue`): number 0 when none did. */
	struct stage_verdict observed[STAGE_COUNT];
	char target[RULES_NAME_MAX + 1]; /* group name of copy, move, suggest; else "" */
	char reason[RULES_NAME_MAX + 1]; /* of reject; else "" */
	bool notice;                     /* the sender is told of the hold */
	int64_t now_ms;                  /* the one clock sample, ms since the epoch, UTC */
	int64_t due_ms;                  /* now_ms for ACTION_DELIVER, unless the bridge makes it wait for the message that it answers */
	int64_t period_ms;               /* when the current closed period began; 0 when open */
};

#endif
