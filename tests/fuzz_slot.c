/*
 * fuzz_slot: any bytes in the identity segment and in the meters, under
 * jt_verify(): what a keeper that went mad, or memory that rotted, may hold.
 *
 * Input: a byte of choices, one for the question, then changes of a small,
 * sound table. With 1 the segment is changed first and mapped then, so that its
 * header is looked at, too; it is refused or all of it can be used. However
 * the slots look:
 *  - a search ends, and a verdict is one of the words;
 *  - VALID and every limit's refusal are said only for a value whose digest
 *    stands in a slot that is consistent, in force and not over. That slot is
 *    looked for here by going through all of them;
 *  - alone or in a batch, with a memo or without one, the answer is the same,
 *    but that a memo goes by the first half of a digest (memo.h), so that of
 * two slots of which one has rotted in the other half it may name that one;
 *  - what the verdict points at lies within the segment.
 */
#include "shm/scope.h"
#include "shm/table.h"
#include "shm/verify.h"
#include "tests/fuzz.h"

#include <sodium.h>

#define CAPACITY 12u
#define POOL 4096u
#define TOKENS 8u
#define OTHERS 2u /* of them, of another system */
#define ASKS (2u * TOKENS + 2u)
#define NOW_S 1800000000ull
#define HALF 16u /* of a digest, which a memo's tag is of */

struct keeper {
	struct jt_segment_fds fds;
	struct jt_maps maps, reader;
};

static struct keeper k;
static char values[TOKENS][JT_TOKEN_BYTES + 1];
static uint8_t digests[TOKENS][JT_VALUE_DIGEST];
static uint8_t *good_identity, *good_meters;
static struct jt_memo memo;

/* ---- a sound table ---- */

static bool is_native(unsigned n)
{
	return n < TOKENS - OTHERS;
}

static void put(unsigned n)
{
	struct jt_entry e = {
		.state = n == 3 ? JT_SLOT_REVOKED : JT_SLOT_ACTIVE,
		.flags = n == 4 ? JT_SLOT_OLD_VALUE : 0,
		.env = jt_table_env(&k.maps, jt_env_word("live", 4)),
		.scheme = is_native(n) ? JT_VALUE_NATIVE
				       : (uint8_t)(n + OTHERS + 1 - TOKENS),
		.plan = n % 2,
		.scope_set = n % 3 == 0,
		.expires_s = NOW_S + 86400,
		.owner = 1,
		.meter = n,
	};
	uint32_t slot;

	snprintf(values[n], sizeof(values[n]),
		 is_native(n) ? "jt_live_%016u%040u" : "other%05u_%053u", n, n);
	if (is_native(n))
		jt_token_digest((uint8_t *)values[n], digests[n]);
	else
		jt_token_digest_other((uint8_t *)values[n], JT_TOKEN_BYTES,
				      e.scheme == JT_VALUE_PREFIXED,
				      digests[n]);
	memcpy(e.id, values[n], sizeof(e.id));
	memcpy(e.digest, digests[n], sizeof(e.digest));
	assert(!jt_table_put(&k.maps, &e, &slot));
}

static uint8_t *identity(void)
{
	return (uint8_t *)k.maps.identity_rw;
}

int LLVMFuzzerInitialize(int *argcp, char ***argvp)
{
	const struct jt_segment_size size = {
		.capacity = CAPACITY, .pool_bytes = POOL, .prefix = "jt"};
	const struct jt_bounds bounds = {.interval_ns = 1000, .burst = 5};
	const struct jt_scope_set set = {{1, 0, 0, 0}};
	const uint8_t id[16] = "a journal's id.";
	char scope[JT_SCOPE_BYTES] = "a:b";

	assert(sodium_init() >= 0);
	assert(!jt_segment_create(&size, id, &k.fds, &k.maps));
	k.maps.identity_rw->seed = 4711;
	memcpy(identity() + k.maps.identity->pool_off + 1, "\4name", 5);
	jt_table_put_limits(&k.maps, 1, &bounds);
	jt_table_set_plan(&k.maps, 1, 1);
	jt_scope_put(&k.maps, 1, scope);
	memcpy(identity() + k.maps.identity->sets_off + sizeof(set), &set,
	       sizeof(set));
	jt_store_relaxed(&k.maps.identity_rw->schemes, 7);
	for (unsigned n = 0; n < TOKENS; n++)
		put(n);
	jt_store_seq(&k.maps.identity_rw->state, JT_IDENTITY_SERVING);
	assert(!jt_segment_map(&k.fds, &k.reader));
	good_identity = malloc(k.maps.identity_bytes);
	memcpy(good_identity, identity(), k.maps.identity_bytes);
	good_meters = malloc(k.maps.meters_bytes);
	memcpy(good_meters, k.maps.meters, k.maps.meters_bytes);
	jt_memo_init(&memo, aligned_alloc(64, 64 * 64), 64 * 64);
	return 0;
}

/* ---- changes ---- */

