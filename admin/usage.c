/*
 * usage: see usage.h.
 *
 *	byte 0	     512	      4096	4160	  4224
 *	+------------+-- zeros -- ~ --+---------+---------+-- ~
 *	|   header   |		      | line 0	| line 1  |
 *	+------------+-- zeros -- ~ --+---------+---------+-- ~
 *
 * Header: {magic, version, bytes of an entry, journal id, zeros, checksum};
 * written once, when the file is made. Entry: {key, five words, checksum}, or
 * 64 zero bytes for a line that belongs to nobody or was never used; behind
 * the end of the file there are only such. An entry lies within a sector and
 * verifies by itself, so one that was torn or flipped is lost alone. Its
 * checksum is seeded with the journal's id: one of another journal is as good
 * as torn.
 *
 * Writing. In place, the one writer writes what has changed and flushes; no
 * entry says anything about another, so what a crash leaves is for each token
 * the count of this save or of the one before. That holds only as long as
 * every token keeps its line. Who finds tokens on other lines than the file
 * has them on (lines are given anew at each start of the sidecar), or has met
 * an error after which the file's contents are not known, writes a whole new
 * file and renames it: the former one stays until the new one is durable.
 *
 * Reading. The key decides, the line is only where to look first. Should two
 * entries bear one key, the one with more uses is newer: uses only grow.
 */
#include "admin/usage.h"
#include "admin/inner.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define NEW_NAME "usage.new"
#define VERSION 1u
#define CHUNK 4096u /* entries a read */
#define LINES_MAX UINT32_MAX
#define ROWS_MIN 1024u

static_assert(sizeof(struct jt_usage_entry) == 64, "eight in a sector");
static_assert(offsetof(struct jt_usage_entry, checksum) == 56, "entry sum");
static_assert(JT_USAGE_DATA % 512 == 0, "no entry crosses a sector");

struct header {
	char magic[8];		/*   0 */
	uint32_t version;	/*   8 */
	uint32_t entry_bytes;	/*  12 */
	uint8_t journal_id[16]; /*  16 */
	uint8_t zero[464];	/*  32 */
	uint8_t checksum[16];	/* 496 */
	uint8_t zeros[3584];	/* 512 */
};
static_assert(offsetof(struct header, checksum) == 496, "usage sector");
static_assert(sizeof(struct header) == JT_USAGE_DATA, "usage header");

static const char magic[8] = "jetonuse";
static const uint8_t domain[16] = "jeton usage";

/* ---- header ---- */

static void header_sum(uint8_t out[16], const struct header *h)
{
	int rc = crypto_generichash_blake2b_salt_personal(
		out, 16, (const uint8_t *)h, offsetof(struct header, checksum),
		NULL, 0, NULL, domain);

	assert(rc == 0);
	(void)rc;
}

static int write_header(const struct jt_usage_file *f)
{
	struct header h = {.version = VERSION,
			   .entry_bytes = sizeof(struct jt_usage_entry)};

	memcpy(h.magic, magic, sizeof(h.magic));
	memcpy(h.journal_id, f->journal_id, sizeof(h.journal_id));
	header_sum(h.checksum, &h);
	return jt_io_write_at(f->io, f->fd, &h, sizeof(h), 0);
}

static int check_header(const struct jt_usage_file *f)
{
	struct header h;
	uint8_t sum[16];
	int rc = jt_io_read_at(f->io, f->fd, &h, sizeof(h), 0);

	if (rc)
		return rc == -ENODATA ? JT_USAGE_E_DAMAGED : rc;
	header_sum(sum, &h);
	if (memcmp(h.magic, magic, sizeof(magic)) != 0 ||
	    memcmp(h.checksum, sum, sizeof(sum)) != 0)
		return JT_USAGE_E_DAMAGED;
	if (h.version != VERSION ||
	    h.entry_bytes != sizeof(struct jt_usage_entry))
		return JT_USAGE_E_VERSION;
	if (!jt_all_zero(h.zero, sizeof(h.zero)) ||
	    !jt_all_zero(h.zeros, sizeof(h.zeros)))
		return JT_USAGE_E_DAMAGED;
	return memcmp(h.journal_id, f->journal_id, sizeof(h.journal_id)) == 0
		       ? 0
		       : JT_USAGE_E_FOREIGN;
}

