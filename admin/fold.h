/*
 * fold: all tokens, without keeping others waiting.
 *
 * Folding a large journal takes seconds in which, under the lock, nobody could
 * revoke. So a verb that needs all tokens folds without the lock; under it,
 * only what was committed meanwhile comes on top. Whoever keeps more than the
 * catalog does is told of each record. One process, private memory.
 *
 * Exit codes; the reason was printed.
 */
#ifndef JT_ADMIN_FOLD_H
#define JT_ADMIN_FOLD_H

#include "admin/catalog.h"
#include "admin/change.h"

struct jt_fold {
	struct jt_journal journal;
	struct jt_catalog catalog;
	struct jt_reader reader; /* how far it was read */
	bool open;		 /* there was a journal */
	bool none_will_do;	 /* no journal is an empty one */
	/* R is in the catalog now: 0 or -ENOMEM. May be NULL. */
	int (*each)(void *ctx, const struct jt_catalog *c,
		    const struct jt_record *r);
	/* All that was told does not hold any more. With each() only. */
	void (*anew)(void *ctx);
	void *ctx;
};

/* F: zero but for none_will_do, each, anew, ctx. */
int jt_fold_open(struct jt_fold *f, const struct jt_paths *paths);

/* J, opened for writing: what came since, also when the file was compacted. */
int jt_fold_catch_up(struct jt_fold *f, const struct jt_journal *j);

/* The same without the lock. */
int jt_fold_refresh(struct jt_fold *f, const struct jt_paths *paths);

/* Harmless on one that was never opened. */
void jt_fold_close(struct jt_fold *f);

#endif
