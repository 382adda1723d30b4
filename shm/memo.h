/*
 * memo: a process's private short cut past the long hash.
 *
 * Remembers "these 64 bytes were seen to have that digest" as a 16-byte tag:
 * SipHash-2-4-128 under the process's own random key of (token, first half of
 * the digest). Written only after BLAKE2b matched; compared in constant time.
 * A miss costs the long hash, never a wrong answer: to be taken for another
 * token means forging a 128-bit MAC. State, expiry and limits are never here.
 *
 * Private memory of one process, never shared or handed on. Not thread-safe.
 * Lines of four tags, chosen by the slot's key; the oldest of a line goes.
 */
#ifndef JT_SHM_MEMO_H
#define JT_SHM_MEMO_H

#include "shm/token.h"

struct jt_memo_tag {
	uint8_t bytes[16];
};

struct jt_memo_line {
	struct jt_memo_tag tags[4];
};

struct jt_memo {
	struct jt_memo_line *lines;
	uint64_t n_lines;
	bool near; /* its lines stay in a processor's cache */
	uint8_t key[16];
};

/* Bytes that a memo for this many tokens wants. */
size_t jt_memo_bytes(uint64_t capacity);

/* MEMORY: zeroed, 64-byte aligned, private, at least one line. */
void jt_memo_init(struct jt_memo *memo, void *memory, size_t bytes);
void jt_memo_deinit(struct jt_memo *memo);

struct jt_memo_line *jt_memo_line(const struct jt_memo *memo, uint64_t key);

void jt_memo_tag(const struct jt_memo *memo,
		 const uint8_t value[JT_TOKEN_BYTES],
		 const uint8_t digest[JT_VALUE_DIGEST],
		 struct jt_memo_tag *tagp);
/*
 * The tags of N values under their digests, side by side: for several it takes
 * little more than for one. N: at most JT_MEMO_TAGS.
 */
#define JT_MEMO_TAGS 8u
struct jt_memo_text {
	const uint8_t *value;  /* JT_TOKEN_BYTES */
	const uint8_t *digest; /* its first 16 bytes are read */
};
void jt_memo_tags(const struct jt_memo *memo, const struct jt_memo_text *texts,
		  size_t n, struct jt_memo_tag *tags);

bool jt_memo_knows(const struct jt_memo_line *line,
		   const struct jt_memo_tag *tag);
void jt_memo_learn(struct jt_memo_line *line, const struct jt_memo_tag *tag);

#endif
