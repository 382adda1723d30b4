/*
 * verify: (maps, memo, requests, now) -> verdicts. Pure: no clock, no system
 * call, no allocation; any process that has mapped the segments.
 *
 * One verification costs one short hash, one or two lines of identity and one
 * line of meter. A batch overlaps its memory reads (verify.c). State is read
 * after the call began: call it only with requests whose bytes have arrived,
 * and never keep a verdict for a later request.
 */
#ifndef JT_SHM_VERIFY_H
#define JT_SHM_VERIFY_H

#include "shm/layout.h"
#include "shm/memo.h"
#include "shm/meter.h"
#include "shm/segment.h"
#include "shm/token.h"

/*
 * Verdict words, stable everywhere, in the order in which they are decided:
 * X(NAME, HTTP status). The enum's value is the counter's place in jt_desk.
 */
#define JT_WORDS(X)                                                            \
	X(LOADING, 503)                                                        \
	X(MISSING, 401)                                                        \
	X(WHITESPACE, 401)                                                     \
	X(MALFORMED, 401)                                                      \
	X(MISTYPED, 401)                                                       \
	X(UNKNOWN, 401)                                                        \
	X(WRONG_ENVIRONMENT, 401)                                              \
	X(REVOKED, 401)                                                        \
	X(SUSPENDED, 401)                                                      \
	X(EXPIRED, 401)                                                        \
	X(INSUFFICIENT_SCOPE, 403)                                             \
	X(QUOTA_EXCEEDED, 429)                                                 \
	X(RATE_LIMITED, 429)                                                   \
	X(VALID, 200)

enum jt_word {
#define X(name, status) JT_##name,
	JT_WORDS(X)
#undef X
	JT_WORDS_N,
};
static_assert(JT_WORDS_N <= JT_WORDS_MAX, "a counter for each word");

const char *jt_word_name(enum jt_word word);
unsigned jt_word_status(enum jt_word word);

/* Notes: bits, written out as words with commas between. */
#define JT_NOTE_OLD_VALUE 0x01u
#define JT_NOTE_EXPIRING 0x02u /* within 7 days */
#define JT_NOTE_NEVER 0x04u    /* cost above burst or quota */
#define JT_NOTE_SCOPE 0x08u    /* `scope` names the missing one */

#define JT_EXPIRING_S (7u * 86400u)

struct jt_bytes {
	const uint8_t *at;
	uint32_t bytes;
};

/*
 * Both limits as a look right after the request finds them, others' requests of
 * that moment among it. Which there are, BOUNDS says; all of it stays as it was
 * when the request was not held against limits.
 */
struct jt_told {
	struct jt_bounds bounds;
	struct jt_meter_state rate, quota;
};

struct jt_ask {
	struct jt_bytes token;
	uint64_t env;	   /* jt_env_word(); 0: any */
	bool env_unknown;  /* ENV was given and is no name at all */
	uint8_t n_envs;	   /* of `envs` */
	uint32_t n_scopes; /* scopes that the token must have */
	const struct jt_bytes *scopes;
	uint64_t cost; /* 0: look without spending */
	/* whoever asks may ask about these only; NULL: about all */
	const uint64_t *envs;
	uint64_t by;	      /* uid + 1 of whoever asks; 0: unknown */
	struct jt_told *told; /* NULL: the verdict's one limit is enough */
};

struct jt_verdict {
	enum jt_word word;
	uint32_t notes;
	/* 24 characters, in the request or in `made`; NULL: unknown */
	const uint8_t *id;
	uint64_t expires_in_s;	/* 0: expired or unknown */
	int64_t limit;		/* -1: none */
	int64_t remaining;	/* -1: none */
	uint64_t reset_ms;	/* until the whole limit is there again */
	int64_t retry_after_ms; /* -1: waiting will not help (NEVER) */
	struct jt_bytes owner;	/* in the pool */
	struct jt_bytes scope;	/* the missing one, with JT_NOTE_SCOPE */
	const struct jt_scope_set *scopes; /* what it has; NULL: none */
	/* where `id` may point, so a verdict is never copied; else not set */
	uint8_t made[JT_PUBLIC_BYTES];
};

/* Tallies of one call, for the desk of the calling worker. */
struct jt_tally {
	uint64_t words[JT_WORDS_N];
	uint64_t memo_hits, memo_misses, torn;
};

/*
 * Decide N requests in order; verdicts[i] answers asks[i]. Pointers in the
 * verdicts live as long as the request bytes and the maps. MEMO may be NULL.
 */
void jt_verify(const struct jt_maps *maps, struct jt_memo *memo,
	       const struct jt_ask *asks, struct jt_verdict *verdicts, size_t n,
	       struct jt_now now, struct jt_tally *tally);

/*
 * What speaks for and against a token, by its id: everything that jt_verify()
 * would look at, also behind the first thing that refuses.
 */
struct jt_trace {
	enum jt_word word; /* what a request with its newest value gets */
	uint32_t failed;   /* bits 1 << word of all that speaks against it */
	uint32_t notes;	   /* EXPIRING, NEVER */
	uint64_t env;	   /* the token's, and what is served here; 0: any */
	uint64_t served;
	uint64_t expires_s;
	uint32_t lacking; /* bit i: ask->scopes[i] is missing */
	struct jt_bounds bounds;
	/* before the request; retry_after_ms: for this cost */
	struct jt_meter_state rate, quota;
	/* of the value before the rotation, while it is known; 0: none */
	uint64_t old_until_s;
	bool old_works;
};
#define JT_TRACE_BIT(word) (1u << (word))

/*
 * ASK as for jt_verify(), but for its token. Spends and counts nothing, changes
 * nothing. False: LOADING.
 */
bool jt_verify_id(const struct jt_maps *maps, const char id[JT_PUBLIC_BYTES],
		  const struct jt_ask *ask, struct jt_now now,
		  struct jt_trace *trace);

#endif
