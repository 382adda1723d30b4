/* round: many commands at once answer like one after the other. */
#include "sidecar/round.h"

#include "tests/help_table.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define S 1000000000ull
#define CONNS 8u
#define TEXT_MAX (4u << 20)

/* What was typed and what was answered, of one connection. */
struct talk {
	char *typed, *heard;
	size_t n_typed, n_taken, n_heard;
	bool closed;
	enum jt_conn_end end;
	uint64_t rounds; /* in which it was taken */
};

struct rig {
	struct help_table table;
	struct jt_desk desk;
	struct jt_peers peers;
	struct jt_service service;
	struct jt_round *round;
	struct jt_conn conns[CONNS];
	struct talk talks[CONNS];
	bool loading;
	uint64_t flushes;
};

static struct rig one, two;
static struct jt_now now = {HELP_NOW_S, HELP_BOOT_NS};
static uint64_t seed = 12;

static bool loading(void *ctx)
{
	const struct rig *r = ctx;

	return r->loading;
}

static void stats(void *ctx, struct jt_stats *s)
{
	s->tokens = 3;
}

static size_t clients(void *ctx, char *buf, size_t max)
{
	const struct rig *r = ctx;

	return jt_client_line(&r->conns[0].client, "NULL", 0, buf, max);
}

static unsigned peers(void *ctx, struct jt_peer_row rows[JT_PEERS_MAX])
{
	const struct rig *r = ctx;

	return jt_peers_sum(&r->table.reader, rows);
}

static void rig_open(struct rig *r, unsigned i)
{
	struct talk *t = &r->talks[i];

	t->n_typed = t->n_taken = t->n_heard = 0;
	t->closed = false;
	t->rounds = 0;
	jt_conn_open(&r->conns[i], 7, i + 1, now.boot_ns);
	/* two to a user */
	r->conns[i].caller = (struct jt_caller){
		.fd = -1, .uid = 1000 + i / 2, .number = 1 + i / 2};
}

static void rig_new(struct rig *r)
{
	help_table_new(&r->table, 256);
	help_rate(&r->table, 1, S, 100);
	jt_store_seq(&r->table.maps.identity_rw->applied, 77);
	r->service = (struct jt_service){
		.ctx = r,
		.loading = loading,
		.stats = stats,
		.clients = clients,
		.peers = peers,
	};
	jt_peers_init(&r->peers, &r->table.reader, 3);
	r->round = jt_round_new(&r->table.reader, NULL, &r->desk, &r->peers,
				&r->service);
	cr_assert_not_null(r->round);
	for (unsigned i = 0; i < CONNS; i++) {
		r->conns[i].in = malloc(JT_CONN_IN_BYTES);
		r->conns[i].out = malloc(JT_CONN_OUT_BYTES);
		r->talks[i].typed = malloc(TEXT_MAX);
		r->talks[i].heard = malloc(TEXT_MAX);
		rig_open(r, i);
	}
}

static void type_bytes(struct rig *r, unsigned i, const void *at, size_t n)
{
	struct talk *t = &r->talks[i];

	cr_assert_leq(t->n_typed + n, TEXT_MAX);
	memcpy(t->typed + t->n_typed, at, n);
	t->n_typed += n;
}

__attribute__((format(printf, 3, 4))) static void
type(struct rig *r, unsigned i, const char *format, ...)
{
	static char line[70000];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	cr_assert(n >= 0 && (size_t)n < sizeof(line));
	type_bytes(r, i, line, (size_t)n);
}

/* How much of what was typed arrives at once. */
static size_t whole(size_t there)
{
	return there;
}

static size_t split(size_t there)
{
	uint64_t r = help_random(&seed);

	return r & 3 ? (r >> 8) % (there < 300 ? there : 300) + 1 : there;
}

static void receive(struct rig *r, unsigned i, size_t (*chunk)(size_t))
{
	struct jt_conn *c = &r->conns[i];
	struct talk *t = &r->talks[i];
	size_t n = t->n_typed - t->n_taken, room = jt_conn_room(c);

	n = n ? chunk(n) : 0;
	n = n < room ? n : room;
	memcpy(c->in + c->in_len, t->typed + t->n_taken, n);
	t->n_taken += n;
	jt_conn_received(c, n ? (int)n : -EAGAIN, now.boot_ns);
}

static void hear(struct rig *r, unsigned i)
{
	struct jt_conn *c = &r->conns[i];
	struct talk *t = &r->talks[i];
	uint32_t n = c->out_len - c->out_sent;

	cr_assert_leq(t->n_heard + n, TEXT_MAX);
	memcpy(t->heard + t->n_heard, c->out + c->out_sent, n);
	t->n_heard += n;
	jt_conn_sent(c, (int)n, now.boot_ns);
}

static void end(struct rig *r, unsigned i)
{
	struct jt_conn *c = &r->conns[i];

	if (c->receiving)
		jt_conn_received(c, -ECANCELED, now.boot_ns);
	jt_conn_cancel_done(c);
	cr_assert_eq(jt_conn_wants(c), JT_WANT_CLOSE);
	r->talks[i].closed = true;
	r->talks[i].end = c->end;
}

/* One drain, as worker.c does it. False: nothing more to do. */
static bool drain(struct rig *r, size_t (*chunk)(size_t))
{
	bool busy = false;

	for (unsigned i = 0; i < CONNS; i++) {
		struct jt_conn *c = &r->conns[i];
		unsigned wants;

		if (r->talks[i].closed)
			continue;
		jt_conn_wake(c);
		wants = jt_conn_wants(c);
		if (wants & JT_WANT_SEND)
			hear(r, i);
		if (wants & JT_WANT_CANCEL)
			end(r, i);
		if (c->receiving)
			receive(r, i, chunk);
		busy |= wants & ~(unsigned)JT_WANT_RECV || jt_conn_ready(c);
	}
	jt_peers_follow(&r->peers);
	jt_round_begin(r->round, now);
	for (unsigned i = 0; i < CONNS; i++) {
		if (r->talks[i].closed || !jt_conn_ready(&r->conns[i]))
			continue;
		r->talks[i].rounds++;
		if (jt_round_take(r->round, &r->conns[i])) {
			jt_round_flush(r->round);
			r->flushes++;
		}
	}
	jt_round_flush(r->round);
	return busy;
}

static void run(struct rig *r, size_t (*chunk)(size_t))
{
	while (drain(r, chunk))
		;
	for (unsigned i = 0; i < CONNS; i++)
		r->talks[i].heard[r->talks[i].n_heard] = '\0';
}

