/*
 * sweep: see sweep.h; format and rules of the file in admin/usage.c.
 *
 * Lines are gone through in order: their words are next to each other, so that
 * a million of them cost some milliseconds. Whose line it is stands in the
 * slots, in no order at all; so `spots` keeps the slot of each line, found by
 * one pass over all slots whenever `applied` has moved, and beside it a hash of
 * what was written last:
 *
 *	spots[line]	{seen 8 | slot 4 | mark 4}
 *	meter line	words -> hash seeded with mark == seen? nothing to do
 *	slot		only of a line that has changed: its digest
 *
 * `mark` is a piece of the digest, so that a rotation changes the hash although
 * no word changed. A line without a token, or with words that are all zero, is
 * zeros in the file.
 *
 * A digest and the words of another token are never joined: the slot is looked
 * at, then the words, then the slot's word A again. If that is the same, the
 * token was there all the time, and a line is given to another token only long
 * after its token is gone (ledger.c). All that holds for a table that is still
 * changed: one that was retired for a larger one settles nothing. What does not
 *settle, because its token was rotated or purged since the slots were gone
 *through, is looked at in one more pass: a round leaves out no token that was
 *there when it began. Words of one line are not of one instant; each is a count
 *of its own.
 *
 * Changed lines with less than GAP between them are written as one, with what
 * stands between: whole pages in a row are cheaper for a disk than every other
 * one.
 *
 * Errors. No room: everything else is written and flushed, and that is tried
 * again, in place. Anything else: the file's contents are unknown (a failed
 * flush is told only once), so the next round writes a whole new one.
 */
#include "sidecar/sweep.h"

#include "shm/table.h"
#include "sidecar/way.h"
#include "sidecar/wide.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define GAP 256u       /* lines: 16 KiB */
#define WAY_LINES 512u /* at most some 100 us */
#define AHEAD 16u      /* lines whose slot is on its way */
#define PASSES_MAX 4u
#define NOBODY UINT32_MAX
#define SEEN_NONE 0u /* the file has zeros there */
#define SEEN_UNKNOWN UINT64_MAX

struct jt_spot {
	uint64_t seen;
	uint32_t slot;
	uint32_t mark;
};

int jt_sweep_init(struct jt_sweep *t, const struct jt_maps *maps,
		  const struct jt_io *io, int dir_fd)
{
	*t = (struct jt_sweep){.maps = maps, .io = io, .dir_fd = dir_fd};
	t->file.fd = -1;
	t->capacity = maps->capacity;
	t->spots = jt_wide_new(t->capacity, sizeof(*t->spots));
	t->chunk = calloc(JT_SWEEP_SLICE, sizeof(*t->chunk));
	t->changed = calloc(JT_SWEEP_SLICE, sizeof(*t->changed));
	t->hashes = calloc(JT_SWEEP_SLICE, sizeof(*t->hashes));
	if (t->spots && t->chunk && t->changed && t->hashes)
		return 0;
	jt_sweep_deinit(t);
	return -ENOMEM;
}

void jt_sweep_deinit(struct jt_sweep *t)
{
	if (t->file.fd >= 0)
		jt_usage_close(&t->file);
	jt_wide_free(t->spots, t->capacity, sizeof(*t->spots));
	free(t->chunk);
	free(t->changed);
	free(t->hashes);
	memset(t, 0, sizeof(*t));
	t->file.fd = -1;
}

int jt_sweep_widen(struct jt_sweep *t)
{
	uint64_t capacity = t->maps->capacity;
	struct jt_spot *spots = t->spots;

	t->mapped = false;
	if (capacity > t->capacity)
		spots = jt_wide_grow(spots, t->capacity, capacity,
				     sizeof(*spots));
	if (!spots)
		return -ENOMEM;
	t->spots = spots;
	t->capacity = capacity;
	return 0;
}

bool jt_sweep_is_stale(const struct jt_sweep *t)
{
	const struct jt_identity *id = t->maps->identity;

	/* pairs with jt_table_part(); a daemon that ends offers none */
	return jt_load_acquire(&id->state) == JT_IDENTITY_RETIRED &&
	       jt_load_acquire(&id->offered);
}

/* ---- whose line it is ---- */

static uint32_t mark_of(uint64_t digest0)
{
	return (uint32_t)(digest0 >> 32);
}

static bool is_newest(uint64_t a)
{
	return jt_a_state(a) > JT_SLOT_BUSY &&
	       !(jt_a_flags(a) & JT_SLOT_OLD_VALUE);
}

/* A hint: settled() looks again. relaxed: so it need not be of one instant. */
static void map_slot(struct jt_sweep *t, uint32_t slot)
{
	const struct jt_slot *s = &t->maps->slots[slot];
	uint32_t line = jt_b_meter(jt_load_relaxed(&s->b));

	if (!is_newest(jt_load_relaxed(&s->a)) || line >= t->capacity)
		return;
	t->spots[line].slot = slot;
	t->spots[line].mark = mark_of(jt_load_relaxed(&s->digest[0]));
	if (line >= t->lines)
		t->lines = line + 1;
}

