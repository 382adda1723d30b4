/*
 * round: everything that arrived in one drain, answered together.
 *
 * Commands of all ready connections are queued as operations, their VERIFYs
 * decided in one batch (so that memory reads overlap across connections), and
 * the replies written per connection in order. Fixed memory, no allocation.
 * Worker only.
 *
 *   begin(now)  take(conn)* [flush when it says full]  flush
 */
#ifndef JT_SIDECAR_ROUND_H
#define JT_SIDECAR_ROUND_H

#include "sidecar/conn.h"
#include "sidecar/refusals.h"

/*
 * Commands of one connection. A token of MVERIFY is one, too; a long value
 * counts as one more for each 256 bytes of it.
 */
#define JT_ROUND_COMMANDS 256u

struct jt_round;

/* NULL: no memory. MAPS, MEMO, DESK, PEERS and SERVICE outlive it. */
struct jt_round *jt_round_new(const struct jt_maps *maps, struct jt_memo *memo,
			      struct jt_desk *desk, struct jt_peers *peers,
			      struct jt_service *service);
void jt_round_free(struct jt_round *round);

/* Note there what is refused, for the log. */
void jt_round_watch(struct jt_round *round, struct jt_refusals *refusals);

/* A new drain; time is read once, by the caller, after it received. */
void jt_round_begin(struct jt_round *round, struct jt_now now);

/* Queue what a ready connection has. True: flush before the next take. */
bool jt_round_take(struct jt_round *round, struct jt_conn *conn);

/* Decide, write replies, consume input. Connections then want to send. */
void jt_round_flush(struct jt_round *round);

/* Verdicts since it began. */
uint64_t jt_round_verdicts(const struct jt_round *round);

#endif
