/*
 * verify: the verdict, in passes over groups of GROUP requests.
 *
 * A dependent read of memory that is in no cache costs 200-500 ns, a
 * prefetched one 10-40 ns, so no pass touches a line that the pass before has
 * not asked for:
 *
 *   aim     short hash of the public part; prefetch home slot and memo line
 *   behind  the key is not at home: prefetch the slots that follow
 *   meet    first slot bearing the key; prefetch the meter line and the
 *           owner's name
 *   hash    the memo's tags of all of them, side by side; or their digests
 *   find    is it this very value? (digest, or memo tag, else BLAKE2b); if not,
 *           the next slot bearing the key
 *   decide  state, environment, expiry, scopes, rate; count
 *
 * Eight digests side by side cost less than a line of the memo that is in no
 * cache and the tag that is looked for in it, once there is no end of the
 * memo's lines; for a few requests, or with few tokens, the memo is faster.
 *
 * What a group asks about one token more than once is decided together, in the
 * order of the requests, and taken from its meter by one compare-and-swap: the
 * verdicts are those that one after the other would get, and a hot token's line
 * travels between processors once a group in place of once a request.
 *
 * The value is compared with the stored digest only: a key match means nothing
 * but "look here". The checksum is looked at only when nothing was found.
 *
 * In doubt, deny: a torn slot reads as UNKNOWN and is counted, and so does a
 * meter number out of range; a plan that was never written is RATE_LIMITED,
 * NEVER.
 *
 * A refusal writes one statistic of a token that is ours; a value that is not
 * ours writes nothing shared.
 */
#include "shm/verify.h"

#include "shm/scope.h"
#include "shm/standing.h"
#include "shm/table.h"
#include <sodium.h>
#include <string.h>

#define GROUP 32u
#define TWINS_BITS 6u

static_assert(2 * GROUP == 1u << TWINS_BITS, "twice as many places");

static_assert(crypto_verify_32_BYTES == JT_VALUE_DIGEST, "digest compare");

struct aim {
	uint64_t key;
	struct jt_memo_line *line;
	struct jt_view view; /* of the slot that was met last */
	union {
		struct jt_memo_tag tag;
		uint64_t digest[JT_VALUE_DIGEST / 8]; /* if `hashed` */
	};
	uint32_t cursor;
	uint8_t first; /* request of its group for the same token */
	bool met, hashed, found, decided;
};

/* Of one plan; kept for one call of jt_verify(). */
struct known_limits {
	struct jt_bounds bounds;
	uint16_t plan;
	bool is_set, exist, hold;
};

static const struct {
	const char *name;
	unsigned status;
} words[JT_WORDS_N] = {
#define X(name, status) [JT_##name] = {#name, status},
	JT_WORDS(X)
#undef X
};

const char *jt_word_name(enum jt_word word)
{
	return words[word].name;
}

unsigned jt_word_status(enum jt_word word)
{
	return words[word].status;
}

static void aim(const struct jt_maps *maps, const struct jt_memo *memo,
		const struct jt_ask *ask, struct aim *t)
{
	uint64_t home;

	t->met = t->hashed = t->found = t->decided = false;
	t->line = NULL;
	t->cursor = 0;
	if (ask->token.bytes != JT_TOKEN_BYTES)
		return;
	t->key = jt_token_key(ask->token.at, maps->identity->seed);
	home = jt_table_home(maps, t->key);
	__builtin_prefetch(&maps->slots[home]);
	if (memo) {
		t->line = jt_memo_line(memo, t->key);
		__builtin_prefetch(t->line);
	}
}

/* What decide() will read; on its way while the value is compared. */
static void expect(const struct jt_maps *maps, const struct jt_view *view)
{
	struct jt_meter *meter = jt_table_meter(maps, view->b);

	if (meter)
		__builtin_prefetch(meter, 1);
	/* hostile or not, a prefetch of any address is harmless */
	__builtin_prefetch(maps->pool + view->owner);
}

