/*
 * keeper_inner: the keeper's own state, for the two files that are the keeper.
 *
 * keeper.c is a daemon's life by itself; keeper_upgrade.c what is different
 * while there are two daemons.
 */
#ifndef JT_SIDECAR_KEEPER_INNER_H
#define JT_SIDECAR_KEEPER_INNER_H

#include "sidecar/attach.h"
#include "sidecar/clerk.h"
#include "sidecar/control.h"
#include "sidecar/crew.h"
#include "sidecar/denials.h"
#include "sidecar/doors.h"
#include "sidecar/growth.h"
#include "sidecar/heir.h"
#include "sidecar/mark.h"
#include "sidecar/news.h"
#include "sidecar/sandbox.h"
#include "sidecar/service.h"
#include "sidecar/upgrade.h"

struct keeper {
	const struct jt_config *config;
	struct jt_doors doors;
	struct jt_feed feed;
	struct jt_maps maps;
	struct jt_crew crew;
	struct jt_growth growth;
	struct jt_controls controls;
	struct jt_attaches attaches;
	struct jt_teller teller;
	struct jt_clerk clerk;
	struct jt_denials denials;
	struct jt_service_link service;
	struct jt_settings settings;	   /* published */
	char settings_why[JT_CONFIG_LINE]; /* the file is bad; "": it is not */
	int signals, changes, watch;
	uint64_t watched; /* feed.files when the watch was set */
	uint64_t now_ns, started_ns;
	struct jt_anchor anchor;
	struct jt_mark mark;
	uint64_t anchor_due_ns; /* 0: it says what is so */
	bool anchor_failed;
	bool restored;	     /* use counts, as far as there were any */
	char usage_why[256]; /* why they are not saved; "": they are */
	struct jt_sandbox box;
	struct jt_upgrade upgrade; /* to the next daemon */
	struct jt_heir heir;	   /* of the one before */
	bool stopping;
	bool upgrade_asked; /* SIGUSR2 */
	bool hung_up;	    /* SIGHUP: settings are to be read again */
};

static inline bool jt_keeper_serves(const struct keeper *k)
{
	/* relaxed: the keeper's own word */
	return jt_load_relaxed(&k->maps.identity->state) == JT_IDENTITY_SERVING;
}

/* Write the anchor, if it is due, or AT_ONCE, if it would say more. */
void jt_keeper_anchor(struct keeper *k, bool at_once);

/* Have a scribe from now on. Negative errno. */
int jt_keeper_hire_scribe(struct keeper *k);

/* ---- keeper_upgrade.c ---- */

/* Is there another daemon, so that the table may not grow, nor one of us be
 * started? */
static inline bool jt_keeper_is_double(const struct keeper *k)
{
	return k->heir.phase != JT_HEIR_NONE ||
	       k->upgrade.phase != JT_UPGRADE_NONE;
}

/* Ours is the anchor, the snapshots and the use counts, and who is let in. */
static inline bool jt_keeper_owns(const struct keeper *k)
{
	return k->upgrade.phase < JT_UPGRADE_GIVEN &&
	       (k->heir.phase == JT_HEIR_NONE ||
		k->heir.phase == JT_HEIR_SERVES);
}

/* For the control socket, see control.h. */
uint64_t jt_keeper_others(void *ctx);
bool jt_keeper_alone(void *ctx);
bool jt_keeper_upgrade(void *ctx, const char **whyp);
bool jt_keeper_upgraded(void *ctx, const char **whyp, int *pidp,
			const char **versionp);

/* Once a turn, before anybody is answered. Not 0: the exit status. */
int jt_keeper_tend_upgrade(struct keeper *k);

/* The replay is over and a worker waits: true when the table is to serve now.
 */
bool jt_keeper_succeeds(struct keeper *k);

/* It serves: the one before may leave. */
void jt_keeper_succeeded(struct keeper *k);

/* We stop, so do others that would go on for us. */
void jt_keeper_stop_others(struct keeper *k);

#endif
