/*
 * stress_pause: what growth costs who verifies.
 *
 * A table of --tokens, nearly full, doubles while one process verifies
 * with it in batches of 32 and goes over as workers do. What each batch took of
 * this process's processor time is held against the same without growth, page
 * faults, going over and unmapping among it; so is what the keeper does in one
 * piece. Processor time, so that whoever else uses the machine does not show.
 *
 * A batch takes some microseconds. A few more of them than before may take over
 * a millisecond while the table grows, since interrupts, and the host of a
 * virtual machine, count as processor time, too.
 */
#include "tests/stress.h"

#include "shm/pages.h"
#include "shm/verify.h"
#include "sidecar/crossing.h"
#include "sidecar/growth.h"
#include <sys/socket.h>

#define BATCH 32u
#define NOW_S 1800000000ull
#define LATER_S (NOW_S + 1000000u)
#define PAUSE_NS 1000000ull
#define PAUSES_MAX 5u
#define QUIET_NS (2 * STRESS_NS_PER_S)
#define STEPS 64u /* buckets of time, by powers of two */

enum part {
	QUIET,
	GROWING,
	PARTS,
};

struct test {
	struct stress *s;
	struct jt_segment_fds fds;
	struct jt_maps maps;
	struct jt_ledger ledger;
	struct jt_growth growth;
	uint64_t tokens, n;
	char (*values)[JT_TOKEN_BYTES];
	int links[2];
	_Atomic uint64_t part, pauses[PARTS], worst[PARTS], batches[PARTS],
		times[PARTS][STEPS];
	_Atomic uint64_t crossed, wrong;
};

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * STRESS_NS_PER_S + (uint64_t)t.tv_nsec;
}

/* ---- the verifier ---- */

static void note(struct test *t, uint64_t part, uint64_t ns)
{
	unsigned bucket = ns ? 64u - (unsigned)__builtin_clzll(ns) : 0;

	jt_count(&t->batches[part], 1);
	jt_count(&t->times[part][bucket % STEPS], 1);
	if (ns > PAUSE_NS)
		jt_count(&t->pauses[part], 1);
	if (ns > jt_load_relaxed(&t->worst[part])) /* relaxed: ours */
		jt_store_relaxed(&t->worst[part], ns);
}

static void batch(struct test *t, const struct jt_maps *maps,
		  struct jt_memo *memo, struct jt_crossing *crossing,
		  uint64_t *random)
{
	/* before what is measured, and it lasts longer than a batch */
	uint64_t part = jt_load_seq(&t->part), began_ns;
	struct jt_verdict verdicts[BATCH];
	struct jt_ask asks[BATCH];
	struct jt_tally tally = {0};
	const struct jt_now now = {NOW_S, STRESS_NS_PER_S};

	for (unsigned i = 0; i < BATCH; i++)
		asks[i] = (struct jt_ask){
			.token = {(const uint8_t *)
					  t->values[stress_below(random, t->n)],
				  JT_TOKEN_BYTES},
			.cost = 1,
		};
	began_ns = cpu_ns();
	if (jt_crossing_look(crossing))
		jt_count(&t->crossed, 1);
	jt_verify(maps, memo, asks, verdicts, BATCH, now, &tally);
	note(t, part, cpu_ns() - began_ns);
	if (tally.words[JT_VALID] != BATCH)
		jt_count(&t->wrong, 1);
}

static void verifier(struct stress_hand *hand)
{
	struct test *t = hand->ctx;
	uint64_t random = stress_hand_seed(hand);
	struct jt_crossing crossing;
	struct jt_memo memo;
	struct jt_maps maps;
	size_t bytes = jt_memo_bytes(t->tokens);
	void *memory = jt_pages_reserve(bytes);
	int rc = jt_segment_map(&t->fds, &maps);

	if (rc || !memory)
		stress_die("map", rc);
	jt_memo_init(&memo, memory, bytes);
	jt_crossing_init(&crossing, t->links[1], &maps, &maps.board[0]);
	jt_store_seq(&maps.board[0].table, 1);
	jt_store_seq(&maps.board[0].state, JT_DESK_SERVING);
	while (stress_goes_on(t->s))
		batch(t, &maps, &memo, &crossing, &random);
}

/* ---- the keeper ---- */

static uint64_t plenty(void)
{
	return 1ull << 40;
}

static void create(struct test *t)
{
	struct jt_record r = {.type = JT_REC_CREATE,
			      .env = "live",
			      .number = t->n + 1,
			      .token = {.expires_s = LATER_S}};
	char text[JT_TOKEN_BYTES + 1];
	int rc;

	jt_token_make("jt", "live", text);
	memcpy(t->values[t->n], text, JT_TOKEN_BYTES);
	memcpy(r.token.id, text, JT_ID_BYTES);
	jt_token_digest((const uint8_t *)text, r.token.digest);
	rc = jt_ledger_apply(&t->ledger, &r);
	if (rc)
		stress_die("create", rc);
	t->n++;
}

