/*
 * issue: see issue.h.
 *
 * Equal limits share a number, and so do equal sets of scopes. While rows are
 * added, a token's own, plan and scope_set are places in tables of what is
 * different; under the lock each place becomes a number (numbers.c), and what
 * is new a record in front of the tokens.
 *
 * The owners' filter only prevents counting an owner twice; it forgets on a
 * collision, and then more room is asked for than is needed, never less.
 */
#include "admin/issue.h"
#include "admin/numbers.h"
#include "admin/output.h"
#include "admin/vault_use.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define RECORDS_MIN 16u
#define LIMITS_MAX 65535u
#define OWNERS_MASK 65535u

int jt_issue_init(struct jt_issue *s)
{
	memset(s, 0, sizeof(*s));
	s->owners = calloc(OWNERS_MASK + 1, sizeof(*s->owners));
	if (s->owners && jt_distinct_init(&s->limits, LIMITS_MAX) == 0 &&
	    jt_distinct_init(&s->plans, LIMITS_MAX) == 0 &&
	    jt_distinct_init(&s->sets, JT_SETS_N) == 0)
		return 0;
	jt_issue_deinit(s);
	return -ENOMEM;
}

void jt_issue_deinit(struct jt_issue *s)
{
	free(s->records);
	free(s->owners);
	jt_distinct_deinit(&s->limits);
	jt_distinct_deinit(&s->plans);
	jt_distinct_deinit(&s->sets);
	free(s->sealed);
	memset(s, 0, sizeof(*s));
}

