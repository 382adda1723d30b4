/*
 * segment: see segment.h; layout in layout.h.
 *
 * The fingerprint is a hash over the sizes and offsets that this build was
 * compiled with: a process of another build refuses to map, whatever the
 * version number says.
 */
#include "shm/segment.h"

#include "shm/pages.h"
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define POOL_PER_TOKEN 8u
#define POOL_MIN 65536u
#define LINES_MAX (1ull << 32)
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* Identity's. */
static uint64_t fingerprint(void)
{
	static const uint32_t shape[] = {
		JT_LAYOUT_VERSION,
		sizeof(struct jt_identity),
		sizeof(struct jt_slot),
		sizeof(struct jt_limits),
		sizeof(struct jt_scope_set),
		sizeof(struct jt_scopes),
		sizeof(struct jt_news),
		offsetof(struct jt_slot, a),
		offsetof(struct jt_slot, b),
		offsetof(struct jt_slot, owner),
		offsetof(struct jt_slot, env),
		offsetof(struct jt_slot, scheme),
		offsetof(struct jt_slot, reach),
		offsetof(struct jt_limits, quota),
		offsetof(struct jt_scopes, places),
		offsetof(struct jt_identity, state),
		offsetof(struct jt_identity, applied),
		offsetof(struct jt_identity, envs),
		offsetof(struct jt_identity, offered),
		offsetof(struct jt_identity, lease_ns),
		offsetof(struct jt_identity, clock_s),
		offsetof(struct jt_identity, news),
		JT_PLANS_MAX,
		JT_SETS_MAX,
		JT_ENVS_MAX,
		JT_SETTINGS_BYTES,
		JT_SLOT_STATES,
	};

	return XXH3_64bits(shape, sizeof(shape));
}

static uint64_t meters_fingerprint(void)
{
	static const uint32_t shape[] = {
		JT_METERS_VERSION,
		sizeof(struct jt_meters),
		sizeof(struct jt_meter),
		sizeof(struct jt_desk),
		sizeof(struct jt_peer),
		sizeof(struct jt_calls),
		offsetof(struct jt_meter, rate),
		offsetof(struct jt_meter, uses),
		offsetof(struct jt_meter, refusals),
		offsetof(struct jt_meter, last_use_s),
		offsetof(struct jt_meter, old_use_s),
		offsetof(struct jt_meter, old_use_by),
		offsetof(struct jt_desk, connections),
		offsetof(struct jt_desk, beat_ns),
		offsetof(struct jt_desk, kind),
		offsetof(struct jt_desk, table),
		offsetof(struct jt_desk, backend),
		offsetof(struct jt_desk, words),
		offsetof(struct jt_desk, took),
		JT_WORKERS_MAX,
		JT_PEERS_MAX,
	};

	return XXH3_64bits(shape, sizeof(shape));
}

static uint64_t page_up(uint64_t bytes)
{
	return (bytes + JT_PAGE - 1) / JT_PAGE * JT_PAGE;
}

/* Lines are made by pages, so that their number is what their bytes say. */
static uint64_t page_of_lines(uint64_t lines)
{
	return page_up(lines * sizeof(struct jt_meter)) /
	       sizeof(struct jt_meter);
}

uint64_t jt_segment_slots(uint64_t capacity)
{
	/* 1.05 / 0.75 = 1.4 */
	return capacity + capacity * 2 / 5 + 1;
}

uint64_t jt_segment_values(uint64_t capacity)
{
	return capacity + capacity / 20 + 1;
}

uint64_t jt_segment_pool(uint64_t capacity)
{
	uint64_t bytes = capacity * POOL_PER_TOKEN;

	if (bytes < POOL_MIN)
		bytes = POOL_MIN;
	return bytes < JT_POOL_MAX ? bytes : JT_POOL_MAX;
}

/* Where everything behind the header stands, from two numbers. */
struct plot {
	uint64_t slots, plans, limits, sets, scopes, settings, pool, end;
};

