/*
 * http_door: see http_door.h.
 *
 * libmicrohttpd calls for a request's head, then for pieces of a body if there
 * is one, then once more; answered at the last call the connection is kept,
 * answered at the first it is not. So `/auth/` without a body is answered at
 * the last, and where a body is claimed at the first: nothing is ever read as
 * the body that may never come, or as the request that may be hidden in it.
 *
 * A field that goes on in a second line: libmicrohttpd 0.9.75 hangs that line
 * on the field's *name*, which it moves, away from the value. So a name that
 * does not stand right before its value is of such a field, and whatever it
 * reads now, it is not looked at; the connection is ended after the answer.
 *
 * Time. libmicrohttpd's own limit starts anew with every byte, so it is off,
 * and each connection has a deadline for what it is at: the first request, the
 * rest of a head, a body, the next request. A head that begins on a kept
 * connection is seen from its first line on only; until then it has what is
 * left for the next request. At its deadline a connection is shut down, which
 * the library notices as it would the client's going.
 */
#include "sidecar/http_door.h"

#include "sidecar/child.h"
#include "sidecar/http_serve.h"
#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <microhttpd.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define NS_PER_S 1000000000ull
#define HEAD_NS (5 * NS_PER_S)
#define BODY_NS (10 * NS_PER_S)
#define IDLE_NS (75 * NS_PER_S)
/* A head and lists of its fields. The library zeroes all of it behind each
 * request, so a larger one costs time and cache; it only frees it at the
 * connection's end, so freed memory is overwritten, with the tokens in it. */
#define POOL_BYTES 20480u
#define OVERWRITE 0x55
#define SPARE 64u		    /* beyond the limit, to be told 503 */
#define BODIES_MAX (16u * 1048576u) /* of all connections */

/* ---- what libmicrohttpd calls ---- */

static struct jt_http_conn *conn_of(struct MHD_Connection *connection)
{
	return MHD_get_connection_info(connection,
				       MHD_CONNECTION_INFO_SOCKET_CONTEXT)
		->socket_context;
}

/* Does NAME end right before VALUE, but for the colon and blanks? */
static bool is_one_line(const char *name, size_t bytes, const char *value)
{
	uintptr_t at = (uintptr_t)name + bytes + 1, end = (uintptr_t)value;

	if (end < at || end - at > JT_HTTP_HEAD_MAX)
		return false;
	for (; at < end; at++)
		if (*(const char *)at != ' ' && *(const char *)at != '\t')
			return false;
	return true;
}

static enum MHD_Result on_field(void *ctx, enum MHD_ValueKind kind,
				const char *name, size_t name_bytes,
				const char *value, size_t value_bytes)
{
	struct jt_http_request *q = ctx;

	if (!value || is_one_line(name, name_bytes, value))
		jt_http_field(q, name, name_bytes, value ? value : "",
			      value_bytes);
	else
		q->folded = true;
	return MHD_YES;
}

static void read_head(struct jt_http_conn *c, struct MHD_Connection *connection,
		      const char *method, const char *path)
{
	size_t line_bytes = c->request.head_bytes;

	jt_http_begin(&c->request, method, path);
	c->request.head_bytes += line_bytes;
	MHD_get_connection_values_n(connection, MHD_HEADER_KIND, on_field,
				    &c->request);
}

/* Into more room; realloc() would leave the tokens of it behind. */
static void move_body(struct jt_http_conn *c, char *more)
{
	if (c->body) {
		memcpy(more, c->body, c->body_bytes);
		sodium_memzero(c->body, c->body_bytes);
	}
	free(c->body);
	c->body = more;
}

/* False: there is more of it than may be. */
static bool take_body(struct jt_http_door *d, struct jt_http_conn *c,
		      const char *piece, size_t bytes)
{
	size_t most = jt_http_body_max(c->request.route), room;
	char *more;

	if (c->too_large || bytes > most - c->body_bytes)
		return false;
	if (c->body_bytes + bytes > c->body_room) {
		room = 2 * c->body_room + bytes;
		room = room < most ? room : most;
		if (room - c->body_room > BODIES_MAX - d->bodies_bytes ||
		    !(more = malloc(room)))
			return false;
		move_body(c, more);
		d->bodies_bytes += room - c->body_room;
		c->body_room = room;
	}
	memcpy(c->body + c->body_bytes, piece, bytes);
	c->body_bytes += bytes;
	return true;
}

