/*
 * loop: one io_uring, its submissions and completions, as plain events.
 *
 * What a worker may ask of the kernel: accept, receive, send, read (a wake-up
 * counter), cancel everything on a descriptor. Every operation is single-shot:
 * it ends with exactly one completion, so nothing is ever re-armed by mistake,
 * and a client's next bytes wait in its own socket until it is their turn.
 *
 * `user` comes back with the completion: slot index, generation and operation
 * (jt_user), so that a late completion never meets the slot's next tenant.
 * One process, one thread, created after the last fork.
 */
#ifndef JT_SIDECAR_LOOP_H
#define JT_SIDECAR_LOOP_H

#include <liburing.h>
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

struct jt_loop {
	struct io_uring ring;
	uint32_t n_held; /* places of descriptors; 0: it has none */
	uint64_t spin_ns;
};

/* What a loop is made for. */
struct jt_loop_size {
	unsigned inflight; /* the most operations that can be under way */
	unsigned held;	   /* places for jt_loop_hold() */
	unsigned spin_us;  /* look on so long before sleeping; 0: not at all */
};

/* 24 bits of slot, 32 of generation, 8 of operation. */
static inline uint64_t jt_user(uint32_t slot, uint32_t generation,
			       enum jt_op op)
{
	return (uint64_t)(slot & 0xffffffu) << 40 | (uint64_t)generation << 8 |
	       (uint64_t)op;
}

/* The completion queue holds all of them. Negative errno: jt_loop_why(). */
int jt_loop_init(struct jt_loop *loop, const struct jt_loop_size *size);
void jt_loop_deinit(struct jt_loop *loop);

/* One line: why jt_loop_init() failed with ERR and what to do about it. */
const char *jt_loop_why(int err);

/*
 * Let the ring hold FD in PLACE, so that it is not looked up for each
 * operation. What comes back is to be given to jt_loop_recv() and _send() in
 * its stead, as long as it is held; FD itself stays open and is used for all
 * else. Never fails: then it is FD that comes back. Let go before closing, when
 * nothing is under way on it.
 */
int jt_loop_hold(struct jt_loop *loop, uint32_t place, int fd);
void jt_loop_let(struct jt_loop *loop, uint32_t place);

void jt_loop_accept(struct jt_loop *loop, int fd, uint64_t user);
void jt_loop_recv(struct jt_loop *loop, int held, void *buf, size_t bytes,
		  uint64_t user);
void jt_loop_send(struct jt_loop *loop, int held, const void *buf, size_t bytes,
		  uint64_t user);
void jt_loop_read(struct jt_loop *loop, int fd, void *buf, size_t bytes,
		  uint64_t user);
void jt_loop_cancel(struct jt_loop *loop, int fd, uint64_t user);

/*
 * Submit what was asked and sleep until something ended or TIMEOUT_MS passed.
 * 0, or negative errno when the ring is lost and the worker must end.
 */
int jt_loop_wait(struct jt_loop *loop, unsigned timeout_ms);

/* Take up to MAX ended operations. */
unsigned jt_loop_take(struct jt_loop *loop, struct jt_event *events,
		      unsigned max);

#endif
