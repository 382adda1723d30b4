/* describe: see describe.h. */
#include "admin/describe.h"
#include "admin/expiry.h"
#include "admin/lookup.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#define SCOPES_TEXT (JT_SCOPES_N * (JT_SCOPE_MAX + 1))

struct difference {
	const struct jt_catalog *names;
	const struct jt_record *before, *after;
	jt_describe_fn *put;
	void *ctx;
};

/* FROM and TO are read only when there is a BEFORE, and differ. */
static void put(const struct difference *d, const char *field, const char *from,
		const char *to)
{
	if (!d->before && *to)
		d->put(d->ctx, field, NULL, to);
	else if (d->before && strcmp(from, to) != 0)
		d->put(d->ctx, field, from, to);
}

/* A zero-padded field. */
static void put_text(const struct difference *d, const char *field,
		     const char *from, const char *to, size_t max)
{
	char old[JT_NAME_MAX + 1] = "", new[JT_NAME_MAX + 1] = "";

	if (d->before)
		memcpy(old, from, strnlen(from, max));
	memcpy(new, to, strnlen(to, max));
	put(d, field, old, new);
}

static void time_of(uint32_t time_s, char out[JT_TIME_TEXT])
{
	if (time_s)
		jt_time_format(time_s, out);
	else
		strcpy(out, "none");
}

/* NONE: what stands for nothing; a new token need not say it. */
static void put_or_none(const struct difference *d, const char *field,
			const char *from, const char *to)
{
	if (d->before || strcmp(to, "none") != 0)
		put(d, field, from, to);
}

static void put_time(const struct difference *d, const char *field,
		     uint32_t from_s, uint32_t to_s)
{
	char from[JT_TIME_TEXT], to[JT_TIME_TEXT];

	time_of(from_s, from);
	time_of(to_s, to);
	put_or_none(d, field, from, to);
}

static void plan_of(const struct jt_catalog *names, uint16_t number,
		    char out[JT_PLAN_MAX + 1])
{
	const char *name = names->plans[number].name;
	size_t n = strnlen(name, JT_PLAN_MAX);

	if (!number || number > names->n_plans || !n) {
		strcpy(out, "none");
		return;
	}
	memcpy(out, name, n);
	out[n] = '\0';
}

static void put_plan(const struct difference *d, uint16_t from, uint16_t to)
{
	char old[JT_PLAN_MAX + 1], new[JT_PLAN_MAX + 1];

	plan_of(d->names, from, old);
	plan_of(d->names, to, new);
	put_or_none(d, "plan", old, new);
}

static void put_limits(const struct difference *d, uint16_t from, uint16_t to)
{
	char old[JT_LIMIT_TEXT], new[JT_LIMIT_TEXT];

	jt_limits_format(&d->names->plans[from].limit, old);
	jt_limits_format(&d->names->plans[to].limit, new);
	put_or_none(d, "limits", old, new);
}

static void scopes_of(const struct jt_catalog *names, uint16_t set,
		      char out[SCOPES_TEXT])
{
	jt_catalog_scope_names(names, set <= names->n_sets ? set : 0, out,
			       SCOPES_TEXT);
	if (!*out)
		strcpy(out, "none");
}

static void put_scopes(const struct difference *d, uint16_t from, uint16_t to)
{
	static char old[SCOPES_TEXT], new[SCOPES_TEXT];

	scopes_of(d->names, from, old);
	scopes_of(d->names, to, new);
	put_or_none(d, "scopes", old, new);
}

/* By what the record says alone: time makes a token expire, no record. */
static const char *status_of(const struct jt_record *r)
{
	if (r->type == JT_REC_PURGE)
		return "forgotten";
	if (r->type == JT_REC_REVOKE)
		return "revoked";
	return r->token.flags & JT_TOKEN_SUSPENDED ? "suspended" : "active";
}

static const char *copy_of(const struct jt_record *r)
{
	return r->token.flags & JT_TOKEN_RECOVERABLE ? "yes" : "no";
}

void jt_describe_token(const struct jt_catalog *names,
		       const struct jt_record *before,
		       const struct jt_record *after, jt_describe_fn *fn,
		       void *ctx)
{
	const struct difference d = {names, before, after, fn, ctx};
	static const struct jt_record nothing;
	const struct jt_record *b = before ? before : &nothing;
	const struct jt_record_token *from = &b->token, *to = &after->token;

	put_text(&d, "name", from->name, to->name, JT_NAME_MAX);
	put_text(&d, "env", b->env, after->env, JT_ENV_MAX);
	put_text(&d, "owner", from->owner, to->owner, JT_OWNER_MAX);
	if (before || strcmp(status_of(after), "active") != 0)
		put(&d, "status", status_of(b), status_of(after));
	put_time(&d, "expires", from->expires_s, to->expires_s);
	if (before && memcmp(from->digest, to->digest, sizeof(to->digest)) != 0)
		put(&d, "value", "the one before", "a new one");
	put_time(&d, "old_value_until", from->old_until_s, to->old_until_s);
	put_plan(&d, from->plan, to->plan);
	put_limits(&d, from->own, to->own);
	put_scopes(&d, from->scope_set, to->scope_set);
	if (before || to->flags & JT_TOKEN_RECOVERABLE)
		put(&d, "recoverable", copy_of(b), copy_of(after));
}

