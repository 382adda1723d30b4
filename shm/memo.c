/*
 * memo: see memo.h for what it is and why it is safe.
 *
 * A line is 64 bytes: four tags, newest first. Learning shifts the others down
 * and drops the last, so four tokens that share a line cost no bookkeeping.
 * All-zero memory is a valid empty memo: an all-zero tag is as unlikely to be
 * met as any other forged one (2^-128).
 */
#include "shm/memo.h"

#include "shm/siphash.h"
#include <assert.h>
#include <sodium.h>
#include <string.h>

#define TAGS 4u
#define LANES_LEAST 3u	      /* fewer are faster one by one */
#define NEAR_BYTES (8u << 20) /* of a last-level cache that others use, too */

static_assert(JT_MEMO_TAGS == JT_SIPHASH_LANES, "side by side");
static_assert(JT_TOKEN_BYTES + 16 == 8 * JT_SIPHASH_WORDS, "all is hashed");
static_assert(sizeof(struct jt_memo_line) == 64, "four tags are one line");

size_t jt_memo_bytes(uint64_t capacity)
{
	/* two places a token: few lines then hold more than their four */
	uint64_t lines = capacity / 2 + 1;

	return (size_t)lines * sizeof(struct jt_memo_line);
}

void jt_memo_init(struct jt_memo *memo, void *memory, size_t bytes)
{
	assert(bytes >= sizeof(struct jt_memo_line));
	assert((uintptr_t)memory % sizeof(struct jt_memo_line) == 0);
	memo->lines = memory;
	memo->n_lines = bytes / sizeof(struct jt_memo_line);
	memo->near = bytes <= NEAR_BYTES;
	randombytes_buf(memo->key, sizeof(memo->key));
}

void jt_memo_deinit(struct jt_memo *memo)
{
	sodium_memzero(memo, sizeof(*memo));
}

struct jt_memo_line *jt_memo_line(const struct jt_memo *memo, uint64_t key)
{
	return &memo->lines[(uint64_t)((unsigned __int128)key * memo->n_lines >>
				       64)];
}

void jt_memo_tag(const struct jt_memo *memo,
		 const uint8_t value[JT_TOKEN_BYTES],
		 const uint8_t digest[JT_VALUE_DIGEST],
		 struct jt_memo_tag *tagp)
{
	uint8_t text[JT_TOKEN_BYTES + 16];

	memcpy(text, value, JT_TOKEN_BYTES);
	memcpy(text + JT_TOKEN_BYTES, digest, 16);
	crypto_shorthash_siphashx24(tagp->bytes, text, sizeof(text), memo->key);
	/* or the value would stay on the stack */
	sodium_memzero(text, sizeof(text));
}

/* Word I of value and digest, one behind the other. */
static uint64_t word_of(const struct jt_memo_text *text, unsigned i)
{
	const uint8_t *at = i < JT_TOKEN_BYTES / 8
				    ? text->value + 8 * i
				    : text->digest + 8 * i - JT_TOKEN_BYTES;
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

void jt_memo_tags(const struct jt_memo *memo, const struct jt_memo_text *texts,
		  size_t n, struct jt_memo_tag *tags)
{
	struct jt_siphash_texts t;
	struct jt_siphash_sums sums;

	assert(n <= JT_MEMO_TAGS);
	if (n < LANES_LEAST) {
		for (size_t k = 0; k < n; k++)
			jt_memo_tag(memo, texts[k].value, texts[k].digest,
				    &tags[k]);
		return;
	}
	/* what is too many repeats the first, and is not looked at */
	for (unsigned k = 0; k < JT_SIPHASH_LANES; k++)
		for (unsigned i = 0; i < JT_SIPHASH_WORDS; i++)
			t.words[i][k] = word_of(&texts[k < n ? k : 0], i);
	jt_siphash(memo->key, &t, &sums);
	sodium_memzero(&t, sizeof(t)); /* or the values would stay there */
	for (size_t k = 0; k < n; k++) {
		memcpy(tags[k].bytes, &sums.words[0][k], 8);
		memcpy(tags[k].bytes + 8, &sums.words[1][k], 8);
	}
}

/* 1 for 0, else 0: by arithmetic, so that time does not tell which. */
static uint64_t is_zero(uint64_t v)
{
	return ~(v | (0 - v)) >> 63;
}

bool jt_memo_knows(const struct jt_memo_line *line,
		   const struct jt_memo_tag *tag)
{
	uint64_t words[TAGS][2], want[2], known = 0;

	memcpy(words, line->tags, sizeof(words));
	memcpy(want, tag->bytes, sizeof(want));
	/* all four are compared to their ends, whichever is it */
	for (unsigned i = 0; i < TAGS; i++)
		known |= is_zero((words[i][0] ^ want[0]) |
				 (words[i][1] ^ want[1]));
	return known;
}

void jt_memo_learn(struct jt_memo_line *line, const struct jt_memo_tag *tag)
{
	memmove(&line->tags[1], &line->tags[0],
		(TAGS - 1) * sizeof(line->tags[0]));
	line->tags[0] = *tag;
}
