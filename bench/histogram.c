/*
 * histogram: see histogram.h.
 *
 * With e = floor(log2 v) - 7, the top eight bits of v are v >> e, between 128
 * and 255, and the bucket is 128 e + (v >> e): buckets 128 e + 128 to
 * 128 e + 255 hold the powers of two between 2^(e+7) and 2^(e+8), and values
 * below 128 are their own bucket. A bucket is 1/128 of its value wide, so its
 * middle is at most 0.4 % off. 60 s has e = 28: 3,840 buckets.
 */
#include "bench/histogram.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define SUB_BITS 7u
#define TICKS 5.0 /* of a halving */
#define TICKS_MAX 1e12

static_assert(1u << SUB_BITS == JT_HISTOGRAM_SUB, "buckets per power of two");
static_assert(JT_HISTOGRAM_MAX_NS < 1ull << 36, "the last bucket holds it");

static unsigned bucket_of(uint64_t ns)
{
	unsigned e;

	if (ns < JT_HISTOGRAM_SUB)
		return (unsigned)ns;
	e = 63u - (unsigned)__builtin_clzll(ns) - SUB_BITS;
	return (e << SUB_BITS) + (unsigned)(ns >> e);
}

static uint64_t middle_of(unsigned bucket)
{
	unsigned e;

	if (bucket < 2 * JT_HISTOGRAM_SUB)
		return bucket;
	e = (bucket >> SUB_BITS) - 1;
	return ((uint64_t)(bucket - (e << SUB_BITS)) << e) + (1ull << e) / 2;
}

void jt_histogram_init(struct jt_histogram *h)
{
	memset(h, 0, sizeof(*h));
}

void jt_histogram_add(struct jt_histogram *h, uint64_t ns, uint64_t times)
{
	if (ns > JT_HISTOGRAM_MAX_NS)
		ns = JT_HISTOGRAM_MAX_NS;
	if (ns > h->max_ns)
		h->max_ns = ns;
	h->n += times;
	h->buckets[bucket_of(ns)] += times;
}

void jt_histogram_merge(struct jt_histogram *h, const struct jt_histogram *from)
{
	if (from->max_ns > h->max_ns)
		h->max_ns = from->max_ns;
	h->n += from->n;
	for (unsigned i = 0; i < JT_HISTOGRAM_BUCKETS; i++)
		h->buckets[i] += from->buckets[i];
}

uint64_t jt_histogram_quantile_ns(const struct jt_histogram *h, double q)
{
	uint64_t want = (uint64_t)(q * (double)h->n), seen = 0;

	if (!h->n)
		return 0;
	if (want >= h->n)
		want = h->n - 1;
	for (unsigned i = 0; i < JT_HISTOGRAM_BUCKETS; i++) {
		seen += h->buckets[i];
		if (seen > want)
			return middle_of(i);
	}
	return h->max_ns;
}

/* How many events are in the buckets up to that of NS. */
static uint64_t count_up_to(const struct jt_histogram *h, uint64_t ns)
{
	unsigned last = bucket_of(ns);
	uint64_t n = 0;

	for (unsigned i = 0; i <= last; i++)
		n += h->buckets[i];
	return n;
}

/* The step behind SHARE: a fifth of the way from there to the next halving. */
static double share_after(double share)
{
	double halvings = floor(log2(1 / (1 - share))) + 1;

	return share + 1 / (TICKS * exp2(halvings));
}

bool jt_histogram_next(const struct jt_histogram *h,
		       struct jt_histogram_step *step)
{
	if (step->done || !h->n)
		return false;
	if (step->count)
		step->share = share_after(step->share);
	step->ns = jt_histogram_quantile_ns(h, step->share);
	step->count = count_up_to(h, step->ns);
	if (step->count < h->n && 1 / (1 - step->share) < TICKS_MAX)
		return true;
	*step = (struct jt_histogram_step){1, h->max_ns, h->n, true};
	return true;
}

static void moments(const struct jt_histogram *h, double *meanp, double *devp)
{
	double sum = 0, squares = 0, v;

	for (unsigned i = 0; i < JT_HISTOGRAM_BUCKETS; i++)
		sum += (double)h->buckets[i] * (double)middle_of(i);
	*meanp = h->n ? sum / (double)h->n : 0;
	for (unsigned i = 0; i < JT_HISTOGRAM_BUCKETS; i++) {
		v = (double)middle_of(i) - *meanp;
		squares += (double)h->buckets[i] * v * v;
	}
	*devp = h->n ? sqrt(squares / (double)h->n) : 0;
}

void jt_histogram_print(const struct jt_histogram *h, FILE *to)
{
	struct jt_histogram_step step = {0};
	double mean, deviation;

	fprintf(to, "%12s %14s %10s %14s\n\n", "Value", "Percentile",
		"TotalCount", "1/(1-Percentile)");
	while (jt_histogram_next(h, &step)) {
		fprintf(to, "%12.3f %2.12f %10llu", (double)step.ns / 1e3,
			step.share, (unsigned long long)step.count);
		if (step.share < 1)
			fprintf(to, " %14.2f", 1 / (1 - step.share));
		fputc('\n', to);
	}
	moments(h, &mean, &deviation);
	fprintf(to, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n",
		mean / 1e3, deviation / 1e3);
	fprintf(to, "#[Max     = %12.3f, Total count    = %12llu]\n",
		(double)h->max_ns / 1e3, (unsigned long long)h->n);
	fprintf(to, "#[Buckets = %12u, SubBuckets     = %12u]\n",
		JT_HISTOGRAM_BUCKETS / JT_HISTOGRAM_SUB, JT_HISTOGRAM_SUB);
}
