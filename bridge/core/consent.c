/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table `consent` is by the two rooms, so that neither a new name nor another room inherits it. The table `stopped` names groups
 * whose messages are not handed out; the outbox's queries look there. It is written in the turn in which a port says that a room is
 * encrypted, before anything is picked in that turn, and outlives the process. As long as a port does not know, nothing changes.
 */
#include "core/consent.h"

#include "base/log.h"
#include "base/now.h"
#include "base/text.h"
#include "core/digests.h"
#include "core/notices.h"
#include "core/outbox_rows.h"
#include "core/plumb_inside.h"

#include <stdlib.h>
#include <string.h>

#define HOUR_MS (3600 * 1000)
#define PATIENCE_MS ((int64_t)10 * 24 * HOUR_MS) /* decisions 3.5: what is held longer is held no more */
#define SWEEP_MAX 256

/* ---- how it stands ---- */

static enum encryption
encryption_of(struct core *core, const struct group *group)
{
	struct port *port = core->port[NETWORK_MATRIX];

	return port && port->ops->encryption && *group->room[NETWORK_MATRIX] ? port->ops->encryption(port, group->room[NETWORK_MATRIX]) :
		ENCRYPTION_UNKNOWN;
}

static bool
is_encrypted(enum encryption encryption)
{
	return encryption == ENCRYPTION_ON || encryption == ENCRYPTION_DENIED;
}

static bool
is_given(struct core *core, const struct group *group)
{
	if (group->agreed)
		return true;
	struct query query = store_query(core->store, CONSENT_GET);
	query_text(&query, group->room[NETWORK_MATRIX]);
	query_text(&query, group->room[NETWORK_XMPP]);
	return query_any(&query);
}

enum consent
consent_of(struct core *core, const struct group *group)
{
	enum encryption encryption = encryption_of(core, group);

	if (!is_encrypted(encryption))
		return encryption == ENCRYPTION_OFF && core->refuse_plain ? CONSENT_PLAIN : CONSENT_NEEDLESS;
	if (core->refuse_encrypted)
		return CONSENT_FORBIDDEN;
	if (!*group->room[NETWORK_XMPP])
		return CONSENT_NEEDLESS;
	return is_given(core, group) ? CONSENT_GIVEN : CONSENT_MISSING;
}

bool
consent_refuses(enum consent consent, enum refusal *why)
{
	*why = consent == CONSENT_PLAIN ? REFUSAL_PLAIN : REFUSAL_ENCRYPTED;
	return consent == CONSENT_PLAIN || consent == CONSENT_FORBIDDEN;
}

bool
consent_allows_copy(struct core *core, const struct group *from, const struct group *to)
{
	return !is_encrypted(encryption_of(core, from)) || is_encrypted(encryption_of(core, to)) || is_given(core, to);
}

bool
consent_trusts_plain(const struct core *core, const struct group *group)
{
	return group && group->trust ? group->trust == TRUST_ALL : core->trust_all;
}

/* ---- words ---- */

static char *
fill_rooms(struct core *core, const struct group *group, const char *msgid)
{
	AUTO_FREE char *one = str_fill(text_in(core_language(core, group), msgid), "matrix", groups_call_room(group, NETWORK_MATRIX));

	return str_fill(one, "xmpp", groups_call_room(group, NETWORK_XMPP));
}

static void
say_in_both(struct core *core, const struct group *group, const char *what, const char *msgid)
{
	AUTO_FREE char *text = fill_rooms(core, group, msgid);

	for (int network = NETWORK_MATRIX; network <= NETWORK_XMPP; network++)
		if (*group->room[network])
			plumb_pair_say(core, group, (enum network)network, what, text);
}

static const char *
stop_sentence(enum consent consent)
{
	static const char *const sentences[] = {
		[CONSENT_MISSING] = N_("{matrix} is encrypted, {xmpp} is not. Joined with each other, what is said in {matrix} can be read by the XMPP server, by everybody in {xmpp}, and by whoever runs this bridge. So nothing crosses, either way, until a moderator of one of the rooms agrees: !sd encrypted allow. What is said until then waits, and crosses afterwards."),
		[CONSENT_FORBIDDEN] = N_("{matrix} is encrypted, and this bridge's administrator does not allow encrypted rooms: nothing crosses between {matrix} and {xmpp}."),
		[CONSENT_PLAIN] = N_("{matrix} is not encrypted, and this bridge's administrator allows only encrypted rooms: nothing crosses between {matrix} and {xmpp}."),
	};

	return sentences[consent];
}

char *
consent_say(struct core *core, const struct group *group)
{
	static const char *const sentences[] = {
		[CONSENT_NEEDLESS] = N_("{matrix} is encrypted; whoever runs this bridge can read it."),
		[CONSENT_GIVEN] = N_("{matrix} is encrypted, {xmpp} is not: it was agreed that the XMPP server, everybody in {xmpp}, and whoever runs this bridge read what is said."),
		[CONSENT_MISSING] = N_("{matrix} is encrypted, {xmpp} is not: nothing crosses until a moderator of one of the rooms agrees with !sd encrypted allow."),
	};
	enum consent consent = consent_of(core, group);

	if (consent == CONSENT_NEEDLESS && !is_encrypted(encryption_of(core, group)))
		return NULL;
	return fill_rooms(core, group, consent > CONSENT_MISSING ? stop_sentence(consent) : sentences[consent]);
}

