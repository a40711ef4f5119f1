/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two servers and their rooms. What a server answers is looked up in a table of answers that were seen in the wild,
 * so that the admin reads what to do rather than an error code. While the daemon runs its XMPP connection is left alone:
 * a second one under the same name would throw it out.
 */
#include "cli/check.h"

#include "base/str.h"
#include "matrix/http.h"
#include "matrix/matrix.h"
#include "xmpp/jabber.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DETAIL_MAX 512

enum step { STEP_TOKEN, STEP_MASK, STEP_PING, STEP_XMPP };

/* The first row whose step and needles fit an answer's text explains it. */
static const struct known {
	enum step step;
	const char *needle, *also; /* NULL: anything */
	const char *sentence, *fix; /* sentence NULL: the answer is one already */
} known[] = {
	{ STEP_TOKEN, "M_UNKNOWN_TOKEN", NULL, "the homeserver does not know our as_token",
		"let it load this very registration (app_service_config_files), then restart it" },
	{ STEP_TOKEN, "M_MISSING_TOKEN", NULL, "the homeserver saw no token: does a proxy drop the Authorization header?",
		"let homeserver.address name the homeserver itself" },
	{ STEP_MASK, "masquerade", NULL, "the registration that the homeserver loaded does not cover this name",
		"run \"sourdine registration\", restart the homeserver; homeserver.domain must be its server_name" },
	{ STEP_MASK, "M_EXCLUSIVE", NULL, "the registration that the homeserver loaded does not cover this name",
		"run \"sourdine registration\", then restart the homeserver" },
	{ STEP_PING, "M_CONNECTION_FAILED", "PartialDownloadError", "the answer to the ping had no length",
		"this is a fault of Sourdine, or of a proxy between: please report it" },
	{ STEP_PING, "M_CONNECTION_FAILED", NULL, "the homeserver cannot reach us at the registration's url",
		"appservice.address must lead from the homeserver to us: mind the port, and a container's own localhost" },
	{ STEP_PING, "M_CONNECTION_TIMEOUT", NULL, "the homeserver waited in vain at the registration's url",
		"appservice.address must lead from the homeserver to us: does a firewall drop it?" },
	{ STEP_PING, "M_BAD_STATUS", "403", "the homeserver has another hs_token than we",
		"let it load this very registration, then restart it" },
	{ STEP_PING, "M_BAD_STATUS", NULL, "somebody else answers at the registration's url", "appservice.address must lead to Sourdine" },
	{ STEP_PING, "M_FORBIDDEN", "Mismatching", "the registration that the homeserver loaded has another id",
		"let it load this very registration, then restart it" },
	{ STEP_PING, "M_URL_NOT_SET", NULL, "the registration that the homeserver loaded has no url",
		"run \"sourdine registration\", then restart the homeserver" },
	{ STEP_PING, "M_UNRECOGNIZED", NULL, "the homeserver is too old to be pinged", "Synapse 1.84 or newer can; this does no harm" },
	{ STEP_XMPP, "knows no component", NULL, NULL, "add the Component block that \"sourdine registration\" prints, and restart the "
		"server; xmpp.port must be its port for components (5347), not the one for clients" },
	{ STEP_XMPP, "refuses our secret", NULL, NULL, "make component_secret there and the secret here the same line; "
		"ejabberd answers so too when the component is missing from its ejabberd_service" },
	{ STEP_XMPP, "conflict", NULL, "another component is connected under this name", "end the other one" },
	{ STEP_XMPP, "refused", NULL, "nobody listens there",
		"is the server running? Prosody opens the port only when a Component is configured, after a restart" },
	{ STEP_XMPP, "Name or service not known", NULL, "there is no such host", "xmpp.host must name the XMPP server" },
};

static const struct known *
find_known(enum step step, const char *text)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].step == step && strcasestr(text, known[i].needle) && (!known[i].also || strcasestr(text, known[i].also)))
			return &known[i];
	return NULL;
}

