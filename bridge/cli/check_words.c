/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What servers answer, seen in the wild (Synapse 1.163, Prosody 0.12, ejabberd 23.01), and what it means for the admin. The
 * first row whose step and needles fit explains an answer.
 */
#include "cli/check.h"

#include "base/str.h"

#include <string.h>

static const struct known rows[] = {
	{ STEP_TOKEN, "M_UNKNOWN_TOKEN", NULL, "the homeserver does not know our as_token",
		"let it load this very registration (app_service_config_files in homeserver.yaml), then restart it; it must be able to read the file" },
	{ STEP_TOKEN, "M_MISSING_TOKEN", NULL, "the homeserver saw no token: does a proxy drop the Authorization header?",
		"let homeserver.address name the homeserver itself" },
	{ STEP_MASK, "masquerade", NULL, "the registration that the homeserver loaded does not cover this name",
		"run \"sourdine registration\", restart the homeserver; homeserver.domain must be its server_name" },
	{ STEP_MASK, "M_EXCLUSIVE", NULL, "the registration that the homeserver loaded does not cover this name",
		"run \"sourdine registration\", then restart the homeserver" },
	{ STEP_PING, "M_CONNECTION_FAILED", "PartialDownloadError", "the answer to the ping had no length",
		"this is a fault of Sourdine, or of a proxy between: please report it" },
	{ STEP_MASK, "has not registered", NULL, "a ghost was used before it was registered", "this is a fault of Sourdine: please report it" },
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
	{ STEP_XMPP, "it does not say which", NULL, NULL,
		"ejabberd: under listen:, module ejabberd_service, hosts: must name this component, with the secret here as its password; "
		"\"sourdine registration\" prints the lines" },
	{ STEP_XMPP, "port for clients", NULL, NULL, "xmpp.port must be the server's port for components: 5347 on Prosody, that of "
		"ejabberd_service on ejabberd" },
	{ STEP_XMPP, "knows no such component", NULL, NULL, "add the Component block that \"sourdine registration\" prints, then restart the server" },
	{ STEP_XMPP, "knows no component", NULL, NULL, "add the Component block that \"sourdine registration\" prints, then restart the server" },
	{ STEP_XMPP, "refuses our secret", NULL, NULL, "make component_secret there and the secret here the same line, then restart the server" },
	{ STEP_XMPP, "conflict", NULL, "another component is connected under this name", "end the other one" },
	{ STEP_XMPP, "refused", NULL, "nobody listens there",
		"is the server running? Prosody opens the port only when a Component is configured, after a restart" },
	{ STEP_XMPP, "Temporary failure in name resolution", NULL, "no name server answers", "mend the name service, or let xmpp.host be a number" },
	{ STEP_XMPP, "Name or service not known", NULL, "there is no such host", "xmpp.host must name the XMPP server" },
	{ STEP_XMPP, "No address associated", NULL, "there is no such host", "xmpp.host must name the XMPP server" },
	{ STEP_XMPP, "cannot read the stream", NULL, "what answers there speaks no XMPP",
		"xmpp.port must be the server's port for components, 5347 unless it was changed" },
	{ STEP_XMPP, "did not answer", NULL, "something takes the connection and says nothing to us",
		"xmpp.port must be the server's port for components, 5347 unless it was changed" },
	{ STEP_XMPP, "closed the connection", NULL, "something takes the connection and ends it",
		"xmpp.port must be the server's port for components, 5347 unless it was changed; else the XMPP server's log says more" },
	{ STEP_ROOM, "remote-server-not-found", NULL, "the XMPP server finds no such service for rooms",
		"groups.*.xmpp must end with its domain: that of Component \"...\" \"muc\" on Prosody, hosts: of mod_muc on ejabberd" },
	{ STEP_ROOM, "remote domains", NULL, "the XMPP server has no such service for rooms, and may not ask other servers",
		"groups.*.xmpp must end with its domain: that of Component \"...\" \"muc\" on Prosody, hosts: of mod_muc on ejabberd" },
	{ STEP_ROOM, "remote-server-timeout", NULL, "the room's server does not answer ours", "is it running, and may ours connect to it (s2s)?" },
	{ STEP_ROOM, "room did not answer", NULL, NULL, "is its server running, and may ours connect to it (s2s)?" },
	{ STEP_ROOM, "registration-required", NULL, "it is for members only", "make the bot a member of the room" },
	{ STEP_ROOM, "members only", NULL, NULL, "make the bot a member of the room" },
	{ STEP_ROOM, "forbidden", NULL, "the bot is banned there", "lift the ban: somebody must take \"outcast\" from the bot's address, or its domain" },
	{ STEP_ROOM, "banned", NULL, NULL, "lift the ban: somebody must take \"outcast\" from the bot's address, or its domain" },
	{ STEP_ROOM, "not-authorized", NULL, "it wants a password", "take the password away: the bot knows none" },
	{ STEP_ROOM, "wants a password", NULL, NULL, "take the password away: the bot knows none" },
	{ STEP_ROOM, "not-allowed", NULL, "there is no such room, and the server does not let the bot make one",
		"make the room yourself, or let the component's domain make rooms" },
	{ STEP_ROOM, "conflict", NULL, "somebody else has the bot's nick there", "choose another xmpp.nick, or free that one" },
	{ STEP_ROOM, "service-unavailable", NULL, "it is full", "let it take more occupants" },
	{ STEP_ROOM, "room is full", NULL, NULL, "let it take more occupants" },
	{ STEP_ROOM, "destroyed", NULL, NULL, "name another room; the bot looks again after an hour" },
	{ STEP_ROOM, "not the address of a room", NULL, NULL, "groups.*.xmpp must be a bare JID such as team@rooms.example.org" },
};

const struct known *
check_find_known(enum step step, const char *text)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].step == step && strcasestr(text, rows[i].needle) && (!rows[i].also || strcasestr(text, rows[i].also)))
			return &rows[i];
	return NULL;
}
