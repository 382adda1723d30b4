/*
 * catalog: the journal folded into tokens, plans, scopes and rules.
 *
 * For verbs that need all tokens (list), and for verbs on one id when no
 * sidecar runs; a running keeper answers those without reading everything.
 * One process, private memory, about 250 bytes a token; an index by id.
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
#define JT_KEY_BYTES 16

/* One token. Strings are zero-padded, not terminated. */
struct jt_card {
	char id[JT_ID_BYTES];
	char name[JT_NAME_MAX];
	char owner[JT_OWNER_MAX];
	char env[8];
	uint8_t key[JT_KEY_BYTES];     /* its value's digest begins so */
	uint8_t old_key[JT_KEY_BYTES]; /* of the value before; zeros: none */
	uint64_t first, last; /* its first and newest record's number */
	uint64_t created_s;
	uint64_t changed_s; /* of the newest record */
	uint32_t expires_s;
	uint32_t old_until_s; /* of the value before the rotation; 0: none */
	uint16_t plan;	      /* named limits; 0: none */
	uint16_t own;	      /* limits of its own; 0: none */
	uint16_t scope_set;   /* 0: none */
	uint8_t type;	      /* of the newest record: REVOKE is final */
	uint8_t flags;	      /* JT_TOKEN_* */
	uint8_t scheme;	      /* enum jt_value_scheme */
};

struct jt_card_place {
	uint32_t card; /* + 1; 0: free */
	uint32_t tag;  /* of the id's hash, to look at few cards in vain */
};

/* Limits under a number; without a name those of single tokens. */
struct jt_plan_card {
	struct jt_limit limit;
	char name[JT_PLAN_MAX];
	uint64_t record; /* the newest of this number */
	bool removed;
};

struct jt_scope_card {
	char name[JT_SCOPE_MAX];
	uint64_t record;
};

struct jt_set_card {
	uint8_t bits[32];
	uint64_t record;
};

struct jt_catalog {
	struct jt_card *cards; /* in order of creation, purged ones too */
	size_t n_cards, cards_max;
	struct jt_card_place *index; /* by id, open addressing */
	size_t index_mask;
	uint64_t seed;
	/* by number from 1 on; number 0 stays zero: no limit, no scope */
	struct jt_plan_card *plans;
	struct jt_set_card *sets;
	struct jt_scope_card scopes[JT_SCOPES_N + 1];
	uint32_t n_plans, n_sets, n_scopes; /* highest numbers given */
	struct jt_record_rules rules;
	uint64_t rules_record;
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

/* Is that card still a token? A purged one is not. */
bool jt_card_lives(const struct jt_card *card);

/* Number of the limits without a name that are these, 0: none. */
uint16_t jt_catalog_limit(const struct jt_catalog *c,
			  const struct jt_limit *limit);
/* Number of a named plan (also a removed one), a scope, a set; 0: none. NAME:
 * zero-padded. */
uint16_t jt_catalog_plan(const struct jt_catalog *c,
			 const char name[JT_PLAN_MAX]);
uint16_t jt_catalog_scope(const struct jt_catalog *c,
			  const char name[JT_SCOPE_MAX]);
uint16_t jt_catalog_set(const struct jt_catalog *c, const uint8_t bits[32]);

/* Fold the newest record of a token into its card. */
void jt_card_update(struct jt_card *card, const struct jt_record *r);
/* A card from a token's first and newest record. */
void jt_card_fill(struct jt_card *card, const struct jt_record *first,
		  const struct jt_record *last);

/* Does the vault have its value, for `jeton copy`? */
static inline bool jt_card_recoverable(const struct jt_card *card)
{
	return (card->flags & JT_TOKEN_RECOVERABLE) != 0 &&
	       card->type != JT_REC_REVOKE && card->type != JT_REC_PURGE;
}

/* "Active", "Expired", "Suspended" or "Revoked". */
const char *jt_card_status(const struct jt_card *card, uint64_t now_s);

#endif
