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
#include "sidecar/round.h"
#include "sidecar/stats.h"
#include "sidecar/usher.h"
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 256u
#define TICK_MS JT_CHILD_TICK_MS
#define REST_MS 10u /* of who is shut out */
#define STALE_NS 1000000000ull
#define STOP_NS 2000000000ull
#define LEAVE_NS 1000000ull
#define TAKE_MAX 16u /* connections of the daemon before, in one drain */
#define TRIM_BYTES (64u * 1024u)
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
	struct jt_conn *conns;
	int *held; /* what the loop takes for a slot's descriptor */
	uint32_t *free_slots, n_free;
	uint32_t *touched, n_touched; /* to be asked what they want */
	uint8_t *is_touched;
	unsigned connections_max, n_open;
	uint64_t next_id;
	struct jt_now now;
	uint64_t next_sweep_ns, rest_until_ns, stop_at_ns;
	uint64_t wake_count;
	bool accepting, cancelling_accept;
	uint64_t wake_at_ns; /* who rests; 0: nobody does */
	bool owes_accept;    /* a wake-up for a client died with our accept */
	uint64_t looked_ns;  /* for clients whose wake-up died with others */
	bool woken;	     /* the wake-up read is under way */
	int queue;	     /* of the daemon before, -1: none (any more) */
	bool leaving;	     /* the next daemon serves */
	uint64_t next_leave_ns;
};

/* the one word that C lets a signal handler write */
static volatile sig_atomic_t stop_asked;

static void on_term(int sig)
{
	stop_asked = 1;
}

static void touch(struct worker *w, uint32_t slot)
{
	if (w->is_touched[slot])
		return;
	w->is_touched[slot] = 1;
	w->touched[w->n_touched++] = slot;
}

/* ---- accepting ---- */

/* Has that worker begun a drain lately? A beat from the future is a lie. */
static bool is_beating(const struct worker *w, const struct jt_desk *d)
{
	uint64_t beat_ns = jt_load_seq(&d->beat_ns), now_ns = w->now.boot_ns;

	return beat_ns < now_ns + STALE_NS && now_ns < beat_ns + STALE_NS;
}

static bool others_have_fewer(const struct worker *w)
{
	for (unsigned i = 0; i < w->args->n_workers; i++) {
		const struct jt_desk *d =
			&w->maps.board[w->args->first_desk + i];

		if (d != w->desk && jt_load_seq(&d->state) == JT_DESK_SERVING &&
		    jt_load_seq(&d->connections) < w->n_open &&
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
		    jt_load_seq(&d->connections) > w->n_open)
			continue;
		/* full counter: it has been woken more than enough */
		if (write(w->args->wakes[i], &one, sizeof(one)) < 0)
			continue;
	}
}

static void count_connections(struct worker *w)
{
	jt_store_seq(&w->desk->connections, w->n_open);
}

static bool is_loading(void *ctx)
{
	const struct worker *w = ctx;

	/* pairs with the keeper's store when the journal is replayed */
	return jt_load_acquire(&w->maps.identity->state) != JT_IDENTITY_SERVING;
}

/* Another daemon's crew serves until we can. */
static bool waits(const struct worker *w)
{
	return w->args->waits && is_loading((void *)(uintptr_t)w);
}

