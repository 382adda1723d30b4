/* http_json: see http_json.h. */
#include "sidecar/http_json.h"

#include "admin/advice.h"
#include "shm/scope.h"
#include "sidecar/http_answer.h"
#include <stdlib.h>
#include <string.h>

#define SCOPES_TEXT 2048u

static const char *const errors[] = {"",
#define X(name, text) text,
				     JT_HTTP_ERRORS(X)
#undef X
};

const char *jt_http_error(int e)
{
	return errors[e];
}

/* ---- in ---- */

static int read_scopes(struct jt_ask *ask, const json_t *list,
		       struct jt_bytes scopes[JT_HTTP_SCOPES_MAX])
{
	size_t n = json_array_size(list);

	if (!json_is_array(list) || n > JT_HTTP_SCOPES_MAX)
		return JT_HTTP_E_SCOPES;
	for (size_t i = 0; i < n; i++) {
		const json_t *name = json_array_get(list, i);
		const char *text = json_string_value(name);
		size_t bytes = json_string_length(name);

		if (!text || !jt_scope_ok(text, bytes))
			return JT_HTTP_E_SCOPES;
		scopes[i] = (struct jt_bytes){(const uint8_t *)text,
					      (uint32_t)bytes};
	}
	ask->n_scopes = (uint32_t)n;
	return JT_HTTP_OK;
}

static int read_field(struct jt_ask *ask, const char *key, const json_t *value,
		      struct jt_bytes scopes[JT_HTTP_SCOPES_MAX])
{
	const char *text = json_string_value(value);
	size_t bytes = json_string_length(value);

	if (strcmp(key, "token") == 0) {
		ask->token = (struct jt_bytes){(const uint8_t *)text,
					       (uint32_t)bytes};
		return text ? JT_HTTP_OK : JT_HTTP_E_TOKEN;
	}
	if (strcmp(key, "env") == 0) {
		ask->env = text ? jt_env_word(text, bytes) : 0;
		ask->env_unknown = ask->env == 0;
		return text ? JT_HTTP_OK : JT_HTTP_E_ENV;
	}
	if (strcmp(key, "scopes") == 0)
		return read_scopes(ask, value, scopes);
	if (strcmp(key, "cost") != 0)
		return JT_HTTP_E_FIELD;
	ask->cost = (uint64_t)json_integer_value(value);
	return json_is_integer(value) && ask->cost <= UINT32_MAX
		       ? JT_HTTP_OK
		       : JT_HTTP_E_COST;
}

static int read_ask(struct jt_http_query *q, uint32_t i, json_t *object)
{
	struct jt_ask *ask = &q->asks[i];
	const char *key;
	json_t *value;
	int e;

	memset(&q->told[i], 0, sizeof(q->told[i]));
	*ask = (struct jt_ask){
		.scopes = q->scopes[i], .cost = 1, .told = &q->told[i]};
	json_object_foreach(object, key, value)
	{
		e = read_field(ask, key, value, q->scopes[i]);
		if (e)
			return e;
	}
	return ask->token.at ? JT_HTTP_OK : JT_HTTP_E_TOKEN;
}

static int read_batch(struct jt_http_query *q)
{
	const json_t *list = json_object_get(q->root, "tokens");
	size_t n = json_array_size(list);
	int e;

	if (!list || json_object_size(q->root) != 1)
		return JT_HTTP_E_BATCH;
	if (n < 1 || n > JT_HTTP_BATCH_MAX)
		return JT_HTTP_E_TOKENS;
	for (uint32_t i = 0; i < n; i++) {
		json_t *element = json_array_get(list, i);

		q->bad = i;
		e = json_is_object(element) ? read_ask(q, i, element)
					    : JT_HTTP_E_TOKENS;
		if (e)
			return e;
	}
	q->n = (uint32_t)n;
	return JT_HTTP_OK;
}

