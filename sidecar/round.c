/*
 * round: see round.h.
 *
 * Nothing is kept from one round to the next: a verdict is made from state
 * that is loaded after the request's bytes were received, written out, and
 * forgotten. Arguments point into the connections' input buffers, which stay
 * as they are until flush consumes them.
 *
 * Bounds. A connection is taken while its commands are under
 * JT_ROUND_COMMANDS and their largest replies fit its output buffer; what is
 * left waits for the next round. A single MVERIFY may exceed the count, never
 * the buffer. Every arena holds the largest command beyond the mark at which a
 * flush is asked for.
 *
 * A value of another system is hashed whole, and only then shows whether it is
 * known. So a value counts by its length: as one command, and one more for each
 * VALUE_BYTES. Who sends values of 4 KiB has no more bytes hashed in a round
 * than who sends short ones; one of ours, of 64 bytes, is one command.
 */
#include "sidecar/round.h"

#include "sidecar/command_table.h"
#include "sidecar/stats.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define ASKS_MARK 512u
#define ASKS_MAX (ASKS_MARK + JT_ASK_TOKENS_MAX + JT_ROUND_COMMANDS)
#define OPS_MARK 1024u
#define OPS_MAX (OPS_MARK + JT_ROUND_COMMANDS + 1u)
#define ARGS_MAX                                                               \
	(OPS_MARK * 4u + JT_ROUND_COMMANDS * JT_RESP_ARGS_MAX +                \
	 JT_RESP_BATCH_MAX)
#define ARGS_MARK (OPS_MARK * 4u)
#define SCOPES_MAX (ARGS_MARK + (JT_ROUND_COMMANDS + 1) * JT_ASK_SCOPES_MAX)
#define TAKEN_MAX OPS_MAX
#define ARRAY_BYTES 16u /* header of MVERIFY's reply */
#define VALUE_BYTES 256u
/* An MVERIFY that counts more goes first in its round; no inline one does. */
#define BEHIND_MAX (JT_RESP_ARGS_MAX + JT_RESP_INLINE_MAX / VALUE_BYTES)

static_assert(ARRAY_BYTES + JT_ASK_TOKENS_MAX * JT_VERDICT_MAX <=
		      JT_CONN_OUT_BYTES,
	      "the largest MVERIFY's reply fits");
static_assert(ARRAY_BYTES + JT_RESP_ARGS_MAX * JT_VERDICT_MAX <=
		      JT_REPLY_MAX + JT_VERDICT_MAX,
	      "so does a small one behind other commands");
static_assert(JT_OTHER_BYTES_MAX == JT_RESP_BULK_MAX,
	      "whatever can be sent can have been imported");
static_assert(JT_TOKEN_BYTES < VALUE_BYTES, "one of ours is one command");

enum kind {
	OP_RUN,
	OP_VERIFY,
	OP_MVERIFY,
	OP_SHUT_OUT,
	OP_BAD_ASK,
	OP_BROKEN,
};

struct op {
	enum kind kind;
	int error;	/* OP_BAD_ASK */
	uint32_t first; /* of args, or of asks */
	uint32_t n;
};

/* What one connection has had of this round, replies at their largest. */
struct share {
	uint32_t commands, bytes;
};

struct taken {
	struct jt_conn *conn;
	const struct jt_rule *rule;
	const char *shut_out; /* the error for whatever it asks; NULL: none */
	uint32_t first_op, n_ops;
	uint32_t consumed;
	bool more;
};

struct jt_round {
	const struct jt_maps *maps;
	struct jt_memo *memo;
	struct jt_desk *desk;
	struct jt_peers *peers;
	struct jt_service *service;
	struct jt_refusals *refusals; /* NULL: not wanted */
	struct jt_now now;
	uint64_t n_verdicts; /* since it began */
	uint64_t applied;    /* by when the verdicts of this flush were made */
	struct jt_command_kept kept;
	uint32_t n_ops, n_args, n_asks, n_scopes, n_taken;
	struct op ops[OPS_MAX];
	struct jt_bytes args[ARGS_MAX];
	struct jt_bytes scopes[SCOPES_MAX];
	struct jt_ask asks[ASKS_MAX];
	struct jt_verdict verdicts[ASKS_MAX];
	struct taken taken[TAKEN_MAX];
};

