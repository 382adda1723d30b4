/*
 * worker: see worker.h.
 *
 * One drain: wait; take every ended operation; read the clock; answer all
 * ready connections as one round; start what they want next. So there is one
 * receive and one send per connection and round, and one system call for all
 * of them.
 *
 * Accepting. All workers accept on one listener. A worker with more
 * connections than the least loaded one stops accepting (its accept is
 * cancelled) until others have caught up: whoever accepts wakes those who may
 * go on. `connections` and `paused` are stored and loaded sequentially
 * consistent, so that of two workers each sees the other's store or is seen;
 * a tick looks again anyway. A cancelled accept may still deliver a client:
 * it is served. The kernel wakes one accept a client: when the one that was
 * woken is cancelled at that moment nobody else hears of the client, so who
 * cancels looks whether somebody waits, and then accepts once all the same. A
 * worker that dies takes wake-ups with it for as long as the kernel takes its
 * ring apart, so each tick looks whether a client waits although an accept is
 * out, and starts that anew.
 * A worker that has not finished a drain for STALE_NS (stopped, stuck) is not
 * waited for.
 *
 * Descriptors: connections are capped below the limit of open files, so
 * EMFILE should not occur; when it does, accepting rests for a tick instead
 * of spinning. Beyond the cap a client hears -BUSY and is closed.
 *
 * SIGTERM: no more accepts, pending replies out, then everything closed.
 */
#include "sidecar/worker.h"

#include "shm/pages.h"
#include "sidecar/child.h"
#include "sidecar/crossing.h"
#include "sidecar/log.h"
#include "sidecar/loop.h"
#include "sidecar/seats.h"
#include "sidecar/stats.h"
#include "sidecar/usher.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 256u
#define TICK_MS JT_CHILD_TICK_MS

#define STALE_NS 1000000000ull
#define STOP_NS 2000000000ull
#define LEAVE_NS 1000000ull
#define TAKE_MAX 16u /* connections of the daemon before, in one drain */
#define SLOT_WORKER 0xffffffu /* operations of the worker itself */
#define NS_PER_S 1000000000ull

struct worker {
	const struct jt_worker_args *args;
	struct jt_maps maps;
	struct jt_desk *desk;
	struct jt_crossing crossing;
	struct jt_memo memo;
	struct jt_loop loop;
	struct jt_round *round;
	struct jt_peers peers;
	struct jt_service service;
	struct jt_child_figures figures;
	struct jt_refusals refusals;
	struct jt_seats seats;
	struct jt_now now;
	uint64_t next_sweep_ns, rest_until_ns, stop_at_ns;
	uint64_t wake_count;
	bool accepting, cancelling_accept;
	bool owes_accept;   /* a wake-up for a client died with our accept */
	uint64_t looked_ns; /* for clients whose wake-up died with others */
	bool woken;	    /* the wake-up read is under way */
	int queue;	    /* of the daemon before, -1: none (any more) */
	bool leaving;	    /* the next daemon serves */
	uint64_t next_leave_ns;
};

/* the one word that C lets a signal handler write */
static volatile sig_atomic_t stop_asked;

static void on_term(int sig)
{
	stop_asked = 1;
}

/* ---- accepting ---- */

/* Has that worker begun a drain lately? A beat from the future is a lie. */
static bool is_beating(const struct worker *w, const struct jt_desk *d)
{
	uint64_t beat_ns = jt_load_seq(&d->beat_ns), now_ns = w->now.boot_ns;

	return beat_ns < now_ns + STALE_NS && now_ns < beat_ns + STALE_NS;
}

static bool is_loading(void *ctx)
{
	const struct worker *w = ctx;

	/* pairs with the keeper's store when the journal is replayed */
	return jt_load_acquire(&w->maps.identity->state) != JT_IDENTITY_SERVING;
}

/* Another daemon's crew serves until we can. */
static bool waits(struct worker *w)
{
	return w->args->waits && is_loading(w);
}

static void stop_accept(struct worker *w)
{
	jt_store_seq(&w->desk->paused, 0);
	if (w->accepting && !w->cancelling_accept)
		jt_loop_cancel(&w->loop, w->args->listener,
			       jt_user(SLOT_WORKER, 0, JT_OP_CANCEL));
	w->cancelling_accept |= w->accepting;
}

static bool others_have_fewer(const struct worker *w)
{
	for (unsigned i = 0; i < w->args->n_workers; i++) {
		const struct jt_desk *d =
			&w->maps.board[w->args->first_desk + i];

		if (d != w->desk && jt_load_seq(&d->state) == JT_DESK_SERVING &&
		    jt_load_seq(&d->connections) < w->seats.n_open &&
		    is_beating(w, d))
			return true;
	}
	return false;
}

