/*
 * feed: journal -> table. The keeper's follower, and what only it can answer.
 *
 * Reads the journal in order, verifying the chain, and puts each record in
 * force. A commit is flushed on this descriptor too before it is applied: a
 * commit slot in the page cache is not yet durable. When that flush fails,
 * revokes are still applied, nothing else is, and health is red.
 *
 * What a record means in the table is the ledger's business. Keeper only.
 */
#ifndef JT_SIDECAR_FEED_H
#define JT_SIDECAR_FEED_H

#include "admin/anchor.h"
#include "admin/control.h"
#include "admin/journal.h"
#include "sidecar/ledger.h"
#include "sidecar/measure.h"
#include "sidecar/replay.h"

enum jt_health {
	JT_HEALTH_OK = 0,
	JT_HEALTH_RED,	/* as long as the cause lasts: looked at again */
	JT_HEALTH_LOST, /* for this life of the process */
};

struct jt_feed {
	const char *data; /* directory */
	struct jt_journal journal;
	struct jt_reader reader;
	struct jt_maps *maps;
	struct jt_ledger ledger;
	struct jt_record *chunk;
	struct jt_replay replay; /* from a start to the commit it found */
	bool replaying;
	bool denies_only; /* a flush failed: apply revokes alone */
	bool stuck;	  /* nothing is applied now, not even a revoke */
	bool yields;	  /* another daemon has the lines, too (estate.h) .. */
	bool outgrown;	  /* .. and what comes might not fit here: it waits */
	bool alarmed;	  /* that a commit slot is damaged was told */
	uint64_t flushed; /* commits up to here are durable */
	uint64_t files;	  /* changed over to, so far */
	uint64_t applied;
	uint8_t applied_tag[JT_TAG_BYTES]; /* of that record */
	enum jt_health health;
	char why[sizeof(((struct jt_fault *)0)->line)];
};

/*
 * Take over an open journal that was flushed on its descriptor. MAPS: made for
 * at least what was measured. 0 or -ENOMEM; the journal then belongs to the
 * feed.
 */
int jt_feed_init(struct jt_feed *feed, const char *data,
		 const struct jt_journal *journal, struct jt_maps *maps);
void jt_feed_deinit(struct jt_feed *feed);

/* The ledger is of no use; init() may come again, with the same journal. */
void jt_feed_forget(struct jt_feed *feed);

/*
 * The ledger holds already what all records up to AT come to, which are not
 * read (snapshot.h): go on behind it. Before the first step.
 */
void jt_feed_resume(struct jt_feed *feed, const struct jt_commit *at);

/* All is replayed: jt_ledger_settle(). Not 0: health says why, do not serve. */
int jt_feed_settle(struct jt_feed *feed);

/* Tell the ledger what time it is. */
void jt_feed_clock(struct jt_feed *feed);

/*
 * Look for commits and apply at most a chunk. True: there is more. Trouble is
 * told by feed->health and feed->why, not here.
 */
bool jt_feed_step(struct jt_feed *feed);

#endif
