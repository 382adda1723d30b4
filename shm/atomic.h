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

/* Two adjacent words; `low` stands at the lower address. */
struct jt_pair {
	uint64_t low, high;
};

/*
 * One try on the two words from P on, which is aligned to 16: both become
 * DESIRED if both are EXPECTED, in one step that no process sees half of, or
 * neither changes. *EXPECTED is refreshed on failure, its two words not always
 * from one moment (arm64 promises that only if the store succeeds), and a try
 * may fail for no reason: decide again and try again, bounded. Success is a
 * release-acquire. Both words must be writable, also for a try that fails.
 *
 * Assembler, because compilers turn a 16-byte _Atomic into a library call that
 * may take a lock. ThreadSanitizer does not see it. It has nothing to report
 * there: the words are _Atomic for everybody else, and atomic accesses do not
 * race; and it misses no order, as long as the words publish nothing but
 * themselves. Use it for such words only.
 */
#if defined(__x86_64__)
static inline bool jt_swap_pair_if(_Atomic uint64_t *p,
				   struct jt_pair *expected,
				   struct jt_pair desired)
{
	bool done;

	__asm__ volatile("lock cmpxchg16b (%[p])"
			 : "=@ccz"(done), "+a"(expected->low),
			   "+d"(expected->high)
			 : [p] "r"(p), "b"(desired.low), "c"(desired.high)
			 : "memory");
	return done;
}
#elif defined(__aarch64__)
static inline bool jt_swap_pair_if(_Atomic uint64_t *p,
				   struct jt_pair *expected,
				   struct jt_pair desired)
{
	uint64_t low, high;
	uint32_t lost;

	__asm__ volatile(
		"	ldaxp	%[low], %[high], [%[p]]\n"
		"	mov	%w[lost], #1\n"
		"	cmp	%[low], %[was_low]\n"
		"	ccmp	%[high], %[was_high], #0, eq\n"
		"	b.ne	1f\n"
		"	stlxp	%w[lost], %[to_low], %[to_high], [%[p]]\n"
		"1:\n"
		: [low] "=&r"(low), [high] "=&r"(high), [lost] "=&r"(lost)
		: [p] "r"(p), [was_low] "r"(expected->low),
		  [was_high] "r"(expected->high), [to_low] "r"(desired.low),
		  [to_high] "r"(desired.high)
		: "cc", "memory");
	if (lost)
		*expected = (struct jt_pair){low, high};
	return !lost;
}
#else
#error "no compare-and-swap of 16 bytes known for this processor"
#endif

/* A counter with one writing process: no locked instruction needed. */
static inline void jt_count(_Atomic uint64_t *p, uint64_t n)
{
	/* relaxed: nobody else writes it; readers only want a recent value */
	jt_store_relaxed(p, jt_load_relaxed(p) + n);
}

#endif
