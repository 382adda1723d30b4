/*
 * blake2b: the function that libsodium and its authors have, in every lane.
 *
 * The source itself stands here once more, under other names: so each of its
 * compilations is tried that this processor can run, not only the chosen one.
 */
#define jt_blake2b jt_blake2b_again
#define jt_blake2b_is_fast jt_blake2b_is_fast_again
#include "shm/blake2b.c" /* NOLINT: see above */
#undef jt_blake2b
#undef jt_blake2b_is_fast

#include "tests/help_table.h"
#include <criterion/criterion.h>
#include <sodium.h>

void jt_blake2b(const uint8_t personal[16],
		const struct jt_blake2b_texts *texts,
		struct jt_blake2b_digests *digests);

struct variant {
	const char *name;
	hasher *hash;
};

/* Those that run here; ends with a nameless one. */
static const struct variant *variants(void)
{
	static struct variant all[6];
	unsigned n = 0;

	all[n++] = (struct variant){"the linked one", jt_blake2b};
	all[n++] = (struct variant){"the chosen one", jt_blake2b_again};
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

static void begin(void)
{
	cr_assert(sodium_init() >= 0);
}

TestSuite(blake2b, .init = begin);

static void put_text(struct jt_blake2b_texts *texts, unsigned lane,
		     const uint8_t text[BYTES])
{
	for (unsigned i = 0; i < JT_BLAKE2B_WORDS; i++)
		memcpy(&texts->words[i][lane], text + 8 * i, 8);
}

static void get_digest(const struct jt_blake2b_digests *digests, unsigned lane,
		       uint8_t digest[32])
{
	for (unsigned i = 0; i < 4; i++)
		memcpy(digest + 8 * i, &digests->words[i][lane], 8);
}

/* Eight texts, by every variant, against libsodium. */
static void expect_all(const uint8_t personal[16],
		       const uint8_t text[JT_BLAKE2B_LANES][BYTES])
{
	struct jt_blake2b_digests digests;
	struct jt_blake2b_texts texts;
	uint8_t want[32], got[32];

	for (unsigned k = 0; k < JT_BLAKE2B_LANES; k++)
		put_text(&texts, k, text[k]);
	for (const struct variant *v = variants(); v->name; v++) {
		memset(&digests, 0x5a, sizeof(digests));
		v->hash(personal, &texts, &digests);
		for (unsigned k = 0; k < JT_BLAKE2B_LANES; k++) {
			crypto_generichash_blake2b_salt_personal(
				want, 32, text[k], BYTES, NULL, 0, NULL,
				personal);
			get_digest(&digests, k, got);
			cr_assert_arr_eq(got, want, 32, "%s, lane %u", v->name,
					 k);
		}
	}
}

static void fill(void *at, size_t n, uint64_t *seed)
{
	uint8_t *bytes = at;

	while (n--)
		*bytes++ = (uint8_t)(help_random(seed) >> 32);
}

Test(blake2b, equals_libsodium_in_every_lane_of_every_variant)
{
	uint8_t text[JT_BLAKE2B_LANES][BYTES], personal[16];
	uint64_t seed = 31;

	for (unsigned i = 0; i < 20000; i++) {
		fill(personal, sizeof(personal), &seed);
		fill(text, sizeof(text), &seed);
		expect_all(personal, (const uint8_t(*)[BYTES])text);
	}
}

/* Carries and rotations where random bits seldom are. */
Test(blake2b, equals_libsodium_at_the_extremes)
{
	static const uint8_t bytes[] = {0x00, 0xff, 0x80, 0x7f, 0x01, 0x50};
	uint8_t text[JT_BLAKE2B_LANES][BYTES], personal[16];

	for (unsigned i = 0; i < sizeof(bytes); i++) {
		memset(personal, bytes[i], sizeof(personal));
		for (unsigned k = 0; k < JT_BLAKE2B_LANES; k++)
			memset(text[k], bytes[(i + k) % sizeof(bytes)], BYTES);
		expect_all(personal, (const uint8_t(*)[BYTES])text);
	}
}

/* Text 00 01 .. 3f, person `jeton-token-v1`, as Python's hashlib has it. */
Test(blake2b, known_answer)
{
	static const uint8_t want[32] = {
		0x41, 0xd0, 0xff, 0xd6, 0x09, 0x22, 0x59, 0x8b,
		0xc8, 0x70, 0x65, 0xe9, 0x7f, 0xee, 0xd2, 0x47,
		0x0d, 0x6b, 0x26, 0x6e, 0x2f, 0xbd, 0x43, 0x0c,
		0x68, 0xb9, 0x3f, 0x10, 0x8e, 0x85, 0x24, 0xc5};
	static const uint8_t personal[16] = "jeton-token-v1";
	struct jt_blake2b_digests digests;
	struct jt_blake2b_texts texts;
	uint8_t text[BYTES], got[32];

	for (unsigned i = 0; i < BYTES; i++)
		text[i] = (uint8_t)i;
	for (unsigned k = 0; k < JT_BLAKE2B_LANES; k++)
		put_text(&texts, k, text);
	for (const struct variant *v = variants(); v->name; v++) {
		v->hash(personal, &texts, &digests);
		for (unsigned k = 0; k < JT_BLAKE2B_LANES; k++) {
			get_digest(&digests, k, got);
			cr_expect_arr_eq(got, want, 32, "%s, %u", v->name, k);
		}
	}
}

static bool is_same(const struct jt_blake2b_digests *a,
		    const struct jt_blake2b_digests *b, unsigned lane)
{
	for (unsigned i = 0; i < 4; i++)
		if (a->words[i][lane] != b->words[i][lane])
			return false;
	return true;
}

/* One bit anywhere changes the digest of its lane and of no other. */
Test(blake2b, lanes_know_nothing_of_each_other)
{
	struct jt_blake2b_digests before, after;
	struct jt_blake2b_texts texts;
	uint8_t personal[16] = "x";
	uint64_t seed = 32;

	fill(&texts, sizeof(texts), &seed);
	for (const struct variant *v = variants(); v->name; v++) {
		v->hash(personal, &texts, &before);
		for (unsigned i = 0; i < 8 * BYTES * JT_BLAKE2B_LANES; i++) {
			unsigned lane = i % JT_BLAKE2B_LANES;
			uint64_t bit = 1ull << (i / JT_BLAKE2B_LANES) % 64;
			unsigned word = i / JT_BLAKE2B_LANES / 64;

			texts.words[word][lane] ^= bit;
			v->hash(personal, &texts, &after);
			texts.words[word][lane] ^= bit;
			for (unsigned k = 0; k < JT_BLAKE2B_LANES; k++)
				cr_assert_eq(is_same(&before, &after, k),
					     k != lane, "%s, bit %u", v->name,
					     i);
		}
	}
}
