/*
 * http_json: bodies of the HTTP door, in and out.
 *
 * Pure but for jansson's memory, which the caller lets be wiped
 * (json_set_alloc_funcs). A body that is not as it should be is refused with
 * the name of the field; no value is ever repeated, nor the name of a field
 * that there is not: either may be a token.
 *
 *     POST /v1/verify        {"token": "...", "env": "live",
 *                             "scopes": ["orders:read"], "cost": 1}
 *     POST /v1/verify/batch  {"tokens": [{as above}, ...]}
 *     POST /introspect       token=...  (RFC 7662)
 */
#ifndef JT_SIDECAR_HTTP_JSON_H
#define JT_SIDECAR_HTTP_JSON_H

#include "shm/verify.h"
#include <jansson.h>

#define JT_HTTP_BODY_MAX 65536u
#define JT_HTTP_BATCH_BODY_MAX 1048576u
#define JT_HTTP_BATCH_MAX 1000u
#define JT_HTTP_SCOPES_MAX 16u

/* X(NAME, what is wrong) */
#define JT_HTTP_ERRORS(X)                                                      \
	X(JSON, "the body is not JSON, or a key stands in it twice")           \
	X(OBJECT, "the body is not a JSON object")                             \
	X(FIELD, "there is a field that is not known; known are token, env, "  \
		 "scopes and cost")                                            \
	X(BATCH, "the body of a batch has one field, tokens")                  \
	X(TOKENS, "tokens: is not an array of 1 to 1000 objects")              \
	X(TOKEN, "token: is missing or not a string")                          \
	X(ENV, "env: is not a string")                                         \
	X(SCOPES, "scopes: is not an array of at most 16 names of scopes")     \
	X(COST, "cost: is not a whole number from 0 to 4294967295")            \
	X(FORM, "the body is not a form with one field token")

enum {
	JT_HTTP_OK = 0,
#define X(name, text) JT_HTTP_E_##name,
	JT_HTTP_ERRORS(X)
#undef X
};

/* What is wrong. For E: JT_HTTP_E_*. */
const char *jt_http_error(int e);

/* One body read. Large: to be reserved once. */
struct jt_http_query {
	json_t *root; /* what the tokens lie in */
	uint32_t n;
	uint32_t bad; /* of a batch: which element was wrong */
	struct jt_ask asks[JT_HTTP_BATCH_MAX];
	struct jt_told told[JT_HTTP_BATCH_MAX];
	struct jt_verdict verdicts[JT_HTTP_BATCH_MAX];
	struct jt_bytes scopes[JT_HTTP_BATCH_MAX][JT_HTTP_SCOPES_MAX];
};

/* 0 or JT_HTTP_E_*; either way jt_http_query_free() afterwards. */
int jt_http_read(struct jt_http_query *query, const char *body, size_t bytes,
		 bool batch);
void jt_http_query_free(struct jt_http_query *query);

/* The field `token` of a form, decoded where it stands. 0 or JT_HTTP_E_FORM. */
int jt_http_read_form(char *body, size_t bytes, struct jt_bytes *tokenp);

/*
 * Texts, to be freed with jt_http_text_free(); NULL: no memory.
 * A problem's CODE is a word of ours, DETAIL may be NULL.
 */
char *jt_http_write_verdict(const struct jt_maps *maps,
			    const struct jt_verdict *verdict, uint64_t applied);
char *jt_http_write_batch(const struct jt_maps *maps,
			  const struct jt_verdict *verdicts, size_t n,
			  uint64_t applied);
char *jt_http_write_problem(unsigned status, const char *code,
			    const char *detail);
/* The same with the number of the batch's element that is wrong. */
char *jt_http_write_bad_element(const char *detail, uint32_t number);
char *jt_http_write_introspection(const struct jt_maps *maps,
				  const struct jt_verdict *verdict,
				  struct jt_now now);
void jt_http_text_free(char *text);

/* The phrase of a status that is answered here. */
const char *jt_http_phrase(unsigned status);

#endif
