/*
 * scope: what a token may do, by name.
 *
 * A name is parts of [A-Za-z0-9._-] with colons between, 64 bytes at most,
 * like `orders:read`. A last part `*` grants everything below: `orders:*`
 * grants `orders:read` and `orders:read:own`, not `orders`; `*` grants all.
 *
 * Names have numbers (1..256), a token has a set of numbers. A request names
 * scopes by text; whether a set grants one costs a short hash for the name and
 * one for each of its colons. Any process asks, the keeper alone adds.
 */
#ifndef JT_SHM_SCOPE_H
#define JT_SHM_SCOPE_H

#include "shm/segment.h"

/* Is that a name that a token can have? With or without `*` at its end. */
bool jt_scope_ok(const char *name, size_t bytes);

/* Number of a name, 0: none. */
uint16_t jt_scope_number(const struct jt_maps *maps, const uint8_t *name,
			 size_t bytes);

/* Does SET, NULL for none, grant that? NAME may be any bytes. */
bool jt_scope_granted(const struct jt_maps *maps,
		      const struct jt_scope_set *set, const uint8_t *name,
		      size_t bytes);

/* The keeper: add NUMBER, which is one more than the last. */
void jt_scope_put(struct jt_maps *maps, uint16_t number,
		  const char name[JT_SCOPE_BYTES]);

#endif
