/*
 * stress_changes: no verdict contradicts the changes that were acknowledged.
 *
 * Real binaries: a jetond with two workers, and `jeton` run again and again to
 * rotate, finish, renew, suspend, resume, revoke and set a few tokens and to
 * change the plans that they have, while client processes verify all their
 * values, the replaced ones too. Everything is noted with one clock
 * (CLOCK_REALTIME: ends of overlaps and quotas are moments of it): of a change
 * when its process was started and when its exit was seen; of a batch of
 * VERIFYs when its first byte was sent and when its last reply had come.
 *
 * A token's history is a row of states. One may hold from the moment its
 * command was started until the next one's exit was seen. A verdict is right if
 * a state that may have held between its sending and its receipt allows it, at
 * a moment of that span: word, and for a VALID the limit. So, among others, a
 * value that a rotation replaced must not be VALID when it was sent after the
 * end of its overlap, nor REVOKED when it was received before.
 *
 * Two more tokens are asked for in earnest, by all clients: one has a quota of
 * its own, the other one by a plan that changes; the run lasts over the end of
 * a minute. No window may admit more than the quota, none may refuse before it
 * is used up, and none may admit after it refused.
 */
#include "tests/stress_live.h"

#define CLIENTS 3u
#define TOKENS 24u
#define PLANS 3u
#define VALUES_MAX 400u /* of a token */
#define STATES_MAX 4000u
#define BATCHES_MAX 400000u /* of a client; touched memory alone costs */
#define BATCH 48u
#define SPENT 8u  /* of a batch, in earnest */
#define RECENT 3u /* values of a token that are asked for */
#define QUOTA 4000u
#define LIMITS 8u
#define MS 1000000ull
#define NEVER UINT64_MAX
#define EARLY_NS (100 * MS) /* a worker reads its clock before it receives */
#define MINUTE_NS (60 * STRESS_NS_PER_S)
#define LEAST_S 15u
#define WINDOWS 4u
#define LOOK "*4\r\n$6\r\nVERIFY\r\n$64\r\n"
#define LOOK_END "\r\n$4\r\nCOST\r\n$1\r\n0\r\n"
#define LOOK_BYTES (sizeof(LOOK) - 1 + JT_TOKEN_BYTES + sizeof(LOOK_END) - 1)

enum word {
	NOTHING,
	VALID,
	REVOKED,
	SUSPENDED,
	EXPIRED,
	UNKNOWN,
	QUOTA_EXCEEDED,
	OTHER
};

static const char *const words[] = {"nothing",	      "VALID",	     "REVOKED",
				    "SUSPENDED",      "EXPIRED",     "UNKNOWN",
				    "QUOTA_EXCEEDED", "another word"};

/* The state of a token, from when on it may hold; moments by the clock. */
struct state {
	uint64_t start_ns, exit_ns; /* of the command that led here */
	int value, old;		    /* numbers of values; -1: none */
	uint64_t expires_s[2], old_until_s[2]; /* earliest, latest */
	uint8_t limit;			       /* index into limits */
	bool suspended, revoked;
	const char *verb;
};

struct token {
	char id[JT_PUBLIC_BYTES + 1];
	_Atomic uint64_t n_values;
	char looks[VALUES_MAX][LOOK_BYTES];
	unsigned plan; /* the revoker's; PLANS: none */
	uint64_t n_states;
	struct state states[STATES_MAX];
};

struct answer {
	uint8_t token;
	uint8_t word, limit;
	uint8_t zero;
	uint16_t value;
};

struct batch {
	uint64_t sent_ns, received_ns;
	struct answer answers[BATCH];
};

struct ring {
	_Atomic uint64_t n;
	struct batch batches[BATCHES_MAX];
};

struct test {
	struct stress *s;
	struct live live;
	uint64_t random, pause_us;
	struct token *tokens;	     /* TOKENS */
	char spent[2][LIVE_REQUEST]; /* own quota, by plan */
	char spent_ids[2][JT_PUBLIC_BYTES + 1];
	uint8_t limit_of[PLANS]; /* what each plan has now */
	struct ring *rings[CLIENTS];
	char out[96];
	uint64_t changes, slow_ns;
	uint64_t seen[OTHER + 1]; /* checker */
};

/* Bursts: what field 5 of the answer says. */
static const int limits[LIMITS] = {-1, 11, 12, 13, 14, 15, 16, 17};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * STRESS_NS_PER_S + (uint64_t)t.tv_nsec;
}

