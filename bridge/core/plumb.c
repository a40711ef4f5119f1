/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory holds what the tables `visit` and `request` hold, and every change is written in the turn that makes it. Ports only
 * leave notes (a flag on a group or a visit); plumb_work() draws the conclusions, so that no port is called back into from its
 * own callback. A request goes one way: both rooms entered, the asker's power seen, his code told, confirmed or over.
 */
#include "core/plumb_open.h"

#include "base/log.h"
#include "base/now.h"
#include "base/text.h"
#include "core/charters.h"
#include "core/digests.h"
#include "core/notices.h"
#include "core/outbox_rows.h"
#include "core/speech.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CODE_LETTERS 8
#define CODE_MS (15 * 60 * 1000)
#define ENTER_MS (45 * 1000)          /* that a room may take to let us in before the asker hears that it does not answer */
#define STAY_MS (24 * 3600 * 1000)    /* of a visit by invitation */
#define DRAIN_MS (60 * 1000)          /* that a visit's last words may take */
#define LEAVE_AGAIN_MS (5 * 1000)
#define LOOK_MS 500                   /* while something is under way */
#define VISITS_MAX 100
#define VISITS_OF_ONE_MAX 5
#define REQUESTS_OF_ONE_MAX 3
#define NAME_MAX_BYTES 56

struct visit {
	struct list link;    /* plumb::visits */
	struct group *group; /* lent; its only room is the visited one */
	enum network network;
	char *person;        /* who invited or asked */
	int64_t until_ms;    /* the rules' clock */
	bool hello;          /* says how to plumb when it is in */
	bool refused;        /* the port says so; not yet drawn conclusions from */
	enum refusal why;
	char *detail;        /* or NULL */
	bool left;           /* the port says so */
	int64_t leaving_ms;  /* monotonic: since when it is over; 0: it is not */
	int64_t asked_ms;    /* monotonic: when the port was last told to leave */
};

struct request {
	struct list link;    /* plumb::requests */
	char code[CODE_LETTERS + 1];
	enum network network; /* of the asker */
	char *person, *lane, *room, *source_id; /* who asked, and where he is answered */
	char *home, *away;   /* as they were written; room ids once they are known */
	bool told;           /* he has his code */
	int64_t expires_ms;  /* the rules' clock */
	int64_t asked_ms;    /* monotonic, of this process */
};

/* Somebody put us out of a room. */
struct expulsion {
	struct list link; /* plumb::expulsions */
	struct group *group;
	enum network network;
	enum refusal why;
};

struct plumb {
	struct core *core;
	struct list visits;     /* owns: visit::link */
	struct list requests;   /* owns: request::link */
	struct list expulsions; /* owns: expulsion::link */
	bool restless;          /* a port left a note */
	int64_t look_ms;        /* monotonic: not before */
};

static enum network
other(enum network network)
{
	return network == NETWORK_MATRIX ? NETWORK_XMPP : NETWORK_MATRIX;
}

/* ---- rows ---- */

static void
save_visit(struct plumb *plumb, const struct visit *visit)
{
	struct query query = store_query(plumb->core->store, VISIT_SET);
	const struct group *group = visit->group;

	query_text(&query, *group->room[visit->network] ? group->room[visit->network] : group->matrix_wanted);
	query_int(&query, visit->network);
	query_text(&query, visit->person);
	query_int(&query, visit->until_ms);
	query_int(&query, visit->hello);
	query_run(&query);
}

static void
erase_visit(struct plumb *plumb, const char *address)
{
	struct query query = store_query(plumb->core->store, VISIT_END);

	query_text(&query, address);
	query_run(&query);
}

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

static void
audit(struct core *core, const char *actor, const struct group *group, const char *verb)
{
	struct query query = store_query(core->store, AUDIT_ADD);

	query_int(&query, now_rules_ms());
	query_text(&query, actor);
	query_text(&query, group->name);
	query_text(&query, verb);
	query_int(&query, group->revision);
	query_int(&query, group->revision);
	query_run(&query);
}

/* ---- in memory ---- */

