/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table `refusal` counts by person, room, reason and hour. The first few are told one by one, each in its place; what follows
 * in that hour is only counted, and told as a number when the hour is over.
 */
#include "core/refusals.h"

#include "base/now.h"
#include "base/text.h"
#include "core/decisions.h"
#include "core/inbox_rows.h"
#include "core/notices.h"
#include "core/outbox_rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_MS (3600 * 1000)
#define DAY_MS (24 * HOUR_MS)
#define TOLD_SINGLY 3
#define SWEEP_MAX 64

static const char *
sentence_of(enum refusal why)
{
	static const char *const sentences[REFUSAL_COUNT] = {
		[REFUSAL_NOT_MEMBER] = N_("Your message did not cross: the room on the other side admits members only."),
		[REFUSAL_MODERATED] = N_("Your message did not cross: the room on the other side does not let us speak there."),
		[REFUSAL_NICK] = N_("Your message did not cross: no nickname could be had for you on the other side."),
		[REFUSAL_TOO_BIG] = N_("Your message did not cross: it is too long. Please send it as a file or in pieces."),
		[REFUSAL_ROOM_GONE] = N_("Your message did not cross: the room on the other side no longer exists."),
		[REFUSAL_BANNED] = N_("Your message did not cross: the room on the other side has banned you."),
		[REFUSAL_POISON] = N_("Your message did not cross: it broke the connection to the other side three times and was set aside. The administrator can see that it was."),
		[REFUSAL_PARTED] = N_("Your message did not cross: the two rooms were parted while it waited."),
		[REFUSAL_ENCRYPTED] = N_("Your message did not cross: the Matrix room is encrypted, and this bridge's administrator does not allow that."),
		[REFUSAL_PLAIN] = N_("Your message did not cross: the Matrix room is not encrypted, and this bridge's administrator allows only encrypted ones."),
		[REFUSAL_UNENCRYPTED] = N_("Your message did not cross: this room is encrypted, and your message was not, so anybody's server could have written it. Please send it with a client that encrypts."),
		[REFUSAL_UNAGREED] = N_("Your message did not cross: for ten days no moderator agreed that what is said in the encrypted room may be read in the other one."),
		[REFUSAL_COPY] = N_("the rooms there are not encrypted as yours is, and no moderator there has agreed that it may be read in the clear."),
		[REFUSAL_OTHER] = N_("Your message did not cross: the other side refused it."),
	};

	return sentences[why];
}

/* The reason in words: with the far side's own where ours say nothing, and with the group's name where it was a copy. */
static char *
tell_why(struct core *core, const struct group *group, const struct decision *decision, const char *group_name, enum refusal why,
		const char *detail)
{
	const char *language = core_language(core, group);
	const char *sentence = text_in(language, sentence_of(why));
	AUTO_FREE char *quoted = why == REFUSAL_OTHER && detail ? notices_quote(language, detail) : NULL;
	AUTO_FREE char *reason = quoted ? xasprintf("%s (%s)", sentence, quoted) : xstrdup(sentence);

	if (strcmp(decision->group, group_name) == 0)
		return xstrdup(reason);
	AUTO_FREE char *copy = str_fill(text_in(language, N_("The copy for the group {group}: {reason}")), "group", group_name);
	return str_fill(copy, "reason", reason);
}

/* How many of this kind there were in this hour, this one included. The parts of a message are one. */
static int64_t
count(struct core *core, const struct decision *decision, const char *room, const char *group_name, enum refusal why)
{
	struct query query = store_query(core->store, REFUSAL_COUNT_ONE);
	int64_t hour = now_rules_ms() / HOUR_MS;

	query_text(&query, room);
	query_text(&query, decision->person);
	query_text(&query, group_name);
	query_int(&query, why);
	query_int(&query, hour);
	query_int(&query, decision->inbox_seq);
	query_run(&query);
	query = store_query(core->store, REFUSAL_GET);
	query_text(&query, room);
	query_text(&query, decision->person);
	query_text(&query, group_name);
	query_int(&query, why);
	query_int(&query, hour);
	int64_t n = query_step(&query) ? query_get_int(&query, 0) : 1;
	query_done(&query);
	return n;
}

/* Says it once for each message, group and reason. */
static void
tell(struct core *core, const struct group *group, const struct decision *decision, const struct inbox_row *row, const char *group_name,
		enum refusal why, const char *kind, const char *text)
{
	AUTO_FREE char *what = xasprintf("%s %s %d", kind, group_name, (int)why);

	notices_tell(core, group, row->network, notices_lane(core, decision, row->network), row->room, row->source_id, what, text);
}

