/* lookup: see lookup.h. */
#include "admin/lookup.h"
#include "admin/output.h"
#include "admin/usage.h"
#include "shm/token.h"

#include <stdio.h>
#include <string.h>

static bool is_of(const struct jt_record *r, const char id[JT_ID_BYTES])
{
	return jt_record_is_token(r->type) &&
	       memcmp(r->token.id, id, JT_ID_BYTES) == 0;
}

static bool read_one(struct jt_journal *j, uint64_t number, struct jt_record *r)
{
	struct jt_fault ignored;

	if (number > j->committed.number)
		(void)jt_journal_refresh(j, &ignored);
	return jt_journal_read(j, number, r, 1, &ignored) == 0;
}

/* The plan record under the number NAMED, which stands at RECORD. */
static bool read_plan(struct jt_journal *j, uint16_t named, uint64_t record,
		      struct jt_record *r)
{
	memset(r, 0, sizeof(*r));
	if (named == 0)
		return true;
	return read_one(j, record, r) && r->type == JT_REC_PLAN &&
	       r->plan.number == named;
}

static void put_limits(struct jt_found *f, const struct jt_limit *own,
		       const struct jt_limit *plan,
		       const char name[JT_PLAN_MAX])
{
	f->own = *own;
	f->limit = jt_limits_merge(own, plan);
	memcpy(f->plan, name, JT_PLAN_MAX);
}

static bool read_limits(struct jt_journal *j, struct jt_found *f)
{
	struct jt_limit own_limit, plan_limit;
	struct jt_record own, plan;

	if (!read_plan(j, f->card.own, f->look.own, &own) ||
	    !read_plan(j, f->card.plan, f->look.plan, &plan))
		return false;
	own_limit = jt_limits_of(&own.plan);
	plan_limit = jt_limits_of(&plan.plan);
	put_limits(f, &own_limit, &plan_limit, plan.plan.name);
	return true;
}

static bool ask_scopes(struct jt_control *c, struct jt_found *f)
{
	if (f->card.scope_set == 0)
		return true;
	if (jt_control_names(c, f->card.scope_set) != 0 ||
	    strlen(c->line + 3) >= sizeof(f->scopes))
		return false;
	strcpy(f->scopes, c->line + 3);
	return true;
}

/* False: fold the journal. True: F is complete, or says that ID is none. */
static bool ask_keeper(struct jt_journal *j, struct jt_control *c,
		       const char *id, struct jt_found *f)
{
	struct jt_record first;
	int e;

	if (!c || c->fd < 0 || jt_control_sync(c, j->committed.number) != 0)
		return false;
	e = jt_control_look(c, id, &f->look);
	if (e == JT_CONTROL_E_NOTFOUND)
		return true;
	if (e || !read_one(j, f->look.last, &f->newest) ||
	    !is_of(&f->newest, id) || !read_one(j, f->look.first, &first) ||
	    !is_of(&first, id))
		return false;
	jt_card_fill(&f->card, &first, &f->newest);
	f->exists = f->metered = read_limits(j, f) && ask_scopes(c, f);
	return f->exists;
}

void jt_catalog_scope_names(const struct jt_catalog *c, uint16_t set, char *out,
			    size_t max)
{
	size_t n = 0;

	out[0] = '\0';
	for (uint32_t i = 1; set && i <= c->n_scopes && n < max; i++)
		if (c->sets[set].bits[(i - 1) / 8] >> (i - 1) % 8 & 1)
			n += (size_t)snprintf(out + n, max - n, "%s%.*s",
					      n ? " " : "", JT_SCOPE_MAX,
					      c->scopes[i].name);
}

void jt_found_fill(struct jt_found *f, const struct jt_catalog *c,
		   const struct jt_card *card)
{
	const struct jt_plan_card *plan = &c->plans[card->plan];

	f->exists = true;
	f->card = *card;
	put_limits(f, &c->plans[card->own].limit, &plan->limit, plan->name);
	jt_catalog_scope_names(c, card->scope_set, f->scopes,
			       sizeof(f->scopes));
}

/* A file that was read and does not know the value says: never used. */
static void read_usage(const struct jt_journal *j, struct jt_found *f)
{
	struct jt_usage_table t;
	struct jt_usage u;
	bool found, read;

	read = jt_usage_load(&t, j->io, j->dir_fd, j->id) == 0;
	found = jt_usage_find(&t, f->newest.token.digest, &u);
	f->metered = found || (read && t.n_damaged == 0);
	f->look.uses = u.uses;
	f->look.refusals = u.refusals;
	f->look.last_use_s = u.last_use_s;
	f->look.old_use_s = u.old_use_s;
	f->look.quota = u.quota;
	jt_usage_free(&t);
}

static int fold(struct jt_journal *j, const char *id, struct jt_found *f,
		struct jt_fault *faultp)
{
	const struct jt_card *card;
	struct jt_catalog catalog;
	int e = jt_catalog_init(&catalog);

	if (e)
		return jt_fault_set(faultp, e, 0, 0, "not enough memory");
	e = jt_catalog_load(&catalog, j, faultp);
	card = e ? NULL : jt_catalog_find(&catalog, id);
	if (card) {
		jt_found_fill(f, &catalog, card);
		e = jt_journal_read(j, card->last, &f->newest, 1, faultp);
		if (e == 0)
			read_usage(j, f);
	}
	jt_catalog_deinit(&catalog);
	return e;
}

int jt_lookup(struct jt_journal *j, struct jt_control *c,
	      const char id[JT_ID_BYTES], struct jt_found *f,
	      struct jt_fault *faultp)
{
	memset(f, 0, sizeof(*f));
	if (ask_keeper(j, c, id, f))
		return 0;
	memset(f, 0, sizeof(*f));
	return fold(j, id, f, faultp);
}

int jt_id_check(const char *id)
{
	if (strlen(id) == JT_ID_BYTES && jt_public_ok(id, NULL, NULL))
		return 0;
	return jt_fail(JT_EXIT_USAGE,
		       "that is no token id; an id is the first 24 characters, "
		       "as `jeton list` shows them");
}

int jt_no_such_id(const char *id)
{
	return jt_fail(JT_EXIT_NO,
		       "there is no token %.24s here; see `jeton list`, and "
		       "check --data",
		       id);
}
