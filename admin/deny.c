/*
 * deny: the format of the file, and what a crash or damage leaves of it.
 *
 *	byte 0	    4096		    2564096		  5124096
 *	+-----------+-------+-------+-- ~ --+-------+-------+-- ~ --+
 *	|  header   | e 0 A | e 1 A |  ...  | e 0 B | e 1 B |  ...  |
 *	+-----------+-------+-------+-- ~ --+-------+-------+-- ~ --+
 *
 * Header: magic "jetondny", 8 version, 12 entries, 16 journal id, 32 zeros,
 * 4080 BLAKE2b-128 of bytes 0-4079.
 *
 * Entry, 256 bytes, twice: in area A and, 2.5 MB behind, in area B:
 *	   0  id			 24  sum of the id alone, 8 bytes
 *	  32  time of the revoke	 40  uid of who asked, 44 zeros
 *	  48  reason			232  zeros
 *	 240  BLAKE2b-128 of bytes 0-239
 * Both sums are salted with the journal id and personalised with place and
 * area: no entry stands for another, none for that of another journal.
 *
 * MADE by the keeper at its start, under another name, every byte written (no
 * hole: a hole would need room later), flushed, renamed, directory flushed. So
 * there is none, or a whole one. From then on bytes are only written over.
 *
 * WRITER: copy A, copy B, fdatasync, and only then it is called durable.
 * CLEARED, by zeros in A, then B, only after the journal holds the revoke
 * durably; so an entry of which a crash leaves one copy is either new, then to
 * deny is what was asked for, or done with, then the journal says the same.
 *
 * READER, of the two copies of a place:
 *	one holds			pending; alarm if the other is neither
 *					whole nor zeros
 *	none, but an id's own sum does	pending (in doubt, deny), alarm
 *	zeros, or zeros and a torn one	free: a crash came before the flush
 *	neither, and neither is zeros	lost: alarm; whoever was revoked in that
 *					time must be revoked again
 * A sector that the disk loses takes two entries in one area and none in the
 * other. What does not show: both areas put back as they were before.
 *
 * A header that does not hold says nothing about the entries, which hold by
 * themselves; they are taken and the file is made anew. A whole header of
 * another journal is believed: what stands in there is none of ours.
 */
#include "admin/deny.h"
#include "admin/format.h"
#include "admin/place.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>

#define DENY_NEW_NAME "deny.new"
#define VERSION 1u
#define ENTRY_BYTES 256u
#define AREA_BYTES ((uint64_t)JT_DENY_MAX * ENTRY_BYTES)
#define FILE_BYTES (JT_PAGE_BYTES + 2 * AREA_BYTES)
#define CHUNK 16u /* entries: a page */
#define LOOKS 3u  /* a reader may meet the writer */
#define NAP_NS 2000000u

struct header {
	char magic[8];
	uint32_t version;
	uint32_t entries;
	uint8_t journal_id[16];
	uint8_t zero[4048];
	uint8_t checksum[16];
};

struct entry {
	char id[JT_ID_BYTES];
	uint64_t id_sum;
	uint64_t time_ns;
	uint32_t actor_uid;
	uint32_t zero;
	char reason[JT_REASON_MAX];
	uint8_t zeros[8];
	uint8_t checksum[16];
};

static_assert(sizeof(struct header) == JT_PAGE_BYTES, "deny header");
static_assert(sizeof(struct entry) == ENTRY_BYTES, "deny entry");
static_assert(offsetof(struct entry, reason) == 48, "deny reason");
static_assert(offsetof(struct entry, checksum) == 240, "deny checksum");
static_assert(JT_DENY_MAX % CHUNK == 0, "whole pages");

static const char magic[8] = "jetondny";

static void hash(uint8_t out[16], const void *bytes, size_t n,
		 const uint8_t salt[16], uint32_t place, unsigned area)
{
	uint8_t person[16] = "jeton deny";
	int rc;

	memcpy(person + 11, &place, sizeof(place));
	person[15] = (uint8_t)area;
	rc = crypto_generichash_blake2b_salt_personal(out, 16, bytes, n, NULL,
						      0, salt, person);
	assert(rc == 0);
	(void)rc;
}