/* ---- clients ---- */

static uint8_t word_of(const redisReply *r)
{
	const char *word = live_word(r);

	for (uint8_t w = VALID; word && w < OTHER; w++)
		if (strcmp(word, words[w]) == 0)
			return w;
	fprintf(stderr, "stress_changes: reply: %s\n", word ? word : "?");
	return OTHER;
}

static uint8_t limit_in(const redisReply *r)
{
	uint8_t i = 0;

	if (r->type != REDIS_REPLY_ARRAY || r->elements < 5)
		return LIMITS;
	while (i < LIMITS && r->element[4]->integer != limits[i])
		i++;
	return i;
}

/* Which value of which token: new ones more often. */
static void aim(const struct test *t, struct answer *a, unsigned place,
		uint64_t *random)
{
	uint64_t n, back;

	if (place < SPENT) {
		a->token = (uint8_t)(TOKENS + place % 2);
		return;
	}
	a->token = (uint8_t)stress_below(random, TOKENS);
	/* pairs with publish() */
	n = jt_load_acquire(&t->tokens[a->token].n_values);
	back = stress_below(random, n < RECENT ? n : RECENT);
	a->value = (uint16_t)(n - 1 - back);
}

static bool exchange(const struct test *t, redisContext *c, struct batch *b,
		     uint64_t *random)
{
	redisReply *r;

	for (unsigned i = 0; i < BATCH; i++) {
		struct answer *a = &b->answers[i];

		aim(t, a, i, random);
		if (a->token < TOKENS)
			redisAppendFormattedCommand(
				c, t->tokens[a->token].looks[a->value],
				LOOK_BYTES);
		else
			redisAppendFormattedCommand(
				c, t->spent[a->token - TOKENS], LIVE_REQUEST);
	}
	b->sent_ns = now_ns();
	for (unsigned i = 0; i < BATCH; i++) {
		if (redisGetReply(c, (void **)&r) != REDIS_OK)
			return false;
		b->answers[i].word = word_of(r);
		b->answers[i].limit = limit_in(r);
		freeReplyObject(r);
	}
	b->received_ns = now_ns();
	return true;
}

static void client(struct stress_hand *hand)
{
	struct test *t = hand->ctx;
	struct ring *ring = t->rings[hand->number];
	uint64_t random = stress_hand_seed(hand), n = 0;
	redisContext *c = live_connect(&t->live);

	while (c && !jt_load_relaxed(&t->s->score->stop) && n < BATCHES_MAX) {
		if (!exchange(t, c, &ring->batches[n], &random))
			break;
		jt_store_release(&ring->n, ++n);
		stress_sleep_ns(t->pause_us * 1000);
	}
	if (!jt_load_relaxed(&t->s->score->stop))
		stress_fail(t->s, "client %u ended: %s", hand->number,
			    !c		       ? "not connected"
			    : n == BATCHES_MAX ? "its ring is full"
					       : c->errstr);
	if (c)
		redisFree(c);
}

/* ---- the one who changes ---- */

static uint64_t below(struct test *t, uint64_t n)
{
	return stress_below(&t->random, n);
}

/* Run jeton; *S: started and exited when. Its stdout is in t->out. */
static bool run_verb(struct test *t, struct state *s, const char *const *args)
{
	int status;

	unlink(t->out);
	s->verb = args[0];
	s->start_ns = now_ns();
	status = live_jeton(&t->live, t->out, args);
	s->exit_ns = now_ns();
	t->changes++;
	if (s->exit_ns - s->start_ns > t->slow_ns)
		t->slow_ns = s->exit_ns - s->start_ns;
	if (status)
		stress_fail(t->s, "jeton %s %s: exit %d", args[0], args[1],
			    status);
	return status == 0;
}

static struct state *newest(struct token *k)
{
	return &k->states[k->n_states - 1];
}

static void add_state(struct test *t, struct token *k, const struct state *s)
{
	if (k->n_states == STATES_MAX) {
		stress_stop(t->s);
		return;
	}
	k->states[k->n_states++] = *s;
}

/* SPAN_S after a moment between start and exit. */
static void moments(const struct state *s, uint64_t span_s, uint64_t out[2])
{
	out[0] = s->start_ns / STRESS_NS_PER_S + span_s;
	out[1] = s->exit_ns / STRESS_NS_PER_S + span_s;
}

