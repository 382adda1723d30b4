/*
 * stress_memo: no short cut makes a forged or a revoked token valid.
 *
 * A memo belongs to one hand, so each hand has its own, of 1 line (nearly
 * every learning drives out another), of a few, or of the usual size, over one
 * table that the writer keeps revoking in. Every hand asks for
 *   the true value    VALID, or REVOKED once its revoke began; after the
 *                     acknowledged revoke REVOKED, though its tag was learned
 *   a forged one      of the same public id, another secret, the checksum
 *                     right or wrong; before and after the true one was
 *                     learned, in the same batch and in later ones: never found
 *   an old value      of an id that has two, as after a rotation, in either
 *                     order of slots: REVOKED, while the new one is VALID
 *   values near that  of ids that are rotated again and again, so that what was
 *                     learned soon belongs to an old value, or to none:
 *                     stress_rotate.h
 */
#include "tests/stress_rotate.h"

#include <xxhash.h>

#define HANDS 3u
#define TOKENS 1024u
#define PAIRS 64u /* ids with two values */
#define GROUP 8u  /* asks about one token in one batch */
#define BATCH (4 * GROUP)
#define NOW_S 1000000ull
#define EXPIRES_S 2000000u
#define USUAL (TOKENS / 2 + 1)

enum phase {
	STANDS,
	REVOKING,
	REVOKED
};

struct test {
	struct stress *s;
	struct jt_segment_fds fds;
	struct jt_maps maps;
	struct rotate turn;
	char values[TOKENS][JT_TOKEN_BYTES];
	char pairs[PAIRS][2][JT_TOKEN_BYTES]; /* old, new */
	uint32_t slots[TOKENS];
	_Atomic uint64_t phases[TOKENS];
	_Atomic uint64_t hits[HANDS], misses[HANDS], forged, revoked;
};

/* A batch under way: what is asked, and what each answer is judged by. */
struct batch {
	struct jt_ask asks[BATCH];
	struct jt_verdict verdicts[BATCH];
	char forged[BATCH][JT_TOKEN_BYTES];
	uint64_t which[BATCH], before[BATCH];
	bool is_forged[BATCH];
	unsigned n;
};

/* ---- values ---- */

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			     "abcdefghijklmnopqrstuvwxyz";

/* As token.h describes it; a second opinion. */
static void put_checksum(char value[JT_TOKEN_BYTES])
{
	uint32_t sum = XXH32(value, JT_TOKEN_BYTES - JT_CHECK_BYTES, 0);

	for (unsigned i = JT_TOKEN_BYTES; i-- > JT_TOKEN_BYTES - JT_CHECK_BYTES;
	     sum /= 62)
		value[i] = digits[sum % 62];
}

/* Same public part, another secret. */
static void forge(const char *value, char out[JT_TOKEN_BYTES], uint64_t *random)
{
	unsigned at = JT_PUBLIC_BYTES +
		      (unsigned)stress_below(random, JT_TOKEN_BYTES -
							     JT_PUBLIC_BYTES -
							     JT_CHECK_BYTES);

	memcpy(out, value, JT_TOKEN_BYTES);
	while (out[at] == value[at])
		out[at] = digits[stress_below(random, 62)];
	if (stress_below(random, 4))
		put_checksum(out);
}

/* ---- the table ---- */

static uint32_t put(struct test *t, const char *value, uint32_t meter,
		    uint8_t state)
{
	struct jt_entry e = {
		.state = state,
		.env = jt_table_env(&t->maps, jt_env_word("live", 4)),
		.expires_s = EXPIRES_S,
		.meter = meter,
	};
	uint32_t slot;

	memcpy(e.id, value, sizeof(e.id));
	jt_token_digest((const uint8_t *)value, e.digest);
	if (jt_table_put(&t->maps, &e, &slot))
		stress_die("put a token", 1);
	return slot;
}

/* The old value is revoked; it was put first, or last. */
static void put_pair(struct test *t, unsigned i, uint64_t *random)
{
	char(*v)[JT_TOKEN_BYTES] = t->pairs[i];
	uint32_t meter = TOKENS + i;

	jt_token_make("jt", "live", v[0]);
	do
		forge(v[0], v[1], random);
	while (jt_token_shape((const uint8_t *)v[1], JT_TOKEN_BYTES) !=
	       JT_SHAPE_NATIVE);
	if (i % 2)
		put(t, v[0], meter, JT_SLOT_REVOKED);
	put(t, v[1], meter, JT_SLOT_ACTIVE);
	if (i % 2 == 0)
		put(t, v[0], meter, JT_SLOT_REVOKED);
}

