/*
 * stress_model: a deployment at random, and what its tokens must be.
 *
 * verb() does one random thing to random tokens: it builds the records as the
 * verbs of admin/ build them, commits them to the sequence's journal, and does
 * the same to a model that knows the manual alone: of each token its values,
 * which of them is the present one and which the one before, its state, its
 * limits by number. word_of() then says what a look at any value must answer.
 *
 * The journal is not flushed, and its reserve's zeros take no memory. The clock
 * is the program's, and so is what libsodium calls random.
 */
#ifndef JT_TESTS_STRESS_MODEL_H
#define JT_TESTS_STRESS_MODEL_H

#include "tests/stress.h"

#include "admin/catalog.h"
#include "shm/verify.h"
#include "sidecar/feed.h"
#include <fcntl.h>

#define HANDS 2u
#define EVERY UINT64_MAX
#define TOKENS_MAX 128u
#define VALUES_MAX 32u /* of a token */
#define VALUE_BYTES 64u
#define PLANS_MAX 64u
#define STEPS 8u
#define HOLE 4096u
#define KEPT 64u /* tables */
#define NAMED 4u /* plans that have a name */
#define SCOPES 6u
#define SETS_MAX 64u
#define BATCH_MAX 8u
#define START_S 1800000000ull
#define DAY_S 86400u
#define OVER JT_WORDS_N /* REVOKED, or no longer known */
#define NS_PER_S 1000000000ull
#define HEADROOM(n) ((n) + (n) / 4)

struct value {
	char text[VALUE_BYTES];
	uint8_t digest[JT_DIGEST_BYTES];
	uint8_t scheme;
};

struct token {
	bool lives, revoked;
	struct jt_record newest;
	struct value values[VALUES_MAX];
	unsigned n_values;
	int now, before; /* its value, and the one before; -1: none */
};

struct plan {
	struct jt_limit limit;
	bool removed;
};

struct model {
	struct token tokens[TOKENS_MAX];
	unsigned n_tokens;
	struct plan plans[PLANS_MAX]; /* by number */
	char names[PLANS_MAX][JT_PLAN_MAX];
	uint8_t sets[SETS_MAX][32];
	uint16_t n_plans, n_scopes, n_sets;
};

/* To make one costs more than a whole sequence: so they are made empty again.
 */
struct table {
	bool busy;
	struct jt_segment_size size;
	struct jt_segment_fds fds;
	struct jt_maps maps;
	struct jt_identity identity; /* the headers as they were made */
	struct jt_meters meters;
	struct jt_feed feed;
};

struct test {
	struct stress *s;
	uint64_t n_sequences, n_verbs, only;
};

struct facts;

struct run {
	struct test *t;
	uint64_t number, random; /* of the sequence */
	char dir[64];
	struct model *model;
	struct jt_journal journal; /* the writer's */
	struct table *live, kept[KEPT];
	struct jt_record batch[BATCH_MAX];
	unsigned n;
	uint64_t capacity;
	struct facts *expected, *got; /* the checker's */
};

/* ---- a disk that never flushes, a clock that is ours ---- */

static struct jt_io io;
static uint64_t clock_ns;

static inline uint64_t our_clock(void)
{
	return clock_ns;
}

static inline int no_sync(int fd)
{
	(void)fd;
	return 0;
}

/* The reserve's zeros need no memory: a hole reads the same. */
static inline ssize_t sparse_pwrite(int fd, const void *buf, size_t bytes,
				    off_t at)
{
	const char *b = buf;
	struct stat st;

	if (bytes >= HOLE && b[0] == 0 && memcmp(b, b + 1, bytes - 1) == 0 &&
	    fstat(fd, &st) == 0 && at >= st.st_size &&
	    ftruncate(fd, at + (off_t)bytes) == 0)
		return (ssize_t)bytes;
	return pwrite(fd, buf, bytes, at);
}

static inline uint64_t now_s(void)
{
	return clock_ns / NS_PER_S;
}

/* ---- chance ---- */

/* What libsodium gives out: tokens and seeds, the same in every run. */
static uint64_t sodium_state;

static const char *seeded_name(void)
{
	return "seeded";
}

static inline uint32_t seeded_random(void)
{
	return (uint32_t)stress_random(&sodium_state);
}

static inline void seeded_buf(void *const out, const size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		((uint8_t *)out)[i] = (uint8_t)seeded_random();
}

static struct randombytes_implementation seeded = {
	.implementation_name = seeded_name,
	.random = seeded_random,
	.buf = seeded_buf,
};

