/*
 * stress_peers: nobody hears what was meant for somebody else.
 *
 * Connections come and go as fast as they are taken, so that descriptors,
 * places and buffers of the workers are used again at once, often while an
 * operation of the former owner is still to end. Every request bears a nonce
 * that no other has, and asks for it back: what a client reads must be its own
 * nonces in their order, byte by byte, and nothing else. Between those that
 * listen are others that go before the answer, in the middle of it, or in the
 * middle of a request.
 *
 * A cycle is one connection: half of them over the ring, if there is one, half
 * over epoll. At the end the daemon has as many descriptors as before, the same
 * processes and no connection.
 */
#include "tests/stress_live.h"

#include <dirent.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#define HANDS 4u
#define PLACES 24u /* connections that a hand has open at a time */
#define PIPELINED 8u
#define WORKERS 3u /* HTTP's, too */
#define WAIT_MS 10000
#define REST_MS 5000u
#define HEAD "*2\r\n$4\r\n" /* then ECHO or PING, and the answer */
#define HEAD_BYTES (sizeof(HEAD "ECHO\r\n") - 1)
#define FILL_MAX 3000u /* of the last one, seldom */
#define ROOM (PIPELINED * 160u + FILL_MAX)

/* What becomes of a connection. */
enum manner {
	LISTENS,    /* reads its answers, closes */
	ENDS,	    /* says that no more comes, reads to the end */
	SPLITS,	    /* its request comes in two pieces */
	LEAVES,	    /* closes at once */
	BREAKS_OFF, /* closes in the middle of a request */
	HEARS_HALF, /* closes in the middle of an answer: a reset */
	MANNERS
};

struct place {
	int fd; /* -1: free */
	enum manner manner;
	size_t asked, sent, wanted;
	char ask[ROOM], want[ROOM];
};

struct test {
	struct live live;
	uint64_t cycles; /* of each hand */
	struct sockaddr_un to;
	_Atomic uint64_t answers;
};

struct daemon {
	pid_t pids[1 + WORKERS];
	unsigned fds[1 + WORKERS];
};

/* ---- a client ---- */

/* One request more, and what it is to be answered with. */
static void add(struct place *p, unsigned hand, uint64_t n, unsigned fill)
{
	size_t head = p->asked;
	int len = 18 + 1 + (int)fill; /* hand, number, zeros */

	p->asked += (size_t)snprintf(
		p->ask + p->asked, ROOM - p->asked,
		HEAD "%s\r\n$%d\r\n%02x%016" PRIx64 "%0*d\r\n",
		n & 1 ? "ECHO" : "PING", len, hand, n, 1 + (int)fill, 0);
	head += HEAD_BYTES;
	memcpy(p->want + p->wanted, p->ask + head, p->asked - head);
	p->wanted += p->asked - head;
}

static bool send_all(struct place *p, size_t upto)
{
	ssize_t n = send(p->fd, p->ask + p->sent, upto - p->sent, MSG_NOSIGNAL);

	p->sent = upto;
	return n >= 0;
}

/* Bytes, 0 at the end, or negative errno; -ETIMEDOUT: none came. */
static ssize_t hear(int fd, char *to, size_t max)
{
	struct pollfd at = {.fd = fd, .events = POLLIN};
	ssize_t n = recv(fd, to, max, MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN) {
		if (poll(&at, 1, WAIT_MS) == 0)
			return -ETIMEDOUT;
		n = recv(fd, to, max, MSG_DONTWAIT);
	}
	return n < 0 ? -errno : n;
}

