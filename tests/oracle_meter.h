/*
 * oracle_meter: the rules of shm/meter.h once more, in 128 bits and without
 * haste, and cases to compare them on.
 *
 * Nothing is packed, nothing can overflow, windows come from a calendar that is
 * counted out month by month. A case is a request under limits at a time; a run
 * of cases goes on with one line, whose limits may change between two of them.
 */
#ifndef JT_TESTS_ORACLE_METER_H
#define JT_TESTS_ORACLE_METER_H

#include "shm/meter.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ORACLE_MONTHS (12u * 300u)
#define ORACLE_NS_PER_MS 1000000u
#define ORACLE_START_MAX ((1u << 27) - 1)
#define ORACLE_COUNT_BITS 37u
#define ORACLE_BOOT_NS 1000000000000ull
#define ORACLE_TEXT 512u

typedef unsigned __int128 oracle_wide;

/* Random numbers of the caller: any 64 bits from his own state. */
typedef uint64_t (*oracle_random)(uint64_t *state);

struct oracle {
	uint32_t first_day[ORACLE_MONTHS + 1]; /* of each month since 1970 */
	oracle_wide tat, start_min, count;
};

/* What the cases of a run met. */
struct oracle_tally {
	uint64_t looks, admitted, no_quota, no_rate, never, rolled, behind;
};

/* One line in both worlds. */
struct oracle_run {
	struct oracle oracle;
	struct jt_meter meter;
	struct jt_bounds bounds;
	struct jt_now now;
	struct jt_meter_state last;
	struct oracle_tally tally;
	oracle_random next;
	uint64_t random;
	bool changing;
	char text[ORACLE_TEXT]; /* what was wrong */
};

/* ---- the rules ---- */

static inline uint64_t oracle_ms_up(oracle_wide ns)
{
	return (uint64_t)((ns + ORACLE_NS_PER_MS - 1) / ORACLE_NS_PER_MS);
}

