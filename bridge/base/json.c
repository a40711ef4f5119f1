/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scanner knows strings, brackets and commas, nothing else. It counts brackets without matching their kinds: within an
 * event that is jansson's work, and around the events a homeserver's serialiser is right or the text is cut short. Its
 * state is a cursor and an end; every step moves the cursor forward, so it takes linear time.
 */
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

#define ANSWER_DEPTH_MAX 2000 /* jansson's own is 2,048, and a homeserver reads nothing deeper */

struct scan {
	const char *p, *end;
};

static void
skip_space(struct scan *scan)
{
	while (scan->p < scan->end && (*scan->p == ' ' || *scan->p == '\t' || *scan->p == '\n' || *scan->p == '\r'))
		scan->p++;
}

static bool
take(struct scan *scan, char c)
{
	skip_space(scan);
	if (scan->p == scan->end || *scan->p != c)
		return false;
	scan->p++;
	return true;
}

/* At a quote: moves behind the closing one; *out is what stands between. */
static bool
scan_string(struct scan *scan, struct span *out)
{
	const char *start = ++scan->p;

	for (; scan->p < scan->end; scan->p++) {
		if (*scan->p == '"') {
			*out = (struct span){ start, (size_t)(scan->p - start) };
			scan->p++;
			return true;
		}
		if (*scan->p == '\\' && ++scan->p == scan->end)
			return false;
	}
	return false;
}

/* Moves behind one value of any kind. */
static bool
skip_value(struct scan *scan)
{
	struct span ignored;
	size_t depth = 0;

	skip_space(scan);
	const char *start = scan->p;
	while (scan->p < scan->end) {
		char c = *scan->p;
		if (c == '"') {
			if (!scan_string(scan, &ignored))
				return false;
		} else if (c == '{' || c == '[') {
			depth++;
			scan->p++;
		} else if (depth == 0 && (c == ',' || c == '}' || c == ']')) {
			break;
		} else {
			depth -= (c == '}' || c == ']');
			scan->p++;
		}
		if (depth == 0 && (c == '"' || c == '}' || c == ']'))
			return true;
	}
	return depth == 0 && scan->p > start;
}

static bool
span_is(struct span span, const char *text)
{
	return span.n == strlen(text) && memcmp(span.p, text, span.n) == 0;
}

static void
note_stamp(struct span value, struct json_event *event)
{
	int64_t stamp = 0;

	if (value.n == 0 || value.n > 15)
		return;
	for (size_t i = 0; i < value.n; i++) {
		if (value.p[i] < '0' || value.p[i] > '9')
			return;
		stamp = stamp * 10 + (value.p[i] - '0');
	}
	event->stamp_ms = stamp;
}

static void
note_member(struct span key, struct span value, struct json_event *event)
{
	const struct {
		const char *key;
		struct span *to;
	} wanted[] = {
		{ "event_id", &event->event_id },
		{ "room_id", &event->room_id },
		{ "type", &event->type },
		{ "sender", &event->sender },
	};

	if (span_is(key, "origin_server_ts"))
		note_stamp(value, event);
	if (value.n < 2 || value.p[0] != '"')
		return;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (span_is(key, wanted[i].key))
			*wanted[i].to = (struct span){ value.p + 1, value.n - 2 };
}

