/*
 * conn: the state of one client connection, apart from any ring or socket.
 *
 * Fed with what ended (received, sent, cancelled), it says what it wants next;
 * the worker turns wants into operations of its backend. Nothing here makes a
 * system call, so the whole life of a connection is tested by made-up
 * completions in any order (tests/test_conn.c).
 *
 *   HUNGRY --bytes--> FED --commands run--> replies in `out` --sent--> HUNGRY
 *
 * At most one receive and one send are under way. Input is parsed only while
 * no output is pending: a client that does not read is not read from. Both
 * buffers belong to the worker and keep their place for the slot's life.
 */
#ifndef JT_SIDECAR_CONN_H
#define JT_SIDECAR_CONN_H

#include "sidecar/command.h"
#include "sidecar/peers.h"
#include "sidecar/resp.h"

#define JT_CONN_IN_BYTES (132u * 1024u)	 /* a command of 128 KiB, and more */
#define JT_CONN_OUT_BYTES (512u * 1024u) /* the largest MVERIFY, and more */

/* Deadlines. */
#define JT_CONN_FIRST_NS 30000000000ull	 /* for a first byte */
#define JT_CONN_REQUEST_NS 5000000000ull /* for the rest of a command */
#define JT_CONN_DRAIN_NS 10000000000ull	 /* for taking replies */

enum jt_conn_want {
	JT_WANT_RECV = 1,   /* receive jt_conn_room() behind what is there */
	JT_WANT_SEND = 2,   /* send jt_conn_pending() */
	JT_WANT_CANCEL = 4, /* shut the socket down, cancel all on it */
	JT_WANT_CLOSE = 8,  /* nothing is under way: close, free the slot */
	JT_WANT_PAUSE = 16, /* cancel its receive */
	JT_WANT_LEAVE = 32, /* between two commands, nothing is under way */
};

enum jt_conn_end {
	JT_END_NONE = 0,
	JT_END_CLIENT,	 /* the client closed or reset */
	JT_END_QUIT,	 /* QUIT, or a half-close, answered to the end */
	JT_END_PROTOCOL, /* broken request: told, then closed */
	JT_END_SLOW,	 /* a deadline passed */
	JT_END_STOP,	 /* the worker stops */
};

struct jt_conn {
	int fd;
	uint32_t generation; /* of the slot; survives reuse */
	uint8_t *in, *out;
	uint32_t in_len;
	uint32_t out_len, out_sent;
	bool receiving, sending, cancelling, cancelled, closed;
	bool fed;		 /* bytes in `in` that were not parsed yet */
	bool eof;		 /* the client will send nothing more */
	bool greeted;		 /* a first byte came */
	bool told;		 /* replies may repeat what was asked */
	bool bulky;		 /* the worker's mark: much of `in` was used */
	bool shut_out;		 /* it asked, and got no verdict */
	bool resting;		 /* not read from until jt_conn_wake() */
	bool leaving;		 /* to be handed over, see jt_conn_leave() */
	bool pausing;		 /* its receive is being cancelled for that */
	bool missed;		 /* and that cancel has ended before it */
	enum jt_conn_end finish; /* != NONE: close so once replies are out */
	enum jt_conn_end end;	 /* != NONE: closing, no more reads or sends */
	uint64_t since_ns;	 /* when the present waiting began */
	struct jt_resp_parser parser;
	struct jt_client client;
	struct jt_caller caller;
};

/* A fresh connection in the slot; in, out and generation stay, and the caller
 * is to be set. */
void jt_conn_open(struct jt_conn *c, int fd, uint64_t id, uint64_t now_ns);

/* What ended, with the result of its system call. */
void jt_conn_received(struct jt_conn *c, int result, uint64_t now_ns);
void jt_conn_sent(struct jt_conn *c, int result, uint64_t now_ns);
void jt_conn_cancel_done(struct jt_conn *c);

/* May commands be parsed now? */
bool jt_conn_ready(const struct jt_conn *c);
/* N bytes of input were parsed and answered; MORE: parsing stopped early. */
void jt_conn_consumed(struct jt_conn *c, uint32_t n, bool more,
		      uint64_t now_ns);
/* OUT bytes were written to c->out. */
void jt_conn_replied(struct jt_conn *c, uint32_t n, uint64_t now_ns);
/* Read nothing more; send the replies that are pending, then close. */
void jt_conn_finish(struct jt_conn *c, enum jt_conn_end why);
/* Close now, whatever is pending. The first reason stays. */
void jt_conn_abort(struct jt_conn *c, enum jt_conn_end why);
/*
 * Has a deadline passed? Then it is aborted as SLOW. IDLE_NS: how long it may
 * ask nothing; 0: for ever.
 */
bool jt_conn_expire(struct jt_conn *c, uint64_t idle_ns, uint64_t now_ns);

/* Bytes to receive at once. */
uint32_t jt_conn_room(const struct jt_conn *c);

/*
 * It asked and got no verdict (or did not, this time): until that changes it is
 * read from in small pieces only, with a rest before each that the worker ends,
 * so that its flood waits at its own end and not in the rounds of others.
 */
void jt_conn_shut_out(struct jt_conn *c, bool is);
void jt_conn_wake(struct jt_conn *c);

/*
 * It shall go on elsewhere: when it is between two commands its receive is
 * paused and it wants to leave, until jt_conn_left() says that it has, or it is
 * told to stay after all. To be said again from time to time.
 */
void jt_conn_leave(struct jt_conn *c, bool is);
void jt_conn_left(struct jt_conn *c);

/* What should be started now; marks it as started. */
unsigned jt_conn_wants(struct jt_conn *c);

#endif
