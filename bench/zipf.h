/*
 * zipf: ranks 1..N, of which rank k comes with a probability in proportion to
 * 1 / k^S. Pure; no table, so N may be 10^8.
 *
 * Rejection-inversion: W. Hormann, G. Derflinger, "Rejection-inversion to
 * generate variates from monotone discrete distributions", 1996. S > 0.
 */
#ifndef JT_BENCH_ZIPF_H
#define JT_BENCH_ZIPF_H

#include <stdint.h>

struct jt_zipf {
	double s;
	double n;
	double from, to; /* of the area that is drawn from */
	double sure;	 /* that near to a rank nothing is rejected */
};

void jt_zipf_init(struct jt_zipf *z, uint64_t n, double s);
uint64_t jt_zipf_next(const struct jt_zipf *z, uint64_t *random);

#endif
