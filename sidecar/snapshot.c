/*
 * snapshot: the format, and opening one.
 *
 *	byte 0	  4096		      4096 + 32 n, a multiple of 4096
 *	+---------+-------------------+-----------+-----------+-- ~
 *	| header  | table of n blocks | block 0   | block 1   |
 *	+---------+-------------------+-----------+-----------+-- ~
 *
 * Fields: snapshot_form.h. Blocks stand one after the other without gaps, of
 * whole 8 bytes, each at most 1.1 MB, so that two cores can read, check and
 * place them by themselves. Which things are in which block follows from the
 * numbers in the header; the table adds how long each is and its sum.
 *
 * WHAT IT IS. What a replay of the journal up to record `number` leaves in the
 * table and in the ledger, before limits are settled: which lines and slots
 * there are and what they say. The records behind `number` are replayed on it.
 * Meters are not in it, they come from the file `usage`; limits in the words
 * of a meter and their numbers are not, they are made when all is replayed.
 *
 * VALID IF AND ONLY IF magic, version and fingerprint are this build's; the
 * header's checksum, the table's sum and the sum of every block hold; the table
 * has the kinds, firsts and lengths that the header's numbers give and the file
 * ends with the last block; the journal's id and generation are the header's,
 * `number` is between the journal's base and its commit, and the record of that
 * number bears `tag`; and every number in every block is in its bounds: each
 * value's slot names a line that names the slot, each line with a token names a
 * slot, a value before ends when and as its line says, free lines are one list,
 * owners begin within the pool, plans, scopes, sets, environments and schemes
 * are those that there are. Else it does not exist: one line of log, and the
 * journal is replayed.
 *
 * A FUNCTION OF THE JOURNAL. The same records, seed, capacity and `written_s`
 * (the clock by which values that are over may be forgotten) give the same
 * bytes. So after a start from a snapshot the records that it stood for are
 * replayed once more, by another process and in its own time, and the sums are
 * compared: that finds damage in records that the start has not read, and a
 * snapshot that says what the journal does not, whoever wrote it.
 *
 * COMPACTION makes another generation, whose order of lines is another: the
 * snapshot is that of the file before and does not exist any more. So it is
 * with a rescue, with a journal put back (its commit lacks the number, or the
 * number has another tag) and with a journal of the same name and other id.
 *
 * WRITER: a child of the keeper, or nobody. Temporary name; blocks, table,
 * header; fdatasync; rename; directory flushed. A crash before the rename
 * leaves a file that is never read and is removed by the next writer, one after
 * it the new snapshot; should the rename be lost, the old one.
 *
 * SUMS. XXH3-128 of each block: it has to find accidents, at a twentieth of
 * what BLAKE2b costs, in the way of a start. It is no defence against who can
 * write here, and a keyless BLAKE2b would be none either; that is what the
 * comparison with the journal is for. BLAKE2b for header and table costs
 * nothing and binds the sums to the journal's id.
 *
 * SEED. Ids are public, so is the hash's seed: who reads the file learns
 * nothing that lets him find a token, and who may read it may read the journal.
 * It stays the same over restarts from a snapshot, so who can both read it and
 * choose ids could crowd one place in the table; a replay draws a new one.
 *
 * LIMITS. Numbers are compared with the file's size before they are used, so a
 * hostile file costs what its bytes cost.
 */
#include "sidecar/snapshot.h"

#include "admin/format.h"
#include "admin/place.h"
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const char magic[8] = "jetonsnp";
static const uint8_t header_domain[16] = "jeton snapshot";
static const uint8_t table_domain[16] = "jeton snap table";

