/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as sourdine.yaml. What is refused is refused with one sentence and its place; what is accepted is whole. */
#include "base/config.h"

#include "memory_file.h"
#include "replay.h"

#include <assert.h>
#include <string.h>

static void
check_sentence(const char *why, const char *path)
{
	size_t n = strlen(why);

	assert(n < CONFIG_WHY && strncmp(why, path, strlen(path)) == 0);
	assert(!strchr(why, '\n'));
}

static void
check_config(const struct config *config)
{
	const char *const required[] = {
		config->path, config->homeserver.address, config->homeserver.domain, config->appservice.address,
		config->appservice.hostname, config->appservice.registration, config->appservice.bot, config->appservice.ghosts,
		config->xmpp.host, config->xmpp.component, config->xmpp.nick, config->state, config->charters, config->language,
		config->master_key_file,
	};

	for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++)
		assert(required[i] && *required[i] && str_is_clean(required[i], strlen(required[i])));
	assert(config->xmpp.port && config->appservice.port);
	assert(!config->xmpp.secret != !config->xmpp.secret_file);
	for (size_t i = 0; i < config->group_count; i++) {
		const struct config_group *group = &config->groups[i];
		assert(group->name && (group->matrix || group->xmpp) && !strchr(group->name, '/'));
	}
	for (size_t i = 0; i < config->permission_count; i++)
		assert(config_is_admin(config, config->permissions[i].person));
	assert(!config_is_admin(config, ""));
	free(config_mxid(config, "x"));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *config = NULL;
	const char *path = memory_file(0, data, size);
	char why[CONFIG_WHY] = "";

	int r = config_read(&config, path, why, sizeof(why));
	assert(r == 0 || r == CONFIG_E_BAD);
	if (r) {
		check_sentence(why, path);
		return 0;
	}
	check_config(config);
	config_free(config);
	return 0;
}

REPLAY_MAIN("config")