static struct plot plot_of(uint64_t capacity, uint64_t pool)
{
	struct plot p = {.slots = JT_PAGE};

	p.plans = p.slots +
		  page_up(jt_segment_slots(capacity) * sizeof(struct jt_slot));
	p.limits = p.plans + JT_PLANS_MAX * sizeof(uint32_t);
	p.sets = p.limits + JT_PLANS_MAX * sizeof(struct jt_limits);
	p.scopes = p.sets + JT_SETS_MAX * sizeof(struct jt_scope_set);
	p.settings = p.scopes + page_up(sizeof(struct jt_scopes));
	p.pool = p.settings + JT_SETTINGS_BYTES;
	p.end = p.pool + page_up(pool);
	return p;
}

static uint64_t identity_bytes(uint64_t capacity, uint64_t pool)
{
	return plot_of(capacity, pool).end;
}

static uint64_t board_bytes(void)
{
	return page_up(JT_WORKERS_MAX * sizeof(struct jt_desk));
}

/* Where everything behind the meters' header stands. */
struct meters_plot {
	uint64_t board, peers, calls, lines, end;
};

static struct meters_plot meters_plot_of(uint64_t lines)
{
	struct meters_plot p = {.board = JT_PAGE};

	p.peers = p.board + board_bytes();
	p.calls = p.peers + page_up(JT_PEERS_MAX * sizeof(struct jt_peer));
	p.lines = p.calls + page_up(JT_WORKERS_MAX * JT_PEERS_MAX *
				    sizeof(struct jt_calls));
	p.end = p.lines + page_up(lines * sizeof(struct jt_meter));
	return p;
}

uint64_t jt_segment_meters_end(uint64_t tokens)
{
	return meters_plot_of(tokens).end;
}

uint64_t jt_segment_bytes(const struct jt_segment_size *size)
{
	return identity_bytes(size->capacity, size->pool_bytes) +
	       jt_segment_meters_end(size->capacity);
}

/* From capacity and pool alone, not from what the headers say by now. */
static void point(struct jt_maps *maps)
{
	const char *base = (const char *)maps->identity;
	struct plot at = plot_of(maps->capacity, maps->pool_bytes);
	struct meters_plot p = meters_plot_of(maps->lines_max);
	char *meters = (char *)maps->meters;

	maps->n_slots = jt_segment_slots(maps->capacity);
	maps->slots = (const void *)(base + at.slots);
	maps->plans = (const void *)(base + at.plans);
	maps->limits = (const void *)(base + at.limits);
	maps->sets = (const void *)(base + at.sets);
	maps->scopes = (const void *)(base + at.scopes);
	maps->settings = (const void *)(base + at.settings);
	maps->pool = (const uint8_t *)base + at.pool;
	maps->board = (void *)(meters + p.board);
	maps->peers = (void *)(meters + p.peers);
	maps->calls = (void *)(meters + p.calls);
	maps->lines = (void *)(meters + p.lines);
}

int jt_segment_allocate(int fd, void *map, uint64_t from, uint64_t bytes,
			size_t *largep)
{
	int rc = jt_pages_fill(fd, map, from, bytes, largep);

	return rc == -ENOSPC || rc == -ENOMEM ? JT_SEGMENT_E_MEMORY : rc;
}

void jt_segment_release(int fd, uint64_t from, uint64_t bytes)
{
	/* what cannot be given back is there for the next time */
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      (off_t)from, (off_t)bytes))
		errno = 0;
}

/* A memfd of that size, mapped writable; it has no page yet. */
static int make(const char *name, uint64_t bytes, int *fdp, void **mapp)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *map;
	int rc;

	if (fd < 0)
		return -errno;
	if (fchmod(fd, 0600) || ftruncate(fd, (off_t)bytes))
		goto fail;
	map = jt_pages_map(fd, bytes, PROT_READ | PROT_WRITE);
	if (!map)
		goto fail;
	*fdp = fd;
	*mapp = map;
	return 0;