/* How many things of each kind a block has, and bytes of each. */
static const struct {
	uint32_t per_block, bytes;
} kinds[JT_SNAPSHOT_KINDS] = {
	[JT_SNAPSHOT_PLANS] = {8192, sizeof(struct jt_snapshot_plan)},
	[JT_SNAPSHOT_SCOPES] = {8192, JT_SCOPE_BYTES},
	[JT_SNAPSHOT_SETS] = {8192, 32},
	[JT_SNAPSHOT_PASTS] = {8192, sizeof(struct jt_snapshot_past)},
	[JT_SNAPSHOT_POOL] = {1u << 20, 1},
	[JT_SNAPSHOT_LINES] = {16384, sizeof(struct jt_snapshot_line)},
	[JT_SNAPSHOT_SLOTS] = {16384, 0},
};

static uint64_t total(const struct jt_snapshot_header *h, uint32_t kind)
{
	switch ((enum jt_snapshot_kind)kind) {
	case JT_SNAPSHOT_PLANS:
		return h->n_plans;
	case JT_SNAPSHOT_SCOPES:
		return h->n_scopes;
	case JT_SNAPSHOT_SETS:
		return h->n_sets;
	case JT_SNAPSHOT_PASTS:
		return h->n_past < JT_LEDGER_PAST ? h->n_past : JT_LEDGER_PAST;
	case JT_SNAPSHOT_POOL:
		return h->pool_used;
	case JT_SNAPSHOT_LINES:
		return h->n_lines;
	default:
		return jt_segment_slots(h->capacity);
	}
}

static uint64_t blocks_of(const struct jt_snapshot_header *h, uint32_t kind)
{
	uint64_t per = kinds[kind].per_block;

	return (total(h, kind) + per - 1) / per;
}

uint64_t jt_snapshot_blocks(const struct jt_snapshot_header *h)
{
	uint64_t n = 0;

	for (uint32_t kind = 0; kind < JT_SNAPSHOT_KINDS; kind++)
		n += blocks_of(h, kind);
	return n;
}

struct jt_snapshot_span jt_snapshot_span(const struct jt_snapshot_header *h,
					 uint64_t i)
{
	struct jt_snapshot_span s = {.kind = 0};
	uint64_t left;

	while (s.kind < JT_SNAPSHOT_KINDS - 1 && i >= blocks_of(h, s.kind))
		i -= blocks_of(h, s.kind++);
	s.first = i * kinds[s.kind].per_block;
	left = total(h, s.kind) - s.first;
	s.count =
		left < kinds[s.kind].per_block ? left : kinds[s.kind].per_block;
	return s;
}

uint64_t jt_snapshot_fixed(uint32_t kind, uint64_t count)
{
	uint64_t bytes = count * kinds[kind].bytes;

	if (kind == JT_SNAPSHOT_SLOTS)
		bytes = (count + 63) / 64 * 8;
	return (bytes + 7) / 8 * 8;
}

uint64_t jt_snapshot_fingerprint(void)
{
	static const uint32_t shape[] = {
		JT_LAYOUT_VERSION,
		JT_SNAPSHOT_VERSION,
		sizeof(struct jt_slot),
		offsetof(struct jt_slot, a),
		offsetof(struct jt_slot, b),
		offsetof(struct jt_slot, owner),
		offsetof(struct jt_slot, reach),
		sizeof(struct jt_line),
		sizeof(struct jt_record),
		JT_PLANS_MAX,
		JT_SETS_MAX,
		JT_SCOPES_MAX,
		JT_ENVS_MAX,
		JT_SLOT_STATES,
		JT_VALUE_SCHEMES,
		JT_LEDGER_PAST,
	};

	return XXH3_64bits(shape, sizeof(shape));
}

void jt_snapshot_block_sum(uint8_t out[16], const void *bytes, size_t n)
{
	XXH128_canonical_t sum;

	XXH128_canonicalFromHash(&sum, XXH3_128bits(bytes, n));
	memcpy(out, &sum, 16);
}

static void blake(uint8_t out[16], const void *bytes, size_t n,
		  const uint8_t domain[16])
{
	int rc = crypto_generichash_blake2b_salt_personal(
		out, 16, bytes, n, NULL, 0, NULL, domain);

	assert(rc == 0);
	(void)rc;
}

