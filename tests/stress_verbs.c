/*
 * stress_verbs: whatever the verbs did, every way to the state gives the same.
 *
 * A sequence is a journal of its own, an hour of a deployment that never rests:
 * random verbs on random tokens, the clock moving between them, records built
 * as the verbs build them. Beside it a model keeps what each token must be now,
 * from the manual alone. Compared, of every live token, are its id, the digest
 * of its value and, in an overlap, of the one before, state, expiry, limits
 * that hold, scopes, owner, environment and name:
 *   model     what the verbs say
 *   catalog   the journal folded
 *   live      a keeper's table that followed, some commits at a time
 *   replayed  a keeper's table after a restart
 * and the last three once more after a compaction, which the live one follows
 * while it runs. Every value that ever was is verified in each table: no value
 * works after its overlap, none that was purged, taken back or revoked.
 *
 * The journal lies in a directory in memory and is not flushed; the clock is
 * the program's. Sequence N of seed S is the same in every run: --only N.
 */
#include "tests/stress_model.h"

#include "admin/compact.h"
#include <dirent.h>
#include <malloc.h>
#include <xxhash.h>

/* What is compared. Zeroed before it is filled. */
struct fact {
	char id[JT_ID_BYTES];
	uint8_t digest[JT_DIGEST_BYTES];
	uint8_t old_key[JT_KEY_BYTES]; /* the old digest begins so */
	char name[JT_NAME_MAX], owner[JT_OWNER_MAX], env[8];
	struct jt_bounds bounds;
	uint8_t scopes[32];
	uint32_t expires_s, old_ends_s;
	uint8_t state;
	uint8_t zeros[7];
};

struct facts {
	struct fact of[TOKENS_MAX];
	size_t n;
};

/* ---- facts ---- */

static int by_id(const void *a, const void *b)
{
	return memcmp(a, b, JT_ID_BYTES);
}

static void sort(struct facts *f)
{
	qsort(f->of, f->n, sizeof(f->of[0]), by_id);
}

static struct fact *add_fact(struct facts *f)
{
	struct fact *of = &f->of[f->n++];

	memset(of, 0, sizeof(*of));
	return of;
}

static void put_bounds(struct fact *of, const struct jt_limit *limit)
{
	/* of what is revoked nobody asks for limits */
	if (of->state != JT_SLOT_REVOKED && jt_limits_any(limit))
		of->bounds = jt_limits_bounds(limit);
}

static void put_old(struct fact *of, const uint8_t *digest, uint32_t ends_s)
{
	if (of->state == JT_SLOT_REVOKED || now_s() >= ends_s)
		return;
	memcpy(of->old_key, digest, JT_KEY_BYTES);
	of->old_ends_s = ends_s;
}

static void facts_of_model(const struct model *m, struct facts *f)
{
	f->n = 0;
	for (unsigned i = 0; i < m->n_tokens; i++) {
		const struct token *t = &m->tokens[i];
		const struct jt_record_token *r = &t->newest.token;
		struct jt_limit limit = limit_of(m, t);
		struct fact *of;

		if (!t->lives)
			continue;
		of = add_fact(f);
		memcpy(of->id, r->id, sizeof(of->id));
		memcpy(of->digest, t->values[t->now].digest,
		       sizeof(of->digest));
		memcpy(of->name, r->name, sizeof(of->name));
		memcpy(of->owner, r->owner, sizeof(of->owner));
		memcpy(of->env, t->newest.env, sizeof(of->env));
		memcpy(of->scopes, m->sets[r->scope_set], sizeof(of->scopes));
		of->expires_s = r->expires_s;
		of->state = state_of(t->newest.type, r->flags);
		put_bounds(of, &limit);
		if (overlaps(t))
			put_old(of, t->values[t->before].digest, old_ends_s(t));
	}
	sort(f);
}

static const uint8_t *read_digest(struct run *r, const struct jt_journal *j,
				  uint64_t number, struct jt_record *rec)
{
	struct jt_fault fault = {0};

	must(r, jt_journal_read(j, number, rec, 1, &fault), "read a record",
	     &fault);
	return rec->token.digest;
}