/* The next slot that bears the key, of a value of our form. */
static void meet(const struct jt_maps *maps, struct aim *t,
		 struct jt_tally *tally)
{
	t->met = false;
	while (jt_table_next(maps, t->key, &t->cursor, &t->view)) {
		if (t->view.a == 0) {
			tally->torn++;
		} else if (t->view.scheme == JT_VALUE_NATIVE) {
			expect(maps, &t->view);
			t->met = true;
			return;
		}
	}
}

/* Digests of so many at once, in place of the memo? */
static bool goes_without(const struct jt_memo *memo, size_t n)
{
	if (!jt_token_digests_are_fast())
		return false;
	return memo ? n >= JT_TOKEN_DIGESTS && !memo->near : n > 1;
}

static void digest_all(const struct jt_ask *asks, struct aim *aims,
		       const uint8_t *whose, size_t n)
{
	uint64_t digests[JT_TOKEN_DIGESTS][JT_VALUE_DIGEST / 8];
	const uint8_t *values[JT_TOKEN_DIGESTS];

	for (size_t k = 0; k < n; k++)
		values[k] = asks[whose[k]].token.at;
	jt_token_digests(values, n, digests);
	for (size_t k = 0; k < n; k++) {
		struct aim *t = &aims[whose[k]];

		t->hashed = true;
		memcpy(t->digest, digests[k], sizeof(t->digest));
	}
}

static void tag_all(const struct jt_memo *memo, const struct jt_ask *asks,
		    struct aim *aims, const uint8_t *whose, size_t n)
{
	struct jt_memo_text texts[JT_MEMO_TAGS];
	struct jt_memo_tag tags[JT_MEMO_TAGS];

	for (size_t k = 0; k < n; k++)
		texts[k] = (struct jt_memo_text){
			asks[whose[k]].token.at,
			(const uint8_t *)aims[whose[k]].view.digest};
	jt_memo_tags(memo, texts, n, tags);
	for (size_t k = 0; k < n; k++)
		aims[whose[k]].tag = tags[k];
}

static_assert(JT_TOKEN_DIGESTS == JT_MEMO_TAGS, "as many at once");

/* Of all that met a slot. MEMO: NULL for their digests. */
static void hash(const struct jt_memo *memo, const struct jt_ask *asks,
		 struct aim *aims, size_t n)
{
	uint8_t whose[JT_MEMO_TAGS];
	size_t many = 0;

	for (size_t i = 0; i < n; i++) {
		if (aims[i].met)
			whose[many++] = (uint8_t)i;
		if (many < JT_MEMO_TAGS && (!many || i + 1 < n))
			continue;
		if (memo)
			tag_all(memo, asks, aims, whose, many);
		else
			digest_all(asks, aims, whose, many);
		many = 0;
	}
}

/* Looked at to its end, whichever word differs. */
static bool are_same(const uint64_t a[JT_VALUE_DIGEST / 8],
		     const uint64_t b[JT_VALUE_DIGEST / 8])
{
	uint64_t differs = 0;

	for (unsigned i = 0; i < JT_VALUE_DIGEST / 8; i++)
		differs |= a[i] ^ b[i];
	return differs == 0;
}

/* Is VALUE, of our form, the one whose digest the view holds? */
static bool is_value(const struct jt_memo *memo, struct aim *t,
		     const uint8_t *value, struct jt_tally *tally)
{
	uint8_t digest[JT_VALUE_DIGEST];

	if (t->hashed)
		return are_same(t->digest, t->view.digest);
	if (memo && jt_memo_knows(t->line, &t->tag)) {
		tally->memo_hits++;
		return true;
	}
	tally->memo_misses += memo != NULL;
	jt_token_digest(value, digest);
	if (crypto_verify_32(digest, (const uint8_t *)t->view.digest))
		return false;
	if (memo)
		jt_memo_learn(t->line, &t->tag);
	return true;
}

static bool find_native(const struct jt_maps *maps, const struct jt_memo *memo,
			const struct jt_ask *ask, struct aim *t,
			struct jt_tally *tally)
{
	while (t->met) {
		if (is_value(memo, t, ask->token.at, tally))
			return true;
		meet(maps, t, tally);
		if (t->met && memo && !t->hashed)
			jt_memo_tag(memo, ask->token.at,
				    (const uint8_t *)t->view.digest, &t->tag);
	}
	return false;
}

