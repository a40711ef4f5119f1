/* SPDX-License-Identifier: Apache-2.0 */
/* Joining and parting rooms from chat: what is said around core/plumb_open.h. And how a group stands. */
#include "core/command_inside.h"

#include "base/now.h"
#include "base/text.h"
#include "core/consent.h"
#include "core/notices.h"
#include "core/plumb_open.h"
#include "core/speech.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- plumb ---- */

static struct plumb_asker
asker_of(const struct asking *asking)
{
	const struct incoming *in = asking->in;
	bool private = in->direct || (asking->row->network == NETWORK_XMPP && in->reply_address);

	return (struct plumb_asker){
		.network = asking->row->network, .person = in->author.person, .lane = private ? in->reply_address : NULL,
		.room = asking->row->room, .source_id = asking->row->source_id, .language = asking->language,
	};
}

static void
answer_plumb(struct asking *asking, enum plumb_answer answer)
{
	static const char *const sentences[] = {
		[PLUMB_NOT_AN_ADDRESS] = N_("That is no room's address. A Matrix room is called #name:server or !id:server, an XMPP room name@rooms.server. For instance: !sd plumb marketing@rooms.example.org"),
		[PLUMB_SAME_NETWORK] = N_("One of the rooms must be on Matrix and the other on XMPP, and yours must be on the network where you say so."),
		[PLUMB_TAKEN] = N_("This room is joined with another one already. !sd status says with which; a moderator can end that with !sd unplumb."),
		[PLUMB_TAKEN_OTHER] = N_("That room is joined with another one already; a moderator there can end that with !sd unplumb."),
		[PLUMB_TOO_MANY] = N_("You have asked for several rooms already. Please wait until those codes are used, or 15 minutes."),
		[PLUMB_UNKNOWN_CODE] = N_("That code is not known here, or too old. Whoever asked can ask again for a new one; it must be said in the room that he named."),
		[PLUMB_NO_POWER] = N_("In this room you may not change the room's settings, so you cannot join it with another."),
		[PLUMB_ASKER_LOST] = N_("Whoever asked for this is not in his room now, or may no longer change its settings. Please have somebody ask again."),
		[PLUMB_NOT_THERE] = N_("I am not in both rooms at the moment. Please say it again in a minute."),
		[PLUMB_NOT_SEEN] = N_("I cannot tell who you are in that room. Please say it in the room itself."),
	};

	command_answer(asking, command_say(asking, sentences[answer]));
}

/* The room of the asker's own: named, or the one that he speaks in. NULL: he must name it. */
static const char *
home_of(const struct asking *asking, const char *second)
{
	const struct incoming *in = asking->in;

	if (*second)
		return second;
	return in->direct ? in->direct_room : asking->row->room;
}

static bool
is_of(const char *address, enum network network)
{
	return (*address == '!' || *address == '#') == (network == NETWORK_MATRIX);
}

void
command_plumb(struct asking *asking)
{
	char *rest, *end;
	const char *away = command_take_word(asking->arguments, &rest), *second = command_take_word(rest, &end);
	struct plumb_asker asker = asker_of(asking);

	/* Of two rooms the asker's own is that on his network, in whichever order they stand. */
	if (*second && is_of(away, asker.network) && !is_of(second, asker.network)) {
		const char *swap = away;
		away = second;
		second = swap;
	}
	const char *home = home_of(asking, second);
	if (!*away || !home) {
		command_answer(asking, command_say(asking, *away ? N_("Please name both rooms: !plumb ROOM-OF-YOURS OTHER-ROOM. Or say !sd plumb OTHER-ROOM in your room.") :
				N_("Please name the room to join this one with, for instance: !sd plumb marketing@rooms.example.org, or from XMPP: !sd plumb #marketing:example.org")));
		return;
	}
	bool here = !*second;
	enum command_place place = here && asking->group ? PLACE_GROUP : here ? PLACE_VISIT : PLACE_NOWHERE;
	enum command_permit permit = command_judge(SCOPE_APART, here, place, command_moderates(asking), false);
	enum plumb_answer answer = PLUMB_FINE;
	if (permit == PERMIT_NO_POWER)
		answer = PLUMB_NO_POWER;
	else if (permit == PERMIT_JOINED)
		answer = PLUMB_TAKEN;
	else
		answer = plumb_ask(asking->core->plumb, &asker, home, away);
	if (answer != PLUMB_FINE)
		answer_plumb(asking, answer);
}