/* The value on stdout is one that clients ask for from now on. */
static bool publish(struct test *t, struct token *k)
{
	uint64_t n = jt_load_relaxed(&k->n_values); /* relaxed: one writer */
	char value[JT_TOKEN_BYTES + 2] = "", *look = k->looks[n];
	FILE *f = fopen(t->out, "re");
	bool whole = f && fgets(value, sizeof(value), f) &&
		     strlen(value) == JT_TOKEN_BYTES + 1;

	if (f)
		fclose(f);
	if (!whole) {
		stress_fail(t->s, "no value of %s on stdout", k->id);
		return false;
	}
	memcpy(k->id, value, JT_PUBLIC_BYTES);
	memcpy(look, LOOK, sizeof(LOOK) - 1);
	look += sizeof(LOOK) - 1;
	memcpy(look, value, JT_TOKEN_BYTES);
	memcpy(look + JT_TOKEN_BYTES, LOOK_END, sizeof(LOOK_END) - 1);
	/* pairs with aim() */
	jt_store_release(&k->n_values, n + 1);
	return true;
}

static void rotate(struct test *t, struct token *k)
{
	struct state s = *newest(k);
	uint64_t overlap_s = below(t, 4), n = jt_load_relaxed(&k->n_values);
	char span[24];
	const char *const args[] = {"rotate", k->id,	 "--overlap",
				    span,     "--force", NULL};

	if (n == VALUES_MAX)
		return;
	snprintf(span, sizeof(span), "%us", (unsigned)overlap_s);
	if (overlap_s == 0)
		strcpy(span, "0");
	/* an expired one is refused, so first it gets time */
	if (s.expires_s[0] < now_ns() / STRESS_NS_PER_S + 20)
		return;
	if (!run_verb(t, &s, args))
		return;
	s.old = s.value;
	s.value = (int)n;
	moments(&s, overlap_s, s.old_until_s);
	add_state(t, k, &s);
	publish(t, k);
}

static void finish(struct test *t, struct token *k)
{
	struct state s = *newest(k);
	const char *const args[] = {"rotate", k->id, "--finish", NULL};
	uint64_t ends_s[2];

	if (s.old < 0 || !run_verb(t, &s, args))
		return;
	moments(&s, 0, ends_s);
	for (unsigned i = 0; i < 2; i++)
		if (ends_s[i] < s.old_until_s[i])
			s.old_until_s[i] = ends_s[i];
	add_state(t, k, &s);
}

static void renew(struct test *t, struct token *k)
{
	struct state s = *newest(k);
	uint64_t span_s = below(t, 3) ? 3600 : 1 + below(t, 3);
	char span[24];
	const char *const args[] = {"renew", k->id,	  "--expires",
				    span,    "--shorten", NULL};

	snprintf(span, sizeof(span), "%us", (unsigned)span_s);
	if (!run_verb(t, &s, args))
		return;
	moments(&s, span_s, s.expires_s);
	add_state(t, k, &s);
}

static void suspend_or_resume(struct test *t, struct token *k)
{
	struct state s = *newest(k);
	const char *const args[] = {s.suspended ? "resume" : "suspend", k->id,
				    NULL};

	if (!run_verb(t, &s, args))
		return;
	s.suspended = !s.suspended;
	add_state(t, k, &s);
}

static void set(struct test *t, struct token *k)
{
	struct state s = *newest(k);
	unsigned plan = (unsigned)below(t, PLANS + 1);
	char name[8] = "none";
	const char *const args[] = {"set", k->id, "--plan", name, NULL};

	if (plan < PLANS)
		snprintf(name, sizeof(name), "p%u", plan);
	if (!run_verb(t, &s, args))
		return;
	k->plan = plan;
	s.limit = plan < PLANS ? t->limit_of[plan] : 0;
	add_state(t, k, &s);
}

