/*
 * loop: what a worker may ask of the kernel, and what came of it, as plain
 * events.
 *
 * Accept, receive, send, read (a wake-up counter), cancel everything on a
 * descriptor. Every operation is single-shot: it ends with exactly one
 * completion, so nothing is ever re-armed by mistake, and a client's next bytes
 * wait in its own socket until it is their turn.
 *
 * Two backends keep this contract: io_uring (loop_ring.c), and epoll where that
 * is forbidden or missing (loop_epoll.c). Tests bring a third of their own. No
 * backend allocates after jt_loop_init().
 *
 * `user` comes back with the completion: slot index, generation and operation
 * (jt_user), so that a late completion never meets the slot's next tenant.
 * One process, one thread, created after the last fork.
 */
#ifndef JT_SIDECAR_LOOP_H
#define JT_SIDECAR_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum jt_op {
	JT_OP_ACCEPT = 1,
	JT_OP_RECV,
	JT_OP_SEND,
	JT_OP_CANCEL,
	JT_OP_READ,
};

struct jt_event {
	uint32_t slot;
	uint32_t generation;
	enum jt_op op;
	int result; /* as the system call's, negative errno */
};

enum jt_backend {
	JT_BACKEND_AUTO = 0, /* a ring if it can be had */
	JT_BACKEND_URING,
	JT_BACKEND_EPOLL,
};

/* What a loop is made for. */
struct jt_loop_size {
	unsigned inflight; /* the most operations that can be under way */
	unsigned held;	   /* places for jt_loop_hold() */
	unsigned spin_us;  /* look on so long before sleeping; 0: not at all */
};

/* A backend: the functions below, with its own state. */
struct jt_loop_ops {
	int (*init)(const struct jt_loop_size *size, void **statep);
	void (*deinit)(void *state);
	int (*hold)(void *state, uint32_t place, int fd);
	void (*let)(void *state, uint32_t place);
	void (*accept)(void *state, int fd, uint64_t user);
	void (*recv)(void *state, int held, void *buf, size_t bytes,
		     uint64_t user);
	void (*send)(void *state, int held, const void *buf, size_t bytes,
		     uint64_t user);
	void (*read)(void *state, int fd, void *buf, size_t bytes,
		     uint64_t user);
	void (*cancel)(void *state, int fd, uint64_t user);
	int (*wait)(void *state, unsigned timeout_ms);
	unsigned (*take)(void *state, struct jt_event *events, unsigned max);
	bool (*is_restricted)(const void *state);
};

extern const struct jt_loop_ops jt_loop_ring, jt_loop_epoll;

struct jt_loop {
	const struct jt_loop_ops *ops;
	void *state;
};

/* 24 bits of slot, 32 of generation, 8 of operation. */
static inline uint64_t jt_user(uint32_t slot, uint32_t generation,
			       enum jt_op op)
{
	return (uint64_t)(slot & 0xffffffu) << 40 | (uint64_t)generation << 8 |
	       (uint64_t)op;
}

/* What an event says about the user_data that its operation was given. */
static inline struct jt_event jt_event_of(uint64_t user, int result)
{
	return (struct jt_event){
		.slot = (uint32_t)(user >> 40),
		.generation = (uint32_t)(user >> 8),
		.op = (enum jt_op)(user & 0xff),
		.result = result,
	};
}

/*
 * All ended operations find room. AUTO is the ring, or epoll when there is
 * none. Negative errno: jt_loop_why().
 */
int jt_loop_init(struct jt_loop *loop, enum jt_backend backend,
		 const struct jt_loop_size *size);
void jt_loop_deinit(struct jt_loop *loop);

/* One line: why a ring was refused with ERR and what to do about it. */
const char *jt_loop_why(int err);
/* Could another backend do where that was refused? Not for lack of files. */
bool jt_loop_is_refused(int err);

enum jt_backend jt_loop_backend(const struct jt_loop *loop);
/* "io_uring", "epoll", "auto". */
const char *jt_backend_name(enum jt_backend backend);

/*
 * Before the first accept on FD: it does not block. That is so for all who
 * share it, and a daemon of another backend may (handover.h), so it is the same
 * for all of them.
 */
int jt_loop_listen(int fd);

/* Does the kernel refuse it all operations but those below, from now on? */
static inline bool jt_loop_is_restricted(const struct jt_loop *loop)
{
	return loop->ops->is_restricted(loop->state);
}

/*
 * Let the loop hold FD in PLACE, so that it is not looked up for each
 * operation. What comes back is to be given to jt_loop_recv() and _send() in
 * its stead, as long as it is held; FD itself stays open and is used for all
 * else. Never fails: then it is FD that comes back. Let go before closing, when
 * nothing is under way on it.
 */
static inline int jt_loop_hold(struct jt_loop *loop, uint32_t place, int fd)
{
	return loop->ops->hold(loop->state, place, fd);
}

static inline void jt_loop_let(struct jt_loop *loop, uint32_t place)
{
	loop->ops->let(loop->state, place);
}

/*
 * FD does not block (jt_loop_listen()), as somebody else may have taken the
 * client that woke us. -EAGAIN: so it was, ask again. Close what was used and
 * is not held only after it was cancelled.
 */
static inline void jt_loop_accept(struct jt_loop *loop, int fd, uint64_t user)
{
	loop->ops->accept(loop->state, fd, user);
}

static inline void jt_loop_recv(struct jt_loop *loop, int held, void *buf,
				size_t bytes, uint64_t user)
{
	loop->ops->recv(loop->state, held, buf, bytes, user);
}

static inline void jt_loop_send(struct jt_loop *loop, int held, const void *buf,
				size_t bytes, uint64_t user)
{
	loop->ops->send(loop->state, held, buf, bytes, user);
}

/* FD has no other reader. */
static inline void jt_loop_read(struct jt_loop *loop, int fd, void *buf,
				size_t bytes, uint64_t user)
{
	loop->ops->read(loop->state, fd, buf, bytes, user);
}

/* Targets and the cancel itself end each, in any order. */
static inline void jt_loop_cancel(struct jt_loop *loop, int fd, uint64_t user)
{
	loop->ops->cancel(loop->state, fd, user);
}

/*
 * Submit what was asked and sleep until something ended or TIMEOUT_MS passed.
 * 0, or negative errno when the loop is lost and the worker must end.
 */
static inline int jt_loop_wait(struct jt_loop *loop, unsigned timeout_ms)
{
	return loop->ops->wait(loop->state, timeout_ms);
}

/* Take up to MAX ended operations. */
static inline unsigned jt_loop_take(struct jt_loop *loop,
				    struct jt_event *events, unsigned max)
{
	return loop->ops->take(loop->state, events, max);
}

#endif
