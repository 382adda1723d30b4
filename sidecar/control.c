/*
 * control: see sidecar/control.h; words and meaning in admin/control.h.
 *
 * "SYNC n" is the promise of the whole program: it is answered OK only when
 * everything up to n is durable and in the table. While health is red nothing
 * new is promised.
 */
#include "sidecar/control.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TURNS 64u		 /* requests of one admin in a row */
#define CROWDED_NS 1000000000ull /* so long may one idle when all are taken */

enum done {
	ANSWERED,
	WAIT,
	HANG_UP,
};

void jt_controls_init(struct jt_controls *c, int listener, struct jt_feed *feed,
		      void (*status)(void *ctx, char *buf, size_t max),
		      void *ctx)
{
	memset(c, 0, sizeof(*c));
	c->listener = listener;
	c->feed = feed;
	c->status = status;
	c->ctx = ctx;
	for (unsigned i = 0; i < JT_CONTROLS_MAX; i++)
		c->clients[i].fd = -1;
}

static void hang_up(struct jt_control_client *cl)
{
	close(cl->fd);
	cl->fd = -1;
	cl->waiting = false;
	cl->len = 0;
}

void jt_controls_deinit(struct jt_controls *c)
{
	for (unsigned i = 0; i < JT_CONTROLS_MAX; i++)
		if (c->clients[i].fd >= 0)
			hang_up(&c->clients[i]);
}

unsigned jt_controls_poll(const struct jt_controls *c, struct pollfd *fds)
{
	unsigned n = 0;

	for (unsigned i = 0; i < JT_CONTROLS_MAX; i++)
		if (c->clients[i].fd >= 0)
			/* nothing is read while a request waits */
			fds[n++] = (struct pollfd){
				.fd = c->clients[i].fd,
				.events = c->clients[i].waiting ? 0 : POLLIN};
	/* with all places taken a newcomer waits until one is given up */
	if (n < JT_CONTROLS_MAX)
		fds[n++] = (struct pollfd){.fd = c->listener, .events = POLLIN};
	return n;
}

bool jt_controls_waiting(const struct jt_controls *c)
{
	for (unsigned i = 0; i < JT_CONTROLS_MAX; i++)
		if (c->clients[i].waiting)
			return true;
	return false;
}

/* A reply is small and the socket empty, so it goes out whole or not at all. */
static enum done say(const struct jt_control_client *cl, const char *line)
{
	size_t len = strlen(line);
	ssize_t n = send(cl->fd, line, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	return n == (ssize_t)len ? ANSWERED : HANG_UP;
}

static enum done say_error(const struct jt_control_client *cl, const char *word,
			   const char *sentence)
{
	char line[JT_CONTROL_LINE];

	snprintf(line, sizeof(line), "ERR %s %s\n", word, sentence);
	return say(cl, line);
}

/* ANSWERED with *GO: number is in force; else the caller returns the result. */
static enum done reach(struct jt_controls *c, struct jt_control_client *cl,
		       uint64_t number, uint64_t now_ns, bool *gop)
{
	*gop = false;
	if (c->feed->applied >= number && c->feed->health == JT_HEALTH_OK) {
		*gop = true;
		return ANSWERED;
	}
	if (c->feed->health != JT_HEALTH_OK)
		return say_error(cl, "RED", c->feed->why);
	if (now_ns - cl->since_ns > JT_CONTROL_WAIT_NS)
		return say_error(cl, "TIMEOUT",
				 "the journal has no such number yet");
	return WAIT;
}

static enum done sync_to(struct jt_controls *c, struct jt_control_client *cl,
			 uint64_t number, uint64_t now_ns)
{
	char line[64];
	bool go;
	enum done done = reach(c, cl, number, now_ns, &go);

	if (!go)
		return done;
	snprintf(line, sizeof(line), "OK %" PRIu64 "\n", c->feed->applied);
	return say(cl, line);
}

static enum done fit(struct jt_controls *c, struct jt_control_client *cl,
		     const uint64_t v[4], uint64_t now_ns)
{
	struct jt_fault fault;
	bool go;
	enum done done = reach(c, cl, v[0], now_ns, &go);

	if (!go)
		return done;
	if (jt_feed_fits(c->feed, v[1], v[2], v[3], &fault))
		return say_error(cl, "FULL", fault.line);
	return say(cl, "OK\n");
}

static enum done plan(struct jt_controls *c, struct jt_control_client *cl,
		      const uint64_t v[4], uint64_t now_ns)
{
	uint16_t number, next;
	char line[64];
	bool go;
	enum done done = reach(c, cl, v[0], now_ns, &go);

	if (!go)
		return done;
	number = jt_feed_plan(c->feed, v[1], v[2], v[3], &next);
	if (!number && !next)
		return say_error(cl, "FULL",
				 "65,535 different limits are in use; use one "
				 "of them");
	snprintf(line, sizeof(line), "OK %u %u\n", number, next);
	return say(cl, line);
}

static enum done look(struct jt_controls *c, struct jt_control_client *cl,
		      const char *id)
{
	struct jt_look l;
	char line[160];

	if (!jt_feed_look(c->feed, id, &l))
		return say_error(cl, "NOTFOUND", "no token has this id");
	snprintf(line, sizeof(line),
		 "OK %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
		 " %" PRIu64 "\n",
		 l.first, l.last, l.plan, l.uses, l.refusals, l.last_use_s);
	return say(cl, line);
}

static enum done status(struct jt_controls *c, struct jt_control_client *cl)
{
	char line[JT_CONTROL_LINE] = "OK ";

