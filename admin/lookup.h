/*
 * lookup: one token by its id.
 *
 * A keeper that has applied all that is committed answers with record numbers,
 * and only those records are read; without one, or when its answer does not
 * fit the journal, the journal is folded, and use counts are those that were
 * saved last.
 */
#ifndef JT_ADMIN_LOOKUP_H
#define JT_ADMIN_LOOKUP_H

#include "admin/catalog.h"
#include "admin/control.h"

struct jt_found {
	bool exists;
	struct jt_card card;
	struct jt_limit limit;	    /* that holds for it */
	struct jt_limit own;	    /* its own part of that */
	char plan[JT_PLAN_MAX + 1]; /* name, empty: none */
	char scopes[JT_SCOPES_N * (JT_SCOPE_MAX + 1)]; /* blanks between */
	struct jt_record newest;
	bool metered;	     /* `look` holds uses and the like */
	struct jt_look look; /* `first` to `set`: only if a keeper answered */
};

/* C may be NULL or not connected. 0, negative errno or JT_JOURNAL_E_*. */
int jt_lookup(struct jt_journal *j, struct jt_control *c,
	      const char id[JT_ID_BYTES], struct jt_found *f,
	      struct jt_fault *faultp);

/* The same from a folded journal, but for `newest` and what a keeper knows. */
void jt_found_fill(struct jt_found *f, const struct jt_catalog *c,
		   const struct jt_card *card);

/* Names of a set, blanks between. */
void jt_catalog_scope_names(const struct jt_catalog *c, uint16_t set, char *out,
			    size_t max);

/* Exit codes, reason printed: is that an id at all, and: it is unknown. */
int jt_id_check(const char *id);
int jt_no_such_id(const char *id);

#endif
