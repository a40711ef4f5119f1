/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One entry a command. A change that touches anybody but its author is previewed first: it is kept with the revision it
 * was previewed against, and done when `yes` follows within two minutes and that revision is still in force.
 */
#include "core/command_inside.h"

#include "base/log.h"
#include "base/now.h"
#include "base/text.h"
#include "core/decisions.h"
#include "core/digests.h"
#include "core/notices.h"
#include "core/outbox_rows.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PENDING_MS (2 * 60 * 1000)
#define DAY_MS (24 * 3600 * 1000)
#define WORD_MAX 64

enum { FOR_ALL, FOR_MODERATORS };

struct command {
	const char *english, *french;
	int rights;
	enum command_scope scope;
	void (*run)(struct asking *asking);
	const char *usage, *summary; /* msgids; NULL: not listed */
};

static const struct command *find_command(const char *name);
static void run_help(struct asking *asking);
static void list_groups(struct asking *asking, const char *name);

/* ---- words ---- */

/* Lower case without accents, for Latin letters; the rest as it is. Enough for the names of commands and modes. */
static void
fold(const char *word, char *out, size_t size)
{
	static const char plain[] = "aaaaaaaceeeeiiiidnooooo*ouuuuyts"; /* U+00E0 to U+00FF, and their capitals */
	const unsigned char *p = (const unsigned char *)word;
	size_t n = 0;

	while (*p && n + 1 < size) {
		if (p[0] == 0xC3 && p[1] >= 0x80) {
			out[n++] = plain[(p[1] & 0x1F)];
			p += 2;
		} else if ((p[0] == 0xCC && p[1]) || (p[0] == 0xCD && p[1] && p[1] <= 0xAF)) {
			p += 2; /* a combining accent */
		} else {
			out[n++] = (char)tolower(*p++);
		}
	}
	out[n] = '\0';
}

bool
command_same_word(const char *a, const char *b)
{
	char left[WORD_MAX], right[WORD_MAX];

	fold(a, left, sizeof(left));
	fold(b, right, sizeof(right));
	return strcmp(left, right) == 0;
}

static char *
skip_space(char *p)
{
	while (*p == ' ' || *p == '\t' || *p == '\n' || ((unsigned char)p[0] == 0xC2 && (unsigned char)p[1] == 0xA0))
		p += (unsigned char)*p == 0xC2 ? 2 : 1;
	return p;
}

/* Cuts the first word off; *rest is what follows it. */
char *
command_take_word(char *p, char **rest)
{
	char *word = skip_space(p), *end = word;

	while (*end && *end != ' ' && *end != '\t' && *end != '\n')
		end++;
	*rest = *end ? skip_space(end + 1) : end;
	*end = '\0';
	return word;
}

/* The length of a prefix that calls us, or 0. */
static size_t
prefix_length(const struct core *core, const char *text)
{
	const char *const names[] = { "!sourdine", "!sd", core->matrix_bot, core->nick };

	for (size_t i = 0; i < 4; i++) {
		size_t n = strlen(names[i]);
		if (strncasecmp(text, names[i], n) != 0)
			continue;
		bool mention = i >= 2;
		if (mention && (text[n] == ':' || text[n] == ','))
			return n + 1;
		if (text[n] == '\0' || text[n] == ' ' || text[n] == '\n' || ((unsigned char)text[n] == 0xC2 && (unsigned char)text[n + 1] == 0xA0))
			return mention && i == 3 ? 0 : n; /* a bare nick may begin an ordinary sentence */
	}
	return 0;
}

bool
command_is(const struct core *core, const char *text)
{
	return prefix_length(core, text) > 0;
}

/* ---- answers ---- */

const char *
command_say(const struct asking *asking, const char *msgid)
{
	return text_in(asking->language, msgid);
}

