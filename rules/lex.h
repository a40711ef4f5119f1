/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RULES_LEX_H
#define RULES_LEX_H

/* Charter text to tokens. Nothing is copied: a token points into the text. */

#include <stdbool.h>
#include <stddef.h>

enum token_kind {
	TOKEN_EOF,
	TOKEN_END,    /* of a statement: its line, or ';' */
	TOKEN_WORD,   /* names, numbers, dates, times: whatever has no blank in it */
	TOKEN_STRING, /* p and size exclude the quotes; escapes are still there */
	TOKEN_OPEN,   /* { */
	TOKEN_CLOSE,  /* } */
	TOKEN_LEFT,   /* ( */
	TOKEN_RIGHT,  /* ) */
	TOKEN_COMMA,
	TOKEN_COLON,
	TOKEN_ARROW,   /* -> */
	TOKEN_COMPARE, /* < > = and their pairs */
	TOKEN_BAD,     /* lexer.bad says why */
};

/* The words of the language. KEY_LATER: known, of a later release. */
enum keyword {
	KEY_NONE,
	KEY_ADMIT, KEY_ALWAYS, KEY_AND, KEY_ANNOUNCE, KEY_AT, KEY_AUTOMATED, KEY_BOTS, KEY_CLOSED, KEY_CONTINUE, KEY_COPY,
	KEY_DAILY, KEY_DECISION, KEY_DELIVER, KEY_DIGEST, KEY_GROUP, KEY_HELD, KEY_HERE, KEY_HOLD, KEY_HOLIDAYS, KEY_HOURS,
	KEY_IN, KEY_KIND, KEY_LANG, KEY_LIVE, KEY_MEMBER, KEY_MODE, KEY_MODERATOR, KEY_MOVE, KEY_NEXT, KEY_NONE_WORD,
	KEY_NOT, KEY_NOTICE, KEY_NUDGE, KEY_OBSERVE, KEY_OFF, KEY_ON, KEY_OPEN, KEY_OPENING, KEY_OR, KEY_PASS, KEY_REASON,
	KEY_REJECT, KEY_ROLE, KEY_ROUTE, KEY_SITE, KEY_STATE, KEY_SUGGEST, KEY_TAG, KEY_THEN, KEY_TIME, KEY_TOPIC,
	KEY_TOPICS, KEY_TZ, KEY_UNLESS, KEY_UNTIL, KEY_VERSION, KEY_WHEN, KEY_WORD,
	KEY_LATER,
};

struct token {
	enum token_kind kind;
	enum keyword keyword; /* of a word */
	const char *p;
	size_t size;
	int line, column; /* from 1; columns count characters */
};

struct lexer {
	const char *p, *end;
	int line, column;
	int depth;              /* of round brackets: inside them lines do not end a statement */
	enum token_kind before; /* kind of the last token given */
	const char *bad;        /* an English sentence, static; set with TOKEN_BAD */
};

void lex_open(struct lexer *lexer, const char *text, size_t size);

/* The next token. After TOKEN_BAD and TOKEN_EOF it gives the same again. */
struct token lex_next(struct lexer *lexer);

/* The keyword that these bytes spell, in English or French, whatever the case and the accents. */
enum keyword lex_keyword(const char *p, size_t size);

/* The English word of a keyword. Lent, static; "" for KEY_NONE and KEY_LATER. */
const char *lex_keyword_name(enum keyword keyword);

#endif
