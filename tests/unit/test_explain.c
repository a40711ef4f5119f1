/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules, hours and verdicts in words, in both languages against golden texts.
 * In the expected French '~' stands for a no-break space.
 */
#include "rules/say.h"
#include "rules_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char charter[] =
	"group \"marketing\" {\n tz Europe/Paris\n hours mon-fri 08:30-12:30 13:30-18:30 sat 9h-12h\n holidays fr\n"
	" closed 2026-12-24..2027-01-03 \"Fermeture annuelle\"\n"
	" topics { seo: \"SEO\" tag ref -> \"seo\" }\n bots \"@ci:x\"\n"
	" admit 10 promo when word in \"offre\" \"webinaire gratuit\" and not (open or tag ok) then reject reason promo\n"
	" route 10 seo when topic seo then copy\n route 20 cafe when tag hors-sujet then move \"cafe\"\n"
	" route 30 idee when kind decision then suggest \"idees\"\n"
	" time 10 annonce when kind announce then deliver\n"
	" time 20 robots when automated then digest next state observe until 2026-12-31\n"
	" time 30 ferme when closed then hold until opening unless role moderator\n"
	" time 40 muet when tag chut or tag nuit then hold until opening notice none state off\n"
	" time 50 note when closed then digest next continue\n"
	"}\n";

/* Replaces no-break spaces, so that the expectation can be read. */
static char *
visible(char *text)
{
	char *out = text;

	for (const char *p = text; *p; p++) {
		if (strncmp(p, "\xC2\xA0", 2) == 0) {
			*out++ = '~';
			p++;
		} else if (strncmp(p, "\xE2\x80\xAF", 3) == 0) {
			*out++ = '~';
			p += 2;
		} else {
			*out++ = *p;
		}
	}
	*out = '\0';
	return text;
}

static struct verdict
judge(const struct rules *rules, const char *text, const char *when)
{
	struct message message = { NETWORK_MATRIX, MESSAGE_TEXT, "@a:hs", text };
	struct facts facts = { false };
	struct verdict verdict;

	rules_judge(rules, &message, &facts, fixture_at(when), &verdict);
	return verdict;
}

static void
check_verdict(const struct rules *rules, const char *text, const char *when, const char *english, const char *french)
{
	struct verdict verdict = judge(rules, text, when);
	char out[4096];

	rules_say_verdict(rules, &verdict, fixture_at(when), fixture_english(), out, sizeof(out));
	assert_string_equal(visible(out), english);
	rules_say_verdict(rules, &verdict, fixture_at(when), fixture_french(), out, sizeof(out));
	assert_string_equal(visible(out), french);
}

static void
test_verdicts(void **state)
{
	struct rules *rules = fixture_rules(charter);

	(void)state;
	check_verdict(rules, "Bonsoir", "2026-10-16 19:04",
		"Held until Sat 17 Oct 09:00 (Europe/Paris).\n"
		" admission  no rule matched -> let in\n"
		" routing    no rule matched -> stays here\n"
		" timing     rule 30 \"ferme\": the group was closed -> hold until opening",
		"Retenu jusqu’au sam. 17 oct. 9~h (Europe/Paris).\n"
		" admission   aucune règle ne convient -> laisser entrer\n"
		" aiguillage  aucune règle ne convient -> reste ici\n"
		" moment      règle 30 «~ferme~»~: le groupe était fermé -> retenir jusqu’à l’ouverture");
	check_verdict(rules, "le #ref", "2026-10-16 10:00",
		"Delivered at once. A copy goes to \"seo\".\n"
		" admission  no rule matched -> let in\n"
		" routing    rule 10 \"seo\": a topic matched -> copy to \"seo\"\n"
		" timing     no rule matched -> deliver at once",
		"Livré aussitôt. Une copie part vers «~seo~».\n"
		" admission   aucune règle ne convient -> laisser entrer\n"
		" aiguillage  règle 10 «~seo~»~: un sujet convenait -> copier vers «~seo~»\n"
		" moment      aucune règle ne convient -> livrer aussitôt");
	check_verdict(rules, "offre", "2026-12-27 10:00",
		"Refused (promo).\n"
		" admission  rule 10 \"promo\": a word matched -> refuse (promo)",
		"Refusé (promo).\n"
		" admission   règle 10 «~promo~»~: un mot convenait -> refuser (promo)");
	check_verdict(rules, "#hors-sujet", "2026-12-27 10:00",
		"Moved to \"cafe\", whose hours decide when it is delivered.\n"
		" admission  no rule matched -> let in\n"
		" routing    rule 20 \"cafe\": a tag matched -> move to \"cafe\"",
		"Déplacé vers «~cafe~», dont les horaires décident de la livraison.\n"
		" admission   aucune règle ne convient -> laisser entrer\n"
		" aiguillage  règle 20 «~cafe~»~: une étiquette convenait -> déplacer vers «~cafe~»");
	check_verdict(rules, "#decision", "2026-12-24 10:00",
		"Held until Mon 4 Jan 2027 08:30 (Europe/Paris). The writer is shown \"idees\".\n"
		" admission  no rule matched -> let in\n"
		" routing    rule 30 \"idee\": the kind of message matched -> suggest \"idees\"\n"
		" timing     rule 30 \"ferme\": the group was closed -> hold until opening",
		"Retenu jusqu’au lun. 4 janv. 2027 8~h~30 (Europe/Paris). L’auteur est orienté vers «~idees~».\n"
		" admission   aucune règle ne convient -> laisser entrer\n"
		" aiguillage  règle 30 «~idee~»~: le genre de message convenait -> proposer «~idees~»\n"
		" moment      règle 30 «~ferme~»~: le groupe était fermé -> retenir jusqu’à l’ouverture");
	fixture_free(rules);
}

