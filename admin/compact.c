/*
 * compact: building the new file, and changing over to it.
 *
 *	old	header | slots | (state) | b+1 .......... N | N+1 .. M | reserve
 *	new	header | slots | state of all up to N	    | N+1 .. M | reserve
 *			base N, the old tag of N ------------^
 *
 * WITHOUT THE LOCK. What is committed is never written again, so the old file
 * is read up to N as any reader does, twice: once to learn what is still needed
 * (survey.c), once to copy that. State records get tags of a chain of their
 * own, which starts from N's tag and whose end the header names; all else of
 * them, number and time included, is as it was. They stand in the order of
 * their numbers, so that one can be found by halving. The records behind N are
 * copied bit for bit, tags included: they follow on N's tag in either file.
 * Then the new file is flushed, read back and verified whole. No lock, so this
 * may take its time, and a crash leaves a file that nobody looks at.
 *
 * UNDER THE LOCK. Nobody commits now. Is the path still the file that was read?
 * (Else a rescue came between: give up.) The last records are copied, both
 * slots name M, and
 *   1. the new file is flushed: from here on it holds all that was committed;
 *   2. the old one, which a writer may have died over before its last flush,
 *      and which is about to become the only place of the history;
 *   3. it is linked as archive, and the directory is flushed: it has a name
 *      that the rename does not take;
 *   4. the new file is renamed to `journal`, and the directory is flushed.
 * A crash before the rename leaves the old file, with perhaps a second name,
 * which the next run finds and uses. After it, old or new: both verify, both
 * end at M. Only once the rename is durable may anybody commit on top of it,
 * else a crash could bring back the old file without that commit: when the last
 * flush fails the lock is poisoned before it is let go. Last of all the archive
 * loses its reserve, which no writer will need: if that fails, so be it.
 *
 * WHO ELSE IS THERE. Writers open the journal after locking, so they find the
 * new file. Readers keep the descriptor that they have; what they read there
 * stays true. Followers stand somewhere in N..M and go on in the new file, or,
 * if they are behind N, in the old one first (sidecar/feed.c). Two compactions
 * exclude each other by a lock on the directory itself, which nothing else
 * takes: the file that they build is not the rescue's, so it needs no more.
 */
#include "admin/compact.h"
#include "admin/inner.h"
#include "admin/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#define LOCK_WAIT_MS 5000u
#define CHUNK_RECORDS 1024u
#define ROOM_RECORDS (JT_JOURNAL_RESERVE + 4096u)

struct work {
	struct jt_place place;
	struct jt_journal old;	/* for reading */
	struct jt_journal lock; /* the same file, once it is locked */
	struct jt_journal new;
	struct jt_survey survey;
	struct jt_header_page header;
	struct jt_reader tail; /* of OLD: what is not yet in NEW */
	struct jt_commit end;  /* NEW goes so far */
	struct jt_record *in, *out;
};

static int cannot(const struct work *w, int rc, const char *what,
		  struct jt_fault *faultp)
{
	return jt_place_fault(&w->place, faultp, rc, JT_COMPACT_NAME, what);
}

/* ---- without the lock ---- */

static int survey(struct work *w, struct jt_fault *faultp)
{
	struct jt_reader r;
	uint64_t place = 0;
	size_t n;
	int rc = jt_survey_init(&w->survey, jt_journal_count(&w->old));

	if (rc != 0)
		return jt_fault_set(faultp, rc, 0, 0, "not enough memory");
	jt_reader_init(&r, &w->old);
	do {
		rc = jt_reader_next(&r, w->in, CHUNK_RECORDS, &n, faultp);
		for (size_t i = 0; rc == 0 && i < n; i++)
			rc = jt_survey_add(&w->survey, ++place, &w->in[i],
					   faultp);
	} while (rc == 0 && n > 0);
	if (rc == 0)
		jt_survey_end(&w->survey);
	return rc;
}

/* N state records more, which follow on TAG. */
static int put_state(struct work *w, size_t n, uint8_t tag[JT_TAG_BYTES],
		     struct jt_fault *faultp)
{
	struct jt_header_page *h = &w->header;
	int rc;

