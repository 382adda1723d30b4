/*
 * layout: every byte of the two shared segments.
 *
 * Both are memfds of a size fixed at creation and sealed. Offsets, no
 * pointers; explicit padding, zero. A process that maps a segment checks magic,
 * version, fingerprint and size first (segment.c) and refuses what differs.
 *
 *   identity segment                      written by     read by
 *   0      struct jt_identity  4096 B     keeper         everyone
 *   slots  struct jt_slot      64 B each  keeper         everyone
 *   plans  uint32_t            4 B each   keeper         everyone
 *   limits struct jt_limits    32 B each  keeper         everyone
 *   sets   struct jt_scope_set 32 B each  keeper         everyone
 *   scopes struct jt_scopes    one        keeper         everyone
 *   settings  JT_SETTINGS_BYTES           keeper         everyone
 *   pool   bytes: owners                  keeper         everyone
 *
 *   meter segment
 *   0      struct jt_meters    4096 B     keeper, once   everyone
 *   board  struct jt_desk      1024 B ea. its worker     everyone
 *   peers  struct jt_peer      128 B each any worker     everyone
 *   calls  struct jt_calls     32 B each  its worker     everyone
 *   lines  struct jt_meter     64 B each  any worker     everyone
 *
 * There is one meter segment as long as the daemon lives, and its successors if
 * it is upgraded: it has lines for as many tokens as there may ever be, and
 * memory only for those that an identity segment has room for. A table that
 * grows, or that the next daemon makes, is another identity segment beside the
 * same meters; so a token's line never moves. Two daemons have desks of their
 * own, and count for the same peers.
 *
 * Identity decides what is valid: workers map it read-only. Meters decide how
 * much: workers write them, so nothing read from there is trusted beyond that.
 *
 * Units: *_s seconds since 1970 UTC, *_ns nanoseconds of CLOCK_BOOTTIME,
 * *_off bytes from the start of the segment. Little-endian hosts.
 */
#ifndef JT_SHM_LAYOUT_H
#define JT_SHM_LAYOUT_H

#include "shm/atomic.h"
#include <stddef.h>

/* Of the identity segment and of what attaching says; of the meters, which one
 * daemon hands over to the next. */
#ifndef JT_LAYOUT_VERSION
#define JT_LAYOUT_VERSION 5u
#endif
#ifndef JT_METERS_VERSION
#define JT_METERS_VERSION 5u
#endif
#define JT_IDENTITY_MAGIC 0x31444e45444a544aull
#define JT_METERS_MAGIC 0x315254454d4e544aull

#define JT_LINE 64u
#define JT_PAGE 4096u
#define JT_PLANS_MAX 65536u /* numbers 1..65535; 0 = no limit */
#define JT_SETS_MAX 8192u   /* numbers 1..8191; 0 = no scope */
#define JT_SCOPES_MAX 256u  /* numbers 1..256 */
#define JT_SCOPE_BYTES 64u  /* of a name */
#define JT_ENVS_MAX 256u    /* numbers 1..254; 0 = none */
#define JT_ENV_OTHER 255u   /* one of more than that: its word stays 0 */
#define JT_WORKERS_MAX 63u
#define JT_WORDS_MAX 16u /* verdict words, see verify.h */
#define JT_REACH_MAX 4096u
#define JT_POOL_MAX 0xfffff000u	  /* offsets are 32 bits */
#define JT_SETTINGS_BYTES 122880u /* what they mean: sidecar/settings.h */
#define JT_PEERS_MAX 32u /* callers' uids; number 0: all beyond these */
#define JT_TOOK_MAX 24u	 /* buckets: bucket i counts up to 2^i us */
#define JT_EXPIRING_SPANS 5u

/* Word A of a slot: generation 16 | state 8 | flags 8 | expires_s 32. */
enum jt_slot_state {
	JT_SLOT_EMPTY = 0,
	JT_SLOT_BUSY, /* being written: readers deny */
	JT_SLOT_ACTIVE,
	JT_SLOT_REVOKED,
	JT_SLOT_SUSPENDED,
	JT_SLOT_STATES,
};
#define JT_SLOT_OLD_VALUE 0x01u /* flag: replaced by a rotation */

