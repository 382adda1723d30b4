/*
 * random: splitmix64. Repeatable from a seed, cheap, and no more than that:
 * for the order of requests and for resampling, never for secrets.
 */
#ifndef JT_BENCH_RANDOM_H
#define JT_BENCH_RANDOM_H

#include <stdint.h>

static inline uint64_t jt_random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* Below N, without a division; the bias is below N / 2^64. */
static inline uint64_t jt_random_below(uint64_t *state, uint64_t n)
{
	return (uint64_t)((unsigned __int128)jt_random_next(state) * n >> 64);
}

/* In (0, 1]. */
static inline double jt_random_share(uint64_t *state)
{
	return (double)((jt_random_next(state) >> 11) + 1) * 0x1p-53;
}

#endif
