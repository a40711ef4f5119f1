/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Charter text: what is accepted means what it says, what is not is refused with
 * its place. The place of each bad charter is written into it: the complaint must
 * point at the character after the mark ^, which is taken out before parsing.
 */
#include "rules/lex.h"
#include "rules/rules.h"
#include "rules/syntax.h"
#include "rules_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct bad {
	const char *text; /* ^ before the place */
	const char *says; /* part of the complaint */
};

/* Characters, not bytes: what an editor shows. */
static void
place_of(const char *text, const char *mark, int *line, int *column)
{
	*line = *column = 1;
	for (const char *p = text; p < mark; p++) {
		if (*p == '\n') {
			++*line;
			*column = 1;
		} else if (((unsigned char)*p & 0xC0) != 0x80) {
			++*column;
		}
	}
}

static size_t good;

static void
check_bad(const struct bad *bad)
{
	const char *mark = strchr(bad->text, '^');
	char *text = malloc(strlen(bad->text) + 1);
	size_t before, size;
	struct complaint why;
	struct rules *rules;
	int line, column, r;

	if (!mark || !text)
		abort();
	before = (size_t)(mark - bad->text);
	size = strlen(bad->text) - 1;
	memcpy(text, bad->text, before);
	memcpy(text + before, mark + 1, size - before + 1);
	place_of(bad->text, mark, &line, &column);
	r = rules_parse(&rules, text, size, &why);
	if (r != RULES_E_SYNTAX || rules)
		print_error("accepted: %s", text);
	else if (why.line != line || why.column != column || !strstr(why.text, bad->says))
		print_error("%s\n%d:%d: %s\nexpected %d:%d: ...%s...\n", text, why.line, why.column, why.text, line, column, bad->says);
	else
		good++;
	free(text);
}

#define G "group \"m\" {\n"

