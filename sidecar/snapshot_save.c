/*
 * snapshot_save: the journal, replayed for itself, as blocks.
 *
 * The replay is that of a start (feed.c) in memory of our own: one core, one
 * clock for all of it, and whatever cannot be applied ends it, for then the
 * keeper's health is red and there is nothing to be kept. The same code writes
 * the blocks and, for a comparison, only sums them up.
 */
#include "sidecar/snapshot.h"

#include "admin/format.h"
#include "admin/place.h"
#include "sidecar/memory.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK 64u /* records between rests: who waits, waits for them */
#define AHEAD 16u
#define REST_MAX_NS 100000000u

/* A replay of our own. */
struct own {
	const struct jt_io *io;
	struct jt_journal journal;
	struct jt_segment_fds fds;
	struct jt_maps maps;
	struct jt_ledger ledger;
	uint64_t written_s;
	bool rests;
	bool reads_only; /* the chain is looked at, nothing is applied */
	uint64_t busy_from_ns;
};

/* As long as we worked since the last time. */
static void rest(struct own *o)
{
	uint64_t ns = o->io->mono_ns() - o->busy_from_ns;

	if (o->rests)
		o->io->sleep_ns(ns < REST_MAX_NS ? ns : REST_MAX_NS);
	o->busy_from_ns = o->io->mono_ns();
}

static int open_own(struct own *o, const struct jt_snapshot_want *want,
		    struct jt_fault *faultp)
{
	struct jt_segment_size size = {
		.capacity = want->capacity,
		.pool_bytes = want->pool_bytes,
		.lines_max = want->capacity,
	};
	uint64_t bytes = jt_segment_bytes(&size) +
			 want->capacity * (sizeof(struct jt_line) +
					   sizeof(struct jt_seat));
	int rc;

	if (jt_memory_left() < bytes + bytes / 8)
		return jt_fault_set(faultp, JT_SNAPSHOT_E_MEMORY, 0, 0,
				    "it would take %llu MB of memory for a "
				    "time; there are not so many",
				    (unsigned long long)bytes >> 20);
	memcpy(size.prefix, o->journal.prefix, sizeof(size.prefix));
	rc = jt_segment_create(&size, o->journal.id, &o->fds, &o->maps);
	if (rc)
		return jt_fault_set(faultp, rc < 0 ? rc : JT_SNAPSHOT_E_MEMORY,
				    0, 0, "no memory for another table");
	o->maps.identity_rw->seed = want->seed;
	rc = jt_ledger_init(&o->ledger, &o->maps);
	o->ledger.now.wall_s = o->written_s;
	if (!rc)
		return 0;
	jt_segment_unmap(&o->maps);
	close(o->fds.identity);
	close(o->fds.meters);
	return rc;
}

static void close_own(struct own *o)
{
	jt_ledger_deinit(&o->ledger);
	jt_segment_unmap(&o->maps);
	close(o->fds.identity);
	close(o->fds.meters);
}

static int apply(struct own *o, const struct jt_record *records, size_t n,
		 struct jt_fault *faultp)
{
	for (size_t i = 0; i < n; i++) {
		const struct jt_record *r = &records[i];
		int rc;

		if (i + AHEAD < n)
			jt_ledger_prefetch(&o->ledger, &r[AHEAD]);
		if (r->type == JT_REC_ROTATE || r->type == JT_REC_CREATE)
			jt_ledger_tidy(&o->ledger, 1);
		rc = jt_ledger_apply(&o->ledger, r);
		if (rc)
			return jt_fault_set(
				faultp,
				rc == JT_TABLE_E_FULL ? JT_SNAPSHOT_E_FULL
						      : JT_SNAPSHOT_E_DIFFERS,
				r->number, 0,
				"record %llu cannot be applied; run `jeton "
				"journal check`",
				(unsigned long long)r->number);
	}
	return 0;
}

/* From the first record to the commit; *R stands behind it then. */
static int replay(struct own *o, struct jt_reader *r, struct jt_fault *faultp)
{
	struct jt_record *chunk = malloc(CHUNK * sizeof(*chunk));
	size_t n = 1;
	int rc = chunk ? 0 : -ENOMEM;

	jt_reader_init(r, &o->journal);
	o->busy_from_ns = o->io->mono_ns();
	while (!rc && n) {
		rc = jt_reader_next(r, chunk, CHUNK, &n, faultp);
		if (rc > 0)
			rc = JT_SNAPSHOT_E_JOURNAL;
		else if (!rc && !o->reads_only)
			rc = apply(o, chunk, n, faultp);
		rest(o);
	}
	free(chunk);
	return rc;
}

/* ---- things as they stand in a block ---- */

