/* distinct: see distinct.h. Open addressing, never more than half full. */
#include "admin/distinct.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define BYTES_MIN 4096u

/* A power of two, at least twice N_MAX. */
static size_t places(const struct jt_distinct *d)
{
	size_t n = 16;

	while (n < 2 * (size_t)d->n_max)
		n *= 2;
	return n;
}

int jt_distinct_init(struct jt_distinct *d, uint32_t n_max)
{
	memset(d, 0, sizeof(*d));
	d->n_max = n_max;
	d->ends = calloc(n_max + 1, sizeof(*d->ends));
	d->index = calloc(places(d), sizeof(*d->index));
	if (d->ends && d->index)
		return 0;
	jt_distinct_deinit(d);
	return -ENOMEM;
}

void jt_distinct_deinit(struct jt_distinct *d)
{
	free(d->bytes);
	free(d->ends);
	free(d->index);
	memset(d, 0, sizeof(*d));
}

const void *jt_distinct_get(const struct jt_distinct *d, uint32_t number,
			    size_t *np)
{
	assert(number > 0 && number <= d->n);
	*np = d->ends[number] - d->ends[number - 1];
	return d->bytes + d->ends[number - 1];
}

static int grow(struct jt_distinct *d, size_t n)
{
	size_t max = d->bytes_max ? d->bytes_max : BYTES_MIN;
	char *bytes;

	while (max - d->used < n)
		max *= 2;
	if (max == d->bytes_max)
		return 0;
	bytes = realloc(d->bytes, max);
	if (!bytes)
		return -ENOMEM;
	d->bytes = bytes;
	d->bytes_max = max;
	return 0;
}

int jt_distinct_put(struct jt_distinct *d, const void *bytes, size_t n,
		    uint32_t *numberp)
{
	size_t mask = places(d) - 1, at = XXH3_64bits(bytes, n) & mask;

	for (; d->index[at]; at = (at + 1) & mask) {
		size_t have;
		const void *other = jt_distinct_get(d, d->index[at], &have);

		*numberp = d->index[at];
		if (have == n && memcmp(other, bytes, n) == 0)
			return 0;
	}
	if (d->n == d->n_max)
		return JT_DISTINCT_E_MANY;
	if (grow(d, n) < 0)
		return -ENOMEM;
	memcpy(d->bytes + d->used, bytes, n);
	d->used += n;
	d->ends[++d->n] = d->used;
	d->index[at] = *numberp = d->n;
	return 0;
}
