/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One entry a command. A change that touches anybody but its author is previewed first: it is kept with the revision it
 * was previewed against, and done when `yes` follows within two minutes and that revision is still in force.
 */
#include "core/command.h"

#include "base/log.h"
#include "base/now.h"
#include "base/text.h"
#include "core/charters.h"
#include "core/decisions.h"
#include "core/digests.h"
#include "core/notices.h"
#include "core/outbox_rows.h"
#include "core/relay.h"
#include "core/speech.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PENDING_MS (2 * 60 * 1000)
#define LINK_MS (15 * 60 * 1000)
#define DAY_MS (24 * 3600 * 1000)
#define WORD_MAX 64

/* One command being run. */
struct asking {
	struct core *core;
	struct group *group;        /* NULL until it is known */
	const struct inbox_row *row;
	const struct incoming *in;
	const char *language;
	char *arguments;            /* what follows the command's name; "" when nothing does; lent */
	bool confirmed;             /* said yes, or --yes */
	int answers;                /* so far; part of the rows' names */
};

enum { FOR_ALL, FOR_MODERATORS };
enum { NO_GROUP, NEEDS_GROUP };

struct command {
	const char *english, *french;
	int rights, scope;
	void (*run)(struct asking *asking);
	const char *usage, *summary; /* msgids; NULL: not listed */
};

static const struct command *find_command(const char *name);
static void run_help(struct asking *asking);

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

static bool
same_word(const char *a, const char *b)
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
static char *
take_word(char *p, char **rest)
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

static const char *
say(const struct asking *asking, const char *msgid)
{
	return text_in(asking->language, msgid);
}

/* `to_all`: it concerns the whole room. Otherwise privately where the network can, else under the command. */
static void
answer_to(struct asking *asking, bool to_all, const char *text)
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

static void
answer(struct asking *asking, const char *text)
{
	answer_to(asking, false, text);
}

/* Takes over `text`. */
static void
answer_new(struct asking *asking, char *text)
{
	answer(asking, text);
	free(text);
}

/* How a command is written where this one was asked: "!" or "!sd ". */
static const char *
prefix(const struct asking *asking)
{
	return asking->in->direct ? "!" : "!sd ";
}

/* ---- hours, rules, why, held ---- */

static void
preview(struct asking *asking, const char *command, const char *what)
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
	AUTO_FREE char *how = str_fill(say(asking, N_("Answer {command} within two minutes and it is done.")), "command",
			asking->in->direct ? say(asking, N_("!yes")) : say(asking, N_("!sd yes")));
	str_addf(&out, "\n%s", how);
	answer(asking, str_get(&out));
}

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
	str_addf(&out, "%s\n%s\n%s\n%s\n", say(asking, N_("Now:")), before, say(asking, N_("It would be:")), after);
	AUTO_FREE char *count = str_fill(say(asking, N_("Held messages that would be planned again: {count}.")), "count", held);
	str_add(&out, count);
	preview(asking, command, str_get(&out));
}

/* Applies a charter's text and tells the room. */
static void
apply(struct asking *asking, const char *text, const char *verb)
{
	struct complaint why;
	char revision[16];

	if (charters_apply(asking->core->charters, asking->group, text, asking->in->author.person, verb, &why)) {
		answer(asking, why.text);
		return;
	}
	snprintf(revision, sizeof(revision), "%d", asking->group->revision);
	struct str out AUTO_STR;
	str_init(&out, 16384);
	AUTO_FREE char *words = speech_hours(asking->core, asking->group, asking->row->received_ms);
	AUTO_FREE char *done = str_fill(say(asking, N_("Done: the charter is now at revision {revision}.")), "revision", revision);
	str_addf(&out, "%s\n%s\n%s", done, words,
			say(asking, N_("People on the same network still see each other at once; to be left alone, mute this room in your client and take the digest (!sd mode digest).")));
	answer_to(asking, true, str_get(&out));
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
		AUTO_FREE char *place = xasprintf("%d: %s", why.column, r == RULES_E_SYNTAX ? why.text : strerror(-r));
		answer_new(asking, str_fill(say(asking, N_("These hours cannot be read, at character {place}. For instance: !sd hours mon-fri 9:00-18:00")),
				"place", place));
		return;
	}
	if (asking->confirmed)
		apply(asking, changed, "hours");
	else
		preview_hours(asking, changed, line);
}

static bool
refuse_unless_moderator(struct asking *asking)
{
	if (asking->in->moderator)
		return false;
	answer(asking, say(asking, N_("Only moderators of the group can do that, in its room: Matrix members who may change the room's settings, and owners and admins of the XMPP room.")));
	return true;
}