int jt_http_read(struct jt_http_query *query, const char *body, size_t bytes,
		 bool batch)
{
	query->n = query->bad = 0;
	query->root = json_loadb(body, bytes, JSON_REJECT_DUPLICATES, NULL);
	if (!query->root)
		return JT_HTTP_E_JSON;
	if (!json_is_object(query->root))
		return JT_HTTP_E_OBJECT;
	if (batch)
		return read_batch(query);
	query->n = 1;
	return read_ask(query, 0, query->root);
}

void jt_http_query_free(struct jt_http_query *query)
{
	json_decref(query->root);
	query->root = NULL;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decode BYTES at TEXT where they stand. False: a `%` without its digits. */
static bool decode(char *text, size_t bytes, struct jt_bytes *outp)
{
	size_t n = 0;

	for (size_t i = 0; i < bytes; i++) {
		int high, low;

		if (text[i] != '%') {
			text[n++] = text[i] == '+' ? ' ' : text[i];
			continue;
		}
		high = i + 2 < bytes ? hex(text[i + 1]) : -1;
		low = high >= 0 ? hex(text[i + 2]) : -1;
		if (low < 0)
			return false;
		text[n++] = (char)(high << 4 | low);
		i += 2;
	}
	*outp = (struct jt_bytes){(const uint8_t *)text, (uint32_t)n};
	return true;
}

int jt_http_read_form(char *body, size_t bytes, struct jt_bytes *tokenp)
{
	static const char name[] = "token=";
	bool found = false;
	char *end = body + bytes;

	for (char *at = body; at < end;) {
		char *stop = memchr(at, '&', (size_t)(end - at));
		size_t n = (size_t)((stop ? stop : end) - at);

		if (n >= sizeof(name) - 1 &&
		    memcmp(at, name, sizeof(name) - 1) == 0) {
			if (found || !decode(at + sizeof(name) - 1,
					     n - (sizeof(name) - 1), tokenp))
				return JT_HTTP_E_FORM;
			found = true;
		}
		at += n + 1;
	}
	return found ? JT_HTTP_OK : JT_HTTP_E_FORM;
}

/* ---- out ---- */

const char *jt_http_phrase(unsigned status)
{
	switch (status) {
	case 200:
		return "OK";
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 413:
		return "Content Too Large";
	case 429:
		return "Too Many Requests";
	case 431:
		return "Request Header Fields Too Large";
	case 503:
		return "Service Unavailable";
	default:
		return "Error";
	}
}

/* For people; the word is for programs. */
static const char *say(const struct jt_verdict *v)
{
	const char *note = v->notes & JT_NOTE_NEVER	  ? "NEVER"
			   : v->notes & JT_NOTE_OLD_VALUE ? "OLD_VALUE"
							  : "";

	return jt_advice(jt_word_name(v->word), note);
}

static int64_t capped(uint64_t n)
{
	return n > INT64_MAX ? INT64_MAX : (int64_t)n;
}

/* Bytes that are no text are left out whole. */
static json_t *text_of(const void *at, size_t bytes)
{
	json_t *text = at ? json_stringn(at, bytes) : NULL;

	return text ? text : json_string("");
}

static json_t *notes_of(const struct jt_verdict *v)
{
	json_t *notes = json_array();

	if (v->notes & JT_NOTE_OLD_VALUE)
		json_array_append_new(notes, json_string("OLD_VALUE"));
	if (v->notes & JT_NOTE_EXPIRING)
		json_array_append_new(notes, json_string("EXPIRING"));
	if (v->notes & JT_NOTE_NEVER)
		json_array_append_new(notes, json_string("NEVER"));
	if (v->notes & JT_NOTE_SCOPE)
		json_array_append_new(
			notes, json_sprintf("SCOPE:%.*s", (int)v->scope.bytes,
					    (const char *)v->scope.at));
	return notes;
}

static json_t *scopes_of(const struct jt_maps *maps, const struct jt_verdict *v)
{
	json_t *list = json_array();
	char text[SCOPES_TEXT];
	size_t bytes = jt_http_scopes(maps, v->scopes, text, sizeof(text));

	for (size_t at = 0, n; at < bytes; at += n + 1) {
		const char *blank = memchr(text + at, ' ', bytes - at);

		n = blank ? (size_t)(blank - text) - at : bytes - at;
		json_array_append_new(list, text_of(text + at, n));
	}
	return list;
}

/* The members of RFC 9457, and the word. */
static json_t *problem_of(unsigned status, const char *code, const char *detail)
{
	json_t *o = json_object();

	json_object_set_new(o, "type", json_string("about:blank"));
	json_object_set_new(o, "title", json_string(jt_http_phrase(status)));
	json_object_set_new(o, "status", json_integer(status));
	if (detail)
		json_object_set_new(o, "detail", json_string(detail));
	json_object_set_new(o, "code", json_string(code));
	return o;
}

static void set_number(json_t *o, const char *name, int64_t n)
{
	json_object_set_new(o, name, json_integer(n));
}

static json_t *verdict_of(const struct jt_maps *maps,
			  const struct jt_verdict *v, uint64_t applied)
{
	const char *word = jt_word_name(v->word);
	unsigned status = jt_word_status(v->word);
	json_t *o = v->word == JT_VALID ? json_object()
					: problem_of(status, word, say(v));

	json_object_set_new(o, "verdict", json_string(word));
	set_number(o, "status", status);
	json_object_set_new(o, "id",
			    text_of(v->id, v->id ? JT_PUBLIC_BYTES : 0));
	json_object_set_new(o, "owner", text_of(v->owner.at, v->owner.bytes));
	json_object_set_new(o, "scopes", scopes_of(maps, v));
	set_number(o, "expires_in_s", capped(v->expires_in_s));
	set_number(o, "limit", v->limit);
	set_number(o, "remaining", v->remaining);
	set_number(o, "reset_ms", capped(v->reset_ms));
	set_number(o, "retry_after_ms", v->retry_after_ms);
	set_number(o, "applied", capped(applied));
	json_object_set_new(o, "notes", notes_of(v));
	return o;
}

static char *write_and_free(json_t *value)
{
	char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;

	json_decref(value);
	return text;
}

char *jt_http_write_verdict(const struct jt_maps *maps,
			    const struct jt_verdict *verdict, uint64_t applied)
{
	return write_and_free(verdict_of(maps, verdict, applied));
}

char *jt_http_write_batch(const struct jt_maps *maps,
			  const struct jt_verdict *verdicts, size_t n,
			  uint64_t applied)
{
	json_t *list = json_array(), *o = json_object();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list,
				      verdict_of(maps, &verdicts[i], applied));
	json_object_set_new(o, "verdicts", list);
	return write_and_free(o);
}

