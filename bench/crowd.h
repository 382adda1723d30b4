/*
 * crowd: another client, in a process of its own: many connections that ask
 * for tokens without pause (closed loop), for as long as it is wanted.
 *
 * Errors: negative errno, said on stderr; -EPROTO: an answer that is not VALID.
 */
#ifndef JT_BENCH_CROWD_H
#define JT_BENCH_CROWD_H

#include "bench/process.h"
#include "bench/tokens.h"

struct jt_crowd_shared;

struct jt_crowd {
	/* set by the caller */
	const char *socket, *log;
	const struct jt_requests *requests;
	unsigned connections, pipeline;
	uint64_t seed;
	struct jt_process process;
	struct jt_crowd_shared *shared;
};

/* It is asking when this returns. */
int jt_crowd_start(struct jt_crowd *c);

/* Add what it did to *REPLIESP and *WALL_NSP. Nothing if it never started. */
int jt_crowd_stop(struct jt_crowd *c, uint64_t *repliesp, uint64_t *wall_nsp);

#endif
