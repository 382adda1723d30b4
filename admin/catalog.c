/* catalog: see catalog.h. The index is rebuilt at twice its size when half
 * full; ids are hashed under a random seed, since a journal is only a file. */
#include "admin/catalog.h"
#include "shm/token.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define CARDS_MIN 64u
#define INDEX_MIN 128u
#define READ_BATCH 1024u

static_assert(JT_ID_BYTES == JT_PUBLIC_BYTES, "an id is the public part");

int jt_catalog_init(struct jt_catalog *c)
{
	memset(c, 0, sizeof(*c));
	randombytes_buf(&c->seed, sizeof(c->seed));
	c->index = calloc(INDEX_MIN, sizeof(*c->index));
	c->plans = calloc(JT_PLAN_LAST + 1, sizeof(*c->plans));
	c->index_mask = INDEX_MIN - 1;
	if (c->index && c->plans)
		return 0;
	jt_catalog_deinit(c);
	return -ENOMEM;
}

void jt_catalog_deinit(struct jt_catalog *c)
{
	free(c->cards);
	free(c->index);
	free(c->plans);
	memset(c, 0, sizeof(*c));
}

/* The index entry that holds ID, or the free one where it belongs. */
static uint32_t *place(const struct jt_catalog *c, const char *id)
{
	size_t at = jt_token_key((const uint8_t *)id, c->seed) & c->index_mask;

	/* ends: the index is never more than half full */
	while (c->index[at] &&
	       memcmp(c->cards[c->index[at] - 1].id, id, JT_ID_BYTES) != 0)
		at = (at + 1) & c->index_mask;
	return &c->index[at];
}

static int grow_index(struct jt_catalog *c)
{
	size_t n = (c->index_mask + 1) * 2;
	uint32_t *index = calloc(n, sizeof(*index));

	if (!index)
		return -ENOMEM;
	free(c->index);
	c->index = index;
	c->index_mask = n - 1;
	for (size_t i = 0; i < c->n_cards; i++)
		*place(c, c->cards[i].id) = (uint32_t)i + 1;
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
	uint32_t at = *place(c, id);

	return at ? &c->cards[at - 1] : NULL;
}

void jt_card_fill(struct jt_card *card, const struct jt_record *first,
		  const struct jt_record *last)
{
	memcpy(card->id, last->token.id, sizeof(card->id));
	memcpy(card->name, last->token.name, sizeof(card->name));
	memcpy(card->owner, last->token.owner, sizeof(card->owner));
	memcpy(card->env, last->env, sizeof(card->env));
	card->first = first->number;
	card->last = last->number;
	card->created_s = first->time_ns / 1000000000u;
	card->changed_s = last->time_ns / 1000000000u;
	card->expires_s = last->token.expires_s;
	card->plan = last->token.plan;
	card->type = last->type;
}

const char *jt_card_status(const struct jt_card *card, uint64_t now_s)
{
	if (card->type == JT_REC_REVOKE)
		return "Revoked";
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

static int apply_create(struct jt_catalog *c, const struct jt_record *r,
			struct jt_fault *faultp)
{
	int e = 0;

	if (*place(c, r->token.id))
		return damaged(r, "makes an id that exists", faultp);
	if (r->token.plan > c->n_plans)
		return damaged(r, "names a plan that does not exist", faultp);
	if (c->n_cards == c->cards_max)
		e = grow_cards(c);
	if (e == 0 && (c->n_cards + 1) * 2 > c->index_mask)
		e = grow_index(c);
	if (e)
		return e;
	jt_card_fill(&c->cards[c->n_cards], r, r);
	*place(c, r->token.id) = (uint32_t)++c->n_cards;
	return 0;
}

static int apply_revoke(struct jt_catalog *c, const struct jt_record *r,
			struct jt_fault *faultp)
{
	uint32_t at = *place(c, r->token.id);
	struct jt_card *card;

	if (at == 0)
		return damaged(r, "revokes an id that does not exist", faultp);
	card = &c->cards[at - 1];
	if (card->type == JT_REC_REVOKE)
		return damaged(r, "changes a revoked token", faultp);
	card->last = r->number;
	card->changed_s = r->time_ns / 1000000000u;
	card->type = r->type;
	return 0;
}

static int apply_plan(struct jt_catalog *c, const struct jt_record *r,
		      struct jt_fault *faultp)
{
	struct jt_limit limit = {r->plan.rate, r->plan.period_ns,
				 r->plan.burst};

	if (r->plan.number != c->n_plans + 1)
		return damaged(r, "gives a plan number out of turn", faultp);
	if (jt_limits_check(&limit) != 0)
		return damaged(r, "holds limits that are none", faultp);
	c->plans[++c->n_plans] = limit;
	return 0;
}

int jt_catalog_apply(struct jt_catalog *c, const struct jt_record *r,
		     struct jt_fault *faultp)
{
	int e;

	switch (r->type) {
	case JT_REC_CREATE:
		e = apply_create(c, r, faultp);
		break;
	case JT_REC_REVOKE:
		e = apply_revoke(c, r, faultp);
		break;
	case JT_REC_PLAN:
		e = apply_plan(c, r, faultp);
		break;
	default:
		return jt_fault_set(faultp, JT_JOURNAL_E_VERSION, r->number, 0,
				    "journal record %" PRIu64 " is of a type "
				    "that this jeton does not know; use a "
				    "newer one",
				    r->number);
	}
	if (e == -ENOMEM)
		jt_fault_set(faultp, e, r->number, 0,
			     "not enough memory for %zu tokens", c->n_cards);
	return e;
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
		for (size_t i = 0; e == 0 && i < n; i++)
			e = jt_catalog_apply(c, &batch[i], faultp);
	} while (e == 0 && n);
	free(batch);
	return e;
}

uint16_t jt_catalog_plan(const struct jt_catalog *c,
			 const struct jt_limit *limit)
{
	/* few in practice, and asked once for each distinct limit */
	for (uint32_t i = 1; i <= c->n_plans; i++)
		if (memcmp(&c->plans[i], limit, sizeof(*limit)) == 0)
			return (uint16_t)i;
	return 0;
}
