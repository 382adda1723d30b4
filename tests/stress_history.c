/*
 * stress_history: no verdict contradicts an acknowledged revoke.
 *
 * Real binaries: a jetond with two workers, 1,100 tokens, 1,000 of them revoked
 * one after the other by `jeton revoke ID`, under load from four client
 * processes. Everything is recorded with one clock (CLOCK_MONOTONIC, common to
 * all processes): of a revoke when its process was started and when its exit
 * was seen; of each pipelined batch of VERIFYs when its first byte was sent
 * and when each reply had come, and each verdict. A send is noted before it
 * happens and an exit after, so what follows is never an artefact of noting.
 *
 * Contradictions:
 *   VALID    though sent after the revoke's exit (0), by whomever to whomever
 *   VALID    though sent after somebody had got REVOKED: revoke is final
 *   REVOKED  though received before the revoke was started, or never revoked
 *   anything else but VALID and REVOKED, for tokens that exist
 * and of each revoked token at least 100 verifications must have been sent
 * after its exit.
 *
 * With --kill-worker or --kill-keeper workers or the keeper are killed at
 * random moments; clients connect again, an unanswered batch counts for
 * nothing, a revoke that was not acknowledged (exit 3) is run again. LOADING
 * is then an answer, too: it lets nobody in.
 *
 * With --inprocess every other client verifies by libjeton. Together with
 * --kill-keeper the second contradiction is none: until the lease of the killed
 * keeper is over, such a client may still find VALID what the workers of the
 * next already refuse; but nobody has been told then that it is done.
 */
#include "tests/stress_live.h"

#include "shm/attach.h"
#include "shm/jeton.h"

#define CLIENTS 4u
#define BATCH 64u
#define BATCHES_MAX 600000u /* of a client; touched memory alone costs */
#define TOKENS_MAX 20000u
#define EVIDENCE 100u /* verifications of each token after its exit */
#define EXIT_SIDECAR 3
#define NEVER UINT64_MAX
#define TRIES_MAX 200u

enum word {
	NOTHING,
	VALID,
	REVOKED,
	LOADING,
	OTHER
};

/* Consecutive tokens, from `first` on and round to the beginning. */
struct batch {
	uint64_t sent_ns, received_ns;
	uint32_t first;
	uint8_t words[BATCH];
};

struct ring {
	_Atomic uint64_t n, rounds_after, reconnects;
	struct batch batches[BATCHES_MAX];
};

struct revoke {
	uint64_t start_ns, exit_ns; /* NEVER: not yet */
	uint64_t refused_ns;	    /* checker: first REVOKED received */
	uint64_t after;		    /* checker: verifications sent after exit */
	unsigned tries;
};

struct test {
	struct stress *s;
	struct live live;
	uint64_t n_tokens, n_revokes, pause_us;
	bool inprocess;
	char (*ids)[JT_PUBLIC_BYTES + 1];
	char (*requests)[LIVE_REQUEST];
	struct revoke *revokes; /* of every token */
	struct ring *rings[CLIENTS];
	_Atomic uint64_t current; /* token being revoked; NEVER: all done */
	uint64_t n_valid, n_revoked, n_loading; /* checker */
};

/* ---- clients ---- */

static enum word word_of(const redisReply *r)
{
	const char *word = live_word(r);

	if (word && strcmp(word, "VALID") == 0)
		return VALID;
	if (word && strcmp(word, "REVOKED") == 0)
		return REVOKED;
	if (word && strncmp(word, "LOADING", 7) == 0)
		return LOADING;
	fprintf(stderr, "stress_history: reply: %s\n", word ? word : "?");
	return OTHER;
}

/* One batch to the end. False: the connection is lost, nothing counts. */
static bool exchange(const struct test *t, redisContext *c, struct batch *b)
{
	redisReply *r;

	b->sent_ns = stress_now_ns();
	for (uint64_t i = 0; i < BATCH; i++)
		redisAppendFormattedCommand(
			c, t->requests[(b->first + i) % t->n_tokens],
			LIVE_REQUEST);
	for (unsigned i = 0; i < BATCH; i++) {
		if (redisGetReply(c, (void **)&r) != REDIS_OK)
			return false;
		b->words[i] = (uint8_t)word_of(r);
		freeReplyObject(r);
	}
	b->received_ns = stress_now_ns();
	return true;
}

