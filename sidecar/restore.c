/*
 * restore: see restore.h.
 *
 * First pass: the file from front to back; an entry whose key is that of one
 * of the two values of the token on its line is that token's. Mostly this is
 * all. What is left over is kept by key, and a second pass asks it for each
 * token that got nothing: by its value, then by the value before, then by
 * values that were dropped lately (two rotations since the last save).
 *
 * What an entry under an older value says of the value before the rotation is
 * of an even older one, and is left out.
 */
#include "sidecar/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK 4096u /* entries a read */
#define AHEAD 24u   /* tokens whose memory is on its way */
#define COUNT_MAX (1ull << 62)

struct restore {
	struct jt_ledger *l;
	struct jt_usage_file file;
	uint64_t latest_s;
	uint64_t *done; /* bit: that line got its counts */
	struct jt_usage_table strays;
	struct jt_usage_entry *chunk;
	struct jt_restored *sum;
};

static bool is_done(const struct restore *r, uint32_t line)
{
	return r->done[line / 64] >> line % 64 & 1;
}

static uint64_t at_most(uint64_t value, uint64_t max)
{
	return value < max ? value : max;
}

/* relaxed, all: nobody counts yet; the store of SERVING publishes them */
static void put(struct restore *r, uint32_t line, const struct jt_usage *u,
		bool under_older)
{
	struct jt_meter *m = &r->l->maps->lines[line];

	jt_store_relaxed(&m->uses, at_most(u->uses, COUNT_MAX));
	jt_store_relaxed(&m->refusals, at_most(u->refusals, COUNT_MAX));
	jt_store_relaxed(&m->last_use_s, at_most(u->last_use_s, r->latest_s));
	if (!under_older)
		jt_store_relaxed(&m->old_use_s,
				 at_most(u->old_use_s, r->latest_s));
	/* any word will do (meter.h): none grants more than a quota */
	jt_store_relaxed(&m->quota, u->quota);
	r->done[line / 64] |= 1ull << line % 64;
	r->sum->n_restored++;
}

static void digest_of(const struct restore *r, uint32_t slot,
		      uint64_t digest[4])
{
	const struct jt_slot *s = &r->l->maps->slots[slot];

	/* relaxed: the keeper's own words */
	for (unsigned i = 0; i < 4; i++)
		digest[i] = jt_load_relaxed(&s->digest[i]);
}

static bool has_key(const struct restore *r, uint32_t slot,
		    const uint8_t key[JT_USAGE_KEY])
{
	uint64_t digest[4];

	if (slot == JT_PLACE_NONE)
		return false;
	digest_of(r, slot, digest);
	return memcmp(digest, key, JT_USAGE_KEY) == 0;
}

/* Of a line that a token has; JT_LINE_NONE has none. */
static uint32_t slot_of(const struct restore *r, uint32_t line,
			enum jt_which which)
{
	return line != JT_LINE_NONE && r->l->lines[line].first
		       ? jt_places_slot(&r->l->places, line, which)
		       : JT_PLACE_NONE;
}

/* ---- the file, from front to back ---- */

static int take(struct restore *r, uint64_t at, const struct jt_usage_entry *e)
{
	uint32_t line = at < r->l->n_lines ? (uint32_t)at : JT_LINE_NONE;
	struct jt_usage u;

	switch (jt_usage_unpack(e, r->file.journal_id, &u)) {
	case JT_USAGE_EMPTY:
		return 0;
	case JT_USAGE_INVALID:
		r->sum->n_damaged++;
		return 0;
	case JT_USAGE_SAVED:
		break;
	}
	if (has_key(r, slot_of(r, line, JT_NEWEST), e->key))
		put(r, (uint32_t)at, &u, false);
	else if (has_key(r, slot_of(r, line, JT_BEFORE), e->key))
		put(r, (uint32_t)at, &u, true);
	else
		return jt_usage_add(&r->strays, e->key, &u);
	return 0;
}

static void prefetch(const struct restore *r, uint64_t at)
{
	uint32_t slot = at < r->l->n_lines ? slot_of(r, (uint32_t)at, JT_NEWEST)
					   : JT_PLACE_NONE;

	if (slot != JT_PLACE_NONE)
		__builtin_prefetch(&r->l->maps->slots[slot]);
}

static int read_through(struct restore *r)
{
	int rc = 0;

	for (uint64_t at = 0; !rc && at < r->file.lines; at += CHUNK) {
		rc = jt_usage_read(&r->file, at, r->chunk, CHUNK);
		for (uint32_t i = 0; !rc && i < CHUNK; i++) {
			prefetch(r, at + i + AHEAD);
			rc = take(r, at + i, &r->chunk[i]);
		}
	}
	return rc;
}

/* ---- what stood on no line of its own ---- */

static bool find(const struct restore *r, uint32_t slot, struct jt_usage *up)
{
	uint64_t digest[4];

	if (slot == JT_PLACE_NONE)
		return false;
	digest_of(r, slot, digest);
	return jt_usage_find(&r->strays, (const uint8_t *)digest, up);
}

static void ask_values(struct restore *r)
{
	struct jt_usage u;

	for (uint32_t i = 0; i < r->l->n_lines; i++) {
		prefetch(r, i + AHEAD);
		if (is_done(r, i))
			continue;
		if (find(r, slot_of(r, i, JT_NEWEST), &u))
			put(r, i, &u, false);
		else if (find(r, slot_of(r, i, JT_BEFORE), &u))
			put(r, i, &u, true);
	}
}

static void ask_past(struct restore *r)
{
	const struct jt_ledger *l = r->l;
	uint64_t n = l->n_past < JT_LEDGER_PAST ? l->n_past : JT_LEDGER_PAST;

	/* the newest first */
	for (uint64_t i = 1; i <= n; i++) {
		const struct jt_past *p =
			&l->past[(l->n_past - i) % JT_LEDGER_PAST];
		uint8_t digest[32] = {0};
		struct jt_usage u;

		memcpy(digest, p->key, sizeof(p->key));
		if (l->lines[p->line].first == p->first &&
		    !is_done(r, p->line) &&
		    jt_usage_find(&r->strays, digest, &u))
			put(r, p->line, &u, true);
	}
}

static int run(struct restore *r)
{
	uint64_t before;
	int rc = read_through(r);

	if (rc || !r->strays.n_rows)
		return rc;
	before = r->sum->n_restored;
	rc = jt_usage_index(&r->strays);
	if (rc)
		return rc;
	ask_values(r);
	ask_past(r);
	before = r->sum->n_restored - before;
	r->sum->n_strangers =
		r->strays.n_rows > before ? r->strays.n_rows - before : 0;
	return 0;
}

int jt_restore(struct jt_ledger *l, const struct jt_io *io, int dir_fd,
	       const uint8_t journal_id[16], uint64_t latest_s,
	       struct jt_restored *restoredp)
{
	struct restore r = {.l = l, .latest_s = latest_s, .sum = restoredp};
	int rc;

	memset(restoredp, 0, sizeof(*restoredp));
	rc = jt_usage_open(&r.file, io, dir_fd, journal_id, O_RDONLY);
	if (rc)
		return rc;
	r.done = calloc((size_t)l->n_lines / 64 + 1, sizeof(*r.done));
	r.chunk = malloc(CHUNK * sizeof(*r.chunk));
	rc = r.done && r.chunk ? run(&r) : -ENOMEM;
	jt_usage_free(&r.strays);
	free(r.chunk);
	free(r.done);
	jt_usage_close(&r.file);
	return rc;
}
