/* news: see news.h. All stores relaxed: each figure stands alone. */
#include "sidecar/news.h"

#include <string.h>

#define SECOND_NS 1000000000ull

static_assert(JT_EXPIRING_N == JT_EXPIRING_SPANS, "a word for each span");

void jt_news_open(struct jt_teller *t, struct jt_maps *maps,
		  const struct jt_ledger *ledger, uint64_t (*clock_ns)(void),
		  uint64_t started_s)
{
	memset(t, 0, sizeof(*t));
	t->news = &maps->identity_rw->news;
	t->ledger = ledger;
	t->clock_ns = clock_ns;
	jt_self_open(&t->self);
	jt_store_relaxed(&t->news->started_s, started_s);
}

void jt_news_move(struct jt_teller *t, struct jt_maps *maps)
{
	t->news = &maps->identity_rw->news;
}

void jt_news_growth(struct jt_teller *t, uint64_t n_done, uint64_t growing,
		    uint64_t capacity_max)
{
	jt_store_relaxed(&t->news->growths, n_done);
	jt_store_relaxed(&t->news->growing, growing);
	jt_store_relaxed(&t->news->capacity_max, capacity_max);
}

void jt_news_tell(struct jt_teller *t, uint64_t committed, bool red)
{
	jt_store_relaxed(&t->news->committed, committed);
	jt_store_relaxed(&t->news->red, red);
}

static void publish(struct jt_teller *t)
{
	struct jt_news *n = t->news;

	jt_store_relaxed(&n->active, t->sum.active);
	jt_store_relaxed(&n->suspended, t->sum.suspended);
	jt_store_relaxed(&n->revoked, t->sum.revoked);
	jt_store_relaxed(&n->expired, t->sum.expired);
	for (unsigned i = 0; i < JT_EXPIRING_N; i++)
		jt_store_relaxed(&n->expiring[i], t->sum.within[i]);
}

void jt_news_count_all(struct jt_teller *t, uint64_t wall_s)
{
	jt_ledger_expiring(t->ledger, wall_s, &t->sum);
	publish(t);
	t->next = 0;
	/* the first slice says what they cost */
	t->pass_due_ns = t->clock_ns() + SECOND_NS;
}

void jt_news_count(struct jt_teller *t, uint64_t now_ns, uint64_t wall_s)
{
	uint64_t began_ns, ended_ns;

	if (now_ns < t->slice_due_ns || (!t->next && now_ns < t->pass_due_ns))
		return;
	if (!t->next) {
		memset(&t->sum, 0, sizeof(t->sum));
		t->now_s = wall_s;
		t->pass_due_ns = now_ns + SECOND_NS;
	}
	began_ns = t->clock_ns();
	t->next = jt_ledger_expiring_slice(t->ledger, t->next, JT_NEWS_SLICE,
					   t->now_s, &t->sum);
	if (!t->next)
		publish(t);
	ended_ns = t->clock_ns();
	t->slice_due_ns = ended_ns + JT_NEWS_REST * (ended_ns - began_ns);
}

void jt_news_figures(struct jt_teller *t, uint64_t now_ns,
		     const struct jt_figures *scribe)
{
	struct jt_figures mine;

	if (now_ns < t->look_due_ns)
		return;
	t->look_due_ns = now_ns + SECOND_NS;
	jt_self_look(&t->self, &mine);
	t->own_fds = mine.open_fds;
	jt_store_relaxed(&t->news->cpu_ns, mine.cpu_ns + scribe->cpu_ns);
	jt_store_relaxed(&t->news->resident, mine.resident + scribe->resident);
	jt_store_relaxed(&t->news->open_fds, mine.open_fds + scribe->open_fds);
}
