/* SPDX-License-Identifier: Apache-2.0 */
/* A moderator's consent to an encrypted room being joined with a plain one: what is said around core/consent.h. */
#include "core/command_inside.h"

#include "base/text.h"
#include "core/consent.h"

#include <stdlib.h>

static void
tell(struct asking *asking)
{
	AUTO_FREE char *line = consent_say(asking->core, asking->group);

	command_answer(asking, line ? line : command_say(asking, N_("The Matrix room is not encrypted, as far as I know.")));
}

static void
allow(struct asking *asking)
{
	struct core *core = asking->core;

	if (consent_of(core, asking->group) >= CONSENT_FORBIDDEN) {
		tell(asking);
		return;
	}
	if (!asking->confirmed) {
		AUTO_FREE char *text = consent_explain(core, asking->group);
		command_preview(asking, "encrypted allow", text);
		return;
	}
	consent_give(core, asking->group, asking->in->author.person);
	command_answer(asking, command_say(asking, N_("Done: you have agreed for this group.")));
}

static void
stop(struct asking *asking)
{
	if (asking->group->agreed) {
		command_answer(asking, command_say(asking, N_("The bridge's administrator has agreed for this group in the configuration; only there can it be taken back.")));
		return;
	}
	consent_withdraw(asking->core, asking->group, asking->in->author.person);
	command_answer(asking, command_say(asking, N_("Done: the consent is taken back.")));
}

void
command_encrypted(struct asking *asking)
{
	char *rest;
	const char *word = command_take_word(asking->arguments, &rest);
	bool allows = command_same_word(word, "allow") || command_same_word(word, "autoriser");
	bool stops = command_same_word(word, "stop") || command_same_word(word, "arreter");

	if (!*word)
		tell(asking);
	else if (!allows && !stops)
		command_answer(asking, command_say(asking, N_("Please say !sd encrypted allow, or !sd encrypted stop.")));
	else if (!command_moderates(asking))
		command_refuse(asking, PERMIT_NO_POWER, "");
	else if (allows)
		allow(asking);
	else
		stop(asking);
}