static enum word word_here(const struct jeton_verdict *v)
{
	switch (v->word) {
	case JETON_VALID:
		return VALID;
	case JETON_REVOKED:
		return REVOKED;
	case JETON_LOADING:
		return LOADING;
	default:
		fprintf(stderr, "stress_history: %s\n", jeton_word(v->word));
		return OTHER;
	}
}

/* The same in this process. */
static void exchange_here(const struct test *t, struct jeton *j,
			  struct batch *b)
{
	struct jeton_token tokens[BATCH];
	struct jeton_verdict v[BATCH];
	int rc;

	for (uint64_t i = 0; i < BATCH; i++)
		tokens[i] = (struct jeton_token){
			t->requests[(b->first + i) % t->n_tokens] +
				sizeof(LIVE_VERIFY) - 1,
			JT_TOKEN_BYTES};
	b->sent_ns = stress_now_ns();
	rc = jeton_verify_batch(j, BATCH, tokens, NULL, v);
	b->received_ns = stress_now_ns();
	if (rc && t->live.kill != LIVE_KILL_KEEPER)
		stress_fail(t->s, "in process: %s", jeton_strerror(rc));
	for (unsigned i = 0; i < BATCH; i++)
		b->words[i] = (uint8_t)word_here(&v[i]);
}

/* Every other batch is about the tokens that are being revoked. */
static uint32_t aim(const struct test *t, uint64_t turn, uint64_t *cursor)
{
	uint64_t current = jt_load_acquire(&t->current);

	if (current != NEVER && turn % 2)
		return (uint32_t)((current + t->n_tokens - BATCH / 2) %
				  t->n_tokens);
	*cursor = (*cursor + BATCH) % t->n_tokens;
	return (uint32_t)*cursor;
}

static redisContext *connect_again(struct stress_hand *hand, redisContext *c)
{
	struct test *t = hand->ctx;

	if (c) {
		if (t->live.kill == LIVE_KILL_NONE)
			stress_fail(t->s, "client %u lost its connection: %s",
				    hand->number, c->errstr);
		redisFree(c);
		jt_add_relaxed(&t->rings[hand->number]->reconnects, 1);
	}
	c = live_connect(&t->live);
	if (!c)
		stress_sleep_ns(1000000);
	return c;
}

/* Count what was done. */
static void note_batch(struct stress_hand *hand, uint64_t *afterp, bool done)
{
	struct test *t = hand->ctx;
	struct ring *ring = t->rings[hand->number];

	stress_sleep_ns(t->pause_us * 1000);
	*afterp += done;
	jt_store_relaxed(&ring->rounds_after, *afterp * BATCH / t->n_tokens);
	jt_store_release(&ring->n, jt_load_relaxed(&ring->n) + 1);
}

static void client(struct stress_hand *hand)
{
	struct test *t = hand->ctx;
	struct ring *ring = t->rings[hand->number];
	uint64_t random = stress_hand_seed(hand), after = 0, n = 0;
	uint64_t cursor = stress_below(&random, t->n_tokens);
	bool here = t->inprocess && hand->number % 2;
	redisContext *c = NULL;
	struct jeton *j = NULL;

	if (here && jeton_attach(t->live.run, JETON_ANYHOW, &j))
		stress_fail(t->s, "client %u cannot attach", hand->number);
	while (!jt_load_relaxed(&t->s->score->stop) && n < BATCHES_MAX) {
		struct batch *b = &ring->batches[n];
		bool done = jt_load_acquire(&t->current) == NEVER;

		if (!here && !c)
			c = connect_again(hand, c);
		if (!here && !c)
			continue;
		b->first = aim(t, n, &cursor);
		if (here) {
			exchange_here(t, j, b);
		} else if (!exchange(t, c, b)) {
			c = connect_again(hand, c);
			continue;
		}
		note_batch(hand, &after, done);
		n++;
	}
	if (n == BATCHES_MAX)
		stress_fail(t->s, "client %u: the ring is full", hand->number);
	if (c)
		redisFree(c);
	jeton_detach(j);
}