struct jt_round *jt_round_new(const struct jt_maps *maps, struct jt_memo *memo,
			      struct jt_desk *desk, struct jt_peers *peers,
			      struct jt_service *service)
{
	struct jt_round *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->maps = maps;
	r->memo = memo;
	r->desk = desk;
	r->peers = peers;
	r->service = service;
	return r;
}

void jt_round_free(struct jt_round *round)
{
	free(round);
}

void jt_round_watch(struct jt_round *round, struct jt_refusals *refusals)
{
	round->refusals = refusals;
}

void jt_round_begin(struct jt_round *round, struct jt_now now)
{
	assert(round->n_taken == 0);
	round->now = now;
	round->n_verdicts = 0;
	round->service->now_ns = now.boot_ns;
}

/* Upper bound of the reply to a command that is run at once. */
static uint32_t run_bytes(const struct jt_bytes *args, size_t n)
{
	uint32_t bytes = 64;

	if (!jt_command_is(args[0], "ping") && !jt_command_is(args[0], "echo"))
		return JT_REPLY_MAX;
	for (size_t i = 1; i < n; i++)
		bytes += args[i].bytes;
	return bytes;
}

static struct op *add(struct jt_round *r, enum kind kind, uint32_t first,
		      size_t n)
{
	struct op *op = &r->ops[r->n_ops++];

	*op = (struct op){.kind = kind, .first = first, .n = (uint32_t)n};
	return op;
}

/* What of an ask is not the command's but the caller's. */
static void set_caller(const struct taken *t, struct jt_ask *ask)
{
	ask->by = jt_caller_by(&t->conn->caller);
	if (t->rule->n_envs)
		jt_peers_confine(ask, t->rule);
}

/* Queue the tokens of a VERIFY or MVERIFY as asks. */
static void queue_asks(struct jt_round *r, const struct taken *t,
		       enum jt_command_class class, const struct jt_bytes *args,
		       size_t n_args)
{
	const struct jt_bytes *tokens;
	struct jt_ask ask;
	size_t n;
	int rc;

	if (t->shut_out) {
		add(r, OP_SHUT_OUT, 0, 0);
		return;
	}
	rc = jt_command_ask(class, args, n_args, &r->scopes[r->n_scopes], &ask,
			    &tokens, &n);
	if (rc) {
		add(r, OP_BAD_ASK, 0, 0)->error = rc;
		return;
	}
	add(r, class == JT_COMMAND_VERIFY ? OP_VERIFY : OP_MVERIFY, r->n_asks,
	    n);
	r->n_scopes += ask.n_scopes;
	set_caller(t, &ask);
	for (size_t i = 0; i < n; i++) {
		ask.token = tokens[i];
		r->asks[r->n_asks++] = ask;
	}
}

/* What a VERIFY or MVERIFY counts: an argument is one, and its length. */
static uint32_t weight(const struct jt_bytes *args, size_t n)
{
	uint32_t sum = (uint32_t)n;

	for (size_t i = 0; i < n; i++)
		sum += args[i].bytes / VALUE_BYTES;
	return sum;
}

/*
 * Queue one parsed command that stands in r->args behind n_args. False: a
 * large MVERIFY behind other commands; it gets the next round, and was not
 * queued (nor changed: only inline commands are, and those are small).
 */
static bool queue(struct jt_round *r, const struct taken *t, size_t n_args,
		  struct share *s)
{
	const struct jt_bytes *args = &r->args[r->n_args];
	enum jt_command_class class = jt_command_classify(args, n_args);
	uint32_t counts;

