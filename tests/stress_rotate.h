/*
 * stress_rotate: tokens that get one value after another while others verify.
 *
 * All values of a token are made in advance, so that the text of none changes.
 * The writer does what the ledger does for a rotation to value k:
 *   begun k; put k; end of k-1; drop k-2, whose slot a later put takes; flag
 *   k-1 as old, with its end; acknowledged k
 * and moves a clock of its own, so that ends pass by. A reader asks for a value
 * m near those and judges the verdict by what was acknowledged before it, what
 * was begun after it, and the time that it gave:
 *   VALID            not replaced before: m >= acknowledged
 *   VALID, old       being replaced, its end not reached, not dropped before
 *   REVOKED, old     the same, its end reached
 *   UNKNOWN          not acknowledged before, or its drop begun
 * So the value that is the current one from before to after is VALID, and one
 * that is past its end never is. Every value has an owner of its own, told by
 * plain bytes that only the table's order publishes.
 *
 * BLIND: the acknowledgement is not read first, so that nothing but the table
 * orders what the reader reads (stress.h).
 */
#ifndef JT_TESTS_STRESS_ROTATE_H
#define JT_TESTS_STRESS_ROTATE_H

#include "tests/stress.h"

#include "shm/table.h"
#include "shm/verify.h"

#define ROTATE_TOKENS 32u
#define ROTATE_VALUES 2048u /* of one token, one after another */
#define ROTATE_TURN 64u
#define ROTATE_BATCH 32u
#define ROTATE_START_S 1000000ull
#define ROTATE_EXPIRES_S UINT32_MAX
#define ROTATE_OWNER 24u

struct rotate_token {
	char values[ROTATE_VALUES][JT_TOKEN_BYTES];
	_Atomic uint64_t ends[ROTATE_VALUES]; /* of replaced ones */
	_Atomic uint64_t begun, acknowledged; /* values, by number */
	uint32_t slots[ROTATE_VALUES];	      /* the writer's own */
};

struct rotate {
	struct stress *s;
	struct jt_segment_fds fds;
	struct jt_maps maps; /* the writer's */
	struct rotate_token *tokens;
	_Atomic uint64_t now_s, hot; /* half of all is about two tokens */
	_Atomic uint64_t current, old, over, unknown, torn;
	/* the writer's own */
	uint64_t random, begun_ns, done, rotations;
};

/* ---- the writer ---- */

static inline void rotate_owner(uint64_t i, uint64_t m, char text[ROTATE_OWNER])
{
	snprintf(text, ROTATE_OWNER, "owner %" PRIu64 "-%" PRIu64, i, m);
}

static inline uint32_t rotate_put(struct rotate *r, uint64_t i, uint64_t m)
{
	const uint8_t *value = (uint8_t *)r->tokens[i].values[m];
	struct jt_entry e = {
		.state = JT_SLOT_ACTIVE,
		.env = jt_table_env(&r->maps, jt_env_word("live", 4)),
		.expires_s = ROTATE_EXPIRES_S,
		.meter = (uint32_t)i,
	};
	char owner[ROTATE_OWNER];
	uint32_t slot;

	rotate_owner(i, m, owner);
	memcpy(e.id, value, sizeof(e.id));
	jt_token_digest(value, e.digest);
	if (jt_table_put_owner(&r->maps, (const uint8_t *)owner,
			       (uint32_t)strlen(owner), &e.owner) ||
	    jt_table_put(&r->maps, &e, &slot))
		stress_die("put a rotated value", 1);
	return slot;
}

static inline void rotate_one(struct rotate *r, uint64_t i)
{
	struct rotate_token *t = &r->tokens[i];
	uint64_t k = jt_load_relaxed(&t->acknowledged) + 1; /* relaxed: ours */
	uint64_t end_s =
		jt_load_relaxed(&r->now_s) + stress_below(&r->random, 4);

	if (k == ROTATE_VALUES)
		return; /* its values are used up */
	r->rotations++;
	jt_store_release(&t->begun, k);
	t->slots[k] = rotate_put(r, i, k);
	jt_store_release(&t->ends[k - 1], end_s);
	if (k >= 2)
		jt_table_drop(&r->maps, t->slots[k - 2]);
	jt_table_set_a(&r->maps, t->slots[k - 1], JT_SLOT_ACTIVE,
		       JT_SLOT_OLD_VALUE, (uint32_t)end_s);
	jt_store_release(&t->acknowledged, k);
}

