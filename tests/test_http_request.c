/* http_request: routes, policies and credentials, and what is none of them. */
#include "sidecar/http_request.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <string.h>

#define TOKEN                                                                  \
	"jt_live_Zk3mQ0v9XyTb41Rw"                                             \
	"0123456789abcdefghijABCDEFGHIJ0123456789"

#define BEARER JT_CREDENTIAL_BEARER
#define KEY JT_CREDENTIAL_API_KEY
#define BASIC JT_CREDENTIAL_BASIC
#define ALL (BEARER | KEY | BASIC)

static struct jt_http_request q;
static uint8_t scratch[JT_HTTP_HEAD_MAX];
static struct jt_bytes token;

static enum jt_http_route route(const char *method, const char *path)
{
	jt_http_begin(&q, method, path);
	return q.route;
}

static void field(const char *name, const char *value)
{
	jt_http_field(&q, name, strlen(name), value, strlen(value));
}

/* A request for a policy with one Authorization. */
static enum jt_http_credential read_as(const char *authorization,
				       uint8_t credentials)
{
	route("GET", "/auth/p");
	field("Authorization", authorization);
	return jt_http_token(&q, credentials, scratch, &token);
}

static void expect_token(const char *text)
{
	cr_expect_eq(token.bytes, strlen(text), "%u bytes", token.bytes);
	cr_expect_eq(memcmp(token.at, text, token.bytes), 0);
}

static void expect_policy(const char *path, const char *name)
{
	cr_expect_eq(route("GET", path), JT_HTTP_AUTH, "%s", path);
	cr_expect_eq(q.policy.bytes, strlen(name), "%s", path);
	cr_expect_eq(memcmp(q.policy.at, name, q.policy.bytes), 0);
}

Test(http_request, policy_is_the_second_part_of_the_path_whatever_follows)
{
	expect_policy("/auth/default", "default");
	expect_policy("/auth/default/", "default");
	expect_policy("/auth/a/b/c", "a");
	expect_policy("/auth/a//auth/b", "a");
	expect_policy("/auth/", "");
	expect_policy("/auth//a", "");
	expect_policy("/auth/a%2fb", "a%2fb");
	expect_policy("/auth/a;b", "a;b");
}

Test(http_request, routes_are_these_and_no_others)
{
	static const char *const none[] = {
		"",
		"/",
		"*",
		"/auth",
		"/Auth/a",
		"//auth/a",
		"/livez/",
		"/LIVEZ",
		"/v1/verify/",
		"/v1",
		"/v1/verify/x",
		"http://h/auth/a",
		"/x/../livez",
		"/%6civez",
		"/introspect?token=x",
	};

	cr_expect_eq(route("POST", "/v1/verify"), JT_HTTP_VERIFY);
	cr_expect_eq(route("POST", "/v1/verify/batch"), JT_HTTP_BATCH);
	cr_expect_eq(route("POST", "/introspect"), JT_HTTP_INTROSPECT);
	cr_expect_eq(route("GET", "/livez"), JT_HTTP_LIVEZ);
	cr_expect_eq(route("GET", "/readyz"), JT_HTTP_READYZ);
	cr_expect_eq(route("GET", "/version"), JT_HTTP_VERSION);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		cr_expect_eq(route("GET", none[i]), JT_HTTP_NOWHERE, "%s",
			     none[i]);
}

static bool fits(const char *method, const char *path)
{
	route(method, path);
	return !q.wrong_method;
}

Test(http_request, methods_fit_their_routes)
{
	cr_expect(fits("PURGE", "/auth/p"));
	cr_expect(fits("POST", "/auth/p/x"));
	cr_expect(fits("HEAD", "/livez"));
	cr_expect(fits("GET", "/version"));
	cr_expect(fits("POST", "/introspect"));
	cr_expect_not(fits("POST", "/livez"));
	cr_expect_not(fits("get", "/livez"));
	cr_expect_not(fits("GET", "/introspect"));
	cr_expect_not(fits("PUT", "/v1/verify"));
	cr_expect_not(fits("", "/v1/verify/batch"));
	cr_expect_str_eq(jt_http_allow(JT_HTTP_VERIFY), "POST");
	cr_expect_str_eq(jt_http_allow(JT_HTTP_READYZ), "GET, HEAD");
}