char *jt_http_write_problem(unsigned status, const char *code,
			    const char *detail)
{
	return write_and_free(problem_of(status, code, detail));
}

char *jt_http_write_bad_element(const char *detail, uint32_t number)
{
	json_t *o = problem_of(400, "BAD_REQUEST", detail);

	json_object_set_new(o, "element", json_integer(number));
	return write_and_free(o);
}

char *jt_http_write_introspection(const struct jt_maps *maps,
				  const struct jt_verdict *v, struct jt_now now)
{
	char scopes[SCOPES_TEXT];
	json_t *o = json_object();
	size_t n;

	json_object_set_new(o, "active", json_boolean(v->word == JT_VALID));
	if (v->word != JT_VALID)
		return write_and_free(o);
	n = jt_http_scopes(maps, v->scopes, scopes, sizeof(scopes));
	json_object_set_new(o, "scope", text_of(scopes, n));
	json_object_set_new(o, "client_id",
			    text_of(v->owner.at, v->owner.bytes));
	json_object_set_new(o, "sub", text_of(v->id, JT_PUBLIC_BYTES));
	set_number(o, "exp", capped(now.wall_s + v->expires_in_s));
	json_object_set_new(o, "token_type", json_string("Bearer"));
	return write_and_free(o);
}

void jt_http_text_free(char *text)
{
	json_free_t release;

	json_get_alloc_funcs(NULL, &release);
	release(text);
}