const char *jt_usage_why(int rc)
{
	switch (rc) {
	case 0:
	case JT_USAGE_E_NONE:
		return "";
	case JT_USAGE_E_DAMAGED:
		return "it is damaged";
	case JT_USAGE_E_FOREIGN:
		return "it is of another journal";
	case JT_USAGE_E_VERSION:
		return "another version wrote it";
	case JT_USAGE_E_UNSAFE:
		return "others may change it";
	default:
		return rc < 0 ? strerrordesc_np(-rc) : "it cannot be read";
	}
}

/* ---- entries ---- */

static uint64_t entry_sum(const struct jt_usage_entry *e,
			  const uint8_t journal_id[16])
{
	uint64_t seed;

	memcpy(&seed, journal_id, sizeof(seed));
	return XXH3_64bits_withSeed(
		e, offsetof(struct jt_usage_entry, checksum), seed);
}

void jt_usage_pack(struct jt_usage_entry *e, const uint8_t journal_id[16],
		   const uint8_t key[JT_USAGE_KEY], const struct jt_usage *u)
{
	memcpy(e->key, key, sizeof(e->key));
	e->uses = u->uses;
	e->refusals = u->refusals;
	e->last_use_s = u->last_use_s;
	e->old_use_s = u->old_use_s;
	e->quota = u->quota;
	e->checksum = entry_sum(e, journal_id);
}

enum jt_usage_kind jt_usage_unpack(const struct jt_usage_entry *e,
				   const uint8_t journal_id[16],
				   struct jt_usage *up)
{
	static const struct jt_usage_entry none;

	if (memcmp(e, &none, sizeof(none)) == 0)
		return JT_USAGE_EMPTY;
	if (e->checksum != entry_sum(e, journal_id))
		return JT_USAGE_INVALID;
	*up = (struct jt_usage){
		.uses = e->uses,
		.refusals = e->refusals,
		.last_use_s = e->last_use_s,
		.old_use_s = e->old_use_s,
		.quota = e->quota,
	};
	return JT_USAGE_SAVED;
}

/* ---- the file ---- */

static int begin(struct jt_usage_file *f, struct jt_place *p,
		 const struct jt_io *io, int dir_fd,
		 const uint8_t journal_id[16])
{
	int rc = jt_place_of(p, io, dir_fd, NULL);

	*f = (struct jt_usage_file){.io = io, .dir_fd = dir_fd, .fd = -1};
	memcpy(f->journal_id, journal_id, sizeof(f->journal_id));
	return rc > 0 ? JT_USAGE_E_UNSAFE : rc;
}

int jt_usage_open(struct jt_usage_file *f, const struct jt_io *io, int dir_fd,
		  const uint8_t journal_id[16], int flags)
{
	struct jt_place p;
	struct stat st;
	int rc = begin(f, &p, io, dir_fd, journal_id);

	if (rc)
		return rc;
	rc = jt_place_file(&p, JT_USAGE_NAME, flags, &f->fd, NULL);
	if (rc == JT_JOURNAL_E_NONE)
		return JT_USAGE_E_NONE;
	if (rc)
		return rc > 0 ? JT_USAGE_E_UNSAFE : rc;
	rc = check_header(f);
	if (!rc)
		rc = jt_io_stat(io, f->fd, &st);
	if (rc) {
		jt_usage_close(f);
		return rc;
	}
	f->lines = ((uint64_t)st.st_size - JT_USAGE_DATA) /
		   sizeof(struct jt_usage_entry);
	if (f->lines > LINES_MAX)
		f->lines = LINES_MAX;
	return 0;
}