static void drop_body(struct jt_http_door *d, struct jt_http_conn *c)
{
	if (c->body)
		sodium_memzero(c->body, c->body_bytes);
	free(c->body);
	d->bodies_bytes -= c->body_room;
	c->body = NULL;
	c->body_bytes = c->body_room = 0;
	c->too_large = false;
}

/* Is it answered now, so that the connection ends behind the answer? */
static bool is_answered_at_head(struct jt_http_door *d, struct jt_http_conn *c)
{
	const struct jt_http_request *q = &c->request;
	size_t most = jt_http_body_max(q->route);

	if (c->busy)
		jt_count(&d->desk->busy, 1);
	c->too_large = most && q->body_bytes > most;
	if (q->has_body && (!most || c->too_large || q->wrong_method))
		return true;
	return c->busy || q->folded || q->unclear ||
	       q->head_bytes > JT_HTTP_HEAD_MAX;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection,
				  const char *path, const char *method,
				  const char *version, const char *upload,
				  size_t *upload_bytesp, void **requestp)
{
	struct jt_http_door *d = ctx;
	struct jt_http_conn *c = *requestp;

	/* its line may have come in a round long over */
	jt_http_door_wake(d);
	if (c->phase != JT_HTTP_ASKED) {
		c->phase = JT_HTTP_ASKED;
		c->deadline_ns = d->now.boot_ns + BODY_NS;
		read_head(c, connection, method, path);
		return is_answered_at_head(d, c)
			       ? jt_http_serve(d, c, connection)
			       : MHD_YES;
	}
	if (*upload_bytesp == 0)
		return jt_http_serve(d, c, connection);
	c->too_large |= !take_body(d, c, upload, *upload_bytesp);
	*upload_bytesp = 0;
	return MHD_YES;
}

/*
 * The query is nobody's here, and the library would make a list of it, longer
 * than there is room for; its first byte ends it. The line is the connection's
 * own memory, which the library itself cuts up right after this.
 */
static size_t drop_query(const char *uri)
{
	char *query = strchr((char *)(uintptr_t)uri, '?');
	size_t bytes = query ? strlen(query) : 0;

	if (query)
		query[1] = '\0';
	return bytes;
}

/* A first line has come. What it returns is on_request()'s *REQUESTP. */
static void *on_line(void *ctx, const char *uri,
		     struct MHD_Connection *connection)
{
	struct jt_http_door *d = ctx;
	struct jt_http_conn *c = conn_of(connection);

	jt_http_door_wake(d);
	c->phase = JT_HTTP_HEAD;
	c->deadline_ns = d->now.boot_ns + HEAD_NS;
	c->request.head_bytes = uri ? drop_query(uri) : 0;
	return c;
}

static void on_done(void *ctx, struct MHD_Connection *connection,
		    void **requestp, enum MHD_RequestTerminationCode why)
{
	struct jt_http_door *d = ctx;
	struct jt_http_conn *c = *requestp;

	if (!c)
		return;
	drop_body(d, c);
	c->phase = JT_HTTP_IDLE;
	c->deadline_ns = d->now.boot_ns + IDLE_NS;
}

static void on_connection(void *ctx, struct MHD_Connection *connection,
			  void **contextp,
			  enum MHD_ConnectionNotificationCode what)
{
	struct jt_http_door *d = ctx;
	struct jt_http_conn *c = *contextp;

	if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (c->known)
			jt_peers_leave(&d->peers, &c->caller);
		c->fd = -1;
		d->free_slots[d->n_free++] = (uint32_t)(c - d->conns);
		d->n_open--;
	} else {
		jt_http_door_wake(d);
		/* libmicrohttpd lets no more in than there are slots */
		assert(d->n_free);
		c = &d->conns[d->free_slots[--d->n_free]];
		*c = (struct jt_http_conn){
			.fd = MHD_get_connection_info(
				      connection,
				      MHD_CONNECTION_INFO_CONNECTION_FD)
				      ->connect_fd,
			.busy = ++d->n_open > d->connections_max,
			.deadline_ns = d->now.boot_ns + HEAD_NS,
		};
		c->known = !jt_peers_join(&d->peers, c->fd, &c->caller);
		c->busy |= !c->known;
		*contextp = c;
		jt_count(&d->desk->accepted, 1);
	}
	jt_store_seq(&d->desk->connections, d->n_open);
}

