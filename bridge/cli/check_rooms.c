/* SPDX-License-Identifier: Apache-2.0 */
/* The groups' rooms: may the bot in, may the ghosts speak, and can what is missed be read again. */
#include "cli/check.h"

#include "base/str.h"
#include "matrix/http.h"
#include "matrix/power.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct check_answer
request_state(const struct check *check, const char *bot, const char *room, const char *type)
{
	struct str path;

	str_init(&path, 4096);
	str_add(&path, "/_matrix/client/v3/rooms/");
	http_add_escaped(&path, room);
	str_addf(&path, "/state/%s", type);
	struct check_answer answer = check_request(check, "GET", str_get(&path), bot, NULL);
	str_fini(&path);
	return answer;
}

static int64_t
level_of(const json_t *levels, const char *key, int64_t fallback)
{
	json_whole(levels, key, &fallback);
	return fallback;
}

/* From room version 12 on he stands in no list, and may do everything. */
static bool
is_creator(const struct check *check, const char *bot, const char *room, const json_t *levels)
{
	AUTO_ANSWER struct check_answer creation = request_state(check, bot, room, "m.room.create?format=event");
	struct power power = { .levels = NULL };

	power_set_levels(&power, levels);
	power_set_creation(&power, creation.json);
	bool creator = power_is_creator(&power, bot);
	power_fini(&power);
	return creator;
}

/* What the ghosts need: a voice, and where the room is invite-only, a bot who may invite them. */
static void
check_power(struct check *check, const struct config_group *group, const char *room, const char *bot)
{
	AUTO_ANSWER struct check_answer levels = request_state(check, bot, room, "m.room.power_levels");
	AUTO_ANSWER struct check_answer rule = request_state(check, bot, room, "m.room.join_rules");
	AUTO_ANSWER struct check_answer encrypted = request_state(check, bot, room, "m.room.encryption");
	const json_t *users = json_child(levels.json, "users"), *events = json_child(levels.json, "events");
	int64_t plain = level_of(levels.json, "users_default", 0);
	int64_t speak = level_of(events, "m.room.message", level_of(levels.json, "events_default", 0));
	const char *joining = json_text(rule.json, "join_rule");

	if (encrypted.status == 200 && !check->config->encryption.allow)
		check_say(check, LEVEL_FAIL, "rooms", "use a room without encryption, or set encryption.allow",
				"%s: %s is encrypted, which encryption.allow refuses", group->name, group->matrix);
	else if (plain < speak)
		check_say(check, LEVEL_FAIL, "rooms", "lower events_default, or raise users_default", "%s: the ghosts may not speak in %s",
				group->name, group->matrix);
	else if (!str_equal(joining, "public") && level_of(users, bot, plain) < level_of(levels.json, "invite", 0) &&
			!is_creator(check, bot, room, levels.json))
		check_say(check, LEVEL_FAIL, "rooms", "give it the power to invite", "%s: %s may not invite the ghosts into %s", group->name, bot,
				group->matrix);
	else if (encrypted.status == 200 && !group->encrypted)
		check_say(check, LEVEL_NOTE, "rooms", "see !sd status there; groups.*.encrypted spares the question",
				"%s: %s is encrypted, nothing crosses until a moderator says !sd encrypted allow", group->name, group->matrix);
	else
		check_say(check, LEVEL_OK, "rooms", NULL, "%s: the bot is in %s", group->name, group->matrix);
}

static bool
is_joined(struct check *check, const char *bot, const char *room)
{
	AUTO_ANSWER struct check_answer answer = check_request(check, "GET", "/_matrix/client/v3/joined_rooms", bot, NULL);
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
	AUTO_ANSWER struct check_answer answer = check_request(check, "GET", str_get(&path), NULL, NULL);
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
				group->matrix, answer.status, check_error_of(&answer));
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

