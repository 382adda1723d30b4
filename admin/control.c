/*
 * control: the admin tool's side of the control socket.
 *
 * Whether a keeper serves is told by the lock on DATA/serving.lock, never by a
 * missing or dead socket: a lock dies with its holder, a socket file does not.
 * The file's second line, `control PATH`, says where the holder listens.
 *
 * Who answers there must be root, who asks, or the owner of the data directory:
 * nobody else has business in it. The kernel tells who made the socket listen,
 * also when a service manager passed it, and when it went over to a newer
 * keeper: a keeper has changed its user before, and the uid is compared, not
 * the process. So neither a path that leads elsewhere nor a socket put in place
 * by another user makes us say that a token is revoked.
 *
 * One request is one write and one wait, bounded by a deadline. Anything that
 * is not exactly one reply line closes the connection: after it nobody could
 * tell which reply belongs to which request.
 *
 * A keeper that leaves for another one (an upgrade) hangs up on who waits for
 * what only the other can do. All requests but UPGRADE may be asked twice: they
 * ask what is so, wait, or revoke for good.
 */
#include "admin/control.h"
#include "admin/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define RETRY_MS 5

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Give up on the connection and leave the reason in c->line. */
__attribute__((format(printf, 2, 3))) static int lost(struct jt_control *c,
						      const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(c->line, sizeof(c->line), fmt, args);
	va_end(args);
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	return JT_CONTROL_E_UNREACHABLE;
}

/* Is the lock on FD held? 0: yes, NOT_SERVING: no, or negative errno. */
static int probe(int fd)
{
	while (flock(fd, LOCK_SH | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
	flock(fd, LOCK_UN);
	return JT_CONTROL_E_NOT_SERVING;
}

/* The `control PATH` line of the serving lock. */
static int socket_path(struct jt_control *c, int fd,
		       struct sockaddr_un *address)
{
	char text[PATH_MAX + 64];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	char *path, *end;

	if (n < 0)
		return -errno;
	text[n] = '\0';
	path = strstr(text, "\ncontrol ");
	end = path ? strchr(path + 9, '\n') : NULL;
	if (!end)
		return lost(c, "its lock file names no control socket");
	*end = '\0';
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	if ((size_t)(end - path - 9) >= sizeof(address->sun_path))
		return lost(c, "its control socket's path is too long");
	strcpy(address->sun_path, path + 9);
	return 0;
}

/* Who serves DATA, and where? */
static int locate(struct jt_control *c, const char *data,
		  struct sockaddr_un *address)
{
	char name[PATH_MAX];
	int fd, e;

	if (snprintf(name, sizeof(name), "%s/" JT_SERVING_NAME, data) >=
	    (int)sizeof(name))
		return -ENAMETOOLONG;
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? JT_CONTROL_E_NOT_SERVING : -errno;
	e = probe(fd);
	if (e == 0)
		e = socket_path(c, fd, address);
	close(fd);
	return e;
}

/* A full backlog refuses at once on AF_UNIX, so it is tried again. */
static int dial(struct jt_control *c, const struct sockaddr_un *address)
{
	uint64_t deadline_ms = now_ms() + c->timeout_ms;

	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		return -errno;
	while (connect(c->fd, (const struct sockaddr *)address,
		       sizeof(*address)) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return lost(c, "%s: %s", address->sun_path,
				    strerror(errno));
		if (now_ms() >= deadline_ms)
			return lost(c, "%s: busy", address->sun_path);
		poll(NULL, 0, RETRY_MS);
	}
	return 0;
}

static int check_peer(struct jt_control *c, const char *data,
		      const struct sockaddr_un *address)
{
	struct ucred peer;
	socklen_t bytes = sizeof(peer);
	struct stat st;

	if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes))
		return lost(c, "%s: %s", address->sun_path, strerror(errno));
	if (peer.uid == 0 || peer.uid == geteuid())
		return 0;
	if (stat(data, &st) == 0 && peer.uid == st.st_uid)
		return 0;
	return lost(c,
		    "%s is of uid %u, which is not root's, yours nor that of "
		    "the data directory's owner; find out who put it there",
		    address->sun_path, (unsigned)peer.uid);
}

/* A connection to who serves DATA. */
static int meet(struct jt_control *c, const char *data)
{
	struct sockaddr_un address;
	int e = locate(c, data, &address);

	if (e == 0)
		e = dial(c, &address);
	return e ? e : check_peer(c, data, &address);
}

int jt_control_connect(struct jt_control *c, const char *data,
		       unsigned timeout_ms)
{
	c->fd = -1;
	c->data = data;
	c->timeout_ms = timeout_ms;
	c->line[0] = '\0';
	return meet(c, data);
}