static inline void oracle_calendar(struct oracle *o)
{
	static const uint8_t lengths[] = {31, 28, 31, 30, 31, 30,
					  31, 31, 30, 31, 30, 31};
	uint32_t day = 0;

	for (uint32_t i = 0; i <= ORACLE_MONTHS; i++) {
		uint32_t year = 1970 + i / 12;
		bool leap =
			(year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

		o->first_day[i] = day;
		day += lengths[i % 12] + (i % 12 == 1 && leap);
	}
}

static inline struct jt_window oracle_window(const struct oracle *o,
					     const struct jt_bounds *b,
					     uint64_t wall_s)
{
	uint64_t day = wall_s / 86400, first = day, end = day + 1;
	uint64_t span = b->quota_minutes;
	uint32_t month = (uint32_t)(day / 31);

	switch (b->quota_unit) {
	case JT_QUOTA_WEEK: /* day 4 was the first Monday */
		first = day < 4 ? 0 : day - (day - 4) % 7;
		end = day < 4 ? 4 : first + 7;
		break;
	case JT_QUOTA_MONTH:
		while (o->first_day[month + 1] <= day)
			month++;
		first = o->first_day[month];
		end = o->first_day[month + 1];
		break;
	case JT_QUOTA_MINUTES:
		first = wall_s / (60 * span) * span;
		return (struct jt_window){first, first + span};
	default:
		break;
	}
	return (struct jt_window){first * 1440, end * 1440};
}

static inline uint64_t oracle_start(const struct jt_window *w)
{
	return w->start_min < ORACLE_START_MAX ? w->start_min
					       : ORACLE_START_MAX;
}

static inline oracle_wide oracle_debt(const struct oracle *o, uint64_t now_ns)
{
	return o->tat > now_ns ? o->tat - now_ns : 0;
}

static inline oracle_wide oracle_count(const struct oracle *o,
				       const struct jt_window *w)
{
	return o->start_min >= oracle_start(w) ? o->count : 0;
}

static inline struct jt_meter_state
oracle_rate(const struct oracle *o, const struct jt_bounds *b, uint64_t now_ns)
{
	oracle_wide full = (oracle_wide)b->interval_ns * b->burst;
	oracle_wide debt = oracle_debt(o, now_ns);

	debt = debt < full ? debt : full;
	return (struct jt_meter_state){
		.limit = b->burst,
		.remaining = (uint64_t)((full - debt) / b->interval_ns),
		.reset_ms = oracle_ms_up(debt),
	};
}

static inline struct jt_meter_state
oracle_quota(const struct oracle *o, const struct jt_bounds *b, uint64_t wall_s)
{
	struct jt_window w = oracle_window(o, b, wall_s);
	oracle_wide count = oracle_count(o, &w);

	return (struct jt_meter_state){
		.limit = b->quota,
		.remaining =
			count < b->quota ? (uint64_t)(b->quota - count) : 0,
		.reset_ms = (w.end_min * 60 - wall_s) * 1000,
	};
}

static inline struct jt_meter_state oracle_nearer(const struct oracle *o,
						  const struct jt_bounds *b,
						  struct jt_now now)
{
	struct jt_meter_state rate, quota;

	if (!b->quota)
		return oracle_rate(o, b, now.boot_ns);
	quota = oracle_quota(o, b, now.wall_s);
	if (!b->interval_ns)
		return quota;
	rate = oracle_rate(o, b, now.boot_ns);
	return (oracle_wide)rate.remaining * quota.limit <=
			       (oracle_wide)quota.remaining * rate.limit
		       ? rate
		       : quota;
}

/* From a day that only a wrong clock showed, with what was counted then. */
static inline void oracle_come_back(struct oracle *o, const struct jt_bounds *b,
				    struct jt_now now)
{
	struct jt_window w = oracle_window(o, b, now.wall_s);

	if (o->start_min > (oracle_wide)now.wall_s / 60 + 24 * 60)
		o->start_min = oracle_start(&w);
}

static inline void oracle_spend(struct oracle *o, const struct jt_bounds *b,
				uint64_t cost, struct jt_now now)
{
	struct jt_window w;

	if (b->interval_ns) {
		if (o->tat < now.boot_ns)
			o->tat = now.boot_ns;
		o->tat += (oracle_wide)cost * b->interval_ns;
	}
	if (b->quota) {
		w = oracle_window(o, b, now.wall_s);
		o->count = oracle_count(o, &w) + cost;
		if (o->start_min < oracle_start(&w))
			o->start_min = oracle_start(&w);
		oracle_come_back(o, b, now);
	}
}

/* How far COST is above what the rate has left, in ns. */
static inline oracle_wide oracle_lack(const struct oracle *o,
				      const struct jt_bounds *b, uint64_t cost,
				      uint64_t now_ns)
{
	oracle_wide full = (oracle_wide)b->interval_ns * b->burst;
	oracle_wide debt = oracle_debt(o, now_ns);
	oracle_wide want = (oracle_wide)b->interval_ns * cost;

	/* a debt beyond the whole limit counts as that */
	debt = debt < full ? debt : full;
	return debt + want > full ? debt + want - full : 0;
}

static inline enum jt_meter_answer oracle_take(struct oracle *o,
					       const struct jt_bounds *b,
					       uint64_t cost, struct jt_now now,
					       struct jt_meter_state *state)
{
	bool quota = b->quota && cost, rate = b->interval_ns && cost;

	if (quota) {
		*state = oracle_quota(o, b, now.wall_s);
		state->retry_after_ms =
			cost > b->quota ? -1 : (int64_t)state->reset_ms;
		if (cost > b->quota)
			return JT_METER_NO_QUOTA;
		quota = cost > state->remaining;
	}
	if (rate && cost > b->burst) {
		*state = oracle_rate(o, b, now.boot_ns);
		state->retry_after_ms = -1;
		return JT_METER_NO_RATE;
	}
	if (quota) {
		oracle_come_back(o, b, now);
		return JT_METER_NO_QUOTA;
	}
	if (rate && oracle_lack(o, b, cost, now.boot_ns)) {
		*state = oracle_rate(o, b, now.boot_ns);
		state->retry_after_ms = (int64_t)oracle_ms_up(
			oracle_lack(o, b, cost, now.boot_ns));
		return JT_METER_NO_RATE;
	}
	if (cost)
		oracle_spend(o, b, cost, now);
	*state = oracle_nearer(o, b, now);
	return JT_METER_ADMITTED;
}

/* ---- the cases ---- */

static inline uint64_t oracle_below(struct oracle_run *r, uint64_t n)
{
	return (uint64_t)((oracle_wide)r->next(&r->random) * n >> 64);
}

/* From 1 to 2^BITS, of any size alike. */
static inline uint64_t oracle_size(struct oracle_run *r, unsigned bits)
{
	return 1 + oracle_below(r, 1ull << oracle_below(r, bits + 1));
}

static inline void oracle_draw_rate(struct oracle_run *r)
{
	static const uint64_t periods_ns[] = {1000000000ull, 60000000000ull,
					      3600000000000ull,
					      86400000000000ull};
	uint64_t rate = oracle_size(r, 20), most;
	struct jt_bounds *b = &r->bounds;

	if (oracle_below(r, 8) == 0)
		rate = 1000000;
	b->interval_ns =
		jt_meter_interval_ns(rate, periods_ns[oracle_below(r, 4)]);
	most = JT_METER_DEBT_MAX_NS / b->interval_ns;
	b->burst = oracle_size(r, 22);
	if (oracle_below(r, 16) == 0 || b->burst > most)
		b->burst = most; /* the largest that is allowed */
}

static inline void oracle_draw_quota(struct oracle_run *r)
{
	struct jt_bounds *b = &r->bounds;

	b->quota = oracle_size(r, 22);
	if (oracle_below(r, 16) == 0)
		b->quota = JT_METER_QUOTA_MAX - oracle_below(r, 2);
	else if (b->burst && b->burst <= JT_METER_QUOTA_MAX &&
		 oracle_below(r, 8) == 0)
		b->quota = b->burst; /* for equal shares */
	b->quota_unit = 1 + (uint32_t)oracle_below(r, JT_QUOTA_UNITS - 1);
	b->quota_minutes = 0;
	if (b->quota_unit == JT_QUOTA_MINUTES)
		b->quota_minutes = (uint32_t)oracle_size(r, 31);
}

static inline void oracle_draw_bounds(struct oracle_run *r)
{
	uint64_t which = oracle_below(r, 4);

	r->bounds = (struct jt_bounds){0};
	if (which != 0)
		oracle_draw_rate(r);
	if (which != 1)
		oracle_draw_quota(r);
}

static inline uint64_t oracle_draw_cost(struct oracle_run *r)
{
	const struct jt_bounds *b = &r->bounds;
	uint64_t limit = b->quota;

	if (b->interval_ns && (!b->quota || oracle_below(r, 2)))
		limit = b->burst;
	switch (oracle_below(r, 12)) {
	case 0:
		return 0;
	case 1:
		return limit; /* exactly full */
	case 2:
		return oracle_below(r, 4) ? limit + 1 + oracle_below(r, limit)
					  : UINT64_MAX - oracle_below(r, 2);
	case 3:
		return 1 + oracle_below(r, limit);
	case 4: /* exactly what was left, and one more */
	case 5:
		return r->last.remaining + oracle_below(r, 2);
	default:
		return 1;
	}
}

static inline void oracle_step_boot(struct oracle_run *r)
{
	uint64_t interval_ns = r->bounds.interval_ns;
	uint64_t full = interval_ns * r->bounds.burst, back;

	if (r->now.boot_ns >= 1ull << 62)
		r->now.boot_ns = 0; /* steps back for good */
	switch (oracle_below(r, 8)) {
	case 0: /* stands still */
		return;
	case 1:
		back = oracle_below(r, full / 2 + 1);
		r->now.boot_ns -= back < r->now.boot_ns ? back : r->now.boot_ns;
		return;
	case 2: /* until the last nanosecond of the wait, or one before */
		r->now.boot_ns +=
			interval_ns ? interval_ns - oracle_below(r, 2) : 1;
		return;
	case 3: /* the same after a long one */
		if (interval_ns && r->oracle.tat > full)
			r->now.boot_ns = (uint64_t)r->oracle.tat - full +
					 interval_ns - oracle_below(r, 2);
		return;
	case 4:
		r->now.boot_ns += oracle_below(r, full + 1);
		return;
	default:
		r->now.boot_ns += oracle_below(r, interval_ns + 1);
	}
}

static inline void oracle_draw_wall(struct oracle_run *r)
{
	/* also around 1970 and around the last start that a word holds */
	static const uint64_t from_s[] = {0, 1700000000, 4100000000,
					  8052000000};
	static const uint64_t spans_s[] = {2000000, 100000000, 20000000,
					   3000000};
	uint64_t i = oracle_below(r, 4);

	r->now.wall_s = from_s[i] + oracle_below(r, spans_s[i]);
}

static inline void oracle_step_wall(struct oracle_run *r)
{
	struct jt_window w =
		oracle_window(&r->oracle, &r->bounds, r->now.wall_s);
	uint64_t span_s = (w.end_min - w.start_min) * 60, back;

	switch (oracle_below(r, 32)) {
	case 0: /* the first second of the next, or the last of this */
		r->now.wall_s = w.end_min * 60 - oracle_below(r, 2);
		break;
	case 1:
		r->now.wall_s += oracle_below(r, 2 * span_s);
		break;
	case 2:
		back = oracle_below(r, 2 * span_s);
		r->now.wall_s -= back < r->now.wall_s ? back : r->now.wall_s;
		break;
	case 3:
		r->now.wall_s = w.start_min * 60;
		break;
	case 4: /* where the count is, or just behind */
	case 5:
		r->now.wall_s = (uint64_t)r->oracle.start_min * 60;
		r->now.wall_s -= r->now.wall_s && !oracle_below(r, 4);
		break;
	case 6:
	case 7:
		r->now.wall_s += span_s;
		break;
	case 8:
		r->now.wall_s += oracle_below(r, 60);
		break;
	default:
		break;
	}
	/* the calendar ends there */
	if (r->now.wall_s / 86400 >= r->oracle.first_day[ORACLE_MONTHS])
		oracle_draw_wall(r);
}

static inline void oracle_count_case(struct oracle_run *r, uint64_t cost,
				     enum jt_meter_answer how,
				     oracle_wide start_before)
{
	struct oracle_tally *t = &r->tally;
	struct jt_window w =
		oracle_window(&r->oracle, &r->bounds, r->now.wall_s);

	if (cost == 0)
		t->looks++;
	else if (how == JT_METER_ADMITTED)
		t->admitted++;
	else if (r->last.retry_after_ms < 0)
		t->never++;
	else if (how == JT_METER_NO_QUOTA)
		t->no_quota++;
	else
		t->no_rate++;
	t->rolled += start_before && r->oracle.start_min > start_before;
	t->behind += r->bounds.quota && oracle_start(&w) < start_before;
}

/* A fresh line under fresh limits; the calendar is counted out already. */
static inline void oracle_restart(struct oracle_run *r)
{
	memset(&r->meter, 0, sizeof(r->meter));
	memset(&r->last, 0, sizeof(r->last));
	r->oracle.tat = r->oracle.start_min = r->oracle.count = 0;
	r->changing = oracle_below(r, 2);
	r->now.boot_ns = oracle_below(r, ORACLE_BOOT_NS);
	oracle_draw_wall(r);
	oracle_draw_bounds(r);
}

static inline void oracle_begin(struct oracle_run *r, oracle_random next,
				uint64_t seed)
{
	memset(r, 0, sizeof(*r));
	r->next = next;
	r->random = seed;
	oracle_calendar(&r->oracle);
	oracle_restart(r);
}

static inline void oracle_explain(struct oracle_run *r, uint64_t cost, int a,
				  const struct jt_meter_state *got, int b,
				  const struct jt_meter_state *want)
{
	snprintf(r->text, sizeof(r->text),
		 "interval %" PRIu64 " burst %" PRIu64 " quota %" PRIu64
		 " unit %u/%u cost %" PRIu64 " boot %" PRIu64 " wall %" PRIu64
		 ": answer %d limit %" PRIu64 " remaining %" PRIu64
		 " reset %" PRIu64 " retry %" PRId64 ", wanted %d %" PRIu64
		 " %" PRIu64 " %" PRIu64 " %" PRId64 "; words %" PRIx64
		 " %" PRIx64,
		 r->bounds.interval_ns, r->bounds.burst, r->bounds.quota,
		 r->bounds.quota_unit, r->bounds.quota_minutes, cost,
		 r->now.boot_ns, r->now.wall_s, a, got->limit, got->remaining,
		 got->reset_ms, got->retry_after_ms, b, want->limit,
		 want->remaining, want->reset_ms, want->retry_after_ms,
		 jt_load_relaxed(&r->meter.rate), /* one hand */
		 jt_load_relaxed(&r->meter.quota));
}

/* The words are the oracle's, so a refusal or a look has left them alone. */
static inline bool oracle_is_line(const struct oracle_run *r)
{
	const struct oracle *o = &r->oracle;

	/* relaxed: one hand */
	return jt_load_relaxed(&r->meter.rate) == o->tat &&
	       jt_load_relaxed(&r->meter.quota) ==
		       (o->start_min << ORACLE_COUNT_BITS | o->count);
}

/* The next case in both worlds; false: they differ, as `text` says. */
static inline bool oracle_step(struct oracle_run *r)
{
	uint64_t cost = oracle_draw_cost(r);
	oracle_wide start_before = r->oracle.start_min;
	struct jt_meter_state got;
	enum jt_meter_answer a, b;

	a = jt_meter_take(&r->meter, &r->bounds, cost, r->now, &got);
	b = oracle_take(&r->oracle, &r->bounds, cost, r->now, &r->last);
	if (a != b || memcmp(&got, &r->last, sizeof(got)) != 0 ||
	    !oracle_is_line(r)) {
		oracle_explain(r, cost, (int)a, &got, (int)b, &r->last);
		return false;
	}
	oracle_count_case(r, cost, a, start_before);
	oracle_step_boot(r);
	oracle_step_wall(r);
	if (r->changing && oracle_below(r, 64) == 0)
		oracle_draw_bounds(r);
	return true;
}

#endif
