/*
 * backup: a verified copy of the journal, also while it is written.
 *
 * The copy is a journal: put in a data directory's place of `journal`, it is
 * that journal as of the copied commit. It has no reserve; the first writer
 * adds that.
 */
#ifndef JT_ADMIN_BACKUP_H
#define JT_ADMIN_BACKUP_H

#include "admin/journal.h"

/*
 * Copy to PATH, a new file (0600; -EEXIST when there is one), synced with its
 * directory and read back. *ENDP: the commit that it ends with. On any error
 * no file is left.
 */
int jt_journal_backup(const struct jt_io *io, const char *dir, const char *path,
		      struct jt_commit *endp, uint64_t *bytesp,
		      struct jt_fault *faultp);

#endif