static void
run_hours(struct asking *asking)
{
	if (!*asking->arguments)
		answer_new(asking, speech_hours(asking->core, asking->group, asking->row->received_ms));
	else if (!refuse_unless_moderator(asking))
		change_hours(asking);
}

static void
run_rules(struct asking *asking)
{
	answer_new(asking, speech_rule_list(asking->core, asking->group));
}

static void
run_undo(struct asking *asking)
{
	int revision = asking->group->revision;
	AUTO_FREE char *text = charters_revision(asking->core->charters, asking->group, revision - 1);

	if (!text) {
		answer(asking, say(asking, N_("There is nothing to undo: this is the charter's first revision.")));
		return;
	}
	if (asking->confirmed)
		apply(asking, text, "undo");
	else
		preview_hours(asking, text, "undo");
}

/* The message meant: the one answered, "h42", or the asker's latest. */
static bool
find_decision(struct asking *asking, struct decision *out)
{
	const struct incoming *in = asking->in;
	const char *room = in->direct && in->direct_room ? in->direct_room : asking->row->room;
	int64_t seq = 0;

	if (in->reply_to)
		seq = relay_row_of(asking->core->relay, room, in->reply_to);
	else if (*asking->arguments == 'h' || *asking->arguments == '#')
		seq = strtoll(asking->arguments + 1, NULL, 10);
	if (seq)
		return decisions_get(asking->core->store, seq, out);
	return decisions_last(asking->core->store, asking->group->name, in->author.person, out);
}

static void
run_why(struct asking *asking)
{
	struct decision decision;

	if (!find_decision(asking, &decision) || strcmp(decision.group, asking->group->name) != 0) {
		answer(asking, say(asking, N_("I know of no such message. Answer the message with !sd why, or ask after your own latest one.")));
		return;
	}
	if (strcmp(decision.person, asking->in->author.person) != 0 && !asking->in->moderator) {
		answer(asking, say(asking, N_("That message is somebody else's: only its author and the moderators are told.")));
		return;
	}
	answer_new(asking, speech_why(asking->core, asking->group, &decision.verdict, asking->row->received_ms));
}

static void
add_held_line(struct asking *asking, struct str *out, int64_t seq, int64_t due_ms)
{
	struct decision decision;
	char written[64], due[64], number[24];

	if (!decisions_get(asking->core->store, seq, &decision))
		return;
	speech_instant(asking->core, asking->group, decision.verdict.now_ms, asking->row->received_ms, written, sizeof(written));
	speech_instant(asking->core, asking->group, due_ms, asking->row->received_ms, due, sizeof(due));
	snprintf(number, sizeof(number), "h%" PRId64, seq);
	AUTO_FREE char *one = str_fill(say(asking, N_("{number}: written {written}, delivered on {due}")), "number", number);
	AUTO_FREE char *two = str_fill(one, "written", written);
	AUTO_FREE char *three = str_fill(two, "due", due);
	str_addf(out, "\n%s", three);
}

static void
run_held(struct asking *asking)
{
	struct query query = store_query(asking->core->store, OUTBOX_HELD_OF);
	int64_t held[50][2];
	size_t count = 0;
	struct str out AUTO_STR;

	query_text(&query, asking->group->name);
	query_text(&query, asking->in->author.person);
	while (count < 50 && query_step(&query)) {
		held[count][0] = query_get_int(&query, 0);
		held[count++][1] = query_get_int(&query, 1);
	}
	query_done(&query);
	str_init(&out, 16384);
	str_add(&out, say(asking, count ? N_("Your messages that wait:") : N_("None of your messages waits.")));
	for (size_t i = 0; i < count; i++)
		add_held_line(asking, &out, held[i][0], held[i][1]);
	answer(asking, str_get(&out));
}

/* ---- mode, link ---- */

static void
tell_next_digest(struct asking *asking)
{
	char key[32], when[64];
	int64_t now_ms = asking->row->received_ms;
	int64_t next_ms = rules_next_slot(speech_rules(asking->group), now_ms, key, sizeof(key));

	speech_instant(asking->core, asking->group, next_ms, now_ms, when, sizeof(when));
	AUTO_FREE char *named = str_fill(say(asking, N_("From now on you get {group} as a digest by direct message, the next one on {when}. To be left alone, mute the room in your client: people on the same network still see each other at once. !sd mode live ends it.")),
			"group", asking->group->name);
	answer_new(asking, str_fill(named, "when", when));
}

