/*
 * archive: the files that compactions left behind, and all of history.
 *
 * A compaction keeps the old file as `journal.NNNNNN`, NNNNNN its generation,
 * for ever or until the admin moves it. Its header's `base` and tag say where
 * the new file goes on: an archive counts only as far as that, and only when it
 * bears that very tag there. So every link from the newest file downwards is
 * checked before anything in an archive is believed.
 */
#ifndef JT_ADMIN_ARCHIVE_H
#define JT_ADMIN_ARCHIVE_H

#include "admin/journal.h"

#define JT_ARCHIVE_NAME_MAX 32
void jt_archive_name(uint64_t generation, char out[JT_ARCHIVE_NAME_MAX]);

/*
 * Open the file that J was compacted from; its commit is set back to J's base.
 * JT_JOURNAL_E_ARCHIVED: it is not here, and the line names it. It lives in
 * J's directory descriptor, so jt_archive_close() it before J.
 */
int jt_archive_open(const struct jt_journal *j, struct jt_journal *olderp,
		    struct jt_fault *faultp);
void jt_archive_close(struct jt_journal *older);

/*
 * Is OLDER, however it was opened, the file that J was compacted from? 0 with
 * its commit set back to J's base, or JT_JOURNAL_E_DAMAGED.
 */
int jt_archive_cut(struct jt_journal *older, const struct jt_journal *j,
		   struct jt_fault *faultp);

/*
 * The stored tag of a record before J's base. JT_JOURNAL_E_ARCHIVED when the
 * archive that holds it is not here.
 */
int jt_archive_tag(const struct jt_journal *j, uint64_t number,
		   uint8_t out[JT_TAG_BYTES], struct jt_fault *faultp);

/*
 * Verify every archive that is here, from the newest down to the first that is
 * not: *FIRSTP is the oldest record that can be read, *ARCHIVESP their number.
 */
int jt_archive_verify(const struct jt_journal *j, uint64_t *archivesp,
		      uint64_t *firstp, struct jt_fault *faultp);

/*
 * All of history, verified, in order of number: from the oldest archive that is
 * here and needed to the newest commit. State records are none of it.
 */
struct jt_archive_link {
	uint64_t generation;
	struct jt_commit end; /* where the next file goes on; no time */
};
struct jt_archive {
	struct jt_journal newest, older;
	struct jt_reader reader;
	struct jt_archive_link *links; /* newest first; the last one is read */
	size_t n_links;
	uint64_t first;	   /* what begin() found: the first record to come */
	char missing[160]; /* why that is not FROM; empty: it is */
};

/*
 * Stand before record FROM, at least 1, at most one behind the commit
 * (JT_JOURNAL_E_OLD). What is missing in front is said in a->missing. A may
 * not be moved before end().
 */
int jt_archive_begin(struct jt_archive *a, const struct jt_io *io,
		     const char *dir, uint64_t from, struct jt_fault *faultp);
/* As jt_reader_next(): *NP = 0 at the newest commit. */
int jt_archive_next(struct jt_archive *a, struct jt_record *records, size_t max,
		    size_t *np, struct jt_fault *faultp);
void jt_archive_end(struct jt_archive *a);

#endif