static void header_sum(const struct header *h, uint8_t out[16])
{
	static const uint8_t salt[16];

	hash(out, h, offsetof(struct header, checksum), salt, 0, 'h');
}

static uint64_t id_sum(const struct jt_deny_file *f, const char *id,
		       uint32_t place, unsigned area)
{
	uint8_t sum[16];
	uint64_t word;

	hash(sum, id, JT_ID_BYTES, f->journal_id, place, area + 'i');
	memcpy(&word, sum, sizeof(word));
	return word;
}

static uint64_t offset(uint32_t place, unsigned area)
{
	return JT_PAGE_BYTES + area * AREA_BYTES +
	       (uint64_t)place * ENTRY_BYTES;
}

static void pack(const struct jt_deny_file *f, struct entry *e,
		 const struct jt_denial *d, uint32_t place, unsigned area)
{
	*e = (struct entry){
		.time_ns = d->time_ns,
		.actor_uid = d->actor_uid,
		.id_sum = id_sum(f, d->id, place, area),
	};
	memcpy(e->id, d->id, sizeof(e->id));
	memcpy(e->reason, d->reason, sizeof(e->reason));
	hash(e->checksum, e, offsetof(struct entry, checksum), f->journal_id,
	     place, area);
}

/* What one copy says. */
enum copy {
	ZEROS,
	BROKEN,
	ID_ONLY,
	WHOLE,
};

static enum copy judge(const struct jt_deny_file *f, const struct entry *e,
		       uint32_t place, unsigned area)
{
	uint8_t sum[16];

	if (jt_all_zero(e, sizeof(*e)))
		return ZEROS;
	hash(sum, e, offsetof(struct entry, checksum), f->journal_id, place,
	     area);
	if (memcmp(sum, e->checksum, sizeof(sum)) == 0)
		return WHOLE;
	return e->id_sum == id_sum(f, e->id, place, area) ? ID_ONLY : BROKEN;
}

static void unpack(struct jt_denial *d, const struct entry *e, enum copy copy)
{
	*d = (struct jt_denial){.actor_uid = JT_DENY_NOBODY};
	memcpy(d->id, e->id, sizeof(d->id));
	if (copy != WHOLE)
		return;
	d->actor_uid = e->actor_uid;
	d->time_ns = e->time_ns;
	memcpy(d->reason, e->reason, sizeof(d->reason));
}

static enum jt_deny_kind meet(const struct entry pair[2],
			      const enum copy copies[2], struct jt_denial *d)
{
	unsigned best = copies[1] > copies[0];
	enum copy other = copies[!best];

	if (copies[best] >= ID_ONLY)
		unpack(d, &pair[best], copies[best]);
	if (copies[best] == WHOLE)
		return other == WHOLE || other == ZEROS ? JT_DENY_PENDING
							: JT_DENY_HURT;
	if (copies[best] == ID_ONLY)
		return JT_DENY_HURT;
	return other == ZEROS ? JT_DENY_FREE : JT_DENY_LOST;
}

static int deny_rc(int rc)
{
	if (rc == JT_JOURNAL_E_NONE)
		return JT_DENY_E_NONE;
	return rc > 0 ? JT_DENY_E_UNSAFE : rc;
}

static int check_header(const struct jt_deny_file *f)
{
	struct header h;
	uint8_t sum[16];
	struct stat st;
	int rc = jt_io_stat(f->io, f->fd, &st);

	if (rc == 0)
		rc = jt_io_read_at(f->io, f->fd, &h, sizeof(h), 0);
	if (rc < 0)
		return JT_DENY_E_DAMAGED;
	header_sum(&h, sum);
	if (memcmp(sum, h.checksum, sizeof(sum)) != 0 ||
	    memcmp(h.magic, magic, sizeof(magic)) != 0)
		return JT_DENY_E_DAMAGED;
	if (h.version != VERSION || h.entries != JT_DENY_MAX)
		return JT_DENY_E_VERSION;
	if (memcmp(h.journal_id, f->journal_id, sizeof(h.journal_id)) != 0)
		return JT_DENY_E_FOREIGN;
	return st.st_size == (off_t)FILE_BYTES ? 0 : JT_DENY_E_DAMAGED;
}