static void
test_other_verdicts(void **state)
{
	struct rules *rules = fixture_rules("group \"m\" {\n closed 2020-01-01..2040-01-01\n"
			" time 10 a when tag a then digest next\n time 20 b when not tag c then hold until opening\n"
			" time 30 d when closed then digest next state observe\n}\n");

	(void)state;
	check_verdict(rules, "x", "2026-10-16 10:00",
		"Held: no opening is in sight, the moderators decide.\n"
		" admission  no rule matched -> let in\n"
		" routing    no rule matched -> stays here\n"
		" timing     rule 20 \"b\": its condition held -> hold until opening",
		"Retenu~: aucune ouverture n’est en vue, les modérateurs décident.\n"
		" admission   aucune règle ne convient -> laisser entrer\n"
		" aiguillage  aucune règle ne convient -> reste ici\n"
		" moment      règle 20 «~b~»~: sa condition était remplie -> retenir jusqu’à l’ouverture");
	check_verdict(rules, "#a", "2026-10-16 10:00",
		"Kept for a digest; none is in sight.\n"
		" admission  no rule matched -> let in\n"
		" routing    no rule matched -> stays here\n"
		" timing     rule 10 \"a\": a tag matched -> put into the next digest",
		"Gardé pour un résumé~; aucun n’est en vue.\n"
		" admission   aucune règle ne convient -> laisser entrer\n"
		" aiguillage  aucune règle ne convient -> reste ici\n"
		" moment      règle 10 «~a~»~: une étiquette convenait -> mettre dans le prochain résumé");
	check_verdict(rules, "#c", "2026-10-16 10:00",
		"Delivered at once.\n"
		" admission  no rule matched -> let in\n"
		" routing    no rule matched -> stays here\n"
		" timing     no rule matched -> deliver at once\n"
		" timing     rule 30 \"d\" also matched; it is only observed",
		"Livré aussitôt.\n"
		" admission   aucune règle ne convient -> laisser entrer\n"
		" aiguillage  aucune règle ne convient -> reste ici\n"
		" moment      aucune règle ne convient -> livrer aussitôt\n"
		" moment      la règle 30 «~d~» convenait aussi~; elle est seulement observée");
	fixture_free(rules);
	rules = fixture_rules("group \"m\" {\n tz Europe/Paris\n digest at 16:00\n time 10 a when open then digest next\n}\n");
	check_verdict(rules, "x", "2026-10-16 10:00",
		"Kept for the digest of Fri 16 Oct 16:00 (Europe/Paris).\n"
		" admission  no rule matched -> let in\n"
		" routing    no rule matched -> stays here\n"
		" timing     rule 10 \"a\": its condition held -> put into the next digest",
		"Gardé pour le résumé du ven. 16 oct. 16~h (Europe/Paris).\n"
		" admission   aucune règle ne convient -> laisser entrer\n"
		" aiguillage  aucune règle ne convient -> reste ici\n"
		" moment      règle 10 «~a~»~: sa condition était remplie -> mettre dans le prochain résumé");
	fixture_free(rules);
}