/* Paths are compared as they were sent. */
static size_t leave_as_is(void *ctx, struct MHD_Connection *connection,
			  char *text)
{
	return strlen(text);
}

/* ---- the door ---- */

static void read_wants(struct jt_http_wants *w, const struct jt_policy *p)
{
	w->n = p->n_scopes < JT_POLICY_SCOPES_MAX ? p->n_scopes
						  : JT_POLICY_SCOPES_MAX;
	for (uint32_t i = 0; i < w->n; i++)
		w->scopes[i] = (struct jt_bytes){
			(const uint8_t *)p->scopes[i],
			(uint32_t)strnlen(p->scopes[i], JT_POLICY_SCOPE)};
}

static void take_settings(struct jt_http_door *d)
{
	for (uint32_t i = 0; i < d->peers.settings.n_policies; i++)
		read_wants(&d->wants[i], &d->peers.settings.policies[i]);
}

int jt_http_door_init(struct jt_http_door *d, const struct jt_maps *maps,
		      struct jt_memo *memo, unsigned desk,
		      unsigned connections_max)
{
	mallopt(M_PERTURB, OVERWRITE);
	d->maps = maps;
	d->memo = memo;
	d->desk = &maps->board[desk];
	jt_peers_init(&d->peers, maps, desk);
	take_settings(d);
	d->connections_max = connections_max;
	d->query = jt_child_reserve(sizeof(*d->query));
	d->n_slots = d->n_free = JT_HTTP_LISTENERS * (connections_max + SPARE);
	d->conns = calloc(d->n_slots, sizeof(*d->conns));
	d->free_slots = calloc(d->n_slots, sizeof(*d->free_slots));
	if (!d->query || !d->conns || !d->free_slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < d->n_slots; i++) {
		d->conns[i].fd = -1;
		d->free_slots[i] = d->n_slots - 1 - i;
	}
	jt_http_door_settle(d);
	jt_http_door_wake(d);
	return 0;
}

struct MHD_Daemon *jt_http_door_open(struct jt_http_door *d, int listener)
{
	return MHD_start_daemon(
		MHD_USE_EPOLL, 0, NULL, NULL, on_request, d,
		MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_CONNECTION_LIMIT,
		d->connections_max + SPARE, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)POOL_BYTES, MHD_OPTION_URI_LOG_CALLBACK, on_line, d,
		MHD_OPTION_UNESCAPE_CALLBACK, leave_as_is, NULL,
		MHD_OPTION_NOTIFY_COMPLETED, on_done, d,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, d, MHD_OPTION_END);
}

void jt_http_door_settle(struct jt_http_door *d)
{
	d->settled = true;
}

void jt_http_door_wake(struct jt_http_door *d)
{
	uint64_t before = d->peers.generation;

	if (!d->settled)
		return;
	d->settled = false;
	d->now = jt_child_now();
	jt_peers_follow(&d->peers);
	if (d->peers.generation != before)
		take_settings(d);
}

/* Nothing of a next request has come. */
static bool is_silent(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0;
}

void jt_http_door_clear(struct jt_http_door *d)
{
	for (uint32_t i = 0; i < d->n_slots; i++) {
		struct jt_http_conn *c = &d->conns[i];

		/* seen as closed by the library, which frees it */
		if (c->fd >= 0 && c->phase == JT_HTTP_IDLE && is_silent(c->fd))
			shutdown(c->fd, SHUT_RDWR);
	}
}

void jt_http_door_expire(struct jt_http_door *d)
{
	for (uint32_t i = 0; i < d->n_slots; i++) {
		struct jt_http_conn *c = &d->conns[i];

		if (c->fd < 0 || d->now.boot_ns < c->deadline_ns)
			continue;
		if (c->phase != JT_HTTP_IDLE)
			jt_count(&d->desk->slow, 1);
		c->deadline_ns = UINT64_MAX;
		shutdown(c->fd, SHUT_RDWR);
	}
}
