/*
 * workloads: what jeton is asked beside valid tokens drawn evenly.
 *
 *   zipf      valid ones, the k-th most frequent in proportion to 1 / k^0.99
 *   unknown   right checksum, not stored
 *   mistyped  wrong checksum
 *   hot       always the same one, whose limit allows it
 *   limited   always the same one, far more often than its limit allows: VALID
 *             or RATE_LIMITED, and never one VALID too many (rounds.h)
 *
 * Errors: negative errno.
 */
#ifndef JT_BENCH_WORKLOADS_H
#define JT_BENCH_WORKLOADS_H

#include "bench/subjects.h"

#define JT_WORKLOADS 5u
#define JT_WORKLOADS_ZIPF 0.99

extern const char *const jt_workload_names[JT_WORKLOADS];

/* Requests and answers of workload number K for ONE, which is jeton. */
int jt_workload_make(const struct jt_subjects *s, const struct jt_subject *one,
		     unsigned k, struct jt_load *load);

/* Its tokens alone, in the order in which they are asked. */
int jt_workload_tokens(const struct jt_subjects *s, unsigned k,
		       struct jt_tokens *out);

#endif
