/* trace: jt_verify_id() against jt_verify(), and WHY on the wire. */
#include "sidecar/command_table.h"
#include "sidecar/ledger.h"

#include "tests/help_record.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define S 1000000000ull
#define DAY_S 86400u

static struct help_table t;
static struct jt_ledger l;
static uint64_t number;
static struct help_token token;
static struct jt_record r;
static struct jt_now now;

static void must(struct jt_record record)
{
	record.number = ++number;
	cr_assert_eq(jt_ledger_apply(&l, &record), 0);
}

static void start(void)
{
	help_table_new(&t, 64);
	cr_assert_eq(jt_ledger_init(&l, &t.maps), 0);
	now = help_now();
	l.now = now;
	must(help_scope_record(1, "a:read"));
	must(help_set_record(1, 1, 1));
	must(help_plan_record(1, "", 2, 4));
	help_token_make(&token, "live");
	r = help_create(&token);
	r.token.plan = 0;
	r.token.own = 1;
	r.token.scope_set = 1;
	must(r);
}

static void stop(void)
{
	jt_ledger_deinit(&l);
}

TestSuite(trace, .init = start, .fini = stop);

static struct jt_trace trace_of(const char *id, const struct jt_ask *ask)
{
	struct jt_trace trace;

	cr_assert(jt_verify_id(&t.reader, id, ask, now, &trace));
	return trace;
}

/* What VERIFY says of the same request; it spends, so the words are put back.
 */
static enum jt_word word_of(struct jt_ask ask)
{
	struct jt_meter *m = help_meter(&t, &token);
	uint64_t rate = m->rate, quota = m->quota;
	enum jt_word word;

	ask.token = (struct jt_bytes){(const uint8_t *)token.text, 64};
	word = help_verify(&t, &ask, now).word;
	m->rate = rate;
	m->quota = quota;
	return word;
}

static struct jt_bytes bytes(const char *text)
{
	return (struct jt_bytes){(const uint8_t *)text, (uint32_t)strlen(text)};
}

/* Each question with each answer, alone and together. */
static void compare_all(void)
{
	const struct jt_bytes scopes[] = {bytes("a:read"), bytes("b:write")};
	const uint64_t envs[] = {0, jt_env_word("live", 4),
				 jt_env_word("test", 4)};

	for (unsigned i = 0; i < 3 * 3 * 6; i++) {
		struct jt_ask ask = {.env = envs[i % 3],
				     .n_scopes = i / 3 % 3,
				     .scopes = scopes,
				     .cost = i / 9};
		struct jt_trace trace = trace_of(token.text, &ask);
		enum jt_word word = word_of(ask);

		cr_expect_eq(trace.word, word, "%u: %s, not %s", i,
			     jt_word_name(trace.word), jt_word_name(word));
		cr_expect_eq(trace.failed == 0, word == JT_VALID);
	}
}

Test(trace, agrees_with_verify_in_every_state)
{
	compare_all();
	for (unsigned i = 0; i < 3; i++) {
		struct jt_ask ask = help_ask(&token);

		help_verify(&t, &ask, now);
		compare_all();
	}
	r.token.flags = JT_TOKEN_SUSPENDED;
	must(help_as(r, JT_REC_SUSPEND));
	compare_all();
	now.wall_s = HELP_LATER_S - 1;
	compare_all();
	now.wall_s = HELP_LATER_S;
	compare_all();
	r.token.flags = 0;
	must(help_as(r, JT_REC_RESUME));
	compare_all();
	must(help_as(r, JT_REC_REVOKE));
	compare_all();
}

Test(trace, changes_nothing)
{
	struct jt_meter *m = help_meter(&t, &token);
	struct jt_ask ask = help_ask(&token);
	struct jt_meter before;

	help_verify(&t, &ask, now);
	memcpy(&before, m, sizeof(before));
	for (ask.cost = 0; ask.cost < 9; ask.cost++) {
		trace_of(token.text, &ask);
		cr_expect_eq(memcmp(&before, m, sizeof(before)), 0);
	}
	ask.env = jt_env_word("test", 4);
	trace_of(token.text, &ask);
	cr_expect_eq(memcmp(&before, m, sizeof(before)), 0);
}

