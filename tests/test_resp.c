/* resp: requests split anywhere, limits at their edge, replies byte by byte. */
#include "sidecar/resp.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What one parse came to, arguments copied out as "[4:PING]". */
struct seen {
	enum jt_resp_result result;
	const char *error;
	size_t n_args, consumed;
	char text[8192];
};

static struct jt_bytes args[JT_RESP_BATCH_MAX];

static void note(struct seen *s, size_t n_args)
{
	size_t at = 0;

	s->n_args = n_args;
	s->text[0] = '\0';
	for (size_t i = 0; i < n_args && at < sizeof(s->text) - 64; i++)
		at += (size_t)snprintf(s->text + at, sizeof(s->text) - at,
				       "[%u:%.*s]", args[i].bytes,
				       (int)args[i].bytes,
				       (const char *)args[i].at);
}

/* Parse the first LEN bytes, in a buffer of that size and at a new address. */
static void step(struct jt_resp_parser *p, const void *bytes, size_t len,
		 struct seen *s)
{
	uint8_t *buf = malloc(len + 1);
	size_t n = 0;

	memcpy(buf, bytes, len);
	memset(args, 0xee, sizeof(args));
	s->result = jt_resp_parse(p, buf, len, args, &n, &s->consumed);
	s->error = p->error;
	note(s, s->result == JT_RESP_COMMAND ? n : 0);
	free(buf);
}

static struct seen parse(const void *bytes, size_t len)
{
	struct jt_resp_parser p = {0};
	struct seen s;

	step(&p, bytes, len, &s);
	return s;
}

static struct seen parse_text(const char *text)
{
	return parse(text, strlen(text));
}

static void expect_same(const struct seen *a, const struct seen *b)
{
	cr_assert_eq(a->result, b->result);
	cr_assert_eq(a->error, b->error, "%s / %s", a->error, b->error);
	cr_assert_eq(a->n_args, b->n_args);
	cr_assert_eq(a->consumed, b->consumed);
	cr_assert_str_eq(a->text, b->text);
}

/* Cut at every place, then byte by byte: the same as in one piece. */
static void expect_invariant(const void *bytes, size_t len)
{
	struct seen whole = parse(bytes, len), s;

	for (size_t cut = 0; cut <= len; cut++) {
		struct jt_resp_parser p = {0};

		step(&p, bytes, cut, &s);
		if (s.result == JT_RESP_MORE)
			step(&p, bytes, len, &s);
		expect_same(&whole, &s);
	}
	struct jt_resp_parser p = {0};
	for (size_t n = 0; n <= len; n++) {
		step(&p, bytes, n, &s);
		if (s.result != JT_RESP_MORE)
			break;
	}
	expect_same(&whole, &s);
}

static void expect_broken(const char *text, const char *error)
{
	struct seen s = parse_text(text);

	cr_expect_eq(s.result, JT_RESP_BROKEN, "%s", text);
	cr_expect(s.error && strstr(s.error, error), "%s: %s", text, s.error);
	cr_expect(s.error && !strncmp(s.error, "ERR Protocol error: ", 20));
	expect_invariant(text, strlen(text));
}

static void expect_args(const char *text, const char *want)
{
	struct seen s = parse_text(text);

	cr_expect_eq(s.result, JT_RESP_COMMAND, "%s: %s", text, s.error);
	cr_expect_str_eq(s.text, want);
	cr_expect_eq(s.consumed, strlen(text));
	expect_invariant(text, strlen(text));
}

Test(resp, array_gives_its_arguments_at_every_split)
{
	expect_args("*1\r\n$4\r\nPING\r\n", "[4:PING]");
	expect_args("*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", "[4:ECHO][0:]");
	expect_args("*3\r\n$1\r\na\r\n$12\r\nx\r\n$4\r\nPING\r\r\n$1\r\nc\r\n",
		    "[1:a][12:x\r\n$4\r\nPING\r][1:c]");
}

Test(resp, array_of_nothing_is_consumed_in_silence)
{
	expect_args("*0\r\n", "");
	expect_args("*-1\r\n", "");
	expect_args("*-5\r\n", "");
	expect_args("\r\n", "");
	expect_args("\n", "");
	expect_args(" \t \r\n", "");
}

