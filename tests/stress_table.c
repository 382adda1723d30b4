/*
 * stress_table: one writer, three readers, two tables, no contradiction.
 *
 * life    Tokens are put and then revoked, in order of their number. A token's
 *         phase says how far the writer is, stored before and after each step;
 *         a verdict is judged by the phases read before and after it:
 *           acknowledged revoke before  -> REVOKED, nothing else
 *           acknowledged put before     -> VALID, or REVOKED once that began
 *           neither begun afterwards    -> UNKNOWN
 *         Forged values of a known id are never found.
 * storm   A table of few slots whose values are dropped and put again without
 *         end: every field of a view must come from one put, and a value that
 *         stood there before and after the search must have been found.
 *
 * turn    Tokens are rotated from value to value (stress_rotate.h).
 *
 * Of the threads, reader 0 reads the writer's own addresses, so that
 * ThreadSanitizer sees both sides (stress.h), and neither a phase first nor the
 * storm's numbers, so that only the table's own order makes its reads safe: of
 * owners' names, which are plain bytes. The others map read-only.
 */
#include "tests/stress_rotate.h"

#include "shm/table.h"
#include "shm/verify.h"

#define READERS 3u
#define TOKENS 32768u
#define STRANGERS 1024u /* never put; behind the tokens */
#define BATCH 32u
#define STORM_TOKENS 48u
#define STORM_READS 8u /* as quick as one batch of verdicts */
#define EPOCH 256u
#define PLACES 64u /* numbers name their place by the remainder */
#define LIFE_TURN 64u
#define STORM_TURN 64u
#define PER_OWNER 8u /* tokens */
#define NOW_S 1000000ull
#define EXPIRES_S 2000000u

enum phase {
	ABSENT,
	PUTTING,
	PUT,
	REVOKING,
	REVOKED
};

struct test {
	struct stress *s;
	struct jt_segment_fds life_fds, storm_fds;
	struct jt_maps life, storm; /* the writer's */
	struct rotate turn;
	char (*values)[JT_TOKEN_BYTES];
	/* how far the writer is */
	_Atomic uint64_t *phases;
	_Atomic uint64_t n_put, n_revoked;
	_Atomic uint64_t live[STORM_TOKENS]; /* numbers; 0: none now */
	/* what the readers met */
	_Atomic uint64_t valid, revoked, unknown, views, torn, missed;
	/* the writer's own */
	uint32_t *slots, storm_slots[STORM_TOKENS];
	uint64_t rewritten;
	uint32_t owner; /* the last one, in the pool */
};

/* ---- storm ---- */

/* Field K of the value with that number. */
static uint64_t field(uint64_t number, unsigned k)
{
	return stress_mix(number * 16 + k);
}

/* One id of a place for a while, so that most puts take the slot just freed. */
static void number_id(uint64_t number, uint8_t id[JT_PUBLIC_BYTES])
{
	uint64_t place = number % PLACES, epoch = number / PLACES / EPOCH;
	uint64_t text[3] = {stress_mix(place), stress_mix(epoch), place};

	memcpy(id, text, JT_PUBLIC_BYTES);
}

static void storm_entry(const struct test *t, uint64_t number,
			struct jt_entry *e)
{
	uint64_t digest[4] = {number, field(number, 1), field(number, 2),
			      field(number, 3)};

	*e = (struct jt_entry){
		.state = JT_SLOT_ACTIVE,
		.env = (uint8_t)field(number, 4),
		.plan = (uint16_t)field(number, 5),
		.scope_set = (uint16_t)field(number, 6),
		.expires_s = EXPIRES_S, /* alike: only the generation differs */
		.owner = (uint32_t)field(number, 7),
		.meter = (uint32_t)(number % t->storm.identity->capacity),
	};
	number_id(number, e->id);
	memcpy(e->digest, digest, sizeof(digest));
}

/* Mostly one of two places, where writer and readers then meet. */
static uint64_t pick_place(uint64_t *random)
{
	return stress_below(random, stress_below(random, 4) ? 2 : STORM_TOKENS);
}

static void storm_write(struct test *t, uint64_t *random)
{
	for (unsigned i = 0; i < STORM_TURN; i++) {
		uint64_t place = pick_place(random);
		uint64_t number = ++t->rewritten * PLACES + place;
		struct jt_entry e;

		/* first, so that freeing and putting follow each other */
		storm_entry(t, number, &e);
		/* relaxed: our own word */
		if (jt_load_relaxed(&t->live[place])) {
			jt_store_seq(&t->live[place], 0);
			jt_table_drop(&t->storm, t->storm_slots[place]);
		}
		if (jt_table_put(&t->storm, &e, &t->storm_slots[place]))
			stress_die("put into the storm", 1);
		jt_store_release(&t->live[place], number);
	}
}

