/*
 * catalog: the journal folded into tokens and plans.
 *
 * For verbs that need all tokens (list), and for verbs on one id when no
 * sidecar runs; a running keeper answers those without reading everything.
 * One process, private memory, about 200 bytes a token; an index by id.
 *
 * A journal whose chain holds can still say something impossible (an id made
 * twice, a revoke of nothing, a plan out of turn): that is damage too, and is
 * refused with the record's number.
 */
#ifndef JT_ADMIN_CATALOG_H
#define JT_ADMIN_CATALOG_H

#include "admin/journal.h"
#include "admin/limits.h"

#define JT_PLAN_LAST UINT16_MAX

/* One token. Strings are zero-padded, not terminated. */
struct jt_card {
	char id[JT_ID_BYTES];
	char name[JT_NAME_MAX];
	char owner[JT_OWNER_MAX];
	char env[8];
	uint64_t first, last; /* its first and newest record's number */
	uint64_t created_s;
	uint64_t changed_s; /* of the newest record */
	uint64_t expires_s;
	uint16_t plan; /* 0: no limit */
	uint8_t type;  /* of the newest record: JT_REC_REVOKE is final */
};

struct jt_catalog {
	struct jt_card *cards; /* in order of creation */
	size_t n_cards, cards_max;
	uint32_t *index; /* card + 1 by id, open addressing; 0: free */
	size_t index_mask;
	uint64_t seed;
	struct jt_limit *plans; /* plans[number]; number 0 is no limit */
	uint32_t n_plans;	/* highest number given */
};

int jt_catalog_init(struct jt_catalog *c);
void jt_catalog_deinit(struct jt_catalog *c);

/* Fold one record. 0, -ENOMEM or JT_JOURNAL_E_DAMAGED / _VERSION. */
int jt_catalog_apply(struct jt_catalog *c, const struct jt_record *r,
		     struct jt_fault *faultp);

/* Fold everything that J has committed, verified. */
int jt_catalog_load(struct jt_catalog *c, const struct jt_journal *j,
		    struct jt_fault *faultp);

/* NULL: no such token. Valid until the next apply. */
const struct jt_card *jt_catalog_find(const struct jt_catalog *c,
				      const char id[JT_ID_BYTES]);

/* Number of the plan with these limits, 0 when there is none. */
uint16_t jt_catalog_plan(const struct jt_catalog *c,
			 const struct jt_limit *limit);

/* A card from a token's first and newest record. */
void jt_card_fill(struct jt_card *card, const struct jt_record *first,
		  const struct jt_record *last);

/* "Active", "Expired" or "Revoked". */
const char *jt_card_status(const struct jt_card *card, uint64_t now_s);

#endif
