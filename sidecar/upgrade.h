/*
 * upgrade: the older daemon's part of an upgrade (handover.h): it starts the
 * next one from the file that it was started from, which may be another one by
 * now, and tells its keeper what to do when. Keeper only; nothing here waits.
 *
 * Killed before the estate is given, it takes the next one with it, as nobody
 * else knows whose line is whose: who watches over them starts one anew.
 * Stopped meanwhile, it confirms nothing, and the next one alone nothing
 * either. Told to stop before it heard that the next one serves, both do.
 */
#ifndef JT_SIDECAR_UPGRADE_H
#define JT_SIDECAR_UPGRADE_H

#include "sidecar/handover.h"
#include "sidecar/service.h"
#include <limits.h>
#include <sys/types.h>

enum jt_upgrade_phase {
	JT_UPGRADE_NONE = 0,
	JT_UPGRADE_STARTS, /* the next one is not heard of yet */
	JT_UPGRADE_LEARNS, /* it has the doors, and replays */
	JT_UPGRADE_GIVEN,  /* it has the estate */
	JT_UPGRADE_SERVES, /* it serves; ours leave */
};

/* What the keeper is to do now, and then to call. */
enum jt_upgrade_event {
	JT_UPGRADE_GOES_ON = 0,
	JT_UPGRADE_OFFER,  /* jt_upgrade_offer() */
	JT_UPGRADE_ESTATE, /* jt_upgrade_give() */
	JT_UPGRADE_LEAVE,  /* let the crew leave */
	JT_UPGRADE_HURRY,  /* and soon */
	JT_UPGRADE_STOP,   /* the next one was told to stop: so do we */
	JT_UPGRADE_FAILED, /* take back what was given; u->why */
};

struct jt_upgrade {
	enum jt_upgrade_phase phase;
	char **argv;
	char path[PATH_MAX]; /* of our own program; "": unknown */
	int link;
	pid_t pid;
	uint64_t now_ns, deadline_ns;
	int way_out; /* for our workers; -1: none */
	uint64_t theirs, told;
	uint64_t n_done, n_failed;	/* since the start */
	char version[JT_HANDOVER_TEXT]; /* of the next one */
	char why[240];			/* the last one failed */
};

/* ARGV lives as long as the daemon. */
void jt_upgrade_init(struct jt_upgrade *u, char **argv);

/* Start the next one. False: u->why. Not while there is one under way. */
bool jt_upgrade_start(struct jt_upgrade *u,
		      const struct jt_service_link *service, uint64_t now_ns);

/*
 * Once a turn. STATUS: how the child ended, if it did (`pid` is 0 then in
 * CHILDP). APPLIED is told to the next one once it has the estate.
 */
enum jt_upgrade_event jt_upgrade_tend(struct jt_upgrade *u, pid_t child,
				      int status, uint64_t applied,
				      uint64_t now_ns);

/* WORD: seed, capacity, desks; FDS and PASSED as jt_doors_offer() has them. */
void jt_upgrade_offer(struct jt_upgrade *u, struct jt_handover_word *word,
		      const int fds[JT_DOORS_N], uint32_t passed);
/* ESTATE and descriptors of processes, which are closed; or why not. */
void jt_upgrade_give(struct jt_upgrade *u, uint64_t applied, int *fds,
		     unsigned n, const char *why_not);

/* The last word before we end. */
void jt_upgrade_goodbye(struct jt_upgrade *u, uint64_t applied);

/* It shall not come to serve. Seen as FAILED in a later turn. */
void jt_upgrade_abort(struct jt_upgrade *u);

/* What of a journal the next one has in force; UINT64_MAX: it serves not. */
uint64_t jt_upgrade_theirs(const struct jt_upgrade *u);

#endif
