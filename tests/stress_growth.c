/*
 * stress_growth: a table that grows again and again, under the eyes of those
 * who verify with it.
 *
 * One writer applies records to a ledger as the keeper does, creates, revokes
 * and rotations, and lets the table grow in slices whenever it wants to. Four
 * verifiers go over from table to table as workers do (crossing.h). A value's
 * phase says how far the writer is with it, stored before and after each step;
 * a verdict is judged by the phases read before and after it:
 *   acknowledged end before  -> REVOKED, nothing else
 *   acknowledged put before  -> VALID, or REVOKED once its end began
 *   neither begun afterwards -> UNKNOWN
 * The value before a rotation ends with it, and is forgotten when room is
 * short. Some tokens have a quota, of which every verifier takes all that it
 * gets: in the end exactly so much was admitted, however often the table grew
 * meanwhile.
 *
 * With --processes half of the growths do not wait for the verifiers: the old
 * table is retired at once, and who finds that says LOADING for that batch. Of
 * the threads, verifier 0 reads the writer's own addresses, so that
 * ThreadSanitizer sees both sides (stress.h).
 */
#include "tests/stress.h"

#include "shm/verify.h"
#include "sidecar/crossing.h"
#include "sidecar/growth.h"
#include <sys/socket.h>

#define HANDS 4u
#define TOKENS (1u << 17) /* values, those of rotations among them */
#define LIMITED 16u	  /* the first tokens have a quota */
#define QUOTA 10000u
#define BATCH 32u
#define START 100u /* tokens */
#define TABLES 32u
#define NOW_S 1800000000ull
#define LATER_S (NOW_S + 1000000u)
#define FAR_NS (1ull << 62)

enum phase {
	ABSENT,
	PUTTING,
	PUT,
	ENDING,
	ENDED,	  /* revoked */
	REPLACED, /* by a rotation that left it no time: may be forgotten */
};

struct value {
	_Atomic uint64_t phase;
	char text[JT_TOKEN_BYTES];
	uint32_t token; /* the first value of the same token */
	uint32_t newest;
};

struct test {
	struct stress *s;
	struct jt_segment_fds fds;
	struct jt_maps maps; /* the writer's */
	struct jt_ledger ledger;
	struct jt_growth growth;
	uint64_t numbers; /* of records */
	struct value *values;
	_Atomic uint64_t n_values;
	_Atomic uint64_t admitted[LIMITED], refused[LIMITED];
	_Atomic uint64_t loading, crossed, valid;
	int links[HANDS][2];
	/* for verifier 0 of the threads: the writer's maps as they were */
	struct jt_maps tables[TABLES];
	_Atomic uint64_t newest;
	_Atomic uint64_t boot_ns;
};

/* ---- a verifier ---- */

struct verifier {
	struct test *t;
	struct jt_maps maps;
	struct jt_crossing crossing;
	struct jt_memo memo;
	struct jt_desk *desk;
	bool shares; /* the writer's addresses */
	uint64_t table;
	uint64_t random;
};

static bool is_end(uint64_t after, enum jt_word word)
{
	return (after >= ENDING && word == JT_REVOKED) ||
	       (after == REPLACED && word == JT_UNKNOWN);
}

static void judge(struct test *t, uint64_t i, uint64_t before, uint64_t after,
		  enum jt_word word)
{
	bool ok;

	stress_count(t->s, 1);
	if (before == ENDED)
		ok = word == JT_REVOKED;
	else if (before == REPLACED)
		ok = word == JT_REVOKED || word == JT_UNKNOWN;
	else if (before >= PUT)
		ok = word == JT_VALID || is_end(after, word);
	else if (after == ABSENT)
		ok = word == JT_UNKNOWN;
	else
		ok = word == JT_UNKNOWN || word == JT_VALID ||
		     is_end(after, word);
	if (!ok)
		stress_fail(t->s,
			    "value %" PRIu64 " is %s in phases %" PRIu64
			    " to %" PRIu64,
			    i, jt_word_name(word), before, after);
}

/* Those with a quota: only the sum is judged. */
static void count(struct test *t, uint64_t i, enum jt_word word)
{
	stress_count(t->s, 1);
	if (word == JT_VALID)
		jt_add_relaxed(&t->admitted[i], 1); /* relaxed: a sum */
	else if (word == JT_QUOTA_EXCEEDED)
		jt_add_relaxed(&t->refused[i], 1); /* likewise */
	else
		stress_fail(t->s, "limited token %" PRIu64 " is %s", i,
			    jt_word_name(word));
}

