/*
 * fuzz_resp: the first bytes choose how the rest is cut into reads, the rest is
 * one connection's input. It is fed whole and in pieces, each read from a
 * buffer of just its size; both must be read the same, end the same, and get
 * the same reply. Replies go into a bounded buffer and must fit their bounds.
 * What the short way takes for a plain VERIFY must be one by the long way, too.
 */
#include "sidecar/command.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CUTS 16u
#define INPUT_MAX 8192u
#define OUT_BYTES (4u * JT_REPLY_MAX)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One connection; `out` holds all that it was answered. */
struct session {
	struct jt_client client;
	struct jt_resp_parser parser;
	size_t consumed, n_commands;
	struct jt_out out;
	uint8_t bytes[OUT_BYTES];
};

static struct session whole, pieces;
static struct jt_bytes args[JT_RESP_BATCH_MAX];

static bool loading(void *ctx)
{
	return false;
}

static void stats(void *ctx, struct jt_stats *s)
{
	s->commands = 1;
}

static size_t clients(void *ctx, char *buf, size_t max)
{
	struct session *s = ctx;

	return jt_client_line(&s->client, "client|list", 0, buf, max);
}

static unsigned peers(void *ctx, struct jt_peer_row rows[JT_PEERS_MAX])
{
	memset(rows, 0xff, JT_PEERS_MAX * sizeof(rows[0]));
	return JT_PEERS_MAX;
}

static void start(struct session *s)
{
	memset(s, 0, offsetof(struct session, bytes));
	jt_client_init(&s->client, 1, 0);
	s->out = (struct jt_out){s->bytes, 0, OUT_BYTES, 2, false};
}

static void verify(struct session *s, enum jt_command_class class, size_t n)
{
	struct jt_bytes scopes[JT_ASK_SCOPES_MAX];
	const struct jt_bytes *tokens;
	struct jt_ask ask;
	size_t n_tokens;
	int error = jt_command_ask(class, args, n, scopes, &ask, &tokens,
				   &n_tokens);

	if (error) {
		jt_out_error(&s->out, jt_command_ask_error(error));
		return;
	}
	for (size_t i = 0; i < n_tokens; i++) {
		struct jt_verdict v = {
			.word = (enum jt_word)(tokens[i].bytes % JT_WORDS_N),
			.notes = tokens[i].bytes & 7u,
			.id = tokens[i].bytes >= 24 ? tokens[i].at : NULL,
			.owner = tokens[i],
		};
		static struct jt_command_kept kept;
		size_t before = s->out.len;

		if (ask.n_scopes) {
			v.notes |= JT_NOTE_SCOPE;
			v.scope = ask.scopes[ask.n_scopes - 1];
		}
		jt_command_verdict(&s->out, &v, ask.cost, &kept);
		assert(s->out.len - before <= JT_VERDICT_MAX);
	}
}

/* Any answer that the size of the id and the options can be made into. */
static bool why(void *ctx, const char id[24], const struct jt_ask *ask,
		struct jt_trace *t)
{
	memset(t, 0xff, sizeof(*t));
	t->word = (enum jt_word)(ask->cost % JT_WORDS_N);
	t->lacking = (uint32_t)(1u << ask->n_scopes) - 1;
	if (!t->lacking && t->word == JT_INSUFFICIENT_SCOPE)
		t->word = JT_UNKNOWN;
	t->expires_s = (uint32_t)ask->cost;
	t->old_until_s = (uint32_t)ask->env;
	t->old_works = ask->cost & 1;
	return id[0] != 'z';
}

