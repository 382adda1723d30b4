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

#include "shm/scope.h"
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

/* Is VALUE, of our form, the one whose digest the view holds? */
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

/* What decide() will read; on its way while the value is compared. */
static void expect(const struct jt_maps *maps, const struct jt_view *view)
{
	struct jt_meter *meter = jt_table_meter(maps, view->b);

	if (meter)
		__builtin_prefetch(meter, 1);
	/* hostile or not, a prefetch of any address is harmless */
	__builtin_prefetch(maps->pool + view->owner);
}

static bool find_native(const struct jt_maps *maps, const struct jt_memo *memo,
			const struct jt_ask *ask, struct aim *t,
			struct jt_tally *tally)
{
	uint32_t cursor = 0;

	while (jt_table_next(maps, t->key, &cursor, &t->view)) {
		if (t->view.a == 0) {
			tally->torn++;
			continue;
		}
		expect(maps, &t->view);
		if (t->view.scheme == JT_VALUE_NATIVE &&
		    is_value(memo, t, ask->token.at, tally))
			return true;
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
	t->found = ask->token.bytes == JT_TOKEN_BYTES &&
		   find_native(maps, memo, ask, t, tally);
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

/* Is it one of those that the caller is confined to? noinline: or who is not
 * would pay for its loop. */
__attribute__((noinline)) static bool may_ask(const struct jt_ask *ask,
					      uint64_t env)
{
	for (uint32_t i = 0; i < ask->n_envs; i++)
		/* a word of 0 is that of one beyond the numbers: of none */
		if (env && ask->envs[i] == env)
			return true;
	return false;
}

/*
 * Is the token of an environment that is served here, that was asked for, and
 * that the caller may ask about?
 */
static bool env_fits(const struct jt_maps *maps, const struct jt_ask *ask,
		     const struct jt_view *v)
{
	/* relaxed: written before any slot named the number, and at start */
	uint64_t env = jt_load_relaxed(&maps->identity->envs[v->env]);
	uint64_t served = jt_load_relaxed(&maps->identity->env);

	return !ask->env_unknown && (!ask->env || ask->env == env) &&
	       (!served || served == env) && (!ask->envs || may_ask(ask, env));
}

/* Everything but the limits; VALID when nothing speaks against it. */
static enum jt_word standing(const struct jt_maps *maps,
			     const struct jt_ask *ask, const struct jt_view *v,
			     uint64_t now_s, struct jt_verdict *verdict)
{
	bool over = now_s >= jt_a_expires_s(v->a);
	bool old = jt_a_flags(v->a) & JT_SLOT_OLD_VALUE;

	if (!env_fits(maps, ask, v))
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

/* False: there is no limit. */
static bool bounds_of(const struct jt_maps *maps, uint64_t b,
		      struct jt_bounds *bounds)
{
	const struct jt_limits *l = jt_table_limits(maps, b);
	uint64_t window;

	if (!l)
		return false;
	/* relaxed: written before the plan's word named the block, and not
	 * again before this round is over (layout.h) */
	window = jt_load_relaxed(&l->window);
	*bounds = (struct jt_bounds){
		.interval_ns = jt_load_relaxed(&l->interval_ns),
		.burst = jt_load_relaxed(&l->burst),
		.quota = jt_load_relaxed(&l->quota),
		.quota_unit = (uint32_t)(window >> 32),
		.quota_minutes = (uint32_t)window,
	};
	return true;
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

static enum jt_word limit(const struct jt_maps *maps, struct jt_meter *meter,
			  const struct jt_ask *ask, uint64_t b,
			  struct jt_now now, struct jt_verdict *v)
{
	struct jt_meter_state state;
	enum jt_meter_answer got;
	struct jt_bounds bounds;

	if (!bounds_of(maps, b, &bounds))
		return JT_VALID;
	if (!jt_meter_bounds_ok(&bounds)) {
		v->notes |= JT_NOTE_NEVER;
		v->retry_after_ms = -1;
		return JT_RATE_LIMITED;
	}
	got = jt_meter_take(meter, &bounds, ask->cost, now, &state);
	v->limit = (int64_t)state.limit;
	v->remaining = (int64_t)state.remaining;
	v->reset_ms = state.reset_ms;
	if (ask->told)
		tell(meter, &bounds, now, ask->told);
	if (got == JT_METER_ADMITTED)
		return JT_VALID;
	v->retry_after_ms = state.retry_after_ms;
	if (state.retry_after_ms < 0)
		v->notes |= JT_NOTE_NEVER;
	return got == JT_METER_NO_QUOTA ? JT_QUOTA_EXCEEDED : JT_RATE_LIMITED;
}

/* The id of a value that does not show it. */
static void make_id(const struct jt_maps *maps, const struct jt_view *view,
		    uint8_t id[JT_PUBLIC_BYTES])
{
	/* relaxed: written before any slot named the number */
	uint64_t word = jt_load_relaxed(&maps->identity->envs[view->env]);
	char env[9] = "", prefix[9] = "";

	memcpy(env, &word, sizeof(word));
	memcpy(prefix, maps->identity->prefix, 8);
	/* checked: it is the keeper's memory, but our process */
	jt_token_other_id(jt_prefix_ok(prefix) ? prefix : "jt",
			  jt_env_ok(env, strlen(env)) ? env : "other",
			  (const uint8_t *)view->digest, (char *)id);
}

static void describe(const struct jt_maps *maps, const struct jt_ask *ask,
		     const struct jt_view *view, uint64_t now_s,
		     struct jt_verdict *v)
{
	uint64_t expires_s = jt_a_expires_s(view->a);

	v->id = ask->token.at;
	if (view->scheme != JT_VALUE_NATIVE) {
		make_id(maps, view, v->made);
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

static void decide(const struct jt_maps *maps, const struct jt_ask *ask,
		   const struct aim *t, struct jt_now now, struct jt_verdict *v)
{
	struct jt_meter *meter;

	memset(v, 0, offsetof(struct jt_verdict, made));
	v->limit = v->remaining = -1;
	if (!t->found) {
		v->word = not_found(ask);
		return;
	}
	describe(maps, ask, &t->view, now.wall_s, v);
	v->word = standing(maps, ask, &t->view, now.wall_s, v);
	meter = jt_table_meter(maps, t->view.b);
	if (!meter) {
		v->word = JT_UNKNOWN;
		return;
	}
	if (v->word == JT_VALID)
		v->word = limit(maps, meter, ask, t->view.b, now, v);
	if (ask->cost == 0)
		return; /* a look leaves no trace */
	if (v->word != JT_VALID) {
		jt_meter_refused(meter);
		return;
	}
	jt_meter_used(meter, ask->cost, now.wall_s);
	if (v->notes & JT_NOTE_OLD_VALUE)
		jt_meter_used_old(meter, ask->by, now.wall_s);
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

/* ---- by id ---- */

/* The newest value of an id, and the one before it. */
struct values {
	struct jt_view newest, old;
	bool found, has_old;
};

static void take_value(struct values *v, const struct jt_view *view)
{
	if (jt_a_flags(view->a) & JT_SLOT_OLD_VALUE) {
		v->old = *view;
		v->has_old = true;
	} else {
		v->newest = *view;
		v->found = true;
	}
}

/* Both values of a token have one meter line, whatever their forms. */
static void find_id(const struct jt_maps *maps, const char *id,
		    struct values *v)
{
	uint8_t made[JT_PUBLIC_BYTES];
	struct jt_view view;
	uint32_t cursor = 0;
	uint64_t key = jt_token_key((const uint8_t *)id, maps->identity->seed);

	while (jt_table_next(maps, key, &cursor, &view))
		if (view.a && view.scheme == JT_VALUE_NATIVE)
			take_value(v, &view);
	if (!jt_token_other_key(id, &key))
		return;
	cursor = 0;
	while (jt_table_next(maps, key, &cursor, &view)) {
		if (!view.a || view.scheme == JT_VALUE_NATIVE)
			continue;
		make_id(maps, &view, made);
		if (memcmp(made, id, sizeof(made)) == 0 &&
		    (!v->found ||
		     jt_b_meter(v->newest.b) == jt_b_meter(view.b)))
			take_value(v, &view);
	}
}

/* Would one of the limits alone take it? It decides on a copy of the words. */
static bool would_take(const struct jt_meter *meter,
		       const struct jt_bounds *bounds, uint64_t cost,
		       struct jt_now now, struct jt_meter_state *state)
{
	struct jt_meter_state after;
	struct jt_meter copy = {0};
	bool taken;

	/* relaxed: each limit is looked at by itself */
	jt_store_relaxed(&copy.rate, jt_load_relaxed(&meter->rate));
	jt_store_relaxed(&copy.quota, jt_load_relaxed(&meter->quota));
	jt_meter_take(&copy, bounds, 0, now, state);
	taken = jt_meter_take(&copy, bounds, cost, now, &after) ==
		JT_METER_ADMITTED;
	state->retry_after_ms = after.retry_after_ms;
	return taken;
}

static void trace_limits(const struct jt_maps *maps,
			 const struct jt_meter *meter, const struct jt_ask *ask,
			 uint64_t b, struct jt_now now, struct jt_trace *t)
{
	struct jt_bounds rate, quota;

	if (!bounds_of(maps, b, &t->bounds))
		return;
	if (!jt_meter_bounds_ok(&t->bounds)) {
		t->bounds = (struct jt_bounds){0};
		t->notes |= JT_NOTE_NEVER;
		t->failed |= JT_TRACE_BIT(JT_RATE_LIMITED);
		return;
	}
	rate = quota = t->bounds;
	rate.quota = 0;
	quota.interval_ns = quota.burst = 0;
	if (t->bounds.quota &&
	    !would_take(meter, &quota, ask->cost, now, &t->quota))
		t->failed |= JT_TRACE_BIT(JT_QUOTA_EXCEEDED);
	if (t->bounds.interval_ns &&
	    !would_take(meter, &rate, ask->cost, now, &t->rate))
		t->failed |= JT_TRACE_BIT(JT_RATE_LIMITED);
	if (t->quota.retry_after_ms < 0 || t->rate.retry_after_ms < 0)
		t->notes |= JT_NOTE_NEVER;
}

/* The same questions as in standing(), none of them left out. */
static void trace_standing(const struct jt_maps *maps, const struct jt_ask *ask,
			   const struct jt_view *v, uint64_t now_s,
			   struct jt_trace *t)
{
	const struct jt_scope_set *set = jt_table_scopes(maps, v->b);
	uint8_t state = jt_a_state(v->a);

	t->expires_s = jt_a_expires_s(v->a);
	/* relaxed: as in env_fits() */
	t->env = jt_load_relaxed(&maps->identity->envs[v->env]);
	t->served = jt_load_relaxed(&maps->identity->env);
	if (!env_fits(maps, ask, v))
		t->failed |= JT_TRACE_BIT(JT_WRONG_ENVIRONMENT);
	if (state == JT_SLOT_SUSPENDED)
		t->failed |= JT_TRACE_BIT(JT_SUSPENDED);
	else if (state != JT_SLOT_ACTIVE)
		t->failed |= JT_TRACE_BIT(JT_REVOKED);
	if (now_s >= t->expires_s)
		t->failed |= JT_TRACE_BIT(JT_EXPIRED);
	else if (t->expires_s - now_s <= JT_EXPIRING_S)
		t->notes |= JT_NOTE_EXPIRING;
	for (uint32_t i = 0; i < ask->n_scopes && i < 32; i++)
		if (!jt_scope_granted(maps, set, ask->scopes[i].at,
				      ask->scopes[i].bytes))
			t->lacking |= 1u << i;
	if (t->lacking)
		t->failed |= JT_TRACE_BIT(JT_INSUFFICIENT_SCOPE);
}

bool jt_verify_id(const struct jt_maps *maps, const char id[JT_PUBLIC_BYTES],
		  const struct jt_ask *ask, struct jt_now now,
		  struct jt_trace *t)
{
	struct values v = {.found = false};
	const struct jt_meter *meter;

	memset(t, 0, sizeof(*t));
	/* pairs with the keeper's store once the journal is replayed */
	if (jt_load_acquire(&maps->identity->state) != JT_IDENTITY_SERVING)
		return false;
	find_id(maps, id, &v);
	meter = v.found ? jt_table_meter(maps, v.newest.b) : NULL;
	if (!meter) {
		t->word = JT_UNKNOWN;
		t->failed = JT_TRACE_BIT(JT_UNKNOWN);
		return true;
	}
	trace_standing(maps, ask, &v.newest, now.wall_s, t);
	trace_limits(maps, meter, ask, v.newest.b, now, t);
	if (v.has_old) {
		t->old_until_s = jt_a_expires_s(v.old.a);
		t->old_works = jt_a_state(v.old.a) == JT_SLOT_ACTIVE &&
			       now.wall_s < t->old_until_s;
	}
	/* the words stand in the order in which they are decided */
	t->word = t->failed ? (enum jt_word)__builtin_ctz(t->failed) : JT_VALID;
	return true;
}
