/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

/*
 * JSON from strangers, in two steps: a scanner that finds the events of a transaction without understanding them, so that
 * one bad event costs only itself, and jansson, which reads each of them alone, behind limits.
 */

#include "base/mem.h"
#include "base/str.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH_MAX 128
#define JSON_KEYS_MAX 10000
/* An event has at most 64 KiB; a server that writes é as \u00e9 triples it, and its "unsigned" may repeat a former content. */
#define JSON_EVENT_MAX (256 * 1024)

/*
 * One member of an array of events, as byte ranges of the text that was scanned. The four names are the raw characters
 * between the quotes, still escaped; p is NULL where the field is missing or no string.
 */
struct json_event {
	struct span raw;
	struct span event_id, room_id, type, sender;
	int64_t stamp_ms; /* origin_server_ts, 0 when it is no plain integer */
};

/*
 * Calls `each` for every member of the array `key` of the object that `p` holds ("events", "chunk"), in order. No allocation,
 * no recursion; what the members hold is not judged beyond finding their ends. The whole text is scanned before the first
 * call: a text that is cut short, or no object, gives false and no call at all. A missing key is an empty array; a repeated one counts each time.
 */
bool json_split(const char *p, size_t n, const char *key, void (*each)(void *context, const struct json_event *event),
		void *context) MUST_USE;

/* The raw characters of any member of the object that `p` holds, with its quotes or brackets; p NULL when there is none. No allocation. */
struct span json_find_raw(const char *p, size_t n, const char *key);
/* The raw characters of a string member of the object that `p` holds, still escaped; p NULL when there is none. No allocation. */
struct span json_find_text(const char *p, size_t n, const char *key);

/*
 * Parses one object from outside. In values, NUL and unpaired surrogates become U+FFFD; whatever else jansson refuses, and
 * what passes the limits above or repeats a key, gives NULL and *why, a short static reason without any of the content.
 */
json_t *json_read(const char *p, size_t n, const char **why) MUST_USE;

/*
 * The same for a whole answer of our homeserver: of any size and number of keys (its size was bounded while it arrived). Others'
 * words stand in it, so names are repaired as values are, and a number that is out of range becomes 0.
 */
json_t *json_read_answer(const char *p, size_t n) MUST_USE;

/* Members of an object, or NULL when `object` is NULL or no object, or the member is missing or of another type. Lent. */
const json_t *json_child(const json_t *object, const char *key);
const char *json_text(const json_t *object, const char *key);
/* False leaves *out alone. */
bool json_whole(const json_t *object, const char *key, int64_t *out);
bool json_is_on(const json_t *object, const char *key);

/* Appends compact JSON with sorted keys: the same value always gives the same bytes. */
void json_add(struct str *out, const json_t *value);
/* The same with the keys in the order in which they were set. */
void json_add_in_order(struct str *out, const json_t *value);

/*
 * From now on what jansson gives back is cleared first: keys and bodies pass through its values. To be called before anything is
 * made with it. Its own json_dumps() must not be used then, since free() does not fit its blocks.
 */
void json_forget_freed(void);

#endif