void jt_snapshot_table_sum(uint8_t out[16],
			   const struct jt_snapshot_block *blocks, size_t n)
{
	blake(out, blocks, n * sizeof(*blocks), table_domain);
}

void jt_snapshot_header_sum(uint8_t out[16], const struct jt_snapshot_header *h)
{
	blake(out, h, offsetof(struct jt_snapshot_header, checksum),
	      header_domain);
}

/* ---- opening ---- */

static int bad(struct jt_fault *faultp, int rc, const char *why)
{
	return jt_fault_set(faultp, rc, 0, 0, "%s", why);
}

static int damaged(struct jt_fault *faultp, const char *why)
{
	return bad(faultp, JT_SNAPSHOT_E_DAMAGED, why);
}

/* A header that our own writer could have made, of any journal. */
static int check_header(const struct jt_snapshot_header *h,
			struct jt_fault *faultp)
{
	uint8_t sum[16];

	if (memcmp(h->magic, magic, sizeof(magic)))
		return damaged(faultp, "it does not begin like a snapshot");
	if (h->version != JT_SNAPSHOT_VERSION)
		return bad(faultp, JT_SNAPSHOT_E_UNFIT,
			   "it has another format version");
	jt_snapshot_header_sum(sum, h);
	if (memcmp(sum, h->checksum, sizeof(sum)))
		return damaged(faultp, "the checksum of its header is wrong");
	if (h->fingerprint != jt_snapshot_fingerprint())
		return bad(faultp, JT_SNAPSHOT_E_UNFIT,
			   "another build of jetond wrote it");
	if (!h->capacity || h->capacity > UINT32_MAX ||
	    h->n_lines > h->capacity || h->tokens > h->n_lines ||
	    h->n_free != h->n_lines - h->tokens || h->values < h->tokens ||
	    h->values - h->tokens > h->tokens ||
	    h->values > jt_segment_slots(h->capacity) || !h->pool_used ||
	    h->pool_used > JT_POOL_MAX || h->n_plans >= JT_PLANS_MAX ||
	    h->n_scopes > JT_SCOPES_MAX || h->n_sets >= JT_SETS_MAX ||
	    h->envs_used + 1 >= JT_ENV_OTHER || h->envs[0] ||
	    h->schemes >> JT_VALUE_SCHEMES || h->number > JT_NUMBER_MAX ||
	    h->n_blocks != jt_snapshot_blocks(h) ||
	    !jt_all_zero(h->zero, sizeof(h->zero)))
		return damaged(faultp, "its header holds impossible values");
	return 0;
}

/* Is it of this journal, and of what is committed there? */
static int check_place(const struct jt_snapshot_header *h,
		       const struct jt_journal *j, struct jt_fault *faultp)
{
	const uint8_t *tag = j->base_tag;
	struct jt_record last;

	if (memcmp(h->journal_id, j->id, sizeof(j->id)))
		return bad(faultp, JT_SNAPSHOT_E_UNFIT,
			   "it is of another journal");
	if (h->generation != j->generation || h->number < j->base)
		return bad(faultp, JT_SNAPSHOT_E_UNFIT,
			   "the journal's file is another one since");
	if (h->number > j->committed.number)
		return bad(faultp, JT_SNAPSHOT_E_UNFIT,
			   "it is newer than the journal");
	if (h->number > j->base) {
		int rc = jt_journal_read(j, h->number, &last, 1, faultp);

		if (rc)
			return rc > 0 ? JT_SNAPSHOT_E_UNFIT : rc;
		tag = last.tag;
	}
	if (memcmp(h->tag, tag, JT_TAG_BYTES))
		return bad(faultp, JT_SNAPSHOT_E_UNFIT,
			   "its last record is not the journal's");
	/* no commit ends within a batch: the reader could not go on */
	if (h->number > j->base && last.part != last.parts)
		return damaged(faultp, "it ends within a batch");
	return 0;
}

static uint64_t page_up(uint64_t bytes)
{
	return (bytes + 4095) / 4096 * 4096;
}