static void map_lines(struct jt_sweep *t)
{
	/* pairs with the feed's store: what it counts stands in the slots */
	uint64_t applied = jt_load_acquire(&t->maps->identity->applied);

	if (t->mapped && t->applied == applied)
		return;
	for (uint32_t i = 0; i < t->lines; i++) {
		t->spots[i].slot = NOBODY;
		t->spots[i].mark = 0;
	}
	for (uint64_t i = 0; i < t->maps->n_slots; i++) {
		map_slot(t, (uint32_t)i);
		jt_way_make(i, WAY_LINES);
	}
	t->applied = applied;
	t->mapped = true;
}

/* ---- what a line says ---- */

/* acquire, all: so that the slot's word A is looked at again after them */
static struct jt_usage words_of(const struct jt_sweep *t, uint32_t line)
{
	const struct jt_meter *m = &t->maps->lines[line];

	return (struct jt_usage){
		.uses = jt_load_acquire(&m->uses),
		.refusals = jt_load_acquire(&m->refusals),
		.last_use_s = jt_load_acquire(&m->last_use_s),
		.old_use_s = jt_load_acquire(&m->old_use_s),
		.quota = jt_load_acquire(&m->quota),
	};
}

static uint64_t hash_of(const struct jt_spot *spot, const struct jt_usage *u)
{
	uint64_t hash;

	if (spot->slot == NOBODY ||
	    !(u->uses | u->refusals | u->last_use_s | u->old_use_s | u->quota))
		return SEEN_NONE;
	hash = XXH3_64bits_withSeed(u, sizeof(*u), spot->mark);
	return hash == SEEN_NONE ? 1 : hash;
}

/* The entry of LINE as it is now; false: not to be told at the moment. */
static bool settled(const struct jt_sweep *t, uint32_t line,
		    struct jt_usage_entry *e, uint64_t *hashp)
{
	const struct jt_spot *spot = &t->spots[line];
	struct jt_usage u = words_of(t, line);
	struct jt_view view;

	*hashp = hash_of(spot, &u);
	memset(e, 0, sizeof(*e));
	if (*hashp == SEEN_NONE)
		return true;
	if (!jt_table_look(t->maps, spot->slot, &view) || !is_newest(view.a) ||
	    jt_b_meter(view.b) != line || mark_of(view.digest[0]) != spot->mark)
		return false;
	u = words_of(t, line);
	/* relaxed: the loads of the words are acquires and stand before it */
	if (jt_load_relaxed(&t->maps->slots[spot->slot].a) != view.a ||
	    jt_sweep_is_stale(t))
		return false;
	*hashp = hash_of(spot, &u);
	jt_usage_pack(e, t->file.journal_id, (const uint8_t *)view.digest, &u);
	return true;
}

/* ---- the file ---- */

/* What ENTRY, as it stands in the file on LINE, says. False: it is a token's
 * that is not on that line. */
static bool learn(struct jt_sweep *t, uint64_t line,
		  const struct jt_usage_entry *e)
{
	struct jt_spot *spot = line < t->capacity ? &t->spots[line] : NULL;
	struct jt_view view;
	struct jt_usage u;

	switch (jt_usage_unpack(e, t->file.journal_id, &u)) {
	case JT_USAGE_EMPTY:
		if (spot)
			spot->seen = SEEN_NONE;
		return true;
	case JT_USAGE_INVALID:
		if (spot)
			spot->seen = SEEN_UNKNOWN;
		return spot != NULL;
	case JT_USAGE_SAVED:
		break;
	}
	if (!spot || spot->slot == NOBODY ||
	    !jt_table_look(t->maps, spot->slot, &view) ||
	    mark_of(view.digest[0]) != spot->mark ||
	    memcmp(view.digest, e->key, JT_USAGE_KEY) != 0)
		return false;
	spot->seen = hash_of(spot, &u);
	return true;
}

static int learn_all(struct jt_sweep *t)
{
	uint64_t line = 0;
	int rc = 0;

	while (!t->whole && line < t->file.lines) {
		rc = jt_usage_read(&t->file, line, t->chunk, JT_SWEEP_SLICE);
		if (rc)
			return rc;
		for (uint32_t i = 0; i < JT_SWEEP_SLICE && !t->whole; i++)
			t->whole = !learn(t, line + i, &t->chunk[i]);
		line += JT_SWEEP_SLICE;
	}
	return 0;
}

/* Lines that only the file knows of must be zeroed there. */
static void look_as_far(struct jt_sweep *t)
{
	uint64_t capacity = t->capacity;
	uint64_t lines = t->file.lines < capacity ? t->file.lines : capacity;

	if (t->lines < lines)
		t->lines = (uint32_t)lines;
}

/* The file that is there: open it, and note what it says. */
static int open_file(struct jt_sweep *t)
{
	int rc = jt_usage_open(&t->file, t->io, t->dir_fd,
			       t->maps->identity->journal_id, O_RDWR);

	if (rc < 0 && rc != -EIO)
		return rc;
	/* what cannot be read is not worth keeping */
	t->whole = rc || learn_all(t) || t->whole;
	if (t->whole)
		jt_usage_close(&t->file);
	else
		look_as_far(t);
	return 0;
}

