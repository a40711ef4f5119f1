/* SPDX-License-Identifier: Apache-2.0 */
/* Conditions, stages and verdicts. Words, tags and what surrounds them; hostile and mangled text. */
#include "rules/fold.h"
#include "rules/rules.h"
#include "rules/tags.h"
#include "rules/words.h"
#include "rules_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define E_ACUTE "\xC3\xA9"

static struct verdict
judge(const struct rules *rules, const char *text, const char *when)
{
	struct message message = { NETWORK_MATRIX, MESSAGE_TEXT, "@a:hs", text };
	struct facts facts = { false };
	struct verdict verdict;

	memset(&verdict, 0xAA, sizeof(verdict));
	rules_judge(rules, &message, &facts, fixture_at(when), &verdict);
	return verdict;
}

#define OPEN_DAY "2026-10-16 10:00"
#define CLOSED_DAY "2026-10-17 10:00"

static const char office[] =
	"version 1\n"
	"group \"marketing\" {\n"
	"  tz Europe/Paris\n"
	"  hours mon-fri 08:30-18:30\n"
	"  holidays fr\n"
	"  topics { seo: \"SEO\" \"balise\" tag ref -> \"seo\" }\n"
	"  bots \"@ci:hs\"\n"
	"  admit 10 promo when word in \"offre sp" E_ACUTE "ciale\" \"webinaire gratuit\" then reject reason promo\n"
	"  admit 20 vip when tag vip then pass\n"
	"  route 10 seo when topic seo then copy \"seo\"\n"
	"  route 20 cafe when tag hors-sujet then move \"cafe\"\n"
	"  route 30 idee when tag id" E_ACUTE "e then suggest \"idees\"\n"
	"  time 10 annonce when kind announce then deliver\n"
	"  time 20 robots when automated then digest next\n"
	"  time 25 decision when kind decision then digest next\n"
	"  time 30 ferme when closed then hold until opening notice held\n"
	"  digest at 09:00 16:00 mon-fri\n"
	"}\n";

static void
test_nothing_matched(void **state)
{
	struct rules *rules = fixture_rules(office);
	struct verdict v = judge(rules, "Bonjour", OPEN_DAY);

	(void)state;
	assert_int_equal(v.stage[STAGE_ADMISSION].action, ACTION_PASS);
	assert_int_equal(v.stage[STAGE_ROUTING].action, ACTION_HERE);
	assert_int_equal(v.stage[STAGE_TIMING].action, ACTION_DELIVER);
	for (int i = 0; i < STAGE_COUNT; i++) {
		assert_int_equal(v.stage[i].rule, 0);
		assert_string_equal(v.stage[i].name, "");
		assert_int_equal(v.observed[i].rule, 0);
	}
	assert_int_equal(v.due_ms, v.now_ms);
	assert_int_equal(v.period_ms, 0);
	assert_false(v.notice);
	assert_string_equal(v.target, "");
	fixture_free(rules);
}

