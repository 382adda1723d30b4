/*
 * journal: the format, and reading it.
 *
 *	byte 0	    4096      8192	12288	  12544
 *	+-----------+---------+---------+---------+---------+-- ~ --+------- ~
 *	|  header   | slot 0  | slot 1  | base+1  | base+2  |  ...  | reserve
 *	+-----------+---------+---------+---------+---------+-- ~ --+------- ~
 *
 * Header (format.h), written once, never changed:
 *	   0  magic "jetonjnl"		  8  version, 12  4096
 *	  16  journal id, random	 32  generation   40  prefix
 *	  48  base			 56  tag of record `base`
 *	  72  time of creation		 80  number S of state records
 *	  88  tag of the last of them	104  generation of the archive
 *	 112  zeros		       4080  BLAKE2b-128 of bytes 0-4079
 *   Generation 1 has base 0 and no base tag: its chain starts from the header's
 *   own checksum. A later file of the same journal (rescue, compaction) names
 *   where its chain goes on, so numbers and tags outlive the file.
 *
 * Slot (format.h), rewritten in turn, one sector that counts:
 *	   0  magic "jetoncmt"		  8  number	  16  time
 *	  24  tag of that record	 40  zeros
 *	 496  BLAKE2b-128 of bytes 0-495, salted with the journal id and
 *	      personalised with the slot's place
 *	 512  zeros
 *
 * Record n (record.h): 256 bytes at 12288 + 256 (n - base - 1 + S), whose tag
 * is BLAKE2b-128 of (tag of n-1, its own first 240 bytes).
 *
 * State records, S of them from 12288 on, only in a compacted file: those of
 * the records up to `base` that still say something, in the order of their
 * numbers. All of each but the tag is as it was; the tags are a chain of their
 * own, with another personalisation, from base's tag to the one in the header.
 * compact.c says how such a file comes to be, survey.c what is chosen,
 * archive.c how the rest is found in the file before.
 *
 * VALID IF AND ONLY IF. The journal's state is the state records and then
 * base+1..N, where N is the larger number of the two slots; both slots verify;
 * record N bears the slot's tag; every record from base+1 to N has the number
 * of its place, a known type, zero padding, the tag that follows from its
 * predecessor, and stands in a batch (same operation id, parts 1..parts in a
 * row) that ends at or before N; every state record has a known type, zero
 * padding and its tag, numbers rise and none is above `base`.
 * Behind N nothing exists, whatever the bytes there look like.
 *
 * WRITER (commit.c), one at a time under the lock: put records over what stands
 * behind N; zeros behind them so that the reserve stays; fdatasync; the slot
 * with the smaller number; fdatasync; acknowledged. So
 *   - a crash before the first flush ends leaves both slots as they were: the
 *     old state. A record torn or missing behind N is not damage;
 *   - a slot is one sector, old or new. Had it been written at all, its records
 *     were durable before. Old or new state, never a part;
 *   - the newer slot is not touched by the commit that follows it.
 * PHANTOMS. Records of a commit that never came stay behind N until written
 * over. They cannot come back: a record there counts only if its tag follows
 * from N's, and once another record N+1 is written, with a random operation id,
 * what stands behind that one follows from nothing.
 *
 * DAMAGE. A slot that does not verify is no torn write (above), so somebody
 * changed it, and it may have been the newer. The writer had flushed the
 *records before it wrote that slot: whole batches that follow the other slot
 *are adopted, an alarm is raised, the next writer repairs the slot. What this
 *can adopt beside is a batch that was written, but never acknowledged: whole,
 *by a lawful writer. If slot and last record are both damaged, acknowledged
 *changes are missing; that is the anchor's to tell (anchor.h). Two bad slots,
 *or a bad record up to N, are refused with number and offset.
 *
 * READER, without a lock: slots, then the size of the file, then records. A
 * record up to N is never written again, so only the slot pages can be caught
 * half written: they are read again a few times before that is called damage.
 * Follower: N only grows. It may be seen before its flush; jt_journal_sync().
 *
 * COMPACTION puts another file in the place of this one: same journal, next
 * generation. Whoever has this one open may read on, for what it says stays
 * true, but must not wait here for more: jt_journal_refresh() tells.
 *
 * LIMITS. 2^48 records; numbers in a file are compared with its size before
 * they are used, so that a hostile file costs what its bytes cost and no more.
 * Not shown by the file alone: an older copy of it put back (anchor, receipt).
 * A copy made from front to back (cp) while a writer works is a journal, too:
 * the slots are read before the records that they name.
 */
