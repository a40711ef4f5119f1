/* SPDX-License-Identifier: Apache-2.0 */
/* One member's digest: golden texts in both languages, order, limits, and foreign text that stays harmless. */
#include "rules/digest.h"
#include "rules_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct rules *rules;

static int
begin(void **state)
{
	(void)state;
	rules = fixture_rules("group \"marketing\" {\n tz Europe/Paris\n}\n");
	return 0;
}

static int
end(void **state)
{
	(void)state;
	fixture_free(rules);
	return 0;
}

static struct digest_item
item(int64_t seq, const char *when, const char *author, const char *text)
{
	static char tags[64][8];
	char *tag = tags[seq % 64];

	snprintf(tag, sizeof(tags[0]), "m%d", (int)(seq % 64));
	return (struct digest_item){ .seq = seq, .at_ms = fixture_at(when), .tag = tag, .author = author, .text = text };
}

static struct digest_text
build(const struct digest_item *items, size_t count, const struct rules_speech *speech)
{
	struct digest digest = { .group = "marketing", .from_ms = fixture_at("2026-10-16 16:00"),
		.to_ms = fixture_at("2026-10-19 09:00"), .items = items, .count = count, .footer = "!mode live" };
	struct digest_text text;

	assert_int_equal(digest_build(rules, &digest, speech, &text), 0);
	return text;
}

static void
test_golden(void **state)
{
	struct digest_item items[] = {
		item(4, "2026-10-19 08:40", "Bob", "Vu, merci"),
		item(1, "2026-10-16 17:02", "Alice", "Le planning est en ligne"),
		item(2, "2026-10-16 17:30", "Carol", "plan.pdf, 2 MB"),
		item(3, "2026-10-17 09:00", "Bob", "Tu peux regarder <la> page & dire ?"),
		item(5, "2026-10-19 08:50", "Alice", "R\xC3\xA9union \xC3\xA0 10 h"),
		item(6, "2026-10-19 08:55", "Dan", ""),
		item(7, "2026-10-19 08:56", "Dan", "connu"),
	};
	struct digest_text text;

	(void)state;
	items[0].thread = 1;
	items[1].link = "https://matrix.to/#/!r:hs/$e?via=hs&x=1";
	items[2].flags = DIGEST_MEDIA;
	items[3].flags = DIGEST_MENTION | DIGEST_EDITED;
	items[4].flags = DIGEST_ANNOUNCE;
	items[6].flags = DIGEST_SENT;
	text = build(items, 7, fixture_english());
	assert_int_equal(text.count, 1);
	assert_string_equal(text.part[0].plain,
		"Digest of \"marketing\", Fri 16 Oct 16:00 to Mon 19 Oct 09:00 (Europe/Paris)\n"
		"Messages: 7, people: 4\n\n"
		"For you\nSat 17 Oct\n"
		"m3 09:00 Bob: Tu peux regarder <la> page & dire ? (edited)\n\n"
		"Announcements\nMon 19 Oct\n"
		"m5 08:50 Alice: R\xC3\xA9union \xC3\xA0 10 h\n\n"
		"Messages\nFri 16 Oct\n"
		"m1 17:02 Alice: Le planning est en ligne\n"
		"  https://matrix.to/#/!r:hs/$e?via=hs&x=1\n"
		"Mon 19 Oct\n"
		"\xE2\x86\xB3 m4 08:40 Bob: Vu, merci\n"
		"Fri 16 Oct\n"
		"m2 17:30 Carol: [file] plan.pdf, 2 MB\n"
		"Mon 19 Oct\n"
		"m6 08:55 Dan: (text no longer kept)\n"
		"m7 08:56 Dan: (already sent)\n\n"
		"!mode live");
	assert_string_equal(text.part[0].html,
		"<p><strong>Digest of &quot;marketing&quot;, Fri 16 Oct 16:00 to Mon 19 Oct 09:00 (Europe/Paris)</strong><br>"
		"Messages: 7, people: 4</p>"
		"<h4>For you</h4><p>Sat 17 Oct</p>"
		"<ul><li>m3 09:00 <strong>Bob</strong>: Tu peux regarder &lt;la&gt; page &amp; dire ? (edited)</li></ul>"
		"<h4>Announcements</h4><p>Mon 19 Oct</p>"
		"<ul><li>m5 08:50 <strong>Alice</strong>: R\xC3\xA9union \xC3\xA0 10 h</li></ul>"
		"<h4>Messages</h4><p>Fri 16 Oct</p>"
		"<ul><li><a href=\"https://matrix.to/#/!r:hs/$e?via=hs&amp;x=1\">m1</a> 17:02 <strong>Alice</strong>: "
		"Le planning est en ligne</li></ul><p>Mon 19 Oct</p>"
		"<ul><li>\xE2\x86\xB3 m4 08:40 <strong>Bob</strong>: Vu, merci</li></ul><p>Fri 16 Oct</p>"
		"<ul><li>m2 17:30 <strong>Carol</strong>: [file] plan.pdf, 2 MB</li></ul><p>Mon 19 Oct</p>"
		"<ul><li>m6 08:55 <strong>Dan</strong>: (text no longer kept)</li>"
		"<li>m7 08:56 <strong>Dan</strong>: (already sent)</li></ul>"
		"<p>!mode live</p>");
	digest_text_fini(&text);
	digest_text_fini(&text);

	text = build(items + 1, 1, fixture_french());
	assert_string_equal(text.part[0].plain,
		"R\xC3\xA9sum\xC3\xA9 de \xC2\xAB\xC2\xA0marketing\xC2\xA0\xC2\xBB, du ven. 16 oct. 16\xC2\xA0h au lun. 19 oct. "
		"9\xC2\xA0h (Europe/Paris)\n"
		"Messages\xC2\xA0: 1, personnes\xC2\xA0: 1\n\n"
		"ven. 16 oct.\n"
		"m1 17\xC2\xA0h\xC2\xA0" "02 Alice\xC2\xA0: Le planning est en ligne\n"
		"  https://matrix.to/#/!r:hs/$e?via=hs&x=1\n\n!mode live");
	digest_text_fini(&text);
}

