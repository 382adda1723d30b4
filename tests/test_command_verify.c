/* command_verify: options read, verdicts written, every byte of them. */
#include "sidecar/command.h"

#include "tests/help_table.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
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

static struct jt_command_kept kept;

static void expect_verdict(const struct jt_verdict *v, uint64_t applied,
			   const char *want)
{
	uint8_t buf[2 * JT_VERDICT_MAX];

	/* straight and by way of a copy, every capacity on the way */
	for (size_t cap = 0; cap <= sizeof(buf); cap++) {
		struct jt_out out = {buf, 0, cap, 3, false};

		jt_command_verdict(&out, v, applied, &kept);
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
	jt_command_verdict(&out, &v, UINT64_MAX, &kept);
	cr_expect_leq(out.len, JT_VERDICT_MAX);
	cr_expect_gt(out.len, JT_VERDICT_MAX / 2);
	cr_expect_arr_eq(buf + out.len - 4, "xx\r\n", 4);
}

static void expect_numbers(struct jt_command_kept *mine, int64_t limit,
			   uint64_t applied)
{
	struct jt_verdict v = {.word = JT_VALID, .limit = limit};
	uint8_t buf[JT_VERDICT_MAX];
	struct jt_out out = {buf, 0, sizeof(buf), 2, false};
	char want[JT_VERDICT_MAX];
	int n = snprintf(want, sizeof(want),
			 "*11\r\n$5\r\nVALID\r\n:200\r\n$0\r\n\r\n:0\r\n"
			 ":%lld\r\n:0\r\n:0\r\n:0\r\n$0\r\n\r\n:%llu\r\n"
			 "$0\r\n\r\n",
			 (long long)limit, (unsigned long long)applied);

	jt_command_verdict(&out, &v, applied, mine);
	cr_assert_eq(out.len, (size_t)n);
	cr_assert_arr_eq(buf, want, out.len);
}

Test(command_verify, number_that_was_kept_is_written_only_for_itself)
{
	static const int64_t numbers[] = {0,	   1,	      9,	 10, -1,
					  1000000, 999999,    INT64_MIN, 0,  0,
					  100,	   INT64_MAX, 5};
	const unsigned n = sizeof(numbers) / sizeof(numbers[0]);
	struct jt_command_kept mine = {0};

	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 0; k < n; k++) {
			uint64_t applied = (uint64_t)numbers[k] >> 1;

			expect_numbers(&mine, numbers[i], applied);
			expect_numbers(&mine, numbers[i], applied);
		}
}

/* ---- plain ones ---- */

#define PLAIN "*2\r\n$6\r\nVERIFY\r\n$64\r\n" TOKEN "\r\n"
#define PLAIN_BYTES (sizeof(PLAIN) - 1)

/* Is it an array of VERIFY and a value of our length, by the long way? */
static bool is_plain(const uint8_t *at, size_t len, size_t *usedp,
		     size_t *tokenp)
{
	struct jt_bytes args[JT_RESP_BATCH_MAX], scopes[JT_ASK_SCOPES_MAX];
	uint8_t *copy = malloc(len + 1); /* an inline one changes it */
	struct jt_resp_parser parser = {0};
	const struct jt_bytes *tokens;
	struct jt_ask a;
	size_t n, n_tokens;
	bool is;

	memcpy(copy, at, len);
	is = jt_resp_parse(&parser, copy, len, args, &n, usedp) ==
		     JT_RESP_COMMAND &&
	     at[0] == '*' && n == 2 && args[1].bytes == JT_TOKEN_BYTES &&
	     jt_command_classify(args, n) == JT_COMMAND_VERIFY;
	if (is) {
		cr_assert_eq(jt_command_ask(JT_COMMAND_VERIFY, args, n, scopes,
					    &a, &tokens, &n_tokens),
			     JT_ASK_OK);
		/* what a plain one asks */
		cr_assert(n_tokens == 1 && a.cost == 1 && !a.n_scopes &&
			  !a.env && !a.env_unknown && !a.envs && !a.n_envs &&
			  !a.by && !a.told);
		*tokenp = (size_t)(tokens[0].at - copy);
	}
	free(copy);
	return is;
}

/* Plain exactly if it is so by the long way, of the same token and length. */
static bool both_ways(const uint8_t *at, size_t len)
{
	uint8_t *alone = malloc(len + !len); /* the sanitizer sees its end */
	struct jt_bytes token = {NULL, 7};
	size_t want = 0, token_at = 0;
	bool is = is_plain(at, len, &want, &token_at);
	uint32_t used;

	memcpy(alone, at, len);
	used = jt_command_plain(alone, len, &token);
	cr_assert_eq(used, is ? want : 0, "%.*s", (int)len, (const char *)at);
	if (is) {
		cr_assert_eq(token.at, alone + token_at);
		cr_assert_eq(token.bytes, JT_TOKEN_BYTES);
	} else {
		cr_assert(!token.at && token.bytes == 7,
			  "written all the same");
	}
	cr_assert(!memcmp(alone, at, len), "the input was changed");
	free(alone);
	return is;
}

