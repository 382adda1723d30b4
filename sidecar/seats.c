/*
 * seats: see seats.h.
 *
 * A slot is taken from the free ones by seat() and given back by free_seat()
 * alone, which comes when nothing is under way on it any more: not its receive,
 * its send or its cancel. Until then its descriptor stays open, its buffers are
 * the kernel's, and nobody else can have its number.
 *
 * An event is believed only if it bears the slot's present generation and that
 * operation is under way. By the loop's contract anything else never comes: a
 * slot is freed after all its operations ended, and each ends once. It is
 * dropped all the same, since a kernel has been wrong before.
 *
 * Whoever was touched by an event, a deadline or a wake-up is asked once a
 * drain what it wants: so the work of a drain is bounded by what ended in it.
 *
 * Places. One user's clients get `common` of them, and a few more are kept for
 * whoever has less than half of what is open, so that one who takes all that
 * can be had does not shut out the others.
 */
#include "sidecar/seats.h"

#include "sidecar/child.h"
#include "sidecar/usher.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define TRIM_BYTES (64u * 1024u)

static void touch(struct jt_seats *s, uint32_t slot)
{
	if (s->is_touched[slot])
		return;
	s->is_touched[slot] = 1;
	s->touched[s->n_touched++] = slot;
}

/* ---- coming and going ---- */

static void count_connections(struct jt_seats *s)
{
	/* pairs with the loads of workers that compare themselves */
	jt_store_seq(&s->want.desk->connections, s->n_open);
}

/* Only kept places are left, and these are not for CALLER? */
static bool is_greedy(const struct jt_seats *s, const struct jt_caller *caller)
{
	/* relaxed: our own word; it counts the new one, too */
	uint64_t n = jt_load_relaxed(
		&s->want.peers->calls[caller->number].connections);

	return s->n_open >= s->want.common && 2 * (n - 1) > s->n_open;
}

static struct jt_conn *seat(struct jt_seats *s, int fd,
			    const struct jt_caller *caller, uint64_t now_ns)
{
	uint32_t slot = s->free_slots[--s->n_free];

	/* unique over all workers: number in the upper bits */
	jt_conn_open(&s->conns[slot], fd,
		     ((uint64_t)s->want.number << 40) + ++s->next_id, now_ns);
	s->conns[slot].caller = *caller;
	s->held[slot] = jt_loop_hold(s->want.loop, slot, fd);
	s->n_open++;
	count_connections(s);
	touch(s, slot);
	return &s->conns[slot];
}

int jt_seats_open(struct jt_seats *s, int fd, uint64_t now_ns)
{
	struct jt_caller caller;
	int rc;

	if (!s->n_free)
		return JT_SEATS_E_FULL;
	/* also shows that the kernel gave us a real, connected socket */
	rc = jt_peers_join(s->want.peers, fd, &caller);
	if (rc)
		return rc < 0 ? rc : JT_SEATS_E_PEER;
	if (is_greedy(s, &caller)) {
		jt_peers_leave(s->want.peers, &caller);
		return JT_SEATS_E_FULL;
	}
	seat(s, fd, &caller, now_ns);
	jt_count(&s->want.desk->accepted, 1);
	return 0;
}

int jt_seats_take(struct jt_seats *s, int fd, const struct jt_client *client,
		  bool greeted, uint64_t now_ns)
{
	struct jt_caller caller;
	struct jt_conn *c;
	int rc;

	if (!s->n_free)
		return JT_SEATS_E_FULL;
	rc = jt_peers_admit(s->want.peers, fd, &caller);
	if (rc)
		return rc;
	c = seat(s, fd, &caller, now_ns);
	c->client = *client;
	c->greeted = greeted;
	return 0;
}

static void count_end(struct jt_seats *s, enum jt_conn_end end)
{
	if (end == JT_END_SLOW)
		jt_count(&s->want.desk->slow, 1);
	else if (end == JT_END_PROTOCOL)
		jt_count(&s->want.desk->broken, 1);
}

static void free_seat(struct jt_seats *s, uint32_t slot)
{
	struct jt_conn *c = &s->conns[slot];

	jt_peers_leave(s->want.peers, &c->caller);
	jt_loop_let(s->want.loop, slot);
	close(c->fd);
	c->fd = -1;
	/* memory goes back, and tokens do not linger in it */
	madvise(c->in, JT_CONN_IN_BYTES, MADV_DONTNEED);
	madvise(c->out, JT_CONN_OUT_BYTES, MADV_DONTNEED);
	s->free_slots[s->n_free++] = slot;
	s->n_open--;
	count_connections(s);
}