int jt_usage_stage(struct jt_usage_file *f, const struct jt_io *io, int dir_fd,
		   const uint8_t journal_id[16])
{
	struct jt_place p;
	int rc = begin(f, &p, io, dir_fd, journal_id);

	if (rc)
		return rc;
	rc = jt_place_stage(&p, NEW_NAME, &f->fd, NULL);
	if (rc == JT_JOURNAL_E_NONE)
		return -ENOENT; /* the directory was removed */
	if (rc)
		return rc > 0 ? JT_USAGE_E_UNSAFE : rc;
	rc = write_header(f);
	if (rc)
		jt_usage_abandon(f);
	return rc;
}

int jt_usage_publish(const struct jt_usage_file *f)
{
	struct jt_place p;
	int rc = jt_io_sync_all(f->io, f->fd);

	if (!rc)
		rc = jt_place_of(&p, f->io, f->dir_fd, NULL);
	if (!rc)
		rc = jt_place_publish(&p, NEW_NAME, JT_USAGE_NAME, NULL);
	return rc > 0 ? JT_USAGE_E_UNSAFE : rc;
}

void jt_usage_abandon(struct jt_usage_file *f)
{
	jt_usage_close(f);
	(void)jt_io_unlink(f->io, f->dir_fd, NEW_NAME);
}

void jt_usage_close(struct jt_usage_file *f)
{
	if (f->fd >= 0)
		f->io->close(f->fd);
	f->fd = -1;
}

int jt_usage_ours(const struct jt_usage_file *f)
{
	struct stat named, open;
	int rc = jt_io_stat_at(f->io, f->dir_fd, JT_USAGE_NAME, &named);

	if (rc == -ENOENT)
		return 0;
	if (!rc)
		rc = jt_io_stat(f->io, f->fd, &open);
	if (rc)
		return rc;
	return named.st_ino == open.st_ino && named.st_dev == open.st_dev;
}

static uint64_t offset_of(uint64_t line)
{
	return JT_USAGE_DATA + line * sizeof(struct jt_usage_entry);
}

int jt_usage_read(const struct jt_usage_file *f, uint64_t line,
		  struct jt_usage_entry *entries, size_t n)
{
	size_t there = 0;

	if (line < f->lines)
		there = f->lines - line < n ? (size_t)(f->lines - line) : n;
	memset(entries + there, 0, (n - there) * sizeof(*entries));
	if (!there)
		return 0;
	return jt_io_read_at(f->io, f->fd, entries, there * sizeof(*entries),
			     offset_of(line));
}

int jt_usage_write(struct jt_usage_file *f, uint64_t line,
		   const struct jt_usage_entry *entries, size_t n)
{
	int rc = jt_io_write_at(f->io, f->fd, entries, n * sizeof(*entries),
				offset_of(line));

	if (!rc && line + n > f->lines)
		f->lines = line + n;
	return rc;
}

int jt_usage_sync(const struct jt_usage_file *f)
{
	return jt_io_sync(f->io, f->fd);
}

/* ---- all of it in memory ---- */

struct jt_usage_row {
	uint64_t key[2];
	struct jt_usage usage;
};

static bool grow(struct jt_usage_table *t)
{
	uint32_t max = t->rows_max ? 2 * t->rows_max : ROWS_MIN;
	struct jt_usage_row *rows;

	if (t->n_rows < t->rows_max)
		return true;
	if (t->rows_max > UINT32_MAX / 2)
		return false;
	rows = realloc(t->rows, max * sizeof(*rows));
	if (!rows)
		return false;
	t->rows = rows;
	t->rows_max = max;
	return true;
}

int jt_usage_add(struct jt_usage_table *t, const uint8_t key[JT_USAGE_KEY],
		 const struct jt_usage *u)
{
	if (!grow(t))
		return -ENOMEM;
	memcpy(t->rows[t->n_rows].key, key, JT_USAGE_KEY);
	t->rows[t->n_rows++].usage = *u;
	return 0;
}

