/*
 * atomic: the few named atomic operations that the rest of jeton uses.
 *
 * Everything shared between processes is a fixed-width _Atomic word and is
 * touched only through these. The order sits on the operation; there is no
 * stand-alone fence, because ThreadSanitizer does not see fences. Each use
 * names its partner ("pairs with ...") or says why relaxed is enough.
 *
 * The words are lock-free and address-free on every host that jeton builds
 * for (asserted below), so they work between processes.
 */
#ifndef JT_SHM_ATOMIC_H
#define JT_SHM_ATOMIC_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "64-bit atomics must be lock-free");
static_assert(sizeof(_Atomic uint64_t) == 8, "atomic words carry no lock");
static_assert(sizeof(_Atomic uint32_t) == 4, "atomic words carry no lock");
static_assert(sizeof(_Atomic uint16_t) == 2, "atomic words carry no lock");
static_assert(sizeof(_Atomic uint8_t) == 1, "atomic words carry no lock");

#define jt_load_relaxed(p) atomic_load_explicit((p), memory_order_relaxed)
#define jt_load_acquire(p) atomic_load_explicit((p), memory_order_acquire)
#define jt_load_seq(p) atomic_load_explicit((p), memory_order_seq_cst)
#define jt_store_relaxed(p, v)                                                 \
	atomic_store_explicit((p), (v), memory_order_relaxed)
#define jt_store_release(p, v)                                                 \
	atomic_store_explicit((p), (v), memory_order_release)
#define jt_store_seq(p, v) atomic_store_explicit((p), (v), memory_order_seq_cst)
#define jt_add_relaxed(p, v)                                                   \
	atomic_fetch_add_explicit((p), (v), memory_order_relaxed)

/* One try; *EXPECTED is refreshed on failure. Success is a release-acquire. */
static inline bool jt_swap_if(_Atomic uint64_t *p, uint64_t *expected,
			      uint64_t desired)
{
	return atomic_compare_exchange_weak_explicit(p, expected, desired,
						     memory_order_acq_rel,
						     memory_order_relaxed);
}

/* A counter with one writing process: no locked instruction needed. */
static inline void jt_count(_Atomic uint64_t *p, uint64_t n)
{
	/* relaxed: nobody else writes it; readers only want a recent value */
	jt_store_relaxed(p, jt_load_relaxed(p) + n);
}

#endif
