/* echo: see echo.h. */
#include "bench/echo.h"

#include "bench/floor.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 256
#define FDS 8192
#define READ_BYTES 65536u
#define REPLIES (READ_BYTES / 64u)

struct state {
	const struct jt_floor *floor;
	int epoll;
	size_t reply_bytes;
	uint32_t odd_bytes[FDS]; /* by descriptor: of an unfinished request */
	char in[READ_BYTES];
	char *replies; /* REPLIES of them */
};

static int watch(struct state *s, int fd)
{
	struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e) ? -errno : 0;
}

static void accept_one(struct state *s)
{
	int fd = accept4(s->floor->listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	if (fd >= FDS || watch(s, fd)) {
		close(fd);
		return;
	}
	s->odd_bytes[fd] = 0;
}

static void serve(struct state *s, int fd)
{
	ssize_t n = recv(fd, s->in, sizeof(s->in), MSG_DONTWAIT);
	size_t have;

	if (n <= 0) {
		if (n == 0 || errno != EAGAIN)
			close(fd);
		return;
	}
	have = s->odd_bytes[fd] + (size_t)n;
	s->odd_bytes[fd] = (uint32_t)(have % s->floor->request_bytes);
	have /= s->floor->request_bytes;
	if (have && send(fd, s->replies, have * s->reply_bytes, MSG_NOSIGNAL) <
			    (ssize_t)(have * s->reply_bytes))
		close(fd);
}

int jt_echo_serve(void *arg)
{
	struct epoll_event events[EVENTS];
	static struct state s;
	int n;

	s.floor = arg;
	s.reply_bytes = strlen(jt_floor_reply);
	s.replies = malloc(REPLIES * s.reply_bytes);
	s.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!s.replies || s.epoll < 0)
		return s.replies ? -errno : -ENOMEM;
	for (size_t i = 0; i < REPLIES; i++)
		memcpy(s.replies + i * s.reply_bytes, jt_floor_reply,
		       s.reply_bytes);
	n = watch(&s, s.floor->listener);
	if (n)
		return n;
	while ((n = epoll_wait(s.epoll, events, EVENTS, -1)) >= 0 ||
	       errno == EINTR)
		for (int i = 0; i < n; i++)
			if (events[i].data.fd == s.floor->listener)
				accept_one(&s);
			else
				serve(&s, events[i].data.fd);
	return -errno;
}
