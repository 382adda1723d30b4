/*
 * meter: see meter.h.
 *
 *   byte 0  rate   TAT, ns of the boot clock                            64
 *   byte 8  quota  start of the window, minutes since 1970 27 | count   37
 *
 * Readers and writers are the same: every worker that meets the token. These
 * two words are the only ones that decide; their history is a chain of
 * successful compare-and-swaps, each
 *
 *   rate   from TAT to max(TAT, now) + cost x interval, if that is at most
 *          now + burst x interval
 *   quota  from {start, count} to {later start, count or 0, + cost}, if that
 *          count is at most the quota; from a start too far ahead to the
 *          present one
 *
 * or both at once. `now` was read before the loop and may be behind the other
 * process's: that can only deny more. A process killed anywhere leaves the old
 * or the new words, never one of each.
 *
 * Width. A token with one limit swaps that word alone (8 bytes), one with both
 * swaps the pair (16), and as limits change, both widths meet on one line. Each
 * swap is one step of the pair, the narrow one from (r, q) to (r', q) for
 * whatever q there is at that moment; the wide one fails unless both words are
 * what the decision was made from. So no step undoes another, and each word has
 * the chain above for its history. All that this needs is that swaps of both
 * widths are atomic to each other. On x86-64 a locked operation is atomic to
 * all other memory operations (Intel SDM 3A, 8.1.2.2, which advises one width
 * for a semaphore, but takes nothing back; Linux' qspinlock relies on the same;
 * the "mixed" run of tests/stress_meter looks at it on the machine at hand).
 * On arm64 a store of any width by another processor ends the reservation of
 * the pair's granule, so the wide store fails.
 *
 * Torn pairs. The expected pair comes from two loads of 8 bytes and may never
 * have stood in memory like that. Then the wide swap fails, unless it stands
 * there by now: what counts is what it compares, not when that was read.
 * Nothing is admitted but by a swap. A refusal looks at one word, which did
 * stand there when it was loaded, and says nothing about the other. A look at
 * both (cost 0) may tell two moments apart by a few nanoseconds.
 *
 * Windows never go back: a stored start at or after the current one means that
 * the count is of this window, so a process whose clock is behind counts where
 * the others do. Too far ahead it comes back with its count, which grants
 * nothing. A start beyond 27 bits counts as the last, for ever.
 *
 * The loop is bounded by the limits themselves: it goes round when somebody
 * else was admitted meanwhile, which brings refusal nearer, when the pair was
 * torn, or when a swap failed for no reason (arm64). A hostile neighbour could
 * keep it going, so it also ends after TRIES, denying.
 *
 * uses, refusals and last_use_s are statistics; they decide nothing.
 */
#include "shm/meter.h"

#define TRIES 1000u
#define NS_PER_MS 1000000ull
#define MS_PER_S 1000u
#define S_PER_MIN 60u
#define COUNT_BITS 37u
#define START_MAX ((1ull << 27) - 1)

typedef unsigned __int128 wide;

static_assert(JT_METER_QUOTA_MAX >> COUNT_BITS == 0, "the count holds a quota");

static bool is_rate_ok(uint64_t interval_ns, uint64_t burst)
{
	uint64_t debt_ns;

	if (interval_ns == 0)
		return burst == 0;
	return burst >= 1 &&
	       !__builtin_mul_overflow(interval_ns, burst, &debt_ns) &&
	       debt_ns <= JT_METER_DEBT_MAX_NS;
}

static bool is_quota_ok(const struct jt_bounds *b)
{
	if (b->quota == 0)
		return b->quota_unit == JT_QUOTA_NONE && b->quota_minutes == 0;
	return b->quota <= JT_METER_QUOTA_MAX &&
	       b->quota_unit > JT_QUOTA_NONE &&
	       b->quota_unit < JT_QUOTA_UNITS &&
	       (b->quota_minutes > 0) == (b->quota_unit == JT_QUOTA_MINUTES);
}

