/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One function for each kind of value. UTF-8 sorts by bytes as it does by code points, so keys are compared as bytes, and
 * jansson gives only valid UTF-8.
 */
#include "matrix/crypto/canonical.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool add_value(struct str *out, const json_t *value, unsigned depth);

static void
add_string(struct str *out, const char *p, size_t n)
{
	static const char escapes[128] = {
		['"'] = '"', ['\\'] = '\\', ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r',
	};

	str_add_char(out, '"');
	for (const char *end = p + n; p < end; p++) {
		unsigned char c = (unsigned char)*p;
		if (c < sizeof(escapes) && escapes[c]) {
			str_add_char(out, '\\');
			str_add_char(out, escapes[c]);
		} else if (c < 32) {
			str_addf(out, "\\u%04x", c);
		} else {
			str_add_char(out, *p);
		}
	}
	str_add_char(out, '"');
}

static bool
add_text(struct str *out, const json_t *value, unsigned depth)
{
	(void)depth;
	add_string(out, json_string_value(value), json_string_length(value));
	return true;
}

static bool
add_whole(struct str *out, int64_t whole)
{
	if (whole < -CANONICAL_WHOLE_MAX || whole > CANONICAL_WHOLE_MAX)
		return false;
	str_addf(out, "%" PRId64, whole);
	return true;
}

static bool
add_integer(struct str *out, const json_t *value, unsigned depth)
{
	(void)depth;
	return add_whole(out, json_integer_value(value));
}

static bool
add_real(struct str *out, const json_t *value, unsigned depth)
{
	double real = json_real_value(value);

	(void)depth;
	/* Within this range the conversion is exact; outside of it, or for no number, it would be undefined. */
	if (!(real >= -(double)CANONICAL_WHOLE_MAX && real <= (double)CANONICAL_WHOLE_MAX))
		return false;
	int64_t whole = (int64_t)real;
	double parts[] = { real, (double)whole };
	return !(parts[0] < parts[1] || parts[0] > parts[1]) && add_whole(out, whole);
}

static bool
add_constant(struct str *out, const json_t *value, unsigned depth)
{
	static const char *const words[] = { [JSON_TRUE] = "true", [JSON_FALSE] = "false", [JSON_NULL] = "null" };

	(void)depth;
	str_add(out, words[json_typeof(value)]);
	return true;
}

static bool
add_array(struct str *out, const json_t *value, unsigned depth)
{
	size_t count = json_array_size(value);

	str_add_char(out, '[');
	for (size_t i = 0; i < count; i++) {
		if (i)
			str_add_char(out, ',');
		if (!add_value(out, json_array_get(value, i), depth))
			return false;
	}
	str_add_char(out, ']');
	return true;
}

static int
compare_keys(const void *a, const void *b)
{
	const char *const *left = a, *const *right = b;

	return strcmp(*left, *right);
}

static bool
is_unsigned(const char *key)
{
	return strcmp(key, "signatures") == 0 || strcmp(key, "unsigned") == 0;
}

/* The keys in their order; malloc'd, the strings lent. */
static const char **
sorted_keys(const json_t *object, bool as_signed, size_t *count)
{
	const char **keys = xcalloc(json_object_size(object), sizeof(*keys));
	const char *key;
	json_t *value;

	*count = 0;
	json_object_foreach((json_t *)(uintptr_t)object, key, value)
		if (!as_signed || !is_unsigned(key))
			keys[(*count)++] = key;
	qsort(keys, *count, sizeof(*keys), compare_keys);
	return keys;
}

static bool
add_members(struct str *out, const json_t *object, bool as_signed, unsigned depth)
{
	size_t count;
	AUTO_FREE const char **keys = sorted_keys(object, as_signed, &count);

	str_add_char(out, '{');
	for (size_t i = 0; i < count; i++) {
		if (i)
			str_add_char(out, ',');
		add_string(out, keys[i], strlen(keys[i]));
		str_add_char(out, ':');
		if (!add_value(out, json_object_get(object, keys[i]), depth))
			return false;
	}
	str_add_char(out, '}');
	return true;
}

static bool
add_object(struct str *out, const json_t *value, unsigned depth)
{
	return add_members(out, value, false, depth);
}

static bool
add_value(struct str *out, const json_t *value, unsigned depth)
{
	static bool (*const writers[])(struct str *out, const json_t *value, unsigned depth) = {
		[JSON_OBJECT] = add_object, [JSON_ARRAY] = add_array, [JSON_STRING] = add_text, [JSON_INTEGER] = add_integer,
		[JSON_REAL] = add_real, [JSON_TRUE] = add_constant, [JSON_FALSE] = add_constant, [JSON_NULL] = add_constant,
	};

	return depth < CANONICAL_DEPTH_MAX && !out->full && writers[json_typeof(value)](out, value, depth + 1);
}

bool
canonical_add(struct str *out, const json_t *value)
{
	return add_value(out, value, 0) && !out->full;
}

bool
canonical_add_signed(struct str *out, const json_t *object)
{
	return json_is_object(object) && add_members(out, object, true, 1) && !out->full;
}
