/* SPDX-License-Identifier: Apache-2.0 */
/* What somebody asks about himself and his messages, and how he wants to read. */
#include "core/command_inside.h"

#include "base/now.h"
#include "base/text.h"
#include "core/decisions.h"
#include "core/digests.h"
#include "core/plumb_open.h"
#include "core/relay.h"
#include "core/speech.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINK_MS (15 * 60 * 1000)

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

/* The rules' answer; of what did not get there all the same, not that it was delivered. malloc'd. */
static char *
say_why(const struct asking *asking, const struct decision *decision)
{
	struct query query = store_query(asking->core->store, OUTBOX_REFUSED_OF);
	char *words = speech_why(asking->core, asking->group, &decision->verdict, asking->row->received_ms);

	query_int(&query, decision->inbox_seq);
	if (!query_any(&query))
		return words;
	AUTO_FREE char *stages = words;
	const char *end = strchr(stages, '\n');
	return xasprintf("%s%s", command_say(asking, N_("It did not cross, or not everywhere; its author was told why.")), end ? end : "");
}

void
command_why(struct asking *asking)
{
	struct decision decision;

	if (!find_decision(asking, &decision) || strcmp(decision.group, asking->group->name) != 0) {
		command_answer(asking, command_say(asking, N_("I know of no such message. Answer the message with !sd why, or ask after your own latest one.")));
		return;
	}
	if (strcmp(decision.person, asking->in->author.person) != 0 && !command_moderates(asking)) {
		command_answer(asking, command_say(asking, N_("That message is somebody else's: only its author and the moderators are told.")));
		return;
	}
	command_answer_new(asking, say_why(asking, &decision));
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
	AUTO_FREE char *one = str_fill(command_say(asking, N_("{number}: written {written}, delivered on {due}")), "number", number);
	AUTO_FREE char *two = str_fill(one, "written", written);
	AUTO_FREE char *three = str_fill(two, "due", due);
	str_addf(out, "\n%s", three);
}

void
command_held(struct asking *asking)
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
	str_add(&out, command_say(asking, count ? N_("Your messages that wait:") : N_("None of your messages waits.")));
	for (size_t i = 0; i < count; i++)
		add_held_line(asking, &out, held[i][0], held[i][1]);
	command_answer(asking, str_get(&out));
}

/* ---- mode, link ---- */

