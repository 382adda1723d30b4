/*
 * growth: see growth.h.
 *
 *   NONE -> IDENTITY -> LINES -> POOL -> SLOTS -> CROSS -> LEAVE -> NONE
 *           memory is taken      old = table    new = table
 *                                new = twin     old = twin
 *                          paired ^        swapped ^    ^ retired
 *
 * Two tables. From `paired` on every change goes to both (places.c; table.c for
 * what has a number), until the older one is retired. The new one has the old
 * one's seed, so keys are the same and values keep their order: a copy in order
 * of slots writes in order of slots. Numbers mean the same in both: plans,
 * blocks, sets, scopes and environments are copied when it is paired, owners'
 * names keep their offsets.
 *
 * Swapped: all values stand in both, so from now on it makes no difference to
 * anybody which one he looks into. The new one is announced
 * (jt_identity.offered in the old one) and sent; workers go over between two
 * drains, when they have its pages at hand (crossing.c). Whoever attaches gets
 * the new one.
 *
 * Retired: when all workers have gone over; or when one has not in
 * JT_GROWTH_CROSS_NS, since he stands still; or before, at a change that the
 * old one cannot take (jt_table_part()). After that the old one is not changed
 * any more, and nobody who begins to verify after such a change was
 * acknowledged takes anything from it: RETIRED was stored before. A worker
 * finds that before he looks at a slot, and goes over; a guest (shm/jeton.c)
 * asks over the socket until he has attached anew. Somebody who began before
 * may still be in the middle of the old one, as ever; for what is reused after
 * him, rest.h.
 *
 * Meters. One line a token for ever, in one segment that is as long as it may
 * ever need and has memory for as many lines as the table has room for
 * (layout). What that costs beyond the memory in use is addresses: 64 bytes for
 * each token of --capacity-max. A shared mapping counts neither for
 * overcommitting nor for a cgroup until a page is touched; where addresses or
 * file sizes are limited (RLIMIT_AS, RLIMIT_FSIZE) fewer lines are made
 * (keeper.c), and the table grows less far. A line's memory is there before any
 * table has room for a token that would have it: nobody meets a fault that
 * cannot be served.
 *
 * No memory: what was taken is given back, the old table serves on, and a
 * create beyond it is refused, with the reason. It is tried again later.
 *
 * Cost: nothing waits for the keeper but admins. A slice is followed by a rest
 * that is as long. Memory comes in pages of 2 MB as long as such are free, and
 * in small ones beyond that: to have the kernel make room for a large one was
 * seen to cost verifiers up to 7 ms, since it moves their pages. Unmapping
 * takes time as well (a page's entry is some 30 ns), so that, too, is done in
 * steps, here and in the workers.
 *
 * A crash of the keeper in any phase: all tables are gone with it, as ever.
 */
#include "sidecar/growth.h"

#include "shm/pages.h"
#include "sidecar/attach.h"
#include "sidecar/log.h"
#include "sidecar/memory.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MB (1024u * 1024u)
#define STEP_BYTES (2u * MB) /* copied, or unmapped */
#define SMALL_BYTES (MB / 4) /* allocated in small pages */
#define STEP_SLOTS 2048u
#define FULL_AT(n) ((n) - (n) / 16) /* more than a start leaves (room.c) */
#define HUGE_TABLE 10000000u	    /* tokens: from here on by half */
#define SPARE_BYTES (64ull * MB)    /* of the machine's memory, left alone */
#define SPARE_LARGE (64ull * MB)    /* of its large pages */

static uint64_t at_least(uint64_t value, uint64_t least)
{
	return value > least ? value : least;
}

static uint64_t at_most(uint64_t value, uint64_t most)
{
	return value < most ? value : most;
}

void jt_growth_init(struct jt_growth *g, struct jt_maps *maps,
		    struct jt_ledger *ledger, int meters, uint64_t capacity_max,
		    uint64_t (*clock_ns)(void), uint64_t (*memory_left)(void))
{
	*g = (struct jt_growth){
		.maps = maps,
		.ledger = ledger,
		.meters = meters,
		.capacity_max = at_most(capacity_max, maps->lines_max),
		.clock_ns = clock_ns,
		.memory_left = memory_left,
		.old_fd = -1,
		.fd = -1,
		.look = -1,
	};
}

