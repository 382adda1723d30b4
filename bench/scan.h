/*
 * scan: counts complete RESP2 replies in a stream and looks at their answers.
 *
 * The answer of a reply is its first scalar: itself, or the first element of
 * an array (`VALID` of a verdict). Every answer is compared with the expected
 * one; others are kept by their text with a count, so that nothing that a
 * server said goes unseen. Pure; one process, one thread, no allocation.
 */
#ifndef JT_BENCH_SCAN_H
#define JT_BENCH_SCAN_H

#include "bench/shape.h"

#define JT_SCAN_SHAPES 4u
#define JT_SCAN_TEXT 48u
#define JT_SCAN_OTHERS 24u

struct jt_scan_other {
	char text[JT_SCAN_TEXT]; /* `-ERR ...`, `REVOKED`, `nil`; shortened */
	uint64_t n;
};

struct jt_scan {
	/* set by the caller: '$' '+' ':' and the bytes; NULL: any but nil;
	 * 'H': HTTP, and a status (scan_http.h); 'M': memcached, and a value
	 * (scan_memcached.h) */
	char want_type;
	const char *want;
	/* results */
	uint64_t replies;
	uint64_t expected; /* of them with the wanted answer */
	uint64_t errors;   /* of them RESP errors */
	uint64_t bytes;
	unsigned n_others;
	struct jt_scan_other
		others[JT_SCAN_OTHERS]; /* the last: all the rest */
	/* the latest learned over the oldest; 0: has the wanted answer, else
	 * that of others[n - 1] */
	unsigned answer_of[JT_SCAN_SHAPES];
	unsigned n_learned;
	struct jt_shape shapes[JT_SCAN_SHAPES];
};

void jt_scan_init(struct jt_scan *scan, char want_type, const char *want);

/* How many replies had the answer TEXT, which is not the wanted one. */
uint64_t jt_scan_others(const struct jt_scan *scan, const char *text);

/*
 * Count the complete replies at AT. 0, with the bytes taken in *TAKENP (the
 * unfinished rest must be given again, in front of what follows it), or
 * -EPROTO.
 */
int jt_scan_feed(struct jt_scan *scan, const uint8_t *at, size_t bytes,
		 size_t *takenp);

#endif
