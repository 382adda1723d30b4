/*
 * trace: see jt_verify_id() in verify.h. Asked for by an administrator, so
 * everything is looked at, in no hurry.
 */
#include "shm/scope.h"
#include "shm/standing.h"
#include <string.h>

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
		jt_standing_id(maps, &view, made);
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

	if (!jt_standing_bounds(maps, b, &t->bounds))
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
	/* relaxed: as in jt_standing_env_fits() */
	t->env = jt_load_relaxed(&maps->identity->envs[v->env]);
	t->served = jt_load_relaxed(&maps->identity->env);
	if (!jt_standing_env_fits(maps, ask, v))
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
	now.wall_s = jt_clock_s(maps, now.wall_s);
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
