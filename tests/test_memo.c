/* memo: it knows what it learned, for a while, and nothing else. */
#include "shm/memo.h"

#include "tests/help_table.h"
#include <criterion/criterion.h>
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
