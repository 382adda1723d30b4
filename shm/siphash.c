/*
 * siphash: see siphash.h.
 *
 * Written once, on vectors of the compiler's of four lanes, two of them side by
 * side, for one alone would wait for itself; and compiled for each kind of
 * processor that differs: with rotations of vectors (AVX-512VL), with vectors
 * of that width (AVX2), and any.
 */
#include "shm/siphash.h"

#include <string.h>

typedef uint64_t lanes __attribute__((vector_size(32), may_alias));

#define SIDES (JT_SIPHASH_LANES / 4u)
#define INLINE static inline __attribute__((always_inline)) void
#define EACH_SIDE(i)                                                           \
	_Pragma("GCC unroll 2") for (unsigned i = 0; i < SIDES; i++)
#define ROTATE(v, n) ((v) << (n) | (v) >> (64 - (n)))

struct state {
	lanes v0[SIDES], v1[SIDES], v2[SIDES], v3[SIDES];
};

INLINE begin(struct state *s, const uint8_t key[16])
{
	const lanes none = {0};
	uint64_t k[2];

	memcpy(k, key, sizeof(k));
	EACH_SIDE(i)
	{
		s->v0[i] = none + (k[0] ^ 0x736f6d6570736575u);
		s->v1[i] = none + (k[1] ^ 0x646f72616e646f6du ^ 0xee);
		s->v2[i] = none + (k[0] ^ 0x6c7967656e657261u);
		s->v3[i] = none + (k[1] ^ 0x7465646279746573u);
	}
}

INLINE sip_round(struct state *s)
{
	EACH_SIDE(i)
	{
		s->v0[i] += s->v1[i];
		s->v2[i] += s->v3[i];
		s->v1[i] = ROTATE(s->v1[i], 13) ^ s->v0[i];
		s->v3[i] = ROTATE(s->v3[i], 16) ^ s->v2[i];
		s->v0[i] = ROTATE(s->v0[i], 32);
		s->v2[i] += s->v1[i];
		s->v0[i] += s->v3[i];
		s->v1[i] = ROTATE(s->v1[i], 17) ^ s->v2[i];
		s->v3[i] = ROTATE(s->v3[i], 21) ^ s->v0[i];
		s->v2[i] = ROTATE(s->v2[i], 32);
	}
}

INLINE take(struct state *s, const lanes word[SIDES])
{
	EACH_SIDE(i)
	s->v3[i] ^= word[i];
	sip_round(s);
	sip_round(s);
	EACH_SIDE(i)
	s->v0[i] ^= word[i];
}

INLINE end(struct state *s, lanes sum[SIDES])
{
	for (unsigned i = 0; i < 4; i++)
		sip_round(s);
	EACH_SIDE(i)
	sum[i] = s->v0[i] ^ s->v1[i] ^ s->v2[i] ^ s->v3[i];
}

INLINE hash(const uint8_t key[16], const struct jt_siphash_texts *texts,
	    struct jt_siphash_sums *sums)
{
	const lanes length = (lanes){0} + (8ull * JT_SIPHASH_WORDS << 56);
	const lanes last[SIDES] = {length, length};
	struct state s;

	begin(&s, key);
	_Pragma("GCC unroll 10") for (unsigned i = 0; i < JT_SIPHASH_WORDS; i++)
		take(&s, (const lanes *)texts->words[i]);
	take(&s, last);
	EACH_SIDE(i)
	s.v2[i] ^= 0xee;
	end(&s, (lanes *)sums->words[0]);
	EACH_SIDE(i)
	s.v1[i] ^= 0xdd;
	end(&s, (lanes *)sums->words[1]);
}

typedef void hasher(const uint8_t key[16], const struct jt_siphash_texts *texts,
		    struct jt_siphash_sums *sums);

static void hash_plain(const uint8_t key[16],
		       const struct jt_siphash_texts *texts,
		       struct jt_siphash_sums *sums)
{
	hash(key, texts, sums);
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static void
hash_avx2(const uint8_t key[16], const struct jt_siphash_texts *texts,
	  struct jt_siphash_sums *sums)
{
	hash(key, texts, sums);
}

__attribute__((target("avx512vl"))) static void
hash_avx512(const uint8_t key[16], const struct jt_siphash_texts *texts,
	    struct jt_siphash_sums *sums)
{
	hash(key, texts, sums);
}
#endif

static hasher *choose(void)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx512vl"))
		return hash_avx512;
	if (__builtin_cpu_supports("avx2"))
		return hash_avx2;
#endif
	return hash_plain;
}

void jt_siphash(const uint8_t key[16], const struct jt_siphash_texts *texts,
		struct jt_siphash_sums *sums)
{
	choose()(key, texts, sums);
}
