/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TZif (RFC 9636) as two pure mappings. The model: time is cut into segments of
 * constant offset, first by the file's transition table, after its last entry by
 * the footer's rule (a POSIX TZ string) for ever. Everything else walks these
 * segments in order: the first segment that shows a local time is its first
 * pass, the last one its last pass, and a local time that no segment shows lies
 * in a gap, whose end is the transition that jumped over it.
 *
 * Invariant: nothing here trusts the file. Every count is checked against the
 * bytes that are there, and every sum stays inside int64_t (RANGE_S below).
 */

#include "zone.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define DAY_S 86400
#define REACH_S (27 * 3600)                   /* no offset is further from UTC: RFC 9636 §3.2 allows -25 h to +26 h */
#define RANGE_S (INT64_MAX / 1000 - 4 * DAY_S) /* seconds that fit into milliseconds, with room for an offset */
#define YEAR_MAX 200000000                    /* years outside are taken as this one */

struct zone_type {
	int32_t offset;
};

/* One half of a footer's rule: "M10.5.0/3" and its two cousins. */
struct zone_edge {
	char kind; /* 'M' month.week.day, 'J' day without 29 February, 'D' day from 0 with it */
	int month, week, day;
	int32_t time; /* seconds after local midnight, -167 h to +167 h */
};

struct zone_footer {
	bool present, daylight;
	int32_t standard, summer; /* offsets in seconds, east positive */
	struct zone_edge begin, end;
};

struct zone {
	size_t transitions, types;
	int64_t *at;              /* owned; seconds since the epoch, rising */
	unsigned char *type;      /* owned; index of `offsets` from at[i] on */
	struct zone_type *offsets; /* owned */
	struct zone_footer footer;
};

/* ---- dates ---- */

static int64_t
floor_div(int64_t a, int64_t b)
{
	int64_t q = a / b;
	return a % b < 0 ? q - 1 : q;
}

static int64_t
floor_mod(int64_t a, int64_t b)
{
	int64_t r = a % b;
	return r < 0 ? r + b : r;
}

