/*
 * scope: see scope.h.
 *
 * Names stand in order of their numbers; `places` is an index with linear
 * probing, never more than a quarter full, from a name's hash under the
 * segment's seed to its number. Writer: the name's bytes, then its place
 * (release). Reader: the place (acquire), then the bytes, which nobody writes
 * again. A reader who misses a name that is just being added denies.
 */
#include "shm/scope.h"

#include <assert.h>
#include <string.h>
#include <xxhash.h>

static_assert(JT_SCOPE_PLACES >= 4 * JT_SCOPES_MAX, "probing stays short");

static bool is_part(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

bool jt_scope_ok(const char *name, size_t bytes)
{
	size_t part = 0; /* characters of the part at hand */

	if (bytes == 0 || bytes > JT_SCOPE_BYTES)
		return false;
	for (size_t i = 0; i < bytes; i++) {
		if (name[i] == '*' && part == 0 && i + 1 == bytes)
			return true;
		if (name[i] == ':' ? part == 0 : !is_part(name[i]))
			return false;
		part = name[i] == ':' ? 0 : part + 1;
	}
	return part > 0;
}

static uint32_t place_of(const struct jt_maps *maps, const uint8_t *name,
			 size_t bytes)
{
	uint64_t hash = XXH3_64bits_withSeed(name, bytes, maps->identity->seed);

	return (uint32_t)hash & (JT_SCOPE_PLACES - 1);
}

static bool is_name(const struct jt_maps *maps, uint16_t number,
		    const uint8_t *name, size_t bytes)
{
	const uint8_t *have = maps->scopes->names[number - 1].name;

	return memcmp(have, name, bytes) == 0 &&
	       (bytes == JT_SCOPE_BYTES || have[bytes] == 0);
}

uint16_t jt_scope_number(const struct jt_maps *maps, const uint8_t *name,
			 size_t bytes)
{
	uint32_t at;

	if (bytes == 0 || bytes > JT_SCOPE_BYTES)
		return 0;
	at = place_of(maps, name, bytes);
	for (uint32_t i = 0; i < JT_SCOPE_PLACES; i++) {
		/* pairs with jt_scope_put() */
		uint16_t number = jt_load_acquire(&maps->scopes->places[at]);

		if (number == 0 || number > JT_SCOPES_MAX)
			return 0;
		if (is_name(maps, number, name, bytes))
			return number;
		at = (at + 1) & (JT_SCOPE_PLACES - 1);
	}
	return 0;
}

static bool has(const struct jt_maps *maps, const struct jt_scope_set *set,
		const uint8_t *name, size_t bytes)
{
	uint16_t number = jt_scope_number(maps, name, bytes);

	if (!number)
		return false;
	/* relaxed: written once, before a slot named the set */
	return jt_load_relaxed(&set->bits[(number - 1) / 64]) >>
		       (number - 1) % 64 &
	       1;
}

bool jt_scope_granted(const struct jt_maps *maps,
		      const struct jt_scope_set *set, const uint8_t *name,
		      size_t bytes)
{
	uint8_t above[JT_SCOPE_BYTES];

	if (!set || bytes == 0 || bytes > JT_SCOPE_BYTES)
		return false;
	if (has(maps, set, name, bytes))
		return true;
	memcpy(above, name, bytes);
	for (size_t i = 0; i < bytes; i++) {
		if (i > 0 && name[i - 1] != ':')
			continue;
		above[i] = '*';
		if (has(maps, set, above, i + 1))
			return true;
		above[i] = name[i];
	}
	return false;
}

static void put(struct jt_maps *maps, uint16_t number,
		const char name[JT_SCOPE_BYTES])
{
	struct jt_identity *id = maps->identity_rw;
	struct jt_scopes *scopes =
		(struct jt_scopes *)((char *)id + id->scopes_off);
	size_t bytes = strnlen(name, JT_SCOPE_BYTES);
	uint32_t at = place_of(maps, (const uint8_t *)name, bytes);

	memcpy(scopes->names[number - 1].name, name, JT_SCOPE_BYTES);
	/* relaxed: one writer reads its own words */
	while (jt_load_relaxed(&scopes->places[at]))
		at = (at + 1) & (JT_SCOPE_PLACES - 1);
	/* pairs with jt_scope_number() */
	jt_store_release(&scopes->places[at], number);
	jt_store_relaxed(&id->scopes, number);
}

void jt_scope_put(struct jt_maps *maps, uint16_t number,
		  const char name[JT_SCOPE_BYTES])
{
	assert(number > 0 && number <= JT_SCOPES_MAX);
	for (struct jt_maps *m = maps; m; m = m->twin)
		put(m, number, name);
}
