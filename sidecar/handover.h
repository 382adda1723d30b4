/*
 * handover: what two keepers say to each other while one takes over from the
 * other, so that an upgrade refuses nobody and forgets no revoke.
 *
 *   older                                  newer
 *   starts it, with one end of a pair of
 *   sockets named in JETON_HANDOVER
 *                      <-- HELLO           it is there, with this form
 *   OFFER -->                              locks, doors, meters
 *                                          replays, starts workers that wait
 *                      <-- READY
 *   ESTATE -->                             who has which line; the queue
 *   (from here on SYNC waits for both)
 *                      <-- SERVING         its workers accept
 *   its workers hand their connections over and end
 *   APPLIED -->        <-- APPLIED         whenever it is another number
 *   GONE -->                               so do its HTTP workers; it ends
 *                      <-- HURRY           it needs room: leave soon
 *                      <-- GONE            it was told to stop: so are both
 *
 * Before SERVING the older one has given up nothing: whatever the newer one
 * says or does not say, it goes on. After it, should the newer one die, the
 * older takes everything back. Should the older one die, the newer goes on
 * alone once it has the estate, and before that ends, too.
 *
 * The form is the same for any two builds. Keeper only.
 */
#ifndef JT_SIDECAR_HANDOVER_H
#define JT_SIDECAR_HANDOVER_H

#include "shm/layout.h"
#include <stdbool.h>
#include <stdint.h>

#define JT_HANDOVER_VARIABLE "JETON_HANDOVER"
#define JT_HANDOVER_VERSION 1u
#define JT_HANDOVER_TEXT 160u
#define JT_HANDOVER_FDS (JT_WORKERS_MAX + 4u)

enum jt_handover_kind {
	JT_HANDOVER_HELLO = 1,
	JT_HANDOVER_OFFER,
	JT_HANDOVER_READY,
	JT_HANDOVER_ESTATE,
	JT_HANDOVER_SERVING,
	JT_HANDOVER_APPLIED,
	JT_HANDOVER_GONE,
	JT_HANDOVER_HURRY,
};

/* Descriptors of an OFFER, in this order, as far as `have` says. */
enum jt_handover_door {
	JT_DOOR_SERVING_LOCK = 0,
	JT_DOOR_RUN_LOCK,
	JT_DOOR_METERS,
	JT_DOOR_RESP,
	JT_DOOR_CONTROL,
	JT_DOOR_ATTACH,
	JT_DOOR_HTTP,
	JT_DOOR_HTTP_TCP,
	JT_DOORS_N,
};

struct jt_handover_word {
	uint32_t kind; /* enum jt_handover_kind */
	uint32_t version;
	uint64_t number;    /* applied; of all but HELLO */
	uint64_t capacity;  /* OFFER: of the table */
	uint64_t seed;	    /* OFFER */
	uint32_t have;	    /* OFFER: bit i: enum jt_handover_door */
	uint32_t passed;    /* OFFER: those that a service manager opened */
	uint32_t desk;	    /* OFFER: the first that is free .. */
	uint32_t n_desks;   /* .. and how many */
	uint64_t started_s; /* OFFER: since when there is one */
	char text[JT_HANDOVER_TEXT]; /* HELLO: its version */
};

/* Says JT_HANDOVER_VERSION. 0 or negative errno; -EAGAIN: try again. */
int jt_handover_send(int link, struct jt_handover_word *word, const int *fds,
		     unsigned n_fds);

/*
 * What has come: FDS has room for JT_HANDOVER_FDS, close-on-exec. 0; -EAGAIN:
 * nothing yet; -EPIPE: the other one is gone; -EPROTO: no word of this form.
 */
int jt_handover_receive(int link, struct jt_handover_word *word, int *fds,
			unsigned *n_fdsp);

void jt_handover_close(const int *fds, unsigned n);

/* The link that we were started with; -1: nobody hands over to us. */
int jt_handover_link(void);

#endif
