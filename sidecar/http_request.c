/*
 * http_request: see http_request.h.
 *
 * A path is compared as it was sent: nothing is decoded, so `%2f` is no
 * separator here whatever it is to the proxy. Names of fields are
 * case-insensitive, and so is the scheme of Authorization; one blank stands
 * behind it (RFC 6750). A token there is of the characters of token68 and
 * stands alone; of X-API-Key any bytes are taken.
 */
#include "sidecar/http_request.h"

#include <sodium.h>
#include <string.h>
#include <strings.h>

#define LINE_ENDS 4u /* ": " and CR LF of a field */

static const struct {
	const char *path;
	size_t bytes;
	unsigned methods;
} routes[] = {
#define X(name, path, methods) {path, sizeof(path) - 1, methods},
	JT_HTTP_ROUTES(X)
#undef X
};

static enum jt_http_route find_route(const char *path)
{
	if (strncmp(path, routes[JT_HTTP_AUTH].path,
		    routes[JT_HTTP_AUTH].bytes) == 0)
		return JT_HTTP_AUTH;
	for (unsigned i = JT_HTTP_AUTH + 1; i < JT_HTTP_NOWHERE; i++)
		if (strcmp(path, routes[i].path) == 0)
			return (enum jt_http_route)i;
	return JT_HTTP_NOWHERE;
}

static bool method_fits(unsigned methods, const char *method)
{
	if (methods & JT_HTTP_ANY)
		return true;
	if (methods & JT_HTTP_POST)
		return strcmp(method, "POST") == 0;
	return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

const char *jt_http_allow(enum jt_http_route route)
{
	if (route == JT_HTTP_NOWHERE)
		return "";
	return routes[route].methods & JT_HTTP_POST ? "POST" : "GET, HEAD";
}

void jt_http_begin(struct jt_http_request *request, const char *method,
		   const char *path)
{
	const char *name;

	memset(request, 0, sizeof(*request));
	request->head_bytes = strlen(method) + strlen(path);
	request->route = find_route(path);
	if (request->route == JT_HTTP_NOWHERE)
		return;
	request->wrong_method =
		!method_fits(routes[request->route].methods, method);
	if (request->route != JT_HTTP_AUTH)
		return;
	name = path + routes[JT_HTTP_AUTH].bytes;
	request->policy = (struct jt_bytes){(const uint8_t *)name,
					    (uint32_t)strcspn(name, "/")};
}

static bool is(const char *name, size_t bytes, const char *wanted)
{
	return strncasecmp(name, wanted, bytes) == 0;
}

static void take(struct jt_bytes *firstp, uint32_t *n, const char *value,
		 size_t bytes)
{
	if ((*n)++ == 0)
		*firstp = (struct jt_bytes){(const uint8_t *)value,
					    (uint32_t)bytes};
}

/* What cannot be read as a length might be any. */
static uint64_t read_length(const char *value, size_t bytes)
{
	uint64_t n = 0;

	while (bytes && (value[bytes - 1] == ' ' || value[bytes - 1] == '\t'))
		bytes--;
	if (bytes == 0 || bytes > 18)
		return UINT64_MAX;
	for (size_t i = 0; i < bytes; i++) {
		if (value[i] < '0' || value[i] > '9')
			return UINT64_MAX;
		n = n * 10 + (uint64_t)(value[i] - '0');
	}
	return n;
}

void jt_http_field(struct jt_http_request *r, const char *name,
		   size_t name_bytes, const char *value, size_t value_bytes)
{
	uint64_t length;

	r->head_bytes += name_bytes + value_bytes + LINE_ENDS;
	/* of all names that clients send, few have one of these lengths */
	switch (name_bytes) {
	case sizeof("Authorization") - 1:
		if (is(name, name_bytes, "Authorization"))
			take(&r->authorization, &r->n_authorization, value,
			     value_bytes);
		return;
	case sizeof("X-API-Key") - 1:
		if (is(name, name_bytes, "X-API-Key"))
			take(&r->api_key, &r->n_api_key, value, value_bytes);
		return;
	case sizeof("Content-Length") - 1:
		if (!is(name, name_bytes, "Content-Length"))
			return;
		length = read_length(value, value_bytes);
		if (length > r->body_bytes)
			r->body_bytes = length;
		r->has_body |= length > 0;
		r->unclear |= r->n_ends++ > 0;
		return;
	case sizeof("Transfer-Encoding") - 1:
		if (!is(name, name_bytes, "Transfer-Encoding"))
			return;
		r->has_body = r->chunked = true;
		r->unclear |= r->n_ends++ > 0;
		return;
	default:
		return;
	}
}

/* ---- credentials ---- */

/* What stands behind SCHEME and one blank; false: it is another scheme. */
static bool after_scheme(struct jt_bytes field, const char *scheme,
			 struct jt_bytes *restp)
{
	size_t n = strlen(scheme);

	if (field.bytes < n ||
	    strncasecmp((const char *)field.at, scheme, n) != 0)
		return false;
	if (field.bytes > n && field.at[n] != ' ')
		return false;
	n += field.bytes > n;
	*restp = (struct jt_bytes){field.at + n, field.bytes - (uint32_t)n};
	return true;
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static struct jt_bytes trimmed(struct jt_bytes text)
{
	while (text.bytes && is_blank(text.at[text.bytes - 1]))
		text.bytes--;
	while (text.bytes && is_blank(text.at[0])) {
		text.at++;
		text.bytes--;
	}
	return text;
}

static bool is_token68(struct jt_bytes text)
{
	for (uint32_t i = 0; i < text.bytes; i++) {
		uint8_t c = text.at[i];

		if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
		      (c >= 'a' && c <= 'z') || (c && strchr("-._~+/=", c))))
			return false;
	}
	return true;
}