/* ---- how large ---- */

/* relaxed: the keeper's own words */
static uint64_t values_of(const struct jt_growth *g)
{
	return jt_load_relaxed(&g->maps->identity->used);
}

static uint64_t pool_of(const struct jt_growth *g)
{
	return jt_load_relaxed(&g->maps->identity->pool_used);
}

static uint64_t tokens_of(const struct jt_growth *g)
{
	return g->ledger->n_lines - g->ledger->n_free;
}

/* Room for so much more, and a quarter of it free. */
static struct jt_segment_size size_for(const struct jt_growth *g,
				       const struct jt_room *want)
{
	uint64_t capacity = g->maps->capacity;
	uint64_t tokens = tokens_of(g) + want->tokens;
	/* 5 % more values than tokens fit (segment.h) */
	uint64_t values = (values_of(g) + want->values) / 21 * 20;
	uint64_t pool = pool_of(g) + want->owner_bytes;
	uint64_t need = at_least(tokens, values);
	struct jt_segment_size size = {0};

	if (need > FULL_AT(capacity)) {
		capacity += capacity < HUGE_TABLE ? capacity : capacity / 2;
		capacity = at_least(capacity, need + need / 3);
	}
	size.capacity =
		at_least(at_most(capacity, g->capacity_max), g->maps->capacity);
	size.pool_bytes =
		at_least(jt_segment_pool(size.capacity), g->maps->pool_bytes);
	if (pool > FULL_AT(size.pool_bytes))
		size.pool_bytes = at_most(pool + pool / 3 + MB, JT_POOL_MAX);
	return size;
}

static bool is_larger(const struct jt_growth *g,
		      const struct jt_segment_size *size)
{
	return size->capacity > g->maps->capacity ||
	       size->pool_bytes > g->maps->pool_bytes;
}

static bool is_enough(const struct jt_growth *g,
		      const struct jt_segment_size *size,
		      const struct jt_room *want)
{
	return tokens_of(g) + want->tokens <= size->capacity &&
	       values_of(g) + want->values <=
		       jt_segment_values(size->capacity) &&
	       pool_of(g) + want->owner_bytes <= size->pool_bytes;
}

/* What it takes more than there is now. */
static uint64_t cost_of(const struct jt_growth *g,
			const struct jt_segment_size *size)
{
	return jt_segment_bytes(size) -
	       jt_segment_meters_end(g->maps->capacity);
}

/* ---- to give up ---- */

static void close_both(struct jt_growth *g)
{
	if (g->fd >= 0)
		close(g->fd);
	if (g->look >= 0)
		close(g->look);
	g->fd = g->look = -1;
}

static void set_why(struct jt_growth *g, const char *reason)
{
	snprintf(g->why, sizeof(g->why),
		 "the table cannot grow to %llu tokens: %s",
		 (unsigned long long)g->size.capacity, reason);
}

/* Nobody was told of the new one. */
static enum jt_growth_event fail(struct jt_growth *g, uint64_t now_ns, int rc)
{
	uint64_t end = jt_segment_meters_end(g->maps->capacity);

	if (g->maps->twin)
		jt_table_part(g->maps);
	jt_places_unpair(&g->ledger->places);
	if (g->other.identity)
		jt_segment_leave(&g->other);
	close_both(g);
	jt_segment_release(g->meters, end,
			   jt_segment_meters_end(g->size.capacity) - end);
	g->maps->meters_large_bytes = g->large_bytes;
	set_why(g, rc == JT_SEGMENT_E_MEMORY || rc == -ENOMEM
			   ? "not enough memory"
		   : rc == JT_TABLE_E_FULL ? "its places are crowded"
					   : strerror(-rc));
	g->phase = JT_GROWTH_NONE;
	g->retry_ns = now_ns + JT_GROWTH_RETRY_NS;
	jt_log(JT_LOG_ERROR, "%s; it stays at %llu", g->why,
	       (unsigned long long)g->maps->capacity);
	return JT_GROWTH_FAILED;
}