static void start(void)
{
	rig_new(&one);
}

TestSuite(round, .init = start);

static const char *heard(unsigned i)
{
	return one.talks[i].heard;
}

/* How often NEEDLE stands in what connection I heard. */
static unsigned count(unsigned i, const char *needle)
{
	unsigned n = 0;

	for (const char *at = heard(i); (at = strstr(at, needle)); at++)
		n++;
	return n;
}

static void verdict_text(char *out, size_t max, const struct help_token *token)
{
	snprintf(out, max,
		 "*11\r\n$5\r\nVALID\r\n:200\r\n$24\r\n%.24s\r\n:%llu\r\n:-1"
		 "\r\n:-1\r\n:0\r\n:0\r\n$0\r\n\r\n:77\r\n$0\r\n\r\n",
		 token->text, HELP_LATER_S - HELP_NOW_S);
}

Test(round, one_verify_is_answered)
{
	struct help_token token;
	char want[300];

	help_issue(&one.table, &token);
	type(&one, 0, "*2\r\n$6\r\nVERIFY\r\n$64\r\n%s\r\n", token.text);
	run(&one, whole);
	verdict_text(want, sizeof(want), &token);
	cr_expect_str_eq(heard(0), want);
	cr_expect_eq(one.desk.commands, 1);
	cr_expect_eq(one.desk.words[JT_VALID], 1);
	cr_expect_eq(one.desk.errors, 0);
	cr_expect_eq(help_meter(&one.table, &token)->uses, 1);
}

Test(round, pipeline_is_answered_in_its_order)
{
	struct help_token token;
	char want[400], verdict[300];

	help_issue(&one.table, &token);
	type(&one, 0, "PING\r\nVERIFY %s\r\nECHO between\r\nNOSUCH\r\n",
	     token.text);
	type(&one, 0, "*1\r\n$4\r\nPING\r\n\r\nVERIFY\r\nPING last\r\n");
	run(&one, whole);
	verdict_text(verdict, sizeof(verdict), &token);
	snprintf(want, sizeof(want), "+PONG\r\n%s$7\r\nbetween\r\n-ERR ",
		 verdict);
	cr_expect(!strncmp(heard(0), want, strlen(want)), "%s", heard(0));
	cr_expect_eq(count(0, "+PONG\r\n-ERR "), 1);
	cr_expect_eq(count(0, "$4\r\nlast\r\n"), 1);
	cr_expect_eq(one.desk.errors, 2);
	cr_expect_eq(one.desk.commands, 7, "the empty line is none");
}

Test(round, connections_hear_their_own_answers_only)
{
	for (unsigned i = 0; i < CONNS; i++)
		for (unsigned k = 0; k < 50; k++)
			type(&one, i, "ECHO %u-%u\r\n", i, k);
	run(&one, whole);
	for (unsigned i = 0; i < CONNS; i++) {
		const char *at = heard(i);

		for (unsigned k = 0; k < 50; k++) {
			char want[40];
			int n = snprintf(want, sizeof(want), "%u-%u", i, k);

			at = strstr(at, want);
			cr_assert_not_null(at, "%s", want);
			at += n;
		}
		cr_expect_eq(count(i, "\r\n"), 100);
	}
}

Test(round, clients_verdicts_are_shared_out_right)
{
	struct help_token tokens[CONNS];
	char want[300];

	for (unsigned i = 0; i < CONNS; i++) {
		help_issue(&one.table, &tokens[i]);
		for (unsigned k = 0; k <= i; k++)
			type(&one, i, "VERIFY %s\r\n", tokens[i].text);
	}
	run(&one, whole);
	for (unsigned i = 0; i < CONNS; i++) {
		verdict_text(want, sizeof(want), &tokens[i]);
		cr_expect_eq(count(i, want), i + 1);
		cr_expect_eq(count(i, "*11"), i + 1);
	}
}

Test(round, command_number_257_waits_for_the_next_round)
{
	for (unsigned i = 0; i < 257; i++)
		type(&one, 0, "PING\r\n");
	jt_conn_wants(&one.conns[0]);
	receive(&one, 0, whole);
	jt_round_begin(one.round, now);
	jt_round_take(one.round, &one.conns[0]);
	jt_round_flush(one.round);
	cr_expect_eq(one.conns[0].out_len, 256 * 7);
	cr_expect_eq(one.conns[0].in_len, 6);
	cr_expect_eq(one.desk.commands, 256);
	run(&one, whole);
	cr_expect_eq(count(0, "+PONG"), 257);
	cr_expect_eq(one.desk.commands, 257);
}

Test(round, long_pipeline_goes_on_until_all_is_answered)
{
	struct help_token token;

	help_issue(&one.table, &token);
	for (unsigned i = 0; i < 3000; i++)
		type(&one, 0, i % 2 ? "VERIFY %s\r\n" : "ECHO %s\r\n",
		     token.text);
	run(&one, whole);
	cr_expect_eq(count(0, "VALID"), 1500);
	cr_expect_eq(count(0, "$64\r\n"), 1500);
	cr_expect_geq(one.talks[0].rounds, 3000 / 256);
	cr_expect_eq(help_meter(&one.table, &token)->uses, 1500);
}

static void type_mverify(unsigned i, unsigned n, const char *text)
{
	type(&one, i, "*%u\r\n$7\r\nMVERIFY\r\n$%u\r\n%u\r\n", n + 2,
	     n > 999  ? 4
	     : n > 99 ? 3
	     : n > 9  ? 2
		      : 1,
	     n);
	for (unsigned k = 0; k < n; k++)
		type(&one, i, "$64\r\n%s\r\n", text);
}

Test(round, tokens_of_an_mverify_count_as_commands)
{
	struct help_token token;

	help_issue(&one.table, &token);
	for (unsigned i = 0; i < 20; i++)
		type_mverify(0, 50, token.text);
	run(&one, whole);
	cr_expect_eq(count(0, "*50\r\n"), 20);
	cr_expect_eq(count(0, "VALID"), 1000);
	cr_expect_geq(one.talks[0].rounds, 4, "%lu rounds",
		      one.talks[0].rounds);
}

/* ---- long values ---- */

/* A VERIFY of N bytes that are no token. */
static void type_long(unsigned n)
{
	type(&one, 0, "*2\r\n$6\r\nVERIFY\r\n$%u\r\n%0*u\r\n", n, (int)n, 7);
}

