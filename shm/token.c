/* token: see token.h. Base62 digits are in ASCII order: 0-9 A-Z a-z. */
#include "shm/token.h"

#include "shm/blake2b.h"
#include <assert.h>
#include <sodium.h>
#include <string.h>
#include <xxhash.h>

#define ENV_MAX 6u
#define ID_MIN 12u
#define BODY (JT_TOKEN_BYTES - JT_CHECK_BYTES)
#define ENDING 48u    /* of the end: secret, checksum and some of the id */
#define ACCEPTED 248u /* 4 x 62: a random byte below it is unbiased mod 62 */

static_assert(ENDING >= JT_TOKEN_BYTES - JT_PUBLIC_BYTES &&
		      ENDING <= JT_TOKEN_BYTES - JT_PUBLIC_BYTES + ID_MIN,
	      "of the id no more than what is in base62 anyway");

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			     "abcdefghijklmnopqrstuvwxyz";

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_base62(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || is_lower(c);
}

static bool all_base62(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!is_base62(s[i]))
			return false;
	return true;
}

bool jt_prefix_ok(const char *prefix)
{
	size_t n = strnlen(prefix, 5);

	if (n < 2 || n > 4)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!is_lower(prefix[i]))
			return false;
	return true;
}

bool jt_env_ok(const char *env, size_t bytes)
{
	if (bytes < 1 || bytes > ENV_MAX)
		return false;
	for (size_t i = 0; i < bytes; i++)
		if (!is_lower(env[i]) && !(env[i] >= '0' && env[i] <= '9'))
			return false;
	return true;
}

uint64_t jt_env_word(const char *env, size_t bytes)
{
	uint64_t word = 0;

	if (!jt_env_ok(env, bytes))
		return 0;
	memcpy(&word, env, bytes);
	return word;
}

bool jt_public_ok(const char id[JT_PUBLIC_BYTES], const char **envp,
		  size_t *env_bytesp)
{
	size_t p = 0, e;

	while (p < 5 && is_lower(id[p]))
		p++;
	if (p < 2 || p > 4 || id[p] != '_')
		return false;
	e = ++p;
	while (p < JT_PUBLIC_BYTES && id[p] != '_')
		p++;
	if (!jt_env_ok(id + e, p - e) || JT_PUBLIC_BYTES - p - 1 < ID_MIN)
		return false;
	if (!all_base62(id + p + 1, JT_PUBLIC_BYTES - p - 1))
		return false;
	if (envp)
		*envp = id + e;
	if (env_bytesp)
		*env_bytesp = p - e;
	return true;
}

/* Fill N characters by rejection, so that every digit is equally likely. */
static void random_digits(char *out, size_t n)
{
	uint8_t pool[64];
	size_t have = 0;

	while (n) {
		if (!have) {
			randombytes_buf(pool, sizeof(pool));
			have = sizeof(pool);
		}
		if (pool[--have] >= ACCEPTED)
			continue;
		*out++ = digits[pool[have] % 62];
		n--;
	}
	sodium_memzero(pool, sizeof(pool));
}

static void checksum(const char body[BODY], char out[JT_CHECK_BYTES])
{
	uint32_t sum = XXH32(body, BODY, 0);

	for (size_t i = JT_CHECK_BYTES; i-- > 0; sum /= 62)
		out[i] = digits[sum % 62];
}

void jt_token_make(const char *prefix, const char *env,
		   char out[JT_TOKEN_BYTES])
{
	size_t p = strlen(prefix), e = strlen(env), at = p + e + 2;

	assert(jt_prefix_ok(prefix) && jt_env_ok(env, e));
	memcpy(out, prefix, p);
	out[p] = '_';
	memcpy(out + p + 1, env, e);
	out[at - 1] = '_';
	random_digits(out + at, BODY - at);
	checksum(out, out + BODY);
}

void jt_token_remake(const char id[JT_PUBLIC_BYTES], char out[JT_TOKEN_BYTES])
{
	memcpy(out, id, JT_PUBLIC_BYTES);
	random_digits(out + JT_PUBLIC_BYTES, BODY - JT_PUBLIC_BYTES);
	checksum(out, out + BODY);
}

/* To the end whatever is found, so that the compiler takes 16 at a time. */
static bool ends_in_base62(const char *s)
{
	uint8_t odd = 0;

	for (size_t i = JT_TOKEN_BYTES - ENDING; i < JT_TOKEN_BYTES; i++) {
		uint8_t c = (uint8_t)s[i];

		odd |= (uint8_t)(c - '0') > 9 &&
		       (uint8_t)((c | 0x20) - 'a') > 'z' - 'a';
	}
	return !odd;
}

/* The id's last characters are looked at twice. */
static bool is_native(const char *s)
{
	return ends_in_base62(s) && jt_public_ok(s, NULL, NULL);
}

