/* memo: it knows what it learned, for a while, and nothing else. */
#include "shm/memo.h"

#include "tests/help_table.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static uint8_t value[JT_TOKEN_BYTES], digest[JT_VALUE_DIGEST];
static _Alignas(64) struct jt_memo_line memory[8], other_memory[8];
static struct jt_memo memo;

static void start(void)
{
	cr_assert(sodium_init() >= 0);
	memset(value, 'v', sizeof(value));
	memset(digest, 'd', sizeof(digest));
	jt_memo_init(&memo, memory, sizeof(memory));
}

TestSuite(memo, .init = start);

static struct jt_memo_tag tag_of(const struct jt_memo *m)
{
	struct jt_memo_tag tag;

	jt_memo_tag(m, value, digest, &tag);
	return tag;
}

static bool knows(void)
{
	struct jt_memo_tag tag = tag_of(&memo);

	return jt_memo_knows(&memory[0], &tag);
}

static void learn(void)
{
	struct jt_memo_tag tag = tag_of(&memo);

	jt_memo_learn(&memory[0], &tag);
}

Test(memo, knows_nothing_at_first)
{
	cr_expect_not(knows());
}

Test(memo, knows_what_it_learned)
{
	learn();
	cr_expect(knows());
	cr_expect(knows());
}

Test(memo, does_not_know_a_value_that_differs_anywhere)
{
	learn();
	for (unsigned i = 0; i < sizeof(value); i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			value[i] ^= (uint8_t)(1u << bit);
			cr_expect_not(knows(), "byte %u", i);
			value[i] ^= (uint8_t)(1u << bit);
		}
	}
	cr_expect(knows());
}

Test(memo, does_not_know_another_digest)
{
	learn();
	for (unsigned i = 0; i < 16; i++) {
		digest[i] ^= 0x80;
		cr_expect_not(knows(), "byte %u", i);
		digest[i] ^= 0x80;
	}
}

Test(memo, does_not_know_a_tag_that_is_nearly_right)
{
	struct jt_memo_tag tag = tag_of(&memo);

	learn();
	for (unsigned i = 0; i < 128; i++) {
		tag.bytes[i / 8] ^= (uint8_t)(1u << i % 8);
		cr_expect_not(jt_memo_knows(&memory[0], &tag));
		tag.bytes[i / 8] ^= (uint8_t)(1u << i % 8);
	}
}

/* Also when the rest of the line knows other tags that are as near. */
Test(memo, every_place_of_a_line_compares_all_bits)
{
	struct jt_memo_tag tag = tag_of(&memo), near = tag;

	for (unsigned place = 0; place < 4; place++) {
		for (unsigned i = 0; i < 128; i++) {
			memset(memory, 0, sizeof(memory));
			near.bytes[i / 8] ^= (uint8_t)(1u << i % 8);
			for (unsigned k = 0; k < 4; k++)
				memory[0].tags[k] = near;
			cr_assert_not(jt_memo_knows(&memory[0], &tag), "bit %u",
				      i);
			near.bytes[i / 8] ^= (uint8_t)(1u << i % 8);
			memory[0].tags[place] = tag;
			cr_assert(jt_memo_knows(&memory[0], &tag));
		}
	}
}

/* The halves of a tag in two places are no tag. */
Test(memo, halves_of_a_tag_do_not_add_up)
{
	struct jt_memo_tag tag = tag_of(&memo);

	for (unsigned i = 0; i < 4; i++) {
		for (unsigned k = 0; k < 4; k++) {
			memset(memory, 0, sizeof(memory));
			memcpy(memory[0].tags[i].bytes, tag.bytes, 8);
			memcpy(memory[0].tags[k].bytes + 8, tag.bytes + 8, 8);
			cr_assert_eq(jt_memo_knows(&memory[0], &tag), i == k);
		}
	}
}

/* ---- side by side ---- */

#define MANY JT_MEMO_TAGS

static uint8_t values[MANY][JT_TOKEN_BYTES], digests[MANY][JT_VALUE_DIGEST];

/* N random ones; their texts stand in any order. */
static void draw(struct jt_memo_text texts[MANY], uint64_t *random)
{
	for (unsigned k = 0; k < MANY; k++) {
		for (unsigned i = 0; i < JT_TOKEN_BYTES; i++)
			values[k][i] = (uint8_t)(help_random(random) >> 32);
		for (unsigned i = 0; i < JT_VALUE_DIGEST; i++)
			digests[k][i] = (uint8_t)(help_random(random) >> 32);
		texts[k] = (struct jt_memo_text){values[k], digests[k]};
	}
	/* the same one in two places, now and then */
	if (help_random(random) % 4 == 0)
		texts[help_random(random) % MANY] =
			texts[help_random(random) % MANY];
}

static void expect_as_alone(const struct jt_memo_text *texts, size_t n)
{
	struct jt_memo_tag tags[MANY + 1], alone;

	memset(tags, 0x5a, sizeof(tags));
	jt_memo_tags(&memo, texts, n, tags);
	for (size_t k = 0; k < n; k++) {
		jt_memo_tag(&memo, texts[k].value, texts[k].digest, &alone);
		cr_assert_arr_eq(tags[k].bytes, alone.bytes, 16, "%zu of %zu",
				 k, n);
	}
	for (size_t k = n; k <= MANY; k++)
		for (unsigned i = 0; i < 16; i++)
			cr_assert_eq(tags[k].bytes[i], 0x5a, "one too many");
}