static void fact_of_card(struct run *r, const struct jt_journal *j,
			 const struct jt_catalog *c, const struct jt_card *card,
			 struct fact *of)
{
	struct jt_limit limit = jt_limits_merge(&c->plans[card->own].limit,
						&c->plans[card->plan].limit);
	uint32_t ends_s = card->old_until_s < card->expires_s
				  ? card->old_until_s
				  : card->expires_s;
	struct jt_record rec;

	memcpy(of->id, card->id, sizeof(of->id));
	memcpy(of->digest, read_digest(r, j, card->last, &rec),
	       sizeof(of->digest));
	memcpy(of->name, card->name, sizeof(of->name));
	memcpy(of->owner, card->owner, sizeof(of->owner));
	memcpy(of->env, card->env, sizeof(of->env));
	memcpy(of->scopes, c->sets[card->scope_set].bits, sizeof(of->scopes));
	of->expires_s = card->expires_s;
	of->state = state_of(card->type, card->flags);
	put_bounds(of, &limit);
	if (memcmp(card->key, of->digest, sizeof(card->key)) != 0)
		fail(r, "%.24s: the card has another key", card->id);
	if (card->old_until_s)
		put_old(of, card->old_key, ends_s);
}

static void facts_of_catalog(struct run *r, struct facts *f)
{
	struct jt_fault fault = {0};
	struct jt_catalog c;
	struct jt_journal j;

	f->n = 0;
	must(r, jt_journal_open(&j, &io, r->dir, &fault), "open", &fault);
	must(r, jt_catalog_init(&c), "catalog", NULL);
	must(r, jt_catalog_load(&c, &j, &fault), "fold", &fault);
	for (size_t i = 0; i < c.n_cards && f->n < TOKENS_MAX; i++)
		if (jt_card_lives(&c.cards[i]))
			fact_of_card(r, &j, &c, &c.cards[i], add_fact(f));
	jt_catalog_deinit(&c);
	jt_journal_close(&j);
	sort(f);
}

static void read_words(uint8_t *out, const _Atomic uint64_t words[4])
{
	uint64_t copy[4];

	for (unsigned i = 0; i < 4; i++)
		copy[i] = jt_load_relaxed(&words[i]); /* relaxed: one thread */
	memcpy(out, copy, sizeof(copy));
}

/* relaxed, all of it: one thread */
static void fact_of_line(struct run *r, const struct table *t, uint32_t line,
			 struct fact *of)
{
	const struct jt_line *l = &t->feed.ledger.lines[line];
	const struct jt_places *places = &t->feed.ledger.places;
	uint32_t old;
	const struct jt_slot *slot =
		&t->maps.slots[jt_places_slot(places, line, JT_NEWEST)];
	uint64_t a = jt_load_relaxed(&slot->a), b = jt_load_relaxed(&slot->b);
	const struct jt_limits *limits = jt_table_limits(&t->maps, b);
	const struct jt_scope_set *scopes = jt_table_scopes(&t->maps, b);
	uint32_t bytes = 0;
	const uint8_t *owner =
		jt_table_owner(&t->maps, jt_load_relaxed(&slot->owner), &bytes);
	uint64_t env = jt_load_relaxed(
		&t->maps.identity->envs[jt_load_relaxed(&slot->env)]);
	struct jt_record rec;

	(void)read_digest(r, &t->feed.journal, l->last, &rec);
	memcpy(of->id, rec.token.id, sizeof(of->id));
	memcpy(of->name, rec.token.name, sizeof(of->name));
	memcpy(of->env, &env, sizeof(env));
	if (owner)
		memcpy(of->owner, owner, bytes);
	read_words(of->digest, slot->digest);
	of->expires_s = jt_a_expires_s(a);
	of->state = jt_a_state(a);
	if (scopes)
		read_words(of->scopes, scopes->bits);
	if (limits && of->state != JT_SLOT_REVOKED) {
		uint64_t window = jt_load_relaxed(&limits->window);

		of->bounds.interval_ns = jt_load_relaxed(&limits->interval_ns);
		of->bounds.burst = jt_load_relaxed(&limits->burst);
		of->bounds.quota = jt_load_relaxed(&limits->quota);
		of->bounds.quota_unit = (uint32_t)(window >> 32);
		of->bounds.quota_minutes = (uint32_t)window;
	}
	if (jt_b_meter(b) != line ||
	    jt_ledger_find(&t->feed.ledger, of->id) != line)
		fail(r, "%.24s is not found at its line", of->id);
	old = jt_places_slot(places, line, JT_BEFORE);
	if (old == JT_PLACE_NONE)
		return;
	a = jt_load_relaxed(&t->maps.slots[old].a);
	read_words(rec.token.digest, t->maps.slots[old].digest);
	if (jt_a_state(a) != JT_SLOT_REVOKED)
		put_old(of, rec.token.digest, jt_a_expires_s(a));
}

