/*
 * help_story: see the header. Ids are the token's place in the first bytes.
 */
#include "tests/help_story.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_MAX 4u

static unsigned place_of(const char *id)
{
	unsigned at = 0;

	cr_assert_eq(sscanf(id, "jt_live_%u", &at), 1);
	cr_assert_lt(at, STORY_TOKENS);
	return at;
}

static void fold_definition(struct jt_record *of, unsigned *np, unsigned max,
			    unsigned number, const struct jt_record *r)
{
	cr_assert(number > 0 && number <= max);
	/* numbers are given in turn; one may come again later */
	cr_assert_leq(number, *np + 1);
	if (number == *np + 1)
		++*np;
	of[number] = *r;
}

static void fold_token(struct story *s, const struct jt_record *r)
{
	unsigned at = place_of(r->token.id);
	struct story_token *t = &s->tokens[at];

	cr_assert_leq(r->token.plan, s->n_plans);
	cr_assert_leq(r->token.scope_set, s->n_sets);
	if (r->type == JT_REC_CREATE) {
		cr_assert_not(t->exists);
		*t = (struct story_token){.exists = true, .first = *r};
		if (at >= s->n_tokens)
			s->n_tokens = at + 1;
	}
	cr_assert(t->exists);
	if (r->type == JT_REC_PURGE) {
		*t = (struct story_token){.exists = false};
		return;
	}
	if (r->type != JT_REC_CREATE &&
	    memcmp(t->newest.token.digest, r->token.digest, JT_DIGEST_BYTES))
		memcpy(t->before, t->newest.token.digest, JT_DIGEST_BYTES);
	t->newest = *r;
}

static void fold_notice(struct story *s, const struct jt_record *r)
{
	struct story_token *t = &s->tokens[place_of(r->notice.id)];

	if (t->exists)
		t->notice = *r;
}

void story_fold(struct story *s, const struct jt_record *record)
{
	struct jt_record r = *record;

	memset(r.tag, 0, sizeof(r.tag));
	switch ((enum jt_record_type)r.type) {
	case JT_REC_PLAN:
		fold_definition(s->plans, &s->n_plans, STORY_PLANS,
				r.plan.number, &r);
		break;
	case JT_REC_SCOPE:
		fold_definition(s->scopes, &s->n_scopes, STORY_SCOPES,
				r.scope.number, &r);
		break;
	case JT_REC_SCOPES:
		fold_definition(s->sets, &s->n_sets, STORY_SCOPES,
				r.scopes.number, &r);
		break;
	case JT_REC_RULES:
		s->rules = r;
		break;
	case JT_REC_NOTICE:
		fold_notice(s, &r);
		break;
	case JT_REC_REASON:
	case JT_REC_COPY:
		break;
	default:
		fold_token(s, &r);
	}
}

/* ---- inventing ---- */

static void invent_definition(const struct story *s, uint64_t z,
			      struct jt_record *r)
{
	bool again = z >> 8 & 1 && s->n_plans > 0;

	switch (z % 4) {
	case 0:
		if (!again && s->n_plans == STORY_PLANS)
			break;
		r->type = JT_REC_PLAN;
		r->plan.number = (uint16_t)(s->n_plans + 1);
		if (again)
			r->plan.number = (uint16_t)((z >> 16) % s->n_plans + 1);
		r->plan.rate = z >> 32 & 0xff;
		r->plan.period_ns = 1000000000u;
		r->plan.burst = 5;
		snprintf(r->plan.name, JT_PLAN_MAX, "plan%u", r->plan.number);
		return;
	case 1:
		if (s->n_scopes == STORY_SCOPES)
			break;
		r->type = JT_REC_SCOPE;
		r->scope.number = (uint16_t)(s->n_scopes + 1);
		snprintf(r->scope.name, JT_SCOPE_MAX, "s%u", r->scope.number);
		return;
	case 2:
		if (s->n_sets == STORY_SCOPES)
			break;
		r->type = JT_REC_SCOPES;
		r->scopes.number = (uint16_t)(s->n_sets + 1);
		r->scopes.bits[0] = (uint8_t)(z >> 8);
		return;
	}
	r->type = JT_REC_RULES;
	snprintf(r->rules.max_lifetime, 16, "%ud", (unsigned)(z >> 8 & 0xff));
}

static void invent_create(const struct story *s, unsigned at, uint64_t z,
			  struct jt_record *r)
{
	char id[JT_ID_BYTES + 1];

	r->type = JT_REC_CREATE;
	snprintf(id, sizeof(id), "jt_live_%02uxxxxxxxxxxxxxx", at);
	memcpy(r->token.id, id, JT_ID_BYTES);
	memcpy(r->env, "live", 4);
	snprintf(r->token.name, JT_NAME_MAX, "token %u", at);
	memcpy(r->token.digest, &z, sizeof(z));
	r->token.expires_s = 1900000000u + (uint32_t)(z & 0xff);
	r->token.plan = (uint16_t)(s->n_plans ? z % (s->n_plans + 1) : 0);
}

static void invent_change(const struct story *s, unsigned at, uint64_t z,
			  struct jt_record *r)
{
	static const uint8_t types[] = {
		JT_REC_RENEW,  JT_REC_RENAME, JT_REC_SET,    JT_REC_SUSPEND,
		JT_REC_RESUME, JT_REC_ROTATE, JT_REC_FINISH, JT_REC_ROTATE,
		JT_REC_RENEW,  JT_REC_COPY,   JT_REC_NOTICE, JT_REC_REVOKE,
	};
	const struct jt_record *newest = &s->tokens[at].newest;

