/*
 * help_admin: a data directory on the real disk, and what verbs say there.
 *
 * stdout and stderr go to a file from the beginning on; the directory is gone
 * when the test ends. Asserts that what is not the test's subject succeeds.
 */
#ifndef JT_TESTS_HELP_ADMIN_H
#define JT_TESTS_HELP_ADMIN_H

#include "admin/catalog.h"
#include "admin/cmd.h"
#include "tests/help_record.h"

/* CMD without options, on a new directory with an empty journal. */
void help_admin_new(struct jt_cmd *cmd);

/* One batch, as any writer appends it. */
void help_admin_commit(const struct jt_cmd *cmd, struct jt_record *records,
		       size_t n);

/* Make a token there, as CREATE of the empty draft does. */
struct jt_record help_admin_token(const struct jt_cmd *cmd,
				  struct help_token *token);

/* All that is committed. */
void help_admin_fold(const struct jt_cmd *cmd, struct jt_catalog *catalog);

/* What was said since the last call. */
const char *help_said(void);

/* A file in the directory with these bytes. */
void help_admin_file(const struct jt_cmd *cmd, char path[128],
		     const void *bytes, size_t n);

#endif
