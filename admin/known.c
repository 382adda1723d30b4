/* known: see known.h. The index is never more than half full. */
#include "admin/known.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define KEY_BYTES 8u
#define VALUES_MIN 64u
#define INDEX_MIN 128u

int jt_known_init(struct jt_known *k)
{
	memset(k, 0, sizeof(*k));
	randombytes_buf(&k->seed, sizeof(k->seed));
	k->index = calloc(INDEX_MIN, sizeof(*k->index));
	k->index_mask = INDEX_MIN - 1;
	return k->index ? 0 : -ENOMEM;
}

void jt_known_deinit(struct jt_known *k)
{
	free(k->values);
	free(k->index);
	memset(k, 0, sizeof(*k));
}

/* The index entry of that key, or the free one where it belongs. */
static uint32_t *entry(const struct jt_known *k, const uint8_t *digest)
{
	size_t at = XXH3_64bits_withSeed(digest, KEY_BYTES, k->seed) &
		    k->index_mask;

	while (k->index[at] && memcmp(k->values[k->index[at] - 1].digest,
				      digest, KEY_BYTES) != 0)
		at = (at + 1) & k->index_mask;
	return &k->index[at];
}

const struct jt_known_value *
jt_known_find(const struct jt_known *k, const uint8_t digest[JT_DIGEST_BYTES])
{
	uint32_t at = *entry(k, digest);

	return at ? &k->values[at - 1] : NULL;
}

static int grow_values(struct jt_known *k)
{
	size_t n = k->n_max ? 2 * k->n_max : VALUES_MIN;
	struct jt_known_value *values;

	if (n >= UINT32_MAX)
		return -ENOMEM;
	values = reallocarray(k->values, n, sizeof(*values));
	if (!values)
		return -ENOMEM;
	k->values = values;
	k->n_max = n;
	return 0;
}

static int grow_index(struct jt_known *k)
{
	size_t n = 2 * (k->index_mask + 1);
	uint32_t *index = calloc(n, sizeof(*index));

	if (!index)
		return -ENOMEM;
	free(k->index);
	k->index = index;
	k->index_mask = n - 1;
	for (size_t i = 0; i < k->n; i++)
		*entry(k, k->values[i].digest) = (uint32_t)i + 1;
	return 0;
}

/* A place for a value whose key is new; NULL: no memory. */
static struct jt_known_value *make(struct jt_known *k, const uint8_t *digest)
{
	struct jt_known_value *v;

	if (k->n == k->n_max && grow_values(k) != 0)
		return NULL;
	if (2 * (k->n + 1) > k->index_mask && grow_index(k) != 0)
		return NULL;
	v = &k->values[k->n];
	memset(v, 0, sizeof(*v));
	*entry(k, digest) = (uint32_t)++k->n;
	return v;
}

int jt_known_put(struct jt_known *k, const uint8_t digest[JT_DIGEST_BYTES],
		 uint8_t scheme, uint32_t at)
{
	uint32_t there = *entry(k, digest);
	struct jt_known_value *v =
		there ? &k->values[there - 1] : make(k, digest);

	if (!v)
		return -ENOMEM;
	memcpy(v->digest, digest, sizeof(v->digest));
	v->scheme = scheme;
	v->at = at;
	return 0;
}