/* `to_all`: it concerns the whole room. Otherwise privately where the network can, else under the command. */
void
command_answer_to(struct asking *asking, bool to_all, const char *text)
{
	const struct incoming *in = asking->in;
	char number[16];
	bool private = in->direct || (asking->row->network == NETWORK_XMPP && !to_all && in->reply_address);

	snprintf(number, sizeof(number), "%d", asking->answers++);
	const char *source[] = { "answer", asking->row->room, asking->row->source_id, number, NULL };
	struct outbox_draft draft = {
		.outgoing = {
			.kind = private ? OUTGOING_PRIVATE : OUTGOING_ROOM, .lane = private ? in->reply_address : asking->row->room, .text = text,
			.thread = private ? NULL : asking->row->source_id,
		},
		.network = asking->row->network, .group = asking->group ? asking->group->name : "", .source = source,
		.due_ms = asking->row->received_ms < now_rules_ms() ? asking->row->received_ms : now_rules_ms(),
	};

	if (!outbox_add_split(asking->core->outbox, &draft))
		log_warning(LOG_COMMAND, "answer too long room=%s", asking->row->room);
}

void
command_answer(struct asking *asking, const char *text)
{
	command_answer_to(asking, false, text);
}

/* Takes over `text`. */
void
command_answer_new(struct asking *asking, char *text)
{
	command_answer(asking, text);
	free(text);
}

/* How a command is written where this one was asked: "!" or "!sd ". */
const char *
command_prefix(const struct asking *asking)
{
	return asking->in->direct ? "!" : "!sd ";
}

/* ---- previews ---- */

void
command_preview(struct asking *asking, const char *command, const char *what)
{
	struct query query = store_query(asking->core->store, PENDING_SET);

	query_text(&query, asking->in->author.person);
	query_text(&query, asking->group->name);
	query_text(&query, command);
	query_int(&query, asking->group->revision);
	query_int(&query, now_rules_ms() + PENDING_MS);
	query_run(&query);
	struct str out AUTO_STR;
	str_init(&out, 16384);
	str_add(&out, what);
	AUTO_FREE char *how = str_fill(command_say(asking, N_("Answer {command} within two minutes and it is done.")), "command",
			asking->in->direct ? command_say(asking, N_("!yes")) : command_say(asking, N_("!sd yes")));
	str_addf(&out, "\n%s", how);
	command_answer(asking, str_get(&out));
}

/* Whether it may run here and now; else he is told why not. */
static bool
is_permitted(struct asking *asking, const struct command *command)
{
	const struct group *group = asking->group;
	bool for_moderators = command->rights == FOR_MODERATORS;
	enum command_place place = group ? PLACE_GROUP : asking->visit ? PLACE_VISIT : PLACE_NOWHERE;
	enum command_permit permit = command_judge(command->scope, for_moderators, place, for_moderators && command_moderates(asking),
			group && group->kind == GROUP_CONFIGURED);

	if (permit == PERMIT_WHICH_GROUP)
		list_groups(asking, command->english);
	else if (permit != PERMIT_FINE)
		command_refuse(asking, permit, group ? group->name : "");
	return permit == PERMIT_FINE;
}

/* ---- yes ---- */

static void
run_yes(struct asking *asking)
{
	struct query query = store_query(asking->core->store, PENDING_GET);
	AUTO_FREE char *line = NULL;
	int revision = 0;

	query_text(&query, asking->in->author.person);
	query_text(&query, asking->group->name);
	if (query_step(&query) && query_get_int(&query, 2) >= now_rules_ms()) {
		line = xstrdup(query_get_text(&query, 0));
		revision = (int)query_get_int(&query, 1);
	}
	query_done(&query);
	query = store_query(asking->core->store, PENDING_END);
	query_text(&query, asking->in->author.person);
	query_text(&query, asking->group->name);
	query_run(&query);
	if (!line) {
		command_answer(asking, command_say(asking, N_("There is nothing to say yes to, or more than two minutes have passed: please give the command again.")));
		return;
	}
	if (revision != asking->group->revision) {
		command_answer(asking, command_say(asking, N_("The charter was changed meanwhile: please give the command again.")));
		return;
	}
	char *rest;
	char *name = command_take_word(line, &rest);
	const struct command *command = find_command(name);
	if (!command || !is_permitted(asking, command))
		return;
	asking->arguments = rest;
	asking->confirmed = true;
	command->run(asking);
}

/* ---- the table ---- */

