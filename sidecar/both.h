/*
 * both: a list of jobs, done by this thread and one helper.
 *
 * For the start, where one process has much to do and a second core idles.
 * The helper lives from jt_both_begin() to jt_both_end() and no longer, so
 * that whoever forks between two lists forks a process of one thread. Jobs are
 * independent of each other; each is done once, by either. Without a helper
 * (the system refuses) the caller does them all.
 */
#ifndef JT_SIDECAR_BOTH_H
#define JT_SIDECAR_BOTH_H

#include "shm/atomic.h"
#include <pthread.h>

/* WHO: 0 the caller, 1 the helper, so that each can have a buffer. */
typedef void jt_both_job(void *ctx, uint64_t i, unsigned who);

struct jt_both {
	jt_both_job *job;
	void *ctx;
	uint64_t n;
	_Atomic uint64_t next; /* the first job that nobody has taken */
	bool helped;
	pthread_t helper;
};

/* Let the helper begin with jobs 0..N-1. B must stay where it is. */
void jt_both_begin(struct jt_both *b, jt_both_job *job, void *ctx, uint64_t n);
/* Do what is left beside it; on return all jobs are done and seen. */
void jt_both_end(struct jt_both *b);

#endif
