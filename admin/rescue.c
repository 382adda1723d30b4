/*
 * rescue: a new file from what the disk really holds.
 *
 * After a failed flush the page cache may show what the disk never got. So the
 * copy is read with O_DIRECT, past the cache, and only the copy is believed:
 * its slots say how far it goes, whether or not the change whose flush failed
 * is among it. (Where the file system knows no O_DIRECT the cache must do; what
 * it shows is then flushed anew, in other blocks, and verified as well.)
 *
 * The copy becomes the next generation of the same journal: same id, numbers
 * and tags, both slots at the commit, fresh zeros behind it. Order: new file
 * synced and verified; old file linked as archive, directory synced; rename,
 * directory synced; only then the poison mark is taken back. A crash before the
 * rename leaves the old file, poisoned; after it the new, perhaps still
 * poisoned. Both times rescue can be run again.
 */
#include "admin/rescue.h"
#include "admin/inner.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOCK_WAIT_MS 2000u
#define COPY_BYTES (1u << 20)
#define ARCHIVE_MAX 48
#define ROOM_RECORDS (JT_JOURNAL_RESERVE + 4096u)
#define NS_PER_S UINT64_C(1000000000)

static uint64_t page_up(uint64_t bytes)
{
	return (bytes + JT_PAGE_BYTES - 1) / JT_PAGE_BYTES * JT_PAGE_BYTES;
}

/*
 * What stands at AT before END, as far as BUF goes; offset and length asked for
 * are whole pages.
 */
static int read_direct(const struct jt_io *io, int fd, uint8_t *buf,
		       uint64_t at, uint64_t end, size_t *gotp)
{
	uint64_t left = page_up(end - at);
	size_t ask = left < COPY_BYTES ? left : COPY_BYTES;
	unsigned tries = 0;

	*gotp = 0;
	while (*gotp < ask && at + *gotp < end) {
		ssize_t n = io->pread(fd, buf + *gotp, ask - *gotp,
				      (off_t)(at + *gotp));

		if (n < 0 && errno == EINTR && ++tries < 10000)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
		*gotp += (size_t)n;
	}
	return 0;
}

/* Copy from *ATP, a multiple of a page, until END. */
static int copy_bytes(const struct jt_io *io, int from, int to, uint64_t end,
		      uint64_t *atp)
{
	uint8_t *buf = aligned_alloc(JT_PAGE_BYTES, COPY_BYTES);
	int rc = buf == NULL ? -ENOMEM : 0;

	while (rc == 0 && *atp < end) {
		size_t n;

		rc = read_direct(io, from, buf, *atp, end, &n);
		if (rc == 0)
			rc = jt_io_write_at(io, to, buf, n, *atp);
		if (rc == 0)
			*atp += n;
	}
	free(buf);
	return rc;
}

/*
 * How much of a file of SIZE bytes, whose first pages are copied to FD, is
 * wanted: up to the commit, for what failed to be written behind it may not be
 * readable either; everything, if a slot is bad and the commit to be found.
 */
static uint64_t wanted(const struct jt_io *io, int fd, uint64_t size)
{
	struct jt_header_page h;
	struct jt_slot_page page[2];
	struct jt_commit c[2];
	uint64_t number, end;
	const char *why;

	if (jt_io_read_at(io, fd, &h, sizeof(h), 0) != 0 ||
	    jt_io_read_at(io, fd, page, sizeof(page), JT_PAGE_BYTES) != 0 ||
	    jt_header_check(&h, &why) != 0 ||
	    !jt_slot_check(&page[0], h.id, 0, &c[0]) ||
	    !jt_slot_check(&page[1], h.id, 1, &c[1]))
		return size;
	number = c[c[1].number > c[0].number].number;
	if (number < h.base)
		return size;
	end = page_up(jt_record_offset(h.base - h.state_records, number + 1));
	return end < size ? end : size;
}

static int open_direct(const struct jt_place *p, int *fdp,
		       struct jt_fault *faultp)
{
	int rc = jt_place_file(p, JT_JOURNAL_NAME, O_RDONLY | O_DIRECT, fdp,
			       faultp);

	if (rc == -EINVAL)
		rc = jt_place_file(p, JT_JOURNAL_NAME, O_RDONLY, fdp, faultp);
	return rc;
}

