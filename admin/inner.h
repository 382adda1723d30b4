/*
 * inner: what journal.c, check.c, commit.c, rescue.c and anchor.c share.
 *
 * Nobody else includes this: each of these is one half of a promise whose other
 * half stands in one of those files.
 */
#ifndef JT_ADMIN_INNER_H
#define JT_ADMIN_INNER_H

#include "admin/anchor.h"
#include "admin/format.h"
#include "admin/lock.h"
#include "admin/place.h"

#define JT_JOURNAL_NEW_NAME "journal.new" /* complete or worthless */

/* "damaged at byte OFFSET: WHY", JT_JOURNAL_E_DAMAGED. NUMBER 0: no record. */
int jt_journal_damaged(struct jt_fault *faultp, uint64_t number,
		       uint64_t offset, const char *why);

/* Open NAME in P and load it; on failure J is closed but for P's directory. */
int jt_journal_attach(struct jt_journal *j, const struct jt_place *p,
		      const char *name, int flags, struct jt_slots *slots,
		      struct jt_fault *faultp);

/* Do header and slots of j->fd hold? Fills J, adopts; no record is read. */
int jt_journal_load(struct jt_journal *j, struct jt_slots *slots,
		    struct jt_fault *faultp);

/* The record that the commit ends with: enough to write behind it. */
int jt_journal_last(const struct jt_journal *j, struct jt_fault *faultp);

/* Every committed record, and the tags that the slots claim. */
int jt_journal_verify(const struct jt_journal *j, const struct jt_slots *slots,
		      struct jt_journal_summary *summaryp,
		      struct jt_fault *faultp);

/* The stored tag of a committed record, or of the base. */
int jt_journal_tag(const struct jt_journal *j, uint64_t number,
		   uint8_t out[JT_TAG_BYTES], struct jt_fault *faultp);

/* Header page and both slots, which then name the same commit. */
int jt_front_write(const struct jt_io *io, int fd,
		   const struct jt_header_page *header,
		   const struct jt_commit *c);

/* Real zeros from FROM up to TO. */
int jt_zero_write(const struct jt_io *io, int fd, uint64_t from, uint64_t to);

/* The anchor of the journal's directory, if any, against the journal. */
int jt_anchor_guard(const struct jt_journal *j, struct jt_fault *faultp);

#endif
