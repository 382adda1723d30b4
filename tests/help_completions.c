/*
 * help_completions: see the header.
 *
 * The fake loop keeps the contract of loop.h and nothing more: an operation
 * ends once, a cancel and its targets in any order, each with any result that
 * its call may have. Beyond the contract it repeats ends of operations that are
 * over, and ends of former tenants, which must change nothing.
 *
 * What is asserted:
 *   - of a connection at most one receive, one send and one cancel is under
 *     way, in its own buffers, on its own descriptor
 *   - a place is let go of when nothing is under way on it; its descriptor is
 *     closed then, once, and no other one ever
 *   - bytes sent are the next of what that peer is to be sent
 *   - a drain starts at most three operations for what it was touched by
 *   - in the end no place, descriptor, count or operation is left
 */
#include "tests/help_completions.h"

#include "sidecar/seats.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define COMMON 6u
#define KEPT 1u
#define PLACES (COMMON + KEPT)
#define KINDS 3u /* receive, send, cancel */
#define NS_PER_MS 1000000ull
#define REQUEST 37u /* bytes of one ECHO */
#define REPLY 23u
#define STEPS 4096u

struct pending {
	bool is;
	uint64_t user;
	uint8_t *at;
	size_t bytes;
	uint8_t copy[64]; /* of what is sent, so far */
};

/* Who is in a place. */
struct peer {
	int fd; /* -1: nobody */
	ino_t inode;
	uint64_t nonce;
	uint64_t typed, heard; /* bytes */
	bool is_wild;	       /* it sent garbage */
	struct pending pending[KINDS];
};

struct fake {
	struct jt_loop loop;
	struct jt_seats seats;
	struct jt_desk desk;
	struct jt_peers peers;
	struct jt_maps maps;
	struct jt_service service;
	struct jt_round *round;
	struct peer at[PLACES];
	uint64_t over[64]; /* user_data of operations that ended */
	unsigned n_over;
	unsigned n_asked; /* operations of this drain */
	uint64_t nonces;
	struct jt_now now;
	const uint8_t *data;
	size_t left;
	struct help_completions *done;
};

static struct fake f;

/* 0 when there are no more. */
static unsigned byte(void)
{
	if (!f.left)
		return 0;
	f.left--;
	return *f.data++;
}

/* ---- the loop ---- */

static int hold(void *state, uint32_t place, int fd)
{
	assert(place < PLACES && f.at[place].fd < 0);
	f.at[place].fd = fd;
	return ~(int)place;
}

static void let(void *state, uint32_t place)
{
	assert(place < PLACES && f.at[place].fd >= 0);
	for (unsigned i = 0; i < KINDS; i++)
		assert(!f.at[place].pending[i].is);
	f.at[place].fd = -1;
	f.done->closed++;
}

static struct pending *begin(uint32_t place, unsigned kind, uint64_t user)
{
	struct peer *p;

	assert(place < PLACES);
	p = &f.at[place];
	assert(p->fd >= 0 && !p->pending[kind].is);
	assert((uint32_t)(user >> 40) == place);
	p->pending[kind] = (struct pending){.is = true, .user = user};
	f.n_asked++;
	return &p->pending[kind];
}

static void ask_recv(void *state, int held, void *buf, size_t bytes,
		     uint64_t user)
{
	struct pending *o = begin(~(uint32_t)held, 0, user);
	const struct jt_conn *c = &f.seats.conns[~held];

	assert(bytes > 0 && (uint8_t *)buf >= c->in &&
	       (uint8_t *)buf + bytes <= c->in + JT_CONN_IN_BYTES);
	o->at = buf;
	o->bytes = bytes;
}

static void ask_send(void *state, int held, const void *buf, size_t bytes,
		     uint64_t user)
{
	struct pending *o = begin(~(uint32_t)held, 1, user);
	const struct jt_conn *c = &f.seats.conns[~held];

	assert(bytes > 0 && (const uint8_t *)buf >= c->out &&
	       (const uint8_t *)buf + bytes <= c->out + JT_CONN_OUT_BYTES);
	o->at = c->out + ((const uint8_t *)buf - c->out);
	o->bytes = bytes;
	memcpy(o->copy, buf, bytes < 64 ? bytes : 64);
}

static void ask_cancel(void *state, int fd, uint64_t user)
{
	uint32_t place = (uint32_t)(user >> 40);

	begin(place, 2, user);
	assert(f.at[place].fd == fd);
}

static void ask_nothing(void *state, int fd, uint64_t user)
{
	abort(); /* seats do not accept */
}

static const struct jt_loop_ops ops = {
	.hold = hold,
	.let = let,
	.accept = ask_nothing,
	.recv = ask_recv,
	.send = ask_send,
	.cancel = ask_cancel,
};