bool jt_token_is_native(const uint8_t *bytes, size_t n, const char prefix[8])
{
	size_t p = strnlen(prefix, 8);

	return n == JT_TOKEN_BYTES && memcmp(bytes, prefix, p) == 0 &&
	       bytes[p] == '_' && is_native((const char *)bytes);
}

static bool checksum_ok(const char *s)
{
	char want[JT_CHECK_BYTES];

	checksum(s, want);
	return memcmp(want, s + BODY, JT_CHECK_BYTES) == 0;
}

static bool is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

enum jt_token_shape jt_token_shape(const uint8_t *bytes, size_t n)
{
	const char *s = (const char *)bytes;

	if (n == 0)
		return JT_SHAPE_MISSING;
	if (n == JT_TOKEN_BYTES && is_native(s))
		return checksum_ok(s) ? JT_SHAPE_NATIVE : JT_SHAPE_MISTYPED;
	while (n && is_space((uint8_t)s[0]))
		s++, n--;
	while (n && is_space((uint8_t)s[n - 1]))
		n--;
	/* untrimmed 64 characters of this shape were answered above */
	if (n == JT_TOKEN_BYTES && is_native(s) && checksum_ok(s))
		return JT_SHAPE_WHITESPACE;
	return JT_SHAPE_MALFORMED;
}

static const uint8_t personal[crypto_generichash_blake2b_PERSONALBYTES] =
	"jeton-token-v1";

void jt_token_digest(const uint8_t value[JT_TOKEN_BYTES],
		     uint8_t out[JT_VALUE_DIGEST])
{
	crypto_generichash_blake2b_salt_personal(out, JT_VALUE_DIGEST, value,
						 JT_TOKEN_BYTES, NULL, 0, NULL,
						 personal);
}

static_assert(JT_TOKEN_DIGESTS == JT_BLAKE2B_LANES, "side by side");
static_assert(JT_TOKEN_BYTES == 8 * JT_BLAKE2B_WORDS, "all is hashed");

void jt_token_digests(const uint8_t *const *values, size_t n,
		      uint64_t (*digests)[JT_VALUE_DIGEST / 8])
{
	struct jt_blake2b_digests d;
	struct jt_blake2b_texts t;

	assert(n > 0 && n <= JT_TOKEN_DIGESTS);
	/* what is too many repeats the first, and is not looked at */
	for (unsigned k = 0; k < JT_BLAKE2B_LANES; k++)
		for (unsigned i = 0; i < JT_BLAKE2B_WORDS; i++)
			memcpy(&t.words[i][k], values[k < n ? k : 0] + 8 * i,
			       8);
	jt_blake2b(personal, &t, &d);
	sodium_memzero(&t, sizeof(t)); /* or the values would stay there */
	for (size_t k = 0; k < n; k++)
		for (unsigned i = 0; i < JT_VALUE_DIGEST / 8; i++)
			digests[k][i] = d.words[i][k];
}

bool jt_token_digests_are_fast(void)
{
	return jt_blake2b_is_fast();
}

bool jt_token_digest_other(const uint8_t *bytes, size_t n, bool prefixed,
			   uint8_t out[JT_VALUE_DIGEST])
{
	const uint8_t *mark = prefixed ? memrchr(bytes, '_', n) : NULL;
	size_t skip = mark ? (size_t)(mark - bytes) + 1 : 0;

	if (n == skip || (prefixed && !mark))
		return false;
	crypto_hash_sha256(out, bytes + skip, n - skip);
	return true;
}

void jt_token_other_id(const char *prefix, const char *env,
		       const uint8_t digest[JT_VALUE_DIGEST],
		       char out[JT_PUBLIC_BYTES])
{
	size_t p = strlen(prefix), e = strlen(env), from = p + e + 2;
	uint64_t key;

	assert(jt_prefix_ok(prefix) && jt_env_ok(env, e));
	memcpy(&key, digest, sizeof(key));
	memcpy(out, prefix, p);
	out[p] = '_';
	memcpy(out + p + 1, env, e);
	out[from - 1] = '_';
	/* at least 12 places, of which a 64-bit number takes 11 */
	for (size_t i = JT_PUBLIC_BYTES; i-- > from; key /= 62)
		out[i] = digits[key % 62];
}

bool jt_token_other_key(const char id[JT_PUBLIC_BYTES], uint64_t *keyp)
{
	const char *env, *end = id + JT_PUBLIC_BYTES;
	unsigned __int128 key = 0;
	size_t bytes;

	if (!jt_public_ok(id, &env, &bytes))
		return false;
	for (const char *c = env + bytes + 1; c < end; c++) {
		const char *digit = strchr(digits, *c);

		key = key * 62 + (unsigned)(digit - digits);
		if (key > UINT64_MAX)
			return false;
	}
	*keyp = (uint64_t)key;
	return true;
}

uint64_t jt_token_key(const uint8_t id[JT_PUBLIC_BYTES], uint64_t seed)
{
	return XXH3_64bits_withSeed(id, JT_PUBLIC_BYTES, seed);
}