static void
test_places(void **state)
{
	static const struct bad bads[] = {
		{ "^hello", "expected version, site, group or member" },
		{ "version ^2", "version 1" },
		{ "version 1\n^version 1", "set twice" },
		{ "version 1 ^1", "end of the line" },
		{ "site ^tz", "\"{\"" },
		{ "site {\n}\n^site {\n}", "set twice" },
		{ "site {\n tz Europe/Paris^", "\"}\"" },
		{ "group ^m {\n}", "in quotes" },
		{ "group \"a\" {}\n^group \"b\" {}", "one group" },
		{ "group \"m\" {\n} ^}", "expected version" },
		{ G " ^huors mon-fri 9h-18h\n}", "\"huors\"" },
		{ G " ^42\n}", "a setting or a rule" },
		{ G " tz^ \n}", "a time zone" },
		{ G " tz ^\"../etc/passwd\"\n}", "not the name of a time zone" },
		{ G " tz ^/etc/localtime\n}", "not the name of a time zone" },
		{ G " tz UTC\n ^tz UTC\n}", "set twice" },
		{ G " lang ^de\n}", "en or fr" },
		{ G " hours ^09:00-18:00\n}", "days before the hours" },
		{ G " hours mon-fri^\n}", "hours such as" },
		{ G " hours ^mon-xyz 09:00-18:00\n}", "days such as" },
		{ G " hours mon-fri ^25:00-26:00\n}", "does not begin with a time" },
		{ G " hours mon-fri 09:00-^18:60\n}", "does not end with a time" },
		{ G " hours mon-fri 09:00-^24:30\n}", "does not end with a time" },
		{ G " hours mon-fri 09:00-^\n}", "does not end with a time" },
		{ G " hours mon-fri ^09:00-09:00\n}", "empty" },
		{ G " hours mon-fri ^0900-1800\n}", "does not begin" },
		{ G " hours mon 1h-2h 3h-4h 5h-6h 7h-8h 9h-10h 11h-12h 13h-14h 15h-16h ^17h-18h\n}", "more than 8" },
		{ G " hours always\n ^hours mon 9h-10h\n}", "always" },
		{ G " hours mon 9h-10h\n ^hours always\n}", "otherwise" },
		{ G " holidays ^de\n}", "fr, fr-alsace-moselle or none" },
		{ G " holidays ^\"jours.ics\"\n}", "not yet" },
		{ G " closed ^tomorrow\n}", "dates such as" },
		{ G " closed ^2026-02-30\n}", "does not begin with a date" },
		{ G " closed 2026-12-24..^2026-12-32\n}", "is not a date" },
		{ G " closed 2026-12-24..^2026-12-23\n}", "before the first" },
		{ G " closed 2026-12-24^-2026-12-26\n}", "two dates with .." },
		{ G " topics ^seo\n}", "\"{\"" },
		{ G " topics { seo ^\"SEO\" }\n}", "\":\"" },
		{ G " topics { seo: ^}\n}", "a word in quotes" },
		{ G " topics { seo: \"SEO\" -> ^seo }\n}", "group name in quotes" },
		{ G " topics { seo: \"a\"; ^SEO: \"b\" }\n}", "already a topic" },
		{ G " topics { seo: \"a\" ^b }\n}", "end of the topic" },
		{ G " topics { seo: ^\" \" }\n}", "nothing here can be looked for" },
		{ "site {\n ^topics { seo: \"a\" }\n}", "belongs in a group" },
		{ G " bots ^@ci:example.org\n}", "a person in quotes" },
		{ G " digest ^09:00\n}", "\"at\"" },
		{ G " digest at^\n}", "a time of day" },
		{ G " digest at 09:00 ^9h\n}", "twice" },
		{ G " digest at ^24:00\n}", "not a time of day" },
		{ G " digest at 09:00 mon-fri ^size 40 messages 16k\n}", "not yet" },
		{ G " digest at 09:00 ^size 40 messages 16k\n}", "not yet" },
		{ G " time ^x y when closed then deliver\n}", "number" },
		{ G " time ^0 y when closed then deliver\n}", "between 1 and 9999" },
		{ G " time ^123456789012345 y when closed then deliver\n}", "between 1 and 9999" },
		{ G " time 10 a when closed then deliver\n time ^10 b when open then deliver\n}", "already \"a\"" },
		{ G " time 10 a when closed then deliver\n route 10 ^a when open then here\n}", "already a rule \"a\"" },
		{ G " time 10 ^when closed then deliver\n}", "needs a name" },
		{ G " time 10 a ^closed then deliver\n}", "expected when" },
		{ G " time 10 a when ^then deliver\n}", "a condition" },
		{ G " time 10 a when closed ^deliver\n}", "then" },
		{ G " time 10 a when closed then ^copy \"x\"\n}", "no verdict of this stage" },
		{ G " route 10 a when open then ^hold until opening\n}", "no verdict of this stage" },
		{ G " admit 10 a when open then ^deliver\n}", "no verdict of this stage" },
		{ G " time 10 a when closed and open ^or tag x then deliver\n}", "brackets" },
		{ G " time 10 a when closed or open ^and tag x then deliver\n}", "brackets" },
		{ G " time 10 a when (closed and open ^then deliver\n}", "\")\"" },
		{ G " time 10 a when ((((((((^(closed))))))))) then deliver\n}", "deeper than 8" },
		{ G " time 10 a when topic ^nope then deliver\n}", "no topic \"nope\"" },
		{ G " time 10 a when tag ^; deliver\n}", "a tag" },
		{ G " time 10 a when word ^\"x\" then deliver\n}", "\"in\"" },
		{ G " time 10 a when word in ^x then deliver\n}", "a word in quotes" },
		{ G " time 10 a when kind ^newsletter then deliver\n}", "announce or decision" },
		{ G " time 10 a when not ^not closed then deliver\n}", "a condition" },
		{ G " time 10 a when closed then hold ^opening\n}", "until opening" },
		{ G " time 10 a when closed then hold until ^later\n}", "opening" },
		{ G " time 10 a when closed then digest ^now\n}", "next" },
		{ G " admit 10 a when open then reject ^promo\n}", "\"reason\"" },
		{ G " admit 10 a when open then reject reason^\n}", "the reason" },
		{ G " ^route 10 a when open then copy\n}", "names no group" },
		{ G " time 10 a when closed then deliver ^foo\n}", "end of the rule" },
		{ G " time 10 a when closed then hold until opening notice ^foo\n}", "held or none" },
		{ G " time 10 a when closed then deliver state ^maybe\n}", "on, observe or off" },
		{ G " time 10 a when closed then deliver state off until ^soon\n}", "a date" },
		{ G " time 10 a when closed then deliver state off ^state on\n}", "twice" },
		{ G " time 10 a when closed unless role moderator then deliver ^unless role moderator\n}", "twice" },
		{ G " time 10 a when closed then deliver unless ^moderator\n}", "role moderator" },
		{ G " time 10 a when closed then deliver unless role ^admin\n}", "moderator" },
		{ G " tz ^\"Europe/Paris\n}", "not closed" },
		{ "member ^@a:b { mode live }", "in quotes" },
		{ "member \"@a:b\" { mode ^loud }", "live" },
		{ "member \"@a:b\" { mode live; ^mode live }", "set twice" },
		{ "member \"@a:b\" { mode live }\nmember ^\"@a:b\" { mode live }", "twice" },
		{ "member \"@a:b\" { ^hours mon 9h-10h }", "mode" },
		/* columns count characters */
		{ G " closed 2026-12-24 \"No\xC3\xABl \xE2\x82\xAC\" ^x\n}", "end of the line" },
		{ G "\ttime 10 \"\xC3\xA9t\xC3\xA9\" ^x\n}", "expected when" },
	};

	(void)state;
	good = 0;
	for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++)
		check_bad(&bads[i]);
	print_message("# %zu places\n", sizeof(bads) / sizeof(bads[0]));
	assert_int_equal(good, sizeof(bads) / sizeof(bads[0]));
}