/* Words that chance would not find, where they would do most harm. */
static void aim(const struct fuzz_change *c)
{
	const struct jt_identity *id = (const void *)good_identity;
	struct jt_slot *slots = (void *)(identity() + id->slots_off);
	struct jt_slot *s = &slots[c->at % k.maps.n_slots];
	unsigned n = c->value % TOKENS;
	uint64_t key = jt_table_key(&k.maps, JT_VALUE_NATIVE,
				    (uint8_t *)values[n], digests[n]);

	switch (c->how / 32) {
	case 0: /* another value's key, digest or both */
		jt_store_relaxed(&s->key, key);
		break;
	case 1:
		memcpy(s->digest, digests[n], sizeof(digests[n]));
		break;
	case 2:
		jt_store_relaxed(&s->a,
				 jt_word_a(1, c->value >> 8 & 7,
					   c->value >> 16 & 1, NOW_S + 1));
		break;
	case 3:
		jt_store_relaxed(&s->b, jt_word_b(c->value % 16, 1, 1));
		break;
	default:
		jt_store_relaxed(&slots[jt_table_home(&k.maps, key)].reach,
				 (uint16_t)(c->value >> 8));
	}
}

static void change(const struct fuzz_change *c)
{
	const struct jt_identity *id = (const void *)good_identity;
	const struct {
		uint64_t off, bytes, unit;
	} parts[] = {
		{id->slots_off, k.maps.n_slots * 64, 64},
		{0, 256, 8},
		{id->plans_off, 64, 4},
		{id->limits_off, 128, 32},
		{id->sets_off, 128, 32},
		{id->scopes_off, sizeof(struct jt_scopes), 64},
		{id->pool_off + POOL - 64, 64, 8},
		{offsetof(struct jt_identity, envs), 64, 8},
	};
	size_t i = c->where % 16;

	if (i < 8)
		fuzz_apply(c, identity() + parts[i].off, parts[i].bytes,
			   parts[i].unit);
	else if (i == 8)
		fuzz_apply(c, (uint8_t *)k.maps.lines, CAPACITY * 64, 64);
	else if (i == 9)
		fuzz_apply(c, (uint8_t *)k.maps.meters, 128, 8);
	else if (i == 10)
		fuzz_apply(c, identity() + id->slots_off, 64, 8);
	else
		aim(c);
}

static void restore(void)
{
	const struct jt_identity *id = (const void *)good_identity;

	/* all but the settings, which nothing here touches */
	memcpy(identity(), good_identity, JT_PAGE);
	memcpy(identity() + id->slots_off, good_identity + id->slots_off,
	       k.maps.n_slots * 64);
	memcpy(identity() + id->plans_off, good_identity + id->plans_off, 64);
	memcpy(identity() + id->limits_off, good_identity + id->limits_off,
	       128);
	memcpy(identity() + id->sets_off, good_identity + id->sets_off, 128);
	memcpy(identity() + id->scopes_off, good_identity + id->scopes_off,
	       sizeof(struct jt_scopes));
	memset(identity() + id->pool_off + POOL - 64, 0, 64);
	memcpy(k.maps.meters, good_meters, JT_PAGE);
	memset(k.maps.lines, 0, CAPACITY * 64);
}

/* ---- what is asked ---- */

static struct jt_bytes scopes[2] = {{(const uint8_t *)"a:b", 3},
				    {(const uint8_t *)"x:y", 3}};

static void questions(struct jt_ask asks[ASKS], uint8_t how)
{
	static char cut[JT_TOKEN_BYTES];

	memset(asks, 0, ASKS * sizeof(asks[0]));
	for (unsigned i = 0; i < ASKS; i++) {
		const uint8_t *v = (const uint8_t *)values[i % TOKENS];

		asks[i].token = (struct jt_bytes){v, JT_TOKEN_BYTES};
		asks[i].env = how & 4 ? jt_env_word("live", 4) : 0;
		asks[i].scopes = scopes;
		asks[i].n_scopes = how & 8 ? 1 + (how >> 4 & 1) : 0;
	}
	memcpy(cut, values[0], sizeof(cut));
	cut[60] = 'x';
	asks[ASKS - 1].token.at = (const uint8_t *)cut;
	asks[ASKS - 2].token.bytes = 63;
}

/* Is there one slot for which VALID, or a refusal of VALUE's own, may be said?
 */
static bool may_pass(const struct jt_maps *maps, unsigned n, size_t known)
{
	for (uint64_t i = 0; i < maps->n_slots; i++) {
		const struct jt_slot *s = &maps->slots[i];
		uint64_t a = jt_load_relaxed(&s->a);
		bool right = is_native(n) ? jt_load_relaxed(&s->scheme) ==
						    JT_VALUE_NATIVE
					  : jt_load_relaxed(&s->scheme) ==
						    n + OTHERS + 1 - TOKENS;

		if (right && jt_a_state(a) == JT_SLOT_ACTIVE &&
		    jt_a_expires_s(a) > NOW_S &&
		    memcmp(s->digest, digests[n], known) == 0 &&
		    jt_b_meter(jt_load_relaxed(&s->b)) < maps->capacity)
			return true;
	}
	return false;
}