/* ---- homeserver ---- */

/* One answer of the homeserver. */
struct answer {
	long status; /* 0: nobody answered */
	char *text;  /* owns; the body, or why nobody answered */
	json_t *json; /* owns; NULL when it is none */
};

static void
answer_fini(struct answer *answer)
{
	free(answer->text);
	json_decref(answer->json);
}

#define AUTO_ANSWER CLEANUP(answer_fini)

static int
nobody_is_operator(void *context, const char *person)
{
	(void)context;
	(void)person;
	return 0;
}

static struct matrix_settings
matrix_settings_of(const struct config *config)
{
	return (struct matrix_settings){
		.address = config->homeserver.address, .domain = config->homeserver.domain,
		.listen_host = config->appservice.hostname, .listen_port = config->appservice.port,
		.id = config->registration.id, .as_token = config->registration.as_token, .hs_token = config->registration.hs_token,
		.bot = config->appservice.bot, .ghosts = config->appservice.ghosts, .component = config->xmpp.component,
		.is_operator = nobody_is_operator,
	};
}

static struct answer
request(const struct check *check, const char *method, const char *path, const char *user, const char *body)
{
	const struct matrix_settings settings = matrix_settings_of(check->config);
	struct answer answer = { 0 };
	int r = matrix_request(&settings, method, path, user, body, &answer.status, &answer.text);

	if (r)
		answer.status = 0;
	else
		answer.json = json_read_answer(answer.text, strlen(answer.text));
	return answer;
}

/* What an unexpected answer comes to, in few words: its error, never its whole body. */
static const char *
error_of(const struct answer *answer)
{
	const char *error = json_text(answer->json, "error"), *code = json_text(answer->json, "errcode");

	return error ? error : code ? code : answer->status ? "an answer that is no Matrix" : answer->text;
}

static void
complain(struct check *check, enum step step, const struct answer *answer, const char *what)
{
	const struct known *row = find_known(step, answer->text);

	if (row)
		check_say(check, LEVEL_FAIL, "homeserver", row->fix, "%s: %s (%s)", what, row->sentence, error_of(answer));
	else
		check_say(check, LEVEL_FAIL, "homeserver", "the homeserver's log says more", "%s: HTTP %ld: %s", what, answer->status,
				error_of(answer));
}

static bool
check_reachable(struct check *check)
{
	const char *address = check->config->homeserver.address;
	AUTO_ANSWER struct answer answer = request(check, "GET", "/_matrix/client/versions", NULL, NULL);

	/* Synapse looks at the token even here; that it refuses it is said in the next step. */
	if ((answer.status == 200 && json_object_get(answer.json, "versions")) || json_text(answer.json, "errcode")) {
		check_say(check, LEVEL_OK, "homeserver", NULL, "%s answers", address);
		return true;
	}
	check->unreachable = true;
	if (!answer.status)
		check_say(check, LEVEL_FAIL, "homeserver", "is it running? homeserver.address must be its client-server API",
				"%s cannot be reached: %s", address, answer.text);
	else
		check_say(check, LEVEL_FAIL, "homeserver", "homeserver.address must be the homeserver's client-server API",
				"%s answers, but is no homeserver (HTTP %ld)", address, answer.status);
	return false;
}

/* The domain that the homeserver itself gives its users must be ours. */
static bool
check_token(struct check *check)
{
	AUTO_ANSWER struct answer answer = request(check, "GET", "/_matrix/client/v3/account/whoami", NULL, NULL);
	const char *user = json_text(answer.json, "user_id"), *colon = user ? strchr(user, ':') : NULL;

	if (answer.status != 200 || !colon) {
		complain(check, STEP_TOKEN, &answer, "our token is refused");
		return false;
	}
	if (strcmp(colon + 1, check->config->homeserver.domain) != 0) {
		check_say(check, LEVEL_FAIL, "homeserver", "write its server_name under homeserver.domain",
				"it calls itself %s, the configuration %s", colon + 1, check->config->homeserver.domain);
		return false;
	}
	check_say(check, LEVEL_OK, "homeserver", NULL, "our as_token is accepted");
	return true;
}