bool jt_meter_bounds_ok(const struct jt_bounds *bounds)
{
	return (bounds->interval_ns || bounds->quota) &&
	       is_rate_ok(bounds->interval_ns, bounds->burst) &&
	       is_quota_ok(bounds);
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

/* What was counted in the window that begins at START_MIN, or in a later. */
static uint64_t count_of(uint64_t word, uint64_t start_min)
{
	return word >> COUNT_BITS >= start_min ? word & JT_METER_QUOTA_MAX : 0;
}

static uint64_t quota_word(uint64_t word, uint64_t start_min, uint64_t now_min,
			   uint64_t count)
{
	uint64_t stored = word >> COUNT_BITS;

	if (stored > start_min && stored <= now_min + JT_METER_AHEAD_MIN)
		start_min = stored;
	return start_min << COUNT_BITS | count;
}

static inline void tell_rate(const struct jt_bounds *b, uint64_t full,
			     uint64_t debt, int64_t retry_after_ms,
			     struct jt_meter_state *statep)
{
	statep->limit = b->burst;
	statep->remaining = (full - debt) / b->interval_ns;
	statep->reset_ms = ms_up(debt);
	statep->retry_after_ms = retry_after_ms;
}

/* Also out of tries, though it would fit: then after one more interval. */
static enum jt_meter_answer refuse_rate(const struct jt_bounds *b,
					uint64_t full, uint64_t debt,
					uint64_t want,
					struct jt_meter_state *statep)
{
	uint64_t wait_ns =
		debt + want > full ? debt + want - full : b->interval_ns;

	tell_rate(b, full, debt, (int64_t)ms_up(wait_ns), statep);
	return JT_METER_NO_RATE;
}

/* ---- a rate alone: most tokens, so in as few steps as there are ---- */

static enum jt_meter_answer take_rate(struct jt_meter *meter,
				      const struct jt_bounds *b, uint64_t cost,
				      uint64_t now_ns,
				      struct jt_meter_state *statep)
{
	uint64_t full = b->interval_ns * b->burst, want;
	/* relaxed: the word stands alone; the swap below orders itself */
	uint64_t tat = jt_load_relaxed(&meter->rate);
	uint64_t debt = debt_of(tat, now_ns, full);

	if (cost == 0 || cost > b->burst) {
		tell_rate(b, full, debt, cost ? -1 : 0, statep);
		return cost ? JT_METER_NO_RATE : JT_METER_ADMITTED;
	}
	want = cost * b->interval_ns;
	for (unsigned try = 0; try < TRIES && debt + want <= full; try++) {
		/* pairs with any swap of the word in any other process */
		if (jt_swap_if(&meter->rate, &tat, now_ns + debt + want)) {
			tell_rate(b, full, debt + want, 0, statep);
			return JT_METER_ADMITTED;
		}
		debt = debt_of(tat, now_ns, full);
	}
	return refuse_rate(b, full, debt, want, statep);
}

/* ---- a quota, alone or beside a rate ---- */

/* One request before them; without a rate its numbers are 0. */
struct visit {
	const struct jt_bounds *bounds;
	uint64_t now_ns, full_ns, want_ns, debt_ns;
	uint64_t now_min, start_min, window_ms; /* the last: what is left */
	uint64_t cost, count;
	struct jt_pair words; /* rate and quota as last seen */
};

static void find_window(struct visit *v, uint64_t wall_s)
{
	const struct jt_bounds *b = v->bounds;
	struct jt_window w =
		jt_window_at(b->quota_unit, b->quota_minutes, wall_s);
	uint64_t minutes = w.end_min - wall_s / S_PER_MIN;

	v->now_min = wall_s / S_PER_MIN;
	v->start_min = w.start_min < START_MAX ? w.start_min : START_MAX;
	v->window_ms = (minutes * S_PER_MIN - wall_s % S_PER_MIN) * MS_PER_S;
}

/* What the words mean to this request. */
static void understand(struct visit *v)
{
	v->debt_ns = debt_of(v->words.low, v->now_ns, v->full_ns);
	v->count = count_of(v->words.high, v->start_min);
}

static bool rate_allows(const struct visit *v)
{
	return v->debt_ns + v->want_ns <= v->full_ns;
}

static bool quota_allows(const struct visit *v)
{
	return v->count + v->cost <= v->bounds->quota;
}

static bool swap(struct jt_meter *meter, struct visit *v)
{
	struct jt_pair next = {
		.low = v->now_ns + v->debt_ns + v->want_ns,
		.high = quota_word(v->words.high, v->start_min, v->now_min,
				   v->count + v->cost),
	};

	/* both pair with any swap of these words in any other process */
	if (!v->bounds->interval_ns)
		return jt_swap_if(&meter->quota, &v->words.high, next.high);
	return jt_swap_pair_if(&meter->rate, &v->words, next);
}

static void tell_quota(const struct visit *v, int64_t retry_after_ms,
		       struct jt_meter_state *statep)
{
	uint64_t quota = v->bounds->quota;

	statep->limit = quota;
	statep->remaining = v->count < quota ? quota - v->count : 0;
	statep->reset_ms = v->window_ms;
	statep->retry_after_ms = retry_after_ms;
}

/* Of the limit of which the smaller share remains. */
static enum jt_meter_answer admit(const struct visit *v,
				  struct jt_meter_state *statep)
{
	struct jt_meter_state rate;

	tell_quota(v, 0, statep);
	if (!v->bounds->interval_ns)
		return JT_METER_ADMITTED;
	tell_rate(v->bounds, v->full_ns, v->debt_ns, 0, &rate);
	if ((wide)rate.remaining * statep->limit <=
	    (wide)statep->remaining * rate.limit)
		*statep = rate;
	return JT_METER_ADMITTED;
}

static enum jt_meter_answer refuse(const struct visit *v,
				   struct jt_meter_state *statep)
{
	if (quota_allows(v) && v->bounds->interval_ns)
		return refuse_rate(v->bounds, v->full_ns, v->debt_ns,
				   v->want_ns, statep);
	/* out of tries, though it would fit: then as soon as can be told */
	tell_quota(v, quota_allows(v) ? 1 : (int64_t)v->window_ms, statep);
	return JT_METER_NO_QUOTA;
}

/*
 * Refused by what was counted on a day that has not come: from now on it is
 * this window's. One try: who was faster did the same.
 */
static void bring_back(struct jt_meter *meter, const struct visit *v)
{
	uint64_t word = v->words.high;
	uint64_t back = quota_word(word, v->start_min, v->now_min, v->count);

	if (back != word)
		/* pairs with any swap of these words in any other process */
		jt_swap_if(&meter->quota, &word, back);
}

static enum jt_meter_answer spend(struct jt_meter *meter, struct visit *v,
				  struct jt_meter_state *statep)
{
	for (unsigned try = 0; try < TRIES; try++) {
		if (!rate_allows(v) || !quota_allows(v))
			break;
		if (swap(meter, v)) {
			v->debt_ns += v->want_ns;
			v->count += v->cost;
			return admit(v, statep);
		}
		understand(v);
	}
	if (!quota_allows(v))
		bring_back(meter, v);
	return refuse(v, statep);
}

/* noinline: or its frame would be set up for a rate alone, too */
__attribute__((noinline)) static enum jt_meter_answer
take_quota(struct jt_meter *meter, const struct jt_bounds *b, uint64_t cost,
	   struct jt_now now, struct jt_meter_state *statep)
{
	struct visit v = {.bounds = b, .now_ns = now.boot_ns, .cost = cost};

	/* relaxed: what these two say is made good by the swap alone */
	v.words.low = jt_load_relaxed(&meter->rate);
	v.words.high = jt_load_relaxed(&meter->quota);
	v.full_ns = b->interval_ns * b->burst;
	find_window(&v, now.wall_s);
	understand(&v);
	if (cost == 0)
		return admit(&v, statep);
	if (cost > b->quota) {
		tell_quota(&v, -1, statep);
		return JT_METER_NO_QUOTA;
	}
	if (b->interval_ns && cost > b->burst) {
		tell_rate(b, v.full_ns, v.debt_ns, -1, statep);
		return JT_METER_NO_RATE;
	}
	v.want_ns = cost * b->interval_ns;
	return spend(meter, &v, statep);
}

enum jt_meter_answer jt_meter_take(struct jt_meter *meter,
				   const struct jt_bounds *bounds,
				   uint64_t cost, struct jt_now now,
				   struct jt_meter_state *statep)
{
	if (bounds->quota)
		return take_quota(meter, bounds, cost, now, statep);
	return take_rate(meter, bounds, cost, now.boot_ns, statep);
}

/* Both words if both limits hold, else the one that is written. */
static bool swap_words(struct jt_meter *meter, const struct jt_bounds *b,
		       struct jt_pair *seen, struct jt_pair next)
{
	/* all pair with any swap of these words in any other process */
	if (!b->quota)
		return jt_swap_if(&meter->rate, &seen->low, next.low);
	if (!b->interval_ns)
		return jt_swap_if(&meter->quota, &seen->high, next.high);
	return jt_swap_pair_if(&meter->rate, seen, next);
}

void jt_meter_take_all(struct jt_meter *meter, const struct jt_bounds *bounds,
		       struct jt_meter_request *requests, size_t n,
		       struct jt_now now)
{
	for (unsigned try = 0; try < TRIES; try++) {
		/* relaxed: what these two say is made good by the swap alone */
		struct jt_pair seen = {jt_load_relaxed(&meter->rate),
				       jt_load_relaxed(&meter->quota)};
		struct jt_meter copy = {.rate = seen.low, .quota = seen.high};
		struct jt_pair next;

		for (size_t i = 0; i < n; i++)
			requests[i].answer =
				jt_meter_take(&copy, bounds, requests[i].cost,
					      now, &requests[i].state);
		/* relaxed: the copy is nobody else's */
		next.low = jt_load_relaxed(&copy.rate);
		next.high = jt_load_relaxed(&copy.quota);
		if ((next.low == seen.low && next.high == seen.high) ||
		    swap_words(meter, bounds, &seen, next))
			return;
	}
	/* others are at it all the time: each for itself */
	for (size_t i = 0; i < n; i++)
		requests[i].answer =
			jt_meter_take(meter, bounds, requests[i].cost, now,
				      &requests[i].state);
}

void jt_meter_used(struct jt_meter *meter, uint64_t cost, uint64_t now_s)
{
	/* relaxed: statistics, each word on its own */
	jt_add_relaxed(&meter->uses, cost);
	if (jt_load_relaxed(&meter->last_use_s) != now_s)
		jt_store_relaxed(&meter->last_use_s, now_s);
}

void jt_meter_refused(struct jt_meter *meter, uint64_t n)
{
	jt_add_relaxed(&meter->refusals, n); /* relaxed: a statistic */
}

void jt_meter_used_old(struct jt_meter *meter, uint64_t by, uint64_t now_s)
{
	/* relaxed: statistics, each word on its own */
	if (jt_load_relaxed(&meter->old_use_s) == now_s)
		return;
	jt_store_relaxed(&meter->old_use_by, by);
	jt_store_relaxed(&meter->old_use_s, now_s);
}

void jt_meter_clamp(struct jt_meter *meter, const struct jt_bounds *bounds,
		    uint64_t now_ns)
{
	uint64_t most = now_ns + bounds->interval_ns * bounds->burst;
	/* relaxed: the word stands alone */
	uint64_t tat = jt_load_relaxed(&meter->rate);

	if (!bounds->interval_ns)
		return;
	for (unsigned try = 0; try < TRIES && tat > most; try++)
		/* pairs with any swap of the word in any other process */
		if (jt_swap_if(&meter->rate, &tat, most))
			return;
}

uint64_t jt_meter_quota_used(uint64_t word, const struct jt_bounds *bounds,
			     uint64_t wall_s)
{
	struct jt_window w =
		jt_window_at(bounds->quota_unit, bounds->quota_minutes, wall_s);

	return count_of(word,
			w.start_min < START_MAX ? w.start_min : START_MAX);
}
