/* refusals: few lines, right numbers, and nothing of what may be a secret. */
#include "sidecar/round.h"

#include "tests/help_table.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define S JT_REFUSALS_NS

static struct help_table t;
static struct jt_refusals r;
static struct help_token token;
static char log_is[65536];
static int log_fd;

static void start(void)
{
	char path[] = "/tmp/jtlogXXXXXX";

	log_fd = mkstemp(path);
	cr_assert_geq(log_fd, 0);
	unlink(path);
	unsetenv("JOURNAL_STREAM");
	cr_assert_geq(dup2(log_fd, STDERR_FILENO), 0);
	help_table_new(&t, 64);
	help_issue(&t, &token);
}

TestSuite(refusals, .init = start);

/* All that was logged so far. */
static const char *logged(void)
{
	ssize_t n = pread(log_fd, log_is, sizeof(log_is) - 1, 0);

	cr_assert_geq(n, 0);
	log_is[n] = '\0';
	return log_is;
}

static unsigned lines(void)
{
	unsigned n = 0;

	for (const char *at = logged(); (at = strchr(at, '\n')); at++)
		n++;
	return n;
}

/* A value is verified by uid 1000; its refusal noted, named if due, told. */
static enum jt_word refuse(const char *value, size_t bytes, uint64_t n,
			   uint64_t now_ns)
{
	const struct jt_ask ask = {
		.token = {(const uint8_t *)value, (uint32_t)bytes}, .cost = 1};
	struct jt_verdict v = help_verify(&t, &ask, help_now());

	if (jt_refusals_note(&r, v.word, n, now_ns))
		jt_refusals_name(&r, &ask, &v, 1001);
	jt_refusals_tell(&r, now_ns);
	return v.word;
}

static enum jt_word refuse_text(const char *value)
{
	return refuse(value, strlen(value), 1, 100 * S);
}

Test(refusals, a_token_that_is_ours_is_named)
{
	char line[256];

	help_state(&t, &token, JT_SLOT_SUSPENDED);
	cr_expect_eq(refuse_text(token.text), JT_SUSPENDED);
	snprintf(line, sizeof(line),
		 "jetond: refused SUSPENDED: %.24s for uid 1000\n", token.text);
	cr_expect_str_eq(logged(), line);
}

Test(refusals, a_line_a_second_and_how_many_more)
{
	char want[512];

	help_state(&t, &token, JT_SLOT_REVOKED);
	for (unsigned ms = 0; ms < 3500; ms++)
		refuse(token.text, 64, 2, 100 * S + ms * (S / 1000));
	snprintf(want, sizeof(want),
		 "jetond: refused REVOKED: %.24s for uid 1000, and 1 more\n"
		 "jetond: refused REVOKED: %.24s for uid 1000, and 1999 more\n"
		 "jetond: refused REVOKED: %.24s for uid 1000, and 1999 more\n"
		 "jetond: refused REVOKED: %.24s for uid 1000, and 1999 more\n",
		 token.text, token.text, token.text, token.text);
	cr_expect_str_eq(logged(), want);
}

Test(refusals, those_behind_the_last_line_are_told_without_a_name)
{
	refuse_text("");
	refuse("", 0, 4711, 100 * S + 1);
	jt_refusals_tell(&r, 101 * S - 1);
	cr_expect_eq(lines(), 1);
	jt_refusals_tell(&r, 101 * S);
	cr_expect_eq(lines(), 2);
	cr_expect_not_null(
		strstr(logged(), "\njetond: refused MISSING: 4711 more\n"));
	cr_expect_eq(r.n, 0);
	jt_refusals_tell(&r, 200 * S);
	cr_expect_eq(lines(), 2);
}

Test(refusals, one_word_does_not_use_up_anothers_line)
{
	struct help_token strange;

	help_token_make(&strange, "live");
	for (unsigned i = 0; i < 100; i++) {
		refuse_text("");
		refuse_text("short");
		cr_expect_eq(refuse_text(strange.text), JT_UNKNOWN);
	}
	cr_expect_eq(lines(), 3);
	cr_expect_eq(r.n, 297);
}

Test(refusals, what_is_unknown_but_well_formed_is_named)
{
	struct help_token strange;
	char id[32];

	help_token_make(&strange, "live");
	snprintf(id, sizeof(id), "%.24s for", strange.text);
	refuse_text(strange.text);
	cr_expect_not_null(strstr(logged(), id));
	/* another secret of an id that we have */
	jt_token_remake(token.text, strange.text);
	cr_expect_eq(refuse(strange.text, 64, 1, 200 * S), JT_UNKNOWN);
	snprintf(id, sizeof(id), "%.24s for", token.text);
	cr_expect_not_null(strstr(logged(), id));
}

