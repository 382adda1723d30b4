/* random: see random.h. */
#include "admin/random.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define POOL_BYTES 4096u

static uint8_t pool[POOL_BYTES];
static size_t have; /* the first so many are still unused */

static void refill(void)
{
	while (have < POOL_BYTES) {
		ssize_t n = getrandom(pool + have, POOL_BYTES - have, 0);

		if (n > 0)
			have += (size_t)n;
		else if (errno != EINTR)
			abort(); /* as libsodium does: never go on without */
	}
}

static void take(void *out, size_t bytes)
{
	uint8_t *at = out;

	while (bytes) {
		size_t n;

		if (have == 0)
			refill();
		n = bytes < have ? bytes : have;
		have -= n;
		memcpy(at, pool + have, n);
		sodium_memzero(pool + have, n);
		at += n;
		bytes -= n;
	}
}

static uint32_t take_word(void)
{
	uint32_t word;

	take(&word, sizeof(word));
	return word;
}

static const char *name(void)
{
	return "jeton pool";
}

void jt_random_pool(void)
{
	static randombytes_implementation pooled = {
		.implementation_name = name,
		.random = take_word,
		.buf = take,
	};

	randombytes_set_implementation(&pooled);
}
