/*
 * loadgen: see loadgen.h.
 *
 * One ring, SINGLE_ISSUER and DEFER_TASKRUN: completions are made only while
 * we wait. A round is: stamp and submit what was queued, wait for at least one
 * completion, take all. Sends post no completion unless they fail; MSG_WAITALL
 * makes the kernel finish a short one. A receive is queued together with its
 * send and looks at the socket only once it polls readable (POLL_FIRST).
 *
 * Each connection receives into a buffer of its own; an unfinished reply stays
 * at its front and the next receive goes on behind it.
 */
#include "bench/loadgen.h"

#include "bench/ask.h"
#include "bench/machine.h"
#include "bench/random.h"

#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_BYTES 65536u
#define BUFFER_STEP                                                            \
	(BUFFER_BYTES + 128u) /* so that fronts differ in cache set */
#define SEND_MARK (1ull << 32)
#define NS_PER_S 1000000000ull

struct connection {
	uint64_t sent_ns;
	uint32_t awaited;    /* replies still due of the batch under way */
	uint32_t kept_bytes; /* of an unfinished reply, at the buffer's front */
};

struct jt_loadgen {
	struct io_uring ring;
	unsigned n_connections;
	struct connection *connections;
	uint8_t *buffers;
	/* connections whose batch waits for the next submit */
	unsigned n_queued;
	uint32_t *queued;
	unsigned n_busy; /* connections with a batch under way */
	/* order PACED: the others, in a circle, the longest idle first */
	uint32_t *idle;
	uint64_t idle_from, idle_to;
	const struct jt_requests *requests;
	unsigned pipeline;
	enum jt_loadgen_order order;
	bool stopping;
	size_t cursor; /* order ONCE */
	uint64_t random;
};

/* Sockets live in the ring's table only: their numbers are 0..n-1. */
static int connect_all(struct jt_loadgen *lg, const char *path)
{
	int fd, r;

	r = io_uring_register_files_sparse(&lg->ring, lg->n_connections);
	for (unsigned i = 0; !r && i < lg->n_connections; i++) {
		fd = jt_ask_connect(path);
		if (fd < 0)
			return fd;
		r = io_uring_register_files_update(&lg->ring, i, &fd, 1);
		r = r < 0 ? r : 0;
		close(fd);
	}
	return r;
}

static int open_ring(struct jt_loadgen *lg)
{
	struct io_uring_params p = {
		.flags = IORING_SETUP_SINGLE_ISSUER |
			 IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE |
			 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CLAMP,
		.cq_entries = 4 * lg->n_connections + 8,
	};
	int r;

	r = io_uring_queue_init_params(2 * lg->n_connections + 2, &lg->ring,
				       &p);
	if (r < 0) {
		lg->ring.ring_fd = -1;
		return r;
	}
	r = io_uring_register_ring_fd(&lg->ring);
	return r < 0 ? r : 0;
}

int jt_loadgen_open(const char *path, unsigned connections,
		    struct jt_loadgen **lgp)
{
	struct jt_loadgen *lg = calloc(1, sizeof(*lg));
	int r = -ENOMEM;

	if (!lg)
		return -ENOMEM;
	lg->ring.ring_fd = -1;
	lg->n_connections = connections;
	lg->connections = calloc(connections, sizeof(*lg->connections));
	lg->queued = calloc(connections, sizeof(*lg->queued));
	lg->buffers = malloc((size_t)connections * BUFFER_STEP);
	lg->idle = calloc(connections, sizeof(*lg->idle));
	if (!lg->connections || !lg->queued || !lg->idle || !lg->buffers)
		goto fail;
	r = open_ring(lg);
	if (!r)
		r = connect_all(lg, path);
	if (r)
		goto fail;
	*lgp = lg;
	return 0;
fail:
	jt_loadgen_close(lg);
	return r;
}

void jt_loadgen_close(struct jt_loadgen *lg)
{
	if (!lg)
		return;
	if (lg->ring.ring_fd >= 0)
		io_uring_queue_exit(&lg->ring);
	free(lg->buffers);
	free(lg->idle);
	free(lg->queued);
	free(lg->connections);
	free(lg);
}