static const struct command commands[] = {
	{ "help", "aide", FOR_ALL, SCOPE_ANY, run_help, N_("help"), N_("this list") },
	{ "hours", "horaires", FOR_ALL, SCOPE_GROUP, command_hours, N_("hours"), N_("opening hours and the next opening") },
	{ "why", "pourquoi", FOR_ALL, SCOPE_GROUP, command_why, N_("why"), N_("why your latest message, or the one you answer, was held or passed on") },
	{ "held", "attente", FOR_ALL, SCOPE_GROUP, command_held, N_("held"), N_("your messages that wait") },
	{ "mode", "mode", FOR_ALL, SCOPE_GROUP, command_mode, N_("mode live|digest"), N_("read everything at once, or one digest") },
	{ "rules", "regles", FOR_ALL, SCOPE_GROUP, command_rules, N_("rules"), N_("the group's rules in words") },
	{ "charter", "charte", FOR_ALL, SCOPE_GROUP, command_rules, NULL, NULL },
	{ "hours", "horaires", FOR_MODERATORS, SCOPE_GROUP, command_hours, N_("hours mon-fri 9:00-18:00"), N_("change the opening hours") },
	{ "undo", "defaire", FOR_MODERATORS, SCOPE_GROUP, command_undo, N_("undo"), N_("back to the charter's previous revision") },
	{ "status", "etat", FOR_ALL, SCOPE_GROUP, command_status, N_("status"), N_("what is joined with what, and how that stands") },
	{ "whoami", "moi", FOR_ALL, SCOPE_ANY, command_whoami, N_("whoami"), N_("who you are for me, and what you may do") },
	{ "plumb", "relier", FOR_ALL, SCOPE_ANY, command_plumb, N_("plumb ROOM"), N_("join this room with one of the other network") },
	{ "confirm", "confirmer", FOR_ALL, SCOPE_ANY, command_confirm, NULL, NULL },
	{ "unplumb", "delier", FOR_MODERATORS, SCOPE_PLUMBED, command_unplumb, N_("unplumb"), N_("part the rooms that were joined from chat") },
	{ "encrypted", "chiffrement", FOR_ALL, SCOPE_GROUP, command_encrypted, NULL, NULL },
	{ "encrypted", "chiffrement", FOR_MODERATORS, SCOPE_GROUP, command_encrypted, N_("encrypted allow"), N_("agree that an encrypted room is read in the clear in the other one; stop ends that") },
	{ "yes", "oui", FOR_ALL, SCOPE_GROUP, run_yes, NULL, NULL },
	{ "link", "lier", FOR_ALL, SCOPE_ANY, command_link, NULL, NULL },
	{ NULL, NULL, 0, 0, NULL, NULL, NULL },
};

static void
run_help(struct asking *asking)
{
	struct str out AUTO_STR;

	str_init(&out, 16384);
	str_add(&out, command_say(asking, N_("What you can say here:")));
	for (const struct command *command = commands; command->english; command++) {
		if (!command->summary || (command->rights == FOR_MODERATORS && !command_moderates(asking)))
			continue;
		str_addf(&out, "\n%s%s%s%s", command_prefix(asking), command_say(asking, command->usage), command_say(asking, N_(": ")), command_say(asking, command->summary));
	}
	command_answer(asking, str_get(&out));
}

static const struct command *
find_command(const char *name)
{
	for (const struct command *command = commands; command->english; command++)
		if (command_same_word(name, command->english) || command_same_word(name, command->french))
			return command;
	return NULL;
}

static const char *
nearest_command(const char *name)
{
	const char *best = "help";
	unsigned least = 3;

	for (const struct command *command = commands; command->english; command++) {
		unsigned english = str_distance(name, command->english), french = str_distance(name, command->french);
		if (english < least) {
			least = english;
			best = command->english;
		}
		if (french < least) {
			least = french;
			best = command->french;
		}
	}
	return best;
}

/* ---- which group ---- */

static bool
belongs(const struct asking *asking, const struct group *group)
{
	struct decision decision;
	char name[PEOPLE_NAME_MAX];
	const char *person = asking->in->author.person;

	return people_name(asking->core->people, group->room[NETWORK_MATRIX], person, name, sizeof(name)) ||
			digests_subscribed(asking->core->digests, group, person) ||
			decisions_last(asking->core->store, group->name, person, &decision);
}