/* Place of a string; 0 for nothing, which needs none. */
static int place(struct jt_distinct *d, const void *bytes, size_t n,
		 uint16_t *placep)
{
	uint32_t number = 0;
	int e = n ? jt_distinct_put(d, bytes, n, &number) : 0;

	*placep = (uint16_t)number;
	return e;
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

static int places(struct jt_issue *s, const struct jt_draft *d,
		  struct jt_record_token *t)
{
	size_t limit = jt_limits_any(&d->limit) ? sizeof(d->limit) : 0;
	int e = place(&s->limits, &d->limit, limit, &t->own);

	if (e == 0)
		e = place(&s->plans, d->plan, strlen(d->plan), &t->plan);
	if (e)
		return e < 0 ? e : JT_ISSUE_E_LIMITS;
	e = place(&s->sets, d->scopes, strlen(d->scopes), &t->scope_set);
	return e > 0 ? JT_ISSUE_E_SETS : e;
}

int jt_issue_add(struct jt_issue *s, const struct jt_draft *d)
{
	struct jt_record *r;
	int e;

	if (s->n == JT_ISSUE_MAX)
		return JT_ISSUE_E_MANY;
	if (s->n == s->n_max && grow(s, s->n ? s->n * 2 : RECORDS_MIN) < 0)
		return -ENOMEM;
	r = &s->records[s->n];
	memset(r, 0, sizeof(*r));
	e = places(s, d, &r->token);
	if (e)
		return e;
	r->type = JT_REC_CREATE;
	memcpy(r->env, d->env, sizeof(r->env));
	memcpy(r->token.name, d->name, sizeof(r->token.name));
	memcpy(r->token.owner, d->owner, sizeof(r->token.owner));
	r->token.expires_s = (uint32_t)d->expires_s;
	count_owner(s, d->owner);
	s->n++;
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

int jt_issue_rules(struct jt_issue *s, const struct jt_paths *paths)
{
	struct jt_fault fault = {0};
	struct jt_journal j;
	int e = jt_journal_open(&j, &jt_io_os, paths->data, &fault);

	if (e == JT_JOURNAL_E_NONE)
		return 0;
	if (e == 0) {
		e = jt_journal_rules(&j, &s->rules, &fault);
		jt_journal_close(&j);
	}
	return e ? jt_journal_refusal(e, &fault) : 0;
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

int jt_issue_recoverable(struct jt_issue *s, const struct jt_paths *paths)
{
	struct jt_fault fault = {0};
	struct jt_vault vault;
	struct jt_journal j;
	int e = jt_journal_open(&j, &jt_io_os, paths->data, &fault);

	if (e)
		return jt_journal_refusal(e, &fault);
	e = jt_vault_open(&vault, &j, paths->data, &fault);
	jt_journal_close(&j);
	if (e)
		return jt_vault_refusal(e, &fault);
	memcpy(s->vault_key, vault.key.public_key, sizeof(s->vault_key));
	jt_vault_close(&vault);
	s->sealed = calloc(s->n, sizeof(*s->sealed));
	return s->sealed ? 0 : jt_fail(JT_EXIT_FILE, "not enough memory");
}

void jt_issue_make(struct jt_issue *s, size_t i, char out[JT_TOKEN_BYTES])
{
	struct jt_record *r = &s->records[i];

	jt_token_make(s->prefix, r->env, out);
	memcpy(r->token.id, out, sizeof(r->token.id));
	jt_token_digest((const uint8_t *)out, r->token.digest);
	if (!s->sealed)
		return;
	r->token.flags |= JT_TOKEN_RECOVERABLE;
	jt_vault_seal(s->vault_key, out, s->sealed[i]);
}

void jt_issue_adopt(struct jt_issue *s, size_t i,
		    const uint8_t digest[JT_DIGEST_BYTES], uint8_t scheme)
{
	struct jt_record *r = &s->records[i];

	jt_token_other_id(s->prefix, r->env, digest, r->token.id);
	memcpy(r->token.digest, digest, sizeof(r->token.digest));
	r->token.scheme = scheme;
}

/* What a place of each table is in the journal. */
struct map {
	uint16_t *own, *plan, *set;
};

static int number_all(struct jt_issue *s, struct jt_numbers *n,
		      const struct map *m)
{
	char text[JT_SCOPES_TEXT];
	struct jt_limit limit;
	const void *bytes;
	size_t len;
	int e = 0;

	for (uint32_t i = 1; e == 0 && i <= s->limits.n; i++) {
		bytes = jt_distinct_get(&s->limits, i, &len);
		memcpy(&limit, bytes, sizeof(limit));
		e = jt_numbers_limit(n, &limit, &m->own[i]);
	}
	for (uint32_t i = 1; e == 0 && i <= s->plans.n; i++) {
		bytes = jt_distinct_get(&s->plans, i, &len);
		memcpy(text, bytes, len);
		text[len] = '\0';
		e = jt_numbers_plan(n, text, &m->plan[i]);
	}
	for (uint32_t i = 1; e == 0 && i <= s->sets.n; i++) {
		bytes = jt_distinct_get(&s->sets, i, &len);
		memcpy(text, bytes, len);
		text[len] = '\0';
		e = jt_numbers_scopes(n, text, &m->set[i]);
	}
	return e;
}

/* Places to numbers, and every pair of them told. */
static int renumber(struct jt_issue *s, struct jt_numbers *n,
		    const struct map *m)
{
	int e = 0;

	for (size_t i = 0; e == 0 && i < s->n; i++) {
		struct jt_record_token *t = &s->records[i].token;

		t->own = m->own[t->own];
		t->plan = m->plan[t->plan];
		t->scope_set = m->set[t->scope_set];
		if (t->own || t->plan)
			e = jt_numbers_use(n, t->plan, t->own);
	}
	return e;
}

/* Definitions in front of the tokens. */
static int define(struct jt_issue *s, const struct jt_numbers *n)
{
	if (n->n_made == 0)
		return 0;
	if (s->n + n->n_made > s->n_max && grow(s, s->n + n->n_made) < 0)
		return jt_fail(JT_EXIT_FILE, "not enough memory");
	memmove(s->records + n->n_made, s->records, s->n * sizeof(*s->records));
	memcpy(s->records, n->made, n->n_made * sizeof(*s->records));
	s->n += n->n_made;
	s->n_defs = n->n_made;
	return 0;
}

int jt_issue_resolve(struct jt_issue *s, struct jt_change *c)
{
	struct map m = {
		.own = calloc(s->limits.n + 1, sizeof(*m.own)),
		.plan = calloc(s->plans.n + 1, sizeof(*m.plan)),
		.set = calloc(s->sets.n + 1, sizeof(*m.set)),
	};
	struct jt_numbers n;
	int e = jt_numbers_begin(&n, c);

	n.catalog = s->catalog;
	if (e == 0 && (!m.own || !m.plan || !m.set))
		e = jt_fail(JT_EXIT_FILE, "not enough memory");
	if (e == 0)
		e = number_all(s, &n, &m);
	if (e == 0)
		e = renumber(s, &n, &m);
	n.room.tokens = n.room.values = s->n;
	n.room.owner_bytes = s->owner_bytes;
	if (e == 0)
		e = jt_numbers_fit(&n, "nothing was created");
	if (e == 0)
		e = define(s, &n);
	jt_numbers_end(&n);
	free(m.own);
	free(m.plan);
	free(m.set);
	return e;
}

/* The sealed values, durable before the commit that makes them valid. */
static int store_values(const struct jt_issue *s, const struct jt_change *c)
{
	struct jt_fault fault = {0};
	struct jt_vault vault;
	int e = jt_vault_open(&vault, &c->journal, c->paths->data, &fault);

	if (e)
		return jt_vault_refusal(e, &fault);
	if (memcmp(vault.key.public_key, s->vault_key, sizeof(s->vault_key))) {
		jt_vault_close(&vault);
		return jt_fail(JT_EXIT_FILE,
			       "%s: another vault stands there since a moment, "
			       "nothing was created; try again",
			       c->paths->data);
	}
	e = jt_vault_put(&vault, &c->journal, s->records, s->n,
			 (const uint8_t(*)[JT_VAULT_SEALED_BYTES])s->sealed,
			 &fault);
	jt_vault_close(&vault);
	return e ? jt_vault_refusal(e, &fault) : 0;
}

int jt_issue_lock(struct jt_issue *s, struct jt_change *c,
		  const struct jt_paths *paths)
{
	int e = jt_change_begin(c, paths);

	if (e)
		return e;
	if (memcmp(s->journal_id, c->journal.id, sizeof(s->journal_id)) != 0)
		return jt_fail(JT_EXIT_FILE,
			       "%s: another journal stands there since a "
			       "moment, nothing was created; try again",
			       paths->data);
	return jt_change_consent(c);
}

int jt_issue_commit(struct jt_issue *s, struct jt_change *c,
		    const struct jt_paths *paths)
{
	int e = jt_issue_lock(s, c, paths);

	if (e == 0)
		e = jt_issue_resolve(s, c);
	if (e == 0)
		e = jt_change_still_alone(c);
	if (e == 0 && s->sealed)
		e = store_values(s, c);
	return e ? e : jt_change_commit(c, s->records, s->n);
}
