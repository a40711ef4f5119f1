/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration: what is refused, in which words and at which place, and what a good file becomes. */
#include "base/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/sourdine-config-XXXXXX";
static char path[64], where[64];

#define HOMESERVER "homeserver: {address: 'http://127.0.0.1:8008/', domain: example.org}\n"
#define APPSERVICE "appservice: {address: 'http://127.0.0.1:9996'}\n"
#define XMPP "xmpp: {component: sourdine.example.org, secret: shh}\n"
#define MINIMAL HOMESERVER APPSERVICE XMPP "state: state\n"

static void
put(const char *name, const char *text)
{
	snprintf(where, sizeof(where), "%s/%s", directory, name);
	FILE *file = fopen(where, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static const char *
in_directory(const char *name)
{
	snprintf(where, sizeof(where), "%s/%s", directory, name);
	return where;
}

static struct config *
read_good(const char *text)
{
	struct config *config = NULL;
	char why[CONFIG_WHY] = "";

	put("config.yaml", text);
	int r = config_read(&config, path, why, sizeof(why));
	assert_string_equal(why, "");
	assert_int_equal(r, 0);
	return config;
}

/* `expected` is the complaint after the directory. */
static void
refuse(const char *text, const char *expected)
{
	struct config *config = NULL;
	char why[CONFIG_WHY] = "", whole[CONFIG_WHY];

	put("config.yaml", text);
	assert_int_equal(config_read(&config, path, why, sizeof(why)), CONFIG_E_BAD);
	assert_null(config);
	snprintf(whole, sizeof(whole), "%s%s", path, expected);
	assert_string_equal(why, whole);
}

static void
test_minimal(void **state)
{
	(void)state;
	struct config *config = read_good(MINIMAL);

	assert_string_equal(config->homeserver.address, "http://127.0.0.1:8008");
	assert_string_equal(config->appservice.hostname, "127.0.0.1");
	assert_int_equal(config->appservice.port, 9996);
	assert_string_equal(config->appservice.registration, in_directory("registration.yaml"));
	assert_string_equal(config->appservice.bot, "sourdine");
	assert_string_equal(config->appservice.ghosts, "_xmpp_");
	assert_string_equal(config->xmpp.host, "127.0.0.1");
	assert_int_equal(config->xmpp.port, 5347);
	assert_string_equal(config->xmpp.secret, "shh");
	assert_string_equal(config->xmpp.nick, "Sourdine");
	assert_string_equal(config->state, in_directory("state"));
	assert_string_equal(config->charters, in_directory("charters"));
	assert_string_equal(config->master_key_file, in_directory("state/master.key"));
	assert_false(config->master_key_given);
	assert_string_equal(config->language, "en");
	assert_int_equal(config->metrics.port, 0);
	assert_true(config->encryption.allow);
	assert_false(config->encryption.require);
	assert_string_equal(config->encryption.trust, "cross-signed");
	assert_int_equal(config->limits.ghosts, 200);
	assert_int_equal(config->limits.idle_hours, 14 * 24);
	assert_int_equal(config->group_count, 0);
	assert_false(config_is_admin(config, "@admin:example.org"));
	config_free(config);
}

static void
test_everything(void **state)
{
	(void)state;
	struct config *config = read_good("homeserver:\n  address: https://matrix.example.org\n  domain: example.org:8448\n"
		"appservice: {address: 'http://[::1]:1', hostname: '::1', port: 65535, registration: /elsewhere/r.yaml, bot: b, ghosts: g_}\n"
		"xmpp: {host: xmpp.example.org, port: 1, component: c.example.org, secret_file: s, nick: Été}\n"
		"state: /var/lib/x\ncharters: /c\nlanguage: fr\nmaster_key_file: k\n"
		"permissions:\n  '@a:example.org': admin\n  xmpp:b@example.org: admin\n"
		"metrics: {port: 9997}\nlimits: {ghosts: 0, idle: 36h}\n"
		"encryption: {allow: false, require: true, trust: all}\n"
		"groups:\n  équipe-1:\n    matrix: '!abc'\n    xmpp: a@b\n    create: true\n    encrypted: allow\n    trust: cross-signed\n  two: {xmpp: c@d}\n  three: {matrix: '#t:h', create: false}\n");

	assert_string_equal(config->homeserver.domain, "example.org:8448");
	assert_string_equal(config->appservice.registration, "/elsewhere/r.yaml");
	assert_int_equal(config->appservice.port, 65535);
	assert_string_equal(config->xmpp.secret_file, in_directory("s"));
	assert_null(config->xmpp.secret);
	assert_string_equal(config->master_key_file, in_directory("k"));
	assert_true(config->master_key_given);
	assert_string_equal(config->metrics.hostname, "127.0.0.1");
	assert_int_equal(config->metrics.port, 9997);
	assert_int_equal(config->limits.ghosts, 0);
	assert_int_equal(config->limits.idle_hours, 36);
	assert_true(config_is_admin(config, "@a:example.org"));
	assert_true(config_is_admin(config, "xmpp:b@example.org"));
	assert_false(config_is_admin(config, "b@example.org"));
	assert_int_equal(config->group_count, 3);
	assert_string_equal(config->groups[0].name, "équipe-1");
	assert_string_equal(config->groups[0].matrix, "!abc");
	assert_string_equal(config->groups[0].xmpp, "a@b");
	assert_true(config->groups[0].create);
	assert_false(config->encryption.allow);
	assert_true(config->encryption.require);
	assert_string_equal(config->encryption.trust, "all");
	assert_string_equal(config->groups[0].encrypted, "allow");
	assert_string_equal(config->groups[0].trust, "cross-signed");
	assert_null(config->groups[1].encrypted);
	assert_null(config->groups[1].trust);
	assert_null(config->groups[1].matrix);
	assert_null(config->groups[2].xmpp);
	assert_false(config->groups[2].create);
	AUTO_FREE char *mxid = config_mxid(config, "x");
	assert_string_equal(mxid, "@x:example.org:8448");
	config_free(config);
}

static const struct {
	const char *text, *complaint;
} refused[] = {
	/* keys */
	{ MINIMAL "adress: x\n", ":5:1: unknown key \"adress\", did you mean \"homeserver.address\"?" },
	{ "homeserver:\n  adress: x\n", ":2:3: unknown key \"adress\", did you mean \"address\"?" },
	{ "homeserver:\n  port: 1\n", ":2:3: unknown key \"port\", did you mean \"appservice.port\"?" },
	{ "homserver:\n  address: x\n", ":1:1: unknown key \"homserver\", did you mean \"homeserver\"?" },
	{ "domain: example.org\n", ":1:1: unknown key \"domain\", did you mean \"homeserver.domain\"?" },
	{ "homeserver.domain: example.org\n", ":1:1: unknown key \"homeserver.domain\"" },
	{ "groups.*.matrix: example.org\n", ":1:1: unknown key \"groups.*.matrix\"" },
	{ "zzzzzzzzzz: 1\n", ":1:1: unknown key \"zzzzzzzzzz\"" },
	{ "state: a\nstate: b\n", ":2:1: \"state\" stands here twice (first in line 1)" },
	{ "secret:abc: x\n", ":1:1: unknown key \"secret\"" }, /* what was to be its value is not shown */
	{ "xmpp: {port: 1, host: a, port: 2}\n", ":1:26: \"port\" stands here twice (first in line 1)" },
	{ "xmpp: {port: 1}\nstate: a\nxmpp: {host: a}\n", ":3:1: \"xmpp\" stands here twice (first in line 1)" },
	{ "groups:\n  a: {xmpp: a@b}\n  a: {xmpp: c@d}\n", ":3:3: \"a\" stands here twice (first in line 2)" },
	{ "groups:\n  a: {xmpp: a@b, matirx: '#a:b'}\n", ":2:18: unknown key \"matirx\", did you mean \"matrix\"?" },
	{ "groups:\n  a: {xmpp: a@b, hours: x}\n", ":2:18: unknown key \"hours\"" },
	{ "permissions: {'@a:b': admin, '@a:b': admin}\n", ":1:30: \"@a:b\" stands here twice (first in line 1)" },
	{ "[a, b]: c\n", ":1:1: a key must be a word" },
	{ "media: {allow: true}\n", ":1:1: \"media\" is not yet known to this release" },
	{ "encryption: {trust: some}\n", ":1:21: \"trust\" must be cross-signed or all" },
	{ "encryption: {allow: yes}\n", ":1:21: \"allow\" must be true or false" },
	{ "groups:\n  a: {xmpp: a@b, encrypted: 'true'}\n", ":2:29: \"encrypted\" must be allow: without it a moderator is asked" },
	{ "<<: {state: x}\n", ":1:1: unknown key \"<<\"" },
	/* kinds */
	{ "state: [a]\n", ":1:8: \"state\" must be one value, not a list" },
	{ "state: {a: b}\n", ":1:8: \"state\" must be one value, not a section" },
	{ "state:\n", ":1:7: \"state\" has no value" },
	{ "state: ~\n", ":1:8: \"state\" has no value" },
	{ "state: \"a\\0b\"\n", ":1:8: \"state\" holds control characters" },
	{ "state: \"a\\x1bb\"\n", ":1:8: \"state\" holds control characters" },
	{ "homeserver: x\n", ":1:13: \"homeserver\" must be a section" },
	{ "groups: x\n", ":1:9: \"groups\" must be a section" },
	{ "groups: {a: x}\n", ":1:13: group \"a\" must be a section with matrix and xmpp" },
	{ "groups:\n  a: {xmpp: a@b, create: yes}\n", ":2:26: \"create\" must be true or false" },
	{ "xmpp:\n  port: 0\n", ":2:9: \"port\" must be a port from 1 to 65535" },
	{ "xmpp:\n  port: 65536\n", ":2:9: \"port\" must be a port from 1 to 65535" },
	{ "xmpp:\n  port: 5347x\n", ":2:9: \"port\" must be a port from 1 to 65535" },
	{ "xmpp:\n  port: -1\n", ":2:9: \"port\" must be a port from 1 to 65535" },
	/* values */
	{ "homeserver: {address: '127.0.0.1:8008'}\n", ":1:23: \"address\" must be a URL such as http://127.0.0.1:8008" },
	{ "homeserver: {domain: '@a:b'}\n", ":1:22: \"domain\" must be a server's name such as example.org" },
	{ "appservice: {hostname: localhost}\n", ":1:24: \"hostname\" must be a numeric address such as 127.0.0.1" },
	{ "appservice: {bot: Bot}\n", ":1:19: \"bot\" may hold only a-z, 0-9 and . _ = - / +" },
	{ "xmpp: {component: Sourdine.example.org}\n", ":1:19: \"component\" must be written in small letters" },
	{ "permissions: {'xmpp:Admin@example.org': admin}\n", ":1:15: \"xmpp:Admin@example.org\": a JID is written in small letters here" },
	{ "language: de\n", ":1:11: \"language\" must be en or fr" },
	{ "groups:\n  a: {matrix: marketing}\n",
		":2:15: \"matrix\" must be an alias such as \"#team:example.org\" or a room id" },
	{ "groups:\n  a: {xmpp: a@b/c}\n", ":2:13: \"xmpp\" must be a bare JID such as team@rooms.example.org" },
	{ "groups:\n  a: {}\n", ":2:3: group \"a\" has no room: give it matrix, xmpp or both" },
	{ "groups:\n  ../a: {xmpp: a@b}\n",
		":2:3: \"../a\" cannot be a group's name: letters, digits, - and _, and not \"site\"" },
	{ "groups:\n  site: {xmpp: a@b}\n",
		":2:3: \"site\" cannot be a group's name: letters, digits, - and _, and not \"site\"" },
	{ "groups:\n  a: {xmpp: a@b}\n  c: {xmpp: a@b}\n", ":3:3: groups \"a\" and \"c\" have the same room" },
	{ "permissions: {admin: admin}\n", ":1:15: \"admin\" is nobody: write \"@name:example.org\" or \"xmpp:name@example.org\"" },
	{ "permissions: {'@a:b': user}\n", ":1:23: the only permission is admin" },
	{ "limits: {ghosts: many}\n", ":1:18: \"ghosts\" must be a number from 0 to 10000" },
	{ "limits: {ghosts: 10001}\n", ":1:18: \"ghosts\" must be a number from 0 to 10000" },
	{ "limits: {idle: 23h}\n", ":1:16: \"idle\" must be a time of at least a day, such as 14d or 36h" },
	{ "limits: {idle: 14}\n", ":1:16: \"idle\" must be a time of at least a day, such as 14d or 36h" },
	{ "limits: {idle: d}\n", ":1:16: \"idle\" must be a time of at least a day, such as 14d or 36h" },
	/* the whole */
	{ "", ":1:1: it is empty" },
	{ "# nothing\n", ":1:1: it is empty" },
	{ "- a\n", ":1:1: it must hold keys and values" },
	{ "a: [\n", ":2:1: no YAML: did not find expected node content" },
	{ "a: b\n c: d\n", ":2:3: no YAML: mapping values are not allowed in this context" },
	{ "\ta: b\n", ":1:1: no YAML: found character that cannot start any token" },
	{ "state: a\nlanguage: \xff\n", ":2:11: no YAML: invalid leading UTF-8 octet" },
	{ MINIMAL "--- {}\n", ":5:5: a second document begins here" },
	{ APPSERVICE XMPP "state: s\n", ":1:1: \"homeserver.address\" is missing" },
	{ "\n\nhomeserver: {address: 'http://h'}\n" APPSERVICE XMPP "state: s\n", ":3:1: \"homeserver.domain\" is missing" },
	{ HOMESERVER XMPP "state: s\n", ":1:1: \"appservice.address\" is missing" },
	{ HOMESERVER APPSERVICE "xmpp: {secret: x}\nstate: s\n", ":3:1: \"xmpp.component\" is missing" },
	{ HOMESERVER APPSERVICE "xmpp: {component: x}\nstate: s\n", ":3:1: \"xmpp.secret_file\" is missing (or \"xmpp.secret\")" },
	{ HOMESERVER APPSERVICE "xmpp: {component: x, secret: a, secret_file: b}\nstate: s\n",
		":3:1: \"xmpp.secret\" and \"xmpp.secret_file\": give one of them" },
	{ HOMESERVER APPSERVICE XMPP, ":1:1: \"state\" is missing" },
	{ MINIMAL "metrics: {hostname: 127.0.0.1}\n", ":5:1: \"metrics.port\" is missing" },
	{ HOMESERVER "appservice: {address: 'http://h', bot: _xmpp_bot}\n" XMPP "state: s\n",
		":2:1: the bot's name \"_xmpp_bot\" must not begin like those of the ghosts (\"_xmpp_\")" },
};

static void
test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		refuse(refused[i].text, refused[i].complaint);
}

static void
test_files_that_are_not_there(void **state)
{
	(void)state;
	struct config *config = NULL;
	char why[CONFIG_WHY];

	assert_int_equal(config_read(&config, "/nowhere/config.yaml", why, sizeof(why)), CONFIG_E_BAD);
	assert_string_equal(why, "/nowhere/config.yaml: cannot be read: No such file or directory");
	assert_int_equal(config_read(&config, directory, why, sizeof(why)), CONFIG_E_BAD);
	assert_non_null(strstr(why, ": cannot be read: Is a directory"));
}

#define WITH_FILE HOMESERVER APPSERVICE "xmpp: {component: c, secret_file: secret}\nstate: s\n"

static void
refuse_secret(const char *content, const char *expected)
{
	struct config *config = read_good(WITH_FILE);
	char why[CONFIG_WHY] = "", whole[CONFIG_WHY];

	if (content)
		put("secret", content);
	snprintf(whole, sizeof(whole), "%s: the secret of the XMPP component %s", in_directory("secret"), expected);
	assert_int_equal(config_read_secret(config, why, sizeof(why)), CONFIG_E_BAD);
	assert_string_equal(why, whole);
	config_free(config);
}

static void
test_secret(void **state)
{
	(void)state;
	refuse_secret(NULL, "cannot be read: No such file or directory");
	refuse_secret("", "is empty");
	refuse_secret("\r\n\n", "is empty");
	refuse_secret("two\nlines\n", "must hold one line of text");
	refuse_secret("bell\a\n", "must hold one line of text");
	struct config *config = read_good(WITH_FILE);
	char why[CONFIG_WHY];
	put("secret", "s3cret with spaces \r\n");
	assert_int_equal(config_read_secret(config, why, sizeof(why)), 0);
	assert_string_equal(config->xmpp.secret, "s3cret with spaces ");
	config_free(config);
}

static void
test_credentials(void **state)
{
	(void)state;
	char why[CONFIG_WHY];

	put("xmpp-secret", "from the supervisor\n");
	put("master-key", "k");
	setenv("CREDENTIALS_DIRECTORY", directory, 1);
	struct config *config = read_good(HOMESERVER APPSERVICE "xmpp: {component: c}\nstate: s\nmaster_key_file: other\n");
	assert_int_equal(config_read_secret(config, why, sizeof(why)), 0);
	assert_string_equal(config->xmpp.secret, "from the supervisor");
	assert_string_equal(config->master_key_file, in_directory("master-key"));
	assert_true(config->master_key_given);
	config_free(config);
	unsetenv("CREDENTIALS_DIRECTORY");
	unlink(in_directory("xmpp-secret"));
	unlink(in_directory("master-key"));
}

#define TOKENS "as_token: \"aaa\"\nhs_token: bbb\n"
#define REGISTRATION "id: sourdine\nurl: 'http://127.0.0.1:1'\nsender_localpart: _x\n" TOKENS

static void
refuse_registration(const char *text, const char *expected)
{
	struct config *config = read_good(MINIMAL);
	char why[CONFIG_WHY] = "", whole[CONFIG_WHY];

	if (text)
		put("registration.yaml", text);
	snprintf(whole, sizeof(whole), "%s%s", in_directory("registration.yaml"), expected);
	assert_int_equal(config_read_registration(config, why, sizeof(why)), CONFIG_E_BAD);
	assert_string_equal(why, whole);
	assert_null(config->registration.as_token);
	config_free(config);
}

static void
test_registration(void **state)
{
	(void)state;
	struct config *config = NULL;
	char why[CONFIG_WHY] = "";

	refuse_registration(NULL, ": there is no registration yet: \"sourdine registration\" makes it");
	refuse_registration(TOKENS, ":1:1: \"id\" is missing");
	refuse_registration(REGISTRATION "as_token: c\n", ":6:1: \"as_token\" stands here twice (first in line 4)");
	refuse_registration("id: a\nurl: b\nsender_localpart: c\nas_token: x\nhs_token: x\n", ":1:1: as_token and hs_token must differ");
	refuse_registration("id: a\nas_token: [x]\n", ":2:11: \"as_token\" must be one value, not a list");
	refuse_registration("id: a\nas_token:\n", ":2:10: \"as_token\" has no value");
	put("registration.yaml", REGISTRATION "namespaces: {users: [{exclusive: true, regex: 'x'}]}\nde.other: 1\n");
	put("config.yaml", MINIMAL);
	const char *const secret[] = { "registration.yaml", "config.yaml" };
	for (size_t i = 0; i < 2; i++) { /* security S34 */
		assert_int_equal(chmod(in_directory(secret[i]), 0644), 0);
		assert_int_equal(config_load(&config, path, why, sizeof(why)), CONFIG_E_BAD);
		assert_non_null(strstr(why, "everybody on this machine may read it"));
		assert_ptr_equal(strstr(why, in_directory(secret[i])), why);
		assert_int_equal(chmod(in_directory(secret[i]), 0640), 0);
	}
	assert_int_equal(config_load(&config, path, why, sizeof(why)), 0);
	assert_string_equal(config->registration.id, "sourdine");
	assert_string_equal(config->registration.as_token, "aaa");
	assert_string_equal(config->registration.hs_token, "bbb");
	assert_string_equal(config->registration.sender_localpart, "_x");
	assert_int_equal(config_read_registration(config, why, sizeof(why)), 0);
	config_free(config);
}

static void
test_no_secret_in_complaints(void **state)
{
	(void)state;
	struct config *config = NULL;
	char why[CONFIG_WHY];

	put("config.yaml", HOMESERVER APPSERVICE "xmpp: {component: c, secret: \"SENTINEL\\x01\"}\nstate: s\n");
	assert_int_equal(config_read(&config, path, why, sizeof(why)), CONFIG_E_BAD);
	assert_null(strstr(why, "SENTINEL"));
}

static void
test_names(void **state)
{
	(void)state;
	unsetenv("SOURDINE_CONFIG");
	assert_string_equal(config_default_path(), "/etc/sourdine/config.yaml");
	setenv("SOURDINE_CONFIG", "/x.yaml", 1);
	assert_string_equal(config_default_path(), "/x.yaml");
	unsetenv("SOURDINE_CONFIG");
	size_t keys = 0;
	while (config_key(keys))
		keys++;
	assert_true(keys >= 25);
}

/* At SIGHUP: who is an operator, and what is logged, changes at once; of the rest the names are said. */
static void
test_renew(void **state)
{
	(void)state;
	static const char more[] = "permissions: {'@a:example.org': admin, '@b:example.org': admin}\nlogging: {level: debug, format: json}\n";
	struct config *config = read_good(MINIMAL "permissions: {'@old:example.org': admin}\ngroups: {one: {xmpp: a@b}}\n");
	AUTO_FREE char *text = xasprintf("%s%sgroups: {one: {xmpp: a@b}}\n", MINIMAL, more);
	struct config *fresh = read_good(text);
	struct str rest AUTO_STR;

	str_init(&rest, CONFIG_WHY);
	config_renew(config, fresh, &rest);
	config_free(fresh);
	assert_string_equal(str_get(&rest), "");
	assert_true(config_is_admin(config, "@a:example.org") && config_is_admin(config, "@b:example.org"));
	assert_false(config_is_admin(config, "@old:example.org"));
	assert_string_equal(config->logging.level, "debug");
	assert_string_equal(config->logging.format, "json");
	fresh = read_good("homeserver: {address: 'http://127.0.0.1:8008/', domain: example.com}\n" APPSERVICE
		"xmpp: {component: sourdine.example.org, secret: other, port: 1}\nstate: state\nlimits: {ghosts: 3, idle: 2d}\n"
		"encryption: {require: true}\ngroups: {one: {xmpp: a@b, create: true}}\n");
	config_renew(config, fresh, &rest);
	config_free(fresh);
	assert_string_equal(str_get(&rest),
			"homeserver.domain, xmpp.port, xmpp.secret, encryption.require, limits.ghosts, limits.idle, groups");
	assert_string_equal(config->homeserver.domain, "example.org");
	assert_int_equal(config->permission_count, 0);
	config_free(config);
}

static void
test_manual(void **state)
{
	(void)state;
	const char *top = getenv("top_srcdir");
	char name[4096], wanted[128];
	static char page[65536];

	snprintf(name, sizeof(name), "%s/packaging/man/sourdine.yaml.5", top ? top : ".");
	FILE *file = fopen(name, "r");
	assert_non_null(file);
	page[fread(page, 1, sizeof(page) - 1, file)] = '\0';
	fclose(file);
	for (size_t i = 0; config_key(i); i++) {
		snprintf(wanted, sizeof(wanted), "\n.It Ic %s\n", config_key(i));
		bool section = strcmp(config_key(i), "groups") == 0; /* has a heading of its own */
		if (!section && !strstr(page, wanted))
			fail_msg("sourdine.yaml(5) lacks %s", config_key(i));
	}
}

static int
set_up(void **state)
{
	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/config.yaml", directory);
	return 0;
}

static int
tear_down(void **state)
{
	static const char *const names[] = { "config.yaml", "secret", "registration.yaml" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(in_directory(names[i]));
	return rmdir(directory);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_minimal),
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_files_that_are_not_there),
		cmocka_unit_test(test_secret),
		cmocka_unit_test(test_credentials),
		cmocka_unit_test(test_registration),
		cmocka_unit_test(test_no_secret_in_complaints),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_renew),
		cmocka_unit_test(test_manual),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
