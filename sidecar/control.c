/*
 * control: see sidecar/control.h; words and meaning in admin/control.h.
 *
 * "SYNC n" is the promise of the whole program: it is answered OK only when
 * everything up to n is durable and in the table, and nobody can believe what a
 * predecessor's table said (attach.c). While health is red nothing new is
 * promised.
 *
 * Once another daemon answers there, who waits here for what only that one can
 * do is hung up on, and asks there (admin/control.c).
 */
#include "sidecar/control.h"

#include "admin/label.h"
#include "sidecar/doors.h"
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TURNS 64u /* requests of one admin in a row */
/* so long may one idle when all are taken, or another daemon answers there */
#define CROWDED_NS 1000000000ull

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

void jt_controls_saving(struct jt_controls *c, uint64_t (*save)(void *ctx),
			bool (*saved)(void *ctx, uint64_t ticket,
				      const char **whyp))
{
	c->save = save;
	c->saved = saved;
}

void jt_controls_growing(struct jt_controls *c,
			 bool (*grow)(void *ctx, const struct jt_room *want,
				      struct jt_fault *faultp))
{
	c->grow = grow;
}

void jt_controls_upgrading(struct jt_controls *c, uint64_t (*others)(void *ctx),
			   bool (*alone)(void *ctx),
			   bool (*upgrade)(void *ctx, const char **whyp),
			   bool (*upgraded)(void *ctx, const char **whyp,
					    int *pidp, const char **versionp))
{
	c->others = others;
	c->alone = alone;
	c->upgrade = upgrade;
	c->upgraded = upgraded;
}

unsigned jt_controls_count(const struct jt_controls *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < JT_CONTROLS_MAX; i++)
		n += c->clients[i].fd >= 0;
	return n;
}

void jt_controls_denying(struct jt_controls *c, struct jt_denials *denials)
{
	c->denials = denials;
}

static void hang_up(struct jt_control_client *cl)
{
	close(cl->fd);
	cl->fd = -1;
	cl->waiting = false;
	cl->ticket = 0;
	cl->len = 0;
}

void jt_controls_deinit(struct jt_controls *c)
{
	for (unsigned i = 0; i < JT_CONTROLS_MAX; i++)
		if (c->clients[i].fd >= 0)
			hang_up(&c->clients[i]);
	jt_ranks_rest(&c->ranks);
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
	if (n < JT_CONTROLS_MAX && !c->no_room && !c->closed)
		fds[n++] = (struct pollfd){.fd = c->listener, .events = POLLIN};
	return n;
}

bool jt_controls_waiting(const struct jt_controls *c)
{
	for (unsigned i = 0; i < JT_CONTROLS_MAX; i++)
		if (c->clients[i].waiting && !c->clients[i].ticket)
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
	uint64_t others = c->others ? c->others(c->ctx) : UINT64_MAX;

	*gop = false;
	if (c->feed->applied >= number && others >= number &&
	    c->feed->health == JT_HEALTH_OK) {
		*gop = true;
		return ANSWERED;
	}
	if (c->feed->health != JT_HEALTH_OK)
		return c->closed ? HANG_UP : say_error(cl, "RED", c->feed->why);
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
	if (now_ns < c->hold_until_ns)
		return WAIT;
	snprintf(line, sizeof(line), "OK %" PRIu64 "\n", c->feed->applied);
	return say(cl, line);
}

/* One line of decimal numbers. */
static enum done say_numbers(const struct jt_control_client *cl,
			     const uint64_t *v, unsigned n)
{
	char line[384] = "OK";
	size_t len = 2;

	for (unsigned i = 0; i < n; i++)
		len += (size_t)snprintf(line + len, sizeof(line) - len,
					" %" PRIu64, v[i]);
	strcpy(line + len, "\n");
	return say(cl, line);
}

