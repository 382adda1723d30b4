/*
 * fuzz_http: the first byte chooses what the rest is: a request's head, a JSON
 * body of one or of many, or a form. A head is a method, a path and fields, a
 * line each; it is answered under a policy of the second byte, with a verdict
 * of the third, and no value of the answer may leave its line. Bodies are read
 * from a buffer of just their size; what was read is within it, and what is
 * written about it is JSON.
 */
#include "sidecar/http_answer.h"
#include "sidecar/http_json.h"
#include "sidecar/http_request.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX 65536u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct jt_http_query query;
static struct jt_http_answer answer;
static struct jt_identity identity;
static struct jt_scopes scopes;
static const struct jt_maps maps = {.identity = &identity, .scopes = &scopes};

static bool is_within(struct jt_bytes part, const void *at, size_t bytes)
{
	return part.at >= (const uint8_t *)at &&
	       part.at + part.bytes <= (const uint8_t *)at + bytes;
}

/* The next line of *ATP, ended; NULL: none is left. */
static char *next_line(char **atp, char *end)
{
	char *line = *atp, *stop;

	if (line >= end)
		return NULL;
	stop = memchr(line, '\n', (size_t)(end - line));
	stop = stop ? stop : end;
	*stop = '\0';
	*atp = stop + 1;
	return line;
}

static void check_answer(struct jt_bytes owner, uint8_t policy_bits,
			 uint8_t verdict_bits)
{
	struct jt_policy policy = {
		.legacy = policy_bits % 3,
		.hide_verdict = policy_bits >> 2 & 1,
	};
	struct jt_told told = {
		.bounds = {.interval_ns = policy_bits & 8u ? 1000 : 0,
			   .burst = policy_bits & 8u ? 5 : 0,
			   .quota = policy_bits & 16u,
			   .quota_unit = policy_bits % JT_QUOTA_UNITS},
	};
	struct jt_ask ask = {.n_scopes = policy_bits >> 6,
			     .scopes = (struct jt_bytes[]){owner, owner, owner},
			     .told = &told};
	struct jt_verdict v = {
		.word = (enum jt_word)(verdict_bits % JT_WORDS_N),
		.owner = owner,
		.id = owner.bytes >= JT_PUBLIC_BYTES ? owner.at : NULL,
		.limit = (int64_t)verdict_bits - 1,
		.retry_after_ms = (int64_t)verdict_bits * 999 - 1,
		.reset_ms = UINT64_MAX >> (verdict_bits & 31),
		.expires_in_s = owner.bytes,
	};
	struct jt_http_case c = {&maps, &policy, &ask, &v, {owner.bytes, 0}};

	jt_http_answer(&answer, &c);
	for (uint32_t i = 0; i < answer.n_fields; i++)
		for (const char *p = answer.fields[i].value; *p; p++)
			assert(*p >= ' ' && *p <= '~');
}

static void try_head(char *text, size_t bytes, uint8_t policy, uint8_t verdict)
{
	static uint8_t scratch[JT_HTTP_HEAD_MAX];
	char *at = text, *end = text + bytes, *method, *path, *line;
	struct jt_http_request q;
	struct jt_bytes token;

	method = next_line(&at, end);
	path = next_line(&at, end);
	if (!method || !path)
		return;
	jt_http_begin(&q, method, path);
	while ((line = next_line(&at, end))) {
		size_t whole = (size_t)(at - 1 - line);
		char *colon = memchr(line, ':', whole);

		if (colon)
			jt_http_field(&q, line, (size_t)(colon - line),
				      colon + 1,
				      (size_t)(line + whole - (colon + 1)));
	}
	if (q.route == JT_HTTP_AUTH)
		assert(is_within(q.policy, path, strlen(path)));
	if (q.head_bytes > JT_HTTP_HEAD_MAX)
		return; /* refused before anybody looks for a token */
	if (jt_http_token(&q, policy & 7u, scratch, &token) == JT_HTTP_ONE)
		assert(!token.bytes || is_within(token, text, bytes) ||
		       is_within(token, scratch, sizeof(scratch)));
	else
		assert(token.bytes == 0);
	check_answer(token, policy, verdict);
}

static void expect_json(char *text)
{
	json_t *value = json_loads(text, 0, NULL);

	assert(value);
	json_decref(value);
	jt_http_text_free(text);
}

static void try_json(const char *body, size_t bytes, bool batch)
{
	int e = jt_http_read(&query, body, bytes, batch);

	if (e) {
		assert(e > 0 && *jt_http_error(e));
		expect_json(
			jt_http_write_bad_element(jt_http_error(e), query.bad));
	}
	for (uint32_t i = 0; !e && i < query.n; i++) {
		const struct jt_ask *ask = &query.asks[i];

		assert(ask->token.at && ask->cost <= UINT32_MAX);
		assert(ask->n_scopes <= JT_HTTP_SCOPES_MAX);
		query.verdicts[i] = (struct jt_verdict){
			.word = (enum jt_word)(ask->cost % JT_WORDS_N),
			.notes = ask->n_scopes ? JT_NOTE_SCOPE : 0,
			.owner = ask->token,
			.id = ask->token.bytes >= JT_PUBLIC_BYTES
				      ? ask->token.at
				      : NULL,
		};
		if (ask->n_scopes)
			query.verdicts[i].scope = ask->scopes[0];
	}
	if (!e)
		expect_json(jt_http_write_batch(&maps, query.verdicts, query.n,
						bytes));
	jt_http_query_free(&query);
}

static void try_form(char *body, size_t bytes)
{
	struct jt_bytes token;

	if (jt_http_read_form(body, bytes, &token) == JT_HTTP_OK)
		assert(is_within(token, body, bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t bytes = size - 3;
	char *copy;

	if (size < 3 || size > INPUT_MAX)
		return 0;
	/* a head's last line is ended behind it */
	copy = malloc(bytes + (data[0] % 4 == 0) + (bytes == 0));
	memcpy(copy, data + 3, bytes);
	switch (data[0] % 4) {
	case 0:
		try_head(copy, bytes, data[1], data[2]);
		break;
	case 1:
	case 2:
		try_json(copy, bytes, data[0] % 4 == 2);
		break;
	default:
		try_form(copy, bytes);
	}
	free(copy);
	return 0;
}