/* Whether we may act as this user. One who is not registered yet is fine: the daemon does that. */
static bool
check_mask(struct check *check, const char *localpart)
{
	AUTO_FREE char *user = config_mxid(check->config, localpart);
	AUTO_ANSWER struct answer answer = request(check, "GET", "/_matrix/client/v3/account/whoami", user, NULL);

	if (answer.status == 200 || (answer.status == 403 && strstr(answer.text, "has not registered")))
		return true;
	AUTO_FREE char *what = xasprintf("we may not act as %s", user);
	complain(check, STEP_MASK, &answer, what);
	return false;
}

static void
check_ping(struct check *check)
{
	const struct config *config = check->config;
	struct check_responder *responder = NULL;
	struct str path;

	int r = check->daemon ? 0 : check_responder_open(&responder, config);
	if (r) {
		check_say(check, LEVEL_FAIL, "homeserver", r == -EADDRINUSE ? "end the other program, or choose another appservice.port" :
				"appservice.hostname must be an address of this machine", "we cannot listen on %s port %d: %s",
				config->appservice.hostname, config->appservice.port, strerror(-r));
		return;
	}
	str_init(&path, 4096);
	str_add(&path, "/_matrix/client/v1/appservice/");
	http_add_escaped(&path, config->registration.id);
	str_add(&path, "/ping");
	AUTO_ANSWER struct answer answer = request(check, "POST", str_get(&path), NULL, "{}");
	str_fini(&path);
	check_responder_close(responder);
	if (answer.status == 200)
		check_say(check, LEVEL_OK, "homeserver", NULL, "it reaches us at %s", config->appservice.address);
	else
		complain(check, STEP_PING, &answer, "its ping fails");
}

void
check_homeserver(struct check *check)
{
	if (!check->with_registration || !check_reachable(check) || !check_token(check))
		return;
	AUTO_FREE char *ghost = xasprintf("%scheck", check->config->appservice.ghosts);
	if (check_mask(check, check->config->appservice.bot) && check_mask(check, ghost))
		check_say(check, LEVEL_OK, "homeserver", NULL, "the names of the bot and of the ghosts are ours");
	check_ping(check);
}

/* ---- XMPP ---- */

static struct jabber_settings
jabber_settings_of(const struct config *config)
{
	return (struct jabber_settings){
		.host = config->xmpp.host, .port = config->xmpp.port, .component = config->xmpp.component, .secret = config->xmpp.secret,
		.nick = config->xmpp.nick, .matrix_domain = config->homeserver.domain, .is_operator = nobody_is_operator,
	};
}

static void
complain_xmpp(struct check *check, const char *what, const char *detail)
{
	const struct known *row = find_known(STEP_XMPP, detail);

	if (row && row->sentence)
		check_say(check, LEVEL_FAIL, "xmpp", row->fix, "%s: %s (%s)", what, row->sentence, detail);
	else
		check_say(check, LEVEL_FAIL, "xmpp", row ? row->fix : "the XMPP server's log says more", "%s: %s", what, detail);
}

static void
check_xmpp_by_status(struct check *check)
{
	const json_t *xmpp = json_child(check->daemon, "xmpp");
	const char *failure = json_text(xmpp, "failure");

	if (failure)
		complain_xmpp(check, "the running daemon is refused", failure);
	else if (json_is_on(xmpp, "connected"))
		check_say(check, LEVEL_OK, "xmpp", NULL, "the running daemon is connected as %s (seen from its status)",
				check->config->xmpp.component);
	else
		check_say(check, LEVEL_FAIL, "xmpp", "its log says why", "the running daemon is not connected");
}

