/*
 * control: the keeper's end of admin/control.h.
 *
 * A few admin connections, each one request line at a time. A line that asks
 * for a journal number not yet in force waits for it; nothing here blocks.
 * Keeper only.
 */
#ifndef JT_SIDECAR_CONTROL_H
#define JT_SIDECAR_CONTROL_H

#include "sidecar/denials.h"
#include "sidecar/feed.h"
#include "sidecar/ranks.h"
#include <poll.h>

#define JT_CONTROLS_MAX 16u
#define JT_CONTROL_WAIT_NS 10000000000ull   /* for a number to come in force */
#define JT_CONTROL_SILENT_NS 60000000000ull /* an idle admin is closed */

struct jt_control_client {
	int fd;	      /* -1: free */
	uint32_t uid; /* of who connected */
	bool waiting; /* a whole line stands in `line`, its number not yet */
	uint32_t len;
	uint64_t since_ns;
	uint64_t ticket; /* of the save that it waits for; 0: none */
	char line[256];
};

struct jt_controls {
	int listener;
	struct jt_control_client clients[JT_CONTROLS_MAX];
	bool closed;  /* nobody is let in: another daemon answers there */
	bool no_room; /* for one more descriptor: the listener is not polled */
	struct jt_feed *feed;
	uint64_t hold_until_ns; /* no SYNC is answered OK before (attach.h) */
	struct jt_ranks ranks;
	struct jt_denials *denials;
	/* Fill BUF with one line of JSON. */
	void (*status)(void *ctx, char *buf, size_t max);
	void *ctx;
	/* Begin to save use counts; a ticket, not 0. */
	uint64_t (*save)(void *ctx);
	/* No room: will there be? See jt_growth_want(). NULL: never. */
	bool (*grow)(void *ctx, const struct jt_room *want,
		     struct jt_fault *faultp);
	/* Is there no other daemon with this journal? If there is, it is made
	 * to end or to leave. NULL: there never is. */
	bool (*alone)(void *ctx);
	/* What another daemon with this journal has applied; UINT64_MAX: there
	 * is none. NULL: never. */
	uint64_t (*others)(void *ctx);
	/* Begin an upgrade; false: *WHYP says why not. NULL: never. */
	bool (*upgrade)(void *ctx, const char **whyp);
	/* What came of it; false: nothing yet. *WHYP: why it failed, NULL: it
	 * did not, and *PIDP and *VERSIONP say who serves now. */
	bool (*upgraded)(void *ctx, const char **whyp, int *pidp,
			 const char **versionp);
	/* Is that done? *WHYP: why it failed, NULL: it did not. */
	bool (*saved)(void *ctx, uint64_t ticket, const char **whyp);
};

void jt_controls_init(struct jt_controls *c, int listener, struct jt_feed *feed,
		      void (*status)(void *ctx, char *buf, size_t max),
		      void *ctx);
/* Without this, SAVE is refused. */
void jt_controls_saving(struct jt_controls *c, uint64_t (*save)(void *ctx),
			bool (*saved)(void *ctx, uint64_t ticket,
				      const char **whyp));
/* Without this, what there is no room for is refused. */
void jt_controls_growing(struct jt_controls *c,
			 bool (*grow)(void *ctx, const struct jt_room *want,
				      struct jt_fault *faultp));
/* Without this, DENY is refused. */
void jt_controls_denying(struct jt_controls *c, struct jt_denials *denials);
void jt_controls_deinit(struct jt_controls *c);

/* Without these, UPGRADE is refused. */
void jt_controls_upgrading(struct jt_controls *c, uint64_t (*others)(void *ctx),
			   bool (*alone)(void *ctx),
			   bool (*upgrade)(void *ctx, const char **whyp),
			   bool (*upgraded)(void *ctx, const char **whyp,
					    int *pidp, const char **versionp));

/* How many are there? */
unsigned jt_controls_count(const struct jt_controls *c);

/* Descriptors to poll; returns how many, at most JT_CONTROLS_MAX + 1. */
unsigned jt_controls_poll(const struct jt_controls *c, struct pollfd *fds);

/* Accept, read, answer what can be answered now. */
void jt_controls_run(struct jt_controls *c, uint64_t now_ns);

/*
 * Does a request wait for a number that was not applied? One that waits for a
 * save does not count: the scribe's link wakes the keeper.
 */
bool jt_controls_waiting(const struct jt_controls *c);

#endif
