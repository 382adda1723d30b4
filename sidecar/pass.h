/*
 * pass: a message with descriptors over a pair of sockets that keeps message
 * borders (SOCK_SEQPACKET). Nothing here waits. Any process of the daemon.
 */
#ifndef JT_SIDECAR_PASS_H
#define JT_SIDECAR_PASS_H

#include <stddef.h>

#define JT_PASS_MAX 80u /* descriptors in one message */

/* 0 or negative errno; -EAGAIN: not now. */
int jt_pass_send(int link, const void *bytes, size_t n, const int *fds,
		 unsigned n_fds);

/*
 * The next one, of exactly N bytes and at most MAX descriptors, which are
 * close-on-exec: how many these are. -EAGAIN: there is none now; -EPIPE: nobody
 * is at the other end; -EPROTO: one of another form, whose descriptors were
 * closed; other negative errno.
 */
int jt_pass_receive(int link, void *bytes, size_t n, int *fds, unsigned max);

#endif
