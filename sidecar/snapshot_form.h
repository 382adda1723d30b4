/*
 * snapshot_form: the bytes of a snapshot. Essay: top of snapshot.c.
 *
 * For snapshot*.c and tests. Little-endian; all padding is zero.
 */
#ifndef JT_SIDECAR_SNAPSHOT_FORM_H
#define JT_SIDECAR_SNAPSHOT_FORM_H

#include "admin/journal.h"
#include "shm/layout.h"

#define JT_SNAPSHOT_VERSION 1u
#define JT_SNAPSHOT_TABLE 4096u /* where the table of blocks begins */
#define JT_SNAPSHOT_BLOCK_MAX (1u << 21)

/* In this order in the file. */
enum jt_snapshot_kind {
	JT_SNAPSHOT_PLANS = 0, /* definitions, 1.. */
	JT_SNAPSHOT_SCOPES,    /* names, 1.. */
	JT_SNAPSHOT_SETS,      /* bits, 1.. */
	JT_SNAPSHOT_PASTS,     /* values that went */
	JT_SNAPSHOT_POOL,      /* bytes: owners' names, from 0 */
	JT_SNAPSHOT_LINES,     /* tokens, by their meter line, from 0 */
	JT_SNAPSHOT_SLOTS,     /* values, by their place in the table, from 0 */
	JT_SNAPSHOT_KINDS,
};

struct jt_snapshot_header {
	char magic[8];
	uint32_t version;	     /*   8 */
	uint32_t n_blocks;	     /*  12 */
	uint64_t fingerprint;	     /*  16 of the layouts that a build has */
	uint8_t journal_id[16];	     /* 24 */
	uint64_t generation;	     /* 40 */
	uint64_t number;	     /* 48 the last record that is in it */
	uint8_t tag[JT_TAG_BYTES];   /* 56 of that record */
	uint64_t written_s;	     /* 72 when the replay began */
	uint64_t seed;		     /* 80 of the index hash, no secret */
	uint64_t capacity;	     /* 88 of the table that SLOTS are of */
	uint64_t tidy_from_s;	     /* 96 ledger.h */
	uint64_t pool_used;	     /* 104 */
	uint64_t schemes;	     /* 112 layout.h */
	uint64_t n_past;	     /* 120 values that ever went */
	uint64_t tokens;	     /* 128 */
	uint64_t values;	     /* 136 in slots */
	uint32_t n_lines;	     /* 144 */
	uint32_t free_first, n_free; /* 148, 152 */
	uint32_t n_plans;	     /* 156 highest numbers given */
	uint32_t n_scopes, n_sets;   /* 160, 164 */
	uint64_t envs_used;	     /* 168 */
	uint8_t table_sum[16];	     /* 176 BLAKE2b-128 of the table */
	uint64_t envs[JT_ENVS_MAX];  /* 192 */
	uint8_t zero[4096 - 192 - 8 * JT_ENVS_MAX - 16];
	uint8_t checksum[16]; /* 4080 BLAKE2b-128 of bytes 0-4079 */
};

struct jt_snapshot_block {
	uint32_t kind;	 /*  0 enum jt_snapshot_kind */
	uint32_t bytes;	 /*  4 in the file */
	uint64_t first;	 /*  8 the first thing of that kind in it */
	uint8_t sum[16]; /* 16 XXH3-128 */
};

struct jt_snapshot_plan {
	uint64_t record; /*  0 that defined it last */
	uint64_t rate, period_ns, burst, quota;
	uint32_t quota_unit, quota_minutes; /* 40, 44 */
	char name[32];			    /* 48 */
	uint8_t removed;		    /* 80 */
	uint8_t zeros[7];
};

struct jt_snapshot_past {
	uint64_t first;
	uint32_t line;
	uint32_t zero;
	uint8_t key[16];
};

/* struct jt_line and struct jt_seat, zeros but for `next` when it is free
 * (last == 0). */
struct jt_snapshot_line {
	uint64_t first, last;
	uint32_t slot, old_slot, old_until_s, next, expires_s; /* 16.. */
	uint16_t plan, own, set;			       /* 36.. */
	uint8_t state;					       /* 42 */
	uint8_t zeros[5];
};

/*
 * A block of SLOTS: a bit for each of its slots, set where the slot was ever
 * used, in whole 8 bytes; then those slots, as they are in the segment.
 */
struct jt_snapshot_slot {
	uint64_t key, digest[4], a, b;
	uint32_t owner;	     /* 56 */
	uint8_t env, scheme; /* 60, 61 */
	uint16_t reach;	     /* 62 */
};

static_assert(sizeof(struct jt_snapshot_header) == 4096, "header page");
static_assert(offsetof(struct jt_snapshot_header, envs) == 192, "envs");
static_assert(sizeof(struct jt_snapshot_block) == 32, "block");
static_assert(sizeof(struct jt_snapshot_plan) == 88, "plan");
static_assert(sizeof(struct jt_snapshot_past) == 32, "past");
static_assert(sizeof(struct jt_snapshot_line) == 48, "line");
static_assert(sizeof(struct jt_snapshot_slot) == JT_LINE, "slot");

/* The FIRST.. COUNT things of block I; both follow from the header alone. */
struct jt_snapshot_span {
	uint32_t kind;
	uint64_t first, count;
};
/* Bytes of a block of COUNT things, whole 8; of SLOTS, without the slots. */
uint64_t jt_snapshot_fixed(uint32_t kind, uint64_t count);
uint64_t jt_snapshot_blocks(const struct jt_snapshot_header *h);
struct jt_snapshot_span jt_snapshot_span(const struct jt_snapshot_header *h,
					 uint64_t i);

uint64_t jt_snapshot_fingerprint(void);
void jt_snapshot_block_sum(uint8_t out[16], const void *bytes, size_t n);
void jt_snapshot_table_sum(uint8_t out[16],
			   const struct jt_snapshot_block *blocks, size_t n);
void jt_snapshot_header_sum(uint8_t out[16],
			    const struct jt_snapshot_header *h);

#endif
