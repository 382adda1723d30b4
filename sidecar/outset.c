/* outset: see outset.h. */
#include "sidecar/outset.h"

#include "sidecar/log.h"
#include "sidecar/room.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void ignore_snapshot(const struct jt_outset *o, int rc,
			    const struct jt_fault *fault)
{
	jt_log(JT_LOG_WARNING,
	       "%s/%s is ignored: %s; the journal is replayed instead", o->data,
	       JT_SNAPSHOT_NAME,
	       fault->line[0] ? fault->line : strerror(rc < 0 ? -rc : EIO));
}

static bool find_snapshot(const struct jt_outset *o, const struct jt_journal *j,
			  struct jt_snapshot *s)
{
	struct jt_fault fault = {0};
	int rc = jt_snapshot_open(s, j->io, j->dir_fd, j, &fault);

	if (rc && rc != JT_SNAPSHOT_E_NONE)
		ignore_snapshot(o, rc, &fault);
	return rc == 0;
}

static void leave(const struct jt_outset *o, const struct jt_segment_fds *fds)
{
	jt_segment_unmap(o->maps);
	close(fds->identity);
	close(fds->meters);
}

/* Empty, for what is stored; the feed takes over J. */
static int make_empty(const struct jt_outset *o, const struct jt_journal *j,
		      const struct jt_snapshot *s, struct jt_segment_fds *fdsp,
		      struct jt_fault *faultp)
{
	int rc = jt_room_make(o->config, j, s ? &s->h : NULL, o->inherited,
			      fdsp, o->maps, faultp);

	if (rc)
		return rc;
	rc = jt_feed_init(o->feed, o->data, j, o->maps);
	if (rc)
		leave(o, fdsp);
	return rc;
}

static void unmake(const struct jt_outset *o, const struct jt_segment_fds *fds)
{
	jt_feed_forget(o->feed);
	leave(o, fds);
}

/* False: all that was made is of no use. */
static bool load(const struct jt_outset *o, struct jt_snapshot *s)
{
	struct jt_commit at = {.number = s->h.number};
	struct jt_fault why = {0};
	int rc = jt_snapshot_load(s, &o->feed->ledger, &why);

	if (rc) {
		ignore_snapshot(o, rc, &why);
		jt_snapshot_close(s);
		return false;
	}
	memcpy(at.tag, s->h.tag, sizeof(at.tag));
	jt_feed_resume(o->feed, &at);
	jt_clerk_took(o->clerk, s);
	return true;
}

/*
 * From the snapshot, if there is one. What it asks for and cannot get is no
 * reason not to start, either; then all is as if it were not there.
 */
static bool quick(const struct jt_outset *o, const struct jt_journal *j,
		  struct jt_segment_fds *fdsp)
{
	struct jt_fault fault = {0};
	struct jt_snapshot s;
	int rc;

	if (!find_snapshot(o, j, &s))
		return false;
	rc = make_empty(o, j, &s, fdsp, &fault);
	if (rc) {
		ignore_snapshot(o, rc, &fault);
		jt_snapshot_close(&s);
		return false;
	}
	if (load(o, &s))
		return true;
	unmake(o, fdsp);
	return false;
}

int jt_outset_make(const struct jt_outset *o, const struct jt_journal *j,
		   struct jt_segment_fds *fdsp, struct jt_fault *faultp)
{
	jt_clerk_init(o->clerk, j->io, o->data, o->config->snapshot);
	/* a snapshot brings its own keys, by which no line is found in what
	 * the daemon before leaves; nobody waits for this start */
	if (o->config->snapshot && !o->inherited && quick(o, j, fdsp))
		return 0;
	return make_empty(o, j, NULL, fdsp, faultp);
}
