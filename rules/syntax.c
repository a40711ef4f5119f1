/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parsed charter as an object: its memory and its plain questions. All that
 * the parser keeps hangs on one chain and dies with the rules, so no node of the
 * tree has an owner of its own.
 */

#include "syntax.h"

#include "rules.h"

#include <stdlib.h>

struct memory {
	struct memory *next;
	max_align_t bytes[];
};

void *
syntax_keep(struct rules *rules, size_t size)
{
	struct memory *memory = calloc(1, sizeof(*memory) + size);

	if (!memory)
		return NULL;
	memory->next = rules->memory;
	rules->memory = memory;
	return memory->bytes;
}

void
rules_free(struct rules *rules)
{
	if (!rules)
		return;
	while (rules->memory) {
		struct memory *next = rules->memory->next;

		free(rules->memory);
		rules->memory = next;
	}
	words_free(rules->words);
	free(rules);
}

const struct block *
syntax_site(const struct rules *rules)
{
	if (rules->site.present || !rules->lent)
		return &rules->site;
	return &rules->lent->site;
}

const char *
rules_group(const struct rules *rules)
{
	return rules->group.present ? rules->group.name : NULL;
}

const char *
rules_zone_name(const struct rules *rules)
{
	if (rules->group.tz)
		return rules->group.tz;
	return syntax_site(rules)->tz ? syntax_site(rules)->tz : "UTC";
}

const char *
rules_target(const struct rules *rules, size_t n)
{
	const struct block *block = &rules->group;

	for (size_t i = 0; i < block->rule_count; i++)
		if (block->rules[i]->target && n-- == 0)
			return block->rules[i]->target;
	for (size_t i = 0; i < block->topic_count; i++)
		if (block->topics[i].target && n-- == 0)
			return block->topics[i].target;
	return NULL;
}

const char *
rules_language(const struct rules *rules)
{
	return rules->group.language ? rules->group.language : syntax_site(rules)->language;
}

void
rules_set_zone(struct rules *rules, const struct zone *zone)
{
	rules->zone = zone;
}

void
rules_set_site(struct rules *rules, const struct rules *site)
{
	rules->lent = site;
}
