/*
 * floor: see floor.h.
 *
 * Multishot accept into the ring's own file table, one multishot receive per
 * connection into shared provided buffers, sends that post no completion
 * unless they fail. The clients are ours and closed-loop: at most
 * JT_LOADGEN_PIPELINE_MAX replies are ever unread, which a socket's send
 * buffer holds, so a send never waits and never overtakes another.
 */
#include "bench/floor.h"

#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECTIONS 4096u
#define ENTRIES 4096u
#define BUFFERS 64u
#define BUFFER_BYTES 65536u
#define GROUP 0
#define BACKLOG 1024

enum op {
	OP_ACCEPT,
	OP_RECEIVE,
	OP_SEND,
	OP_CLOSE
};

const char jt_floor_reply[] = "*11\r\n$5\r\nVALID\r\n:200\r\n"
			      "$24\r\njt_live_Zk3mQ0v9XyTb41Rw\r\n"
			      ":7775999\r\n:1000000\r\n:999999\r\n:1\r\n:0\r\n"
			      "$5\r\nbench\r\n:1000000\r\n$0\r\n\r\n";
#define REPLY_BYTES (sizeof(jt_floor_reply) - 1)
#define REPLIES (BUFFER_BYTES / 64u)

struct state {
	struct io_uring ring;
	struct io_uring_buf_ring *buffers;
	uint8_t *memory;
	uint8_t *replies; /* REPLIES times the reply */
	size_t request_bytes;
	int listener;
	uint32_t odd_bytes[CONNECTIONS]; /* of an unfinished request */
};

int jt_floor_listen(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd, r;

	if (strlen(path) >= sizeof(at.sun_path))
		return -ENAMETOOLONG;
	memcpy(at.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 &&
	    listen(fd, BACKLOG) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

/* Tagged already: the prep functions leave user_data alone. */
static struct io_uring_sqe *get_sqe(struct state *s, enum op op, uint32_t i)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);

	if (!sqe) {
		io_uring_submit(&s->ring);
		sqe = io_uring_get_sqe(&s->ring);
	}
	assert(sqe);
	memset(sqe, 0, sizeof(*sqe));
	sqe->user_data = (uint64_t)op << 32 | i;
	return sqe;
}

static void queue_accept(struct state *s)
{
	struct io_uring_sqe *sqe = get_sqe(s, OP_ACCEPT, 0);

	io_uring_prep_multishot_accept_direct(sqe, s->listener, NULL, NULL, 0);
}

static void queue_receive(struct state *s, uint32_t i)
{
	struct io_uring_sqe *sqe = get_sqe(s, OP_RECEIVE, i);

	io_uring_prep_recv_multishot(sqe, (int)i, NULL, 0, 0);
	sqe->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
	sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
	sqe->buf_group = GROUP;
}

static void queue_send(struct state *s, uint32_t i, size_t n)
{
	struct io_uring_sqe *sqe = get_sqe(s, OP_SEND, i);

	io_uring_prep_send(sqe, (int)i, s->replies, n * REPLY_BYTES,
			   MSG_WAITALL | MSG_NOSIGNAL);
	sqe->flags |= IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS;
}

static void queue_close(struct state *s, uint32_t i)
{
	struct io_uring_sqe *sqe = get_sqe(s, OP_CLOSE, i);

	io_uring_prep_close_direct(sqe, i);
}

static void give_back(struct state *s, unsigned id)
{
	io_uring_buf_ring_add(s->buffers, s->memory + id * BUFFER_BYTES,
			      BUFFER_BYTES, (unsigned short)id,
			      io_uring_buf_ring_mask(BUFFERS), 0);
	io_uring_buf_ring_advance(s->buffers, 1);
}

static void handle_receive(struct state *s, uint32_t i,
			   const struct io_uring_cqe *cqe)
{
	size_t have;

	if (cqe->flags & IORING_CQE_F_BUFFER)
		give_back(s, cqe->flags >> IORING_CQE_BUFFER_SHIFT);
	if (cqe->res <= 0 && cqe->res != -ENOBUFS) {
		queue_close(s, i);
		return;
	}
	if (cqe->res > 0) {
		have = s->odd_bytes[i] + (size_t)cqe->res;
		s->odd_bytes[i] = (uint32_t)(have % s->request_bytes);
		if (have >= s->request_bytes)
			queue_send(s, i, have / s->request_bytes);
	}
	if (!(cqe->flags & IORING_CQE_F_MORE))
		queue_receive(s, i);
}

static void handle(struct state *s, const struct io_uring_cqe *cqe)
{
	uint32_t i = (uint32_t)cqe->user_data;

	switch ((enum op)(cqe->user_data >> 32)) {
	case OP_ACCEPT:
		if (cqe->res >= 0) {
			s->odd_bytes[cqe->res] = 0;
			queue_receive(s, (uint32_t)cqe->res);
		}
		if (!(cqe->flags & IORING_CQE_F_MORE))
			queue_accept(s);
		return;
	case OP_RECEIVE:
		handle_receive(s, i, cqe);
		return;
	case OP_SEND: /* failed: the receive sees the end as well */
	case OP_CLOSE:
		return;
	}
}

static int set_up_buffers(struct state *s)
{
	struct io_uring_buf_reg reg = {.ring_entries = BUFFERS, .bgid = GROUP};
	size_t bytes =
		(size_t)(BUFFERS + 2) * BUFFER_BYTES + REPLIES * REPLY_BYTES;
	uint8_t *m = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int r;

	if (m == MAP_FAILED)
		return -ENOMEM;
	s->buffers = (struct io_uring_buf_ring *)m;
	s->memory = m + BUFFER_BYTES;
	s->replies = s->memory + (size_t)BUFFERS * BUFFER_BYTES;
	for (size_t k = 0; k < REPLIES; k++)
		memcpy(s->replies + k * REPLY_BYTES, jt_floor_reply,
		       REPLY_BYTES);
	reg.ring_addr = (uintptr_t)s->buffers;
	r = io_uring_register_buf_ring(&s->ring, &reg, 0);
	for (unsigned id = 0; !r && id < BUFFERS; id++)
		give_back(s, id);
	return r;
}

static int set_up(struct state *s)
{
	struct io_uring_params p = {
		.flags = IORING_SETUP_SINGLE_ISSUER |
			 IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
		.cq_entries = 2 * ENTRIES,
	};
	int r = io_uring_queue_init_params(ENTRIES, &s->ring, &p);

	if (!r)
		r = io_uring_register_files_sparse(&s->ring, CONNECTIONS);
	if (!r)
		r = set_up_buffers(s);
	if (!r) {
		r = io_uring_register_ring_fd(&s->ring);
		r = r < 0 ? r : 0;
	}
	return r;
}

int jt_floor_serve(void *arg)
{
	static struct state s;
	const struct jt_floor *floor = arg;
	struct io_uring_cqe *cqe;
	unsigned head, n;
	int r;

	s.request_bytes = floor->request_bytes;
	s.listener = floor->listener;
	r = set_up(&s);
	if (r)
		return r;
	queue_accept(&s);
	while ((r = io_uring_submit_and_wait(&s.ring, 1)) >= 0 || r == -EINTR) {
		n = 0;
		io_uring_for_each_cqe(&s.ring, head, cqe)
		{
			handle(&s, cqe);
			n++;
		}
		io_uring_cq_advance(&s.ring, n);
	}
	return r;
}
