/*
 * meter: see meter.h.
 *
 * Readers and writers are the same: every worker that meets the token. The
 * rate word is the only one that decides; its whole history is a chain of
 * successful compare-and-swaps, each from TAT to max(TAT, now) + cost x
 * interval with the result at most now + burst x interval. `now` was read
 * before the loop and may be behind the other process's: that can only deny
 * more. A process killed anywhere leaves the old or the new word.
 *
 * The loop is bounded by the limit itself: it goes round when somebody else was
 * admitted meanwhile, which brings the TAT nearer to refusal, or when a weak
 * swap failed for no reason (arm64). A hostile neighbour could keep it going,
 * so it also ends after TRIES, denying.
 *
 * uses, refusals and last_use_s are statistics; they decide nothing.
 */
#include "shm/meter.h"

#define TRIES 1000u
#define NS_PER_MS 1000000ull

bool jt_meter_limits_ok(uint64_t interval_ns, uint64_t burst)
{
	return interval_ns >= 1 && burst >= 1 &&
	       burst <= JT_METER_DEBT_MAX_NS / interval_ns;
}

uint64_t jt_meter_interval_ns(uint64_t rate, uint64_t period_ns)
{
	return period_ns / rate + (period_ns % rate != 0);
}

static uint64_t ms_up(uint64_t ns)
{
	return ns / NS_PER_MS + (ns % NS_PER_MS != 0);
}

/* How far the theoretical arrival is ahead of now, at most the whole debt. */
static uint64_t debt_of(uint64_t tat, uint64_t now_ns, uint64_t full)
{
	uint64_t debt = tat > now_ns ? tat - now_ns : 0;

	return debt < full ? debt : full;
}

static enum jt_meter_answer answer(uint64_t interval_ns, uint64_t full,
				   uint64_t debt, uint64_t wait_ns,
				   enum jt_meter_answer how,
				   struct jt_meter_state *statep)
{
	statep->remaining = (full - debt) / interval_ns;
	statep->reset_ms = ms_up(debt);
	statep->retry_after_ms = ms_up(wait_ns);
	return how;
}

enum jt_meter_answer jt_meter_take(struct jt_meter *meter, uint64_t interval_ns,
				   uint64_t burst, uint64_t cost,
				   uint64_t now_ns,
				   struct jt_meter_state *statep)
{
	uint64_t full = interval_ns * burst;
	/* relaxed: the word stands alone; the swap below orders itself */
	uint64_t tat = jt_load_relaxed(&meter->rate);
	uint64_t debt = debt_of(tat, now_ns, full);
	uint64_t want, wait_ns;

	if (cost == 0)
		return answer(interval_ns, full, debt, 0, JT_METER_ADMITTED,
			      statep);
	if (cost > burst)
		return answer(interval_ns, full, debt, 0, JT_METER_NEVER,
			      statep);
	want = cost * interval_ns;
	for (unsigned try = 0; try < TRIES && debt + want <= full; try++) {
		/* pairs with the same swap in any other process */
		if (jt_swap_if(&meter->rate, &tat, now_ns + debt + want))
			return answer(interval_ns, full, debt + want, 0,
				      JT_METER_ADMITTED, statep);
		debt = debt_of(tat, now_ns, full);
	}
	wait_ns = debt + want > full ? debt + want - full : interval_ns;
	return answer(interval_ns, full, debt, wait_ns, JT_METER_REFUSED,
		      statep);
}

void jt_meter_used(struct jt_meter *meter, uint64_t cost, uint64_t now_s)
{
	/* relaxed: statistics, each word on its own */
	jt_add_relaxed(&meter->uses, cost);
	if (jt_load_relaxed(&meter->last_use_s) != now_s)
		jt_store_relaxed(&meter->last_use_s, now_s);
}

void jt_meter_refused(struct jt_meter *meter)
{
	jt_add_relaxed(&meter->refusals, 1); /* relaxed: a statistic */
}