static void look(struct verifier *v)
{
	struct test *t = v->t;
	uint64_t newest;

	/* often it takes its time, as long as it may */
	if (stress_below(&v->random, 128) &&
	    jt_load_acquire(&v->maps.identity->state) != JT_IDENTITY_RETIRED)
		return;
	if (!v->shares) {
		if (jt_crossing_look(&v->crossing))
			jt_add_relaxed(&t->crossed, 1); /* relaxed: a sum */
		return;
	}
	newest = jt_load_acquire(&t->newest);
	if (newest == v->table)
		return;
	v->maps = t->tables[newest];
	v->table = newest;
	jt_store_seq(&v->desk->table, newest);
}

static void batch(struct verifier *v)
{
	struct test *t = v->t;
	struct jt_verdict verdicts[BATCH];
	struct jt_ask asks[BATCH];
	struct jt_tally tally = {0};
	uint64_t at[BATCH], before[BATCH];
	/* pairs with create() and rotate(): so many have a text */
	uint64_t n = jt_load_acquire(&t->n_values);
	const struct jt_now now = {NOW_S, 1000000000ull};

	for (unsigned i = 0; i < BATCH; i++) {
		at[i] = i % 4 ? stress_below(&v->random, n)
			      : stress_below(&v->random, LIMITED);
		before[i] = jt_load_seq(&t->values[at[i]].phase);
		asks[i] = (struct jt_ask){
			.token = {(const uint8_t *)t->values[at[i]].text,
				  JT_TOKEN_BYTES},
			.cost = 1};
	}
	look(v); /* after what is asked has "arrived" */
	jt_verify(&v->maps, &v->memo, asks, verdicts, BATCH, now, &tally);
	if (verdicts[0].word == JT_LOADING) {
		jt_add_relaxed(&t->loading, 1); /* relaxed: a sum */
		return;
	}
	for (unsigned i = 0; i < BATCH; i++) {
		if (at[i] < LIMITED)
			count(t, at[i], verdicts[i].word);
		else
			judge(t, at[i], before[i],
			      jt_load_seq(&t->values[at[i]].phase),
			      verdicts[i].word);
	}
	jt_add_relaxed(&t->valid, tally.words[JT_VALID]); /* relaxed: a sum */
}

static void verifier(struct stress_hand *hand)
{
	struct test *t = hand->ctx;
	struct verifier v = {.t = t, .random = stress_hand_seed(hand)};
	size_t bytes = jt_memo_bytes(START);
	void *memory = NULL;
	int rc = 0;

	v.shares = !t->s->processes && hand->number == 0;
	if (v.shares)
		v.maps = t->tables[v.table = jt_load_acquire(&t->newest)];
	else
		rc = jt_segment_map(&t->fds, &v.maps);
	if (rc || posix_memalign(&memory, 64, bytes))
		stress_die("map", rc);
	memset(memory, 0, bytes);
	jt_memo_init(&v.memo, memory, bytes);
	v.desk = &v.maps.board[hand->number];
	jt_crossing_init(&v.crossing, t->links[hand->number][1], &v.maps,
			 v.desk);
	jt_store_seq(&v.desk->table, v.maps.identity->number);
	jt_store_seq(&v.desk->state, JT_DESK_SERVING);
	while (stress_goes_on(t->s)) {
		batch(&v);
		jt_store_release(&v.desk->rounds,
				 jt_load_relaxed(&v.desk->rounds) + 1);
	}
	/* nobody waits for who has gone; the maps go with the process */
	jt_store_seq(&v.desk->state, JT_DESK_FREE);
	free(memory);
}

/* ---- the writer ---- */

static uint64_t plenty(void)
{
	return 1ull << 40;
}

static bool all_crossed(const struct test *t)
{
	for (unsigned i = 0; i < HANDS; i++) {
		const struct jt_desk *d = &t->maps.board[i];

		if (jt_load_seq(&d->state) != JT_DESK_FREE &&
		    jt_load_seq(&d->table) != t->maps.identity->number)
			return false;
	}
	return true;
}

static void announce(struct test *t)
{
	uint64_t number = t->maps.identity->number;

	if (number >= TABLES)
		stress_die("tables", -ERANGE);
	t->tables[number] = t->maps;
	t->tables[number].identity_rw = NULL;
	jt_store_release(&t->newest, number); /* pairs with look() */
	for (unsigned i = 0; i < HANDS; i++)
		if (jt_crossing_send(t->links[i][0], t->growth.fd, number))
			stress_die("send", -errno);
	close(t->growth.fd);
	close(t->growth.look);
	t->growth.fd = t->growth.look = -1;
}

