/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request goes one way: both rooms entered, the asker's power seen, his code told, confirmed or over. Each has a row in `request`,
 * written in the turn that changes it.
 */
#include "core/plumb_inside.h"

#include "base/log.h"
#include "base/now.h"
#include "base/text.h"
#include "core/consent.h"
#include "core/notices.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CODE_MS (15 * 60 * 1000)
#define ENTER_MS (45 * 1000) /* that a room may take to let us in before the asker hears that it does not answer */
#define REQUESTS_OF_ONE_MAX 3

/* ---- rows ---- */

static void
save_request(struct plumb *plumb, const struct request *request)
{
	struct query query = store_query(plumb->core->store, REQUEST_SET);

	query_text(&query, request->code);
	query_int(&query, request->network);
	query_text(&query, request->person);
	query_text(&query, request->lane);
	query_text(&query, request->room);
	query_text(&query, request->source_id);
	query_text(&query, request->home);
	query_text(&query, request->away);
	query_int(&query, request->told);
	query_int(&query, request->expires_ms);
	query_run(&query);
}

static struct request *
add_request(struct plumb *plumb)
{
	struct request *request = xcalloc(1, sizeof(*request));

	request->asked_ms = now_monotonic_ms();
	list_append(&plumb->requests, &request->link);
	return request;
}

void
plumb_request_free(struct request *request)
{
	list_remove(&request->link);
	free(request->person);
	free(request->lane);
	free(request->room);
	free(request->source_id);
	free(request->home);
	free(request->away);
	free(request);
}

static void
drop_request(struct plumb *plumb, struct request *request)
{
	struct query query = store_query(plumb->core->store, REQUEST_END);

	query_text(&query, request->code);
	query_run(&query);
	plumb_request_free(request);
}

void
plumb_request_load(struct plumb *plumb)
{
	struct query query = store_query(plumb->core->store, REQUEST_ALL);

	while (query_step(&query)) {
		struct request *request = add_request(plumb);
		snprintf(request->code, sizeof(request->code), "%s", query_get_text(&query, 0));
		request->network = query_get_int(&query, 1) == NETWORK_XMPP ? NETWORK_XMPP : NETWORK_MATRIX;
		request->person = xstrdup(query_get_text(&query, 2));
		request->lane = xstrdup(query_get_text(&query, 3));
		request->room = xstrdup(query_get_text(&query, 4));
		request->source_id = xstrdup(query_get_text(&query, 5));
		request->home = xstrdup(query_get_text(&query, 6));
		request->away = xstrdup(query_get_text(&query, 7));
		request->told = query_get_int(&query, 8) != 0;
		request->expires_ms = query_get_int(&query, 9);
	}
	query_done(&query);
}

/* ---- asking ---- */

/* What kind of address a person wrote: a room id or alias, or a MUC's. */
static bool
network_of(const char *address, enum network *out)
{
	const char *at = strchr(address, '@'), *colon = strchr(address, ':');

	*out = *address == '!' || *address == '#' ? NETWORK_MATRIX : NETWORK_XMPP;
	if (strpbrk(address, " \t\n/\\\"'<>&") || strlen(address) > 255)
		return false;
	if (*out == NETWORK_MATRIX)
		return address[1] && (*address == '!' || (colon && colon > address + 1 && colon[1]));
	return at && at > address && at[1] && !strchr(at + 1, '@');
}