/* An XMPP occupant whose account is not known proves it: a code by private message, sent back from the account. */
static void
ask_for_link(struct asking *asking)
{
	char code[9];
	struct query query = store_query(asking->core->store, LINK_ADD);

	seal_random_text(code, 8, "abcdefghjkmnpqrstuvwxyz23456789");
	query_text(&query, code);
	query_text(&query, asking->in->author.person);
	query_text(&query, asking->group->name);
	query_int(&query, now_rules_ms() + LINK_MS);
	query_run(&query);
	AUTO_FREE char *named = str_fill(say(asking, N_("This room does not show me your account. Send !link {code} to {bot} from it within 15 minutes, and your digests go there.")),
			"code", code);
	answer_new(asking, str_fill(named, "bot", asking->core->xmpp_bot));
}

static void
subscribe(struct asking *asking)
{
	const char *person = asking->in->author.person;

	if (asking->row->network == NETWORK_MATRIX) {
		digests_subscribe(asking->core->digests, asking->group, person, NETWORK_MATRIX, person, asking->row->received_ms);
	} else if (strchr(person, '/')) {
		ask_for_link(asking);
		return;
	} else {
		digests_subscribe(asking->core->digests, asking->group, person, NETWORK_XMPP, person + strlen("xmpp:"), asking->row->received_ms);
	}
	tell_next_digest(asking);
}

static bool
is_inside(const struct asking *asking)
{
	char name[PEOPLE_NAME_MAX];

	if (!asking->in->direct || asking->in->direct_room)
		return true;
	return asking->row->network == NETWORK_MATRIX &&
			people_name(asking->core->people, asking->group->room[NETWORK_MATRIX], asking->in->author.person, name, sizeof(name));
}

static void
run_mode(struct asking *asking)
{
	char *rest;
	char *mode = take_word(asking->arguments, &rest);
	const char *person = asking->in->author.person;

	if (same_word(mode, "digest") || same_word(mode, "resume")) {
		if (is_inside(asking))
			subscribe(asking);
		else
			answer(asking, say(asking, N_("Please say that in the group's room, or by private message to me there.")));
	} else if (same_word(mode, "live") || same_word(mode, "direct")) {
		bool was = digests_unsubscribe(asking->core->digests, asking->group, person, asking->row->received_ms);
		answer(asking, was ? say(asking, N_("Digests have ended; you read everything at once.")) : say(asking, N_("You read everything at once.")));
	} else if (!*mode) {
		answer(asking, digests_subscribed(asking->core->digests, asking->group, person) ? say(asking, N_("Your mode is digest.")) :
				say(asking, N_("Your mode is live.")));
	} else {
		answer(asking, say(asking, N_("Say !sd mode live or !sd mode digest.")));
	}
}

static void
run_link(struct asking *asking)
{
	char *rest;
	char *code = take_word(asking->arguments, &rest);
	struct query query = store_query(asking->core->store, LINK_GET);
	AUTO_FREE char *person = NULL;

	query_text(&query, code);
	if (asking->row->network == NETWORK_XMPP && asking->in->direct && !asking->in->direct_room && query_step(&query) &&
			query_get_int(&query, 2) >= now_rules_ms()) {
		person = xstrdup(query_get_text(&query, 0));
		asking->group = groups_find(&asking->core->groups, query_get_text(&query, 1));
	}
	query_done(&query);
	if (!person || !asking->group) {
		answer(asking, say(asking, N_("That code is not known, or too old. Say !sd mode digest in the room again for a new one.")));
		return;
	}
	query = store_query(asking->core->store, LINK_END);
	query_text(&query, code);
	query_int(&query, now_rules_ms());
	query_run(&query);
	digests_subscribe(asking->core->digests, asking->group, person, NETWORK_XMPP, asking->in->reply_address, asking->row->received_ms);
	tell_next_digest(asking);
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
		answer(asking, say(asking, N_("There is nothing to say yes to, or more than two minutes have passed: please give the command again.")));
		return;
	}
	if (revision != asking->group->revision) {
		answer(asking, say(asking, N_("The charter was changed meanwhile: please give the command again.")));
		return;
	}
	char *rest;
	char *name = take_word(line, &rest);
	const struct command *command = find_command(name);
	if (!command || (command->rights == FOR_MODERATORS && refuse_unless_moderator(asking)))
		return;
	asking->arguments = rest;
	asking->confirmed = true;
	command->run(asking);
}

/* ---- the table ---- */