static void grow(struct test *t, uint64_t *random)
{
	struct jt_growth *g = &t->growth;

	switch (jt_growth_tend(g, stress_now_ns(), all_crossed(t))) {
	case JT_GROWTH_SWAPPED:
		/* in threads the old addresses must not go under somebody */
		g->until_ns = FAR_NS;
		if (t->s->processes && stress_random(random) % 2)
			jt_table_part(&t->maps);
		announce(t);
		break;
	case JT_GROWTH_FAILED:
		stress_fail(t->s, "%s", g->why);
		break;
	case JT_GROWTH_GOES_ON:
	case JT_GROWTH_DONE:
		break;
	}
}

static void apply(struct test *t, struct jt_record *r)
{
	int rc;

	r->number = ++t->numbers;
	r->time_ns = NOW_S * STRESS_NS_PER_S;
	rc = jt_ledger_apply(&t->ledger, r);
	if (rc)
		stress_fail(t->s, "record %" PRIu64 ": %d", r->number, rc);
	jt_table_set_applied(&t->maps, r->number);
}

static struct jt_record record_of(const struct test *t, uint64_t i,
				  uint8_t type)
{
	struct jt_record r = {.type = type, .env = "live"};
	const char *text = t->values[i].text;

	memcpy(r.token.id, text, JT_ID_BYTES);
	jt_token_digest((const uint8_t *)text, r.token.digest);
	snprintf(r.token.owner, sizeof(r.token.owner), "owner %" PRIu64,
		 (uint64_t)t->values[i].token / 8);
	r.token.expires_s = LATER_S;
	r.token.own = t->values[i].token < LIMITED;
	return r;
}

static void phase(struct test *t, uint64_t i, enum phase phase)
{
	jt_store_seq(&t->values[i].phase, phase);
}

static void create(struct test *t)
{
	uint64_t i = jt_load_relaxed(&t->n_values); /* relaxed: ours */
	struct jt_record r;

	t->values[i].token = t->values[i].newest = (uint32_t)i;
	r = record_of(t, i, JT_REC_CREATE);
	jt_store_release(&t->n_values, i + 1);
	phase(t, i, PUTTING);
	apply(t, &r);
	phase(t, i, PUT);
}

static void end(struct test *t, uint64_t i)
{
	uint64_t newest = t->values[t->values[i].token].newest;
	struct jt_record r;

	if (jt_load_relaxed(&t->values[newest].phase) != PUT)
		return;
	r = record_of(t, newest, JT_REC_REVOKE);
	phase(t, newest, ENDING);
	apply(t, &r);
	phase(t, newest, ENDED);
}

/* The value before ends at once. */
static void rotate(struct test *t, uint64_t i)
{
	uint64_t token = t->values[i].token, was = t->values[token].newest;
	uint64_t next = jt_load_relaxed(&t->n_values); /* relaxed: ours */
	struct value *v = &t->values[next];
	struct jt_record r;

	/* a third value would make the first one UNKNOWN, in place of REVOKED
	 */
	if (jt_load_relaxed(&t->values[was].phase) != PUT || was != token)
		return;
	memcpy(v->text, t->values[was].text, JT_ID_BYTES);
	{
		char text[JT_TOKEN_BYTES + 1];

		jt_token_remake(t->values[was].text, text);
		memcpy(v->text, text, JT_TOKEN_BYTES);
	}
	v->token = (uint32_t)token;
	r = record_of(t, next, JT_REC_ROTATE);
	r.token.old_until_s = (uint32_t)NOW_S;
	jt_store_release(&t->n_values, next + 1);
	phase(t, next, PUTTING);
	phase(t, was, ENDING);
	apply(t, &r);
	phase(t, was, REPLACED);
	phase(t, next, PUT);
	t->values[token].newest = (uint32_t)next;
}

/* Room for one more of each, as FIT asks. */
static bool has_room(struct test *t)
{
	static const struct jt_room one = {1, 1, 0, 64};
	struct jt_fault fault;

	jt_ledger_tidy(&t->ledger, one.values);
	if (!jt_ledger_fits(&t->ledger, &one, &fault))
		return true;
	if (!jt_growth_want(&t->growth, &one, &fault))
		stress_fail(t->s, "%s", fault.line);
	return false;
}

static void change(struct test *t, uint64_t *random)
{
	uint64_t n = jt_load_relaxed(&t->n_values); /* relaxed: ours */
	uint64_t old = LIMITED + stress_below(random, n - LIMITED);

	switch (stress_below(random, 16)) {
	case 0:
	case 1:
	case 2:
		end(t, old);
		break;
	case 3:
	case 4:
		if (n < TOKENS && has_room(t))
			rotate(t, old);
		break;
	default:
		if (n < TOKENS && has_room(t))
			create(t);
	}
}

