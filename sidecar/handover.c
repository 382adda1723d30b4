/* handover: see handover.h. */
#include "sidecar/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int) * JT_HANDOVER_FDS)];
};

int jt_handover_send(int link, struct jt_handover_word *word, const int *fds,
		     unsigned n_fds)
{
	union control control = {0};
	struct iovec iov = {word, sizeof(*word)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n_fds > JT_HANDOVER_FDS)
		return -EINVAL;
	word->version = JT_HANDOVER_VERSION;
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

void jt_handover_close(const int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		close(fds[i]);
}

int jt_handover_receive(int link, struct jt_handover_word *word, int *fds,
			unsigned *n_fdsp)
{
	union control control;
	struct iovec iov = {word, sizeof(*word)};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	const struct cmsghdr *c;
	ssize_t n = recvmsg(link, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*n_fdsp = 0;
	if (n < 0)
		return errno == EINTR	     ? -EAGAIN
		       : errno == ECONNRESET ? -EPIPE
					     : -errno;
	if (n == 0)
		return -EPIPE;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		*n_fdsp = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(c), *n_fdsp * sizeof(int));
	}
	if (n == sizeof(*word) && word->version == JT_HANDOVER_VERSION &&
	    !(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		word->text[sizeof(word->text) - 1] = '\0';
		return 0;
	}
	jt_handover_close(fds, *n_fdsp);
	*n_fdsp = 0;
	return -EPROTO;
}

int jt_handover_link(void)
{
	const char *text = getenv(JT_HANDOVER_VARIABLE);
	char *end = NULL;
	long fd = text ? strtol(text, &end, 10) : -1;
	int type = 0;
	socklen_t bytes = sizeof(type);

	unsetenv(JT_HANDOVER_VARIABLE);
	if (fd <= STDERR_FILENO || *end ||
	    getsockopt((int)fd, SOL_SOCKET, SO_TYPE, &type, &bytes) ||
	    type != SOCK_SEQPACKET || fcntl((int)fd, F_SETFD, FD_CLOEXEC))
		return -1;
	return (int)fd;
}
