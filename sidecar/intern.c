/* intern: see intern.h. Linear probing, doubled at half load. */
#include "sidecar/intern.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define PLACES_MIN 1024u

int jt_intern_init(struct jt_intern *in)
{
	in->used = 0;
	in->n_places = PLACES_MIN;
	in->offsets = calloc(PLACES_MIN, sizeof(*in->offsets));
	return in->offsets ? 0 : -ENOMEM;
}

void jt_intern_deinit(struct jt_intern *in)
{
	free(in->offsets);
	in->offsets = NULL;
}

static uint64_t hash(const void *name, uint32_t bytes)
{
	return XXH3_64bits(name, bytes);
}

/* The place where NAME stands or would stand. */
static uint32_t *place(const struct jt_intern *in, const struct jt_maps *maps,
		       const void *name, uint32_t bytes)
{
	uint64_t i = hash(name, bytes) & (in->n_places - 1);

	for (; in->offsets[i]; i = (i + 1) & (in->n_places - 1)) {
		uint32_t have;
		const uint8_t *at = jt_table_owner(maps, in->offsets[i], &have);

		if (have == bytes && memcmp(at, name, bytes) == 0)
			break;
	}
	return &in->offsets[i];
}

static int grow(struct jt_intern *in, const struct jt_maps *maps)
{
	struct jt_intern wide = {
		.offsets = calloc(in->n_places * 2, sizeof(*in->offsets)),
		.n_places = in->n_places * 2,
		.used = in->used,
	};

	if (!wide.offsets)
		return -ENOMEM;
	for (uint64_t i = 0; i < in->n_places; i++) {
		uint32_t bytes;
		const uint8_t *at;

		if (!in->offsets[i])
			continue;
		at = jt_table_owner(maps, in->offsets[i], &bytes);
		*place(&wide, maps, at, bytes) = in->offsets[i];
	}
	free(in->offsets);
	*in = wide;
	return 0;
}

int jt_intern(struct jt_intern *in, struct jt_maps *maps, const char *name,
	      uint32_t bytes, uint32_t *offsetp)
{
	uint32_t *at;
	int rc;

	*offsetp = 0;
	if (!bytes)
		return 0;
	at = place(in, maps, name, bytes);
	if (!*at) {
		rc = jt_table_put_owner(maps, (const uint8_t *)name, bytes, at);
		if (rc)
			return rc;
		in->used++;
	}
	*offsetp = *at;
	return in->used * 2 > in->n_places ? grow(in, maps) : 0;
}

int jt_intern_adopt(struct jt_intern *in, const struct jt_maps *maps,
		    uint32_t offset)
{
	uint32_t bytes;
	const uint8_t *name = jt_table_owner(maps, offset, &bytes);
	uint32_t *at = place(in, maps, name, bytes);

	if (*at)
		return -EEXIST;
	*at = offset;
	in->used++;
	return in->used * 2 > in->n_places ? grow(in, maps) : 0;
}