/* To the next daemon, whose it is then. */
static void hand_over(struct jt_seats *s, uint32_t slot)
{
	struct jt_conn *c = &s->conns[slot];
	int rc = -EAGAIN;

	if (s->way_out >= 0)
		rc = jt_usher_send(s->way_out, c->fd, &c->client, c->greeted);
	if (!rc) {
		jt_conn_left(c);
		free_seat(s, slot);
	} else if (rc != -EAGAIN) {
		jt_conn_leave(c, false); /* nobody is there: it stays */
		s->nowhere = true;
		touch(s, slot);
	}
}

static void start_wants(struct jt_seats *s, uint32_t slot, uint64_t now_ns)
{
	struct jt_conn *c = &s->conns[slot];
	unsigned wants = jt_conn_wants(c);
	uint32_t gen = c->generation;

	/* a rare large request gives its memory back once it is answered */
	if (c->bulky && c->in_len == 0) {
		madvise(c->in + TRIM_BYTES, JT_CONN_IN_BYTES - TRIM_BYTES,
			MADV_DONTNEED);
		c->bulky = false;
	}

	if (c->resting && !s->wake_at_ns)
		s->wake_at_ns = now_ns + JT_SEATS_REST_MS * 1000000ull;
	if (wants & JT_WANT_CANCEL) {
		shutdown(c->fd, SHUT_RDWR);
		jt_loop_cancel(s->want.loop, c->fd,
			       jt_user(slot, gen, JT_OP_CANCEL));
	}
	if (wants & JT_WANT_SEND)
		jt_loop_send(s->want.loop, s->held[slot], c->out + c->out_sent,
			     c->out_len - c->out_sent,
			     jt_user(slot, gen, JT_OP_SEND));
	if (wants & JT_WANT_RECV)
		jt_loop_recv(s->want.loop, s->held[slot], c->in + c->in_len,
			     jt_conn_room(c), jt_user(slot, gen, JT_OP_RECV));
	if (wants & JT_WANT_PAUSE)
		jt_loop_cancel(s->want.loop, c->fd,
			       jt_user(slot, gen, JT_OP_CANCEL));
	if (wants & JT_WANT_LEAVE)
		hand_over(s, slot);
	if (wants & JT_WANT_CLOSE) {
		count_end(s, c->end);
		free_seat(s, slot);
	}
}

/* ---- what ended ---- */

static void on_received(struct jt_seats *s, struct jt_conn *c, int result,
			uint64_t now_ns)
{
	if (result > 0)
		jt_count(&s->want.desk->bytes_in, (uint64_t)result);
	jt_conn_received(c, result, now_ns);
	c->bulky |= c->in_len > TRIM_BYTES;
}

static void on_sent(struct jt_seats *s, struct jt_conn *c, int result,
		    uint64_t now_ns)
{
	uint32_t len = c->out_len;

	jt_conn_sent(c, result, now_ns);
	if (result > 0)
		jt_count(&s->want.desk->bytes_out, (uint64_t)result);
	/* a rare large reply gives its memory back once it is out */
	if (len > TRIM_BYTES && c->out_len == 0)
		madvise(c->out + TRIM_BYTES, JT_CONN_OUT_BYTES - TRIM_BYTES,
			MADV_DONTNEED);
}

static bool is_under_way(const struct jt_conn *c, enum jt_op op)
{
	switch (op) {
	case JT_OP_RECV:
		return c->receiving;
	case JT_OP_SEND:
		return c->sending;
	case JT_OP_CANCEL:
		return c->cancelling;
	case JT_OP_ACCEPT:
	case JT_OP_READ:
		break;
	}
	return false;
}

void jt_seats_event(struct jt_seats *s, const struct jt_event *e,
		    uint64_t now_ns)
{
	struct jt_conn *c;

	if (e->slot >= s->n_max)
		return;
	c = &s->conns[e->slot];
	if (c->generation != e->generation || !is_under_way(c, e->op))
		return;
	if (e->op == JT_OP_RECV)
		on_received(s, c, e->result, now_ns);
	else if (e->op == JT_OP_SEND)
		on_sent(s, c, e->result, now_ns);
	else
		jt_conn_cancel_done(c);
	touch(s, e->slot);
}

