/*
 * journal: the one file that is the truth. Format essay: top of journal.c.
 *
 * One writer at a time (the lock), any number of readers. Every call takes the
 * I/O table that the journal was opened with. Results: 0 ok; negative errno =
 * the system refused, forwarded unchanged; positive JT_JOURNAL_E_* = an outcome
 * that the direct caller must handle. `faultp` always receives one printable
 * line that says what was wrong, where, and what to do.
 */
#ifndef JT_ADMIN_JOURNAL_H
#define JT_ADMIN_JOURNAL_H

#include "admin/io.h"
#include "admin/record.h"
#include <stdbool.h>

#define JT_JOURNAL_NAME "journal"
#define JT_JOURNAL_LOCK_NAME "journal.lock"
#define JT_JOURNAL_RESERVE 10000u /* records, zeroed and synced, kept free */
#define JT_JOURNAL_DATA 12288u	  /* offset of the first record */

enum {
	JT_JOURNAL_E_NONE = 1, /* there is no journal in that directory */
	JT_JOURNAL_E_DAMAGED,  /* bytes that were committed do not verify */
	JT_JOURNAL_E_VERSION,  /* a format that this build does not read */
	JT_JOURNAL_E_OLD,      /* older than the anchor or than --expect says */
	JT_JOURNAL_E_POISONED, /* a flush failed since the last boot */
	JT_JOURNAL_E_BUSY,     /* another writer kept the lock too long */
	JT_JOURNAL_E_FULL,     /* no room; only revokes may still be written */
	JT_JOURNAL_E_REPLACED, /* the path no longer names the file we read */
	JT_JOURNAL_E_EXISTS,   /* create: there is one already */
	JT_JOURNAL_E_UNSAFE,   /* directory or file is not ours alone */
	JT_JOURNAL_E_ARCHIVED, /* a record that compaction left behind */
};

struct jt_fault {
	uint64_t number; /* record concerned, 0: none */
	uint64_t offset; /* byte in the file */
	char line[240];
};

struct jt_commit {
	uint64_t number;
	uint64_t time_ns;
	uint8_t tag[JT_TAG_BYTES];
};

struct jt_journal {
	const struct jt_io *io;
	int dir_fd;
	int fd;
	int lock_fd; /* -1: opened for reading */
	uint8_t id[16];
	uint64_t generation;
	char prefix[8];
	uint64_t base; /* number of the last record before this file */
	uint8_t base_tag[JT_TAG_BYTES]; /* what record base+1 chains from */
	uint64_t origin; /* base less the state records: record n > base stands
			  * at place n - origin, from 1 */
	uint8_t state_tag[JT_TAG_BYTES];
	uint64_t archive; /* generation of the file that `base` ends; 0: none */
	struct jt_commit committed;
	bool adopted;	   /* a commit slot was damaged: raise an alarm */
	bool failed;	   /* a flush failed here: this handle writes no more */
	uint8_t slot_next; /* which commit slot the next commit overwrites */
	uint64_t file_bytes;
};

/*
 * Fill *FAULTP (may be NULL) and return CODE; bytes that a terminal should not
 * get become '?'.
 */