static void
test_hold(void **state)
{
	struct rules *rules = fixture_rules(office);
	struct verdict v = judge(rules, "Bonsoir", "2026-10-16 19:04");

	(void)state;
	assert_int_equal(v.stage[STAGE_TIMING].action, ACTION_HOLD);
	assert_int_equal(v.stage[STAGE_TIMING].rule, 30);
	assert_string_equal(v.stage[STAGE_TIMING].name, "ferme");
	assert_int_equal(v.stage[STAGE_TIMING].inputs, INPUT_CLOSED);
	assert_int_equal(v.due_ms, fixture_at("2026-10-19 08:30"));
	assert_int_equal(v.period_ms, fixture_at("2026-10-16 18:30"));
	assert_true(v.notice);
	v = judge(rules, "Bonsoir", "2026-10-16 18:29:59");
	assert_int_equal(v.stage[STAGE_TIMING].action, ACTION_DELIVER);
	fixture_free(rules);

	/* notice is the default, and can be turned off; open means now; never opening means the moderators */
	rules = fixture_rules("group \"m\" {\n hours mon 9h-10h\n time 1 a when not tag x then hold until opening\n"
			" time 2 b when tag x then hold until opening notice none\n}\n");
	v = judge(rules, "a", "2026-10-17 10:00");
	assert_true(v.notice);
	v = judge(rules, "#x", "2026-10-17 10:00");
	assert_int_equal(v.stage[STAGE_TIMING].action, ACTION_HOLD);
	assert_false(v.notice);
	v = judge(rules, "a", "2026-10-19 09:30");
	assert_int_equal(v.stage[STAGE_TIMING].action, ACTION_DELIVER);
	assert_int_equal(v.stage[STAGE_TIMING].rule, 1);
	assert_int_equal(v.due_ms, v.now_ms);
	assert_false(v.notice);
	fixture_free(rules);
	rules = fixture_rules("group \"m\" {\n closed 2020-01-01..2036-01-01\n time 1 a when closed then hold until opening\n}\n");
	v = judge(rules, "a", "2026-10-17 10:00");
	assert_int_equal(v.due_ms, INT64_MAX);
	assert_int_equal(v.period_ms, 0);
	assert_true(v.notice);
	fixture_free(rules);
}

static void
test_stages(void **state)
{
	struct rules *rules = fixture_rules(office);
	struct verdict v = judge(rules, "Une Offre  SPECIALE !", CLOSED_DAY);

	(void)state;
	assert_int_equal(v.stage[STAGE_ADMISSION].action, ACTION_REJECT);
	assert_int_equal(v.stage[STAGE_ADMISSION].inputs, INPUT_WORD);
	assert_string_equal(v.reason, "promo");
	assert_int_equal(v.stage[STAGE_TIMING].action, ACTION_DELIVER); /* a refused message has no timing */
	assert_int_equal(v.due_ms, v.now_ms);

	v = judge(rules, "la balise meta", CLOSED_DAY);
	assert_int_equal(v.stage[STAGE_ROUTING].action, ACTION_COPY);
	assert_string_equal(v.target, "seo");
	assert_int_equal(v.stage[STAGE_ROUTING].inputs, INPUT_TOPIC);
	assert_int_equal(v.stage[STAGE_TIMING].action, ACTION_HOLD);

	v = judge(rules, "photo #Hors-Sujet", CLOSED_DAY);
	assert_int_equal(v.stage[STAGE_ROUTING].action, ACTION_MOVE);
	assert_string_equal(v.target, "cafe");
	assert_int_equal(v.stage[STAGE_ROUTING].inputs, INPUT_TAG);
	assert_int_equal(v.stage[STAGE_TIMING].action, ACTION_DELIVER); /* the target's hours decide */

	v = judge(rules, "#idee un blog", OPEN_DAY);
	assert_int_equal(v.stage[STAGE_ROUTING].action, ACTION_SUGGEST);
	assert_string_equal(v.target, "idees");

	v = judge(rules, "la balise #vip, une offre", OPEN_DAY); /* first match wins, in each stage on its own */
	assert_int_equal(v.stage[STAGE_ADMISSION].rule, 20);
	assert_int_equal(v.stage[STAGE_ROUTING].rule, 10);
	fixture_free(rules);
}

