/* mark: see mark.h. */
#include "sidecar/mark.h"

#include "shm/meter.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static_assert(JT_METER_AHEAD_MIN * 60 == JT_MARK_AHEAD_S,
	      "no window that the mark allows is taken back");

void jt_mark_init(struct jt_mark *m, uint64_t mark_s)
{
	memset(m, 0, sizeof(*m));
	m->mark_s = mark_s;
}

/* Did the clock step against the boot clock? A second is rounding. */
static bool stepped(const struct jt_mark *m, uint64_t offset_s)
{
	return m->steady_s == 0 || offset_s - m->offset_s + 1 > 2;
}

static bool is_believed(const struct jt_mark *m, uint64_t wall_s,
			uint64_t boot_s)
{
	return m->mark_s == 0 || wall_s - m->mark_s <= JT_MARK_AHEAD_S ||
	       boot_s - m->steady_s >= JT_MARK_STEADY_S;
}

bool jt_mark_tend(struct jt_mark *m, uint64_t wall_s, uint64_t boot_s)
{
	bool was_behind = m->why[0] != '\0';

	boot_s++; /* 0 is never */
	if (stepped(m, wall_s - boot_s)) {
		m->offset_s = wall_s - boot_s;
		m->steady_s = boot_s;
	}
	if (wall_s > m->mark_s && is_believed(m, wall_s, boot_s))
		m->mark_s = wall_s;
	m->why[0] = '\0';
	if (m->mark_s <= wall_s || m->mark_s - wall_s <= JT_MARK_BEHIND_S)
		return false;
	snprintf(m->why, sizeof(m->why),
		 "the clock is %" PRIu64
		 " s behind what it was, so expiry goes "
		 "by what it was; set it right; if it was wrong then, stop "
		 "jetond, run `jeton journal check --expect` with your last "
		 "receipt, remove the file anchor and start it",
		 m->mark_s - wall_s);
	return !was_behind;
}
