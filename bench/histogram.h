/*
 * histogram: latencies in log-linear buckets, better than 1 % precise.
 *
 * 1 ns to 60 s; longer ones count as 60 s. Below 128 ns every nanosecond has
 * its bucket, above that each power of two has 128. About 30 KiB, no
 * allocation; one process, one thread. The idea is HdrHistogram's, and so is
 * the layout of what is printed: its plotter reads it.
 */
#ifndef JT_BENCH_HISTOGRAM_H
#define JT_BENCH_HISTOGRAM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define JT_HISTOGRAM_SUB 128u
#define JT_HISTOGRAM_MAX_NS 60000000000ull
#define JT_HISTOGRAM_BUCKETS (30u * JT_HISTOGRAM_SUB)

struct jt_histogram {
	uint64_t n;
	uint64_t max_ns;
	uint64_t buckets[JT_HISTOGRAM_BUCKETS];
};

void jt_histogram_init(struct jt_histogram *h);

/* TIMES events took NS each. */
void jt_histogram_add(struct jt_histogram *h, uint64_t ns, uint64_t times);

/* All that is in FROM, too. */
void jt_histogram_merge(struct jt_histogram *h,
			const struct jt_histogram *from);

/* The latency that a share Q (0..1) of the events did not exceed; 0 if none. */
uint64_t jt_histogram_quantile_ns(const struct jt_histogram *h, double q);

/*
 * The percentiles that HdrHistogram prints: five in each halving of the way to
 * 100 %. Begin with a zeroed step; false: there are no more. The last one has
 * share 1 and is the longest of all.
 */
struct jt_histogram_step {
	double share; /* of the events that took at most `ns` */
	uint64_t ns;
	uint64_t count; /* how many those are */
	bool done;
};
bool jt_histogram_next(const struct jt_histogram *h,
		       struct jt_histogram_step *step);

/* As HdrHistogram does, in microseconds. */
void jt_histogram_print(const struct jt_histogram *h, FILE *to);

#endif
