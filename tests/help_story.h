/*
 * help_story: invented lives of tokens, and what they come to.
 *
 * A story commits records of every type as the program would: a token's records
 * carry its whole state, a rotation brings a new value. Independently of
 * survey.c a fold of any sequence of records, taken as record.h says, gives
 * what matters; two sequences that fold alike are the same state.
 */
#ifndef JT_TESTS_HELP_STORY_H
#define JT_TESTS_HELP_STORY_H

#include "tests/help_journal.h"

#define STORY_TOKENS 64u
#define STORY_PLANS 24u
#define STORY_SCOPES 24u

struct story_token {
	bool exists;
	struct jt_record first, newest;	 /* tags zero */
	uint8_t before[JT_DIGEST_BYTES]; /* its last rotation */
	struct jt_record notice; /* the newest; it counts for one expiry */
};

struct story {
	struct story_token tokens[STORY_TOKENS];
	struct jt_record plans[STORY_PLANS + 1];
	struct jt_record scopes[STORY_SCOPES + 1], sets[STORY_SCOPES + 1];
	struct jt_record rules;
	unsigned n_tokens, n_plans, n_scopes, n_sets; /* numbers given */
};

/* Tell COMMITS commits more, at the end of which S is what they come to. */
void story_tell(struct story *s, uint64_t *seed, unsigned commits);

/* Fold one record more. Asserts that it makes sense. */
void story_fold(struct story *s, const struct jt_record *r);

/* Fold the journal as a reader finds it, state records first. */
void story_read(struct story *s);

bool story_same(const struct story *a, const struct story *b);

#endif
