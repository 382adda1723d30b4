/* catalog: see catalog.h. The index is rebuilt at twice its size when half
 * full; ids are hashed under a random seed, since a journal is only a file. */
#include "admin/catalog.h"
#include "shm/scope.h"
#include "shm/token.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define CARDS_MIN 64u
#define INDEX_MIN 128u
#define READ_BATCH 1024u
#define AHEAD 16u

static_assert(JT_ID_BYTES == JT_PUBLIC_BYTES, "an id is the public part");

int jt_catalog_init(struct jt_catalog *c)
{
	memset(c, 0, sizeof(*c));
	randombytes_buf(&c->seed, sizeof(c->seed));
	c->index = calloc(INDEX_MIN, sizeof(*c->index));
	c->plans = calloc(JT_PLAN_LAST + 1, sizeof(*c->plans));
	c->sets = calloc(JT_SETS_N + 1, sizeof(*c->sets));
	c->index_mask = INDEX_MIN - 1;
	if (c->index && c->plans && c->sets)
		return 0;
	jt_catalog_deinit(c);
	return -ENOMEM;
}

void jt_catalog_deinit(struct jt_catalog *c)
{
	free(c->cards);
	free(c->index);
	free(c->plans);
	free(c->sets);
	memset(c, 0, sizeof(*c));
}

static uint64_t hash(const struct jt_catalog *c, const char *id)
{
	return jt_token_key((const uint8_t *)id, c->seed);
}

static uint32_t tag_of(uint64_t hash)
{
	return (uint32_t)(hash >> 32);
}

/* The place that holds ID, or the free one where it belongs. */
static struct jt_card_place *place(const struct jt_catalog *c, const char *id,
				   uint64_t hash)
{
	struct jt_card_place *p = &c->index[hash & c->index_mask];

	/* ends: the index is never more than half full */
	while (p->card && (p->tag != tag_of(hash) ||
			   memcmp(c->cards[p->card - 1].id, id, JT_ID_BYTES)))
		p = p == &c->index[c->index_mask] ? c->index : p + 1;
	return p;
}

static struct jt_card *find(const struct jt_catalog *c, const char *id)
{
	uint32_t card = place(c, id, hash(c, id))->card;

	return card ? &c->cards[card - 1] : NULL;
}

static int grow_index(struct jt_catalog *c)
{
	size_t n = (c->index_mask + 1) * 2;
	struct jt_card_place *index = calloc(n, sizeof(*index));

	if (!index)
		return -ENOMEM;
	free(c->index);
	c->index = index;
	c->index_mask = n - 1;
	for (size_t i = 0; i < c->n_cards; i++) {
		uint64_t h = hash(c, c->cards[i].id);

		*place(c, c->cards[i].id, h) =
			(struct jt_card_place){(uint32_t)i + 1, tag_of(h)};
	}
	return 0;
}

static int grow_cards(struct jt_catalog *c)
{
	size_t n = c->cards_max ? c->cards_max * 2 : CARDS_MIN;
	struct jt_card *cards;

	if (n >= UINT32_MAX)
		return -ENOMEM;
	cards = reallocarray(c->cards, n, sizeof(*cards));
	if (!cards)
		return -ENOMEM;
	c->cards = cards;
	c->cards_max = n;
	return 0;
}

const struct jt_card *jt_catalog_find(const struct jt_catalog *c,
				      const char id[JT_ID_BYTES])
{
	const struct jt_card *card = find(c, id);

	return card && jt_card_lives(card) ? card : NULL;
}

bool jt_card_lives(const struct jt_card *card)
{
	return card->type != JT_REC_PURGE;
}

void jt_card_update(struct jt_card *card, const struct jt_record *r)
{
	memcpy(card->name, r->token.name, sizeof(card->name));
	memcpy(card->owner, r->token.owner, sizeof(card->owner));
	if (card->last &&
	    memcmp(card->key, r->token.digest, sizeof(card->key)) != 0)
		memcpy(card->old_key, card->key, sizeof(card->old_key));
	memcpy(card->key, r->token.digest, sizeof(card->key));
	card->last = r->number;
	card->changed_s = r->time_ns / 1000000000u;
	card->expires_s = r->token.expires_s;
	card->old_until_s = r->token.old_until_s;
	card->plan = r->token.plan;
	card->own = r->token.own;
	card->scope_set = r->token.scope_set;
	card->type = r->type;
	card->flags = r->token.flags;
	card->scheme = r->token.scheme;
}

void jt_card_fill(struct jt_card *card, const struct jt_record *first,
		  const struct jt_record *last)
{
	memset(card, 0, sizeof(*card));
	memcpy(card->id, last->token.id, sizeof(card->id));
	memcpy(card->env, last->env, sizeof(card->env));
	card->first = first->number;
	card->created_s = first->time_ns / 1000000000u;
	jt_card_update(card, last);
}