static void
test_rules(void **state)
{
	struct rules *rules = fixture_rules(charter);
	char out[4096];

	(void)state;
	rules_say_rules(rules, fixture_english(), out, sizeof(out));
	assert_string_equal(out,
		"admission 10 promo: when the message has one of the words \"offre\", \"webinaire gratuit\" and not "
			"(the group is open or the message has the tag #ok), refuse (promo)\n"
		"routing 10 seo: when the topic is \"seo\" (\"SEO\", #ref), copy to \"seo\"\n"
		"routing 20 cafe: when the message has the tag #hors-sujet, move to \"cafe\"\n"
		"routing 30 idee: when it is a decision, suggest \"idees\"\n"
		"timing 10 annonce: when it is an announcement by a moderator, deliver at once\n"
		"timing 20 robots: when the sender is automated, put into the next digest [observed only until Thu 31 Dec 2026]\n"
		"timing 30 ferme: when the group is closed, hold until opening, unless a moderator wrote it\n"
		"timing 40 muet: when the message has the tag #chut or the message has the tag #nuit, hold until opening, "
			"without telling the writer [off]\n"
		"timing 50 note: when the group is closed, put into the next digest [noted only]");
	rules_say_rules(rules, fixture_french(), out, sizeof(out));
	assert_string_equal(visible(out),
		"admission 10 promo~: quand le message contient l’un des mots «~offre~», «~webinaire gratuit~» et pas "
			"(le groupe est ouvert ou le message porte l’étiquette #ok), refuser (promo)\n"
		"aiguillage 10 seo~: quand le sujet est «~seo~» («~SEO~», #ref), copier vers «~seo~»\n"
		"aiguillage 20 cafe~: quand le message porte l’étiquette #hors-sujet, déplacer vers «~cafe~»\n"
		"aiguillage 30 idee~: quand c’est une décision, proposer «~idees~»\n"
		"moment 10 annonce~: quand c’est une annonce d’un modérateur, livrer aussitôt\n"
		"moment 20 robots~: quand l’expéditeur est automatique, mettre dans le prochain résumé "
			"[seulement observée jusqu’au jeu. 31 déc. 2026]\n"
		"moment 30 ferme~: quand le groupe est fermé, retenir jusqu’à l’ouverture, sauf si un modérateur l’a écrit\n"
		"moment 40 muet~: quand le message porte l’étiquette #chut ou le message porte l’étiquette #nuit, "
			"retenir jusqu’à l’ouverture, sans prévenir l’auteur [coupée]\n"
		"moment 50 note~: quand le groupe est fermé, mettre dans le prochain résumé [simple note]");
	fixture_free(rules);
	rules = fixture_rules("group \"m\" {\n route 1 a when open then here\n"
			" time 1 b when (open and tag a) or closed then deliver state on until 2026-01-01\n"
			" time 2 c when open then deliver state off until 2026-01-01\n}\n");
	rules_say_rules(rules, fixture_english(), out, sizeof(out));
	assert_string_equal(out, "routing 1 a: when the group is open, stays here\n"
		"timing 1 b: when (the group is open and the message has the tag #a) or the group is closed, deliver at once "
			"[on until Thu 1 Jan 2026]\n"
		"timing 2 c: when the group is open, deliver at once [off until Thu 1 Jan 2026]");
	fixture_free(rules);
	rules = fixture_rules("");
	rules_say_rules(rules, fixture_english(), out, sizeof(out));
	assert_string_equal(out, "No rules: every message is delivered at once.");
	fixture_free(rules);
}

static void
check_hours(const struct rules *rules, const char *when, const char *english, const char *french)
{
	char out[2048];

	rules_say_hours(rules, fixture_at(when), fixture_english(), out, sizeof(out));
	assert_string_equal(out, english);
	rules_say_hours(rules, fixture_at(when), fixture_french(), out, sizeof(out));
	assert_string_equal(visible(out), french);
}