Test(trace, tells_what_is_behind_the_first_refusal)
{
	const struct jt_bytes scopes[] = {bytes("b"), bytes("a:read"),
					  bytes("c")};
	struct jt_ask ask = {.env = jt_env_word("test", 4),
			     .n_scopes = 3,
			     .scopes = scopes,
			     .cost = 5};
	struct jt_trace trace;

	r.token.flags = JT_TOKEN_SUSPENDED;
	must(help_as(r, JT_REC_SUSPEND));
	now.wall_s = HELP_LATER_S;
	trace = trace_of(token.text, &ask);
	cr_expect_eq(trace.word, JT_WRONG_ENVIRONMENT);
	cr_expect_eq(trace.failed, JT_TRACE_BIT(JT_WRONG_ENVIRONMENT) |
					   JT_TRACE_BIT(JT_SUSPENDED) |
					   JT_TRACE_BIT(JT_EXPIRED) |
					   JT_TRACE_BIT(JT_INSUFFICIENT_SCOPE) |
					   JT_TRACE_BIT(JT_RATE_LIMITED));
	cr_expect_eq(trace.lacking, 5);
	cr_expect_eq(trace.env, jt_env_word("live", 4));
	cr_expect(trace.notes & JT_NOTE_NEVER);
	cr_expect_eq(trace.rate.limit, 4);
	cr_expect_eq(trace.rate.remaining, 4);
	cr_expect_eq(trace.rate.retry_after_ms, -1);
}

Test(trace, finds_both_values_of_a_rotation)
{
	struct jt_ask ask = {.cost = 1};
	struct help_token second;
	struct jt_trace trace = trace_of(token.text, &ask);

	cr_expect_eq(trace.old_until_s, 0);
	help_rotate(&r, &second, HELP_NOW_S + DAY_S);
	must(r);
	trace = trace_of(token.text, &ask);
	cr_expect_eq(trace.word, JT_VALID);
	cr_expect_eq(trace.expires_s, HELP_LATER_S);
	cr_expect_eq(trace.old_until_s, HELP_NOW_S + DAY_S);
	cr_expect(trace.old_works);
	now.wall_s += DAY_S;
	trace = trace_of(token.text, &ask);
	cr_expect_eq(trace.word, JT_VALID);
	cr_expect_not(trace.old_works);
}

Test(trace, finds_a_value_of_another_system_and_its_rotation)
{
	struct jt_record made = help_import("legacy-key", JT_VALUE_SHA256);
	struct jt_ask ask = {.cost = 1};
	struct help_token second;
	struct jt_trace trace;

	must(made);
	trace = trace_of(made.token.id, &ask);
	cr_expect_eq(trace.word, JT_VALID);
	help_rotate(&made, &second, HELP_NOW_S + DAY_S);
	must(made);
	trace = trace_of(made.token.id, &ask);
	cr_expect_eq(trace.word, JT_VALID);
	cr_expect_eq(trace.old_until_s, HELP_NOW_S + DAY_S);
	cr_expect(trace.old_works);
	/* the same digits in another environment are another id */
	memcpy(made.token.id + 3, "test", 4);
	cr_expect_eq(trace_of(made.token.id, &ask).word, JT_UNKNOWN);
}

Test(trace, id_that_nobody_has_is_unknown)
{
	struct jt_ask ask = {.cost = 1};
	struct help_token nobody;

	help_token_make(&nobody, "live");
	cr_expect_eq(trace_of(nobody.text, &ask).word, JT_UNKNOWN);
	cr_expect_eq(trace_of(nobody.text, &ask).failed,
		     JT_TRACE_BIT(JT_UNKNOWN));
}

Test(trace, meter_line_or_plan_out_of_range_denies)
{
	struct jt_ask ask = {.cost = 1};
	struct jt_trace trace;
	struct jt_view view;
	struct jt_slot *slot;

	cr_assert(help_find(&t.reader, &token, &view));
	slot = help_slot(&t, view.slot);
	slot->b = jt_word_b(jt_b_meter(view.b), 9, 0);
	trace = trace_of(token.text, &ask);
	cr_expect_eq(trace.word, JT_RATE_LIMITED);
	cr_expect(trace.notes & JT_NOTE_NEVER);
	slot->b = jt_word_b(UINT32_MAX, 0, 0);
	cr_expect_eq(trace_of(token.text, &ask).word, JT_UNKNOWN);
}

Test(trace, while_loading_there_is_none)
{
	struct jt_ask ask = {.cost = 1};
	struct jt_trace trace;

	jt_store_seq(&t.maps.identity_rw->state, JT_IDENTITY_LOADING);
	cr_expect_not(jt_verify_id(&t.reader, token.text, &ask, now, &trace));
}

/* ---- on the wire ---- */

static bool explain(void *ctx, const char id[JT_PUBLIC_BYTES],
		    const struct jt_ask *ask, struct jt_trace *trace)
{
	return jt_verify_id(&t.reader, id, ask, now, trace);
}