static void
test_not_yet(void **state)
{
	static const struct bad bads[] = {
		{ "site {\n ^urgent max 3/member/day 8/room/day\n}", "not yet" },
		{ "site {\n ^hold max 10d\n}", "not yet" },
		{ "site {\n ^log retain 180d bodies never\n}", "not yet" },
		{ "site {\n ^time 10 a when closed then deliver\n}", "not yet" },
		{ G " ^urgent by \"!urgent\" confirm yes\n}", "not yet" },
		{ G " ^oncall roster \"astreinte-com\"\n}", "not yet" },
		{ G " ^weekly mon 09:00 agenda\n}", "not yet" },
		{ G " ^member 10 a when mention me then live\n}", "not yet" },
		{ G " admit 10 a when ^link then pass\n}", "not yet" },
		{ G " admit 10 a when (^sender.new<7d or open) then pass\n}", "not yet" },
		{ G " admit 10 a when ^media.size>10M then pass\n}", "not yet" },
		{ G " admit 10 a when ^text.length>10 then pass\n}", "not yet" },
		{ G " admit 10 a when ^members>10 then pass\n}", "not yet" },
		{ G " admit 10 a when ^domain in \"x.org\" then pass\n}", "not yet" },
		{ G " admit 10 a when ^mention \"@a:b\" then pass\n}", "not yet" },
		{ G " admit 10 a when ^reply to \"@a:b\" then pass\n}", "not yet" },
		{ G " admit 10 a when ^from \"@a:b\" then pass\n}", "not yet" },
		{ G " admit 10 a when ^side xmpp then pass\n}", "not yet" },
		{ G " admit 10 a when ^matches \"x\" then pass\n}", "not yet" },
		{ G " admit 10 a when ^share(x) then pass\n}", "not yet" },
		{ G " admit 10 a when ^rate(x) then pass\n}", "not yet" },
		{ G " time 10 a when ^in focus then deliver\n}", "not yet" },
		{ G " admit 10 a when open then ^ask sender\n}", "not yet" },
		{ G " admit 10 a when open then ^rewrite\n}", "not yet" },
		{ G " admit 10 a when ^duplicate then pass\n}", "not yet" },
		{ G " time 10 a when closed then hold until ^09:00\n}", "not yet" },
		{ G " time 10 a when closed then hold until ^+2h\n}", "not yet" },
		{ G " time 10 a when closed then digest ^16:00\n}", "not yet" },
		{ G " time 10 a when closed then deliver ^nudge x\n}", "not yet" },
		{ G " time 10 a when closed then deliver ^task\n}", "not yet" },
		{ G " time 10 a when closed then deliver ^log\n}", "not yet" },
		{ G " time 10 a when closed then deliver ^notice x\n}", "not yet" },
		{ G " time 10 a when closed then deliver ^final\n}", "not yet" },
		{ G " ^floor hours mon 9h-10h\n}", "not yet" },
		{ "member \"@a:b\" { mode ^mentions }", "not yet" },
		{ "member \"@a:b\" { mode ^digest at 12:30 }", "not yet" },
		{ "member \"@a:b\" { ^pass mention }", "not yet" },
		{ "member \"@a:b\" { ^quiet 18:00-09:00 }", "not yet" },
		{ "member \"@a:b\" { ^away 2026-12-19..2027-01-03 }", "not yet" },
		{ "member \"@a:b\" { ^keyword \"budget\" }", "not yet" },
	};

	(void)state;
	good = 0;
	for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++)
		check_bad(&bads[i]);
	assert_int_equal(good, sizeof(bads) / sizeof(bads[0]));
}