Test(memo, tags_side_by_side_are_those_of_each_alone)
{
	struct jt_memo_text texts[MANY];
	uint64_t random = 31;

	for (unsigned i = 0; i < 2000; i++) {
		draw(texts, &random);
		for (size_t n = 0; n <= MANY; n++)
			expect_as_alone(texts, n);
	}
}

/* Every byte of a value and of half a digest, of whichever of the eight. */
Test(memo, a_bit_changes_the_tag_of_its_own_value_only)
{
	struct jt_memo_tag before[MANY], after[MANY];
	struct jt_memo_text texts[MANY];
	uint64_t random = 32;

	draw(texts, &random);
	for (unsigned k = 0; k < MANY; k++)
		texts[k] = (struct jt_memo_text){values[k], digests[k]};
	for (unsigned at = 0; at < MANY * (JT_TOKEN_BYTES + 16); at++) {
		unsigned k = at % MANY, i = at / MANY;
		uint8_t *byte = i < JT_TOKEN_BYTES
					? &values[k][i]
					: &digests[k][i - JT_TOKEN_BYTES];

		for (size_t n = k + 1; n <= MANY; n++) {
			jt_memo_tags(&memo, texts, n, before);
			*byte ^= 1;
			jt_memo_tags(&memo, texts, n, after);
			*byte ^= 1;
			for (size_t j = 0; j < n; j++)
				cr_assert_eq(
					memcmp(&before[j], &after[j], 16) == 0,
					j != k, "%zu of %zu", j, n);
		}
	}
}

/* What lies behind the last text is not read, nor is a digest's other half. */
Test(memo, tags_read_no_further_than_they_say)
{
	struct jt_memo_tag tags[MANY];

	for (size_t n = 0; n <= MANY; n++) {
		struct jt_memo_text *texts = calloc(n + 1, sizeof(*texts));

		for (size_t k = 0; k < n; k++) {
			uint8_t *v = calloc(1, JT_TOKEN_BYTES);
			uint8_t *d = calloc(1, 16);

			texts[k] = (struct jt_memo_text){v, d};
		}
		jt_memo_tags(&memo, texts, n, tags);
		for (size_t k = 0; k < n; k++) {
			free((void *)(uintptr_t)texts[k].value);
			free((void *)(uintptr_t)texts[k].digest);
		}
		free(texts);
	}
}

Test(memo, more_than_fit_side_by_side_are_a_bug, .signal = SIGABRT)
{
	struct jt_memo_tag tags[MANY + 1];
	struct jt_memo_text texts[MANY + 1];

	for (unsigned k = 0; k <= MANY; k++)
		texts[k] = (struct jt_memo_text){value, digest};
	help_quiet();
	jt_memo_tags(&memo, texts, MANY + 1, tags);
}

Test(memo, oldest_of_a_line_goes)
{
	for (value[0] = 0; value[0] < 5; value[0]++)
		learn();
	value[0] = 0;
	cr_expect_not(knows());
	for (value[0] = 1; value[0] < 5; value[0]++)
		cr_expect(knows(), "%u", value[0]);
}

Test(memo, one_line_does_not_touch_its_neighbours)
{
	struct jt_memo_tag tag;

	for (unsigned i = 0; i < 100; i++) {
		value[1] = (uint8_t)i;
		tag = tag_of(&memo);
		jt_memo_learn(&memory[3], &tag);
	}
	for (unsigned i = 0; i < 8; i++)
		cr_expect_eq(sodium_is_zero((uint8_t *)&memory[i], 64), i != 3);
}

Test(memo, other_process_has_another_key)
{
	struct jt_memo_tag tag, others;
	struct jt_memo other;

	jt_memo_init(&other, other_memory, sizeof(other_memory));
	tag = tag_of(&memo);
	others = tag_of(&other);
	cr_expect_arr_neq(tag.bytes, others.bytes, 16);
	jt_memo_learn(&memory[0], &others);
	cr_expect_not(knows());
}

Test(memo, deinit_forgets_the_key)
{
	jt_memo_deinit(&memo);
	cr_expect(sodium_is_zero(memo.key, sizeof(memo.key)));
}

Test(memo, every_key_has_a_line_within_the_memory)
{
	uint64_t seed = 6;
	bool seen[8] = {false};

	for (unsigned i = 0; i < 1000; i++) {
		struct jt_memo_line *line =
			jt_memo_line(&memo, help_random(&seed));

		cr_assert(line >= memory && line < memory + 8);
		seen[line - memory] = true;
	}
	for (unsigned i = 0; i < 8; i++)
		cr_expect(seen[i], "line %u is never used", i);
	cr_expect_eq(jt_memo_line(&memo, 0), memory);
	cr_expect_eq(jt_memo_line(&memo, UINT64_MAX), memory + 7);
}

Test(memo, bytes_are_whole_lines_and_suffice)
{
	cr_expect_geq(jt_memo_bytes(1), 64);
	cr_expect_geq(jt_memo_bytes(0), 64);
	cr_expect_eq(jt_memo_bytes(12345) % 64, 0);
	cr_expect_geq(jt_memo_bytes(1000000), 16u * 1000000u);
	cr_expect_leq(jt_memo_bytes(1000000), 64u * 1000000u);
}