static void facts_of_table(struct run *r, const struct table *t,
			   struct facts *f)
{
	f->n = 0;
	for (uint32_t i = 0; i < t->feed.ledger.n_lines && f->n < TOKENS_MAX;
	     i++)
		if (t->feed.ledger.lines[i].last)
			fact_of_line(r, t, i, add_fact(f));
	if (f->n != jt_load_relaxed(&t->maps.identity->tokens))
		fail(r, "the table counts %" PRIu64 " tokens, not %zu",
		     jt_load_relaxed(&t->maps.identity->tokens), f->n);
	sort(f);
}

/* ---- comparing ---- */

static const char *difference(const struct fact *a, const struct fact *b)
{
	return memcmp(a->id, b->id, sizeof(a->id))	      ? "id"
	       : memcmp(a->digest, b->digest, 32)	      ? "digest"
	       : a->state != b->state			      ? "state"
	       : a->expires_s != b->expires_s		      ? "expiry"
	       : a->old_ends_s != b->old_ends_s		      ? "end of overlap"
	       : memcmp(a->old_key, b->old_key, JT_KEY_BYTES) ? "old value"
	       : memcmp(a->scopes, b->scopes, 32)	      ? "scopes"
	       : memcmp(a->name, b->name, sizeof(a->name))    ? "name"
	       : memcmp(a->owner, b->owner, sizeof(a->owner)) ? "owner"
	       : memcmp(a->env, b->env, sizeof(a->env))	      ? "environment"
							      : "limits";
}

static uint64_t hash(const struct facts *f)
{
	return XXH3_64bits(f->of, f->n * sizeof(f->of[0]));
}

static void compare(struct run *r, const char *what)
{
	const struct facts *a = r->expected, *b = r->got;

	stress_count(r->t->s, a->n);
	if (a->n == b->n && hash(a) == hash(b))
		return;
	for (size_t i = 0; i < a->n && i < b->n; i++) {
		if (memcmp(&a->of[i], &b->of[i], sizeof(a->of[i])) == 0)
			continue;
		fail(r, "%s: %.24s differs in %s", what, a->of[i].id,
		     difference(&a->of[i], &b->of[i]));
		return;
	}
	fail(r, "%s: %zu tokens instead of %zu", what, b->n, a->n);
}

/*
 * A value whose overlap is over may be forgotten for want of room; and what is
 * not of our form and not known is not called unknown.
 */
static bool is_as_good(const struct jt_verdict *v, unsigned want,
		       const struct value *value)
{
	bool is_unknown =
		v->word == JT_UNKNOWN ||
		(v->word == JT_MALFORMED && value->scheme != JT_VALUE_NATIVE);

	if (want == OVER && v->word == JT_REVOKED)
		return true;
	return is_unknown && (want == JT_UNKNOWN || want == OVER);
}

static void verify_all(struct run *r, const struct table *t, const char *what)
{
	const struct model *m = r->model;
	struct jt_now now = {now_s(), 1};
	struct jt_tally tally = {0};
	struct jt_verdict v;

	for (unsigned i = 0; i < m->n_tokens; i++)
		for (unsigned k = 0; k < m->tokens[i].n_values; k++) {
			const struct value *val = &m->tokens[i].values[k];
			struct jt_ask ask = {
				.token = {(const uint8_t *)val->text,
					  (uint32_t)strnlen(val->text,
							    VALUE_BYTES)}};
			unsigned want = word_of(&m->tokens[i], (int)k);

			jt_verify(&t->maps, NULL, &ask, &v, 1, now, &tally);
			stress_count(r->t->s, 1);
			if (v.word == want || is_as_good(&v, want, val))
				continue;
			fail(r, "%s: value %u of %.24s is %s, not %s", what, k,
			     m->tokens[i].newest.token.id, jt_word_name(v.word),
			     want == OVER ? "over" : jt_word_name(want));
		}
}

/* ---- tables ---- */

