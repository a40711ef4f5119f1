/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lexer knows lines, words, strings and a little punctuation; what is inside
 * a word (08:30-12:30, mon-fri, 2026-12-24..2027-01-03) is the parser's. It also
 * decides where a statement ends: with its line, unless a round bracket is open
 * or the next line begins with a word that can only go on with the sentence.
 *
 * Keywords are data: one table, the first spelling of each is the English one
 * that is written back.
 */

#include "lex.h"

#include "fold.h"
#include "say.h"

#include <string.h>
#include <utf8proc.h>

struct spelling {
	const char *text; /* folded */
	enum keyword keyword;
};

static const struct spelling spellings[] = {
	{ "admit", KEY_ADMIT }, { "admettre", KEY_ADMIT },
	{ "always", KEY_ALWAYS }, { "toujours", KEY_ALWAYS },
	{ "and", KEY_AND }, { "et", KEY_AND },
	{ "announce", KEY_ANNOUNCE }, { "annonce", KEY_ANNOUNCE },
	{ "at", KEY_AT }, { "a", KEY_AT },
	{ "automated", KEY_AUTOMATED }, { "automatique", KEY_AUTOMATED },
	{ "bots", KEY_BOTS }, { "robots", KEY_BOTS },
	{ "closed", KEY_CLOSED }, { "ferme", KEY_CLOSED },
	{ "continue", KEY_CONTINUE }, { "continuer", KEY_CONTINUE },
	{ "copy", KEY_COPY }, { "copier", KEY_COPY },
	{ "daily", KEY_DAILY }, { "quotidien", KEY_DAILY },
	{ "decision", KEY_DECISION },
	{ "deliver", KEY_DELIVER }, { "remettre", KEY_DELIVER },
	{ "digest", KEY_DIGEST }, { "resume", KEY_DIGEST },
	{ "group", KEY_GROUP }, { "groupe", KEY_GROUP },
	{ "held", KEY_HELD }, { "retenu", KEY_HELD },
	{ "here", KEY_HERE }, { "ici", KEY_HERE },
	{ "hold", KEY_HOLD }, { "retenir", KEY_HOLD },
	{ "holidays", KEY_HOLIDAYS }, { "feries", KEY_HOLIDAYS },
	{ "hours", KEY_HOURS }, { "horaires", KEY_HOURS },
	{ "in", KEY_IN }, { "dans", KEY_IN },
	{ "kind", KEY_KIND }, { "genre", KEY_KIND },
	{ "lang", KEY_LANG }, { "langue", KEY_LANG },
	{ "live", KEY_LIVE }, { "direct", KEY_LIVE },
	{ "member", KEY_MEMBER }, { "membre", KEY_MEMBER },
	{ "mode", KEY_MODE },
	{ "moderator", KEY_MODERATOR }, { "moderateur", KEY_MODERATOR },
	{ "move", KEY_MOVE }, { "deplacer", KEY_MOVE },
	{ "next", KEY_NEXT }, { "prochain", KEY_NEXT },
	{ "none", KEY_NONE_WORD }, { "aucun", KEY_NONE_WORD },
	{ "not", KEY_NOT }, { "non", KEY_NOT }, { "pas", KEY_NOT },
	{ "notice", KEY_NOTICE }, { "avis", KEY_NOTICE },
	{ "nudge", KEY_NUDGE },
	{ "observe", KEY_OBSERVE }, { "observer", KEY_OBSERVE },
	{ "off", KEY_OFF }, { "inactif", KEY_OFF },
	{ "on", KEY_ON }, { "actif", KEY_ON },
	{ "open", KEY_OPEN }, { "ouvert", KEY_OPEN },
	{ "opening", KEY_OPENING }, { "ouverture", KEY_OPENING }, { "l'ouverture", KEY_OPENING },
	{ "or", KEY_OR }, { "ou", KEY_OR },
	{ "pass", KEY_PASS }, { "accepter", KEY_PASS },
	{ "reason", KEY_REASON }, { "motif", KEY_REASON },
	{ "reject", KEY_REJECT }, { "refuser", KEY_REJECT },
	{ "role", KEY_ROLE },
	{ "route", KEY_ROUTE }, { "aiguiller", KEY_ROUTE },
	{ "site", KEY_SITE },
	{ "state", KEY_STATE }, { "etat", KEY_STATE },
	{ "suggest", KEY_SUGGEST }, { "suggerer", KEY_SUGGEST },
	{ "tag", KEY_TAG }, { "etiquette", KEY_TAG },
	{ "then", KEY_THEN }, { "alors", KEY_THEN },
	{ "time", KEY_TIME }, { "temps", KEY_TIME },
	{ "topic", KEY_TOPIC }, { "sujet", KEY_TOPIC },
	{ "topics", KEY_TOPICS }, { "sujets", KEY_TOPICS },
	{ "tz", KEY_TZ }, { "fuseau", KEY_TZ },
	{ "unless", KEY_UNLESS }, { "sauf", KEY_UNLESS },
	{ "until", KEY_UNTIL }, { "jusqu'a", KEY_UNTIL },
	{ "version", KEY_VERSION },
	{ "when", KEY_WHEN }, { "quand", KEY_WHEN },
	{ "word", KEY_WORD }, { "mot", KEY_WORD },
	/* later releases: the parser says so instead of calling them unknown */
	{ "agenda", KEY_LATER }, { "ask", KEY_LATER }, { "away", KEY_LATER }, { "absent", KEY_LATER },
	{ "ceiling", KEY_LATER }, { "domain", KEY_LATER }, { "domaine", KEY_LATER }, { "duplicate", KEY_LATER },
	{ "final", KEY_LATER }, { "floor", KEY_LATER }, { "focus", KEY_LATER }, { "from", KEY_LATER },
	{ "keyword", KEY_LATER }, { "link", KEY_LATER }, { "lien", KEY_LATER }, { "links", KEY_LATER },
	{ "locked", KEY_LATER }, { "log", KEY_LATER }, { "matches", KEY_LATER }, { "media.count", KEY_LATER },
	{ "media.size", KEY_LATER }, { "members", KEY_LATER }, { "mention", KEY_LATER }, { "mentions", KEY_LATER },
	{ "oncall", KEY_LATER }, { "astreinte", KEY_LATER }, { "paused", KEY_LATER }, { "quiet", KEY_LATER },
	{ "rate", KEY_LATER }, { "reply", KEY_LATER }, { "rewrite", KEY_LATER }, { "sender.new", KEY_LATER },
	{ "share", KEY_LATER }, { "side", KEY_LATER }, { "size", KEY_LATER }, { "task", KEY_LATER },
	{ "text.length", KEY_LATER }, { "urgent", KEY_LATER }, { "weekly", KEY_LATER },
};