/* ---- phases ---- */

static void enter(struct jt_growth *g, enum jt_growth_phase phase, uint64_t at)
{
	g->phase = phase;
	g->at = at;
}

static int begin(struct jt_growth *g, const struct jt_segment_size *size)
{
	int rc;

	g->size = *size;
	g->large_bytes = g->maps->meters_large_bytes;
	if (g->memory_left() < cost_of(g, size) + SPARE_BYTES)
		return JT_SEGMENT_E_MEMORY;
	rc = jt_segment_begin(size, g->maps, &g->fd, &g->other);
	if (rc)
		return rc;
	g->look = jt_attaches_reopen(g->fd);
	if (g->look < 0)
		return g->look;
	enter(g, JT_GROWTH_IDENTITY, 0);
	g->due_ns = 0;
	jt_log(JT_LOG_NOTICE, "the table grows from %llu tokens to %llu",
	       (unsigned long long)g->maps->capacity,
	       (unsigned long long)size->capacity);
	return 0;
}

/*
 * A step of FD on to END: a large page if one is at hand without moving others
 * about (memory.h), else fewer bytes, since those take as long.
 */
static int allocate(struct jt_growth *g, int fd, void *map, uint64_t end,
		    size_t *largep)
{
	bool large = jt_memory_large_left() >= SPARE_LARGE;
	uint64_t most = large ? JT_PAGES_LARGE : SMALL_BYTES;
	uint64_t n = at_most(most - g->at % most, end - g->at);
	int rc;

	if (!n)
		return 0;
	/* others have taken some since it was asked for all of it */
	if (g->memory_left() < n + SPARE_BYTES)
		return JT_SEGMENT_E_MEMORY;
	rc = jt_segment_allocate(fd, map, g->at, n, large ? largep : NULL);
	g->at += n;
	return rc;
}

static int step_identity(struct jt_growth *g)
{
	int rc = allocate(g, g->fd, g->other.identity_rw,
			  g->other.identity_bytes, &g->other.large_bytes);

	if (!rc && g->at == g->other.identity_bytes)
		enter(g, JT_GROWTH_LINES,
		      jt_segment_meters_end(g->maps->capacity));
	return rc;
}

/* From now on every change goes to both. */
static int pair(struct jt_growth *g)
{
	int rc = jt_ledger_widen(g->ledger, g->size.capacity);

	if (rc)
		return rc;
	jt_segment_succeed(&g->other, g->maps);
	rc = jt_places_pair(&g->ledger->places, &g->other);
	enter(g, JT_GROWTH_POOL, 0);
	return rc;
}

static int step_lines(struct jt_growth *g)
{
	uint64_t end = jt_segment_meters_end(g->size.capacity);
	int rc = allocate(g, g->meters, g->maps->meters, end,
			  &g->maps->meters_large_bytes);

	return !rc && g->at == end ? pair(g) : rc;
}

/* Names that come while we copy are put into both pools. */
static int step_pool(struct jt_growth *g)
{
	uint64_t used = pool_of(g), n = at_most(STEP_BYTES, used - g->at);
	uint8_t *to = (uint8_t *)g->other.identity_rw +
		      (g->other.pool - (const uint8_t *)g->other.identity);

	if (!g->maps->twin)
		return JT_TABLE_E_FULL;
	memcpy(to + g->at, g->maps->pool + g->at, n);
	g->at += n;
	if (g->at == used)
		enter(g, JT_GROWTH_SLOTS, 0);
	return 0;
}

static void exchange(struct jt_maps *a, struct jt_maps *b)
{
	struct jt_maps was = *a;

	*a = *b;
	*b = was;
}

