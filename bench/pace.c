/* pace: see pace.h. */
#include "bench/pace.h"

void jt_pace_init(struct jt_pace *p, uint64_t start_ns, double per_s,
		  double each)
{
	p->start_ns = start_ns;
	p->every_ns = each * 1e9 / per_s;
}

uint64_t jt_pace_due(const struct jt_pace *p, uint64_t now_ns)
{
	if (now_ns < p->start_ns)
		return 0;
	return 1 + (uint64_t)((double)(now_ns - p->start_ns) / p->every_ns);
}

uint64_t jt_pace_wait_ns(const struct jt_pace *p, uint64_t done,
			 uint64_t now_ns)
{
	uint64_t at_ns = p->start_ns + (uint64_t)((double)done * p->every_ns);

	return at_ns > now_ns ? at_ns - now_ns : 0;
}
