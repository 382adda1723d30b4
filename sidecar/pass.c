/* pass: see pass.h. */
#include "sidecar/pass.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int) * JT_PASS_MAX)];
};

int jt_pass_send(int link, const void *bytes, size_t n, const int *fds,
		 unsigned n_fds)
{
	union control control = {0};
	struct iovec iov = {.iov_len = n};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n_fds > JT_PASS_MAX)
		return -EINVAL;
	memcpy(&iov.iov_base, &bytes, sizeof(bytes)); /* only read from */
	if (n_fds) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * n_fds);
	}
	return sendmsg(link, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno
								    : 0;
}

/* All that came, whatever was expected: else they would stay open. */
static unsigned take(const struct msghdr *msg, int all[JT_PASS_MAX + 1])
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	unsigned n;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return 0;
	n = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	memcpy(all, CMSG_DATA(c), n * sizeof(int));
	return n;
}

int jt_pass_receive(int link, void *bytes, size_t n, int *fds, unsigned max)
{
	union control control;
	int all[JT_PASS_MAX + 1]; /* padding has room for one more */
	struct iovec iov = {bytes, n};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t got = recvmsg(link, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	unsigned n_fds;

	if (got < 0)
		return errno == EINTR	     ? -EAGAIN
		       : errno == ECONNRESET ? -EPIPE
					     : -errno;
	if (got == 0)
		return -EPIPE;
	n_fds = take(&msg, all);
	if ((size_t)got == n && n_fds <= max &&
	    !(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		memcpy(fds, all, n_fds * sizeof(int));
		return (int)n_fds;
	}
	while (n_fds)
		close(all[--n_fds]);
	return -EPROTO;
}
