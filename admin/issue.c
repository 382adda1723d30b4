/*
 * issue: see issue.h.
 *
 * Equal limits share a plan. While rows are added, token.plan is the place of
 * the row's limit in `limits`; under the lock each distinct limit becomes a
 * number (the keeper knows those that exist, or the folded journal), new ones
 * become PLAN records in front of the tokens, and token.plan is rewritten.
 *
 * The owners' filter only prevents counting an owner twice; it forgets on a
 * collision, and then more room is asked for than is needed, never less.
 */
#include "admin/issue.h"
#include "admin/catalog.h"
#include "admin/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define RECORDS_MIN 16u
#define LIMITS_MAX 65535u
#define LIMITS_INDEX 131072u /* twice as many, a power of two */
#define OWNERS_MASK 65535u

int jt_issue_init(struct jt_issue *s)
{
	memset(s, 0, sizeof(*s));
	s->limits = calloc(LIMITS_MAX + 1, sizeof(*s->limits));
	s->limit_index = calloc(LIMITS_INDEX, sizeof(*s->limit_index));
	s->owners = calloc(OWNERS_MASK + 1, sizeof(*s->owners));
	if (s->limits && s->limit_index && s->owners)
		return 0;
	jt_issue_deinit(s);
	return -ENOMEM;
}

void jt_issue_deinit(struct jt_issue *s)
{
	free(s->records);
	free(s->limits);
	free(s->limit_index);
	free(s->owners);
	memset(s, 0, sizeof(*s));
}

/* Place of a limit in s->limits, 0 when there is no room for another. */
static uint16_t place(struct jt_issue *s, const struct jt_limit *limit)
{
	size_t at = XXH3_64bits(limit, sizeof(*limit)) & (LIMITS_INDEX - 1);

	for (; s->limit_index[at]; at = (at + 1) & (LIMITS_INDEX - 1))
		if (memcmp(&s->limits[s->limit_index[at]], limit,
			   sizeof(*limit)) == 0)
			return s->limit_index[at];
	if (s->n_limits == LIMITS_MAX)
		return 0;
	s->limits[++s->n_limits] = *limit;
	s->limit_index[at] = (uint16_t)s->n_limits;
	return s->limit_index[at];
}

static void count_owner(struct jt_issue *s, const char owner[JT_OWNER_MAX])
{
	size_t bytes = strnlen(owner, JT_OWNER_MAX);
	uint64_t hash = XXH3_64bits(owner, bytes);

	if (bytes == 0 || s->owners[hash & OWNERS_MASK] == hash)
		return;
	s->owners[hash & OWNERS_MASK] = hash;
	s->owner_bytes += 1 + bytes;
}

static int grow(struct jt_issue *s, size_t n)
{
	struct jt_record *records =
		reallocarray(s->records, n, sizeof(*records));

	if (!records)
		return -ENOMEM;
	s->records = records;
	s->n_max = n;
	return 0;
}

int jt_issue_add(struct jt_issue *s, const struct jt_draft *d)
{
	struct jt_record *r;
	uint16_t limit = 0;

	if (s->n == JT_ISSUE_MAX)
		return JT_ISSUE_E_MANY;
	if (d->limit.rate && !(limit = place(s, &d->limit)))
		return JT_ISSUE_E_LIMITS;
	if (s->n == s->n_max && grow(s, s->n ? s->n * 2 : RECORDS_MIN) < 0)
		return -ENOMEM;
	r = &s->records[s->n++];
	memset(r, 0, sizeof(*r));
	r->type = JT_REC_CREATE;
	memcpy(r->env, d->env, sizeof(r->env));
	memcpy(r->token.name, d->name, sizeof(r->token.name));
	memcpy(r->token.owner, d->owner, sizeof(r->token.owner));
	r->token.expires_s = d->expires_s;
	r->token.plan = limit;
	count_owner(s, d->owner);
	return 0;
}

/* The first user makes the journal; whoever loses that race opens it. */
static int make_journal(const struct jt_paths *paths, struct jt_fault *faultp)
{
	int e = paths->data_given ? 0 : jt_paths_make(paths->data);

	if (e)
		return jt_fault_set(faultp, e, 0, 0, "%s: %s; give --data DIR",
				    paths->data, strerror(-e));
	e = jt_journal_create(&jt_io_os, paths->data, JT_PREFIX_DEFAULT,
			      faultp);
	return e == JT_JOURNAL_E_EXISTS ? 0 : e;
}

int jt_issue_open(struct jt_issue *s, const struct jt_paths *paths)
{
	struct jt_fault fault = {0};
	struct jt_journal j;
	int e = jt_journal_open(&j, &jt_io_os, paths->data, &fault);

	if (e == JT_JOURNAL_E_NONE) {
		e = make_journal(paths, &fault);
		if (e == 0)
			e = jt_journal_open(&j, &jt_io_os, paths->data, &fault);
	}
	if (e)
		return jt_journal_refusal(e, &fault);
	memcpy(s->prefix, j.prefix, sizeof(s->prefix));
	memcpy(s->journal_id, j.id, sizeof(s->journal_id));
	jt_journal_close(&j);
	return 0;
}

void jt_issue_make(struct jt_issue *s, size_t i, char out[JT_TOKEN_BYTES])
{
	struct jt_record *r = &s->records[i];

	jt_token_make(s->prefix, r->env, out);
	memcpy(r->token.id, out, sizeof(r->token.id));
	jt_token_digest((const uint8_t *)out, r->token.digest);
}