static void
test_example(void **state)
{
	size_t size;
	char *text = fixture_read(fixture_source("packaging/example.charter"), &size);
	struct rules *rules;
	struct complaint why;
	int r;

	(void)state;
	assert_non_null(text);
	r = rules_parse(&rules, text, size, &why);
	if (r != 0)
		fail_msg("example.charter:%d:%d: %s", why.line, why.column, why.text);
	assert_non_null(rules_group(rules));
	assert_true(rules->group.rule_count >= 4);
	rules_free(rules);
	free(text);
}

/* The manual page, without the escapes of its accents; NULL-terminated at the end of the section. */
static char *
read_manual(const char *section)
{
	size_t size;
	char *page = fixture_read(fixture_source("packaging/man/sourdine-charter.5"), &size), *from, *to, *out;

	assert_non_null(page);
	from = strstr(page, section);
	assert_non_null(from);
	to = strstr(from + 1, "\n.Sh ");
	if (to)
		*to = '\0';
	memmove(page, from, strlen(from) + 1);
	out = page;
	for (const char *p = page; *p; p++) {
		if (strncmp(p, "\\('", 3) == 0 || strncmp(p, "\\(`", 3) == 0 || strncmp(p, "\\(^", 3) == 0)
			p += 3;
		*out++ = *p;
	}
	*out = '\0';
	return page;
}

/* "non, pas Ta..." to the first word, which it moves over; false at the end of the cell. */
static bool
take_word(char **cell, char *out, size_t size)
{
	size_t n = strcspn(*cell += strspn(*cell, ", "), ", \n");

	if (n == 0 || n >= size || strncmp(*cell, "Ta", n) == 0)
		return false;
	memcpy(out, *cell, n);
	out[n] = '\0';
	*cell += n;
	return true;
}