void jt_describe_subject(const struct jt_record *r, char out[JT_DESCRIBE_TEXT])
{
	switch ((enum jt_record_type)r->type) {
	case JT_REC_PLAN:
		snprintf(out, JT_DESCRIBE_TEXT, "plan %.*s", JT_PLAN_MAX,
			 r->plan.name);
		if (!r->plan.name[0])
			snprintf(out, JT_DESCRIBE_TEXT, "limits %u",
				 r->plan.number);
		return;
	case JT_REC_SCOPE:
		snprintf(out, JT_DESCRIBE_TEXT, "scope %.*s", JT_SCOPE_MAX,
			 r->scope.name);
		return;
	case JT_REC_SCOPES:
		snprintf(out, JT_DESCRIBE_TEXT, "scopes %u", r->scopes.number);
		return;
	case JT_REC_RULES:
		strcpy(out, "rules");
		return;
	case JT_REC_REASON:
		strcpy(out, "");
		return;
	case JT_REC_NOTICE:
		snprintf(out, JT_DESCRIBE_TEXT, "%.*s", JT_ID_BYTES,
			 r->notice.id);
		return;
	default:
		snprintf(out, JT_DESCRIBE_TEXT, "%.*s", JT_ID_BYTES,
			 r->token.id);
	}
}

static void plan_event(const struct jt_catalog *names,
		       const struct jt_record_plan *p,
		       char out[JT_DESCRIBE_TEXT])
{
	const struct jt_plan_card *have = &names->plans[p->number];
	bool known = p->number <= names->n_plans && !have->removed;
	struct jt_limit limit = jt_limits_of(p);
	char from[JT_LIMIT_TEXT], to[JT_LIMIT_TEXT] = "removed";

	jt_limits_format(&have->limit, from);
	if (!p->removed)
		jt_limits_format(&limit, to);
	if (known)
		snprintf(out, JT_DESCRIBE_TEXT, "%s -> %s", from, to);
	else
		snprintf(out, JT_DESCRIBE_TEXT, "%s", to);
}

static void rules_event(const struct jt_record_rules *rules,
			char out[JT_DESCRIBE_TEXT])
{
	size_t max = sizeof(rules->max_lifetime);

	if (rules->max_lifetime[0])
		snprintf(out, JT_DESCRIBE_TEXT,
			 "no token lives longer than "
			 "%.*s",
			 (int)max, rules->max_lifetime);
}

static void notice_event(const struct jt_record_notice *n,
			 char out[JT_DESCRIBE_TEXT])
{
	char expires[JT_TIME_TEXT];

	jt_time_format(n->expires_s, expires);
	if (n->days)
		snprintf(out, JT_DESCRIBE_TEXT,
			 "%" PRIu32 " days before %s announced", n->days,
			 expires);
	else
		snprintf(out, JT_DESCRIBE_TEXT, "end at %s announced", expires);
}

void jt_describe_event(const struct jt_catalog *names,
		       const struct jt_record *r, char out[JT_DESCRIBE_TEXT])
{
	out[0] = '\0';
	switch ((enum jt_record_type)r->type) {
	case JT_REC_PLAN:
		plan_event(names, &r->plan, out);
		return;
	case JT_REC_RULES:
		rules_event(&r->rules, out);
		return;
	case JT_REC_NOTICE:
		notice_event(&r->notice, out);
		return;
	case JT_REC_COPY:
		strcpy(out, "the value was read from the vault");
		return;
	default:
		return;
	}
}

const char *jt_describe_user(uint32_t uid)
{
	static char name[64];
	static uint32_t of;
	const struct passwd *p;

	if (name[0] && of == uid)
		return name;
	of = uid;
	p = getpwuid((uid_t)uid);
	if (p && strlen(p->pw_name) < sizeof(name))
		strcpy(name, p->pw_name);
	else
		snprintf(name, sizeof(name), "%" PRIu32, uid);
	return name;
}

void jt_describe_uid(uint32_t uid, char out[JT_UID_TEXT])
{
	const char *name = jt_describe_user(uid);
	int n = snprintf(out, JT_UID_TEXT, "uid %" PRIu32, uid);

	if (strcmp(name, out + strlen("uid ")) != 0)
		snprintf(out + n, JT_UID_TEXT - (size_t)n, " (%s)", name);
}
