/* command_verify: options read, verdicts written, every byte of them. */
#include "sidecar/command.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define TOKEN                                                                  \
	"jt_live_Zk3mQ0v9XyTb41Rw"                                             \
	"0123456789abcdefghijABCDEFGHIJ0123456789"
static_assert(sizeof(TOKEN) - 1 == JT_TOKEN_BYTES, "a token's length");

static struct jt_bytes bytes(const char *text)
{
	return (struct jt_bytes){(const uint8_t *)text, (uint32_t)strlen(text)};
}

/* Split at blanks; the pointers are into LINE. */
static size_t split(char *line, struct jt_bytes *args)
{
	size_t n = 0;

	for (char *word = strtok(line, " "); word; word = strtok(NULL, " "))
		args[n++] = bytes(word);
	return n;
}

/* One VERIFY or MVERIFY read. */
struct asked {
	int error;
	struct jt_ask ask;
	struct jt_bytes scopes[JT_ASK_SCOPES_MAX];
	const struct jt_bytes *tokens;
	size_t n_tokens;
	struct jt_bytes args[JT_RESP_ARGS_MAX];
	size_t n_args;
	char line[1024];
};

static void ask(struct asked *a, const char *line)
{
	memset(a, 0, sizeof(*a));
	snprintf(a->line, sizeof(a->line), "%s", line);
	a->n_args = split(a->line, a->args);
	a->error = jt_command_ask(jt_command_classify(a->args, a->n_args),
				  a->args, a->n_args, a->scopes, &a->ask,
				  &a->tokens, &a->n_tokens);
}

Test(command_verify, verify_alone_spends_one)
{
	struct asked a;

	ask(&a, "VERIFY " TOKEN);
	cr_assert_eq(a.error, 0);
	cr_expect_eq(a.n_tokens, 1);
	cr_expect_eq(a.tokens, &a.args[1]);
	cr_expect_eq(a.ask.cost, 1);
	cr_expect_eq(a.ask.env, 0);
	cr_expect_not(a.ask.env_unknown);
	cr_expect_eq(a.ask.n_scopes, 0);
}

Test(command_verify, verify_reads_its_options_in_any_order)
{
	struct asked a;

	ask(&a, "verify t scope a:read COST 0 Env live SCOPE b cost");
	cr_expect_eq(a.error, JT_ASK_E_OPTION);
	ask(&a, "verify t scope a:read COST 0 Env live SCOPE b");
	cr_assert_eq(a.error, 0);
	cr_expect_eq(a.ask.cost, 0);
	cr_expect_eq(a.ask.env, jt_env_word("live", 4));
	cr_expect_eq(a.ask.n_scopes, 2);
	cr_expect_eq(a.ask.scopes, a.scopes);
	cr_expect_arr_eq(a.scopes[0].at, "a:read", 6);
	cr_expect_eq(a.scopes[1].bytes, 1);
	ask(&a, "VERIFY t COST 4294967295");
	cr_expect_eq(a.ask.cost, 4294967295u);
}

Test(command_verify, environment_that_is_no_name_is_no_error)
{
	struct asked a;

	ask(&a, "VERIFY t ENV Live");
	cr_expect_eq(a.error, 0);
	cr_expect(a.ask.env_unknown);
	ask(&a, "VERIFY t ENV seventh");
	cr_expect(a.ask.env_unknown);
}

static void expect_bad(const char *line, int error)
{
	struct asked a;

	ask(&a, line);
	cr_expect_eq(a.error, error, "%s: %d", line, a.error);
	cr_expect_eq(
		strncmp(jt_command_ask_error(error), "ERR syntax error: ", 18),
		0);
}

