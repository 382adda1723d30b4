/*
 * conn: see conn.h.
 *
 * Leaving: a receive that is paused may still end with bytes; then they are
 * answered first. While the cancel is under way nothing is begun on the socket,
 * since it would be cancelled as well. A cancel may miss a receive that stays
 * under way all the same, so a pause that has come to nothing is begun anew
 * whenever it is told to leave once more.
 *
 * Closing, in this order, because a closed descriptor neither cancels nor ends
 * what is under way, and its number may be given out again: shut down and
 * cancel (one want), wait until receive, send and the cancel itself have
 * ended, then close. Cancel and target end in any order; "not found" is a
 * normal end of a cancel. A slot is free only after JT_WANT_CLOSE, and its
 * generation has then moved on, so that a late completion is recognised.
 */
#include "sidecar/conn.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define PIECE_BYTES 2048u

void jt_conn_open(struct jt_conn *c, int fd, uint64_t id, uint64_t now_ns)
{
	uint32_t generation = c->generation;
	uint8_t *in = c->in, *out = c->out;

	memset(c, 0, sizeof(*c));
	c->in = in;
	c->out = out;
	c->generation = generation;
	c->fd = fd;
	c->since_ns = now_ns;
	jt_client_init(&c->client, id, now_ns);
}

static bool transient(int result)
{
	return result == -EINTR || result == -EAGAIN;
}

void jt_conn_received(struct jt_conn *c, int result, uint64_t now_ns)
{
	bool paused = c->pausing && result == -ECANCELED;

	assert(c->receiving);
	c->receiving = c->pausing = false;
	if (c->end || paused || transient(result))
		return;
	if (result < 0) {
		jt_conn_abort(c, JT_END_CLIENT);
		return;
	}
	if (c->finish)
		return; /* nothing more is read: it came too late */
	assert((uint32_t)result <= JT_CONN_IN_BYTES - c->in_len);
	if (result == 0) {
		c->eof = true; /* what came before is still answered */
		return;
	}
	if (c->in_len == 0 && c->out_len == 0)
		c->since_ns = now_ns;
	c->in_len += (uint32_t)result;
	c->greeted = c->fed = true;
}

void jt_conn_sent(struct jt_conn *c, int result, uint64_t now_ns)
{
	assert(c->sending);
	c->sending = false;
	if (c->end || transient(result))
		return;
	if (result <= 0) {
		jt_conn_abort(c, JT_END_CLIENT);
		return;
	}
	assert((uint32_t)result <= c->out_len - c->out_sent);
	c->out_sent += (uint32_t)result;
	c->since_ns = now_ns;
	if (c->out_sent < c->out_len)
		return; /* a short send: the rest is wanted next */
	if (c->told)
		memset(c->out, 0, c->out_len);
	c->told = false;
	c->out_sent = c->out_len = 0;
}

void jt_conn_cancel_done(struct jt_conn *c)
{
	assert(c->cancelling);
	c->cancelling = false;
}

bool jt_conn_ready(const struct jt_conn *c)
{
	return c->fed && !c->receiving && c->out_len == 0 && !c->end;
}

void jt_conn_consumed(struct jt_conn *c, uint32_t n, bool more, uint64_t now_ns)
{
	assert(n <= c->in_len && !c->receiving);
	c->in_len -= n;
	if (n && c->in_len)
		memmove(c->in, c->in + n, c->in_len);
	/* values stood there; the bytes are in the cache, so this is cheap, and
	 * the next receive writes there, so it is not left out */
	if (n)
		memset(c->in + c->in_len, 0, n);
	if (n)
		c->since_ns = now_ns;
	c->fed = more && c->in_len > 0 && !c->finish;
}

void jt_conn_replied(struct jt_conn *c, uint32_t n, uint64_t now_ns)
{
	assert(n <= JT_CONN_OUT_BYTES - c->out_len);
	c->out_len += n;
	if (n)
		c->since_ns = now_ns;
}

void jt_conn_finish(struct jt_conn *c, enum jt_conn_end why)
{
	c->finish = why;
	c->fed = false;
}

void jt_conn_abort(struct jt_conn *c, enum jt_conn_end why)
{
	if (!c->end)
		c->end = why;
}

bool jt_conn_expire(struct jt_conn *c, uint64_t idle_ns, uint64_t now_ns)
{
	uint64_t waited_ns = now_ns > c->since_ns ? now_ns - c->since_ns : 0;
	uint64_t limit_ns = idle_ns ? idle_ns : UINT64_MAX;

	if (c->end)
		return false;
	if (c->out_len)
		limit_ns = JT_CONN_DRAIN_NS;
	else if (c->in_len)
		limit_ns = JT_CONN_REQUEST_NS;
	else if (!c->greeted)
		limit_ns = JT_CONN_FIRST_NS;
	if (waited_ns < limit_ns)
		return false;
	jt_conn_abort(c, JT_END_SLOW);
	return true;
}

uint32_t jt_conn_room(const struct jt_conn *c)
{
	uint32_t room = JT_CONN_IN_BYTES - c->in_len;

	return c->shut_out && room > PIECE_BYTES ? PIECE_BYTES : room;
}

void jt_conn_shut_out(struct jt_conn *c, bool is)
{
	c->shut_out = c->resting = is;
}

void jt_conn_wake(struct jt_conn *c)
{
	c->resting = false;
}

static unsigned wants_closing(struct jt_conn *c)
{
	if (!c->cancelled) {
		c->cancelled = c->cancelling = true;
		return JT_WANT_CANCEL;
	}
	if (c->receiving || c->sending || c->cancelling || c->closed)
		return 0;
	c->closed = true;
	c->generation++;
	return JT_WANT_CLOSE;
}

void jt_conn_leave(struct jt_conn *c, bool is)
{
	c->leaving = is;
	c->missed = c->pausing && !c->cancelling;
}

void jt_conn_left(struct jt_conn *c)
{
	assert(!c->receiving && !c->sending && !c->cancelling);
	c->closed = true;
	c->generation++;
}

static bool between_commands(const struct jt_conn *c)
{
	return !c->in_len && !c->out_len && !c->eof && !c->finish;
}

/* It is between two commands. */
static unsigned wants_leaving(struct jt_conn *c)
{
	if (!c->receiving)
		return JT_WANT_LEAVE;
	if (c->pausing && !c->missed)
		return 0;
	c->missed = false;
	c->pausing = c->cancelling = true;
	return JT_WANT_PAUSE;
}

unsigned jt_conn_wants(struct jt_conn *c)
{
	unsigned wants = 0;

	if (c->eof && !c->finish && !c->fed)
		c->finish = JT_END_CLIENT;
	if (c->finish && c->out_len == 0)
		jt_conn_abort(c, c->finish);
	if (c->cancelling && !c->cancelled)
		return 0; /* paused: it might hit what is begun now */
	if (c->end)
		return wants_closing(c);
	if (c->leaving && between_commands(c))
		return wants_leaving(c);
	if (c->out_sent < c->out_len && !c->sending) {
		c->sending = true;
		wants |= JT_WANT_SEND;
	}
	if (!c->receiving && !c->fed && !c->finish && !c->resting &&
	    c->in_len < JT_CONN_IN_BYTES) {
		c->receiving = true;
		wants |= JT_WANT_RECV;
	}
	return wants;
}
