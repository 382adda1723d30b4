/*
 * record: the 256 bytes of one journal record.
 *
 * Layout only; little-endian hosts only (asserted in journal.c). Every record
 * of a token carries the token's whole resulting state ("absolute results,
 * never differences"), so the newest record of an id describes it completely.
 * Strings are padded with zero bytes and need no terminator; unused bytes are
 * zero and are checked.
 *
 * `number`, `time_ns`, `op`, `actor_uid`, `part`, `parts` and `tag` are filled
 * by jt_journal_append(); callers fill type, env and body.
 */
#ifndef JT_ADMIN_RECORD_H
#define JT_ADMIN_RECORD_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define JT_ID_BYTES 24
#define JT_DIGEST_BYTES 32
#define JT_NAME_MAX 64
#define JT_OWNER_MAX 48
#define JT_ENV_MAX 6
#define JT_TAG_BYTES 16

enum jt_record_type {
	JT_REC_CREATE = 1, /* body.token: a new token */
	JT_REC_REVOKE = 2, /* body.token as it was; final, nothing follows */
	JT_REC_PLAN = 3,   /* body.plan: limits under a number, immutable */
};

/* body.token.flags: how the value was made */
#define JT_TOKEN_NATIVE 0u /* 64 characters, BLAKE2b digest */

struct jt_record_token {
	char id[JT_ID_BYTES];
	uint8_t digest[JT_DIGEST_BYTES];
	char name[JT_NAME_MAX];
	char owner[JT_OWNER_MAX];
	uint64_t expires_s; /* seconds since 1970 UTC; first second refused */
	uint16_t plan;	    /* 0: no limit */
	uint16_t scope_set; /* 0: none */
	uint32_t flags;
};

struct jt_record_plan {
	uint16_t number; /* 1..65535, given once, in rising order */
	uint8_t zero[6];
	uint64_t rate;	    /* requests ... */
	uint64_t period_ns; /* ... in this span */
	uint64_t burst;	    /* at once at most */
	uint8_t zeros[152];
};

struct jt_record {
	uint8_t type;
	uint8_t flags;
	uint16_t zero;
	uint32_t actor_uid;
	uint64_t number;  /* 1 for the journal's first record */
	uint64_t time_ns; /* wall clock of the commit, UTC */
	uint8_t op[16];	  /* operation id: the same in a whole batch */
	uint32_t part;	  /* 1..parts: place in its batch */
	uint32_t parts;
	char env[8];
	union {
		struct jt_record_token token;
		struct jt_record_plan plan;
		uint8_t bytes[184];
	};
	uint8_t tag[JT_TAG_BYTES]; /* BLAKE2b-128(previous tag, bytes 0-239) */
};

static_assert(sizeof(struct jt_record_token) == 184, "token body");
static_assert(sizeof(struct jt_record_plan) == 184, "plan body");
static_assert(offsetof(struct jt_record, number) == 8, "record number");
static_assert(offsetof(struct jt_record, op) == 24, "record op");
static_assert(offsetof(struct jt_record, part) == 40, "record part");
static_assert(offsetof(struct jt_record, env) == 48, "record env");
static_assert(offsetof(struct jt_record, bytes) == 56, "record body");
static_assert(offsetof(struct jt_record, tag) == 240, "record tag");
static_assert(sizeof(struct jt_record) == 256, "record");

#endif
