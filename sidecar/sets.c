/* sets: see sets.h. */
#include "sidecar/sets.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int jt_sets_scope(struct jt_sets *s, const struct jt_record *r)
{
	const char *name = r->scope.name;
	uint32_t bytes = (uint32_t)strnlen(name, JT_SCOPE_MAX);

	if (r->scope.number != s->n_scopes + 1 ||
	    s->n_scopes == JT_SCOPES_MAX || !jt_scope_ok(name, bytes) ||
	    jt_scope_number(s->maps, (const uint8_t *)name, bytes))
		return -EINVAL;
	jt_scope_put(s->maps, ++s->n_scopes, r->scope.name);
	return 0;
}

/* Does a set name only scopes that there are? */
static bool names_known(const struct jt_sets *s, const uint8_t bits[32])
{
	for (unsigned i = s->n_scopes; i < JT_SCOPES_MAX; i++)
		if (bits[i / 8] >> i % 8 & 1)
			return false;
	return true;
}

int jt_sets_define(struct jt_sets *s, const struct jt_record *r)
{
	if (r->scopes.number != s->n + 1 || s->n == JT_SETS_MAX - 1 ||
	    !names_known(s, r->scopes.bits))
		return -EINVAL;
	jt_table_put_set(s->maps, ++s->n, r->scopes.bits);
	return 0;
}

uint16_t jt_sets_find_scope(const struct jt_sets *s, const char *name,
			    uint16_t *nextp)
{
	*nextp = s->n_scopes < JT_SCOPES_MAX ? (uint16_t)(s->n_scopes + 1) : 0;
	return jt_scope_number(s->maps, (const uint8_t *)name, strlen(name));
}

uint16_t jt_sets_find(const struct jt_sets *s, const uint8_t bits[32],
		      uint16_t *nextp)
{
	*nextp = s->n < JT_SETS_MAX - 1 ? (uint16_t)(s->n + 1) : 0;
	/* the keeper wrote them; nobody else may */
	for (uint32_t i = 1; i <= s->n; i++)
		if (memcmp(&s->maps->sets[i], bits, 32) == 0)
			return (uint16_t)i;
	return 0;
}

bool jt_sets_names(const struct jt_sets *s, uint16_t set, char *out, size_t max)
{
	size_t n = 0;

	out[0] = '\0';
	if (set == 0 || set > s->n)
		return false;
	for (unsigned i = 0; i < s->n_scopes; i++) {
		const uint8_t *name = s->maps->scopes->names[i].name;
		uint32_t bytes =
			(uint32_t)strnlen((const char *)name, JT_SCOPE_BYTES);

		/* relaxed: the keeper's own words */
		if (!(jt_load_relaxed(&s->maps->sets[set].bits[i / 64]) >>
			      i % 64 &
		      1))
			continue;
		if (n + bytes + 2 > max)
			return false;
		n += (size_t)snprintf(out + n, max - n, "%s%.*s", n ? " " : "",
				      (int)bytes, name);
	}
	return true;
}