/* @ is the id, # the whole value, < an id that is too short. */
static void expand(const char *line, char copy[2048])
{
	for (; *line; line++) {
		int n = *line == '@' ? 24 : *line == '#' ? 64 : 23;

		if (*line == '@' || *line == '#' || *line == '<')
			copy += sprintf(copy, "%.*s", n, token.text);
		else
			*copy++ = *line;
	}
	*copy = '\0';
}

static struct jt_rule rule = {.verify = 1};

static const char *run(const char *line)
{
	const struct jt_service service = {.rule = &rule, .why = explain};
	static uint8_t reply[JT_REPLY_MAX + 1];
	struct jt_bytes args[JT_RESP_ARGS_MAX];
	struct jt_out out = {reply, 0, JT_REPLY_MAX, 0, false};
	struct jt_client client;
	char copy[2048];
	size_t n = 0;

	expand(line, copy);
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		args[n++] = bytes(word);
	jt_client_init(&client, 1, 0);
	jt_command_run(&client, &service, args, n, &out);
	cr_assert_not(out.overflow);
	reply[out.len] = '\0';
	return (const char *)reply;
}

#define STEP(bytes, word, ok, detail)                                          \
	"*3\r\n$" #bytes "\r\n" word "\r\n:" #ok "\r\n" detail "\r\n"

Test(trace, reply_is_verdict_notes_and_steps)
{
	cr_expect_str_eq(
		run("why @ SCOPE b:c ENV live COST 5"),
		"*3\r\n$18\r\nINSUFFICIENT_SCOPE\r\n$9\r\nSCOPE:b:c\r\n*"
		"8\r\n" STEP(7, "UNKNOWN", 1, "$0\r\n") STEP(
			17, "WRONG_ENVIRONMENT", 1,
			"$4\r\nlive") STEP(7, "REVOKED", 1, "$0\r\n")
			STEP(9, "SUSPENDED", 1, "$0\r\n") STEP(
				7, "EXPIRED", 1, "$20\r\n2027-02-14T08:00:00Z")
				STEP(18, "INSUFFICIENT_SCOPE", 0,
				     "$3\r\nb:c") STEP(14, "QUOTA_EXCEEDED", 1,
						       "$8\r\nno limit")
					STEP(12, "RATE_LIMITED", 0,
					     "$49\r\n4 of 4 left, all again in "
					     "0 ms, never for so many"));
}

Test(trace, longest_reply_fits_beside_others)
{
	char line[2048] = "WHY @", scope[64];

	for (int i = 0; i < 16; i++) {
		snprintf(scope, sizeof(scope), " SCOPE s%02d%045d", i, 0);
		strcat(line, scope);
	}
	cr_expect(strstr(run(line), "INSUFFICIENT_SCOPE"));
	cr_expect_lt(strlen(run(line)), 4096);
}

Test(trace, errors_repeat_nothing)
{
	static const char id[] =
		"-ERR WHY takes the id of a token, the first 24 characters of "
		"its value\r\n";

	cr_expect_str_eq(run("WHY #"), id);
	cr_expect_str_eq(run("WHY x"), id);
	cr_expect_str_eq(run("WHY <"), id);
	cr_expect_str_eq(run("WHY"), "-ERR wrong number of arguments for "
				     "'why' command\r\n");
	cr_expect_str_eq(run("WHY @ ENV"),
			 "-ERR syntax error: unknown option, or one given "
			 "twice\r\n");
	jt_store_seq(&t.maps.identity_rw->state, JT_IDENTITY_LOADING);
	cr_expect_str_eq(run("WHY @"), "-" JT_ERROR_LOADING "\r\n");
}

Test(trace, confined_caller_is_told_why_an_environment_is_closed)
{
	rule.n_envs = 1;
	rule.envs[0] = jt_env_word("test", 4);
	cr_expect(strstr(run("WHY @"), "$17\r\nWRONG_ENVIRONMENT\r\n$0\r\n"));
	cr_expect(strstr(run("WHY @"),
			 STEP(17, "WRONG_ENVIRONMENT", 0,
			      "$27\r\nlive, not open to this user")));
	rule.envs[0] = jt_env_word("live", 4);
	cr_expect(strstr(run("WHY @"),
			 STEP(17, "WRONG_ENVIRONMENT", 1, "$4\r\nlive")));
}

Test(trace, caller_who_may_not_verify_may_not_ask_why)
{
	rule.verify = 0;
	cr_expect_eq(strncmp(run("WHY @"), "-NOPERM ", 8), 0);
	cr_expect_eq(strncmp(run("WHY nonsense"), "-NOPERM ", 8), 0);
}
