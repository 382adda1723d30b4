/* child: see child.h. */
#include "sidecar/child.h"

#include "sidecar/log.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000ull
#define RESERVED_FDS 32u

uint64_t jt_child_boot_ns(void)
{
	struct timespec boot;

	clock_gettime(CLOCK_BOOTTIME, &boot);
	return (uint64_t)boot.tv_sec * NS_PER_S + (uint64_t)boot.tv_nsec;
}

struct jt_now jt_child_now(void)
{
	struct timespec wall;

	clock_gettime(CLOCK_REALTIME, &wall);
	return (struct jt_now){
		.wall_s = (uint64_t)wall.tv_sec,
		.boot_ns = jt_child_boot_ns(),
	};
}

void jt_child_end_round(struct jt_desk *desk, struct jt_now now)
{
	/* pairs with jt_rest_over(): nothing of the round is read after;
	 * relaxed: its own word */
	jt_store_release(&desk->rounds, jt_load_relaxed(&desk->rounds) + 1);
	/* pairs with jt_rest_begin(), see rest.c, and with other workers */
	jt_store_seq(&desk->beat_ns, now.boot_ns);
}

void jt_child_shut_in(const struct jt_sandbox *box, enum jt_sandbox_kind kind,
		      struct jt_desk *desk)
{
	unsigned layers;

	tzset(); /* or the first date would look for a time zone's file */
	layers = jt_sandbox_enter(box, kind);
	/* relaxed: for STATUS and metrics */
	jt_store_relaxed(&desk->layers, layers + 1);
}

unsigned jt_child_cap_connections(unsigned asked, unsigned spare,
				  unsigned n_workers)
{
	unsigned reserved = RESERVED_FDS + n_workers;
	struct rlimit files;
	unsigned n;

	if (getrlimit(RLIMIT_NOFILE, &files))
		return asked;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	if (files.rlim_cur >= asked + spare + RESERVED_FDS + JT_WORKERS_MAX)
		return asked + spare;
	n = files.rlim_cur > 2 * reserved ? (unsigned)files.rlim_cur - reserved
					  : RESERVED_FDS / 2;
	if (n >= asked)
		return n < asked + spare ? n : asked + spare;
	jt_log(JT_LOG_WARNING,
	       "the limit of %llu open files allows fewer connections than "
	       "--connections %u",
	       (unsigned long long)files.rlim_cur, asked);
	return n;
}

void *jt_child_reserve(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* The first bucket that reaches that far; the last one reaches everywhere. */
static unsigned bucket_of(uint64_t ns)
{
	uint64_t us = ns / 1000 + (ns % 1000 != 0);
	unsigned i = us > 1 ? 64u - (unsigned)__builtin_clzll(us - 1) : 0;

	return i < JT_TOOK_MAX ? i : JT_TOOK_MAX - 1;
}

void jt_child_took(struct jt_desk *desk, uint64_t n, uint64_t ns)
{
	jt_count(&desk->took[bucket_of(ns)], n);
	jt_count(&desk->took_ns, n * ns);
}

void jt_child_figures_open(struct jt_child_figures *f,
			   const struct jt_desk *desk)
{
	jt_self_open(&f->self);
	/* relaxed: who wrote it is dead */
	f->before_ns = jt_load_relaxed(&desk->cpu_ns);
	f->due_ns = 0;
}

void jt_child_figures_tell(struct jt_child_figures *f, struct jt_desk *desk,
			   uint64_t now_ns)
{
	struct jt_figures mine;

	if (now_ns < f->due_ns)
		return;
	f->due_ns = now_ns + JT_CHILD_TICK_MS * 1000000ull;
	jt_self_look(&f->self, &mine);
	/* relaxed: each figure stands alone */
	jt_store_relaxed(&desk->cpu_ns, f->before_ns + mine.cpu_ns);
	jt_store_relaxed(&desk->resident, mine.resident);
	jt_store_relaxed(&desk->open_fds, mine.open_fds);
}