static bool is_whole(const struct test *t, const struct jt_view *v)
{
	uint64_t n = v->digest[0];
	uint64_t b = jt_word_b((uint32_t)(n % STORM_TOKENS),
			       (uint16_t)field(n, 5), (uint16_t)field(n, 6));

	return v->digest[1] == field(n, 1) && v->digest[2] == field(n, 2) &&
	       v->digest[3] == field(n, 3) && v->b == b &&
	       v->owner == (uint32_t)field(n, 7) &&
	       v->env == (uint8_t)field(n, 4);
}

/* Search for NUMBER; is every view on the way whole? */
static bool storm_find(struct test *t, const struct jt_maps *maps,
		       uint64_t number)
{
	uint8_t id[JT_PUBLIC_BYTES];
	struct jt_view v;
	uint32_t cursor = 0;
	uint64_t key;

	number_id(number, id);
	key = jt_token_key(id, maps->identity->seed);
	while (jt_table_next(maps, key, &cursor, &v)) {
		jt_add_relaxed(&t->views, 1); /* relaxed: statistics */
		if (v.a == 0)
			jt_add_relaxed(&t->torn, 1);
		else if (!is_whole(t, &v))
			stress_fail(t->s,
				    "torn view of slot %" PRIu64
				    ": parts of %" PRIu64 " and of another",
				    v.slot, v.digest[0]);
		else if (v.digest[0] == number)
			return true;
	}
	return false;
}

static void storm_read(struct test *t, const struct jt_maps *maps,
		       uint64_t *random)
{
	for (unsigned i = 0; i < BATCH; i++) {
		_Atomic uint64_t *place = &t->live[pick_place(random)];
		uint64_t number = jt_load_acquire(place);

		if (!number)
			continue;
		if (storm_find(t, maps, number))
			continue;
		/* pairs with the store of 0 before the slot is freed */
		if (jt_load_seq(place) == number)
			stress_fail(t->s, "value %" PRIu64 " was not found",
				    number);
		jt_add_relaxed(&t->missed, 1); /* relaxed: statistics */
	}
	stress_count(t->s, BATCH);
}

/* ---- life ---- */

static void owner_text(uint64_t number, char text[16])
{
	snprintf(text, 16, "owner-%" PRIu64, number / PER_OWNER);
}

static void life_put(struct test *t, uint64_t i)
{
	struct jt_entry e = {
		.state = JT_SLOT_ACTIVE,
		.env = jt_table_env(&t->life, jt_env_word("live", 4)),
		.expires_s = EXPIRES_S,
		.meter = (uint32_t)i,
	};
	char owner[16];

	owner_text(i, owner);
	if (i % PER_OWNER == 0 &&
	    jt_table_put_owner(&t->life, (const uint8_t *)owner,
			       (uint32_t)strlen(owner), &t->owner))
		stress_die("put an owner", 1);
	e.owner = t->owner;
	memcpy(e.id, t->values[i], sizeof(e.id));
	jt_token_digest((const uint8_t *)t->values[i], e.digest);
	jt_store_release(&t->phases[i], PUTTING);
	if (jt_table_put(&t->life, &e, &t->slots[i]))
		stress_die("put a token", 1);
	jt_store_release(&t->phases[i], PUT);
}

static void life_revoke(struct test *t, uint64_t i)
{
	jt_store_release(&t->phases[i], REVOKING);
	jt_table_set_a(&t->life, t->slots[i], JT_SLOT_REVOKED, 0, EXPIRES_S);
	jt_store_release(&t->phases[i], REVOKED);
}

/* Puts and revokes spread evenly over the time; revokes lag a little. */
static void life_write(struct test *t, uint64_t begun_ns)
{
	uint64_t all_ns = t->s->seconds * STRESS_NS_PER_S;
	uint64_t due = (uint64_t)((unsigned __int128)TOKENS *
				  (stress_now_ns() - begun_ns) / all_ns);
	/* relaxed: our own words; the readers only want to be near */
	uint64_t put = jt_load_relaxed(&t->n_put);
	uint64_t gone = jt_load_relaxed(&t->n_revoked);

	due = due < TOKENS ? due : TOKENS;
	due = due < put + LIFE_TURN ? due : put + LIFE_TURN;
	for (; put < due; put++) {
		life_put(t, put);
		jt_store_relaxed(&t->n_put, put + 1);
	}
	for (; gone + 64 < put; gone++) {
		life_revoke(t, gone);
		jt_store_relaxed(&t->n_revoked, gone + 1);
	}
}