static void
test_empty(void **state)
{
	struct digest digest = { .group = "marketing", .to_ms = fixture_at("2026-10-19 09:00") };
	struct digest_text text;

	(void)state;
	assert_int_equal(digest_build(rules, &digest, fixture_english(), &text), DIGEST_E_EMPTY);
	assert_int_equal(text.count, 0);
	digest.older = 12;
	assert_int_equal(digest_build(rules, &digest, fixture_english(), &text), 0);
	assert_string_equal(text.part[0].plain, "Digest of \"marketing\", up to Mon 19 Oct 09:00 (Europe/Paris)\n"
		"Messages: 12, people: 0\n\nOnly counted, as their text is no longer kept: 12, in \"marketing\".");
	digest_text_fini(&text);
}

static size_t
count(const char *text, const char *what)
{
	size_t n = 0;

	for (const char *p = text; (p = strstr(p, what)); p += strlen(what))
		n++;
	return n;
}

static void
test_parts(void **state)
{
	static struct digest_item items[200];
	struct digest digest = { .group = "marketing", .to_ms = fixture_at("2026-10-19 09:00"), .items = items };
	struct digest_text text;

	(void)state;
	for (int i = 0; i < 200; i++) {
		items[i] = item(i + 1, "2026-10-16 17:00", "Alice", "bonjour");
		items[i].at_ms += i * 1000;
	}
	digest.count = 40;
	assert_int_equal(digest_build(rules, &digest, fixture_english(), &text), 0);
	assert_int_equal(text.count, 1);
	assert_null(strstr(text.part[0].plain, "Part"));
	digest_text_fini(&text);
	digest.count = 41;
	assert_int_equal(digest_build(rules, &digest, fixture_english(), &text), 0);
	assert_int_equal(text.count, 2);
	assert_non_null(strstr(text.part[1].plain, "Part 2 of 2"));
	assert_int_equal(count(text.part[1].plain, "bonjour"), 1);
	assert_null(strstr(text.part[1].plain, "more in"));
	digest_text_fini(&text);
	digest.count = 177;
	assert_int_equal(digest_build(rules, &digest, fixture_english(), &text), 0);
	assert_int_equal(text.count, 3);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(count(text.part[i].plain, "bonjour"), 40);
		assert_int_equal(count(text.part[i].html, "<li>"), 40);
		assert_int_equal(count(text.part[i].html, "<ul>"), count(text.part[i].html, "</ul>"));
		assert_int_equal(count(text.part[i].plain, "more in"), i == 2);
	}
	assert_non_null(strstr(text.part[2].plain, "And 57 more in \"marketing\"."));
	digest_text_fini(&text);
	digest.parts_max = 1;
	assert_int_equal(digest_build(rules, &digest, fixture_english(), &text), 0);
	assert_int_equal(text.count, 1);
	assert_non_null(strstr(text.part[0].plain, "And 137 more in"));
	digest_text_fini(&text);
}

