/*
 * verify: the verdict, in three passes over groups of GROUP requests.
 *
 * A dependent read of memory that is in no cache costs 200-500 ns, a
 * prefetched one 10-40 ns, so no pass touches a line that the pass before has
 * not asked for:
 *
 *   1 aim     short hash of the public part; prefetch home slot and memo line
 *   2 find    slot bearing the key; is it this very value? (memo tag, else
 *             BLAKE2b); prefetch the meter line and the owner's name
 *   3 decide  state, environment, expiry, scopes, rate; count
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

#include "shm/table.h"
#include <sodium.h>
#include <string.h>

#define GROUP 32u

static_assert(crypto_verify_32_BYTES == JT_VALUE_DIGEST, "digest compare");

struct aim {
	uint64_t key;
	struct jt_memo_line *line;
	struct jt_view view;
	bool found;
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

	t->found = false;
	t->line = NULL;
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

/* Is VALUE the one whose digest the view holds? */
static bool is_value(const struct jt_memo *memo, struct aim *t,
		     const uint8_t *value, struct jt_tally *tally)
{
	uint8_t stored[JT_VALUE_DIGEST], digest[JT_VALUE_DIGEST];
	struct jt_memo_tag tag;

	memcpy(stored, t->view.digest, sizeof(stored));
	if (memo) {
		jt_memo_tag(memo, value, stored, &tag);
		if (jt_memo_knows(t->line, &tag)) {
			tally->memo_hits++;
			return true;
		}
		tally->memo_misses++;
	}
	jt_token_digest(value, digest);
	if (crypto_verify_32(digest, stored))
		return false;
	if (memo)
		jt_memo_learn(t->line, &tag);
	return true;
}

static void find(const struct jt_maps *maps, const struct jt_memo *memo,
		 const struct jt_ask *ask, struct aim *t,
		 struct jt_tally *tally)
{
	uint32_t cursor = 0;
	struct jt_meter *meter;

	if (ask->token.bytes != JT_TOKEN_BYTES)
		return;
	while (jt_table_next(maps, t->key, &cursor, &t->view)) {
		if (t->view.a == 0) {
			tally->torn++;
			continue;
		}
		if (!is_value(memo, t, ask->token.at, tally))
			continue;
		t->found = true;
		meter = jt_table_meter(maps, t->view.b);
		if (meter)
			__builtin_prefetch(meter, 1);
		/* hostile or not, a prefetch of any address is harmless */
		__builtin_prefetch(maps->pool + t->view.owner);
		return;
	}
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

/* Everything but the limits; VALID when nothing speaks against it. */
static enum jt_word standing(const struct jt_maps *maps,
			     const struct jt_ask *ask, const struct jt_view *v,
			     uint64_t now_s)
{
	/* relaxed: written before any slot named the number */
	uint64_t env = jt_load_relaxed(&maps->identity->envs[v->env]);

	if (ask->env_unknown || (ask->env && ask->env != env))
		return JT_WRONG_ENVIRONMENT;
	if (jt_a_state(v->a) == JT_SLOT_SUSPENDED)
		return JT_SUSPENDED;
	if (jt_a_state(v->a) != JT_SLOT_ACTIVE)
		return JT_REVOKED;
	if (now_s >= jt_a_expires_s(v->a))
		return JT_EXPIRED;
	/* no token has scopes in this version */
	return ask->n_scopes ? JT_INSUFFICIENT_SCOPE : JT_VALID;
}

static enum jt_word limit(const struct jt_maps *maps, struct jt_meter *meter,
			  const struct jt_ask *ask, uint64_t b,
			  struct jt_now now, struct jt_verdict *v)
{
	const struct jt_plan *plan = jt_table_plan(maps, b);
	struct jt_meter_state state;
	struct jt_bounds bounds;
	enum jt_meter_answer got;

	if (!plan)
		return JT_VALID;
	/* relaxed: written once, before the slot named the plan */
	bounds = (struct jt_bounds){
		.interval_ns = jt_load_relaxed(&plan->interval_ns),
		.burst = jt_load_relaxed(&plan->burst),
	};
	if (!jt_meter_bounds_ok(&bounds)) {
		v->notes |= JT_NOTE_NEVER;
		v->retry_after_ms = -1;
		return JT_RATE_LIMITED;
	}
	got = jt_meter_take(meter, &bounds, ask->cost, now, &state);
	v->limit = (int64_t)state.limit;
	v->remaining = (int64_t)state.remaining;
	v->reset_ms = state.reset_ms;
	v->retry_after_ms = state.retry_after_ms;
	if (got == JT_METER_ADMITTED)
		return JT_VALID;
	if (state.retry_after_ms < 0)
		v->notes |= JT_NOTE_NEVER;
	return JT_RATE_LIMITED;
}

static void describe(const struct jt_maps *maps, const struct jt_ask *ask,
		     const struct jt_view *view, uint64_t now_s,
		     struct jt_verdict *v)
{
	uint64_t expires_s = jt_a_expires_s(view->a);

	v->id = ask->token.at;
	v->owner.at = jt_table_owner(maps, view->owner, &v->owner.bytes);
	if (jt_a_flags(view->a) & JT_SLOT_OLD_VALUE)
		v->notes |= JT_NOTE_OLD_VALUE;
	if (now_s >= expires_s)
		return;
	v->expires_in_s = expires_s - now_s;
	if (v->expires_in_s <= JT_EXPIRING_S)
		v->notes |= JT_NOTE_EXPIRING;
}

static void decide(const struct jt_maps *maps, const struct jt_ask *ask,
		   const struct aim *t, struct jt_now now, struct jt_verdict *v)
{
	struct jt_meter *meter;

	*v = (struct jt_verdict){.limit = -1, .remaining = -1};
	if (!t->found) {
		v->word = not_found(ask);
		return;
	}
	describe(maps, ask, &t->view, now.wall_s, v);
	v->word = standing(maps, ask, &t->view, now.wall_s);
	meter = jt_table_meter(maps, t->view.b);
	if (v->word == JT_INSUFFICIENT_SCOPE) {
		v->notes |= JT_NOTE_SCOPE;
		v->scope = ask->scopes[0];
	}
	if (!meter) {
		v->word = JT_UNKNOWN;
		return;
	}
	if (v->word == JT_VALID)
		v->word = limit(maps, meter, ask, t->view.b, now, v);
	if (ask->cost == 0)
		return; /* a look leaves no trace */
	if (v->word != JT_VALID)
		jt_meter_refused(meter);
	else
		jt_meter_used(meter, ask->cost, now.wall_s);
}

static void verify_group(const struct jt_maps *maps, struct jt_memo *memo,
			 const struct jt_ask *asks, struct jt_verdict *verdicts,
			 size_t n, struct jt_now now, struct jt_tally *tally)
{
	struct aim aims[GROUP];

	for (size_t i = 0; i < n; i++)
		aim(maps, memo, &asks[i], &aims[i]);
	for (size_t i = 0; i < n; i++)
		find(maps, memo, &asks[i], &aims[i], tally);
	for (size_t i = 0; i < n; i++) {
		decide(maps, &asks[i], &aims[i], now, &verdicts[i]);
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
	/* pairs with the keeper's store once the journal is replayed */
	if (jt_load_acquire(&maps->identity->state) != JT_IDENTITY_SERVING) {
		all_loading(verdicts, n, tally);
		return;
	}
	for (size_t i = 0; i < n; i += GROUP)
		verify_group(maps, memo, asks + i, verdicts + i,
			     n - i < GROUP ? n - i : GROUP, now, tally);
}