Test(resp, arguments_may_hold_any_byte)
{
	uint8_t bytes[300] = "*1\r\n$256\r\n";

	for (unsigned i = 0; i < 256; i++)
		bytes[10 + i] = (uint8_t)i;
	memcpy(bytes + 266, "\r\n", 2);
	expect_invariant(bytes, 268);
	cr_assert_eq(parse(bytes, 268).result, JT_RESP_COMMAND);
	cr_assert_eq(args[0].bytes, 256);
}

Test(resp, pipeline_gives_each_command_in_turn)
{
	static const char *const want[] = {
		"[4:PING]",
		"[4:ECHO][2:hi]",
		"",
		"[4:quit]",
	};
	char bytes[] = "*1\r\n$4\r\nPING\r\nECHO hi\r\n*0\r\nquit\n*1\r";
	struct jt_resp_parser p = {0};
	size_t at = 0, len = sizeof(bytes) - 1;
	struct seen s;

	for (size_t i = 0; i < 4; i++) {
		step(&p, bytes + at, len - at, &s);
		cr_assert_eq(s.result, JT_RESP_COMMAND);
		cr_expect_str_eq(s.text, want[i]);
		at += s.consumed;
	}
	step(&p, bytes + at, len - at, &s);
	cr_expect_eq(s.result, JT_RESP_MORE);
	cr_expect_eq(s.consumed, 0);
}

Test(resp, numbers_are_strict)
{
	static const char *const bad[] = {
		"+5",
		"-0",
		"05",
		"00",
		"",
		"-",
		"--1",
		"5 ",
		" 5",
		"1e3",
		"0x1",
		"99999999999999999999",
		"2147483648",
		"1025",
		"-99999999999999999999",
		"9223372036854775808",
		"18446744073709551617",
		"4294967297",
	};
	char text[64];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "*%s\r\n", bad[i]);
		expect_broken(text, "invalid multibulk length");
		snprintf(text, sizeof(text), "*1\r\n$%s\r\nx\r\n",
			 strcmp(bad[i], "1025") ? bad[i] : "4097");
		expect_broken(text, "invalid bulk length");
	}
	expect_broken("*1\r\n$-1\r\n", "invalid bulk length");
	expect_broken("*1\r\n$-5\r\n", "invalid bulk length");
}

Test(resp, framing_errors_are_told_and_never_echo)
{
	expect_broken("*1\r\n:1\r\n", "expected '$'");
	expect_broken("*1\r\njt_live_secret\r\n", "expected '$'");
	expect_broken("*1\r\n\r\n", "expected '$'");
	expect_broken("*1\n$4\r\nPING\r\n", "invalid multibulk length");
	expect_broken("*1\rX", "invalid multibulk length");
	expect_broken("*1\r\n$4\rX", "invalid bulk length");
	expect_broken("*1\r\n$4\r\nPINGXX", "expected a line end");
	expect_broken("*1\r\n$4\r\nPING\rX", "expected a line end");
	expect_broken("*1\r\n$4\r\nPINGS\r\n", "expected a line end");
}

Test(resp, broken_stays_broken)
{
	struct jt_resp_parser p = {0};
	struct seen s;

	step(&p, "*x", 2, &s);
	cr_assert_eq(s.result, JT_RESP_BROKEN);
	step(&p, "*1\r\n$4\r\nPING\r\n", 14, &s);
	cr_expect_eq(s.result, JT_RESP_BROKEN);
	cr_expect_eq(s.consumed, 0);
	cr_expect_str_eq(p.error,
			 "ERR Protocol error: invalid multibulk length");
}

/* A command of N bulks of BYTES each behind its name; *LENP its length. */
static char *make(const char *name, size_t n, size_t bytes, size_t *lenp)
{
	char *text = malloc(64 + n * (bytes + 16));
	size_t len = (size_t)sprintf(text, "*%zu\r\n$%zu\r\n%s\r\n", n + 1,
				     strlen(name), name);

	for (size_t i = 0; i < n; i++) {
		len += (size_t)sprintf(text + len, "$%zu\r\n", bytes);
		memset(text + len, 'x', bytes);
		memcpy(text + len + bytes, "\r\n", 3);
		len += bytes + 2;
	}
	*lenp = len;
	return text;
}

static struct seen parse_made(const char *name, size_t n, size_t bytes)
{
	size_t len;
	char *text = make(name, n, bytes, &len);
	struct seen s = parse(text, len);

