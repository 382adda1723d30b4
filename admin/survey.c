/*
 * survey: see survey.h.
 *
 * Why this is enough. A token record carries the whole state, so the newest one
 * is the token, but for three things that it does not say: when the token was
 * made (CREATE), what its value was before the last rotation (the ROTATE before
 * that, or CREATE, gave it), and what was announced of it (NOTICE). A record
 * names only plans and sets that came before it, and their first record is
 * kept, so each stands in front of who names it and numbers have no gaps.
 */
#include "admin/survey.h"
#include "shm/token.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define TOKENS_MIN 64u
#define INDEX_MIN 128u
#define PLANS_N (UINT16_MAX + 1u)

int jt_survey_init(struct jt_survey *s, uint64_t places)
{
	memset(s, 0, sizeof(*s));
	randombytes_buf(&s->seed, sizeof(s->seed));
	s->places = places;
	s->kept = calloc(places / 64 + 1, sizeof(*s->kept));
	s->plans = calloc(PLANS_N, sizeof(*s->plans));
	s->index = calloc(INDEX_MIN, sizeof(*s->index));
	s->index_mask = INDEX_MIN - 1;
	if (s->kept && s->plans && s->index)
		return 0;
	jt_survey_deinit(s);
	return -ENOMEM;
}

void jt_survey_deinit(struct jt_survey *s)
{
	free(s->tokens);
	free(s->index);
	free(s->plans);
	free(s->kept);
	memset(s, 0, sizeof(*s));
}

/* The index entry that holds ID, or the free one where it belongs. */
static uint32_t *entry(const struct jt_survey *s, const char *id)
{
	size_t at = jt_token_key((const uint8_t *)id, s->seed) & s->index_mask;

	/* ends: the index is never more than half full */
	while (s->index[at] &&
	       memcmp(s->tokens[s->index[at] - 1].id, id, JT_ID_BYTES) != 0)
		at = (at + 1) & s->index_mask;
	return &s->index[at];
}

static int grow_index(struct jt_survey *s)
{
	size_t n = (s->index_mask + 1) * 2;
	uint32_t *index = calloc(n, sizeof(*index));

	if (!index)
		return -ENOMEM;
	free(s->index);
	s->index = index;
	s->index_mask = n - 1;
	for (size_t i = 0; i < s->n_tokens; i++)
		*entry(s, s->tokens[i].id) = (uint32_t)i + 1;
	return 0;
}

static int grow_tokens(struct jt_survey *s)
{
	size_t n = s->tokens_max ? s->tokens_max * 2 : TOKENS_MIN;
	struct jt_survey_token *tokens;

	if (n >= UINT32_MAX)
		return -ENOMEM;
	tokens = reallocarray(s->tokens, n, sizeof(*tokens));
	if (!tokens)
		return -ENOMEM;
	s->tokens = tokens;
	s->tokens_max = n;
	return 0;
}

/* A purged one keeps its entry, for its id may come again. */
static int find_or_make(struct jt_survey *s, const char *id,
			struct jt_survey_token **tp)
{
	uint32_t at = *entry(s, id);
	int rc = 0;

	if (at == 0 && s->n_tokens == s->tokens_max)
		rc = grow_tokens(s);
	if (at == 0 && rc == 0 && (s->n_tokens + 1) * 2 > s->index_mask)
		rc = grow_index(s);
	if (rc)
		return rc;
	if (at == 0) {
		*entry(s, id) = at = (uint32_t)++s->n_tokens;
		memset(&s->tokens[at - 1], 0, sizeof(*s->tokens));
		memcpy(s->tokens[at - 1].id, id, JT_ID_BYTES);
	}
	*tp = &s->tokens[at - 1];
	return 0;
}

static int damaged(const struct jt_record *r, const char *why,
		   struct jt_fault *faultp)
{
	return jt_fault_set(faultp, JT_JOURNAL_E_DAMAGED, r->number, 0,
			    "journal record %" PRIu64 " %s; restore the "
			    "journal from a backup",
			    r->number, why);
}