/* The writer may have been in the middle of it: look once more. */
static enum jt_usage_kind look(const struct jt_usage_file *f, uint64_t line,
			       struct jt_usage_entry *e, struct jt_usage *up)
{
	enum jt_usage_kind kind = jt_usage_unpack(e, f->journal_id, up);

	if (kind == JT_USAGE_INVALID && jt_usage_read(f, line, e, 1) == 0)
		kind = jt_usage_unpack(e, f->journal_id, up);
	return kind;
}

static int take_chunk(struct jt_usage_table *t, const struct jt_usage_file *f,
		      uint64_t line, struct jt_usage_entry *e)
{
	for (size_t i = 0; i < CHUNK; i++) {
		struct jt_usage u;

		switch (look(f, line + i, &e[i], &u)) {
		case JT_USAGE_EMPTY:
			break;
		case JT_USAGE_INVALID:
			t->n_damaged++;
			break;
		case JT_USAGE_SAVED:
			if (jt_usage_add(t, e[i].key, &u))
				return -ENOMEM;
			break;
		}
	}
	return 0;
}

static int take_all(struct jt_usage_table *t, const struct jt_usage_file *f)
{
	struct jt_usage_entry *chunk = malloc(CHUNK * sizeof(*chunk));
	int rc = chunk ? 0 : -ENOMEM;

	for (uint64_t line = 0; !rc && line < f->lines; line += CHUNK) {
		rc = jt_usage_read(f, line, chunk, CHUNK);
		if (!rc)
			rc = take_chunk(t, f, line, chunk);
	}
	free(chunk);
	return rc;
}

/* The place of a key, or a free one: digests are random already. */
static uint32_t *place_of(const struct jt_usage_table *t, const uint64_t key[2])
{
	uint64_t at = key[0] & t->index_mask;

	while (t->index[at] && (t->rows[t->index[at] - 1].key[0] != key[0] ||
				t->rows[t->index[at] - 1].key[1] != key[1]))
		at = (at + 1) & t->index_mask;
	return &t->index[at];
}

static bool is_newer(const struct jt_usage *a, const struct jt_usage *b)
{
	if (a->uses != b->uses)
		return a->uses > b->uses;
	return a->last_use_s > b->last_use_s;
}

int jt_usage_index(struct jt_usage_table *t)
{
	uint64_t places = 2;

	while (places < 2 * (uint64_t)t->n_rows)
		places *= 2;
	t->index = calloc(places, sizeof(*t->index));
	if (!t->index)
		return -ENOMEM;
	t->index_mask = places - 1;
	for (uint32_t i = 0; i < t->n_rows; i++) {
		uint32_t *at = place_of(t, t->rows[i].key);

		if (!*at ||
		    is_newer(&t->rows[i].usage, &t->rows[*at - 1].usage))
			*at = i + 1;
	}
	return 0;
}

int jt_usage_load(struct jt_usage_table *t, const struct jt_io *io, int dir_fd,
		  const uint8_t journal_id[16])
{
	struct jt_usage_file f;
	int rc;

	memset(t, 0, sizeof(*t));
	rc = jt_usage_open(&f, io, dir_fd, journal_id, O_RDONLY);
	if (rc)
		return rc;
	rc = take_all(t, &f);
	jt_usage_close(&f);
	if (!rc)
		rc = jt_usage_index(t);
	if (rc)
		jt_usage_free(t);
	return rc;
}

bool jt_usage_find(const struct jt_usage_table *t, const uint8_t digest[32],
		   struct jt_usage *up)
{
	uint64_t key[2];
	uint32_t at;

	memset(up, 0, sizeof(*up));
	if (!t->index)
		return false;
	memcpy(key, digest, sizeof(key));
	at = *place_of(t, key);
	if (at)
		*up = t->rows[at - 1].usage;
	return at != 0;
}

void jt_usage_free(struct jt_usage_table *t)
{
	free(t->rows);
	free(t->index);
	memset(t, 0, sizeof(*t));
}