fail:
	rc = -errno;
	close(fd);
	return rc;
}

static void fill_identity(struct jt_identity *id,
			  const struct jt_segment_size *size,
			  const uint8_t journal_id[16])
{
	uint64_t capacity = size->capacity;
	struct plot p = plot_of(capacity, size->pool_bytes);

	id->magic = JT_IDENTITY_MAGIC;
	id->version = JT_LAYOUT_VERSION;
	id->fingerprint = fingerprint();
	id->size_bytes = p.end;
	memcpy(id->journal_id, journal_id, 16);
	randombytes_buf(&id->seed, sizeof(id->seed));
	id->slots = jt_segment_slots(capacity);
	id->capacity = capacity;
	id->slots_off = p.slots;
	id->plans_off = p.plans;
	id->limits_off = p.limits;
	id->sets_off = p.sets;
	id->scopes_off = p.scopes;
	id->settings_off = p.settings;
	id->pool_off = p.pool;
	id->number = 1;
	memcpy(id->prefix, size->prefix, sizeof(id->prefix));
	id->pool_bytes = page_up(size->pool_bytes);
	/* relaxed: nobody else has mapped it yet */
	jt_store_relaxed(&id->state, JT_IDENTITY_LOADING);
	jt_store_relaxed(&id->env, size->env);
	jt_store_relaxed(&id->pool_used, 1); /* offset 0 means none */
}

static void fill_meters(struct jt_meters *m, uint64_t lines)
{
	struct meters_plot p = meters_plot_of(lines);

	m->magic = JT_METERS_MAGIC;
	m->version = JT_METERS_VERSION;
	m->fingerprint = meters_fingerprint();
	m->size_bytes = p.end;
	m->lines = lines;
	m->board_off = p.board;
	m->peers_off = p.peers;
	m->calls_off = p.calls;
	m->lines_off = p.lines;
}

static int seal_identity(int fd, const struct jt_maps *maps)
{
	if (madvise(maps->identity_rw, maps->identity_bytes, MADV_DONTFORK) ||
	    fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_FUTURE_WRITE))
		return -errno;
	return 0;
}

static int make_identity(const struct jt_segment_size *size, int *fdp,
			 struct jt_maps *maps)
{
	void *map;
	int rc;

	if (!size->capacity || size->capacity > UINT32_MAX ||
	    size->pool_bytes > JT_POOL_MAX)
		return -EINVAL;
	maps->capacity = size->capacity;
	maps->pool_bytes = page_up(size->pool_bytes);
	maps->identity_bytes = identity_bytes(size->capacity, size->pool_bytes);
	rc = make("jeton-identity", maps->identity_bytes, fdp, &map);
	if (rc)
		return rc;
	maps->identity = maps->identity_rw = map;
	rc = seal_identity(*fdp, maps);
	if (rc) {
		jt_segment_leave(maps);
		close(*fdp);
		*fdp = -1;
	}
	return rc;
}

static int make_meters(const struct jt_segment_size *size, int *fdp,
		       struct jt_maps *maps)
{
	void *map;
	int rc;

	maps->lines_max = page_of_lines(size->lines_max > size->capacity
						? size->lines_max
						: size->capacity);
	if (maps->lines_max > LINES_MAX)
		return -EINVAL;
	maps->meters_bytes = jt_segment_meters_end(maps->lines_max);
	rc = make("jeton-meters", maps->meters_bytes, fdp, &map);
	if (rc)
		return rc;
	maps->meters = map;
	return fcntl(*fdp, F_ADD_SEALS, SEALS) ? -errno : 0;
}

int jt_segment_create(const struct jt_segment_size *size,
		      const uint8_t journal_id[16], struct jt_segment_fds *fdsp,
		      struct jt_maps *mapsp)
{
	int rc;

