/* both: see both.h. */
#include "sidecar/both.h"

static void work(struct jt_both *b, unsigned who)
{
	for (;;) {
		/* relaxed: only who does what; what jobs read was written
		 * before pthread_create(), what they write is read after
		 * pthread_join() */
		uint64_t i = jt_add_relaxed(&b->next, 1);

		if (i >= b->n)
			return;
		b->job(b->ctx, i, who);
	}
}

static void *help(void *both)
{
	work(both, 1);
	return NULL;
}

void jt_both_begin(struct jt_both *b, jt_both_job *job, void *ctx, uint64_t n)
{
	b->job = job;
	b->ctx = ctx;
	b->n = n;
	jt_store_relaxed(&b->next, 0); /* relaxed: nobody helps yet */
	/* one job is done sooner than somebody comes */
	b->helped = n > 1 && pthread_create(&b->helper, NULL, help, b) == 0;
}

void jt_both_end(struct jt_both *b)
{
	work(b, 0);
	if (b->helped)
		pthread_join(b->helper, NULL);
	b->helped = false;
}