/* Those who paused because of us and may go on now. */
static void wake_others(const struct worker *w)
{
	uint64_t one = 1;

	for (unsigned i = 0; i < w->args->n_workers; i++) {
		const struct jt_desk *d =
			&w->maps.board[w->args->first_desk + i];

		if (d == w->desk || !jt_load_seq(&d->paused) ||
		    jt_load_seq(&d->connections) > w->seats.n_open)
			continue;
		/* full counter: it has been woken more than enough */
		if (write(w->args->wakes[i], &one, sizeof(one)) < 0)
			continue;
	}
}

static void start_accept(struct worker *w)
{
	bool pause = !w->owes_accept && others_have_fewer(w);

	if (pause) {
		jt_store_seq(&w->desk->paused, 1);
		/* somebody may have caught up before he could see the mark */
		pause = others_have_fewer(w);
	}
	if (!pause)
		jt_store_seq(&w->desk->paused, 0);
	if (pause && w->accepting && !w->cancelling_accept) {
		w->cancelling_accept = true;
		jt_loop_cancel(&w->loop, w->args->listener,
			       jt_user(SLOT_WORKER, 0, JT_OP_CANCEL));
	}
	if (pause || w->accepting || w->stop_at_ns || w->leaving ||
	    w->now.boot_ns < w->rest_until_ns || waits(w))
		return;
	w->accepting = true;
	jt_loop_accept(&w->loop, w->args->listener,
		       jt_user(SLOT_WORKER, 0, JT_OP_ACCEPT));
}

