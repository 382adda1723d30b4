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
bool jt_draft_label(const char *text, char *out, size_t max,
		    char why[JT_WHY_MAX])
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

/* The furthest moment that the rules allow, 0: no rule. */
static uint64_t furthest(const struct jt_record_rules *rules, uint64_t now_s)
{
	char text[sizeof(rules->max_lifetime) + 1] = "";
	uint64_t most_s = 0;

	if (rules)
		memcpy(text, rules->max_lifetime, sizeof(rules->max_lifetime));
	if (text[0] && jt_expiry_parse(text, now_s, &most_s) != 0)
		return 0;
	return most_s;
}

bool jt_draft_expiry(const char *text, const struct jt_record_rules *rules,
		     uint64_t now_s, uint64_t *expires_sp, char why[JT_WHY_MAX])
{
	uint64_t most_s = furthest(rules, now_s);
	int e = jt_expiry_parse(*text ? text : JT_EXPIRY_DEFAULT, now_s,
				expires_sp);

	if (e) {
		snprintf(why, JT_WHY_MAX, "%s", jt_expiry_why(e));
		return false;
	}
	if (!most_s || *expires_sp <= most_s)
		return true;
	*expires_sp = most_s; /* what nobody asked for, "never" asks for most */
	if (!*text || strcmp(text, "never") == 0)
		return true;
	snprintf(why, JT_WHY_MAX,
		 "is beyond this deployment's maximum lifetime of %.16s",
		 rules->max_lifetime);
	return false;
}

static bool limit(const char *const given[JT_COLUMNS_N], struct jt_draft *d,
		  enum jt_column *columnp, char *why)
{
	int e = jt_limits_parse(given[JT_COL_rate], given[JT_COL_burst],
				given[JT_COL_quota], &d->limit);

	if (e == 0)
		return true;
	*columnp = JT_COL_burst;
	if (e == JT_LIMITS_E_RATE || e == JT_LIMITS_E_FAST)
		*columnp = JT_COL_rate;
	if (e == JT_LIMITS_E_QUOTA || e == JT_LIMITS_E_MANY)
		*columnp = JT_COL_quota;
	snprintf(why, JT_WHY_MAX, "%s", jt_limits_why(e));
	return false;
}

static bool plan(const char *text, struct jt_draft *d, char *why)
{
	if (!*text || strcmp(text, "none") == 0)
		return true;
	if (!jt_plan_name_ok(text)) {
		snprintf(why, JT_WHY_MAX,
			 "is no plan's name: 1 to %d of a-z, "
			 "0-9, `.`, `_` and `-`",
			 JT_PLAN_MAX);
		return false;
	}
	strcpy(d->plan, text);
	return true;
}

static bool scopes(const char *text, struct jt_draft *d, char *why)
{
	int e = jt_scopes_parse(text, d->scopes);

	/* a value has the shape of a name */
	if (jt_looks_secret(text)) {
		snprintf(why, JT_WHY_MAX,
			 "holds a token value, which must not be stored");
		return false;
	}
	if (e)
		snprintf(why, JT_WHY_MAX, "%s", jt_scopes_why(e));
	return e == 0;
}

bool jt_draft_parse(const char *const text[JT_COLUMNS_N],
		    const struct jt_record_rules *rules, uint64_t now_s,
		    struct jt_draft *d, enum jt_column *columnp,
		    char why[JT_WHY_MAX])
{
	const char *given[JT_COLUMNS_N];

	for (size_t i = 0; i < JT_COLUMNS_N; i++)
		given[i] = text[i] ? text[i] : "";
	memset(d, 0, sizeof(*d));
	*columnp = JT_COL_name;
	if (!jt_draft_label(given[JT_COL_name], d->name, sizeof(d->name), why))
		return false;
	*columnp = JT_COL_owner;
	if (*given[JT_COL_owner] &&
	    !jt_draft_label(given[JT_COL_owner], d->owner, sizeof(d->owner),
			    why))
		return false;
	*columnp = JT_COL_env;
	if (!environment(given[JT_COL_env], d->env, why))
		return false;
	*columnp = JT_COL_expires;
	if (!jt_draft_expiry(given[JT_COL_expires], rules, now_s, &d->expires_s,
			     why))
		return false;
	*columnp = JT_COL_plan;
	if (!plan(given[JT_COL_plan], d, why))
		return false;
	*columnp = JT_COL_scopes;
	if (!scopes(given[JT_COL_scopes], d, why))
		return false;
	return limit(given, d, columnp, why);
}
