/*
 * scopes: lists of scope names, from what people write to a set of numbers.
 *
 * `orders:read,billing:*` or with blanks; what a name may look like stands in
 * shm/scope.h. The canonical form is sorted, each name once, one blank
 * between. Pure functions.
 */
#ifndef JT_ADMIN_SCOPES_H
#define JT_ADMIN_SCOPES_H

#include "admin/record.h"
#include <stdbool.h>

#define JT_SCOPES_TEXT 2048 /* of one token's list */

enum {
	JT_SCOPES_E_NAME = 1, /* a name of another shape */
	JT_SCOPES_E_LONG,     /* more than JT_SCOPES_TEXT */
};

/* TEXT to its canonical form; "none" and "" give "". 0 or JT_SCOPES_E_*. */
int jt_scopes_parse(const char *text, char out[JT_SCOPES_TEXT]);

/* What is wrong, after the name of the field. */
const char *jt_scopes_why(int e);

/* Step through a canonical list; false at its end. NAME is zero-padded. */
bool jt_scopes_next(const char **textp, char name[JT_SCOPE_MAX]);

/* Is that the name of a plan: 1 to 32 of a-z, 0-9, `.`, `_` and `-`? */
bool jt_plan_name_ok(const char *name);

#endif