static void
test_kinds_and_senders(void **state)
{
	struct rules *rules = fixture_rules(office);
	struct message message = { NETWORK_XMPP, MESSAGE_TEXT, "xmpp:b@x", "#Annonce : r" E_ACUTE "union" };
	struct facts facts = { true };
	struct verdict v;
	int64_t at = fixture_at("2026-10-17 10:00");

	(void)state;
	rules_judge(rules, &message, &facts, at, &v);
	assert_int_equal(v.stage[STAGE_TIMING].rule, 10);
	assert_int_equal(v.stage[STAGE_TIMING].inputs, INPUT_KIND);
	message.text = "  #announce x";
	rules_judge(rules, &message, &facts, at, &v);
	assert_int_equal(v.stage[STAGE_TIMING].rule, 10);
	message.text = "une #annonce";
	rules_judge(rules, &message, &facts, at, &v);
	assert_int_equal(v.stage[STAGE_TIMING].rule, 30);
	message.text = "#annonces";
	rules_judge(rules, &message, &facts, at, &v);
	assert_int_equal(v.stage[STAGE_TIMING].rule, 30);
	facts.sender_moderator = false;
	message.text = "#annonce";
	rules_judge(rules, &message, &facts, at, &v);
	assert_int_equal(v.stage[STAGE_TIMING].rule, 30);
	message.text = "vu, #d" E_ACUTE "cision prise";
	rules_judge(rules, &message, &facts, at, &v);
	assert_int_equal(v.stage[STAGE_TIMING].rule, 25);
	assert_int_equal(v.stage[STAGE_TIMING].action, ACTION_DIGEST);
	assert_int_equal(v.due_ms, fixture_at("2026-10-19 09:00"));

	message.text = "build ok";
	message.sender = "@ci:hs";
	rules_judge(rules, &message, &facts, at, &v);
	assert_int_equal(v.stage[STAGE_TIMING].rule, 20);
	assert_int_equal(v.stage[STAGE_TIMING].inputs, INPUT_AUTOMATED);
	message.sender = "@CI:hs"; /* another person */
	rules_judge(rules, &message, &facts, at, &v);
	assert_int_equal(v.stage[STAGE_TIMING].rule, 30);
	message.kind = MESSAGE_NOTICE;
	rules_judge(rules, &message, &facts, at, &v);
	assert_int_equal(v.stage[STAGE_TIMING].rule, 20);
	message.kind = MESSAGE_MEDIA;
	message.text = "";
	rules_judge(rules, &message, &facts, at, &v);
	assert_int_equal(v.stage[STAGE_TIMING].rule, 30);

	/* a routed message: only the timing of its new group */
	message.kind = MESSAGE_TEXT;
	message.text = "offre sp" E_ACUTE "ciale, balise";
	rules_judge_timing(rules, &message, &facts, at, &v);
	assert_int_equal(v.stage[STAGE_ADMISSION].rule, 0);
	assert_int_equal(v.stage[STAGE_ADMISSION].action, ACTION_PASS);
	assert_int_equal(v.stage[STAGE_ROUTING].action, ACTION_HERE);
	assert_string_equal(v.target, "");
	assert_int_equal(v.stage[STAGE_TIMING].rule, 30);
	fixture_free(rules);
}

static bool
matches(const char *condition, const char *text)
{
	char charter[512];
	struct rules *rules;
	bool result;

	snprintf(charter, sizeof(charter), "group \"m\" {\n admit 1 a when %s then reject reason x\n}\n", condition);
	rules = fixture_rules(charter);
	assert_non_null(rules);
	result = judge(rules, text, OPEN_DAY).stage[STAGE_ADMISSION].action == ACTION_REJECT;
	fixture_free(rules);
	return result;
}

static void
check(const char *condition, const char *text, bool expected)
{
	if (matches(condition, text) != expected)
		fail_msg("%s %s: %s", condition, expected ? "misses" : "wrongly matches", text);
}

