/*
 * doors: locks and sockets of one daemon: who may serve, and where.
 *
 * Keeper only, at start and stop.
 */
#ifndef JT_SIDECAR_DOORS_H
#define JT_SIDECAR_DOORS_H

#include "admin/control.h"
#include "admin/paths.h"
#include "shm/attach.h"
#include "sidecar/handover.h"

#define JT_RUN_LOCK_NAME "jetond.lock"
#define JT_BOOT_ID_BYTES 36u
#define JT_HTTP_NAME "jeton-http.sock"

/* Listening sockets that somebody opened for us; -1: we open our own. */
struct jt_passed {
	int resp, http, tcp, attach, control;
};
#define JT_PASSED_NONE ((struct jt_passed){-1, -1, -1, -1, -1})

/* Which doors there are beside RESP and control. */
struct jt_doors_want {
	const struct jt_passed *passed; /* NULL: none */
	bool http;
	/* loopback address and port, "127.0.0.1:9180" or "[::1]:9180"; "" */
	const char *http_listen;
};

/* Which file that is, as long as something has it open. */
struct jt_file_id {
	uint64_t dev, ino; /* 0: none */
};

struct jt_doors {
	struct jt_paths paths;
	int serving_lock; /* in the data directory: one daemon a journal */
	int run_lock;	  /* in the run directory: one daemon a socket */
	int resp;
	int control;
	int http;     /* -1: not asked for */
	int http_tcp; /* likewise */
	int attach;
	struct jt_passed passed; /* those that we did not open: their paths
				  * stay when we end */
	/* another daemon's still, or already: our end removes no path */
	bool borrowed;
	/* what we bound; whatever stands at the path instead stays there */
	struct jt_file_id bound[JT_DOORS_N];
	/* the lock's text says that processes verify by themselves: ours or a
	 * predecessor's that was killed since the machine was started */
	bool attached;
	char boot_id[JT_BOOT_ID_BYTES + 1];
};

/* Is that a loopback address and a port? */
bool jt_doors_loopback_ok(const char *text);

/* All shut, so that closing does nothing. */
void jt_doors_init(struct jt_doors *doors);

/*
 * Take both locks, waiting a little for a predecessor's workers to be gone,
 * and open the sockets, but for those that are passed: these are checked, and
 * are ours from now on. faultp: one line. Negative errno, or 1: taken, or
 * passed and not what the door needs.
 */
int jt_doors_open(struct jt_doors *doors, const struct jt_paths *paths,
		  const struct jt_doors_want *want, struct jt_fault *faultp);

/*
 * The same with locks and sockets that the daemon before hands over (FDS by
 * enum jt_handover_door, -1: none; PASSED: bits of those that were passed to
 * it). All of them are the doors' from now on, and borrowed. What is wanted and
 * was not handed over is opened.
 */
int jt_doors_inherit(struct jt_doors *doors, const struct jt_paths *paths,
		     const int fds[JT_DOORS_N], uint32_t passed,
		     const struct jt_doors_want *want, struct jt_fault *faultp);
/* They are no longer borrowed: the lock names this process. Negative errno. */
int jt_doors_own(struct jt_doors *doors);
/* The other way round: FDS and bits, the meters' place is left. */
void jt_doors_offer(const struct jt_doors *doors, int fds[JT_DOORS_N],
		    uint32_t *passedp);

/* Let the lock's text say that, or no longer. Negative errno. */
int jt_doors_mark(struct jt_doors *doors, bool attached);

/* Does the serving lock's path still name the file that we hold? */
bool jt_doors_ours(const struct jt_doors *doors);

/*
 * Accepting failed with ERR: is it that there is no descriptor or no memory for
 * one more? Then who waits is still there, so the door is not polled until the
 * next try.
 */
bool jt_doors_no_room(int err);

/*
 * Remove the sockets, but what somebody has put in the place of one; leave the
 * locks.
 */
void jt_doors_close(struct jt_doors *doors);

#endif