static inline uint64_t below(struct run *r, uint64_t n)
{
	return stress_below(&r->random, n);
}

static inline bool one_in(struct run *r, uint64_t n)
{
	return below(r, n) == 0;
}

__attribute__((format(printf, 2, 3))) static inline void
fail(struct run *r, const char *fmt, ...)
{
	char line[400];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	stress_fail(r->t->s, "%s (--only %" PRIu64 ")", line, r->number);
}

static inline void must(struct run *r, int e, const char *what,
			const struct jt_fault *fault)
{
	if (e == 0)
		return;
	fail(r, "%s: %d %s", what, e, fault ? fault->line : "");
	stress_die(what, e < 0 ? e : -EIO);
}

/* ---- the model: tokens ---- */

static inline struct value *add_value(struct token *t, uint8_t scheme)
{
	struct value *v = &t->values[t->n_values++];

	memset(v, 0, sizeof(*v));
	v->scheme = scheme;
	return v;
}

static inline void digest_of(struct value *v)
{
	if (v->scheme == JT_VALUE_NATIVE)
		jt_token_digest((const uint8_t *)v->text, v->digest);
	else
		(void)jt_token_digest_other((const uint8_t *)v->text,
					    strnlen(v->text, VALUE_BYTES),
					    false, v->digest);
}

static inline uint32_t old_ends_s(const struct token *t)
{
	const struct jt_record_token *r = &t->newest.token;

	return r->old_until_s < r->expires_s ? r->old_until_s : r->expires_s;
}

static inline bool is_dead(const struct token *t)
{
	return t->revoked || now_s() >= t->newest.token.expires_s;
}

static inline bool overlaps(const struct token *t)
{
	return t->before >= 0 && !t->revoked && now_s() < old_ends_s(t);
}

static inline struct jt_limit limit_of(const struct model *m,
				       const struct token *t)
{
	const struct jt_record_token *r = &t->newest.token;

	return jt_limits_merge(&m->plans[r->own].limit,
			       &m->plans[r->plan].limit);
}

static inline uint8_t state_of(uint8_t type, uint8_t flags)
{
	if (type == JT_REC_REVOKE)
		return JT_SLOT_REVOKED;
	return flags & JT_TOKEN_SUSPENDED ? JT_SLOT_SUSPENDED : JT_SLOT_ACTIVE;
}

/* What a look at a value must say. */
static inline unsigned word_of(const struct token *t, int value)
{
	bool is_old = value == t->before && value != t->now;

	if (!t->lives || (value != t->now && !is_old))
		return JT_UNKNOWN;
	if (is_old && !overlaps(t))
		return OVER;
	if (t->revoked)
		return JT_REVOKED;
	if (t->newest.token.flags & JT_TOKEN_SUSPENDED)
		return JT_SUSPENDED;
	return now_s() >= t->newest.token.expires_s ? JT_EXPIRED : JT_VALID;
}

/* ---- verbs: records as admin/ builds them, and the model ---- */

static inline struct jt_record *push(struct run *r, uint8_t type)
{
	struct jt_record *rec = &r->batch[r->n++];

	memset(rec, 0, sizeof(*rec));
	rec->type = type;
	return rec;
}

static inline void put_change(struct run *r, struct token *t, uint8_t type)
{
	struct jt_record *rec = push(r, type);

	memcpy(rec->env, t->newest.env, sizeof(rec->env));
	rec->token = t->newest.token;
}

/* The one that RECORDS a change of T: the last of the batch. */
static inline struct jt_record_token *body(struct run *r)
{
	return &r->batch[r->n - 1].token;
}

static inline void note(struct run *r, struct token *t)
{
	t->newest = r->batch[r->n - 1];
	t->revoked = t->newest.type == JT_REC_REVOKE;
}

static inline struct jt_limit random_limit(struct run *r)
{
	struct jt_limit l = {0};

	if (!one_in(r, 3)) {
		l.rate = 1 + below(r, 20);
		l.period_ns = (one_in(r, 2) ? 1 : 60) * NS_PER_S;
		l.burst = 1 + below(r, 5);
	}
	if (!l.rate || one_in(r, 2)) {
		l.quota = 1 + below(r, 9);
		l.quota_unit = 1 + (uint32_t)below(r, JT_QUOTA_MINUTES);
		if (l.quota_unit == JT_QUOTA_MINUTES)
			l.quota_minutes = 1 + (uint32_t)below(r, 90);
	}
	return l;
}

