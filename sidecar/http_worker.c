/*
 * http_worker: see http_worker.h.
 *
 * One loop: sleep until libmicrohttpd's descriptors have something, let it run
 * and answer all that is ready, look whose time is up. One daemon of that
 * library for each listener, all driven by this thread; where there is one
 * only, its own wait is the sleep.
 *
 * Without a descriptor for its first client that library tries again at once,
 * for as long as it has none, and takes a whole core: then we rest between two
 * tries.
 */
#include "sidecar/http_worker.h"

#include "admin/output.h"
#include "shm/pages.h"
#include "sidecar/child.h"
#include "sidecar/crossing.h"
#include "sidecar/http_door.h"
#include "sidecar/log.h"
#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#define TICK_MS JT_CHILD_TICK_MS
#define NS_PER_MS 1000000ull
#define FUTILE_MAX 8u /* rounds that ended at once, for nothing */
#define REST_MS 20

struct worker {
	struct jt_maps maps;
	struct jt_crossing crossing;
	struct jt_memo memo;
	struct jt_http_door door;
	struct jt_child_figures figures;
	struct jt_refusals refusals;
	struct MHD_Daemon *daemons[JT_HTTP_LISTENERS];
	struct pollfd fds[JT_HTTP_LISTENERS];
	struct pollfd listeners[JT_HTTP_LISTENERS];
	unsigned n;
	unsigned n_futile; /* in a row */
	uint64_t next_tick_ns;
	bool leaving; /* the next daemon serves */
};

/* the one word that C lets a signal handler write */
static volatile sig_atomic_t stop_asked;

static void on_term(int sig)
{
	stop_asked = 1;
}

