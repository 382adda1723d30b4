/*
 * ranks: which tokens are used and refused most, now.
 *
 * Nobody keeps a list while requests come in; the keeper looks at every meter
 * line when it is asked and compares with the last look. At 10^6 tokens that
 * is one pass over 128 MB, 20-30 ms in which nothing else is served here, so
 * there is at most one in RANKS_EVERY_NS however many ask, and all are told the
 * same. What is compared with, 16 bytes a line, is let go when nobody has asked
 * for a minute. Keeper only.
 */
#ifndef JT_SIDECAR_RANKS_H
#define JT_SIDECAR_RANKS_H

#include "admin/control.h"
#include "sidecar/ledger.h"

#define JT_RANKS_EVERY_NS 500000000ull
#define JT_RANKS_FORGET_NS 60000000000ull

struct jt_count {
	uint64_t uses, refusals;
};

struct jt_ranks {
	struct jt_count *before; /* by line; NULL: nobody asks */
	uint64_t lines;
	uint64_t looked_ns;
	struct jt_top top; /* as of then */
};

/* Bring r->top up to date. 0 or -ENOMEM. */
int jt_ranks_look(struct jt_ranks *r, const struct jt_ledger *l,
		  uint64_t now_ns);

/* Let go of memory: when it has not been asked for long; at once. */
void jt_ranks_tend(struct jt_ranks *r, uint64_t now_ns);
void jt_ranks_rest(struct jt_ranks *r);

#endif