static void
tell_next_digest(struct asking *asking)
{
	char key[32], when[64];
	int64_t now_ms = asking->row->received_ms;
	int64_t next_ms = rules_next_slot(speech_rules(asking->group), now_ms, key, sizeof(key));

	speech_instant(asking->core, asking->group, next_ms, now_ms, when, sizeof(when));
	AUTO_FREE char *named = str_fill(command_say(asking, N_("From now on you get {group} as a digest by direct message, the next one on {when}. To be left alone, mute the room in your client: people on the same network still see each other at once. !sd mode live ends it.")),
			"group", asking->group->name);
	command_answer_new(asking, str_fill(named, "when", when));
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
	AUTO_FREE char *named = str_fill(command_say(asking, N_("This room does not show me your account. Send !link {code} to {bot} from it within 15 minutes, and your digests go there.")),
			"code", code);
	command_answer_new(asking, str_fill(named, "bot", asking->core->xmpp_bot));
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

/* He is in this group's room; that he is in another one's is no reason to read this one's messages. */
static bool
is_inside(const struct asking *asking)
{
	const struct incoming *in = asking->in;
	char name[PEOPLE_NAME_MAX];

	if (!in->direct)
		return true;
	if (in->direct_room)
		return strcmp(in->direct_room, asking->group->room[asking->row->network]) == 0;
	return asking->row->network == NETWORK_MATRIX &&
			people_name(asking->core->people, asking->group->room[NETWORK_MATRIX], asking->in->author.person, name, sizeof(name));
}

void
command_mode(struct asking *asking)
{
	char *rest;
	char *mode = command_take_word(asking->arguments, &rest);
	const char *person = asking->in->author.person;

	if (command_same_word(mode, "digest") || command_same_word(mode, "resume")) {
		if (is_inside(asking))
			subscribe(asking);
		else
			command_answer(asking, command_say(asking, N_("Please say that in the group's room, or by private message to me there.")));
	} else if (command_same_word(mode, "live") || command_same_word(mode, "direct")) {
		bool was = digests_unsubscribe(asking->core->digests, asking->group, person, asking->row->received_ms);
		command_answer(asking, was ? command_say(asking, N_("Digests have ended; you read everything at once.")) : command_say(asking, N_("You read everything at once.")));
	} else if (!*mode) {
		command_answer(asking, digests_subscribed(asking->core->digests, asking->group, person) ? command_say(asking, N_("Your mode is digest.")) :
				command_say(asking, N_("Your mode is live.")));
	} else {
		command_answer(asking, command_say(asking, N_("Say !sd mode live or !sd mode digest.")));
	}
}

void
command_link(struct asking *asking)
{
	char *rest;
	char *code = command_take_word(asking->arguments, &rest);
	struct query query = store_query(asking->core->store, LINK_GET);
	AUTO_FREE char *person = NULL;

	query_text(&query, code);
	/* From the account itself, whichever room he may be seen in; not through a room. */
	if (asking->row->network == NETWORK_XMPP && asking->in->direct && !strchr(asking->in->reply_address, '/') && query_step(&query) &&
			query_get_int(&query, 2) >= now_rules_ms()) {
		person = xstrdup(query_get_text(&query, 0));
		asking->group = groups_find(&asking->core->groups, query_get_text(&query, 1));
	}
	query_done(&query);
	if (!person || !asking->group) {
		command_answer(asking, command_say(asking, N_("That code is not known, or too old. Say !sd mode digest in the room again for a new one.")));
		return;
	}
	query = store_query(asking->core->store, LINK_END);
	query_text(&query, code);
	query_int(&query, now_rules_ms());
	query_run(&query);
	digests_subscribe(asking->core->digests, asking->group, person, NETWORK_XMPP, asking->in->reply_address, asking->row->received_ms);
	tell_next_digest(asking);
}

/* ---- whoami ---- */

/* Why he is, or is not, a moderator there. */
static char *
say_rights(const struct asking *asking, const struct rights *rights)
{
	char level[24], needed[24];

	if (rights->operator)
		return xstrdup(command_say(asking, N_("you are a moderator, because the bridge's administrator says so in its configuration.")));
	if (!rights->known)
		return xstrdup(command_say(asking, N_("I do not see you there, so you are no moderator for me.")));
	if (rights->creator)
		return xstrdup(command_say(asking, N_("you are a moderator, because you made the room.")));
	if (rights->affiliation)
		return str_fill(command_say(asking, rights->moderator ? N_("you are a moderator, because your affiliation is {affiliation}.") :
				N_("you are no moderator: your affiliation is {affiliation}; owner or admin is needed.")), "affiliation", rights->affiliation);
	snprintf(level, sizeof(level), "%" PRId64, rights->level);
	snprintf(needed, sizeof(needed), "%" PRId64, rights->needed);
	AUTO_FREE char *one = str_fill(command_say(asking, rights->moderator ?
			N_("you are a moderator: your power is {level}, and changing the room's settings takes {needed}.") :
			N_("you are no moderator: your power is {level}, and changing the room's settings takes {needed}.")), "level", level);
	return str_fill(one, "needed", needed);
}

static void
add_place(const struct asking *asking, struct str *out)
{
	const struct group *group = asking->group ? asking->group : asking->visit;
	enum network network = asking->row->network;
	struct rights rights;

	if (!group)
		return;
	plumb_rights(asking->core, network, group->room[network], asking->in->author.person, &rights);
	AUTO_FREE char *why = say_rights(asking, &rights);
	AUTO_FREE char *where = str_fill(command_say(asking, N_("In {room} {why}")), "room", group->room[network]);
	AUTO_FREE char *whole = str_fill(where, "why", why);
	str_addf(out, "\n%s", whole);
}

/* Where his digests go, and as what he reads. */
static void
add_mode(const struct asking *asking, struct str *out)
{
	const char *person = asking->in->author.person;
	struct query query = store_query(asking->core->store, SUBSCRIPTION_GET);
	AUTO_FREE char *lane = NULL;

	query_text(&query, person);
	query_text(&query, asking->group->name);
	if (query_step(&query))
		lane = xstrdup(query_get_text(&query, 1));
	query_done(&query);
	AUTO_FREE char *mode = lane ? str_fill(command_say(asking, N_("Your mode is digest; digests go to {account}.")), "account", lane) :
		xstrdup(command_say(asking, N_("Your mode is live.")));
	str_addf(out, "\n%s", mode);
}

static const char *
say_account(const struct asking *asking)
{
	if (asking->row->network == NETWORK_MATRIX)
		return N_("No account of another network is linked to you.");
	return strchr(asking->in->author.person, '/') ?
		N_("This room does not show me your account; !sd mode digest says how to link it.") : N_("I know your account, since the room shows it or you wrote from it.");
}

void
command_whoami(struct asking *asking)
{
	const struct author *author = &asking->in->author;

	if (!asking->group && asking->in->direct)
		command_choose_group(asking);
	AUTO_FREE char *one = str_fill(command_say(asking, N_("For me you are {name}, {person}.")), "name", author->name ? author->name : "?");
	AUTO_FREE char *two = str_fill(one, "person", author->person);
	AUTO_STR struct str out;

	str_init(&out, 16384);
	str_add(&out, two);
	add_place(asking, &out);
	if (asking->group)
		add_mode(asking, &out);
	str_addf(&out, "\n%s", command_say(asking, say_account(asking)));
	command_answer(asking, str_get(&out));
}
