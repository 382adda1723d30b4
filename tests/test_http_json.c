/* http_json: bodies read, or refused without repeating them; bodies written. */
#include "sidecar/http_json.h"

#include "tests/help_table.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct jt_http_query *q;
static struct help_table t;

static void start(void)
{
	q = calloc(1, sizeof(*q));
	help_table_new(&t, 64);
}

static void stop(void)
{
	jt_http_query_free(q);
	free(q);
}

TestSuite(http_json, .init = start, .fini = stop);

static int read_text(const char *body, bool batch)
{
	jt_http_query_free(q);
	return jt_http_read(q, body, strlen(body), batch);
}

static bool is(struct jt_bytes have, const char *text)
{
	return have.bytes == strlen(text) &&
	       memcmp(have.at, text, have.bytes) == 0;
}

Test(http_json, token_alone_spends_one)
{
	cr_assert_eq(read_text("{\"token\":\"abc\"}", false), JT_HTTP_OK);
	cr_expect_eq(q->n, 1);
	cr_expect(is(q->asks[0].token, "abc"));
	cr_expect_eq(q->asks[0].cost, 1);
	cr_expect_eq(q->asks[0].env, 0);
	cr_expect_not(q->asks[0].env_unknown);
	cr_expect_eq(q->asks[0].n_scopes, 0);
	cr_expect_eq(q->asks[0].told, &q->told[0]);
}

Test(http_json, all_fields)
{
	cr_assert_eq(read_text("{\"cost\":0,\"scopes\":[\"a:b\",\"c:*\"],"
			       "\"env\":\"live\",\"token\":\"\"}",
			       false),
		     JT_HTTP_OK);
	cr_expect_eq(q->asks[0].token.bytes, 0);
	cr_expect_not_null(q->asks[0].token.at);
	cr_expect_eq(q->asks[0].cost, 0);
	cr_expect_eq(q->asks[0].env, jt_env_word("live", 4));
	cr_expect_eq(q->asks[0].n_scopes, 2);
	cr_expect(is(q->asks[0].scopes[0], "a:b"));
	cr_expect(is(q->asks[0].scopes[1], "c:*"));
	cr_expect_eq(read_text("{\"token\":\"\",\"cost\":4294967295}", false),
		     JT_HTTP_OK);
}

Test(http_json, environment_that_is_no_name_fits_no_token)
{
	cr_assert_eq(read_text("{\"token\":\"a\",\"env\":\"Live!\"}", false),
		     JT_HTTP_OK);
	cr_expect(q->asks[0].env_unknown);
}

