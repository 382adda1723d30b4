/*
 * http_answer: see http_answer.h.
 *
 * Every VALID answer has every identity field, if only empty: a proxy that
 * copies fields of ours over the client's own would leave one in place that we
 * did not send, and the service behind would believe it.
 *
 * A rate's RateLimit fields: its burst is the quota `q`, and the window `w` is
 * the time in which an idle token has earned that burst.
 */
#include "sidecar/http_answer.h"

#include <assert.h>
#include <string.h>

#define OWNER_MAX 128u /* a longer one is cut; journals hold 48 */
#define SCOPES_TEXT 2048u
#define NUMBER_MAX 20u
#define NS_PER_S 1000000000ull
#define MS_PER_S 1000u
#define S_PER_MIN 60u

static_assert(JT_PUBLIC_BYTES + OWNER_MAX + SCOPES_TEXT + 16 * NUMBER_MAX +
			      512 <=
		      JT_HTTP_TEXT_MAX,
	      "who it is, with both limits and their names");

#define CHALLENGE "Bearer realm=\"" JT_HTTP_REALM "\""
#define INVALID CHALLENGE ", error=\"invalid_token\""
#define NARROW CHALLENGE ", error=\"insufficient_scope\", scope=\""

void jt_http_start(struct jt_http_answer *a, unsigned status)
{
	a->status = status;
	a->n_fields = 0;
	a->text_bytes = 0;
}

/* ---- text ---- */

/* The value that begins here; it is ended by finish(). */
static const char *begin(const struct jt_http_answer *a)
{
	return a->text + a->text_bytes;
}

static void name_it(struct jt_http_answer *a, const char *name,
		    const char *value)
{
	assert(a->n_fields < JT_HTTP_FIELDS_MAX);
	a->fields[a->n_fields++] = (struct jt_http_pair){name, value};
}

/* In a text that is full there is no value, and no room for its end. */
static void finish(struct jt_http_answer *a, const char *name,
		   const char *value)
{
	bool full = a->text_bytes == JT_HTTP_TEXT_MAX;

	if (!full)
		a->text[a->text_bytes++] = '\0';
	name_it(a, name, full ? "" : value);
}

static size_t room(const struct jt_http_answer *a)
{
	size_t left = JT_HTTP_TEXT_MAX - a->text_bytes;

	return left ? left - 1 : 0;
}

static void put(struct jt_http_answer *a, const void *at, size_t bytes)
{
	size_t n = bytes < room(a) ? bytes : room(a);

	memcpy(a->text + a->text_bytes, at, n);
	a->text_bytes += (uint32_t)n;
}

static void put_text(struct jt_http_answer *a, const char *text)
{
	put(a, text, strlen(text));
}

static void put_number(struct jt_http_answer *a, uint64_t n)
{
	char digits[NUMBER_MAX], *at = digits + sizeof(digits);

	do
		*--at = (char)('0' + n % 10);
	while (n /= 10);
	put(a, at, (size_t)(digits + sizeof(digits) - at));
}

/* Without what may not stand in a field. */
static void put_clean(struct jt_http_answer *a, const uint8_t *at, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (at[i] >= ' ' && at[i] <= '~')
			put(a, &at[i], 1);
}

/* Nor in a quoted string. */
static void put_quotable(struct jt_http_answer *a, struct jt_bytes text)
{
	for (uint32_t i = 0; i < text.bytes; i++)
		if (text.at[i] > ' ' && text.at[i] <= '~' &&
		    text.at[i] != '"' && text.at[i] != '\\')
			put(a, &text.at[i], 1);
}

void jt_http_add(struct jt_http_answer *a, const char *name, const void *value,
		 size_t bytes)
{
	const char *text = begin(a);

	put_clean(a, value, bytes);
	finish(a, name, text);
}

static void add_number(struct jt_http_answer *a, const char *name, uint64_t n)
{
	const char *text = begin(a);

	put_number(a, n);
	finish(a, name, text);
}

/* ---- who it is ---- */

size_t jt_http_scopes(const struct jt_maps *maps,
		      const struct jt_scope_set *set, char *buf, size_t max)
{
	size_t len = 0;

	for (unsigned w = 0; set && w < JT_SCOPES_MAX / 64; w++) {
		/* relaxed: written once, before a slot named the set */
		uint64_t bits = jt_load_relaxed(&set->bits[w]);

		for (; bits; bits &= bits - 1) {
			unsigned i = w * 64 + (unsigned)__builtin_ctzll(bits);
			const char *name =
				(const char *)maps->scopes->names[i].name;
			size_t n = strnlen(name, JT_SCOPE_BYTES);

			if (len + 1 + n > max)
				return len;
			if (len)
				buf[len++] = ' ';
			memcpy(buf + len, name, n);
			len += n;
		}
	}
	return len;
}

static void add_scopes(struct jt_http_answer *a, const struct jt_http_case *c)
{
	char text[SCOPES_TEXT];

	jt_http_add(a, "X-Jeton-Scopes", text,
		    jt_http_scopes(c->maps, c->verdict->scopes, text,
				   sizeof(text)));
}

static void add_env(struct jt_http_answer *a, const uint8_t *id)
{
	const char *env = "";
	size_t bytes = 0;

	if (id && !jt_public_ok((const char *)id, &env, &bytes))
		bytes = 0;
	jt_http_add(a, "X-Jeton-Env", env, bytes);
}