static void type_long_mverify(unsigned n, unsigned bytes)
{
	type(&one, 0, "*%u\r\n$7\r\nMVERIFY\r\n$%d\r\n%u\r\n", n + 2,
	     n > 9 ? 2 : 1, n);
	for (unsigned k = 0; k < n; k++)
		type(&one, 0, "$%u\r\n%0*u\r\n", bytes, (int)bytes, 7);
}

/* How often NEEDLE is heard in one round; all arrives before the first. */
static unsigned in_one_round(const char *needle)
{
	unsigned before = count(0, needle);

	jt_conn_wants(&one.conns[0]);
	if (one.conns[0].receiving)
		receive(&one, 0, whole);
	jt_round_begin(one.round, now);
	jt_round_take(one.round, &one.conns[0]);
	jt_round_flush(one.round);
	jt_conn_wants(&one.conns[0]);
	hear(&one, 0);
	one.talks[0].heard[one.talks[0].n_heard] = '\0';
	return count(0, needle) - before;
}

static void expect_in_a_round(unsigned bytes, unsigned verdicts)
{
	rig_open(&one, 0);
	one.talks[0].heard[0] = '\0';
	for (unsigned i = 0; i <= verdicts; i++)
		type_long(bytes);
	cr_expect_eq(in_one_round("*11"), verdicts, "%u bytes", bytes);
	cr_expect_eq(in_one_round("*11"), 1, "%u bytes", bytes);
}

/* 256 bytes more are a command more, however they are sent. */
Test(round, long_values_count_by_their_length)
{
	expect_in_a_round(1, 256);
	expect_in_a_round(JT_TOKEN_BYTES, 256);
	expect_in_a_round(255, 256);
	expect_in_a_round(256, 128);
	expect_in_a_round(511, 128);
	expect_in_a_round(512, 86);
	expect_in_a_round(1229, 52);
	expect_in_a_round(4096, 16);
}

Test(round, tokens_of_ours_count_as_one_each)
{
	struct help_token token;

	help_issue(&one.table, &token);
	for (unsigned i = 0; i < 257; i++)
		type(&one, 0, "VERIFY %s\r\n", token.text);
	cr_expect_eq(in_one_round("VALID"), 256);
	cr_expect_eq(in_one_round("VALID"), 1);
}

Test(round, long_values_of_an_mverify_count_by_their_length)
{
	for (unsigned i = 0; i < 9; i++)
		type_long_mverify(4, 2048);
	/* 2 + 4 x 9 each */
	cr_expect_eq(in_one_round("*4\r\n"), 7);
	cr_expect_eq(in_one_round("*4\r\n"), 2);
}

Test(round, mverify_of_many_bytes_has_a_round_of_its_own)
{
	type(&one, 0, "PING\r\n");
	type_long_mverify(31, 4096);
	type(&one, 0, "PING\r\n");
	cr_expect_eq(in_one_round("\r\n"), 1, "the first PING alone");
	cr_expect_eq(in_one_round("*11\r\n"), 31);
	cr_expect_eq(in_one_round("+PONG\r\n"), 1);
}

Test(round, mverify_of_few_bytes_stands_behind_others)
{
	type(&one, 0, "PING\r\n");
	type_long_mverify(4, 4096);
	type_long_mverify(62, 64);
	type(&one, 0, "PING\r\n");
	cr_expect_eq(in_one_round("*11\r\n"), 66);
	cr_expect_eq(count(0, "+PONG\r\n"), 2);
}

/* It was unquoted in place: read again, it would be another command. */
Test(round, inline_mverify_never_waits)
{
	type(&one, 0, "PING\r\nMVERIFY 62");
	for (unsigned i = 0; i < 62; i++)
		type(&one, 0, i < 15 ? " \"x y%0253u\"" : " %u", 7);
	type(&one, 0, "\r\n");
	cr_expect_eq(in_one_round("MALFORMED"), 62, "%s", heard(0));
	cr_expect_eq(one.desk.errors, 0);
}

Test(round, largest_mverify_stands_alone)
{
	struct help_token token;

	help_issue(&one.table, &token);
	type(&one, 0, "PING\r\n");
	type_mverify(0, 1000, token.text);
	type(&one, 0, "PING\r\n");
	type_mverify(0, 1000, token.text);
	run(&one, whole);
	cr_expect(!strncmp(heard(0), "+PONG\r\n*1000\r\n*11\r\n", 19));
	cr_expect_eq(count(0, "*1000\r\n"), 2);
	cr_expect_eq(count(0, "+PONG\r\n"), 2);
	cr_expect_eq(count(0, "VALID"), 2000);
	cr_expect_eq(help_meter(&one.table, &token)->uses, 2000);
}

Test(round, every_connection_may_send_the_largest_mverify)
{
	struct help_token token;

	help_issue(&one.table, &token);
	for (unsigned i = 0; i < CONNS; i++) {
		type_mverify(i, 1000, token.text);
		type(&one, i, "PING\r\n");
	}
	run(&one, whole);
	for (unsigned i = 0; i < CONNS; i++) {
		cr_expect_eq(count(i, "VALID"), 1000);
		cr_expect_eq(count(i, "+PONG"), 1);
	}
	cr_expect_gt(one.flushes, 0);
}

Test(round, replies_of_a_pipeline_never_exceed_their_buffer)
{
	static const char *const large[] = {"INFO", "COMMAND", "COMMAND DOCS",
					    "CLIENT LIST", "STATS"};

	for (unsigned i = 0; i < 100; i++) {
		type(&one, 0, "%s\r\n", large[i % 5]);
		type(&one, 1, "COMMAND DOCS\r\n");
		type(&one, 2, "*2\r\n$4\r\nECHO\r\n$4096\r\n%04096u\r\n", i);
	}
	run(&one, whole);
	cr_expect_eq(one.desk.errors, 0);
	cr_expect_eq(one.desk.commands, 300);
	cr_expect_eq(count(2, "$4096\r\n"), 100);
	cr_expect_eq(one.talks[1].n_heard % 100, 0);
}

Test(round, many_arguments_in_many_commands_fit)
{
	for (unsigned i = 0; i < CONNS; i++) {
		for (unsigned k = 0; k < 400; k++) {
			type(&one, i, "*64\r\n");
			for (unsigned a = 0; a < 64; a++)
				type(&one, i, "$1\r\nx\r\n");
		}
	}
	run(&one, whole);
	for (unsigned i = 0; i < CONNS; i++)
		cr_expect_eq(count(i, "-ERR unknown command"), 400);
}

