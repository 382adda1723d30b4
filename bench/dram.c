/* dram: see dram.h. */
#include "bench/dram.h"

#include "bench/machine.h"
#include "bench/random.h"

#include <sodium.h>

#define GROUP 32u
#define VALUE_BYTES 64u

/* So that no result is unused. */
static _Atomic uint64_t sink;

static uint64_t place(const struct jt_maps *maps, uint64_t random)
{
	return (uint64_t)((unsigned __int128)random * maps->n_slots >> 64);
}

double jt_dram_dependent_ns(const struct jt_maps *maps, unsigned n,
			    uint64_t *random)
{
	uint64_t start_ns = jt_machine_now_ns(), x = *random;

	for (unsigned i = 0; i < n; i++)
		/* relaxed: any value will do */
		x = x * 6364136223846793005ull + 1442695040888963407ull +
		    jt_load_relaxed(&maps->slots[place(maps, x)].key);
	*random = x;
	return (double)(jt_machine_now_ns() - start_ns) / n;
}

double jt_dram_prefetched_ns(const struct jt_maps *maps, unsigned n,
			     uint64_t *random)
{
	uint64_t start_ns = jt_machine_now_ns(), at[GROUP], sum = 0;

	for (unsigned done = 0; done < n; done += GROUP) {
		for (unsigned i = 0; i < GROUP; i++) {
			at[i] = place(maps, jt_random_next(random));
			__builtin_prefetch(&maps->slots[at[i]]);
		}
		for (unsigned i = 0; i < GROUP; i++)
			/* relaxed: any value will do */
			sum += jt_load_relaxed(&maps->slots[at[i]].key);
	}
	/* relaxed: nobody reads it */
	jt_store_relaxed(&sink, sum);
	return (double)(jt_machine_now_ns() - start_ns) / n;
}

/* What one hash gives is part of what the next one takes: its latency. */
double jt_dram_blake2b_ns(unsigned n)
{
	uint64_t start_ns = jt_machine_now_ns();
	uint8_t value[VALUE_BYTES] = {1};

	for (unsigned i = 0; i < n; i++)
		crypto_generichash(value, 32, value, VALUE_BYTES, NULL, 0);
	/* relaxed: nobody reads it */
	jt_store_relaxed(&sink, value[0]);
	return (double)(jt_machine_now_ns() - start_ns) / n;
}

double jt_dram_siphash_ns(unsigned n)
{
	static const uint8_t key[crypto_shorthash_siphashx24_KEYBYTES] = {7};
	uint64_t start_ns = jt_machine_now_ns();
	uint8_t value[VALUE_BYTES] = {1};

	for (unsigned i = 0; i < n; i++)
		crypto_shorthash_siphashx24(value, value, VALUE_BYTES, key);
	/* relaxed: nobody reads it */
	jt_store_relaxed(&sink, value[0]);
	return (double)(jt_machine_now_ns() - start_ns) / n;
}
