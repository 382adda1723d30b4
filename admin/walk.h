/*
 * walk: every record that can still be read, in order, verified, with the names
 * that its numbers had: through archives and the newest file (archive.h).
 *
 * Where the archive that holds the beginning is not here, the walk begins with
 * the records that a compaction kept in front of the oldest file: true ones,
 * but not all there were.
 */
#ifndef JT_ADMIN_WALK_H
#define JT_ADMIN_WALK_H

#include "admin/archive.h"
#include "admin/catalog.h"

struct jt_walk {
	/* Plans, scopes, sets and rules before the record at hand; no tokens */
	struct jt_catalog names;
	bool kept;	   /* the record at hand stands in front, see above */
	char missing[160]; /* why it does not begin with record 1, or empty */
	struct jt_archive history;
};

/* R is NULL once, at the end. Not 0 ends the walk and is returned by it. */
typedef int jt_walk_fn(void *ctx, const struct jt_walk *w,
		       const struct jt_record *r);

/* 0, what VISIT returned, negative errno or JT_JOURNAL_E_*. */
int jt_walk(const struct jt_io *io, const char *dir, jt_walk_fn *visit,
	    void *ctx, struct jt_fault *faultp);

#endif
