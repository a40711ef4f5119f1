/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing one setting in charter text. The model: the text is cut into the
 * statements of its group block by the same lexer that parses it; the first
 * statement with the keyword becomes the new line, any further one (hours may
 * stand on several lines) goes, and every other byte stays where it is.
 *
 * Invariant: what comes out has been parsed. A line is exactly one statement, so
 * no brace or semicolon in it can reach beyond itself.
 */

#include "rules.h"

#include "lex.h"
#include "parse.h"
#include "say.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct span {
	const char *start, *end;
};

/* Text under construction. */
struct paper {
	char *text; /* owned */
	size_t size, room;
	bool failed;
};

static void
write_bytes(struct paper *paper, const char *p, size_t n)
{
	if (!paper->failed && paper->size + n + 1 > paper->room) {
		size_t room = (paper->size + n + 1) * 2;
		char *text = realloc(paper->text, room);

		paper->failed = !text;
		if (text) {
			paper->text = text;
			paper->room = room;
		}
	}
	if (paper->failed)
		return;
	if (n > 0)
		memcpy(paper->text + paper->size, p, n);
	paper->size += n;
	paper->text[paper->size] = '\0';
}

static void
write_text(struct paper *paper, const char *text)
{
	write_bytes(paper, text, strlen(text));
}

static int
complain(struct complaint *why, int line, int column, const char *text)
{
	why->msgid = text;
	why->line = line;
	why->column = column;
	snprintf(why->text, sizeof(why->text), "%s", text);
	return RULES_E_SYNTAX;
}

static const char *
end_of(const struct token *token)
{
	return token->p + token->size + (token->kind == TOKEN_STRING);
}

/* ---- the new line ---- */

/* One statement that begins with the keyword, and nothing after it. */
static int
check_line(const char *line, enum keyword keyword, struct span *out, struct complaint *why)
{
	struct lexer lexer;
	struct token token;
	int depth = 0;
	bool ended = false;

	lex_open(&lexer, line, strlen(line));
	token = lex_next(&lexer);
	if (token.kind != TOKEN_WORD || token.keyword != keyword)
		return complain(why, token.line, token.column, "the line does not begin with its setting");
	out->start = token.p;
	for (; token.kind != TOKEN_EOF; token = lex_next(&lexer)) {
		if (token.kind == TOKEN_BAD)
			return complain(why, token.line, token.column, lexer.bad);
		if (token.kind == TOKEN_END && depth == 0) {
			ended = true;
			continue;
		}
		if (token.kind == TOKEN_OPEN)
			depth++;
		if (token.kind == TOKEN_CLOSE)
			depth--;
		if (ended || depth < 0)
			return complain(why, token.line, token.column, N_("expected the end of the line"));
		out->end = end_of(&token);
	}
	return 0;
}

/* The line alone in a group, so that a complaint has its own place. */
static int
parse_alone(const struct span *line, struct complaint *why)
{
	struct paper paper = { 0 };
	struct rules *rules;
	int r;

	write_text(&paper, "group \"x\" {\n");
	write_bytes(&paper, line->start, (size_t)(line->end - line->start));
	write_text(&paper, "\n}\n");
	if (paper.failed) {
		free(paper.text);
		return -ENOMEM;
	}
	r = rules_parse(&rules, paper.text, paper.size, why);
	free(paper.text);
	if (r == 0)
		rules_free(rules);
	else if (why->line > 1)
		why->line--;
	return r;
}

/* ---- the old text ---- */

struct editor {
	struct lexer lexer;
	struct token token;
	const char *text, *end;
	const char *copied; /* up to here the text is in `paper` */
	enum keyword keyword;
	struct span line;
	struct paper paper;
	bool written;
};

static void
advance(struct editor *editor)
{
	editor->token = lex_next(&editor->lexer);
}

static bool
is_over(const struct editor *editor)
{
	return editor->token.kind == TOKEN_EOF || editor->token.kind == TOKEN_BAD;
}

static void
copy_until(struct editor *editor, const char *p)
{
	write_bytes(&editor->paper, editor->copied, (size_t)(p - editor->copied));
	editor->copied = p;
}

static void
write_line(struct editor *editor)
{
	write_bytes(&editor->paper, editor->line.start, (size_t)(editor->line.end - editor->line.start));
	editor->written = true;
}

/* A statement goes with its line when it is alone there, else with its ';'. */
static void
drop(struct editor *editor, struct span old)
{
	const char *before = old.start, *after = old.end;

	while (before > editor->copied && (before[-1] == ' ' || before[-1] == '\t'))
		before--;
	while (after < editor->end && (*after == ' ' || *after == '\t' || *after == '\r'))
		after++;
	if (before > editor->text && before[-1] == '\n' && after < editor->end && *after == '\n') {
		copy_until(editor, before);
		editor->copied = after + 1;
		return;
	}
	copy_until(editor, old.start);
	editor->copied = after < editor->end && *after == ';' ? after + 1 : old.end;
}

