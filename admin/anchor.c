/*
 * anchor: two slots in a file of their own.
 *
 *	byte 0	   512		  4096	  4608		 8192
 *	+----------+-- zeros -- ~ +--------+-- zeros -- ~ +
 *	|  slot 0  |		  | slot 1 |		  |
 *	+----------+-- zeros -- ~ +--------+-- zeros -- ~ +
 *
 * The slot of sequence s stands at place s & 1, so the next sequence always
 * falls on the older one, and a write that is torn or lost leaves the newer as
 * it was. The file begins with both slots alike, under a temporary name: a
 *crash leaves no anchor or a whole one. One bad slot is passed over; the other
 *is at most a second older and still holds its journal to what it says.
 */
#include "admin/archive.h"
#include "admin/inner.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <string.h>

#define ANCHOR_NEW_NAME "anchor.new"

struct slot {
	char magic[8];
	uint8_t journal_id[16];
	uint64_t number;
	uint8_t tag[16];
	uint64_t clock_s;
	uint64_t sequence;
	uint8_t zero[432];
	uint8_t checksum[16];
	uint8_t zeros[3584];
};

static_assert(offsetof(struct slot, checksum) == 496, "anchor sector");
static_assert(sizeof(struct slot) == JT_PAGE_BYTES, "anchor slot");

static const char magic[8] = "jetonanc";
static const uint8_t domain[16] = "jeton anchor";

static void checksum(uint8_t out[16], const struct slot *s)
{
	int rc = crypto_generichash_blake2b_salt_personal(
		out, 16, (const uint8_t *)s, offsetof(struct slot, checksum),
		NULL, 0, NULL, domain);

	assert(rc == 0);
	(void)rc;
}

static void pack(struct slot *s, const struct jt_anchor *a)
{
	*s = (struct slot){
		.number = a->number,
		.clock_s = a->clock_s,
		.sequence = a->sequence,
	};
	memcpy(s->magic, magic, sizeof(s->magic));
	memcpy(s->journal_id, a->journal_id, sizeof(s->journal_id));
	memcpy(s->tag, a->tag, sizeof(s->tag));
	checksum(s->checksum, s);
}

static bool unpack(const struct slot *s, unsigned place, struct jt_anchor *ap)
{
	uint8_t sum[16];

	checksum(sum, s);
	if (memcmp(sum, s->checksum, sizeof(sum)) != 0 ||
	    memcmp(s->magic, magic, sizeof(s->magic)) != 0 ||
	    !jt_all_zero(s->zero, sizeof(s->zero)) ||
	    !jt_all_zero(s->zeros, sizeof(s->zeros)) ||
	    (s->sequence & 1) != place || s->sequence > INT64_MAX)
		return false;
	*ap = (struct jt_anchor){
		.number = s->number,
		.clock_s = s->clock_s,
		.sequence = s->sequence,
	};
	memcpy(ap->journal_id, s->journal_id, sizeof(ap->journal_id));
	memcpy(ap->tag, s->tag, sizeof(ap->tag));
	return true;
}

static int read_fd(const struct jt_io *io, int fd, struct jt_anchor *ap)
{
	struct jt_anchor a[2];
	struct slot s[2];
	bool valid[2];
	int rc = jt_io_read_at(io, fd, s, sizeof(s), 0);

	if (rc == -ENODATA)
		return JT_ANCHOR_E_DAMAGED;
	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < 2; i++)
		valid[i] = unpack(&s[i], i, &a[i]);
	if (!valid[0] && !valid[1])
		return JT_ANCHOR_E_DAMAGED;
	*ap = !valid[0] || (valid[1] && a[1].sequence > a[0].sequence) ? a[1]
								       : a[0];
	return 0;
}

static int open_fd(const struct jt_place *p, int flags, int *fdp)
{
	int rc = jt_place_file(p, JT_ANCHOR_NAME, flags, fdp, NULL);

	if (rc == JT_JOURNAL_E_NONE)
		return JT_ANCHOR_E_NONE;
	return rc > 0 ? JT_ANCHOR_E_UNSAFE : rc;
}

int jt_anchor_read(const struct jt_io *io, int dir_fd, struct jt_anchor *ap)
{
	struct jt_place p;
	int fd, rc = jt_place_of(&p, io, dir_fd, NULL);

	if (rc != 0)
		return rc < 0 ? rc : JT_ANCHOR_E_UNSAFE;
	rc = open_fd(&p, O_RDONLY, &fd);
	if (rc != 0)
		return rc;
	rc = read_fd(io, fd, ap);
	io->close(fd);
	return rc;
}

static int write_slot(const struct jt_io *io, int fd, const struct jt_anchor *a)
{
	struct slot s;

	pack(&s, a);
	return jt_io_write_at(io, fd, &s, sizeof(s),
			      JT_PAGE_BYTES * (a->sequence & 1));
}