/* A value of another system, stored under SCHEME? */
static bool find_other(const struct jt_maps *maps, const struct jt_ask *ask,
		       uint8_t scheme, struct aim *t, struct jt_tally *tally)
{
	uint8_t digest[JT_VALUE_DIGEST];
	uint32_t cursor = 0;

	if (!jt_token_digest_other(ask->token.at, ask->token.bytes,
				   scheme == JT_VALUE_PREFIXED, digest))
		return false;
	t->key = jt_table_key(maps, scheme, NULL, digest);
	while (jt_table_next(maps, t->key, &cursor, &t->view)) {
		if (t->view.a == 0)
			tally->torn++;
		else if (t->view.scheme == scheme &&
			 crypto_verify_32(digest, (uint8_t *)t->view.digest) ==
				 0)
			return true;
	}
	return false;
}

/*
 * Only for values that are not of our form, and only if such were taken. Each
 * scheme in use is a digest, of other bytes than that of the other: none can
 * be spared, but there are two at most.
 */
static bool find_others(const struct jt_maps *maps, const struct jt_ask *ask,
			struct aim *t, struct jt_tally *tally)
{
	/* relaxed: set before the first such slot is put; a reader who misses
	 * that moment denies */
	uint64_t schemes = jt_load_relaxed(&maps->identity->schemes);

	if (schemes <= 1u << JT_VALUE_NATIVE || !ask->token.bytes ||
	    ask->token.bytes > JT_OTHER_BYTES_MAX ||
	    jt_token_is_native(ask->token.at, ask->token.bytes,
			       maps->identity->prefix))
		return false;
	for (uint8_t s = JT_VALUE_NATIVE + 1; s < JT_VALUE_SCHEMES; s++)
		if (schemes >> s & 1 && find_other(maps, ask, s, t, tally))
			return true;
	return false;
}

static void find(const struct jt_maps *maps, const struct jt_memo *memo,
		 const struct jt_ask *ask, struct aim *t,
		 struct jt_tally *tally)
{
	t->found = find_native(maps, memo, ask, t, tally);
	if (t->found)
		return;
	t->found = find_others(maps, ask, t, tally);
	if (t->found)
		expect(maps, &t->view);
}

static enum jt_word not_found(const struct jt_ask *ask)
{
	switch (jt_token_shape(ask->token.at, ask->token.bytes)) {
	case JT_SHAPE_MISSING:
		return JT_MISSING;
	case JT_SHAPE_WHITESPACE:
		return JT_WHITESPACE;
	case JT_SHAPE_MALFORMED:
		return JT_MALFORMED;
	case JT_SHAPE_MISTYPED:
		return JT_MISTYPED;
	case JT_SHAPE_NATIVE:
		break;
	}
	return JT_UNKNOWN;
}

/* The first scope that was asked for and that the token does not have. */
static bool lacks(const struct jt_maps *maps, const struct jt_ask *ask,
		  uint64_t b, struct jt_bytes *missingp)
{
	const struct jt_scope_set *set = jt_table_scopes(maps, b);

	for (uint32_t i = 0; i < ask->n_scopes; i++) {
		const struct jt_bytes *s = &ask->scopes[i];

		if (jt_scope_granted(maps, set, s->at, s->bytes))
			continue;
		*missingp = *s;
		return true;
	}
	return false;
}

/* Everything but the limits; VALID when nothing speaks against it. */
static enum jt_word standing(const struct jt_maps *maps,
			     const struct jt_ask *ask, const struct jt_view *v,
			     uint64_t now_s, struct jt_verdict *verdict)
{
	bool over = now_s >= jt_a_expires_s(v->a);
	bool old = jt_a_flags(v->a) & JT_SLOT_OLD_VALUE;

	if (!jt_standing_env_fits(maps, ask, v))
		return JT_WRONG_ENVIRONMENT;
	/* a value that was replaced has no expiry, it has an end */
	if (jt_a_state(v->a) == JT_SLOT_REVOKED || (old && over))
		return JT_REVOKED;
	if (jt_a_state(v->a) == JT_SLOT_SUSPENDED)
		return JT_SUSPENDED;
	if (jt_a_state(v->a) != JT_SLOT_ACTIVE)
		return JT_REVOKED;
	if (over)
		return JT_EXPIRED;
	if (ask->n_scopes && lacks(maps, ask, v->b, &verdict->scope)) {
		verdict->notes |= JT_NOTE_SCOPE;
		return JT_INSUFFICIENT_SCOPE;
	}
	return JT_VALID;
}

