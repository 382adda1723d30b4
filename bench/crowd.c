/* crowd: see crowd.h. */
#include "bench/crowd.h"

#include "shm/atomic.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define STEP_NS 2000000u
#define PAUSE_NS 1000000
#define TRIES 10000 /* of such pauses */

struct jt_crowd_shared {
	_Atomic uint64_t stop;
	_Atomic uint64_t replies; /* so far */
	_Atomic uint64_t wall_ns;
};

static int spin(const struct jt_crowd *c, struct jt_loadgen *lg,
		struct jt_loadgen_result *got)
{
	int r = 0;

	jt_scan_init(&got->scan, '$', "VALID");
	jt_loadgen_start(lg, c->requests, c->pipeline, JT_ORDER_RANDOM,
			 c->seed);
	/* relaxed: nothing but the word is read */
	while (!r && !jt_load_relaxed(&c->shared->stop)) {
		r = jt_loadgen_spin(lg, STEP_NS, got);
		/* relaxed: it only shows that something is asked */
		jt_store_relaxed(&c->shared->replies, got->scan.replies);
	}
	if (!r)
		r = jt_loadgen_stop(lg, got);
	if (!r && got->scan.expected != got->scan.replies) {
		fprintf(stderr, "answered %s: ", got->scan.others[0].text);
		r = -EPROTO;
	}
	return r;
}

static int serve(void *arg)
{
	struct jt_loadgen_result *got = calloc(1, sizeof(*got));
	const struct jt_crowd *c = arg;
	struct jt_loadgen *lg;
	int r = got ? jt_loadgen_open(c->socket, c->connections, &lg) : -ENOMEM;

	if (!r)
		r = spin(c, lg, got);
	if (r)
		return r;
	/* relaxed: both are read after this process has ended */
	jt_store_relaxed(&c->shared->replies, got->scan.replies);
	jt_store_relaxed(&c->shared->wall_ns, got->wall_ns);
	_exit(0);
}

static int fail(const struct jt_crowd *c, int r)
{
	if (r == -EINTR)
		return r;
	fprintf(stderr, "jeton-bench: another client: %s\n", strerror(-r));
	jt_process_show_log(&c->process);
	return r;
}

int jt_crowd_start(struct jt_crowd *c)
{
	const struct timespec pause = {0, PAUSE_NS};
	int r;

	c->shared = mmap(NULL, sizeof(*c->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (c->shared == MAP_FAILED) {
		c->shared = NULL;
		return -errno;
	}
	r = jt_process_fork(&c->process, -1, c->log, serve, c);
	/* relaxed: nothing but the number is read */
	for (int i = 0; !r && !jt_load_relaxed(&c->shared->replies); i++) {
		nanosleep(&pause, NULL);
		if (jt_process_interrupted())
			r = -EINTR;
		else if (!jt_process_alive(&c->process))
			r = -ESRCH;
		else if (i == TRIES)
			r = -ETIME;
	}
	return r ? fail(c, r) : 0;
}

int jt_crowd_stop(struct jt_crowd *c, uint64_t *repliesp, uint64_t *wall_nsp)
{
	int r = 0, status = 0;

	if (!c->shared)
		return 0;
	/* relaxed: see spin() */
	jt_store_relaxed(&c->shared->stop, 1);
	if (c->process.pid)
		r = jt_process_wait(&c->process, &status);
	if (!r && status)
		r = -ECHILD;
	jt_process_stop(&c->process);
	/* relaxed: the writer has ended */
	*repliesp += jt_load_relaxed(&c->shared->replies);
	*wall_nsp += jt_load_relaxed(&c->shared->wall_ns);
	munmap(c->shared, sizeof(*c->shared));
	c->shared = NULL;
	return r ? fail(c, r) : 0;
}
