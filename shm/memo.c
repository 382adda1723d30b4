/*
 * memo: see memo.h for what it is and why it is safe.
 *
 * A line is 64 bytes: four tags, newest first. Learning shifts the others down
 * and drops the last, so four tokens that share a line cost no bookkeeping.
 * All-zero memory is a valid empty memo: an all-zero tag is as unlikely to be
 * met as any other forged one (2^-128).
 */
#include "shm/memo.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#define TAGS 4u

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
