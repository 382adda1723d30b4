/*
 * distinct: different byte strings, numbered from 1 on as they come.
 *
 * For what many rows share and the journal stores once: limits, names of
 * plans, lists of scopes. One process, private memory.
 */
#ifndef JT_ADMIN_DISTINCT_H
#define JT_ADMIN_DISTINCT_H

#include <stddef.h>
#include <stdint.h>

enum {
	JT_DISTINCT_E_MANY = 1
};

struct jt_distinct {
	char *bytes;
	size_t used, bytes_max;
	size_t *ends; /* ends[n]: where string n stops; ends[0] = 0 */
	uint32_t *index;
	uint32_t n, n_max;
};

/* At most N_MAX strings. 0 or -ENOMEM. */
int jt_distinct_init(struct jt_distinct *d, uint32_t n_max);
void jt_distinct_deinit(struct jt_distinct *d);

/* Number of a string, added when new. 0, -ENOMEM or JT_DISTINCT_E_MANY. */
int jt_distinct_put(struct jt_distinct *d, const void *bytes, size_t n,
		    uint32_t *numberp);

/* String NUMBER, valid until the next put. */
const void *jt_distinct_get(const struct jt_distinct *d, uint32_t number,
			    size_t *np);

#endif