static void begin(struct jt_deny_file *f, const struct jt_io *io,
		  const uint8_t journal_id[16])
{
	*f = (struct jt_deny_file){.io = io, .fd = -1};
	memcpy(f->journal_id, journal_id, sizeof(f->journal_id));
}

void jt_deny_close(struct jt_deny_file *f)
{
	if (f->fd >= 0)
		f->io->close(f->fd);
	f->fd = -1;
}

int jt_deny_open(struct jt_deny_file *f, const struct jt_io *io, int dir_fd,
		 const uint8_t journal_id[16], int flags)
{
	struct jt_place p;
	int rc = jt_place_of(&p, io, dir_fd, NULL);

	begin(f, io, journal_id);
	if (rc == 0)
		rc = jt_place_file(&p, JT_DENY_NAME, flags, &f->fd, NULL);
	if (rc != 0)
		return deny_rc(rc);
	rc = check_header(f);
	if (rc == JT_DENY_E_VERSION)
		jt_deny_close(f);
	return rc;
}

static int write_header(const struct jt_deny_file *f)
{
	struct header h = {.version = VERSION, .entries = JT_DENY_MAX};

	memcpy(h.magic, magic, sizeof(h.magic));
	memcpy(h.journal_id, f->journal_id, sizeof(h.journal_id));
	header_sum(&h, h.checksum);
	return jt_io_write_at(f->io, f->fd, &h, sizeof(h), 0);
}

static int write_all(const struct jt_deny_file *f, const struct jt_denial *list,
		     size_t n)
{
	struct entry page[CHUNK];
	int rc = write_header(f);

	for (unsigned area = 0; area < 2; area++)
		for (uint32_t at = 0; at < JT_DENY_MAX && rc == 0;
		     at += CHUNK) {
			memset(page, 0, sizeof(page));
			for (uint32_t i = at; i < at + CHUNK && i < n; i++)
				pack(f, &page[i - at], &list[i], i, area);
			rc = jt_io_write_at(f->io, f->fd, page, sizeof(page),
					    offset(at, area));
		}
	return rc != 0 ? rc : jt_io_sync_all(f->io, f->fd);
}

int jt_deny_make(struct jt_deny_file *f, const struct jt_io *io, int dir_fd,
		 const uint8_t journal_id[16], const struct jt_denial *list,
		 size_t n)
{
	struct jt_place p;
	int rc = jt_place_of(&p, io, dir_fd, NULL);

	assert(n <= JT_DENY_MAX);
	begin(f, io, journal_id);
	if (rc == 0)
		rc = jt_place_stage(&p, DENY_NEW_NAME, &f->fd, NULL);
	if (rc != 0)
		return deny_rc(rc);
	rc = write_all(f, list, n);
	if (rc == 0)
		rc = jt_place_publish(&p, DENY_NEW_NAME, JT_DENY_NAME, NULL);
	else
		(void)jt_io_unlink(io, p.fd, DENY_NEW_NAME);
	if (rc != 0)
		jt_deny_close(f);
	return rc;
}

/* What cannot be read does not hold. */
static void read_page(const struct jt_deny_file *f, uint32_t at, unsigned area,
		      struct entry page[CHUNK])
{
	if (jt_io_read_at(f->io, f->fd, page, CHUNK * ENTRY_BYTES,
			  offset(at, area)) == 0)
		return;
	for (uint32_t i = 0; i < CHUNK; i++)
		if (jt_io_read_at(f->io, f->fd, &page[i], ENTRY_BYTES,
				  offset(at + i, area)) != 0)
			memset(&page[i], 0xff, ENTRY_BYTES);
}

int jt_deny_scan(const struct jt_deny_file *f,
		 void (*each)(void *ctx, uint32_t place, enum jt_deny_kind kind,
			      const struct jt_denial *d),
		 void *ctx)
{
	struct entry pages[2][CHUNK];

	for (uint32_t at = 0; at < JT_DENY_MAX; at += CHUNK) {
		for (unsigned area = 0; area < 2; area++)
			read_page(f, at, area, pages[area]);
		if (jt_all_zero(pages, sizeof(pages)))
			continue;
		for (uint32_t i = 0; i < CHUNK; i++) {
			struct entry pair[2] = {pages[0][i], pages[1][i]};
			struct jt_denial d = {.actor_uid = JT_DENY_NOBODY};
			enum copy copies[2];
			enum jt_deny_kind kind;

			for (unsigned area = 0; area < 2; area++)
				copies[area] =
					judge(f, &pair[area], at + i, area);
			kind = meet(pair, copies, &d);
			if (kind != JT_DENY_FREE)
				each(ctx, at + i, kind, &d);
		}
	}
	return 0;
}