static void add_identity(struct jt_http_answer *a, const struct jt_http_case *c)
{
	const struct jt_verdict *v = c->verdict;
	size_t owner = v->owner.bytes < OWNER_MAX ? v->owner.bytes : OWNER_MAX;

	jt_http_add(a, "X-Jeton-Id", v->id, v->id ? JT_PUBLIC_BYTES : 0);
	jt_http_add(a, "X-Jeton-Owner", v->owner.at, owner);
	add_scopes(a, c);
	add_env(a, v->id);
	add_number(a, "X-Jeton-Expires-In", v->expires_in_s);
}

/* ---- why not ---- */

static void add_challenge(struct jt_http_answer *a, enum jt_word word,
			  const struct jt_bytes *scopes, uint32_t n_scopes)
{
	const char *text;

	if (jt_word_status(word) == 401)
		name_it(a, "WWW-Authenticate",
			word == JT_MISSING ? CHALLENGE : INVALID);
	if (word != JT_INSUFFICIENT_SCOPE)
		return;
	text = begin(a);
	put_text(a, NARROW);
	for (uint32_t i = 0; i < n_scopes; i++) {
		put_text(a, i ? " " : "");
		put_quotable(a, scopes[i]);
	}
	put_text(a, "\"");
	finish(a, "WWW-Authenticate", text);
}

static uint64_t s_up(uint64_t ms)
{
	return ms / MS_PER_S + (ms % MS_PER_S != 0);
}

static void add_retry(struct jt_http_answer *a, const struct jt_verdict *v)
{
	unsigned status = jt_word_status(v->word);

	if (status == 503)
		name_it(a, "Retry-After", "1");
	else if (status == 429 && v->retry_after_ms >= 0)
		add_number(a, "Retry-After", s_up((uint64_t)v->retry_after_ms));
}

/* ---- limits ---- */

/* In how many seconds an idle token has earned its whole burst. */
static uint64_t rate_window_s(const struct jt_bounds *b)
{
	uint64_t ns = b->interval_ns * b->burst;

	return ns / NS_PER_S + (ns % NS_PER_S != 0);
}

static uint64_t quota_window_s(const struct jt_bounds *b, struct jt_now now)
{
	struct jt_window w =
		jt_window_at(b->quota_unit, b->quota_minutes, now.wall_s);

	return (w.end_min - w.start_min) * S_PER_MIN;
}

/* `"name";a=1;b=2`, behind a comma if it is not the first. */
static void put_item(struct jt_http_answer *a, const char *before,
		     const char *name, const char *first, uint64_t n,
		     const char *second, uint64_t m)
{
	put_text(a, before);
	put_text(a, name);
	put_text(a, first);
	put_number(a, n);
	put_text(a, second);
	put_number(a, m);
}

static void add_limits(struct jt_http_answer *a, const struct jt_told *told,
		       struct jt_now now)
{
	const struct jt_bounds *b = &told->bounds;
	bool rate = b->interval_ns > 0, quota = b->quota > 0;
	const char *between = rate && quota ? ", " : "";
	const char *text;

	if (!rate && !quota)
		return;
	text = begin(a);
	if (rate)
		put_item(a, "", quota ? "\"rate\"" : "\"default\"",
			 ";q=", b->burst, ";w=", rate_window_s(b));
	if (quota)
		put_item(a, between, rate ? "\"quota\"" : "\"default\"",
			 ";q=", b->quota, ";w=", quota_window_s(b, now));
	finish(a, "RateLimit-Policy", text);
	text = begin(a);
	if (rate)
		put_item(a, "", quota ? "\"rate\"" : "\"default\"",
			 ";r=", told->rate.remaining,
			 ";t=", s_up(told->rate.reset_ms));
	if (quota)
		put_item(a, between, rate ? "\"quota\"" : "\"default\"",
			 ";r=", told->quota.remaining,
			 ";t=", s_up(told->quota.reset_ms));
	finish(a, "RateLimit", text);
}

static void add_legacy(struct jt_http_answer *a, const struct jt_http_case *c)
{
	const struct jt_verdict *v = c->verdict;
	uint64_t reset_s = s_up(v->reset_ms);

	if (c->policy->legacy == JT_LEGACY_OFF || v->limit < 0)
		return;
	if (c->policy->legacy == JT_LEGACY_EPOCH)
		reset_s += c->now.wall_s;
	add_number(a, "X-RateLimit-Limit", (uint64_t)v->limit);
	add_number(a, "X-RateLimit-Remaining", (uint64_t)v->remaining);
	add_number(a, "X-RateLimit-Reset", reset_s);
}

void jt_http_explain(struct jt_http_answer *a, const struct jt_ask *ask,
		     const struct jt_verdict *v, struct jt_now now)
{
	add_challenge(a, v->word, ask->scopes, ask->n_scopes);
	add_retry(a, v);
	add_limits(a, ask->told, now);
}

void jt_http_answer(struct jt_http_answer *a, const struct jt_http_case *c)
{
	enum jt_word word = c->verdict->word;

	jt_http_start(a, jt_word_status(word));
	if (!c->policy->hide_verdict)
		name_it(a, "X-Jeton-Verdict", jt_word_name(word));
	if (word == JT_VALID)
		add_identity(a, c);
	jt_http_explain(a, c->ask, c->verdict, c->now);
	add_legacy(a, c);
}