static void put_plans(const struct own *o, struct jt_snapshot_span span,
		      struct jt_snapshot_plan *to)
{
	for (uint64_t i = 0; i < span.count; i++) {
		const struct jt_plan *p =
			&o->ledger.plans.of[span.first + i + 1];

		to[i].record = p->record;
		to[i].rate = p->limit.rate;
		to[i].period_ns = p->limit.period_ns;
		to[i].burst = p->limit.burst;
		to[i].quota = p->limit.quota;
		to[i].quota_unit = p->limit.quota_unit;
		to[i].quota_minutes = p->limit.quota_minutes;
		memcpy(to[i].name, p->name, sizeof(to[i].name));
		to[i].removed = p->removed;
	}
}

static void put_pasts(const struct own *o, struct jt_snapshot_span span,
		      struct jt_snapshot_past *to)
{
	for (uint64_t i = 0; i < span.count; i++) {
		const struct jt_past *p = &o->ledger.past[span.first + i];

		to[i].first = p->first;
		to[i].line = p->line;
		memcpy(to[i].key, p->key, sizeof(to[i].key));
	}
}

static void put_lines(const struct own *o, struct jt_snapshot_span span,
		      struct jt_snapshot_line *to)
{
	for (uint64_t i = 0; i < span.count; i++) {
		const struct jt_line *l = &o->ledger.lines[span.first + i];

		to[i].next = l->next;
		if (!l->last)
			continue;
		to[i].first = l->first;
		to[i].last = l->last;
		to[i].slot =
			jt_places_slot(&o->ledger.places,
				       (uint32_t)(span.first + i), JT_NEWEST);
		to[i].old_slot =
			jt_places_slot(&o->ledger.places,
				       (uint32_t)(span.first + i), JT_BEFORE);
		to[i].old_until_s = l->old_until_s;
		to[i].expires_s = l->expires_s;
		to[i].plan = l->plan;
		to[i].own = l->own;
		to[i].set = l->set;
		to[i].state = l->state;
	}
}

/* relaxed: our own words */
static bool read_slot(const struct jt_slot *s, struct jt_snapshot_slot *to)
{
	to->key = jt_load_relaxed(&s->key);
	to->a = jt_load_relaxed(&s->a);
	to->reach = jt_load_relaxed(&s->reach);
	if (!to->key && !to->a && !to->reach)
		return false;
	for (unsigned i = 0; i < 4; i++)
		to->digest[i] = jt_load_relaxed(&s->digest[i]);
	to->b = jt_load_relaxed(&s->b);
	to->owner = jt_load_relaxed(&s->owner);
	to->env = jt_load_relaxed(&s->env);
	to->scheme = jt_load_relaxed(&s->scheme);
	return true;
}

static uint64_t put_slots(const struct own *o, struct jt_snapshot_span span,
			  uint8_t *to)
{
	uint64_t fixed = jt_snapshot_fixed(span.kind, span.count), n = 0;
	struct jt_snapshot_slot *slots = (void *)(to + fixed);

	for (uint64_t i = 0; i < span.count; i++) {
		if (!read_slot(&o->maps.slots[span.first + i], &slots[n]))
			continue;
		to[i / 8] |= (uint8_t)(1u << i % 8);
		n++;
	}
	return fixed + n * sizeof(*slots);
}

/* Into BYTES, which are zero. Returns how many. */
static uint64_t put(const struct own *o, struct jt_snapshot_span span,
		    uint8_t *bytes)
{
	switch ((enum jt_snapshot_kind)span.kind) {
	case JT_SNAPSHOT_PLANS:
		put_plans(o, span, (void *)bytes);
		break;
	case JT_SNAPSHOT_PASTS:
		put_pasts(o, span, (void *)bytes);
		break;
	case JT_SNAPSHOT_SCOPES:
		memcpy(bytes, &o->maps.scopes->names[span.first],
		       span.count * JT_SCOPE_BYTES);
		break;
	case JT_SNAPSHOT_SETS:
		/* ours alone: plain bytes */
		memcpy(bytes, (const void *)&o->maps.sets[span.first + 1],
		       span.count * 32);
		break;
	case JT_SNAPSHOT_POOL:
		memcpy(bytes, o->maps.pool + span.first, span.count);
		break;
	case JT_SNAPSHOT_LINES:
		put_lines(o, span, (void *)bytes);
		break;
	default:
		return put_slots(o, span, bytes);
	}
	return jt_snapshot_fixed(span.kind, span.count);
}

/* ---- header and table ---- */

static void begin_header(const struct own *o, const struct jt_reader *r,
			 struct jt_snapshot_header *h)
{
	const struct jt_identity *id = o->maps.identity;
	const struct jt_ledger *l = &o->ledger;