	jt_state_seal(w->out, n, tag);
	rc = jt_io_write_at(w->old.io, w->new.fd, w->out, n * JT_RECORD_BYTES,
			    jt_record_offset(0, h->state_records + 1));
	if (rc != 0)
		return cannot(w, rc, "cannot write", faultp);
	h->state_records += n;
	memcpy(h->state_tag, tag, sizeof(h->state_tag));
	return 0;
}

static int copy_state(struct work *w, struct jt_fault *faultp)
{
	uint8_t tag[JT_TAG_BYTES];
	struct jt_reader r;
	uint64_t place = 0;
	size_t n, kept;
	int rc;

	memcpy(tag, w->header.base_tag, sizeof(tag));
	jt_reader_init(&r, &w->old);
	do {
		rc = jt_reader_next(&r, w->in, CHUNK_RECORDS, &n, faultp);
		kept = 0;
		for (size_t i = 0; rc == 0 && i < n; i++)
			if (jt_survey_keeps(&w->survey, ++place))
				w->out[kept++] = w->in[i];
		if (rc == 0 && kept > 0)
			rc = put_state(w, kept, tag, faultp);
	} while (rc == 0 && n > 0);
	return rc;
}

static uint64_t origin(const struct work *w)
{
	return w->header.base - w->header.state_records;
}

static uint64_t end_offset(const struct work *w)
{
	return jt_record_offset(origin(w), w->end.number + 1);
}

/* What was committed in the old file since. */
static int copy_tail(struct work *w, struct jt_fault *faultp)
{
	size_t n;
	int rc = jt_journal_refresh(&w->old, faultp);

	while (rc == 0) {
		rc = jt_reader_next(&w->tail, w->in, CHUNK_RECORDS, &n, faultp);
		if (rc != 0 || n == 0)
			break;
		rc = jt_io_write_at(w->old.io, w->new.fd, w->in,
				    n * JT_RECORD_BYTES, end_offset(w));
		if (rc != 0)
			return cannot(w, rc, "cannot write", faultp);
		w->end.number += n;
	}
	if (rc == 0)
		w->end = w->old.committed;
	return rc;
}

/* The reserve, then header and slots; all of it on the disk. */
static int seal(struct work *w, struct jt_fault *faultp)
{
	const struct jt_io *io = w->old.io;
	uint64_t had = w->new.file_bytes, from = end_offset(w);
	uint64_t to = from + (uint64_t)ROOM_RECORDS * JT_RECORD_BYTES;
	int rc;

	/* zeros stand already where the last seal() put them */
	rc = jt_zero_write(io, w->new.fd, had > from ? had : from, to);
	if (rc == 0)
		rc = jt_front_write(io, w->new.fd, &w->header, &w->end);
	if (rc == 0)
		rc = jt_io_sync_all(io, w->new.fd);
	return rc != 0 ? cannot(w, rc, "cannot write", faultp) : 0;
}

/* Everything that is there is verified, or what came behind VERIFIED. */
static int verify(struct work *w, const struct jt_commit *verified,
		  struct jt_fault *faultp)
{
	struct jt_journal_summary sum = {0};
	struct jt_reader r;
	struct jt_slots slots;
	size_t n;
	int rc = jt_journal_load(&w->new, &slots, faultp);

	if (rc != 0)
		return rc;
	if (verified == NULL)
		return jt_journal_verify(&w->new, &slots, &sum, faultp);
	jt_reader_init_base(&r, &w->new);
	r.next = verified->number + 1;
	memcpy(r.tag, verified->tag, sizeof(r.tag));
	do
		rc = jt_reader_next(&r, w->in, CHUNK_RECORDS, &n, faultp);
	while (rc == 0 && n > 0);
	return rc;
}

static int start_header(struct work *w, struct jt_fault *faultp)
{
	struct jt_header_page *h = &w->header;
	int rc = jt_io_read_at(w->old.io, w->old.fd, h, sizeof(*h), 0);

	if (rc != 0)
		return jt_place_fault(&w->place, faultp, rc, JT_JOURNAL_NAME,
				      "cannot read");
	h->generation = w->old.generation + 1;
	h->archive = w->old.generation;
	h->base = w->old.committed.number;
	memcpy(h->base_tag, w->old.committed.tag, sizeof(h->base_tag));
	h->state_records = 0;
	memset(h->state_tag, 0, sizeof(h->state_tag));
	w->end = w->old.committed;
	jt_reader_init_base(&w->tail, &w->old);
	w->tail.next = h->base + 1;
	memcpy(w->tail.tag, h->base_tag, sizeof(w->tail.tag));
	return 0;
}