Test(command_verify, verify_refuses_bad_options)
{
	expect_bad("VERIFY t ENV", JT_ASK_E_OPTION);
	expect_bad("VERIFY t x", JT_ASK_E_OPTION);
	expect_bad("VERIFY t x y", JT_ASK_E_OPTION);
	expect_bad("VERIFY t ENVS live", JT_ASK_E_OPTION);
	expect_bad("VERIFY t ENV live ENV live", JT_ASK_E_OPTION);
	expect_bad("VERIFY t COST 1 COST 1", JT_ASK_E_OPTION);
	expect_bad("VERIFY t COST -1", JT_ASK_E_COST);
	expect_bad("VERIFY t COST 01", JT_ASK_E_COST);
	expect_bad("VERIFY t COST 1.5", JT_ASK_E_COST);
	expect_bad("VERIFY t COST 4294967296", JT_ASK_E_COST);
	expect_bad("VERIFY t COST 18446744073709551617", JT_ASK_E_COST);
	expect_bad("VERIFY t SCOPE a,b", JT_ASK_E_SCOPE);
	expect_bad("VERIFY t SCOPE a\nb", JT_ASK_E_SCOPE);
	expect_bad("VERIFY t SCOPE " TOKEN, JT_ASK_E_SCOPE);
}

Test(command_verify, scopes_are_at_most_sixteen)
{
	char line[256] = "VERIFY t";
	struct asked a;

	for (int i = 0; i < 16; i++)
		strcat(line, " SCOPE s");
	ask(&a, line);
	cr_expect_eq(a.error, 0);
	cr_expect_eq(a.ask.n_scopes, 16);
	expect_bad(strcat(line, " SCOPE s"), JT_ASK_E_SCOPES);
}

Test(command_verify, mverify_takes_as_many_tokens_as_it_says)
{
	struct asked a;

	ask(&a, "MVERIFY 2 COST ENV COST 5");
	cr_assert_eq(a.error, 0);
	cr_expect_eq(a.n_tokens, 2);
	cr_expect_eq(a.tokens, &a.args[2]);
	cr_expect_eq(a.ask.cost, 5);
	expect_bad("MVERIFY 0 t", JT_ASK_E_TOKENS);
	expect_bad("MVERIFY 2 t", JT_ASK_E_TOKENS);
	expect_bad("MVERIFY x t", JT_ASK_E_TOKENS);
	expect_bad("MVERIFY -1 t", JT_ASK_E_TOKENS);
	expect_bad("MVERIFY 1001 t", JT_ASK_E_TOKENS);
	expect_bad("MVERIFY 1 t t", JT_ASK_E_OPTION);
}

Test(command_verify, mverify_takes_a_thousand)
{
	static struct jt_bytes args[1002];
	struct jt_bytes scopes[JT_ASK_SCOPES_MAX];
	const struct jt_bytes *tokens;
	struct jt_ask a;
	size_t n;

	for (size_t i = 0; i < 1002; i++)
		args[i] = bytes(TOKEN);
	args[1] = bytes("1000");
	cr_expect_eq(jt_command_ask(JT_COMMAND_MVERIFY, args, 1002, scopes, &a,
				    &tokens, &n),
		     0);
	cr_expect_eq(n, 1000);
}

static void expect_verdict(const struct jt_verdict *v, uint64_t applied,
			   const char *want)
{
	uint8_t buf[2 * JT_VERDICT_MAX];

	/* straight and by way of a copy, every capacity on the way */
	for (size_t cap = 0; cap <= sizeof(buf); cap++) {
		struct jt_out out = {buf, 0, cap, 3, false};

		jt_command_verdict(&out, v, applied);
		cr_assert_eq(out.overflow, cap < strlen(want));
		if (out.overflow)
			cr_assert_eq(out.len, 0);
		else
			cr_assert_arr_eq(buf, want, strlen(want));
		cr_assert(out.overflow || out.len == strlen(want));
	}
}

Test(command_verify, verdict_of_a_valid_token_is_exact)
{
	struct jt_verdict v = {
		.word = JT_VALID,
		.id = (const uint8_t *)TOKEN,
		.expires_in_s = 3600,
		.limit = 100,
		.remaining = 99,
		.reset_ms = 10,
		.owner = bytes("acme"),
	};

	expect_verdict(&v, 42,
		       "*11\r\n$5\r\nVALID\r\n:200\r\n"
		       "$24\r\njt_live_Zk3mQ0v9XyTb41Rw\r\n:3600\r\n:100\r\n"
		       ":99\r\n:10\r\n:0\r\n$4\r\nacme\r\n:42\r\n$0\r\n\r\n");
}

