/*
 * asker: a process that asks for one token without pause, over the socket and
 * by libjeton in turn, while somebody revokes it.
 *
 * It starts to ask when it is told a token, and goes on for some questions
 * more after it was told that the revoke has returned. Errors: negative errno,
 * said on stderr; -EPROTO: an answer that is neither VALID nor REVOKED.
 */
#ifndef JT_BENCH_ASKER_H
#define JT_BENCH_ASKER_H

#include "bench/probe.h"
#include "bench/process.h"
#include "bench/tokens.h"

enum jt_asker_door {
	JT_ASKER_SOCKET,
	JT_ASKER_INPROCESS,
	JT_ASKER_DOORS,
};

struct jt_asker_shared; /* memory of both processes */

struct jt_asker {
	/* set by the caller */
	const char *run, *socket, *log;
	const struct jt_tokens *tokens;
	struct jt_process process;
	struct jt_asker_shared *shared;
};

int jt_asker_start(struct jt_asker *a);
void jt_asker_stop(struct jt_asker *a);

/* Ask for that token from now on; returns when it was VALID at both doors. */
int jt_asker_follow(struct jt_asker *a, size_t token);

/*
 * Its revoke returned at RETURNED_NS: wait until enough was asked after that,
 * and been refused. The probes are valid until the next token.
 */
int jt_asker_finish(struct jt_asker *a, uint64_t returned_ns);
const struct jt_probe *jt_asker_probe(const struct jt_asker *a,
				      enum jt_asker_door door);

/* How often, in all, libjeton had to ask the socket for its verdict. */
uint64_t jt_asker_by_socket(const struct jt_asker *a);

#endif