int jt_deny_write(const struct jt_deny_file *f, uint32_t place,
		  const struct jt_denial *d)
{
	struct entry e;
	int rc = 0;

	assert(place < JT_DENY_MAX);
	for (unsigned area = 0; area < 2 && rc == 0; area++) {
		pack(f, &e, d, place, area);
		rc = jt_io_write_at(f->io, f->fd, &e, sizeof(e),
				    offset(place, area));
	}
	return rc;
}

int jt_deny_clear(const struct jt_deny_file *f, uint32_t place)
{
	static const struct entry zeros;
	int rc = 0;

	for (unsigned area = 0; area < 2 && rc == 0; area++)
		rc = jt_io_write_at(f->io, f->fd, &zeros, sizeof(zeros),
				    offset(place, area));
	return rc;
}

bool jt_deny_ours(const struct jt_deny_file *f, int dir_fd)
{
	struct stat held, named;

	return jt_io_stat(f->io, f->fd, &held) == 0 &&
	       jt_io_stat_at(f->io, dir_fd, JT_DENY_NAME, &named) == 0 &&
	       held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

int jt_deny_sync(const struct jt_deny_file *f)
{
	return jt_io_sync(f->io, f->fd);
}

/* ---- readers ---- */

static void count_one(void *ctx, uint32_t place, enum jt_deny_kind kind,
		      const struct jt_denial *d)
{
	struct jt_deny_sum *sum = ctx;

	sum->pending += kind != JT_DENY_LOST;
	sum->hurt += kind == JT_DENY_HURT;
	sum->lost += kind == JT_DENY_LOST;
}

int jt_deny_count(const struct jt_io *io, int dir_fd,
		  const uint8_t journal_id[16], struct jt_deny_sum *sump)
{
	struct jt_deny_file f;
	int rc = jt_deny_open(&f, io, dir_fd, journal_id, O_RDONLY);

	*sump = (struct jt_deny_sum){0};
	for (unsigned look = 0; look < LOOKS && rc == 0; look++) {
		*sump = (struct jt_deny_sum){0};
		rc = jt_deny_scan(&f, count_one, sump);
		if (sump->hurt == 0 && sump->lost == 0)
			break;
		io->sleep_ns(NAP_NS);
	}
	jt_deny_close(&f);
	return rc == JT_DENY_E_NONE ? 0 : rc;
}

struct wanted {
	const char *id;
	bool found;
};

static void compare_one(void *ctx, uint32_t place, enum jt_deny_kind kind,
			const struct jt_denial *d)
{
	struct wanted *w = ctx;

	if (kind != JT_DENY_LOST && memcmp(d->id, w->id, JT_ID_BYTES) == 0)
		w->found = true;
}

bool jt_deny_has(const struct jt_io *io, int dir_fd,
		 const uint8_t journal_id[16], const char id[JT_ID_BYTES])
{
	struct wanted w = {.id = id};
	struct jt_deny_file f;
	int rc = jt_deny_open(&f, io, dir_fd, journal_id, O_RDONLY);

	if (rc == 0 || rc == JT_DENY_E_DAMAGED)
		(void)jt_deny_scan(&f, compare_one, &w);
	jt_deny_close(&f);
	return w.found;
}

const char *jt_deny_why(int rc)
{
	if (rc < 0)
		return strerrordesc_np(-rc);
	switch (rc) {
	case 0:
		return "";
	case JT_DENY_E_NONE:
		return "there is none";
	case JT_DENY_E_FOREIGN:
		return "it is another journal's";
	case JT_DENY_E_VERSION:
		return "it is of a newer version";
	case JT_DENY_E_UNSAFE:
		return "others may change it";
	default:
		return "it is damaged";
	}
}
