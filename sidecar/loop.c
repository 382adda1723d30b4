/* loop: see loop.h. The backends, and which of them it is to be. */
#include "sidecar/loop.h"

#include <errno.h>
#include <sys/ioctl.h>

#define INFLIGHT_MAX 65536u

int jt_loop_init(struct jt_loop *loop, enum jt_backend backend,
		 const struct jt_loop_size *size)
{
	int rc;

	if (size->inflight > INFLIGHT_MAX)
		return -E2BIG;
	loop->ops =
		backend == JT_BACKEND_EPOLL ? &jt_loop_epoll : &jt_loop_ring;
	rc = loop->ops->init(size, &loop->state);
	if (backend != JT_BACKEND_AUTO || !jt_loop_is_refused(rc))
		return rc;
	loop->ops = &jt_loop_epoll;
	return loop->ops->init(size, &loop->state);
}

void jt_loop_deinit(struct jt_loop *loop)
{
	loop->ops->deinit(loop->state);
	loop->state = NULL;
}

enum jt_backend jt_loop_backend(const struct jt_loop *loop)
{
	return loop->ops == &jt_loop_epoll ? JT_BACKEND_EPOLL
					   : JT_BACKEND_URING;
}

int jt_loop_listen(int fd)
{
	int nonblocking = 1;

	return ioctl(fd, FIONBIO, &nonblocking) ? -errno : 0;
}

const char *jt_backend_name(enum jt_backend backend)
{
	static const char *const names[] = {
		[JT_BACKEND_AUTO] = "auto",
		[JT_BACKEND_URING] = "io_uring",
		[JT_BACKEND_EPOLL] = "epoll",
	};

	return names[backend];
}

bool jt_loop_is_refused(int err)
{
	return err && err != -EMFILE && err != -ENFILE && err != -E2BIG;
}

const char *jt_loop_why(int err)
{
	switch (-err) {
	case EPERM:
	case EACCES:
		return "io_uring is forbidden here (EPERM); allow it in the "
		       "container's seccomp profile or set "
		       "kernel.io_uring_disabled=0";
	case ENOSYS:
		return "this kernel has no io_uring (ENOSYS); it needs Linux "
		       "5.19 or later with CONFIG_IO_URING";
	case ENOMEM:
		return "io_uring gets no memory (ENOMEM); raise RLIMIT_MEMLOCK "
		       "or lower --connections";
	case EOPNOTSUPP:
	case EINVAL:
		return "this kernel's io_uring is too old or lacks an "
		       "operation; it needs Linux 5.19 or later";
	case EMFILE:
	case ENFILE:
		return "no descriptor left for the workers' loop; raise the "
		       "limit of open files";
	default:
		return "io_uring cannot be had; see the error number";
	}
}
