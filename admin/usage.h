/*
 * usage: file `usage`: how often and when each token was used.
 *
 * A checkpoint of the meters' words, written beside the journal every few
 * seconds by the sidecar (sidecar/scribe.h), read by the sidecar at start and
 * by the admin tool when no sidecar runs. Format: top of usage.c. Nothing that
 * decides about validity stands in it: a missing, damaged or foreign file only
 * means that counts begin at 0.
 *
 * Keyed by the first half of a value's digest. A token is saved under its
 * newest value; where a rotation came after the last save it stands under the
 * value before, so ask for both. All calls: one thread, any process.
 */
#ifndef JT_ADMIN_USAGE_H
#define JT_ADMIN_USAGE_H

#include "admin/io.h"
#include <stdbool.h>
#include <stdint.h>

#define JT_USAGE_NAME "usage"
#define JT_USAGE_KEY 16 /* bytes of a digest */

enum {
	JT_USAGE_E_NONE = 1, /* no such file yet */
	JT_USAGE_E_DAMAGED,  /* its header does not verify */
	JT_USAGE_E_FOREIGN,  /* of another journal */
	JT_USAGE_E_VERSION,  /* a format that this build does not read */
	JT_USAGE_E_UNSAFE,   /* directory or file is not ours alone */
};

/* What the meter of a token says, see struct jt_meter. */
struct jt_usage {
	uint64_t uses;
	uint64_t refusals;
	uint64_t last_use_s; /* 0: never */
	uint64_t old_use_s;  /* of the value before the rotation */
	uint64_t quota;	     /* a word for jt_meter_quota_used() */
};

/* ---- the whole file in memory: 72 bytes a token that was ever used ---- */

struct jt_usage_row;
struct jt_usage_table {
	struct jt_usage_row *rows;
	uint32_t *index; /* row + 1 by key, open addressing; 0: free */
	uint32_t n_rows, rows_max;
	uint64_t index_mask;
	uint64_t n_damaged; /* entries that do not verify */
};

/*
 * Read all of it. 0, JT_USAGE_E_* or negative errno; *T can be asked and must
 * be freed in every case, and knows nobody when the result is not 0.
 */
int jt_usage_load(struct jt_usage_table *t, const struct jt_io *io, int dir_fd,
		  const uint8_t journal_id[16]);

/* False: nothing was saved for that value, so it was never used, or only
 * within the last seconds before a crash. */
bool jt_usage_find(const struct jt_usage_table *t, const uint8_t digest[32],
		   struct jt_usage *up);

void jt_usage_free(struct jt_usage_table *t);

/* For who fills a zeroed table himself: add all, then make the index. 0 or
 * -ENOMEM. */
int jt_usage_add(struct jt_usage_table *t, const uint8_t key[JT_USAGE_KEY],
		 const struct jt_usage *u);
int jt_usage_index(struct jt_usage_table *t);

/* Why a result is not 0, in a few words; "" for 0 and E_NONE. */
const char *jt_usage_why(int rc);

/* ---- the bytes of the file ---- */

/* One meter line, at index = line: JT_USAGE_DATA + 64 x line. */
struct jt_usage_entry {
	uint8_t key[JT_USAGE_KEY]; /*  0 of the digest; see usage.c */
	uint64_t uses;		   /* 16 */
	uint64_t refusals;	   /* 24 */
	uint64_t last_use_s;	   /* 32 */
	uint64_t old_use_s;	   /* 40 */
	uint64_t quota;		   /* 48 */
	uint64_t checksum;	   /* 56 XXH3-64 of the above */
};
#define JT_USAGE_DATA 4096u /* offset of the first entry */

/* An open file whose header holds. */
struct jt_usage_file {
	const struct jt_io *io;
	int dir_fd; /* the caller's */
	int fd;
	uint8_t journal_id[16];
	uint64_t lines; /* entries that it has room for now */
};

enum jt_usage_kind {
	JT_USAGE_EMPTY,	  /* zeros: nobody, or never used */
	JT_USAGE_SAVED,	  /* *UP is filled */
	JT_USAGE_INVALID, /* torn, flipped, of another journal */
};

void jt_usage_pack(struct jt_usage_entry *e, const uint8_t journal_id[16],
		   const uint8_t key[JT_USAGE_KEY], const struct jt_usage *u);
enum jt_usage_kind jt_usage_unpack(const struct jt_usage_entry *e,
				   const uint8_t journal_id[16],
				   struct jt_usage *up);

/* FLAGS: O_RDONLY or O_RDWR. 0, JT_USAGE_E_* or negative errno. */
int jt_usage_open(struct jt_usage_file *f, const struct jt_io *io, int dir_fd,
		  const uint8_t journal_id[16], int flags);
/* A new, empty file under a temporary name; jt_usage_publish() gives it its
 * own, complete and durable, in place of the one that has it now. */
int jt_usage_stage(struct jt_usage_file *f, const struct jt_io *io, int dir_fd,
		   const uint8_t journal_id[16]);
int jt_usage_publish(const struct jt_usage_file *f);
/* Close it and remove it, to give its room back. */
void jt_usage_abandon(struct jt_usage_file *f);
void jt_usage_close(struct jt_usage_file *f);

/* Does the name still name this file? 1, 0 or negative errno. */
int jt_usage_ours(const struct jt_usage_file *f);

/* N entries from LINE on; what is behind the file's end reads as zeros. */
int jt_usage_read(const struct jt_usage_file *f, uint64_t line,
		  struct jt_usage_entry *entries, size_t n);
int jt_usage_write(struct jt_usage_file *f, uint64_t line,
		   const struct jt_usage_entry *entries, size_t n);
/* fdatasync. After a failure nobody knows what the file holds: stage anew. */
int jt_usage_sync(const struct jt_usage_file *f);

#endif
