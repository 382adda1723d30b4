/* curve: see curve.h. */
#include "bench/curve.h"

void jt_curve_add(struct jt_curve *c, const struct jt_histogram *slice,
		  const struct jt_had *had)
{
	if (jt_had_clean(had) && jt_had_clean(&c->had)) {
		jt_histogram_merge(&c->all, slice);
		c->had = jt_had_both(&c->had, had);
	} else if (jt_had_less(had, &c->had)) {
		c->all = *slice;
		c->had = *had;
	}
}