/* From the first token of a statement to the last; braces inside are its own. */
static struct span
take_statement(struct editor *editor)
{
	struct span span = { editor->token.p, editor->token.p };
	int depth = 0;

	while (!is_over(editor)) {
		if (depth == 0 && (editor->token.kind == TOKEN_END || editor->token.kind == TOKEN_CLOSE))
			break;
		depth += (editor->token.kind == TOKEN_OPEN) - (editor->token.kind == TOKEN_CLOSE);
		span.end = end_of(&editor->token);
		advance(editor);
	}
	return span;
}

/* Where a block has no such line yet: at its top, in the manner of its first line. */
static void
insert_line(struct editor *editor, const char *brace_end, const char *first)
{
	const char *p = brace_end, *indent;

	while (p < editor->end && *p != '\n' && (*p == ' ' || *p == '\t' || *p == '\r'))
		p++;
	if (p < editor->end && *p == '#')
		p = memchr(p, '\n', (size_t)(editor->end - p));
	if (!p || p == editor->end || *p != '\n') {
		copy_until(editor, brace_end);
		write_text(&editor->paper, " ");
		write_line(editor);
		write_text(&editor->paper, ";");
		return;
	}
	copy_until(editor, p + 1);
	for (indent = first; indent > p + 1 && (indent[-1] == ' ' || indent[-1] == '\t'); indent--)
		;
	if (first < editor->end && *first != '}' && indent[-1] == '\n')
		write_bytes(&editor->paper, indent, (size_t)(first - indent));
	else
		write_text(&editor->paper, "\t");
	write_line(editor);
	write_text(&editor->paper, "\n");
}

/* Whether the block that begins here has the keyword; the editor is a copy, so looking moves nothing. */
static bool
block_has(struct editor look)
{
	while (!is_over(&look) && look.token.kind != TOKEN_CLOSE) {
		if (look.token.kind == TOKEN_WORD && look.token.keyword == look.keyword)
			return true;
		if (look.token.kind == TOKEN_END)
			advance(&look);
		else
			take_statement(&look);
	}
	return false;
}

static void
edit_block(struct editor *editor)
{
	const char *brace_end = end_of(&editor->token);

	advance(editor);
	if (!block_has(*editor))
		insert_line(editor, brace_end, editor->token.p);
	while (!is_over(editor) && editor->token.kind != TOKEN_CLOSE) {
		bool found = editor->token.kind == TOKEN_WORD && editor->token.keyword == editor->keyword;
		struct span old;

		if (editor->token.kind == TOKEN_END) {
			advance(editor);
			continue;
		}
		old = take_statement(editor);
		if (found && editor->written) {
			drop(editor, old);
		} else if (found) {
			copy_until(editor, old.start);
			write_line(editor);
			editor->copied = old.end;
		}
	}
	advance(editor);
}

static void
append_group(struct editor *editor, const char *group)
{
	copy_until(editor, editor->end);
	if (editor->paper.size > 0)
		write_text(&editor->paper, editor->end[-1] == '\n' ? "\n" : "\n\n");
	write_text(&editor->paper, "group \"");
	for (; *group; group++) {
		if (*group == '"' || *group == '\\')
			write_text(&editor->paper, "\\");
		write_bytes(&editor->paper, group, 1);
	}
	write_text(&editor->paper, "\" {\n\t");
	write_line(editor);
	write_text(&editor->paper, "\n}\n");
}

static void
edit_text(struct editor *editor, const char *group)
{
	int depth = 0;

	for (advance(editor); !is_over(editor);) {
		bool block = depth == 0 && editor->token.kind == TOKEN_WORD && editor->token.keyword == KEY_GROUP;

		depth += (editor->token.kind == TOKEN_OPEN) - (editor->token.kind == TOKEN_CLOSE);
		advance(editor);
		if (!block || editor->token.kind != TOKEN_STRING)
			continue;
		advance(editor);
		if (editor->token.kind == TOKEN_OPEN && !editor->written)
			edit_block(editor);
	}
	if (editor->written)
		copy_until(editor, editor->end);
	else
		append_group(editor, group);
}

int
rules_edit_line(const char *text, size_t size, const char *group, const char *keyword, const char *line, char **out,
		struct complaint *why)
{
	struct editor editor = { .text = text, .end = text + size, .copied = text,
		.keyword = lex_keyword(keyword, strlen(keyword)) };
	struct rules *rules;
	struct complaint whole;
	int r;

	*out = NULL;
	memset(why, 0, sizeof(*why));
	if (!parse_is_setting(editor.keyword))
		return complain(why, 1, 1, "there is no such setting");
	r = check_line(line, editor.keyword, &editor.line, why);
	if (r == 0)
		r = parse_alone(&editor.line, why);
	if (r != 0)
		return r;
	lex_open(&editor.lexer, text, size);
	edit_text(&editor, group);
	if (editor.paper.failed) {
		free(editor.paper.text);
		return -ENOMEM;
	}
	r = rules_parse(&rules, editor.paper.text, editor.paper.size, &whole);
	if (r != 0) {
		/* not the line's fault, or only together with the rest: it has no place within the line */
		free(editor.paper.text);
		whole.line = whole.column = 1;
		*why = whole;
		return r;
	}
	rules_free(rules);
	*out = editor.paper.text;
	return 0;
}