static struct visit *
add_visit(struct plumb *plumb, struct group *group, enum network network, const char *person, int64_t until_ms)
{
	struct visit *visit = xcalloc(1, sizeof(*visit));

	*visit = (struct visit){ .group = group, .network = network, .person = xstrdup(person), .until_ms = until_ms };
	list_append(&plumb->visits, &visit->link);
	return visit;
}

static struct visit *
find_visit(struct plumb *plumb, const struct group *group)
{
	struct visit *visit;

	LIST_FOR_EACH(visit, &plumb->visits, struct visit, link)
		if (visit->group == group)
			return visit;
	return NULL;
}

static void
free_visit(struct visit *visit)
{
	list_remove(&visit->link);
	free(visit->person);
	free(visit->detail);
	free(visit);
}

/* The visit is over without a word, or has become part of a group. */
static void
drop_visit(struct plumb *plumb, struct visit *visit)
{
	struct group *group = visit->group;

	erase_visit(plumb, group->room[visit->network]);
	if (group->matrix_wanted)
		erase_visit(plumb, group->matrix_wanted);
	groups_end(&plumb->core->groups, group);
	free_visit(visit);
}

static struct request *
add_request(struct plumb *plumb)
{
	struct request *request = xcalloc(1, sizeof(*request));

	request->asked_ms = now_monotonic_ms();
	list_append(&plumb->requests, &request->link);
	return request;
}

static void
free_request(struct request *request)
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
	free_request(request);
}

struct plumb *
plumb_open(struct core *core)
{
	struct plumb *plumb = xcalloc(1, sizeof(*plumb));

	plumb->core = core;
	list_init(&plumb->visits);
	list_init(&plumb->requests);
	list_init(&plumb->expulsions);
	return plumb;
}

void
plumb_close(struct plumb *plumb)
{
	struct visit *visit;
	struct request *request;
	struct expulsion *expulsion;

	if (!plumb)
		return;
	LIST_FOR_EACH(visit, &plumb->visits, struct visit, link)
		free_visit(visit);
	LIST_FOR_EACH(request, &plumb->requests, struct request, link)
		free_request(request);
	LIST_FOR_EACH(expulsion, &plumb->expulsions, struct expulsion, link) {
		list_remove(&expulsion->link);
		free(expulsion);
	}
	free(plumb);
}

/* ---- starting ---- */

/* What config.yaml says counts: a pair of which it has a room, or the name, stays out, and the log says so. */
static bool
is_in_the_way(struct core *core, const char *name, const char *matrix, const char *xmpp)
{
	const struct group *of_matrix = groups_wanting(&core->groups, matrix), *of_xmpp = groups_of_room(&core->groups, xmpp);
	const struct group *of_name = groups_find(&core->groups, name);

	if (!of_matrix && !of_xmpp && !of_name)
		return false;
	log_error(LOG_RELAY, "plumbed rooms stay apart: group \"%s\" of the configuration has %s group=%s matrix=%s xmpp=%s",
			(of_matrix ? of_matrix : of_xmpp ? of_xmpp : of_name)->name, of_matrix || of_xmpp ? "one of them" : "their name", name,
			matrix, xmpp);
	return true;
}

static void
load_groups(struct core *core)
{
	struct query query = store_query(core->store, PLUMBING_ALL);

	while (query_step(&query)) {
		const char *name = query_get_text(&query, 0), *matrix = query_get_text(&query, 1), *xmpp = query_get_text(&query, 2);
		if (!is_in_the_way(core, name, matrix, xmpp))
			groups_add(&core->groups, name, matrix, xmpp, false)->kind = GROUP_PLUMBED;
	}
	query_done(&query);
}

static void
load_visits(struct plumb *plumb)
{
	struct core *core = plumb->core;
	struct query query = store_query(core->store, VISIT_ALL);

	while (query_step(&query)) {
		const char *address = query_get_text(&query, 0);
		enum network network = query_get_int(&query, 1) == NETWORK_XMPP ? NETWORK_XMPP : NETWORK_MATRIX;
		if (groups_wanting(&core->groups, address))
			continue;
		struct visit *visit = add_visit(plumb, groups_visit(&core->groups, network, address), network, query_get_text(&query, 2),
				query_get_int(&query, 3));
		visit->hello = query_get_int(&query, 4) != 0;
	}
	query_done(&query);
}