/* The person's only group, else the only group there is. */
void
command_choose_group(struct asking *asking)
{
	struct groups *groups = &asking->core->groups;
	struct group *group, *found = NULL, *any = NULL;
	int matches = 0, all = 0;

	LIST_FOR_EACH(group, &groups->all, struct group, link) {
		any = group;
		all++;
		if (belongs(asking, group)) {
			found = group;
			matches++;
		}
	}
	asking->group = matches == 1 ? found : all == 1 ? any : NULL;
}

static void
list_groups(struct asking *asking, const char *name)
{
	struct group *group;
	struct str out AUTO_STR;

	str_init(&out, 16384);
	str_add(&out, command_say(asking, N_("Which group? Name it after the command:")));
	LIST_FOR_EACH(group, &asking->core->groups.all, struct group, link)
		if (belongs(asking, group))
			str_addf(&out, "\n%s%s #%s", command_prefix(asking), name, group->name);
	command_answer(asking, str_get(&out));
}

/* ---- the front door ---- */

/* "#marketing" as the first word names the group; in a direct message that is how one of several is chosen. */
static void
take_group(struct asking *asking, bool may_be_a_room)
{
	AUTO_FREE char *copy = xstrdup(asking->arguments);
	char *rest;

	if (!asking->in->direct || *asking->arguments != '#')
		return;
	struct group *named = groups_find(&asking->core->groups, command_take_word(copy + 1, &rest));
	if (named)
		asking->group = named;
	if (named || !may_be_a_room)
		asking->arguments += rest - copy;
}

/* "--yes" at the end skips the preview. */
static void
take_yes(struct asking *asking)
{
	size_t n = strlen(asking->arguments);

	if (n < 5 || strcmp(asking->arguments + n - 5, "--yes") != 0)
		return;
	asking->confirmed = true;
	for (n -= 5; n > 0 && asking->arguments[n - 1] == ' '; n--)
		;
	asking->arguments[n] = '\0';
}

static void
dispatch(struct asking *asking, char *name)
{
	const struct command *command = find_command(name);

	if (!command) {
		AUTO_FREE char *given = str_fill(command_say(asking, N_("I do not know {name}. Did you mean {nearest}? All commands: {help}")), "name", name);
		AUTO_FREE char *nearest = str_fill(given, "nearest", nearest_command(name));
		AUTO_FREE char *help = xasprintf("%s%s", command_prefix(asking), command_say(asking, N_("help")));
		command_answer_new(asking, str_fill(nearest, "help", help));
		return;
	}
	take_group(asking, command->scope == SCOPE_ANY);
	if (command->scope != SCOPE_ANY && !asking->group && (!asking->visit || asking->in->direct))
		command_choose_group(asking);
	asking->language = core_language(asking->core, asking->group);
	take_yes(asking);
	if (!is_permitted(asking, command))
		return;
	log_info(LOG_COMMAND, "command name=%s group=%s network=%d", command->english, asking->group ? asking->group->name : "",
			(int)asking->row->network);
	command->run(asking);
}

void
command_run(struct core *core, struct group *group, const struct inbox_row *row, const struct incoming *in)
{
	AUTO_FREE char *text = xstrdup(in->text);
	size_t skip = prefix_length(core, text);
	bool visit = group && group->kind == GROUP_VISIT;
	struct asking asking = { .core = core, .group = visit ? NULL : group, .visit = visit ? group : NULL, .row = row, .in = in,
		.language = core_language(core, visit ? NULL : group) };
	char *rest = skip_space(text + skip);

	if (!skip && *rest == '!') {
		rest++;
	} else if (!skip) {
		if (notices_first_time(core, row->room, in->author.person, "hint", row->received_ms / DAY_MS))
			command_answer(&asking, command_say(&asking, N_("I understand commands: !help lists them.")));
		return; /* once a day: whoever writes may be a program that answers too */
	}
	if (*rest == '!')
		rest++;
	char *name = command_take_word(rest, &asking.arguments);
	dispatch(&asking, *name ? name : (char[]){ "help" });
}