/* The next UPTO bytes are those of the answers, and no others. */
static bool hears_its_own(struct stress *s, const struct place *p, size_t upto)
{
	char got[ROOM + 1];
	size_t len = 0;
	ssize_t n;

	while (len < upto) {
		/* one more than there may be, of who hears all */
		n = hear(p->fd, got + len,
			 upto - len + (upto == p->wanted ? 1 : 0));
		if (n <= 0) {
			stress_fail(s, "%zu of %zu bytes, then %s", len, upto,
				    n ? strerror((int)-n) : "the end");
			return false;
		}
		len += (size_t)n;
		if (len > p->wanted || memcmp(got, p->want, len) != 0) {
			stress_fail(s, "asked for %.40s, heard %.*s", p->want,
				    (int)(len < 40 ? len : 40), got);
			return false;
		}
	}
	return true;
}

static void open_one(struct stress_hand *hand, struct place *p, uint64_t *nonce,
		     uint64_t *random)
{
	const struct test *t = hand->ctx;
	uint64_t dice = stress_random(random);
	unsigned n = dice & 3 ? 1 : 1 + (unsigned)(dice >> 8) % PIPELINED;

	p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->fd < 0 || connect(p->fd, (const void *)&t->to, sizeof(t->to)))
		stress_die("connect", -errno);
	p->asked = p->sent = p->wanted = 0;
	/* half of all listen */
	p->manner = dice >> 16 & 1 ? LISTENS
				   : (enum manner)((dice >> 32) % MANNERS);
	while (n--)
		add(p, hand->number, (*nonce)++,
		    n || dice >> 20 & 63 ? (unsigned)(dice >> 26) & 63
					 : FILL_MAX);
	if (p->manner == SPLITS || p->manner == BREAKS_OFF)
		send_all(p, 1 + (dice >> 40) % (p->asked - 1));
	else
		send_all(p, p->asked);
	if (p->manner == ENDS)
		shutdown(p->fd, SHUT_WR);
}

/* What it does before it closes; answers that it heard. */
static bool part(struct stress *s, struct place *p)
{
	char more;

	switch (p->manner) {
	case SPLITS:
		if (!send_all(p, p->asked)) {
			stress_fail(s, "shut out in the middle of a request");
			return false;
		}
		return hears_its_own(s, p, p->wanted);
	case LISTENS:
		return hears_its_own(s, p, p->wanted);
	case ENDS:
		if (!hears_its_own(s, p, p->wanted))
			return false;
		if (hear(p->fd, &more, 1) == 0)
			return true;
		stress_fail(s, "something behind the last answer");
		return false;
	case HEARS_HALF:
		hears_its_own(s, p, 1 + p->wanted / 2);
		return false;
	default:
		return false;
	}
}

static void close_one(struct stress *s, struct place *p, uint64_t *heard)
{
	*heard += part(s, p);
	close(p->fd);
	p->fd = -1;
}

/* Whichever of its places: it is taken or given up. */
static void come_and_go(struct stress_hand *hand)
{
	struct test *t = hand->ctx;
	struct place *places = calloc(PLACES, sizeof(*places)), *p;
	uint64_t random = stress_hand_seed(hand), nonce = 0, heard = 0;

	if (!places)
		stress_die("calloc", -ENOMEM);
	for (unsigned i = 0; i < PLACES; i++)
		places[i].fd = -1;
	for (uint64_t n = 0; n < t->cycles;) {
		p = &places[stress_below(&random, PLACES)];
		if (p->fd >= 0) {
			close_one(hand->s, p, &heard);
			continue;
		}
		open_one(hand, p, &nonce, &random);
		n++;
		/* relaxed: enough is known when one has failed */
		if (jt_load_relaxed(&hand->s->score->failures))
			break;
	}
	for (unsigned i = 0; i < PLACES; i++)
		if (places[i].fd >= 0)
			close_one(hand->s, &places[i], &heard);
	free(places);
	stress_count(hand->s, heard);
	jt_add_relaxed(&t->answers, heard); /* relaxed: a counter */
}

/* ---- the daemon ---- */