void
refusals_note(struct core *core, int64_t seq, const char *group_name, enum refusal why, const char *detail)
{
	struct group *group = groups_find(&core->groups, group_name);
	struct decision decision;
	struct inbox_row row;

	if (!decisions_get(core->store, seq, &decision) || !inbox_get(core->inbox, seq, &row))
		return;
	if (count(core, &decision, row.room, group_name, why) <= TOLD_SINGLY) {
		AUTO_FREE char *text = tell_why(core, group, &decision, group_name, why, detail);
		tell(core, group, &decision, &row, group_name, why, "refused", text);
	}
	inbox_row_fini(&row);
}

/* ---- what was only counted ---- */

struct tally {
	char *group;
	enum refusal why;
	int64_t hour, more, seq;
};

static void
tell_tally(struct core *core, const struct tally *tally)
{
	const struct group *group = groups_find(&core->groups, tally->group);
	struct decision decision;
	struct inbox_row row;
	char number[24];

	if (tally->more <= 0 || !decisions_get(core->store, tally->seq, &decision) || !inbox_get(core->inbox, tally->seq, &row))
		return;
	snprintf(number, sizeof(number), "%" PRId64, tally->more);
	AUTO_FREE char *reason = tell_why(core, group, &decision, tally->group, tally->why, NULL);
	AUTO_FREE char *one = str_fill(text_in(core_language(core, group), N_("Within an hour {count} more of your messages did not cross, for the same reason. {reason}")),
			"count", number);
	AUTO_FREE char *text = str_fill(one, "reason", reason);
	tell(core, group, &decision, &row, tally->group, tally->why, "refused more", text);
	inbox_row_fini(&row);
}

void
refusals_work(struct core *core, int64_t now_ms)
{
	int64_t hour = now_ms / HOUR_MS;
	struct tally tallies[SWEEP_MAX];
	size_t n = 0;

	if (hour == core->refusals_hour)
		return;
	struct query query = store_query(core->store, REFUSAL_PAST);
	query_int(&query, hour);
	while (n < SWEEP_MAX && query_step(&query))
		tallies[n++] = (struct tally){
			.group = xstrdup(query_get_text(&query, 0)), .why = (enum refusal)query_get_int(&query, 1),
			.hour = query_get_int(&query, 2), .more = query_get_int(&query, 3) - TOLD_SINGLY, .seq = query_get_int(&query, 4),
		};
	query_done(&query);
	for (size_t i = 0; i < n; i++) {
		tell_tally(core, &tallies[i]);
		query = store_query(core->store, REFUSAL_END);
		query_int(&query, tallies[i].seq);
		query_int(&query, tallies[i].hour);
		query_text(&query, tallies[i].group);
		query_int(&query, tallies[i].why);
		query_run(&query);
		free(tallies[i].group);
	}
	if (n < SWEEP_MAX)
		core->refusals_hour = hour;
}

/* ---- digests ---- */

/* A room's digest is told in the other room, a person's in his own: where somebody who can mend it reads. Once a day. */
void
refusals_note_digest(struct core *core, const char *group_name, enum network network, const char *lane, const char *detail)
{
	struct group *group = groups_find(&core->groups, group_name);
	struct query query = store_query(core->store, SUBSCRIPTION_OF_LANE);
	char name[PEOPLE_NAME_MAX];

	query_text(&query, group_name);
	query_text(&query, lane);
	AUTO_FREE char *person = query_step(&query) ? xstrdup(query_get_text(&query, 0)) : NULL;
	query_done(&query);
	if (!group || !person || !notices_first_time(core, lane, person, "digest refused", now_rules_ms() / DAY_MS))
		return;
	bool of_room = strcmp(person, lane) == 0 && groups_of_room(&core->groups, lane) == group;
	enum network where = of_room ? network == NETWORK_MATRIX ? NETWORK_XMPP : NETWORK_MATRIX : network;
	const char *language = core_language(core, group);
	if (!people_name(core->people, group->room[network], person, name, sizeof(name)))
		snprintf(name, sizeof(name), "%s", lane);
	AUTO_FREE char *words = notices_quote(language, detail);
	AUTO_FREE char *one = str_fill(text_in(language, of_room ? N_("The digest for {name} could not be delivered: {words}") :
			N_("{name}: your digest could not be delivered: {words}. !sd mode live ends digests.")), "name", name);
	AUTO_FREE char *text = str_fill(one, "words", words);
	AUTO_FREE char *day = xasprintf("%" PRId64, now_rules_ms() / DAY_MS);
	const char *source[] = { "digest refused", lane, day, NULL };
	struct outbox_draft draft = {
		.outgoing = { .kind = OUTGOING_ROOM, .lane = group->room[where], .text = text },
		.network = where, .group = group->name, .source = source, .due_ms = now_rules_ms(),
	};
	if (*group->room[where] && !outbox_add_split(core->outbox, &draft))
		return;
}
