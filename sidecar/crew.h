/*
 * crew: the keeper's processes, workers and one scribe: start, watch, restart,
 * stop.
 *
 * Who ends unasked is started again: at once when it had served for
 * a second, else after a delay that doubles up to five seconds. Keeper only.
 */
#ifndef JT_SIDECAR_CREW_H
#define JT_SIDECAR_CREW_H

#include "sidecar/scribe.h"
#include "sidecar/worker.h"
#include <stdbool.h>
#include <sys/types.h>

struct jt_hand {
	pid_t pid; /* 0: not running */
	uint64_t started_ns, start_at_ns;
	unsigned failures; /* short lives in a row */
	int crossing;	   /* our end, see crossing.h; -1: none */
	bool owed;	   /* the newest table was not sent yet */
	bool dismissed;	   /* it has been told the way out */
};

struct jt_crew {
	struct jt_worker_args args; /* `number` apart */
	struct jt_maps *maps;
	struct jt_hand hands[JT_WORKERS_MAX]; /* by desk */
	unsigned n_hands;		      /* at both doors */
	bool hopeless; /* a worker said that starting again will not help */
	struct jt_scribe_args scribe_args; /* `io` NULL: no scribe */
	struct jt_hand scribe;
	int link;		  /* our end, -1: none */
	uint64_t asked, answered; /* tickets, see scribe.h */
	bool leaving;		  /* nobody is started again */
	pid_t successor; /* a child that is none of the crew; 0: none, or it
			  * ended, and how: */
	int successor_status;
	int save_rc;		/* of the scribe's last round */
	bool heard;		/* this one has done a round */
	uint32_t scribe_layers; /* sandbox.h */
	/* the scribe's, its CPU time with that of those before it */
	struct jt_figures figures;
	uint64_t before_ns;
};

/*
 * Opens the wake-up descriptors. ARGS: all but number, wakes and crossing; its
 * descriptor of identity is the crew's.
 */
int jt_crew_init(struct jt_crew *crew, const struct jt_worker_args *args,
		 struct jt_maps *maps);

/* Have a scribe, too, that writes into the open directory DIR_FD. */
void jt_crew_keep_usage(struct jt_crew *crew, const struct jt_io *io,
			int dir_fd);

/*
 * The table has grown: IDENTITY, a descriptor that is the crew's from now on,
 * is for all who are there and for those who start. Returns the one before,
 * which is the caller's. A full link is tried again by jt_crew_tend().
 */
int jt_crew_offer(struct jt_crew *crew, int identity);
/* Do all workers look into the newest table? */
bool jt_crew_crossed(const struct jt_crew *crew);

/*
 * Workers shall hand their connections over there and end. False: some could
 * not be told yet; then once more.
 */
bool jt_crew_dismiss(struct jt_crew *crew, int queue);
/* Is nobody left? */
bool jt_crew_is_gone(const struct jt_crew *crew);
/* Descriptors by which others see that they have ended, of all that are there:
 * how many, at most JT_WORKERS_MAX; negative errno. */
int jt_crew_pidfds(const struct jt_crew *crew, int *fds);

/* Ask it for a whole round, now; the ticket. Nobody waits here. */
uint64_t jt_crew_save(struct jt_crew *crew);
/* Is a round over that began after that? crew->save_rc says how it went. */
bool jt_crew_saved(struct jt_crew *crew, uint64_t ticket);

/* Has it died so often that use counts are not saved? */
bool jt_crew_is_mute(const struct jt_crew *crew);

/* Take the dead off, start who is due. Returns ms until somebody is due. */
unsigned jt_crew_tend(struct jt_crew *crew, uint64_t now_ns);

/* Ask all workers to stop; after WAIT_MS kill who is left. */
void jt_crew_stop(struct jt_crew *crew, unsigned wait_ms);

/*
 * Then the scribe, which with SAVE does one more round. 0; what that round came
 * to; -ETIME: it was not done in WAIT_MS.
 */
int jt_crew_stop_scribe(struct jt_crew *crew, bool save, unsigned wait_ms);

#endif