/* numbers[place] of each limit; 0 and *NEXTP counted on: a new plan. */
static int ask_plans(struct jt_issue *s, struct jt_change *c, uint16_t *numbers,
		     uint32_t *nextp)
{
	uint64_t at = c->journal.committed.number;
	uint16_t next = 1;

	for (uint32_t i = 1; i <= s->n_limits; i++) {
		const struct jt_limit *l = &s->limits[i];
		int e = jt_control_plan(&c->control, at, l->rate, l->period_ns,
					l->burst, &numbers[i], &next);

		if (e == JT_CONTROL_E_FULL && numbers[i] == 0)
			next = 0;
		else if (e)
			return jt_fail(JT_EXIT_SIDECAR,
				       "the sidecar does not answer (%s), "
				       "nothing was created; see `jeton "
				       "status`",
				       jt_control_reason(&c->control, e));
	}
	*nextp = next ? next : LIMITS_MAX + 1;
	return 0;
}

static int fold_plans(struct jt_issue *s, struct jt_change *c,
		      uint16_t *numbers, uint32_t *nextp)
{
	struct jt_fault fault = {.line = "not enough memory"};
	struct jt_catalog catalog;
	int e = jt_catalog_init(&catalog);

	if (e == 0)
		e = jt_catalog_load(&catalog, &c->journal, &fault);
	for (uint32_t i = 1; e == 0 && i <= s->n_limits; i++)
		numbers[i] = jt_catalog_plan(&catalog, &s->limits[i]);
	*nextp = e ? 0 : catalog.n_plans + 1;
	jt_catalog_deinit(&catalog);
	return e ? jt_journal_refusal(e, &fault) : 0;
}

/* Put N PLAN records in front, for the limits that have no number yet. */
static int write_plans(struct jt_issue *s, uint16_t *numbers, uint32_t n,
		       uint32_t next)
{
	struct jt_record *r;

	if (next + n > LIMITS_MAX + 1)
		return jt_fail(JT_EXIT_NO,
			       "there are already %u different limits, nothing "
			       "was created; use a --rate and --burst that "
			       "other tokens have",
			       next - 1);
	if (s->n + n > s->n_max && grow(s, s->n + n) < 0)
		return jt_fail(JT_EXIT_FILE, "not enough memory");
	memmove(s->records + n, s->records, s->n * sizeof(*s->records));
	memset(s->records, 0, n * sizeof(*s->records));
	r = s->records;
	for (uint32_t i = 1; i <= s->n_limits; i++) {
		if (numbers[i])
			continue;
		numbers[i] = (uint16_t)next++;
		r->type = JT_REC_PLAN;
		r->plan.number = numbers[i];
		r->plan.rate = s->limits[i].rate;
		r->plan.period_ns = s->limits[i].period_ns;
		r->plan.burst = s->limits[i].burst;
		r++;
	}
	s->n += n;
	return 0;
}

/* Give every token its plan's number; *NEWP plans stand in front now. */
static int number_plans(struct jt_issue *s, struct jt_change *c, uint32_t *newp)
{
	uint16_t *numbers = calloc(LIMITS_MAX + 1, sizeof(*numbers));
	uint32_t next = 1;
	int e = 0;

	*newp = 0;
	if (!numbers)
		return jt_fail(JT_EXIT_FILE, "not enough memory");
	if (s->n_limits)
		e = c->sidecar == 0 ? ask_plans(s, c, numbers, &next)
				    : fold_plans(s, c, numbers, &next);
	for (uint32_t i = 1; i <= s->n_limits; i++)
		*newp += numbers[i] == 0;
	if (e == 0 && *newp)
		e = write_plans(s, numbers, *newp, next);
	for (size_t i = *newp; e == 0 && i < s->n; i++)
		s->records[i].token.plan = numbers[s->records[i].token.plan];
	free(numbers);
	return e;
}

static int ask_room(const struct jt_issue *s, struct jt_change *c,
		    uint32_t plans)
{
	int e;

	if (c->sidecar != 0)
		return 0;
	e = jt_control_fit(&c->control, c->journal.committed.number,
			   s->n - plans, plans, s->owner_bytes);
	if (e == 0)
		return 0;
	if (e == JT_CONTROL_E_FULL)
		return jt_fail(JT_EXIT_NO, "nothing was created: %s",
			       jt_control_reason(&c->control, e));
	return jt_fail(JT_EXIT_SIDECAR,
		       "the sidecar does not agree (%s), nothing was created; "
		       "see `jeton status`",
		       jt_control_reason(&c->control, e));
}

int jt_issue_commit(struct jt_issue *s, struct jt_change *c,
		    const struct jt_paths *paths)
{
	uint32_t plans;
	int e = jt_change_begin(c, paths);

	if (e)
		return e;
	if (memcmp(s->journal_id, c->journal.id, sizeof(s->journal_id)) != 0)
		return jt_fail(JT_EXIT_FILE,
			       "%s: another journal stands there since a "
			       "moment, nothing was created; try again",
			       paths->data);
	e = jt_change_consent(c);
	if (e == 0)
		e = number_plans(s, c, &plans);
	if (e == 0)
		e = ask_room(s, c, plans);
	return e ? e : jt_change_commit(c, s->records, s->n);
}