void
check_xmpp(struct check *check)
{
	const struct config *config = check->config;
	const struct jabber_settings settings = jabber_settings_of(config);
	char detail[DETAIL_MAX] = "";

	if (check->daemon) {
		check_xmpp_by_status(check);
		return;
	}
	if (!check->with_secret)
		return;
	AUTO_FREE char *what = xasprintf("%s on %s port %d", config->xmpp.component, config->xmpp.host, config->xmpp.port);
	enum jabber_probe result = jabber_probe(&settings, detail, sizeof(detail));
	if (result == JABBER_FINE)
		check_say(check, LEVEL_OK, "xmpp", NULL, "%s: connected and accepted", what);
	else
		complain_xmpp(check, what, detail);
	check->unreachable |= result == JABBER_UNREACHABLE;
}

/* ---- rooms ---- */

static struct answer
request_state(const struct check *check, const char *bot, const char *room, const char *type)
{
	struct str path;

	str_init(&path, 4096);
	str_add(&path, "/_matrix/client/v3/rooms/");
	http_add_escaped(&path, room);
	str_addf(&path, "/state/%s", type);
	struct answer answer = request(check, "GET", str_get(&path), bot, NULL);
	str_fini(&path);
	return answer;
}

static int64_t
level_of(const json_t *levels, const char *key, int64_t fallback)
{
	json_whole(levels, key, &fallback);
	return fallback;
}

/* What the ghosts need: a voice, and where the room is invite-only, a bot who may invite them. */
static void
check_power(struct check *check, const struct config_group *group, const char *room, const char *bot)
{
	AUTO_ANSWER struct answer levels = request_state(check, bot, room, "m.room.power_levels");
	AUTO_ANSWER struct answer rule = request_state(check, bot, room, "m.room.join_rules");
	AUTO_ANSWER struct answer encrypted = request_state(check, bot, room, "m.room.encryption");
	const json_t *users = json_child(levels.json, "users"), *events = json_child(levels.json, "events");
	int64_t plain = level_of(levels.json, "users_default", 0);
	int64_t speak = level_of(events, "m.room.message", level_of(levels.json, "events_default", 0));
	const char *joining = json_text(rule.json, "join_rule");

	if (encrypted.status == 200)
		check_say(check, LEVEL_FAIL, "rooms", "use a room without encryption", "%s: %s is encrypted, which this release cannot read",
				group->name, group->matrix);
	else if (plain < speak)
		check_say(check, LEVEL_FAIL, "rooms", "lower events_default, or raise users_default", "%s: the ghosts may not speak in %s",
				group->name, group->matrix);
	else if (!str_equal(joining, "public") && level_of(users, bot, plain) < level_of(levels.json, "invite", 0))
		check_say(check, LEVEL_FAIL, "rooms", "give it the power to invite", "%s: %s may not invite the ghosts into %s", group->name, bot,
				group->matrix);
	else
		check_say(check, LEVEL_OK, "rooms", NULL, "%s: the bot is in %s", group->name, group->matrix);
}

static bool
is_joined(struct check *check, const char *bot, const char *room)
{
	AUTO_ANSWER struct answer answer = request(check, "GET", "/_matrix/client/v3/joined_rooms", bot, NULL);
	const json_t *rooms = json_object_get(answer.json, "joined_rooms");
	size_t i;
	json_t *one;

	json_array_foreach(rooms, i, one)
		if (json_is_string(one) && strcmp(json_string_value(one), room) == 0)
			return true;
	return false;
}