static void set_state(struct table *t, enum jt_identity_state state)
{
	jt_store_release(&t->maps.identity_rw->state, state);
}

static void clear(struct table *t, uint64_t off, uint64_t bytes)
{
	memset((uint8_t *)t->maps.identity_rw + off, 0, bytes);
}

/* Only what was used: most of a segment is room for more limits. */
static void clean(struct table *t)
{
	const struct jt_identity *id = t->maps.identity;

	/* relaxed: one thread */
	clear(t, id->slots_off, id->slots * sizeof(struct jt_slot));
	clear(t, id->plans_off, 4 * (jt_load_relaxed(&id->plans) + 1));
	clear(t, id->limits_off,
	      sizeof(struct jt_limits) * (jt_load_relaxed(&id->limits) + 1));
	clear(t, id->sets_off,
	      sizeof(struct jt_scope_set) * (jt_load_relaxed(&id->sets) + 1));
	clear(t, id->scopes_off, sizeof(struct jt_scopes));
	clear(t, id->pool_off, id->pool_bytes);
	memset(t->maps.meters, 0, t->maps.meters_bytes);
	memcpy((void *)t->maps.identity_rw, &t->identity, sizeof(t->identity));
	memcpy(t->maps.meters, &t->meters, sizeof(t->meters));
}

static void make(struct run *r, struct table *t,
		 const struct jt_segment_size *size)
{
	static const uint8_t id[16] = "any journal";

	t->size = *size;
	must(r, jt_segment_create(size, id, &t->fds, &t->maps), "segment",
	     NULL);
	memcpy(&t->identity, (const void *)t->maps.identity,
	       sizeof(t->identity));
	memcpy(&t->meters, t->maps.meters, sizeof(t->meters));
}

/* An empty one of that size. */
static struct table *take(struct run *r, const struct jt_segment_size *size)
{
	struct table *t = NULL;

	for (unsigned i = 0; i < KEPT; i++) {
		t = &r->kept[i];
		if (!t->size.capacity)
			make(r, t, size);
		else if (t->busy || memcmp(&t->size, size, sizeof(*size)))
			continue;
		clean(t);
		t->busy = true;
		return t;
	}
	stress_die("tables of so many sizes", -ENOMEM);
}

static struct table *start(struct run *r)
{
	struct jt_segment_size size = {.capacity = r->capacity, .prefix = "jt"};
	struct jt_fault fault = {0};
	struct jt_feed_size need;
	struct jt_journal j;
	struct table *t;

	must(r, jt_journal_open(&j, &io, r->dir, &fault), "open", &fault);
	must(r, jt_feed_measure(&j, now_s(), &need, &fault), "measure", &fault);
	/* as the keeper does it */
	if (need.rotated > need.tokens / 20)
		need.tokens += need.rotated - need.tokens / 20;
	if (size.capacity < HEADROOM(need.tokens))
		size.capacity = HEADROOM(need.tokens);
	size.pool_bytes = jt_segment_pool(size.capacity);
	if (size.pool_bytes < HEADROOM(need.owner_bytes))
		size.pool_bytes = HEADROOM(need.owner_bytes);
	t = take(r, &size);
	must(r, jt_feed_init(&t->feed, r->dir, &j, &t->maps), "feed", NULL);
	set_state(t, JT_IDENTITY_LOADING);
	catch_up(r, t);
	must(r, jt_feed_settle(&t->feed), "settle", NULL);
	set_state(t, JT_IDENTITY_SERVING);
	return t;
}

static void stop(struct table *t)
{
	jt_feed_deinit(&t->feed);
	t->busy = false;
}

static void check_table(struct run *r, struct table *t, const char *what)
{
	catch_up(r, t);
	if (t->feed.health != JT_HEALTH_OK)
		fail(r, "%s: health: %s", what, t->feed.why);
	facts_of_model(r->model, r->expected);
	facts_of_table(r, t, r->got);
	compare(r, what);
	verify_all(r, t, what);
}

static void check_catalog(struct run *r, const char *what)
{
	facts_of_model(r->model, r->expected);
	facts_of_catalog(r, r->got);
	compare(r, what);
}

static void check_restart(struct run *r, const char *what)
{
	struct table *again = start(r);

	check_table(r, again, what);
	stop(again);
}

/* ---- a sequence ---- */

static void remove_all(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
}

