/*
 * fuzz_token: any bytes as a token, an id, a prefix, an environment.
 *
 * Every entry of token.h gets them, from a buffer of just their size. What it
 * says is compared with the form as the header words it, spelled out here once
 * more; what it makes of them must hold for it.
 */
#include "shm/token.h"

#include <assert.h>
#include <ctype.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argcp, char ***argvp);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_base62(uint8_t c)
{
	return c < 0x80 && isalnum(c);
}

static bool is_env(const uint8_t *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!is_base62(s[i]) || isupper(s[i]))
			return false;
	return n >= 1 && n <= 6;
}

/* Bytes of the environment of a public part; 0: it is none. */
static size_t public_env(const uint8_t *s, size_t *atp)
{
	const uint8_t *first = memchr(s, '_', JT_PUBLIC_BYTES), *second;
	size_t p = first ? (size_t)(first - s) : 0, e;

	if (p < 2 || p > 4)
		return 0;
	for (size_t i = 0; i < p; i++)
		if (s[i] < 'a' || s[i] > 'z')
			return 0;
	second = memchr(first + 1, '_', JT_PUBLIC_BYTES - p - 1);
	e = second ? (size_t)(second - first) - 1 : 0;
	if (!is_env(first + 1, e) || JT_PUBLIC_BYTES - p - e - 2 < 12)
		return 0;
	for (size_t i = p + e + 2; i < JT_PUBLIC_BYTES; i++)
		if (!is_base62(s[i]))
			return 0;
	*atp = p + 1;
	return e;
}

static bool is_form(const uint8_t *s, size_t n)
{
	size_t at;

	if (n != JT_TOKEN_BYTES || !public_env(s, &at))
		return false;
	for (size_t i = JT_PUBLIC_BYTES; i < n; i++)
		if (!is_base62(s[i]))
			return false;
	return true;
}

static void try_id(const uint8_t *s)
{
	char id[JT_PUBLIC_BYTES], prefix[8] = "", env[8] = "";
	uint8_t digest[JT_VALUE_DIGEST] = {0};
	const char *envp = NULL;
	size_t at = 0, e = public_env(s, &at), got = 0;
	char made[JT_TOKEN_BYTES];
	uint64_t key;

	memcpy(id, s, sizeof(id));
	assert(jt_public_ok(id, &envp, &got) == (e > 0));
	if (!e) {
		assert(!jt_token_other_key(id, &key));
		return;
	}
	assert(envp == id + at && got == e);
	memcpy(prefix, id, at - 1);
	memcpy(env, envp, e);
	assert(jt_prefix_ok(prefix) && jt_env_word(env, e));
	jt_token_remake(id, made);
	assert(memcmp(made, id, sizeof(id)) == 0);
	assert(jt_token_shape((uint8_t *)made, sizeof(made)) ==
	       JT_SHAPE_NATIVE);
	if (!jt_token_other_key(id, &key))
		return;
	/* the number and the id say the same */
	memcpy(digest, &key, sizeof(key));
	jt_token_other_id(prefix, env, digest, made);
	assert(memcmp(made, id, sizeof(id)) == 0);
}

static void try_other(const uint8_t *s, size_t n)
{
	uint8_t whole[JT_VALUE_DIGEST], part[JT_VALUE_DIGEST];
	const uint8_t *mark = n ? memrchr(s, '_', n) : NULL;
	uint8_t want[JT_VALUE_DIGEST];

	assert(jt_token_digest_other(s, n, false, whole) == (n > 0));
	assert(jt_token_digest_other(s, n, true, part) ==
	       (mark && mark + 1 < s + n));
	if (!mark || mark + 1 == s + n)
		return;
	crypto_hash_sha256(want, mark + 1, (size_t)(s + n - mark) - 1);
	assert(memcmp(want, part, sizeof(want)) == 0);
}

/* One by one and side by side a digest is the same. */
static void try_digests(const uint8_t *s, size_t n)
{
	uint64_t many[JT_TOKEN_DIGESTS][JT_VALUE_DIGEST / 8];
	const uint8_t *values[JT_TOKEN_DIGESTS];
	uint8_t one[JT_VALUE_DIGEST];
	size_t fit = n < JT_TOKEN_BYTES ? 0 : n - JT_TOKEN_BYTES + 1;

	if (fit > JT_TOKEN_DIGESTS)
		fit = JT_TOKEN_DIGESTS;
	if (!fit)
		return;
	for (size_t i = 0; i < fit; i++)
		values[i] = s + i;
	jt_token_digests(values, fit, many);
	for (size_t i = 0; i < fit; i++) {
		jt_token_digest(values[i], one);
		assert(memcmp(one, many[i], sizeof(one)) == 0);
	}
}

static void try_shape(const uint8_t *s, size_t n)
{
	enum jt_token_shape shape = jt_token_shape(s, n);
	char prefix[8] = "";
	size_t i = 0;

	assert((shape == JT_SHAPE_MISSING) == (n == 0));
	assert((shape == JT_SHAPE_NATIVE || shape == JT_SHAPE_MISTYPED) ==
	       is_form(s, n));
	if (is_form(s, n))
		while (s[i] != '_')
			prefix[i] = (char)s[i], i++;
	assert(jt_token_is_native(s, n, "jt\0\0\0\0\0") ==
	       (is_form(s, n) && memcmp(s, "jt_", 3) == 0));
	assert(!is_form(s, n) || jt_token_is_native(s, n, prefix));
	if (shape != JT_SHAPE_WHITESPACE)
		return;
	while (n && isspace(*s))
		s++, n--;
	while (n && isspace(s[n - 1]))
		n--;
	assert(jt_token_shape(s, n) == JT_SHAPE_NATIVE);
}

static void try_words(const uint8_t *s, size_t n)
{
	char text[16] = "";

	memcpy(text, s, n < 15 ? n : 15);
	assert(jt_env_ok((const char *)s, n) == is_env(s, n));
	assert(!!jt_env_word((const char *)s, n) == is_env(s, n));
	if (jt_prefix_ok(text))
		assert(strlen(text) >= 2 && strlen(text) <= 4 &&
		       strspn(text, "abcdefghijklmnopqrstuvwxyz") ==
			       strlen(text));
}

int LLVMFuzzerInitialize(int *argcp, char ***argvp)
{
	assert(sodium_init() >= 0);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size + !size);

	if (size)
		memcpy(copy, data, size);
	try_shape(copy, size);
	try_other(copy, size);
	try_words(copy, size);
	try_digests(copy, size);
	if (size >= JT_PUBLIC_BYTES)
		try_id(copy);
	free(copy);
	return 0;
}
