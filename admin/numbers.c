/*
 * numbers: see numbers.h.
 *
 * New numbers follow on what keeper or catalog say is next, plus what this
 * batch has made already. The journal's lock keeps that true until the commit.
 */
#include "admin/numbers.h"
#include "admin/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MADE_MIN 16u
#define PAIRS_MAX 65535u
#define LIMITS_MAX 65535u

int jt_numbers_begin(struct jt_numbers *n, struct jt_change *c)
{
	memset(n, 0, sizeof(*n));
	n->change = c;
	n->limit_numbers = calloc(LIMITS_MAX + 1, sizeof(*n->limit_numbers));
	if (n->limit_numbers && jt_distinct_init(&n->pairs, PAIRS_MAX) == 0 &&
	    jt_distinct_init(&n->limits, LIMITS_MAX) == 0)
		return 0;
	jt_numbers_end(n);
	return jt_fail(JT_EXIT_FILE, "not enough memory");
}

void jt_numbers_end(struct jt_numbers *n)
{
	if (n->catalog == &n->own)
		jt_catalog_deinit(&n->own);
	jt_distinct_deinit(&n->pairs);
	jt_distinct_deinit(&n->limits);
	free(n->limit_numbers);
	free(n->made);
	memset(n, 0, sizeof(*n));
}

static bool has_keeper(const struct jt_numbers *n)
{
	return n->change->sidecar == 0;
}

static uint64_t at(const struct jt_numbers *n)
{
	return n->change->journal.committed.number;
}

static int silent(const struct jt_numbers *n, int e)
{
	return jt_fail(JT_EXIT_SIDECAR,
		       "the sidecar does not answer (%s), nothing was changed; "
		       "see `jeton status`",
		       jt_control_reason(&n->change->control, e));
}

static int fold(struct jt_numbers *n)
{
	struct jt_fault fault = {.line = "not enough memory"};
	int e;

	if (n->catalog)
		return 0;
	e = jt_catalog_init(&n->own);
	if (e == 0)
		e = jt_catalog_load(&n->own, &n->change->journal, &fault);
	if (e) {
		jt_catalog_deinit(&n->own);
		return jt_journal_refusal(e, &fault);
	}
	n->catalog = &n->own;
	return 0;
}

/* A zeroed record of TYPE among the definitions that are new. */
static struct jt_record *make(struct jt_numbers *n, uint8_t type)
{
	struct jt_record *r;

	if (n->n_made == n->made_max) {
		size_t max = n->made_max ? 2 * n->made_max : MADE_MIN;

		r = reallocarray(n->made, max, sizeof(*r));
		if (!r) {
			jt_fail(JT_EXIT_FILE, "not enough memory");
			return NULL;
		}
		n->made = r;
		n->made_max = max;
	}
	r = &n->made[n->n_made++];
	memset(r, 0, sizeof(*r));
	r->type = type;
	return r;
}

static int too_many(const char *what, const char *remedy)
{
	return jt_fail(JT_EXIT_NO,
		       "there are already %s, nothing was changed; %s", what,
		       remedy);
}

/* Number of LIMIT and the next free one, before this batch. */
static int ask_limit(struct jt_numbers *n, const struct jt_limit *limit,
		     uint16_t *numberp, uint32_t *nextp)
{
	uint16_t next;
	int e;

	if (has_keeper(n)) {
		e = jt_control_limit(&n->change->control, at(n), limit, numberp,
				     &next);
		*nextp = next ? next : UINT16_MAX + 1u;
		return e ? silent(n, e) : 0;
	}
	e = fold(n);
	if (e)
		return e;
	*numberp = jt_catalog_limit(n->catalog, limit);
	*nextp = n->catalog->n_plans + 1;
	return 0;
}

/* A PLAN record under the number that is free after NEXT. */
static int make_plan(struct jt_numbers *n, uint32_t next, uint16_t *numberp,
		     struct jt_record **rp)
{
	if (next + n->plans_made > UINT16_MAX)
		return too_many("65,535 different limits",
				"use a --rate, --burst and --quota that other "
				"tokens have");
	*rp = make(n, JT_REC_PLAN);
	if (!*rp)
		return JT_EXIT_FILE;
	*numberp = (*rp)->plan.number = (uint16_t)(next + n->plans_made++);
	return 0;
}

