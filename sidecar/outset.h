/*
 * outset: what a start makes before it forks: segments large enough for what
 * is stored, and in them what a snapshot says, if there is one that holds.
 *
 * Keeper only, once.
 */
#ifndef JT_SIDECAR_OUTSET_H
#define JT_SIDECAR_OUTSET_H

#include "sidecar/clerk.h"
#include "sidecar/config.h"
#include "sidecar/feed.h"
#include "sidecar/room.h"

/* Who gets what: feed, maps and clerk are filled. */
struct jt_outset {
	const struct jt_config *config;
	const char *data; /* directory */
	struct jt_feed *feed;
	struct jt_maps *maps;
	struct jt_clerk *clerk;
	struct jt_inherited *inherited; /* NULL: there is no daemon before */
};

/*
 * J was flushed; the feed takes it over. 0, or *FAULTP says why not. A snapshot
 * that is not to be believed is one line of log.
 */
int jt_outset_make(const struct jt_outset *o, const struct jt_journal *j,
		   struct jt_segment_fds *fdsp, struct jt_fault *faultp);

#endif