static void
load_requests(struct plumb *plumb)
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

void
plumb_load(struct plumb *plumb)
{
	load_groups(plumb->core);
	load_visits(plumb);
	load_requests(plumb);
	plumb->restless = true;
}

/* ---- what ports say ---- */

void
plumb_entered(struct plumb *plumb, struct group *group, enum network network)
{
	if (!plumb)
		return;
	group->entered[network] = true;
	plumb->restless = true;
}

void
plumb_refused(struct plumb *plumb, struct group *group, enum network network, enum refusal why, const char *detail)
{
	struct visit *visit = plumb ? find_visit(plumb, group) : NULL;

	(void)network;
	if (!visit)
		return; /* a group's room is entered again and again; status says what is wrong */
	visit->refused = true;
	visit->why = why;
	free(visit->detail);
	visit->detail = xstrdup(detail);
	plumb->restless = true;
}

void
plumb_left(struct plumb *plumb, struct group *group, enum network network)
{
	struct visit *visit = plumb ? find_visit(plumb, group) : NULL;

	(void)network;
	if (!visit)
		return;
	visit->left = true;
	plumb->restless = true;
}

void
plumb_expelled(struct plumb *plumb, enum network network, const char *room, enum refusal why)
{
	struct group *group = plumb ? groups_of_room(&plumb->core->groups, room) : NULL;

	if (!group || group->kind == GROUP_CONFIGURED)
		return;
	struct expulsion *expulsion = xcalloc(1, sizeof(*expulsion));
	*expulsion = (struct expulsion){ .group = group, .network = network, .why = why };
	list_append(&plumb->expulsions, &expulsion->link);
	plumb->restless = true;
}

static bool
may_visit(struct plumb *plumb, const char *person)
{
	struct visit *visit;
	int all = 0, his = 0;

	LIST_FOR_EACH(visit, &plumb->visits, struct visit, link) {
		all++;
		his += strcmp(visit->person, person) == 0;
	}
	return all < VISITS_MAX && his < VISITS_OF_ONE_MAX;
}

/* Begins a visit, or makes an old one last longer. NULL: too many. */
static struct visit *
visit_room(struct plumb *plumb, enum network network, const char *address, const char *person, int64_t stay_ms)
{
	struct group *group = groups_wanting(&plumb->core->groups, address);
	struct visit *visit = group ? find_visit(plumb, group) : NULL;
	int64_t until_ms = now_rules_ms() + stay_ms;

	if (!visit && (group || !may_visit(plumb, person)))
		return NULL;
	if (visit && !visit->leaving_ms && visit->until_ms >= until_ms)
		return visit;
	if (!visit)
		visit = add_visit(plumb, groups_visit(&plumb->core->groups, network, address), network, person, until_ms);
	visit->until_ms = until_ms;
	visit->leaving_ms = 0;
	save_visit(plumb, visit);
	return visit;
}

struct group *
plumb_invited(struct plumb *plumb, enum network network, const char *room, const char *by)
{
	if (!plumb)
		return NULL;
	struct visit *visit = visit_room(plumb, network, room, by, STAY_MS);
	if (!visit) {
		log_notice(LOG_RELAY, "invitation not followed: too many rooms are being visited room=%s by=%s", room, by);
		return NULL;
	}
	visit->hello = true;
	save_visit(plumb, visit);
	plumb->restless = true;
	return visit->group;
}

/* ---- rights ---- */

void
plumb_rights(struct core *core, enum network network, const char *room, const char *person, struct rights *out)
{
	struct port *port = core->port[network];

	*out = (struct rights){ 0 };
	if (port && port->ops->rights)
		port->ops->rights(port, room, person, out);
}

bool
plumb_may(const struct rights *rights)
{
	return rights->operator || (rights->known && rights->moderator);
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

	seal_random_text(request->code, CODE_LETTERS, "abcdefghjkmnpqrstuvwxyz");
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

/* ---- what becomes of a request ---- */

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

	if (named_group(plumb, *address)) {
		fail_with(plumb, request, N_("{room} is joined with another room already; a moderator there can end that with !sd unplumb."), *address);
		return STEP_FAILED;
	}
	struct visit *visit = visit_room(plumb, network, *address, request->person, request->expires_ms - now_rules_ms());
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

static void
work_request(struct plumb *plumb, struct request *request)
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
	if (step_into(plumb, request, &request->away, other(request->network)) == STEP_DONE)
		give_code(plumb, request);
}