/* The table of French words is the lexer's, and whole. */
static void
test_manual_words(void **state)
{
	char *page = read_manual(".Sh FRENCH\n"), *cell = strstr(page, "\n.It admit"), english[32], french[32];
	bool seen[KEY_LATER + 1] = { false };
	unsigned pairs = 0;

	(void)state;
	for (cell = cell ? cell + 5 : NULL; cell; cell = strstr(cell, "\n.It ") ? strstr(cell, "\n.It ") + 5 : NULL) {
		while (take_word(&cell, english, sizeof(english))) {
			enum keyword key = lex_keyword(english, strlen(english));

			if (key == KEY_NONE || key == KEY_LATER)
				fail_msg("no keyword: %s", english);
			assert_string_equal(lex_keyword_name(key), english);
			seen[key] = true;
			cell += strncmp(cell, " Ta", 3) == 0 ? 3 : 0;
			for (; take_word(&cell, french, sizeof(french)); pairs++) {
				if (lex_keyword(french, strlen(french)) != key)
					fail_msg("not the French of %s: %s", english, french);
			}
			cell += strncmp(cell, "Ta", 2) == 0 ? 2 : 0;
		}
	}
	for (int key = KEY_NONE + 1; key < KEY_LATER; key++) {
		if (!seen[key] && key != KEY_NUDGE)
			fail_msg("the manual lacks %s", lex_keyword_name((enum keyword)key));
	}
	print_message("# %u pairs of words\n", pairs);
	free(page);
}

/* Its example parses, and every other word that it names as keyword is one. */
static void
test_manual_example(void **state)
{
	char *page = read_manual(".Sh EXAMPLES\n"), *begin = strstr(page, ".Bd -literal\n"), *end = strstr(page, "\n.Ed");
	struct rules *rules;

	(void)state;
	assert_true(begin && end);
	*end = '\0';
	rules = fixture_rules(begin + strlen(".Bd -literal\n"));
	assert_non_null(rules);
	assert_int_equal(rules->group.rule_count, 5);
	fixture_free(rules);
	free(page);
	page = read_manual(".Sh NOT YET\n");
	for (char *p = strstr(page, "\n.Ic "); p; p = strstr(p + 1, "\n.Ic ")) {
		size_t n = strcspn(p + 5, " \n");
		enum keyword key = lex_keyword(p + 5, n);

		if (key != KEY_LATER && key != KEY_HOLD && key != KEY_MEMBER && key != KEY_IN && key != KEY_DIGEST
				&& key != KEY_NUDGE && key != KEY_PASS && key != KEY_MODE)
			fail_msg("not known: %.*s", (int)n, p + 5);
	}
	free(page);
}

/* Blanks that French keyboards make: between words they are blanks, in quotes they are themselves. */
static void
test_no_break_spaces(void **state)
{
	struct rules *rules = fixture_rules("group \"a\xC2\xA0" "b\"\xC2\xA0{\n\xE2\x80\xAF hours lun-ven\xC2\xA0" "9h-18h\xE2\x80\xAF" "sam 9h-12h\n"
		"  topics { seo: \"x\"\n avis\xC2\xA0: \"y\" }\n}\n");

	(void)state;
	assert_non_null(rules);
	assert_string_equal(rules_group(rules), "a\xC2\xA0" "b");
	assert_int_equal(rules->group.window_count, 2);
	assert_int_equal(rules->group.topic_count, 2);
	fixture_free(rules);
}