/* 0: it may not be known by whoever runs this. */
static unsigned count_fds(pid_t pid)
{
	char path[64];
	unsigned n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%ld/fd", (long)pid);
	dir = opendir(path);
	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

static uint64_t look(const struct live *l, struct daemon *d, char backend[16])
{
	json_t *status = live_status(l), *w;
	uint64_t connections = 0;
	const char *name;
	size_t i;

	memset(d, 0, sizeof(*d));
	d->pids[0] = (pid_t)json_integer_value(json_object_get(status, "pid"));
	json_array_foreach(json_object_get(status, "workers"), i, w)
	{
		if (i >= WORKERS)
			break;
		d->pids[1 + i] =
			(pid_t)json_integer_value(json_object_get(w, "pid"));
		connections += (uint64_t)json_integer_value(
			json_object_get(w, "connections"));
	}
	name = json_string_value(json_object_get(status, "backend"));
	snprintf(backend, 16, "%s", name ? name : "?");
	json_decref(status);
	stress_sleep_ns(20000000); /* that question's connection ends */
	for (i = 0; i < 1 + WORKERS; i++)
		d->fds[i] = d->pids[i] ? count_fds(d->pids[i]) : 0;
	return connections;
}

/* As it was before the first came? */
static void expect_as_before(struct stress *s, const struct live *l,
			     const struct daemon *before)
{
	uint64_t until_ns = stress_now_ns() + REST_MS * 1000000ull, open;
	struct daemon after;
	char backend[16];

	do
		open = look(l, &after, backend);
	while ((open || memcmp(&after, before, sizeof(after)) != 0) &&
	       stress_now_ns() < until_ns);
	stress_count(s, 1);
	if (open)
		stress_fail(s, "%" PRIu64 " connections are left", open);
	for (unsigned i = 0; i < 1 + WORKERS; i++)
		if (after.pids[i] != before->pids[i] ||
		    after.fds[i] != before->fds[i])
			stress_fail(s,
				    "process %d with %u descriptors was %d "
				    "with %u",
				    (int)after.pids[i], after.fds[i],
				    (int)before->pids[i], before->fds[i]);
}

static double storm(struct stress *s, struct test *t, const char *argv0,
		    const char *backend, char used[16])
{
	struct stress_hand hands[HANDS];
	struct daemon before;
	uint64_t begun_ns;
	double took_s;

	setenv("JETON_BACKEND", backend, 1);
	live_begin(&t->live, s, argv0, LIVE_KILL_NONE);
	t->to = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(t->to.sun_path, t->live.sock, sizeof(t->live.sock));
	while (look(&t->live, &before, used))
		; /* who looked whether it serves */
	begun_ns = stress_now_ns();
	stress_start(s, hands, HANDS, t, come_and_go);
	stress_join(s, hands, HANDS);
	took_s = (double)(stress_now_ns() - begun_ns) / STRESS_NS_PER_S;
	expect_as_before(s, &t->live, &before);
	live_end(&t->live);
	return took_s;
}

int main(int argc, char **argv)
{
	struct test *t = stress_shared(sizeof(*t));
	uint64_t cycles = 60000;
	const struct stress_option more[] = {{"--cycles", &cycles, NULL}, {0}};
	char first[16], second[16];
	struct stress s;
	double took_s;

	stress_begin(&s, "stress_peers", 0, argc, argv, more);
	t->cycles = (cycles + 2 * HANDS - 1) / (2 * HANDS);
	took_s = storm(&s, t, argv[0], "auto", first);
	/* relaxed, here and below: all have ended */
	if (jt_load_relaxed(&s.score->failures))
		return stress_end(&s);
	took_s += storm(&s, t, argv[0], "epoll", second);
	cycles = t->cycles * 2 * HANDS;
	printf("figure %" PRIu64 " connections over %s, then %s, %" PRIu64
	       " answered to their ends, each its own; %.0f/s\n",
	       cycles, first, second, jt_load_relaxed(&t->answers),
	       (double)cycles / took_s);
	return stress_end(&s);
}