/* A new file: it says nothing yet. */
static int stage(struct jt_sweep *t)
{
	int rc;

	jt_usage_close(&t->file);
	rc = jt_usage_stage(&t->file, t->io, t->dir_fd,
			    t->maps->identity->journal_id);
	if (rc)
		return rc;
	t->staged = true;
	for (uint64_t i = 0; i < t->capacity; i++)
		t->spots[i].seen = SEEN_NONE;
	return 0;
}

static int check_file(struct jt_sweep *t)
{
	int rc = jt_usage_ours(&t->file);

	if (rc < 0)
		return rc;
	t->whole = rc == 0;
	return 0;
}

static bool is_short(int rc)
{
	return rc == -ENOSPC || rc == -EDQUOT || rc == -EFBIG;
}

/* The round is over: of what may still be believed the next one makes use. */
static int fail(struct jt_sweep *t, int rc)
{
	if (t->staged)
		jt_usage_abandon(&t->file);
	jt_usage_close(&t->file);
	t->whole = t->whole || t->staged || t->dirty;
	t->staged = t->dirty = false;
	return rc;
}

int jt_sweep_begin(struct jt_sweep *t)
{
	int rc = 0;

	assert(!t->staged);
	t->next = t->passes = 0;
	t->short_rc = 0;
	t->unsettled = false;
	map_lines(t);
	if (t->file.fd >= 0)
		rc = check_file(t);
	else if (!t->whole)
		rc = open_file(t);
	if (!rc && t->whole)
		rc = stage(t);
	return rc ? fail(t, rc) : 0;
}

/* Lines of this slice that are not what the file says; the last one + 1. */
static uint32_t compare(struct jt_sweep *t, uint32_t n)
{
	uint32_t end = 0;

	for (uint32_t i = 0; i < n; i++) {
		const struct jt_spot *spot = &t->spots[t->next + i];
		struct jt_usage u = words_of(t, t->next + i);

		jt_way_make(i, WAY_LINES);
		t->changed[i] = spot->seen != hash_of(spot, &u);
		if (t->changed[i])
			end = i + 1;
	}
	return end;
}

/* From the changed line I on: the end of what is written with it. */
static uint32_t stretch(const struct jt_sweep *t, uint32_t i, uint32_t end)
{
	uint32_t last = i;

	for (uint32_t k = i + 1; k < end && k - last <= GAP; k++)
		if (t->changed[k])
			last = k;
	return last + 1;
}

/* Slots stand in no order: ask for one some lines ahead. */
static void prefetch(const struct jt_sweep *t, uint32_t line)
{
	if (line < t->lines && t->spots[line].slot != NOBODY)
		__builtin_prefetch(&t->maps->slots[t->spots[line].slot]);
}

/*
 * Lines FROM.. of the slice up to TO, or to the first that does not settle;
 * *NP of them are done with.
 */
static int write_lines(struct jt_sweep *t, uint32_t from, uint32_t to,
		       uint32_t *np)
{
	uint32_t n = 0;
	int rc;

	for (; from + n < to; n++) {
		prefetch(t, t->next + from + n + AHEAD);
		jt_way_make(n, WAY_LINES);
		if (!settled(t, t->next + from + n, &t->chunk[n],
			     &t->hashes[n]))
			break;
	}
	t->unsettled |= from + n < to;
	*np = n ? n : 1;
	if (!n)
		return 0;
	t->dirty = true;
	rc = jt_usage_write(&t->file, t->next + from, t->chunk, n);
	for (uint32_t i = 0; i < n; i++)
		t->spots[t->next + from + i].seen =
			rc ? SEEN_UNKNOWN : t->hashes[i];
	if (!rc)
		t->n_written += n;
	else if (is_short(rc) && !t->staged)
		t->short_rc = rc;
	else
		return rc;
	return 0;
}

/* True: once more, for those whose token has changed under our eyes. */
static bool again(struct jt_sweep *t)
{
	if (!t->unsettled || ++t->passes == PASSES_MAX)
		return false;
	t->next = 0;
	t->unsettled = t->mapped = false;
	map_lines(t);
	return true;
}

int jt_sweep_slice(struct jt_sweep *t)
{
	uint32_t left = t->lines - t->next;
	uint32_t n = left < JT_SWEEP_SLICE ? left : JT_SWEEP_SLICE;
	uint32_t end = compare(t, n);

	for (uint32_t i = 0, done = 1; i < end; i += done) {
		int rc = 0;

		done = 1;
		if (t->changed[i])
			rc = write_lines(t, i, stretch(t, i, end), &done);
		if (rc)
			return fail(t, rc);
	}
	t->next += n;
	return t->next < t->lines || again(t);
}

int jt_sweep_end(struct jt_sweep *t)
{
	int rc = 0;

	if (t->staged)
		rc = jt_usage_publish(&t->file);
	else if (t->dirty)
		rc = jt_usage_sync(&t->file);
	if (rc)
		return fail(t, rc);
	t->whole = t->staged = t->dirty = false;
	return t->short_rc;
}
