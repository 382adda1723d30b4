/*
 * numbers: what limits, plans and scopes are called in the journal.
 *
 * Tokens name them by number. Under the journal's lock a verb asks for the
 * number of what it has in words; what has none yet gets one, with a record
 * that must stand in front of the tokens in the same batch. The keeper knows
 * the numbers; without one the journal is folded.
 *
 * Exit codes; the reason was printed.
 */
#ifndef JT_ADMIN_NUMBERS_H
#define JT_ADMIN_NUMBERS_H

#include "admin/catalog.h"
#include "admin/change.h"
#include "admin/distinct.h"
#include "admin/scopes.h"

struct jt_numbers {
	struct jt_change *change;
	/* without a keeper; lent by who folded it under the lock, or NULL */
	const struct jt_catalog *catalog;
	struct jt_catalog own;
	struct jt_record *made; /* definitions that are new */
	size_t n_made, made_max;
	uint32_t plans_made, scopes_made, sets_made;
	struct jt_distinct pairs;  /* (plan, own) that were asked about, and */
	bool pairs_learnt;	   /* without a keeper those that tokens have */
	struct jt_distinct limits; /* that were asked about ... */
	uint16_t *limit_numbers;   /* ... and their numbers */
	struct jt_room room;	   /* what FIT is to be asked for */
};

/* C: begun, and its keeper consents (change.h). */
int jt_numbers_begin(struct jt_numbers *n, struct jt_change *c);
void jt_numbers_end(struct jt_numbers *n);

/* Limits without a name; 0 for none. Made when new. */
int jt_numbers_limit(struct jt_numbers *n, const struct jt_limit *limit,
		     uint16_t *numberp);

/* A named plan that must exist and be in use; "" gives 0. */
int jt_numbers_plan(struct jt_numbers *n, const char *name, uint16_t *numberp);

/* The number of a plan's name for `plan set`: an old one, or a new one. */
int jt_numbers_name(struct jt_numbers *n, const char *name, uint16_t *numberp);

/* The set of a canonical list (scopes.h); names and set made when new. */
int jt_numbers_scopes(struct jt_numbers *n, const char *scopes, uint16_t *setp);

/*
 * A token of the batch will have that plan and these limits of its own. Refused
 * where the keeper would have no number for it.
 */
int jt_numbers_use(struct jt_numbers *n, uint16_t plan, uint16_t own);

/* Does the keeper have room for n->room? TOLD: what did not happen. */
int jt_numbers_fit(struct jt_numbers *n, const char *told);

#endif
