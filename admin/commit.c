/*
 * commit: everything that writes the journal but for the rescue.
 *
 * The order of writes and flushes, and what a crash between any two leaves, is
 * argued at the top of journal.c. What is added here is what happens when one
 * of them fails:
 *   - before the slot is touched, nothing was committed. Only when the disk is
 *     full is there a second way: revokes that fit go into the reserve;
 *   - from the first flush on, nobody knows what the disk holds. The lock file
 *     is poisoned (lock.c), this handle refuses, the flush is never repeated.
 *     The change is not acknowledged; the rescue finds all of it or nothing.
 */
#include "admin/inner.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#define SLACK_RECORDS 4096u /* each extension lasts for so many commits */
#define CHUNK_RECORDS 4096u /* 1 MiB: chained and written while in cache */
#define CREATE_WAIT_MS 2000u

static uint8_t zeros[65536]; /* never written; const would fill the binary */

int jt_zero_write(const struct jt_io *io, int fd, uint64_t from, uint64_t to)
{
	while (from < to) {
		uint64_t left = to - from;
		size_t n = left < sizeof(zeros) ? left : sizeof(zeros);
		int rc = jt_io_write_at(io, fd, zeros, n, from);

		if (rc < 0)
			return rc;
		from += n;
	}
	return 0;
}

int jt_front_write(const struct jt_io *io, int fd,
		   const struct jt_header_page *header,
		   const struct jt_commit *c)
{
	struct jt_slot_page page;
	int rc = jt_io_write_at(io, fd, header, sizeof(*header), 0);

	for (unsigned i = 0; i < 2 && rc == 0; i++) {
		jt_slot_make(&page, header->id, i, c);
		rc = jt_io_write_at(io, fd, &page, sizeof(page),
				    JT_PAGE_BYTES * (1u + i));
	}
	return rc;
}

static bool is_full(int rc)
{
	return rc == -ENOSPC || rc == -EDQUOT || rc == -EFBIG;
}

static int failed(struct jt_fault *faultp, int rc, const char *what)
{
	return jt_fault_set(faultp, rc, 0, 0, "journal: cannot %s: %s", what,
			    strerrordesc_np(-rc));
}

static int poison(struct jt_journal *j, int rc, struct jt_fault *faultp)
{
	j->failed = true;
	jt_lock_poison(j->io, j->lock_fd);
	return jt_fault_set(faultp, rc, 0, 0,
			    "journal: flush to disk failed: %s; the change is "
			    "not recorded and nothing more is written; check "
			    "the disk, then run `jeton journal rescue` or "
			    "reboot",
			    strerrordesc_np(-rc));
}

/* Records are written: make them durable, then the slot that names them. */
static int commit(struct jt_journal *j, const struct jt_commit *c,
		  struct jt_fault *faultp)
{
	struct jt_slot_page page;
	int rc = jt_io_sync(j->io, j->fd);

	if (rc < 0)
		return poison(j, rc, faultp);
	jt_slot_make(&page, j->id, j->slot_next, c);
	rc = jt_io_write_at(j->io, j->fd, &page, sizeof(page),
			    JT_PAGE_BYTES * (1u + j->slot_next));
	if (rc == 0)
		rc = jt_io_sync(j->io, j->fd);
	if (rc < 0)
		return poison(j, rc, faultp);
	j->committed = *c;
	j->slot_next = !j->slot_next;
	return 0;
}

/* A damaged slot: name what was adopted in it, under the rules of a commit. */
static int repair(struct jt_journal *j, struct jt_fault *faultp)
{
	struct jt_commit c = j->committed;

	return j->adopted ? commit(j, &c, faultp) : 0;
}

/*
 * Both slots name the same commit: nobody has committed to this file yet. Who
 * made it may have been killed between its rename and the flush of the
 * directory, so a power cut could still bring the file before back, without
 * what is committed to this one.
 */
static int flush_name(struct jt_journal *j, const struct jt_slots *slots,
		      struct jt_fault *faultp)
{
	int rc = 0;

	if (j->adopted || slots->commit[0].number == slots->commit[1].number)
		rc = jt_io_sync_all(j->io, j->dir_fd);
	return rc < 0 ? poison(j, rc, faultp) : 0;
}

