/*
 * loop_epoll: the loop over epoll, where io_uring is forbidden; see loop.h.
 *
 * The same single-shot completions, made by plain calls that never block.
 *
 *   spots[fd]   what waits for it to be readable | writable | what epoll is
 *               told of it
 *   ops[]       all operations: free, waiting in a spot's queue, or ended, each
 *               linked by number; none is allocated after set-up
 *
 * A send is tried when it is asked for, since there is nearly always room; a
 * receive waits for bytes, since who has just been answered has sent nothing
 * yet. Epoll is told level-triggered and lazily: what a descriptor is watched
 * for is only taken back when it was reported and nobody waits for it. So a
 * connection that asks and is answered costs one wait, one receive and one
 * send, and no epoll_ctl; and no edge can be missed, which edge-triggered
 * servers buy with a receive for nothing per request. (A short receive does not
 * show that a Unix socket is empty: it ends at descriptors sent along.)
 *
 * Accepting: the listener is watched with EPOLLEXCLUSIVE, so that a client
 * wakes one worker and not all, and only while an accept waits: a worker that
 * pauses must not take a wake-up that is meant for the others. Level-triggered
 * there is no wake-up to lose either: epoll looks at the queue when it is told.
 * A failed accept (EMFILE) ends like any other, and nothing is watched until
 * the next one is asked for: no spin.
 *
 * Descriptors are closed only after a cancel or a let, which end the watch, so
 * that the next tenant of the number never meets the state of the last. Should
 * the kernel know better (ENOENT, EEXIST), it is believed.
 */
#include "sidecar/loop.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REPORTS 256
#define FDS_MAX (1u << 20)
#define NONE UINT32_MAX
#define CLOSED (EPOLLHUP | EPOLLERR) /* reported whatever is watched */

enum call {
	CALL_ACCEPT,
	CALL_RECV,
	CALL_SEND,
	CALL_READ
};

struct op {
	uint64_t user;
	void *buf;
	size_t bytes;
	int fd, result;
	uint32_t next;
	enum call call;
};

/* First in, first out. */
struct queue {
	uint32_t first, last; /* + 1; 0: none, so that zeroed is empty */
};

enum way {
	IN,
	OUT,
	WAYS
};

struct spot {
	struct queue waiting[WAYS];
	uint32_t watched; /* EPOLLIN, EPOLLOUT; 0: epoll does not know it */
};

struct epoll {
	int fd;
	uint32_t n_ops, n_spots, n_places;
	struct op *ops;
	struct spot *spots;
	int *places; /* who is held there */
	struct queue idle, ended;
	uint64_t spin_ns;
};

/* ---- operations ---- */

static void push(struct epoll *e, struct queue *q, uint32_t i)
{
	e->ops[i].next = 0;
	if (q->first)
		e->ops[q->last - 1].next = i + 1;
	else
		q->first = i + 1;
	q->last = i + 1;
}

/* NONE: there is none. */
static uint32_t pop(struct epoll *e, struct queue *q)
{
	uint32_t i = q->first - 1;

	if (!q->first)
		return NONE;
	q->first = e->ops[i].next;
	return i;
}

static void end(struct epoll *e, uint32_t i, int result)
{
	e->ops[i].result = result;
	push(e, &e->ended, i);
}

static uint32_t begin(struct epoll *e, enum call call, int fd, uint64_t user)
{
	uint32_t i = pop(e, &e->idle);

	assert(i != NONE); /* more under way than the loop was made for */
	e->ops[i] = (struct op){.user = user, .fd = fd, .call = call};
	return i;
}