/* ---- confirming ---- */

static struct request *
find_request(struct plumb *plumb, const char *code)
{
	struct request *request;
	char folded[CODE_LETTERS + 1] = "";

	for (size_t i = 0; i < CODE_LETTERS && code[i]; i++)
		folded[i] = (char)tolower((unsigned char)code[i]);
	if (strlen(code) != CODE_LETTERS)
		return NULL;
	LIST_FOR_EACH(request, &plumb->requests, struct request, link)
		if (request->told && request->expires_ms > now_rules_ms() && seal_same(request->code, folded))
			return request;
	return NULL;
}

static bool
is_name_free(struct core *core, const char *name)
{
	struct query query = store_query(core->store, CHARTER_LAST);

	query_text(&query, name);
	bool chartered = query_step(&query);
	query_done(&query);
	query = store_query(core->store, PLUMBING_GET);
	query_text(&query, name);
	bool plumbed = query_step(&query);
	query_done(&query);
	return !chartered && !plumbed && !groups_find(&core->groups, name) && strcmp(name, "site") != 0;
}

/* The name that the same two rooms had before, so that their charter is theirs again; malloc'd or NULL. */
static char *
old_name(struct core *core, const char *matrix, const char *xmpp)
{
	struct query query = store_query(core->store, PLUMBING_OF);
	char *name = NULL;

	query_text(&query, matrix);
	query_text(&query, xmpp);
	if (query_step(&query))
		name = xstrdup(query_get_text(&query, 0));
	query_done(&query);
	if (name && groups_find(&core->groups, name)) {
		free(name);
		name = NULL;
	}
	return name;
}

/* A name as config.yaml would take it, out of the MUC's localpart, and one that nobody ever had. malloc'd. */
static char *
make_name(struct core *core, const char *xmpp)
{
	AUTO_FREE char *local = xstrndup(xmpp, strcspn(xmpp, "@"));
	AUTO_STR struct str base;

	str_init(&base, NAME_MAX_BYTES + 8);
	for (const unsigned char *p = (const unsigned char *)local; *p && (base.n < NAME_MAX_BYTES || (*p & 0xC0) == 0x80); p++)
		str_add_char(&base, isalnum(*p) || *p == '_' || *p & 0x80 || (*p == '-' && base.n) ? (char)*p : base.n ? '-' : '_');
	for (int i = 1;; i++) {
		char *name = i == 1 ? xstrdup(str_get(&base)) : xasprintf("%s-%d", str_get(&base), i);
		if (is_name_free(core, name))
			return name;
		free(name);
	}
}

static void
save_group(struct core *core, const struct group *group)
{
	struct query query = store_query(core->store, PLUMBING_SET);

	query_text(&query, group->name);
	query_text(&query, group->room[NETWORK_MATRIX]);
	query_text(&query, group->room[NETWORK_XMPP]);
	query_int(&query, now_rules_ms());
	query_run(&query);
}

/* Both visits become one group. Their gates stay as they are, so whatever was said before is past. */
static struct group *
join(struct plumb *plumb, struct visit *one, struct visit *two)
{
	struct core *core = plumb->core;
	struct visit *matrix = one->network == NETWORK_MATRIX ? one : two, *xmpp = matrix == one ? two : one;
	const char *room = matrix->group->room[NETWORK_MATRIX], *muc = xmpp->group->room[NETWORK_XMPP];
	AUTO_FREE char *kept = old_name(core, room, muc);
	AUTO_FREE char *name = kept ? NULL : make_name(core, muc);
	struct group *group = groups_add(&core->groups, kept ? kept : name, room, muc, false);
	char why[256];

	group->kind = GROUP_PLUMBED;
	save_group(core, group);
	drop_visit(plumb, matrix);
	drop_visit(plumb, xmpp);
	if (charters_join(core->charters, group, why, sizeof(why)))
		log_error(LOG_RULES, "plumbed group without its charter group=%s: %s", group->name, why);
	for (int network = NETWORK_MATRIX; network <= NETWORK_XMPP; network++)
		if (core->port[network] && core->port[network]->ops->enter)
			core->port[network]->ops->enter(core->port[network], group);
	return group;
}

