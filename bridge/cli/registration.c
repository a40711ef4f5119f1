/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registration, the file that makes the homeserver our friend (Matrix AS v1.18, "Registration"). It is replaced by
 * rename, so a homeserver never loads half of it, and what was agreed before (tokens, sender, id) is kept: a token that
 * changes unasked is a bridge that does not start.
 */
#include "cli/cli.h"

#include "base/seal.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOKEN_LENGTH 64
#define MODE 0640

/* The text as a regular expression that matches only itself, within single quotes of YAML. */
static void
add_escaped(struct str *out, const char *text)
{
	for (; *text; text++) {
		if (strchr("\\^$.|?*+()[]{}", *text))
			str_add_char(out, '\\');
		str_add_char(out, *text);
		if (*text == '\'')
			str_add_char(out, '\'');
	}
}

static void
add_namespace(struct str *out, const char *sigil, const char *localpart, const char *rest, const char *domain, const char *comment)
{
	str_addf(out, "    - {exclusive: true, regex: '^%s", sigil);
	add_escaped(out, localpart);
	str_addf(out, "%s:", rest);
	add_escaped(out, domain);
	str_addf(out, "$'}%s\n", comment);
}

/* In double quotes of YAML. Texts of a registration hold no control characters: they came from us or through read_scalar. */
static void
add_quoted(struct str *out, const char *key, const char *text)
{
	str_addf(out, "%s: \"", key);
	for (; *text; text++) {
		if (strchr("\\\"", *text))
			str_add_char(out, '\\');
		str_add_char(out, *text);
	}
	str_add(out, "\"\n");
}

static void
compose(struct str *out, const struct config *config)
{
	const struct config_registration *registration = &config->registration;
	const char *domain = config->homeserver.domain, *ghosts = config->appservice.ghosts;

	str_add(out, "# Made by \"sourdine registration\". It holds two secrets: only the homeserver and Sourdine may read it.\n");
	add_quoted(out, "id", registration->id);
	add_quoted(out, "url", config->appservice.address);
	add_quoted(out, "as_token", registration->as_token);
	add_quoted(out, "hs_token", registration->hs_token);
	add_quoted(out, "sender_localpart", registration->sender_localpart);
	str_add(out, "rate_limited: false\nreceive_ephemeral: true\nnamespaces:\n  users:\n");
	add_namespace(out, "@", config->appservice.bot, "", domain, " # the bot");
	add_namespace(out, "@", ghosts, ".*", domain, " # the people of XMPP");
	str_add(out, "  aliases:\n");
	add_namespace(out, "#", ghosts, ".*", domain, "");
	str_add(out, "  rooms: []\n");
}

static char *
make_token(void)
{
	char token[TOKEN_LENGTH + 1];

	seal_random_text(token, TOKEN_LENGTH, "0123456789abcdef");
	return xstrdup(token);
}

/*
 * The homeserver wants a user of its own for the appservice itself. It is random and never used, and no ghost: it does not
 * begin with the ghosts' prefix.
 */
static char *
make_sender(const struct config *config)
{
	char noise[13];

	seal_random_text(noise, sizeof(noise) - 1, "0123456789abcdef");
	return xasprintf("%s_%s", *config->appservice.ghosts == 's' ? "as" : "sourdine_as", noise);
}

static void
replace(char **text, char *by)
{
	free(*text);
	*text = by;
}

/* Fills config->registration: what `path` already says, and what is missing. */
static int
settle(struct config *config, const char *path, bool rotate, char *why, size_t size)
{
	struct config_registration *registration = &config->registration;

	replace(&config->appservice.registration, xstrdup(path));
	if (access(path, F_OK) == 0) {
		int r = config_read_registration(config, why, size);
		if (r)
			return r;
	} else {
		replace(&registration->id, xstrdup("sourdine"));
		replace(&registration->sender_localpart, make_sender(config));
		rotate = true;
	}
	if (rotate) {
		replace(&registration->as_token, make_token());
		replace(&registration->hs_token, make_token());
	}
	return 0;
}

/* The file's group: the one asked for, else that of the file it replaces. (gid_t)-1: leave it. False: unknown. */
static bool
find_group(const char *name, const char *path, gid_t *out)
{
	struct stat info;

	*out = stat(path, &info) == 0 ? info.st_gid : (gid_t)-1;
	if (!name)
		return true;
	const struct group *group = getgrnam(name);
	if (group)
		*out = group->gr_gid;
	return group != NULL;
}

/* 0 or -errno. A group that was asked for must be had; an old one is kept where we may. */
static int
write_file(const char *path, const struct str *text, gid_t group, bool group_wanted)
{
	AUTO_FREE char *fresh = xasprintf("%s.new", path);
	int error = 0;

	unlink(fresh);
	int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (group != (gid_t)-1 && fchown(fd, (uid_t)-1, group) < 0 && group_wanted)
		error = -errno;
	if (!error && (write(fd, text->p, text->n) != (ssize_t)text->n || fchmod(fd, MODE) < 0 || fsync(fd) < 0))
		error = errno ? -errno : -EIO;
	close(fd);
	if (!error && rename(fresh, path) < 0)
		error = -errno;
	if (error)
		unlink(fresh);
	return error;
}

static void
print_advice(const struct config *config, const char *path, bool changed)
{
	AUTO_FREE char *absolute = realpath(path, NULL);

	printf("%s: %s.\n\n", path, changed ? "written with new tokens" : "written, its tokens kept");
	printf("Synapse, in homeserver.yaml (add the line to a list that is there already), then restart Synapse:\n\n"
		"app_service_config_files:\n  - %s\n\n", absolute ? absolute : path);
	puts("Conduit and its kin, in the admin room: appservices register, followed by the file in a code block.\n");
	printf("Prosody, in prosody.cfg.lua, then restart Prosody:\n\nComponent \"%s\"\n\tcomponent_secret = \"%s\"\n\n",
		config->xmpp.component, config->xmpp.secret_file ? "the line of your secret file" : "the secret of your configuration");
	printf("ejabberd, in ejabberd.yml under listen:\n\n  -\n    port: %d\n    module: ejabberd_service\n    hosts:\n"
		"      \"%s\":\n        password: \"the same secret\"\n\n", config->xmpp.port, config->xmpp.component);
	puts("Both servers and Sourdine must read the same secrets; \"sourdine check\" tells whether they do.");
}

int
cli_registration(const struct cli_options *options)
{
	struct config *config;
	struct str text;
	char why[CONFIG_WHY];
	gid_t group;

	if (config_read(&config, options->config, why, sizeof(why)))
		return cli_fail(CLI_CONFIG, "%s", why);
	AUTO_FREE char *path = xstrdup(options->output ? options->output : config->appservice.registration);
	bool changed = options->rotate_tokens || access(path, F_OK) != 0;
	int status = CLI_FINE;
	if (!find_group(options->group, path, &group))
		status = cli_fail(CLI_PROBLEM, "there is no group \"%s\" on this machine", options->group);
	else if (settle(config, path, options->rotate_tokens, why, sizeof(why)))
		status = cli_fail(CLI_CONFIG, "%s (not overwritten)", why);
	if (status) {
		config_free(config);
		return status;
	}
	str_init(&text, 1 << 16);
	compose(&text, config);
	int error = write_file(path, &text, group, options->group != NULL);
	if (error)
		status = cli_fail(CLI_PROBLEM, "%s: cannot be written: %s", path, strerror(-error));
	else
		print_advice(config, path, changed);
	mem_free_secret(text.p, text.n);
	config_free(config);
	return status;
}