	memset(mapsp, 0, sizeof(*mapsp));
	fdsp->meters = -1;
	rc = make_identity(size, &fdsp->identity, mapsp);
	if (rc)
		return rc;
	rc = make_meters(size, &fdsp->meters, mapsp);
	if (!rc)
		rc = jt_segment_allocate(fdsp->identity, mapsp->identity_rw, 0,
					 mapsp->identity_bytes,
					 &mapsp->large_bytes);
	if (!rc)
		rc = jt_segment_allocate(fdsp->meters, mapsp->meters, 0,
					 jt_segment_meters_end(size->capacity),
					 &mapsp->meters_large_bytes);
	if (rc) {
		jt_segment_unmap(mapsp);
		close(fdsp->identity);
		if (fdsp->meters >= 0)
			close(fdsp->meters);
		return rc;
	}
	fill_identity(mapsp->identity_rw, size, journal_id);
	fill_meters(mapsp->meters, mapsp->lines_max);
	point(mapsp);
	return 0;
}

/* ---- the next one ---- */

/* All of meters, and who may verify with them, is what OLD has. */
static void share_meters(struct jt_maps *maps, const struct jt_maps *old)
{
	maps->meters = old->meters;
	maps->meters_bytes = old->meters_bytes;
	maps->meters_large_bytes = old->meters_large_bytes;
	maps->lines_max = old->lines_max;
	maps->guests = old->guests;
}

int jt_segment_begin(const struct jt_segment_size *size,
		     const struct jt_maps *old, int *fdp, struct jt_maps *mapsp)
{
	int rc;

	memset(mapsp, 0, sizeof(*mapsp));
	if (size->capacity > old->lines_max)
		return -EINVAL;
	rc = make_identity(size, fdp, mapsp);
	if (rc)
		return rc;
	share_meters(mapsp, old);
	point(mapsp);
	return 0;
}

static void copy(struct jt_maps *new, const void *to, const void *from,
		 size_t bytes)
{
	size_t off = (size_t)((const char *)to - (const char *)new->identity);

	memcpy((char *)new->identity_rw + off, from, bytes);
}

void jt_segment_succeed(struct jt_maps *new, const struct jt_maps *old)
{
	struct jt_identity *id = new->identity_rw;
	const struct jt_identity *was = old->identity;
	const struct jt_segment_size size = {
		.capacity = new->capacity,
		.pool_bytes = new->pool_bytes,
	};
	/* relaxed: one writer reads its own words */
	size_t plans = jt_load_relaxed(&was->plans) + 1;
	size_t limits = jt_load_relaxed(&was->limits) + 1;
	size_t sets = jt_load_relaxed(&was->sets) + 1;

	/* plain copies of words: the keeper alone writes the one, and nobody
	 * else has the other yet */
	memcpy(id, was, sizeof(*id));
	fill_identity(id, &size, was->journal_id);
	id->seed = was->seed; /* so a key is the same in both */
	id->number = was->number + 1;
	memcpy(id->prefix, was->prefix, sizeof(id->prefix));
	jt_store_relaxed(&id->offered, 0);
	jt_store_relaxed(&id->used, 0);
	jt_store_relaxed(&id->env, jt_load_relaxed(&was->env));
	jt_store_relaxed(&id->state, jt_load_relaxed(&was->state));
	jt_store_relaxed(&id->pool_used, jt_load_relaxed(&was->pool_used));
	copy(new, new->plans, old->plans, plans * sizeof(*new->plans));
	copy(new, new->limits, old->limits, limits * sizeof(*new->limits));
	copy(new, new->sets, old->sets, sets * sizeof(*new->sets));
	copy(new, new->scopes, old->scopes, sizeof(*new->scopes));
	copy(new, new->settings, old->settings, JT_SETTINGS_BYTES);
}

/* Sealed against resizing, and of a size that holds a header? */
static int sized(int fd, int want_seals, size_t *bytesp)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || fstat(fd, &st))
		return -errno;
	if ((seals & want_seals) != want_seals)
		return JT_SEGMENT_E_SEAL;
	if (st.st_size < (off_t)(2 * JT_PAGE))
		return JT_SEGMENT_E_MISMATCH;
	*bytesp = (size_t)st.st_size;
	return 0;
}