/* Its line was just written, so this costs no further trip to memory. */
static void tell(struct jt_meter *meter, const struct jt_bounds *bounds,
		 struct jt_now now, struct jt_told *told)
{
	struct jt_bounds rate = *bounds, quota = *bounds;

	told->bounds = *bounds;
	rate.quota = 0;
	quota.interval_ns = quota.burst = 0;
	/* each is looked at by itself; cost 0 writes nothing */
	if (bounds->interval_ns)
		jt_meter_take(meter, &rate, 0, now, &told->rate);
	if (bounds->quota)
		jt_meter_take(meter, &quota, 0, now, &told->quota);
}

/* There is a limit, and it is none that holds. */
static void never(struct jt_verdict *v)
{
	v->notes |= JT_NOTE_NEVER;
	v->retry_after_ms = -1;
	v->word = JT_RATE_LIMITED;
}

/* What was looked up last: most tokens are of a few plans. */
static const struct known_limits *limits(const struct jt_maps *maps, uint64_t b,
					 struct known_limits *known)
{
	uint16_t plan = jt_b_plan(b);

	if (known->is_set && known->plan == plan)
		return known;
	known->is_set = true;
	known->plan = plan;
	known->exist = jt_standing_bounds(maps, b, &known->bounds);
	/* read once: what was checked is what is used */
	known->hold = known->exist && jt_meter_bounds_ok(&known->bounds);
	return known;
}

static void answer(struct jt_verdict *v, enum jt_meter_answer got,
		   const struct jt_meter_state *state)
{
	v->limit = (int64_t)state->limit;
	v->remaining = (int64_t)state->remaining;
	v->reset_ms = state->reset_ms;
	if (got == JT_METER_ADMITTED)
		return;
	v->word =
		got == JT_METER_NO_QUOTA ? JT_QUOTA_EXCEEDED : JT_RATE_LIMITED;
	v->retry_after_ms = state->retry_after_ms;
	if (state->retry_after_ms < 0)
		v->notes |= JT_NOTE_NEVER;
}

static void limit(const struct known_limits *l, struct jt_meter *meter,
		  const struct jt_ask *ask, struct jt_now now,
		  struct jt_verdict *v)
{
	struct jt_meter_state state;
	enum jt_meter_answer got;

	if (!l->exist)
		return;
	if (!l->hold) {
		never(v);
		return;
	}
	got = jt_meter_take(meter, &l->bounds, ask->cost, now, &state);
	answer(v, got, &state);
	if (ask->told)
		tell(meter, &l->bounds, now, ask->told);
}

static void describe(const struct jt_maps *maps, const struct jt_ask *ask,
		     const struct jt_view *view, uint64_t now_s,
		     struct jt_verdict *v)
{
	uint64_t expires_s = jt_a_expires_s(view->a);

	v->id = ask->token.at;
	if (view->scheme != JT_VALUE_NATIVE) {
		jt_standing_id(maps, view, v->made);
		v->id = v->made;
	}
	v->scopes = jt_table_scopes(maps, view->b);
	v->owner.at = jt_table_owner(maps, view->owner, &v->owner.bytes);
	if (jt_a_flags(view->a) & JT_SLOT_OLD_VALUE)
		v->notes |= JT_NOTE_OLD_VALUE;
	if (now_s >= expires_s)
		return;
	v->expires_in_s = expires_s - now_s;
	if (v->expires_in_s <= JT_EXPIRING_S && !(v->notes & JT_NOTE_OLD_VALUE))
		v->notes |= JT_NOTE_EXPIRING;
}

/* All that speaks for and against it, but for limits. NULL: nothing is to be
 * counted. */
