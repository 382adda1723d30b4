/*
 * help_journal: a journal on the disk in memory, in a few words.
 *
 * Everything here uses help_io and asserts that what is not the test's subject
 * succeeds.
 */
#ifndef JT_TESTS_HELP_JOURNAL_H
#define JT_TESTS_HELP_JOURNAL_H

#include "admin/journal.h"
#include "tests/help_io.h"

extern struct jt_fault help_fault; /* of the last call made through here */

/* N different records of TYPE, as a caller of jt_journal_append() fills them.
 */
void help_records(struct jt_record *records, size_t n,
		  enum jt_record_type type);

/* An empty disk, then a journal with COMMITS commits of one record each. */
void help_journal_new(unsigned commits);

/* Open for writing, append one batch, close; the first result that is not 0. */
int help_append(size_t n, enum jt_record_type type);

/* Open for reading and close; result of the first, and where the commit is. */
int help_look(struct jt_commit *cp);

/* jt_journal_check(). */
int help_check(void);

/* Where the commit is, in a journal that must be sound. */
struct jt_commit help_commit(void);

bool help_same(const struct jt_commit *a, const struct jt_commit *b);

/* Seeded: the same numbers in every run. */
uint64_t help_random(uint64_t *seed);

#endif