/* Choose the next window: its first request, and how many (0: no more). */
static uint32_t next_window(struct jt_loadgen *lg, size_t *firstp)
{
	size_t n = lg->requests->n;
	uint32_t count = lg->pipeline;

	if (lg->stopping)
		return 0;
	if (lg->order != JT_ORDER_ONCE) {
		*firstp = jt_random_below(&lg->random, n);
		return count;
	}
	*firstp = lg->cursor;
	if (n - lg->cursor < count)
		count = (uint32_t)(n - lg->cursor);
	lg->cursor += count;
	return count;
}

static struct io_uring_sqe *get_sqe(struct jt_loadgen *lg)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&lg->ring);

	/* the ring holds a send and a receive of every connection */
	assert(sqe);
	return sqe;
}

static void queue_receive(struct jt_loadgen *lg, uint32_t i)
{
	struct connection *c = &lg->connections[i];
	struct io_uring_sqe *sqe = get_sqe(lg);

	io_uring_prep_recv(sqe, (int)i,
			   lg->buffers + (size_t)i * BUFFER_STEP +
				   c->kept_bytes,
			   BUFFER_BYTES - c->kept_bytes, 0);
	sqe->flags |= IOSQE_FIXED_FILE;
	sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
	io_uring_sqe_set_data64(sqe, i);
}

static void queue_batch(struct jt_loadgen *lg, uint32_t i)
{
	struct connection *c = &lg->connections[i];
	size_t each = lg->requests->each_bytes, first = 0;
	uint32_t count = next_window(lg, &first);
	struct io_uring_sqe *sqe;

	c->awaited = count;
	if (!count) {
		lg->n_busy--;
		return;
	}
	sqe = get_sqe(lg);
	io_uring_prep_send(sqe, (int)i, lg->requests->bytes + first * each,
			   count * each, MSG_WAITALL | MSG_NOSIGNAL);
	sqe->flags |= IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS;
	io_uring_sqe_set_data64(sqe, SEND_MARK | i);
	queue_receive(lg, i);
	lg->queued[lg->n_queued++] = i;
}

static void make_idle(struct jt_loadgen *lg, uint32_t i)
{
	lg->n_busy--;
	lg->idle[lg->idle_to++ % lg->n_connections] = i;
}

/* RES new bytes are in the buffer of connection I. */
static int receive(struct jt_loadgen *lg, uint32_t i, int res, uint64_t now_ns,
		   struct jt_loadgen_result *result)
{
	struct connection *c = &lg->connections[i];
	uint8_t *buffer = lg->buffers + (size_t)i * BUFFER_STEP;
	uint64_t before = result->scan.replies, got;
	size_t have, taken;
	int r;

	if (res <= 0)
		return res ? res : -ECONNRESET;
	have = c->kept_bytes + (uint32_t)res;
	r = jt_scan_feed(&result->scan, buffer, have, &taken);
	got = result->scan.replies - before;
	if (r || got > c->awaited || have - taken == BUFFER_BYTES)
		return r ? r : -EPROTO;
	jt_histogram_add(&result->latency, now_ns - c->sent_ns, got);
	c->kept_bytes = (uint32_t)(have - taken);
	memmove(buffer, buffer + taken, c->kept_bytes);
	c->awaited -= (uint32_t)got;
	if (c->awaited)
		queue_receive(lg, i);
	else if (lg->order == JT_ORDER_PACED)
		make_idle(lg, i);
	else
		queue_batch(lg, i);
	return 0;
}

static int take_completions(struct jt_loadgen *lg, uint64_t now_ns,
			    struct jt_loadgen_result *result)
{
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;
	int r = 0;

	io_uring_for_each_cqe(&lg->ring, head, cqe)
	{
		n++;
		if (cqe->user_data & SEND_MARK)
			r = cqe->res < 0 ? cqe->res : -EPIPE;
		else
			r = receive(lg, (uint32_t)cqe->user_data, cqe->res,
				    now_ns, result);
		if (r)
			break;
	}
	io_uring_cq_advance(&lg->ring, n);
	return r;
}

static int run_round(struct jt_loadgen *lg, struct jt_loadgen_result *result)
{
	struct __kernel_timespec patience = {JT_LOADGEN_PATIENCE_S, 0};
	uint64_t now_ns = jt_machine_now_ns();
	struct io_uring_cqe *cqe;
	int r;

	while (lg->n_queued)
		lg->connections[lg->queued[--lg->n_queued]].sent_ns = now_ns;
	r = io_uring_submit_and_wait_timeout(&lg->ring, &cqe, 1, &patience,
					     NULL);
	if (r < 0)
		return r == -EINTR ? 0 : r;
	return take_completions(lg, jt_machine_now_ns(), result);
}