/* Is there a slot with the first half of the digest alone? */
static bool is_halved(const struct jt_maps *maps, unsigned n)
{
	for (uint64_t i = 0; i < maps->n_slots; i++) {
		const struct jt_slot *s = &maps->slots[i];

		if (memcmp(s->digest, digests[n], HALF) == 0 &&
		    memcmp(s->digest, digests[n], JT_VALUE_DIGEST))
			return true;
	}
	return false;
}

static void check_verdict(const struct jt_maps *maps,
			  const struct jt_verdict *v, unsigned i,
			  struct jt_bytes token, size_t known)
{
	const uint8_t *pool = maps->pool, *set = (const uint8_t *)v->scopes;

	assert(v->word > JT_LOADING && v->word < JT_WORDS_N);
	if (v->word >= JT_INSUFFICIENT_SCOPE)
		assert(i < ASKS - 2 && may_pass(maps, i % TOKENS, known));
	if (v->word > JT_UNKNOWN)
		assert(v->id == token.at || v->id == v->made);
	assert(!v->owner.bytes ||
	       (v->owner.at > pool &&
		v->owner.at + v->owner.bytes <= pool + maps->pool_bytes));
	assert(!set || (set > (const uint8_t *)maps->sets &&
			set < (const uint8_t *)&maps->sets[JT_SETS_MAX]));
	assert(v->remaining <= v->limit && v->limit >= -1);
}

static void check_same(const struct jt_verdict *a, const struct jt_verdict *b)
{
	assert(a->word == b->word && a->notes == b->notes);
	assert(a->limit == b->limit && a->remaining == b->remaining);
	assert(a->retry_after_ms == b->retry_after_ms);
	assert(a->expires_in_s == b->expires_in_s &&
	       a->owner.at == b->owner.at);
}

static void check_trace(const struct jt_maps *maps, const struct jt_ask *ask,
			const struct jt_now *now)
{
	struct jt_trace t;

	if (!jt_verify_id(maps, (const char *)ask->token.at, ask, *now, &t))
		return;
	assert(t.word > JT_LOADING && t.word < JT_WORDS_N);
	if (t.word == JT_VALID)
		assert(!(t.failed & ~JT_TRACE_BIT(JT_VALID)));
}

static void ask_all(const struct jt_maps *maps, uint8_t how)
{
	const struct jt_now now = {NOW_S, 1000000000000ull};
	static struct jt_verdict all[ASKS], with[ASKS], one;
	struct jt_ask asks[ASKS];
	struct jt_tally tally = {0};

	questions(asks, how);
	/* nothing is spent, so one after the other finds the same */
	jt_verify(maps, NULL, asks, all, ASKS, now, &tally);
	jt_verify(maps, &memo, asks, with, ASKS, now, &tally);
	for (unsigned i = 0; i < ASKS; i++) {
		check_verdict(maps, &all[i], i, asks[i].token, JT_VALUE_DIGEST);
		check_verdict(maps, &with[i], i, asks[i].token, HALF);
		jt_verify(maps, NULL, &asks[i], &one, 1, now, &tally);
		check_same(&all[i], &one);
		jt_verify(maps, &memo, &asks[i], &one, 1, now, &tally);
		check_verdict(maps, &one, i, asks[i].token, HALF);
		if (!is_halved(maps, i % TOKENS)) {
			check_same(&all[i], &with[i]);
			check_same(&all[i], &one);
		}
		check_trace(maps, &asks[i], &now);
		asks[i].cost = how >> 5;
	}
	jt_verify(maps, &memo, asks, all, ASKS, now, &tally);
	for (unsigned i = 0; i < ASKS; i++)
		check_verdict(maps, &all[i], i, asks[i].token, HALF);
}

/* Changed before it is mapped: refused, or all of it can be used. */
static void map_anew(uint8_t how)
{
	struct jt_maps maps;

	if (jt_segment_map(&k.fds, &maps))
		return;
	assert(maps.n_slots == k.maps.n_slots &&
	       maps.capacity <= maps.lines_max &&
	       maps.pool + maps.pool_bytes <=
		       (const uint8_t *)maps.identity + maps.identity_bytes);
	if (jt_load_relaxed(&maps.identity->state) == JT_IDENTITY_SERVING)
		ask_all(&maps, how);
	jt_segment_unmap(&maps);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_change c;

	if (size < 2)
		return -1;
	restore();
	memset(memo.lines, 0, 64 * 64);
	for (size_t at = 2, n = 0;
	     at + sizeof(c) <= size && n < FUZZ_CHANGES_MAX;
	     at += sizeof(c), n++) {
		memcpy(&c, data + at, sizeof(c));
		change(&c);
	}
	if (data[0] & 1)
		map_anew(data[1]);
	jt_store_seq(&k.maps.identity_rw->state, JT_IDENTITY_SERVING);
	ask_all(&k.reader, data[1]);
	return 0;
}