static void
test_settings(void **state)
{
	struct rules *rules = fixture_rules(
		"\xEF\xBB\xBF" "version 1\r\nsite { tz Europe/Paris; lang en }\r\n"
		"group \"caf\xC3\xA9 \\\"x\\\"\" {\r\n"
		"  lang fr\n"
		"  hours mon-thu 09:00-18:00 fri 09:00-17:00, sat,sun 10h-12h 14h30-16h\n"
		"  hours sat-tue 22:00-06:00   # over Sunday\n"
		"  holidays fr-alsace-moselle\n"
		"  closed 2026-12-24..2027-01-03 \"No\xC3\xABl\"; closed 2026-06-01\n"
		"  topics {\n    seo: \"SEO\" tag seo -> \"seo\"\n    avis: \"x\"\n  }\n"
		"  bots \"@ci:example.org\" \"xmpp:bot@example.org\"\n"
		"  digest at 16:00 9h mon,wed\n"
		"}\n"
		"member \"@a:b\" { mode live }\nmember \"xmpp:c@d\" { mode live }\nmember \"@e:f\" {}\n");

	(void)state;
	assert_non_null(rules);
	assert_string_equal(rules_group(rules), "caf\xC3\xA9 \"x\"");
	assert_string_equal(rules_zone_name(rules), "Europe/Paris");
	assert_string_equal(rules_language(rules), "fr");
	assert_int_equal(rules->group.window_count, 5);
	assert_int_equal(rules->group.windows[0].days, 0x0F);
	assert_int_equal(rules->group.windows[1].days, 0x10);
	assert_int_equal(rules->group.windows[1].end, 17 * 60);
	assert_int_equal(rules->group.windows[3].days, 0x60);
	assert_int_equal(rules->group.windows[3].start, 14 * 60 + 30);
	assert_int_equal(rules->group.windows[4].days, 0x63);
	assert_int_equal(rules->group.closure_count, 2);
	assert_string_equal(rules->group.closures[0].text, "No\xC3\xABl");
	assert_int_equal(rules->group.closures[1].first, rules->group.closures[1].last);
	assert_int_equal(rules->group.topic_count, 2);
	assert_string_equal(rules->group.topics[0].target, "seo");
	assert_null(rules->group.topics[1].target);
	assert_int_equal(rules->group.bot_count, 2);
	assert_int_equal(rules->group.slots.minute[0], 9 * 60);
	assert_int_equal(rules->group.slots.days, 0x05);
	assert_int_equal(rules->member_count, 3);
	assert_string_equal(rules->members[1].person, "xmpp:c@d");
	assert_true(rules->members[1].live);
	assert_false(rules->members[2].live);
	fixture_free(rules);
}

/* A statement goes on over lines that begin with such words, and inside round brackets. */
static void
test_lines(void **state)
{
	struct rules *rules = fixture_rules(
		G
		"  time 20 a\n    when closed\n    # between\n    and not tag x\n\n    unless role moderator\n    then hold until opening\n"
		"    notice none\n"
		"  time 10 b when (open\n or\n closed) then deliver state observe until 2026-12-31 continue\n"
		"  route 5 c when topic seo then move; admit 1 d when automated then pass\n"
		"  topics { seo: \"x\" -> \"seo\" }\n"
		"}");
	const struct rule *rule;

	(void)state;
	assert_non_null(rules);
	assert_int_equal(rules->group.rule_count, 4);
	rule = rules->group.rules[0];
	assert_string_equal(rule->name, "d");
	rule = rules->group.rules[1];
	assert_string_equal(rule->target, "seo");
	assert_int_equal(rule->action, ACTION_MOVE);
	rule = rules->group.rules[2]; /* by number, not by line */
	assert_string_equal(rule->name, "b");
	assert_int_equal(rule->state, RULE_OBSERVE);
	assert_true(rule->continues);
	assert_int_equal(rule->until, zone_days(2026, 12, 31));
	rule = rules->group.rules[3];
	assert_true(rule->unless_moderator);
	assert_false(rule->notice);
	fixture_free(rules);
}