static void
test_hours(void **state)
{
	struct rules *rules = fixture_rules(charter);

	(void)state;
	check_hours(rules, "2026-10-16 19:04",
		"Opening hours: Mon-Fri 08:30-12:30, 13:30-18:30; Sat 09:00-12:00.\n"
		"Closed on French public holidays.\n"
		"Next day off: Sun 1 Nov, All Saints' Day.\n"
		"Closed now, opens Sat 17 Oct 09:00 (Europe/Paris).",
		"Horaires~: lun.-ven. 8~h~30 – 12~h~30, 13~h~30 – 18~h~30~; sam. 9~h – 12~h.\n"
		"Fermé les jours fériés français.\n"
		"Prochain jour de fermeture~: dim. 1er nov., la Toussaint.\n"
		"Fermé en ce moment, ouvre le sam. 17 oct. 9~h (Europe/Paris).");
	check_hours(rules, "2026-12-14 10:00",
		"Opening hours: Mon-Fri 08:30-12:30, 13:30-18:30; Sat 09:00-12:00.\n"
		"Closed on French public holidays.\n"
		"Closed from Thu 24 Dec to Sun 3 Jan 2027: \"Fermeture annuelle\".\n"
		"Open now, closes Mon 14 Dec 12:30 (Europe/Paris).",
		"Horaires~: lun.-ven. 8~h~30 – 12~h~30, 13~h~30 – 18~h~30~; sam. 9~h – 12~h.\n"
		"Fermé les jours fériés français.\n"
		"Fermé du jeu. 24 déc. au dim. 3 janv. 2027~: «~Fermeture annuelle~».\n"
		"Ouvert en ce moment, ferme le lun. 14 déc. 12~h~30 (Europe/Paris).");
	fixture_free(rules);
	rules = fixture_rules("group \"m\" {\n}\n");
	check_hours(rules, "2026-10-16 19:04", "Opening hours: always open.", "Horaires~: toujours ouvert.");
	fixture_free(rules);
	rules = fixture_rules("group \"m\" {\n hours daily 9h-12h\n holidays fr-alsace-moselle\n closed 2026-10-20\n}\n");
	check_hours(rules, "2026-10-16 19:04",
		"Opening hours: every day 09:00-12:00.\n"
		"Closed on French public holidays, those of Alsace-Moselle included.\n"
		"Closed on Tue 20 Oct.\n"
		"Closed now, opens Sat 17 Oct 09:00 (UTC).",
		"Horaires~: tous les jours 9~h – 12~h.\n"
		"Fermé les jours fériés français, ceux d’Alsace-Moselle compris.\n"
		"Fermé le mar. 20 oct.\n"
		"Fermé en ce moment, ouvre le sam. 17 oct. 9~h (UTC).");
	fixture_free(rules);
	rules = fixture_rules("group \"m\" {\n hours mon,wed,fri,sat 9h-12h\n closed 2026-01-01..2030-01-01\n}\n");
	check_hours(rules, "2026-10-16 19:04",
		"Opening hours: Mon, Wed, Fri, Sat 09:00-12:00.\n"
		"Closed from Thu 1 Jan to Tue 1 Jan 2030.\n"
		"Closed now, no opening in sight (UTC).",
		"Horaires~: lun., mer., ven., sam. 9~h – 12~h.\n"
		"Fermé du jeu. 1er janv. au mar. 1er janv. 2030.\n"
		"Fermé en ce moment, aucune ouverture en vue (UTC).");
	fixture_free(rules);
}

static void
test_instants(void **state)
{
	struct rules *rules = fixture_rules("group \"m\" {\n tz Europe/Paris\n}\n");
	static const struct {
		const char *at, *now, *english, *french;
	} cases[] = {
		{ "2026-10-19 08:30", "2026-10-16 12:00", "Mon 19 Oct 08:30", "lun. 19 oct. 8~h~30" },
		{ "2027-01-01 09:00", "2026-12-31 12:00", "Fri 1 Jan 2027 09:00", "ven. 1er janv. 2027 9~h" },
		{ "2026-02-28 00:00", "2026-10-16 12:00", "Sat 28 Feb 00:00", "sam. 28 févr. 0~h" },
		{ "2026-08-04 23:05", "2026-10-16 12:00", "Tue 4 Aug 23:05", "mar. 4 août 23~h~05" },
		{ "2026-12-09 12:00", "2026-10-16 12:00", "Wed 9 Dec 12:00", "mer. 9 déc. 12~h" },
	};
	char out[128];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rules_say_instant(rules, fixture_at(cases[i].at), fixture_at(cases[i].now), fixture_english(), out, sizeof(out));
		assert_string_equal(out, cases[i].english);
		rules_say_instant(rules, fixture_at(cases[i].at), fixture_at(cases[i].now), fixture_french(), out, sizeof(out));
		assert_string_equal(visible(out), cases[i].french);
	}
	rules_say_instant(rules, INT64_MAX, 0, fixture_english(), out, sizeof(out));
	assert_string_equal(out, "no date in sight");
	rules_say_instant(rules, INT64_MIN, 0, fixture_english(), out, sizeof(out));
	fixture_free(rules);
}

