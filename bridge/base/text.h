/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

/*
 * What people read, in their language: the only reader of gettext's catalogues. msgids are English sentences; the catalogues
 * are packaging/po/LANGUAGE.po, made into .mo files by msgfmt. The process's locale plays no part.
 */

/* Marks a msgid that stands in a table, for xgettext; it is looked up later with text_in(). */
#define N_(msgid) (msgid)

/*
 * The text in that language ("fr"; NULL, "en" and any language without a catalogue: the msgid itself).
 * Never NULL; lent for the life of the process.
 */
const char *text_in(const char *language, const char *msgid) __attribute__((format_arg(2)));

/* Whether there is a catalogue (or it is English): "en", "fr". */
int text_knows(const char *language);

#endif