/* A token near where the writer is, or any, or a stranger. */
static uint64_t pick(const struct test *t, uint64_t *random)
{
	uint64_t at = stress_below(random, TOKENS + STRANGERS);

	/* relaxed: only aimed */
	if (stress_below(random, 3) == 0)
		at = jt_load_relaxed(&t->n_put) + stress_below(random, 8);
	else if (stress_below(random, 2) == 0)
		at = jt_load_relaxed(&t->n_revoked) + stress_below(random, 8);
	return at < 4 ? at : at - 4;
}

static bool fits(uint64_t before, uint64_t after, enum jt_word word)
{
	switch (word) {
	case JT_VALID:
		return after >= PUTTING && before < REVOKED;
	case JT_REVOKED:
		return after >= REVOKING;
	case JT_UNKNOWN:
		return before < PUT;
	default:
		return false;
	}
}

static void judge(struct test *t, uint64_t i, uint64_t before,
		  const struct jt_verdict *v)
{
	uint64_t after = jt_load_acquire(&t->phases[i]);
	char owner[16];

	if (!fits(before, after, v->word))
		stress_fail(t->s,
			    "token %" PRIu64 " is %s, in phase %" PRIu64
			    " before and %" PRIu64 " after",
			    i, jt_word_name(v->word), before, after);
	jt_add_relaxed(v->word == JT_VALID     ? &t->valid
		       : v->word == JT_REVOKED ? &t->revoked
					       : &t->unknown,
		       1); /* relaxed: statistics */
	if (v->word == JT_UNKNOWN)
		return;
	owner_text(i, owner);
	if (v->owner.bytes != strlen(owner) ||
	    memcmp(v->owner.at, owner, v->owner.bytes) != 0)
		stress_fail(t->s, "token %" PRIu64 " has another's owner", i);
}

/* Right public part and length, last character of the secret changed. */
static void forge(const char *value, char out[JT_TOKEN_BYTES])
{
	memcpy(out, value, JT_TOKEN_BYTES);
	out[JT_TOKEN_BYTES - 1] = out[JT_TOKEN_BYTES - 1] == 'x' ? 'y' : 'x';
}

/* BLIND: no phase is read first, see above. */
static void life_read(struct test *t, const struct jt_maps *maps,
		      struct jt_memo *memo, bool blind, uint64_t *random)
{
	struct jt_ask asks[BATCH] = {0};
	struct jt_verdict verdicts[BATCH];
	uint64_t which[BATCH], before[BATCH];
	char forged[JT_TOKEN_BYTES];
	struct jt_tally tally = {0};

	for (unsigned i = 0; i < BATCH; i++) {
		which[i] = pick(t, random);
		before[i] =
			blind ? ABSENT : jt_load_acquire(&t->phases[which[i]]);
		asks[i].token.at = (const uint8_t *)t->values[which[i]];
		asks[i].token.bytes = JT_TOKEN_BYTES;
		asks[i].cost = 1;
	}
	forge(t->values[which[0]], forged);
	asks[0].token.at = (const uint8_t *)forged;
	jt_verify(maps, memo, asks, verdicts, BATCH,
		  (struct jt_now){.wall_s = NOW_S, .boot_ns = 1}, &tally);
	if (verdicts[0].word != JT_MISTYPED)
		stress_fail(t->s, "a forged value of token %" PRIu64 " is %s",
			    which[0], jt_word_name(verdicts[0].word));
	for (unsigned i = 1; i < BATCH; i++)
		judge(t, which[i], before[i], &verdicts[i]);
	jt_add_relaxed(&t->torn, tally.torn); /* relaxed: statistics */
	stress_count(t->s, BATCH);
}

/* ---- hands ---- */

static void map(const struct jt_segment_fds *fds, struct jt_maps *maps)
{
	int rc = jt_segment_map(fds, maps);

	if (rc)
		stress_die("jt_segment_map", rc);
}