	*h = (struct jt_snapshot_header){
		.magic = {'j', 'e', 't', 'o', 'n', 's', 'n', 'p'},
		.version = JT_SNAPSHOT_VERSION,
		.fingerprint = jt_snapshot_fingerprint(),
		.generation = o->journal.generation,
		.number = r->next - 1,
		.written_s = o->written_s,
		.seed = id->seed,
		.capacity = o->maps.capacity,
		.tidy_from_s = l->tidy_from_s,
		.n_past = l->n_past,
		.n_lines = l->n_lines,
		.free_first = l->free_first,
		.n_free = l->n_free,
		.n_plans = l->plans.n,
		.n_scopes = l->sets.n_scopes,
		.n_sets = l->sets.n,
		/* relaxed, all: our own words */
		.pool_used = jt_load_relaxed(&id->pool_used),
		.schemes = jt_load_relaxed(&id->schemes),
		.tokens = jt_load_relaxed(&id->tokens),
		.values = jt_load_relaxed(&id->used),
		.envs_used = jt_load_relaxed(&id->envs_used),
	};
	memcpy(h->journal_id, o->journal.id, sizeof(h->journal_id));
	memcpy(h->tag, r->tag, sizeof(h->tag));
	for (unsigned i = 0; i < JT_ENVS_MAX; i++)
		h->envs[i] = jt_load_relaxed(&id->envs[i]);
	h->n_blocks = (uint32_t)jt_snapshot_blocks(h);
}

static void end_header(struct jt_snapshot_header *h,
		       const struct jt_snapshot_block *blocks)
{
	jt_snapshot_table_sum(h->table_sum, blocks, h->n_blocks);
	jt_snapshot_header_sum(h->checksum, h);
}

static uint64_t data_offset(const struct jt_snapshot_header *h)
{
	uint64_t end = JT_SNAPSHOT_TABLE +
		       h->n_blocks * sizeof(struct jt_snapshot_block);

	return (end + 4095) / 4096 * 4096;
}

/* All blocks: into FD, or with -1 nowhere; the table and its header. */
static int make(struct own *o, int fd, struct jt_snapshot_header *h,
		struct jt_snapshot_block *blocks)
{
	uint8_t *bytes = malloc(JT_SNAPSHOT_BLOCK_MAX);
	uint64_t at = data_offset(h);
	int rc = bytes ? 0 : -ENOMEM;

	for (uint32_t i = 0; !rc && i < h->n_blocks; i++) {
		struct jt_snapshot_span span = jt_snapshot_span(h, i);
		uint64_t n;

		memset(bytes, 0, JT_SNAPSHOT_BLOCK_MAX);
		n = put(o, span, bytes);
		blocks[i] = (struct jt_snapshot_block){
			.kind = span.kind,
			.bytes = (uint32_t)n,
			.first = span.first,
		};
		jt_snapshot_block_sum(blocks[i].sum, bytes, n);
		if (fd >= 0)
			rc = jt_io_write_at(o->io, fd, bytes, n, at);
		at += n;
		rest(o);
	}
	free(bytes);
	end_header(h, blocks);
	return rc;
}

static int write_file(struct own *o, const struct jt_place *p,
		      struct jt_snapshot_header *h,
		      struct jt_snapshot_block *blocks, struct jt_fault *faultp)
{
	int fd, rc = jt_place_stage(p, JT_SNAPSHOT_NEW_NAME, &fd, faultp);

	if (rc)
		return rc > 0 ? -EIO : rc;
	rc = make(o, fd, h, blocks);
	if (!rc)
		rc = jt_io_write_at(o->io, fd, blocks,
				    h->n_blocks * sizeof(*blocks),
				    JT_SNAPSHOT_TABLE);
	if (!rc)
		rc = jt_io_write_at(o->io, fd, h, sizeof(*h), 0);
	if (!rc)
		rc = jt_io_sync(o->io, fd);
	o->io->close(fd);
	if (!rc)
		rc = jt_place_publish(p, JT_SNAPSHOT_NEW_NAME, JT_SNAPSHOT_NAME,
				      faultp);
	if (rc)
		(void)jt_io_unlink(o->io, p->fd, JT_SNAPSHOT_NEW_NAME);
	return rc > 0 ? -EIO : rc;
}

/* H and *BLOCKSP: what O came to; written where P says, if it does. */
static int freeze(struct own *o, const struct jt_reader *r,
		  const struct jt_place *p, struct jt_snapshot_header *h,
		  struct jt_snapshot_block **blocksp, struct jt_fault *faultp)
{
	int rc;

