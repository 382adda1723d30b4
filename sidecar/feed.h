/*
 * feed: journal -> table. The keeper's follower, and what only it can answer.
 *
 * Reads the journal in order, verifying the chain, and puts each record in
 * force. A commit is flushed on this descriptor too before it is applied: a
 * commit slot in the page cache is not yet durable. When that flush fails,
 * revokes are still applied, nothing else is, and health is red.
 *
 * Keeps, privately, what the table has no room for: the record numbers of each
 * token's first and newest record, and the plans in words. Keeper only.
 */
#ifndef JT_SIDECAR_FEED_H
#define JT_SIDECAR_FEED_H

#include "admin/anchor.h"
#include "admin/control.h"
#include "admin/journal.h"
#include "sidecar/intern.h"

enum jt_health {
	JT_HEALTH_OK = 0,
	JT_HEALTH_RED,	/* as long as the cause lasts: looked at again */
	JT_HEALTH_LOST, /* for this life of the process */
};

struct jt_feed_history {
	uint64_t first, last;
};

struct jt_feed_plan {
	uint64_t rate, period_ns, burst;
	uint64_t record;
};

struct jt_feed {
	const char *data; /* directory */
	struct jt_journal journal;
	struct jt_reader reader;
	struct jt_maps *maps;
	struct jt_intern owners;
	struct jt_feed_history *history; /* by meter line */
	struct jt_feed_plan *plans;	 /* by number */
	struct jt_record *chunk;
	uint16_t n_plans;
	bool denies_only; /* a flush failed: apply revokes alone */
	bool alarmed;	  /* that a commit slot is damaged was told */
	uint64_t flushed; /* commits up to here are durable */
	uint64_t applied;
	enum jt_health health;
	char why[sizeof(((struct jt_fault *)0)->line)];
};

/* How much room what is stored needs. Reads the whole journal, unverified. */
int jt_feed_measure(const struct jt_journal *journal, uint64_t *tokensp,
		    uint64_t *owner_bytesp, struct jt_fault *faultp);

/*
 * Take over an open journal that was flushed on its descriptor. MAPS: made for
 * at least what was measured. 0 or -ENOMEM; the journal then belongs to the
 * feed.
 */
int jt_feed_init(struct jt_feed *feed, const char *data,
		 const struct jt_journal *journal, struct jt_maps *maps);
void jt_feed_deinit(struct jt_feed *feed);

/*
 * Look for commits and apply at most a chunk. True: there is more. Trouble is
 * told by feed->health and feed->why, not here.
 */
bool jt_feed_step(struct jt_feed *feed);

/* Does the table take that many more? JT_TABLE_E_FULL and a line. */
int jt_feed_fits(const struct jt_feed *feed, uint64_t tokens, uint64_t plans,
		 uint64_t owner_bytes, struct jt_fault *faultp);

/* Number of a plan, 0: none; the number that a new one gets, 0: no more. */
uint16_t jt_feed_plan(const struct jt_feed *feed, uint64_t rate,
		      uint64_t period_ns, uint64_t burst, uint16_t *nextp);

/* What is known of an id; false: nothing. */
bool jt_feed_look(const struct jt_feed *feed, const char id[JT_ID_BYTES],
		  struct jt_look *lookp);

#endif
