/* draft: see draft.h. */
#include "admin/draft.h"
#include "admin/expiry.h"
#include "admin/label.h"
#include "shm/token.h"

#include <stdio.h>
#include <string.h>

const char *const jt_column_names[JT_COLUMNS_N] = {
#define X(column) #column,
	JT_COLUMNS(X)
#undef X
};

/* A label into its zeroed field of MAX bytes. */
static bool label(const char *text, char *out, size_t max, char *why)
{
	int e = jt_label_check(text, strlen(text), max);

	if (jt_looks_secret(text)) {
		snprintf(why, JT_WHY_MAX,
			 "holds a token value, which must not be stored");
		return false;
	}
	if (e) {
		jt_label_why(e, max, why, JT_WHY_MAX);
		return false;
	}
	memcpy(out, text, strlen(text));
	return true;
}

static bool environment(const char *text, char out[8], char *why)
{
	if (!*text)
		text = JT_ENV_DEFAULT;
	if (!jt_env_ok(text, strlen(text))) {
		snprintf(why, JT_WHY_MAX, "is not 1 to %d of a-z and 0-9",
			 JT_ENV_MAX);
		return false;
	}
	memcpy(out, text, strlen(text));
	return true;
}

static bool expiry(const char *text, uint64_t now_s, uint64_t *expires_sp,
		   char *why)
{
	int e = jt_expiry_parse(*text ? text : JT_EXPIRY_DEFAULT, now_s,
				expires_sp);

	if (e)
		snprintf(why, JT_WHY_MAX, "%s", jt_expiry_why(e));
	return e == 0;
}

static bool limit(const char *rate, const char *burst, struct jt_limit *out,
		  enum jt_column *columnp, char *why)
{
	int e = jt_limits_parse(rate, burst, out);

	if (e == 0)
		return true;
	if (e != JT_LIMITS_E_RATE && e != JT_LIMITS_E_FAST)
		*columnp = JT_COL_burst;
	snprintf(why, JT_WHY_MAX, "%s", jt_limits_why(e));
	return false;
}

bool jt_draft_parse(const char *const text[JT_COLUMNS_N], uint64_t now_s,
		    struct jt_draft *d, enum jt_column *columnp,
		    char why[JT_WHY_MAX])
{
	const char *given[JT_COLUMNS_N];

	for (size_t i = 0; i < JT_COLUMNS_N; i++)
		given[i] = text[i] ? text[i] : "";
	memset(d, 0, sizeof(*d));
	*columnp = JT_COL_name;
	if (!label(given[JT_COL_name], d->name, sizeof(d->name), why))
		return false;
	*columnp = JT_COL_owner;
	if (*given[JT_COL_owner] &&
	    !label(given[JT_COL_owner], d->owner, sizeof(d->owner), why))
		return false;
	*columnp = JT_COL_env;
	if (!environment(given[JT_COL_env], d->env, why))
		return false;
	*columnp = JT_COL_expires;
	if (!expiry(given[JT_COL_expires], now_s, &d->expires_s, why))
		return false;
	*columnp = JT_COL_rate;
	return limit(given[JT_COL_rate], given[JT_COL_burst], &d->limit,
		     columnp, why);
}