static int open_locked(struct jt_journal *j, const struct jt_place *p,
		       int lock_fd, struct jt_fault *faultp)
{
	struct jt_slots slots;
	int rc = jt_lock_check(p->io, lock_fd, faultp);

	if (rc != 0)
		return rc;
	rc = jt_journal_attach(j, p, JT_JOURNAL_NAME, O_RDWR, &slots, faultp);
	if (rc != 0)
		return rc;
	j->lock_fd = lock_fd;
	rc = jt_journal_last(j, faultp);
	if (rc == 0)
		rc = jt_anchor_guard(j, faultp);
	if (rc == 0)
		rc = flush_name(j, &slots, faultp);
	if (rc == 0)
		rc = repair(j, faultp);
	if (rc != 0)
		p->io->close(j->fd);
	return rc;
}

int jt_journal_open_write(struct jt_journal *j, const struct jt_io *io,
			  const char *dir, unsigned wait_ms,
			  struct jt_fault *faultp)
{
	struct jt_place p;
	int lock_fd, rc = jt_place_open(&p, io, dir, faultp);

	if (rc != 0)
		return rc;
	rc = jt_lock_take(&p, wait_ms, &lock_fd, faultp);
	if (rc == 0) {
		rc = open_locked(j, &p, lock_fd, faultp);
		if (rc != 0)
			io->close(lock_fd);
	}
	if (rc != 0)
		io->close(p.fd);
	return rc;
}

static int check_batch(const struct jt_journal *j,
		       const struct jt_record *records, size_t n,
		       struct jt_fault *faultp)
{
	const char *why;

	if (n == 0 || n > UINT32_MAX || n > JT_NUMBER_MAX - j->committed.number)
		return jt_fault_set(faultp, -EINVAL, 0, 0,
				    "journal: a batch of %zu records", n);
	for (size_t i = 0; i < n; i++)
		if (jt_record_check(&records[i], &why) != 0)
			return jt_fault_set(faultp, -EINVAL, 0, 0,
					    "journal: record %zu of the batch "
					    "is not fit to write: %s",
					    i + 1, why);
	return 0;
}

/* May this handle write, and is the file still the one that it checked? */
static int check_handle(struct jt_journal *j, struct jt_fault *faultp)
{
	struct jt_commit before = j->committed;
	int rc;

	if (j->failed)
		return jt_fault_set(faultp, JT_JOURNAL_E_POISONED, 0, 0,
				    "journal: an earlier flush failed; close "
				    "it, then run `jeton journal rescue` or "
				    "reboot");
	assert(j->lock_fd >= 0);
	rc = jt_journal_refresh(j, faultp);
	if (rc == 0 && j->committed.number != before.number)
		return jt_journal_damaged(faultp, 0, JT_PAGE_BYTES,
					  "somebody committed past our lock");
	return rc;
}

static void stamp(const struct jt_journal *j, struct jt_record *records,
		  size_t n, uint32_t uid, struct jt_commit *c)
{
	uint8_t op[sizeof(records->op)];

	randombytes_buf(op, sizeof(op));
	c->time_ns = j->io->wall_ns();
	for (size_t i = 0; i < n; i++) {
		records[i].number = c->number + 1 + i;
		records[i].time_ns = c->time_ns;
		records[i].actor_uid = uid;
		records[i].part = (uint32_t)i + 1;
		records[i].parts = (uint32_t)n;
		memcpy(records[i].op, op, sizeof(op));
	}
	c->number += n;
}

