/*
 * scan: see scan.h.
 *
 * The scanner runs on the client's core once for every reply, so it must cost
 * far less than the socket. Replies of one server are alike: one that has the
 * shape of an earlier one (shape.h) is counted by comparing its words, some 5
 * ns for a verdict of 117 bytes. What fits no shape is walked byte by byte (34
 * ns): the branch predictor learns the lines' lengths and so runs ahead, which
 * a search of eight bytes at a time does not allow (56 ns). Strings are skipped
 * by their length. An unfinished reply is simply scanned again from its start
 * when more has come. Nesting needs no stack: an array only adds to the number
 * of elements that are still due.
 */
#include "bench/scan.h"

#include "bench/scan_http.h"
#include "bench/scan_memcached.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define ELEMENTS_MAX 1000000
#define LENGTH_MAX (512l << 20)
#define CUT 1 /* the buffer ends inside the element */

struct element {
	char type;
	bool nil;
	long count;	     /* of an array */
	const uint8_t *text; /* of a scalar */
	size_t bytes;
};

/* Where the line ends (its CR), or NULL if that is not before END. */
static inline const uint8_t *find_cr(const uint8_t *at, const uint8_t *end)
{
	while (at < end && *at != '\r')
		at++;
	return at + 1 < end ? at : NULL;
}

/* The length behind `$` or `*`: -1 (nil) or a number; else -EPROTO. */
static inline long length_of(const uint8_t *at, const uint8_t *cr)
{
	long n = 0;

	if (cr - at == 2 && at[0] == '-' && at[1] == '1')
		return -1;
	if (cr == at || cr - at > 9)
		return -EPROTO;
	for (; at < cr; at++) {
		if (*at < '0' || *at > '9')
			return -EPROTO;
		n = n * 10 + (*at - '0');
	}
	return n <= LENGTH_MAX ? n : -EPROTO;
}

/* One element from *ATP on: 0, CUT or -EPROTO. */
static inline int take(const uint8_t **atp, const uint8_t *end,
		       struct element *e)
{
	const uint8_t *at = *atp, *cr = find_cr(at + 1, end);
	long n;

	if (!cr)
		return CUT;
	e->type = (char)*at;
	e->text = at + 1;
	e->bytes = (size_t)(cr - at - 1);
	*atp = cr + 2;
	if (e->type == ':' || e->type == '+' || e->type == '-')
		return 0;
	n = length_of(at + 1, cr);
	e->nil = n == -1;
	e->count = n;
	if (n < -1 || (e->type != '$' && e->type != '*'))
		return -EPROTO;
	if (e->type == '*' || e->nil)
		return 0;
	if (end - *atp < n + 2)
		return CUT;
	e->text = *atp;
	e->bytes = (size_t)n;
	*atp += n + 2;
	return 0;
}

/* One reply from *ATP on, its first scalar in *FIRST. */
static inline int take_reply(const uint8_t **atp, const uint8_t *end,
			     struct element *first)
{
	struct element e = {0};
	long due = 1;
	int r;

	*first = e;
	for (; due; due--) {
		if (*atp >= end)
			return CUT;
		r = take(atp, end, &e);
		if (r)
			return r;
		if (e.type == '*' && e.count > 0) {
			due += e.count;
			if (due > ELEMENTS_MAX)
				return -EPROTO;
		} else if (!first->type) {
			*first = e;
		}
	}
	return 0;
}

/* The same of HTTP, where a reply's status is its answer. */
static int take_http(const uint8_t **atp, const uint8_t *end,
		     struct element *first)
{
	int r = jt_scan_http(*atp, end, atp, &first->text);

	first->type = 'H';
	first->nil = false;
	first->bytes = 3;
	return r;
}

static int take_memcached(const uint8_t **atp, const uint8_t *end,
			  struct element *first)
{
	first->type = 'M';
	first->nil = false;
	return jt_scan_memcached(*atp, end, atp, &first->text, &first->bytes);
}

