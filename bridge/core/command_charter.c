/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on the charter. What changes it is previewed first, as a difference in words. */
#include "core/command_inside.h"

#include "base/now.h"
#include "base/text.h"
#include "core/charters.h"
#include "core/speech.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long
held_count(const struct asking *asking)
{
	struct query query = store_query(asking->core->store, OUTBOX_HELD);
	long count = 0;

	query_text(&query, asking->group->name);
	while (query_step(&query))
		count++;
	query_done(&query);
	return count;
}

/* The hours as they would be: rules of the new text, in words. */
static char *
hours_of_text(const struct asking *asking, const char *text)
{
	struct group imagined = *asking->group;
	struct complaint why;

	imagined.rules = NULL;
	if (rules_parse(&imagined.rules, text, strlen(text), &why))
		return xstrdup("");
	rules_set_site(imagined.rules, asking->core->groups.site);
	rules_set_zone(imagined.rules, charters_zone(asking->core->charters, rules_zone_name(imagined.rules)));
	char *words = speech_hours(asking->core, &imagined, asking->row->received_ms);
	rules_free(imagined.rules);
	return words;
}

static void
preview_hours(struct asking *asking, const char *text, const char *command)
{
	struct str out AUTO_STR;
	char held[24];

	AUTO_FREE char *before = speech_hours(asking->core, asking->group, asking->row->received_ms);
	AUTO_FREE char *after = hours_of_text(asking, text);
	snprintf(held, sizeof(held), "%ld", held_count(asking));
	str_init(&out, 16384);
	str_addf(&out, "%s\n%s\n%s\n%s\n", command_say(asking, N_("Now:")), before, command_say(asking, N_("It would be:")), after);
	AUTO_FREE char *count = str_fill(command_say(asking, N_("Held messages that would be planned again: {count}.")), "count", held);
	str_add(&out, count);
	command_preview(asking, command, str_get(&out));
}

/* Applies a charter's text and tells the room. */
static void
apply(struct asking *asking, const char *text, const char *verb)
{
	struct complaint why;
	char revision[16];

	if (charters_apply(asking->core->charters, asking->group, text, asking->in->author.person, verb, &why)) {
		command_answer_new(asking, speech_complaint(asking->language, &why));
		return;
	}
	snprintf(revision, sizeof(revision), "%d", asking->group->revision);
	struct str out AUTO_STR;
	str_init(&out, 16384);
	AUTO_FREE char *words = speech_hours(asking->core, asking->group, asking->row->received_ms);
	AUTO_FREE char *done = str_fill(command_say(asking, N_("Done: the charter is now at revision {revision}.")), "revision", revision);
	str_addf(&out, "%s\n%s\n%s", done, words,
			command_say(asking, N_("People on the same network still see each other at once; to be left alone, mute this room in your client and take the digest (!sd mode digest).")));
	command_answer_to(asking, true, str_get(&out));
}

static void
change_hours(struct asking *asking)
{
	struct complaint why;
	int revision;
	AUTO_FREE char *text = charters_text(asking->core->charters, asking->group, &revision);
	AUTO_FREE char *line = xasprintf("hours %s", asking->arguments);
	AUTO_FREE char *changed = NULL;
	const char *old = text ? text : "";

	int r = rules_edit_line(old, strlen(old), asking->group->name, "hours", line, &changed, &why);
	if (r) {
		AUTO_FREE char *words = r == RULES_E_SYNTAX ? speech_complaint(asking->language, &why) : xstrdup(strerror(-r));
		AUTO_FREE char *place = xasprintf("%d%s%s", why.column, command_say(asking, N_(": ")), words);
		command_answer_new(asking, str_fill(command_say(asking, N_("These hours cannot be read, at character {place}. For instance: !sd hours mon-fri 9:00-18:00")),
				"place", place));
		return;
	}
	if (asking->confirmed)
		apply(asking, changed, "hours");
	else
		preview_hours(asking, changed, line);
}

void
command_hours(struct asking *asking)
{
	if (!*asking->arguments)
		command_answer_new(asking, speech_hours(asking->core, asking->group, asking->row->received_ms));
	else if (!command_moderates(asking))
		command_refuse(asking, PERMIT_NO_POWER, "");
	else
		change_hours(asking);
}

void
command_rules(struct asking *asking)
{
	command_answer_new(asking, speech_rule_list(asking->core, asking->group));
}

void
command_undo(struct asking *asking)
{
	int revision = asking->group->revision;
	AUTO_FREE char *text = charters_revision(asking->core->charters, asking->group, revision - 1);

	if (!text) {
		command_answer(asking, command_say(asking, N_("There is nothing to undo: this is the charter's first revision.")));
		return;
	}
	if (asking->confirmed)
		apply(asking, text, "undo");
	else
		preview_hours(asking, text, "undo");
}