#include "admin/inner.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SLOT_LOOKS 5u
#define SLOT_NAP_NS 1000000u
#define ADOPT_CHUNK 64u

int jt_fault_set(struct jt_fault *faultp, int code, uint64_t number,
		 uint64_t offset, const char *format, ...)
{
	va_list args;

	if (faultp == NULL)
		return code;
	faultp->number = number;
	faultp->offset = offset;
	va_start(args, format);
	vsnprintf(faultp->line, sizeof(faultp->line), format, args);
	va_end(args);
	for (char *c = faultp->line; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	return code;
}

int jt_journal_damaged(struct jt_fault *faultp, uint64_t number,
		       uint64_t offset, const char *why)
{
	if (number == 0)
		return jt_fault_set(faultp, JT_JOURNAL_E_DAMAGED, 0, offset,
				    "journal damaged at byte %" PRIu64
				    ": %s; put back a backup",
				    offset, why);
	return jt_fault_set(faultp, JT_JOURNAL_E_DAMAGED, number, offset,
			    "journal damaged at byte %" PRIu64
			    ", record %" PRIu64 ": %s; put back a backup",
			    offset, number, why);
}

/* A call on the open journal failed: name call and reason, forward RC. */
static int failed(struct jt_fault *faultp, int rc, const char *what)
{
	return jt_fault_set(faultp, rc, 0, 0, "journal: cannot %s: %s", what,
			    strerrordesc_np(-rc));
}

static int measure(struct jt_journal *j, struct jt_fault *faultp)
{
	struct stat st;
	int rc = jt_io_stat(j->io, j->fd, &st);

	if (rc < 0)
		return failed(faultp, rc, "look at its size");
	j->file_bytes = (uint64_t)st.st_size;
	return 0;
}

/* Records that the file has room for, state records included. */
static uint64_t room(const struct jt_journal *j)
{
	if (j->file_bytes < JT_JOURNAL_DATA)
		return 0;
	return (j->file_bytes - JT_JOURNAL_DATA) / JT_RECORD_BYTES;
}

static int read_page(struct jt_journal *j, void *page, size_t bytes,
		     uint64_t at, struct jt_fault *faultp)
{
	int rc = jt_io_read_at(j->io, j->fd, page, bytes, at);

	if (rc == -ENODATA) {
		rc = measure(j, faultp);
		if (rc != 0)
			return rc;
		return jt_journal_damaged(faultp, 0, j->file_bytes,
					  "the file ends before its first "
					  "record");
	}
	return rc < 0 ? failed(faultp, rc, "read") : 0;
}

static int load_header(struct jt_journal *j, struct jt_fault *faultp)
{
	struct jt_header_page h;
	const char *why;
	int rc = read_page(j, &h, sizeof(h), 0, faultp);

	if (rc != 0)
		return rc;
	rc = jt_header_check(&h, &why);
	if (rc == JT_JOURNAL_E_VERSION)
		return jt_fault_set(faultp, rc, 0, 8,
				    "journal: %s, but %" PRIu32
				    "; a newer jeton may read it",
				    why, h.version);
	if (rc != 0)
		return jt_journal_damaged(faultp, 0, 0, why);
	memcpy(j->id, h.id, sizeof(j->id));
	memcpy(j->prefix, h.prefix, sizeof(j->prefix));
	j->generation = h.generation;
	j->base = h.base;
	j->origin = h.base - h.state_records;
	j->archive = h.archive;
	memcpy(j->state_tag, h.state_tag, sizeof(j->state_tag));
	jt_header_first_tag(&h, j->base_tag);
	j->committed = (struct jt_commit){
		.number = h.base,
		.time_ns = h.created_ns,
	};
	memcpy(j->committed.tag, j->base_tag, sizeof(j->base_tag));
	return 0;
}

/* Look at both slots, again if one may have been caught half written. */
static int read_slots(struct jt_journal *j, struct jt_slots *slots,
		      struct jt_fault *faultp)
{
	struct jt_slot_page page[2];

	for (unsigned looks = 1;; looks++) {
		int rc =
			read_page(j, page, sizeof(page), JT_PAGE_BYTES, faultp);

		if (rc != 0)
			return rc;
		for (unsigned i = 0; i < 2; i++)
			slots->valid[i] = jt_slot_check(&page[i], j->id, i,
							&slots->commit[i]);
		if (slots->valid[0] && slots->valid[1])
			return 0;
		if (looks == SLOT_LOOKS)
			break;
		j->io->sleep_ns(SLOT_NAP_NS);
	}
	if (slots->valid[0] || slots->valid[1])
		return 0;
	return jt_journal_damaged(faultp, 0, JT_PAGE_BYTES,
				  "neither commit slot verifies");
}

static void adopt_until(struct jt_commit *c, const struct jt_record *rec)
{
	c->number = rec->number;
	c->time_ns = rec->time_ns;
	memcpy(c->tag, rec->tag, sizeof(c->tag));
}

/* Move *C to the end of the last whole batch that follows on it. */
static int adopt(const struct jt_journal *j, struct jt_commit *c,
		 struct jt_fault *faultp)
{
	struct jt_record records[ADOPT_CHUNK];
	uint64_t left = room(j) - (c->number - j->origin);
	struct jt_reader r = {
		.journal = j,
		.next = c->number + 1,
		.part = 1,
		.parts = 1, /* a commit always ends a batch */
	};
	const char *why;

	memcpy(r.tag, c->tag, sizeof(r.tag));
	while (left > 0) {
		size_t n = left < ADOPT_CHUNK ? left : ADOPT_CHUNK;
		int rc = jt_io_read_at(j->io, j->fd, records,
				       n * JT_RECORD_BYTES,
				       jt_record_offset(j->origin, r.next));

		if (rc < 0)
			return failed(faultp, rc, "read behind the commit");
		for (size_t i = 0; i < n; i++) {
			if (jt_chain_check(&r, &records[i], 1, &why) != 0)
				return 0;
			if (jt_chain_closed(&r))
				adopt_until(c, &records[i]);
		}
		left -= n;
	}
	return 0;
}

/* Is C a commit that this file can hold, not before what we know? */
static int plausible(const struct jt_journal *j, const struct jt_commit *c,
		     unsigned slot, struct jt_fault *faultp)
{
	uint64_t at = JT_PAGE_BYTES * (1u + slot);

	if (c->number < j->committed.number)
		return jt_journal_damaged(faultp, 0, at,
					  "the commit slots went back");
	if (c->number == j->committed.number &&
	    memcmp(c->tag, j->committed.tag, JT_TAG_BYTES) != 0)
		return jt_journal_damaged(faultp, 0, at,
					  "a commit slot has another tag than "
					  "its record");
	if (c->number - j->origin > room(j))
		return jt_journal_damaged(faultp, j->origin + room(j) + 1,
					  j->file_bytes,
					  "the file ends before its last "
					  "committed record");
	return 0;
}

/* Advance j->committed to what the slots say now. */
static int look(struct jt_journal *j, struct jt_slots *slots,
		struct jt_fault *faultp)
{
	struct jt_commit c;
	unsigned newer;
	bool both;
	int rc = read_slots(j, slots, faultp);

	if (rc == 0)
		rc = measure(j, faultp);
	if (rc != 0)
		return rc;
	both = slots->valid[0] && slots->valid[1];
	newer = both ? slots->commit[1].number > slots->commit[0].number
		     : slots->valid[1];
	c = slots->commit[newer];
	if (!both && c.number < j->committed.number)
		c = j->committed; /* the damaged slot said so, when it could */
	rc = plausible(j, &c, newer, faultp);
	if (rc == 0 && !both) {
		j->adopted = true;
		rc = adopt(j, &c, faultp);
	}
	if (rc != 0)
		return rc;
	j->committed = c;
	j->slot_next = !newer;
	return 0;
}

int jt_journal_tag(const struct jt_journal *j, uint64_t number,
		   uint8_t out[JT_TAG_BYTES], struct jt_fault *faultp)
{
	int rc;

	assert(number >= j->base && number <= j->committed.number);
	if (number == j->base) {
		memcpy(out, j->base_tag, JT_TAG_BYTES);
		return 0;
	}
	rc = jt_io_read_at(j->io, j->fd, out, JT_TAG_BYTES,
			   jt_record_offset(j->origin, number) +
				   offsetof(struct jt_record, tag));
	return rc < 0 ? failed(faultp, rc, "read a record's tag") : 0;
}

int jt_journal_last(const struct jt_journal *j, struct jt_fault *faultp)
{
	struct jt_record last;
	struct jt_reader r;
	size_t n;
	int rc;

	jt_reader_init_base(&r, j);
	if (j->committed.number > j->base)
		r.next = j->committed.number;
	rc = jt_journal_tag(j, r.next - 1, r.tag, faultp);
	if (rc != 0)
		return rc;
	return jt_reader_next(&r, &last, 1, &n, faultp);
}

int jt_journal_load(struct jt_journal *j, struct jt_slots *slots,
		    struct jt_fault *faultp)
{
	int rc = load_header(j, faultp);

	return rc != 0 ? rc : look(j, slots, faultp);
}

int jt_journal_attach(struct jt_journal *j, const struct jt_place *p,
		      const char *name, int flags, struct jt_slots *slots,
		      struct jt_fault *faultp)
{
	int rc;

	*j = (struct jt_journal){
		.io = p->io,
		.dir_fd = p->fd,
		.fd = -1,
		.lock_fd = -1,
	};
	if (sodium_init() < 0)
		return failed(faultp, -EIO, "set up libsodium");
	rc = jt_place_file(p, name, flags, &j->fd, faultp);
	if (rc != 0)
		return rc;
	rc = jt_journal_load(j, slots, faultp);
	if (rc != 0) {
		p->io->close(j->fd);
		j->fd = -1;
	}
	return rc;
}

int jt_journal_open(struct jt_journal *j, const struct jt_io *io,
		    const char *dir, struct jt_fault *faultp)
{
	struct jt_slots slots;
	struct jt_place p;
	int rc = jt_place_open(&p, io, dir, faultp);

	if (rc != 0)
		return rc;
	rc = jt_journal_attach(j, &p, JT_JOURNAL_NAME, O_RDONLY, &slots,
			       faultp);
	if (rc != 0) {
		io->close(p.fd);
		return rc;
	}
	rc = jt_journal_last(j, faultp);
	if (rc != 0)
		jt_journal_close(j);
	return rc;
}

void jt_journal_close(struct jt_journal *j)
{
	j->io->close(j->fd);
	if (j->lock_fd >= 0)
		j->io->close(j->lock_fd);
	j->io->close(j->dir_fd);
	j->fd = j->lock_fd = j->dir_fd = -1;
}

/* Does the path still name the file that we have open? */
static int same_file(const struct jt_journal *j, struct jt_fault *faultp)
{
	struct stat named, ours;
	int rc = jt_io_stat_at(j->io, j->dir_fd, JT_JOURNAL_NAME, &named);

	if (rc < 0 && rc != -ENOENT)
		return failed(faultp, rc, "look at its path");
	if (rc == 0) {
		rc = jt_io_stat(j->io, j->fd, &ours);
		if (rc < 0)
			return failed(faultp, rc, "look at it");
		if (named.st_dev == ours.st_dev && named.st_ino == ours.st_ino)
			return 0;
	}
	return jt_fault_set(faultp, JT_JOURNAL_E_REPLACED, 0, 0,
			    "the journal was %s while it was open; open it "
			    "again",
			    rc == 0 ? "replaced" : "removed");
}

int jt_journal_catch_up(struct jt_journal *j, struct jt_fault *faultp)
{
	struct jt_slots slots;

	return look(j, &slots, faultp);
}

int jt_journal_refresh(struct jt_journal *j, struct jt_fault *faultp)
{
	int rc = same_file(j, faultp);

	return rc != 0 ? rc : jt_journal_catch_up(j, faultp);
}

int jt_journal_sync(struct jt_journal *j)
{
	return jt_io_sync(j->io, j->fd);
}

static int none_here(struct jt_fault *faultp, int rc, uint64_t number)
{
	return jt_fault_set(
		faultp, rc, number, 0,
		"journal: it has no record %" PRIu64 " in this file", number);
}

/* AT counts as in struct jt_reader. */
static int read_records(const struct jt_journal *j, uint64_t at,
			struct jt_record *records, size_t n,
			struct jt_fault *faultp)
{
	uint64_t offset = jt_record_offset(j->origin, at);
	int rc = jt_io_read_at(j->io, j->fd, records, n * JT_RECORD_BYTES,
			       offset);

	if (rc == -ENODATA)
		return jt_journal_damaged(faultp, at > j->base ? at : 0, offset,
					  "the file was cut");
	return rc < 0 ? failed(faultp, rc, "read") : 0;
}

/* State records stand in the order of their numbers. */
static int find_state(const struct jt_journal *j, uint64_t number,
		      struct jt_record *record, struct jt_fault *faultp)
{
	uint64_t low = j->origin + 1, high = j->base + 1;

	while (low < high) {
		uint64_t at = low + (high - low) / 2;
		int rc = read_records(j, at, record, 1, faultp);

		if (rc != 0 || record->number == number)
			return rc;
		if (record->number < number)
			low = at + 1;
		else
			high = at;
	}
	return none_here(faultp, JT_JOURNAL_E_ARCHIVED, number);
}

int jt_journal_read(const struct jt_journal *j, uint64_t number,
		    struct jt_record *records, size_t n,
		    struct jt_fault *faultp)
{
	if (number > 0 && number <= j->base && n == 1)
		return find_state(j, number, records, faultp);
	if (number <= j->base || number > j->committed.number ||
	    n > j->committed.number - number + 1)
		return none_here(faultp, -EINVAL, number);
	return read_records(j, number, records, n, faultp);
}

int jt_journal_peek(const struct jt_journal *j, uint64_t place,
		    struct jt_record *records, size_t n,
		    struct jt_fault *faultp)
{
	uint64_t count = jt_journal_count(j);

	if (place == 0 || place > count || n > count - place + 1)
		return none_here(faultp, -EINVAL, j->origin + place);
	return read_records(j, j->origin + place, records, n, faultp);
}

void jt_reader_init(struct jt_reader *r, const struct jt_journal *j)
{
	*r = (struct jt_reader){.journal = j, .next = j->origin + 1};
	memcpy(r->tag, j->base_tag, sizeof(r->tag));
}

void jt_reader_init_base(struct jt_reader *r, const struct jt_journal *j)
{
	*r = (struct jt_reader){.journal = j, .next = j->base + 1};
	memcpy(r->tag, j->base_tag, sizeof(r->tag));
}

/* The reader stands at the commit: does it agree with the slot? */
static int meet_commit(const struct jt_reader *r, struct jt_fault *faultp)
{
	const struct jt_journal *j = r->journal;

	if (memcmp(r->tag, j->committed.tag, JT_TAG_BYTES) != 0)
		return jt_journal_damaged(
			faultp, 0, JT_PAGE_BYTES * (1u + !j->slot_next),
			"the commit slot has another tag than its record");
	if (!jt_chain_closed(r))
		return jt_journal_damaged(
			faultp, j->committed.number,
			jt_record_offset(j->origin, j->committed.number),
			"the commit ends inside a batch");
	return 0;
}

/* The reader stands behind the state records: go on from the base. */
static int leave_state(struct jt_reader *r, struct jt_fault *faultp)
{
	const struct jt_journal *j = r->journal;

	if (memcmp(r->tag, j->state_tag, JT_TAG_BYTES) != 0)
		return jt_journal_damaged(faultp, 0,
					  jt_record_offset(j->origin, j->base),
					  "the state records do not end as the "
					  "header says");
	jt_reader_init_base(r, j);
	return 0;
}

/* jt_chain_check() refused what stands at r->next. */
static int refuse(const struct jt_reader *r, int rc, const char *why,
		  struct jt_fault *faultp)
{
	uint64_t number = jt_reader_in_state(r) ? 0 : r->next;
	uint64_t at = jt_record_offset(r->journal->origin, r->next);

	if (rc == JT_JOURNAL_E_VERSION)
		return jt_fault_set(faultp, rc, number, at,
				    "journal: record %" PRIu64
				    ": %s; a newer jeton may read it",
				    r->next, why);
	return jt_journal_damaged(faultp, number, at, why);
}

int jt_reader_next(struct jt_reader *r, struct jt_record *records, size_t max,
		   size_t *np, struct jt_fault *faultp)
{
	const struct jt_journal *j = r->journal;
	bool state = jt_reader_in_state(r);
	uint64_t end = state ? j->base : j->committed.number;
	uint64_t left = end + 1 - r->next;
	size_t n = left < max ? left : max;
	const char *why;
	int rc = 0;

	*np = 0;
	if (n > 0)
		rc = read_records(j, r->next, records, n, faultp);
	if (rc != 0)
		return rc;
	rc = jt_chain_check(r, records, n, &why);
	if (rc != 0)
		return refuse(r, rc, why, faultp);
	if (n == left)
		rc = state ? leave_state(r, faultp) : meet_commit(r, faultp);
	if (rc == 0)
		*np = n;
	return rc;
}

int jt_journal_rules(const struct jt_journal *j, struct jt_record_rules *rulesp,
		     struct jt_fault *faultp)
{
	struct jt_record first;
	struct jt_reader r;
	size_t n;
	int rc;

	memset(rulesp, 0, sizeof(*rulesp));
	jt_reader_init(&r, j);
	rc = jt_reader_next(&r, &first, 1, &n, faultp);
	if (rc == 0 && n == 1 && first.type == JT_REC_RULES)
		*rulesp = first.rules;
	return rc;
}