/* ---- the revoker ---- */

static void revoke_one(struct test *t, uint64_t i)
{
	const char *const args[] = {"revoke", t->ids[i], NULL};
	struct revoke *r = &t->revokes[i];
	uint64_t start_ns;
	int status;

	jt_store_release(&t->current, i);
	r->start_ns = stress_now_ns();
	do {
		start_ns = stress_now_ns();
		status = live_jeton(&t->live, NULL, args);
		r->exit_ns = stress_now_ns();
		r->tries++;
	} while (status == EXIT_SIDECAR && t->live.kill == LIVE_KILL_KEEPER &&
		 r->tries < TRIES_MAX);
	if (status == 0)
		return;
	stress_fail(
		t->s, "jeton revoke %s: exit %d after %" PRIu64 " ms, %u tries",
		t->ids[i], status, (r->exit_ns - start_ns) / 1000000, r->tries);
	r->exit_ns = NEVER;
}

/* Or as many as there is time for. */
static void revoke_all(struct test *t)
{
	uint64_t i = 0;

	t->s->until_ns = stress_now_ns() + t->s->seconds * STRESS_NS_PER_S;
	while (i < t->n_revokes && stress_now_ns() < t->s->until_ns &&
	       jt_load_relaxed(&t->s->score->failures) < STRESS_LINES_MAX)
		revoke_one(t, i++);
	if (i < t->n_revokes)
		printf("stress_history: stopped after %" PRIu64 " of %" PRIu64
		       " revokes\n",
		       i, t->n_revokes);
	t->n_revokes = i;
}

/* Until all clients have asked often enough about everything. */
static void gather_evidence(const struct test *t)
{
	uint64_t want = EVIDENCE / CLIENTS + 2;
	uint64_t until_ns = stress_now_ns() + 60 * STRESS_NS_PER_S;
	unsigned ready = 0;

	jt_store_seq(&t->live.shared->calm, 1);
	while (ready < CLIENTS && stress_now_ns() < until_ns &&
	       !jt_load_relaxed(&t->s->score->failures)) {
		stress_sleep_ns(LIVE_STEP_NS);
		ready = 0;
		for (unsigned i = 0; i < CLIENTS; i++)
			ready += jt_load_relaxed(&t->rings[i]->rounds_after) >=
				 want;
	}
}

/* ---- the checker ---- */

#define TOKEN_OF(t, b, i) (((b)->first + (i)) % (t)->n_tokens)

/* Pass 1: since when somebody knew. */
static void note_refusals(struct test *t, const struct batch *b)
{
	for (uint64_t i = 0; i < BATCH; i++) {
		struct revoke *r = &t->revokes[TOKEN_OF(t, b, i)];

		if (b->words[i] == REVOKED && b->received_ns < r->refused_ns)
			r->refused_ns = b->received_ns;
	}
}

static void contradiction(struct test *t, uint64_t token, const struct batch *b,
			  const char *what)
{
	const struct revoke *r = &t->revokes[token];

	stress_fail(t->s,
		    "%s %s: sent %" PRIu64 " received %" PRIu64
		    ", revoke started %" PRIu64 " exited %" PRIu64
		    ", first refusal received %" PRIu64,
		    t->ids[token], what, b->sent_ns, b->received_ns,
		    r->start_ns, r->exit_ns, r->refused_ns);
}

static void check_one(struct test *t, uint64_t token, const struct batch *b,
		      enum word word)
{
	struct revoke *r = &t->revokes[token];