static void set_up(struct test *t)
{
	const struct jt_segment_size size = {
		.capacity = t->tokens,
		.lines_max = 4 * t->tokens,
		.pool_bytes = jt_segment_pool(t->tokens),
		.prefix = "jt",
	};
	const uint8_t id[16] = "pause";
	int rc = jt_segment_create(&size, id, &t->fds, &t->maps);

	if (!rc)
		rc = jt_ledger_init(&t->ledger, &t->maps);
	if (rc)
		stress_die("table", rc);
	jt_growth_init(&t->growth, &t->maps, &t->ledger, t->fds.meters,
		       UINT32_MAX, stress_now_ns, plenty);
	t->values = stress_shared((t->tokens + 1) * sizeof(*t->values));
	t->ledger.now = (struct jt_now){NOW_S, STRESS_NS_PER_S};
	while (t->n <= t->tokens - t->tokens / 16)
		create(t);
	jt_store_seq(&t->maps.identity_rw->state, JT_IDENTITY_SERVING);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, t->links))
		stress_die("socketpair", -errno);
}

/* The longest piece. */
static uint64_t grow(struct test *t)
{
	struct jt_growth *g = &t->growth;
	uint64_t worst = 0;

	do {
		uint64_t began_ns = cpu_ns(), took_ns;
		bool crossed = jt_load_seq(&t->maps.board[0].table) ==
			       t->maps.identity->number;
		enum jt_growth_event event =
			jt_growth_tend(g, stress_now_ns(), crossed);

		took_ns = cpu_ns() - began_ns;
		worst = took_ns > worst ? took_ns : worst;
		if (event == JT_GROWTH_FAILED)
			stress_fail(t->s, "%s", g->why);
		if (event == JT_GROWTH_SWAPPED)
			jt_crossing_send(t->links[0], g->fd,
					 t->maps.identity->number);
		stress_sleep_ns(STRESS_NS_PER_S / 1000);
	} while (jt_growth_busy(g) && stress_goes_on(t->s));
	return worst;
}

static void print(const struct test *t, enum part part, const char *name)
{
	printf("stress_pause: %s: %" PRIu64 " batches, the slowest %" PRIu64
	       " us;",
	       name, jt_load_relaxed(&t->batches[part]),
	       jt_load_relaxed(&t->worst[part]) / 1000);
	for (unsigned i = 14; i < STEPS; i++)
		if (jt_load_relaxed(&t->times[part][i]))
			printf(" <%u us: %" PRIu64, (1u << (i - 1)) / 500,
			       jt_load_relaxed(&t->times[part][i]));
	printf("\n");
}

int main(int argc, char **argv)
{
	struct stress_hand hand;
	struct stress s;
	struct test *t = stress_shared(sizeof(*t));
	const struct stress_option more[] = {{"--tokens", &t->tokens, NULL},
					     {0}};
	uint64_t began_ns, worst_ns;

	t->tokens = 1000000;
	t->s = &s;
	stress_begin(&s, "stress_pause", 60, argc, argv, more);
	s.processes = true;
	set_up(t);
	stress_start(&s, &hand, 1, t, verifier);
	stress_sleep_ns(STRESS_NS_PER_S); /* memo and caches are warm */
	jt_store_seq(&t->worst[QUIET], 0);
	stress_sleep_ns(QUIET_NS);
	jt_store_seq(&t->part, GROWING);
	began_ns = stress_now_ns();
	worst_ns = grow(t);
	printf("stress_pause: from %" PRIu64 " tokens to %" PRIu64
	       " in %" PRIu64 " ms; the keeper's longest piece %" PRIu64
	       " us\n",
	       t->tokens, t->maps.capacity,
	       (stress_now_ns() - began_ns) / 1000000, worst_ns / 1000);
	stress_sleep_ns(STRESS_NS_PER_S);
	stress_stop(&s);
	stress_join(&s, &hand, 1);
	print(t, QUIET, "quiet");
	print(t, GROWING, "growing");
	stress_count(&s, jt_load_relaxed(&t->batches[GROWING]));
	if (jt_load_relaxed(&t->wrong) || t->crossed != 1)
		stress_fail(&s,
			    "%" PRIu64 " batches wrong, %" PRIu64 " times over",
			    jt_load_relaxed(&t->wrong),
			    jt_load_relaxed(&t->crossed));
	if (jt_load_relaxed(&t->pauses[GROWING]) >
	    jt_load_relaxed(&t->pauses[QUIET]) + PAUSES_MAX)
		stress_fail(&s, "%" PRIu64 " batches waited for growth",
			    jt_load_relaxed(&t->pauses[GROWING]));
	return stress_end(&s);
}