Test(http_request, bearer_in_any_case)
{
	static const char *const schemes[] = {"Bearer", "bearer", "BEARER"};
	char text[128];

	for (size_t i = 0; i < 3; i++) {
		snprintf(text, sizeof(text), "%s " TOKEN, schemes[i]);
		cr_expect_eq(read_as(text, BEARER), JT_HTTP_ONE);
		expect_token(TOKEN);
	}
	route("GET", "/auth/p");
	field("aUTHORIZATION", "Bearer " TOKEN);
	cr_expect_eq(jt_http_token(&q, BEARER, scratch, &token), JT_HTTP_ONE);
	expect_token(TOKEN);
}

Test(http_request, blanks_around_a_token_stay_with_it)
{
	cr_expect_eq(read_as("Bearer  " TOKEN, BEARER), JT_HTTP_ONE);
	expect_token(" " TOKEN);
	cr_expect_eq(read_as("Bearer " TOKEN " \t", BEARER), JT_HTTP_ONE);
	expect_token(TOKEN " \t");
}

Test(http_request, no_token_is_an_empty_one)
{
	static const char *const none[] = {
		"",	     "Bearer",	       "Bearer ",
		"Bearer   ", "Digest x",       "Bearer\t" TOKEN,
		TOKEN,	     "Bearers " TOKEN, "Bear",
		" ",
	};

	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		cr_expect_eq(read_as(none[i], BEARER), JT_HTTP_ONE, "%s",
			     none[i]);
		cr_expect_eq(token.bytes, 0, "%s", none[i]);
	}
	route("GET", "/auth/p");
	cr_expect_eq(jt_http_token(&q, ALL, scratch, &token), JT_HTTP_ONE);
	cr_expect_eq(token.bytes, 0);
}

Test(http_request, bearer_is_one_token68)
{
	cr_expect_eq(read_as("Bearer a-._~+/9Z=", BEARER), JT_HTTP_ONE);
	cr_expect_eq(read_as("Bearer a b", BEARER), JT_HTTP_UNFIT);
	cr_expect_eq(read_as("Bearer " TOKEN ", x", BEARER), JT_HTTP_UNFIT);
	cr_expect_eq(read_as("Bearer \"" TOKEN "\"", BEARER), JT_HTTP_UNFIT);
	cr_expect_eq(read_as("Bearer secret-token:x", BEARER), JT_HTTP_UNFIT);
	cr_expect_eq(read_as("Bearer \xc3\xa9", BEARER), JT_HTTP_UNFIT);
	route("GET", "/auth/p");
	jt_http_field(&q, "Authorization", 13, "Bearer a\0b", 10);
	cr_expect_eq(jt_http_token(&q, BEARER, scratch, &token), JT_HTTP_UNFIT);
}

Test(http_request, two_authorizations_are_none)
{
	route("GET", "/auth/p");
	field("Authorization", "Bearer " TOKEN);
	field("authorization", "Bearer " TOKEN);
	cr_expect_eq(q.n_authorization, 2);
	cr_expect_eq(jt_http_token(&q, BEARER, scratch, &token),
		     JT_HTTP_SEVERAL);
	cr_expect_eq(token.bytes, 0);
}

Test(http_request, api_key_only_where_the_policy_takes_it)
{
	route("GET", "/auth/p");
	field("x-api-key", TOKEN " ");
	cr_expect_eq(jt_http_token(&q, BEARER, scratch, &token), JT_HTTP_ONE);
	cr_expect_eq(token.bytes, 0);
	cr_expect_eq(jt_http_token(&q, KEY, scratch, &token), JT_HTTP_ONE);
	expect_token(TOKEN " ");
	field("X-Api-Key", "x");
	cr_expect_eq(jt_http_token(&q, KEY, scratch, &token), JT_HTTP_SEVERAL);
	cr_expect_eq(jt_http_token(&q, BEARER, scratch, &token), JT_HTTP_ONE);
}

