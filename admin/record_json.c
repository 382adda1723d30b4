/* record_json: see record_json.h. */
#include "admin/record_json.h"
#include "admin/expiry.h"

#include <sodium.h>

static void put_text(json_t *o, const char *key, const char *text, size_t max)
{
	json_object_set_new(o, key, jt_json_text(text, max));
}

static void put_word(json_t *o, const char *key, const char *word)
{
	json_object_set_new(o, key, json_string(word));
}

static void put_number(json_t *o, const char *key, uint64_t n)
{
	json_object_set_new(o, key, json_integer((json_int_t)n));
}

static void put_hex(json_t *o, const char *key, const uint8_t *bytes, size_t n)
{
	char text[2 * JT_DIGEST_BYTES + 1];

	put_word(o, key, sodium_bin2hex(text, sizeof(text), bytes, n));
}

static void put_time(json_t *o, const char *key, uint64_t time_s)
{
	char text[JT_TIME_TEXT];

	jt_time_format(time_s, text);
	put_word(o, key, text);
}

static void put_token(json_t *o, const struct jt_record *r)
{
	static const char *const schemes[JT_VALUE_SCHEMES] = {
		[JT_VALUE_NATIVE] = "native",
		[JT_VALUE_SHA256] = "sha256",
		[JT_VALUE_PREFIXED] = "sha256-suffix",
	};
	const struct jt_record_token *t = &r->token;

	put_text(o, "env", r->env, sizeof(r->env));
	put_text(o, "id", t->id, JT_ID_BYTES);
	put_hex(o, "digest", t->digest, JT_DIGEST_BYTES);
	put_word(o, "scheme",
		 t->scheme < JT_VALUE_SCHEMES ? schemes[t->scheme] : "?");
	put_text(o, "name", t->name, JT_NAME_MAX);
	put_text(o, "owner", t->owner, JT_OWNER_MAX);
	put_time(o, "expires", t->expires_s);
	if (t->old_until_s)
		put_time(o, "old_until", t->old_until_s);
	put_number(o, "plan", t->plan);
	put_number(o, "own", t->own);
	put_number(o, "scope_set", t->scope_set);
	put_number(o, "flags", t->flags);
}

static void put_plan(json_t *o, const struct jt_record_plan *p)
{
	static const char *const units[JT_QUOTA_UNITS] = {
		[JT_QUOTA_NONE] = "none",   [JT_QUOTA_DAY] = "day",
		[JT_QUOTA_WEEK] = "week",   [JT_QUOTA_MONTH] = "month",
		[JT_QUOTA_MINUTES] = "min",
	};

	put_number(o, "plan", p->number);
	put_text(o, "name", p->name, JT_PLAN_MAX);
	put_number(o, "rate", p->rate);
	put_number(o, "period_ns", p->period_ns);
	put_number(o, "burst", p->burst);
	put_number(o, "quota", p->quota);
	put_word(o, "quota_unit",
		 p->quota_unit < JT_QUOTA_UNITS ? units[p->quota_unit] : "?");
	put_number(o, "quota_minutes", p->quota_minutes);
	json_object_set_new(o, "removed", json_boolean(p->removed));
}

static void put_notice(json_t *o, const struct jt_record_notice *n)
{
	put_text(o, "id", n->id, JT_ID_BYTES);
	put_time(o, "expires", n->expires_s);
	put_number(o, "days", n->days);
}

static void put_body(json_t *o, const struct jt_record *r)
{
	switch ((enum jt_record_type)r->type) {
	case JT_REC_PLAN:
		put_plan(o, &r->plan);
		break;
	case JT_REC_SCOPE:
		put_number(o, "scope", r->scope.number);
		put_text(o, "name", r->scope.name, JT_SCOPE_MAX);
		break;
	case JT_REC_SCOPES:
		put_number(o, "scope_set", r->scopes.number);
		put_hex(o, "bits", r->scopes.bits, sizeof(r->scopes.bits));
		break;
	case JT_REC_RULES:
		put_text(o, "max_lifetime", r->rules.max_lifetime,
			 sizeof(r->rules.max_lifetime));
		break;
	case JT_REC_REASON:
		put_text(o, "reason", r->reason, JT_REASON_MAX);
		break;
	case JT_REC_NOTICE:
		put_notice(o, &r->notice);
		break;
	default:
		put_token(o, r);
	}
}

json_t *jt_record_json(const struct jt_record *r)
{
	json_t *o = json_object();

	if (!o)
		return NULL;
	put_number(o, "number", r->number);
	put_word(o, "type", jt_record_verb(r->type));
	put_time(o, "time", r->time_ns / 1000000000u);
	put_number(o, "time_ns", r->time_ns);
	put_hex(o, "op", r->op, sizeof(r->op));
	put_number(o, "actor_uid", r->actor_uid);
	put_number(o, "part", r->part);
	put_number(o, "parts", r->parts);
	put_body(o, r);
	put_hex(o, "tag", r->tag, sizeof(r->tag));
	return o;
}
