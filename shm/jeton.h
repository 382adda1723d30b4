/*
 * jeton: verify tokens in this process, from the memory of the jetond that runs
 * on this host. No request, no reply: well under a microsecond, and a revoke is
 * in force with its return. Link with -ljeton.
 *
 *     struct jeton *j;
 *     struct jeton_verdict v;
 *     int rc = jeton_attach(NULL, 0, &j);
 *
 *     if (rc)
 *             errx(1, "%s", jeton_strerror(rc));
 *     jeton_verify(j, token, strlen(token), NULL, &v);
 *     if (v.word == JETON_VALID)
 *             serve(v.id);
 *     else
 *             refuse(v.status, jeton_word(v.word));
 *
 * IN DOUBT IT DENIES. Only the word JETON_VALID says that a request may be
 * served; everything else is a refusal. When nothing can be decided, the call
 * returns a negative errno and the word is JETON_LOADING.
 *
 * Never keep a verdict: ask again for each request. A verdict is of the moment
 * of the call, and a revoke that returned before the call began is seen.
 *
 * THREADS. A handle is used by one thread at a time. Have one for each thread:
 * they share the tokens' memory and have a short cut each (32 bytes a token of
 * the sidecar's capacity, taken as it is used).
 *
 * FORK. A handle is not for a child process: every call there says -ECHILD. It
 * has to attach for itself, and may detach the handle that it inherited.
 *
 * SYSTEM CALLS. While the sidecar is well, jeton_verify() makes none, takes no
 * lock and allocates nothing. The sidecar renews its lease on this memory all
 * the time. When it did not for half a second, or ended, or another one took
 * its place, the next call looks for the one that serves now, and until it has
 * its memory asks over its socket jeton.sock, as any client does; that takes up
 * to JETON_PATIENCE_MS. With no sidecar there, it is a refusal at once.
 *
 * RIGHTS. Who may attach is decided by the sidecar's settings, by user and
 * group; without settings only root and the sidecar's own user. Whoever may,
 * sees all that is stored about all tokens (digests, owners, limits; no value).
 *
 * WHAT IT IS BOUND TO. Whoever can put a socket into the run directory decides
 * what is valid; so let it be one that only the sidecar's user can write to.
 *
 * ERRORS are negative errno:
 *   -EINVAL        an argument, or an option that there is not
 *   -ENOENT, -ECONNREFUSED, -ECONNRESET   no sidecar runs there
 *   -EAGAIN        it is still loading its tokens
 *   -EACCES        it does not let this user
 *   -EBUSY         it has too many connections
 *   -ETIME         it did not answer in time
 *   -EPROTO        what answers is no jetond of this version, or its boot
 *                  clock is another one (time_namespaces(7))
 *   -ECHILD        a handle of the parent process
 *   -ENOMEM, -ENAMETOOLONG and what the system says
 *
 * Binary compatibility: structures only grow, at their ends or into what is
 * reserved; words and bits keep their numbers.
 */
#ifndef JETON_H
#define JETON_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define JETON_API 1
#if defined(__GNUC__)
#define JETON_EXPORT __attribute__((visibility("default")))
#else
#define JETON_EXPORT
#endif

#define JETON_PATIENCE_MS 250 /* for the socket's answer */
#define JETON_TOKEN_MAX 4096  /* bytes; longer ones are MALFORMED */
#define JETON_SCOPES_MAX 16   /* in one question */
#define JETON_ID_BYTES 24     /* of a token: these are public */
#define JETON_COST_MAX 0xffffffffu

/* In the order in which they are decided, with the HTTP status that fits. */
enum jeton_verdict_word {
	JETON_LOADING = 0,	     /* 503 nothing could be decided */
	JETON_MISSING = 1,	     /* 401 no token */
	JETON_WHITESPACE = 2,	     /* 401 right without blanks at its ends */
	JETON_MALFORMED = 3,	     /* 401 wrong length or characters */
	JETON_MISTYPED = 4,	     /* 401 wrong checksum */
	JETON_UNKNOWN = 5,	     /* 401 well formed, not ours */
	JETON_WRONG_ENVIRONMENT = 6, /* 401 */
	JETON_REVOKED = 7,	     /* 401 */
	JETON_SUSPENDED = 8,	     /* 401 */
	JETON_EXPIRED = 9,	     /* 401 */
	JETON_INSUFFICIENT_SCOPE = 10, /* 403 see `missing` */
	JETON_QUOTA_EXCEEDED = 11,     /* 429 see `retry_after_ms` */
	JETON_RATE_LIMITED = 12,       /* 429 likewise */
	JETON_VALID = 13,	       /* 200 serve the request */
};