/* Bytes count after escaping: '&' is five, a text of them fills a part sooner. */
static void
test_bytes(void **state)
{
	static struct digest_item items[60];
	char long_text[2001], link[480] = "https://x.org/";
	struct digest digest = { .group = "marketing", .to_ms = fixture_at("2026-10-19 09:00"), .items = items, .count = 60 };
	struct digest_text text;
	size_t shown = 0;

	(void)state;
	memset(long_text, '&', 2000);
	long_text[2000] = '\0';
	memset(link + strlen(link), 'a', sizeof(link) - strlen(link) - 1);
	for (int i = 0; i < 60; i++) {
		items[i] = item(i + 1, "2026-10-16 17:00", "Alice", long_text);
		items[i].link = link;
	}
	assert_int_equal(digest_build(rules, &digest, fixture_english(), &text), 0);
	assert_int_equal(text.count, 3);
	for (size_t i = 0; i < text.count; i++) {
		assert_true(strlen(text.part[i].plain) <= DIGEST_BYTES_MAX && strlen(text.part[i].html) <= DIGEST_BYTES_MAX);
		assert_int_equal(count(text.part[i].html, "<li>"), count(text.part[i].plain, link));
		shown += count(text.part[i].html, "<li>");
	}
	assert_true(shown >= 12 && shown < 60);
	assert_int_equal(strtoul(strstr(text.part[2].plain, "And ") + 4, NULL, 10), 60 - shown);
	digest_text_fini(&text);
}

static void
check_text(const char *input, const char *plain, const char *html)
{
	struct digest_item one = item(1, "2026-10-16 17:00", "A", input);
	struct digest_text text = build(&one, 1, fixture_english());
	char wanted[4096];

	snprintf(wanted, sizeof(wanted), "m1 17:00 A: %s\n\n!mode live", plain);
	if (!strstr(text.part[0].plain, wanted))
		fail_msg("wanted %s in %s", wanted, text.part[0].plain);
	snprintf(wanted, sizeof(wanted), "</strong>: %s</li>", html);
	if (!strstr(text.part[0].html, wanted))
		fail_msg("wanted %s in %s", wanted, text.part[0].html);
	digest_text_fini(&text);
}

static void
test_foreign_text(void **state)
{
	char input[6000] = "", wanted[6000] = "";

	(void)state;
	check_text("a\n\n b\tc  ", "a b c", "a b c");
	check_text("<script>alert('x')</script>", "<script>alert('x')</script>",
			"&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;");
	check_text("\x1B[31mrouge\x07", "[31mrouge", "[31mrouge");
	check_text("a\xE2\x80\xAE" "b\xE2\x81\xA6" "c", "abc", "abc"); /* direction overrides */
	check_text("\xFF\xC3(", "\xEF\xBF\xBD\xEF\xBF\xBD(", "\xEF\xBF\xBD\xEF\xBF\xBD(");
	check_text("\xEF\xBF\xBE" "x", "x", "x");                        /* a noncharacter */
	check_text("d\xC4\x82\xC2\xA9" "connexion \xEF\xBF\xBD", "d\xC4\x82\xC2\xA9" "connexion \xEF\xBF\xBD",
			"d\xC4\x82\xC2\xA9" "connexion \xEF\xBF\xBD");
	/* 280 characters stay, of 281 the last goes */
	for (int i = 0; i < 281; i++) {
		if (i == 280) {
			memcpy(wanted, input, sizeof(input));
			check_text(input, wanted, wanted);
		}
		memcpy(input + strlen(input), "\xC3\xA9", 3);
	}
	memcpy(wanted + strlen(wanted), "\xE2\x80\xA6", 4);
	check_text(input, wanted, wanted);
	/* a flag, a family: one character each, never cut inside */
	input[0] = wanted[0] = '\0';
	for (int i = 0; i < 281; i++) {
		if (i == 280) {
			memcpy(wanted, input, sizeof(input));
			memcpy(wanted + strlen(wanted), "\xE2\x80\xA6", 4);
		}
		memcpy(input + strlen(input), i % 2 ? "x" : "e\xCC\x81", i % 2 ? 2 : 4);
	}
	check_text(input, wanted, wanted);
	/* one letter and its thousand accents */
	snprintf(input, sizeof(input), "ok a");
	for (int i = 0; i < 1200; i++)
		memcpy(input + strlen(input), "\xCC\x81", 3);
	check_text(input, "ok\xE2\x80\xA6", "ok\xE2\x80\xA6");
}

