/*
 * loop_ring: the loop over an io_uring; see loop.h.
 *
 * Flags: SINGLE_ISSUER and DEFER_TASKRUN (6.1 and later): completions run when
 * this thread enters the kernel to wait, in one go, cache-warm. Older kernels
 * refuse them and get a plain ring. With deferred work the queue must never be
 * looked at without entering, so jt_loop_wait() always enters and
 * jt_loop_take() empties the queue before the next wait.
 *
 * The completion queue is sized for the worst case, and NODROP is required, so
 * that an overflow is kept by the kernel rather than lost; EBADR (completions
 * were dropped) ends the worker, which is restarted with clean state.
 *
 * A receive waits for bytes before it looks for them (POLL_FIRST): who has just
 * been answered has sent nothing yet, and the look would be for nothing.
 * Sockets are held in the ring's own table: a descriptor is looked up once, not
 * for each operation.
 *
 * An accept waits for a client as well, in an operation of its own linked
 * before it: the listener does not block, and whether an accept that finds
 * nobody waits then is a matter of the kernel's version. Both bear the same
 * user_data, and the first leaves no completion when it ends well; ends it
 * badly, the second leaves none: so there is exactly one. It waits exclusively,
 * so that a client wakes one worker.
 *
 * No multishot: its early ends, shared buffers and re-arming are the larger
 * part of what has gone wrong in other io_uring servers, and for requests of
 * a hundred bytes one receive per connection and round is natural
 * back-pressure.
 *
 * Restrictions: the ring is born disabled, told what it may be asked, and then
 * enabled, by the one thread that uses it. From then on the kernel refuses any
 * other operation, flag or registration to whoever holds the ring, so a worker
 * that was taken over cannot open a file or a socket past what seccomp sees.
 * That is worth having, but not a condition: a kernel that refuses it gives an
 * unrestricted ring.
 */
#include "sidecar/loop.h"

#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SQ_ENTRIES 512u
#define WAITS_FIRST (IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS)

struct ring {
	struct io_uring ring;
	uint32_t n_held; /* places of descriptors; 0: it has none */
	uint64_t spin_ns;
	bool restricted;
};

static const uint8_t used[] = {IORING_OP_ACCEPT,       IORING_OP_RECV,
			       IORING_OP_SEND,	       IORING_OP_READ,
			       IORING_OP_ASYNC_CANCEL, IORING_OP_POLL_ADD};
#define N_USED (sizeof(used) / sizeof(used[0]))

static int setup(struct ring *r, unsigned cq, unsigned flags)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP |
			 IORING_SETUP_R_DISABLED | flags,
		.cq_entries = cq,
	};
	int rc = io_uring_queue_init_params(SQ_ENTRIES, &r->ring, &params);

	if (rc)
		return rc;
	if (params.features & IORING_FEAT_NODROP &&
	    params.features & IORING_FEAT_EXT_ARG &&
	    params.features & IORING_FEAT_CQE_SKIP && params.cq_entries >= cq)
		return 0;
	io_uring_queue_exit(&r->ring);
	return -EOPNOTSUPP;
}

/* 0: the kernel knows all operations that are asked of it. */
static int probe(struct ring *r)
{
	struct io_uring_probe *p = io_uring_get_probe_ring(&r->ring);
	int rc = 0;

	if (!p)
		return -EOPNOTSUPP;
	for (unsigned i = 0; i < N_USED; i++)
		if (!io_uring_opcode_supported(p, used[i]))
			rc = -EOPNOTSUPP;
	io_uring_free_probe(p);
	return rc;
}

/* liburing 2.3 declares its own two for this, and lacks them. */
static int enroll(struct ring *r, unsigned what, const void *arg, unsigned n)
{
	return syscall(SYS_io_uring_register, r->ring.ring_fd, what, arg, n) < 0
		       ? -errno
		       : 0;
}

/* Registrations that are still needed: places, and taking the ring apart. */
static bool restrict_to_used(struct ring *r)
{
	struct io_uring_restriction to[N_USED + 3] = {
		{.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED,
		 .sqe_flags = IOSQE_FIXED_FILE | WAITS_FIRST},
		{.opcode = IORING_RESTRICTION_REGISTER_OP,
		 .register_op = IORING_REGISTER_FILES_UPDATE},
		{.opcode = IORING_RESTRICTION_REGISTER_OP,
		 .register_op = IORING_UNREGISTER_RING_FDS},
	};

	for (unsigned i = 0; i < N_USED; i++) {
		to[3 + i].opcode = IORING_RESTRICTION_SQE_OP;
		to[3 + i].sqe_op = used[i];
	}
	return !enroll(r, IORING_REGISTER_RESTRICTIONS, to, N_USED + 3);
}