static void
test_french(void **state)
{
	struct rules *rules = fixture_rules(
		"version 1\ngroupe \"m\" {\n  fuseau Europe/Paris\n  langue fr\n  horaires lun-ven 8h30-18h30\n  f\xC3\xA9ri\xC3\xA9s fr\n"
		"  ferm\xC3\xA9 2026-12-24..2027-01-03\n  sujets { seo: \"SEO\" -> \"seo\" }\n  robots \"@ci:x\"\n"
		"  r\xC3\xA9sum\xC3\xA9 \xC3\xA0 9h 16h lun-ven\n"
		"  admettre 10 promo quand mot dans \"promo\" alors refuser motif promo\n"
		"  aiguiller 10 seo Quand sujet seo alors copier\n"
		"  temps 30 ferme quand ferm\xC3\xA9 et non \xC3\xA9tiquette x alors retenir jusqu\xE2\x80\x99\xC3\xA0 l'ouverture avis retenu\n"
		"    sauf r\xC3\xB4le mod\xC3\xA9rateur\n"
		"  temps 40 lot quand automatique alors r\xC3\xA9sum\xC3\xA9 prochain \xC3\xA9tat observer\n"
		"  temps 50 a quand genre annonce ou genre d\xC3\xA9" "cision alors remettre\n"
		"}\nmembre \"@a:b\" { mode direct }\n");

	(void)state;
	assert_non_null(rules);
	assert_int_equal(rules->group.rule_count, 5);
	assert_int_equal(rules->group.window_count, 1);
	assert_int_equal(rules->group.holidays, HOLIDAYS_FR);
	assert_int_equal(rules->group.slots.count, 2);
	assert_true(rules->group.rules[2]->unless_moderator);
	assert_int_equal(rules->group.rules[2]->action, ACTION_HOLD);
	assert_true(rules->members[0].live);
	fixture_free(rules);
}

static void
check_too_many(const char *before, const char *format, int most, const char *after, const char *says)
{
	char *text = malloc(300000);
	struct rules *rules;
	struct complaint why;

	if (!text)
		abort();
	for (int extra = 0; extra < 2; extra++) {
		size_t n = (size_t)snprintf(text, 300000, "%s", before);
		int r;

		for (int i = 1; i <= most + extra; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
			n += (size_t)snprintf(text + n, 300000 - n, format, i, i);
#pragma GCC diagnostic pop
		}
		n += (size_t)snprintf(text + n, 300000 - n, "%s", after);
		r = rules_parse(&rules, text, n, &why);
		if (r != extra)
			fail_msg("%d of %s: %d:%d: %s", most + extra, format, why.line, why.column, why.text);
		if (extra)
			assert_non_null(strstr(why.text, says));
		rules_free(rules);
	}
	free(text);
}

static void
test_limits(void **state)
{
	(void)state;
	check_too_many(G, "time %d r%d when closed then deliver\n", RULES_RULES_MAX, "}", "more than 200 rules");
	check_too_many(G, "closed 2026-01-01 # %d %d\n", RULES_CLOSED_MAX, "}", "closed periods");
	check_too_many(G " time 1 a when word in", " \"w%d-%d\"", RULES_WORDS_MAX, " then deliver\n}", "more than 64 words");
	check_too_many(G " time 1 a when closed", " or tag t%d-%d", RULES_CONDITIONS_MAX - 2, " then deliver\n}", "conditions");
	check_too_many(G " digest at", " %d:0%d", 8, "\n}", "more than 8 digest times");
	check_too_many(G " topics {\n", " t%d: \"w%d\"\n", RULES_TOPICS_MAX, "}\n}", "more than 200 topics");
	check_too_many(G " bots", " \"@a%d:%d\"", RULES_BOTS_MAX, "\n}", "more than 200 bots");
	check_too_many("", "member \"@a%d:%d\" {}\n", RULES_MEMBERS_MAX, "", "more than 2000 members");
}

static void
test_sizes(void **state)
{
	char *text = calloc(1, RULES_TEXT_MAX + 2);
	struct complaint why;
	struct rules *rules;
	char name[RULES_NAME_MAX + 2], line[256];

	(void)state;
	assert_non_null(text);
	memset(text, '#', RULES_TEXT_MAX + 1);
	assert_int_equal(rules_parse(&rules, text, RULES_TEXT_MAX, &why), 0);
	rules_free(rules);
	assert_int_equal(rules_parse(&rules, text, RULES_TEXT_MAX + 1, &why), RULES_E_SYNTAX);
	assert_int_equal(why.line, 1);
	free(text);

	memset(name, 'x', sizeof(name));
	name[RULES_NAME_MAX + 1] = '\0';
	snprintf(line, sizeof(line), G " time 1 %s when closed then deliver\n}", name);
	assert_int_equal(rules_parse(&rules, line, strlen(line), &why), RULES_E_SYNTAX);
	assert_int_equal(why.column, 9);
	assert_non_null(strstr(why.text, "longer than 63"));
	snprintf(line, sizeof(line), G " time 1 %s when closed then deliver\n}", name + 1);
	assert_int_equal(rules_parse(&rules, line, strlen(line), &why), 0);
	rules_free(rules);
}