static enum done say_two(const struct jt_control_client *cl, uint64_t first,
			 uint64_t second)
{
	return say_numbers(cl, (const uint64_t[]){first, second}, 2);
}

static enum done fit(struct jt_controls *c, struct jt_control_client *cl,
		     const uint64_t v[5])
{
	struct jt_room room = {v[1], v[2], v[3], v[4]};
	struct jt_ledger *l = &c->feed->ledger;
	struct jt_fault fault;
	int rc;

	jt_feed_clock(c->feed);
	jt_ledger_tidy(l, room.values);
	jt_plans_tidy(&l->plans);
	rc = jt_ledger_fits(l, &room, &fault);
	if (!rc)
		return say(cl, "OK\n");
	if (c->closed)
		return HANG_UP;
	/* a table that grows has no more different limits */
	if (room.plans <= jt_plans_left(&l->plans) && c->grow &&
	    c->grow(c->ctx, &room, &fault))
		return say_error(cl, "GROWING", "the table grows; ask again");
	return say_error(cl, "FULL", fault.line);
}

static enum done limit(struct jt_controls *c, struct jt_control_client *cl,
		       const uint64_t v[7])
{
	struct jt_limit limit = {v[1], v[2],	       v[3],
				 v[4], (uint32_t)v[5], (uint32_t)v[6]};
	uint16_t next, number;

	if (v[5] > UINT32_MAX || v[6] > UINT32_MAX)
		return say_two(cl, 0, 0);
	number = jt_plans_limit(&c->feed->ledger.plans, &limit, &next);
	return say_two(cl, number, next);
}

static enum done look(struct jt_controls *c, struct jt_control_client *cl,
		      const char *id)
{
	struct jt_look l;

	if (strlen(id) != JT_ID_BYTES)
		return say_error(cl, "USAGE", "an id is 24 characters");
	if (!jt_ledger_look(&c->feed->ledger, id, &l))
		return say_error(cl, "NOTFOUND", "no token has this id");
	return say_numbers(cl,
			   (const uint64_t[]){l.first, l.last, l.plan, l.own,
					      l.set, l.uses, l.refusals,
					      l.last_use_s, l.old_use_s,
					      l.quota, l.old_digest[0],
					      l.old_digest[1], l.old_digest[2],
					      l.old_digest[3], l.old_use_by},
			   15);
}

static enum done names(struct jt_controls *c, struct jt_control_client *cl,
		       uint64_t set)
{
	char line[JT_CONTROL_LINE] = "OK ";

	if (set > UINT16_MAX ||
	    !jt_sets_names(&c->feed->ledger.sets, (uint16_t)set, line + 3,
			   sizeof(line) - 5))
		return say_error(cl, "NOTFOUND", "no such set of scopes");
	strcat(line, "\n");
	return say(cl, line);
}

static size_t put_rows(char *line, size_t max, const struct jt_top_row *rows,
		       uint64_t n)
{
	size_t len = 0;

	for (uint64_t i = 0; i < n; i++)
		len += (size_t)snprintf(line + len, max - len,
					" %" PRIu64 " %" PRIu64 " %" PRIu64
					" %" PRIu64 " %" PRIu64,
					rows[i].last, rows[i].uses,
					rows[i].refusals, rows[i].more_uses,
					rows[i].more_refusals);
	return len;
}

static enum done top(struct jt_controls *c, struct jt_control_client *cl,
		     uint64_t n, uint64_t now_ns)
{
	struct jt_top *t = &c->ranks.top;
	char line[JT_CONTROL_LINE];
	size_t len;

	if (n == 0 || n > JT_TOP_ROWS)
		return say_error(cl, "USAGE", "TOP takes a number up to 32");
	if (jt_ranks_look(&c->ranks, &c->feed->ledger, now_ns))
		return say_error(cl, "FULL", "not enough memory to compare");
	len = (size_t)snprintf(line, sizeof(line),
			       "OK %" PRIu64 " %" PRIu64 " %" PRIu64,
			       t->span_ms, t->n_used < n ? t->n_used : n,
			       t->n_refused < n ? t->n_refused : n);
	len += put_rows(line + len, sizeof(line) - len, t->used,
			t->n_used < n ? t->n_used : n);
	len += put_rows(line + len, sizeof(line) - len, t->refused,
			t->n_refused < n ? t->n_refused : n);
	static_assert(3 + (3 + 2 * 5 * JT_TOP_ROWS) * 21 < JT_CONTROL_LINE,
		      "the longest answer");
	strcpy(line + len, "\n");
	return say(cl, line);
}

