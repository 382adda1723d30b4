/*
 * blake2b: BLAKE2b-256 of eight texts of 64 bytes at once.
 *
 * As in siphash.h, and for the same reason: a step of one hash waits for the
 * one before, those of eight do not wait for each other. The same function as
 * libsodium's crypto_generichash_blake2b_salt_personal() without key and salt.
 * Pure.
 *
 * Source: Aumasson, Neves, Wilcox-O'Hearn, Winnerlein: BLAKE2 (2013); RFC 7693.
 */
#ifndef JT_SHM_BLAKE2B_H
#define JT_SHM_BLAKE2B_H

#include <stdbool.h>
#include <stdint.h>

#define JT_BLAKE2B_LANES 8u
#define JT_BLAKE2B_WORDS 8u /* of a text: 64 bytes, always */

/* words[i][k]: word i (little-endian) of text k. */
struct jt_blake2b_texts {
	_Alignas(64) uint64_t words[JT_BLAKE2B_WORDS][JT_BLAKE2B_LANES];
};

/* The 32 bytes of text k: words[0][k] to words[3][k]. */
struct jt_blake2b_digests {
	_Alignas(64) uint64_t words[4][JT_BLAKE2B_LANES];
};

void jt_blake2b(const uint8_t personal[16],
		const struct jt_blake2b_texts *texts,
		struct jt_blake2b_digests *digests);

/* Has this processor vectors that make eight much cheaper than one by one? */
bool jt_blake2b_is_fast(void);

#endif
