/*
 * intake: tokens of other systems, from a table of digests to one commit.
 *
 *   init, then fold the journal: what is there already?
 *   row, bad    for each row of the table (bulk.h): what becomes of it?
 *   again       under the lock, after fold.h caught up: the same for what was
 *               committed meanwhile
 *   imported    after the commit of intake.issue
 *
 * What is there already stays as it is, whatever its state: a revoked token
 * does not come back by being imported again, only what was purged is not there
 * any more. A value is never seen here.
 */
#ifndef JT_ADMIN_INTAKE_H
#define JT_ADMIN_INTAKE_H

#include "admin/bulk.h"
#include "admin/fold.h"
#include "admin/issue.h"
#include "admin/known.h"

/* What --scheme says. */
enum jt_intake_form {
	JT_INTAKE_HEX,
	JT_INTAKE_BASE64,
	JT_INTAKE_PREFIXED, /* hex, of what stands behind the last `_` */
	JT_INTAKE_FORMS,
};

enum jt_intake_result {
	JT_INTAKE_READY, /* nothing speaks against it, nothing was done */
	JT_INTAKE_IMPORTED,
	JT_INTAKE_EXISTS,
	JT_INTAKE_DUPLICATE,
	JT_INTAKE_BAD,
	JT_INTAKE_RESULTS,
};

extern const char *const jt_intake_words[JT_INTAKE_RESULTS];

struct jt_intake_row {
	uint64_t line;
	/* READY, IMPORTED: place in issue.records, definitions aside. EXISTS:
	 * in known. DUPLICATE: row. BAD: in whys */
	uint32_t at;
	uint32_t result; /* enum jt_intake_result */
};

struct jt_intake {
	enum jt_intake_form form;
	struct jt_issue issue;
	struct jt_fold fold;
	struct jt_known known; /* in the journal; `at`: a card */
	struct jt_known mine;  /* in the table; `at`: a row */
	struct jt_intake_row *rows;
	size_t n_rows, rows_max;
	uint64_t seen;		  /* so far the journal was read for rows */
	struct jt_distinct plans; /* names that rows gave ... */
	bool *plan_there;	  /* ... and whether they are plans */
	struct jt_distinct whys;
	size_t counts[JT_INTAKE_RESULTS];
};

/* False: there is no such scheme. */
bool jt_intake_form_parse(const char *text, enum jt_intake_form *formp);

/*
 * A cell to a digest. PREFIX: how values of ours begin. False: WHY, after the
 * column's name; nothing of the cell is repeated there.
 */
bool jt_intake_digest(enum jt_intake_form form, const char *prefix,
		      const char *cell, uint8_t out[JT_DIGEST_BYTES],
		      char why[JT_WHY_MAX]);

/* 0 or -ENOMEM; to be ended in any case, and never moved. */
int jt_intake_init(struct jt_intake *in, enum jt_intake_form form);
void jt_intake_deinit(struct jt_intake *in);

/* For struct jt_bulk; CTX is the intake, its issue.prefix is set. */
int jt_intake_row(void *ctx, uint64_t line, const struct jt_draft *d,
		  const char *cell, const char **columnp, char why[JT_WHY_MAX]);
int jt_intake_bad(void *ctx, uint64_t line, const char *column,
		  const char *why);

/* 0 or an exit code, reason printed. */
int jt_intake_again(struct jt_intake *in);

/* What was ready is imported. */
void jt_intake_imported(struct jt_intake *in);

/* One row in words: its id ("": none) and why. */
void jt_intake_tell(const struct jt_intake *in, const struct jt_intake_row *row,
		    uint64_t now_s, char id[JT_ID_BYTES + 1],
		    char why[JT_WHY_MAX]);

#endif