static int listen_on(struct worker *w, int listener)
{
	const union MHD_DaemonInfo *info;
	struct MHD_Daemon *d;

	if (listener < 0)
		return 0;
	d = jt_http_door_open(&w->door, listener);
	info = d ? MHD_get_daemon_info(d, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	if (!info)
		return -EPROTO;
	w->daemons[w->n] = d;
	w->listeners[w->n] = (struct pollfd){.fd = listener, .events = POLLIN};
	w->fds[w->n++] =
		(struct pollfd){.fd = info->epoll_fd, .events = POLLIN};
	return 0;
}

static int patience_ms(const struct worker *w)
{
	return jt_crossing_busy(&w->crossing) ? 1 : TICK_MS;
}

static int timeout_ms(const struct worker *w)
{
	MHD_UNSIGNED_LONG_LONG ms;
	int least = patience_ms(w);

	for (unsigned i = 0; i < w->n; i++)
		if (MHD_get_timeout(w->daemons[i], &ms) == MHD_YES &&
		    ms < (unsigned)least)
			least = (int)ms;
	return least;
}

static int drain(struct worker *w)
{
	if (w->n == 1)
		return MHD_run_wait(w->daemons[0], patience_ms(w)) == MHD_YES
			       ? 0
			       : -EIO;
	if (poll(w->fds, w->n, timeout_ms(w)) < 0 && errno != EINTR)
		return -errno;
	for (unsigned i = 0; i < w->n; i++)
		MHD_run(w->daemons[i]);
	return 0;
}

static void tick(struct worker *w)
{
	uint64_t now_ns = w->door.now.boot_ns;

	if (now_ns < w->next_tick_ns)
		return;
	w->next_tick_ns = now_ns + TICK_MS * NS_PER_MS;
	jt_http_door_expire(&w->door);
}

/* Another daemon's crew serves until we can. */
static void wait_for_table(struct worker *w)
{
	const struct timespec step = {.tv_nsec = 2 * (long)NS_PER_MS};

	/* pairs with the keeper's store when it serves */
	while (!stop_asked && jt_load_acquire(&w->maps.identity->state) !=
				      JT_IDENTITY_SERVING) {
		jt_child_end_round(w->door.desk, jt_child_now());
		nanosleep(&step, NULL);
	}
}

/* The next daemon serves: its crew accepts, and here each connection ends with
 * the answer to its next request; in a hurry, idle ones at once. */
static void leave(struct worker *w)
{
	if (jt_crossing_hurries(&w->crossing))
		jt_http_door_clear(&w->door);
	if (w->leaving || !jt_crossing_leaves(&w->crossing))
		return;
	w->leaving = true;
	for (unsigned i = 0; i < w->n; i++)
		MHD_quiesce_daemon(w->daemons[i]);
}

/* Should the next daemon have died, another worker begins anew: it is the
 * listeners that cannot be taken up again. */
static bool has_left(const struct worker *w)
{
	return w->leaving &&
	       (w->door.n_open == 0 || !jt_crossing_leaves(&w->crossing));
}

static bool has_nobody(const struct worker *w, unsigned i)
{
	return MHD_get_daemon_info(w->daemons[i],
				   MHD_DAEMON_INFO_CURRENT_CONNECTIONS)
		       ->num_connections == 0;
}

/* FUTILE: nothing came of the round that began at BEGUN_NS. */
static void rest_if_stuck(struct worker *w, bool futile, uint64_t begun_ns)
{
	if (!futile || w->door.now.boot_ns - begun_ns >= NS_PER_MS / 2) {
		w->n_futile = 0;
		return;
	}
	if (++w->n_futile < FUTILE_MAX)
		return;
	/* it may still be a head that comes byte by byte */
	for (unsigned i = 0; i < w->n; i++)
		if (has_nobody(w, i) && poll(&w->listeners[i], 1, 0) == 1) {
			poll(NULL, 0, REST_MS);
			return;
		}
}

static int serve(struct worker *w)
{
	struct jt_desk *desk = w->door.desk;
	uint64_t begun_ns;
	bool futile;
	int rc = 0;

	while (!stop_asked && !rc && !has_left(w)) {
		leave(w);
		jt_http_door_settle(&w->door);
		begun_ns = w->door.now.boot_ns;
		rc = drain(w);
		futile = w->door.settled; /* nobody called back */
		jt_http_door_wake(&w->door);
		rest_if_stuck(w, futile, begun_ns);
		tick(w);
		jt_crossing_look(&w->crossing);
		if (!rc && jt_crossing_is_lost(&w->crossing))
			rc = -ESTALE;
		if (w->refusals.n)
			jt_refusals_tell(&w->refusals, w->door.now.boot_ns);
		jt_child_figures_tell(&w->figures, desk, w->door.now.boot_ns);
		jt_child_end_round(desk, w->door.now);
	}
	return stop_asked ? 0 : rc;
}

/* What has arrived is answered, then everything is closed. */
static void stop(struct worker *w)
{
	for (unsigned i = 0; i < w->n; i++) {
		/* the listener is the keeper's: it must not be shut down */
		if (!w->leaving)
			MHD_quiesce_daemon(w->daemons[i]);
		jt_http_door_settle(&w->door);
		MHD_run(w->daemons[i]);
		MHD_stop_daemon(w->daemons[i]);
	}
}

static int init(struct worker *w, const struct jt_worker_args *args)
{
	int rc = jt_segment_map(&args->segments, &w->maps);
	size_t memo_bytes;
	void *memory;

	if (rc)
		return rc;
	jt_crossing_init(&w->crossing, args->crossing, &w->maps,
			 &w->maps.board[args->first_desk + args->number]);
	memo_bytes = jt_memo_bytes(w->maps.capacity);
	memory = jt_pages_reserve(memo_bytes);
	if (!memory)
		return -ENOMEM;
	jt_memo_init(&w->memo, memory, memo_bytes);
	rc = jt_http_door_init(&w->door, &w->maps, &w->memo,
			       args->first_desk + args->number,
			       jt_child_cap_connections(args->connections_max,
							0, args->n_workers));
	w->door.crossing = &w->crossing;
	if (args->log_refusals)
		w->door.refusals = &w->refusals;
	return rc;
}

static int open_listeners(struct worker *w, const struct jt_worker_args *args)
{
	int rc = listen_on(w, args->http);

	if (!rc)
		rc = listen_on(w, args->http_tcp);
	if (rc)
		jt_log(JT_LOG_ERROR, "HTTP worker %u cannot listen: %s",
		       args->number, strerror(-rc));
	return rc;
}

int jt_http_run(const struct jt_worker_args *args)
{
	static struct worker w;
	struct sigaction term = {.sa_handler = on_term};
	int rc = init(&w, args);

	if (rc) {
		jt_log(JT_LOG_ERROR, "HTTP worker %u cannot start: %s",
		       args->number, strerror(rc < 0 ? -rc : EPROTO));
		return 1;
	}
	sigaction(SIGTERM, &term, NULL);
	/* tokens lie in what is read of bodies */
	json_set_alloc_funcs(jt_wiping_malloc, jt_wiping_free);
	if (args->waits)
		wait_for_table(&w);
	if (open_listeners(&w, args))
		return 1;
	jt_child_figures_open(&w.figures, w.door.desk);
	jt_child_shut_in(args->box, JT_SANDBOX_HTTP, w.door.desk);
	jt_store_seq(&w.door.desk->beat_ns, w.door.now.boot_ns);
	jt_store_seq(&w.door.desk->state, JT_DESK_SERVING);
	rc = serve(&w);
	stop(&w);
	if (!rc)
		return JT_WORKER_STOPPED;
	jt_log(JT_LOG_ERROR, "HTTP worker %u lost its %s: %s", args->number,
	       rc == -ESTALE ? "table" : "connections", strerror(-rc));
	return 1;
}