Test(round, many_scopes_in_many_commands_fit)
{
	struct help_token token;

	help_issue(&one.table, &token);
	for (unsigned i = 0; i < CONNS; i++) {
		for (unsigned k = 0; k < 300; k++) {
			type(&one, i, "*34\r\n$6\r\nVERIFY\r\n$64\r\n%s\r\n",
			     token.text);
			for (unsigned a = 0; a < 16; a++)
				type(&one, i, "$5\r\nSCOPE\r\n$4\r\n%u%03u\r\n",
				     i, k);
		}
	}
	run(&one, whole);
	for (unsigned i = 0; i < CONNS; i++) {
		char want[40];

		cr_expect_eq(count(i, "INSUFFICIENT_SCOPE"), 300);
		snprintf(want, sizeof(want), "SCOPE:%u299\r\n", i);
		cr_expect_eq(count(i, want), 1);
	}
}

/* ---- ends ---- */

static struct help_token spender;

static void limited(struct rig *r, struct help_token *token)
{
	struct jt_entry e;

	help_token_make(token, "live");
	e = help_entry(&r->table, token);
	e.plan = 1;
	help_put(&r->table, token, &e);
}

static void expect_quit(const char *quit)
{
	rig_open(&one, 0);
	type(&one, 0, "PING\r\n%sPING\r\nVERIFY %s\r\n", quit, spender.text);
	run(&one, whole);
	cr_expect_str_eq(heard(0), "+PONG\r\n+OK\r\n");
	cr_expect(one.talks[0].closed);
	cr_expect_eq(one.talks[0].end, JT_END_QUIT);
}

Test(round, quit_drops_what_follows)
{
	limited(&one, &spender);
	expect_quit("QUIT\r\n");
	expect_quit("*1\r\n$4\r\nquit\r\n");
}

Test(round, what_follows_quit_spends_nothing)
{
	struct jt_meter zero = {0};

	limited(&one, &spender);
	expect_quit("QUIT\r\n");
	cr_expect_arr_eq(help_meter(&one.table, &spender), &zero, sizeof(zero));
	cr_expect_eq(one.desk.words[JT_VALID], 0);
}

/* A web page that makes a browser post commands to us. */
Test(round, commands_in_a_http_body_spend_nothing)
{
	struct jt_meter zero = {0};

	limited(&one, &spender);
	type(&one, 0, "POST / HTTP/1.1\r\nHost: x\r\n\r\nVERIFY %s\r\n",
	     spender.text);
	run(&one, whole);
	cr_expect_str_eq(heard(0),
			 "-ERR this socket speaks RESP, not HTTP\r\n");
	cr_expect(one.talks[0].closed);
	cr_expect_arr_eq(help_meter(&one.table, &spender), &zero, sizeof(zero));
}

/* ---- plain VERIFYs, which no parser sees ---- */

/* As clients write it. */
static void type_plain(struct rig *r, unsigned i, const char *text)
{
	type(r, i, "*2\r\n$6\r\nVERIFY\r\n$64\r\n%s\r\n", text);
}

/* The same in as many bytes, so that it arrives in the same rounds. */
static void type_inline(struct rig *r, unsigned i, const char *text)
{
	type(r, i, "VERIFY %78s\r\n", text);
}

Test(round, plain_verify_behind_quit_or_http_spends_nothing)
{
	static const char *const ends[] = {"QUIT\r\n", "*1\r\n$4\r\nquit\r\n",
					   "POST / HTTP/1.1\r\n",
					   "*1\r\n$x\r\n", "\"open\r\n"};
	struct jt_meter zero = {0};

	limited(&one, &spender);
	for (unsigned i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		rig_open(&one, 0);
		type(&one, 0, "%s", ends[i]);
		type_plain(&one, 0, spender.text);
		type_plain(&one, 0, spender.text);
		run(&one, whole);
		cr_expect(one.talks[0].closed, "%s", ends[i]);
		cr_expect_eq(count(0, "*11\r\n"), 0);
	}
	cr_expect_arr_eq(help_meter(&one.table, &spender), &zero, sizeof(zero));
	cr_expect_eq(one.desk.words[JT_VALID], 0);
}

/* Plain ones, nearly plain ones, and what only looks so from within. */
static size_t mixed_pipeline(char *text, size_t max, const char *token)
{
	return (size_t)snprintf(
		text, max,
		"*2\r\n$6\r\nVERIFY\r\n$64\r\n%s\r\n"
		"*2\r\n$6\r\nvErIfY\r\n$64\r\n%s\r\n"
		"PING\r\n"
		"*2\r\n$6\r\nVERIFY\r\n$63\r\n%.63s\r\n"
		"*4\r\n$6\r\nVERIFY\r\n$64\r\n%s\r\n$4\r\nCOST\r\n$1\r\n0\r\n"
		"*2\r\n$4\r\nECHO\r\n$87\r\n"
		"*2\r\n$6\r\nVERIFY\r\n$64\r\n%s\r\n\r\n"
		"VERIFY %s\r\n"
		"*3\r\n$7\r\nMVERIFY\r\n$1\r\n1\r\n$64\r\n%s\r\n"
		"*2\r\n$6\r\nVERIFY\r\n$64\r\n%s\r\n"
		"\r\n"
		"*2\r\n$6\r\nVERIFY\r\n$64\r\n%s\r\n"
		"ECHO end\r\n",
		token, token, token, token, token, token, token, token, token);
}

Test(round, plain_verifies_among_others_split_anywhere_are_answered_alike)
{
	struct help_token token;
	char text[1600], *want;
	size_t n, n_want;

	help_issue(&one.table, &token);
	n = mixed_pipeline(text, sizeof(text), token.text);
	cr_assert_lt(n, sizeof(text));
	type_bytes(&one, 0, text, n);
	run(&one, whole);
	cr_expect_eq(count(0, "\r\nVALID\r\n"), 7);
	cr_expect_eq(count(0, "\r\nMALFORMED\r\n"), 1);
	cr_expect_eq(count(0, "$87\r\n*2\r\n$6\r\nVERIFY\r\n"), 1);
	cr_expect_eq(help_meter(&one.table, &token)->uses, 6);
	n_want = one.talks[0].n_heard;
	want = memcpy(malloc(n_want), heard(0), n_want);
	for (size_t at = 1; at < n; at++) {
		rig_open(&one, 0);
		type_bytes(&one, 0, text, at);
		run(&one, whole);
		type_bytes(&one, 0, text + at, n - at);
		run(&one, whole);
		cr_assert_eq(one.talks[0].n_heard, n_want, "at %zu", at);
		cr_assert(!memcmp(heard(0), want, n_want), "at %zu", at);
		cr_assert_eq(help_meter(&one.table, &token)->uses,
			     6 * (at + 1));
	}
	rig_open(&one, 0);
	for (size_t at = 0; at < n; at++) {
		type_bytes(&one, 0, text + at, 1);
		run(&one, whole);
	}
	cr_assert_eq(one.talks[0].n_heard, n_want);
	cr_assert(!memcmp(heard(0), want, n_want));
	free(want);
}