/* A new file, for there is none, or none that tells where to go on. */
static int write_whole(const struct jt_place *p, struct jt_anchor *a)
{
	int fd, rc = jt_place_stage(p, ANCHOR_NEW_NAME, &fd, NULL);

	if (rc != 0)
		return rc < 0 ? rc : JT_ANCHOR_E_UNSAFE;
	for (a->sequence = 1; a->sequence <= 2 && rc == 0; a->sequence++)
		rc = write_slot(p->io, fd, a);
	if (rc == 0)
		rc = jt_io_sync_all(p->io, fd);
	p->io->close(fd);
	if (rc == 0)
		return jt_place_publish(p, ANCHOR_NEW_NAME, JT_ANCHOR_NAME,
					NULL);
	(void)jt_io_unlink(p->io, p->fd, ANCHOR_NEW_NAME);
	return rc;
}

int jt_anchor_write(const struct jt_io *io, int dir_fd,
		    const struct jt_anchor *a)
{
	struct jt_anchor before, now = *a;
	struct jt_place p;
	int fd, rc = jt_place_of(&p, io, dir_fd, NULL);

	if (rc != 0)
		return rc < 0 ? rc : JT_ANCHOR_E_UNSAFE;
	rc = open_fd(&p, O_RDWR, &fd);
	if (rc == JT_ANCHOR_E_NONE)
		return write_whole(&p, &now);
	if (rc != 0)
		return rc;
	rc = read_fd(io, fd, &before);
	if (rc == 0) {
		now.sequence = before.sequence + 1;
		rc = write_slot(io, fd, &now);
		if (rc == 0)
			rc = jt_io_sync(io, fd);
	}
	io->close(fd);
	return rc == JT_ANCHOR_E_DAMAGED ? write_whole(&p, &now) : rc;
}

/* Nothing here can tell this history from another. */
static int unknown(const struct jt_journal *j, uint64_t number,
		   struct jt_fault *faultp)
{
	return jt_fault_set(faultp, JT_JOURNAL_E_OLD, number, 0,
			    "journal begins after record %" PRIu64
			    ", but the anchor names %" PRIu64 " and the "
			    "archive of it is not here to compare; put it "
			    "back, or see `jeton journal accept`",
			    j->base, number);
}

int jt_anchor_check(const struct jt_journal *j, const struct jt_anchor *a,
		    struct jt_fault *faultp)
{
	uint8_t tag[JT_TAG_BYTES];
	int rc;

	if (memcmp(a->journal_id, j->id, sizeof(j->id)) != 0)
		return jt_fault_set(faultp, JT_JOURNAL_E_OLD, 0, 0,
				    "journal and anchor are of different "
				    "origin: journal ends at record %" PRIu64
				    ", anchor names %" PRIu64
				    "; see `jeton journal accept`",
				    j->committed.number, a->number);
	if (a->number > j->committed.number)
		return jt_fault_set(faultp, JT_JOURNAL_E_OLD, a->number, 0,
				    "journal ends at record %" PRIu64
				    ", but record %" PRIu64
				    " was committed: this is an older copy; "
				    "put the newer back, or see `jeton "
				    "journal accept`",
				    j->committed.number, a->number);
	rc = jt_archive_tag(j, a->number, tag, faultp);
	if (rc == JT_JOURNAL_E_ARCHIVED)
		return unknown(j, a->number, faultp);
	if (rc != 0 || memcmp(tag, a->tag, sizeof(tag)) == 0)
		return rc;
	return jt_fault_set(faultp, JT_JOURNAL_E_OLD, a->number, 0,
			    "journal ends at record %" PRIu64 ", but its "
			    "record %" PRIu64 " is not the one that the anchor "
			    "names: another history; see `jeton journal "
			    "accept`",
			    j->committed.number, a->number);
}

int jt_anchor_guard(const struct jt_journal *j, struct jt_fault *faultp)
{
	struct jt_anchor a;
	int rc = jt_anchor_read(j->io, j->dir_fd, &a);

	if (rc == 0)
		return jt_anchor_check(j, &a, faultp);
	if (rc == JT_ANCHOR_E_NONE)
		return 0;
	if (rc == JT_ANCHOR_E_UNSAFE)
		return jt_fault_set(faultp, JT_JOURNAL_E_UNSAFE, 0, 0,
				    "anchor: others may change this file; "
				    "chown it to the directory's owner and "
				    "chmod 600");
	if (rc == JT_ANCHOR_E_DAMAGED)
		return jt_fault_set(faultp, JT_JOURNAL_E_DAMAGED, 0, 0,
				    "anchor: neither slot verifies, so the "
				    "journal cannot be told from an older "
				    "copy; see `jeton journal accept`");
	return jt_fault_set(faultp, rc, 0, 0, "anchor: cannot read: %s",
			    strerrordesc_np(-rc));
}