const char *jt_card_status(const struct jt_card *card, uint64_t now_s)
{
	if (card->type == JT_REC_REVOKE)
		return "Revoked";
	if (card->flags & JT_TOKEN_SUSPENDED)
		return "Suspended";
	return now_s >= card->expires_s ? "Expired" : "Active";
}

static int damaged(const struct jt_record *r, const char *why,
		   struct jt_fault *faultp)
{
	return jt_fault_set(faultp, JT_JOURNAL_E_DAMAGED, r->number, 0,
			    "journal record %" PRIu64 " %s; restore the "
			    "journal from a backup",
			    r->number, why);
}

/* What a token's record names must have been defined before. */
static int check_names(const struct jt_catalog *c, const struct jt_record *r,
		       struct jt_fault *faultp)
{
	if (r->token.plan > c->n_plans || r->token.own > c->n_plans)
		return damaged(r, "names a plan that does not exist", faultp);
	if (r->token.scope_set > c->n_sets)
		return damaged(r, "names a scope set that does not exist",
			       faultp);
	return 0;
}

static int apply_create(struct jt_catalog *c, const struct jt_record *r,
			struct jt_fault *faultp)
{
	uint64_t h = hash(c, r->token.id);
	int e = check_names(c, r, faultp);
	struct jt_card_place *p;

	if (e)
		return e;
	if (c->n_cards == c->cards_max)
		e = grow_cards(c);
	if (e == 0 && (c->n_cards + 1) * 2 > c->index_mask)
		e = grow_index(c);
	if (e)
		return e;
	p = place(c, r->token.id, h);
	if (p->card && jt_card_lives(&c->cards[p->card - 1]))
		return damaged(r, "makes an id that exists", faultp);
	if (p->card) { /* purged; another system's value gets its id again */
		jt_card_fill(&c->cards[p->card - 1], r, r);
		return 0;
	}
	jt_card_fill(&c->cards[c->n_cards], r, r);
	*p = (struct jt_card_place){(uint32_t)++c->n_cards, tag_of(h)};
	return 0;
}

/* Any record of a token but its first. */
static int apply_change(struct jt_catalog *c, const struct jt_record *r,
			struct jt_fault *faultp)
{
	struct jt_card *card = find(c, r->token.id);
	int e = check_names(c, r, faultp);

	if (e)
		return e;
	if (!card || !jt_card_lives(card))
		return damaged(r, "changes an id that does not exist", faultp);
	if (card->type == JT_REC_REVOKE && r->type != JT_REC_PURGE)
		return damaged(r, "changes a revoked token", faultp);
	if (memcmp(card->env, r->env, sizeof(card->env)) != 0)
		return damaged(r, "moves a token to another environment",
			       faultp);
	jt_card_update(card, r);
	return 0;
}

static int apply_plan(struct jt_catalog *c, const struct jt_record *r,
		      struct jt_fault *faultp)
{
	struct jt_limit limit = jt_limits_of(&r->plan);
	uint16_t number = r->plan.number;
	struct jt_plan_card *p = &c->plans[number];
	bool fresh = number == c->n_plans + 1;

	if (!fresh &&
	    (number == 0 || number > c->n_plans || p->name[0] == '\0'))
		return damaged(r, "gives a plan number out of turn", faultp);
	if (!fresh && memcmp(p->name, r->plan.name, sizeof(p->name)) != 0)
		return damaged(r, "gives a plan another name", faultp);
	if (jt_limits_check(&limit) != 0)
		return damaged(r, "holds limits that are none", faultp);
	if (fresh)
		c->n_plans++;
	p->limit = limit;
	p->record = r->number;
	p->removed = r->plan.removed;
	memcpy(p->name, r->plan.name, sizeof(p->name));
	return 0;
}

static int apply_scope(struct jt_catalog *c, const struct jt_record *r,
		       struct jt_fault *faultp)
{
	struct jt_scope_card *s;

	if (r->scope.number != c->n_scopes + 1 || c->n_scopes == JT_SCOPES_N)
		return damaged(r, "gives a scope number out of turn", faultp);
	if (!jt_scope_ok(r->scope.name, strnlen(r->scope.name, JT_SCOPE_MAX)))
		return damaged(r, "gives a scope a name that is none", faultp);
	if (jt_catalog_scope(c, r->scope.name))
		return damaged(r, "names a scope twice", faultp);
	s = &c->scopes[++c->n_scopes];
	memcpy(s->name, r->scope.name, sizeof(s->name));
	s->record = r->number;
	return 0;
}

