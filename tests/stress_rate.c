/*
 * stress_rate: a rate is exact over all workers.
 *
 * A token of 100/s with a burst of 10; four client processes ask for it without
 * pause through two workers. With t from the first send to the last reply, at
 * most 10 + 100 t may be admitted and at least 99 % of that must be. Every
 * refusal must name a wait that ends when the next request fits, and every
 * answer stay within the limit; both workers must have had clients.
 */
#include "tests/stress_live.h"

#define CLIENTS 4u
#define RATE 100u
#define BURST 10u
#define STEP_MS (1000u / RATE)

struct test {
	struct stress *s;
	struct live live;
	char request[LIVE_REQUEST];
	_Atomic uint64_t admitted, refused, first_ns, last_ns;
};

enum element {
	LIMIT = 4,
	REMAINING = 5,
	RESET_MS = 6,
	RETRY_MS = 7
};

static bool is_number(const redisReply *r, enum element e, long long least,
		      long long most)
{
	const redisReply *n = r->element[e];

	return n->type == REDIS_REPLY_INTEGER && n->integer >= least &&
	       n->integer <= most;
}

static bool is_within(const redisReply *r, bool admitted)
{
	return is_number(r, LIMIT, BURST, BURST) &&
	       is_number(r, REMAINING, 0, admitted ? BURST - 1 : 0) &&
	       is_number(r, RESET_MS, 1, BURST * STEP_MS) &&
	       is_number(r, RETRY_MS, !admitted, admitted ? 0 : STEP_MS);
}

static void count(struct test *t, const redisReply *r)
{
	const char *word = live_word(r);
	bool admitted = word && strcmp(word, "VALID") == 0;

	stress_count(t->s, 1);
	if (!admitted && (!word || strcmp(word, "RATE_LIMITED") != 0)) {
		stress_fail(t->s, "the answer is %s", word ? word : "?");
		return;
	}
	if (!is_within(r, admitted))
		stress_fail(t->s,
			    "%s with limit %lld remaining %lld reset %lld "
			    "retry %lld",
			    word, r->element[LIMIT]->integer,
			    r->element[REMAINING]->integer,
			    r->element[RESET_MS]->integer,
			    r->element[RETRY_MS]->integer);
	/* relaxed: sums, read when all clients have ended */
	jt_add_relaxed(admitted ? &t->admitted : &t->refused, 1);
}

/* The span of all clients: first send, last reply. */
static void widen(struct test *t, uint64_t sent_ns, uint64_t received_ns)
{
	uint64_t first_ns = jt_load_relaxed(&t->first_ns); /* relaxed: sums */
	uint64_t last_ns = jt_load_relaxed(&t->last_ns);

	while (sent_ns < first_ns &&
	       !jt_swap_if(&t->first_ns, &first_ns, sent_ns))
		;
	while (received_ns > last_ns &&
	       !jt_swap_if(&t->last_ns, &last_ns, received_ns))
		;
}

static void client(struct stress_hand *hand)
{
	struct test *t = hand->ctx;
	redisContext *c = live_connect(&t->live);
	redisReply *r;

	if (!c)
		stress_fail(t->s, "client %u cannot connect", hand->number);
	while (c && stress_goes_on(t->s)) {
		uint64_t sent_ns = stress_now_ns();

		redisAppendFormattedCommand(c, t->request, LIVE_REQUEST);
		if (redisGetReply(c, (void **)&r) != REDIS_OK) {
			stress_fail(t->s, "client %u lost its connection: %s",
				    hand->number, c->errstr);
			break;
		}
		widen(t, sent_ns, stress_now_ns());
		count(t, r);
		freeReplyObject(r);
	}
	if (c)
		redisFree(c);
}

static void create_token(struct test *t)
{
	static const char *const args[] = {"create",  "limited", "--rate",
					   "100/s",   "--burst", "10",
					   "--owner", "stress",	 NULL};
	char path[96], value[JT_TOKEN_BYTES];
	FILE *f;

	snprintf(path, sizeof(path), "%s/token", t->live.dir);
	if (live_jeton(&t->live, path, args) != 0) {
		live_print_log(&t->live);
		stress_die("jeton create", 1);
	}
	f = fopen(path, "re");
	if (!f || fread(value, 1, sizeof(value), f) != sizeof(value))
		stress_die("read the token", -EIO);
	fclose(f);
	live_request(value, t->request);
}

static void check_workers(const struct test *t)
{
	json_t *status = live_status(&t->live), *w;
	size_t i;

	json_array_foreach(json_object_get(status, "workers"), i, w)
	{
		json_int_t n =
			json_integer_value(json_object_get(w, "accepted"));

		/* nobody was sent to the HTTP door */
		if (i == (size_t)atoi(LIVE_WORKERS))
			break;
		printf("stress_rate: worker %zu had %lld clients\n", i,
		       (long long)n);
		if (n == 0)
			stress_fail(t->s, "worker %zu had no client", i);
	}
	json_decref(status);
}

static void judge(const struct test *t)
{
	uint64_t t_ns = t->last_ns - t->first_ns;
	uint64_t most = BURST + t_ns / (STRESS_NS_PER_S / RATE);

	printf("stress_rate: %" PRIu64 " admitted of %" PRIu64
	       " allowed in %.3f s, %" PRIu64 " refused\n",
	       t->admitted, most, (double)t_ns / 1e9, t->refused);
	if (t->admitted > most)
		stress_fail(t->s, "more was admitted than allowed");
	if (t->admitted * 100 < most * 99)
		stress_fail(t->s, "less than 99 %% of it was admitted");
}

int main(int argc, char **argv)
{
	struct test *t = stress_shared(sizeof(*t));
	struct stress_hand hands[CLIENTS];
	struct stress s;

	stress_begin(&s, "stress_rate", 10, argc, argv, NULL);
	s.processes = true;
	t->s = &s;
	t->first_ns = UINT64_MAX;
	live_begin(&t->live, &s, argv[0], LIVE_KILL_NONE);
	create_token(t);
	s.until_ns = stress_now_ns() + s.seconds * STRESS_NS_PER_S;
	stress_start(&s, hands, CLIENTS, t, client);
	stress_join(&s, hands, CLIENTS);
	check_workers(t);
	judge(t);
	live_end(&t->live);
	return stress_end(&s);
}