	switch (word) {
	case VALID:
		t->n_valid++;
		if (b->sent_ns > r->exit_ns)
			contradiction(t, token, b, "VALID after the revoke");
		else if (b->sent_ns > r->refused_ns &&
			 !(t->inprocess && t->live.kill == LIVE_KILL_KEEPER))
			contradiction(t, token, b, "VALID after a refusal");
		break;
	case REVOKED:
		t->n_revoked++;
		if (b->received_ns < r->start_ns)
			contradiction(t, token, b, "REVOKED before the revoke");
		break;
	case LOADING:
		t->n_loading++;
		if (t->live.kill == LIVE_KILL_KEEPER)
			return;
		/* fall through */
	case NOTHING:
	case OTHER:
		contradiction(t, token, b, "answered with another word");
		return;
	}
	r->after += b->sent_ns > r->exit_ns;
}

static void for_all(struct test *t,
		    void (*visit)(struct test *t, const struct batch *b))
{
	for (unsigned c = 0; c < CLIENTS; c++) {
		uint64_t n = jt_load_acquire(&t->rings[c]->n);

		for (uint64_t i = 0; i < n; i++)
			visit(t, &t->rings[c]->batches[i]);
	}
}

static void check_batch(struct test *t, const struct batch *b)
{
	for (uint64_t i = 0; i < BATCH; i++)
		check_one(t, TOKEN_OF(t, b, i), b, (enum word)b->words[i]);
	stress_count(t->s, BATCH);
}

static void check(struct test *t)
{
	for_all(t, note_refusals);
	for_all(t, check_batch);
	for (uint64_t i = 0; i < t->n_revokes; i++)
		if (t->revokes[i].exit_ns != NEVER &&
		    t->revokes[i].after < EVIDENCE)
			stress_fail(t->s,
				    "%s: only %" PRIu64
				    " verifications after its revoke",
				    t->ids[i], t->revokes[i].after);
}

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void report(const struct test *t, uint64_t all_ns)
{
	uint64_t took_ns[TOKENS_MAX] = {0}, n = 0, least = UINT64_MAX;
	uint64_t reconnects = 0, again = 0;

	for (uint64_t i = 0; i < t->n_revokes; i++) {
		const struct revoke *r = &t->revokes[i];

		least = r->after < least ? r->after : least;
		again += r->tries - 1;
		if (r->tries == 1 && r->exit_ns != NEVER)
			took_ns[n++] = r->exit_ns - r->start_ns;
	}
	for (unsigned i = 0; i < CLIENTS; i++)
		reconnects += jt_load_relaxed(&t->rings[i]->reconnects);
	qsort(took_ns, n, sizeof(took_ns[0]), by_number);
	printf("stress_history: %" PRIu64 " revokes (%" PRIu64
	       " run again) in %.1f s, p50 %.1f ms, p99 %.1f ms, "
	       "longest %.1f ms\n",
	       t->n_revokes, again, (double)all_ns / 1e9,
	       n ? (double)took_ns[n / 2] / 1e6 : 0,
	       n ? (double)took_ns[n * 99 / 100] / 1e6 : 0,
	       n ? (double)took_ns[n - 1] / 1e6 : 0);
	printf("stress_history: %" PRIu64 " VALID, %" PRIu64
	       " REVOKED, %" PRIu64 " LOADING; at least %" PRIu64
	       " verifications of each after its revoke; %" PRIu64
	       " kills, %" PRIu64 " reconnects\n",
	       t->n_valid, t->n_revoked, t->n_loading, least,
	       jt_load_relaxed(&t->live.shared->kills), reconnects);
}

/* ---- set-up ---- */

static void write_table(const struct test *t, const char *path)
{
	FILE *f = fopen(path, "we");

	if (!f)
		stress_die(path, -errno);
	fprintf(f, "name\n");
	for (uint64_t i = 0; i < t->n_tokens; i++)
		fprintf(f, "token %" PRIu64 "\n", i);
	fclose(f);
}