static bool is_identity(const struct jt_identity *id, size_t bytes,
			uint64_t capacity, uint64_t pool_bytes)
{
	struct plot p;

	if (id->magic != JT_IDENTITY_MAGIC ||
	    id->version != JT_LAYOUT_VERSION ||
	    id->fingerprint != fingerprint() || !capacity ||
	    capacity > UINT32_MAX || pool_bytes > JT_POOL_MAX)
		return false;
	p = plot_of(capacity, pool_bytes);
	return id->size_bytes == bytes && bytes == p.end &&
	       id->slots == jt_segment_slots(capacity) &&
	       id->slots_off == p.slots && id->plans_off == p.plans &&
	       id->limits_off == p.limits && id->sets_off == p.sets &&
	       id->scopes_off == p.scopes && id->settings_off == p.settings &&
	       id->pool_off == p.pool;
}

static bool is_meters(const struct jt_meters *m, size_t bytes, uint64_t lines)
{
	struct meters_plot p = meters_plot_of(lines);

	return m->magic == JT_METERS_MAGIC && m->version == JT_METERS_VERSION &&
	       m->fingerprint == meters_fingerprint() &&
	       m->size_bytes == bytes && lines <= LINES_MAX &&
	       lines == page_of_lines(lines) && bytes == p.end &&
	       m->board_off == p.board && m->peers_off == p.peers &&
	       m->calls_off == p.calls && m->lines_off == p.lines;
}

/* What is checked is what is used, though others could write it meanwhile. */
static uint64_t once(const uint64_t *word)
{
	return jt_load_relaxed((const _Atomic uint64_t *)word);
}

/* Sizes and offsets follow from capacity and pool: recomputed, not believed. */
static bool identity_fits(struct jt_maps *maps)
{
	maps->capacity = once(&maps->identity->capacity);
	maps->pool_bytes = once(&maps->identity->pool_bytes);
	return is_identity(maps->identity, maps->identity_bytes, maps->capacity,
			   maps->pool_bytes) &&
	       maps->capacity <= maps->lines_max;
}

static bool fits(struct jt_maps *maps)
{
	maps->lines_max = once(&maps->meters->lines);
	return is_meters(maps->meters, maps->meters_bytes, maps->lines_max) &&
	       identity_fits(maps);
}

static int map_identity(int fd, struct jt_maps *maps)
{
	maps->identity = jt_pages_map(fd, maps->identity_bytes, PROT_READ);
	return maps->identity ? 0 : -errno;
}

static int map_with(const struct jt_segment_fds *fds, int meters_prot,
		    struct jt_maps *mapsp)
{
	void *map;
	int rc;

	memset(mapsp, 0, sizeof(*mapsp));
	rc = sized(fds->identity, SEALS | F_SEAL_FUTURE_WRITE,
		   &mapsp->identity_bytes);
	if (!rc)
		rc = sized(fds->meters, SEALS, &mapsp->meters_bytes);
	if (rc)
		return rc;
	rc = map_identity(fds->identity, mapsp);
	if (rc)
		return rc;
	map = jt_pages_map(fds->meters, mapsp->meters_bytes, meters_prot);
	if (!map) {
		rc = -errno;
		goto out;
	}
	mapsp->meters = map;
	if (fits(mapsp)) {
		point(mapsp);
		return 0;
	}
	rc = JT_SEGMENT_E_MISMATCH;
out:
	jt_segment_unmap(mapsp);
	return rc;
}

int jt_segment_map(const struct jt_segment_fds *fds, struct jt_maps *mapsp)
{
	return map_with(fds, PROT_READ | PROT_WRITE, mapsp);
}

int jt_segment_look(const struct jt_segment_fds *fds, struct jt_maps *mapsp)
{
	return map_with(fds, PROT_READ, mapsp);
}

static void unmap(const void *map, size_t bytes)
{
	void *p;

	memcpy(&p, &map, sizeof(p)); /* munmap takes no const */
	munmap(p, bytes);
}