static struct visit *
entered_visit(struct plumb *plumb, const char *address, enum network network)
{
	struct group *group = groups_of_room(&plumb->core->groups, address);
	struct visit *visit = group ? find_visit(plumb, group) : NULL;

	return visit && group->entered[network] && !visit->leaving_ms ? visit : NULL;
}

enum plumb_answer
plumb_confirm(struct plumb *plumb, const struct plumb_asker *asker, const char *room, const char *code, struct group **out)
{
	struct request *request = find_request(plumb, code);
	struct core *core = plumb->core;
	struct rights rights;

	/* A code said in the wrong place is not known there. */
	if (!request || other(request->network) != asker->network || (room && strcmp(room, request->away) != 0))
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
	*out = join(plumb, home, away);
	audit(core, request->person, *out, "plumb");
	audit(core, asker->person, *out, "confirm");
	log_notice(LOG_RELAY, "plumbed group=%s matrix=%s xmpp=%s", (*out)->name, (*out)->room[NETWORK_MATRIX], (*out)->room[NETWORK_XMPP]);
	drop_request(plumb, request);
	plumb->restless = true;
	return PLUMB_FINE;
}

/* ---- the end of a group ---- */

static void
say_in_room(struct core *core, const struct group *group, enum network network, const char *what, const char *text)
{
	char stamp[24];
	const char *source[] = { what, group->room[network], stamp, NULL };
	struct outbox_draft draft = {
		.outgoing = { .kind = OUTGOING_ROOM, .lane = group->room[network], .text = text },
		.network = network, .group = group->name, .source = source, .due_ms = now_rules_ms(),
	};

	snprintf(stamp, sizeof(stamp), "%" PRId64, now_real_ms());
	if (!outbox_add_split(core->outbox, &draft))
		log_warning(LOG_RELAY, "cannot say it room=%s what=%s", group->room[network], what);
}

/* How people call a room of the group. */
static const char *
room_name(const struct group *group, enum network network)
{
	bool alias = network == NETWORK_MATRIX && group->matrix_wanted && *group->matrix_wanted == '#';

	return alias ? group->matrix_wanted : group->room[network];
}

static void
end_digests(struct core *core, struct group *group)
{
	struct query query = store_query(core->store, SUBSCRIPTION_ALL);
	char **people = NULL;
	size_t count = 0;

	while (query_step(&query)) {
		if (strcmp(query_get_text(&query, 1), group->name) != 0)
			continue;
		people = xrealloc(people, (count + 1) * sizeof(*people));
		people[count++] = xstrdup(query_get_text(&query, 0));
	}
	query_done(&query);
	for (size_t i = 0; i < count; i++) {
		digests_unsubscribe(core->digests, group, people[i], now_rules_ms());
		free(people[i]);
	}
	free(people);
	query = store_query(core->store, ITEM_DROP);
	query_text(&query, group->name);
	query_int(&query, INT64_MAX);
	query_int(&query, 0);
	query_run(&query);
}

/* Rows of a lane or a group that will not be sent any more; their authors are told. */
static void
refuse_rows(struct core *core, enum statement statement, const char *key)
{
	struct query query = store_query(core->store, statement);
	int64_t *ids = NULL;
	size_t count = 0;

	query_text(&query, key);
	while (query_step(&query)) {
		ids = xrealloc(ids, (count + 1) * sizeof(*ids));
		ids[count++] = query_get_int(&query, 0);
	}
	query_done(&query);
	for (size_t i = 0; i < count; i++)
		outbox_refused(core->outbox, ids[i], REFUSAL_PARTED, NULL);
	free(ids);
}

static void
become_visit(struct plumb *plumb, const struct group *group, enum network network, const char *actor)
{
	struct core *core = plumb->core;
	const char *address = group->room[network];
	struct group *visited = groups_visit(&core->groups, network, address);
	struct visit *visit = add_visit(plumb, visited, network, actor, 0);

	visited->entered[network] = group->entered[network];
	save_visit(plumb, visit);
	if (core->port[network] && core->port[network]->ops->enter)
		core->port[network]->ops->enter(core->port[network], visited);
}