/* The next `"key": value` of an object, behind its brace or comma. */
static bool
scan_member(struct scan *scan, struct span *key, struct span *value)
{
	skip_space(scan);
	if (scan->p == scan->end || *scan->p != '"' || !scan_string(scan, key) || !take(scan, ':'))
		return false;
	skip_space(scan);
	const char *start = scan->p;
	if (!skip_value(scan))
		return false;
	const char *end = scan->p;
	while (end > start && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\n' || end[-1] == '\r'))
		end--;
	*value = (struct span){ start, (size_t)(end - start) };
	return true;
}

/* Looks for the names of one event as far as it is well formed. */
static void
look_into(struct span raw, struct json_event *event)
{
	struct scan scan = { raw.p, raw.p + raw.n };
	struct span key, value;

	*event = (struct json_event){ .raw = raw };
	if (!take(&scan, '{'))
		return;
	while (scan_member(&scan, &key, &value)) {
		note_member(key, value, event);
		if (!take(&scan, ','))
			return;
	}
}

/* Walks an array; without `each` only to see that it is one. */
static bool
walk_array(struct span array, void (*each)(void *context, const struct json_event *event), void *context)
{
	struct scan scan = { array.p, array.p + array.n };
	struct json_event event;

	if (!take(&scan, '['))
		return false;
	if (take(&scan, ']'))
		return true;
	do {
		skip_space(&scan);
		const char *start = scan.p;
		if (!skip_value(&scan))
			return false;
		if (each) {
			look_into((struct span){ start, (size_t)(scan.p - start) }, &event);
			each(context, &event);
		}
	} while (take(&scan, ','));
	return take(&scan, ']');
}

/* One walk over the whole text; `each` NULL only looks whether it is good. A repeated key counts each time: no event may go missing. */
static bool
walk_members(const char *p, size_t n, const char *wanted, void (*each)(void *context, const struct json_event *event), void *context)
{
	struct scan scan = { p, p + n };
	struct span key, value;

	if (!take(&scan, '{'))
		return false;
	if (!take(&scan, '}')) {
		do {
			if (!scan_member(&scan, &key, &value) || (span_is(key, wanted) && !walk_array(value, each, context)))
				return false;
		} while (take(&scan, ','));
		if (!take(&scan, '}'))
			return false;
	}
	skip_space(&scan);
	return scan.p == scan.end;
}

bool
json_split(const char *p, size_t n, const char *wanted, void (*each)(void *context, const struct json_event *event),
		void *context)
{
	return walk_members(p, n, wanted, NULL, NULL) && walk_members(p, n, wanted, each, context);
}

struct span
json_find_raw(const char *p, size_t n, const char *wanted)
{
	struct scan scan = { p, p + n };
	struct span key, value;

	if (!take(&scan, '{'))
		return (struct span){ NULL, 0 };
	while (scan_member(&scan, &key, &value)) {
		if (span_is(key, wanted))
			return value;
		if (!take(&scan, ','))
			break;
	}
	return (struct span){ NULL, 0 };
}

struct span
json_find_text(const char *p, size_t n, const char *wanted)
{
	struct span value = json_find_raw(p, n, wanted);

	if (value.n < 2 || value.p[0] != '"')
		return (struct span){ NULL, 0 };
	return (struct span){ value.p + 1, value.n - 2 };
}

/* ---- one event alone ---- */

static bool
hex4(const char *p, const char *end, unsigned *out)
{
	unsigned code = 0;

	if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
		return false;
	for (int i = 2; i < 6; i++) {
		char c = p[i];
		unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 :
			c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10 : 16;
		if (digit == 16)
			return false;
		code = code << 4 | digit;
	}
	*out = code;
	return true;
}

/* Length of the escape at p, which is left as it is; 0 when it must become U+FFFD. */
static size_t
escape_length(const char *p, const char *end)
{
	unsigned code, second;

	if (!hex4(p, end, &code))
		return 2;
	if (code == 0 || (code >= 0xDC00 && code <= 0xDFFF))
		return 0;
	if (code < 0xD800 || code > 0xDBFF)
		return 6;
	return hex4(p + 6, end, &second) && second >= 0xDC00 && second <= 0xDFFF ? 12 : 0;
}

static void
repair_string(struct str *out, struct span text)
{
	const char *end = text.p + text.n;

	str_add_char(out, '"');
	for (const char *p = text.p; p < end;) {
		const char *escape = memchr(p, '\\', (size_t)(end - p));
		if (!escape)
			escape = end;
		str_add_n(out, p, (size_t)(escape - p));
		p = escape;
		if (p == end)
			break;
		size_t length = escape_length(p, end);
		if (length == 0) {
			str_add(out, "\\uFFFD");
			length = 6;
		} else {
			if (length > (size_t)(end - p))
				length = (size_t)(end - p);
			str_add_n(out, p, length);
		}
		p += length;
	}
	str_add_char(out, '"');
}

/* A number that jansson might find too large, or too precise, becomes 0. */
static void
repair_number(struct scan *scan, struct str *out)
{
	const char *start = scan->p;
	bool exact = true;

	for (; scan->p < scan->end && *scan->p && strchr("0123456789+-.eE", *scan->p); scan->p++)
		exact = exact && *scan->p != 'e' && *scan->p != 'E';
	size_t n = (size_t)(scan->p - start);
	if (exact && n < 18)
		str_add_n(out, start, n);
	else
		str_add_char(out, '0');
}

struct limits {
	size_t depth, keys;
	bool salvage; /* keys and numbers are repaired as well: whatever it holds, something of it must be read */
};

/* Copies the text with its values repaired; also counts what is limited. NULL or the reason for refusing it. */
static const char *
repair(const char *p, size_t n, const struct limits *limits, struct str *out)
{
	struct scan scan = { p, p + n };
	struct span text;
	size_t depth = 0, keys = 0;

	while (scan.p < scan.end) {
		const char *start = scan.p;
		if (limits->salvage && (*start == '-' || (*start >= '0' && *start <= '9'))) {
			repair_number(&scan, out);
			continue;
		}
		if (*start != '"') {
			depth += *start == '{' || *start == '[';
			depth -= depth > 0 && (*start == '}' || *start == ']');
			if (depth > limits->depth)
				return "nested too deep";
			str_add_char(out, *start);
			scan.p++;
			continue;
		}
		if (!scan_string(&scan, &text))
			return "no valid JSON";
		struct scan after = scan;
		bool key = take(&after, ':');
		keys += key;
		if (keys > limits->keys)
			return "too many keys";
		if (key && !limits->salvage)
			str_add_n(out, start, (size_t)(scan.p - start));
		else
			repair_string(out, text);
	}
	return out->full ? "too large" : NULL;
}

/* jansson's own sentence quotes the content, which must not reach a log. */
static const char *
reason_of(const json_error_t *error)
{
	static const struct {
		enum json_error_code code;
		const char *reason;
	} reasons[] = {
		{ json_error_stack_overflow, "nested too deep" },
		{ json_error_invalid_utf8, "no valid UTF-8" },
		{ json_error_null_character, "a NUL character" },
		{ json_error_null_byte_in_key, "a NUL character in a key" },
		{ json_error_duplicate_key, "a repeated key" },
		{ json_error_numeric_overflow, "a number out of range" },
	};
	enum json_error_code code = json_error_code(error);

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].code == code)
			return reasons[i].reason;
	return "no valid JSON";
}

