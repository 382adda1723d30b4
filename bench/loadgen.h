/*
 * loadgen: a load generator over one Unix socket, closed or open loop.
 *
 * Closed: N connections, each with one batch of `pipeline` requests under way;
 * the next batch leaves when the last reply of the one before is there. Request
 * bytes are rendered beforehand, of equal length, and lie in memory in a
 * random order; a batch is a window of that memory at a random place, sent
 * without a copy. So every request is as likely as any other, and the client
 * costs little more than its socket.
 *
 * Latency of a request: from the hand-over of its batch to the kernel until
 * the kernel reported its reply. A server that stalls is asked less, so
 * throughput is what this measures best.
 *
 * Open: a schedule says when each batch is meant to leave. It goes on the
 * connection that has been idle for longest; while none is, it waits. Latency
 * counts from the intended time, so what a stall keeps back is not omitted. The
 * client spins, for a sleeping one would be late by itself.
 *
 * One process, one thread (the ring belongs to the opener). Errors: negative
 * errno; -EPROTO: no RESP reply, -ETIME: no reply for JT_LOADGEN_PATIENCE_S.
 */
#ifndef JT_BENCH_LOADGEN_H
#define JT_BENCH_LOADGEN_H

#include "bench/histogram.h"
#include "bench/scan.h"
#include "bench/schedule.h"

#define JT_LOADGEN_CONNECTIONS_MAX 4096u
#define JT_LOADGEN_PIPELINE_MAX 512u
#define JT_LOADGEN_PATIENCE_S 10

/* N requests of one length, and the first PIPELINE_MAX once more behind. */
struct jt_requests {
	uint8_t *bytes;
	size_t each_bytes;
	size_t n;
};

enum jt_loadgen_order {
	JT_ORDER_RANDOM, /* windows at random places, without end */
	JT_ORDER_ONCE,	 /* every request exactly once, in order */
	JT_ORDER_PACED,	 /* jt_loadgen_pace(): as RANDOM, at given times */
};

struct jt_loadgen_result {
	uint64_t wall_ns;
	struct jt_scan scan; /* jt_scan_init() by the caller */
	struct jt_histogram latency;
};

struct jt_loadgen;

int jt_loadgen_open(const char *path, unsigned connections,
		    struct jt_loadgen **lgp);
void jt_loadgen_close(struct jt_loadgen *lg);

/* Send the first batch of every connection. REQUESTS outlives the run. */
void jt_loadgen_start(struct jt_loadgen *lg, const struct jt_requests *requests,
		      unsigned pipeline, enum jt_loadgen_order order,
		      uint64_t seed);

/*
 * Go on for TIME_NS, or until nothing is under way (order ONCE, or after
 * stop), and add to *RESULT.
 */
int jt_loadgen_spin(struct jt_loadgen *lg, uint64_t time_ns,
		    struct jt_loadgen_result *result);

/* Send no more and take the replies that are still due, into *RESULT. */
int jt_loadgen_stop(struct jt_loadgen *lg, struct jt_loadgen_result *result);

/*
 * Open loop: send all batches that SCHEDULE has in the next TIME_NS, at their
 * times, and take all replies. Nothing else may be under way. -ETIME: the
 * server was JT_LOADGEN_PATIENCE_S behind. result->wall_ns is TIME_NS, or
 * longer if the last reply came later.
 */
int jt_loadgen_pace(struct jt_loadgen *lg, const struct jt_requests *requests,
		    unsigned pipeline, struct jt_schedule *schedule,
		    uint64_t time_ns, uint64_t seed,
		    struct jt_loadgen_result *result);

#endif