static const struct command commands[] = {
	{ "help", "aide", FOR_ALL, NO_GROUP, run_help, N_("help"), N_("this list") },
	{ "hours", "horaires", FOR_ALL, NEEDS_GROUP, run_hours, N_("hours"), N_("opening hours and the next opening") },
	{ "why", "pourquoi", FOR_ALL, NEEDS_GROUP, run_why, N_("why"), N_("why your latest message, or the one you answer, was held or passed on") },
	{ "held", "attente", FOR_ALL, NEEDS_GROUP, run_held, N_("held"), N_("your messages that wait") },
	{ "mode", "mode", FOR_ALL, NEEDS_GROUP, run_mode, N_("mode live|digest"), N_("read everything at once, or one digest") },
	{ "rules", "regles", FOR_ALL, NEEDS_GROUP, run_rules, N_("rules"), N_("the group's rules in words") },
	{ "charter", "charte", FOR_ALL, NEEDS_GROUP, run_rules, NULL, NULL },
	{ "hours", "horaires", FOR_MODERATORS, NEEDS_GROUP, run_hours, N_("hours mon-fri 9:00-18:00"), N_("change the opening hours") },
	{ "undo", "defaire", FOR_MODERATORS, NEEDS_GROUP, run_undo, N_("undo"), N_("back to the charter's previous revision") },
	{ "yes", "oui", FOR_ALL, NEEDS_GROUP, run_yes, NULL, NULL },
	{ "link", "lier", FOR_ALL, NO_GROUP, run_link, NULL, NULL },
	{ NULL, NULL, 0, 0, NULL, NULL, NULL },
};

static void
run_help(struct asking *asking)
{
	struct str out AUTO_STR;

	str_init(&out, 16384);
	str_add(&out, say(asking, N_("What you can say here:")));
	for (const struct command *command = commands; command->english; command++) {
		if (!command->summary || (command->rights == FOR_MODERATORS && !asking->in->moderator))
			continue;
		str_addf(&out, "\n%s%s%s%s", prefix(asking), say(asking, command->usage), say(asking, N_(": ")), say(asking, command->summary));
	}
	answer(asking, str_get(&out));
}

static const struct command *
find_command(const char *name)
{
	for (const struct command *command = commands; command->english; command++)
		if (same_word(name, command->english) || same_word(name, command->french))
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
static bool
choose_group(struct asking *asking)
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
	return asking->group != NULL;
}

static void
list_groups(struct asking *asking, const char *name)
{
	struct group *group;
	struct str out AUTO_STR;

	str_init(&out, 16384);
	str_add(&out, say(asking, N_("Which group? Name it after the command:")));
	LIST_FOR_EACH(group, &asking->core->groups.all, struct group, link)
		if (belongs(asking, group))
			str_addf(&out, "\n%s%s #%s", prefix(asking), name, group->name);
	answer(asking, str_get(&out));
}

/* ---- the front door ---- */

/* "#marketing" as the first word names the group; in a direct message that is how one of several is chosen. */
static void
take_group(struct asking *asking)
{
	if (!asking->in->direct || *asking->arguments != '#')
		return;
	char *name = take_word(asking->arguments + 1, &asking->arguments);
	struct group *named = groups_find(&asking->core->groups, name);
	if (named)
		asking->group = named;
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
		AUTO_FREE char *given = str_fill(say(asking, N_("I do not know {name}. Did you mean {nearest}? All commands: {help}")), "name", name);
		AUTO_FREE char *nearest = str_fill(given, "nearest", nearest_command(name));
		AUTO_FREE char *help = xasprintf("%s%s", prefix(asking), say(asking, N_("help")));
		answer_new(asking, str_fill(nearest, "help", help));
		return;
	}
	take_group(asking);
	if (command->scope == NEEDS_GROUP && !asking->group && !choose_group(asking)) {
		list_groups(asking, name);
		return;
	}
	asking->language = core_language(asking->core, asking->group);
	take_yes(asking);
	if (command->rights == FOR_MODERATORS && refuse_unless_moderator(asking))
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
	struct asking asking = { .core = core, .group = group, .row = row, .in = in, .language = core_language(core, group) };
	char *rest = skip_space(text + skip);

	if (!skip && *rest == '!') {
		rest++;
	} else if (!skip) {
		if (notices_first_time(core, row->room, in->author.person, "hint", row->received_ms / DAY_MS))
			answer(&asking, say(&asking, N_("I understand commands: !help lists them.")));
		return; /* once a day: whoever writes may be a program that answers too */
	}
	if (*rest == '!')
		rest++;
	char *name = take_word(rest, &asking.arguments);
	dispatch(&asking, *name ? name : (char[]){ "help" });
}