json_t *
json_read(const char *p, size_t n, const char **why)
{
	AUTO_STR struct str text;
	json_error_t error;

	str_init(&text, 2 * JSON_EVENT_MAX);
	*why = n > JSON_EVENT_MAX ? "too large" : repair(p, n, &(struct limits){ JSON_DEPTH_MAX, JSON_KEYS_MAX, false }, &text);
	if (*why)
		return NULL;
	json_t *json = json_loadb(str_get(&text), text.n, JSON_REJECT_DUPLICATES, &error);
	if (json && json_is_object(json))
		return json;
	*why = json ? "no object" : reason_of(&error);
	json_decref(json);
	return NULL;
}

json_t *
json_read_answer(const char *p, size_t n)
{
	json_t *json = json_loadb(p, n, 0, NULL);

	if (!json) {
		/* What somebody sent us stands in it, with names, keys and numbers as he pleased; it must not hide the rest. */
		AUTO_STR struct str text;
		str_init(&text, 2 * n + 2);
		if (!repair(p, n, &(struct limits){ ANSWER_DEPTH_MAX, n, true }, &text))
			json = json_loadb(str_get(&text), text.n, 0, NULL);
	}
	if (json && json_is_object(json))
		return json;
	json_decref(json);
	return NULL;
}

const json_t *
json_child(const json_t *object, const char *key)
{
	const json_t *child = json_object_get(object, key);

	return json_is_object(child) ? child : NULL;
}

const char *
json_text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

bool
json_whole(const json_t *object, const char *key, int64_t *out)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_integer(value))
		return false;
	*out = json_integer_value(value);
	return true;
}

bool
json_is_on(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

static int
add_piece(const char *p, size_t n, void *context)
{
	str_add_n(context, p, n);
	return 0;
}

static void
add(struct str *out, const json_t *value, size_t flags)
{
	/* Only a value of a wrong type, or a text that is no UTF-8, can fail here; neither can have been built. */
	if (json_dump_callback(value, add_piece, out, JSON_COMPACT | JSON_ENCODE_ANY | flags) < 0)
		out->full = true;
}

void
json_add(struct str *out, const json_t *value)
{
	add(out, value, JSON_SORT_KEYS);
}

void
json_add_in_order(struct str *out, const json_t *value)
{
	add(out, value, 0);
}

/* ---- memory ---- */

/* Stands before each block, since jansson does not say how long what it gives back is. */
union head {
	size_t size;
	max_align_t align;
};

static void *
take_block(size_t size)
{
	union head *head = size < SIZE_MAX - sizeof(*head) ? malloc(sizeof(*head) + size) : NULL;

	if (!head)
		return NULL;
	head->size = size;
	return head + 1;
}

static void
give_back(void *p)
{
	if (p)
		mem_free_secret((union head *)p - 1, sizeof(union head) + ((union head *)p)[-1].size);
}

void
json_forget_freed(void)
{
	json_set_alloc_funcs(take_block, give_back);
}
