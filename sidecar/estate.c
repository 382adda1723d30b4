/*
 * estate: see estate.h.
 *
 * Taking it is a permutation of lines: each token of the list goes to its line
 * there, and who stood there to the one that was left. Then those that are not
 * in the list, which came after it was written, go behind `lines_end`, for the
 * older daemon has given them others, or will. So for the seconds that it is
 * still there, such a token has two meters.
 *
 * Nobody reads slots or meters of this table yet: no order is to be kept.
 */
#include "sidecar/estate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERSION 1u
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* ---- the older one ---- */

static uint64_t count(const struct jt_ledger *l)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < l->n_lines; i++)
		n += l->lines[i].last != 0;
	return n;
}

/* So many of its unused lines it keeps, and so many that nobody ever used. */
static uint32_t kept(const struct jt_ledger *l)
{
	return l->n_free < JT_ESTATE_SPARE ? l->n_free : JT_ESTATE_SPARE;
}

static uint64_t lines_end(const struct jt_ledger *l)
{
	uint64_t left = (l->maps->capacity - l->n_lines) / 2;
	uint64_t more = JT_ESTATE_SPARE - kept(l);

	return l->n_lines + (left < more ? left : more);
}

static void write_entry(const struct jt_ledger *l, uint32_t line,
			struct jt_estate_entry *e)
{
	uint32_t at = jt_places_slot(&l->places, line, JT_NEWEST);
	const struct jt_slot *s = &l->maps->slots[at];
	const struct jt_meter *m = &l->maps->lines[line];

	/* relaxed: our own words, and figures that go on meanwhile */
	*e = (struct jt_estate_entry){
		.key = jt_load_relaxed(&s->key),
		.line = line,
		.flags = jt_load_relaxed(&s->scheme) == JT_VALUE_NATIVE
				 ? 0
				 : JT_ESTATE_OTHER,
		.rate = jt_load_relaxed(&m->rate),
		.quota = jt_load_relaxed(&m->quota),
		.uses = jt_load_relaxed(&m->uses),
		.refusals = jt_load_relaxed(&m->refusals),
		.last_use_s = jt_load_relaxed(&m->last_use_s),
		.old_use_s = jt_load_relaxed(&m->old_use_s),
	};
}

/* The last one that it keeps; JT_LINE_NONE: none. */
static uint32_t last_kept(const struct jt_ledger *l)
{
	uint32_t line = JT_LINE_NONE, next = l->free_first;

	for (uint32_t i = kept(l); i; i--) {
		line = next;
		next = l->lines[line].next;
	}
	return line;
}

static void write_all(const struct jt_ledger *l, struct jt_estate_header *h,
		      uint64_t n)
{
	struct jt_estate_entry *e = (void *)(h + 1);
	uint32_t last = last_kept(l), *given;

	*h = (struct jt_estate_header){
		.magic = JT_ESTATE_MAGIC,
		.version = VERSION,
		.entry_bytes = sizeof(*e),
		.n = n,
		.lines_end = lines_end(l),
		.n_given = l->n_free - kept(l),
	};
	for (uint32_t i = 0; i < l->n_lines; i++)
		if (l->lines[i].last)
			write_entry(l, i, e++);
	given = (void *)e;
	if (last == JT_LINE_NONE)
		return;
	for (uint32_t i = l->lines[last].next; i != JT_LINE_NONE;
	     i = l->lines[i].next)
		*given++ = i;
}

static void freeze(struct jt_ledger *l)
{
	uint32_t last = last_kept(l);

	l->lines_end = lines_end(l);
	l->n_free = kept(l);
	if (last != JT_LINE_NONE)
		l->lines[last].next = JT_LINE_NONE;
	l->shared = true;
}

int jt_estate_write(struct jt_ledger *l)
{
	uint64_t n = count(l);
	size_t bytes;
	int fd = memfd_create("jeton-estate", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *map = MAP_FAILED;
	int rc;

	if (fd < 0)
		return -errno;
	/* lines that have rested are as good as those that nobody ever used */
	jt_ledger_tidy(l, 0);
	bytes = sizeof(struct jt_estate_header) +
		n * sizeof(struct jt_estate_entry) +
		(l->n_free - kept(l)) * sizeof(uint32_t);
	rc = -posix_fallocate(fd, 0, (off_t)bytes);
	if (!rc)
		map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			   0);
	if (!rc && map == MAP_FAILED)
		rc = -errno;
	if (!rc) {
		write_all(l, map, n);
		munmap(map, bytes);
		rc = fcntl(fd, F_ADD_SEALS, SEALS) ? -errno : 0;
	}
	if (rc) {
		close(fd);
		return rc;
	}
	freeze(l);
	return fd;
}

/* ---- the newer one ---- */

/* The slots of a line name it again. */
static void rename_line(struct jt_ledger *l, uint32_t line)
{
	for (unsigned w = 0; w < JT_VALUES_OF_ONE; w++) {
		uint32_t at =
			jt_places_slot(&l->places, line, (enum jt_which)w);

		if (at != JT_PLACE_NONE)
			jt_table_set_meter(l->maps, at, line);
	}
}

static void swap(struct jt_ledger *l, uint32_t a, uint32_t b)
{
	struct jt_line line = l->lines[a];
	struct jt_seat seat = l->places.of[a];

	l->lines[a] = l->lines[b];
	l->places.of[a] = l->places.of[b];
	l->lines[b] = line;
	l->places.of[b] = seat;
	rename_line(l, a);
	rename_line(l, b);
}