/* Mostly one of two, where writer and readers then meet. */
static inline uint64_t rotate_aim(const struct rotate *r, uint64_t *random)
{
	uint64_t hot = jt_load_relaxed(&r->hot); /* relaxed: only aimed */

	return stress_below(random, 2) ? hot + stress_below(random, 2)
				       : stress_below(random, ROTATE_TOKENS);
}

/* As many as are due, spread evenly over the time. */
static inline void rotate_write(struct rotate *r)
{
	const uint64_t all = ROTATE_TOKENS * (uint64_t)(ROTATE_VALUES - 1);
	uint64_t all_ns = r->s->seconds * STRESS_NS_PER_S;
	uint64_t due = (uint64_t)((unsigned __int128)all *
				  (stress_now_ns() - r->begun_ns) / all_ns);

	due = due < all ? due : all;
	for (unsigned n = 0; n < ROTATE_TURN && r->done < due; n++, r->done++) {
		/* relaxed: only aimed at */
		jt_store_relaxed(&r->hot,
				 r->done * (ROTATE_TOKENS / 2) / all * 2);
		rotate_one(r, rotate_aim(r, &r->random));
		if (stress_below(&r->random, 16) == 0)
			jt_store_release(&r->now_s,
					 jt_load_relaxed(&r->now_s) + 1);
	}
}

static inline void rotate_set_up(struct rotate *r, struct stress *s)
{
	const uint8_t id[16] = {1};
	const struct jt_segment_size size = {
		.capacity = 2 * ROTATE_TOKENS,
		.pool_bytes = ROTATE_TOKENS * ROTATE_VALUES * ROTATE_OWNER,
		.prefix = "jt"};
	int rc = jt_segment_create(&size, id, &r->fds, &r->maps);

	if (rc)
		stress_die("jt_segment_create", rc);
	r->s = s;
	r->random = stress_mix(s->seed ^ 77);
	r->now_s = ROTATE_START_S;
	r->tokens = stress_shared(ROTATE_TOKENS * sizeof(*r->tokens));
	for (uint64_t i = 0; i < ROTATE_TOKENS; i++) {
		struct rotate_token *t = &r->tokens[i];

		jt_token_make("jt", "live", t->values[0]);
		for (unsigned m = 1; m < ROTATE_VALUES; m++)
			jt_token_remake(t->values[0], t->values[m]);
		t->slots[0] = rotate_put(r, i, 0);
	}
	/* pairs with the load in jt_verify() */
	jt_store_release(&r->maps.identity_rw->state, JT_IDENTITY_SERVING);
}

/* ---- the readers ---- */

/* One request, and by what its answer is judged. */
struct rotate_ask {
	uint64_t token, value, acknowledged;
};

static inline bool rotate_fits(const struct rotate_token *t,
			       const struct rotate_ask *q,
			       const struct jt_verdict *v, uint64_t now_s)
{
	uint64_t begun = jt_load_acquire(&t->begun);
	uint64_t end_s = jt_load_acquire(&t->ends[q->value]);
	bool old = v->notes & JT_NOTE_OLD_VALUE;
	/* replaced, or about to be; and not dropped before */
	bool may_be_old = q->value < begun && q->value + 2 > q->acknowledged;

	switch (v->word) {
	case JT_VALID:
		return old ? may_be_old && now_s < end_s
			   : q->value <= begun && q->value >= q->acknowledged;
	case JT_REVOKED:
		return old && may_be_old && now_s >= end_s;
	case JT_UNKNOWN:
		return q->value > q->acknowledged || q->value + 2 <= begun;
	default:
		return false;
	}
}