int jt_fault_set(struct jt_fault *faultp, int code, uint64_t number,
		 uint64_t offset, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/*
 * Make an empty journal in DIR (created 0700 when absent, with its parents
 * not). PREFIX: 2-4 lower-case letters. Atomic: complete and synced, or not
 * there. JT_JOURNAL_E_OLD when there is an anchor, but no journal any more.
 */
int jt_journal_create(const struct jt_io *io, const char *dir,
		      const char *prefix, struct jt_fault *faultp);

/* Open for reading: header, slots and the last committed record are checked. */
int jt_journal_open(struct jt_journal *j, const struct jt_io *io,
		    const char *dir, struct jt_fault *faultp);

/*
 * Open for writing: waits at most WAIT_MS for the lock, then checks as above,
 * the poison mark and the anchor, and repairs a damaged commit slot from the
 * adopted chain (j->adopted then tells the caller to raise an alarm).
 */
int jt_journal_open_write(struct jt_journal *j, const struct jt_io *io,
			  const char *dir, unsigned wait_ms,
			  struct jt_fault *faultp);

void jt_journal_close(struct jt_journal *j);

/*
 * Append N records as one batch = one commit; returns 0 only when the commit
 * is durable, with j->committed advanced and the records' numbers and tags
 * filled in. -EINVAL: a record that no reader would accept (see record.h). On
 * any error nothing was acknowledged and j->committed stands still; after a
 * failed flush, when nobody knows what the disk holds, the lock file is
 * poisoned and j must be closed.
 */
int jt_journal_append(struct jt_journal *j, struct jt_record *records, size_t n,
		      struct jt_fault *faultp);

/* The same in the name of another user, who asked for it earlier. */
int jt_journal_append_for(struct jt_journal *j, uint32_t uid,
			  struct jt_record *records, size_t n,
			  struct jt_fault *faultp);

/*
 * Follower: look at the commit slots again. j->committed advances, never goes
 * back. JT_JOURNAL_E_REPLACED when the path names another file now,
 * JT_JOURNAL_E_DAMAGED when the file was cut or rewound. A commit without its
 * flush is possible here: call jt_journal_sync() before acting on it.
 */
int jt_journal_refresh(struct jt_journal *j, struct jt_fault *faultp);

/* The same for a file that the path may no longer name. */
int jt_journal_catch_up(struct jt_journal *j, struct jt_fault *faultp);

/* fdatasync on this descriptor. Never retried by anyone. */
int jt_journal_sync(struct jt_journal *j);

/*
 * Read N records from NUMBER on, unverified. N may not pass the commit. A
 * single record of before the base is looked for among the state records:
 * JT_JOURNAL_E_ARCHIVED when it is none of them.
 */
int jt_journal_read(const struct jt_journal *j, uint64_t number,
		    struct jt_record *records, size_t n,
		    struct jt_fault *faultp);

/* Records up to the commit that stand in this file, state records included. */
static inline uint64_t jt_journal_count(const struct jt_journal *j)
{
	return j->committed.number - j->origin;
}

/* Read N of them from PLACE on, 1 for the first, unverified. */
int jt_journal_peek(const struct jt_journal *j, uint64_t place,
		    struct jt_record *records, size_t n,
		    struct jt_fault *faultp);

/*
 * Sequential verified reading: first the state records of a compacted file,
 * then those from base + 1 on. jt_reader_next() returns up to MAX records whose
 * fields and chain hold, of one of the two kinds; *NP = 0 at the commit, whose
 * tag is compared with the slot's when reached.
 *
 * While `next` is at most the base it counts the state records, as if they had
 * the numbers origin+1 to base; their own are lower. Behind the base it is the
 * next record's number. Other starts: at the base, or at any number behind it
 * with the tag of the one before, verified earlier, and parts 0.
 */
struct jt_reader {
	const struct jt_journal *journal;
	uint64_t next;
	uint64_t number; /* of the last record; 0: none seen yet */
	uint8_t tag[JT_TAG_BYTES];
	uint8_t op[16]; /* of the last record; parts 0: none seen yet */
	uint32_t part;
	uint32_t parts;
};
void jt_reader_init(struct jt_reader *r, const struct jt_journal *j);
/* Without the state records: what was committed behind the base. */
void jt_reader_init_base(struct jt_reader *r, const struct jt_journal *j);
static inline bool jt_reader_in_state(const struct jt_reader *r)
{
	return r->next <= r->journal->base;
}
int jt_reader_next(struct jt_reader *r, struct jt_record *records, size_t max,
		   size_t *np, struct jt_fault *faultp);

/* The rules that init wrote as the very first record; zeros: none. */
int jt_journal_rules(const struct jt_journal *j, struct jt_record_rules *rulesp,
		     struct jt_fault *faultp);

/*
 * Verify everything that was committed: header, both slots, every record,
 * padding, chain, batches, anchor; expect may be NULL, else {number, tag} must
 * be part of this history. 0 or JT_JOURNAL_E_*; *summaryp filled as far as
 * read.
 */
struct jt_journal_summary {
	uint64_t records; /* in the file */
	uint64_t state;	  /* of them in front, from before the base */
	uint64_t batches;
	uint64_t reserve;  /* records' room behind the commit */
	uint64_t archives; /* older files, verified as well */
	uint64_t first;	   /* oldest record that they reach back to */
};
int jt_journal_check(const struct jt_io *io, const char *dir,
		     const struct jt_commit *expect,
		     struct jt_journal_summary *summaryp,
		     struct jt_fault *faultp);

/* The commit tag as 32 hex digits, "NUMBER:TAG" as printed and accepted. */
#define JT_RECEIPT_MAX 56
void jt_receipt_format(const struct jt_commit *c, char out[JT_RECEIPT_MAX]);
int jt_receipt_parse(const char *text, struct jt_commit *cp);

#endif
