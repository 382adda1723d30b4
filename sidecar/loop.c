/*
 * loop: see loop.h.
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
 * No multishot: its early ends, shared buffers and re-arming are the larger
 * part of what has gone wrong in other io_uring servers, and for requests of
 * a hundred bytes one receive per connection and round is natural
 * back-pressure.
 */
#include "sidecar/loop.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include <time.h>

#define SQ_ENTRIES 512u
#define CQ_MAX 65536u

static int setup(struct jt_loop *loop, unsigned cq, unsigned flags)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | flags,
		.cq_entries = cq,
	};
	int rc = io_uring_queue_init_params(SQ_ENTRIES, &loop->ring, &params);

	if (rc)
		return rc;
	if (params.features & IORING_FEAT_NODROP &&
	    params.features & IORING_FEAT_EXT_ARG && params.cq_entries >= cq)
		return 0;
	io_uring_queue_exit(&loop->ring);
	return -EOPNOTSUPP;
}

int jt_loop_init(struct jt_loop *loop, const struct jt_loop_size *size)
{
	unsigned cq = size->inflight < 2 * SQ_ENTRIES ? 2 * SQ_ENTRIES
						      : size->inflight;
	int rc;

	if (cq > CQ_MAX)
		return -E2BIG;
	rc = setup(loop, cq,
		   IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	if (rc == -EINVAL)
		rc = setup(loop, cq, 0);
	if (rc)
		return rc;
	/* saves a descriptor look-up per enter; a kernel without it is fine */
	io_uring_register_ring_fd(&loop->ring);
	/* one that refuses so many places: descriptors are looked up */
	loop->n_held = !size->held || io_uring_register_files_sparse(
					      &loop->ring, size->held)
			       ? 0
			       : size->held;
	loop->spin_ns = size->spin_us * 1000ull;
	return 0;
}

void jt_loop_deinit(struct jt_loop *loop)
{
	io_uring_queue_exit(&loop->ring);
}

const char *jt_loop_why(int err)
{
	switch (-err) {
	case EPERM:
		return "io_uring is forbidden here (io_uring_setup: EPERM); "
		       "allow it in the container's seccomp profile or set "
		       "kernel.io_uring_disabled=0";
	case ENOSYS:
		return "this kernel has no io_uring (io_uring_setup: ENOSYS); "
		       "jetond needs Linux 5.19 or later with CONFIG_IO_URING";
	case ENOMEM:
		return "no memory for the ring (io_uring_setup: ENOMEM); "
		       "raise RLIMIT_MEMLOCK or lower --connections";
	case EOPNOTSUPP:
	case EINVAL:
		return "this kernel's io_uring is too old (NODROP and EXT_ARG "
		       "are needed); use Linux 5.19 or later";
	case EMFILE:
	case ENFILE:
		return "no descriptor left for the ring; raise the limit of "
		       "open files";
	default:
		return "io_uring_setup failed; see the error number";
	}
}

/* The queue is emptied into the kernel when full; asked again, it has room. */
static struct io_uring_sqe *get(struct jt_loop *loop)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&loop->ring);

	for (unsigned i = 0; !sqe && i < 100; i++) {
		io_uring_submit(&loop->ring);
		sqe = io_uring_get_sqe(&loop->ring);
	}
	assert(sqe);
	return sqe;
}

/* A place is told from a descriptor by its sign. */
int jt_loop_hold(struct jt_loop *loop, uint32_t place, int fd)
{
	if (place < loop->n_held &&
	    io_uring_register_files_update(&loop->ring, place, &fd, 1) == 1)
		return ~(int)place;
	return fd;
}

void jt_loop_let(struct jt_loop *loop, uint32_t place)
{
	int none = -1;

	if (place < loop->n_held)
		io_uring_register_files_update(&loop->ring, place, &none, 1);
}

static void use_held(struct io_uring_sqe *sqe, int held)
{
	if (held >= 0)
		return;
	sqe->fd = ~held;
	sqe->flags |= IOSQE_FIXED_FILE;
}

void jt_loop_accept(struct jt_loop *loop, int fd, uint64_t user)
{
	struct io_uring_sqe *sqe = get(loop);

	/* blocking: the ring itself waits; O_NONBLOCK would mean EAGAIN */
	io_uring_prep_accept(sqe, fd, NULL, NULL, SOCK_CLOEXEC);
	io_uring_sqe_set_data64(sqe, user);
}

void jt_loop_recv(struct jt_loop *loop, int held, void *buf, size_t bytes,
		  uint64_t user)
{
	struct io_uring_sqe *sqe = get(loop);

	io_uring_prep_recv(sqe, held, buf, bytes, 0);
	sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
	use_held(sqe, held);
	io_uring_sqe_set_data64(sqe, user);
}

void jt_loop_send(struct jt_loop *loop, int held, const void *buf, size_t bytes,
		  uint64_t user)
{
	struct io_uring_sqe *sqe = get(loop);

	io_uring_prep_send(sqe, held, buf, bytes, MSG_NOSIGNAL);
	use_held(sqe, held);
	io_uring_sqe_set_data64(sqe, user);
}

void jt_loop_read(struct jt_loop *loop, int fd, void *buf, size_t bytes,
		  uint64_t user)
{
	struct io_uring_sqe *sqe = get(loop);

	io_uring_prep_read(sqe, fd, buf, (unsigned)bytes, 0);
	io_uring_sqe_set_data64(sqe, user);
}

void jt_loop_cancel(struct jt_loop *loop, int fd, uint64_t user)
{
	struct io_uring_sqe *sqe = get(loop);

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
static bool spin(struct jt_loop *loop)
{
	uint64_t end_ns = now_ns() + loop->spin_ns;

	do {
		/* its errors are the wait's, which comes behind it */
		if (io_uring_submit_and_get_events(&loop->ring) < 0)
			return false;
		if (io_uring_cq_ready(&loop->ring))
			return true;
	} while (now_ns() < end_ns);
	return false;
}

int jt_loop_wait(struct jt_loop *loop, unsigned timeout_ms)
{
	struct __kernel_timespec ts = {
		.tv_sec = timeout_ms / 1000,
		.tv_nsec = (long long)(timeout_ms % 1000) * 1000000,
	};
	struct io_uring_cqe *cqe;
	int rc;

	if (loop->spin_ns && spin(loop))
		return 0;
	rc = io_uring_submit_and_wait_timeout(&loop->ring, &cqe, 1, &ts, NULL);

	switch (rc) {
	case -ETIME:
	case -EINTR:
	case -EAGAIN: /* short of memory: what was queued stays queued */
	case -EBUSY:  /* overflowed completions first */
		return 0;
	}
	return rc < 0 ? rc : 0;
}

unsigned jt_loop_take(struct jt_loop *loop, struct jt_event *events,
		      unsigned max)
{
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;

	io_uring_for_each_cqe(&loop->ring, head, cqe)
	{
		if (n == max)
			break;
		/* single-shot only: "more to come" would be our own bug */
		assert(!(cqe->flags & IORING_CQE_F_MORE));
		events[n++] = (struct jt_event){
			.slot = (uint32_t)(cqe->user_data >> 40),
			.generation = (uint32_t)(cqe->user_data >> 8),
			.op = (enum jt_op)(cqe->user_data & 0xff),
			.result = cqe->res,
		};
	}
	io_uring_cq_advance(&loop->ring, n);
	return n;
}
