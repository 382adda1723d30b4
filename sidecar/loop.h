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
};

/* 24 bits of slot, 32 of generation, 8 of operation. */
static inline uint64_t jt_user(uint32_t slot, uint32_t generation,
			       enum jt_op op)
{
	return (uint64_t)(slot & 0xffffffu) << 40 | (uint64_t)generation << 8 |
	       (uint64_t)op;
}

/*
 * INFLIGHT_MAX: the most operations that can be under way; the completion
 * queue holds them all. Negative errno: see jt_loop_why().
 */
int jt_loop_init(struct jt_loop *loop, unsigned inflight_max);
void jt_loop_deinit(struct jt_loop *loop);

/* One line: why jt_loop_init() failed with ERR and what to do about it. */
const char *jt_loop_why(int err);

void jt_loop_accept(struct jt_loop *loop, int fd, uint64_t user);
void jt_loop_recv(struct jt_loop *loop, int fd, void *buf, size_t bytes,
		  uint64_t user);
void jt_loop_send(struct jt_loop *loop, int fd, const void *buf, size_t bytes,
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
