/*
 * derived: tokens made from their number and a seed, so that 10^8 of them need
 * not be kept. Well formed, with the right checksum; secret to nobody, for
 * tables that live as long as a benchmark. Pure.
 */
#ifndef JT_BENCH_DERIVED_H
#define JT_BENCH_DERIVED_H

#include "shm/token.h"

/* Number I: `jt_live_...` */
void jt_derived_token(uint64_t seed, uint64_t i, char out[JT_TOKEN_BYTES]);

#endif