static int add_create(struct jt_survey *s, uint64_t place,
		      const struct jt_record *r, struct jt_fault *faultp)
{
	struct jt_survey_token *t;
	int rc = find_or_make(s, r->token.id, &t);

	if (rc)
		return jt_fault_set(faultp, rc, r->number, 0,
				    "not enough memory for %zu tokens",
				    s->n_tokens);
	if (t->created)
		return damaged(r, "makes an id that exists", faultp);
	t->created = t->newest = place;
	t->values[0] = t->values[1] = t->notice = 0;
	t->revoked = false;
	return 0;
}

static int add_change(struct jt_survey *s, uint64_t place,
		      const struct jt_record *r, struct jt_fault *faultp)
{
	uint32_t at = *entry(s, r->token.id);
	struct jt_survey_token *t = at ? &s->tokens[at - 1] : NULL;

	if (!t || !t->created)
		return damaged(r, "changes an id that does not exist", faultp);
	if (r->type == JT_REC_PURGE) {
		t->created = 0;
		return 0;
	}
	if (t->revoked)
		return damaged(r, "changes a revoked token", faultp);
	t->newest = place;
	t->revoked = r->type == JT_REC_REVOKE;
	if (r->type == JT_REC_ROTATE) {
		t->values[1] = t->values[0];
		t->values[0] = place;
	}
	return 0;
}

static void add_notice(struct jt_survey *s, uint64_t place,
		       const struct jt_record_notice *n)
{
	uint32_t at = *entry(s, n->id);

	if (at)
		s->tokens[at - 1].notice = place;
}

static void keep(struct jt_survey *s, uint64_t place)
{
	s->kept[place / 64] |= UINT64_C(1) << place % 64;
}

static void add_plan(struct jt_survey *s, uint64_t place, uint16_t number)
{
	struct jt_survey_plan *p = &s->plans[number];

	if (!p->first)
		p->first = place;
	p->newest = place;
}

int jt_survey_add(struct jt_survey *s, uint64_t place,
		  const struct jt_record *r, struct jt_fault *faultp)
{
	assert(place > 0 && place <= s->places);
	switch ((enum jt_record_type)r->type) {
	case JT_REC_CREATE:
		return add_create(s, place, r, faultp);
	case JT_REC_REVOKE:
	case JT_REC_RENEW:
	case JT_REC_RENAME:
	case JT_REC_SET:
	case JT_REC_SUSPEND:
	case JT_REC_RESUME:
	case JT_REC_ROTATE:
	case JT_REC_FINISH:
	case JT_REC_PURGE:
		return add_change(s, place, r, faultp);
	case JT_REC_PLAN:
		add_plan(s, place, r->plan.number);
		return 0;
	case JT_REC_SCOPE:
	case JT_REC_SCOPES:
		keep(s, place);
		return 0;
	case JT_REC_RULES:
		s->rules = place;
		return 0;
	case JT_REC_NOTICE:
		add_notice(s, place, &r->notice);
		return 0;
	case JT_REC_REASON:
	case JT_REC_COPY:
		return 0;
	}
	return jt_fault_set(faultp, JT_JOURNAL_E_VERSION, r->number, 0,
			    "journal record %" PRIu64 " is of a type that this "
			    "jeton does not write; use a newer one",
			    r->number);
}

static void keep_token(struct jt_survey *s, const struct jt_survey_token *t)
{
	if (!t->created)
		return;
	keep(s, t->created);
	keep(s, t->newest);
	for (unsigned i = 0; i < 2; i++)
		if (t->values[i])
			keep(s, t->values[i]);
	if (t->notice)
		keep(s, t->notice);
}

void jt_survey_end(struct jt_survey *s)
{
	for (size_t i = 0; i < s->n_tokens; i++)
		keep_token(s, &s->tokens[i]);
	for (uint32_t i = 0; i < PLANS_N; i++) {
		if (!s->plans[i].first)
			continue;
		keep(s, s->plans[i].first);
		keep(s, s->plans[i].newest);
	}
	if (s->rules)
		keep(s, s->rules);
}

bool jt_survey_keeps(const struct jt_survey *s, uint64_t place)
{
	return s->kept[place / 64] >> place % 64 & 1;
}