void
plumb_end(struct plumb *plumb, struct group *group, const char *actor)
{
	struct core *core = plumb->core;
	struct query query;

	refuse_rows(core, OUTBOX_WAITING_OF, group->name);
	end_digests(core, group);
	for (int network = NETWORK_MATRIX; network <= NETWORK_XMPP; network++) {
		AUTO_FREE char *text = str_fill(text_in(core_language(core, group), N_("This room is no longer joined with {room}. Goodbye.")), "room",
				room_name(group, other((enum network)network)));
		say_in_room(core, group, (enum network)network, "parted", text);
	}
	query = store_query(core->store, PLUMBING_END);
	query_int(&query, now_rules_ms());
	query_text(&query, group->name);
	query_run(&query);
	audit(core, actor, group, "unplumb");
	log_notice(LOG_RELAY, "unplumbed group=%s matrix=%s xmpp=%s", group->name, group->room[NETWORK_MATRIX], group->room[NETWORK_XMPP]);
	groups_end(&core->groups, group);
	become_visit(plumb, group, NETWORK_MATRIX, actor);
	become_visit(plumb, group, NETWORK_XMPP, actor);
	plumb->restless = true;
}

/* Who sends us away takes his room's consent back (S10). The other side is told why. */
static void
draw_expulsion(struct plumb *plumb, const struct expulsion *expulsion)
{
	struct core *core = plumb->core;
	struct group *group = groups_of_room(&core->groups, expulsion->group->room[expulsion->network]);
	enum network there = other(expulsion->network);

	if (group != expulsion->group)
		return;
	struct visit *visit = find_visit(plumb, group);
	if (visit) {
		visit->until_ms = 0;
		return;
	}
	AUTO_FREE char *text = str_fill(text_in(core_language(core, group), expulsion->why == REFUSAL_ROOM_GONE ?
			N_("{room} no longer exists, so this room is joined with it no more.") :
			N_("I was sent away from {room}, so this room is joined with it no more. To join them again, its moderators must let me in; then !sd plumb.")),
			"room", room_name(group, expulsion->network));
	say_in_room(core, group, there, "expelled", text);
	plumb_end(plumb, group, "system");
}

/* ---- visits ---- */

/* One line that says how to plumb. */
static void
say_hello(struct plumb *plumb, struct visit *visit)
{
	struct core *core = plumb->core;
	bool matrix = visit->network == NETWORK_MATRIX;
	AUTO_FREE char *text = str_fill(text_in(core->language, matrix ?
			N_("I join this room with an XMPP room when somebody who may change the room's settings says, for instance: !sd plumb marketing@{example}") :
			N_("I join this room with a Matrix room when one of its owners or admins says, for instance: !sd plumb #marketing:{example}")), "example",
			matrix ? "rooms.example.org" : "example.org");

	say_in_room(core, visit->group, visit->network, "hello", text);
	visit->hello = false;
	save_visit(plumb, visit);
}

static bool
is_drained(struct plumb *plumb, const struct visit *visit)
{
	struct query query = store_query(plumb->core->store, OUTBOX_OPEN_OF);

	query_text(&query, visit->group->room[visit->network]);
	bool open = query_step(&query);
	query_done(&query);
	return !open || now_monotonic_ms() - visit->leaving_ms > DRAIN_MS;
}

static void
leave(struct plumb *plumb, struct visit *visit)
{
	struct core *core = plumb->core;
	struct port *port = core->port[visit->network];
	int64_t now_ms = now_monotonic_ms();

	if (!visit->leaving_ms)
		visit->leaving_ms = now_ms;
	if (!is_drained(plumb, visit) || (visit->asked_ms && now_ms - visit->asked_ms < LEAVE_AGAIN_MS))
		return;
	visit->asked_ms = now_ms;
	if (!port || !port->ops->leave)
		visit->left = true;
	else
		port->ops->leave(port, visit->group);
}