Test(round, plain_verify_number_257_waits_for_the_next_round)
{
	struct help_token token;

	help_issue(&one.table, &token);
	for (unsigned i = 0; i < 300; i++)
		type_plain(&one, 0, token.text);
	cr_expect_eq(in_one_round("VALID"), 256);
	cr_expect_eq(one.desk.commands, 256);
	cr_expect_eq(in_one_round("VALID"), 44);
}

Test(round, many_plain_verifies_of_every_connection_fit)
{
	struct help_token token;

	help_issue(&one.table, &token);
	for (unsigned i = 0; i < CONNS; i++)
		for (unsigned k = 0; k < 2000; k++)
			type_plain(&one, i, token.text);
	run(&one, whole);
	for (unsigned i = 0; i < CONNS; i++)
		cr_expect_eq(count(i, "\r\nVALID"), 2000);
	cr_expect_eq(help_meter(&one.table, &token)->uses, CONNS * 2000);
	cr_expect_gt(one.flushes, 0);
}

static void expect_broken(const char *bytes, const char *error)
{
	rig_open(&one, 0);
	type(&one, 0, "PING\r\n%sPING\r\nPING\r\n", bytes);
	run(&one, whole);
	cr_expect_eq(count(0, "+PONG"), 1, "%s", heard(0));
	cr_expect_eq(count(0, error), 1, "%s", heard(0));
	cr_expect(one.talks[0].closed);
	cr_expect_eq(one.talks[0].end, JT_END_PROTOCOL);
}

Test(round, broken_request_is_told_then_closed)
{
	expect_broken("*x\r\n", "-ERR Protocol error: ");
	expect_broken("*1\r\n+4\r\n", "-ERR Protocol error: ");
	expect_broken("*1\r\n$5000\r\n", "-ERR Protocol error: ");
	expect_broken("*100000\r\n", "-ERR Protocol error: ");
	expect_broken("\"open\r\n", "-ERR Protocol error: ");
}

Test(round, other_connections_do_not_suffer_from_a_broken_one)
{
	for (unsigned k = 0; k < 100; k++) {
		type(&one, 0, "PING\r\n");
		type(&one, 2, "PING\r\n");
	}
	type(&one, 1, "*1\r\n$x\r\n");
	run(&one, whole);
	cr_expect_eq(count(0, "+PONG"), 100);
	cr_expect_eq(count(2, "+PONG"), 100);
	cr_expect(one.talks[1].closed);
	cr_expect_not(one.talks[0].closed);
}

/* ---- loading, options, protocols ---- */

Test(round, loading_is_an_error_and_not_a_verdict)
{
	struct help_token token;

	help_issue(&one.table, &token);
	jt_store_seq(&one.table.maps.identity_rw->state, JT_IDENTITY_LOADING);
	type(&one, 0, "VERIFY %s\r\n", token.text);
	type_mverify(0, 3, token.text);
	type(&one, 0, "PING\r\n");
	run(&one, whole);
	cr_expect_str_eq(heard(0), "-LOADING jeton is replaying its journal\r\n"
				   "-LOADING jeton is replaying its journal\r\n"
				   "+PONG\r\n");
	cr_expect_eq(one.desk.words[JT_LOADING], 4);
	cr_expect_eq(help_meter(&one.table, &token)->uses, 0);
}

Test(round, bad_options_are_told_without_the_argument)
{
	static const char *const bad[] = {"VERIFY %s COST -1\r\n",
					  "VERIFY %s COST x\r\n",
					  "VERIFY %s COST\r\n",
					  "VERIFY %s NONSENSE 1\r\n",
					  "VERIFY %s COST 1 COST 1\r\n",
					  "VERIFY %s SCOPE a,b\r\n",
					  "MVERIFY 0 %s\r\n",
					  "MVERIFY 2 %s\r\n",
					  "MVERIFY x %s\r\n",
					  "MVERIFY 1 %s extra\r\n"};
	struct help_token token;
	char line[200];

	help_issue(&one.table, &token);
	for (unsigned i = 0; i < 10; i++) {
		snprintf(line, sizeof(line), "MVERIFY 1 %s\r\n", token.text);
		type_bytes(&one, 0, line, strlen(line));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(line, sizeof(line), bad[i], token.text);
#pragma GCC diagnostic pop
		type_bytes(&one, 0, line, strlen(line));
	}
	run(&one, whole);
	cr_expect_eq(count(0, "-ERR syntax error"), 10, "%s", heard(0));
	cr_expect_eq(count(0, "VALID"), 10);
	cr_expect_eq(count(0, token.text), 0);
	cr_expect_eq(one.desk.errors, 10);
}

Test(round, hello_changes_what_follows_it_only)
{
	type(&one, 0, "HELLO 2\r\nHELLO 3\r\nHELLO\r\nHELLO 2\r\nHELLO\r\n");
	run(&one, whole);
	cr_expect_eq(count(0, "*14\r\n"), 3);
	cr_expect_eq(count(0, "%7\r\n"), 2);
	cr_expect(!strncmp(heard(0), "*14\r\n", 5));
}

Test(round, partial_command_is_kept_until_its_rest_comes)
{
	struct help_token token;
	char text[200];
	size_t n;

	help_issue(&one.table, &token);
	n = (size_t)snprintf(text, sizeof(text),
			     "*2\r\n$6\r\nVERIFY\r\n$64\r\n%s\r\n", token.text);
	for (size_t i = 0; i < n; i++) {
		cr_assert_eq(one.talks[0].n_heard, 0);
		type_bytes(&one, 0, text + i, 1);
		run(&one, whole);
	}
	cr_expect_eq(count(0, "VALID"), 1);
	cr_expect_eq(help_meter(&one.table, &token)->uses, 1);
}