/* ---- peers ---- */

static void request_of(const struct peer *p, char text[REQUEST + 1])
{
	snprintf(text, REQUEST + 1,
		 "*2\r\n$4\r\nECHO\r\n$16\r\n%016" PRIx64 "\r\n", p->nonce);
}

static void reply_of(const struct peer *p, char text[REPLY + 1])
{
	snprintf(text, REPLY + 1, "$16\r\n%016" PRIx64 "\r\n", p->nonce);
}

static void type_bytes(struct peer *p, uint8_t *at, size_t n)
{
	char text[REQUEST + 1];

	request_of(p, text);
	for (size_t i = 0; i < n; i++)
		at[i] = (uint8_t)text[(p->typed + i) % REQUEST];
	p->typed += n;
}

/* N bytes went out: they are this peer's. */
static void hear(struct peer *p, const struct pending *o, size_t n)
{
	char text[REPLY + 1];

	assert(!memcmp(o->at, o->copy, o->bytes < 64 ? o->bytes : 64));
	reply_of(p, text);
	for (size_t i = 0; i < n && !p->is_wild; i++)
		assert(o->at[i] == (uint8_t)text[(p->heard + i) % REPLY]);
	f.done->replies += n / REPLY;
	f.done->cut_short += n < o->bytes;
	p->heard += n;
	/* never more than was asked for */
	assert(p->is_wild || p->heard / REPLY <= p->typed / REQUEST);
}

/* ---- what happens ---- */

static int error_of(unsigned b)
{
	static const int errors[] = {
		ECANCELED, ECONNRESET, EPIPE, EINTR,	EAGAIN, ENOBUFS,
		EBADF,	   ENOMEM,     EBUSY, EALREADY, ENOENT, EIO,
	};

	return -errors[b % (sizeof(errors) / sizeof(errors[0]))];
}

static void tell(uint64_t user, int result)
{
	struct jt_event e = jt_event_of(user, result);

	jt_seats_event(&f.seats, &e, f.now.boot_ns);
}

static int receive(struct peer *p, struct pending *o, unsigned how)
{
	size_t n = how % 3 == 0 ? 1 + byte() % 4 : 1 + byte() * 7u;

	if (how >= 240)
		return error_of(how);
	if (how >= 232)
		return 0;
	n = n < o->bytes ? n : o->bytes;
	if (how >= 224) {
		p->is_wild = true;
		memset(o->at, "\r$*x"[how % 4], n);
	} else {
		type_bytes(p, o->at, n);
	}
	return (int)n;
}

static int take(struct peer *p, struct pending *o, unsigned how)
{
	size_t n = how % 3 == 0 ? 1 : how % 3 == 1 ? 1 + byte() : o->bytes;

	if (how >= 244)
		return error_of(how);
	if (how >= 242)
		return 0;
	n = n < o->bytes ? n : o->bytes;
	hear(p, o, n);
	return (int)n;
}

static int give_up(unsigned how)
{
	return how % 2 ? (int)(how % 3) : error_of(how);
}

static void end(struct peer *p, unsigned kind, unsigned how)
{
	struct pending *o = &p->pending[kind];
	int result = kind == 0	 ? receive(p, o, how)
		     : kind == 1 ? take(p, o, how)
				 : give_up(how);

	o->is = false;
	f.over[f.n_over++ % 64] = o->user;
	f.done->ended++;
	tell(o->user, result);
}

static void end_any(unsigned which, unsigned how)
{
	for (unsigned i = 0; i < PLACES * KINDS; i++) {
		unsigned at = (which + i) % (PLACES * KINDS);
		struct peer *p = &f.at[at / KINDS];

		if (p->fd >= 0 && p->pending[at % KINDS].is) {
			end(p, at % KINDS, how);
			return;
		}
	}
}

static bool is_pending(uint64_t user)
{
	for (unsigned i = 0; i < PLACES * KINDS; i++) {
		const struct pending *o = &f.at[i / KINDS].pending[i % KINDS];

		if (o->is && o->user == user)
			return true;
	}
	return false;
}

/* An end that came before comes again, with another result. */
static void repeat(unsigned which, unsigned how)
{
	uint64_t user = f.over[which % 64];

	if (is_pending(user))
		return; /* it is a new one's */
	f.done->twice++;
	tell(user, how % 2 ? (int)(how * 100) : error_of(how));
}

/* Of nobody: another generation, place or operation. */
static void stray(unsigned which, unsigned how)
{
	uint64_t user = jt_user(which % (PLACES + 2), how * 3u,
				(enum jt_op)(which / 16 % 8));

	if (is_pending(user))
		return;
	f.done->stale++;
	tell(user, (int)how - 128);
}

