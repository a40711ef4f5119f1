/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

/*
 * What people read, in their language: the only caller of gettext. msgids are English sentences; the catalogues
 * are packaging/po/LANGUAGE.po. One thread only: the language is switched in the process for each look-up.
 */

/* Marks a msgid that stands in a table, for xgettext; it is looked up later with text_in(). */
#define N_(msgid) (msgid)

/*
 * The text in that language ("fr"; NULL, "en" and any language without a catalogue: the msgid itself).
 * Never NULL; lent for the life of the process.
 */
const char *text_in(const char *language, const char *msgid) __attribute__((format_arg(2)));

/* Plural form: `one` or `many` for n, in that language. */
const char *text_in_n(const char *language, const char *one, const char *many, unsigned long n)
	__attribute__((format_arg(2), format_arg(3)));

/* Whether there is a catalogue (or it is English): "en", "fr". */
int text_knows(const char *language);

#endif