static int build(struct work *w, struct jt_fault *faultp)
{
	int rc = start_header(w, faultp);

	if (rc == 0)
		rc = survey(w, faultp);
	if (rc == 0)
		rc = copy_state(w, faultp);
	if (rc != 0)
		return rc;
	jt_header_seal(&w->header);
	rc = copy_tail(w, faultp);
	if (rc == 0)
		rc = seal(w, faultp);
	return rc != 0 ? rc : verify(w, NULL, faultp);
}

/* ---- under the lock ---- */

static int same_file(const struct work *w, struct jt_fault *faultp)
{
	struct stat a, b;
	int rc = jt_io_stat(w->old.io, w->old.fd, &a);

	if (rc == 0)
		rc = jt_io_stat(w->old.io, w->lock.fd, &b);
	if (rc != 0)
		return jt_place_fault(&w->place, faultp, rc, JT_JOURNAL_NAME,
				      "cannot look at it");
	if (a.st_dev == b.st_dev && a.st_ino == b.st_ino)
		return 0;
	return jt_fault_set(faultp, JT_JOURNAL_E_REPLACED, 0, 0,
			    "the journal was replaced meanwhile; nothing was "
			    "changed, run this again");
}

static int finish(struct work *w, struct jt_fault *faultp)
{
	struct jt_commit verified = w->end;
	int rc = copy_tail(w, faultp);

	if (rc != 0 || w->end.number == verified.number)
		return rc;
	rc = seal(w, faultp);
	return rc != 0 ? rc : verify(w, &verified, faultp);
}

/* A flush failed that others rely on: nobody builds on what it leaves. */
static int poison(const struct work *w, int rc, const char *name,
		  struct jt_fault *faultp)
{
	jt_lock_poison(w->old.io, w->lock.lock_fd);
	return jt_fault_set(faultp, rc, 0, 0,
			    "%s/%s: flush to disk failed: %s; nothing more is "
			    "written; check the disk, then run `jeton journal "
			    "rescue` or reboot",
			    w->place.path, name, strerrordesc_np(-rc));
}

