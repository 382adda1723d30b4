/*
 * seats: a worker's connections: places, what is under way on each, and when
 * each may be freed.
 *
 * Between the loop, which says what ended, and conn.h, which says what is
 * wanted next. Knows no backend, no listener and no clock, so that made-up
 * completions can drive it (tests/fuzz_completions.c). Worker only; one thread;
 * no allocation after jt_seats_init().
 *
 *   a drain: event()* - expire, wake - answer() - start()
 */
#ifndef JT_SIDECAR_SEATS_H
#define JT_SIDECAR_SEATS_H

#include "sidecar/loop.h"
#include "sidecar/round.h"

#define JT_SEATS_REST_MS 10u /* of who was shut out, before it is read on */

struct jt_seats_want {
	struct jt_loop *loop;
	struct jt_peers *peers;
	struct jt_desk *desk;
	unsigned number; /* of the desk */
	unsigned common; /* connections, of whomever */
	/* more, for callers who have at most half of what is open */
	unsigned kept;
	uint64_t idle_ns; /* closed when idle for so long; 0: never */
};

struct jt_seats {
	struct jt_seats_want want;
	unsigned n_max, n_open;
	struct jt_conn *conns; /* [n_max]; fd -1: free */
	int *held;	       /* what the loop takes for its descriptor */
	uint32_t *free_slots, n_free;
	uint32_t *touched, n_touched; /* to be asked what they want */
	uint8_t *is_touched;
	uint64_t next_id;
	uint64_t wake_at_ns; /* who rests; 0: nobody does */
	int way_out;
	bool nowhere; /* nobody is at the other end of it */
};

enum {
	JT_SEATS_E_FULL = 1,
	JT_SEATS_E_PEER, /* that user has all that it may have */
};

/* -ENOMEM. */
int jt_seats_init(struct jt_seats *seats, const struct jt_seats_want *want);

/*
 * FD is a client's, and belongs to the seats if 0 is returned. JT_SEATS_E_*, or
 * negative errno: it is no connected socket.
 */
int jt_seats_open(struct jt_seats *seats, int fd, uint64_t now_ns);

/* The same with one that another daemon let in (usher.h). */
int jt_seats_take(struct jt_seats *seats, int fd,
		  const struct jt_client *client, bool greeted,
		  uint64_t now_ns);

/* An operation of a connection ended. What nobody waits for is dropped. */
void jt_seats_event(struct jt_seats *seats, const struct jt_event *event,
		    uint64_t now_ns);

/* Abort whose deadline has passed. */
void jt_seats_expire(struct jt_seats *seats, uint64_t now_ns);
/* End the rest of who was shut out, if it is over. */
void jt_seats_wake(struct jt_seats *seats, uint64_t now_ns);
/*
 * All are to leave by WAY_OUT (usher.h; -1: it is not known yet), each when it
 * is between two commands; or to stay after all. Again for those that could not
 * go.
 */
void jt_seats_leave(struct jt_seats *seats, bool is, int way_out);
/* Pending replies out, then everything closed. */
void jt_seats_stop(struct jt_seats *seats);

/* Answer all that is ready, as one round. */
void jt_seats_answer(struct jt_seats *seats, struct jt_round *round,
		     struct jt_now now);
/* Start what they want next; close who is done. */
void jt_seats_start(struct jt_seats *seats, uint64_t now_ns);

/* Lines of jt_client_line(), whole ones: bytes. */
size_t jt_seats_list(const struct jt_seats *seats, uint64_t now_ns, char *buf,
		     size_t max);

#endif