static inline void define_plan(struct run *r, uint16_t number,
			       struct jt_limit limit, bool removed)
{
	struct jt_record *rec = push(r, JT_REC_PLAN);
	struct model *m = r->model;

	rec->plan.number = number;
	rec->plan.removed = removed;
	memcpy(rec->plan.name, m->names[number], JT_PLAN_MAX);
	jt_limits_put(&limit, &rec->plan);
	m->plans[number] = (struct plan){limit, removed};
	if (number > m->n_plans)
		m->n_plans = number;
}

/* Number of these limits without a name, made when new; 0: no more. */
static inline uint16_t own_limit(struct run *r)
{
	struct model *m = r->model;
	struct jt_limit l = random_limit(r);

	for (uint16_t i = 1; i <= m->n_plans; i++)
		if (!m->names[i][0] &&
		    memcmp(&m->plans[i].limit, &l, sizeof(l)) == 0)
			return i;
	if (m->n_plans + 1u == PLANS_MAX)
		return 0;
	define_plan(r, (uint16_t)(m->n_plans + 1), l, false);
	return m->n_plans;
}

/* A plan with a name that can be given now; 0: none. */
static inline uint16_t named_plan(struct run *r)
{
	uint16_t first = 1 + (uint16_t)below(r, PLANS_MAX - 1);

	for (uint16_t i = 0; i < PLANS_MAX - 1; i++) {
		uint16_t n = (uint16_t)(1 + (first + i) % (PLANS_MAX - 1));

		if (n <= r->model->n_plans && r->model->names[n][0] &&
		    !r->model->plans[n].removed)
			return n;
	}
	return 0;
}

/* Of set and scopes, what is new is defined. 0: none. */
static inline uint16_t scope_set(struct run *r)
{
	struct model *m = r->model;
	uint8_t bits[32] = {0};

	while (m->n_scopes < SCOPES && one_in(r, 2)) {
		struct jt_record *rec = push(r, JT_REC_SCOPE);

		rec->scope.number = ++m->n_scopes;
		snprintf(rec->scope.name, sizeof(rec->scope.name), "s%u:*",
			 m->n_scopes);
		if (r->n + 4 > BATCH_MAX)
			break;
	}
	if (!m->n_scopes)
		return 0;
	bits[0] = (uint8_t)(1 + below(r, (1u << m->n_scopes) - 1));
	for (uint16_t i = 1; i <= m->n_sets; i++)
		if (memcmp(m->sets[i], bits, sizeof(bits)) == 0)
			return i;
	if (m->n_sets + 1u == SETS_MAX)
		return 0;
	push(r, JT_REC_SCOPES)->scopes.number = ++m->n_sets;
	memcpy(r->batch[r->n - 1].scopes.bits, bits, sizeof(bits));
	memcpy(m->sets[m->n_sets], bits, sizeof(bits));
	return m->n_sets;
}

static inline uint32_t some_expiry(struct run *r)
{
	uint64_t span_s = one_in(r, 3) ? 1 + below(r, DAY_S)
				       : DAY_S * (1 + below(r, 1400));

	return (uint32_t)(now_s() + span_s);
}

static inline void some_label(struct run *r, char *out, size_t max,
			      const char *what)
{
	memset(out, 0, max);
	snprintf(out, max, "%s %u", what, (unsigned)below(r, 30));
}

/* Until a SYNC would be answered: a compaction takes a step of its own. */
static inline void catch_up(struct run *r, struct table *t)
{
	for (unsigned i = 0; i < STEPS; i++)
		if (!jt_feed_step(&t->feed) &&
		    t->feed.applied == r->journal.committed.number)
			return;
	fail(r, "applied %" PRIu64 " of %" PRIu64 ": %s", t->feed.applied,
	     r->journal.committed.number, t->feed.why);
}

/* Does the keeper agree? It is asked when it has applied everything. */
static inline bool has_room(struct run *r, uint64_t tokens, uint64_t values)
{
	struct jt_room room = {tokens, values, 2, 2 * JT_OWNER_MAX};
	struct jt_feed *feed = &r->live->feed;
	struct jt_fault fault;

	catch_up(r, r->live);
	jt_feed_clock(feed);
	jt_ledger_tidy(&feed->ledger, values);
	jt_plans_tidy(&feed->ledger.plans);
	return jt_ledger_fits(&feed->ledger, &room, &fault) == 0;
}

