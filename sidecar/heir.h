/*
 * heir: the newer daemon's part of an upgrade (handover.h).
 *
 * From being started by the older one until that has gone. Keeper only; but
 * for the first word nothing here waits.
 */
#ifndef JT_SIDECAR_HEIR_H
#define JT_SIDECAR_HEIR_H

#include "admin/journal.h"
#include "sidecar/handover.h"
#include "sidecar/room.h"

enum jt_heir_phase {
	JT_HEIR_NONE = 0, /* nobody is before us, any more */
	JT_HEIR_LEARNS,	  /* it replays; the older one serves */
	JT_HEIR_READY,	  /* it has said so */
	JT_HEIR_GIVEN,	  /* the estate is here */
	JT_HEIR_SERVES,	  /* both are here */
};

struct jt_heir {
	enum jt_heir_phase phase;
	int link;
	struct jt_handover_word offer;
	int doors[JT_DOORS_N]; /* -1: none; taken by the caller */
	struct jt_inherited inherited;
	int queue;   /* our workers read from it */
	int way_out; /* the other end, for the older one's workers */
	int estate;  /* JT_HEIR_GIVEN: see estate.h; taken by the caller */
	int pidfds[JT_HANDOVER_FDS]; /* of the older one's workers */
	unsigned n_pidfds;
	uint64_t theirs; /* what the older one has applied */
	uint64_t told;
	bool said_goodbye, hurried;
};

enum jt_heir_event {
	JT_HEIR_GOES_ON = 0,
	JT_HEIR_GAVE_UP, /* before we served: it goes on, we end */
	JT_HEIR_ALONE,	 /* all of it is gone */
};

/* All closed, nobody before us. */
void jt_heir_init(struct jt_heir *h);

/*
 * Were we started by a daemon that hands over? Then its offer is here, and the
 * phase is LEARNS. Waits for it. Not 0: faultp says why not.
 */
int jt_heir_begin(struct jt_heir *h, const char *version,
		  struct jt_fault *faultp);

/* Ready from NUMBER on. Negative errno. */
int jt_heir_ready(struct jt_heir *h, uint64_t number);

/* The table serves, from NUMBER on. */
void jt_heir_serves(struct jt_heir *h, uint64_t number);

/* Once a turn: hear and say. */
enum jt_heir_event jt_heir_tend(struct jt_heir *h, uint64_t applied);

/* We need room that there is only without it; said once. */
void jt_heir_hurry(struct jt_heir *h);

/* What of a journal the older one has in force; UINT64_MAX: it is not there. */
uint64_t jt_heir_theirs(const struct jt_heir *h);

void jt_heir_deinit(struct jt_heir *h);

#endif