static struct jt_meter *judge(const struct jt_maps *maps,
			      const struct jt_ask *ask, const struct aim *t,
			      uint64_t now_s, struct jt_verdict *v)
{
	struct jt_meter *meter;

	memset(v, 0, offsetof(struct jt_verdict, made));
	v->limit = v->remaining = -1;
	if (!t->found) {
		v->word = not_found(ask);
		return NULL;
	}
	describe(maps, ask, &t->view, now_s, v);
	v->word = standing(maps, ask, &t->view, now_s, v);
	meter = jt_table_meter(maps, t->view.b);
	if (!meter)
		v->word = JT_UNKNOWN;
	return meter;
}

static void decide(const struct jt_maps *maps, const struct jt_ask *ask,
		   const struct aim *t, struct jt_now now,
		   struct known_limits *known, struct jt_verdict *v)
{
	struct jt_meter *meter = judge(maps, ask, t, now.wall_s, v);

	if (!meter)
		return;
	if (v->word == JT_VALID)
		limit(limits(maps, t->view.b, known), meter, ask, now, v);
	if (ask->cost == 0)
		return; /* a look leaves no trace */
	if (v->word != JT_VALID) {
		jt_meter_refused(meter, 1);
		return;
	}
	jt_meter_used(meter, ask->cost, now.wall_s);
	if (v->notes & JT_NOTE_OLD_VALUE)
		jt_meter_used_old(meter, ask->by, now.wall_s);
}

/* ---- several requests for one token in one group ---- */

/*
 * Does any token have more than one request? Then each knows the first of its
 * token, by number. Open addressing over twice as many places as there are
 * requests; a place holds a number + 1.
 */
static bool find_twins(struct aim *aims, size_t n)
{
	uint8_t places[2 * GROUP] = {0};
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		uint32_t meter, at;

		aims[i].first = (uint8_t)i;
		if (!aims[i].found)
			continue;
		meter = jt_b_meter(aims[i].view.b);
		at = meter * 0x9e3779b1u >> (32 - TWINS_BITS);
		while (places[at] &&
		       jt_b_meter(aims[places[at] - 1].view.b) != meter)
			at = (at + 1) % (2 * GROUP);
		if (places[at]) {
			aims[i].first = (uint8_t)(places[at] - 1);
			any = true;
		} else {
			places[at] = (uint8_t)(i + 1);
		}
	}
	return any;
}

/* Which of them can be taken from the meter in one go: all, or none. */
static size_t twins_of(size_t first, const struct jt_ask *asks,
		       const struct aim *aims, size_t n, uint8_t twins[GROUP])
{
	size_t many = 0;

	for (size_t i = first; i < n; i++) {
		if (!aims[i].found || aims[i].first != first)
			continue;
		/* after a change of limits between two looks at its slots;
		 * who wants to be told more looks at the meter itself */
		if (aims[i].view.b != aims[first].view.b || asks[i].told)
			return 0;
		twins[many++] = (uint8_t)i;
	}
	return many;
}

/* One compare-and-swap and one sum for all of these. */
static void take_twins(const struct known_limits *l, const struct jt_ask *asks,
		       struct jt_verdict *verdicts, struct jt_meter *meter,
		       const uint8_t *twins, size_t many, struct jt_now now)
{
	struct jt_meter_request requests[GROUP];
	uint8_t whose[GROUP];
	size_t n = 0;

	if (!l->exist)
		return;
	for (size_t k = 0; k < many; k++) {
		struct jt_verdict *v = &verdicts[twins[k]];

		if (v->word != JT_VALID)
			continue;
		if (!l->hold) {
			never(v);
			continue;
		}
		whose[n] = twins[k];
		requests[n++].cost = asks[twins[k]].cost;
	}
	if (n)
		jt_meter_take_all(meter, &l->bounds, requests, n, now);
	for (size_t k = 0; k < n; k++)
		answer(&verdicts[whose[k]], requests[k].answer,
		       &requests[k].state);
}

