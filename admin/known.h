/*
 * known: values of other systems, found by digest.
 *
 * A table finds such a value by the first 8 bytes of its digest, and its id is
 * made of them: so no two values may share these, and here they are the key.
 * Keys are hashed under a random seed, since whoever wrote the digests may have
 * chosen them. One process, private memory, about 50 bytes a value.
 */
#ifndef JT_ADMIN_KNOWN_H
#define JT_ADMIN_KNOWN_H

#include "admin/record.h"

struct jt_known_value {
	uint8_t digest[JT_DIGEST_BYTES];
	uint32_t at; /* the caller's */
	uint8_t scheme;
};

struct jt_known {
	struct jt_known_value *values; /* in the order of put() */
	size_t n, n_max;
	uint32_t *index; /* value + 1 by key, open addressing; 0: free */
	size_t index_mask;
	uint64_t seed;
};

/* 0 or -ENOMEM. */
int jt_known_init(struct jt_known *k);
void jt_known_deinit(struct jt_known *k);

/* The value with the key of DIGEST, be it that digest or not; NULL: none. */
const struct jt_known_value *
jt_known_find(const struct jt_known *k, const uint8_t digest[JT_DIGEST_BYTES]);

/* In the place of one with the same key, if there is one. 0 or -ENOMEM. */
int jt_known_put(struct jt_known *k, const uint8_t digest[JT_DIGEST_BYTES],
		 uint8_t scheme, uint32_t at);

#endif