static inline uint64_t jt_word_a(uint16_t generation, uint8_t state,
				 uint8_t flags, uint32_t expires_s)
{
	return (uint64_t)generation << 48 | (uint64_t)state << 40 |
	       (uint64_t)flags << 32 | expires_s;
}
static inline uint16_t jt_a_generation(uint64_t a)
{
	return (uint16_t)(a >> 48);
}
static inline uint8_t jt_a_state(uint64_t a)
{
	return (uint8_t)(a >> 40);
}
static inline uint8_t jt_a_flags(uint64_t a)
{
	return (uint8_t)(a >> 32);
}
static inline uint32_t jt_a_expires_s(uint64_t a)
{
	return (uint32_t)a;
}

/* Word B: meter line 32 | plan 16 | scope set 16. The numbers are those of
 * this segment, not the journal's: see struct jt_limits. */
static inline uint64_t jt_word_b(uint32_t meter, uint16_t plan,
				 uint16_t scope_set)
{
	return (uint64_t)meter << 32 | (uint64_t)plan << 16 | scope_set;
}
static inline uint32_t jt_b_meter(uint64_t b)
{
	return (uint32_t)(b >> 32);
}
static inline uint16_t jt_b_plan(uint64_t b)
{
	return (uint16_t)(b >> 16);
}
static inline uint16_t jt_b_scope_set(uint64_t b)
{
	return (uint16_t)b;
}

/* How a value became a digest. */
enum jt_value_scheme {
	JT_VALUE_NATIVE = 0,   /* BLAKE2b-256 of our 64 characters */
	JT_VALUE_SHA256 = 1,   /* SHA-256 of the whole value */
	JT_VALUE_PREFIXED = 2, /* SHA-256 of what stands behind the last `_` */
	JT_VALUE_SCHEMES,
};

/*
 * One token value. `key` is what the index is made from: XXH3-64 of the public
 * 24 characters under the segment's seed; for values that are not of our form
 * the digest's first 8 bytes. `digest` is compared; it is atomic
 * only because a slot may be rewritten while a reader looks (table.c).
 */
struct jt_slot {
	_Atomic uint64_t key;	    /*  0 */
	_Atomic uint64_t digest[4]; /*  8 of the value, see `scheme` */
	_Atomic uint64_t a;	    /* 40 */
	_Atomic uint64_t b;	    /* 48 */
	_Atomic uint32_t owner; /* 56 pool offset of {length, bytes}; 0 none */
	_Atomic uint8_t env;	/* 60 number in jt_identity.envs */
	_Atomic uint8_t scheme; /* 61 enum jt_value_scheme */
	_Atomic uint16_t reach; /* 62 of the *home* that stands here: how far
				 * its keys went, in slots; only grows */
};
static_assert(sizeof(struct jt_slot) == JT_LINE, "slot is one line");
static_assert(offsetof(struct jt_slot, digest) == 8, "slot digest");
static_assert(offsetof(struct jt_slot, a) == 40, "slot a");
static_assert(offsetof(struct jt_slot, b) == 48, "slot b");
static_assert(offsetof(struct jt_slot, owner) == 56, "slot owner");
static_assert(offsetof(struct jt_slot, env) == 60, "slot env");
static_assert(offsetof(struct jt_slot, scheme) == 61, "slot scheme");
static_assert(offsetof(struct jt_slot, reach) == 62, "slot reach");

/*
 * What a token may do in a time. A slot names a plan's number, the number's
 * word in `plans` names a block of these, so that a plan changes for all its
 * tokens by one store. A block is written before any word names it, and again,
 * for other limits, only after every worker has passed a round since the last
 * word that named it was stored over; a plan's number is given to other tokens
 * only that long after no slot names it. So a reader who has the word needs no
 * second look, if it keeps neither from one round to the next.
 */
struct jt_limits {
	_Atomic uint64_t interval_ns; /*  0 between requests; 0 = no rate */
	_Atomic uint64_t burst;	      /*  8 requests at once */
	_Atomic uint64_t quota;	      /* 16 requests in a window; 0 = none */
	_Atomic uint64_t window;      /* 24 unit 32 | minutes 32, window.h */
};
static_assert(sizeof(struct jt_limits) == 32, "two blocks a line");
static_assert(offsetof(struct jt_limits, quota) == 16, "limits quota");