Test(round, empty_round_does_nothing)
{
	for (unsigned i = 0; i < 10; i++) {
		jt_round_begin(one.round, now);
		jt_round_flush(one.round);
	}
	cr_expect_eq(one.desk.commands, 0);
}

/* ---- callers ---- */

static struct jt_settings rules;

/* That of one of the four users, who at first may do everything. */
static struct jt_rule *rule(uint32_t uid)
{
	for (unsigned i = rules.n_rules; i < CONNS / 2; i++)
		rules.rules[rules.n_rules++] =
			(struct jt_rule){.match = JT_RULE_UID,
					 .id = 1000 + i,
					 .verify = 1,
					 .see_owner = 1};
	return &rules.rules[uid - 1000];
}

static void publish(void)
{
	jt_settings_publish(&one.table.maps, &rules);
}

static const struct jt_calls *calls(uint32_t number)
{
	return &one.table.maps.calls[3 * JT_PEERS_MAX + number];
}

Test(round, caller_without_the_right_is_told_so_and_nothing_is_looked_at)
{
	struct help_token token;

	help_issue(&one.table, &token);
	rule(1000)->verify = 0;
	publish();
	for (unsigned i = 0; i < 4; i += 2) {
		type(&one, i, "VERIFY %s\r\nMVERIFY 1 %s\r\n", token.text,
		     token.text);
		type(&one, i, "VERIFY %s COST x\r\nPING\r\nSTATS\r\n",
		     token.text);
	}
	run(&one, whole);
	cr_expect_eq(count(0, "-NOPERM "), 3, "%s", heard(0));
	cr_expect_eq(count(0, "VALID\r\n"), 1, "the counter of STATS");
	cr_expect_eq(count(0, "+PONG"), 1);
	cr_expect_eq(count(0, token.text), 0);
	cr_expect_eq(count(2, "-NOPERM "), 0);
	cr_expect_eq(help_meter(&one.table, &token)->uses, 2, "of the other");
	cr_expect_eq(calls(1)->admitted + calls(1)->refused, 0);
	cr_expect_eq(calls(1)->busy, 0, "it is for good");
}

Test(round, caller_is_confined_to_its_environments)
{
	struct help_token live, test;
	struct jt_entry e;

	help_issue(&one.table, &live);
	help_token_make(&test, "test");
	e = help_entry(&one.table, &test);
	help_put(&one.table, &test, &e);
	rule(1000)->n_envs = 1;
	rule(1000)->envs[0] = jt_env_word("test", 4);
	publish();
	for (unsigned i = 0; i < 4; i += 2)
		type(&one, i, "MVERIFY 2 %s %s\r\nVERIFY %s ENV live\r\n",
		     live.text, test.text, live.text);
	run(&one, whole);
	cr_expect_eq(count(0, "WRONG_ENVIRONMENT"), 2, "%s", heard(0));
	cr_expect_eq(count(0, "\r\nVALID"), 1);
	cr_expect_eq(count(2, "\r\nVALID"), 3);
}

Test(round, caller_who_may_not_see_owners_sees_none)
{
	struct help_token token;
	struct jt_entry e;

	help_token_make(&token, "live");
	e = help_entry(&one.table, &token);
	cr_assert_eq(jt_table_put_owner(&one.table.maps, (const uint8_t *)"ann",
					3, &e.owner),
		     0);
	help_put(&one.table, &token, &e);
	rule(1000)->see_owner = 0;
	publish();
	for (unsigned i = 0; i < 4; i += 2)
		type(&one, i, "VERIFY %s\r\n", token.text);
	run(&one, whole);
	cr_expect_eq(count(0, "\r\n$0\r\n\r\n:77\r\n"), 1, "%s", heard(0));
	cr_expect_eq(count(0, "ann"), 0);
	cr_expect_eq(count(2, "\r\n$3\r\nann\r\n:77\r\n"), 1);
}

Test(round, calls_are_counted_by_caller)
{
	struct help_token token;

	help_issue(&one.table, &token);
	type(&one, 0, "MVERIFY 3 %s %s no-token\r\n", token.text, token.text);
	type(&one, 1, "VERIFY %s COST 0\r\nVERIFY x\r\nPING\r\n", token.text);
	type(&one, 2, "VERIFY y\r\nVERIFY %s COST x\r\n", token.text);
	run(&one, whole);
	cr_expect_eq(calls(1)->admitted, 3);
	cr_expect_eq(calls(1)->refused, 2);
	cr_expect_eq(calls(2)->admitted, 0);
	cr_expect_eq(calls(2)->refused, 1, "a bad option is none");
	jt_store_seq(&one.table.maps.identity_rw->state, JT_IDENTITY_LOADING);
	type(&one, 0, "VERIFY x\r\n");
	run(&one, whole);
	cr_expect_eq(calls(1)->refused, 2, "nor is LOADING");
}

Test(round, who_spent_its_refusals_is_busy_until_they_refill)
{
	struct help_token token;

	help_issue(&one.table, &token);
	rule(1000)->refusals_per_s = 10;
	publish();
	for (unsigned i = 0; i < 9; i++)
		type(&one, 0, "VERIFY x\r\n");
	run(&one, whole);
	type(&one, 1, "VERIFY %s\r\n", token.text);
	run(&one, whole);
	cr_expect_eq(count(1, "\r\nVALID"), 1, "there is one left");
	type(&one, 1, "VERIFY x\r\n");
	run(&one, whole);
	/* now it is used up, for all connections of that user alone */
	for (unsigned i = 0; i < 4; i++)
		type(&one, i, "VERIFY %s\r\nMVERIFY 1 %s\r\nPING\r\n",
		     token.text, token.text);
	run(&one, whole);
	for (unsigned i = 0; i < 2; i++) {
		cr_expect_eq(count(i, "-BUSY too many refused tokens"), 2);
		cr_expect_eq(count(i, "+PONG"), 1);
	}
	for (unsigned i = 2; i < 4; i++)
		cr_expect_eq(count(i, "\r\nVALID"), 2, "%s", heard(i));
	cr_expect_eq(calls(1)->busy, 4);
	cr_expect_eq(calls(1)->refused, 10);
	cr_expect_leq(jt_conn_room(&one.conns[0]), 4096, "in small pieces");
	cr_expect_eq(jt_conn_room(&one.conns[2]), JT_CONN_IN_BYTES);
	now.boot_ns += S / 10 - 1;
	type(&one, 0, "VERIFY %s\r\n", token.text);
	run(&one, whole);
	cr_expect_eq(calls(1)->busy, 5);
	now.boot_ns++;
	type(&one, 0, "VERIFY %s\r\n", token.text);
	run(&one, whole);
	cr_expect_eq(calls(1)->busy, 5);
	cr_expect_eq(count(0, "\r\nVALID"), 1);
	cr_expect_eq(jt_conn_room(&one.conns[0]), JT_CONN_IN_BYTES);
}