Test(http_json, bad_bodies_are_refused)
{
	static const struct {
		const char *body;
		int e;
	} bad[] = {
		{"", JT_HTTP_E_JSON},
		{"jt_live_x", JT_HTTP_E_JSON},
		{"{\"token\":\"a\"", JT_HTTP_E_JSON},
		{"{\"token\":\"a\"} x", JT_HTTP_E_JSON},
		{"{\"token\":\"a\",\"token\":\"b\"}", JT_HTTP_E_JSON},
		{"{\"token\":\"a\\u0000b\"}", JT_HTTP_E_JSON},
		{"{\"token\":\"\xff\"}", JT_HTTP_E_JSON},
		{"[]", JT_HTTP_E_OBJECT},
		{"{}", JT_HTTP_E_TOKEN},
		{"{\"token\":1}", JT_HTTP_E_TOKEN},
		{"{\"token\":null}", JT_HTTP_E_TOKEN},
		{"{\"token\":\"a\",\"Token\":\"a\"}", JT_HTTP_E_FIELD},
		{"{\"token\":\"a\",\"env\":1}", JT_HTTP_E_ENV},
		{"{\"token\":\"a\",\"scopes\":\"b\"}", JT_HTTP_E_SCOPES},
		{"{\"token\":\"a\",\"scopes\":[1]}", JT_HTTP_E_SCOPES},
		{"{\"token\":\"a\",\"scopes\":[\"a b\"]}", JT_HTTP_E_SCOPES},
		{"{\"token\":\"a\",\"scopes\":[\"\"]}", JT_HTTP_E_SCOPES},
		{"{\"token\":\"a\",\"scopes\":[\"a\",\"a\",\"a\",\"a\",\"a\","
		 "\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\","
		 "\"a\",\"a\"]}",
		 JT_HTTP_E_SCOPES},
		{"{\"token\":\"a\",\"cost\":-1}", JT_HTTP_E_COST},
		{"{\"token\":\"a\",\"cost\":1.0}", JT_HTTP_E_COST},
		{"{\"token\":\"a\",\"cost\":\"1\"}", JT_HTTP_E_COST},
		{"{\"token\":\"a\",\"cost\":4294967296}", JT_HTTP_E_COST},
		{"{\"token\":\"a\",\"cost\":18446744073709551617}",
		 JT_HTTP_E_JSON},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(read_text(bad[i].body, false), bad[i].e, "%s",
			     bad[i].body);
}

Test(http_json, deep_nesting_is_refused)
{
	static char deep[60000];

	memset(deep, '[', sizeof(deep));
	cr_expect_eq(jt_http_read(q, deep, sizeof(deep), false),
		     JT_HTTP_E_JSON);
}

/* A batch of so many. */
static char *batch_of(unsigned n)
{
	char *text = malloc(n * 16 + 32), *at = text;

	at += sprintf(at, "{\"tokens\":[");
	for (unsigned i = 0; i < n; i++)
		at += sprintf(at, "%s{\"token\":\"x\"}", i ? "," : "");
	sprintf(at, "]}");
	return text;
}

Test(http_json, batch_of_one_to_a_thousand)
{
	static const unsigned sizes[] = {0, 1, 999, 1000, 1001};

	for (size_t i = 0; i < 5; i++) {
		char *text = batch_of(sizes[i]);
		bool fits = sizes[i] >= 1 && sizes[i] <= 1000;

		cr_expect_eq(read_text(text, true),
			     fits ? JT_HTTP_OK : JT_HTTP_E_TOKENS);
		cr_expect_eq(q->n, fits ? sizes[i] : 0);
		free(text);
	}
}

Test(http_json, element_of_a_batch_that_is_wrong_is_told)
{
	cr_expect_eq(read_text("{\"tokens\":[{\"token\":\"a\"},"
			       "{\"token\":\"b\",\"cost\":-1}]}",
			       true),
		     JT_HTTP_E_COST);
	cr_expect_eq(q->bad, 1);
	cr_expect_eq(read_text("{\"tokens\":[{\"token\":\"a\"},{},3]}", true),
		     JT_HTTP_E_TOKEN);
	cr_expect_eq(read_text("{\"tokens\":[\"a\"]}", true), JT_HTTP_E_TOKENS);
	cr_expect_eq(q->bad, 0);
}

Test(http_json, batch_has_one_field)
{
	cr_expect_eq(read_text("{\"tokens\":{}}", true), JT_HTTP_E_TOKENS);
	cr_expect_eq(read_text("{}", true), JT_HTTP_E_BATCH);
	cr_expect_eq(read_text("{\"tokens\":[{\"token\":\"a\"}],\"env\":\"a\"}",
			       true),
		     JT_HTTP_E_BATCH);
	cr_expect_eq(read_text("{\"token\":\"a\"}", true), JT_HTTP_E_BATCH);
}

static int form(const char *body, char decoded[64])
{
	static char copy[128];
	struct jt_bytes token = {0};
	int e;

	strcpy(copy, body);
	e = jt_http_read_form(copy, strlen(copy), &token);
	snprintf(decoded, 64, "%.*s", e ? 0 : (int)token.bytes,
		 (const char *)token.at);
	return e;
}

Test(http_json, forms_are_decoded)
{
	static const char *const good[][2] = {
		{"token=abc", "abc"},
		{"token_type_hint=access_token&token=abc", "abc"},
		{"token=abc&x", "abc"},
		{"token=a%62c+%2B", "abc +"},
		{"token=%e9%C3", "\xe9\xc3"},
		{"token=", ""},
		{"&&token=a=b&", "a=b"},
	};
	char have[64];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		cr_expect_eq(form(good[i][0], have), JT_HTTP_OK, "%s",
			     good[i][0]);
		cr_expect_str_eq(have, good[i][1]);
	}
}

Test(http_json, bad_forms_are_refused)
{
	static const char *const bad[] = {
		"",	     "token",		"Token=a",    "xtoken=a",
		"token=%",   "token=%4",	"token=%4&x", "token=%zz",
		"token=%g1", "token=a&token=a", "tok%65n=a",
	};
	char have[64];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(form(bad[i], have), JT_HTTP_E_FORM, "%s", bad[i]);
}

/* ---- out ---- */