	free(text);
	return s;
}

Test(resp, bulk_limit_is_exact)
{
	cr_expect_eq(parse_made("ECHO", 1, 4096).result, JT_RESP_COMMAND);
	cr_expect_eq(args[1].bytes, 4096);
	cr_expect_eq(parse_made("ECHO", 1, 4097).result, JT_RESP_BROKEN);
}

Test(resp, bulk_limit_is_checked_on_the_number_alone)
{
	cr_expect_eq(parse_text("*2\r\n$4096\r\n").result, JT_RESP_MORE);
	cr_expect_eq(parse_text("*2\r\n$4097\r\n").result, JT_RESP_BROKEN);
	cr_expect_eq(parse_text("*1025").result, JT_RESP_MORE);
	cr_expect_eq(parse_text("*1025\r\n").result, JT_RESP_BROKEN);
	cr_expect_eq(parse_text("*1024\r\n").result, JT_RESP_MORE);
}

Test(resp, argument_limit_is_exact_and_wider_for_mverify_alone)
{
	struct seen s;

	cr_expect_eq(parse_made("VERIFY", 63, 1).result, JT_RESP_COMMAND);
	s = parse_made("VERIFY", 64, 1);
	cr_expect_eq(s.result, JT_RESP_BROKEN);
	cr_expect_str_eq(s.error, "ERR Protocol error: too many arguments");
	cr_expect_eq(parse_made("mVeRiFy", 64, 1).result, JT_RESP_COMMAND);
	cr_expect_eq(parse_made("MVERIFY", 1023, 64).n_args, 1024);
	cr_expect_eq(parse_made("MVERIFY", 1024, 1).result, JT_RESP_BROKEN);
	cr_expect_eq(parse_made("MVERIFX", 64, 1).result, JT_RESP_BROKEN);
	cr_expect_eq(parse_made("MVERIF", 64, 1).result, JT_RESP_BROKEN);
	cr_expect_eq(parse_made("MVERIFYY", 64, 1).result, JT_RESP_BROKEN);
	expect_invariant("*65\r\n$4\r\nPING\r\n", 15);
	expect_invariant("*65\r\n$7\r\nMVERIFY\r\n", 18);
}

/* 31 full bulks behind the name, then one that fills up to LEN. */
static char *fill_command(size_t len)
{
	size_t used, rest;
	char *text = make("MVERIFY", 31, 4096, &used), *grown;

	grown = realloc(text, len + 64);
	memcpy(grown, "*33", 3);
	rest = len - used - strlen("$3000\r\n\r\n");
	sprintf(grown + used, "$%zu\r\n", rest);
	used += strlen("$3000\r\n");
	memset(grown + used, 'y', rest);
	memcpy(grown + used + rest, "\r\n", 3);
	return grown;
}

Test(resp, command_limit_is_exact)
{
	char *text = fill_command(JT_RESP_COMMAND_MAX);
	struct seen s = parse(text, JT_RESP_COMMAND_MAX);

	cr_expect_eq(s.result, JT_RESP_COMMAND, "%s", s.error);
	cr_expect_eq(s.consumed, JT_RESP_COMMAND_MAX);
	free(text);
	text = fill_command(JT_RESP_COMMAND_MAX + 1);
	s = parse(text, JT_RESP_COMMAND_MAX + 1);
	cr_expect_eq(s.result, JT_RESP_BROKEN);
	cr_expect_str_eq(s.error, "ERR Protocol error: too big command");
	/* told before the bytes are there, so a full buffer never waits */
	cr_expect_eq(parse(text, JT_RESP_COMMAND_MAX - 3000).result,
		     JT_RESP_BROKEN);
	free(text);
}

Test(resp, full_buffer_never_waits_for_a_count_line)
{
	size_t len = JT_RESP_COMMAND_MAX;

	for (size_t left = 0; left < 5; left++) {
		char *text = fill_command(len - left);

		memcpy(text, "*34", 3);
		memcpy(text + len - left, "$10\r\n", 5);
		cr_expect_eq(parse(text, len).result, JT_RESP_BROKEN);
		free(text);
	}
}