/* A newer table of the same daemon, whose keys are the same? */
static bool follows(const struct jt_maps *maps, const struct jt_maps *old)
{
	return maps->identity->number > old->identity->number &&
	       maps->identity->seed == old->identity->seed &&
	       memcmp(maps->identity->journal_id, old->identity->journal_id,
		      sizeof(maps->identity->journal_id)) == 0;
}

static void unmap_beside(struct jt_maps *maps, int identity)
{
	jt_segment_unmap(maps);
	if (identity >= 0)
		close(identity);
}

int jt_segment_create_beside(const struct jt_segment_size *size,
			     const uint8_t journal_id[16], uint64_t seed,
			     int meters, int *identityp, struct jt_maps *mapsp)
{
	struct jt_segment_size fit = *size;
	int rc;

	memset(mapsp, 0, sizeof(*mapsp));
	*identityp = -1;
	rc = sized(meters, SEALS, &mapsp->meters_bytes);
	if (rc)
		return rc;
	mapsp->meters = jt_pages_map(meters, mapsp->meters_bytes,
				     PROT_READ | PROT_WRITE);
	if (!mapsp->meters)
		return -errno;
	mapsp->lines_max = once(&mapsp->meters->lines);
	rc = is_meters(mapsp->meters, mapsp->meters_bytes, mapsp->lines_max)
		     ? 0
		     : JT_SEGMENT_E_MISMATCH;
	if (fit.capacity > mapsp->lines_max)
		fit.capacity = mapsp->lines_max;
	if (!rc)
		rc = make_identity(&fit, identityp, mapsp);
	if (!rc)
		rc = jt_segment_allocate(*identityp, mapsp->identity_rw, 0,
					 mapsp->identity_bytes,
					 &mapsp->large_bytes);
	/* what is there stays as it is */
	if (!rc)
		rc = jt_segment_allocate(meters, mapsp->meters, 0,
					 jt_segment_meters_end(fit.capacity),
					 NULL);
	if (rc) {
		unmap_beside(mapsp, *identityp);
		return rc;
	}
	fill_identity(mapsp->identity_rw, &fit, journal_id);
	mapsp->identity_rw->seed = seed;
	point(mapsp);
	return 0;
}

static size_t lines_bytes(const struct jt_maps *maps)
{
	return maps->lines_max * sizeof(struct jt_meter);
}

int jt_segment_cover(struct jt_maps *maps)
{
	void *cover = jt_pages_reserve(lines_bytes(maps));

	if (!cover)
		return -ENOMEM;
	maps->lines = cover;
	return 0;
}

void jt_segment_uncover(struct jt_maps *maps)
{
	munmap(maps->lines, lines_bytes(maps));
	point(maps);
}

int jt_segment_follow(int identity, const struct jt_maps *old,
		      struct jt_maps *mapsp)
{
	int rc;

	memset(mapsp, 0, sizeof(*mapsp));
	rc = sized(identity, SEALS | F_SEAL_FUTURE_WRITE,
		   &mapsp->identity_bytes);
	if (!rc)
		rc = map_identity(identity, mapsp);
	if (rc)
		return rc;
	share_meters(mapsp, old);
	if (!identity_fits(mapsp))
		rc = JT_SEGMENT_E_MISMATCH;
	else if (!follows(mapsp, old))
		rc = -ESTALE;
	if (rc)
		jt_segment_leave(mapsp);
	else
		point(mapsp);
	return rc;
}

void jt_segment_leave(struct jt_maps *maps)
{
	unmap(maps->identity, maps->identity_bytes);
	memset(maps, 0, sizeof(*maps));
}

void jt_segment_unmap(struct jt_maps *maps)
{
	if (maps->identity)
		unmap(maps->identity, maps->identity_bytes);
	if (maps->meters)
		unmap(maps->meters, maps->meters_bytes);
	memset(maps, 0, sizeof(*maps));
}