/* jeton_verdict.notes */
#define JETON_NOTE_OLD_VALUE 0x01u /* a value replaced by a rotation */
#define JETON_NOTE_EXPIRING 0x02u  /* within 7 days */
#define JETON_NOTE_NEVER 0x04u	   /* COST is above burst or quota */
#define JETON_NOTE_SCOPE 0x08u	   /* `missing` says which */

/* jeton_verdict.flags */
#define JETON_LOOKED 0x01u    /* nothing was spent: this handle only looks */
#define JETON_BY_SOCKET 0x02u /* the sidecar was asked over its socket */

/* jeton_attach() */
#define JETON_LOOK 0x01u /* spend nothing, even if this user may */
/* Give a handle also when no sidecar serves yet, or when it lets this user ask
 * over the socket only: then that is what happens. */
#define JETON_ANYHOW 0x02u

struct jeton; /* a handle */

struct jeton_token {
	const void *at; /* need not be terminated */
	size_t bytes;
};

/* What to ask of a token beside its being good. NULL means: as initialised. */
struct jeton_options {
	uint32_t size;		   /* sizeof(struct jeton_options) */
	uint32_t n_scopes;	   /* it must have all of these */
	const char *const *scopes; /* terminated, 1..48 printable, no comma */
	const char *env;	   /* NULL: any */
	uint64_t cost;		   /* 0: look without spending */
};
#define JETON_OPTIONS_INIT                                                     \
	{                                                                      \
		sizeof(struct jeton_options), 0, NULL, NULL, 1                 \
	}

struct jeton_verdict {
	uint32_t word;	 /*   0 enum jeton_verdict_word */
	uint32_t status; /*   4 HTTP status */
	uint32_t notes;	 /*   8 JETON_NOTE_* */
	uint32_t flags;	 /*  12 */
	/* 5-8 are of the limit that refused, else of the one of which the
	 * smaller share remains; the limit of a rate is its burst */
	uint64_t expires_in_s;	/*  16 0: expired or unknown */
	int64_t limit;		/*  24 -1: none */
	int64_t remaining;	/*  32 -1: none */
	uint64_t reset_ms;	/*  40 until the whole limit is there again */
	int64_t retry_after_ms; /*  48 -1: waiting will not help */
	uint64_t applied;	/*  56 journal number in force */
	int32_t missing;	/*  64 place in `scopes`; -1: none */
	char id[28];		/*  68 terminated; "": unknown */
	char owner[64];		/*  96 terminated, cut if need be; "": none */
	uint64_t reserved[8];	/* 160 zeros */
};

/*
 * RUN: the sidecar's run directory. NULL: $JETON_RUN; else for root /run/jeton;
 * else $XDG_RUNTIME_DIR/jeton if a sidecar has been there, and /run/jeton.
 * FLAGS: JETON_LOOK, JETON_ANYHOW. Waits up to two seconds for the sidecar's
 * answer.
 */
JETON_EXPORT int jeton_attach(const char *run, unsigned flags,
			      struct jeton **handlep);

/* Also in a child process. NULL: nothing happens. */
JETON_EXPORT void jeton_detach(struct jeton *handle);

/* 0: decided. All of *VERDICT is written, whatever happens. */
JETON_EXPORT int jeton_verify(struct jeton *handle, const void *token,
			      size_t bytes, const struct jeton_options *options,
			      struct jeton_verdict *verdict);

/*
 * N at once, decided in order, all with the same options: reads of memory
 * overlap, so each costs a fraction of one alone. 0: all are decided; else
 * verdicts from some place on are JETON_LOADING.
 */
JETON_EXPORT int jeton_verify_batch(struct jeton *handle, size_t n,
				    const struct jeton_token *tokens,
				    const struct jeton_options *options,
				    struct jeton_verdict *verdicts);

/* "VALID" and so on; "?" for a number that is no word. */
JETON_EXPORT const char *jeton_word(uint32_t word);
/* The HTTP status of a word; 503 for a number that is none. */
JETON_EXPORT unsigned jeton_status(uint32_t word);

/* A sentence for an error of these functions, without a trailing dot. */
JETON_EXPORT const char *jeton_strerror(int error);

/* JETON_API of the library that is linked. */
JETON_EXPORT unsigned jeton_api(void);

#ifdef __cplusplus
}
#endif

#endif