static enum done status(struct jt_controls *c, struct jt_control_client *cl)
{
	char line[JT_CONTROL_LINE] = "OK ";

	c->status(c->ctx, line + 3, sizeof(line) - 5);
	strcat(line, "\n");
	return say(cl, line);
}

static enum done save(struct jt_controls *c, struct jt_control_client *cl,
		      uint64_t now_ns)
{
	const char *why = NULL;

	if (!c->save)
		return say_error(cl, "RED", "use counts are not saved here");
	if (!cl->ticket)
		cl->ticket = c->save(c->ctx);
	if (c->saved(c->ctx, cl->ticket, &why))
		return why ? say_error(cl, "RED", why) : say(cl, "OK\n");
	if (now_ns - cl->since_ns > JT_CONTROL_WAIT_NS)
		return say_error(cl, "TIMEOUT", "use counts are being written");
	return WAIT;
}

static enum done upgrade(struct jt_controls *c, struct jt_control_client *cl)
{
	const char *why = NULL, *version = "";
	char line[JT_CONTROL_LINE];
	int pid = 0;

	if (!c->upgrade)
		return say_error(cl, "RED", "there is no upgrade here");
	if (!cl->ticket && !c->upgrade(c->ctx, &why))
		return say_error(cl, "RED", why);
	cl->ticket = 1;
	if (!c->upgraded(c->ctx, &why, &pid, &version))
		return WAIT;
	if (why)
		return say_error(cl, "RED", why);
	snprintf(line, sizeof(line), "OK %d %s\n", pid, version);
	return say(cl, line);
}

/*
 * Not before all records are in force, nor while another table is believed, of
 * whatever daemon: what the journal does not have the other one would not know.
 */
static enum done hold(struct jt_controls *c, struct jt_control_client *cl,
		      uint64_t now_ns, bool *gop)
{
	/* relaxed: the keeper's own word */
	uint64_t state = jt_load_relaxed(&c->feed->maps->identity->state);

	*gop = false;
	if (c->closed)
		return HANG_UP;
	*gop = state == JT_IDENTITY_SERVING && now_ns >= c->hold_until_ns &&
	       (!c->alone || c->alone(c->ctx));
	if (*gop)
		return ANSWERED;
	if (now_ns - cl->since_ns > JT_CONTROL_WAIT_NS)
		return say_error(cl, "TIMEOUT", "the journal is being read");
	return WAIT;
}

/* "DENY id" or "DENY id reason". */
static enum done deny(struct jt_controls *c, struct jt_control_client *cl,
		      uint64_t now_ns)
{
	const char *id = cl->line + 5, *reason = "";
	size_t len = strlen(id);
	enum done done;
	bool go;

	if (!c->denials)
		return say_error(cl, "RED", "revokes are not kept here");
	if (len > JT_ID_BYTES && id[JT_ID_BYTES] == ' ')
		reason = id + JT_ID_BYTES + 1;
	if (len < JT_ID_BYTES || (len > JT_ID_BYTES && !*reason) ||
	    (*reason && jt_label_check(reason, strlen(reason), JT_REASON_MAX)))
		return say_error(cl, "USAGE", "DENY takes an id and a reason");
	done = hold(c, cl, now_ns, &go);
	if (!go)
		return done;
	switch (jt_denials_add(c->denials, &c->feed->ledger, id, cl->uid,
			       reason)) {
	case 0:
		return say(cl, "OK\n");
	case JT_DENIALS_E_NOTFOUND:
		return say_error(cl, "NOTFOUND", "no token has this id");
	default:
		return say_error(cl, "FULL",
				 "in force, but too many revokes wait for the "
				 "journal to remember it");
	}
}