static inline int take_any(const struct jt_scan *scan, const uint8_t **atp,
			   const uint8_t *end, struct element *first)
{
	switch (scan->want_type) {
	case 'H':
		return take_http(atp, end, first);
	case 'M':
		return take_memcached(atp, end, first);
	default:
		return take_reply(atp, end, first);
	}
}

/* Count a reply whose shape is known, from *ATP on; false: none of them. */
static inline bool take_known(struct jt_scan *scan, const uint8_t **atp,
			      const uint8_t *end)
{
	size_t bytes = (size_t)(end - *atp);

	for (unsigned i = 0; i < JT_SCAN_SHAPES; i++) {
		if (!jt_shape_fits(&scan->shapes[i], *atp, bytes))
			continue;
		*atp += scan->shapes[i].bytes;
		if (scan->answer_of[i])
			scan->others[scan->answer_of[i] - 1].n++;
		else
			scan->expected++;
		return true;
	}
	return false;
}

/* The reply at AT has that answer, and others of its shape will. */
static void learn(struct jt_scan *scan, const uint8_t *at, size_t bytes,
		  const struct element *e, unsigned answer)
{
	unsigned i = scan->n_learned % JT_SCAN_SHAPES;

	if (e->type != '$' || e->nil)
		return;
	if (!jt_shape_learn(&scan->shapes[i], at, bytes, scan->want || answer))
		return;
	scan->answer_of[i] = answer;
	scan->n_learned++;
}

/* The place of that answer among the others, from 1 on. */
static unsigned note_other(struct jt_scan *scan, const struct element *e)
{
	char text[JT_SCAN_TEXT];
	struct jt_scan_other *o;
	unsigned i;

	if (e->nil || e->type == '*')
		snprintf(text, sizeof(text), "%s", e->nil ? "nil" : "empty");
	else
		snprintf(text, sizeof(text), "%s%.*s",
			 e->type == '-' ? "-" : "", (int)e->bytes,
			 (const char *)e->text);
	scan->errors += e->type == '-';
	for (i = 0; i < scan->n_others; i++)
		if (strcmp(scan->others[i].text, text) == 0)
			break;
	if (i == JT_SCAN_OTHERS)
		i--;
	o = &scan->others[i];
	if (i == scan->n_others) {
		scan->n_others++;
		snprintf(o->text, sizeof(o->text), "%s",
			 scan->n_others == JT_SCAN_OTHERS ? "others" : text);
	}
	o->n++;
	return i + 1;
}

static inline bool is_wanted(const struct jt_scan *scan, size_t want_bytes,
			     const struct element *e)
{
	if (e->type != scan->want_type || e->nil)
		return false;
	return !scan->want || (e->bytes == want_bytes &&
			       memcmp(e->text, scan->want, want_bytes) == 0);
}

void jt_scan_init(struct jt_scan *scan, char want_type, const char *want)
{
	memset(scan, 0, sizeof(*scan));
	scan->want_type = want_type;
	scan->want = want;
}

uint64_t jt_scan_others(const struct jt_scan *scan, const char *text)
{
	for (unsigned i = 0; i < scan->n_others; i++)
		if (strcmp(scan->others[i].text, text) == 0)
			return scan->others[i].n;
	return 0;
}

int jt_scan_feed(struct jt_scan *scan, const uint8_t *at, size_t bytes,
		 size_t *takenp)
{
	const uint8_t *next = at, *end = at + bytes, *done = at;
	size_t want_bytes = scan->want ? strlen(scan->want) : 0;
	struct element e;
	unsigned answer;
	int r;

	for (;;) {
		if (!take_known(scan, &next, end)) {
			r = take_any(scan, &next, end, &e);
			if (r)
				break;
			answer = 0;
			if (is_wanted(scan, want_bytes, &e))
				scan->expected++;
			else
				answer = note_other(scan, &e);
			learn(scan, done, (size_t)(next - done), &e, answer);
		}
		scan->replies++;
		done = next;
	}
	scan->bytes += (size_t)(done - at);
	*takenp = (size_t)(done - at);
	return r < 0 ? r : 0;
}