static int find_limit(struct jt_numbers *n, const struct jt_limit *limit,
		      uint16_t *numberp)
{
	struct jt_record *r;
	uint32_t next;
	int e = ask_limit(n, limit, numberp, &next);

	if (e || *numberp)
		return e;
	e = make_plan(n, next, numberp, &r);
	if (e == 0)
		jt_limits_put(limit, &r->plan);
	return e;
}

int jt_numbers_limit(struct jt_numbers *n, const struct jt_limit *limit,
		     uint16_t *numberp)
{
	uint32_t had = n->limits.n, at;
	int e;

	*numberp = 0;
	if (!jt_limits_any(limit))
		return 0;
	e = jt_distinct_put(&n->limits, limit, sizeof(*limit), &at);
	if (e < 0)
		return jt_fail(JT_EXIT_FILE, "not enough memory");
	if (e)
		return too_many("65,535 different limits", "split the batch");
	if (at > had)
		e = find_limit(n, limit, &n->limit_numbers[at]);
	*numberp = n->limit_numbers[at];
	return e;
}

/* Number of a plan's name, 0: none. */
static int ask_plan(struct jt_numbers *n, const char *name, uint16_t *numberp,
		    bool *removedp)
{
	char padded[JT_PLAN_MAX] = "";
	int e;

	memcpy(padded, name, strnlen(name, sizeof(padded)));
	if (has_keeper(n)) {
		e = jt_control_plan(&n->change->control, at(n), padded, numberp,
				    removedp);
		return e ? silent(n, e) : 0;
	}
	e = fold(n);
	if (e)
		return e;
	*numberp = jt_catalog_plan(n->catalog, padded);
	*removedp = n->catalog->plans[*numberp].removed;
	return 0;
}

int jt_numbers_plan(struct jt_numbers *n, const char *name, uint16_t *numberp)
{
	bool removed = false;
	int e;

	*numberp = 0;
	if (!*name)
		return 0;
	e = ask_plan(n, name, numberp, &removed);
	if (e || (*numberp && !removed))
		return e;
	return jt_fail(JT_EXIT_NO,
		       "there is no plan %s, nothing was changed; see `jeton "
		       "plan list`",
		       name);
}

int jt_numbers_name(struct jt_numbers *n, const char *name, uint16_t *numberp)
{
	const struct jt_limit none = {0};
	struct jt_record *r;
	bool removed = false;
	uint16_t unused;
	uint32_t next;
	int e = ask_plan(n, name, numberp, &removed);

	if (e)
		return e;
	if (*numberp) {
		r = make(n, JT_REC_PLAN);
		if (!r)
			return JT_EXIT_FILE;
		r->plan.number = *numberp;
		return 0;
	}
	e = ask_limit(n, &none, &unused, &next);
	return e ? e : make_plan(n, next, numberp, &r);
}

/* Number of a scope's name among those that this batch made, 0: none. */
static uint16_t made_scope(const struct jt_numbers *n,
			   const char name[JT_SCOPE_MAX])
{
	for (size_t i = 0; i < n->n_made; i++)
		if (n->made[i].type == JT_REC_SCOPE &&
		    memcmp(n->made[i].scope.name, name, JT_SCOPE_MAX) == 0)
			return n->made[i].scope.number;
	return 0;
}

static int scope(struct jt_numbers *n, const char name[JT_SCOPE_MAX],
		 uint16_t *numberp)
{
	struct jt_record *r;
	uint16_t next16 = 0;
	uint32_t next;
	int e = 0;

	*numberp = made_scope(n, name);
	if (*numberp)
		return 0;
	if (has_keeper(n)) {
		e = jt_control_scope(&n->change->control, at(n), name, numberp,
				     &next16);
		if (e)
			return silent(n, e);
		next = next16 ? next16 : JT_SCOPES_N + 1;
	} else {
		e = fold(n);
		if (e)
			return e;
		*numberp = jt_catalog_scope(n->catalog, name);
		next = n->catalog->n_scopes + 1;
	}
	if (*numberp)
		return 0;
	if (next + n->scopes_made > JT_SCOPES_N)
		return too_many("256 scopes", "use names that other tokens "
					      "have");
	r = make(n, JT_REC_SCOPE);
	if (!r)
		return JT_EXIT_FILE;
	*numberp = r->scope.number = (uint16_t)(next + n->scopes_made++);
	memcpy(r->scope.name, name, JT_SCOPE_MAX);
	return 0;
}