char *
consent_explain(struct core *core, const struct group *group)
{
	return fill_rooms(core, group, is_encrypted(encryption_of(core, group)) ?
		N_("{matrix} is encrypted, {xmpp} is not. If you agree, what is said in {matrix} can be read by the XMPP server, by everybody in {xmpp}, and by whoever runs this bridge; what waits crosses at once.") :
		N_("{matrix} is not encrypted. If you agree, the rules of groups whose rooms are encrypted may copy messages into this group, where both servers, everybody here, and whoever runs this bridge can read them. Should {matrix} become encrypted, it is agreed that it stays joined with {xmpp}."));
}

/* ---- stopping and going on ---- */

static bool
ask_group(struct core *core, enum statement statement, const struct group *group)
{
	struct query query = store_query(core->store, statement);

	query_text(&query, group->name);
	return query_any(&query);
}

static void
set_stopped(struct core *core, struct group *group, bool stopped)
{
	struct query query = store_query(core->store, stopped ? STOPPED_SET : STOPPED_END);

	query_text(&query, group->name);
	query_run(&query);
	group->stopped = stopped;
	plumb_pair_audit(core, "system", group, stopped ? "stopped" : "resumed");
	log_notice(LOG_RELAY, "%s group=%s matrix=%s", stopped ? "nothing crosses any more, by what is encrypted and what is not" :
		"messages cross again", group->name, group->room[NETWORK_MATRIX]);
	if (stopped)
		return;
	outbox_look(core->outbox);
	digests_plan(core->digests);
}

static bool
is_first_time(struct core *core, const struct group *group, const char *kind)
{
	return notices_first_time(core, group->room[NETWORK_MATRIX], group->room[NETWORK_XMPP], kind, 0);
}

static void
look_at(struct core *core, struct group *group)
{
	static const char *const kinds[] = { [CONSENT_MISSING] = "encrypted", [CONSENT_FORBIDDEN] = "encrypted forbidden", [CONSENT_PLAIN] = "plain" };
	enum encryption encryption = encryption_of(core, group);
	enum consent consent = consent_of(core, group);
	bool stop = consent >= CONSENT_MISSING;

	if (!group->stopped_known) {
		group->stopped = ask_group(core, STOPPED_GET, group);
		group->stopped_known = true;
	}
	if (encryption == ENCRYPTION_UNKNOWN)
		return;
	if (stop != group->stopped)
		set_stopped(core, group, stop);
	if (stop && *group->room[NETWORK_XMPP] && is_first_time(core, group, kinds[consent]))
		say_in_both(core, group, kinds[consent], stop_sentence(consent));
	if (encryption == ENCRYPTION_DENIED && is_first_time(core, group, "downgrade"))
		say_in_both(core, group, "downgrade",
				N_("{matrix} says that it is encrypted no more. Matrix knows no such way back, so it counts as encrypted for ever: I send nothing there in the clear."));
}

void
consent_work(struct core *core)
{
	struct group *group;

	LIST_FOR_EACH(group, &core->groups.all, struct group, link)
		look_at(core, group);
}

void
consent_recall(struct core *core)
{
	struct group *group;

	LIST_FOR_EACH(group, &core->groups.all, struct group, link)
		group->stopped_known = false;
}

void
consent_sweep(struct core *core, int64_t now_ms)
{
	int64_t overdue[SWEEP_MAX];
	size_t count = 0;

	if (now_ms / HOUR_MS == core->consent_hour)
		return;
	struct query query = store_query(core->store, STOPPED_OVERDUE);
	query_int(&query, now_ms - PATIENCE_MS);
	while (count < SWEEP_MAX && query_step(&query))
		overdue[count++] = query_get_int(&query, 0);
	query_done(&query);
	for (size_t i = 0; i < count; i++)
		outbox_refused(core->outbox, overdue[i], REFUSAL_UNAGREED, NULL);
	if (count < SWEEP_MAX)
		core->consent_hour = now_ms / HOUR_MS;
}

/* ---- by moderators ---- */

static void
write_consent(struct core *core, const struct group *group, const char *actor)
{
	struct query query = store_query(core->store, CONSENT_SET);

	query_text(&query, group->room[NETWORK_MATRIX]);
	query_text(&query, group->room[NETWORK_XMPP]);
	query_text(&query, actor);
	query_int(&query, now_rules_ms());
	query_run(&query);
}

void
consent_give(struct core *core, struct group *group, const char *actor)
{
	write_consent(core, group, actor);
	plumb_pair_audit(core, actor, group, "encrypted allow");
	look_at(core, group);
	if (consent_of(core, group) == CONSENT_GIVEN)
		say_in_both(core, group, "encrypted allow",
				N_("A moderator has agreed: what is said in {matrix}, which is encrypted, can be read by the XMPP server, by everybody in {xmpp}, and by whoever runs this bridge. A moderator ends that with !sd encrypted stop."));
}

void
consent_withdraw(struct core *core, struct group *group, const char *actor)
{
	struct query query = store_query(core->store, CONSENT_END);

	query_text(&query, group->room[NETWORK_MATRIX]);
	query_text(&query, group->room[NETWORK_XMPP]);
	query_run(&query);
	plumb_pair_audit(core, actor, group, "encrypted stop");
	look_at(core, group);
	if (consent_of(core, group) == CONSENT_MISSING)
		say_in_both(core, group, "encrypted stop",
				N_("A moderator has taken the consent back: nothing crosses between {matrix}, which is encrypted, and {xmpp}, which is not, until one agrees again: !sd encrypted allow. What is said until then waits."));
}