/* What it came to; -EAGAIN: nothing yet. */
static int attempt(const struct op *o)
{
	struct pollfd ready = {.fd = o->fd, .events = POLLIN};
	ssize_t n = -1;

	switch (o->call) {
	case CALL_ACCEPT:
		n = accept4(o->fd, NULL, NULL, SOCK_CLOEXEC);
		break;
	case CALL_RECV:
		n = recv(o->fd, o->buf, o->bytes, MSG_DONTWAIT);
		break;
	case CALL_SEND:
		n = send(o->fd, o->buf, o->bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
		break;
	case CALL_READ:
		/* it may block, but not who alone reads what is there */
		if (poll(&ready, 1, 0) < 1)
			return -EAGAIN;
		n = read(o->fd, o->buf, o->bytes);
		break;
	}
	return n < 0 ? -errno : (int)n;
}

static bool is_early(int result)
{
	return result == -EAGAIN || result == -EINTR;
}

/* ---- what epoll is told ---- */

static struct spot *spot_of(struct epoll *e, int fd)
{
	return fd >= 0 && (uint32_t)fd < e->n_spots ? &e->spots[fd] : NULL;
}

static uint32_t needed(const struct spot *s)
{
	return (s->waiting[IN].first ? EPOLLIN : 0u) |
	       (s->waiting[OUT].first ? EPOLLOUT : 0u);
}

static int tell(struct epoll *e, int how, int fd, uint32_t events)
{
	struct epoll_event about = {.events = events, .data.fd = fd};

	return epoll_ctl(e->fd, how, fd, &about) ? -errno : 0;
}

static void forget(struct epoll *e, int fd)
{
	struct spot *s = spot_of(e, fd);

	if (!s || !s->watched)
		return;
	tell(e, EPOLL_CTL_DEL, fd, 0);
	s->watched = 0;
}

/* Watch for just these. */
static int watch(struct epoll *e, int fd, uint32_t events)
{
	struct spot *s = &e->spots[fd];
	int rc;

	if (!events) {
		forget(e, fd);
		return 0;
	}
	rc = tell(e, s->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, events);
	if (rc == -ENOENT)
		rc = tell(e, EPOLL_CTL_ADD, fd, events);
	else if (rc == -EEXIST)
		rc = tell(e, EPOLL_CTL_MOD, fd, events);
	s->watched = rc ? 0 : events;
	return rc;
}

/* ---- asking ---- */

static enum way way_of(enum call call)
{
	return call == CALL_SEND ? OUT : IN;
}

/* Operation I waits until its descriptor is ready, or ends at once. */
static void wait_for(struct epoll *e, uint32_t i)
{
	struct op *o = &e->ops[i];
	struct spot *s = spot_of(e, o->fd);
	uint32_t also = o->call == CALL_ACCEPT ? EPOLLEXCLUSIVE : 0u, events;
	int rc = 0;

	if (!s) {
		end(e, i, -EBADF);
		return;
	}
	push(e, &s->waiting[way_of(o->call)], i);
	events = needed(s);
	if (events & ~s->watched)
		rc = watch(e, o->fd, events | s->watched | also);
	if (!rc)
		return;
	/* all that waits in that direction waited for that watch */
	while ((i = pop(e, &s->waiting[way_of(o->call)])) != NONE)
		end(e, i, rc);
}

static void try_first(struct epoll *e, uint32_t i)
{
	const struct op *o = &e->ops[i];
	const struct spot *s = spot_of(e, o->fd);
	int result;

	if (s && s->waiting[way_of(o->call)].first) {
		wait_for(e, i); /* those before it first */
		return;
	}
	result = attempt(o);
	if (is_early(result))
		wait_for(e, i);
	else
		end(e, i, result);
}

static void epoll_accept(void *state, int fd, uint64_t user)
{
	struct epoll *e = state;

	try_first(e, begin(e, CALL_ACCEPT, fd, user));
}

static void epoll_recv(void *state, int fd, void *buf, size_t bytes,
		       uint64_t user)
{
	struct epoll *e = state;
	uint32_t i = begin(e, CALL_RECV, fd, user);

	e->ops[i].buf = buf;
	e->ops[i].bytes = bytes;
	wait_for(e, i);
}

static void epoll_send(void *state, int fd, const void *buf, size_t bytes,
		       uint64_t user)
{
	struct epoll *e = state;
	uint32_t i = begin(e, CALL_SEND, fd, user);

	e->ops[i].buf = (void *)(uintptr_t)buf; /* only read from */
	e->ops[i].bytes = bytes;
	try_first(e, i);
}

static void epoll_read(void *state, int fd, void *buf, size_t bytes,
		       uint64_t user)
{
	struct epoll *e = state;
	uint32_t i = begin(e, CALL_READ, fd, user);

	e->ops[i].buf = buf;
	e->ops[i].bytes = bytes;
	wait_for(e, i);
}

static int end_all(struct epoll *e, struct queue *q)
{
	uint32_t i;
	int n = 0;

	while ((i = pop(e, q)) != NONE) {
		end(e, i, -ECANCELED);
		n++;
	}
	return n;
}

static void epoll_cancel(void *state, int fd, uint64_t user)
{
	struct epoll *e = state;
	uint32_t i = begin(e, CALL_READ, fd, user);
	struct spot *s = spot_of(e, fd);
	int n = 0;

	if (s) {
		n = end_all(e, &s->waiting[IN]) + end_all(e, &s->waiting[OUT]);
		forget(e, fd);
	}
	end(e, i, n);
}

static int epoll_hold(void *state, uint32_t place, int fd)
{
	struct epoll *e = state;

	if (place < e->n_places)
		e->places[place] = fd;
	return fd;
}

static void epoll_let(void *state, uint32_t place)
{
	struct epoll *e = state;

	if (place >= e->n_places)
		return;
	forget(e, e->places[place]);
	e->places[place] = -1;
}

/* ---- what came of it ---- */

/* Those who wait there, in their order, as far as it goes. */
static void go_on(struct epoll *e, struct queue *waiting)
{
	while (waiting->first) {
		uint32_t i = waiting->first - 1;
		int result = attempt(&e->ops[i]);

		if (is_early(result))
			return;
		pop(e, waiting);
		end(e, i, result);
	}
}

static void follow(struct epoll *e, const struct epoll_event *report)
{
	int fd = report->data.fd;
	struct spot *s = &e->spots[fd];
	uint32_t still;

	if (report->events & (EPOLLIN | CLOSED))
		go_on(e, &s->waiting[IN]);
	if (report->events & (EPOLLOUT | CLOSED))
		go_on(e, &s->waiting[OUT]);
	still = needed(s);
	/* who waits for nothing is not to be reported again and again, and a
	 * listener's watch cannot be changed, only taken back */
	if (!still)
		forget(e, fd);
	else if (report->events & (EPOLLIN | EPOLLOUT) & ~still)
		watch(e, fd, still);
}

static int look(struct epoll *e, int timeout_ms)
{
	struct epoll_event reports[REPORTS];
	int n = epoll_wait(e->fd, reports, REPORTS, timeout_ms);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n; i++)
		follow(e, &reports[i]);
	return 0;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Look without sleeping, for a while. */
static int spin(struct epoll *e)
{
	uint64_t end_ns = now_ns() + e->spin_ns;
	int rc;

	do
		rc = look(e, 0);
	while (!rc && !e->ended.first && now_ns() < end_ns);
	return rc;
}

static int epoll_wait_for(void *state, unsigned timeout_ms)
{
	struct epoll *e = state;
	int rc = 0;

	if (e->spin_ns)
		rc = spin(e);
	/* what has ended is waited for by somebody */
	return rc ? rc : look(e, e->ended.first ? 0 : (int)timeout_ms);
}

static unsigned epoll_take(void *state, struct jt_event *events, unsigned max)
{
	struct epoll *e = state;
	unsigned n = 0;

	for (; n < max && e->ended.first; n++) {
		uint32_t i = pop(e, &e->ended);

		events[n] = jt_event_of(e->ops[i].user, e->ops[i].result);
		push(e, &e->idle, i);
	}
	return n;
}

/* ---- set-up ---- */

static void epoll_deinit(void *state)
{
	struct epoll *e = state;

	if (e->fd >= 0)
		close(e->fd);
	free(e->ops);
	free(e->spots);
	free(e->places);
	free(e);
}

static uint32_t fds_max(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) || files.rlim_max > FDS_MAX)
		return FDS_MAX;
	return (uint32_t)files.rlim_max;
}

