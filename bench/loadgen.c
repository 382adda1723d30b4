/*
 * loadgen: see loadgen.h.
 *
 * One ring, SINGLE_ISSUER and DEFER_TASKRUN: completions are made only while
 * we wait. A round is: stamp and submit what was queued, wait for at least one
 * completion, take all. Sends post no completion unless they fail; MSG_WAITALL
 * makes the kernel finish a short one. Each connection has one multishot
 * receive, armed when it is opened, into buffers that all share: so a batch
 * costs one submission and no arming.
 *
 * Replies are scanned where they lie. An unfinished one at a buffer's end is
 * copied to its connection, and what comes next is put behind it in a buffer
 * made for that.
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

#define BUFFERS 64u
#define BUFFER_BYTES 65536u
#define BUFFER_STEP                                                            \
	(BUFFER_BYTES + KEPT_BYTES + 128u) /* fronts differ in cache set */
#define RING_BYTES 4096u		   /* BUFFERS entries, a page */
#define KEPT_BYTES 1024u		   /* of an unfinished reply */
#define GROUP 0
#define SEND_MARK (1ull << 32)
#define NS_PER_S 1000000000ull

struct connection {
	uint64_t sent_ns;
	uint32_t awaited; /* replies still due of the batch under way */
	uint32_t kept_bytes;
	uint8_t kept[KEPT_BYTES];
};

struct jt_loadgen {
	struct io_uring ring;
	unsigned n_connections;
	struct connection *connections;
	struct io_uring_buf_ring *shared;
	uint8_t *buffers; /* BUFFERS, and one to put together in */
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

static struct io_uring_sqe *get_sqe(struct jt_loadgen *lg)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&lg->ring);

	/* the ring holds a send and a receive of every connection */
	assert(sqe);
	return sqe;
}

static void queue_receive(struct jt_loadgen *lg, uint32_t i)
{
	struct io_uring_sqe *sqe = get_sqe(lg);

	io_uring_prep_recv_multishot(sqe, (int)i, NULL, 0, 0);
	sqe->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
	sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
	sqe->buf_group = GROUP;
	io_uring_sqe_set_data64(sqe, i);
}

static void give_back(struct jt_loadgen *lg, unsigned id)
{
	io_uring_buf_ring_add(lg->shared, lg->buffers + id * BUFFER_STEP,
			      BUFFER_BYTES, (unsigned short)id,
			      io_uring_buf_ring_mask(BUFFERS), 0);
	io_uring_buf_ring_advance(lg->shared, 1);
}

static int share_buffers(struct jt_loadgen *lg)
{
	struct io_uring_buf_reg reg = {
		.ring_addr = (uintptr_t)lg->shared,
		.ring_entries = BUFFERS,
		.bgid = GROUP,
	};
	int r;

	memset(lg->shared, 0, RING_BYTES);
	r = io_uring_register_buf_ring(&lg->ring, &reg, 0);
	for (unsigned id = 0; !r && id < BUFFERS; id++)
		give_back(lg, id);
	return r;
}

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
	lg->idle = calloc(connections, sizeof(*lg->idle));
	lg->shared = aligned_alloc(RING_BYTES, RING_BYTES);
	lg->buffers = malloc((size_t)(BUFFERS + 1) * BUFFER_STEP);
	if (!lg->connections || !lg->queued || !lg->idle || !lg->shared ||
	    !lg->buffers)
		goto fail;
	r = open_ring(lg);
	if (!r)
		r = share_buffers(lg);
	if (!r)
		r = connect_all(lg, path);
	if (r)
		goto fail;
	for (uint32_t i = 0; i < connections; i++)
		queue_receive(lg, i);
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
	free(lg->shared);
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
	lg->queued[lg->n_queued++] = i;
}

static void make_idle(struct jt_loadgen *lg, uint32_t i)
{
	lg->n_busy--;
	lg->idle[lg->idle_to++ % lg->n_connections] = i;
}

/* The NEW bytes at AT belong behind what is kept; all of it in *HAVEP. */
static const uint8_t *put_together(struct jt_loadgen *lg, struct connection *c,
				   const uint8_t *at, size_t new, size_t *havep)
{
	uint8_t *whole = lg->buffers + (size_t)BUFFERS * BUFFER_STEP;
	size_t kept = c->kept_bytes;

	memcpy(whole, c->kept, kept);
	memcpy(whole + kept, at, new);
	*havep = kept + new;
	return whole;
}

/* NEW bytes of connection I are at AT. */
static int receive(struct jt_loadgen *lg, uint32_t i, const uint8_t *at,
		   size_t new, uint64_t now_ns,
		   struct jt_loadgen_result *result)
{
	struct connection *c = &lg->connections[i];
	uint64_t before = result->scan.replies, got;
	size_t have = new, taken;
	int r;

	if (c->kept_bytes)
		at = put_together(lg, c, at, new, &have);
	r = jt_scan_feed(&result->scan, at, have, &taken);
	got = result->scan.replies - before;
	if (r || got > c->awaited || have - taken > KEPT_BYTES)
		return r ? r : -EPROTO;
	jt_histogram_add(&result->latency, now_ns - c->sent_ns, got);
	c->kept_bytes = (uint32_t)(have - taken);
	memcpy(c->kept, at + taken, c->kept_bytes);
	c->awaited -= (uint32_t)got;
	if (c->awaited)
		return 0;
	if (lg->order == JT_ORDER_PACED)
		make_idle(lg, i);
	else
		queue_batch(lg, i);
	return 0;
}

static int take_receive(struct jt_loadgen *lg, const struct io_uring_cqe *cqe,
			uint64_t now_ns, struct jt_loadgen_result *result)
{
	uint32_t i = (uint32_t)cqe->user_data;
	unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
	int r = 0;

	if (cqe->res <= 0 && cqe->res != -ENOBUFS)
		return cqe->res ? cqe->res : -ECONNRESET;
	if (cqe->res > 0) {
		r = receive(lg, i, lg->buffers + id * BUFFER_STEP,
			    (size_t)cqe->res, now_ns, result);
		give_back(lg, id);
	}
	if (!(cqe->flags & IORING_CQE_F_MORE))
		queue_receive(lg, i);
	return r;
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
			r = take_receive(lg, cqe, now_ns, result);
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
