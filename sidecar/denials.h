/*
 * denials: revokes that are in force before the journal has them.
 *
 * When the admin tool cannot append a revoke (disk full and the reserve gone,
 * lock held, disk failing or read-only) it asks the keeper, who denies in the
 * table first, then writes an entry in the file `deny` (admin/deny.h), then
 * commits it to the journal as soon as that can be done, and clears the entry.
 * Until then health is red. Keeper only; nothing waits for a lock.
 */
#ifndef JT_SIDECAR_DENIALS_H
#define JT_SIDECAR_DENIALS_H

#include "admin/deny.h"
#include "sidecar/feed.h"

/* More than the file takes: those beyond it are in memory only. */
#define JT_DENIALS_MAX (2 * JT_DENY_MAX)
#define JT_DENIALS_BATCH 128u /* tokens that one commit takes */

struct jt_denials {
	const struct jt_io *io;
	const char *data;
	int dir_fd; /* its own */
	uint8_t journal_id[16];
	struct jt_deny_file file; /* fd -1: there is none that can be used */
	/* those pending, oldest first, and where each stands in the file */
	struct jt_denial *list;
	uint32_t *places; /* JT_DENY_MAX: in memory only */
	uint32_t n;
	uint64_t n_dropped; /* before the first of the list */
	uint8_t *taken;	    /* by place */
	uint32_t n_lost;    /* places that nobody can read any more */
	bool keep_file;	    /* it is not ours to write over */
	bool dirty;	    /* something was written since the last flush */
	uint64_t make_ns, commit_ns; /* not before */
	char file_why[96];	     /* why there is no file; "": there is */
	char commit_why[sizeof(((struct jt_fault *)0)->line)];
	char why[512]; /* for trouble() */
};

/*
 * Read what is pending, make the file if there is none. J: open, ours. 0 or
 * negative errno for want of memory or descriptors; that there is no file is
 * no reason not to serve, but is trouble.
 */
int jt_denials_init(struct jt_denials *d, const struct jt_journal *j,
		    const char *data);
void jt_denials_deinit(struct jt_denials *d);

/* The journal is replayed: put all of them in force, before anybody serves. */
void jt_denials_apply(struct jt_denials *d, struct jt_ledger *l);

enum {
	JT_DENIALS_E_NOTFOUND = 1,
	JT_DENIALS_E_FULL, /* in force, but it will not be committed */
};

/* In force when this returns 0, whatever becomes of the file. */
int jt_denials_add(struct jt_denials *d, struct jt_ledger *l,
		   const char id[JT_ID_BYTES], uint32_t uid,
		   const char *reason);

/* Flush. How many of those pending would not outlive this process. */
uint32_t jt_denials_settle(struct jt_denials *d);

/* Commit some, make the file: when it is due. */
void jt_denials_tend(struct jt_denials *d, struct jt_feed *feed,
		     uint64_t now_ns);

/*
 * " id" for each from the FROM-th on that this process ever had, as many as
 * there is room for; the number that follows the last one told.
 */
uint64_t jt_denials_tell(const struct jt_denials *d, uint64_t from, char *buf,
			 size_t max);

/* One line while not all is well, else NULL. */
const char *jt_denials_trouble(struct jt_denials *d);

#endif
