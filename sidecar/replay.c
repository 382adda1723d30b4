/*
 * replay: see replay.h.
 *
 * Why verifying in parts is verifying. A record's tag is a hash of its bytes
 * and of the tag before it, and that one stands in the file, too. So whether
 * record i follows from record i-1 as they are written can be asked for any i
 * at any time, and the chain holds if and only if all of these answers are yes.
 * The same is true of numbers and of parts of a batch. A stretch begins with a
 * reader made from the record in front of it, unverified; it counts only if
 * that reader is, in every field, the one with which the stretch before has
 * ended, else (somebody writes in the file while it is read) it is read once
 * more from there, alone. So what is applied was verified in one unbroken line
 * from where the reader stood, as by one core, and a refusal is the first one.
 *
 *	step	main thread		helper
 *	 k	apply bank A    | read and verify bank B, stretch by stretch
 *		  then help with B, then wait for the helper's end
 *	 k+1	apply bank B    | read and verify bank A
 *
 * Records of a bank are applied in the order of its stretches by the main
 * thread alone, so replay remains a function of the bytes.
 */
#include "sidecar/replay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BANK ((size_t)JT_REPLAY_STRETCHES * JT_REPLAY_RECORDS)

/* How a reader looks behind the record before FROM, whatever that holds. */
static int reader_behind(const struct jt_journal *j, uint64_t from,
			 struct jt_reader *r, struct jt_fault *faultp)
{
	struct jt_record last;
	int rc;

	if (from == j->origin + 1)
		jt_reader_init(r, j);
	else if (from == j->base + 1)
		jt_reader_init_base(r, j);
	if (from == j->origin + 1 || from == j->base + 1)
		return 0;
	rc = jt_journal_peek(j, from - 1 - j->origin, &last, 1, faultp);
	if (rc)
		return rc;
	*r = (struct jt_reader){
		.journal = j,
		.next = from,
		.number = last.number,
		.part = last.part,
		.parts = last.parts,
	};
	memcpy(r->tag, last.tag, sizeof(r->tag));
	memcpy(r->op, last.op, sizeof(r->op));
	return 0;
}

static bool same_place(const struct jt_reader *a, const struct jt_reader *b)
{
	return a->next == b->next && a->number == b->number &&
	       a->part == b->part && a->parts == b->parts &&
	       memcmp(a->tag, b->tag, sizeof(a->tag)) == 0 &&
	       memcmp(a->op, b->op, sizeof(a->op)) == 0;
}

static void verify(void *bank, uint64_t i, unsigned who)
{
	struct jt_stretch *s = &((struct jt_bank *)bank)->stretches[i];

	s->n = 0;
	s->rc = reader_behind(s->from.journal, s->from.next, &s->from,
			      &s->fault);
	if (s->rc)
		return;
	s->to = s->from;
	s->rc = jt_reader_next(&s->to, s->records, JT_REPLAY_RECORDS, &s->n,
			       &s->fault);
}

/* Which stretches come next. State records and others stand in none together.
 */
static void plan(struct jt_replay *p, struct jt_bank *bank)
{
	const struct jt_journal *j = p->journal;

	for (bank->n = 0; bank->n < JT_REPLAY_STRETCHES; bank->n++) {
		struct jt_stretch *s = &bank->stretches[bank->n];
		uint64_t end =
			p->ahead <= j->base ? j->base : j->committed.number;
		uint64_t left = end + 1 - p->ahead;

		if (!left)
			return;
		s->from = (struct jt_reader){.journal = j, .next = p->ahead};
		p->ahead += left < JT_REPLAY_RECORDS ? left : JT_REPLAY_RECORDS;
	}
}

int jt_replay_init(struct jt_replay *p, const struct jt_reader *r)
{
	memset(p, 0, sizeof(*p));
	p->journal = r->journal;
	p->ahead = r->next;
	p->memory = malloc(2 * BANK * sizeof(*p->memory));
	if (!p->memory)
		return -ENOMEM;
	for (size_t i = 0; i < 2 * JT_REPLAY_STRETCHES; i++)
		p->banks[i / JT_REPLAY_STRETCHES]
			.stretches[i % JT_REPLAY_STRETCHES]
			.records = p->memory + i * JT_REPLAY_RECORDS;
	return 0;
}

void jt_replay_deinit(struct jt_replay *p)
{
	free(p->memory);
	p->memory = NULL;
}

static int take(struct jt_stretch *s, struct jt_reader *r,
		jt_replay_apply *apply, void *ctx, struct jt_fault *faultp)
{
	/* whoever moved R or changed the file meanwhile: as one core would */
	if (s->rc || !same_place(&s->from, r)) {
		s->to = *r;
		s->rc = jt_reader_next(&s->to, s->records, JT_REPLAY_RECORDS,
				       &s->n, &s->fault);
	}
	if (s->rc) {
		*faultp = s->fault;
		return s->rc;
	}
	*r = s->to;
	apply(ctx, s->records, s->n);
	return 0;
}

int jt_replay_step(struct jt_replay *p, struct jt_reader *r,
		   jt_replay_apply *apply, void *ctx, bool *morep,
		   struct jt_fault *faultp)
{
	struct jt_bank *ready = &p->banks[p->ready];
	struct jt_bank *next = &p->banks[!p->ready];
	struct jt_both both;
	int rc = 0;

	plan(p, next);
	jt_both_begin(&both, verify, next, next->n);
	for (unsigned i = 0; !rc && i < ready->n; i++)
		rc = take(&ready->stretches[i], r, apply, ctx, faultp);
	jt_both_end(&both);
	p->ready = !p->ready;
	*morep = next->n > 0;
	return rc;
}
