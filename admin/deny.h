/*
 * deny: file `deny`: revokes that the journal cannot take now.
 *
 * Made and flushed while there is room, and only ever written over in place:
 * so a full disk does not stop a revoke, and neither does a journal that is
 * locked or that must not be written. An entry is in force in the keeper's
 * table at once, and again at every start, until the keeper has committed it
 * to the journal. Format: top of deny.c.
 *
 * One writer, the keeper; any process may read. Results: 0, negative errno or
 * JT_DENY_E_*.
 */
#ifndef JT_ADMIN_DENY_H
#define JT_ADMIN_DENY_H

#include "admin/journal.h"

#define JT_DENY_NAME "deny"
#define JT_DENY_MAX 10000u /* entries */
#define JT_DENY_NOBODY UINT32_MAX

enum {
	JT_DENY_E_NONE = 1, /* no such file yet */
	JT_DENY_E_DAMAGED,  /* header or size; entries verify by themselves */
	JT_DENY_E_FOREIGN,  /* of another journal */
	JT_DENY_E_VERSION,  /* a format that this build does not read */
	JT_DENY_E_UNSAFE,   /* directory or file is not ours alone */
};

struct jt_denial {
	char id[JT_ID_BYTES];
	uint32_t actor_uid;	    /* JT_DENY_NOBODY: not known any more */
	uint64_t time_ns;	    /* wall clock of the revoke */
	char reason[JT_REASON_MAX]; /* zero-padded; empty: none */
};

enum jt_deny_kind {
	JT_DENY_FREE,	 /* zeros, or torn: it was never acknowledged */
	JT_DENY_PENDING, /* a copy holds */
	JT_DENY_HURT,	 /* pending, though a part does not hold: alarm */
	JT_DENY_LOST,	 /* nobody can tell which token: alarm */
};

struct jt_deny_file {
	const struct jt_io *io;
	int fd;
	uint8_t journal_id[16];
};

/*
 * FLAGS: O_RDONLY or O_RDWR. With E_DAMAGED and E_FOREIGN the file is open all
 * the same, for a scan; else F holds nothing when the result is not 0.
 */
int jt_deny_open(struct jt_deny_file *f, const struct jt_io *io, int dir_fd,
		 const uint8_t journal_id[16], int flags);

/*
 * Another file with these N entries at places 0..N-1, complete and durable
 * under its name, or not there; it is open for writing. -ENOSPC and the like
 * leave the one that was there before.
 */
int jt_deny_make(struct jt_deny_file *f, const struct jt_io *io, int dir_fd,
		 const uint8_t journal_id[16], const struct jt_denial *list,
		 size_t n);
void jt_deny_close(struct jt_deny_file *f);
/* Does the name still name this file? */
bool jt_deny_ours(const struct jt_deny_file *f, int dir_fd);

/* EACH() for every place that is not free, in order. */
int jt_deny_scan(const struct jt_deny_file *f,
		 void (*each)(void *ctx, uint32_t place, enum jt_deny_kind kind,
			      const struct jt_denial *d),
		 void *ctx);

/* In place; durable after jt_deny_sync(), which is never tried again. */
int jt_deny_write(const struct jt_deny_file *f, uint32_t place,
		  const struct jt_denial *d);
int jt_deny_clear(const struct jt_deny_file *f, uint32_t place);
int jt_deny_sync(const struct jt_deny_file *f);

/* For readers: how many are pending, hurt ones among them, and how many are
 * lost. E_NONE is none. */
struct jt_deny_sum {
	uint32_t pending, hurt, lost;
};
int jt_deny_count(const struct jt_io *io, int dir_fd,
		  const uint8_t journal_id[16], struct jt_deny_sum *sump);

/* Is that token among the pending? */
bool jt_deny_has(const struct jt_io *io, int dir_fd,
		 const uint8_t journal_id[16], const char id[JT_ID_BYTES]);

/* Why a result is not 0, in a few words. */
const char *jt_deny_why(int rc);

#endif