/* The scopes of a token, by number. Written once, before any slot names it. */
struct jt_scope_set {
	_Atomic uint64_t bits[4]; /* bit i: scope number i + 1 */
};
static_assert(sizeof(struct jt_scope_set) == 32, "two sets a line");

/* Names of scopes, and an index into them. A name is never rewritten. */
#define JT_SCOPE_PLACES 1024u /* a power of two, four times the names */
struct jt_scope {
	uint8_t name[JT_SCOPE_BYTES]; /* zero-padded */
};
struct jt_scopes {
	struct jt_scope names[JT_SCOPES_MAX];	  /* number - 1 */
	_Atomic uint16_t places[JT_SCOPE_PLACES]; /* hash -> number; 0: free */
};
static_assert(sizeof(struct jt_scopes) == 18432, "scopes");

/* jt_identity.offered: the next daemon serves; hand your connections over, or
 * end them where that cannot be: with their next answer, or, in a hurry, now
 * between two requests. */
#define JT_OFFERED_LEAVE UINT64_MAX
#define JT_OFFERED_HURRY (UINT64_MAX - 1)

enum jt_identity_state {
	JT_IDENTITY_LOADING =
		1, /* the journal is being replayed: no verdicts */
	JT_IDENTITY_SERVING,
	JT_IDENTITY_RETIRED, /* a newer segment serves: attach again */
};

/* What the keeper alone knows, told anew every second for who shows it
 * (sidecar/news.h). */
struct jt_news {
	_Atomic uint64_t committed; /*   0 journal number, in force or not */
	_Atomic uint64_t red;	    /*   8 1: some promise cannot be kept */
	_Atomic uint64_t started_s; /*  16 */
	_Atomic uint64_t active;    /*  24 tokens, expired ones not among */
	_Atomic uint64_t suspended; /*  32 */
	_Atomic uint64_t revoked;   /*  40 */
	_Atomic uint64_t expired;   /*  48 neither revoked nor suspended */
	_Atomic uint64_t expiring[JT_EXPIRING_SPANS]; /* 56 ledger.h */
	_Atomic uint64_t settings; /*  96 times that they were read anew */
	/* of the keeper and the scribe together, who have no desk */
	_Atomic uint64_t cpu_ns;   /* 104 */
	_Atomic uint64_t resident; /* 112 bytes */
	_Atomic uint64_t open_fds; /* 120 */
	_Atomic uint64_t growths;  /* 128 of the table, since the start */
	_Atomic uint64_t growing;  /* 136 % of the one under way + 1; 0: none */
	_Atomic uint64_t capacity_max; /* 144 tokens that it may grow to */
	uint8_t zeros[40];
};
static_assert(sizeof(struct jt_news) == 192, "news");