Test(http_request, key_and_authorization_at_once_are_none)
{
	route("GET", "/auth/p");
	field("X-API-Key", "a");
	field("Authorization", "Bearer b");
	cr_expect_eq(jt_http_token(&q, ALL, scratch, &token), JT_HTTP_SEVERAL);
	cr_expect_eq(token.bytes, 0);
	/* each alone is all that these policies look at */
	cr_expect_eq(jt_http_token(&q, KEY, scratch, &token), JT_HTTP_ONE);
	expect_token("a");
	cr_expect_eq(jt_http_token(&q, BEARER, scratch, &token), JT_HTTP_ONE);
	expect_token("b");
}

static enum jt_http_credential read_basic(const char *plain,
					  uint8_t credentials)
{
	char text[512] = "Basic ";

	sodium_bin2base64(text + 6, sizeof(text) - 6, (const uint8_t *)plain,
			  strlen(plain), sodium_base64_VARIANT_ORIGINAL);
	return read_as(text, credentials);
}

Test(http_request, basic_has_the_token_for_a_password)
{
	cr_expect_eq(read_basic("user:" TOKEN, BASIC), JT_HTTP_ONE);
	expect_token(TOKEN);
	cr_expect_eq(read_basic(":" TOKEN, ALL), JT_HTTP_ONE);
	expect_token(TOKEN);
	cr_expect_eq(read_basic("u:a:b", BASIC), JT_HTTP_ONE);
	expect_token("a:b");
	cr_expect_eq(read_basic("u:", BASIC), JT_HTTP_ONE);
	cr_expect_eq(token.bytes, 0);
	cr_expect_eq(read_basic("u:" TOKEN, BEARER), JT_HTTP_ONE);
	cr_expect_eq(token.bytes, 0);
}

Test(http_request, basic_that_cannot_be_read_is_refused)
{
	static const char *const bad[] = {
		"Basic",	 "Basic ",	   "Basic !!!!",
		"Basic dTp3=",	 "Basic dXNlcg==", "Basic dTpw dTpw",
		"Basic dTp3_-A", "Basic dTpw\"",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(read_as(bad[i], BASIC), JT_HTTP_UNFIT, "%s",
			     bad[i]);
}

Test(http_request, longest_basic_fits_the_scratch)
{
	static char text[JT_HTTP_HEAD_MAX + 8] = "Basic ";

	memset(text + 6, 'A', sizeof(text) - 8);
	cr_expect_eq(read_as(text, BASIC), JT_HTTP_UNFIT); /* no colon */
}

static bool has_body(const char *name, const char *value)
{
	route("GET", "/auth/p");
	field(name, value);
	return q.has_body;
}

Test(http_request, a_body_is_there_when_it_is_claimed)
{
	cr_expect_not(has_body("Content-Length", "0"));
	cr_expect_not(has_body("Content-Length", "000 "));
	cr_expect_not(has_body("Content-Type", "7"));
	cr_expect(has_body("content-length", "7"));
	cr_expect_eq(q.body_bytes, 7);
	cr_expect(has_body("Content-Length", "-1"));
	cr_expect(has_body("Content-Length", ""));
	cr_expect(has_body("Content-Length", "0x0"));
	cr_expect(has_body("Content-Length", "99999999999999999999999"));
	cr_expect_eq(q.body_bytes, UINT64_MAX);
	cr_expect_not(q.chunked);
	cr_expect(has_body("Transfer-Encoding", "identity"));
	cr_expect(q.chunked);
}

Test(http_request, of_several_lengths_the_largest_counts)
{
	route("GET", "/auth/p");
	field("Content-Length", "0");
	field("Content-Length", "9");
	field("Content-Length", "0");
	cr_expect(q.has_body);
	cr_expect_eq(q.body_bytes, 9);
}

Test(http_request, body_has_one_end_or_it_is_unclear)
{
	route("POST", "/v1/verify");
	field("Content-Length", "9");
	cr_expect_not(q.unclear);
	field("content-length", "9");
	cr_expect(q.unclear);
	route("POST", "/v1/verify");
	field("Transfer-Encoding", "chunked");
	cr_expect_not(q.unclear);
	field("Content-Length", "9");
	cr_expect(q.unclear);
}

Test(http_request, head_is_counted_with_its_line_ends)
{
	route("GET", "/auth/p");
	cr_expect_eq(q.head_bytes, strlen("GET/auth/p"));
	field("A", "bc");
	field("D", "");
	cr_expect_eq(q.head_bytes, strlen("GET/auth/pA: bc\r\nD: \r\n"));
}