/* The twin is the table, and the table the twin. */
static void swap(struct jt_growth *g)
{
	uint64_t guests = g->maps->guests;
	size_t large_bytes = g->maps->meters_large_bytes;

	/* what was told meanwhile, and what a moment ago was for the old one */
	memcpy(&g->other.identity_rw->news, &g->maps->identity->news,
	       sizeof(g->other.identity_rw->news));
	/* relaxed: nobody has it yet */
	jt_store_relaxed(&g->other.identity_rw->lease_ns,
			 jt_load_relaxed(&g->maps->identity->lease_ns));
	jt_store_relaxed(&g->other.identity_rw->clock_s,
			 jt_load_relaxed(&g->maps->identity->clock_s));
	g->maps->twin = NULL;
	exchange(g->maps, &g->other);
	g->maps->twin = &g->other;
	g->maps->guests = guests;
	g->maps->meters_large_bytes = large_bytes;
	jt_places_swap(&g->ledger->places);
	/* pairs with jt_crossing_look(): it is sent in the same turn */
	jt_store_release(&g->other.identity_rw->offered,
			 g->maps->identity->number);
	enter(g, JT_GROWTH_CROSS, 0);
}

static int step_slots(struct jt_growth *g)
{
	if (g->maps->twin)
		g->at = jt_places_copy(&g->ledger->places, g->at, STEP_SLOTS);
	if (!g->maps->twin)
		return JT_TABLE_E_FULL;
	if (g->at == g->maps->n_slots)
		swap(g);
	return 0;
}

/* The old one is nobody's any more, but for who has it mapped. */
static void step_leave(struct jt_growth *g)
{
	size_t n = at_most(STEP_BYTES, g->other.identity_bytes - g->at);

	munmap((char *)g->other.identity_rw + g->at, n);
	g->at += n;
	if (g->at < g->other.identity_bytes)
		return;
	memset(&g->other, 0, sizeof(g->other));
	enter(g, JT_GROWTH_NONE, 0);
}

static int step(struct jt_growth *g)
{
	switch (g->phase) {
	case JT_GROWTH_IDENTITY:
		return step_identity(g);
	case JT_GROWTH_LINES:
		return step_lines(g);
	case JT_GROWTH_POOL:
		return step_pool(g);
	case JT_GROWTH_SLOTS:
		return step_slots(g);
	case JT_GROWTH_LEAVE:
		step_leave(g);
		return 0;
	case JT_GROWTH_NONE:
	case JT_GROWTH_CROSS:
		break;
	}
	return 0;
}

/* All have gone over, or have had their time, or one change was too much. */
static enum jt_growth_event cross(struct jt_growth *g, uint64_t now_ns,
				  bool crossed)
{
	if (!g->until_ns)
		g->until_ns = now_ns + JT_GROWTH_CROSS_NS;
	if (g->maps->twin && !crossed && now_ns < g->until_ns)
		return JT_GROWTH_GOES_ON;
	if (g->maps->twin)
		jt_table_part(g->maps);
	g->until_ns = 0;
	g->n_done++;
	g->why[0] = '\0';
	jt_places_unpair(&g->ledger->places);
	enter(g, JT_GROWTH_LEAVE, 0);
	jt_log(JT_LOG_NOTICE, "the table has room for %llu tokens now%s",
	       (unsigned long long)g->maps->capacity,
	       crossed ? "" : "; a worker has not noticed yet");
	return JT_GROWTH_DONE;
}

static enum jt_growth_event slice(struct jt_growth *g, uint64_t now_ns)
{
	uint64_t began_ns = g->clock_ns(), ended_ns;
	enum jt_growth_phase phase;
	int rc;

	do {
		phase = g->phase;
		rc = step(g);
		ended_ns = g->clock_ns();
	} while (!rc && jt_growth_busy(g) && g->phase != JT_GROWTH_CROSS &&
		 ended_ns - began_ns < JT_GROWTH_SLICE_NS);
	g->due_ns = ended_ns + (ended_ns - began_ns);
	if (rc)
		return fail(g, now_ns, rc);
	return phase == JT_GROWTH_SLOTS && g->phase == JT_GROWTH_CROSS
		       ? JT_GROWTH_SWAPPED
		       : JT_GROWTH_GOES_ON;
}