static enum done denied(struct jt_controls *c, struct jt_control_client *cl,
			uint64_t now_ns)
{
	uint32_t in_memory;
	enum done done;
	bool go;

	if (!c->denials)
		return say_error(cl, "RED", "revokes are not kept here");
	done = hold(c, cl, now_ns, &go);
	if (!go)
		return done;
	in_memory = jt_denials_settle(c->denials);
	return say_two(cl, c->denials->n, in_memory);
}

/* What a reader of the journal cannot know; whatever the state. */
static enum done pending(struct jt_controls *c, struct jt_control_client *cl,
			 uint64_t from)
{
	char ids[JT_CONTROL_LINE - 64] = "", line[JT_CONTROL_LINE];
	uint64_t next =
		c->denials ? jt_denials_tell(c->denials, from, ids, sizeof(ids))
			   : from;

	/* relaxed: the keeper's own word */
	snprintf(line, sizeof(line), "OK %" PRIu64 " %" PRIu64 "%s\n",
		 jt_load_relaxed(&c->feed->maps->identity->clock_s), next, ids);
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

/* "VERB at word": the number, and the one word behind it. */
static bool named(const char *line, const char *verb, uint64_t *atp,
		  const char **wordp)
{
	size_t len = strlen(verb);
	char *end;

	if (strncmp(line, verb, len) || line[len] != ' ' ||
	    line[len + 1] < '0' || line[len + 1] > '9')
		return false;
	errno = 0;
	*atp = strtoull(line + len, &end, 10);
	*wordp = end + 1;
	return !errno && end[0] == ' ' && end[1] && !strchr(end + 1, ' ');
}

/* Requests about what has a name, answered once `at` is in force. */
static enum done answer_named(struct jt_controls *c,
			      struct jt_control_client *cl, uint64_t now_ns)
{
	struct jt_ledger *l = &c->feed->ledger;
	char name[JT_SCOPE_MAX + 1] = "";
	uint16_t number, next = 0;
	const char *word = NULL;
	bool plan, scope, go, removed;
	uint8_t bits[32];
	enum done done;
	uint64_t at;

	plan = named(cl->line, "PLAN", &at, &word);
	scope = !plan && named(cl->line, "SCOPE", &at, &word);
	if (!plan && !scope && !named(cl->line, "SET", &at, &word))
		return say_error(cl, "USAGE",
				 "the words are SYNC, FIT, LIMIT, PLAN, SCOPE, "
				 "SET, PAIR, USERS, NAMES, LOOK, TOP, SAVE, "
				 "DENY, DENIED, PENDING, UPGRADE and STATUS");
	done = reach(c, cl, at, now_ns, &go);
	if (!go)
		return done;
	if (!plan && !scope) {
		if (strlen(word) != 64 ||
		    sodium_hex2bin(bits, 32, word, 64, NULL, NULL, NULL))
			return say_error(cl, "USAGE", "a set is 64 hex digits");
		number = jt_sets_find(&l->sets, bits, &next);
		return say_two(cl, number, next);
	}
	if (strlen(word) > (plan ? JT_PLAN_MAX : JT_SCOPE_MAX))
		return say_error(cl, "USAGE", "that name is too long");
	memcpy(name, word, strlen(word));
	if (scope) {
		number = jt_sets_find_scope(&l->sets, name, &next);
		return say_two(cl, number, next);
	}
	number = jt_plans_named(&l->plans, name, &removed);
	return say_two(cl, number, removed);
}

static enum done answer(struct jt_controls *c, struct jt_control_client *cl,
			uint64_t now_ns)
{
	struct jt_ledger *l = &c->feed->ledger;
	enum {
		FIT,
		LIMIT,
		PAIR,
		USERS
	} verb;
	enum done done;
	uint64_t v[7] = {0};
	bool go;

	if (strcmp(cl->line, "STATUS") == 0)
		return status(c, cl);
	if (strcmp(cl->line, "SAVE") == 0)
		return save(c, cl, now_ns);
	if (strcmp(cl->line, "UPGRADE") == 0)
		return upgrade(c, cl);
	if (strncmp(cl->line, "DENY ", 5) == 0)
		return deny(c, cl, now_ns);
	if (strcmp(cl->line, "DENIED") == 0)
		return denied(c, cl, now_ns);
	if (strncmp(cl->line, "LOOK ", 5) == 0)
		return look(c, cl, cl->line + 5);
	if (numbers(cl->line, "PENDING", v, 1))
		return pending(c, cl, v[0]);
	if (numbers(cl->line, "NAMES", v, 1))
		return names(c, cl, v[0]);
	if (numbers(cl->line, "TOP", v, 1))
		return top(c, cl, v[0], now_ns);
	if (numbers(cl->line, "SYNC", v, 1))
		return sync_to(c, cl, v[0], now_ns);
	if (numbers(cl->line, "FIT", v, 5))
		verb = FIT;
	else if (numbers(cl->line, "LIMIT", v, 7))
		verb = LIMIT;
	else if (numbers(cl->line, "PAIR", v, 3))
		verb = PAIR;
	else if (numbers(cl->line, "USERS", v, 2))
		verb = USERS;
	else
		return answer_named(c, cl, now_ns);
	done = reach(c, cl, v[0], now_ns, &go);
	if (!go)
		return done;
	if (verb == FIT)
		return fit(c, cl, v);
	if (verb == LIMIT)
		return limit(c, cl, v);
	if (v[1] > UINT16_MAX || v[2] > UINT16_MAX)
		return say_two(cl, 0, 0);
	if (verb == USERS) {
		v[0] = jt_ledger_users(l, (uint16_t)v[1], &v[1]);
		return say_two(cl, v[0], v[1]);
	}
	v[0] = jt_plans_pair(&l->plans, (uint16_t)v[1], (uint16_t)v[2]);
	return say_numbers(cl, v, 1);
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
			if (now_ns - cl->since_ns >
			    (c->closed ? CROWDED_NS : JT_CONTROL_SILENT_NS))
				break;
			return;
		}
		switch (answer(c, cl, now_ns)) {
		case WAIT:
			return;
		case ANSWERED:
			cl->waiting = false;
			cl->ticket = 0;
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

static bool peer_may(int fd, uint32_t *uidp)
{
	struct ucred peer;
	socklen_t bytes = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes))
		return false;
	*uidp = peer.uid;
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
	for (unsigned i = 0; i < JT_CONTROLS_MAX && !c->closed; i++) {
		uint32_t uid;
		int fd;

		if (c->clients[i].fd >= 0)
			continue;
		fd = accept4(c->listener, NULL, NULL,
			     SOCK_CLOEXEC | SOCK_NONBLOCK);
		c->no_room = fd < 0 && jt_doors_no_room(errno);
		if (fd < 0)
			return;
		if (!peer_may(fd, &uid)) {
			close(fd);
			continue;
		}
		c->clients[i] = (struct jt_control_client){
			.fd = fd, .uid = uid, .since_ns = now_ns};
	}
}

void jt_controls_run(struct jt_controls *c, uint64_t now_ns)
{
	accept_all(c, now_ns);
	for (unsigned i = 0; i < JT_CONTROLS_MAX; i++)
		if (c->clients[i].fd >= 0)
			serve(c, &c->clients[i], now_ns);
	jt_ranks_tend(&c->ranks, now_ns);
}
