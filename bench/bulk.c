/* bulk: see bulk.h. */
#include "bench/bulk.h"

#include "bench/jeton.h"
#include "bench/machine.h"
#include "bench/pace.h"
#include "shm/atomic.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NAP_NS 2000000u /* at most, before the next look at `stop` */

struct jt_bulk_shared {
	_Atomic uint64_t stop;
	_Atomic uint64_t batches;
	_Atomic uint64_t cpu_ns;
};

static void name_files(const struct jt_bulk *b, char from[128], char out[128])
{
	snprintf(from, 128, "%.80s/bulk.csv", b->dir);
	snprintf(out, 128, "%.80s/bulk.out", b->dir);
}

int jt_bulk_prepare(const struct jt_bulk *b)
{
	char from[128], out[128];
	FILE *f;
	int r = 0;

	name_files(b, from, out);
	f = fopen(from, "we");
	if (!f)
		return -errno;
	fprintf(f, "name,expires,env,owner,rate,burst\n");
	for (unsigned i = 0; i < b->batch; i++)
		fprintf(f, "bulk %u,90d,live,bulk,1000/s,1000\n", i);
	if (ferror(f))
		r = -EIO;
	if (fclose(f))
		r = -errno;
	return r;
}

static int run_batch(const struct jt_bulk *b)
{
	char from[128], out[128];
	const char *const verb[] = {"create", "--from", from,
				    "--out",  out,	NULL};
	struct jt_process p = {0};
	int status = 0, r;

	name_files(b, from, out);
	unlink(out); /* it wants a new file */
	r = jt_jeton_admin_exec(&p, b->bin_dir, b->dir, verb);
	if (r)
		return r;
	if (waitpid(p.pid, &status, 0) < 0)
		return -errno;
	if (!status)
		return 0;
	jt_process_show_log(&p);
	return -ECHILD;
}

static uint64_t cpu_ns_of(int who)
{
	struct rusage use;

	getrusage(who, &use);
	return (uint64_t)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) *
		       1000000000u +
	       (uint64_t)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) * 1000u;
}

static int serve(void *arg)
{
	const struct jt_bulk *b = arg;
	struct timespec nap = {0};
	struct jt_pace pace;
	uint64_t done = 0, wait_ns;
	int r = 0;

	jt_pace_init(&pace, jt_machine_now_ns(), b->per_s, b->batch);
	/* relaxed: nothing but the word is read */
	while (!r && !jt_load_relaxed(&b->shared->stop)) {
		wait_ns = jt_pace_wait_ns(&pace, done, jt_machine_now_ns());
		nap.tv_nsec = (long)(wait_ns < NAP_NS ? wait_ns : NAP_NS);
		if (wait_ns) {
			nanosleep(&nap, NULL);
			continue;
		}
		r = run_batch(b);
		done++;
	}
	if (r)
		return r;
	/* relaxed: both are read after this process has ended */
	jt_store_relaxed(&b->shared->batches, done);
	jt_store_relaxed(&b->shared->cpu_ns,
			 cpu_ns_of(RUSAGE_CHILDREN) + cpu_ns_of(RUSAGE_SELF));
	_exit(0);
}

int jt_bulk_start(struct jt_bulk *b)
{
	char log[128];

	snprintf(log, sizeof(log), "%.80s/bulk.log", b->dir);
	b->shared = mmap(NULL, sizeof(*b->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (b->shared == MAP_FAILED) {
		b->shared = NULL;
		return -errno;
	}
	return jt_process_fork(&b->process, b->cpu, log, serve, b);
}

int jt_bulk_stop(struct jt_bulk *b)
{
	int r = 0, status = 0;

	if (!b->shared)
		return 0;
	/* relaxed: see serve() */
	jt_store_relaxed(&b->shared->stop, 1);
	if (b->process.pid)
		r = jt_process_wait(&b->process, &status);
	if (!r && status)
		r = -ECHILD;
	if (r == -ECHILD) {
		fprintf(stderr, "jeton-bench: jeton create failed\n");
		jt_process_show_log(&b->process);
	}
	jt_process_stop(&b->process);
	/* relaxed: the writer has ended */
	b->batches = jt_load_relaxed(&b->shared->batches);
	b->cpu_ns = jt_load_relaxed(&b->shared->cpu_ns);
	munmap(b->shared, sizeof(*b->shared));
	b->shared = NULL;
	return r;
}