enum { KEYWORD_MAX = 24 };

enum keyword
lex_keyword(const char *p, size_t size)
{
	char folded[KEYWORD_MAX];
	size_t length = fold_text(p, size, folded, sizeof(folded));

	if (length == 0 || length >= sizeof(folded))
		return KEY_NONE;
	for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
		if (strcmp(spellings[i].text, folded) == 0)
			return spellings[i].keyword;
	}
	return KEY_NONE;
}

const char *
lex_keyword_name(enum keyword keyword)
{
	for (size_t i = 0; keyword != KEY_LATER && i < sizeof(spellings) / sizeof(spellings[0]); i++) {
		if (spellings[i].keyword == keyword)
			return spellings[i].text;
	}
	return "";
}

void
lex_open(struct lexer *lexer, const char *text, size_t size)
{
	static const char mark[] = "\xEF\xBB\xBF"; /* some editors begin a file with it */

	*lexer = (struct lexer){ .p = text, .end = text + size, .line = 1, .column = 1, .before = TOKEN_END };
	if (size >= 3 && memcmp(text, mark, 3) == 0)
		lexer->p += 3;
}

/* Over one character, which may be several bytes. */
static void
step(struct lexer *lexer)
{
	if (*lexer->p == '\n') {
		lexer->line++;
		lexer->column = 1;
		lexer->p++;
		return;
	}
	do
		lexer->p++;
	while (lexer->p < lexer->end && ((unsigned char)*lexer->p & 0xC0) == 0x80);
	lexer->column++;
}