static int write_records(const struct jt_journal *j, struct jt_record *records,
			 size_t n, struct jt_commit *c)
{
	uint64_t at = jt_record_offset(j->origin, records[0].number);

	for (size_t i = 0; i < n; i += CHUNK_RECORDS) {
		size_t now = n - i < CHUNK_RECORDS ? n - i : CHUNK_RECORDS;
		int rc;

		jt_chain_seal(&records[i], now, c->tag);
		rc = jt_io_write_at(j->io, j->fd, &records[i],
				    now * JT_RECORD_BYTES,
				    at + i * JT_RECORD_BYTES);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/*
 * By how much a file of HAD bytes must grow for a batch that ends at END: until
 * the reserve falls short nothing, then enough for the next commits as well.
 */
static uint64_t growth(uint64_t end, uint64_t had)
{
	uint64_t least = end + (uint64_t)JT_JOURNAL_RESERVE * JT_RECORD_BYTES;

	if (had >= least)
		return 0;
	return least + (uint64_t)SLACK_RECORDS * JT_RECORD_BYTES - had;
}

/* Zeros behind a batch that ends at END, when the file had HAD bytes. */
static int extend(struct jt_journal *j, uint64_t end, uint64_t had)
{
	uint64_t from = had > end ? had : end;
	uint64_t to = had + growth(end, had);
	int rc;

	if (to == had)
		return 0;
	rc = jt_zero_write(j->io, j->fd, from, to);
	if (rc == 0)
		j->file_bytes = to;
	return rc;
}

/* Does the batch only take away? A reason beside it is no hindrance. */
static bool only_denies(const struct jt_record *records, size_t n)
{
	size_t denials = 0;

	for (size_t i = 0; i < n; i++) {
		uint8_t type = records[i].type;

		if (type == JT_REC_REVOKE || type == JT_REC_SUSPEND ||
		    type == JT_REC_FINISH)
			denials++;
		else if (type != JT_REC_REASON)
			return false;
	}
	return denials > 0;
}

/*
 * The file grew by a part only. Give that back: it may be the disk's last
 * block, and what was never flushed must not pass for reserve with the next
 * writer. If even this fails, so be it: his own flush covers it.
 */
static void cut_back(struct jt_journal *j, uint64_t bytes)
{
	(void)jt_io_truncate(j->io, j->fd, bytes);
	j->file_bytes = bytes;
}

static int put_batch(struct jt_journal *j, struct jt_record *records, size_t n,
		     struct jt_commit *c, struct jt_fault *faultp)
{
	uint64_t had = j->file_bytes;
	uint64_t end = jt_record_offset(j->origin, c->number + 1);
	bool written;
	int rc = write_records(j, records, n, c);

	written = rc == 0;
	if (rc == 0)
		rc = extend(j, end, had);
	if (rc == 0)
		return 0;
	cut_back(j, had);
	if (!is_full(rc))
		return failed(faultp, rc, "write");
	if (written && end <= had && only_denies(records, n))
		return 0;
	return jt_fault_set(faultp, JT_JOURNAL_E_FULL, 0, 0,
			    "journal: no room for %zu records (%s); only "
			    "revokes are still written; free %" PRIu64 " KiB",
			    n, strerrordesc_np(-rc), growth(end, had) / 1024);
}

int jt_journal_append(struct jt_journal *j, struct jt_record *records, size_t n,
		      struct jt_fault *faultp)
{
	return jt_journal_append_for(j, getuid(), records, n, faultp);
}

int jt_journal_append_for(struct jt_journal *j, uint32_t uid,
			  struct jt_record *records, size_t n,
			  struct jt_fault *faultp)
{
	struct jt_commit c;
	int rc = check_handle(j, faultp);

	if (rc == 0)
		rc = check_batch(j, records, n, faultp);
	if (rc != 0)
		return rc;
	c = j->committed;
	stamp(j, records, n, uid, &c);
	rc = put_batch(j, records, n, &c, faultp);
	return rc != 0 ? rc : commit(j, &c, faultp);
}

static bool prefix_ok(const char *prefix)
{
	size_t n = strspn(prefix, "abcdefghijklmnopqrstuvwxyz");

	return n >= 2 && n <= 4 && prefix[n] == '\0';
}

static int write_new(const struct jt_io *io, int fd, const char *prefix)
{
	struct jt_header_page h = {.generation = 1};
	struct jt_commit c = {.number = 0};
	uint64_t records = JT_JOURNAL_RESERVE + SLACK_RECORDS;
	int rc;

	h.created_ns = c.time_ns = io->wall_ns();
	memcpy(h.prefix, prefix, strlen(prefix));
	randombytes_buf(h.id, sizeof(h.id));
	jt_header_seal(&h);
	jt_header_first_tag(&h, c.tag);
	rc = jt_front_write(io, fd, &h, &c);
	if (rc == 0)
		rc = jt_zero_write(io, fd, JT_JOURNAL_DATA,
				   JT_JOURNAL_DATA + records * JT_RECORD_BYTES);
	return rc != 0 ? rc : jt_io_sync_all(io, fd);
}

/* May there be a new journal here? */
static int check_vacant(const struct jt_place *p, struct jt_fault *faultp)
{
	int rc = jt_place_has(p, JT_JOURNAL_NAME);

	if (rc < 0)
		return jt_place_fault(p, faultp, rc, JT_JOURNAL_NAME,
				      "cannot look");
	if (rc > 0)
		return jt_fault_set(faultp, JT_JOURNAL_E_EXISTS, 0, 0,
				    "%s: there is a journal already", p->path);
	rc = jt_place_has(p, JT_ANCHOR_NAME);
	if (rc < 0)
		return jt_place_fault(p, faultp, rc, JT_ANCHOR_NAME,
				      "cannot look");
	if (rc > 0)
		return jt_fault_set(faultp, JT_JOURNAL_E_OLD, 0, 0,
				    "%s/%s tells of a journal that is gone; "
				    "put it back, or remove that file to "
				    "begin anew",
				    p->path, JT_ANCHOR_NAME);
	return 0;
}

static int create_locked(const struct jt_place *p, const char *prefix,
			 struct jt_fault *faultp)
{
	int fd, rc = check_vacant(p, faultp);

	if (rc == 0)
		rc = jt_place_stage(p, JT_JOURNAL_NEW_NAME, &fd, faultp);
	if (rc != 0)
		return rc;
	rc = write_new(p->io, fd, prefix);
	p->io->close(fd);
	if (rc == 0)
		return jt_place_publish(p, JT_JOURNAL_NEW_NAME, JT_JOURNAL_NAME,
					faultp);
	(void)jt_io_unlink(p->io, p->fd, JT_JOURNAL_NEW_NAME);
	jt_place_fault(p, faultp, rc, JT_JOURNAL_NEW_NAME, "cannot write");
	return is_full(rc) ? JT_JOURNAL_E_FULL : rc;
}

/*
 * Make the directory and its name durable, or find it there: then who made it
 * may have been killed before the flush. A parent that others own and that we
 * may not read was not made by one of us.
 */
static int make_dir(struct jt_place *p, const struct jt_io *io, const char *dir,
		    struct jt_fault *faultp)
{
	int made = jt_io_mkdir(io, AT_FDCWD, dir, 0700);
	int up, rc;

	if (made < 0 && made != -EEXIST)
		return jt_fault_set(faultp, made, 0, 0,
				    "%s: cannot make this directory: %s", dir,
				    strerrordesc_np(-made));
	rc = jt_place_open(p, io, dir, faultp);
	if (rc != 0)
		return rc;
	up = jt_io_open(io, p->fd, "..", O_RDONLY | O_DIRECTORY, 0);
	rc = up < 0 ? up : jt_io_sync_all(io, up);
	if (up >= 0)
		io->close(up);
	if (rc == 0 || (made < 0 && up == -EACCES))
		return 0;
	io->close(p->fd);
	return jt_place_fault(p, faultp, rc, "..", "cannot flush");
}

int jt_journal_create(const struct jt_io *io, const char *dir,
		      const char *prefix, struct jt_fault *faultp)
{
	struct jt_place p;
	int lock_fd, rc;

	if (!prefix_ok(prefix))
		return jt_fault_set(faultp, -EINVAL, 0, 0,
				    "a prefix is 2 to 4 lower-case letters");
	if (sodium_init() < 0)
		return jt_fault_set(faultp, -EIO, 0, 0,
				    "cannot set up libsodium");
	rc = make_dir(&p, io, dir, faultp);
	if (rc != 0)
		return rc;
	rc = jt_lock_take(&p, CREATE_WAIT_MS, &lock_fd, faultp);
	if (rc == 0) {
		rc = create_locked(&p, prefix, faultp);
		io->close(lock_fd);
	}
	io->close(p.fd);
	return rc;
}