	switch (class) {
	case JT_COMMAND_SKIP:
		return true;
	case JT_COMMAND_MVERIFY:
		counts = weight(args, n_args);
		if ((n_args > JT_RESP_ARGS_MAX || counts > BEHIND_MAX) &&
		    s->commands)
			return false;
		s->commands += counts;
		s->bytes += ARRAY_BYTES + JT_VERDICT_MAX * (uint32_t)n_args;
		queue_asks(r, t, class, args, n_args);
		return true;
	case JT_COMMAND_VERIFY:
		s->commands += weight(&args[1], 1);
		s->bytes += JT_VERDICT_MAX;
		queue_asks(r, t, class, args, n_args);
		return true;
	case JT_COMMAND_LOCAL:
	case JT_COMMAND_ERROR:
		break;
	}
	/* what is not looked at spends nothing */
	s->commands += jt_command_ends(args, n_args) ? JT_ROUND_COMMANDS : 1;
	s->bytes += run_bytes(args, n_args);
	add(r, OP_RUN, r->n_args, n_args);
	r->n_args += (uint32_t)n_args;
	return true;
}

/*
 * The next command if it is a plain VERIFY that is there as a whole, with the
 * same outcome as by the long way.
 */
static bool take_plain(struct jt_round *r, struct taken *t, struct share *s)
{
	const struct jt_conn *c = t->conn;
	struct jt_bytes token;
	struct jt_ask *ask;
	uint32_t used;

	if (t->shut_out || !jt_resp_is_idle(&c->parser))
		return false;
	used = jt_command_plain(c->in + t->consumed, c->in_len - t->consumed,
				&token);
	if (!used)
		return false;
	s->commands++;
	s->bytes += JT_VERDICT_MAX;
	add(r, OP_VERIFY, r->n_asks, 1);
	/* in its place: it is not to be copied */
	ask = &r->asks[r->n_asks++];
	memset(ask, 0, sizeof(*ask));
	ask->token.at = token.at;
	ask->token.bytes = token.bytes;
	ask->cost = 1;
	set_caller(t, ask);
	t->consumed += used;
	return true;
}

/* True: stop taking from this connection. */
static bool take_one(struct jt_round *r, struct taken *t, struct share *s)
{
	struct jt_conn *c = t->conn;
	size_t n_args, used;

	if (t->consumed == c->in_len)
		return true;
	if (s->commands >= JT_ROUND_COMMANDS ||
	    s->bytes + JT_REPLY_MAX > JT_CONN_OUT_BYTES) {
		t->more = true;
		return true;
	}
	if (take_plain(r, t, s))
		return false;
	switch (jt_resp_parse(&c->parser, c->in + t->consumed,
			      c->in_len - t->consumed, &r->args[r->n_args],
			      &n_args, &used)) {
	case JT_RESP_MORE:
		return true;
	case JT_RESP_BROKEN:
		add(r, OP_BROKEN, 0, 0);
		t->consumed = c->in_len;
		return true;
	case JT_RESP_COMMAND:
		break;
	}
	if (!queue(r, t, n_args, s)) {
		t->more = true;
		return true;
	}
	t->consumed += (uint32_t)used;
	return false;
}

/* What it hears instead of verdicts, if it may not have any now. */
static const char *shut_out(const struct jt_round *r, const struct taken *t)
{
	if (!t->rule->verify)
		return JT_ERROR_NOPERM;
	if (t->rule->refusals_per_s &&
	    jt_peers_spent(r->peers, &t->conn->caller, r->now))
		return JT_ERROR_REFUSALS;
	return NULL;
}

bool jt_round_take(struct jt_round *round, struct jt_conn *conn)
{
	struct taken *t = &round->taken[round->n_taken++];
	struct share s = {0};

	*t = (struct taken){.conn = conn, .first_op = round->n_ops};
	t->rule = jt_peers_rule(round->peers, &conn->caller);
	t->shut_out = shut_out(round, t);
	conn->shut_out = t->shut_out != NULL;
	while (!take_one(round, t, &s))
		;
	t->n_ops = round->n_ops - t->first_op;
	return round->n_asks >= ASKS_MARK || round->n_ops >= OPS_MARK ||
	       round->n_args >= ARGS_MARK || round->n_scopes >= ARGS_MARK ||
	       round->n_taken == TAKEN_MAX;
}

