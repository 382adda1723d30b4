/*
 * compact: a new file without what no longer says anything.
 *
 * The new file is the next generation of the same journal: in front the records
 * that the state still needs (survey.h), then those committed while it was
 * built. Numbers, tags and receipts go on; what was left out stays in the old
 * file, kept as an archive (archive.h). Followers, readers and writers need not
 * stop. The argument, crashes included, stands in compact.c.
 */
#ifndef JT_ADMIN_COMPACT_H
#define JT_ADMIN_COMPACT_H

#include "admin/archive.h"

/* While it is built; complete or worthless. One of an earlier run is removed.
 */
#define JT_COMPACT_NAME "journal.compact"

struct jt_compacted {
	uint64_t records_before, records_after; /* in the files */
	uint64_t bytes_before, bytes_after;
	uint64_t state;	    /* of records_after: in front */
	uint64_t locked_ns; /* how long writers had to wait */
	struct jt_commit end;
	char archive[JT_ARCHIVE_NAME_MAX];
};

/*
 * 0, or the journal is as it was: JT_JOURNAL_E_BUSY (another compaction, or a
 * writer that does not let go), JT_JOURNAL_E_REPLACED (a rescue came between),
 * JT_JOURNAL_E_EXISTS (a foreign file has the archive's name), those of opening
 * and reading a journal, negative errno. After a failed flush of the old file
 * or of the directory the lock file is poisoned, as after any other.
 */
int jt_journal_compact(const struct jt_io *io, const char *dir,
		       struct jt_compacted *donep, struct jt_fault *faultp);

#endif