/* The id of the room that an alias names; NULL (and said) when there is none. malloc'd. */
static char *
resolve(struct check *check, const struct config_group *group)
{
	struct str path;

	if (*group->matrix == '!')
		return xstrdup(group->matrix);
	str_init(&path, 4096);
	str_add(&path, "/_matrix/client/v3/directory/room/");
	http_add_escaped(&path, group->matrix);
	AUTO_ANSWER struct answer answer = request(check, "GET", str_get(&path), NULL, NULL);
	str_fini(&path);
	const char *room = json_text(answer.json, "room_id");
	if (answer.status == 200 && room)
		return xstrdup(room);
	if (answer.status == 404 && group->create)
		check_say(check, LEVEL_OK, "rooms", NULL, "%s: %s does not exist yet; the daemon makes it", group->name, group->matrix);
	else if (answer.status == 404)
		check_say(check, LEVEL_FAIL, "rooms", "correct the alias, or write create: true beside it", "%s: there is no room %s",
				group->name, group->matrix);
	else
		check_say(check, LEVEL_FAIL, "rooms", "the homeserver's log says more", "%s: %s cannot be looked up: HTTP %ld: %s", group->name,
				group->matrix, answer.status, error_of(&answer));
	return NULL;
}

static void
check_matrix_room(struct check *check, const struct config_group *group)
{
	AUTO_FREE char *bot = config_mxid(check->config, check->config->appservice.bot);
	AUTO_FREE char *room = resolve(check, group);

	if (!room)
		return;
	if (is_joined(check, bot, room)) {
		check_power(check, group, room, bot);
		return;
	}
	AUTO_FREE char *fix = xasprintf("invite %s there, unless the room is public", bot);
	check_say(check, check->daemon ? LEVEL_FAIL : LEVEL_WARN, "rooms", fix, "%s: the bot is not in %s", group->name, group->matrix);
}

static void
check_muc(struct check *check, const struct config_group *group)
{
	const struct jabber_settings settings = jabber_settings_of(check->config);
	char detail[DETAIL_MAX] = "";
	enum jabber_probe result = jabber_probe_room(&settings, group->xmpp, detail, sizeof(detail));

	if (result == JABBER_FINE)
		check_say(check, LEVEL_OK, "rooms", NULL, "%s: the bot can enter %s", group->name, group->xmpp);
	else
		check_say(check, LEVEL_FAIL, "rooms", "the room must let the bot in as a participant", "%s: %s: %s", group->name, group->xmpp,
				detail);
	check->unreachable |= result == JABBER_UNREACHABLE;
}

/* The daemon knows; asking the room ourselves would throw it out. */
static void
check_mucs_by_status(struct check *check)
{
	int64_t joined = 0, wanted = 0;

	for (size_t i = 0; i < check->config->group_count; i++)
		wanted += check->config->groups[i].xmpp != NULL;
	json_whole(json_child(check->daemon, "xmpp"), "joined", &joined);
	if (joined >= wanted)
		check_say(check, LEVEL_OK, "rooms", NULL, "the running daemon is in its %lld XMPP rooms (seen from its status)", (long long)wanted);
	else
		check_say(check, LEVEL_FAIL, "rooms", "its log says which and why", "the running daemon is in %lld of %lld XMPP rooms",
				(long long)joined, (long long)wanted);
}

static bool
homeserver_answers(struct check *check)
{
	AUTO_ANSWER struct answer answer = request(check, "GET", "/_matrix/client/v3/account/whoami", NULL, NULL);

	return answer.status == 200;
}

void
check_rooms(struct check *check)
{
	const struct config *config = check->config;
	bool matrix = check->with_registration && homeserver_answers(check);
	const struct jabber_settings settings = jabber_settings_of(config);
	char detail[DETAIL_MAX];
	bool xmpp = check->with_secret && !check->daemon && jabber_probe(&settings, detail, sizeof(detail)) == JABBER_FINE;

	for (size_t i = 0; i < config->group_count; i++) {
		if (config->groups[i].matrix && matrix)
			check_matrix_room(check, &config->groups[i]);
		if (config->groups[i].xmpp && xmpp)
			check_muc(check, &config->groups[i]);
	}
	if (check->daemon)
		check_mucs_by_status(check);
	if (!matrix || (!xmpp && !check->daemon))
		check_say(check, LEVEL_WARN, "rooms", "mend what stands above, or see \"sourdine check\" without an area",
				"the rooms of a server that refuses us could not be looked at");
}