/* ---- deadlines ---- */

void jt_seats_expire(struct jt_seats *s, uint64_t now_ns)
{
	for (uint32_t i = 0; i < s->n_max; i++)
		if (s->conns[i].fd >= 0 &&
		    jt_conn_expire(&s->conns[i], s->want.idle_ns, now_ns))
			touch(s, i);
}

/* All at once: a rest is at most JT_SEATS_REST_MS, and shorter for who came
 * later. */
void jt_seats_wake(struct jt_seats *s, uint64_t now_ns)
{
	if (!s->wake_at_ns || now_ns < s->wake_at_ns)
		return;
	s->wake_at_ns = 0;
	for (uint32_t i = 0; i < s->n_max; i++) {
		if (s->conns[i].fd < 0 || !s->conns[i].resting)
			continue;
		jt_conn_wake(&s->conns[i]);
		touch(s, i);
	}
}

void jt_seats_leave(struct jt_seats *s, bool is, int way_out)
{
	s->way_out = way_out;
	s->nowhere = false;
	for (uint32_t i = 0; i < s->n_max; i++) {
		if (s->conns[i].fd < 0)
			continue;
		jt_conn_leave(&s->conns[i], is);
		touch(s, i);
	}
}

void jt_seats_stop(struct jt_seats *s)
{
	for (uint32_t i = 0; i < s->n_max; i++) {
		struct jt_conn *c = &s->conns[i];

		if (c->fd < 0)
			continue;
		if (c->out_len)
			jt_conn_finish(c, JT_END_STOP);
		else
			jt_conn_abort(c, JT_END_STOP);
		touch(s, i);
	}
}

/* ---- a drain's end ---- */

void jt_seats_answer(struct jt_seats *s, struct jt_round *round,
		     struct jt_now now)
{
	jt_round_begin(round, now);
	for (uint32_t i = 0; i < s->n_touched; i++) {
		struct jt_conn *c = &s->conns[s->touched[i]];

		if (jt_conn_ready(c) && jt_round_take(round, c))
			jt_round_flush(round);
	}
	jt_round_flush(round);
}

void jt_seats_start(struct jt_seats *s, uint64_t now_ns)
{
	uint32_t n = s->n_touched;

	/* one that is touched again meanwhile is for the next time */
	for (uint32_t i = 0; i < n; i++) {
		s->is_touched[s->touched[i]] = 0;
		start_wants(s, s->touched[i], now_ns);
	}
	s->n_touched -= n;
	memmove(s->touched, s->touched + n,
		s->n_touched * sizeof(s->touched[0]));
}

size_t jt_seats_list(const struct jt_seats *s, uint64_t now_ns, char *buf,
		     size_t max)
{
	size_t len = 0;

	for (uint32_t i = 0; i < s->n_max; i++) {
		const struct jt_conn *c = &s->conns[i];
		size_t n;

		if (c->fd < 0)
			continue;
		n = jt_client_line(&c->client, "NULL", now_ns, buf + len,
				   max - len);
		if (!n)
			break;
		len += n;
	}
	return len;
}

/* ---- set-up ---- */

int jt_seats_init(struct jt_seats *s, const struct jt_seats_want *want)
{
	unsigned n = want->common + want->kept;
	uint8_t *in = jt_child_reserve((size_t)n * JT_CONN_IN_BYTES);
	uint8_t *out = jt_child_reserve((size_t)n * JT_CONN_OUT_BYTES);

	memset(s, 0, sizeof(*s));
	s->want = *want;
	s->way_out = -1;
	s->conns = calloc(n, sizeof(*s->conns));
	s->held = calloc(n, sizeof(*s->held));
	s->free_slots = calloc(n, sizeof(*s->free_slots));
	s->touched = calloc(2 * (size_t)n, sizeof(*s->touched));
	s->is_touched = calloc(n, 1);
	if (!in || !out || !s->conns || !s->held || !s->free_slots ||
	    !s->touched || !s->is_touched)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++) {
		s->conns[i].fd = -1;
		s->conns[i].in = in + (size_t)i * JT_CONN_IN_BYTES;
		s->conns[i].out = out + (size_t)i * JT_CONN_OUT_BYTES;
		s->free_slots[n - 1 - i] = i;
	}
	s->n_free = s->n_max = n;
	return 0;
}
