/*
 * estate: which meter line is whose, from one daemon to the next.
 *
 * An upgrade leaves the meters where they are (layout.h); but each daemon gives
 * lines to tokens by itself, in the order in which it reads them. So the one
 * that leaves writes down who has which, and the next one, before it serves,
 * moves its tokens to those. Where it cannot use the meters, since its build
 * has others, it takes the figures instead.
 *
 * As long as both are there a purged token's line rests, and of the unused ones
 * the older keeps JT_ESTATE_SPARE, for tokens that come while it is there;
 * when more come, it leaves (keeper_upgrade.c).
 *
 * The list is a sealed memfd: a header, N entries, then the numbers of unused
 * lines that go to the newer one; of fixed form for any two builds. Keeper
 * only.
 */
#ifndef JT_SIDECAR_ESTATE_H
#define JT_SIDECAR_ESTATE_H

#include "sidecar/ledger.h"

#define JT_ESTATE_MAGIC 0x3154535445544a00ull
#define JT_ESTATE_SPARE 1024u
#define JT_ESTATE_OTHER 1u /* flag: a value not of our form */

struct jt_estate_header {
	uint64_t magic;
	uint32_t version; /* 1 */
	uint32_t entry_bytes;
	uint64_t n;
	uint64_t lines_end; /* no line from here on was ever used, or will be
			     * by the older one */
	uint64_t n_given;
	uint8_t zeros[24];
};
static_assert(sizeof(struct jt_estate_header) == 64, "one line");

struct jt_estate_entry {
	uint64_t key; /* of its slots, as both have the same seed */
	uint32_t line;
	uint32_t flags;
	uint64_t rate, quota, uses, refusals, last_use_s, old_use_s;
};
static_assert(sizeof(struct jt_estate_entry) == 64, "one line");

enum {
	JT_ESTATE_E_BAD = 1, /* it is none, or names lines that there are not */
};

/*
 * The older one: write it, and give no line twice from now on. The descriptor,
 * or negative errno; then nothing has changed.
 */
int jt_estate_write(struct jt_ledger *l);

/*
 * The newer one, which does not serve yet: take it. SHARED: the meters are the
 * same; else their figures are copied. 0, JT_ESTATE_E_BAD, JT_TABLE_E_FULL or
 * negative errno: do not serve.
 */
int jt_estate_take(struct jt_ledger *l, int fd, bool shared);

/* The other one is gone: lines that nobody has may be given again. */
void jt_estate_release(struct jt_ledger *l);

#endif