/* For everybody who has it, and to another number than before. */
static void change_plan(struct test *t)
{
	unsigned plan = (unsigned)below(t, PLANS);
	uint8_t limit = (uint8_t)(1 + below(t, LIMITS - 1));
	char name[8], burst[8];
	const char *const args[] = {"plan",	"set",	   name,  "--rate",
				    "100000/s", "--burst", burst, NULL};
	struct state s = {0};

	snprintf(name, sizeof(name), "p%u", plan);
	snprintf(burst, sizeof(burst), "%d", limits[limit]);
	if (!run_verb(t, &s, args))
		return;
	t->limit_of[plan] = limit;
	for (unsigned i = 0; i < TOKENS; i++) {
		struct token *k = &t->tokens[i];
		struct state of = k->n_states ? *newest(k) : s;

		if (k->plan != plan || !k->n_states)
			continue;
		of.start_ns = s.start_ns;
		of.exit_ns = s.exit_ns;
		of.verb = "plan set";
		of.limit = limit;
		add_state(t, k, &of);
	}
}

/* The quota of the second of those asked for in earnest. */
static void change_quota(struct test *t)
{
	const char *const args[] = {"plan",
				    "set",
				    "quota",
				    "--quota",
				    below(t, 2) ? "4000/1min" : "2000/1min",
				    NULL};
	struct state s;

	run_verb(t, &s, args);
}

static void revoke_one(struct test *t, struct token *k)
{
	struct state s = *newest(k);
	const char *const args[] = {"revoke", k->id, NULL};

	if (!run_verb(t, &s, args))
		return;
	s.revoked = true;
	add_state(t, k, &s);
}

static void change(struct test *t)
{
	struct token *k = &t->tokens[below(t, TOKENS)];
	uint64_t what = below(t, 64);

	if (what < 4)
		change_plan(t);
	else if (what < 6)
		change_quota(t);
	else if (newest(k)->revoked)
		return;
	else if (what < 24)
		rotate(t, k);
	else if (what < 28)
		finish(t, k);
	else if (what < 40)
		renew(t, k);
	else if (what < 52)
		suspend_or_resume(t, k);
	else if (what < 63)
		set(t, k);
	else if (below(t, 32) == 0) /* final: some must be left */
		revoke_one(t, k);
}

/* ---- the checker ---- */

static bool may_be_before(uint64_t from_ns, uint64_t latest_s)
{
	uint64_t from = from_ns > EARLY_NS ? from_ns - EARLY_NS : 0;

	return from / STRESS_NS_PER_S < latest_s;
}

static bool may_be_over(uint64_t until_ns, uint64_t earliest_s)
{
	return until_ns / STRESS_NS_PER_S >= earliest_s;
}

/* Does S allow that, somewhen between FROM and UNTIL? */
static bool allows(const struct state *s, const struct answer *a,
		   uint64_t from_ns, uint64_t until_ns)
{
	bool is_old = (int)a->value == s->old && (int)a->value != s->value;
	uint64_t ends_s[2] = {s->expires_s[0], s->expires_s[1]};

	for (unsigned i = 0; i < 2 && is_old; i++)
		if (s->old_until_s[i] < ends_s[i])
			ends_s[i] = s->old_until_s[i];
	/* one replaced twice is forgotten */
	if ((int)a->value != s->value && !is_old)
		return a->word == UNKNOWN;
	if (is_old && may_be_over(until_ns, ends_s[0]) &&
	    (a->word == REVOKED || a->word == UNKNOWN))
		return true;
	if (is_old && !may_be_before(from_ns, ends_s[1]))
		return false;
	if (s->revoked)
		return a->word == REVOKED;
	if (s->suspended)
		return a->word == SUSPENDED;
	if (!is_old && may_be_over(until_ns, ends_s[0]) && a->word == EXPIRED)
		return true;
	return a->word == VALID && a->limit == s->limit &&
	       may_be_before(from_ns, ends_s[1]);
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The last state whose command was started by then. */
static uint64_t state_at(const struct token *k, uint64_t ns)
{
	uint64_t low = 0, high = k->n_states;

	while (high - low > 1) {
		uint64_t mid = (low + high) / 2;

		if (k->states[mid].start_ns <= ns)
			low = mid;
		else
			high = mid;
	}
	return low;
}

static void check_one(struct test *t, const struct batch *b,
		      const struct answer *a)
{
	const struct token *k = &t->tokens[a->token];
	uint64_t last = state_at(k, b->received_ns);
	const struct state *s;

	for (uint64_t i = last + 1; i-- > 0;) {
		uint64_t until_ns =
			i + 1 < k->n_states ? k->states[i + 1].exit_ns : NEVER;

		s = &k->states[i];
		if (until_ns < b->sent_ns)
			break;
		if (allows(s, a, later(b->sent_ns, s->start_ns),
			   earlier(b->received_ns, until_ns)))
			return;
	}
	s = &k->states[last];
	stress_fail(t->s,
		    "%s value %u: %s limit %d, sent %" PRIu64
		    " received %" PRIu64 "; state %" PRIu64 " by %s %" PRIu64
		    "..%" PRIu64 ": value %d old %d until %" PRIu64
		    ", expires %" PRIu64 ", limit %d%s%s",
		    k->id, a->value, words[a->word],
		    a->limit < LIMITS ? limits[a->limit] : -2, b->sent_ns,
		    b->received_ns, last, s->verb, s->start_ns, s->exit_ns,
		    s->value, s->old, s->old_until_s[1], s->expires_s[1],
		    limits[s->limit], s->suspended ? ", suspended" : "",
		    s->revoked ? ", revoked" : "");
}

/* What was said of a quota in one minute. */
struct window {
	uint64_t certain, possible; /* admitted */
	uint64_t refused_ns;	    /* since when somebody knew */
	uint64_t refusals;
};

static void for_all(struct test *t,
		    void (*visit)(struct test *t, const struct batch *b,
				  void *arg),
		    void *arg)
{
	for (unsigned c = 0; c < CLIENTS; c++) {
		uint64_t n = jt_load_acquire(&t->rings[c]->n);

		for (uint64_t i = 0; i < n; i++)
			visit(t, &t->rings[c]->batches[i], arg);
	}
}

static void check_batch(struct test *t, const struct batch *b, void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < BATCH; i++) {
		t->seen[b->answers[i].word]++;
		if (b->answers[i].token < TOKENS)
			check_one(t, b, &b->answers[i]);
	}
	stress_count(t->s, BATCH);
}