/* Does NAME lead to the old file already? An earlier run came that far. */
static bool is_linked(const struct work *w, const char *name)
{
	struct stat a, b;

	return jt_io_stat(w->old.io, w->old.fd, &a) == 0 &&
	       jt_io_stat_at(w->old.io, w->place.fd, name, &b) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int keep_old(const struct work *w, const char *name,
		    struct jt_fault *faultp)
{
	const struct jt_io *io = w->old.io;
	int rc = jt_io_sync(io, w->lock.fd);

	if (rc != 0)
		return poison(w, rc, JT_JOURNAL_NAME, faultp);
	rc = jt_io_link(io, w->place.fd, JT_JOURNAL_NAME, name);
	if (rc == -EEXIST && !is_linked(w, name))
		return jt_fault_set(faultp, JT_JOURNAL_E_EXISTS, 0, 0,
				    "%s/%s is in the way of the archive; move "
				    "it elsewhere",
				    w->place.path, name);
	if (rc != 0 && rc != -EEXIST)
		return jt_place_fault(&w->place, faultp, rc, name,
				      "cannot link");
	rc = jt_io_sync_all(io, w->place.fd);
	return rc != 0 ? poison(w, rc, name, faultp) : 0;
}

/* True in *GONEP: the new file has its name, so it must not be removed. */
static int change_over(const struct work *w, bool *gonep,
		       struct jt_fault *faultp)
{
	const struct jt_io *io = w->old.io;
	int rc =
		jt_io_rename(io, w->place.fd, JT_COMPACT_NAME, JT_JOURNAL_NAME);

	if (rc != 0)
		return jt_place_fault(&w->place, faultp, rc, JT_JOURNAL_NAME,
				      "cannot rename to");
	*gonep = true;
	rc = jt_io_sync_all(io, w->place.fd);
	if (rc != 0)
		return poison(w, rc, JT_JOURNAL_NAME, faultp);
	(void)jt_io_truncate(
		io, w->lock.fd,
		jt_record_offset(w->old.origin, w->old.committed.number + 1));
	return 0;
}

static int swap(struct work *w, const char *archive, bool *gonep,
		struct jt_fault *faultp)
{
	int rc = same_file(w, faultp);

	if (rc == 0)
		rc = finish(w, faultp);
	if (rc == 0)
		rc = keep_old(w, archive, faultp);
	return rc != 0 ? rc : change_over(w, gonep, faultp);
}

static void report(const struct work *w, struct jt_compacted *donep)
{
	donep->records_before = jt_journal_count(&w->old);
	donep->records_after = jt_journal_count(&w->new);
	donep->bytes_before = w->old.file_bytes;
	donep->bytes_after = w->new.file_bytes;
	donep->state = w->header.state_records;
	donep->end = w->end;
}

static int swap_locked(struct work *w, struct jt_compacted *donep, bool *gonep,
		       struct jt_fault *faultp)
{
	const struct jt_io *io = w->old.io;
	uint64_t since;
	int rc = jt_journal_open_write(&w->lock, io, w->place.path,
				       LOCK_WAIT_MS, faultp);

	if (rc != 0)
		return rc;
	since = io->mono_ns();
	jt_archive_name(w->old.generation, donep->archive);
	rc = swap(w, donep->archive, gonep, faultp);
	jt_journal_close(&w->lock);
	donep->locked_ns = io->mono_ns() - since;
	return rc;
}

/* ---- all of it ---- */

/* The old file is open, the directory ours alone to compact in. */
static int compact(struct work *w, struct jt_compacted *donep,
		   struct jt_fault *faultp)
{
	bool gone = false;
	int fd, rc;

	w->in = calloc(CHUNK_RECORDS, sizeof(*w->in));
	w->out = calloc(CHUNK_RECORDS, sizeof(*w->out));
	if (w->in == NULL || w->out == NULL)
		return jt_fault_set(faultp, -ENOMEM, 0, 0, "not enough memory");
	rc = jt_place_stage(&w->place, JT_COMPACT_NAME, &fd, faultp);
	if (rc != 0)
		return rc;
	w->new = (struct jt_journal){
		.io = w->old.io,
		.dir_fd = w->place.fd,
		.fd = fd,
		.lock_fd = -1,
	};
	rc = build(w, faultp);
	if (rc == 0)
		rc = swap_locked(w, donep, &gone, faultp);
	if (rc == 0)
		report(w, donep);
	w->old.io->close(fd);
	if (!gone)
		(void)jt_io_unlink(w->old.io, w->place.fd, JT_COMPACT_NAME);
	return rc;
}

static int claim(const struct work *w, struct jt_fault *faultp)
{
	int rc = jt_io_lock(w->place.io, w->place.fd, LOCK_EX | LOCK_NB);

	if (rc == -EWOULDBLOCK)
		return jt_fault_set(faultp, JT_JOURNAL_E_BUSY, 0, 0,
				    "%s: another compaction is at work",
				    w->place.path);
	return rc != 0 ? jt_place_fault(&w->place, faultp, rc, "",
					"cannot lock")
		       : 0;
}

static int compact_claimed(struct work *w, const char *dir,
			   struct jt_compacted *donep, struct jt_fault *faultp)
{
	int rc = claim(w, faultp);

	if (rc == 0)
		rc = jt_journal_open(&w->old, w->place.io, dir, faultp);
	if (rc != 0)
		return rc;
	rc = compact(w, donep, faultp);
	jt_survey_deinit(&w->survey);
	free(w->in);
	free(w->out);
	jt_journal_close(&w->old);
	return rc;
}

int jt_journal_compact(const struct jt_io *io, const char *dir,
		       struct jt_compacted *donep, struct jt_fault *faultp)
{
	struct work w = {0};
	int rc = jt_place_open(&w.place, io, dir, faultp);

	*donep = (struct jt_compacted){0};
	if (rc != 0)
		return rc;
	rc = compact_claimed(&w, dir, donep, faultp);
	io->close(w.place.fd);
	return rc;
}
