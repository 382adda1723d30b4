/*
 * siphash: the function that libsodium and its authors have, in every lane.
 *
 * The source itself stands here once more, under another name: so each of its
 * compilations is tried that this processor can run, not only the chosen one.
 */
#define jt_siphash jt_siphash_again
#include "shm/siphash.c" /* NOLINT: see above */
#undef jt_siphash

#include "tests/help_table.h"
#include <criterion/criterion.h>
#include <sodium.h>

#define BYTES (8 * JT_SIPHASH_WORDS)

void jt_siphash(const uint8_t key[16], const struct jt_siphash_texts *texts,
		struct jt_siphash_sums *sums);

struct variant {
	const char *name;
	hasher *hash;
};

/* Those that run here; ends with a nameless one. */
static const struct variant *variants(void)
{
	static struct variant all[6];
	unsigned n = 0;

	all[n++] = (struct variant){"the linked one", jt_siphash};
	all[n++] = (struct variant){"the chosen one", jt_siphash_again};
	all[n++] = (struct variant){"plain", hash_plain};
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx2"))
		all[n++] = (struct variant){"AVX2", hash_avx2};
	if (__builtin_cpu_supports("avx512vl"))
		all[n++] = (struct variant){"AVX-512VL", hash_avx512};
#endif
	all[n] = (struct variant){NULL, NULL};
	return all;
}

static void start(void)
{
	cr_assert(sodium_init() >= 0);
}

TestSuite(siphash, .init = start);

static void put_text(struct jt_siphash_texts *texts, unsigned lane,
		     const uint8_t text[BYTES])
{
	for (unsigned i = 0; i < JT_SIPHASH_WORDS; i++)
		memcpy(&texts->words[i][lane], text + 8 * i, 8);
}

static void get_sum(const struct jt_siphash_sums *sums, unsigned lane,
		    uint8_t sum[16])
{
	memcpy(sum, &sums->words[0][lane], 8);
	memcpy(sum + 8, &sums->words[1][lane], 8);
}

static void expect_sum(const struct variant *v, unsigned lane,
		       const struct jt_siphash_sums *sums,
		       const uint8_t text[BYTES], const uint8_t key[16])
{
	uint8_t want[16], got[16];

	crypto_shorthash_siphashx24(want, text, BYTES, key);
	get_sum(sums, lane, got);
	cr_assert_arr_eq(got, want, sizeof(want), "%s, lane %u", v->name, lane);
}

/* Eight texts under KEY, by every variant, against libsodium. */
static void expect_all(const uint8_t key[16],
		       const uint8_t text[JT_SIPHASH_LANES][BYTES])
{
	struct jt_siphash_texts texts;
	struct jt_siphash_sums sums;

	for (unsigned k = 0; k < JT_SIPHASH_LANES; k++)
		put_text(&texts, k, text[k]);
	for (const struct variant *v = variants(); v->name; v++) {
		memset(&sums, 0x5a, sizeof(sums));
		v->hash(key, &texts, &sums);
		for (unsigned k = 0; k < JT_SIPHASH_LANES; k++)
			expect_sum(v, k, &sums, text[k], key);
	}
}

static void fill(uint8_t *at, size_t n, uint64_t *seed)
{
	while (n--)
		*at++ = (uint8_t)(help_random(seed) >> 32);
}

Test(siphash, equals_libsodium_in_every_lane_of_every_variant)
{
	uint8_t text[JT_SIPHASH_LANES][BYTES], key[16];
	uint64_t seed = 21;

	for (unsigned i = 0; i < 20000; i++) {
		fill(key, sizeof(key), &seed);
		fill(text[0], sizeof(text), &seed);
		expect_all(key, (const uint8_t(*)[BYTES])text);
	}
}

/* Carries, rotations and the length's byte, where random bits seldom are. */
Test(siphash, equals_libsodium_at_the_extremes)
{
	static const uint8_t bytes[] = {0x00, 0xff, 0x80, 0x7f, 0x01, 0x50};
	uint8_t text[JT_SIPHASH_LANES][BYTES], key[16];

	for (unsigned i = 0; i < sizeof(bytes); i++) {
		memset(key, bytes[i], sizeof(key));
		for (unsigned k = 0; k < JT_SIPHASH_LANES; k++)
			memset(text[k], bytes[(i + k) % sizeof(bytes)], BYTES);
		expect_all(key, (const uint8_t(*)[BYTES])text);
	}
}

