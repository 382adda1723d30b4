/*
 * http_door: connections of an HTTP worker, and what is answered on them.
 *
 * Holds what libmicrohttpd calls back: a request's fields are read at the end
 * of its head, decided at once, and answered. One thread.
 *
 *   init  open(listener)*
 *   then for ever: settle, wait on libmicrohttpd, wake, expire
 */
#ifndef JT_SIDECAR_HTTP_DOOR_H
#define JT_SIDECAR_HTTP_DOOR_H

#include "sidecar/http_answer.h"
#include "sidecar/http_json.h"
#include "sidecar/http_request.h"
#include "sidecar/peers.h"
#include "sidecar/refusals.h"

struct MHD_Connection;
struct MHD_Daemon;

enum jt_http_phase {
	JT_HTTP_FRESH = 0, /* no request yet */
	JT_HTTP_IDLE,	   /* between requests */
	JT_HTTP_HEAD,	   /* the first line has come, the rest has not */
	JT_HTTP_ASKED,	   /* its head has, a body may not */
};

struct jt_http_conn {
	int fd; /* -1: free */
	enum jt_http_phase phase;
	bool busy;  /* over the limit: 503 is all that it gets */
	bool known; /* `caller` counts among its user's connections */
	struct jt_caller caller;
	uint64_t deadline_ns;
	struct jt_http_request request;
	bool too_large; /* its body, or all that wait for theirs */
	char *body;	/* what has come of it */
	size_t body_bytes, body_room;
};

/* A policy's scopes as jt_ask takes them. */
struct jt_http_wants {
	uint32_t n;
	struct jt_bytes scopes[JT_POLICY_SCOPES_MAX];
};

struct jt_crossing;

struct jt_http_door {
	const struct jt_maps *maps;
	struct jt_memo *memo;
	struct jt_crossing *crossing; /* NULL: the table never grows */
	struct jt_desk *desk;
	unsigned connections_max, n_open;
	struct jt_http_conn *conns; /* of all listeners, busy ones too */
	uint32_t *free_slots, n_free, n_slots;
	struct jt_now now;
	bool settled;	       /* `now` and `peers` are of the round before */
	struct jt_peers peers; /* and the settings that hold */
	struct jt_refusals *refusals; /* for the log; NULL: not wanted */
	struct jt_http_wants wants[JT_POLICIES_MAX];
	struct jt_http_query *query;
	size_t bodies_bytes; /* reserved for bodies */
	struct jt_http_answer answer;
	uint8_t scratch[JT_HTTP_HEAD_MAX];
};

/* 0, or -ENOMEM. MAPS and MEMO outlive it; DESK is the worker's number. */
int jt_http_door_init(struct jt_http_door *door, const struct jt_maps *maps,
		      struct jt_memo *memo, unsigned desk,
		      unsigned connections_max);

/* Serve on that listener; at most JT_HTTP_LISTENERS. NULL: it cannot be. */
#define JT_HTTP_LISTENERS 2u
struct MHD_Daemon *jt_http_door_open(struct jt_http_door *door, int listener);

/* A round begins: who is called back first after the wait wakes the door. */
void jt_http_door_settle(struct jt_http_door *door);

/*
 * The wait is over: the clock is read and settings are followed, unless
 * somebody did so in this round. Before the wait would be too early: what was
 * changed meanwhile holds for the request that ends it.
 */
void jt_http_door_wake(struct jt_http_door *door);

/* End connections that have had their time. */
void jt_http_door_expire(struct jt_http_door *door);

/* End those between two requests. */
void jt_http_door_clear(struct jt_http_door *door);

#endif
