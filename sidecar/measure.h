/*
 * measure: how much room what is stored needs, before there is any.
 *
 * Reads all of a journal on two cores, unverified: what it says is only a
 * size, and the replay asks for room once more, record by record.
 */
#ifndef JT_SIDECAR_MEASURE_H
#define JT_SIDECAR_MEASURE_H

#include "admin/journal.h"

/* Tokens, and of those how many were rotated and still have two values. */
struct jt_feed_size {
	uint64_t tokens, rotated, owner_bytes;
};

/*
 * At its fullest moment, not at its end. *SIZEP is added to, from record FROM
 * on as a reader counts, with SIZEP->tokens there in front of it.
 */
int jt_measure_from(const struct jt_journal *journal, uint64_t from,
		    uint64_t now_s, struct jt_feed_size *sizep,
		    struct jt_fault *faultp);

/* All of it, from nothing. */
int jt_feed_measure(const struct jt_journal *journal, uint64_t now_s,
		    struct jt_feed_size *sizep, struct jt_fault *faultp);

#endif