static void read_values(struct test *t, const char *path)
{
	FILE *f = fopen(path, "re");
	char line[256], *value;
	uint64_t n = 0;

	if (!f || !fgets(line, sizeof(line), f))
		stress_die(path, -EIO);
	while (n < t->n_tokens && fgets(line, sizeof(line), f)) {
		value = strrchr(line, ',');
		if (!value || strlen(value) != JT_TOKEN_BYTES + 2)
			break;
		memcpy(t->ids[n], line, JT_PUBLIC_BYTES);
		live_request(value + 1, t->requests[n++]);
	}
	fclose(f);
	if (n != t->n_tokens)
		stress_die("read the values", -EIO);
}

static void create_tokens(struct test *t)
{
	char from[96], to[96];
	const char *const args[] = {"create", "--from", from,
				    "--out",  to,	NULL};

	snprintf(from, sizeof(from), "%s/in.csv", t->live.dir);
	snprintf(to, sizeof(to), "%s/out.csv", t->live.dir);
	write_table(t, from);
	if (live_jeton(&t->live, NULL, args) != 0) {
		live_print_log(&t->live);
		stress_die("jeton create", 1);
	}
	read_values(t, to);
}

static void set_up(struct test *t)
{
	t->ids = stress_shared(t->n_tokens * sizeof(*t->ids));
	t->requests = stress_shared(t->n_tokens * sizeof(*t->requests));
	t->revokes = stress_shared(t->n_tokens * sizeof(*t->revokes));
	for (unsigned i = 0; i < CLIENTS; i++)
		t->rings[i] = stress_shared(sizeof(*t->rings[i]));
	for (uint64_t i = 0; i < t->n_tokens; i++) {
		t->revokes[i].start_ns = t->revokes[i].exit_ns = NEVER;
		t->revokes[i].refused_ns = NEVER;
	}
	create_tokens(t);
}

static void run(struct test *t)
{
	static const char *const args[] = {"journal", "check", NULL};
	struct stress_hand hands[CLIENTS];
	uint64_t all_ns;

	stress_start(t->s, hands, CLIENTS, t, client);
	stress_sleep_ns(STRESS_NS_PER_S / 5); /* all are connected */
	jt_store_seq(&t->live.shared->calm, 0);
	all_ns = stress_now_ns();
	revoke_all(t);
	all_ns = stress_now_ns() - all_ns;
	jt_store_release(&t->current, NEVER);
	gather_evidence(t);
	stress_stop(t->s);
	stress_join(t->s, hands, CLIENTS);
	check(t);
	if (t->live.kill != LIVE_KILL_NONE &&
	    !jt_load_relaxed(&t->live.shared->kills))
		stress_fail(t->s, "nobody was killed: more revokes are needed");
	report(t, all_ns);
	if (live_jeton(&t->live, NULL, args) != 0)
		stress_fail(t->s, "jeton journal check is not content");
}

int main(int argc, char **argv)
{
	struct test *t = stress_shared(sizeof(*t));
	bool kill_worker = false, kill_keeper = false;
	const struct stress_option options[] = {
		{"--tokens", &t->n_tokens, NULL},
		{"--revokes", &t->n_revokes, NULL},
		{"--pause-us", &t->pause_us, NULL},
		{"--inprocess", NULL, &t->inprocess},
		{"--kill-worker", NULL, &kill_worker},
		{"--kill-keeper", NULL, &kill_keeper},
		{0},
	};
	struct stress s;

	t->n_tokens = 1100;
	t->n_revokes = 1000;
	t->pause_us = 500;
	stress_begin(&s, "stress_history", 50, argc, argv, options);
	if (t->n_revokes > t->n_tokens || t->n_tokens > TOKENS_MAX ||
	    t->n_tokens < BATCH)
		stress_usage(&s, options);
	s.processes = true;
	t->s = &s;
	live_begin(&t->live, &s, argv[0],
		   kill_keeper	 ? LIVE_KILL_KEEPER
		   : kill_worker ? LIVE_KILL_WORKER
				 : LIVE_KILL_NONE);
	/* or the next would be killed before it promises anything */
	if (t->inprocess)
		jt_store_seq(&t->live.shared->grace_ns, 2 * JT_LEASE_NS);
	set_up(t);
	run(t);
	live_end(&t->live);
	return stress_end(&s);
}