static int copy_journal(const struct jt_place *p, int to,
			struct jt_fault *faultp)
{
	struct stat st;
	uint64_t size, at = 0;
	int from, rc = open_direct(p, &from, faultp);

	if (rc != 0)
		return rc;
	rc = jt_io_stat(p->io, from, &st);
	size = rc == 0 ? (uint64_t)st.st_size : 0;
	if (rc == 0)
		rc = copy_bytes(p->io, from, to,
				size < JT_JOURNAL_DATA ? size : JT_JOURNAL_DATA,
				&at);
	if (rc == 0)
		rc = copy_bytes(p->io, from, to, wanted(p->io, to, size), &at);
	p->io->close(from);
	if (rc == 0)
		return 0;
	return jt_fault_set(faultp, rc, 0, at,
			    "journal: cannot copy at byte %" PRIu64 ": %s", at,
			    strerrordesc_np(-rc));
}

/* The copy J is loaded: make it a file of its own right. */
static int seal_copy(struct jt_journal *j)
{
	uint64_t end = jt_record_offset(j->origin, j->committed.number + 1);
	struct jt_header_page h;
	int rc = jt_io_read_at(j->io, j->fd, &h, sizeof(h), 0);

	if (rc == 0)
		rc = jt_io_truncate(j->io, j->fd, end);
	if (rc == 0)
		rc = jt_zero_write(j->io, j->fd, end,
				   end + (uint64_t)ROOM_RECORDS *
						   JT_RECORD_BYTES);
	if (rc != 0)
		return rc;
	h.generation++;
	memcpy(h.base_tag, j->base_tag, sizeof(h.base_tag));
	jt_header_seal(&h);
	rc = jt_front_write(j->io, j->fd, &h, &j->committed);
	return rc != 0 ? rc : jt_io_sync_all(j->io, j->fd);
}

/* Copy into TO, seal, verify whole; *GENERATIONP: that of the old file. */
static int make_copy(const struct jt_place *p, int to, uint64_t *generationp,
		     struct jt_fault *faultp)
{
	struct jt_journal_summary sum = {0};
	struct jt_slots slots;
	struct jt_journal j = {
		.io = p->io,
		.dir_fd = p->fd,
		.fd = to,
		.lock_fd = -1,
	};
	int rc = copy_journal(p, to, faultp);

	if (rc == 0)
		rc = jt_journal_load(&j, &slots, faultp);
	if (rc != 0)
		return rc;
	*generationp = j.generation;
	rc = seal_copy(&j);
	if (rc != 0)
		return jt_place_fault(p, faultp, rc, JT_JOURNAL_NEW_NAME,
				      "cannot write");
	j.adopted = false; /* both slots are new */
	rc = jt_journal_load(&j, &slots, faultp);
	if (rc == 0)
		rc = jt_journal_verify(&j, &slots, &sum, faultp);
	return rc;
}

static bool same_inode(const struct jt_place *p, const char *a, const char *b)
{
	struct stat st[2];

	return jt_io_stat_at(p->io, p->fd, a, &st[0]) == 0 &&
	       jt_io_stat_at(p->io, p->fd, b, &st[1]) == 0 &&
	       st[0].st_dev == st[1].st_dev && st[0].st_ino == st[1].st_ino;
}

static int archive(const struct jt_place *p, uint64_t generation,
		   struct jt_fault *faultp)
{
	char name[ARCHIVE_MAX];
	int rc;

	snprintf(name, sizeof(name), "%s.rescued-%" PRIu64, JT_JOURNAL_NAME,
		 generation);
	rc = jt_io_link(p->io, p->fd, JT_JOURNAL_NAME, name);
	if (rc == -EEXIST) {
		if (!same_inode(p, JT_JOURNAL_NAME, name))
			return jt_fault_set(faultp, JT_JOURNAL_E_EXISTS, 0, 0,
					    "%s/%s is in the way of the "
					    "archive; move it elsewhere",
					    p->path, name);
		rc = 0; /* an earlier rescue came that far */
	}
	if (rc == 0)
		rc = jt_io_sync_all(p->io, p->fd);
	return rc < 0 ? jt_place_fault(p, faultp, rc, name, "cannot link") : 0;
}

static int rescue_locked(const struct jt_place *p, int lock_fd,
			 struct jt_fault *faultp)
{
	uint64_t generation;
	int fd, rc = jt_place_stage(p, JT_JOURNAL_NEW_NAME, &fd, faultp);