Test(round, refusals_beyond_the_limit_are_a_debt_of_a_second_at_most)
{
	struct help_token token;

	help_token_make(&token, "live");
	rule(1000)->refusals_per_s = 10;
	publish();
	type_mverify(0, 900, token.text);
	run(&one, whole);
	cr_expect_eq(calls(1)->refused, 900, "nobody knew");
	now.boot_ns += S;
	type(&one, 0, "VERIFY x\r\n");
	run(&one, whole);
	cr_expect_eq(calls(1)->busy, 1);
	now.boot_ns += S / 10;
	type(&one, 0, "VERIFY x\r\n");
	run(&one, whole);
	cr_expect_eq(calls(1)->busy, 1);
	cr_expect_eq(calls(1)->refused, 901);
}

Test(round, rules_change_for_open_connections_with_the_next_round)
{
	struct help_token token;

	help_issue(&one.table, &token);
	type(&one, 0, "VERIFY %s\r\n", token.text);
	run(&one, whole);
	rule(1000)->verify = 0;
	publish();
	type(&one, 0, "VERIFY %s\r\n", token.text);
	run(&one, whole);
	rule(1000)->verify = 1;
	publish();
	type(&one, 0, "VERIFY %s\r\n", token.text);
	run(&one, whole);
	cr_expect_eq(count(0, "\r\nVALID"), 2);
	cr_expect_eq(count(0, "-NOPERM "), 1);
}

Test(round, user_of_an_old_value_is_known)
{
	struct help_token token;
	struct jt_entry e;

	help_token_make(&token, "live");
	e = help_entry(&one.table, &token);
	help_put(&one.table, &token, &e);
	jt_table_set_a(&one.table.maps, token.slot, JT_SLOT_ACTIVE,
		       JT_SLOT_OLD_VALUE, HELP_LATER_S);
	type(&one, 5, "VERIFY %s\r\n", token.text);
	run(&one, whole);
	cr_expect_eq(help_meter(&one.table, &token)->old_use_by, 1003);
}

/* ---- differential: plain ones against the same inline ---- */

static void expect_same_callers(void)
{
	size_t n = JT_PEERS_MAX * sizeof(struct jt_calls);
	const struct jt_calls *a = &one.table.maps.calls[3 * JT_PEERS_MAX];
	const struct jt_calls *b = &two.table.maps.calls[3 * JT_PEERS_MAX];

	cr_assert(!memcmp(a, b, n));
	cr_assert(!memcmp(one.table.maps.lines, two.table.maps.lines,
			  256 * sizeof(struct jt_meter)));
	cr_assert_arr_eq(one.desk.words, two.desk.words,
			 sizeof(one.desk.words));
	cr_assert_eq(one.desk.errors, two.desk.errors);
	cr_assert_eq(one.desk.commands, two.desk.commands);
}

/* Users who may do all, nothing, the wrong environment, or not for long. */
static void publish_both(void)
{
	rule(1001)->verify = 0;
	rule(1002)->n_envs = 1;
	rule(1002)->envs[0] = jt_env_word("test", 4);
	rule(1003)->refusals_per_s = 8;
	rule(1003)->see_owner = 0;
	publish();
	jt_settings_publish(&two.table.maps, &rules);
}

static void issue_one(struct rig *r, struct help_token *token, unsigned i)
{
	struct jt_entry e = help_entry(&r->table, token);

	e.plan = i % 3 == 1;
	e.state = i % 5 == 4 ? JT_SLOT_REVOKED : JT_SLOT_ACTIVE;
	e.flags = i % 7 == 3 ? JT_SLOT_OLD_VALUE : 0;
	cr_assert_eq(jt_table_put_owner(&r->table.maps, (const uint8_t *)"ann",
					3, &e.owner),
		     0);
	help_put(&r->table, token, &e);
}

#define SEVERAL 20u

/* In both worlds, but for the last, which nobody knows. */
static void issue_several(struct help_token *tokens)
{
	for (unsigned i = 0; i < SEVERAL; i++) {
		struct help_token copy;

		help_token_make(&tokens[i], i % 2 ? "live" : "test");
		copy = tokens[i];
		if (i + 1 == SEVERAL)
			return;
		issue_one(&one, &tokens[i], i);
		issue_one(&two, &copy, i);
	}
}

Test(round, plain_verifies_equal_inline_ones_for_every_caller)
{
	struct help_token tokens[SEVERAL];

	rig_new(&two);
	issue_several(tokens);
	publish_both();
	for (unsigned turn = 0; turn < 200; turn++) {
		for (unsigned k = 0; k < 24 * CONNS; k++) {
			const char *text =
				tokens[help_random(&seed) % SEVERAL].text;

			type_plain(&one, k % CONNS, text);
			type_inline(&two, k % CONNS, text);
		}
		run(&one, whole);
		run(&two, whole);
		for (unsigned i = 0; i < CONNS; i++)
			cr_assert_str_eq(one.talks[i].heard, two.talks[i].heard,
					 "%u", i);
		expect_same_callers();
		for (unsigned i = 0; i < CONNS; i++)
			one.talks[i].n_typed = one.talks[i].n_taken =
				one.talks[i].n_heard = two.talks[i].n_typed =
					two.talks[i].n_taken =
						two.talks[i].n_heard = 0;
		now.boot_ns += help_random(&seed) % S;
	}
	/* and all of them were met */
	cr_expect_gt(calls(1)->admitted, 100);
	cr_expect_gt(calls(3)->admitted, 100);
	cr_expect_gt(calls(4)->admitted, 100);
	cr_expect_gt(calls(4)->busy, 100);
	cr_expect_gt(one.desk.words[JT_WRONG_ENVIRONMENT], 100);
	cr_expect_gt(one.desk.words[JT_RATE_LIMITED], 100);
	cr_expect_gt(one.desk.words[JT_REVOKED], 100);
	cr_expect_gt(one.desk.words[JT_UNKNOWN], 100);
}

/* ---- differential: split at random against one at a time ---- */

#define SHARED 20u
#define OWN 4u
#define COMMANDS 400u

static struct help_token shared[SHARED], own[CONNS][OWN];