static void
work_visit(struct plumb *plumb, struct visit *visit)
{
	struct core *core = plumb->core;
	bool entered = visit->group->entered[visit->network];

	if (visit->left) {
		log_info(LOG_RELAY, "left room=%s", visit->group->room[visit->network]);
		refuse_rows(core, OUTBOX_OPEN_OF, visit->group->room[visit->network]);
		drop_visit(plumb, visit);
		return;
	}
	if (entered && visit->group->fresh) {
		/* It was an alias: from now on it is called by its room id. */
		erase_visit(plumb, visit->group->matrix_wanted ? visit->group->matrix_wanted : "");
		save_visit(plumb, visit);
		visit->group->fresh = false;
	}
	if (entered && visit->hello && !visit->leaving_ms)
		say_hello(plumb, visit);
	if (visit->refused && visit->hello) /* an invitation that leads nowhere */
		visit->until_ms = 0;
	if (visit->until_ms <= now_rules_ms())
		leave(plumb, visit);
}

/* ---- greeting ---- */

/* What is joined with what; hours; what becomes of a message meanwhile; help (ecosystem 1.2). */
static char *
greeting(struct core *core, const struct group *group, enum network network)
{
	const char *language = core_language(core, group);
	bool always = rules_next_change(speech_rules(group), now_rules_ms()) == INT64_MAX && rules_is_open(speech_rules(group), now_rules_ms());
	AUTO_FREE char *hours = speech_hours(core, group, now_rules_ms());
	AUTO_FREE char *one = str_fill(text_in(language, N_("This room is joined with {room}: what is said here is read there, and the other way round.")),
			"room", room_name(group, other(network)));

	hours[strcspn(hours, "\n")] = '\0';
	return xasprintf("%s\n%s\n%s\n%s", one, hours, always ?
			text_in(language, N_("Moderators set quiet hours with, for instance: !sd hours mon-fri 9:00-18:00")) :
			text_in(language, N_("What is written while the group is closed may be kept and delivered later; its author is told when.")),
			text_in(language, N_("All that you can say to me: !sd help")));
}

static void
greet(struct core *core, struct group *group)
{
	group->greeted = true;
	if (!notices_first_time(core, group->room[NETWORK_MATRIX], group->room[NETWORK_XMPP], "greeting", 0))
		return;
	for (int network = NETWORK_MATRIX; network <= NETWORK_XMPP; network++) {
		AUTO_FREE char *text = greeting(core, group, (enum network)network);
		say_in_room(core, group, (enum network)network, "greeting", text);
	}
}

static void
greet_new(struct core *core)
{
	struct group *group;

	LIST_FOR_EACH(group, &core->groups.all, struct group, link)
		if (!group->greeted && group->entered[NETWORK_MATRIX] && group->entered[NETWORK_XMPP])
			greet(core, group);
}

/* ---- the turn ---- */

void
plumb_work(struct plumb *plumb, int64_t now_ms)
{
	struct request *request;
	struct visit *visit;

	(void)now_ms;
	if (!plumb->restless && (list_empty(&plumb->requests) || now_monotonic_ms() < plumb->look_ms) &&
			(list_empty(&plumb->visits) || now_monotonic_ms() < plumb->look_ms))
		return;
	plumb->restless = false;
	plumb->look_ms = now_monotonic_ms() + LOOK_MS;
	while (!list_empty(&plumb->expulsions)) {
		struct expulsion *expulsion = LIST_ENTRY(plumb->expulsions.next, struct expulsion, link);
		list_remove(&expulsion->link);
		draw_expulsion(plumb, expulsion);
		free(expulsion);
	}
	LIST_FOR_EACH(request, &plumb->requests, struct request, link)
		work_request(plumb, request);
	LIST_FOR_EACH(visit, &plumb->visits, struct visit, link)
		work_visit(plumb, visit);
	greet_new(plumb->core);
}

int64_t
plumb_wait_ms(const struct plumb *plumb)
{
	struct request *request;
	struct visit *visit;

	LIST_FOR_EACH(request, &plumb->requests, struct request, link)
		if (!request->told)
			return LOOK_MS;
	LIST_FOR_EACH(visit, &plumb->visits, struct visit, link)
		if (visit->leaving_ms || visit->until_ms <= now_rules_ms())
			return LOOK_MS;
	return plumb->restless ? 0 : -1;
}