	if (rc != 0)
		return rc;
	rc = make_copy(p, fd, &generation, faultp);
	p->io->close(fd);
	if (rc == 0)
		rc = archive(p, generation, faultp);
	if (rc != 0) {
		(void)jt_io_unlink(p->io, p->fd, JT_JOURNAL_NEW_NAME);
		return rc;
	}
	rc = jt_place_publish(p, JT_JOURNAL_NEW_NAME, JT_JOURNAL_NAME, faultp);
	if (rc != 0)
		return rc;
	rc = jt_lock_clear(p->io, lock_fd);
	if (rc != 0)
		jt_place_fault(p, faultp, rc, JT_JOURNAL_LOCK_NAME,
			       "cannot take the mark back");
	return rc;
}

int jt_journal_rescue(const struct jt_io *io, const char *dir,
		      struct jt_fault *faultp)
{
	struct jt_place p;
	int lock_fd, rc = jt_place_open(&p, io, dir, faultp);

	if (rc != 0)
		return rc;
	rc = jt_lock_take(&p, LOCK_WAIT_MS, &lock_fd, faultp);
	if (rc == 0) {
		rc = rescue_locked(&p, lock_fd, faultp);
		io->close(lock_fd);
	}
	io->close(p.fd);
	return rc;
}

static int write_anchor(const struct jt_journal *j, struct jt_fault *faultp)
{
	struct jt_anchor a = {
		.number = j->committed.number,
		.clock_s = j->io->wall_ns() / NS_PER_S,
	};
	struct jt_anchor before;
	int rc;

	memcpy(a.journal_id, j->id, sizeof(a.journal_id));
	memcpy(a.tag, j->committed.tag, sizeof(a.tag));
	if (jt_anchor_read(j->io, j->dir_fd, &before) == 0 &&
	    before.clock_s > a.clock_s)
		a.clock_s = before.clock_s;
	rc = jt_anchor_write(j->io, j->dir_fd, &a);
	if (rc < 0)
		return jt_fault_set(faultp, rc, 0, 0,
				    "anchor: cannot write: %s",
				    strerrordesc_np(-rc));
	if (rc > 0)
		return jt_fault_set(faultp, JT_JOURNAL_E_UNSAFE, 0, 0,
				    "anchor: others may change this file; "
				    "remove it");
	return 0;
}

static int accept_at(const struct jt_journal *j, const struct jt_slots *slots,
		     const struct jt_commit *at, struct jt_fault *faultp)
{
	struct jt_journal_summary sum = {0};
	char ends[JT_RECEIPT_MAX];
	int rc = jt_journal_verify(j, slots, &sum, faultp);

	if (rc != 0)
		return rc;
	if (at->number == j->committed.number &&
	    memcmp(at->tag, j->committed.tag, sizeof(at->tag)) == 0)
		return write_anchor(j, faultp);
	jt_receipt_format(&j->committed, ends);
	return jt_fault_set(faultp, JT_JOURNAL_E_OLD, j->committed.number, 0,
			    "journal ends at %s, not at what was to be "
			    "accepted",
			    ends);
}

static int accept_locked(const struct jt_place *p, int lock_fd,
			 const struct jt_commit *at, struct jt_fault *faultp)
{
	struct jt_slots slots;
	struct jt_journal j;
	int rc = jt_lock_check(p->io, lock_fd, faultp);

	if (rc != 0)
		return rc;
	rc = jt_journal_attach(&j, p, JT_JOURNAL_NAME, O_RDONLY, &slots,
			       faultp);
	if (rc != 0)
		return rc;
	rc = accept_at(&j, &slots, at, faultp);
	p->io->close(j.fd);
	return rc;
}

int jt_journal_accept(const struct jt_io *io, const char *dir,
		      const struct jt_commit *at, struct jt_fault *faultp)
{
	struct jt_place p;
	int lock_fd, rc = jt_place_open(&p, io, dir, faultp);

	if (rc != 0)
		return rc;
	rc = jt_lock_take(&p, LOCK_WAIT_MS, &lock_fd, faultp);
	if (rc == 0) {
		rc = accept_locked(&p, lock_fd, at, faultp);
		io->close(lock_fd);
	}
	io->close(p.fd);
	return rc;
}
