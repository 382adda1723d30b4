/* fold: see fold.h. */
#include "admin/fold.h"
#include "admin/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK 1024u

static int read_on(struct jt_fold *f, struct jt_record *chunk,
		   struct jt_fault *faultp)
{
	size_t n = 0;
	int e;

	do {
		e = jt_reader_next(&f->reader, chunk, CHUNK, &n, faultp);
		for (size_t i = 0; e == 0 && i < n; i++) {
			e = jt_catalog_apply(&f->catalog, &chunk[i], faultp);
			if (e == 0 && f->each)
				e = f->each(f->ctx, &f->catalog, &chunk[i]);
		}
	} while (e == 0 && n);
	return e;
}

static int fold_on(struct jt_fold *f)
{
	struct jt_record *chunk = calloc(CHUNK, sizeof(*chunk));
	struct jt_fault fault = {.line = "not enough memory"};
	int e = chunk ? read_on(f, chunk, &fault) : -ENOMEM;

	free(chunk);
	return e ? jt_journal_refusal(e, &fault) : 0;
}

/* From the first record of J on; NULL: there is none. */
static int begin(struct jt_fold *f, const struct jt_journal *j)
{
	if (f->anew)
		f->anew(f->ctx);
	jt_catalog_deinit(&f->catalog);
	if (jt_catalog_init(&f->catalog) != 0)
		return jt_fail(JT_EXIT_FILE, "not enough memory");
	if (j)
		jt_reader_init(&f->reader, j);
	return 0;
}

int jt_fold_open(struct jt_fold *f, const struct jt_paths *paths)
{
	struct jt_fault fault = {0};
	int e = jt_journal_open(&f->journal, &jt_io_os, paths->data, &fault);

	if (e == JT_JOURNAL_E_NONE && f->none_will_do)
		return begin(f, NULL);
	if (e)
		return jt_journal_refusal(e, &fault);
	f->open = true;
	e = begin(f, &f->journal);
	return e ? e : fold_on(f);
}

int jt_fold_catch_up(struct jt_fold *f, const struct jt_journal *j)
{
	int e = 0;

	if (f->open && j->generation == f->journal.generation)
		f->reader.journal = j;
	else
		e = begin(f, j);
	return e ? e : fold_on(f);
}

int jt_fold_refresh(struct jt_fold *f, const struct jt_paths *paths)
{
	struct jt_fault fault = {0};
	int e = jt_journal_refresh(&f->journal, &fault);

	if (e == JT_JOURNAL_E_REPLACED) {
		jt_journal_close(&f->journal);
		f->open = false;
		return jt_fold_open(f, paths);
	}
	if (e)
		return jt_journal_refusal(e, &fault);
	f->reader.journal = &f->journal;
	return fold_on(f);
}

void jt_fold_close(struct jt_fold *f)
{
	jt_catalog_deinit(&f->catalog);
	if (f->open)
		jt_journal_close(&f->journal);
	f->open = false;
}