static bool
is_at(const struct lexer *lexer, char c)
{
	return lexer->p < lexer->end && *lexer->p == c;
}

/* French keyboards and telephones write no-break spaces (U+00A0, U+202F), and nobody sees the difference. */
static bool
is_no_break(const char *p, const char *end)
{
	return (end - p >= 2 && memcmp(p, "\xC2\xA0", 2) == 0) || (end - p >= 3 && memcmp(p, "\xE2\x80\xAF", 3) == 0);
}

/* Blanks and comments, not the ends of lines. */
static void
skip_blank(struct lexer *lexer)
{
	while (lexer->p < lexer->end && (*lexer->p == ' ' || *lexer->p == '\t' || *lexer->p == '\r' || is_no_break(lexer->p, lexer->end)))
		step(lexer);
	if (is_at(lexer, '#')) {
		while (lexer->p < lexer->end && *lexer->p != '\n')
			step(lexer);
	}
}

/* What a word cannot hold. A ':' between digits belongs to a time of day. */
static bool
ends_word(const struct lexer *lexer, const char *start)
{
	const char *p = lexer->p;
	unsigned char c = (unsigned char)*p;

	if (c <= ' ' || c == 0x7F || strchr("{}();,<>=\"#", (char)c) || is_no_break(p, lexer->end))
		return true;
	if (c == '-')
		return p + 1 < lexer->end && p[1] == '>';
	if (c == ':')
		return p == start || p[-1] < '0' || p[-1] > '9' || p + 1 == lexer->end || p[1] < '0' || p[1] > '9';
	return false;
}

static const char *
word_end(const struct lexer *lexer)
{
	struct lexer ahead = *lexer;

	while (ahead.p < ahead.end && !ends_word(&ahead, lexer->p))
		ahead.p++;
	return ahead.p;
}

/* Whether the next line goes on with the sentence. `avis: "..."` is an entry of a topics block and does not. */
static bool
continues(const struct lexer *lexer)
{
	struct lexer ahead = *lexer;
	enum keyword key;

	ahead.p = word_end(lexer);
	key = lex_keyword(lexer->p, (size_t)(ahead.p - lexer->p));
	skip_blank(&ahead);
	if (is_at(&ahead, ':'))
		return false;
	return key == KEY_WHEN || key == KEY_THEN || key == KEY_AND || key == KEY_OR || key == KEY_UNLESS
			|| key == KEY_NOTICE || key == KEY_NUDGE;
}

static struct token
begin(const struct lexer *lexer, enum token_kind kind)
{
	return (struct token){ .kind = kind, .p = lexer->p, .line = lexer->line, .column = lexer->column };
}

static struct token
finish(struct lexer *lexer, struct token token)
{
	token.size = (size_t)(lexer->p - token.p);
	lexer->before = token.kind;
	return token;
}

/* From here on every call gives this again. */
static struct token
bad(struct lexer *lexer, const char *why)
{
	struct token token = begin(lexer, TOKEN_BAD);

	lexer->bad = why;
	lexer->before = TOKEN_BAD;
	return token;
}

/* White space before a token. True when a statement ended in it. */
static bool
skip_lines(struct lexer *lexer)
{
	bool line = false;

	for (skip_blank(lexer); is_at(lexer, '\n'); skip_blank(lexer)) {
		step(lexer);
		line = true;
	}
	if (!line || lexer->depth > 0 || lexer->before == TOKEN_END || lexer->before == TOKEN_OPEN)
		return false;
	return lexer->p == lexer->end || !continues(lexer);
}

