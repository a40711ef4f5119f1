/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The XMPP server. While the daemon runs its connection is left alone: a second one under the same name would throw it out,
 * so then the daemon's status must do.
 */
#include "cli/check.h"

#include "base/str.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
nobody_is_operator(void *context, const char *person)
{
	(void)context;
	(void)person;
	return 0;
}

struct jabber_settings
check_jabber_settings(const struct config *config)
{
	return (struct jabber_settings){
		.host = config->xmpp.host, .port = config->xmpp.port, .component = config->xmpp.component, .secret = config->xmpp.secret,
		.nick = config->xmpp.nick, .matrix_domain = config->homeserver.domain, .is_operator = nobody_is_operator,
	};
}

static void
complain_xmpp(struct check *check, const char *what, const char *detail)
{
	const struct known *row = check_find_known(STEP_XMPP, detail);

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

bool
check_is_remote(const char *host)
{
	struct in_addr four;
	struct in6_addr six;

	if (inet_pton(AF_INET, host, &four) == 1)
		return ntohl(four.s_addr) >> 24 != 127;
	if (inet_pton(AF_INET6, host, &six) == 1)
		return memcmp(&six, &in6addr_loopback, sizeof(six)) != 0;
	return strcmp(host, "localhost") != 0;
}

/* The server's own lines for letting our people upload. malloc'd. */
static char *
upload_fix(const struct jabber_upload *upload, const char *domain, const char *component)
{
	if (strcasestr(upload->server, "ejabberd"))
		return xasprintf("in ejabberd.yml: acl: { bridge: { server: \"%s\" } }, access_rules: { upload: [ { allow: local }, "
				"{ allow: bridge } ] }, and access: upload under mod_http_upload", component);
	return xasprintf("in prosody.cfg.lua, below Component \"%s\" \"http_file_share\": http_file_share_access = { \"%s\", \"%s\" } "
			"(the users' host too, or they are refused)", upload->service, domain, component);
}

/* The server's domain is not configured; it is that of our component's parent. */
static void
check_upload(struct check *check)
{
	const char *component = check->config->xmpp.component, *dot = strchr(component, '.');
	const struct jabber_settings settings = check_jabber_settings(check->config);
	struct jabber_upload upload;
	char detail[CHECK_DETAIL] = "";

	if (!dot)
		return;
	if (jabber_probe_upload(&settings, dot + 1, &upload, detail, sizeof(detail)) != JABBER_FINE)
		check_say(check, LEVEL_NOTE, "xmpp", NULL, "%s could not be asked for an upload service (%s)", dot + 1, detail);
	else if (!upload.service[0])
		check_say(check, LEVEL_NOTE, "xmpp", NULL, "%s names no upload service; files would cross as links", dot + 1);
	else if (upload.allowed)
		check_say(check, LEVEL_OK, "xmpp", NULL, "%s gives our people upload slots", upload.service);
	else {
		AUTO_FREE char *fix = upload_fix(&upload, dot + 1, component);
		check_say(check, LEVEL_WARN, "xmpp", fix, "%s refuses our people's uploads (%s); nothing is uploaded yet, files cross as links",
				upload.service, upload.refusal);
	}
}

static void
check_privacy(struct check *check)
{
	if (check_is_remote(check->config->xmpp.host))
		check_say(check, LEVEL_WARN, "xmpp", "run both on one machine, or put a tunnel (WireGuard, ssh -L) between and name its near end "
				"under xmpp.host", "the link to %s is not encrypted (XEP-0114 knows no encryption), and it leaves this machine",
				check->config->xmpp.host);
}

void
check_xmpp(struct check *check)
{
	const struct config *config = check->config;
	const struct jabber_settings settings = check_jabber_settings(config);
	char detail[CHECK_DETAIL] = "";

	check_privacy(check);
	if (check->daemon) {
		check_xmpp_by_status(check);
		return;
	}
	if (check->rival) {
		check_say(check, LEVEL_WARN, "xmpp", "end the other Sourdine first", "not looked at: it would throw the other Sourdine out");
		return;
	}
	if (check_leave(check, "xmpp"))
		return;
	if (!check->with_secret)
		return;
	AUTO_FREE char *what = xasprintf("%s on %s port %d", config->xmpp.component, config->xmpp.host, config->xmpp.port);
	enum jabber_probe result = jabber_probe(&settings, detail, sizeof(detail));
	check->unreachable |= result == JABBER_UNREACHABLE;
	if (result != JABBER_FINE) {
		complain_xmpp(check, what, detail);
		return;
	}
	check_say(check, LEVEL_OK, "xmpp", NULL, "%s: connected and accepted", what);
	check_upload(check);
}
