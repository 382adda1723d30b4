/* derived: see derived.h. */
#include "bench/derived.h"

#include "bench/random.h"

#include <string.h>
#include <xxhash.h>

#define PREFIX "jt_live_"
#define PREFIX_BYTES (sizeof(PREFIX) - 1)
#define BODY (JT_TOKEN_BYTES - JT_CHECK_BYTES)
#define DIGITS_OF_A_WORD 10u /* 62^10 < 2^64 */

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			     "abcdefghijklmnopqrstuvwxyz";

/* N base62 digits, uniform but for 2^-60. */
static void fill(uint64_t *random, char *out, size_t n)
{
	unsigned __int128 product;
	uint64_t word = 0;

	for (size_t i = 0; i < n; i++) {
		if (i % DIGITS_OF_A_WORD == 0)
			word = jt_random_next(random);
		product = (unsigned __int128)word * 62;
		out[i] = digits[(size_t)(product >> 64)];
		word = (uint64_t)product;
	}
}

void jt_derived_token(uint64_t seed, uint64_t i, char out[JT_TOKEN_BYTES])
{
	/* far apart, so that no two numbers share a part of the sequence */
	uint64_t random = seed ^ i * 0xd1342543de82ef95ull;
	uint32_t sum;

	random = jt_random_next(&random);
	memcpy(out, PREFIX, PREFIX_BYTES);
	fill(&random, out + PREFIX_BYTES, BODY - PREFIX_BYTES);
	sum = XXH32(out, BODY, 0);
	for (size_t k = JT_TOKEN_BYTES; k-- > BODY; sum /= 62)
		out[k] = digits[sum % 62];
}
