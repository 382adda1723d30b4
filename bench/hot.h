/*
 * hot: one token, asked for by one or two processes that verify by themselves,
 * each on a core of its own.
 *
 * Two tokens of a lender: the one that is never refused, so that each call
 * changes its meter, and the one that nearly always is. Of the latter all
 * admissions of the whole run are counted against what its limit allows.
 * Errors: negative errno, said on stderr.
 */
#ifndef JT_BENCH_HOT_H
#define JT_BENCH_HOT_H

#include "bench/lender.h"
#include "bench/machine.h"

enum jt_hot_way {
	JT_HOT_SINGLE,	/* jeton_verify() */
	JT_HOT_BATCH,	/* jeton_verify_batch() of 32 */
	JT_HOT_LIMITED, /* as SINGLE, of the limited token */
	JT_HOT_WAYS,
};

struct jt_hot {
	const struct jt_lender *lender;
	const struct jt_machine *machine;
	unsigned slice_ms;
	/* of the last slice, its processes together: CPU time and time */
	double own_ns, wall_ns;
	/* the limited token since its first request */
	uint64_t first_ns;
	uint64_t admitted, refused, beyond;
};

/* One slice of N processes (1 or 2): calls per second, of all together. */
int jt_hot_slice(struct jt_hot *h, enum jt_hot_way way, unsigned n,
		 double *per_sp);

#endif