static void
test_links(void **state)
{
	static const char *const bad[] = {
		"javascript:alert(1)", "data:text/html,x", "https://x\" onclick=\"y", "https://x y", "ftp://x", "", "HTTPS", "//x",
		"https://x\n", "https://x<b>",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct digest_item one = item(1, "2026-10-16 17:00", "A", "x");
		struct digest_text text;

		one.link = bad[i];
		text = build(&one, 1, fixture_english());
		assert_null(strstr(text.part[0].html, "href"));
		assert_true(!*bad[i] || !strstr(text.part[0].plain, bad[i]));
		digest_text_fini(&text);
	}
}

static void
test_hostile_author(void **state)
{
	char name[2000];
	struct digest_item one;
	struct digest_text text;

	(void)state;
	memset(name, '<', sizeof(name));
	memcpy(name, "Eve\n\xE2\x80\xAE", 7);
	name[sizeof(name) - 1] = '\0';
	one = item(1, "2026-10-16 17:00", name, "x");
	one.tag = "<b>"; /* ours, but a digest trusts nobody */
	text = build(&one, 1, fixture_english());
	assert_non_null(strstr(text.part[0].html, "&lt;b&gt; 17:00 <strong>Eve &lt;"));
	assert_true(strlen(text.part[0].plain) < 400);
	digest_text_fini(&text);
	one.tag = NULL;
	one.text = NULL;
	one.author = "";
	text = build(&one, 1, fixture_english());
	assert_non_null(strstr(text.part[0].plain, "\n17:00 : (text no longer kept)"));
	digest_text_fini(&text);
}

static void
check_tags(const struct digest_item *items, size_t n, const char *expected)
{
	struct digest_text text = build(items, n, fixture_english());
	const char *p = text.part[0].plain;
	char order[256] = "";

	while ((p = strstr(p, "m"))) {
		if (p[1] >= '1' && p[1] <= '9' && (p[-1] == '\n' || p[-1] == ' ') && strstr(p, ":"))
			strncat(order, p, 2);
		p++;
	}
	assert_string_equal(order, expected);
	digest_text_fini(&text);
}

/* Conversations by their first message, messages by the time they were written, ties by arrival. */
static void
test_order(void **state)
{
	struct digest_item items[] = {
		item(1, "2026-10-16 17:00", "A", "x"), item(2, "2026-10-16 17:01", "B", "x"), item(3, "2026-10-16 17:02", "A", "x"),
		item(4, "2026-10-16 17:03", "B", "x"), item(5, "2026-10-16 16:59", "C", "x"), item(6, "2026-10-16 17:03", "C", "x"),
	}, swapped[6];

	(void)state;
	check_tags(items, 6, "m5m1m2m3m4m6");
	items[3].thread = 1;
	check_tags(items, 6, "m5m1m4m2m3m6");
	items[2].thread = 9; /* the root is not here: by its own first message */
	items[5].thread = 9;
	check_tags(items, 6, "m5m1m4m2m3m6");
	items[1].flags = DIGEST_ANNOUNCE;
	items[5].flags = DIGEST_MENTION;
	check_tags(items, 6, "m6m2m5m1m4m3");
	for (int i = 0; i < 6; i++)
		swapped[i] = items[5 - i];
	check_tags(swapped, 6, "m6m2m5m1m4m3");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_golden, begin, end),
		cmocka_unit_test_setup_teardown(test_empty, begin, end),
		cmocka_unit_test_setup_teardown(test_parts, begin, end),
		cmocka_unit_test_setup_teardown(test_bytes, begin, end),
		cmocka_unit_test_setup_teardown(test_foreign_text, begin, end),
		cmocka_unit_test_setup_teardown(test_links, begin, end),
		cmocka_unit_test_setup_teardown(test_hostile_author, begin, end),
		cmocka_unit_test_setup_teardown(test_order, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