static int furnish(struct epoll *e, const struct jt_loop_size *size)
{
	e->fd = epoll_create1(EPOLL_CLOEXEC);
	if (e->fd < 0)
		return -errno;
	e->n_ops = size->inflight;
	e->n_spots = fds_max();
	e->n_places = size->held;
	e->spin_ns = size->spin_us * 1000ull;
	e->ops = calloc(e->n_ops + 1, sizeof(*e->ops));
	e->spots = calloc(e->n_spots, sizeof(*e->spots));
	e->places = calloc(e->n_places + 1, sizeof(*e->places));
	if (!e->ops || !e->spots || !e->places)
		return -ENOMEM;
	for (uint32_t i = 0; i < e->n_ops; i++)
		push(e, &e->idle, i);
	for (uint32_t i = 0; i < e->n_places; i++)
		e->places[i] = -1;
	return 0;
}

static int epoll_init(const struct jt_loop_size *size, void **statep)
{
	struct epoll *e = calloc(1, sizeof(*e));
	int rc;

	if (!e)
		return -ENOMEM;
	e->fd = -1;
	rc = furnish(e, size);
	if (rc) {
		epoll_deinit(e);
		return rc;
	}
	*statep = e;
	return 0;
}

static bool is_restricted(const void *state)
{
	return false;
}

const struct jt_loop_ops jt_loop_epoll = {
	.init = epoll_init,
	.deinit = epoll_deinit,
	.hold = epoll_hold,
	.let = epoll_let,
	.accept = epoll_accept,
	.recv = epoll_recv,
	.send = epoll_send,
	.read = epoll_read,
	.cancel = epoll_cancel,
	.wait = epoll_wait_for,
	.take = epoll_take,
	.is_restricted = is_restricted,
};