/* What a room cannot do costs something, and the admin should know what (xmpp.md 10). */
static void
check_features(struct check *check, const struct config_group *group, const struct jabber_room *facts)
{
	if (!facts->has_archive)
		check_say(check, LEVEL_WARN, "rooms", "Prosody: modules_enabled = { \"muc_mam\" } below the Component of the rooms; ejabberd: mod_mam, "
				"and mam: true under default_room_options; then switch the archive on in the room's configuration",
				"%s: %s keeps no archive: what is said while we are away is lost beyond the room's short history, and what was on its "
				"way when we stop (at most a few messages) may come twice", group->name, group->xmpp);
	else if (!facts->has_ids)
		check_say(check, LEVEL_WARN, "rooms", "let the server name them: Prosody 0.11 or ejabberd 18.12 and later do, with the archive on",
				"%s: %s gives its messages no stanza-ids, so that replies lose what they answer", group->name, group->xmpp);
}

/* `detail`: the room's own condition, or what the daemon's status makes of it. */
static void
complain_muc(struct check *check, const char *group, const char *room, const char *detail)
{
	const struct known *row = check_find_known(STEP_ROOM, detail);

	if (row && row->sentence)
		check_say(check, LEVEL_FAIL, "rooms", row->fix, "%s: %s: %s (%s)", group, room, row->sentence, detail);
	else
		check_say(check, LEVEL_FAIL, "rooms", row ? row->fix : "the room must let the bot in as a participant", "%s: %s: %s", group, room,
				detail);
}

static void
check_muc(struct check *check, const struct config_group *group)
{
	const struct jabber_settings settings = check_jabber_settings(check->config);
	struct jabber_room facts;
	char detail[CHECK_DETAIL] = "";
	enum jabber_probe result = jabber_probe_room(&settings, group->xmpp, &facts, detail, sizeof(detail));

	check->unreachable |= result == JABBER_UNREACHABLE;
	if (result != JABBER_FINE)
		complain_muc(check, group->name, group->xmpp, detail);
	else if (facts.visitor)
		check_say(check, LEVEL_FAIL, "rooms", "give the bot and the ghosts a voice (affiliation member), or let the room not be moderated",
				"%s: the bot has no voice in %s", group->name, group->xmpp);
	else
		check_say(check, LEVEL_OK, "rooms", NULL, facts.exists ? "%s: the bot can enter %s" : "%s: %s does not exist yet; the daemon makes it",
				group->name, group->xmpp);
	if (result == JABBER_FINE && facts.exists)
		check_features(check, group, &facts);
}

/* The daemon knows; asking the room ourselves would throw it out. */
static void
check_mucs_by_status(struct check *check)
{
	size_t i, out = 0;
	json_t *group;

	json_array_foreach(json_object_get(check->daemon, "groups"), i, group) {
		const char *trouble = json_text(group, "xmpp_trouble");
		if (!trouble)
			continue;
		out++;
		AUTO_FREE char *detail = xasprintf("the running daemon is not in it: %s", trouble);
		complain_muc(check, json_text(group, "name"), json_text(group, "xmpp"), detail);
	}
	if (!out)
		check_say(check, LEVEL_OK, "rooms", NULL, "the running daemon is in its XMPP rooms (seen from its status)");
}

static bool
homeserver_answers(struct check *check)
{
	AUTO_ANSWER struct check_answer answer = check_request(check, "GET", "/_matrix/client/v3/account/whoami", NULL, NULL);

	return answer.status == 200;
}

void
check_rooms(struct check *check)
{
	const struct config *config = check->config;
	bool matrix = check->with_registration && homeserver_answers(check);
	const struct jabber_settings settings = check_jabber_settings(config);
	char detail[CHECK_DETAIL];
	bool xmpp = check->with_secret && !check->daemon && !check->rival && !check->silent && jabber_probe(&settings, detail, sizeof(detail)) == JABBER_FINE;

	for (size_t i = 0; i < config->group_count; i++) {
		if (config->groups[i].matrix && matrix)
			check_matrix_room(check, &config->groups[i]);
		if (config->groups[i].xmpp && xmpp)
			check_muc(check, &config->groups[i]);
	}
	if (check->daemon)
		check_mucs_by_status(check);
	if (check_leave(check, "rooms"))
		return;
	if (!matrix || (!xmpp && !check->daemon))
		check_say(check, LEVEL_WARN, "rooms", "mend what stands above, or see \"sourdine check\" without an area",
				"the rooms of a server that refuses us could not be looked at");
}
