/*
 * record: the 256 bytes of one journal record.
 *
 * Layout; little-endian hosts only (asserted in format.c). Every record
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

#include "shm/layout.h"
#include "shm/window.h"
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define JT_ID_BYTES 24
#define JT_DIGEST_BYTES 32
#define JT_NAME_MAX 64
#define JT_OWNER_MAX 48
#define JT_ENV_MAX 6
#define JT_TAG_BYTES 16
#define JT_PLAN_MAX 32	/* bytes of a plan's name */
#define JT_SCOPE_MAX 64 /* bytes of a scope's name */
#define JT_SCOPES_N 256 /* names in a deployment */
#define JT_SETS_N 8191	/* different sets of them */
#define JT_REASON_MAX 184

/*
 * Types 1-11, but for PLAN, carry the token's whole state in body.token; the
 * newest of them is what the token is. The others are events, or definitions
 * that tokens name by number.
 *
 * A compaction (survey.h) leaves records between a token's first and newest
 * out. So a fold takes all fields of each as they are, whatever its type, and
 * does not ask how the token came to be so: a RENEW may be the first word of a
 * suspension, a FINISH or RESUME may come without what it ends.
 */
enum jt_record_type {
	JT_REC_CREATE = 1,  /* a new token, or one taken from elsewhere */
	JT_REC_REVOKE = 2,  /* final, nothing but PURGE follows */
	JT_REC_PLAN = 3,    /* body.plan: limits under a number */
	JT_REC_RENEW = 4,   /* another expiry */
	JT_REC_RENAME = 5,  /* another name */
	JT_REC_SET = 6,	    /* another owner, other limits or scopes */
	JT_REC_SUSPEND = 7, /* out of force until resumed */
	JT_REC_RESUME = 8,  /* in force again */
	JT_REC_ROTATE =
		9, /* another value; the one before lives on for a time */
	JT_REC_FINISH = 10, /* the value before the rotation ends now */
	JT_REC_PURGE = 11,  /* a dead token is forgotten */
	/* 12 is no type */
	JT_REC_SCOPE = 13,  /* body.scope: a name under a number */
	JT_REC_SCOPES = 14, /* body.scopes: a set under a number */
	JT_REC_RULES = 15,  /* body.rules: what holds for the deployment */
	JT_REC_REASON = 16, /* body.reason: why, for the batch it ends */
	JT_REC_COPY = 17,   /* body.token: its value was read from the vault */
	JT_REC_NOTICE = 18, /* body.notice: its expiry was announced */
	JT_REC_LAST = JT_REC_NOTICE,
};

/* body.token.flags */
#define JT_TOKEN_SUSPENDED 0x01u
#define JT_TOKEN_RECOVERABLE 0x02u /* the vault holds its value */
#define JT_TOKEN_FLAGS 0x03u

struct jt_record_token {
	char id[JT_ID_BYTES];
	uint8_t digest[JT_DIGEST_BYTES];
	char name[JT_NAME_MAX];
	char owner[JT_OWNER_MAX];
	uint32_t expires_s;   /* since 1970 UTC; first second refused */
	uint32_t old_until_s; /* the same for the value before the rotation;
			       * 0: never rotated */
	uint16_t plan;	      /* named limits; 0: none */
	uint16_t scope_set;   /* 0: none */
	uint16_t own;	/* limits of its own, before the plan's; 0: none */
	uint8_t scheme; /* enum jt_value_scheme */
	uint8_t flags;
};

/*
 * A number is given in rising order and keeps its name: limits without a name
 * never change, a named plan may come again with other limits.
 */
struct jt_record_plan {
	uint16_t number; /* 1..65535 */
	uint8_t removed; /* a named plan that nobody uses any more */
	uint8_t zero[5];
	uint64_t rate;		/* requests ...; 0: no rate */
	uint64_t period_ns;	/* ... in this span */
	uint64_t burst;		/* at once at most */
	uint64_t quota;		/* requests in a window; 0: no quota */
	uint32_t quota_unit;	/* enum jt_quota_unit */
	uint32_t quota_minutes; /* with JT_QUOTA_MINUTES */
	char name[JT_PLAN_MAX]; /* empty: limits of single tokens */
	uint8_t zeros[104];
};

struct jt_record_scope {
	uint16_t number; /* 1..256, in rising order */
	uint8_t zero[6];
	char name[JT_SCOPE_MAX];
	uint8_t zeros[112];
};

struct jt_record_scopes {
	uint16_t number; /* 1..8191, in rising order */
	uint8_t zero[6];
	uint8_t bits[32]; /* bit i: scope number i + 1 */
	uint8_t zeros[144];
};

struct jt_record_rules {
	char max_lifetime[16]; /* as `--expires` takes it; empty: 4 years */
	uint8_t zeros[168];
};

struct jt_record_notice {
	char id[JT_ID_BYTES];
	uint32_t expires_s; /* the expiry that was announced */
	uint32_t days;	    /* so many before it; 0: that it is over */
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
		struct jt_record_scope scope;
		struct jt_record_scopes scopes;
		struct jt_record_rules rules;
		struct jt_record_notice notice;
		char reason[JT_REASON_MAX];
		uint8_t bytes[184];
	};
	uint8_t tag[JT_TAG_BYTES]; /* BLAKE2b-128(previous tag, bytes 0-239) */
};

static_assert(sizeof(struct jt_record_token) == 184, "token body");
static_assert(sizeof(struct jt_record_plan) == 184, "plan body");
static_assert(sizeof(struct jt_record_scope) == 184, "scope body");
static_assert(sizeof(struct jt_record_scopes) == 184, "scopes body");
static_assert(sizeof(struct jt_record_rules) == 184, "rules body");
static_assert(sizeof(struct jt_record_notice) == 184, "notice body");
static_assert(offsetof(struct jt_record_token, expires_s) == 168, "expiry");
static_assert(offsetof(struct jt_record_plan, quota) == 32, "plan quota");
static_assert(offsetof(struct jt_record, number) == 8, "record number");
static_assert(offsetof(struct jt_record, op) == 24, "record op");
static_assert(offsetof(struct jt_record, part) == 40, "record part");
static_assert(offsetof(struct jt_record, env) == 48, "record env");
static_assert(offsetof(struct jt_record, bytes) == 56, "record body");
static_assert(offsetof(struct jt_record, tag) == 240, "record tag");
static_assert(sizeof(struct jt_record) == 256, "record");

/* What such a record does, in a word: "create", "renew"; "?" for no type. */
const char *jt_record_verb(uint8_t type);

/* Does this type carry a token's state? */
static inline int jt_record_is_token(uint8_t type)
{
	return type != JT_REC_PLAN && type >= JT_REC_CREATE &&
	       type <= JT_REC_PURGE;
}

#endif