static enum jt_http_credential read_bearer(struct jt_bytes rest,
					   struct jt_bytes *tokenp)
{
	struct jt_bytes bare = trimmed(rest);

	if (!is_token68(bare))
		return JT_HTTP_UNFIT;
	*tokenp = bare.bytes ? rest : bare;
	return JT_HTTP_ONE;
}

/* `user:password` in base64; which user does not matter. */
static enum jt_http_credential read_basic(struct jt_bytes rest,
					  uint8_t scratch[JT_HTTP_HEAD_MAX],
					  struct jt_bytes *tokenp)
{
	struct jt_bytes text = trimmed(rest);
	const uint8_t *colon;
	size_t n;

	if (sodium_base642bin(scratch, JT_HTTP_HEAD_MAX, (const char *)text.at,
			      text.bytes, NULL, &n, NULL,
			      sodium_base64_VARIANT_ORIGINAL))
		return JT_HTTP_UNFIT;
	colon = memchr(scratch, ':', n);
	if (!colon)
		return JT_HTTP_UNFIT;
	tokenp->at = colon + 1;
	tokenp->bytes = (uint32_t)(scratch + n - tokenp->at);
	return JT_HTTP_ONE;
}

enum jt_http_credential jt_http_token(const struct jt_http_request *request,
				      uint8_t credentials,
				      uint8_t scratch[JT_HTTP_HEAD_MAX],
				      struct jt_bytes *tokenp)
{
	bool by_key = credentials & JT_CREDENTIAL_API_KEY && request->n_api_key;
	struct jt_bytes rest = {0};
	bool bearer, basic;

	*tokenp = (struct jt_bytes){(const uint8_t *)"", 0};
	if (request->n_authorization > 1 || (by_key && request->n_api_key > 1))
		return JT_HTTP_SEVERAL;
	bearer = credentials & JT_CREDENTIAL_BEARER &&
		 after_scheme(request->authorization, "Bearer", &rest);
	basic = !bearer && credentials & JT_CREDENTIAL_BASIC &&
		after_scheme(request->authorization, "Basic", &rest);
	if (by_key && (bearer || basic))
		return JT_HTTP_SEVERAL;
	if (bearer)
		return read_bearer(rest, tokenp);
	if (basic)
		return read_basic(rest, scratch, tokenp);
	if (by_key)
		*tokenp = request->api_key;
	return JT_HTTP_ONE;
}