/* The same token in both worlds. */
static void issue_both(struct help_token *token, unsigned plan, uint8_t state)
{
	struct help_token copy;
	struct jt_entry e;

	help_token_make(token, "live");
	copy = *token;
	e = help_entry(&one.table, token);
	e.plan = (uint16_t)plan;
	e.state = state;
	help_put(&one.table, token, &e);
	e.env = help_entry(&two.table, &copy).env;
	help_put(&two.table, &copy, &e);
}

static void issue_all(void)
{
	for (unsigned i = 0; i < SHARED; i++)
		issue_both(&shared[i], 0,
			   i % 3 ? JT_SLOT_ACTIVE : JT_SLOT_REVOKED);
	for (unsigned i = 0; i < CONNS; i++)
		for (unsigned k = 0; k < OWN; k++)
			issue_both(&own[i][k], 1, JT_SLOT_ACTIVE);
}

static const char *some_token(unsigned i)
{
	uint64_t r = help_random(&seed);

	switch (r & 7) {
	case 0 ... 3:
		return own[i][(r >> 8) % OWN].text;
	case 4:
		return "no-token";
	default:
		return shared[(r >> 8) % SHARED].text;
	}
}

/* Append one command to TEXT, in either form. Returns bytes. */
static size_t put_words(char *text, size_t max, const char *const *words,
			unsigned n)
{
	size_t at = 0;

	if (help_random(&seed) & 1) {
		for (unsigned i = 0; i < n; i++)
			at += (size_t)snprintf(text + at, max - at, "%s%s",
					       words[i],
					       i + 1 < n ? " " : "\r\n");
		return at;
	}
	at = (size_t)snprintf(text, max, "*%u\r\n", n);
	for (unsigned i = 0; i < n; i++)
		at += (size_t)snprintf(text + at, max - at, "$%zu\r\n%s\r\n",
				       strlen(words[i]), words[i]);
	return at;
}

static size_t put_mverify(char *text, size_t max, unsigned i)
{
	uint64_t r = help_random(&seed);
	unsigned n = r & 15 ? (unsigned)(r >> 8) % 20 + 1
			    : (unsigned)(r >> 8) % 1000 + 1;
	size_t at =
		(size_t)snprintf(text, max, "*%u\r\n$7\r\nmVeRiFy\r\n", n + 2);
	char number[16];

	snprintf(number, sizeof(number), "%u", n);
	at += (size_t)snprintf(text + at, max - at, "$%zu\r\n%s\r\n",
			       strlen(number), number);
	for (unsigned k = 0; k < n; k++) {
		const char *t = some_token(i);

		at += (size_t)snprintf(text + at, max - at, "$%zu\r\n%s\r\n",
				       strlen(t), t);
	}
	return at;
}

static size_t put_command(char *text, size_t max, unsigned i)
{
	const char *const mixes[][4] = {
		{"VERIFY", some_token(i)},
		{"verify", some_token(i)},
		{"VERIFY", some_token(i), "COST", "3"},
		{"VERIFY", some_token(i), "COST", "0"},
		{"VERIFY", some_token(i), "COST", "200"},
		{"VERIFY", some_token(i), "ENV", "live"},
		{"VERIFY", some_token(i), "ENV", "test"},
		{"VERIFY", some_token(i), "SCOPE", "read"},
		{"VERIFY", some_token(i), "COST", "-5"},
		{"VERIFY"},
		{"PING"},
		{"PING", "hello"},
		{"ECHO", some_token(i)},
		{"HELLO", "2"},
		{"HELLO", "3"},
		{"CLIENT", "ID"},
		{"CLIENT", "SETNAME", "me"},
		{"CLIENT", "GETNAME"},
		{"INFO"},
		{"STATS"},
		{"COMMAND", "COUNT"},
		{"COMMAND", "DOCS"},
		{"RESET"},
		{"SELECT", "0"},
		{"NOSUCH", some_token(i)},
	};
	const char *const *words;
	unsigned n = 0;
	uint64_t r = help_random(&seed);

	if ((r & 31) == 0)
		return put_mverify(text, max, i);
	if ((r & 31) == 1)
		return (size_t)snprintf(text, max, r & 32 ? "\r\n" : "*0\r\n");
	words = mixes[(r >> 8) % (sizeof(mixes) / sizeof(mixes[0]))];
	while (n < 4 && words[n])
		n++;
	return put_words(text, max, words, n);
}

/* The same commands to both: to ONE as a stream, to TWO one at a time. */
static void speak_both(size_t (*chunk)(size_t))
{
	static char text[100000];

	for (unsigned i = 0; i < CONNS; i++) {
		for (unsigned k = 0; k < COMMANDS; k++) {
			size_t n = put_command(text, sizeof(text), i);

			type_bytes(&one, i, text, n);
			type_bytes(&two, i, text, n);
			run(&two, whole);
		}
		type(&one, i, "QUIT\r\nPING\r\n");
		type(&two, i, "QUIT\r\n");
		run(&two, whole);
	}
	run(&one, chunk);
}

static void expect_same_talks(void)
{
	for (unsigned i = 0; i < CONNS; i++) {
		const struct talk *a = &one.talks[i], *b = &two.talks[i];

		cr_assert_eq(a->n_heard, b->n_heard, "%u: %zu/%zu", i,
			     a->n_heard, b->n_heard);
		cr_assert(!memcmp(a->heard, b->heard, a->n_heard));
		cr_assert(a->closed && b->closed);
		cr_assert_eq(a->end, JT_END_QUIT);
	}
	cr_assert(!memcmp(one.table.maps.lines, two.table.maps.lines,
			  256 * sizeof(struct jt_meter)));
	cr_assert_arr_eq(one.desk.words, two.desk.words,
			 sizeof(one.desk.words));
	cr_assert_eq(one.desk.errors, two.desk.errors);
}

static void expect_equal_worlds(size_t (*chunk)(size_t))
{
	rig_new(&two);
	issue_all();
	for (unsigned i = 0; i < 3; i++) {
		for (unsigned k = 0; k < CONNS; k++) {
			rig_open(&one, k);
			rig_open(&two, k);
		}
		speak_both(chunk);
		expect_same_talks();
		now.boot_ns += 7 * S;
	}
}

Test(round, pipelines_equal_single_commands, .timeout = 60)
{
	expect_equal_worlds(whole);
}

Test(round, pipelines_split_at_random_equal_single_commands, .timeout = 60)
{
	expect_equal_worlds(split);
}
