/* room: see room.h. */
#include "sidecar/room.h"

#include "sidecar/feed.h"
#include "sidecar/memory.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HEADROOM(n) ((n) + (n) / 4)
#define TOKEN_BYTES 162u       /* of shared memory, when all have a place */
#define LINES_MAX (1ull << 27) /* by default */

/*
 * So many tokens may there be at most. What is not needed costs addresses
 * alone, so as a default it is what all memory would hold.
 */
uint64_t jt_room_max(const struct jt_config *config)
{
	uint64_t asked = config->capacity_max;
	uint64_t most = jt_memory_left() / TOKEN_BYTES;

	if (asked)
		return asked;
	return most < LINES_MAX ? most : LINES_MAX;
}

/* A descriptor of its own, so that it may be closed like one that was made. */
static int create_beside(const struct jt_segment_size *size,
			 const struct jt_journal *j, struct jt_inherited *in,
			 struct jt_segment_fds *fdsp, struct jt_maps *mapsp)
{
	int rc;

	fdsp->meters = fcntl(in->meters, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (fdsp->meters < 0)
		return -errno;
	rc = jt_segment_create_beside(size, j->id, in->seed, fdsp->meters,
				      &fdsp->identity, mapsp);
	if (!rc)
		rc = jt_segment_cover(mapsp);
	in->shared = rc == 0;
	if (rc)
		close(fdsp->meters);
	return rc;
}

/* Where files or addresses are limited there are fewer lines to grow into. */
static int create(const struct jt_config *config, struct jt_segment_size *size,
		  const struct jt_journal *j, struct jt_inherited *in,
		  struct jt_segment_fds *fdsp, struct jt_maps *mapsp)
{
	int rc;

	size->lines_max = jt_room_max(config);
	if (jt_memory_left() < jt_segment_bytes(size))
		return JT_SEGMENT_E_MEMORY;
	if (in) {
		rc = create_beside(size, j, in, fdsp, mapsp);
		if (rc != JT_SEGMENT_E_MISMATCH)
			return rc;
	}
	do {
		rc = jt_segment_create(size, j->id, fdsp, mapsp);
		size->lines_max /= 2;
	} while ((rc == -EFBIG || rc == -ENOMEM) &&
		 size->lines_max >= size->capacity);
	return rc;
}

/* What is stored, as far as a snapshot says it from that. */
static int measure(const struct jt_journal *j,
		   const struct jt_snapshot_header *h,
		   struct jt_feed_size *need, struct jt_fault *faultp)
{
	uint64_t now_s = j->io->wall_ns() / 1000000000u;

	if (!h)
		return jt_feed_measure(j, now_s, need, faultp);
	*need = (struct jt_feed_size){
		.tokens = h->tokens,
		.rotated = h->values - h->tokens,
		.owner_bytes = h->pool_used,
	};
	return jt_measure_from(j, h->number + 1, now_s, need, faultp);
}

int jt_room_make(const struct jt_config *config, const struct jt_journal *j,
		 const struct jt_snapshot_header *h, struct jt_inherited *in,
		 struct jt_segment_fds *fdsp, struct jt_maps *mapsp,
		 struct jt_fault *faultp)
{
	struct jt_segment_size size = {.capacity = config->capacity};
	struct jt_feed_size need;
	int rc = measure(j, h, &need, faultp);

	if (rc)
		return rc;
	memcpy(size.prefix, j->prefix, sizeof(size.prefix));
	size.env = jt_env_word(config->env, strlen(config->env));
	/* 5 % of the places are for values that rotations replaced */
	if (need.rotated > need.tokens / 20)
		need.tokens += need.rotated - need.tokens / 20;
	if (size.capacity < HEADROOM(need.tokens))
		size.capacity = HEADROOM(need.tokens);
	if (h && h->capacity >= config->capacity &&
	    h->capacity >= need.tokens + need.tokens / 8 &&
	    h->capacity <= 2 * size.capacity)
		size.capacity = h->capacity;
	if (in && size.capacity < in->capacity)
		size.capacity = in->capacity;
	size.pool_bytes = jt_segment_pool(size.capacity);
	/* more than it can be at all is counted too often: try with that */
	if (size.pool_bytes < HEADROOM(need.owner_bytes))
		size.pool_bytes = HEADROOM(need.owner_bytes) < JT_POOL_MAX
					  ? HEADROOM(need.owner_bytes)
					  : JT_POOL_MAX;
	rc = create(config, &size, j, in, fdsp, mapsp);
	if (!rc && in) /* a key is the same in both */
		mapsp->identity_rw->seed = in->seed;
	if (rc)
		snprintf(faultp->line, sizeof(faultp->line),
			 "no shared memory for %llu tokens (%llu MB): %s; "
			 "lower --capacity or give the machine more",
			 (unsigned long long)size.capacity,
			 (unsigned long long)jt_segment_bytes(&size) >> 20,
			 rc < 0 ? strerror(-rc) : "not enough memory");
	return rc;
}
