/*
 * http_answer: a verdict as status and header fields, for a proxy to act on.
 *
 * Pure. Values of fields are constants or lie in the answer's own text; no
 * value has a control byte or one beyond ASCII in it, whatever an owner is
 * called. An empty value is an empty string.
 */
#ifndef JT_SIDECAR_HTTP_ANSWER_H
#define JT_SIDECAR_HTTP_ANSWER_H

#include "shm/verify.h"
#include "sidecar/settings.h"

#define JT_HTTP_FIELDS_MAX 16u
#define JT_HTTP_TEXT_MAX 4096u
#define JT_HTTP_REALM "jeton"

struct jt_http_pair {
	const char *name, *value;
};

struct jt_http_answer {
	unsigned status;
	uint32_t n_fields;
	struct jt_http_pair fields[JT_HTTP_FIELDS_MAX];
	uint32_t text_bytes;
	char text[JT_HTTP_TEXT_MAX];
};

/* What an answer is made from. */
struct jt_http_case {
	const struct jt_maps *maps;
	const struct jt_policy *policy;
	const struct jt_ask *ask;
	const struct jt_verdict *verdict;
	struct jt_now now;
};

void jt_http_start(struct jt_http_answer *answer, unsigned status);

/* VALUE is copied as far as it may stand in a field. */
void jt_http_add(struct jt_http_answer *answer, const char *name,
		 const void *value, size_t bytes);

/* The answer of `/auth/`, which has no body. */
void jt_http_answer(struct jt_http_answer *answer,
		    const struct jt_http_case *c);

/*
 * The fields that say of a verdict what RFCs have a field for: WWW-Authenticate
 * with the scopes that were asked for, Retry-After, RateLimit. They are part of
 * the above. ASK has `told`.
 */
void jt_http_explain(struct jt_http_answer *answer, const struct jt_ask *ask,
		     const struct jt_verdict *verdict, struct jt_now now);

/* Names of scopes with blanks between, whole ones as far as they fit. Bytes. */
size_t jt_http_scopes(const struct jt_maps *maps,
		      const struct jt_scope_set *set, char *buf, size_t max);

#endif
