/*
 * http_request: what a request at the HTTP door asks for, and with what token.
 *
 * Pure: method, path and header fields in, a route, a policy's name and one
 * credential out; nothing of libmicrohttpd in it. Nothing is copied or
 * allocated: all that it names lies in the request's own bytes, and they must
 * live as long as it does.
 *
 *     begin(method, path)  field(name, value)*  then read; token(...) last
 *
 * The policy is the path's second part, which the proxy wrote. What stands
 * behind it, the query and every other field are the client's: they may only
 * make the answer a refusal.
 */
#ifndef JT_SIDECAR_HTTP_REQUEST_H
#define JT_SIDECAR_HTTP_REQUEST_H

#include "shm/verify.h"
#include "sidecar/settings.h"

/* Of request line and header fields, line ends counted. */
#define JT_HTTP_HEAD_MAX 8192u

#define JT_HTTP_GET 0x1u /* and HEAD */
#define JT_HTTP_POST 0x2u
#define JT_HTTP_ANY 0x4u

/* X(NAME, path, methods); what AUTH has is a first part of the path. */
#define JT_HTTP_ROUTES(X)                                                      \
	X(AUTH, "/auth/", JT_HTTP_ANY)                                         \
	X(VERIFY, "/v1/verify", JT_HTTP_POST)                                  \
	X(BATCH, "/v1/verify/batch", JT_HTTP_POST)                             \
	X(INTROSPECT, "/introspect", JT_HTTP_POST)                             \
	X(METRICS, "/metrics", JT_HTTP_GET)                                    \
	X(LIVEZ, "/livez", JT_HTTP_GET)                                        \
	X(READYZ, "/readyz", JT_HTTP_GET)                                      \
	X(VERSION, "/version", JT_HTTP_GET)

enum jt_http_route {
#define X(name, path, methods) JT_HTTP_##name,
	JT_HTTP_ROUTES(X)
#undef X
	JT_HTTP_NOWHERE, /* 404 */
};

struct jt_http_request {
	enum jt_http_route route;
	bool wrong_method;	/* 405; jt_http_allow() has the right ones */
	struct jt_bytes policy; /* AUTH: its name, perhaps of none */
	struct jt_bytes authorization, api_key; /* the first of each */
	uint32_t n_authorization, n_api_key;
	uint32_t n_ends; /* Content-Length and Transfer-Encoding, each */
	bool has_body;	 /* one is claimed, whether or not it ever comes */
	bool chunked;	 /* Transfer-Encoding, of any kind */
	bool folded;	 /* a field of several lines: nobody reads it alike */
	bool unclear;	 /* where its body ends: it is said more than once */
	uint64_t body_bytes; /* of the largest Content-Length */
	size_t head_bytes;
};

void jt_http_begin(struct jt_http_request *request, const char *method,
		   const char *path);

/* One header field as it was sent, blanks around the value or not. */
void jt_http_field(struct jt_http_request *request, const char *name,
		   size_t name_bytes, const char *value, size_t value_bytes);

/* For the field Allow of a 405. */
const char *jt_http_allow(enum jt_http_route route);

enum jt_http_credential {
	JT_HTTP_ONE = 0, /* *TOKENP; empty when there is none at all */
	JT_HTTP_UNFIT,	 /* no token can be read from it: MALFORMED */
	JT_HTTP_SEVERAL, /* it could be either: MALFORMED */
};

/*
 * The token, from where CREDENTIALS (JT_CREDENTIAL_*) lets it stand. Blanks
 * that were pasted with it stay, for the verifier to say so. A password is
 * decoded into SCRATCH, to be wiped by the caller.
 */
enum jt_http_credential jt_http_token(const struct jt_http_request *request,
				      uint8_t credentials,
				      uint8_t scratch[JT_HTTP_HEAD_MAX],
				      struct jt_bytes *tokenp);

#endif