static inline void rotate_judge(struct rotate *r, const struct rotate_ask *q,
				const struct jt_verdict *v, uint64_t now_s)
{
	char owner[ROTATE_OWNER];

	if (!rotate_fits(&r->tokens[q->token], q, v, now_s))
		stress_fail(r->s,
			    "value %" PRIu64 " of token %" PRIu64
			    " is %s, notes %x, at %" PRIu64 ": %" PRIu64
			    " acknowledged before",
			    q->value, q->token, jt_word_name(v->word), v->notes,
			    now_s, q->acknowledged);
	/* relaxed: statistics */
	jt_add_relaxed(v->word == JT_UNKNOWN	      ? &r->unknown
		       : v->word == JT_REVOKED	      ? &r->over
		       : v->notes & JT_NOTE_OLD_VALUE ? &r->old
						      : &r->current,
		       1);
	if (v->word == JT_UNKNOWN)
		return;
	rotate_owner(q->token, q->value, owner);
	if (v->owner.bytes != strlen(owner) ||
	    memcmp(v->owner.at, owner, v->owner.bytes) != 0)
		stress_fail(r->s,
			    "value %" PRIu64 " of token %" PRIu64
			    " has another's owner",
			    q->value, q->token);
}

/* Some of one token, near the value that it has now. */
static inline struct rotate_ask rotate_pick(const struct rotate *r,
					    uint64_t token, bool blind,
					    uint64_t *random)
{
	const struct rotate_token *t = &r->tokens[token];
	struct rotate_ask q = {.token = token};
	uint64_t near = jt_load_relaxed(&t->acknowledged); /* only aimed */

	q.value = near + stress_below(random, 5);
	q.value = q.value < 3 ? 0 : q.value - 3;
	if (q.value >= ROTATE_VALUES)
		q.value = ROTATE_VALUES - 1;
	q.acknowledged = blind ? 0 : jt_load_acquire(&t->acknowledged);
	return q;
}

static inline void rotate_read(struct rotate *r, const struct jt_maps *maps,
			       struct jt_memo *memo, bool blind,
			       uint64_t *random)
{
	struct jt_ask asks[ROTATE_BATCH] = {0};
	struct jt_verdict verdicts[ROTATE_BATCH];
	struct rotate_ask q[ROTATE_BATCH];
	struct jt_tally tally = {0};
	uint64_t token = 0, now_s;

	for (unsigned i = 0; i < ROTATE_BATCH; i++) {
		if (i % 4 == 0)
			token = rotate_aim(r, random);
		q[i] = rotate_pick(r, token, blind, random);
		asks[i].token = (struct jt_bytes){
			(const uint8_t *)r->tokens[token].values[q[i].value],
			JT_TOKEN_BYTES};
		asks[i].cost = stress_below(random, 2);
	}
	now_s = blind ? jt_load_relaxed(&r->now_s) : jt_load_acquire(&r->now_s);
	jt_verify(maps, memo, asks, verdicts, ROTATE_BATCH,
		  (struct jt_now){.wall_s = now_s, .boot_ns = 1}, &tally);
	for (unsigned i = 0; i < ROTATE_BATCH; i++)
		rotate_judge(r, &q[i], &verdicts[i], now_s);
	jt_add_relaxed(&r->torn, tally.torn); /* relaxed: statistics */
	stress_count(r->s, ROTATE_BATCH);
}

/* ---- the end ---- */

/* When all is quiet: the last value, the one before, and no other. */
static inline void rotate_take_stock(struct rotate *r)
{
	uint64_t random = r->s->seed;

	for (unsigned i = 0; i < 64; i++)
		rotate_read(r, &r->maps, NULL, false, &random);
	printf("%s: %" PRIu64 " rotations; %" PRIu64 " current values, %" PRIu64
	       " old ones, %" PRIu64 " past their end, %" PRIu64
	       " unknown, %" PRIu64 " torn\n",
	       r->s->name, r->rotations, r->current, r->old, r->over,
	       r->unknown, r->torn);
	if (!r->current || !r->old || !r->over || !r->unknown)
		stress_fail(r->s, "not every kind of value was met");
	if (jt_load_relaxed(&r->maps.identity->used) > 2 * ROTATE_TOKENS)
		stress_fail(r->s, "more slots in use than values live");
}

#endif