	begin_header(o, r, h);
	*blocksp = calloc(h->n_blocks, sizeof(**blocksp));
	if (!*blocksp)
		return -ENOMEM;
	rc = p ? write_file(o, p, h, *blocksp, faultp)
	       : make(o, -1, h, *blocksp);
	if (rc)
		free(*blocksp);
	return rc;
}

int jt_snapshot_save(const struct jt_io *io,
		     const struct jt_snapshot_want *want,
		     struct jt_snapshot_at *atp, struct jt_fault *faultp)
{
	struct jt_snapshot_block *blocks;
	struct jt_snapshot_header h;
	struct own o = {
		.io = io,
		.written_s = io->wall_ns() / 1000000000u,
		.rests = want->rests,
	};
	struct jt_reader r;
	struct jt_place p;
	int rc = jt_journal_open(&o.journal, io, want->data, faultp);

	if (rc)
		return rc > 0 ? JT_SNAPSHOT_E_JOURNAL : rc;
	/* it must not know of records that the disk may not have */
	rc = jt_journal_sync(&o.journal);
	if (!rc)
		rc = jt_place_of(&p, io, o.journal.dir_fd, faultp);
	if (!rc)
		rc = open_own(&o, want, faultp);
	if (!rc) {
		rc = replay(&o, &r, faultp);
		if (!rc)
			rc = freeze(&o, &r, &p, &h, &blocks, faultp);
		if (!rc) {
			*atp = (struct jt_snapshot_at){
				.number = h.number,
				.generation = h.generation,
				.written_s = h.written_s,
			};
			free(blocks);
		}
		close_own(&o);
	}
	jt_journal_close(&o.journal);
	return rc;
}

/* The sums of what was loaded against those of what the records come to. */
static int compare(const struct jt_snapshot_header *h,
		   const struct jt_snapshot_block *blocks,
		   const struct jt_snapshot_header *mine,
		   const struct jt_snapshot_block *my_blocks,
		   struct jt_fault *faultp)
{
	if (memcmp(h, mine, sizeof(*h)) == 0 &&
	    memcmp(blocks, my_blocks, h->n_blocks * sizeof(*blocks)) == 0)
		return 0;
	return jt_fault_set(faultp, JT_SNAPSHOT_E_DIFFERS, h->number, 0,
			    "the snapshot that this start was made from does "
			    "not say what the journal says up to record %llu; "
			    "remove the file `%s`, then restart jetond",
			    (unsigned long long)h->number, JT_SNAPSHOT_NAME);
}

/* 0: the open file is the one whose records H stands for. */
static int check_file(const struct jt_journal *j,
		      const struct jt_snapshot_header *h,
		      struct jt_fault *faultp)
{
	bool ours = memcmp(j->id, h->journal_id, sizeof(j->id)) == 0;

	if (ours && j->generation > h->generation)
		return JT_SNAPSHOT_E_UNFIT;
	if (ours && j->generation == h->generation &&
	    j->committed.number >= h->number)
		return 0;
	return jt_fault_set(faultp, -ESTALE, h->number, 0,
			    "the journal was replaced by another one or an "
			    "older copy");
}

int jt_snapshot_recheck(const struct jt_io *io, const char *data,
			const struct jt_snapshot_header *h,
			const struct jt_snapshot_block *blocks, bool rests,
			struct jt_fault *faultp)
{
	const struct jt_snapshot_want want = {
		.capacity = h->capacity,
		.pool_bytes = h->pool_used,
		.seed = h->seed,
	};
	struct own o = {
		.io = io,
		.written_s = h->written_s,
		.rests = rests,
	};
	struct jt_snapshot_block *my_blocks;
	struct jt_snapshot_header mine;
	struct jt_reader r;
	int rc = jt_journal_open(&o.journal, io, data, faultp);

	if (rc)
		return rc > 0 ? JT_SNAPSHOT_E_JOURNAL : rc;
	rc = check_file(&o.journal, h, faultp);
	if (rc) {
		jt_journal_close(&o.journal);
		return rc;
	}
	/* what came later is not looked at */
	o.journal.committed.number = h->number;
	memcpy(o.journal.committed.tag, h->tag, sizeof(h->tag));
	rc = open_own(&o, &want, faultp);
	if (rc == JT_SNAPSHOT_E_MEMORY) {
		o.reads_only = true;
		rc = replay(&o, &r, faultp);
		rc = rc ? rc : JT_SNAPSHOT_E_MEMORY;
	} else if (!rc) {
		rc = replay(&o, &r, faultp);
		if (!rc)
			rc = freeze(&o, &r, NULL, &mine, &my_blocks, faultp);
		if (!rc) {
			rc = compare(h, blocks, &mine, my_blocks, faultp);
			free(my_blocks);
		}
		close_own(&o);
	}
	jt_journal_close(&o.journal);
	return rc;
}
