/*
 * bulk: tables of tokens: that of `create --from FILE.csv`, the one of its
 * `--out`, and with one more column those of other verbs.
 *
 * First line: column names in any order, `name` among them. An empty or
 * missing cell takes the option of the same name, else the default. Every row
 * is checked before anything happens; the first ten faults are printed with
 * line and column. Spreadsheets' byte order mark is skipped.
 */
#ifndef JT_ADMIN_BULK_H
#define JT_ADMIN_BULK_H

#include "admin/issue.h"
#include <stdio.h>

/* What row() says of a row that it does not take, besides an exit code. */
#define JT_BULK_BAD (-1)

/* A table, and who gets its rows. */
struct jt_bulk {
	const char *path;	     /* "-" is stdin */
	const char *const *defaults; /* by column, NULL: none */
	const char *extra;	     /* a column that must be there; NULL: no */
	const struct jt_record_rules *rules;
	uint64_t now_s;
	/*
	 * A row that holds, with its cell of the extra column ("" if empty). 0,
	 * JT_BULK_BAD with column and reason, or an exit code: stop.
	 */
	int (*row)(void *ctx, uint64_t line, const struct jt_draft *d,
		   const char *cell, const char **columnp,
		   char why[JT_WHY_MAX]);
	/* A row that does not hold, once, with its first fault. May be NULL. */
	int (*bad)(void *ctx, uint64_t line, const char *column,
		   const char *why);
	void *ctx;
	uint64_t rows, faults; /* what was read */
};

/* Read all rows. Exit code when reading on was of no use, reason printed. */
int jt_bulk_rows(struct jt_bulk *b);

/* Why issue (issue.h) did not take a row: JT_BULK_BAD or an exit code. */
int jt_bulk_refusal(const struct jt_bulk *b, int e, const char **columnp,
		    char why[JT_WHY_MAX]);

/* `create --from`: exit code, reasons printed; rows are added to S. */
int jt_bulk_read(const char *path, const char *const defaults[JT_COLUMNS_N],
		 uint64_t now_s, struct jt_issue *s);

/* `id,name,token`, names quoted where CSV needs it. */
void jt_bulk_write_header(FILE *out);
void jt_bulk_write(FILE *out, const struct jt_record *r,
		   const char token[JT_TOKEN_BYTES]);

#endif