static void run(struct session *s, size_t n)
{
	/* confined: the longest detail of WHY */
	const struct jt_rule rule = {.verify = 1, .n_envs = 1, .envs = {1}};
	struct jt_service service = {.ctx = s,
				     .loading = loading,
				     .stats = stats,
				     .clients = clients,
				     .rule = &rule,
				     .why = why,
				     .peers = peers};
	size_t before = s->out.len;

	switch (jt_command_classify(args, n)) {
	case JT_COMMAND_SKIP:
		break;
	case JT_COMMAND_VERIFY:
		verify(s, JT_COMMAND_VERIFY, n);
		break;
	case JT_COMMAND_MVERIFY:
		verify(s, JT_COMMAND_MVERIFY, n);
		break;
	case JT_COMMAND_LOCAL:
	case JT_COMMAND_ERROR:
		jt_command_run(&s->client, &service, args, n, &s->out);
		assert(s->out.len - before <= JT_REPLY_MAX);
		assert(s->out.len > before || s->out.overflow);
	}
}

/* A plain VERIFY, by the long way: its N arguments, and what it consumed. */
static bool is_plain(bool array, size_t n, const uint8_t *token)
{
	struct jt_bytes scopes[JT_ASK_SCOPES_MAX];
	const struct jt_bytes *tokens;
	struct jt_ask ask;
	size_t n_tokens;

	if (!array || n != 2 || args[1].bytes != JT_TOKEN_BYTES ||
	    jt_command_classify(args, n) != JT_COMMAND_VERIFY)
		return false;
	assert(jt_command_ask(JT_COMMAND_VERIFY, args, n, scopes, &ask, &tokens,
			      &n_tokens) == JT_ASK_OK);
	assert(n_tokens == 1 && ask.cost == 1 && !ask.env && !ask.n_scopes &&
	       !ask.env_unknown);
	assert(!token || tokens[0].at == token);
	return true;
}

/* The parser's next command; the short way must agree about it. */
static enum jt_resp_result parse(struct session *s, uint8_t *at, size_t len,
				 size_t *np, size_t *usedp)
{
	bool idle = jt_resp_is_idle(&s->parser), array = len && *at == '*';
	struct jt_bytes token = {0};
	uint32_t plain = jt_command_plain(at, len, &token);
	enum jt_resp_result r =
		jt_resp_parse(&s->parser, at, len, args, np, usedp);

	if (!idle)
		return r;
	if (r == JT_RESP_COMMAND && is_plain(array, *np, token.at))
		assert(plain == *usedp && token.bytes == JT_TOKEN_BYTES);
	else
		assert(!plain);
	assert(jt_resp_is_idle(&s->parser) == (r == JT_RESP_COMMAND || !len));
	return r;
}

/* What is in DATA up to SIZE is there now. False: the connection has ended. */
static bool feed(struct session *s, const uint8_t *data, size_t size)
{
	size_t len = size - s->consumed, at = 0, n, used;
	enum jt_resp_result r = JT_RESP_MORE;
	uint8_t *buf = malloc(len + 1);

	memcpy(buf, data + s->consumed, len);
	while (!s->client.quit && !s->out.overflow) {
		r = parse(s, buf + at, len - at, &n, &used);
		if (r != JT_RESP_COMMAND)
			break;
		assert(used > 0 && used <= len - at);
		at += used;
		s->n_commands++;
		run(s, n);
	}
	free(buf);
	s->consumed += at;
	return r == JT_RESP_MORE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *cuts = data;
	size_t end = 0;

	if (size < CUTS || size > INPUT_MAX)
		return 0;
	data += CUTS;
	size -= CUTS;
	start(&whole);
	start(&pieces);
	feed(&whole, data, size);
	for (size_t i = 0; end < size; i++) {
		end += cuts[i % CUTS] % 64u + 1u;
		end = end < size ? end : size;
		if (!feed(&pieces, data, end))
			break;
	}
	assert(whole.n_commands == pieces.n_commands);
	assert(whole.consumed == pieces.consumed);
	assert(whole.parser.error == pieces.parser.error);
	assert(whole.out.len == pieces.out.len);
	assert(memcmp(whole.bytes, pieces.bytes, whole.out.len) == 0);
	return 0;
}