static void expect_text(char *have, const char *wanted)
{
	cr_expect_str_eq(have, wanted);
	jt_http_text_free(have);
}

Test(http_json, problems_have_the_members_of_rfc_9457)
{
	expect_text(jt_http_write_problem(400, "BAD_REQUEST", "why"),
		    "{\"type\":\"about:blank\",\"title\":\"Bad Request\","
		    "\"status\":400,\"detail\":\"why\","
		    "\"code\":\"BAD_REQUEST\"}");
	expect_text(jt_http_write_bad_element("why", 7),
		    "{\"type\":\"about:blank\",\"title\":\"Bad Request\","
		    "\"status\":400,\"detail\":\"why\","
		    "\"code\":\"BAD_REQUEST\",\"element\":7}");
}

static json_t *written(const struct jt_verdict *v)
{
	char *text = jt_http_write_verdict(&t.reader, v, 42);
	json_t *o = json_loads(text, 0, NULL);

	jt_http_text_free(text);
	cr_assert_not_null(o);
	return o;
}

static const char *text_in(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));

	return text ? text : "(none)";
}

Test(http_json, valid_is_no_problem)
{
	struct help_token token;
	struct jt_verdict v;
	struct jt_ask ask;
	json_t *o;

	help_issue(&t, &token);
	ask = help_ask(&token);
	v = help_verify(&t, &ask, help_now());
	o = written(&v);
	cr_expect_str_eq(text_in(o, "verdict"), "VALID");
	cr_expect_null(json_object_get(o, "code"));
	cr_expect_null(json_object_get(o, "type"));
	cr_expect_eq(json_integer_value(json_object_get(o, "applied")), 42);
	cr_expect_eq(strlen(text_in(o, "id")), 24);
	json_decref(o);
}

Test(http_json, every_refusal_is_a_problem_with_its_word)
{
	for (unsigned w = 0; w < JT_VALID; w++) {
		struct jt_verdict v = {.word = (enum jt_word)w};
		json_t *o = written(&v);

		cr_expect_str_eq(text_in(o, "code"),
				 jt_word_name((enum jt_word)w));
		cr_expect_eq(json_integer_value(json_object_get(o, "status")),
			     jt_word_status((enum jt_word)w));
		cr_expect_str_neq(text_in(o, "detail"), "(none)");
		json_decref(o);
	}
}

Test(http_json, notes_are_words)
{
	const uint8_t scope[] = "a:b";
	struct jt_verdict v = {
		.word = JT_INSUFFICIENT_SCOPE,
		.notes = JT_NOTE_OLD_VALUE | JT_NOTE_SCOPE,
		.scope = {scope, 3},
	};
	json_t *o = written(&v), *notes = json_object_get(o, "notes");

	cr_expect_eq(json_array_size(notes), 2);
	cr_expect_str_eq(json_string_value(json_array_get(notes, 0)),
			 "OLD_VALUE");
	cr_expect_str_eq(json_string_value(json_array_get(notes, 1)),
			 "SCOPE:a:b");
	json_decref(o);
}

Test(http_json, owner_that_is_no_text_is_left_out)
{
	const uint8_t owner[] = "\xff\xfe";
	struct jt_verdict v = {.word = JT_VALID, .owner = {owner, 2}};
	json_t *o = written(&v);

	cr_expect_str_eq(text_in(o, "owner"), "");
	json_decref(o);
}

Test(http_json, what_is_not_active_tells_nothing_else)
{
	for (unsigned w = 0; w < JT_VALID; w++) {
		struct jt_verdict v = {
			.word = (enum jt_word)w,
			.id = (const uint8_t *)"jt_live_Zk3mQ0v9XyTb41Rw"};

		expect_text(
			jt_http_write_introspection(&t.reader, &v, help_now()),
			"{\"active\":false}");
	}
}

Test(http_json, what_is_active_has_the_members_of_rfc_7662)
{
	struct jt_verdict v = {
		.word = JT_VALID,
		.id = (const uint8_t *)"jt_live_Zk3mQ0v9XyTb41Rw",
		.owner = {(const uint8_t *)"me", 2},
		.expires_in_s = 100};

	expect_text(jt_http_write_introspection(&t.reader, &v, help_now()),
		    "{\"active\":true,\"scope\":\"\",\"client_id\":\"me\","
		    "\"sub\":\"jt_live_Zk3mQ0v9XyTb41Rw\",\"exp\":1800000100,"
		    "\"token_type\":\"Bearer\"}");
}