/* The first value of a new token and what follows from it. */
static inline void first_value(struct run *r, struct token *t,
			       struct jt_record *rec)
{
	static const char *const envs[] = {"live", "test", "p"};
	const char *env = envs[below(r, 3)];
	bool foreign = one_in(r, 5);
	struct value *v =
		add_value(t, foreign ? JT_VALUE_SHA256 : JT_VALUE_NATIVE);

	snprintf(rec->env, sizeof(rec->env), "%s", env);
	if (foreign)
		snprintf(v->text, sizeof(v->text), "key-%016" PRIx64,
			 stress_random(&r->random));
	else
		jt_token_make("jt", env, v->text);
	digest_of(v);
	if (foreign)
		jt_token_other_id("jt", env, v->digest, rec->token.id);
	else
		memcpy(rec->token.id, v->text, JT_ID_BYTES);
}

static inline void create(struct run *r, struct token *t)
{
	struct token *fresh = NULL;
	struct jt_record rec = {.type = JT_REC_CREATE};

	if (!has_room(r, 1, 1))
		return;
	/* a purged value of another system may be taken in again */
	if (t && !t->lives && t->values[0].scheme != JT_VALUE_NATIVE)
		fresh = t;
	else if (r->model->n_tokens < TOKENS_MAX)
		fresh = &r->model->tokens[r->model->n_tokens++];
	if (!fresh)
		return;
	if (fresh == t) {
		memcpy(rec.env, t->newest.env, sizeof(rec.env));
		memcpy(rec.token.id, t->newest.token.id, JT_ID_BYTES);
	} else {
		first_value(r, fresh, &rec);
	}
	rec.token.scheme = fresh->values[0].scheme;
	memcpy(rec.token.digest, fresh->values[0].digest, JT_DIGEST_BYTES);
	some_label(r, rec.token.name, JT_NAME_MAX, "name");
	some_label(r, rec.token.owner, JT_OWNER_MAX, "owner");
	rec.token.expires_s = some_expiry(r);
	rec.token.own = one_in(r, 3) ? own_limit(r) : 0;
	rec.token.plan = one_in(r, 2) ? named_plan(r) : 0;
	rec.token.scope_set = one_in(r, 2) ? scope_set(r) : 0;
	*push(r, JT_REC_CREATE) = rec;
	fresh->lives = true;
	fresh->now = 0;
	fresh->before = -1;
	note(r, fresh);
}

static inline void renew(struct run *r, struct token *t)
{
	put_change(r, t, JT_REC_RENEW);
	body(r)->expires_s = some_expiry(r);
	note(r, t);
}

static inline void rename_one(struct run *r, struct token *t)
{
	put_change(r, t, JT_REC_RENAME);
	some_label(r, body(r)->name, JT_NAME_MAX, "renamed");
	note(r, t);
}

static inline void set(struct run *r, struct token *t)
{
	uint16_t own = one_in(r, 2) ? own_limit(r) : 0;
	uint16_t plan = one_in(r, 3) ? 0 : named_plan(r);
	uint16_t scopes = one_in(r, 2) ? scope_set(r) : 0;

	put_change(r, t, JT_REC_SET);
	body(r)->own = own;
	body(r)->plan = plan;
	body(r)->scope_set = scopes;
	if (one_in(r, 2))
		some_label(r, body(r)->owner, JT_OWNER_MAX, "owner");
	note(r, t);
}

static inline void suspend_or_resume(struct run *r, struct token *t)
{
	bool is = t->newest.token.flags & JT_TOKEN_SUSPENDED;

	put_change(r, t, is ? JT_REC_RESUME : JT_REC_SUSPEND);
	body(r)->flags ^= JT_TOKEN_SUSPENDED;
	note(r, t);
}

static inline void put_value(struct run *r, struct token *t, int value)
{
	memcpy(body(r)->digest, t->values[value].digest, JT_DIGEST_BYTES);
	body(r)->scheme = t->values[value].scheme;
	t->before = t->now;
	t->now = value;
}

static inline void rotate(struct run *r, struct token *t)
{
	uint64_t overlap_s = one_in(r, 3) ? 0 : below(r, 2 * DAY_S);
	struct value *v;

	if (is_dead(t) || t->n_values == VALUES_MAX || !has_room(r, 0, 1))
		return;
	v = add_value(t, JT_VALUE_NATIVE);
	jt_token_remake(t->newest.token.id, v->text);
	digest_of(v);
	put_change(r, t, JT_REC_ROTATE);
	put_value(r, t, (int)t->n_values - 1);
	body(r)->old_until_s = (uint32_t)(now_s() + overlap_s);
	note(r, t);
}