static void
test_words(void **state)
{
	static const struct {
		const char *condition, *text;
		bool matches;
	} cases[] = {
		{ "word in \"seo\"", "SEO", true },
		{ "word in \"seo\"", "le seo.", true },
		{ "word in \"seo\"", "(seo)", true },
		{ "word in \"seo\"", "seoul", false },
		{ "word in \"seo\"", "museo", false },
		{ "word in \"seo\"", "se\xCC\x81o", true },              /* combining accent */
		{ "word in \"\xC3\xA9t\xC3\xA9\"", "ETE", true },
		{ "word in \"ete\"", "\xC3\x89T\xC3\x89", true },
		{ "word in \"ete\"", "E\xCC\x81te\xCC\x81", true },
		{ "word in \"coeur\"", "c\xC5\x93ur", true },            /* oe ligature */
		{ "word in \"c\xC5\x93ur\"", "COEUR", true },
		{ "word in \"strasse\"", "Stra\xC3\x9F" "e", true },
		{ "word in \"fin\"", "\xEF\xAC\x81n", true },            /* fi ligature */
		{ "word in \"l'offre\"", "l\xE2\x80\x99offre", true },  /* typographic apostrophe */
		{ "word in \"offre\"", "l'offre", true },
		{ "word in \"offre sp\xC3\xA9" "ciale\"", "Offre\xC2\xA0sp\xC3\xA9" "ciale", true }, /* no-break space */
		{ "word in \"offre speciale\"", "offre \n\t speciale", true },
		{ "word in \"offre speciale\"", "offre, speciale", false },
		{ "word in \"offre speciale\"", "coffre speciale", false },
		{ "word in \"offre speciale\"", "offre specialement", false },
		{ "word in \"  offre  \"", "offre", true },
		{ "word in \"c++\"", "du C++ moderne", true },
		{ "word in \"c++\"", "c+ +", false },
		{ "word in \"a\" \"aa\" \"aaa\"", "aaaa", false },
		{ "word in \"a\" \"aa\" \"aaa\"", "x aaa", true },
		{ "word in \"she said\" \"he\"", "she sang, he", true },  /* a pattern inside a failed one */
		{ "word in \"un deux trois\" \"deux\"", "un deux quatre", true },
		{ "word in \"un deux un trois\"", "un deux un deux un trois", true },
		{ "word in \"seo\"", "caf\xEF\xBF\xBDseo", false },        /* U+FFFD is an unknown letter */
		{ "word in \"seo\"", "\xFF seo", true },
		{ "word in \"seo\"", "s\xC2\xAD" "eo", true },             /* soft hyphen */
		{ "word in \"seo\"", "s\xE2\x80\x8B" "eo", true },         /* zero width space */
		{ "word in \"\xF0\x9F\x98\x80\"", "ok \xF0\x9F\x98\x80!", true },
		{ "word in \"\xD0\xBF\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD1\x82\"", "\xD0\x9F\xD0\xA0\xD0\x98\xD0\x92\xD0\x95\xD0\xA2", true },
		{ "word in \"seo\"", "`seo`", true },                     /* words count wherever they stand */
		{ "word in \"seo\"", "https://x.org/seo", true },
		{ "word in \"say \\\"hi\\\"\"", "he will say \"hi\".", true },
		{ "word in \"d\xC3\xA9" "connexion\"", "d\xC4\x82\xC2\xA9" "connexion", false }, /* mojibake */
		{ "word in \"connexion\"", "d\xC4\x82\xC2\xA9 connexion", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check(cases[i].condition, cases[i].text, cases[i].matches);
	print_message("# %zu texts\n", sizeof(cases) / sizeof(cases[0]));
}

static void
test_tags(void **state)
{
	static const struct {
		const char *text;
		bool matches;
	} cases[] = {
		{ "#seo", true }, { "x #SEO", true }, { "#s\xC3\xA9o", true }, { "(#seo)", true }, { "#seo.", true },
		{ "#seo:", true }, { "#seo: x", true }, { "\xC2\xAB #seo \xC2\xBB", true }, { "\n#seo\n", true }, { "a,#seo", true },
		{ "#seo #x", true }, { "#x#seo", false }, { "#seo-", true }, { "seo", false }, { "# seo", false }, { "##seo", false },
		{ "#seoul", false }, { "#seo-local", false }, { "#seo_x", false }, { "#seo1", false }, { "a#seo", false },
		{ "\xC3\xA9#seo", false }, { "\xE2\x82\xAC#seo", true }, { "&#seo;", false },
		{ "#seo:example.org", false }, { "https://x.org/#seo", false }, { "https://x.org/a #seo", true },
		{ "www.x.org/ok,#seo", false }, { "<https://x.org/,#seo>", false }, { "mailto:a@b,#seo", false },
		{ "`#seo`", false }, { "``a ` #seo``", false }, { "`a` #seo", true }, { "`#seo", true }, { "`` #seo `", true },
		{ "```\n#seo\n```", false }, { "```c\n#seo\n```\n#seo", true }, { "```\n#seo", false }, { "```#seo```", false },
		{ "```#a``` #seo", true }, { "> #seo", false }, { "> a\n#seo", true }, { "  > #seo\nb", false }, { "a > #seo", true },
		{ "`a\n\n#seo `", true }, { "\xFF#seo", false }, { "\xFF #seo", true }, { "#", false }, { "#-", false }, { "", false },
		{ "#\xFF", false }, { "#seo\xFF", false },
	};
	char *text = malloc(1 << 16);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check("tag seo", cases[i].text, cases[i].matches);
	check("tag \"#seo\"", "#seo", true);
	check("tag hors-sujet", "#hors-sujet", true);
	check("tag hors-sujet", "#hors-sujets", false);
	check("tag hors-sujet", "#HORS-SUJET!", true);
	print_message("# %zu texts\n", sizeof(cases) / sizeof(cases[0]));
	/* a tag of 64 kB */
	assert_non_null(text);
	memset(text, 'a', (1 << 16) - 1);
	text[0] = '#';
	text[(1 << 16) - 1] = '\0';
	check("tag seo", text, false);
	free(text);
}

static void
test_logic(void **state)
{
	(void)state;
	check("tag a and tag b", "#a #b", true);
	check("tag a and tag b", "#a", false);
	check("tag a or tag b", "#b", true);
	check("tag a or tag b", "c", false);
	check("not tag a", "c", true);
	check("not tag a", "#a", false);
	check("not (tag a or tag b)", "#b", false);
	check("tag a and (tag b or not tag c)", "#a", true);
	check("tag a and (tag b or not tag c)", "#a #c", false);
	check("(((tag a)))", "#a", true);
	check("open and not closed", "x", true);
	check("kind decision or kind announce", "#decision", true);
}

static void
test_inputs(void **state)
{
	struct rules *rules = fixture_rules("group \"m\" {\n hours mon 9h-10h\n"
			" admit 1 a when (tag a or word in \"w\") and closed then pass\n"
			" route 1 b when not open and not tag z then here\n"
			" time 1 c when not tag z then deliver\n}\n");
	struct verdict v = judge(rules, "#a w", CLOSED_DAY);

	(void)state;
	assert_int_equal(v.stage[STAGE_ADMISSION].inputs, INPUT_TAG | INPUT_CLOSED);
	assert_int_equal(v.stage[STAGE_ROUTING].inputs, INPUT_CLOSED);
	assert_int_equal(v.stage[STAGE_TIMING].inputs, 0);
	assert_int_equal(judge(rules, "w", CLOSED_DAY).stage[STAGE_ADMISSION].inputs, INPUT_WORD | INPUT_CLOSED);
	fixture_free(rules);
}

static void
test_states(void **state)
{
	struct rules *rules = fixture_rules("group \"m\" {\n tz Europe/Paris\n"
			" time 1 off when open then digest next state off until 2026-10-17\n"
			" time 2 seen when open then digest next state observe until 2026-10-18\n"
			" time 3 noted when open then digest next continue\n"
			" time 4 on when open then digest next state on until 2026-10-16\n"
			" admit 1 never when open then reject reason x state off\n"
			" admit 2 watch when open then reject reason x state observe\n}\n");
	struct verdict v = judge(rules, "x", "2026-10-16 23:59:59");

	(void)state;
	assert_int_equal(v.stage[STAGE_TIMING].rule, 4);
	assert_int_equal(v.observed[STAGE_TIMING].rule, 2);
	assert_string_equal(v.observed[STAGE_TIMING].name, "seen");
	assert_int_equal(v.observed[STAGE_TIMING].action, ACTION_DIGEST);
	assert_int_equal(v.stage[STAGE_ADMISSION].action, ACTION_PASS);
	assert_int_equal(v.observed[STAGE_ADMISSION].rule, 2);
	assert_string_equal(v.reason, "");
	v = judge(rules, "x", "2026-10-17 00:00"); /* "until" means through that local day */
	assert_int_equal(v.stage[STAGE_TIMING].rule, 0);
	assert_int_equal(v.stage[STAGE_TIMING].action, ACTION_DELIVER);
	v = judge(rules, "x", "2026-10-18 00:00");
	assert_int_equal(v.stage[STAGE_TIMING].rule, 1);
	fixture_free(rules);

	rules = fixture_rules("group \"m\" {\n time 3 noted when open then digest next continue\n}\n");
	v = judge(rules, "x", OPEN_DAY);
	assert_int_equal(v.stage[STAGE_TIMING].rule, 0);
	assert_int_equal(v.observed[STAGE_TIMING].rule, 3);
	fixture_free(rules);
}

static void
test_moderators(void **state)
{
	struct rules *rules = fixture_rules("group \"m\" {\n time 1 a when open then digest next unless role moderator\n"
			" time 2 b when open unless role moderator then digest next\n}\n");
	struct message message = { NETWORK_MATRIX, MESSAGE_TEXT, "@a:hs", "x" };
	struct facts facts = { true };
	struct verdict v;

	(void)state;
	rules_judge(rules, &message, &facts, fixture_at(OPEN_DAY), &v);
	assert_int_equal(v.stage[STAGE_TIMING].rule, 0);
	facts.sender_moderator = false;
	rules_judge(rules, &message, &facts, fixture_at(OPEN_DAY), &v);
	assert_int_equal(v.stage[STAGE_TIMING].rule, 1);
	fixture_free(rules); /* closed: nobody is exempt unless the charter says so */
	rules = fixture_rules(office);
	facts.sender_moderator = true;
	rules_judge(rules, &message, &facts, fixture_at(CLOSED_DAY), &v);
	assert_int_equal(v.stage[STAGE_TIMING].action, ACTION_HOLD);
	fixture_free(rules);
}

/* No groups, no rules: everything is delivered. */
static void
test_empty(void **state)
{
	struct rules *rules = fixture_rules("");
	struct verdict v = judge(rules, "x", OPEN_DAY);

	(void)state;
	assert_int_equal(v.stage[STAGE_TIMING].action, ACTION_DELIVER);
	assert_null(rules_group(rules));
	fixture_free(rules);
}

static double
seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Runs of all lengths: what each costs has an end, so that nobody can make the text cost more than its length. */
static void
test_backticks(void **state)
{
	enum { SIZE = 1 << 18 };
	char *text = malloc(SIZE + 1), run[41] = "", line[128];
	size_t n = 0;
	double t;

	(void)state;
	assert_non_null(text);
	for (size_t ticks = 1; n + ticks + 1 < SIZE; n++, ticks++) {
		memset(text + n, '`', ticks);
		text[n += ticks] = ' ';
	}
	text[n] = '\0';
	t = seconds();
	check("tag seo", text, false);
	print_message("# 256 kB of backticks: %.2f ms\n", (seconds() - t) * 1000);
	free(text);
	memset(run, '`', 32);
	snprintf(line, sizeof(line), "%s#seo %s", run, run);
	check("tag seo", line, false);
	memset(run, '`', 33);
	snprintf(line, sizeof(line), "%s #seo %s", run, run);
	check("tag seo", line, true);
}

/* 4,000 patterns and the longest bodies that arrive: the work grows with the text alone. */
static void
test_cost(void **state)
{
	char *charter = malloc(200000), *text = malloc(65537);
	size_t n = 0;
	struct rules *rules;
	double t, first = 0;

	(void)state;
	assert_true(charter && text);
	n += (size_t)snprintf(charter, 200000, "group \"m\" {\n");
	for (int i = 1; i <= 100; i++) {
		n += (size_t)snprintf(charter + n, 200000 - n, " admit %d r%d when word in", i, i);
		for (int k = 0; k < 40; k++)
			n += (size_t)snprintf(charter + n, 200000 - n, " \"mot%dx%d un deux\"", i, k);
		n += (size_t)snprintf(charter + n, 200000 - n, " then pass\n");
	}
	snprintf(charter + n, 200000 - n, "}\n");
	rules = fixture_rules(charter);
	assert_non_null(rules);
	for (int shape = 0; shape < 5; shape++) {
		static const char *const units[] = { "mot1x1 un ", "`", "# ", "`#a` `` ", "\xC3\xA9\xCC\x81 " };
		size_t unit = strlen(units[shape]);

		for (size_t i = 0; i < 65536; i++)
			text[i] = units[shape][i % unit];
		text[65536] = '\0';
		t = seconds();
		for (int i = 0; i < 10; i++)
			judge(rules, text, OPEN_DAY);
		t = (seconds() - t) / 10;
		if (shape == 0)
			first = t;
		print_message("# 64 kB of \"%s\" against 4000 phrases: %.2f ms\n", units[shape], t * 1000);
		assert_true(t < 1);
	}
	assert_true(first > 0);
	fixture_free(rules);
	free(charter);
	free(text);
}

/* Against a plain search over folded words: random texts of few letters, so that overlaps abound. */
static void
test_words_property(void **state)
{
	unsigned long long seed = 3;
	unsigned long hits = 0, misses = 0;

	(void)state;
	for (int turn = 0; turn < 2000; turn++) {
		struct words *words = words_new();
		char patterns[8][16], text[64] = "", padded[80];
		int ids[8];
		struct words_found found;

		for (int i = 0; i < 8; i++) {
			size_t n = 0, length = 1 + (seed >> 40) % 5;

			for (; n < length || patterns[i][n - 1] == ' '; n++) {
				seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
				patterns[i][n] = "ab ab"[(seed >> 33) % 5];
				if (patterns[i][n] == ' ' && (n == 0 || patterns[i][n - 1] == ' '))
					patterns[i][n] = 'a';
				if (n == 12)
					patterns[i][n] = 'b';
			}
			patterns[i][n] = '\0';
			assert_int_equal(words_add(words, patterns[i], n, &ids[i]), 0);
		}
		assert_int_equal(words_finish(words), 0);
		for (size_t n = 0; n < 60; n++) {
			seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
			text[n] = "ab ba"[(seed >> 33) % 5];
			if (n > 0 && text[n] == ' ' && text[n - 1] == ' ')
				text[n] = 'b';
			text[n + 1] = '\0';
		}
		words_scan(words, text, &found);
		snprintf(padded, sizeof(padded), " %s ", text);
		for (int i = 0; i < 8; i++) {
			char wanted[160];
			bool expected;

			snprintf(wanted, sizeof(wanted), " %s ", patterns[i]);
			expected = strstr(padded, wanted) != NULL;
			if (words_has(&found, ids[i]) != expected)
				fail_msg("\"%s\" in \"%s\": expected %d", patterns[i], text, expected);
			hits += expected;
			misses += !expected;
		}
		words_free(words);
	}
	print_message("# %lu hits, %lu misses\n", hits, misses);
	assert_true(hits > 1000 && misses > 1000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_matched),
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_stages),
		cmocka_unit_test(test_kinds_and_senders),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_words_property),
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_backticks),
		cmocka_unit_test(test_logic),
		cmocka_unit_test(test_inputs),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_moderators),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_cost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