static void put_verdicts(struct jt_round *r, const struct taken *t,
			 const struct op *op, struct jt_peer_share *had,
			 struct jt_out *out)
{
	struct jt_verdict *v = &r->verdicts[op->first];

	if (v->word == JT_LOADING) {
		jt_out_error(out, JT_ERROR_LOADING);
		return;
	}
	if (op->kind == OP_MVERIFY)
		jt_out_array(out, op->n);
	for (uint32_t i = 0; i < op->n; i++) {
		if (!t->rule->see_owner)
			v[i].owner.bytes = 0;
		had->admitted += v[i].word == JT_VALID;
		jt_command_verdict(out, &v[i], r->applied, &r->kept);
	}
	had->refused += op->n; /* less those admitted: see answer() */
}

static void put(struct jt_round *r, const struct taken *t, const struct op *op,
		struct jt_peer_share *had, struct jt_out *out)
{
	struct jt_conn *c = t->conn;
	bool error = true;

	switch (op->kind) {
	case OP_VERIFY:
	case OP_MVERIFY:
		put_verdicts(r, t, op, had, out);
		error = false;
		break;
	case OP_RUN:
		c->told = true; /* PING and ECHO do */
		error = jt_command_run(&c->client, r->service,
				       &r->args[op->first], op->n, out);
		break;
	case OP_SHUT_OUT:
		jt_out_error(out, t->shut_out);
		had->busy++;
		break;
	case OP_BAD_ASK:
		jt_out_error(out, jt_command_ask_error(op->error));
		break;
	case OP_BROKEN:
		jt_out_error(out, c->parser.error);
		break;
	}
	if (error)
		jt_count(&r->desk->errors, 1);
}

static void answer(struct jt_round *r, const struct taken *t)
{
	struct jt_conn *c = t->conn;
	struct jt_out out = {
		.buf = c->out + c->out_len,
		.cap = JT_CONN_OUT_BYTES - c->out_len,
		.proto = c->client.proto,
	};
	struct jt_peer_share had = {0};
	bool broken = false;

	r->service->rule = t->rule;
	for (uint32_t i = 0; i < t->n_ops && !c->client.quit; i++) {
		const struct op *op = &r->ops[t->first_op + i];

		out.proto = c->client.proto;
		put(r, t, op, &had, &out);
		broken = op->kind == OP_BROKEN;
	}
	assert(!out.overflow); /* queue() made sure of the room */
	jt_conn_consumed(c, t->consumed, t->more, r->now.boot_ns);
	jt_conn_replied(c, (uint32_t)out.len, r->now.boot_ns);
	jt_conn_shut_out(c, had.busy);
	if (!t->rule->verify)
		had.busy = 0; /* NOPERM is not for now only */
	had.refused -= had.admitted;
	jt_peers_tell(r->peers, &c->caller, &had, r->now);
	if (broken)
		jt_conn_finish(c, JT_END_PROTOCOL);
	else if (c->client.quit)
		jt_conn_finish(c, JT_END_QUIT);
}

void jt_round_flush(struct jt_round *round)
{
	struct jt_tally tally = {0};

	/* before the verdicts: they may know more than it says, never less;
	 * pairs with the store in apply_chunk() */
	round->applied = jt_load_acquire(&round->maps->identity->applied);
	jt_verify(round->maps, round->memo, round->asks, round->verdicts,
		  round->n_asks, round->now, &tally);
	if (round->refusals && tally.words[JT_VALID] != round->n_asks)
		jt_refusals_take(round->refusals, &tally, round->asks,
				 round->verdicts, round->now.boot_ns);
	for (uint32_t i = 0; i < round->n_taken; i++)
		answer(round, &round->taken[i]);
	jt_stats_tell(round->desk, &tally, round->n_ops);
	round->n_verdicts += round->n_asks;
	round->n_ops = round->n_args = round->n_asks = 0;
	round->n_scopes = round->n_taken = 0;
}

uint64_t jt_round_verdicts(const struct jt_round *round)
{
	return round->n_verdicts;
}