void
command_confirm(struct asking *asking)
{
	char *rest;
	const char *code = command_take_word(asking->arguments, &rest);
	struct plumb_asker asker = asker_of(asking);
	struct group *group = NULL;
	const char *room = asking->in->direct ? NULL : asking->row->room;
	enum plumb_answer answer = plumb_confirm(asking->core->plumb, &asker, room, code, &group);

	if (answer != PLUMB_FINE) {
		answer_plumb(asking, answer);
		return;
	}
	asking->group = group;
	command_answer_new(asking, str_fill(command_say(asking, N_("Done: both rooms are the group {name} now.")), "name", group->name));
}

/* ---- unplumb ---- */

struct counts {
	int64_t waiting, held, refused;
};

static struct counts
count_group(const struct core *core, const struct group *group)
{
	struct counts counts = { 0 };
	struct query query = store_query(core->store, OUTBOX_COUNTS_OF);

	query_text(&query, group->name);
	if (query_step(&query)) {
		counts.waiting = query_get_int(&query, 0);
		counts.held = query_get_int(&query, 1);
		counts.refused = query_get_int(&query, 2);
	}
	query_done(&query);
	return counts;
}

/* Fills a number; takes over nothing, gives a new text. */
static char *
fill_number(const char *text, const char *name, int64_t value)
{
	char number[24];

	snprintf(number, sizeof(number), "%" PRId64, value);
	return str_fill(text, name, number);
}

void
command_unplumb(struct asking *asking)
{
	struct group *group = asking->group;
	struct counts counts = count_group(asking->core, group);

	if (!asking->confirmed) {
		AUTO_FREE char *one = str_fill(command_say(asking, N_("{matrix} and {xmpp} would no longer be joined, and I would leave both. Messages that wait: {count}; they would not be delivered, and their authors told.")),
				"matrix", groups_call_room(group, NETWORK_MATRIX));
		AUTO_FREE char *two = str_fill(one, "xmpp", groups_call_room(group, NETWORK_XMPP));
		AUTO_FREE char *three = fill_number(two, "count", counts.waiting + counts.held);
		command_preview(asking, "unplumb", three);
		return;
	}
	AUTO_FREE char *done = str_fill(command_say(asking, N_("Done: the group {name} has ended.")), "name", group->name);
	plumb_end(asking->core->plumb, group, asking->in->author.person);
	command_answer(asking, done);
	asking->group = NULL;
}

/* ---- status ---- */

/* An instant of the computer's clock, as the rules' clock would show it. */
static void
say_since(const struct asking *asking, int64_t real_ms, char *out, size_t size)
{
	int64_t now_ms = now_rules_ms();

	speech_instant(asking->core, asking->group, now_ms - (now_real_ms() - real_ms), now_ms, out, size);
}

static char *
say_link(const struct asking *asking, enum network network, const struct standing *standing)
{
	char since[64] = "?";

	if (standing->connected && standing->inside)
		return xstrdup(command_say(asking, N_("the link stands")));
	if (standing->since_ms)
		say_since(asking, standing->since_ms, since, sizeof(since));
	if (!standing->connected && !standing->since_ms)
		return xstrdup(command_say(asking, N_("the server has not been reached since I started")));
	if (!standing->connected)
		return str_fill(command_say(asking, N_("the server has not been reachable since {since}")), "since", since);
	(void)network;
	AUTO_FREE char *words = notices_quote(asking->language, standing->trouble);
	return str_fill(command_say(asking, N_("I am not in the room now: {words}")), "words", words);
}