struct quota {
	uint64_t first; /* minute */
	unsigned which;
	struct window windows[WINDOWS];
};

static void count_quota(struct test *t, const struct batch *b, void *arg)
{
	struct quota *q = arg;
	uint64_t from = b->sent_ns / MINUTE_NS - q->first;
	uint64_t until = b->received_ns / MINUTE_NS - q->first;

	(void)t;
	for (unsigned i = q->which; i < SPENT; i += 2) {
		bool valid = b->answers[i].word == VALID;

		for (uint64_t w = from; w <= until && w < WINDOWS; w++) {
			struct window *win = &q->windows[w];

			win->possible += valid;
			win->certain += valid && from == until;
			win->refusals += !valid;
			if (!valid && from == until)
				win->refused_ns = earlier(win->refused_ns,
							  b->received_ns);
		}
	}
}

static void check_refused(struct test *t, const struct batch *b, void *arg)
{
	const struct quota *q = arg;
	uint64_t w = b->sent_ns / MINUTE_NS - q->first;

	if (b->received_ns / MINUTE_NS - q->first != w || w >= WINDOWS)
		return;
	for (unsigned i = q->which; i < SPENT; i += 2)
		if (b->answers[i].word == VALID &&
		    b->sent_ns > q->windows[w].refused_ns)
			stress_fail(t->s,
				    "quota %u admits after it refused in "
				    "window %" PRIu64,
				    q->which, w);
}

static void check_quota(struct test *t, uint64_t first, unsigned which)
{
	struct quota q = {.first = first, .which = which};

	for (unsigned w = 0; w < WINDOWS; w++)
		q.windows[w].refused_ns = NEVER;
	for_all(t, count_quota, &q);
	if (which == 0)
		for_all(t, check_refused, &q);
	for (unsigned w = 0; w < WINDOWS; w++) {
		const struct window *win = &q.windows[w];

		if (win->certain > QUOTA)
			stress_fail(t->s,
				    "quota %u: %" PRIu64 " admitted in window "
				    "%u",
				    which, win->certain, w);
		if (which == 0 && win->refusals && win->possible < QUOTA &&
		    win->refused_ns != NEVER)
			stress_fail(t->s,
				    "quota refuses after %" PRIu64
				    " in window %u",
				    win->possible, w);
	}
	if (!q.windows[0].refusals || !q.windows[1].certain)
		stress_fail(t->s, "quota %u: nothing was seen of its roll-over",
			    which);
}

/* ---- set-up ---- */

static void create(struct test *t, const char *option, const char *value)
{
	const char *const args[] = {"create", "x",   "--expires", "3600s",
				    option,   value, NULL};
	struct state s;

	if (!run_verb(t, &s, args)) {
		live_print_log(&t->live);
		stress_die("jeton create", 1);
	}
}

