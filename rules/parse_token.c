/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The token at hand: complaining about it, taking it, and keeping what it says as a name, a text or a pattern.
 * The first complaint stays, and no text is kept after it.
 */

#include "parse.h"

#include "say.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A character that was cut in two at the end of a text falls away. */
static void
trim_character(char *text)
{
	size_t n = strlen(text), back = 1, need;
	unsigned char first;

	while (back < 4 && back < n && ((unsigned char)text[n - back] & 0xC0) == 0x80)
		back++;
	if (n == 0)
		return;
	first = (unsigned char)text[n - back];
	need = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC0 ? 2 : 1;
	if (back < need)
		text[n - back] = '\0';
}

bool
parse_fail(struct parser *parser, const struct token *place, const char *format, ...)
{
	va_list args;

	if (parser->result != 0)
		return false;
	parser->result = RULES_E_SYNTAX;
	parser->why->line = place->line;
	parser->why->column = place->column;
	va_start(args, format);
	vsnprintf(parser->why->text, sizeof(parser->why->text), format, args);
	va_end(args);
	va_start(args, format);
	complain_keep(parser->why, format, args);
	va_end(args);
	trim_character(parser->why->text);
	return false;
}

bool
parse_no_memory(struct parser *parser)
{
	if (parser->result == 0)
		parser->result = -ENOMEM;
	return false;
}

struct quoted
parse_quote(const struct token *token)
{
	static const char *const names[] = {
		[TOKEN_EOF] = N_("the end of the text"), [TOKEN_END] = N_("the end of the line"), [TOKEN_OPEN] = "\"{\"",
		[TOKEN_CLOSE] = "\"}\"", [TOKEN_LEFT] = "\"(\"", [TOKEN_RIGHT] = "\")\"", [TOKEN_COMMA] = "\",\"",
		[TOKEN_COLON] = "\":\"", [TOKEN_ARROW] = "\"->\"", [TOKEN_STRING] = N_("a quoted text"), [TOKEN_BAD] = "",
	};
	struct quoted out;

	if (token->kind != TOKEN_WORD && token->kind != TOKEN_COMPARE) {
		snprintf(out.text, sizeof(out.text), "%s", names[token->kind]);
	} else {
		char word[41];
		size_t size = token->size < sizeof(word) ? token->size : sizeof(word) - 1;

		memcpy(word, token->p, size);
		word[size] = '\0';
		trim_character(word);
		snprintf(out.text, sizeof(out.text), "\"%s\"", word);
	}
	return out;
}

bool
parse_unexpected(struct parser *parser, const char *expected)
{
	const struct token *token = &parser->token;

	if (parser->result == 0)
		parser->why->own_words = true;
	if (token->kind == TOKEN_BAD)
		return parse_fail(parser, token, "%s", parser->lexer.bad);
	if (token->keyword == KEY_LATER)
		return parse_fail(parser, token, N_("not yet: %s belongs to a later release"), parse_quote(token).text);
	return parse_fail(parser, token, N_("expected %s, not %s"), expected, parse_quote(token).text);
}

bool
parse_once(struct parser *parser, const struct token *key, bool already)
{
	return !already || parse_fail(parser, key, "%s is set twice", parse_quote(key).text);
}

void
parse_next(struct parser *parser)
{
	parser->token = lex_next(&parser->lexer);
}

bool
parse_is_key(const struct parser *parser, enum keyword keyword)
{
	return parser->token.kind == TOKEN_WORD && parser->token.keyword == keyword;
}

bool
parse_is_end(const struct parser *parser)
{
	enum token_kind kind = parser->token.kind;

	return kind == TOKEN_END || kind == TOKEN_EOF || kind == TOKEN_CLOSE;
}

bool
parse_is_numeric(const struct parser *parser)
{
	return parser->token.kind == TOKEN_WORD && parser->token.p[0] >= '0' && parser->token.p[0] <= '9';
}

bool
parse_take(struct parser *parser, enum token_kind kind)
{
	if (parser->token.kind != kind)
		return false;
	parse_next(parser);
	return true;
}

bool
parse_take_key(struct parser *parser, enum keyword keyword)
{
	if (!parse_is_key(parser, keyword))
		return false;
	parse_next(parser);
	return true;
}

const char *
parse_keep(struct parser *parser, const struct token *token, size_t max)
{
	char *text;
	size_t n = 0;

	if (token->size > max)
		parse_fail(parser, token, "this is longer than %zu bytes", max);
	if (token->size == 0)
		parse_fail(parser, token, "this is empty");
	if (parser->result != 0)
		return NULL;
	text = syntax_keep(parser->rules, token->size + 1);
	if (!text) {
		parse_no_memory(parser);
		return NULL;
	}
	for (size_t i = 0; i < token->size; i++) {
		if (token->kind == TOKEN_STRING && token->p[i] == '\\' && i + 1 < token->size)
			i++;
		text[n++] = token->p[i];
	}
	return text;
}

const char *
parse_string(struct parser *parser, const char *expected, size_t max)
{
	const char *text;

	if (parser->token.kind != TOKEN_STRING) {
		parse_unexpected(parser, expected);
		return NULL;
	}
	text = parse_keep(parser, &parser->token, max);
	parse_next(parser);
	return text;
}

const char *
parse_name(struct parser *parser, const char *expected)
{
	const char *text;

	if (parser->token.kind != TOKEN_STRING && parser->token.kind != TOKEN_WORD) {
		parse_unexpected(parser, expected);
		return NULL;
	}
	text = parse_keep(parser, &parser->token, RULES_NAME_MAX);
	parse_next(parser);
	return text;
}

/* A tag may be written with its '#' when it is quoted. */
bool
parse_pattern(struct parser *parser, struct pattern *pattern, bool tag)
{
	struct token place = parser->token;
	const char *text;
	int r;

	text = tag ? parse_name(parser, "a tag") : parse_string(parser, "a word in quotes", RULES_STRING_MAX);
	if (!text)
		return false;
	if (tag && *text == '#')
		text++;
	pattern->text = text;
	pattern->tag = tag;
	r = tag ? words_add_tag(parser->rules->words, text, strlen(text), &pattern->id)
			: words_add(parser->rules->words, text, strlen(text), &pattern->id);
	if (r == WORDS_E_EMPTY)
		return parse_fail(parser, &place, "nothing here can be looked for");
	if (r == WORDS_E_FULL)
		return parse_fail(parser, &place, "more than %d different words and tags", RULES_PATTERNS_MAX);
	return r == 0 || parse_no_memory(parser);
}

bool
parse_patterns(struct parser *parser, bool tags, struct pattern **out, size_t *count)
{
	struct pattern list[RULES_WORDS_MAX];
	size_t n = 0;

	for (;;) {
		struct token place = parser->token;
		bool tag = tags && parse_take_key(parser, KEY_TAG);

		if (!tag && parser->token.kind != TOKEN_STRING)
			break;
		if (n == RULES_WORDS_MAX)
			return parse_fail(parser, &place, "more than %d words", RULES_WORDS_MAX);
		if (!parse_pattern(parser, &list[n++], tag))
			return false;
	}
	if (n == 0)
		return parse_unexpected(parser, tags ? "a word in quotes, or tag and its name" : "a word in quotes");
	*out = syntax_keep(parser->rules, n * sizeof(**out));
	if (!*out)
		return parse_no_memory(parser);
	memcpy(*out, list, n * sizeof(**out));
	*count = n;
	return true;
}
