/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RULES_SYNTAX_H
#define RULES_SYNTAX_H

/*
 * A parsed charter. Built by parse.c and what is called after it, read by everybody else,
 * never changed afterwards but for the two borrowed pointers. Every string and
 * array below belongs to struct memory of the struct rules.
 */

#include "rules.h"
#include "words.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum holidays {
	HOLIDAYS_UNSET,
	HOLIDAYS_NONE,
	HOLIDAYS_FR,
	HOLIDAYS_FR_ALSACE_MOSELLE,
};

/* Opening hours of some weekdays. Ends on the next day when end <= start. */
struct window {
	unsigned days;  /* bit 0 Monday .. bit 6 Sunday: the days on which it starts */
	int start, end; /* minutes after local midnight, 0..1440 */
};

struct closure {
	int64_t first, last; /* days since 1970-01-01, both closed */
	const char *text;    /* or NULL */
};

struct slots {
	bool set;
	unsigned days;
	size_t count;
	int minute[RULES_SLOTS_MAX];
};

enum condition_kind {
	CONDITION_ALL, /* of its children */
	CONDITION_ANY,
	CONDITION_NOT,
	CONDITION_CLOSED,
	CONDITION_OPEN,
	CONDITION_TAG,
	CONDITION_TOPIC,
	CONDITION_WORD,
	CONDITION_KIND,
	CONDITION_AUTOMATED,
};

enum kind {
	KIND_ANNOUNCE,
	KIND_DECISION,
};

/* One word or tag to look for: as written, and its id in struct words. */
struct pattern {
	const char *text;
	bool tag;
	int id;
};

struct topic {
	const char *name;
	struct pattern *patterns;
	size_t count;
	const char *target; /* group name or NULL */
};

struct condition {
	enum condition_kind type;
	struct condition *child, *next; /* first child; next sibling */
	struct pattern *patterns;       /* of TAG and WORD */
	size_t count;
	const struct topic *topic; /* of TOPIC */
	enum kind kind;            /* of KIND */
};

enum rule_state {
	RULE_ON,
	RULE_OBSERVE,
	RULE_OFF,
};

struct rule {
	enum stage stage;
	int number;
	int line, column; /* where it stands */
	const char *name;
	const struct condition *when;
	bool unless_moderator;
	enum action action;
	const char *target, *reason; /* or NULL */
	bool notice;
	bool continues; /* a side-effect rule: noted, without effect */
	enum rule_state state;
	int64_t until; /* last local day (since 1970-01-01) of `state`, then on; INT64_MAX: for ever */
};

struct block {
	bool present;
	const char *name;          /* of a group, else NULL */
	const char *tz, *language; /* or NULL */
	bool hours_set;            /* "always" sets it and leaves no window */
	struct window windows[RULES_WEEK_MAX];
	size_t window_count;
	enum holidays holidays;
	struct closure closures[RULES_CLOSED_MAX];
	size_t closure_count;
	struct slots slots;
	struct topic *topics;
	size_t topic_count;
	const char **bots;
	size_t bot_count;
	struct rule **rules; /* sorted by stage and number */
	size_t rule_count;
};

struct member {
	const char *person;
	bool live; /* the mode that everybody has until he asks for another */
};

struct memory; /* one allocation of many, freed together */

struct rules {
	struct block site, group;
	struct member *members;
	size_t member_count;
	struct words *words;      /* owned */
	struct memory *memory;    /* owned */
	const struct zone *zone;  /* borrowed, NULL is UTC */
	const struct rules *lent; /* borrowed, gives its site block; or NULL */
};

/* Zeroed memory that lives as long as `rules`, aligned for any object here; NULL when there is none. */
void *syntax_keep(struct rules *rules, size_t size);

/* The site block that governs: our own, else the lent one; one that is not present when there is neither. */
const struct block *syntax_site(const struct rules *rules);

#endif