static void copy_figures(struct jt_ledger *l, const struct jt_estate_entry *e)
{
	struct jt_meter *m = &l->maps->lines[e->line];

	/* relaxed: no worker serves yet */
	jt_store_relaxed(&m->rate, e->rate);
	jt_store_relaxed(&m->quota, e->quota);
	jt_store_relaxed(&m->uses, e->uses);
	jt_store_relaxed(&m->refusals, e->refusals);
	jt_store_relaxed(&m->last_use_s, e->last_use_s);
	jt_store_relaxed(&m->old_use_s, e->old_use_s);
}

/* PLACED: by line, the tokens of the list that have come to theirs. */
static int place(struct jt_ledger *l, const struct jt_estate_entry *e,
		 uint8_t *placed, bool shared)
{
	uint32_t now = jt_ledger_line_at(l, e->key, e->flags & JT_ESTATE_OTHER);

	if (now == JT_LINE_NONE || placed[now])
		return 0; /* purged by now */
	if (e->line >= l->n_lines || placed[e->line])
		return JT_ESTATE_E_BAD;
	if (now != e->line)
		swap(l, now, e->line);
	placed[e->line] = 1;
	if (!shared)
		copy_figures(l, e);
	return 0;
}

/* Those that the older one gives, and that no token of ours is on. */
static int take_given(struct jt_ledger *l, const uint32_t *given, uint64_t n)
{
	l->free_first = JT_LINE_NONE;
	l->n_free = 0;
	for (uint64_t i = 0; i < n; i++) {
		if (given[i] >= l->n_lines)
			return JT_ESTATE_E_BAD;
		if (l->lines[given[i]].last)
			continue; /* of one that will be moved, or twice */
		l->lines[given[i]].next = l->free_first;
		l->free_first = given[i];
		l->n_free++;
	}
	return 0;
}

/* Who is not in the list goes where the older daemon never does. */
static int move_rest(struct jt_ledger *l, uint8_t *placed, uint64_t end)
{
	for (uint32_t i = 0; i < end; i++) {
		uint32_t to = l->free_first;

		if (!l->lines[i].last || placed[i])
			continue;
		if (to != JT_LINE_NONE) {
			l->free_first = l->lines[to].next;
			l->n_free--;
		} else if (l->n_lines < l->maps->capacity) {
			to = l->n_lines++;
		} else {
			return JT_TABLE_E_FULL;
		}
		l->lines[to] = (struct jt_line){0};
		jt_ledger_zero(l, to);
		swap(l, i, to);
		placed[to] = 1; /* it may be below END, too */
	}
	return 0;
}

static int take(struct jt_ledger *l, const struct jt_estate_header *h,
		bool shared)
{
	const struct jt_estate_entry *e = (const void *)(h + 1);
	uint8_t *placed = calloc(l->lines_room, 1);
	int rc = placed ? 0 : -ENOMEM;

	if (h->lines_end > l->lines_room || h->lines_end > l->maps->capacity)
		rc = JT_ESTATE_E_BAD;
	if (!rc && l->n_lines < h->lines_end)
		l->n_lines = (uint32_t)h->lines_end;
	for (uint64_t i = 0; !rc && i < h->n; i++)
		rc = place(l, &e[i], placed, shared);
	if (!rc)
		rc = take_given(l, (const void *)(e + h->n), h->n_given);
	if (!rc)
		rc = move_rest(l, placed, h->lines_end);
	free(placed);
	if (rc)
		return rc;
	l->n_past = 0; /* by the lines of before; their counts are here */
	l->rest_first = l->rest_last = JT_LINE_NONE;
	l->shared = true;
	return 0;
}

/* Nothing between its parts, nor behind the last. */
static bool fits(const struct jt_estate_header *h, size_t bytes)
{
	return bytes >= sizeof(*h) && h->magic == JT_ESTATE_MAGIC &&
	       h->version == VERSION &&
	       h->entry_bytes == sizeof(struct jt_estate_entry) &&
	       h->n <= UINT32_MAX && h->n_given <= UINT32_MAX &&
	       bytes == sizeof(*h) + h->n * sizeof(struct jt_estate_entry) +
				h->n_given * sizeof(uint32_t);
}

int jt_estate_take(struct jt_ledger *l, int fd, bool shared)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	void *map;
	int rc;

	if (seals < 0 || fstat(fd, &st))
		return -errno;
	if ((seals & SEALS) != SEALS || st.st_size <= 0)
		return JT_ESTATE_E_BAD;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	rc = fits(map, (size_t)st.st_size) ? take(l, map, shared)
					   : JT_ESTATE_E_BAD;
	munmap(map, (size_t)st.st_size);
	return rc;
}

/* Those that only we could give: nobody else has counted there. */
static void mark_free(struct jt_ledger *l, bool is)
{
	for (uint32_t i = l->free_first; i != JT_LINE_NONE;
	     i = l->lines[i].next)
		l->lines[i].holds = is;
}

/* All others rest: a worker that is gone now may have counted there, and on
 * lines that were not used here yet. */
void jt_estate_release(struct jt_ledger *l)
{
	l->shared = false;
	l->lines_end = UINT64_MAX;
	l->used_beyond = true;
	l->rest_first = l->rest_last = JT_LINE_NONE;
	mark_free(l, true);
	for (uint32_t i = 0; i < l->n_lines; i++) {
		if (l->lines[i].last || l->lines[i].holds)
			continue;
		l->lines[i] = (struct jt_line){.next = l->rest_first};
		if (l->rest_first == JT_LINE_NONE)
			l->rest_last = i;
		l->rest_first = i;
	}
	mark_free(l, false);
	jt_rest_begin(&l->rest, l->maps);
}
