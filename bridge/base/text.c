/* SPDX-License-Identifier: Apache-2.0 */
/*
 * glibc picks catalogues by the variable LANGUAGE, whatever the locale, as long as that is not "C"; C.UTF-8 needs no
 * generated locale. The variable is set for one look-up only: strerror() uses gettext too, and the log stays English.
 */
#include "base/text.h"

#include "base/config.h"
#include "base/str.h"

#include <libintl.h>
#include <locale.h>
#include <stdbool.h>
#include <stdlib.h>

#define DOMAIN "sourdine"

/* glibc's counter of changes of the environment: without raising it, a look-up answers from its memory. */
extern int _nl_msg_cat_cntr;

static bool
is_english(const char *language)
{
	return !language || !*language || str_equal(language, "en");
}

static void
bind_once(void)
{
	static bool bound;
	const char *directory = config_environment(CONFIG_ENV_LOCALEDIR);

	if (bound)
		return;
	bound = true;
	setlocale(LC_MESSAGES, "C.UTF-8");
	bindtextdomain(DOMAIN, directory ? directory : LOCALEDIR);
	bind_textdomain_codeset(DOMAIN, "UTF-8");
}

static void
enter_language(const char *language)
{
	bind_once();
	setenv("LANGUAGE", language, 1);
	_nl_msg_cat_cntr++;
}

static void
leave_language(void)
{
	unsetenv("LANGUAGE");
	_nl_msg_cat_cntr++;
}

const char *
text_in(const char *language, const char *msgid)
{
	if (is_english(language) || !*msgid)
		return msgid;
	enter_language(language);
	const char *text = dgettext(DOMAIN, msgid);
	leave_language();
	return text;
}

const char *
text_in_n(const char *language, const char *one, const char *many, unsigned long n)
{
	if (is_english(language))
		return n == 1 ? one : many;
	enter_language(language);
	const char *text = dngettext(DOMAIN, one, many, n);
	leave_language();
	return text;
}

int
text_knows(const char *language)
{
	if (is_english(language))
		return 1;
	enter_language(language);
	const char *header = dgettext(DOMAIN, "");
	leave_language();
	return *header != '\0';
}
