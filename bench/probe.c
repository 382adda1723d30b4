/* probe: see probe.h. */
#include "bench/probe.h"

void jt_probe_init(struct jt_probe *p)
{
	p->n_valid = p->n_refused = 0;
	p->first_refused_ns = 0;
}

void jt_probe_add(struct jt_probe *p, uint64_t asked_ns, uint64_t answered_ns,
		  bool valid)
{
	if (valid) {
		p->valid_ns[p->n_valid++ % JT_PROBE_KEPT] = asked_ns;
		return;
	}
	if (!p->n_refused++)
		p->first_refused_ns = answered_ns;
}

uint64_t jt_probe_late(const struct jt_probe *p, uint64_t since_ns)
{
	uint64_t kept = p->n_valid < JT_PROBE_KEPT ? p->n_valid : JT_PROBE_KEPT;
	uint64_t late = 0;

	for (uint64_t i = 0; i < kept; i++)
		late += p->valid_ns[i] > since_ns;
	return late;
}
