/*
 * dram: what nothing that looks into a table can do without: random reads of
 * 64-byte lines in that very table, in the pages in which it lies, and one
 * short and one long hash. All in nanoseconds each; one thread.
 */
#ifndef JT_BENCH_DRAM_H
#define JT_BENCH_DRAM_H

#include "shm/segment.h"

/* So many reads, each to a place that the one before decides. */
double jt_dram_dependent_ns(const struct jt_maps *maps, unsigned n,
			    uint64_t *random);
/* So many reads, in groups of 32 that are asked for before the first is read.
 */
double jt_dram_prefetched_ns(const struct jt_maps *maps, unsigned n,
			     uint64_t *random);
/* libsodium's BLAKE2b-256 and SipHash-2-4-128 of 64 bytes. */
double jt_dram_blake2b_ns(unsigned n);
double jt_dram_siphash_ns(unsigned n);

#endif