struct jt_identity {
	uint64_t magic;		/*   0 */
	uint32_t version;	/*   8 */
	uint32_t zero;		/*  12 */
	uint64_t fingerprint;	/*  16 of this layout, see segment.c */
	uint64_t size_bytes;	/*  24 of the whole segment */
	uint8_t journal_id[16]; /* 32 */
	uint64_t seed;		/* 48 of the index hash */
	uint64_t slots;		/* 56 */
	uint64_t capacity;	/* 64 tokens */
	uint64_t slots_off;	/* 72 */
	uint64_t plans_off;	/* 80 */
	uint64_t limits_off;	/* 88 */
	uint64_t sets_off;	/* 96 */
	uint64_t scopes_off;	/* 104 */
	uint64_t pool_off;	/* 112 */
	uint64_t pool_bytes;	/* 120 */
	/* the keeper's moving words, on lines of their own */
	_Atomic uint64_t state;	    /* 128 enum jt_identity_state */
	_Atomic uint64_t applied;   /* 136 journal number in force */
	_Atomic uint64_t used;	    /* 144 slots in use */
	_Atomic uint64_t tokens;    /* 152 ids */
	_Atomic uint64_t plans;	    /* 160 highest number given */
	_Atomic uint64_t limits;    /* 168 highest block given */
	_Atomic uint64_t sets;	    /* 176 highest number given */
	_Atomic uint64_t scopes;    /* 184 highest number given */
	_Atomic uint64_t pool_used; /* 192 bytes */
	_Atomic uint64_t envs_used; /* 200 highest number */
	_Atomic uint64_t schemes;   /* 208 bit: that scheme is in use */
	_Atomic uint64_t env;	    /* 216 only tokens of this one; 0: any */
	char prefix[8];		    /* 224 how ids begin */
	uint64_t settings_off;	    /* 232 */
	uint64_t number;	    /* 240 1, and one more at each growth */
	_Atomic uint64_t offered;   /* 248 number of a newer one that has been
				     * sent to the workers; 0: none;
				     * JT_OFFERED_LEAVE, _HURRY */
	_Atomic uint64_t envs[JT_ENVS_MAX]; /* 256 names, zero-padded words */
	/* 2304 boot clock: who is in no process of the daemon believes this
	 * segment until then (jeton.c); on a line of its own */
	_Atomic uint64_t lease_ns;
	/* 2312 the highest wall clock that is believed: expiry is judged by the
	 * later of this and the clock, which may be set back */
	_Atomic uint64_t clock_s;
	uint8_t zeros2[48];
	struct jt_news news; /* 2368 */
	uint8_t zeros3[4096 - 2368 - sizeof(struct jt_news)];
};
static_assert(sizeof(struct jt_identity) == JT_PAGE, "identity header");
static_assert(offsetof(struct jt_identity, slots_off) == 72, "slots_off");
static_assert(offsetof(struct jt_identity, state) == 128, "own line");
static_assert(offsetof(struct jt_identity, applied) == 136, "applied");
static_assert(offsetof(struct jt_identity, envs_used) == 200, "envs_used");
static_assert(offsetof(struct jt_identity, schemes) == 208, "schemes");
static_assert(offsetof(struct jt_identity, prefix) == 224, "prefix");
static_assert(offsetof(struct jt_identity, envs) == 256, "envs");
static_assert(offsetof(struct jt_identity, settings_off) == 232, "settings");
static_assert(offsetof(struct jt_identity, offered) == 248, "offered");
static_assert(offsetof(struct jt_identity, lease_ns) == 2304, "own line");
static_assert(offsetof(struct jt_identity, clock_s) == 2312, "clock_s");
static_assert(offsetof(struct jt_identity, news) == 2368, "news");

/* One token's rate, quota and usage. Any worker, lock-free (meter.c). */
struct jt_meter {
	/*  0 GCRA: theoretical arrival, ns */
	_Alignas(JT_LINE) _Atomic uint64_t rate;
	_Atomic uint64_t quota;	     /*  8 window's start 27 | count 37 */
	_Atomic uint64_t uses;	     /* 16 admitted requests, cost counted */
	_Atomic uint64_t refusals;   /* 24 */
	_Atomic uint64_t last_use_s; /* 32 */
	_Atomic uint64_t old_use_s;  /* 40 of the value before the rotation */
	_Atomic uint64_t old_use_by; /* 48 that caller's uid + 1; 0: unknown */
	uint8_t zeros[8];	     /* 56 */
};
static_assert(sizeof(struct jt_meter) == JT_LINE, "meter is one line");
static_assert(_Alignof(struct jt_meter) == JT_LINE, "a pair needs 16");
static_assert(offsetof(struct jt_meter, quota) == 8, "quota follows rate");
static_assert(offsetof(struct jt_meter, uses) == 16, "meter uses");
static_assert(offsetof(struct jt_meter, refusals) == 24, "meter refusals");
static_assert(offsetof(struct jt_meter, last_use_s) == 32, "meter last use");
static_assert(offsetof(struct jt_meter, old_use_s) == 40, "meter old use");
static_assert(offsetof(struct jt_meter, old_use_by) == 48, "meter old user");

/* Which door a worker stands at. */
enum jt_desk_kind {
	JT_DESK_RESP = 0,
	JT_DESK_HTTP,
	JT_DESK_KINDS,
};

enum jt_desk_state {
	JT_DESK_FREE = 0,
	JT_DESK_STARTING,
	JT_DESK_SERVING,
};

/*
 * One worker's counters: written by that worker alone (and by the keeper when
 * it is dead), read by all.
 */
/* How a worker at the RESP door speaks with the kernel. */
enum jt_desk_backend {
	JT_DESK_NO_BACKEND = 0,
	JT_DESK_URING,
	JT_DESK_URING_RESTRICTED, /* to the operations that it needs */
	JT_DESK_EPOLL,
};