static void
add_side(const struct asking *asking, enum network network, struct str *out)
{
	const struct group *group = asking->group;
	struct port *port = asking->core->port[network];
	struct standing standing = { 0 };

	if (!*group->room[network] && !groups_lacks_room(group, network))
		return;
	if (port && port->ops->stand)
		port->ops->stand(port, group->room[network], &standing);
	AUTO_FREE char *link = say_link(asking, network, &standing);
	AUTO_FREE char *ghosts = fill_number(command_say(asking, N_("{count} people of the other side are shown there")), "count", standing.ghosts);
	str_addf(out, "\n%s %s%s%s; %s", network == NETWORK_MATRIX ? "Matrix" : "XMPP", groups_call_room(group, network), command_say(asking, N_(": ")), link,
			ghosts);
	if (standing.overflowing)
		str_addf(out, "; %s", command_say(asking, N_("there is no place for more, so I say the others' messages under their names")));
}

/* Open or closed, until when. */
static char *
say_openness(const struct asking *asking)
{
	const struct rules *rules = speech_rules(asking->group);
	int64_t now_ms = now_rules_ms(), change_ms = rules_next_change(rules, now_ms);
	bool open = rules_is_open(rules, now_ms);
	char when[64];

	if (change_ms == INT64_MAX)
		return xstrdup(command_say(asking, open ? N_("Open, without an end.") : N_("Closed; no opening is planned.")));
	speech_instant(asking->core, asking->group, change_ms, now_ms, when, sizeof(when));
	return str_fill(command_say(asking, open ? N_("Open until {when}.") : N_("Closed until {when}.")), "when", when);
}

static char *
say_counts(const struct asking *asking)
{
	struct counts counts = count_group(asking->core, asking->group);
	AUTO_FREE char *one = fill_number(command_say(asking, N_("Messages: {waiting} wait to be sent, {held} are held by a rule, {refused} were refused so far.")),
			"waiting", counts.waiting);
	AUTO_FREE char *two = fill_number(one, "held", counts.held);

	return fill_number(two, "refused", counts.refused);
}

/* How its Matrix room is encrypted, whose consent stands, and what cannot be read for now. */
static void
add_encryption(const struct asking *asking, struct str *out)
{
	const struct group *group = asking->group;
	struct port *port = asking->core->port[NETWORK_MATRIX];
	AUTO_FREE char *line = consent_say(asking->core, group);
	struct standing standing = { 0 };

	if (!*group->room[NETWORK_MATRIX])
		return;
	if (port && port->ops->stand)
		port->ops->stand(port, group->room[NETWORK_MATRIX], &standing);
	str_addf(out, "\n%s", line ? line : command_say(asking, N_("The Matrix room is not encrypted, as far as I know.")));
	if (!standing.keyless)
		return;
	AUTO_FREE char *keyless = fill_number(command_say(asking, N_("Encrypted messages that I cannot read yet, because their key has not come: {count}.")),
			"count", standing.keyless);
	str_addf(out, " %s", keyless);
}

void
command_status(struct asking *asking)
{
	const struct group *group = asking->group;
	AUTO_STR struct str out;
	AUTO_FREE char *head = str_fill(command_say(asking, group->kind == GROUP_PLUMBED ? N_("The group {name}, joined from chat:") :
			N_("The group {name}, joined by the configuration:")), "name", group->name);
	AUTO_FREE char *openness = say_openness(asking);
	AUTO_FREE char *counts = say_counts(asking);
	AUTO_FREE char *charter = group->revision ?
		fill_number(command_say(asking, N_("The charter is at revision {revision}; !sd rules shows it.")), "revision", group->revision) :
		xstrdup(command_say(asking, N_("There is no charter: everything is delivered at once.")));

	str_init(&out, 16384);
	str_add(&out, head);
	add_side(asking, NETWORK_MATRIX, &out);
	add_side(asking, NETWORK_XMPP, &out);
	add_encryption(asking, &out);
	str_addf(&out, "\n%s\n%s\n%s", openness, counts, charter);
	command_answer(asking, str_get(&out));
}