	c->status(c->ctx, line + 3, sizeof(line) - 5);
	strcat(line, "\n");
	return say(cl, line);
}

/* VERB and exactly N numbers? */
static bool numbers(const char *line, const char *verb, uint64_t *v, unsigned n)
{
	size_t len = strlen(verb);
	char *end;

	if (strncmp(line, verb, len))
		return false;
	line += len;
	for (unsigned i = 0; i < n; i++) {
		if (line[0] != ' ' || line[1] < '0' || line[1] > '9')
			return false;
		errno = 0;
		v[i] = strtoull(line, &end, 10);
		if (errno)
			return false;
		line = end;
	}
	return !*line;
}

static enum done answer(struct jt_controls *c, struct jt_control_client *cl,
			uint64_t now_ns)
{
	uint64_t v[4];

	if (strcmp(cl->line, "STATUS") == 0)
		return status(c, cl);
	if (numbers(cl->line, "SYNC", v, 1))
		return sync_to(c, cl, v[0], now_ns);
	if (numbers(cl->line, "FIT", v, 4))
		return fit(c, cl, v, now_ns);
	if (numbers(cl->line, "PLAN", v, 4))
		return plan(c, cl, v, now_ns);
	if (strncmp(cl->line, "LOOK ", 5) == 0 &&
	    strlen(cl->line + 5) == JT_ID_BYTES)
		return look(c, cl, cl->line + 5);
	return say_error(cl, "USAGE",
			 "the words are SYNC, FIT, PLAN, LOOK and STATUS");
}

/* Read up to the end of one line; nothing is read while a request waits. */
static bool read_line(struct jt_control_client *cl, uint64_t now_ns)
{
	ssize_t n =
		recv(cl->fd, cl->line + cl->len, sizeof(cl->line) - 1 - cl->len,
		     MSG_PEEK | MSG_DONTWAIT);
	char *end;
	size_t take;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0)
		return false;
	end = memchr(cl->line + cl->len, '\n', (size_t)n);
	take = end ? (size_t)(end - (cl->line + cl->len)) + 1 : (size_t)n;
	if (recv(cl->fd, cl->line + cl->len, take, MSG_DONTWAIT) !=
	    (ssize_t)take)
		return false;
	cl->len += (uint32_t)take;
	cl->since_ns = now_ns;
	if (!end)
		return cl->len < sizeof(cl->line) - 1;
	cl->line[cl->len - 1] = '\0';
	if (strlen(cl->line) != cl->len - 1)
		cl->line[0] = '\0'; /* a zero byte is in no word of ours */
	cl->waiting = true;
	return true;
}

/* Has an admin who waits gone away? */
static bool is_gone(const struct jt_control_client *cl)
{
	struct pollfd fd = {.fd = cl->fd};

	/* not merely half-closed: that one still listens */
	return poll(&fd, 1, 0) > 0 && fd.revents & (POLLHUP | POLLERR);
}

static void serve(struct jt_controls *c, struct jt_control_client *cl,
		  uint64_t now_ns)
{
	for (unsigned turn = 0; turn < TURNS; turn++) {
		if (cl->waiting ? is_gone(cl) : !read_line(cl, now_ns))
			break;
		if (!cl->waiting) {
			if (now_ns - cl->since_ns > JT_CONTROL_SILENT_NS)
				break;
			return;
		}
		switch (answer(c, cl, now_ns)) {
		case WAIT:
			return;
		case ANSWERED:
			cl->waiting = false;
			cl->len = 0;
			if (turn == TURNS - 1)
				return; /* others first */
			continue;
		case HANG_UP:
			break;
		}
		break;
	}
	hang_up(cl);
}

static bool peer_may(int fd)
{
	struct ucred peer;
	socklen_t bytes = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes))
		return false;
	return peer.uid == 0 || peer.uid == geteuid();
}

/* All places taken: the longest silent one may have to go. */
static void make_room(struct jt_controls *c, uint64_t now_ns)
{
	struct jt_control_client *oldest = NULL;

	for (unsigned i = 0; i < JT_CONTROLS_MAX; i++) {
		struct jt_control_client *cl = &c->clients[i];

		if (cl->fd < 0)
			return;
		if (!cl->waiting &&
		    (!oldest || cl->since_ns < oldest->since_ns))
			oldest = cl;
	}
	if (oldest && now_ns - oldest->since_ns > CROWDED_NS)
		hang_up(oldest);
}

static void accept_all(struct jt_controls *c, uint64_t now_ns)
{
	make_room(c, now_ns);
	for (unsigned i = 0; i < JT_CONTROLS_MAX; i++) {
		int fd;

		if (c->clients[i].fd >= 0)
			continue;
		fd = accept4(c->listener, NULL, NULL,
			     SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0)
			return;
		if (!peer_may(fd)) {
			close(fd);
			continue;
		}
		c->clients[i] = (struct jt_control_client){.fd = fd,
							   .since_ns = now_ns};
	}
}

void jt_controls_run(struct jt_controls *c, uint64_t now_ns)
{
	accept_all(c, now_ns);
	for (unsigned i = 0; i < JT_CONTROLS_MAX; i++)
		if (c->clients[i].fd >= 0)
			serve(c, &c->clients[i], now_ns);
}
