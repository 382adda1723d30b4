/* burn: see burn.h. */
#include "bench/burn.h"

#include "bench/machine.h"
#include "bench/pace.h"
#include "bench/random.h"
#include "shm/atomic.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define TURN 8192u	/* draws between looks at the clock: 10 us */
#define NAP_NS 2000000u /* at most, before the next look at `stop` */

struct jt_burn_shared {
	_Atomic uint64_t stop;
	_Atomic uint64_t periods;
	_Atomic uint64_t cpu_ns;
	_Atomic uint64_t drawn; /* or nothing need be computed */
};

/* Until this process has had UNTIL_NS of CPU time, or is to stop. */
static void burn(struct jt_burn_shared *s, double until_ns)
{
	uint64_t random = 1;

	/* relaxed: nothing but the word is read */
	while ((double)jt_machine_own_cpu_ns() < until_ns &&
	       !jt_load_relaxed(&s->stop)) {
		for (unsigned i = 0; i < TURN; i++)
			jt_random_next(&random);
		/* relaxed: nobody reads it */
		jt_store_relaxed(&s->drawn, random);
	}
}

static int serve(void *arg)
{
	const struct jt_burn *b = arg;
	double base_ns = (double)jt_machine_own_cpu_ns();
	struct timespec nap = {0};
	struct jt_pace pace;
	uint64_t done = 0, wait_ns;

	jt_pace_init(&pace, jt_machine_now_ns(), 1e9, b->period_ns);
	/* relaxed: nothing but the word is read */
	while (!jt_load_relaxed(&b->shared->stop)) {
		wait_ns = jt_pace_wait_ns(&pace, done, jt_machine_now_ns());
		nap.tv_nsec = (long)(wait_ns < NAP_NS ? wait_ns : NAP_NS);
		if (wait_ns)
			nanosleep(&nap, NULL);
		else
			burn(b->shared, base_ns + (double)++done * b->each_ns);
	}
	/* relaxed: both are read after this process has ended */
	jt_store_relaxed(&b->shared->periods, done);
	jt_store_relaxed(&b->shared->cpu_ns, jt_machine_own_cpu_ns());
	_exit(0);
}

int jt_burn_start(struct jt_burn *b)
{
	b->shared = mmap(NULL, sizeof(*b->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (b->shared == MAP_FAILED) {
		b->shared = NULL;
		return -errno;
	}
	return jt_process_fork(&b->process, b->cpu, b->log, serve, b);
}

int jt_burn_stop(struct jt_burn *b)
{
	int r = 0, status = 0;

	if (!b->shared)
		return 0;
	/* relaxed: see burn() */
	jt_store_relaxed(&b->shared->stop, 1);
	if (b->process.pid)
		r = jt_process_wait(&b->process, &status);
	if (!r && status)
		r = -ECHILD;
	if (r == -ECHILD)
		fprintf(stderr, "jeton-bench: the burning process failed\n");
	jt_process_stop(&b->process);
	/* relaxed: the writer has ended */
	b->periods = jt_load_relaxed(&b->shared->periods);
	b->cpu_ns = jt_load_relaxed(&b->shared->cpu_ns);
	munmap(b->shared, sizeof(*b->shared));
	b->shared = NULL;
	return r;
}