Test(command_verify, plain_one_is_plain_in_either_case_of_each_letter)
{
	uint8_t text[PLAIN_BYTES];

	for (unsigned letters = 0; letters < 64; letters++) {
		memcpy(text, PLAIN, sizeof(text));
		for (unsigned i = 0; i < 6; i++)
			text[8 + i] ^= letters >> i & 1 ? 0x20 : 0;
		cr_assert(both_ways(text, sizeof(text)));
	}
}

Test(command_verify, plain_one_has_any_byte_in_its_token_and_no_other_elsewhere)
{
	uint8_t text[PLAIN_BYTES];
	unsigned plain = 0;

	for (size_t i = 0; i < sizeof(text); i++) {
		for (unsigned byte = 0; byte < 256; byte++) {
			memcpy(text, PLAIN, sizeof(text));
			text[i] = (uint8_t)byte;
			plain += both_ways(text, sizeof(text));
		}
	}
	/* 64 bytes of the token, 6 letters of two cases, 17 of the frame */
	cr_expect_eq(plain, 64 * 256 + 6 * 2 + 17);
}

Test(command_verify, plain_one_that_is_cut_is_none)
{
	for (size_t n = 0; n < PLAIN_BYTES; n++)
		cr_assert_not(both_ways((const uint8_t *)PLAIN, n));
}

Test(command_verify, plain_one_ends_where_it_ends)
{
	static const char more[] = PLAIN PLAIN "PING\r\n";
	uint8_t text[PLAIN_BYTES + 1];

	for (size_t n = PLAIN_BYTES; n < sizeof(more); n++)
		cr_assert(both_ways((const uint8_t *)more, n));
	for (unsigned byte = 0; byte < 256; byte++) {
		memcpy(text, PLAIN, PLAIN_BYTES);
		text[PLAIN_BYTES] = (uint8_t)byte;
		cr_assert(both_ways(text, sizeof(text)));
	}
	/* and begins where it begins */
	for (size_t n = 1; n < sizeof(more); n++)
		cr_assert_eq(both_ways((const uint8_t *)more + n,
				       sizeof(more) - 1 - n),
			     n == PLAIN_BYTES);
}

Test(command_verify, what_is_not_quite_plain_goes_the_long_way)
{
	static const char *const near[] = {
		"VERIFY " TOKEN "\r\n",
		"*1\r\n$6\r\nVERIFY\r\n$64\r\n" TOKEN "\r\n",
		"*3\r\n$6\r\nVERIFY\r\n$64\r\n" TOKEN "\r\n$1\r\nx\r\n",
		"*02\r\n$6\r\nVERIFY\r\n$64\r\n" TOKEN "\r\n",
		"*2\r\n$7\r\nVERIFYx\r\n$64\r\n" TOKEN "\r\n",
		"*2\r\n$06\r\nVERIFY\r\n$64\r\n" TOKEN "\r\n",
		"*2\r\n$6\r\nVERIFX\r\n$64\r\n" TOKEN "\r\n",
		"*2\r\n$6\r\nVERIFY\r\n$63\r\n" TOKEN "\r\n",
		"*2\r\n$6\r\nVERIFY\r\n$65\r\n" TOKEN "x\r\n",
		"*2\r\n$6\r\nVERIFY\r\n$064\r\n" TOKEN "\r\n",
		"*2\n$6\nVERIFY\n$64\n" TOKEN "\n",
		"\r\n" PLAIN,
		" " PLAIN,
	};

	for (unsigned i = 0; i < sizeof(near) / sizeof(near[0]); i++)
		cr_expect_not(
			both_ways((const uint8_t *)near[i], strlen(near[i])),
			"%u", i);
}

/* One to three changes: a byte, a bit, one more, one less, a piece twice. */
static size_t mutate(uint8_t *text, size_t len, uint64_t *seed)
{
	uint64_t r = help_random(seed);
	size_t at = (r >> 8) % len;

	switch (r % 5) {
	case 0:
		text[at] = (uint8_t)(r >> 40);
		return len;
	case 1:
		text[at] ^= (uint8_t)(1u << (r >> 40) % 8);
		return len;
	case 2:
		memmove(text + at + 1, text + at, len - at);
		text[at] = "*$\r\n0264vV "[(r >> 40) % 11];
		return len + 1;
	case 3:
		memmove(text + at, text + at + 1, len - at - 1);
		return len - 1;
	default:
		memmove(text, text + at, len - at);
		memcpy(text + len - at, PLAIN, PLAIN_BYTES);
		return len - at + PLAIN_BYTES;
	}
}

Test(command_verify, mutants_of_a_plain_one_are_told_alike_by_both_ways)
{
	uint8_t text[4 * PLAIN_BYTES + 8];
	uint64_t seed = 41;
	unsigned plain = 0, others = 0;

	for (unsigned i = 0; i < 300000; i++) {
		size_t len = PLAIN_BYTES;

		memcpy(text, PLAIN, PLAIN_BYTES);
		for (uint64_t n = help_random(&seed) % 3 + 1; n && len > 1; n--)
			len = mutate(text, len, &seed);
		if (both_ways(text, len))
			plain++;
		else
			others++;
	}
	cr_expect_gt(plain, 10000);
	cr_expect_gt(others, 10000);
}
