/*
 * notice: what is to be said about tokens that expire, once each.
 *
 * Thresholds are days before the expiry: a token is due for the smallest that
 * it has come within, or, once it is over, for 0, at most 30 days long. What
 * was said is the newest NOTICE of a token, which speaks for the expiry that
 * the token had then, and for all thresholds above its own: a run that missed
 * some says only the most urgent and takes the others as said. Another expiry
 * starts anew. (Only the newest, since a compaction keeps no more; so an expiry
 * that was announced, left, and comes back after another was announced, is
 * announced again, under the same keys.)
 *
 * A revoked token does not expire any more: nothing is said of it. A suspended
 * one does: it is told, and marked.
 */
#ifndef JT_ADMIN_NOTICE_H
#define JT_ADMIN_NOTICE_H

#include "admin/args.h"
#include "admin/catalog.h"
#include <jansson.h>

#define JT_THRESHOLDS_DEFAULT "60,30,14,7,1"
#define JT_THRESHOLDS_MAX 16u
#define JT_THRESHOLD_LAST 1461u /* days: no token lives longer */
#define JT_NOTICE_OVER_S (30u * 86400u)
#define JT_NOTICE_OVER 0u /* threshold of those that are over */

struct jt_thresholds {
	uint32_t days[JT_THRESHOLDS_MAX]; /* rising */
	size_t n;
};

/* "60,30,14,7,1" in any order. False: WHY, after the option's name. */
bool jt_thresholds_parse(const char *text, struct jt_thresholds *t,
			 char why[JT_WHY_MAX]);

/* What was said last of a token. */
struct jt_said {
	uint32_t expires_s; /* 0: nothing */
	uint32_t days;
};

/* Is there something to say, and for which threshold? Pure. */
bool jt_notice_due(const struct jt_thresholds *t, const struct jt_card *card,
		   struct jt_said said, uint64_t now_s, uint32_t *daysp);

/* What was said of each card of a catalog. */
struct jt_notices {
	struct jt_said *said; /* by card */
	size_t n_max;
};

void jt_notices_deinit(struct jt_notices *n);
/* R is in the catalog (fold.h): 0 or -ENOMEM. */
int jt_notices_learn(struct jt_notices *n, const struct jt_catalog *c,
		     const struct jt_record *r);
void jt_notices_forget(struct jt_notices *n);
struct jt_said jt_notices_said(const struct jt_notices *n, size_t card);

/* The record that remembers it. */
void jt_notice_record(const struct jt_card *card, uint32_t days,
		      struct jt_record *r);

/* The event; NULL when memory ran out. */
json_t *jt_notice_event(const struct jt_card *card, uint32_t days,
			uint64_t now_s);

#endif
