/* schedule: see schedule.h. */
#include "bench/schedule.h"

#include "bench/random.h"

#include <assert.h>
#include <math.h>

void jt_schedule_init(struct jt_schedule *s, double per_s, bool fixed,
		      uint64_t seed)
{
	assert(per_s > 0);
	*s = (struct jt_schedule){
		.gap_ns = 1e9 / per_s,
		.fixed = fixed,
		.random = seed,
	};
	jt_schedule_advance(s);
}

void jt_schedule_advance(struct jt_schedule *s)
{
	/* in (0, 1]: its logarithm is finite */
	double u = jt_random_share(&s->random);

	s->at_ns += s->fixed ? s->gap_ns : -log(u) * s->gap_ns;
}