struct jt_desk {
	_Atomic uint64_t state;	      /*   0 enum jt_desk_state */
	_Atomic uint64_t pid;	      /*   8 */
	_Atomic uint64_t rounds;      /*  16 drains, each counted at its end */
	_Atomic uint64_t connections; /*  24 open now */
	_Atomic uint64_t paused;      /*  32 not accepting, others have fewer */
	_Atomic uint64_t beat_ns;     /*  40 when its last drain began */
	_Atomic uint64_t kind;	      /*  48 enum jt_desk_kind */
	_Atomic uint64_t table;	      /*  56 jt_identity.number it looks into */
	_Atomic uint64_t accepted;    /*  64 */
	_Atomic uint64_t busy;	      /*  72 refused: too many connections */
	_Atomic uint64_t commands;    /*  80 */
	_Atomic uint64_t errors;      /*  88 RESP errors answered */
	_Atomic uint64_t broken;      /*  96 closed for a protocol error */
	_Atomic uint64_t slow;	      /* 104 closed at a deadline */
	_Atomic uint64_t bytes_in;    /* 112 */
	_Atomic uint64_t bytes_out;   /* 120 */
	_Atomic uint64_t memo_hits;   /* 128 */
	_Atomic uint64_t memo_misses; /* 136 */
	_Atomic uint64_t torn;	      /* 144 slots denied as inconsistent */
	_Atomic uint64_t cpu_ns;      /* 152 of this process, as of its tick */
	_Atomic uint64_t resident;    /* 160 bytes, likewise */
	_Atomic uint64_t open_fds;    /* 168 likewise */
	_Atomic uint64_t backend;     /* 176 enum jt_desk_backend */
	uint8_t zeros1[64];	      /* 184 */
	_Atomic uint64_t layers;      /* 248 sandbox.h; + 1, 0: not there yet */
	_Atomic uint64_t words[JT_WORDS_MAX]; /* 256 verdicts by word */
	/* from a round's start to its replies, each verdict counted */
	_Atomic uint64_t took[JT_TOOK_MAX]; /* 384 */
	_Atomic uint64_t took_ns;	    /* 576 all of it */
	uint8_t zeros2[1024 - 584];
};
static_assert(sizeof(struct jt_desk) == 1024, "desk");
static_assert(offsetof(struct jt_desk, beat_ns) == 40, "desk beat");
static_assert(offsetof(struct jt_desk, table) == 56, "desk table");
static_assert(offsetof(struct jt_desk, accepted) == 64, "desk second line");
static_assert(offsetof(struct jt_desk, memo_hits) == 128, "desk third line");
static_assert(offsetof(struct jt_desk, backend) == 176, "desk backend");
static_assert(offsetof(struct jt_desk, words) == 256, "desk words");
static_assert(offsetof(struct jt_desk, took) == 384, "desk took");

/* Who calls: one uid on this host, numbered when it first came. */
struct jt_peer {
	_Alignas(JT_LINE) _Atomic uint64_t uid; /* + 1; 0: free */
	uint8_t zeros[56];
	struct jt_meter refusals; /* how many it may still cause */
};
static_assert(sizeof(struct jt_peer) == 128, "peer");

/* What one worker has had from one peer; a dead worker's connections are
 * taken off by the keeper. */
struct jt_calls {
	_Atomic uint64_t connections; /*  0 open now */
	_Atomic uint64_t admitted;    /*  8 verifications that ended VALID */
	_Atomic uint64_t refused;     /* 16 all others but LOADING */
	_Atomic uint64_t busy;	      /* 24 not looked at: over its limits */
};
static_assert(sizeof(struct jt_calls) == 32, "calls");

struct jt_meters {
	uint64_t magic;	      /*  0 */
	uint32_t version;     /*  8 */
	uint32_t zero;	      /* 12 */
	uint64_t fingerprint; /* 16 */
	uint64_t size_bytes;  /* 24 */
	uint64_t lines;	      /* 32 not all of them have memory, see above */
	uint64_t board_off;   /* 40 */
	uint64_t lines_off;   /* 48 */
	uint64_t peers_off;   /* 56 */
	uint64_t calls_off;   /* 64 */
	uint8_t zeros[4096 - 72];
};
static_assert(sizeof(struct jt_meters) == JT_PAGE, "meters header");

#endif