static void refuse(struct worker *w, int fd, const char *busy)
{
	/* a fresh socket has room; if not, closing says enough */
	if (send(fd, busy, strlen(busy), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		errno = 0;
	close(fd);
	jt_count(&w->desk->busy, 1);
}

static void open_conn(struct worker *w, int fd)
{
	int rc = w->stop_at_ns ? JT_SEATS_E_FULL
			       : jt_seats_open(&w->seats, fd, w->now.boot_ns);

	if (!rc)
		wake_others(w);
	else if (rc == JT_SEATS_E_FULL)
		refuse(w, fd, "-BUSY too many connections; try again\r\n");
	else if (rc == JT_SEATS_E_PEER)
		refuse(w, fd,
		       "-BUSY too many connections of this user; try again"
		       "\r\n");
	else
		close(fd);
}

/* Connections of the daemon before, which others of ours want, too. */
static void take_from_queue(struct worker *w)
{
	struct jt_client client;
	bool greeted;
	int fd;

	if (w->queue < 0 || w->stop_at_ns || waits(w))
		return;
	for (unsigned i = 0; i < TAKE_MAX && w->seats.n_free; i++) {
		fd = jt_usher_receive(w->queue, &client, &greeted);
		if (fd == -EPIPE) {
			close(w->queue);
			w->queue = -1;
		}
		if (fd == -EPROTO)
			continue;
		if (fd < 0)
			return;
		if (jt_seats_take(&w->seats, fd, &client, greeted,
				  w->now.boot_ns))
			close(fd);
	}
}

static bool is_waiting(int listener)
{
	struct pollfd fd = {.fd = listener, .events = POLLIN};

	return poll(&fd, 1, 0) > 0;
}

/* A client waits and an accept is out: nobody was woken for it. */
static void look_for_forgotten(struct worker *w)
{
	if (!w->accepting || w->cancelling_accept ||
	    w->now.boot_ns - w->looked_ns < TICK_MS * 1000000ull)
		return;
	w->looked_ns = w->now.boot_ns;
	if (!is_waiting(w->args->listener))
		return;
	w->cancelling_accept = true;
	jt_loop_cancel(&w->loop, w->args->listener,
		       jt_user(SLOT_WORKER, 0, JT_OP_CANCEL));
}

static void on_accept(struct worker *w, int result)
{
	w->accepting = w->owes_accept = false;
	if (result >= 0)
		open_conn(w, result);
	else if (result == -ECANCELED)
		w->owes_accept = is_waiting(w->args->listener);
	else if (result != -ECONNABORTED && result != -EINTR &&
		 result != -EAGAIN)
		/* no descriptor, no memory, whatever: asking again at once
		 * would only spin */
		w->rest_until_ns = w->now.boot_ns + TICK_MS * 1000000ull;
}

/* ---- events ---- */

static void start_wake(struct worker *w)
{
	if (w->woken)
		return;
	w->woken = true;
	jt_loop_read(&w->loop, w->args->wakes[w->args->number], &w->wake_count,
		     sizeof(w->wake_count),
		     jt_user(SLOT_WORKER, 0, JT_OP_READ));
}

static void on_event(struct worker *w, const struct jt_event *e)
{
	if (e->slot != SLOT_WORKER) {
		jt_seats_event(&w->seats, e, w->now.boot_ns);
		return;
	}
	if (e->op == JT_OP_ACCEPT) {
		on_accept(w, e->result);
	} else if (e->op == JT_OP_CANCEL) {
		w->cancelling_accept = false;
	} else if (e->op == JT_OP_READ) {
		w->woken = false;
		if (e->result > 0)
			start_wake(w);
	}
}

/* ---- the drain ---- */

static void answer(struct worker *w)
{
	uint64_t n_verdicts;

	jt_seats_answer(&w->seats, w->round, w->now);
	n_verdicts = jt_round_verdicts(w->round);
	if (n_verdicts)
		jt_child_took(w->desk, n_verdicts,
			      jt_child_boot_ns() - w->now.boot_ns);
	jt_seats_start(&w->seats, w->now.boot_ns);
	if (w->refusals.n)
		jt_refusals_tell(&w->refusals, w->now.boot_ns);
}

static void sweep(struct worker *w)
{
	jt_child_figures_tell(&w->figures, w->desk, w->now.boot_ns);
	if (w->now.boot_ns < w->next_sweep_ns)
		return;
	w->next_sweep_ns = w->now.boot_ns + TICK_MS * 1000000ull;
	start_wake(w); /* if it ended with an error, no sooner than now */
	jt_seats_expire(&w->seats, w->now.boot_ns);
}

static void begin_stop(struct worker *w)
{
	w->stop_at_ns = w->now.boot_ns + STOP_NS;
	stop_accept(w);
	jt_seats_stop(&w->seats);
}

/* All at once, and those that could not go once more a little later. */
static void leave(struct worker *w)
{
	bool is = jt_crossing_leaves(&w->crossing);

	if ((!is && !w->leaving) || w->stop_at_ns ||
	    w->now.boot_ns < w->next_leave_ns)
		return;
	w->next_leave_ns = w->now.boot_ns + LEAVE_NS;
	w->leaving = is;
	if (is)
		stop_accept(w);
	if (!is || w->seats.nowhere) /* until there is another way */
		jt_crossing_stay(&w->crossing);
	jt_seats_leave(&w->seats, is, w->crossing.way_out);
}

static bool has_left(const struct worker *w)
{
	return w->leaving && w->crossing.way_out >= 0 && w->seats.n_open == 0 &&
	       !w->accepting;
}

static bool stopped(const struct worker *w)
{
	if (has_left(w))
		return true;
	return w->stop_at_ns &&
	       (w->seats.n_open == 0 || w->now.boot_ns >= w->stop_at_ns);
}

static unsigned patience_ms(const struct worker *w)
{
	if (jt_crossing_busy(&w->crossing) || w->leaving || w->queue >= 0)
		return 1;
	return w->seats.wake_at_ns ? JT_SEATS_REST_MS : TICK_MS;
}

static int serve(struct worker *w)
{
	struct jt_event events[EVENTS];
	unsigned n;
	int rc;

	while (!stopped(w)) {
		start_accept(w);
		rc = jt_loop_wait(&w->loop, patience_ms(w));
		if (rc)
			return rc;
		w->now = jt_child_now();
		jt_peers_follow(&w->peers);
		while ((n = jt_loop_take(&w->loop, events, EVENTS)))
			for (unsigned i = 0; i < n; i++)
				on_event(w, &events[i]);
		sweep(w);
		take_from_queue(w);
		leave(w);
		jt_seats_wake(&w->seats, w->now.boot_ns);
		look_for_forgotten(w);
		if (stop_asked && !w->stop_at_ns)
			begin_stop(w);
		jt_crossing_hurry(&w->crossing);
		answer(w);
		jt_crossing_look(&w->crossing);
		if (jt_crossing_is_lost(&w->crossing))
			return -ESTALE;
		jt_child_end_round(w->desk, w->now);
	}
	return 0;
}

/* ---- what commands may ask ---- */

static bool explain(void *ctx, const char id[JT_PUBLIC_BYTES],
		    const struct jt_ask *ask, struct jt_trace *trace)
{
	const struct worker *w = ctx;

	return jt_verify_id(&w->maps, id, ask, w->now, trace);
}

static void sum_stats(void *ctx, struct jt_stats *stats)
{
	const struct worker *w = ctx;

	jt_stats_sum(&w->maps,
		     (w->now.boot_ns - w->args->started_ns) / NS_PER_S, stats);
}

static unsigned sum_peers(void *ctx, struct jt_peer_row rows[JT_PEERS_MAX])
{
	const struct worker *w = ctx;

	return jt_peers_sum(&w->maps, rows);
}

static size_t list_clients(void *ctx, char *buf, size_t max)
{
	const struct worker *w = ctx;

	return jt_seats_list(&w->seats, w->now.boot_ns, buf, max);
}

/* ---- set-up ---- */

/* As many as files allow; a sixteenth more for those who have few. */
static int init_seats(struct worker *w)
{
	const struct jt_worker_args *args = w->args;
	struct jt_seats_want want = {
		.loop = &w->loop,
		.peers = &w->peers,
		.desk = w->desk,
		.number = args->first_desk + args->number,
		.idle_ns = args->idle_s * NS_PER_S,
	};
	unsigned kept = jt_worker_kept(args->connections_max);

	want.common = jt_child_cap_connections(args->connections_max, kept,
					       args->n_workers);
	want.kept = want.common > args->connections_max
			    ? want.common - args->connections_max
			    : jt_worker_kept(want.common);
	want.common -= want.kept;
	return jt_seats_init(&w->seats, &want);
}

static int init(struct worker *w, const struct jt_worker_args *args)
{
	size_t memo_bytes;
	void *memory;
	int rc;

	w->args = args;
	w->queue = args->queue;
	rc = jt_segment_map(&args->segments, &w->maps);
	if (rc)
		return rc;
	w->desk = &w->maps.board[args->first_desk + args->number];
	jt_crossing_init(&w->crossing, args->crossing, &w->maps, w->desk);
	jt_child_figures_open(&w->figures, w->desk);
	memo_bytes = jt_memo_bytes(w->maps.capacity);
	memory = jt_pages_reserve(memo_bytes);
	if (!memory || init_seats(w))
		return -ENOMEM;
	jt_memo_init(&w->memo, memory, memo_bytes);
	w->service = (struct jt_service){
		.ctx = w,
		.loading = is_loading,
		.stats = sum_stats,
		.why = explain,
		.clients = list_clients,
		.peers = sum_peers,
		.backend = jt_backend_name(args->backend),
	};
	jt_peers_init(&w->peers, &w->maps, args->first_desk + args->number);
	w->round = jt_round_new(&w->maps, &w->memo, w->desk, &w->peers,
				&w->service);
	w->now = jt_child_now();
	if (!w->round)
		return -ENOMEM;
	if (args->log_refusals)
		jt_round_watch(w->round, &w->refusals);
	return 0;
}

struct jt_loop_size jt_worker_loop_size(unsigned n, unsigned spin_us)
{
	return (struct jt_loop_size){
		/* receive, send and cancel of each connection; the worker's own
		 * accept, wake and cancels */
		.inflight = n * 3 + 8,
		.held = n,
		.spin_us = spin_us,
	};
}

/* What STATUS and metrics say about it. */
static void tell_backend(struct worker *w)
{
	enum jt_desk_backend told = JT_DESK_URING;

	if (jt_loop_backend(&w->loop) == JT_BACKEND_EPOLL)
		told = JT_DESK_EPOLL;
	else if (jt_loop_is_restricted(&w->loop))
		told = JT_DESK_URING_RESTRICTED;
	jt_store_relaxed(&w->desk->backend, told); /* relaxed: for people */
}

int jt_worker_run(const struct jt_worker_args *args)
{
	static struct worker w;
	struct sigaction term = {.sa_handler = on_term};
	struct jt_loop_size size;
	int rc = init(&w, args);

	if (rc) {
		jt_log(JT_LOG_ERROR, "worker %u cannot start: %s", args->number,
		       strerror(rc < 0 ? -rc : EPROTO));
		return 1;
	}
	sigaction(SIGTERM, &term, NULL);
	size = jt_worker_loop_size(w.seats.n_max, args->spin_us);
	rc = jt_loop_init(&w.loop, args->backend, &size);
	if (rc) {
		/* at first the others would only say the same */
		if (args->number == 0 || !args->first_crew)
			jt_log(JT_LOG_ERROR, "%s", jt_loop_why(rc));
		return JT_WORKER_NO_RING;
	}
	jt_loop_listen(args->listener);
	tell_backend(&w);
	jt_child_shut_in(args->box, JT_SANDBOX_WORKER, w.desk);
	/* the beat first: others believe nobody who has none */
	w.now = jt_child_now();
	jt_store_seq(&w.desk->beat_ns, w.now.boot_ns);
	jt_store_seq(&w.desk->state, JT_DESK_SERVING);
	rc = serve(&w);
	jt_loop_deinit(&w.loop);
	if (!rc)
		return JT_WORKER_STOPPED;
	jt_log(JT_LOG_ERROR, "worker %u lost its %s: %s", args->number,
	       rc == -ESTALE ? "table" : jt_backend_name(args->backend),
	       strerror(-rc));
	return 1;
}