static void stop_accept(struct worker *w)
{
	jt_store_seq(&w->desk->paused, 0);
	if (w->accepting && !w->cancelling_accept)
		jt_loop_cancel(&w->loop, w->args->listener,
			       jt_user(SLOT_WORKER, 0, JT_OP_CANCEL));
	w->cancelling_accept |= w->accepting;
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

static uint32_t seat(struct worker *w, int fd, const struct jt_caller *caller)
{
	uint32_t slot = w->free_slots[--w->n_free];

	/* unique over all workers: number in the upper bits */
	jt_conn_open(&w->conns[slot], fd,
		     ((uint64_t)(w->args->first_desk + w->args->number) << 40) +
			     ++w->next_id,
		     w->now.boot_ns);
	w->conns[slot].caller = *caller;
	w->held[slot] = jt_loop_hold(&w->loop, slot, fd);
	w->n_open++;
	count_connections(w);
	touch(w, slot);
	return slot;
}

static void open_conn(struct worker *w, int fd)
{
	struct jt_caller caller;
	int rc;

	if (!w->n_free || w->stop_at_ns) {
		refuse(w, fd, "-BUSY too many connections; try again\r\n");
		return;
	}
	/* also shows that the kernel gave us a real, connected socket */
	rc = jt_peers_join(&w->peers, fd, &caller);
	if (rc < 0) {
		close(fd);
		return;
	}
	if (rc) {
		refuse(w, fd,
		       "-BUSY too many connections of this user; try again"
		       "\r\n");
		return;
	}
	seat(w, fd, &caller);
	jt_count(&w->desk->accepted, 1);
	wake_others(w);
}

/* Connections of the daemon before, which others of ours want, too. */
static void take_from_queue(struct worker *w)
{
	struct jt_client client;
	struct jt_caller caller;
	struct jt_conn *c;
	bool greeted;
	int fd;

	if (w->queue < 0 || waits(w))
		return;
	for (unsigned i = 0; i < TAKE_MAX && w->n_free; i++) {
		fd = jt_usher_receive(w->queue, &client, &greeted);
		if (fd == -EPIPE) {
			close(w->queue);
			w->queue = -1;
		}
		if (fd == -EPROTO)
			continue;
		if (fd < 0)
			return;
		if (jt_peers_admit(&w->peers, fd, &caller)) {
			close(fd);
			continue;
		}
		c = &w->conns[seat(w, fd, &caller)];
		c->client = client;
		c->greeted = greeted;
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
	else if (result != -ECONNABORTED && result != -EINTR)
		/* no descriptor, no memory, whatever: asking again at once
		 * would only spin */
		w->rest_until_ns = w->now.boot_ns + TICK_MS * 1000000ull;
}

/* ---- connections ---- */

static void count_end(struct worker *w, enum jt_conn_end end)
{
	if (end == JT_END_SLOW)
		jt_count(&w->desk->slow, 1);
	else if (end == JT_END_PROTOCOL)
		jt_count(&w->desk->broken, 1);
}

static void free_seat(struct worker *w, uint32_t slot)
{
	struct jt_conn *c = &w->conns[slot];

	jt_peers_leave(&w->peers, &c->caller);
	jt_loop_let(&w->loop, slot);
	close(c->fd);
	c->fd = -1;
	/* memory goes back, and tokens do not linger in it */
	madvise(c->in, JT_CONN_IN_BYTES, MADV_DONTNEED);
	madvise(c->out, JT_CONN_OUT_BYTES, MADV_DONTNEED);
	w->free_slots[w->n_free++] = slot;
	w->n_open--;
	count_connections(w);
}

/* To the next daemon, whose it is then. */
static void hand_over(struct worker *w, uint32_t slot)
{
	struct jt_conn *c = &w->conns[slot];
	int rc = -EAGAIN;

	if (w->crossing.way_out >= 0)
		rc = jt_usher_send(w->crossing.way_out, c->fd, &c->client,
				   c->greeted);
	if (!rc) {
		jt_conn_left(c);
		free_seat(w, slot);
	} else if (rc != -EAGAIN) {
		jt_conn_leave(c, false); /* nobody is there: it stays */
		touch(w, slot);
	}
}

static void start_wants(struct worker *w, uint32_t slot)
{
	struct jt_conn *c = &w->conns[slot];
	unsigned wants = jt_conn_wants(c);
	uint32_t gen = c->generation;

	/* a rare large request gives its memory back once it is answered */
	if (c->bulky && c->in_len == 0) {
		madvise(c->in + TRIM_BYTES, JT_CONN_IN_BYTES - TRIM_BYTES,
			MADV_DONTNEED);
		c->bulky = false;
	}

	if (c->resting && !w->wake_at_ns)
		w->wake_at_ns = w->now.boot_ns + REST_MS * 1000000ull;
	if (wants & JT_WANT_CANCEL) {
		shutdown(c->fd, SHUT_RDWR);
		jt_loop_cancel(&w->loop, c->fd,
			       jt_user(slot, gen, JT_OP_CANCEL));
	}
	if (wants & JT_WANT_SEND)
		jt_loop_send(&w->loop, w->held[slot], c->out + c->out_sent,
			     c->out_len - c->out_sent,
			     jt_user(slot, gen, JT_OP_SEND));
	if (wants & JT_WANT_RECV)
		jt_loop_recv(&w->loop, w->held[slot], c->in + c->in_len,
			     jt_conn_room(c), jt_user(slot, gen, JT_OP_RECV));
	if (wants & JT_WANT_PAUSE)
		jt_loop_cancel(&w->loop, c->fd,
			       jt_user(slot, gen, JT_OP_CANCEL));
	if (wants & JT_WANT_LEAVE)
		hand_over(w, slot);
	if (wants & JT_WANT_CLOSE) {
		count_end(w, c->end);
		free_seat(w, slot);
	}
}

static void on_sent(struct worker *w, struct jt_conn *c, int result)
{
	uint32_t len = c->out_len;

	jt_conn_sent(c, result, w->now.boot_ns);
	if (result > 0)
		jt_count(&w->desk->bytes_out, (uint64_t)result);
	/* a rare large reply gives its memory back once it is out */
	if (len > TRIM_BYTES && c->out_len == 0)
		madvise(c->out + TRIM_BYTES, JT_CONN_OUT_BYTES - TRIM_BYTES,
			MADV_DONTNEED);
}

static void on_conn_event(struct worker *w, const struct jt_event *e)
{
	struct jt_conn *c;

	/* a slot's former tenant: its slot was freed only after all its
	 * operations had ended, so this is never met; dropped all the same */
	if (e->slot >= w->connections_max ||
	    w->conns[e->slot].generation != e->generation)
		return;
	c = &w->conns[e->slot];
	switch (e->op) {
	case JT_OP_RECV:
		if (e->result > 0)
			jt_count(&w->desk->bytes_in, (uint64_t)e->result);
		jt_conn_received(c, e->result, w->now.boot_ns);
		c->bulky |= c->in_len > TRIM_BYTES;
		break;
	case JT_OP_SEND:
		on_sent(w, c, e->result);
		break;
	case JT_OP_CANCEL:
		jt_conn_cancel_done(c);
		break;
	case JT_OP_ACCEPT:
	case JT_OP_READ:
		return;
	}
	touch(w, e->slot);
}

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
		on_conn_event(w, e);
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

/* One that is touched again meanwhile is for the next time. */
static void start_touched(struct worker *w)
{
	uint32_t n = w->n_touched;

	for (uint32_t i = 0; i < n; i++) {
		w->is_touched[w->touched[i]] = 0;
		start_wants(w, w->touched[i]);
	}
	w->n_touched -= n;
	memmove(w->touched, w->touched + n,
		w->n_touched * sizeof(w->touched[0]));
}

static void answer(struct worker *w)
{
	uint64_t n_verdicts;

	jt_round_begin(w->round, w->now);
	for (uint32_t i = 0; i < w->n_touched; i++) {
		struct jt_conn *c = &w->conns[w->touched[i]];

		if (jt_conn_ready(c) && jt_round_take(w->round, c))
			jt_round_flush(w->round);
	}
	jt_round_flush(w->round);
	n_verdicts = jt_round_verdicts(w->round);
	if (n_verdicts)
		jt_child_took(w->desk, n_verdicts,
			      jt_child_boot_ns() - w->now.boot_ns);
	start_touched(w);
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
	for (uint32_t i = 0; i < w->connections_max; i++)
		if (w->conns[i].fd >= 0 &&
		    jt_conn_expire(&w->conns[i], w->now.boot_ns))
			touch(w, i);
}

/* All at once: a rest is at most REST_MS, and shorter for who came later. */
static void wake_resting(struct worker *w)
{
	if (!w->wake_at_ns || w->now.boot_ns < w->wake_at_ns)
		return;
	w->wake_at_ns = 0;
	for (uint32_t i = 0; i < w->connections_max; i++) {
		if (w->conns[i].fd < 0 || !w->conns[i].resting)
			continue;
		jt_conn_wake(&w->conns[i]);
		touch(w, i);
	}
}

static void begin_stop(struct worker *w)
{
	w->stop_at_ns = w->now.boot_ns + STOP_NS;
	stop_accept(w);
	for (uint32_t i = 0; i < w->connections_max; i++) {
		struct jt_conn *c = &w->conns[i];

		if (c->fd < 0)
			continue;
		if (c->out_len)
			jt_conn_finish(c, JT_END_STOP);
		else
			jt_conn_abort(c, JT_END_STOP);
		touch(w, i);
	}
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
	else
		jt_crossing_stay(&w->crossing);
	for (uint32_t i = 0; i < w->connections_max; i++) {
		if (w->conns[i].fd < 0)
			continue;
		jt_conn_leave(&w->conns[i], is);
		touch(w, i);
	}
}

static bool has_left(const struct worker *w)
{
	return w->leaving && w->crossing.way_out >= 0 && w->n_open == 0 &&
	       !w->accepting;
}

static bool stopped(const struct worker *w)
{
	if (has_left(w))
		return true;
	return w->stop_at_ns &&
	       (w->n_open == 0 || w->now.boot_ns >= w->stop_at_ns);
}

static unsigned patience_ms(const struct worker *w)
{
	if (jt_crossing_busy(&w->crossing) || w->leaving || w->queue >= 0)
		return 1;
	return w->wake_at_ns ? REST_MS : TICK_MS;
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
		wake_resting(w);
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
	size_t len = 0;

	for (uint32_t i = 0; i < w->connections_max; i++) {
		const struct jt_conn *c = &w->conns[i];
		size_t n;

		if (c->fd < 0)
			continue;
		n = jt_client_line(&c->client, "NULL", w->now.boot_ns,
				   buf + len, max - len);
		if (!n)
			break;
		len += n;
	}
	return len;
}

/* ---- set-up ---- */

static int init_conns(struct worker *w)
{
	unsigned n = w->connections_max;
	uint8_t *in = jt_child_reserve((size_t)n * JT_CONN_IN_BYTES);
	uint8_t *out = jt_child_reserve((size_t)n * JT_CONN_OUT_BYTES);

	w->conns = calloc(n, sizeof(*w->conns));
	w->held = calloc(n, sizeof(*w->held));
	w->free_slots = calloc(n, sizeof(*w->free_slots));
	w->touched = calloc(2 * (size_t)n, sizeof(*w->touched));
	w->is_touched = calloc(n, 1);
	if (!in || !out || !w->conns || !w->held || !w->free_slots ||
	    !w->touched || !w->is_touched)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++) {
		w->conns[i].fd = -1;
		w->conns[i].in = in + (size_t)i * JT_CONN_IN_BYTES;
		w->conns[i].out = out + (size_t)i * JT_CONN_OUT_BYTES;
		w->free_slots[n - 1 - i] = i;
	}
	w->n_free = n;
	return 0;
}

static int init(struct worker *w, const struct jt_worker_args *args)
{
	size_t memo_bytes;
	void *memory;
	int rc;

	w->args = args;
	w->queue = args->queue;
	w->connections_max = jt_child_cap_connections(args->connections_max,
						      args->n_workers);
	rc = jt_segment_map(&args->segments, &w->maps);
	if (rc)
		return rc;
	w->desk = &w->maps.board[args->first_desk + args->number];
	jt_crossing_init(&w->crossing, args->crossing, &w->maps, w->desk);
	jt_child_figures_open(&w->figures, w->desk);
	memo_bytes = jt_memo_bytes(w->maps.capacity);
	memory = jt_pages_reserve(memo_bytes);
	if (!memory || init_conns(w))
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

struct jt_loop_size jt_worker_loop_size(unsigned connections_max,
					unsigned spin_us)
{
	return (struct jt_loop_size){
		/* receive, send and cancel of each connection; the worker's own
		 * accept, wake and cancels */
		.inflight = connections_max * 3 + 8,
		.held = connections_max,
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
	size = jt_worker_loop_size(w.connections_max, args->spin_us);
	rc = jt_loop_init(&w.loop, args->backend, &size);
	if (rc) {
		/* at first the others would only say the same */
		if (args->number == 0 || !args->first_crew)
			jt_log(JT_LOG_ERROR, "%s", jt_loop_why(rc));
		return JT_WORKER_NO_RING;
	}
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
