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
#include <string.h>

#define SUB_BITS 7u

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