static bool
is_leap(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int
month_length(int64_t year, int month)
{
	static const int lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return month == 2 && is_leap(year) ? 29 : lengths[month - 1];
}

/* Years begin in March here, so that the leap day is the last of its year. */
int64_t
zone_days(int year, int month, int day)
{
	int64_t y = (int64_t)year + floor_div((int64_t)month - 1, 12);
	int64_t m = floor_mod((int64_t)month - 1, 12) + 1;
	int64_t era, in_era, in_year;

	if (y > YEAR_MAX)
		y = YEAR_MAX;
	if (y < -YEAR_MAX)
		y = -YEAR_MAX;
	if (m <= 2)
		y--;
	era = floor_div(y, 400);
	in_era = y - era * 400;
	in_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5;
	return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468 + ((int64_t)day - 1);
}

int
zone_weekday(int64_t days)
{
	return (int)floor_mod(days + 3, 7); /* 1970-01-01 was a Thursday */
}

void
zone_date(int64_t days, struct civil *out)
{
	int64_t shifted = days + 719468;
	int64_t era = floor_div(shifted, 146097);
	int64_t in_era = shifted - era * 146097;
	int64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	int64_t in_year = in_era - (365 * year + year / 4 - year / 100);
	int64_t month = (5 * in_year + 2) / 153;

	memset(out, 0, sizeof(*out));
	out->day = (int)(in_year - (153 * month + 2) / 5 + 1);
	out->month = (int)(month < 10 ? month + 3 : month - 9);
	out->year = (int)(year + era * 400 + (out->month <= 2));
	out->weekday = zone_weekday(days);
}

/* ---- the footer: POSIX TZ string, with the wider hours of RFC 9636 §3.3.1 ---- */

struct reader {
	const char *p, *end;
};

static bool
take(struct reader *r, char c)
{
	if (r->p == r->end || *r->p != c)
		return false;
	r->p++;
	return true;
}

static bool
take_number(struct reader *r, int max, int *out)
{
	int value = 0;
	const char *start = r->p;

	while (r->p < r->end && *r->p >= '0' && *r->p <= '9') {
		value = value * 10 + (*r->p++ - '0');
		if (value > max)
			return false;
	}
	*out = value;
	return r->p != start;
}

/* "[+-]hh[:mm[:ss]]" */
static bool
take_time(struct reader *r, int32_t *out)
{
	int hours, minutes = 0, seconds = 0;
	bool negative = take(r, '-');

	if (!negative)
		(void)take(r, '+');
	if (!take_number(r, 167, &hours))
		return false;
	if (take(r, ':')) {
		if (!take_number(r, 59, &minutes))
			return false;
		if (take(r, ':') && !take_number(r, 59, &seconds))
			return false;
	}
	*out = hours * 3600 + minutes * 60 + seconds;
	if (negative)
		*out = -*out;
	return true;
}

static bool
is_letter(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* "CET" or "<+0330>": only its length matters to us. */
static bool
take_name(struct reader *r)
{
	const char *start = r->p;

	if (take(r, '<')) {
		while (r->p < r->end && *r->p != '>')
			r->p++;
		return take(r, '>');
	}
	while (r->p < r->end && is_letter(*r->p))
		r->p++;
	return r->p - start >= 3;
}

static bool
take_edge(struct reader *r, struct zone_edge *edge)
{
	*edge = (struct zone_edge){ .kind = 'D', .time = 2 * 3600 };
	if (!take(r, ','))
		return false;
	if (take(r, 'M')) {
		edge->kind = 'M';
		if (!take_number(r, 12, &edge->month) || !take(r, '.') || !take_number(r, 5, &edge->week)
				|| !take(r, '.') || !take_number(r, 6, &edge->day) || edge->month < 1 || edge->week < 1)
			return false;
	} else {
		if (take(r, 'J'))
			edge->kind = 'J';
		if (!take_number(r, 365, &edge->day) || (edge->kind == 'J' && edge->day < 1))
			return false;
	}
	return !take(r, '/') || take_time(r, &edge->time);
}

static bool
plausible_offset(int32_t offset)
{
	return offset > -REACH_S && offset < REACH_S;
}

static bool
parse_footer(struct zone_footer *footer, const char *text, size_t size)
{
	struct reader r = { text, text + size };

	footer->present = size > 0;
	if (!footer->present)
		return true;
	if (!take_name(&r) || !take_time(&r, &footer->standard))
		return false;
	footer->standard = -footer->standard; /* POSIX counts west */
	if (!plausible_offset(footer->standard))
		return false;
	footer->daylight = r.p < r.end;
	if (!footer->daylight)
		return true;
	footer->summer = footer->standard + 3600;
	if (!take_name(&r))
		return false;
	if (r.p < r.end && *r.p != ',') {
		if (!take_time(&r, &footer->summer))
			return false;
		footer->summer = -footer->summer;
	}
	return plausible_offset(footer->summer) && take_edge(&r, &footer->begin) && take_edge(&r, &footer->end)
			&& r.p == r.end;
}

/* ---- the file ---- */

static uint32_t
read_u32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t
read_i64(const unsigned char *p)
{
	uint64_t high = read_u32(p), low = read_u32(p + 4);
	uint64_t bits = high << 32 | low;

	return bits <= INT64_MAX ? (int64_t)bits : -1 - (int64_t)~bits;
}

static int32_t
read_i32(const unsigned char *p)
{
	uint32_t bits = read_u32(p);

	return bits <= INT32_MAX ? (int32_t)bits : -1 - (int32_t)~bits;
}

/* The six counts of a header, RFC 9636 §3.1, and the bytes of its block when times take `width`. */
struct header {
	char version;
	uint64_t isut, isstd, leap, times, types, chars;
};

enum { HEADER_SIZE = 44 };

static bool
read_header(struct header *h, const unsigned char *p, size_t size)
{
	if (size < HEADER_SIZE || memcmp(p, "TZif", 4) != 0)
		return false;
	h->version = (char)p[4];
	h->isut = read_u32(p + 20);
	h->isstd = read_u32(p + 24);
	h->leap = read_u32(p + 28);
	h->times = read_u32(p + 32);
	h->types = read_u32(p + 36);
	h->chars = read_u32(p + 40);
	return true;
}

static uint64_t
block_size(const struct header *h, uint64_t width)
{
	return h->times * (width + 1) + h->types * 6 + h->chars + h->leap * (width + 4) + h->isstd + h->isut;
}

static int
read_block(struct zone *zone, const struct header *h, const unsigned char *p)
{
	const unsigned char *types = p + h->times * 8, *infos = types + h->times;

	zone->transitions = (size_t)h->times;
	zone->types = (size_t)h->types;
	zone->at = malloc((zone->transitions + 1) * sizeof(*zone->at));
	zone->type = malloc(zone->transitions + 1);
	zone->offsets = malloc(zone->types * sizeof(*zone->offsets));
	if (!zone->at || !zone->type || !zone->offsets)
		return -ENOMEM;
	for (size_t i = 0; i < zone->transitions; i++) {
		zone->at[i] = read_i64(p + i * 8);
		zone->type[i] = types[i];
		if (zone->type[i] >= zone->types || (i > 0 && zone->at[i] <= zone->at[i - 1]))
			return ZONE_E_FORMAT;
	}
	for (size_t i = 0; i < zone->types; i++) {
		zone->offsets[i].offset = read_i32(infos + i * 6);
		if (!plausible_offset(zone->offsets[i].offset))
			return ZONE_E_FORMAT;
	}
	return 0;
}

/* Leap seconds mean that the file does not count POSIX time ("right/" zones): refused, not misread. */
static int
read_file(struct zone *zone, const unsigned char *p, size_t size)
{
	struct header first, second;
	const unsigned char *end = p + size, *footer;
	int r;

	if (!read_header(&first, p, size) || first.version < '2' || block_size(&first, 4) > size - HEADER_SIZE)
		return ZONE_E_FORMAT;
	p += HEADER_SIZE + block_size(&first, 4);
	if (!read_header(&second, p, (size_t)(end - p)))
		return ZONE_E_FORMAT;
	p += HEADER_SIZE;
	if (block_size(&second, 8) > (size_t)(end - p) || second.types == 0 || second.types > 256 || second.leap > 0)
		return ZONE_E_FORMAT;
	r = read_block(zone, &second, p);
	if (r != 0)
		return r;
	p += block_size(&second, 8);
	if (p == end || *p++ != '\n')
		return ZONE_E_FORMAT;
	footer = memchr(p, '\n', (size_t)(end - p));
	if (!footer || !parse_footer(&zone->footer, (const char *)p, (size_t)(footer - p)))
		return ZONE_E_FORMAT;
	return 0;
}

int
zone_parse(struct zone **out, const void *bytes, size_t size)
{
	struct zone *zone = calloc(1, sizeof(*zone));
	int r;

	*out = NULL;
	if (!zone)
		return -ENOMEM;
	r = read_file(zone, bytes, size);
	if (r != 0) {
		zone_free(zone);
		return r;
	}
	*out = zone;
	return 0;
}

void
zone_free(struct zone *zone)
{
	if (!zone)
		return;
	free(zone->at);
	free(zone->type);
	free(zone->offsets);
	free(zone);
}

/* ---- segments ---- */

/* Local midnight of the edge's day in `year`, as if local time were UTC. */
static int64_t
edge_days(const struct zone_edge *edge, int year)
{
	int64_t first;
	int day;

	if (edge->kind == 'J')
		return zone_days(year, 1, edge->day) + (is_leap(year) && edge->day >= 60);
	if (edge->kind == 'D')
		return zone_days(year, 1, 1) + edge->day;
	first = zone_days(year, edge->month, 1);
	/* POSIX counts from Sunday; the week number counts that weekday's occurrences, 5 is the last */
	day = (edge->day + 6 - zone_weekday(first)) % 7 + (edge->week - 1) * 7;
	if (day >= month_length(year, edge->month))
		day -= 7;
	return first + day;
}

/* The two footer transitions of one year, as instants. */
static void
footer_edges(const struct zone_footer *footer, int year, int64_t *begin, int64_t *end)
{
	*begin = edge_days(&footer->begin, year) * DAY_S + footer->begin.time - footer->standard;
	*end = edge_days(&footer->end, year) * DAY_S + footer->end.time - footer->summer;
}

static int
year_of(int64_t at)
{
	struct civil civil;

	zone_date(floor_div(at, DAY_S), &civil);
	return civil.year;
}

/* When the daylight time that begins in `year` ends: in that year, or south of the equator in the next. */
static int64_t
summer_end(const struct zone_footer *footer, int year, int64_t *begin)
{
	int64_t end, later, unused;

	footer_edges(footer, year, begin, &end);
	if (end > *begin)
		return end;
	footer_edges(footer, year + 1, &unused, &later);
	return later;
}

/* One daylight time may end when, or after, the next one has begun: summer all year (RFC 9636 §3.3.1). */
static int32_t
footer_offset(const struct zone_footer *footer, int64_t at)
{
	int year = year_of(at);
	int64_t begin, end;

	for (int y = year - 2; footer->daylight && y <= year + 1; y++) {
		end = summer_end(footer, y, &begin);
		if (begin <= at && at < end)
			return footer->summer;
	}
	return footer->standard;
}

static int64_t
footer_next(const struct zone_footer *footer, int64_t at)
{
	int64_t next = INT64_MAX, edges[2];
	int year = year_of(at);

	if (!footer->daylight)
		return INT64_MAX;
	for (int y = year - 1; y <= year + 1; y++) {
		footer_edges(footer, y, &edges[0], &edges[1]);
		for (int i = 0; i < 2; i++) {
			if (edges[i] > at && edges[i] < next)
				next = edges[i];
		}
	}
	return next;
}

/* How many table transitions are at or before `at`. */
static size_t
count_before(const struct zone *zone, int64_t at)
{
	size_t low = 0, high = zone->transitions;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (zone->at[middle] <= at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int32_t
offset_at(const struct zone *zone, int64_t at)
{
	size_t n;

	if (!zone)
		return 0;
	n = count_before(zone, at);
	if (n == zone->transitions && zone->footer.present)
		return footer_offset(&zone->footer, at);
	return zone->offsets[n == 0 ? 0 : zone->type[n - 1]].offset;
}

/* The first instant after `at` at which the offset may change. */
static int64_t
next_transition(const struct zone *zone, int64_t at)
{
	size_t n;

	if (!zone)
		return INT64_MAX;
	n = count_before(zone, at);
	if (n < zone->transitions)
		return zone->at[n];
	return zone->footer.present ? footer_next(&zone->footer, at) : INT64_MAX;
}

/* ---- the two mappings ---- */

static int64_t
clamp(int64_t seconds)
{
	if (seconds > RANGE_S)
		return RANGE_S;
	return seconds < -RANGE_S ? -RANGE_S : seconds;
}

void
zone_to_civil(const struct zone *zone, int64_t at_ms, struct civil *out)
{
	int64_t at = clamp(floor_div(at_ms, 1000));
	int32_t offset = offset_at(zone, at);
	int64_t local = at + offset;
	int64_t second = floor_mod(local, DAY_S);

	zone_date(floor_div(local, DAY_S), out);
	out->hour = (int)(second / 3600);
	out->minute = (int)(second / 60 % 60);
	out->second = (int)(second % 60);
	out->offset_s = offset;
}

static int64_t
resolve(const struct zone *zone, const struct civil *civil, bool last)
{
	int64_t local = clamp(zone_days(civil->year, civil->month, civil->day) * DAY_S + (int64_t)civil->hour * 3600
			+ (int64_t)civil->minute * 60 + civil->second);
	int64_t from = local - REACH_S, gap = INT64_MAX, found = INT64_MAX;

	/* at most a few segments lie within REACH_S; a hostile file can make it many, never endless */
	while (from <= local + REACH_S) {
		int64_t to = next_transition(zone, from);
		int64_t at = local - offset_at(zone, from);

		if (at >= from && at < to) {
			found = at;
			if (!last)
				break;
		} else if (at < from && gap == INT64_MAX) {
			gap = from; /* the jump to `from` went over it */
		}
		if (to == INT64_MAX)
			break;
		from = to;
	}
	if (found == INT64_MAX)
		found = gap != INT64_MAX ? gap : local - offset_at(zone, local);
	return clamp(found) * 1000;
}

int64_t
zone_from_civil(const struct zone *zone, const struct civil *local)
{
	return resolve(zone, local, false);
}

int64_t
zone_from_civil_last(const struct zone *zone, const struct civil *local)
{
	return resolve(zone, local, true);
}