/* A complaint is UTF-8 whatever the text was, and NUL bytes are no end of it. */
static void
test_bytes(void **state)
{
	static const struct {
		const char *text;
		size_t size;
		int line, column;
		const char *says;
	} cases[] = {
		{ G " tz \xFF\xFE\n}", sizeof(G " tz \xFF\xFE\n}") - 1, 2, 5, "UTF-8" },
		{ G " tz \"a\xC3\"\n}", sizeof(G " tz \"a\xC3\"\n}") - 1, 2, 7, "UTF-8" },
		{ "version\0 1", 10, 1, 8, "control" },
		{ "version 1\n\x1B[31m", 14, 2, 1, "control" },
		{ G " closed 2026-01-01 \"a\0b\"\n}", sizeof(G " closed 2026-01-01 \"a\0b\"\n}") - 1, 2, 22, "control" },
		{ "\xC3\xA9", 2, 1, 1, "\"\xC3\xA9\"" },
	};
	char wide[400] = "version ";
	struct complaint why;
	struct rules *rules;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(rules_parse(&rules, cases[i].text, cases[i].size, &why), RULES_E_SYNTAX);
		assert_int_equal(why.line, cases[i].line);
		assert_int_equal(why.column, cases[i].column);
		assert_non_null(strstr(why.text, cases[i].says));
	}
	for (size_t n = 8; n + 3 < sizeof(wide); n += 3)
		memcpy(wide + n, "\xE2\x82\xAC", 4);
	assert_int_equal(rules_parse(&rules, wide, strlen(wide), &why), RULES_E_SYNTAX);
	assert_non_null(strstr(why.text, "\xE2\x82\xAC\""));
}

/* Chopped and mixed charters: an answer, never a crash; every complaint has a place inside the text. */
static void
test_mutations(void **state)
{
	static const char *const pieces[] = {
		"group", "\"m\"", "{", "}", "(", ")", ";", "\n", "time", "10", "a", "when", "closed", "and", "or", "not", "then",
		"hold", "until", "opening", "notice", "hours", "mon-fri", "09:00-18:00", "->", "topics", "seo", ":", "\"x\"", "tag",
		"site", "member", "mode", "digest", "at", "09:00", "copy", "route", "#", "\"", "\\", ",", "<", "state", "topic",
	};
	unsigned long long seed = 99;
	unsigned long accepted = 0, refused = 0;

	(void)state;
	for (int turn = 0; turn < 30000; turn++) {
		char text[600] = "group \"m\" { ";
		size_t n = turn % 2 ? strlen(text) : 0;
		struct complaint why;
		struct rules *rules;

		for (int i = 0; i < 25; i++) {
			seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;

			const char *piece = pieces[(seed >> 33) % (sizeof(pieces) / sizeof(pieces[0]))];

			memcpy(text + n, piece, strlen(piece));
			n += strlen(piece);
			if (seed >> 62)
				text[n++] = ' ';
		}
		if (rules_parse(&rules, text, n, &why) == 0) {
			accepted++;
			rules_free(rules);
		} else {
			refused++;
			assert_true(why.line >= 1 && why.column >= 1 && why.text[0] != '\0');
		}
	}
	print_message("# %lu refused, %lu accepted\n", refused, accepted);
	assert_true(refused > 1000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_not_yet),
		cmocka_unit_test(test_example),
		cmocka_unit_test(test_manual_words),
		cmocka_unit_test(test_manual_example),
		cmocka_unit_test(test_no_break_spaces),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_french),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