static void write_all(struct test *t)
{
	uint64_t random = t->s->seed;

	while (stress_goes_on(t->s)) {
		for (unsigned i = 0; i < 8; i++)
			change(t, &random);
		grow(t, &random);
		/* it is to last as long as the test does */
		if (jt_load_relaxed(&t->n_values) >
		    TOKENS - TOKENS * (t->s->until_ns - stress_now_ns()) /
				     (t->s->seconds * STRESS_NS_PER_S))
			stress_sleep_ns(100000);
	}
}

/* ---- set-up ---- */

static void define_quota(struct test *t)
{
	struct jt_record r = {
		.type = JT_REC_PLAN,
		.plan = {.number = 1,
			 .quota = QUOTA,
			 .quota_unit = JT_QUOTA_MONTH},
	};

	apply(t, &r);
}

static void set_up(struct test *t)
{
	const struct jt_segment_size size = {
		.capacity = START,
		.lines_max = 2 * TOKENS,
		.pool_bytes = jt_segment_pool(START),
		.prefix = "jt",
	};
	const uint8_t id[16] = "growth";
	int rc = jt_segment_create(&size, id, &t->fds, &t->maps);

	if (!rc)
		rc = jt_ledger_init(&t->ledger, &t->maps);
	if (rc)
		stress_die("table", rc);
	jt_growth_init(&t->growth, &t->maps, &t->ledger, t->fds.meters,
		       UINT32_MAX, stress_now_ns, plenty);
	jt_store_seq(&t->maps.identity_rw->state, JT_IDENTITY_SERVING);
	t->ledger.now = (struct jt_now){NOW_S, 1000000000ull};
	t->values = stress_shared(TOKENS * sizeof(*t->values));
	for (unsigned i = 0; i < TOKENS; i++) {
		char text[JT_TOKEN_BYTES + 1];

		jt_token_make("jt", "live", text);
		memcpy(t->values[i].text, text, JT_TOKEN_BYTES);
	}
	for (unsigned i = 0; i < HANDS; i++)
		if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, t->links[i]))
			stress_die("socketpair", -errno);
	define_quota(t);
	for (unsigned i = 0; i < LIMITED + 8; i++)
		create(t);
	t->tables[1] = t->maps;
	t->tables[1].identity_rw = NULL;
	jt_store_seq(&t->newest, 1);
}

/* One line has counted all, and has not admitted one too many. */
static void check_limit(struct test *t, unsigned i)
{
	uint64_t admitted = jt_load_relaxed(&t->admitted[i]);
	uint64_t refused = jt_load_relaxed(&t->refused[i]);
	uint64_t uses = jt_load_relaxed(&t->maps.lines[i].uses);

	if (admitted > QUOTA || (refused && admitted < QUOTA) ||
	    admitted != uses)
		stress_fail(t->s,
			    "token %u: admitted %" PRIu64 " of %u, refused "
			    "%" PRIu64 ", its meter says %" PRIu64,
			    i, admitted, QUOTA, refused, uses);
}

static void check_end(struct test *t)
{
	uint64_t loading = jt_load_relaxed(&t->loading);

	for (unsigned i = 0; i < LIMITED; i++)
		check_limit(t, i);
	if (loading && !t->s->processes)
		stress_fail(t->s, "%" PRIu64 " batches heard LOADING", loading);
	if (t->growth.n_done < 5)
		stress_fail(t->s, "it grew %" PRIu64 " times only",
			    t->growth.n_done);
	printf("stress_growth: %" PRIu64 " growths to %" PRIu64
	       " tokens, %" PRIu64 " values, %" PRIu64 " valid, %" PRIu64
	       " times over, %" PRIu64 " batches LOADING\n",
	       t->growth.n_done, t->maps.capacity,
	       jt_load_relaxed(&t->n_values), jt_load_relaxed(&t->valid),
	       jt_load_relaxed(&t->crossed), loading);
}

int main(int argc, char **argv)
{
	struct stress_hand hands[HANDS];
	struct stress s;
	struct test *t;

	stress_begin(&s, "stress_growth", 5, argc, argv, NULL);
	t = stress_shared(sizeof(*t));
	t->s = &s;
	set_up(t);
	stress_start(&s, hands, HANDS, t, verifier);
	write_all(t);
	stress_join(&s, hands, HANDS);
	check_end(t);
	return stress_end(&s);
}
