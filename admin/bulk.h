/*
 * bulk: the table of `create --from FILE.csv`, and the one of `--out`.
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

/* PATH "-" is stdin. Exit code, reasons printed; rows are added to S. */
int jt_bulk_read(const char *path, const char *const defaults[JT_COLUMNS_N],
		 uint64_t now_s, struct jt_issue *s);

/* `id,name,token`, names quoted where CSV needs it. */
void jt_bulk_write_header(FILE *out);
void jt_bulk_write(FILE *out, const struct jt_record *r,
		   const char token[JT_TOKEN_BYTES]);

#endif