static void compact(struct run *r)
{
	struct jt_compacted done;
	struct jt_fault fault = {0};

	jt_journal_close(&r->journal);
	must(r, jt_journal_compact(&io, r->dir, &done, &fault), "compact",
	     &fault);
	must(r, jt_journal_open_write(&r->journal, &io, r->dir, 1000, &fault),
	     "open for writing", &fault);
}

static void sequence(struct run *r, uint64_t number)
{
	struct jt_fault fault = {0};
	uint64_t compact_at;

	r->number = number;
	r->random = stress_mix(r->t->s->seed ^ stress_mix(number));
	sodium_state = r->random + 1;
	r->capacity = one_in(r, 2) ? 12 : 100;
	compact_at = below(r, 2 * r->t->n_verbs);
	clock_ns = (START_S + below(r, 400 * DAY_S)) * NS_PER_S;
	memset(r->model, 0, sizeof(*r->model));
	remove_all(r->dir);
	must(r, jt_journal_create(&io, r->dir, "jt", &fault), "create", &fault);
	must(r, jt_journal_open_write(&r->journal, &io, r->dir, 1000, &fault),
	     "open for writing", &fault);
	r->live = start(r);
	for (uint64_t i = 0; i < r->t->n_verbs; i++) {
		verb(r);
		if (i == compact_at)
			compact(r);
		if (one_in(r, 3))
			jt_feed_step(&r->live->feed);
		if (one_in(r, 16))
			check_table(r, r->live, "live, under way");
	}
	check_catalog(r, "catalog");
	check_table(r, r->live, "live");
	check_restart(r, "replayed");
	compact(r);
	check_catalog(r, "catalog, compacted");
	check_table(r, r->live, "live, compacted");
	check_restart(r, "replayed, compacted");
	/* and time alone changes what is over */
	clock_ns += below(r, 3 * DAY_S) * NS_PER_S;
	check_table(r, r->live, "live, later");
	stop(r->live);
	jt_journal_close(&r->journal);
}

static void hand(struct stress_hand *h)
{
	const char *tmp =
		access("/dev/shm", W_OK) ? getenv("TMPDIR") : "/dev/shm";
	struct run *r = calloc(1, sizeof(*r));
	struct test *t = h->ctx;
	uint64_t n = h->number;

	if (!r)
		stress_die("calloc", -ENOMEM);
	r->t = t;
	r->model = calloc(1, sizeof(*r->model));
	r->expected = calloc(1, sizeof(*r->expected));
	r->got = calloc(1, sizeof(*r->got));
	snprintf(r->dir, sizeof(r->dir), "%s/jv.XXXXXX", tmp ? tmp : "/tmp");
	if (!r->model || !r->expected || !r->got || !mkdtemp(r->dir))
		stress_die("set up", -errno);
	if (t->only != EVERY)
		sequence(r, t->only);
	for (; t->only == EVERY && n < t->n_sequences && stress_goes_on(t->s) &&
	       jt_load_relaxed(&t->s->score->failures) < STRESS_LINES_MAX;
	     n += HANDS)
		sequence(r, n);
	remove_all(r->dir);
	rmdir(r->dir);
	free(r->model);
	free(r->expected);
	free(r->got);
	free(r);
}

int main(int argc, char **argv)
{
	struct test t = {.n_sequences = 10000, .n_verbs = 50, .only = EVERY};
	struct stress_hand hands[HANDS];
	unsigned n_hands;
	const struct stress_option options[] = {
		{"--sequences", &t.n_sequences, NULL},
		{"--verbs", &t.n_verbs, NULL},
		{"--only", &t.only, NULL},
		{0},
	};
	struct stress s;

	stress_begin(&s, "stress_verbs", 300, argc, argv, options);
	s.processes = true; /* one clock each */
	t.s = &s;
	/* books are large and hardly used: untouched pages must cost nothing */
	mallopt(M_MMAP_THRESHOLD, 65536);
	randombytes_set_implementation(&seeded);
	io = jt_io_os;
	io.wall_ns = our_clock;
	io.pwrite = sparse_pwrite;
	io.fdatasync = io.fsync = no_sync;
	n_hands = t.only == EVERY ? HANDS : 1;
	stress_start(&s, hands, n_hands, &t, hand);
	stress_join(&s, hands, n_hands);
	return stress_end(&s);
}