static void count_twins(const struct jt_ask *asks,
			const struct jt_verdict *verdicts,
			struct jt_meter *meter, const uint8_t *twins,
			size_t many, struct jt_now now)
{
	uint64_t used = 0, refused = 0;

	for (size_t k = 0; k < many; k++) {
		const struct jt_ask *ask = &asks[twins[k]];
		const struct jt_verdict *v = &verdicts[twins[k]];

		if (v->word == JT_VALID)
			used += ask->cost;
		else
			refused += ask->cost > 0;
		if (v->word == JT_VALID && ask->cost &&
		    v->notes & JT_NOTE_OLD_VALUE)
			jt_meter_used_old(meter, ask->by, now.wall_s);
	}
	if (used)
		jt_meter_used(meter, used, now.wall_s);
	if (refused)
		jt_meter_refused(meter, refused);
}

static void decide_twins(const struct jt_maps *maps, const struct jt_ask *asks,
			 struct aim *aims, struct jt_verdict *verdicts,
			 size_t n, struct jt_now now,
			 struct known_limits *known)
{
	struct jt_meter *meter = NULL;
	uint8_t twins[GROUP];
	size_t many;

	for (size_t first = 0; first < n; first++) {
		if (!aims[first].found || aims[first].first != first)
			continue;
		many = twins_of(first, asks, aims, n, twins);
		if (many < 2)
			continue;
		for (size_t k = 0; k < many; k++) {
			size_t i = twins[k];

			meter = judge(maps, &asks[i], &aims[i], now.wall_s,
				      &verdicts[i]);
			aims[i].decided = true;
		}
		if (!meter)
			continue; /* a line out of range: of all of them */
		take_twins(limits(maps, aims[first].view.b, known), asks,
			   verdicts, meter, twins, many, now);
		count_twins(asks, verdicts, meter, twins, many, now);
	}
}

static void verify_group(const struct jt_maps *maps, struct jt_memo *memo,
			 const struct jt_ask *asks, struct jt_verdict *verdicts,
			 size_t n, struct jt_now now,
			 struct known_limits *known, struct jt_tally *tally)
{
	bool by_digests = goes_without(memo, n);
	struct aim aims[GROUP];

	if (by_digests)
		memo = NULL;
	for (size_t i = 0; i < n; i++)
		aim(maps, memo, &asks[i], &aims[i]);
	for (size_t i = 0; i < n && n > 1; i++)
		if (asks[i].token.bytes == JT_TOKEN_BYTES)
			jt_table_prefetch_behind(maps, aims[i].key);
	for (size_t i = 0; i < n; i++)
		if (asks[i].token.bytes == JT_TOKEN_BYTES)
			meet(maps, &aims[i], tally);
	if (memo || by_digests)
		hash(memo, asks, aims, n);
	for (size_t i = 0; i < n; i++)
		find(maps, memo, &asks[i], &aims[i], tally);
	if (find_twins(aims, n))
		decide_twins(maps, asks, aims, verdicts, n, now, known);
	for (size_t i = 0; i < n; i++) {
		if (!aims[i].decided)
			decide(maps, &asks[i], &aims[i], now, known,
			       &verdicts[i]);
		tally->words[verdicts[i].word]++;
	}
}

static void all_loading(struct jt_verdict *verdicts, size_t n,
			struct jt_tally *tally)
{
	for (size_t i = 0; i < n; i++)
		verdicts[i] = (struct jt_verdict){
			.word = JT_LOADING, .limit = -1, .remaining = -1};
	tally->words[JT_LOADING] += n;
}

void jt_verify(const struct jt_maps *maps, struct jt_memo *memo,
	       const struct jt_ask *asks, struct jt_verdict *verdicts, size_t n,
	       struct jt_now now, struct jt_tally *tally)
{
	struct known_limits known = {.is_set = false};

	/* pairs with the keeper's store once the journal is replayed */
	if (jt_load_acquire(&maps->identity->state) != JT_IDENTITY_SERVING) {
		all_loading(verdicts, n, tally);
		return;
	}
	now.wall_s = jt_clock_s(maps, now.wall_s);
	for (size_t i = 0; i < n; i += GROUP)
		verify_group(maps, memo, asks + i, verdicts + i,
			     n - i < GROUP ? n - i : GROUP, now, &known, tally);
}
