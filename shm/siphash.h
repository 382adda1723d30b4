/*
 * siphash: SipHash-2-4 with 128 bits of output, of many short texts at once.
 *
 * One SipHash is a chain of sums and rotations in which each waits for the one
 * before; a processor has room for several such chains side by side. So eight
 * texts of one length are hashed in the lanes of vectors, in hardly more time
 * than one. The same function as libsodium's crypto_shorthash_siphashx24().
 * Pure.
 *
 * Source: Aumasson, Bernstein: SipHash: a fast short-input PRF (2012); the
 * 128-bit output is the authors' reference code's.
 */
#ifndef JT_SHM_SIPHASH_H
#define JT_SHM_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

#define JT_SIPHASH_LANES 8u
#define JT_SIPHASH_WORDS 10u /* of a text: 80 bytes, always */

/* texts[i][k]: word i (little-endian) of text k. */
struct jt_siphash_texts {
	_Alignas(64) uint64_t words[JT_SIPHASH_WORDS][JT_SIPHASH_LANES];
};

/* The 16 bytes of text k: sums[0][k], sums[1][k]. */
struct jt_siphash_sums {
	_Alignas(64) uint64_t words[2][JT_SIPHASH_LANES];
};

void jt_siphash(const uint8_t key[16], const struct jt_siphash_texts *texts,
		struct jt_siphash_sums *sums);

#endif