static uint16_t made_set(const struct jt_numbers *n, const uint8_t bits[32])
{
	for (size_t i = 0; i < n->n_made; i++)
		if (n->made[i].type == JT_REC_SCOPES &&
		    memcmp(n->made[i].scopes.bits, bits, 32) == 0)
			return n->made[i].scopes.number;
	return 0;
}

static int set(struct jt_numbers *n, const uint8_t bits[32], uint16_t *setp)
{
	struct jt_record *r;
	uint16_t next16 = 0;
	uint32_t next;
	int e;

	*setp = made_set(n, bits);
	if (*setp)
		return 0;
	if (has_keeper(n)) {
		e = jt_control_set(&n->change->control, at(n), bits, setp,
				   &next16);
		if (e)
			return silent(n, e);
		next = next16 ? next16 : JT_SETS_N + 1;
	} else {
		e = fold(n);
		if (e)
			return e;
		*setp = jt_catalog_set(n->catalog, bits);
		next = n->catalog->n_sets + 1;
	}
	if (*setp)
		return 0;
	if (next + n->sets_made > JT_SETS_N)
		return too_many("8,191 different combinations of scopes",
				"use one that other tokens have");
	r = make(n, JT_REC_SCOPES);
	if (!r)
		return JT_EXIT_FILE;
	*setp = r->scopes.number = (uint16_t)(next + n->sets_made++);
	memcpy(r->scopes.bits, bits, sizeof(r->scopes.bits));
	return 0;
}

int jt_numbers_scopes(struct jt_numbers *n, const char *scopes, uint16_t *setp)
{
	char name[JT_SCOPE_MAX];
	uint8_t bits[32] = {0};
	uint16_t number;

	*setp = 0;
	if (!*scopes)
		return 0;
	while (jt_scopes_next(&scopes, name)) {
		int e = scope(n, name, &number);

		if (e)
			return e;
		number--;
		bits[number / 8] |= (uint8_t)(1u << number % 8);
	}
	return set(n, bits, setp);
}

static int put_pair(struct jt_numbers *n, uint16_t plan, uint16_t own,
		    uint32_t *numberp)
{
	uint16_t pair[2] = {plan, own};

	return jt_distinct_put(&n->pairs, pair, sizeof(pair), numberp);
}

/*
 * Without a keeper: the pairs that tokens have already, of which the next start
 * takes so many and no more. Where there are too many, no new one is taken.
 */
static int learn_pairs(struct jt_numbers *n)
{
	int e = n->pairs_learnt ? 0 : fold(n);
	uint32_t unused;

	if (e || n->pairs_learnt)
		return e;
	n->pairs_learnt = true;
	for (size_t i = 0; e >= 0 && i < n->catalog->n_cards; i++) {
		const struct jt_card *card = &n->catalog->cards[i];

		if (jt_card_lives(card) && (card->plan || card->own))
			e = put_pair(n, card->plan, card->own, &unused);
	}
	return e < 0 ? jt_fail(JT_EXIT_FILE, "not enough memory") : 0;
}

int jt_numbers_use(struct jt_numbers *n, uint16_t plan, uint16_t own)
{
	uint32_t had, number;
	bool known = false;
	int e = 0;

	if (!plan && !own)
		return 0;
	if (!has_keeper(n))
		e = learn_pairs(n);
	if (e)
		return e;
	had = n->pairs.n;
	e = put_pair(n, plan, own, &number);
	if (e < 0)
		return jt_fail(JT_EXIT_FILE, "not enough memory");
	if (e)
		return too_many("65,535 different limits",
				has_keeper(n) ? "split the batch"
					      : "use limits that other tokens "
						"have");
	if (number <= had || !has_keeper(n))
		return 0;
	e = jt_control_pair(&n->change->control, at(n), plan, own, &known);
	n->room.plans += !known;
	return e ? silent(n, e) : 0;
}

int jt_numbers_fit(struct jt_numbers *n, const char *told)
{
	struct jt_control *control = &n->change->control;
	int e;

	if (!has_keeper(n))
		return 0;
	e = jt_control_fit(control, at(n), &n->room);
	if (e == 0)
		return 0;
	if (e == JT_CONTROL_E_FULL)
		return jt_fail(JT_EXIT_NO, "%s: %s", told,
			       jt_control_reason(control, e));
	return jt_fail(JT_EXIT_SIDECAR,
		       "the sidecar does not agree (%s), %s; see `jeton "
		       "status`",
		       jt_control_reason(control, e), told);
}