static enum jt_growth_event begin_if_full(struct jt_growth *g, uint64_t now_ns)
{
	static const struct jt_room no_more;
	struct jt_segment_size size;
	int rc;

	if (now_ns < g->retry_ns)
		return JT_GROWTH_GOES_ON;
	size = size_for(g, &no_more);
	if (!is_larger(g, &size)) {
		g->why[0] = '\0'; /* nothing is wanted that there is not */
		return JT_GROWTH_GOES_ON;
	}
	rc = begin(g, &size);
	return rc ? fail(g, now_ns, rc) : JT_GROWTH_GOES_ON;
}

static void drop_old(struct jt_growth *g)
{
	if (g->old_fd >= 0)
		close(g->old_fd);
	g->old_fd = -1;
}

void jt_growth_keep(struct jt_growth *g, int identity)
{
	drop_old(g);
	g->old_fd = identity;
	g->old_until_ns = g->clock_ns() + JT_GROWTH_KEEP_NS;
}

enum jt_growth_event jt_growth_tend(struct jt_growth *g, uint64_t now_ns,
				    bool crossed)
{
	if (g->old_fd >= 0 && now_ns >= g->old_until_ns)
		drop_old(g);
	if (g->phase == JT_GROWTH_NONE)
		return begin_if_full(g, now_ns);
	if (g->phase == JT_GROWTH_CROSS)
		return cross(g, now_ns, crossed);
	return now_ns < g->due_ns ? JT_GROWTH_GOES_ON : slice(g, now_ns);
}

/* ---- questions ---- */

static bool refuse(const struct jt_growth *g, const struct jt_room *want,
		   struct jt_fault *faultp)
{
	snprintf(faultp->line, sizeof(faultp->line),
		 "the table is full: no room for %llu more tokens (%llu of "
		 "%llu in use); %s%s",
		 (unsigned long long)want->tokens,
		 (unsigned long long)tokens_of(g),
		 (unsigned long long)g->maps->capacity, g->why,
		 g->why[0] ? "; give the machine more"
			   : "it grows no further: restart jetond with a "
			     "larger --capacity-max");
	return false;
}

bool jt_growth_want(struct jt_growth *g, const struct jt_room *want,
		    struct jt_fault *faultp)
{
	struct jt_segment_size size = size_for(g, want);
	uint64_t now_ns = g->clock_ns();
	int rc;

	if (!is_enough(g, &size, want)) {
		g->why[0] = '\0';
		return refuse(g, want, faultp);
	}
	if (g->phase != JT_GROWTH_NONE)
		return true; /* and it will be asked again after that one */
	/* asked in person: no need to wait for long, but not in a loop */
	if (now_ns + JT_GROWTH_RETRY_NS * 9 / 10 < g->retry_ns)
		return refuse(g, want, faultp);
	rc = begin(g, &size);
	if (!rc)
		return true;
	fail(g, now_ns, rc);
	return refuse(g, want, faultp);
}

static unsigned portion(uint64_t at, uint64_t from, uint64_t end,
			unsigned percent)
{
	return end > from ? (unsigned)((at - from) * percent / (end - from))
			  : percent;
}

unsigned jt_growth_percent(const struct jt_growth *g)
{
	switch (g->phase) {
	case JT_GROWTH_IDENTITY:
		return portion(g->at, 0, g->other.identity_bytes, 40);
	case JT_GROWTH_LINES:
		return 40 +
		       portion(g->at, jt_segment_meters_end(g->maps->capacity),
			       jt_segment_meters_end(g->size.capacity), 20);
	case JT_GROWTH_POOL:
		return 60;
	case JT_GROWTH_SLOTS:
		return 60 + portion(g->at, 0, g->maps->n_slots, 35);
	case JT_GROWTH_CROSS:
		return 95;
	case JT_GROWTH_LEAVE:
		return 100;
	case JT_GROWTH_NONE:
		break;
	}
	return 0;
}

void jt_growth_stop(struct jt_growth *g)
{
	drop_old(g);
	if (g->maps->twin)
		jt_table_part(g->maps);
}