static int apply_set(struct jt_catalog *c, const struct jt_record *r,
		     struct jt_fault *faultp)
{
	struct jt_set_card *s;

	if (r->scopes.number != c->n_sets + 1 || c->n_sets == JT_SETS_N)
		return damaged(r, "gives a scope set out of turn", faultp);
	for (unsigned i = c->n_scopes; i < JT_SCOPES_N; i++)
		if (r->scopes.bits[i / 8] >> i % 8 & 1)
			return damaged(r, "names a scope that does not exist",
				       faultp);
	s = &c->sets[++c->n_sets];
	memcpy(s->bits, r->scopes.bits, sizeof(s->bits));
	s->record = r->number;
	return 0;
}

static int apply(struct jt_catalog *c, const struct jt_record *r,
		 struct jt_fault *faultp)
{
	switch ((enum jt_record_type)r->type) {
	case JT_REC_CREATE:
		return apply_create(c, r, faultp);
	case JT_REC_PLAN:
		return apply_plan(c, r, faultp);
	case JT_REC_SCOPE:
		return apply_scope(c, r, faultp);
	case JT_REC_SCOPES:
		return apply_set(c, r, faultp);
	case JT_REC_RULES:
		c->rules = r->rules;
		c->rules_record = r->number;
		return 0;
	case JT_REC_REASON:
	case JT_REC_COPY:
	case JT_REC_NOTICE:
		return 0; /* what a token is does not depend on them */
	default:
		break;
	}
	if (jt_record_is_token(r->type))
		return apply_change(c, r, faultp);
	return jt_fault_set(faultp, JT_JOURNAL_E_VERSION, r->number, 0,
			    "journal record %" PRIu64 " is of a type that this "
			    "jeton does not know; use a newer one",
			    r->number);
}

int jt_catalog_apply(struct jt_catalog *c, const struct jt_record *r,
		     struct jt_fault *faultp)
{
	int e = apply(c, r, faultp);

	if (e == -ENOMEM)
		jt_fault_set(faultp, e, r->number, 0,
			     "not enough memory for %zu tokens", c->n_cards);
	return e;
}

/* Ask for the place of a record that is applied some records later. */
static void prefetch(const struct jt_catalog *c, const struct jt_record *r)
{
	if (jt_record_is_token(r->type))
		__builtin_prefetch(
			&c->index[hash(c, r->token.id) & c->index_mask]);
}

int jt_catalog_load(struct jt_catalog *c, const struct jt_journal *j,
		    struct jt_fault *faultp)
{
	struct jt_record *batch = calloc(READ_BATCH, sizeof(*batch));
	struct jt_reader reader;
	size_t n = 0;
	int e = 0;

	if (!batch)
		return jt_fault_set(faultp, -ENOMEM, 0, 0, "not enough memory");
	jt_reader_init(&reader, j);
	do {
		e = jt_reader_next(&reader, batch, READ_BATCH, &n, faultp);
		for (size_t i = 0; e == 0 && i < n; i++) {
			if (i + AHEAD < n)
				prefetch(c, &batch[i + AHEAD]);
			e = jt_catalog_apply(c, &batch[i], faultp);
		}
	} while (e == 0 && n);
	free(batch);
	return e;
}

/* These are few in practice, and asked for once for each that is named. */
uint16_t jt_catalog_limit(const struct jt_catalog *c,
			  const struct jt_limit *limit)
{
	for (uint32_t i = 1; i <= c->n_plans; i++)
		if (c->plans[i].name[0] == '\0' &&
		    memcmp(&c->plans[i].limit, limit, sizeof(*limit)) == 0)
			return (uint16_t)i;
	return 0;
}

uint16_t jt_catalog_plan(const struct jt_catalog *c,
			 const char name[JT_PLAN_MAX])
{
	for (uint32_t i = 1; i <= c->n_plans; i++)
		if (memcmp(c->plans[i].name, name, JT_PLAN_MAX) == 0)
			return (uint16_t)i;
	return 0;
}

uint16_t jt_catalog_scope(const struct jt_catalog *c,
			  const char name[JT_SCOPE_MAX])
{
	for (uint32_t i = 1; i <= c->n_scopes; i++)
		if (memcmp(c->scopes[i].name, name, JT_SCOPE_MAX) == 0)
			return (uint16_t)i;
	return 0;
}

uint16_t jt_catalog_set(const struct jt_catalog *c, const uint8_t bits[32])
{
	for (uint32_t i = 1; i <= c->n_sets; i++)
		if (memcmp(c->sets[i].bits, bits, sizeof(c->sets[i].bits)) == 0)
			return (uint16_t)i;
	return 0;
}
