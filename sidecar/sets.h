/*
 * sets: scopes and combinations of them, by the journal's numbers.
 *
 * Numbers rise by one and keep their meaning; the table has the same ones.
 * Keeper only.
 */
#ifndef JT_SIDECAR_SETS_H
#define JT_SIDECAR_SETS_H

#include "admin/record.h"
#include "shm/scope.h"
#include "shm/table.h"

struct jt_sets {
	struct jt_maps *maps;
	uint16_t n_scopes, n; /* highest numbers given */
};

/* A SCOPE or SCOPES record. 0, or -EINVAL: not what may come next. */
int jt_sets_scope(struct jt_sets *s, const struct jt_record *r);
int jt_sets_define(struct jt_sets *s, const struct jt_record *r);

/* Numbers, 0: none; *NEXTP the number that a new one gets, 0: no more. */
uint16_t jt_sets_find_scope(const struct jt_sets *s, const char *name,
			    uint16_t *nextp);
uint16_t jt_sets_find(const struct jt_sets *s, const uint8_t bits[32],
		      uint16_t *nextp);

/* Names of a set, blanks between; false: too long for MAX or no such set. */
bool jt_sets_names(const struct jt_sets *s, uint16_t set, char *out,
		   size_t max);

#endif
