/*
 * meter: rate and usage of one token, any process, lock-free.
 *
 * The rate is GCRA (generic cell rate algorithm, ITU-T I.371): one word holds
 * the theoretical arrival time (TAT) of the next request, nanoseconds of
 * CLOCK_BOOTTIME, 0 = idle. Exact across processes: one compare-and-swap admits
 * one request, and in any span t at most burst + t / interval are admitted.
 * A refusal writes nothing to the rate word. Time that stands still or steps
 * back denies, never grants.
 *
 * Meter memory is written by every worker and so is not trusted: whatever the
 * word holds, no answer is out of range and no more than a burst is admitted at
 * once. A TAT further ahead than any debt denies until that time has come.
 */
#ifndef JT_SHM_METER_H
#define JT_SHM_METER_H

#include "shm/layout.h"

/* burst x interval may not exceed this (146 years): no sum can overflow. */
#define JT_METER_DEBT_MAX_NS (1ull << 62)

enum jt_meter_answer {
	JT_METER_ADMITTED,
	JT_METER_REFUSED,
	JT_METER_NEVER, /* cost above the burst */
};

struct jt_meter_state {
	uint64_t remaining;	 /* requests left at once, after this one */
	uint64_t reset_ms;	 /* until idle, rounded up */
	uint64_t retry_after_ms; /* until this cost fits, rounded up */
};

/* Are these limits ones that the arithmetic holds for? */
bool jt_meter_limits_ok(uint64_t interval_ns, uint64_t burst);

/* Rate N per span as time between requests, rounded up: rounding denies. */
uint64_t jt_meter_interval_ns(uint64_t rate, uint64_t period_ns);

/*
 * Take COST requests at NOW_NS, or look only with COST 0. INTERVAL_NS >= 1 and
 * limits as checked above.
 */
enum jt_meter_answer jt_meter_take(struct jt_meter *meter, uint64_t interval_ns,
				   uint64_t burst, uint64_t cost,
				   uint64_t now_ns,
				   struct jt_meter_state *statep);

/* Count an admitted request of COST, or a refusal. */
void jt_meter_used(struct jt_meter *meter, uint64_t cost, uint64_t now_s);
void jt_meter_refused(struct jt_meter *meter);

#endif
