/*
 * usher: an open connection on its way from a worker that leaves to one of the
 * next daemon's (handover.h).
 *
 * Between two commands all that there is of a connection is its socket and what
 * the client said about itself. It goes as one message into a queue, a pair of
 * sockets that keeps message borders, of which every worker of the next daemon
 * reads: the first who has a place takes it. The form is the same for any two
 * builds. Nothing here waits.
 */
#ifndef JT_SIDECAR_USHER_H
#define JT_SIDECAR_USHER_H

#include "sidecar/command.h"

/* GREETED: a first byte of it came. 0; -EAGAIN: the queue is full, later; else
 * nobody takes it. */
int jt_usher_send(int queue, int fd, const struct jt_client *client,
		  bool greeted);

/*
 * The next one: its descriptor, close-on-exec, and *CLIENT. -EAGAIN: there is
 * none now; -EPIPE: there will be none; -EPROTO: one that cannot be read, and
 * was closed.
 */
int jt_usher_receive(int queue, struct jt_client *client, bool *greetedp);

#endif
