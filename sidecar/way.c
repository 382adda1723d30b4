/* way: see way.h. The C library of Debian 12 has none of these calls. */
#include "sidecar/way.h"

#include <linux/sched.h>
#include <linux/sched/types.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TURN_NS 100000u /* the shortest that there is */

static bool is_short;

void jt_way_begin(void)
{
	struct sched_attr attr = {.size = sizeof(attr)};

	/* before 6.12 none is told */
	if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) ||
	    attr.sched_policy != SCHED_NORMAL || !attr.sched_runtime)
		return;
	attr.sched_runtime = TURN_NS;
	is_short = syscall(SYS_sched_setattr, 0, &attr, 0) == 0;
}

void jt_way_make(uint64_t step, uint64_t each)
{
	if (is_short && step % each == each - 1)
		syscall(SYS_sched_yield);
}