/* Key 00 01 .. 0f, text 00 01 .. 4f, as counted out in another language by a
 * program that the authors' published vectors (up to 63 bytes) agree with. */
Test(siphash, known_answer)
{
	static const uint8_t want[16] = {0xd2, 0xc7, 0x6a, 0xe1, 0x7a, 0x43,
					 0x70, 0xf8, 0x58, 0xfb, 0xa4, 0x79,
					 0x5a, 0x0d, 0xf8, 0x22};
	struct jt_siphash_texts texts;
	struct jt_siphash_sums sums;
	uint8_t text[BYTES], key[16], got[16];

	for (unsigned i = 0; i < BYTES; i++)
		text[i] = (uint8_t)i;
	memcpy(key, text, sizeof(key));
	for (unsigned k = 0; k < JT_SIPHASH_LANES; k++)
		put_text(&texts, k, text);
	for (const struct variant *v = variants(); v->name; v++) {
		v->hash(key, &texts, &sums);
		for (unsigned k = 0; k < JT_SIPHASH_LANES; k++) {
			get_sum(&sums, k, got);
			cr_expect_arr_eq(got, want, 16, "%s, %u", v->name, k);
		}
	}
}

static bool is_same(const struct jt_siphash_sums *a,
		    const struct jt_siphash_sums *b, unsigned lane)
{
	return a->words[0][lane] == b->words[0][lane] &&
	       a->words[1][lane] == b->words[1][lane];
}

/* One bit anywhere changes the sum of its lane and of no other. */
Test(siphash, lanes_know_nothing_of_each_other)
{
	struct jt_siphash_texts texts;
	struct jt_siphash_sums before, after;
	uint8_t key[16];
	uint64_t seed = 22;

	fill(key, sizeof(key), &seed);
	fill((uint8_t *)&texts, sizeof(texts), &seed);
	for (const struct variant *v = variants(); v->name; v++) {
		v->hash(key, &texts, &before);
		for (unsigned i = 0; i < 8 * BYTES * JT_SIPHASH_LANES; i++) {
			unsigned lane = i % JT_SIPHASH_LANES;
			uint64_t bit = 1ull << (i / JT_SIPHASH_LANES) % 64;
			unsigned word = i / JT_SIPHASH_LANES / 64;

			texts.words[word][lane] ^= bit;
			v->hash(key, &texts, &after);
			texts.words[word][lane] ^= bit;
			for (unsigned k = 0; k < JT_SIPHASH_LANES; k++)
				cr_assert_eq(is_same(&before, &after, k),
					     k != lane, "%s, bit %u", v->name,
					     i);
		}
	}
}

Test(siphash, every_bit_of_the_key_matters)
{
	struct jt_siphash_texts texts = {0};
	struct jt_siphash_sums before, after;
	uint8_t key[16] = {0};

	for (const struct variant *v = variants(); v->name; v++) {
		v->hash(key, &texts, &before);
		for (unsigned i = 0; i < 128; i++) {
			key[i / 8] ^= (uint8_t)(1u << i % 8);
			v->hash(key, &texts, &after);
			key[i / 8] ^= (uint8_t)(1u << i % 8);
			for (unsigned k = 0; k < JT_SIPHASH_LANES; k++)
				cr_assert_neq(before.words[0][k],
					      after.words[0][k]);
		}
	}
}

Test(siphash, texts_and_key_are_left_alone)
{
	struct jt_siphash_texts texts, copy;
	struct jt_siphash_sums sums;
	uint8_t key[16], key_copy[16];
	uint64_t seed = 23;

	fill(key, sizeof(key), &seed);
	fill((uint8_t *)&texts, sizeof(texts), &seed);
	memcpy(key_copy, key, sizeof(key));
	memcpy(&copy, &texts, sizeof(copy));
	for (const struct variant *v = variants(); v->name; v++) {
		v->hash(key, &texts, &sums);
		cr_expect_arr_eq(key, key_copy, sizeof(key));
		cr_expect_arr_eq(&texts, &copy, sizeof(copy));
	}
}
