/* SPDX-License-Identifier: Apache-2.0 */
/* The homeserver, from the outside inwards: does it answer, does it know our token, are the names ours, does it reach us. */
#include "cli/check.h"

#include "base/str.h"
#include "matrix/http.h"
#include "matrix/matrix.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
check_answer_fini(struct check_answer *answer)
{
	free(answer->text);
	json_decref(answer->json);
}

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

struct check_answer
check_request(const struct check *check, const char *method, const char *path, const char *user, const char *body)
{
	const struct matrix_settings settings = matrix_settings_of(check->config);
	struct check_answer answer = { 0 };
	int r = matrix_request(&settings, method, path, user, body, &answer.status, &answer.text, &answer.date_ms);

	if (r)
		answer.status = 0;
	else
		answer.json = json_read_answer(answer.text, strlen(answer.text));
	return answer;
}

/* What an unexpected answer comes to, in few words: its error, never its whole body. */
const char *
check_error_of(const struct check_answer *answer)
{
	const char *error = json_text(answer->json, "error"), *code = json_text(answer->json, "errcode");

	return error ? error : code ? code : answer->status ? "an answer that is no Matrix" : answer->text;
}

static void
complain(struct check *check, enum step step, const struct check_answer *answer, const char *what)
{
	const struct known *row = check_find_known(step, answer->text);

	if (row)
		check_say(check, LEVEL_FAIL, "homeserver", row->fix, "%s: %s (%s)", what, row->sentence, check_error_of(answer));
	else
		check_say(check, LEVEL_FAIL, "homeserver", "the homeserver's log says more", "%s: HTTP %ld: %s", what, answer->status,
				check_error_of(answer));
}

static bool
check_reachable(struct check *check)
{
	const char *address = check->config->homeserver.address;
	AUTO_ANSWER struct check_answer answer = check_request(check, "GET", "/_matrix/client/versions", NULL, NULL);

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
	AUTO_ANSWER struct check_answer answer = check_request(check, "GET", "/_matrix/client/v3/account/whoami", NULL, NULL);
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
	AUTO_ANSWER struct check_answer answer = check_request(check, "GET", "/_matrix/client/v3/account/whoami", user, NULL);

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

	if (check->rival) {
		check_say(check, LEVEL_FAIL, "homeserver", "end it, or name its state directory under state:",
				"another Sourdine with our tokens answers on %s port %d, with another state directory than %s", config->appservice.hostname,
				config->appservice.port, config->state);
		return;
	}
	if (check_leave(check, "homeserver"))
		return;
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
	AUTO_ANSWER struct check_answer answer = check_request(check, "POST", str_get(&path), NULL, "{}");
	str_fini(&path);
	check_responder_close(responder);
	if (answer.status == 200)
		check_say(check, LEVEL_OK, "homeserver", NULL, "it reaches us at %s", config->appservice.address);
	else
		complain(check, STEP_PING, &answer, "its ping fails");
}

/* A file in conf.d replaces the list of the one before it, and with it everybody's registrations. */
static void
check_lists(struct check *check)
{
	unsigned lists = check_count_lists("/etc/matrix-synapse");

	if (lists > 1)
		check_say(check, LEVEL_WARN, "homeserver", "keep one list app_service_config_files, with every registration in it",
				"%u files under /etc/matrix-synapse set app_service_config_files, and Synapse heeds only the last of them", lists);
}

void
check_homeserver(struct check *check)
{
	check_lists(check);
	if (!check->with_registration || !check_reachable(check) || !check_token(check))
		return;
	AUTO_FREE char *ghost = xasprintf("%scheck", check->config->appservice.ghosts);
	if (check_mask(check, check->config->appservice.bot) && check_mask(check, ghost))
		check_say(check, LEVEL_OK, "homeserver", NULL, "the names of the bot and of the ghosts are ours");
	check_ping(check);
}