Test(refusals, nothing_of_a_value_that_may_be_all_secret_is_shown)
{
	char blank[80], mistyped[80], cut[80];
	const char *values[] = {blank,
				mistyped,
				cut,
				"hunter2hunter2",
				"a\nforged line\n",
				"ghp_0123456789abcdefgh"};

	snprintf(blank, sizeof(blank), " %s", token.text);
	strcpy(mistyped, token.text);
	mistyped[40] = mistyped[40] == 'a' ? 'b' : 'a';
	snprintf(cut, sizeof(cut), "%.63s", token.text);
	for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		refuse(values[i], strlen(values[i]), 1, (i + 1) * 100 * S);
	cr_expect_eq(lines(), 6);
	for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		for (size_t at = 0; at + 6 <= strlen(values[i]); at++) {
			char part[7];

			snprintf(part, sizeof(part), "%.6s", values[i] + at);
			cr_expect_null(strstr(logged(), part), "%s", part);
		}
	cr_expect_not_null(strstr(logged(), "MISTYPED: a value without an id"));
}

Test(refusals, never_a_secret)
{
	struct help_token strange;

	help_state(&t, &token, JT_SLOT_REVOKED);
	help_token_make(&strange, "live");
	refuse_text(token.text);
	refuse_text(strange.text);
	cr_expect_eq(lines(), 2);
	for (size_t at = 24; at + 6 <= 64; at++) {
		char mine[7], theirs[7];

		snprintf(mine, sizeof(mine), "%.6s", token.text + at);
		snprintf(theirs, sizeof(theirs), "%.6s", strange.text + at);
		cr_expect_null(strstr(logged(), mine));
		cr_expect_null(strstr(logged(), theirs));
	}
}

Test(refusals, a_value_of_another_system_goes_by_its_made_id)
{
	static const char id[] = "jt_live_0000000000000001";
	const char secret[] = "another-systems-value";
	const struct jt_ask ask = {
		.token = {(const uint8_t *)secret, sizeof(secret) - 1}};
	const struct jt_verdict v = {.word = JT_EXPIRED,
				     .id = (const uint8_t *)id};

	cr_expect(jt_refusals_note(&r, JT_EXPIRED, 1, S));
	jt_refusals_name(&r, &ask, &v, 0);
	jt_refusals_tell(&r, S);
	cr_expect_str_eq(logged(), "jetond: refused EXPIRED: "
				   "jt_live_0000000000000001\n");
}

Test(refusals, what_is_no_refusal_is_no_line)
{
	cr_expect_not(jt_refusals_note(&r, JT_VALID, 5, S));
	cr_expect_not(jt_refusals_note(&r, JT_LOADING, 5, S));
	cr_expect_not(jt_refusals_note(&r, JT_REVOKED, 0, S));
	cr_expect_eq(r.n, 0);
	jt_refusals_tell(&r, S);
	cr_expect_str_empty(logged());
}

/* ---- in a round ---- */

static struct jt_round *a_round;
static struct jt_desk desk;
static struct jt_peers peers;
static struct jt_service service;
static struct jt_conn conns[3];

static void type(struct jt_conn *c, const char *command)
{
	memcpy(c->in, command, strlen(command));
	jt_conn_received(c, (int)strlen(command), HELP_BOOT_NS);
}

static void round_of_three(const char *const commands[3])
{
	struct jt_now now = help_now();

	jt_peers_init(&peers, &t.reader, 0);
	a_round = jt_round_new(&t.reader, NULL, &desk, &peers, &service);
	cr_assert_not_null(a_round);
	jt_round_watch(a_round, &r);
	jt_round_begin(a_round, now);
	for (unsigned i = 0; i < 3; i++) {
		conns[i].in = malloc(JT_CONN_IN_BYTES);
		conns[i].out = malloc(JT_CONN_OUT_BYTES);
		jt_conn_open(&conns[i], 7, i + 1, now.boot_ns);
		jt_conn_wants(&conns[i]);
		conns[i].caller = (struct jt_caller){
			.fd = -1, .uid = 11 * (i + 1), .number = 1 + i};
		type(&conns[i], commands[i]);
		jt_round_take(a_round, &conns[i]);
	}
	jt_round_flush(a_round);
	jt_refusals_tell(&r, now.boot_ns);
	cr_expect_gt(conns[2].out_len, 0);
}

Test(refusals, in_a_round_it_is_told_who_asked)
{
	char good[300], bad[300];
	const char *const commands[3] = {good, bad, "VERIFY \"\"\r\n"};
	struct help_token strange;

	help_token_make(&strange, "live");
	snprintf(good, sizeof(good), "PING\r\nMVERIFY 2 %s %s\r\n", token.text,
		 token.text);
	snprintf(bad, sizeof(bad), "VERIFY %s\r\nMVERIFY 2 %s %s\r\n",
		 token.text, token.text, strange.text);
	round_of_three(commands);
	cr_expect_eq(lines(), 2);
	cr_expect_not_null(strstr(logged(), "refused MISSING: a value without "
					    "an id for uid 33\n"));
	cr_expect_not_null(strstr(logged(), " for uid 22\n"));
	cr_expect_not_null(strstr(logged(), strndup(strange.text, 24)));
}

Test(refusals, a_round_in_which_all_is_well_notes_nothing)
{
	char good[100];
	const char *const commands[3] = {good, good, "PING\r\n"};

	snprintf(good, sizeof(good), "VERIFY %s\r\n", token.text);
	round_of_three(commands);
	cr_expect_eq(jt_load_relaxed(&desk.words[JT_VALID]), 2);
	cr_expect_eq(jt_round_verdicts(a_round), 2);
	cr_expect_eq(r.n, 0);
	cr_expect_str_empty(logged());
}
