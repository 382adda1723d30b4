/*
 * probe: what became of one token that is asked for without pause while it is
 * revoked. Bookkeeping only, pure; times are of one monotonic clock.
 *
 * An answer is too late if it says VALID to a question that was asked after the
 * revoke had returned: that is what a revoke promises.
 */
#ifndef JT_BENCH_PROBE_H
#define JT_BENCH_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#define JT_PROBE_KEPT 65536u

struct jt_probe {
	uint64_t n_valid;
	uint64_t n_refused;
	uint64_t first_refused_ns; /* when that answer was there; 0: never */
	uint64_t valid_ns[JT_PROBE_KEPT]; /* when asked: the latest of them */
};

void jt_probe_init(struct jt_probe *p);
void jt_probe_add(struct jt_probe *p, uint64_t asked_ns, uint64_t answered_ns,
		  bool valid);

/* How many of those that were asked after SINCE_NS were VALID. */
uint64_t jt_probe_late(const struct jt_probe *p, uint64_t since_ns);

#endif