/* All that is registered, and the door shut behind it. */
static int furnish(struct ring *r, const struct jt_loop_size *size)
{
	int rc = probe(r);

	if (rc)
		return rc;
	/* saves a descriptor look-up per enter; a kernel without it is fine */
	io_uring_register_ring_fd(&r->ring);
	/* one that refuses so many places: descriptors are looked up */
	r->n_held = !size->held || io_uring_register_files_sparse(&r->ring,
								  size->held)
			    ? 0
			    : size->held;
	r->restricted = restrict_to_used(r);
	return enroll(r, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

static int init(const struct jt_loop_size *size, void **statep)
{
	unsigned cq = size->inflight < 2 * SQ_ENTRIES ? 2 * SQ_ENTRIES
						      : size->inflight;
	struct ring *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return -ENOMEM;
	rc = setup(r, cq,
		   IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	if (rc == -EINVAL)
		rc = setup(r, cq, 0);
	if (rc) {
		free(r);
		return rc;
	}
	rc = furnish(r, size);
	if (rc) {
		io_uring_queue_exit(&r->ring);
		free(r);
		return rc;
	}
	r->spin_ns = size->spin_us * 1000ull;
	*statep = r;
	return 0;
}

static void deinit(void *state)
{
	struct ring *r = state;

	io_uring_queue_exit(&r->ring);
	free(r);
}

static bool is_restricted(const void *state)
{
	const struct ring *r = state;

	return r->restricted;
}

/* The queue is emptied into the kernel when full; asked again, it has room. */
static void make_room(struct ring *r, unsigned n)
{
	for (unsigned i = 0; io_uring_sq_space_left(&r->ring) < n; i++) {
		assert(i < 100);
		io_uring_submit(&r->ring);
	}
}

static struct io_uring_sqe *get(struct ring *r)
{
	make_room(r, 1);
	return io_uring_get_sqe(&r->ring);
}

/* A place is told from a descriptor by its sign. */
static int ring_hold(void *state, uint32_t place, int fd)
{
	struct ring *r = state;

	if (place < r->n_held &&
	    io_uring_register_files_update(&r->ring, place, &fd, 1) == 1)
		return ~(int)place;
	return fd;
}

static void ring_let(void *state, uint32_t place)
{
	struct ring *r = state;
	int none = -1;

	if (place < r->n_held)
		io_uring_register_files_update(&r->ring, place, &none, 1);
}

static void use_held(struct io_uring_sqe *sqe, int held)
{
	if (held >= 0)
		return;
	sqe->fd = ~held;
	sqe->flags |= IOSQE_FIXED_FILE;
}

static void ring_accept(void *state, int fd, uint64_t user)
{
	struct io_uring_sqe *sqe;

	make_room(state, 2); /* a link does not reach over two submissions */
	sqe = get(state);
	io_uring_prep_poll_add(sqe, fd, POLLIN | EPOLLEXCLUSIVE);
	io_uring_sqe_set_flags(sqe, WAITS_FIRST);
	io_uring_sqe_set_data64(sqe, user);
	sqe = get(state);
	io_uring_prep_accept(sqe, fd, NULL, NULL, SOCK_CLOEXEC);
	io_uring_sqe_set_data64(sqe, user);
}

static void ring_recv(void *state, int held, void *buf, size_t bytes,
		      uint64_t user)
{
	struct io_uring_sqe *sqe = get(state);

	io_uring_prep_recv(sqe, held, buf, bytes, 0);
	sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
	use_held(sqe, held);
	io_uring_sqe_set_data64(sqe, user);
}

static void ring_send(void *state, int held, const void *buf, size_t bytes,
		      uint64_t user)
{
	struct io_uring_sqe *sqe = get(state);

	io_uring_prep_send(sqe, held, buf, bytes, MSG_NOSIGNAL);
	use_held(sqe, held);
	io_uring_sqe_set_data64(sqe, user);
}

static void ring_read(void *state, int fd, void *buf, size_t bytes,
		      uint64_t user)
{
	struct io_uring_sqe *sqe = get(state);

	io_uring_prep_read(sqe, fd, buf, (unsigned)bytes, 0);
	io_uring_sqe_set_data64(sqe, user);
}

static void ring_cancel(void *state, int fd, uint64_t user)
{
	struct io_uring_sqe *sqe = get(state);

	io_uring_prep_cancel_fd(sqe, fd, IORING_ASYNC_CANCEL_ALL);
	io_uring_sqe_set_data64(sqe, user);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Enter without sleeping, for a while. True: something has ended. */
static bool spin(struct ring *r)
{
	uint64_t end_ns = now_ns() + r->spin_ns;

	do {
		/* its errors are the wait's, which comes behind it */
		if (io_uring_submit_and_get_events(&r->ring) < 0)
			return false;
		if (io_uring_cq_ready(&r->ring))
			return true;
	} while (now_ns() < end_ns);
	return false;
}

static int ring_wait(void *state, unsigned timeout_ms)
{
	struct __kernel_timespec ts = {
		.tv_sec = timeout_ms / 1000,
		.tv_nsec = (long long)(timeout_ms % 1000) * 1000000,
	};
	struct ring *r = state;
	struct io_uring_cqe *cqe;
	int rc;

	if (r->spin_ns && spin(r))
		return 0;
	rc = io_uring_submit_and_wait_timeout(&r->ring, &cqe, 1, &ts, NULL);

	switch (rc) {
	case -ETIME:
	case -EINTR:
	case -EAGAIN: /* short of memory: what was queued stays queued */
	case -EBUSY:  /* overflowed completions first */
		return 0;
	}
	return rc < 0 ? rc : 0;
}

static unsigned ring_take(void *state, struct jt_event *events, unsigned max)
{
	struct ring *r = state;
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;

	io_uring_for_each_cqe(&r->ring, head, cqe)
	{
		if (n == max)
			break;
		/* single-shot only: "more to come" would be our own bug */
		assert(!(cqe->flags & IORING_CQE_F_MORE));
		events[n++] = jt_event_of(cqe->user_data, cqe->res);
	}
	io_uring_cq_advance(&r->ring, n);
	return n;
}

const struct jt_loop_ops jt_loop_ring = {
	.init = init,
	.deinit = deinit,
	.hold = ring_hold,
	.let = ring_let,
	.accept = ring_accept,
	.recv = ring_recv,
	.send = ring_send,
	.read = ring_read,
	.cancel = ring_cancel,
	.wait = ring_wait,
	.take = ring_take,
	.is_restricted = is_restricted,
};