static void create_token(struct test *t, struct token *k)
{
	struct state s = {.value = 0, .old = -1, .verb = "create"};

	s.start_ns = now_ns();
	create(t, "--owner", "history");
	s.exit_ns = now_ns();
	k->plan = PLANS;
	moments(&s, 3600, s.expires_s);
	add_state(t, k, &s);
	if (!publish(t, k))
		stress_die("read a value", -EIO);
}

static void create_spent(struct test *t, unsigned i, const char *option,
			 const char *value)
{
	char text[JT_TOKEN_BYTES + 2] = "";
	FILE *f;

	create(t, option, value);
	f = fopen(t->out, "re");
	if (!f || !fgets(text, sizeof(text), f))
		stress_die("read a value", -EIO);
	fclose(f);
	memcpy(t->spent_ids[i], text, JT_PUBLIC_BYTES);
	live_request(text, t->spent[i]);
}

static void set_up(struct test *t)
{
	snprintf(t->out, sizeof(t->out), "%s/out", t->live.dir);
	t->tokens = stress_shared(TOKENS * sizeof(*t->tokens));
	for (unsigned i = 0; i < CLIENTS; i++)
		t->rings[i] = stress_shared(sizeof(*t->rings[i]));
	for (unsigned i = 0; i < 16; i++)
		change_plan(t);
	change_quota(t);
	for (unsigned i = 0; i < TOKENS; i++)
		create_token(t, &t->tokens[i]);
	create_spent(t, 0, "--quota", "4000/1min");
	create_spent(t, 1, "--plan", "quota");
}

/* Over the end of a minute, and some time on both of its sides. */
static void choose_end(struct test *t, uint64_t asked_s)
{
	uint64_t in_minute_s = now_ns() / STRESS_NS_PER_S % 60;
	uint64_t seconds = 60 - in_minute_s + 5;

	if (seconds < LEAST_S)
		seconds += 60;
	if (asked_s > seconds)
		seconds = asked_s;
	t->s->until_ns = stress_now_ns() + seconds * STRESS_NS_PER_S;
	printf("stress_changes: %" PRIu64 " s, over the end of a minute\n",
	       seconds);
	fflush(stdout);
}

static void run(struct test *t)
{
	static const char *const args[] = {"journal", "check", NULL};
	struct stress_hand hands[CLIENTS];
	uint64_t first, values = 0;

	choose_end(t, t->s->seconds);
	first = now_ns() / MINUTE_NS;
	stress_start(t->s, hands, CLIENTS, t, client);
	while (stress_goes_on(t->s) &&
	       jt_load_relaxed(&t->s->score->failures) < STRESS_LINES_MAX)
		change(t);
	stress_stop(t->s);
	stress_join(t->s, hands, CLIENTS);
	for_all(t, check_batch, NULL);
	check_quota(t, first, 0);
	check_quota(t, first, 1);
	for (unsigned i = 0; i < TOKENS; i++)
		values += jt_load_relaxed(&t->tokens[i].n_values); /* ended */
	printf("stress_changes: %" PRIu64 " changes, longest %.1f ms, %" PRIu64
	       " values\nstress_changes:",
	       t->changes, (double)t->slow_ns / 1e6, values);
	for (unsigned w = VALID; w <= OTHER; w++)
		printf(" %" PRIu64 " %s%s", t->seen[w], words[w],
		       w < OTHER ? "," : "\n");
	for (unsigned w = VALID; w < OTHER; w++)
		if (!t->seen[w])
			stress_fail(t->s, "nobody was told %s", words[w]);
	if (live_jeton(&t->live, NULL, args) != 0)
		stress_fail(t->s, "jeton journal check is not content");
}

int main(int argc, char **argv)
{
	struct test *t = stress_shared(sizeof(*t));
	const struct stress_option options[] = {
		{"--pause-us", &t->pause_us, NULL},
		{0},
	};
	struct stress s;

	t->pause_us = 500;
	stress_begin(&s, "stress_changes", LEAST_S, argc, argv, options);
	s.processes = true;
	t->s = &s;
	t->random = stress_mix(s.seed);
	live_begin(&t->live, &s, argv[0], LIVE_KILL_NONE);
	set_up(t);
	run(t);
	live_end(&t->live);
	return stress_end(&s);
}
