/* walk: see walk.h. */
#include "admin/walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 1024u

static bool is_definition(uint8_t type)
{
	return type == JT_REC_PLAN || type == JT_REC_SCOPE ||
	       type == JT_REC_SCOPES || type == JT_REC_RULES;
}

static int visit_all(struct jt_walk *w, const struct jt_record *records,
		     size_t n, jt_walk_fn *visit, void *ctx,
		     struct jt_fault *faultp)
{
	int e = 0;

	for (size_t i = 0; e == 0 && i < n; i++) {
		e = visit(ctx, w, &records[i]);
		if (e == 0 && is_definition(records[i].type))
			e = jt_catalog_apply(&w->names, &records[i], faultp);
	}
	return e;
}

/* What stands in front of the oldest file, when it is not the first. */
static int walk_kept(struct jt_walk *w, struct jt_record *records,
		     jt_walk_fn *visit, void *ctx, struct jt_fault *faultp)
{
	struct jt_archive *a = &w->history;
	struct jt_reader r;
	size_t n = 1;
	int e = 0;

	if (a->first == 1)
		return 0;
	w->kept = true;
	jt_reader_init(&r, a->n_links ? &a->older : &a->newest);
	while (e == 0 && n && jt_reader_in_state(&r)) {
		e = jt_reader_next(&r, records, BATCH, &n, faultp);
		if (e == 0)
			e = visit_all(w, records, n, visit, ctx, faultp);
	}
	w->kept = false;
	return e;
}

static int walk(struct jt_walk *w, struct jt_record *records, jt_walk_fn *visit,
		void *ctx, struct jt_fault *faultp)
{
	size_t n;
	int e = walk_kept(w, records, visit, ctx, faultp);

	while (e == 0) {
		e = jt_archive_next(&w->history, records, BATCH, &n, faultp);
		if (e || n == 0)
			break;
		e = visit_all(w, records, n, visit, ctx, faultp);
	}
	return e ? e : visit(ctx, w, NULL);
}

int jt_walk(const struct jt_io *io, const char *dir, jt_walk_fn *visit,
	    void *ctx, struct jt_fault *faultp)
{
	struct jt_record *records = calloc(BATCH, sizeof(*records));
	struct jt_walk *w = calloc(1, sizeof(*w));
	int e = -ENOMEM;

	if (records && w)
		e = jt_catalog_init(&w->names);
	if (e) {
		jt_fault_set(faultp, e, 0, 0, "not enough memory");
		goto out;
	}
	e = jt_archive_begin(&w->history, io, dir, 1, faultp);
	if (e == 0) {
		memcpy(w->missing, w->history.missing, sizeof(w->missing));
		e = walk(w, records, visit, ctx, faultp);
		jt_archive_end(&w->history);
	}
	jt_catalog_deinit(&w->names);
out:
	free(records);
	free(w);
	return e;
}