Test(resp, inline_limit_is_exact)
{
	char line[5000] = "ECHO ";
	struct seen s;

	memset(line + 5, 'a', sizeof(line) - 5);
	line[4095] = '\n';
	s = parse(line, 4096);
	cr_expect_eq(s.result, JT_RESP_COMMAND);
	cr_expect_eq(s.consumed, 4096);
	cr_expect_eq(parse(line, 4095).result, JT_RESP_MORE);
	line[4095] = 'a';
	line[4096] = '\n';
	s = parse(line, 4097);
	cr_expect_eq(s.result, JT_RESP_BROKEN);
	cr_expect_str_eq(s.error, "ERR Protocol error: too big inline request");
	cr_expect_eq(parse(line, 4096).result, JT_RESP_BROKEN);
}

Test(resp, inline_argument_limit_is_exact)
{
	char line[256];

	for (size_t i = 0; i < 65; i++)
		memcpy(line + 2 * i, "a ", 2);
	memcpy(line + 128, "\n", 2);
	cr_expect_eq(parse_text(line).n_args, 64);
	memcpy(line + 128, "a\n", 3);
	expect_broken(line, "too many arguments");
}

Test(resp, inline_quoting_is_that_of_redis)
{
	expect_args("PING\r\n", "[4:PING]");
	expect_args("ping\n", "[4:ping]");
	expect_args("  ping \t x  \r\n", "[4:ping][1:x]");
	expect_args("e \"a b\"\n", "[1:e][3:a b]");
	expect_args("e 'a b' c\n", "[1:e][3:a b][1:c]");
	expect_args("e \"\" ''\r\n", "[1:e][0:][0:]");
	expect_args("e \"\\n\\r\\t\\b\\a\\q\\\\\\\"\"\n",
		    "[1:e][8:\n\r\t\b\aq\\\"]");
	expect_args("e \"\\x41\\x6a\\xZZ\\x4\"\n", "[1:e][7:AjxZZx4]");
	expect_args("e 'a\\'b\\n'\n", "[1:e][5:a'b\\n]");
	expect_args("e a\"b c\"\n", "[1:e][4:ab c]");
	expect_args("e a\\n\n", "[1:e][3:a\\n]");
	expect_args("e a\vb \"c\"\vd\n", "[1:e][3:a\vb][1:c][1:d]");
}