static ino_t inode_of(int fd)
{
	struct stat st;

	assert(!fstat(fd, &st));
	return st.st_ino;
}

static void come(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unsigned before = f.seats.n_open;

	assert(fd >= 0);
	if (jt_seats_open(&f.seats, fd, f.now.boot_ns)) {
		assert(before >= COMMON);
		close(fd);
		return;
	}
	f.done->opened++;
	for (unsigned i = 0; i < PLACES; i++) {
		struct peer *p = &f.at[i];

		if (p->fd != fd)
			continue;
		assert(f.seats.conns[i].fd == fd);
		p->inode = inode_of(fd);
		p->nonce = ++f.nonces * 0x9e3779b97f4a7c15ull;
		p->typed = p->heard = 0;
		p->is_wild = false;
		return;
	}
	abort(); /* it was not held */
}

static void drain(void)
{
	int before[PLACES];
	unsigned touched;

	for (unsigned i = 0; i < PLACES; i++)
		before[i] = f.at[i].fd;
	touched = f.seats.n_touched;
	assert(touched <= PLACES);
	f.n_asked = 0;
	jt_seats_answer(&f.seats, f.round, f.now);
	jt_seats_start(&f.seats, f.now.boot_ns);
	assert(f.n_asked <= touched * KINDS);
	for (unsigned i = 0; i < PLACES; i++) {
		if (f.at[i].fd >= 0) /* still its own */
			assert(inode_of(f.at[i].fd) == f.at[i].inode);
		else if (before[i] >= 0)
			assert(fcntl(before[i], F_GETFD) < 0);
	}
	assert(f.seats.n_open + f.seats.n_free == PLACES);
}

static void pass_time(unsigned b)
{
	f.now.boot_ns += (uint64_t)b * b * NS_PER_MS;
	jt_seats_expire(&f.seats, f.now.boot_ns);
	jt_seats_wake(&f.seats, f.now.boot_ns);
}

static void step(void)
{
	unsigned what = byte();

	if (what < 40)
		come();
	else if (what < 200)
		end_any(byte(), byte());
	else if (what < 215)
		repeat(byte(), byte());
	else if (what < 230)
		stray(byte(), byte());
	else if (what < 236)
		pass_time(byte());
	else if (what < 237)
		jt_seats_stop(&f.seats);
	if (what % 4) /* else more happens before the drain */
		drain();
}

/* ---- beginning and end ---- */

static bool is_loading(void *ctx)
{
	return false;
}

static void begin_once(void)
{
	const struct jt_segment_size size = {
		.capacity = 64, .pool_bytes = 4096, .prefix = "jt"};
	const struct jt_seats_want want = {
		.loop = &f.loop,
		.peers = &f.peers,
		.desk = &f.desk,
		.common = COMMON,
		.kept = KEPT,
		.idle_ns = 60000 * NS_PER_MS,
	};
	struct jt_segment_fds fds;

	if (f.round)
		return;
	assert(!jt_segment_create(&size, (const uint8_t *)"completions, all",
				  &fds, &f.maps));
	jt_peers_init(&f.peers, &f.maps, 0);
	f.service.loading = is_loading;
	f.round = jt_round_new(&f.maps, NULL, &f.desk, &f.peers, &f.service);
	f.loop.ops = &ops;
	assert(f.round && !jt_seats_init(&f.seats, &want));
	for (unsigned i = 0; i < PLACES; i++)
		f.at[i].fd = -1;
}

/* Everything ends, whatever it was doing. */
static void leave(void)
{
	jt_seats_stop(&f.seats);
	drain();
	for (unsigned i = 0; f.seats.n_open; i++) {
		assert(i < STEPS);
		end_any(i * 5, 243 + i);
		jt_seats_stop(&f.seats);
		drain();
	}
	assert(f.seats.n_free == PLACES && f.done->opened == f.done->closed);
	for (unsigned i = 0; i < PLACES * KINDS; i++)
		assert(!f.at[i / KINDS].pending[i % KINDS].is);
	for (unsigned i = 0; i < JT_PEERS_MAX; i++)
		assert(!jt_load_relaxed(&f.maps.calls[i].connections));
	assert(!jt_load_relaxed(&f.desk.connections));
}

void help_completions_run(const uint8_t *data, size_t size,
			  struct help_completions *done)
{
	begin_once();
	f.data = data;
	f.left = size;
	f.done = done;
	f.now = (struct jt_now){.wall_s = 1800000000, .boot_ns = 1ull << 40};
	f.seats.wake_at_ns = 0;
	for (unsigned i = 0; i < STEPS && f.left; i++)
		step();
	leave();
}
