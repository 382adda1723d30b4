/*
 * attach: see attach.h. Nothing here waits.
 *
 * A message with anything but one greeting and exactly two descriptors in one
 * piece is foreign, and whatever came with it is closed.
 */
#include "shm/attach.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FDS_MAX 8u /* more do not fit: the kernel drops them and says so */

int jt_attach_dial(const char *run, const char *name, int *fdp)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, rc;

	if (snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", run,
		     name) >= (int)sizeof(address.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		rc = -errno;
		close(fd);
		return rc;
	}
	*fdp = fd;
	return 0;
}

struct parcel {
	struct jt_greeting greeting;
	ssize_t bytes;
	bool cut; /* there was more than one takes */
	int fds[FDS_MAX];
	unsigned n_fds;
};

static void collect(struct msghdr *msg, struct parcel *p)
{
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n && p->n_fds < FDS_MAX; i++)
			memcpy(&p->fds[p->n_fds++],
			       CMSG_DATA(c) + i * sizeof(int), sizeof(int));
	}
	p->cut = msg->msg_flags & (MSG_TRUNC | MSG_CTRUNC);
}

static int receive(int fd, struct parcel *p)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = {&p->greeting, sizeof(p->greeting)};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};

	memset(p, 0, sizeof(*p));
	do
		p->bytes = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (p->bytes < 0 && errno == EINTR);
	if (p->bytes < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	collect(&msg, p);
	return 0;
}

static int judge(const struct parcel *p)
{
	uint8_t why;

	if (p->bytes == 0)
		return -ECONNRESET;
	memcpy(&why, &p->greeting, 1);
	if (p->bytes == 1 && !p->n_fds && !p->cut &&
	    (why == JT_ATTACH_E_RIGHT || why == JT_ATTACH_E_LOADING))
		return why;
	if (p->bytes != sizeof(p->greeting) || p->n_fds != 2 || p->cut ||
	    p->greeting.magic != JT_ATTACH_MAGIC ||
	    p->greeting.version != JT_LAYOUT_VERSION || p->greeting.result ||
	    (p->greeting.right != JT_ATTACH_LOOK &&
	     p->greeting.right != JT_ATTACH_SPEND))
		return JT_ATTACH_E_FOREIGN;
	return 0;
}

int jt_attach_take(int fd, struct jt_segment_fds *fdsp,
		   enum jt_attach_right *rightp)
{
	struct parcel p;
	int rc = receive(fd, &p);

	if (rc)
		return rc;
	rc = judge(&p);
	for (unsigned i = 0; rc && i < p.n_fds; i++)
		close(p.fds[i]);
	if (rc)
		return rc;
	*fdsp = (struct jt_segment_fds){p.fds[0], p.fds[1]};
	*rightp = (enum jt_attach_right)p.greeting.right;
	return 0;
}
