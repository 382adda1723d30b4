/*
 * pace: pieces of work at a fixed rate on average, each as large. Pure.
 *
 * The first is due at the start. One that is late does not move those behind
 * it: whoever is behind does the next at once, until he has caught up.
 */
#ifndef JT_BENCH_PACE_H
#define JT_BENCH_PACE_H

#include <stdint.h>

struct jt_pace {
	uint64_t start_ns;
	double every_ns;
};

/* PER_S items a second in pieces of EACH items; both above 0. */
void jt_pace_init(struct jt_pace *p, uint64_t start_ns, double per_s,
		  double each);

/* How many pieces should have begun by then, from the start on. */
uint64_t jt_pace_due(const struct jt_pace *p, uint64_t now_ns);

/* How long until the piece behind DONE pieces is due; 0: it is. */
uint64_t jt_pace_wait_ns(const struct jt_pace *p, uint64_t done,
			 uint64_t now_ns);

#endif