Test(command_verify, verdict_of_nothing_known_is_exact)
{
	struct jt_verdict v = {
		.word = JT_UNKNOWN,
		.limit = -1,
		.remaining = -1,
	};

	expect_verdict(&v, 0,
		       "*11\r\n$7\r\nUNKNOWN\r\n:401\r\n$0\r\n\r\n:0\r\n"
		       ":-1\r\n:-1\r\n:0\r\n:0\r\n$0\r\n\r\n:0\r\n"
		       "$0\r\n\r\n");
}

Test(command_verify, verdict_notes_stand_in_order_with_commas)
{
	struct jt_verdict v = {
		.word = JT_INSUFFICIENT_SCOPE,
		.notes = JT_NOTE_SCOPE,
		.scope = bytes("a:read"),
		.limit = -1,
		.remaining = -1,
		.retry_after_ms = -1,
	};
#define BEFORE                                                                 \
	"*11\r\n$18\r\nINSUFFICIENT_SCOPE\r\n:403\r\n$0\r\n\r\n:0\r\n:-1\r\n"  \
	":-1\r\n:0\r\n:-1\r\n$0\r\n\r\n:7\r\n"

	expect_verdict(&v, 7, BEFORE "$12\r\nSCOPE:a:read\r\n");
	v.notes = JT_NOTE_OLD_VALUE;
	expect_verdict(&v, 7, BEFORE "$9\r\nOLD_VALUE\r\n");
	v.notes = JT_NOTE_EXPIRING | JT_NOTE_NEVER;
	expect_verdict(&v, 7, BEFORE "$14\r\nEXPIRING,NEVER\r\n");
	v.notes = 15;
	expect_verdict(&v, 7,
		       BEFORE "$37\r\nOLD_VALUE,EXPIRING,NEVER,SCOPE:a:read"
			      "\r\n");
}

static const char *const words[][2] = {
#define X(name, status) [JT_##name] = {#name, #status},
	JT_WORDS(X)
#undef X
};

Test(command_verify, every_word_has_its_head)
{
	char want[256];

	for (int w = 0; w < JT_WORDS_N; w++) {
		struct jt_verdict v = {.word = (enum jt_word)w};

		snprintf(want, sizeof(want),
			 "*11\r\n$%zu\r\n%s\r\n:%s\r\n$0\r\n\r\n:0\r\n:0\r\n"
			 ":0\r\n:0\r\n:0\r\n$0\r\n\r\n:0\r\n$0\r\n\r\n",
			 strlen(words[w][0]), words[w][0], words[w][1]);
		expect_verdict(&v, 0, want);
	}
}

Test(command_verify, longest_verdict_fits_its_bound)
{
	static char filler[5000];
	uint8_t buf[2 * JT_VERDICT_MAX];
	struct jt_out out = {buf, 0, sizeof(buf), 2, false};
	struct jt_verdict v = {
		.word = JT_INSUFFICIENT_SCOPE,
		.notes = 15,
		.id = (const uint8_t *)TOKEN,
		.expires_in_s = UINT64_MAX,
		.limit = INT64_MIN,
		.remaining = INT64_MIN,
		.reset_ms = UINT64_MAX,
		.retry_after_ms = INT64_MIN,
		.owner = {(const uint8_t *)filler, sizeof(filler)},
		.scope = {(const uint8_t *)filler, sizeof(filler)},
	};

	memset(filler, 'x', sizeof(filler));
	jt_command_verdict(&out, &v, UINT64_MAX);
	cr_expect_leq(out.len, JT_VERDICT_MAX);
	cr_expect_gt(out.len, JT_VERDICT_MAX / 2);
	cr_expect_arr_eq(buf + out.len - 4, "xx\r\n", 4);
}
