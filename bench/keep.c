/* keep: see keep.h. */
#include "bench/keep.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static double greater(double a, double b)
{
	return a > b ? a : b;
}

struct jt_had jt_had_of(double stolen, double foreign, double foreign_max)
{
	return (struct jt_had){
		.taken = true,
		.stolen = stolen,
		.foreign = foreign,
		.excess = greater(stolen / JT_KEEP_STOLEN_MAX,
				  foreign / foreign_max),
	};
}

bool jt_had_clean(const struct jt_had *had)
{
	return had->taken && had->excess <= 1;
}

bool jt_had_less(const struct jt_had *a, const struct jt_had *b)
{
	return a->taken && (!b->taken || a->excess < b->excess);
}

struct jt_had jt_had_both(const struct jt_had *a, const struct jt_had *b)
{
	return (struct jt_had){
		.taken = a->taken && b->taken,
		.stolen = greater(a->stolen, b->stolen),
		.foreign = greater(a->foreign, b->foreign),
		.excess = greater(a->excess, b->excess),
	};
}

bool jt_retakes_again(struct jt_retakes *r, unsigned round, unsigned tries,
		      const struct jt_had *had, uint64_t cost_ns)
{
	uint64_t so_far_ns = r->budget_ns / r->n_rounds * (round + 1);

	if (jt_had_clean(had) || tries >= JT_KEEP_RETAKES_MAX ||
	    r->spent_ns + cost_ns > so_far_ns)
		return false;
	r->spent_ns += cost_ns;
	r->n++;
	return true;
}

struct unit {
	double figure;
	struct jt_had had;
};

static int compare(const void *a, const void *b)
{
	const struct unit *x = a, *y = b;

	return (x->had.excess > y->had.excess) -
	       (x->had.excess < y->had.excess);
}

void jt_keep_summary(const double *figures, const struct jt_had *had, size_t n,
		     uint64_t seed, struct jt_summary *out)
{
	const struct jt_had clean = {.taken = true};
	static struct unit units[JT_SUMMARY_MAX];
	double values[JT_SUMMARY_MAX], stolen = 0, foreign = 0;
	size_t found = 0, kept = 0;

	assert(n <= JT_SUMMARY_MAX);
	for (size_t i = 0; i < n; i++)
		if (figures[i] > 0 && (!had || had[i].taken))
			units[found++] =
				(struct unit){figures[i], had ? had[i] : clean};
	qsort(units, found, sizeof(*units), compare);
	for (; kept < found; kept++) {
		const struct jt_had *h = &units[kept].had;

		if (!jt_had_clean(h) && kept >= JT_KEEP_LEAST)
			break;
		values[kept] = units[kept].figure;
		if (jt_had_clean(h))
			continue;
		stolen = greater(stolen, h->stolen);
		foreign = greater(foreign, h->foreign);
	}
	jt_summary_make(values, kept, seed, out);
	out->stolen = stolen;
	out->foreign = foreign;
}

const char *jt_keep_words(const struct jt_summary *s, char out[64])
{
	const char *comma = s->stolen > 0 && s->foreign > 0 ? ", " : "";
	char stolen[24] = "", foreign[24] = "";

	out[0] = '\0';
	if (s->stolen > 0)
		snprintf(stolen, sizeof(stolen), "%.1f %% stolen",
			 100 * s->stolen);
	if (s->foreign > 0)
		snprintf(foreign, sizeof(foreign), "%.0f %% others",
			 100 * s->foreign);
	if (*stolen || *foreign)
		snprintf(out, 64, "kept with %s%s%s", stolen, comma, foreign);
	return out;
}
