/*
 * crossing: see crossing.h; why any moment is right in growth.c.
 *
 * As long as the old table is not retired both say the same, so there is time:
 * the new one is mapped, then its pages are brought into this process's page
 * table, step by step between drains (a first touch costs a microsecond, and a
 * round may touch thousands), then it is the table, then the old one is
 * unmapped, in steps as well. Once the old one is retired nothing may be taken
 * from it, so then it is left at once and pages are found as they are touched.
 *
 * A retired table of which no successor has come yet says LOADING (verify.c).
 * When none comes (no descriptor left for it, no addresses to map it) that
 * would be for ever, so then the process ends, and is started again by the
 * keeper.
 *
 * What comes over the link is the keeper's, and is checked as at start.
 */
#include "sidecar/crossing.h"

#include "sidecar/child.h"
#include "sidecar/log.h"
#include "sidecar/pass.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define STEP_BYTES (2u << 20) /* a large page */
#define MESSAGES_MAX 16u

void jt_crossing_init(struct jt_crossing *c, int link, struct jt_maps *maps,
		      struct jt_desk *desk)
{
	*c = (struct jt_crossing){
		.link = link, .maps = maps, .desk = desk, .way_out = -1};
}

/* ---- the link ---- */

int jt_crossing_send(int link, int identity, uint64_t number)
{
	struct jt_crossing_word word = {number};

	return jt_pass_send(link, &word, sizeof(word), &identity, 1);
}

/* A descriptor, or -1: there is nothing more. */
static int receive(int link, uint64_t *numberp)
{
	struct jt_crossing_word word;
	int fd;

	if (jt_pass_receive(link, &word, sizeof(word), &fd, 1) != 1)
		return -1;
	*numberp = word.number;
	return fd;
}

static void put_away(struct jt_crossing *c, const struct jt_identity *id,
		     size_t bytes)
{
	void *at;

	memcpy(&at, &id, sizeof(at)); /* munmap takes no const */
	if (c->n_old == JT_CROSSING_OLD) {
		munmap(at, bytes);
		return;
	}
	c->old[c->n_old].at = at;
	c->old[c->n_old++].bytes = bytes;
}

/* Instead of what is being made ready, if it came after that. */
static void take(struct jt_crossing *c, int fd)
{
	const struct jt_maps *newest = c->next.identity ? &c->next : c->maps;
	struct jt_maps next;
	int rc = jt_segment_follow(fd, newest, &next);

	close(fd);
	if (rc) {
		jt_log(JT_LOG_ERROR, "a larger table cannot be mapped: %s",
		       strerror(rc < 0 ? -rc : EPROTO));
		return;
	}
	if (c->next.identity)
		put_away(c, c->next.identity, c->next.identity_bytes);
	c->next = next;
	c->ready_bytes = 0;
}

static void take_all(struct jt_crossing *c)
{
	uint64_t number;
	int fd;

	for (unsigned i = 0; i < MESSAGES_MAX; i++) {
		fd = receive(c->link, &number);
		if (fd < 0)
			return;
		if (number != JT_OFFERED_LEAVE) {
			take(c, fd);
			continue;
		}
		if (c->way_out >= 0) /* that one led nowhere */
			close(c->way_out);
		c->way_out = fd;
	}
}

/* ---- over ---- */

static void go_over(struct jt_crossing *c)
{
	struct jt_maps old = *c->maps;

	*c->maps = c->next;
	memset(&c->next, 0, sizeof(c->next));
	put_away(c, old.identity, old.identity_bytes);
	/* pairs with jt_crew_crossed(): nothing is read from the old one */
	if (c->desk)
		jt_store_seq(&c->desk->table, c->maps->identity->number);
}

/* True: all of it is at hand, or cannot be brought. */
static bool make_ready(struct jt_crossing *c)
{
	size_t left = c->next.identity_bytes - c->ready_bytes;
	size_t n = left < STEP_BYTES ? left : STEP_BYTES;
	void *at;

	memcpy(&at, &c->next.identity, sizeof(at));
	if (madvise((char *)at + c->ready_bytes, n, MADV_POPULATE_READ))
		return true;
	c->ready_bytes += n;
	return c->ready_bytes == c->next.identity_bytes;
}

static void unmap_some(struct jt_crossing *c)
{
	size_t bytes = c->old[0].bytes;
	size_t n = bytes < STEP_BYTES ? bytes : STEP_BYTES;

	munmap(c->old[0].at, n);
	c->old[0].at += n;
	c->old[0].bytes -= n;
	if (c->old[0].bytes)
		return;
	c->n_old--;
	memmove(&c->old[0], &c->old[1], c->n_old * sizeof(c->old[0]));
}

static bool is_retired(const struct jt_crossing *c)
{
	/* pairs with jt_table_part() */
	return jt_load_acquire(&c->maps->identity->state) ==
	       JT_IDENTITY_RETIRED;
}

/* What takes time, for a while. True: it went over. */
static bool go_on(struct jt_crossing *c)
{
	uint64_t end_ns = jt_child_boot_ns() + JT_CROSSING_NS;
	bool over = false;

	while (jt_crossing_busy(c)) {
		if (!c->next.identity) {
			unmap_some(c);
		} else if (is_retired(c) || make_ready(c)) {
			go_over(c);
			over = true;
		}
		if (jt_child_boot_ns() >= end_ns)
			break;
	}
	return over;
}

bool jt_crossing_look(struct jt_crossing *c)
{
	const struct jt_maps *newest = c->next.identity ? &c->next : c->maps;

	/* pairs with the store in growth.c */
	if (jt_load_acquire(&newest->identity->offered) && c->way_out < 0)
		take_all(c);
	return jt_crossing_busy(c) && go_on(c);
}

void jt_crossing_stay(struct jt_crossing *c)
{
	if (c->way_out >= 0)
		close(c->way_out);
	c->way_out = -1;
}

bool jt_crossing_is_lost(const struct jt_crossing *c)
{
	/* a daemon that ends retires its newest table, which offers none;
	 * offered is stored, and the next one sent, before RETIRED is */
	return is_retired(c) && !c->next.identity &&
	       jt_load_acquire(&c->maps->identity->offered);
}

void jt_crossing_hurry(struct jt_crossing *c)
{
	if (is_retired(c))
		jt_crossing_look(c);
}