bool jt_control_where(const char *data, char dir[PATH_MAX])
{
	struct jt_control unused = {.fd = -1};
	struct sockaddr_un address;
	char *slash;

	if (locate(&unused, data, &address) != 0)
		return false;
	slash = strrchr(address.sun_path, '/');
	if (!slash)
		return false;
	*slash = '\0';
	strcpy(dir, address.sun_path);
	return true;
}

void jt_control_close(struct jt_control *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

/* Wait until FD is ready for EVENTS; false at the deadline. */
static bool ready(const struct jt_control *c, short events,
		  uint64_t deadline_ms)
{
	struct pollfd p = {.fd = c->fd, .events = events};
	uint64_t now;

	while ((now = now_ms()) < deadline_ms) {
		int n = poll(&p, 1, (int)(deadline_ms - now));

		if (n > 0)
			return true;
		if (n < 0 && errno != EINTR)
			return false;
	}
	return false;
}

static int hung_up(struct jt_control *c, const char *how)
{
	c->hung_up = true;
	return lost(c, "it hung up%s", how);
}

static int send_line(struct jt_control *c, const char *line, size_t bytes,
		     uint64_t deadline_ms)
{
	while (bytes) {
		ssize_t n = send(c->fd, line, bytes, MSG_NOSIGNAL);

		if (n > 0) {
			line += n;
			bytes -= (size_t)n;
			continue;
		}
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return hung_up(c, " before it was asked");
		if (!ready(c, POLLOUT, deadline_ms))
			return lost(c, "it takes no request");
	}
	return 0;
}

/* One whole line into c->line, its end cut off. */
static int receive_line(struct jt_control *c, uint64_t deadline_ms)
{
	size_t have = 0;
	char *end;

	while (have < sizeof(c->line)) {
		ssize_t n =
			recv(c->fd, c->line + have, sizeof(c->line) - have, 0);

		if (have == 0 && (n == 0 || (n < 0 && errno == ECONNRESET)))
			return hung_up(c, " before it answered");
		if (n == 0)
			return lost(c, "it hung up in its answer");
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return lost(c, "it hung up: %s", strerror(errno));
		if (n < 0) {
			if (!ready(c, POLLIN, deadline_ms))
				return lost(c, "it did not answer in %u ms",
					    c->timeout_ms);
			continue;
		}
		end = memchr(c->line + have, '\n', (size_t)n);
		have += (size_t)n;
		if (!end)
			continue;
		if (end != c->line + have - 1)
			return lost(c, "it answered more than was asked");
		*end = '\0';
		return 0;
	}
	return lost(c, "its answer is too long");
}

/* Replies are printed: no byte in them may act on a terminal. */
static bool is_plain(const char *line)
{
	for (; *line; line++)
		if ((uint8_t)*line < ' ' || *line == 0x7f)
			return false;
	return true;
}

static int refusal(struct jt_control *c)
{
	static const struct {
		const char *word;
		int e;
	} words[] = {
		{"ERR FULL ", JT_CONTROL_E_FULL},
		{"ERR GROWING ", JT_CONTROL_E_GROWING},
		{"ERR NOTFOUND ", JT_CONTROL_E_NOTFOUND},
		{"ERR RED ", JT_CONTROL_E_REFUSED},
		{"ERR TIMEOUT ", JT_CONTROL_E_REFUSED},
		{"ERR USAGE ", JT_CONTROL_E_REFUSED},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strncmp(c->line, words[i].word, strlen(words[i].word)) == 0)
			return words[i].e;
	return lost(c, "its answer is not understood");
}

static int exchange(struct jt_control *c, const char *request, size_t bytes)
{
	uint64_t deadline_ms = now_ms() + c->timeout_ms;
	int e;

	c->hung_up = false;
	e = send_line(c, request, bytes, deadline_ms);
	return e ? e : receive_line(c, deadline_ms);
}

/* Has it left for another one? False: c->line says what was lost. */
static bool follow(struct jt_control *c)
{
	int e;

	if (!c->hung_up || !c->data)
		return false;
	e = meet(c, c->data);
	if (e && e != JT_CONTROL_E_UNREACHABLE)
		lost(c, "it hung up before it answered");
	return e == 0;
}

/* Send one request; 0: c->line begins with "OK". */
__attribute__((format(printf, 2, 3))) static int ask(struct jt_control *c,
						     const char *fmt, ...)
{
	char request[256];
	va_list args;
	int n, e;

	if (c->fd < 0)
		return JT_CONTROL_E_UNREACHABLE;
	va_start(args, fmt);
	n = vsnprintf(request, sizeof(request), fmt, args);
	va_end(args);
	assert(n > 0 && (size_t)n < sizeof(request));
	e = exchange(c, request, (size_t)n);
	if (e && follow(c))
		e = exchange(c, request, (size_t)n);
	if (e)
		return e;
	if (!is_plain(c->line))
		return lost(c, "its answer is not text");
	if (strncmp(c->line, "OK", 2) == 0 &&
	    (c->line[2] == ' ' || c->line[2] == '\0'))
		return 0;
	return refusal(c);
}

/* N decimal numbers from *ATP on, which is moved behind them. */
static int take_numbers(struct jt_control *c, const char **atp,
			uint64_t *values, size_t n)
{
	const char *at = *atp;

	for (size_t i = 0; i < n; i++) {
		char *end;

		if (at[0] != ' ' || at[1] < '0' || at[1] > '9')
			return lost(c, "its answer is not understood");
		errno = 0;
		values[i] = strtoull(at + 1, &end, 10);
		if (errno)
			return lost(c, "its answer is out of range");
		at = end;
	}
	*atp = at;
	return 0;
}

/* Exactly N decimal numbers after "OK". */
static int numbers(struct jt_control *c, uint64_t *values, size_t n)
{
	const char *at = c->line + 2;
	int e = take_numbers(c, &at, values, n);

	if (e)
		return e;
	return *at ? lost(c, "its answer is not understood") : 0;
}

int jt_control_sync(struct jt_control *c, uint64_t number)
{
	uint64_t applied;
	int e = ask(c, "SYNC %" PRIu64 "\n", number);

	if (e == 0)
		e = numbers(c, &applied, 1);
	if (e == 0 && applied < number)
		return lost(c, "it answered before the change was in force");
	return e;
}

int jt_control_fit(struct jt_control *c, uint64_t at, const struct jt_room *r)
{
	uint64_t deadline_ms = now_ms() + JT_CONTROL_GROWING_MS;
	int e;

	do {
		e = ask(c,
			"FIT %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
			" %" PRIu64 "\n",
			at, r->tokens, r->values, r->plans, r->owner_bytes);
		if (e != JT_CONTROL_E_GROWING)
			break;
		poll(NULL, 0, JT_CONTROL_GROWING_STEP_MS);
	} while (now_ms() < deadline_ms);
	return e ? e : numbers(c, NULL, 0);
}

/* "OK number second", both 16 bits; a second above that reads as 0. */
static int two(struct jt_control *c, int e, uint16_t *numberp,
	       uint16_t *secondp)
{
	uint64_t v[2];

	if (e == 0)
		e = numbers(c, v, 2);
	if (e)
		return e;
	if (v[0] > UINT16_MAX)
		return lost(c, "its answer is out of range");
	*numberp = (uint16_t)v[0];
	*secondp = v[1] > UINT16_MAX ? 0 : (uint16_t)v[1];
	return 0;
}

int jt_control_limit(struct jt_control *c, uint64_t at,
		     const struct jt_limit *l, uint16_t *numberp,
		     uint16_t *nextp)
{
	int e = ask(c,
		    "LIMIT %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
		    " %" PRIu64 " %" PRIu32 " %" PRIu32 "\n",
		    at, l->rate, l->period_ns, l->burst, l->quota,
		    l->quota_unit, l->quota_minutes);

	return two(c, e, numberp, nextp);
}

int jt_control_plan(struct jt_control *c, uint64_t at,
		    const char name[JT_PLAN_MAX], uint16_t *numberp,
		    bool *removedp)
{
	uint16_t removed = 0;
	int e = ask(c, "PLAN %" PRIu64 " %.*s\n", at, JT_PLAN_MAX, name);

	e = two(c, e, numberp, &removed);
	*removedp = removed;
	return e;
}

int jt_control_scope(struct jt_control *c, uint64_t at,
		     const char name[JT_SCOPE_MAX], uint16_t *numberp,
		     uint16_t *nextp)
{
	int e = ask(c, "SCOPE %" PRIu64 " %.*s\n", at, JT_SCOPE_MAX, name);

	return two(c, e, numberp, nextp);
}

int jt_control_set(struct jt_control *c, uint64_t at, const uint8_t bits[32],
		   uint16_t *numberp, uint16_t *nextp)
{
	char hex[65];
	int e;

	sodium_bin2hex(hex, sizeof(hex), bits, 32);
	e = ask(c, "SET %" PRIu64 " %s\n", at, hex);
	return two(c, e, numberp, nextp);
}

int jt_control_pair(struct jt_control *c, uint64_t at, uint16_t plan,
		    uint16_t own, bool *knownp)
{
	uint64_t known;
	int e = ask(c, "PAIR %" PRIu64 " %u %u\n", at, plan, own);

	if (e == 0)
		e = numbers(c, &known, 1);
	if (e == 0)
		*knownp = known;
	return e;
}

int jt_control_users(struct jt_control *c, uint64_t at, uint16_t plan,
		     uint64_t *tokensp, uint64_t *pairsp)
{
	uint64_t v[2];
	int e = ask(c, "USERS %" PRIu64 " %u\n", at, plan);

	if (e == 0)
		e = numbers(c, v, 2);
	if (e)
		return e;
	*tokensp = v[0];
	*pairsp = v[1];
	return 0;
}

int jt_control_names(struct jt_control *c, uint16_t set)
{
	int e = ask(c, "NAMES %u\n", set);

	if (e == 0 && c->line[2] == '\0')
		return lost(c, "its answer is not understood");
	return e;
}

int jt_control_look(struct jt_control *c, const char id[JT_ID_BYTES],
		    struct jt_look *l)
{
	uint64_t v[15];
	int e = ask(c, "LOOK %.*s\n", JT_ID_BYTES, id);

	if (e == 0)
		e = numbers(c, v, 15);
	if (e)
		return e;
	*l = (struct jt_look){
		.first = v[0],
		.last = v[1],
		.plan = v[2],
		.own = v[3],
		.set = v[4],
		.uses = v[5],
		.refusals = v[6],
		.last_use_s = v[7],
		.old_use_s = v[8],
		.quota = v[9],
		.old_digest = {v[10], v[11], v[12], v[13]},
		.old_use_by = v[14],
	};
	return 0;
}

int jt_control_deny(struct jt_control *c, const char id[JT_ID_BYTES],
		    const char *reason)
{
	return ask(c, "DENY %.*s%s%s\n", JT_ID_BYTES, id, reason ? " " : "",
		   reason ? reason : "");
}

int jt_control_denied(struct jt_control *c, uint64_t *pendingp,
		      uint64_t *in_memoryp)
{
	uint64_t v[2];
	int e = ask(c, "DENIED\n");

	if (e == 0)
		e = numbers(c, v, 2);
	if (e == 0) {
		*pendingp = v[0];
		*in_memoryp = v[1];
	}
	return e;
}

int jt_control_pending(struct jt_control *c, uint64_t *fromp, uint64_t *clockp,
		       const char **idsp)
{
	uint64_t v[2];
	int e = ask(c, "PENDING %" PRIu64 "\n", *fromp);
	const char *at = c->line + 2;

	if (e == 0)
		e = take_numbers(c, &at, v, 2);
	if (e)
		return e;
	if (strlen(at) % (JT_ID_BYTES + 1) || (*at && v[1] <= *fromp))
		return lost(c, "its answer is not understood");
	for (const char *id = at; *id; id += JT_ID_BYTES + 1)
		if (*id != ' ')
			return lost(c, "its answer is not understood");
	*clockp = v[0];
	*fromp = v[1];
	*idsp = at;
	return 0;
}

int jt_control_save(struct jt_control *c)
{
	int e = ask(c, "SAVE\n");

	return e ? e : numbers(c, NULL, 0);
}

static int take_rows(struct jt_control *c, const char **atp,
		     struct jt_top_row *rows, uint64_t n)
{
	uint64_t v[5];
	int e = 0;

	for (uint64_t i = 0; e == 0 && i < n; i++) {
		e = take_numbers(c, atp, v, 5);
		rows[i] = (struct jt_top_row){v[0], v[1], v[2], v[3], v[4]};
	}
	return e;
}

int jt_control_top(struct jt_control *c, unsigned n, struct jt_top *top)
{
	uint64_t v[3] = {0};
	int e = ask(c, "TOP %u\n", n);
	const char *at = c->line + 2;

	if (e == 0)
		e = take_numbers(c, &at, v, 3);
	if (e)
		return e;
	if (v[1] > n || v[2] > n || n > JT_TOP_ROWS)
		return lost(c, "its answer is out of range");
	top->span_ms = v[0];
	top->n_used = v[1];
	top->n_refused = v[2];
	e = take_rows(c, &at, top->used, top->n_used);
	if (e == 0)
		e = take_rows(c, &at, top->refused, top->n_refused);
	if (e == 0 && *at)
		return lost(c, "its answer is not understood");
	return e;
}

int jt_control_upgrade(struct jt_control *c, uint64_t *pidp,
		       const char **versionp)
{
	const char *at = c->line + 2;
	int e;

	c->data = NULL; /* asked twice it would be another one */
	e = ask(c, "UPGRADE\n");
	if (e == 0)
		e = take_numbers(c, &at, pidp, 1);
	if (e)
		return e;
	*versionp = *at ? at + 1 : at;
	return 0;
}

int jt_control_status(struct jt_control *c)
{
	int e = ask(c, "STATUS\n");

	if (e == 0 && c->line[2] == '\0')
		return lost(c, "its answer is not understood");
	return e;
}
