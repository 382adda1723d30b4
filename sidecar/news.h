/*
 * news: what only the keeper knows, told to whoever reads the identity segment
 * (struct jt_news): is all well, what is committed, tokens by status.
 *
 * Counting tokens means going through all lines of the ledger. That is done in
 * slices of JT_NEWS_SLICE, and after a slice that took t the next one comes no
 * sooner than JT_NEWS_REST x t: so it takes less than 1/256 (0.4 %) of the
 * keeper's time however many tokens there are, and never delays a change by
 * more than a slice (half a millisecond or so). A pass begins at most once a
 * second; with a million tokens it takes two or three. Keeper only.
 */
#ifndef JT_SIDECAR_NEWS_H
#define JT_SIDECAR_NEWS_H

#include "sidecar/ledger.h"
#include "sidecar/self.h"

#define JT_NEWS_SLICE 65536u /* lines */
#define JT_NEWS_REST 256u

struct jt_teller {
	uint64_t own_fds; /* the keeper's alone */
	struct jt_news *news;
	const struct jt_ledger *ledger;
	uint64_t (*clock_ns)(void); /* the boot clock */
	struct jt_self self;
	/* the pass that is under way */
	struct jt_expiring sum;
	uint32_t next;	/* its next line; 0: none is under way */
	uint64_t now_s; /* the wall clock when it began */
	uint64_t pass_due_ns, slice_due_ns, look_due_ns;
};

/* LEDGER may still be empty. STARTED_S: of the daemon. */
void jt_news_open(struct jt_teller *t, struct jt_maps *maps,
		  const struct jt_ledger *ledger, uint64_t (*clock_ns)(void),
		  uint64_t started_s);

/* It is told in another segment from now on, where all of it stands too. */
void jt_news_move(struct jt_teller *t, struct jt_maps *maps);

/* How often the table has grown, how far it is (0: it does not) and may. */
void jt_news_growth(struct jt_teller *t, uint64_t n_done, uint64_t growing,
		    uint64_t capacity_max);

/* Each turn of the keeper's loop: a few stores. */
void jt_news_tell(struct jt_teller *t, uint64_t committed, bool red);

/* Once, before the first verdict: all tokens, however long it takes. */
void jt_news_count_all(struct jt_teller *t, uint64_t wall_s);

/* Each turn while serving: a slice, if it is time for one. */
void jt_news_count(struct jt_teller *t, uint64_t now_ns, uint64_t wall_s);

/* Each turn: the keeper's own figures and SCRIBE's, once a second. */
void jt_news_figures(struct jt_teller *t, uint64_t now_ns,
		     const struct jt_figures *scribe);

#endif