static bool
is_utf8(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	while (*p) {
		size_t n = *p < 0x80 ? 1 : *p >= 0xF0 ? 4 : *p >= 0xE0 ? 3 : *p >= 0xC2 ? 2 : 0;

		if (n == 0)
			return false;
		for (size_t i = 1; i < n; i++) {
			if ((p[i] & 0xC0) != 0x80)
				return false;
		}
		p += n;
	}
	return true;
}

/* Every size: the same length is asked for, and what is there is the beginning, whole characters only. */
static void
test_cutting(void **state)
{
	struct rules *rules = fixture_rules(charter);
	char whole[4096], out[4096];
	size_t need = rules_say_rules(rules, fixture_french(), whole, sizeof(whole));

	(void)state;
	assert_int_equal(need, strlen(whole));
	assert_int_equal(rules_say_rules(rules, fixture_french(), NULL, 0), need);
	for (size_t size = 1; size < need + 3; size++) {
		memset(out, 'Z', sizeof(out));
		assert_int_equal(rules_say_rules(rules, fixture_french(), out, size), need);
		assert_true(strlen(out) < size && strlen(out) + 4 >= (size < need ? size : need));
		assert_int_equal(strncmp(out, whole, strlen(out)), 0);
		assert_true(is_utf8(out));
		assert_int_equal(out[size], 'Z');
	}
	fixture_free(rules);
}

/* However long a list of words is, all of it is said. */
static void
test_long_rules(void **state)
{
	char charter_text[16000], out[20000], wanted[64];
	size_t n = (size_t)snprintf(charter_text, sizeof(charter_text), "group \"m\" {\n admit 1 a when word in");
	struct rules *rules;

	(void)state;
	for (int i = 0; i < RULES_WORDS_MAX; i++)
		n += (size_t)snprintf(charter_text + n, sizeof(charter_text) - n, " \"w%0200d\"", i);
	snprintf(charter_text + n, sizeof(charter_text) - n, " then pass\n}\n");
	rules = fixture_rules(charter_text);
	assert_non_null(rules);
	assert_true(rules_say_rules(rules, fixture_english(), out, sizeof(out)) < sizeof(out));
	for (int i = 0; i < RULES_WORDS_MAX; i++) {
		snprintf(wanted, sizeof(wanted), "000%d\"", i);
		assert_non_null(strstr(out, wanted));
	}
	assert_non_null(strstr(out, ", let in"));
	fixture_free(rules);
}

/* All words go through the callback: in the marked output no letter stands outside of marks but names and dates. */
static void
test_every_word_is_translated(void **state)
{
	static const struct rules_speech speech = { fixture_words, NULL, false };
	struct rules *rules = fixture_rules("group \"0\" {\n tz UTC\n hours mon 9h-10h\n"
			" route 1 \"1\" when tag \"2\" or not topic \"3\" then suggest \"4\"\n topics { \"3\": \"5\" }\n"
			" admit 1 \"6\" when word in \"7\" and kind decision then reject reason \"8\" unless role moderator\n"
			" time 1 \"9\" when closed then hold until opening notice none continue state observe\n}\n");
	char out[4096];
	int depth = 0;

	(void)state;
	rules_say_rules(rules, &speech, out, sizeof(out));
	for (const char *p = out; *p; p++) {
		depth += (*p == '<') - (*p == '>' && p[-1] != '-');
		if (depth == 0 && ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z')))
			fail_msg("not translated: %s", p);
	}
	fixture_free(rules);
}

/* Braces in names are text, not places. */
static void
test_templates(void **state)
{
	struct rules *rules = fixture_rules("group \"m\" {\n route 1 \"{2}{9}{\" when tag x then copy \"{1}\"\n}\n");
	char out[512];

	(void)state;
	rules_say_rules(rules, fixture_english(), out, sizeof(out));
	assert_string_equal(out, "routing 1 {2}{9}{: when the message has the tag #x, copy to \"{1}\"");
	fixture_free(rules);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_other_verdicts),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_hours),
		cmocka_unit_test(test_instants),
		cmocka_unit_test(test_cutting),
		cmocka_unit_test(test_long_rules),
		cmocka_unit_test(test_every_word_is_translated),
		cmocka_unit_test(test_templates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