/* One character of text; false, with lexer->bad, when it is none that a charter may hold. */
static bool
check(struct lexer *lexer)
{
	unsigned char c = (unsigned char)*lexer->p;
	utf8proc_int32_t symbol;

	if (c >= 0x80 && utf8proc_iterate((const unsigned char *)lexer->p, lexer->end - lexer->p, &symbol) <= 0) {
		lexer->bad = N_("this is not valid UTF-8");
		return false;
	}
	if ((c < ' ' && c != '\t') || c == 0x7F) {
		lexer->bad = N_("a control character");
		return false;
	}
	return true;
}

static struct token
lex_string(struct lexer *lexer)
{
	struct token token = begin(lexer, TOKEN_STRING), place = token;

	step(lexer);
	token.p = lexer->p;
	while (lexer->p < lexer->end && *lexer->p != '"' && *lexer->p != '\n' && *lexer->p != '\r') {
		if (*lexer->p == '\\' && lexer->p + 1 < lexer->end && (lexer->p[1] == '"' || lexer->p[1] == '\\'))
			step(lexer);
		if (!check(lexer))
			return bad(lexer, lexer->bad);
		step(lexer);
	}
	if (!is_at(lexer, '"')) {
		lexer->line = place.line;
		lexer->column = place.column;
		return bad(lexer, N_("this quote is not closed on its line"));
	}
	token = finish(lexer, token);
	step(lexer);
	return token;
}

static struct token
lex_word(struct lexer *lexer)
{
	struct token token = begin(lexer, TOKEN_WORD);

	while (lexer->p < lexer->end && !ends_word(lexer, token.p)) {
		if (!check(lexer))
			return bad(lexer, lexer->bad);
		step(lexer);
	}
	token = finish(lexer, token);
	token.keyword = lex_keyword(token.p, token.size);
	return token;
}

static struct token
lex_mark(struct lexer *lexer, enum token_kind kind, int length)
{
	struct token token = begin(lexer, kind);

	while (length-- > 0)
		step(lexer);
	if (kind == TOKEN_LEFT)
		lexer->depth++;
	if (kind == TOKEN_RIGHT && lexer->depth > 0)
		lexer->depth--;
	if (kind == TOKEN_OPEN || kind == TOKEN_CLOSE)
		lexer->depth = 0;
	return finish(lexer, token);
}

struct token
lex_next(struct lexer *lexer)
{
	static const struct {
		const char *text;
		enum token_kind kind;
	} marks[] = {
		{ "->", TOKEN_ARROW }, { "<=", TOKEN_COMPARE }, { ">=", TOKEN_COMPARE }, { "<", TOKEN_COMPARE },
		{ ">", TOKEN_COMPARE }, { "=", TOKEN_COMPARE }, { "{", TOKEN_OPEN }, { "}", TOKEN_CLOSE },
		{ "(", TOKEN_LEFT }, { ")", TOKEN_RIGHT }, { ",", TOKEN_COMMA }, { ":", TOKEN_COLON }, { ";", TOKEN_END },
	};

	struct token end;

	if (lexer->before == TOKEN_BAD)
		return begin(lexer, TOKEN_BAD);
	end = begin(lexer, TOKEN_END); /* where the statement stopped, not where the next one begins */
	if (skip_lines(lexer)) {
		lexer->before = TOKEN_END;
		return end;
	}
	if (lexer->p == lexer->end)
		return finish(lexer, begin(lexer, TOKEN_EOF));
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		size_t n = strlen(marks[i].text);

		if ((size_t)(lexer->end - lexer->p) >= n && memcmp(lexer->p, marks[i].text, n) == 0)
			return lex_mark(lexer, marks[i].kind, (int)n);
	}
	if (is_at(lexer, '"'))
		return lex_string(lexer);
	if (!check(lexer))
		return bad(lexer, lexer->bad);
	return lex_word(lexer);
}
