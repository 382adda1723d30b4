/*
 * ranks: see ranks.h.
 *
 * First comes what grew most within the span, then what is largest at all: on a
 * quiet machine the list still says something. The words are written by
 * workers: whatever stands there is only a number to show.
 */
#include "sidecar/ranks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* One of the two lists while it is made; best first. */
struct list {
	struct jt_top_row *rows;
	uint64_t n;
	bool refused; /* by refusals, else by uses */
};

static bool is_above(const struct list *list, const struct jt_top_row *a,
		     const struct jt_top_row *b)
{
	uint64_t more_a = list->refused ? a->more_refusals : a->more_uses;
	uint64_t more_b = list->refused ? b->more_refusals : b->more_uses;

	if (more_a != more_b)
		return more_a > more_b;
	return list->refused ? a->refusals > b->refusals : a->uses > b->uses;
}

static void offer(struct list *list, const struct jt_top_row *row)
{
	uint64_t at = list->n;

	if (!(list->refused ? row->refusals : row->uses))
		return;
	if (at == JT_TOP_ROWS && !is_above(list, row, &list->rows[at - 1]))
		return;
	if (at < JT_TOP_ROWS)
		list->n++;
	else
		at--;
	for (; at > 0 && is_above(list, row, &list->rows[at - 1]); at--)
		list->rows[at] = list->rows[at - 1];
	list->rows[at] = *row;
}

/* A line that was given to another token has begun at 0 again. */
static uint64_t growth(uint64_t before, uint64_t now)
{
	return now >= before ? now - before : now;
}

static void scan(struct jt_ranks *r, const struct jt_ledger *l)
{
	struct list used = {.rows = r->top.used},
		    refused = {.rows = r->top.refused, .refused = true};

	for (uint32_t i = 0; i < l->n_lines; i++) {
		const struct jt_meter *m = &l->maps->lines[i];
		/* relaxed: statistics */
		struct jt_count now = {jt_load_relaxed(&m->uses),
				       jt_load_relaxed(&m->refusals)};
		struct jt_top_row row = {
			.last = l->lines[i].last,
			.uses = now.uses,
			.refusals = now.refusals,
			.more_uses = growth(r->before[i].uses, now.uses),
			.more_refusals =
				growth(r->before[i].refusals, now.refusals),
		};

		r->before[i] = now;
		if (!row.last)
			continue;
		if (!r->looked_ns)
			row.more_uses = row.more_refusals = 0;
		offer(&used, &row);
		offer(&refused, &row);
	}
	r->top.n_used = used.n;
	r->top.n_refused = refused.n;
}

int jt_ranks_look(struct jt_ranks *r, const struct jt_ledger *l,
		  uint64_t now_ns)
{
	if (r->before && now_ns - r->looked_ns < JT_RANKS_EVERY_NS)
		return 0;
	if (r->before && r->lines != l->maps->capacity)
		jt_ranks_rest(r); /* it has grown: begin to compare anew */
	if (!r->before) {
		r->lines = l->maps->capacity;
		r->before = calloc(r->lines, sizeof(*r->before));
		r->looked_ns = 0;
	}
	if (!r->before)
		return -ENOMEM;
	scan(r, l);
	r->top.span_ms = r->looked_ns ? (now_ns - r->looked_ns) / 1000000u : 0;
	r->looked_ns = now_ns;
	return 0;
}

void jt_ranks_tend(struct jt_ranks *r, uint64_t now_ns)
{
	if (r->before && now_ns - r->looked_ns > JT_RANKS_FORGET_NS)
		jt_ranks_rest(r);
}

void jt_ranks_rest(struct jt_ranks *r)
{
	free(r->before);
	memset(r, 0, sizeof(*r));
}
