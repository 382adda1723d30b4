/* both: see both.h. */
#include "sidecar/both.h"

static void work(struct jt_both *b)
{
	for (;;) {
		/* relaxed: only who does what; what jobs read was written
		 * before pthread_create(), what they write is read after
		 * pthread_join() */
		uint64_t i = jt_add_relaxed(&b->next, 1);

		if (i >= b->n)
			return;
		b->job(b->ctx, i);
	}
}

static void *help(void *both)
{
	work(both);
	return NULL;
}

void jt_both_begin(struct jt_both *b, void (*job)(void *, uint64_t), void *ctx,
		   uint64_t n)
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
	work(b);
	if (b->helped)
		pthread_join(b->helper, NULL);
	b->helped = false;
}
