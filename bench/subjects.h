/*
 * subjects: the servers that are compared, all up at once.
 *
 *   floor      bare io_uring loop, requests and replies as long as jeton's
 *   echo       bare epoll server, likewise, written apart from it
 *   get        Redis GET of a 64-character key (the token), value of 32 bytes
 *   eval       Redis EVALSHA of bench/verify.lua: jeton's checks on a hash
 *   packed     Redis EVALSHA of bench/verify_packed.lua: the same on a string
 *   memcached  get of the same keys and values
 *   jeton      jetond, one worker, VERIFY of tokens with a rate limit
 *   http       the same daemon's HTTP door, GET /auth/default
 *   bare       bare libmicrohttpd, replies as long as those of http
 *
 * Each has a server process of its own on the server's core and connections of
 * its own; idle ones cost nothing. All are asked for the same tokens, in an
 * order unrelated to that in which they were stored. Errors: negative errno,
 * already said on stderr.
 */
#ifndef JT_BENCH_SUBJECTS_H
#define JT_BENCH_SUBJECTS_H

#include "bench/loadgen.h"
#include "bench/machine.h"
#include "bench/process.h"
#include "bench/tokens.h"
#include <stdbool.h>

#define JT_SUBJECTS_MAX 9u

enum {
	JT_SUBJECTS_E_NAME = 1, /* a subject that there is not */
};

/* What is asked of a server, and what it must answer. */
struct jt_load {
	const char *name;      /* of the workload; "": all valid, uniform */
	const char *want;      /* the answer; NULL: any but nil */
	const char *tolerated; /* beside it; NULL: nothing */
	char want_type;	       /* see jt_scan */
	struct jt_requests requests;
};

struct jt_subject {
	const char *name;
	const char *what; /* in plain words */
	bool borrowed;	  /* `process` is another subject's */
	struct jt_process process;
	char socket[108];
	char script[41]; /* eval, packed: the script's digest */
	struct jt_load load;
	struct jt_loadgen *loadgen;
	double setup_s; /* server up and filled */
	double touch_s; /* every token asked once */
};

struct jt_subjects {
	/* set by the caller */
	const struct jt_machine *machine;
	const char *dir; /* for sockets, logs and the journal; short */
	const char *bin_dir;
	unsigned connections;
	size_t n_tokens;
	uint64_t seed;
	/* results */
	unsigned n;
	struct jt_subject list[JT_SUBJECTS_MAX];
	struct jt_tokens tokens;
	/* one each, which only the workloads of these names ask for */
	struct jt_tokens hot, limited;
	double create_s; /* jeton create of all tokens */
	char redis_version[32];
	char memcached_version[32];
};

/* Start those named in WISHES ("floor,jeton"). */
int jt_subjects_start(struct jt_subjects *s, const char *wishes);

/*
 * Render the requests of one and open its connections. To be used at once:
 * jetond closes a connection that sends nothing in its first 30 s.
 */
int jt_subjects_connect(struct jt_subjects *s, struct jt_subject *one);

/* The requests that ONE is asked with for these tokens, in order. */
int jt_subjects_render(const struct jt_subject *one,
		       const struct jt_tokens *tokens, struct jt_requests *q);

void jt_subjects_stop(struct jt_subjects *s);

/* The place of NAME in the list, or -1. */
int jt_subjects_find(const struct jt_subjects *s, const char *name);

#endif