static struct test *set_up(struct stress *s)
{
	const struct jt_segment_size size = {.capacity = TOKENS + PAIRS,
					     .pool_bytes = JT_PAGE,
					     .prefix = "jt"};
	struct test *t = stress_shared(sizeof(*t));
	const uint8_t id[16] = {1};
	uint64_t random = s->seed;
	int rc = jt_segment_create(&size, id, &t->fds, &t->maps);

	if (rc)
		stress_die("jt_segment_create", rc);
	t->s = s;
	for (unsigned i = 0; i < TOKENS; i++) {
		jt_token_make("jt", "live", t->values[i]);
		t->slots[i] = put(t, t->values[i], i, JT_SLOT_ACTIVE);
	}
	for (unsigned i = 0; i < PAIRS; i++)
		put_pair(t, i, &random);
	/* pairs with the load in jt_verify() */
	jt_store_release(&t->maps.identity_rw->state, JT_IDENTITY_SERVING);
	rotate_set_up(&t->turn, s);
	s->until_ns = stress_now_ns() + s->seconds * STRESS_NS_PER_S;
	return t;
}

/* ---- asking ---- */

static void ask(struct test *t, struct batch *b, uint64_t which,
		const char *value)
{
	unsigned i = b->n++;

	b->which[i] = which;
	b->is_forged[i] = value != t->values[which];
	b->before[i] = jt_load_acquire(&t->phases[which]);
	b->asks[i] = (struct jt_ask){
		.token = {(const uint8_t *)value, JT_TOKEN_BYTES}, .cost = 1};
}

/* True and forged values of one token in any order. */
static void ask_group(struct test *t, struct batch *b, uint64_t which,
		      uint64_t *random)
{
	for (unsigned i = 0; i < GROUP; i++) {
		char *forged = b->forged[b->n];

		if (stress_below(random, 2)) {
			ask(t, b, which, t->values[which]);
			continue;
		}
		forge(t->values[which], forged, random);
		ask(t, b, which, forged);
	}
}

static bool fits(const struct batch *b, unsigned i, uint64_t after)
{
	enum jt_word word = b->verdicts[i].word;

	if (b->is_forged[i])
		return word == JT_UNKNOWN || word == JT_MISTYPED;
	if (word == JT_REVOKED)
		return after >= REVOKING;
	return word == JT_VALID && b->before[i] < REVOKED;
}

static void judge(struct test *t, const struct batch *b)
{
	for (unsigned i = 0; i < b->n; i++) {
		uint64_t after = jt_load_acquire(&t->phases[b->which[i]]);

		if (!fits(b, i, after))
			stress_fail(t->s,
				    "%s value of token %" PRIu64
				    " is %s, in phase %" PRIu64
				    " before and %" PRIu64 " after",
				    b->is_forged[i] ? "a forged" : "the true",
				    b->which[i],
				    jt_word_name(b->verdicts[i].word),
				    b->before[i], after);
		/* relaxed: statistics */
		if (b->is_forged[i])
			jt_add_relaxed(&t->forged, 1);
		else if (b->verdicts[i].word == JT_REVOKED)
			jt_add_relaxed(&t->revoked, 1);
	}
}

static void verify(struct stress_hand *hand, const struct jt_maps *maps,
		   struct jt_memo *memo, struct batch *b)
{
	struct test *t = hand->ctx;
	struct jt_tally tally = {0};

	jt_verify(maps, memo, b->asks, b->verdicts, b->n,
		  (struct jt_now){.wall_s = NOW_S, .boot_ns = 1}, &tally);
	/* relaxed: statistics */
	jt_add_relaxed(&t->hits[hand->number], tally.memo_hits);
	jt_add_relaxed(&t->misses[hand->number], tally.memo_misses);
	stress_count(t->s, b->n);
}