Test(resp, inline_quotes_must_close)
{
	static const char *const bad[] = {
		"e \"a\n",   "e 'a\n",	    "e \"a\"b\n",
		"e 'a'b\n",  "e \"a\\\"\n", "e 'a\\'\n",
		"e \"a\\\n", "\"\n",	    "e \"a\"'b'\n",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		expect_broken(bad[i], "unbalanced quotes in request");
}

Test(resp, inline_that_begins_with_a_star_once_unquoted_stays_inline)
{
	static const char *const lines[] = {"\"*1\" x\r\n", "'*' x\n",
					    "\"\\x2a1\" x\r\n"};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		for (size_t cut = 1; cut < strlen(lines[i]); cut++) {
			struct jt_resp_parser p = {0};
			char text[32];
			size_t n, used;

			strcpy(text, lines[i]);
			cr_assert_eq(jt_resp_parse(&p, (uint8_t *)text, cut,
						   args, &n, &used),
				     JT_RESP_MORE);
			cr_assert_eq(jt_resp_parse(&p, (uint8_t *)text,
						   strlen(lines[i]), args, &n,
						   &used),
				     JT_RESP_COMMAND);
			cr_expect_eq(n, 2);
			cr_expect_eq(args[0].at[0], '*');
			cr_expect_eq(used, strlen(lines[i]));
		}
}

Test(resp, one_byte_at_a_time_is_linear)
{
	size_t len, n = 0, used = 0;
	char *text = make("MVERIFY", 1000, 64, &len);
	struct jt_resp_parser p = {0};
	clock_t start = clock();

	for (size_t i = 1; i < len; i++)
		cr_assert_eq(
			jt_resp_parse(&p, (uint8_t *)text, i, args, &n, &used),
			JT_RESP_MORE);
	cr_assert_eq(jt_resp_parse(&p, (uint8_t *)text, len, args, &n, &used),
		     JT_RESP_COMMAND);
	cr_expect_eq(n, 1001);
	cr_expect_eq(used, len);
	/* 74 thousand calls: milliseconds; re-reading all would take minutes */
	cr_expect_lt(clock() - start, 2 * CLOCKS_PER_SEC);
	cr_expect_eq(args[1000].at, (uint8_t *)text + len - 66);
	free(text);
}

static bool integer(const char *text, int64_t *valuep)
{
	return jt_resp_integer((struct jt_bytes){(const uint8_t *)text,
						 (uint32_t)strlen(text)},
			       valuep);
}

Test(resp, integer_reads_all_64_bits_and_nothing_else)
{
	static const char *const bad[] = {
		"",
		"-",
		"+1",
		"-0",
		"01",
		"1 ",
		" 1",
		"1a",
		"--1",
		"00",
		"9223372036854775808",
		"-9223372036854775809",
		"18446744073709551616",
		"99999999999999999999",
	};
	int64_t v = 0;

	cr_expect(integer("0", &v) && v == 0);
	cr_expect(integer("-1", &v) && v == -1);
	cr_expect(integer("10", &v) && v == 10);
	cr_expect(integer("9223372036854775807", &v) && v == INT64_MAX);
	cr_expect(integer("-9223372036854775808", &v) && v == INT64_MIN);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_not(integer(bad[i], &v), "%s", bad[i]);
}

static void write_all(struct jt_out *out)
{
	jt_out_simple(out, "OK");
	jt_out_error(out, "ERR a\nb");
	jt_out_bulk(out, "hello", 5);
	jt_out_bulk(out, NULL, 0);
	jt_out_text(out, "twelve bytes");
	jt_out_integer(out, -1234567);
	jt_out_array(out, 11);
	jt_out_set(out, 2);
	jt_out_map(out, 7);
	jt_out_null(out);
	jt_out_verbatim(out, "a\n", 2);
	jt_out_bytes(out, "+raw\r\n", 6);
}

#define HEAD                                                                   \
	"+OK\r\n-ERR a b\r\n$5\r\nhello\r\n$0\r\n\r\n$12\r\ntwelve bytes\r\n"  \
	":-1234567\r\n*11\r\n"

Test(resp, writers_are_exact_in_both_protocols)
{
	static const char *const want[] = {
		HEAD "*2\r\n*14\r\n$-1\r\n$2\r\na\n\r\n+raw\r\n",
		HEAD "~2\r\n%7\r\n_\r\n=6\r\ntxt:a\n\r\n+raw\r\n",
	};
	uint8_t buf[256];

	for (int proto = 2; proto <= 3; proto++) {
		struct jt_out out = {buf, 0, sizeof(buf), proto, false};

		write_all(&out);
		cr_expect_eq(out.len, strlen(want[proto - 2]));
		cr_expect_arr_eq(buf, want[proto - 2], out.len);
		cr_expect_not(out.overflow);
	}
}

Test(resp, writers_never_pass_the_end_and_leave_whole_values)
{
	uint8_t whole[256];
	struct jt_out all = {whole, 0, sizeof(whole), 3, false};

	write_all(&all);
	for (size_t cap = 0; cap <= all.len; cap++) {
		uint8_t *buf = malloc(cap + 1);
		struct jt_out out = {buf, 0, cap, 3, false};

		buf[cap] = 0xa5;
		write_all(&out);
		cr_expect_eq(out.overflow, cap < all.len);
		cr_expect_leq(out.len, cap);
		cr_expect_arr_eq(buf, whole, out.len);
		cr_expect(out.len == 0 || buf[out.len - 1] == '\n');
		cr_expect_eq(buf[cap], 0xa5);
		free(buf);
	}
}

static void expect_number(int64_t value)
{
	uint8_t line[JT_RESP_NUMBER_MAX];
	uint8_t *end = jt_resp_put_number(line, ':', value);
	char want[32];
	int n = snprintf(want, sizeof(want), ":%lld\r\n", (long long)value);

	cr_assert_eq(end - line, n);
	cr_assert_arr_eq(line, want, (size_t)n);
}

Test(resp, integers_are_exact_at_every_width)
{
	int64_t power = 1;

	for (int digits = 1; digits <= 18; digits++, power *= 10)
		for (int64_t d = -1; d <= 1; d++) {
			expect_number(power + d);
			expect_number(-power + d);
		}
	expect_number(INT64_MAX);
	expect_number(INT64_MIN);
}
