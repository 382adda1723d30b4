/*
 * rescue: the two ways back into a journal that writers refuse.
 *
 * Run by an operator, under the lock, who has been told why. Results and
 * faultp as in journal.h.
 */
#ifndef JT_ADMIN_RESCUE_H
#define JT_ADMIN_RESCUE_H

#include "admin/journal.h"

/*
 * After a failed flush: copy what the disk holds of the committed prefix into a
 * new file, verify it whole, and put it in the old one's place. The old file
 * stays as `journal.rescued-GENERATION`. Readers see JT_JOURNAL_E_REPLACED;
 * numbers and tags stay the same. A crash leaves the old file or the new.
 * JT_JOURNAL_E_EXISTS: another archive has that name.
 */
int jt_journal_rescue(const struct jt_io *io, const char *dir,
		      struct jt_fault *faultp);

/*
 * After an older copy was put back: verify the journal whole and let the anchor
 * name its end. AT is the end that the operator was shown; JT_JOURNAL_E_OLD if
 * the journal ends elsewhere.
 */
int jt_journal_accept(const struct jt_io *io, const char *dir,
		      const struct jt_commit *at, struct jt_fault *faultp);

#endif
