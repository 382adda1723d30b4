/*
 * http_worker: see http_worker.h.
 *
 * One loop: sleep until libmicrohttpd's descriptors have something, read the
 * clock, let it run; what it calls back is answered at once. One daemon of
 * that library for each listener, all driven by this thread.
 */
#include "sidecar/http_worker.h"

#include "sidecar/child.h"
#include "sidecar/log.h"
#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#define TICK_MS 250u
#define LISTENERS_MAX 2u

struct http {
	const struct jt_worker_args *args;
	struct jt_maps maps;
	struct jt_desk *desk;
	struct jt_now now;
	struct MHD_Daemon *daemons[LISTENERS_MAX];
	struct pollfd fds[LISTENERS_MAX];
	unsigned n;
};

/* the one word that C lets a signal handler write */
static volatile sig_atomic_t stop_asked;

static void on_term(int sig)
{
	stop_asked = 1;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection,
				  const char *url, const char *method,
				  const char *version, const char *upload,
				  size_t *upload_bytesp, void **requestp)
{
	static char nothing[1];
	struct MHD_Response *r;
	enum MHD_Result rc;

	if (!*requestp) {
		*requestp = ctx;
		return MHD_YES;
	}
	r = MHD_create_response_from_buffer(0, nothing, MHD_RESPMEM_PERSISTENT);
	rc = MHD_queue_response(
		connection,
		strcmp(url, "/livez") ? MHD_HTTP_NOT_FOUND : MHD_HTTP_OK, r);
	MHD_destroy_response(r);
	return rc;
}

static int listen_on(struct http *h, int listener)
{
	const union MHD_DaemonInfo *info;
	struct MHD_Daemon *d;

	if (listener < 0)
		return 0;
	d = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, h,
			     MHD_OPTION_LISTEN_SOCKET, listener,
			     MHD_OPTION_END);
	info = d ? MHD_get_daemon_info(d, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	if (!info)
		return -EPROTO;
	h->daemons[h->n] = d;
	h->fds[h->n++] =
		(struct pollfd){.fd = info->epoll_fd, .events = POLLIN};
	return 0;
}

static int timeout_ms(const struct http *h)
{
	MHD_UNSIGNED_LONG_LONG ms;
	int least = TICK_MS;

	for (unsigned i = 0; i < h->n; i++)
		if (MHD_get_timeout(h->daemons[i], &ms) == MHD_YES &&
		    ms < (unsigned)least)
			least = (int)ms;
	return least;
}

static void serve(struct http *h)
{
	while (!stop_asked) {
		if (poll(h->fds, h->n, timeout_ms(h)) < 0 && errno != EINTR)
			return;
		h->now = jt_child_now();
		for (unsigned i = 0; i < h->n; i++)
			MHD_run(h->daemons[i]);
		jt_child_end_round(h->desk, h->now);
	}
}

int jt_http_run(const struct jt_worker_args *args)
{
	static struct http h;
	struct sigaction term = {.sa_handler = on_term};
	int rc;

	h.args = args;
	rc = jt_segment_map(&args->segments, &h.maps);
	if (!rc)
		rc = listen_on(&h, args->http);
	if (!rc)
		rc = listen_on(&h, args->http_tcp);
	if (rc) {
		jt_log(JT_LOG_ERROR, "HTTP worker %u cannot start: %s",
		       args->number, strerror(rc < 0 ? -rc : EPROTO));
		return 1;
	}
	sigaction(SIGTERM, &term, NULL);
	jt_child_give_up_rights();
	h.desk = &h.maps.board[args->number];
	h.now = jt_child_now();
	jt_store_seq(&h.desk->beat_ns, h.now.boot_ns);
	jt_store_seq(&h.desk->state, JT_DESK_SERVING);
	serve(&h);
	for (unsigned i = 0; i < h.n; i++) {
		/* the listener is the keeper's: it must not be shut down */
		MHD_quiesce_daemon(h.daemons[i]);
		MHD_stop_daemon(h.daemons[i]);
	}
	return stop_asked ? JT_WORKER_STOPPED : 1;
}