static void reader(struct stress_hand *hand)
{
	static struct jt_memo_line lines[READERS][256]
		__attribute__((aligned(JT_LINE)));
	struct test *t = hand->ctx;
	bool shared = !hand->s->processes && hand->number == 0;
	uint64_t random = stress_hand_seed(hand);
	struct jt_maps life = t->life, storm = t->storm, turn = t->turn.maps;
	struct jt_memo memo;

	if (!shared) {
		map(&t->life_fds, &life);
		map(&t->storm_fds, &storm);
		map(&t->turn.fds, &turn);
	}
	jt_memo_init(&memo, lines[hand->number], sizeof(lines[0]));
	while (stress_goes_on(hand->s)) {
		life_read(t, &life, hand->number % 2 ? &memo : NULL, shared,
			  &random);
		for (unsigned i = 0; i < STORM_READS && !shared; i++)
			storm_read(t, &storm, &random);
		rotate_read(&t->turn, &turn, NULL, shared, &random);
	}
	if (shared)
		return;
	jt_segment_unmap(&life);
	jt_segment_unmap(&storm);
	jt_segment_unmap(&turn);
}

static void writer(struct test *t)
{
	uint64_t random = stress_mix(t->s->seed), begun_ns = stress_now_ns();

	t->turn.begun_ns = begun_ns;
	while (stress_goes_on(t->s)) {
		life_write(t, begun_ns);
		rotate_write(&t->turn);
		storm_write(t, &random);
	}
}

/* When all is quiet: every token in the state in which it was left. */
static void take_stock(struct test *t)
{
	uint64_t put = jt_load_relaxed(&t->n_put); /* relaxed: ours */
	uint64_t random = t->s->seed;

	for (uint64_t i = 0; i + BATCH < put; i += BATCH)
		life_read(t, &t->life, NULL, false, &random);
	for (uint64_t i = 0; i < STORM_TOKENS; i++)
		storm_read(t, &t->storm, &random);
	rotate_take_stock(&t->turn);
	if (put < TOKENS / 16)
		stress_fail(t->s, "the writer came to %" PRIu64 " tokens only",
			    put);
	if (!jt_load_relaxed(&t->valid) || !jt_load_relaxed(&t->revoked))
		stress_fail(t->s, "no token was met valid, or none revoked");
}

static void create(struct jt_segment_fds *fds, struct jt_maps *maps,
		   uint64_t capacity)
{
	const struct jt_segment_size size = {.capacity = capacity,
					     .pool_bytes =
						     jt_segment_pool(capacity),
					     .prefix = "jt"};
	const uint8_t id[16] = {1};
	int rc = jt_segment_create(&size, id, fds, maps);

	if (rc)
		stress_die("jt_segment_create", rc);
	/* pairs with the load in jt_verify() */
	jt_store_release(&maps->identity_rw->state, JT_IDENTITY_SERVING);
}

static struct test *set_up(struct stress *s)
{
	struct test *t = stress_shared(sizeof(*t));

	t->s = s;
	create(&t->life_fds, &t->life, TOKENS);
	create(&t->storm_fds, &t->storm, STORM_TOKENS);
	t->values = stress_shared((TOKENS + STRANGERS) * sizeof(*t->values));
	t->phases = stress_shared((TOKENS + STRANGERS) * sizeof(*t->phases));
	t->slots = stress_shared(TOKENS * sizeof(*t->slots));
	for (unsigned i = 0; i < TOKENS + STRANGERS; i++)
		jt_token_make("jt", "live", t->values[i]);
	rotate_set_up(&t->turn, s);
	s->until_ns = stress_now_ns() + s->seconds * STRESS_NS_PER_S;
	return t;
}

int main(int argc, char **argv)
{
	struct stress_hand hands[READERS];
	struct stress s;
	struct test *t;

	stress_begin(&s, "stress_table", 3, argc, argv, NULL);
	t = set_up(&s);
	stress_start(&s, hands, READERS, t, reader);
	writer(t);
	stress_stop(&s);
	stress_join(&s, hands, READERS);
	take_stock(t);
	printf("stress_table: %" PRIu64 " tokens put, %" PRIu64
	       " revoked, %" PRIu64 " slots rewritten; %" PRIu64
	       " valid, %" PRIu64 " revoked, %" PRIu64 " unknown; %" PRIu64
	       " views, %" PRIu64 " misses of values just freed, %" PRIu64
	       " torn\n",
	       t->n_put, t->n_revoked, t->rewritten, t->valid, t->revoked,
	       t->unknown, t->views, t->missed, t->torn);
	return stress_end(&s);
}