/* Lengths that the header gives, sums that the writer put there. */
static int check_table(struct jt_snapshot *s, uint64_t file_bytes,
		       struct jt_fault *faultp)
{
	uint64_t at =
		page_up(JT_SNAPSHOT_TABLE + s->h.n_blocks * sizeof(*s->blocks));
	uint8_t sum[16];

	jt_snapshot_table_sum(sum, s->blocks, s->h.n_blocks);
	if (memcmp(sum, s->h.table_sum, sizeof(sum)))
		return damaged(faultp, "the sum of its table is wrong");
	for (uint32_t i = 0; i < s->h.n_blocks; i++) {
		struct jt_snapshot_span span = jt_snapshot_span(&s->h, i);
		const struct jt_snapshot_block *b = &s->blocks[i];
		uint64_t fixed = jt_snapshot_fixed(span.kind, span.count);
		uint64_t more = b->bytes - fixed;

		if (b->kind != span.kind || b->first != span.first ||
		    b->bytes < fixed || b->bytes > JT_SNAPSHOT_BLOCK_MAX ||
		    (span.kind == JT_SNAPSHOT_SLOTS
			     ? more % JT_LINE || more / JT_LINE > span.count
			     : more))
			return damaged(faultp,
				       "its table holds impossible values");
		s->offsets[i] = at;
		at += b->bytes;
	}
	return at == file_bytes ? 0 : damaged(faultp, "it has another length");
}

static int read_front(struct jt_snapshot *s, const struct jt_journal *j,
		      struct jt_fault *faultp)
{
	struct stat st;
	int rc = jt_io_stat(s->io, s->fd, &st);

	if (!rc)
		rc = jt_io_read_at(s->io, s->fd, &s->h, sizeof(s->h), 0);
	if (rc == -ENODATA)
		return damaged(faultp, "it is cut");
	if (rc)
		return rc;
	rc = check_header(&s->h, faultp);
	if (!rc)
		rc = check_place(&s->h, j, faultp);
	if (rc)
		return rc;
	/* so much of it must be there before any memory is asked for */
	if (s->h.n_blocks >
	    ((uint64_t)st.st_size - JT_SNAPSHOT_TABLE) / sizeof(*s->blocks))
		return damaged(faultp, "it is cut");
	s->blocks = calloc(s->h.n_blocks, sizeof(*s->blocks));
	s->offsets = calloc(s->h.n_blocks, sizeof(*s->offsets));
	if (!s->blocks || !s->offsets)
		return -ENOMEM;
	rc = jt_io_read_at(s->io, s->fd, s->blocks,
			   s->h.n_blocks * sizeof(*s->blocks),
			   JT_SNAPSHOT_TABLE);
	if (rc)
		return rc;
	return check_table(s, (uint64_t)st.st_size, faultp);
}

int jt_snapshot_open(struct jt_snapshot *s, const struct jt_io *io, int dir_fd,
		     const struct jt_journal *j, struct jt_fault *faultp)
{
	struct jt_place p;
	int rc = jt_place_of(&p, io, dir_fd, faultp);

	memset(s, 0, sizeof(*s));
	s->io = io;
	s->fd = -1;
	if (!rc)
		rc = jt_place_file(&p, JT_SNAPSHOT_NAME, O_RDONLY, &s->fd,
				   faultp);
	if (rc)
		return rc == JT_JOURNAL_E_NONE ? JT_SNAPSHOT_E_NONE
		       : rc > 0		       ? JT_SNAPSHOT_E_DAMAGED
					       : rc;
	rc = read_front(s, j, faultp);
	if (rc)
		jt_snapshot_close(s);
	return rc;
}

void jt_snapshot_close(struct jt_snapshot *s)
{
	if (s->fd >= 0)
		s->io->close(s->fd);
	free(s->blocks);
	free(s->offsets);
	s->blocks = NULL;
	s->offsets = NULL;
	s->fd = -1;
}