static void round_of_tokens(struct stress_hand *hand,
			    const struct jt_maps *maps, struct jt_memo *memo,
			    uint64_t *random)
{
	struct test *t = hand->ctx;
	struct batch b;

	b.n = 0;
	while (b.n < BATCH)
		ask_group(t, &b, stress_below(random, TOKENS), random);
	verify(hand, maps, memo, &b);
	judge(t, &b);
}

/* Both values of a pair, again and again, so that both get learned. */
static void round_of_pairs(struct stress_hand *hand, const struct jt_maps *maps,
			   struct jt_memo *memo, uint64_t *random)
{
	struct test *t = hand->ctx;
	uint64_t which = stress_below(random, PAIRS);
	bool is_new[BATCH];
	struct batch b;

	for (b.n = 0; b.n < BATCH; b.n++) {
		const char *value;

		is_new[b.n] = stress_below(random, 2);
		value = t->pairs[which][is_new[b.n]];
		b.asks[b.n] = (struct jt_ask){
			.token = {(const uint8_t *)value, JT_TOKEN_BYTES}};
	}
	verify(hand, maps, memo, &b);
	for (unsigned i = 0; i < BATCH; i++)
		if (b.verdicts[i].word != (is_new[i] ? JT_VALID : JT_REVOKED))
			stress_fail(t->s,
				    "the %s value of pair %" PRIu64 " is %s",
				    is_new[i] ? "new" : "old", which,
				    jt_word_name(b.verdicts[i].word));
}

static void asker(struct stress_hand *hand)
{
	static const unsigned n_lines[HANDS] = {1, 16, USUAL};
	static struct jt_memo_line lines[HANDS][USUAL]
		__attribute__((aligned(JT_LINE)));
	struct test *t = hand->ctx;
	unsigned me = hand->number;
	uint64_t random = stress_hand_seed(hand);
	struct jt_maps maps = t->maps, turn = t->turn.maps;
	struct jt_memo memo;
	int rc = 0;

	if (me || hand->s->processes)
		rc = jt_segment_map(&t->fds, &maps);
	if (!rc && (me || hand->s->processes))
		rc = jt_segment_map(&t->turn.fds, &turn);
	if (rc)
		stress_die("jt_segment_map", rc);
	jt_memo_init(&memo, lines[me], n_lines[me] * sizeof(lines[0][0]));
	while (stress_goes_on(hand->s)) {
		/* far: batches go without it */
		memo.near = stress_random(&random) % 4;
		round_of_tokens(hand, &maps, &memo, &random);
		round_of_pairs(hand, &maps, &memo, &random);
		rotate_read(&t->turn, &turn, &memo, false, &random);
	}
	jt_memo_deinit(&memo);
}

/* All revoked at the end of the time, evenly spread over it. */
static void revoke_all(struct test *t)
{
	uint64_t pause_ns = t->s->seconds * STRESS_NS_PER_S / (TOKENS + 16);

	t->turn.begun_ns = stress_now_ns();
	for (unsigned i = 0; i < TOKENS && stress_goes_on(t->s); i++) {
		stress_sleep_ns(pause_ns);
		rotate_write(&t->turn);
		jt_store_release(&t->phases[i], REVOKING);
		jt_table_set_a(&t->maps, t->slots[i], JT_SLOT_REVOKED, 0,
			       EXPIRES_S);
		jt_store_release(&t->phases[i], REVOKED);
	}
}

int main(int argc, char **argv)
{
	struct stress_hand hands[HANDS];
	struct stress s;
	struct test *t;

	stress_begin(&s, "stress_memo", 3, argc, argv, NULL);
	t = set_up(&s);
	stress_start(&s, hands, HANDS, t, asker);
	revoke_all(t);
	stress_stop(&s);
	stress_join(&s, hands, HANDS);
	rotate_take_stock(&t->turn);
	printf("stress_memo: %" PRIu64 " forged values refused, %" PRIu64
	       " revoked ones;",
	       t->forged, t->revoked);
	for (unsigned i = 0; i < HANDS; i++) {
		printf(" hand %u: %" PRIu64 " known, %" PRIu64 " hashed;", i,
		       t->hits[i], t->misses[i]);
		if (!t->hits[i] || !t->misses[i])
			stress_fail(&s, "hand %u: the memo was not tried", i);
	}
	printf("\n");
	if (!t->forged || !t->revoked)
		stress_fail(&s, "nothing forged, or nothing revoked was met");
	return stress_end(&s);
}