/* As servers write it: XMPP addresses and the server's part of an alias have no capitals (ASCII; the port does the rest). */
static char *
fold_address(const char *address)
{
	char *folded = xstrdup(address);
	char *from = *address == '!' || *address == '#' ? strchr(folded, ':') : folded;

	for (char *p = from; p && *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return folded;
}

static struct group *
named_group(struct plumb *plumb, const char *address)
{
	struct group *group = groups_wanting(&plumb->core->groups, address);

	return group && group->kind != GROUP_VISIT ? group : NULL;
}

static int
count_requests(struct plumb *plumb, const char *person)
{
	struct request *request;
	int count = 0;

	LIST_FOR_EACH(request, &plumb->requests, struct request, link)
		count += strcmp(request->person, person) == 0 && request->expires_ms > now_rules_ms();
	return count;
}

static void
make_request(struct plumb *plumb, const struct plumb_asker *asker, const char *home, const char *away)
{
	struct request *request = add_request(plumb);

	seal_random_text(request->code, PLUMB_CODE_LETTERS, "abcdefghjkmnpqrstuvwxyz");
	request->network = asker->network;
	request->person = xstrdup(asker->person);
	request->lane = xstrdup(asker->lane ? asker->lane : "");
	request->room = xstrdup(asker->room);
	request->source_id = xstrdup(asker->source_id);
	request->home = xstrdup(home);
	request->away = xstrdup(away);
	request->expires_ms = now_rules_ms() + CODE_MS;
	save_request(plumb, request);
	plumb->restless = true;
	log_info(LOG_RELAY, "plumbing asked for home=%s away=%s", home, away);
}

enum plumb_answer
plumb_ask(struct plumb *plumb, const struct plumb_asker *asker, const char *home, const char *away)
{
	AUTO_FREE char *folded_home = fold_address(home), *folded_away = fold_address(away);
	enum network home_network, away_network;

	if (!network_of(home, &home_network) || !network_of(away, &away_network))
		return PLUMB_NOT_AN_ADDRESS;
	if (home_network != asker->network || away_network == home_network)
		return PLUMB_SAME_NETWORK;
	if (named_group(plumb, folded_home))
		return PLUMB_TAKEN;
	if (named_group(plumb, folded_away))
		return PLUMB_TAKEN_OTHER;
	if (count_requests(plumb, asker->person) >= REQUESTS_OF_ONE_MAX)
		return PLUMB_TOO_MANY;
	make_request(plumb, asker, folded_home, folded_away);
	return PLUMB_FINE;
}

/* ---- towards the code ---- */

static void
tell_asker(struct plumb *plumb, const struct request *request, const char *what, const char *text)
{
	AUTO_FREE char *named = xasprintf("plumb %s %s", what, request->code);

	notices_tell(plumb->core, NULL, request->network, request->lane, request->room, request->source_id, named, text);
}

static const char *
entry_sentence(enum network network, enum refusal why)
{
	static const char *const table[2][REFUSAL_COUNT] = {
		[NETWORK_MATRIX] = {
			[REFUSAL_NOT_MEMBER] = N_("I may not enter {room}. Somebody there must invite {bot} first; then ask again."),
			[REFUSAL_ROOM_GONE] = N_("There is no room {room} that I could find. Please check its address."),
			[REFUSAL_BANNED] = N_("{room} has banned me. Somebody there must lift the ban on {bot}; then ask again."),
			[REFUSAL_ENCRYPTED] = N_("{room} is encrypted, and this bridge's administrator does not allow encrypted rooms."),
			[REFUSAL_PLAIN] = N_("{room} is not encrypted, and this bridge's administrator allows only encrypted rooms."),
		},
		[NETWORK_XMPP] = {
			[REFUSAL_NOT_MEMBER] = N_("{room} does not let me in: it is for members, or has a password. Somebody there must make {bot} a member, or invite it; then ask again."),
			[REFUSAL_ROOM_GONE] = N_("There is no room {room} that I could find. Please check its address."),
			[REFUSAL_BANNED] = N_("{room} has banned me. Somebody there must lift the ban on {bot}; then ask again."),
			[REFUSAL_NICK] = N_("In {room} somebody else has every nickname that I could take; one of its owners can set that right."),
		},
	};

	return table[network][why] ? table[network][why] : N_("I cannot enter {room}: {detail}");
}

static char *
fill_entry(struct plumb *plumb, enum network network, const char *room, enum refusal why, const char *detail)
{
	struct core *core = plumb->core;
	AUTO_FREE char *words = notices_quote(core->language, detail);
	AUTO_FREE char *one = str_fill(text_in(core->language, entry_sentence(network, why)), "room", room);
	AUTO_FREE char *two = str_fill(one, "bot", network == NETWORK_MATRIX ? core->matrix_bot : core->xmpp_bot);

	return str_fill(two, "detail", words);
}

static void
fail_entry(struct plumb *plumb, struct request *request, enum network network, const char *room, enum refusal why, const char *detail)
{
	AUTO_FREE char *text = fill_entry(plumb, network, room, why, detail);

	tell_asker(plumb, request, "refused", text);
	drop_request(plumb, request);
}

static void
fail_with(struct plumb *plumb, struct request *request, const char *msgid, const char *room)
{
	AUTO_FREE char *text = str_fill(text_in(plumb->core->language, msgid), "room", room);

	tell_asker(plumb, request, "refused", text);
	drop_request(plumb, request);
}

/* Its room id, once that is known. */
static void
rename_room(struct plumb *plumb, struct request *request, char **address, const struct group *group, enum network network)
{
	if (!*group->room[network] || strcmp(group->room[network], *address) == 0)
		return;
	free(*address);
	*address = xstrdup(group->room[network]);
	save_request(plumb, request);
}

enum step { STEP_WAIT, STEP_DONE, STEP_FAILED };

/* Works towards being in one of a request's rooms. After STEP_FAILED the request is gone. */
static enum step
step_into(struct plumb *plumb, struct request *request, char **address, enum network network)
{
	struct core *core = plumb->core;
	enum refusal why;

	if (named_group(plumb, *address)) {
		fail_with(plumb, request, N_("{room} is joined with another room already; a moderator there can end that with !sd unplumb."), *address);
		return STEP_FAILED;
	}
	struct visit *visit = plumb_visit_begin(plumb, network, *address, request->person, request->expires_ms - now_rules_ms());
	if (!visit) {
		fail_with(plumb, request, N_("I am visiting too many rooms already to enter {room} as well. Please ask again tomorrow, or ask the administrator."), *address);
		return STEP_FAILED;
	}
	const char *id = visit->group->room[network];
	if (visit->refused && *id && groups_of_room(&core->groups, id) != visit->group) {
		/* An alias of a room that is visited, or joined, under its own name: that counts. */
		visit->until_ms = 0;
		rename_room(plumb, request, address, visit->group, network);
		return STEP_WAIT;
	}
	if (visit->refused) {
		AUTO_FREE char *detail = xstrdup(visit->detail);
		visit->until_ms = 0;
		fail_entry(plumb, request, network, *address, visit->why, detail);
		return STEP_FAILED;
	}
	if (!visit->group->entered[network]) {
		struct port *port = core->port[network];
		if (now_monotonic_ms() - request->asked_ms > ENTER_MS) {
			fail_with(plumb, request, N_("{room} does not answer. Please ask again later; if that does not help, ask the administrator."), *address);
			return STEP_FAILED;
		}
		if (port && port->ops->enter)
			port->ops->enter(port, visit->group);
	}
	if (!visit->group->entered[network])
		return STEP_WAIT;
	if (consent_refuses(consent_of(core, visit->group), &why)) {
		visit->until_ms = 0;
		fail_entry(plumb, request, network, *address, why, NULL);
		return STEP_FAILED;
	}
	rename_room(plumb, request, address, visit->group, network);
	return STEP_DONE;
}

static void
give_code(struct plumb *plumb, struct request *request)
{
	const char *language = plumb->core->language;
	AUTO_FREE char *one = str_fill(text_in(language, N_("I am in {away} now. Within 15 minutes somebody who may change that room's settings says there: !sd confirm {code}")),
			"away", request->away);
	AUTO_FREE char *two = str_fill(one, "code", request->code);

	tell_asker(plumb, request, "code", two);
	request->told = true;
	save_request(plumb, request);
}

void
plumb_request_work(struct plumb *plumb, struct request *request)
{
	struct rights rights;

	if (request->expires_ms <= now_rules_ms()) {
		drop_request(plumb, request);
		return;
	}
	if (request->told || step_into(plumb, request, &request->home, request->network) != STEP_DONE)
		return;
	plumb_rights(plumb->core, request->network, request->home, request->person, &rights);
	if (!plumb_may(&rights)) {
		fail_with(plumb, request, rights.known ? N_("In {room} you may not change the room's settings, so you cannot join it with another.") :
				N_("I cannot tell who you are in {room}. Please say it in that room: !sd plumb, and the other room's address."), request->home);
		return;
	}
	if (step_into(plumb, request, &request->away, plumb_other(request->network)) == STEP_DONE)
		give_code(plumb, request);
}

/* ---- confirming ---- */

static struct request *
find_request(struct plumb *plumb, const char *code)
{
	struct request *request;
	char folded[PLUMB_CODE_LETTERS + 1] = "";

	for (size_t i = 0; i < PLUMB_CODE_LETTERS && code[i]; i++)
		folded[i] = (char)tolower((unsigned char)code[i]);
	if (strlen(code) != PLUMB_CODE_LETTERS)
		return NULL;
	LIST_FOR_EACH(request, &plumb->requests, struct request, link)
		if (request->told && request->expires_ms > now_rules_ms() && seal_same(request->code, folded))
			return request;
	return NULL;
}

static struct visit *
entered_visit(struct plumb *plumb, const char *address, enum network network)
{
	struct group *group = groups_of_room(&plumb->core->groups, address);
	struct visit *visit = group ? plumb_visit_find(plumb, group) : NULL;

	return visit && group->entered[network] && !visit->leaving_ms ? visit : NULL;
}

enum plumb_answer
plumb_confirm(struct plumb *plumb, const struct plumb_asker *asker, const char *room, const char *code, struct group **out)
{
	struct request *request = find_request(plumb, code);
	struct core *core = plumb->core;
	struct rights rights;

	/* A code said in the wrong place is not known there. */
	if (!request || plumb_other(request->network) != asker->network || (room && strcmp(room, request->away) != 0))
		return PLUMB_UNKNOWN_CODE;
	plumb_rights(core, asker->network, request->away, asker->person, &rights);
	if (!plumb_may(&rights))
		return rights.known ? PLUMB_NO_POWER : PLUMB_NOT_SEEN;
	plumb_rights(core, request->network, request->home, request->person, &rights);
	if (!plumb_may(&rights))
		return PLUMB_ASKER_LOST;
	if (named_group(plumb, request->home) || named_group(plumb, request->away))
		return PLUMB_TAKEN;
	struct visit *home = entered_visit(plumb, request->home, request->network);
	struct visit *away = entered_visit(plumb, request->away, asker->network);
	if (!home || !away)
		return PLUMB_NOT_THERE;
	*out = plumb_pair_join(plumb, home, away);
	plumb_pair_audit(core, request->person, *out, "plumb");
	plumb_pair_audit(core, asker->person, *out, "confirm");
	log_notice(LOG_RELAY, "plumbed group=%s matrix=%s xmpp=%s", (*out)->name, (*out)->room[NETWORK_MATRIX], (*out)->room[NETWORK_XMPP]);
	drop_request(plumb, request);
	plumb->restless = true;
	return PLUMB_FINE;
}
