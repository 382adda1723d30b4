/* lookup: see lookup.h. */
#include "admin/lookup.h"
#include "admin/output.h"
#include "shm/token.h"

#include <string.h>

static bool is_of(const struct jt_record *r, const char id[JT_ID_BYTES])
{
	return (r->type == JT_REC_CREATE || r->type == JT_REC_REVOKE) &&
	       memcmp(r->token.id, id, JT_ID_BYTES) == 0;
}

static bool read_one(struct jt_journal *j, uint64_t number, struct jt_record *r)
{
	struct jt_fault ignored;

	if (number > j->committed.number)
		(void)jt_journal_refresh(j, &ignored);
	return number > j->base && number <= j->committed.number &&
	       jt_journal_read(j, number, r, 1, &ignored) == 0;
}

static bool read_limit(struct jt_journal *j, struct jt_found *f)
{
	struct jt_record r;

	memset(&f->limit, 0, sizeof(f->limit));
	if (f->card.plan == 0)
		return true;
	if (!read_one(j, f->look.plan, &r) || r.type != JT_REC_PLAN ||
	    r.plan.number != f->card.plan)
		return false;
	f->limit =
		(struct jt_limit){r.plan.rate, r.plan.period_ns, r.plan.burst};
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
	f->exists = f->metered = read_limit(j, f);
	return f->exists;
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
		f->exists = true;
		f->card = *card;
		f->limit = catalog.plans[card->plan];
		e = jt_journal_read(j, card->last, &f->newest, 1, faultp);
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