	r->type = types[z % sizeof(types)];
	if (newest->type == JT_REC_REVOKE)
		r->type = JT_REC_PURGE;
	if (r->type == JT_REC_NOTICE) {
		memcpy(r->notice.id, newest->token.id, JT_ID_BYTES);
		r->notice.expires_s = newest->token.expires_s;
		r->notice.days = z >> 8 & 7;
		return;
	}
	memcpy(r->env, newest->env, sizeof(r->env));
	r->token = newest->token;
	if (r->type == JT_REC_RENEW)
		r->token.expires_s = 1900000000u + (uint32_t)(z >> 8 & 3);
	if (r->type == JT_REC_RENAME)
		memset(r->token.name, 0, JT_NAME_MAX);
	if (r->type == JT_REC_RENAME)
		snprintf(r->token.name, JT_NAME_MAX, "n%u", (unsigned)z);
	if (r->type == JT_REC_SET)
		r->token.scope_set =
			(uint16_t)(s->n_sets ? z % (s->n_sets + 1) : 0);
	if (r->type == JT_REC_SUSPEND)
		r->token.flags |= JT_TOKEN_SUSPENDED;
	if (r->type == JT_REC_RESUME)
		r->token.flags &= (uint8_t)~JT_TOKEN_SUSPENDED;
	if (r->type == JT_REC_ROTATE) {
		memcpy(r->token.digest, &z, sizeof(z));
		r->token.old_until_s = 1800000000u + (uint32_t)(z & 0xff);
	}
	if (r->type == JT_REC_FINISH)
		r->token.old_until_s = 1700000000u;
}

static void invent(const struct story *s, uint64_t *seed, struct jt_record *r)
{
	uint64_t z = help_random(seed), y = help_random(seed);
	unsigned at = (unsigned)(z >> 32) % STORY_TOKENS;

	memset(r, 0, sizeof(*r));
	if (z % 9 == 0)
		invent_definition(s, y, r);
	else if (s->tokens[at].exists)
		invent_change(s, at, y, r);
	else
		invent_create(s, at, y, r);
}

void story_tell(struct story *s, uint64_t *seed, unsigned commits)
{
	struct jt_record r[BATCH_MAX + 1];
	struct jt_journal j;

	cr_assert_eq(
		jt_journal_open_write(&j, &help_io, HELP_DIR, 50, &help_fault),
		0, "%s", help_fault.line);
	for (unsigned i = 0; i < commits; i++) {
		size_t n = help_random(seed) % BATCH_MAX + 1;
		struct story next = *s;

		/* later records of a batch build on the earlier ones */
		for (size_t k = 0; k < n; k++) {
			invent(&next, seed, &r[k]);
			story_fold(&next, &r[k]);
		}
		memset(&r[n], 0, sizeof(r[n]));
		r[n].type = JT_REC_REASON;
		strcpy(r[n].reason, "because");
		cr_assert_eq(jt_journal_append(&j, r, n + 1, &help_fault), 0,
			     "%s", help_fault.line);
		for (size_t k = 0; k <= n; k++)
			story_fold(s, &r[k]);
	}
	jt_journal_close(&j);
}

void story_read(struct story *s)
{
	struct jt_record r[64];
	struct jt_reader reader;
	struct jt_journal j;
	size_t n;

	memset(s, 0, sizeof(*s));
	cr_assert_eq(jt_journal_open(&j, &help_io, HELP_DIR, &help_fault), 0,
		     "%s", help_fault.line);
	jt_reader_init(&reader, &j);
	do {
		cr_assert_eq(jt_reader_next(&reader, r, 64, &n, &help_fault), 0,
			     "%s", help_fault.line);
		for (size_t i = 0; i < n; i++)
			story_fold(s, &r[i]);
	} while (n > 0);
	jt_journal_close(&j);
}

/* Does what was announced speak of the expiry that it has? */
static bool matters(const struct story_token *t)
{
	return t->notice.type != 0 &&
	       t->notice.notice.expires_s == t->newest.token.expires_s;
}

static bool same_record(const struct jt_record *a, const struct jt_record *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static bool same_token(const struct story_token *a, const struct story_token *b)
{
	if (!a->exists || !b->exists)
		return a->exists == b->exists;
	return same_record(&a->first, &b->first) &&
	       same_record(&a->newest, &b->newest) &&
	       memcmp(a->before, b->before, sizeof(a->before)) == 0 &&
	       matters(a) == matters(b) &&
	       (!matters(a) || same_record(&a->notice, &b->notice));
}

bool story_same(const struct story *a, const struct story *b)
{
	for (unsigned i = 0; i < STORY_TOKENS; i++)
		if (!same_token(&a->tokens[i], &b->tokens[i]))
			return false;
	return a->n_plans == b->n_plans && a->n_scopes == b->n_scopes &&
	       a->n_sets == b->n_sets &&
	       memcmp(a->plans, b->plans, sizeof(a->plans)) == 0 &&
	       memcmp(a->scopes, b->scopes, sizeof(a->scopes)) == 0 &&
	       memcmp(a->sets, b->sets, sizeof(a->sets)) == 0 &&
	       memcmp(&a->rules, &b->rules, sizeof(a->rules)) == 0;
}
