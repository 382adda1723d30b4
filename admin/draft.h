/*
 * draft: what a new token shall be, from text to checked values.
 *
 * The same rules for `create NAME` and for a row of `create --from`: one
 * list of columns, NULL or "" for what was not given. The rules of the
 * deployment (init) bound the lifetime. Pure.
 */
#ifndef JT_ADMIN_DRAFT_H
#define JT_ADMIN_DRAFT_H

#include "admin/args.h"
#include "admin/limits.h"
#include "admin/scopes.h"
#include "admin/record.h"

#define JT_ENV_DEFAULT "live"

/* X(name): a CSV column and, but for name, an option */
#define JT_COLUMNS(X)                                                          \
	X(name)                                                                \
	X(expires)                                                             \
	X(env)                                                                 \
	X(owner)                                                               \
	X(rate)                                                                \
	X(burst)                                                               \
	X(quota)                                                               \
	X(plan)                                                                \
	X(scopes)

enum jt_column {
#define X(column) JT_COL_##column,
	JT_COLUMNS(X)
#undef X
	JT_COLUMNS_N,
};

extern const char *const jt_column_names[JT_COLUMNS_N];

struct jt_draft {
	char name[JT_NAME_MAX]; /* zero-padded */
	char owner[JT_OWNER_MAX];
	char env[8];
	char plan[JT_PLAN_MAX + 1];  /* a name, empty: none */
	char scopes[JT_SCOPES_TEXT]; /* canonical, see scopes.h */
	uint64_t expires_s;
	struct jt_limit limit; /* its own */
};

/*
 * RULES may be NULL. False: *COLUMNP is wrong, WHY says how; no text is
 * repeated there.
 */
bool jt_draft_parse(const char *const text[JT_COLUMNS_N],
		    const struct jt_record_rules *rules, uint64_t now_s,
		    struct jt_draft *d, enum jt_column *columnp,
		    char why[JT_WHY_MAX]);

/* The parts, for verbs that change a token; each as above. */
bool jt_draft_label(const char *text, char *out, size_t max,
		    char why[JT_WHY_MAX]);
bool jt_draft_expiry(const char *text, const struct jt_record_rules *rules,
		     uint64_t now_s, uint64_t *expires_sp,
		     char why[JT_WHY_MAX]);

#endif