static void set_load(struct jt_loadgen *lg, const struct jt_requests *requests,
		     unsigned pipeline, enum jt_loadgen_order order,
		     uint64_t seed)
{
	assert(pipeline && pipeline <= JT_LOADGEN_PIPELINE_MAX);
	lg->requests = requests;
	lg->pipeline = pipeline;
	lg->order = order;
	lg->stopping = false;
	lg->cursor = 0;
	lg->random = seed;
	lg->n_busy = lg->n_connections;
}

void jt_loadgen_start(struct jt_loadgen *lg, const struct jt_requests *requests,
		      unsigned pipeline, enum jt_loadgen_order order,
		      uint64_t seed)
{
	set_load(lg, requests, pipeline, order, seed);
	for (uint32_t i = 0; i < lg->n_connections; i++)
		queue_batch(lg, i);
}

int jt_loadgen_spin(struct jt_loadgen *lg, uint64_t time_ns,
		    struct jt_loadgen_result *result)
{
	uint64_t start_ns = jt_machine_now_ns(), now_ns = start_ns;
	int r = 0;

	while (!r && lg->n_busy && now_ns - start_ns < time_ns) {
		r = run_round(lg, result);
		now_ns = jt_machine_now_ns();
	}
	result->wall_ns += now_ns - start_ns;
	return r;
}

int jt_loadgen_stop(struct jt_loadgen *lg, struct jt_loadgen_result *result)
{
	lg->stopping = true;
	return jt_loadgen_spin(lg, UINT64_MAX, result);
}

/* Queue the batches that are due, as long as a connection is idle. */
static void queue_due(struct jt_loadgen *lg, struct jt_schedule *schedule,
		      uint64_t start_ns, uint64_t until_ns)
{
	uint32_t i;

	while (lg->idle_from < lg->idle_to &&
	       schedule->at_ns < (double)(until_ns - start_ns)) {
		i = lg->idle[lg->idle_from++ % lg->n_connections];
		lg->n_busy++;
		queue_batch(lg, i);
		lg->connections[i].sent_ns =
			start_ns + (uint64_t)schedule->at_ns;
		jt_schedule_advance(schedule);
	}
	lg->n_queued = 0; /* stamped already */
}

/* Enter the kernel only when there is something to send or to receive. */
static int submit_if_need_be(struct jt_loadgen *lg)
{
	int r;

	if (!io_uring_sq_ready(&lg->ring) &&
	    !(IO_URING_READ_ONCE(*lg->ring.sq.kflags) & IORING_SQ_TASKRUN))
		return 0;
	r = io_uring_submit_and_get_events(&lg->ring);
	return r < 0 && r != -EINTR ? r : 0;
}

int jt_loadgen_pace(struct jt_loadgen *lg, const struct jt_requests *requests,
		    unsigned pipeline, struct jt_schedule *schedule,
		    uint64_t time_ns, uint64_t seed,
		    struct jt_loadgen_result *result)
{
	uint64_t start_ns, end_ns, now_ns;
	int r = 0;

	set_load(lg, requests, pipeline, JT_ORDER_PACED, seed);
	lg->idle_from = lg->idle_to = 0;
	for (uint32_t i = 0; i < lg->n_connections; i++)
		make_idle(lg, i);
	start_ns = now_ns = jt_machine_now_ns();
	end_ns = start_ns + time_ns;
	while (!r && (lg->n_busy || now_ns < end_ns ||
		      schedule->at_ns < (double)time_ns)) {
		queue_due(lg, schedule, start_ns,
			  now_ns < end_ns ? now_ns : end_ns);
		r = submit_if_need_be(lg);
		now_ns = jt_machine_now_ns();
		if (!r)
			r = take_completions(lg, now_ns, result);
		if (!r && now_ns > end_ns + JT_LOADGEN_PATIENCE_S * NS_PER_S)
			r = -ETIME;
	}
	result->wall_ns += now_ns - start_ns;
	return r;
}