/* As when stdout did not take the new value: back to the one before. */
static inline void take_back(struct run *r, struct token *t)
{
	struct jt_record_token before = t->newest.token;
	bool forced = overlaps(t);
	int value = t->now;
	uint64_t verbs_at_once = r->n;

	rotate(r, t);
	if (r->n == verbs_at_once)
		return;
	/* a commit of its own in life; of one batch it is the harder case */
	put_change(r, t, JT_REC_ROTATE);
	body(r)->old_until_s = forced ? (uint32_t)now_s() : before.old_until_s;
	if (body(r)->old_until_s > now_s())
		body(r)->old_until_s = (uint32_t)now_s();
	put_value(r, t, value);
	note(r, t);
}

static inline void finish(struct run *r, struct token *t)
{
	if (!overlaps(t))
		return;
	put_change(r, t, JT_REC_FINISH);
	body(r)->old_until_s = (uint32_t)now_s();
	note(r, t);
}

static inline void revoke_one(struct run *r, struct token *t)
{
	put_change(r, t, JT_REC_REVOKE);
	note(r, t);
}

static inline void purge(struct run *r, struct token *t)
{
	if (!is_dead(t))
		return;
	put_change(r, t, JT_REC_PURGE);
	note(r, t);
	t->lives = false;
}

static inline void set_plan(struct run *r)
{
	struct model *m = r->model;
	uint16_t n = 0;
	char name[JT_PLAN_MAX] = "";

	snprintf(name, sizeof(name), "plan-%u", (unsigned)below(r, NAMED));
	for (uint16_t i = 1; i <= m->n_plans && !n; i++)
		if (memcmp(m->names[i], name, sizeof(name)) == 0)
			n = i;
	if (!n && m->n_plans + 1u == PLANS_MAX)
		return;
	if (!n) {
		n = (uint16_t)(m->n_plans + 1);
		memcpy(m->names[n], name, sizeof(name));
	}
	define_plan(r, n, random_limit(r), false);
}

static inline void remove_plan(struct run *r)
{
	const struct jt_limit least = {.quota = 1, .quota_unit = JT_QUOTA_DAY};
	struct model *m = r->model;
	uint16_t n = named_plan(r);

	for (unsigned i = 0; n && i < m->n_tokens; i++)
		if (m->tokens[i].lives && !m->tokens[i].revoked &&
		    m->tokens[i].newest.token.plan == n)
			return;
	if (n)
		define_plan(r, n, least, true);
}

/* One of those that live, but for REVIVE; NULL: none was hit. */
static inline struct token *some_token(struct run *r)
{
	struct model *m = r->model;

	return m->n_tokens ? &m->tokens[below(r, m->n_tokens)] : NULL;
}

static inline void change(struct run *r, struct token *t)
{
	static void (*const verbs[])(struct run *, struct token *) = {
		renew,	rename_one, set,    suspend_or_resume, rotate,
		rotate, take_back,  finish, revoke_one,
	};

	if (!t->lives)
		return;
	if (is_dead(t) && one_in(r, 2))
		purge(r, t);
	else if (!t->revoked)
		verbs[below(r, sizeof(verbs) / sizeof(verbs[0]))](r, t);
}

static inline void commit(struct run *r)
{
	struct jt_fault fault = {0};
	struct jt_record records[BATCH_MAX];

	if (r->n && r->n < BATCH_MAX && one_in(r, 4))
		snprintf(push(r, JT_REC_REASON)->reason, 20, "because");
	if (!r->n)
		return;
	memcpy(records, r->batch, sizeof(records));
	must(r, jt_journal_append(&r->journal, records, r->n, &fault), "append",
	     &fault);
	r->n = 0;
}

static inline void verb(struct run *r)
{
	struct token *t = some_token(r);

	clock_ns += below(r, 4) == 0 ? 0 : below(r, 3600) * NS_PER_S;
	if (one_in(r, 40))
		clock_ns += below(r, 90) * DAY_S * NS_PER_S;
	switch (below(r, 8)) {
	case 0:
	case 1:
		create(r, t);
		break;
	case 2:
		if (one_in(r, 4))
			remove_plan(r);
		else
			set_plan(r);
		break;
	default:
		if (!t) {
			create(r, t);
			break;
		}
		change(r, t);
		/* a batch about two tokens */
		if (one_in(r, 6) && r->n + 4 <= BATCH_MAX) {
			struct token *other = some_token(r);

			if (other != t)
				change(r, other);
		}
	}
	commit(r);
}

#endif
