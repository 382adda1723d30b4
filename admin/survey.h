/*
 * survey: which records still say something.
 *
 * Fed with every record of a journal in order, it tells which of them, read in
 * the same order, come to the same state. What it keeps is a part of history
 * and not a new text: nothing is rewritten, so numbers, times, operations and
 * actors survive. Kept are
 *   - of a token that was not purged: its CREATE, the last two that gave it
 *     another value (ROTATE), its newest record, and the newest NOTICE, even of
 *     another expiry than it has, for it may get that back;
 *   - of each plan its first and its newest record; scopes and sets of them
 *     all; the newest RULES.
 * REASON and COPY are history alone. Whoever folds records must therefore take
 * each as the whole state of its token, whatever its type (record.h), and not
 * insist on the ones between.
 *
 * Private memory: about 90 bytes a token, a bit a record.
 */
#ifndef JT_ADMIN_SURVEY_H
#define JT_ADMIN_SURVEY_H

#include "admin/journal.h"

struct jt_survey_token {
	char id[JT_ID_BYTES];
	uint64_t created; /* places; 0: purged */
	uint64_t newest;
	uint64_t values[2]; /* the last two ROTATE, the later one first */
	uint64_t notice;
	bool revoked;
};

struct jt_survey_plan {
	uint64_t first, newest; /* places; 0: none */
};

struct jt_survey {
	struct jt_survey_token *tokens;
	size_t n_tokens, tokens_max;
	uint32_t *index; /* token + 1 by id, open addressing; 0: free */
	size_t index_mask;
	uint64_t seed;
	struct jt_survey_plan *plans; /* by number */
	uint64_t rules;
	uint64_t *kept; /* a bit for each place */
	uint64_t places;
};

/* For a journal of so many records. 0 or -ENOMEM. */
int jt_survey_init(struct jt_survey *s, uint64_t places);
void jt_survey_deinit(struct jt_survey *s);

/*
 * The record at PLACE, 1 for the first. 0, -ENOMEM, JT_JOURNAL_E_VERSION, or
 * JT_JOURNAL_E_DAMAGED for a token that comes twice or out of nowhere.
 */
int jt_survey_add(struct jt_survey *s, uint64_t place,
		  const struct jt_record *r, struct jt_fault *faultp);

/* All were added: decide. */
void jt_survey_end(struct jt_survey *s);
bool jt_survey_keeps(const struct jt_survey *s, uint64_t place);

#endif
